#include "core/schemas.h"

#include <stdlib.h>

#include "core/blob.h"
#include "core/columns.h"

/* What a table had the last time. */
struct entry {
	struct entry *next; /* used less lately */
	struct sw_buf table;
	struct sw_hash state; /* in which it was looked up; zero: it was not */
	bool has_text;
	struct sw_buf text;
	struct sw_schema *schema; /* NULL: there is no text, or it is none */
	struct sw_buf reason;     /* why it is none */
};

struct sw_schemas {
	struct entry *first;
	size_t n;
};

int sw_schemas_new(struct sw_schemas **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : SW_ENOMEM;
}

static void entry_free(struct entry *e)
{
	sw_schema_free(e->schema);
	sw_buf_fini(&e->table);
	sw_buf_fini(&e->text);
	sw_buf_fini(&e->reason);
	free(e);
}

void sw_schemas_free(struct sw_schemas *c)
{
	struct entry *next;

	if (!c)
		return;
	for (struct entry *e = c->first; e; e = next) {
		next = e->next;
		entry_free(e);
	}
	free(c);
}

/* The one not used for longest. */
static void drop_last(struct sw_schemas *c)
{
	struct entry **p = &c->first;

	while ((*p)->next)
		p = &(*p)->next;
	entry_free(*p);
	*p = NULL;
	c->n--;
}

/* The table's, which comes first by it, or NULL. */
static struct entry *find(struct sw_schemas *c, struct sw_view table)
{
	struct entry **p = &c->first, *e;

	while (*p && !sw_view_eq(sw_buf_view(&(*p)->table), table))
		p = &(*p)->next;
	e = *p;
	if (e && p != &c->first) {
		*p = e->next;
		e->next = c->first;
		c->first = e;
	}
	return e;
}

static int get(struct sw_schemas *c, struct sw_view table, struct entry **out)
{
	struct entry *e = find(c, table);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return SW_ENOMEM;
		sw_buf_put_view(&e->table, table);
		if (e->table.rc < 0) {
			entry_free(e);
			return SW_ENOMEM;
		}
		if (c->n == SW_SCHEMAS_MAX)
			drop_last(c);
		e->next = c->first;
		c->first = e;
		c->n++;
	}
	*out = e;
	return 0;
}

/* The first one stays: it is in use. */
static void make_room(struct sw_schemas *c)
{
	size_t n = 0;

	for (const struct entry *e = c->first; e; e = e->next)
		n += e->text.n;
	while (n > SW_SCHEMAS_TEXT_MAX && c->first->next) {
		const struct entry *last = c->first;

		while (last->next)
			last = last->next;
		n -= last->text.n;
		drop_last(c);
	}
}

static void clear(struct entry *e)
{
	sw_schema_free(SW_TAKE(e->schema));
	e->has_text = false;
	sw_buf_reset(&e->text);
	sw_buf_reset(&e->reason);
	e->state = sw_hash_zero;
}

/* What failed for want of memory is tried again. */
static int set_text(struct entry *e, struct sw_view text)
{
	int rc;

	if (e->has_text && sw_view_eq(sw_buf_view(&e->text), text))
		return 0;
	clear(e);
	rc = sw_schema_new(text, &e->schema);
	if (rc == SW_EINVAL)
		sw_buf_put_view(&e->reason, sw_view_str(sw_fail_message(rc)));
	else if (rc < 0)
		return rc;
	sw_buf_put_view(&e->text, text);
	e->has_text = e->text.rc == 0 && e->reason.rc == 0;
	return e->has_text ? 0 : SW_ENOMEM;
}

static int result(const struct entry *e, struct sw_schema **out)
{
	*out = e->schema;
	if (e->has_text && !e->schema)
		return sw_fail(SW_EINVAL, "%.*s", (int)e->reason.n, (const char *)e->reason.p);
	return 0;
}

int sw_schemas_of_text(struct sw_schemas *c, struct sw_view table, struct sw_view text,
		       struct sw_schema **out)
{
	struct entry *e;
	int rc = get(c, table, &e);

	*out = NULL;
	if (rc == 0) {
		rc = set_text(e, text);
		e->state = sw_hash_zero;
		make_room(c);
	}
	return rc < 0 ? rc : result(e, out);
}

/* Of a text that is too large the size alone is told: SW_EINVAL as for any that is none. */
static int set_row(struct entry *e, const struct sw_nodes *nodes, const struct sw_row *row)
{
	SW_BUF text = {0};
	int rc;

	if (row->size > SW_SCHEMA_TEXT_MAX) {
		text.p = calloc(1, SW_SCHEMA_TEXT_MAX + 1); /* as good as any of that size */
		text.n = text.cap = text.p ? SW_SCHEMA_TEXT_MAX + 1 : 0;
		rc = text.p ? 0 : SW_ENOMEM;
	} else {
		rc = sw_row_read(nodes, row, &text);
	}
	return rc < 0 ? rc : set_text(e, sw_buf_view(&text));
}

int sw_schemas_of_state(struct sw_schemas *c, struct sw_view table, const struct sw_nodes *nodes,
			const struct sw_hash *state, struct sw_schema **out)
{
	struct sw_row row;
	struct entry *e;
	int rc = get(c, table, &e);

	*out = NULL;
	if (rc < 0)
		return rc;
	if (sw_hash_eq(&e->state, state))
		return result(e, out);
	rc = sw_state_row(nodes, state, table, sw_view_str(SW_SCHEMA_NAME), &row);
	if (rc == 0)
		rc = set_row(e, nodes, &row);
	else if (rc == SW_ENOTFOUND)
		clear(e);
	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	e->state = *state;
	make_room(c);
	return result(e, out);
}

bool sw_schemas_known(struct sw_schemas *c, struct sw_view table, const struct sw_hash *state,
		      struct sw_schema **out)
{
	const struct entry *e = find(c, table);

	*out = NULL;
	if (!e || !sw_hash_eq(&e->state, state))
		return false;
	*out = e->schema;
	return true;
}

/* Rows */

static int is_there(const struct sw_schema_rows *rows, struct sw_view table, struct sw_view key)
{
	struct sw_row row;
	int rc;

	if (rows->is_there)
		return rows->is_there(rows->arg, table, key);
	rc = sw_state_row(rows->nodes, &rows->state, table, key, &row);
	return rc == 0 ? 1 : rc == SW_ENOTFOUND ? 0 : rc;
}

static int check_refs(const struct sw_schema_rows *rows)
{
	struct sw_schema_ref ref;
	int rc = 1;

	for (size_t i = 0; rc > 0 && sw_schema_ref(rows->schema, i, &ref); i++) {
		struct sw_view table = ref.table.n > 0 ? ref.table : rows->table;

		rc = sw_name_check(ref.key) < 0 ? 0 : is_there(rows, table, ref.key);
		if (rc == 0)
			return sw_fail(SW_EINVAL,
				       "its column %.*s refers to %.*s/%.*s, which is not there",
				       (int)ref.column.n, (const char *)ref.column.p, (int)table.n,
				       (const char *)table.p,
				       (int)(ref.key.n < SW_NAME_MAX ? ref.key.n : SW_NAME_MAX),
				       (const char *)ref.key.p);
	}
	return rc < 0 ? rc : 0;
}

int sw_schema_rows_check(const struct sw_schema_rows *rows, struct sw_view key, struct sw_view text)
{
	int rc = sw_schema_check(rows->schema, key, text);

	return rc != 0 ? rc : check_refs(rows);
}

int sw_schema_rows_check_row(const struct sw_schema_rows *rows, struct sw_view key,
			     const struct sw_row *row)
{
	SW_BUF text = {0};
	int rc = 0;

	/* Of one that is too large for columns the text does not matter. */
	if (sw_columns_possible(key, (size_t)row->size))
		rc = sw_row_read(rows->nodes, row, &text);
	return rc < 0 ? rc : sw_schema_rows_check(rows, key, sw_buf_view(&text));
}

void sw_schema_rows_end_in(struct sw_schema_rows *rows, const struct sw_env *env, uint64_t ms)
{
	rows->env = env;
	rows->until_ms = sw_env_mono_ms(env) + ms;
}

bool sw_schema_rows_is_late(const struct sw_schema_rows *rows)
{
	return rows->env && sw_env_mono_ms(rows->env) >= rows->until_ms;
}

static int walk(const struct sw_schema_rows *rows, const struct sw_hash *root, struct sw_buf *from,
		size_t n_max, sw_schema_row_fn fn, void *arg)
{
	struct sw_cursor c = {0};
	int rc = sw_cursor_seek(&c, rows->nodes, root, sw_buf_view(from));

	while (rc > 0 && n_max-- > 0) {
		struct sw_view key = sw_cursor_entry(&c)->key;
		struct sw_row row;

		rc = sw_row_decode(sw_cursor_entry(&c)->value, &row);
		if (rc == 0 && sw_schema_concerns(key)) {
			rc = sw_schema_rows_check_row(rows, key, &row);
			if (rc >= 0 || rc == SW_EINVAL)
				rc = fn(arg, key, rc);
		}
		if (rc == 0)
			rc = sw_cursor_next(&c);
		if (sw_schema_rows_is_late(rows))
			break;
	}
	if (rc > 0) {
		sw_buf_reset(from);
		sw_buf_put_view(from, sw_cursor_entry(&c)->key);
		rc = from->rc < 0 ? from->rc : 1;
	}
	sw_cursor_fini(&c);
	return rc;
}

int sw_schema_rows_walk(const struct sw_schema_rows *rows, struct sw_buf *from, size_t n_max,
			sw_schema_row_fn fn, void *arg)
{
	struct sw_table t;
	int rc = sw_state_table(rows->nodes, &rows->state, SW_CLASS_USER, rows->table, &t);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	return sw_hash_is_zero(&t.root) ? 0 : walk(rows, &t.root, from, n_max, fn, arg);
}
