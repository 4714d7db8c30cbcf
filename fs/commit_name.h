/*
 * Names of commits: the one a snapshot has in .commits, which sorts by time,
 *
 *   20261121T013325.123Z.0000-1a2b3c4d5e6f      time (UTC), HLC counter in hex, first digits of the id
 *
 * and every other name that means a commit.
 */
#ifndef SW_FS_COMMIT_NAME_H
#define SW_FS_COMMIT_NAME_H

#include "core/db.h"

#define SW_COMMIT_NAME_SIZE 48 /* with the NUL */
#define SW_COMMIT_NAME_N    38 /* bytes, without it; until the year 9999 */
#define SW_COMMIT_ID_DIGITS 12

void sw_commit_name(const struct sw_order *order, char out[static SW_COMMIT_NAME_SIZE]);

/* The stamp and the first bytes of the id, if name is exactly what sw_commit_name() would write. */
bool sw_commit_name_parse(struct sw_view name, uint64_t *stamp,
			  uint8_t id[static SW_COMMIT_ID_DIGITS / 2]);

/*
 * A time: 2026-11-21T01:33, with or without seconds and milliseconds, or a date alone; UTC, unless a zone such as +01:00 stands behind
 * it. Its first moment and the first after it, in milliseconds since 1970. False: it is none.
 */
bool sw_commit_time_parse(const char *text, uint64_t *begin_ms, uint64_t *end_ms);

/*
 * The commit that a name means: that of a snapshot, "@TIME" (the newest commit not after that time), or what sw_db_resolve() takes. SW_ENOTFOUND,
 * SW_EINVAL, with a sentence.
 */
int sw_commit_find(const struct sw_reader *r, struct sw_view name, struct sw_order *out) SW_MUST_CHECK;
/* The same for n names, all as of one moment. */
int sw_commit_find_all(struct sw_db *db, const char *const *names, size_t n, struct sw_order *out) SW_MUST_CHECK;
/* The database as of the commit that a name means; NULL: as of the newest. */
int sw_snap_open_named(struct sw_db *db, const char *name, struct sw_snap **out) SW_MUST_CHECK;

#endif
