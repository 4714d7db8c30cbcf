/* Much at a time: bounded batches, each from one peer, only what is missing, large rows whole. */
#include "core/db_internal.h"
#include "tests/lib/net_swarm.h"

#define KIB 1024

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
		ops[k] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
						     .table = sw_view_str("t"),
						     .key = sw_view_str(keys[k]),
						     .row = {.mode = 0644}},
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
	net_make_chain(&net, 2, test_seed());
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "%d", i);
		net_put(&net, (size_t)i % 2, "a", text);
		if (i % 20 == 0)
			net_converge(&net, 100);
	}
	net_converge(&net, 100);
	/* One was away: exactly its part comes. */
	net_cut(&net, &net.links[0]);
	for (int i = 0; i < 30; i++) {
		snprintf(text, sizeof(text), "away %d", i);
		net_put(&net, 0, "a", text);
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
		net_put(&net, i % 8 == 0, "b", text);
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
	net_make_mesh(&net, 4, test_seed());
	net_stop(&net, 3);
	for (int i = 0; i < 60; i++)
		put_many(&net, (size_t)i % 3, i);
	net_converge(&net, 20000);
	net_run(&net, 100);
	net_start(&net, 3);
	net.n_bytes = 0;
	net_converge(&net, 20000);
	printf("%.2f times what was missing, from three peers\n",
	       (double)net.n_bytes / 60 / 106000);
	/* The first batch of each of the two others, nearly half of it all, may cross with the
	 * decision; no second one. */
	assert_true(net.n_bytes < 60 * 106000 * 2);
	net_fini(&net);
}

static void bulk_goes_in_bounded_batches(void **state)
{
	struct net net;
	struct sw_sync_counters counters;

	(void)state;
	net_make_chain(&net, 2, test_seed());
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
 * A commit whose own signature was spoiled on the way is good as long as a later one of its author
 * vouches for it, and the batch that passes it on must not end between the two.
 */
static void what_another_vouches_for_is_passed_on_with_it(void **state)
{
	struct net net;
	struct sw_incoming in[2];
	struct sw_buf texts[4] = {{0}};
	size_t n_taken;

	(void)state;
	net_make_swarm(&net, 3, test_seed());
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

static void large_work_crosses_a_mesh_about_once_per_peer(void **state)
{
	struct net net;

	(void)state;
	net_make_mesh(&net, 6, test_seed());
	net_run(&net, 3000);
	net.n_bytes = 0;
	put_many(&net, 0, 0);
	net_converge(&net, 1000);
	net_run(&net, 3000);
	printf("%.1f times the commit, for five peers\n", (double)net.n_bytes / 106000);
	/* Here news can overtake the work itself, since taking it costs no time; sent to all by all
	 * it were 25. */
	assert_in_range(net.n_bytes, 5 * 100 * 1000, 10 * 106000);
	net_fini(&net);
}

static void bulk_comes_from_one_peer_at_a_time(void **state)
{
	struct net net;
	char key[16];
	uint64_t one;

	(void)state;
	net_make_mesh(&net, 4, test_seed());
	net_stop(&net, 3);
	for (int i = 0; i < 40; i++) {
		static char text[150000];

		/* Columns do not matter here; what counts is that it does not compress. */
		for (size_t c = 0; c < sizeof(text) - 1; c++)
			text[c] = (char)('0' + rng_next(&net.rng) % 75);
		snprintf(key, sizeof(key), "k%d", i);
		net_put(&net, (size_t)i % 3, key, text);
	}
	net_converge(&net, 20000);
	net_run(&net, 100);
	net_start(&net, 3);
	net.n_bytes = 0;
	one = 40 * 150000;
	net_converge(&net, 20000);
	printf("%.2f times what was missing, from three peers\n",
	       (double)net.n_bytes / (double)one);
	assert_true(net.n_bytes < one + one / 4);
	net_verify_all(&net);
	net_fini(&net);
}

static void large_rows_come_whole(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	net_put_large(&net, 0, "small", 2000);
	net_put_large(&net, 0, "medium", 200 * KIB);
	net_put_large(&net, 0, "large", 20 * KIB * KIB);
	net_put(&net, 0, "after", "x");
	net_converge(&net, 60000);
	net_put_large(&net, 2, "large", 3 * KIB * KIB);
	net_put_large(&net, 1, "medium", 300 * KIB);
	net_converge(&net, 60000);
	net_verify_all(&net);
	net_fini(&net);
}

static void many_large_rows_do_not_wait_for_each_other(void **state)
{
	struct net net;
	struct sw_sync_counters before, after;
	char key[16];

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net_stop(&net, 1);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		net_put_large(&net, 0, key, 5000);
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
 * A commit with more than is kept in memory: what has come waits in the store, across a connection
 * that broke and a restart of the peer it comes from, and nothing of it is left when it is taken.
 */
static void a_commit_may_bring_more_than_memory_holds(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net.watch.sent = sum_records;
	bytes_of_records = 0;
	net_put_large(&net, 0, "large", 100 * KIB * KIB);
	until_staged(&net, 1);
	assert_in_range(bytes_of_records, 1, 40 * KIB * KIB);
	net_verify_all(&net);
	net_restart(&net, 0);
	net_converge(&net, 60000);
	assert_in_range(bytes_of_records, 99 * KIB * KIB, 106 * KIB * KIB);
	net_run(&net, 200);
	TEST_OK(sw_db_tidy(net.nodes[1].t.db));
	assert_int_equal(n_staged(&net, 1), 0);
	net_verify_all(&net);
	net_fini(&net);
}

/* If nothing comes of it, it goes: after a while, and when the store is opened. */
static void what_was_staged_in_vain_goes(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	for (int round = 0; round < 2; round++) {
		net_put_large(&net, 0, "large", 40 * KIB * KIB);
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
		net_verify_all(&net);
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
	net_make_chain(&net, 3, test_seed());
	net.nodes[1].skew_ms = 60000;
	net_run(&net, 10);
	net.watch.sent = sum_records;
	bytes_of_records = 0;
	net_put_large(&net, 1, "large", KIB * KIB);
	net_run(&net, 4000);
	net_converge(&net, 90000);
	/* Twice, since both others lack it; and a little more, which are indexes. */
	assert_in_range(bytes_of_records, 2 * KIB * KIB, 3 * KIB * KIB);
	net_verify_all(&net);
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_is_missing_is_sent),
	    cmocka_unit_test(bulk_goes_in_bounded_batches),
	    cmocka_unit_test(many_commits_come_from_one_peer_at_a_time),
	    cmocka_unit_test(what_another_vouches_for_is_passed_on_with_it),
	    cmocka_unit_test(large_work_crosses_a_mesh_about_once_per_peer),
	    cmocka_unit_test(bulk_comes_from_one_peer_at_a_time),
	    cmocka_unit_test(large_rows_come_whole),
	    cmocka_unit_test(many_large_rows_do_not_wait_for_each_other),
	    cmocka_unit_test(a_commit_may_bring_more_than_memory_holds),
	    cmocka_unit_test(what_was_staged_in_vain_goes),
	    cmocka_unit_test(a_large_row_from_the_future_is_fetched_once),
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
