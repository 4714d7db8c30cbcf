/* A difference as a unified diff, which patch(1) and git take. */
#include <stdlib.h>

#include "core/blob.h"
#include "core/json.h"
#include "fs/diff_internal.h"
#include "fs/lines.h"

#define CONTEXT	 3
#define TEXT_MAX ((size_t)1 << 20) /* of a larger row it only says that it differs */

struct side {
	struct sw_buf bytes;
	struct sw_lines lines;
	bool is_text;
};

static void side_fini(struct side *s)
{
	sw_lines_fini(&s->lines);
	sw_buf_fini(&s->bytes);
}

static int side_load(const struct sw_nodes *nodes, const struct sw_row *row, struct side *out)
{
	int rc = 0;

	out->is_text = !row || row->size <= TEXT_MAX;
	if (row && out->is_text)
		rc = sw_row_read(nodes, row, &out->bytes);
	if (rc == 0)
		out->is_text = out->is_text && (out->bytes.n == 0 || (sw_json_is_utf8(sw_buf_view(&out->bytes)) &&
								    !memchr(out->bytes.p, 0, out->bytes.n)));
	return rc < 0 ? rc : sw_lines_split(sw_buf_view(&out->bytes), &out->lines);
}

static bool is_plain(struct sw_view name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == '"' || name.p[i] == '\\')
			return false;
	return true;
}

/* As git and patch write and read names: quoted, with octal escapes, if there is anything but printable ASCII. */
static void put_name(struct sw_buf *out, char side, const struct sw_difference *d)
{
	const struct sw_view parts[] = {d->table, sw_view_str("/"), d->key};
	bool quoted = !is_plain(d->table) || !is_plain(d->key);

	sw_buf_printf(out, "%s%c/", quoted ? "\"" : "", side);
	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < parts[k].n; i++) {
			uint8_t c = parts[k].p[i];

			if (c == '"' || c == '\\')
				sw_buf_printf(out, "\\%c", c);
			else if (c < ' ' || c >= 0x7f)
				sw_buf_printf(out, "\\%03o", c);
			else
				sw_buf_put_u8(out, c);
		}
	}
	sw_buf_printf(out, "%s", quoted ? "\"" : "");
}

static void put_side(struct sw_buf *out, const char *mark, char side, const struct sw_difference *d, bool is_there)
{
	sw_buf_printf(out, "%s ", mark);
	if (is_there)
		put_name(out, side, d);
	else
		sw_buf_printf(out, "/dev/null");
	sw_buf_printf(out, "\n");
}

/* Of an empty file git and patch know that it comes or goes by the number that git has for it. */
#define EMPTY	"e69de29"
#define NOTHING "0000000"

/*
 * What the lines cannot say, as git writes it: that a row comes or goes, and its permission bits. For every row: patch takes what
 * it has read of one for the next that has none.
 */
static void put_header(struct sw_buf *out, const struct sw_difference *d)
{
	const struct sw_row *a = d->before, *b = d->after;

	sw_buf_printf(out, "diff --git ");
	put_name(out, 'a', d);
	sw_buf_printf(out, " ");
	put_name(out, 'b', d);
	sw_buf_printf(out, "\n");
	if (!a)
		sw_buf_printf(out, "new file mode 100%03o\n", b->mode);
	else if (!b)
		sw_buf_printf(out, "deleted file mode 100%03o\n", a->mode);
	else if (a->mode != b->mode)
		sw_buf_printf(out, "old mode 100%03o\nnew mode 100%03o\n", a->mode, b->mode);
	if (!a && b->size == 0)
		sw_buf_printf(out, "index " NOTHING ".." EMPTY "\n");
	if (!b && a->size == 0)
		sw_buf_printf(out, "index " EMPTY ".." NOTHING "\n");
}

static void put_line(struct sw_buf *out, char mark, struct sw_view line)
{
	sw_buf_put_u8(out, (uint8_t)mark);
	sw_buf_put_view(out, line);
	if (line.n == 0 || line.p[line.n - 1] != '\n')
		sw_buf_printf(out, "\n\\ No newline at end of file\n");
}

/* What differs in one place: lines [a, a_end) become [b, b_end). */
struct change {
	size_t a, a_end, b, b_end;
};

/* The first change at or behind a place that both have come to; false: there is none. */
static bool next_change(const struct side *x, const struct side *y, const size_t *match, size_t a, size_t b,
			struct change *out)
{
	while (a < x->lines.n && b < y->lines.n && match[b] == a) {
		a++;
		b++;
	}
	*out = (struct change){a, x->lines.n, b, b};
	while (out->b_end < y->lines.n && match[out->b_end] == SIZE_MAX)
		out->b_end++;
	if (out->b_end < y->lines.n)
		out->a_end = match[out->b_end];
	return a < out->a_end || b < out->b_end;
}

static void put_change(struct sw_buf *out, const struct side *x, const struct side *y, const struct change *c)
{
	for (size_t i = c->a; i < c->a_end; i++)
		put_line(out, '-', x->lines.v[i]);
	for (size_t i = c->b; i < c->b_end; i++)
		put_line(out, '+', y->lines.v[i]);
}

/* Changes that are near each other, with what is around them; *next is the first behind, or has no lines. */
static void put_hunk(struct sw_buf *out, const struct side *x, const struct side *y, const size_t *match,
		     const struct change *first, struct change *next)
{
	size_t before = first->a < CONTEXT ? first->a : CONTEXT, behind, na, nb, at = first->a - before;
	struct change c = *first, last = *first;
	bool more;

	while ((more = next_change(x, y, match, last.a_end, last.b_end, next)) && next->a - last.a_end <= 2 * CONTEXT)
		last = *next;
	if (!more)
		*next = (struct change){0};
	behind = x->lines.n - last.a_end < CONTEXT ? x->lines.n - last.a_end : CONTEXT;
	na = last.a_end + behind - at;
	nb = last.b_end + behind - (first->b - before);
	sw_buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", na ? at + 1 : at, na, nb ? first->b - before + 1 : 0, nb);
	for (;;) {
		for (; at < c.a; at++)
			put_line(out, ' ', x->lines.v[at]);
		put_change(out, x, y, &c);
		at = c.a_end;
		if (c.a == last.a && c.b == last.b)
			break;
		if (!next_change(x, y, match, c.a_end, c.b_end, &c))
			break;
	}
	for (; at < last.a_end + behind; at++)
		put_line(out, ' ', x->lines.v[at]);
}

static int put_hunks(struct sw_buf *out, const struct side *x, const struct side *y)
{
	size_t *match = calloc(y->lines.n + 1, sizeof(*match));
	struct change c, next;
	int rc = match ? sw_lines_match(&x->lines, &y->lines, match) : SW_ENOMEM;
	bool more = rc == 0 && next_change(x, y, match, 0, 0, &c);

	while (more) {
		put_hunk(out, x, y, match, &c, &next);
		more = next.a < next.a_end || next.b < next.b_end;
		c = next;
	}
	free(match);
	return rc;
}

int sw_diff_write_patch(const struct sw_nodes *nodes, const struct sw_difference *d, struct sw_buf *out)
{
	struct side x = {0}, y = {0};
	int rc;

	if (d->key.n == 0)
		return 0;
	if (d->is_same_content) {
		if (d->before->mode != d->after->mode)
			put_header(out, d);
		return out->rc;
	}
	rc = side_load(nodes, d->before, &x);
	if (rc == 0)
		rc = side_load(nodes, d->after, &y);
	if (rc == 0 && x.is_text && y.is_text) {
		put_header(out, d);
		if (x.bytes.n > 0 || y.bytes.n > 0) {
			put_side(out, "---", 'a', d, d->before != NULL);
			put_side(out, "+++", 'b', d, d->after != NULL);
		}
		rc = put_hunks(out, &x, &y);
	} else if (rc == 0) {
		sw_buf_printf(out, "Binary files ");
		put_name(out, 'a', d);
		sw_buf_printf(out, " and ");
		put_name(out, 'b', d);
		sw_buf_printf(out, " differ\n");
	}
	side_fini(&x);
	side_fini(&y);
	return rc < 0 ? rc : out->rc;
}
