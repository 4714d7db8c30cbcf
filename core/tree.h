/*
 * Prolly trees: ordered maps whose nodes are cut by content alone, so that one set of entries has
 * exactly one root, whatever the order of edits (core/cut.h has the rule).
 *
 * The root of an empty tree is the zero hash. A tree is named by (purpose, root) and never
 * changes; an edit gives a new root and shares what it did not touch. Records live in a
 * struct sw_nodes: their views obey its lifetimes.
 */
#ifndef SW_CORE_TREE_H
#define SW_CORE_TREE_H

#include "core/cut.h"
#include "core/nodes.h"

/* The value of a key, borrowed as sw_nodes_get() says; in the state's own tree, as sw_nodes_search() does. SW_ENOTFOUND. */
int sw_tree_get(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view key,
		struct sw_view *value) SW_MUST_CHECK;
/* The number of entries: the root knows it. */
int sw_tree_count(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t *out) SW_MUST_CHECK;

struct sw_edit {
	struct sw_view key;   /* 1 to SW_TREE_KEY_MAX bytes */
	struct sw_view value; /* at most SW_TREE_VALUE_MAX; ignored by a delete */
	bool del;
};

/*
 * Apply edits, strictly ascending by key, and give the new root; its new nodes are in `nodes`.
 * Deleting what is not there and putting what is there already change nothing.
 */
int sw_tree_apply(struct sw_nodes *nodes, const struct sw_shape *shape, enum sw_purpose purpose,
		  const struct sw_hash *root, const struct sw_edit *edits, size_t n,
		  struct sw_hash *out) SW_MUST_CHECK;

/*
 * A place in a tree's entries, or in those of one of its upper levels. Zero-initialise;
 * sw_cursor_fini() frees. Copies no record, so it dies with the transaction; long walks seek anew.
 */
struct sw_cursor {
	const struct sw_nodes *nodes;
	struct sw_node path[SW_TREE_LEVEL_MAX + 1]; /* by level */
	size_t at[SW_TREE_LEVEL_MAX + 1];
	uint8_t height; /* level of the root */
	uint8_t level;	/* level it moves on */
	bool is_open;
};

void sw_cursor_fini(struct sw_cursor *c);
/* Seeks return 1 on an entry, 0 past the end. */
int sw_cursor_seek(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root,
		   struct sw_view key) SW_MUST_CHECK; /* first entry with a key >= the given one */
int sw_cursor_seek_rank(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root,
			uint64_t rank) SW_MUST_CHECK; /* the entry with that many before it */
int sw_cursor_next(struct sw_cursor *c) SW_MUST_CHECK;
int sw_cursor_prev(struct sw_cursor *c) SW_MUST_CHECK;
const struct sw_entry *sw_cursor_entry(const struct sw_cursor *c);
/* How many there are from that one to the last of its node: they stand behind it, until the cursor moves. */
size_t sw_cursor_rest(const struct sw_cursor *c);
/* As far ahead as n times sw_cursor_next(), of at most the rest. */
int sw_cursor_skip(struct sw_cursor *c, size_t n) SW_MUST_CHECK;

/* The number of entries with a key smaller than the given one. */
int sw_tree_rank(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view key,
		 uint64_t *out) SW_MUST_CHECK;

/*
 * Call back for every key whose value differs, in order; a missing side has a NULL view. Equal
 * subtrees are skipped by their hash. Views live during the call. Stops at the first non-zero answer.
 */
typedef int (*sw_diff_fn)(void *arg, struct sw_view key, const struct sw_view *a, const struct sw_view *b);
int sw_tree_diff(const struct sw_nodes *nodes, const struct sw_hash *a, const struct sw_hash *b,
		 sw_diff_fn fn, void *arg) SW_MUST_CHECK;

/*
 * Read a whole tree and check hashes, encoding, order, levels, counts and every cut. 0, or SW_ECORRUPT
 * with a sentence saying where. Calls fn (may be NULL) with each leaf entry.
 */
typedef int (*sw_entry_fn)(void *arg, const struct sw_entry *e);
int sw_tree_check(const struct sw_nodes *nodes, const struct sw_shape *shape, enum sw_purpose purpose,
		  const struct sw_hash *root, sw_entry_fn fn, void *arg) SW_MUST_CHECK;

#endif
