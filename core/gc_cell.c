/* Which operations on one cell matter to what comes later. */
#include "core/gc_internal.h"

#include <stdlib.h>

#include "core/conflicts.h"
#include "core/db_internal.h"

struct plan {
	struct gc *g;
	const struct sw_reader *r;
	const struct sw_cell *cell;
	struct sw_op_refs refs; /* those up to the horizon that a fold sees; borrowed */
	struct sw_op first;     /* what the cell is */
	size_t at;              /* walk: the next operation */
	size_t begin;           /* the first that matters */
	struct sw_gc_removals *out;
};

static int add(struct plan *p, const struct sw_op_ref *ref, bool is_begin)
{
	struct sw_gc_removals *out = p->out;

	if (out->n == out->cap) {
		size_t cap = out->cap ? out->cap * 2 : 64;
		struct sw_gc_removal *v = realloc(out->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		out->v = v;
		out->cap = cap;
	}
	out->v[out->n++] = (struct sw_gc_removal){*p->cell, *ref, is_begin};
	return 0;
}

static int read_op(const struct plan *p, const struct sw_op_ref *ref, struct sw_op *op,
		   enum sw_outcome *outcome)
{
	struct sw_view changeset;
	enum sw_mode mode;
	int rc = sw_history_changeset(p->r->txn, ref->seq, &changeset);

	if (rc == 0)
		rc = sw_changeset_at(changeset, ref->offset, &mode, op);
	if (rc == SW_ENOTFOUND || rc == SW_EFORMAT)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged; run 'swarmfs verify'");
	return rc < 0 ? rc : sw_history_outcome(p->r->txn, ref->seq, outcome);
}

/* How many of some operations, by order, are up to the horizon. */
static int count_old(const struct gc *g, struct sw_txn *txn, const struct sw_op_refs *refs,
		     size_t *out)
{
	uint64_t last = sw_order_stamp(&g->horizon);
	struct sw_order at;
	size_t n = refs->n;
	int rc = 0;

	while (rc == 0 && n > 0 && refs->v[n - 1].stamp >= last) {
		rc = sw_history_order(txn, refs->v[n - 1].seq, &at);
		if (rc < 0 || sw_order_cmp(&at, &g->horizon) <= 0)
			break;
		n--;
	}
	*out = n;
	return rc;
}

static bool is_same_cell(const struct sw_op *a, const struct sw_op *b)
{
	bool a_resolves = a->kind == SW_OP_RESOLVE, b_resolves = b->kind == SW_OP_RESOLVE;

	return (a->kind == SW_OP_TAG) == (b->kind == SW_OP_TAG) && a_resolves == b_resolves &&
	       (a->kind == SW_OP_GRANT) == (b->kind == SW_OP_GRANT) &&
	       sw_view_eq(a->table, b->table) && sw_view_eq(a->key, b->key) &&
	       (!a_resolves || sw_hash_eq(&a->commit, &b->commit));
}

/* Cells whose hashes are equal share their place in the index: such are left alone. */
static int is_one_cell(struct plan *p, bool *out)
{
	enum sw_outcome outcome;
	int rc = read_op(p, &p->refs.v[0], &p->first, &outcome);

	*out = rc == 0;
	for (size_t i = 1; rc == 0 && *out && i < p->refs.n; i++) {
		struct sw_op op;

		rc = read_op(p, &p->refs.v[i], &op, &outcome);
		*out = rc == 0 && is_same_cell(&p->first, &op);
	}
	return rc;
}

/* Rows */

static bool has_record(const struct plan *p, int *rc)
{
	struct sw_conflict row, c;
	struct sw_hash root;
	SW_BUF from = {0};

	sw_conflict_set(&row, p->first.table, p->first.key, NULL);
	sw_conflict_before(&row, SW_SCOPE_ROW, &from);
	*rc = from.rc < 0 ? from.rc : sw_conflicts_root(p->r->nodes, &p->r->head.state, &root);
	if (*rc == 0)
		*rc = sw_conflicts_seek(p->r->nodes, &root, sw_buf_view(&from), &c);
	if (*rc <= 0)
		return false;
	*rc = 0;
	return sw_conflict_is_in(&c, &row, SW_SCOPE_ROW);
}

/* Whether somebody resolved, up to the horizon, what a commit lost: that is never shown again. */
static int is_resolved(const struct plan *p, uint64_t loser, bool *out)
{
	struct sw_op probe = {.kind = SW_OP_RESOLVE, .table = p->first.table, .key = p->first.key};
	struct sw_op_refs refs = {0};
	struct sw_order order;
	struct sw_cell cell;
	size_t n = 0;
	int rc = sw_history_order(p->r->txn, loser, &order);

	*out = false;
	if (rc < 0)
		return rc;
	sw_order_id(&order, &probe.commit);
	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(p->r->txn, &cell, 0, &refs);
	if (rc == 0)
		rc = count_old(p->g, p->r->txn, &refs, &n);
	for (size_t i = 0; rc == 0 && !*out && i < n; i++) {
		enum sw_outcome outcome;
		struct sw_op op;

		rc = read_op(p, &refs.v[i], &op, &outcome);
		*out = rc == 0 && outcome == SW_APPLIED && is_same_cell(&probe, &op);
	}
	free(refs.v);
	return rc;
}

/* An operation that wrote all of the row, and left nobody behind who lost: what was before it does
 * not matter. */
static int find_begin(void *arg, const struct sw_fold_row *row, const struct sw_op_ref *ref)
{
	bool begins = row->whole.seq == ref->seq;
	struct plan *p = arg;
	int rc = 0;

	for (const struct sw_loser *l = row->losers.first; rc == 0 && begins && l; l = l->next)
		rc = is_resolved(p, l->seq, &begins);
	if (begins)
		p->begin = p->at;
	p->at++;
	return rc;
}

/* Behind the beginning: what is void, what only checked, and all but the last of some chmods in a
 * row. */
static int drop_idle(struct plan *p)
{
	bool has_meta = false; /* a later one sets it anyway */
	int rc = 0;

	for (size_t i = p->refs.n; rc == 0 && i-- > p->begin;) {
		enum sw_outcome outcome;
		struct sw_op op;

		rc = read_op(p, &p->refs.v[i], &op, &outcome);
		if (rc < 0 || outcome == SW_OUT)
			continue;
		if (outcome == SW_VOID || op.kind == SW_OP_CHECK ||
		    (op.kind == SW_OP_CHMETA && (has_meta || outcome == SW_DROPPED)))
			rc = add(p, &p->refs.v[i], false);
		else
			has_meta = op.kind == SW_OP_CHMETA;
	}
	return rc;
}

static int plan_row(struct plan *p)
{
	struct sw_fold_row row = {0};
	int rc = 0;

	if (has_record(p, &rc) || rc < 0)
		return rc;
	rc = sw_fold_walk(p->r->txn, p->r->nodes, sw_db_shape(p->g->db), p->first.table,
			  p->first.key, &p->refs, find_begin, p, &row);
	sw_fold_row_fini(&row);
	if (rc == 0 && p->begin > 0)
		rc = add(p, &p->refs.v[p->begin], true);
	for (size_t i = 0; rc == 0 && i < p->begin; i++)
		rc = add(p, &p->refs.v[i], false);
	return rc < 0 ? rc : drop_idle(p);
}

/* Others: a table keeps what said last whether it is there, and what its mode is; a tag or a
 * resolution the last that counts. */
static int plan_last(struct plan *p)
{
	bool has_meta = false, has_presence = false;
	int rc = 0;

	for (size_t i = p->refs.n; rc == 0 && i-- > 0;) {
		enum sw_outcome outcome;
		struct sw_op op;
		bool meta, presence;

		rc = read_op(p, &p->refs.v[i], &op, &outcome);
		if (rc < 0 || outcome == SW_OUT)
			continue;
		presence = op.kind != SW_OP_CHMETA;
		meta = op.kind != SW_OP_RMTABLE;
		if (outcome != SW_APPLIED ||
		    !((presence && !has_presence) || (meta && !has_meta))) {
			rc = add(p, &p->refs.v[i], false);
			continue;
		}
		has_presence |= presence;
		has_meta |= meta;
	}
	return rc;
}

int sw_gc_plan_cell(struct gc *g, const struct sw_reader *r, const struct sw_cell *cell,
		    const struct sw_op_refs *refs, struct sw_gc_removals *out)
{
	struct plan p = {.g = g, .r = r, .cell = cell, .refs = *refs, .out = out};
	size_t hidden = refs->n;
	bool is_one;
	int rc = 0;

	/* What an earlier run marked, and did not get to take out. */
	while (hidden > 0 && !refs->v[hidden - 1].is_begin)
		hidden--;
	hidden -= hidden > 0;
	for (size_t i = 0; rc == 0 && i < hidden; i++)
		rc = add(&p, &refs->v[i], false);
	p.refs = (struct sw_op_refs){refs->v + hidden, refs->n - hidden};
	if (rc == 0)
		rc = count_old(g, r->txn, &p.refs, &p.refs.n);
	if (rc < 0 || p.refs.n < 2)
		return rc;
	rc = is_one_cell(&p, &is_one);
	if (rc < 0 || !is_one || p.first.kind == SW_OP_GRANT)
		return rc;
	return p.first.kind != SW_OP_TAG && p.first.kind != SW_OP_RESOLVE && p.first.key.n > 0
		   ? plan_row(&p)
		   : plan_last(&p);
}
