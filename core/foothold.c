#include "core/foothold.h"

#include "core/fold.h"

#include <stdlib.h>

/* value = table:bytes key:bytes row, where cells whose hashes begin alike are told apart by name. */
struct sw_foothold {
	struct sw_cell cell;
	struct sw_op_ref at;
	size_t n; /* bytes */
};

void sw_footholds_fini(struct sw_footholds *h)
{
	free(h->v);
	free(h->cells);
	sw_buf_fini(&h->bytes);
	*h = (struct sw_footholds){0};
}

static int grow(struct sw_footholds *h)
{
	size_t cap = h->cap ? h->cap * 2 : 16;
	struct sw_foothold *v = realloc(h->v, cap * sizeof(*v));

	if (!v)
		return SW_ENOMEM;
	h->v = v;
	h->cap = cap;
	return 0;
}

/* A large row is kept by the changeset that wrote all of it; what a merge came to is in none. */
static bool is_kept(const struct sw_fold_row *row)
{
	return !row->row.is_blob || sw_hash_eq(&row->hash, &row->whole.row);
}

static void encode(struct sw_view table, struct sw_view key, const struct sw_fold_row *row, struct sw_buf *out)
{
	sw_buf_put_bytes(out, table);
	sw_buf_put_bytes(out, key);
	sw_fold_row_encode(row, out);
}

/* The row's name; the rest is what the fold had come to. */
static struct sw_rd decode_name(struct sw_view value, struct sw_view *table, struct sw_view *key)
{
	struct sw_rd rd = sw_rd(value);

	*table = sw_rd_bytes(&rd, SW_NAME_MAX);
	*key = sw_rd_bytes(&rd, SW_NAME_MAX);
	return rd;
}

int sw_footholds_add(struct sw_footholds *h, const struct sw_cell *cell, struct sw_view table, struct sw_view key,
		     const struct sw_op_ref *at, const struct sw_fold_row *row, size_t max, bool *added)
{
	size_t begin = h->bytes.n;

	*added = false;
	if (!is_kept(row))
		return 0;
	if (h->n == h->cap && grow(h) < 0)
		return SW_ENOMEM;
	encode(table, key, row, &h->bytes);
	if (h->bytes.rc < 0)
		return h->bytes.rc;
	*added = h->bytes.n - begin <= max;
	if (*added)
		h->v[h->n++] = (struct sw_foothold){*cell, *at, h->bytes.n - begin};
	else
		h->bytes.n = begin;
	return 0;
}

int sw_footholds_keep(const struct sw_footholds *h, struct sw_txn *txn)
{
	const uint8_t *p = h->bytes.p;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < h->n_cells; i++)
		rc = sw_history_drop_footholds(txn, &h->cells[i], h->from);
	for (size_t i = 0; rc == 0 && i < h->n; i++) {
		rc = sw_history_put_foothold(txn, &h->v[i].cell, &h->v[i].at, sw_view(p, h->v[i].n));
		p += h->v[i].n;
	}
	return rc;
}

int sw_foothold_find(struct sw_txn *txn, const struct sw_cell *cell, struct sw_view table, struct sw_view key,
		     uint64_t before, struct sw_op_ref *at, struct sw_fold_row *row)
{
	struct sw_view value, of_table, of_key;
	struct sw_rd rd;
	int rc = sw_history_foothold(txn, cell, before, at, &value);

	if (rc <= 0)
		return rc;
	rd = decode_name(value, &of_table, &of_key);
	if (!rd.bad && (!sw_view_eq(of_table, table) || !sw_view_eq(of_key, key)))
		return 0;
	rc = rd.bad ? SW_EFORMAT : sw_fold_row_decode(sw_view(rd.p, sw_rd_left(&rd)), row);
	if (rc == SW_EFORMAT)
		return sw_fail(SW_ECORRUPT, "what the store keeps of a row's history is damaged; restore the store from a backup "
					    "or clone it again");
	return rc < 0 ? rc : 1;
}

struct checking {
	struct sw_txn *txn;
	struct sw_cell cell;
	struct sw_view table, key;
	uint64_t n; /* that were found to be right */
};

static int check(void *arg, const struct sw_fold_row *row, const struct sw_op_ref *ref)
{
	struct checking *c = arg;
	struct sw_view value;
	SW_BUF text = {0};
	int rc = sw_history_foothold_at(c->txn, &c->cell, ref, &value);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	encode(c->table, c->key, row, &text);
	if (text.rc < 0)
		return text.rc;
	c->n++;
	if (!sw_view_eq(sw_buf_view(&text), value))
		return sw_fail(SW_ECORRUPT, "row '%.*s' of table '%.*s': what the store keeps of its history is not the fold of it",
			       (int)c->key.n, (const char *)c->key.p, (int)c->table.n, (const char *)c->table.p);
	return 0;
}

static int check_row(struct checking *c, struct sw_nodes *nodes, const struct sw_shape *shape)
{
	struct sw_op_refs refs = {0};
	struct sw_fold_row row = {0};
	int rc = sw_history_refs(c->txn, &c->cell, 0, &refs);

	if (rc == 0)
		rc = sw_fold_walk(c->txn, nodes, shape, c->table, c->key, &refs, check, c, &row);
	sw_fold_row_fini(&row);
	free(refs.v);
	return rc;
}

/* The next cell; false: that was the last one. */
static bool step(struct sw_cell *cell)
{
	for (int i = sizeof(cell->b) - 1; i >= 0; i--)
		if (++cell->b[i] != 0)
			return true;
	return false;
}

int sw_footholds_verify(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape)
{
	struct checking c = {.txn = txn};
	struct sw_view value;
	int rc;

	while ((rc = sw_history_next_foothold(txn, &c.cell, &value)) == 0) {
		(void)decode_name(value, &c.table, &c.key);
		rc = check_row(&c, nodes, shape);
		if (rc < 0 || !step(&c.cell))
			break;
	}
	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	if (c.n != sw_txn_count(txn, SW_SPACE_FOOTHOLDS))
		return sw_fail(SW_ECORRUPT, "the store keeps what the history of a row had come to behind operations that it does "
					    "not have");
	return 0;
}
