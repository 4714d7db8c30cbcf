/* What the files of the fold share: the rows being folded, and the edits that come of them. */
#ifndef SW_CORE_FOLD_INTERNAL_H
#define SW_CORE_FOLD_INTERNAL_H

#include "core/fold.h"
#include "core/state.h"

enum sw_cell_kind { SW_CELL_ROW, SW_CELL_TABLE, SW_CELL_TAG, SW_CELL_RESOLVE, SW_CELL_GRANT };

/* One cell's history on its way through the fold. */
struct sw_fold_cell {
	struct sw_cell cell;
	enum sw_cell_kind kind;
	struct sw_buf table, key; /* TAG: the name is in table */
	struct sw_hash commit;	  /* TAG: what it names now; RESOLVE: the losing commit */
	struct sw_key member;	  /* GRANT */
	bool is_light;		  /* a row begun at f->begin: its history is not known */
	struct sw_op_refs refs;	  /* only those behind that state, or behind a foothold */
	size_t next;		  /* first of refs not yet applied */
	struct sw_fold_row row;	  /* ROW */
	size_t n_walked; /* bytes of operations since the last foothold, about */
	/* TABLE: what its operations said last. */
	bool has_meta;
	uint16_t mode;
	int64_t mtime_ns;
	int presence; /* last of mkdir (1) and rmdir (-1), 0 neither */
	struct sw_op_ref presence_ref;
	int role;	  /* GRANT: the highest */
	bool is_resolved; /* RESOLVE */
};

struct sw_fold {
	struct sw_txn *txn;
	struct sw_nodes *nodes;
	const struct sw_shape *shape;
	struct sw_hash state, line;
	struct sw_fold_commit *commits; /* new, by order */
	size_t n_commits;
	struct sw_fold_commit **by_seq; /* the same, from first_seq on */
	uint64_t first_seq;		/* numbers from here on are new */
	uint64_t from;	    /* stamp of the earliest new commit */
	bool has_horizon; /* outcomes up to it stand: what they follow from may be gone (core/gc.h) */
	struct sw_order horizon;
	const struct sw_order *until; /* NULL: everything */
	const struct sw_fold_state *below; /* with until: a state at or before it; NULL: nothing is known */
	struct sw_hash begin; /* the state that light rows begin at */
	bool has_conflicts;   /* it has records */

	struct sw_fold_cell **cells; /* hash table, open addressing */
	size_t cap_cells, n_cells;
	struct sw_fold_cell **heap; /* cells by their next operation */
	size_t n_heap, cap_heap;
	struct sw_flip *flips; /* outcomes decided anew, turned or not */
	size_t n_flips, cap_flips;
	uint32_t *flip_slots; /* by number, open addressing: place plus one, or 0 */
	size_t n_flip_slots;
	struct sw_footholds *footholds; /* of the result; NULL: none are to be left */
	struct sw_fold_control control;
};

struct sw_fold_commit *sw_fold_find_commit(const struct sw_fold *f, uint64_t seq);
int sw_fold_outcome(const struct sw_fold *f, uint64_t seq, enum sw_outcome *out) SW_MUST_CHECK;
int sw_fold_changeset(const struct sw_fold *f, uint64_t seq, struct sw_view *out) SW_MUST_CHECK;
struct sw_fold_cell *sw_fold_find_cell(const struct sw_fold *f, const struct sw_cell *cell);
/* No operation with a greater stamp matters. */
static inline uint64_t sw_fold_last_stamp(const struct sw_fold *f)
{
	return f->until ? sw_order_stamp(f->until) : UINT64_MAX;
}
/* Forget the operations of a cell that come after f->until. */
int sw_fold_trim(struct sw_fold *f, struct sw_fold_cell *c) SW_MUST_CHECK;
/* Apply everything of a cell's refs with an index below n. */
int sw_fold_cell_advance(struct sw_fold *f, struct sw_fold_cell *c, size_t n) SW_MUST_CHECK;

/* Turn the folded cells into a new state. `flips` and `commits` are decided by now. *out is zero but for the footholds. */
int sw_fold_assemble(struct sw_fold *f, struct sw_fold_result *out) SW_MUST_CHECK;

#endif
