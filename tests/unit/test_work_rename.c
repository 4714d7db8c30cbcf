/* A change of several names happens whole, or not at all: whoever is told that it failed finds all as it was, now and later. */
#include "tests/lib/read.h"
#include "tests/lib/set.h"

#define LARGE   ((size_t)3 << 20)
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *const tables[] = {"t", "u", "v"};
static const char *const keys[] = {"committed", "changed", "new", "large", "moved~", "other~", "to", "set", "set~"};

/* All that programs see: a digest of what stands at each of the names. */
static void look(struct sw_work *w, struct sw_buf *out)
{
	static uint8_t bytes[2 * LARGE];

	sw_buf_reset(out);
	for (size_t i = 0; i < N_OF(tables); i++) {
		struct sw_view table = sw_view_str(tables[i]);
		struct sw_attr attr;

		if (sw_work_stat_table(w, table, &attr) < 0)
			continue;
		sw_buf_printf(out, "%s %o\n", tables[i], attr.mode);
		for (size_t k = 0; k < N_OF(keys); k++) {
			struct sw_handle h;
			size_t n;

			if (sw_work_open_row(w, table, sw_view_str(keys[k]), 0, 0, &h) < 0)
				continue;
			n = test_read(w, &h, 0, bytes, sizeof(bytes));
			sw_handle_stat(w, &h, &attr);
			sw_handle_release(w, &h);
			assert_int_equal(attr.size, n);
			sw_buf_printf(out, "%s/%s %o %lld %zu %.8s\n", tables[i], keys[k], attr.mode, (long long)attr.mtime_ns, n,
				      (const char *)bytes);
		}
	}
	sw_buf_put_u8(out, 0);
	assert_int_equal(out->rc, 0);
}

static int put(struct set *s, const char *table, const char *key, const char *text, size_t n)
{
	static char bytes[LARGE];
	struct sw_handle h;
	int rc = sw_work_open_row(s->w, sw_view_str(table), sw_view_str(key), SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h);

	if (rc < 0)
		return rc;
	memset(bytes, text[0], n);
	memcpy(bytes, text, strlen(text));
	rc = sw_handle_write(s->w, &h, 0, false, sw_view(bytes, n));
	if (rc == 0)
		rc = sw_handle_flush(s->w, &h);
	sw_handle_release(s->w, &h);
	return rc;
}

static int move(struct set *s, const char *from, const char *to, unsigned flags)
{
	return sw_work_rename(s->w, sw_view_str("t"), sw_view_str(from), sw_view_str("t"), sw_view_str(to), flags);
}

static int rename_committed(struct set *s) { return move(s, "committed", "to", 0); }
static int rename_changed(struct set *s) { return move(s, "changed", "to", 0); }
static int rename_new(struct set *s) { return move(s, "new", "to", 0); }
static int rename_large(struct set *s) { return move(s, "large", "to", 0); }
static int rename_over(struct set *s) { return move(s, "new", "committed", 0); }
static int rename_over_large(struct set *s) { return move(s, "changed", "large", 0); }
static int exchange_rows(struct set *s) { return move(s, "new", "large", SW_RENAME_EXCHANGE); }
static int rename_backup(struct set *s) { return move(s, "set~", "to", 0); }
static int restore_backup(struct set *s) { return move(s, "set~", "set", 0); }
static int exchange_with_backup(struct set *s) { return move(s, "new", "set~", SW_RENAME_EXCHANGE); }
static int exchange_backup(struct set *s) { return move(s, "set~", "large", SW_RENAME_EXCHANGE); }
static int remove_backup(struct set *s) { return sw_work_unlink(s->w, sw_view_str("t"), sw_view_str("set~")); }
static int take_place(struct set *s) { return move(s, "new", "set", 0); }
static int rename_table(struct set *s) { return sw_work_rename_table(s->w, sw_view_str("t"), sw_view_str("v")); }
static int rename_over_table(struct set *s) { return sw_work_rename_table(s->w, sw_view_str("t"), sw_view_str("u")); }
static int exchange_tables(struct set *s) { return sw_work_exchange_tables(s->w, sw_view_str("t"), sw_view_str("u")); }
static int make_table(struct set *s) { return sw_work_mkdir(s->w, sw_view_str("v"), 0700); }
static int remove_table(struct set *s) { return sw_work_rmdir(s->w, sw_view_str("u")); }

static int change_table(struct set *s)
{
	const uint16_t mode = 0711;

	return sw_work_set_table(s->w, sw_view_str("t"), &mode, NULL);
}

static int append_to(struct set *s, const char *key, size_t n)
{
	static const char more[LARGE] = "more";
	struct sw_handle h;
	int rc;

	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key), SW_OPEN_WRITE, 0, &h));
	rc = sw_handle_write(s->w, &h, 0, true, sw_view(more, n));
	sw_handle_release(s->w, &h);
	return rc;
}

static int append_to_committed(struct set *s) { return append_to(s, "committed", 4); }
static int append_to_changed(struct set *s) { return append_to(s, "changed", 4); }
static int append_to_large(struct set *s) { return append_to(s, "large", 4); }
static int append_much(struct set *s) { return append_to(s, "committed", LARGE / 2); }
static int append_much_to_new(struct set *s) { return append_to(s, "new", LARGE / 2); }

static int change_mode(struct set *s, const char *key)
{
	const uint16_t mode = 0600;

	return sw_work_set(s->w, sw_view_str("t"), sw_view_str(key), &mode, NULL, NULL);
}

static int change_committed(struct set *s) { return change_mode(s, "committed"); }
static int change_large(struct set *s) { return change_mode(s, "large"); }

static int cut(struct set *s, const char *key, uint64_t size)
{
	return sw_work_set(s->w, sw_view_str("t"), sw_view_str(key), NULL, NULL, &size);
}

static int cut_committed(struct set *s) { return cut(s, "committed", 3); }
static int cut_changed(struct set *s) { return cut(s, "changed", 3); }
static int cut_new(struct set *s) { return cut(s, "new", 3); }
static int cut_large(struct set *s) { return cut(s, "large", LARGE - 100); }
static int cut_large_to_small(struct set *s) { return cut(s, "large", 100); }
static int empty_committed(struct set *s) { return cut(s, "committed", 0); }
static int empty_changed(struct set *s) { return cut(s, "changed", 0); }
static int empty_large(struct set *s) { return cut(s, "large", 0); }
static int grow_changed(struct set *s) { return cut(s, "changed", 10000); }

static int grow_large(struct set *s) { return cut(s, "large", LARGE + 5000); }

static int (*const changes[])(struct set *s) = {
    rename_committed, rename_changed, rename_new,   rename_large,      rename_over,	rename_over_large,
    exchange_rows,    rename_backup,  restore_backup, remove_backup, rename_table, rename_over_table, exchange_tables,
    make_table,	      remove_table,   change_table, append_to_committed, append_to_changed, append_to_large, append_much,
    append_much_to_new, change_committed, change_large, cut_committed, cut_changed, cut_new, cut_large, cut_large_to_small,
    empty_committed, empty_changed, empty_large, grow_changed, grow_large,
    exchange_with_backup, exchange_backup,
};

static bool is_about_backup(int (*change)(struct set *s))
{
	return change == rename_backup || change == restore_backup || change == remove_backup || change == exchange_with_backup ||
	       change == exchange_backup;
}

/* Rows and tables in all that they can be; one has been put aside, perhaps, and nothing is in its place. */
static void prepare(struct set *s, bool has_backup, bool has_new_tables)
{
	const uint16_t mode = 0701;

	begin(s);
	TEST_OK(put(s, "t", "committed", "one", 9));
	TEST_OK(put(s, "t", "changed", "two", 9));
	TEST_OK(put(s, "t", "set", "three", 9));
	if (!has_new_tables)
		TEST_OK(sw_work_mkdir(s->w, sw_view_str("u"), 0750));
	pass(s, 50000);
	assert_int_equal(n_edits(s), 0);
	if (has_new_tables) {
		TEST_OK(sw_work_mkdir(s->w, sw_view_str("u"), 0750));
		TEST_OK(sw_work_set_table(s->w, sw_view_str("t"), &mode, NULL));
	}
	TEST_OK(put(s, "t", "changed", "four", 9));
	TEST_OK(put(s, "t", "new", "five", 9));
	TEST_OK(put(s, "t", "large", "six", LARGE));
	if (has_backup)
		TEST_OK(move(s, "set", "set~", 0));
}

static int no_room(void *arg, const char *step)
{
	(void)arg;
	(void)step;
	return SW_ENOSPC;
}

static int journal_fails(void *arg, const char *step)
{
	(void)arg;
	return strcmp(step, "journal.append") == 0 ? SW_EIO : 0;
}

/* The large row goes on where it was: no record may claim a part of it for another name. */
static void go_on(struct set *s)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str("large"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s->w, &h, 0, true, sw_view_str("more")));
	TEST_OK(sw_handle_flush(s->w, &h));
	sw_handle_release(s->w, &h);
}

static void check_failed(int (*change)(struct set *s), bool is_full, bool has_new_tables, bool crashes)
{
	SW_BUF before = {0};
	SW_BUF after = {0};
	struct set s;
	size_t n;

	prepare(&s, true, has_new_tables);
	look(s.w, &before);
	n = n_edits(&s);
	s.t.env.env.fault = is_full ? no_room : journal_fails;
	assert_int_equal(change(&s), is_full ? SW_ENOSPC : SW_EIO);
	s.t.env.env.fault = test_env_fault;
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	assert_int_equal(n_edits(&s), n);
	go_on(&s);
	/* Nothing is in the place of what was put aside: either it is a row at its new name soon, or the journal knows nothing of it. */
	if (crashes) {
		TEST_OK(move(&s, "set~", "set", 0));
	} else {
		pass(&s, 50000);
		assert_int_equal(n_edits(&s), 0);
	}
	look(s.w, &before);
	crash(&s);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	pass(&s, 50000);
	assert_int_equal(n_edits(&s), 0);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	end(&s);
}

static void what_failed_has_not_happened(void **state)
{
	(void)state;
	for (int how = 0; how < 8; how++) {
		for (size_t i = 0; i < N_OF(changes); i++)
			check_failed(changes[i], how & 1, how & 2, how & 4);
		check_failed(take_place, how & 1, how & 2, how & 4);
	}
}

static void count_record(void *arg, const char *step)
{
	*(int *)arg += strcmp(step, "journal.append") == 0;
}

static void check_done(int (*change)(struct set *s), bool has_new_tables)
{
	SW_BUF before = {0};
	SW_BUF after = {0};
	int n_records = 0;
	struct set s;

	prepare(&s, is_about_backup(change), has_new_tables);
	s.t.env.on_step = count_record;
	s.t.env.on_step_arg = &n_records;
	TEST_OK(change(&s));
	assert_int_equal(n_records, 1);
	s.t.env.on_step = NULL;
	look(s.w, &before);
	crash(&s);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	pass(&s, 50000);
	assert_int_equal(n_edits(&s), 0);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	end(&s);
}

/* A crash leaves it done or not done, of a whole table, too. */
static void what_was_done_is_one_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(changes); i++)
		for (int how = 0; how < 2; how++)
			check_done(changes[i], how);
}

/* A row may be called what editors call their own. */
static void a_row_that_is_called_like_a_backup_is_a_row_at_its_next_name(void **state)
{
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "moved~", "one", 3));
	test_put(&s.t, "t", "other~", "two");
	pass(&s, 50000);
	TEST_OK(move(&s, "other~", "moved~", 0));
	pass(&s, 50000);
	assert_int_equal(n_edits(&s), 0);
	assert_true(test_get(&s.t, "t", "moved~", text, sizeof(text)));
	assert_string_equal(text, "two");
	assert_false(test_get(&s.t, "t", "other~", text, sizeof(text)));
	end(&s);
}

/* With the table that is renamed, one that another takes the place of, or one that is removed: no editor is at work there. */
static void check_taken_along(int (*change)(struct set *s))
{
	SW_BUF before = {0};
	SW_BUF after = {0};
	struct set s;

	prepare(&s, false, false);
	test_put(&s.t, "t", "moved~", "seven");
	test_put(&s.t, "u", "set", "eight");
	pass(&s, 50000);
	if (change != remove_table)
		TEST_OK(move(&s, "set", "set~", 0));
	TEST_OK(sw_work_rename(s.w, sw_view_str("u"), sw_view_str("set"), sw_view_str("t"), sw_view_str("other~"), 0));
	TEST_OK(change(&s));
	look(s.w, &before);
	crash(&s);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	pass(&s, 50000);
	assert_int_equal(n_edits(&s), 0);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	end(&s);
}

static void what_was_put_aside_goes_with_its_table(void **state)
{
	(void)state;
	check_taken_along(rename_table);
	check_taken_along(rename_over_table);
	check_taken_along(exchange_tables);
	check_taken_along(remove_table);
}

/* One that says what stands now would say that the row is gone, and nothing of its backup. */
static void what_was_put_aside_is_in_a_new_journal(void **state)
{
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "set", "one", 9));
	pass(&s, 50000);
	for (int i = 0; i < 8; i++)
		TEST_OK(put(&s, "t", "changed", "two", 100000));
	TEST_OK(move(&s, "set", "set~", 0));
	TEST_OK(sw_work_sync(s.w));
	pass(&s, 10);
	crash(&s);
	pass(&s, 50000);
	assert_true(test_get(&s.t, "t", "set", text, sizeof(text)) || test_get(&s.t, "t", "set~", text, sizeof(text)));
	end(&s);
}

/* With the backup the row is gone for good, whatever takes its place. */
static void a_row_is_gone_with_its_backup(void **state)
{
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "set", "one", 9));
	TEST_OK(put(&s, "t", "committed", "two", 9));
	pass(&s, 50000);
	TEST_OK(move(&s, "set", "set~", 0));
	TEST_OK(move(&s, "committed", "set~", 0));
	crash(&s);
	pass(&s, 50000);
	assert_false(test_get(&s.t, "t", "set", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "committed", text, sizeof(text)) || test_get(&s.t, "t", "set~", text, sizeof(text)));
	end(&s);
}

/* No record says so, but it is whole: while another program is still in the middle of writing it. */
static void what_was_closed_under_a_name_of_editors_is_there_at_its_next_name(void **state)
{
	struct sw_handle h;
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "set", "one", 9));
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("set"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("half")));
	TEST_OK(move(&s, "set", "set~", 0));
	TEST_OK(put(&s, "t", "set~", "two", 9));
	TEST_OK(move(&s, "set~", "to", 0));
	s.t.env.is_dead = true;
	sw_handle_release(s.w, &h);
	crash(&s);
	pass(&s, 50000);
	assert_true(test_get(&s.t, "t", "to", text, sizeof(text)));
	assert_memory_equal(text, "two", 3);
	end(&s);
}

/* Its journal could not begin anew as long as nothing says what has become of the row. */
static void what_was_put_aside_in_a_working_copy_is_a_row_in_time(void **state)
{
	struct sw_work_status status;
	struct sw_work *live;
	struct sw_hash base;
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "set", "one", 9));
	pass(&s, 50000);
	live = s.w;
	TEST_OK(sw_db_pin_head(s.t.db, &base));
	TEST_OK(sw_work_open_copy(s.t.db, live, &base, "copy", &s.w));
	TEST_OK(move(&s, "set", "set~", 0));
	for (int i = 0; i < 8; i++)
		TEST_OK(put(&s, "t", "changed", "two", 100000));
	TEST_OK(sw_work_sync(s.w));
	pass(&s, 50000);
	TEST_OK(sw_work_sync(s.w));
	pass(&s, 10);
	sw_work_status(s.w, &status);
	assert_int_equal(status.n_scratch, 0);
	assert_true(status.journal_bytes < 200000);
	sw_work_close(s.w);
	sw_db_unpin(s.t.db, &base);
	s.w = live;
	snprintf(path, sizeof(path), "%s/copy", s.t.dir);
	unlink(path);
	end(&s);
}

static void put_aside_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	TEST_OK(put(s, "t", "set", "new", 9));
	TEST_OK(move(s, "set", "set~", 0));
}

/* While the removal of what stood there before is committed. */
static void what_is_put_aside_during_a_commit_stays_a_row(void **state)
{
	struct set s;
	char text[16];

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "set", "old", 9));
	pass(&s, 50000);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("set")));
	s.t.env.on_step = put_aside_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 50000);
	assert_null(s.t.env.on_step);
	pass(&s, 50000);
	assert_false(test_get(&s.t, "t", "set", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "set~", text, sizeof(text)));
	assert_memory_equal(text, "new", 3);
	assert_int_equal(n_edits(&s), 0);
	end(&s);
}

static void rename_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	TEST_OK(move(s, "new", "to", 0));
}

/* Its program was told that the journal does not have it; it waits for a commit all the same. */
static void a_rename_follows_the_commit_of_what_no_record_has(void **state)
{
	char text[16];
	struct set s;

	(void)state;
	begin(&s);
	s.t.env.env.fault = journal_fails;
	assert_int_equal(put(&s, "t", "new", "one", 9), SW_EIO);
	s.t.env.env.fault = test_env_fault;
	s.t.env.on_step = rename_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 50000);
	assert_null(s.t.env.on_step);
	crash(&s);
	pass(&s, 50000);
	assert_true(test_get(&s.t, "t", "to", text, sizeof(text)));
	assert_false(test_get(&s.t, "t", "new", text, sizeof(text)));
	end(&s);
}

static void make_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	TEST_OK(sw_work_mkdir(s->w, sw_view_str("u"), 0755));
}

static void a_table_that_is_made_while_its_removal_is_committed_is_there(void **state)
{
	struct sw_attr attr;
	struct set s;

	(void)state;
	prepare(&s, false, false);
	TEST_OK(remove_table(&s));
	s.t.env.on_step = make_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 50000);
	assert_null(s.t.env.on_step);
	crash(&s);
	pass(&s, 50000);
	TEST_OK(sw_work_stat_table(s.w, sw_view_str("u"), &attr));
	end(&s);
}

static int no_new_journal(void *arg, const char *step)
{
	if (strcmp(step, "journal.sync") == 0)
		++*(int *)((struct test_env *)arg)->on_step_arg;
	return strcmp(step, "journal.reset") == 0 ? SW_ENOSPC : 0;
}

/* What came and went is in no commit: only the journal says that it is gone. */
static void a_journal_that_could_not_begin_anew_is_flushed(void **state)
{
	int n_flushes = 0;
	struct set s;

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "new", "one", 300000));
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("new")));
	s.t.env.env.fault = no_new_journal;
	s.t.env.on_step_arg = &n_flushes;
	assert_int_equal(sw_work_run(s.w), SW_ENOSPC);
	TEST_OK(sw_work_sync(s.w));
	assert_int_equal(n_flushes, 1);
	s.t.env.env.fault = test_env_fault;
	s.t.env.on_step_arg = NULL;
	end(&s);
}

static int journal_is_full(void *arg, const char *step)
{
	(void)arg;
	return strcmp(step, "journal.append") == 0 ? SW_ENOSPC : 0;
}

/* Its time has come, but nothing can say so: it stays where it was, in history, and others do not wait for it. */
static void what_was_put_aside_waits_for_room(void **state)
{
	char text[16];
	struct set s;

	(void)state;
	prepare(&s, true, false);
	s.t.env.env.fault = journal_is_full;
	s.t.env.now_ms += 50000;
	assert_int_equal(sw_work_run(s.w), SW_ENOSPC);
	assert_true(test_get(&s.t, "t", "set", text, sizeof(text)));
	assert_false(test_get(&s.t, "t", "set~", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "changed", text, sizeof(text)));
	assert_memory_equal(text, "four", 4);
	assert_int_equal(n_edits(&s), 1);
	s.t.env.env.fault = test_env_fault;
	pass(&s, 50000);
	assert_false(test_get(&s.t, "t", "set", text, sizeof(text)));
	assert_true(test_get(&s.t, "t", "set~", text, sizeof(text)));
	assert_int_equal(n_edits(&s), 0);
	end(&s);
}

/* Whoever tries again is told again. */
static void a_close_is_not_good_before_the_journal_has_the_row(void **state)
{
	SW_BUF before = {0};
	SW_BUF after = {0};
	struct sw_handle h;
	struct set s;

	(void)state;
	for (unsigned truncates = 0; truncates < 2; truncates++) {
		unsigned flags = SW_OPEN_WRITE | (truncates ? SW_OPEN_TRUNCATE : 0);

		prepare(&s, false, false);
		s.t.env.env.fault = journal_is_full;
		assert_int_equal(put(&s, "t", "to", "x", 9), SW_ENOSPC);
		TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("to"), flags, 0, &h));
		assert_int_equal(sw_handle_flush(s.w, &h), SW_ENOSPC);
		s.t.env.env.fault = test_env_fault;
		TEST_OK(sw_handle_flush(s.w, &h));
		sw_handle_release(s.w, &h);
		look(s.w, &before);
		crash(&s);
		look(s.w, &after);
		assert_string_equal(after.p, before.p);
		end(&s);
	}
}

static int no_reserve(void *arg, const char *step)
{
	(void)arg;
	return strcmp(step, "journal.reserve") == 0 ? SW_ENOSPC : 0;
}

/* An O_TRUNC alone is recorded when the file is released: whoever closes it is told before that there is no room. */
static void a_close_after_a_truncation_alone_tells_of_a_full_disk(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	prepare(&s, false, false);
	s.t.env.env.fault = no_reserve;
	TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str("committed"), SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0, &h));
	assert_int_equal(sw_handle_flush(s.w, &h), SW_ENOSPC);
	s.t.env.env.fault = test_env_fault;
	TEST_OK(sw_handle_flush(s.w, &h));
	s.t.env.env.fault = no_reserve;
	TEST_OK(sw_handle_flush(s.w, &h)); /* that room is still there */
	sw_handle_release(s.w, &h);
	s.t.env.env.fault = test_env_fault;
	end(&s);
}

/* As `: > row` does. The journal alone is full: that makes room, and needs none there. */
static void a_row_is_emptied_without_room_in_the_journal(void **state)
{
	static const char *const emptied[] = {"committed", "changed", "new", "large"};
	struct sw_handle h;
	uint64_t zero = 0;
	char text[16];
	struct set s;

	(void)state;
	prepare(&s, false, false);
	s.t.env.env.fault = journal_is_full;
	for (size_t i = 0; i < N_OF(emptied); i++) {
		TEST_OK(sw_work_open_row(s.w, sw_view_str("t"), sw_view_str(emptied[i]), SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0, &h));
		TEST_OK(sw_handle_flush(s.w, &h));
		sw_handle_release(s.w, &h);
		assert_true(test_get(&s.t, "t", emptied[i], text, sizeof(text)));
		assert_string_equal(text, "");
	}
	TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("set"), NULL, NULL, &zero));
	assert_true(test_get(&s.t, "t", "set", text, sizeof(text)));
	assert_string_equal(text, "");
	s.t.env.env.fault = test_env_fault;
	end(&s);
}

static void fail_meanwhile(void *arg, const char *step)
{
	struct set *s = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	s->t.env.on_step = NULL;
	s->t.env.env.fault = journal_fails;
	assert_int_equal(cut(s, "changed", 10000), SW_EIO);
	assert_int_equal(cut(s, "new", 0), SW_EIO);
	assert_int_equal(append_to(s, "changed", 4), SW_EIO);
	assert_int_equal(change_mode(s, "new"), SW_EIO);
	assert_int_equal(move(s, "new", "changed", 0), SW_EIO);
	assert_int_equal(sw_work_unlink(s->w, sw_view_str("t"), sw_view_str("new")), SW_EIO);
	s->t.env.env.fault = test_env_fault;
}

static void what_failed_during_a_commit_has_not_happened(void **state)
{
	SW_BUF before = {0};
	SW_BUF after = {0};
	struct set s;

	(void)state;
	begin(&s);
	TEST_OK(put(&s, "t", "changed", "one", 9));
	TEST_OK(put(&s, "t", "new", "two", 9));
	look(s.w, &before);
	s.t.env.on_step = fail_meanwhile;
	s.t.env.on_step_arg = &s;
	pass(&s, 50000);
	assert_null(s.t.env.on_step);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	pass(&s, 50000);
	assert_int_equal(n_edits(&s), 0);
	crash(&s);
	look(s.w, &after);
	assert_string_equal(after.p, before.p);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_failed_has_not_happened),
	    cmocka_unit_test(what_was_done_is_one_record),
	    cmocka_unit_test(a_rename_follows_the_commit_of_what_no_record_has),
	    cmocka_unit_test(a_table_that_is_made_while_its_removal_is_committed_is_there),
	    cmocka_unit_test(a_journal_that_could_not_begin_anew_is_flushed),
	    cmocka_unit_test(what_was_put_aside_waits_for_room),
	    cmocka_unit_test(a_close_is_not_good_before_the_journal_has_the_row),
	    cmocka_unit_test(a_close_after_a_truncation_alone_tells_of_a_full_disk),
	    cmocka_unit_test(what_failed_during_a_commit_has_not_happened),
	    cmocka_unit_test(a_row_is_emptied_without_room_in_the_journal),
	    cmocka_unit_test(what_was_put_aside_goes_with_its_table),
	    cmocka_unit_test(what_was_put_aside_is_in_a_new_journal),
	    cmocka_unit_test(what_was_put_aside_in_a_working_copy_is_a_row_in_time),
	    cmocka_unit_test(a_row_is_gone_with_its_backup),
	    cmocka_unit_test(what_was_closed_under_a_name_of_editors_is_there_at_its_next_name),
	    cmocka_unit_test(what_is_put_aside_during_a_commit_stays_a_row),
	    cmocka_unit_test(a_row_that_is_called_like_a_backup_is_a_row_at_its_next_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
