#include "core/schema.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/columns.h"
#include "core/json.h"
#include "core/row.h"
#include "core/schema_internal.h"

#define LENGTH_MAX     ((int)(2 * SW_COLUMNS_TEXT_MAX)) /* bytes of a value, but in a check */
#define SQL_MAX        (1 << 20)
#define EXPR_DEPTH_MAX 100
#define STEPS_EVERY    1000 /* instructions of SQLite's machine */
#define STEPS_MAX      1000 /* times that, for a text: some 20 ms */
#define REASON_MAX     256

/* What a value of a row is. */
enum kind { KIND_ABSENT, KIND_NULL, KIND_BOOL, KIND_NUMBER, KIND_TEXT, KIND_OTHER };

struct column {
	char *name;
	char *type;
	size_t place;   /* in the text */
	enum kind kind; /* in the row that is being checked */
};

struct ref {
	size_t column;
	struct sw_buf table; /* empty: the one that it is in */
	struct sw_buf key;   /* of the last row; empty: NULL */
};

struct sw_schema {
	sqlite3 *db;
	char *table;            /* its name in the CREATE TABLE */
	struct column *columns; /* ascending by name */
	size_t n_columns;
	bool is_strict;
	size_t primary; /* n_columns: none */
	struct ref *refs;
	size_t n_refs;
	sqlite3_stmt *insert; /* of rows with the columns in shape */
	bool *shape;
	size_t n_looks;   /* of insert at whole values, at most */
	bool is_hopeless; /* a check is too much work whatever the row */
	sqlite3_stmt *clear;
	bool is_ours;    /* what is prepared now is no text of others */
	size_t n_tables; /* that were made */
	size_t n_indexes;
	size_t n_steps;
	size_t left;             /* of SW_SCHEMA_WORK_MAX, in the row that is being checked */
	char reason[REASON_MAX]; /* why the authorizer said no */
	struct sw_buf text;      /* of a value */
};

bool sw_schema_concerns(struct sw_view key)
{
	size_t n = strlen(SW_SCHEMA_ROW_SUFFIX);

	return key.n >= n && memcmp(key.p + key.n - n, SW_SCHEMA_ROW_SUFFIX, n) == 0;
}

/* Only the name that the primary key is can be held to be its own, in all the table, by looking at
 * one row. */
static const char refused_unique[] =
    "UNIQUE cannot be checked, as only names of rows are known to be different; leave it out, or "
    "make the column the PRIMARY KEY, which is the row's name";

static int deny(struct sw_schema *s, const char *format, const char *name)
{
	if (!s->reason[0])
		sqlite3_snprintf(sizeof(s->reason), s->reason, format, name);
	return SQLITE_DENY;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *db,
		     const char *trigger)
{
	struct sw_schema *s = arg;

	(void)db;
	(void)trigger;
	if (action == SQLITE_FUNCTION)
		return sw_schema_may_call(b)
			   ? SQLITE_OK
			   : deny(s, "the function %s() may not be used in it", b);
	if (s->is_ours)
		return SQLITE_OK;
	switch (action) {
	case SQLITE_CREATE_TABLE:
		if (sqlite3_strnicmp(a, "sqlite_", 7) == 0)
			return deny(s, "AUTOINCREMENT means nothing here%s; leave it out", "");
		s->n_tables++;
		return SQLITE_OK;
	case SQLITE_CREATE_INDEX: /* that a constraint makes: a statement for it would be a second
				     one. The key's is one */
		if (s->n_indexes++ > 0)
			return deny(s, "%s", refused_unique);
		return SQLITE_OK;
	case SQLITE_INSERT: /* these three: SQLite's own table of tables */
	case SQLITE_UPDATE:
	case SQLITE_READ:
		return SQLITE_OK;
	default:
		return deny(s, "it must be one CREATE TABLE%s, and nothing else", "");
	}
}

static int on_steps(void *arg)
{
	struct sw_schema *s = arg;

	return ++s->n_steps > STEPS_MAX;
}

/* What SQLite says to a failure. A row or a text is at fault, but for what is ours. */
static int fault(struct sw_schema *s, int sqlite)
{
	if (sqlite == SQLITE_NOMEM)
		return SW_ENOMEM;
	if (s->reason[0])
		return sw_fail(SW_EINVAL, "%s", s->reason);
	if ((sqlite & 0xff) == SQLITE_INTERRUPT)
		return sw_fail(SW_EINVAL, "it takes too long to check");
	return sw_fail(SW_EINVAL, "%s", sqlite3_errmsg(s->db));
}

static void limit(sqlite3 *db)
{
	static const struct {
		int id, max;
	} limits[] = {{SQLITE_LIMIT_LENGTH, LENGTH_MAX},
		      {SQLITE_LIMIT_SQL_LENGTH, SQL_MAX},
		      {SQLITE_LIMIT_COLUMN, SW_SCHEMA_COLUMNS_MAX},
		      {SQLITE_LIMIT_EXPR_DEPTH, EXPR_DEPTH_MAX},
		      {SQLITE_LIMIT_COMPOUND_SELECT, 2},
		      {SQLITE_LIMIT_FUNCTION_ARG, SW_SCHEMA_ARGS_MAX},
		      {SQLITE_LIMIT_ATTACHED, 0},
		      {SQLITE_LIMIT_TRIGGER_DEPTH, 0},
		      {SQLITE_LIMIT_WORKER_THREADS, 0}};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		sqlite3_limit(db, limits[i].id, limits[i].max);
}

static int open_memory(struct sw_schema *s)
{
	int rc =
	    sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sw_schema_put_functions(s->db, &s->left);
	if (rc != SQLITE_OK)
		return SW_ENOMEM;
	limit(s->db);
	sqlite3_set_authorizer(s->db, authorize, s);
	sqlite3_progress_handler(s->db, STEPS_EVERY, on_steps, s);
	return 0;
}

static int run_text(struct sw_schema *s, struct sw_view text)
{
	sqlite3_stmt *stmt = NULL, *second = NULL;
	const char *tail = NULL;
	int rc, n = (int)text.n;

	rc = sqlite3_prepare_v2(s->db, (const char *)text.p, n, &stmt, &tail);
	if (rc == SQLITE_OK && !stmt)
		return sw_fail(SW_EINVAL, "it is empty; it must be one CREATE TABLE");
	if (rc == SQLITE_OK && s->n_tables == 1 && !sqlite3_stmt_isexplain(stmt)) {
		rc = sqlite3_step(stmt);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
	} else if (rc == SQLITE_OK) {
		rc = SQLITE_AUTH;
		deny(s, "it must be one CREATE TABLE%s, and nothing else", "");
	}
	sqlite3_finalize(stmt);
	/* What stands behind it may be a comment. */
	if (rc == SQLITE_OK) {
		rc = sqlite3_prepare_v2(s->db, tail, (int)(text.p + text.n - (const uint8_t *)tail),
					&second, NULL);
		if (rc != SQLITE_OK || second) {
			s->reason[0] = '\0';
			deny(s, "it must be one CREATE TABLE%s, and nothing else", "");
			rc = SQLITE_AUTH;
		}
		sqlite3_finalize(second);
	}
	return rc == SQLITE_OK ? 0 : fault(s, rc);
}

/* Looking at what the text made */

static int query(struct sw_schema *s, const char *sql, sqlite3_stmt **out)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, out, NULL);

	if (rc == SQLITE_OK && s->table && sqlite3_bind_parameter_count(*out) > 0)
		rc = sqlite3_bind_text(*out, 1, s->table, -1, SQLITE_STATIC);
	return rc == SQLITE_OK ? 0 : fault(s, rc);
}

static struct sw_view text_of(sqlite3_stmt *stmt, int i)
{
	const void *p = sqlite3_column_text(stmt, i);

	return sw_view(p, (size_t)sqlite3_column_bytes(stmt, i));
}

/* Calls fn with each row of a query; 0, or what it returned. */
static int each(struct sw_schema *s, const char *sql,
		int (*fn)(struct sw_schema *s, sqlite3_stmt *row))
{
	sqlite3_stmt *stmt = NULL;
	int rc = query(s, sql, &stmt), step = SQLITE_DONE;

	while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW)
		rc = fn(s, stmt);
	if (rc == 0 && step != SQLITE_DONE)
		rc = fault(s, step);
	sqlite3_finalize(stmt);
	return rc;
}

static int take_table(struct sw_schema *s, sqlite3_stmt *row)
{
	s->table = strdup((const char *)sqlite3_column_text(row, 0));
	s->is_strict = sqlite3_column_int(row, 1) != 0;
	return s->table ? 0 : SW_ENOMEM;
}

/* Generated columns are none that a row could have. */
static int take_column(struct sw_schema *s, sqlite3_stmt *row)
{
	struct column *v = realloc(s->columns, (s->n_columns + 1) * sizeof(*v));

	if (!v)
		return SW_ENOMEM;
	s->columns = v;
	v[s->n_columns] = (struct column){.name = strdup((const char *)sqlite3_column_text(row, 0)),
					  .type = strdup((const char *)sqlite3_column_text(row, 1)),
					  .place = s->n_columns};
	s->n_columns++;
	return v[s->n_columns - 1].name && v[s->n_columns - 1].type ? 0 : SW_ENOMEM;
}

static int refuse_index(struct sw_schema *s, sqlite3_stmt *row)
{
	(void)s;
	(void)row;
	return sw_fail(SW_EINVAL, "%s", refused_unique);
}

static int column_cmp(const void *a, const void *b)
{
	const struct column *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* SQLite takes a column's name in any case in a constraint. */
static size_t find_column(const struct sw_schema *s, const char *name)
{
	size_t i = 0;

	while (i < s->n_columns && sqlite3_stricmp(s->columns[i].name, name) != 0)
		i++;
	return i;
}

static int take_primary(struct sw_schema *s, sqlite3_stmt *row)
{
	if (s->primary < s->n_columns)
		return sw_fail(
		    SW_EINVAL,
		    "a PRIMARY KEY of several columns cannot be a row's name; make it one column");
	s->primary = find_column(s, (const char *)sqlite3_column_text(row, 0));
	return 0;
}

static int take_ref(struct sw_schema *s, sqlite3_stmt *row)
{
	struct sw_view table = text_of(row, 1);
	struct ref *v;

	if (sqlite3_column_int(row, 0) > 0)
		return sw_fail(
		    SW_EINVAL,
		    "a reference of several columns cannot be a row's name; make it one column");
	if (sqlite3_stricmp((const char *)sqlite3_column_text(row, 3), "NO ACTION") != 0 ||
	    sqlite3_stricmp((const char *)sqlite3_column_text(row, 4), "NO ACTION") != 0)
		return sw_fail(SW_EINVAL,
			       "ON DELETE and ON UPDATE are not carried out; leave them out");
	if (sw_name_check(table) < 0)
		return sw_fail(SW_EINVAL, "%.*s cannot be the name of a table", (int)table.n,
			       (const char *)table.p);
	if (s->n_refs == SW_SCHEMA_REFS_MAX)
		return sw_fail(SW_EINVAL, "it has more than %d references", SW_SCHEMA_REFS_MAX);
	v = realloc(s->refs, (s->n_refs + 1) * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	s->refs = v;
	v[s->n_refs] =
	    (struct ref){.column = find_column(s, (const char *)sqlite3_column_text(row, 2))};
	if (v[s->n_refs].column == s->n_columns)
		return sw_fail(SW_EINVAL,
			       "a column that refers to another table must not be a generated one");
	if (sqlite3_stricmp((const char *)table.p, s->table) != 0)
		sw_buf_put_view(&v[s->n_refs].table, table);
	return s->refs[s->n_refs++].table.rc;
}

static int look(struct sw_schema *s)
{
	int rc = each(s,
		      "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name "
		      "NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
		      take_table);

	if (rc == 0 && !s->table)
		rc = sw_fail(SW_EINVAL, "it must be one CREATE TABLE, and nothing else");
	if (rc == 0)
		rc = each(s,
			  "SELECT name, type FROM pragma_table_xinfo(?1) WHERE hidden = 0",
			  take_column);
	if (rc < 0)
		return rc;
	qsort(s->columns, s->n_columns, sizeof(*s->columns), column_cmp);
	s->primary = s->n_columns;
	rc = each(s, "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0", take_primary);
	if (rc == 0)
		rc = each(s, "SELECT 1 FROM pragma_index_list(?1) WHERE origin <> 'pk' LIMIT 1",
			  refuse_index);
	if (rc == 0)
		rc = each(s,
			  "SELECT max(seq) OVER (PARTITION BY id), \"table\", \"from\", on_update, "
			  "on_delete "
			  "FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
			  take_ref);
	return rc;
}

/* A row, and the statement for those with its columns */

static struct sw_view stem_of(struct sw_view key)
{
	return sw_view(key.p, key.n - strlen(SW_SCHEMA_ROW_SUFFIX));
}

static enum kind kind_of(struct sw_view value)
{
	switch (value.p[0]) {
	case '"':
		return KIND_TEXT;
	case '{':
	case '[':
		return KIND_OTHER;
	case 't':
	case 'f':
		return KIND_BOOL;
	case 'n':
		return KIND_NULL;
	default:
		return KIND_NUMBER;
	}
}

/* Both ascend. */
static int match_columns(struct sw_schema *s, const struct sw_columns *row)
{
	size_t i = 0;

	for (size_t k = 0; k < s->n_columns; k++)
		s->columns[k].kind = KIND_ABSENT;
	for (size_t k = 0; k < row->n; k++) {
		struct sw_view name = row->by_name[k]->name;
		int c = 1;

		while (i < s->n_columns &&
		       (c = sw_view_cmp(sw_view_str(s->columns[i].name), name)) < 0)
			i++;
		if (i == s->n_columns || c != 0)
			return sw_fail(SW_EINVAL, "its member %.*s is no column of the schema",
				       (int)(name.n < 100 ? name.n : 100), (const char *)name.p);
		s->columns[i].kind = kind_of(row->by_name[k]->value);
	}
	if (s->primary < s->n_columns && s->columns[s->primary].kind == KIND_NULL)
		return sw_fail(SW_EINVAL, "its primary key %s is null",
			       s->columns[s->primary].name);
	return 0;
}

/* The primary key is bound in any case: the name tells what it is. */
static bool is_given(const struct sw_schema *s, size_t i)
{
	return s->columns[i].kind != KIND_ABSENT || i == s->primary;
}

static bool has_shape(const struct sw_schema *s)
{
	for (size_t i = 0; i < s->n_columns; i++)
		if (s->shape[i] != is_given(s, i))
			return false;
	return s->insert != NULL;
}

static void put_columns(const struct sw_schema *s, sqlite3_str *sql, bool all)
{
	const char *before = "";

	for (size_t i = 0; i < s->n_columns; i++) {
		if (!all && !is_given(s, i))
			continue;
		sqlite3_str_appendf(sql, "%s\"%w\"", before, s->columns[i].name);
		before = ",";
	}
}

/* The columns that a row does not have get their defaults. For sqlite3_free(); NULL: no memory. */
static char *insert_text(const struct sw_schema *s)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);
	size_t n = 0;

	for (size_t i = 0; i < s->n_columns; i++)
		n += is_given(s, i);
	sqlite3_str_appendf(sql, "INSERT INTO \"%w\"", s->table);
	if (n > 0) {
		sqlite3_str_appendall(sql, "(");
		put_columns(s, sql, false);
		sqlite3_str_appendall(sql, ") VALUES(");
		for (size_t i = 0; i < n; i++)
			sqlite3_str_appendall(sql, i ? ",?" : "?");
		sqlite3_str_appendall(sql, ")");
	} else {
		sqlite3_str_appendall(sql, " DEFAULT VALUES");
	}
	sqlite3_str_appendall(sql, " RETURNING ");
	put_columns(s, sql, true);
	return sqlite3_str_finish(sql);
}

/* Rows of one table mostly have the same columns. */
static int prepare_insert(struct sw_schema *s)
{
	char *text = insert_text(s);
	struct sw_schema_program program;
	int rc;

	if (!text)
		return SW_ENOMEM;
	for (size_t i = 0; i < s->n_columns; i++)
		s->shape[i] = is_given(s, i);
	sqlite3_finalize(SW_TAKE(s->insert));
	rc = sw_schema_weigh(s->db, text, &program);
	/* A DEFAULT is not looked at before it is used. */
	if (rc == SQLITE_OK && program.function[0]) {
		deny(s, "the function %s() may not be used in it", program.function);
		rc = SQLITE_AUTH;
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db, text, -1, &s->insert, NULL);
	s->n_looks = program.n_looks;
	sqlite3_free(text);
	return rc == SQLITE_OK ? 0 : fault(s, rc);
}

/* With all columns given there is the least to do: if that is too much for the smallest row, no
 * row has to be compiled for. A text that SQLite does not take here is refused with the row. */
static int weigh_least(struct sw_schema *s)
{
	struct sw_schema_program program;
	char *text;
	int rc;

	for (size_t i = 0; i < s->n_columns; i++)
		s->columns[i].kind = KIND_NULL;
	text = insert_text(s);
	if (!text)
		return SW_ENOMEM;
	rc = sw_schema_weigh(s->db, text, &program);
	sqlite3_free(text);
	s->is_hopeless =
	    rc == SQLITE_OK && program.n_looks > SW_SCHEMA_WORK_MAX / SW_SCHEMA_VALUE_MAX;
	return rc == SQLITE_NOMEM ? SW_ENOMEM : 0;
}

int sw_schema_new(struct sw_view text, struct sw_schema **out)
{
	struct sw_schema *s;
	int rc;

	if (text.n > SW_SCHEMA_TEXT_MAX)
		return sw_fail(SW_EINVAL, "it is larger than %zu KiB", SW_SCHEMA_TEXT_MAX >> 10);
	if (text.n == 0 || memchr(text.p, 0, text.n))
		return sw_fail(SW_EINVAL,
			       "it is empty, or has a NUL byte; it must be one CREATE TABLE");
	s = calloc(1, sizeof(*s));
	if (!s)
		return SW_ENOMEM;
	s->left = SW_SCHEMA_WORK_MAX;
	rc = open_memory(s);
	if (rc == 0)
		rc = run_text(s, text);
	s->is_ours = rc == 0;
	s->n_steps = 0;
	if (rc == 0)
		rc = look(s);
	if (rc == 0) {
		s->shape = calloc(s->n_columns + 1, sizeof(*s->shape));
		rc = s->shape ? 0 : SW_ENOMEM;
	}
	if (rc == 0)
		rc = weigh_least(s);
	if (rc < 0) {
		sw_schema_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void sw_schema_free(struct sw_schema *s)
{
	if (!s)
		return;
	sqlite3_finalize(s->insert);
	sqlite3_finalize(s->clear);
	sqlite3_close(s->db);
	for (size_t i = 0; i < s->n_columns; i++) {
		free(s->columns[i].name);
		free(s->columns[i].type);
	}
	for (size_t i = 0; i < s->n_refs; i++) {
		sw_buf_fini(&s->refs[i].table);
		sw_buf_fini(&s->refs[i].key);
	}
	free(s->columns);
	free(s->refs);
	free(s->shape);
	free(s->table);
	sw_buf_fini(&s->text);
	free(s);
}

/* A check */

/* Values in a check, the row itself among them, are not longer than that. */
static size_t length_of(struct sw_view row)
{
	return row.n + SW_SCHEMA_VALUE_MAX;
}

/* Whether there is more to look at than a check may; else this is taken off what it may. */
static bool is_too_much(struct sw_schema *s, struct sw_view row)
{
	size_t length = length_of(row);

	s->left = SW_SCHEMA_WORK_MAX;
	if (s->n_looks > s->left / length)
		return true;
	s->left -= s->n_looks * length;
	return false;
}

static int bind_number(struct sw_schema *s, int at, struct sw_view value)
{
	struct sw_json_number number;
	int rc = sw_json_number(value, &s->text, &number);

	if (rc < 0)
		return SQLITE_NOMEM;
	return number.is_whole ? sqlite3_bind_int64(s->insert, at, number.whole)
			       : sqlite3_bind_double(s->insert, at, number.real);
}

static int bind_value(struct sw_schema *s, int at, enum kind kind, struct sw_view value)
{
	switch (kind) {
	case KIND_TEXT:
		sw_buf_reset(&s->text);
		if (sw_json_unescape(sw_view(value.p + 1, value.n - 2), &s->text) < 0)
			return SQLITE_NOMEM;
		return sqlite3_bind_text(s->insert, at, s->text.n ? (const char *)s->text.p : "",
					 (int)s->text.n, SQLITE_TRANSIENT);
	case KIND_OTHER:
		return sqlite3_bind_text(s->insert, at, (const char *)value.p, (int)value.n,
					 SQLITE_STATIC);
	case KIND_BOOL:
		return sqlite3_bind_int(s->insert, at, value.p[0] == 't');
	case KIND_NUMBER:
		return bind_number(s, at, value);
	default:
		return sqlite3_bind_null(s->insert, at);
	}
}

static int bind_row(struct sw_schema *s, const struct sw_columns *row, struct sw_view stem)
{
	int at = 0, rc = SQLITE_OK;

	for (size_t i = 0, k = 0; rc == SQLITE_OK && i < s->n_columns; i++) {
		if (s->columns[i].kind != KIND_ABSENT)
			rc = bind_value(s, ++at, s->columns[i].kind, row->by_name[k++]->value);
		else if (i == s->primary)
			rc = sqlite3_bind_text(s->insert, ++at, (const char *)stem.p, (int)stem.n,
					       SQLITE_STATIC);
	}
	return rc == SQLITE_OK ? 0 : fault(s, rc);
}

/* Whether what was stored is of the kind that was given. STRICT turns '12' into 12 where it can. */
static bool is_kept(enum kind kind, int type)
{
	switch (kind) {
	case KIND_NUMBER:
		return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
	case KIND_BOOL:
		return type == SQLITE_INTEGER;
	case KIND_TEXT:
	case KIND_OTHER:
		return type == SQLITE_TEXT;
	default:
		return true;
	}
}

static const char *name_of(enum kind kind)
{
	switch (kind) {
	case KIND_NUMBER:
		return "a number";
	case KIND_BOOL:
		return "true or false";
	case KIND_TEXT:
		return "a string";
	default:
		return "an array or object";
	}
}

static int check_kinds(const struct sw_schema *s)
{
	for (size_t i = 0; s->is_strict && i < s->n_columns; i++)
		if (!is_kept(s->columns[i].kind, sqlite3_column_type(s->insert, (int)i)))
			return sw_fail(SW_EINVAL,
				       "its column %s is %s, and the schema has another type",
				       s->columns[i].name, name_of(s->columns[i].kind));
	return 0;
}

static int check_primary(const struct sw_schema *s, struct sw_view stem)
{
	struct sw_view value;

	if (s->primary == s->n_columns)
		return 0;
	value = text_of(s->insert, (int)s->primary);
	if (value.n == stem.n && (stem.n == 0 || memcmp(value.p, stem.p, stem.n) == 0))
		return 0;
	return sw_fail(
	    SW_EINVAL,
	    "its primary key %s is %.*s, so that its name must be %.*s" SW_SCHEMA_ROW_SUFFIX,
	    s->columns[s->primary].name, (int)(value.n < SW_NAME_MAX ? value.n : SW_NAME_MAX),
	    (const char *)value.p, (int)(value.n < SW_NAME_MAX ? value.n : SW_NAME_MAX),
	    (const char *)value.p);
}

static int keep_refs(struct sw_schema *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n_refs; i++) {
		struct ref *ref = &s->refs[i];
		int at = (int)ref->column;

		sw_buf_reset(&ref->key);
		if (sqlite3_column_type(s->insert, at) == SQLITE_NULL)
			continue;
		sw_buf_put_view(&ref->key, text_of(s->insert, at));
		sw_buf_put_view(&ref->key, sw_view_str(SW_SCHEMA_ROW_SUFFIX));
		rc = ref->key.rc;
	}
	return rc;
}

/* 1: it was more than may be done. */
static int insert(struct sw_schema *s, struct sw_view stem)
{
	int step = sqlite3_step(s->insert), rc;

	if (step == SQLITE_TOOBIG || step == SQLITE_INTERRUPT)
		return 1;
	if (step != SQLITE_ROW)
		return fault(s, step);
	rc = check_kinds(s);
	if (rc == 0)
		rc = check_primary(s, stem);
	if (rc == 0)
		rc = keep_refs(s);
	return rc;
}

/* Each row is alone in the table. */
static int clear(struct sw_schema *s)
{
	char *text;
	int rc = SQLITE_OK;

	if (!s->clear) {
		text = sqlite3_mprintf("DELETE FROM \"%w\"", s->table);
		rc = text ? sqlite3_prepare_v2(s->db, text, -1, &s->clear, NULL) : SQLITE_NOMEM;
		sqlite3_free(text);
	}
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s->clear);
		sqlite3_reset(s->clear);
	}
	return rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : fault(s, rc);
}

static int try_row(struct sw_schema *s, struct sw_view stem, const struct sw_columns *row)
{
	int rc = bind_row(s, row, stem), cleared = 0;

	if (rc == 0)
		rc = insert(s, stem);
	sqlite3_reset(s->insert);
	sqlite3_clear_bindings(s->insert);
	s->n_steps = 0;
	cleared = clear(s);
	return rc != 0 ? rc : cleared;
}

static int check_columns(struct sw_schema *s, struct sw_view stem, struct sw_view text,
			 const struct sw_columns *row)
{
	int rc = match_columns(s, row);

	if (rc == 0 && s->is_hopeless)
		return 1;
	if (rc == 0 && !has_shape(s))
		rc = prepare_insert(s);
	if (rc < 0)
		return rc;
	if (is_too_much(s, text))
		return 1;
	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, (int)length_of(text));
	rc = try_row(s, stem, row);
	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
	return rc;
}

int sw_schema_check(struct sw_schema *s, struct sw_view key, struct sw_view row)
{
	struct sw_columns columns = {0};
	int rc = sw_columns_parse(key, row, &columns);

	s->n_steps = 0;
	s->reason[0] = '\0';
	for (size_t i = 0; i < s->n_refs; i++)
		sw_buf_reset(&s->refs[i].key);
	if (rc == 0)
		rc = sw_fail(
		    SW_EINVAL,
		    "it is no JSON object of at most 1 MiB whose members have different names");
	else if (rc > 0)
		rc = check_columns(s, stem_of(key), row, &columns);
	sw_columns_fini(&columns);
	return rc;
}

bool sw_schema_column(const struct sw_schema *s, size_t i, struct sw_schema_column *out)
{
	for (size_t k = 0; k < s->n_columns; k++) {
		if (s->columns[k].place != i)
			continue;
		*out = (struct sw_schema_column){.name = sw_view_str(s->columns[k].name),
						 .type = sw_view_str(s->columns[k].type),
						 .is_primary = k == s->primary};
		return true;
	}
	return false;
}

bool sw_schema_ref(const struct sw_schema *s, size_t i, struct sw_schema_ref *out)
{
	for (size_t k = 0; k < s->n_refs; k++) {
		const struct ref *ref = &s->refs[k];

		if (ref->key.n == 0 || i-- > 0)
			continue;
		*out = (struct sw_schema_ref){.column = sw_view_str(s->columns[ref->column].name),
					      .table = sw_buf_view(&ref->table),
					      .key = sw_buf_view(&ref->key)};
		return true;
	}
	return false;
}

bool sw_schema_refers_to(const struct sw_schema *s, size_t i, struct sw_view *table)
{
	if (i >= s->n_refs)
		return false;
	*table = sw_buf_view(&s->refs[i].table);
	return true;
}
