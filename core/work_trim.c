/*
 * A journal begins anew once it has grown: an empty one when nothing waits, else, for a working copy, which may last for
 * months, one that says no more than what stands now.
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

/* Whether all that the journal has of a name is what stands there, on the disk: not while a program writes it. */
static bool is_recorded(const struct sw_name *n)
{
	if (n->is_scratch || !n->has_edit)
		return true;
	return sw_name_is_whole(n) && n->recorded == (n->file ? n->file->spill : NULL);
}

static bool all_recorded(const struct sw_work *w)
{
	for (size_t i = 0; i < w->cap_names; i++)
		if (w->names[i] && !is_recorded(w->names[i]))
			return false;
	return true;
}

static int write_name(struct sw_journal *j, const struct sw_name *n)
{
	struct sw_journal_name record;
	uint64_t seq;
	int rc = 0;

	if (n->is_checked) {
		record = (struct sw_journal_name){
		    .table = sw_buf_view(&n->table), .key = sw_buf_view(&n->key), .is_checked = true};
		rc = sw_journal_append(j, &record, 1, &seq);
	}
	if (rc < 0 || !n->has_edit || n->is_scratch)
		return rc;
	sw_name_describe(n, n->file, &record);
	return sw_journal_append(j, &record, 1, &seq);
}

static int write_again(struct sw_work *w)
{
	struct sw_journal *fresh;
	int rc = sw_journal_fork(w->journal, &fresh);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < w->cap_names; i++)
		if (w->names[i])
			rc = write_name(fresh, w->names[i]);
	if (rc < 0) {
		sw_journal_discard(fresh);
		return rc;
	}
	return sw_journal_replace(w->journal, fresh);
}

/* A failure changes nothing: it is tried again with the next flush. */
static int trim_copy(struct sw_work *w)
{
	uint64_t size = sw_journal_size(w->journal);

	if (w->is_frozen || w->journal_dirty_ms > 0 || size < TRIM_BYTES || size < 2 * bytes_now(w) || !all_recorded(w))
		return 0;
	return write_again(w);
}

static int trim_live(struct sw_work *w, uint64_t *last_gone)
{
	int rc;

	if (w->n_edits > 0 || sw_journal_size(w->journal) < TRIM_BYTES)
		return 0;
	rc = sw_journal_reset(w->journal);
	w->journal_dirty_ms = 0;
	if (rc < 0)
		return rc;
	sw_work_free_replaced(w);
	*last_gone = sw_journal_next(w->journal) - 1;
	return 0;
}

int sw_work_trim(struct sw_work *w, uint64_t *last_gone)
{
	if (!w->journal)
		return 0;
	return w->is_copy ? trim_copy(w) : trim_live(w, last_gone);
}
