/*
 * What INSERT, UPDATE and DELETE do to a table: rows are made of columns, or of bytes, and kept as changes (fs/sql_change.h).
 *
 * A value is written as that member of which a query gives it: text that is a JSON array or object as it is, other text as a string;
 * and a member that has the value already keeps the bytes that it has.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/blob.h"
#include "core/columns.h"
#include "core/json.h"
#include "core/schema.h"
#include "fs/sql_internal.h"
#include "fs/sql_out.h"
#include "fs/text.h"

#define ROW_MODE 0644

struct write {
	struct sw_sql_table *t;
	sqlite3_value **v; /* of the columns, in the order in which the table declares them */
	bool replaces, ignores; /* when there is a row of that name already */
};

int sw_sql_fail_row(struct sw_view table, struct sw_view key, int rc, const char *what)
{
	SW_BUF name = {0};

	sw_text_put_path(&name, table, key);
	return sw_fail(rc, "%.*s %s", (int)name.n, (const char *)name.p, what);
}

static int refuse(const struct write *w, struct sw_view key, int rc, const char *what)
{
	return sw_sql_fail_row(w->t->table->name, key, rc, what);
}

/* Rows as they are now */

void sw_sql_row_fini(struct sw_sql_row *row)
{
	sw_buf_fini(&row->bytes);
}

int sw_sql_row_load_below(struct sw_sql_table *t, struct sw_view key, struct sw_sql_row *out)
{
	struct sw_reader r;
	struct sw_view value;
	struct sw_row row;
	int rc;

	*out = (struct sw_sql_row){.mode = ROW_MODE};
	if (sw_hash_is_zero(&t->table->table.root))
		return 0;
	rc = sw_snap_read(t->sql->snap, &r);
	if (rc < 0)
		return rc;
	rc = sw_tree_get(r.nodes, &t->table->table.root, key, &value);
	if (rc == 0)
		rc = sw_row_decode(value, &row);
	if (rc == 0 && row.size > SW_SQL_CHANGES_BYTES_MAX)
		rc = sw_fail(SW_ELIMIT, "a row of %zu MiB or more cannot be changed in SQL; use a file of a mount",
			     SW_SQL_CHANGES_BYTES_MAX >> 20);
	else if (rc == 0)
		rc = sw_row_read(r.nodes, &row, &out->bytes);
	if (rc == 0) {
		out->is_there = true;
		sw_row_hash(&row, &out->old);
		out->mode = row.mode;
		out->mtime_ns = row.mtime_ns;
	}
	sw_reader_end(&r);
	return rc == SW_ENOTFOUND ? 0 : rc;
}

int sw_sql_row_load(struct sw_sql_table *t, struct sw_view key, struct sw_sql_row *out)
{
	const struct sw_sql_change *change = sw_sql_changes_find(&t->changes, key);

	if (!change)
		return sw_sql_row_load_below(t, key, out);
	*out = (struct sw_sql_row){0};
	out->is_there = !change->is_gone;
	out->old = change->old;
	out->mode = change->mode;
	out->mtime_ns = change->mtime_ns;
	sw_buf_put_view(&out->bytes, change->bytes);
	return out->bytes.rc;
}

/* Other bytes for a row that was loaded, or with is_gone none. */
static int put(const struct write *w, struct sw_view key, const struct sw_sql_row *row, bool is_gone, struct sw_view bytes)
{
	struct sw_sql *s = w->t->sql;
	struct sw_sql_change *there = sw_sql_changes_find(&w->t->changes, key);
	struct sw_sql_change change = {
	    .key = key, .old = row->old, .mode = row->mode, .mtime_ns = row->mtime_ns, .is_gone = is_gone, .bytes = bytes};
	size_t n_before = there ? there->bytes.n : 0;
	int rc;

	if ((!there && s->n_changes == SW_SQL_CHANGES_MAX) || s->n_changed_bytes - n_before + bytes.n > SW_SQL_CHANGES_BYTES_MAX)
		return sw_fail(SW_ELIMIT, "the statements change more than %d rows or %zu MiB, too much for one commit; change less at a "
					  "time, for example with conditions on _key",
			       SW_SQL_CHANGES_MAX, SW_SQL_CHANGES_BYTES_MAX >> 20);
	rc = there ? sw_sql_change_set(there, is_gone, bytes) : sw_sql_changes_add(&w->t->changes, &change);
	if (rc < 0)
		return rc;
	s->n_changes += !there;
	s->n_changed_bytes += bytes.n - n_before;
	return 0;
}

/* Values */

static struct sw_view bytes_of(sqlite3_value *v)
{
	const void *p = sqlite3_value_type(v) == SQLITE_BLOB ? sqlite3_value_blob(v) : (const void *)sqlite3_value_text(v);

	return sw_view(p, (size_t)sqlite3_value_bytes(v));
}

static bool is_array_or_object(struct sw_view text)
{
	return text.n > 0 && (text.p[0] == '[' || text.p[0] == '{') && sw_json_validate(text) == 0;
}

/* The value as a member; `before` is what it replaces, or empty. */
static int put_json(struct sw_buf *out, sqlite3_value *v, struct sw_view before)
{
	bool was_bool = before.n > 0 && (before.p[0] == 't' || before.p[0] == 'f');

	switch (sqlite3_value_type(v)) {
	case SQLITE_INTEGER:
		/* What was true or false stays so, though SQL has no such thing. */
		if (was_bool && (sqlite3_value_int64(v) & ~(sqlite3_int64)1) == 0)
			sw_buf_put_view(out, sw_view_str(sqlite3_value_int64(v) ? "true" : "false"));
		else
			sw_buf_printf(out, "%" PRId64, (int64_t)sqlite3_value_int64(v));
		break;
	case SQLITE_FLOAT:
		sw_sql_put_real(out, sqlite3_value_double(v));
		break;
	case SQLITE_TEXT:
		if (!is_array_or_object(bytes_of(v)))
			return sw_json_put_string(out, bytes_of(v));
		sw_buf_put_view(out, bytes_of(v));
		break;
	case SQLITE_BLOB:
		return SW_EFORMAT;
	default:
		sw_buf_put_view(out, sw_view_str("null"));
		break;
	}
	return out->rc;
}

static int is_same_number(sqlite3_value *v, struct sw_view json)
{
	struct sw_json_number number;
	SW_BUF scratch = {0};
	int rc = sw_json_number(json, &scratch, &number);

	if (rc < 0)
		return rc;
	if (number.is_whole)
		return sqlite3_value_type(v) == SQLITE_INTEGER && sqlite3_value_int64(v) == number.whole;
	return sqlite3_value_type(v) == SQLITE_FLOAT && sqlite3_value_double(v) == number.real;
}

/* Whether that is the value which a query gives for the member: 1 or 0. */
static int is_same(sqlite3_value *v, struct sw_view json)
{
	int type = sqlite3_value_type(v), rc;
	SW_BUF text = {0};

	switch (json.p[0]) {
	case '"':
		rc = sw_json_unescape(sw_view(json.p + 1, json.n - 2), &text);
		return rc < 0 ? rc : type == SQLITE_TEXT && sw_view_eq(bytes_of(v), sw_buf_view(&text));
	case '{':
	case '[':
		return type == SQLITE_TEXT && sw_view_eq(bytes_of(v), json);
	case 't':
	case 'f':
		return type == SQLITE_INTEGER && sqlite3_value_int64(v) == (json.p[0] == 't');
	case 'n':
		return type == SQLITE_NULL;
	default:
		return is_same_number(v, json);
	}
}

static struct sw_view stem_of(struct sw_view key)
{
	return sw_view(key.p, key.n - strlen(SW_SCHEMA_ROW_SUFFIX));
}

/* Whether a column is to become another one: 1 or 0. before: the member, or NULL. */
static int is_changed(const struct write *w, size_t i, struct sw_view key, const struct sw_column *before)
{
	sqlite3_value *v = w->v[SW_SQL_FIRST_COLUMN + i];
	int rc;

	if (sqlite3_value_nochange(v))
		return 0;
	if (before) {
		rc = is_same(v, before->value);
		return rc < 0 ? rc : !rc;
	}
	/* The primary key that a row leaves out is its name. */
	if (i == w->t->primary && sqlite3_value_type(v) == SQLITE_TEXT && sw_schema_concerns(key) &&
	    sw_view_eq(bytes_of(v), stem_of(key)))
		return 0;
	return sqlite3_value_type(v) != SQLITE_NULL;
}

/* The columns that become others, as an object: their number. before: of the row, without any if there is none. */
static int put_object(const struct write *w, struct sw_view key, const struct sw_columns *before, struct sw_buf *out)
{
	int n = 0;

	sw_buf_put_u8(out, '{');
	for (size_t i = 0; i < w->t->columns.n; i++) {
		struct sw_view name = sw_buf_view(&w->t->columns.v[i]);
		const struct sw_column *column = before->n ? sw_columns_find(before, name) : NULL;
		int rc = is_changed(w, i, key, column);

		if (rc == 0)
			continue;
		if (rc > 0 && n++ > 0)
			sw_buf_put_u8(out, ',');
		if (rc > 0)
			rc = sw_json_put_string(out, name);
		sw_buf_put_u8(out, ':');
		if (rc == 0)
			rc = put_json(out, w->v[SW_SQL_FIRST_COLUMN + i], column ? column->value : sw_view(NULL, 0));
		if (rc == SW_EFORMAT)
			rc = refuse(w, key, SW_EINVAL, "would get a value that JSON has no place for: a BLOB, or text that is not UTF-8");
		if (rc < 0)
			return rc;
	}
	sw_buf_put_u8(out, '}');
	return out->rc < 0 ? out->rc : n;
}

/* Rows of columns */

static int not_columns(const struct write *w, struct sw_view key)
{
	return refuse(w, key, SW_EINVAL, "has no columns, since its name does not end in .json or it is no JSON object of at most 1 MiB "
					 "with different names; set _bytes");
}

/* Each member of patch in the place of the row's, or behind them; all other bytes stay. */
static int merge(const struct sw_columns *row, const struct sw_columns *patch, struct sw_buf *out)
{
	struct sw_view *kept = calloc(row->n + 1, sizeof(*kept));
	size_t n = 0;
	int rc;

	if (!kept)
		return SW_ENOMEM;
	for (size_t i = 0; i < row->n; i++)
		if (!sw_columns_find(patch, row->by_name[i]->name))
			kept[n++] = row->by_name[i]->name;
	rc = sw_columns_merge(row, patch, kept, n, out);
	free(kept);
	return rc;
}

static int merge_text(const struct write *w, struct sw_view key, const struct sw_columns *row, struct sw_view object, struct sw_buf *out)
{
	SW_CLEANUP(sw_columns_fini) struct sw_columns patch = {0};
	int rc = sw_columns_parse(key, object, &patch);

	if (rc > 0)
		rc = merge(row, &patch, out);
	else if (rc == 0)
		rc = SW_ELIMIT;
	return rc == SW_ELIMIT ? refuse(w, key, SW_EINVAL, "would become larger than 1 MiB") : rc;
}

/* What a row becomes by the columns that are set: 1, or 0 when it stays as it is. */
static int set_columns(const struct write *w, struct sw_view key, struct sw_view bytes, struct sw_buf *out)
{
	SW_CLEANUP(sw_columns_fini) struct sw_columns row = {0};
	SW_BUF object = {0};
	int rc = sw_columns_parse(key, bytes, &row), n;

	if (rc < 0)
		return rc;
	n = put_object(w, key, &row, &object);
	if (n <= 0)
		return n;
	if (rc == 0)
		return not_columns(w, key);
	rc = merge_text(w, key, &row, sw_buf_view(&object), out);
	return rc < 0 ? rc : 1;
}

/* Rows of bytes */

static sqlite3_value *own(const struct write *w, enum sw_sql_own i)
{
	return w->v[SW_SQL_FIRST_COLUMN + w->t->columns.n + i];
}

static bool is_set(sqlite3_value *v)
{
	return !sqlite3_value_nochange(v) && sqlite3_value_type(v) != SQLITE_NULL;
}

static bool sets_number(sqlite3_value *v, int64_t before)
{
	return is_set(v) && sqlite3_value_int64(v) != before;
}

static int check_own(const struct write *w, struct sw_view key, const struct sw_sql_row *row)
{
	if (!sets_number(own(w, SW_SQL_OWN_SIZE), (int64_t)row->bytes.n) && !sets_number(own(w, SW_SQL_OWN_MODE), row->mode) &&
	    !sets_number(own(w, SW_SQL_OWN_MTIME), row->mtime_ns))
		return 0;
	return refuse(w, key, SW_EINVAL, "cannot get another _size, _mode or _mtime_ns here; use chmod and touch in a mount");
}

static int not_both(const struct write *w, struct sw_view key)
{
	return refuse(w, key, SW_EINVAL, "cannot get _bytes and columns at once; set one or the other");
}

/* Names */

static int take_name(const struct write *w, sqlite3_value *v, const char *suffix, struct sw_buf *out)
{
	int rc;

	if (sqlite3_value_type(v) == SQLITE_BLOB)
		return refuse(w, sw_view(NULL, 0), SW_EINVAL, "has no row whose name is a BLOB");
	sw_buf_put_view(out, bytes_of(v));
	sw_buf_put_view(out, sw_view_str(suffix));
	if (out->rc < 0)
		return out->rc;
	rc = sw_name_check(sw_buf_view(out));
	if (rc < 0)
		return refuse(w, sw_view(NULL, 0), rc, "takes names of 1 to 255 bytes without '/' and NUL, and not . or ..");
	if (sw_view_eq(sw_buf_view(out), sw_view_str(SW_SCHEMA_NAME)))
		return refuse(w, sw_buf_view(out), SW_EINVAL, "is a schema and no row; write it as a file of a mount, or import it");
	return 0;
}

/* The column that says what a row is called, by the schema or as import has it; or columns.n. */
static size_t naming_column(const struct sw_sql_table *t)
{
	size_t i = t->primary;

	if (i == t->columns.n)
		for (i = 0; i < t->columns.n && !sw_view_eq(sw_buf_view(&t->columns.v[i]), sw_view_str("id")); i++)
			;
	return i;
}

static int name_new(const struct write *w, struct sw_buf *out)
{
	size_t i = naming_column(w->t);

	if (is_set(w->v[SW_SQL_KEY_COLUMN]))
		return take_name(w, w->v[SW_SQL_KEY_COLUMN], "", out);
	if (i < w->t->columns.n && is_set(w->v[SW_SQL_FIRST_COLUMN + i]))
		return take_name(w, w->v[SW_SQL_FIRST_COLUMN + i], SW_SCHEMA_ROW_SUFFIX, out);
	return refuse(w, sw_view(NULL, 0), SW_EINVAL, "needs the new row's name; give _key, or its primary key or id");
}

/* Whether to write under a name: 1, or 0 when the row that is there stays. */
static int claim(const struct write *w, struct sw_view key, const struct sw_sql_row *there)
{
	if (!there->is_there || w->replaces)
		return 1;
	return w->ignores ? 0 : refuse(w, key, SW_EEXIST, "is there already; UPDATE changes it, INSERT OR REPLACE replaces it");
}

/* The three */

static int new_bytes(const struct write *w, struct sw_view key, struct sw_buf *out)
{
	const struct sw_columns none = {0};
	bool has_bytes = is_set(own(w, SW_SQL_OWN_BYTES));
	int n = put_object(w, key, &none, out);

	if (n < 0)
		return n;
	if (has_bytes) {
		if (n > 0)
			return not_both(w, key);
		sw_buf_reset(out);
		sw_buf_put_view(out, bytes_of(own(w, SW_SQL_OWN_BYTES)));
		return out->rc;
	}
	sw_buf_put_u8(out, '\n');
	if (out->rc < 0)
		return out->rc;
	return sw_columns_possible(key, out->n) ? 0 : not_columns(w, key);
}

static int insert(const struct write *w)
{
	struct sw_sql_row row = {0};
	const struct sw_sql_row fresh = {0};
	SW_BUF key = {0};
	SW_BUF bytes = {0};
	struct sw_view name;
	int rc = name_new(w, &key);

	if (rc < 0)
		return rc;
	name = sw_buf_view(&key);
	rc = sw_sql_row_load(w->t, name, &row);
	if (rc == 0)
		rc = claim(w, name, &row);
	if (rc > 0) {
		rc = check_own(w, name, &fresh);
		if (rc == 0)
			rc = new_bytes(w, name, &bytes);
		if (rc == 0)
			rc = put(w, name, &row, false, sw_buf_view(&bytes));
	}
	sw_sql_row_fini(&row);
	return rc;
}

/* What UPDATE makes of a row: 1, or 0 when it stays as it is. */
static int change_bytes(const struct write *w, struct sw_view key, const struct sw_sql_row *row, struct sw_buf *out)
{
	sqlite3_value *v = own(w, SW_SQL_OWN_BYTES);
	struct sw_view before = sw_buf_view(&row->bytes);
	int rc = check_own(w, key, row);

	if (rc == 0)
		rc = set_columns(w, key, before, out);
	if (rc < 0 || sqlite3_value_nochange(v))
		return rc;
	if (sqlite3_value_type(v) == SQLITE_NULL)
		return refuse(w, key, SW_EINVAL, "cannot have NULL as its _bytes; DELETE removes it");
	if (sw_view_eq(bytes_of(v), before))
		return rc;
	if (rc > 0)
		return not_both(w, key);
	sw_buf_put_view(out, bytes_of(v));
	return out->rc < 0 ? out->rc : 1;
}

static int rename_row(const struct write *w, struct sw_view from, const struct sw_sql_row *row, struct sw_view to, struct sw_view bytes)
{
	struct sw_sql_row there = {0};
	int rc = sw_sql_row_load(w->t, to, &there);

	if (rc == 0)
		rc = claim(w, to, &there);
	if (rc > 0) {
		there.mode = row->mode;
		rc = put(w, from, row, true, sw_view(NULL, 0));
		if (rc == 0)
			rc = put(w, to, &there, false, bytes);
	}
	sw_sql_row_fini(&there);
	return rc;
}

static int update(const struct write *w, struct sw_view key, const struct sw_sql_row *row)
{
	SW_BUF bytes = {0};
	SW_BUF to = {0};
	int rc = take_name(w, w->v[SW_SQL_KEY_COLUMN], "", &to), changes;

	if (rc < 0)
		return rc;
	changes = change_bytes(w, key, row, &bytes);
	if (changes < 0)
		return changes;
	if (!sw_view_eq(key, sw_buf_view(&to)))
		return rename_row(w, key, row, sw_buf_view(&to), changes ? sw_buf_view(&bytes) : sw_buf_view(&row->bytes));
	return changes ? put(w, key, row, false, sw_buf_view(&bytes)) : 0;
}

int sw_sql_write(struct sw_sql_table *t, int argc, sqlite3_value **argv)
{
	int on_conflict = sqlite3_vtab_on_conflict(t->sql->db), rc;
	struct write w = {
	    .t = t, .v = argv + 2, .replaces = on_conflict == SQLITE_REPLACE, .ignores = on_conflict == SQLITE_IGNORE};
	struct sw_sql_row row = {0};
	SW_BUF key = {0};

	if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
		return insert(&w);
	sw_buf_put_view(&key, bytes_of(argv[0]));
	rc = key.rc < 0 ? key.rc : sw_sql_row_load(t, sw_buf_view(&key), &row);
	if (rc == 0 && row.is_there && argc == 1)
		rc = put(&w, sw_buf_view(&key), &row, true, sw_view(NULL, 0));
	else if (rc == 0 && row.is_there)
		rc = update(&w, sw_buf_view(&key), &row);
	sw_sql_row_fini(&row);
	return rc;
}
