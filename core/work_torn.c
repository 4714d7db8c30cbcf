/*
 * What a file was before somebody began to write it. Until that is over, the bytes in between are nobody's version of the row:
 * a record about its name that is due to something else, as a rename, says what it was before.
 */
#include "core/work_internal.h"

#include <assert.h>

static int keep_row(struct sw_work *w, const struct sw_file *f, struct sw_file *whole)
{
	int rc = f->is_pinned ? sw_db_pin(w->db, &f->pin) : 0;

	if (rc < 0)
		return rc;
	whole->is_pinned = f->is_pinned;
	whole->pin = f->pin;
	return 0;
}

static int keep_content(struct sw_work *w, struct sw_file *f, struct sw_file *whole)
{
	whole->mode = f->mode;
	whole->mtime_ns = f->mtime_ns;
	whole->in_memory = f->in_memory;
	whole->row = f->row;
	if (f->spill) {
		whole->row = (struct sw_row){.size = sw_spill_size(f->spill)};
		whole->spill = sw_spill_fix(f->spill);
		return 0;
	}
	sw_buf_put_view(&whole->bytes, sw_buf_view(&f->bytes));
	if (whole->bytes.rc < 0)
		return whole->bytes.rc;
	if (f->in_memory)
		return 0;
	if (!f->row.is_blob)
		whole->row.bytes = sw_buf_view(&whole->bytes);
	return keep_row(w, f, whole);
}

int sw_file_tear(struct sw_work *w, struct sw_file *f)
{
	struct sw_file *whole;
	int rc;

	if (!f->name || (f->is_torn && f->n_dirty > 0))
		return 0;
	rc = sw_file_new(w, &whole);
	if (rc < 0)
		return rc;
	rc = keep_content(w, f, whole);
	if (rc < 0) {
		sw_file_unref(w, whole);
		return rc;
	}
	sw_file_mend(w, f);
	f->is_torn = true;
	f->whole = whole;
	return 0;
}

void sw_file_mend(struct sw_work *w, struct sw_file *f)
{
	struct sw_file *whole = SW_TAKE(f->whole);

	f->is_torn = false;
	if (!whole)
		return;
	sw_spill_unfix(w, SW_TAKE(whole->spill));
	sw_file_unref(w, whole);
}

void sw_file_untear(struct sw_work *w, struct sw_file *f)
{
	struct sw_file *whole = f->whole;

	assert(whole && !f->is_pinned);
	sw_file_drop_spill(w, f);
	sw_buf_fini(&f->bytes);
	f->bytes = whole->bytes;
	whole->bytes = (struct sw_buf){0};
	f->in_memory = whole->in_memory;
	f->row = whole->row;
	f->is_pinned = whole->is_pinned;
	f->pin = whole->pin;
	whole->is_pinned = false;
	if (whole->spill) {
		f->spill = sw_spill_ref(whole->spill);
		w->n_spills++;
		/* It may have grown where it is. What is behind its end on the disk is nothing. */
		if (sw_spill_size(f->spill) != whole->row.size && sw_spill_truncate(f->spill, whole->row.size) < 0)
			sw_spill_set_size(f->spill, whole->row.size);
	}
	f->mode = whole->mode;
	f->mtime_ns = whole->mtime_ns;
	sw_file_mend(w, f);
}

const struct sw_file *sw_file_whole(const struct sw_file *f)
{
	return f && f->is_torn && f->n_dirty > 0 ? f->whole : f;
}
