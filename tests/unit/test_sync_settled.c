/* Watermarks, and the alarm of peers whose heads differ over the same commits. */
#include "core/db_internal.h"
#include "core/settled.h"
#include "tests/lib/net_swarm.h"

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
	net_make_chain(&net, 4, test_seed());
	settle_within(&net, 5000);
	net_run(&net, 5000);
	before = net.by_type[SW_MSG_WATERMARKS];
	net_put(&net, 3, "a", "one");
	settle_within(&net, 5000);
	net_run(&net, 10000);
	/* Four of them, each over three links, in one direction; that two meet on a link is a rare
	 * chance. */
	assert_in_range(net.by_type[SW_MSG_WATERMARKS] - before, 3, 15);
	before = net.by_type[SW_MSG_WATERMARKS];
	net_run(&net, 60000);
	assert_int_equal(net.by_type[SW_MSG_WATERMARKS], before); /* there is nothing new to tell */
	net_verify_all(&net);
	net_fini(&net);
}

static void who_is_away_holds_up(void **state)
{
	struct sw_holdup *v;
	struct sw_reader r;
	struct net net;
	size_t n;

	(void)state;
	net_make_chain(&net, 3, test_seed());
	settle_within(&net, 5000);
	net_stop(&net, 2);
	net_put(&net, 0, "a", "one");
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
	net_make_mesh(&net, 5, test_seed());
	net.break_one_in = 5;
	for (int i = 0; i < 50; i++) {
		net_put(&net, rng_below(&net.rng, 5), "a", i % 2 ? "x" : "y");
		net_run(&net, 200);
	}
	net.break_one_in = 0;
	settle_within(&net, 30000);
	net_verify_all(&net);
	net_fini(&net);
}

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
		ops[i] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
						     .table = sw_view_str(tables[i / 1000]),
						     .key = sw_view_str(keys[i % 1000]),
						     .row = {.mode = 0644}},
					      .content = sw_view_str("what a row is made of")};
	}
	TEST_OK(sw_db_commit(net->nodes[0].t.db, &w, &id));
	free(ops);
	net_converge(net, 10000);
	net_run(net, 15000);
}

/* An entry of a tree of the node's newest state or line is another one from now on, as if it had
 * been folded so. */
static void corrupt(struct net *net, size_t at, const char *table, struct sw_view key)
{
	struct sw_moving moving = {0};
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
		TEST_OK(sw_tree_apply(nodes, db->shape, SW_PURPOSE_LINE, &head.line, &edit, 1,
				      &head.line));
	} else {
		TEST_OK(sw_state_table(nodes, &head.state, SW_CLASS_USER, sw_view_str(table), &t));
		TEST_OK(sw_state_row(nodes, &head.state, sw_view_str(table), key, &row));
		row.mode = 0600;
		sw_row_encode(&row, &value);
		edit.value = sw_buf_view(&value);
		TEST_OK(
		    sw_tree_apply(nodes, db->shape, SW_PURPOSE_ROWS, &t.root, &edit, 1, &t.root));
		sw_buf_reset(&value);
		sw_table_encode(&t, &value);
		edit =
		    (struct sw_edit){.key = sw_state_key(SW_CLASS_USER, sw_view_str(table), name),
				     .value = sw_buf_view(&value)};
		TEST_OK(sw_tree_apply(nodes, db->shape, SW_PURPOSE_STATE, &head.state, &edit, 1,
				      &head.state));
	}
	moving.plan = db->milestone_plan;
	TEST_OK(sw_db_move_head(db, txn, nodes, &head, db->hlc, &moving, true));
	sw_nodes_free(nodes);
	sw_sync_changed(net->nodes[at].sync, net_node_ms(net, at));
}

static void make_alarmed(struct net *net, struct alarms *a)
{
	net_make_chain(net, 2, test_seed());
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
	net_make_chain(&net, 3, test_seed());
	net.watch.arg = &a;
	net.watch.diverged = note_alarm;
	net_put(&net, 0, "a", "one");
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
	};

	sw_log_set_sink(net_log_sink);
	if (getenv("SW_TEST_FILTER"))
		cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
