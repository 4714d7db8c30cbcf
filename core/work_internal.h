/* What the files of the working set share. Everything here is guarded by sw_work.lock. */
#ifndef SW_CORE_WORK_INTERNAL_H
#define SW_CORE_WORK_INTERNAL_H

#include <pthread.h>

#include "core/history.h"
#include "core/journal.h"
#include "core/plain.h"
#include "core/refused.h"
#include "core/schemas.h"
#include "core/spill.h"
#include "core/work.h"

/* The version of a row that something is based on. */
struct sw_version {
	bool exists;
	struct sw_hash hash; /* zero: absent */
	uint16_t mode;
	int64_t mtime_ns;
};

void sw_version_of_row(const struct sw_row *row, struct sw_version *out);

/* Where a file was that its table's schema refused, and what it was based on there. */
struct sw_home {
	struct sw_buf table, key;
	struct sw_version base;
};

/* What a schema took last of an edit: what the name has again when it refuses what comes then. */
struct sw_good {
	enum { SW_GOOD_NONE, SW_GOOD_ABSENT, SW_GOOD_THERE } kind; /* NONE: what is committed */
	struct sw_buf text;
	uint16_t mode;
	int64_t mtime_ns;
	uint64_t version; /* of the name */
};

/* The bytes that open handles share. */
struct sw_file {
	size_t n_refs;	      /* handles, and the name it stands at */
	struct sw_name *name; /* NULL: unlinked, or replaced */
	struct sw_home *home; /* NULL, unless it was refused there */
	uint64_t generation;
	bool in_memory;	      /* bytes, or spill, hold the content; else it is `row`, as the state has it */
	struct sw_spill *spill;	/* the content when it is larger than SW_FILE_MEMORY_MAX */
	bool is_staging;	/* it is being written into the store, and must not change */
	struct sw_stage *stage; /* of that content, when it was: what it is is in staged */
	struct sw_row staged;
	uint64_t unstageable;	/* when that failed last, by the set's clock; 0: never */
	struct sw_row row;    /* inline bytes are in `bytes` too */
	struct sw_buf bytes;
	bool is_pinned;
	struct sw_hash pin;   /* what keeps row's blob: the state it was read from, or itself */
	struct sw_version base; /* what it was loaded from; exists == false: made here */
	uint16_t mode;
	int64_t mtime_ns;
	int64_t ctime_ns;
	size_t n_writers; /* handles that may write */
	size_t n_dirty;	  /* handles with writes not yet flushed, or an O_TRUNC */
	bool is_torn;	  /* with n_dirty: they have begun to change it since it was last recorded */
	struct sw_file *whole; /* is_torn: what it was before; NULL: nothing, it is new */
	uint64_t n_same;  /* bytes from its beginning that are as when it was last recorded */
};

/* A name that somebody has open or has changed. */
struct sw_name {
	uint64_t hash;
	struct sw_view table, key; /* into text; key empty: the table itself */
	struct sw_file *file;	  /* what stands there; with has_edit, NULL is 'deleted' */
	bool has_edit;
	bool is_scratch; /* an editor's own file: stays local */
	bool is_passing; /* what a copier calls a row until it has it whole */
	struct sw_name *moved_from; /* is_scratch: what stands there was a row before, at a name where nothing has stood since */
	struct sw_name *aside;	    /* the other way round */
	bool in_commit;	 /* being committed: must not be freed */
	bool is_checked; /* of a working copy: it must not move on before that is applied */
	bool want_sync;
	bool is_owed; /* the journal had no place for it when its last handle was released: the next close() tells */
	bool is_lost; /* in replay: the last record about it cannot be followed */
	/* The edit. */
	struct sw_version base;
	struct sw_buf base_text; /* of a row that may have columns */
	bool has_base_text;
	bool table_exists; /* a table's own name: what stands there now */
	uint16_t table_mode;
	int64_t table_mtime_ns;
	uint64_t first_ms, last_ms;
	uint64_t version;     /* grows with each event */
	uint64_t synced;      /* version that is committed */
	uint64_t journal_seq; /* last record about it; 0: none */
	uint64_t whole_seq;   /* if any: the one that this builds on, or itself; 0: it may be any */
	uint64_t commit_seq;  /* in_commit: the one that is being committed */
	struct sw_spill *recorded; /* what that record names, fixed */
	uint64_t recorded_file; /* the generation of the file whose bytes that record has, with those before it; 0: of none */
	uint64_t recorded_bytes; /* of these records, as far as their content goes */
	struct sw_good good;
	/* While it has an edit: the lists that it is in, by core/work_names.c. */
	struct sw_name *next_edit, *prev_edit;		/* of all, in the order in which they began */
	struct sw_name *dir;				/* of a row: its table's own name */
	struct sw_name *next_sibling, *prev_sibling;	/* of those in that table, or of the tables */
	struct sw_name *joined_next, *joined_prev;	/* a ring of names joined by a rename; itself: none */
	struct sw_name *rows; /* of a table: the first of those in it */
	uint64_t mark; /* by the set's clock, of whoever went around the ring last */
	uint8_t text[];
};

/* What was found last in a state (work_recent.c). */
struct sw_recent {
	struct sw_hash state;
	uint8_t table[SW_NAME_MAX];
	size_t table_n; /* 0: nothing was */
	bool exists;
	struct sw_table t;
	uint8_t missing[SW_NAME_MAX]; /* a row that the table does not have */
	size_t missing_n;	      /* 0: of none that is known */
};

#define SW_WORK_BATCH_MAX 4096 /* names in a commit, unless a rename joined more */

struct sw_work {
	struct sw_db *db;
	const struct sw_env *env;
	struct sw_journal *journal;
	bool is_copy;	     /* stands on base, and commits nothing by itself */
	struct sw_hash base; /* pinned */
	bool is_frozen;	     /* being applied, or it was */
	bool is_damaged;     /* frozen, and nobody knows what stands in it */
	uint32_t settle_ms, settle_max_ms;
	pthread_mutex_t lock;
	pthread_cond_t committed;
	struct sw_node_cache *cache; /* of what its readers search */
	struct sw_recent recent;
	bool committing;
	size_t n_batch; /* names in a commit: fewer for a while after one that was too large */
	struct sw_name **names; /* hash table, open addressing */
	size_t cap_names, n_names;
	struct sw_name *first_edit, *last_edit;
	struct sw_name *tables; /* the first of those that have an edit themselves */
	size_t n_edits, n_scratch, n_checks;
	uint64_t clock;		/* for versions, generations and failures */
	uint64_t journal_dirty_ms; /* when the oldest unflushed record was written */
	uint64_t retry_ms;	/* after a failed commit: not before */
	char *spill_dir;
	uint64_t last_spill;
	size_t n_spills; /* files that have one */
	bool keeps_spills; /* at the beginning and the end: the journal may name them */
	struct sw_spill **replaced; /* fixed: newer records than theirs are not on the disk yet */
	size_t n_replaced, cap_replaced;
	struct sw_stage **stale; /* stages that nobody wants: not freed under the lock */
	size_t n_stale, cap_stale;
	struct sw_schemas *schemas;
	struct sw_refused *refused; /* of a working copy: that of the live tree */
	char error[512];
	char damage[SW_PLAIN_SIZE]; /* of the journal, found when it was opened */
	bool has_lost_unknown;	    /* by that: in rows that nobody knows */
	char *aside;		    /* the file that was damaged; NULL: none was, or it is that of a working copy */
	void (*on_due)(void *arg);
	void *on_due_arg;
	void (*on_merge)(void *arg, struct sw_view table, struct sw_view key);
	void *on_merge_arg;
};

/* A reader on the state that the set stands on: the newest, or that of the working copy. The lock is held for as long as it is used. */
int sw_work_read(const struct sw_work *w, struct sw_reader *out) SW_MUST_CHECK;
/* A table of that state. SW_ENOTFOUND. */
int sw_work_find_table(struct sw_work *w, struct sw_view table, struct sw_table *out) SW_MUST_CHECK;
/* A row of that state, whose bytes live until sw_reader_end(r). On failure there is no reader to end. SW_ENOTFOUND. */
int sw_work_find_row(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_reader *r,
		     struct sw_row *out) SW_MUST_CHECK;
/* Whether the row is known not to be in that state, without looking: true saves a search, false says nothing. */
bool sw_work_is_missing(const struct sw_work *w, struct sw_view table, struct sw_view key);
/* Pin that state. */
int sw_work_pin(const struct sw_work *w, struct sw_hash *state) SW_MUST_CHECK;

/* Names */
struct sw_name *sw_name_find(const struct sw_work *w, struct sw_view table, struct sw_view key);
int sw_name_get(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name **out) SW_MUST_CHECK;
/* Forget the name when nothing is left to know about it. */
void sw_name_settle(struct sw_work *w, struct sw_name *n);
/* Of one that is in no table or list any more. */
void sw_name_free(struct sw_name *n);
/* Into the lists of those that have an edit, and out of them. That of a row keeps its table's name. SW_ENOMEM. */
int sw_name_list(struct sw_work *w, struct sw_name *n) SW_MUST_CHECK;
void sw_name_unlist(struct sw_work *w, struct sw_name *n);
/* The rows of a table that have an edit: the first, the others by next_sibling. */
const struct sw_name *sw_name_edits_in(const struct sw_work *w, struct sw_view table);
/* They are committed together, with all that any of them is joined with already, at a cost in proportion to all these. */
void sw_name_join(struct sw_work *w, struct sw_name *const *names, size_t n);
/* It goes its own way again. */
void sw_name_part(struct sw_name *n);
/* Begin an edit, if there is none: the version that stands there now becomes its base. SW_EROFS. */
int sw_name_edit(struct sw_work *w, struct sw_name *n) SW_MUST_CHECK;
/* The edit of an editor's name is one of a row from now on, if it was not; its base is what the newest state has there. And back. */
int sw_name_be_row(struct sw_work *w, struct sw_name *n) SW_MUST_CHECK;
void sw_name_be_scratch(struct sw_work *w, struct sw_name *n);
/* Of one that nothing stands at, as before and as in history: the edit is none, and the name may be gone. */
void sw_name_drop_nothing(struct sw_work *w, struct sw_name *n);
/* What stood at `from` was put aside at n, an editor's name, and nothing stands there since (core/work_aside.c). */
void sw_name_set_aside(struct sw_name *from, struct sw_name *n);
/* Neither was anything put aside from that name, nor is what stands there. */
void sw_name_forget_aside(struct sw_name *n);
/* Rows that were renamed to an editor's name, and are missed, are rows there. all: whether their time has come or not. Of one that the
 * journal has no room for that is put off; the first failure is returned. */
int sw_work_adopt(struct sw_work *w, bool all) SW_MUST_CHECK;
/* Of those that stood in a table, which is about to go. */
int sw_work_adopt_from(struct sw_work *w, struct sw_view table) SW_MUST_CHECK;
/* Whether the store's own key may not write. */
bool sw_work_is_read_only(const struct sw_work *w);
/* Something happened to it. */
void sw_name_touch(struct sw_work *w, struct sw_name *n);
void sw_name_end_edit(struct sw_work *w, struct sw_name *n);
/* What stands at the name. SW_ENOTFOUND. */
int sw_name_load(struct sw_work *w, struct sw_name *n) SW_MUST_CHECK; /* gives it a file */
/* Record what stands at each of the names now, at once. */
int sw_name_journal(struct sw_work *w, struct sw_name *const *names, size_t n) SW_MUST_CHECK;
/* The same, but of a file that somebody is writing what it was before; of one that is new, nothing. */
int sw_name_journal_whole(struct sw_work *w, struct sw_name *const *names, size_t n) SW_MUST_CHECK;
/* What a record says of an edit, if that file is what stands there, or NULL. Borrows from the name and the file. */
int sw_name_describe(const struct sw_name *n, const struct sw_file *f, struct sw_journal_name *out) SW_MUST_CHECK;
/* That record is in the journal: seq is its number, f what it is about, or NULL. */
void sw_name_recorded(struct sw_work *w, struct sw_name *n, const struct sw_file *f, uint64_t seq,
		      const struct sw_journal_name *record);
/* Flush the journal; one that cannot be flushed is written anew, if that is possible. */
int sw_work_sync_journal(struct sw_work *w) SW_MUST_CHECK;
/* Put another in its place, which says what stands now and no more. */
int sw_work_renew_journal(struct sw_work *w) SW_MUST_CHECK;
/* The disk is full: give back the room of its records that nothing depends on any more. Whether that made any. */
bool sw_work_forget_records(struct sw_work *w);
/* Make the journal smaller, if it is time. What was noted as spent up to *last_gone is nothing any more. */
int sw_work_trim(struct sw_work *w, uint64_t *last_gone) SW_MUST_CHECK;
/* The operation that the edit is. Its texts borrow from the name and its file. */
void sw_name_op(const struct sw_name *n, struct sw_write_op *out);
bool sw_name_is_whole(const struct sw_name *n);
uint64_t sw_name_ready_ms(const struct sw_work *w, const struct sw_name *n); /* UINT64_MAX: not yet */

/* Files */
int sw_file_new(struct sw_work *w, struct sw_file **out) SW_MUST_CHECK;
void sw_file_unref(struct sw_work *w, struct sw_file *f);
/* Put a file at a name, or nothing; the one that stood there keeps its handles. */
void sw_name_put_file(struct sw_work *w, struct sw_name *n, struct sw_file *f);
/* A file becomes the row that stands there, which is its base. SW_ENOTFOUND. */
int sw_file_load(struct sw_work *w, struct sw_file *f, struct sw_view table, struct sw_view key) SW_MUST_CHECK;
/* A new file becomes a large row that a journal names. SW_ENOTFOUND: the store has it no more. */
int sw_file_load_blob(struct sw_work *w, struct sw_file *f, const struct sw_row *row) SW_MUST_CHECK;
int sw_file_to_memory(struct sw_work *w, struct sw_file *f) SW_MUST_CHECK;
uint64_t sw_file_size(const struct sw_file *f);
int sw_file_read(struct sw_work *w, const struct sw_file *f, uint64_t offset, void *out, size_t n,
		 size_t *got) SW_MUST_CHECK;
void sw_file_stat(const struct sw_file *f, struct sw_attr *out);
int64_t sw_work_now_ns(const struct sw_work *w);

/* Before a handle changes the file: keep what it is, unless that was done. */
int sw_file_tear(struct sw_work *w, struct sw_file *f) SW_MUST_CHECK;
/* It is whole again. */
void sw_file_mend(struct sw_work *w, struct sw_file *f);
/* It is what it was before: what was kept. Nothing of it is staged, nor is there a pin. */
void sw_file_untear(struct sw_work *w, struct sw_file *f);
/* The file as it was before handles began to change it; the file itself if none does; NULL if it was nothing. */
const struct sw_file *sw_file_whole(const struct sw_file *f);

/*
 * Large files (work_large.c); the lock is held. What is above this size is in a file of its own while it is edited, and in the
 * store, staged, before the commit that refers to it begins.
 */
#define SW_FILE_MEMORY_MAX ((size_t)1 << 20)

/* Move the content into a file of its own, or the first n bytes of it into memory. */
int sw_file_make_large(struct sw_work *w, struct sw_file *f) SW_MUST_CHECK;
int sw_file_make_small(struct sw_work *w, struct sw_file *f, uint64_t n) SW_MUST_CHECK;
/* The row as the state has it, for editing: 0 and a file of its own. */
int sw_file_spill_row(struct sw_work *w, struct sw_file *f) SW_MUST_CHECK;
/* Before what is at or behind `from` changes: a file of its own for the first n bytes, if what the journal names would change. */
int sw_file_unfix(struct sw_work *w, struct sw_file *f, uint64_t from, uint64_t n) SW_MUST_CHECK;
/* The last record about the name names this one; NULL: none. */
void sw_name_record_spill(struct sw_work *w, struct sw_name *n, struct sw_spill *now);
/* What was fixed need not stay as it is. NULL is fine. */
void sw_spill_unfix(struct sw_work *w, struct sw_spill *s);
/* Records about the name up to now mean nothing any more. */
void sw_name_free_spill(struct sw_work *w, struct sw_name *n);
/* The journal is on the disk: what its older records name can go, if the newer ones' contents are there as well. */
void sw_work_free_replaced(struct sw_work *w);
/* The content is about to change, or not wanted any more. */
void sw_file_unstage(struct sw_work *w, struct sw_file *f);
/* Nobody wants this stage any more; NULL is fine. */
void sw_work_discard(struct sw_work *w, struct sw_stage *stage);
void sw_file_drop_spill(struct sw_work *w, struct sw_file *f);
/* Before a change: wait until it is not being staged. Gives up the lock meanwhile. */
void sw_file_wait(struct sw_work *w, const struct sw_file *f);
bool sw_name_needs_stage(const struct sw_name *n);
/* Stage the content of that name's file. Gives up the lock meanwhile: whatever was looked up before may have changed. */
int sw_file_stage(struct sw_work *w, struct sw_file *f) SW_MUST_CHECK;
/* While a large row is on its way into the store: commit what is ready and waits for none. The lock is not held. */
void sw_work_run_others(struct sw_work *w);
/* Stage all that is ready, or with `all` whole; likewise. One that fails holds up no other; the first failure is returned. */
int sw_work_stage(struct sw_work *w, bool all) SW_MUST_CHECK;
/* Flush the contents that the journal refers to; f: what that file holds alone. Likewise. */
int sw_work_sync_spills(struct sw_work *w, const struct sw_file *f) SW_MUST_CHECK;
/* Whether there are any, of all files. */
bool sw_work_has_dirty_spills(const struct sw_work *w);
/*
 * The journal has no room for what makes some: for the removal of a row, or of an empty table (key empty), or that a row is empty
 * now. Commit that edit, which needs none there, alone: what waits before it may be what the disk has no room for. 0: it is. SW_ENOSPC: it
 * could not be. Gives up the lock meanwhile.
 */
int sw_work_commit_alone(struct sw_work *w, struct sw_view table, struct sw_view key) SW_MUST_CHECK;
/* Without the lock. */
void sw_work_free_stale(struct sw_work *w);
bool sw_name_is_ready(const struct sw_work *w, const struct sw_name *n, uint64_t now, bool all);

/*
 * Schemas (work_schema.c); the lock is held. Each of the SW_EINVAL has a sentence, and the text and it are kept (core/refused.h).
 *
 * What a program wrote into a file is about to count: 0, or SW_EINVAL when the schema of its table refuses it. Unless it stays, its
 * name then has again what it had before, and it goes on without one, until it is taken after all: 1. Gives up the lock meanwhile.
 */
int sw_file_admit(struct sw_work *w, struct sw_file *f, bool stays) SW_MUST_CHECK;
/* A file is about to get a name; or to be given a size, without a handle. */
int sw_name_admit_file(struct sw_work *w, const struct sw_name *n, const struct sw_file *f) SW_MUST_CHECK;
int sw_name_admit_size(struct sw_work *w, const struct sw_name *n, uint64_t size) SW_MUST_CHECK;
/* All edits of a working copy, as it is about to be applied to the newest state. SW_EINVAL: the sentence names the row. */
int sw_work_admit_all(struct sw_work *w) SW_MUST_CHECK;
/* Whether what is written under the name is looked at. */
bool sw_name_has_schema(struct sw_work *w, const struct sw_name *n);
/* The edit is about to change again. What it is now, if it is whole, was taken, and is what the name has when that is refused. */
void sw_name_keep_good(struct sw_work *w, struct sw_name *n);
void sw_name_forget_good(struct sw_name *n);
void sw_home_free(struct sw_home *home); /* NULL is fine */

/* Tables; the lock is held */
int sw_table_stat(struct sw_work *w, struct sw_view table, struct sw_attr *out) SW_MUST_CHECK;
int sw_row_stat(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_attr *out) SW_MUST_CHECK;
/* Rows of a table now; 0 if there is none of that name. */
int sw_table_count(struct sw_work *w, struct sw_view table, uint64_t *out) SW_MUST_CHECK;
/* Begin an edit of a table's own name; what stands there is its base: attr, or NULL if nothing does. SW_EROFS. */
int sw_table_edit(struct sw_work *w, struct sw_view table, const struct sw_attr *attr, struct sw_name **out) SW_MUST_CHECK;

#endif
