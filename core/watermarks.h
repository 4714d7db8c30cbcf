/*
 * The newest watermark (core/watermark.h) of each author, in a store: our own are signed, those of
 * others taken, and all passed on. They are numbered as they come; what was handed on to somebody
 * is remembered as one number.
 */
#ifndef SW_CORE_WATERMARKS_H
#define SW_CORE_WATERMARKS_H

#include "core/watermark.h"

/*
 * Sign what is here, and store it: 1; or 0 when the last one says the same, we may not write,
 * nobody else is a member, or there are too many tips. A failure means that nothing changed.
 */
int sw_db_sign_watermark(struct sw_db *db) SW_MUST_CHECK;

/* How many keys may write, as far as was known when somebody asked last. Any thread. */
size_t sw_db_writers(struct sw_db *db);

enum sw_watermark_taken {
	SW_WATERMARK_NEW,   /* stored */
	SW_WATERMARK_OLD,   /* that, or a newer one of the same author, was here */
	SW_WATERMARK_WAITS, /* what it tells of is not here yet, or that its author may write: offer
			       it again then */
	SW_WATERMARK_REFUSED, /* malformed, or its signature is wrong */
};

struct sw_incoming_watermark {
	struct sw_view bytes;
	uint64_t from; /* whoever it came from: it is not given back to it; never 0 */
	enum sw_watermark_taken taken; /* out */
};

/* Whether this one, or a newer one of its author, is here already. Any thread. */
bool sw_db_has_watermark(struct sw_db *db, const struct sw_watermark *m);

/* Watermarks from elsewhere, hostile until checked; those that are new are stored in one step. A
 * failure means that nothing changed. */
int sw_db_take_watermarks(struct sw_db *db, struct sw_incoming_watermark *v, size_t n,
			  size_t *n_new) SW_MUST_CHECK;

/*
 * Append, as `bytes`, the watermarks that were stored after the one numbered *after, oldest first,
 * but for those that came from `from`, until out has size_max bytes or more; *after moves on to the
 * last that was looked at. 1: something was appended, and there may be more; 0: there was nothing.
 */
int sw_db_watermarks_after(struct sw_db *db, uint64_t from, size_t size_max, uint64_t *after,
			   struct sw_buf *out) SW_MUST_CHECK;

#endif
