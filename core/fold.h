/*
 * The fold: from commits in their order to the state (core/FORMAT.md, "The fold").
 *
 * A batch of new commits is folded cell by cell: only rows that they touch are folded again, from the
 * place of the earliest new commit on, and only rows of strict commits whose outcome turns over join
 * them. A row that is merely written on top costs no look at its history.
 */
#ifndef SW_CORE_FOLD_H
#define SW_CORE_FOLD_H

#include "core/foothold.h"
#include "core/history.h"

/* A commit to be folded in. Its operations are in the index already (sw_history_index). */
struct sw_fold_commit {
	uint64_t seq;
	uint64_t stamp;
	enum sw_mode mode;
	struct sw_view changeset; /* borrowed */
	enum sw_outcome outcome;  /* VOID, OUT: neither folded nor changed; else set by the fold */
	bool is_given; /* the outcome is not set by the fold either: what it follows from may be gone (core/gc.h) */
};

/* What a key may do; 0: it is no member. */
struct sw_member_role {
	struct sw_key key;
	uint8_t role;
};

enum sw_change_kind {
	SW_CHANGE_ROW,
	SW_CHANGE_TABLE_ADDED,
	SW_CHANGE_TABLE_REMOVED,
	SW_CHANGE_TABLE_META,
	SW_CHANGE_CONFLICT,
};

/*
 * What a mount must know: a row that is new, different or gone, a table that is, or a conflict record that is new or
 * gone. Names are owned.
 */
struct sw_change {
	enum sw_change_kind kind;
	struct sw_view table;
	struct sw_view key;
	bool existed;	       /* before */
	bool exists;	       /* now */
	struct sw_hash commit; /* CONFLICT: that lost */
	bool is_resolved;      /* CONFLICT: somebody resolved it; else the history does not have it any more */
};

struct sw_changes {
	struct sw_change *v;
	size_t n;
	struct sw_buf names;
	bool from_peer; /* set by the database: received, not made here */
};

void sw_changes_fini(struct sw_changes *c);

/* An earlier commit whose outcome turned over. */
struct sw_flip {
	uint64_t seq;
	enum sw_outcome outcome;
};

struct sw_fold_result {
	struct sw_hash state;
	struct sw_flip *flips;
	size_t n_flips;
	struct sw_changes changes;
	struct sw_footholds footholds; /* to be kept with the commits */
};

void sw_fold_result_fini(struct sw_fold_result *r);

/* What the control plane says of a fold (core/control.h); all zero: nothing. */
struct sw_fold_control {
	const struct sw_flip *turns; /* earlier commits that are void from now on, or not any more */
	size_t n_turns;
	const struct sw_member_role *roles; /* NULL: each key has the highest role that it was granted */
	size_t n_roles;
	bool all_footholds; /* one behind each operation on a row that is folded again */
};

/*
 * Fold new commits, ascending by order, into a state. line is the line before them. The new state's
 * records are in nodes; neither is anything retained nor written to the store. Sets outcomes.
 */
int sw_fold_run(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape,
		const struct sw_hash *state, const struct sw_hash *line, struct sw_fold_commit *commits,
		size_t n, const struct sw_fold_control *control, struct sw_fold_result *out) SW_MUST_CHECK;

/*
 * Some of the operations on one row, in the order of their commits, folded into *row (zero-initialised; the caller's to free also after
 * a failure). fn (may be NULL) is called behind each of them; anything but 0 ends the walk, and is returned.
 */
typedef int (*sw_fold_walk_fn)(void *arg, const struct sw_fold_row *row, const struct sw_op_ref *ref);
int sw_fold_walk(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view table,
		 struct sw_view key, const struct sw_op_refs *refs, sw_fold_walk_fn fn, void *arg,
		 struct sw_fold_row *row) SW_MUST_CHECK;
/* The same; 1: it has the value `until` (may be NULL), and nothing behind that was looked at. */
int sw_fold_refs(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view table,
		 struct sw_view key, const struct sw_op_refs *refs, const struct sw_hash *until,
		 struct sw_fold_row *row) SW_MUST_CHECK;

/* The state as of a commit in the line. */
struct sw_fold_state {
	struct sw_order at;
	struct sw_hash state;
};

/*
 * The state as of another one: from `base`, before or behind it, by folding again all rows that commits in between touch. Each of
 * them begins at `below` (NULL: at nothing), which is at or before `at`, unless what came since needs more of its history. control: the roles
 * as of then.
 */
int sw_fold_at(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape,
	       const struct sw_hash *line, const struct sw_fold_state *base, const struct sw_fold_state *below,
	       const struct sw_order *at, const struct sw_fold_control *control, struct sw_hash *out) SW_MUST_CHECK;

#endif
