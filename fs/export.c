/* Export, the common part: rows that import could read again, and what it would make of them. */
#include "fs/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/schema.h"
#include "fs/export_internal.h"
#include "fs/import_internal.h"
#include "fs/json_out.h"
#include "fs/text.h"

static const struct {
	const char *name, *suffix;
	enum sw_export_format format;
} formats[] = {
    {"jsonl", ".jsonl", SW_EXPORT_LINES}, {"jsonl", ".ndjson", SW_EXPORT_LINES}, {"json", ".json", SW_EXPORT_JSON},
    {"csv", ".csv", SW_EXPORT_CSV},	  {"tar", ".tar", SW_EXPORT_TAR},
};
#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

#define ANY_NAME "row.json" /* the bytes decide whether there are columns */

int sw_export_format_parse(const char *name, enum sw_export_format *out)
{
	for (size_t i = 0; i < N_FORMATS; i++) {
		if (strcmp(name, formats[i].name) == 0) {
			*out = formats[i].format;
			return 0;
		}
	}
	return sw_fail(SW_EINVAL, "--format is jsonl, json, csv or tar, not '%s'", name);
}

bool sw_export_format_of(const char *path, enum sw_export_format *out)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < N_FORMATS; i++) {
		size_t m = strlen(formats[i].suffix);

		if (n > m && strcmp(path + n - m, formats[i].suffix) == 0) {
			*out = formats[i].format;
			return true;
		}
	}
	return false;
}

/* Names */

/* Whether import would make that name of that value. */
static int makes_stem(struct sw_view value, struct sw_view stem, bool *out)
{
	SW_BUF text = {0};
	int rc = 0;

	*out = false;
	if (value.p[0] == '"')
		rc = sw_json_unescape(sw_view(value.p + 1, value.n - 2), &text);
	else if (value.p[0] == '-' || (value.p[0] >= '0' && value.p[0] <= '9'))
		sw_buf_put_view(&text, value);
	else
		return 0;
	*out = rc == 0 && sw_view_eq(sw_buf_view(&text), stem);
	return rc < 0 ? rc : text.rc;
}

/* The first row says which columns it may be. */
static int begin_names(struct sw_export_names *names, struct sw_view object, struct sw_view stem)
{
	struct sw_json_iter it;
	struct sw_json_member m;
	int rc;

	sw_json_iter_init(&it, object);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		bool fits;

		names->has_id = names->has_id || sw_view_eq(m.key, sw_view_str("id"));
		rc = makes_stem(m.value, stem, &fits);
		if (rc < 0)
			return rc;
		if (!fits || names->n_keys == SW_EXPORT_KEYS_MAX)
			continue;
		sw_buf_put_view(&names->keys[names->n_keys], m.key);
		if (names->keys[names->n_keys++].rc < 0)
			return SW_ENOMEM;
	}
	return rc;
}

static void drop_key(struct sw_export_names *names, size_t i)
{
	sw_buf_fini(&names->keys[i]);
	names->n_keys--;
	memmove(&names->keys[i], &names->keys[i + 1], (names->n_keys - i) * sizeof(names->keys[0]));
	names->keys[names->n_keys] = (struct sw_buf){0};
}

/* The others say which it is not. */
static int narrow_names(struct sw_export_names *names, struct sw_view object, struct sw_view stem)
{
	bool fits[SW_EXPORT_KEYS_MAX] = {false};
	struct sw_json_iter it;
	struct sw_json_member m;
	int rc;

	if (names->n_keys == 0)
		return 0;
	sw_json_iter_init(&it, object);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		for (size_t i = 0; rc >= 0 && i < names->n_keys; i++)
			if (sw_view_eq(m.key, sw_buf_view(&names->keys[i])))
				rc = makes_stem(m.value, stem, &fits[i]);
		if (rc < 0)
			return rc;
	}
	for (size_t i = names->n_keys; i-- > 0;)
		if (!fits[i])
			drop_key(names, i);
	return rc;
}

static int look_at_name(struct sw_export_names *names, struct sw_view object, struct sw_view key)
{
	static const char suffix[] = ".json";
	bool is_ours = key.n > strlen(suffix) && memcmp(key.p + key.n - strlen(suffix), suffix, strlen(suffix)) == 0;
	struct sw_view stem = is_ours ? sw_view(key.p, key.n - strlen(suffix)) : sw_view(NULL, 0);
	char number[32];

	snprintf(number, sizeof(number), "%08" PRIu64, ++names->n_rows);
	names->is_numbered = (names->n_rows == 1 || names->is_numbered) && sw_view_eq(stem, sw_view_str(number));
	if (names->n_rows == 1)
		return begin_names(names, object, stem);
	return narrow_names(names, object, stem);
}

static bool has_key(const struct sw_export_names *names, const char *key)
{
	for (size_t i = 0; i < names->n_keys; i++)
		if (sw_view_eq(sw_buf_view(&names->keys[i]), sw_view_str(key)))
			return true;
	return false;
}

static void note_names(const struct sw_export_names *names, struct sw_buf *out)
{
	if (names->n_rows == 0 || (names->has_id ? has_key(names, "id") : names->is_numbered))
		return;
	if (names->n_keys > 0) {
		sw_buf_printf(out, "to get rows of the same names again, import it with --key ");
		sw_text_put_name(out, sw_buf_view(&names->keys[0]));
		sw_buf_printf(out, "\n");
	} else if (names->is_numbered) {
		sw_buf_printf(out, "to get rows of the same names again, import it with --number\n");
	} else {
		sw_buf_printf(out, "no column has the names of the rows, so import would give them others; --format tar keeps them\n");
	}
}

/* Rows */

struct sw_view sw_export_object(struct sw_view bytes)
{
	return sw_import_trim(bytes);
}

/* A row that the format has no place for. */
static int refuse(struct sw_export_rows *rows, const struct sw_scan_row *row, int rc, const char *why)
{
	SW_BUF path = {0};

	if (rows->x->skip) {
		rows->n_skipped++;
		return 0;
	}
	sw_text_put_path(&path, rows->table, row->key);
	return sw_fail(rc, "the row %.*s %s; --format tar takes every row, and --skip leaves such rows out", (int)path.n,
		       (const char *)path.p, why);
}

/* The bytes of a row, which is not too long: in the scan, or in rows->bytes. */
static int bytes_of(struct sw_export_rows *rows, const struct sw_row *row, struct sw_view *out)
{
	int rc;

	*out = row->bytes;
	if (!row->is_blob)
		return 0;
	sw_buf_reset(&rows->bytes);
	rc = sw_scan_read(rows->scan, row, 0, (size_t)row->size, &rows->bytes);
	*out = sw_buf_view(&rows->bytes);
	return rc;
}

/* The array is a level of its own, of those that there may be. */
static bool fits_array(struct sw_export_rows *rows, struct sw_view object)
{
	struct sw_buf *array = &rows->array;

	sw_buf_reset(array);
	sw_buf_put_u8(array, '[');
	sw_buf_put_view(array, object);
	sw_buf_put_u8(array, ']');
	return sw_json_validate(sw_buf_view(array)) == 0;
}

/* 1: the row can be written; 0: it was left out. */
static int judge(struct sw_export_rows *rows, const struct sw_scan_row *row, struct sw_view *bytes)
{
	struct sw_view text;
	int rc;

	if (row->row.size > SW_EXPORT_ROW_MAX)
		return refuse(rows, row, SW_ELIMIT, "has more than 64 MiB");
	rc = bytes_of(rows, &row->row, bytes);
	if (rc < 0)
		return rc;
	text = sw_export_object(*bytes);
	if (text.n == 0 || text.p[0] != '{' || sw_json_validate(text) < 0)
		return refuse(rows, row, SW_EFORMAT, "is no JSON object");
	if (rows->is_array && !fits_array(rows, text))
		return refuse(rows, row, SW_EFORMAT, "is nested too deep to stand in an array");
	if (!rows->has_columns)
		return 1;
	sw_columns_fini(&rows->columns);
	rc = sw_columns_parse(sw_view_str(ANY_NAME), *bytes, &rows->columns);
	return rc != 0 ? rc : refuse(rows, row, SW_EFORMAT, "has a column twice, or is too large to have columns");
}

int sw_export_next(struct sw_export_rows *rows, struct sw_view *key, struct sw_view *bytes)
{
	const struct sw_scan_row *row;
	int rc;

	while ((rc = sw_scan_next(rows->scan, &row)) > 0) {
		if (sw_view_eq(row->key, sw_view_str(SW_SCHEMA_NAME))) {
			rows->has_schema = true;
			continue;
		}
		if (ferror(rows->x->out) || rows->x->is_gone(rows->x->arg))
			return SW_ECLOSED;
		rc = judge(rows, row, bytes);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		*key = row->key;
		rows->n_rows++;
		return 1;
	}
	return rc;
}

int sw_export_rewind(struct sw_export_rows *rows)
{
	rows->n_rows = rows->n_skipped = 0;
	return sw_scan_seek(rows->scan, sw_view("", 0));
}

int sw_export_compare(struct sw_export_rows *rows, struct sw_view key, struct sw_view bytes, bool is_same)
{
	rows->n_changed += !is_same;
	return look_at_name(&rows->names, sw_export_object(bytes), key);
}

static bool is_object_and_newline(struct sw_view bytes)
{
	struct sw_view text = sw_export_object(bytes);

	return text.p == bytes.p && bytes.n == text.n + 1 && bytes.p[text.n] == '\n';
}

static int put_lines(struct sw_export_rows *rows)
{
	struct sw_view key, bytes;
	SW_BUF flat = {0};
	int rc;

	while ((rc = sw_export_next(rows, &key, &bytes)) > 0) {
		struct sw_view text = sw_export_object(bytes);
		bool is_flat = !memchr(text.p, '\n', text.n);

		if (!is_flat) {
			sw_buf_reset(&flat);
			sw_json_put_value(&flat, text);
			text = sw_buf_view(&flat);
		}
		if (flat.rc < 0)
			return flat.rc;
		fwrite(text.p, 1, text.n, rows->x->out);
		fputc('\n', rows->x->out);
		rc = sw_export_compare(rows, key, bytes, is_flat && is_object_and_newline(bytes));
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int put_array(struct sw_export_rows *rows)
{
	struct sw_view key, bytes;
	int rc;

	rows->is_array = true;
	fputc('[', rows->x->out);
	while ((rc = sw_export_next(rows, &key, &bytes)) > 0) {
		struct sw_view text = sw_export_object(bytes);

		fputs(rows->n_rows > 1 ? ",\n" : "\n", rows->x->out);
		fwrite(text.p, 1, text.n, rows->x->out);
		rc = sw_export_compare(rows, key, bytes, is_object_and_newline(bytes));
		if (rc < 0)
			return rc;
	}
	fputs("\n]\n", rows->x->out);
	return rc;
}

static void note(struct sw_export_rows *rows)
{
	struct sw_buf *out = &rows->x->notes;

	if (rows->has_schema)
		sw_buf_printf(out, "the schema was left out; --format tar keeps it\n");
	if (rows->n_skipped > 0)
		sw_buf_printf(out, "%" PRIu64 " row%s left out, being no JSON object%s; --format tar takes every row\n", rows->n_skipped,
			      rows->n_skipped == 1 ? " was" : "s were", rows->n_skipped == 1 ? "" : "s");
	if (rows->n_changed > 0)
		sw_buf_printf(out, "%" PRIu64 " row%s not be the same bytes when imported again; --format tar keeps them\n",
			      rows->n_changed, rows->n_changed == 1 ? " would" : "s would");
	note_names(&rows->names, out);
}

int sw_export_find(const struct sw_scan_tables *tables, struct sw_view name, const struct sw_scan_table **out)
{
	SW_BUF shown = {0};

	*out = sw_scan_tables_find(tables, name);
	if (*out)
		return 0;
	sw_text_put_name(&shown, name);
	return sw_fail(SW_ENOTFOUND, "there is no table %.*s as of that commit; 'swarmfs commit' commits what was just written",
		       (int)shown.n, (const char *)shown.p);
}

int sw_export_table(struct sw_export *x, struct sw_view table, enum sw_export_format format)
{
	SW_CLEANUP(sw_scan_tables_fini) struct sw_scan_tables tables = {0};
	struct sw_export_rows rows = {.x = x, .table = table};
	const struct sw_scan_table *t;
	int rc = sw_scan_tables_load(x->snap, &tables);

	if (rc == 0)
		rc = sw_export_find(&tables, table, &t);
	if (rc == 0)
		rc = sw_scan_new(x->snap, &t->table.root, &rows.scan);
	if (rc == 0)
		rc = format == SW_EXPORT_CSV ? sw_export_csv(&rows) : format == SW_EXPORT_JSON ? put_array(&rows) : put_lines(&rows);
	if (rc == 0)
		note(&rows);
	for (size_t i = 0; i < rows.names.n_keys; i++)
		sw_buf_fini(&rows.names.keys[i]);
	sw_scan_free(rows.scan);
	sw_columns_fini(&rows.columns);
	sw_buf_fini(&rows.bytes);
	sw_buf_fini(&rows.array);
	return rc < 0 ? rc : x->notes.rc;
}
