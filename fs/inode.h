/*
 * Inodes: what the kernel knows of the mount. A node id is a counter, never reused and never
 * changing its type; an inode is found by what it stands for (its type, snapshot, table and row)
 * until it becomes an orphan: unlinked, or replaced while open. An orphan keeps the number that
 * stat tells. The lookup count is a ledger with the kernel.
 */
#ifndef SW_FS_INODE_H
#define SW_FS_INODE_H

#include <pthread.h>

#include "core/conflicts.h"
#include "core/copies.h"

enum sw_node_type {
	SW_NODE_ROOT_DIR = 1,
	SW_NODE_TABLE,
	SW_NODE_ROW,
	SW_NODE_COMMITS,    /* .commits */
	SW_NODE_SNAP,	    /* .commits/NAME */
	SW_NODE_SNAP_TABLE,
	SW_NODE_SNAP_ROW,
	SW_NODE_SNAP_FILE,  /* .commit and .diff; the key tells which */
	SW_NODE_ALIAS,	    /* a symbolic link in .commits; the key is its name */
	SW_NODE_SWARM,	    /* .swarm */
	SW_NODE_SWARM_FILE, /* the key is its name */
	SW_NODE_CONFLICTS,  /* .conflicts */
	SW_NODE_CONFLICT_TABLE,
	SW_NODE_CONFLICT_ROW,
	SW_NODE_CONFLICT,      /* .conflicts/TABLE/ROW/COMMIT */
	SW_NODE_CONFLICT_FILE, /* base, won, lost and about */
	SW_NODE_TXNS,	       /* .txn */
	SW_NODE_COPY,	       /* .txn/NAME: what is below are TABLE and ROW */
	SW_NODE_COPY_FILE,     /* .check and .message; the key tells which */
};

#define SW_INODE_ROOT 1 /* the id of the root, and its number */

enum sw_conflict_file { SW_FILE_BASE, SW_FILE_WON, SW_FILE_LOST, SW_FILE_ABOUT, SW_N_CONFLICT_FILES };

/* What an inode below .conflicts stands for. */
struct sw_conflict_node {
	struct sw_conflict record; /* as far as the type has it */
	enum sw_conflict_file file;
	struct sw_hash value; /* FILE: of its bytes, so another version of the row is another inode */
	struct sw_attr attr;  /* FILE */
	/* Under inodes.lock: */
	unsigned hidden;   /* a record's files that were unlinked: a set of bits, by file */
	pid_t emptied_by;  /* who removed the last record in a table or row, and will want to remove that, too */
};

/*
 * A snapshot as a directory: the commit, its place in the line, and how often the line has changed up to there. What is void by
 * now changes snapshots in their place. Shared by the inodes in it.
 */
struct sw_snapdir {
	size_t n_refs; /* under inodes.lock */
	struct sw_order order;
	uint64_t rank, version;
	pthread_mutex_t lock;
	struct sw_snap *snap; /* opened when somebody looks inside; under lock */
};

/* There may be millions: what a search looks at comes first, in one line of the processor's cache. */
struct sw_inode {
	/* Under inodes.lock: */
	struct sw_inode *next_by_ident;
	uint64_t ident_hash;
	struct sw_buf ident;	/* what it is found by; table and key are parts of it */
	bool is_orphan;
	bool is_unlinked; /* an orphan because its name was taken from it here: the kernel has no
			     name for it either */
	uint64_t n_lookup;
	struct sw_inode *next_by_id;
	uint64_t salt; /* of its number; not 0: its id, since the number of its name was taken when
			  it got that */
	size_t table_n, key_n;
	size_t n_open;
	struct sw_handle handle; /* ROW that is open, held, or an orphan that was open: its file */
	int64_t touched_ns;	 /* ROOT_DIR, TABLE, COPY: when an entry came or went; 0: not since its time was set */
	struct sw_conflict_node *conflict; /* CONFLICT_*: owned; else NULL */
	/* These stay: */
	uint64_t id;
	enum sw_node_type type;
	struct sw_snapdir *snap; /* SNAP_*: counted */
	struct sw_copy *copy;	 /* what is in a working copy: counted; else NULL */
};

#define SW_STALE_MAX 64

struct sw_inodes {
	pthread_mutex_t lock;
	struct sw_work *work;
	struct sw_inode **by_id, **by_ident;
	size_t n_buckets, n;
	size_t n_salted; /* inodes whose number is not that of their name */
	uint64_t next_id;
	uint64_t stale[SW_STALE_MAX]; /* hashes of what was told to be stale, each in its place */
};

/* Its names, copied: a rename may change them at any time. */
struct sw_inode_name {
	uint8_t buf[2 * SW_NAME_MAX];
	struct sw_view table, key;
	bool is_orphan, is_unlinked;
	bool has_file; /* ROW: sw_inode_handle() had found one */
};

int sw_inodes_init(struct sw_inodes *t, struct sw_work *work) SW_MUST_CHECK;
void sw_inodes_fini(struct sw_inodes *t);

/* What stat tells as its number: made of what it stands for, so the same after a remount. */
uint64_t sw_inode_number(struct sw_inodes *t, const struct sw_inode *i);
/* The number of what stands there, whether the kernel knows it or not. snap, copy: as the type has it, or NULL. */
uint64_t sw_inode_number_of(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_copy *copy,
			    struct sw_view table, struct sw_view key);

/* The number of the directory that a directory is in. */
uint64_t sw_inode_number_above(struct sw_inodes *t, const struct sw_inode *dir);

/* Bytes that say what an inode stands for, and their hash. */
struct sw_ident {
	uint8_t b[1 + SW_ORDER_SIZE + 8 + 8 + 8 + 2 * SW_HASH_SIZE + 1 + 2 * SW_NAME_MAX + 1];
	size_t n;
	uint64_t hash;
};

/* The same for many that differ in their key alone, as one reply with the entries of a directory has them. */
struct sw_inode_numbers {
	struct sw_inodes *inodes;
	enum sw_node_type type;
	bool may_be_salted; /* some number was not that of its name when this began */
	size_t same_n;	    /* bytes of ident that are the same for all */
	uint64_t same_hash; /* and their hash */
	struct sw_ident ident;
};
void sw_inode_numbers_begin(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_copy *copy,
			    struct sw_view table, struct sw_inode_numbers *out);
uint64_t sw_inode_numbers_get(struct sw_inode_numbers *n, struct sw_view key);

/* By node id: valid while the kernel holds a lookup on it, as it does during a request. Never NULL for those. */
struct sw_inode *sw_inode_by_id(struct sw_inodes *t, uint64_t id);
/*
 * The inode for what a lookup found, with one more lookup counted; made when it is new. generation: of the file
 * that stands there now (sw_attr); an inode whose handles share another file becomes an orphan.
 */
int sw_inode_get(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_view table,
		 struct sw_view key, uint64_t generation, struct sw_inode **out) SW_MUST_CHECK;
/* The same for what is in a working copy, or with NULL for what is in the live tree. */
int sw_inode_get_in(struct sw_inodes *t, enum sw_node_type type, struct sw_copy *copy, struct sw_view table,
		    struct sw_view key, uint64_t generation, struct sw_inode **out) SW_MUST_CHECK;
/* The same below .conflicts; node is copied. */
int sw_inode_get_conflict(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict_node *node,
			  struct sw_inode **out) SW_MUST_CHECK;
/* The inode that the kernel knows a table or row in .conflicts by, if `pid` emptied it, with one more lookup; else NULL. */
struct sw_inode *sw_inode_get_emptied(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict *record,
				      pid_t pid);
/* pid removed the last record there. */
void sw_inode_emptied(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict *record, pid_t pid);
/* n lookups less; frees it when none is left. */
void sw_inode_forget(struct sw_inodes *t, uint64_t id, uint64_t n);
void sw_inode_name(struct sw_inodes *t, const struct sw_inode *i, struct sw_inode_name *out);
/*
 * From here on, copy NULL means the live tree, and an empty key the table itself.
 * The node id that the kernel may know a table or row by; 0: it knows none.
 */
uint64_t sw_inode_id_of(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key);

/* A row was removed or replaced elsewhere: its inode is no longer found by name. Returns its id, or
 * 0. */
uint64_t sw_inode_orphan(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key);
/* The same, unless somebody has it open. */
void sw_inode_orphan_closed(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key);
/* One was removed by a program here. */
void sw_inode_unlink(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key);
/* A row moved, over whatever stood there. exchange: both moved. */
void sw_inode_rename(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key, struct sw_view new_table,
		     struct sw_view new_key, bool exchange);
/*
 * The same of a table, with all the rows in it. The ids (uint64_t) of those that the kernel knows, and which have another number now, are
 * appended to moved; those that there is no memory for are not.
 */
void sw_inode_rename_table(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view new_table,
			   bool exchange, struct sw_buf *moved);

/* A handle was opened on a row: SW_EAGAIN when the inode has another file. */
int sw_inode_opened(struct sw_inodes *t, struct sw_inode *i, const struct sw_handle *h) SW_MUST_CHECK;
/* A handle was closed. An orphan keeps its file: whoever found it by its name may be about to open
 * it. */
void sw_inode_closed(struct sw_inodes *t, struct sw_inode *i);
/* A handle on the file of a row, to be released; false: it has none, being neither open nor held.
 */
bool sw_inode_handle(struct sw_inodes *t, struct sw_inode *i, struct sw_handle *out);
/*
 * Who opens an orphan without a file is told ESTALE, upon which the kernel looks the name up again,
 * once. What it finds then is given its file at once, to be opened whatever happens to the name
 * meanwhile. A name that had this once is treated so for as long as it is remembered: it is one
 * that changes often.
 */
void sw_inode_told_stale(struct sw_inodes *t, const struct sw_inode *i);
bool sw_inode_was_stale(struct sw_inodes *t, const struct sw_inode *i);
void sw_inode_hold(struct sw_inodes *t, struct sw_inode *i, const struct sw_handle *h);
/* An entry of a table came or went now, or, with 0, the table was given a time of its own. */
void sw_inode_touch(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, int64_t now_ns);
/* The same of any directory, and when that was last; 0: never. */
void sw_inode_touch_dir(struct sw_inodes *t, struct sw_inode *i, int64_t now_ns);
int64_t sw_inode_touched(struct sw_inodes *t, const struct sw_inode *i);

/* Append what each snapshot that the kernel knows by a name stands for: struct sw_snap_known. */
int sw_inodes_snaps(struct sw_inodes *t, struct sw_buf *out) SW_MUST_CHECK;

struct sw_snap_known {
	struct sw_order order;
	uint64_t version;
};

/* A snapdir with one reference, to be given back with sw_snapdir_put(). version: sw_snap_version() of it. SW_ENOMEM. */
int sw_snapdir_new(const struct sw_order *order, uint64_t rank, uint64_t version, struct sw_snapdir **out) SW_MUST_CHECK;
void sw_snapdir_put(struct sw_inodes *t, struct sw_snapdir *d);
/*
 * How many inodes the kernel remembers in snapshots from before a stamp that somebody has looked into. fn (may be NULL) is called with
 * the name of each, and the id of the directory that it is in, what is inside before its directory: with inodes.lock held.
 */
typedef void (*sw_snap_name_fn)(void *arg, uint64_t parent, struct sw_view name);
size_t sw_inodes_in_snaps(struct sw_inodes *t, uint64_t before, sw_snap_name_fn fn, void *arg);
/* The snapshot inside a snapdir, opened on first use; owned by it. */
int sw_snapdir_open(struct sw_db *db, struct sw_snapdir *d, struct sw_snap **out) SW_MUST_CHECK;

#endif
