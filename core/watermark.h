/*
 * Watermarks: what a member had seen, signed by it.
 *
 *   watermark = 1:u8 author:32 stamp:u64 count:u64 line:hash state:hash n:varint tip:hash*n
 * signature:64
 *
 * The signature is over "swarmfs/1 watermark", the database's id and all that stands before it, so
 * that it can be taken for that of nothing else, nor for one of another database. Tips strictly
 * ascend, 1 to 1,024: the author had these commits and all below them, and of this set the count,
 * line and state. Of two by one author the one with the greater stamp counts.
 */
#ifndef SW_CORE_WATERMARK_H
#define SW_CORE_WATERMARK_H

#include "core/db.h"

#define SW_WATERMARK_VERSION  1
#define SW_WATERMARK_TIPS_MAX 1024
#define SW_WATERMARK_SIZE_MAX                                                                      \
	(1 + SW_KEY_SIZE + 8 + 8 + 2 * SW_HASH_SIZE + 2 + SW_WATERMARK_TIPS_MAX * SW_HASH_SIZE +   \
	 SW_SIG_SIZE)

struct sw_watermark {
	struct sw_key author;
	uint64_t stamp; /* core/hlc.h; greater than that of the author's one before */
	struct sw_head head;
	size_t n_tips;
	struct sw_view tips; /* the hashes one after the other; borrowed */
	struct sw_sig sig;
};

/* SW_EFORMAT when it is not canonical. Does not verify the signature. tips borrow from bytes. */
int sw_watermark_decode(struct sw_view bytes, struct sw_watermark *out) SW_MUST_CHECK;
/* Sign with id, whose key becomes the author; sets m->author and m->sig, appends the encoding. */
void sw_watermark_seal(struct sw_watermark *m, const struct sw_hash *database,
		       const struct sw_identity *id, struct sw_buf *out);
/* Whether the signature at the end of the encoding is the author's, for this database: 0 or
 * SW_ESIG; SW_ENOMEM. */
int sw_watermark_verify(struct sw_view bytes, const struct sw_watermark *m,
			const struct sw_hash *database) SW_MUST_CHECK;
/* The i-th tip. */
void sw_watermark_tip(const struct sw_watermark *m, size_t i, struct sw_hash *out);

#endif
