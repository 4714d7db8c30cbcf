/* Making a changeset as small as what of it matters. */
#include "core/gc_internal.h"

#include <stdlib.h>

#include "core/db_internal.h"

void sw_gc_fini(struct gc *g)
{
	for (size_t i = 0; i < g->n_tables; i++)
		sw_buf_fini(&g->tables[i].name);
	free(g->tables);
	free(g->thinned);
}

/* Who wrote a row of the table last: seq, if nobody further up the line did. */
static int note_writer(struct gc *g, struct sw_view table, uint64_t seq, uint64_t *out)
{
	size_t low = 0, high = g->n_tables;

	while (low < high) {
		size_t at = (low + high) / 2;
		int cmp = sw_view_cmp(table, sw_buf_view(&g->tables[at].name));

		if (cmp == 0) {
			*out = g->tables[at].seq;
			return 0;
		}
		if (cmp < 0)
			high = at;
		else
			low = at + 1;
	}
	if (g->n_tables == g->cap_tables) {
		size_t cap = g->cap_tables ? g->cap_tables * 2 : 16;
		struct sw_gc_table *v = realloc(g->tables, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		g->tables = v;
		g->cap_tables = cap;
	}
	memmove(g->tables + low + 1, g->tables + low, (g->n_tables++ - low) * sizeof(*g->tables));
	g->tables[low] = (struct sw_gc_table){.seq = seq};
	sw_buf_put_view(&g->tables[low].name, table);
	*out = seq;
	return g->tables[low].name.rc;
}

/* The operations of a commit, and which of them stay. */
struct content {
	struct sw_buf bytes; /* that they borrow from, when it is to be written */
	enum sw_mode mode;
	uint64_t stamp;
	struct sw_op *ops;
	bool *is_indexed;
	bool *stays;
	size_t n, n_kept;
};

static void content_fini(struct content *c)
{
	sw_buf_fini(&c->bytes);
	free(c->ops);
	free(c->is_indexed);
	free(c->stays);
}

/*
 * That a row of a table was written keeps the table there, when its rows are gone and nobody made
 * or removed it since. So of the last commit that did, one such operation stays, without what it
 * wrote, and not in the index.
 */
static int keep_evidence(struct gc *g, uint64_t seq, struct content *c)
{
	for (size_t i = 0, end; i < c->n; i = end) {
		struct sw_op *put = NULL;
		bool has = false;
		uint64_t writer;

		for (end = i; end < c->n && sw_view_eq(c->ops[end].table, c->ops[i].table); end++) {
			if (c->ops[end].kind != SW_OP_PUT)
				continue;
			put = put ? put : &c->ops[end];
			has |= c->is_indexed[end];
		}
		if (!put)
			continue;
		if (note_writer(g, put->table, seq, &writer) < 0)
			return SW_ENOMEM;
		if (!has && writer == seq)
			c->stays[put - c->ops] = true;
	}
	return 0;
}

static int read_ops(struct gc *g, struct sw_txn *txn, uint64_t seq, struct sw_view bytes,
		    struct content *c)
{
	struct sw_changeset walk;
	enum sw_outcome outcome;
	struct sw_order order;
	int rc = sw_changeset_begin(&walk, bytes);

	if (rc == 0)
		rc = sw_history_order(txn, seq, &order);
	if (rc == 0)
		rc = sw_history_outcome(txn, seq, &outcome);
	if (rc < 0)
		return rc;
	c->mode = walk.mode;
	c->stamp = sw_order_stamp(&order);
	if (c->mode == SW_MODE_CONTROL)
		return 0;
	c->ops = calloc(walk.n + 1, sizeof(*c->ops));
	c->is_indexed = calloc(walk.n + 1, sizeof(bool));
	c->stays = calloc(walk.n + 1, sizeof(bool));
	if (!c->ops || !c->is_indexed || !c->stays)
		return SW_ENOMEM;
	while (rc == 0 && (rc = sw_changeset_next(&walk, &c->ops[c->n])) > 0) {
		struct sw_cell cell;

		sw_op_cell(&c->ops[c->n], &cell);
		rc = sw_history_has_ref(txn, &cell, c->stamp, seq, &c->is_indexed[c->n]);
		c->stays[c->n] = c->is_indexed[c->n];
		c->n++;
	}
	if (rc == 0 && outcome == SW_APPLIED)
		rc = keep_evidence(g, seq, c);
	for (size_t i = 0; i < c->n; i++)
		c->n_kept += c->stays[i];
	return rc;
}

int sw_gc_look_at(struct gc *g, struct sw_txn *txn, uint64_t seq, bool *shrinks, size_t *size)
{
	struct content c = {0};
	struct sw_view bytes;
	int rc = sw_history_changeset(txn, seq, &bytes);

	if (rc == 0)
		rc = read_ops(g, txn, seq, bytes, &c);
	*shrinks = rc == 0 && c.n_kept < c.n;
	for (size_t i = 0; rc == 0 && i < c.n; i++)
		*shrinks |= c.stays[i] && !c.is_indexed[i] && c.ops[i].row.is_blob;
	*size = rc == 0 ? bytes.n : 0;
	content_fini(&c);
	return rc;
}

/* The operations that stay move to the front, those for the index first noted; large rows of the
 * others are given up. */
static int take_out(struct content *c, struct sw_nodes *nodes)
{
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		struct sw_op *op = &c->ops[i];

		if (op->kind == SW_OP_PUT && op->row.is_blob && !c->is_indexed[i])
			rc = sw_nodes_release(nodes, &op->row.blob);
		if (!c->stays[i])
			continue;
		if (!c->is_indexed[i]) {
			op->row =
			    (struct sw_row){.mode = op->row.mode, .mtime_ns = op->row.mtime_ns};
			op->has_columns = false;
			op->columns = sw_view(NULL, 0);
			op->n_columns = 0;
		}
		c->ops[n] = *op;
		c->is_indexed[n++] = c->is_indexed[i];
	}
	c->n = n;
	return rc;
}

int sw_gc_shrink(struct gc *g, struct sw_txn *txn, struct sw_nodes *nodes, uint64_t seq)
{
	struct content c = {0};
	uint32_t *offsets = NULL;
	struct sw_view bytes;
	SW_BUF rest = {0};
	bool was_freed = false;
	int rc = sw_history_changeset(txn, seq, &bytes);

	/* What is borrowed from the store dies with the first write. */
	if (rc == 0) {
		sw_buf_put_view(&c.bytes, bytes);
		rc = c.bytes.rc;
	}
	if (rc == 0)
		rc = sw_history_is_freed(txn, seq, &was_freed);
	if (rc == 0)
		rc = read_ops(g, txn, seq, sw_buf_view(&c.bytes), &c);
	if (rc == 0)
		rc = take_out(&c, nodes);
	if (rc == 0 && !(offsets = calloc(c.n + 1, sizeof(*offsets))))
		rc = SW_ENOMEM;
	if (rc == 0) {
		sw_changeset_encode(c.mode, c.ops, c.n, &rest, offsets);
		rc = rest.rc < 0 ? rest.rc : sw_history_put_rest(txn, seq, sw_buf_view(&rest));
	}
	for (size_t i = 0; rc == 0 && i < c.n; i++) {
		struct sw_op_ref ref = {.stamp = c.stamp, .seq = seq, .offset = offsets[i]};
		struct sw_cell cell;

		sw_op_cell(&c.ops[i], &cell);
		if (c.is_indexed[i])
			rc = sw_history_move_ref(txn, &cell, &ref);
	}
	if (rc == 0)
		g->report->n_commits += !was_freed;
	free(offsets);
	content_fini(&c);
	return rc;
}
