#include "core/fold_row.h"

#include "core/columns.h"

#include <search.h>
#include <stdlib.h>

static int writer_cmp(const void *a, const void *b)
{
	const struct sw_writer *x = a, *y = b;

	return sw_view_cmp(x->name, y->name);
}

static void writer_clear(struct sw_fold_row *r)
{
	while (r->columns) {
		struct sw_writer *w = r->columns;

		r->columns = w->next;
		tdelete(w, &r->columns_by_name, writer_cmp);
		free(w);
	}
}

void sw_fold_row_fini(struct sw_fold_row *r)
{
	writer_clear(r);
	sw_losers_fini(&r->losers);
	sw_buf_fini(&r->bytes);
	*r = (struct sw_fold_row){0};
}

static int set_row(struct sw_fold_row *r, const struct sw_row *row)
{
	struct sw_buf bytes = {0};

	/* The new bytes may borrow from the old ones: copy before letting go. */
	sw_buf_put_view(&bytes, row->bytes);
	if (bytes.rc < 0)
		return bytes.rc;
	r->row = *row;
	sw_buf_fini(&r->bytes);
	r->bytes = bytes;
	if (!row->is_blob)
		r->row.bytes = sw_buf_view(&r->bytes);
	sw_row_hash(&r->row, &r->hash);
	return 0;
}

int sw_fold_row_start(struct sw_fold_row *r, const struct sw_row *row)
{
	sw_fold_row_fini(r);
	return row ? set_row(r, row) : 0;
}

bool sw_fold_row_is_clean(const struct sw_fold_row *r, const struct sw_op *op, enum sw_mode mode)
{
	struct sw_hash new_hash;

	if (op->kind != SW_OP_PUT && op->kind != SW_OP_DELETE && op->kind != SW_OP_CHECK)
		return true;
	if (sw_hash_eq(&r->hash, &op->old))
		return true;
	/* Two sales of 5 to 4 must not both pass, so in strict mode equal results do not help. */
	sw_op_new_hash(op, &new_hash);
	return mode == SW_MODE_MERGE && sw_hash_eq(&r->hash, &new_hash);
}

/* A commit loses the row that it wrote. */
static int lose_row(struct sw_fold_row *r, uint64_t seq, const struct sw_hash *value)
{
	if (seq == 0) /* nobody wrote it: there was never anything here */
		return 0;
	return sw_losers_add_row(&r->losers, seq, value);
}

static int lose_column(struct sw_fold_row *r, const struct sw_writer *w, struct sw_view name,
		       const struct sw_hash *value)
{
	return w->seq == 0 ? 0 : sw_losers_add_column(&r->losers, w->seq, name, value, &w->row);
}

/* Whoever replaces a whole row has seen it, and all columns that its writer wrote with it. */
static void cover_whole(struct sw_fold_row *r, const struct sw_hash *old, const struct sw_hash *new)
{
	sw_losers_cover_written(&r->losers, old);
	sw_losers_cover_row(&r->losers, old);
	sw_losers_cover_row(&r->losers, new);
}

static void cover_column(struct sw_fold_row *r, struct sw_view name, const struct sw_hash *old,
			 const struct sw_hash *new)
{
	sw_losers_cover_column(&r->losers, name, old);
	sw_losers_cover_column(&r->losers, name, new);
}

static struct sw_writer *column_writer(const struct sw_fold_row *r, struct sw_view name)
{
	const struct sw_writer like = {.name = name};
	struct sw_writer **node = tfind(&like, &r->columns_by_name, writer_cmp);

	return node ? *node : NULL;
}

static struct sw_writer *add_column_writer(struct sw_fold_row *r, struct sw_view name)
{
	struct sw_writer *w = malloc(sizeof(*w) + name.n);

	if (!w)
		return NULL;
	*w = (struct sw_writer){.name = sw_view(w + 1, name.n), .next = r->columns};
	if (name.n > 0)
		memcpy(w + 1, name.p, name.n);
	if (!tsearch(w, &r->columns_by_name, writer_cmp)) {
		free(w);
		return NULL;
	}
	r->columns = w;
	return w;
}

static int set_column_writer(struct sw_fold_row *r, struct sw_view name, uint64_t seq,
			     const struct sw_hash *row)
{
	struct sw_writer *w = column_writer(r, name);

	if (!w)
		w = add_column_writer(r, name);
	if (!w)
		return SW_ENOMEM;
	w->seq = seq;
	w->row = *row;
	return 0;
}

/* The text of a row that may have columns, and the columns; 1 when it has them. */
struct parsed {
	struct sw_buf text;
	struct sw_columns columns;
};

static void parsed_fini(struct parsed *p)
{
	sw_columns_fini(&p->columns);
	sw_buf_fini(&p->text);
}

static int parse(const struct sw_nodes *nodes, struct sw_view key, const struct sw_row *row,
		 struct parsed *out)
{
	int rc;

	if (!sw_columns_possible(key, (size_t)row->size))
		return 0;
	rc = sw_row_read(nodes, row, &out->text);
	if (rc < 0)
		return rc;
	return sw_columns_parse(key, sw_buf_view(&out->text), &out->columns);
}

static void column_hash(const struct sw_columns *columns, struct sw_view name, struct sw_hash *out)
{
	const struct sw_column *c = sw_columns_find(columns, name);

	*out = sw_hash_zero;
	if (c)
		sw_column_hash(c, out);
}

/*
 * A whole row is overwritten by someone who had not seen it. Each commit that some of it is from loses:
 * the last one all of it, the others what they wrote.
 */
static int lose_whole(struct sw_fold_row *r, const struct parsed *met)
{
	int rc;

	if (!r->columns)
		return lose_row(r, r->whole.seq, &r->hash);
	rc = lose_row(r, r->last, &r->hash);
	if (rc == 0 && r->whole.seq != r->last)
		rc = lose_row(r, r->whole.seq, &r->whole.row);
	for (const struct sw_writer *w = r->columns; rc == 0 && w; w = w->next) {
		struct sw_hash value;

		if (w->seq == r->last)
			continue;
		column_hash(&met->columns, w->name, &value);
		rc = lose_column(r, w, w->name, &value);
	}
	return rc;
}

static int write_whole(struct sw_fold_row *r, const struct sw_op *op, uint64_t seq)
{
	struct sw_hash new_hash;

	sw_op_new_hash(op, &new_hash);
	cover_whole(r, &op->old, &new_hash);
	writer_clear(r);
	r->whole.seq = r->last = seq;
	r->whole.row = new_hash;
	if (op->kind == SW_OP_PUT)
		return set_row(r, &op->row);
	r->hash = sw_hash_zero;
	r->row = (struct sw_row){0};
	sw_buf_fini(&r->bytes);
	return 0;
}

/* The columns that a clean whole write changed are covered one by one too. */
static int cover_changed(struct sw_fold_row *r, const struct sw_op *op, const struct parsed *mine)
{
	struct sw_rd rd = sw_rd(op->columns);
	struct sw_op_column c;

	while (sw_op_column_next(&rd, &c)) {
		struct sw_hash new_hash;

		column_hash(&mine->columns, c.name, &new_hash);
		cover_column(r, c.name, &c.old, &new_hash);
	}
	return 0;
}

/* Steps (1) to (3) of the fold for each column that the operation changed. */
static int write_columns(struct sw_fold_row *r, const struct sw_op *op, const struct parsed *mine,
			 const struct parsed *met, uint64_t seq)
{
	struct sw_rd rd = sw_rd(op->columns);
	struct sw_hash mine_row;
	struct sw_op_column c;
	int rc = 0;

	sw_op_new_hash(op, &mine_row);
	while (rc == 0 && sw_op_column_next(&rd, &c)) {
		const struct sw_writer *w = column_writer(r, c.name);
		struct sw_hash now, new_hash;

		if (!w)
			w = &r->whole;
		column_hash(&met->columns, c.name, &now);
		column_hash(&mine->columns, c.name, &new_hash);
		if (!sw_hash_eq(&now, &c.old) && !sw_hash_eq(&now, &new_hash))
			rc = lose_column(r, w, c.name, &now);
		cover_column(r, c.name, &c.old, &new_hash);
		if (rc == 0)
			rc = set_column_writer(r, c.name, seq, &mine_row);
	}
	r->last = seq;
	return rc;
}

/* The later mtime, with nanoseconds from the content, so that tools that go by mtime notice the merge. */
static int64_t merged_mtime(int64_t a, int64_t b, const struct sw_hash *hash)
{
	const int64_t second = 1000000000;
	int64_t later = a > b ? a : b;
	int64_t whole = later / second - (later % second < 0);

	/* Modulo 2^64: an author may write any time. */
	return (int64_t)((uint64_t)whole * (uint64_t)second + sw_get_u64(hash->b) % (uint64_t)second);
}

/* 1 merged, 0 the row must go whole. */
static int merge(struct sw_fold_row *r, struct sw_nodes *nodes, const struct sw_shape *shape,
		 const struct sw_op *op, const struct parsed *mine, const struct parsed *met, uint64_t seq)
{
	struct sw_view *changed = calloc(op->n_columns + 1, sizeof(*changed));
	struct sw_rd rd = sw_rd(op->columns);
	struct sw_op_column c;
	struct sw_row row = op->row;
	struct sw_hash hash, mine_row;
	SW_BUF text = {0};
	size_t n = 0;
	int rc;

	if (!changed)
		return SW_ENOMEM;
	while (sw_op_column_next(&rd, &c))
		changed[n++] = c.name;
	rc = sw_columns_merge(&mine->columns, &met->columns, changed, n, &text);
	free(changed);
	if (rc == SW_ELIMIT)
		return 0;
	if (rc == 0)
		rc = write_columns(r, op, mine, met, seq);
	if (rc == 0)
		rc = sw_row_make(nodes, shape, sw_buf_view(&text), &row);
	if (rc < 0)
		return rc;
	sw_row_hash(&row, &hash);
	sw_op_new_hash(op, &mine_row);
	if (!sw_hash_eq(&hash, &mine_row))
		row.mtime_ns = merged_mtime(r->row.mtime_ns, op->row.mtime_ns, &hash);
	rc = set_row(r, &row);
	return rc < 0 ? rc : 1;
}

/* An unclean operation of a merge commit. */
static int apply_unclean(struct sw_fold_row *r, struct sw_nodes *nodes, const struct sw_shape *shape,
			 const struct sw_op *op, uint64_t seq)
{
	struct parsed mine = {0}, met = {0};
	int has_met = 0, rc = 0;

	if (!sw_hash_is_zero(&r->hash))
		has_met = rc = parse(nodes, op->key, &r->row, &met);
	if (has_met > 0 && op->kind == SW_OP_PUT && op->has_columns) {
		rc = parse(nodes, op->key, &op->row, &mine);
		if (rc > 0)
			rc = merge(r, nodes, shape, op, &mine, &met, seq);
	} else if (rc > 0) {
		rc = 0;
	}
	if (rc == 0) {
		rc = lose_whole(r, &met);
		if (rc == 0)
			rc = write_whole(r, op, seq);
	}
	parsed_fini(&mine);
	parsed_fini(&met);
	return rc < 0 ? rc : 0;
}

int sw_fold_row_apply(struct sw_fold_row *r, struct sw_nodes *nodes, const struct sw_shape *shape,
		      const struct sw_op *op, enum sw_mode mode, uint64_t seq)
{
	int rc = 0;

	if (op->kind == SW_OP_CHMETA) {
		if (!sw_hash_is_zero(&r->hash)) {
			r->row.mode = op->row.mode;
			r->row.mtime_ns = op->row.mtime_ns;
		}
		return 0;
	}
	if (op->kind != SW_OP_PUT && op->kind != SW_OP_DELETE)
		return 0;
	if (!sw_fold_row_is_clean(r, op, mode))
		return apply_unclean(r, nodes, shape, op, seq);
	if (op->kind == SW_OP_PUT && op->has_columns && r->losers.n_columns > 0) {
		struct parsed mine = {0};

		rc = parse(nodes, op->key, &op->row, &mine);
		if (rc > 0)
			rc = cover_changed(r, op, &mine);
		parsed_fini(&mine);
	}
	return rc < 0 ? rc : write_whole(r, op, seq);
}

int sw_fold_row_drop(struct sw_fold_row *r, const struct sw_op *op, uint64_t seq)
{
	struct sw_hash new_hash;

	if (op->kind != SW_OP_PUT && op->kind != SW_OP_DELETE)
		return 0;
	sw_op_new_hash(op, &new_hash);
	return lose_row(r, seq, &new_hash);
}

static int by_name(const void *a, const void *b)
{
	const struct sw_writer *const *x = a, *const *y = b;

	return writer_cmp(*x, *y);
}

static void encode_writers(const struct sw_writer *first, struct sw_buf *out)
{
	const struct sw_writer **v;
	size_t n = 0;

	for (const struct sw_writer *w = first; w; w = w->next)
		n++;
	sw_buf_put_varint(out, n);
	v = calloc(n + 1, sizeof(*v));
	if (!v) {
		out->rc = SW_ENOMEM;
		return;
	}
	n = 0;
	for (const struct sw_writer *w = first; w; w = w->next)
		v[n++] = w;
	qsort(v, n, sizeof(*v), by_name);
	for (size_t i = 0; i < n; i++) {
		sw_buf_put_bytes(out, v[i]->name);
		sw_buf_put_u64(out, v[i]->seq);
		sw_buf_put_hash(out, &v[i]->row);
	}
	free(v);
}

void sw_fold_row_encode(const struct sw_fold_row *r, struct sw_buf *out)
{
	SW_BUF row = {0};

	if (!sw_hash_is_zero(&r->hash))
		sw_row_encode(&r->row, &row);
	sw_buf_put_bytes(out, sw_buf_view(&row)); /* none: absent */
	sw_buf_put_u64(out, r->whole.seq);
	sw_buf_put_hash(out, &r->whole.row);
	sw_buf_put_u64(out, r->last);
	encode_writers(r->columns, out);
	sw_losers_encode(&r->losers, out);
	if (row.rc < 0)
		out->rc = row.rc;
}

static int decode_writer(struct sw_rd *rd, struct sw_fold_row *r)
{
	struct sw_view name = sw_rd_bytes(rd, SW_COLUMNS_NAME_MAX);
	uint64_t seq = sw_rd_u64(rd);
	struct sw_hash row;

	sw_rd_hash(rd, &row);
	return rd->bad ? SW_EFORMAT : set_column_writer(r, name, seq, &row);
}

int sw_fold_row_decode(struct sw_view bytes, struct sw_fold_row *r)
{
	struct sw_rd rd = sw_rd(bytes);
	struct sw_view text = sw_rd_bytes(&rd, bytes.n);
	struct sw_row row;
	size_t n;
	int rc = text.n > 0 ? sw_row_decode(text, &row) : 0;

	if (rc == 0)
		rc = sw_fold_row_start(r, text.n > 0 ? &row : NULL);
	r->whole.seq = sw_rd_u64(&rd);
	sw_rd_hash(&rd, &r->whole.row);
	r->last = sw_rd_u64(&rd);
	n = (size_t)sw_rd_varint_max(&rd, bytes.n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = decode_writer(&rd, r);
	if (rc == 0)
		rc = sw_losers_decode(&rd, &r->losers);
	return rc < 0 ? rc : sw_rd_done(&rd);
}
