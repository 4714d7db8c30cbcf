/*
 * Conflicts as text: for `swarmfs conflicts` and the file `about` of a record. core/conflicts.h has
 * what they are.
 *
 *   table      users
 *   row        1001.json
 *   commit     1a2b...                       that lost, in full
 *   name       20261121T013325.123Z.0000-1a2b3c4d5e6f
 *   time       2026-11-21T01:33:25.123Z
 *   author     5c11...
 *   outcome    applied                       or dropped: then everything it wrote was lost
 *   mode       merge
 *   what       column                        was lost; or columns, row, deletion
 *   column     city "Lyon"; base "London", won "Paris"
 *   base       42 bytes                      or absent (there was no row), or unknown
 *   won        41 bytes
 *   lost       40 bytes
 *   message
 *       ...
 */
#ifndef SW_FS_CONFLICT_TEXT_H
#define SW_FS_CONFLICT_TEXT_H

#include "core/conflicts.h"

/* All append to out. */
int sw_conflict_text(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_buf *out) SW_MUST_CHECK;
/* The same as one object on one line. */
int sw_conflict_json(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_buf *out) SW_MUST_CHECK;
/* A line of the list: which row and commit, when, by whom, and what became of the commit. */
int sw_conflict_line(const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_buf *out) SW_MUST_CHECK;
int sw_conflict_line_json(const struct sw_reader *r, const struct sw_conflict *c,
			  struct sw_buf *out) SW_MUST_CHECK;

/* What a commit says that resolves a record: "discarded the conflict of t/r with 1a2b3c4d5e6f". */
int sw_conflict_message(const char *what, const struct sw_conflict *c,
			struct sw_buf *out) SW_MUST_CHECK;

#endif
