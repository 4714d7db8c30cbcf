/* Resolving conflicts: commits that say that somebody has looked. */
#include <stdlib.h>

#include "core/columns.h"
#include "core/conflicts.h"
#include "core/schema_ops.h"

static struct sw_op resolve_op(const struct sw_conflict *c)
{
	return (struct sw_op){.kind = SW_OP_RESOLVE,
			      .table = sw_conflict_table(c),
			      .key = sw_conflict_key_of(c),
			      .commit = c->commit};
}

static int check_all(struct sw_db *db, const struct sw_conflict *records, size_t n)
{
	struct sw_reader r;
	struct sw_hash root;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_conflicts_root(r.nodes, &r.head.state, &root);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sw_conflict_check(r.nodes, &root, &records[i]);
	sw_reader_end(&r);
	return rc;
}

int sw_conflict_discard(struct sw_db *db, const struct sw_conflict *records, size_t n,
			struct sw_view message, struct sw_hash *id)
{
	struct sw_write w = {.mode = SW_MODE_MERGE, .n = n, .message = message};
	int rc = check_all(db, records, n);

	if (rc < 0)
		return rc;
	w.ops = calloc(n + 1, sizeof(*w.ops));
	if (!w.ops)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++)
		w.ops[i].op = resolve_op(&records[i]);
	rc = sw_db_commit(db, &w, id);
	free(w.ops);
	return rc;
}

/* Everything that a reapplied row is made of. */
struct reapply {
	struct sw_conflict_info info;
	struct sw_side lost, won;
	struct sw_buf merged; /* the row as it is, with the lost columns in it */
	bool is_merged;
};

static void reapply_fini(struct reapply *a)
{
	sw_conflict_info_fini(&a->info);
	sw_side_fini(&a->lost);
	sw_side_fini(&a->won);
	sw_buf_fini(&a->merged);
}

/* The columns of either row that were not lost, ascending; free it. */
static struct sw_view *others(const struct sw_columns *won, const struct sw_columns *lost,
			      const struct sw_conflict_info *info, size_t *n)
{
	struct sw_view *v = calloc(won->n + lost->n + 1, sizeof(*v));

	*n = 0;
	for (size_t i = 0, j = 0, k = 0; v && (i < won->n || j < lost->n);) {
		int c = i == won->n    ? 1
			: j == lost->n ? -1
				       : sw_view_cmp(won->by_name[i]->name, lost->by_name[j]->name);
		struct sw_view name = c <= 0 ? won->by_name[i]->name : lost->by_name[j]->name;

		i += c <= 0;
		j += c >= 0;
		while (k < info->n_columns && sw_view_cmp(info->columns[k], name) < 0)
			k++;
		if (k == info->n_columns || !sw_view_eq(info->columns[k], name))
			v[(*n)++] = name;
	}
	return v;
}

/*
 * The row as it is, byte for byte, but for the lost columns: the row is `mine` of the merge, and
 * has "changed" everything else. 1, or 0 when one of the two has no columns.
 */
static int merge_texts(struct sw_view key, struct sw_view won_text, struct sw_view lost_text,
		       const struct sw_conflict_info *info, struct sw_buf *out)
{
	struct sw_columns won = {0}, lost = {0};
	struct sw_view *keep = NULL;
	size_t n = 0;
	int rc = sw_columns_parse(key, won_text, &won);

	if (rc > 0)
		rc = sw_columns_parse(key, lost_text, &lost);
	if (rc > 0) {
		keep = others(&won, &lost, info, &n);
		rc = keep ? sw_columns_merge(&won, &lost, keep, n, out) : SW_ENOMEM;
		rc = rc < 0 ? rc : 1;
	}
	free(keep);
	sw_columns_fini(&won);
	sw_columns_fini(&lost);
	return rc;
}

static int merge(const struct sw_reader *r, struct sw_view key, struct reapply *a)
{
	SW_BUF won = {0};
	SW_BUF lost = {0};
	int rc;

	if (a->info.is_whole || a->won.state != SW_SIDE_THERE || a->lost.state != SW_SIDE_THERE ||
	    !sw_columns_possible(key, (size_t)a->won.row.size) ||
	    !sw_columns_possible(key, (size_t)a->lost.row.size))
		return 0;
	rc = sw_row_read(r->nodes, &a->won.row, &won);
	if (rc == 0)
		rc = sw_row_read(r->nodes, &a->lost.row, &lost);
	if (rc == 0)
		rc = merge_texts(key, sw_buf_view(&won), sw_buf_view(&lost), &a->info, &a->merged);
	if (rc == SW_ELIMIT)
		return sw_fail(
		    rc, "the row with the lost columns in it would be too large to have columns");
	a->is_merged = rc > 0;
	return rc < 0 ? rc : 0;
}

static int look(struct sw_db *db, const struct sw_conflict *c, struct reapply *a)
{
	struct sw_reader r;
	struct sw_hash root;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_conflicts_root(r.nodes, &r.head.state, &root);
	if (rc == 0)
		rc = sw_conflict_check(r.nodes, &root, c);
	if (rc == 0)
		rc = sw_conflict_info(db, &r, c, &a->info);
	if (rc == 0)
		rc = sw_conflict_side(db, &r, c, SW_SIDE_LOST, &a->lost);
	if (rc == 0)
		rc = sw_conflict_side(db, &r, c, SW_SIDE_WON, &a->won);
	if (rc == 0)
		rc = merge(&r, sw_conflict_key_of(c), a);
	sw_reader_end(&r);
	return rc;
}

/* The write of what was lost; false when the row is like that already. */
static bool write_op(struct sw_db *db, const struct sw_conflict *c, const struct reapply *a,
		     struct sw_write_op *w)
{
	*w = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
					 .table = sw_conflict_table(c),
					 .key = sw_conflict_key_of(c),
					 .old = a->won.hash,
					 .row = a->lost.row}};
	w->content = a->is_merged ? sw_buf_view(&a->merged) : sw_buf_view(&a->lost.bytes);
	w->is_made = !a->is_merged && a->lost.row.is_blob;
	if (a->is_merged)
		w->op.row.mode = a->won.row.mode;
	w->op.row.mtime_ns = (int64_t)(sw_env_wall_ms(sw_db_env(db)) * 1000000);
	if (a->lost.state == SW_SIDE_ABSENT)
		w->op.kind = SW_OP_DELETE;
	return a->is_merged || !sw_hash_eq(&a->won.hash, &a->lost.hash);
}

/* What was written here before this comes before it in history, too. */
static int commit_before(struct sw_work *work, const struct sw_conflict *c)
{
	struct sw_hash id;
	int rc = sw_work_commit(work, sw_view(NULL, 0), &id);

	if (rc == 0 && sw_work_is_edited(work, sw_conflict_table(c), sw_conflict_key_of(c)))
		rc = sw_fail(
		    SW_EBUSY,
		    "the row is being written by a program that has it open; try again when that "
		    "has closed it");
	return rc;
}

int sw_conflict_reapply(struct sw_db *db, struct sw_work *work, const struct sw_conflict *c,
			struct sw_view message, struct sw_hash *id)
{
	struct sw_write_op ops[2] = {{.op = resolve_op(c)}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = 1, .message = message};
	struct reapply a = {0};
	int rc = work ? commit_before(work, c) : 0;

	if (rc == 0)
		rc = look(db, c, &a);
	if (rc == 0) {
		w.n += write_op(db, c, &a, &ops[1]);
		rc = sw_schema_check_ops(db, ops, w.n);
	}
	if (rc == 0) {
		rc = sw_db_commit(db, &w, id);
	}
	reapply_fini(&a);
	return rc;
}
