/*
 * Editing a tree, level by level from the leaves: each run that an edit touches is merged with
 * its edits and cut anew; what that did to the level's nodes are the edits of the level above.
 */
#include "core/tree_internal.h"

#include <assert.h>
#include <stdlib.h>

/* One node gone from a level, or one new on it: an edit of the level above. */
struct change {
	struct sw_buf key;	  /* its last key */
	struct sw_child old, new; /* hash zero: none */
};

struct level {
	struct sw_nodes *nodes;
	const struct sw_shape *shape;
	enum sw_purpose purpose;
	const struct sw_hash *root; /* of the old tree */
	uint8_t level;
	const struct sw_edit *edits;
	size_t n_edits;
	size_t i; /* first edit not yet used */
	/* The run being merged. Entries borrow from loaded nodes, which are kept until it is cut. */
	struct sw_entry *run;
	size_t n_run;
	size_t cap_run;
	struct sw_node *held;
	size_t n_held;
	size_t cap_held;
	/* Results, ascending by key. */
	struct change *changes;
	size_t n_changes;
	size_t cap_changes;
};

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

static void level_fini(struct level *l)
{
	for (size_t i = 0; i < l->n_held; i++)
		sw_node_fini(&l->held[i]);
	for (size_t i = 0; i < l->n_changes; i++)
		sw_buf_fini(&l->changes[i].key);
	free(l->run);
	free(l->held);
	free(l->changes);
}

static int add_change(struct level *l, struct sw_view key, const struct sw_child *old,
		      const struct sw_child *new)
{
	struct change *c;
	int rc = grow((void **)&l->changes, &l->cap_changes, l->n_changes, sizeof(*l->changes));

	if (rc < 0)
		return rc;
	c = &l->changes[l->n_changes++];
	*c = (struct change){0};
	if (old)
		c->old = *old;
	if (new)
		c->new = *new;
	sw_buf_put_view(&c->key, key);
	return c->key.rc;
}

static uint64_t rows_of(const struct level *l, const struct sw_entry *e)
{
	struct sw_child child = {.n_rows = 1};

	if (l->level > 0 && sw_child_decode(e->value, &child) < 0)
		assert(!"inner entry was decoded before");
	return child.n_rows;
}

static int add_node(void *arg, size_t first, size_t n)
{
	struct level *l = arg;
	struct sw_child child = {0};
	SW_BUF bytes = {0};
	int rc;

	for (size_t i = first; i < first + n; i++)
		child.n_rows += rows_of(l, &l->run[i]);
	sw_node_encode(l->purpose, l->level, l->run + first, n, &bytes);
	if (bytes.rc < 0)
		return bytes.rc;
	rc = sw_nodes_put(l->nodes, sw_buf_view(&bytes), &child.hash);
	if (rc < 0)
		return rc;
	return add_change(l, l->run[first + n - 1].key, NULL, &child);
}

static int flush_run(struct level *l)
{
	int rc = 0;

	if (l->n_run > 0)
		rc = sw_cut_run(l->shape, l->purpose, l->level, l->run, l->n_run, add_node, l);
	l->n_run = 0;
	return rc;
}

static int emit(struct level *l, struct sw_view key, struct sw_view value)
{
	int rc = grow((void **)&l->run, &l->cap_run, l->n_run, sizeof(*l->run));

	if (rc < 0)
		return rc;
	l->run[l->n_run++] = (struct sw_entry){key, value};
	if (sw_cut_ends_run(l->shape, l->purpose, l->level, key))
		return flush_run(l);
	return 0;
}

static int emit_edit(struct level *l)
{
	const struct sw_edit *e = &l->edits[l->i++];

	return e->del ? 0 : emit(l, e->key, e->value);
}

/* Merge one old entry with the edits up to its key. */
static int merge_entry(struct level *l, const struct sw_entry *e)
{
	int rc = 0, c = 1;

	while (rc == 0 && l->i < l->n_edits && (c = sw_view_cmp(l->edits[l->i].key, e->key)) < 0)
		rc = emit_edit(l);
	if (rc < 0)
		return rc;
	if (l->i < l->n_edits && c == 0)
		return emit_edit(l);
	return emit(l, e->key, e->value);
}

/* Take the cursor's node over: its entries must outlive the cursor's next step. */
static int hold_node(struct level *l, struct sw_cursor *c, const struct sw_node **out)
{
	struct sw_child child = {.hash = *l->root};
	struct sw_node *node;
	int rc = grow((void **)&l->held, &l->cap_held, l->n_held, sizeof(*l->held));

	if (rc == 0 && c->level < c->height)
		rc = sw_child_decode(c->path[c->level + 1].entries[c->at[c->level + 1]].value, &child);
	if (rc < 0)
		return rc;
	node = &l->held[l->n_held++];
	*node = c->path[c->level];
	c->path[c->level] = (struct sw_node){0};
	child.n_rows = node->n_rows;
	*out = node;
	return add_change(l, node->entries[node->n - 1].key, &child, NULL);
}

static bool ends_run(const struct level *l, const struct sw_node *n)
{
	return sw_cut_ends_run(l->shape, l->purpose, l->level, n->entries[n->n - 1].key);
}

/* Back to the first node of the run: the one after a node that ends a run. */
static int to_run_start(struct level *l, struct sw_cursor *c)
{
	for (;;) {
		int rc = sw_cursor_prev_node(c);

		if (rc <= 0)
			return rc;
		if (ends_run(l, sw_cursor_node(c))) {
			rc = sw_cursor_next_node(c);
			return rc < 0 ? rc : 0;
		}
	}
}

/*
 * Merge runs from the one that the next edit falls in, until a run ends where an old one ended and
 * the next edit lies beyond.
 */
static int merge_runs(struct level *l, struct sw_cursor *c)
{
	int rc = sw_cursor_seek_node(c, l->level, l->edits[l->i].key);

	if (rc == 0)
		rc = to_run_start(l, c);
	while (rc == 0) {
		const struct sw_node *node;
		bool complete;
		int more;

		rc = hold_node(l, c, &node);
		for (size_t i = 0; rc == 0 && i < node->n; i++)
			rc = merge_entry(l, &node->entries[i]);
		if (rc < 0)
			return rc;
		/* Both the old run and the new one must end here. */
		complete = l->n_run == 0 && ends_run(l, node);
		if (complete && l->i == l->n_edits)
			return 0;
		more = sw_cursor_next_node(c);
		if (more < 0)
			return more;
		if (more == 0)
			break;
		if (complete)
			return 0; /* the next edit is sought anew */
	}
	/* The end of the level: what is left of the edits goes behind it. */
	while (rc == 0 && l->i < l->n_edits)
		rc = emit_edit(l);
	return rc < 0 ? rc : flush_run(l);
}

static int change_cmp(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return sw_view_cmp(sw_buf_view(&x->key), sw_buf_view(&y->key));
}

/*
 * Order the changes and join those of one key: a node replaced by one with the same last key. A node
 * that came out as it was is no change, except on the top level, whose nodes are all listed anew
 * for the level above.
 */
static void join_changes(struct level *l, bool is_top)
{
	size_t n = 0;

	if (l->n_changes > 0)
		qsort(l->changes, l->n_changes, sizeof(*l->changes), change_cmp);
	for (size_t i = 0; i < l->n_changes; i++) {
		struct change *c = &l->changes[i];

		if (n > 0 && change_cmp(&l->changes[n - 1], c) == 0) {
			struct change *before = &l->changes[n - 1];

			if (sw_hash_is_zero(&before->old.hash))
				before->old = c->old;
			if (sw_hash_is_zero(&before->new.hash))
				before->new = c->new;
			sw_buf_fini(&c->key);
			continue;
		}
		l->changes[n++] = *c;
	}
	l->n_changes = n;
	n = 0;
	for (size_t i = 0; i < l->n_changes; i++) {
		struct change *c = &l->changes[i];

		if (!is_top && sw_hash_eq(&c->old.hash, &c->new.hash))
			sw_buf_fini(&c->key);
		else
			l->changes[n++] = *c;
	}
	l->n_changes = n;
}

/* Edits that own their bytes. */
struct edit_list {
	struct sw_edit *edits;
	size_t n;
	struct sw_buf bytes;
};

static void edit_list_fini(struct edit_list *list)
{
	free(list->edits);
	sw_buf_fini(&list->bytes);
}

/* The changes of one level as the edits of the level above. */
static int to_edits(const struct level *l, struct edit_list *out)
{
	struct edit_list list = {.n = l->n_changes};
	const uint8_t *p;

	list.edits = calloc(list.n, sizeof(*list.edits));
	if (!list.edits)
		return SW_ENOMEM;
	for (size_t i = 0; i < list.n; i++) {
		const struct change *c = &l->changes[i];
		struct sw_edit *e = &list.edits[i];
		size_t before;

		e->key.n = c->key.n;
		e->del = sw_hash_is_zero(&c->new.hash);
		sw_buf_put_view(&list.bytes, sw_buf_view(&c->key));
		before = list.bytes.n;
		if (!e->del)
			sw_child_encode(&c->new, &list.bytes);
		e->value.n = list.bytes.n - before;
	}
	if (list.bytes.rc < 0) {
		edit_list_fini(&list);
		return SW_ENOMEM;
	}
	p = list.bytes.p; /* it has stopped moving */
	for (size_t i = 0; i < list.n; i++) {
		list.edits[i].key.p = p;
		list.edits[i].value.p = p + list.edits[i].key.n;
		p += list.edits[i].key.n + list.edits[i].value.n;
	}
	*out = list;
	return 0;
}

static int run_level(struct level *l, struct sw_cursor *old)
{
	int rc = 0;

	while (rc == 0 && l->i < l->n_edits) {
		if (old->is_open && l->level <= old->height) {
			rc = merge_runs(l, old);
			continue;
		}
		while (rc == 0 && l->i < l->n_edits)
			rc = emit_edit(l);
		if (rc == 0)
			rc = flush_run(l);
	}
	if (rc == 0)
		join_changes(l, !old->is_open || l->level >= old->height);
	return rc;
}

/* A root with a single child is not needed: the child is the root. */
static int collapse(const struct sw_nodes *nodes, struct sw_hash *root)
{
	for (;;) {
		struct sw_node node;
		struct sw_child child;
		int rc = sw_tree_load(nodes, root, &node);

		if (rc < 0)
			return rc;
		if (node.level == 0 || node.n > 1) {
			sw_node_fini(&node);
			return 0;
		}
		rc = sw_child_decode(node.entries[0].value, &child);
		sw_node_fini(&node);
		if (rc < 0)
			return rc;
		*root = child.hash;
	}
}

/* What the level says of the root: 1 and *out, or 0 when there is a level above. */
static int find_root(const struct level *l, const struct sw_cursor *old, struct sw_hash *out)
{
	size_t n_new = 0;
	int rc;

	if (l->n_changes == 0) {
		*out = *l->root;
		return 1;
	}
	if (old->is_open && l->level < old->height)
		return 0;
	for (size_t i = 0; i < l->n_changes; i++) {
		if (sw_hash_is_zero(&l->changes[i].new.hash))
			continue;
		*out = l->changes[i].new.hash;
		n_new++;
	}
	if (n_new > 1)
		return 0;
	if (n_new == 0) {
		*out = sw_hash_zero;
		return 1;
	}
	rc = collapse(l->nodes, out);
	return rc < 0 ? rc : 1;
}

/* One level: 1 when *out is the root, 0 when *above has the edits of the next one. */
static int apply_level(struct level *l, struct sw_cursor *old, struct edit_list *above,
		       struct sw_hash *out)
{
	int rc = run_level(l, old);

	if (rc == 0)
		rc = find_root(l, old, out);
	if (rc == 0)
		rc = to_edits(l, above);
	level_fini(l);
	return rc;
}

int sw_tree_apply(struct sw_nodes *nodes, const struct sw_shape *shape, enum sw_purpose purpose,
		  const struct sw_hash *root, const struct sw_edit *edits, size_t n, struct sw_hash *out)
{
	struct sw_cursor old = {0};
	struct edit_list now = {0};
	struct sw_hash old_root = *root, new_root;
	int rc = 0;

	for (size_t i = 1; i < n; i++)
		assert(sw_view_cmp(edits[i - 1].key, edits[i].key) < 0);
	if (!sw_hash_is_zero(root))
		rc = sw_cursor_open(&old, nodes, root);
	for (uint8_t level = 0; rc == 0; level++) {
		struct edit_list above = {0};
		struct level l = {.nodes = nodes,
				  .shape = shape,
				  .purpose = purpose,
				  .root = &old_root,
				  .level = level,
				  .edits = level ? now.edits : edits,
				  .n_edits = level ? now.n : n};

		if (level > SW_TREE_LEVEL_MAX) {
			rc = sw_fail(SW_ELIMIT, "a tree grew over %d levels", SW_TREE_LEVEL_MAX);
			break;
		}
		rc = apply_level(&l, &old, &above, &new_root);
		edit_list_fini(&now);
		now = above;
	}
	sw_cursor_fini(&old);
	edit_list_fini(&now);
	if (rc < 0)
		return rc;
	*out = new_root;
	return 0;
}
