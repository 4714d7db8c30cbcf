/*
 * A network for sync engines: any number of databases in one process, links that keep order but may be
 * slow, break, or swallow what they carry, and one virtual clock. Everything follows from the seed.
 */
#ifndef TESTS_LIB_NET_H
#define TESTS_LIB_NET_H

#include "core/log.h"
#include "net/message.h"
#include "net/sync.h"
#include "tests/lib/dbs.h"

#define NET_NODES_MAX 16
#define NET_LINKS_MAX 64
#define NET_OVERHEAD  21 /* what a session adds to a small message: length, flag, tag */
#define NET_QUEUE_MAX (4u << 20)

struct net;

struct net_node {
	struct net *net;
	size_t at;
	struct test_db t;
	struct sw_sync *sync; /* NULL: down, or not an engine but a script of the test */
	bool changed;
	int64_t skew_ms;
};

struct net_message {
	struct net_message *next;
	uint64_t at_ms;
	size_t n;
	uint8_t bytes[];
};

/* One direction. */
struct net_pipe {
	struct net_message *first, *last;
	size_t bytes;
	bool was_full;
	bool up; /* this end's engine knows of the connection */
};

struct net_link {
	bool used;
	uint64_t conn; /* 0: not connected */
	size_t ends[2]; /* nodes; [0] dialled */
	const struct sw_ticket *ticket;
	struct net_pipe pipes[2]; /* [i]: sent by ends[i] */
	uint64_t again_ms;	  /* dial again then; 0: never */
	bool mute;		  /* swallows everything */
	bool manual;		  /* is not dialled again when lost */
	char reason[200];	  /* why an engine dropped it last */
	size_t n_drops;
};

struct net {
	struct rng rng;
	uint64_t now_ms;
	uint64_t next_conn;
	unsigned delay_ms_max;
	unsigned lose_heads; /* one in so many HEADs is lost; 0: none */
	unsigned break_one_in; /* a message in so many breaks its link; 0: none */
	struct net_node nodes[NET_NODES_MAX];
	size_t n_nodes;
	struct net_link links[NET_LINKS_MAX];
	size_t n_links;
	uint64_t n_messages, n_bytes; /* sent, session overhead included */
	uint64_t by_type[32];
	/* For ends without an engine: what they are sent. */
	void (*script)(void *arg, struct net_link *l, size_t end, struct sw_view message);
	void *script_arg;
	struct sw_swarm_timers timers;
};

static inline size_t net_end_of(const struct net_link *l, size_t node)
{
	return l->ends[1] == node;
}

static inline struct net_link *net_link_of(struct net *net, size_t node, uint64_t conn)
{
	for (size_t i = 0; i < net->n_links; i++)
		if (net->links[i].conn == conn &&
		    (net->links[i].ends[0] == node || net->links[i].ends[1] == node))
			return &net->links[i];
	return NULL;
}

static inline void net_pipe_clear(struct net_pipe *p)
{
	while (p->first) {
		struct net_message *m = p->first;

		p->first = m->next;
		free(m);
	}
	p->last = NULL;
	p->bytes = 0;
	p->was_full = false;
}

/* Both engines are told, unless they know. */
static inline void net_cut(struct net *net, struct net_link *l)
{
	uint64_t conn = l->conn;

	l->conn = 0;
	for (size_t i = 0; i < 2; i++) {
		bool up = l->pipes[i].up;

		l->pipes[i].up = false;
		net_pipe_clear(&l->pipes[i]);
		if (up && net->nodes[l->ends[i]].sync)
			sw_sync_peer_down(net->nodes[l->ends[i]].sync, conn);
	}
	l->again_ms = l->manual ? 0 : net->now_ms + 1000;
}

static inline int net_send(struct net *net, struct net_link *l, size_t end, struct sw_view bytes)
{
	struct net_pipe *p = &l->pipes[end];
	struct net_message *m;

	if (p->bytes + bytes.n > NET_QUEUE_MAX && p->bytes > 0) {
		p->was_full = true;
		return SW_EAGAIN;
	}
	net->n_messages++;
	net->n_bytes += bytes.n + NET_OVERHEAD;
	net->by_type[bytes.n > 0 ? bytes.p[0] & 31 : 0]++;
	if (l->mute)
		return 0;
	if (net->lose_heads && bytes.n > 0 && bytes.p[0] == SW_MSG_HEAD &&
	    rng_below(&net->rng, net->lose_heads) == 0)
		return 0;
	m = malloc(sizeof(*m) + bytes.n);
	assert_non_null(m);
	*m = (struct net_message){.n = bytes.n,
				  .at_ms = net->now_ms + 1 + rng_below(&net->rng, net->delay_ms_max + 1)};
	if (bytes.n > 0)
		memcpy(m->bytes, bytes.p, bytes.n);
	if (p->last && p->last->at_ms > m->at_ms)
		m->at_ms = p->last->at_ms;
	if (p->last)
		p->last->next = m;
	else
		p->first = m;
	p->last = m;
	p->bytes += bytes.n;
	return 0;
}

static inline int net_hook_send(void *arg, uint64_t conn, struct sw_view bytes)
{
	struct net_node *node = arg;
	struct net_link *l = net_link_of(node->net, node->at, conn);

	return l ? net_send(node->net, l, net_end_of(l, node->at), bytes) : SW_ECLOSED;
}

static inline void net_hook_drop(void *arg, uint64_t conn, const char *reason)
{
	struct net_node *node = arg;
	struct net_link *l = net_link_of(node->net, node->at, conn);

	if (!l)
		return;
	/* What was said before it arrives first: the link is cut when the pipe is empty. */
	l->pipes[net_end_of(l, node->at)].up = false;
	snprintf(l->reason, sizeof(l->reason), "%s", reason);
	l->n_drops++;
}

static inline void net_on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head,
				  bool by_others)
{
	struct net_node *node = arg;

	(void)changes;
	(void)head;
	(void)by_others;
	node->changed = true;
}

static inline void net_on_diverged(void *arg, const struct sw_commit *commit, const struct sw_hash *ours)
{
	(void)arg;
	(void)commit;
	(void)ours;
	fail_msg("equal histories gave unequal states");
}

static inline void net_start(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];
	const struct sw_sync_hooks hooks = {.arg = node, .send = net_hook_send, .drop = net_hook_drop};
	const struct sw_listener listener = {
	    .arg = node, .changed = net_on_changed, .diverged = net_on_diverged};

	sw_db_listen(node->t.db, &listener);
	TEST_OK(sw_sync_new(node->t.db, &hooks, &net->timers, &node->sync));
}

/* Stop an engine; its links break. */
static inline void net_stop(struct net *net, size_t at)
{
	for (size_t i = 0; i < net->n_links; i++)
		if (net->links[i].conn && (net->links[i].ends[0] == at || net->links[i].ends[1] == at))
			net_cut(net, &net->links[i]);
	sw_sync_free(net->nodes[at].sync);
	net->nodes[at].sync = NULL;
}

/* Close and open the store of a node, as a crash and a restart do. */
static inline void net_restart(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];

	net_stop(net, at);
	sw_db_close(node->t.db);
	TEST_OK(sw_db_open(node->t.dir, &node->t.env.env, &node->t.db));
	net_start(net, at);
}

static inline struct net_node *net_node_new(struct net *net)
{
	struct net_node *node = &net->nodes[net->n_nodes];

	assert_true(net->n_nodes < NET_NODES_MAX);
	*node = (struct net_node){.net = net, .at = net->n_nodes++};
	return node;
}

static inline size_t net_add_creator(struct net *net)
{
	struct net_node *node = net_node_new(net);

	test_db_create(&node->t, rng_next(&net->rng));
	node->t.env.now_ms += net->now_ms;
	net_start(net, node->at);
	return node->at;
}

static inline size_t net_add_clone(struct net *net)
{
	struct net_node *node = net_node_new(net);

	test_db_clone(&node->t, &net->nodes[0].t, rng_next(&net->rng));
	node->t.env.now_ms += net->now_ms;
	net_start(net, node->at);
	return node->at;
}

static inline void net_init(struct net *net, uint64_t seed)
{
	*net = (struct net){.rng = {seed},
			    .now_ms = 1000,
			    .next_conn = 1,
			    .delay_ms_max = 3,
			    .timers = {.advert_ms = 2000, .ping_ms = 5000, .dead_ms = 15000,
				       .backoff_min_ms = 1000, .backoff_max_ms = 60000}};
}

static inline void net_fini(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++)
		for (size_t k = 0; k < 2; k++)
			net_pipe_clear(&net->links[i].pipes[k]);
	for (size_t i = 0; i < net->n_nodes; i++) {
		sw_sync_free(net->nodes[i].sync);
		test_db_close(&net->nodes[i].t);
	}
}

static inline struct net_link *net_connect(struct net *net, size_t from, size_t to, const struct sw_ticket *ticket)
{
	struct net_link *l = &net->links[net->n_links++];

	assert_true(net->n_links <= NET_LINKS_MAX);
	*l = (struct net_link){.used = true, .ends = {from, to}, .ticket = ticket, .again_ms = net->now_ms};
	return l;
}

static inline void net_establish(struct net *net, struct net_link *l)
{
	l->conn = net->next_conn++;
	l->again_ms = 0;
	for (size_t i = 0; i < 2; i++) {
		net_pipe_clear(&l->pipes[i]);
		l->pipes[i].up = true;
	}
	/* The one who was dialled may be up first, or second. */
	for (size_t k = 0, first = rng_below(&net->rng, 2); k < 2; k++) {
		size_t i = first ^ k;
		struct net_node *node = &net->nodes[l->ends[i]];

		if (node->sync && l->conn)
			sw_sync_peer_up(node->sync, l->conn, sw_db_key(net->nodes[l->ends[1 - i]].t.db),
					i == 0, i == 0 ? l->ticket : NULL, net->now_ms);
	}
}

static inline void net_deliver(struct net *net, struct net_link *l, size_t from)
{
	struct net_pipe *p = &l->pipes[from];
	struct net_message *m = p->first;
	struct net_node *to = &net->nodes[l->ends[1 - from]];
	struct net_node *sender = &net->nodes[l->ends[from]];
	uint64_t conn = l->conn;

	p->first = m->next;
	if (!p->first)
		p->last = NULL;
	p->bytes -= m->n;
	if (net->break_one_in && rng_below(&net->rng, net->break_one_in) == 0) {
		net_cut(net, l);
	} else if (!to->sync) {
		if (net->script && l->pipes[1 - from].up)
			net->script(net->script_arg, l, 1 - from, sw_view(m->bytes, m->n));
	} else if (l->pipes[1 - from].up) {
		sw_sync_message(to->sync, conn, sw_view(m->bytes, m->n), net->now_ms);
	}
	free(m);
	if (l->conn == conn && p->was_full && p->bytes < NET_QUEUE_MAX / 2 && p->up && sender->sync) {
		p->was_full = false;
		sw_sync_writable(sender->sync, conn, net->now_ms);
	}
}

/* One step of virtual time: what is due, then the clock moves on by a millisecond. */
static inline void net_step(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++)
		net->nodes[i].t.env.now_ms =
		    (uint64_t)((int64_t)(1790000000000 + net->now_ms) + net->nodes[i].skew_ms);
	for (size_t i = 0; i < net->n_links; i++) {
		struct net_link *l = &net->links[i];

		if (!l->conn && l->again_ms && net->now_ms >= l->again_ms)
			net_establish(net, l);
		for (size_t k = 0; k < 2; k++)
			while (l->conn && l->pipes[k].first && l->pipes[k].first->at_ms <= net->now_ms)
				net_deliver(net, l, k);
		for (size_t k = 0; k < 2; k++)
			if (l->conn && !l->pipes[k].up && !l->pipes[k].first)
				net_cut(net, l);
	}
	for (size_t i = 0; i < net->n_nodes; i++) {
		struct net_node *node = &net->nodes[i];

		if (node->sync && node->changed) {
			node->changed = false;
			sw_sync_changed(node->sync, net->now_ms);
		}
		if (node->sync && net->now_ms % 100 == 0)
			sw_sync_tick(node->sync, net->now_ms);
	}
	net->now_ms++;
}

static inline void net_run(struct net *net, uint64_t ms)
{
	for (uint64_t end = net->now_ms + ms; net->now_ms < end;)
		net_step(net);
}

static inline bool net_converged(struct net *net)
{
	struct sw_head first, head;
	bool has_first = false;

	for (size_t i = 0; i < net->n_nodes; i++) {
		if (!net->nodes[i].sync)
			continue;
		sw_db_head(net->nodes[i].t.db, &head);
		if (!has_first)
			first = head;
		else if (!sw_head_eq(&first, &head))
			return false;
		has_first = true;
	}
	return true;
}

/* Run until all that have an engine hold the same; the virtual milliseconds that it took. */
static inline uint64_t net_converge(struct net *net, uint64_t within_ms)
{
	uint64_t begin = net->now_ms;

	do
		net_step(net);
	while (!net_converged(net) && net->now_ms - begin < within_ms);
	if (!net_converged(net)) {
		for (size_t i = 0; i < net->n_nodes; i++) {
			struct sw_head head;

			sw_db_head(net->nodes[i].t.db, &head);
			print_error("node %zu: %llu commits\n", i, (unsigned long long)head.count);
		}
		for (size_t i = 0; i < net->n_links; i++)
			print_error("link %zu-%zu: %s, dropped %zu times, last '%s'\n", net->links[i].ends[0],
				    net->links[i].ends[1], net->links[i].conn ? "up" : "down",
				    net->links[i].n_drops, net->links[i].reason);
		fail_msg("no convergence within %llu ms", (unsigned long long)within_ms);
	}
	return net->now_ms - begin;
}

/* A ticket of a node, in t. */
static inline void net_ticket(struct net *net, size_t of, uint64_t expiry_ms, struct sw_ticket *t)
{
	const char *const addresses[] = {"tcp://127.0.0.1:1"};
	SW_BUF text = {0};

	TEST_OK(sw_ticket_create(net->nodes[of].t.db, addresses, 1, expiry_ms, SW_ROLE_WRITER, &text));
	sw_buf_put_u8(&text, 0);
	assert_int_equal(text.rc, 0);
	TEST_OK(sw_ticket_decode((const char *)text.p, t));
}

#endif
