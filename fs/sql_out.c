#include "fs/sql_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/sign.h"
#include "fs/csv_out.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define LOOK_ROWS 500 /* that say how wide the columns of a table are */
#define CELL_MAX  256 /* bytes of a value that a table shows */

struct cell {
	size_t at, n;
	bool is_number;
};

struct sw_sql_out {
	FILE *out;
	enum sw_sql_form form;
	struct sw_buf line;
	struct sw_buf value;
	struct sw_buf *names; /* JSON: as strings, all different */
	size_t n;
	/* Of a table: the rows not shown yet, the header first, and how wide they are. */
	struct cell *cells;
	size_t n_cells;
	struct sw_buf text;
	size_t *widths;
	bool is_shown;
};

int sw_sql_out_new(FILE *out, enum sw_sql_form form, struct sw_sql_out **result)
{
	struct sw_sql_out *o = calloc(1, sizeof(*o));

	if (!o)
		return SW_ENOMEM;
	o->out = out;
	o->form = form;
	*result = o;
	return 0;
}

static void forget_columns(struct sw_sql_out *o)
{
	for (size_t i = 0; o->names && i < o->n; i++)
		sw_buf_fini(&o->names[i]);
	free(o->names);
	free(o->cells);
	free(o->widths);
	o->names = NULL;
	o->cells = NULL;
	o->widths = NULL;
}

void sw_sql_out_free(struct sw_sql_out *o)
{
	if (!o)
		return;
	forget_columns(o);
	sw_buf_fini(&o->line);
	sw_buf_fini(&o->value);
	sw_buf_fini(&o->text);
	free(o);
}

static int put_line(struct sw_sql_out *o)
{
	if (o->line.rc < 0)
		return o->line.rc;
	fwrite(o->line.p, 1, o->line.n, o->out);
	sw_buf_reset(&o->line);
	return ferror(o->out) ? SW_ECLOSED : 0;
}

/* Values */

void sw_sql_put_real(struct sw_buf *out, double v)
{
	char text[40];

	if (isinf(v)) {
		sw_buf_printf(out, "%s9e999", v < 0 ? "-" : "");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof(text), "%.17g", v);
	sw_buf_printf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void put_hex(struct sw_buf *out, struct sw_view v, size_t max)
{
	sw_buf_printf(out, "x'");
	for (size_t i = 0; i < v.n && i < max; i++)
		sw_buf_printf(out, "%02x", v.p[i]);
	sw_buf_printf(out, "'%s", v.n > max ? "..." : "");
}

/* What is the same everywhere: true, unless it is text. */
static bool put_plain(struct sw_buf *out, const struct sw_sql_value *v, size_t max)
{
	switch (v->kind) {
	case SW_SQL_INTEGER:
		sw_buf_printf(out, "%" PRId64, v->integer);
		return true;
	case SW_SQL_REAL:
		sw_sql_put_real(out, v->real);
		return true;
	case SW_SQL_BLOB:
		put_hex(out, v->bytes, max);
		return true;
	case SW_SQL_NULL:
		return true;
	default:
		return false;
	}
}

static void put_escaped(struct sw_buf *out, struct sw_view v)
{
	static const char special[] = "\t\n\r\\", shown[] = "tnr\\";

	for (size_t i = 0; i < v.n; i++) {
		const char *at = v.p[i] ? strchr(special, v.p[i]) : NULL;

		if (at)
			sw_buf_put_u8(out, '\\');
		sw_buf_put_u8(out, at ? (uint8_t)shown[at - special] : v.p[i]);
	}
}

static int put_separated(struct sw_sql_out *o, const struct sw_sql_value *values, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sw_view field = values[i].bytes;

		if (i > 0)
			sw_buf_put_u8(&o->line, o->form == SW_SQL_CSV ? ',' : '\t');
		sw_buf_reset(&o->value);
		if (put_plain(&o->value, &values[i], SIZE_MAX))
			field = sw_buf_view(&o->value);
		if (o->form == SW_SQL_CSV)
			rc = sw_csv_put(&o->line, field, n == 1);
		else
			put_escaped(&o->line, field);
	}
	sw_buf_put_u8(&o->line, '\n');
	return rc < 0 ? rc : put_line(o);
}

static int put_json_value(struct sw_sql_out *o, const struct sw_sql_value *v)
{
	int rc = 0;

	if (v->kind == SW_SQL_TEXT)
		return sw_json_put_text(&o->line, v->bytes);
	if (v->kind == SW_SQL_NULL) {
		sw_buf_printf(&o->line, "null");
	} else if (v->kind == SW_SQL_BLOB) {
		sw_buf_reset(&o->value);
		rc = v->bytes.n > 0 ? sw_base64(v->bytes, &o->value) : 0;
		sw_buf_printf(&o->line, "{\"base64\":\"");
		sw_buf_put_view(&o->line, sw_buf_view(&o->value));
		sw_buf_printf(&o->line, "\"}");
	} else {
		put_plain(&o->line, v, SIZE_MAX);
	}
	return rc;
}

static int put_object(struct sw_sql_out *o, const struct sw_sql_value *values, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		sw_buf_put_u8(&o->line, i > 0 ? ',' : '{');
		sw_buf_put_view(&o->line, sw_buf_view(&o->names[i]));
		sw_buf_put_u8(&o->line, ':');
		rc = put_json_value(o, &values[i]);
	}
	sw_buf_printf(&o->line, "}\n");
	return rc < 0 ? rc : put_line(o);
}

/* Members of an object must be told apart. */
static bool is_taken(const struct sw_sql_out *o, size_t n, const struct sw_buf *name)
{
	for (size_t i = 0; i < n; i++)
		if (sw_view_eq(sw_buf_view(&o->names[i]), sw_buf_view(name)))
			return true;
	return false;
}

static int name_members(struct sw_sql_out *o, const struct sw_view *names)
{
	SW_BUF name = {0};
	int rc = 0;

	o->names = calloc(o->n, sizeof(*o->names));
	if (!o->names)
		return SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < o->n; i++) {
		rc = sw_json_put_text(&o->names[i], names[i]);
		for (unsigned more = 1; rc == 0 && is_taken(o, i, &o->names[i]); more++) {
			sw_buf_reset(&name);
			sw_buf_put_view(&name, names[i]);
			sw_buf_printf(&name, ":%u", more);
			sw_buf_reset(&o->names[i]);
			rc = name.rc < 0 ? name.rc : sw_json_put_text(&o->names[i], sw_buf_view(&name));
		}
	}
	return rc;
}

/* A table */

/* Characters, not bytes. */
static size_t width_of(struct sw_view v)
{
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++)
		n += (v.p[i] & 0xc0) != 0x80;
	return n;
}

static void put_spaces(struct sw_buf *out, size_t n, char c)
{
	while (n-- > 0)
		sw_buf_put_u8(out, (uint8_t)c);
}

static void add_cell(struct sw_sql_out *o, const struct sw_sql_value *v)
{
	size_t i = o->n_cells % o->n, width;
	struct cell *c = &o->cells[o->n_cells++];

	c->at = o->text.n;
	if (v->kind == SW_SQL_NULL)
		sw_buf_printf(&o->text, "NULL");
	else if (!put_plain(&o->text, v, CELL_MAX / 2))
		sw_text_put(&o->text, v->bytes, CELL_MAX);
	c->n = o->text.n - c->at;
	c->is_number = v->kind == SW_SQL_INTEGER || v->kind == SW_SQL_REAL;
	width = width_of(sw_view(o->text.p + c->at, c->n));
	if (!o->is_shown && width > o->widths[i])
		o->widths[i] = width;
}

static void put_cells(struct sw_sql_out *o, const struct cell *cells)
{
	for (size_t i = 0; i < o->n; i++) {
		struct sw_view text = sw_view(o->text.p + cells[i].at, cells[i].n);
		size_t width = width_of(text), pad = width < o->widths[i] ? o->widths[i] - width : 0;

		if (i > 0)
			put_spaces(&o->line, 2, ' ');
		if (cells[i].is_number)
			put_spaces(&o->line, pad, ' ');
		sw_buf_put_view(&o->line, text);
		if (!cells[i].is_number && i + 1 < o->n)
			put_spaces(&o->line, pad, ' ');
	}
	sw_buf_put_u8(&o->line, '\n');
}

/* Write what was kept; below the header stands a line. */
static int show(struct sw_sql_out *o)
{
	int rc = o->text.rc;

	for (size_t at = 0; rc == 0 && at < o->n_cells; at += o->n) {
		put_cells(o, &o->cells[at]);
		for (size_t i = 0; at == 0 && !o->is_shown && i < o->n; i++) {
			put_spaces(&o->line, o->widths[i], '-');
			sw_buf_put(&o->line, i + 1 < o->n ? "  " : "\n", i + 1 < o->n ? 2 : 1);
		}
		rc = put_line(o);
	}
	o->is_shown = true;
	o->n_cells = 0;
	sw_buf_reset(&o->text);
	return rc;
}

static int add_row(struct sw_sql_out *o, const struct sw_sql_value *values)
{
	for (size_t i = 0; i < o->n; i++)
		add_cell(o, &values[i]);
	return o->is_shown || o->n_cells == LOOK_ROWS * o->n ? show(o) : o->text.rc;
}

/* The sink */

static int put_header(struct sw_sql_out *o, const struct sw_view *names)
{
	struct sw_sql_value *values = calloc(o->n, sizeof(*values));
	int rc;

	if (!values)
		return SW_ENOMEM;
	for (size_t i = 0; i < o->n; i++)
		values[i] = (struct sw_sql_value){.kind = SW_SQL_TEXT, .bytes = names[i]};
	rc = o->form == SW_SQL_TABLE ? add_row(o, values) : put_separated(o, values, o->n);
	free(values);
	return rc;
}

static int begin(void *arg, const struct sw_view *names, size_t n)
{
	struct sw_sql_out *o = arg;

	forget_columns(o);
	o->n = n;
	o->n_cells = 0;
	o->is_shown = false;
	if (o->form == SW_SQL_JSON)
		return name_members(o, names);
	if (o->form == SW_SQL_TSV)
		return 0;
	if (o->form == SW_SQL_TABLE) {
		o->cells = calloc(LOOK_ROWS * n, sizeof(*o->cells));
		o->widths = calloc(n, sizeof(*o->widths));
		if (!o->cells || !o->widths)
			return SW_ENOMEM;
	}
	return put_header(o, names);
}

static int row(void *arg, const struct sw_sql_value *values, size_t n)
{
	struct sw_sql_out *o = arg;

	if (o->form == SW_SQL_TABLE)
		return add_row(o, values);
	return o->form == SW_SQL_JSON ? put_object(o, values, n) : put_separated(o, values, n);
}

static int end(void *arg)
{
	struct sw_sql_out *o = arg;

	return o->form == SW_SQL_TABLE ? show(o) : 0;
}

struct sw_sql_sink sw_sql_out_sink(struct sw_sql_out *o)
{
	return (struct sw_sql_sink){.arg = o, .begin = begin, .row = row, .end = end};
}
