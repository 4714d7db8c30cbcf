/*
 * The database: one store with its key, its history and its newest state.
 *
 * Any thread may read, at any time and without waiting. Writers (sw_db_commit, sw_db_receive,
 * sw_db_tidy) wait for one another. What changed is told to the listener after it is durable.
 */
#ifndef SW_CORE_DB_H
#define SW_CORE_DB_H

#include "core/fold.h"
#include "core/state.h"

#define SW_STORE_FORMAT 1
#define SW_SKEW_MS	10000 /* a commit stamped further ahead is not taken yet */

struct sw_db;

/* Equal heads mean equal histories and states. */
struct sw_head {
	uint64_t count; /* commits in the line */
	struct sw_hash line;
	struct sw_hash state;
};

static inline bool sw_head_eq(const struct sw_head *a, const struct sw_head *b)
{
	return a->count == b->count && sw_hash_eq(&a->line, &b->line) && sw_hash_eq(&a->state, &b->state);
}

/*
 * Equal sets of commits gave unequal roots: a program or a disk is at fault, here or there. It changes no outcome. Names live
 * during the call in which they are told.
 */
struct sw_divergence {
	struct sw_key who;     /* has the other root, as it signed or told */
	struct sw_hash commit; /* by which it signed; zero: by a watermark, or it is a peer that told it */
	bool is_line;	       /* the lines differ already, not only the states */
	struct sw_hash ours, theirs;
	/* Where they differ first. It is told of without it at once, and with it when it was looked for and found. */
	bool is_found;
	struct sw_view table; /* of a state; empty: of a line */
	bool is_system;	      /* the table is one of the system's */
	struct sw_view key;   /* of a row, or of a commit in the line; empty: the table's own entry */
};

/* The divergence of two heads of the same commits; where is not known yet. */
void sw_divergence_of(const struct sw_key *who, const struct sw_head *ours, const struct sw_head *theirs,
		      struct sw_divergence *out);

/* Told after each step, in order, with writers still waiting: hand over and return. */
struct sw_listener {
	void *arg;
	/*
	 * Something was committed here or received; by_others: not by the working set. changes live
	 * during the call.
	 */
	void (*changed)(void *arg, const struct sw_changes *changes, const struct sw_head *head,
			bool by_others);
	/* Any thread, and not only after steps. */
	void (*diverged)(void *arg, const struct sw_divergence *divergence);
};

/* Make a store in dir with a new key and a new database, whose first commit is signed. SW_EEXIST; SW_EFORMAT: the making of one was interrupted. */
int sw_db_create(const char *dir, const struct sw_env *env, enum sw_conflict_mode conflict,
		 struct sw_db **out) SW_MUST_CHECK;
/* Make a store in dir with a new key for a database that lives elsewhere; it is empty until received. */
int sw_db_create_clone(const char *dir, const struct sw_env *env, const struct sw_hash *database,
		       struct sw_db **out) SW_MUST_CHECK;
/*
 * Open: SW_ENOTFOUND, SW_EBUSY, SW_EVERSION (a format of the future), SW_ECORRUPT, SW_EDENIED (a key file
 * that others may read); each with a sentence. Needs no repair run after a crash.
 */
int sw_db_open(const char *dir, const struct sw_env *env, struct sw_db **out) SW_MUST_CHECK;
void sw_db_close(struct sw_db *db);
/* Tell the listener; not twice of the same, which shows in several ways. Any thread. */
void sw_db_tell_diverged(struct sw_db *db, const struct sw_divergence *d);
void sw_db_listen(struct sw_db *db, const struct sw_listener *listener); /* before any writer */

/*
 * Whoever keeps what it has found in the newest state, and relies on the listener to hear when it changes, asks for a number first and
 * then whether that has moved: if not, what it has found meanwhile is of the state that the listener has heard of last. The number waits
 * for a listener that is being told of what shows already, though not for commits that do not show yet. Any thread but the
 * listener's, with no lock that the listener may want.
 */
uint64_t sw_db_told(struct sw_db *db);
bool sw_db_has_moved(struct sw_db *db, uint64_t told);

const struct sw_hash *sw_db_id(const struct sw_db *db);
/* Both live as long as the database, also when it takes another key meanwhile. */
const struct sw_identity *sw_db_identity(const struct sw_db *db);
const struct sw_key *sw_db_key(const struct sw_db *db);
/* Whether somebody else signs with our key: commits came that are ours, and were not made here. */
bool sw_db_is_copied(const struct sw_db *db);
/*
 * Take a new key, which the old one lets in with its role; the old one stands until somebody revokes it. Durable when
 * it returns 0; after a crash either key is the store's, and the new one only if it was let in. SW_EDENIED: our key may not
 * write, so it cannot let anybody in.
 */
int sw_db_renew_key(struct sw_db *db) SW_MUST_CHECK;
/*
 * The key to meet others with: the store's; but while it may be that nobody has what lets that one in, the one before it, as long as
 * that is a member. It lives as long as the database.
 */
const struct sw_identity *sw_db_session_identity(struct sw_db *db);
/* Whether that may be; until sw_db_key_is_known() says that a peer has stored all that is here. */
bool sw_db_is_between_keys(const struct sw_db *db);
int sw_db_key_is_known(struct sw_db *db) SW_MUST_CHECK;
const char *sw_db_dir(const struct sw_db *db);
const struct sw_env *sw_db_env(const struct sw_db *db);
struct sw_store *sw_db_store(const struct sw_db *db);
/* NULL until the first commit is here: a clone learns the salt from it. */
const struct sw_shape *sw_db_shape(const struct sw_db *db);
enum sw_conflict_mode sw_db_conflict_mode(const struct sw_db *db);
void sw_db_head(struct sw_db *db, struct sw_head *out);
/* The state of that head; does not wait for what is being written, so for those who hold a lock that others want. */
void sw_db_newest_state(struct sw_db *db, struct sw_hash *out);
/*
 * How far the time is ahead of this machine's clock, as far as is known: others' commits are held back by it,
 * and new ones are stamped by the earlier of the two. 0 in the beginning. Any thread.
 */
void sw_db_set_clock_offset(struct sw_db *db, int64_t ms);

/*
 * What was sent to somebody stands; what was not can be signed again. Own commits stamped up to upto_ms may be sent from
 * now on, those made later included; 0: nobody is there to be sent anything. Durable when it returns 0; costs nothing
 * while all of them could be sent before.
 */
int sw_db_release(struct sw_db *db, uint64_t upto_ms) SW_MUST_CHECK;
/* The number of the first own commit that may not be sent yet; later own ones may not either. 0: all may. Any thread. */
uint64_t sw_db_withheld(struct sw_db *db);
/*
 * Sign again, with the time as it is now, own commits that nobody was sent and that are stamped later than latest_ms: a
 * clock was wrong. They keep their numbers and what they change; *n counts them. None, if one behind them is another's or
 * was sent.
 */
int sw_db_resign(struct sw_db *db, uint64_t latest_ms, size_t *n) SW_MUST_CHECK;

/* Reading: a transaction and the newest state in it. Short: none across a wait or a callback. */
struct sw_reader {
	struct sw_txn *txn;
	struct sw_nodes *nodes;
	struct sw_memtable *memtable; /* that nodes reads from */
	struct sw_head head;
};
int sw_reader_begin(struct sw_db *db, struct sw_reader *out) SW_MUST_CHECK;
void sw_reader_end(struct sw_reader *r);

/* Keep the records under the newest state, or the newest line, across transactions. */
int sw_db_pin_head(struct sw_db *db, struct sw_hash *state) SW_MUST_CHECK;
int sw_db_pin_line(struct sw_db *db, struct sw_head *head) SW_MUST_CHECK;
/* The same for a root that is kept already: by another pin, or by the record of a working copy. */
int sw_db_pin(struct sw_db *db, const struct sw_hash *root) SW_MUST_CHECK;
/*
 * The same for a large row that a reader has seen, whatever it hangs on: a commit that gc may free, or a state. SW_ENOTFOUND:
 * the store has given it up since.
 */
int sw_db_pin_blob(struct sw_db *db, const struct sw_hash *blob) SW_MUST_CHECK;
void sw_db_unpin(struct sw_db *db, const struct sw_hash *root);

/*
 * A snapshot: the database as of a commit. Its bytes never change; it holds memory, and pins the
 * store's records, until the last unref. Thread-safe.
 */
struct sw_snap;
int sw_snap_open(struct sw_db *db, const struct sw_hash *commit, struct sw_snap **out) SW_MUST_CHECK;
/*
 * How often the line has changed at or before that place since the database was opened: a snapshot of it that was opened under
 * another number may show something else. Any thread.
 */
uint64_t sw_snap_version(struct sw_db *db, const struct sw_order *at);
struct sw_snap *sw_snap_ref(struct sw_snap *s);
void sw_snap_unref(struct sw_snap *s);
const struct sw_hash *sw_snap_state(const struct sw_snap *s);
/* Like sw_reader_begin, with head.state the snapshot's. */
int sw_snap_read(struct sw_snap *s, struct sw_reader *out) SW_MUST_CHECK;
/* Let a reader of one snapshot see the records of another, too, so that they can be compared. */
void sw_snap_see(struct sw_snap *s, struct sw_reader *r);

/*
 * Large rows written ahead of the commit that refers to them, so that neither memory nor one transaction must hold them whole.
 * A stage belongs to one thread at a time. What no commit has taken over when it is freed, or when the process ends, is given up.
 */
struct sw_stage;
int sw_stage_new(struct sw_db *db, struct sw_stage **out) SW_MUST_CHECK;
void sw_stage_free(struct sw_stage *s); /* NULL is fine */
/* Copy up to n bytes from an offset; *got is less only at the end. */
typedef int (*sw_read_fn)(void *arg, uint64_t offset, void *out, size_t n, size_t *got);
/*
 * Write the content of a row of more than SW_INLINE_MAX bytes into the store: sets size and blob. Takes the write lock for each
 * 16 MiB, not throughout.
 */
int sw_stage_row(struct sw_stage *s, sw_read_fn read, void *arg, struct sw_row *row) SW_MUST_CHECK;
/* Write the data records of a set, for sw_db_receive() to find in the store; indexes are left out. The set stays as it is. */
int sw_stage_data(struct sw_stage *s, const struct sw_nodes *records) SW_MUST_CHECK;

/* One operation of a local commit, with what the database needs to complete it. */
struct sw_write_op {
	struct sw_op op;	 /* PUT: row.size, bytes, blob and columns are filled in */
	struct sw_view content;	 /* PUT: the bytes */
	struct sw_view base;	 /* PUT: bytes of the version that op.old names, if has_base */
	bool has_base;		 /* else it is looked up in the newest state */
	bool is_made;		 /* PUT: op.row is complete (its blob is in the store); no content */
	struct sw_stage *stage;	 /* is_made: that has the content, or NULL; empty once it is committed */
	uint64_t journal_seq;	 /* the journal is spent for this row up to here; 0: no journal */
	bool is_checked;	 /* PUT: stays an operation that can be unclean, even if it leaves the bytes as they are */
	bool has_moved_on;	 /* out: the row is not the one that op.old names */
	size_t tag;		 /* the caller's; keeps to the operation when they are sorted */
};

struct sw_write {
	enum sw_mode mode;
	struct sw_write_op *ops; /* any order; one per row; completed, sorted and reduced in place */
	size_t n;		 /* afterwards: those that changed something */
	struct sw_view message;
	bool hands_on;	/* control: our key lets a successor in, which takes no admin */
	bool from_work; /* of the working set, which knows already: the listener's by_others is false */
	bool may_drop;	/* a strict commit with an unclean operation is made all the same, so that its content is kept */
	bool dropped;	/* out: that was so */
	uint64_t copy;	/* the working copy that it applies, whose record goes with it in one step; 0: none */
};

/*
 * Commit, durably: 0 and the id, or 0 and a zero id when the operations change nothing. A strict
 * commit with an unclean operation gives SW_ECONFLICT, unless may_drop; has_moved_on tells which. One that only
 * checks is none when all is as it was. On any failure nothing changed.
 */
int sw_db_commit(struct sw_db *db, struct sw_write *w, struct sw_hash *id) SW_MUST_CHECK;

/*
 * What the store knows of a working copy (core/copies.h): the state that it stands on, which stays as it was until the record goes,
 * whatever is committed meanwhile, and over a restart.
 */
struct sw_copy_record {
	uint64_t number; /* its key; its journal is named after it */
	bool is_spent;	 /* applied or removed: it is no working copy any more, and waits for a checkpoint */
	struct sw_hash state;
	uint64_t count; /* commits in the line when it was made */
	uint64_t made_ms;
	struct sw_view name;
	struct sw_view message; /* of the commit that it will be; empty: none was given */
};

/* Make one of the newest state: number, name and message are given, the rest is filled in. A checkpoint. SW_EEXIST: the number. */
int sw_db_copy_make(struct sw_db *db, struct sw_copy_record *record) SW_MUST_CHECK;
int sw_db_copy_set_message(struct sw_db *db, uint64_t number, struct sw_view message) SW_MUST_CHECK;
/* It is no working copy any more. SW_ENOTFOUND. */
int sw_db_copy_remove(struct sw_db *db, uint64_t number) SW_MUST_CHECK;
/* The first with a number greater than this one, spent ones as well: 1, or 0. Its texts borrow from the transaction. */
int sw_db_copy_next(struct sw_txn *txn, uint64_t number, struct sw_copy_record *out) SW_MUST_CHECK;

/* What the store knows of the journal's records about a row. */
struct sw_spent {
	uint64_t seq;		/* they are committed up to this one; 0: none is */
	struct sw_hash written; /* the version that this commit wrote; zero: it deleted the row */
};
int sw_db_spent(struct sw_db *db, struct sw_view table, struct sw_view key, struct sw_spent *out) SW_MUST_CHECK;

/* The greatest of these numbers for any row; 0: none. */
int sw_db_spent_last(struct sw_db *db, uint64_t *out) SW_MUST_CHECK;

/* Forget the numbers up to this one, after the journal was begun anew without them. What it has got since may be spent already. */
int sw_db_forget_spent(struct sw_db *db, uint64_t upto) SW_MUST_CHECK;

/* A commit from elsewhere. Everything in it is hostile until checked. */
enum sw_taken {
	SW_TAKEN = 0,	     /* new, and in the line now */
	SW_TAKEN_ALREADY,    /* was here */
	SW_TAKEN_ORPHAN,     /* a parent is missing */
	SW_TAKEN_EARLY,	     /* stamped too far in the future: offer it again later */
	SW_TAKEN_UNPROVEN,   /* its signature is wrong, and what vouches for it was not taken */
	SW_TAKEN_INCOMPLETE, /* records of large rows are missing */
	SW_TAKEN_REFUSED,    /* malformed, not genuine, or its author may not write */
	SW_TAKEN_FREED,	     /* it changes history whose content gc has freed here: it waits, and what stands on it is ORPHAN */
};

struct sw_incoming {
	struct sw_view commit;	  /* signed header */
	struct sw_view changeset;
	enum sw_taken taken;	  /* out */
	const char *reason;	  /* out, when refused: static text */
	struct sw_hash id;	  /* out, unless malformed */
	struct sw_key author;	  /* out, unless malformed */
	bool is_out;		  /* out, when taken: nothing stands on it, and it is void: it is not in the line */
};

/*
 * Take a batch, parents before children. The n_more commits that follow in v are not taken yet: what only
 * they vouch for (core/batch.h) is UNPROVEN. `records` (may be NULL) holds records of large rows that came
 * along; it is emptied when something was taken. missing(), when not NULL, is called with each record that
 * commits lack. The commits that can be taken are in the line, durably, when this returns 0; a
 * failure means that nothing changed.
 */
int sw_db_receive(struct sw_db *db, struct sw_incoming *v, size_t n, size_t n_more, struct sw_nodes *records,
		  sw_ref_fn missing, void *missing_arg, size_t *n_taken) SW_MUST_CHECK;

/* A commit by id, from a reader's transaction. SW_ENOTFOUND. The views borrow from it. */
int sw_db_get_commit(const struct sw_reader *r, const struct sw_hash *id, struct sw_commit *out,
		     struct sw_view *raw, struct sw_view *changeset) SW_MUST_CHECK;
/* Its outcome, OUT if it is not in the line, and whether any of its operations was unclean is not stored: see core/FORMAT.md. */
int sw_db_outcome(const struct sw_reader *r, const struct sw_order *order, enum sw_outcome *out) SW_MUST_CHECK;
/*
 * The commit that a name means: a full id, a unique prefix of one (at least 4 digits), "HEAD", "HEAD~N" (N commits
 * back in the line), "latest", or a tag. SW_ENOTFOUND, SW_EINVAL (ambiguous), with a sentence.
 */
int sw_db_resolve(const struct sw_reader *r, struct sw_view name, struct sw_order *out) SW_MUST_CHECK;
/* The commits without children, ascending; free *ids. */
int sw_db_tips(const struct sw_reader *r, struct sw_hash **ids, size_t *n) SW_MUST_CHECK;
/*
 * The role of this store's own key, as of the newest state; 0 for none. Who is no writer cannot commit (SW_EDENIED). Any
 * thread, at no cost.
 */
int sw_db_own_role(const struct sw_db *db);
/* The role of a key, 0 for none. */
int sw_db_role(const struct sw_reader *r, const struct sw_key *key, int *role) SW_MUST_CHECK;

/* Give up roots whose pins are gone. Cheap when there is nothing to do. */
int sw_db_tidy(struct sw_db *db) SW_MUST_CHECK;

/* Check everything in the store: 0, or the first fault with a sentence saying what and where. */
struct sw_verify_report {
	uint64_t n_commits, n_rows, n_tables, n_records;
	uint64_t n_freed; /* commits whose content gc has freed, so that it cannot be checked */
};
int sw_db_verify(struct sw_db *db, struct sw_verify_report *out) SW_MUST_CHECK;

#endif
