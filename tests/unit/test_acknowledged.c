/*
 * What was acknowledged is kept: random work on a few rows, small and large, and on the tables that they are in, with a step that fails
 * now and then, or all of them for a while, or a disk that is full for some time; then the process dies, or the machine loses power, or all
 * is well, and what is there must be what the programs were told.
 *
 * Of each row it is known what it may be. What succeeds leaves one possibility; a write that fails adds one, whole or begun; anything
 * else that fails has not happened. After a loss of power it may be anything since the last flush that succeeded. What was not
 * flushed is then gone in part, in any order.
 *
 * What editors call their own, as `a~`, is lost with the process, unless it was a row before: then it is there, or at its old name.
 * A row that a program is in the middle of writing is what it was before.
 *
 * SW_SEED is the first seed, SW_SEEDS how many: SW_SEED=1371 SW_SEEDS=1 test_acknowledged.
 */
#include <dirent.h>
#include <fcntl.h>

#include "core/log.h"
#include "core/work.h"
#include "tests/lib/dbs.h"
#include "tests/lib/read.h"

#define N_TABLES   3
#define N_KEYS	   5
#define N_ROWS	   ((size_t)N_TABLES * N_KEYS)
#define NOWHERE	   N_ROWS
#define MAYBE_MAX  256
#define ROW_MAX	   1400000
#define FILES_MAX  256
#define N_STEPS	   40
#define N_SEEDS	   25
#define HEADER	   28

static const char *const tables[N_TABLES] = {"t", "u", "v"};
static const char *keys[N_KEYS] = {"a", "b", "a~", "b~", "e.json"};

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

/* A row was renamed to a name of editors: it is there, or at one of the names that it had before. */
struct aside {
	bool of[N_ROWS]; /* itself, too; false: there is none */
	struct maybe is;
};

/* Whether a table is there. */
struct exists {
	bool maybe_not, maybe;
};

struct run {
	struct test_db t;
	struct sw_work *w;
	struct rng rng;
	uint64_t last_text;
	size_t n_tables; /* that this run is about */
	bool is_there[N_TABLES];
	struct exists killed_tables[N_TABLES], unpowered_tables[N_TABLES];
	struct maybe now[N_ROWS], killed[N_ROWS], unpowered[N_ROWS];
	struct aside asides[N_ROWS]; /* by where it is */
	struct sw_handle held;	     /* a program has begun to write that row */
	size_t held_at;		     /* NOWHERE: it is gone, or there is none */
	bool crosses;		     /* other things are done while a commit is written: only small ones, which do not look into the database */
	bool is_passing;
	uint64_t on_disk;	     /* bytes of the journal */
	uint64_t files_on_disk;	     /* those of large rows with a number up to this one may be */
	uint64_t seed;
	bool is_full;
};

static uint8_t text[ROW_MAX], got[ROW_MAX + 1];

static struct sw_view table_of(size_t k)
{
	return sw_view_str(tables[k / N_KEYS]);
}

static struct sw_view key_of(size_t k)
{
	return sw_view_str(keys[k % N_KEYS]);
}

/* It may be an editor's own. */
static bool is_backup(size_t k)
{
	struct sw_view key = key_of(k);

	return key.p[key.n - 1] == '~';
}

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
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].text == v.text && m->v[i].size == v.size && m->v[i].is_begun == v.is_begun)
			return;
	assert_true(m->n < MAYBE_MAX);
	m->v[m->n++] = v;
}

static void add_all(struct maybe *m, const struct maybe *more)
{
	for (size_t i = 0; i < more->n; i++)
		add(m, more->v[i]);
}

static const struct maybe nothing = {.v = {{0}}, .n = 1};

static bool may_be_there(const struct maybe *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].text > 0)
			return true;
	return false;
}

/* What stands at a name now. is_kept: the journal knows. */
static void becomes(struct run *r, size_t k, const struct maybe *what, bool is_kept)
{
	r->now[k] = *what;
	if (is_kept)
		r->killed[k].n = 0;
	add_all(&r->killed[k], what);
	add_all(&r->unpowered[k], what);
}

static void is_gone(struct run *r, size_t k)
{
	becomes(r, k, &nothing, true);
}

static bool is_aside(const struct run *r, size_t k)
{
	return r->asides[k].of[k];
}

/* The name means something else from now on: what was put aside is an editor's own. */
static void forget_asides(struct run *r, size_t k)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (r->asides[i].of[k])
			r->asides[i] = (struct aside){0};
}

/* Whatever becomes of what was put aside here: where it was before, there is nothing. */
static void forsake(struct run *r, size_t k)
{
	struct aside a = r->asides[k];

	for (size_t i = 0; i < N_ROWS; i++)
		if (a.of[i] && i != k)
			is_gone(r, i);
	r->asides[k] = (struct aside){0};
}

/* A program that is writing what stood at a name goes on with it where it is now; it was the last to know what stood at the other. */
static void follow(struct run *r, size_t from, size_t to)
{
	if (r->held_at == from)
		r->held_at = to;
	else if (r->held_at == to)
		r->held_at = NOWHERE;
}

/* What a program wrote to a row, and whether it was told that this is done. */
static void note(struct run *r, size_t k, struct version v, bool is_done)
{
	struct maybe m = {.v = {v}, .n = 1};

	if (!is_done)
		add_all(&m, &r->now[k]);
	becomes(r, k, &m, is_done && !is_backup(k));
	forget_asides(r, k);
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
static void note_step(struct run *r, const char *step)
{
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
	static const size_t sizes[] = {0, 5, 200, 400, 3000, 3000, 70000, 1048576, 1048577, ROW_MAX - 5000};

	return sizes[rng_below(&r->rng, r->crosses ? 4 : sizeof(sizes) / sizeof(*sizes))];
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
static void write_row(struct run *r, size_t k, size_t size, bool flushes)
{
	struct version v = {.text = ++r->last_text, .size = size};
	struct sw_handle h;
	int rc, flushed = -1;

	make_text(v.text, v.size);
	rc = sw_work_open_row(r->w, table_of(k), key_of(k), SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h);
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
	if (flushed == 0 && !is_backup(k))
		note_flushed(r, k);
}

static void do_write(struct run *r, size_t k)
{
	size_t size = any_size(r);

	write_row(r, k, size, rng_below(&r->rng, 3) == 0);
}

/* A line at the end: of what the row is known to be. */
static void do_append(struct run *r, size_t k)
{
	struct version v = r->now[k].v[0];
	bool flushes = rng_below(&r->rng, 3) == 0;
	struct sw_handle h;
	int rc;

	if (r->held_at == k || r->now[k].n != 1 || v.text == 0 || v.size + 500 > (r->crosses ? 1000 : ROW_MAX) || v.is_begun)
		return;
	make_text(v.text, v.size + 500);
	rc = sw_work_open_row(r->w, table_of(k), key_of(k), SW_OPEN_WRITE, 0644, &h);
	if (rc < 0)
		return;
	rc = sw_handle_write(r->w, &h, 0, true, sw_view(text + v.size, 500));
	v.size += 500;
	v.is_begun = rc < 0;
	note(r, k, v, rc == 0);
	if (flushes && sw_handle_sync(r->w, &h) == 0 && rc == 0 && !is_backup(k))
		note_flushed(r, k);
	sw_handle_release(r->w, &h);
}

static void do_unlink(struct run *r, size_t k)
{
	if (sw_work_unlink(r->w, table_of(k), key_of(k)) < 0)
		return;
	follow(r, k, NOWHERE);
	forsake(r, k);
	is_gone(r, k);
}

/* It is a backup from now on, or what was one has another name. */
static void put_aside(struct run *r, size_t from, size_t to)
{
	struct aside a = r->asides[from];
	bool is_row = is_aside(r, from) || !is_backup(from);
	struct maybe is = r->now[from];

	follow(r, from, to);
	forsake(r, to);
	forget_asides(r, to);
	forget_asides(r, from);
	becomes(r, to, &is, false);
	becomes(r, from, &nothing, false);
	if (!is_row)
		return;
	a.of[from] = a.of[to] = true;
	a.is = is;
	r->asides[to] = a;
}

static void move(struct run *r, size_t from, size_t to)
{
	struct maybe is = r->now[from];

	follow(r, from, to);
	forsake(r, from);
	forget_asides(r, to);
	becomes(r, to, &is, true);
	is_gone(r, from);
}

static void do_rename(struct run *r, size_t from, size_t to)
{
	if (from == to || sw_work_rename(r->w, table_of(from), key_of(from), table_of(to), key_of(to), 0) < 0)
		return;
	if (is_backup(to))
		put_aside(r, from, to);
	else
		move(r, from, to);
}

/* is_row: whether it is known that these are no editor's own. */
static void exchange(struct run *r, size_t a, size_t b, bool is_row)
{
	struct maybe of_a = r->now[a], of_b = r->now[b];

	if (r->held_at == b)
		r->held_at = a;
	else
		follow(r, a, b);
	if (is_row) {
		forsake(r, a);
		forsake(r, b);
	}
	if (may_be_there(&of_b))
		forget_asides(r, a);
	if (may_be_there(&of_a))
		forget_asides(r, b);
	becomes(r, a, &of_b, is_row);
	becomes(r, b, &of_a, is_row);
}

static void do_exchange(struct run *r, size_t a, size_t b)
{
	bool is_row = !is_backup(a) || !is_backup(b) || is_aside(r, a) || is_aside(r, b);

	if (a == b || sw_work_rename(r->w, table_of(a), key_of(a), table_of(b), key_of(b), SW_RENAME_EXCHANGE) < 0)
		return;
	exchange(r, a, b, is_row);
}

static void set_table(struct run *r, size_t table, bool is_there)
{
	r->is_there[table] = is_there;
	r->killed_tables[table] = (struct exists){.maybe = is_there, .maybe_not = !is_there};
	r->unpowered_tables[table].maybe |= is_there;
	r->unpowered_tables[table].maybe_not |= !is_there;
}

static void do_mkdir(struct run *r, size_t table)
{
	if (sw_work_mkdir(r->w, sw_view_str(tables[table]), 0755) == 0)
		set_table(r, table, true);
}

/* What was put aside from it, and is elsewhere, is a row there. */
static void leave_table(struct run *r, size_t table)
{
	for (size_t from = table * N_KEYS; from < (table + 1) * N_KEYS; from++)
		for (size_t k = 0; k < N_ROWS; k++)
			if (r->asides[k].of[from] && k != from) {
				struct maybe is = r->now[k];

				forsake(r, k);
				becomes(r, k, &is, true);
			}
}

static void do_rmdir(struct run *r, size_t table)
{
	if (sw_work_rmdir(r->w, sw_view_str(tables[table])) < 0)
		return;
	leave_table(r, table);
	set_table(r, table, false);
	for (size_t k = table * N_KEYS; k < (table + 1) * N_KEYS; k++)
		is_gone(r, k);
}

static void do_rename_table(struct run *r, size_t from, size_t to)
{
	if (from == to || sw_work_rename_table(r->w, sw_view_str(tables[from]), sw_view_str(tables[to])) < 0)
		return;
	leave_table(r, from);
	for (size_t k = 0; k < N_KEYS; k++) {
		size_t a = from * N_KEYS + k, b = to * N_KEYS + k;
		struct maybe is = r->now[a];

		if (!may_be_there(&is))
			continue;
		if (!is_backup(a) || is_aside(r, a)) {
			move(r, a, b);
			continue;
		}
		follow(r, a, b);
		forget_asides(r, b);
		becomes(r, b, &is, false);
		is_gone(r, a);
	}
	set_table(r, from, false);
	set_table(r, to, true);
}

static void do_exchange_tables(struct run *r, size_t a, size_t b)
{
	if (a == b || sw_work_exchange_tables(r->w, sw_view_str(tables[a]), sw_view_str(tables[b])) < 0)
		return;
	for (size_t k = 0; k < N_KEYS; k++) {
		size_t x = a * N_KEYS + k, y = b * N_KEYS + k;

		exchange(r, x, y, !is_backup(x) || is_aside(r, x) || is_aside(r, y));
	}
}

static void do_sync(struct run *r)
{
	if (sw_work_sync(r->w) < 0)
		return;
	for (size_t k = 0; k < N_ROWS; k++)
		note_flushed(r, k);
	memcpy(r->unpowered_tables, r->killed_tables, sizeof(r->killed_tables));
}

static void do_pass(struct run *r)
{
	bool all = rng_below(&r->rng, 3) == 0;
	struct sw_hash id;

	r->t.env.now_ms += 50 + rng_below(&r->rng, 3000);
	r->is_passing = true;
	if ((all ? sw_work_commit(r->w, sw_view(NULL, 0), &id) : sw_work_run(r->w)) < 0) {
		/* It is tried again. */
	}
	r->is_passing = false;
}

/* Something over the beginning of a row, which stays open. */
static void do_begin(struct run *r, size_t k)
{
	const struct version *v = &r->now[k].v[0];

	if (r->held.file || r->now[k].n != 1 || v->text == 0 || v->is_begun || v->size == 0)
		return;
	if (sw_work_open_row(r->w, table_of(k), key_of(k), SW_OPEN_WRITE, 0644, &r->held) < 0)
		return;
	make_text(++r->last_text, v->size);
	if (sw_handle_write(r->w, &r->held, 0, false, sw_view(text, 1 + v->size / 2)) < 0)
		sw_handle_release(r->w, &r->held);
	else
		r->held_at = k;
}

/* All of it, and close; without trouble. */
static void do_end(struct run *r)
{
	struct version v = {.text = ++r->last_text, .size = any_size(r)};
	bool is_full = r->is_full;

	if (!r->held.file)
		return;
	r->t.env.fail_in = 0;
	r->is_full = false;
	make_text(v.text, v.size);
	TEST_OK(write_some(r, &r->held, v.size));
	TEST_OK(sw_handle_truncate(r->w, &r->held, v.size));
	TEST_OK(sw_handle_flush(r->w, &r->held));
	sw_handle_release(r->w, &r->held);
	r->is_full = is_full;
	if (r->held_at != NOWHERE)
		note(r, r->held_at, v, true);
	r->held_at = NOWHERE;
}

/* One step of the next few fails, or all do until the next thing is done. */
static void maybe_fail(struct run *r)
{
	r->t.env.is_dead = r->t.env.dies = false;
	r->t.env.fail_in = rng_below(&r->rng, 3) ? 0 : 1 + (int)rng_below(&r->rng, 8);
	r->t.env.fail_rc = rng_below(&r->rng, 2) ? SW_EIO : SW_ENOSPC;
	r->t.env.dies = rng_below(&r->rng, 4) == 0;
}

static void do_something_with_tables(struct run *r)
{
	size_t a = rng_below(&r->rng, r->n_tables), b = rng_below(&r->rng, r->n_tables);

	switch (rng_below(&r->rng, 6)) {
	case 0:
		do_mkdir(r, a);
		break;
	case 1:
		do_rmdir(r, a);
		break;
	case 2:
	case 3:
	case 4:
		do_rename_table(r, a, b);
		break;
	default:
		do_exchange_tables(r, a, b);
	}
}

/* In a table that is there, if there is one. */
static size_t any_row(struct run *r)
{
	size_t k = 0;

	for (int i = 0; i < 10; i++) {
		k = rng_below(&r->rng, r->n_tables * N_KEYS);
		if (r->is_there[k / N_KEYS])
			break;
	}
	return k;
}

/* While a commit is being written. What would wait for it is left out. */
static void do_something_meanwhile(struct run *r)
{
	int fail_in = r->t.env.fail_in;
	size_t k = any_row(r);

	r->t.env.fail_in = 0;
	switch (rng_below(&r->rng, 6)) {
	case 0:
		do_unlink(r, k);
		break;
	case 1:
	case 2:
		do_rename(r, k, any_row(r));
		break;
	case 3:
		do_exchange(r, k, any_row(r));
		break;
	case 4:
		if (r->is_there[k / N_KEYS])
			write_row(r, k, any_size(r), false);
		break;
	default:
		do_something_with_tables(r);
	}
	r->t.env.fail_in = fail_in;
}

static void on_step(void *arg, const char *step)
{
	struct run *r = arg;

	note_step(r, step);
	if (strcmp(step, "store.commit") != 0 || !r->crosses || !r->is_passing || r->is_full)
		return;
	r->is_passing = false;
	for (size_t i = rng_below(&r->rng, 4); i > 0; i--)
		do_something_meanwhile(r);
	r->is_passing = true;
}

static void do_something(struct run *r)
{
	size_t k = any_row(r);

	maybe_fail(r);
	r->is_full ^= rng_below(&r->rng, 6) == 0;
	switch (rng_below(&r->rng, r->n_tables > 1 ? 17 : 13)) {
	case 0:
	case 1:
	case 2:
		if (r->is_there[k / N_KEYS])
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
		do_rename(r, k, any_row(r));
		break;
	case 8:
		do_sync(r);
		break;
	case 9:
		do_exchange(r, k, any_row(r));
		break;
	case 10:
	case 11:
		do_pass(r);
		break;
	case 12:
		if (rng_below(&r->rng, 2))
			do_begin(r, k);
		else
			do_end(r);
		break;
	default:
		do_something_with_tables(r);
	}
}

static bool is_version(const struct version *v, size_t n)
{
	if (v->text == 0 || n > v->size || (n < v->size && !v->is_begun))
		return false;
	make_text(v->text, v->size);
	return n == 0 || memcmp(text, got, n) == 0;
}

/* SW_ENOTFOUND also of what is in no table. */
static int read_row(struct run *r, size_t k, size_t *n)
{
	struct sw_handle h;
	struct sw_attr attr;
	int rc = sw_work_stat_table(r->w, table_of(k), &attr);

	*n = 0;
	if (rc == 0)
		rc = sw_work_open_row(r->w, table_of(k), key_of(k), 0, 0, &h);
	if (rc == 0) {
		*n = test_read(r->w, &h, 0, got, sizeof(got));
		sw_handle_release(r->w, &h);
	}
	return rc;
}

static bool is_one_of(struct run *r, size_t k, const struct maybe *m)
{
	size_t n;
	int rc = read_row(r, k, &n);

	for (size_t i = 0; i < m->n; i++)
		if (rc == SW_ENOTFOUND ? m->v[i].text == 0 || m->v[i].is_begun : rc == 0 && is_version(&m->v[i], n))
			return true;
	return false;
}

static void check(struct run *r, bool is_right, const char *after, const char *table, const char *key)
{
	if (!is_right)
		print_error("seed %llu: after %s %s/%s is not what it may be\n", (unsigned long long)r->seed, after, table, key);
	assert_true(is_right);
}

static void check_row(struct run *r, size_t k, const struct maybe *m, const char *after)
{
	check(r, is_one_of(r, k, m), after, tables[k / N_KEYS], keys[k % N_KEYS]);
}

static void check_table(struct run *r, size_t i, struct exists e, const char *after)
{
	struct sw_attr attr;
	int rc = sw_work_stat_table(r->w, sw_view_str(tables[i]), &attr);

	check(r, rc == 0 ? e.maybe : rc == SW_ENOTFOUND && e.maybe_not, after, tables[i], "");
}

static void check_aside(struct run *r, size_t k, const char *after)
{
	bool is_somewhere = false;

	for (size_t i = 0; i < N_ROWS; i++)
		is_somewhere = is_somewhere || (r->asides[k].of[i] && is_one_of(r, i, &r->asides[k].is));
	check(r, is_somewhere, after, tables[k / N_KEYS], keys[k % N_KEYS]);
}

static void check_all(struct run *r, bool by_power, const char *after)
{
	for (size_t i = 0; i < N_TABLES; i++)
		check_table(r, i, by_power ? r->unpowered_tables[i] : r->killed_tables[i], after);
	for (size_t k = 0; k < N_ROWS; k++)
		check_row(r, k, by_power ? &r->unpowered[k] : &r->killed[k], after);
	for (size_t k = 0; k < N_ROWS && !by_power; k++)
		if (is_aside(r, k))
			check_aside(r, k, after);
}

/* What programs see is what they did. */
static void check_now(struct run *r)
{
	size_t k = rng_below(&r->rng, r->n_tables * N_KEYS), i = k / N_KEYS;

	r->t.env.fail_in = 0;
	check_table(r, i, (struct exists){.maybe = r->is_there[i], .maybe_not = !r->is_there[i]}, "a step");
	if (r->held_at != k)
		check_row(r, k, &r->now[k], "a step");
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

enum end { KILL, POWER, CLOSE };

/* Dies, or loses power, or ends, and is opened again. */
static void end_process(struct run *r, enum end how)
{
	r->t.env.is_dead = r->t.env.dies = r->is_full = false;
	r->t.env.fail_in = 0;
	r->t.env.fail_rc = SW_EIO;
	if (how == CLOSE)
		do_end(r);
	r->t.env.on_step = NULL;
	r->t.env.is_dead = how != CLOSE;
	if (r->held.file)
		sw_handle_release(r->w, &r->held);
	sw_work_close(r->w);
	sw_db_close(r->t.db);
	if (how == POWER)
		lose_power(r);
	r->t.env.is_dead = false;
	TEST_OK(sw_db_open(r->t.dir, &r->t.env.env, &r->t.db));
	TEST_OK(sw_work_open(r->t.db, NULL, &r->w));
}

static void begin_run(struct run *r)
{
	test_db_create_with(&r->t, r->seed, rng_below(&r->rng, 4) ? SW_CONFLICT_MERGE : SW_CONFLICT_DROP);
	TEST_OK(sw_work_open(r->t.db, NULL, &r->w));
	TEST_OK(sw_work_mkdir(r->w, sw_view_str(tables[0]), 0755));
	r->t.env.now_ms += 5000;
	TEST_OK(sw_work_run(r->w));
	TEST_OK(sw_work_sync(r->w));
	r->on_disk = journal_size(r);
	r->t.env.on_step = on_step;
	r->t.env.on_step_arg = r;
	r->t.env.env.fault = fault;
	for (size_t k = 0; k < N_ROWS; k++)
		r->now[k] = r->killed[k] = r->unpowered[k] = nothing;
	for (size_t i = 0; i < N_TABLES; i++) {
		set_table(r, i, i == 0);
		r->unpowered_tables[i] = r->killed_tables[i];
	}
	r->n_tables = rng_below(&r->rng, 3) ? N_TABLES : 1;
	r->crosses = rng_below(&r->rng, 3) == 0;
	keys[N_KEYS - 1] = r->crosses ? "e" : "e.json";
}

static void check_seed(uint64_t seed)
{
	static const char *const ends[] = {"a kill", "a loss of power", "the end"};
	static struct run r;
	enum end how = seed % 5 == 4 ? CLOSE : seed % 2 ? POWER : KILL;
	struct sw_work_status status;

	r = (struct run){.rng = {seed}, .seed = seed, .held_at = NOWHERE};
	begin_run(&r);
	for (size_t i = 1 + rng_below(&r.rng, N_STEPS); i > 0; i--) {
		do_something(&r);
		check_now(&r);
	}
	end_process(&r, how);
	check_all(&r, how == POWER, ends[how]);
	/* And when it is committed. */
	r.t.env.now_ms += 50000;
	TEST_OK(sw_work_run(r.w));
	check_all(&r, how == POWER, "the commit");
	sw_work_status(r.w, &status);
	assert_int_equal(status.n_edits, 0);
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
