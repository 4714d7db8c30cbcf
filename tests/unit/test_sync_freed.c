/*
 * Peers that have freed content by gc among others that keep it: who lacks something is told so,
 * gets it from another, and nobody gets stuck or diverges.
 */
#include "core/db_internal.h"
#include "core/gc.h"
#include "core/log.h"
#include "core/settled.h"
#include "tests/lib/net_swarm.h"

static char last_log[1024];
static size_t n_log_lines;

static void log_sink(enum sw_log_level level, const char *line)
{
	if (level > SW_LOG_WARN)
		return;
	n_log_lines++;
	snprintf(last_log, sizeof(last_log), "%s", line);
}

static struct sw_ticket tickets[NET_NODES_MAX];

static struct sw_gc_report gc(struct net *net, size_t at)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;

	TEST_OK(sw_db_gc(net->nodes[at].t.db, &options, &report));
	test_verify(&net->nodes[at].t);
	return report;
}

static struct sw_sync_counters counters(struct net *net, size_t at)
{
	struct sw_sync_counters n;

	sw_sync_counters(net->nodes[at].sync, &n);
	return n;
}

static struct net_link *join(struct net *net, size_t from, size_t to)
{
	net_ticket(net, to, 1000000, &tickets[from]);
	return net_connect(net, from, to, &tickets[from]);
}

/* A newcomer waits, and says for what, as long as it only reaches one who has freed; then both
 * bring it what they can. */
static void what_was_freed_comes_from_who_keeps_it(void **state)
{
	struct sw_peer_status status = {0};
	struct net_link *l;
	struct net net;
	char text[64];

	(void)state;
	sw_log_set_sink(log_sink);
	net_init(&net, test_seed());
	net_add_creator(&net);
	net_add_clone(&net);
	join(&net, 1, 0);
	net_converge(&net, 60000);
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%d", i);
		test_put(&net.nodes[i % 2].t, "t", i % 3 ? "a" : "b", text);
		net_run(&net, 20);
	}
	net_converge(&net, 60000);
	net_run(&net, 10000); /* until it is settled */
	assert_true(gc(&net, 0).n_commits > 250);
	net_add_clone(&net);
	l = join(&net, 2, 0);
	n_log_lines = 0;
	net_run(&net, 60000);
	assert_int_equal(counters(&net, 2).n_freed, 1);
	assert_true(sw_sync_peer_status(net.nodes[2].sync, l->conn, net.now_ms, &status) &&
		    status.has_freed);
	assert_true(n_log_lines > 0 &&
		    strstr(last_log, "waiting for a peer that keeps all history"));
	assert_in_range(n_log_lines, 1, 2);
	assert_true(net.by_type[SW_MSG_FREED] < 5);

	net_connect(&net, 2, 1, NULL);
	net_converge(&net, 60000);
	net_run(&net, 3000);
	assert_int_equal(counters(&net, 2).n_freed, 0);
	assert_true(test_get(&net.nodes[2].t, "t", "a", text, sizeof(text)));
	/* And again from the first. */
	net_cut(&net, &net.links[2]);
	net.n_links = 2;
	test_put(&net.nodes[0].t, "t", "a", "newer");
	net_converge(&net, 10000);
	test_put(&net.nodes[2].t, "t", "a", "newest");
	net_converge(&net, 10000);
	for (size_t i = 0; i < 3; i++)
		test_verify(&net.nodes[i].t);
	net_fini(&net);
	sw_log_set_sink(NULL);
}

/* A reader was away for long, and has less than what all writers have seen: what it has is not told
 * to be missing. */
static void who_was_away_finds_who_keeps_it(void **state)
{
	struct net net;
	char text[64];

	(void)state;
	net_init(&net, test_seed());
	net_add_creator(&net);
	for (size_t i = 1; i < 3; i++) {
		net_add_clone(&net);
		join(&net, i, 0)->manual = true;
	}
	net_converge(&net, 60000);
	/* The last one may only read from now on, and is away. */
	net_make_reader(&net, 0, 2);
	net_converge(&net, 60000);
	net_cut(&net, &net.links[1]);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		test_put(&net.nodes[i % 2].t, "t", "a", text);
		net_run(&net, 20);
	}
	net_run(&net, 10000);
	assert_true(gc(&net, 0).n_commits > 90);
	net_connect(&net, 2, 0, NULL);
	net_run(&net, 5000);
	assert_int_equal(counters(&net, 2).n_freed, 1);
	net_connect(&net, 2, 1, NULL);
	net_converge(&net, 60000);
	for (size_t i = 0; i < 3; i++)
		test_verify(&net.nodes[i].t);
	net_fini(&net);
}

/* A revocation that reaches below what was freed waits, with what stands on it; all others go on,
 * and so does what does not. */
static void what_reaches_into_what_was_freed_waits(void **state)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_REVOKE, .names_stand = true}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_head before, head;
	struct sw_hash first, id;
	char text[64];
	struct net net;

	(void)state;
	sw_log_set_sink(log_sink);
	net_init(&net, test_seed());
	net_add_creator(&net);
	for (size_t i = 1; i < 3; i++) {
		net_add_clone(&net);
		join(&net, i, 0)->manual = true;
	}
	net_converge(&net, 60000);
	first = test_put(&net.nodes[2].t, "t", "a", "good");
	net_converge(&net, 60000);
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "bad %d", i);
		test_put(&net.nodes[2].t, "t", "a", text);
		net_run(&net, 20);
	}
	net_converge(&net, 60000);
	net_run(&net, 10000);
	assert_true(gc(&net, 1).n_commits > 10);
	sw_db_head(net.nodes[1].t.db, &before);
	op.op.member = *sw_db_key(net.nodes[2].t.db);
	op.op.stand = sw_hash_view(&first);
	TEST_OK(sw_db_commit(net.nodes[0].t.db, &w, &id));
	n_log_lines = 0;
	net_run(&net, 20000);
	assert_true(test_get(&net.nodes[0].t, "t", "a", text, sizeof(text)));
	assert_string_equal(text, "good");
	sw_db_head(net.nodes[1].t.db, &head);
	assert_true(sw_head_eq(&before, &head));
	assert_true(counters(&net, 1).reaches_down);
	assert_memory_equal(counters(&net, 1).down.b, id.b, SW_HASH_SIZE);
	assert_true(n_log_lines > 0 &&
		    strstr(last_log, "changes history whose content gc has freed"));
	assert_in_range(n_log_lines, 1, 2);
	/* What it makes itself goes on, and reaches the others. */
	test_put(&net.nodes[1].t, "t", "b", "still");
	net_run(&net, 5000);
	assert_true(test_get(&net.nodes[0].t, "t", "b", text, sizeof(text)));
	test_verify(&net.nodes[0].t);
	test_verify(&net.nodes[1].t);
	net_fini(&net);
	sw_log_set_sink(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_freed_comes_from_who_keeps_it),
	    cmocka_unit_test(who_was_away_finds_who_keeps_it),
	    cmocka_unit_test(what_reaches_into_what_was_freed_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
