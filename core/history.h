/*
 * The history of commits as one store keeps it: numbered in order of arrival (parents first), with an index from each
 * cell to the operations on it. Local numbers are never hashed or sent.
 */
#ifndef SW_CORE_HISTORY_H
#define SW_CORE_HISTORY_H

#include "core/commit.h"
#include "core/store.h"

/* A cell's operations are found under the first 16 bytes of its hash; collisions are told apart by name. */
struct sw_cell {
	uint8_t b[16];
};

/* The cell that an operation is on; GENESIS has none: false. */
bool sw_op_cell(const struct sw_op *op, struct sw_cell *out);
void sw_row_cell(struct sw_view table, struct sw_view key, struct sw_cell *out);

/* Where an operation stands. */
struct sw_op_ref {
	uint64_t stamp;
	uint64_t seq;	 /* local number of its commit */
	uint32_t offset; /* in the changeset */
	bool is_begin;	 /* nothing of the cell before it matters */
};

/* Operations on one cell, in the order of their commits, from a stamp on. Free v. */
struct sw_op_refs {
	struct sw_op_ref *v;
	size_t n;
};

int sw_history_refs(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp,
		    struct sw_op_refs *out) SW_MUST_CHECK;
/* The same up to another stamp, which is included. */
int sw_history_refs_between(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp, uint64_t to_stamp,
			    struct sw_op_refs *out) SW_MUST_CHECK;
/*
 * From now on nothing of the cell before an operation matters (core/gc.h): it is the first that the two above give, whether those
 * before it are in the index still or not.
 */
int sw_history_begin_at(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref) SW_MUST_CHECK;
/* One operation leaves the index, or stands elsewhere in its changeset. */
int sw_history_remove_ref(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref) SW_MUST_CHECK;
int sw_history_move_ref(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref) SW_MUST_CHECK;
/* Whether the index has an operation of a commit on a cell. */
int sw_history_has_ref(struct sw_txn *txn, const struct sw_cell *cell, uint64_t stamp, uint64_t seq, bool *out) SW_MUST_CHECK;
/* The operations on the first cell at or behind this one, and which it is: 1, or 0 for none. Also those that do not matter. */
int sw_history_next_cell(struct sw_txn *txn, struct sw_cell *cell, struct sw_op_refs *out) SW_MUST_CHECK;
/* Index the operations of a changeset. */
int sw_history_index(struct sw_txn *txn, uint64_t seq, uint64_t stamp, struct sw_view changeset) SW_MUST_CHECK;

/*
 * Footholds (core/foothold.h): what the fold of a row had come to behind an operation. The last one before a stamp (borrowed: 1, or
 * 0 for none), and all of a cell from a stamp on. What removes an operation drops those at and behind it by itself; what comes into
 * the history is folded, and that says which do not hold any more.
 */
int sw_history_put_foothold(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *at,
			    struct sw_view value) SW_MUST_CHECK;
int sw_history_foothold(struct sw_txn *txn, const struct sw_cell *cell, uint64_t before, struct sw_op_ref *at,
			struct sw_view *value) SW_MUST_CHECK;
/* The first of the cells at or behind this one that have some, and one of a cell behind an operation: 0 or SW_ENOTFOUND. */
int sw_history_next_foothold(struct sw_txn *txn, struct sw_cell *cell, struct sw_view *value) SW_MUST_CHECK;
int sw_history_foothold_at(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *at,
			   struct sw_view *value) SW_MUST_CHECK;
int sw_history_drop_footholds(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp) SW_MUST_CHECK;

/* The number to give to the next commit: one more than the last. */
int sw_history_next_seq(struct sw_txn *txn, uint64_t *out) SW_MUST_CHECK;
int sw_history_put(struct sw_txn *txn, uint64_t seq, const struct sw_hash *id, struct sw_view commit) SW_MUST_CHECK;
int sw_history_put_changeset(struct sw_txn *txn, uint64_t seq, struct sw_view changeset) SW_MUST_CHECK;
/* Forget a commit, its changeset and its operations: another is put in its place, under its number. */
int sw_history_remove(struct sw_txn *txn, uint64_t seq, const struct sw_commit *c,
		      struct sw_view changeset) SW_MUST_CHECK;
int sw_history_put_outcome(struct sw_txn *txn, uint64_t seq, enum sw_outcome outcome) SW_MUST_CHECK;
/* Keep, in place of the changeset, what is left of it: a changeset with fewer operations. */
int sw_history_put_rest(struct sw_txn *txn, uint64_t seq, struct sw_view rest) SW_MUST_CHECK;

/* All borrow from the transaction. SW_ENOTFOUND. */
int sw_history_seq(struct sw_txn *txn, const struct sw_hash *id, uint64_t *seq) SW_MUST_CHECK;
int sw_history_get(struct sw_txn *txn, uint64_t seq, struct sw_view *commit) SW_MUST_CHECK;
/* The changeset, or what is left of it when gc was here. */
int sw_history_changeset(struct sw_txn *txn, uint64_t seq, struct sw_view *changeset) SW_MUST_CHECK;
/* Whether it is no longer whole. */
int sw_history_is_freed(struct sw_txn *txn, uint64_t seq, bool *out) SW_MUST_CHECK;
/*
 * The place in the line up to which history is no longer whole (core/gc.h): 1, or 0 when all of it is. Outcomes up to there
 * stand; states before it cannot be made.
 */
int sw_history_horizon(struct sw_txn *txn, struct sw_order *out) SW_MUST_CHECK;
int sw_history_put_horizon(struct sw_txn *txn, const struct sw_order *at) SW_MUST_CHECK;
int sw_history_outcome(struct sw_txn *txn, uint64_t seq, enum sw_outcome *out) SW_MUST_CHECK;
int sw_history_order(struct sw_txn *txn, uint64_t seq, struct sw_order *out) SW_MUST_CHECK;

#endif
