/*
 * Names and their edits, and when an edit is ready:
 *
 *  - never while a handle has written and not flushed, or is open from an O_TRUNC without a write;
 *  - a name that stood there before: after its quiet time, or at the latest some time after the
 * first event, or at once when it is synced;
 *  - a new name: only after its quiet time, even when synced, since most new names are temporary;
 *  - names that a rename joined: together, when the last of them is.
 */
#include "core/work_internal.h"

#include "core/columns.h"
#include "core/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SETTLE_MS 100
#define NEW_NAME_FACTOR                                                                            \
	10 /* a new name may go on changing for that much longer: most are temporary */
#define SETTLE_MAX_MS 2000
#define LOST_NAMED    5	  /* rows, in a sentence about them */
#define TAIL_KEPT_MIN 256 /* below, a record of the whole row is as well */
#define RECORD_FEW    4	  /* names, of most records */

int64_t sw_work_now_ns(const struct sw_work *w)
{
	return (int64_t)(sw_env_wall_ms(w->env) * 1000000);
}

int sw_work_read(const struct sw_work *w, struct sw_reader *out)
{
	int rc = w->is_damaged ? SW_ECORRUPT : sw_reader_begin(w->db, out);

	if (rc < 0)
		return rc;
	sw_nodes_set_cache(out->nodes, w->cache);
	if (w->is_copy)
		out->head.state = w->base;
	return 0;
}

int sw_work_pin(const struct sw_work *w, struct sw_hash *state)
{
	if (w->is_damaged)
		return SW_ECORRUPT;
	if (!w->is_copy)
		return sw_db_pin_head(w->db, state);
	*state = w->base;
	return sw_db_pin(w->db, state);
}

void sw_version_of_row(const struct sw_row *row, struct sw_version *out)
{
	out->exists = true;
	out->mode = row->mode;
	out->mtime_ns = row->mtime_ns;
	sw_row_hash(row, &out->hash);
}

int sw_name_load(struct sw_work *w, struct sw_name *n)
{
	struct sw_file *f;
	int rc;

	if (n->file)
		return 0;
	if (n->has_edit || sw_work_is_missing(w, n->table, n->key))
		return SW_ENOTFOUND;
	rc = sw_file_new(w, &f);
	if (rc < 0)
		return rc;
	rc = sw_file_load(w, f, n->table, n->key);
	if (rc == 0) {
		f->ctime_ns = f->mtime_ns; /* as before it was opened: tar compares the two */
		sw_name_put_file(w, n, f);
	}
	sw_file_unref(w, f);
	return rc;
}

/* The text of the version that an open file shows, and that is in the store. */
static int read_base(struct sw_work *w, struct sw_name *n)
{
	struct sw_reader r;
	int rc = sw_work_read(w, &r);

	if (rc < 0)
		return rc;
	rc = sw_row_read(r.nodes, &n->file->row, &n->base_text);
	sw_reader_end(&r);
	n->has_base_text = rc == 0;
	return rc;
}

/* The base of an edit is what stands in the newest state, unless an open file shows an older version. */
static int find_base(struct sw_work *w, struct sw_name *n)
{
	struct sw_reader r;
	struct sw_row row;
	int rc;

	n->has_base_text = false;
	sw_buf_reset(&n->base_text);
	n->base = (struct sw_version){0};
	if (n->file && n->file->base.exists && !n->file->in_memory) {
		n->base = n->file->base;
		if (!sw_columns_possible(n->key, (size_t)n->file->row.size))
			return 0;
		if (n->file->row.is_blob)
			return read_base(w, n);
		sw_buf_put_view(&n->base_text, n->file->row.bytes);
		n->has_base_text = n->base_text.rc == 0;
		return n->base_text.rc;
	}
	rc = sw_work_find_row(w, n->table, n->key, &r, &row);
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	sw_version_of_row(&row, &n->base);
	if (sw_columns_possible(n->key, (size_t)row.size)) {
		rc = sw_row_read(r.nodes, &row, &n->base_text);
		n->has_base_text = rc == 0;
	}
	sw_reader_end(&r);
	return rc;
}

/* What the journal brings back stays, until somebody lets the key write again. */
bool sw_work_is_read_only(const struct sw_work *w)
{
	return !w->is_copy && w->journal && sw_db_own_role(w->db) < SW_ROLE_WRITER;
}

static void count_edit(struct sw_work *w)
{
	if (w->n_edits++ == 0 && w->on_due)
		w->on_due(w->on_due_arg);
}

int sw_name_edit(struct sw_work *w, struct sw_name *n)
{
	int rc = 0;

	if (w->is_frozen || sw_work_is_read_only(w))
		return SW_EROFS;
	if (n->has_edit)
		return 0;
	if (n->key.n > 0)
		rc = find_base(w, n);
	else
		n->base = (struct sw_version){0};
	if (rc == 0)
		rc = sw_name_list(w, n);
	if (rc < 0)
		return rc;
	if (n->base.exists) /* whatever it is called, it is somebody's row */
		n->is_scratch = false;
	n->has_edit = true;
	n->first_ms = sw_env_mono_ms(w->env);
	n->journal_seq = n->recorded_file = 0;
	if (n->is_scratch)
		w->n_scratch++;
	else
		count_edit(w);
	return 0;
}

int sw_name_be_row(struct sw_work *w, struct sw_name *n)
{
	struct sw_file *f = n->file;
	int rc;

	if (!n->is_scratch)
		return 0;
	n->file = NULL; /* the version before is what the name had, not what was moved to it */
	rc = find_base(w, n);
	n->file = f;
	if (rc < 0)
		return rc;
	n->is_scratch = false;
	w->n_scratch--;
	count_edit(w);
	return 0;
}

/* One less that is to be committed. */
static void uncount_edit(struct sw_work *w)
{
	if (--w->n_edits == 0)
		w->error[0] = '\0'; /* whatever failed was about rows that wait, and none does */
}

void sw_name_be_scratch(struct sw_work *w, struct sw_name *n)
{
	n->base = (struct sw_version){0};
	n->has_base_text = false;
	n->is_scratch = true;
	w->n_scratch++;
	uncount_edit(w);
}

void sw_name_end_edit(struct sw_work *w, struct sw_name *n)
{
	assert(n->has_edit);
	sw_name_forget_aside(n);
	sw_name_free_spill(w, n);
	n->has_edit = false;
	n->want_sync = n->is_owed = false;
	sw_name_part(n);
	sw_name_unlist(w, n);
	sw_buf_fini(&n->base_text);
	n->has_base_text = false;
	sw_name_forget_good(n);
	if (n->is_scratch)
		w->n_scratch--;
	else
		uncount_edit(w);
}

void sw_name_touch(struct sw_work *w, struct sw_name *n)
{
	n->version = ++w->clock;
	n->last_ms = sw_env_mono_ms(w->env);
}

bool sw_name_is_whole(const struct sw_name *n)
{
	return !n->file || n->file->n_dirty == 0;
}

uint64_t sw_name_ready_ms(const struct sw_work *w, const struct sw_name *n)
{
	bool is_new = n->key.n > 0 && !n->base.exists && n->file;
	uint64_t quiet = n->last_ms + (is_new && n->is_passing ? w->settle_max_ms : w->settle_ms);
	uint64_t latest = n->first_ms + (uint64_t)w->settle_max_ms * (is_new ? NEW_NAME_FACTOR : 1);

	if (!n->has_edit || n->is_scratch || n->in_commit || !sw_name_is_whole(n))
		return UINT64_MAX;
	if (n->want_sync && !is_new)
		return 0;
	return quiet < latest ? quiet : latest;
}

static void journal_is_dirty(struct sw_work *w)
{
	if (w->journal_dirty_ms > 0)
		return;
	w->journal_dirty_ms = sw_env_mono_ms(w->env);
	if (w->on_due)
		w->on_due(w->on_due_arg);
}

int sw_name_describe(const struct sw_name *n, const struct sw_file *f, struct sw_journal_name *out)
{
	int rc = 0;

	*out = (struct sw_journal_name){.table = n->table,
					.key = n->key,
					.exists = f || n->table_exists,
					.existed = n->base.exists,
					.old = n->base.hash,
					.follows = n->in_commit ? n->commit_seq : 0};
	if (!f) {
		out->row.mode = n->table_mode;
		out->row.mtime_ns = n->table_mtime_ns;
		return 0;
	}
	out->row = f->row;
	if (f->spill) {
		out->row =
		    (struct sw_row){.size = f == n->file ? sw_spill_size(f->spill) : f->row.size};
		out->spill = sw_spill_number(f->spill);
		rc = sw_spill_check(f->spill, out->row.size, &out->spill_check);
	} else if (f->in_memory) {
		out->row = (struct sw_row){.size = f->bytes.n, .bytes = sw_buf_view(&f->bytes)};
	}
	out->row.mode = f->mode;
	out->row.mtime_ns = f->mtime_ns;
	return rc;
}

/* What is appended, or changed at the end, costs what it adds, until all that is more than the row.
 */
static void take_tail(const struct sw_name *n, struct sw_journal_name *out)
{
	const struct sw_file *f = n->file;

	if (!f || f->generation != n->recorded_file || f->n_same < TAIL_KEPT_MIN ||
	    n->recorded_bytes + f->bytes.n - f->n_same > 2 * f->bytes.n)
		return;
	out->is_tail = true;
	out->after = n->journal_seq;
	out->row.bytes = sw_view(f->bytes.p + f->n_same, f->bytes.n - (size_t)f->n_same);
}

void sw_name_recorded(struct sw_work *w, struct sw_name *n, const struct sw_file *f, uint64_t seq,
		      const struct sw_journal_name *record)
{
	n->journal_seq = seq;
	n->is_owed = false;
	n->whole_seq = record->is_tail ? n->whole_seq : seq;
	n->recorded_file = 0;
	n->recorded_bytes = (record->is_tail ? n->recorded_bytes : 0) + record->row.bytes.n;
	sw_name_record_spill(w, n, f ? f->spill : NULL);
	if (!f || f != n->file)
		return;
	sw_file_mend(w, n->file);
	if (!f->in_memory || f->spill)
		return;
	n->recorded_file = f->generation;
	n->file->n_same = f->bytes.n;
}

/* What a record is made of. */
struct record {
	struct sw_journal_name few[RECORD_FEW], *list;
	struct sw_name *of_few[RECORD_FEW], **of;
	size_t n;
};

static int record_begin(struct record *r, size_t n)
{
	r->list = r->few;
	r->of = r->of_few;
	r->n = 0;
	if (n <= RECORD_FEW)
		return 0;
	r->list = malloc(n * sizeof(*r->list));
	r->of = malloc(n * sizeof(struct sw_name *));
	return r->list && r->of ? 0 : SW_ENOMEM;
}

static void record_fini(struct record *r)
{
	if (r->list != r->few)
		free(r->list);
	if (r->of != r->of_few)
		free(r->of);
}

static const struct sw_file *recorded_file(const struct sw_name *n, bool is_whole)
{
	return is_whole ? sw_file_whole(n->file) : n->file;
}

/* Scratch is not worth a journal, nor is what is new and not whole. */
static int record_name(struct record *r, struct sw_name *n, bool is_whole)
{
	const struct sw_file *f = recorded_file(n, is_whole);
	int rc;

	if (n->is_scratch || (n->file && !f))
		return 0;
	rc = sw_name_describe(n, f, &r->list[r->n]);
	if (f == n->file)
		take_tail(n, &r->list[r->n]);
	r->of[r->n++] = n;
	return rc;
}

/* Rows and tables that go, or rows that are emptied: not those that are new. */
static bool makes_room(const struct record *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct sw_journal_name *n = &r->list[i];
		bool is_new = !n->existed && r->of[i]->journal_seq == 0;

		if (n->exists && (n->key.n == 0 || is_new || n->row.size > 0))
			return false;
	}
	return true;
}

static int append(struct sw_work *w, const struct record *r, uint64_t *seq)
{
	int rc = sw_journal_append(w->journal, r->list, r->n, seq);

	/* What makes room comes first; content may not take what is left. */
	if (rc == SW_ENOSPC && makes_room(r) && sw_work_forget_records(w))
		rc = sw_journal_append(w->journal, r->list, r->n, seq);
	return rc;
}

/* One record. */
static int record(struct sw_work *w, struct sw_name *const *names, size_t n, bool is_whole)
{
	struct record r;
	uint64_t seq;
	int rc = record_begin(&r, n);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = record_name(&r, names[i], is_whole);
	if (rc == 0 && r.n > 0)
		rc = append(w, &r, &seq);
	for (size_t i = 0; rc == 0 && i < r.n; i++)
		sw_name_recorded(w, r.of[i], recorded_file(r.of[i], is_whole), seq, &r.list[i]);
	if (rc == 0 && r.n > 0)
		journal_is_dirty(w);
	record_fini(&r);
	return rc;
}

int sw_name_journal(struct sw_work *w, struct sw_name *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names[i]->is_scratch && names[i]->file)
			sw_file_mend(w, names[i]->file); /* no record will say so */
	return record(w, names, n, false);
}

int sw_name_journal_whole(struct sw_work *w, struct sw_name *const *names, size_t n)
{
	return record(w, names, n, true);
}

/* Replay */

/* It was only looked at. */
static void leave(struct sw_spill *s)
{
	if (s)
		sw_spill_keep(s);
	sw_spill_unref(s);
}

/* spill: its content, if it has one, with a reference that is taken over. */
static int replay_file(struct sw_work *w, struct sw_name *n, const struct sw_journal_name *j, struct sw_spill *spill)
{
	struct sw_file *f;
	int rc = sw_file_new(w, &f);

	if (rc < 0) {
		leave(spill);
		return rc;
	}
	f->mode = j->row.mode & SW_MODE_MASK;
	f->mtime_ns = f->ctime_ns = j->row.mtime_ns;
	if (spill) {
		f->spill = spill;
		w->n_spills++;
		f->in_memory = true;
	} else if (j->row.is_blob) {
		rc = sw_file_load_blob(w, f, &j->row);
	} else {
		f->in_memory = true;
		sw_buf_put_view(&f->bytes, j->row.bytes);
		rc = f->bytes.rc;
	}
	if (rc == 0)
		sw_name_put_file(w, n, f);
	sw_file_unref(w, f);
	return rc;
}

/* The file is as that record has left it. */
static bool has_base_of_tail(const struct sw_name *n, const struct sw_journal_name *j)
{
	return n->has_edit && n->journal_seq == j->after && n->file && n->file->in_memory && !n->file->spill &&
	       n->file->bytes.n >= j->row.size - j->row.bytes.n;
}

static int replay_tail(struct sw_name *n, const struct sw_journal_name *j)
{
	struct sw_file *f = n->file;

	f->bytes.n = (size_t)(j->row.size - j->row.bytes.n);
	sw_buf_put_view(&f->bytes, j->row.bytes);
	f->mode = j->row.mode & SW_MODE_MASK;
	f->mtime_ns = f->ctime_ns = j->row.mtime_ns;
	return f->bytes.rc;
}

/* The content of the file is the beginning of what the record names: it has grown since. */
static bool has_grown(const struct sw_name *n, const struct sw_journal_name *j)
{
	const struct sw_file *f = n->file;

	return n->has_edit && f && f->spill && sw_spill_number(f->spill) == j->spill && sw_spill_size(f->spill) <= j->row.size;
}

/*
 * The file that a record names, with a reference. NULL: it is not as it was then. After a power failure what was not flushed may be
 * gone, shorter, or have its size and other bytes.
 */
static struct sw_spill *find_spill(struct sw_work *w, const struct sw_name *n, const struct sw_journal_name *j)
{
	struct sw_spill *spill;
	uint64_t check;

	if (has_grown(n, j))
		spill = n->file->spill;
	else if (sw_spill_open(w->spill_dir, j->spill, j->row.size, w->env, &spill) < 0)
		return NULL;
	if (sw_spill_check(spill, j->row.size, &check) == 0 && check == j->spill_check)
		return has_grown(n, j) ? sw_spill_ref(spill) : spill;
	if (!has_grown(n, j))
		leave(spill);
	return NULL;
}

static int replay_growth(struct sw_name *n, const struct sw_journal_name *j, struct sw_spill *spill)
{
	sw_spill_set_size(spill, j->row.size);
	n->file->mode = j->row.mode & SW_MODE_MASK;
	n->file->mtime_ns = n->file->ctime_ns = j->row.mtime_ns;
	sw_spill_unref(spill);
	return 0;
}

/* What stands there now. */
static int replay_content(struct sw_work *w, struct sw_name *n, const struct sw_journal_name *j, struct sw_spill *spill)
{
	if (j->is_tail)
		return replay_tail(n, j);
	if (spill && has_grown(n, j))
		return replay_growth(n, j, spill);
	if (j->key.n > 0 && j->exists)
		return replay_file(w, n, j, spill);
	sw_name_put_file(w, n, NULL);
	return 0;
}

static bool has_blob(struct sw_work *w, const struct sw_hash *blob)
{
	if (sw_db_pin_blob(w->db, blob) < 0)
		return false;
	sw_db_unpin(w->db, blob);
	return true;
}

static bool has_table(struct sw_work *w, struct sw_view table)
{
	struct sw_table t;

	return sw_work_find_table(w, table, &t) == 0;
}

/* The base is the one that the program saw; its text is known only if it still stands. */
static void replay_base(struct sw_work *w, struct sw_name *n, const struct sw_journal_name *j, const struct sw_spent *spent)
{
	struct sw_version base = n->base;
	bool follows = j->follows > 0 && j->follows <= spent->seq;

	base.exists = j->existed;
	base.hash = j->old;
	if (follows && n->key.n == 0) {
		base.exists = has_table(w, n->table);
	} else if (follows) {
		base.exists = !sw_hash_is_zero(&spent->written);
		base.hash = spent->written;
	}
	if (n->base.exists != base.exists || !sw_hash_eq(&n->base.hash, &base.hash))
		n->has_base_text = false;
	n->base = base;
}

/* A record stands for itself: later ones replace what earlier ones said of a name. */
static int replay_name(struct sw_work *w, uint64_t seq, const struct sw_journal_name *j)
{
	struct sw_spent spent = {0};
	struct sw_spill *spill;
	struct sw_name *n;
	int rc = w->is_copy ? 0 : sw_db_spent(w->db, j->table, j->key, &spent);

	/* As long as a record names a file, no other content may get its number, whether it is
	 * still there or not. */
	if (j->spill > w->last_spill)
		w->last_spill = j->spill;
	if (rc < 0 || seq <= spent.seq)
		return rc;
	rc = sw_name_get(w, j->table, j->key, &n);
	if (rc < 0)
		return rc;
	spill = j->spill ? find_spill(w, n, j) : NULL;
	n->is_lost = j->is_damaged || (j->spill && !spill) || (j->is_tail && !has_base_of_tail(n, j)) ||
		     (!j->spill && j->row.is_blob && !has_blob(w, &j->row.blob));
	if (n->is_lost)
		return 0;
	if (j->is_checked) {
		w->n_checks += !n->is_checked;
		n->is_checked = true;
		return 0;
	}
	n->is_scratch = false; /* as such it would not be recorded */
	rc = sw_name_edit(w, n);
	if (rc < 0) {
		leave(spill);
		return rc;
	}
	replay_base(w, n, j, &spent);
	n->journal_seq = seq;
	n->whole_seq = j->is_tail ? n->whole_seq : seq;
	n->table_exists = j->key.n == 0 && j->exists;
	n->table_mode = j->row.mode & SW_MODE_MASK;
	n->table_mtime_ns = j->row.mtime_ns;
	rc = replay_content(w, n, j, spill);
	sw_name_touch(w, n);
	if (rc == 0)
		sw_name_record_spill(w, n, n->file ? n->file->spill : NULL);
	if (rc == 0 && !n->file && !n->base.exists && n->key.n > 0) {
		sw_name_end_edit(w, n);
		sw_name_settle(w, n);
	}
	return rc;
}

static int replay_record(void *arg, uint64_t seq, const struct sw_journal_name *names, size_t n)
{
	struct sw_work *w = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (names[i].table.n > 0)
			rc = replay_name(w, seq, &names[i]);
		else
			w->has_lost_unknown = true;
	}
	return rc;
}

static struct sw_work *work_new(struct sw_db *db)
{
	struct sw_work *w = calloc(1, sizeof(*w));

	if (!w || sw_node_cache_new(&w->cache) < 0) {
		free(w);
		return NULL;
	}
	w->db = db;
	w->env = sw_db_env(db);
	w->n_batch = SW_WORK_BATCH_MAX;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->committed, NULL);
	return w;
}

static bool is_spill_of(void *arg, uint64_t number)
{
	const struct sw_work *w = arg;

	for (size_t i = 0; i < w->cap_names; i++) {
		const struct sw_name *n = w->names[i];

		if (n && n->file && n->file->spill && sw_spill_number(n->file->spill) == number)
			return true;
	}
	return false;
}

/* What can be said of it: 1, or 0 when there is nothing. */
static int describe_lost(const struct sw_work *w, struct sw_buf *out)
{
	size_t n_lost = 0;

	for (size_t i = 0; i < w->cap_names; i++) {
		const struct sw_name *n = w->names[i];

		if (!n || !n->is_lost || n_lost++ >= LOST_NAMED)
			continue;
		sw_buf_printf(out, "%s%.*s/%.*s", n_lost > 1 ? ", " : "what was written last in ", (int)n->table.n,
			      (const char *)n->table.p, (int)n->key.n, (const char *)n->key.p);
	}
	if (n_lost > LOST_NAMED)
		sw_buf_printf(out, " and %zu others", n_lost - LOST_NAMED);
	if (w->has_lost_unknown)
		sw_buf_printf(out, n_lost > 0 ? ", and in rows whose names cannot be read," : "what was written last in rows whose names cannot be read");
	sw_buf_printf(out, n_lost > 0 || w->has_lost_unknown ? " may be lost" : "nothing is lost");
	sw_buf_put_u8(out, 0);
	return out->rc < 0 ? out->rc : n_lost > 0 || w->has_lost_unknown;
}

static void tell_lost(struct sw_work *w)
{
	const char *why = sw_journal_damage(w->journal) ? "since the journal is damaged" : "since it had not reached the disk";

	for (size_t i = 0; i < w->cap_names; i++) {
		const struct sw_name *n = w->names[i];

		if (n && n->is_lost)
			sw_log(SW_LOG_WARN, "%.*s/%.*s: what was written last is lost, %s", (int)n->table.n,
			       (const char *)n->table.p, (int)n->key.n, (const char *)n->key.p, why);
	}
}

/* What a crash kept from being named goes: it is not the row's. */
static int cut_spills(struct sw_work *w)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->cap_names; i++) {
		const struct sw_name *n = w->names[i];

		if (n && n->file && n->file->spill)
			rc = sw_spill_truncate(n->file->spill, sw_spill_size(n->file->spill));
	}
	return rc;
}

/* The sentence that was kept last. */
static void note_damage(struct sw_work *w)
{
	snprintf(w->damage, sizeof(w->damage), "%s", sw_fail_message(SW_ECORRUPT));
}

/* A transaction of which a part is missing must not be applied; it can be looked into. */
static void freeze_damaged(struct sw_work *w, const char *path, const char *lost)
{
	w->is_frozen = true;
	(void)sw_fail(SW_ECORRUPT, "%s cannot be read as a whole: %s; copy out of the transaction what is wanted, and discard it", path,
		      lost);
}

/* What can be read goes on in a new one; beside the damaged one goes the content of large rows that only it may name. */
static int replace_damaged(struct sw_work *w, const char *path, const char *lost)
{
	unsigned long long n_bytes = sw_journal_damage(w->journal);
	char *spills = NULL;
	int rc = sw_journal_keep_aside(w->journal, &w->aside);

	if (rc == 0)
		rc = sw_work_renew_journal(w);
	if (rc == 0 && asprintf(&spills, "%s" SW_SPILL_SUFFIX, w->aside) < 0)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = sw_spills_clear(w->spill_dir, spills, is_spill_of, w);
	if (rc == 0)
		rc = cut_spills(w);
	free(spills);
	if (rc == 0)
		(void)sw_fail(SW_ECORRUPT,
			      "the journal %s was damaged: %llu bytes of it cannot be read, and %s; what can be read was taken over, "
			      "and the damaged file is kept as %s: remove it when nothing in it is wanted",
			      path, n_bytes, lost, w->aside);
	return rc;
}

/* Of an earlier start. */
static int find_aside(struct sw_work *w)
{
	int rc = sw_journal_find_aside(w->journal, &w->aside);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	(void)sw_fail(SW_ECORRUPT, "%s is a journal that was damaged at an earlier start: remove it when nothing in it is wanted", w->aside);
	note_damage(w);
	return 0;
}

static int follow_damaged(struct sw_work *w, const char *path, const char *lost)
{
	int rc = 0;

	if (w->is_copy)
		freeze_damaged(w, path, lost);
	else
		rc = replace_damaged(w, path, lost);
	if (rc < 0)
		return rc;
	note_damage(w);
	if (!w->is_copy) /* whoever opens one tells its name */
		sw_log(SW_LOG_ERROR, "%s", w->damage);
	return 0;
}

/* What the journal did not bring back is told of, and what it does not name goes. */
static int follow_journal(struct sw_work *w, const char *path)
{
	SW_BUF lost = {0};
	int rc = describe_lost(w, &lost);

	tell_lost(w);
	if (rc < 0)
		return rc;
	if (w->is_copy ? rc > 0 : sw_journal_damage(w->journal) > 0)
		return follow_damaged(w, path, (char *)lost.p);
	rc = sw_journal_damage(w->journal) > 0 ? sw_work_renew_journal(w) : 0; /* a copy's header, no more */
	if (rc == 0)
		rc = cut_spills(w);
	if (rc == 0)
		rc = sw_spills_clear(w->spill_dir, NULL, is_spill_of, w);
	return rc < 0 || w->is_copy ? rc : find_aside(w);
}

/* The journal, and beside it the directory with what is too large for it. */
static int open_journal(struct sw_work *w, const char *name)
{
	char path[4096];
	int rc;

	if (snprintf(path, sizeof(path), "%s/%s", sw_db_dir(w->db), name) >= (int)sizeof(path))
		return sw_fail(SW_ETOOLONG, "%s: path too long", sw_db_dir(w->db));
	if (asprintf(&w->spill_dir, "%s" SW_SPILL_SUFFIX, path) < 0) {
		w->spill_dir = NULL;
		return SW_ENOMEM;
	}
	w->keeps_spills = true;
	rc = sw_journal_open(path, w->env, replay_record, w, &w->journal);
	sw_work_free_replaced(w);
	if (rc == 0)
		rc = follow_journal(w, path);
	w->keeps_spills = false;
	return rc;
}

int sw_work_open(struct sw_db *db, const struct sw_work_options *options, struct sw_work **out)
{
	struct sw_work *w = work_new(db);
	uint64_t spent = 0;
	int rc;

	if (!w)
		return SW_ENOMEM;
	w->settle_ms = options && options->settle_ms ? options->settle_ms : SETTLE_MS;
	w->settle_max_ms = w->settle_ms > SETTLE_MAX_MS ? w->settle_ms : SETTLE_MAX_MS;
	rc = sw_schemas_new(&w->schemas);
	if (rc == 0)
		rc = sw_refused_open(sw_db_dir(db), w->env, &w->refused);
	if (rc == 0)
		rc = open_journal(w, "journal");
	if (rc == 0)
		rc = sw_db_spent_last(db, &spent);
	if (rc < 0) {
		sw_work_close(w);
		return rc;
	}
	sw_journal_skip(w->journal, spent);
	*out = w;
	return 0;
}

int sw_work_open_copy(struct sw_db *db, struct sw_work *live, const struct sw_hash *base,
		      const char *journal, struct sw_work **out)
{
	struct sw_work *w = work_new(db);
	int rc;

	if (!w)
		return SW_ENOMEM;
	rc = sw_db_pin(db, base);
	w->is_copy = rc == 0;
	w->base = *base;
	w->refused = w->is_copy ? live->refused : NULL;
	if (rc == 0)
		rc = sw_schemas_new(&w->schemas);
	if (rc == 0)
		rc = open_journal(w, journal);
	if (rc < 0) {
		sw_work_close(w);
		return rc;
	}
	*out = w;
	return 0;
}

int sw_work_open_damaged(struct sw_db *db, const struct sw_hash *base, struct sw_work **out)
{
	struct sw_work *w = work_new(db);
	int rc;

	if (!w)
		return SW_ENOMEM;
	rc = sw_db_pin(db, base);
	w->is_copy = rc == 0;
	w->base = *base;
	w->is_frozen = w->is_damaged = true;
	if (rc < 0)
		sw_work_close(w);
	else
		*out = w;
	return rc;
}

/* What cannot be committed now, or must not, stays in the journal, which replays it at the next
 * open. */
static void commit_last(struct sw_work *w)
{
	struct sw_hash id;

	if (!w->journal ||
	    (!w->is_copy && sw_work_commit(w, sw_view(NULL, 0), &id) == 0 && w->n_edits == 0))
		return;
	if (sw_journal_sync(w->journal) < 0) {
		/* Nothing better can be done at the end; the bytes are in the kernel. */
	}
}

void sw_work_close(struct sw_work *w)
{
	if (!w)
		return;
	commit_last(w);
	w->keeps_spills = true;
	for (size_t i = 0; i < w->cap_names; i++) {
		struct sw_name *n = w->names[i];

		if (!n)
			continue;
		sw_name_free_spill(w, n);
		if (n->file) {
			n->file->name = NULL;
			sw_file_unref(w, n->file);
		}
		sw_name_free(n);
	}
	free(w->names);
	sw_work_free_replaced(w);
	free(w->replaced);
	sw_schemas_free(w->schemas);
	if (!w->is_copy)
		sw_refused_close(w->refused);
	sw_work_free_stale(w);
	sw_journal_close(w->journal);
	if (w->spill_dir)
		(void)rmdir(w->spill_dir); /* unless something waits in it */
	free(w->spill_dir);
	free(w->aside);
	sw_node_cache_free(w->cache);
	if (w->is_copy)
		sw_db_unpin(w->db, &w->base);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->committed);
	free(w);
}

void sw_work_on_due(struct sw_work *w, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->on_due = fn;
	w->on_due_arg = arg;
	pthread_mutex_unlock(&w->lock);
}

void sw_work_on_merge(struct sw_work *w,
		      void (*fn)(void *arg, struct sw_view table, struct sw_view key), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->on_merge = fn;
	w->on_merge_arg = arg;
	pthread_mutex_unlock(&w->lock);
}

bool sw_work_is_edited(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	const struct sw_name *n;
	bool is_edited;

	pthread_mutex_lock(&w->lock);
	n = sw_name_find(w, table, key);
	is_edited = n && n->has_edit;
	pthread_mutex_unlock(&w->lock);
	return is_edited;
}

int sw_work_check(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	struct sw_journal_name record = {.table = table, .key = key, .is_checked = true};
	struct sw_name *n = NULL;
	uint64_t seq;
	int rc = sw_name_check(table);

	if (rc == 0)
		rc = sw_name_check(key);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&w->lock);
	rc = w->is_frozen ? SW_EROFS : sw_name_get(w, table, key, &n);
	if (rc == 0 && !n->is_checked) {
		rc = sw_journal_append(w->journal, &record, 1, &seq);
		if (rc == 0) {
			n->is_checked = true;
			w->n_checks++;
			journal_is_dirty(w);
		}
		sw_name_settle(w, n);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int sw_work_checks(struct sw_work *w, struct sw_buf *out)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->cap_names; i++) {
		if (!w->names[i] || !w->names[i]->is_checked)
			continue;
		sw_buf_put_bytes(out, w->names[i]->table);
		sw_buf_put_bytes(out, w->names[i]->key);
	}
	pthread_mutex_unlock(&w->lock);
	return out->rc;
}

void sw_work_status(struct sw_work *w, struct sw_work_status *out)
{
	pthread_mutex_lock(&w->lock);
	*out =
	    (struct sw_work_status){.n_edits = w->n_edits,
				    .n_scratch = w->n_scratch,
				    .n_checks = w->n_checks,
				    .n_held = w->n_names,
				    .journal_bytes = w->journal ? sw_journal_size(w->journal) : 0};
	snprintf(out->error, sizeof(out->error), "%s", w->error);
	if (!w->aside || access(w->aside, F_OK) == 0)
		snprintf(out->damage, sizeof(out->damage), "%s", w->damage);
	pthread_mutex_unlock(&w->lock);
}
