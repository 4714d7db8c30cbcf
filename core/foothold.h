/*
 * Footholds: where the fold of a row may start. Behind some of a row's operations a store keeps what the fold had come to, so that a
 * late commit, or one on top of an open conflict, costs what is behind the nearest of them and not the history of the row. They
 * say nothing that the history does not: a store without them only folds longer. What changes the history of a row takes its footholds
 * from there on away (core/history.h).
 */
#ifndef SW_CORE_FOOTHOLD_H
#define SW_CORE_FOOTHOLD_H

#include "core/fold_row.h"

/* Some of one run of the fold, not yet written; and the rows that were folded again. Zero-initialised: none. */
struct sw_footholds {
	struct sw_foothold *v;
	size_t n, cap;
	struct sw_buf bytes;
	struct sw_cell *cells;
	size_t n_cells;
	uint64_t from; /* the stamp from which on those of the cells that were kept before do not hold any more */
};

void sw_footholds_fini(struct sw_footholds *h);

/*
 * What the fold of a row had come to behind one of its operations, unless that takes more than max bytes, or is not to be had from
 * operations alone: 0 also then. SW_ENOMEM.
 */
int sw_footholds_add(struct sw_footholds *h, const struct sw_cell *cell, struct sw_view table, struct sw_view key,
		     const struct sw_op_ref *at, const struct sw_fold_row *row, size_t max, bool *added) SW_MUST_CHECK;
/* Write them, in the transaction in which the commits that were folded enter the history. */
int sw_footholds_keep(const struct sw_footholds *h, struct sw_txn *txn) SW_MUST_CHECK;

/* The last one of a row before a stamp: 1, with where it is and the row (zero-initialised; the caller's to free); 0 for none. */
int sw_foothold_find(struct sw_txn *txn, const struct sw_cell *cell, struct sw_view table, struct sw_view key,
		     uint64_t before, struct sw_op_ref *at, struct sw_fold_row *row) SW_MUST_CHECK;

/* Each of them is what the fold of all that is before it comes to; a sentence if not. */
int sw_footholds_verify(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape) SW_MUST_CHECK;

#endif
