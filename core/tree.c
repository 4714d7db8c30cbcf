#include "core/tree_internal.h"

#include <assert.h>
#include <stdlib.h>

int sw_tree_load(const struct sw_nodes *nodes, const struct sw_hash *hash, struct sw_node *out)
{
	struct sw_view bytes;
	int rc = sw_nodes_get(nodes, hash, &bytes);

	if (rc == 0)
		rc = sw_node_decode(bytes, out);
	if (rc == SW_EFORMAT) {
		char hex[SW_HASH_HEX_SIZE];

		sw_hex(hash->b, SW_HASH_SIZE, hex);
		return sw_fail(SW_ECORRUPT, "tree node %s is damaged", hex);
	}
	return rc;
}

int sw_tree_get(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view key,
		struct sw_view *value)
{
	uint8_t key_buf[SW_TREE_KEY_MAX];
	struct sw_child child = {.hash = *root};
	struct sw_view bytes, found;
	uint8_t level;
	int rc;

	if (sw_hash_is_zero(root))
		return SW_ENOTFOUND;
	for (int depth = 0; depth <= SW_TREE_LEVEL_MAX; depth++) {
		rc = sw_nodes_search(nodes, &child.hash, &bytes);
		if (rc < 0)
			return rc;
		rc = sw_node_find(bytes, key, &level, key_buf, &found, value);
		if (rc < 0)
			return sw_fail(SW_ECORRUPT, "a tree node is damaged; run 'swarmfs verify'");
		if (rc == 0)
			return SW_ENOTFOUND;
		if (level == 0)
			return sw_view_eq(found, key) ? 0 : SW_ENOTFOUND;
		rc = sw_child_decode(*value, &child);
		if (rc < 0)
			return SW_ECORRUPT;
	}
	return SW_ECORRUPT;
}

int sw_tree_count(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t *out)
{
	struct sw_node node;
	int rc;

	*out = 0;
	if (sw_hash_is_zero(root))
		return 0;
	rc = sw_tree_load(nodes, root, &node);
	if (rc < 0)
		return rc;
	*out = node.n_rows;
	sw_node_fini(&node);
	return 0;
}

void sw_cursor_fini(struct sw_cursor *c)
{
	if (c->is_open)
		for (int i = 0; i <= c->height; i++)
			sw_node_fini(&c->path[i]);
	c->is_open = false;
}

int sw_cursor_open(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root)
{
	struct sw_node node;
	int rc;

	assert(!sw_hash_is_zero(root));
	sw_cursor_fini(c);
	rc = sw_tree_load(nodes, root, &node);
	if (rc < 0)
		return rc;
	for (int i = 0; i < node.level; i++)
		c->path[i] = (struct sw_node){0};
	c->nodes = nodes;
	c->height = node.level;
	c->level = 0;
	c->path[node.level] = node;
	c->is_open = true;
	return 0;
}

/* Load the child that level + 1 points at into path[level]. */
static int descend(struct sw_cursor *c, uint8_t level)
{
	const struct sw_node *parent = &c->path[level + 1];
	struct sw_child child;
	struct sw_node node;
	int rc = sw_child_decode(parent->entries[c->at[level + 1]].value, &child);

	if (rc == 0)
		rc = sw_tree_load(c->nodes, &child.hash, &node);
	if (rc < 0)
		return rc;
	if (node.level != level || node.purpose != parent->purpose) {
		sw_node_fini(&node);
		return sw_fail(SW_ECORRUPT, "a tree node stands on the wrong level");
	}
	sw_node_fini(&c->path[level]);
	c->path[level] = node;
	return 0;
}

int sw_cursor_seek_node(struct sw_cursor *c, uint8_t level, struct sw_view key)
{
	assert(level <= c->height);
	c->level = level;
	for (uint8_t l = c->height;; l--) {
		size_t i = sw_node_lower_bound(&c->path[l], key);
		int rc;

		if (l == level) {
			c->at[l] = i;
			return 0;
		}
		c->at[l] = i < c->path[l].n ? i : c->path[l].n - 1;
		rc = descend(c, l - 1);
		if (rc < 0)
			return rc;
	}
}

/* Move to the neighbouring node in the direction of step (+1 or -1). */
static int step_node(struct sw_cursor *c, int step)
{
	uint8_t l = c->level;

	do {
		if (++l > c->height)
			return 0;
	} while (step > 0 ? c->at[l] + 1 >= c->path[l].n : c->at[l] == 0);
	c->at[l] += (size_t)step;
	while (l-- > c->level) {
		int rc = descend(c, l);

		if (rc < 0)
			return rc;
		c->at[l] = step > 0 ? 0 : c->path[l].n - 1;
	}
	return 1;
}

int sw_cursor_next_node(struct sw_cursor *c)
{
	return step_node(c, 1);
}

int sw_cursor_prev_node(struct sw_cursor *c)
{
	return step_node(c, -1);
}

int sw_cursor_seek(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root,
		   struct sw_view key)
{
	int rc;

	if (sw_hash_is_zero(root))
		return 0;
	rc = sw_cursor_open(c, nodes, root);
	if (rc == 0)
		rc = sw_cursor_seek_node(c, 0, key);
	if (rc < 0)
		return rc;
	return c->at[0] < c->path[0].n;
}

int sw_cursor_seek_rank(struct sw_cursor *c, const struct sw_nodes *nodes, const struct sw_hash *root,
			uint64_t rank)
{
	int rc;

	if (sw_hash_is_zero(root))
		return 0;
	rc = sw_cursor_open(c, nodes, root);
	if (rc < 0)
		return rc;
	for (uint8_t l = c->height; l > 0; l--) {
		const struct sw_node *node = &c->path[l];

		for (c->at[l] = 0; c->at[l] < node->n; c->at[l]++) {
			struct sw_child child;

			rc = sw_child_decode(node->entries[c->at[l]].value, &child);
			if (rc < 0)
				return SW_ECORRUPT;
			if (rank < child.n_rows)
				break;
			rank -= child.n_rows;
		}
		if (c->at[l] == node->n)
			return 0;
		rc = descend(c, l - 1);
		if (rc < 0)
			return rc;
	}
	c->at[0] = (size_t)rank;
	return rank < c->path[0].n;
}

int sw_cursor_next(struct sw_cursor *c)
{
	int rc;

	if (++c->at[c->level] < c->path[c->level].n)
		return 1;
	rc = sw_cursor_next_node(c);
	if (rc <= 0)
		c->at[c->level] = c->path[c->level].n;
	return rc;
}

int sw_cursor_prev(struct sw_cursor *c)
{
	if (c->at[c->level] > 0) {
		c->at[c->level]--;
		return 1;
	}
	return sw_cursor_prev_node(c);
}

const struct sw_entry *sw_cursor_entry(const struct sw_cursor *c)
{
	assert(c->at[c->level] < c->path[c->level].n);
	return &c->path[c->level].entries[c->at[c->level]];
}

size_t sw_cursor_rest(const struct sw_cursor *c)
{
	return c->path[c->level].n - c->at[c->level];
}

int sw_cursor_skip(struct sw_cursor *c, size_t n)
{
	assert(n > 0 && n <= sw_cursor_rest(c));
	c->at[c->level] += n - 1;
	return sw_cursor_next(c);
}

int sw_tree_rank(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view key,
		 uint64_t *out)
{
	struct sw_cursor c = {0};
	int rc;

	*out = 0;
	if (sw_hash_is_zero(root))
		return 0;
	rc = sw_cursor_open(&c, nodes, root);
	if (rc == 0)
		rc = sw_cursor_seek_node(&c, 0, key);
	for (uint8_t l = 0; rc == 0 && l <= c.height; l++) {
		for (size_t i = 0; rc == 0 && i < c.at[l]; i++) {
			struct sw_child child = {.n_rows = 1};

			if (l > 0)
				rc = sw_child_decode(c.path[l].entries[i].value, &child);
			*out += child.n_rows;
		}
	}
	sw_cursor_fini(&c);
	return rc;
}
