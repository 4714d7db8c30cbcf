/* A working set on a database of its own, with the table t. The clock is the test's. */
#ifndef TESTS_LIB_SET_H
#define TESTS_LIB_SET_H

#include "core/work.h"
#include "tests/lib/dbs.h"

struct set {
	struct test_db t;
	struct sw_work *w;
	/* For a hook of the test. */
	const char *meanwhile;
	struct sw_handle *append_to;
};

static inline void open_set(struct set *s)
{
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
}

static inline void begin_with(struct set *s, enum sw_conflict_mode mode)
{
	test_db_create_with(&s->t, 1, mode);
	open_set(s);
	TEST_OK(sw_work_mkdir(s->w, sw_view_str("t"), 0755));
	s->t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s->w));
}

static inline void begin(struct set *s)
{
	begin_with(s, SW_CONFLICT_MERGE);
}

static inline void end(struct set *s)
{
	sw_work_close(s->w);
	test_verify(&s->t);
	test_db_close(&s->t);
}

static inline uint64_t count(struct set *s)
{
	struct sw_head head;

	sw_db_head(s->t.db, &head);
	return head.count;
}

static inline void write_row(struct set *s, const char *key, const char *text)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key),
				 SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(s->w, &h, 0, false, sw_view_str(text)));
	TEST_OK(sw_handle_flush(s->w, &h));
	sw_handle_release(s->w, &h);
}

/* Time passes and the committer looks. */
static inline void pass(struct set *s, uint64_t ms)
{
	s->t.env.now_ms += ms;
	TEST_OK(sw_work_run(s->w));
}

static inline size_t n_edits(struct set *s)
{
	struct sw_work_status status;

	sw_work_status(s->w, &status);
	return status.n_edits;
}

/* The process dies, and another one opens the database. */
static inline void crash(struct set *s)
{
	s->t.env.fail_rc = SW_EIO;
	s->t.env.is_dead = true;
	sw_work_close(s->w);
	sw_db_close(s->t.db);
	s->t.env.is_dead = false;
	TEST_OK(sw_db_open(s->t.dir, &s->t.env.env, &s->t.db));
	open_set(s);
}

#endif
