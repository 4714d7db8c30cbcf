/*
 * Schemas where they stand: compiled once for each table, and rows of a state looked at by them.
 *
 * They judge local writes, and report what merges made; see core/schema.h. A set belongs to one
 * thread at a time.
 */
#ifndef SW_CORE_SCHEMAS_H
#define SW_CORE_SCHEMAS_H

#include "core/env.h"
#include "core/schema.h"
#include "core/state.h"

/* That are remembered; the one not used for longest goes. */
#define SW_SCHEMAS_MAX 32
#define SW_SCHEMAS_TEXT_MAX                                                                        \
	((size_t)256 << 10) /* all together; compiled they are up to 100 times that */

/* Of a table, that a new schema is compared with before it counts: a few tenths of a second; */
#define SW_SCHEMA_ROWS_MAX 10000
#define SW_SCHEMA_ROWS_MS  500 /* and no more than this, with a lock held that writers want */

struct sw_schemas;

int sw_schemas_new(struct sw_schemas **out) SW_MUST_CHECK;
void sw_schemas_free(struct sw_schemas *c); /* NULL is fine */

/*
 * The schema of a table by that text of its ".schema". It is borrowed until the next call with the
 * same set. SW_EINVAL, with a sentence: the text is none, for this SQLite.
 */
int sw_schemas_of_text(struct sw_schemas *c, struct sw_view table, struct sw_view text,
		       struct sw_schema **out) SW_MUST_CHECK;
/* The same as it stands in a state; NULL: the table has none. */
int sw_schemas_of_state(struct sw_schemas *c, struct sw_view table, const struct sw_nodes *nodes,
			const struct sw_hash *state, struct sw_schema **out) SW_MUST_CHECK;
/* The same if it is known already, and needs no reading: then true. A text that is none counts as
 * no schema. */
bool sw_schemas_known(struct sw_schemas *c, struct sw_view table, const struct sw_hash *state,
		      struct sw_schema **out);

/* What rows there are, for references: 1, 0, or a negative code. */
typedef int (*sw_row_there_fn)(void *arg, struct sw_view table, struct sw_view key);

/* Rows of one table, and what they are looked at by. */
struct sw_schema_rows {
	struct sw_schema *schema;
	struct sw_view table;
	const struct sw_nodes *nodes;
	struct sw_hash state;
	sw_row_there_fn is_there; /* NULL: what is in the state */
	void *arg;
	const struct sw_env *env; /* it ends by its clock, after a row or more; NULL: never */
	uint64_t until_ms;        /* of the monotonic one */
};

/* Let it end ms from now. */
void sw_schema_rows_end_in(struct sw_schema_rows *rows, const struct sw_env *env, uint64_t ms);
bool sw_schema_rows_is_late(const struct sw_schema_rows *rows);

/* Whether the schema takes a row with this text. SW_EINVAL, with a sentence that does not name the
 * row. 1: nobody knows, it is too much work (core/schema.h). */
int sw_schema_rows_check(const struct sw_schema_rows *rows, struct sw_view key,
			 struct sw_view text) SW_MUST_CHECK;
/* The same of a row that is stored. */
int sw_schema_rows_check_row(const struct sw_schema_rows *rows, struct sw_view key,
			     const struct sw_row *row) SW_MUST_CHECK;
/*
 * Look at rows of the state in the order of their names, from *from on, at most n_max of them;
 * *from is then where to go on. fn is called with each row that the schema is about, and 0, 1 or
 * SW_EINVAL as above, whose sentence is sw_fail_message()'s; a negative code from it ends the walk,
 * and is returned. 1: there are more.
 */
typedef int (*sw_schema_row_fn)(void *arg, struct sw_view key, int rc);
int sw_schema_rows_walk(const struct sw_schema_rows *rows, struct sw_buf *from, size_t n_max,
			sw_schema_row_fn fn, void *arg) SW_MUST_CHECK;

#endif
