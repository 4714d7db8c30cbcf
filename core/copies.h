/*
 * Working copies: transactions that programs are preparing, each a private tree of the database as it was when it was
 * made. Nothing of one is seen outside until it is applied, and then all of it at once, as a strict commit.
 *
 * A copy lives in the store until it is applied or discarded, and survives the process: its record (core/db.h) keeps the state
 * that it stands on, and its journal, STORE/copy-NUMBER, what was written in it. Its rows are a working set
 * (core/work.h) like that of the live tree. One whose journal is damaged is there, too: what can be read of it can be looked at, but it
 * can only be discarded, since a part of a transaction is none. Its bytes are somebody's, and no reason to keep the rest of the store
 * from anybody.
 *
 * Any thread may call anything here.
 */
#ifndef SW_CORE_COPIES_H
#define SW_CORE_COPIES_H

#include "core/work.h"

struct sw_copies;
struct sw_copy;

/*
 * Open those that the store has. live is the working set of the live tree: what is whole in it is committed before a copy is made,
 * and before one is applied. Both must outlive the copies, and all references to them.
 */
int sw_copies_open(struct sw_db *db, struct sw_work *live, struct sw_copies **out) SW_MUST_CHECK;
/* They stay in the store. NULL is fine. */
void sw_copies_close(struct sw_copies *c);
/* As for a working set: when sw_copies_run() has something to do, and who is woken when that may have come nearer. */
uint32_t sw_copies_due_ms(struct sw_copies *c);
int sw_copies_run(struct sw_copies *c) SW_MUST_CHECK;
void sw_copies_on_due(struct sw_copies *c, void (*fn)(void *arg), void *arg);

/* Make one; a name is as that of a table. SW_EEXIST. The reference is the caller's. */
int sw_copy_make(struct sw_copies *c, struct sw_view name, struct sw_copy **out) SW_MUST_CHECK;
/* Find one by name. SW_ENOTFOUND. The reference is the caller's. */
int sw_copy_find(struct sw_copies *c, struct sw_view name, struct sw_copy **out) SW_MUST_CHECK;
/* The first with a number greater than this one, or NULL. The reference is the caller's. */
struct sw_copy *sw_copy_next(struct sw_copies *c, uint64_t number);
struct sw_copy *sw_copy_ref(struct sw_copy *y);
void sw_copy_unref(struct sw_copy *y);

/* Its rows; they can be read as long as somebody holds a reference. What cannot be read of one that is damaged is SW_ECORRUPT. */
struct sw_work *sw_copy_work(const struct sw_copy *y);
uint64_t sw_copy_number(const struct sw_copy *y);
struct sw_view sw_copy_name(const struct sw_copy *y);
uint64_t sw_copy_made_ms(const struct sw_copy *y);
/* It was applied or discarded. */
bool sw_copy_is_gone(struct sw_copy *y);
/* What its commit will say; without one it names the copy. At most SW_MESSAGE_MAX bytes. */
int sw_copy_set_message(struct sw_copy *y, struct sw_view message) SW_MUST_CHECK;
int sw_copy_message(struct sw_copy *y, struct sw_buf *out) SW_MUST_CHECK;

/*
 * One strict commit of what was changed and checked in it; *id is zero when that is nothing. The copy is gone then. SW_EBUSY,
 * SW_ECONFLICT and other failures, each with a sentence, leave it as it was, and can be seen in its status.
 */
int sw_copy_apply(struct sw_copy *y, struct sw_hash *id) SW_MUST_CHECK;
/* It goes, and with it what was written in it. SW_ENOTFOUND: it is gone already. */
int sw_copy_discard(struct sw_copy *y) SW_MUST_CHECK;

struct sw_copy_status {
	uint64_t made_ms;
	uint64_t count;	     /* commits that it stands on */
	size_t n_edits;	     /* rows and tables changed */
	size_t n_checks;     /* rows checked */
	bool is_damaged;     /* of its rows only some can be read, if that, and it can only be discarded; error says why */
	char error[1024];    /* why it could not be applied the last time; empty: it was not tried */
	struct sw_buf moved; /* the rows that had moved on then; table and name, both with their lengths */
};
int sw_copy_status(struct sw_copy *y, struct sw_copy_status *out) SW_MUST_CHECK;
void sw_copy_status_fini(struct sw_copy_status *s);

#endif
