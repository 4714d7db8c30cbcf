/* Which edits go into the next commit, and what they are in it. */
#include "core/work_batch.h"

#include <stdlib.h>

#define BATCH_BYTES_MAX ((size_t)64 << 20)

void sw_work_batch_fini(struct sw_work *w, struct sw_work_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		sw_work_discard(w, b->items[i].stage);
		sw_buf_fini(&b->items[i].content);
		sw_buf_fini(&b->items[i].base_text);
	}
	free(b->items);
	free(b->ops);
	*b = (struct sw_work_batch){0};
}

static void table_op(const struct sw_name *n, struct sw_op *op)
{
	op->row.mode = n->table_mode;
	op->row.mtime_ns = n->table_mtime_ns;
	if (!n->table_exists)
		op->kind = SW_OP_RMTABLE;
	else
		op->kind = n->base.exists ? SW_OP_CHMETA : SW_OP_MKTABLE;
}

static void row_op(const struct sw_name *n, struct sw_write_op *w)
{
	const struct sw_file *f = n->file;

	w->op.old = n->base.hash;
	w->op.kind = f ? SW_OP_PUT : SW_OP_DELETE;
	if (!f)
		return;
	w->is_made = f->spill || (!f->in_memory && f->row.is_blob);
	w->stage = f->stage;
	if (w->is_made)
		w->op.row = f->spill ? f->staged : f->row;
	else
		w->content = sw_buf_view(&f->bytes);
	w->op.row.mode = f->mode;
	w->op.row.mtime_ns = f->mtime_ns;
	w->has_base = n->has_base_text;
	if (w->has_base)
		w->base = sw_buf_view(&n->base_text);
}

void sw_name_op(const struct sw_name *n, struct sw_write_op *out)
{
	*out = (struct sw_write_op){.op.table = n->table,
				    .op.key = n->key};
	if (n->key.n == 0)
		table_op(n, &out->op);
	else
		row_op(n, out);
}

/* The rest of the set goes on while it is committed: what it borrows must not change. */
static int keep_texts(struct sw_work_item *it, struct sw_write_op *w)
{
	sw_buf_put_view(&it->content, w->content);
	sw_buf_put_view(&it->base_text, w->base);
	w->content = sw_buf_view(&it->content);
	w->base = sw_buf_view(&it->base_text);
	return it->content.rc < 0 || it->base_text.rc < 0 ? SW_ENOMEM : 0;
}

/* Up to where its records are spent then: what failed to be recorded has none, but what comes next must say what it follows. */
static uint64_t spent_by(const struct sw_work *w, const struct sw_name *n)
{
	return n->journal_seq > 0 ? n->journal_seq : sw_journal_next(w->journal) - 1;
}

static int add_item(const struct sw_work *w, struct sw_work_batch *b, struct sw_name *n)
{
	struct sw_work_item *it = &b->items[b->n];
	struct sw_write_op *op = &b->ops[b->n];
	int rc;

	*it = (struct sw_work_item){.name = n, .group = b->n_groups, .version = n->version};
	sw_name_op(n, op);
	n->in_commit = true;
	n->commit_seq = op->journal_seq = spent_by(w, n);
	op->tag = b->n++;
	n->recorded_file = 0; /* once that is spent, nothing can build on it */
	if (op->op.kind == SW_OP_PUT)
		it->written = (struct sw_version){.exists = true,
						  .hash = n->base.hash,
						  .mode = op->op.row.mode,
						  .mtime_ns = op->op.row.mtime_ns};
	if (op->stage)
		it->stage = SW_TAKE(n->file->stage);
	rc = keep_texts(it, op);
	b->bytes += it->content.n;
	return rc;
}

static bool is_ready_alone(const struct sw_work *w, const struct sw_name *n, uint64_t now, bool all)
{
	uint64_t ready = n->has_edit ? sw_name_ready_ms(w, n) : UINT64_MAX;

	return ready != UINT64_MAX && (all || ready <= now);
}

bool sw_name_is_ready(const struct sw_work *w, const struct sw_name *n, uint64_t now, bool all)
{
	const struct sw_name *other = n;

	do
		if (!is_ready_alone(w, other, now, all))
			return false;
	while ((other = other->joined_next) != n);
	return true;
}

static bool is_removal(const struct sw_name *n)
{
	return n->key.n == 0 && !n->table_exists;
}

/*
 * Whether all that the name is joined with can be committed now. They are marked, so that it need
 * not be asked of each of them. A table that is removed waits until its rows are, in this commit at
 * the latest: with rows it would stay.
 */
static bool is_ready(struct sw_work *w, struct sw_name *n, uint64_t now, bool all)
{
	uint64_t mark = ++w->clock;
	struct sw_name *other = n;
	bool is_ready = true;

	do {
		other->mark = mark;
		is_ready =
		    is_ready && !other->aside && is_ready_alone(w, other, now, all) && !sw_name_needs_stage(other);
	} while ((other = other->joined_next) != n);
	do
		for (const struct sw_name *row = is_removal(other) ? other->rows : NULL;
		     is_ready && row; row = row->next_sibling)
			is_ready = row->is_scratch || row->in_commit || row->mark == mark;
	while ((other = other->joined_next) != n);
	return is_ready;
}

static bool is_new_table(const struct sw_name *n)
{
	return n->has_edit && n->table_exists && !n->base.exists && !n->in_commit;
}

/*
 * A row brings the table that it is in into the world, whatever the making of that is joined with: the table must know, or nobody
 * would remove it again.
 */
static int add_new_tables(const struct sw_work *w, struct sw_work_batch *b, size_t first)
{
	int rc = 0;

	for (size_t i = first, n = b->n; rc == 0 && i < n; i++) {
		struct sw_name *row = b->items[i].name;

		if (row->key.n == 0 || !row->file || !is_new_table(row->dir))
			continue;
		sw_name_part(row->dir);
		rc = add_item(w, b, row->dir);
	}
	return rc;
}

/* A name, and those that it is joined with. What joins them from now on is about what comes after
 * this commit. */
static int add_joined(const struct sw_work *w, struct sw_work_batch *b, struct sw_name *n)
{
	size_t first = b->n;
	int rc = 0;

	while (rc == 0 && n) {
		struct sw_name *next = n->joined_next == n ? NULL : n->joined_next;

		sw_name_part(n);
		rc = add_item(w, b, n);
		n = next;
	}
	if (rc == 0)
		rc = add_new_tables(w, b, first);
	b->n_groups++;
	return rc;
}

bool sw_work_is_strict(const struct sw_work *w)
{
	return sw_db_conflict_mode(w->db) == SW_CONFLICT_DROP;
}

bool sw_work_batch_is_full(const struct sw_work *w, const struct sw_work_batch *b)
{
	if (sw_work_is_strict(w))
		return b->n > 0;
	return b->n >= w->n_batch || b->bytes >= BATCH_BYTES_MAX;
}

static int gather_edits(struct sw_work *w, bool all, bool removals, struct sw_work_batch *b)
{
	uint64_t now = sw_env_mono_ms(w->env), begin = w->clock;
	int rc = 0;

	for (struct sw_name *n = w->first_edit; rc == 0 && n && !sw_work_batch_is_full(w, b);
	     n = n->next_edit) {
		if (n->in_commit || n->mark > begin || is_removal(n) != removals)
			continue;
		if (is_ready(w, n, now, all))
			rc = add_joined(w, b, n);
	}
	return rc;
}

static int make_room(const struct sw_work *w, struct sw_work_batch *b)
{
	b->items = calloc(w->n_edits, sizeof(*b->items));
	b->ops = calloc(w->n_edits, sizeof(*b->ops));
	return b->items && b->ops ? 0 : SW_ENOMEM;
}

int sw_work_gather(struct sw_work *w, bool all, struct sw_work_batch *b)
{
	int rc;

	if (sw_work_adopt(w, all) < 0) {
		/* What was put aside stays so; the others need not wait. */
	}
	if (w->n_edits == 0)
		return 0;
	rc = make_room(w, b);
	if (rc == 0)
		rc = gather_edits(w, all, false, b);
	return rc < 0 ? rc : gather_edits(w, all, true, b);
}

static int add_if_whole(struct sw_work *w, struct sw_work_batch *b, struct sw_name *n)
{
	if (n->in_commit || sw_work_batch_is_full(w, b) || !is_ready(w, n, sw_env_mono_ms(w->env), true))
		return 0;
	return add_joined(w, b, n);
}

int sw_work_gather_alone(struct sw_work *w, struct sw_name *n, struct sw_work_batch *b)
{
	int rc = make_room(w, b);

	for (struct sw_name *row = n->rows; rc == 0 && row; row = row->next_sibling)
		rc = add_if_whole(w, b, row);
	return rc < 0 ? rc : add_if_whole(w, b, n);
}

/* Names of the same group belong together as before. Without memory for that each goes its own way.
 */
void sw_work_batch_join(struct sw_work *w, const struct sw_work_batch *b)
{
	struct sw_name **names = calloc(b->n + 1, sizeof(struct sw_name *));
	size_t n = 0;

	for (size_t i = 0; names && i < b->n; i++) {
		if (b->items[i].name->has_edit)
			names[n++] = b->items[i].name;
		if (i + 1 < b->n && b->items[i + 1].group == b->items[i].group)
			continue;
		sw_name_join(w, names, n);
		n = 0;
	}
	free(names);
}

bool sw_work_batch_part(struct sw_work *w, const struct sw_work_batch *b)
{
	if (b->n < 2)
		return false;
	if (b->n_groups > 1) {
		w->n_batch = (b->n < w->n_batch ? b->n : w->n_batch) / 2;
		sw_work_batch_join(w, b);
	}
	return true;
}

void sw_work_batch_put_back(const struct sw_work_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct sw_work_item *it = &b->items[i];

		if (it->version == it->name->version && sw_name_needs_stage(it->name))
			it->name->file->stage = SW_TAKE(it->stage);
	}
}
