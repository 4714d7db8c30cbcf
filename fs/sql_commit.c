/* The end of statements that changed rows: all of it is one strict commit, or none. */
#include <stdlib.h>

#include "core/schema_ops.h"
#include "fs/sql_internal.h"

/* A row that has come back to the bytes that it had is no change: 1, else 0. */
static int is_as_before(struct sw_sql_table *t, const struct sw_sql_change *change)
{
	struct sw_sql_row below = {0};
	int rc;

	if (change->is_gone || sw_hash_is_zero(&change->old))
		return change->is_gone && sw_hash_is_zero(&change->old);
	rc = sw_sql_row_load_below(t, change->key, &below);
	if (rc == 0)
		rc = sw_view_eq(sw_buf_view(&below.bytes), change->bytes);
	sw_sql_row_fini(&below);
	return rc;
}

static int add_ops(struct sw_sql_table *t, int64_t now_ns, struct sw_write *w)
{
	for (size_t i = 0; i < t->changes.n; i++) {
		const struct sw_sql_change *c = t->changes.v[i];
		int rc = is_as_before(t, c);

		if (rc < 0)
			return rc;
		if (rc > 0)
			continue;
		w->ops[w->n++] = (struct sw_write_op){.op = {.kind = c->is_gone ? SW_OP_DELETE : SW_OP_PUT,
							     .table = t->table->name,
							     .key = c->key,
							     .old = c->old,
							     .row = {.mode = c->mode, .mtime_ns = now_ns}},
						      .content = c->bytes};
	}
	return 0;
}

static int check_closed(struct sw_work *work, const struct sw_write *w)
{
	for (size_t i = 0; work && i < w->n; i++)
		if (sw_work_is_edited(work, w->ops[i].op.table, w->ops[i].op.key))
			return sw_sql_fail_row(w->ops[i].op.table, w->ops[i].op.key, SW_EBUSY,
					       "is being written by a program that has it open; try again when that has closed it");
	return 0;
}

static int name_moved(const struct sw_write *w, int rc)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->ops[i].has_moved_on)
			return sw_sql_fail_row(w->ops[i].op.table, w->ops[i].op.key, rc,
					       "was changed by somebody else meanwhile; run the statements again");
	return rc;
}

static void count(const struct sw_write *w, struct sw_sql_written *out)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->ops[i].op.kind == SW_OP_DELETE)
			out->n_deleted++;
		else if (sw_hash_is_zero(&w->ops[i].op.old))
			out->n_inserted++;
		else
			out->n_changed++;
	}
}

int sw_sql_commit(struct sw_sql *s, struct sw_db *db, struct sw_work *work, struct sw_view message, struct sw_sql_written *out)
{
	struct sw_write w = {.mode = SW_MODE_STRICT, .message = message};
	int64_t now_ns = (int64_t)sw_env_wall_ms(sw_db_env(db)) * 1000000;
	int rc = 0;

	*out = (struct sw_sql_written){0};
	w.ops = calloc(s->n_changes + 1, sizeof(*w.ops));
	if (!w.ops)
		return SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < s->tables.n; i++)
		rc = add_ops(&s->v[i], now_ns, &w);
	if (rc == 0)
		rc = check_closed(work, &w);
	if (rc == 0 && w.n > 0)
		rc = sw_schema_check_ops(db, w.ops, w.n);
	if (rc == 0 && w.n > 0)
		rc = sw_db_commit(db, &w, &out->commit);
	if (rc == 0)
		count(&w, out);
	else if (rc == SW_ECONFLICT)
		rc = name_moved(&w, rc);
	free(w.ops);
	return rc;
}
