/* Two trees side by side, skipping what they share. */
#include "core/tree_internal.h"

#include <assert.h>

/* A place in one tree; past the end when done. It stands on a node's first entry or inside a leaf. */
struct side {
	struct sw_cursor c;
	bool done;
};

static int side_open(struct side *s, const struct sw_nodes *nodes, const struct sw_hash *root)
{
	if (sw_hash_is_zero(root)) {
		s->done = true;
		return 0;
	}
	return sw_cursor_open(&s->c, nodes, root);
}

static struct sw_view side_key(const struct side *s)
{
	return sw_cursor_entry(&s->c)->key;
}

/* Down one level, to the first entry below the current one. */
static int side_down(struct side *s)
{
	struct sw_cursor *c = &s->c;
	uint8_t level = c->level - 1;
	struct sw_child child;
	struct sw_node node;
	int rc;

	assert(c->level > 0);
	rc = sw_child_decode(sw_cursor_entry(c)->value, &child);
	if (rc == 0)
		rc = sw_tree_load(c->nodes, &child.hash, &node);
	if (rc < 0)
		return rc;
	if (node.level != level) {
		sw_node_fini(&node);
		return sw_fail(SW_ECORRUPT, "a tree node stands on the wrong level");
	}
	sw_node_fini(&c->path[level]);
	c->path[level] = node;
	c->at[level] = 0;
	c->level = level;
	return 0;
}

/* Past the current entry (and all below it), then up as long as a node is exhausted. */
static void side_skip(struct side *s)
{
	struct sw_cursor *c = &s->c;

	while (++c->at[c->level] >= c->path[c->level].n) {
		if (c->level == c->height) {
			s->done = true;
			return;
		}
		c->level++;
	}
}

static int report(struct side *a, struct side *b, int order, sw_diff_fn fn, void *arg)
{
	int rc = 0;

	if (order < 0) {
		const struct sw_entry *x = sw_cursor_entry(&a->c);

		rc = fn(arg, x->key, &x->value, NULL);
	} else if (order > 0) {
		const struct sw_entry *y = sw_cursor_entry(&b->c);

		rc = fn(arg, y->key, NULL, &y->value);
	} else {
		const struct sw_entry *x = sw_cursor_entry(&a->c), *y = sw_cursor_entry(&b->c);

		if (!sw_view_eq(x->value, y->value))
			rc = fn(arg, x->key, &x->value, &y->value);
	}
	if (rc)
		return rc;
	if (order <= 0)
		side_skip(a);
	if (order >= 0)
		side_skip(b);
	return 0;
}

static int step(struct side *a, struct side *b, sw_diff_fn fn, void *arg)
{
	int order;

	/* The same subtree on both sides is skipped whole; that is the point. */
	if (!a->done && !b->done && a->c.level == b->c.level && a->c.level > 0 &&
	    sw_view_eq(sw_cursor_entry(&a->c)->value, sw_cursor_entry(&b->c)->value) &&
	    sw_view_eq(side_key(a), side_key(b))) {
		side_skip(a);
		side_skip(b);
		return 0;
	}
	/* Otherwise open the higher one, or both when level. */
	if (!a->done && a->c.level > 0 && (b->done || a->c.level >= b->c.level))
		return side_down(a);
	if (!b->done && b->c.level > 0)
		return side_down(b);
	if (a->done)
		order = 1;
	else if (b->done)
		order = -1;
	else
		order = sw_view_cmp(side_key(a), side_key(b));
	return report(a, b, order, fn, arg);
}

int sw_tree_diff(const struct sw_nodes *nodes, const struct sw_hash *a, const struct sw_hash *b,
		 sw_diff_fn fn, void *arg)
{
	struct side x = {0}, y = {0};
	int rc = 0;

	if (sw_hash_eq(a, b))
		return 0;
	rc = side_open(&x, nodes, a);
	if (rc == 0)
		rc = side_open(&y, nodes, b);
	if (rc == 0 && !x.done)
		x.c.level = x.c.height;
	if (rc == 0 && !y.done)
		y.c.level = y.c.height;
	while (rc == 0 && !(x.done && y.done))
		rc = step(&x, &y, fn, arg);
	sw_cursor_fini(&x.c);
	sw_cursor_fini(&y.c);
	return rc;
}
