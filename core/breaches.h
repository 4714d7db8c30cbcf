/*
 * Rows that break their table's schema. No local write makes one; merges can, and so can what was
 * written before there was the schema or elsewhere. They are kept: peers may have another SQLite,
 * and must have the same rows. They are only told of.
 *
 * In the beginning all tables that have a schema are looked at, and then what changes; in steps, by
 * whoever calls sw_breaches_run(), which is one thread. Any thread may call the rest, which waits
 * for no row that is being looked at.
 *
 * A ".schema" is told of in the same way when it is none here, and when rows are not checked since
 * that is too much work.
 */
#ifndef SW_CORE_BREACHES_H
#define SW_CORE_BREACHES_H

#include "core/db.h"

#define SW_BREACHES_MAX 1000 /* that are remembered by name */

struct sw_breaches;

/* db must outlive it. */
int sw_breaches_new(struct sw_db *db, struct sw_breaches **out) SW_MUST_CHECK;
void sw_breaches_free(struct sw_breaches *b); /* NULL is fine */

/* Something was committed or received: for a listener (core/db.h). */
void sw_breaches_note(struct sw_breaches *b, const struct sw_changes *changes);
/* Called when sw_breaches_run() has something to do again, with a lock held: wake who calls it. */
void sw_breaches_on_due(struct sw_breaches *b, void (*fn)(void *arg), void *arg);

struct sw_breach {
	struct sw_view table, key;
	const char *reason;
};
/* Told with is_broken when a row begins to break its schema, and without when it does so no more.
 * Must not call back. */
typedef void (*sw_breach_fn)(void *arg, const struct sw_breach *breach, bool is_broken);

/* Whether there is something to look at. */
bool sw_breaches_is_due(struct sw_breaches *b);
/* Look at some rows: 5 ms, and what one row more takes (core/schema.h). fn may be NULL. */
int sw_breaches_run(struct sw_breaches *b, sw_breach_fn fn, void *arg) SW_MUST_CHECK;
/* Those that are known, and in *is_more whether there were too many to remember. */
size_t sw_breaches_each(struct sw_breaches *b, sw_breach_fn fn, void *arg, bool *is_more);

#endif
