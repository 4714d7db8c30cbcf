/* What the files of gc share. */
#ifndef SW_CORE_GC_INTERNAL_H
#define SW_CORE_GC_INTERNAL_H

#include "core/gc.h"
#include "core/history.h"

#define SW_GC_BATCH       1024              /* operations, or commits, written in one transaction */
#define SW_GC_BATCH_BYTES ((size_t)1 << 20) /* of changesets */

/* The last applied commit that wrote a row of a table, up to the horizon. */
struct sw_gc_table {
	struct sw_buf name;
	uint64_t seq;
};

struct gc {
	struct sw_db *db;
	const struct sw_gc_options *options;
	struct sw_gc_report *report;
	struct sw_order horizon;
	size_t batch;
	uint64_t n_known; /* dry: numbers from here on are of commits that have come since */
	uint8_t *thinned; /* dry: a bit for each of the others that would be */
	struct sw_gc_table *tables; /* by name */
	size_t n_tables, cap_tables;
};

void sw_gc_fini(struct gc *g);

/* An operation that leaves the index, or from which on those of its cell matter. */
struct sw_gc_removal {
	struct sw_cell cell;
	struct sw_op_ref ref;
	bool is_begin;
};

struct sw_gc_removals {
	struct sw_gc_removal *v;
	size_t n, cap;
};

/* gc_cell.c: add what goes of one cell's operations, in an order in which it may go. */
int sw_gc_plan_cell(struct gc *g, const struct sw_reader *r, const struct sw_cell *cell,
		    const struct sw_op_refs *refs, struct sw_gc_removals *out) SW_MUST_CHECK;

/* gc_commit.c: whether a changeset has operations that are not needed. From the horizon down the
 * line. */
int sw_gc_look_at(struct gc *g, struct sw_txn *txn, uint64_t seq, bool *shrinks,
		  size_t *size) SW_MUST_CHECK;
/* Keep only those that are. */
int sw_gc_shrink(struct gc *g, struct sw_txn *txn, struct sw_nodes *nodes,
		 uint64_t seq) SW_MUST_CHECK;

#endif
