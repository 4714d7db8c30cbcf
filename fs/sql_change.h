/*
 * What the statements of one call have changed so far: rows put or gone, which lie over those of the snapshot until they are committed.
 * In memory, so there is a limit.
 */
#ifndef SW_FS_SQL_CHANGE_H
#define SW_FS_SQL_CHANGE_H

#include "core/db.h"

#define SW_SQL_CHANGES_MAX	 100000
#define SW_SQL_CHANGES_BYTES_MAX ((size_t)64 << 20) /* of rows that are put */

struct sw_sql_change {
	struct sw_view key;
	struct sw_hash old; /* of the row in the snapshot; zero: there is none */
	uint16_t mode;
	int64_t mtime_ns; /* to be seen; the commit says when it was */
	bool is_gone;
	struct sw_view bytes;
};

/* Of one table, in the order of their keys. Zero-initialise. */
struct sw_sql_changes {
	struct sw_sql_change **v;
	size_t n, cap;
};

void sw_sql_changes_fini(struct sw_sql_changes *c);
/* The one of that key, or NULL. Until the next put. */
struct sw_sql_change *sw_sql_changes_find(const struct sw_sql_changes *c, struct sw_view key);
/* The first whose key is not before this one, or with `after` is behind it; or NULL. Until the next put. */
const struct sw_sql_change *sw_sql_changes_seek(const struct sw_sql_changes *c, struct sw_view key, bool after);
/* Add one of a key that has none; what it borrows is copied. SW_ENOMEM. */
int sw_sql_changes_add(struct sw_sql_changes *c, const struct sw_sql_change *change) SW_MUST_CHECK;
/* Other bytes, or with none is_gone, for one that is there. SW_ENOMEM. */
int sw_sql_change_set(struct sw_sql_change *change, bool is_gone, struct sw_view bytes) SW_MUST_CHECK;

#endif
