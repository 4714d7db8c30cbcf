/*
 * Records of the store that are named by the hash of their bytes: the nodes of prolly trees, and the
 * data chunks and indexes of large rows (core/blob.h).
 *
 *   record   = kind:u8 body                                       hashed as SW_DOMAIN_NODE
 *   leaf     = 1 purpose:u8 n:varint entry*n
 *   inner    = 2 purpose:u8 level:u8 n:varint entry*n             level >= 1
 *   index    = 3 level:u8 n:varint (size:varint hash)*n           level >= 1
 *   data     = 4 bytes
 *   entry    = shared:varint suffix:bytes value:bytes             key = first `shared` bytes of the
 *                                                                 previous key, then suffix
 *
 * `shared` is the longest possible, 0 in a node's first entry; keys strictly ascend. In an inner node the
 * key is the last key below the child and the value is its hash, then the number of rows below as
 * a varint. A decoder refuses everything that the encoder would not have written.
 */
#ifndef SW_CORE_NODE_H
#define SW_CORE_NODE_H

#include "core/hash.h"

#define SW_TREE_KEY_MAX	  640	/* bytes of a key in any tree */
#define SW_TREE_VALUE_MAX 1200	/* bytes of a value in any leaf */
#define SW_TREE_LEVEL_MAX 31
#define SW_NODE_SIZE_MAX  4064	/* nominal size (sw_entry_size) above which a run is cut */
#define SW_NODE_BYTES_MAX (SW_NODE_SIZE_MAX + 2 * (SW_TREE_KEY_MAX + SW_TREE_VALUE_MAX))

enum sw_node_kind { SW_NODE_LEAF = 1, SW_NODE_INNER = 2, SW_NODE_INDEX = 3, SW_NODE_DATA = 4 };

/* What a tree holds. Part of the cut hashes, so trees of unlike purpose have unlike shapes. */
enum sw_purpose {
	SW_PURPOSE_STATE = 1,	  /* class byte and table name -> table */
	SW_PURPOSE_ROWS = 2,	  /* row name -> row */
	SW_PURPOSE_LINE = 3,	  /* stamp, author, id -> outcome */
	SW_PURPOSE_MEMBERS = 4,	  /* key -> role */
	SW_PURPOSE_CONFLICTS = 5, /* table, row, commit -> record */
	SW_PURPOSE_BLOB = 6,	  /* (no keys) */
	SW_PURPOSE_TAGS = 7,	  /* tag name -> commit id */
	SW_PURPOSE_RESOLVED = 8,  /* table, row, commit -> nothing */
	SW_PURPOSE_LAST = SW_PURPOSE_RESOLVED,
};

/* One entry; views into the node's bytes or the decoded node's own key memory. */
struct sw_entry {
	struct sw_view key;
	struct sw_view value;
};

/* The nominal size that cuts go by: it must not depend on where the node begins. */
static inline size_t sw_entry_size(const struct sw_entry *e)
{
	return e->key.n + e->value.n + 6;
}

/* The value of an inner entry. */
struct sw_child {
	struct sw_hash hash;
	uint64_t n_rows;
};

int sw_child_decode(struct sw_view value, struct sw_child *out) SW_MUST_CHECK;
void sw_child_encode(const struct sw_child *c, struct sw_buf *out);

/* A decoded tree node. Entries borrow from the bytes given to sw_node_decode(). */
struct sw_node {
	enum sw_purpose purpose;
	uint8_t level; /* 0: leaf */
	size_t n;
	struct sw_entry *entries;
	uint8_t *keys;
	uint64_t n_rows; /* below it */
};

/* SW_EFORMAT when the bytes are not canonical. On success sw_node_fini() frees. */
int sw_node_decode(struct sw_view bytes, struct sw_node *out) SW_MUST_CHECK;
void sw_node_fini(struct sw_node *n);
void sw_node_encode(enum sw_purpose purpose, uint8_t level, const struct sw_entry *entries, size_t n,
		    struct sw_buf *out);

/*
 * Find, without decoding the rest, the first entry with a key >= the given one: 1 found, 0 all are
 * smaller, SW_EFORMAT. *level is the node's; found_key is copied to key_buf (SW_TREE_KEY_MAX bytes).
 */
int sw_node_find(struct sw_view bytes, struct sw_view key, uint8_t *level, uint8_t *key_buf,
		 struct sw_view *found_key, struct sw_view *value) SW_MUST_CHECK;

/* Index of the first entry with a key >= the given one; n->n when there is none. */
size_t sw_node_lower_bound(const struct sw_node *n, struct sw_view key);

/*
 * Call back for every record that this one refers to, once per reference: children, the roots of tables,
 * blobs of rows. Stops at the first non-zero answer and returns it. SW_EFORMAT on a damaged record.
 */
typedef int (*sw_ref_fn)(void *arg, const struct sw_hash *ref);
int sw_record_refs(struct sw_view bytes, sw_ref_fn fn, void *arg) SW_MUST_CHECK;

#endif
