/* The database: local commits, commits that arrive in any order, snapshots, verify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/db.h"
#include "tests/lib/dbs.h"
#include "tests/lib/env.h"

static void a_row_can_be_put_read_and_deleted(void **state)
{
	struct test_db t;
	struct sw_hash first, second;
	char text[64];

	(void)state;
	test_db_create(&t, 1);
	first = test_put(&t, "users", "1.json", "{\"a\":1}\n");
	assert_true(test_get(&t, "users", "1.json", text, sizeof(text)));
	assert_string_equal(text, "{\"a\":1}\n");
	t.env.now_ms += 5;
	second = test_delete(&t, "users", "1.json");
	assert_false(sw_hash_eq(&first, &second));
	assert_false(test_get(&t, "users", "1.json", text, sizeof(text)));
	test_verify(&t);
	test_db_close(&t);
}

static void writing_what_stands_there_is_no_commit(void **state)
{
	struct test_db t;
	struct sw_hash again;
	struct sw_head before, after;

	(void)state;
	test_db_create(&t, 1);
	test_put(&t, "users", "1.json", "{\"a\":1}\n");
	sw_db_head(t.db, &before);
	again = test_put(&t, "users", "1.json", "{\"a\":1}\n");
	sw_db_head(t.db, &after);
	assert_true(sw_hash_is_zero(&again));
	assert_true(sw_head_eq(&before, &after));
	test_db_close(&t);
}

static void two_stores_agree_whatever_the_order_of_arrival(void **state)
{
	struct test_db a, b;
	struct sw_head x, y;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_grant(&a, &b);
	test_sync(&a, &b);
	test_put(&a, "users", "1.json", "{\"a\":1,\"b\":1}\n");
	test_sync(&a, &b);
	/* Apart, both change the row, in different columns. */
	a.env.now_ms += 10;
	b.env.now_ms += 20;
	test_put(&a, "users", "1.json", "{\"a\":2,\"b\":1}\n");
	test_put(&b, "users", "1.json", "{\"a\":1,\"b\":2}\n");
	test_put(&b, "notes", "x", "hello");
	test_sync(&a, &b);
	sw_db_head(a.db, &x);
	sw_db_head(b.db, &y);
	assert_true(sw_head_eq(&x, &y));
	{
		char text[64];

		assert_true(test_get(&a, "users", "1.json", text, sizeof(text)));
		assert_string_equal(text, "{\"a\":2,\"b\":2}\n");
	}
	test_verify(&a);
	test_verify(&b);
	test_db_close(&a);
	test_db_close(&b);
}

static void a_snapshot_shows_the_past_and_stays(void **state)
{
	struct test_db t;
	struct sw_hash ids[20];
	struct sw_snap *snaps[20];

	(void)state;
	test_db_create(&t, 1);
	for (int i = 0; i < 20; i++) {
		char key[16], text[2000];

		t.env.now_ms += 3;
		snprintf(key, sizeof(key), "r%d", i % 7);
		memset(text, 'a' + i, sizeof(text));
		text[i % 2 ? 30 : 1999] = '\0';
		ids[i] = test_put(&t, "t", key, text);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(sw_snap_open(t.db, &ids[i], &snaps[i]), 0);
	for (int i = 0; i < 7; i++) {
		char key[16];

		snprintf(key, sizeof(key), "r%d", i);
		test_delete(&t, "t", key);
	}
	for (int i = 0; i < 20; i++) {
		struct sw_reader r;
		struct sw_row row;
		char key[16];

		assert_int_equal(sw_snap_read(snaps[i], &r), 0);
		snprintf(key, sizeof(key), "r%d", i % 7);
		assert_int_equal(sw_state_row(r.nodes, &r.head.state, sw_view_str("t"), sw_view_str(key),
					      &row), 0);
		assert_int_equal(row.size, i % 2 ? 30 : 1999);
		snprintf(key, sizeof(key), "r%d", i + 1);
		if (i < 6)
			assert_int_equal(sw_state_row(r.nodes, &r.head.state, sw_view_str("t"),
						      sw_view_str(key), &row), SW_ENOTFOUND);
		sw_reader_end(&r);
		sw_snap_unref(snaps[i]);
	}
	assert_int_equal(sw_db_tidy(t.db), 0);
	test_verify(&t);
	test_db_close(&t);
}

/* A hundred commits on one row leave no more nodes than one: what is superseded goes. */
static void superseded_nodes_are_deleted(void **state)
{
	struct test_db t;
	struct sw_verify_report before, after;
	char text[32];

	(void)state;
	test_db_create(&t, 1);
	for (int i = 0; i < 300; i++) {
		char key[16];

		snprintf(key, sizeof(key), "r%d", i);
		t.env.now_ms++;
		test_put(&t, "t", key, "some text that fills a leaf a little, so that there are several");
	}
	assert_int_equal(sw_db_verify(t.db, &before), 0);
	for (int i = 0; i < 100; i++) {
		t.env.now_ms++;
		snprintf(text, sizeof(text), "%d", i);
		test_put(&t, "t", "r7", text);
	}
	assert_int_equal(sw_db_verify(t.db, &after), 0);
	assert_true(after.n_records < before.n_records + 10);
	test_db_close(&t);
}

/* Strictly: a new row, and something about r, which was `old`. */
static int commit_strictly(struct test_db *t, enum sw_op_kind kind, const struct sw_hash *old)
{
	struct sw_write_op ops[2] = {
	    {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str("other"), .row = {.mode = 0644}},
	     .content = sw_view_str("x")},
	    {.op = {.kind = kind, .table = sw_view_str("t"), .key = sw_view_str("r"), .old = *old, .row = {.mode = 0644}},
	     .content = sw_view_str("three")}};
	struct sw_write w = {.mode = SW_MODE_STRICT, .ops = ops, .n = 2};
	struct sw_hash id;

	return sw_db_commit(t->db, &w, &id);
}

/* One that need not keep what it holds is refused when a row of it has moved on, and then nothing has happened. */
static void a_strict_commit_on_what_has_moved_on_is_refused(void **state)
{
	static const enum sw_op_kind kinds[] = {SW_OP_PUT, SW_OP_DELETE, SW_OP_CHECK};
	struct sw_head before, after;
	struct sw_hash old, now;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	test_put(&t, "t", "r", "one");
	old = test_current(&t, "t", "r");
	t.env.now_ms++;
	test_put(&t, "t", "r", "two");
	now = test_current(&t, "t", "r");
	sw_db_head(t.db, &before);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(commit_strictly(&t, kinds[i], &old), SW_ECONFLICT);
		sw_db_head(t.db, &after);
		assert_true(sw_head_eq(&before, &after));
		test_verify(&t);
	}
	TEST_OK(commit_strictly(&t, SW_OP_CHECK, &now));
	sw_db_head(t.db, &after);
	assert_int_equal(after.count, before.count + 1);
	test_verify(&t);
	test_db_close(&t);
}

/* Whoever lacks a tip makes commits that do not know of it, and who has one too many names what nobody else takes for one. */
static void verify_compares_the_tips(void **state)
{
	static const char *const says[] = {"the list of tips lacks it", "the list of tips has 2 commits, 1 are tips"};
	struct sw_verify_report report;
	struct sw_hash first, last;
	struct sw_txn *txn;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	first = test_put(&t, "t", "r", "one");
	t.env.now_ms++;
	last = test_put(&t, "t", "r", "two");
	test_verify(&t);
	for (int extra = 0; extra < 2; extra++) {
		int rc;

		TEST_OK(sw_txn_begin(sw_db_store(t.db), true, &txn));
		rc = extra ? sw_txn_put(txn, SW_SPACE_TIPS, sw_hash_view(&first), sw_view("", 0))
			   : sw_txn_del(txn, SW_SPACE_TIPS, sw_hash_view(&last));
		TEST_OK(rc);
		TEST_OK(sw_txn_commit(txn));
		rc = sw_db_verify(t.db, &report);
		assert_int_equal(rc, SW_ECORRUPT);
		assert_non_null(strstr(sw_fail_message(rc), says[extra]));
		TEST_OK(sw_txn_begin(sw_db_store(t.db), true, &txn));
		TEST_OK(sw_txn_put(txn, SW_SPACE_TIPS, sw_hash_view(&last), sw_view("", 0)));
		TEST_OK(sw_txn_del(txn, SW_SPACE_TIPS, sw_hash_view(&first)));
		TEST_OK(sw_txn_commit(txn));
		test_verify(&t);
	}
	test_db_close(&t);
}

static void a_store_of_the_future_is_refused_with_a_sentence(void **state)
{
	struct test_db t;
	struct sw_txn *txn;
	int rc;

	(void)state;
	test_db_create(&t, 1);
	TEST_OK(sw_txn_begin(sw_db_store(t.db), true, &txn));
	TEST_OK(sw_txn_put(txn, SW_SPACE_META, sw_view_str("format"), sw_view("\x02", 1)));
	TEST_OK(sw_txn_commit(txn));
	sw_db_close(t.db);
	t.db = NULL;
	rc = sw_db_open(t.dir, &t.env.env, &t.db);
	assert_int_equal(rc, SW_EVERSION);
	assert_non_null(strstr(sw_fail_message(rc), "use a newer swarmfs"));
	test_db_close(&t);
}

/* Every durable step may fail: then nothing changed, and the next try works. */
static void a_failed_commit_changes_nothing(void **state)
{
	struct test_db t;
	struct sw_head before, after;
	struct sw_hash id;
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("r"),
					.row = {.mode = 0644}},
				 .content = sw_view_str("x")};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};

	(void)state;
	test_db_create(&t, 1);
	sw_db_head(t.db, &before);
	t.env.fail_in = 1;
	t.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_commit(t.db, &w, &id), SW_ENOSPC);
	sw_db_head(t.db, &after);
	assert_true(sw_head_eq(&before, &after));
	test_verify(&t);
	w.n = 1;
	TEST_OK(sw_db_commit(t.db, &w, &id));
	sw_db_head(t.db, &after);
	assert_int_equal(after.count, before.count + 1);
	test_verify(&t);
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_can_be_put_read_and_deleted),
	    cmocka_unit_test(writing_what_stands_there_is_no_commit),
	    cmocka_unit_test(two_stores_agree_whatever_the_order_of_arrival),
	    cmocka_unit_test(a_snapshot_shows_the_past_and_stays),
	    cmocka_unit_test(superseded_nodes_are_deleted),
	    cmocka_unit_test(a_strict_commit_on_what_has_moved_on_is_refused),
	    cmocka_unit_test(verify_compares_the_tips),
	    cmocka_unit_test(a_store_of_the_future_is_refused_with_a_sentence),
	    cmocka_unit_test(a_failed_commit_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
