/* The journal on a disk that damages it: what is told of that, and what is left. The process dies before each look. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/journal.h"
#include "core/log.h"
#include "core/spill.h"
#include "core/work.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

#define HEADER_SIZE 28
#define FRAME_SIZE  28
#define N_ROWS	    5
#define T	    sw_view_str("t")

struct set {
	struct test_db t;
	struct sw_work *w;
	char path[160], aside[200];
	uint64_t ends[N_ROWS + 1]; /* of what begin_rows() wrote, in the journal */
	uint8_t *was;
	size_t n_was;
};

static void no_log(enum sw_log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static uint64_t journal_size(struct set *s)
{
	struct sw_work_status st;

	sw_work_status(s->w, &st);
	return st.journal_bytes;
}

static void begin(struct set *s)
{
	*s = (struct set){0};
	test_db_create(&s->t, 1);
	snprintf(s->path, sizeof(s->path), "%s/journal", s->t.dir);
	snprintf(s->aside, sizeof(s->aside), "%s.damaged-1", s->path);
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
	TEST_OK(sw_work_mkdir(s->w, T, 0755));
	s->t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s->w));
	sw_log_set_sink(no_log);
}

static void end(struct set *s)
{
	sw_work_close(s->w);
	test_verify(&s->t);
	unlink(s->aside);
	test_db_close(&s->t);
	assert_int_not_equal(access(s->t.dir, F_OK), 0); /* nothing else was left */
	free(s->was);
	sw_log_set_sink(NULL);
}

static void write_bytes(struct set *s, const char *key, struct sw_view bytes)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(s->w, T, sw_view_str(key), SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(s->w, &h, 0, false, bytes));
	TEST_OK(sw_handle_flush(s->w, &h));
	sw_handle_release(s->w, &h);
}

static void append(struct set *s, const char *key, struct sw_view bytes)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(s->w, T, sw_view_str(key), SW_OPEN_CREATE | SW_OPEN_WRITE, 0644, &h));
	TEST_OK(sw_handle_write(s->w, &h, 0, true, bytes));
	sw_handle_release(s->w, &h);
}

static bool has_row(struct set *s, const char *key, struct sw_view want)
{
	static uint8_t got[4000000];
	struct sw_handle h;
	size_t n;

	if (sw_work_open_row(s->w, T, sw_view_str(key), 0, 0, &h) < 0)
		return false;
	n = test_read(s->w, &h, 0, got, sizeof(got));
	sw_handle_release(s->w, &h);
	return sw_view_eq(sw_view(got, n), want);
}

static void die(struct set *s)
{
	s->t.env.fail_rc = SW_EIO;
	s->t.env.is_dead = true;
	sw_work_close(s->w);
	s->t.env.is_dead = false;
}

static void open_again(struct set *s)
{
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
}

static uint8_t *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	uint8_t *all;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	*n = (size_t)ftell(f);
	rewind(f);
	all = malloc(*n + 1);
	assert_non_null(all);
	assert_int_equal(fread(all, 1, *n, f), *n);
	fclose(f);
	return all;
}

static void put_file(const char *path, struct sw_view bytes)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
	assert_int_equal(fclose(f), 0);
}

/* The file is another one with these bytes: the one before may have a second name. */
static void renew_file(struct set *s, struct sw_view bytes)
{
	unlink(s->path);
	put_file(s->path, bytes);
}

static const char *damage(struct set *s)
{
	static struct sw_work_status st;

	sw_work_status(s->w, &st);
	return st.damage;
}

static char *key_of(size_t i)
{
	static char key[16];

	snprintf(key, sizeof(key), "row-%zu", i);
	return key;
}

static char *text_of(size_t i)
{
	static char text[200];

	memset(text, (int)('a' + i), sizeof(text) - 1);
	return text;
}

/* Rows of one record each; the process has died. */
static void begin_rows(struct set *s)
{
	begin(s);
	for (size_t i = 0; i < N_ROWS; i++) {
		s->ends[i] = journal_size(s);
		write_bytes(s, key_of(i), sw_view_str(text_of(i)));
	}
	s->ends[N_ROWS] = journal_size(s);
	die(s);
	s->was = read_file(s->path, &s->n_was);
	assert_int_equal(s->n_was, s->ends[N_ROWS]);
}

/* Which of those rows an offset of the file is in; N_ROWS: none. */
static size_t row_at(const struct set *s, size_t at)
{
	size_t i = 0;

	while (i < N_ROWS && (at < s->ends[i] || at >= s->ends[i + 1]))
		i++;
	return i;
}

static void check_rows(struct set *s, size_t lost)
{
	for (size_t i = 0; i < N_ROWS; i++)
		assert_int_equal(has_row(s, key_of(i), sw_view_str(text_of(i))), i != lost);
}

/* It was taken for the end before: all behind it was gone, and nobody heard of it. */
static void a_byte_that_changes_costs_one_row_and_is_told(void **state)
{
	struct set s;
	uint8_t *kept;
	size_t n;

	(void)state;
	begin_rows(&s);
	for (size_t at = 0; at < s.n_was; at += at < s.ends[1] ? 1 : 11) { /* a whole record, then here and there */
		size_t lost = row_at(&s, at), in_row = lost < N_ROWS ? at - s.ends[lost] : 0;

		s.was[at] ^= 0x40;
		renew_file(&s, sw_view(s.was, s.n_was));
		open_again(&s);
		check_rows(&s, lost);
		assert_non_null(strstr(damage(&s), s.aside));
		if (lost == N_ROWS) /* the header, or the table, which is committed */
			assert_true(at < s.ends[0]);
		else if (in_row > FRAME_SIZE + 9)
			assert_non_null(strstr(damage(&s), key_of(lost)));
		else if (in_row < FRAME_SIZE)
			assert_non_null(strstr(damage(&s), "rows whose names cannot be read"));
		kept = read_file(s.aside, &n);
		assert_true(sw_view_eq(sw_view(kept, n), sw_view(s.was, s.n_was)));
		free(kept);
		/* It goes on, and the next start finds nothing wrong. */
		write_bytes(&s, "more", sw_view_str("more"));
		die(&s);
		open_again(&s);
		check_rows(&s, lost);
		assert_true(has_row(&s, "more", sw_view_str("more")));
		assert_non_null(strstr(damage(&s), "at an earlier start"));
		assert_int_equal(unlink(s.aside), 0);
		assert_string_equal(damage(&s), "");
		die(&s);
		s.was[at] ^= 0x40;
	}
	open_again(&s);
	end(&s);
}

/* What a kill leaves: it was not acknowledged, and there is nothing to tell. */
static void what_was_not_written_as_a_whole_is_cut_off(void **state)
{
	struct set s;

	(void)state;
	begin_rows(&s);
	for (size_t n = s.ends[N_ROWS - 1]; n < s.n_was; n++) {
		renew_file(&s, sw_view(s.was, n));
		open_again(&s);
		check_rows(&s, N_ROWS - 1);
		assert_string_equal(damage(&s), "");
		assert_int_equal(journal_size(&s), s.ends[N_ROWS - 1]);
		die(&s);
	}
	open_again(&s);
	end(&s);
}

/* As by a sector that cannot be read any more, or that a power loss left as it was: wherever it is. */
static void a_hole_costs_what_is_in_it(void **state)
{
	uint8_t *holed;
	struct set s;

	(void)state;
	begin_rows(&s);
	holed = malloc(s.n_was);
	for (size_t at = 0; at + 150 < s.n_was; at += 37) {
		memcpy(holed, s.was, s.n_was);
		memset(holed + at, at % 2 ? 0 : 0xff, 150);
		renew_file(&s, sw_view(holed, s.n_was));
		open_again(&s);
		for (size_t i = 0; i < N_ROWS; i++)
			assert_int_equal(has_row(&s, key_of(i), sw_view_str(text_of(i))), s.ends[i + 1] <= at || s.ends[i] >= at + 150);
		assert_true(damage(&s)[0] != '\0');
		die(&s);
		assert_int_equal(unlink(s.aside), 0);
	}
	free(holed);
	open_again(&s);
	end(&s);
}

static void what_is_no_journal_is_kept_and_told(void **state)
{
	struct set s;

	(void)state;
	begin_rows(&s);
	renew_file(&s, sw_view_str("These are somebody's notes, and were put here by mistake."));
	open_again(&s);
	assert_non_null(strstr(damage(&s), "rows whose names cannot be read may be lost"));
	assert_non_null(strstr(damage(&s), s.aside));
	write_bytes(&s, "more", sw_view_str("more"));
	die(&s);
	open_again(&s);
	assert_true(has_row(&s, "more", sw_view_str("more")));
	end(&s);
}

/* A row that was written again since then is as it should be. */
static void what_a_newer_record_says_is_not_lost(void **state)
{
	struct set s;

	(void)state;
	begin_rows(&s);
	open_again(&s);
	write_bytes(&s, key_of(1), sw_view_str("newer"));
	die(&s);
	free(s.was);
	s.was = read_file(s.path, &s.n_was);
	s.was[s.ends[1] + 150] ^= 1;
	renew_file(&s, sw_view(s.was, s.n_was));
	open_again(&s);
	assert_true(has_row(&s, key_of(1), sw_view_str("newer")));
	assert_non_null(strstr(damage(&s), "nothing is lost"));
	end(&s);
}

/* A record that adds to one that is lost cannot be followed, even when the row before that is long enough. */
static void nothing_is_added_to_a_record_but_the_one_it_was_made_for(void **state)
{
	static uint8_t text[3000];
	uint64_t at;
	struct set s;

	(void)state;
	begin(&s);
	memset(text, 'x', 1000);
	memset(text + 1000, 'y', 2000);
	append(&s, "log", sw_view(text, 1000));
	at = journal_size(&s);
	write_bytes(&s, "log", sw_view(text + 1000, 1000));
	append(&s, "log", sw_view(text + 2000, 500));
	append(&s, "log", sw_view(text + 2500, 500));
	die(&s);
	s.was = read_file(s.path, &s.n_was);
	assert_true(s.n_was - at < 3000);
	s.was[at + 300] ^= 1;
	renew_file(&s, sw_view(s.was, s.n_was));
	open_again(&s);
	assert_true(has_row(&s, "log", sw_view(text, 1000)));
	assert_non_null(strstr(damage(&s), "t/log may be lost"));
	end(&s);
}

/* Bytes of a row are no records, whatever they look like, and whatever is damaged before them. */
static void a_journal_in_a_row_is_no_journal(void **state)
{
	uint64_t at;
	struct set s;

	(void)state;
	begin_rows(&s);
	renew_file(&s, sw_view(s.was, s.ends[1]));
	open_again(&s);
	at = journal_size(&s);
	write_bytes(&s, "copy", sw_view(s.was, s.n_was)); /* has numbers that come next */
	die(&s);
	free(s.was);
	s.was = read_file(s.path, &s.n_was);
	s.was[at] ^= 1;
	renew_file(&s, sw_view(s.was, s.n_was));
	open_again(&s);
	for (size_t i = 0; i < N_ROWS; i++)
		assert_int_equal(has_row(&s, key_of(i), sw_view_str(text_of(i))), i == 0);
	assert_non_null(strstr(damage(&s), "rows whose names cannot be read"));
	end(&s);
}

/* The content of a large row whose record is damaged is not thrown away. */
static void content_that_only_a_damaged_record_names_is_kept(void **state)
{
	static uint8_t large[2000000];
	char path[260], aside[256];
	uint8_t *kept;
	struct set s;
	uint64_t at;
	size_t n;

	(void)state;
	begin(&s);
	memset(large, 'l', sizeof(large));
	write_bytes(&s, "whole", sw_view(large, sizeof(large) - 1));
	at = journal_size(&s);
	write_bytes(&s, "large", sw_view(large, sizeof(large)));
	die(&s);
	s.was = read_file(s.path, &s.n_was);
	s.was[at + 10] ^= 1;
	renew_file(&s, sw_view(s.was, s.n_was));
	open_again(&s);
	assert_true(has_row(&s, "whole", sw_view(large, sizeof(large) - 1)));
	snprintf(aside, sizeof(aside), "%s" SW_SPILL_SUFFIX, s.aside);
	snprintf(path, sizeof(path), "%s/2", aside);
	kept = read_file(path, &n);
	assert_true(sw_view_eq(sw_view(kept, n), sw_view(large, sizeof(large))));
	free(kept);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(aside), 0);
	end(&s);
}

/* It had grown, and only a damaged record says so: that end is neither read nor committed. */
static void what_a_damaged_record_added_is_not_there(void **state)
{
	static uint8_t large[2000000];
	struct set s;
	uint64_t at;

	(void)state;
	begin(&s);
	memset(large, 'l', sizeof(large));
	write_bytes(&s, "large", sw_view(large, sizeof(large) - 1000));
	at = journal_size(&s);
	append(&s, "large", sw_view(large, 1000));
	die(&s);
	s.was = read_file(s.path, &s.n_was);
	s.was[at + 10] ^= 1;
	renew_file(&s, sw_view(s.was, s.n_was));
	open_again(&s);
	assert_true(has_row(&s, "large", sw_view(large, sizeof(large) - 1000)));
	s.t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s.w));
	assert_true(has_row(&s, "large", sw_view(large, sizeof(large) - 1000)));
	end(&s);
}

/* Wherever the first step after the damage was found fails: the next start finds it again, and keeps one file of it. */
static void a_start_that_fails_costs_nothing_more(void **state)
{
	struct set s;
	int n = 0, rc = -1;

	(void)state;
	begin_rows(&s);
	s.was[s.ends[2] + 60] ^= 1;
	while (rc < 0) {
		renew_file(&s, sw_view(s.was, s.n_was));
		s.t.env.fail_in = ++n;
		s.t.env.fail_rc = SW_ENOSPC;
		s.t.env.dies = true; /* as a process does that cannot open its store */
		rc = sw_work_open(s.t.db, NULL, &s.w);
		s.t.env.fail_in = 0;
		s.t.env.dies = s.t.env.is_dead = false;
		if (rc < 0)
			open_again(&s);
		check_rows(&s, 2);
		assert_int_equal(access(s.aside, F_OK), 0);
		die(&s);
		assert_int_equal(unlink(s.aside), 0);
		snprintf(s.aside, sizeof(s.aside), "%s.damaged-2", s.path);
		assert_int_equal(access(s.aside, F_OK), -1);
		snprintf(s.aside, sizeof(s.aside), "%s.damaged-1", s.path);
	}
	assert_true(n > 5);
	open_again(&s);
	end(&s);
}

/* Numbers of the records that a journal has. */
struct seen {
	uint64_t first, last;
	size_t n;
};

static int see(void *arg, uint64_t seq, const struct sw_journal_name *names, size_t n)
{
	struct seen *s = arg;

	if (names[0].is_damaged)
		return 0;
	assert_int_equal(n, 1);
	assert_int_equal(names[0].row.bytes.n, seq * 100);
	s->first = s->n++ == 0 ? seq : s->first;
	s->last = seq;
	return 0;
}

static struct sw_journal *open_journal(const struct set *s, uint64_t first, uint64_t last, bool is_damaged)
{
	struct seen seen = {0};
	struct sw_journal *j;

	TEST_OK(sw_journal_open(s->path, &s->t.env.env, see, &seen, &j));
	if (!is_damaged)
		assert_int_equal(seen.n, last + 1 - first);
	assert_int_equal(seen.n > 0 ? seen.first : first, first);
	assert_int_equal(seen.n > 0 ? seen.last : last, last);
	assert_int_equal(sw_journal_damage(j) > 0, is_damaged);
	return j;
}

static void append_upto(struct sw_journal *j, uint64_t last)
{
	static uint8_t bytes[10000];
	struct sw_journal_name name = {.table = T, .key = sw_view_str("r"), .exists = true};
	uint64_t seq;

	while (sw_journal_next(j) <= last) {
		name.row.bytes = sw_view(bytes, sw_journal_next(j) * 100);
		TEST_OK(sw_journal_append(j, &name, 1, &seq));
	}
}

static uint64_t room_of(const struct set *s)
{
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* A number is not below those that are forgotten: the file gets smaller by that, and nothing else changes. */
static void what_is_forgotten_takes_no_room(void **state)
{
	struct sw_journal *j;
	uint64_t before, freed;
	struct set s;

	(void)state;
	begin(&s);
	die(&s);
	snprintf(s.path, sizeof(s.path), "%s/another", s.t.dir);
	j = open_journal(&s, 1, 0, false);
	append_upto(j, 60);
	TEST_OK(sw_journal_sync(j));
	TEST_OK(sw_journal_forget(j, 1, &freed));
	assert_int_equal(freed, 0);
	TEST_OK(sw_journal_forget(j, 2, &freed)); /* not a page */
	assert_int_equal(freed, 0);
	for (uint64_t first = 20; first <= 61; first += first == 60 ? 1 : 10) {
		before = room_of(&s);
		TEST_OK(sw_journal_forget(j, first, &freed));
		assert_true(first == 61 ? freed >= 4096 : freed >= 10000);
		assert_int_equal(room_of(&s), before - freed);
		TEST_OK(sw_journal_forget(j, first, &freed));
		assert_int_equal(freed, 0);
		sw_journal_close(j);
		j = open_journal(&s, first, 60, false);
	}
	append_upto(j, 62);
	sw_journal_close(j);
	sw_journal_close(open_journal(&s, 61, 62, false));
	unlink(s.path);
	open_again(&s);
	end(&s);
}

/* The hole says itself how long it is. What is in it, if it was not made after all, is nothing; a hole that cannot be read costs no record. */
static void a_hole_that_was_not_made_is_one(void **state)
{
	struct sw_journal *j;
	uint64_t freed;
	struct set s;
	uint8_t byte;
	int fd;

	(void)state;
	begin(&s);
	die(&s);
	snprintf(s.path, sizeof(s.path), "%s/another", s.t.dir);
	j = open_journal(&s, 1, 0, false);
	append_upto(j, 60);
	s.was = read_file(s.path, &s.n_was);
	TEST_OK(sw_journal_forget(j, 30, &freed));
	assert_true(freed > 0);
	sw_journal_close(j);
	fd = open(s.path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, s.was + HEADER_SIZE + FRAME_SIZE, 8000, HEADER_SIZE + FRAME_SIZE), 8000);
	sw_journal_close(open_journal(&s, 30, 60, false));
	for (int at = HEADER_SIZE; at < HEADER_SIZE + 12; at++) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		/* Of what is still there the first records are whole, too: they are spent, which the store knows. */
		sw_journal_close(open_journal(&s, 2, 60, true));
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
	unlink(s.path);
	open_again(&s);
	end(&s);
}

static bool is_full;

/* Once. */
static int disk_is_full(void *arg, const char *step)
{
	bool fails = is_full && strcmp(step, "journal.append") == 0;

	(void)arg;
	is_full = is_full && !fails;
	return fails ? sw_fail(SW_ENOSPC, "there is no room") : 0;
}

/* What is committed goes, what an edit builds on stays. */
static void a_removal_takes_the_room_of_what_is_spent(void **state)
{
	static uint8_t bytes[20000];
	uint64_t before;
	struct set s;

	(void)state;
	begin(&s);
	memset(bytes, 'a', sizeof(bytes));
	for (size_t i = 0; i < N_ROWS; i++)
		write_bytes(&s, key_of(i), sw_view(bytes, sizeof(bytes)));
	s.t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s.w));
	write_bytes(&s, "log", sw_view(bytes, 9000));
	write_bytes(&s, "gone", sw_view_str("gone"));
	for (size_t i = 9000; i < 9900; i += 300)
		append(&s, "log", sw_view(bytes, 300));
	before = room_of(&s);
	s.t.env.env.fault = disk_is_full;
	is_full = true;
	TEST_OK(sw_work_unlink(s.w, T, sw_view_str("gone")));
	assert_false(is_full);
	assert_true(room_of(&s) + 80000 < before);
	s.t.env.env.fault = test_env_fault;
	die(&s);
	open_again(&s);
	assert_true(has_row(&s, "log", sw_view(bytes, 9900)));
	assert_false(has_row(&s, "gone", sw_view_str("gone")));
	assert_string_equal(damage(&s), "");
	end(&s);
}

/* The disk has no room for another journal, and then for no record. */
static int disk_has_no_room(void *arg, const char *step)
{
	return strcmp(step, "journal.replace") == 0 ? sw_fail(SW_ENOSPC, "there is no room") : disk_is_full(arg, step);
}

/* What was to say it anew is not there: the old records are all that there is. */
static void a_journal_that_was_not_renewed_keeps_what_waits(void **state)
{
	static uint8_t bytes[100000];
	struct set s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < N_ROWS; i++)
		write_bytes(&s, key_of(i), sw_view(bytes, sizeof(bytes)));
	s.t.env.now_ms += 5000;
	write_bytes(&s, "waits", sw_view_str("waits"));
	s.t.env.env.fault = disk_has_no_room;
	assert_int_equal(sw_work_run(s.w), SW_ENOSPC);
	is_full = true;
	if (sw_work_unlink(s.w, T, sw_view_str(key_of(0))) < 0) {
		/* There may be room for that or not. */
	}
	assert_false(is_full);
	s.t.env.env.fault = test_env_fault;
	die(&s);
	open_again(&s);
	assert_true(has_row(&s, "waits", sw_view_str("waits")));
	end(&s);
}

/* Nothing is forgotten before that what stands instead of it is on the disk. */
static void a_hole_waits_for_the_records_behind_it(void **state)
{
	struct sw_journal *j;
	uint64_t freed;
	struct set s;
	uint8_t *now;
	size_t n_now;

	(void)state;
	begin(&s);
	die(&s);
	snprintf(s.path, sizeof(s.path), "%s/another", s.t.dir);
	j = open_journal(&s, 1, 0, false);
	append_upto(j, 60);
	s.was = read_file(s.path, &s.n_was);
	s.t.env.fail_in = 2; /* journal.sync, of "journal.forget" */
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_journal_forget(j, 30, &freed), SW_EIO);
	assert_int_equal(s.t.env.fail_in, 0);
	now = read_file(s.path, &n_now);
	assert_true(sw_view_eq(sw_view(now, n_now), sw_view(s.was, s.n_was)));
	free(now);
	sw_journal_close(j);
	unlink(s.path);
	open_again(&s);
	end(&s);
}

/* A large row that was not flushed may be gone with the power; what it was before was flushed. */
static void what_a_large_row_was_stays_until_it_is_flushed(void **state)
{
	static uint8_t bytes[3000000];
	char path[200];
	struct set s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < N_ROWS; i++)
		write_bytes(&s, key_of(i), sw_view(bytes, 20000));
	s.t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s.w));
	write_bytes(&s, "grows", sw_view_str("small"));
	TEST_OK(sw_work_sync(s.w));
	memset(bytes, 'x', sizeof(bytes));
	write_bytes(&s, "grows", sw_view(bytes, sizeof(bytes)));
	write_bytes(&s, "gone", sw_view_str("gone"));
	s.t.env.env.fault = disk_is_full;
	is_full = true;
	TEST_OK(sw_work_unlink(s.w, T, sw_view_str("gone")));
	assert_false(is_full);
	s.t.env.env.fault = test_env_fault;
	die(&s);
	snprintf(path, sizeof(path), "%s/journal.large/1", s.t.dir);
	assert_int_equal(truncate(path, 0), 0);
	open_again(&s);
	assert_true(has_row(&s, "grows", sw_view_str("small")));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_byte_that_changes_costs_one_row_and_is_told),
	    cmocka_unit_test(what_was_not_written_as_a_whole_is_cut_off),
	    cmocka_unit_test(a_hole_costs_what_is_in_it),
	    cmocka_unit_test(what_is_no_journal_is_kept_and_told),
	    cmocka_unit_test(what_a_newer_record_says_is_not_lost),
	    cmocka_unit_test(nothing_is_added_to_a_record_but_the_one_it_was_made_for),
	    cmocka_unit_test(a_journal_in_a_row_is_no_journal),
	    cmocka_unit_test(content_that_only_a_damaged_record_names_is_kept),
	    cmocka_unit_test(what_a_damaged_record_added_is_not_there),
	    cmocka_unit_test(a_start_that_fails_costs_nothing_more),
	    cmocka_unit_test(what_is_forgotten_takes_no_room),
	    cmocka_unit_test(a_hole_that_was_not_made_is_one),
	    cmocka_unit_test(a_removal_takes_the_room_of_what_is_spent),
	    cmocka_unit_test(a_journal_that_was_not_renewed_keeps_what_waits),
	    cmocka_unit_test(a_hole_waits_for_the_records_behind_it),
	    cmocka_unit_test(what_a_large_row_was_stays_until_it_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
