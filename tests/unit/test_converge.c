/*
 * Random histories on several stores that meet at random. Whoever holds the same commits has the same head; and verify, which
 * folds the whole history from nothing, agrees with what the incremental fold of many arrivals made of it. The seed is
 * printed first and replays the run; SW_ROUNDS makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/dbs.h"

#define N_STORES 3
#define N_KEYS	 5

static const char *const tables[] = {"t", "u"};

/* A value of any kind that a row can have: columns, none, large, large with columns. */
static void make_value(struct rng *rng, char *out, size_t size)
{
	uint32_t a = rng_below(rng, 4), b = rng_below(rng, 4);

	switch (rng_below(rng, 6)) {
	case 0:
		snprintf(out, size, "text %u", a);
		break;
	case 1:
		snprintf(out, size, "{\"a\":%u,\"long\":\"%01500d\",\"b\":%u}", a, 7, b);
		break;
	case 2:
		snprintf(out, size, "{\"a\":%u,\"c\":[%u]}", a, b);
		break;
	default:
		snprintf(out, size, "{\"a\":%u,\"b\":%u,\"c\":0}", a, b);
	}
}

/* One row operation; its base is what stands here, or, now and then, something old or wrong. */
static struct sw_write_op row_op(struct rng *rng, struct test_db *t, const char *table, const char *key,
				 char *text, size_t size)
{
	struct sw_write_op w = {.op = {.table = sw_view_str(table),
				       .key = sw_view_str(key),
				       .old = test_current(t, table, key),
				       .row = {.mode = 0600 + (uint16_t)rng_below(rng, 8),
					       .mtime_ns = (int64_t)rng_below(rng, 1000)}}};

	if (rng_below(rng, 12) == 0)
		sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str("text 1"), &w.op.old);
	switch (rng_below(rng, 8)) {
	case 0:
		w.op.kind = SW_OP_DELETE;
		break;
	case 1:
		w.op.kind = SW_OP_CHMETA;
		break;
	default:
		w.op.kind = SW_OP_PUT;
		make_value(rng, text, size);
		w.content = sw_view_str(text);
	}
	return w;
}

static void commit(struct test_db *t, enum sw_mode mode, struct sw_write_op *ops, size_t n)
{
	struct sw_write w = {.mode = mode, .ops = ops, .n = n};
	struct sw_hash id;
	int rc = sw_db_commit(t->db, &w, &id);

	/* A transaction on a base that is gone is refused at once; everything else must pass. */
	if (rc != SW_ECONFLICT || mode != SW_MODE_STRICT)
		TEST_OK(rc);
}

static void write_rows(struct rng *rng, struct test_db *t)
{
	static char text[2][4096], keys[2][8];
	struct sw_write_op ops[2];
	enum sw_mode mode = rng_below(rng, 4) == 0 ? SW_MODE_STRICT : SW_MODE_MERGE;
	uint32_t first = rng_below(rng, N_KEYS);
	size_t n = 1 + rng_below(rng, 2);

	for (size_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%u.json", (first + (uint32_t)i) % N_KEYS);
		ops[i] = row_op(rng, t, tables[rng_below(rng, 2)], keys[i], text[i], sizeof(text[i]));
	}
	if (mode == SW_MODE_STRICT && n == 2 && rng_below(rng, 2) == 0)
		ops[1].op.kind = SW_OP_CHECK;
	commit(t, mode, ops, n);
}

static void write_table(struct rng *rng, struct test_db *t)
{
	static const enum sw_op_kind kinds[] = {SW_OP_MKTABLE, SW_OP_RMTABLE, SW_OP_CHMETA};
	struct sw_write_op op = {.op = {.kind = kinds[rng_below(rng, 3)],
					.table = sw_view_str(tables[rng_below(rng, 2)]),
					.row = {.mode = 0700, .mtime_ns = (int64_t)rng_below(rng, 50)}}};

	commit(t, SW_MODE_MERGE, &op, 1);
}

/* Names the newest commit, or resolves a record that may or may not exist. */
static void write_other(struct rng *rng, struct test_db *t)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_TAG, .table = sw_view_str("v1")}};
	struct sw_order order;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str(rng_below(rng, 2) ? "HEAD" : "HEAD~1"), &order));
	sw_order_id(&order, &op.op.commit);
	sw_reader_end(&r);
	if (rng_below(rng, 2)) {
		op.op.kind = SW_OP_RESOLVE;
		op.op.table = sw_view_str(tables[rng_below(rng, 2)]);
		op.op.key = sw_view_str("1.json");
	}
	commit(t, SW_MODE_MERGE, &op, 1);
}

static void act(struct rng *rng, struct test_db *t)
{
	/* Clocks run apart, and sometimes stand still: stamps cross, and meet. */
	t->env.now_ms += rng_below(rng, 3) * rng_below(rng, 50);
	switch (rng_below(rng, 10)) {
	case 0:
		write_table(rng, t);
		break;
	case 1:
		write_other(rng, t);
		break;
	default:
		write_rows(rng, t);
	}
}

static bool same_head(struct test_db *a, struct test_db *b)
{
	struct sw_head x, y;

	sw_db_head(a->db, &x);
	sw_db_head(b->db, &y);
	return sw_head_eq(&x, &y);
}

/* A snapshot of the newest commit is the newest state; one of any commit can be folded again and checked. */
static void check_snapshots(struct rng *rng, struct test_db *t)
{
	struct sw_head head;
	struct sw_snap *snap;
	struct sw_order order;
	struct sw_reader r;
	struct sw_hash id;
	char name[32];

	sw_db_head(t->db, &head);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "HEAD~%u", i ? rng_below(rng, (uint32_t)head.count) : 0);
		TEST_OK(sw_reader_begin(t->db, &r));
		TEST_OK(sw_db_resolve(&r, sw_view_str(name), &order));
		sw_reader_end(&r);
		sw_order_id(&order, &id);
		TEST_OK(sw_snap_open(t->db, &id, &snap));
		if (i == 0)
			assert_memory_equal(sw_snap_state(snap)->b, head.state.b, SW_HASH_SIZE);
		TEST_OK(sw_snap_read(snap, &r));
		TEST_OK(sw_tree_check(r.nodes, sw_db_shape(t->db), SW_PURPOSE_STATE, sw_snap_state(snap), NULL, NULL));
		sw_reader_end(&r);
		sw_snap_unref(snap);
	}
}

static void one_history(struct rng *rng)
{
	struct test_db s[N_STORES];

	test_db_create(&s[0], rng_next(rng));
	for (size_t i = 1; i < N_STORES; i++) {
		test_db_clone(&s[i], &s[0], rng_next(rng));
		test_grant(&s[0], &s[i]);
		s[i].env.now_ms += rng_below(rng, 500);
	}
	for (size_t i = 1; i < N_STORES; i++)
		test_pull(&s[i], &s[0], 100);
	for (int step = 0; step < 60; step++) {
		uint32_t a = rng_below(rng, N_STORES), b = rng_below(rng, N_STORES);

		if (rng_below(rng, 6) != 0)
			act(rng, &s[a]);
		else if (a != b)
			test_pull(&s[a], &s[b], 1 + rng_below(rng, 9));
	}
	for (int round = 0; round < 2; round++)
		for (size_t a = 0; a < N_STORES; a++)
			for (size_t b = 0; b < N_STORES; b++)
				if (a != b)
					test_pull(&s[a], &s[b], 1 + rng_below(rng, 50));
	for (size_t i = 0; i < N_STORES; i++) {
		assert_true(same_head(&s[0], &s[i]));
		test_verify(&s[i]);
		check_snapshots(rng, &s[i]);
		TEST_OK(sw_db_tidy(s[i].db));
	}
	for (size_t i = 0; i < N_STORES; i++)
		test_db_close(&s[i]);
}

static void equal_sets_give_equal_heads(void **state)
{
	const char *rounds = getenv("SW_ROUNDS");
	struct rng rng = {test_seed()};
	long n = rounds ? strtol(rounds, NULL, 10) : 30;

	(void)state;
	for (long i = 0; i < n; i++) {
		uint64_t seed = rng_next(&rng);
		struct rng one = {seed};

		one_history(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_sets_give_equal_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
