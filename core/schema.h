/*
 * A table's schema: SQL DDL, and the rows that SQLite takes by it.
 *
 * It judges what is written here, and nothing else: no merge and no outcome depends on it, since
 * peers may have another SQLite. Its text comes from other people. So it is run in a database in
 * memory that nothing else is in, with an authorizer that lets through one CREATE TABLE and a list
 * of functions, with limits on every size, and with an end to what runs too long.
 *
 * The text is one CREATE TABLE, whatever name that gives the table, without AS, TEMP or
 * AUTOINCREMENT.
 *
 * - Rows are those whose names end in ".json"; each must have columns (core/columns.h), which are
 * those of the table, by exactly the same names. A column that the row does not have gets its
 * DEFAULT, or NULL. A member that is no column is refused.
 * - Values are bound as what they are in JSON: numbers as INTEGER if they are one of 64 bits, else
 * REAL; true and false as 1 and 0; arrays and objects as TEXT, as written. In a STRICT table a
 * value that SQLite would turn into another kind is refused.
 * - A PRIMARY KEY is one column, and is the row's name without ".json". The row need not have it.
 * - REFERENCES t means the row of the directory t that has the value as its name; the table's own
 * name, in its CREATE TABLE, means the directory that it is in. Whether the row is there is for the
 * caller to see.
 * - What could not be held is refused at once: UNIQUE, keys and references of several columns, ON
 * DELETE and ON UPDATE.
 *
 * A schema belongs to one thread at a time.
 */
#ifndef SW_CORE_SCHEMA_H
#define SW_CORE_SCHEMA_H

#include <stdbool.h>

#include "core/buf.h"

#define SW_SCHEMA_NAME        ".schema" /* of the row that is a table's schema */
#define SW_SCHEMA_ROW_SUFFIX  ".json"
#define SW_SCHEMA_TEXT_MAX    ((size_t)64 << 10)
#define SW_SCHEMA_COLUMNS_MAX 1000
#define SW_SCHEMA_REFS_MAX    64
#define SW_SCHEMA_VALUE_MAX                                                                        \
	((size_t)8 << 10) /* bytes of a value in a check, above what the row itself has */
#define SW_SCHEMA_WORK_MAX                                                                         \
	((size_t)32                                                                                \
	 << 20) /* bytes that a check may look at: some 20 ms, 100 for the worst that is known */

struct sw_schema;

/* Whether a schema looks at rows of that name. */
bool sw_schema_concerns(struct sw_view key);

/* Take a text as a schema. SW_EINVAL, with a sentence that says why not; SW_ENOMEM. */
int sw_schema_new(struct sw_view text, struct sw_schema **out) SW_MUST_CHECK;
void sw_schema_free(struct sw_schema *s); /* NULL is fine */

/*
 * Whether it takes a row, but for its references. SW_EINVAL, with a sentence that says why not and
 * does not name the row; SW_ENOMEM. 1: that is more work than SW_SCHEMA_WORK_MAX, or makes longer
 * values than SW_SCHEMA_VALUE_MAX allows, so that nobody knows; there are no references then. It is
 * the same for the same text and row, however busy the machine is.
 */
int sw_schema_check(struct sw_schema *s, struct sw_view key, struct sw_view row) SW_MUST_CHECK;

/* A column, as the text has it. Borrowed from the schema. */
struct sw_schema_column {
	struct sw_view name;
	struct sw_view type; /* as declared, or empty */
	bool is_primary;
};
/* The i-th of the text, generated ones left out: false behind the last. */
bool sw_schema_column(const struct sw_schema *s, size_t i, struct sw_schema_column *out);

/* A reference of the row that was checked last, and taken. Borrowed until the next check. */
struct sw_schema_ref {
	struct sw_view column;
	struct sw_view table; /* empty: the table that the row is in */
	struct sw_view key;   /* of the row that must be there, with its suffix */
};
/* The i-th of them that is not NULL: false behind the last. */
bool sw_schema_ref(const struct sw_schema *s, size_t i, struct sw_schema_ref *out);
/* The i-th table that it refers to, whatever the row; empty: the one that it is of. Borrowed from
 * it. false behind the last. */
bool sw_schema_refers_to(const struct sw_schema *s, size_t i, struct sw_view *table);

#endif
