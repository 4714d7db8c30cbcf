/*
 * A late commit never undoes newer work (late_merge_undoes_nothing of core/FORMAT.md), as a
 * property of its own: whatever row or column the newest merge commits wrote has the same value
 * after older merge commits have arrived.
 */
#include <stdlib.h>

#include "tests/lib/oracle_columns.h"
#include "tests/lib/world_internal.h"

static bool is_applied(const struct oracle_commit *c)
{
	return c->outcome == SW_APPLIED;
}

/* The last commit that wrote a cell, among those behind `after` in the order; SIZE_MAX: none of
 * those did. */
static size_t last_writer(const struct oracle *o, size_t row, const struct sw_view *column,
			  const struct sw_order *after)
{
	for (size_t x = o->n; x-- > 0 && sw_order_cmp(&o->commits[x].order, after) > 0;) {
		struct sw_changeset c;
		struct sw_op op;

		if (!is_applied(&o->commits[x]))
			continue;
		assert_int_equal(sw_changeset_begin(&c, sw_buf_view(&o->commits[x].changeset)), 0);
		while (sw_changeset_next(&c, &op) > 0) {
			struct sw_rd rd = sw_rd(op.columns);
			struct sw_op_column named;
			bool writes = !op.has_columns;

			if ((op.kind != SW_OP_PUT && op.kind != SW_OP_DELETE) ||
			    !sw_view_eq(op.table, world_table(row)) ||
			    !sw_view_eq(op.key, world_key(row)))
				continue;
			/* A row as a whole is only what goes whole whatever it meets. */
			while (column && !writes && sw_op_column_next(&rd, &named))
				writes = sw_view_eq(named.name, *column);
			if (writes)
				return o->commits[x].mode == SW_MODE_MERGE ? x : SIZE_MAX;
			if (!column)
				return SIZE_MAX;
		}
	}
	return SIZE_MAX;
}

static const struct oracle_row *row_of(const struct oracle *o, size_t row)
{
	for (size_t i = 0; i < o->n_rows; i++)
		if (sw_view_eq(o->rows[i].table, world_table(row)) &&
		    sw_view_eq(o->rows[i].key, world_key(row)))
			return &o->rows[i];
	return NULL;
}

/* The value of a row, or of a column in it; absent is zero. */
static struct sw_hash value_of(const struct oracle *o, size_t row, const struct sw_view *column)
{
	const struct oracle_row *r = row_of(o, row);
	struct sw_hash h = r && r->is_there ? r->hash : sw_hash_zero;
	struct oracle_members m;

	if (!column || !r || !r->is_there)
		return h;
	h = sw_hash_zero;
	if (oracle_columns_parse(world_key(row), sw_buf_view(&r->bytes), &m))
		h = oracle_columns_hash(&m, *column);
	oracle_columns_fini(&m);
	return h;
}

static void note_cell(const struct oracle *o, size_t row, const struct sw_view *column,
		      const struct sw_order *after, struct world_late *out)
{
	struct world_cell *c;

	if (last_writer(o, row, column, after) == SIZE_MAX)
		return;
	out->cells = realloc(out->cells, (out->n_cells + 1) * sizeof(*out->cells));
	assert_non_null(out->cells);
	c = &out->cells[out->n_cells++];
	*c = (struct world_cell){
	    .row = row, .is_column = column != NULL, .value = value_of(o, row, column)};
	if (column)
		sw_buf_put_view(&c->name, *column);
}

static void note_row(const struct oracle *o, size_t row, const struct sw_order *after,
		     struct world_late *out)
{
	const struct oracle_row *r = row_of(o, row);
	struct oracle_members m;

	note_cell(o, row, NULL, after, out);
	if (!r || !r->is_there || !oracle_columns_parse(world_key(row), sw_buf_view(&r->bytes), &m))
		return;
	for (size_t i = 0; i < m.n; i++) {
		struct sw_view name = sw_buf_view(&m.v[i].name);

		note_cell(o, row, &name, after, out);
	}
	oracle_columns_fini(&m);
}

/* The rows that an arriving commit writes; false: it is no merge commit. */
static bool mark_rows(struct sw_view changeset, bool *touched)
{
	struct sw_changeset c;
	struct sw_op op;

	assert_int_equal(sw_changeset_begin(&c, changeset), 0);
	while (sw_changeset_next(&c, &op) > 0)
		for (size_t row = 0; row < WORLD_ROWS; row++)
			touched[row] |= (op.kind == SW_OP_PUT || op.kind == SW_OP_DELETE) &&
					sw_view_eq(op.table, world_table(row)) &&
					sw_view_eq(op.key, world_key(row));
	return c.mode == SW_MODE_MERGE;
}

void world_late_begin(struct world *w, size_t i, const struct sw_incoming *in, size_t n,
		      struct world_late *out)
{
	const struct oracle *o = &w->seen[i];
	bool touched[WORLD_ROWS] = {false};
	struct sw_order last = {{0}};

	*out = (struct world_late){.is_open = w->rough != 0, .n = o->n};
	for (size_t k = 0; k < n; k++) {
		struct sw_order order;
		struct sw_commit c;

		assert_int_equal(sw_commit_decode(in[k].commit, &c), 0);
		sw_order_make(c.stamp, &c.author, &c.id, &order);
		if (o->n > 0 && sw_order_cmp(&order, &o->commits[o->n - 1].order) < 0)
			world_counts.late++;
		if (k == 0 || sw_order_cmp(&order, &last) > 0)
			last = order;
		out->is_open |= !mark_rows(in[k].changeset, touched);
	}
	if (out->is_open)
		return;
	out->applied = calloc(o->n + 1, sizeof(*out->applied));
	out->ids = calloc(o->n + 1, sizeof(*out->ids));
	assert_true(out->applied && out->ids);
	for (size_t x = 0; x < o->n; x++) {
		out->applied[x] = is_applied(&o->commits[x]);
		out->ids[x] = o->commits[x].commit.id;
	}
	for (size_t row = 0; row < WORLD_ROWS; row++)
		if (touched[row])
			note_row(o, row, &last, out);
}

/* Of what was there before, something else takes effect: then there is more to it than the arrival.
 */
static bool has_turned(const struct oracle *o, const struct world_late *late)
{
	for (size_t x = 0, k = 0; x < o->n && k < late->n; x++) {
		if (!sw_hash_eq(&o->commits[x].commit.id, &late->ids[k]))
			continue;
		if (is_applied(&o->commits[x]) != (bool)late->applied[k++])
			return true;
	}
	return false;
}

void world_late_end(struct world *w, size_t i, struct world_late *late)
{
	const struct oracle *o = &w->seen[i];
	bool skip = late->is_open || has_turned(o, late);

	for (size_t k = 0; k < late->n_cells; k++) {
		struct world_cell *c = &late->cells[k];
		struct sw_view name = sw_buf_view(&c->name);
		struct sw_hash now = value_of(o, c->row, c->is_column ? &name : NULL);

		if (!skip && !sw_hash_eq(&now, &c->value)) {
			oracle_print(o);
			fail_msg("world %llu, store %zu: a late commit undoes newer work in row "
				 "%zu, '%.*s'",
				 (unsigned long long)w->seed, i, c->row, (int)name.n,
				 (const char *)name.p);
		}
		world_counts.late_cells += !skip;
		sw_buf_fini(&c->name);
	}
	free(late->cells);
	free(late->applied);
	free(late->ids);
}
