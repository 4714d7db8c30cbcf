/*
 * Differences between two states of a database, as text and as JSON: for `swarmfs diff` and the file
 * .diff of a snapshot.
 *
 *   A users/                          a table is new; D: gone
 *   A users/1001.json 87 bytes        a row is new
 *   M users/1002.json 80 -> 81 bytes  its bytes are different; below, if it has columns, which ones
 *       age 41 -> 42
 *     + city "Berlin"
 *     - street "Hauptstr. 1"
 *   T users/1003.json mode 644 -> 600 only permission bits or mtime are
 *   D users/1004.json
 *
 * As JSON: one object a line with "change" (added, changed, attributes, removed), "table", "row" (not for
 * tables), size_before, size_after, mode_before, ..., and "columns": {NAME: {"before": ..., "after": ...}} with values
 * exactly as they are in the rows.
 */
#ifndef SW_FS_DIFF_H
#define SW_FS_DIFF_H

#include "core/db.h"

enum sw_diff_form {
	SW_DIFF_TEXT,
	SW_DIFF_STAT, /* one line a table: how many rows were added, changed, removed */
	SW_DIFF_JSON,
	SW_DIFF_PATCH, /* unified, for patch(1) or git, with permission bits; of rows that are no text or have more than 1 MiB only that they differ */
};

/* Takes a piece of the output; negative stops. Called within the reader's transaction. */
typedef int (*sw_diff_out_fn)(void *arg, struct sw_view text);

/* The user tables of two states whose records r can see (zero: empty). */
int sw_diff_states(const struct sw_reader *r, const struct sw_hash *before, const struct sw_hash *after,
		   enum sw_diff_form form, sw_diff_out_fn fn, void *arg) SW_MUST_CHECK;

/*
 * The same for two commits in the line, by order; before NULL: the one before it in the line, so that the result is what `after`
 * changed. Opens snapshots.
 */
int sw_diff_commits(struct sw_db *db, const struct sw_order *before, const struct sw_order *after,
		    enum sw_diff_form form, sw_diff_out_fn fn, void *arg) SW_MUST_CHECK;

/* What a commit changed, appended to out: the file .diff. SW_ELIMIT when it is larger than max. */
int sw_diff_text(struct sw_db *db, const struct sw_order *commit, size_t max, struct sw_buf *out) SW_MUST_CHECK;

#endif
