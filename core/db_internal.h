/* What the files of the database share. */
#ifndef SW_CORE_DB_INTERNAL_H
#define SW_CORE_DB_INTERNAL_H

#include <pthread.h>

#include "core/control.h"
#include "core/db.h"
#include "core/milestone.h"

struct sw_settling;

struct sw_pin {
	struct sw_hash root;
	size_t n;
};

/* What the listener was told of (db_told.c). */
struct sw_telling {
	pthread_mutex_t lock; /* taken after all others */
	pthread_cond_t done;
	bool is_on;	      /* a newer head may show, and it has not heard all of it */
	uint64_t number;      /* of the state that it knows */
	struct sw_hash state;
};

#define SW_SNAPS_KEPT 16
#define SW_LINE_CHANGES_MAX 64 /* places; with more, the first are taken together */

struct sw_db {
	struct sw_store *store;
	const struct sw_env *env;
	struct sw_identity *_Atomic identity; /* replaced under write_lock */
	struct sw_identity **retired; /* those before it: whoever holds one may go on */
	const struct sw_identity *_Atomic known; /* of these, the one that others know, if they may not know the present one; or NULL */
	size_t n_retired;
	_Atomic bool is_copied;
	struct sw_hash id;
	bool has_salt;
	enum sw_conflict_mode conflict;
	struct sw_shape *shape; /* valid once has_salt; set under write_lock before the first head */
	struct sw_control *control;
	_Atomic int own_role;
	struct sw_listener listener;
	_Atomic int64_t clock_offset_ms;
	_Atomic bool is_freeing; /* gc runs */
	_Atomic uint64_t withheld; /* the first own commit that may not be sent; 0: none. Written under write_lock */

	pthread_mutex_t write_lock; /* one writer at a time; under it: */
	uint64_t hlc;		    /* greatest stamp in the line */
	uint64_t released_ms;	    /* own commits stamped up to then may be sent */
	uint64_t not_resigned;	    /* the greatest stamp when sw_db_resign() could do nothing */

	/*
	 * head_lock is held from the moment a checkpoint decides which roots go until the new head is
	 * published, so that nobody can pin a root that is about to go. Order: write_lock, head_lock.
	 */
	pthread_mutex_t head_lock;
	struct sw_head head;
	struct sw_pin *pins;
	size_t n_pins;
	size_t n_drops; /* roots in SW_SPACE_DROPS, and working copies that are spent */
	struct sw_divergence diverged; /* the last that was told of; not where */
	_Atomic bool has_unpinned; /* perhaps some of them can go */
	uint64_t n_forgotten;	   /* milestones, ever */
	struct sw_snap *open_snaps; /* all that there are: gc stays behind them */
	struct sw_snap *snaps[SW_SNAPS_KEPT]; /* kept for who looks again; NULL: a free place */
	/* Since when the line is as it is: from each place on, up to the next. Ascending, as are the versions. */
	struct sw_line_change {
		struct sw_order from;
		uint64_t version;
	} line_changes[SW_LINE_CHANGES_MAX];
	size_t n_line_changes;
	uint64_t line_version;
	struct sw_order asked_at; /* the last place that a version was asked for: what changes behind it concerns nobody */

	/* Under write_lock, but for the pointer, which readers copy under memtable_lock. See db_checkpoint.c. */
	struct sw_memtable *memtable; /* what the head needs beyond what is written */
	struct sw_milestone_rate milestone_rate;
	struct sw_milestone_plan milestone_plan;
	struct sw_stage *stages;      /* that are in use */
	uint64_t next_stage;
	bool has_stray_stages;	      /* SW_SPACE_STAGED has some of others */
	struct sw_head written;	      /* the last checkpoint */
	uint64_t written_seq;	      /* the number of the last commit in it */
	pthread_mutex_t memtable_lock;
	/* Under memtable_lock: */
	struct sw_hash shown;	  /* the state of the head, for those who do not wait for a checkpoint as with head_lock */
	struct sw_head read;	  /* what a reader found last */
	uint64_t read_id;	  /* the transaction that wrote that; 0: none was read */

	struct sw_telling telling;
	struct sw_settling *settling; /* core/settled.c; has a lock of its own, taken after the others */
};

/* A commit on its way into the line. */
struct sw_entering {
	struct sw_fold_commit fold;
	struct sw_order order;
	const struct sw_commit *commit; /* borrowed */
	struct sw_stage **stages;	/* of large rows that it refers to */
	size_t n_stages;
};

/* What one local commit needs while it is made. */
struct sw_making {
	struct sw_db *db;
	struct sw_txn *txn;
	struct sw_nodes *nodes;
	struct sw_head head; /* before it */
	struct sw_commit commit; /* parents and message are set by the caller */
	bool is_judged;		       /* it is valid, and changes nobody's validity */
	struct sw_judgement judgement; /* out, unless it is judged; the caller frees it */
	struct sw_buf raw;
};

/*
 * Judge the commit, fold it in, sign it and write it to the history. *dropped: it is strict and an operation is unclean; unless
 * may_drop it is not made then.
 */
int sw_making_seal(struct sw_making *m, struct sw_fold_commit *c, bool may_drop, bool *dropped,
		   struct sw_fold_result *out) SW_MUST_CHECK;

enum sw_origin { SW_FROM_WORK, SW_FROM_HERE, SW_FROM_PEER };

/* Fold new commits, ascending by order and judged, into the state of a head. */
int sw_db_fold(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
	       struct sw_fold_commit *commits, size_t n, const struct sw_judgement *judgement,
	       struct sw_fold_result *out) SW_MUST_CHECK;
/*
 * Put the folded commits, whose history is written, into the line, move the head, write everything and tell the listener. Takes
 * over the transaction, whether it succeeds or not.
 */
int sw_db_enter(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
		struct sw_entering *const *commits, size_t n, const struct sw_judgement *judgement,
		struct sw_fold_result *fold, enum sw_origin origin) SW_MUST_CHECK;

/* The commit is a tip, and its parents are none. */
int sw_db_put_tip(struct sw_txn *txn, const struct sw_commit *c) SW_MUST_CHECK;
/* Commits enter: keep account of which own ones nobody was sent. *withheld is the new value, once the transaction has ended. */
int sw_db_note_withheld(struct sw_db *db, struct sw_txn *txn, struct sw_entering *const *commits, size_t n,
			enum sw_origin origin, uint64_t *withheld) SW_MUST_CHECK;
/* Own commits stamped up to then are not signed again, whether somebody was sent them or not; write_lock is held. Durable. */
int sw_db_keep_signed(struct sw_db *db, uint64_t upto_ms) SW_MUST_CHECK;
int sw_db_load_withheld(struct sw_db *db, struct sw_txn *txn) SW_MUST_CHECK;

/* db_copy.c */

/*
 * A working copy is done with, in a writer's transaction; sw_db_copy_spent() when that is written. Its record keeps the reference
 * to the state until a checkpoint gives it up. SW_ENOTFOUND.
 */
int sw_db_copy_spend(struct sw_txn *txn, uint64_t number) SW_MUST_CHECK;
void sw_db_copy_spent(struct sw_db *db);
/* Give up those that are spent and not pinned. head_lock is held. */
int sw_db_copies_give_up(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops) SW_MUST_CHECK;
int sw_db_copies_count_spent(struct sw_txn *txn, size_t *n) SW_MUST_CHECK;

/* sw_db_commit() with write_lock held. */
int sw_db_commit_locked(struct sw_db *db, struct sw_write *w, struct sw_hash *id) SW_MUST_CHECK;

/* db_key.c */
int sw_db_key_path(const char *dir, const char *name, char *out, size_t size) SW_MUST_CHECK;
/* Read the key, and whether it is copied. */
int sw_db_load_key(struct sw_db *db, struct sw_txn *txn) SW_MUST_CHECK;
/* Complete or undo a renewal that a crash interrupted. */
int sw_db_settle_key(struct sw_db *db) SW_MUST_CHECK;
/* Commits of peers enter, by order: note, durably, when some that are ours were not made here. */
int sw_db_note_copied(struct sw_db *db, struct sw_txn *txn, struct sw_entering *const *commits, size_t n,
		      bool *is_copied) SW_MUST_CHECK;

/* The wall clock, set right. */
uint64_t sw_db_time_ms(const struct sw_db *db);
/* What a new commit is stamped by. */
uint64_t sw_db_stamp_ms(const struct sw_db *db);

int sw_meta_get(struct sw_txn *txn, const char *name, struct sw_view *out) SW_MUST_CHECK;
int sw_meta_put(struct sw_txn *txn, const char *name, struct sw_view value) SW_MUST_CHECK;

/* "The store's WHAT is damaged": SW_ECORRUPT. */
int sw_db_damaged(const char *what);

/* The count and the line of a head after more commits, whose orders and outcomes are set, and after flips; where it begins to differ. */
int sw_db_edit_line(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, struct sw_entering *const *commits,
		    size_t n, const struct sw_fold_result *fold, struct sw_head *head, struct sw_order *first) SW_MUST_CHECK;
/* The state as of a commit (core/fold.h); who is a member follows from the control commits up to there. */
int sw_db_fold_at(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_hash *line,
		  const struct sw_fold_state *base, const struct sw_fold_state *below, const struct sw_order *at,
		  struct sw_hash *out) SW_MUST_CHECK;

/* snap.c */

/*
 * Of the snapshots that are kept, take out those at or behind a place in the line (NULL: those that nobody asked for in the last
 * while). head_lock is held; the caller gives them to sw_snaps_free() when it is not any more.
 */
void sw_snaps_take(struct sw_db *db, const struct sw_order *from, struct sw_snap *out[static SW_SNAPS_KEPT]);
/* The line is another from that place on. head_lock is held. */
void sw_snaps_changed(struct sw_db *db, const struct sw_order *from);
/* The place of the open snapshot that comes first in the line; false: none is open. head_lock is held. */
bool sw_snaps_first(const struct sw_db *db, struct sw_order *out);
void sw_snaps_free(struct sw_snap *snaps[static SW_SNAPS_KEPT]);

/* db_checkpoint.c */
int sw_settling_new(struct sw_settling **out) SW_MUST_CHECK;
void sw_settling_free(struct sw_settling *s);
/* What was found settled when the store was open before. */
int sw_settling_load(struct sw_settling *s, struct sw_txn *txn) SW_MUST_CHECK;
/* So that it stays settled, whatever is found in the store at the next start. */
int sw_settling_save(struct sw_settling *s, struct sw_txn *txn) SW_MUST_CHECK;
/* The commits of the line from there on have gone, and others have their numbers. */
void sw_settling_forget(struct sw_settling *s, const struct sw_order *from);

/* All watermarks in the store are whole, signed, and tell of what is there; else SW_ECORRUPT. */
int sw_watermarks_verify(struct sw_txn *txn, const struct sw_hash *database) SW_MUST_CHECK;

int sw_head_load(struct sw_txn *txn, struct sw_head *out) SW_MUST_CHECK;
/* The head of the last checkpoint, and the number of the last commit in it. */
int sw_written_load(struct sw_txn *txn, struct sw_head *out, uint64_t *seq) SW_MUST_CHECK;
int sw_db_load_heads(struct sw_db *db, struct sw_txn *txn) SW_MUST_CHECK;
/* Make the memtable anew: what the commits since the last checkpoint give when they are folded again, and what is pinned. */
int sw_db_remember(struct sw_db *db) SW_MUST_CHECK;
/* What else is so as soon as a new head is written, and not if that fails. */
struct sw_moving {
	const struct sw_order *first;  /* where the line begins to differ; NULL: nowhere */
	struct sw_milestone_plan plan; /* begins as db->milestone_plan */
	int64_t n_drops;	       /* more of them */
	uint64_t n_forgotten;
};

/* Milestones at or behind moving->first are none any more. write_lock is held. */
int sw_db_forget_milestones(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
			    struct sw_moving *moving) SW_MUST_CHECK;
void sw_telling_init(struct sw_telling *t);
void sw_telling_fini(struct sw_telling *t);
/* Before a transaction with another head is written. write_lock is held, until one of those below was called. */
void sw_db_tell_begin(struct sw_db *db);
/* It was not written; or nobody need be told. */
void sw_db_tell_end(struct sw_db *db);
/* Tell the listener what has changed, and that this was all. */
void sw_db_tell_changed(struct sw_db *db, const struct sw_changes *changes, bool by_others);

/*
 * Write the transaction, with a new head whose records are in the memtable or the store; as a checkpoint if it must be one or is
 * time for one. nodes has what was retained. Ends the transaction.
 */
int sw_db_move_head(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
		    uint64_t hlc, const struct sw_moving *moving, bool must_checkpoint) SW_MUST_CHECK;
/* Pin a root that cannot go before head_lock, which is held, is given up. SW_ENOMEM. */
int sw_db_pin_held(struct sw_db *db, const struct sw_hash *root) SW_MUST_CHECK;
/* Milestones before a place in the line are none any more. head_lock is held. */
int sw_db_drop_milestones(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_order *at,
			  int64_t *n_drops) SW_MUST_CHECK;
/* Write the trees of the head, and give up roots whose pins are gone. */
int sw_db_checkpoint(struct sw_db *db) SW_MUST_CHECK;
/* The same with what fn does in one step with it; write_lock is held. n_drops is for fn to keep right. */
typedef int (*sw_checkpoint_fn)(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops, void *arg);
int sw_db_checkpoint_with(struct sw_db *db, sw_checkpoint_fn fn, void *arg) SW_MUST_CHECK;
/* Whether somebody has pinned it; head_lock is held. */
bool sw_db_is_pinned(const struct sw_db *db, const struct sw_hash *root);

/* db_stage.c; write_lock is held. */

int sw_stages_load(struct sw_db *db, struct sw_txn *txn) SW_MUST_CHECK;
/* A commit refers to what the stage holds: it lets go of it. */
int sw_stage_spend(struct sw_stage *s, struct sw_txn *txn, struct sw_nodes *nodes) SW_MUST_CHECK;
/* That transaction has succeeded. */
void sw_stage_spent(struct sw_stage *s);
/* Let go of what stages hold that are not in use. */
int sw_stages_give_up(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes) SW_MUST_CHECK;

/* A writer's records: the transaction's, and those of the memtable. */
int sw_db_nodes(struct sw_db *db, struct sw_txn *txn, struct sw_nodes **out) SW_MUST_CHECK;

/* Learn the role of the own key after a head was loaded. */
int sw_db_load_own_role(struct sw_db *db) SW_MUST_CHECK;

/* Set the salt and the conflict mode that the first commit carries. */
int sw_db_set_genesis(struct sw_db *db, struct sw_txn *txn, const struct sw_hash *salt,
		      enum sw_conflict_mode conflict) SW_MUST_CHECK;
/* The role that the author of a changeset needs. */
int sw_changeset_needs(struct sw_view changeset, enum sw_role *out) SW_MUST_CHECK;
int sw_db_is_allowed(struct sw_txn *txn, const struct sw_commit *c, enum sw_role need, bool *out) SW_MUST_CHECK;

#endif
