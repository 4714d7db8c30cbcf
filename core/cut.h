/*
 * Where the nodes of a prolly tree end: the one cut function of every path (edit, bulk load, merge, check).
 *
 * Two rules, integers only, and neither depends on where the previous node ended:
 *  1. An entry ends a *run* when the keyed hash of its key is below a constant (one in 64).
 *  2. A run of nominal size above SW_NODE_SIZE_MAX is cut at the entry with the smallest second
 *     hash among those that end in the middle half of its bytes; both parts are cut again in the same way.
 * Rule 2 keeps nodes small without a threshold that ground keys could shift along the tree. The idea of
 * content-defined node boundaries is that of Noms' prolly trees; size-driven splitters were found attackable.
 */
#ifndef SW_CORE_CUT_H
#define SW_CORE_CUT_H

#include "core/node.h"

#define SW_RUN_ENTRIES 64 /* mean number of entries of a run */

/* The keys of one database's cut hashes. Make once with sw_shape_init(). */
struct sw_shape {
	struct sw_sip_key run[SW_PURPOSE_LAST + 1][SW_TREE_LEVEL_MAX + 1];
	struct sw_sip_key cut[SW_PURPOSE_LAST + 1][SW_TREE_LEVEL_MAX + 1];
	uint64_t gear[256]; /* for the data chunks of blobs */
};

void sw_shape_init(struct sw_shape *shape, const struct sw_hash *salt);

/* Rule 1. */
bool sw_cut_ends_run(const struct sw_shape *shape, enum sw_purpose purpose, uint8_t level,
		     struct sw_view key);

/*
 * Rule 2: call back for each node of the run entries[0..n), in order, with its first index and
 * number of entries. Stops at the first negative answer and returns it.
 */
typedef int (*sw_cut_fn)(void *arg, size_t first, size_t n);
int sw_cut_run(const struct sw_shape *shape, enum sw_purpose purpose, uint8_t level,
	       const struct sw_entry *entries, size_t n, sw_cut_fn fn, void *arg) SW_MUST_CHECK;

#endif
