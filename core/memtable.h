/*
 * Records of trees that are not written to the store yet: those of the states and lines since the last checkpoint
 * (core/FORMAT.md, "The store"). It only grows; when a checkpoint has written what is needed, a new one takes its place, and
 * the old one lives until its last reader is done.
 *
 * One thread at a time may add; any may read meanwhile.
 */
#ifndef SW_CORE_MEMTABLE_H
#define SW_CORE_MEMTABLE_H

#include "core/buf.h"
#include "core/hash.h"

struct sw_memtable;
struct sw_nodes;

/* Empty, with one reference. SW_ENOMEM. */
int sw_memtable_new(struct sw_memtable **out) SW_MUST_CHECK;
struct sw_memtable *sw_memtable_ref(struct sw_memtable *m);
void sw_memtable_unref(struct sw_memtable *m); /* NULL is fine */

/* A record, borrowed for as long as the reference is held. */
bool sw_memtable_get(struct sw_memtable *m, const struct sw_hash *hash, struct sw_view *out);
/* Move the records that `from` holds in memory here. On SW_ENOMEM some of them stay. */
int sw_memtable_add(struct sw_memtable *m, struct sw_nodes *from) SW_MUST_CHECK;
/* Bytes of the records. For the thread that adds. */
size_t sw_memtable_bytes(const struct sw_memtable *m);

#endif
