/* What the connection (sql.c) and its tables (sql_table.c) share. */
#ifndef SW_FS_SQL_INTERNAL_H
#define SW_FS_SQL_INTERNAL_H

#include <sqlite3.h>

#include "fs/column_names.h"
#include "fs/sql.h"

/* A table of the snapshot, known to SQLite by its name; its columns are looked for when a statement names it. */
struct sw_sql_table {
	struct sw_sql *sql;
	const struct sw_scan_table *table;
	const struct sw_scan_table *other; /* whose name differs only in case, so that neither can be named; or NULL */
	bool has_columns;
	struct sw_column_names columns;
	size_t primary;		 /* of them, the one that is the row's name by the schema; columns.n: none */
	struct sw_buf statement; /* that declares them */
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
};

/* Make a table of the snapshot known to SQLite. A code of SQLite. */
int sw_sql_table_register(struct sw_sql_table *t) SW_MUST_CHECK;
void sw_sql_table_fini(struct sw_sql_table *t);

#endif
