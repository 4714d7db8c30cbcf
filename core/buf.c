#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void sw_buf_fini(struct sw_buf *b)
{
	free(b->p);
	*b = (struct sw_buf){0};
}

void sw_buf_reset(struct sw_buf *b)
{
	b->n = 0;
	b->rc = 0;
}

static uint8_t *grow(struct sw_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *p;

	if (b->rc < 0)
		return NULL;
	if (n > SIZE_MAX / 2 - b->n) {
		b->rc = SW_ENOMEM;
		return NULL;
	}
	while (cap < b->n + n)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p) {
		b->rc = SW_ENOMEM;
		return NULL;
	}
	b->p = p;
	b->cap = cap;
	return b->p + b->n;
}

/* Nearly always there is room. */
static inline uint8_t *reserve(struct sw_buf *b, size_t n)
{
	return b->rc == 0 && b->p && n <= b->cap && b->n <= b->cap - n ? b->p + b->n : grow(b, n);
}

uint8_t *sw_buf_reserve(struct sw_buf *b, size_t n)
{
	return reserve(b, n);
}

void sw_buf_put(struct sw_buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return;
	to = reserve(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->n += n;
}

void sw_buf_put_view(struct sw_buf *b, struct sw_view v)
{
	sw_buf_put(b, v.p, v.n);
}

void sw_buf_put_bytes(struct sw_buf *b, struct sw_view v)
{
	sw_buf_put_varint(b, v.n);
	sw_buf_put(b, v.p, v.n);
}

void sw_buf_put_u8(struct sw_buf *b, uint8_t v)
{
	uint8_t *to = reserve(b, 1);

	if (!to)
		return;
	*to = v;
	b->n++;
}

static inline void put_be(struct sw_buf *b, uint64_t v, size_t width)
{
	uint8_t *to = reserve(b, width);

	if (!to)
		return;
	for (size_t i = 0; i < width; i++)
		to[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
	b->n += width;
}

void sw_buf_put_u16(struct sw_buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void sw_buf_put_u32(struct sw_buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void sw_buf_put_u64(struct sw_buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

void sw_buf_put_varint(struct sw_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		sw_buf_put_u8(b, (uint8_t)(v | 0x80));
	sw_buf_put_u8(b, (uint8_t)v);
}

void sw_buf_printf(struct sw_buf *b, const char *format, ...)
{
	va_list ap;
	int n;
	char *to;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0) {
		b->rc = SW_ENOMEM;
		return;
	}
	to = (char *)sw_buf_reserve(b, (size_t)n + 1);
	if (!to)
		return;
	va_start(ap, format);
	vsnprintf(to, (size_t)n + 1, format, ap);
	va_end(ap);
	b->n += (size_t)n;
}

size_t sw_varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

void sw_rd_copy(struct sw_rd *r, void *out, size_t n)
{
	struct sw_view v = sw_rd_take(r, n);

	if (v.n == n && n > 0)
		memcpy(out, v.p, n);
	else if (n > 0)
		memset(out, 0, n);
}

static uint64_t get_be(struct sw_rd *r, size_t width)
{
	struct sw_view v = sw_rd_take(r, width);
	uint64_t x = 0;

	for (size_t i = 0; i < v.n; i++)
		x = x << 8 | v.p[i];
	return x;
}

uint8_t sw_rd_u8(struct sw_rd *r)
{
	return (uint8_t)get_be(r, 1);
}

uint16_t sw_rd_u16(struct sw_rd *r)
{
	return (uint16_t)get_be(r, 2);
}

uint32_t sw_rd_u32(struct sw_rd *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t sw_rd_u64(struct sw_rd *r)
{
	return get_be(r, 8);
}

uint64_t sw_rd_long_varint(struct sw_rd *r)
{
	size_t left = sw_rd_left(r);
	const uint8_t *p = r->p;
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && left > 0; shift += 7, left--) {
		uint8_t byte = *p++;

		/* The tenth byte may hold one bit; a final zero byte is superfluous. */
		if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			r->p = p;
			return v;
		}
	}
	r->bad = true;
	return 0;
}
