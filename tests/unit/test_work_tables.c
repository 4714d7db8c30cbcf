/* The working set: tables that are renamed and removed, as others see it in the commits. The clock
 * is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/set.h"

static bool is_table(struct set *s, const char *table)
{
	struct sw_attr attr;

	return sw_work_stat_table(s->w, sw_view_str(table), &attr) == 0;
}

/* As it is committed. */
static uint16_t mode_of_table(struct set *s, const char *table)
{
	struct sw_reader r;
	struct sw_table t;

	TEST_OK(sw_reader_begin(s->t.db, &r));
	TEST_OK(sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, sw_view_str(table), &t));
	sw_reader_end(&r);
	return t.mode;
}

static void write_rows(struct set *s, size_t n)
{
	char key[16];

	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		write_row(s, key, key);
	}
}

static void check_moved(struct set *s, const char *from, const char *to, size_t n)
{
	char key[16], text[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		assert_false(test_get(&s->t, from, key, text, sizeof(text)));
		assert_true(test_get(&s->t, to, key, text, sizeof(text)));
		assert_string_equal(text, key);
	}
	assert_false(is_table(s, from));
}

static void begin_rename(struct set *s, size_t n)
{
	begin(s);
	write_rows(s, n);
	pass(s, 5000);
	assert_int_equal(n_edits(s), 0);
}

static void rename_t(struct set *s)
{
	TEST_OK(sw_work_rename_table(s->w, sw_view_str("t"), sw_view_str("u")));
}

/* More names than a commit has otherwise. */
static void a_table_is_renamed_in_one_commit(void **state)
{
	enum { N = 3000 };
	struct set s;
	uint64_t before;

	(void)state;
	begin_rename(&s, N);
	before = count(&s);
	rename_t(&s);
	pass(&s, 5000);
	assert_int_equal(n_edits(&s), 0);
	assert_int_equal(count(&s), before + 1);
	check_moved(&s, "t", "u", N);
	end(&s);
}

/* Nor is any of it committed before that. */
static void a_renamed_table_waits_for_a_row_that_is_being_written(void **state)
{
	struct sw_handle h;
	struct set s;
	uint64_t before;

	(void)state;
	begin_rename(&s, 10);
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("7"), SW_OPEN_WRITE, 0, &h));
	rename_t(&s);
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("7")));
	pass(&s, 5000);
	assert_int_equal(count(&s), before);
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	pass(&s, 5000);
	assert_int_equal(count(&s), before + 1);
	check_moved(&s, "t", "u", 10);
	end(&s);
}

/* With a row in it, it would stay for good. */
static void a_table_is_not_removed_before_its_rows_are(void **state)
{
	struct sw_handle h;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0755));
	write_row(&s, "r", "r");
	pass(&s, 5000);
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("r"), sw_view_str("u"),
			       sw_view_str("r"), 0));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("r")));
	TEST_OK(sw_work_rmdir(s.w, sw_view_str("t")));
	pass(&s, 5000);
	assert_int_equal(count(&s), before);
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	pass(&s, 5000);
	assert_int_equal(n_edits(&s), 0);
	assert_false(is_table(&s, "t"));
	end(&s);
}

static void rename_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	rename_t(s);
}

/* What joins names while they are committed holds for what is committed next. */
/* One that a row has brought into the world, while what belongs to the rename still waits, goes again with the next rename. */
static void a_renamed_table_with_a_new_row_is_renamed_again(void **state)
{
	struct sw_handle h, other;
	struct set s;
	uint64_t before;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "r");
	TEST_OK(sw_work_set_table(s.w, sw_view_str("t"), &(uint16_t){0700}, NULL));
	pass(&s, 5000);
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	rename_t(&s);
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("R")));
	TEST_OK(sw_work_open_row(s.w, sw_view_str("u"), sw_view_str("n"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &other));
	TEST_OK(sw_handle_write(s.w, &other, 0, false, sw_view_str("new")));
	TEST_OK(sw_handle_flush(s.w, &other));
	sw_handle_release(s.w, &other);
	pass(&s, 5000);
	assert_int_equal(count(&s), before + 1);
	assert_true(test_get(&s.t, "u", "n", text, sizeof(text)));
	assert_int_equal(mode_of_table(&s, "u"), 0700);
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	TEST_OK(sw_work_rename_table(s.w, sw_view_str("u"), sw_view_str("v")));
	pass(&s, 5000);
	assert_int_equal(n_edits(&s), 0);
	assert_false(is_table(&s, "t"));
	assert_false(is_table(&s, "u"));
	assert_true(test_get(&s.t, "v", "n", text, sizeof(text)));
	assert_true(test_get(&s.t, "v", "r", text, sizeof(text)));
	assert_string_equal(text, "R");
	end(&s);
}

static void a_table_is_renamed_while_its_rows_are_committed(void **state)
{
	struct set s;
	char key[2] = "0", text[32];
	uint64_t before;

	(void)state;
	begin_rename(&s, 10);
	before = count(&s);
	for (; key[0] <= '4'; key[0]++)
		write_row(&s, key, "new");
	s.t.env.on_step = rename_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 5000);
	assert_null(s.t.env.on_step);
	assert_int_equal(count(&s), before + 1);
	pass(&s, 5000);
	assert_int_equal(n_edits(&s), 0);
	assert_int_equal(count(&s), before + 2);
	assert_false(is_table(&s, "t"));
	assert_true(test_get(&s.t, "u", "4", text, sizeof(text)));
	assert_string_equal(text, "new");
	assert_true(test_get(&s.t, "u", "9", text, sizeof(text)));
	end(&s);
}

/* It would take much memory: whoever renames it is to copy it. */
static void a_huge_table_is_not_renamed(void **state)
{
	enum { N = 250001, N_COMMITS = 3 };
	static char keys[N][8];
	struct sw_write_op *ops = calloc(N, sizeof(*ops));
	struct set s;

	(void)state;
	assert_non_null(ops);
	begin(&s);
	for (size_t i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%06zu", i);
		ops[i] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
						     .table = sw_view_str("t"),
						     .key = sw_view_str(keys[i]),
						     .row = {.mode = 0644, .mtime_ns = 1000}}};
	}
	for (size_t i = 0; i < N_COMMITS; i++) {
		size_t from = N * i / N_COMMITS, to = N * (i + 1) / N_COMMITS;
		struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops + from, .n = to - from};
		struct sw_hash id;

		TEST_OK(sw_db_commit(s.t.db, &w, &id));
	}
	free(ops);
	assert_int_equal(sw_work_rename_table(s.w, sw_view_str("t"), sw_view_str("u")), SW_EXDEV);
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0755));
	assert_int_equal(sw_work_exchange_tables(s.w, sw_view_str("u"), sw_view_str("t")),
			 SW_EXDEV);
	assert_int_equal(n_edits(&s), 1);
	end(&s);
}

static void tables_change_places_with_all_that_is_in_them(void **state)
{
	struct sw_attr t, u;
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0700));
	write_row(&s, "both", "of t");
	write_row(&s, "only", "of t");
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("both"), sw_view_str("u"),
			       sw_view_str("both"), 0));
	write_row(&s, "there", "of u");
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("there"), sw_view_str("u"),
			       sw_view_str("there"), 0));
	write_row(&s, "both", "first of t");
	pass(&s, 5000);
	TEST_OK(sw_work_exchange_tables(s.w, sw_view_str("t"), sw_view_str("u")));
	assert_int_equal(sw_work_exchange_tables(s.w, sw_view_str("t"), sw_view_str("none")),
			 SW_ENOTFOUND);
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "both", text, sizeof(text)));
	assert_string_equal(text, "of t");
	assert_false(test_get(&s.t, "t", "only", text, sizeof(text)));
	assert_true(test_get(&s.t, "u", "both", text, sizeof(text)));
	assert_string_equal(text, "first of t");
	assert_false(test_get(&s.t, "u", "there", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "there", text, sizeof(text)));
	assert_true(test_get(&s.t, "u", "only", text, sizeof(text)));
	TEST_OK(sw_work_stat_table(s.w, sw_view_str("t"), &t));
	TEST_OK(sw_work_stat_table(s.w, sw_view_str("u"), &u));
	assert_int_equal(t.mode, 0700);
	assert_int_equal(u.mode, 0755);
	end(&s);
}

/* From now on there is room for nothing. */
static int no_room(void *arg, const char *step)
{
	(void)arg;
	(void)step;
	return SW_ENOSPC;
}

static int no_luck(void *arg, const char *step)
{
	(void)arg;
	(void)step;
	return SW_EIO;
}

/*
 * Whoever was told that a removal failed finds what it wanted to remove, now and later: rows and tables that were committed, that
 * were changed since, and that are new.
 */
static void a_removal_that_failed_does_not_happen_later(void **state)
{
	int (*const faults[])(void *, const char *) = {no_room, no_luck};
	struct sw_view t = sw_view_str("t");
	char text[16];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int want = i == 0 ? SW_ENOSPC : SW_EIO;
		struct set s;

		begin(&s);
		write_row(&s, "old", "one");
		write_row(&s, "changed", "one");
		TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0700));
		pass(&s, 50000);
		assert_int_equal(n_edits(&s), 0);
		write_row(&s, "changed", "two");
		write_row(&s, "new", "three");
		TEST_OK(sw_work_mkdir(s.w, sw_view_str("v"), 0755));
		s.t.env.env.fault = faults[i];
		assert_int_equal(sw_work_unlink(s.w, t, sw_view_str("old")), want);
		assert_int_equal(sw_work_unlink(s.w, t, sw_view_str("changed")), want);
		assert_int_equal(sw_work_unlink(s.w, t, sw_view_str("new")), want);
		assert_int_equal(sw_work_unlink(s.w, t, sw_view_str("none")), SW_ENOTFOUND);
		assert_int_equal(sw_work_rmdir(s.w, sw_view_str("u")), want);
		assert_int_equal(sw_work_rmdir(s.w, sw_view_str("v")), want);
		assert_int_equal(sw_work_rmdir(s.w, t), SW_ENOTEMPTY);
		assert_int_equal(n_edits(&s), 3);
		assert_true(is_table(&s, "u") && is_table(&s, "v"));
		s.t.env.env.fault = test_env_fault;
		pass(&s, 50000);
		assert_int_equal(n_edits(&s), 0);
		assert_true(test_get(&s.t, "t", "old", text, sizeof(text)));
		assert_true(test_get(&s.t, "t", "changed", text, sizeof(text)));
		assert_string_equal(text, "two");
		assert_true(test_get(&s.t, "t", "new", text, sizeof(text)));
		assert_true(is_table(&s, "u") && mode_of_table(&s, "u") == 0700 && mode_of_table(&s, "v") == 0755);
		/* And once more, with room. */
		TEST_OK(sw_work_unlink(s.w, t, sw_view_str("old")));
		TEST_OK(sw_work_rmdir(s.w, sw_view_str("u")));
		pass(&s, 50000);
		assert_false(test_get(&s.t, "t", "old", text, sizeof(text)));
		assert_false(is_table(&s, "u"));
		end(&s);
	}
}

/* The journal alone is full: a commit needs no room there. With the rows that were removed before it. */
static void a_table_is_removed_without_room_in_the_journal(void **state)
{
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	write_row(&s, "r", "one");
	pass(&s, 50000);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r")));
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_ENOSPC;
	TEST_OK(sw_work_rmdir(s.w, sw_view_str("t")));
	assert_int_equal(s.t.env.fail_in, 0);
	assert_int_equal(n_edits(&s), 0);
	assert_false(is_table(&s, "t"));
	assert_false(test_has_table(&s.t, "t"));
	assert_false(test_get(&s.t, "t", "r", text, sizeof(text)));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_table_is_renamed_in_one_commit),
	    cmocka_unit_test(a_renamed_table_waits_for_a_row_that_is_being_written),
	    cmocka_unit_test(a_table_is_not_removed_before_its_rows_are),
	    cmocka_unit_test(a_renamed_table_with_a_new_row_is_renamed_again),
	    cmocka_unit_test(a_table_is_renamed_while_its_rows_are_committed),
	    cmocka_unit_test(a_huge_table_is_not_renamed),
	    cmocka_unit_test(tables_change_places_with_all_that_is_in_them),
	    cmocka_unit_test(a_removal_that_failed_does_not_happen_later),
	    cmocka_unit_test(a_table_is_removed_without_room_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
