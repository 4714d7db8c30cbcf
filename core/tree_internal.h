/* What the files of the tree share. */
#ifndef SW_CORE_TREE_INTERNAL_H
#define SW_CORE_TREE_INTERNAL_H

#include "core/tree.h"

/* Open at the root; the cursor will move on `level` (it must be at most the tree's height). */
int sw_cursor_open(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root);
/* Go to the node of c->level that holds key or would, the last one when it is past the end. */
int sw_cursor_seek_node(struct sw_cursor *c, uint8_t level, struct sw_view key);
/* The neighbour of the current node on c->level: 1, or 0 and the cursor did not move. */
int sw_cursor_next_node(struct sw_cursor *c);
int sw_cursor_prev_node(struct sw_cursor *c);
/* Like decode, with a sentence naming the record when it is damaged. */
int sw_tree_load(const struct sw_nodes *nodes, const struct sw_hash *hash, struct sw_node *out);

static inline const struct sw_node *sw_cursor_node(const struct sw_cursor *c)
{
	return &c->path[c->level];
}

#endif
