/*
 * A batch of commits from elsewhere as it comes: decoded once, found by id, and its signatures
 * checked.
 *
 * A commit is genuine when its own signature verifies, or that of a descendant by the same author
 * does: whoever signs a commit signs the ids of all below it (core/FORMAT.md, "Verdicts"). So one
 * verification per author is usually enough for a batch.
 */
#ifndef SW_CORE_BATCH_H
#define SW_CORE_BATCH_H

#include "core/commit.h"

struct sw_batch_commit {
	struct sw_view raw;      /* signed header, borrowed */
	struct sw_commit commit; /* valid if is_decoded */
	bool is_decoded;
	bool is_known;    /* set by the caller: proven before, so nothing is verified */
	bool is_genuine;  /* set by sw_batch_prove() */
	uint64_t vouched; /* a bit per author, in order of appearance: a descendant by that author
			     is genuine */
};

/* All zero is the empty one. */
struct sw_batch {
	struct sw_batch_commit *v;
	size_t n, cap;
	uint32_t *index; /* open addressing by id: place + 1, or 0 */
	size_t n_slots;
};

void sw_batch_fini(struct sw_batch *b);
/* Take one up, decoded if that works; it stands in the batch either way. raw is borrowed.
 * SW_ENOMEM. */
int sw_batch_add(struct sw_batch *b, struct sw_view raw) SW_MUST_CHECK;
/* The place of a commit, or SIZE_MAX. Of two that are equal, the first. */
size_t sw_batch_find(const struct sw_batch *b, const struct sw_hash *id);
/*
 * Set is_genuine on all, children before parents; parents are assumed to stand before their
 * children. Commits of `self` (may be NULL) are known to be.
 */
void sw_batch_prove(struct sw_batch *b, const struct sw_key *self);
/* The place of the first that is neither genuine nor known; n if there is none. */
size_t sw_batch_first_unproven(const struct sw_batch *b);

#endif
