#include "fs/diff_internal.h"

#include "core/blob.h"
#include "core/columns.h"
#include "core/json.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define VALUE_SHOWN 200 /* bytes of a column's value in the text form */

/* The columns of both sides, if both have some. */
struct both {
	struct sw_buf before_text, after_text;
	struct sw_columns before, after;
};

static void both_fini(struct both *b)
{
	sw_columns_fini(&b->before);
	sw_columns_fini(&b->after);
	sw_buf_fini(&b->before_text);
	sw_buf_fini(&b->after_text);
}

static int load_side(const struct sw_nodes *nodes, struct sw_view key, const struct sw_row *row,
		     struct sw_buf *text, struct sw_columns *out)
{
	int rc;

	if (!row || row->size > SW_COLUMNS_TEXT_MAX || !sw_columns_possible(key, (size_t)row->size))
		return 0;
	rc = sw_row_read(nodes, row, text);
	return rc < 0 ? rc : sw_columns_parse(key, sw_buf_view(text), out);
}

/* 1: both rows have columns. */
static int load_both(const struct sw_nodes *nodes, const struct sw_difference *d, struct both *out)
{
	int rc = d->is_same_content
		     ? 0
		     : load_side(nodes, d->key, d->before, &out->before_text, &out->before);

	return rc <= 0 ? rc : load_side(nodes, d->key, d->after, &out->after_text, &out->after);
}

/* Text */

static void put_column_text(struct sw_buf *out, const struct sw_column_change *c)
{
	sw_buf_printf(out, "    %c ", !c->before ? '+' : !c->after ? '-' : ' ');
	sw_text_put(out, c->name, SW_COLUMNS_NAME_MAX);
	sw_buf_printf(out, " ");
	if (c->before)
		sw_text_put(out, c->before->value, VALUE_SHOWN);
	if (c->before && c->after)
		sw_buf_printf(out, " -> ");
	if (c->after)
		sw_text_put(out, c->after->value, VALUE_SHOWN);
	sw_buf_printf(out, "\n");
}

static void put_attributes_text(struct sw_buf *out, const struct sw_row *a, const struct sw_row *b)
{
	if (a->mode != b->mode)
		sw_buf_printf(out, " mode %o -> %o", a->mode, b->mode);
	if (a->mtime_ns != b->mtime_ns)
		sw_buf_printf(out, " mtime %lld.%09lld -> %lld.%09lld",
			      (long long)(a->mtime_ns / 1000000000), (long long)(a->mtime_ns % 1000000000),
			      (long long)(b->mtime_ns / 1000000000), (long long)(b->mtime_ns % 1000000000));
}

static void put_sizes_text(struct sw_buf *out, const struct sw_difference *d)
{
	if (d->key.n == 0)
		return;
	if (!d->before)
		sw_buf_printf(out, " %llu bytes", (unsigned long long)d->after->size);
	else if (!d->after)
		sw_buf_printf(out, " %llu bytes", (unsigned long long)d->before->size);
	else
		sw_buf_printf(out, " %llu -> %llu bytes", (unsigned long long)d->before->size,
			      (unsigned long long)d->after->size);
}

int sw_diff_write_text(const struct sw_nodes *nodes, const struct sw_difference *d, struct sw_buf *out)
{
	struct both both = {0};
	int rc = load_both(nodes, d, &both);

	sw_buf_printf(out, "%c ", !d->before ? 'A' : !d->after ? 'D' : d->is_same_content ? 'T' : 'M');
	sw_text_put_path(out, d->table, d->key);
	if (d->is_same_content)
		put_attributes_text(out, d->before, d->after);
	else
		put_sizes_text(out, d);
	sw_buf_printf(out, "\n");
	if (rc > 0) {
		struct sw_columns_diff diff;
		struct sw_column_change c;

		sw_columns_diff_init(&diff, &both.before, &both.after);
		while (sw_columns_diff_next(&diff, &c) > 0)
			put_column_text(out, &c);
	}
	both_fini(&both);
	return rc < 0 ? rc : out->rc;
}

/* JSON */

static void put_value_json(struct sw_buf *out, const char *name, const struct sw_column *c)
{
	sw_buf_printf(out, "\"%s\": ", name);
	sw_json_put_value(out, c->value);
}

static int put_columns_json(struct sw_buf *out, const struct both *both)
{
	struct sw_columns_diff diff;
	struct sw_column_change c;
	const char *separator = "";
	int rc = 0;

	sw_buf_printf(out, ", \"columns\": {");
	sw_columns_diff_init(&diff, &both->before, &both->after);
	while (rc == 0 && sw_columns_diff_next(&diff, &c) > 0) {
		sw_buf_printf(out, "%s", separator);
		rc = sw_json_put_string(out, c.name);
		sw_buf_printf(out, ": {");
		if (c.before)
			put_value_json(out, "before", c.before);
		if (c.before && c.after)
			sw_buf_printf(out, ", ");
		if (c.after)
			put_value_json(out, "after", c.after);
		sw_buf_printf(out, "}");
		separator = ", ";
	}
	sw_buf_printf(out, "}");
	return rc;
}

static void put_side_json(struct sw_buf *out, const struct sw_difference *d, const char *side,
			  const struct sw_row *row)
{
	if (!row)
		return;
	if (d->key.n > 0)
		sw_buf_printf(out, ", \"size_%s\": %llu", side, (unsigned long long)row->size);
	sw_buf_printf(out, ", \"mode_%s\": \"%04o\", \"mtime_ns_%s\": %lld", side, row->mode, side,
		      (long long)row->mtime_ns);
}

int sw_diff_write_json(const struct sw_nodes *nodes, const struct sw_difference *d, struct sw_buf *out)
{
	struct both both = {0};
	int has_columns = load_both(nodes, d, &both), rc;

	sw_buf_printf(out, "{\"change\": \"%s\", \"table\": ",
		      !d->before	   ? "added"
		      : !d->after	   ? "removed"
		      : d->is_same_content ? "attributes"
					   : "changed");
	rc = sw_json_put_name(out, d->table);
	if (rc == 0 && d->key.n > 0) {
		sw_buf_printf(out, ", \"row\": ");
		rc = sw_json_put_name(out, d->key);
	}
	put_side_json(out, d, "before", d->before);
	put_side_json(out, d, "after", d->after);
	if (rc == 0 && has_columns > 0)
		rc = put_columns_json(out, &both);
	sw_buf_printf(out, "}\n");
	both_fini(&both);
	if (rc == 0 && has_columns < 0)
		rc = has_columns;
	return rc < 0 ? rc : out->rc;
}
