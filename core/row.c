#include "core/row.h"

#include <assert.h>

int sw_row_decode(struct sw_view value, struct sw_row *out)
{
	struct sw_rd r = sw_rd(value);
	uint8_t form = sw_rd_u8(&r);

	*out = (struct sw_row){.is_blob = form == 1};
	out->mode = sw_rd_u16(&r);
	out->mtime_ns = (int64_t)sw_rd_u64(&r);
	if (form > 1 || (out->mode & ~SW_MODE_MASK) != 0)
		return SW_EFORMAT;
	if (out->is_blob) {
		out->size = sw_rd_varint_max(&r, SW_ROW_SIZE_MAX);
		sw_rd_hash(&r, &out->blob);
		if (out->size <= SW_INLINE_MAX)
			return SW_EFORMAT;
	} else {
		out->bytes = sw_rd_take(&r, sw_rd_left(&r));
		out->size = out->bytes.n;
		if (out->size > SW_INLINE_MAX)
			return SW_EFORMAT;
	}
	return sw_rd_done(&r);
}

void sw_row_encode(const struct sw_row *row, struct sw_buf *out)
{
	assert(row->is_blob == (row->size > SW_INLINE_MAX));
	assert((row->mode & ~SW_MODE_MASK) == 0);
	sw_buf_put_u8(out, row->is_blob);
	sw_buf_put_u16(out, row->mode);
	sw_buf_put_u64(out, (uint64_t)row->mtime_ns);
	if (row->is_blob) {
		sw_buf_put_varint(out, row->size);
		sw_buf_put_hash(out, &row->blob);
	} else {
		sw_buf_put_view(out, row->bytes);
	}
}

void sw_row_hash(const struct sw_row *row, struct sw_hash *out)
{
	if (row->is_blob)
		*out = row->blob;
	else
		sw_hash_compute(SW_DOMAIN_VALUE, row->bytes, out);
}

int sw_table_decode(struct sw_view value, struct sw_table *out)
{
	struct sw_rd r = sw_rd(value);

	out->mode = sw_rd_u16(&r);
	out->mtime_ns = (int64_t)sw_rd_u64(&r);
	sw_rd_hash(&r, &out->root);
	out->n_rows = sw_rd_varint(&r);
	if ((out->mode & ~SW_MODE_MASK) != 0 || (out->n_rows == 0) != sw_hash_is_zero(&out->root))
		return SW_EFORMAT;
	return sw_rd_done(&r);
}

void sw_table_encode(const struct sw_table *t, struct sw_buf *out)
{
	assert((t->n_rows == 0) == sw_hash_is_zero(&t->root));
	sw_buf_put_u16(out, t->mode);
	sw_buf_put_u64(out, (uint64_t)t->mtime_ns);
	sw_buf_put_hash(out, &t->root);
	sw_buf_put_varint(out, t->n_rows);
}

int sw_name_check(struct sw_view name)
{
	if (name.n > SW_NAME_MAX)
		return SW_ETOOLONG;
	if (name.n == 0 || (name.n <= 2 && name.p[0] == '.' && name.p[name.n - 1] == '.'))
		return SW_EINVAL;
	if (memchr(name.p, '\0', name.n) || memchr(name.p, '/', name.n))
		return SW_EINVAL;
	return 0;
}

bool sw_name_is_control(struct sw_view name)
{
	static const char names[][12] = {".commits", ".conflicts", ".swarm", ".txn",
					 ".commit",  ".diff",	   ".check", ".message"};

	if (name.n == 0 || name.p[0] != '.')
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (sw_view_eq(name, sw_view_str(names[i])))
			return true;
	return false;
}

int sw_table_name_check(struct sw_view name)
{
	int rc = sw_name_check(name);

	return rc == 0 && sw_name_is_control(name) ? SW_EPERM : rc;
}
