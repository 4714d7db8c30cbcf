/*
 * A batch of commits from elsewhere as it comes: decoded once, found by id, and its signatures checked.
 *
 * A commit is genuine when its own signature verifies, or that of a descendant by the same author does: whoever
 * signs a commit signs the ids of all below it (core/FORMAT.md, "Verdicts"). So one verification per author
 * is usually enough for a batch. No id covers a signature: what came through others may carry any.
 */
#ifndef SW_CORE_BATCH_H
#define SW_CORE_BATCH_H

#include "core/commit.h"

enum sw_signature { SW_SIGNATURE_UNKNOWN, SW_SIGNATURE_GOOD, SW_SIGNATURE_BAD };

struct sw_batch_commit {
	struct sw_view raw;	     /* signed header, borrowed */
	struct sw_commit commit;     /* valid if is_decoded */
	bool is_decoded;
	bool is_known;		     /* set by the caller: proven before, so nothing is verified */
	bool is_out;		     /* set by the caller: it neither needs a proof nor gives one */
	bool is_genuine;	     /* set by sw_batch_prove() */
	enum sw_signature signature; /* its own, as far as it was needed */
	uint64_t vouched;	     /* a bit per author: a descendant by that author is genuine */
};

/* All zero is the empty one. */
struct sw_batch {
	struct sw_batch_commit *v;
	size_t n, cap;
	uint32_t *index; /* open addressing by id: place + 1, or 0 */
	size_t n_slots;
};

void sw_batch_fini(struct sw_batch *b);
/* Take one up, decoded if that works; it stands in the batch either way. raw is borrowed. SW_ENOMEM. */
int sw_batch_add(struct sw_batch *b, struct sw_view raw) SW_MUST_CHECK;
/* The place of a commit, or SIZE_MAX. Of two that are equal, the first. */
size_t sw_batch_find(const struct sw_batch *b, const struct sw_hash *id);
/*
 * Set is_genuine on the first n, each from those among them alone; parents are assumed to stand before their children.
 * Gives the place of the first that is not, and is neither known nor out; n if there is none. No signature is
 * verified twice.
 */
size_t sw_batch_prove(struct sw_batch *b, size_t n);
/* The most of them, from the first on, that prove themselves. */
size_t sw_batch_closed(struct sw_batch *b);

#endif
