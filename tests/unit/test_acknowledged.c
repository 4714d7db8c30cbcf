/*
 * What was acknowledged is kept: random work on a few rows, small and large, with a step that fails now and then, or all of them for a
 * while, or a disk that is full for some time; then the process dies, or the machine loses power, and what is there must be what the programs were told.
 *
 * Of each row it is known what it may be. What succeeds leaves one possibility; what fails adds one, whole or begun. After a loss of power
 * it may be anything since the last flush that succeeded. What was not flushed is then gone in part, in any order.
 *
 * SW_SEED is the first seed, SW_SEEDS how many: SW_SEED=1371 SW_SEEDS=1 test_acknowledged.
 */
#include <dirent.h>
#include <fcntl.h>

#include "core/log.h"
#include "core/work.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

#define N_KEYS	   5
#define MAYBE_MAX  64
#define ROW_MAX	   1400000
#define FILES_MAX  256
#define N_STEPS	   40
#define N_SEEDS	   25
#define HEADER	   28
#define T	   sw_view_str("t")

static const char *const keys[N_KEYS] = {"a", "b", "c", "d", "e.json"};

/* The text number n is made of it; 0: none. */
struct version {
	uint64_t text;
	size_t size;
	bool is_begun; /* what is there may be a part of it */
};

struct maybe {
	struct version v[MAYBE_MAX];
	size_t n;
};

struct run {
	struct test_db t;
	struct sw_work *w;
	struct rng rng;
	uint64_t last_text;
	struct maybe killed[N_KEYS], unpowered[N_KEYS];
	uint64_t on_disk;	     /* bytes of the journal */
	uint64_t files_on_disk;	     /* those of large rows with a number up to this one may be */
	uint64_t seed;
	bool is_full;
};

static uint8_t text[ROW_MAX], got[ROW_MAX + 1];

static void make_text(uint64_t number, size_t size)
{
	struct rng r = {number * 7919};

	for (size_t i = 0; i < size; i += 8) {
		uint64_t x = rng_next(&r);

		memcpy(text + i, &x, size - i < 8 ? size - i : 8);
	}
}

static void add(struct maybe *m, struct version v)
{
	assert_true(m->n < MAYBE_MAX);
	m->v[m->n++] = v;
}

static void add_all(struct maybe *m, const struct maybe *more)
{
	for (size_t i = 0; i < more->n; i++)
		add(m, more->v[i]);
}

static void only(struct maybe *m, struct version v)
{
	m->n = 0;
	add(m, v);
}

/* What a program did to a row, and whether it was told that this is done. */
static void note(struct run *r, size_t k, struct version v, bool is_done)
{
	if (is_done)
		only(&r->killed[k], v);
	else
		add(&r->killed[k], v);
	add(&r->unpowered[k], v);
}

static void note_flushed(struct run *r, size_t k)
{
	r->unpowered[k] = r->killed[k];
}

static uint64_t journal_size(struct run *r)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/journal", r->t.dir);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* The numbers of the files of large rows. */
static size_t list_files(struct run *r, uint64_t numbers[static FILES_MAX])
{
	struct dirent *e;
	char path[200];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/journal.large", r->t.dir);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) && n < FILES_MAX)
		if (e->d_name[0] != '.')
			numbers[n++] = strtoull(e->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return n;
}

/* Before each durable step that is about to succeed. */
static void on_step(void *arg, const char *step)
{
	struct run *r = arg;
	uint64_t numbers[FILES_MAX];

	if (strcmp(step, "journal.sync") == 0)
		r->on_disk = journal_size(r);
	else if (strcmp(step, "journal.replace") == 0)
		r->on_disk = UINT64_MAX; /* all of the new one, which is flushed before it gets its name */
	else if (strcmp(step, "journal.append") == 0 && r->on_disk == UINT64_MAX)
		r->on_disk = journal_size(r);
	if (strcmp(step, "spill.sync") != 0)
		return;
	for (size_t i = list_files(r, numbers); i > 0; i--)
		if (numbers[i - 1] > r->files_on_disk)
			r->files_on_disk = numbers[i - 1];
}

/* On a full disk now and then something fits. */
static int fault(void *arg, const char *step)
{
	struct test_env *t = arg;
	struct run *r = t->on_step_arg;
	bool takes_room = strcmp(step, "journal.append") == 0 || strcmp(step, "journal.replace") == 0 || strcmp(step, "store.commit") == 0;

	if (r && r->is_full && takes_room && !t->is_dead && rng_below(&r->rng, 2))
		return sw_fail(SW_ENOSPC, "the disk is full");
	return test_env_fault(arg, step);
}

static size_t any_size(struct run *r)
{
	static const size_t sizes[] = {0, 5, 200, 3000, 70000, 1048576, 1048577, ROW_MAX - 5000};

	return sizes[rng_below(&r->rng, sizeof(sizes) / sizeof(*sizes))];
}

static int write_some(struct run *r, struct sw_handle *h, size_t size)
{
	size_t step = 1 + rng_below(&r->rng, 2) * 400000 + rng_below(&r->rng, 100000);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < size; at += step)
		rc = sw_handle_write(r->w, h, at, false, sw_view(text + at, size - at < step ? size - at : step));
	return rc;
}

/* All of it anew, then close, or before that fsync. */
static void do_write(struct run *r, size_t k)
{
	struct version v = {.text = ++r->last_text, .size = any_size(r)};
	bool flushes = rng_below(&r->rng, 3) == 0;
	struct sw_handle h;
	int rc, flushed = -1;

	make_text(v.text, v.size);
	rc = sw_work_open_row(r->w, T, sw_view_str(keys[k]), SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h);
	if (rc == 0) {
		rc = write_some(r, &h, v.size);
		if (rc == 0 && flushes)
			flushed = sw_handle_sync(r->w, &h);
		if (rc == 0)
			rc = sw_handle_flush(r->w, &h);
		if (rc == 0 && v.size == 0)
			rc = -1; /* an O_TRUNC alone counts when it is released, and nobody hears whether that succeeds */
		sw_handle_release(r->w, &h);
	}
	v.is_begun = rc < 0 && flushed < 0;
	note(r, k, v, rc == 0 || flushed == 0);
	if (flushed == 0)
		note_flushed(r, k);
}

/* A line at the end: of what the row is known to be. */
static void do_append(struct run *r, size_t k)
{
	struct version v = r->killed[k].v[0];
	bool flushes = rng_below(&r->rng, 3) == 0;
	struct sw_handle h;
	int rc;

	if (r->killed[k].n != 1 || v.text == 0 || v.size + 500 > ROW_MAX || v.is_begun)
		return;
	make_text(v.text, v.size + 500);
	rc = sw_work_open_row(r->w, T, sw_view_str(keys[k]), SW_OPEN_WRITE, 0644, &h);
	if (rc < 0)
		return;
	rc = sw_handle_write(r->w, &h, 0, true, sw_view(text + v.size, 500));
	v.size += 500;
	v.is_begun = rc < 0;
	note(r, k, v, rc == 0);
	if (flushes && sw_handle_sync(r->w, &h) == 0 && rc == 0)
		note_flushed(r, k);
	sw_handle_release(r->w, &h);
}

static void do_unlink(struct run *r, size_t k)
{
	int rc = sw_work_unlink(r->w, T, sw_view_str(keys[k]));

	if (rc != SW_ENOTFOUND)
		note(r, k, (struct version){0}, rc == 0);
}

static void do_rename(struct run *r, size_t from, size_t to)
{
	int rc = from == to ? SW_ENOTFOUND : sw_work_rename(r->w, T, sw_view_str(keys[from]), T, sw_view_str(keys[to]), 0);

	if (rc == SW_ENOTFOUND)
		return;
	if (rc == 0)
		r->killed[to].n = 0;
	add_all(&r->killed[to], &r->killed[from]);
	add_all(&r->unpowered[to], &r->killed[from]);
	note(r, from, (struct version){0}, rc == 0);
}

static void do_sync(struct run *r)
{
	if (sw_work_sync(r->w) < 0)
		return;
	for (size_t k = 0; k < N_KEYS; k++)
		note_flushed(r, k);
}

static void do_pass(struct run *r)
{
	r->t.env.now_ms += 50 + rng_below(&r->rng, 3000);
	if (sw_work_run(r->w) < 0) {
		/* It is tried again. */
	}
}

/* One step of the next few fails, or all do until the next thing is done. */
static void maybe_fail(struct run *r)
{
	r->t.env.is_dead = r->t.env.dies = false;
	r->t.env.fail_in = rng_below(&r->rng, 3) ? 0 : 1 + (int)rng_below(&r->rng, 8);
	r->t.env.fail_rc = rng_below(&r->rng, 2) ? SW_EIO : SW_ENOSPC;
	r->t.env.dies = rng_below(&r->rng, 4) == 0;
}

static void do_something(struct run *r)
{
	size_t k = rng_below(&r->rng, N_KEYS);

	maybe_fail(r);
	r->is_full ^= rng_below(&r->rng, 6) == 0;
	switch (rng_below(&r->rng, 10)) {
	case 0:
	case 1:
	case 2:
		do_write(r, k);
		break;
	case 3:
	case 4:
		do_append(r, k);
		break;
	case 5:
		do_unlink(r, k);
		break;
	case 6:
	case 7:
		do_rename(r, k, rng_below(&r->rng, N_KEYS));
		break;
	case 8:
		do_sync(r);
		break;
	default:
		do_pass(r);
	}
}

static bool is_version(const struct version *v, size_t n)
{
	if (v->text == 0 || n > v->size || (n < v->size && !v->is_begun))
		return false;
	make_text(v->text, v->size);
	return n == 0 || memcmp(text, got, n) == 0;
}

static void check_row(struct run *r, size_t k, const struct maybe *m, const char *after)
{
	struct sw_handle h;
	int rc = sw_work_open_row(r->w, T, sw_view_str(keys[k]), 0, 0, &h);
	bool is_one = false;
	size_t n = 0;

	if (rc == 0) {
		n = test_read(r->w, &h, 0, got, sizeof(got));
		sw_handle_release(r->w, &h);
	}
	for (size_t i = 0; i < m->n && !is_one; i++)
		is_one = rc == SW_ENOTFOUND ? m->v[i].text == 0 || m->v[i].is_begun : rc == 0 && is_version(&m->v[i], n);
	if (!is_one)
		print_error("seed %llu: after %s row %s is none of %zu versions (%d, %zu bytes)\n", (unsigned long long)r->seed, after,
			    keys[k], m->n, rc, n);
	assert_true(is_one);
}

static void zero(const char *path, uint64_t from, uint64_t to, struct rng *rng)
{
	static const uint8_t zeros[50000];
	uint64_t at = from + rng_next(rng) % (to - from), n = 1 + rng_next(rng) % sizeof(zeros);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	n = n < to - at ? n : to - at;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeros, n, (off_t)at), n);
	close(fd);
}

/* Of what nobody has flushed, parts are not there. */
static void lose_power(struct run *r)
{
	uint64_t size = journal_size(r), numbers[FILES_MAX];
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/journal", r->t.dir);
	if (size > r->on_disk && rng_below(&r->rng, 3))
		zero(path, r->on_disk, size, &r->rng);
	if (size > r->on_disk && rng_below(&r->rng, 2))
		assert_int_equal(truncate(path, (off_t)(r->on_disk + rng_next(&r->rng) % (size - r->on_disk + 1))), 0);
	for (size_t i = list_files(r, numbers); i > 0; i--) {
		snprintf(path, sizeof(path), "%s/journal.large/%llu", r->t.dir, (unsigned long long)numbers[i - 1]);
		assert_int_equal(stat(path, &st), 0);
		if (numbers[i - 1] > r->files_on_disk && st.st_size > 0 && rng_below(&r->rng, 2))
			zero(path, 0, (uint64_t)st.st_size, &r->rng);
	}
}

static void no_log(enum sw_log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* What was kept of a damaged journal. */
static void remove_aside(struct run *r)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/journal.damaged-1", r->t.dir);
	unlink(path);
	for (int i = 1; i < FILES_MAX; i++) {
		snprintf(path, sizeof(path), "%s/journal.damaged-1.large/%d", r->t.dir, i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/journal.damaged-1.large", r->t.dir);
	rmdir(path);
}

/* Dies, or loses power, and is opened again. */
static void end_process(struct run *r, bool by_power)
{
	r->t.env.on_step = NULL;
	r->is_full = false;
	r->t.env.fail_in = 0;
	r->t.env.fail_rc = SW_EIO;
	r->t.env.is_dead = true;
	sw_work_close(r->w);
	sw_db_close(r->t.db);
	if (by_power)
		lose_power(r);
	r->t.env.is_dead = r->t.env.dies = false;
	TEST_OK(sw_db_open(r->t.dir, &r->t.env.env, &r->t.db));
	TEST_OK(sw_work_open(r->t.db, NULL, &r->w));
}

static void check_seed(uint64_t seed)
{
	struct run r = {.rng = {seed}, .seed = seed, .on_disk = HEADER};
	bool by_power = seed % 2;

	test_db_create(&r.t, seed);
	TEST_OK(sw_work_open(r.t.db, NULL, &r.w));
	TEST_OK(sw_work_mkdir(r.w, T, 0755));
	r.t.env.now_ms += 5000;
	TEST_OK(sw_work_run(r.w));
	TEST_OK(sw_work_sync(r.w));
	r.on_disk = journal_size(&r);
	r.t.env.on_step = on_step;
	r.t.env.on_step_arg = &r;
	r.t.env.env.fault = fault;
	for (size_t k = 0; k < N_KEYS; k++) {
		only(&r.killed[k], (struct version){0});
		note_flushed(&r, k);
	}
	for (size_t i = 1 + rng_below(&r.rng, N_STEPS); i > 0; i--)
		do_something(&r);
	end_process(&r, by_power);
	for (size_t k = 0; k < N_KEYS; k++)
		check_row(&r, k, by_power ? &r.unpowered[k] : &r.killed[k], by_power ? "a loss of power" : "a kill");
	/* And when it is committed. */
	r.t.env.now_ms += 5000;
	TEST_OK(sw_work_run(r.w));
	for (size_t k = 0; k < N_KEYS; k++)
		check_row(&r, k, by_power ? &r.unpowered[k] : &r.killed[k], "the commit");
	sw_work_close(r.w);
	test_verify(&r.t);
	remove_aside(&r);
	test_db_close(&r.t);
	assert_int_not_equal(access(r.t.dir, F_OK), 0); /* nothing else was left */
}

static void what_was_acknowledged_is_kept(void **state)
{
	const char *seeds = getenv("SW_SEEDS"), *first = getenv("SW_SEED");
	uint64_t from = first ? strtoull(first, NULL, 10) : 1, n = seeds ? strtoull(seeds, NULL, 10) : N_SEEDS;

	(void)state;
	sw_log_set_sink(no_log);
	for (uint64_t seed = from; seed < from + n; seed++)
		check_seed(seed);
	sw_log_set_sink(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_acknowledged_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
