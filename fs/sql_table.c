/*
 * A table of the snapshot as a virtual table of SQLite, which needs no CREATE: it is there by its name, and asked for its columns when a
 * statement uses it. A cursor is a scan (fs/scan.h), over which the rows lie that statements have changed (fs/sql_change.h); the row's
 * bytes are taken apart only when a column of it is wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "core/columns.h"
#include "core/json.h"
#include "core/schema.h"
#include "fs/sql_internal.h"
#include "fs/text.h"

#define LOOK_EVERY 1024 /* rows, while columns are looked for, to see whether anybody waits */

static const char *const own_names[] = {"_bytes", "_size", "_mode", "_mtime_ns"};
static const char key_name[] = "_key";

/* What a cursor is asked to do: bits of idxNum, each with its value in this order. */
enum { PLAN_EQ = 1, PLAN_LOW = 2, PLAN_HIGH = 4 };

struct vtab {
	sqlite3_vtab base;
	struct sw_sql_table *t;
};

struct cursor {
	sqlite3_vtab_cursor base;
	struct sw_scan *scan;
	const struct sw_scan_row *row; /* NULL: at the end */
	const struct sw_scan_row *below; /* the next of the snapshot, if it was looked at and not taken; or NULL */
	struct sw_buf last; /* where rows may have been changed: the key that it is at, or before has_last the first that is wanted */
	bool has_last;
	struct sw_scan_row changed; /* what row is, of a row that was */
	struct sw_buf changed_bytes;
	bool has_high;
	struct sw_buf high; /* the last key */
	bool is_loaded, is_parsed;
	struct sw_buf large;	 /* of a row that is not in its leaf */
	struct sw_view bytes;	 /* of the row, once it is loaded */
	struct sw_columns columns; /* once it is parsed */
	struct sw_buf text;	 /* of a value */
};

static int fault(struct sw_sql_table *t, char **message, int rc)
{
	if (rc == SW_ENOMEM)
		return SQLITE_NOMEM;
	t->sql->rc = rc;
	sqlite3_free(*message);
	*message = sqlite3_mprintf("%s", sw_fail_message(rc));
	return SQLITE_ERROR;
}

/* Columns */

static bool is_own(struct sw_view name)
{
	if (name.n == strlen(key_name) && sqlite3_strnicmp((const char *)name.p, key_name, (int)name.n) == 0)
		return true;
	for (size_t i = 0; i < SW_SQL_N_OWN; i++)
		if (name.n == strlen(own_names[i]) && sqlite3_strnicmp((const char *)name.p, own_names[i], (int)name.n) == 0)
			return true;
	return false;
}

/* Whether SQL could name it, beside those that are there. A NUL would end the statement. */
static bool can_be_named(const struct sw_column_names *names, struct sw_view name)
{
	if (name.n == 0 || memchr(name.p, 0, name.n) || is_own(name))
		return false;
	for (size_t i = 0; i < names->n; i++)
		if (names->v[i].n == name.n && sqlite3_strnicmp((const char *)names->v[i].p, (const char *)name.p, (int)name.n) == 0)
			return false;
	return true;
}

static void note_left_out(struct sw_sql_table *t, size_t n)
{
	SW_BUF name = {0};

	if (n == 0)
		return;
	sw_text_put_name(&name, t->table->name);
	sw_buf_printf(&t->sql->notes,
		      "%zu column%s of %.*s cannot be named beside the others; json_extract(_bytes, '$.\"NAME\"') has %s\n", n,
		      n == 1 ? "" : "s", (int)name.n, (const char *)name.p, n == 1 ? "it" : "them");
}

/* Of the columns that rows have, those that SQL can have. */
static int keep_columns(struct sw_sql_table *t, const struct sw_column_names *found)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < found->n && t->columns.n < SW_SQL_COLUMNS_MAX; i++)
		if (can_be_named(&t->columns, sw_buf_view(&found->v[i])))
			rc = sw_column_names_add(&t->columns, sw_buf_view(&found->v[i]), SW_SQL_COLUMNS_MAX);
	note_left_out(t, found->n - t->columns.n);
	t->primary = t->columns.n;
	return rc;
}

/* The columns of a row: 1, or 0 when it has none. Large rows are read into `large`. */
static int parse(struct sw_scan *scan, const struct sw_scan_row *row, struct sw_buf *large, struct sw_columns *out)
{
	struct sw_view bytes = row->row.bytes;
	int rc = 0;

	if (!sw_columns_possible(row->key, (size_t)row->row.size))
		return 0;
	if (row->row.is_blob) {
		sw_buf_reset(large);
		rc = sw_scan_read(scan, &row->row, 0, (size_t)row->row.size, large);
		bytes = sw_buf_view(large);
	}
	return rc < 0 ? rc : sw_columns_parse(row->key, bytes, out);
}

static int find_in_rows(struct sw_sql_table *t, struct sw_scan *scan, struct sw_column_names *found)
{
	const struct sw_scan_row *row;
	SW_BUF large = {0};
	int rc;

	while ((rc = sw_scan_next(scan, &row)) > 0) {
		SW_CLEANUP(sw_columns_fini) struct sw_columns columns = {0};

		if (row->rank % LOOK_EVERY == 0 && t->sql->is_gone(t->sql->arg))
			return SW_ECLOSED;
		rc = parse(scan, row, &large, &columns);
		for (size_t i = 0; rc >= 0 && i < columns.n; i++)
			rc = sw_column_names_add(found, columns.v[i].name, SW_COLUMNS_MAX);
		/* There are more than SQL could have in any case. */
		if (rc == SW_ELIMIT)
			return 0;
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* Without a schema the rows say what columns there are. */
static int columns_of_rows(struct sw_sql_table *t)
{
	SW_CLEANUP(sw_column_names_fini) struct sw_column_names found = {0};
	struct sw_scan *scan = NULL;
	int rc = sw_scan_new(t->sql->snap, &t->table->table.root, &scan);

	if (rc == 0)
		rc = find_in_rows(t, scan, &found);
	sw_scan_free(scan);
	if (rc == 0)
		rc = keep_columns(t, &found);
	for (size_t i = 0; rc == 0 && i < t->columns.n; i++) {
		char *name = sqlite3_mprintf(", \"%.*w\"", (int)t->columns.v[i].n, (const char *)t->columns.v[i].p);

		if (name)
			sw_buf_put_view(&t->statement, sw_view_str(name));
		rc = name ? t->statement.rc : SW_ENOMEM;
		sqlite3_free(name);
	}
	return rc;
}

/* What SQLite makes of a declared type. */
static const char *affinity_of(const char *type)
{
	static const struct {
		const char *word, *affinity;
	} rules[] = {{"INT", "INTEGER"}, {"CHAR", "TEXT"}, {"CLOB", "TEXT"}, {"TEXT", "TEXT"},
		     {"BLOB", "BLOB"},	 {"REAL", "REAL"}, {"FLOA", "REAL"}, {"DOUB", "REAL"}};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcasestr(type, rules[i].word))
			return rules[i].affinity;
	return *type == '\0' || strcasecmp(type, "ANY") == 0 ? "" : "NUMERIC";
}

static int columns_of_schema(struct sw_sql_table *t, const struct sw_schema *schema)
{
	struct sw_schema_column c;
	size_t n_left_out = 0, primary = SIZE_MAX;
	int rc = 0;

	for (size_t i = 0; rc == 0 && sw_schema_column(schema, i, &c); i++) {
		char *name;

		if (!can_be_named(&t->columns, c.name)) {
			n_left_out++;
			continue;
		}
		if (c.is_primary)
			primary = t->columns.n;
		rc = sw_column_names_add(&t->columns, c.name, SW_SQL_COLUMNS_MAX);
		name = sqlite3_mprintf(", \"%w\" %s", (const char *)c.name.p, affinity_of((const char *)c.type.p));
		if (name)
			sw_buf_put_view(&t->statement, sw_view_str(name));
		if (rc == 0)
			rc = name ? t->statement.rc : SW_ENOMEM;
		sqlite3_free(name);
	}
	t->primary = primary < t->columns.n ? primary : t->columns.n;
	note_left_out(t, n_left_out);
	return rc;
}

/* The text of .schema: 1, or 0 when there is none that could be one. */
static int schema_text(struct sw_sql_table *t, struct sw_buf *out)
{
	const struct sw_scan_row *row;
	struct sw_view name = sw_view_str(SW_SCHEMA_NAME);
	struct sw_scan *scan = NULL;
	int rc = sw_scan_new(t->sql->snap, &t->table->table.root, &scan);

	if (rc == 0)
		rc = sw_scan_seek(scan, name);
	if (rc == 0)
		rc = sw_scan_next(scan, &row);
	if (rc > 0 && (!sw_view_eq(row->key, name) || row->row.size > SW_SCHEMA_TEXT_MAX))
		rc = 0;
	if (rc > 0) {
		rc = sw_scan_read(scan, &row->row, 0, (size_t)row->row.size, out);
		rc = rc < 0 ? rc : 1;
	}
	sw_scan_free(scan);
	return rc;
}

static int find_columns(struct sw_sql_table *t)
{
	struct sw_schema *schema = NULL;
	SW_BUF text = {0};
	int rc = schema_text(t, &text);

	if (rc > 0) {
		rc = sw_schema_new(sw_buf_view(&text), &schema);
		/* A merge may have made one that is none. */
		if (rc == SW_EINVAL)
			rc = 0;
	}
	sw_column_names_fini(&t->columns);
	sw_buf_reset(&t->statement);
	sw_buf_printf(&t->statement, "CREATE TABLE t(%s TEXT PRIMARY KEY", key_name);
	if (rc == 0)
		rc = schema ? columns_of_schema(t, schema) : columns_of_rows(t);
	sw_schema_free(schema);
	for (size_t i = 0; i < SW_SQL_N_OWN; i++)
		sw_buf_printf(&t->statement, ", %s HIDDEN", own_names[i]);
	/* A row of the table is known by its name: a number of its own would change with every row before it. */
	sw_buf_put(&t->statement, ") WITHOUT ROWID", sizeof(") WITHOUT ROWID"));
	if (rc == 0)
		rc = t->statement.rc;
	t->has_columns = rc == 0;
	return rc;
}

/* The table */

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **message)
{
	struct sw_sql_table *t = aux;
	struct vtab *v;
	int rc;

	(void)argc;
	(void)argv;
	if (t->other) {
		SW_BUF names = {0};

		sw_text_put_name(&names, t->table->name);
		sw_buf_printf(&names, " and ");
		sw_text_put_name(&names, t->other->name);
		rc = sw_fail(SW_EINVAL, "the tables %.*s differ only in case, which SQL does not tell apart; use 'swarmfs export'",
			     (int)names.n, (const char *)names.p);
		return fault(t, message, rc);
	}
	rc = t->has_columns ? 0 : find_columns(t);
	if (rc < 0)
		return fault(t, message, rc);
	t->sql->declares = true;
	rc = sqlite3_declare_vtab(db, (const char *)t->statement.p);
	t->sql->declares = false;
	if (rc == SQLITE_OK)
		rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
	if (rc != SQLITE_OK)
		return rc;
	v = sqlite3_malloc(sizeof(*v));
	if (!v)
		return SQLITE_NOMEM;
	*v = (struct vtab){.t = t};
	*out = &v->base;
	return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base)
{
	sqlite3_free(base);
	return SQLITE_OK;
}

static bool is_high(int op)
{
	return op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE;
}

/* The bit of a condition on _key that a scan can make use of, or 0. */
static int plan_of(sqlite3_index_info *info, int i)
{
	const struct sqlite3_index_constraint *c = &info->aConstraint[i];

	if (!c->usable || c->iColumn != SW_SQL_KEY_COLUMN || sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") != 0)
		return 0;
	if (c->op == SQLITE_INDEX_CONSTRAINT_EQ)
		return PLAN_EQ;
	if (c->op == SQLITE_INDEX_CONSTRAINT_GT || c->op == SQLITE_INDEX_CONSTRAINT_GE)
		return PLAN_LOW;
	return is_high(c->op) ? PLAN_HIGH : 0;
}

/* SQLite checks all conditions again; what is used here only saves rows. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
	const struct vtab *v = (const struct vtab *)base;
	double n_rows = (double)v->t->table->table.n_rows;
	int which[PLAN_HIGH + 1] = {0}, n = 0;

	for (int i = 0; i < info->nConstraint; i++) {
		int plan = plan_of(info, i);

		if (plan != 0)
			which[plan] = i + 1;
	}
	if (which[PLAN_EQ])
		which[PLAN_LOW] = which[PLAN_HIGH] = 0;
	for (int plan = PLAN_EQ; plan <= PLAN_HIGH; plan *= 2) {
		if (!which[plan])
			continue;
		info->aConstraintUsage[which[plan] - 1].argvIndex = ++n;
		info->idxNum |= plan;
		n_rows /= 4;
	}
	if (which[PLAN_EQ]) {
		info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
		n_rows = 1;
	}
	info->estimatedRows = (sqlite3_int64)n_rows + 1;
	info->estimatedCost = n_rows + 10;
	info->orderByConsumed = info->nOrderBy == 1 && info->aOrderBy[0].iColumn == SW_SQL_KEY_COLUMN && !info->aOrderBy[0].desc;
	return SQLITE_OK;
}

/* Cursors */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
	const struct vtab *v = (const struct vtab *)base;
	struct cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return SQLITE_NOMEM;
	if (sw_scan_new(v->t->sql->snap, &v->t->table->table.root, &c->scan) < 0) {
		free(c);
		return SQLITE_NOMEM;
	}
	*out = &c->base;
	return SQLITE_OK;
}

static void forget_row(struct cursor *c)
{
	c->row = NULL;
	c->is_loaded = c->is_parsed = false;
	sw_columns_fini(&c->columns);
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;

	forget_row(c);
	sw_scan_free(c->scan);
	sw_buf_fini(&c->high);
	sw_buf_fini(&c->large);
	sw_buf_fini(&c->text);
	sw_buf_fini(&c->last);
	sw_buf_fini(&c->changed_bytes);
	free(c);
	return SQLITE_OK;
}

static struct sw_sql_table *table_of(struct cursor *c)
{
	return ((struct vtab *)c->base.pVtab)->t;
}

/* The next row of the snapshot that was not taken yet: 1, or 0 at the end. */
static int look_below(struct cursor *c)
{
	int rc = 1;

	while (rc > 0 && (!c->below || sw_view_eq(c->below->key, sw_view_str(SW_SCHEMA_NAME))))
		rc = sw_scan_next(c->scan, &c->below);
	if (rc <= 0)
		c->below = NULL;
	return rc;
}

static int note_last(struct cursor *c, struct sw_view key)
{
	sw_buf_reset(&c->last);
	sw_buf_put_view(&c->last, key);
	c->has_last = true;
	return c->last.rc;
}

static int show_changed(struct cursor *c, const struct sw_sql_change *change)
{
	sw_buf_reset(&c->changed_bytes);
	sw_buf_put_view(&c->changed_bytes, change->bytes);
	c->changed = (struct sw_scan_row){.key = sw_buf_view(&c->last),
					  .row = {.mode = change->mode,
						  .mtime_ns = change->mtime_ns,
						  .size = change->bytes.n,
						  .bytes = sw_buf_view(&c->changed_bytes)}};
	c->row = &c->changed;
	return c->changed_bytes.rc;
}

/* Take the first of the snapshot's row and the changed one, which stands for the other if they have one key: 1, or 0 at the end. */
static int take(struct cursor *c)
{
	const struct sw_sql_change *change = NULL;
	struct sw_sql_table *t = table_of(c);
	int rc = look_below(c), order;

	if (rc >= 0 && t->changes.n > 0)
		change = sw_sql_changes_seek(&t->changes, sw_buf_view(&c->last), c->has_last);
	if (rc < 0 || (rc == 0 && !change))
		return rc;
	order = !change ? -1 : rc == 0 ? 1 : sw_view_cmp(c->below->key, change->key);
	if (order < 0)
		c->row = c->below;
	if (t->sql->can_write)
		rc = note_last(c, order < 0 ? c->row->key : change->key);
	if (rc >= 0 && order >= 0 && !change->is_gone)
		rc = show_changed(c, change);
	if (order <= 0)
		c->below = NULL;
	return rc < 0 ? rc : 1;
}

static bool is_past(const struct cursor *c, struct sw_view key)
{
	return c->has_high && sw_view_cmp(key, sw_buf_view(&c->high)) > 0;
}

static int next(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;
	int rc;

	forget_row(c);
	do
		rc = take(c);
	while (rc > 0 && !c->row && !is_past(c, sw_buf_view(&c->last)));
	if (rc < 0)
		return fault(table_of(c), &c->base.pVtab->zErrMsg, rc);
	if (c->row && is_past(c, c->row->key))
		c->row = NULL;
	return SQLITE_OK;
}

/* The text that a key is compared with. A BLOB comes after any text, and no key is equal to it. */
static bool key_of(sqlite3_value *value, struct sw_view *out)
{
	const void *p;

	if (sqlite3_value_type(value) == SQLITE_BLOB || sqlite3_value_type(value) == SQLITE_NULL)
		return false;
	p = sqlite3_value_text(value);
	*out = sw_view(p, (size_t)sqlite3_value_bytes(value));
	return p != NULL;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *name, int argc, sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)base;
	struct sw_view low = sw_view("", 0), high = sw_view("", 0);
	int i = 0, rc;

	(void)name;
	(void)argc;
	c->has_high = false;
	forget_row(c);
	if (plan & PLAN_EQ) {
		if (!key_of(argv[i++], &low))
			return SQLITE_OK;
		high = low;
		c->has_high = true;
	}
	if (plan & PLAN_LOW && !key_of(argv[i++], &low))
		low = sw_view("", 0);
	if (plan & PLAN_HIGH)
		c->has_high = key_of(argv[i], &high);
	sw_buf_reset(&c->high);
	sw_buf_put_view(&c->high, high);
	c->below = NULL;
	c->has_last = false;
	sw_buf_reset(&c->last);
	sw_buf_put_view(&c->last, low);
	rc = sw_scan_seek(c->scan, low);
	if (rc < 0 || c->high.rc < 0 || c->last.rc < 0)
		return SQLITE_NOMEM;
	return next(base);
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
	return ((struct cursor *)base)->row == NULL;
}

/* Values */

static int load(struct cursor *c)
{
	const struct sw_row *row = &c->row->row;
	int rc = 0;

	if (c->is_loaded)
		return 0;
	c->bytes = row->bytes;
	if (row->size > SW_SQL_VALUE_MAX)
		return sw_fail(SW_ELIMIT, "a row has more than %zu MiB, too many for SQL; 'swarmfs show' prints it", SW_SQL_VALUE_MAX >> 20);
	if (row->is_blob) {
		sw_buf_reset(&c->large);
		rc = sw_scan_read(c->scan, row, 0, (size_t)row->size, &c->large);
		c->bytes = sw_buf_view(&c->large);
	}
	c->is_loaded = rc == 0;
	return rc;
}

static int parse_row(struct cursor *c)
{
	int rc = 0;

	if (c->is_parsed)
		return 0;
	if (sw_columns_possible(c->row->key, (size_t)c->row->row.size)) {
		rc = load(c);
		if (rc == 0)
			rc = sw_columns_parse(c->row->key, c->bytes, &c->columns);
	}
	c->is_parsed = rc >= 0;
	return rc < 0 ? rc : 0;
}

static void put_text(sqlite3_context *out, struct sw_view v)
{
	sqlite3_result_text64(out, v.n ? (const char *)v.p : "", v.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static int put_number(sqlite3_context *out, struct cursor *c, struct sw_view value)
{
	struct sw_json_number number;
	int rc = sw_json_number(value, &c->text, &number);

	if (rc == 0 && number.is_whole)
		sqlite3_result_int64(out, number.whole);
	else if (rc == 0)
		sqlite3_result_double(out, number.real);
	return rc;
}

static int put_value(sqlite3_context *out, struct cursor *c, struct sw_view value)
{
	int rc = 0;

	switch (value.p[0]) {
	case '"':
		sw_buf_reset(&c->text);
		rc = sw_json_unescape(sw_view(value.p + 1, value.n - 2), &c->text);
		if (rc == 0)
			put_text(out, sw_buf_view(&c->text));
		return rc;
	case '{':
	case '[':
		put_text(out, value);
		return 0;
	case 't':
	case 'f':
		sqlite3_result_int(out, value.p[0] == 't');
		return 0;
	case 'n':
		sqlite3_result_null(out);
		return 0;
	default:
		return put_number(out, c, value);
	}
}

/* The primary key of a row that leaves it out is its name. */
static void put_stem(sqlite3_context *out, struct cursor *c)
{
	struct sw_view key = c->row->key;

	if (sw_schema_concerns(key))
		put_text(out, sw_view(key.p, key.n - strlen(SW_SCHEMA_ROW_SUFFIX)));
}

static int put_column(sqlite3_context *out, struct cursor *c, size_t i)
{
	const struct sw_sql_table *t = table_of(c);
	const struct sw_column *column;
	int rc = parse_row(c);

	if (rc < 0)
		return rc;
	column = sw_columns_find(&c->columns, sw_buf_view(&t->columns.v[i]));
	if (column)
		return put_value(out, c, column->value);
	if (i == t->primary)
		put_stem(out, c);
	return 0;
}

static int put_bytes(sqlite3_context *out, struct cursor *c)
{
	int rc = load(c);

	if (rc < 0)
		return rc;
	if (c->bytes.n == 0 || (sw_json_is_utf8(c->bytes) && !memchr(c->bytes.p, 0, c->bytes.n)))
		put_text(out, c->bytes);
	else
		sqlite3_result_blob64(out, c->bytes.p, c->bytes.n, SQLITE_TRANSIENT);
	return 0;
}

static int put_own(sqlite3_context *out, struct cursor *c, enum sw_sql_own i)
{
	switch (i) {
	case SW_SQL_OWN_BYTES:
		return put_bytes(out, c);
	case SW_SQL_OWN_SIZE:
		sqlite3_result_int64(out, (sqlite3_int64)c->row->row.size);
		return 0;
	case SW_SQL_OWN_MODE:
		sqlite3_result_int(out, c->row->row.mode);
		return 0;
	default:
		sqlite3_result_int64(out, c->row->row.mtime_ns);
		return 0;
	}
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *out, int i)
{
	struct cursor *c = (struct cursor *)base;
	size_t n = table_of(c)->columns.n, at = (size_t)i;
	int rc = 0;

	if (at == SW_SQL_KEY_COLUMN)
		put_text(out, c->row->key);
	else if (sqlite3_vtab_nochange(out))
		return SQLITE_OK; /* an UPDATE leaves it as it is, and need not know it */
	else if (at < SW_SQL_FIRST_COLUMN + n)
		rc = put_column(out, c, at - SW_SQL_FIRST_COLUMN);
	else
		rc = put_own(out, c, (enum sw_sql_own)(at - SW_SQL_FIRST_COLUMN - n));
	if (rc < 0) {
		table_of(c)->sql->rc = rc;
		sqlite3_result_error(out, sw_fail_message(rc), -1);
	}
	return rc < 0 ? SQLITE_ERROR : SQLITE_OK;
}

static int update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
	struct sw_sql_table *t = ((struct vtab *)base)->t;
	int rc = sw_sql_write(t, argc, argv);

	(void)rowid;
	return rc < 0 ? fault(t, &base->zErrMsg, rc) : SQLITE_OK;
}

static const sqlite3_module module = {
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = is_at_end,
    .xColumn = column,
    .xUpdate = update,
};

int sw_sql_table_register(struct sw_sql_table *t)
{
	struct sw_view name = t->table->name;
	char text[SW_NAME_MAX + 1];

	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return sqlite3_create_module(t->sql->db, text, &module, t);
}

void sw_sql_table_fini(struct sw_sql_table *t)
{
	sw_column_names_fini(&t->columns);
	sw_buf_fini(&t->statement);
	sw_sql_changes_fini(&t->changes);
}
