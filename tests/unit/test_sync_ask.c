/* Asking to be let in without a ticket: it waits for an admin, wherever that is, and nothing else comes of it. */
#include "tests/lib/net_swarm.h"

#define OWN_KEY(net, at) (sw_db_key((net)->nodes[at].t.db))

static struct sw_ticket door; /* the join address in use */

/* Where node `of` keeps requests. */
static const struct sw_ticket *door_of(struct net *net, size_t of)
{
	struct test_db *t = &net->nodes[of].t;

	door = (struct sw_ticket){.asks = true, .database = *sw_db_id(t->db), .inviter = *sw_db_key(t->db), .n_addresses = 1};
	return &door;
}

static size_t count_requests(struct net *net, size_t at, struct sw_request *out)
{
	return sw_sync_requests(net->nodes[at].sync, out, net_node_ms(net, at));
}

/* Node `at` keeps the request of node `of`, and no other. */
static void assert_asks(struct net *net, size_t at, size_t of)
{
	struct sw_request v[SW_REQUESTS_MAX];

	assert_int_equal(count_requests(net, at, v), 1);
	assert_true(sw_key_eq(&v[0].key, OWN_KEY(net, of)));
}

static void assert_nobody_asks(struct net *net, size_t at)
{
	struct sw_request v[SW_REQUESTS_MAX];
	struct sw_sync_counters n;

	assert_int_equal(count_requests(net, at, v), 0);
	sw_sync_counters(net->nodes[at].sync, &n);
	assert_int_equal(n.n_requests, 0);
}

/* Time goes by, and only ticks at its end. */
static void pass(struct net *net, uint64_t ms)
{
	net->now_ms += ms;
	net_run(net, 200);
}

static uint64_t count_at(struct net *net, size_t at)
{
	struct sw_head head;

	sw_db_head(net->nodes[at].t.db, &head);
	return head.count;
}

/* Node 0 made the database; node 1 asks it to be let in, over the last link. */
static void make_asking(struct net *net)
{
	net_make_swarm(net, 1, test_seed());
	net_put(net, 0, "a", "secret");
	net_add_clone(net);
	sw_sync_set_text(net->nodes[1].sync, sw_view_str("it is me"));
	net_connect(net, 1, 0, door_of(net, 0));
	net_run(net, 500);
	assert_asks(net, 0, 1);
	assert_true(sw_sync_is_pending(net->nodes[1].sync));
}

static void who_asks_waits_for_an_admin_and_is_let_in(void **state)
{
	struct sw_request v[SW_REQUESTS_MAX];
	struct net net;

	(void)state;
	make_asking(&net);
	assert_int_equal(count_requests(&net, 0, v), 1);
	assert_true(sw_view_eq(sw_view(v[0].text, v[0].n_text), sw_view_str("it is me")));
	assert_string_equal(v[0].address, "tcp://10.0.0.1:1");
	/* For ten minutes, over one connection, and it gets nothing but that it has to wait. */
	net_run(&net, 600000);
	assert_asks(&net, 0, 1);
	assert_int_equal(net.links[0].n_drops, 0);
	assert_int_equal(net.by_type[SW_MSG_ASK], net.by_type[SW_MSG_JOINED]);
	assert_int_equal(net.by_type[SW_MSG_ASK] + net.by_type[SW_MSG_JOINED], net.n_messages);
	assert_int_equal(count_at(&net, 1), 0);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_WRITER);
	net_converge(&net, 1000);
	assert_nobody_asks(&net, 0);
	assert_false(sw_sync_is_pending(net.nodes[1].sync));
	net_put(&net, 1, "b", "from the newcomer");
	net_converge(&net, 1000);
	net_assert_row(&net, 0, "b", "from the newcomer");
	net_verify_all(&net);
	net_fini(&net);
}

/* The peer that it asks is no admin; an admin elsewhere lets it in by its key. */
static void a_grant_from_anywhere_lets_it_in(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net_converge(&net, 1000);
	net_add_clone(&net);
	net_connect(&net, 2, 1, door_of(&net, 1));
	net_run(&net, 500);
	assert_asks(&net, 1, 2);
	assert_nobody_asks(&net, 0);
	net_govern(&net, 0, SW_OP_GRANT, 2, SW_ROLE_WRITER);
	net_converge(&net, 3000);
	assert_nobody_asks(&net, 1);
	net_put(&net, 2, "b", "from the newcomer");
	net_converge(&net, 1000);
	net_fini(&net);
}

static void who_was_let_in_before_need_not_wait(void **state)
{
	struct net net;

	(void)state;
	net_make_swarm(&net, 1, test_seed());
	net_add_clone(&net);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_READER);
	net_connect(&net, 1, 0, door_of(&net, 0));
	net_converge(&net, 2000);
	assert_int_equal(net.by_type[SW_MSG_JOINED], 0);
	net_fini(&net);
}

/* The request is the key's, over whatever connections; the newcomer may end, and the peer forget. */
static void a_request_outlives_what_breaks(void **state)
{
	struct net net;

	(void)state;
	make_asking(&net);
	net_cut(&net, &net.links[0]);
	assert_asks(&net, 0, 1);
	net_run(&net, 2000);
	assert_true(sw_sync_is_pending(net.nodes[1].sync));
	assert_asks(&net, 0, 1);
	/* The newcomer is away for a day, and comes back with its key. */
	net_stop(&net, 1);
	pass(&net, 24 * 3600000);
	assert_asks(&net, 0, 1);
	net_restart(&net, 1);
	net_run(&net, 3000);
	assert_asks(&net, 0, 1);
	/* The peer has nothing of it on disk. */
	net_restart(&net, 0);
	assert_nobody_asks(&net, 0);
	net_run(&net, 3000);
	assert_asks(&net, 0, 1);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_WRITER);
	net_converge(&net, 3000);
	net_fini(&net);
}

static void a_request_that_nobody_repeats_is_forgotten(void **state)
{
	struct net net;

	(void)state;
	make_asking(&net);
	net_stop(&net, 1);
	pass(&net, SW_REQUEST_MS - 10000);
	assert_asks(&net, 0, 1);
	pass(&net, 20000);
	assert_nobody_asks(&net, 0);
	net_fini(&net);
}

static void who_is_rejected_is_told_and_stays_so_until_somebody_lets_it_in(void **state)
{
	struct net net;

	(void)state;
	make_asking(&net);
	assert_int_equal(sw_sync_reject(net.nodes[0].sync, OWN_KEY(&net, 0), net_node_ms(&net, 0)), SW_ENOTFOUND);
	TEST_OK(sw_sync_reject(net.nodes[0].sync, OWN_KEY(&net, 1), net_node_ms(&net, 0)));
	net_run(&net, 200);
	assert_non_null(sw_sync_refusal(net.nodes[1].sync));
	assert_non_null(strstr(sw_sync_refusal(net.nodes[1].sync), "rejected"));
	assert_nobody_asks(&net, 0);
	net_restart(&net, 1);
	assert_null(sw_sync_refusal(net.nodes[1].sync));
	net_run(&net, 3000);
	assert_non_null(sw_sync_refusal(net.nodes[1].sync));
	assert_nobody_asks(&net, 0);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_WRITER);
	net_converge(&net, 3000);
	net_fini(&net);
}

/* Also with the store that it has; and what is new meanwhile it does not get. */
static void who_was_taken_out_waits_as_anybody(void **state)
{
	struct net net;
	uint64_t count;

	(void)state;
	make_asking(&net);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_WRITER);
	net_converge(&net, 2000);
	net_govern(&net, 0, SW_OP_REVOKE, 1, 0);
	net_run(&net, 3000);
	assert_int_equal(sw_db_own_role(net.nodes[1].t.db), 0);
	assert_asks(&net, 0, 1);
	assert_true(sw_sync_is_pending(net.nodes[1].sync));
	count = count_at(&net, 1);
	net_put(&net, 0, "later", "not for it");
	net_run(&net, 60000);
	assert_int_equal(count_at(&net, 1), count);
	assert_asks(&net, 0, 1);
	net_govern(&net, 0, SW_OP_GRANT, 1, SW_ROLE_WRITER);
	net_converge(&net, 3000);
	net_put(&net, 1, "back", "again");
	net_converge(&net, 1000);
	net_fini(&net);
}

static void a_newcomer_believes_only_whom_the_address_names(void **state)
{
	struct net net;

	(void)state;
	net_make_chain(&net, 2, test_seed());
	net_converge(&net, 1000);
	net_add_clone(&net);
	net_connect(&net, 2, 1, door_of(&net, 0))->manual = true;
	net_run(&net, 500);
	assert_non_null(strstr(sw_sync_refusal(net.nodes[2].sync), "another key"));
	assert_int_equal(net.by_type[SW_MSG_ASK], 0);
	assert_nobody_asks(&net, 1);
	net_fini(&net);
}

static void a_peer_that_is_no_member_keeps_no_requests(void **state)
{
	struct net net;

	(void)state;
	net_make_swarm(&net, 1, test_seed());
	net_add_clone(&net);
	net_add_clone(&net);
	net_connect(&net, 2, 1, door_of(&net, 1));
	net_run(&net, 500);
	assert_non_null(strstr(sw_sync_refusal(net.nodes[2].sync), "no member itself"));
	assert_nobody_asks(&net, 1);
	net_fini(&net);
}

/* Scripts in place of an engine */

struct evil {
	size_t n;
	uint64_t types[32];
};

static void script(void *arg, struct net_link *l, size_t end, struct sw_view message)
{
	struct evil *e = arg;

	(void)l;
	(void)end;
	e->n++;
	e->types[message.p[0] & 31]++;
}

/* Node 1 has no engine. */
static void make_evil(struct net *net, struct evil *e)
{
	net_make_swarm(net, 1, test_seed());
	net_put(net, 0, "a", "secret");
	net_add_clone(net);
	net_stop(net, 1);
	net->script = script;
	net->script_arg = e;
	*e = (struct evil){0};
}

static void say(struct net *net, size_t end, struct sw_buf *message)
{
	if (net->links[0].conn)
		assert_int_equal(net_send(net, &net->links[0], end, sw_buf_view(message)), 0);
	sw_buf_reset(message);
}

static void who_waits_may_only_ask(void **state)
{
	for (unsigned type = 0; type < 32; type++) {
		SW_BUF out = {0};
		struct net net;
		struct evil e;

		(void)state;
		if (type == SW_MSG_ASK || type == SW_MSG_BYE)
			continue;
		make_evil(&net, &e);
		net_connect(&net, 1, 0, NULL)->manual = true;
		net_run(&net, 50);
		sw_message_ask(sw_view_str("hi"), &out);
		say(&net, 0, &out);
		net_run(&net, 100);
		assert_asks(&net, 0, 1);
		assert_int_equal(e.n, 1);
		sw_buf_put_u8(&out, (uint8_t)type);
		for (size_t i = 0; i < 16; i++)
			sw_buf_put_u8(&out, 0);
		say(&net, 0, &out);
		net_run(&net, 1000);
		assert_int_equal(net.links[0].n_drops, 1);
		assert_int_equal(e.n, e.types[SW_MSG_JOINED] + e.types[SW_MSG_BYE]);
		assert_asks(&net, 0, 1); /* it is no reason to forget what an admin may look at */
		net_fini(&net);
	}
}

static void who_asks_all_the_time_is_dropped(void **state)
{
	SW_BUF out = {0};
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e);
	net_connect(&net, 1, 0, NULL)->manual = true;
	net_run(&net, 50);
	for (unsigned i = 0; i < 2 * SW_SYNC_PULLS_MAX; i++) {
		sw_message_ask(sw_view_str("hi"), &out);
		say(&net, 0, &out);
	}
	net_run(&net, 500);
	assert_non_null(strstr(net.links[0].reason, "too often"));
	assert_asks(&net, 0, 1);
	net_fini(&net);
}

static void who_asks_and_falls_silent_loses_its_line_alone(void **state)
{
	SW_BUF out = {0};
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e);
	net_connect(&net, 1, 0, NULL)->manual = true;
	net_run(&net, 50);
	sw_message_ask(sw_view_str("hi"), &out);
	say(&net, 0, &out);
	net_run(&net, 14000);
	assert_int_equal(net.links[0].n_drops, 0);
	net_run(&net, 2000);
	assert_int_equal(net.links[0].n_drops, 1);
	assert_asks(&net, 0, 1);
	net_fini(&net);
}

/* Who has a ticket was promised that nobody needs to approve: an inviter who lets it wait refuses it. */
static void a_ticket_does_not_wait_for_anybody(void **state)
{
	struct sw_ticket t;
	SW_BUF out = {0};
	struct net net;
	struct evil e;

	(void)state;
	make_evil(&net, &e);
	net_ticket(&net, 0, 100000, &t);
	net_start(&net, 1);
	sw_sync_free(net.nodes[0].sync);
	net.nodes[0].sync = NULL;
	net_connect(&net, 1, 0, &t)->manual = true;
	net_run(&net, 100);
	assert_int_equal(e.types[SW_MSG_JOIN], 1);
	sw_message_joined(SW_ASKED_PENDING, "wait \033[2J", &out);
	say(&net, 1, &out);
	net_run(&net, 100);
	assert_false(sw_sync_is_pending(net.nodes[1].sync));
	assert_string_equal(sw_sync_refusal(net.nodes[1].sync), "wait \\x1b[2J");
	net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_asks_waits_for_an_admin_and_is_let_in),
	    cmocka_unit_test(a_grant_from_anywhere_lets_it_in),
	    cmocka_unit_test(who_was_let_in_before_need_not_wait),
	    cmocka_unit_test(a_request_outlives_what_breaks),
	    cmocka_unit_test(a_request_that_nobody_repeats_is_forgotten),
	    cmocka_unit_test(who_is_rejected_is_told_and_stays_so_until_somebody_lets_it_in),
	    cmocka_unit_test(who_was_taken_out_waits_as_anybody),
	    cmocka_unit_test(a_newcomer_believes_only_whom_the_address_names),
	    cmocka_unit_test(a_peer_that_is_no_member_keeps_no_requests),
	    cmocka_unit_test(who_waits_may_only_ask),
	    cmocka_unit_test(who_asks_all_the_time_is_dropped),
	    cmocka_unit_test(who_asks_and_falls_silent_loses_its_line_alone),
	    cmocka_unit_test(a_ticket_does_not_wait_for_anybody),
	};

	sw_log_set_sink(net_log_sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
