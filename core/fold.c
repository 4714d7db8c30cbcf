#include "core/fold_internal.h"

#include <assert.h>
#include <stdlib.h>

#define FOOTHOLD_STEP  32 /* operations of a row, near the newest; */
#define FOOTHOLD_NEAR  4  /* further away, this part of what lies behind */
#define FOOTHOLD_SHARE 4  /* a foothold takes at most this part of what was folded since the one before */

void sw_changes_fini(struct sw_changes *c)
{
	free(c->v);
	sw_buf_fini(&c->names);
	*c = (struct sw_changes){0};
}

void sw_fold_result_fini(struct sw_fold_result *r)
{
	free(r->flips);
	sw_changes_fini(&r->changes);
	sw_footholds_fini(&r->footholds);
	*r = (struct sw_fold_result){0};
}

struct sw_fold_commit *sw_fold_find_commit(const struct sw_fold *f, uint64_t seq)
{
	if (seq < f->first_seq || seq - f->first_seq >= f->n_commits)
		return NULL;
	return f->by_seq[seq - f->first_seq];
}

static size_t flip_slot(const struct sw_fold *f, uint64_t seq)
{
	size_t i = (size_t)(seq * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (f->n_flip_slots - 1);

	while (f->flip_slots[i] && f->flips[f->flip_slots[i] - 1].seq != seq)
		i = (i + 1) & (f->n_flip_slots - 1);
	return i;
}

static struct sw_flip *find_flip(const struct sw_fold *f, uint64_t seq)
{
	uint32_t at = f->n_flips > 0 ? f->flip_slots[flip_slot(f, seq)] : 0;

	return at ? &f->flips[at - 1] : NULL;
}

int sw_fold_outcome(const struct sw_fold *f, uint64_t seq, enum sw_outcome *out)
{
	const struct sw_flip *flip;
	const struct sw_fold_commit *c = sw_fold_find_commit(f, seq);

	if (c) {
		*out = c->outcome;
		return 0;
	}
	flip = find_flip(f, seq);
	if (flip) {
		*out = flip->outcome;
		return 0;
	}
	return sw_history_outcome(f->txn, seq, out);
}

int sw_fold_changeset(const struct sw_fold *f, uint64_t seq, struct sw_view *out)
{
	const struct sw_fold_commit *c = sw_fold_find_commit(f, seq);
	int rc;

	if (c) {
		*out = c->changeset;
		return 0;
	}
	rc = sw_history_changeset(f->txn, seq, out);
	if (rc == SW_ENOTFOUND)
		return sw_fail(SW_ECORRUPT, "the changeset of commit number %llu is missing",
			       (unsigned long long)seq);
	return rc;
}

static int read_op(const struct sw_fold *f, const struct sw_op_ref *ref, enum sw_mode *mode,
		   struct sw_op *out)
{
	struct sw_view changeset;
	int rc = sw_fold_changeset(f, ref->seq, &changeset);

	if (rc == 0 && sw_changeset_at(changeset, ref->offset, mode, out) < 0)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	return rc;
}

/* Cells */

static void cell_free(struct sw_fold_cell *c)
{
	if (!c)
		return;
	sw_buf_fini(&c->table);
	sw_buf_fini(&c->key);
	sw_fold_row_fini(&c->row);
	free(c->refs.v);
	free(c);
}

static size_t cell_slot(const struct sw_fold *f, const struct sw_cell *cell)
{
	size_t i = sw_get_u64(cell->b) & (f->cap_cells - 1);

	while (f->cells[i] && memcmp(f->cells[i]->cell.b, cell->b, sizeof(cell->b)) != 0)
		i = (i + 1) & (f->cap_cells - 1);
	return i;
}

struct sw_fold_cell *sw_fold_find_cell(const struct sw_fold *f, const struct sw_cell *cell)
{
	return f->cap_cells ? f->cells[cell_slot(f, cell)] : NULL;
}

static int cells_grow(struct sw_fold *f)
{
	struct sw_fold_cell **old = f->cells;
	size_t cap = f->cap_cells;

	f->cap_cells = cap ? cap * 2 : 64;
	f->cells = calloc(f->cap_cells, sizeof(struct sw_fold_cell *));
	if (!f->cells) {
		f->cells = old;
		f->cap_cells = cap;
		return SW_ENOMEM;
	}
	for (size_t i = 0; i < cap; i++)
		if (old[i])
			f->cells[cell_slot(f, &old[i]->cell)] = old[i];
	free(old);
	return 0;
}

static enum sw_cell_kind kind_of(const struct sw_op *op)
{
	switch (op->kind) {
	case SW_OP_TAG:
		return SW_CELL_TAG;
	case SW_OP_RESOLVE:
		return SW_CELL_RESOLVE;
	case SW_OP_GRANT:
		return SW_CELL_GRANT;
	default:
		return op->key.n > 0 ? SW_CELL_ROW : SW_CELL_TABLE;
	}
}

/* The index could hold an operation on another cell of equal hash. */
static bool op_is_on(const struct sw_fold_cell *c, const struct sw_op *op)
{
	if (kind_of(op) != c->kind)
		return false;
	if (c->kind == SW_CELL_GRANT)
		return sw_key_eq(&op->member, &c->member);
	if (c->kind == SW_CELL_RESOLVE && !sw_hash_eq(&op->commit, &c->commit))
		return false;
	return sw_view_eq(op->table, sw_buf_view(&c->table)) &&
	       sw_view_eq(op->key, sw_buf_view(&c->key));
}

static void apply_table_op(struct sw_fold_cell *c, const struct sw_op *op, const struct sw_op_ref *ref)
{
	if (op->kind == SW_OP_MKTABLE || op->kind == SW_OP_CHMETA) {
		c->has_meta = true;
		c->mode = op->row.mode;
		c->mtime_ns = op->row.mtime_ns;
	}
	if (op->kind == SW_OP_MKTABLE || op->kind == SW_OP_RMTABLE) {
		c->presence = op->kind == SW_OP_MKTABLE ? 1 : -1;
		c->presence_ref = *ref;
	}
}

static int apply_ref(struct sw_fold *f, struct sw_fold_cell *c, const struct sw_op_ref *ref)
{
	enum sw_outcome outcome;
	enum sw_mode mode;
	struct sw_op op;
	int rc = sw_fold_outcome(f, ref->seq, &outcome);

	if (rc == 0)
		rc = read_op(f, ref, &mode, &op);
	if (rc < 0 || outcome >= SW_VOID || !op_is_on(c, &op))
		return rc;
	c->n_walked += SW_OP_SIZE_MAX + op.row.bytes.n + op.columns.n;
	if (c->kind == SW_CELL_ROW)
		return outcome == SW_DROPPED
			   ? sw_fold_row_drop(&c->row, &op, ref->seq)
			   : sw_fold_row_apply(&c->row, f->nodes, f->shape, &op, mode, ref->seq);
	if (outcome == SW_DROPPED)
		return 0;
	if (c->kind == SW_CELL_TABLE)
		apply_table_op(c, &op, ref);
	else if (c->kind == SW_CELL_TAG)
		c->commit = op.commit;
	else if (c->kind == SW_CELL_RESOLVE)
		c->is_resolved = true;
	else if (c->role < (int)op.role)
		c->role = (int)op.role;
	return 0;
}

/*
 * Behind every so many operations, the more the further they are from the newest: so a commit costs about what it crosses, and a
 * long history has few.
 */
static bool is_foothold_due(const struct sw_fold *f, const struct sw_fold_cell *c)
{
	size_t step = FOOTHOLD_STEP, left = c->refs.n - c->next;

	if (!f->footholds || c->kind != SW_CELL_ROW || c->is_light)
		return false;
	if (f->control.all_footholds)
		return true;
	if (c->next % step != 0)
		return false;
	while (step < left / FOOTHOLD_NEAR)
		step *= 2;
	return c->next % step == 0;
}

/* All of them together stay small beside the history of the row: one with much to tell waits. */
static int leave_foothold(struct sw_fold *f, struct sw_fold_cell *c)
{
	size_t max = f->control.all_footholds ? SIZE_MAX : c->n_walked / FOOTHOLD_SHARE;
	bool added;
	int rc = sw_footholds_add(f->footholds, &c->cell, sw_buf_view(&c->table), sw_buf_view(&c->key),
				  &c->refs.v[c->next - 1], &c->row, max, &added);

	if (added)
		c->n_walked = 0;
	return rc;
}

int sw_fold_cell_advance(struct sw_fold *f, struct sw_fold_cell *c, size_t n)
{
	int rc = 0;

	while (rc == 0 && c->next < n) {
		rc = apply_ref(f, c, &c->refs.v[c->next++]);
		if (rc == 0 && is_foothold_due(f, c))
			rc = leave_foothold(f, c);
	}
	return rc;
}

/* The operations of a cell, and of a row what the fold had come to behind the last foothold before everything that changes. */
static int cell_begin(struct sw_fold *f, struct sw_fold_cell *c)
{
	uint64_t limit = f->until ? sw_order_stamp(f->until) : f->from;
	struct sw_op_ref at = {0};
	size_t i = 0;
	int found = c->kind == SW_CELL_ROW ? sw_foothold_find(f->txn, &c->cell, sw_buf_view(&c->table), sw_buf_view(&c->key),
							      limit, &at, &c->row)
					   : 0;
	int rc = found < 0 ? found
			   : sw_history_refs_between(f->txn, &c->cell, at.stamp, sw_fold_last_stamp(f), &c->refs);

	if (rc < 0 || !found)
		return rc;
	while (i < c->refs.n && c->refs.v[i].seq != at.seq)
		i++;
	if (i == c->refs.n)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	c->refs.n -= i + 1;
	memmove(c->refs.v, c->refs.v + i + 1, c->refs.n * sizeof(*c->refs.v));
	return 0;
}

/* Whether ref comes before the first new commit; its outcome cannot change. */
static bool is_settled_ref(const struct sw_fold *f, const struct sw_op_ref *ref)
{
	return ref->stamp < f->from;
}

/* Take up a cell's history; everything before its `done`-th new-enough operation is applied. */
static int cell_go_heavy(struct sw_fold *f, struct sw_fold_cell *c, size_t done)
{
	size_t before = 0;
	int rc;

	free(c->refs.v);
	c->refs = (struct sw_op_refs){0};
	sw_fold_row_fini(&c->row);
	c->next = 0;
	c->is_light = false;
	rc = cell_begin(f, c);
	while (before < c->refs.n && is_settled_ref(f, &c->refs.v[before]))
		before++;
	return rc < 0 ? rc : sw_fold_cell_advance(f, c, before + done);
}

/* Whether every operation from the first new commit on is itself new: then the newest state will do. */
static bool only_new(const struct sw_fold *f, const struct sw_op_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++)
		if (refs->v[i].seq < f->first_seq)
			return false;
	return true;
}

static int cell_has_records(const struct sw_fold *f, const struct sw_fold_cell *c)
{
	struct sw_hash none = sw_hash_zero;
	struct sw_cursor cursor = {0};
	struct sw_table t;
	SW_BUF prefix = {0};
	int rc;

	if (!f->has_conflicts)
		return 0;
	rc = sw_state_table(f->nodes, &f->begin, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_CONFLICTS), &t);
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	sw_conflict_key(sw_buf_view(&c->table), sw_buf_view(&c->key), &none, &prefix);
	if (prefix.rc < 0)
		return prefix.rc;
	prefix.n -= SW_HASH_SIZE;
	rc = sw_cursor_seek(&cursor, f->nodes, &t.root, sw_buf_view(&prefix));
	if (rc > 0) {
		struct sw_view key = sw_cursor_entry(&cursor)->key;

		rc = key.n > prefix.n && memcmp(key.p, prefix.p, prefix.n) == 0;
	}
	sw_cursor_fini(&cursor);
	return rc;
}

/* Begin a row at f->begin, without its history. */
static int cell_start_light(struct sw_fold *f, struct sw_fold_cell *c)
{
	struct sw_row row;
	int rc = sw_state_row(f->nodes, &f->begin, sw_buf_view(&c->table), sw_buf_view(&c->key), &row);

	c->is_light = true;
	if (rc == SW_ENOTFOUND)
		return sw_fold_row_start(&c->row, NULL);
	return rc < 0 ? rc : sw_fold_row_start(&c->row, &row);
}

int sw_fold_trim(struct sw_fold *f, struct sw_fold_cell *c)
{
	while (c->refs.n > 0) {
		struct sw_order order;
		int rc;

		if (c->refs.v[c->refs.n - 1].stamp < sw_order_stamp(f->until))
			return 0;
		rc = sw_history_order(f->txn, c->refs.v[c->refs.n - 1].seq, &order);
		if (rc < 0)
			return rc;
		if (sw_order_cmp(&order, f->until) <= 0)
			return 0;
		c->refs.n--;
	}
	return 0;
}

/* An operation on a light row that counts and is clean: it needs no history of the row. */
static int is_plain(struct sw_fold *f, const struct sw_fold_cell *c, const struct sw_op_ref *ref, bool *out)
{
	enum sw_outcome outcome;
	enum sw_mode mode;
	struct sw_op op;
	int rc = read_op(f, ref, &mode, &op);

	if (rc == 0)
		rc = sw_fold_outcome(f, ref->seq, &outcome);
	*out = rc == 0 && outcome == SW_APPLIED && sw_fold_row_is_clean(&c->row, &op, mode);
	return rc;
}

/* The operations on a row behind the state that it begins at. */
static int refs_behind(struct sw_fold *f, struct sw_fold_cell *c, const struct sw_order *at)
{
	int rc = sw_history_refs_between(f->txn, &c->cell, sw_order_stamp(at), sw_fold_last_stamp(f), &c->refs);

	for (; rc == 0 && c->next < c->refs.n && c->refs.v[c->next].stamp == sw_order_stamp(at); c->next++) {
		struct sw_order order;

		rc = sw_history_order(f->txn, c->refs.v[c->next].seq, &order);
		if (rc < 0 || sw_order_cmp(&order, at) > 0)
			break;
	}
	return rc < 0 ? rc : sw_fold_trim(f, c);
}

/* A row up to f->until from what it was at f->below; 0 if something since then needs more of its history. */
static int cell_start_below(struct sw_fold *f, struct sw_fold_cell *c)
{
	bool plain = true;
	int rc = cell_has_records(f, c);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = refs_behind(f, c, &f->below->at);
	if (rc == 0)
		rc = cell_start_light(f, c);
	while (rc == 0 && plain && c->next < c->refs.n) {
		rc = is_plain(f, c, &c->refs.v[c->next], &plain);
		if (rc == 0 && plain)
			rc = sw_fold_cell_advance(f, c, c->next + 1);
	}
	return rc < 0 ? rc : plain;
}

/* A cell as of f->until. */
static int cell_start_at(struct sw_fold *f, struct sw_fold_cell *c)
{
	int rc = c->kind == SW_CELL_ROW && f->below ? cell_start_below(f, c) : 0;

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = cell_go_heavy(f, c, 0);
	if (rc == 0)
		rc = sw_fold_trim(f, c);
	return rc < 0 ? rc : sw_fold_cell_advance(f, c, c->refs.n);
}

static int cell_start(struct sw_fold *f, struct sw_fold_cell *c)
{
	int rc;

	if (f->until)
		return cell_start_at(f, c);
	if (c->kind != SW_CELL_ROW)
		return cell_go_heavy(f, c, 0);
	rc = sw_history_refs(f->txn, &c->cell, f->from, &c->refs);
	if (rc < 0)
		return rc;
	if (!only_new(f, &c->refs))
		return cell_go_heavy(f, c, 0);
	rc = cell_has_records(f, c);
	if (rc < 0)
		return rc;
	return rc > 0 ? cell_go_heavy(f, c, 0) : cell_start_light(f, c);
}

/* The heap of cells, by their next operation */

static int ref_before(struct sw_fold *f, const struct sw_op_ref *a, const struct sw_op_ref *b, bool *out)
{
	struct sw_order x, y;
	int rc;

	*out = a->stamp < b->stamp;
	if (a->stamp != b->stamp || a->seq == b->seq)
		return 0;
	rc = sw_history_order(f->txn, a->seq, &x);
	if (rc == 0)
		rc = sw_history_order(f->txn, b->seq, &y);
	*out = sw_order_cmp(&x, &y) < 0;
	return rc;
}

static const struct sw_op_ref *next_ref(const struct sw_fold_cell *c)
{
	return &c->refs.v[c->next];
}

static int sift_down(struct sw_fold *f, size_t i)
{
	for (;;) {
		size_t least = i;
		bool before;
		struct sw_fold_cell *swap;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < f->n_heap; child++) {
			int rc = ref_before(f, next_ref(f->heap[child]), next_ref(f->heap[least]), &before);

			if (rc < 0)
				return rc;
			if (before)
				least = child;
		}
		if (least == i)
			return 0;
		swap = f->heap[i];
		f->heap[i] = f->heap[least];
		f->heap[least] = swap;
		i = least;
	}
}

static int heap_push(struct sw_fold *f, struct sw_fold_cell *c)
{
	size_t i;

	if (c->next == c->refs.n)
		return 0;
	if (f->n_heap == f->cap_heap) {
		size_t cap = f->cap_heap ? f->cap_heap * 2 : 64;
		struct sw_fold_cell **heap = realloc(f->heap, cap * sizeof(struct sw_fold_cell *));

		if (!heap)
			return SW_ENOMEM;
		f->heap = heap;
		f->cap_heap = cap;
	}
	f->heap[f->n_heap++] = c;
	for (i = f->n_heap - 1; i > 0;) {
		size_t up = (i - 1) / 2;
		bool before;
		int rc = ref_before(f, next_ref(f->heap[i]), next_ref(f->heap[up]), &before);

		if (rc < 0)
			return rc;
		if (!before)
			break;
		c = f->heap[i];
		f->heap[i] = f->heap[up];
		f->heap[up] = c;
		i = up;
	}
	return 0;
}

static int heap_pop(struct sw_fold *f, struct sw_fold_cell **out)
{
	*out = f->heap[0];
	f->heap[0] = f->heap[--f->n_heap];
	return sift_down(f, 0);
}

/* The cell of an operation, begun and waiting in the heap; made when it is new. */
static int cell_add(struct sw_fold *f, const struct sw_op *op, struct sw_fold_cell **out)
{
	struct sw_fold_cell *c;
	struct sw_cell cell;
	int rc;

	*out = NULL;
	if (!sw_op_cell(op, &cell))
		return 0;
	*out = sw_fold_find_cell(f, &cell);
	if (*out)
		return 0;
	if (f->n_cells * 2 >= f->cap_cells) {
		rc = cells_grow(f);
		if (rc < 0)
			return rc;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return SW_ENOMEM;
	c->cell = cell;
	c->kind = kind_of(op);
	c->member = op->member;
	if (c->kind == SW_CELL_RESOLVE)
		c->commit = op->commit;
	sw_buf_put_view(&c->table, op->table);
	sw_buf_put_view(&c->key, op->key);
	f->cells[cell_slot(f, &cell)] = c;
	f->n_cells++;
	*out = c;
	if (c->table.rc < 0 || c->key.rc < 0)
		return SW_ENOMEM;
	return cell_start(f, c);
}

/* Strict commits */

static int grow_flips(struct sw_fold *f)
{
	size_t cap = f->cap_flips ? f->cap_flips * 2 : 16;
	struct sw_flip *v = realloc(f->flips, cap * sizeof(*v));
	uint32_t *slots = calloc(2 * cap, sizeof(*slots));

	if (v)
		f->flips = v;
	if (!v || !slots) {
		free(slots);
		return SW_ENOMEM;
	}
	free(f->flip_slots);
	f->flip_slots = slots;
	f->n_flip_slots = 2 * cap;
	f->cap_flips = cap;
	for (size_t i = 0; i < f->n_flips; i++)
		f->flip_slots[flip_slot(f, f->flips[i].seq)] = (uint32_t)i + 1;
	return 0;
}

static int set_outcome(struct sw_fold *f, uint64_t seq, enum sw_outcome outcome)
{
	struct sw_fold_commit *c = sw_fold_find_commit(f, seq);
	struct sw_flip *flip = find_flip(f, seq);

	if (c) {
		c->outcome = outcome;
		return 0;
	}
	if (flip) {
		flip->outcome = outcome;
		return 0;
	}
	if (f->n_flips == f->cap_flips && grow_flips(f) < 0)
		return SW_ENOMEM;
	f->flips[f->n_flips++] = (struct sw_flip){seq, outcome};
	f->flip_slots[flip_slot(f, seq)] = (uint32_t)f->n_flips;
	return 0;
}

/* Whether an operation of a strict commit is clean where it stands, for a row that is not being folded. */
static int is_clean_elsewhere(struct sw_fold *f, const struct sw_op *op, uint64_t seq, bool *out)
{
	struct sw_fold_cell c = {0};
	size_t n = 0;
	int rc = 0;

	sw_row_cell(op->table, op->key, &c.cell);
	sw_buf_put_view(&c.table, op->table);
	sw_buf_put_view(&c.key, op->key);
	if (c.table.rc < 0 || c.key.rc < 0)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = cell_begin(f, &c);
	while (rc == 0 && n < c.refs.n && c.refs.v[n].seq != seq)
		n++;
	if (rc == 0)
		rc = sw_fold_cell_advance(f, &c, n);
	*out = rc == 0 && sw_fold_row_is_clean(&c.row, op, SW_MODE_STRICT);
	sw_fold_row_fini(&c.row);
	free(c.refs.v);
	sw_buf_fini(&c.table);
	sw_buf_fini(&c.key);
	return rc;
}

static bool is_row_op(const struct sw_op *op)
{
	return op->kind == SW_OP_PUT || op->kind == SW_OP_DELETE || op->kind == SW_OP_CHECK;
}

/*
 * The outcome of a strict commit, all cells that are being folded standing right before it. Of a
 * commit that was applied, the operations elsewhere are clean still.
 */
static int judge(struct sw_fold *f, uint64_t seq, enum sw_outcome before, bool is_new,
		 enum sw_outcome *out)
{
	struct sw_view changeset;
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_fold_changeset(f, seq, &changeset);

	*out = SW_APPLIED;
	if (rc == 0)
		rc = sw_changeset_begin(&c, changeset);
	while (rc == 0 && *out == SW_APPLIED && (rc = sw_changeset_next(&c, &op)) > 0) {
		const struct sw_fold_cell *cell;
		struct sw_cell id;
		bool clean = true;

		rc = 0;
		if (!is_row_op(&op))
			continue;
		sw_row_cell(op.table, op.key, &id);
		cell = sw_fold_find_cell(f, &id);
		if (cell)
			clean = sw_fold_row_is_clean(&cell->row, &op, SW_MODE_STRICT);
		else if (is_new || before != SW_APPLIED)
			rc = is_clean_elsewhere(f, &op, seq, &clean);
		if (!clean)
			*out = SW_DROPPED;
	}
	return rc;
}

/* A strict commit turned over: all rows that it wrote are to be folded from here on. */
static int pull_in(struct sw_fold *f, uint64_t seq)
{
	struct sw_view changeset;
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_fold_changeset(f, seq, &changeset);

	if (rc == 0)
		rc = sw_changeset_begin(&c, changeset);
	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		struct sw_fold_cell *cell;
		struct sw_cell id;

		rc = 0;
		if (!sw_op_cell(&op, &id) || sw_fold_find_cell(f, &id))
			continue;
		rc = cell_add(f, &op, &cell);
		if (rc == 0 && cell->is_light)
			rc = cell_go_heavy(f, cell, 0);
		while (rc == 0 && cell->next < cell->refs.n && next_ref(cell)->seq != seq)
			rc = sw_fold_cell_advance(f, cell, cell->next + 1);
		if (rc == 0)
			rc = heap_push(f, cell);
	}
	return rc;
}

/* Whether an operation's commit is up to the horizon. */
static int is_below_horizon(const struct sw_fold *f, const struct sw_op_ref *ref, bool *out)
{
	struct sw_order order;
	int rc;

	*out = false;
	if (!f->has_horizon || ref->stamp > sw_order_stamp(&f->horizon))
		return 0;
	rc = sw_history_order(f->txn, ref->seq, &order);
	*out = rc == 0 && sw_order_cmp(&order, &f->horizon) <= 0;
	return rc;
}

static int decide(struct sw_fold *f, const struct sw_op_ref *ref)
{
	uint64_t seq = ref->seq;
	bool is_new = sw_fold_find_commit(f, seq) != NULL, stands;
	enum sw_outcome before, now;
	int rc = sw_fold_outcome(f, seq, &before);

	if (rc < 0 || before >= SW_VOID)
		return rc;
	rc = is_below_horizon(f, ref, &stands);
	if (rc < 0 || stands)
		return rc;
	rc = judge(f, seq, before, is_new, &now);
	if (rc == 0)
		rc = set_outcome(f, seq, now);
	if (rc == 0 && now != before && !is_new)
		rc = pull_in(f, seq);
	return rc;
}

/* A light row meets an operation that is not clean, or whose outcome is not plain: it needs its history. */
static int apply_next(struct sw_fold *f, struct sw_fold_cell *c)
{
	bool plain = true;
	int rc = c->is_light ? is_plain(f, c, next_ref(c), &plain) : 0;

	if (rc == 0 && !plain)
		rc = cell_go_heavy(f, c, c->next);
	return rc < 0 ? rc : sw_fold_cell_advance(f, c, c->next + 1);
}

/* All operations from the first new one on, commit by commit. */
static int run(struct sw_fold *f)
{
	uint64_t decided = 0;
	int rc = 0;

	while (rc == 0 && f->n_heap > 0) {
		const struct sw_op_ref *ref = next_ref(f->heap[0]);
		struct sw_fold_cell *c;
		enum sw_mode mode;
		struct sw_op op;

		rc = read_op(f, ref, &mode, &op);
		if (rc == 0 && mode == SW_MODE_STRICT && ref->seq != decided) {
			decided = ref->seq;
			rc = decide(f, ref);
		}
		if (rc == 0)
			rc = heap_pop(f, &c);
		if (rc == 0)
			rc = apply_next(f, c);
		if (rc == 0)
			rc = heap_push(f, c);
	}
	return rc;
}

static int add_new(struct sw_fold *f, const struct sw_op *op)
{
	size_t before = f->n_cells;
	struct sw_fold_cell *cell;
	int rc = cell_add(f, op, &cell);

	return rc == 0 && f->n_cells > before ? heap_push(f, cell) : rc;
}

/* Call back for each operation, and for the row that a resolution is about: its records change. */
static int each_op(struct sw_fold *f, struct sw_view changeset,
		   int (*fn)(struct sw_fold *f, const struct sw_op *op))
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, changeset);

	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		rc = fn(f, &op);
		if (rc == 0 && op.kind == SW_OP_RESOLVE) {
			op.kind = SW_OP_CHECK;
			rc = fn(f, &op);
		}
	}
	return rc;
}

/* Which rows were folded again: what was kept of them before may not hold any more. */
static int note_refolded(const struct sw_fold *f, struct sw_footholds *h)
{
	h->from = f->from;
	h->cells = calloc(f->n_cells + 1, sizeof(*h->cells));
	for (size_t i = 0; h->cells && i < f->cap_cells; i++)
		if (f->cells[i] && f->cells[i]->kind == SW_CELL_ROW && !f->cells[i]->is_light)
			h->cells[h->n_cells++] = f->cells[i]->cell;
	return h->cells ? 0 : SW_ENOMEM;
}

static void fold_fini(struct sw_fold *f)
{
	for (size_t i = 0; i < f->cap_cells; i++)
		cell_free(f->cells[i]);
	free(f->cells);
	free(f->by_seq);
	free(f->heap);
	free(f->flips);
	free(f->flip_slots);
}

static int find_conflicts(struct sw_fold *f)
{
	struct sw_table t;
	int rc = sw_state_table(f->nodes, &f->begin, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_CONFLICTS), &t);

	f->has_conflicts = rc == 0;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static bool is_unsigned(const struct sw_fold *f, uint64_t seq)
{
	struct sw_view commit;

	return sw_history_get(f->txn, seq, &commit) == SW_ENOTFOUND;
}

static bool is_folded(enum sw_outcome outcome)
{
	return outcome < SW_VOID;
}

/* Note the turns; *from becomes the earliest place that one of them changes. */
static int note_turns(struct sw_fold *f)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->control.n_turns; i++) {
		const struct sw_flip *turn = &f->control.turns[i];
		enum sw_outcome before;
		struct sw_order order;

		rc = sw_history_outcome(f->txn, turn->seq, &before);
		if (rc == 0)
			rc = set_outcome(f, turn->seq, turn->outcome);
		if (rc < 0 || is_folded(before) == is_folded(turn->outcome))
			continue;
		rc = sw_history_order(f->txn, turn->seq, &order);
		if (rc == 0 && sw_order_stamp(&order) < f->from)
			f->from = sw_order_stamp(&order);
	}
	return rc;
}

/* With its history: a row that a resolution was about may have a record again that the newest state does not show. */
static int add_heavy(struct sw_fold *f, const struct sw_op *op)
{
	size_t before = f->n_cells;
	struct sw_fold_cell *cell;
	int rc = cell_add(f, op, &cell);

	if (rc < 0 || f->n_cells == before)
		return rc;
	if (cell->is_light)
		rc = cell_go_heavy(f, cell, 0);
	return rc < 0 ? rc : heap_push(f, cell);
}

/* The rows of commits that are void from now on, or not any more, are folded again. */
static int add_turns(struct sw_fold *f)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->control.n_turns; i++) {
		const struct sw_flip *turn = &f->control.turns[i];
		struct sw_view changeset;
		enum sw_outcome before;

		rc = sw_history_outcome(f->txn, turn->seq, &before);
		if (rc < 0 || is_folded(before) == is_folded(turn->outcome))
			continue;
		rc = sw_fold_changeset(f, turn->seq, &changeset);
		if (rc == 0)
			rc = each_op(f, changeset, add_heavy);
	}
	return rc;
}

int sw_fold_run(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape,
		const struct sw_hash *state, const struct sw_hash *line, struct sw_fold_commit *commits,
		size_t n, const struct sw_fold_control *control, struct sw_fold_result *out)
{
	struct sw_fold f = {.txn = txn,
			    .nodes = nodes,
			    .shape = shape,
			    .state = *state,
			    .begin = *state,
			    .line = *line,
			    .commits = commits,
			    .n_commits = n,
			    .first_seq = UINT64_MAX,
			    .from = UINT64_MAX,
			    .footholds = &out->footholds,
			    .control = *control};
	int rc;

	*out = (struct sw_fold_result){.state = *state};
	for (size_t i = 0; i < n; i++) {
		if (commits[i].seq < f.first_seq)
			f.first_seq = commits[i].seq;
		if (commits[i].stamp < f.from)
			f.from = commits[i].stamp;
		if (is_folded(commits[i].outcome) && !commits[i].is_given)
			commits[i].outcome = SW_APPLIED;
	}
	f.by_seq = calloc(n + 1, sizeof(struct sw_fold_commit *));
	if (!f.by_seq)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		assert(commits[i].seq - f.first_seq < n); /* numbers of a batch are contiguous */
		f.by_seq[commits[i].seq - f.first_seq] = &commits[i];
	}
	rc = sw_history_horizon(txn, &f.horizon);
	f.has_horizon = rc > 0;
	if (rc >= 0)
		rc = find_conflicts(&f);
	if (rc == 0)
		rc = note_turns(&f);
	if (rc == 0)
		rc = add_turns(&f);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (is_folded(commits[i].outcome))
			rc = each_op(&f, commits[i].changeset, add_new);
	if (rc == 0)
		rc = run(&f);
	if (rc == 0)
		rc = note_refolded(&f, &out->footholds);
	/* A local commit that is not signed yet, and would be dropped, is not going to be made: there is nothing to tell. */
	if (rc == 0 && !(n == 1 && commits[0].outcome == SW_DROPPED && is_unsigned(&f, commits[0].seq)))
		rc = sw_fold_assemble(&f, out);
	if (rc < 0)
		sw_fold_result_fini(out);
	fold_fini(&f);
	return rc;
}

int sw_fold_walk(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view table,
		 struct sw_view key, const struct sw_op_refs *refs, sw_fold_walk_fn fn, void *arg,
		 struct sw_fold_row *row)
{
	struct sw_fold f = {.txn = txn, .nodes = nodes, .shape = shape, .first_seq = UINT64_MAX};
	struct sw_fold_cell c = {.kind = SW_CELL_ROW};
	int rc;

	sw_buf_put_view(&c.table, table);
	sw_buf_put_view(&c.key, key);
	rc = c.table.rc < 0 || c.key.rc < 0 ? SW_ENOMEM : 0;
	for (size_t i = 0; rc == 0 && i < refs->n; i++) {
		rc = apply_ref(&f, &c, &refs->v[i]);
		if (rc == 0 && fn)
			rc = fn(arg, &c.row, &refs->v[i]);
	}
	sw_buf_fini(&c.table);
	sw_buf_fini(&c.key);
	*row = c.row;
	return rc;
}

static int has_value(void *arg, const struct sw_fold_row *row, const struct sw_op_ref *ref)
{
	(void)ref;
	return sw_hash_eq(&row->hash, arg);
}

int sw_fold_refs(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view table,
		 struct sw_view key, const struct sw_op_refs *refs, const struct sw_hash *until,
		 struct sw_fold_row *row)
{
	struct sw_hash value = until ? *until : sw_hash_zero;

	return sw_fold_walk(txn, nodes, shape, table, key, refs, until ? has_value : NULL, &value, row);
}

/* Fold again a cell that a commit in between touches. */
static int add_between(struct sw_fold *f, const struct sw_op *op)
{
	struct sw_fold_cell *cell;

	return cell_add(f, op, &cell);
}

/* All commits behind one place in the line, up to another. */
static int add_all_between(struct sw_fold *f, const struct sw_order *from, const struct sw_order *to)
{
	struct sw_cursor c = {0};
	int rc = 0, more = sw_cursor_seek(&c, f->nodes, &f->line, sw_order_view(from));

	for (; more > 0; more = sw_cursor_next(&c)) {
		struct sw_view changeset;
		struct sw_order order;
		struct sw_hash id;
		uint64_t seq;

		memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		if (sw_order_cmp(&order, to) > 0)
			break;
		if (sw_order_cmp(&order, from) <= 0)
			continue;
		sw_order_id(&order, &id);
		rc = sw_history_seq(f->txn, &id, &seq);
		if (rc == 0)
			rc = sw_fold_changeset(f, seq, &changeset);
		if (rc == 0)
			rc = each_op(f, changeset, add_between);
		if (rc < 0)
			break;
	}
	sw_cursor_fini(&c);
	return more < 0 ? more : rc;
}

int sw_fold_at(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_shape *shape,
	       const struct sw_hash *line, const struct sw_fold_state *base, const struct sw_fold_state *below,
	       const struct sw_order *at, const struct sw_fold_control *control, struct sw_hash *out)
{
	struct sw_fold f = {.txn = txn,
			    .nodes = nodes,
			    .shape = shape,
			    .state = base->state,
			    .line = *line,
			    .first_seq = UINT64_MAX,
			    .until = at,
			    .below = below,
			    .begin = below ? below->state : sw_hash_zero,
			    .control = *control};
	bool is_behind = sw_order_cmp(&base->at, at) > 0;
	struct sw_fold_result result = {0};
	int rc = find_conflicts(&f);

	assert(!below || sw_order_cmp(&below->at, at) <= 0);
	if (rc == 0)
		rc = add_all_between(&f, is_behind ? at : &base->at, is_behind ? &base->at : at);
	if (rc == 0)
		rc = sw_fold_assemble(&f, &result);
	if (rc == 0)
		*out = result.state;
	sw_fold_result_fini(&result);
	fold_fini(&f);
	return rc;
}
