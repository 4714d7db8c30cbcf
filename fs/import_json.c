/* Import of JSON documents and JSON Lines: the rows are spans of the text, as written. */
#include <inttypes.h>

#include "core/json.h"
#include "fs/import_internal.h"

/* The line, counted from 1, that the byte at offset is on. */
static uint64_t line_of(struct sw_view text, size_t offset)
{
	uint64_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text.p[i] == '\n';
	return line;
}

static int fail_syntax(struct sw_import *im, struct sw_view text, size_t offset)
{
	im->unit = "line";
	if (offset == text.n)
		return sw_import_fail(
		    im, SW_EFORMAT, 0,
		    "the JSON text ends before it is complete; is the file whole?");
	return sw_import_fail(im, SW_EFORMAT, line_of(text, offset),
			      "the JSON text is wrong here; correct it, or use --format lines if "
			      "each line is a row of its own");
}

/* rows is an array inside text, or all of it. */
static int read_array(struct sw_import *im, struct sw_view text, struct sw_view rows)
{
	struct sw_json_iter it;
	struct sw_json_element e;
	uint64_t where = 0;
	int rc;

	im->unit = "element";
	sw_json_iter_init(&it, rows);
	while ((rc = sw_json_next_element(&it, &e)) > 0) {
		rc = sw_import_object(im, ++where, e.value);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return fail_syntax(im, text, (size_t)(rows.p - text.p) + it.at);
	return 0;
}

/* The one member of an object that is an array. */
static int read_wrapped(struct sw_import *im, struct sw_view text)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	struct sw_json_iter it;
	struct sw_json_member m;
	struct sw_json_member rows = {{NULL, 0}, {NULL, 0}, 0, 0};
	size_t n_arrays = 0;
	size_t n_others = 0;
	int rc;

	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		if (m.value.p[0] != '[') {
			n_others++;
			continue;
		}
		n_arrays++;
		rows = m;
	}
	if (rc < 0)
		return fail_syntax(im, text, it.at);
	if (n_arrays != 1)
		return sw_import_fail(
		    im, SW_EFORMAT, 0,
		    "is a JSON object with %zu arrays, and exactly one must hold the "
		    "rows; give an array of objects, [{...}], or use --format lines "
		    "if each line is a row of its own",
		    n_arrays);
	sw_import_note(im, "The rows are the elements of \"%s\".", sw_import_show(rows.key, shown));
	if (n_others > 0)
		sw_import_note(im, "%zu other member%s beside it %s not imported.", n_others,
			       n_others == 1 ? "" : "s", n_others == 1 ? "was" : "were");
	return read_array(im, text, rows.value);
}

int sw_import_json(struct sw_import *im, struct sw_import_source *s)
{
	struct sw_view text;
	struct sw_view rest;
	int rc = sw_import_read_all(im, s);

	if (rc < 0)
		return rc;
	text = sw_view(s->buf.p + s->at, s->buf.n - s->at);
	rest = sw_import_trim(text);
	if (rest.n > 0 && rest.p[0] == '[')
		return read_array(im, text, text);
	if (rest.n > 0 && rest.p[0] == '{')
		return read_wrapped(im, text);
	return sw_import_fail(
	    im, SW_EFORMAT, 0,
	    "is neither a JSON array nor a JSON object; give an array of objects, "
	    "or say what it is with --format");
}

int sw_import_lines(struct sw_import *im, struct sw_import_source *s)
{
	struct sw_view line;
	uint64_t where = 1;
	int rc;

	for (; (rc = sw_import_next_line(im, s, where, &line)) > 0; where++) {
		line = sw_import_trim(line);
		if (line.n == 0)
			continue;
		rc = sw_import_object(im, where, line);
		if (rc < 0)
			return rc;
	}
	return rc;
}
