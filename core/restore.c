#include "core/restore.h"

#include <stdlib.h>

#include "core/columns.h"
#include "core/schema_ops.h"

#define TEXTS_MAX ((size_t)64 << 20)	/* held for one commit */
#define SIZE_FULL (SW_CHANGESET_SIZE_MAX - SW_OP_SIZE_MAX - 2 * SW_NAME_MAX - SW_INLINE_MAX)

struct restore {
	struct sw_db *db;
	struct sw_work *work;
	struct sw_view table, key;
	struct sw_reader r;	/* sees both states */
	struct sw_hash now;	/* the newest */
	struct sw_hash then;
	struct sw_view in;	/* the table whose rows are compared */
	bool is_there;		/* there is something by that name, then or now */
	struct sw_write_op *ops;
	size_t n, cap;
	size_t n_max;		/* no more than these fit into one commit */
	size_t size;		/* of the changeset, less columns */
	struct sw_buf texts;	/* of the operations: each one's table, key and content */
};

static void clear(struct restore *s)
{
	sw_buf_reset(&s->texts);
	s->n = 0;
	s->size = 0;
}

static bool is_full(const struct restore *s)
{
	return s->n >= s->n_max || s->size >= SIZE_FULL || s->texts.n >= TEXTS_MAX;
}

static int add(struct restore *s, enum sw_op_kind kind, struct sw_view key, struct sw_write_op **out)
{
	struct sw_write_op *w;

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct sw_write_op *v = realloc(s->ops, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		s->ops = v;
		s->cap = cap;
	}
	w = &s->ops[s->n++];
	*w = (struct sw_write_op){.op.kind = kind, .op.table.n = s->in.n, .op.key.n = key.n};
	sw_buf_put_view(&s->texts, s->in);
	sw_buf_put_view(&s->texts, key);
	s->size += SW_OP_SIZE_MAX + s->in.n + key.n;
	*out = w;
	return s->texts.rc;
}

/* Where the texts lie, now that no more come. */
static void place(struct restore *s)
{
	const uint8_t *p = s->texts.p;

	for (size_t i = 0; i < s->n; i++) {
		struct sw_write_op *w = &s->ops[i];

		w->op.table.p = p;
		w->op.key.p = p + w->op.table.n;
		w->content.p = w->op.key.p + w->op.key.n;
		p = w->content.p + w->content.n;
	}
}

/*
 * A row that is large, and could not come out of a merge, was written by some commit as it is, which keeps its records. Others
 * are written anew.
 */
static int add_put(struct restore *s, struct sw_view key, const struct sw_row *row, const struct sw_hash *old)
{
	struct sw_write_op *w;
	size_t before;
	int rc = add(s, SW_OP_PUT, key, &w);

	if (rc < 0)
		return rc;
	w->op.old = *old;
	w->op.row = *row;
	w->op.row.bytes = sw_view(NULL, 0);
	w->is_made = row->is_blob && !sw_columns_possible(key, (size_t)row->size);
	s->size += row->is_blob ? 0 : (size_t)row->size;
	before = s->texts.n;
	if (!w->is_made)
		rc = sw_row_read(s->r.nodes, row, &s->texts);
	w->content.n = s->texts.n - before;
	return rc;
}

/* Stops when there is enough for a commit. */
static int on_row(void *arg, struct sw_view key, const struct sw_view *now, const struct sw_view *then)
{
	struct restore *s = arg;
	struct sw_hash old = sw_hash_zero;
	struct sw_row row;
	struct sw_write_op *w;
	int rc = 0;

	if (now) {
		rc = sw_row_decode(*now, &row);
		if (rc == 0)
			sw_row_hash(&row, &old);
	}
	if (rc == 0 && then)
		rc = sw_row_decode(*then, &row);
	if (rc < 0)
		return rc;
	if (then) {
		rc = add_put(s, key, &row, &old);
	} else {
		rc = add(s, SW_OP_DELETE, key, &w);
		if (rc == 0)
			w->op.old = old;
	}
	return rc < 0 ? rc : is_full(s);
}

static int add_table(struct restore *s, enum sw_op_kind kind, const struct sw_table *t)
{
	struct sw_write_op *w;
	int rc = add(s, kind, sw_view(NULL, 0), &w);

	if (rc == 0) {
		w->op.row.mode = t->mode;
		w->op.row.mtime_ns = t->mtime_ns;
	}
	return rc;
}

static int on_table(void *arg, struct sw_view key, const struct sw_view *now, const struct sw_view *then)
{
	struct restore *s = arg;
	struct sw_table before = {0}, after = {0};
	int rc = now ? sw_table_decode(*now, &before) : 0;

	if (key.p[0] != SW_CLASS_USER)
		return 0;
	if (rc == 0 && then)
		rc = sw_table_decode(*then, &after);
	if (rc < 0)
		return rc;
	s->in = sw_view(key.p + 1, key.n - 1);
	if (!then)
		rc = add_table(s, SW_OP_RMTABLE, &after);
	else if (!now)
		rc = add_table(s, SW_OP_MKTABLE, &after);
	else if (before.mode != after.mode || before.mtime_ns != after.mtime_ns)
		rc = add_table(s, SW_OP_CHMETA, &after);
	return rc < 0 ? rc : sw_tree_diff(s->r.nodes, &before.root, &after.root, on_row, s);
}

/* The value of a table or row in a state; *value is NULL when it is not there. */
static int find(struct restore *s, const struct sw_hash *state, struct sw_view key, struct sw_view *buf,
		const struct sw_view **value)
{
	uint8_t name[1 + SW_NAME_MAX];
	struct sw_table t;
	int rc;

	*value = NULL;
	rc = sw_tree_get(s->r.nodes, state, sw_state_key(SW_CLASS_USER, s->table, name), buf);
	if (rc == 0 && key.n > 0) {
		rc = sw_table_decode(*buf, &t);
		if (rc == 0)
			rc = sw_tree_get(s->r.nodes, &t.root, key, buf);
	}
	if (rc == 0)
		*value = buf;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int compare_one(struct restore *s)
{
	uint8_t name[1 + SW_NAME_MAX];
	const struct sw_view *now = NULL, *then = NULL;
	struct sw_view a, b;
	int rc = find(s, &s->now, s->key, &a, &now);

	if (rc == 0)
		rc = find(s, &s->then, s->key, &b, &then);
	if (rc < 0)
		return rc;
	s->is_there = now || then;
	if ((!now && !then) || (now && then && sw_view_eq(*now, *then)))
		return 0;
	s->in = s->table;
	if (s->key.n > 0)
		return on_row(s, s->key, now, then);
	return on_table(s, sw_state_key(SW_CLASS_USER, s->table, name), now, then);
}

/* Operations that take the newest state nearer to the other; none when they are the same. */
static int collect(struct restore *s, struct sw_snap *snap)
{
	int rc = sw_reader_begin(s->db, &s->r);

	if (rc < 0)
		return rc;
	sw_snap_see(snap, &s->r);
	s->now = s->r.head.state;
	s->then = *sw_snap_state(snap);
	s->is_there = true;
	rc = s->table.n > 0 ? compare_one(s) : sw_tree_diff(s->r.nodes, &s->now, &s->then, on_table, s);
	sw_reader_end(&s->r);
	return rc < 0 ? rc : 0;
}

static int check_closed(const struct restore *s)
{
	for (size_t i = 0; s->work && i < s->n; i++) {
		const struct sw_op *op = &s->ops[i].op;

		if (sw_work_is_edited(s->work, op->table, op->key))
			return sw_fail(SW_EBUSY, "%.*s/%.*s is being written by a program that has it open; try again when "
						 "that has closed it",
				       (int)op->table.n, (const char *)op->table.p, (int)op->key.n,
				       (const char *)op->key.p);
	}
	return 0;
}

/* 1, or 0 when that changed nothing. SW_ELIMIT: it is too much for one commit, as columns that changed take room of their own. */
static int commit(struct restore *s, struct sw_view message, struct sw_restored *out)
{
	bool drops = sw_db_conflict_mode(s->db) == SW_CONFLICT_DROP;
	struct sw_write w = {
	    .mode = drops ? SW_MODE_STRICT : SW_MODE_MERGE, .ops = s->ops, .n = s->n, .message = message};
	uint64_t n_rows = 0;
	struct sw_hash id;
	int rc;

	place(s);
	for (size_t i = 0; i < s->n; i++)
		n_rows += s->ops[i].op.key.n > 0;
	rc = check_closed(s);
	/* A table, and all of them, bring their schemas along. */
	if (rc == 0 && s->key.n > 0)
		rc = sw_schema_check_ops(s->db, w.ops, w.n);
	if (rc == 0)
		rc = sw_db_commit(s->db, &w, &id);
	if (rc < 0 || sw_hash_is_zero(&id))
		return rc;
	out->id = id;
	out->n_commits++;
	out->n_rows += n_rows;
	return 1;
}

static int restore_all(struct restore *s, struct sw_snap *snap, struct sw_view message, struct sw_restored *out)
{
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		rc = collect(s, snap);
		more = is_full(s);
		if (rc == 0 && !s->is_there)
			rc = SW_ENOTFOUND;
		if (rc == 0 && s->n > 0)
			rc = commit(s, message, out);
		if (rc == SW_ELIMIT && s->n > 1) {
			s->n_max = s->n / 2;
			more = true;
			rc = 0;
		} else {
			more = more && rc > 0; /* what changed nothing would not the next time either */
		}
		rc = rc < 0 ? rc : 0;
		clear(s);
	}
	return rc;
}

int sw_restore(struct sw_db *db, struct sw_work *work, const struct sw_hash *commit_id, struct sw_view table,
	       struct sw_view key, struct sw_view message, struct sw_restored *out)
{
	struct restore s = {.db = db, .work = work, .table = table, .key = key, .n_max = SW_CHANGESET_OPS_MAX};
	struct sw_snap *snap = NULL;
	struct sw_hash id;
	int rc = work ? sw_work_commit(work, sw_view("", 0), &id) : 0;

	*out = (struct sw_restored){0};
	if (rc == 0)
		rc = sw_snap_open(db, commit_id, &snap);
	if (rc == 0)
		rc = restore_all(&s, snap, message, out);
	sw_buf_fini(&s.texts);
	free(s.ops);
	sw_snap_unref(snap);
	return rc;
}
