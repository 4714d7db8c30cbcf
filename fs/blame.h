/*
 * Who wrote what of a row stands there now: of a JSON row each column, of a text each line, of any other the whole. A column or
 * line is from the commit whose result first had it so; what several writers' merges left alone stays with whoever wrote it.
 */
#ifndef SW_FS_BLAME_H
#define SW_FS_BLAME_H

#include "core/db.h"

enum sw_blame_kind { SW_BLAME_COLUMNS, SW_BLAME_LINES, SW_BLAME_WHOLE };

struct sw_blame_part {
	struct sw_view name; /* COLUMNS */
	struct sw_view text; /* value or line, with its line end; WHOLE: nothing */
	uint64_t seq;	     /* number of the commit */
};

struct sw_blame {
	enum sw_blame_kind kind;
	struct sw_blame_part *v;
	size_t n;
	uint64_t size;	     /* of the row */
	struct sw_buf bytes; /* what the views borrow from */
	struct sw_buf names;
};

void sw_blame_fini(struct sw_blame *b);
/* Reads the history of the row alone. SW_ENOTFOUND: there is no such row now. */
int sw_blame_row(const struct sw_db *db, const struct sw_reader *r, struct sw_view table, struct sw_view key,
		 struct sw_blame *out) SW_MUST_CHECK;

#endif
