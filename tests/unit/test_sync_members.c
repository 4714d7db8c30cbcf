/* Who is let in, by which ticket, and who is removed. */
#include "core/db_internal.h"
#include "tests/lib/net_swarm.h"

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
	net_log_lines = 0;
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
	net_put(&net, 1, "a", "member");
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
	net_put(&net, 1, "a", "member");
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
	net_make_swarm(&net, 2, test_seed());
	for (size_t i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		net_put(&net, 0, key, "text");
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
	net_make_swarm(&net, 2, test_seed());
	net_ticket(&net, 0, 100000, &t);
	net_add_clone(&net);
	/* The address leads to somebody else: the secret is not shown to it. */
	net_connect(&net, 2, 1, &t)->manual = true;
	net.n_messages = 0;
	net_run(&net, 500);
	assert_int_equal(net.by_type[SW_MSG_JOIN], 1); /* that of net_make_swarm() */
	assert_non_null(strstr(net.links[0].reason, "ticket"));
	net_connect(&net, 2, 1, NULL)->manual = true;
	net_run(&net, 500);
	assert_int_equal(net.links[1].n_drops > 0, true);
	net_fini(&net);
}

static void remove_member(struct net *net, size_t by, size_t whom)
{
	net_govern(net, by, SW_OP_REVOKE, whom, 0);
}

static void assert_removed(struct net *net, size_t at)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_MKTABLE, .table = sw_view_str("t2")}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};
	struct sw_hash id;

	assert_int_equal(sw_db_own_role(net->nodes[at].t.db), 0);
	assert_int_equal(sw_db_commit(net->nodes[at].t.db, &w, &id), SW_EDENIED);
}

/* The role of a node's key, as another knows it. */
static int role_at(struct net *net, size_t at, size_t whom)
{
	struct sw_reader r;
	int role = 0;

	TEST_OK(sw_reader_begin(net->nodes[at].t.db, &r));
	TEST_OK(sw_db_role(&r, sw_db_key(net->nodes[whom].t.db), &role));
	sw_reader_end(&r);
	return role;
}

static bool has_row(struct net *net, size_t at, const char *key)
{
	char text[200];

	return test_get(&net->nodes[at].t, "t", key, text, sizeof(text));
}

/* A store takes a new key, and its connections end before anybody has heard of that: it comes back with the old one, and tells. */
static void a_new_key_is_made_known_with_the_old_one(void **state)
{
	struct sw_key old, new;
	struct net net;

	(void)state;
	for (int restarts = 0; restarts < 2; restarts++) {
		struct test_db *t;

		net_make_swarm(&net, 2, test_seed());
		net_connect(&net, 1, 0, NULL);
		net_converge(&net, 1000);
		t = &net.nodes[1].t;
		net_cut(&net, &net.links[net.n_links - 1]);
		old = *sw_db_key(t->db);
		TEST_OK(sw_db_renew_key(t->db));
		new = *sw_db_key(t->db);
		assert_false(sw_key_eq(&old, &new));
		if (restarts)
			net_restart(&net, 1);
		assert_true(sw_db_is_between_keys(t->db));
		assert_true(sw_key_eq(&old, sw_identity_key(sw_db_session_identity(t->db))));
		net_converge(&net, 5000);
		assert_int_equal(role_at(&net, 0, 1), SW_ROLE_WRITER); /* the new one */
		net_run(&net, 2000);
		assert_false(sw_db_is_between_keys(t->db));
		assert_true(sw_key_eq(&new, sw_identity_key(sw_db_session_identity(t->db))));
		/* From now on with the new one alone. */
		net_govern_key(&net, 0, SW_OP_REVOKE, &old, 0);
		net_restart(&net, 1);
		net_put(&net, 1, "r", "with the new key");
		net_converge(&net, 5000);
		net_assert_row(&net, 0, "r", "with the new key");
		net_verify_all(&net);
		net_fini(&net);
	}
}

/* What a removed member signs, and an honest peer passes on before it has heard of that, is bounded: rows and all, over all connections. */
static void what_removed_members_sign_does_not_fill_the_disk(void **state)
{
	struct net_link *l;
	struct net net;

	(void)state;
	net_make_swarm(&net, 4, test_seed());
	net_connect(&net, 1, 2, NULL);
	net_connect(&net, 3, 2, NULL);
	net_connect(&net, 2, 0, NULL)->manual = true;
	net_converge(&net, 1000);
	for (size_t whom = 1; whom < 4; whom += 2) {
		struct sw_hash row;

		net_cut(&net, &net.links[net.n_links - 1]);
		remove_member(&net, 0, whom);
		net_put_large(&net, whom, whom == 1 ? "r1" : "r3", (size_t)40 << 20);
		net_run(&net, 5000);
		row = test_current(&net.nodes[2].t, "t", whom == 1 ? "r1" : "r3");
		assert_false(sw_hash_is_zero(&row));
		l = net_connect(&net, 2, 0, NULL);
		l->manual = true;
		net_run(&net, 5000);
		assert_int_equal(l->n_drops > 0, whom == 3);
	}
	assert_non_null(strstr(l->reason, "removed members signed"));
	net_run(&net, 60000); /* it is forgiven */
	net_connect(&net, 2, 0, NULL);
	net_put(&net, 2, "honest", "text");
	net_run(&net, 5000);
	assert_true(has_row(&net, 0, "honest"));
	net_verify_all(&net);
	net_fini(&net);
}

/* Whoever dialled, whoever was away: it hears of its removal, and of nothing that was signed later.
 */
static void who_is_removed_learns_that_and_no_more(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		bool was_away = way % 2;
		struct net net;

		net_make_swarm(&net, 3, test_seed());
		net_connect(&net, way < 2 ? 1 : 0, way < 2 ? 0 : 1, NULL);
		net_connect(&net, 2, 0, NULL);
		net_run(&net, 200);
		net_put(&net, 1, "a", "its own");
		net_converge(&net, 1000);
		if (was_away)
			net_stop(&net, 1);
		net_put(&net, 0, "b", "before");
		remove_member(&net, 0, 1);
		net_put(&net, 0, "c", "after");
		if (was_away) {
			net_run(&net, 500);
			net_start(&net, 1);
		}
		net_run(&net, 20000);
		assert_removed(&net, 1);
		net_assert_row(&net, 1, "a", "its own");
		net_assert_row(&net, 1, "b", "before");
		assert_false(has_row(&net, 1, "c"));
		assert_non_null(strstr(net.links[0].reason, "removed"));
		net_assert_row(&net, 2, "c", "after");
		net_verify_all(&net);
		net_fini(&net);
	}
}

static void what_a_removed_member_goes_on_signing_comes_nowhere(void **state)
{
	struct sw_head before, after;
	struct net net;

	(void)state;
	net_make_swarm(&net, 4, test_seed());
	/* 1 is removed; 3 does not hear of it, and stays connected with 1 and later with 2. */
	net_connect(&net, 2, 0, NULL);
	net_connect(&net, 3, 1, NULL);
	net_run(&net, 200);
	remove_member(&net, 0, 1);
	net_run(&net, 2000);
	sw_db_head(net.nodes[0].t.db, &before);
	for (int i = 0; i < 5; i++)
		net_put(&net, 1, "a", i % 2 ? "x" : "y");
	net_run(&net, 2000);
	net_assert_row(&net, 3, "a", "y");
	net_connect(&net, 3, 2, NULL);
	net_run(&net, 20000);
	sw_db_head(net.nodes[0].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	sw_db_head(net.nodes[2].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	sw_db_head(net.nodes[3].t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	assert_removed(&net, 1);
	net_verify_all(&net);
	net_fini(&net);
}

/* Let in by an admin who was removed before that was known: its grant counts no more, and it gets
 * nothing more. */
static void whose_grant_turns_void_is_sent_away(void **state)
{
	struct net net;
	struct sw_ticket t;
	size_t before;

	(void)state;
	net_make_swarm(&net, 3, test_seed());
	net_connect(&net, 1, 0, NULL);
	net_connect(&net, 2, 1, NULL);
	net_run(&net, 200);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_ADMIN);
	net_converge(&net, 5000);
	net_cut(&net, &net.links[0]);
	net.links[0].again_ms = 0;
	net_ticket(&net, 1, 100000, &t);
	net_add_clone(&net);
	net_connect(&net, 3, 1, &t)->manual = true;
	net_run(&net, 2000);
	net_connect(&net, 3, 2, NULL);
	net_run(&net, 1000);
	assert_int_not_equal(net.links[3].conn, 0);
	/* The creator, who has not heard of 3, removes 1; 2 hears of that. */
	remove_member(&net, 0, 1);
	net_cut(&net, &net.links[2]);
	before = net.links[3].n_drops;
	net_connect(&net, 2, 0, NULL);
	net_run(&net, 3000);
	assert_true(net.links[3].n_drops > before);
	net_put(&net, 0, "c", "after");
	net_run(&net, 30000);
	net_assert_row(&net, 2, "c", "after");
	assert_false(has_row(&net, 3, "c"));
	net_fini(&net);
}

/* By another ticket: the one that it came with once is used. */
static void who_was_removed_may_join_again(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net_put(&net, 1, "a", "its own");
	net_converge(&net, 1000);
	remove_member(&net, 0, 1);
	net_run(&net, 5000);
	assert_removed(&net, 1);
	net_cut(&net, &net.links[0]);
	net.links[0].ticket = &net_tickets[1];
	net_run(&net, 60000);
	assert_removed(&net, 1);
	assert_true(net.links[0].n_drops > 0);
	assert_int_equal(role_at(&net, 0, 1), 0);
	net_ticket(&net, 0, 100000, &net_tickets[1]);
	net_run(&net, 60000);
	assert_int_equal(sw_db_own_role(net.nodes[1].t.db), SW_ROLE_WRITER);
	net_put(&net, 1, "b", "again");
	net_converge(&net, 1000);
	net_assert_row(&net, 0, "b", "again");
	net_verify_all(&net);
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wrong_ticket_is_refused),
	    cmocka_unit_test(an_expired_ticket_is_refused),
	    cmocka_unit_test(a_ticket_is_good_once),
	    cmocka_unit_test(who_lost_the_answer_may_join_again),
	    cmocka_unit_test(who_lost_its_first_commits_may_join_again),
	    cmocka_unit_test(who_lost_its_first_commits_may_be_fetched),
	    cmocka_unit_test(an_answer_that_takes_long_is_waited_for),
	    cmocka_unit_test(a_newcomer_believes_only_its_inviter),
	    cmocka_unit_test(a_new_key_is_made_known_with_the_old_one),
	    cmocka_unit_test(what_removed_members_sign_does_not_fill_the_disk),
	    cmocka_unit_test(who_is_removed_learns_that_and_no_more),
	    cmocka_unit_test(what_a_removed_member_goes_on_signing_comes_nowhere),
	    cmocka_unit_test(whose_grant_turns_void_is_sent_away),
	    cmocka_unit_test(who_was_removed_may_join_again),
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
