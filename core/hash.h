/*
 * Hashes. Content is named by BLAKE2b-256 (RFC 7693) with the purpose in the personalisation
 * field, so that a node, a commit, a changeset and a value with the same bytes have different names.
 * Tree shapes are decided by SipHash-2-4 under keys derived from the database's salt, so that
 * nobody outside the database can choose keys that steer them.
 */
#ifndef SW_CORE_HASH_H
#define SW_CORE_HASH_H

#include "core/buf.h"

#define SW_HASH_SIZE 32
#define SW_HASH_HEX_SIZE (2 * SW_HASH_SIZE + 1)

struct sw_hash {
	uint8_t b[SW_HASH_SIZE];
};

/* X(enum, personalisation): at most 16 bytes, zero padded. Part of the format. */
#define SW_HASH_DOMAINS(X)                                                                         \
	X(VALUE, "swarmfs.value")                                                                  \
	X(COLUMN, "swarmfs.column")                                                                \
	X(NODE, "swarmfs.node")                                                                    \
	X(CELL, "swarmfs.cell")                                                                    \
	X(CHANGESET, "swarmfs.change")                                                             \
	X(COMMIT, "swarmfs.commit")                                                                \
	X(SALT, "swarmfs.salt")                                                                    \
	X(PROOF, "swarmfs.proof")                                                                  \
	X(TICKET, "swarmfs.ticket")

enum sw_hash_domain {
#define X(name, text) SW_DOMAIN_##name,
	SW_HASH_DOMAINS(X)
#undef X
};

/* The all-zero hash stands for 'absent' and for the empty tree. No content hashes to it. */
extern const struct sw_hash sw_hash_zero;

void sw_hash_compute(enum sw_hash_domain domain, struct sw_view bytes, struct sw_hash *out);
/* The hash of two views one after the other, without joining them. */
void sw_hash_compute2(enum sw_hash_domain domain, struct sw_view a, struct sw_view b,
		      struct sw_hash *out);

static inline bool sw_hash_eq(const struct sw_hash *a, const struct sw_hash *b)
{
	return memcmp(a->b, b->b, SW_HASH_SIZE) == 0;
}

static inline int sw_hash_cmp(const struct sw_hash *a, const struct sw_hash *b)
{
	return memcmp(a->b, b->b, SW_HASH_SIZE);
}

static inline bool sw_hash_is_zero(const struct sw_hash *a)
{
	return sw_hash_eq(a, &sw_hash_zero);
}

static inline struct sw_view sw_hash_view(const struct sw_hash *h)
{
	return sw_view(h->b, SW_HASH_SIZE);
}

static inline void sw_buf_put_hash(struct sw_buf *b, const struct sw_hash *h)
{
	sw_buf_put(b, h->b, SW_HASH_SIZE);
}

static inline void sw_rd_hash(struct sw_rd *r, struct sw_hash *out)
{
	struct sw_view v = sw_rd_take(r, SW_HASH_SIZE);

	if (r->bad)
		memset(out->b, 0, SW_HASH_SIZE);
	else
		memcpy(out->b, v.p, SW_HASH_SIZE);
}

/* Lower-case hexadecimal of n bytes into out, which has room for 2 * n + 1; NUL terminated. */
void sw_hex(const uint8_t *p, size_t n, char *out);
/* Exactly n bytes from 2 * n hexadecimal digits; SW_EFORMAT otherwise. */
int sw_unhex(struct sw_view text, uint8_t *out, size_t n) SW_MUST_CHECK;
/* Append base64 (RFC 4648, with padding). SW_ENOMEM. */
int sw_base64(struct sw_view bytes, struct sw_buf *out) SW_MUST_CHECK;

/* SipHash key; for what peers agree on it is made by sw_sip_derive() from the salt and a purpose. */
struct sw_sip_key {
	uint8_t b[16];
};

/* The key for one purpose and level: the first 16 bytes of BLAKE2b-256 over salt || purpose || level. */
void sw_sip_derive(const struct sw_hash *salt, uint8_t purpose, uint8_t level,
		   struct sw_sip_key *out);
/* SipHash-2-4, which core/FORMAT.md names. */
uint64_t sw_sip(const struct sw_sip_key *key, struct sw_view bytes);
/* SipHash-1-3, in half the time: for what stays on this machine, as hash tables and inode numbers do. */
uint64_t sw_sip13(const struct sw_sip_key *key, struct sw_view bytes);

#endif
