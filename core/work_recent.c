/*
 * Looking into the state that a working set stands on. The kernel, on its way to a row, and then the call itself ask several
 * times whether a table is there and what its row is: what was found last is remembered, with the root of the state that it
 * was found in. Between two calls nothing else is kept, no transaction least of all.
 */
#include "core/work_internal.h"

static void state_of(const struct sw_work *w, struct sw_hash *out)
{
	if (w->is_copy)
		*out = w->base;
	else
		sw_db_newest_state(w->db, out);
}

static bool is_about(const struct sw_recent *m, const struct sw_hash *state, struct sw_view table)
{
	return m->table_n > 0 && sw_view_eq(sw_view(m->table, m->table_n), table) && sw_hash_eq(&m->state, state);
}

static void remember_table(struct sw_recent *m, const struct sw_hash *state, struct sw_view table,
			   const struct sw_table *t)
{
	memcpy(m->table, table.p, table.n);
	m->table_n = table.n;
	m->state = *state;
	m->exists = t != NULL;
	m->t = t ? *t : (struct sw_table){0};
	m->missing_n = 0;
}

static int recall_table(const struct sw_recent *m, struct sw_table *out)
{
	*out = m->t;
	return m->exists ? 0 : SW_ENOTFOUND;
}

static int find_table(struct sw_work *w, const struct sw_reader *r, struct sw_view table, struct sw_table *out)
{
	int rc;

	if (is_about(&w->recent, &r->head.state, table))
		return recall_table(&w->recent, out);
	rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_USER, table, out);
	if (rc == 0 || rc == SW_ENOTFOUND)
		remember_table(&w->recent, &r->head.state, table, rc == 0 ? out : NULL);
	return rc;
}

int sw_work_find_table(struct sw_work *w, struct sw_view table, struct sw_table *out)
{
	struct sw_hash state;
	struct sw_reader r;
	int rc;

	state_of(w, &state);
	if (is_about(&w->recent, &state, table))
		return recall_table(&w->recent, out);
	rc = sw_work_read(w, &r);
	if (rc < 0)
		return rc;
	rc = find_table(w, &r, table, out);
	sw_reader_end(&r);
	return rc;
}

bool sw_work_is_missing(const struct sw_work *w, struct sw_view table, struct sw_view key)
{
	const struct sw_recent *m = &w->recent;
	struct sw_hash state;

	/* A table that is not there has no rows; with one that is, its last row that was not found is remembered. */
	if (m->exists && (m->missing_n == 0 || !sw_view_eq(sw_view(m->missing, m->missing_n), key)))
		return false;
	state_of(w, &state);
	return is_about(m, &state, table);
}

static int find_row(struct sw_work *w, const struct sw_reader *r, struct sw_view table, struct sw_view key,
		    struct sw_row *out)
{
	struct sw_view value;
	struct sw_table t;
	int rc = find_table(w, r, table, &t);

	if (rc < 0)
		return rc;
	rc = sw_tree_get(r->nodes, &t.root, key, &value);
	if (rc == SW_ENOTFOUND && key.n <= SW_NAME_MAX) {
		memcpy(w->recent.missing, key.p, key.n);
		w->recent.missing_n = key.n;
	}
	return rc < 0 ? rc : sw_state_decode_row(value, out);
}

int sw_work_find_row(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_reader *r, struct sw_row *out)
{
	int rc = sw_work_is_missing(w, table, key) ? SW_ENOTFOUND : sw_work_read(w, r);

	if (rc < 0)
		return rc;
	rc = find_row(w, r, table, key, out);
	if (rc < 0)
		sw_reader_end(r);
	return rc;
}
