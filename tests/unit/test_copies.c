/* Working copies: what they see, what is seen of them, and what becomes of them. The clock is the test's. */
#include <fcntl.h>

#include "core/copies.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

struct set {
	struct test_db t;
	struct sw_work *w;
	struct sw_copies *c;
};

#define T sw_view_str("t")

static void open_set(struct set *s)
{
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
	TEST_OK(sw_copies_open(s->t.db, s->w, &s->c));
}

static void begin(struct set *s)
{
	test_db_create(&s->t, 1);
	open_set(s);
	TEST_OK(sw_work_mkdir(s->w, T, 0755));
}

static void close_set(struct set *s)
{
	sw_copies_close(s->c);
	sw_work_close(s->w);
}

/* What is left of the copies in the store. */
static bool has_records(struct set *s)
{
	struct sw_copy_record record;
	struct sw_txn *txn;
	int rc;

	TEST_OK(sw_txn_begin(sw_db_store(s->t.db), false, &txn));
	rc = sw_db_copy_next(txn, 0, &record);
	sw_txn_abort(txn);
	assert_true(rc >= 0);
	return rc > 0;
}

/* Nothing of the copies may be left but what is removed here. */
static void end(struct set *s)
{
	struct sw_copy *y;

	while ((y = sw_copy_next(s->c, 0))) {
		TEST_OK(sw_copy_discard(y));
		sw_copy_unref(y);
	}
	close_set(s);
	TEST_OK(sw_copies_open(s->t.db, NULL, &s->c));
	assert_null(sw_copy_next(s->c, 0)); /* not in the store either */
	sw_copies_close(s->c);
	TEST_OK(sw_db_tidy(s->t.db));
	assert_false(has_records(s));
	test_verify(&s->t);
	test_db_close(&s->t);
	assert_int_not_equal(access(s->t.dir, F_OK), 0); /* no journal was left */
}

static void write_row(struct sw_work *w, const char *key, const char *text)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(w, T, sw_view_str(key), SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(w, &h, 0, false, sw_view_str(text)));
	TEST_OK(sw_handle_flush(w, &h));
	sw_handle_release(w, &h);
}

/* What a row shows in a set; empty when it is not there. */
static const char *shows(struct sw_work *w, const char *key)
{
	static char text[64];
	struct sw_handle h;
	size_t got;

	text[0] = '\0';
	if (sw_work_open_row(w, T, sw_view_str(key), 0, 0, &h) < 0)
		return text;
	got = test_read(w, &h, 0, text, sizeof(text) - 1);
	sw_handle_release(w, &h);
	text[got] = '\0';
	return text;
}

static struct sw_copy *make(struct set *s, const char *name)
{
	struct sw_copy *y;

	TEST_OK(sw_copy_make(s->c, sw_view_str(name), &y));
	return y;
}

static struct sw_copy *find(struct set *s, const char *name)
{
	struct sw_copy *y;

	TEST_OK(sw_copy_find(s->c, sw_view_str(name), &y));
	return y;
}

static uint64_t count(struct set *s)
{
	struct sw_head head;

	sw_db_head(s->t.db, &head);
	return head.count;
}

static void a_copy_sees_what_was_there_and_nobody_sees_it(void **state)
{
	struct sw_copy *y;
	struct sw_hash id;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(s.w, "r", "old"); /* not committed yet */
	y = make(&s, "sale");
	assert_string_equal(shows(sw_copy_work(y), "r"), "old");
	write_row(s.w, "r", "live");
	write_row(sw_copy_work(y), "new", "copy");
	TEST_OK(sw_work_commit(s.w, sw_view("", 0), &id));
	assert_string_equal(shows(sw_copy_work(y), "r"), "old");
	assert_string_equal(shows(s.w, "new"), "");
	before = count(&s);
	TEST_OK(sw_copy_apply(y, &id)); /* r was only read */
	assert_int_equal(count(&s), before + 1);
	assert_string_equal(shows(s.w, "new"), "copy");
	assert_string_equal(shows(s.w, "r"), "live");
	assert_true(sw_copy_is_gone(y));
	assert_int_equal(sw_copy_find(s.c, sw_view_str("sale"), &y), SW_ENOTFOUND);
	sw_copy_unref(y);
	end(&s);
}

static void two_copies_on_one_row_one_is_applied(void **state)
{
	struct sw_copy *one, *two;
	struct sw_copy_status st;
	struct sw_hash id;
	struct sw_rd r;
	struct set s;

	(void)state;
	begin(&s);
	write_row(s.w, "stock", "5");
	one = make(&s, "one");
	two = make(&s, "two");
	write_row(sw_copy_work(one), "stock", "4");
	write_row(sw_copy_work(two), "stock", "4");
	write_row(sw_copy_work(two), "other", "x");
	TEST_OK(sw_copy_apply(one, &id));
	assert_int_equal(sw_copy_apply(two, &id), SW_ECONFLICT);
	assert_string_equal(shows(s.w, "other"), "");
	/* It says which row, and stays for another look. */
	TEST_OK(sw_copy_status(two, &st));
	assert_true(st.error[0] != '\0');
	r = sw_rd(sw_buf_view(&st.moved));
	assert_true(sw_view_eq(sw_rd_bytes(&r, SW_NAME_MAX), T));
	assert_true(sw_view_eq(sw_rd_bytes(&r, SW_NAME_MAX), sw_view_str("stock")));
	assert_int_equal(sw_rd_done(&r), 0);
	sw_copy_status_fini(&st);
	assert_string_equal(shows(sw_copy_work(two), "stock"), "4");
	/* And once the row is as it was, it is applied: 5, 4, 5 is clean. */
	write_row(s.w, "stock", "5");
	write_row(sw_copy_work(two), "stock", "3");
	TEST_OK(sw_copy_apply(two, &id));
	assert_string_equal(shows(s.w, "stock"), "3");
	sw_copy_unref(one);
	sw_copy_unref(two);
	end(&s);
}

static void a_checked_row_must_not_move_on(void **state)
{
	struct sw_hash id;
	struct sw_copy *y;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(s.w, "a", "1");
	write_row(s.w, "b", "1");
	y = make(&s, "y");
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("a")));
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("none")));
	write_row(sw_copy_work(y), "b", "2");
	write_row(s.w, "a", "2");
	assert_int_equal(sw_copy_apply(y, &id), SW_ECONFLICT);
	write_row(s.w, "a", "1");
	write_row(s.w, "none", "there");
	assert_int_equal(sw_copy_apply(y, &id), SW_ECONFLICT);
	TEST_OK(sw_work_unlink(s.w, T, sw_view_str("none")));
	TEST_OK(sw_copy_apply(y, &id));
	assert_string_equal(shows(s.w, "b"), "2");
	sw_copy_unref(y);
	/* Checks alone are no commit, but they are made; rewriting the same bytes is a check, too. */
	y = make(&s, "z");
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("a")));
	write_row(sw_copy_work(y), "a", "1");
	write_row(s.w, "a", "3");
	assert_int_equal(sw_copy_apply(y, &id), SW_ECONFLICT);
	write_row(s.w, "a", "1");
	TEST_OK(sw_work_commit(s.w, sw_view("", 0), &id));
	sw_copy_unref(y);
	y = make(&s, "only");
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("a")));
	before = count(&s);
	TEST_OK(sw_copy_apply(y, &id));
	assert_true(sw_hash_is_zero(&id));
	assert_int_equal(count(&s), before);
	sw_copy_unref(y);
	end(&s);
}

/* The process dies: what was flushed in a copy is there, on the state it stood on, whatever came since. */
static void a_copy_survives_the_process(void **state)
{
	struct sw_hash id;
	struct sw_copy *y;
	struct set s;
	static char large[100000];

	(void)state;
	begin(&s);
	memset(large, 'x', sizeof(large) - 1);
	write_row(s.w, "r", "old");
	write_row(s.w, "large", large);
	write_row(s.w, "checked", "c");
	y = make(&s, "y");
	TEST_OK(sw_copy_set_message(y, sw_view_str("why")));
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("checked")));
	write_row(sw_copy_work(y), "r", "mine");
	TEST_OK(sw_work_rename(sw_copy_work(y), T, sw_view_str("large"), T, sw_view_str("moved"), 0));
	sw_copy_unref(y);
	for (int i = 0; i < 3; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%d", i);
		write_row(s.w, "large", text);
		write_row(s.w, "else", text);
		TEST_OK(sw_work_commit(s.w, sw_view("", 0), &id));
	}
	test_verify(&s.t);
	s.t.env.dies = s.t.env.is_dead = true;
	close_set(&s);
	s.t.env.is_dead = s.t.env.dies = false;
	sw_db_close(s.t.db);
	TEST_OK(sw_db_open(s.t.dir, &s.t.env.env, &s.t.db));
	open_set(&s);
	y = find(&s, "y");
	assert_string_equal(shows(sw_copy_work(y), "r"), "mine");
	assert_string_equal(shows(sw_copy_work(y), "large"), "");
	assert_string_equal(shows(sw_copy_work(y), "else"), "");
	assert_memory_equal(shows(sw_copy_work(y), "moved"), large, 63);
	assert_int_equal(sw_copy_apply(y, &id), SW_ECONFLICT); /* 'large' was replaced */
	TEST_OK(sw_work_rename(sw_copy_work(y), T, sw_view_str("moved"), T, sw_view_str("large"), 0));
	write_row(s.w, "checked", "moved on");
	assert_int_equal(sw_copy_apply(y, &id), SW_ECONFLICT);
	write_row(s.w, "checked", "c");
	TEST_OK(sw_copy_apply(y, &id));
	assert_string_equal(shows(s.w, "r"), "mine");
	sw_copy_unref(y);
	end(&s);
}

static void what_is_discarded_leaves_nothing(void **state)
{
	struct sw_handle h;
	struct sw_copy *y;
	struct set s;
	struct sw_hash id;
	char text[8];
	size_t got;

	(void)state;
	begin(&s);
	write_row(s.w, "r", "old");
	y = make(&s, "y");
	assert_int_equal(sw_copy_make(s.c, sw_view_str("y"), &y), SW_EEXIST);
	write_row(sw_copy_work(y), "r", "mine");
	/* Who has a row of it open keeps that, and with it the state that the copy stood on. */
	TEST_OK(sw_work_open_row(sw_copy_work(y), T, sw_view_str("r"), 0, 0, &h));
	TEST_OK(sw_copy_discard(y));
	assert_int_equal(sw_copy_discard(y), SW_ENOTFOUND);
	write_row(s.w, "r", "new");
	TEST_OK(sw_work_commit(s.w, sw_view("", 0), &id));
	TEST_OK(sw_db_tidy(s.t.db));
	got = test_read(sw_copy_work(y), &h, 0, text, sizeof(text));
	assert_memory_equal(text, "mine", got);
	assert_true(has_records(&s));
	test_verify(&s.t);
	sw_handle_release(sw_copy_work(y), &h);
	sw_copy_unref(y);
	TEST_OK(sw_db_tidy(s.t.db));
	end(&s);
}

static void a_row_that_is_being_written_is_not_applied(void **state)
{
	struct sw_handle h;
	struct sw_hash id;
	struct sw_copy *y;
	struct set s;

	(void)state;
	begin(&s);
	y = make(&s, "y");
	TEST_OK(sw_work_open_row(sw_copy_work(y), T, sw_view_str("r"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(sw_copy_work(y), &h, 0, false, sw_view_str("half")));
	assert_int_equal(sw_copy_apply(y, &id), SW_EBUSY);
	TEST_OK(sw_handle_flush(sw_copy_work(y), &h));
	TEST_OK(sw_copy_apply(y, &id));
	assert_string_equal(shows(s.w, "r"), "half");
	/* Too late. */
	assert_int_equal(sw_handle_write(sw_copy_work(y), &h, 0, false, sw_view_str("more")), SW_EROFS);
	assert_int_equal(sw_work_mkdir(sw_copy_work(y), sw_view_str("u"), 0755), SW_EROFS);
	sw_handle_release(sw_copy_work(y), &h);
	sw_copy_unref(y);
	end(&s);
}

/* Of a journal: its header, and of a record what stands before its body. */
#define HEADER_SIZE 28
#define FRAME_SIZE  28

static int open_journal(struct set *s, uint64_t number)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/copy-%llu", s->t.dir, (unsigned long long)number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The file of the first copy's journal, with one byte changed, and changed back. */
static void flip(struct set *s, off_t at)
{
	int fd = open_journal(s, 1);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void reopen(struct set *s, struct sw_copy *y, off_t at)
{
	close_set(s);
	flip(s, at);
	sw_copy_unref(y);
	open_set(s);
}

static void check_damaged(struct sw_copy *y, bool is_damaged, const char *error)
{
	struct sw_copy_status st;

	TEST_OK(sw_copy_status(y, &st));
	assert_int_equal(st.is_damaged, is_damaged);
	assert_non_null(strstr(st.error, error));
	sw_copy_status_fini(&st);
}

/*
 * A part of what somebody wrote in a copy cannot be read any more: the rest of it can, but not be applied. So can the rest of the
 * store, and those bytes are left alone.
 */
static void a_damaged_copy_holds_up_nothing(void **state)
{
	static const off_t places[] = {HEADER_SIZE /* its size */, HEADER_SIZE + FRAME_SIZE + 6 /* what it is about */};
	static const char *const errors[] = {"copy-1 cannot be read as a whole: what was written last in rows", "written last in t/r "};
	struct sw_copy *y;
	struct sw_hash id;
	struct set s;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&s);
		write_row(s.w, "r", "old");
		y = make(&s, "damaged");
		write_row(sw_copy_work(y), "r", "mine");
		write_row(sw_copy_work(y), "q", "other");
		sw_copy_unref(make(&s, "whole"));
		reopen(&s, y, places[i]);
		y = find(&s, "damaged");
		check_damaged(y, true, errors[i]);
		assert_string_equal(shows(sw_copy_work(y), "r"), "old");
		assert_string_equal(shows(sw_copy_work(y), "q"), "other");
		assert_int_equal(sw_work_mkdir(sw_copy_work(y), sw_view_str("u"), 0755), SW_EROFS);
		assert_int_equal(sw_work_unlink(sw_copy_work(y), T, sw_view_str("q")), SW_EROFS);
		assert_int_equal(sw_work_check(sw_copy_work(y), T, sw_view_str("r")), SW_EROFS);
		assert_int_equal(sw_copy_apply(y, &id), SW_ECORRUPT);
		s.t.env.now_ms += 5000;
		TEST_OK(sw_copies_run(s.c));
		assert_string_equal(shows(s.w, "r"), "old");
		sw_copy_unref(y);
		y = find(&s, "whole");
		write_row(sw_copy_work(y), "new", "n");
		TEST_OK(sw_copy_apply(y, &id));
		sw_copy_unref(y);
		y = find(&s, "damaged");
		reopen(&s, y, places[i]);
		y = find(&s, "damaged");
		check_damaged(y, false, "");
		assert_string_equal(shows(sw_copy_work(y), "r"), "mine");
		reopen(&s, y, places[i]);
		end(&s); /* it can be discarded as it is */
	}
}

/* Nothing of what was written is there, so nothing is lost. */
static void a_copy_whose_header_is_damaged_goes_on(void **state)
{
	struct sw_copy *y;
	struct sw_hash id;
	struct set s;

	(void)state;
	begin(&s);
	write_row(s.w, "r", "old");
	y = make(&s, "y");
	write_row(sw_copy_work(y), "r", "mine");
	reopen(&s, y, 11);
	y = find(&s, "y");
	check_damaged(y, false, "");
	write_row(sw_copy_work(y), "q", "more");
	close_set(&s);
	sw_copy_unref(y);
	open_set(&s);
	y = find(&s, "y");
	assert_string_equal(shows(sw_copy_work(y), "r"), "mine");
	TEST_OK(sw_copy_apply(y, &id));
	assert_string_equal(shows(s.w, "r"), "mine");
	assert_string_equal(shows(s.w, "q"), "more");
	sw_copy_unref(y);
	end(&s);
}

/* As a newer swarmfs would write it. */
static void a_copy_that_is_too_new_holds_up_nothing(void **state)
{
	const struct sw_sip_key at_0 = {"swarmfsj"};
	uint8_t header[HEADER_SIZE];
	struct sw_handle h;
	struct sw_copy *y;
	struct sw_hash id;
	struct set s;
	int fd;

	(void)state;
	begin(&s);
	write_row(s.w, "r", "old");
	y = make(&s, "new");
	write_row(sw_copy_work(y), "r", "mine");
	fd = open_journal(&s, 1);
	assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
	header[11]++;
	sw_set_u64(header + 20, sw_sip13(&at_0, sw_view(header, 20)));
	assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
	close(fd);
	close_set(&s);
	sw_copy_unref(y);
	open_set(&s);
	y = find(&s, "new");
	check_damaged(y, true, "use a newer swarmfs");
	assert_int_equal(sw_work_open_row(sw_copy_work(y), T, sw_view_str("r"), 0, 0, &h), SW_ECORRUPT);
	assert_int_equal(sw_work_mkdir(sw_copy_work(y), sw_view_str("u"), 0755), SW_ECORRUPT);
	assert_int_equal(sw_work_check(sw_copy_work(y), T, sw_view_str("r")), SW_EROFS);
	assert_int_equal(sw_copy_apply(y, &id), SW_ECORRUPT);
	TEST_OK(sw_copies_run(s.c));
	assert_string_equal(shows(s.w, "r"), "old");
	sw_copy_unref(y);
	end(&s);
}

static uint64_t journal_bytes(struct sw_copy *y)
{
	struct sw_work_status st;

	sw_work_status(sw_copy_work(y), &st);
	return st.journal_bytes;
}

/* One that lives long and is written to again and again: its journal grows no larger than about twice what stands in it. */
static void the_journal_of_a_copy_does_not_grow_for_ever(void **state)
{
	static char text[50000], large[2000000];
	struct sw_copy_status st;
	int n_failed = 0;
	struct sw_handle h;
	struct sw_copy *y;
	struct set s;

	(void)state;
	begin(&s);
	write_row(s.w, "gone", "old");
	y = make(&s, "y");
	TEST_OK(sw_work_check(sw_copy_work(y), T, sw_view_str("checked")));
	TEST_OK(sw_work_unlink(sw_copy_work(y), T, sw_view_str("gone")));
	memset(large, 'l', sizeof(large) - 1);
	write_row(sw_copy_work(y), "large", large);
	for (int i = 0; i < 100; i++) {
		memset(text, 'a' + i % 26, sizeof(text) - 1);
		write_row(sw_copy_work(y), "r", text);
		s.t.env.now_ms += 2000;
		if (i % 3 == 0) { /* some step of it fails: it goes on as it is */
			s.t.env.fail_in = 1 + i / 3 % 8;
			s.t.env.fail_rc = SW_ENOSPC;
		}
		n_failed += sw_copies_run(s.c) < 0;
		s.t.env.fail_in = 0;
		assert_true(journal_bytes(y) < 800000);
	}
	assert_true(n_failed > 5);
	/* What a program has not closed yet does not get there on this way. */
	TEST_OK(sw_work_open_row(sw_copy_work(y), T, sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(sw_copy_work(y), &h, 0, false, sw_view_str("half")));
	for (int i = 0; i < 20; i++) {
		write_row(sw_copy_work(y), "q", text);
		s.t.env.now_ms += 2000;
		TEST_OK(sw_copies_run(s.c));
	}
	s.t.env.is_dead = true;
	sw_handle_release(sw_copy_work(y), &h);
	sw_copy_unref(y);
	close_set(&s);
	s.t.env.is_dead = false;
	open_set(&s);
	y = find(&s, "y");
	assert_memory_equal(shows(sw_copy_work(y), "r"), text, 60);
	assert_memory_equal(shows(sw_copy_work(y), "q"), text, 60);
	assert_memory_equal(shows(sw_copy_work(y), "large"), large, 60);
	assert_string_equal(shows(sw_copy_work(y), "gone"), "");
	TEST_OK(sw_copy_status(y, &st));
	assert_int_equal(st.n_checks, 1);
	assert_int_equal(st.n_edits, 4);
	sw_copy_status_fini(&st);
	sw_copy_unref(y);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_copy_sees_what_was_there_and_nobody_sees_it),
	    cmocka_unit_test(two_copies_on_one_row_one_is_applied),
	    cmocka_unit_test(a_checked_row_must_not_move_on),
	    cmocka_unit_test(a_copy_survives_the_process),
	    cmocka_unit_test(what_is_discarded_leaves_nothing),
	    cmocka_unit_test(a_row_that_is_being_written_is_not_applied),
	    cmocka_unit_test(a_damaged_copy_holds_up_nothing),
	    cmocka_unit_test(a_copy_whose_header_is_damaged_goes_on),
	    cmocka_unit_test(a_copy_that_is_too_new_holds_up_nothing),
	    cmocka_unit_test(the_journal_of_a_copy_does_not_grow_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
