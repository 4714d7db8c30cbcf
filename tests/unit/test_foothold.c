/*
 * Footholds: that a row with a long history is folded again from near what changes, that verify knows when one is wrong, and that they
 * go with what they stand on. That the fold comes to the same from them is for test_fold, whose stores have one behind every operation.
 */
#include "tests/lib/pair.h"

#include "core/db_internal.h"
#include "core/gc.h"

#define VERSIONS 2000
#define ROW	 "row"

static void write_often(struct test_db *t, int n)
{
	char text[64];

	for (int i = 0; i < n; i++) {
		t->env.now_ms++;
		snprintf(text, sizeof(text), "%d at %llu", i, (unsigned long long)t->env.now_ms);
		test_put(t, "t", ROW, text);
	}
}

static size_t count_footholds(struct test_db *t)
{
	struct sw_reader r;
	size_t n;

	TEST_OK(sw_reader_begin(t->db, &r));
	n = (size_t)sw_txn_count(r.txn, SW_SPACE_FOOTHOLDS);
	sw_reader_end(&r);
	return n;
}

/* How many operations a commit would fold again that crosses n of them. */
static size_t count_folded(struct test_db *t, size_t n)
{
	struct sw_fold_row row = {0};
	struct sw_op_refs refs = {0};
	struct sw_op_ref at;
	struct sw_reader r;
	struct sw_cell cell;
	size_t i = 0;

	sw_row_cell(sw_view_str("t"), sw_view_str(ROW), &cell);
	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_refs(r.txn, &cell, 0, &refs));
	assert_true(refs.n >= n);
	if (sw_foothold_find(r.txn, &cell, sw_view_str("t"), sw_view_str(ROW), refs.v[refs.n - n].stamp, &at, &row) > 0)
		while (refs.v[i].seq != at.seq)
			i++;
	sw_fold_row_fini(&row);
	n = refs.n - i;
	free(refs.v);
	sw_reader_end(&r);
	return n;
}

static void open_pair(struct pair *p)
{
	pair_open(p);
	p->a.env.env.all_footholds = p->b.env.env.all_footholds = false;
	test_put(&p->a, "t", ROW, "first");
	pair_sync(p);
}

/* Both write the row; what b wrote crosses the last few of a's. */
static void cross(struct pair *p, int n)
{
	write_often(&p->b, 1);
	p->a.env.now_ms = p->b.env.now_ms + 1;
	write_often(&p->a, n);
	p->b.env.now_ms = p->a.env.now_ms;
	pair_sync(p);
}

static void a_commit_folds_what_it_crosses(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p);
	write_often(&p.a, VERSIONS);
	pair_sync(&p);
	p.b.env.now_ms = p.a.env.now_ms;
	assert_int_equal(count_footholds(&p.a), 0); /* what is written on top needs none */
	cross(&p, 3);
	assert_in_range(count_footholds(&p.a), 10, 100);
	for (size_t n = 1; n < VERSIONS; n *= 2)
		assert_in_range(count_folded(&p.a, n), n, 2 * n + 64);
	/* The conflict stays open, and the row is written on. */
	write_often(&p.a, 200);
	p.b.env.now_ms = p.a.env.now_ms;
	assert_in_range(count_folded(&p.a, 1), 1, 64);
	pair_sync(&p);
	cross(&p, 300);
	assert_in_range(count_folded(&p.b, 1), 1, 64);
	pair_close(&p);
}

static void put_json(struct test_db *t, const char *key, int x, int y, int z)
{
	char text[2 * SW_INLINE_MAX];

	t->env.now_ms++;
	snprintf(text, sizeof(text), "{\"x\": %d, \"y\": %d, \"z\": %d, \"pad\": \"%0*d\"}\n", x, y, z, SW_INLINE_MAX, 0);
	test_put(t, "t", key, text);
}

/* A large row that came of a merge is in no changeset, and gone with the state that had it. */
static void none_holds_what_nobody_wrote(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p);
	p.a.env.env.all_footholds = p.b.env.env.all_footholds = true;
	put_json(&p.a, "r.json", 0, 0, 0);
	pair_sync(&p);
	p.b.env.now_ms = p.a.env.now_ms;
	put_json(&p.b, "r.json", 0, 1, 0);
	p.a.env.now_ms = p.b.env.now_ms + 1;
	put_json(&p.a, "r.json", 1, 0, 0);
	test_pull(&p.a, &p.b, 100);
	/* What a has now is merged, and then no more; b has not seen it, and writes behind it. */
	p.b.env.now_ms = p.a.env.now_ms;
	put_json(&p.b, "r.json", 0, 1, 1);
	p.a.env.now_ms = p.b.env.now_ms + 1;
	put_json(&p.a, "r.json", 2, 1, 0);
	TEST_OK(sw_db_checkpoint(p.a.db));
	put_json(&p.a, "r.json", 3, 1, 0);
	TEST_OK(sw_db_checkpoint(p.a.db));
	pair_sync(&p);
	pair_close(&p);
}

/* One in the middle of the history that says that the row was absent there. */
static void put_wrong(struct test_db *t)
{
	struct sw_fold_row row = {0};
	struct sw_footholds h = {0};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	struct sw_txn *txn;
	bool added;

	sw_row_cell(sw_view_str("t"), sw_view_str(ROW), &cell);
	TEST_OK(sw_txn_begin(t->db->store, true, &txn));
	TEST_OK(sw_history_refs(txn, &cell, 0, &refs));
	TEST_OK(sw_footholds_add(&h, &cell, sw_view_str("t"), sw_view_str(ROW), &refs.v[refs.n / 2], &row, SIZE_MAX, &added));
	assert_true(added);
	TEST_OK(sw_footholds_keep(&h, txn));
	TEST_OK(sw_txn_commit(txn));
	sw_footholds_fini(&h);
	free(refs.v);
}

static void verify_knows_a_wrong_one(void **state)
{
	struct sw_verify_report report;
	struct pair p;
	struct sw_cell cell;
	struct sw_txn *txn;

	(void)state;
	open_pair(&p);
	write_often(&p.a, 10);
	TEST_OK(sw_db_verify(p.a.db, &report));
	put_wrong(&p.a);
	assert_int_equal(sw_db_verify(p.a.db, &report), SW_ECORRUPT);
	assert_non_null(strstr(sw_fail_message(SW_ECORRUPT), "row 'row' of table 't'"));
	sw_row_cell(sw_view_str("t"), sw_view_str(ROW), &cell);
	TEST_OK(sw_txn_begin(p.a.db->store, true, &txn));
	TEST_OK(sw_history_drop_footholds(txn, &cell, 0));
	TEST_OK(sw_txn_commit(txn));
	pair_sync(&p);
	pair_close(&p);
}

/* A record keeps all that a row ever was; without one, gc leaves its last operations, and no foothold from before. */
static void gc_takes_them_along(void **state)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	struct sw_order last;
	struct sw_reader r;
	struct pair p;

	(void)state;
	open_pair(&p);
	write_often(&p.a, 500);
	/* b sees them, writes the same as a in between and then on top: nobody has lost in the end. */
	p.a.env.env.all_footholds = true;
	pair_sync(&p);
	p.b.env.now_ms = p.a.env.now_ms;
	test_put(&p.b, "t", ROW, "same");
	p.a.env.now_ms = p.b.env.now_ms + 1;
	test_put(&p.a, "t", ROW, "same");
	test_put(&p.a, "t", ROW, "last");
	pair_sync(&p);
	assert_true(count_footholds(&p.a) > 500);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_line_ago(r.nodes, &r.head.line, 0, &last));
	sw_reader_end(&r);
	options.horizon = &last;
	TEST_OK(sw_db_gc(p.a.db, &options, &report));
	assert_true(report.n_ops > 500);
	assert_int_equal(count_footholds(&p.a), 0);
	write_often(&p.a, 3);
	pair_sync(&p);
	pair_close(&p);
}

static void chmod_row(struct test_db *t, uint16_t mode)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_CHMETA,
					.table = sw_view_str("t"),
					.key = sw_view_str(ROW),
					.row = {.mode = mode, .mtime_ns = 1000}}};

	t->env.now_ms++;
	test_write(t, &op);
}

/* Of two chmods gc leaves the last, without the row's beginning anew. */
static void gc_leaves_none_where_an_operation_was(void **state)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	struct sw_order last;
	struct sw_reader r;
	struct pair p;

	(void)state;
	open_pair(&p);
	chmod_row(&p.a, 0600);
	chmod_row(&p.a, 0640);
	pair_sync(&p);
	put_wrong(&p.a); /* of three operations, at the second */
	assert_int_equal(count_footholds(&p.a), 1);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_line_ago(r.nodes, &r.head.line, 0, &last));
	sw_reader_end(&r);
	options.horizon = &last;
	TEST_OK(sw_db_gc(p.a.db, &options, &report));
	assert_int_equal(report.n_ops, 1);
	assert_int_equal(count_footholds(&p.a), 0);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_commit_folds_what_it_crosses),
	    cmocka_unit_test(none_holds_what_nobody_wrote),
	    cmocka_unit_test(verify_knows_a_wrong_one),
	    cmocka_unit_test(gc_takes_them_along),
	    cmocka_unit_test(gc_leaves_none_where_an_operation_was),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing. */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
