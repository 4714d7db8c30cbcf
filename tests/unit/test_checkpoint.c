/* Checkpoints: trees are written now and then, and what was not is folded again. */
#include <pthread.h>
#include <stdatomic.h>

#include "core/db_internal.h"
#include "tests/lib/dbs.h"

/* A store that writes its trees every n commits; 0: hardly ever. */
static void create(struct test_db *t, uint64_t n)
{
	test_db_create(t, 1);
	t->env.env.checkpoint_commits = n;
}

static uint64_t n_stored(struct test_db *t)
{
	struct sw_txn *txn;
	uint64_t n;

	TEST_OK(sw_txn_begin(sw_db_store(t->db), false, &txn));
	n = sw_txn_count(txn, SW_SPACE_NODES);
	sw_txn_abort(txn);
	return n;
}

static void put_n(struct test_db *t, int n, const char *text)
{
	char key[16];

	for (int i = 0; i < n; i++) {
		t->env.now_ms++;
		snprintf(key, sizeof(key), "r%d", i);
		test_put(t, "t", key, text);
	}
}

static void a_commit_writes_no_tree_until_there_are_many(void **state)
{
	struct test_db t;
	uint64_t before;

	(void)state;
	create(&t, 10);
	put_n(&t, 8, "text"); /* the first commit was a checkpoint */
	before = n_stored(&t);
	t.env.now_ms++;
	test_put(&t, "t", "x", "y");
	assert_int_equal(n_stored(&t), before);
	put_n(&t, 10, "more");
	assert_true(n_stored(&t) > before);
	test_verify(&t);
	test_db_close(&t);
}

static void a_crash_loses_nothing_that_was_not_written(void **state)
{
	struct sw_head before, after;
	struct test_db t;
	char text[3000];

	(void)state;
	create(&t, 0);
	put_n(&t, 40, "{\"a\":1,\"b\":2}");
	memset(text, 'x', sizeof(text)); /* a large row: its content is written with its commit */
	text[sizeof(text) - 1] = '\0';
	test_put(&t, "t", "large", text);
	test_delete(&t, "t", "r3");
	sw_db_head(t.db, &before);
	test_crash(&t);
	sw_db_head(t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	assert_true(test_get(&t, "t", "large", text, sizeof(text)));
	assert_int_equal(strlen(text), 2999);
	assert_false(test_get(&t, "t", "r3", text, sizeof(text)));
	test_verify(&t);
	put_n(&t, 3, "on top");
	test_crash(&t);
	test_verify(&t);
	test_db_close(&t);
}

static void closing_writes_what_waits(void **state)
{
	struct test_db t;
	uint64_t before;

	(void)state;
	create(&t, 0);
	before = n_stored(&t);
	put_n(&t, 40, "text");
	assert_int_equal(n_stored(&t), before);
	sw_db_close(t.db);
	TEST_OK(sw_db_open(t.dir, &t.env.env, &t.db));
	assert_true(n_stored(&t) > before);
	test_verify(&t);
	test_db_close(&t);
}

static void check_row(struct test_db *t, struct sw_reader *r, const struct sw_hash *state, const char *expected)
{
	struct sw_row row;

	(void)t;
	TEST_OK(sw_state_row(r->nodes, state, sw_view_str("t"), sw_view_str("r0"), &row));
	assert_int_equal(row.size, strlen(expected));
	assert_memory_equal(row.bytes.p, expected, row.size);
}

/* A state between two checkpoints, never written, that somebody pinned: kept until the pin goes. */
static void a_pinned_state_outlives_checkpoints(void **state)
{
	struct sw_reader r;
	struct test_db t;
	struct sw_hash pinned;
	uint64_t with;

	(void)state;
	create(&t, 10);
	put_n(&t, 3, "first");
	TEST_OK(sw_db_pin_head(t.db, &pinned));
	put_n(&t, 3, "second");
	for (int round = 0; round < 5; round++)
		put_n(&t, 9, round % 2 ? "third" : "fourth");
	TEST_OK(sw_reader_begin(t.db, &r));
	check_row(&t, &r, &pinned, "first");
	check_row(&t, &r, &r.head.state, "fourth");
	sw_reader_end(&r);
	test_verify(&t);
	with = n_stored(&t);
	sw_db_unpin(t.db, &pinned);
	TEST_OK(sw_db_tidy(t.db));
	assert_true(n_stored(&t) < with);
	test_verify(&t);
	test_db_close(&t);
}

static void a_reader_keeps_what_it_began_with(void **state)
{
	struct sw_reader before, after;
	struct test_db t;

	(void)state;
	create(&t, 5);
	put_n(&t, 3, "first");
	TEST_OK(sw_reader_begin(t.db, &before));
	put_n(&t, 9, "second");
	TEST_OK(sw_reader_begin(t.db, &after));
	check_row(&t, &before, &before.head.state, "first");
	check_row(&t, &after, &after.head.state, "second");
	sw_reader_end(&before);
	sw_reader_end(&after);
	test_db_close(&t);
}

struct reading {
	struct test_db *t;
	atomic_bool stop;
	size_t n, n_bad;
};

static void *read_on(void *arg)
{
	struct reading *g = arg;

	for (; !g->stop || g->n == 0; g->n++) {
		struct sw_reader r;
		struct sw_row row;

		if (sw_reader_begin(g->t->db, &r) < 0 ||
		    sw_state_row(r.nodes, &r.head.state, sw_view_str("t"), sw_view_str("r0"), &row) < 0)
			g->n_bad++;
		sw_reader_end(&r);
	}
	return NULL;
}

/* Whenever a reader begins, the memtable that it gets is the one that goes with its transaction. */
static void readers_begin_while_checkpoints_are_made(void **state)
{
	struct reading readings[2];
	pthread_t threads[2];
	struct test_db t;

	(void)state;
	create(&t, 2);
	put_n(&t, 1, "first");
	for (int i = 0; i < 2; i++) {
		readings[i] = (struct reading){.t = &t};
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readings[i]), 0);
	}
	for (int i = 0; i < 400; i++)
		put_n(&t, 1, i % 2 ? "odd" : "even");
	for (int i = 0; i < 2; i++) {
		readings[i].stop = true;
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readings[i].n_bad, 0);
	}
	test_db_close(&t);
}

/* What a large row consists of is written with its commit, and in the memtable until the next checkpoint. */
static void records_that_are_in_memory_and_stored_count_once(void **state)
{
	static char text[200000];
	struct test_db t;

	(void)state;
	create(&t, 6);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + (i * i / 7) % 26);
	for (int i = 0; i < 4; i++) {
		test_put(&t, "t", i % 2 ? "copy" : "row", text);
		test_verify(&t);
		test_put(&t, "t", i % 2 ? "copy" : "row", "short");
		test_verify(&t);
	}
	test_db_close(&t);
}

/* A snapshot that was computed when its nodes were in memory, or in the store for another's sake. */
static void a_snapshot_depends_on_no_checkpoint(void **state)
{
	struct sw_reader r;
	struct sw_snap *snap;
	struct sw_hash id;
	struct test_db t;

	(void)state;
	create(&t, 4);
	put_n(&t, 1, "first");
	t.env.now_ms++;
	id = test_put(&t, "t", "r0", "this one");
	put_n(&t, 1, "second");
	TEST_OK(sw_snap_open(t.db, &id, &snap));
	for (int i = 0; i < 5; i++)
		put_n(&t, 3, i % 2 ? "third" : "fourth");
	TEST_OK(sw_db_tidy(t.db));
	TEST_OK(sw_snap_read(snap, &r));
	check_row(&t, &r, sw_snap_state(snap), "this one");
	sw_reader_end(&r);
	sw_snap_unref(snap);
	test_db_close(&t);
}

static void a_checkpoint_that_fails_is_made_later(void **state)
{
	struct test_db t;
	struct sw_head before, after;
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("r0"),
					.row = {.mode = 0644}},
				 .content = sw_view_str("x")};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};
	struct sw_hash id;

	(void)state;
	create(&t, 5);
	put_n(&t, 4, "text");
	sw_db_head(t.db, &before);
	op.op.old = test_current(&t, "t", "r0");
	for (int i = 0; i < 3; i++) {
		t.env.fail_in = 1;
		t.env.fail_rc = SW_ENOSPC;
		t.env.now_ms++;
		w.n = 1;
		assert_int_equal(sw_db_commit(t.db, &w, &id), SW_ENOSPC);
	}
	sw_db_head(t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	test_verify(&t);
	put_n(&t, 7, "again");
	test_verify(&t);
	test_crash(&t);
	test_verify(&t);
	test_db_close(&t);
}

/* The newest commits were changed behind our back: what they give is not the head. */
/* Commits that fail pile up in memory and are forgotten in the end: not so what somebody has pinned in between. */
static void a_pinned_state_outlives_commits_that_fail(void **state)
{
	static char text[3 << 20];
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.row = {.mode = 0644, .mtime_ns = 1000}}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};
	struct sw_memtable *before;
	struct sw_reader r;
	struct sw_hash pinned, id;
	struct test_db t;
	char key[16];

	(void)state;
	create(&t, 0);
	put_n(&t, 300, "first");
	TEST_OK(sw_db_pin_head(t.db, &pinned));
	put_n(&t, 3, "second");
	before = t.db->memtable;
	for (int i = 0; t.db->memtable == before; i++) {
		struct rng random = {(uint64_t)i};
		struct sw_write_op again = op;

		assert_true(i < 100);
		for (size_t at = 0; at < sizeof(text); at += 8)
			sw_set_u64((uint8_t *)text + at, rng_next(&random));
		snprintf(key, sizeof(key), "big%d", i);
		again.op.key = sw_view_str(key);
		again.content = sw_view((uint8_t *)text, sizeof(text));
		w.ops = &again;
		t.env.fail_in = 1;
		t.env.fail_rc = SW_EIO;
		assert_int_equal(sw_db_commit(t.db, &w, &id), SW_EIO);
	}
	TEST_OK(sw_reader_begin(t.db, &r));
	check_row(&t, &r, &pinned, "first");
	check_row(&t, &r, &r.head.state, "second");
	sw_reader_end(&r);
	TEST_OK(sw_db_checkpoint(t.db));
	TEST_OK(sw_reader_begin(t.db, &r));
	check_row(&t, &r, &pinned, "first");
	sw_reader_end(&r);
	sw_db_unpin(t.db, &pinned);
	TEST_OK(sw_db_tidy(t.db));
	test_verify(&t);
	test_db_close(&t);
}

static void a_damaged_end_of_history_is_noticed(void **state)
{
	struct sw_view changeset;
	SW_BUF copy = {0};
	struct test_db t;
	struct sw_txn *txn;
	int rc;

	(void)state;
	create(&t, 0);
	put_n(&t, 3, "text");
	TEST_OK(sw_txn_begin(sw_db_store(t.db), true, &txn));
	TEST_OK(sw_history_changeset(txn, 2, &changeset));
	sw_buf_put_view(&copy, changeset);
	TEST_OK(sw_txn_put(txn, SW_SPACE_CHANGES, sw_view("\0\0\0\0\0\0\0\4", 8), sw_buf_view(&copy)));
	TEST_OK(sw_txn_commit(txn));
	t.env.is_dead = true;
	sw_db_close(t.db);
	t.env.is_dead = false;
	t.db = NULL;
	rc = sw_db_open(t.dir, &t.env.env, &t.db);
	assert_int_equal(rc, SW_ECORRUPT);
	assert_non_null(strstr(sw_fail_message(rc), "clone it again"));
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_commit_writes_no_tree_until_there_are_many),
	    cmocka_unit_test(a_crash_loses_nothing_that_was_not_written),
	    cmocka_unit_test(closing_writes_what_waits),
	    cmocka_unit_test(a_pinned_state_outlives_checkpoints),
	    cmocka_unit_test(a_reader_keeps_what_it_began_with),
	    cmocka_unit_test(readers_begin_while_checkpoints_are_made),
	    cmocka_unit_test(records_that_are_in_memory_and_stored_count_once),
	    cmocka_unit_test(a_snapshot_depends_on_no_checkpoint),
	    cmocka_unit_test(a_checkpoint_that_fails_is_made_later),
	    cmocka_unit_test(a_pinned_state_outlives_commits_that_fail),
	    cmocka_unit_test(a_damaged_end_of_history_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
