/*
 * Folding one row: its operations, applied one by one in the order of their commits (core/FORMAT.md,
 * "The fold"). Knows who wrote what stands there now and which values were lost on the way; knows
 * nothing of other rows, so the outcome of a strict commit is told to it.
 */
#ifndef SW_CORE_FOLD_ROW_H
#define SW_CORE_FOLD_ROW_H

#include "core/blob.h"
#include "core/history.h"
#include "core/losers.h"

/* Who wrote a cell that now stands. */
struct sw_writer {
	uint64_t seq;	    /* 0: nobody */
	struct sw_hash row; /* hash of the row it wrote */
	/* Of a column: */
	struct sw_view name; /* behind the struct */
	struct sw_writer *next;
};

struct sw_fold_row {
	struct sw_row row;    /* when hash is not zero; inline bytes are in `bytes` */
	struct sw_hash hash;  /* zero: absent */
	struct sw_buf bytes;
	struct sw_writer whole; /* who last wrote all of it */
	uint64_t last;		/* seq of who last wrote any of it */
	struct sw_writer *columns; /* who wrote which column since; in no order */
	void *columns_by_name;	   /* tree of them, see search.h */
	struct sw_losers losers;
};

void sw_fold_row_fini(struct sw_fold_row *r);
/* Begin from a row as a tree holds it (borrowed; copied), or from absent. Who wrote it is not known. */
int sw_fold_row_start(struct sw_fold_row *r, const struct sw_row *row) SW_MUST_CHECK;

/* All that the fold of a row goes on from, as bytes, and back: SW_EFORMAT. A large row is its root, whoever keeps it. */
void sw_fold_row_encode(const struct sw_fold_row *r, struct sw_buf *out);
int sw_fold_row_decode(struct sw_view bytes, struct sw_fold_row *r) SW_MUST_CHECK;

/* Whether an operation would be clean now. */
bool sw_fold_row_is_clean(const struct sw_fold_row *r, const struct sw_op *op, enum sw_mode mode);

/*
 * Apply an operation of commit seq, or note that its commit was dropped. New records (merged large
 * rows) go to nodes.
 */
int sw_fold_row_apply(struct sw_fold_row *r, struct sw_nodes *nodes, const struct sw_shape *shape,
		      const struct sw_op *op, enum sw_mode mode, uint64_t seq) SW_MUST_CHECK;
int sw_fold_row_drop(struct sw_fold_row *r, const struct sw_op *op, uint64_t seq) SW_MUST_CHECK;

#endif
