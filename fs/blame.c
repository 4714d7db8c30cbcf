#include "fs/blame.h"

#include <stdlib.h>

#include "core/blob.h"
#include "core/columns.h"
#include "core/json.h"
#include "fs/lines.h"

#define TEXT_MAX SW_COLUMNS_TEXT_MAX /* a larger row is taken as a whole */

void sw_blame_fini(struct sw_blame *b)
{
	free(b->v);
	sw_buf_fini(&b->bytes);
	sw_buf_fini(&b->names);
	*b = (struct sw_blame){0};
}

struct walk {
	const struct sw_nodes *nodes;
	struct sw_view key;
	struct sw_blame now;
	struct sw_hash hash; /* of the row that `now` is about; zero: absent */
};

static int new_parts(struct sw_blame *b, size_t n, uint64_t seq)
{
	b->v = calloc(n + 1, sizeof(*b->v));
	if (!b->v)
		return SW_ENOMEM;
	b->n = n;
	for (size_t i = 0; i < n; i++)
		b->v[i].seq = seq;
	return 0;
}

static const struct sw_blame_part *find_part(const struct sw_blame *b, struct sw_view name)
{
	for (size_t i = 0; i < b->n; i++)
		if (sw_view_eq(b->v[i].name, name))
			return &b->v[i];
	return NULL;
}

/* 1, or 0: it has no columns. */
static int take_columns(const struct walk *w, uint64_t seq, struct sw_blame *next)
{
	struct sw_columns columns = {0};
	size_t at = 0;
	int rc = sw_columns_parse(w->key, sw_buf_view(&next->bytes), &columns);

	if (rc > 0) {
		next->kind = SW_BLAME_COLUMNS;
		rc = new_parts(next, columns.n, seq);
		for (size_t i = 0; rc == 0 && i < columns.n; i++)
			sw_buf_put_view(&next->names, columns.v[i].name);
		if (rc == 0)
			rc = next->names.rc < 0 ? next->names.rc : 1;
	}
	for (size_t i = 0; rc > 0 && i < columns.n; i++) {
		const struct sw_blame_part *before;
		struct sw_blame_part *p = &next->v[i];

		p->name = sw_view(next->names.p + at, columns.v[i].name.n);
		p->text = columns.v[i].value;
		at += p->name.n;
		before = w->now.kind == SW_BLAME_COLUMNS ? find_part(&w->now, p->name) : NULL;
		if (before && sw_view_eq(before->text, p->text))
			p->seq = before->seq;
	}
	sw_columns_fini(&columns);
	return rc;
}

static int keep_lines(const struct sw_blame *before, struct sw_blame *next)
{
	struct sw_lines a = {0}, b = {0};
	size_t *match = calloc(next->n + 1, sizeof(*match));
	int rc = match ? sw_lines_split(sw_buf_view(&before->bytes), &a) : SW_ENOMEM;

	if (rc == 0)
		rc = sw_lines_split(sw_buf_view(&next->bytes), &b);
	if (rc == 0)
		rc = sw_lines_match(&a, &b, match);
	for (size_t i = 0; rc == 0 && i < next->n; i++)
		if (match[i] != SIZE_MAX)
			next->v[i].seq = before->v[match[i]].seq;
	sw_lines_fini(&a);
	sw_lines_fini(&b);
	free(match);
	return rc;
}

static int take_lines(const struct walk *w, uint64_t seq, struct sw_blame *next)
{
	struct sw_lines lines = {0};
	int rc = sw_lines_split(sw_buf_view(&next->bytes), &lines);

	if (rc == 0)
		rc = new_parts(next, lines.n, seq);
	for (size_t i = 0; rc == 0 && i < lines.n; i++)
		next->v[i].text = lines.v[i];
	sw_lines_fini(&lines);
	next->kind = SW_BLAME_LINES;
	return rc == 0 && w->now.kind == SW_BLAME_LINES && w->now.n > 0 ? keep_lines(&w->now, next) : rc;
}

static int take_row(struct walk *w, const struct sw_row *row, uint64_t seq, struct sw_blame *next)
{
	int rc = 0;

	next->size = row->size;
	next->kind = SW_BLAME_WHOLE;
	if (row->size <= TEXT_MAX)
		rc = sw_row_read(w->nodes, row, &next->bytes);
	if (rc == 0 && row->size <= TEXT_MAX && sw_columns_possible(w->key, (size_t)row->size)) {
		rc = take_columns(w, seq, next);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	if (rc == 0 && row->size <= TEXT_MAX && sw_json_is_utf8(sw_buf_view(&next->bytes)))
		return take_lines(w, seq, next);
	return rc < 0 ? rc : new_parts(next, 1, seq);
}

/* What one commit made of the row. */
static int on_version(void *arg, const struct sw_fold_row *row, const struct sw_op_ref *ref)
{
	struct walk *w = arg;
	struct sw_blame next = {0};
	int rc;

	if (sw_hash_eq(&row->hash, &w->hash))
		return 0;
	rc = sw_hash_is_zero(&row->hash) ? 0 : take_row(w, &row->row, ref->seq, &next);
	if (rc < 0) {
		sw_blame_fini(&next);
		return rc;
	}
	sw_blame_fini(&w->now);
	w->now = next;
	w->hash = row->hash;
	return 0;
}

int sw_blame_row(const struct sw_db *db, const struct sw_reader *r, struct sw_view table, struct sw_view key,
		 struct sw_blame *out)
{
	struct walk w = {.nodes = r->nodes, .key = key};
	struct sw_fold_row row = {0};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	int rc;

	sw_row_cell(table, key, &cell);
	rc = sw_history_refs(r->txn, &cell, 0, &refs);
	if (rc == 0)
		rc = sw_fold_walk(r->txn, r->nodes, sw_db_shape(db), table, key, &refs, on_version, &w, &row);
	sw_fold_row_fini(&row);
	free(refs.v);
	if (rc == 0 && sw_hash_is_zero(&w.hash))
		rc = SW_ENOTFOUND;
	if (rc < 0)
		sw_blame_fini(&w.now);
	else
		*out = w.now;
	return rc;
}
