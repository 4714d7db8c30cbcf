/* Large rows under edit: files of their own, staged into the store before they are committed. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "core/work_internal.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

#define SIZE 3000000

struct set {
	struct test_db t;
	struct sw_work *w;
};

static uint8_t expected[2 * SIZE];

static void fill(uint8_t *to, size_t n, uint64_t seed)
{
	struct rng r = {seed};

	for (size_t i = 0; i < n; i += 8) {
		uint64_t x = rng_next(&r);

		memcpy(to + i, &x, n - i < 8 ? n - i : 8);
	}
}

static void begin(struct set *s)
{
	test_db_create(&s->t, 1);
	s->t.env.env.checkpoint_commits = 3;
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
	TEST_OK(sw_work_mkdir(s->w, sw_view_str("t"), 0755));
	fill(expected, SIZE, 1);
}

static void pass(struct set *s)
{
	s->t.env.now_ms += 5000;
	TEST_OK(sw_work_run(s->w));
}

static void end(struct set *s)
{
	sw_work_close(s->w);
	TEST_OK(sw_db_tidy(s->t.db));
	test_verify(&s->t);
	test_db_close(&s->t);
}

/* The process ends without a word. */
static void die(struct set *s)
{
	s->t.env.fail_rc = SW_EIO;
	s->t.env.is_dead = true;
	sw_work_close(s->w);
	sw_db_close(s->t.db);
	s->t.env.is_dead = false;
}

static void crash(struct set *s)
{
	die(s);
	TEST_OK(sw_db_open(s->t.dir, &s->t.env.env, &s->t.db));
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
}

static void open_row(struct set *s, const char *key, unsigned flags, struct sw_handle *h)
{
	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key), flags, 0644, h));
}

static void write_row(struct set *s, const char *key, size_t n)
{
	struct sw_handle h;

	open_row(s, key, SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, &h);
	for (size_t at = 0; at < n; at += 100000) {
		size_t k = n - at < 100000 ? n - at : 100000;

		TEST_OK(sw_handle_write(s->w, &h, at, false, sw_view(expected + at, k)));
	}
	TEST_OK(sw_handle_flush(s->w, &h));
	sw_handle_release(s->w, &h);
}

static void check_row(struct set *s, const char *key, size_t n)
{
	static uint8_t block[50000];
	struct sw_handle h;
	struct sw_attr attr;
	size_t got;

	open_row(s, key, 0, &h);
	sw_handle_stat(s->w, &h, &attr);
	assert_int_equal(attr.size, n);
	for (size_t at = 0; at < n; at += got) {
		got = test_read(s->w, &h, at, block, sizeof(block));
		assert_true(got > 0);
		assert_memory_equal(block, expected + at, got);
	}
	sw_handle_release(s->w, &h);
}

static size_t n_files(struct set *s)
{
	char path[256];
	DIR *dir;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/journal.large", s->t.dir);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 2 ? n - 2 : 0; /* the dots */
}

static bool is_committed(struct set *s, size_t n)
{
	struct sw_reader r;
	struct sw_row row;
	int rc;

	TEST_OK(sw_reader_begin(s->t.db, &r));
	rc = sw_state_row(r.nodes, &r.head.state, sw_view_str("t"), sw_view_str("r"), &row);
	sw_reader_end(&r);
	return rc == 0 && row.size == n;
}

static uint64_t n_stored(struct set *s, enum sw_space space)
{
	struct sw_txn *txn;
	uint64_t n;

	TEST_OK(sw_txn_begin(sw_db_store(s->t.db), false, &txn));
	n = sw_txn_count(txn, space);
	sw_txn_abort(txn);
	return n;
}

static void a_large_row_is_in_a_file_until_it_is_committed(void **state)
{
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	assert_int_equal(n_files(&s), 1);
	check_row(&s, "r", SIZE);
	pass(&s);
	assert_true(is_committed(&s, SIZE));
	assert_int_equal(n_files(&s), 0);
	assert_int_equal(n_stored(&s, SW_SPACE_STAGED), 0);
	check_row(&s, "r", SIZE);
	test_verify(&s.t);
	end(&s);
}

/* It has the same bytes as one that was written at once. */
static void staged_and_direct_rows_are_equal(void **state)
{
	static char text[SIZE + 1];
	struct sw_hash a, b;
	struct set s;

	(void)state;
	begin(&s);
	memset(expected, 'x', SIZE);
	for (size_t i = 0; i < SIZE; i += 1 + i % 977)
		expected[i] = (uint8_t)('a' + i % 26);
	write_row(&s, "r", SIZE);
	pass(&s);
	memcpy(text, expected, SIZE);
	test_put(&s.t, "t", "direct", text);
	a = test_current(&s.t, "t", "r");
	b = test_current(&s.t, "t", "direct");
	assert_true(sw_hash_eq(&a, &b));
	end(&s);
}

/* Whoever reads it cold reads the disk in one direction: the store gave its chunks pages in the order of its bytes. */
static void chunks_are_stored_in_order(void **state)
{
	struct sw_pieces p;
	struct sw_handle h;
	struct set s;
	size_t n_back = 0;

	(void)state;
	begin(&s);
	write_row(&s, "a", SIZE);
	pass(&s);
	open_row(&s, "a", 0, &h);
	sw_pieces_init(&p);
	TEST_OK(sw_handle_read(s.w, &h, 0, SIZE, &p));
	assert_true(p.n > 100);
	for (size_t i = 1; i < p.n; i++)
		n_back += p.v[i].p < p.v[i - 1].p;
	/* Pages that were free before are used first. */
	assert_true(n_back * 20 < p.n);
	sw_pieces_fini(&p);
	sw_handle_release(s.w, &h);
	end(&s);
}

static void a_change_in_the_middle_of_a_large_row(void **state)
{
	struct sw_handle h;
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	pass(&s);
	before = n_stored(&s, SW_SPACE_NODES);
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	memset(expected + 1500000, 7, 10);
	TEST_OK(sw_handle_write(s.w, &h, 1500000, false, sw_view(expected + 1500000, 10)));
	TEST_OK(sw_handle_sync(s.w, &h));
	assert_int_equal(n_files(&s), 0); /* committed already: it was there before */
	sw_handle_release(s.w, &h);
	assert_true(n_stored(&s, SW_SPACE_NODES) < before + 10);
	check_row(&s, "r", SIZE);
	end(&s);
}

static void what_was_closed_survives_a_crash(void **state)
{
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	write_row(&s, "r", SIZE);
	crash(&s);
	check_row(&s, "r", SIZE);
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("r"), sw_view_str("t"), sw_view_str("q"), 0));
	TEST_OK(sw_work_rename(s.w, sw_view_str("t"), sw_view_str("q"), sw_view_str("t"), sw_view_str("r"), 0));
	crash(&s);
	check_row(&s, "r", SIZE);
	assert_int_equal(n_files(&s), 1);
	pass(&s);
	assert_true(is_committed(&s, SIZE));
	crash(&s);
	assert_int_equal(n_files(&s), 0);
	check_row(&s, "r", SIZE);
	end(&s);
}

/* What a program does to a row that was closed before, up to the moment when it is told that this is safe, too. */
static void change_cut(struct set *s, struct sw_handle *h)
{
	open_row(s, "r", SW_OPEN_WRITE | SW_OPEN_TRUNCATE, h);
}

static void change_shorten(struct set *s, struct sw_handle *h)
{
	open_row(s, "r", SW_OPEN_WRITE, h);
	TEST_OK(sw_handle_truncate(s->w, h, SIZE / 2));
}

static void change_middle(struct set *s, struct sw_handle *h)
{
	open_row(s, "r", SW_OPEN_WRITE, h);
	TEST_OK(sw_handle_write(s->w, h, SIZE / 2, false, sw_view(expected, 10)));
}

static void change_end(struct set *s, struct sw_handle *h)
{
	open_row(s, "r", SW_OPEN_WRITE, h);
	TEST_OK(sw_handle_write(s->w, h, SIZE, false, sw_view(expected, 10)));
}

static void change_unlink(struct set *s, struct sw_handle *h)
{
	open_row(s, "r", 0, h);
	s->t.env.is_dead = true; /* before the record is written */
	assert_true(sw_work_unlink(s->w, sw_view_str("t"), sw_view_str("r")) < 0);
}

static void change_replace(struct set *s, struct sw_handle *h)
{
	write_row(s, "q", 10);
	open_row(s, "r", 0, h);
	s->t.env.is_dead = true;
	assert_true(sw_work_rename(s->w, sw_view_str("t"), sw_view_str("q"), sw_view_str("t"), sw_view_str("r"), 0) < 0);
}

typedef void (*change_fn)(struct set *s, struct sw_handle *h);
static const change_fn changes[] = {change_cut, change_shorten, change_middle,
				    change_end, change_unlink,	change_replace};

static void what_was_closed_is_kept_until_something_newer_is(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		begin(&s);
		write_row(&s, "r", SIZE);
		changes[i](&s, &h);
		s.t.env.is_dead = true;
		sw_handle_release(s.w, &h);
		crash(&s);
		check_row(&s, "r", SIZE);
		assert_int_equal(n_files(&s), 1);
		pass(&s);
		assert_true(is_committed(&s, SIZE));
		end(&s);
	}
}

/* Records that no flush has reached may be gone after a power failure: what was on the disk before is there. */
static void what_was_flushed_is_kept_until_something_newer_is(void **state)
{
	struct stat flushed;
	struct sw_handle h;
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	snprintf(path, sizeof(path), "%s/journal", s.t.dir);
	write_row(&s, "r", SIZE);
	open_row(&s, "r", 0, &h);
	TEST_OK(sw_handle_sync(s.w, &h)); /* it is new: not committed by that */
	sw_handle_release(s.w, &h);
	assert_int_equal(stat(path, &flushed), 0);
	write_row(&s, "r", 10);
	assert_int_equal(n_files(&s), 1);
	s.t.env.is_dead = true;
	assert_int_equal(truncate(path, flushed.st_size), 0);
	crash(&s);
	check_row(&s, "r", SIZE);
	end(&s);
}

/* Content that is replaced again and again does not pile up: the next flush of the journal frees it. */
static void what_was_replaced_goes_with_the_next_flush(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	open_row(&s, "r", SW_OPEN_CREATE | SW_OPEN_WRITE, &h);
	for (int i = 0; i < 5; i++) {
		TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view(expected, SIZE)));
		TEST_OK(sw_handle_sync(s.w, &h));
		assert_int_equal(n_files(&s), 1);
	}
	for (int i = 0; i < 5; i++) { /* at its end it grows in place */
		TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view(expected, 10)));
		assert_int_equal(n_files(&s), 1);
	}
	sw_handle_release(s.w, &h);
	crash(&s);
	open_row(&s, "r", 0, &h);
	assert_int_equal(sw_file_size(h.file), SIZE + 50);
	sw_handle_release(s.w, &h);
	pass(&s);
	assert_int_equal(n_files(&s), 0);
	end(&s);
}

/* A power failure can take the end of a file that nobody has flushed: then the version before stands. */
static void a_file_that_lost_its_end_is_not_the_row(void **state)
{
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	pass(&s);
	fill(expected + SIZE, SIZE, 2);
	memmove(expected, expected + SIZE, SIZE);
	write_row(&s, "r", SIZE);
	snprintf(path, sizeof(path), "%s/journal.large/1", s.t.dir);
	if (access(path, F_OK) < 0)
		snprintf(path, sizeof(path), "%s/journal.large/2", s.t.dir);
	assert_int_equal(truncate(path, SIZE - 1), 0);
	crash(&s);
	fill(expected, SIZE, 1);
	check_row(&s, "r", SIZE);
	assert_int_equal(n_files(&s), 0);
	end(&s);
}

/* The number of the file that was made last. */
static unsigned long newest_file(struct set *s)
{
	struct dirent *e;
	char path[256];
	unsigned long newest = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/journal.large", s->t.dir);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (strtoul(e->d_name, NULL, 10) > newest)
			newest = strtoul(e->d_name, NULL, 10);
	closedir(dir);
	return newest;
}

static void overwrite_newest(struct set *s, size_t at, size_t n)
{
	static const uint8_t zeros[200000];
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/journal.large/%lu", s->t.dir, newest_file(s));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeros, n, (off_t)at), n);
	close(fd);
}

/*
 * A power failure can leave a file with its size and without what was written into it, when nobody has flushed it, and the record that
 * names it on the disk. Then the version that was flushed before stands.
 */
static void a_file_with_other_bytes_is_not_the_row(void **state)
{
	static const size_t places[] = {0, 1500000, SIZE - 1};
	struct sw_handle h;
	struct set s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(&s);
		pass(&s);
		write_row(&s, "r", SIZE);
		open_row(&s, "r", 0, &h);
		TEST_OK(sw_handle_sync(s.w, &h)); /* it is new: not committed by that */
		sw_handle_release(s.w, &h);
		memset(expected, 'n', SIZE);
		write_row(&s, "r", SIZE);
		overwrite_newest(&s, places[i], 1);
		fill(expected, SIZE, 1);
		crash(&s);
		check_row(&s, "r", SIZE);
		pass(&s);
		assert_true(is_committed(&s, SIZE));
		end(&s);
	}
}

/* It grows in place, line by line; of that only what is whole counts. */
static void of_a_file_that_has_grown_what_is_whole_counts(void **state)
{
	struct sw_handle h;
	struct set s;
	size_t n = SIZE;

	(void)state;
	fill(expected + SIZE, SIZE, 2);
	begin(&s);
	write_row(&s, "r", SIZE);
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	for (int i = 0; i < 200; i++, n += 1001)
		TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view(expected + n, 1001)));
	sw_handle_release(s.w, &h);
	crash(&s);
	check_row(&s, "r", n);
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	TEST_OK(sw_handle_write(s.w, &h, 0, true, sw_view(expected + n, 1001)));
	sw_handle_release(s.w, &h);
	overwrite_newest(&s, n + 1000, 1);
	crash(&s);
	check_row(&s, "r", n);
	overwrite_newest(&s, SIZE + 1, 1);
	crash(&s);
	check_row(&s, "r", SIZE);
	end(&s);
}

/* Whatever was done to a row, what it had then is what a crash leaves: checks are kept of blocks, and each of these makes other ones. */
static void every_change_of_a_large_row_survives_a_crash(void **state)
{
	static const struct {
		size_t at, n;
	} writes[] = {{SIZE, 70000}, {65536, 65536}, {65536 * 2 - 1, 2}, {5, 100000}, {SIZE + 70000, 1}, {65536 * 5, 65536 * 3 + 1}, {4000000, 10}, {4400000, 10}};
	struct sw_handle h;
	size_t n = SIZE;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	memset(expected + SIZE, 0, SIZE);
	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		size_t end = writes[i].at + writes[i].n;

		fill(expected + writes[i].at, writes[i].n, 10 + i);
		open_row(&s, "r", SW_OPEN_WRITE, &h);
		TEST_OK(sw_handle_write(s.w, &h, writes[i].at, false, sw_view(expected + writes[i].at, writes[i].n)));
		TEST_OK(sw_handle_flush(s.w, &h));
		sw_handle_release(s.w, &h);
		n = n < end ? end : n;
		if (i % 2)
			crash(&s);
		check_row(&s, "r", n);
	}
	for (int i = 0; i < 4; i++) { /* shorter, and longer by a hole */
		uint64_t size = n = n - 300000;

		TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("r"), NULL, NULL, &size));
		memset(expected + n, 0, 400000);
		size = n = n + 200000;
		TEST_OK(sw_work_set(s.w, sw_view_str("t"), sw_view_str("r"), NULL, NULL, &size));
		crash(&s);
		check_row(&s, "r", n);
	}
	pass(&s);
	check_row(&s, "r", n);
	end(&s);
}

/* Nothing makes a row of what is left of a file: it is not committed, nor copied. */
static void a_file_that_has_become_shorter_is_an_error(void **state)
{
	struct sw_work_status status;
	struct sw_handle h;
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	write_row(&s, "r", SIZE);
	snprintf(path, sizeof(path), "%s/journal.large/%lu", s.t.dir, newest_file(&s));
	assert_int_equal(truncate(path, SIZE - 200000), 0);
	s.t.env.now_ms += 5000;
	assert_int_equal(sw_work_run(s.w), SW_EIO);
	sw_work_status(s.w, &status);
	assert_non_null(strstr(status.error, "has lost its end"));
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	assert_int_equal(sw_handle_write(s.w, &h, 0, false, sw_view(expected, 10)), SW_EIO);
	assert_int_equal(sw_handle_truncate(s.w, &h, SIZE - 100), SW_EIO);
	sw_handle_release(s.w, &h);
	write_row(&s, "r", SIZE);
	pass(&s);
	assert_true(is_committed(&s, SIZE));
	check_row(&s, "r", SIZE);
	end(&s);
}

static void fail_flush(struct set *s, struct sw_handle *h)
{
	s->t.env.fail_in = 2; /* the record is written, the flush of what it names fails */
	s->t.env.fail_rc = SW_EIO;
	s->t.env.dies = true;
	assert_int_equal(sw_handle_sync(s->w, h), SW_EIO);
	s->t.env.dies = s->t.env.is_dead = false;
}

/* After a flush that failed the next one may succeed without having written anything: only another file helps. */
static void what_cannot_be_flushed_is_written_anew(void **state)
{
	unsigned long before;
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	for (int at_once = 0; at_once < 2; at_once++) {
		write_row(&s, at_once ? "r" : "q", SIZE);
		before = newest_file(&s);
		open_row(&s, at_once ? "r" : "q", 0, &h);
		if (at_once) {
			s.t.env.fail_in = 2;
			s.t.env.fail_rc = SW_EIO;
		} else {
			fail_flush(&s, &h);
			assert_int_equal(newest_file(&s), before);
		}
		TEST_OK(sw_handle_sync(s.w, &h));
		assert_int_equal(s.t.env.fail_in, 0);
		assert_true(newest_file(&s) > before);
		sw_handle_release(s.w, &h);
	}
	crash(&s);
	check_row(&s, "q", SIZE);
	check_row(&s, "r", SIZE);
	pass(&s);
	assert_int_equal(n_files(&s), 0);
	end(&s);
}

/* So it is when time flushes it, and when it is committed. */
static void what_could_not_be_flushed_is_committed_from_another_file(void **state)
{
	unsigned long before;
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	write_row(&s, "r", SIZE);
	before = newest_file(&s);
	open_row(&s, "r", 0, &h);
	fail_flush(&s, &h);
	TEST_OK(sw_work_sync(s.w));
	assert_true(newest_file(&s) > before);
	before = newest_file(&s);
	sw_handle_release(s.w, &h);
	crash(&s);
	open_row(&s, "r", 0, &h);
	fail_flush(&s, &h);
	sw_handle_release(s.w, &h);
	pass(&s);
	assert_true(is_committed(&s, SIZE));
	check_row(&s, "r", SIZE);
	end(&s);
}

/* The system may have dropped what it could not write. Nothing else takes its place, and whoever wrote it is told. */
static void what_was_lost_by_a_flush_is_not_the_row(void **state)
{
	struct sw_work_status status;
	struct sw_handle h, writer;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	pass(&s);
	fill(expected, SIZE, 2);
	write_row(&s, "r", SIZE);
	open_row(&s, "r", SW_OPEN_WRITE, &writer); /* it is not committed at once */
	TEST_OK(sw_handle_write(s.w, &writer, SIZE, false, sw_view(expected, 10)));
	TEST_OK(sw_handle_flush(s.w, &writer));
	open_row(&s, "r", 0, &h);
	overwrite_newest(&s, 1000000, 100);
	s.t.env.fail_in = 1;
	assert_int_equal(sw_handle_sync(s.w, &h), SW_EIO); /* which would commit it */
	s.t.env.fail_in = 0;
	assert_false(is_committed(&s, SIZE + 10));
	s.t.env.now_ms += 5000;
	assert_int_equal(sw_work_run(s.w), SW_EIO);
	sw_work_status(s.w, &status);
	assert_non_null(strstr(status.error, "write it again"));
	assert_false(is_committed(&s, SIZE + 10));
	sw_handle_release(s.w, &writer);
	sw_handle_release(s.w, &h);
	write_row(&s, "r", SIZE);
	pass(&s);
	check_row(&s, "r", SIZE);
	sw_work_status(s.w, &status);
	assert_int_equal(status.error[0], 0);
	end(&s);
}

static void rows_grow_and_shrink_across_the_limit(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", 1000);
	assert_int_equal(n_files(&s), 0);
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	memset(expected + 1000, 0, SIZE - 1000);
	TEST_OK(sw_handle_truncate(s.w, &h, SIZE));
	assert_int_equal(n_files(&s), 1);
	TEST_OK(sw_handle_flush(s.w, &h));
	check_row(&s, "r", SIZE);
	pass(&s);
	check_row(&s, "r", SIZE);
	TEST_OK(sw_handle_truncate(s.w, &h, 500));
	assert_int_equal(n_files(&s), 0);
	TEST_OK(sw_handle_flush(s.w, &h));
	check_row(&s, "r", 500);
	pass(&s);
	sw_handle_release(s.w, &h);
	assert_true(is_committed(&s, 500));
	end(&s);
}

/* What was staged and then not committed is given up again. */
static void a_stage_that_nobody_wants_is_given_up(void **state)
{
	struct set s;
	uint64_t before;

	(void)state;
	begin(&s);
	pass(&s);
	before = n_stored(&s, SW_SPACE_NODES);
	for (int kill = 0; kill < 2; kill++) {
		write_row(&s, "r", SIZE);
		/* The stage is written, the commit fails. */
		s.t.env.now_ms += 5000;
		s.t.env.fail_in = 2;
		s.t.env.fail_rc = SW_EIO;
		assert_int_equal(sw_work_run(s.w), SW_EIO);
		assert_true(n_stored(&s, SW_SPACE_NODES) > before + 50);
		test_verify(&s.t);
		if (kill)
			crash(&s);
		TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r")));
		pass(&s);
		TEST_OK(sw_db_tidy(s.t.db));
		assert_int_equal(n_stored(&s, SW_SPACE_STAGED), 0);
		assert_true(n_stored(&s, SW_SPACE_NODES) < before + 10);
		assert_int_equal(n_files(&s), 0);
		test_verify(&s.t);
	}
	end(&s);
}

static int no_room_in_the_store(void *arg, const char *step)
{
	(void)arg;
	return strcmp(step, "store.commit") == 0 ? SW_ENOSPC : 0;
}

/* Giving up what a process has staged that was killed takes room itself; who cannot open the store can make none. */
static void a_store_with_a_stray_stage_opens_on_a_full_disk(void **state)
{
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	write_row(&s, "r", SIZE);
	s.t.env.now_ms += 5000;
	s.t.env.fail_in = 2;
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_work_run(s.w), SW_EIO);
	die(&s);
	s.t.env.env.fault = no_room_in_the_store;
	TEST_OK(sw_db_open(s.t.dir, &s.t.env.env, &s.t.db));
	TEST_OK(sw_work_open(s.t.db, NULL, &s.w));
	check_row(&s, "r", SIZE);
	TEST_OK(sw_work_unlink(s.w, sw_view_str("t"), sw_view_str("r")));
	s.t.env.env.fault = test_env_fault;
	pass(&s);
	TEST_OK(sw_db_tidy(s.t.db));
	assert_int_equal(n_stored(&s, SW_SPACE_STAGED), 0);
	end(&s);
}

static void a_failed_write_leaves_the_row_as_it_was(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	open_row(&s, "r", SW_OPEN_WRITE, &h);
	s.t.env.fail_in = 1;
	s.t.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_handle_write(s.w, &h, SIZE, false, sw_view(expected, 10)), SW_ENOSPC);
	sw_handle_release(s.w, &h);
	check_row(&s, "r", SIZE);
	pass(&s);
	check_row(&s, "r", SIZE);
	end(&s);
}

/* A number that the journal names is not given to other content: that would come back under the wrong name. */
static void the_number_of_a_lost_file_is_not_given_again(void **state)
{
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "lost", SIZE);
	snprintf(path, sizeof(path), "%s/journal.large/1", s.t.dir);
	assert_int_equal(unlink(path), 0);
	crash(&s);
	write_row(&s, "r", SIZE);
	assert_int_equal(access(path, F_OK), -1);
	crash(&s);
	assert_false(sw_work_is_edited(s.w, sw_view_str("t"), sw_view_str("lost")));
	check_row(&s, "r", SIZE);
	pass(&s);
	end(&s);
}

static int n_edited(struct set *s)
{
	static const char *const keys[] = {"r", "q", "small"};
	int n = 0;

	for (size_t i = 0; i < 3; i++)
		n += sw_work_is_edited(s->w, sw_view_str("t"), sw_view_str(keys[i]));
	return n;
}

static void a_row_that_cannot_be_staged_holds_up_no_other(void **state)
{
	struct sw_work_status status;
	struct sw_hash id;
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		write_row(&s, "r", SIZE);
		write_row(&s, "q", SIZE);
		write_row(&s, "small", 100);
		s.t.env.now_ms += 5000;
		s.t.env.fail_in = by_hand ? 1 : 2; /* by itself the small one comes first */
		s.t.env.fail_rc = SW_ENOSPC;
		assert_int_equal(by_hand ? sw_work_commit(s.w, sw_view_str("m"), &id) : sw_work_run(s.w), SW_ENOSPC);
		assert_int_equal(n_edited(&s), 1);
		sw_work_status(s.w, &status);
		assert_true(status.error[0] != '\0');
		pass(&s);
		assert_int_equal(n_edited(&s), 0);
		sw_work_status(s.w, &status);
		assert_int_equal(status.error[0], '\0');
		fill(expected, SIZE, 3);
	}
	end(&s);
}

static void count_flushes(void *arg, const char *step)
{
	*(int *)arg += strcmp(step, "spill.sync") == 0;
}

/* An fsync of one row flushes that one alone; the others are flushed in their time. */
static void every_file_is_flushed_in_its_time(void **state)
{
	struct sw_handle q, r;
	struct set s;
	int n = 0;

	(void)state;
	begin(&s);
	pass(&s);
	write_row(&s, "q", SIZE);
	open_row(&s, "q", SW_OPEN_WRITE, &q); /* somebody goes on writing: it is not committed */
	TEST_OK(sw_handle_write(s.w, &q, 0, false, sw_view(expected, 10)));
	write_row(&s, "r", SIZE);
	open_row(&s, "r", 0, &r);
	s.t.env.on_step = count_flushes;
	s.t.env.on_step_arg = &n;
	TEST_OK(sw_handle_sync(s.w, &r));
	assert_int_equal(n, 1);
	sw_handle_release(s.w, &r);
	pass(&s);
	assert_int_equal(n, 2);
	assert_true(sw_work_due_ms(s.w) > 0);
	s.t.env.on_step = NULL;
	sw_handle_release(s.w, &q);
	end(&s);
}

/* An fsync that begins while the row is being committed, and has its stage ready when that is done. */
struct late_sync {
	struct set *s;
	struct sw_handle h;
	pthread_t main, thread;
	bool is_begun;
	int rc;
};

static void *sync_late(void *arg)
{
	struct late_sync *l = arg;

	l->rc = sw_handle_sync(l->s->w, &l->h);
	return NULL;
}

static void wait_until(struct late_sync *l, bool is_staging)
{
	const struct sw_file *f = l->h.file;
	bool is_so = false;

	/* Whoever commits holds locks that are taken after this one: it may not wait for it. */
	while (!is_so) {
		if (pthread_mutex_trylock(&l->s->w->lock) == 0) {
			is_so = is_staging ? f->is_staging : !f->spill;
			pthread_mutex_unlock(&l->s->w->lock);
		}
		sched_yield();
	}
}

static void on_late_step(void *arg, const char *step)
{
	struct late_sync *l = arg;

	if (strcmp(step, "store.commit") != 0)
		return;
	if (!pthread_equal(pthread_self(), l->main)) {
		wait_until(l, false);
	} else if (!l->is_begun && l->h.file->name->in_commit) {
		l->is_begun = true;
		assert_int_equal(pthread_create(&l->thread, NULL, sync_late, l), 0);
		wait_until(l, true);
	}
}

static void a_stage_that_comes_too_late_is_given_up(void **state)
{
	struct late_sync l = {.main = pthread_self()};
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", SIZE);
	pass(&s);
	fill(expected, SIZE, 4);
	write_row(&s, "r", SIZE);
	l.s = &s;
	open_row(&s, "r", 0, &l.h);
	s.t.env.on_step = on_late_step;
	s.t.env.on_step_arg = &l;
	pass(&s);
	assert_true(l.is_begun);
	pthread_join(l.thread, NULL);
	s.t.env.on_step = NULL;
	TEST_OK(l.rc);
	assert_null(l.h.file->stage);
	check_row(&s, "r", SIZE);
	sw_handle_release(s.w, &l.h);
	TEST_OK(sw_db_tidy(s.t.db));
	assert_int_equal(n_stored(&s, SW_SPACE_STAGED), 0);
	end(&s);
}

/* A small row is written when the first batch of a large one is on its way. */
struct overtaking {
	struct set *s;
	struct sw_file *large;
	enum { NOT_WRITTEN, WRITTEN, OVERTOOK } is;
};

static void on_batch(void *arg, const char *step)
{
	struct overtaking *o = arg;
	const struct sw_name *n;

	if (strcmp(step, "store.commit") != 0 || !o->large->is_staging)
		return;
	n = sw_name_find(o->s->w, sw_view_str("t"), sw_view_str("small"));
	if (o->is == WRITTEN && n && n->in_commit)
		o->is = OVERTOOK;
	if (o->is != NOT_WRITTEN)
		return;
	o->is = WRITTEN;
	write_row(o->s, "small", 10);
	o->s->t.env.now_ms += 5000;
}

static void a_small_row_does_not_wait_for_a_large_one(void **state)
{
	struct overtaking o = {.is = NOT_WRITTEN};
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	pass(&s);
	open_row(&s, "large", SW_OPEN_CREATE | SW_OPEN_WRITE, &h);
	for (int i = 0; i < 8; i++) {
		fill(expected, SIZE, 10 + (uint64_t)i);
		TEST_OK(sw_handle_write(s.w, &h, (uint64_t)i * SIZE, false, sw_view(expected, SIZE)));
	}
	TEST_OK(sw_handle_flush(s.w, &h));
	o.s = &s;
	o.large = h.file;
	s.t.env.on_step = on_batch;
	s.t.env.on_step_arg = &o;
	pass(&s);
	s.t.env.on_step = NULL;
	assert_int_equal(o.is, OVERTOOK);
	assert_int_equal(n_edited(&s), 0);
	sw_handle_release(s.w, &h);
	end(&s);
}

/* A row in its version `from`, committed or only closed, that a program has begun to write anew. */
static void begin_writing(struct set *s, const char *key, size_t n, bool is_committed, unsigned flags, struct sw_handle *h)
{
	static const uint8_t torn[1000];

	write_row(s, key, n);
	if (is_committed)
		pass(s);
	open_row(s, key, SW_OPEN_WRITE | flags, h);
	TEST_OK(sw_handle_write(s->w, h, 10, false, sw_view(torn, sizeof(torn))));
	TEST_OK(sw_handle_write(s->w, h, n, false, sw_view(torn, sizeof(torn))));
}

static void rename_row(struct set *s, const char *from, const char *to, unsigned flags)
{
	TEST_OK(sw_work_rename(s->w, sw_view_str("t"), sw_view_str(from), sw_view_str("t"), sw_view_str(to), flags));
}

static void check_absent(struct set *s, const char *key)
{
	struct sw_attr attr;

	assert_int_equal(sw_work_stat(s->w, sw_view_str("t"), sw_view_str(key), &attr), SW_ENOTFOUND);
}

/* Small rows, middling ones, and those in files of their own; changed in the middle, or emptied before. */
static void check_moved(size_t n, bool is_committed, unsigned flags)
{
	struct sw_handle h;
	struct set s;

	begin(&s);
	/* A kill after the rename: the row is whole at its new name. */
	begin_writing(&s, "r", n, is_committed, flags, &h);
	rename_row(&s, "r", "q", 0);
	s.t.env.fail_rc = SW_EIO;
	s.t.env.is_dead = true;
	sw_handle_release(s.w, &h);
	crash(&s);
	check_absent(&s, "r");
	check_row(&s, "q", n);
	pass(&s);
	check_row(&s, "q", n);
	check_absent(&s, "r");
	/* Whoever renames and then closes has what was closed. */
	open_row(&s, "q", SW_OPEN_WRITE, &h);
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view(expected + 8, 8)));
	rename_row(&s, "q", "p", 0);
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view(expected, 8)));
	TEST_OK(sw_handle_flush(s.w, &h));
	sw_handle_release(s.w, &h);
	crash(&s);
	check_absent(&s, "q");
	check_row(&s, "p", n);
	end(&s);
}

static void a_row_that_is_renamed_while_it_is_written_survives_a_crash(void **state)
{
	static const size_t sizes[] = {50, 50000, SIZE};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		check_moved(sizes[i], true, 0);
		check_moved(sizes[i], false, 0);
		check_moved(sizes[i], true, SW_OPEN_TRUNCATE);
		check_moved(sizes[i], false, SW_OPEN_TRUNCATE);
	}
}

static void rows_that_change_places_while_one_is_written_survive_a_crash(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "q", 100);
	begin_writing(&s, "r", 50000, true, 0, &h);
	rename_row(&s, "r", "q", SW_RENAME_EXCHANGE);
	s.t.env.fail_rc = SW_EIO;
	s.t.env.is_dead = true;
	sw_handle_release(s.w, &h);
	crash(&s);
	pass(&s);
	check_row(&s, "q", 50000);
	check_row(&s, "r", 100);
	end(&s);
}

/* What nobody has closed yet replaces nothing. */
static void a_new_row_that_is_renamed_while_it_is_written_costs_no_other(void **state)
{
	struct sw_handle h;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", 100);
	pass(&s);
	open_row(&s, "new", SW_OPEN_CREATE | SW_OPEN_WRITE, &h);
	TEST_OK(sw_handle_flush(s.w, &h)); /* as by a shell, before it has written anything */
	TEST_OK(sw_handle_write(s.w, &h, 0, false, sw_view_str("half")));
	rename_row(&s, "new", "r", 0);
	s.t.env.fail_rc = SW_EIO;
	s.t.env.is_dead = true;
	sw_handle_release(s.w, &h);
	crash(&s);
	check_row(&s, "r", 100);
	check_absent(&s, "new");
	end(&s);
}

static int no_record(void *arg, uint64_t seq, const struct sw_journal_name *names, size_t n)
{
	(void)arg;
	(void)seq;
	(void)names;
	(void)n;
	return 0;
}

/* Before the directory is on the disk the old journal may come back, and what it held must still count as spent. */
static void a_journal_begins_anew_when_its_directory_is_flushed(void **state)
{
	struct sw_journal *j;
	char path[256];
	struct set s;

	(void)state;
	begin(&s);
	snprintf(path, sizeof(path), "%s/other", s.t.dir);
	TEST_OK(sw_journal_open(path, &s.t.env.env, no_record, NULL, &j));
	s.t.env.fail_in = 3;
	s.t.env.fail_rc = SW_EIO;
	assert_int_equal(sw_journal_reset(j), SW_EIO);
	s.t.env.fail_in = 1;
	assert_int_equal(sw_journal_sync(j), SW_EIO); /* what it gets is not there, either, until then */
	TEST_OK(sw_journal_reset(j));
	sw_journal_close(j);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_large_row_is_in_a_file_until_it_is_committed),
	    cmocka_unit_test(staged_and_direct_rows_are_equal),
	    cmocka_unit_test(chunks_are_stored_in_order),
	    cmocka_unit_test(a_change_in_the_middle_of_a_large_row),
	    cmocka_unit_test(what_was_closed_survives_a_crash),
	    cmocka_unit_test(what_was_closed_is_kept_until_something_newer_is),
	    cmocka_unit_test(what_was_flushed_is_kept_until_something_newer_is),
	    cmocka_unit_test(what_was_replaced_goes_with_the_next_flush),
	    cmocka_unit_test(a_file_that_lost_its_end_is_not_the_row),
	    cmocka_unit_test(a_file_with_other_bytes_is_not_the_row),
	    cmocka_unit_test(of_a_file_that_has_grown_what_is_whole_counts),
	    cmocka_unit_test(every_change_of_a_large_row_survives_a_crash),
	    cmocka_unit_test(a_file_that_has_become_shorter_is_an_error),
	    cmocka_unit_test(what_cannot_be_flushed_is_written_anew),
	    cmocka_unit_test(what_could_not_be_flushed_is_committed_from_another_file),
	    cmocka_unit_test(what_was_lost_by_a_flush_is_not_the_row),
	    cmocka_unit_test(rows_grow_and_shrink_across_the_limit),
	    cmocka_unit_test(a_stage_that_nobody_wants_is_given_up),
	    cmocka_unit_test(a_store_with_a_stray_stage_opens_on_a_full_disk),
	    cmocka_unit_test(a_failed_write_leaves_the_row_as_it_was),
	    cmocka_unit_test(the_number_of_a_lost_file_is_not_given_again),
	    cmocka_unit_test(a_row_that_cannot_be_staged_holds_up_no_other),
	    cmocka_unit_test(every_file_is_flushed_in_its_time),
	    cmocka_unit_test(a_stage_that_comes_too_late_is_given_up),
	    cmocka_unit_test(a_small_row_does_not_wait_for_a_large_one),
	    cmocka_unit_test(a_row_that_is_renamed_while_it_is_written_survives_a_crash),
	    cmocka_unit_test(rows_that_change_places_while_one_is_written_survive_a_crash),
	    cmocka_unit_test(a_new_row_that_is_renamed_while_it_is_written_costs_no_other),
	    cmocka_unit_test(a_journal_begins_anew_when_its_directory_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
