/*
 * The simulator: real databases and real sync engines, in one process and one thread, under one seed and one
 * virtual clock (tests/lib/net.h is the network). A seed gives a *plan*, a list of actions at their times: writes of
 * all kinds, crashes at durable steps, partitions, clocks that jump, machines that sleep, join and leave. Each action
 * brings its own randomness, so that a plan with some of its actions left out is a plan too: that is how
 * a failing one is made short. At the end everything is healed and all must agree.
 *
 * Signatures are toys (tests/lib/toysign.h): true ones would take more than half of the time.
 *
 * A *step* is a message delivered, a tick of an engine, or an action.
 *
 * Invariants, by the names under which a failure is reported; those of core/FORMAT.md first:
 *
 *   past_is_here, order_extends_causality
 *   nothing_is_from_the_future
 *   same_set_same_head       whoever holds the same commits has the same head, ever, and so had everybody before
 *   commits_are_whole        after a restart the head is that of a set of whole commits
 *   acknowledged_is_kept     what a node has told a peer or a user is in its store then, and after it crashed
 *   held_back_enters         after healing, all have one head within a minute, commits once held back included
 *
 *   oracle                   in the end the line and the state are those of the naive fold of core/FORMAT.md
 *   closed_is_kept           a row whose close() returned survives a kill, one that was synced a power loss
 *   settled_never_shrinks    what is settled at a node stays so, at the same place of the line, over crashes too
 *   settled_is_one           a commit that is settled has the same place, and its snapshot the same state, everywhere
 *   all_is_settled           in the end, unless somebody has left
 *
 *   only_unsent_is_resigned  a commit that its author signs again was never delivered to anybody
 *   no_commit_is_lost        what any node that is still there ever told of is everywhere in the end, if it is in the line
 *   honest_is_believed       nobody is dropped as a liar, since nobody is one
 *   copy_is_private          nothing of a working copy is seen, and it is kept over crashes, until it is applied
 *   copy_is_whole            what it wrote is in one commit, all of it, or nowhere
 *   verify_is_clean          after each crash, and in the end
 *   write                    a program is told of no failure but those of its disk
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "core/copies.h"
#include "core/settled.h"
#include "tests/lib/net.h"
#include "tests/lib/oracle.h"

#define SIM_TABLES 2
#define SIM_KEYS   5
#define SIM_ROWS   (SIM_TABLES * SIM_KEYS)

/* X(name, text, weight in a plan, whether some plans are without it) */
#define SIM_ACTIONS(X)                                                                                       \
	X(WRITE, "write", 30, false)	   /* a merge commit */                                              \
	X(STRICT, "strict", 10, false)	   /* a strict one */                                                \
	X(EDIT, "edit", 16, true)	   /* a row through the working set, closed */                       \
	X(SYNC, "sync", 4, true)	   /* the same, synced */                                            \
	X(UNLINK, "unlink", 3, true)	                                                                     \
	X(RENAME, "rename", 3, true)	                                                                     \
	X(COMMIT, "commit", 2, true)	   /* what the working set has, now */                               \
	X(TOGETHER, "together", 3, true)   /* several nodes write in the same millisecond */                 \
	X(CRASH, "crash", 8, true)	   /* at the n-th durable step from now, before or after it */       \
	X(RESTART, "restart", 2, true)	   /* in good order */                                               \
	X(FAULT, "fault", 3, true)	   /* a durable step fails, once */                                  \
	X(CUT, "cut", 5, true)		   /* a link breaks, one end may notice later */                     \
	X(BLOCK, "block", 4, true)	   /* a link stalls in one direction */                              \
	X(PARTITION, "partition", 2, true) /* nodes on two sides, in one direction or both */                \
	X(BREAKS, "breaks", 2, true)	   /* links break at random messages */                              \
	X(DEAF, "deaf", 2, true)	   /* a node reads nothing for a while: queues fill */               \
	X(SLEEP, "sleep", 2, true)	   /* a machine is suspended */                                      \
	X(CLOCK, "clock", 4, true)	   /* a wall clock is set */                                         \
	X(JOIN, "join", 1, true)	                                                                     \
	X(LEAVE, "leave", 1, true)                                                                           \
	/* In place of some writes, in some plans: */                                                        \
	X(TXN, "txn", 0, false)	      /* a working copy is made, written to, applied or discarded */         \
	X(COPY, "copy", 0, false)     /* a store is copied to a second machine */                            \
	X(DEMOTE, "demote", 0, false) /* a key is revoked and let in again: what was not seen is void */     \
	X(REMOVE, "remove", 0, false) /* a key is revoked for good */                                        \
	X(PROMOTE, "promote", 0, false) /* a writer becomes an admin, who then does the like */              \
	X(FLOOR, "floor", 0, false)   /* what was not seen of anybody is void */                          \
	X(GC, "gc", 0, false)	      /* what is settled is freed, but at the first node */

enum sim_kind {
#define X(name, text, weight, optional) SIM_##name,
	SIM_ACTIONS(X)
#undef X
	    SIM_N_KINDS
};

struct sim_action {
	uint64_t at_ms;
	enum sim_kind kind;
	size_t node;   /* whom it concerns, if it is there */
	uint64_t seed; /* of its own choices */
};

struct sim_plan {
	uint64_t seed;
	size_t peers;	  /* in the beginning */
	size_t nodes_max; /* with those that join */
	struct sim_action *v;
	size_t n;
};

/* What is known of a row that a program wrote at a node and closed. */
struct sim_row {
	bool is_set;	  /* closed with these bytes, and perhaps not committed yet */
	bool is_synced;
	bool is_maybe;	  /* a later write was under way: its outcome is open */
	struct sw_hash hash; /* swarmfs.value hash of the bytes, however many */
};

/* The working copy of a node. */
struct sim_txn {
	bool is_made;
	bool is_maybe; /* a step was under way when the node died: it may be over */
	struct sim_row rows[SIM_ROWS]; /* what was closed in it */
};

struct sim_change {
	struct sim_change *next;
	struct sw_change change;
	uint8_t names[2 * SW_NAME_MAX];
};

/* Commits delivered to a node in answer to a turn, which it has not said to have. */
struct sim_unacked {
	struct sim_unacked *next;
	uint64_t conn, turn;
	struct sw_hash id;
};

struct sim_bits {
	uint64_t *v;
	size_t cap; /* words */
};

struct sim_node {
	bool has_left;
	bool is_liar; /* and has left, as far as others are concerned: a script of a scenario */
	unsigned n_drops; /* of a liar, by those it lied to */
	bool by_power;	   /* how it ends when it dies: what was not synced is lost, too */
	uint64_t back_ms;  /* down until then; 0: it is up */
	uint64_t down_ms;  /* for how long it stays down when it dies */
	char died_at[24];  /* the durable step */
	bool was_revoked; /* at least once, by somebody */
	bool is_twin;	  /* its store was copied, or is a copy: two have had its key */
	struct sw_work *work;
	struct sw_copies *copies;
	struct sim_txn txn;
	uint64_t on_disk;  /* bytes of the journal that survive a power loss */
	struct sim_row rows[SIM_ROWS];
	struct sim_change *changes; /* that its working set is not told yet */
	struct sim_unacked *unacked;
	/* What its store holds, as read from it */
	struct sim_bits has, promised;
	struct sw_hash set; /* XOR of the ids */
	uint64_t n, next_seq;
	uint64_t stamp; /* the greatest */
	struct sw_settled settled; /* as it was seen last */
	uint64_t n_resigned; /* as its engine counts */
	int64_t clock_ms; /* what it believed when it was looked at last */
};

struct sim_commit {
	struct sw_hash id;
	struct sw_key author;
	uint64_t stamp;
	bool was_delivered; /* to anybody */
	struct sw_buf raw, changeset;
	uint64_t settled_count; /* with all before it, wherever it was found settled; 0: nowhere yet */
	struct sw_hash settled_state; /* of its snapshot then; zero: nobody has looked */
};

/* A set of commits that some node held, and the head that it had then. */
struct sim_set {
	struct sw_hash set;
	struct sw_head head;
};

struct sim_stats {
	uint64_t n_messages, n_ticks, n_actions, n_commits, n_crashes, n_torn, n_drop, n_held, n_resigned, n_sets, n_oracles, n_settled, virtual_ms;
	uint64_t n_freed, n_removed, n_twins, n_applied; /* members out in the end, stores copied, working copies applied */
	uint64_t hash; /* of everything that happened */
	char broken[64];
};

/* Its commits from that one on may be of either store, and one may not know of the other's. */
struct sim_copied {
	struct sw_key key;
	size_t first;
};

struct sim {
	const struct sim_plan *plan;
	struct net net;
	struct sim_node *nodes;
	struct sw_ticket *tickets; /* one per node that joins with one */
	struct sim_commit *commits;
	size_t n_commits, cap_commits;
	uint32_t *by_id; /* index + 1 */
	size_t cap_by_id;
	struct sim_set *sets;
	size_t n_sets, cap_sets;
	struct sim_copied *copied; /* keys that two stores have had */
	size_t n_copied;
	bool is_governed; /* there were revocations or floors */
	bool is_healed;
	bool has_freed;	  /* gc has run somewhere */
	uint64_t breaks_until_ms;
	uint64_t nonce;
	bool trace;
	struct sim_stats *stats; /* shared with who watches: survives a crash of this process */
};

/* plan.c */
void sim_plan_make(struct sim_plan *plan, uint64_t seed, size_t peers);
void sim_plan_fini(struct sim_plan *plan);
const char *sim_kind_name(enum sim_kind kind);

/* run.c: a whole run; does not return when an invariant breaks. skip: per action, may be NULL. */
void sim_run(const struct sim_plan *plan, const bool *skip, bool trace, struct sim_stats *stats);
void sim_init(struct sim *s, const struct sim_plan *plan, bool trace, struct sim_stats *stats);
void sim_fini(struct sim *s);
/* Virtual time goes on up to until_ms. */
void sim_advance(struct sim *s, uint64_t until_ms);
/* Wait until all agree. */
void sim_converge(struct sim *s);
/* Heal everything, wait until all agree, and check all that can be checked. */
void sim_finish(struct sim *s);
/* Call after every change at a node from outside of its engine. */
void sim_settle(struct sim *s);
bool sim_is_up(const struct sim *s, size_t at);
/*
 * It was revoked, and nobody who stands let it in again: the others have nothing to do with it any more. Or it has a key in the
 * place of one that two had, and its link broke before anybody got the commit that lets that in: it needs a ticket.
 */
bool sim_is_out(const struct sim *s, size_t at);
_Noreturn void sim_fail(struct sim *s, const char *invariant, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void sim_trace(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_mix(struct sim *s, struct sw_view bytes);

/* act.c */
void sim_act(struct sim *s, const struct sim_action *a);
size_t sim_add_node(struct sim *s, bool with_ticket, struct rng *rng);
void sim_add_many(struct sim *s, size_t n, struct rng *rng);
/* The name of one of the SIM_ROWS rows. */
struct sw_view sim_table(size_t row);
struct sw_view sim_key(size_t row);

/* work.c: the working sets */
void sim_work_open(struct sim *s, size_t at);
/* In good order, if it is open. */
void sim_work_close(struct sim *s, size_t at);
/* The node ends: what it had in memory goes, and what was not on the disk may. */
void sim_work_die(struct sim *s, size_t at, struct rng *rng);
void sim_work_run(struct sim *s, size_t at);
void sim_work_note(struct sim *s, size_t at, const struct sw_change *change);
void sim_work_act(struct sim *s, size_t at, enum sim_kind kind, struct rng *rng);
/* A row as programs see it in a set; false: there is none. */
bool sim_work_view(struct sw_work *work, size_t row, struct sw_buf *out);
int sim_work_write(struct sw_work *work, size_t row, const struct sw_buf *content, bool sync);
/* Bytes for a row that nobody else writes; base: what is there. */
void sim_work_content(struct sim *s, struct rng *rng, size_t row, const struct sw_buf *base, struct sw_buf *out);
struct sw_hash sim_work_hash(const struct sw_buf *bytes);
/* Failures that a user is told of: nothing happened. */
bool sim_work_may_fail(const struct sim *s, size_t at, int rc);
/* The content of a row of a commit that a node has; of a large one gc may have freed it there, but not elsewhere. False: nowhere. */
bool sim_read_anywhere(struct sim *s, size_t at, const struct sw_row *row, struct sw_buf *out);
/* What was closed is there, after the set was opened again. */
void sim_work_check(struct sim *s, size_t at);
bool sim_work_is_idle(struct sim *s, size_t at);

/* txn.c: working copies, one at a time at each node */
void sim_txn_open(struct sim *s, size_t at);
void sim_txn_close(struct sim *s, size_t at);
void sim_txn_act(struct sim *s, size_t at, struct rng *rng);
/* The store was opened again: the copy is there, if it was. */
void sim_txn_check(struct sim *s, size_t at);

/* check.c: who holds what */
/* Read what is new in the store of a node, and judge it. */
void sim_check_node(struct sim *s, size_t at);
/* What has been settled since it was looked at last. */
void sim_check_settled(struct sim *s, size_t at);
/* Everything is, at a node that is up. */
bool sim_is_settled(struct sim *s, size_t at);
/* What was ever found settled stands as it was. */
void sim_check_settled_end(struct sim *s, size_t at);
/* The place of a commit among all that are known, and one more; 0: it is not. */
size_t sim_find_commit(const struct sim *s, const struct sw_hash *id);
/* Whether a node's store has a commit, by its place among all that are known. */
bool sim_node_has(const struct sim *s, size_t at, size_t commit);
/* The store was opened again. */
void sim_check_reopened(struct sim *s, size_t at);
/* A user was told that it is committed. */
void sim_check_told(struct sim *s, size_t at, const struct sw_hash *id);
void sim_check_sent(struct sim *s, size_t at, uint64_t conn, struct sw_view message);
void sim_check_delivered(struct sim *s, size_t at, uint64_t conn, struct sw_view message);
/* The greatest stamp of any commit that a node holds which is still there. */
uint64_t sim_check_latest(const struct sim *s);
/* Nothing is missing anywhere; the fold is the oracle's; stores verify. */
void sim_check_end(struct sim *s);
void sim_check_fini(struct sim *s);

#endif
