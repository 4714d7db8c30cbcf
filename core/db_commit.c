/* Local commits: completing the operations, folding them, signing, entering the line. */
#include "core/columns.h"
#include "core/db_internal.h"
#include "core/hlc.h"

#include <stdlib.h>

struct mark {
	struct sw_cell cell;
	struct sw_spent spent;
};

struct making {
	struct sw_making made;
	struct mark *marks; /* what the journal is spent by */
	size_t n_marks;
	struct sw_buf columns; /* encodings that the operations borrow from */
	struct sw_buf changeset;
};

static int write_op_cmp(const void *a, const void *b)
{
	const struct sw_write_op *x = a, *y = b;

	return sw_op_cmp(&x->op, &y->op);
}

/* The text of the version that the operation replaces: given, or still the newest. 1, or 0 unknown. */
static int base_text(struct making *m, const struct sw_write_op *w, struct sw_buf *copy,
		     struct sw_view *out)
{
	struct sw_hash hash;
	struct sw_row row;
	int rc;

	if (w->has_base) {
		*out = w->base;
		return 1;
	}
	rc = sw_state_row(m->made.nodes, &m->made.head.state, w->op.table, w->op.key, &row);
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	sw_row_hash(&row, &hash);
	if (!sw_hash_eq(&hash, &w->op.old))
		return 0;
	rc = sw_row_read(m->made.nodes, &row, copy);
	*out = sw_buf_view(copy);
	return rc < 0 ? rc : 1;
}

/* The text that it writes: given, or that of the complete row. */
static int new_text(struct making *m, const struct sw_write_op *w, struct sw_buf *copy, struct sw_view *out)
{
	int rc = 0;

	*out = w->content;
	if (w->is_made) {
		rc = sw_row_read(m->made.nodes, &w->op.row, copy);
		*out = sw_buf_view(copy);
	}
	return rc;
}

static int encode_columns(const struct sw_columns *before, const struct sw_columns *after,
			  struct sw_op *op, struct sw_buf *out)
{
	struct sw_columns_diff diff;
	struct sw_column_change change;
	size_t begin = out->n;

	op->has_columns = true;
	op->n_columns = 0;
	sw_columns_diff_init(&diff, before, after);
	while (sw_columns_diff_next(&diff, &change) > 0) {
		struct sw_op_column c = {.name = change.name};

		if (change.before)
			sw_column_hash(change.before, &c.old);
		sw_op_column_encode(&c, out);
		op->n_columns++;
	}
	op->columns.n = out->n - begin; /* p is set once the buffer has stopped moving */
	return out->rc;
}

/* If the replaced and the written row both have columns, say which ones changed. */
static int find_columns(struct making *m, struct sw_write_op *w)
{
	struct sw_columns before = {0}, after = {0};
	struct sw_view old_text, text;
	SW_BUF copy = {0};
	SW_BUF made = {0};
	int rc;

	w->op.has_columns = false;
	w->op.columns = sw_view(NULL, 0);
	if (sw_hash_is_zero(&w->op.old) || !sw_columns_possible(w->op.key, (size_t)w->op.row.size))
		return 0;
	rc = base_text(m, w, &copy, &old_text);
	if (rc > 0)
		rc = sw_columns_parse(w->op.key, old_text, &before);
	if (rc > 0) {
		rc = new_text(m, w, &made, &text);
		if (rc == 0)
			rc = sw_columns_parse(w->op.key, text, &after);
	}
	if (rc > 0)
		rc = encode_columns(&before, &after, &w->op, &m->columns);
	sw_columns_fini(&before);
	sw_columns_fini(&after);
	return rc < 0 ? rc : 0;
}

static bool changes_meta(const struct sw_row *from, const struct sw_row *to)
{
	return from->mode != to->mode || from->mtime_ns != to->mtime_ns;
}

/*
 * An operation that leaves bytes, bits and mtime as they are is none; one that leaves the bytes only changes
 * the meta cell, or checks the row if it has to. *keep says whether anything is left.
 */
static int reduce(struct making *m, struct sw_write_op *w, bool *keep)
{
	struct sw_hash new_hash, now = sw_hash_zero;
	struct sw_row row = {0};
	int rc;

	*keep = true;
	w->has_moved_on = false;
	if (w->op.kind != SW_OP_PUT && w->op.kind != SW_OP_DELETE && w->op.kind != SW_OP_CHECK &&
	    w->op.kind != SW_OP_CHMETA)
		return 0;
	if (w->op.kind == SW_OP_CHMETA && w->op.key.n == 0)
		return 0;
	rc = sw_state_row(m->made.nodes, &m->made.head.state, w->op.table, w->op.key, &row);
	if (rc == 0)
		sw_row_hash(&row, &now);
	else if (rc != SW_ENOTFOUND)
		return rc;
	w->has_moved_on = w->op.kind != SW_OP_CHMETA && !sw_hash_eq(&w->op.old, &now);
	if (w->op.kind == SW_OP_CHECK)
		return 0;
	sw_op_new_hash(&w->op, &new_hash);
	if (w->op.kind == SW_OP_DELETE) {
		*keep = !sw_hash_is_zero(&w->op.old) || !sw_hash_is_zero(&now);
		return 0;
	}
	if (w->op.kind == SW_OP_PUT) {
		if (!sw_hash_eq(&w->op.old, &new_hash))
			return 0;
		if (w->is_checked && !changes_meta(&row, &w->op.row))
			w->op.kind = SW_OP_CHECK;
		if (w->is_checked)
			return 0;
		w->op.kind = SW_OP_CHMETA;
		w->has_moved_on = false;
	}
	*keep = !sw_hash_is_zero(&now) && changes_meta(&row, &w->op.row);
	return 0;
}

/* Of a strict commit that is not made to keep its content: whether all rows are as its author saw them. */
static int check_rows(const struct sw_write *w, size_t n)
{
	for (size_t i = 0; i < n && w->mode == SW_MODE_STRICT && !w->may_drop; i++)
		if (w->ops[i].has_moved_on)
			return sw_fail(SW_ECONFLICT, "a row that the transaction read or changed has moved on");
	return 0;
}

static bool changes_something(const struct sw_write *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (w->ops[i].op.kind != SW_OP_CHECK)
			return true;
	return false;
}

/* The journal of a row is spent also when nothing is left of its operation. */
static void add_mark(struct making *m, const struct sw_write_op *op)
{
	struct mark *mark = &m->marks[m->n_marks++];

	sw_row_cell(op->op.table, op->op.key, &mark->cell);
	mark->spent = (struct sw_spent){.seq = op->journal_seq};
	if (op->op.kind == SW_OP_PUT)
		sw_op_new_hash(&op->op, &mark->spent.written);
}

/* Complete, reduce and sort the operations. */
static int prepare(struct making *m, struct sw_write *w, size_t *n)
{
	const uint8_t *p;
	int rc = 0;

	*n = 0;
	m->marks = calloc(w->n + 1, sizeof(*m->marks));
	if (!m->marks)
		return SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < w->n; i++) {
		struct sw_write_op *op = &w->ops[i];
		bool keep;

		if (op->op.kind == SW_OP_PUT && !op->is_made)
			rc = sw_row_make(m->made.nodes, m->made.db->shape, op->content, &op->op.row);
		if (rc == 0 && op->journal_seq > 0)
			add_mark(m, op);
		if (rc == 0)
			rc = reduce(m, op, &keep);
		if (rc == 0 && keep && op->op.kind == SW_OP_PUT)
			rc = find_columns(m, op);
		if (rc == 0 && keep && (*n)++ != i)
			w->ops[*n - 1] = *op;
	}
	if (rc < 0)
		return rc;
	p = m->columns.p;
	for (size_t i = 0; i < *n; i++) {
		if (!w->ops[i].op.has_columns)
			continue;
		w->ops[i].op.columns.p = p;
		p += w->ops[i].op.columns.n;
	}
	qsort(w->ops, *n, sizeof(*w->ops), write_op_cmp);
	for (size_t i = 1; i < *n; i++)
		if (write_op_cmp(&w->ops[i - 1], &w->ops[i]) == 0)
			return sw_fail(SW_EINVAL, "a commit changes one row twice");
	return 0;
}

static int encode(const struct sw_write *w, size_t n, struct sw_buf *out)
{
	struct sw_op *ops = calloc(n, sizeof(*ops));

	if (!ops)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++)
		ops[i] = w->ops[i].op;
	sw_changeset_encode(w->mode, ops, n, out, NULL);
	free(ops);
	if (out->rc < 0)
		return out->rc;
	if (out->n > SW_CHANGESET_SIZE_MAX || n > SW_CHANGESET_OPS_MAX)
		return sw_fail(SW_ELIMIT, "a commit of %zu operations and %zu bytes is too large; "
					  "split it", n, out->n);
	return 0;
}

/* Parents ascend, each once; when there is no room for another, it is none. */
static void add_parent(struct sw_commit *c, const struct sw_hash *id)
{
	size_t i = 0;

	while (i < c->n_parents && sw_hash_cmp(&c->parents[i], id) < 0)
		i++;
	if (c->n_parents == SW_PARENTS_MAX || (i < c->n_parents && sw_hash_eq(&c->parents[i], id)))
		return;
	memmove(&c->parents[i + 1], &c->parents[i], (c->n_parents - i) * sizeof(*id));
	c->parents[i] = *id;
	c->n_parents++;
}

/* A commit of the line, by its number. */
static int add_parent_at(struct sw_txn *txn, struct sw_commit *c, uint64_t seq)
{
	struct sw_order order;
	struct sw_hash id;
	int rc = sw_history_order(txn, seq, &order);

	if (rc < 0)
		return rc;
	sw_order_id(&order, &id);
	add_parent(c, &id);
	return 0;
}

static int add_newest_own(struct sw_txn *txn, struct sw_commit *c, const struct sw_key *own)
{
	uint64_t seq;
	int rc = sw_history_next_seq(txn, &seq);

	while (rc == 0 && --seq > 0) {
		enum sw_outcome outcome = SW_OUT;
		struct sw_order order;
		struct sw_key author;

		rc = sw_history_order(txn, seq, &order);
		if (rc < 0)
			return rc;
		sw_order_author(&order, &author);
		if (!sw_key_eq(&author, own))
			continue;
		rc = sw_history_outcome(txn, seq, &outcome);
		if (rc < 0 || outcome == SW_OUT)
			continue;
		return add_parent_at(txn, c, seq);
	}
	return rc;
}

/* The newest commits that grant something to the key. */
static int add_own_grants(struct sw_txn *txn, struct sw_commit *c, const struct sw_key *own)
{
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = *own};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	int rc;

	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(txn, &cell, 0, &refs);
	for (size_t i = refs.n; rc == 0 && i-- > 0 && c->n_parents < SW_PARENTS_MAX / 2;) {
		enum sw_outcome outcome;

		rc = sw_history_outcome(txn, refs.v[i].seq, &outcome);
		if (rc == 0 && outcome < SW_VOID)
			rc = add_parent_at(txn, c, refs.v[i].seq);
	}
	free(refs.v);
	return rc;
}

/*
 * The tips are the parents; beyond 64, the first of them, and the rest another time. Then what the author has made, and the
 * grants that let it in, might be below none of them, so these are parents, too.
 */
static int set_parents(struct sw_txn *txn, struct sw_commit *c, const struct sw_key *own)
{
	struct sw_view found, value;
	struct sw_hash at = sw_hash_zero;
	int rc = 0;

	if (sw_txn_count(txn, SW_SPACE_TIPS) > SW_PARENTS_MAX) {
		rc = add_newest_own(txn, c, own);
		if (rc == 0)
			rc = add_own_grants(txn, c, own);
	}
	while (rc >= 0 && c->n_parents < SW_PARENTS_MAX &&
	       (rc = sw_txn_ceil(txn, SW_SPACE_TIPS, sw_hash_view(&at), &found, &value)) > 0) {
		memcpy(at.b, found.p, SW_HASH_SIZE);
		add_parent(c, &at);
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
	}
	if (rc < 0)
		return rc;
	return c->n_parents > 0 ? 0 : sw_fail(SW_ECORRUPT, "the store has no newest commit");
}

static int fold(struct sw_making *m, struct sw_fold_commit *c, struct sw_fold_result *out)
{
	return sw_db_fold(m->db, m->txn, m->nodes, &m->head, c, 1, &m->judgement, out);
}

/* Sign it, for that state, and write it to the history. */
static int seal(struct sw_making *m, const struct sw_hash *state, const struct sw_fold_commit *c)
{
	m->commit.rule = SW_RULE_VERSION;
	m->commit.database = m->db->id;
	m->commit.state = *state;
	sw_hash_compute(SW_DOMAIN_CHANGESET, c->changeset, &m->commit.changeset);
	sw_commit_seal(&m->commit, m->db->identity, &m->raw);
	return m->raw.rc < 0 ? m->raw.rc
			     : sw_history_put(m->txn, c->seq, &m->commit.id, sw_buf_view(&m->raw));
}

/* Never ahead of our own clock: a stamp too early does no harm, one in the future is held back by all, with what follows. */
uint64_t sw_db_stamp_ms(const struct sw_db *db)
{
	uint64_t time = sw_db_time_ms(db), own = sw_env_wall_ms(db->env);

	return time < own ? time : own;
}

/* Nobody would ever take it, nor what comes on top of it: so it is not made. */
static int check_allowed(const struct sw_making *m, const struct sw_fold_commit *c)
{
	enum sw_role need;
	bool allowed = false;
	int rc = sw_changeset_needs(c->changeset, &need);

	if (rc == 0 && c->outcome < SW_VOID)
		rc = sw_db_is_allowed(m->txn, &m->commit, need, &allowed);
	if (rc == 0 && !allowed)
		return sw_fail(SW_EDENIED, "the commit would not be valid, since no grant to the key of this store counts for "
					   "it; an admin can grant it anew");
	return rc;
}

/* What it does to the validity of others, and whether it is valid itself. */
static int judge(struct sw_making *m, struct sw_fold_commit *c)
{
	int rc;

	m->commit.author = *sw_db_key(m->db);
	m->commit.stamp = c->stamp;
	if (m->is_judged)
		return 0;
	rc = sw_control_judge(m->db->control, m->txn, c, 1, &m->commit, &m->judgement);
	return rc < 0 ? rc : check_allowed(m, c);
}

int sw_making_seal(struct sw_making *m, struct sw_fold_commit *c, bool may_drop, bool *dropped,
		   struct sw_fold_result *out)
{
	int rc = sw_history_put_changeset(m->txn, c->seq, c->changeset);

	if (rc == 0)
		rc = sw_history_index(m->txn, c->seq, c->stamp, c->changeset);
	if (rc == 0)
		rc = judge(m, c);
	if (rc == 0)
		rc = fold(m, c, out);
	if (rc < 0)
		return rc;
	*dropped = c->outcome == SW_DROPPED;
	if (!*dropped)
		return seal(m, &out->state, c);
	if (!may_drop)
		return sw_fail(SW_ECONFLICT, "a row that the transaction read or changed has moved on");
	/* Its records are named after its id, so only a signed one can be folded to the end. */
	sw_fold_result_fini(out);
	rc = seal(m, &m->head.state, c);
	return rc < 0 ? rc : fold(m, c, out);
}

/* The last stamp in the line is given by the head: a new one is greater, whatever the clock says. */
static int fold_and_seal(struct making *m, struct sw_write *w, struct sw_entering *e, struct sw_fold_result *out)
{
	struct sw_db *db = m->made.db;
	int rc = sw_history_next_seq(m->made.txn, &e->fold.seq);

	e->fold.stamp = sw_hlc_next(db->hlc, sw_db_stamp_ms(db));
	e->fold.mode = w->mode;
	e->fold.changeset = sw_buf_view(&m->changeset);
	m->made.commit.message = w->message;
	if (rc == 0)
		rc = set_parents(m->made.txn, &m->made.commit, sw_db_key(db));
	return rc < 0 ? rc : sw_making_seal(&m->made, &e->fold, w->may_drop, &w->dropped, out);
}

static int mark_spent(struct sw_txn *txn, const struct making *m)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n_marks; i++) {
		SW_BUF value = {0};

		sw_buf_put_u64(&value, m->marks[i].spent.seq);
		sw_buf_put_hash(&value, &m->marks[i].spent.written);
		rc = value.rc;
		if (rc == 0)
			rc = sw_txn_put(txn, SW_SPACE_SPENT, sw_view(m->marks[i].cell.b, sizeof(m->marks[i].cell.b)),
					sw_buf_view(&value));
	}
	return rc;
}

static int decode_spent(struct sw_view value, struct sw_spent *out)
{
	struct sw_rd r = sw_rd(value);

	out->seq = sw_rd_u64(&r);
	sw_rd_hash(&r, &out->written);
	return sw_rd_done(&r) == 0 ? 0 : sw_db_damaged("record of what is committed of the journal");
}

int sw_db_spent(struct sw_db *db, struct sw_view table, struct sw_view key, struct sw_spent *out)
{
	struct sw_txn *txn;
	struct sw_cell cell;
	struct sw_view v;
	int rc = sw_txn_begin(db->store, false, &txn);

	*out = (struct sw_spent){0};
	if (rc < 0)
		return rc;
	sw_row_cell(table, key, &cell);
	rc = sw_txn_get(txn, SW_SPACE_SPENT, sw_view(cell.b, sizeof(cell.b)), &v);
	if (rc == 0)
		rc = decode_spent(v, out);
	sw_txn_abort(txn);
	return rc == SW_ENOTFOUND ? 0 : rc;
}

/* Behind the key that was found: at is its next search. */
static struct sw_view next_key(struct sw_view found, uint8_t at[static SW_STORE_KEY_MAX])
{
	memcpy(at, found.p, found.n);
	at[found.n] = 0;
	return sw_view(at, found.n + 1);
}

int sw_db_spent_last(struct sw_db *db, uint64_t *out)
{
	uint8_t at[SW_STORE_KEY_MAX];
	struct sw_view from = {0}, found, value;
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, false, &txn);

	*out = 0;
	if (rc < 0)
		return rc;
	while ((rc = sw_txn_ceil(txn, SW_SPACE_SPENT, from, &found, &value)) > 0) {
		struct sw_spent s;

		rc = decode_spent(value, &s);
		if (rc < 0)
			break;
		*out = s.seq > *out ? s.seq : *out;
		from = next_key(found, at);
	}
	sw_txn_abort(txn);
	return rc;
}

int sw_db_forget_spent(struct sw_db *db, uint64_t upto)
{
	uint8_t at[SW_STORE_KEY_MAX];
	struct sw_view from = {0}, found, value;
	struct sw_txn *txn = NULL;
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = sw_txn_begin(db->store, true, &txn);
	while (rc == 0 && (rc = sw_txn_ceil(txn, SW_SPACE_SPENT, from, &found, &value)) > 0) {
		struct sw_spent s;

		rc = decode_spent(value, &s);
		from = next_key(found, at); /* the view dies with the delete */
		if (rc == 0 && s.seq <= upto)
			rc = sw_txn_del(txn, SW_SPACE_SPENT, sw_view(at, from.n - 1));
	}
	if (rc == 0)
		rc = sw_txn_commit(SW_TAKE(txn));
	sw_txn_abort(txn);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

/* Nothing changes, but rows that turned out unchanged used up their journal, and a working copy is done with. */
static int commit_nothing(struct making *m, uint64_t copy)
{
	int rc = mark_spent(m->made.txn, m);

	if (rc == 0 && copy)
		rc = sw_db_copy_spend(m->made.txn, copy);
	return rc < 0 ? rc : sw_txn_commit(SW_TAKE(m->made.txn));
}

/* Of the operations that are in the commit. */
static int collect_stages(const struct sw_write *w, struct sw_entering *e)
{
	e->stages = calloc(w->n + 1, sizeof(struct sw_stage *));
	if (!e->stages)
		return SW_ENOMEM;
	for (size_t i = 0; i < w->n; i++)
		if (w->ops[i].stage && w->ops[i].op.kind == SW_OP_PUT)
			e->stages[e->n_stages++] = w->ops[i].stage;
	return 0;
}

static int make(struct making *m, struct sw_write *w, struct sw_hash *id)
{
	struct sw_entering e = {.commit = &m->made.commit}, *entering = &e;
	struct sw_fold_result fold = {0};
	size_t n = 0;
	int rc = prepare(m, w, &n);

	w->n = n;
	if (rc == 0)
		rc = check_rows(w, n);
	if (rc == 0 && !changes_something(w, n)) {
		*id = sw_hash_zero;
		w->n = 0;
		if (m->n_marks > 0 || w->copy)
			rc = commit_nothing(m, w->copy);
		return rc;
	}
	if (rc == 0)
		rc = encode(w, n, &m->changeset);
	if (rc == 0)
		rc = collect_stages(w, &e);
	if (rc == 0)
		rc = fold_and_seal(m, w, &e, &fold);
	if (rc == 0)
		rc = mark_spent(m->made.txn, m);
	if (rc == 0 && w->copy)
		rc = sw_db_copy_spend(m->made.txn, w->copy);
	if (rc == 0) {
		rc = sw_db_enter(m->made.db, SW_TAKE(m->made.txn), m->made.nodes, &entering, 1, &m->made.judgement,
				 &fold, w->from_work ? SW_FROM_WORK : SW_FROM_HERE);
		*id = m->made.commit.id;
	}
	free(e.stages);
	sw_fold_result_fini(&fold);
	return rc;
}

static int check_role(const struct sw_db *db, const struct sw_write *w)
{
	int role = db->own_role, need = w->mode == SW_MODE_CONTROL && !w->hands_on ? SW_ROLE_ADMIN : SW_ROLE_WRITER;

	if (role >= need)
		return 0;
	if (role == 0)
		return sw_fail(SW_EDENIED, "the key of this store is no member of the database, or not any more; an admin can "
					   "let it in");
	return sw_fail(SW_EDENIED, need == SW_ROLE_ADMIN
				       ? "only an admin may change members, and the key of this store is none"
				       : "the key of this store may only read; an admin can make it a writer");
}

int sw_db_commit_locked(struct sw_db *db, struct sw_write *w, struct sw_hash *id)
{
	struct making m = {.made.db = db};
	int rc;

	if (db->has_salt && db->head.count > 0)
		rc = sw_txn_begin(db->store, true, &m.made.txn);
	else
		rc = sw_fail(SW_EAGAIN, "the database has not arrived yet; wait until a peer is connected");
	if (rc == 0)
		rc = sw_db_nodes(db, m.made.txn, &m.made.nodes);
	if (rc == 0) {
		m.made.head = db->head; /* only writers change it */
		rc = check_role(db, w);
	}
	if (rc == 0)
		rc = make(&m, w, id);
	if (rc == 0 && w->copy)
		sw_db_copy_spent(db);
	sw_txn_abort(m.made.txn);
	sw_nodes_free(m.made.nodes);
	free(m.marks);
	sw_buf_fini(&m.columns);
	sw_buf_fini(&m.changeset);
	sw_buf_fini(&m.made.raw);
	sw_judgement_fini(&m.made.judgement);
	return rc;
}

int sw_db_commit(struct sw_db *db, struct sw_write *w, struct sw_hash *id)
{
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = sw_db_commit_locked(db, w, id);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}
