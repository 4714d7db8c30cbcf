/* What the connection (sql.c) and its tables (sql_table.c) share. */
#ifndef SW_FS_SQL_INTERNAL_H
#define SW_FS_SQL_INTERNAL_H

#include <sqlite3.h>

#include "fs/column_names.h"
#include "fs/sql.h"
#include "fs/sql_change.h"

/* Columns of ours: _key comes first, the others behind those of the rows. */
enum { SW_SQL_KEY_COLUMN = 0, SW_SQL_FIRST_COLUMN = 1 };
enum sw_sql_own { SW_SQL_OWN_BYTES, SW_SQL_OWN_SIZE, SW_SQL_OWN_MODE, SW_SQL_OWN_MTIME, SW_SQL_N_OWN };

/* A table of the snapshot, known to SQLite by its name; its columns are looked for when a statement names it. */
struct sw_sql_table {
	struct sw_sql *sql;
	const struct sw_scan_table *table;
	const struct sw_scan_table *other; /* whose name differs only in case, so that neither can be named; or NULL */
	bool has_columns;
	struct sw_column_names columns;
	size_t primary;		 /* of them, the one that is the row's name by the schema; columns.n: none */
	struct sw_buf statement; /* that declares them */
	struct sw_sql_changes changes;
};

struct sw_sql {
	struct sw_snap *snap;
	sqlite3 *db;
	struct sw_scan_tables tables;
	struct sw_sql_table *v; /* as many */
	struct sw_buf notes;
	bool (*is_gone)(void *arg);
	void *arg;
	int rc;	     /* of what failed below SQLite, or of the authorizer */
	bool declares; /* what is prepared now is a table's columns, which is nobody's statement */
	bool is_refused; /* the authorizer said no */
	bool can_write;
	size_t n_changes, n_changed_bytes; /* of all tables */
};

/* A row as it is now, with what was changed. */
struct sw_sql_row {
	bool is_there;
	struct sw_buf bytes;
	struct sw_hash old; /* as it is in the snapshot; zero: it is not there */
	uint16_t mode;
	int64_t mtime_ns;
};
/* Also of a name that no row has. Finish it in any case. */
int sw_sql_row_load(struct sw_sql_table *t, struct sw_view key, struct sw_sql_row *out) SW_MUST_CHECK;
/* The same as the snapshot has it. */
int sw_sql_row_load_below(struct sw_sql_table *t, struct sw_view key, struct sw_sql_row *out) SW_MUST_CHECK;
void sw_sql_row_fini(struct sw_sql_row *row);

/* Fail with a sentence about a row, or with an empty key its table, which begins with the name. */
int sw_sql_fail_row(struct sw_view table, struct sw_view key, int rc, const char *what) SW_MUST_CHECK;
/*
 * What SQLite asks of a table with xUpdate, whose arguments these are; it ends in the table's changes. SW_EINVAL, SW_EEXIST,
 * SW_ELIMIT, with a sentence.
 */
int sw_sql_write(struct sw_sql_table *t, int argc, sqlite3_value **argv) SW_MUST_CHECK;

/* Make a table of the snapshot known to SQLite. A code of SQLite. */
int sw_sql_table_register(struct sw_sql_table *t) SW_MUST_CHECK;
void sw_sql_table_fini(struct sw_sql_table *t);

#endif
