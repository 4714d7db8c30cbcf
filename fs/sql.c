#include "fs/sql.h"

#include <stdlib.h>
#include <string.h>

#include "fs/sql_internal.h"

#define STEPS_EVERY 10000 /* instructions of SQLite's machine, to see whether anybody waits */

static const char tables_name[] = "swarmfs_tables";

/* What may be done: read, ask what there is to read, and if it is allowed write rows. */

static bool may_ask(const char *pragma)
{
	static const char *const pragmas[] = {"table_info", "table_xinfo", "table_list", "module_list", "function_list",
					      "collation_list", "compile_options"};

	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]); i++)
		if (sqlite3_stricmp(pragma, pragmas[i]) == 0)
			return true;
	return false;
}

/* A table of the database, not one of SQLite's or ours. */
static bool may_write(const struct sw_sql *s, const char *name)
{
	if (!s->can_write || sqlite3_stricmp(name, tables_name) == 0 || sqlite3_strnicmp(name, "sqlite_", 7) == 0)
		return false;
	for (size_t i = 0; i < s->tables.n; i++) {
		struct sw_view table = s->tables.v[i].name;

		if (table.n == strlen(name) && sqlite3_strnicmp((const char *)table.p, name, (int)table.n) == 0)
			return true;
	}
	return false;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *db, const char *view)
{
	struct sw_sql *s = arg;

	(void)db;
	(void)view;
	if (s->declares)
		return SQLITE_OK;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		if (sqlite3_stricmp(b, "load_extension") != 0 && sqlite3_stricmp(b, "fts3_tokenizer") != 0)
			return SQLITE_OK;
		break;
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		if (may_write(s, a))
			return SQLITE_OK;
		break;
	case SQLITE_PRAGMA:
		if (may_ask(a))
			return SQLITE_OK;
		break;
	default:
		break;
	}
	s->is_refused = true;
	return SQLITE_DENY;
}

static int on_steps(void *arg)
{
	struct sw_sql *s = arg;

	return s->is_gone(s->arg);
}

static void confine(struct sw_sql *s)
{
	static const struct {
		int id, max;
	} limits[] = {{SQLITE_LIMIT_LENGTH, (int)SW_SQL_VALUE_MAX + 1024},
		      {SQLITE_LIMIT_SQL_LENGTH, (int)SW_SQL_TEXT_MAX},
		      {SQLITE_LIMIT_ATTACHED, 0},
		      {SQLITE_LIMIT_WORKER_THREADS, 0}};
	static const struct {
		int id, on;
	} settings[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
			{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
			{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
			{SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
			/* A column that is not there must not become a text. */
			{SQLITE_DBCONFIG_DQS_DML, 0},
			{SQLITE_DBCONFIG_DQS_DDL, 0}};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		sqlite3_limit(s->db, limits[i].id, limits[i].max);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		sqlite3_db_config(s->db, settings[i].id, settings[i].on, NULL);
	sqlite3_set_authorizer(s->db, authorize, s);
	sqlite3_progress_handler(s->db, STEPS_EVERY, on_steps, s);
}

/* Tables */

static int name_cmp(const void *a, const void *b)
{
	struct sw_view x = (*(const struct sw_sql_table *const *)a)->table->name, y = (*(const struct sw_sql_table *const *)b)->table->name;
	size_t n = x.n < y.n ? x.n : y.n;
	int c = sqlite3_strnicmp((const char *)x.p, (const char *)y.p, (int)n);

	return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

/* Names that SQL takes for one stand side by side when they are sorted as it compares them. */
static int find_alike(struct sw_sql *s)
{
	size_t n = s->tables.n;
	struct sw_sql_table **sorted = calloc(n + 1, sizeof(struct sw_sql_table *));

	if (!sorted)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &s->v[i];
	qsort(sorted, n, sizeof(struct sw_sql_table *), name_cmp);
	for (size_t i = 1; i < n; i++) {
		if (name_cmp(&sorted[i - 1], &sorted[i]) != 0)
			continue;
		sorted[i - 1]->other = sorted[i]->table;
		sorted[i]->other = sorted[i - 1]->table;
	}
	free(sorted);
	return 0;
}

/* A table of tables, so that one can look what there is. */
static int list_tables(struct sw_sql *s)
{
	sqlite3_stmt *insert = NULL;
	int rc = sqlite3_exec(s->db, "CREATE TABLE swarmfs_tables(name TEXT)", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db, "INSERT INTO swarmfs_tables VALUES(?)", -1, &insert, NULL);
	for (size_t i = 0; rc == SQLITE_OK && i < s->tables.n; i++) {
		struct sw_view name = s->tables.v[i].name;

		rc = sqlite3_bind_text(insert, 1, (const char *)name.p, (int)name.n, SQLITE_STATIC);
		if (rc == SQLITE_OK && sqlite3_step(insert) != SQLITE_DONE)
			rc = SQLITE_NOMEM;
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	return rc == SQLITE_OK ? 0 : SW_ENOMEM;
}

static int add_tables(struct sw_sql *s)
{
	int rc = sw_scan_tables_load(s->snap, &s->tables);

	if (rc == 0)
		rc = list_tables(s);
	if (rc < 0)
		return rc;
	s->v = calloc(s->tables.n + 1, sizeof(*s->v));
	if (!s->v)
		return SW_ENOMEM;
	for (size_t i = 0; i < s->tables.n; i++)
		s->v[i] = (struct sw_sql_table){.sql = s, .table = &s->tables.v[i]};
	rc = find_alike(s);
	for (size_t i = 0; rc == 0 && i < s->tables.n; i++)
		if (sw_sql_table_register(&s->v[i]) != SQLITE_OK)
			rc = SW_ENOMEM;
	return rc;
}

/* Tables of SQLite's own come into being when they are first named, with a CREATE TABLE that the authorizer would take for somebody's. */
static int make_own_tables(struct sw_sql *s)
{
	static const char text[] = "SELECT 1 FROM json_each, json_tree, pragma_table_info, pragma_table_xinfo, pragma_table_list, "
				   "pragma_function_list, pragma_module_list, pragma_collation_list, pragma_compile_options";
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->db, text, -1, &stmt, NULL);

	sqlite3_finalize(stmt);
	return rc == SQLITE_NOMEM ? SW_ENOMEM : 0;
}

int sw_sql_new(struct sw_snap *snap, bool (*is_gone)(void *arg), void *arg, struct sw_sql **out)
{
	struct sw_sql *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : SW_ENOMEM;

	if (!s)
		return rc;
	s->snap = snap;
	s->is_gone = is_gone;
	s->arg = arg;
	if (sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = make_own_tables(s);
	if (rc == 0)
		rc = add_tables(s);
	if (rc < 0) {
		sw_sql_free(s);
		return rc;
	}
	confine(s);
	*out = s;
	return 0;
}

void sw_sql_allow_writing(struct sw_sql *s)
{
	s->can_write = true;
}

void sw_sql_free(struct sw_sql *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	for (size_t i = 0; s->v && i < s->tables.n; i++)
		sw_sql_table_fini(&s->v[i]);
	free(s->v);
	sw_scan_tables_fini(&s->tables);
	sw_buf_fini(&s->notes);
	free(s);
}

struct sw_view sw_sql_notes(const struct sw_sql *s)
{
	return sw_buf_view(&s->notes);
}

/* Running */

static int refuse(const struct sw_sql *s)
{
	if (s->can_write)
		return sw_fail(SW_EINVAL, "'swarmfs sql' takes SELECT, INSERT, UPDATE and DELETE, all of one call being one transaction; make and drop "
					  "tables with mkdir and rmdir in a mount, or with 'swarmfs import'");
	return sw_fail(SW_EINVAL, "'swarmfs sql' only reads without --write, and opens no files; to write rows, give --write, or use files of a "
				  "mount, 'swarmfs txn' or 'swarmfs import'");
}

/* What SQLite says, and what to do about it. */
static int fault(struct sw_sql *s, int sqlite)
{
	static const struct {
		const char *begins, *remedy;
	} remedies[] = {
	    {"no such table", "; SELECT name FROM swarmfs_tables lists those that are there"},
	    {"no such column", "; PRAGMA table_info(TABLE) lists those that are there, and text stands in single quotes"},
	};
	const char *said = sqlite3_errmsg(s->db), *remedy = "";

	if (sqlite == SQLITE_NOMEM)
		return SW_ENOMEM;
	if (sqlite == SQLITE_INTERRUPT)
		return SW_ECLOSED;
	if (s->rc < 0)
		return sw_fail(s->rc, "%s", said);
	/* The last is what SQLite finds by itself. */
	if (s->is_refused || strstr(said, "may not be modified"))
		return refuse(s);
	if (sqlite == SQLITE_TOOBIG)
		return sw_fail(SW_ELIMIT, "a value has more than %zu MiB, too many for SQL; select less", SW_SQL_VALUE_MAX >> 20);
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strncmp(said, remedies[i].begins, strlen(remedies[i].begins)) == 0)
			remedy = remedies[i].remedy;
	return sw_fail(SW_EINVAL, "SQL: %s%s", said, remedy);
}

static void get_value(sqlite3_stmt *stmt, int i, struct sw_sql_value *out)
{
	*out = (struct sw_sql_value){.kind = SW_SQL_NULL};
	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
		out->kind = SW_SQL_INTEGER;
		out->integer = sqlite3_column_int64(stmt, i);
		break;
	case SQLITE_FLOAT:
		out->kind = SW_SQL_REAL;
		out->real = sqlite3_column_double(stmt, i);
		break;
	case SQLITE_TEXT:
		out->kind = SW_SQL_TEXT;
		out->bytes.p = sqlite3_column_text(stmt, i);
		out->bytes.n = (size_t)sqlite3_column_bytes(stmt, i);
		break;
	case SQLITE_BLOB:
		out->kind = SW_SQL_BLOB;
		out->bytes.p = sqlite3_column_blob(stmt, i);
		out->bytes.n = (size_t)sqlite3_column_bytes(stmt, i);
		break;
	default:
		break;
	}
}

static int put_rows(struct sw_sql *s, sqlite3_stmt *stmt, const struct sw_sql_sink *sink, struct sw_sql_value *values, size_t n)
{
	int step, rc = 0;

	while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (size_t i = 0; i < n; i++)
			get_value(stmt, (int)i, &values[i]);
		rc = sink->row(sink->arg, values, n);
	}
	return rc < 0 || step == SQLITE_DONE ? rc : fault(s, step);
}

static int put_result(struct sw_sql *s, sqlite3_stmt *stmt, const struct sw_sql_sink *sink)
{
	size_t n = (size_t)sqlite3_column_count(stmt);
	struct sw_view *names = calloc(n + 1, sizeof(*names));
	struct sw_sql_value *values = calloc(n + 1, sizeof(*values));
	int rc = names && values ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const char *name = sqlite3_column_name(stmt, (int)i);

		rc = name ? 0 : SW_ENOMEM;
		if (name)
			names[i] = sw_view_str(name);
	}
	if (rc == 0 && n > 0)
		rc = sink->begin(sink->arg, names, n);
	if (rc == 0)
		rc = put_rows(s, stmt, sink, values, n);
	if (rc == 0 && n > 0)
		rc = sink->end(sink->arg);
	free(names);
	free(values);
	return rc;
}

int sw_sql_run(struct sw_sql *s, struct sw_view text, const struct sw_sql_sink *sink)
{
	const char *at = (const char *)text.p, *end = at + text.n;
	int rc = 0;

	if (text.n > SW_SQL_TEXT_MAX)
		return sw_fail(SW_ELIMIT, "the statements have more than %zu KiB; run them in several parts", SW_SQL_TEXT_MAX >> 10);
	if (memchr(at, 0, text.n))
		return sw_fail(SW_EINVAL, "SQL: the text has a NUL byte; take it out");
	while (rc == 0 && at < end) {
		sqlite3_stmt *stmt = NULL;
		int sqlite;

		s->rc = 0;
		s->is_refused = false;
		sqlite = sqlite3_prepare_v2(s->db, at, (int)(end - at), &stmt, &at);
		rc = sqlite != SQLITE_OK ? fault(s, sqlite) : stmt ? put_result(s, stmt, sink) : 0;
		sqlite3_finalize(stmt);
	}
	return rc;
}
