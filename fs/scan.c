#include "fs/scan.h"

#include <stdlib.h>

#include "core/blob.h"

#define FIRST_BATCH 8 /* rows; who looks for one does not copy hundreds */
#define BATCH_ROWS  512
#define BATCH_BYTES ((size_t)256 << 10)

struct item {
	size_t key_at, key_n;
	size_t bytes_at;
	struct sw_row row;
};

struct sw_scan {
	struct sw_snap *snap;
	struct sw_hash root;
	struct sw_buf from; /* where the next batch begins */
	bool after_from;    /* behind it, not at it */
	bool is_over;
	size_t batch_rows;
	struct item *items;
	size_t n, at;
	struct sw_buf arena;
	uint64_t rank; /* of the first of the batch */
	struct sw_scan_row row;
};

/* Tables */

static int add_table(struct sw_scan_tables *t, size_t *cap, const struct sw_entry *e)
{
	if (t->n == *cap) {
		size_t more = *cap ? 2 * *cap : 16;
		struct sw_scan_table *v = reallocarray(t->v, more, sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		t->v = v;
		*cap = more;
	}
	/* The names move while the buffer grows: places for now. */
	t->v[t->n].name = sw_view(NULL, e->key.n - 1);
	sw_buf_put(&t->names, e->key.p + 1, e->key.n - 1);
	if (t->names.rc < 0)
		return t->names.rc;
	return sw_table_decode(e->value, &t->v[t->n++].table);
}

static int walk_tables(const struct sw_reader *r, struct sw_scan_tables *t)
{
	uint8_t first = SW_CLASS_USER;
	struct sw_cursor c = {0};
	size_t cap = 0;
	int rc = sw_hash_is_zero(&r->head.state) ? 0 : sw_cursor_seek(&c, r->nodes, &r->head.state, sw_view(&first, 1));

	while (rc > 0) {
		const struct sw_entry *e = sw_cursor_entry(&c);

		if (e->key.n < 2 || e->key.p[0] != SW_CLASS_USER)
			break;
		rc = add_table(t, &cap, e);
		if (rc == 0)
			rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

int sw_scan_tables_load(struct sw_snap *snap, struct sw_scan_tables *out)
{
	SW_CLEANUP(sw_scan_tables_fini) struct sw_scan_tables t = {0};
	struct sw_reader r;
	size_t at = 0;
	int rc = sw_snap_read(snap, &r);

	if (rc < 0)
		return rc;
	rc = walk_tables(&r, &t);
	sw_reader_end(&r);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < t.n; i++) {
		t.v[i].name.p = t.names.p + at;
		at += t.v[i].name.n;
	}
	*out = t;
	t = (struct sw_scan_tables){0};
	return 0;
}

void sw_scan_tables_fini(struct sw_scan_tables *t)
{
	free(t->v);
	sw_buf_fini(&t->names);
	*t = (struct sw_scan_tables){0};
}

static int table_cmp(const void *name, const void *table)
{
	return sw_view_cmp(*(const struct sw_view *)name, ((const struct sw_scan_table *)table)->name);
}

const struct sw_scan_table *sw_scan_tables_find(const struct sw_scan_tables *t, struct sw_view name)
{
	return t->n > 0 ? bsearch(&name, t->v, t->n, sizeof(*t->v), table_cmp) : NULL;
}

/* Rows */

int sw_scan_new(struct sw_snap *snap, const struct sw_hash *root, struct sw_scan **out)
{
	struct sw_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return SW_ENOMEM;
	s->items = calloc(BATCH_ROWS, sizeof(*s->items));
	if (!s->items) {
		free(s);
		return SW_ENOMEM;
	}
	s->snap = snap;
	s->root = *root;
	s->is_over = sw_hash_is_zero(root);
	s->batch_rows = FIRST_BATCH;
	*out = s;
	return 0;
}

void sw_scan_free(struct sw_scan *s)
{
	if (!s)
		return;
	sw_buf_fini(&s->from);
	sw_buf_fini(&s->arena);
	free(s->items);
	free(s);
}

int sw_scan_seek(struct sw_scan *s, struct sw_view key)
{
	sw_buf_reset(&s->from);
	sw_buf_put_view(&s->from, key);
	s->after_from = false;
	s->is_over = sw_hash_is_zero(&s->root);
	s->batch_rows = FIRST_BATCH;
	s->n = s->at = 0;
	return s->from.rc;
}

static int take(struct sw_scan *s, const struct sw_entry *e)
{
	struct item *i = &s->items[s->n];
	int rc = sw_state_decode_row(e->value, &i->row);

	if (rc < 0)
		return rc;
	i->key_at = s->arena.n;
	i->key_n = e->key.n;
	sw_buf_put_view(&s->arena, e->key);
	i->bytes_at = s->arena.n;
	if (!i->row.is_blob)
		sw_buf_put_view(&s->arena, i->row.bytes);
	s->n++;
	return s->arena.rc;
}

static int fill_from(struct sw_scan *s, const struct sw_reader *r)
{
	struct sw_view from = sw_buf_view(&s->from);
	struct sw_cursor c = {0};
	int rc = sw_cursor_seek(&c, r->nodes, &s->root, from);

	if (rc > 0 && s->after_from && sw_view_eq(sw_cursor_entry(&c)->key, from))
		rc = sw_cursor_next(&c);
	while (rc > 0 && s->n < s->batch_rows && s->arena.n < BATCH_BYTES) {
		rc = take(s, sw_cursor_entry(&c));
		if (rc == 0)
			rc = sw_cursor_next(&c);
	}
	s->is_over = rc == 0;
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

static int fill(struct sw_scan *s)
{
	struct sw_reader r;
	int rc = sw_snap_read(s->snap, &r);

	if (rc < 0)
		return rc;
	if (s->after_from)
		s->rank += s->n;
	else
		rc = sw_tree_rank(r.nodes, &s->root, sw_buf_view(&s->from), &s->rank);
	s->n = s->at = 0;
	sw_buf_reset(&s->arena);
	if (rc == 0)
		rc = fill_from(s, &r);
	sw_reader_end(&r);
	if (rc < 0 || s->n == 0)
		return rc;
	s->batch_rows = 4 * s->batch_rows < BATCH_ROWS ? 4 * s->batch_rows : BATCH_ROWS;
	sw_buf_reset(&s->from);
	sw_buf_put(&s->from, s->arena.p + s->items[s->n - 1].key_at, s->items[s->n - 1].key_n);
	s->after_from = true;
	return s->from.rc;
}

int sw_scan_next(struct sw_scan *s, const struct sw_scan_row **out)
{
	const struct item *i;

	if (s->at == s->n) {
		int rc = s->is_over ? 0 : fill(s);

		if (rc < 0 || s->at == s->n)
			return rc;
	}
	i = &s->items[s->at];
	s->row = (struct sw_scan_row){.key = sw_view(s->arena.p + i->key_at, i->key_n),
				      .row = i->row,
				      .rank = s->rank + s->at};
	s->row.row.bytes = sw_view(s->arena.p + i->bytes_at, i->row.bytes.n);
	s->at++;
	*out = &s->row;
	return 1;
}

int sw_scan_read(struct sw_scan *s, const struct sw_row *row, uint64_t offset, size_t n, struct sw_buf *out)
{
	struct sw_reader r;
	size_t got = 0;
	uint8_t *to;
	int rc;

	if (offset >= row->size)
		return 0;
	if (n > row->size - offset)
		n = (size_t)(row->size - offset);
	if (!row->is_blob) {
		sw_buf_put(out, row->bytes.p + offset, n);
		return out->rc;
	}
	to = sw_buf_reserve(out, n);
	if (!to)
		return SW_ENOMEM;
	rc = sw_snap_read(s->snap, &r);
	if (rc < 0)
		return rc;
	rc = sw_blob_read(r.nodes, &row->blob, offset, to, n, &got);
	sw_reader_end(&r);
	if (rc == 0)
		out->n += got;
	return rc;
}
