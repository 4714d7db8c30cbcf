/* Honest peers: joined by links that are slow, break or swallow what they carry, they come to hold
 * the same. */
#include "core/db_internal.h"
#include "tests/lib/net_swarm.h"

#define KIB 1024

static bool in_sync(struct net *net, struct net_link *l, size_t end)
{
	struct sw_peer_status st = {0};

	return l->conn &&
	       sw_sync_peer_status(net->nodes[l->ends[end]].sync, l->conn, net->now_ms, &st) &&
	       st.state == SW_PEER_IN_SYNC;
}

static void a_newcomer_joins_and_clones(void **state)
{
	struct net net;
	uint64_t have, want;

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	for (int i = 0; i < 50; i++)
		net_put(&net, 0, "a", i % 2 ? "one" : "two");
	net_add_clone(&net);
	net_ticket(&net, 0, 1000, &net_tickets[1]);
	net_connect(&net, 1, 0, &net_tickets[1]);
	net_converge(&net, 1000);
	net_assert_row(&net, 1, "a", "one");
	net_run(&net, 10);
	assert_true(sw_sync_is_synced(net.nodes[1].sync, &have, &want));
	net_put(&net, 1, "b", "from the newcomer");
	net_converge(&net, 100);
	net_assert_row(&net, 0, "b", "from the newcomer");
	net_verify_all(&net);
	net_fini(&net);
}

static void a_commit_passes_along_a_chain(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 4, test_seed());
	net.delay_ms_max = 0; /* one millisecond a message */
	net_put(&net, 0, "a", "hop");
	assert_in_range(net_converge(&net, 1000), 0, 10); /* a message each hop */
	net_assert_row(&net, 3, "a", "hop");
	net_put(&net, 3, "a", "back");
	net_converge(&net, 20);
	net_assert_row(&net, 0, "a", "back");
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
	net_make_chain(&net, 2, test_seed());
	memset(text, 'x', 100);
	text[100] = '\0';
	net_put(&net, 0, "1001.json", text);
	net_converge(&net, 1000);
	net_run(&net, 20);
	before = net.n_bytes;
	messages = net.n_messages;
	for (char c = 'a'; c <= 'j'; c++) {
		memset(text, c, 100);
		net_put(&net, 0, "1001.json", text);
		net_converge(&net, 1000);
		net_run(&net, 20);
	}
	printf("%llu bytes in %llu messages per commit\n",
	       (unsigned long long)(net.n_bytes - before) / 10,
	       (unsigned long long)(net.n_messages - messages) / 10);
	assert_in_range((net.n_bytes - before) / 10, 100, 499);
	net_fini(&net);
}

static void who_was_away_catches_up(void **state)
{
	struct net net;
	char key[16];

	(void)state;
	net_make_chain(&net, 3, test_seed());
	net_stop(&net, 1);
	net_run(&net, 100);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "k%d", i % 40);
		net_put(&net, i % 2 ? 0 : 2, key, i % 3 ? "x" : "y");
	}
	assert_false(net_converged(&net));
	net_run(&net, 20000);
	net_start(&net, 1);
	for (size_t i = 0; i < net.n_links; i++)
		net_cut(&net, &net.links[i]);
	net_converge(&net, 5000);
	net_verify_all(&net);
	net_fini(&net);
}

static void a_restart_loses_nothing(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	for (size_t i = 0; i < 3; i++) {
		net_put(&net, i, "a", "before");
		net_restart(&net, i);
		net_put(&net, i, "b", "after");
	}
	net_converge(&net, 5000);
	for (size_t i = 0; i < 3; i++)
		net_assert_row(&net, i, "b", "after");
	net_verify_all(&net);
	net_fini(&net);
}

static void lost_adverts_are_made_up_for(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	net.lose_heads = 2;
	for (int i = 0; i < 20; i++) {
		net_put(&net, (size_t)i % 3, "a", i % 2 ? "x" : "y");
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
			net_make_mesh(&net, n, seed + (uint64_t)round);
		else
			net_make_chain(&net, n, seed + (uint64_t)round);
		net.delay_ms_max = 20;
		net.break_one_in = 30;
		net.lose_heads = 4;
		for (int i = 0; i < 150; i++) {
			size_t at = rng_below(&net.rng, (uint32_t)n);

			if (rng_below(&net.rng, 40) == 0)
				net_restart(&net, at);
			snprintf(key, sizeof(key), "k%u", rng_below(&net.rng, 12));
			snprintf(text, sizeof(text), "%d", i);
			net_put(&net, at, key, text);
			net_run(&net, rng_below(&net.rng, 30));
		}
		net.break_one_in = net.lose_heads = 0;
		net_converge(&net, 30000);
		net_verify_all(&net);
		net_fini(&net);
	}
}

static uint64_t n_batches(const struct net *net, size_t at)
{
	struct sw_sync_counters c;

	sw_sync_counters(net->nodes[at].sync, &c);
	return c.n_batches;
}

static void a_thousand_crossing_commits(void **state)
{
	struct net net;
	char key[16];
	uint64_t sum = 0;

	(void)state;
	net_make_swarm(&net, 5, test_seed());
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		net_put(&net, (size_t)i % 5, key, "x");
	}
	net.n_bytes = 0;
	for (size_t i = 1; i < 5; i++)
		for (size_t k = 0; k < i; k++)
			net_connect(&net, i, k, NULL);
	printf("converged in %llu virtual ms, ", (unsigned long long)net_converge(&net, 10000));
	for (size_t i = 0; i < 5; i++)
		sum += n_batches(&net, i);
	printf("%llu KiB, %llu batches\n", (unsigned long long)net.n_bytes / KIB,
	       (unsigned long long)sum);
	net_run(&net, 1000);
	assert_true(sum < 200);
	net_fini(&net);
}

/*
 * What comes while an answer is on its way, or being stored, goes with the next one: so a burst
 * costs a batch for each round trip that it lasts, however many commits it has.
 */
static void a_burst_is_few_batches(void **state)
{
	struct net net;
	uint64_t before;
	char text[16];

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net.delay_ms_max = 0;
	net.links[0].delay_ms_min = 20;
	net_converge(&net, 1000);
	before = n_batches(&net, 1);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		net_put(&net, 0, "a", text);
	}
	net_converge(&net, 1000);
	printf("%llu batches for a hundred commits at once\n",
	       (unsigned long long)(n_batches(&net, 1) - before));
	assert_in_range(n_batches(&net, 1) - before, 1, 2);
	before = n_batches(&net, 1);
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "%d", i);
		net_put(&net, 0, "a", text);
		net_run(&net, 1);
	}
	net_converge(&net, 1000);
	printf("%llu batches for one in each of 400 ms\n",
	       (unsigned long long)(n_batches(&net, 1) - before));
	assert_in_range(n_batches(&net, 1) - before, 5, 400 / 40 + 2);
	net_fini(&net);
}

static void a_mesh_does_not_echo(void **state)
{
	struct net net;
	uint64_t before, marks;

	(void)state;
	net_make_mesh(&net, 6, test_seed());
	net_put(&net, 0, "a", "0");
	net_converge(&net, 1000);
	net_run(&net, 5000);
	before = net.n_messages;
	marks = net.by_type[SW_MSG_WATERMARKS];
	net_put(&net, 0, "a", "1");
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

static void two_who_dial_each_other_keep_one_connection(void **state)
{
	struct net net;
	size_t n_up = 0;

	(void)state;
	net_make_swarm(&net, 2, test_seed());
	net_connect(&net, 0, 1, NULL)->manual = true;
	net_connect(&net, 1, 0, NULL)->manual = true;
	net_run(&net, 500);
	for (size_t i = 0; i < 2; i++)
		n_up += net.links[i].conn != 0;
	assert_int_equal(n_up, 1);
	net_put(&net, 0, "a", "x");
	net_converge(&net, 100);
	net_fini(&net);
}

static void a_dead_link_is_found(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	net.links[0].mute = true;
	net_run(&net, 14000);
	assert_int_not_equal(net.links[0].conn, 0);
	net_run(&net, 3000);
	assert_in_range(net.links[0].n_drops, 1, 2);
	assert_int_equal(net.links[1].n_drops, 0);
	net_fini(&net);
}

/* Between two ticks that are far apart a peer may well be heard. */
static void who_was_heard_during_a_stall_is_not_dropped(void **state)
{
	struct net net;
	struct sw_sync *sync;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	sync = net.nodes[1].sync;
	sw_sync_tick(sync, net.now_ms);
	sw_sync_heard(sync, net.links[0].conn, net.now_ms + 1900);
	sw_sync_tick(sync, net.now_ms + 2000);
	assert_int_equal(net.links[0].n_drops, 0);
	assert_int_not_equal(net.links[0].conn, 0);
	net_fini(&net);
}

static void a_full_disk_is_not_the_peers_fault(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net.nodes[1].t.env.fail_in = 1;
	net.nodes[1].t.env.fail_rc = SW_ENOSPC;
	net_put(&net, 0, "a", "x");
	net_run(&net, 500);
	assert_false(net_converged(&net));
	assert_int_equal(net.links[0].n_drops, 0);
	net_converge(&net, 5000);
	net.nodes[1].t.env.fail_in = 1;
	net.nodes[1].t.env.fail_rc = SW_EIO;
	net_put(&net, 0, "a", "y");
	net_converge(&net, 5000);
	assert_int_equal(net.links[0].n_drops, 0);
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_newcomer_joins_and_clones),
	    cmocka_unit_test(a_commit_passes_along_a_chain),
	    cmocka_unit_test(one_commit_costs_less_than_500_bytes),
	    cmocka_unit_test(who_was_away_catches_up),
	    cmocka_unit_test(a_restart_loses_nothing),
	    cmocka_unit_test(lost_adverts_are_made_up_for),
	    cmocka_unit_test(crossing_writes_converge_whatever_breaks),
	    cmocka_unit_test(a_thousand_crossing_commits),
	    cmocka_unit_test(a_burst_is_few_batches),
	    cmocka_unit_test(a_mesh_does_not_echo),
	    cmocka_unit_test(two_who_dial_each_other_keep_one_connection),
	    cmocka_unit_test(a_dead_link_is_found),
	    cmocka_unit_test(who_was_heard_during_a_stall_is_not_dropped),
	    cmocka_unit_test(a_full_disk_is_not_the_peers_fault),
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
