#include "core/graph.h"

#include <assert.h>
#include <stdlib.h>

/* An array with room for one more than n; NULL: out of memory, and the old one stays. */
static void *grown(void *array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *v;

	if (n < *cap)
		return array;
	v = realloc(array, want * size);
	if (v)
		*cap = want;
	return v;
}

static void control_fini(struct sw_control_commit *c)
{
	for (size_t i = 0; i < c->n_revokes; i++)
		if (c->revokes[i].stand.p != c->past.p)
			free(c->revokes[i].stand.p);
	free(c->revokes);
	free(c->grants);
	free(c->past.p);
}

void sw_graph_fini(struct sw_graph *g)
{
	sw_graph_truncate(g, 0);
	for (size_t i = 0; i < g->n_views; i++)
		free(g->views[i].p);
	free(g->views);
	free(g->view_slots);
	free(g->controls);
	free(g->keys);
	free(g->key_slots);
	free(g->edges);
	free(g->v);
	*g = (struct sw_graph){0};
}

void sw_graph_truncate(struct sw_graph *g, size_t n)
{
	while (g->n_controls > 0 && g->controls[g->n_controls - 1].vertex >= n)
		control_fini(&g->controls[--g->n_controls]);
	if (n >= g->n)
		return;
	g->n_edges = g->v[n].parents;
	g->n = n;
	g->last = sw_hash_zero;
}

/* Keys */

static size_t key_slot(const struct sw_graph *g, const struct sw_key *key)
{
	size_t i = sw_get_u64(key->b) & (g->n_key_slots - 1);

	while (g->key_slots[i] && !sw_key_eq(&g->keys[g->key_slots[i] - 1], key))
		i = (i + 1) & (g->n_key_slots - 1);
	return i;
}

static int grow_slots(struct sw_graph *g)
{
	size_t n = g->n_key_slots ? 2 * g->n_key_slots : 64;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return SW_ENOMEM;
	free(g->key_slots);
	g->key_slots = slots;
	g->n_key_slots = n;
	for (size_t i = 0; i < g->n_keys; i++)
		g->key_slots[key_slot(g, &g->keys[i])] = (uint32_t)i + 1;
	return 0;
}

static int key_number(struct sw_graph *g, const struct sw_key *key, uint32_t *out)
{
	size_t slot;
	int rc = 2 * g->n_keys < g->n_key_slots ? 0 : grow_slots(g);

	if (rc < 0)
		return rc;
	slot = key_slot(g, key);
	if (!g->key_slots[slot]) {
		struct sw_key *keys = grown(g->keys, g->n_keys, &g->cap_keys, sizeof(*keys));

		if (!keys)
			return SW_ENOMEM;
		g->keys = keys;
		g->keys[g->n_keys++] = *key;
		g->key_slots[slot] = (uint32_t)g->n_keys;
	}
	*out = g->key_slots[slot] - 1;
	return 0;
}

/* Views: sets of control commits, each kept once. */

static uint8_t byte_of(const struct sw_bits *b, size_t i)
{
	return i < (b->n + 7) / 8 ? b->p[i] : 0;
}

static bool covers(const struct sw_bits *a, const struct sw_bits *b)
{
	for (size_t i = 0; i < (b->n + 7) / 8; i++)
		if (b->p[i] & ~byte_of(a, i))
			return false;
	return true;
}

/* Equal sets have equal ones, however many members they could have. */
static uint64_t bits_hash(const struct sw_bits *b)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < (b->n + 7) / 8; i++)
		if (b->p[i])
			hash = (hash ^ (i << 8 | b->p[i])) * 0x9e3779b97f4a7c15 ^ hash >> 32;
	return hash ^ hash >> 29;
}

static size_t view_slot(const struct sw_graph *g, const struct sw_bits *bits)
{
	size_t i = bits_hash(bits) & (g->n_view_slots - 1);

	for (; g->view_slots[i]; i = (i + 1) & (g->n_view_slots - 1)) {
		const struct sw_bits *there = &g->views[g->view_slots[i] - 1];

		if (covers(there, bits) && covers(bits, there))
			break;
	}
	return i;
}

static int grow_view_slots(struct sw_graph *g)
{
	size_t n = g->n_view_slots ? 2 * g->n_view_slots : 64;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return SW_ENOMEM;
	free(g->view_slots);
	g->view_slots = slots;
	g->n_view_slots = n;
	for (size_t i = 0; i < g->n_views; i++)
		g->view_slots[view_slot(g, &g->views[i])] = (uint32_t)i + 1;
	return 0;
}

/* Takes over the bits. */
static int view_number(struct sw_graph *g, struct sw_bits bits, uint32_t *out)
{
	struct sw_bits *views = grown(g->views, g->n_views, &g->cap_views, sizeof(*views));
	int rc = views ? 0 : SW_ENOMEM;
	size_t slot;

	if (rc == 0)
		g->views = views;
	if (rc == 0 && 2 * g->n_views >= g->n_view_slots)
		rc = grow_view_slots(g);
	if (rc < 0) {
		free(bits.p);
		return rc;
	}
	slot = view_slot(g, &bits);
	if (g->view_slots[slot]) {
		free(bits.p);
	} else {
		g->views[g->n_views++] = bits;
		g->view_slots[slot] = (uint32_t)g->n_views;
	}
	*out = g->view_slots[slot] - 1;
	return 0;
}

/* The union of two views, or a view and a control commit (SIZE_MAX: none). */
static int join(struct sw_graph *g, uint32_t a, uint32_t b, size_t control, uint32_t *out)
{
	const struct sw_bits *x = &g->views[a], *y = &g->views[b];
	struct sw_bits bits = {.n = x->n > y->n ? x->n : y->n};

	if (control == SIZE_MAX && (a == b || covers(x, y))) {
		*out = a;
		return 0;
	}
	if (control == SIZE_MAX && covers(y, x)) {
		*out = b;
		return 0;
	}
	if (control != SIZE_MAX && control >= bits.n)
		bits.n = control + 1;
	bits.p = calloc((bits.n + 7) / 8, 1);
	if (!bits.p)
		return SW_ENOMEM;
	for (size_t i = 0; i < (bits.n + 7) / 8; i++)
		bits.p[i] = byte_of(x, i) | byte_of(y, i);
	if (control != SIZE_MAX)
		bits.p[control / 8] |= (uint8_t)(1u << control % 8);
	return view_number(g, bits, out);
}

/* What a child of a vertex sees. */
static uint32_t view_with_self(const struct sw_graph *g, uint32_t vertex)
{
	const struct sw_vertex *v = &g->v[vertex];

	return v->control ? g->controls[v->control - 1].view : v->view;
}

/* The causal past */

/* Add to the set all that is below it. */
static void close_down(const struct sw_graph *g, struct sw_bits *set)
{
	for (size_t i = set->n; i-- > 0;) {
		if (!sw_bits_has(set, i))
			continue;
		for (size_t k = 0; k < g->v[i].n_parents; k++) {
			uint32_t parent = g->edges[g->v[i].parents + k];

			set->p[parent / 8] |= (uint8_t)(1u << parent % 8);
		}
	}
}

static int past_of(const struct sw_graph *g, uint32_t vertex, struct sw_bits *out)
{
	const struct sw_vertex *v = &g->v[vertex];

	*out = (struct sw_bits){calloc(vertex / 8 + 1, 1), vertex};
	if (!out->p)
		return SW_ENOMEM;
	for (size_t k = 0; k < v->n_parents; k++) {
		uint32_t parent = g->edges[v->parents + k];

		out->p[parent / 8] |= (uint8_t)(1u << parent % 8);
	}
	close_down(g, out);
	return 0;
}

/* Of the commits that a revocation names, those in its own past, and all below them. */
static int named_of(const struct sw_graph *g, struct sw_txn *txn, const struct sw_bits *past,
		    const struct sw_op *op, struct sw_bits *out)
{
	int rc;

	*out = (struct sw_bits){calloc(past->n / 8 + 1, 1), past->n};
	rc = out->p ? 0 : SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < op->stand.n / SW_HASH_SIZE; i++) {
		struct sw_hash id;
		uint64_t seq;

		sw_op_stand(op, i, &id);
		rc = sw_history_seq(txn, &id, &seq);
		if (rc == 0 && sw_bits_has(past, (size_t)seq - 1))
			out->p[(seq - 1) / 8] |= (uint8_t)(1u << (seq - 1) % 8);
		rc = rc == SW_ENOTFOUND ? 0 : rc;
	}
	if (rc == 0)
		close_down(g, out);
	return rc;
}

/* Control commits */

static int add_grant(struct sw_graph *g, struct sw_control_commit *c, const struct sw_op *op)
{
	struct sw_grant_op *v = realloc(c->grants, (c->n_grants + 1) * sizeof(*v));
	int rc;

	if (!v)
		return SW_ENOMEM;
	c->grants = v;
	v[c->n_grants].role = op->role;
	rc = key_number(g, &op->member, &v[c->n_grants].key);
	c->n_grants += rc == 0;
	return rc;
}

/* Once for a commit: it may have thousands of revocations. */
static int find_past(const struct sw_graph *g, struct sw_control_commit *c)
{
	return c->past.p ? 0 : past_of(g, c->vertex, &c->past);
}

static int add_revoke(struct sw_graph *g, struct sw_txn *txn, struct sw_control_commit *c,
		      const struct sw_op *op)
{
	struct sw_revoke_op *v = realloc(c->revokes, (c->n_revokes + 1) * sizeof(*v));
	int rc;

	if (!v)
		return SW_ENOMEM;
	c->revokes = v;
	v += c->n_revokes;
	rc = key_number(g, &op->member, &v->key);
	if (rc == 0)
		rc = find_past(g, c);
	if (rc < 0)
		return rc;
	v->stand = c->past;
	if (op->names_stand)
		rc = named_of(g, txn, &c->past, op, &v->stand);
	if (rc == 0)
		c->n_revokes++;
	else if (v->stand.p != c->past.p)
		free(v->stand.p);
	return rc;
}

static int read_ops(struct sw_graph *g, struct sw_txn *txn, struct sw_control_commit *c,
		    struct sw_changeset *walk)
{
	struct sw_op op;
	int rc;

	while ((rc = sw_changeset_next(walk, &op)) > 0) {
		rc = 0;
		if (op.kind == SW_OP_GRANT) {
			rc = add_grant(g, c, &op);
		} else if (op.kind == SW_OP_REVOKE) {
			rc = add_revoke(g, txn, c, &op);
		} else if (op.kind == SW_OP_FLOOR) {
			c->is_floor = true;
			rc = find_past(g, c);
		}
		if (rc < 0)
			break;
	}
	return rc;
}

static int add_control(struct sw_graph *g, struct sw_txn *txn, uint32_t vertex,
		       const struct sw_commit *commit, struct sw_changeset *walk)
{
	struct sw_control_commit c = {.vertex = vertex};
	struct sw_control_commit *controls =
	    grown(g->controls, g->n_controls, &g->cap_controls, sizeof(*controls));
	int rc;

	if (!controls)
		return SW_ENOMEM;
	g->controls = controls;
	sw_order_make(commit->stamp, &commit->author, &commit->id, &c.order);
	rc = join(g, g->v[vertex].view, 0, g->n_controls, &c.view);
	if (rc == 0)
		rc = read_ops(g, txn, &c, walk);
	if (rc < 0) {
		control_fini(&c);
		return rc;
	}
	g->controls[g->n_controls++] = c;
	g->v[vertex].control = (uint32_t)g->n_controls;
	return 0;
}

/* Vertices */

static int add_parents(struct sw_graph *g, struct sw_txn *txn, const struct sw_commit *c,
		       struct sw_vertex *v)
{
	v->parents = (uint32_t)g->n_edges;
	for (size_t i = 0; i < c->n_parents; i++) {
		uint32_t *edges = grown(g->edges, g->n_edges + i, &g->cap_edges, sizeof(*edges));
		uint64_t seq = g->n;
		int rc = 0;

		if (!edges)
			return SW_ENOMEM;
		g->edges = edges;
		/* Mostly the one that came before. */
		if (!sw_hash_eq(&c->parents[i], &g->last))
			rc = sw_history_seq(txn, &c->parents[i], &seq);
		if (rc == SW_ENOTFOUND || (rc == 0 && (seq == 0 || seq > g->n)))
			return sw_fail(SW_ECORRUPT, "commit number %zu of the store has no parent",
				       g->n + 1);
		if (rc == 0)
			rc = join(g, v->view, view_with_self(g, (uint32_t)seq - 1), SIZE_MAX,
				  &v->view);
		if (rc < 0)
			return rc;
		g->edges[g->n_edges + i] = (uint32_t)seq - 1;
	}
	v->n_parents = (uint8_t)c->n_parents;
	return 0;
}

int sw_graph_add(struct sw_graph *g, struct sw_txn *txn, const struct sw_commit *c,
		 struct sw_view changeset)
{
	struct sw_vertex v = {.stamp = c->stamp}, *all = grown(g->v, g->n, &g->cap, sizeof(*all));
	struct sw_changeset walk;
	uint32_t empty;
	int rc = 0;

	if (!all)
		return SW_ENOMEM;
	g->v = all;
	if (g->n_views == 0)
		rc = view_number(g, (struct sw_bits){0}, &empty);
	if (rc == 0)
		rc = key_number(g, &c->author, &v.author);
	if (rc == 0)
		rc = add_parents(g, txn, c, &v);
	if (rc == 0)
		rc = sw_changeset_begin(&walk, changeset);
	if (rc < 0)
		return rc;
	g->v[g->n] = v;
	g->n_edges += v.n_parents;
	if (walk.mode == SW_MODE_CONTROL)
		rc = add_control(g, txn, (uint32_t)g->n, c, &walk);
	if (rc < 0) {
		g->n_edges -= v.n_parents;
		return rc;
	}
	g->last = c->id;
	g->n++;
	return 0;
}

static uint8_t place_of(enum sw_outcome outcome)
{
	if (outcome == SW_OUT)
		return SW_PLACE_OUT;
	return outcome == SW_VOID ? SW_PLACE_VOID : SW_PLACE_VALID;
}

int sw_graph_extend(struct sw_graph *g, struct sw_txn *txn, uint64_t seq)
{
	int rc = 0;

	while (rc == 0 && g->n < seq) {
		struct sw_view raw, changeset;
		enum sw_outcome outcome;
		struct sw_commit c;

		rc = sw_history_get(txn, g->n + 1, &raw);
		if (rc == 0)
			rc = sw_commit_decode(raw, &c);
		if (rc == 0)
			rc = sw_history_changeset(txn, g->n + 1, &changeset);
		if (rc == 0)
			rc = sw_history_outcome(txn, g->n + 1, &outcome);
		if (rc == SW_ENOTFOUND || rc == SW_EFORMAT)
			rc = sw_fail(SW_ECORRUPT, "commit number %zu of the store is damaged",
				     g->n + 1);
		if (rc == 0)
			rc = sw_graph_add(g, txn, &c, changeset);
		if (rc == 0)
			g->v[g->n - 1].place = place_of(outcome);
	}
	return rc;
}
