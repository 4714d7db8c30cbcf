/*
 * Export as CSV: one walk over the rows finds the columns, a second one writes. A row is compared with what import would make of its
 * record, an object of strings in the order of the columns.
 */
#include <csv.h>
#include <stdlib.h>

#include "core/json.h"
#include "fs/export_internal.h"

/* The columns of the table. */
struct names {
	struct sw_buf *v; /* in the order in which rows have them */
	size_t *sorted;	  /* the same by name */
	size_t n, cap;
};

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		sw_buf_fini(&names->v[i]);
	free(names->v);
	free(names->sorted);
}

/* Where a name stands in names->sorted, or would: true if it is there. */
static bool names_find(const struct names *names, struct sw_view name, size_t *at)
{
	size_t from = 0, to = names->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int c = sw_view_cmp(sw_buf_view(&names->v[names->sorted[mid]]), name);

		if (c == 0) {
			*at = mid;
			return true;
		}
		if (c < 0)
			from = mid + 1;
		else
			to = mid;
	}
	*at = from;
	return false;
}

static int names_grow(struct names *names)
{
	size_t cap = names->cap ? 2 * names->cap : 16;
	struct sw_buf *v = reallocarray(names->v, cap, sizeof(*v));
	size_t *sorted;

	if (!v)
		return SW_ENOMEM;
	names->v = v;
	sorted = reallocarray(names->sorted, cap, sizeof(*sorted));
	if (!sorted)
		return SW_ENOMEM;
	names->sorted = sorted;
	names->cap = cap;
	return 0;
}

static int names_add(struct names *names, struct sw_view name)
{
	size_t at;
	int rc;

	if (names_find(names, name, &at))
		return 0;
	if (names->n == SW_COLUMNS_MAX)
		return sw_fail(SW_ELIMIT, "the rows have more than %d columns, too many for CSV; use --format jsonl", SW_COLUMNS_MAX);
	rc = names->n == names->cap ? names_grow(names) : 0;
	if (rc < 0)
		return rc;
	names->v[names->n] = (struct sw_buf){0};
	sw_buf_put_view(&names->v[names->n], name);
	memmove(&names->sorted[at + 1], &names->sorted[at], (names->n - at) * sizeof(names->sorted[0]));
	names->sorted[at] = names->n;
	return names->v[names->n++].rc;
}

static int find_names(struct sw_export_rows *rows, struct names *names)
{
	struct sw_view key, bytes;
	int rc;

	while ((rc = sw_export_next(rows, &key, &bytes)) > 0) {
		for (size_t i = 0; rc >= 0 && i < rows->columns.n; i++)
			rc = names_add(names, rows->columns.v[i].name);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* What is written, and what import would make of it. */
struct record {
	struct sw_buf csv;
	struct sw_buf again;
	struct sw_buf text; /* a field */
};

static bool needs_quotes(struct sw_view field, bool is_alone)
{
	/* Import takes an empty line for none. */
	if (field.n == 0)
		return is_alone;
	for (size_t i = 0; i < field.n; i++)
		if (memchr(",\"\r\n", field.p[i], 4))
			return true;
	/* A byte order mark at the beginning would be taken off. */
	return field.p[0] == 0xef;
}

static int put_field(struct sw_buf *out, struct sw_view field, bool is_alone)
{
	size_t room = 2 * field.n + 2;
	uint8_t *to;

	if (!needs_quotes(field, is_alone)) {
		sw_buf_put_view(out, field);
		return out->rc;
	}
	to = sw_buf_reserve(out, room);
	if (!to)
		return SW_ENOMEM;
	out->n += csv_write(to, room, field.p, field.n);
	return 0;
}

/* The text that a value has in a field. */
static int decode(struct sw_view value, struct sw_buf *out)
{
	sw_buf_reset(out);
	if (value.p[0] == '"')
		return sw_json_unescape(sw_view(value.p + 1, value.n - 2), out);
	sw_buf_put_view(out, value);
	return out->rc;
}

static int add_field(struct record *r, const struct names *names, size_t i, const struct sw_column *column)
{
	int rc = 0;

	sw_buf_reset(&r->text);
	if (column)
		rc = decode(column->value, &r->text);
	if (i > 0)
		sw_buf_put_u8(&r->csv, ',');
	if (rc == 0)
		rc = put_field(&r->csv, sw_buf_view(&r->text), names->n == 1);
	sw_buf_put_u8(&r->again, i == 0 ? '{' : ',');
	if (rc == 0)
		rc = sw_json_put_string(&r->again, sw_buf_view(&names->v[i]));
	sw_buf_put_u8(&r->again, ':');
	if (rc == 0)
		rc = sw_json_put_string(&r->again, sw_buf_view(&r->text));
	return rc;
}

static int put_header(const struct names *names, struct record *r, FILE *out)
{
	int rc = 0;

	sw_buf_reset(&r->csv);
	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		if (i > 0)
			sw_buf_put_u8(&r->csv, ',');
		rc = put_field(&r->csv, sw_buf_view(&names->v[i]), names->n == 1);
	}
	if (names->n > 0)
		sw_buf_put_u8(&r->csv, '\n');
	fwrite(r->csv.p, 1, r->csv.n, out);
	return rc < 0 ? rc : r->csv.rc;
}

static int put_record(struct sw_export_rows *rows, const struct names *names, struct record *r, struct sw_view key,
		      struct sw_view bytes)
{
	int rc = 0;

	sw_buf_reset(&r->csv);
	sw_buf_reset(&r->again);
	for (size_t i = 0; rc == 0 && i < names->n; i++)
		rc = add_field(r, names, i, sw_columns_find(&rows->columns, sw_buf_view(&names->v[i])));
	sw_buf_put_u8(&r->csv, '\n');
	sw_buf_put(&r->again, "}\n", 2);
	if (rc == 0 && (r->csv.rc < 0 || r->again.rc < 0))
		rc = SW_ENOMEM;
	if (rc < 0)
		return rc;
	if (names->n > 0)
		fwrite(r->csv.p, 1, r->csv.n, rows->x->out);
	return sw_export_compare(rows, key, bytes, sw_view_eq(sw_buf_view(&r->again), bytes));
}

static int put_records(struct sw_export_rows *rows, const struct names *names, struct record *r)
{
	struct sw_view key, bytes;
	int rc = sw_export_rewind(rows);

	if (rc == 0)
		rc = put_header(names, r, rows->x->out);
	while (rc == 0 && (rc = sw_export_next(rows, &key, &bytes)) > 0)
		rc = put_record(rows, names, r, key, bytes);
	return rc;
}

int sw_export_csv(struct sw_export_rows *rows)
{
	struct names names = {0};
	struct record record = {0};
	int rc;

	rows->has_columns = true;
	rc = find_names(rows, &names);
	if (rc == 0)
		rc = put_records(rows, &names, &record);
	names_fini(&names);
	sw_buf_fini(&record.csv);
	sw_buf_fini(&record.again);
	sw_buf_fini(&record.text);
	return rc;
}
