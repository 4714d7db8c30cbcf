/*
 * Export as CSV: one walk over the rows finds the columns, a second one writes. A row is compared with what import would make of its
 * record, an object of strings in the order of the columns.
 */
#include <stdlib.h>

#include "core/json.h"
#include "fs/column_names.h"
#include "fs/csv_out.h"
#include "fs/export_internal.h"

static int add_name(struct sw_column_names *names, struct sw_view name)
{
	int rc = sw_column_names_add(names, name, SW_COLUMNS_MAX);

	return rc == SW_ELIMIT ? sw_fail(rc, "the rows have more than %d columns, too many for CSV; use --format jsonl", SW_COLUMNS_MAX) : rc;
}

static int find_names(struct sw_export_rows *rows, struct sw_column_names *names)
{
	struct sw_view key, bytes;
	int rc;

	while ((rc = sw_export_next(rows, &key, &bytes)) > 0) {
		for (size_t i = 0; rc >= 0 && i < rows->columns.n; i++)
			rc = add_name(names, rows->columns.v[i].name);
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

/* The text that a value has in a field. */
static int decode(struct sw_view value, struct sw_buf *out)
{
	sw_buf_reset(out);
	if (value.p[0] == '"')
		return sw_json_unescape(sw_view(value.p + 1, value.n - 2), out);
	sw_buf_put_view(out, value);
	return out->rc;
}

static int add_field(struct record *r, const struct sw_column_names *names, size_t i, const struct sw_column *column)
{
	int rc = 0;

	sw_buf_reset(&r->text);
	if (column)
		rc = decode(column->value, &r->text);
	if (i > 0)
		sw_buf_put_u8(&r->csv, ',');
	if (rc == 0)
		rc = sw_csv_put(&r->csv, sw_buf_view(&r->text), names->n == 1);
	sw_buf_put_u8(&r->again, i == 0 ? '{' : ',');
	if (rc == 0)
		rc = sw_json_put_string(&r->again, sw_buf_view(&names->v[i]));
	sw_buf_put_u8(&r->again, ':');
	if (rc == 0)
		rc = sw_json_put_string(&r->again, sw_buf_view(&r->text));
	return rc;
}

static int put_header(const struct sw_column_names *names, struct record *r, FILE *out)
{
	int rc = 0;

	sw_buf_reset(&r->csv);
	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		if (i > 0)
			sw_buf_put_u8(&r->csv, ',');
		rc = sw_csv_put(&r->csv, sw_buf_view(&names->v[i]), names->n == 1);
	}
	if (names->n == 0)
		return 0;
	sw_buf_put_u8(&r->csv, '\n');
	if (rc == 0 && r->csv.rc == 0)
		fwrite(r->csv.p, 1, r->csv.n, out);
	return rc < 0 ? rc : r->csv.rc;
}

static int put_record(struct sw_export_rows *rows, const struct sw_column_names *names, struct record *r, struct sw_view key,
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

static int put_records(struct sw_export_rows *rows, const struct sw_column_names *names, struct record *r)
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
	struct sw_column_names names = {0};
	struct record record = {0};
	int rc;

	rows->has_columns = true;
	rc = find_names(rows, &names);
	if (rc == 0)
		rc = put_records(rows, &names, &record);
	sw_column_names_fini(&names);
	sw_buf_fini(&record.csv);
	sw_buf_fini(&record.again);
	sw_buf_fini(&record.text);
	return rc;
}
