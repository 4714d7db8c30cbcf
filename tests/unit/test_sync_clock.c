/* Peers whose clocks are wrong. */
#include "core/db_internal.h"
#include "tests/lib/net_swarm.h"

static void a_commit_from_the_future_waits(void **state)
{
	struct net net;
	struct sw_sync_counters counters;
	struct sw_head head;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	sw_db_head(net.nodes[0].t.db, &head);
	net.nodes[1].skew_ms = 60000;
	net_run(&net, 10);
	net_put(&net, 1, "a", "early");
	net_put(&net, 1, "b", "child of early");
	net_put(&net, 0, "c", "in time");
	net_run(&net, 5000);
	net_assert_row(&net, 1, "c", "in time");
	assert_int_equal(test_current(&net.nodes[0].t, "t", "a").b[0], 0);
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 1);
	assert_int_equal(net.links[0].n_drops + net.links[1].n_drops, 0);
	/* It does not hold up others' work, and enters by itself. */
	net_put(&net, 2, "d", "other way");
	net_converge(&net, 60000);
	net_run(&net, 3000);
	net_assert_row(&net, 0, "a", "early");
	net_assert_row(&net, 2, "b", "child of early");
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	net_fini(&net);
}

/* A clock that is wrong among right ones holds nobody back: neither its own commits nor those of
 * others. */
static void most_clocks_are_right(void **state)
{
	static const int64_t skews[] = {-3600000, 3600000};
	struct sw_sync_counters counters;
	struct net net;

	(void)state;
	net_make_mesh(&net, 4, test_seed());
	for (size_t i = 0; i < 2; i++) {
		net.nodes[3].skew_ms = skews[i];
		net_log_lines = 0;
		net_run(&net, 11000);               /* two PINGs at least */
		assert_int_equal(net_log_lines, 4); /* it says so itself, and the others of it */
		sw_sync_counters(net.nodes[3].sync, &counters);
		assert_in_range(counters.clock_ms + skews[i] + 1000, 900, 1100);
		sw_sync_counters(net.nodes[0].sync, &counters);
		assert_in_range(counters.clock_ms + 1000, 900, 1100);
		net_put(&net, 0, "a", i ? "from the past" : "from the future");
		net_converge(&net, 500);
		net_put(&net, 3, "a", i ? "it is now" : "it was then");
		net_converge(&net, 500);
		net_assert_row(&net, 1, "a", i ? "it is now" : "it was then");
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

/* Whoever has many keys is most of those that are connected. */
static void nobody_is_led_into_another_year(void **state)
{
	struct net net;

	(void)state;
	net_make_mesh(&net, 5, test_seed());
	for (size_t i = 2; i < 5; i++)
		net.nodes[i].skew_ms = 365 * (int64_t)86400000;
	net_run(&net, 11000);
	net_put(&net, 2, "a", "from next year");
	net_run(&net, 5000);
	net_assert_row(&net, 3, "a", "from next year");
	assert_int_equal(test_current(&net.nodes[0].t, "t", "a").b[0], 0);
	assert_int_equal(test_current(&net.nodes[1].t, "t", "a").b[0], 0);
	net_put(&net, 0, "b", "of today");
	net_run(&net, 5000);
	net_assert_row(&net, 1, "b", "of today");
	net_fini(&net);
}

/* The clock of node 1 is ten years ahead while it works alone. */
static void work_in_2036(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++) {
		if (net->links[i].ends[0] != 1 && net->links[i].ends[1] != 1)
			continue;
		net->links[i].pipes[0].blocked_until_ms = net->links[i].pipes[1].blocked_until_ms =
		    UINT64_MAX;
		net_cut(net, &net->links[i]);
	}
	net_run(net, 1000);
	net->nodes[1].skew_ms = 10 * 365 * (int64_t)86400000;
	net_run(net, 100);
	net_put(net, 1, "a", "alone");
	net_put(net, 1, "b", "alone, too");
}

static void come_back(struct net *net)
{
	for (size_t i = 0; i < net->n_links; i++)
		net->links[i].pipes[0].blocked_until_ms = net->links[i].pipes[1].blocked_until_ms =
		    0;
}

/* Two clocks: nobody knows which is right. What the other could not take is not sent, and signed
 * again later. */
static void a_laptop_from_2036_is_not_cut_off(void **state)
{
	struct sw_sync_counters counters;
	uint64_t n_pulls;
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	work_in_2036(&net);
	come_back(&net);
	net_run(&net, 20000);
	n_pulls = net.by_type[SW_MSG_PULL];
	net_put(&net, 0, "c", "meanwhile");
	net_put(&net, 1, "d", "still in 2036");
	net_run(&net, 60000);
	net_assert_row(&net, 1, "c", "meanwhile");
	assert_int_equal(test_current(&net.nodes[0].t, "t", "a").b[0], 0);
	assert_in_range(net.by_type[SW_MSG_PULL] - n_pulls, 1,
			15); /* it asks, but not all the time */
	sw_sync_counters(net.nodes[1].sync, &counters);
	assert_in_range(counters.n_held, 3, 4);
	sw_sync_counters(net.nodes[0].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	net.nodes[1].skew_ms = 0;
	net_converge(&net, 7000); /* the next PONG tells */
	net_assert_row(&net, 0, "b", "alone, too");
	net_assert_row(&net, 0, "d", "still in 2036");
	net_put(&net, 0, "a", "after it");
	net_converge(&net, 500);
	net_assert_row(&net, 1, "a", "after it");
	net_run(&net, 200);
	sw_sync_counters(net.nodes[1].sync, &counters);
	assert_int_equal(counters.n_held, 0);
	net_verify_all(&net);
	net_fini(&net);
}

/* Among more the time is known, so it comes back with its work though its clock is still wrong. */
static void a_laptop_from_2036_comes_back_among_many(void **state)
{
	struct net net;

	(void)state;
	net_make_mesh(&net, 4, test_seed());
	work_in_2036(&net);
	come_back(&net);
	net_converge(&net, 15000);
	net_assert_row(&net, 3, "b", "alone, too");
	net_put(&net, 2, "a", "after it");
	net_converge(&net, 500);
	net_assert_row(&net, 1, "a", "after it");
	net_verify_all(&net);
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_commit_from_the_future_waits),
	    cmocka_unit_test(most_clocks_are_right),
	    cmocka_unit_test(a_laptop_from_2036_is_not_cut_off),
	    cmocka_unit_test(nobody_is_led_into_another_year),
	    cmocka_unit_test(a_laptop_from_2036_comes_back_among_many),
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
