/* Schemas and the working set: what is refused, what the name has then, and what is kept. The clock
 * is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/copies.h"
#include "core/restore.h"
#include "core/schema_ops.h"
#include "core/schemas.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

#define SCHEMA                                                                                     \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n > 0), up REFERENCES "  \
	"t)"

struct set {
	struct test_db t;
	struct sw_work *w;
};

static int write_through(struct sw_work *w, const char *table, const char *key, const char *text)
{
	struct sw_handle h;
	int rc;

	TEST_OK(sw_work_open_row(w, sw_view_str(table), sw_view_str(key),
				 SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(w, &h, 0, false, sw_view_str(text)));
	rc = sw_handle_flush(w, &h);
	sw_handle_release(w, &h);
	return rc;
}

static int put(struct set *s, const char *key, const char *text)
{
	return write_through(s->w, "t", key, text);
}

static void pass(struct set *s, uint64_t ms)
{
	s->t.env.now_ms += ms;
	TEST_OK(sw_work_run(s->w));
}

static void begin(struct set *s, const char *schema)
{
	test_db_create(&s->t, 1);
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
	TEST_OK(sw_work_mkdir(s->w, sw_view_str("t"), 0755));
	if (schema)
		TEST_OK(put(s, ".schema", schema));
	pass(s, 5000);
}

static void remove_one(void *arg, const struct sw_refusal *r)
{
	(void)arg;
	assert_int_equal(unlink(r->path), 0);
}

static void none(void *arg, const struct sw_refusal *r)
{
	(void)arg;
	(void)r;
	fail();
}

static void end(struct set *s)
{
	char dir[256];

	sw_refused_each(sw_work_refused(s->w), remove_one, NULL);
	sw_refused_each(sw_work_refused(s->w), none,
			NULL); /* removes the directories of the tables */
	sw_work_close(s->w);
	test_verify(&s->t);
	snprintf(dir, sizeof(dir), "%s/" SW_REFUSED_DIR, s->t.dir);
	rmdir(dir);
	test_db_close(&s->t);
}

/* What stands at the name, as a program reads it; NULL: nothing. */
static void shows_in(struct sw_work *w, const char *table, const char *key, const char *want)
{
	struct sw_handle h;
	char text[256];
	size_t got;
	int rc = sw_work_open_row(w, sw_view_str(table), sw_view_str(key), 0, 0, &h);

	assert_int_equal(rc, want ? 0 : SW_ENOTFOUND);
	if (!want)
		return;
	got = test_read(w, &h, 0, text, sizeof(text) - 1);
	text[got] = '\0';
	sw_handle_release(w, &h);
	assert_string_equal(text, want);
}

static void shows(struct set *s, const char *key, const char *want)
{
	shows_in(s->w, "t", key, want);
}

static void committed(struct set *s, const char *key, const char *want)
{
	char text[4096];

	pass(s, 5000);
	assert_int_equal(test_get(&s->t, "t", key, text, sizeof(text)), want != NULL);
	if (want)
		assert_string_equal(text, want);
}

struct found {
	const char *key;
	char reason[512], text[256];
	size_t n;
};

static void look(void *arg, const struct sw_refusal *r)
{
	struct found *f = arg;
	FILE *file;

	f->n++;
	if (!sw_view_eq(r->key, sw_view_str(f->key)))
		return;
	snprintf(f->reason, sizeof(f->reason), "%s", r->reason);
	file = fopen(r->path, "r");
	assert_non_null(file);
	f->text[fread(f->text, 1, sizeof(f->text) - 1, file)] = '\0';
	fclose(file);
}

/* One row is kept as refused, with that text and a reason that has `says` in it. */
static void kept(struct set *s, const char *key, const char *text, const char *says)
{
	struct found f = {.key = key};

	sw_refused_each(sw_work_refused(s->w), look, &f);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.text, text);
	assert_non_null(strstr(f.reason, says));
}

static void nothing_kept(struct set *s)
{
	sw_refused_each(sw_work_refused(s->w), none, NULL);
}

#define ONE "{\"id\":1,\"n\":1}"
#define TWO "{\"id\":1,\"n\":2}"
#define BAD "{\"id\":1,\"n\":0}"

static void a_new_row_that_is_refused_is_not_there(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	assert_non_null(strstr(sw_fail_message(SW_EINVAL), "CHECK constraint failed"));
	shows(&s, "1.json", NULL);
	kept(&s, "1.json", BAD, "CHECK constraint failed");
	committed(&s, "1.json", NULL);
	/* Written well, it is done with. */
	TEST_OK(put(&s, "1.json", ONE));
	nothing_kept(&s);
	committed(&s, "1.json", ONE);
	/* Other names are nobody's business. */
	TEST_OK(put(&s, "readme", "no JSON"));
	TEST_OK(put(&s, "1.json~", "no JSON"));
	committed(&s, "readme", "no JSON");
	end(&s);
}

static void the_committed_row_stays(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	shows(&s, "1.json", ONE);
	committed(&s, "1.json", ONE);
	kept(&s, "1.json", BAD, "n > 0");
	end(&s);
}

/* It was closed, so it must not get lost, although it is in no commit yet. */
static void the_row_that_waits_stays(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	TEST_OK(put(&s, "1.json", TWO));
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	shows(&s, "1.json", TWO);
	assert_int_equal(put(&s, "1.json", "{"), SW_EINVAL);
	shows(&s, "1.json", TWO);
	committed(&s, "1.json", TWO);
	/* So does a deletion. */
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("1.json")));
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	shows(&s, "1.json", NULL);
	committed(&s, "1.json", NULL);
	end(&s);
}

/* Also when it was written before there was a schema. */
static void what_was_taken_before_there_was_a_schema_stays(void **state)
{
	struct set s;

	(void)state;
	begin(&s, NULL);
	TEST_OK(put(&s, "1.json", ONE));
	TEST_OK(put(&s, "2.json", "{\"n\":2}"));
	TEST_OK(put(&s, ".schema", SCHEMA));
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("2.json")));
	assert_int_equal(put(&s, "2.json", BAD), SW_EINVAL);
	committed(&s, "1.json", ONE);
	committed(&s, "2.json", NULL);
	/* One that is written while it is renamed over another. */
	TEST_OK(put(&s, "1.json", TWO));
	{
		struct sw_handle h;

		TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("new"),
					 SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
		TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(BAD)));
		assert_int_equal(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("new"),
						sw_view_str("t"), sw_view_str("1.json"), 0),
				 SW_EINVAL);
		TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(ONE)));
		TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("new"), sw_view_str("t"),
				       sw_view_str("1.json"), 0));
		TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(BAD)));
		assert_int_equal(sw_handle_flush(s.w, &h), SW_EINVAL);
		sw_handle_release(s.w, &h);
	}
	committed(&s, "1.json", TWO);
	committed(&s, "new", NULL);
	end(&s);
}

static void fsync_refuses_and_the_program_may_go_on(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	TEST_OK(
	    sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("1.json"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(BAD)));
	assert_int_equal(sw_handle_sync(s.w, &h), SW_EINVAL);
	kept(&s, "1.json", BAD, "n > 0");
	committed(&s, "1.json", ONE);
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(TWO)));
	TEST_OK(sw_handle_sync(s.w, &h));
	nothing_kept(&s);
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	committed(&s, "1.json", TWO);
	end(&s);
}

/* A descriptor that somebody else has, too, is closed in the middle of a write: '{ echo ...; echo
 * ...; } > row'. */
static void what_becomes_good_later_comes_back(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("1.json"),
				 SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("{\"id\":1,")));
	assert_int_equal(sw_handle_flush(s.w, &h), SW_EINVAL);
	shows(&s, "1.json", ONE);
	TEST_OK(sw_handle_write(s.w, &h, 8, true, sw_view_str("\"n\":")));
	assert_int_equal(sw_handle_flush(s.w, &h), SW_EINVAL);
	committed(&s, "1.json", ONE);
	TEST_OK(sw_handle_write(s.w, &h, 12, false, sw_view_str("2}")));
	assert_int_equal(sw_handle_flush(s.w, &h), 1);
	shows(&s, "1.json", TWO);
	nothing_kept(&s);
	sw_handle_release(s.w, &h);
	committed(&s, "1.json", TWO);
	end(&s);
}

static void what_was_never_flushed_is_looked_at_too(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	/* ': > row', */
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("1.json"),
				 SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0, &h));
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	shows(&s, "1.json", ONE);
	committed(&s, "1.json", ONE);
	/* a new row that stays empty, */
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("2.json"),
				 SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	shows(&s, "2.json", NULL);
	/* an append, which is no whole row by itself, */
	TEST_OK(
	    sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("1.json"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view_str("x")));
	pass(&s, 5000);
	assert_int_equal(sw_handle_flush(s.w, &h), SW_EINVAL);
	sw_handle_release(s.w, &h);
	shows(&s, "1.json", ONE);
	/* and a size given by name. */
	for (uint64_t size = 0; size < 30; size += 5)
		assert_int_equal(
		    sw_work_set(s.w, sw_view_str("t"), sw_view_str("1.json"), NULL, NULL, &size),
		    SW_EINVAL);
	shows(&s, "1.json", ONE);
	committed(&s, "1.json", ONE);
	end(&s);
}

static void rename_refuses_and_changes_nothing(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	TEST_OK(put(&s, "new", BAD));
	assert_int_equal(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("new"), sw_view_str("t"),
					sw_view_str("1.json"), 0),
			 SW_EINVAL);
	kept(&s, "1.json", BAD, "n > 0");
	shows(&s, "1.json", ONE);
	shows(&s, "new", BAD);
	TEST_OK(put(&s, "new", TWO));
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("new"), sw_view_str("t"),
			       sw_view_str("1.json"), 0));
	nothing_kept(&s);
	shows(&s, "1.json", TWO);
	/* What was renamed there is what stays. */
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	shows(&s, "1.json", TWO);
	assert_int_equal(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("1.json"),
					sw_view_str("t"), sw_view_str("2.json"), 0),
			 SW_EINVAL);
	committed(&s, "1.json", TWO);
	/* A table goes with its rows, whatever they refer to. */
	TEST_OK(put(&s, "2.json", "{\"n\":1,\"up\":1}"));
	TEST_OK(put(&s, "1.json", "{\"n\":1,\"up\":2}"));
	pass(&s, 5000);
	TEST_OK(sw_work_rename_table(s.w, sw_view_str("t"), sw_view_str("u")));
	pass(&s, 5000);
	assert_int_equal(write_through(s.w, "u", "1.json", BAD), SW_EINVAL);
	shows_in(s.w, "u", "1.json", "{\"n\":1,\"up\":2}");
	end(&s);
}

static void a_schema_is_refused_like_a_row(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	assert_int_equal(put(&s, ".schema", "CREATE TABEL t(n)"), SW_EINVAL);
	kept(&s, ".schema", "CREATE TABEL t(n)", "syntax error");
	shows(&s, ".schema", SCHEMA);
	/* Rows that are there hold it up, those that wait too. */
	assert_int_equal(put(&s, ".schema", "CREATE TABLE t(id, n CHECK (n > 1))"), SW_EINVAL);
	kept(&s, ".schema", "CREATE TABLE t(id, n CHECK (n > 1))",
	     "the row 1.json, which is there, breaks it: CHECK");
	TEST_OK(put(&s, "1.json", TWO));
	TEST_OK(put(&s, ".schema", "CREATE TABLE t(id, n CHECK (n > 1))"));
	nothing_kept(&s);
	assert_int_equal(put(&s, ".schema", "CREATE TABLE t(id)"), SW_EINVAL);
	/* The new one counts at once. */
	assert_int_equal(put(&s, "1.json", ONE), SW_EINVAL);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str(".schema")));
	TEST_OK(put(&s, "1.json", "anything"));
	committed(&s, "1.json", "anything");
	assert_int_equal(put(&s, ".schema", SCHEMA), SW_EINVAL);
	shows(&s, ".schema", NULL);
	committed(&s, ".schema", NULL);
	end(&s);
}

static void references_are_looked_up(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	assert_int_equal(put(&s, "2.json", "{\"n\":1,\"up\":1}"), SW_EINVAL);
	kept(&s, "2.json", "{\"n\":1,\"up\":1}",
	     "its column up refers to t/1.json, which is not there");
	TEST_OK(put(&s, "1.json", ONE));
	TEST_OK(put(&s, "2.json", "{\"n\":1,\"up\":1}"));
	pass(&s, 5000);
	TEST_OK(put(&s, "2.json", "{\"n\":2,\"up\":1}"));
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("1.json")));
	assert_int_equal(put(&s, "2.json", "{\"n\":3,\"up\":1}"), SW_EINVAL);
	committed(&s, "2.json", "{\"n\":2,\"up\":1}");
	end(&s);
}

/* What nobody's SQLite here takes for a schema came from elsewhere: it holds nobody up. */
static void a_schema_that_is_none_here_checks_nothing(void **state)
{
	struct set s;

	(void)state;
	begin(&s, NULL);
	test_put(&s.t, "t", ".schema", "CREATE TABLE t(a) OF THE FUTURE");
	TEST_OK(put(&s, "1.json", "anything"));
	committed(&s, "1.json", "anything");
	test_put(&s.t, "t", ".schema", SCHEMA);
	assert_int_equal(put(&s, "1.json", "something"), SW_EINVAL);
	shows(&s, "1.json", "anything");
	end(&s);
}

static void what_was_refused_survives_the_process(void **state)
{
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	assert_int_equal(put(&s, "1.json", BAD), SW_EINVAL);
	sw_work_close(s.w);
	TEST_OK(sw_work_open(s.t.db, NULL, &s.w));
	kept(&s, "1.json", BAD, "");
	for (int i = 0; i < 2 * SW_REFUSED_ROWS_MAX; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%d.json", i);
		assert_int_equal(put(&s, key, "{}"), SW_EINVAL);
	}
	{
		struct found f = {.key = "199.json"};

		sw_refused_each(sw_work_refused(s.w), look, &f);
		assert_int_equal(f.n, SW_REFUSED_ROWS_MAX);
		assert_string_equal(f.text, "{}");
		snprintf(f.text, sizeof(f.text), "%s/" SW_REFUSED_DIR "/t/99.json", s.t.dir);
		assert_int_equal(access(f.text, F_OK), -1);
	}
	end(&s);
}

/* A full disk: it is refused all the same, and said that the text is gone. */
static void a_text_that_cannot_be_kept_is_told_of(void **state)
{
	struct found f = {.key = ""};
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("1.json"),
				 SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str(BAD)));
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_handle_flush(s.w, &h), SW_EINVAL);
	assert_non_null(strstr(sw_fail_message(SW_EINVAL), "CHECK"));
	sw_handle_release(s.w, &h);
	shows(&s, "1.json", NULL);
	sw_refused_each(sw_work_refused(s.w), look, &f);
	assert_int_equal(f.n, 1);
	TEST_OK(put(&s, "1.json", ONE));
	nothing_kept(&s);
	end(&s);
}

static void a_working_copy_is_looked_at_when_it_is_written_and_when_it_is_applied(void **state)
{
	struct sw_copies *copies;
	struct sw_copy *y;
	struct sw_hash id;
	struct set s;

	(void)state;
	begin(&s, NULL);
	TEST_OK(sw_copies_open(s.t.db, s.w, &copies));
	TEST_OK(sw_copy_make(copies, sw_view_str("c"), &y));
	TEST_OK(write_through(sw_copy_work(y), "t", "1.json", BAD));
	/* Meanwhile the table got a schema. */
	TEST_OK(put(&s, ".schema", SCHEMA));
	pass(&s, 5000);
	assert_int_equal(sw_copy_apply(y, &id), SW_EINVAL);
	assert_non_null(strstr(sw_fail_message(SW_EINVAL), "t/1.json: CHECK constraint failed"));
	TEST_OK(write_through(sw_copy_work(y), "t", "1.json", ONE));
	TEST_OK(sw_copy_apply(y, &id));
	sw_copy_unref(y);
	committed(&s, "1.json", ONE);
	TEST_OK(sw_copy_make(copies, sw_view_str("c"), &y));
	assert_int_equal(write_through(sw_copy_work(y), "t", "1.json", BAD), SW_EINVAL);
	shows_in(sw_copy_work(y), "t", "1.json", ONE);
	kept(&s, "1.json", BAD, "n > 0");
	TEST_OK(write_through(sw_copy_work(y), "t", "2.json", "{\"n\":1,\"up\":1}"));
	TEST_OK(sw_copy_apply(y, &id));
	sw_copy_unref(y);
	committed(&s, "2.json", "{\"n\":1,\"up\":1}");
	sw_copies_close(copies);
	end(&s);
}

static struct sw_write_op op(const char *key, const char *text)
{
	return (struct sw_write_op){.op = {.kind = text ? SW_OP_PUT : SW_OP_DELETE,
					   .table = sw_view_str("t"),
					   .key = sw_view_str(key)},
				    .content = sw_view_str(text ? text : "")};
}

/* says NULL: the two are taken. */
static void ops(struct set *s, struct sw_write_op a, struct sw_write_op b, const char *says)
{
	const struct sw_write_op both[] = {a, b};
	int rc = sw_schema_check_ops(s->t.db, both, 2);

	assert_int_equal(rc, says ? SW_EINVAL : 0);
	if (says)
		assert_string_equal(sw_fail_message(rc), says);
}

static void what_is_committed_together_is_looked_at_together(void **state)
{
	static const char other[] = "CREATE TABLE t(id, n CHECK (n > 1))";
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(put(&s, "1.json", ONE));
	pass(&s, 5000);
	ops(&s, op("2.json", "{\"n\":1,\"up\":3}"), op("3.json", "{\"n\":1,\"up\":2}"), NULL);
	ops(&s, op("2.json", "{\"n\":1,\"up\":3}"), op("4.json", "{\"n\":1}"),
	    "t/2.json: its column up refers to t/3.json, which is not there");
	ops(&s, op("2.json", "{\"n\":1,\"up\":1}"), op("1.json", NULL),
	    "t/2.json: its column up refers to t/1.json, which is not there");
	ops(&s, op("2.json", "{\"n\":1,\"up\":1}"), op("readme", "anything"), NULL);
	/* A schema that comes with them counts, and is compared with the rows that stay. */
	ops(&s, op(".schema", other), op("1.json", BAD),
	    "t/1.json: CHECK constraint failed: n > 1");
	ops(&s, op(".schema", other), op("1.json", TWO), NULL);
	ops(&s, op(".schema", other), op("2.json", TWO),
	    "t/1.json, which is there, breaks the new schema: CHECK constraint failed: n > 1");
	ops(&s, op(".schema", other), op("1.json", NULL), NULL);
	ops(&s, op(".schema", NULL), op("2.json", "anything"), NULL);
	ops(&s, op(".schema", "nonsense"), op("2.json", TWO),
	    "t/.schema: near \"nonsense\": syntax error");
	end(&s);
}

static size_t n_ticks;

/* A millisecond goes by with each look at it. */
static uint64_t tick(void *arg)
{
	n_ticks++;
	return ++((struct test_env *)arg)->now_ms;
}

static void put_many(struct sw_work *w, int n)
{
	char key[16];

	for (int i = 1; i <= n; i++) {
		snprintf(key, sizeof(key), "%d.json", i);
		TEST_OK(write_through(w, "t", key, "{\"n\":1}"));
	}
}

/* Whoever writes waits for the lock that is held then: time goes by with each row here. What is
 * not reached is as what stands behind the first rows. */
static void a_new_schema_is_compared_for_so_long(void **state)
{
	struct set s;

	(void)state;
	begin(&s, NULL);
	put_many(s.w, 2 * SW_SCHEMA_ROWS_MS);
	TEST_OK(put(&s, "zz.json", "{\"n\":0}"));
	pass(&s, 5000);
	assert_int_equal(put(&s, ".schema", "CREATE TABLE t(n CHECK (n > 0))"), SW_EINVAL);
	n_ticks = 0;
	s.t.env.env.mono_ms = tick;
	TEST_OK(put(&s, ".schema", "CREATE TABLE t(n CHECK (n > 0))"));
	assert_in_range(n_ticks, SW_SCHEMA_ROWS_MS, SW_SCHEMA_ROWS_MS + 50);
	/* So it is with those that wait to be committed. */
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0755));
	for (int i = 0; i < SW_SCHEMA_ROWS_MS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d.json", i);
		TEST_OK(write_through(s.w, "u", key, "{\"n\":1}"));
	}
	n_ticks = 0;
	TEST_OK(write_through(s.w, "u", ".schema", "CREATE TABLE t(n)"));
	assert_in_range(n_ticks, SW_SCHEMA_ROWS_MS / 2, SW_SCHEMA_ROWS_MS + 50);
	end(&s);
}

/* Rows that were looked at when they were written. */
static void a_working_copy_is_looked_at_for_so_long(void **state)
{
	struct sw_copies *copies;
	struct sw_hash id;
	struct sw_copy *y;
	struct set s;

	(void)state;
	begin(&s, SCHEMA);
	TEST_OK(sw_copies_open(s.t.db, s.w, &copies));
	TEST_OK(sw_copy_make(copies, sw_view_str("a"), &y));
	put_many(sw_copy_work(y), 2500);
	n_ticks = 0;
	s.t.env.env.mono_ms = tick;
	TEST_OK(sw_copy_apply(y, &id));
	assert_in_range(n_ticks, 2000, 2100);
	s.t.env.env.mono_ms = test_env_mono;
	sw_copy_unref(y);
	committed(&s, "2500.json", "{\"n\":1}");
	sw_copies_close(copies);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_row_that_is_refused_is_not_there),
	    cmocka_unit_test(the_committed_row_stays),
	    cmocka_unit_test(the_row_that_waits_stays),
	    cmocka_unit_test(what_was_taken_before_there_was_a_schema_stays),
	    cmocka_unit_test(fsync_refuses_and_the_program_may_go_on),
	    cmocka_unit_test(what_becomes_good_later_comes_back),
	    cmocka_unit_test(what_was_never_flushed_is_looked_at_too),
	    cmocka_unit_test(rename_refuses_and_changes_nothing),
	    cmocka_unit_test(a_schema_is_refused_like_a_row),
	    cmocka_unit_test(references_are_looked_up),
	    cmocka_unit_test(a_schema_that_is_none_here_checks_nothing),
	    cmocka_unit_test(what_is_committed_together_is_looked_at_together),
	    cmocka_unit_test(a_new_schema_is_compared_for_so_long),
	    cmocka_unit_test(a_working_copy_is_looked_at_for_so_long),
	    cmocka_unit_test(what_was_refused_survives_the_process),
	    cmocka_unit_test(a_text_that_cannot_be_kept_is_told_of),
	    cmocka_unit_test(a_working_copy_is_looked_at_when_it_is_written_and_when_it_is_applied),
	};

	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
