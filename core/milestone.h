/*
 * Milestones: earlier states that the store keeps, so that any in between is near one (core/FORMAT.md, "The store").
 *
 * One is due when as many rows were overwritten since the last, or as many commits made, as there were rows then (rows that
 * came in bulk since included, so that a load leaves none behind): what it holds on to is no more than what history holds
 * anyway, and making a state in between costs no more than reading one. It is the state of some commits ago,
 * since those who write at the same time come a little late; a commit that comes before a milestone makes it wrong, and it goes.
 */
#ifndef SW_CORE_MILESTONE_H
#define SW_CORE_MILESTONE_H

#include "core/fold.h"

/* How many there are. A database has the usual ones; tests have more. */
struct sw_milestone_rate {
	uint64_t n_rows_min;	/* none is due before there was so much */
	uint64_t n_commits_ago; /* where in the line, from its end */
};

#define SW_MILESTONE_RATE ((struct sw_milestone_rate){1024, 256})

/* When the next one is due. */
struct sw_milestone_plan {
	uint64_t n;   /* rows overwritten since the last one, or commits */
	uint64_t due; /* when there were that many; 0: as soon as any may be */
};

/* The commit of a line with so many others behind it; the first if there are fewer. The line is not empty. */
int sw_line_ago(const struct sw_nodes *nodes, const struct sw_hash *line, uint64_t ago, struct sw_order *out) SW_MUST_CHECK;

/* The nearest one at or before a place in the line, and the nearest at or behind it: 1, or 0 for none. */
int sw_milestone_before(struct sw_txn *txn, const struct sw_order *at, struct sw_fold_state *out) SW_MUST_CHECK;
int sw_milestone_behind(struct sw_txn *txn, const struct sw_order *at, struct sw_fold_state *out) SW_MUST_CHECK;
/* It is none any more; its reference is the caller's to release. */
int sw_milestone_forget(struct sw_txn *txn, const struct sw_fold_state *c) SW_MUST_CHECK;

/* Commits changed the state. */
void sw_milestone_count(struct sw_milestone_plan *plan, size_t n_commits, const struct sw_changes *changes);
bool sw_milestone_is_due(const struct sw_milestone_plan *plan, const struct sw_milestone_rate *rate);
/* One that is wrong now went: the next is due soon, but not at once, since more may come late. */
void sw_milestone_hurry(struct sw_milestone_plan *plan, const struct sw_milestone_rate *rate);
/*
 * Where to make one (1), and the last one before that; 0: it is there already. state is that of the last commit of the line.
 * The next one is counted from here.
 */
int sw_milestone_place(struct sw_txn *txn, const struct sw_nodes *nodes, const struct sw_hash *state,
		       const struct sw_hash *line, const struct sw_milestone_rate *rate,
		       struct sw_milestone_plan *plan, struct sw_order *at, struct sw_fold_state *last,
		       bool *has_last) SW_MUST_CHECK;
/* Keep it, retained in nodes. */
int sw_milestone_put(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_fold_state *m) SW_MUST_CHECK;

#endif
