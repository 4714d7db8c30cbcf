/* A walk through the ancestors of a commit, newest first, each once. */
#ifndef SW_CORE_ANCESTORS_H
#define SW_CORE_ANCESTORS_H

#include "core/history.h"

/* Zero-initialise; sw_ancestors_fini() frees. */
struct sw_ancestors {
	struct sw_order *queue; /* a heap would do; there are as many as branches at one time */
	size_t n, cap;
};

void sw_ancestors_fini(struct sw_ancestors *a);
/* Walk through the commit's parents, too, and what is below them. */
int sw_ancestors_add_parents(struct sw_ancestors *a, struct sw_txn *txn,
			     const struct sw_commit *c) SW_MUST_CHECK;
/* The newest one left, whose parents come later: 1 with its order and number, or 0. */
int sw_ancestors_next(struct sw_ancestors *a, struct sw_txn *txn, struct sw_order *order,
		      uint64_t *seq) SW_MUST_CHECK;

#endif
