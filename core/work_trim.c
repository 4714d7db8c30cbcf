/*
 * A journal begins anew once it has grown: an empty one when nothing waits, else one that says no more than what stands now. So
 * neither a working copy, which may last for months, nor a row that somebody keeps open makes it grow for ever.
 */
#include "core/work_internal.h"

#define TRIM_BYTES (256 << 10)
#define NAME_BYTES 128 /* of a record, at least, but for its texts */

/* What a new journal would take. */
static uint64_t bytes_now(const struct sw_work *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->cap_names; i++) {
		const struct sw_name *name = w->names[i];

		if (!name || name->is_scratch || (!name->has_edit && !name->is_checked))
			continue;
		n += NAME_BYTES + name->table.n + name->key.n;
		if (name->file && name->file->in_memory && !name->file->spill)
			n += name->file->bytes.n;
	}
	return n;
}

/* What is new and not closed yet; the journal may know that it is there. */
static bool is_unborn(const struct sw_name *n)
{
	return n->file && !sw_file_whole(n->file);
}

/* Whether the journal has anything of the name. What failed to get there still has to. */
static bool is_in_journal(const struct sw_name *n)
{
	if (n->is_scratch || !n->has_edit)
		return false;
	return n->journal_seq > 0 || sw_file_whole(n->file) == n->file;
}

/* Whether what the journal has of a name is still known, and on the disk. Of what was put aside it has what nothing else has. */
static bool is_recorded(const struct sw_name *n)
{
	const struct sw_file *f = sw_file_whole(n->file);

	if (n->aside)
		return false;
	if (!is_in_journal(n))
		return true;
	if (is_unborn(n))
		return n->recorded_file == n->file->generation;
	return n->recorded == (f ? f->spill : NULL);
}

static bool all_recorded(const struct sw_work *w)
{
	for (size_t i = 0; i < w->cap_names; i++)
		if (w->names[i] && !is_recorded(w->names[i]))
			return false;
	return true;
}

static int write_name(struct sw_work *w, struct sw_journal *j, struct sw_name *n)
{
	const struct sw_file *f = sw_file_whole(n->file);
	struct sw_journal_name record;
	uint64_t seq;
	int rc = 0;

	if (n->is_checked) {
		record = (struct sw_journal_name){
		    .table = n->table, .key = n->key, .is_checked = true};
		rc = sw_journal_append(j, &record, 1, &seq);
	}
	if (rc < 0 || !is_in_journal(n))
		return rc;
	rc = sw_name_describe(n, f, &record);
	if (rc < 0)
		return rc;
	if (is_unborn(n)) {
		record.exists = true;
		record.row = (struct sw_row){.mode = n->file->mode, .mtime_ns = n->file->mtime_ns};
	}
	rc = sw_journal_append(j, &record, 1, &seq);
	if (rc < 0)
		return rc;
	sw_name_recorded(w, n, f, seq, &record);
	if (is_unborn(n))
		n->recorded_file = n->file->generation;
	return 0;
}

/*
 * The old records count: nothing can build on the new ones, and their numbers, which names have got, must not be given again. Nor does
 * anybody know any more which of the old ones a name needs: none may be forgotten.
 */
static void go_on_with_old(struct sw_work *w, uint64_t next)
{
	for (size_t i = 0; i < w->cap_names; i++)
		if (w->names[i])
			w->names[i]->recorded_file = w->names[i]->whole_seq = 0;
	sw_journal_skip(w->journal, next - 1);
}

int sw_work_renew_journal(struct sw_work *w)
{
	struct sw_journal *fresh;
	int rc = sw_journal_fork(w->journal, &fresh);
	uint64_t next;

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < w->cap_names; i++)
		if (w->names[i])
			rc = write_name(w, fresh, w->names[i]);
	next = sw_journal_next(fresh);
	if (rc < 0)
		sw_journal_discard(fresh);
	else
		rc = sw_journal_replace(w->journal, fresh);
	if (rc < 0)
		go_on_with_old(w, next);
	return rc;
}

int sw_work_sync_journal(struct sw_work *w)
{
	int rc = sw_journal_sync(w->journal);

	if (rc == 0 || !sw_journal_is_broken(w->journal) || w->is_frozen || w->committing || !all_recorded(w))
		return rc;
	return sw_work_renew_journal(w);
}

bool sw_work_forget_records(struct sw_work *w)
{
	uint64_t first = sw_journal_next(w->journal), freed = 0;

	/* A working copy has none that is spent. And what a record stands for may not be on the disk yet: then the one before counts. */
	if (w->is_copy || w->is_frozen || sw_work_has_dirty_spills(w))
		return false;
	for (size_t i = 0; i < w->cap_names; i++) {
		const struct sw_name *n = w->names[i];

		if (n && n->has_edit && n->journal_seq > 0 && n->whole_seq < first)
			first = n->whole_seq;
	}
	return sw_journal_forget(w->journal, first, &freed) == 0 && freed > 0;
}

/* Nothing waits: what the journal has, on the disk or not, is nothing any more. */
static int begin_empty(struct sw_work *w)
{
	int rc = sw_journal_reset(w->journal);

	if (rc < 0)
		return rc;
	w->journal_dirty_ms = 0;
	sw_work_free_replaced(w);
	return 0;
}

static bool is_worth_it(const struct sw_work *w)
{
	return sw_journal_size(w->journal) >= 2 * bytes_now(w);
}

int sw_work_trim(struct sw_work *w, uint64_t *last_gone)
{
	uint64_t last = w->journal ? sw_journal_next(w->journal) - 1 : 0;
	bool is_empty = w->n_edits == 0 && !w->is_copy;
	int rc;

	/* The numbers of what is being committed must stay: they are about to be spent. */
	if (!w->journal || w->is_frozen || w->committing || sw_journal_size(w->journal) < TRIM_BYTES)
		return 0;
	if (!is_empty && (w->journal_dirty_ms > 0 || !is_worth_it(w) || !all_recorded(w)))
		return 0;
	rc = is_empty ? begin_empty(w) : sw_work_renew_journal(w);
	if (rc == 0 && !w->is_copy)
		*last_gone = last;
	return rc;
}
