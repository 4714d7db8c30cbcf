/* What schemas refused, and rows that break them, for status and verify. */
#ifndef SW_FS_SCHEMA_TEXT_H
#define SW_FS_SCHEMA_TEXT_H

#include <jansson.h>

#include "fs/owner.h"

/* {refused[]{table, row, time, reason, path}, broken[]{table, row, reason}, more}; broken is null
 * when nobody looks for it. */
json_t *sw_schema_json(struct sw_owner *o);
/* Lines of status; none when there is nothing to say. */
void sw_schema_put(struct sw_owner *o, struct sw_buf *out);

/* Rows that break their schema: a list as above. */
json_t *sw_broken_json(struct sw_breaches *b, bool *is_more);
/* A line for each. */
void sw_broken_put(struct sw_breaches *b, struct sw_buf *out);

#endif
