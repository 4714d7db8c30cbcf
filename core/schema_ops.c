#include "core/schema_ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/blob.h"
#include "core/columns.h"
#include "core/schemas.h"

struct checking {
	const struct sw_env *env;
	struct sw_reader r;
	struct sw_schemas *schemas;
	const struct sw_write_op **ops; /* by table and name; NULL until they are needed so */
	size_t n;
	struct sw_view table;     /* the one whose schema this is */
	struct sw_schema *schema; /* NULL: none */
};

static int op_cmp(const void *a, const void *b)
{
	const struct sw_op *x = &(*(const struct sw_write_op *const *)a)->op,
			   *y = &(*(const struct sw_write_op *const *)b)->op;
	int c = sw_view_cmp(x->table, y->table);

	return c ? c : sw_view_cmp(x->key, y->key);
}

static const struct sw_write_op *find(const struct checking *c, struct sw_view table,
				      struct sw_view key)
{
	const struct sw_write_op wanted = {.op = {.table = table, .key = key}}, *p = &wanted;
	const struct sw_write_op **found = bsearch(&p, c->ops, c->n, sizeof(*c->ops), op_cmp);

	return found ? *found : NULL;
}

static bool is_put_or_deleted(const struct sw_write_op *op)
{
	return op && (op->op.kind == SW_OP_PUT || op->op.kind == SW_OP_DELETE);
}

static int is_there(void *arg, struct sw_view table, struct sw_view key)
{
	const struct checking *c = arg;
	const struct sw_write_op *op = find(c, table, key);
	struct sw_row row;
	int rc;

	if (is_put_or_deleted(op))
		return op->op.kind == SW_OP_PUT;
	rc = sw_state_row(c->r.nodes, &c->r.head.state, table, key, &row);
	return rc == 0 ? 1 : rc == SW_ENOTFOUND ? 0 : rc;
}

static struct sw_schema_rows rows_of(struct checking *c, struct sw_view table,
				     struct sw_schema *schema)
{
	return (struct sw_schema_rows){.schema = schema,
				       .table = table,
				       .nodes = c->r.nodes,
				       .state = c->r.head.state,
				       .is_there = is_there,
				       .arg = c};
}

/* What it writes; of a row that is too large for columns nothing, which says as much. */
static int text_of(const struct checking *c, const struct sw_write_op *op, struct sw_buf *out)
{
	if (op->is_made && op->op.row.size > SW_COLUMNS_TEXT_MAX)
		return 0;
	if (op->is_made)
		return sw_row_read(c->r.nodes, &op->op.row, out);
	sw_buf_put_view(out, op->content);
	return out->rc;
}

static int refuse(struct sw_view table, struct sw_view key, const char *what)
{
	char reason[512];

	snprintf(reason, sizeof(reason), "%s", sw_fail_message(SW_EINVAL));
	return sw_fail(SW_EINVAL, "%.*s/%.*s%s: %s", (int)table.n, (const char *)table.p,
		       (int)key.n, (const char *)key.p, what, reason);
}

/* A text that is none here holds nobody up. */
static int set_table(struct checking *c, struct sw_view table)
{
	const struct sw_write_op *op;
	SW_BUF text = {0};
	int rc = 0;

	if (sw_view_eq(c->table, table))
		return 0;
	op = find(c, table, sw_view_str(SW_SCHEMA_NAME));
	c->table = table;
	c->schema = NULL;
	if (is_put_or_deleted(op) && op->op.kind == SW_OP_PUT) {
		rc = text_of(c, op, &text);
		if (rc == 0)
			rc = sw_schemas_of_text(c->schemas, table, sw_buf_view(&text), &c->schema);
	} else if (!is_put_or_deleted(op)) {
		rc = sw_schemas_of_state(c->schemas, table, c->r.nodes, &c->r.head.state,
					 &c->schema);
	}
	return rc == SW_EINVAL ? 0 : rc;
}

static int on_row(void *arg, struct sw_view key, int rc)
{
	struct checking *c = arg;

	if (rc >= 0 || is_put_or_deleted(find(c, c->table, key)))
		return 0;
	return refuse(c->table, key, ", which is there, breaks the new schema");
}

/* A new schema, and the rows that stay. */
static int check_schema(struct checking *c, const struct sw_write_op *op)
{
	struct sw_schema_rows rows = rows_of(c, op->op.table, NULL);
	SW_BUF text = {0};
	SW_BUF from = {0};
	int rc = text_of(c, op, &text);

	if (rc == 0)
		rc = sw_schema_new(sw_buf_view(&text), &rows.schema);
	if (rc == SW_EINVAL)
		return refuse(op->op.table, op->op.key, "");
	if (rc < 0)
		return rc;
	sw_schema_rows_end_in(&rows, c->env, SW_SCHEMA_ROWS_MS);
	c->table = op->op.table;
	c->schema = NULL;
	rc = sw_schema_rows_walk(&rows, &from, SW_SCHEMA_ROWS_MAX, on_row, c);
	sw_schema_free(rows.schema);
	c->table = sw_view(NULL, 0);
	return rc < 0 ? rc : 0;
}

static int check_row(struct checking *c, const struct sw_write_op *op)
{
	struct sw_schema_rows rows;
	SW_BUF text = {0};
	int rc = set_table(c, op->op.table);

	if (rc < 0 || !c->schema)
		return rc;
	rows = rows_of(c, c->table, c->schema);
	rc = text_of(c, op, &text);
	if (rc == 0)
		rc = sw_schema_rows_check(&rows, op->op.key, sw_buf_view(&text));
	if (rc == SW_EINVAL)
		return refuse(op->op.table, op->op.key, "");
	return rc < 0 ? rc : 0;
}

static bool is_schema(const struct sw_write_op *op)
{
	return sw_view_eq(op->op.key, sw_view_str(SW_SCHEMA_NAME));
}

/* 1: there is something to look at. Most tables have no schema. */
static int has_schemas(struct checking *c, const struct sw_write_op *ops, size_t n)
{
	struct sw_view table = sw_view(NULL, 0);

	for (size_t i = 0; i < n; i++) {
		struct sw_row row;
		int rc;

		if (ops[i].op.kind != SW_OP_PUT)
			continue;
		if (is_schema(&ops[i]))
			return 1;
		if (sw_view_eq(table, ops[i].op.table) || !sw_schema_concerns(ops[i].op.key))
			continue;
		table = ops[i].op.table;
		rc = sw_state_row(c->r.nodes, &c->r.head.state, table, sw_view_str(SW_SCHEMA_NAME),
				  &row);
		if (rc != SW_ENOTFOUND)
			return rc < 0 ? rc : 1;
	}
	return 0;
}

static int check_all(struct checking *c, const struct sw_write_op *ops, size_t n)
{
	int rc = sw_schemas_new(&c->schemas);

	c->ops = calloc(n, sizeof(*c->ops));
	if (rc < 0 || !c->ops)
		return SW_ENOMEM;
	c->n = n;
	for (size_t i = 0; i < n; i++)
		c->ops[i] = &ops[i];
	qsort(c->ops, n, sizeof(*c->ops), op_cmp);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (c->ops[i]->op.kind != SW_OP_PUT)
			continue;
		if (is_schema(c->ops[i]))
			rc = check_schema(c, c->ops[i]);
		else if (sw_schema_concerns(c->ops[i]->op.key))
			rc = check_row(c, c->ops[i]);
	}
	return rc;
}

int sw_schema_check_ops(struct sw_db *db, const struct sw_write_op *ops, size_t n)
{
	struct checking c = {.env = sw_db_env(db)};
	int rc = sw_reader_begin(db, &c.r);

	if (rc < 0)
		return rc;
	rc = has_schemas(&c, ops, n);
	if (rc > 0)
		rc = check_all(&c, ops, n);
	sw_schemas_free(c.schemas);
	free(c.ops);
	sw_reader_end(&c.r);
	return rc;
}
