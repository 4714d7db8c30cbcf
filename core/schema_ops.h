/* Schemas and what is committed around the working set: imported, restored, written again out of a
 * conflict. */
#ifndef SW_CORE_SCHEMA_OPS_H
#define SW_CORE_SCHEMA_OPS_H

#include "core/db.h"

/*
 * Whether schemas take the rows that operations put into the newest state: as they stand there, or
 * come with them, and so do the rows that are referred to. Contents must be there. SW_EINVAL, with
 * a sentence that names the row and says why not.
 */
int sw_schema_check_ops(struct sw_db *db, const struct sw_write_op *ops, size_t n) SW_MUST_CHECK;

#endif
