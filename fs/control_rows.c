/* The stream of imported rows, as the owner reads it. */
#include <stdlib.h>

#include "fs/control_internal.h"

struct rows {
	int fd;
	struct sw_buf frame;
	size_t at; /* in the frame */
	bool is_over;
	struct sw_buf table, key;
	struct sw_buf content;
};

static int failed_there(struct sw_view payload)
{
	struct sw_rd r = sw_rd(payload);
	int code = sw_rd_u8(&r);
	struct sw_view text = sw_rd_take(&r, sw_rd_left(&r));

	if (code == 0 || code > -SW_EROFS)
		code = -SW_EIO;
	return sw_fail(-code, "%.*s", (int)(text.n < 900 ? text.n : 900), (const char *)text.p);
}

/* Make sure that the frame has unread bytes: 1, or 0 at the end of the stream. */
static int more(struct rows *s)
{
	enum sw_frame_type type;
	int rc;

	while (!s->is_over && s->at == s->frame.n) {
		rc = sw_frame_receive(s->fd, &type, &s->frame);
		s->at = 0;
		if (rc == 0)
			rc = SW_ECLOSED;
		if (rc < 0)
			return sw_fail(rc, "the input ended before its end: the sender is gone");
		if (type == SW_FRAME_ROWS_FAILED)
			return failed_there(sw_buf_view(&s->frame));
		if (type == SW_FRAME_ROWS_END)
			s->is_over = true;
		else if (type != SW_FRAME_ROWS)
			return SW_EFORMAT;
	}
	return !s->is_over;
}

static int take(struct rows *s, void *out, size_t n)
{
	uint8_t *p = out;

	while (n > 0) {
		int rc = more(s);
		size_t k = s->frame.n - s->at < n ? s->frame.n - s->at : n;

		if (rc <= 0)
			return rc < 0 ? rc : SW_EFORMAT;
		memcpy(p, s->frame.p + s->at, k);
		s->at += k;
		p += k;
		n -= k;
	}
	return 0;
}

static int take_varint(struct rows *s, uint64_t max, uint64_t *out)
{
	uint8_t bytes[10];
	struct sw_rd r;
	size_t n = 0;

	do {
		int rc = n == sizeof(bytes) ? SW_EFORMAT : take(s, bytes + n, 1);

		if (rc < 0)
			return rc;
	} while (bytes[n++] & 0x80);
	r = sw_rd(sw_view(bytes, n));
	*out = sw_rd_varint(&r);
	if (sw_rd_done(&r) < 0)
		return SW_EFORMAT;
	return *out > max ? SW_ELIMIT : 0;
}

static int take_bytes(struct rows *s, uint64_t max, struct sw_buf *out)
{
	uint64_t n;
	int rc = take_varint(s, max, &n);

	sw_buf_reset(out);
	if (rc < 0)
		return rc;
	if (n == 0)
		return 0;
	if (!sw_buf_reserve(out, (size_t)n))
		return SW_ENOMEM;
	rc = take(s, out->p, (size_t)n);
	out->n = rc < 0 ? 0 : (size_t)n;
	return rc;
}

static int take_table(struct rows *s, const struct sw_import_sink *sink)
{
	int rc = take_bytes(s, SW_NAME_MAX, &s->table);

	if (rc == 0)
		rc = sw_table_name_check(sw_buf_view(&s->table));
	return rc < 0 ? rc : sink->table(sink->arg, sw_buf_view(&s->table));
}

static int take_row(struct rows *s, const struct sw_import_sink *sink)
{
	struct sw_import_meta meta;
	uint8_t fixed[11] = {0};
	struct sw_rd r = sw_rd(sw_view(fixed, sizeof(fixed)));
	bool has_meta;
	int rc = take_bytes(s, SW_NAME_MAX, &s->key);

	if (rc == 0)
		rc = sw_name_check(sw_buf_view(&s->key));
	if (rc == 0)
		rc = take(s, fixed, sizeof(fixed));
	if (rc < 0)
		return rc;
	has_meta = sw_rd_u8(&r) != 0;
	meta.mode = sw_rd_u16(&r) & SW_MODE_MASK;
	meta.mtime_ns = (int64_t)sw_rd_u64(&r);
	rc = take_bytes(s, SW_CONTROL_ROW_MAX, &s->content);
	if (rc == SW_ELIMIT)
		return sw_fail(rc, "the row %.*s is larger than %llu MiB; copy it into the mount instead",
			       (int)s->key.n, (const char *)s->key.p,
			       (unsigned long long)(SW_CONTROL_ROW_MAX >> 20));
	if (rc < 0)
		return rc;
	return sink->row(sink->arg, sw_buf_view(&s->table), sw_buf_view(&s->key),
			 sw_buf_view(&s->content), has_meta ? &meta : NULL);
}

int sw_control_read_rows(struct sw_ctx *ctx, const struct sw_import_sink *sink)
{
	struct rows s = {.fd = *(int *)ctx->rows_arg};
	int rc;

	while ((rc = more(&s)) > 0) {
		uint8_t kind;

		rc = take(&s, &kind, 1);
		if (rc == 0 && kind == SW_FRAME_ROW_TABLE)
			rc = take_table(&s, sink);
		else if (rc == 0 && kind == SW_FRAME_ROW_ROW && s.table.n > 0)
			rc = take_row(&s, sink);
		else if (rc == 0)
			rc = SW_EFORMAT;
		if (rc < 0)
			break;
	}
	sw_buf_fini(&s.frame);
	sw_buf_fini(&s.table);
	sw_buf_fini(&s.key);
	sw_buf_fini(&s.content);
	return rc;
}
