/*
 * Bytes: a borrowed view, a growing buffer to encode into, and a cursor to decode from.
 *
 * There is exactly one encoding of everything that is hashed, signed, stored or sent. Fixed
 * integers are big-endian; lengths and counts are varints: seven bits a byte, low bits first, high bit
 * set on all but the last byte, no superfluous zero byte at the end. Both the buffer and the
 * cursor remember their first failure, so that a caller checks once at the end.
 */
#ifndef SW_CORE_BUF_H
#define SW_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

/* Borrowed bytes; whoever hands one out says until when they live. */
struct sw_view {
	const uint8_t *p;
	size_t n;
};

static inline struct sw_view sw_view(const void *p, size_t n)
{
	return (struct sw_view){(const uint8_t *)p, n};
}

static inline struct sw_view sw_view_str(const char *s)
{
	return sw_view(s, strlen(s));
}

static inline bool sw_view_eq(struct sw_view a, struct sw_view b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Lexicographic by unsigned bytes, a proper prefix first: the order of keys everywhere. */
static inline int sw_view_cmp(struct sw_view a, struct sw_view b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

/* A growing buffer. Zero-initialise; sw_buf_fini() frees. rc is 0 or SW_ENOMEM, and then stays. */
struct sw_buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	int rc;
};

void sw_buf_fini(struct sw_buf *b);
/* Forget the content, keep the memory, clear rc. */
void sw_buf_reset(struct sw_buf *b);
/* Room for n more bytes at b->p + b->n, or NULL (rc is set). Does not change b->n. */
uint8_t *sw_buf_reserve(struct sw_buf *b, size_t n);
void sw_buf_put(struct sw_buf *b, const void *p, size_t n);
void sw_buf_put_view(struct sw_buf *b, struct sw_view v); /* the bytes alone */
void sw_buf_put_bytes(struct sw_buf *b, struct sw_view v); /* varint length, then the bytes */
void sw_buf_put_u8(struct sw_buf *b, uint8_t v);
void sw_buf_put_u16(struct sw_buf *b, uint16_t v);
void sw_buf_put_u32(struct sw_buf *b, uint32_t v);
void sw_buf_put_u64(struct sw_buf *b, uint64_t v);
void sw_buf_put_varint(struct sw_buf *b, uint64_t v);
void sw_buf_printf(struct sw_buf *b, const char *format, ...) SW_PRINTF(2, 3);

static inline struct sw_view sw_buf_view(const struct sw_buf *b)
{
	return sw_view(b->p, b->n);
}

/* Bytes that sw_buf_put_varint() would write for v: 1 to 10. */
size_t sw_varint_size(uint64_t v);

/* A cursor. After any failed read, bad is set and every read returns zero or an empty view. */
struct sw_rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct sw_rd sw_rd(struct sw_view v)
{
	return (struct sw_rd){v.p, v.n ? v.p + v.n : v.p, false};
}

static inline size_t sw_rd_left(const struct sw_rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

static inline struct sw_view sw_rd_take(struct sw_rd *r, size_t n)
{
	struct sw_view v = {r->p, n};

	if (n > sw_rd_left(r)) {
		r->bad = true;
		return (struct sw_view){NULL, 0};
	}
	r->p += n;
	return v;
}

void sw_rd_copy(struct sw_rd *r, void *out, size_t n); /* zeroes out on failure */
uint8_t sw_rd_u8(struct sw_rd *r);
uint16_t sw_rd_u16(struct sw_rd *r);
uint32_t sw_rd_u32(struct sw_rd *r);
uint64_t sw_rd_u64(struct sw_rd *r);
uint64_t sw_rd_long_varint(struct sw_rd *r); /* of any length, for the one below */

/* Nearly all take one byte. */
static inline uint64_t sw_rd_varint(struct sw_rd *r)
{
	if (!r->bad && r->p < r->end && *r->p < 0x80)
		return *r->p++;
	return sw_rd_long_varint(r);
}

/* A varint of at most max; larger is a failure. */
static inline uint64_t sw_rd_varint_max(struct sw_rd *r, uint64_t max)
{
	uint64_t v = sw_rd_varint(r);

	if (v > max) {
		r->bad = true;
		return 0;
	}
	return v;
}

/* A length-prefixed string of at most max bytes; the length is checked before anything else. */
static inline struct sw_view sw_rd_bytes(struct sw_rd *r, size_t max)
{
	return sw_rd_take(r, (size_t)sw_rd_varint_max(r, max));
}

/* 0 when everything was read and nothing failed, else SW_EFORMAT: trailing bytes are refused. */
static inline int sw_rd_done(const struct sw_rd *r)
{
	return !r->bad && r->p == r->end ? 0 : SW_EFORMAT;
}

/* Locals that own something: SW_CLEANUP(fn) struct x *v = NULL; success hands over with SW_TAKE. */
#define SW_CLEANUP(fn) __attribute__((cleanup(fn)))
#define SW_TAKE(v)                                                                                 \
	__extension__({                                                                            \
		__typeof__(v) sw_taken_ = (v);                                                     \
		(v) = NULL;                                                                        \
		sw_taken_;                                                                         \
	})
#define SW_BUF SW_CLEANUP(sw_buf_fini) struct sw_buf

static inline uint64_t sw_get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void sw_set_u64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

#endif
