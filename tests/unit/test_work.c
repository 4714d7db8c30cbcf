/* The working set: net effects, quiet times, and the journal after a crash. The clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/gc.h"
#include "tests/lib/read.h"
#include "tests/lib/set.h"

#define N_WIDE	  90
#define N_COLUMNS 4000

static const char *wide_key(size_t i, char key[16])
{
	snprintf(key, 16, "%zu.json", i);
	return key;
}

/* Rows whose columns, when they change, are too much for one commit. */
static void write_wide(struct set *s, size_t value)
{
	static char text[N_COLUMNS * 20];
	char key[16];

	for (size_t i = 0; i < N_WIDE; i++) {
		size_t n = 0;

		for (size_t k = 0; k < N_COLUMNS; k++)
			n += (size_t)sprintf(text + n, "%c\"c%zu\":%zu", k ? ',' : '{', k, value + i);
		strcpy(text + n, "}");
		write_row(s, wide_key(i, key), text);
	}
}

static void a_row_is_committed_after_its_quiet_time(void **state)
{
	struct set s;
	uint64_t before;
	char text[32];

	(void)state;
	begin(&s);
	before = count(&s);
	write_row(&s, "r", "one");
	pass(&s, 50);
	assert_int_equal(count(&s), before);
	write_row(&s, "r", "two"); /* the quiet time begins anew */
	pass(&s, 60);
	assert_int_equal(count(&s), before);
	pass(&s, 60);
	assert_int_equal(count(&s), before + 1);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "two");
	pass(&s, 5000);
	assert_int_equal(count(&s), before + 1);
	end(&s);
}

static void what_is_too_large_for_one_commit_goes_into_several(void **state)
{
	static char large[2000000];
	struct sw_hash id;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	write_wide(&s, 1);
	pass(&s, 200);
	assert_int_equal(n_edits(&s), 0);
	before = count(&s);
	write_wide(&s, 1000);
	pass(&s, 200);
	assert_int_equal(n_edits(&s), 0);
	assert_int_equal(count(&s), before + 2);
	/* What was staged for the commit that fails is in one of those that do not. */
	memset(large, 'x', sizeof(large) - 1);
	write_row(&s, "large", large);
	write_wide(&s, 2000);
	TEST_OK(sw_work_commit(s.w, sw_view_str("wide"), &id));
	assert_int_equal(n_edits(&s), 0);
	assert_int_equal(count(&s), before + 4);
	assert_false(sw_hash_is_zero(&id));
	end(&s);
}

/* Whatever they share the batch with. */
static void joined_names_that_are_too_large_for_one_commit_are_parted(void **state)
{
	char key[16], next[16];
	struct set s;

	(void)state;
	begin(&s);
	write_wide(&s, 1);
	pass(&s, 200);
	assert_int_equal(n_edits(&s), 0);
	write_row(&s, "alone", "1");
	for (size_t i = 0; i + 1 < N_WIDE; i++)
		TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str(wide_key(i, key)), sw_view_str("t"),
				       sw_view_str(wide_key(i + 1, next)), SW_RENAME_EXCHANGE));
	pass(&s, 200);
	assert_int_equal(n_edits(&s), 0);
	end(&s);
}

static void a_busy_row_is_committed_at_the_latest_after_two_seconds(void **state)
{
	struct set s;
	uint64_t before;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "there");
	pass(&s, 200);
	before = count(&s);
	for (int i = 0; i < 50 && count(&s) == before; i++) {
		snprintf(text, sizeof(text), "%d", i);
		write_row(&s, "r", text);
		pass(&s, 50);
		assert_true(i < 41);
	}
	assert_int_equal(count(&s), before + 1);
	/* A new name waits for quiet ten times as long: most are temporary. */
	before = count(&s);
	for (int i = 0; i < 410 && count(&s) == before; i++) {
		write_row(&s, "new", i % 2 ? "a" : "b");
		pass(&s, 50);
		assert_true(i > 390 || count(&s) == before);
	}
	assert_int_equal(count(&s), before + 1);
	end(&s);
}

/* As rsync does, on a machine that stops it between the two. */
static void what_a_copier_writes_first_is_no_row(void **state)
{
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	before = count(&s);
	write_row(&s, ".r.json.Ab1xYz", "whole");
	pass(&s, 1900);
	assert_int_equal(count(&s), before);
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str(".r.json.Ab1xYz"), sw_view_str("t"), sw_view_str("r.json"), 0));
	pass(&s, 100);
	assert_int_equal(count(&s), before + 1);
	/* Left there by one that was ended, it is a row like any other; so is at once what is called otherwise. */
	write_row(&s, ".r.json.Ab1xYz", "half");
	pass(&s, 2000);
	assert_int_equal(count(&s), before + 2);
	write_row(&s, ".r.json.Ab-xYz", "a row");
	write_row(&s, "r.json.Ab1xYz", "a row");
	pass(&s, 100);
	assert_int_equal(count(&s), before + 3);
	end(&s);
}

static void a_quiet_time_of_more_than_two_seconds_is_waited_out(void **state)
{
	const struct sw_work_options options = {.settle_ms = 60000};
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	sw_work_close(s.w);
	TEST_OK(sw_work_open(s.t.db, &options, &s.w));
	write_row(&s, "r", "there");
	pass(&s, 60000);
	before = count(&s);
	write_row(&s, "r", "one");
	pass(&s, 30000);
	assert_int_equal(count(&s), before);
	write_row(&s, "r", "two");
	pass(&s, 29999);
	assert_int_equal(count(&s), before);
	pass(&s, 1);
	assert_int_equal(count(&s), before + 1);
	end(&s);
}

/* Whatever rename joined them first, and however often: while one of them is being written the others wait for it. */
static void names_that_renames_joined_are_committed_together(void **state)
{
	static const char *const pairs[][2] = {{"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "c"}};
	struct sw_handle h;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "a", "1");
	write_row(&s, "b", "2");
	write_row(&s, "c", "3");
	write_row(&s, "alone", "4");
	pass(&s, 200);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str(pairs[i][0]), sw_view_str("t"),
				       sw_view_str(pairs[i][1]), SW_RENAME_EXCHANGE));
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("b"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("half")));
	pass(&s, 5000);
	assert_int_equal(count(&s), before);
	write_row(&s, "alone", "5");
	pass(&s, 200);
	assert_int_equal(count(&s), before + 1);
	assert_true(sw_work_is_edited(s.w, sw_view_str("t"), sw_view_str("a")));
	assert_true(sw_work_is_edited(s.w, sw_view_str("t"), sw_view_str("c")));
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	pass(&s, 200);
	assert_int_equal(count(&s), before + 2);
	end(&s);
}

static void what_is_open_and_not_flushed_waits(void **state)
{
	struct set s;
	struct sw_handle h;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 200);
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("half")));
	pass(&s, 10000);
	assert_int_equal(count(&s), before);
	TEST_OK(sw_handle_flush(s.w, &h));
	pass(&s, 200);
	assert_int_equal(count(&s), before + 1);
	/* Appended bytes are whole by themselves, the handle may stay open. */
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view_str(" more")));
	pass(&s, 200);
	assert_int_equal(count(&s), before + 2);
	sw_handle_release(s.w, &h);
	end(&s);
}

static void only_the_net_effect_of_a_name_counts(void **state)
{
	struct set s;
	uint64_t before;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 200);
	before = count(&s);
	/* As sed does it, and then an editor's way, all within the quiet time. */
	write_row(&s, "sedXyZ", "new");
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("sedXyZ"), sw_view_str("t"), sw_view_str("r"), 0));
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("r"), sw_view_str("t"), sw_view_str("r~"), 0));
	write_row(&s, "r", "newer");
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r~")));
	write_row(&s, "gone", "x");
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("gone")));
	pass(&s, 200);
	assert_int_equal(count(&s), before + 1);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "newer");
	assert_false(test_get(&s.t, "t", "sedXyZ", text, sizeof(text)));
	assert_false(test_get(&s.t, "t", "gone", text, sizeof(text)));
	/* Gone and come back as it was: nothing happened. */
	{
		struct sw_attr a;

		TEST_OK(sw_work_stat(s.w, sw_view_str("t"), sw_view_str("r"), &a));
		TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r")));
		write_row(&s, "r", "newer");
		TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("r"), &a.mode, &a.mtime_ns, NULL));
	}
	pass(&s, 200);
	assert_int_equal(count(&s), before + 1);
	end(&s);
}

static void a_sync_commits_a_row_that_exists_and_keeps_a_new_one(void **state)
{
	struct set s;
	struct sw_handle h;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 200);
	before = count(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("NEW")));
	TEST_OK(sw_handle_sync(s.w, &h));
	assert_int_equal(count(&s), before + 1);
	sw_handle_release(s.w, &h);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("tmp"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("x")));
	TEST_OK(sw_handle_sync(s.w, &h));
	assert_int_equal(count(&s), before + 1);
	sw_handle_release(s.w, &h);
	end(&s);
}

/*
 * The process dies: the set is left as it is, and opened anew. (What the dead one held in memory stays
 * reachable until the test ends, so that nothing is written on its behalf.)
 */
static void what_was_flushed_survives_a_crash(void **state)
{
	static struct sw_work *dead[3];
	struct set s;
	char text[32];
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 200);
	write_row(&s, "r", "closed");
	write_row(&s, "n", "new");
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("n"), sw_view_str("t"), sw_view_str("m"), 0));
	dead[0] = s.w;
	open_set(&s);
	before = count(&s);
	pass(&s, 5000);
	assert_true(count(&s) > before);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "closed");
	assert_true(test_get(&s.t, "t", "m", text, sizeof(text)));
	assert_false(test_get(&s.t, "t", "n", text, sizeof(text)));
	/* Replaying what is committed changes nothing. */
	dead[1] = s.w;
	before = count(&s);
	open_set(&s);
	pass(&s, 5000);
	assert_int_equal(count(&s), before);
	/* A failed commit keeps the rows, says why, and is tried again. */
	write_row(&s, "r", "later");
	s.t.env.now_ms += 200;
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_work_run(s.w), SW_EIO);
	{
		struct sw_work_status st;

		sw_work_status(s.w, &st);
		assert_int_equal(st.n_edits, 1);
		assert_true(st.error[0] != '\0');
	}
	s.t.env.fail_in = 0;
	pass(&s, 2000);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "later");
	assert_non_null(dead[0]);
	end(&s);
}

/* Nothing more fits into the journal; so many commits fail, too. */
static int n_commits_fail;

static int disk_is_full(void *arg, const char *step)
{
	(void)arg;
	if (strcmp(step, "journal.append") == 0)
		return SW_ENOSPC;
	return strcmp(step, "store.commit") == 0 && n_commits_fail-- > 0 ? SW_ENOSPC : 0;
}

static void a_removal_that_the_journal_has_no_room_for_is_committed(void **state)
{
	static struct sw_work *dead; /* as after kill -9: nothing is closed */
	struct sw_view t = sw_view_str("t");
	struct sw_handle h;
	struct set s;
	char text[32];
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "a", "a");
	write_row(&s, "b", "b");
	write_row(&s, "c", "c");
	pass(&s, 5000);
	before = count(&s);
	write_row(&s, "new", "new");
	write_row(&s, "gone", "gone");
	s.t.env.env.fault = disk_is_full;
	/* The first try to commit gives back what is kept for this. */
	n_commits_fail = 1;
	TEST_OK(sw_work_unlink(s.w, t, sw_view_str("a")));
	assert_int_equal(count(&s), before + 1);
	assert_false(test_get(&s.t, "t", "a", text, sizeof(text)));
	/* What else waits has its quiet time all the same. */
	assert_false(test_get(&s.t, "t", "new", text, sizeof(text)));
	/* Of what was never committed nothing is left: what the journal has of it is spent, and no
	 * commit is made. */
	TEST_OK(sw_work_unlink(s.w, t, sw_view_str("gone")));
	TEST_OK(sw_work_open_row(s.w, t, sw_view_str("torn"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644,
				 &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("torn")));
	assert_int_equal(sw_handle_flush(s.w, &h), SW_ENOSPC);
	sw_handle_release(s.w, &h);
	TEST_OK(sw_work_unlink(s.w, t, sw_view_str("torn")));
	assert_int_equal(count(&s), before + 1);
	/* Whoever writes is told. */
	TEST_OK(sw_work_open_row(s.w, t, sw_view_str("c"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("later")));
	assert_int_equal(sw_handle_flush(s.w, &h), SW_ENOSPC);
	sw_handle_release(s.w, &h);
	n_commits_fail = 2;
	assert_int_equal(sw_work_unlink(s.w, t, sw_view_str("b")), SW_ENOSPC);
	assert_int_equal(count(&s), before + 1);
	assert_true(test_get(&s.t, "t", "b", text, sizeof(text)));
	/* Whoever was told that it failed can rely on that, also when there is room. */
	s.t.env.env.fault = test_env_fault;
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "b", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "new", text, sizeof(text)));
	/* Nothing that was removed comes back from the journal. */
	dead = s.w;
	open_set(&s);
	pass(&s, 5000);
	assert_false(test_get(&s.t, "t", "a", text, sizeof(text)));
	assert_false(test_get(&s.t, "t", "gone", text, sizeof(text)));
	assert_non_null(dead);
	end(&s);
}

/* The first try leaves out what changes nothing; the second has all again. */
static void a_commit_that_is_tried_again_is_a_whole_one(void **state)
{
	struct sw_hash id;
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "gone", "gone");
	pass(&s, 50000);
	write_row(&s, "a", "a");
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("gone")));
	write_row(&s, "z", "z");
	test_delete(&s.t, "t", "gone"); /* by others, who were faster */
	s.t.env.env.fault = disk_is_full;
	n_commits_fail = 1;
	TEST_OK(sw_work_commit(s.w, sw_view(NULL, 0), &id));
	assert_int_equal(n_commits_fail, -1);
	assert_int_equal(n_edits(&s), 0);
	assert_true(test_get(&s.t, "t", "a", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "z", text, sizeof(text)));
	s.t.env.env.fault = test_env_fault;
	end(&s);
}

/* What waits longer may be what there is no room for. */
static void a_removal_on_a_full_disk_waits_for_no_row(void **state)
{
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "old", "old");
	pass(&s, 50000);
	write_row(&s, "a", "a");
	write_row(&s, "z", "z");
	s.t.env.now_ms += 50000;
	s.t.env.env.fault = disk_is_full;
	n_commits_fail = 1;
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("old")));
	assert_false(test_get(&s.t, "t", "old", text, sizeof(text)));
	assert_int_equal(n_edits(&s), 2);
	s.t.env.env.fault = test_env_fault;
	end(&s);
}

/* A power loss takes what was not flushed of the journal; rows that a sync has committed are in the store. */
static void numbers_of_a_lost_journal_are_not_given_again(void **state)
{
	struct sw_handle h;
	char path[256], text[32];
	struct stat st;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", "there");
	pass(&s, 5000);
	snprintf(path, sizeof(path), "%s/journal", s.t.dir);
	assert_int_equal(stat(path, &st), 0);
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%d", i);
		write_row(&s, "r", text);
		TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
		TEST_OK(sw_handle_sync(s.w, &h));
		sw_handle_release(s.w, &h);
	}
	sw_work_close(s.w);
	assert_int_equal(truncate(path, st.st_size), 0);
	open_set(&s);
	write_row(&s, "r", "closed");
	/* Killed. */
	s.t.env.dies = s.t.env.is_dead = true;
	sw_work_close(s.w);
	s.t.env.is_dead = false;
	open_set(&s);
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "closed");
	end(&s);
}

/* What a journal was begun anew without is forgotten; what it has got since stays spent, whoever was faster. */
static void what_came_after_a_new_journal_stays_spent(void **state)
{
	struct sw_write_op ops[2] = {{.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str("old")},
				      .content = sw_view_str("x"), .journal_seq = 7},
				     {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str("new")},
				      .content = sw_view_str("x"), .journal_seq = 8}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = 2};
	struct sw_spent spent;
	struct sw_hash id;
	struct set s;

	(void)state;
	begin(&s);
	TEST_OK(sw_db_commit(s.t.db, &w, &id));
	TEST_OK(sw_db_forget_spent(s.t.db, 7));
	TEST_OK(sw_db_spent(s.t.db, sw_view_str("t"), sw_view_str("old"), &spent));
	assert_int_equal(spent.seq, 0);
	TEST_OK(sw_db_spent(s.t.db, sw_view_str("t"), sw_view_str("new"), &spent));
	assert_int_equal(spent.seq, 8);
	end(&s);
}

/* What a program does with the row while it is being committed. */
static void change_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	if (s->meanwhile)
		write_row(s, "r", s->meanwhile);
	else
		TEST_OK(sw_work_unlink(s->w, sw_view_str("t"), sw_view_str("r")));
}

static void append_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	TEST_OK(sw_handle_write(s->w, s->append_to, 0, true, sw_view((const uint8_t *)s->meanwhile, 1000)));
	TEST_OK(sw_handle_write(s->w, s->append_to, 0, true, sw_view((const uint8_t *)s->meanwhile + 1000, 1000)));
}

/* An edit with the wrong base is dropped here. Texts are what r was, is then, is while that is committed; NULL: absent. */
static void check_meanwhile(const char *before, const char *then, const char *meanwhile)
{
	struct sw_work *dead;
	struct set s;
	char text[32];

	begin_with(&s, SW_CONFLICT_DROP);
	if (before)
		write_row(&s, "r", before);
	pass(&s, 5000);
	if (then)
		write_row(&s, "r", then);
	else
		TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r")));
	s.meanwhile = meanwhile;
	s.t.env.on_step = change_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 5000);
	assert_null(s.t.env.on_step);
	assert_int_equal(test_get(&s.t, "t", "r", text, sizeof(text)), then != NULL);
	dead = s.w;
	open_set(&s);
	pass(&s, 5000);
	assert_int_equal(test_get(&s.t, "t", "r", text, sizeof(text)), meanwhile != NULL);
	if (meanwhile)
		assert_string_equal(text, meanwhile);
	s.t.env.is_dead = true;
	sw_work_close(dead);
	s.t.env.is_dead = false;
	end(&s);
}

static void an_edit_made_during_a_commit_follows_it_after_a_crash(void **state)
{
	(void)state;
	check_meanwhile("there", "first", "second");
	check_meanwhile(NULL, "first", "second");
	check_meanwhile(NULL, "first", NULL);
	check_meanwhile("there", NULL, "second");
}

static void note_flush(void *arg, const char *step)
{
	if (strcmp(step, "journal.sync") == 0)
		*(int *)arg += 1;
}

/* As a program does that replaces a row durably: the new file is flushed before the rename, the directory after it. */
static void a_flush_of_the_directory_makes_a_rename_durable(void **state)
{
	struct sw_work_status before, after;
	struct sw_handle h;
	int n_flushes = 0;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 5000);
	s.t.env.on_step = note_flush;
	s.t.env.on_step_arg = &n_flushes;
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("tmp"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("new")));
	TEST_OK(sw_handle_sync(s.w, &h));
	sw_handle_release(s.w, &h);
	assert_int_equal(n_flushes, 1);
	sw_work_status(s.w, &before);
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("tmp"), sw_view_str("t"), sw_view_str("r"), 0));
	TEST_OK(sw_work_sync(s.w));
	sw_work_status(s.w, &after);
	assert_true(after.journal_bytes > before.journal_bytes);
	assert_int_equal(n_flushes, 2);
	TEST_OK(sw_work_sync(s.w)); /* nothing is left to do */
	assert_int_equal(n_flushes, 2);
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0755));
	s.t.env.fail_rc = SW_EIO;
	s.t.env.is_dead = true;
	assert_int_equal(sw_work_sync(s.w), SW_EIO);
	s.t.env.is_dead = false;
	s.t.env.on_step = NULL;
	end(&s);
}

static void note_step(void *arg, const char *step)
{
	struct sw_buf *steps = arg;

	sw_buf_printf(steps, "%s ", step);
}

/* After a flush that failed the next one may succeed without having written anything: only another file helps. */
static void a_journal_that_cannot_be_flushed_is_written_anew(void **state)
{
	SW_BUF steps = {0};
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "closed");
	s.t.env.fail_rc = SW_EIO;
	s.t.env.is_dead = true;
	assert_int_equal(sw_work_sync(s.w), SW_EIO);
	s.t.env.is_dead = false;
	s.t.env.on_step = note_step;
	s.t.env.on_step_arg = &steps;
	TEST_OK(sw_work_sync(s.w));
	sw_buf_put_u8(&steps, 0);
	assert_string_equal((char *)steps.p, "journal.reset journal.append journal.replace dir.sync ");
	/* At once, if it is the first. */
	write_row(&s, "r", "again");
	sw_buf_reset(&steps);
	s.t.env.fail_in = 1;
	TEST_OK(sw_work_sync(s.w));
	sw_buf_put_u8(&steps, 0);
	assert_string_equal((char *)steps.p, "journal.reset journal.append journal.replace dir.sync ");
	s.t.env.on_step = NULL;
	crash(&s);
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "again");
	end(&s);
}

static uint64_t journal_bytes(struct set *s)
{
	struct sw_work_status st;

	sw_work_status(s->w, &st);
	return st.journal_bytes;
}

static void fill(char *to, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)('a' + (i * 7 + seed + i / 100) % 26);
}

static void check_row(struct set *s, const char *key, const char *want, size_t n)
{
	static char got[400000];
	struct sw_handle h;
	size_t n_got;

	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key), 0, 0, &h));
	n_got = test_read(s->w, &h, 0, got, sizeof(got));
	sw_handle_release(s->w, &h);
	assert_int_equal(n_got, n);
	assert_memory_equal(got, want, n);
}

#define LOG_SIZE 300000

/* Lines at the end of a long row; then its last line is written anew, and its mode changed, its end cut off. */
static void what_is_appended_costs_what_it_adds(void **state)
{
	static char text[LOG_SIZE + 100 * 400 + 1];
	size_t n = LOG_SIZE;
	struct sw_handle h;
	uint16_t mode = 0600;
	uint64_t before, size;
	struct set s;

	(void)state;
	begin(&s);
	fill(text, sizeof(text) - 1, 1);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("log"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text, n)));
	before = journal_bytes(&s);
	for (int i = 0; i < 300; i++, n += 100)
		TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text + n, 100)));
	assert_true(journal_bytes(&s) - before < 300 * 300);
	sw_handle_release(s.w, &h);
	crash(&s);
	check_row(&s, "log", text, n);
	/* Of the first record after that, everything; then again only what is new. */
	TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("log"), &mode, NULL, NULL));
	before = journal_bytes(&s);
	for (int i = 0; i < 100; i++) {
		TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("log"), SW_OPEN_WRITE, 0644, &h));
		memset(text + n - 50, 'A' + i % 26, 50);
		TEST_OK(sw_handle_write(s.w, &h, n - 50, false, sw_view((uint8_t *)text + n - 50, 50)));
		TEST_OK(sw_handle_flush(s.w, &h));
		sw_handle_release(s.w, &h);
	}
	size = n -= 30;
	TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("log"), NULL, NULL, &size));
	assert_true(journal_bytes(&s) - before < 110 * 300);
	crash(&s);
	check_row(&s, "log", text, n);
	pass(&s, 5000);
	check_row(&s, "log", text, n);
	end(&s);
}

/* A record that only adds to another is not lost with that one, be it by a rename or a commit. */
static void what_is_added_builds_on_what_is_there(void **state)
{
	static char text[20000];
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	fill(text, sizeof(text), 1);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text, 1000)));
	pass(&s, 5000);
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text + 1000, 1000)));
	/* Under another name, and back. */
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("r"), sw_view_str("t"), sw_view_str("q"), 0));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text + 2000, 1000)));
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("q"), sw_view_str("t"), sw_view_str("r"), 0));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text + 3000, 1000)));
	sw_handle_release(s.w, &h);
	crash(&s);
	check_row(&s, "r", text, 4000);
	/* On top of what is being committed. */
	fill(text, sizeof(text), 2);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view((uint8_t *)text, 5000)));
	s.meanwhile = text + 5000;
	s.append_to = &h;
	s.t.env.on_step = append_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 5000);
	assert_null(s.t.env.on_step);
	sw_handle_release(s.w, &h);
	crash(&s);
	check_row(&s, "r", text, 7000);
	crash(&s);
	pass(&s, 5000);
	check_row(&s, "r", text, 7000);
	end(&s);
}

static void flush_and_close(struct set *s, struct sw_handle *h)
{
	TEST_OK(sw_handle_flush(s->w, h));
	sw_handle_release(s->w, h);
}

static void open_row(struct set *s, const char *key, unsigned flags, struct sw_handle *h)
{
	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key), flags, 0644, h));
}

/* Whoever keeps a row open that he writes keeps its edit: one that is new, one that was committed, one that was closed before. */
static void what_waits_does_not_make_the_journal_grow(void **state)
{
	static char text[100000];
	struct sw_handle h[4];
	struct sw_spent spent;
	struct set s;
	uint64_t n_commits;

	(void)state;
	begin(&s);
	write_row(&s, "committed", "committed");
	pass(&s, 5000);
	write_row(&s, "closed", "closed");
	open_row(&s, "closed", SW_OPEN_WRITE, &h[0]);
	open_row(&s, "committed", SW_OPEN_WRITE, &h[1]);
	open_row(&s, "shell", SW_OPEN_WRITE | SW_OPEN_CREATE, &h[2]);
	TEST_OK(sw_handle_flush(s.w, &h[2]));
	open_row(&s, "new", SW_OPEN_WRITE | SW_OPEN_CREATE, &h[3]);
	for (int i = 0; i < 4; i++)
		TEST_OK(sw_handle_write(s.w, &h[i], 0, false, sw_view_str("torn")));
	write_row(&s, "gone", "x");
	n_commits = count(&s);
	for (unsigned i = 0; i < 30; i++) {
		struct sw_handle row;

		fill(text, sizeof(text), i);
		open_row(&s, "r", SW_OPEN_WRITE | SW_OPEN_CREATE, &row);
		TEST_OK(sw_handle_write(s.w, &row, 0, false, sw_view((uint8_t *)text, sizeof(text))));
		flush_and_close(&s, &row);
		pass(&s, 5000);
		assert_true(journal_bytes(&s) < 500000);
	}
	assert_true(count(&s) >= n_commits + 30);
	/* Nor is there anything left of what is spent with the old journals. */
	TEST_OK(sw_db_spent(s.t.db, sw_view_str("t"), sw_view_str("gone"), &spent));
	assert_int_equal(spent.seq, 0);
	for (int i = 0; i < 4; i++) {
		s.t.env.fail_rc = SW_EIO;
		s.t.env.is_dead = true;
		sw_handle_release(s.w, &h[i]);
	}
	crash(&s);
	check_row(&s, "closed", "closed", 6);
	check_row(&s, "committed", "committed", 9);
	check_row(&s, "shell", "", 0);
	check_row(&s, "r", text, sizeof(text));
	pass(&s, 5000);
	check_row(&s, "closed", "closed", 6);
	end(&s);
}

/* Of one row, kept from its commit by another handle, records until the journal is to begin anew. */
static void grow_journal(struct set *s, struct sw_handle *busy, const char *text, size_t n)
{
	struct sw_handle h;

	open_row(s, "busy", SW_OPEN_WRITE | SW_OPEN_CREATE, busy);
	TEST_OK(sw_handle_write(s->w, busy, 0, false, sw_view_str("x")));
	for (int i = 0; i < 4; i++) {
		open_row(s, "busy", SW_OPEN_WRITE, &h);
		TEST_OK(sw_handle_write(s->w, &h, 0, false, sw_view((const uint8_t *)text, n)));
		flush_and_close(s, &h);
	}
}

/* Wherever it fails, what is written afterwards is there after a crash; so it is once the row was committed in between. */
static bool check_failed_trim(int fail_in, bool is_committed)
{
	static char text[100000];
	struct sw_handle busy, log;
	bool is_over;
	struct set s;

	begin(&s);
	fill(text, sizeof(text), 1);
	write_row(&s, "log", "");
	pass(&s, 5000);
	grow_journal(&s, &busy, text, sizeof(text));
	open_row(&s, "log", SW_OPEN_WRITE, &log);
	TEST_OK(sw_handle_write(s.w, &log, 0, true, sw_view((uint8_t *)text, 1000)));
	TEST_OK(sw_work_sync(s.w));
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_handle_write(s.w, &log, 0, true, sw_view((uint8_t *)text + 1000, 500)), SW_EIO);
	s.t.env.fail_in = fail_in;
	is_over = sw_work_run(s.w) == 0;
	s.t.env.fail_in = 0;
	assert_true(!is_over || journal_bytes(&s) < 200000);
	if (is_committed)
		pass(&s, 5000);
	TEST_OK(sw_handle_write(s.w, &log, 0, true, sw_view((uint8_t *)text + 1000, 1000)));
	TEST_OK(sw_handle_write(s.w, &log, 0, true, sw_view((uint8_t *)text + 2000, 1000)));
	s.t.env.is_dead = true;
	sw_handle_release(s.w, &log);
	sw_handle_release(s.w, &busy);
	crash(&s);
	check_row(&s, "log", text, 3000);
	check_row(&s, "busy", text, sizeof(text));
	pass(&s, 5000);
	check_row(&s, "log", text, 3000);
	end(&s);
	return is_over;
}

static void a_journal_that_cannot_begin_anew_goes_on(void **state)
{
	int n = 1;

	(void)state;
	while (!check_failed_trim(n, n % 2))
		n++;
	assert_true(n > 5);
	for (int i = 1; i < n; i++)
		assert_false(check_failed_trim(i, i % 2 == 0));
}

static void rename_row(struct set *s, const char *from, const char *to)
{
	TEST_OK(sw_work_rename(s->w, sw_view_str("t"), sw_view_str(from), sw_view_str("t"), sw_view_str(to), 0));
}

static size_t n_scratch(struct set *s)
{
	struct sw_work_status st;

	sw_work_status(s->w, &st);
	return st.n_scratch;
}

/* Committed or only closed; then time passes, or the set is closed or the process killed at once. */
static void check_put_aside(bool is_committed, int then)
{
	struct set s;
	char text[32];

	begin(&s);
	write_row(&s, "notes", "mine");
	if (is_committed)
		pass(&s, 5000);
	rename_row(&s, "notes", "notes~");
	rename_row(&s, "notes~", "#notes#");
	assert_int_equal(n_scratch(&s), 1);
	if (then == 1) {
		sw_work_close(s.w);
		open_set(&s);
	} else if (then == 2) {
		crash(&s);
	}
	pass(&s, 5000);
	/* A crash may bring it back to where it was. */
	assert_true(test_get(&s.t, "t", then == 2 ? "notes" : "#notes#", text, sizeof(text)));
	assert_string_equal(text, "mine");
	assert_false(test_get(&s.t, "t", then == 2 ? "#notes#" : "notes", text, sizeof(text)));
	assert_int_equal(n_scratch(&s), 0);
	if (then == 2) {
		end(&s);
		return;
	}
	/* From now on it is a row like any other. */
	write_row(&s, "#notes#", "changed");
	crash(&s);
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "#notes#", text, sizeof(text)));
	assert_string_equal(text, "changed");
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("#notes#")));
	pass(&s, 5000);
	assert_false(test_get(&s.t, "t", "#notes#", text, sizeof(text)));
	end(&s);
}

static void a_row_that_is_renamed_to_a_name_of_editors_is_kept(void **state)
{
	(void)state;
	for (int then = 0; then < 3; then++) {
		check_put_aside(true, then);
		check_put_aside(false, then);
	}
}

/* It was recorded, but the commit failed. */
static void what_was_put_aside_is_a_row_in_the_journal(void **state)
{
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "mine");
	pass(&s, 5000);
	rename_row(&s, "r", "r~");
	s.t.env.now_ms += 200;
	s.t.env.fail_in = 2;
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_work_run(s.w), SW_EIO);
	crash(&s);
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "r~", text, sizeof(text)));
	assert_string_equal(text, "mine");
	assert_false(test_get(&s.t, "t", "r", text, sizeof(text)));
	end(&s);
}

static void what_an_editor_puts_aside_stays_here(void **state)
{
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	write_row(&s, "r", "old");
	pass(&s, 5000);
	rename_row(&s, "r", "r~");
	write_row(&s, "r", "new");
	pass(&s, 5000);
	assert_int_equal(n_scratch(&s), 1);
	assert_true(test_get(&s.t, "t", "r", text, sizeof(text)));
	assert_string_equal(text, "new");
	assert_false(test_get(&s.t, "t", "r~", text, sizeof(text)));
	/* The row and its backup are removed: that is recorded when it is. */
	rename_row(&s, "r", "r~");
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r~")));
	crash(&s);
	pass(&s, 5000);
	assert_false(test_get(&s.t, "t", "r", text, sizeof(text)));
	end(&s);
}

/* After a crash the journal alone names a large row that was renamed: the one that it was is replaced by others, and freed by gc. */
static void a_large_row_that_the_journal_names_stays(void **state)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	static char text[6001];
	struct set s;

	(void)state;
	begin(&s);
	fill(text, sizeof(text) - 1, 1);
	write_row(&s, "large", text);
	pass(&s, 5000);
	rename_row(&s, "large", "renamed");
	crash(&s);
	test_put(&s.t, "t", "large", "of another");
	TEST_OK(sw_db_gc(s.t.db, &options, &report));
	assert_int_equal(report.n_commits, 1);
	check_row(&s, "renamed", text, sizeof(text) - 1);
	pass(&s, 5000);
	check_row(&s, "renamed", text, sizeof(text) - 1);
	end(&s);
}

static void time_ends_without_harm(void **state)
{
	int64_t last = INT64_MAX;
	struct sw_attr attr;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", "x");
	TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("r"), NULL, &last, NULL));
	pass(&s, 5000);
	write_row(&s, "r", "y");
	TEST_OK(sw_work_stat(s.w, sw_view_str("t"), sw_view_str("r"), &attr));
	assert_true(attr.mtime_ns == last && attr.ctime_ns == last);
	pass(&s, 5000);
	end(&s);
}

/* Nobody hears of a failure when a file is closed that was not flushed, but status: until there is nothing to lose. */
static void an_error_ends_with_the_rows_that_it_was_about(void **state)
{
	struct sw_work_status st;
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("n"), SW_OPEN_WRITE | SW_OPEN_CREATE, 0644, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("new")));
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_ENOSPC;
	sw_handle_release(s.w, &h);
	s.t.env.fail_in = 0;
	sw_work_status(s.w, &st);
	assert_true(st.error[0] != '\0');
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("n")));
	pass(&s, 5000);
	sw_work_status(s.w, &st);
	assert_int_equal(st.n_edits, 0);
	assert_string_equal(st.error, "");
	end(&s);
}

static int note_name(void *arg, struct sw_view name, const struct sw_attr *attr, uint64_t next)
{
	struct sw_buf *names = arg;

	(void)attr;
	(void)next;
	sw_buf_put_view(names, name);
	sw_buf_put_u8(names, ' ');
	return 0;
}

static void assert_listed(struct sw_list *list, const char *want)
{
	SW_BUF names = {0};

	TEST_OK(sw_list_walk(list, 0, false, note_name, &names));
	sw_buf_put_u8(&names, 0);
	assert_string_equal((char *)names.p, want);
}

/* The state that a listing has pinned has rows whose removal was waiting then. They stay away when
 * it is committed. */
static void what_was_removed_does_not_come_back_into_a_listing(void **state)
{
	struct sw_list *list, *tables;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "a", "1");
	write_row(&s, "b", "2");
	TEST_OK(sw_work_mkdir(s.w, sw_view_str("u"), 0755));
	pass(&s, 5000);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("a")));
	TEST_OK(sw_work_rmdir(s.w, sw_view_str("u")));
	TEST_OK(sw_list_open(s.w, sw_view_str("t"), &list));
	TEST_OK(sw_list_open(s.w, sw_view(NULL, 0), &tables));
	assert_listed(list, "b ");
	assert_listed(tables, "t ");
	pass(&s, 5000);
	assert_listed(list, "b ");
	assert_listed(tables, "t ");
	sw_list_close(list);
	sw_list_close(tables);
	end(&s);
}

static void a_line_that_is_appended_to_a_new_row_is_whole(void **state)
{
	struct sw_handle h;
	struct set s;
	char text[32];

	(void)state;
	begin(&s);
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("log"),
				 SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	pass(&s, 5000);
	assert_false(test_get(&s.t, "t", "log", text, sizeof(text)));
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view_str("one")));
	pass(&s, 5000);
	assert_true(test_get(&s.t, "t", "log", text, sizeof(text)));
	assert_string_equal(text, "one");
	sw_handle_release(s.w, &h);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_is_committed_after_its_quiet_time),
	    cmocka_unit_test(what_is_too_large_for_one_commit_goes_into_several),
	    cmocka_unit_test(joined_names_that_are_too_large_for_one_commit_are_parted),
	    cmocka_unit_test(a_busy_row_is_committed_at_the_latest_after_two_seconds),
	    cmocka_unit_test(what_a_copier_writes_first_is_no_row),
	    cmocka_unit_test(a_quiet_time_of_more_than_two_seconds_is_waited_out),
	    cmocka_unit_test(names_that_renames_joined_are_committed_together),
	    cmocka_unit_test(what_is_open_and_not_flushed_waits),
	    cmocka_unit_test(only_the_net_effect_of_a_name_counts),
	    cmocka_unit_test(a_sync_commits_a_row_that_exists_and_keeps_a_new_one),
	    cmocka_unit_test(what_was_flushed_survives_a_crash),
	    cmocka_unit_test(an_error_ends_with_the_rows_that_it_was_about),
	    cmocka_unit_test(a_removal_that_the_journal_has_no_room_for_is_committed),
	    cmocka_unit_test(a_commit_that_is_tried_again_is_a_whole_one),
	    cmocka_unit_test(a_removal_on_a_full_disk_waits_for_no_row),
	    cmocka_unit_test(numbers_of_a_lost_journal_are_not_given_again),
	    cmocka_unit_test(what_came_after_a_new_journal_stays_spent),
	    cmocka_unit_test(a_flush_of_the_directory_makes_a_rename_durable),
	    cmocka_unit_test(a_journal_that_cannot_be_flushed_is_written_anew),
	    cmocka_unit_test(what_is_appended_costs_what_it_adds),
	    cmocka_unit_test(what_is_added_builds_on_what_is_there),
	    cmocka_unit_test(what_waits_does_not_make_the_journal_grow),
	    cmocka_unit_test(a_journal_that_cannot_begin_anew_goes_on),
	    cmocka_unit_test(a_row_that_is_renamed_to_a_name_of_editors_is_kept),
	    cmocka_unit_test(what_was_put_aside_is_a_row_in_the_journal),
	    cmocka_unit_test(what_an_editor_puts_aside_stays_here),
	    cmocka_unit_test(a_large_row_that_the_journal_names_stays),
	    cmocka_unit_test(time_ends_without_harm),
	    cmocka_unit_test(an_edit_made_during_a_commit_follows_it_after_a_crash),
	    cmocka_unit_test(what_was_removed_does_not_come_back_into_a_listing),
	    cmocka_unit_test(a_line_that_is_appended_to_a_new_row_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
