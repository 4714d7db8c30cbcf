/*
 * Restoring: rows and tables are written again as they were in the state of a commit, whatever has become of them since.
 */
#ifndef SW_CORE_RESTORE_H
#define SW_CORE_RESTORE_H

#include "core/work.h"

/* What was done. */
struct sw_restored {
	struct sw_hash id;   /* of the last commit; zero: all was like that already */
	uint64_t n_commits;  /* more than one when it was too much for one: some 100,000 rows */
	uint64_t n_rows;
};

/*
 * Bring back a row, a table (key empty) or all tables (table empty, too), with bytes, bits and mtime: what was not there then is removed.
 * What is pending in work (may be NULL) is committed before. SW_ENOTFOUND: neither then nor now is there such a row or table.
 * SW_EBUSY: a program is writing one of the rows. SW_EINVAL: the schema of its table refuses the one row that it was asked
 * for. SW_ECONFLICT, in a database that drops writes that cross: somebody wrote one of
 * them in between. Each with a sentence; what was committed before a failure stays.
 */
int sw_restore(struct sw_db *db, struct sw_work *work, const struct sw_hash *commit, struct sw_view table,
	       struct sw_view key, struct sw_view message, struct sw_restored *out) SW_MUST_CHECK;

#endif
