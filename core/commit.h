/*
 * Commits: a signed header that names its changeset.
 *
 *   header = version:u8 rule:varint database:hash n_parents:varint parent:hash*n author:32 stamp:u64
 *            state:hash changeset:hash message:bytes
 *   commit = header signature:64
 *
 * version is 1. Parents strictly ascend; only the first commit has none, and a zero database id: the
 * database's id is its id. A commit's id is the hash of its header, without the signature, since
 * a signer can make many signatures of one header.
 */
#ifndef SW_CORE_COMMIT_H
#define SW_CORE_COMMIT_H

#include "core/changeset.h"

#define SW_PARENTS_MAX	  64
#define SW_MESSAGE_MAX	  4096
#define SW_COMMIT_VERSION 1
#define SW_COMMIT_SIZE_MAX (256 + 32 * SW_PARENTS_MAX + SW_MESSAGE_MAX + SW_SIG_SIZE)

struct sw_commit {
	struct sw_hash id; /* of the header; set by decode and seal */
	uint64_t rule;
	struct sw_hash database;
	size_t n_parents;
	struct sw_hash parents[SW_PARENTS_MAX];
	struct sw_key author;
	uint64_t stamp; /* core/hlc.h */
	struct sw_hash state;
	struct sw_hash changeset;
	struct sw_view message; /* borrowed */
	struct sw_sig sig;
};

/* SW_EFORMAT when it is not canonical. Does not verify the signature. message borrows from bytes. */
int sw_commit_decode(struct sw_view bytes, struct sw_commit *out) SW_MUST_CHECK;
/* Sign with id, whose key becomes the author; sets c->author, c->sig and c->id, appends the encoding. */
void sw_commit_seal(struct sw_commit *c, const struct sw_identity *id, struct sw_buf *out);
/* Append the encoding of a commit with the signature that it has. */
void sw_commit_encode(const struct sw_commit *c, struct sw_buf *out);
/* Whether the signature at the end of the encoding is the author's: 0 or SW_ESIG. */
int sw_commit_verify(struct sw_view bytes, const struct sw_commit *c) SW_MUST_CHECK;

/* A commit's place in the one order: (stamp, author, id). Also its key in the line. */
#define SW_ORDER_SIZE (8 + SW_KEY_SIZE + SW_HASH_SIZE)
struct sw_order {
	uint8_t b[SW_ORDER_SIZE];
};

void sw_order_make(uint64_t stamp, const struct sw_key *author, const struct sw_hash *id,
		   struct sw_order *out);

static inline struct sw_view sw_order_view(const struct sw_order *o)
{
	return sw_view(o->b, SW_ORDER_SIZE);
}

static inline int sw_order_cmp(const struct sw_order *a, const struct sw_order *b)
{
	return memcmp(a->b, b->b, SW_ORDER_SIZE);
}

static inline uint64_t sw_order_stamp(const struct sw_order *o)
{
	return sw_get_u64(o->b);
}

static inline void sw_order_author(const struct sw_order *o, struct sw_key *out)
{
	memcpy(out->b, o->b + 8, SW_KEY_SIZE);
}

static inline void sw_order_id(const struct sw_order *o, struct sw_hash *out)
{
	memcpy(out->b, o->b + 8 + SW_KEY_SIZE, SW_HASH_SIZE);
}

/*
 * What became of a commit: the value of its entry in the line. A void commit that nothing stands on has none: SW_OUT is
 * only in the store.
 */
enum sw_outcome { SW_APPLIED = 0, SW_DROPPED = 1, SW_VOID = 2, SW_OUT = 3 };
const char *sw_outcome_name(enum sw_outcome o);

#endif
