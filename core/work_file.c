/* Files and handles: reading, writing, and what a close or an fsync does. */
#include "core/work_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_ROOM 1024 /* bytes: as much as a record of an empty row takes, whatever it is called */

int sw_file_new(struct sw_work *w, struct sw_file **out)
{
	struct sw_file *f = calloc(1, sizeof(*f));

	if (!f)
		return SW_ENOMEM;
	f->n_refs = 1;
	f->generation = ++w->clock;
	*out = f;
	return 0;
}

static void unpin(struct sw_work *w, struct sw_file *f)
{
	if (f->is_pinned)
		sw_db_unpin(w->db, &f->pin);
	f->is_pinned = false;
}

void sw_file_unref(struct sw_work *w, struct sw_file *f)
{
	assert(f->n_refs > 0);
	if (--f->n_refs > 0)
		return;
	sw_file_mend(w, f);
	unpin(w, f);
	sw_file_drop_spill(w, f);
	sw_buf_fini(&f->bytes);
	sw_home_free(f->home);
	free(f);
}

void sw_name_put_file(struct sw_work *w, struct sw_name *n, struct sw_file *f)
{
	struct sw_file *old = n->file;

	if (f) {
		f->n_refs++;
		f->name = n;
	}
	n->file = f;
	sw_name_forget_aside(n);
	if (old) {
		if (old->name == n)
			old->name = NULL;
		sw_file_unref(w, old);
	}
}

/* Keep the state that has a row. SW_EAGAIN: it is not the newest any more, and may be gone. */
static int pin_read(struct sw_work *w, struct sw_file *f, const struct sw_reader *r)
{
	struct sw_hash state;
	int rc = sw_work_pin(w, &state);

	if (rc < 0)
		return rc;
	if (!sw_hash_eq(&state, &r->head.state)) {
		sw_db_unpin(w->db, &state);
		return SW_EAGAIN;
	}
	unpin(w, f);
	f->is_pinned = true;
	f->pin = state;
	return 0;
}

static int set_row(struct sw_work *w, struct sw_file *f, const struct sw_reader *r,
		   const struct sw_row *row)
{
	struct sw_buf bytes = {0};
	int rc = 0;

	sw_buf_put_view(&bytes, row->bytes);
	if (bytes.rc < 0)
		return bytes.rc;
	if (row->is_blob)
		rc = pin_read(w, f, r);
	else
		unpin(w, f);
	if (rc < 0) {
		sw_buf_fini(&bytes);
		return rc;
	}
	sw_file_mend(w, f);
	sw_file_drop_spill(w, f);
	sw_buf_fini(&f->bytes);
	f->bytes = bytes;
	f->row = *row;
	f->row.bytes = row->is_blob ? sw_view(NULL, 0) : sw_buf_view(&f->bytes);
	f->in_memory = false;
	f->n_same = 0;
	f->mode = row->mode;
	f->mtime_ns = row->mtime_ns;
	f->ctime_ns = sw_work_now_ns(w);
	sw_version_of_row(row, &f->base);
	return 0;
}

int sw_file_load(struct sw_work *w, struct sw_file *f, struct sw_view table, struct sw_view key)
{
	struct sw_reader r;
	struct sw_row row;
	int rc;

	do {
		rc = sw_work_find_row(w, table, key, &r, &row);
		if (rc < 0)
			return rc;
		rc = set_row(w, f, &r, &row);
		sw_reader_end(&r);
	} while (rc == SW_EAGAIN);
	return rc;
}

int sw_file_load_blob(struct sw_work *w, struct sw_file *f, const struct sw_row *row)
{
	int rc = sw_db_pin_blob(w->db, &row->blob);

	if (rc < 0)
		return rc;
	f->is_pinned = true;
	f->pin = row->blob;
	f->row = *row;
	return 0;
}

uint64_t sw_file_size(const struct sw_file *f)
{
	if (f->spill)
		return sw_spill_size(f->spill);
	return f->in_memory ? f->bytes.n : f->row.size;
}

/* Whether the content is in the store alone. */
static bool is_in_store(const struct sw_file *f)
{
	return !f->spill && !f->in_memory && f->row.is_blob;
}

int sw_file_read(struct sw_work *w, const struct sw_file *f, uint64_t offset, void *out, size_t n,
		 size_t *got)
{
	struct sw_reader r;
	int rc;

	*got = 0;
	if (f->spill)
		return sw_spill_read(f->spill, offset, out, n, got);
	if (!is_in_store(f)) {
		struct sw_view all = sw_buf_view(&f->bytes);

		if (offset < all.n) {
			*got = n < all.n - offset ? n : all.n - (size_t)offset;
			memcpy(out, all.p + offset, *got);
		}
		return 0;
	}
	rc = sw_work_read(w, &r);
	if (rc < 0)
		return rc;
	rc = sw_blob_read(r.nodes, &f->row.blob, offset, out, n, got);
	sw_reader_end(&r);
	return rc;
}

int sw_file_to_memory(struct sw_work *w, struct sw_file *f)
{
	struct sw_buf bytes = {0};
	struct sw_reader r;
	int rc;

	if (f->in_memory)
		return 0;
	if (f->row.is_blob && f->row.size > SW_FILE_MEMORY_MAX) {
		rc = sw_file_spill_row(w, f);
		if (rc < 0)
			return rc;
	} else if (f->row.is_blob) {
		rc = sw_work_read(w, &r);
		if (rc < 0)
			return rc;
		rc = sw_row_read(r.nodes, &f->row, &bytes);
		sw_reader_end(&r);
		if (rc < 0) {
			sw_buf_fini(&bytes);
			return rc;
		}
		sw_buf_fini(&f->bytes);
		f->bytes = bytes;
	}
	f->in_memory = true;
	unpin(w, f);
	return 0;
}

void sw_file_stat(const struct sw_file *f, struct sw_attr *out)
{
	*out = (struct sw_attr){.mode = f->mode,
				.mtime_ns = f->mtime_ns,
				.ctime_ns = f->ctime_ns,
				.size = sw_file_size(f),
				.generation = f->generation};
}

/* Where time ends it stands still. */
static int64_t later(int64_t than, int64_t now)
{
	if (now > than)
		return now;
	return than < INT64_MAX ? than + 1 : than;
}

/* A write moves mtime strictly forward; ctime always grows. */
static void bump_times(struct sw_work *w, struct sw_file *f, bool mtime)
{
	int64_t now = sw_work_now_ns(w);

	if (mtime)
		f->mtime_ns = later(f->mtime_ns, now);
	f->ctime_ns = later(f->ctime_ns, now);
}

/* Before the first change of a file: its name gets an edit, based on what it shows. */
static int begin_change(struct sw_work *w, struct sw_file *f)
{
	if (!f->name)
		return 0;
	sw_name_keep_good(w, f->name);
	return sw_name_edit(w, f->name);
}

static void changed(struct sw_work *w, struct sw_file *f)
{
	if (f->name)
		sw_name_touch(w, f->name);
}

static int create(struct sw_work *w, struct sw_name *n, uint16_t mode)
{
	struct sw_file *f;
	int rc;

	sw_name_keep_good(w, n);
	rc = sw_name_edit(w, n);
	if (rc < 0)
		return rc;
	rc = sw_file_new(w, &f);
	if (rc < 0) {
		sw_name_end_edit(w, n);
		return rc;
	}
	f->in_memory = true;
	f->is_torn = true; /* it was nothing before it is closed */
	f->mode = mode & SW_MODE_MASK;
	bump_times(w, f, true);
	sw_name_put_file(w, n, f);
	sw_file_unref(w, f);
	sw_name_touch(w, n);
	return 0;
}

static void changes_from(struct sw_file *f, uint64_t offset)
{
	if (offset < f->n_same)
		f->n_same = offset;
}

/* Of content in memory. */
static int resize(struct sw_file *f, size_t size)
{
	if (size > f->bytes.n) {
		uint8_t *to = sw_buf_reserve(&f->bytes, size - f->bytes.n);

		if (!to) {
			f->bytes.rc = 0;
			return SW_ENOMEM;
		}
		memset(to, 0, size - f->bytes.n);
	}
	f->bytes.n = size;
	return 0;
}

static int truncate_spill(struct sw_work *w, struct sw_file *f, uint64_t size)
{
	int rc;

	if (size <= SW_FILE_MEMORY_MAX && size <= sw_spill_size(f->spill))
		return sw_file_make_small(w, f, size);
	rc = sw_file_unfix(w, f, size, size);
	return rc < 0 ? rc : sw_spill_truncate(f->spill, size);
}

static int truncate_file(struct sw_work *w, struct sw_file *f, uint64_t size)
{
	int rc;

	if (size > SW_ROW_SIZE_MAX)
		return SW_ELIMIT;
	sw_file_wait(w, f);
	rc = begin_change(w, f);
	if (rc == 0)
		rc = sw_file_tear(w, f);
	if (rc == 0)
		changes_from(f, size);
	if (rc == 0 && size == 0 && !f->in_memory) {
		unpin(w, f);
		sw_buf_reset(&f->bytes);
		f->in_memory = true;
	}
	if (rc == 0)
		rc = sw_file_to_memory(w, f);
	if (rc == 0 && size > SW_FILE_MEMORY_MAX)
		rc = sw_file_make_large(w, f);
	if (rc == 0 && f->spill) {
		sw_file_unstage(w, f);
		rc = truncate_spill(w, f, size);
	}
	if (rc == 0 && !f->spill)
		rc = resize(f, (size_t)size);
	if (rc < 0)
		return rc;
	bump_times(w, f, true);
	changed(w, f);
	return 0;
}

static void set_dirty(struct sw_handle *h, bool *flag)
{
	if (!h->is_dirty && !h->is_truncated)
		h->file->n_dirty++;
	*flag = true;
}

static void clear_dirty(struct sw_handle *h)
{
	if (h->is_dirty || h->is_truncated)
		h->file->n_dirty--;
	h->is_dirty = h->is_truncated = false;
}

/* is_new: the file was made for this handle. */
static int open_file(struct sw_work *w, struct sw_file *f, unsigned flags, bool is_new,
		     struct sw_handle *out)
{
	int rc = 0;

	*out = (struct sw_handle){.file = f, .can_write = (flags & SW_OPEN_WRITE) != 0};
	f->n_refs++;
	f->n_writers += out->can_write;
	if ((flags & SW_OPEN_TRUNCATE) && sw_file_size(f) > 0) {
		rc = truncate_file(w, f, 0);
		is_new = rc == 0;
	}
	if (is_new)
		set_dirty(out, &out->is_truncated);
	return rc;
}

static int open_locked(struct sw_work *w, struct sw_view table, struct sw_view key, unsigned flags,
		       uint16_t mode, struct sw_handle *out)
{
	struct sw_attr attr;
	struct sw_name *n;
	bool is_new = false;
	int rc;

	if ((flags & SW_OPEN_WRITE) && sw_work_is_read_only(w))
		return SW_EROFS;
	if (flags & SW_OPEN_CREATE) {
		rc = sw_table_stat(w, table, &attr);
		if (rc < 0)
			return rc;
	}
	rc = sw_name_get(w, table, key, &n);
	if (rc < 0)
		return rc;
	rc = sw_name_load(w, n);
	if (rc == 0 && (flags & SW_OPEN_EXCLUSIVE))
		rc = SW_EEXIST;
	else if (rc == SW_ENOTFOUND && (flags & SW_OPEN_CREATE)) {
		rc = create(w, n, mode);
		is_new = true;
	}
	if (rc < 0) {
		sw_name_settle(w, n);
		return rc;
	}
	return open_file(w, n->file, flags, is_new, out);
}

int sw_work_open_row(struct sw_work *w, struct sw_view table, struct sw_view key, unsigned flags,
		     uint16_t mode, struct sw_handle *out)
{
	int rc = sw_name_check(key);

	if (rc < 0)
		return rc;
	*out = (struct sw_handle){0};
	pthread_mutex_lock(&w->lock);
	rc = open_locked(w, table, key, flags, mode, out);
	pthread_mutex_unlock(&w->lock);
	if (rc < 0 && out->file)
		sw_handle_release(w, out);
	return rc;
}

/* Emptied to make room, perhaps. The lock is given up meanwhile, and the name may go. */
static int commit_emptied(struct sw_work *w, const struct sw_name *n)
{
	uint8_t buf[2 * SW_NAME_MAX];

	memcpy(buf, n->text, n->table.n + n->key.n);
	return sw_work_commit_alone(w, sw_view(buf, n->table.n), sw_view(buf + n->table.n, n->key.n));
}

void sw_handle_release(struct sw_work *w, struct sw_handle *h)
{
	struct sw_file *f = h->file;
	struct sw_name *n;
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	/* The last word on what was not flushed, or on an O_TRUNC alone; its error has nobody to go to. */
	if (h->is_dirty || h->is_truncated)
		rc = sw_file_admit(w, f, false);
	n = f->name;
	if (rc >= 0 && n && n->has_edit && (h->is_dirty || h->is_truncated)) {
		rc = sw_name_journal(w, &n, 1);
		sw_name_touch(w, n);
	}
	clear_dirty(h);
	if (rc == SW_ENOSPC && n && sw_file_size(f) == 0)
		rc = commit_emptied(w, n);
	n = f->name; /* the lock was given up */
	if (rc < 0 && n && n->has_edit)
		n->is_owed = true;
	if (rc < 0 && rc != SW_EINVAL) /* what was refused is told of elsewhere */
		snprintf(w->error, sizeof(w->error), "%s", sw_fail_message(rc));
	f->n_writers -= h->can_write;
	sw_file_unref(w, f);
	if (n)
		sw_name_settle(w, n);
	h->file = NULL;
	pthread_mutex_unlock(&w->lock);
}

void sw_handle_dup(struct sw_work *w, const struct sw_handle *h, struct sw_handle *out)
{
	pthread_mutex_lock(&w->lock);
	*out = (struct sw_handle){.file = h->file};
	h->file->n_refs++;
	pthread_mutex_unlock(&w->lock);
}

int sw_handle_reopen(struct sw_work *w, const struct sw_handle *h, unsigned flags,
		     struct sw_handle *out)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = open_file(w, h->file, flags, false, out);
	pthread_mutex_unlock(&w->lock);
	if (rc < 0)
		sw_handle_release(w, out);
	return rc;
}

/* What is in memory, or in a file of its own, may change as soon as nobody holds the lock. */
static int read_copy(struct sw_work *w, const struct sw_file *f, uint64_t offset, size_t n,
		     struct sw_pieces *out)
{
	uint64_t size = sw_file_size(f);
	uint8_t *to;
	int rc;

	if (offset >= size || n == 0)
		return 0;
	if (n > size - offset)
		n = (size_t)(size - offset);
	to = sw_buf_reserve(&out->copy, n);
	if (!to)
		return SW_ENOMEM;
	rc = sw_file_read(w, f, offset, to, n, &out->copy.n);
	return rc < 0 ? rc : sw_pieces_add(out, sw_buf_view(&out->copy));
}

int sw_handle_read(struct sw_work *w, const struct sw_handle *h, uint64_t offset, size_t n,
		   struct sw_pieces *out)
{
	struct sw_row row;
	int rc;

	pthread_mutex_lock(&w->lock);
	if (!is_in_store(h->file)) {
		rc = read_copy(w, h->file, offset, n, out);
		pthread_mutex_unlock(&w->lock);
		return rc;
	}
	row = h->file->row;
	rc = sw_work_read(w, &out->reader);
	pthread_mutex_unlock(&w->lock);
	if (rc < 0)
		return rc;
	/* What the reader has seen stays readable, whatever becomes of the file: nobody need wait for this. */
	sw_nodes_set_cache(out->reader.nodes, NULL);
	return sw_pieces_add_row(out, &row, offset, n);
}

/* What a file was before a change that may fail, but for its bytes: either they are kept (core/work_torn.c), or some were appended. */
struct before {
	bool had_edit;
	uint64_t size;
	uint16_t mode;
	int64_t mtime_ns, ctime_ns;
};

static struct before before(const struct sw_file *f)
{
	return (struct before){.had_edit = f->name && f->name->has_edit,
			       .size = sw_file_size(f),
			       .mode = f->mode,
			       .mtime_ns = f->mtime_ns,
			       .ctime_ns = f->ctime_ns};
}

static void cut(struct sw_work *w, struct sw_file *f, uint64_t size)
{
	int rc = 0;

	changes_from(f, size);
	if (f->spill)
		rc = truncate_spill(w, f, size);
	else if (f->in_memory)
		rc = resize(f, (size_t)size);
	if (rc < 0) {
		/* It stays as long as it is, and whoever asked was told of a failure anyway. */
	}
}

/* Nothing is left of the change: neither what it did, nor an edit that began with it. */
static void take_back(struct sw_work *w, struct sw_file *f, const struct before *was, bool is_kept)
{
	struct sw_name *n = f->name;

	if (!was->had_edit && n->has_edit && sw_file_load(w, f, n->table, n->key) == 0) {
		sw_name_end_edit(w, n);
	} else {
		if (is_kept)
			sw_file_untear(w, f);
		else if (sw_file_size(f) != was->size)
			cut(w, f, was->size);
		f->mode = was->mode;
		f->mtime_ns = was->mtime_ns;
	}
	f->ctime_ns = was->ctime_ns;
}

/* Nobody is staging it. */
static int write_file(struct sw_work *w, struct sw_file *f, uint64_t offset, bool append, struct sw_view bytes)
{
	uint64_t end = offset + bytes.n;
	int rc;

	if (end < offset || end > SW_ROW_SIZE_MAX)
		return SW_ELIMIT;
	rc = begin_change(w, f);
	if (rc == 0 && !append)
		rc = sw_file_tear(w, f);
	if (rc == 0)
		changes_from(f, offset);
	if (rc == 0)
		rc = sw_file_to_memory(w, f);
	if (rc == 0 && end > SW_FILE_MEMORY_MAX)
		rc = sw_file_make_large(w, f);
	if (rc < 0)
		return rc;
	if (f->spill) {
		sw_file_unstage(w, f);
		rc = sw_file_unfix(w, f, offset, sw_spill_size(f->spill));
		if (rc == 0)
			rc = sw_spill_write(f->spill, offset, bytes);
		if (rc < 0)
			return rc;
		bump_times(w, f, true);
		changed(w, f);
		return 0;
	}
	if (end > f->bytes.n) {
		if (!sw_buf_reserve(&f->bytes, (size_t)end - f->bytes.n)) {
			f->bytes.rc = 0;
			return SW_ENOMEM;
		}
		if (offset > f->bytes.n)
			memset(f->bytes.p + f->bytes.n, 0, (size_t)offset - f->bytes.n);
		f->bytes.n = (size_t)end;
	}
	memcpy(f->bytes.p + offset, bytes.p, bytes.n);
	bump_times(w, f, true);
	changed(w, f);
	return 0;
}

/*
 * Whole by itself: it may be committed while the handle stays open. Whoever is told that it failed tries again, and must not find it
 * there twice.
 */
static int append_whole(struct sw_work *w, struct sw_file *f, struct sw_view bytes)
{
	struct before was = before(f);
	int rc = write_file(w, f, was.size, true, bytes);

	if (rc == 0)
		rc = sw_name_journal(w, &f->name, 1);
	if (rc < 0)
		take_back(w, f, &was, false);
	return rc;
}

int sw_handle_write(struct sw_work *w, struct sw_handle *h, uint64_t offset, bool append,
		    struct sw_view bytes)
{
	bool is_whole;
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	if (bytes.n > 0)
		sw_file_wait(w, h->file); /* before its end is looked at: others may wait as well */
	is_whole = append && h->file->name && !sw_name_has_schema(w, h->file->name);
	if (bytes.n > 0 && is_whole) {
		rc = append_whole(w, h->file, bytes);
		if (rc == 0 && h->is_truncated && !h->is_dirty)
			clear_dirty(h); /* it had been made, or emptied, for this */
	} else if (bytes.n > 0) {
		rc = write_file(w, h->file, append ? sw_file_size(h->file) : offset, append, bytes);
		if (rc == 0 && (!append || h->file->name || h->file->home))
			set_dirty(h, &h->is_dirty);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int sw_handle_truncate(struct sw_work *w, struct sw_handle *h, uint64_t size)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = truncate_file(w, h->file, size);
	if (rc == 0)
		set_dirty(h, &h->is_dirty);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static int reserve(struct sw_work *w)
{
	int rc = sw_journal_reserve(w->journal, RECORD_ROOM);

	if (rc == SW_ENOSPC && sw_work_forget_records(w))
		rc = sw_journal_reserve(w->journal, RECORD_ROOM);
	return rc;
}

static int flush_locked(struct sw_work *w, struct sw_handle *h)
{
	struct sw_name *n = h->file->name;
	int rc = 0, admitted;

	/*
	 * The first close of a redirection comes before its data: an O_TRUNC alone waits for the
	 * release. A row that is new may be remembered at once, nothing is lost by it.
	 */
	if (!h->is_dirty) {
		if (h->is_truncated && n && n->has_edit && !n->base.exists && n->journal_seq == 0 &&
		    !sw_name_has_schema(w, n)) {
			rc = sw_name_journal(w, &n, 1);
			h->file->is_torn = true; /* nor is it anything yet that could take another's place */
		} else if (h->can_write && n && n->is_owed && sw_name_is_whole(n)) {
			rc = sw_name_journal(w, &n, 1);
		} else if (h->is_truncated && n && n->has_edit) {
			rc = reserve(w); /* whoever closes it could not be told at the release */
		}
		return rc;
	}
	admitted = sw_file_admit(w, h->file, false);
	n = h->file->name;
	if (admitted >= 0 && n && n->has_edit)
		rc = sw_name_journal(w, &n, 1);
	/* Of what was refused its program knows now. */
	if (rc == 0 && (admitted >= 0 || admitted == SW_EINVAL))
		clear_dirty(h);
	if (rc < 0 || admitted < 0)
		return rc < 0 ? rc : admitted;
	changed(w, h->file);
	return admitted;
}

int sw_handle_flush(struct sw_work *w, struct sw_handle *h)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = flush_locked(w, h);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

void sw_handle_stat(struct sw_work *w, struct sw_handle *h, struct sw_attr *out)
{
	pthread_mutex_lock(&w->lock);
	sw_file_stat(h->file, out);
	pthread_mutex_unlock(&w->lock);
}

uint64_t sw_handle_generation(const struct sw_handle *h)
{
	return h->file->generation;
}

static int show(struct sw_work *w, struct sw_file *f, const uint16_t *mode, const int64_t *mtime_ns)
{
	int rc = begin_change(w, f);

	if (rc < 0)
		return rc;
	if (mode)
		f->mode = *mode & SW_MODE_MASK;
	if (mtime_ns)
		f->mtime_ns = *mtime_ns;
	bump_times(w, f, false);
	changed(w, f);
	return 0;
}

static int set_file(struct sw_work *w, struct sw_file *f, const uint16_t *mode, const int64_t *mtime_ns)
{
	struct before was = before(f);
	int rc = show(w, f, mode, mtime_ns);

	if (rc < 0 || !f->name || f->n_dirty > 0)
		return rc;
	rc = sw_name_journal(w, &f->name, 1);
	if (rc < 0)
		take_back(w, f, &was, false);
	return rc;
}

int sw_handle_set(struct sw_work *w, struct sw_handle *h, const uint16_t *mode, const int64_t *mtime_ns)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = set_file(w, h->file, mode, mtime_ns);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* The name, when nobody is writing its content into the store: with the wait, what was looked up before may be gone. */
static int get_steady(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name **out)
{
	int rc;

	while ((rc = sw_name_get(w, table, key, out)) == 0 && (*out)->file && (*out)->file->is_staging)
		pthread_cond_wait(&w->committed, &w->lock);
	return rc;
}

/* It has its new size; nobody else is writing it. The lock is given up if the journal has no room for an empty row. */
static int sized(struct sw_work *w, struct sw_file *f, const struct before *was)
{
	int rc = sw_name_journal(w, &f->name, 1);
	uint64_t version = f->name->version;
	bool is_taken = false; /* by a commit that goes on */

	if (rc == SW_ENOSPC && sw_file_size(f) == 0) {
		rc = commit_emptied(w, f->name);
		is_taken = f->name && f->name->in_commit;
	}
	if (rc < 0 && f->name && f->name->version == version && !is_taken)
		take_back(w, f, was, true);
	return rc;
}

static int set_attr(struct sw_work *w, struct sw_file *f, const uint16_t *mode, const int64_t *mtime_ns, const uint64_t *size)
{
	struct before was = before(f);
	int rc;

	if (!size)
		return mode || mtime_ns ? set_file(w, f, mode, mtime_ns) : 0;
	rc = sw_name_admit_size(w, f->name, *size);
	if (rc == 0)
		rc = truncate_file(w, f, *size);
	if (rc == 0 && (mode || mtime_ns))
		rc = show(w, f, mode, mtime_ns);
	return rc == 0 && f->n_dirty == 0 ? sized(w, f, &was) : rc;
}

int sw_work_set(struct sw_work *w, struct sw_view table, struct sw_view key, const uint16_t *mode,
		const int64_t *mtime_ns, const uint64_t *size)
{
	struct sw_file *f;
	struct sw_name *n;
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = get_steady(w, table, key, &n);
	if (rc == 0)
		rc = sw_name_load(w, n);
	if (rc == 0) {
		f = n->file;
		f->n_refs++;
		rc = set_attr(w, f, mode, mtime_ns, size);
		sw_file_unref(w, f);
	}
	n = sw_name_find(w, table, key);
	if (n)
		sw_name_settle(w, n);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
