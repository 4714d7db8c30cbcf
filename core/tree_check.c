/* Checking a whole tree against its definition: verify, and every test, trust nothing else. */
#include "core/tree_internal.h"

#include <stdlib.h>

struct check {
	const struct sw_nodes *nodes;
	const struct sw_shape *shape;
	enum sw_purpose purpose;
	sw_entry_fn fn;
	void *arg;
	/* Per level: the run so far, as nominal entries (keys owned), and where its nodes ended. */
	struct {
		struct sw_entry *entries;
		size_t n, cap;
		size_t *ends;
		size_t n_ends, cap_ends;
	} run[SW_TREE_LEVEL_MAX + 1];
};

static int damaged(const struct sw_hash *hash, const char *what)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(hash->b, SW_HASH_SIZE, hex);
	return sw_fail(SW_ECORRUPT, "tree node %s: %s", hex, what);
}

static int grow(void **p, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *q;

	if (n < *cap)
		return 0;
	q = realloc(*p, want * size);
	if (!q)
		return SW_ENOMEM;
	*p = q;
	*cap = want;
	return 0;
}

struct cuts {
	struct check *c;
	uint8_t level;
	size_t i;
	bool equal;
};

static int compare_cut(void *arg, size_t first, size_t n)
{
	struct cuts *cuts = arg;
	size_t i = cuts->i++;

	if (i >= cuts->c->run[cuts->level].n_ends ||
	    cuts->c->run[cuts->level].ends[i] != first + n)
		cuts->equal = false;
	return 0;
}

/* The run of a level is complete: are its nodes the ones that the rule gives? */
static int close_run(struct check *c, uint8_t level, const struct sw_hash *hash)
{
	struct cuts cuts = {.c = c, .level = level, .equal = true};
	int rc = 0;

	if (c->run[level].n > 0)
		rc = sw_cut_run(c->shape, c->purpose, level, c->run[level].entries, c->run[level].n,
				compare_cut, &cuts);
	if (rc == 0 && (!cuts.equal || cuts.i != c->run[level].n_ends))
		rc = damaged(hash, "it is not cut where the rule says");
	for (size_t i = 0; i < c->run[level].n; i++)
		free((void *)(uintptr_t)c->run[level].entries[i].key.p);
	c->run[level].n = c->run[level].n_ends = 0;
	return rc;
}

static int add_to_run(struct check *c, const struct sw_node *node, const struct sw_hash *hash)
{
	uint8_t level = node->level;

	for (size_t i = 0; i < node->n; i++) {
		const struct sw_entry *e = &node->entries[i];
		uint8_t *key = malloc(e->key.n);
		int rc;

		if (!key)
			return SW_ENOMEM;
		memcpy(key, e->key.p, e->key.n);
		rc = grow((void **)&c->run[level].entries, &c->run[level].cap, c->run[level].n,
			  sizeof(*c->run[level].entries));
		if (rc < 0) {
			free(key);
			return rc;
		}
		c->run[level].entries[c->run[level].n++] =
		    (struct sw_entry){sw_view(key, e->key.n), sw_view(NULL, e->value.n)};
		if (i + 1 < node->n &&
		    sw_cut_ends_run(c->shape, c->purpose, level, e->key))
			return damaged(hash, "a run ends inside it");
	}
	if (grow((void **)&c->run[level].ends, &c->run[level].cap_ends, c->run[level].n_ends,
		 sizeof(size_t)) < 0)
		return SW_ENOMEM;
	c->run[level].ends[c->run[level].n_ends++] = c->run[level].n;
	if (sw_cut_ends_run(c->shape, c->purpose, level, node->entries[node->n - 1].key))
		return close_run(c, level, hash);
	return 0;
}

static int check_node(struct check *c, const struct sw_hash *hash, int level, struct sw_view last_key,
		      uint64_t n_rows);

static int check_children(struct check *c, const struct sw_node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		const struct sw_entry *e = &node->entries[i];
		struct sw_child child;
		int rc;

		if (node->level == 0) {
			rc = c->fn ? c->fn(c->arg, e) : 0;
		} else {
			rc = sw_child_decode(e->value, &child);
			if (rc == 0)
				rc = check_node(c, &child.hash, node->level - 1, e->key, child.n_rows);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* level -1: the root, of which nothing is known beforehand. */
static int check_node(struct check *c, const struct sw_hash *hash, int level, struct sw_view last_key,
		      uint64_t n_rows)
{
	struct sw_view bytes;
	struct sw_hash again;
	struct sw_node node = {0};
	int rc = sw_nodes_get(c->nodes, hash, &bytes);

	if (rc < 0)
		return rc;
	sw_hash_compute(SW_DOMAIN_NODE, bytes, &again);
	if (!sw_hash_eq(&again, hash))
		return damaged(hash, "its bytes do not have this hash");
	if (sw_node_decode(bytes, &node) < 0)
		return damaged(hash, "its encoding is not canonical");
	if (node.purpose != c->purpose)
		rc = damaged(hash, "it belongs to a tree of another purpose");
	else if (level >= 0 && node.level != level)
		rc = damaged(hash, "it stands on the wrong level");
	else if (level >= 0 && !sw_view_eq(node.entries[node.n - 1].key, last_key))
		rc = damaged(hash, "its last key is not its parent's");
	else if (level >= 0 && node.n_rows != n_rows)
		rc = damaged(hash, "its count is not its parent's");
	else if (level < 0 && node.level > 0 && node.n == 1)
		rc = damaged(hash, "a root with a single child is not needed");
	if (rc == 0)
		rc = add_to_run(c, &node, hash);
	if (rc == 0)
		rc = check_children(c, &node);
	sw_node_fini(&node);
	return rc;
}

int sw_tree_check(const struct sw_nodes *nodes, const struct sw_shape *shape, enum sw_purpose purpose,
		  const struct sw_hash *root, sw_entry_fn fn, void *arg)
{
	struct check *c;
	int rc;

	if (sw_hash_is_zero(root))
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return SW_ENOMEM;
	*c = (struct check){.nodes = nodes, .shape = shape, .purpose = purpose, .fn = fn, .arg = arg};
	rc = check_node(c, root, -1, sw_view(NULL, 0), 0);
	for (int l = 0; l <= SW_TREE_LEVEL_MAX; l++) {
		int end_rc = c->run[l].n || rc < 0 ? close_run(c, (uint8_t)l, root) : 0;

		if (rc == 0)
			rc = end_rc;
		free(c->run[l].entries);
		free(c->run[l].ends);
	}
	free(c);
	return rc;
}
