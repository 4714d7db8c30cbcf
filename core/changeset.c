#include "core/changeset.h"

#include "core/columns.h"

#include <assert.h>

static int op_class(const struct sw_op *op)
{
	switch (op->kind) {
	case SW_OP_GENESIS:
		return 0;
	case SW_OP_RESOLVE:
		return 2;
	case SW_OP_TAG:
		return 3;
	case SW_OP_REVOKE:
		return 4;
	case SW_OP_GRANT:
		return 5;
	case SW_OP_FLOOR:
		return 6;
	default:
		return 1;
	}
}

int sw_op_cmp(const struct sw_op *a, const struct sw_op *b)
{
	int c = op_class(a) - op_class(b);

	if (c)
		return c;
	if (a->kind == SW_OP_GRANT || a->kind == SW_OP_REVOKE)
		return memcmp(a->member.b, b->member.b, SW_KEY_SIZE);
	c = sw_view_cmp(a->table, b->table);
	if (c == 0)
		c = sw_view_cmp(a->key, b->key);
	if (c == 0 && a->kind == SW_OP_RESOLVE)
		c = sw_hash_cmp(&a->commit, &b->commit);
	return c;
}

void sw_op_new_hash(const struct sw_op *op, struct sw_hash *out)
{
	if (op->kind == SW_OP_PUT)
		sw_row_hash(&op->row, out);
	else
		*out = sw_hash_zero;
}

int sw_op_column_next(struct sw_rd *r, struct sw_op_column *out)
{
	if (sw_rd_left(r) == 0)
		return 0;
	out->name = sw_rd_bytes(r, SW_COLUMNS_NAME_MAX);
	sw_rd_hash(r, &out->old);
	return r->bad ? 0 : 1;
}

void sw_op_column_encode(const struct sw_op_column *c, struct sw_buf *out)
{
	sw_buf_put_bytes(out, c->name);
	sw_buf_put_hash(out, &c->old);
}

static void encode_put(const struct sw_op *op, struct sw_buf *out)
{
	const struct sw_row *row = &op->row;

	sw_buf_put_hash(out, &op->old);
	sw_buf_put_u16(out, row->mode);
	sw_buf_put_u64(out, (uint64_t)row->mtime_ns);
	sw_buf_put_u8(out, row->is_blob);
	if (row->is_blob) {
		sw_buf_put_varint(out, row->size);
		sw_buf_put_hash(out, &row->blob);
	} else {
		sw_buf_put_bytes(out, row->bytes);
	}
	sw_buf_put_u8(out, op->has_columns);
	if (op->has_columns) {
		sw_buf_put_varint(out, op->n_columns);
		sw_buf_put_view(out, op->columns);
	}
}

static void encode_revoke(const struct sw_op *op, struct sw_buf *out)
{
	sw_buf_put(out, op->member.b, SW_KEY_SIZE);
	sw_buf_put_u8(out, op->names_stand);
	if (op->names_stand) {
		sw_buf_put_varint(out, op->stand.n / SW_HASH_SIZE);
		sw_buf_put_view(out, op->stand);
	}
}

static void encode_op(const struct sw_op *op, struct sw_buf *out)
{
	sw_buf_put_u8(out, (uint8_t)op->kind);
	switch (op->kind) {
	case SW_OP_GENESIS:
		sw_buf_put_hash(out, &op->salt);
		sw_buf_put_u8(out, (uint8_t)op->conflict);
		return;
	case SW_OP_GRANT:
		sw_buf_put(out, op->member.b, SW_KEY_SIZE);
		sw_buf_put_u8(out, (uint8_t)op->role);
		return;
	case SW_OP_REVOKE:
		encode_revoke(op, out);
		return;
	case SW_OP_FLOOR:
		return;
	case SW_OP_TAG:
		sw_buf_put_bytes(out, op->table);
		sw_buf_put_hash(out, &op->commit);
		return;
	default:
		break;
	}
	sw_buf_put_bytes(out, op->table);
	if (op->kind != SW_OP_MKTABLE && op->kind != SW_OP_RMTABLE)
		sw_buf_put_bytes(out, op->key);
	switch (op->kind) {
	case SW_OP_MKTABLE:
	case SW_OP_CHMETA:
		sw_buf_put_u16(out, op->row.mode);
		sw_buf_put_u64(out, (uint64_t)op->row.mtime_ns);
		break;
	case SW_OP_PUT:
		encode_put(op, out);
		break;
	case SW_OP_DELETE:
	case SW_OP_CHECK:
		sw_buf_put_hash(out, &op->old);
		break;
	case SW_OP_RESOLVE:
		sw_buf_put_hash(out, &op->commit);
		break;
	default:
		break;
	}
}

void sw_changeset_encode(enum sw_mode mode, const struct sw_op *ops, size_t n, struct sw_buf *out,
			 uint32_t *offsets)
{
	size_t begin = out->n;

	sw_buf_put_u8(out, (uint8_t)mode);
	sw_buf_put_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		assert(i == 0 || sw_op_cmp(&ops[i - 1], &ops[i]) < 0);
		if (offsets)
			offsets[i] = (uint32_t)(out->n - begin);
		encode_op(&ops[i], out);
	}
}

static uint16_t rd_mode(struct sw_rd *r)
{
	uint16_t mode = sw_rd_u16(r);

	if (mode & ~SW_MODE_MASK)
		r->bad = true;
	return mode;
}

static struct sw_view rd_name(struct sw_rd *r)
{
	struct sw_view name = sw_rd_bytes(r, SW_NAME_MAX);

	if (!r->bad && sw_name_check(name) < 0)
		r->bad = true;
	return name;
}

static void decode_columns(struct sw_rd *r, struct sw_op *op)
{
	const uint8_t *begin;
	struct sw_view last = {NULL, 0};
	uint8_t flag = sw_rd_u8(r);

	if (flag > 1)
		r->bad = true;
	op->has_columns = flag == 1;
	if (!op->has_columns)
		return;
	/* Only a replaced row has columns to compare with. */
	if (sw_hash_is_zero(&op->old))
		r->bad = true;
	op->n_columns = (size_t)sw_rd_varint_max(r, 2 * SW_COLUMNS_MAX);
	begin = r->p;
	for (size_t i = 0; i < op->n_columns && !r->bad; i++) {
		struct sw_op_column c;

		c.name = sw_rd_bytes(r, SW_COLUMNS_NAME_MAX);
		sw_rd_hash(r, &c.old);
		if (i > 0 && sw_view_cmp(last, c.name) >= 0)
			r->bad = true;
		last = c.name;
	}
	op->columns = sw_view(begin, r->bad ? 0 : (size_t)(r->p - begin));
}

static void decode_put(struct sw_rd *r, struct sw_op *op)
{
	uint8_t form;

	sw_rd_hash(r, &op->old);
	op->row.mode = rd_mode(r);
	op->row.mtime_ns = (int64_t)sw_rd_u64(r);
	form = sw_rd_u8(r);
	op->row.is_blob = form == 1;
	if (form == 0) {
		op->row.bytes = sw_rd_bytes(r, SW_INLINE_MAX);
		op->row.size = op->row.bytes.n;
	} else if (form == 1) {
		op->row.size = sw_rd_varint_max(r, SW_ROW_SIZE_MAX);
		sw_rd_hash(r, &op->row.blob);
		if (op->row.size <= SW_INLINE_MAX)
			r->bad = true;
	} else {
		r->bad = true;
	}
	decode_columns(r, op);
}

/* Whether a kind may stand in a changeset of that mode. */
static bool kind_fits(enum sw_op_kind kind, enum sw_mode mode)
{
	switch (kind) {
	case SW_OP_GENESIS:
	case SW_OP_GRANT:
	case SW_OP_REVOKE:
	case SW_OP_FLOOR:
		return mode == SW_MODE_CONTROL;
	case SW_OP_CHECK:
		return mode == SW_MODE_STRICT;
	case SW_OP_RESOLVE:
		return mode == SW_MODE_MERGE;
	default:
		return mode != SW_MODE_CONTROL;
	}
}

static void decode_revoke(struct sw_rd *r, struct sw_op *op)
{
	struct sw_hash last = sw_hash_zero, id;
	uint8_t flag;
	size_t n;

	sw_rd_copy(r, op->member.b, SW_KEY_SIZE);
	flag = sw_rd_u8(r);
	r->bad |= flag > 1;
	op->names_stand = flag == 1;
	if (!op->names_stand)
		return;
	n = (size_t)sw_rd_varint_max(r, SW_STAND_MAX);
	op->stand = sw_view(r->p, n * SW_HASH_SIZE);
	for (size_t i = 0; i < n && !r->bad; i++) {
		sw_rd_hash(r, &id);
		r->bad |= i > 0 && sw_hash_cmp(&last, &id) >= 0;
		last = id;
	}
	if (r->bad)
		op->stand.n = 0;
}

static void decode_body(struct sw_rd *r, struct sw_op *op)
{
	uint8_t byte;

	switch (op->kind) {
	case SW_OP_GENESIS:
		sw_rd_hash(r, &op->salt);
		byte = sw_rd_u8(r);
		r->bad |= byte > SW_CONFLICT_DROP;
		op->conflict = (enum sw_conflict_mode)byte;
		break;
	case SW_OP_GRANT:
		sw_rd_copy(r, op->member.b, SW_KEY_SIZE);
		byte = sw_rd_u8(r);
		r->bad |= byte < SW_ROLE_READER || byte > SW_ROLE_ADMIN;
		op->role = (enum sw_role)byte;
		break;
	case SW_OP_REVOKE:
		decode_revoke(r, op);
		break;
	case SW_OP_FLOOR:
		break;
	case SW_OP_TAG:
		op->table = rd_name(r);
		sw_rd_hash(r, &op->commit);
		break;
	case SW_OP_MKTABLE:
		op->table = rd_name(r);
		op->row.mode = rd_mode(r);
		op->row.mtime_ns = (int64_t)sw_rd_u64(r);
		break;
	case SW_OP_RMTABLE:
		op->table = rd_name(r);
		break;
	case SW_OP_CHMETA:
		op->table = rd_name(r);
		op->key = sw_rd_bytes(r, SW_NAME_MAX);
		if (op->key.n > 0 && sw_name_check(op->key) < 0)
			r->bad = true;
		op->row.mode = rd_mode(r);
		op->row.mtime_ns = (int64_t)sw_rd_u64(r);
		break;
	case SW_OP_PUT:
		op->table = rd_name(r);
		op->key = rd_name(r);
		decode_put(r, op);
		break;
	case SW_OP_DELETE:
	case SW_OP_CHECK:
		op->table = rd_name(r);
		op->key = rd_name(r);
		sw_rd_hash(r, &op->old);
		break;
	case SW_OP_RESOLVE:
		op->table = rd_name(r);
		op->key = rd_name(r);
		sw_rd_hash(r, &op->commit);
		break;
	default:
		r->bad = true;
	}
}

static int decode_op(struct sw_rd *r, enum sw_mode mode, struct sw_op *out)
{
	uint8_t kind = sw_rd_u8(r);

	*out = (struct sw_op){.kind = (enum sw_op_kind)kind};
	if (r->bad || kind < SW_OP_GENESIS || kind > SW_OP_FLOOR ||
	    !kind_fits((enum sw_op_kind)kind, mode))
		return SW_EFORMAT;
	decode_body(r, out);
	return r->bad ? SW_EFORMAT : 0;
}

int sw_changeset_begin(struct sw_changeset *c, struct sw_view bytes)
{
	uint8_t mode;

	*c = (struct sw_changeset){.r = sw_rd(bytes), .begin = bytes.p};
	mode = sw_rd_u8(&c->r);
	c->n = (size_t)sw_rd_varint_max(&c->r, SW_CHANGESET_OPS_MAX);
	if (c->r.bad || mode > SW_MODE_CONTROL || bytes.n > SW_CHANGESET_SIZE_MAX)
		return SW_EFORMAT;
	c->mode = (enum sw_mode)mode;
	return 0;
}

int sw_changeset_next(struct sw_changeset *c, struct sw_op *out)
{
	if (c->i == c->n)
		return sw_rd_done(&c->r);
	c->offset = (uint32_t)(c->r.p - c->begin);
	if (decode_op(&c->r, c->mode, out) < 0)
		return SW_EFORMAT;
	if (c->i > 0 && sw_op_cmp(&c->prev, out) >= 0)
		return SW_EFORMAT;
	c->prev = *out;
	c->i++;
	return 1;
}

int sw_changeset_at(struct sw_view bytes, uint32_t offset, enum sw_mode *mode, struct sw_op *out)
{
	struct sw_rd r;

	if (bytes.n == 0 || offset >= bytes.n || bytes.p[0] > SW_MODE_CONTROL)
		return SW_EFORMAT;
	*mode = (enum sw_mode)bytes.p[0];
	r = sw_rd(sw_view(bytes.p + offset, bytes.n - offset));
	return decode_op(&r, *mode, out);
}

int sw_changeset_check(struct sw_view bytes, size_t *n_blobs)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, bytes);

	*n_blobs = 0;
	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		*n_blobs += op.kind == SW_OP_PUT && op.row.is_blob;
		rc = 0;
	}
	return rc;
}
