#include "tests/lib/net.h"

#include <dirent.h>

#define TICK_MS      100
#define LINKS_MAX    65536
#define REDIAL_MS    1000 /* half of it is up to chance */
#define LAST_WORD_MS 500  /* for what was said before an end left to arrive */

/* Clocks */

uint64_t net_node_ms(const struct net *net, size_t at)
{
	return net->now_ms - net->nodes[at].slept_ms;
}

void net_set_clock(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];

	node->t.env.now_ms = NET_EPOCH_MS + net_node_ms(net, at);
	node->t.env.skew_ms = net->epoch_ms + node->skew_ms + (int64_t)node->slept_ms;
}

static bool is_running(const struct net *net, size_t at)
{
	const struct net_node *node = &net->nodes[at];

	return node->sync && !node->t.env.is_dead && node->asleep_until_ms == 0;
}

static void stepped(struct net *net, size_t at, bool is_tick)
{
	if (net->watch.stepped)
		net->watch.stepped(net->watch.arg, at, is_tick);
}

/* Links */

static size_t end_of(const struct net_link *l, size_t node)
{
	return l->ends[1] == node;
}

/* The number of a connection has its link's place in it. */
static struct net_link *link_of(struct net *net, size_t node, uint64_t conn)
{
	struct net_link *l = &net->links[conn % LINKS_MAX];

	return l->conn == conn || l->pipes[end_of(l, node)].stale == conn ? l : NULL;
}

static void pipe_clear(struct net_pipe *p)
{
	while (p->first) {
		struct net_message *m = p->first;

		p->first = m->next;
		free(m);
	}
	p->last = NULL;
	p->bytes = p->largest = 0;
	p->was_full = false;
}

static void tell_down(struct net *net, size_t at, uint64_t conn)
{
	struct net_node *node = &net->nodes[at];

	if (!node->sync || node->t.env.is_dead)
		return;
	sw_sync_peer_down(node->sync, conn);
	stepped(net, at, false);
}

/* An end that knows of two connections at once knows of a third no more. */
static void forget_stale(struct net *net, struct net_link *l, size_t end)
{
	uint64_t stale = l->pipes[end].stale;

	l->pipes[end].stale = 0;
	if (stale)
		tell_down(net, l->ends[end], stale);
}

static uint64_t redial_ms(struct net *net)
{
	return net->now_ms + REDIAL_MS / 2 + rng_below(&net->rng, REDIAL_MS / 2);
}

void net_cut_half(struct net *net, struct net_link *l, size_t end, uint64_t until_ms)
{
	uint64_t conn = l->conn;

	if (!conn)
		return;
	l->conn = 0;
	l->close_ms = 0;
	l->again_ms = l->manual ? 0 : redial_ms(net);
	for (size_t i = 0; i < 2; i++) {
		const struct net_node *node = &net->nodes[l->ends[i]];
		uint64_t later_ms = i == end ? until_ms : 0;
		bool up = l->pipes[i].up;

		if (node->asleep_until_ms > later_ms)
			later_ms = node->asleep_until_ms;
		l->pipes[i].up = false;
		pipe_clear(&l->pipes[i]);
		if (up && later_ms > net->now_ms) {
			forget_stale(net, l, i);
			l->pipes[i].stale = conn;
			l->pipes[i].stale_until_ms = later_ms;
		} else if (up) {
			tell_down(net, l->ends[i], conn);
		}
	}
}

void net_cut(struct net *net, struct net_link *l)
{
	net_cut_half(net, l, 0, 0);
}

int net_send(struct net *net, struct net_link *l, size_t end, struct sw_view bytes)
{
	struct net_pipe *p = &l->pipes[end];
	struct net_message *m;

	if (p->bytes + bytes.n > net->queue_max + 2 * p->largest && p->bytes > 0) {
		p->was_full = true;
		p->n_refused++;
		return SW_EAGAIN;
	}
	net->n_messages++;
	net->n_bytes += bytes.n + NET_OVERHEAD;
	net->by_type[bytes.n > 0 ? bytes.p[0] & 31 : 0]++;
	if (net->watch.sent)
		net->watch.sent(net->watch.arg, l->ends[end], l->ends[1 - end], l->conn, bytes);
	if (l->mute)
		return 0;
	if (net->lose_heads && bytes.n > 0 && bytes.p[0] == SW_MSG_HEAD &&
	    rng_below(&net->rng, net->lose_heads) == 0)
		return 0;
	m = malloc(sizeof(*m) + bytes.n);
	assert_non_null(m);
	*m = (struct net_message){
	    .n = bytes.n,
	    .at_ms = net->now_ms + 1 + l->delay_ms_min +
		     rng_below(&net->rng, net->delay_ms_max + l->delay_ms_max + 1)};
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
	p->largest = bytes.n > p->largest ? bytes.n : p->largest;
	return 0;
}

static int hook_send(void *arg, uint64_t conn, struct sw_view bytes)
{
	struct net_node *node = arg;
	struct net_link *l = link_of(node->net, node->at, conn);

	if (node->t.env.is_dead)
		return 0; /* it ended a moment ago, though its engine does not know */
	if (!l)
		return SW_ECLOSED;
	if (l->conn != conn)
		return 0; /* into the void */
	return net_send(node->net, l, end_of(l, node->at), bytes);
}

static void hook_drop(void *arg, uint64_t conn, const char *reason)
{
	struct net_node *node = arg;
	struct net *net = node->net;
	struct net_link *l = link_of(net, node->at, conn);
	struct net_pipe *p;

	if (!l)
		return;
	p = &l->pipes[end_of(l, node->at)];
	if (net->watch.dropped && !node->t.env.is_dead)
		net->watch.dropped(net->watch.arg, node->at, l->ends[1 - end_of(l, node->at)],
				   reason);
	if (l->conn != conn) {
		p->stale = 0;
		return;
	}
	/* What was said before it arrives first, if it can. */
	p->up = false;
	l->close_ms = net->now_ms + LAST_WORD_MS;
	snprintf(l->reason, sizeof(l->reason), "%s", reason);
	l->n_drops++;
}

struct net_link *net_connect(struct net *net, size_t from, size_t to,
			     const struct sw_ticket *ticket)
{
	struct net_link *l = &net->links[net->n_links++];

	assert_true(net->n_links <= net->links_max);
	*l = (struct net_link){.ends = {from, to}, .ticket = ticket, .again_ms = net->now_ms};
	return l;
}

static bool can_dial(const struct net *net, const struct net_link *l)
{
	for (size_t i = 0; i < 2; i++)
		if (l->pipes[i].blocked_until_ms > net->now_ms ||
		    net->nodes[l->ends[i]].asleep_until_ms > 0 || !net->nodes[l->ends[i]].t.db)
			return false;
	return true;
}

static void establish(struct net *net, struct net_link *l)
{
	if (!can_dial(net, l)) {
		l->again_ms = redial_ms(net);
		return;
	}
	l->conn = net->next_conn++ * LINKS_MAX + (uint64_t)(l - net->links);
	l->again_ms = 0;
	for (size_t i = 0; i < 2; i++) {
		pipe_clear(&l->pipes[i]);
		l->pipes[i].up = true;
	}
	/* The one who was dialled may be up first, or second. */
	for (size_t k = 0, first = rng_below(&net->rng, 2); k < 2; k++) {
		size_t i = first ^ k, at = l->ends[i];
		struct net_node *node = &net->nodes[at];

		if (!node->sync || !l->conn)
			continue;
		sw_sync_peer_up(node->sync, l->conn, sw_identity_key(sw_db_session_identity(net->nodes[l->ends[1 - i]].t.db)),
				i == 0, i == 0 ? l->ticket : NULL, net_node_ms(net, at));
		stepped(net, at, false);
	}
}

/* The other end has room again. */
static void tell_writable(struct net *net, struct net_link *l, size_t end)
{
	struct net_pipe *p = &l->pipes[end];

	if (!p->was_full || p->bytes >= net->queue_max / 2 || !p->up ||
	    !is_running(net, l->ends[end]))
		return;
	p->was_full = false;
	sw_sync_writable(net->nodes[l->ends[end]].sync, l->conn, net_node_ms(net, l->ends[end]));
	stepped(net, l->ends[end], false);
}

static void deliver(struct net *net, struct net_link *l, size_t from)
{
	struct net_pipe *p = &l->pipes[from];
	struct net_message *m = p->first;
	size_t to = l->ends[1 - from];
	struct sw_view bytes = sw_view(m->bytes, m->n);
	uint64_t conn = l->conn;

	p->first = m->next;
	if (!p->first) {
		p->last = NULL;
		p->largest = 0;
	}
	p->bytes -= m->n;
	if (net->break_one_in && rng_below(&net->rng, net->break_one_in) == 0) {
		net_cut(net, l);
	} else if (!net->nodes[to].sync) {
		if (net->script && l->pipes[1 - from].up)
			net->script(net->script_arg, l, 1 - from, bytes);
	} else if (l->pipes[1 - from].up && is_running(net, to)) {
		if (net->watch.delivered)
			net->watch.delivered(net->watch.arg, l->ends[from], to, conn, bytes);
		sw_sync_message(net->nodes[to].sync, conn, bytes, net_node_ms(net, to));
		stepped(net, to, false);
	}
	free(m);
	if (l->conn == conn)
		tell_writable(net, l, from);
}

/* When the first message of a pipe can be delivered; UINT64_MAX: there is none. */
static uint64_t due_of_pipe(const struct net *net, const struct net_link *l, size_t k)
{
	const struct net_pipe *p = &l->pipes[k];
	const struct net_node *to = &net->nodes[l->ends[1 - k]];
	uint64_t due;

	if (!l->conn || !p->first)
		return UINT64_MAX;
	due = p->first->at_ms;
	if (p->blocked_until_ms > due)
		due = p->blocked_until_ms;
	if (to->deaf_until_ms > due)
		due = to->deaf_until_ms;
	return to->asleep_until_ms > due ? to->asleep_until_ms : due;
}

static void turn_link(struct net *net, struct net_link *l)
{
	for (size_t k = 0; k < 2; k++)
		if (l->pipes[k].stale && l->pipes[k].stale_until_ms <= net->now_ms)
			forget_stale(net, l, k);
	if (!l->conn && l->again_ms && net->now_ms >= l->again_ms)
		establish(net, l);
	for (size_t k = 0; k < 2; k++)
		while (due_of_pipe(net, l, k) <= net->now_ms)
			deliver(net, l, k);
	for (size_t k = 0; k < 2; k++)
		if (l->conn && !l->pipes[k].up &&
		    (!l->pipes[k].first || l->close_ms <= net->now_ms))
			net_cut(net, l);
}

static uint64_t due_of_link(const struct net *net, const struct net_link *l)
{
	uint64_t due = l->conn || !l->again_ms ? UINT64_MAX : l->again_ms;

	for (size_t k = 0; k < 2; k++) {
		uint64_t pipe = due_of_pipe(net, l, k);

		if (pipe < due)
			due = pipe;
		if (l->pipes[k].stale && l->pipes[k].stale_until_ms < due)
			due = l->pipes[k].stale_until_ms;
		if (l->conn && !l->pipes[k].up && l->close_ms < due)
			due = l->close_ms;
	}
	return due;
}

/* Nodes */

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head,
		       bool by_others)
{
	struct net_node *node = arg;
	struct net_watch *watch = &node->net->watch;

	(void)head;
	node->changed = true;
	for (size_t i = 0; by_others && watch->row_changed && i < changes->n; i++)
		watch->row_changed(watch->arg, node->at, &changes->v[i]);
}

static void on_diverged(void *arg, const struct sw_divergence *divergence)
{
	struct net_node *node = arg;
	struct net_watch *watch = &node->net->watch;

	if (!watch->diverged)
		fail_msg("equal histories gave unequal states");
	else
		watch->diverged(watch->arg, node->at, divergence);
}

/* Each machine has an address of its own. */
static const char *hook_address(void *arg, uint64_t conn)
{
	struct net_node *node = arg;
	struct net_link *l = link_of(node->net, node->at, conn);
	static char text[64];

	snprintf(text, sizeof(text), "tcp://10.0.0.%zu:1", l ? l->ends[1 - end_of(l, node->at)] : 0);
	return text;
}

void net_start(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];
	const struct sw_sync_hooks hooks = {.arg = node, .send = hook_send, .drop = hook_drop, .address = hook_address};
	const struct sw_listener listener = {
	    .arg = node, .changed = on_changed, .diverged = on_diverged};

	sw_db_listen(node->t.db, &listener);
	TEST_OK(sw_sync_new(node->t.db, &hooks, &net->timers, &node->sync));
}

static void stop(struct net *net, size_t at, uint64_t noticed_ms)
{
	for (size_t i = 0; i < net->n_links; i++) {
		struct net_link *l = &net->links[i];
		size_t end = end_of(l, at);

		if (l->ends[0] != at && l->ends[1] != at)
			continue;
		net_cut_half(net, l, 1 - end, noticed_ms);
		l->pipes[end].stale = 0;
	}
	sw_sync_free(net->nodes[at].sync);
	net->nodes[at].sync = NULL;
	net->nodes[at].changed = false;
}

void net_stop(struct net *net, size_t at)
{
	stop(net, at, 0);
}

void net_lose(struct net *net, size_t at, uint64_t noticed_ms)
{
	stop(net, at, noticed_ms);
	sw_db_close(net->nodes[at].t.db);
	net->nodes[at].t.db = NULL;
}

int net_reopen(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];
	int rc;

	net_set_clock(net, at);
	rc = sw_db_open(node->t.dir, &node->t.env.env, &node->t.db);
	if (rc == 0)
		net_start(net, at);
	return rc;
}

void net_restart(struct net *net, size_t at)
{
	net_lose(net, at, 0);
	TEST_OK(net_reopen(net, at));
}

static struct net_node *node_new(struct net *net)
{
	struct net_node *node = &net->nodes[net->n_nodes];

	assert_true(net->n_nodes < net->nodes_max);
	*node = (struct net_node){.net = net, .at = net->n_nodes++};
	test_db_dir(&node->t, rng_next(&net->rng));
	node->t.env.env.map_size = net->map_size;
	net_set_clock(net, node->at);
	return node;
}

size_t net_add_creator(struct net *net)
{
	struct net_node *node = node_new(net);

	TEST_OK(sw_db_create(node->t.dir, &node->t.env.env, net->conflict, &node->t.db));
	net_start(net, node->at);
	return node->at;
}

size_t net_add_clone(struct net *net)
{
	struct net_node *node = node_new(net);

	TEST_OK(sw_db_create_clone(node->t.dir, &node->t.env.env, sw_db_id(net->nodes[0].t.db),
				   &node->t.db));
	net_start(net, node->at);
	return node->at;
}

static void copy_file(const char *from, const char *to)
{
	uint8_t bytes[4096];
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	size_t n;

	assert_true(in && out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

/* All files, its locks too: they are nobody's on another machine. */
size_t net_add_copy(struct net *net, size_t of)
{
	struct net_node *node = node_new(net);
	const struct dirent *e;
	char from[512], to[512];
	DIR *dir = opendir(net->nodes[of].t.dir);

	assert_non_null(dir);
	assert_int_equal(mkdir(node->t.dir, 0700), 0);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), "%s/%s", net->nodes[of].t.dir, e->d_name);
		snprintf(to, sizeof(to), "%s/%s", node->t.dir, e->d_name);
		copy_file(from, to);
		assert_int_equal(chmod(to, 0600), 0);
	}
	closedir(dir);
	node->skew_ms = net->nodes[of].skew_ms;
	TEST_OK(net_reopen(net, node->at));
	return node->at;
}

void net_init_for(struct net *net, uint64_t seed, size_t nodes_max, size_t links_max)
{
	*net = (struct net){.rng = {seed},
			    .now_ms = 1000,
			    .next_conn = 1,
			    .delay_ms_max = 3,
			    .queue_max = NET_QUEUE_MAX,
			    .nodes = calloc(nodes_max, sizeof(*net->nodes)),
			    .nodes_max = nodes_max,
			    .links = calloc(links_max, sizeof(*net->links)),
			    .links_max = links_max,
			    .timers = {.advert_ms = 2000,
				       .ping_ms = 5000,
				       .dead_ms = 15000,
				       .backoff_min_ms = 1000,
				       .backoff_max_ms = 60000,
				       .watermark_ms = 1000}};
	assert_true(links_max <= LINKS_MAX);
	assert_non_null(net->nodes);
	assert_non_null(net->links);
}

void net_init(struct net *net, uint64_t seed)
{
	net_init_for(net, seed, NET_NODES_MAX, NET_LINKS_MAX);
}

void net_fini(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++)
		for (size_t k = 0; k < 2; k++)
			pipe_clear(&net->links[i].pipes[k]);
	for (size_t i = 0; i < net->n_nodes; i++) {
		sw_sync_free(net->nodes[i].sync);
		test_db_close(&net->nodes[i].t);
	}
	free(net->nodes);
	free(net->links);
}

/* Time */

void net_sleep(struct net *net, size_t at, uint64_t ms)
{
	struct net_node *node = &net->nodes[at];

	node->asleep_until_ms = net->now_ms + ms;
	node->slept_ms += ms;
}

void net_wake(struct net *net, size_t at)
{
	struct net_node *node = &net->nodes[at];

	if (node->asleep_until_ms > net->now_ms)
		node->slept_ms -= node->asleep_until_ms - net->now_ms;
	node->asleep_until_ms = 0;
}

static void turn_node(struct net *net, struct net_node *node)
{
	uint64_t now_ms = net_node_ms(net, node->at);

	if (node->changed && is_running(net, node->at)) {
		node->changed = false;
		sw_sync_changed(node->sync, now_ms);
		stepped(net, node->at, false);
	}
	if (net->now_ms % TICK_MS == node->phase_ms && is_running(net, node->at)) {
		sw_sync_tick(node->sync, now_ms);
		stepped(net, node->at, true);
	}
}

static void turn(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++) {
		if (net->nodes[i].asleep_until_ms <= net->now_ms) {
			net_wake(net, i);
			net_set_clock(net, i);
		}
	}
	for (size_t i = 0; i < net->n_links; i++)
		turn_link(net, &net->links[i]);
	for (size_t i = 0; i < net->n_nodes; i++)
		turn_node(net, &net->nodes[i]);
}

void net_step(struct net *net)
{
	turn(net);
	net->now_ms++;
}

void net_run(struct net *net, uint64_t ms)
{
	for (uint64_t end = net->now_ms + ms; net->now_ms < end;)
		net_step(net);
}

static uint64_t due_of_node(const struct net *net, const struct net_node *node)
{
	uint64_t next = net->now_ms + 1;

	if (node->asleep_until_ms > 0)
		return node->asleep_until_ms;
	if (!is_running(net, node->at))
		return UINT64_MAX;
	return next + (TICK_MS + node->phase_ms - next % TICK_MS) % TICK_MS;
}

void net_advance(struct net *net, uint64_t until_ms)
{
	uint64_t due = until_ms;

	turn(net);
	for (size_t i = 0; i < net->n_links && due > net->now_ms + 1; i++) {
		uint64_t at = due_of_link(net, &net->links[i]);

		due = at < due ? at : due;
	}
	for (size_t i = 0; i < net->n_nodes && due > net->now_ms + 1; i++) {
		uint64_t at = due_of_node(net, &net->nodes[i]);

		due = at < due ? at : due;
	}
	net->now_ms = due > net->now_ms ? due : net->now_ms + 1;
}

bool net_converged(struct net *net)
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

void net_print(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++) {
		struct sw_head head;

		if (!net->nodes[i].t.db)
			continue;
		sw_db_head(net->nodes[i].t.db, &head);
		print_error("node %zu: %llu commits\n", i, (unsigned long long)head.count);
	}
	for (size_t i = 0; i < net->n_links; i++)
		print_error("link %zu-%zu: %s, dropped %zu times, last '%s'\n",
			    net->links[i].ends[0], net->links[i].ends[1],
			    net->links[i].conn ? "up" : "down", net->links[i].n_drops,
			    net->links[i].reason);
}

uint64_t net_converge(struct net *net, uint64_t within_ms)
{
	uint64_t begin = net->now_ms;

	do
		net_step(net);
	while (!net_converged(net) && net->now_ms - begin < within_ms);
	if (!net_converged(net)) {
		net_print(net);
		fail_msg("no convergence within %llu ms", (unsigned long long)within_ms);
	}
	return net->now_ms - begin;
}

void net_ticket(struct net *net, size_t of, uint64_t expiry_ms, struct sw_ticket *t)
{
	const char *const addresses[] = {"tcp://127.0.0.1:1"};
	SW_BUF text = {0};

	TEST_OK(
	    sw_ticket_create(net->nodes[of].t.db, addresses, 1, expiry_ms, SW_ROLE_WRITER, &text));
	sw_buf_put_u8(&text, 0);
	assert_int_equal(text.rc, 0);
	TEST_OK(sw_ticket_decode((const char *)text.p, t));
}
