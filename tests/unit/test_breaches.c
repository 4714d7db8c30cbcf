/* Rows that break their schema, and what looking for them costs those who do other things: counted
 * in steps and looks at a clock that is the test's. What is found is for test_cases.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/breaches.h"
#include "tests/lib/dbs.h"

#define STEP_MS 5

struct watch {
	struct test_db t;
	struct sw_breaches *b;
	size_t n_broken, n_mended; /* that it told of */
	char last[512];		   /* the row of the last one, and why */
	bool asks;		   /* who looks at the clock asks for all, as status does */
	size_t n_asked;
};

static struct watch *clocked; /* whose clock it is */

static void count(void *arg, const struct sw_breach *breach, bool is_broken)
{
	struct watch *w = arg;

	*(is_broken ? &w->n_broken : &w->n_mended) += 1;
	snprintf(w->last, sizeof(w->last), "%.*s/%.*s %s", (int)breach->table.n,
		 (const char *)breach->table.p, (int)breach->key.n, (const char *)breach->key.p,
		 breach->reason);
}

static size_t known(struct watch *w, bool *is_more)
{
	return sw_breaches_each(w->b, NULL, NULL, is_more);
}

/* A millisecond goes by with each look at it. */
static uint64_t tick(void *arg)
{
	bool is_more;

	(void)arg;
	if (clocked->asks) {
		known(clocked, &is_more);
		clocked->n_asked++;
	}
	return ++clocked->t.env.now_ms;
}

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head,
		       bool by_others)
{
	struct watch *w = arg;

	(void)head;
	(void)by_others;
	sw_breaches_note(w->b, changes);
}

static void begin(struct watch *w)
{
	struct sw_listener listener = {.arg = w, .changed = on_changed};

	*w = (struct watch){0};
	test_db_create(&w->t, 1);
	TEST_OK(sw_breaches_new(w->t.db, &w->b));
	sw_db_listen(w->t.db, &listener);
}

static void end(struct watch *w)
{
	sw_db_listen(w->t.db, &(struct sw_listener){0});
	sw_breaches_free(w->b);
	test_db_close(&w->t);
}

/* Until there is nothing to look at: how many steps. */
static size_t run(struct watch *w)
{
	size_t n = 0;

	for (; sw_breaches_is_due(w->b); n++)
		TEST_OK(sw_breaches_run(w->b, count, w));
	return n;
}

/* Rows from, ..., to - 1 of t, all in one commit. */
static void put_rows(struct watch *w, int from, int to, const char *text)
{
	size_t n = (size_t)(to - from);
	struct sw_write_op *ops = calloc(n, sizeof(*ops));
	char (*keys)[16] = calloc(n, sizeof(*keys));
	struct sw_write write = {.mode = SW_MODE_MERGE, .ops = ops, .n = n};
	struct sw_hash id;

	assert_non_null(ops);
	assert_non_null(keys);
	for (size_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%04d.json", from + (int)i);
		ops[i] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
						     .table = sw_view_str("t"),
						     .key = sw_view_str(keys[i]),
						     .old = test_current(&w->t, "t", keys[i]),
						     .row = {.mode = 0644, .mtime_ns = 1000}},
					      .content = sw_view_str(text)};
	}
	TEST_OK(sw_db_commit(w->t.db, &write, &id));
	free(ops);
	free(keys);
}

/* Time goes by with each row here. */
static void a_step_ends_with_its_time(void **state)
{
	struct watch w;
	size_t n_steps = 0;

	(void)state;
	begin(&w);
	put_rows(&w, 0, 100, "{\"n\":0}");
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(n CHECK (n > 0))");
	clocked = &w;
	w.t.env.env.mono_ms = tick;
	for (; sw_breaches_is_due(w.b); n_steps++) {
		size_t before = w.n_broken;

		TEST_OK(sw_breaches_run(w.b, count, &w));
		assert_true(w.n_broken - before <= STEP_MS);
	}
	assert_int_equal(w.n_broken, 100);
	assert_true(n_steps >= 100 / STEP_MS);
	/* And when they are looked at one by one. */
	put_rows(&w, 0, 100, "{\"n\":1}");
	while (sw_breaches_is_due(w.b)) {
		size_t before = w.n_mended;

		TEST_OK(sw_breaches_run(w.b, count, &w));
		assert_true(w.n_mended - before <= STEP_MS);
	}
	assert_int_equal(w.n_mended, 100);
	end(&w);
}

/* Whoever asks for what is known in the middle of a step gets it. The threads of this test are one,
 * which a lock that is held would stop for good. */
static void nobody_waits_for_a_row_that_is_looked_at(void **state)
{
	struct watch w;

	(void)state;
	begin(&w);
	put_rows(&w, 0, 50, "{\"n\":0}");
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(n CHECK (n > 0))");
	clocked = &w;
	w.asks = true;
	w.t.env.env.mono_ms = tick;
	run(&w);
	assert_int_equal(w.n_broken, 50);
	assert_true(w.n_asked >= 50);
	end(&w);
}

/* It would be told of for each row else. */
static void too_much_work_is_told_of_at_the_schema(void **state)
{
	static const char heavy[] =
	    "CREATE TABLE t(n, a AS (hex(hex(hex('aaaaaaaaaa')))), b AS (hex(hex(hex(a)))), c AS "
	    "(hex(hex(hex(hex(hex(b)))))), CHECK (n > 0))";
	struct watch w;
	bool is_more;

	(void)state;
	begin(&w);
	put_rows(&w, 0, 300, "{\"n\":0}");
	test_put(&w.t, "t", ".schema", heavy);
	run(&w);
	assert_int_equal(known(&w, &is_more), 1);
	assert_int_equal(w.n_broken, 1);
	assert_string_equal(w.last, "t/.schema a check of the row 0000.json is more work than one "
				    "may be; such rows are not checked");
	put_rows(&w, 300, 310, "{\"n\":0}");
	run(&w);
	assert_int_equal(known(&w, &is_more), 1);
	assert_int_equal(w.n_broken + w.n_mended, 1);
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(n CHECK (n = 0))");
	run(&w);
	assert_int_equal(known(&w, &is_more), 0);
	assert_int_equal(w.n_mended, 1);
	end(&w);
}

/* With more than are remembered each of them made all tables be walked over once more. */
static void a_row_that_is_mended_costs_no_walk(void **state)
{
	struct watch w;
	bool is_more;

	(void)state;
	begin(&w);
	put_rows(&w, 0, 1300, "{\"n\":0}");
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(n CHECK (n > 0))");
	run(&w);
	assert_int_equal(known(&w, &is_more), SW_BREACHES_MAX);
	assert_true(is_more);
	for (int i = 0; i < 20; i++) {
		put_rows(&w, i, i + 1, "{\"n\":1}");
		assert_int_equal(run(&w), 1);
	}
	assert_int_equal(known(&w, &is_more), SW_BREACHES_MAX - 20);
	assert_true(is_more);
	/* When there is room for many they are looked for. */
	put_rows(&w, 20, 500, "{\"n\":1}");
	run(&w);
	assert_int_equal(known(&w, &is_more), 800);
	assert_false(is_more);
	end(&w);
}

/* What a schema refers to is known without it. */
static void references_are_followed(void **state)
{
	struct watch w;
	bool is_more;

	(void)state;
	begin(&w);
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(of REFERENCES u, up REFERENCES t)");
	put_rows(&w, 1, 2, "{\"of\":\"a\",\"up\":null}");
	put_rows(&w, 2, 3, "{\"up\":\"0001\"}");
	run(&w);
	assert_int_equal(known(&w, &is_more), 1);
	test_put(&w.t, "u", "a.json", "{}");
	run(&w);
	assert_int_equal(known(&w, &is_more), 0);
	test_delete(&w.t, "t", "0001.json");
	run(&w);
	assert_int_equal(known(&w, &is_more), 1);
	assert_string_equal(w.last,
			    "t/0002.json its column up refers to t/0001.json, which is not there");
	/* Another schema refers to others. */
	test_put(&w.t, "t", ".schema", "CREATE TABLE t(of, up REFERENCES v)");
	test_put(&w.t, "v", "0001.json", "{}");
	run(&w);
	assert_int_equal(known(&w, &is_more), 0);
	test_delete(&w.t, "v", "0001.json");
	run(&w);
	assert_int_equal(known(&w, &is_more), 1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_step_ends_with_its_time),
	    cmocka_unit_test(nobody_waits_for_a_row_that_is_looked_at),
	    cmocka_unit_test(too_much_work_is_told_of_at_the_schema),
	    cmocka_unit_test(a_row_that_is_mended_costs_no_walk),
	    cmocka_unit_test(references_are_followed),
	};

	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
