/*
 * The graph of the commits of one store, in memory: who wrote each, what it stands on, and which
 * control commits are in its causal past. It is made when a database has its first control commit
 * that is neither a succession nor a grant by the creator, and never before.
 *
 * A vertex is a commit's local number minus one, so parents have smaller ones. Keys and control
 * commits are numbered in order of appearance. What is in the past of a commit never changes, so a
 * graph only grows, or forgets its newest.
 */
#ifndef SW_CORE_GRAPH_H
#define SW_CORE_GRAPH_H

#include "core/history.h"

/* Some of the vertices: a bit each, from the first on. */
struct sw_bits {
	uint8_t *p;
	size_t n;
};

static inline bool sw_bits_has(const struct sw_bits *b, size_t i)
{
	return i < b->n && (b->p[i / 8] >> i % 8 & 1);
}

enum sw_place {
	SW_PLACE_VALID, /* in the line; applied or dropped */
	SW_PLACE_VOID,  /* in the line, void */
	SW_PLACE_OUT,   /* not in the line */
};

struct sw_vertex {
	uint64_t stamp;
	uint32_t author;  /* a key */
	uint32_t view;    /* the control commits in its past */
	uint32_t parents; /* where they begin in edges */
	uint32_t control; /* its number among these, plus one; 0: a data commit */
	uint8_t n_parents;
	uint8_t place; /* enum sw_place; kept by core/control.c */
};

struct sw_grant_op {
	uint32_t key;
	enum sw_role role;
};

struct sw_revoke_op {
	uint32_t key;
	struct sw_bits stand; /* commits that it lets stand: its own, or the past of its commit */
};

struct sw_control_commit {
	uint32_t vertex;
	uint32_t view;         /* as that of the vertex, with itself */
	struct sw_order order; /* of a commit that is not signed yet, its id is zero */
	struct sw_grant_op *grants;
	size_t n_grants;
	struct sw_revoke_op *revokes;
	size_t n_revokes;
	bool is_floor;
	struct sw_bits past; /* of one with a floor or a revocation; else empty */
};

struct sw_graph {
	struct sw_vertex *v;
	size_t n, cap;
	uint32_t *edges;
	size_t n_edges, cap_edges;
	struct sw_key *keys;
	size_t n_keys, cap_keys;
	uint32_t *key_slots; /* open addressing: key plus one, or 0 */
	size_t n_key_slots;
	struct sw_control_commit *controls;
	size_t n_controls, cap_controls;
	struct sw_bits *views; /* of control commits; each set once; 0 is empty */
	size_t n_views, cap_views;
	uint32_t *view_slots; /* as key_slots */
	size_t n_view_slots;
	struct sw_hash last; /* id of the newest vertex */
};

/* All zero is the empty one. */
void sw_graph_fini(struct sw_graph *g);
/* Read the store's commits up to a number. SW_ECORRUPT, SW_ENOMEM; what was added before the
 * failure stays. */
int sw_graph_extend(struct sw_graph *g, struct sw_txn *txn, uint64_t seq) SW_MUST_CHECK;
/* Add one commit; its parents are in the graph. */
int sw_graph_add(struct sw_graph *g, struct sw_txn *txn, const struct sw_commit *c,
		 struct sw_view changeset) SW_MUST_CHECK;
/* Forget all but the first n. Keys and views stay. */
void sw_graph_truncate(struct sw_graph *g, size_t n);

/* Whether a control commit is in the past of a vertex. */
static inline bool sw_graph_sees(const struct sw_graph *g, size_t vertex, size_t control)
{
	return sw_bits_has(&g->views[g->v[vertex].view], control);
}

#endif
