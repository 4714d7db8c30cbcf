/* What was lost, to whom, and on top of what: found in the history of the row. */
#include <stdlib.h>

#include "core/ancestors.h"
#include "core/conflicts.h"

void sw_side_fini(struct sw_side *s)
{
	sw_buf_fini(&s->bytes);
	*s = (struct sw_side){0};
}

static int row_refs(const struct sw_reader *r, const struct sw_conflict *c, struct sw_op_refs *out)
{
	struct sw_cell cell;

	sw_row_cell(sw_conflict_table(c), sw_conflict_key_of(c), &cell);
	return sw_history_refs(r->txn, &cell, 0, out);
}

/* The operation; false when it is on another row whose cell has the same hash. */
static int read_op(const struct sw_reader *r, const struct sw_conflict *c,
		   const struct sw_op_ref *ref, struct sw_op *op, bool *is_ours)
{
	struct sw_view changeset;
	enum sw_mode mode;
	int rc = sw_history_changeset(r->txn, ref->seq, &changeset);

	if (rc == 0 && sw_changeset_at(changeset, ref->offset, &mode, op) < 0)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	*is_ours = rc == 0 && sw_view_eq(op->table, sw_conflict_table(c)) &&
		   sw_view_eq(op->key, sw_conflict_key_of(c));
	return rc;
}

/* What the losing commit did to the row. */
static int losing_op(const struct sw_reader *r, const struct sw_conflict *c,
		     const struct sw_op_refs *refs, struct sw_op *op)
{
	bool is_ours = false;
	uint64_t seq;
	int rc = sw_history_seq(r->txn, &c->commit, &seq);

	for (size_t i = 0; rc == 0 && i < refs->n; i++) {
		if (refs->v[i].seq != seq)
			continue;
		rc = read_op(r, c, &refs->v[i], op, &is_ours);
		if (rc == 0 && is_ours && (op->kind == SW_OP_PUT || op->kind == SW_OP_DELETE))
			return 0;
	}
	return rc < 0 ? rc : SW_ENOTFOUND;
}

static int set_row(struct sw_side *s, const struct sw_row *row)
{
	s->state = SW_SIDE_THERE;
	s->row = *row;
	if (!row->is_blob) {
		sw_buf_put_view(&s->bytes, row->bytes);
		s->row.bytes = sw_buf_view(&s->bytes);
	}
	sw_row_hash(&s->row, &s->hash);
	return s->bytes.rc;
}

static int won(const struct sw_reader *r, const struct sw_conflict *c, struct sw_side *out)
{
	struct sw_row row;
	int rc = sw_state_row(r->nodes, &r->head.state, sw_conflict_table(c), sw_conflict_key_of(c),
			      &row);

	if (rc == SW_ENOTFOUND)
		return 0;
	return rc < 0 ? rc : set_row(out, &row);
}

/* A value that some commit wrote as it is: 1 found. */
static int written_as_is(const struct sw_reader *r, const struct sw_conflict *c,
			 const struct sw_op_refs *refs, struct sw_side *out)
{
	for (size_t i = refs->n; i-- > 0;) {
		struct sw_hash hash;
		struct sw_op op;
		bool is_ours;
		int rc = read_op(r, c, &refs->v[i], &op, &is_ours);

		if (rc < 0)
			return rc;
		if (!is_ours || op.kind != SW_OP_PUT)
			continue;
		sw_op_new_hash(&op, &hash);
		if (sw_hash_eq(&hash, &out->hash)) {
			rc = set_row(out, &op.row);
			return rc < 0 ? rc : 1;
		}
	}
	return 0;
}

/* Those of the operations, in order, that the author of a commit had seen; free past->v. */
static int in_the_past(const struct sw_reader *r, const struct sw_hash *id,
		       const struct sw_op_refs *refs, struct sw_op_refs *past)
{
	struct sw_ancestors walk = {0};
	struct sw_view raw, changeset;
	struct sw_order order;
	struct sw_commit c;
	size_t left = refs->n; /* those from here on are newer than what the walk finds */
	uint64_t seq;
	int rc = sw_db_get_commit(r, id, &c, &raw, &changeset);

	*past = (struct sw_op_refs){.v = calloc(refs->n + 1, sizeof(*past->v))};
	if (rc == 0 && !past->v)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = sw_ancestors_add_parents(&walk, r->txn, &c);
	while (rc == 0 && left > 0 && (rc = sw_ancestors_next(&walk, r->txn, &order, &seq)) > 0) {
		rc = 0;
		while (left > 0 && refs->v[left - 1].stamp > sw_order_stamp(&order))
			left--;
		for (size_t i = left; i-- > 0 && refs->v[i].stamp == sw_order_stamp(&order);)
			if (refs->v[i].seq == seq)
				past->v[past->n++] = refs->v[i];
	}
	sw_ancestors_fini(&walk);
	for (size_t i = 0, j = past->n; rc == 0 && i + 1 < j; i++) {
		struct sw_op_ref swap = past->v[i];

		past->v[i] = past->v[--j];
		past->v[j] = swap;
	}
	return rc;
}

/*
 * A value that nobody wrote as it is came of a merge, as the author saw the row. Whether a strict
 * commit was applied there is not known any more; its outcome now stands in, and the hash says
 * whether that was right. 1 found.
 */
static int merged_in_the_past(const struct sw_db *db, const struct sw_reader *r,
			      const struct sw_conflict *c, const struct sw_op_refs *refs,
			      struct sw_side *out)
{
	struct sw_fold_row row = {0};
	struct sw_op_refs past;
	int rc = in_the_past(r, &c->commit, refs, &past);

	if (rc == 0)
		rc = sw_fold_refs(r->txn, r->nodes, sw_db_shape(db), sw_conflict_table(c),
				  sw_conflict_key_of(c), &past, &out->hash, &row);
	if (rc > 0) {
		/* Its records are in nobody's store: take the bytes. */
		out->state = SW_SIDE_THERE;
		out->row = row.row;
		out->row.is_blob = false;
		if (sw_row_read(r->nodes, &row.row, &out->bytes) < 0)
			rc = SW_ENOMEM;
		out->row.bytes = sw_buf_view(&out->bytes);
	}
	sw_fold_row_fini(&row);
	free(past.v);
	return rc;
}

static int base(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		const struct sw_op_refs *refs, const struct sw_op *lost, struct sw_side *out)
{
	int rc;

	out->hash = lost->old;
	if (sw_hash_is_zero(&lost->old))
		return 0;
	rc = written_as_is(r, c, refs, out);
	if (rc == 0)
		rc = merged_in_the_past(db, r, c, refs, out);
	if (rc == 0)
		out->state = SW_SIDE_UNKNOWN;
	return rc < 0 ? rc : 0;
}

int sw_conflict_side(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     enum sw_conflict_side which, struct sw_side *out)
{
	struct sw_op_refs refs = {0};
	struct sw_side side = {.state = SW_SIDE_ABSENT};
	struct sw_op op;
	int rc;

	if (which == SW_SIDE_WON) {
		rc = won(r, c, &side);
	} else {
		rc = row_refs(r, c, &refs);
		if (rc == 0)
			rc = losing_op(r, c, &refs, &op);
		if (rc == 0 && which == SW_SIDE_BASE)
			rc = base(db, r, c, &refs, &op, &side);
		else if (rc == 0 && op.kind == SW_OP_PUT)
			rc = set_row(&side, &op.row);
		free(refs.v);
	}
	if (rc < 0) {
		sw_side_fini(&side);
		return rc;
	}
	*out = side;
	return 0;
}

int sw_side_read(const struct sw_nodes *nodes, const struct sw_side *s, uint64_t offset, void *out,
		 size_t n, size_t *got)
{
	*got = 0;
	if (s->state != SW_SIDE_THERE || offset >= s->row.size)
		return 0;
	if (s->row.is_blob)
		return sw_blob_read(nodes, &s->row.blob, offset, out, n, got);
	*got = n < s->row.size - offset ? n : (size_t)(s->row.size - offset);
	memcpy(out, s->row.bytes.p + offset, *got);
	return 0;
}

/* What was lost */

void sw_conflict_info_fini(struct sw_conflict_info *info)
{
	free(info->columns);
	sw_buf_fini(&info->names);
	*info = (struct sw_conflict_info){0};
}

static int column_cmp(const void *a, const void *b)
{
	return sw_view_cmp(*(const struct sw_view *)a, *(const struct sw_view *)b);
}

/* The columns that the commit lost, each once; `names` gets their bytes. */
static int take_columns(const struct sw_fold_row *row, uint64_t seq, struct sw_conflict_info *out)
{
	const uint8_t *p;
	size_t n = 0;

	out->columns = calloc(row->losers.n + 1, sizeof(*out->columns));
	if (!out->columns)
		return SW_ENOMEM;
	for (const struct sw_loser *l = row->losers.first; l; l = l->next) {
		if (l->seq != seq)
			continue;
		out->is_whole |= !l->is_column;
		if (!l->is_column)
			continue;
		sw_buf_put_view(&out->names, l->name);
		out->columns[n++].n = l->name.n;
	}
	p = out->names.p;
	for (size_t i = 0; i < n; p += out->columns[i++].n)
		out->columns[i].p = p;
	qsort(out->columns, n, sizeof(*out->columns), column_cmp);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || column_cmp(&out->columns[i - 1], &out->columns[i]) != 0)
			out->columns[out->n_columns++] = out->columns[i];
	return out->names.rc;
}

static int find_losers(const struct sw_db *db, const struct sw_reader *r,
		       const struct sw_conflict *c, struct sw_conflict_info *out)
{
	struct sw_op_refs refs = {0};
	struct sw_fold_row row = {0};
	uint64_t seq;
	int rc = sw_history_seq(r->txn, &c->commit, &seq);

	if (rc == 0)
		rc = row_refs(r, c, &refs);
	if (rc == 0)
		rc = sw_fold_refs(r->txn, r->nodes, sw_db_shape(db), sw_conflict_table(c),
				  sw_conflict_key_of(c), &refs, NULL, &row);
	if (rc == 0)
		rc = take_columns(&row, seq, out);
	if (rc == 0 && !out->is_whole && out->n_columns == 0)
		rc = sw_fail(SW_ECORRUPT,
			     "the state has a conflict record that the history does not have");
	sw_fold_row_fini(&row);
	free(refs.v);
	return rc;
}

int sw_conflict_info(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_conflict_info *out)
{
	struct sw_conflict_info info = {0};
	struct sw_view raw, changeset;
	struct sw_changeset ops;
	int rc = sw_db_get_commit(r, &c->commit, &info.commit, &raw, &changeset);

	if (rc == 0) {
		sw_order_make(info.commit.stamp, &info.commit.author, &info.commit.id, &info.order);
		rc = sw_db_outcome(r, &info.order, &info.outcome);
	}
	if (rc == 0)
		rc = sw_changeset_begin(&ops, changeset);
	if (rc == 0) {
		info.mode = ops.mode;
		rc = find_losers(db, r, c, &info);
	}
	if (rc < 0) {
		sw_conflict_info_fini(&info);
		return rc;
	}
	*out = info;
	return 0;
}
