/* The columns that the rows of a table have, all together, in the order in which they come first. */
#ifndef SW_FS_COLUMN_NAMES_H
#define SW_FS_COLUMN_NAMES_H

#include "core/buf.h"

/* Zero-initialise. */
struct sw_column_names {
	struct sw_buf *v;
	size_t *sorted; /* the same by name: places in v */
	size_t n, cap;
};

void sw_column_names_fini(struct sw_column_names *names);
/* Unless it is there. SW_ELIMIT: there are max already. */
int sw_column_names_add(struct sw_column_names *names, struct sw_view name, size_t max) SW_MUST_CHECK;

#endif
