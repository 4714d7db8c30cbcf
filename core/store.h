/*
 * The store: ordered key-value spaces with transactions, over LMDB. It knows no meaning of its bytes.
 *
 * One process owns a store at a time (a lock file in its directory says which); within it, any
 * thread may read at any time and one at a time may write. A write transaction stays on the
 * thread that began it. Views handed out live until the transaction ends and, in a write
 * transaction, until its next write: copy before put or del.
 */
#ifndef SW_CORE_STORE_H
#define SW_CORE_STORE_H

#include "core/buf.h"
#include "core/env.h"

/* X(enum, name in the environment). Keys are at most SW_STORE_KEY_MAX bytes. */
#define SW_SPACES(X)                                                                               \
	X(META, "meta")       /* settings and the head, by name */                                 \
	X(NODES, "nodes")     /* hash -> tree node, blob index or data chunk */                    \
	X(REFS, "refs")       /* hash -> number of references, where it is not one */              \
	X(COMMITS, "commits") /* local number -> signed header */                                  \
	X(CHANGES, "changes") /* local number -> changeset */                                      \
	X(IDS, "ids")         /* commit id -> local number */                                      \
	X(OUTCOMES, "outcomes") /* local number -> outcome, where it is not 'applied' */           \
	X(OPS, "ops")         /* cell, stamp, local number -> offset in the changeset */           \
	X(FOOTHOLDS, "footholds") /* cell, stamp, local number -> what the fold of a row had come to there */  \
	X(TIPS, "tips")       /* id of a commit without children -> nothing */                     \
	X(MILESTONES, "milestones") /* place in the line -> root of the state there, kept */           \
	X(DROPS, "drops")     /* root that was pinned when it was superseded -> nothing */         \
	X(STAGED, "staged")   /* stage, batch -> hashes of records that no commit refers to yet */ \
	X(SPENT, "spent")     /* row -> journal number up to which it is committed */              \
	X(TICKETS, "tickets") /* hash of an invitation's secret -> its terms */                   \
	X(COPIES, "copies")   /* number of a working copy -> what it stands on */                               \
	X(WATERMARKS, "watermarks") /* author -> number in order of arrival, the newest watermark */

enum sw_space {
#define X(name, text) SW_SPACE_##name,
	SW_SPACES(X)
#undef X
	    SW_N_SPACES
};

#define SW_STORE_KEY_MAX 511

struct sw_store;
struct sw_txn;

enum sw_store_flags {
	SW_STORE_CREATE = 1, /* make the directory; SW_EEXIST if there is a store in it */
};

/*
 * Open the store in dir and become its owner. SW_ENOTFOUND: no store there. SW_EBUSY: owned, the
 * message names the pid. Every failure has a sentence (sw_fail_message). env must outlive it.
 */
int sw_store_open(const char *dir, unsigned flags, const struct sw_env *env,
		  struct sw_store **out) SW_MUST_CHECK;
void sw_store_close(struct sw_store *s);
/* Set a little space aside for a full disk, if there is none and there is room for it: as each commit does. Any thread. */
void sw_store_keep_reserve(struct sw_store *s);
const char *sw_store_dir(const struct sw_store *s);
/* Bytes of the data file, in use and in all. */
int sw_store_size(struct sw_store *s, uint64_t *used, uint64_t *file);

/* Bytes of the data file that nothing is in, and that what comes is written to first. */
int sw_store_free_bytes(struct sw_store *s, uint64_t *out) SW_MUST_CHECK;

/* A hint, with a view of the store: so many bytes from there on are read next. Costs a system call, and waits for no disk. */
void sw_store_will_read(const uint8_t *from, size_t n);

int sw_txn_begin(struct sw_store *s, bool write, struct sw_txn **out) SW_MUST_CHECK;
/* Durable when it returns 0. The transaction is gone in either case. SW_ENOSPC: nothing changed. */
int sw_txn_commit(struct sw_txn *txn) SW_MUST_CHECK;
void sw_txn_abort(struct sw_txn *txn);  /* also ends a read transaction; NULL is fine */

/* 0 or SW_ENOTFOUND, or a fault. */
int sw_txn_get(struct sw_txn *txn, enum sw_space space, struct sw_view key,
	       struct sw_view *value) SW_MUST_CHECK;
int sw_txn_put(struct sw_txn *txn, enum sw_space space, struct sw_view key,
	       struct sw_view value) SW_MUST_CHECK;
/* The same, cheaper when keys ascend. */
int sw_txn_append(struct sw_txn *txn, enum sw_space space, struct sw_view key,
		  struct sw_view value) SW_MUST_CHECK;
/* Deleting what is not there is fine. */
int sw_txn_del(struct sw_txn *txn, enum sw_space space, struct sw_view key) SW_MUST_CHECK;
/* The first entry with a key >= the given one; 1 found, 0 none. */
int sw_txn_ceil(struct sw_txn *txn, enum sw_space space, struct sw_view key,
		struct sw_view *found, struct sw_view *value) SW_MUST_CHECK;
/* The last entry with a key <= the given one (of the whole space for a key of 0xff bytes). */
int sw_txn_floor(struct sw_txn *txn, enum sw_space space, struct sw_view key,
		 struct sw_view *found, struct sw_view *value) SW_MUST_CHECK;
uint64_t sw_txn_count(struct sw_txn *txn, enum sw_space space);
/* The number of the last writer's transaction whose work a reader's sees: readers with the same number see the same. */
uint64_t sw_txn_id(const struct sw_txn *txn);

#endif
