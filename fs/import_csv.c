/*
 * Import of CSV through libcsv, which is fed line by line so that errors can name the line. Its
 * callbacks cannot fail; what went wrong in them is kept and returned after the line.
 */
#include <csv.h>
#include <stdlib.h>

#include "core/columns.h"
#include "core/json.h"
#include "fs/import_internal.h"

struct csv {
	struct sw_import *im;
	struct csv_parser parser;
	struct sw_buf *names; /* of the columns, as JSON strings */
	size_t n_names;
	bool has_header;
	uint64_t line;   /* being read */
	uint64_t begin;  /* where the record being read began */
	bool line_ended; /* some record ended on this line */
	bool in_record;  /* this line continues a record */
	size_t n_fields; /* of the record being read */
	size_t n_bytes;  /* of the lines it has taken so far */
	struct sw_buf record;
	int rc;
};

static int put_string(struct csv *c, struct sw_buf *out, struct sw_view text)
{
	int rc = sw_json_put_string(out, text);

	if (rc == SW_EFORMAT)
		rc = sw_import_fail(c->im, rc, c->begin,
				    "field %zu is not UTF-8; convert the file, for example with "
				    "iconv -f latin1 -t utf-8",
				    c->n_fields + 1);
	return rc;
}

static int add_name(struct csv *c, struct sw_view text)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	struct sw_buf *more = realloc(c->names, (c->n_names + 1) * sizeof(*more));
	struct sw_buf *name;
	int rc;

	if (!more)
		return SW_ENOMEM;
	c->names = more;
	if (c->n_names == SW_COLUMNS_MAX || text.n > SW_COLUMNS_NAME_MAX)
		return sw_import_fail(
		    c->im, SW_EFORMAT, c->begin,
		    "a row has at most %d columns with names of at most %d bytes; "
		    "does the file begin with a line of column names?",
		    SW_COLUMNS_MAX, SW_COLUMNS_NAME_MAX);
	name = &c->names[c->n_names];
	*name = (struct sw_buf){0};
	c->n_names++;
	rc = put_string(c, name, text);
	for (size_t i = 0; rc == 0 && i + 1 < c->n_names; i++) {
		if (sw_view_eq(sw_buf_view(&c->names[i]), sw_buf_view(name)))
			rc = sw_import_fail(
			    c->im, SW_EFORMAT, c->begin,
			    "fields %zu and %zu both name the column \"%s\"; rename one", i + 1,
			    c->n_names, sw_import_show(text, shown));
	}
	return rc;
}

static int add_field(struct csv *c, struct sw_view text)
{
	if (!c->has_header)
		return add_name(c, text);
	/* Too many are counted, and refused with the record. */
	if (c->n_fields >= c->n_names)
		return 0;
	sw_buf_put_u8(&c->record, c->n_fields == 0 ? '{' : ',');
	sw_buf_put_view(&c->record, sw_buf_view(&c->names[c->n_fields]));
	sw_buf_put_u8(&c->record, ':');
	return put_string(c, &c->record, text);
}

static int end_record(struct csv *c)
{
	if (!c->has_header) {
		c->has_header = true;
		return 0;
	}
	if (c->n_fields != c->n_names)
		return sw_import_fail(c->im, SW_EFORMAT, c->begin,
				      "has %zu fields, but the first line names %zu columns; make "
				      "them match",
				      c->n_fields, c->n_names);
	sw_buf_put_u8(&c->record, '}');
	if (c->record.rc < 0)
		return c->record.rc;
	return sw_import_object(c->im, c->begin, sw_buf_view(&c->record));
}

static void on_field(void *text, size_t n, void *arg)
{
	struct csv *c = arg;

	if (c->rc == 0)
		c->rc = add_field(c, sw_view(text, n));
	c->n_fields++;
}

static void on_record(int terminator, void *arg)
{
	struct csv *c = arg;

	(void)terminator;
	if (c->rc == 0)
		c->rc = end_record(c);
	c->n_fields = 0;
	sw_buf_reset(&c->record);
	c->line_ended = true;
	/* With bare CR as the end, the next record may begin on the line that we see. */
	c->begin = c->line;
}

/* RFC 4180: spaces are part of a field. */
static int no_space(unsigned char ch)
{
	(void)ch;
	return 0;
}

static int fail_parser(struct csv *c)
{
	if (csv_error(&c->parser) != CSV_EPARSE)
		return SW_ENOMEM;
	return sw_import_fail(
	    c->im, SW_EFORMAT, c->begin,
	    "a double quote stands where none may; put fields that contain quotes "
	    "in quotes and write each of theirs twice");
}

static int read_line(struct csv *c, struct sw_view line)
{
	bool blank = sw_import_trim(line).n == 0 && memchr("\r\n", line.p[0], 2);

	if (!c->in_record) {
		c->begin = c->line;
		c->n_bytes = 0;
	}
	c->n_bytes += line.n;
	if (c->n_bytes > SW_IMPORT_ROW_MAX)
		return sw_import_fail(c->im, SW_ELIMIT, c->begin,
				      "the record is longer than 64 MiB; is a quote not closed?");
	/* libcsv grows its buffer by this much at a time: grow in proportion, not in small steps.
	 */
	csv_set_blk_size(&c->parser, line.n + csv_get_buffer_size(&c->parser));
	c->line_ended = false;
	if (csv_parse(&c->parser, line.p, line.n, on_field, on_record, c) != line.n && c->rc == 0)
		return fail_parser(c);
	c->in_record = !c->line_ended && (c->in_record || !blank);
	return c->rc;
}

static int read_records(struct csv *c, struct sw_import_source *s)
{
	struct sw_view line;
	int rc;

	for (c->line = 1; (rc = sw_import_next_line(c->im, s, c->line, &line)) > 0; c->line++) {
		rc = read_line(c, line);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (csv_fini(&c->parser, on_field, on_record, c) != 0 && c->rc == 0) {
		if (csv_error(&c->parser) != CSV_EPARSE)
			return SW_ENOMEM;
		return sw_import_fail(c->im, SW_EFORMAT, c->begin,
				      "the record begins a quoted field that never ends; close it");
	}
	if (c->rc == 0 && !c->has_header)
		return sw_import_fail(c->im, SW_EFORMAT, 0,
				      "is empty; a CSV file begins with a line of column names");
	return c->rc;
}

int sw_import_csv(struct sw_import *im, struct sw_import_source *s)
{
	struct csv c = {.im = im};
	int rc;

	if (csv_init(&c.parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
		return SW_ENOMEM;
	csv_set_space_func(&c.parser, no_space);
	rc = read_records(&c, s);
	csv_free(&c.parser);
	for (size_t i = 0; i < c.n_names; i++)
		sw_buf_fini(&c.names[i]);
	free(c.names);
	sw_buf_fini(&c.record);
	return rc;
}
