/*
 * Large rows under edit: each is in a file of its own, so that memory does not hold it, and is written into the store in steps
 * before the commit that refers to it, so that no transaction does. Meanwhile writers of that row wait; nobody else does.
 *
 * A record of the journal names such a file, and what it names stays as it is: who was told that a row is safe has it, whatever
 * becomes of what is written next. So a change goes into another file, and the first one goes when a newer record is on the disk.
 *
 * The first edit after a commit copies the row, and that of a smaller one is journalled whole. Measured with a line of 100 bytes
 * appended between commits: 0.95 MB of journal to a row of 1 MiB, 10.5 MB of file to one of 10 MiB, for 9 and 25 % of the time that
 * the line takes until it is committed, for that cuts the whole row anew; most of it is gone before it would reach the disk. A record
 * that builds on the version that is committed would save that, but needs it to be there after a crash, when nothing pins it: a
 * merge or gc may have freed it by then, and what was acknowledged would be lost.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/work_internal.h"

static int new_spill(struct sw_work *w, struct sw_spill **out)
{
	return sw_spill_new(w->spill_dir, ++w->last_spill, w->env, out);
}

int sw_file_make_large(struct sw_work *w, struct sw_file *f)
{
	struct sw_spill *spill = NULL;
	int rc;

	if (f->spill)
		return 0;
	rc = new_spill(w, &spill);
	if (rc == 0 && f->bytes.n > 0)
		rc = sw_spill_write(spill, 0, sw_buf_view(&f->bytes));
	if (rc < 0) {
		sw_spill_unref(spill);
		return rc;
	}
	sw_buf_fini(&f->bytes);
	f->spill = spill;
	f->in_memory = true;
	w->n_spills++;
	return 0;
}

/* A new one with the first n bytes of what there is to read. */
static int copy_spill(struct sw_work *w, sw_read_fn read, void *arg, uint64_t n, struct sw_spill **out)
{
	size_t size = (size_t)256 << 10, got = 1;
	uint8_t *block = malloc(size);
	struct sw_spill *to = NULL;
	int rc = block ? new_spill(w, &to) : SW_ENOMEM;

	for (uint64_t at = 0; rc == 0 && got > 0 && at < n; at += got) {
		rc = read(arg, at, block, n - at < size ? (size_t)(n - at) : size, &got);
		if (rc == 0 && got > 0)
			rc = sw_spill_write(to, at, sw_view(block, got));
	}
	free(block);
	if (rc < 0)
		sw_spill_unref(to);
	else
		*out = to;
	return rc;
}

struct blob {
	struct sw_reader r;
	const struct sw_row *row;
};

static int read_blob(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	const struct blob *b = arg;

	return sw_blob_read(b->r.nodes, &b->row->blob, offset, out, n, got);
}

int sw_file_spill_row(struct sw_work *w, struct sw_file *f)
{
	struct blob b = {.row = &f->row};
	int rc = sw_reader_begin(w->db, &b.r);

	if (rc < 0)
		return rc;
	rc = copy_spill(w, read_blob, &b, f->row.size, &f->spill);
	sw_reader_end(&b.r);
	w->n_spills += rc == 0;
	return rc;
}

static int read_spill(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	return sw_spill_read(arg, offset, out, n, got);
}

/* Of checks: what was written, and what can be read. */
static int compare(uint64_t written, uint64_t read)
{
	if (read == written)
		return 0;
	return sw_fail(SW_EIO, "a large row could not be brought to the disk, and what was written is lost; write it again");
}

/* A new one with the first n bytes of another. */
static int copy_of(struct sw_work *w, struct sw_spill *s, uint64_t n, struct sw_spill **out)
{
	struct sw_spill *copy;
	uint64_t written, read;
	int rc = copy_spill(w, read_spill, s, n, &copy);

	if (rc < 0)
		return rc;
	rc = sw_spill_check(s, n, &written);
	if (rc == 0)
		rc = sw_spill_check(copy, n, &read);
	if (rc == 0)
		rc = compare(written, read);
	if (rc < 0)
		sw_spill_unref(copy);
	else
		*out = copy;
	return rc;
}

/* The first n bytes of it. */
static int read_small(struct sw_spill *s, uint64_t n, struct sw_buf *out)
{
	struct sw_spill_sum sum = {0};
	uint64_t written, read;
	size_t got = 0;
	int rc;

	if (n > 0 && !sw_buf_reserve(out, (size_t)n))
		return SW_ENOMEM;
	rc = n > 0 ? sw_spill_read(s, 0, out->p, (size_t)n, &got) : 0;
	if (rc < 0)
		return rc;
	out->n = got;
	sw_spill_sum_add(&sum, sw_buf_view(out));
	rc = sw_spill_sum_end(&sum, &read);
	if (rc == 0)
		rc = sw_spill_check(s, n, &written);
	return rc < 0 ? rc : compare(written, read);
}

int sw_file_make_small(struct sw_work *w, struct sw_file *f, uint64_t n)
{
	struct sw_buf bytes = {0};
	int rc;

	assert(n <= sw_spill_size(f->spill));
	rc = read_small(f->spill, n, &bytes);
	if (rc < 0) {
		sw_buf_fini(&bytes);
		return rc;
	}
	sw_buf_fini(&f->bytes);
	f->bytes = bytes;
	sw_file_drop_spill(w, f);
	return 0;
}

int sw_file_unfix(struct sw_work *w, struct sw_file *f, uint64_t from, uint64_t n)
{
	struct sw_spill *spill;
	int rc;

	if (from >= sw_spill_fixed(f->spill))
		return 0;
	rc = copy_of(w, f->spill, n, &spill);
	if (rc < 0)
		return rc;
	sw_spill_unref(f->spill);
	f->spill = spill;
	return 0;
}

/* One that is given up is kept for the next process if the journal may name it. */
static void drop(const struct sw_work *w, struct sw_spill *s, void (*give_up)(struct sw_spill *s))
{
	if (s && w->keeps_spills)
		sw_spill_keep(s);
	give_up(s);
}

static void replace(struct sw_work *w, struct sw_spill *s)
{
	if (!s)
		return;
	if (w->n_replaced == w->cap_replaced) {
		size_t cap = w->cap_replaced ? w->cap_replaced * 2 : 8;
		struct sw_spill **v = realloc(w->replaced, cap * sizeof(struct sw_spill *));

		/* Then the file stays until the store is opened again. */
		if (!v)
			return;
		w->replaced = v;
		w->cap_replaced = cap;
	}
	w->replaced[w->n_replaced++] = s;
}

void sw_name_record_spill(struct sw_work *w, struct sw_name *n, struct sw_spill *now)
{
	if (now && now == n->recorded) {
		sw_spill_fix_more(now);
		return;
	}
	replace(w, n->recorded);
	n->recorded = now ? sw_spill_fix(now) : NULL;
}

void sw_spill_unfix(struct sw_work *w, struct sw_spill *s)
{
	drop(w, s, sw_spill_free);
}

void sw_name_free_spill(struct sw_work *w, struct sw_name *n)
{
	sw_spill_unfix(w, SW_TAKE(n->recorded));
}

void sw_work_free_replaced(struct sw_work *w)
{
	for (size_t i = 0; i < w->n_replaced; i++)
		drop(w, w->replaced[i], sw_spill_free);
	w->n_replaced = 0;
}

void sw_work_discard(struct sw_work *w, struct sw_stage *stage)
{
	if (!stage)
		return;
	if (w->n_stale == w->cap_stale) {
		size_t cap = w->cap_stale ? w->cap_stale * 2 : 8;
		struct sw_stage **v = realloc(w->stale, cap * sizeof(struct sw_stage *));

		/* Then the store gives up what it holds when it is opened again. */
		if (!v)
			return;
		w->stale = v;
		w->cap_stale = cap;
	}
	w->stale[w->n_stale++] = stage;
}

void sw_file_unstage(struct sw_work *w, struct sw_file *f)
{
	sw_work_discard(w, SW_TAKE(f->stage));
}

void sw_work_free_stale(struct sw_work *w)
{
	struct sw_stage **v;
	size_t n;

	pthread_mutex_lock(&w->lock);
	v = SW_TAKE(w->stale);
	n = w->n_stale;
	w->n_stale = w->cap_stale = 0;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < n; i++)
		sw_stage_free(v[i]);
	free(v);
}

void sw_file_drop_spill(struct sw_work *w, struct sw_file *f)
{
	sw_file_unstage(w, f);
	if (!f->spill)
		return;
	w->n_spills--;
	drop(w, SW_TAKE(f->spill), sw_spill_unref);
}

void sw_file_wait(struct sw_work *w, const struct sw_file *f)
{
	while (f->is_staging)
		pthread_cond_wait(&w->committed, &w->lock);
}

bool sw_name_needs_stage(const struct sw_name *n)
{
	return n->file && n->file->spill && !n->file->stage;
}

/* Content on its way into the store. */
struct staging {
	struct sw_work *w;
	struct sw_spill *spill;
	struct sw_spill_sum sum; /* of what was read */
	bool runs;	  /* on the thread of sw_work_run(), which has other things to do */
	uint64_t next_ms; /* when it looks for them again */
};

/* A large row takes as long as it is large: meanwhile those that need no stage are committed in their time. */
static int read_staged(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	struct staging *s = arg;
	uint64_t now = sw_env_mono_ms(s->w->env);
	int rc;

	if (s->runs && now >= s->next_ms) {
		sw_work_run_others(s->w);
		s->next_ms = now + s->w->settle_ms / 2 + 1;
	}
	rc = sw_spill_read(s->spill, offset, out, n, got);
	if (rc == 0)
		sw_spill_sum_add(&s->sum, sw_view(out, *got));
	return rc;
}

/* Without the lock: what is read must be what was written, for nobody would notice later. */
static int stage_content(struct staging *s, uint64_t check, struct sw_stage **stage, struct sw_row *row)
{
	uint64_t read;
	int ended, rc = sw_stage_new(s->w->db, stage);

	if (rc == 0)
		rc = sw_stage_row(*stage, read_staged, s, row);
	ended = sw_spill_sum_end(&s->sum, &read);
	if (rc == 0)
		rc = ended < 0 ? ended : compare(check, read);
	if (rc < 0)
		sw_stage_free(SW_TAKE(*stage));
	return rc;
}

static int stage_file(struct sw_work *w, struct sw_file *f, bool runs)
{
	struct staging s = {.w = w, .runs = runs};
	struct sw_stage *stage = NULL;
	struct sw_spill *spill;
	struct sw_row row = {0};
	uint64_t check;
	int rc;

	f->n_refs++;
	sw_file_wait(w, f);
	rc = f->spill && !f->stage ? sw_spill_check(f->spill, sw_spill_size(f->spill), &check) : 0;
	if (rc < 0 || !f->spill || f->stage) { /* or somebody else did it */
		sw_file_unref(w, f);
		return rc;
	}
	f->is_staging = true;
	spill = s.spill = sw_spill_ref(f->spill);
	pthread_mutex_unlock(&w->lock);
	rc = stage_content(&s, check, &stage, &row);
	pthread_mutex_lock(&w->lock);
	f->is_staging = false;
	if (rc == 0 && f->spill == spill) {
		f->stage = stage;
		f->staged = row;
	} else if (rc == 0) { /* a commit that had begun before has ended, and the file shows the row that it made */
		sw_work_discard(w, stage);
	}
	sw_spill_unref(spill);
	pthread_cond_broadcast(&w->committed);
	sw_file_unref(w, f);
	return rc;
}

int sw_file_stage(struct sw_work *w, struct sw_file *f)
{
	return stage_file(w, f, false);
}

/* Those that failed since `pass` began are left out. */
static struct sw_file *find_unstaged(const struct sw_work *w, bool all, uint64_t pass)
{
	uint64_t now = sw_env_mono_ms(w->env);

	for (const struct sw_name *n = w->first_edit; n; n = n->next_edit)
		if (sw_name_needs_stage(n) && n->file->unstageable < pass && sw_name_is_ready(w, n, now, all))
			return n->file;
	return NULL;
}

int sw_work_stage(struct sw_work *w, bool all)
{
	uint64_t pass = ++w->clock;
	struct sw_file *f;
	int first = 0;

	while (w->n_spills > 0 && (f = find_unstaged(w, all, pass)) != NULL) {
		int rc;

		f->n_refs++;
		rc = stage_file(w, f, !all);
		if (rc < 0)
			f->unstageable = ++w->clock;
		first = first < 0 ? first : rc;
		sw_file_unref(w, f);
	}
	return first;
}

/* Whether the journal refers to content that the disk may lack. */
static bool needs_sync(const struct sw_name *n)
{
	return n->recorded && sw_spill_needs_sync(n->recorded);
}

/* All such contents, each with a reference. */
static int gather_dirty(struct sw_work *w, struct sw_spill ***out, size_t *n)
{
	struct sw_spill **v;
	size_t n_dirty = 0;

	*n = 0;
	for (const struct sw_name *name = w->first_edit; name; name = name->next_edit)
		n_dirty += needs_sync(name);
	v = calloc(n_dirty + 1, sizeof(struct sw_spill *));
	if (!v)
		return SW_ENOMEM;
	for (const struct sw_name *name = w->first_edit; name; name = name->next_edit)
		if (needs_sync(name))
			v[(*n)++] = sw_spill_ref(name->recorded);
	*out = v;
	return 0;
}

bool sw_work_has_dirty_spills(const struct sw_work *w)
{
	for (const struct sw_name *name = w->first_edit; name; name = name->next_edit)
		if (needs_sync(name))
			return true;
	return false;
}

/* Without the lock. Each of them is tried. */
static int sync_all(struct sw_spill **v, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		int one = sw_spill_sync(v[i]);

		rc = rc < 0 ? rc : one;
		sw_spill_unref(v[i]);
	}
	return rc;
}

/* After a flush that failed nobody knows what is on the disk, and the next one would not tell: all of it goes into another file. */
static int renew(struct sw_work *w, struct sw_name *n)
{
	int rc = sw_file_unfix(w, n->file, 0, sw_spill_size(n->file->spill));

	if (rc == 0)
		rc = sw_name_journal(w, &n, 1);
	return rc < 0 ? rc : sw_spill_sync(n->file->spill);
}

/* What the journal names is what stands there: no program has begun to change it since. */
static bool is_as_recorded(const struct sw_name *n)
{
	return n->recorded && n->file && n->recorded == n->file->spill && sw_file_whole(n->file) == n->file;
}

/* Those of all files, or of that one. */
static int renew_broken(struct sw_work *w, const struct sw_file *f)
{
	int rc = 0;

	for (struct sw_name *n = w->first_edit; rc == 0 && n; n = n->next_edit)
		if (is_as_recorded(n) && sw_spill_is_broken(n->recorded) && (!f || n->file == f))
			rc = renew(w, n);
	return rc;
}

/* A flush has failed; what could not be flushed may be in another file by now. */
static int sync_again(struct sw_work *w, const struct sw_file *f, int failed)
{
	int rc = renew_broken(w, f);
	bool is_done = f ? f->name && is_as_recorded(f->name) && !needs_sync(f->name) : !sw_work_has_dirty_spills(w);

	return rc < 0 || is_done ? rc : failed;
}

int sw_work_sync_spills(struct sw_work *w, const struct sw_file *f)
{
	struct sw_spill *one = f && f->spill ? sw_spill_ref(f->spill) : NULL, **v = &one;
	size_t n = one != NULL;
	int rc = 0;

	if (!f)
		rc = gather_dirty(w, &v, &n);
	if (rc < 0 || (n == 0 && v == &one))
		return rc;
	pthread_mutex_unlock(&w->lock);
	rc = sync_all(v, n);
	pthread_mutex_lock(&w->lock);
	if (v != &one)
		free(v);
	return rc < 0 ? sync_again(w, f, rc) : 0;
}
