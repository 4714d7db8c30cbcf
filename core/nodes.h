/*
 * A set of content-addressed records as one reader or writer sees it: those of a store's transaction, above them those of a
 * memtable, and on top, in memory, the ones added since.
 *
 * References are counted, so that superseded nodes go the moment nothing refers to them: a record lives
 * while another record, or a root that somebody retained, refers to it. Counting happens once per
 * transaction, in sw_nodes_flush(): a child that moves from an old node to its replacement costs nothing.
 */
#ifndef SW_CORE_NODES_H
#define SW_CORE_NODES_H

#include "core/memtable.h"
#include "core/node.h"
#include "core/node_cache.h"
#include "core/store.h"

struct sw_nodes;

/* Over a transaction (borrowed), or txn NULL: memory alone. SW_ENOMEM. */
int sw_nodes_new(struct sw_txn *txn, struct sw_nodes **out) SW_MUST_CHECK;
void sw_nodes_free(struct sw_nodes *s);
void sw_nodes_freep(struct sw_nodes **s);

/* Look through the records of `under` too, after those of this set; twice at most. Borrowed; read-only use. */
void sw_nodes_stack(struct sw_nodes *s, const struct sw_nodes *under);
/* Look through a memtable too (borrowed; NULL for none). */
void sw_nodes_set_memtable(struct sw_nodes *s, struct sw_memtable *m);
/*
 * Read through another set for a while (NULL: no longer), and keep every record that is put: this set outlives what is below
 * it, as a snapshot's does.
 */
void sw_nodes_read_through(struct sw_nodes *s, const struct sw_nodes *below);

/* Let searches pass through a cache (borrowed; NULL for none). What sw_nodes_search() finds is then borrowed until its next call. */
void sw_nodes_set_cache(struct sw_nodes *s, struct sw_node_cache *c);

/*
 * The record's bytes, borrowed: from memory until the set is freed, from the store until its
 * transaction ends or writes. SW_ENOTFOUND is reported as SW_ECORRUPT with a sentence, since
 * whoever asks holds a reference; sw_nodes_has() asks without that.
 */
int sw_nodes_get(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out) SW_MUST_CHECK;
/* The same for a node on the way down a tree, which a cache may know. */
int sw_nodes_search(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out) SW_MUST_CHECK;
/* From now on the hash of a record that sw_nodes_get() did not find goes to *to; borrowed. */
void sw_nodes_note_missing(struct sw_nodes *s, struct sw_hash *to);
bool sw_nodes_has(const struct sw_nodes *s, const struct sw_hash *hash);
/* Whether the set itself holds it in memory, and its bytes. */
bool sw_nodes_find(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out);

/* Add a record; nothing is written before the flush. Adding one that is there is fine. */
int sw_nodes_put(struct sw_nodes *s, struct sw_view bytes, struct sw_hash *hash) SW_MUST_CHECK;
/* Move the records that `from` holds in memory over; neither set has counted references yet. */
int sw_nodes_absorb(struct sw_nodes *s, struct sw_nodes *from) SW_MUST_CHECK;
/* Bytes held in memory. */
size_t sw_nodes_bytes(const struct sw_nodes *s);
/* Call back for each record held in memory, in no order; stops at the first non-zero answer and returns it. */
int sw_nodes_each(const struct sw_nodes *s, sw_ref_fn fn, void *arg) SW_MUST_CHECK;

/* Remember one more, or one less, reference from outside to a root. The zero hash is ignored. */
int sw_nodes_retain(struct sw_nodes *s, const struct sw_hash *root) SW_MUST_CHECK;
int sw_nodes_release(struct sw_nodes *s, const struct sw_hash *root) SW_MUST_CHECK;
/*
 * Write what the retained roots need, from this set and the memtable; delete what nothing refers to any more. The set is
 * empty afterwards. SW_ECORRUPT when a count would become negative.
 */
int sw_nodes_flush(struct sw_nodes *s) SW_MUST_CHECK;

#endif
