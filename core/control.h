/*
 * The control plane: which commits are valid, by grants, revocations and floors (core/FORMAT.md,
 * "Members").
 *
 * As long as all control commits are successions, or grants by the creator, every commit that was
 * taken is valid, and nothing is kept or computed here. With the first other one, which limits the
 * store whether it counts or not, the graph of all commits is read into memory (core/graph.h). A
 * control commit then costs a pass over the graph, a data commit a look at what it stands on.
 *
 * One writer at a time judges, within its transaction; any thread may ask for members meanwhile.
 */
#ifndef SW_CORE_CONTROL_H
#define SW_CORE_CONTROL_H

#include "core/fold.h"
#include "core/members.h"

struct sw_control;

struct sw_control *sw_control_new(void);
void sw_control_free(struct sw_control *c);

/* What new commits do to those that were there. */
struct sw_judgement {
	bool is_limited;       /* not all is valid by itself; else nothing else is set */
	bool moved;            /* an earlier commit came into the line, or left it */
	struct sw_flip *turns; /* earlier commits that are void now (VOID or OUT), or valid again
				  (APPLIED: the fold says) */
	size_t n_turns;
	bool has_roles; /* roles may have changed: here are all that there are or were */
	struct sw_member_role *roles;
	size_t n_roles;
};

void sw_judgement_fini(struct sw_judgement *j);

/*
 * Judge new commits, whose history is written; sets their outcome to APPLIED, VOID or OUT. `local`:
 * the only one is made here and not signed yet; its parents, author and stamp are set. When the
 * transaction is given up, the next judgement notices.
 */
int sw_control_judge(struct sw_control *c, struct sw_txn *txn, struct sw_fold_commit *commits,
		     size_t n, const struct sw_commit *local,
		     struct sw_judgement *out) SW_MUST_CHECK;
/* The commits behind some numbers were replaced by equal ones with other stamps and ids, durably: what is known is old. */
void sw_control_forget(struct sw_control *c);
/* Judge all commits of a store at once, for comparison; with a control plane of its own, that is
 * thrown away then. */
int sw_control_judge_all(struct sw_control *c, struct sw_txn *txn, struct sw_fold_commit *commits,
			 size_t n, struct sw_judgement *out) SW_MUST_CHECK;
/* The local numbers of the commits in the line that none in it stands on, as judged last. Free
 * *out. */
int sw_control_tips(struct sw_control *c, uint64_t **out, size_t *n) SW_MUST_CHECK;

/* Whether the store of a transaction has control commits that are neither successions nor grants by the creator. */
int sw_control_is_limited(struct sw_txn *txn, bool *out) SW_MUST_CHECK;
/* All roles as of a commit (NULL: now), of a limited store. Free *out. */
int sw_control_roles(struct sw_control *c, struct sw_txn *txn, const struct sw_order *until,
		     struct sw_member_role **out, size_t *n) SW_MUST_CHECK;
/* All members, ascending by key, of a limited store. Free *out. */
int sw_control_members(struct sw_control *c, struct sw_txn *txn, struct sw_member **out,
		       size_t *n) SW_MUST_CHECK;

/* The commits with revocations of a key that count. Free *out. */
int sw_control_revocations(struct sw_control *c, struct sw_txn *txn, const struct sw_key *key, struct sw_hash **out,
			   size_t *n) SW_MUST_CHECK;

#endif
