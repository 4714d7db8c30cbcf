/*
 * The upper nodes of the trees that one caller searches again and again, in memory: a search for a
 * row passes the state's node and its table's inner nodes, and of the store it then needs the leaf
 * alone. A record is named by the hash of its bytes, so what is in here is never out of date; of
 * what nobody asks for any more, others take the place.
 *
 * For one thread at a time.
 */
#ifndef SW_CORE_NODE_CACHE_H
#define SW_CORE_NODE_CACHE_H

#include "core/node.h"

struct sw_node_cache;

/* Empty; about half a megabyte when it is full. SW_ENOMEM. */
int sw_node_cache_new(struct sw_node_cache **out) SW_MUST_CHECK;
void sw_node_cache_free(struct sw_node_cache *c); /* NULL is fine */
/* A record's bytes, borrowed until the next one is put. */
bool sw_node_cache_get(const struct sw_node_cache *c, const struct sw_hash *hash,
		       struct sw_view *out);
/* Keep a copy if the record is of the kind that is kept: an inner node, or one of the state.
 * Without memory it is not kept. */
void sw_node_cache_put(struct sw_node_cache *c, const struct sw_hash *hash, struct sw_view bytes);

#endif
