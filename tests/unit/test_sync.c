/*
 * The sync engine: several of them in one process, joined by links that keep order but are slow, break or
 * swallow what they carry, under one virtual clock (tests/lib/net.h). Peers without an engine are scripts that
 * say what no honest peer would.
 */
#include "core/db_internal.h"
#include "core/log.h"
#include "core/settled.h"
#include "tests/lib/net.h"

#define KIB 1024

static size_t n_log_lines;
static char last_log[1024];

static void log_sink(enum sw_log_level level, const char *line)
{
	if (level > SW_LOG_WARN)
		return;
	n_log_lines++;
	snprintf(last_log, sizeof(last_log), "%s", line);
}

static void put(struct net *net, size_t at, const char *key, const char *text)
{
	test_put(&net->nodes[at].t, "t", key, text);
}

static void assert_row(struct net *net, size_t at, const char *key, const char *text)
{
	char got[256];

	assert_true(test_get(&net->nodes[at].t, "t", key, got, sizeof(got)));
	assert_string_equal(got, text);
}

static void verify_all(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++)
		if (net->nodes[i].sync)
			test_verify(&net->nodes[i].t);
}

static struct sw_ticket tickets[NET_NODES_MAX];

/* Node 0 makes the database, n - 1 others join it; then each is connected to the one before. */
static void make_swarm(struct net *net, size_t n, uint64_t seed)
{
	net_init(net, seed);
	net_add_creator(net);
	for (size_t i = 1; i < n; i++) {
		net_add_clone(net);
		net_ticket(net, 0, 100000, &tickets[i]);
		net_connect(net, i, 0, &tickets[i])->manual = true;
	}
	net_converge(net, 60000);
	for (size_t i = 0; i < n - 1; i++)
		net_cut(net, &net->links[i]);
	net->n_links = 0;
}

static void make_chain(struct net *net, size_t n, uint64_t seed)
{
	make_swarm(net, n, seed);
	for (size_t i = 1; i < n; i++)
		net_connect(net, i, i - 1, NULL);
	net_run(net, 100);
}

static void make_mesh(struct net *net, size_t n, uint64_t seed)
{
	make_swarm(net, n, seed);
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++)
			net_connect(net, i, k, NULL);
	net_run(net, 100);
}

static bool in_sync(struct net *net, struct net_link *l, size_t end)
{
	struct sw_peer_status st = {0};

	return l->conn && sw_sync_peer_status(net->nodes[l->ends[end]].sync, l->conn, net->now_ms, &st) &&
	       st.state == SW_PEER_IN_SYNC;
}

/* Honest peers */

static void a_newcomer_joins_and_clones(void **state)
{
	struct net net;
	uint64_t have, want;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	for (int i = 0; i < 50; i++)
		put(&net, 0, "a", i % 2 ? "one" : "two");
	net_add_clone(&net);
	net_ticket(&net, 0, 1000, &tickets[1]);
	net_connect(&net, 1, 0, &tickets[1]);
	net_converge(&net, 1000);
	assert_row(&net, 1, "a", "one");
	net_run(&net, 10);
	assert_true(sw_sync_is_synced(net.nodes[1].sync, &have, &want));
	put(&net, 1, "b", "from the newcomer");
	net_converge(&net, 100);
	assert_row(&net, 0, "b", "from the newcomer");
	verify_all(&net);
	net_fini(&net);
}

static void a_commit_passes_along_a_chain(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 4, test_seed());
	net.delay_ms_max = 0; /* one millisecond a message */
	put(&net, 0, "a", "hop");
	assert_in_range(net_converge(&net, 1000), 0, 10); /* a message each hop */
	assert_row(&net, 3, "a", "hop");
	put(&net, 3, "a", "back");
	net_converge(&net, 20);
	assert_row(&net, 0, "a", "back");
	net_run(&net, 3000);
	for (size_t i = 0; i < net.n_links; i++) {
		assert_true(in_sync(&net, &net.links[i], 0));
		assert_true(in_sync(&net, &net.links[i], 1));
		assert_int_equal(net.links[i].n_drops, 0);
	}
	net_fini(&net);
}

static void one_commit_costs_less_than_500_bytes(void **state)
{
	struct net net;
	uint64_t before, messages;
	char text[101];

	(void)state;
	make_chain(&net, 2, test_seed());
	memset(text, 'x', 100);
	text[100] = '\0';
	put(&net, 0, "1001.json", text);
	net_converge(&net, 1000);
	net_run(&net, 20);
	before = net.n_bytes;
	messages = net.n_messages;
	for (char c = 'a'; c <= 'j'; c++) {
		memset(text, c, 100);
		put(&net, 0, "1001.json", text);
		net_converge(&net, 1000);
		net_run(&net, 20);
	}
	printf("%llu bytes in %llu messages per commit\n", (unsigned long long)(net.n_bytes - before) / 10,
	       (unsigned long long)(net.n_messages - messages) / 10);
	assert_in_range((net.n_bytes - before) / 10, 100, 499);
	net_fini(&net);
}

static void who_was_away_catches_up(void **state)
{
	struct net net;
	char key[16];

	(void)state;
	make_chain(&net, 3, test_seed());
	net_stop(&net, 1);
	net_run(&net, 100);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "k%d", i % 40);
		put(&net, i % 2 ? 0 : 2, key, i % 3 ? "x" : "y");
	}
	assert_false(net_converged(&net));
	net_run(&net, 20000);
	net_start(&net, 1);
	for (size_t i = 0; i < net.n_links; i++)
		net_cut(&net, &net.links[i]);
	net_converge(&net, 5000);
	verify_all(&net);
	net_fini(&net);
}

static void a_restart_loses_nothing(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	for (size_t i = 0; i < 3; i++) {
		put(&net, i, "a", "before");
		net_restart(&net, i);
		put(&net, i, "b", "after");
	}
	net_converge(&net, 5000);
	for (size_t i = 0; i < 3; i++)
		assert_row(&net, i, "b", "after");
	verify_all(&net);
	net_fini(&net);
}

/* One commit of 100 KB that do not compress, in rows that are not large. */
static void put_many(struct net *net, size_t at, int which)
{
	static char texts[100][1000];
	struct sw_write_op ops[100];
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = 100};
	struct sw_hash id;
	char keys[100][32];

	for (int k = 0; k < 100; k++) {
		test_env_random(&net->nodes[at].t.env, texts[k], sizeof(texts[k]));
		snprintf(keys[k], sizeof(keys[k]), "k%d-%d", which, k);
		ops[k] = (struct sw_write_op){.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"),
						     .key = sw_view_str(keys[k]), .row = {.mode = 0644}},
					      .content = sw_view(texts[k], sizeof(texts[k]))};
	}
	TEST_OK(sw_db_commit(net->nodes[at].t.db, &w, &id));
}

/* Commits that one end of a link has sent since it is up. */
static uint64_t commits_sent(struct net *net, struct net_link *l, size_t end)
{
	struct sw_peer_status st = {0};

	assert_true(sw_sync_peer_status(net->nodes[l->ends[end]].sync, l->conn, net->now_ms, &st));
	return st.commits_out;
}

static void only_what_is_missing_is_sent(void **state)
{
	struct net net;
	char text[32];
	uint64_t n;

	(void)state;
	make_chain(&net, 2, test_seed());
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "%d", i);
		put(&net, (size_t)i % 2, "a", text);
		if (i % 20 == 0)
			net_converge(&net, 100);
	}
	net_converge(&net, 100);
	/* One was away: exactly its part comes. */
	net_cut(&net, &net.links[0]);
	for (int i = 0; i < 30; i++) {
		snprintf(text, sizeof(text), "away %d", i);
		put(&net, 0, "a", text);
	}
	net_converge(&net, 5000);
	net_run(&net, 100);
	assert_int_equal(commits_sent(&net, &net.links[0], 1), 30);
	/* The other way nothing is missing, but whoever is behind cannot know that for certain. */
	assert_in_range(commits_sent(&net, &net.links[0], 0), 0, 30);
	/* Both wrote: neither knows the other's tips, so up to twice as much goes. */
	net_cut(&net, &net.links[0]);
	for (int i = 0; i < 80; i++) {
		snprintf(text, sizeof(text), "crossing %d", i);
		put(&net, i % 8 == 0, "b", text);
	}
	net_converge(&net, 5000);
	net_run(&net, 100);
	n = commits_sent(&net, &net.links[0], 0) + commits_sent(&net, &net.links[0], 1);
	printf("%llu commits sent for 80 crossing\n", (unsigned long long)n);
	assert_in_range(n, 80, 240);
	net_fini(&net);
}

static void many_commits_come_from_one_peer_at_a_time(void **state)
{
	struct net net;

	(void)state;
	make_mesh(&net, 4, test_seed());
	net_stop(&net, 3);
	for (int i = 0; i < 60; i++)
		put_many(&net, (size_t)i % 3, i);
	net_converge(&net, 20000);
	net_run(&net, 100);
	net_start(&net, 3);
	net.n_bytes = 0;
	net_converge(&net, 20000);
	printf("%.2f times what was missing, from three peers\n", (double)net.n_bytes / 60 / 106000);
	/* The first batch of each of the two others, nearly half of it all, may cross with the decision; no second one. */
	assert_true(net.n_bytes < 60 * 106000 * 2);
	net_fini(&net);
}

static void bulk_goes_in_bounded_batches(void **state)
{
	struct net net;
	struct sw_sync_counters counters;

	(void)state;
	make_chain(&net, 2, test_seed());
	net_stop(&net, 1);
	for (int i = 0; i < 60; i++)
		put_many(&net, 0, i);
	net_start(&net, 1);
	memset(net.by_type, 0, sizeof(net.by_type));
	net_converge(&net, 10000);
	sw_sync_counters(net.nodes[1].sync, &counters);
	assert_in_range(counters.n_batches, 5, 12);
	assert_in_range(net.by_type[SW_MSG_COMMITS], 5, 14);
	net_fini(&net);
}

/* The last n commits of a store, as they are sent. */
static void last_commits(struct test_db *t, size_t n, struct sw_incoming *in, struct sw_buf *texts)
{
	struct sw_reader r;
	uint64_t next;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_next_seq(r.txn, &next));
	for (size_t i = 0; i < n; i++) {
		struct sw_view raw, changeset;

		TEST_OK(sw_history_get(r.txn, next - n + i, &raw));
		TEST_OK(sw_history_changeset(r.txn, next - n + i, &changeset));
		sw_buf_put_view(&texts[2 * i], raw);
		sw_buf_put_view(&texts[2 * i + 1], changeset);
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&texts[2 * i]),
					     .changeset = sw_buf_view(&texts[2 * i + 1])};
	}
	sw_reader_end(&r);
}

/*
 * A commit whose own signature was spoiled on the way is good as long as a later one of its author vouches for it, and
 * the batch that passes it on must not end between the two.
 */
static void what_another_vouches_for_is_passed_on_with_it(void **state)
{
	struct net net;
	struct sw_incoming in[2];
	struct sw_buf texts[4] = {{0}};
	size_t n_taken;

	(void)state;
	make_swarm(&net, 3, test_seed());
	for (int i = 0; i < 2; i++)
		put_many(&net, 2, i);
	last_commits(&net.nodes[2].t, 2, in, texts);
	texts[0].p[texts[0].n - 1] ^= 1;
	for (int i = 2; i < 11; i++) /* so that a batch is full after the next */
		put_many(&net, 0, i);
	TEST_OK(sw_db_receive(net.nodes[0].t.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 2);
	net_stop(&net, 2);
	net_connect(&net, 1, 0, NULL);
	net_run(&net, 20000);
	assert_int_equal(net.links[0].n_drops, 0);
	test_verify(&net.nodes[0].t);
	test_verify(&net.nodes[1].t);
	net_start(&net, 2);
	net_connect(&net, 2, 1, NULL);
	net_converge(&net, 20000);
	for (size_t i = 0; i < 4; i++)
		sw_buf_fini(&texts[i]);
	net_fini(&net);
}

static void lost_adverts_are_made_up_for(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	net.lose_heads = 2;
	for (int i = 0; i < 20; i++) {
		put(&net, (size_t)i % 3, "a", i % 2 ? "x" : "y");
		net_run(&net, 200);
	}
	net_converge(&net, 1000);
	/* And the peers come to know that they are. */
	net_run(&net, 60000);
	for (size_t i = 0; i < net.n_links; i++)
		assert_true(in_sync(&net, &net.links[i], 0) && in_sync(&net, &net.links[i], 1));
	net_fini(&net);
}

static void crossing_writes_converge_whatever_breaks(void **state)
{
	struct net net;
	uint64_t seed = test_seed();

	(void)state;
	for (int round = 0; round < 6; round++) {
		size_t n = 3 + (size_t)round % 3;
		char key[16], text[32];

		if (round % 2)
			make_mesh(&net, n, seed + (uint64_t)round);
		else
			make_chain(&net, n, seed + (uint64_t)round);
		net.delay_ms_max = 20;
		net.break_one_in = 30;
		net.lose_heads = 4;
		for (int i = 0; i < 150; i++) {
			size_t at = rng_below(&net.rng, (uint32_t)n);

			if (rng_below(&net.rng, 40) == 0)
				net_restart(&net, at);
			snprintf(key, sizeof(key), "k%u", rng_below(&net.rng, 12));
			snprintf(text, sizeof(text), "%d", i);
			put(&net, at, key, text);
			net_run(&net, rng_below(&net.rng, 30));
		}
		net.break_one_in = net.lose_heads = 0;
		net_converge(&net, 30000);
		verify_all(&net);
		net_fini(&net);
	}
}

static void a_thousand_crossing_commits(void **state)
{
	struct net net;
	char key[16];
	uint64_t n_commits = 0;

	(void)state;
	make_swarm(&net, 5, test_seed());
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		put(&net, (size_t)i % 5, key, "x");
	}
	net.n_bytes = 0;
	for (size_t i = 1; i < 5; i++)
		for (size_t k = 0; k < i; k++)
			net_connect(&net, i, k, NULL);
	printf("converged in %llu virtual ms, ", (unsigned long long)net_converge(&net, 10000));
	for (size_t i = 0; i < 5; i++) {
		struct sw_sync_counters c;

		sw_sync_counters(net.nodes[i].sync, &c);
		n_commits += c.n_batches;
	}
	printf("%llu KiB, %llu batches\n", (unsigned long long)net.n_bytes / KIB, (unsigned long long)n_commits);
	net_run(&net, 1000);
	assert_true(n_commits < 200);
	net_fini(&net);
}

static void a_mesh_does_not_echo(void **state)
{
	struct net net;
	uint64_t before, marks;

	(void)state;
	make_mesh(&net, 6, test_seed());
	put(&net, 0, "a", "0");
	net_converge(&net, 1000);
	net_run(&net, 5000);
	before = net.n_messages;
	marks = net.by_type[SW_MSG_WATERMARKS];
	put(&net, 0, "a", "1");
	net_converge(&net, 1000);
	net_run(&net, 900);
	marks = net.by_type[SW_MSG_WATERMARKS] - marks;
	printf("%llu messages for one commit among six, %llu with watermarks\n",
	       (unsigned long long)(net.n_messages - before), (unsigned long long)marks);
	assert_in_range(net.n_messages - before - marks, 5, 100);
	assert_in_range(marks, 5, 6 * 2 * 15);
	/* An idle swarm is quiet: adverts and pings, on 15 links. */
	before = net.n_messages;
	net_run(&net, 60000);
	printf("%llu messages in an idle minute\n", (unsigned long long)(net.n_messages - before));
	assert_in_range(net.n_messages - before, 15, 15 * 12 * 10);
	net_fini(&net);
}

static void put_large(struct net *net, size_t at, const char *key, size_t size)
{
	uint8_t *bytes = malloc(size);
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str(key),
					.old = test_current(&net->nodes[at].t, "t", key),
					.row = {.mode = 0644}},
				 .content = sw_view(bytes, size)};

	assert_non_null(bytes);
	test_env_random(&net->nodes[at].t.env, bytes, size);
	test_write(&net->nodes[at].t, &op);
	free(bytes);
}

static void large_work_crosses_a_mesh_about_once_per_peer(void **state)
{
	struct net net;

	(void)state;
	make_mesh(&net, 6, test_seed());
	net_run(&net, 3000);
	net.n_bytes = 0;
	put_many(&net, 0, 0);
	net_converge(&net, 1000);
	net_run(&net, 3000);
	printf("%.1f times the commit, for five peers\n", (double)net.n_bytes / 106000);
	/* Here news can overtake the work itself, since taking it costs no time; sent to all by all it were 25. */
	assert_in_range(net.n_bytes, 5 * 100 * 1000, 10 * 106000);
	net_fini(&net);
}

static void bulk_comes_from_one_peer_at_a_time(void **state)
{
	struct net net;
	char key[16];
	uint64_t one;

	(void)state;
	make_mesh(&net, 4, test_seed());
	net_stop(&net, 3);
	for (int i = 0; i < 40; i++) {
		static char text[150000];

		/* Columns do not matter here; what counts is that it does not compress. */
		for (size_t c = 0; c < sizeof(text) - 1; c++)
			text[c] = (char)('0' + rng_next(&net.rng) % 75);
		snprintf(key, sizeof(key), "k%d", i);
		put(&net, (size_t)i % 3, key, text);
	}
	net_converge(&net, 20000);
	net_run(&net, 100);
	net_start(&net, 3);
	net.n_bytes = 0;
	one = 40 * 150000;
	net_converge(&net, 20000);
	printf("%.2f times what was missing, from three peers\n", (double)net.n_bytes / (double)one);
	assert_true(net.n_bytes < one + one / 4);
	verify_all(&net);
	net_fini(&net);
}

static void two_who_dial_each_other_keep_one_connection(void **state)
{
	struct net net;
	size_t n_up = 0;

	(void)state;
	make_swarm(&net, 2, test_seed());
	net_connect(&net, 0, 1, NULL)->manual = true;
	net_connect(&net, 1, 0, NULL)->manual = true;
	net_run(&net, 500);
	for (size_t i = 0; i < 2; i++)
		n_up += net.links[i].conn != 0;
	assert_int_equal(n_up, 1);
	put(&net, 0, "a", "x");
	net_converge(&net, 100);
	net_fini(&net);
}

static void large_rows_come_whole(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	put_large(&net, 0, "small", 2000);
	put_large(&net, 0, "medium", 200 * KIB);
	put_large(&net, 0, "large", 20 * KIB * KIB);
	put(&net, 0, "after", "x");
	net_converge(&net, 60000);
	put_large(&net, 2, "large", 3 * KIB * KIB);
	put_large(&net, 1, "medium", 300 * KIB);
	net_converge(&net, 60000);
	verify_all(&net);
	net_fini(&net);
}

static void many_large_rows_do_not_wait_for_each_other(void **state)
{
	struct net net;
	struct sw_sync_counters before, after;
	char key[16];

	(void)state;
	make_chain(&net, 2, test_seed());
	net_stop(&net, 1);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		put_large(&net, 0, key, 5000);
	}
	net_start(&net, 1);
	sw_sync_counters(net.nodes[1].sync, &before);
	net_converge(&net, 10000);
	sw_sync_counters(net.nodes[1].sync, &after);
	printf("%llu batches\n", (unsigned long long)(after.n_batches - before.n_batches));
	assert_in_range(after.n_batches - before.n_batches, 1, 10);
	net_fini(&net);
}

static uint64_t n_staged(struct net *net, size_t at)
{
	struct sw_reader r;
	uint64_t n;

	TEST_OK(sw_reader_begin(net->nodes[at].t.db, &r));
	n = sw_txn_count(r.txn, SW_SPACE_STAGED);
	sw_reader_end(&r);
	return n;
}

static void until_staged(struct net *net, size_t at)
{
	uint64_t end_ms = net->now_ms + 60000;

	while (n_staged(net, at) == 0 && net->now_ms < end_ms)
		net_step(net);
	assert_int_not_equal(n_staged(net, at), 0);
}

static size_t bytes_of_records;

static void sum_records(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message)
{
	(void)arg;
	(void)from;
	(void)to;
	(void)conn;
	if (message.p[0] == SW_MSG_RECORDS)
		bytes_of_records += message.n;
}

/*
 * A commit with more than is kept in memory: what has come waits in the store, across a connection that broke and a
 * restart of the peer it comes from, and nothing of it is left when it is taken.
 */
static void a_commit_may_bring_more_than_memory_holds(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
	net.watch.sent = sum_records;
	bytes_of_records = 0;
	put_large(&net, 0, "large", 100 * KIB * KIB);
	until_staged(&net, 1);
	assert_in_range(bytes_of_records, 1, 40 * KIB * KIB);
	verify_all(&net);
	net_restart(&net, 0);
	net_converge(&net, 60000);
	assert_in_range(bytes_of_records, 99 * KIB * KIB, 106 * KIB * KIB);
	net_run(&net, 200);
	TEST_OK(sw_db_tidy(net.nodes[1].t.db));
	assert_int_equal(n_staged(&net, 1), 0);
	verify_all(&net);
	net_fini(&net);
}

/* If nothing comes of it, it goes: after a while, and when the store is opened. */
static void what_was_staged_in_vain_goes(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
	for (int round = 0; round < 2; round++) {
		put_large(&net, 0, "large", 40 * KIB * KIB);
		until_staged(&net, 1);
		for (size_t k = 0; k < 2; k++)
			net.links[0].pipes[k].blocked_until_ms = UINT64_MAX;
		net_cut(&net, &net.links[0]);
		if (round == 0)
			net_run(&net, SW_SYNC_STAGED_MS - 5000);
		assert_int_not_equal(n_staged(&net, 1), 0);
		if (round == 0)
			net_run(&net, 10000);
		else
			net_restart(&net, 1);
		TEST_OK(sw_db_tidy(net.nodes[1].t.db));
		assert_int_equal(n_staged(&net, 1), 0);
		verify_all(&net);
		for (size_t k = 0; k < 2; k++)
			net.links[0].pipes[k].blocked_until_ms = 0;
		net_converge(&net, 100000);
	}
	net_fini(&net);
}

/* A large row from the future is not fetched again and again while its time has not come. */
static void a_large_row_from_the_future_is_fetched_once(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	net.nodes[1].skew_ms = 60000;
	net_run(&net, 10);
	net.watch.sent = sum_records;
	bytes_of_records = 0;
	put_large(&net, 1, "large", KIB * KIB);
	net_run(&net, 4000);
	net_converge(&net, 90000);
	/* Twice, since both others lack it; and a little more, which are indexes. */
	assert_in_range(bytes_of_records, 2 * KIB * KIB, 3 * KIB * KIB);
	verify_all(&net);
	net_fini(&net);
}

static void a_commit_from_the_future_waits(void **state)
{
	struct net net;
	struct sw_sync_counters counters;
	struct sw_head head;

	(void)state;
	make_chain(&net, 3, test_seed());
	sw_db_head(net.nodes[0].t.db, &head);
	net.nodes[1].skew_ms = 60000;
	net_run(&net, 10);
	put(&net, 1, "a", "early");
	put(&net, 1, "b", "child of early");
	put(&net, 0, "c", "in time");
	net_run(&net, 5000);
	assert_row(&net, 1, "c", "in time");
	assert_int_equal(test_current(&net.nodes[0].t, "t", "a").b[0], 0);
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 1);
	assert_int_equal(net.links[0].n_drops + net.links[1].n_drops, 0);
	/* It does not hold up others' work, and enters by itself. */
	put(&net, 2, "d", "other way");
	net_converge(&net, 60000);
	net_run(&net, 3000);
	assert_row(&net, 0, "a", "early");
	assert_row(&net, 2, "b", "child of early");
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	net_fini(&net);
}

/* A clock that is wrong among right ones holds nobody back: neither its own commits nor those of others. */
static void most_clocks_are_right(void **state)
{
	static const int64_t skews[] = {-3600000, 3600000};
	struct sw_sync_counters counters;
	struct net net;

	(void)state;
	make_mesh(&net, 4, test_seed());
	for (size_t i = 0; i < 2; i++) {
		net.nodes[3].skew_ms = skews[i];
		n_log_lines = 0;
		net_run(&net, 11000); /* two PINGs at least */
		assert_int_equal(n_log_lines, 4); /* it says so itself, and the others of it */
		sw_sync_counters(net.nodes[3].sync, &counters);
		assert_in_range(counters.clock_ms + skews[i] + 1000, 900, 1100);
		sw_sync_counters(net.nodes[0].sync, &counters);
		assert_in_range(counters.clock_ms + 1000, 900, 1100);
		put(&net, 0, "a", i ? "from the past" : "from the future");
		net_converge(&net, 500);
		put(&net, 3, "a", i ? "it is now" : "it was then");
		net_converge(&net, 500);
		assert_row(&net, 1, "a", i ? "it is now" : "it was then");
		net.nodes[3].skew_ms = 0;
		net_run(&net, 11000);
		sw_sync_counters(net.nodes[3].sync, &counters);
		assert_in_range(counters.clock_ms + 1000, 900, 1100);
	}
	/* Without the others its own clock is all it has. */
	net.nodes[3].skew_ms = 3600000;
	net_run(&net, 6000);
	for (size_t i = 0; i < net.n_links; i++)
		if (net.links[i].ends[0] == 3)
			net_cut(&net, &net.links[i]);
	sw_sync_counters(net.nodes[3].sync, &counters);
	assert_int_equal(counters.clock_ms, 0);
	net_fini(&net);
}

/* The clock of node 1 is ten years ahead while it works alone. */
static void work_in_2036(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++) {
		if (net->links[i].ends[0] != 1 && net->links[i].ends[1] != 1)
			continue;
		net->links[i].pipes[0].blocked_until_ms = net->links[i].pipes[1].blocked_until_ms = UINT64_MAX;
		net_cut(net, &net->links[i]);
	}
	net_run(net, 1000);
	net->nodes[1].skew_ms = 10 * 365 * (int64_t)86400000;
	net_run(net, 100);
	put(net, 1, "a", "alone");
	put(net, 1, "b", "alone, too");
}

static void come_back(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++)
		net->links[i].pipes[0].blocked_until_ms = net->links[i].pipes[1].blocked_until_ms = 0;
}

/* Two clocks: nobody knows which is right. What the other could not take is not sent, and signed again later. */
static void a_laptop_from_2036_is_not_cut_off(void **state)
{
	struct sw_sync_counters counters;
	uint64_t n_pulls;
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
	work_in_2036(&net);
	come_back(&net);
	net_run(&net, 20000);
	n_pulls = net.by_type[SW_MSG_PULL];
	put(&net, 0, "c", "meanwhile");
	put(&net, 1, "d", "still in 2036");
	net_run(&net, 60000);
	assert_row(&net, 1, "c", "meanwhile");
	assert_int_equal(test_current(&net.nodes[0].t, "t", "a").b[0], 0);
	assert_in_range(net.by_type[SW_MSG_PULL] - n_pulls, 1, 15); /* it asks, but not all the time */
	sw_sync_counters(net.nodes[1].sync, &counters);
	assert_in_range(counters.n_held, 3, 4);
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	net.nodes[1].skew_ms = 0;
	net_converge(&net, 7000); /* the next PONG tells */
	assert_row(&net, 0, "b", "alone, too");
	assert_row(&net, 0, "d", "still in 2036");
	put(&net, 0, "a", "after it");
	net_converge(&net, 500);
	assert_row(&net, 1, "a", "after it");
	net_run(&net, 200);
	sw_sync_counters(net.nodes[1].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	verify_all(&net);
	net_fini(&net);
}

/* Among more the time is known, so it comes back with its work though its clock is still wrong. */
static void a_laptop_from_2036_comes_back_among_many(void **state)
{
	struct net net;

	(void)state;
	make_mesh(&net, 4, test_seed());
	work_in_2036(&net);
	come_back(&net);
	net_converge(&net, 15000);
	assert_row(&net, 3, "b", "alone, too");
	put(&net, 2, "a", "after it");
	net_converge(&net, 500);
	assert_row(&net, 1, "a", "after it");
	verify_all(&net);
	net_fini(&net);
}

static void a_dead_link_is_found(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	net.links[0].mute = true;
	net_run(&net, 14000);
	assert_int_not_equal(net.links[0].conn, 0);
	net_run(&net, 3000);
	assert_in_range(net.links[0].n_drops, 1, 2);
	assert_int_equal(net.links[1].n_drops, 0);
	net_fini(&net);
}

static void a_full_disk_is_not_the_peers_fault(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
	net.nodes[1].t.env.fail_in = 1;
	net.nodes[1].t.env.fail_rc = SW_ENOSPC;
	put(&net, 0, "a", "x");
	net_run(&net, 500);
	assert_false(net_converged(&net));
	assert_int_equal(net.links[0].n_drops, 0);
	net_converge(&net, 5000);
	net.nodes[1].t.env.fail_in = 1;
	net.nodes[1].t.env.fail_rc = SW_EIO;
	put(&net, 0, "a", "y");
	net_converge(&net, 5000);
	assert_int_equal(net.links[0].n_drops, 0);
	net_fini(&net);
}

/* Tickets */

static void expect_refusal(struct net *net, const char *text)
{
	net_run(net, 500);
	assert_int_equal(sw_sync_refusal(net->nodes[1].sync) != NULL, true);
	assert_non_null(strstr(sw_sync_refusal(net->nodes[1].sync), text));
}

static void join_with(struct net *net, struct sw_ticket *t)
{
	net_add_clone(net);
	net_connect(net, 1, 0, t)->manual = true;
	n_log_lines = 0;
}

static void a_wrong_ticket_is_refused(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 1000, &t);
	t.secret[3] ^= 1;
	join_with(&net, &t);
	expect_refusal(&net, "not one of ours");
	net_fini(&net);
}

static void an_expired_ticket_is_refused(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 1000, &t);
	net_run(&net, 1100);
	join_with(&net, &t);
	expect_refusal(&net, "expired");
	net_fini(&net);
}

static void a_ticket_is_good_once(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 100000, &t);
	join_with(&net, &t);
	net_converge(&net, 1000);
	net_restart(&net, 0);
	net_add_clone(&net);
	net_connect(&net, 2, 0, &t);
	net_run(&net, 500);
	assert_non_null(sw_sync_refusal(net.nodes[2].sync));
	assert_non_null(strstr(sw_sync_refusal(net.nodes[2].sync), "used"));
	net_fini(&net);
}

static void who_lost_the_answer_may_join_again(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 100000, &t);
	join_with(&net, &t);
	/* Redeemed, but the inviter stops before it grants. */
	net.nodes[0].t.env.fail_in = 2;
	net.nodes[0].t.env.fail_rc = SW_EIO;
	expect_refusal(&net, "look into its log");
	net_restart(&net, 0);
	net_connect(&net, 1, 0, &t);
	net_converge(&net, 2000);
	net_run(&net, 100);
	put(&net, 1, "a", "member");
	net_converge(&net, 100);
	net_fini(&net);
}

static void who_lost_its_first_commits_may_join_again(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 100000, &t);
	join_with(&net, &t);
	/* It is told that it has joined, and then no more. */
	while (net.by_type[SW_MSG_JOINED] == 0)
		net_step(&net);
	net_cut(&net, &net.links[0]);
	net_connect(&net, 1, 0, &t);
	net_converge(&net, 3000);
	put(&net, 1, "a", "member");
	net_converge(&net, 100);
	assert_int_equal(net.by_type[SW_MSG_JOIN], 2);
	net_fini(&net);
}

static void who_lost_its_first_commits_may_be_fetched(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_ticket(&net, 0, 100000, &t);
	join_with(&net, &t);
	while (net.by_type[SW_MSG_JOINED] == 0)
		net_step(&net);
	net_cut(&net, &net.links[0]);
	net_connect(&net, 0, 1, NULL)->manual = true;
	net_converge(&net, 3000);
	assert_int_equal(net.by_type[SW_MSG_JOIN], 1);
	net_fini(&net);
}

static void an_answer_that_takes_long_is_waited_for(void **state)
{
	struct net net;
	char key[16];

	(void)state;
	make_swarm(&net, 2, test_seed());
	for (size_t i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		put(&net, 0, key, "text");
	}
	/* Longer than any request is waited for at first, and nothing tells how long it takes. */
	net_connect(&net, 1, 0, NULL)->delay_ms_min = 2000;
	memset(net.by_type, 0, sizeof(net.by_type));
	net_converge(&net, 30000);
	assert_true(net.by_type[SW_MSG_PULL] < 16);
	net_fini(&net);
}

static void a_newcomer_believes_only_its_inviter(void **state)
{
	struct net net;
	struct sw_ticket t;

	(void)state;
	make_swarm(&net, 2, test_seed());
	net_ticket(&net, 0, 100000, &t);
	net_add_clone(&net);
	/* The address leads to somebody else: the secret is not shown to it. */
	net_connect(&net, 2, 1, &t)->manual = true;
	net.n_messages = 0;
	net_run(&net, 500);
	assert_int_equal(net.by_type[SW_MSG_JOIN], 1); /* that of make_swarm() */
	assert_non_null(strstr(net.links[0].reason, "ticket"));
	net_connect(&net, 2, 1, NULL)->manual = true;
	net_run(&net, 500);
	assert_int_equal(net.links[1].n_drops > 0, true);
	net_fini(&net);
}

/* Peers that lie */

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

/* Nodes 0 and 1 are honest and connected; node 2 is a member, or a stranger, without an engine, connected to 1. */
static void make_evil(struct net *net, struct evil *e, bool member, uint64_t seed)
{
	make_chain(net, member ? 3 : 2, seed);
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
	n_log_lines = 0;
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
	put(net, 0, "honest", text);
	net_converge(net, 1000);
	assert_row(net, 1, "honest", text);
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
	make_chain(&net, 2, test_seed());
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
	assert_int_not_equal(e.link->conn, 0); /* dialled again, and listened to: it may bring a ticket this time */
	net_fini(&net);
}

/* Asking for everything from the beginning costs a peer nothing, and us a walk and a message each time. */
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

/* Records that do not fit the queue are sent when they do; who asks for yet more meanwhile does not read. */
static void records_wait_for_room(void **state)
{
	struct sw_hash blob;
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e, true, test_seed());
	put_large(&net, 1, "large", 5000);
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
	make_chain(&net, 2, test_seed());
	net.watch.sent = note_records;
	net.watch.arg = &largest;
	put_large(&net, 0, "large", 12 * KIB * KIB);
	net_converge(&net, 30000);
	assert_in_range(largest, KIB * KIB / 2, KIB * KIB + 40 * KIB);
	net_fini(&net);
}

/* A message of which parts come is not silence. */
static void a_slow_message_is_waited_for(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
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

/* A commit as a COMMITS message, from the evil one's own store, changed by the caller in between. */
struct forgery {
	struct sw_commit c;
	struct sw_buf changeset;
	struct sw_buf raw;
};

static void forge(struct net *net, struct forgery *f, enum sw_mode mode, struct sw_op *ops, size_t n)
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
	return (struct sw_op){.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str("evil"),
			      .row = {.mode = 0644, .size = 1, .bytes = sw_view_str("x")}};
}

/*
 * A commit with a bad signature, which a later one vouches for, but which needs so many records that the two would be taken
 * apart: then they are taken together.
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
		TEST_OK(sw_row_make(records, sw_db_shape(net.nodes[0].t.db), sw_view(bytes, sizes[i]), &op.row));
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
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&f[i].raw), .changeset = sw_buf_view(&f[i].changeset)};
	}
	put(&net, 0, "honest", "another tip"); /* then nobody compares the states that they sign */
	net_converge(&net, 1000);
	TEST_OK(sw_db_receive(net.nodes[0].t.db, in, 2, 0, records, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 2);
	net_converge(&net, 30000);
	assert_row(&net, 1, "small", (char[]){(char)bytes[0], '\0'});
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
	assert_int_equal(n_log_lines, 0); /* the hook logs in the product */
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
	assert_dropped(&net, &e, "signature"); /* the id is not sent, so it is another header here */
	net_fini(&net);
}

/* Members who are removed */

static void remove_member(struct net *net, size_t by, size_t whom)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_REVOKE, .member = *sw_db_key(net->nodes[whom].t.db)}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(net->nodes[by].t.db, &w, &id));
}

static void assert_removed(struct net *net, size_t at)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_MKTABLE, .table = sw_view_str("t2")}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};
	struct sw_hash id;

	assert_int_equal(sw_db_own_role(net->nodes[at].t.db), 0);
	assert_int_equal(sw_db_commit(net->nodes[at].t.db, &w, &id), SW_EDENIED);
}

static bool has_row(struct net *net, size_t at, const char *key)
{
	char text[200];

	return test_get(&net->nodes[at].t, "t", key, text, sizeof(text));
}

/* Whoever dialled, whoever was away: it hears of its removal, and of nothing that was signed later. */
static void who_is_removed_learns_that_and_no_more(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		bool was_away = way % 2;
		struct net net;

		make_swarm(&net, 3, test_seed());
		net_connect(&net, way < 2 ? 1 : 0, way < 2 ? 0 : 1, NULL);
		net_connect(&net, 2, 0, NULL);
		net_run(&net, 200);
		put(&net, 1, "a", "its own");
		net_converge(&net, 1000);
		if (was_away)
			net_stop(&net, 1);
		put(&net, 0, "b", "before");
		remove_member(&net, 0, 1);
		put(&net, 0, "c", "after");
		if (was_away) {
			net_run(&net, 500);
			net_start(&net, 1);
		}
		net_run(&net, 20000);
		assert_removed(&net, 1);
		assert_row(&net, 1, "a", "its own");
		assert_row(&net, 1, "b", "before");
		assert_false(has_row(&net, 1, "c"));
		assert_non_null(strstr(net.links[0].reason, "removed"));
		assert_row(&net, 2, "c", "after");
		verify_all(&net);
		net_fini(&net);
	}
}

static void what_a_removed_member_goes_on_signing_comes_nowhere(void **state)
{
	struct sw_head before, after;
	struct net net;

	(void)state;
	make_swarm(&net, 4, test_seed());
	/* 1 is removed; 3 does not hear of it, and stays connected with 1 and later with 2. */
	net_connect(&net, 2, 0, NULL);
	net_connect(&net, 3, 1, NULL);
	net_run(&net, 200);
	remove_member(&net, 0, 1);
	net_run(&net, 2000);
	sw_db_head(net.nodes[0].t.db, &before);
	for (int i = 0; i < 5; i++)
		put(&net, 1, "a", i % 2 ? "x" : "y");
	net_run(&net, 2000);
	assert_row(&net, 3, "a", "y");
	net_connect(&net, 3, 2, NULL);
	net_run(&net, 20000);
	sw_db_head(net.nodes[0].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	sw_db_head(net.nodes[2].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	sw_db_head(net.nodes[3].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	assert_removed(&net, 1);
	verify_all(&net);
	net_fini(&net);
}

static void who_was_removed_may_join_again(void **state)
{
	struct net net;

	(void)state;
	make_chain(&net, 2, test_seed());
	put(&net, 1, "a", "its own");
	net_converge(&net, 1000);
	remove_member(&net, 0, 1);
	net_run(&net, 5000);
	assert_removed(&net, 1);
	net_cut(&net, &net.links[0]);
	net_ticket(&net, 0, 100000, &tickets[1]);
	net.links[0].ticket = &tickets[1];
	net_run(&net, 60000);
	assert_int_equal(sw_db_own_role(net.nodes[1].t.db), SW_ROLE_WRITER);
	put(&net, 1, "b", "again");
	net_converge(&net, 1000);
	assert_row(&net, 0, "b", "again");
	verify_all(&net);
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
	make_chain(&net, 3, test_seed());
	for (int i = 0; i < 12; i++)
		put_large(&net, 1, "r", 900 * KIB);
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

/* Watermarks */

static struct sw_settled settled(struct net *net, size_t at)
{
	struct sw_settled out;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(net->nodes[at].t.db, &r));
	TEST_OK(sw_db_settled(net->nodes[at].t.db, &r, &out));
	sw_reader_end(&r);
	return out;
}

static bool all_settled(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++) {
		struct sw_head head;

		sw_db_head(net->nodes[i].t.db, &head);
		if (settled(net, i).count != head.count)
			return false;
	}
	return net_converged(net);
}

static void settle_within(struct net *net, uint64_t ms)
{
	for (uint64_t end = net->now_ms + ms; !all_settled(net) && net->now_ms < end;)
		net_step(net);
	assert_true(all_settled(net));
}

static void what_all_have_seen_is_settled(void **state)
{
	struct net net;
	uint64_t before;

	(void)state;
	make_chain(&net, 4, test_seed());
	settle_within(&net, 5000);
	net_run(&net, 5000);
	before = net.by_type[SW_MSG_WATERMARKS];
	put(&net, 3, "a", "one");
	settle_within(&net, 5000);
	net_run(&net, 10000);
	/* Four of them, each over three links, in one direction; that two meet on a link is a rare chance. */
	assert_in_range(net.by_type[SW_MSG_WATERMARKS] - before, 3, 15);
	before = net.by_type[SW_MSG_WATERMARKS];
	net_run(&net, 60000);
	assert_int_equal(net.by_type[SW_MSG_WATERMARKS], before); /* there is nothing new to tell */
	verify_all(&net);
	net_fini(&net);
}

static void who_is_away_holds_up(void **state)
{
	struct sw_holdup *v;
	struct sw_reader r;
	struct net net;
	size_t n;

	(void)state;
	make_chain(&net, 3, test_seed());
	settle_within(&net, 5000);
	net_stop(&net, 2);
	put(&net, 0, "a", "one");
	net_run(&net, 10000);
	TEST_OK(sw_reader_begin(net.nodes[1].t.db, &r));
	TEST_OK(sw_db_holdups(net.nodes[1].t.db, &r, NULL, &v, &n));
	sw_reader_end(&r);
	assert_int_equal(n, 1);
	assert_true(sw_key_eq(&v[0].key, sw_db_key(net.nodes[2].t.db)));
	assert_true(v[0].stamp > 0);
	free(v);
	net_start(&net, 2);
	settle_within(&net, 10000);
	net_fini(&net);
}

/* Breaking links and full queues lose watermarks; the next connection brings them again. */
static void watermarks_come_again(void **state)
{
	struct net net;

	(void)state;
	make_mesh(&net, 5, test_seed());
	net.break_one_in = 5;
	for (int i = 0; i < 50; i++) {
		put(&net, rng_below(&net.rng, 5), "a", i % 2 ? "x" : "y");
		net_run(&net, 200);
	}
	net.break_one_in = 0;
	settle_within(&net, 30000);
	verify_all(&net);
	net_fini(&net);
}

static void a_forged_watermark_drops_its_sender(void **state)
{
	struct net net;
	struct evil e;
	struct sw_watermark m = {.stamp = UINT64_MAX, .n_tips = 1};
	SW_BUF bytes = {0};
	SW_BUF body = {0};
	SW_BUF out = {0};

	(void)state;
	make_evil(&net, &e, true, test_seed());
	m.tips = sw_hash_view(sw_db_id(net.nodes[0].t.db));
	sw_watermark_seal(&m, sw_db_id(net.nodes[0].t.db), sw_db_identity(net.nodes[2].t.db), &bytes);
	bytes.p[bytes.n - 1] ^= 1;
	sw_buf_put_bytes(&body, sw_buf_view(&bytes));
	sw_message_watermarks(sw_buf_view(&body), &out);
	evil_say(&e, sw_buf_view(&out));
	assert_dropped(&net, &e, "watermark with a wrong signature");
	net_fini(&net);
}

/* Divergence */

struct alarms {
	size_t n[NET_NODES_MAX], n_found[NET_NODES_MAX];
	struct sw_divergence last[NET_NODES_MAX];
	char table[64];
	uint8_t key[128];
};

static void note_alarm(void *arg, size_t node, const struct sw_divergence *d)
{
	struct alarms *a = arg;

	a->n[node] += !d->is_found;
	a->n_found[node] += d->is_found;
	a->last[node] = *d;
	snprintf(a->table, sizeof(a->table), "%.*s", (int)d->table.n, (const char *)d->table.p);
	assert_true(d->key.n <= sizeof(a->key));
	memcpy(a->key, d->key.p ? d->key.p : a->key, d->key.n);
}

/* Many rows in three tables, so that trees have inner nodes; all have them. */
static void fill_tables(struct net *net)
{
	static const char *const tables[] = {"s", "t", "u"};
	struct sw_write_op *ops = calloc(3000, sizeof(*ops));
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = 3000};
	static char keys[1000][8];
	struct sw_hash id;

	assert_non_null(ops);
	for (size_t i = 0; i < 3000; i++) {
		snprintf(keys[i % 1000], sizeof(keys[0]), "k%04zu", i % 1000);
		ops[i] = (struct sw_write_op){.op = {.kind = SW_OP_PUT, .table = sw_view_str(tables[i / 1000]),
						     .key = sw_view_str(keys[i % 1000]), .row = {.mode = 0644}},
					      .content = sw_view_str("what a row is made of")};
	}
	TEST_OK(sw_db_commit(net->nodes[0].t.db, &w, &id));
	free(ops);
	net_converge(net, 10000);
	net_run(net, 15000);
}

/* An entry of a tree of the node's newest state or line is another one from now on, as if it had been folded so. */
static void corrupt(struct net *net, size_t at, const char *table, struct sw_view key)
{
	struct sw_db *db = net->nodes[at].t.db;
	struct sw_edit edit = {.key = key, .value = sw_view("\1", 1)};
	uint8_t name[1 + SW_NAME_MAX];
	struct sw_head head = db->head;
	struct sw_nodes *nodes;
	struct sw_table t;
	struct sw_txn *txn;
	struct sw_row row;
	SW_BUF value = {0};

	TEST_OK(sw_txn_begin(db->store, true, &txn));
	TEST_OK(sw_db_nodes(db, txn, &nodes));
	if (!table) {
		TEST_OK(sw_tree_apply(nodes, db->shape, SW_PURPOSE_LINE, &head.line, &edit, 1, &head.line));
	} else {
		TEST_OK(sw_state_table(nodes, &head.state, SW_CLASS_USER, sw_view_str(table), &t));
		TEST_OK(sw_state_row(nodes, &head.state, sw_view_str(table), key, &row));
		row.mode = 0600;
		sw_row_encode(&row, &value);
		edit.value = sw_buf_view(&value);
		TEST_OK(sw_tree_apply(nodes, db->shape, SW_PURPOSE_ROWS, &t.root, &edit, 1, &t.root));
		sw_buf_reset(&value);
		sw_table_encode(&t, &value);
		edit = (struct sw_edit){.key = sw_state_key(SW_CLASS_USER, sw_view_str(table), name),
					.value = sw_buf_view(&value)};
		TEST_OK(sw_tree_apply(nodes, db->shape, SW_PURPOSE_STATE, &head.state, &edit, 1, &head.state));
	}
	TEST_OK(sw_db_move_head(db, txn, nodes, &head, db->hlc, NULL, true));
	sw_nodes_free(nodes);
	sw_sync_changed(net->nodes[at].sync, net_node_ms(net, at));
}

static void make_alarmed(struct net *net, struct alarms *a)
{
	make_chain(net, 2, test_seed());
	*a = (struct alarms){0};
	net->watch.arg = a;
	net->watch.diverged = note_alarm;
	fill_tables(net);
	assert_int_equal(a->n[0] + a->n[1], 0);
}

static void another_state_is_found_down_to_the_row(void **state)
{
	struct alarms a;
	struct net net;

	(void)state;
	make_alarmed(&net, &a);
	corrupt(&net, 1, "t", sw_view_str("k0777"));
	net_run(&net, 15000);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(a.n[i], 1); /* though its HEAD and its watermark both tell */
		assert_int_equal(a.n_found[i], 1);
		assert_true(sw_key_eq(&a.last[i].who, sw_db_key(net.nodes[1 - i].t.db)));
		assert_false(a.last[i].is_line || a.last[i].is_system);
	}
	assert_string_equal(a.table, "t");
	assert_true(sw_view_eq(sw_view(a.key, a.last[0].key.n), sw_view_str("k0777")));
	assert_in_range(net.by_type[SW_MSG_LOOK], 2, 2 * 8);
	net_fini(&net);
}

static void another_line_is_found_down_to_the_commit(void **state)
{
	struct sw_order order;
	struct alarms a;
	struct sw_reader r;
	struct net net;

	(void)state;
	make_alarmed(&net, &a);
	TEST_OK(sw_reader_begin(net.nodes[1].t.db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str("HEAD~1"), &order));
	sw_reader_end(&r);
	corrupt(&net, 1, NULL, sw_order_view(&order));
	net_run(&net, 15000);
	assert_int_equal(a.n[0], 1);
	assert_int_equal(a.n_found[0], 1);
	assert_true(a.last[0].is_line);
	assert_memory_equal(a.key, order.b, SW_ORDER_SIZE);
	assert_string_equal(a.table, "");
	net_fini(&net);
}

/* Not connected with it: its watermark tells. */
static void a_watermark_tells_of_another_state(void **state)
{
	struct alarms a = {0};
	struct net net;

	(void)state;
	make_chain(&net, 3, test_seed());
	net.watch.arg = &a;
	net.watch.diverged = note_alarm;
	put(&net, 0, "a", "one");
	net_converge(&net, 1000);
	net_run(&net, 15000);
	assert_int_equal(a.n[0] + a.n[1] + a.n[2], 0);
	corrupt(&net, 2, "t", sw_view_str("a"));
	net_run(&net, 5000);
	assert_true(a.n[0] == 1 && sw_key_eq(&a.last[0].who, sw_db_key(net.nodes[2].t.db)));
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_state_is_found_down_to_the_row),
	    cmocka_unit_test(another_line_is_found_down_to_the_commit),
	    cmocka_unit_test(a_watermark_tells_of_another_state),
	    cmocka_unit_test(what_all_have_seen_is_settled),
	    cmocka_unit_test(who_is_away_holds_up),
	    cmocka_unit_test(watermarks_come_again),
	    cmocka_unit_test(a_forged_watermark_drops_its_sender),
	    cmocka_unit_test(a_newcomer_joins_and_clones),
	    cmocka_unit_test(a_commit_passes_along_a_chain),
	    cmocka_unit_test(one_commit_costs_less_than_500_bytes),
	    cmocka_unit_test(who_was_away_catches_up),
	    cmocka_unit_test(a_restart_loses_nothing),
	    cmocka_unit_test(only_what_is_missing_is_sent),
	    cmocka_unit_test(bulk_goes_in_bounded_batches),
	    cmocka_unit_test(many_commits_come_from_one_peer_at_a_time),
	    cmocka_unit_test(what_another_vouches_for_is_passed_on_with_it),
	    cmocka_unit_test(lost_adverts_are_made_up_for),
	    cmocka_unit_test(crossing_writes_converge_whatever_breaks),
	    cmocka_unit_test(a_thousand_crossing_commits),
	    cmocka_unit_test(a_mesh_does_not_echo),
	    cmocka_unit_test(large_work_crosses_a_mesh_about_once_per_peer),
	    cmocka_unit_test(bulk_comes_from_one_peer_at_a_time),
	    cmocka_unit_test(two_who_dial_each_other_keep_one_connection),
	    cmocka_unit_test(large_rows_come_whole),
	    cmocka_unit_test(many_large_rows_do_not_wait_for_each_other),
	    cmocka_unit_test(a_commit_may_bring_more_than_memory_holds),
	    cmocka_unit_test(what_was_staged_in_vain_goes),
	    cmocka_unit_test(a_large_row_from_the_future_is_fetched_once),
	    cmocka_unit_test(a_commit_from_the_future_waits),
	    cmocka_unit_test(most_clocks_are_right),
	    cmocka_unit_test(a_laptop_from_2036_is_not_cut_off),
		cmocka_unit_test(a_laptop_from_2036_comes_back_among_many),
		cmocka_unit_test(a_dead_link_is_found),
	    cmocka_unit_test(a_full_disk_is_not_the_peers_fault),
	    cmocka_unit_test(a_wrong_ticket_is_refused),
	    cmocka_unit_test(an_expired_ticket_is_refused),
	    cmocka_unit_test(a_ticket_is_good_once),
	    cmocka_unit_test(who_lost_the_answer_may_join_again),
	    cmocka_unit_test(who_lost_its_first_commits_may_join_again),
	    cmocka_unit_test(who_lost_its_first_commits_may_be_fetched),
	    cmocka_unit_test(an_answer_that_takes_long_is_waited_for),
	    cmocka_unit_test(a_newcomer_believes_only_its_inviter),
	    cmocka_unit_test(a_stranger_learns_nothing),
	    cmocka_unit_test(a_silent_stranger_is_sent_away),
	    cmocka_unit_test(one_of_us_does_not_believe_a_stranger_it_dials),
	    cmocka_unit_test(a_stranger_bans_nobody),
	    cmocka_unit_test(costly_requests_wait_for_their_turn),
	    cmocka_unit_test(records_wait_for_room),
	    cmocka_unit_test(no_answer_with_records_is_long),
	    cmocka_unit_test(a_slow_message_is_waited_for),
	    cmocka_unit_test(what_vouches_for_a_large_commit_comes_with_it),
	    cmocka_unit_test(garbage_drops_its_sender),
	    cmocka_unit_test(an_answer_that_nobody_asked_for_drops_its_sender),
	    cmocka_unit_test(a_wrong_signature_drops_its_sender),
	    cmocka_unit_test(an_unknown_operation_drops_its_sender),
	    cmocka_unit_test(a_writer_cannot_change_members),
	    cmocka_unit_test(a_commit_of_another_database_drops_its_sender),
	    cmocka_unit_test(who_is_removed_learns_that_and_no_more),
	    cmocka_unit_test(what_a_removed_member_goes_on_signing_comes_nowhere),
	    cmocka_unit_test(who_was_removed_may_join_again),
	    cmocka_unit_test(requests_that_are_not_read_drop_or_wait),
	    cmocka_unit_test(a_slow_peer_slows_nobody),
	};

	sw_log_set_sink(log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
