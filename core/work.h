/*
 * The working set: rows as programs are writing them, before they are committed.
 *
 * Two things are kept apart. A *file* is the bytes, mode and mtime that open handles share; it lives
 * while somebody holds it, with or without a name. An *edit* is what has become of a name since its
 * last commit: the version before, and the file that stands there now, or none. The net effect
 * counts: however often a name was created, renamed over or unlinked, it is one edit, based on the
 * version before the first of it.
 *
 * When an edit is ready (core/work.c says when) it is committed, together with others that are. What
 * was flushed is in the journal first, so it survives the process; see core/journal.h.
 *
 * Any thread may call anything here. One lock guards the set; a commit holds it only to gather and to finish.
 * core/ has no threads and no clock: sw_work_run() is called when sw_work_due_ms() says.
 */
#ifndef SW_CORE_WORK_H
#define SW_CORE_WORK_H

#include "core/db.h"
#include "core/pieces.h"
#include "core/refused.h"

struct sw_work;
struct sw_file;

struct sw_work_options {
	/* Quiet time of a row; 0: 100. One that exists is ready at the latest 2000 ms after the first event, or after this if it is longer. */
	uint32_t settle_ms;
};

/* Open the journal of the database's store and take up what it holds. db must outlive it. */
int sw_work_open(struct sw_db *db, const struct sw_work_options *options, struct sw_work **out) SW_MUST_CHECK;
/* Commit what is whole, flush the journal, close. Files must be released before. */
void sw_work_close(struct sw_work *w);

/*
 * A set that stands on a state of its own and commits nothing by itself: the rows of a working copy (core/copies.h), which keeps
 * that state. live is the set of the live tree, and outlives it. journal is the path of its own one in the store's directory, made when it is missing. Everything below holds for
 * it as well, but for what says that it commits; sw_work_run() flushes its journal.
 */
int sw_work_open_copy(struct sw_db *db, struct sw_work *live, const struct sw_hash *base, const char *journal,
		      struct sw_work **out) SW_MUST_CHECK;
/* One in the place of a working copy whose journal cannot be read: looking into it is SW_ECORRUPT, changing it SW_EROFS. */
int sw_work_open_damaged(struct sw_db *db, const struct sw_hash *base, struct sw_work **out) SW_MUST_CHECK;
/* Of a working copy: what it read in a row, or that it found none, must still be so when it is applied. */
int sw_work_check(struct sw_work *w, struct sw_view table, struct sw_view key) SW_MUST_CHECK;
/* The rows that are checked, appended to out: the name of the table and the row's own, both with their lengths. */
int sw_work_checks(struct sw_work *w, struct sw_buf *out) SW_MUST_CHECK;
/*
 * Make a working copy one strict commit, whose number is that of its record. *id is zero when it changes nothing. Afterwards
 * nothing can be changed in it any more (SW_EROFS). SW_EBUSY: a program is writing a row. SW_ECONFLICT: rows that it changed or
 * checked have moved on; each is appended to moved, as the name of its table and its own, both with their lengths. Then, and on
 * any other failure, it is as before.
 */
int sw_work_apply(struct sw_work *w, uint64_t number, struct sw_view message, struct sw_hash *id,
		  struct sw_buf *moved) SW_MUST_CHECK;

struct sw_attr {
	bool is_table;
	uint16_t mode;
	int64_t mtime_ns;
	int64_t ctime_ns;
	uint64_t size;	     /* bytes of a row; 0 for a table */
	uint64_t generation; /* of the file that stands there; changes when another one does */
	bool is_now;	     /* in a listing: all that is how it stands now, not how it was when the list was opened */
};

/* What stands at a name now: the edit if there is one, else the newest state. SW_ENOTFOUND. */
int sw_work_stat(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_attr *out) SW_MUST_CHECK;
int sw_work_stat_table(struct sw_work *w, struct sw_view table, struct sw_attr *out) SW_MUST_CHECK;

/* Whether a name has an edit that is not committed yet. */
bool sw_work_is_edited(struct sw_work *w, struct sw_view table, struct sw_view key);

int sw_work_mkdir(struct sw_work *w, struct sw_view table, uint16_t mode) SW_MUST_CHECK; /* SW_EEXIST */
int sw_work_rmdir(struct sw_work *w, struct sw_view table) SW_MUST_CHECK; /* SW_ENOTEMPTY */
/* All rows of a table under another table's name, which must be free or empty: in one commit, unless they are more than 50,000. SW_EXDEV above 250,000. */
int sw_work_rename_table(struct sw_work *w, struct sw_view from, struct sw_view to) SW_MUST_CHECK;
/* Each gets the rows, mode and mtime of the other. SW_ENOTFOUND when one is not there; SW_EXDEV when both have more than 250,000 rows together. */
int sw_work_exchange_tables(struct sw_work *w, struct sw_view a, struct sw_view b) SW_MUST_CHECK;
int sw_work_set_table(struct sw_work *w, struct sw_view table, const uint16_t *mode,
		      const int64_t *mtime_ns) SW_MUST_CHECK;

enum sw_open_flags {
	SW_OPEN_CREATE = 1,
	SW_OPEN_EXCLUSIVE = 2,
	SW_OPEN_TRUNCATE = 4,
	SW_OPEN_WRITE = 8, /* the handle may write */
};

/* A handle on a row: what an open file descriptor is to a file. */
struct sw_handle {
	struct sw_file *file;
	bool can_write;
	bool is_dirty;	   /* has written since the last flush */
	bool is_truncated; /* was opened with TRUNCATE and has not written yet: counts at release */
};

/* SW_ENOTFOUND, SW_EEXIST (exclusive), SW_ENOTDIR (no such table). Release what was opened. */
int sw_work_open_row(struct sw_work *w, struct sw_view table, struct sw_view key, unsigned flags,
		     uint16_t mode, struct sw_handle *out) SW_MUST_CHECK;
void sw_handle_release(struct sw_work *w, struct sw_handle *h);
/* Another handle on the same file, which may not write. */
void sw_handle_dup(struct sw_work *w, const struct sw_handle *h, struct sw_handle *out);
/* Another open of the same file, which need not have a name any more: flags may be WRITE and
 * TRUNCATE. */
int sw_handle_reopen(struct sw_work *w, const struct sw_handle *h, unsigned flags,
		     struct sw_handle *out) SW_MUST_CHECK;

/* At most n bytes, fewer only at the end. out is initialised, and finished in any case. */
int sw_handle_read(struct sw_work *w, const struct sw_handle *h, uint64_t offset, size_t n,
		   struct sw_pieces *out) SW_MUST_CHECK;
/* append: at the current end, whole by itself. */
int sw_handle_write(struct sw_work *w, struct sw_handle *h, uint64_t offset, bool append,
		    struct sw_view bytes) SW_MUST_CHECK;
int sw_handle_truncate(struct sw_work *w, struct sw_handle *h, uint64_t size) SW_MUST_CHECK;
/*
 * close() of a descriptor: what was written goes to the journal. SW_EINVAL, with a sentence: the table's schema refuses it. Then the
 * name has again what it had before, and leads to another file. 1: that had happened, and it is taken now, and at its name again.
 */
int sw_handle_flush(struct sw_work *w, struct sw_handle *h) SW_MUST_CHECK;
/*
 * Survives power loss when it returns: commits a row that exists already, else flushes the journal. SW_EINVAL, with a sentence: the
 * table's schema refuses it. Then it is as not yet flushed.
 */
int sw_handle_sync(struct sw_work *w, struct sw_handle *h) SW_MUST_CHECK;
/* All that was done to names and tables before, and all that was closed, survives power loss when it returns. */
int sw_work_sync(struct sw_work *w) SW_MUST_CHECK;
/* What a handle sees, with or without a name. */
void sw_handle_stat(struct sw_work *w, struct sw_handle *h, struct sw_attr *out);
/* The number that sw_attr.generation has for the handle's file. */
uint64_t sw_handle_generation(const struct sw_handle *h);
/* Mode and mtime through a handle (its file may have lost its name). */
int sw_handle_set(struct sw_work *w, struct sw_handle *h, const uint16_t *mode,
		  const int64_t *mtime_ns) SW_MUST_CHECK;

/* Mode, mtime and size of a row by name; NULL leaves as is. */
int sw_work_set(struct sw_work *w, struct sw_view table, struct sw_view key, const uint16_t *mode,
		const int64_t *mtime_ns, const uint64_t *size) SW_MUST_CHECK;
int sw_work_unlink(struct sw_work *w, struct sw_view table, struct sw_view key) SW_MUST_CHECK;

enum sw_rename_flags { SW_RENAME_NOREPLACE = 1, SW_RENAME_EXCHANGE = 2 };
int sw_work_rename(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_view new_table,
		   struct sw_view new_key, unsigned flags) SW_MUST_CHECK;

/*
 * Listing. A list is what a directory showed when it was opened: it stays, whatever is committed
 * meanwhile, and any cookie handed out works again. Tables when table.p is NULL, else rows. The call back gets
 * each name, its attributes (only is_table unless with_attr) and the cookie of the next; non-zero stops.
 */
struct sw_list;
typedef int (*sw_list_fn)(void *arg, struct sw_view name, const struct sw_attr *attr, uint64_t next);
int sw_list_open(struct sw_work *w, struct sw_view table, struct sw_list **out) SW_MUST_CHECK;
int sw_list_walk(struct sw_list *l, uint64_t from, bool with_attr, sw_list_fn fn, void *arg) SW_MUST_CHECK;
/*
 * Whether a walk would now show the rows of one tree and nothing else, since none of the table had an edit when the list was opened
 * and no name was touched since. *root is that tree's: what the list has shown from then on depends on it alone.
 */
bool sw_list_is_state(struct sw_list *l, struct sw_hash *root);
void sw_list_close(struct sw_list *l);

/* Milliseconds until sw_work_run() has something to do; UINT32_MAX: nothing. */
uint32_t sw_work_due_ms(struct sw_work *w);
/* Commit what is ready, flush the journal when it is time. A failed commit is kept and tried again. */
int sw_work_run(struct sw_work *w) SW_MUST_CHECK;
/* Commit everything whole, now, with a message. *id is zero when there was nothing. */
int sw_work_commit(struct sw_work *w, struct sw_view message, struct sw_hash *id) SW_MUST_CHECK;
/* Called when sw_work_due_ms() may have become less, with the set locked: wake whoever calls sw_work_run(), no more. */
void sw_work_on_due(struct sw_work *w, void (*fn)(void *arg), void *arg);
/*
 * Called, with the set locked, when a row came out of its commit with other bytes than were written, or gone, or there again,
 * because it was merged with somebody's or lost against it, or when a schema refused what was written: caches of it are stale.
 */
void sw_work_on_merge(struct sw_work *w, void (*fn)(void *arg, struct sw_view table, struct sw_view key),
		      void *arg);

/*
 * A row was changed by a commit of others. Says what the mount must do about the file that stands there.
 */
enum sw_work_effect {
	SW_EFFECT_NONE,	    /* an edit covers it: nothing shows yet */
	SW_EFFECT_RELOADED, /* the open file shows the new bytes */
	SW_EFFECT_DETACHED, /* readers keep the old file; the name has another one now */
	SW_EFFECT_CHANGED,  /* nobody has it open */
};
enum sw_work_effect sw_work_note_change(struct sw_work *w, const struct sw_change *change);

struct sw_work_status {
	size_t n_edits;	  /* rows not yet committed */
	size_t n_scratch; /* editors' temporary files, which stay local */
	size_t n_checks;  /* of a working copy */
	size_t n_held;	  /* names that it has in memory: of rows that are open, edited or checked */
	uint64_t journal_bytes;
	char error[512];  /* why the last commit failed; empty: it did not */
	/*
	 * A sentence about damage of the journal and the file that was kept of it; empty when there was none, or that file is
	 * gone. That of a working copy stays as it is: nothing can be changed in it (SW_EROFS), and it must not be applied.
	 */
	char damage[1024];
};
void sw_work_status(struct sw_work *w, struct sw_work_status *out);
/* What schemas refused: as long as the set, and the same for its working copies. */
struct sw_refused *sw_work_refused(struct sw_work *w);

#endif
