/*
 * Retention: of commits that are settled and old enough, the store gives up what no later fold can
 * ask for (core/FORMAT.md, "What gc frees").
 *
 * Headers, signatures, outcomes and the line stay, and so does everything that members are judged
 * by. Of a changeset only those operations stay that still matter: for a row, from its last
 * operation on that wrote all of it and left no open loser behind; for a table, a tag, a
 * resolution, the last one. So any fold of what comes later gives what it gives on a store that
 * keeps everything, and the fold itself knows nothing of this, but that outcomes up to the horizon
 * stand. States before the horizon cannot be made any more.
 */
#ifndef SW_CORE_GC_H
#define SW_CORE_GC_H

#include "core/db.h"

struct sw_gc_options {
	uint64_t keep_ms; /* commits stamped later than so long ago stay whole */
	bool is_dry;      /* only count */
	const struct sw_order
	    *horizon; /* for tests, instead of what is settled and old enough; else NULL */
	size_t batch; /* operations, or commits, written in one step; 0 or too many: 1,024 */
	/* Asked between steps, with arg: true ends it there, which harms nothing. May be NULL. */
	bool (*stop)(void *arg);
	void *arg;
};

struct sw_gc_report {
	bool has_horizon;
	struct sw_order horizon; /* history is not whole up to here */
	uint64_t n_commits;      /* whose content is incomplete from now on, and was not before */
	uint64_t n_ops;          /* operations that went */
	uint64_t bytes; /* of the store's file that are free for what comes, in addition; 0 for a
			   dry run */
	bool is_held;   /* what is open in an old snapshot stays, and what comes after it */
	bool is_stopped;
};

/*
 * Free what is settled and old. In many small steps, each a transaction; whatever ends it, the
 * store is whole, and the next run goes on. SW_EBUSY: one is running. Any thread.
 */
int sw_db_gc(struct sw_db *db, const struct sw_gc_options *options,
	     struct sw_gc_report *out) SW_MUST_CHECK;

/* Whether history is not whole up to some place in the line, and up to which: 1, or 0. */
int sw_db_horizon(const struct sw_reader *r, struct sw_order *out) SW_MUST_CHECK;
/* Whether the database as of a commit cannot be shown any more. */
int sw_db_is_before_horizon(const struct sw_reader *r, const struct sw_order *at,
			    bool *out) SW_MUST_CHECK;
/* Whether the content of a commit is not whole any more. SW_ENOTFOUND. */
int sw_db_is_freed(const struct sw_reader *r, const struct sw_hash *id, bool *out) SW_MUST_CHECK;

#endif
