/* How one difference is written: shared by the walk (diff.c) and the writers (diff_write.c). */
#ifndef SW_FS_DIFF_INTERNAL_H
#define SW_FS_DIFF_INTERNAL_H

#include "fs/diff.h"

/* A table (key.n == 0) or a row; a missing side is NULL, never both. */
struct sw_difference {
	struct sw_view table;
	struct sw_view key;
	const struct sw_row *before; /* of a table, only mode and mtime count */
	const struct sw_row *after;
	bool is_same_content;
};

/* All append to out. */
int sw_diff_write_text(const struct sw_nodes *nodes, const struct sw_difference *d,
		       struct sw_buf *out) SW_MUST_CHECK;
int sw_diff_write_json(const struct sw_nodes *nodes, const struct sw_difference *d,
		       struct sw_buf *out) SW_MUST_CHECK;
/* Nothing for tables, and for rows of which only bits or mtime changed. */
int sw_diff_write_patch(const struct sw_nodes *nodes, const struct sw_difference *d,
			struct sw_buf *out) SW_MUST_CHECK;

#endif
