/* Commits from elsewhere: every check that decides whether one is taken, then the fold of those that are. */
#include "core/batch.h"
#include "core/db_internal.h"
#include "core/hlc.h"

#include <assert.h>
#include <stdlib.h>

#define ROUNDS_MAX 8 /* then only commits with a good signature of their own are taken */

struct receiving {
	struct sw_db *db;
	struct sw_txn *txn;
	struct sw_nodes *nodes;
	sw_ref_fn missing;
	void *missing_arg;
	struct sw_batch batch;
	struct sw_entering *in;	      /* by place in the batch; those that were accepted */
	struct sw_entering **accepted; /* in order of arrival */
	bool *is_doubtful; /* by place: what vouches for it is not to be taken */
	bool *reaches_down; /* by place: it needs what gc has freed */
	size_t n;
	uint64_t next_seq;
	uint64_t now_ms;
};

static int refuse(struct sw_incoming *v, const char *reason)
{
	v->taken = SW_TAKEN_REFUSED;
	v->reason = reason;
	return 0;
}

/* A commit that was accepted a moment ago, or NULL. */
static const struct sw_entering *find_accepted(const struct receiving *r, const struct sw_hash *id)
{
	size_t at = sw_batch_find(&r->batch, id);

	return at != SIZE_MAX && r->in[at].fold.seq > 0 ? &r->in[at] : NULL;
}

/* The stamp of a commit that is here, or was accepted before. SW_ENOTFOUND. */
static int stamp_of(const struct receiving *r, const struct sw_hash *id, uint64_t *stamp)
{
	const struct sw_entering *e = find_accepted(r, id);
	struct sw_order order;
	uint64_t seq;
	int rc;

	if (e) {
		*stamp = e->commit->stamp;
		return 0;
	}
	rc = sw_history_seq(r->txn, id, &seq);
	if (rc == 0)
		rc = sw_history_order(r->txn, seq, &order);
	if (rc == 0)
		*stamp = sw_order_stamp(&order);
	return rc;
}

/* Parents are here and older. */
static int check_parents(const struct receiving *r, const struct sw_commit *c, struct sw_incoming *v)
{
	for (size_t i = 0; i < c->n_parents; i++) {
		uint64_t stamp = 0;
		int rc = stamp_of(r, &c->parents[i], &stamp);

		if (rc == SW_ENOTFOUND) {
			v->taken = SW_TAKEN_ORPHAN;
			return 0;
		}
		if (rc < 0)
			return rc;
		if (stamp >= c->stamp)
			return refuse(v, "its stamp is not after its parent's");
	}
	return 0;
}

/* The large rows that it writes are here, whole, and cut as every writer cuts them. */
static int check_blobs(const struct receiving *r, struct sw_incoming *v)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, v->changeset);

	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		uint64_t n_missing;

		rc = 0;
		if (op.kind != SW_OP_PUT || !op.row.is_blob)
			continue;
		rc = sw_blob_check(r->nodes, r->db->shape, &op.row.blob, op.row.size, r->missing,
				   r->missing_arg, &n_missing);
		if (rc == SW_EFORMAT)
			return refuse(v, "a large row is not cut by the rule");
		if (n_missing > 0)
			v->taken = SW_TAKEN_INCOMPLETE;
	}
	return rc;
}

/* The first commit of a database that was only known by its id. */
static int take_genesis(struct receiving *r, const struct sw_commit *c, struct sw_incoming *v)
{
	struct sw_changeset changes;
	struct sw_op op;

	if (!sw_hash_eq(&c->id, &r->db->id))
		return refuse(v, "it belongs to another database");
	if (r->db->has_salt) /* known already, though nothing was taken yet */
		return 0;
	if (sw_changeset_begin(&changes, v->changeset) < 0 || changes.mode != SW_MODE_CONTROL ||
	    sw_changeset_next(&changes, &op) != 1 || op.kind != SW_OP_GENESIS)
		return refuse(v, "the first commit does not found a database");
	return sw_db_set_genesis(r->db, r->txn, &op.salt, op.conflict);
}

static int check_allowed(const struct receiving *r, const struct sw_commit *c, struct sw_incoming *v)
{
	bool allowed = c->n_parents == 0;
	enum sw_role need;
	int rc = sw_changeset_needs(v->changeset, &need);

	/* An author's earlier commit in this batch was judged a moment ago: it may write at least. */
	for (size_t i = 0; rc == 0 && !allowed && need == SW_ROLE_WRITER && i < c->n_parents; i++) {
		const struct sw_entering *e = find_accepted(r, &c->parents[i]);

		allowed = e && sw_key_eq(&e->commit->author, &c->author);
	}
	if (rc == 0 && !allowed)
		rc = sw_db_is_allowed(r->txn, c, need, &allowed);
	if (rc == 0 && !allowed)
		return refuse(v, need == SW_ROLE_ADMIN ? "its author may not change members"
						       : "its author may not write");
	return rc;
}

/* Everything about one commit; v->taken says what came of it. */
static int judge(struct receiving *r, struct sw_incoming *all, size_t place, enum sw_mode *mode)
{
	const struct sw_batch_commit *in = &r->batch.v[place];
	const struct sw_commit *c = &in->commit;
	struct sw_incoming *v = &all[place];
	struct sw_changeset changes;
	struct sw_hash hash;
	struct sw_op op;
	size_t n_blobs, first;
	int rc;

	v->taken = SW_TAKEN;
	v->reason = NULL;
	if (!in->is_decoded)
		return refuse(v, "its header is malformed");
	v->id = c->id;
	v->author = c->author;
	/* Of two that are equal the first counts. */
	first = sw_batch_find(&r->batch, &c->id);
	if (in->is_known || first != place) {
		v->taken = in->is_known || all[first].taken == SW_TAKEN ? SW_TAKEN_ALREADY : all[first].taken;
		v->reason = all[first].reason;
		return 0;
	}
	if (r->is_doubtful[place]) {
		v->taken = SW_TAKEN_UNPROVEN;
		return 0;
	}
	if (r->reaches_down[place]) {
		v->taken = SW_TAKEN_FREED;
		return 0;
	}
	if (c->n_parents > 0 && !sw_hash_eq(&c->database, &r->db->id))
		return refuse(v, "it belongs to another database");
	if (c->rule != SW_RULE_VERSION)
		return refuse(v, "its rule version was never raised");
	sw_hash_compute(SW_DOMAIN_CHANGESET, v->changeset, &hash);
	if (!sw_hash_eq(&hash, &c->changeset))
		return refuse(v, "its changeset is another one");
	if (sw_changeset_check(v->changeset, &n_blobs) < 0 ||
	    sw_changeset_begin(&changes, v->changeset) < 0)
		return refuse(v, "its changeset is malformed");
	*mode = changes.mode;
	/* It would come first. */
	if (c->n_parents > 0 && sw_changeset_next(&changes, &op) > 0 && op.kind == SW_OP_GENESIS)
		return refuse(v, "it founds the database a second time");
	if (!in->is_genuine)
		return refuse(v, "its signature is wrong");
	rc = check_parents(r, c, v);
	if (rc < 0 || v->taken != SW_TAKEN)
		return rc;
	if (sw_hlc_ms(c->stamp) > r->now_ms + SW_SKEW_MS) {
		v->taken = SW_TAKEN_EARLY;
		return 0;
	}
	if (c->n_parents == 0)
		rc = take_genesis(r, c, v);
	if (rc == 0 && v->taken == SW_TAKEN)
		rc = check_allowed(r, c, v);
	if (rc == 0 && v->taken == SW_TAKEN && n_blobs > 0)
		rc = check_blobs(r, v);
	return rc;
}

static int accept(struct receiving *r, const struct sw_incoming *v, const struct sw_commit *c,
		  enum sw_mode mode, struct sw_entering *e)
{
	int rc;

	*e = (struct sw_entering){.commit = c,
				  .fold = {.seq = r->next_seq++,
					   .stamp = c->stamp,
					   .mode = mode,
					   .changeset = v->changeset}};
	sw_order_make(c->stamp, &c->author, &c->id, &e->order);
	r->accepted[r->n++] = e;
	/* The history is written as it comes: a later commit of the batch may ask for this one. */
	rc = sw_history_put(r->txn, e->fold.seq, &c->id, v->commit);
	if (rc == 0)
		rc = sw_history_put_changeset(r->txn, e->fold.seq, e->fold.changeset);
	if (rc == 0)
		rc = sw_history_index(r->txn, e->fold.seq, c->stamp, e->fold.changeset);
	return rc;
}

static int by_order(const void *a, const void *b)
{
	const struct sw_entering *const *x = a, *const *y = b;

	return sw_order_cmp(&(*x)->order, &(*y)->order);
}

static int fold_all(struct receiving *r)
{
	struct sw_fold_commit *commits = calloc(r->n, sizeof(*commits));
	struct sw_judgement judgement = {0};
	struct sw_fold_result fold = {0};
	struct sw_db *db = r->db;
	int rc;

	if (!commits)
		return SW_ENOMEM;
	qsort(r->accepted, r->n, sizeof(struct sw_entering *), by_order);
	for (size_t i = 0; i < r->n; i++)
		commits[i] = r->accepted[i]->fold;
	rc = sw_control_judge(db->control, r->txn, commits, r->n, NULL, &judgement);
	if (rc == 0)
		rc = sw_db_fold(db, r->txn, r->nodes, &db->head, commits, r->n, &judgement, &fold);
	for (size_t i = 0; i < r->n; i++)
		r->accepted[i]->fold = commits[i];
	if (rc == 0)
		rc = sw_db_enter(db, SW_TAKE(r->txn), r->nodes, r->accepted, r->n, &judgement, &fold, SW_FROM_PEER);
	sw_fold_result_fini(&fold);
	sw_judgement_fini(&judgement);
	free(commits);
	return rc;
}

/* Decode all, look up which are here, and check the signatures of the others. */
static int prove(struct receiving *r, const struct sw_incoming *v, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sw_batch_commit *c;
		uint64_t seq;

		rc = sw_batch_add(&r->batch, v[i].commit);
		if (rc < 0)
			break;
		c = &r->batch.v[i];
		if (!c->is_decoded)
			continue;
		rc = sw_history_seq(r->txn, &c->commit.id, &seq);
		c->is_known = rc == 0;
		rc = rc == SW_ENOTFOUND ? 0 : rc;
	}
	if (rc == 0)
		sw_batch_prove(&r->batch, r->batch.n);
	return rc;
}

/*
 * A commit without a good signature of its own is taken together with what vouches for it, or not at all: it could not be
 * passed on. So the proof must hold among those that were accepted; true if it does.
 */
static bool is_proven_by_accepted(struct receiving *r, size_t round)
{
	bool all = true;

	for (size_t i = 0; i < r->batch.n; i++)
		r->batch.v[i].is_out = r->in[i].fold.seq == 0;
	sw_batch_prove(&r->batch, r->batch.n);
	for (size_t i = 0; i < r->batch.n; i++) {
		const struct sw_batch_commit *c = &r->batch.v[i];

		if (c->is_out || c->signature == SW_SIGNATURE_GOOD || (c->is_genuine && round < ROUNDS_MAX))
			continue;
		r->is_doubtful[i] = true;
		all = false;
	}
	return all;
}

static int judge_all(struct receiving *r, struct sw_incoming *v, size_t n)
{
	int rc = sw_history_next_seq(r->txn, &r->next_seq);

	memset(r->in, 0, (r->batch.n + 1) * sizeof(*r->in));
	r->n = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		enum sw_mode mode = SW_MODE_MERGE;

		rc = judge(r, v, i, &mode);
		if (rc == 0 && v[i].taken == SW_TAKEN)
			rc = accept(r, &v[i], &r->batch.v[i].commit, mode, &r->in[i]);
	}
	return rc;
}

static int begin(struct receiving *r, struct sw_nodes *records)
{
	int rc = sw_txn_begin(r->db->store, true, &r->txn);

	if (rc == 0)
		rc = sw_db_nodes(r->db, r->txn, &r->nodes);
	if (rc == 0 && records)
		rc = sw_nodes_absorb(r->nodes, records);
	return rc;
}

/* What came along is kept for the next try; what does not fit into memory is asked for again. */
static int give_up(struct receiving *r, struct sw_nodes *records, bool had_salt)
{
	int rc = records && r->nodes ? sw_nodes_absorb(records, r->nodes) : 0;

	r->db->has_salt = had_salt;
	r->n = 0;
	sw_txn_abort(SW_TAKE(r->txn));
	sw_nodes_free(SW_TAKE(r->nodes));
	return rc;
}

static int again(struct receiving *r, struct sw_incoming *v, size_t n, struct sw_nodes *records, bool had_salt)
{
	int rc = give_up(r, records, had_salt);

	if (rc == 0)
		rc = begin(r, records);
	return rc < 0 ? rc : judge_all(r, v, n);
}

/*
 * The fold would need what gc has freed: for a commit up to the horizon, whose author had signed to have seen what is settled, or
 * else since the control commits among them make earlier ones void, or valid again.
 */
static int find_reaching_down(struct receiving *r)
{
	struct sw_order horizon;
	bool found = false;
	int rc = sw_history_horizon(r->txn, &horizon);

	for (int control = 0; rc > 0 && !found && control < 2; control++) {
		for (size_t i = 0; i < r->n; i++) {
			const struct sw_entering *e = r->accepted[i];
			bool reaches = control ? e->fold.mode == SW_MODE_CONTROL
					       : e->fold.outcome < SW_VOID && sw_order_cmp(&e->order, &horizon) <= 0;

			r->reaches_down[e - r->in] |= reaches;
			found |= reaches;
		}
	}
	return rc < 0 ? rc : found ? 0 : SW_EFREED;
}

/* Each round takes out what the one before could not prove. Who makes us do many is not worth it. */
static int judge_and_prove(struct receiving *r, struct sw_incoming *v, size_t n, struct sw_nodes *records, bool had_salt)
{
	size_t round = 0;
	int rc = 0;

	while (rc == 0 && !is_proven_by_accepted(r, round++))
		rc = again(r, v, n, records, had_salt);
	if (rc == 0 && r->n > 0)
		rc = fold_all(r);
	return rc;
}

static int receive(struct receiving *r, struct sw_incoming *v, size_t n, size_t n_more, struct sw_nodes *records)
{
	bool had_salt = r->db->has_salt;
	int rc = begin(r, records);

	if (rc == 0)
		rc = prove(r, v, n + n_more);
	if (rc == 0)
		rc = judge_all(r, v, n);
	if (rc == 0)
		rc = judge_and_prove(r, v, n, records, had_salt);
	while (rc == SW_EFREED) {
		rc = find_reaching_down(r);
		if (rc < 0)
			break;
		rc = again(r, v, n, records, had_salt);
		if (rc == 0)
			rc = judge_and_prove(r, v, n, records, had_salt);
	}
	if (rc < 0 || r->n == 0) {
		int kept = give_up(r, records, had_salt);

		rc = rc < 0 ? rc : kept;
	}
	return rc;
}

int sw_db_receive(struct sw_db *db, struct sw_incoming *v, size_t n, size_t n_more, struct sw_nodes *records,
		  sw_ref_fn missing, void *missing_arg, size_t *n_taken)
{
	struct receiving r = {.db = db, .missing = missing, .missing_arg = missing_arg};
	int rc;

	pthread_mutex_lock(&db->write_lock);
	r.now_ms = sw_db_time_ms(db);
	r.in = calloc(n + n_more + 1, sizeof(*r.in));
	r.accepted = calloc(n + 1, sizeof(struct sw_entering *));
	r.is_doubtful = calloc(n + n_more + 1, sizeof(*r.is_doubtful));
	r.reaches_down = calloc(n + n_more + 1, sizeof(*r.reaches_down));
	rc = r.in && r.accepted && r.is_doubtful && r.reaches_down ? receive(&r, v, n, n_more, records) : SW_ENOMEM;
	*n_taken = rc == 0 ? r.n : 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		v[i].is_out = v[i].taken == SW_TAKEN && r.in[i].fold.outcome == SW_OUT;
	sw_txn_abort(r.txn);
	sw_nodes_free(r.nodes);
	sw_batch_fini(&r.batch);
	free(r.accepted);
	free(r.is_doubtful);
	free(r.reaches_down);
	free(r.in);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}
