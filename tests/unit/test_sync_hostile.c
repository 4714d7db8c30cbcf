/* Peers that lie, that flood, that do not read: scripts in place of an engine, which say what no
 * honest peer would. */
#include "core/db_internal.h"
#include "core/gc.h"
#include "core/settled.h"
#include "core/settled_internal.h"
#include "core/watermark.h"
#include "tests/lib/net_swarm.h"

#define KIB 1024

struct evil {
	struct net *net;
	struct net_link *link;
	size_t n_received, n_bye;
	uint64_t types[32];
};

static void evil_script(void *arg, struct net_link *l, size_t end, struct sw_view message)
{
	struct evil *e = arg;

	(void)l;
	(void)end;
	e->n_received++;
	if (message.n > 0) {
		e->types[message.p[0] & 31]++;
		e->n_bye += message.p[0] == SW_MSG_BYE;
	}
}

/* Nodes 0 and 1 are honest and connected; node 2 is a member, or a stranger, without an engine,
 * connected to 1. */
static void make_evil(struct net *net, struct evil *e, bool member, uint64_t seed)
{
	net_make_chain(net, member ? 3 : 2, seed);
	if (!member) {
		net_add_clone(net);
		sw_sync_free(net->nodes[2].sync);
		net->nodes[2].sync = NULL;
		net_connect(net, 2, 1, NULL);
	} else {
		net_stop(net, 2);
	}
	*e = (struct evil){.net = net, .link = &net->links[1]};
	net->script = evil_script;
	net->script_arg = e;
	net_run(net, 1500);
	net_log_lines = 0;
	e->link->n_drops = 0;
}

static void evil_say(struct evil *e, struct sw_view bytes)
{
	if (e->link->conn)
		assert_int_equal(net_send(e->net, e->link, 0, bytes), 0);
}

/* The evil one was dropped, with one line in the log, and the honest ones go on. */
static void assert_dropped(struct net *net, struct evil *e, const char *why)
{
	char text[32];

	net_run(net, 300);
	if (e->link->n_drops == 0 || !strstr(e->link->reason, why))
		print_error("'%s' is not '%s'\n", e->link->reason, why);
	assert_int_equal(e->link->n_drops, 1);
	assert_non_null(strstr(e->link->reason, why));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)rng_next(&net->rng));
	net_put(net, 0, "honest", text);
	net_converge(net, 1000);
	net_assert_row(net, 1, "honest", text);
	assert_int_equal(net->links[0].n_drops, 0);
}

static void a_stranger_learns_nothing(void **state)
{
	struct net net;
	struct evil e;
	SW_BUF out = {0};

	(void)state;
	make_evil(&net, &e, false, test_seed());
	assert_int_equal(e.n_received, 0);
	sw_message_pull(1, NULL, 0, &out);
	evil_say(&e, sw_buf_view(&out));
	assert_dropped(&net, &e, "not a member");
	assert_int_equal(e.n_received, e.n_bye);
	net_fini(&net);
}

static void a_silent_stranger_is_sent_away(void **state)
{
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e, false, test_seed());
	net_run(&net, 9500);
	assert_in_range(e.link->n_drops, 1, 1);
	assert_int_equal(e.n_received, e.n_bye);
	net_fini(&net);
}

static void one_of_us_does_not_believe_a_stranger_it_dials(void **state)
{
	struct net net;
	struct evil e;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net_add_clone(&net);
	sw_sync_free(net.nodes[2].sync);
	net.nodes[2].sync = NULL;
	e = (struct evil){.net = &net};
	net.script = evil_script;
	net.script_arg = &e;
	net_connect(&net, 1, 2, NULL);
	net_run(&net, 100);
	assert_int_equal(net.links[1].n_drops, 1);
	assert_int_equal(e.n_received, 0);
	net_fini(&net);
}

static void garbage_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	uint8_t bytes[64];

	(void)state;
	make_evil(&net, &e, true, test_seed());
	test_env_random(&net.nodes[2].t.env, bytes, sizeof(bytes));
	bytes[0] = 0xee;
	evil_say(&e, sw_view(bytes, sizeof(bytes)));
	assert_dropped(&net, &e, "malformed");
	net_fini(&net);
}

static void a_stranger_bans_nobody(void **state)
{
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e, false, test_seed());
	evil_say(&e, sw_view("\356", 1));
	net_run(&net, 3000);
	assert_int_equal(e.link->n_drops, 1);
	assert_int_not_equal(
	    e.link->conn, 0); /* dialled again, and listened to: it may bring a ticket this time */
	net_fini(&net);
}

/* Asking for everything from the beginning costs a peer nothing, and us a walk and a message each
 * time. */
static void costly_requests_wait_for_their_turn(void **state)
{
	struct sw_hash genesis;
	struct net net;
	struct evil e;
	char text[901];

	(void)state;
	make_evil(&net, &e, true, test_seed());
	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i < 600; i++) {
		snprintf(text, 16, "%zu", i);
		text[strlen(text)] = 'x';
		text[sizeof(text) - 1] = '\0';
		test_put(&net.nodes[0].t, "t", "r", text);
	}
	net_converge(&net, 10000);
	net_run(&net, 1000);
	genesis = *sw_db_id(net.nodes[1].t.db);
	memset(e.types, 0, sizeof(e.types));
	for (uint64_t turn = 1; turn <= 90; turn++) {
		SW_BUF out = {0};

		sw_message_pull(turn, &genesis, 1, &out);
		evil_say(&e, sw_buf_view(&out));
		net_run(&net, 10);
	}
	assert_in_range(e.types[SW_MSG_COMMITS], 3, 15);
	assert_int_equal(e.link->n_drops, 0);
	net_run(&net, 2000);
	assert_in_range(e.types[SW_MSG_COMMITS], 4, 16); /* the last was answered, too */
	net_fini(&net);
}

static struct sw_hash blob_of(struct net *net, size_t at, const char *key)
{
	struct sw_reader r;
	struct sw_row row;

	TEST_OK(sw_reader_begin(net->nodes[at].t.db, &r));
	TEST_OK(sw_state_row(r.nodes, &r.head.state, sw_view_str("t"), sw_view_str(key), &row));
	sw_reader_end(&r);
	assert_true(row.is_blob);
	return row.blob;
}

/* Records that do not fit the queue are sent when they do; who asks for yet more meanwhile does not
 * read. */
static void records_wait_for_room(void **state)
{
	struct sw_hash blob;
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e, true, test_seed());
	net_put_large(&net, 1, "large", 5000);
	net_run(&net, 10000); /* watermarks are through */
	blob = blob_of(&net, 1, "large");
	net.queue_max = 100;
	for (int round = 0; round < 2; round++) {
		memset(e.types, 0, sizeof(e.types));
		e.link->pipes[1].blocked_until_ms = net.now_ms + 1000;
		for (int i = 0; i < 3 + 2 * round; i++) {
			SW_BUF out = {0};

			sw_message_want(&blob, 1, &out);
			evil_say(&e, sw_buf_view(&out));
			net_run(&net, 100);
		}
		net_run(&net, 3000);
		assert_int_equal(e.link->n_drops, round);
		if (round == 0)
			assert_int_equal(e.types[SW_MSG_RECORDS], 3);
	}
	assert_non_null(strstr(e.link->reason, "more than it reads"));
	net_fini(&net);
}

/* Each FREED is a walk over all commits: to ask for more instead of anew gets no other. */
static void who_is_told_of_what_was_freed_is_told_once(void **state)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	struct sw_hash database;
	struct net net;
	struct evil e;
	SW_BUF pull = {0};
	SW_BUF more = {0};
	SW_BUF before_any = {0};

	(void)state;
	make_evil(&net, &e, true, test_seed());
	database = *sw_db_id(net.nodes[1].t.db);
	for (int i = 0; i < 20; i++)
		net_put(&net, 1, "r", i % 2 ? "one" : "other");
	net_converge(&net, 10000);
	net_make_reader(&net, 0, 2); /* so that it holds up nothing */
	net_run(&net, 10000);
	TEST_OK(sw_db_gc(net.nodes[1].t.db, &options, &report));
	assert_true(report.n_commits > 10);
	sw_message_more(0, &before_any);
	evil_say(&e, sw_buf_view(&before_any));
	net_run(&net, 100);
	assert_int_equal(e.types[SW_MSG_FREED] + e.types[SW_MSG_COMMITS], 0);
	sw_message_pull(7, &database, 1, &pull);
	sw_message_more(7, &more);
	evil_say(&e, sw_buf_view(&pull));
	net_run(&net, 100);
	for (int i = 0; i < 10; i++) {
		evil_say(&e, sw_buf_view(&more));
		net_run(&net, 100);
	}
	assert_int_equal(e.types[SW_MSG_FREED], 1);
	assert_int_equal(e.link->n_drops, 0);
	net_fini(&net);
}

/* To ask for more costs a peer two bytes, and us a batch: but not while there is no room for it. */
static void who_does_not_read_gets_no_batch_made(void **state)
{
	struct sw_hash database;
	struct net_pipe *pipe;
	struct net net;
	struct evil e;
	SW_BUF pull = {0};
	SW_BUF more = {0};
	size_t before;

	(void)state;
	make_evil(&net, &e, true, test_seed());
	database = *sw_db_id(net.nodes[1].t.db);
	net_run(&net, 10000); /* watermarks are through */
	pipe = &e.link->pipes[1];
	pipe->blocked_until_ms = net.now_ms + 100000;
	net.queue_max = 100;
	sw_message_pull(7, &database, 1, &pull);
	sw_message_more(7, &more);
	evil_say(&e, sw_buf_view(&pull));
	net_run(&net, 100);
	for (int i = 0; i < 40; i++)
		net_put(&net, 1, "honest", i % 2 ? "there is more" : "and more");
	evil_say(&e, sw_buf_view(&more));
	net_run(&net, 100);
	before = pipe->n_refused;
	assert_true(before > 0);
	for (int i = 0; i < 100; i++) {
		sw_sync_message(net.nodes[1].sync, e.link->conn, sw_buf_view(&more),
				net_node_ms(&net, 1));
	}
	assert_int_equal(pipe->n_refused, before);
	/* When it reads, the batch comes. */
	pipe->blocked_until_ms = 0;
	net.queue_max = NET_QUEUE_MAX;
	memset(e.types, 0, sizeof(e.types));
	net_run(&net, 3000);
	assert_true(e.types[SW_MSG_COMMITS] > 0);
	net_fini(&net);
}

/* A peer that answers each request with the first commit and a promise of more. */
struct trickle {
	struct net *net;
	struct net_link *link;
	uint64_t turn;
	bool is_asked;
};

static void trickle_script(void *arg, struct net_link *l, size_t end, struct sw_view message)
{
	struct trickle *e = arg;
	struct sw_message m;
	SW_BUF out = {0};

	(void)end;
	if (l != e->link || sw_message_decode(message, &m) < 0)
		return;
	if (m.type == SW_MSG_PULL || m.type == SW_MSG_MORE) {
		e->turn = m.turn;
		e->is_asked = true;
	} else if (m.type == SW_MSG_PING) {
		sw_message_pong(m.nonce, (uint64_t)NET_EPOCH_MS + e->net->now_ms, &out);
		(void)net_send(e->net, l, 0, sw_buf_view(&out));
	}
	sw_message_fini(&m);
}

static void first_commit(struct test_db *t, struct sw_buf *body)
{
	struct sw_view raw, changeset;
	struct sw_commit c;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_get(r.txn, 1, &raw));
	TEST_OK(sw_commit_decode(raw, &c));
	TEST_OK(sw_history_changeset(r.txn, 1, &changeset));
	sw_body_put_commit(&c, changeset, body);
	sw_reader_end(&r);
}

static void who_sends_little_for_ever_keeps_no_other_waiting(void **state)
{
	struct net net;
	struct trickle e = {.net = &net};
	SW_BUF genesis = {0};

	(void)state;
	net_make_chain(&net, 3, test_seed());
	net_stop(&net, 2);
	first_commit(&net.nodes[0].t, &genesis);
	e.link = &net.links[1];
	net.script = trickle_script;
	net.script_arg = &e;
	/* The honest one is away for a moment, as at a restart; the evil one is there first. */
	net_cut(&net, &net.links[0]);
	net.links[0].again_ms = 0;
	net_cut(&net, e.link);
	for (int i = 0; i < 300 && !e.is_asked; i++)
		net_run(&net, 100);
	assert_true(e.is_asked);
	net_put(&net, 0, "honest", "news");
	for (int i = 0; i < 15; i++) {
		SW_BUF out = {0};

		if (e.is_asked) {
			e.is_asked = false;
			TEST_OK(sw_message_commits(e.turn, true, sw_buf_view(&genesis), &out));
			assert_int_equal(net_send(&net, e.link, 0, sw_buf_view(&out)), 0);
		}
		if (i == 0)
			net.links[0].again_ms = net.now_ms + 500;
		net_run(&net, 10000);
	}
	net_assert_row(&net, 1, "honest", "news");
	net_fini(&net);
}

static void note_records(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message)
{
	size_t *largest = arg;

	(void)from;
	(void)to;
	(void)conn;
	if (message.p[0] == SW_MSG_RECORDS && message.n > *largest)
		*largest = message.n;
}

/* So that a slow link brings something whole now and then. */
static void no_answer_with_records_is_long(void **state)
{
	size_t largest = 0;
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net.watch.sent = note_records;
	net.watch.arg = &largest;
	net_put_large(&net, 0, "large", 12 * KIB * KIB);
	net_converge(&net, 30000);
	assert_in_range(largest, KIB * KIB / 2, KIB * KIB + 40 * KIB);
	net_fini(&net);
}

/* A message of which parts come is not silence. */
static void a_slow_message_is_waited_for(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net.links[0].mute = true;
	for (int i = 0; i < 6; i++) {
		net_run(&net, 5000);
		for (size_t k = 0; k < 2; k++)
			sw_sync_heard(net.nodes[k].sync, net.links[0].conn, net_node_ms(&net, k));
	}
	assert_int_equal(net.links[0].n_drops, 0);
	net_fini(&net);
}

static void an_answer_that_nobody_asked_for_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	SW_BUF out = {0};

	(void)state;
	make_evil(&net, &e, true, test_seed());
	TEST_OK(sw_message_records(sw_view("\001x", 2), &out));
	evil_say(&e, sw_buf_view(&out));
	assert_dropped(&net, &e, "nobody asked");
	net_fini(&net);
}

/* A commit as a COMMITS message, from the evil one's own store, changed by the caller in between.
 */
struct forgery {
	struct sw_commit c;
	struct sw_buf changeset;
	struct sw_buf raw;
};

static void forge(struct net *net, struct forgery *f, enum sw_mode mode, struct sw_op *ops,
		  size_t n)
{
	struct test_db *t = &net->nodes[2].t;
	struct sw_hash *tips;
	struct sw_reader r;
	size_t n_tips;

	*f = (struct forgery){.c.rule = SW_RULE_VERSION, .c.database = *sw_db_id(t->db)};
	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_tips(&r, &tips, &n_tips));
	f->c.n_parents = n_tips;
	memcpy(f->c.parents, tips, n_tips * sizeof(*tips));
	f->c.stamp = t->env.now_ms << 16;
	free(tips);
	sw_reader_end(&r);
	sw_changeset_encode(mode, ops, n, &f->changeset, NULL);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&f->changeset), &f->c.changeset);
}

static void say_forgery(struct net *net, struct evil *e, struct forgery *f)
{
	SW_BUF body = {0};
	SW_BUF out = {0};

	(void)net;
	sw_body_put_commit(&f->c, sw_buf_view(&f->changeset), &body);
	TEST_OK(sw_message_commits(1, false, sw_buf_view(&body), &out));
	evil_say(e, sw_buf_view(&out));
	sw_buf_fini(&f->changeset);
	sw_buf_fini(&f->raw);
}

static struct sw_op evil_put(void)
{
	return (struct sw_op){.kind = SW_OP_PUT,
			      .table = sw_view_str("t"),
			      .key = sw_view_str("evil"),
			      .row = {.mode = 0644, .size = 1, .bytes = sw_view_str("x")}};
}

/*
 * A commit with a bad signature, which a later one vouches for, but which needs so many records
 * that the two would be taken apart: then they are taken together.
 */
static void what_vouches_for_a_large_commit_comes_with_it(void **state)
{
	static const size_t sizes[2] = {33 << 20, 1};
	struct sw_incoming in[2] = {0};
	struct sw_nodes *records;
	struct forgery f[2];
	struct net net;
	struct evil e;
	size_t n_taken;
	uint8_t *bytes = malloc(sizes[0]);

	(void)state;
	assert_non_null(bytes);
	make_evil(&net, &e, true, test_seed());
	test_env_random(&net.nodes[2].t.env, bytes, sizes[0]);
	TEST_OK(sw_nodes_new(NULL, &records));
	for (size_t i = 0; i < 2; i++) {
		struct sw_op op = evil_put();

		op.key = sw_view_str(i ? "small" : "large");
		TEST_OK(sw_row_make(records, sw_db_shape(net.nodes[0].t.db),
				    sw_view(bytes, sizes[i]), &op.row));
		op.row.mode = 0644;
		forge(&net, &f[i], SW_MODE_MERGE, &op, 1);
		f[i].c.stamp += i;
		if (i > 0) {
			f[i].c.n_parents = 1;
			f[i].c.parents[0] = f[0].c.id;
		}
		sw_commit_seal(&f[i].c, sw_db_identity(net.nodes[2].t.db), &f[i].raw);
		if (i == 0)
			f[0].raw.p[f[0].raw.n - 1] ^= 1;
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&f[i].raw),
					     .changeset = sw_buf_view(&f[i].changeset)};
	}
	net_put(&net, 0, "honest",
		"another tip"); /* then nobody compares the states that they sign */
	net_converge(&net, 1000);
	TEST_OK(sw_db_receive(net.nodes[0].t.db, in, 2, 0, records, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 2);
	net_converge(&net, 30000);
	net_assert_row(&net, 1, "small", (char[]){(char)bytes[0], '\0'});
	assert_int_equal(net.links[0].n_drops, 0);
	for (size_t i = 0; i < 2; i++) {
		sw_buf_fini(&f[i].raw);
		sw_buf_fini(&f[i].changeset);
	}
	sw_nodes_free(records);
	free(bytes);
	net_fini(&net);
}

static void a_wrong_signature_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	struct forgery f;
	struct sw_op op = evil_put();

	(void)state;
	make_evil(&net, &e, true, test_seed());
	forge(&net, &f, SW_MODE_MERGE, &op, 1);
	sw_commit_seal(&f.c, sw_db_identity(net.nodes[2].t.db), &f.raw);
	f.c.sig.b[5] ^= 1;
	say_forgery(&net, &e, &f);
	assert_dropped(&net, &e, "signature");
	assert_int_equal(net_log_lines, 0); /* the hook logs in the product */
	/* It comes back at once, but is not listened to for a while. */
	e.types[SW_MSG_COMMITS] = e.types[SW_MSG_HEAD] = 0;
	net_run(&net, 5000);
	assert_int_equal(e.types[SW_MSG_HEAD], 0);
	assert_true(e.link->n_drops > 1);
	net_run(&net, 60000);
	assert_true(e.types[SW_MSG_HEAD] > 0);
	net_fini(&net);
}

static void an_unknown_operation_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	struct forgery f;
	struct sw_op op = evil_put();

	(void)state;
	make_evil(&net, &e, true, test_seed());
	forge(&net, &f, SW_MODE_MERGE, &op, 1);
	f.changeset.p[2] = 77; /* mode, number of operations, kind */
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&f.changeset), &f.c.changeset);
	sw_commit_seal(&f.c, sw_db_identity(net.nodes[2].t.db), &f.raw);
	say_forgery(&net, &e, &f);
	assert_dropped(&net, &e, "malformed");
	net_fini(&net);
}

static void a_writer_cannot_change_members(void **state)
{
	struct net net;
	struct evil e;
	struct forgery f;
	struct sw_op op = {.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN};

	(void)state;
	make_evil(&net, &e, true, test_seed());
	op.member = *sw_db_key(net.nodes[2].t.db);
	forge(&net, &f, SW_MODE_CONTROL, &op, 1);
	sw_commit_seal(&f.c, sw_db_identity(net.nodes[2].t.db), &f.raw);
	say_forgery(&net, &e, &f);
	assert_dropped(&net, &e, "members");
	net_fini(&net);
}

static void a_commit_of_another_database_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	struct forgery f;
	struct sw_op op = evil_put();

	(void)state;
	make_evil(&net, &e, true, test_seed());
	forge(&net, &f, SW_MODE_MERGE, &op, 1);
	f.c.database.b[0] ^= 1;
	sw_commit_seal(&f.c, sw_db_identity(net.nodes[2].t.db), &f.raw);
	say_forgery(&net, &e, &f);
	assert_dropped(&net, &e,
		       "signature"); /* the id is not sent, so it is another header here */
	net_fini(&net);
}

static void requests_that_are_not_read_drop_or_wait(void **state)
{
	struct net net;
	struct evil e;
	struct sw_hash *hashes = calloc(SW_MESSAGE_WANT_MAX + 1, sizeof(*hashes));
	SW_BUF out = {0};

	(void)state;
	assert_non_null(hashes);
	make_evil(&net, &e, true, test_seed());
	/* Records that do not exist, again and again: little comes back. */
	sw_message_want(hashes, SW_MESSAGE_WANT_MAX, &out);
	net.n_bytes = 0;
	for (int i = 0; i < 100; i++)
		evil_say(&e, sw_buf_view(&out));
	net_run(&net, 100);
	assert_true(net.n_bytes < 3 * out.n * 100);
	sw_buf_reset(&out);
	sw_message_want(hashes, SW_MESSAGE_WANT_MAX + 1, &out);
	evil_say(&e, sw_buf_view(&out));
	net_run(&net, 10);
	assert_int_equal(e.link->n_drops, 1);
	assert_int_equal(net.links[0].n_drops, 0);
	free(hashes);
	net_fini(&net);
}

static void a_slow_peer_slows_nobody(void **state)
{
	struct net net;
	struct sw_hash first, second;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	for (int i = 0; i < 12; i++)
		net_put_large(&net, 1, "r", 900 * KIB);
	/* Node 2 reads nothing for a while; 0 gets everything meanwhile. */
	for (uint64_t end = net.now_ms + 3000; net.now_ms < end;) {
		for (struct net_message *m = net.links[1].pipes[1].first; m; m = m->next)
			m->at_ms = net.now_ms + 2;
		net_step(&net);
	}
	first = test_current(&net.nodes[0].t, "t", "r");
	second = test_current(&net.nodes[1].t, "t", "r");
	assert_true(sw_hash_eq(&first, &second));
	net_converge(&net, 10000);
	net_fini(&net);
}

static void say_watermarks(struct evil *e, const struct sw_buf *body)
{
	SW_BUF out = {0};

	sw_message_watermarks(sw_buf_view(body), &out);
	evil_say(e, sw_buf_view(&out));
}

/* One that waits for its tips, which do not exist. */
static void seal_watermark(struct net *net, const struct sw_identity *author, struct sw_buf *out)
{
	struct sw_watermark m = {.stamp = UINT64_MAX, .n_tips = 1};
	struct sw_hash tip;

	test_env_random(&net->nodes[2].t.env, tip.b, sizeof(tip.b));
	m.tips = sw_hash_view(&tip);
	sw_watermark_seal(&m, sw_db_id(net->nodes[0].t.db), author, out);
}

static void a_forged_watermark_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	SW_BUF bytes = {0};
	SW_BUF body = {0};

	(void)state;
	make_evil(&net, &e, true, test_seed());
	seal_watermark(&net, sw_db_identity(net.nodes[2].t.db), &bytes);
	memcpy(bytes.p + 1, sw_db_key(net.nodes[0].t.db)->b, SW_KEY_SIZE); /* in another's name */
	sw_buf_put_bytes(&body, sw_buf_view(&bytes));
	say_watermarks(&e, &body);
	assert_dropped(&net, &e, "watermark with a wrong signature");
	net_fini(&net);
}

static uint64_t watermark_stamp(struct net *net, size_t at, const struct sw_key *author)
{
	struct sw_watermark m = {0};
	struct sw_view bytes;
	struct sw_reader r;
	uint64_t number;

	TEST_OK(sw_reader_begin(net->nodes[at].t.db, &r));
	TEST_OK(sw_watermark_load(r.txn, author, &number, &bytes, &m));
	sw_reader_end(&r);
	return m.stamp;
}

/* Of authors whom nobody knows yet, more than are kept until they are: there is room for others. */
static void made_up_watermarks_keep_no_true_one_out(void **state)
{
	const struct sw_key *honest;
	struct net net;
	struct evil e;
	uint64_t before;

	(void)state;
	make_evil(&net, &e, true, test_seed());
	for (int i = 0; i < 5000;) {
		SW_BUF body = {0};

		for (; i < 5000 && body.n < SW_MESSAGE_WATERMARKS - 400; i++) {
			uint8_t seed[SW_KEY_SEED_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
			struct sw_identity *author;
			SW_BUF bytes = {0};

			TEST_OK(sw_identity_from_seed(seed, &author));
			seal_watermark(&net, author, &bytes);
			sw_buf_put_bytes(&body, sw_buf_view(&bytes));
			sw_identity_free(author);
		}
		say_watermarks(&e, &body);
		net_run(&net, 200);
	}
	assert_int_equal(e.link->n_drops, 0);
	honest = sw_db_key(net.nodes[0].t.db);
	before = watermark_stamp(&net, 1, honest);
	net_put(&net, 0, "honest", "news");
	net_run(&net, 20000);
	assert_true(watermark_stamp(&net, 1, honest) > before);
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_forged_watermark_drops_its_sender),
	    cmocka_unit_test(made_up_watermarks_keep_no_true_one_out),
	    cmocka_unit_test(a_stranger_learns_nothing),
	    cmocka_unit_test(a_silent_stranger_is_sent_away),
	    cmocka_unit_test(one_of_us_does_not_believe_a_stranger_it_dials),
	    cmocka_unit_test(a_stranger_bans_nobody),
	    cmocka_unit_test(costly_requests_wait_for_their_turn),
	    cmocka_unit_test(records_wait_for_room),
	    cmocka_unit_test(who_is_told_of_what_was_freed_is_told_once),
	    cmocka_unit_test(who_does_not_read_gets_no_batch_made),
	    cmocka_unit_test(who_sends_little_for_ever_keeps_no_other_waiting),
	    cmocka_unit_test(no_answer_with_records_is_long),
	    cmocka_unit_test(a_slow_message_is_waited_for),
	    cmocka_unit_test(what_vouches_for_a_large_commit_comes_with_it),
	    cmocka_unit_test(garbage_drops_its_sender),
	    cmocka_unit_test(an_answer_that_nobody_asked_for_drops_its_sender),
	    cmocka_unit_test(a_wrong_signature_drops_its_sender),
	    cmocka_unit_test(an_unknown_operation_drops_its_sender),
	    cmocka_unit_test(a_writer_cannot_change_members),
	    cmocka_unit_test(a_commit_of_another_database_drops_its_sender),
	    cmocka_unit_test(requests_that_are_not_read_drop_or_wait),
	    cmocka_unit_test(a_slow_peer_slows_nobody),
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
