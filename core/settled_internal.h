/* What is known of the writers' pasts, as core/settled.c and core/watermarks.c share it. */
#ifndef SW_CORE_SETTLED_INTERNAL_H
#define SW_CORE_SETTLED_INTERNAL_H

#include "core/db_internal.h"
#include "core/seen.h"
#include "core/settled.h"

/* A key that may write. */
struct sw_voice {
	struct sw_key key;
	uint64_t stamp;  /* of its newest watermark; 0: it has none */
	uint64_t count;  /* of the commits that it says to have */
	uint64_t number; /* of its place among all that were stored */
	uint64_t from;   /* who brought it; 0: it was here before */
};

/*
 * What is known of the writers' pasts. Everything but `last` and what belongs to it follows from
 * the store, and is read again when it was not (or could not be) kept up.
 */
struct sw_settling {
	pthread_mutex_t lock;
	bool is_loaded;
	struct sw_key own;      /* the store's key then: its past is all that is here */
	struct sw_hash members; /* root of the table that v was read from */
	struct sw_voice *v;     /* by key; a column of `seen` each, and one more for sums */
	size_t n, n_members;
	struct sw_seen seen; /* of the commits that are not settled, and some that are */
	uint64_t number;     /* greatest of any watermark here */
	bool has_last;
	struct sw_order last; /* of the commits that are settled */
	uint64_t base;        /* all commits with a smaller number are settled */
	uint64_t known;       /* commits with a smaller number were here when it was found */
};

/* The rest is called with lock held. */

/*
 * Go on to what the reader shows. One that is older than what was looked at last shows nothing new,
 * and is not used: its line may lack a commit that stands before what would be found settled.
 */
int sw_settling_refresh(struct sw_db *db, const struct sw_reader *r) SW_MUST_CHECK;
/* NULL: that key may not write. */
struct sw_voice *sw_settling_voice(const struct sw_settling *s, const struct sw_key *key);
/* The writer of that column has seen what its watermark tells of, which is here. */
int sw_settling_see(struct sw_settling *s, struct sw_txn *txn, size_t column,
		    const struct sw_watermark *m) SW_MUST_CHECK;
/* The root of the table of members. */
int sw_settling_members(const struct sw_reader *r, struct sw_hash *out) SW_MUST_CHECK;

/* The newest watermark of an author in the store, and its number; bytes and tips borrow.
 * SW_ENOTFOUND. */
int sw_watermark_load(struct sw_txn *txn, const struct sw_key *author, uint64_t *number,
		      struct sw_view *bytes, struct sw_watermark *out) SW_MUST_CHECK;
/* The greatest number of any; 0: there is none. */
int sw_watermark_last(struct sw_txn *txn, uint64_t *out) SW_MUST_CHECK;

#endif
