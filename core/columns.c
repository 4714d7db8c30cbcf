#include "core/columns.h"

#include <assert.h>
#include <stdlib.h>

#include "core/json.h"

/*
 * Parsing goes over the text twice: the first time it finds out whether there is an object and
 * how much it holds, so that the second time everything fits where it was allocated. Names that
 * need no decoding are views of the text.
 */

bool sw_columns_possible(struct sw_view file_name, size_t size)
{
	static const char suffix[] = ".json";
	size_t n = sizeof(suffix) - 1;

	return size <= SW_COLUMNS_TEXT_MAX && file_name.n >= n &&
	       memcmp(file_name.p + file_name.n - n, suffix, n) == 0;
}

static bool has_escape(struct sw_view key)
{
	return memchr(key.p, '\\', key.n) != NULL;
}

/* Count members, and the bytes of names with escapes; false when there are no columns. */
static bool measure(struct sw_view text, size_t *n_out, size_t *escaped_out)
{
	struct sw_json_iter it;
	struct sw_json_member m;
	size_t n = 0;
	size_t escaped = 0;
	int rc;

	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		if (++n > SW_COLUMNS_MAX)
			return false;
		if (has_escape(m.key))
			escaped += m.key.n;
	}
	*n_out = n;
	*escaped_out = escaped;
	return rc == 0;
}

static int by_name_cmp(const void *a, const void *b)
{
	const struct sw_column *const *x = a;
	const struct sw_column *const *y = b;

	return sw_view_cmp((*x)->name, (*y)->name);
}

static int decode_name(struct sw_columns *c, struct sw_view key, struct sw_view *out)
{
	size_t at = c->names.n;
	int rc;

	if (!has_escape(key)) {
		*out = key;
		return 0;
	}
	assert(c->names.cap - at >= key.n); /* earlier names must not move */
	rc = sw_json_unescape(key, &c->names);
	if (rc < 0)
		return rc;
	*out = sw_view(c->names.p + at, c->names.n - at);
	return 0;
}

/* The second pass, into memory that is large enough: 1, or 0 when a name is too long or repeats. */
static int fill(struct sw_columns *c, struct sw_view text)
{
	struct sw_json_iter it;
	struct sw_json_member m;
	size_t i = 0;
	int rc;

	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		struct sw_column *column = &c->v[i];

		assert(i < c->n);
		column->key = m.key;
		column->value = m.value;
		rc = decode_name(c, m.key, &column->name);
		if (rc < 0)
			return rc;
		if (column->name.n > SW_COLUMNS_NAME_MAX)
			return 0;
		c->by_name[i++] = column;
	}
	assert(rc == 0);
	assert(i == c->n);
	if (c->n == 0)
		return 1;
	qsort(c->by_name, c->n, sizeof(*c->by_name), by_name_cmp);
	for (i = 1; i < c->n; i++) {
		if (sw_view_eq(c->by_name[i - 1]->name, c->by_name[i]->name))
			return 0;
	}
	return 1;
}

int sw_columns_parse(struct sw_view file_name, struct sw_view text, struct sw_columns *out)
{
	SW_CLEANUP(sw_columns_fini) struct sw_columns c = {.text = text};
	size_t escaped;
	int rc;

	*out = (struct sw_columns){0};
	if (!sw_columns_possible(file_name, text.n) || !measure(text, &c.n, &escaped))
		return 0;
	if (c.n > 0) {
		c.v = calloc(c.n, sizeof(*c.v));
		c.by_name = calloc(c.n, sizeof(*c.by_name));
		if (!c.v || !c.by_name)
			return SW_ENOMEM;
	}
	if (escaped > 0 && !sw_buf_reserve(&c.names, escaped))
		return SW_ENOMEM;
	rc = fill(&c, text);
	if (rc <= 0)
		return rc;
	*out = c;
	c = (struct sw_columns){0};
	return 1;
}

void sw_columns_fini(struct sw_columns *columns)
{
	free(columns->v);
	free(columns->by_name);
	sw_buf_fini(&columns->names);
	*columns = (struct sw_columns){0};
}

const struct sw_column *sw_columns_find(const struct sw_columns *columns, struct sw_view name)
{
	size_t low = 0;
	size_t high = columns->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = sw_view_cmp(columns->by_name[middle]->name, name);

		if (c == 0)
			return columns->by_name[middle];
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void sw_column_hash(const struct sw_column *column, struct sw_hash *out)
{
	sw_hash_compute(SW_DOMAIN_COLUMN, column->value, out);
}

void sw_columns_diff_init(struct sw_columns_diff *diff, const struct sw_columns *before,
			  const struct sw_columns *after)
{
	static const struct sw_columns none;

	*diff = (struct sw_columns_diff){before ? before : &none, after ? after : &none, 0, 0};
}

int sw_columns_diff_next(struct sw_columns_diff *diff, struct sw_column_change *out)
{
	const struct sw_columns *before = diff->before;
	const struct sw_columns *after = diff->after;

	while (diff->i < before->n || diff->j < after->n) {
		const struct sw_column *a = diff->i < before->n ? before->by_name[diff->i] : NULL;
		const struct sw_column *b = diff->j < after->n ? after->by_name[diff->j] : NULL;
		int c = !a ? 1 : !b ? -1 : sw_view_cmp(a->name, b->name);

		assert(a || b);
		diff->i += c <= 0;
		diff->j += c >= 0;
		if (c == 0 && sw_view_eq(a->value, b->value))
			continue;
		*out = (struct sw_column_change){
		    .name = c <= 0 ? a->name : b->name,
		    .before = c <= 0 ? a : NULL,
		    .after = c >= 0 ? b : NULL,
		};
		return 1;
	}
	return 0;
}

/* Layout. These name the pieces of a text that is known to be an object, as the header does. */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t offset(const struct sw_columns *c, const uint8_t *p)
{
	return (size_t)(p - c->text.p);
}

/* The whitespace that ends before byte `end` of the text. */
static struct sw_view space_before(const struct sw_columns *c, size_t end)
{
	size_t from = end;

	while (from > 0 && is_space(c->text.p[from - 1]))
		from--;
	return sw_view(c->text.p + from, end - from);
}

static struct sw_view pre(const struct sw_columns *c, size_t i)
{
	return space_before(c, offset(c, c->v[i].key.p) - 1);
}

static struct sw_view mid(const struct sw_columns *c, size_t i)
{
	const uint8_t *from = c->v[i].key.p + c->v[i].key.n + 1;

	return sw_view(from, (size_t)(c->v[i].value.p - from));
}

static struct sw_view post(const struct sw_columns *c, size_t i)
{
	size_t from = offset(c, c->v[i].value.p) + c->v[i].value.n;
	size_t end = from;

	while (end < c->text.n && is_space(c->text.p[end]))
		end++;
	return sw_view(c->text.p + from, end - from);
}

/* Offset of the opening brace. */
static size_t brace_open(const struct sw_columns *c)
{
	size_t at = 0;

	while (is_space(c->text.p[at]))
		at++;
	assert(c->text.p[at] == '{');
	return at;
}

/* Offset of the closing brace. */
static size_t brace_close(const struct sw_columns *c)
{
	size_t at = c->text.n - 1 - space_before(c, c->text.n).n;

	assert(c->text.p[at] == '}');
	return at;
}

/* A merge under way. A member's post is written when it is known whether another follows. */
struct merge {
	const struct sw_columns *mine;
	const struct sw_columns *met;
	const struct sw_columns *model;
	const struct sw_view *changed;
	size_t n_changed;
	struct sw_buf *out;
	size_t start;        /* out->n before the result */
	size_t n;            /* members written */
	struct sw_view post; /* of the last one written, in case another follows */
};

static bool is_changed(const struct merge *m, struct sw_view name)
{
	size_t low = 0;
	size_t high = m->n_changed;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = sw_view_cmp(m->changed[middle], name);

		if (c == 0)
			return true;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/*
 * Asked before each member: whitespace that is written again for every added member could
 * otherwise grow a result of two small rows to gigabytes before rule 7 refuses it.
 */
static bool is_full(const struct merge *m)
{
	return m->out->rc < 0 || m->out->n - m->start > SW_COLUMNS_TEXT_MAX;
}

static void put_member(struct merge *m, struct sw_view before, struct sw_view key,
		       struct sw_view between, struct sw_view value)
{
	if (m->n++ > 0) {
		sw_buf_put_view(m->out, m->post);
		sw_buf_put_u8(m->out, ',');
		sw_buf_put_view(m->out, before);
	} else {
		sw_buf_put_view(m->out, pre(m->model, 0));
	}
	sw_buf_put_u8(m->out, '"');
	sw_buf_put_view(m->out, key);
	sw_buf_put_u8(m->out, '"');
	sw_buf_put_view(m->out, between);
	sw_buf_put_view(m->out, value);
}

/* Rule 5: what stands before the comma after a member that has no such post of its own. */
static struct sw_view model_post(const struct merge *m)
{
	return m->model->n >= 2 ? post(m->model, m->model->n - 2) : sw_view(NULL, 0);
}

/* Rule 4: what stands before an added member that is not the first. */
static struct sw_view model_pre(const struct merge *m)
{
	struct sw_view v = pre(m->model, m->model->n - 1);

	if (m->model->n == 1 && v.n == 0)
		return space_before(m->model, offset(m->model, m->model->v[0].value.p));
	return v;
}

static void put_kept(struct merge *m)
{
	for (size_t i = 0; i < m->mine->n && !is_full(m); i++) {
		const struct sw_column *from = &m->mine->v[i];

		if (!is_changed(m, from->name)) {
			from = sw_columns_find(m->met, from->name);
			if (!from)
				continue;
		}
		put_member(m, pre(m->mine, i), m->mine->v[i].key, mid(m->mine, i), from->value);
		m->post = i + 1 < m->mine->n ? post(m->mine, i) : model_post(m);
	}
}

static void put_added(struct merge *m)
{
	for (size_t i = 0; i < m->met->n && !is_full(m); i++) {
		const struct sw_column *c = &m->met->v[i];

		if (is_changed(m, c->name) || sw_columns_find(m->mine, c->name))
			continue;
		put_member(m, model_pre(m), c->key, mid(m->model, m->model->n - 1), c->value);
		m->post = model_post(m);
	}
}

int sw_columns_merge(const struct sw_columns *mine, const struct sw_columns *met,
		     const struct sw_view *changed, size_t n_changed, struct sw_buf *out)
{
	struct merge m = {.mine = mine,
			  .met = met,
			  .model = mine->n > 0 ? mine : met,
			  .changed = changed,
			  .n_changed = n_changed,
			  .out = out,
			  .start = out->n};
	size_t open = brace_open(mine);
	size_t close = brace_close(mine);
	int rc;

	for (size_t i = 1; i < n_changed; i++)
		assert(sw_view_cmp(changed[i - 1], changed[i]) < 0);

	sw_buf_put(out, mine->text.p, open + 1);
	put_kept(&m);
	put_added(&m);
	if (m.n > 0)
		sw_buf_put_view(out, post(m.model, m.model->n - 1));
	else if (mine->n == 0)
		sw_buf_put(out, mine->text.p + open + 1, close - open - 1);
	sw_buf_put(out, mine->text.p + close, mine->text.n - close);

	rc = out->rc;
	if (rc == 0 && (is_full(&m) || m.n > SW_COLUMNS_MAX))
		rc = SW_ELIMIT;
	if (rc < 0)
		out->n = m.start;
	return rc;
}
