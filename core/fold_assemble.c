/* From folded cells to a new state: edits of each table, of the system's tables, and of the state itself. */
#include "core/fold_internal.h"

#include <assert.h>
#include <stdlib.h>

/* Edits whose bytes are owned; offsets until sealed, since the memory moves while it grows. */
struct edits {
	struct sw_edit *v;
	size_t n, cap;
	struct sw_buf bytes;
};

static void edits_fini(struct edits *e)
{
	free(e->v);
	sw_buf_fini(&e->bytes);
	*e = (struct edits){0};
}

static int edits_add(struct edits *e, struct sw_view key, const struct sw_view *value)
{
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 16;
		struct sw_edit *v = realloc(e->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n] = (struct sw_edit){.key.n = key.n, .del = !value};
	sw_buf_put_view(&e->bytes, key);
	if (value) {
		e->v[e->n].value.n = value->n;
		sw_buf_put_view(&e->bytes, *value);
	}
	e->n++;
	return e->bytes.rc;
}

static int edit_cmp(const void *a, const void *b)
{
	const struct sw_edit *x = a, *y = b;

	return sw_view_cmp(x->key, y->key);
}

/* Fix the pointers, sort, and of edits of one key keep one that puts. */
static void edits_seal(struct edits *e)
{
	const uint8_t *p = e->bytes.p;
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++) {
		e->v[i].key.p = p;
		e->v[i].value.p = p + e->v[i].key.n;
		p += e->v[i].key.n + e->v[i].value.n;
	}
	if (e->n > 0)
		qsort(e->v, e->n, sizeof(*e->v), edit_cmp);
	for (size_t i = 0; i < e->n; i++) {
		if (n > 0 && edit_cmp(&e->v[n - 1], &e->v[i]) == 0) {
			if (e->v[n - 1].del)
				e->v[n - 1] = e->v[i];
			continue;
		}
		e->v[n++] = e->v[i];
	}
	e->n = n;
}

struct assembly {
	struct sw_fold *f;
	struct sw_fold_result *out;
	struct sw_fold_cell **rows; /* rows and tables, by table, a table's own cell first */
	size_t n_rows;
	struct edits state, conflicts, members, resolved, tags;
};

static int row_cmp(const void *a, const void *b)
{
	const struct sw_fold_cell *x = *(struct sw_fold_cell *const *)a;
	const struct sw_fold_cell *y = *(struct sw_fold_cell *const *)b;
	int c = sw_view_cmp(sw_buf_view(&x->table), sw_buf_view(&y->table));

	return c ? c : sw_view_cmp(sw_buf_view(&x->key), sw_buf_view(&y->key));
}

static int note_change(struct sw_fold_result *out, enum sw_change_kind kind, struct sw_view table,
		       struct sw_view key, bool existed, bool exists)
{
	struct sw_changes *c = &out->changes;
	struct sw_change *v = c->v;

	if ((c->n & (c->n - 1)) == 0) { /* grow at powers of two */
		v = realloc(c->v, (c->n ? c->n * 2 : 1) * sizeof(*v));
		if (!v)
			return SW_ENOMEM;
		c->v = v;
	}
	v[c->n++] = (struct sw_change){.kind = kind,
				       .table.n = table.n,
				       .key.n = key.n,
				       .existed = existed,
				       .exists = exists};
	sw_buf_put_view(&c->names, table);
	sw_buf_put_view(&c->names, key);
	return c->names.rc;
}

static void seal_changes(struct sw_changes *c)
{
	const uint8_t *p = c->names.p;

	for (size_t i = 0; i < c->n; i++) {
		c->v[i].table.p = p;
		c->v[i].key.p = p + c->v[i].table.n;
		p += c->v[i].table.n + c->v[i].key.n;
	}
}

/* Conflict records of one row */

static int loser_cmp(const void *a, const void *b)
{
	const struct sw_loser *x = *(const struct sw_loser *const *)a, *y = *(const struct sw_loser *const *)b;
	int c = x->seq < y->seq ? -1 : x->seq > y->seq;

	if (c == 0)
		c = x->is_column - y->is_column;
	if (c == 0)
		c = sw_view_cmp(x->name, y->name);
	return c ? c : sw_hash_cmp(&x->value, &y->value);
}

static int is_resolved(struct assembly *a, struct sw_view table, struct sw_view row, const struct sw_hash *commit)
{
	struct sw_op op = {.kind = SW_OP_RESOLVE, .table = table, .key = row, .commit = *commit};
	const struct sw_fold_cell *c;
	struct sw_table t;
	struct sw_view value;
	SW_BUF key = {0};
	struct sw_cell cell;
	int rc;

	sw_op_cell(&op, &cell);
	c = sw_fold_find_cell(a->f, &cell);
	if (c)
		return c->is_resolved;
	rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_RESOLVED), &t);
	if (rc == 0) {
		sw_conflict_key(op.table, op.key, commit, &key);
		rc = key.rc;
	}
	if (rc == 0)
		rc = sw_tree_get(a->f->nodes, &t.root, sw_buf_view(&key), &value);
	if (rc == SW_ENOTFOUND)
		return 0;
	return rc < 0 ? rc : 1;
}

/* Every record that the row has now is deleted, unless it is put again. */
static int drop_old_records(struct assembly *a, const struct sw_fold_cell *row)
{
	struct sw_cursor c = {0};
	struct sw_table t;
	SW_BUF prefix = {0};
	int rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_SYSTEM,
				sw_view_str(SW_TABLE_CONFLICTS), &t);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	sw_conflict_key(sw_buf_view(&row->table), sw_buf_view(&row->key), &sw_hash_zero, &prefix);
	if (prefix.rc < 0)
		return prefix.rc;
	prefix.n -= SW_HASH_SIZE;
	rc = sw_cursor_seek(&c, a->f->nodes, &t.root, sw_buf_view(&prefix));
	for (; rc > 0; rc = sw_cursor_next(&c)) {
		struct sw_view key = sw_cursor_entry(&c)->key;

		if (key.n < prefix.n || memcmp(key.p, prefix.p, prefix.n) != 0) {
			rc = 0;
			break;
		}
		rc = edits_add(&a->conflicts, key, NULL);
		if (rc < 0)
			break;
	}
	sw_cursor_fini(&c);
	return rc;
}

/* The digest of what one commit lost: the values, and the columns' names where it is columns. */
static int put_record(struct assembly *a, const struct sw_fold_cell *row, const struct sw_loser **losers,
		      size_t n)
{
	struct sw_order order;
	struct sw_hash id, digest;
	SW_BUF key = {0};
	SW_BUF text = {0};
	struct sw_view value;
	int rc = sw_history_order(a->f->txn, losers[0]->seq, &order);

	if (rc < 0)
		return rc;
	sw_order_id(&order, &id);
	rc = is_resolved(a, sw_buf_view(&row->table), sw_buf_view(&row->key), &id);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && loser_cmp(&losers[i - 1], &losers[i]) == 0)
			continue;
		sw_buf_put_u8(&text, losers[i]->is_column);
		sw_buf_put_bytes(&text, losers[i]->name);
		sw_buf_put_hash(&text, &losers[i]->value);
	}
	sw_conflict_key(sw_buf_view(&row->table), sw_buf_view(&row->key), &id, &key);
	if (text.rc < 0 || key.rc < 0)
		return SW_ENOMEM;
	sw_hash_compute(SW_DOMAIN_VALUE, sw_buf_view(&text), &digest);
	value = sw_hash_view(&digest);
	return edits_add(&a->conflicts, sw_buf_view(&key), &value);
}

static int row_records(struct assembly *a, struct sw_fold_cell *row)
{
	const struct sw_losers *losers = &row->row.losers;
	const struct sw_loser **v;
	size_t n = 0;
	int rc;

	/* It had none where it began, which is the state being edited unless an earlier one is wanted. */
	if (row->is_light && !a->f->until)
		return 0;
	rc = drop_old_records(a, row);
	if (rc < 0 || losers->n == 0)
		return rc;
	v = calloc(losers->n, sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	for (const struct sw_loser *l = losers->first; l; l = l->next)
		v[n++] = l;
	qsort(v, n, sizeof(*v), loser_cmp);
	for (size_t i = 0, end; rc == 0 && i < n; i = end) {
		for (end = i + 1; end < n && v[end]->seq == v[i]->seq; end++)
			;
		rc = put_record(a, row, v + i, end - i);
	}
	free(v);
	return rc;
}

/* Tables */

static int edit_row(struct assembly *a, struct sw_fold_cell *c, const struct sw_table *before,
		    struct edits *edits)
{
	struct sw_view key = sw_buf_view(&c->key), old_value, value;
	bool existed = true, exists = !sw_hash_is_zero(&c->row.hash);
	SW_BUF text = {0};
	int rc = sw_tree_get(a->f->nodes, &before->root, key, &old_value);

	if (rc == SW_ENOTFOUND)
		existed = false;
	else if (rc < 0)
		return rc;
	if (exists)
		sw_row_encode(&c->row.row, &text);
	if (text.rc < 0)
		return text.rc;
	value = sw_buf_view(&text);
	if (existed == exists && (!exists || sw_view_eq(old_value, value)))
		return 0;
	rc = note_change(a->out, SW_CHANGE_ROW, sw_buf_view(&c->table), key, existed, exists);
	return rc < 0 ? rc : edits_add(edits, key, exists ? &value : NULL);
}

/* Whether a commit that counts writes a row of the table. */
static int writes_row(struct sw_fold *f, uint64_t seq, struct sw_view table, bool *out)
{
	struct sw_view changeset;
	struct sw_changeset c;
	enum sw_outcome outcome;
	struct sw_op op;
	int rc = sw_fold_outcome(f, seq, &outcome);

	if (rc == 0)
		rc = sw_fold_changeset(f, seq, &changeset);
	if (rc < 0 || outcome != SW_APPLIED)
		return rc;
	rc = sw_changeset_begin(&c, changeset);
	while (rc == 0 && !*out && (rc = sw_changeset_next(&c, &op)) > 0) {
		*out = op.kind == SW_OP_PUT && sw_view_eq(op.table, table);
		rc = 0;
	}
	return rc;
}

/* The order of a commit; a local one that is not signed yet comes after everything. */
static int order_of(const struct sw_fold *f, uint64_t seq, struct sw_order *out)
{
	struct sw_view commit;

	if (sw_history_get(f->txn, seq, &commit) == SW_ENOTFOUND) {
		memset(out->b, 0xff, sizeof(out->b));
		return 0;
	}
	return sw_history_order(f->txn, seq, out);
}

/*
 * Whether a row of an empty table was written after its last rmdir (or ever): then it is there. Rarely
 * asked, so it simply reads the line from there on, with what comes into it now: the new commits, and those that turned over.
 */
static int written_since(struct assembly *a, const struct sw_fold_cell *cell, struct sw_view table,
			 bool *out)
{
	struct sw_fold *f = a->f;
	struct sw_cursor c = {0};
	struct sw_order from = {{0}}, order;
	int rc = 0;

	*out = false;
	if (cell && cell->presence < 0)
		rc = order_of(f, cell->presence_ref.seq, &from);
	for (size_t i = 0; rc == 0 && !*out && i < f->n_commits; i++) {
		rc = order_of(f, f->commits[i].seq, &order);
		if (rc == 0 && sw_order_cmp(&order, &from) > 0)
			rc = writes_row(f, f->commits[i].seq, table, out);
	}
	for (size_t i = 0; rc == 0 && !*out && i < f->n_flips; i++) {
		rc = order_of(f, f->flips[i].seq, &order);
		if (rc == 0 && sw_order_cmp(&order, &from) > 0)
			rc = writes_row(f, f->flips[i].seq, table, out);
	}
	if (rc == 0 && !*out)
		rc = sw_cursor_seek(&c, f->nodes, &f->line, sw_order_view(&from));
	for (; rc > 0 && !*out; rc = sw_cursor_next(&c)) {
		struct sw_hash id;
		uint64_t seq;

		memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		if (f->until && sw_order_cmp(&order, f->until) > 0)
			break;
		sw_order_id(&order, &id);
		rc = sw_history_seq(f->txn, &id, &seq);
		if (rc == 0 && sw_order_cmp(&order, &from) > 0)
			rc = writes_row(f, seq, table, out);
		if (rc < 0)
			break;
	}
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

static int table_exists(struct assembly *a, const struct sw_fold_cell *cell, struct sw_view name,
			const struct sw_table *t, bool existed, bool has_rows, bool *out)
{
	*out = true;
	if (t->n_rows > 0 || (cell && cell->presence > 0))
		return 0;
	/*
	 * Nobody ever removed it, and it was here: its rows are gone, not it. Unless the commits that
	 * wrote them are: then somebody else must have written it.
	 */
	if (!cell && existed && has_rows && !a->f->until && a->f->n_flips == 0)
		return 0;
	return written_since(a, cell, name, out);
}

static int table_cell(struct assembly *a, struct sw_view name, struct sw_fold_cell **out,
		      struct sw_fold_cell *own)
{
	struct sw_op op = {.kind = SW_OP_MKTABLE, .table = name};
	struct sw_cell cell;
	int rc = 0;

	sw_op_cell(&op, &cell);
	*out = sw_fold_find_cell(a->f, &cell);
	if (*out)
		return 0;
	/* No new operation on the table itself: take up what it had. */
	own->cell = cell;
	own->kind = SW_CELL_TABLE;
	sw_buf_put_view(&own->table, name);
	rc = own->table.rc;
	if (rc == 0)
		rc = sw_history_refs_between(a->f->txn, &cell, 0, sw_fold_last_stamp(a->f), &own->refs);
	if (rc == 0 && a->f->until)
		rc = sw_fold_trim(a->f, own);
	if (rc == 0)
		rc = sw_fold_cell_advance(a->f, own, own->refs.n);
	if (rc == 0 && own->refs.n > 0)
		*out = own;
	return rc;
}

static int put_table(struct assembly *a, struct sw_view name, const struct sw_fold_cell *cell,
		     const struct sw_table *before, bool existed, struct sw_table *t, bool has_rows)
{
	uint8_t buf[1 + SW_NAME_MAX];
	struct sw_view key = sw_state_key(SW_CLASS_USER, name, buf), value;
	SW_BUF text = {0};
	bool exists;
	int rc;

	if (cell && cell->has_meta) {
		t->mode = cell->mode;
		t->mtime_ns = cell->mtime_ns;
	} else {
		t->mode = SW_TABLE_MODE_DEFAULT;
		t->mtime_ns = 0;
	}
	rc = table_exists(a, cell, name, t, existed, has_rows, &exists);
	if (rc < 0)
		return rc;
	if (existed != exists)
		rc = note_change(a->out, exists ? SW_CHANGE_TABLE_ADDED : SW_CHANGE_TABLE_REMOVED, name,
				 sw_view(NULL, 0), existed, exists);
	else if (exists && (before->mode != t->mode || before->mtime_ns != t->mtime_ns))
		rc = note_change(a->out, SW_CHANGE_TABLE_META, name, sw_view(NULL, 0), true, true);
	if (rc < 0 || (!exists && !existed))
		return rc;
	if (!exists)
		return edits_add(&a->state, key, NULL);
	sw_table_encode(t, &text);
	if (text.rc < 0)
		return text.rc;
	value = sw_buf_view(&text);
	return edits_add(&a->state, key, &value);
}

/* One table: rows[0..n) are its cells, its own first if it is among them. */
static int assemble_table(struct assembly *a, struct sw_fold_cell **rows, size_t n)
{
	struct sw_view name = sw_buf_view(&rows[0]->table);
	struct sw_fold_cell own = {0}, *cell;
	struct sw_table before = {0}, t;
	struct edits edits = {0};
	bool existed = true;
	int rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_USER, name, &before);

	if (rc == SW_ENOTFOUND) {
		before = (struct sw_table){0};
		existed = false;
		rc = 0;
	}
	t = before;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (rows[i]->kind != SW_CELL_ROW)
			continue;
		rc = edit_row(a, rows[i], &before, &edits);
		if (rc == 0)
			rc = row_records(a, rows[i]);
	}
	edits_seal(&edits);
	if (rc == 0 && edits.n > 0)
		rc = sw_tree_apply(a->f->nodes, a->f->shape, SW_PURPOSE_ROWS, &before.root, edits.v,
				   edits.n, &t.root);
	if (rc == 0)
		rc = sw_tree_count(a->f->nodes, &t.root, &t.n_rows);
	if (rc == 0)
		rc = table_cell(a, name, &cell, &own);
	if (rc == 0)
		rc = put_table(a, name, cell, &before, existed, &t, rows[n - 1]->kind == SW_CELL_ROW);
	edits_fini(&edits);
	sw_buf_fini(&own.table);
	free(own.refs.v);
	return rc;
}

static int assemble_tables(struct assembly *a)
{
	int rc = 0;

	if (a->n_rows > 0)
		qsort(a->rows, a->n_rows, sizeof(struct sw_fold_cell *), row_cmp);
	for (size_t i = 0, end; rc == 0 && i < a->n_rows; i = end) {
		struct sw_view table = sw_buf_view(&a->rows[i]->table);

		for (end = i + 1; end < a->n_rows; end++)
			if (!sw_view_eq(table, sw_buf_view(&a->rows[end]->table)))
				break;
		rc = assemble_table(a, a->rows + i, end - i);
	}
	return rc;
}

/* The system's tables */

static int edit_system(struct assembly *a, const struct sw_fold_cell *c)
{
	SW_BUF key = {0};
	uint8_t role = (uint8_t)c->role;
	struct sw_view value = sw_view(NULL, 0);

	switch (c->kind) {
	case SW_CELL_TAG:
		value = sw_hash_view(&c->commit);
		return edits_add(&a->tags, sw_buf_view(&c->table),
				 sw_hash_is_zero(&c->commit) ? NULL : &value);
	case SW_CELL_GRANT:
		if (a->f->control.roles)
			return 0;
		value = sw_view(&role, 1);
		return edits_add(&a->members, sw_view(c->member.b, SW_KEY_SIZE), role ? &value : NULL);
	case SW_CELL_RESOLVE:
		sw_conflict_key(sw_buf_view(&c->table), sw_buf_view(&c->key), &c->commit, &key);
		if (key.rc < 0)
			return key.rc;
		return edits_add(&a->resolved, sw_buf_view(&key), c->is_resolved ? &value : NULL);
	default:
		a->rows[a->n_rows++] = (struct sw_fold_cell *)(uintptr_t)c;
		return 0;
	}
}

/* The roles as they are given, where the table has others. */
static int edit_roles(struct assembly *a)
{
	const struct sw_fold_control *control = &a->f->control;
	struct sw_table before = {0};
	int rc = 0;

	if (control->n_roles > 0)
		rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_MEMBERS),
				    &before);
	if (rc == SW_ENOTFOUND)
		rc = 0;
	for (size_t i = 0; rc == 0 && i < control->n_roles; i++) {
		const struct sw_member_role *role = &control->roles[i];
		struct sw_view key = sw_view(role->key.b, SW_KEY_SIZE), value = sw_view(&role->role, 1), old;

		rc = sw_tree_get(a->f->nodes, &before.root, key, &old);
		if (rc == SW_ENOTFOUND)
			rc = role->role ? edits_add(&a->members, key, &value) : 0;
		else if (rc == 0 && !sw_view_eq(old, value))
			rc = edits_add(&a->members, key, role->role ? &value : NULL);
	}
	return rc;
}

static int apply_system(struct assembly *a, const char *name, enum sw_purpose purpose, struct edits *edits)
{
	uint8_t buf[1 + SW_NAME_MAX];
	struct sw_view key = sw_state_key(SW_CLASS_SYSTEM, sw_view_str(name), buf), value;
	struct sw_table before = {0}, t = {0};
	SW_BUF text = {0};
	int rc;

	edits_seal(edits);
	if (edits->n == 0)
		return 0;
	rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_SYSTEM, sw_view_str(name), &before);
	if (rc == SW_ENOTFOUND)
		rc = 0;
	if (rc == 0)
		rc = sw_tree_apply(a->f->nodes, a->f->shape, purpose, &before.root, edits->v, edits->n,
				   &t.root);
	if (rc == 0)
		rc = sw_tree_count(a->f->nodes, &t.root, &t.n_rows);
	if (rc < 0)
		return rc;
	if (t.n_rows == 0)
		return edits_add(&a->state, key, NULL);
	sw_table_encode(&t, &text);
	if (text.rc < 0)
		return text.rc;
	value = sw_buf_view(&text);
	return edits_add(&a->state, key, &value);
}

static int note_conflict(struct assembly *a, const struct sw_edit *e, bool existed)
{
	struct sw_view table, key;
	struct sw_change *c;
	struct sw_hash commit;
	int rc = sw_conflict_key_parse(e->key, &table, &key, &commit);

	if (rc == 0)
		rc = note_change(a->out, SW_CHANGE_CONFLICT, table, key, existed, !e->del);
	if (rc < 0)
		return rc;
	c = &a->out->changes.v[a->out->changes.n - 1];
	c->commit = commit;
	rc = e->del ? is_resolved(a, table, key, &commit) : 0;
	c->is_resolved = rc > 0;
	return rc < 0 ? rc : 0;
}

/* Of the records that were edited, those that came or went. */
static int note_conflicts(struct assembly *a)
{
	struct sw_table before = {0};
	int rc = 0;

	if (a->conflicts.n > 0)
		rc = sw_state_table(a->f->nodes, &a->f->state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_CONFLICTS),
				    &before);
	if (rc == SW_ENOTFOUND)
		rc = 0;
	for (size_t i = 0; rc == 0 && i < a->conflicts.n; i++) {
		const struct sw_edit *e = &a->conflicts.v[i];
		struct sw_view value;

		rc = sw_tree_get(a->f->nodes, &before.root, e->key, &value);
		if (rc == 0)
			rc = e->del ? note_conflict(a, e, true) : 0;
		else if (rc == SW_ENOTFOUND)
			rc = e->del ? 0 : note_conflict(a, e, false);
	}
	return rc;
}

static int assemble(struct assembly *a)
{
	struct sw_fold *f = a->f;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->cap_cells; i++)
		if (f->cells[i])
			rc = edit_system(a, f->cells[i]);
	if (rc == 0)
		rc = edit_roles(a);
	if (rc == 0)
		rc = assemble_tables(a);
	if (rc == 0)
		rc = apply_system(a, SW_TABLE_CONFLICTS, SW_PURPOSE_CONFLICTS, &a->conflicts);
	if (rc == 0)
		rc = note_conflicts(a);
	if (rc == 0)
		rc = apply_system(a, SW_TABLE_MEMBERS, SW_PURPOSE_MEMBERS, &a->members);
	if (rc == 0)
		rc = apply_system(a, SW_TABLE_RESOLVED, SW_PURPOSE_RESOLVED, &a->resolved);
	if (rc == 0)
		rc = apply_system(a, SW_TABLE_TAGS, SW_PURPOSE_TAGS, &a->tags);
	edits_seal(&a->state);
	if (rc == 0)
		rc = sw_tree_apply(f->nodes, f->shape, SW_PURPOSE_STATE, &f->state, a->state.v, a->state.n,
				   &a->out->state);
	return rc;
}

int sw_fold_assemble(struct sw_fold *f, struct sw_fold_result *out)
{
	struct assembly a = {.f = f, .out = out};
	int rc;

	a.rows = calloc(f->n_cells + 1, sizeof(struct sw_fold_cell *));
	rc = a.rows ? assemble(&a) : SW_ENOMEM;
	edits_fini(&a.state);
	edits_fini(&a.conflicts);
	edits_fini(&a.members);
	edits_fini(&a.resolved);
	edits_fini(&a.tags);
	free(a.rows);
	for (size_t i = 0; rc == 0 && i < f->n_flips; i++) {
		enum sw_outcome before;

		rc = sw_history_outcome(f->txn, f->flips[i].seq, &before);
		if (rc == 0 && before != f->flips[i].outcome)
			f->flips[out->n_flips++] = f->flips[i];
	}
	if (rc < 0) {
		sw_fold_result_fini(out);
		return rc;
	}
	seal_changes(&out->changes);
	out->flips = SW_TAKE(f->flips);
	return 0;
}
