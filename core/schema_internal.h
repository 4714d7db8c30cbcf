/* What a schema may cost: shared by core/schema.c and core/schema_work.c. */
#ifndef SW_CORE_SCHEMA_INTERNAL_H
#define SW_CORE_SCHEMA_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#define SW_SCHEMA_ARGS_MAX    16  /* of a function */
#define SW_SCHEMA_PATTERN_MAX 256 /* bytes, of LIKE and GLOB */

/* By its name as written or, as EXPLAIN has it, with "(" and a number of arguments. */
bool sw_schema_may_call(const char *name);
/* The same in a DEFAULT, which is looked at once for each row that lacks the column. */
bool sw_schema_may_default(const char *name);

/*
 * Put functions in the place of those of SQLite that can take more than one look at each byte. They
 * take what they need off *left, and fail with SQLITE_TOOBIG when it is not there; left must
 * outlive db. A code of SQLite.
 */
int sw_schema_put_functions(sqlite3 *db, size_t *left) __attribute__((warn_unused_result));

/* What a program of SQLite's machine does. */
struct sw_schema_program {
	size_t n_looks;    /* at whole values; SIZE_MAX: nobody knows */
	char function[64]; /* that it calls, and must not; or "" */
};
/* Of that statement. A code of SQLite. */
int sw_schema_weigh(sqlite3 *db, const char *sql, struct sw_schema_program *out)
    __attribute__((warn_unused_result));

#endif
