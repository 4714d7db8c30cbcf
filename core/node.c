#include "core/node.h"

#include "core/row.h"

#include <assert.h>
#include <stdlib.h>

#define KEY_USUAL 24 /* bytes: room for so many is there before a node's keys are known */

int sw_child_decode(struct sw_view value, struct sw_child *out)
{
	struct sw_rd r = sw_rd(value);

	sw_rd_hash(&r, &out->hash);
	out->n_rows = sw_rd_varint(&r);
	return sw_rd_done(&r);
}

void sw_child_encode(const struct sw_child *c, struct sw_buf *out)
{
	sw_buf_put_hash(out, &c->hash);
	sw_buf_put_varint(out, c->n_rows);
}

/* Walks the entries of encoded bytes in order, rebuilding each key in place. */
struct walk {
	struct sw_rd r;
	enum sw_purpose purpose;
	uint8_t level;
	uint64_t n;
	uint64_t i;
	uint8_t *key; /* SW_TREE_KEY_MAX bytes of the caller */
	size_t key_n;
	struct sw_view value;
};

static int walk_begin(struct walk *w, struct sw_view bytes, uint8_t *key_buf)
{
	uint8_t kind, purpose;

	*w = (struct walk){.r = sw_rd(bytes), .key = key_buf};
	kind = sw_rd_u8(&w->r);
	purpose = sw_rd_u8(&w->r);
	if (kind == SW_NODE_INNER)
		w->level = sw_rd_u8(&w->r);
	w->n = sw_rd_varint(&w->r);
	if (w->r.bad || (kind != SW_NODE_LEAF && kind != SW_NODE_INNER))
		return SW_EFORMAT;
	if (kind == SW_NODE_INNER && (w->level == 0 || w->level > SW_TREE_LEVEL_MAX))
		return SW_EFORMAT;
	if (purpose == 0 || purpose > SW_PURPOSE_LAST || w->n == 0)
		return SW_EFORMAT;
	w->purpose = (enum sw_purpose)purpose;
	return 0;
}

/* 1 an entry, 0 the end, SW_EFORMAT. */
static inline int walk_next(struct walk *w)
{
	size_t shared;
	struct sw_view suffix;

	if (w->i == w->n)
		return sw_rd_done(&w->r);
	shared = (size_t)sw_rd_varint_max(&w->r, w->key_n);
	suffix = sw_rd_bytes(&w->r, SW_TREE_KEY_MAX - shared);
	w->value = sw_rd_bytes(&w->r, SW_TREE_VALUE_MAX);
	if (w->r.bad)
		return SW_EFORMAT;
	if (w->i > 0) {
		/* Strictly ascending, and no byte more could have been shared. */
		if (suffix.n == 0 || (shared < w->key_n && suffix.p[0] <= w->key[shared]))
			return SW_EFORMAT;
	} else if (suffix.n == 0) {
		return SW_EFORMAT;
	}
	memcpy(w->key + shared, suffix.p, suffix.n);
	w->key_n = shared + suffix.n;
	w->i++;
	return 1;
}

int sw_node_decode(struct sw_view bytes, struct sw_node *out)
{
	uint8_t key_buf[SW_TREE_KEY_MAX];
	struct sw_node node = {0};
	struct walk w;
	struct sw_buf keys = {0};
	int rc = walk_begin(&w, bytes, key_buf);

	if (rc < 0)
		return rc;
	if (w.n > bytes.n) /* an entry has at least three bytes */
		return SW_EFORMAT;
	node.purpose = w.purpose;
	node.level = w.level;
	node.n = (size_t)w.n;
	node.entries = calloc(node.n, sizeof(*node.entries));
	if (!node.entries)
		return SW_ENOMEM;
	sw_buf_reserve(&keys, KEY_USUAL * node.n);
	for (size_t i = 0; (rc = walk_next(&w)) > 0; i++) {
		struct sw_child child;

		node.entries[i].key.n = w.key_n;
		node.entries[i].value = w.value;
		if (keys.cap - keys.n < w.key_n)
			sw_buf_reserve(&keys, w.key_n);
		if (keys.rc < 0)
			break;
		memcpy(keys.p + keys.n, w.key, w.key_n);
		keys.n += w.key_n;
		node.n_rows++;
		if (w.level == 0)
			continue;
		rc = sw_child_decode(w.value, &child);
		if (rc < 0)
			break;
		node.n_rows += child.n_rows - 1;
	}
	if (keys.rc < 0)
		rc = keys.rc;
	if (rc < 0) {
		sw_buf_fini(&keys);
		free(node.entries);
		return rc;
	}
	node.keys = keys.p;
	for (size_t i = 0, at = 0; i < node.n; at += node.entries[i++].key.n)
		node.entries[i].key.p = keys.p + at;
	*out = node;
	return 0;
}

void sw_node_fini(struct sw_node *n)
{
	free(n->entries);
	free(n->keys);
	*n = (struct sw_node){0};
}

void sw_node_encode(enum sw_purpose purpose, uint8_t level, const struct sw_entry *entries, size_t n,
		    struct sw_buf *out)
{
	struct sw_view prev = {NULL, 0};

	assert(n > 0);
	assert(level <= SW_TREE_LEVEL_MAX);
	sw_buf_put_u8(out, level ? SW_NODE_INNER : SW_NODE_LEAF);
	sw_buf_put_u8(out, (uint8_t)purpose);
	if (level)
		sw_buf_put_u8(out, level);
	sw_buf_put_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		struct sw_view key = entries[i].key;
		size_t shared = 0;

		assert(key.n > 0 && key.n <= SW_TREE_KEY_MAX);
		assert(entries[i].value.n <= SW_TREE_VALUE_MAX);
		while (shared < prev.n && shared < key.n && prev.p[shared] == key.p[shared])
			shared++;
		sw_buf_put_varint(out, shared);
		sw_buf_put_bytes(out, sw_view(key.p + shared, key.n - shared));
		sw_buf_put_bytes(out, entries[i].value);
		prev = key;
	}
}

/*
 * The entries say how many bytes each key shares with the one before, so most need no look at the key: one that shares more
 * than the one before has in common with what is sought stands to it as that one does.
 */
int sw_node_find(struct sw_view bytes, struct sw_view key, uint8_t *level, uint8_t *key_buf,
		 struct sw_view *found_key, struct sw_view *value)
{
	size_t common = 0; /* bytes that the entry before, which is smaller, shares with key */
	size_t before_n = 0;
	struct walk w;
	int rc = walk_begin(&w, bytes, key_buf);

	if (rc < 0)
		return rc;
	*level = w.level;
	for (; w.i < w.n; w.i++) {
		size_t shared = (size_t)sw_rd_varint_max(&w.r, before_n);
		struct sw_view suffix = sw_rd_bytes(&w.r, SW_TREE_KEY_MAX - shared);

		*value = sw_rd_bytes(&w.r, SW_TREE_VALUE_MAX);
		if (w.r.bad || suffix.n == 0)
			return SW_EFORMAT;
		before_n = shared + suffix.n;
		if (shared > common)
			continue;
		if (shared == common) {
			size_t n = 0;

			while (n < suffix.n && common < key.n && suffix.p[n] == key.p[common]) {
				n++;
				common++;
			}
			if (common < key.n && (n == suffix.n || suffix.p[n] < key.p[common]))
				continue;
		}
		/* Not smaller: the first byte that it does not share with the one before grew. */
		memcpy(key_buf, key.p, shared);
		memcpy(key_buf + shared, suffix.p, suffix.n);
		*found_key = sw_view(key_buf, before_n);
		return 1;
	}
	return sw_rd_done(&w.r);
}

size_t sw_node_lower_bound(const struct sw_node *n, struct sw_view key)
{
	size_t lo = 0, hi = n->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sw_view_cmp(n->entries[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int index_refs(struct sw_view bytes, sw_ref_fn fn, void *arg)
{
	struct sw_rd r = sw_rd(bytes);
	uint64_t n;

	sw_rd_u8(&r);
	sw_rd_u8(&r);
	n = sw_rd_varint_max(&r, bytes.n);
	for (uint64_t i = 0; i < n && !r.bad; i++) {
		struct sw_hash h;
		int rc;

		sw_rd_varint(&r);
		sw_rd_hash(&r, &h);
		if (r.bad)
			break;
		rc = fn(arg, &h);
		if (rc)
			return rc;
	}
	return sw_rd_done(&r);
}

/* What a tree's entry refers to; *is_set says whether anything. */
static int entry_ref(const struct walk *w, struct sw_hash *out, bool *is_set)
{
	struct sw_child child;
	int rc;

	*is_set = false;
	if (w->level > 0) {
		rc = sw_child_decode(w->value, &child);
		*out = child.hash;
		*is_set = true;
		return rc;
	}
	if (w->purpose == SW_PURPOSE_STATE) {
		struct sw_table t;

		rc = sw_table_decode(w->value, &t);
		*out = t.root;
		*is_set = !sw_hash_is_zero(&t.root);
		return rc;
	}
	if (w->purpose == SW_PURPOSE_ROWS) {
		struct sw_row row;

		rc = sw_row_decode(w->value, &row);
		if (rc < 0)
			return rc;
		*out = row.blob;
		*is_set = row.is_blob;
	}
	return 0;
}

int sw_record_refs(struct sw_view bytes, sw_ref_fn fn, void *arg)
{
	uint8_t key_buf[SW_TREE_KEY_MAX];
	struct walk w;
	int rc;

	if (bytes.n == 0)
		return SW_EFORMAT;
	if (bytes.p[0] == SW_NODE_DATA)
		return 0;
	if (bytes.p[0] == SW_NODE_INDEX)
		return index_refs(bytes, fn, arg);
	rc = walk_begin(&w, bytes, key_buf);
	while (rc == 0 && (rc = walk_next(&w)) > 0) {
		struct sw_hash ref;
		bool is_set;

		rc = entry_ref(&w, &ref, &is_set);
		if (rc == 0 && is_set)
			rc = fn(arg, &ref);
		if (rc)
			return rc;
	}
	return rc;
}
