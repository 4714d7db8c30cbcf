/*
 * Own commits that nobody was sent, and signing them again after a clock was wrong.
 *
 * A commit stamped in the far future is held back by all, with everything above it, so its author would be cut off until
 * that time has come. As long as nobody was sent it, it may be replaced by one with a good stamp. So the store remembers
 * from which number on own commits were withheld, and that is durable before the first of them is sent. Stamps of own
 * commits ascend with their numbers: what may be sent is always the beginning of them.
 */
#include "core/db_internal.h"
#include "core/hlc.h"

#include <stdlib.h>

#define META_WITHHELD "withheld"
#define FLUSH_EVERY   256 /* commits; trees in between are not kept in memory for ever */

/* What may be sent */

static int put_withheld(struct sw_txn *txn, uint64_t seq)
{
	uint8_t bytes[8];

	if (seq == 0)
		return sw_txn_del(txn, SW_SPACE_META, sw_view_str(META_WITHHELD));
	sw_set_u64(bytes, seq);
	return sw_meta_put(txn, META_WITHHELD, sw_view(bytes, sizeof(bytes)));
}

int sw_db_load_withheld(struct sw_db *db, struct sw_txn *txn)
{
	struct sw_view v;
	int rc = sw_meta_get(txn, META_WITHHELD, &v);

	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc == 0 && v.n != 8)
		return sw_fail(SW_ECORRUPT, "the store's number of the first commit that was sent to nobody is damaged");
	if (rc == 0)
		db->withheld = sw_get_u64(v.p);
	return rc;
}

int sw_db_note_withheld(struct sw_db *db, struct sw_txn *txn, struct sw_entering *const *commits, size_t n,
			enum sw_origin origin, uint64_t *withheld)
{
	*withheld = db->withheld;
	if (origin != SW_FROM_PEER) {
		const struct sw_fold_commit *c = &commits[0]->fold;

		/* The first commit of all is the name of the database: it stays. */
		if (*withheld > 0 || c->seq == 1 || sw_hlc_ms(c->stamp) <= db->released_ms)
			return 0;
		*withheld = c->seq;
		return put_withheld(txn, *withheld);
	}
	/* Another has our key: who was sent what is not known any more. */
	for (size_t i = 0; i < n && *withheld > 0; i++)
		if (sw_key_eq(&commits[i]->commit->author, sw_db_key(db)))
			*withheld = 0;
	return *withheld == db->withheld ? 0 : put_withheld(txn, 0);
}

uint64_t sw_db_withheld(struct sw_db *db)
{
	return db->withheld;
}

/* The first own commit from `seq` on that is stamped later; 0: none. */
static int find_later(struct sw_db *db, struct sw_txn *txn, uint64_t seq, uint64_t upto_ms, uint64_t *out)
{
	uint64_t next;
	int rc = sw_history_next_seq(txn, &next);

	*out = 0;
	for (; rc == 0 && seq < next; seq++) {
		struct sw_order order;
		struct sw_key author;

		rc = sw_history_order(txn, seq, &order);
		if (rc < 0)
			return rc;
		memcpy(author.b, order.b + 8, SW_KEY_SIZE);
		if (sw_hlc_ms(sw_order_stamp(&order)) > upto_ms && sw_key_eq(&author, sw_db_key(db))) {
			*out = seq;
			break;
		}
	}
	return rc;
}

/* write_lock is held. */
static int release(struct sw_db *db, uint64_t upto_ms)
{
	struct sw_txn *txn;
	uint64_t first;
	int rc = sw_txn_begin(db->store, true, &txn);

	if (rc < 0)
		return rc;
	rc = find_later(db, txn, db->withheld, upto_ms, &first);
	if (rc < 0 || first == db->withheld) {
		sw_txn_abort(txn);
		return rc;
	}
	rc = put_withheld(txn, first);
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	rc = sw_txn_commit(txn);
	if (rc == 0)
		db->withheld = first;
	return rc;
}

int sw_db_keep_signed(struct sw_db *db, uint64_t upto_ms)
{
	return db->withheld > 0 ? release(db, upto_ms) : 0;
}

int sw_db_release(struct sw_db *db, uint64_t upto_ms)
{
	int rc = 0;

	pthread_mutex_lock(&db->write_lock);
	if (db->withheld > 0 && upto_ms > 0)
		rc = release(db, upto_ms);
	if (rc == 0)
		db->released_ms = upto_ms;
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

/* Signing again */

/* A commit to be replaced, and by what. */
struct again {
	uint64_t seq;
	struct sw_order order; /* the old place */
	struct sw_hash old, id;
	struct sw_buf raw, changeset;
};

struct resigning {
	struct sw_making made; /* its head moves on with each commit */
	struct again *v;       /* in their order, which is that of their numbers */
	size_t n, cap;
	struct again **by_id; /* the old one */
	uint64_t stamp;	      /* the last one given */
	struct sw_order first; /* of the line as it was */
	struct sw_moving moving;
	struct sw_head kept;  /* whose trees are in the store, for as long as this goes on */
};

static int add(struct resigning *r, uint64_t seq, const struct sw_order *order)
{
	struct sw_txn *txn = r->made.txn;
	struct sw_view raw, changeset;
	struct again *a;
	int rc;

	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		struct again *v = realloc(r->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		memset(v + r->cap, 0, (cap - r->cap) * sizeof(*v));
		r->v = v;
		r->cap = cap;
	}
	a = &r->v[r->n++];
	*a = (struct again){.seq = seq, .order = *order};
	sw_order_id(order, &a->old);
	rc = sw_history_get(txn, seq, &raw);
	if (rc == 0)
		rc = sw_history_changeset(txn, seq, &changeset);
	if (rc < 0)
		return rc;
	sw_buf_put_view(&a->raw, raw);
	sw_buf_put_view(&a->changeset, changeset);
	return a->raw.rc < 0 ? a->raw.rc : a->changeset.rc;
}

static bool may_go(const struct sw_db *db, uint64_t seq, const struct sw_order *order)
{
	return seq >= db->withheld && memcmp(order->b + 8, sw_db_key(db)->b, SW_KEY_SIZE) == 0;
}

/*
 * Where validity is judged, only what is valid and judges nobody else. It stays valid: nobody else has seen it, what
 * it stands on is the same, and every floor has a stamp below the new one.
 */
static int is_plain(const struct resigning *r, uint64_t seq, bool *out)
{
	struct sw_changeset c;
	enum sw_outcome outcome;
	bool limited;
	int rc = sw_control_is_limited(r->made.txn, &limited);

	*out = true;
	if (rc < 0 || !limited)
		return rc;
	rc = sw_history_outcome(r->made.txn, seq, &outcome);
	if (rc == 0)
		rc = sw_changeset_begin(&c, sw_buf_view(&r->v[r->n - 1].changeset));
	*out = rc == 0 && outcome < SW_VOID && c.mode != SW_MODE_CONTROL;
	return rc;
}

/* Of the commits from the first of them on: whether one is not in the line. It may stand on them, and is not signed again. */
static int has_out(struct resigning *r, bool *out)
{
	uint64_t next;
	int rc = sw_history_next_seq(r->made.txn, &next);

	*out = false;
	for (uint64_t seq = r->v[0].seq; rc == 0 && !*out && seq < next; seq++) {
		enum sw_outcome outcome;

		rc = sw_history_outcome(r->made.txn, seq, &outcome);
		*out = rc == 0 && outcome == SW_OUT;
	}
	return rc;
}

/* The end of the line behind latest_ms; none of it, when it has a commit that must stay. */
static int collect(struct resigning *r, uint64_t latest_ms)
{
	struct sw_db *db = r->made.db;
	struct sw_cursor c = {0};
	struct sw_order order = {{0}};
	int rc;

	sw_set_u64(order.b, (latest_ms + 1) << 16);
	rc = sw_cursor_seek(&c, r->made.nodes, &db->head.line, sw_order_view(&order));
	for (; rc > 0; rc = sw_cursor_next(&c)) {
		struct sw_hash id;
		bool goes = false;
		uint64_t seq;

		memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		sw_order_id(&order, &id);
		rc = sw_history_seq(r->made.txn, &id, &seq);
		if (rc == 0 && may_go(db, seq, &order)) {
			rc = add(r, seq, &order);
			if (rc == 0)
				rc = is_plain(r, seq, &goes);
		}
		if (rc < 0)
			break;
		if (!goes) {
			r->n = 0;
			break;
		}
	}
	sw_cursor_fini(&c);
	if (rc == 0 && r->n > 0) {
		bool stays;

		rc = has_out(r, &stays);
		r->n = stays ? 0 : r->n;
	}
	return rc;
}

static int by_old_id(const void *a, const void *b)
{
	const struct again *const *x = a, *const *y = b;

	return sw_hash_cmp(&(*x)->old, &(*y)->old);
}

static int sort_by_id(struct resigning *r)
{
	r->by_id = calloc(r->n, sizeof(struct again *));
	if (!r->by_id)
		return SW_ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		r->by_id[i] = &r->v[i];
	qsort(r->by_id, r->n, sizeof(struct again *), by_old_id);
	return 0;
}

/* If it names one of them, it names the new one from now on. */
static bool map_id(const struct resigning *r, struct sw_hash *id)
{
	const struct again probe = {.old = *id}, *key = &probe;
	struct again **found = bsearch(&key, r->by_id, r->n, sizeof(struct again *), by_old_id);

	if (found)
		*id = (*found)->id;
	return found != NULL;
}

/* The database as it was before them: they leave the state, the line and the history. */
static int take_back(struct resigning *r)
{
	struct sw_making *m = &r->made;
	struct sw_edit *edits = calloc(r->n, sizeof(*edits));
	struct sw_fold_state newest = {.state = m->head.state};
	struct sw_fold_control control = {0};
	struct sw_order before;
	int rc = edits ? sw_line_ago(m->nodes, &m->head.line, 0, &newest.at) : SW_ENOMEM;

	if (rc == 0)
		rc = sw_line_ago(m->nodes, &m->head.line, r->n - 1, &r->first);
	if (rc == 0)
		rc = sw_line_ago(m->nodes, &m->head.line, r->n, &before);
	if (rc == 0) {
		r->stamp = sw_order_stamp(&before);
		rc = sw_fold_at(m->txn, m->nodes, m->db->shape, &m->head.line, &newest, NULL, &before, &control,
				&m->head.state);
	}
	if (rc == 0)
		rc = sw_db_forget_milestones(m->db, m->txn, m->nodes, &r->moving);
	m->head.count -= r->n;
	for (size_t i = 0; rc == 0 && i < r->n; i++) {
		struct sw_commit commit;

		edits[i] = (struct sw_edit){.key = sw_order_view(&r->v[i].order), .del = true};
		rc = sw_commit_decode(sw_buf_view(&r->v[i].raw), &commit);
		if (rc == 0)
			rc = sw_history_remove(m->txn, r->v[i].seq, &commit, sw_buf_view(&r->v[i].changeset));
	}
	if (rc == 0)
		rc = sw_tree_apply(m->nodes, m->db->shape, SW_PURPOSE_LINE, &m->head.line, edits, r->n,
				   &m->head.line);
	free(edits);
	return rc;
}

static int op_cmp(const void *a, const void *b)
{
	return sw_op_cmp(a, b);
}

/* Tags and resolutions name commits. */
static int map_changeset(const struct resigning *r, struct again *a, enum sw_mode *mode)
{
	struct sw_changeset c;
	struct sw_op *ops = NULL;
	SW_BUF out = {0};
	bool changed = false;
	size_t n = 0;
	int rc = sw_changeset_begin(&c, sw_buf_view(&a->changeset));

	*mode = c.mode;
	if (rc == 0 && !(ops = calloc(c.n, sizeof(*ops))))
		rc = SW_ENOMEM;
	while (rc == 0 && (rc = sw_changeset_next(&c, &ops[n])) > 0) {
		if (ops[n].kind == SW_OP_RESOLVE || ops[n].kind == SW_OP_TAG)
			changed |= map_id(r, &ops[n].commit);
		n++;
		rc = 0;
		if (n == c.n)
			break;
	}
	if (rc == 0 && changed) {
		qsort(ops, n, sizeof(*ops), op_cmp);
		sw_changeset_encode(*mode, ops, n, &out, NULL);
		rc = out.rc;
		sw_buf_reset(&a->changeset);
		sw_buf_put_view(&a->changeset, sw_buf_view(&out));
		rc = rc < 0 ? rc : a->changeset.rc;
	}
	free(ops);
	return rc;
}

static int hash_cmp(const void *a, const void *b)
{
	return sw_hash_cmp(a, b);
}

/* The commit, folded and signed, is in the line again. */
static int enter(struct resigning *r, const struct sw_fold_commit *c, const struct sw_fold_result *fold)
{
	struct sw_making *m = &r->made;
	struct sw_entering e = {.fold = *c, .commit = &m->commit}, *entering = &e;
	struct sw_order first;
	int rc = sw_db_put_tip(m->txn, &m->commit);

	if (rc == 0)
		rc = sw_history_put_outcome(m->txn, c->seq, c->outcome);
	if (rc == 0)
		rc = sw_footholds_keep(&fold->footholds, m->txn);
	sw_order_make(c->stamp, &m->commit.author, &m->commit.id, &e.order);
	if (rc == 0)
		rc = sw_db_edit_line(m->db, m->txn, m->nodes, &entering, 1, fold, &m->head, &first);
	m->head.state = fold->state;
	r->stamp = c->stamp;
	return rc;
}

static int sign(struct resigning *r, struct again *a)
{
	struct sw_making *m = &r->made;
	struct sw_fold_commit c = {.seq = a->seq, .stamp = sw_hlc_next(r->stamp, sw_db_stamp_ms(m->db))};
	struct sw_fold_result fold = {0};
	bool dropped;
	int rc = sw_commit_decode(sw_buf_view(&a->raw), &m->commit);

	for (size_t i = 0; rc == 0 && i < m->commit.n_parents; i++)
		map_id(r, &m->commit.parents[i]);
	qsort(m->commit.parents, m->commit.n_parents, sizeof(struct sw_hash), hash_cmp);
	if (rc == 0)
		rc = map_changeset(r, a, &c.mode);
	c.changeset = sw_buf_view(&a->changeset);
	sw_buf_reset(&m->raw);
	if (rc == 0)
		rc = sw_making_seal(m, &c, true, &dropped, &fold);
	if (rc == 0)
		rc = enter(r, &c, &fold);
	a->id = m->commit.id;
	sw_fold_result_fini(&fold);
	return rc;
}

/* Trees in between go: only the newest are kept. */
static int keep(struct resigning *r)
{
	struct sw_nodes *nodes = r->made.nodes;
	int rc = sw_nodes_retain(nodes, &r->made.head.state);

	if (rc == 0)
		rc = sw_nodes_retain(nodes, &r->made.head.line);
	if (rc == 0)
		rc = sw_nodes_release(nodes, &r->kept.state);
	if (rc == 0)
		rc = sw_nodes_release(nodes, &r->kept.line);
	r->kept = r->made.head;
	return rc < 0 ? rc : sw_nodes_flush(nodes);
}

/* Conflict records have other names now. */
static int note_record(void *arg, struct sw_view key, const struct sw_view *before, const struct sw_view *after)
{
	struct sw_changes *c = arg;
	struct sw_view table, row;
	struct sw_change *v = realloc(c->v, (c->n + 1) * sizeof(*v));

	if (!v)
		return SW_ENOMEM;
	c->v = v;
	v = &c->v[c->n++];
	*v = (struct sw_change){.kind = SW_CHANGE_CONFLICT, .existed = before != NULL, .exists = after != NULL};
	if (sw_conflict_key_parse(key, &table, &row, &v->commit) < 0)
		return sw_fail(SW_ECORRUPT, "a conflict record is damaged");
	v->table.n = table.n;
	v->key.n = row.n;
	sw_buf_put_view(&c->names, table);
	sw_buf_put_view(&c->names, row);
	return c->names.rc;
}

static int note_records(struct resigning *r, const struct sw_head *before, struct sw_changes *out)
{
	struct sw_table a = {0}, b = {0};
	const uint8_t *p;
	int rc = sw_state_table(r->made.nodes, &before->state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_CONFLICTS), &a);

	if (rc == 0 || rc == SW_ENOTFOUND)
		rc = sw_state_table(r->made.nodes, &r->made.head.state, SW_CLASS_SYSTEM,
				    sw_view_str(SW_TABLE_CONFLICTS), &b);
	if (rc == 0 || rc == SW_ENOTFOUND)
		rc = sw_tree_diff(r->made.nodes, &a.root, &b.root, note_record, out);
	p = out->names.p;
	for (size_t i = 0; i < out->n; i++) {
		out->v[i].table.p = p;
		out->v[i].key.p = p + out->v[i].table.n;
		p += out->v[i].table.n + out->v[i].key.n;
	}
	return rc;
}

/* All of it, in the transaction, which ends. */
static int resign(struct resigning *r)
{
	struct sw_db *db = r->made.db;
	struct sw_changes changes = {0};
	int rc = sort_by_id(r);

	if (rc == 0)
		rc = take_back(r);
	for (size_t i = 0; rc == 0 && i < r->n; i++) {
		rc = sign(r, &r->v[i]);
		if (rc == 0 && i % FLUSH_EVERY == FLUSH_EVERY - 1)
			rc = keep(r);
	}
	if (rc == 0)
		rc = note_records(r, &db->head, &changes);
	if (rc == 0)
		rc = sw_nodes_release(r->made.nodes, &r->kept.state);
	if (rc == 0)
		rc = sw_nodes_release(r->made.nodes, &r->kept.line);
	sw_db_tell_begin(db);
	/* Numbers that a checkpoint has seen have other commits now. */
	if (rc == 0)
		rc = sw_db_move_head(db, SW_TAKE(r->made.txn), r->made.nodes, &r->made.head, r->stamp, &r->moving, true);
	if (rc == 0) {
		sw_control_forget(db->control);
		sw_settling_forget(db->settling, &r->v[0].order);
	}
	if (rc == 0)
		sw_db_tell_changed(db, &changes, true);
	else
		sw_db_tell_end(db);
	sw_changes_fini(&changes);
	return rc;
}

static void resigning_fini(struct resigning *r)
{
	sw_txn_abort(r->made.txn);
	sw_nodes_free(r->made.nodes);
	sw_buf_fini(&r->made.raw);
	for (size_t i = 0; i < r->cap && r->v[i].seq > 0; i++) {
		sw_buf_fini(&r->v[i].raw);
		sw_buf_fini(&r->v[i].changeset);
	}
	free(r->v);
	free(r->by_id);
}

int sw_db_resign(struct sw_db *db, uint64_t latest_ms, size_t *n)
{
	struct resigning r = {.made.db = db, .made.is_judged = true};
	int rc = 0;

	r.moving.first = &r.first;

	*n = 0;
	pthread_mutex_lock(&db->write_lock);
	if (db->withheld > 0 && sw_hlc_ms(db->hlc) > latest_ms && db->hlc != db->not_resigned) {
		rc = sw_txn_begin(db->store, true, &r.made.txn);
		if (rc == 0)
			rc = sw_db_nodes(db, r.made.txn, &r.made.nodes);
		r.made.head = db->head;
		r.moving.plan = db->milestone_plan;
		if (rc == 0)
			rc = collect(&r, latest_ms);
		if (rc == 0 && r.n == 0)
			db->not_resigned = db->hlc;
		*n = r.n;
		if (rc == 0 && r.n > 0)
			rc = resign(&r);
	}
	resigning_fini(&r);
	pthread_mutex_unlock(&db->write_lock);
	*n = rc == 0 ? *n : 0;
	return rc < 0 ? rc : 0;
}
