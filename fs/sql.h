/*
 * SQL over a snapshot: SQLite asks, and reads each table row by row where it lies.
 *
 * Every table of the snapshot is a table of its name, with all its rows but the one called .schema. Its columns are "_key", the row's name as it is; then those of its .schema, in its
 * order and of its types, or, without one, all that its rows have, in the order in which they come first; and, seen only when they are
 * named, "_bytes" (the row, as TEXT if it is UTF-8, else as BLOB), "_size", "_mode" and "_mtime_ns". A column has the value that the
 * member of the JSON row has: strings as TEXT, numbers as INTEGER or REAL, true and false as 1 and 0, arrays and objects as TEXT as
 * written; NULL for null, and where the row has none. SQL does not tell names apart that differ only in the case of ASCII letters: of such
 * columns, and of those named like one of ours, the first is there. The table swarmfs_tables has the names.
 *
 * Conditions on _key, =, IN, < and so on, are looked up in the table's tree, and ORDER BY _key costs nothing; all else is a scan.
 *
 * No file can be opened, and nothing be written unless that was allowed: an authorizer lets reading through, then also INSERT, UPDATE
 * and DELETE, and nothing else. What a row holds is only ever a value. One thread at a time.
 *
 * What is written is kept in memory, where later statements see it, until sw_sql_commit(). A new row of columns is an object of those
 * that are not NULL, on one line; its name is _key, or else KEY.json by the schema's primary key or the column "id". In a row that is there
 * the members that become others are written, and all other bytes stay. A member that is an array or object is TEXT both ways; true and
 * false stay what they are if they become 1 or 0.
 */
#ifndef SW_FS_SQL_H
#define SW_FS_SQL_H

#include "core/work.h"
#include "fs/scan.h"

#define SW_SQL_TEXT_MAX	   ((size_t)1 << 20)  /* bytes of the statements */
#define SW_SQL_VALUE_MAX   ((size_t)256 << 20) /* bytes of a value, and of a row that is read as one */
#define SW_SQL_COLUMNS_MAX 1900 /* of a table; SQLite takes 2000 */

struct sw_sql_value {
	enum sw_sql_kind { SW_SQL_NULL, SW_SQL_INTEGER, SW_SQL_REAL, SW_SQL_TEXT, SW_SQL_BLOB } kind;
	int64_t integer;
	double real;
	struct sw_view bytes; /* of TEXT and BLOB */
};

/* What a query gives, while it runs; the views live during the call. A negative result ends it, and is returned. */
struct sw_sql_sink {
	void *arg;
	/* A statement with columns begins. */
	int (*begin)(void *arg, const struct sw_view *names, size_t n);
	int (*row)(void *arg, const struct sw_sql_value *values, size_t n);
	int (*end)(void *arg);
};

struct sw_sql;

/* is_gone is asked now and then whether to stop. The snapshot must outlive it. */
int sw_sql_new(struct sw_snap *snap, bool (*is_gone)(void *arg), void *arg, struct sw_sql **out) SW_MUST_CHECK;
void sw_sql_free(struct sw_sql *s); /* NULL is fine */
/* From now on statements may write; the snapshot is of the newest state. */
void sw_sql_allow_writing(struct sw_sql *s);
/*
 * Run statements, one after the other. SW_EINVAL: one is wrong, or does what it may not; SW_EEXIST: a row is there already; SW_ELIMIT;
 * SW_ECLOSED: is_gone. With a sentence, in which text of rows and tables may stand as it is.
 */
int sw_sql_run(struct sw_sql *s, struct sw_view text, const struct sw_sql_sink *sink) SW_MUST_CHECK;

/* What became of rows; commit is zero when none was changed. */
struct sw_sql_written {
	uint64_t n_inserted, n_changed, n_deleted;
	struct sw_hash commit;
};
/*
 * One strict commit of all that was written; what was pending in the working set, if there is one, was committed before the snapshot was
 * opened. SW_EINVAL: a schema refuses a row; SW_ECONFLICT: a row is not as it was in the snapshot; SW_EBUSY: a program is writing it;
 * SW_ELIMIT; or what sw_db_commit() says. With a sentence, and nothing has happened then.
 */
int sw_sql_commit(struct sw_sql *s, struct sw_db *db, struct sw_work *work, struct sw_view message,
		  struct sw_sql_written *out) SW_MUST_CHECK;
/* Sentences for the user, a line each, about what was found on the way. Borrowed. */
struct sw_view sw_sql_notes(const struct sw_sql *s);

#endif
