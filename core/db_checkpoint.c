/*
 * Checkpoints. A commit is durable as soon as its header and changeset are: they are the truth, and trees follow from them. So
 * most commits write no tree. Their nodes wait in a memtable, until there are many: then the nodes of the newest state and line are
 * written at once, and those in between never are. After a crash the commits since the last checkpoint are folded again.
 *
 * Only a checkpoint gives up references to records: until then everything that the last one wrote is there, and whoever
 * finds a record in the store may rely on it.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "core/db_internal.h"

#define META_HEAD    "head"
#define META_HLC     "hlc"
#define META_WRITTEN "written"
#define META_MILESTONE "milestone" /* what was counted until the last checkpoint */

/* What a crash costs at the next open, and what waits in memory. */
#define COMMITS_MAX 1000 /* unless the environment says otherwise */
#define BYTES_MAX   ((size_t)8 << 20)

/* Heads in the store */

static void head_encode(const struct sw_head *head, struct sw_buf *out)
{
	sw_buf_put_u64(out, head->count);
	sw_buf_put_hash(out, &head->line);
	sw_buf_put_hash(out, &head->state);
}

static void head_decode(struct sw_rd *r, struct sw_head *out)
{
	out->count = sw_rd_u64(r);
	sw_rd_hash(r, &out->line);
	sw_rd_hash(r, &out->state);
}

int sw_head_load(struct sw_txn *txn, struct sw_head *out)
{
	struct sw_view v;
	struct sw_rd r;
	int rc = sw_meta_get(txn, META_HEAD, &v);

	*out = (struct sw_head){0};
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	r = sw_rd(v);
	head_decode(&r, out);
	return sw_rd_done(&r) < 0 ? sw_db_damaged("head") : 0;
}

int sw_written_load(struct sw_txn *txn, struct sw_head *out, uint64_t *seq)
{
	struct sw_view v;
	struct sw_rd r;
	int rc = sw_meta_get(txn, META_WRITTEN, &v);

	*out = (struct sw_head){0};
	*seq = 0;
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	r = sw_rd(v);
	head_decode(&r, out);
	*seq = sw_rd_u64(&r);
	return sw_rd_done(&r) < 0 ? sw_db_damaged("last checkpoint") : 0;
}

static void set_head(struct sw_db *db, const struct sw_head *head)
{
	db->head = *head;
	pthread_mutex_lock(&db->memtable_lock);
	db->shown = head->state;
	pthread_mutex_unlock(&db->memtable_lock);
}

int sw_db_load_heads(struct sw_db *db, struct sw_txn *txn)
{
	struct sw_view v;
	struct sw_head head;
	int rc = sw_head_load(txn, &head);

	if (rc == 0) {
		set_head(db, &head);
		sw_db_tell_end(db); /* whoever listens begins with that */
	}
	if (rc == 0)
		rc = sw_db_copies_count_spent(txn, &db->n_drops);
	db->n_drops += (size_t)sw_txn_count(txn, SW_SPACE_DROPS);
	db->has_unpinned = true; /* what was pinned when the process ended */
	if (rc == 0 && sw_meta_get(txn, META_MILESTONE, &v) == 0 && v.n == 16)
		db->milestone_plan = (struct sw_milestone_plan){sw_get_u64(v.p), sw_get_u64(v.p + 8)};
	if (rc == 0)
		rc = sw_stages_load(db, txn);
	return rc < 0 ? rc : sw_written_load(txn, &db->written, &db->written_seq);
}

static int save_head(struct sw_txn *txn, const struct sw_head *head, uint64_t hlc)
{
	SW_BUF b = {0};
	uint8_t stamp[8];
	int rc;

	head_encode(head, &b);
	if (b.rc < 0)
		return b.rc;
	sw_set_u64(stamp, hlc);
	rc = sw_meta_put(txn, META_HEAD, sw_buf_view(&b));
	return rc < 0 ? rc : sw_meta_put(txn, META_HLC, sw_view(stamp, sizeof(stamp)));
}

static int save_written(struct sw_txn *txn, const struct sw_head *head, uint64_t seq)
{
	SW_BUF b = {0};

	head_encode(head, &b);
	sw_buf_put_u64(&b, seq);
	return b.rc < 0 ? b.rc : sw_meta_put(txn, META_WRITTEN, sw_buf_view(&b));
}

/* Remembering what was not written */

static int decode_entering(struct sw_txn *txn, uint64_t seq, struct sw_entering *e, struct sw_commit *c)
{
	struct sw_changeset changes;
	struct sw_view raw;
	int rc = sw_history_get(txn, seq, &raw);

	if (rc == 0)
		rc = sw_history_changeset(txn, seq, &e->fold.changeset);
	if (rc == 0)
		rc = sw_history_outcome(txn, seq, &e->fold.outcome);
	if (rc == 0)
		rc = sw_commit_decode(raw, c);
	if (rc == 0)
		rc = sw_changeset_begin(&changes, e->fold.changeset);
	if (rc < 0)
		return sw_db_damaged("history");
	e->commit = c;
	e->fold.seq = seq;
	e->fold.stamp = c->stamp;
	e->fold.mode = changes.mode;
	sw_order_make(c->stamp, &c->author, &c->id, &e->order);
	return 0;
}

static int by_order(const void *a, const void *b)
{
	const struct sw_entering *const *x = a, *const *y = b;

	return sw_order_cmp(&(*x)->order, &(*y)->order);
}

/* Fold the commits, by order, into the last checkpoint; the head must come out. */
static int fold_again(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, struct sw_entering **by, size_t n)
{
	struct sw_fold_commit *commits = calloc(n, sizeof(*commits));
	struct sw_fold_result fold = {0};
	struct sw_fold_control control = {0}; /* what changes who may do what is a checkpoint of its own */
	struct sw_head head = {.count = db->written.count, .line = db->written.line};
	struct sw_order first;
	int rc = commits ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++)
		commits[i] = by[i]->fold;
	if (rc == 0)
		rc = sw_fold_run(txn, nodes, db->shape, &db->written.state, &db->written.line, commits, n, &control, &fold);
	for (size_t i = 0; rc == 0 && i < n; i++)
		by[i]->fold.outcome = commits[i].outcome;
	if (rc == 0)
		rc = sw_db_edit_line(db, txn, nodes, by, n, &fold, &head, &first);
	head.state = fold.state;
	if (rc == 0 && !sw_head_eq(&head, &db->head))
		rc = sw_fail(SW_ECORRUPT, "the newest commits of the store do not give the state that it had; restore the store "
					  "from a backup or clone it again");
	sw_fold_result_fini(&fold);
	free(commits);
	return rc;
}

static int fold_since(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, uint64_t last)
{
	size_t n = (size_t)(last - db->written_seq);
	struct sw_entering *v = calloc(n, sizeof(*v));
	struct sw_entering **by = calloc(n, sizeof(struct sw_entering *));
	struct sw_commit *commits = calloc(n, sizeof(*commits));
	int rc = v && by && commits ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		by[i] = &v[i];
		rc = decode_entering(txn, db->written_seq + 1 + i, &v[i], &commits[i]);
	}
	if (rc == 0) {
		qsort(by, n, sizeof(struct sw_entering *), by_order);
		rc = fold_again(db, txn, nodes, by, n);
	}
	free(commits);
	free(by);
	free(v);
	return rc;
}

static void replace_memtable(struct sw_db *db, struct sw_memtable *m)
{
	struct sw_memtable *old = db->memtable;

	pthread_mutex_lock(&db->memtable_lock);
	db->memtable = m;
	pthread_mutex_unlock(&db->memtable_lock);
	sw_memtable_unref(old);
}

/* The nodes of the head, beyond the last checkpoint. */
static int fold_head(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes)
{
	uint64_t next;
	int rc = sw_history_next_seq(txn, &next);

	return rc == 0 && next - 1 > db->written_seq ? fold_since(db, txn, nodes, next - 1) : rc;
}

struct carrying {
	struct sw_memtable *from;
	struct sw_nodes *to;
};

/* A record that the set has, in memory or in the store, has all below it there, too. */
static int carry_over(void *arg, const struct sw_hash *hash)
{
	struct carrying *c = arg;
	struct sw_hash again;
	struct sw_view bytes;
	int rc;

	if (sw_nodes_has(c->to, hash) || !sw_memtable_get(c->from, hash, &bytes))
		return 0;
	rc = sw_nodes_put(c->to, bytes, &again);
	return rc < 0 ? rc : sw_record_refs(bytes, carry_over, c);
}

/* States and lines in between, which only the memtable has. head_lock is held. */
static int carry_pinned(struct sw_db *db, struct sw_nodes *nodes)
{
	struct carrying c = {db->memtable, nodes};
	int rc = 0;

	for (size_t i = 0; rc == 0 && db->memtable && i < db->n_pins; i++)
		rc = carry_over(&c, &db->pins[i].root);
	return rc;
}

int sw_db_remember(struct sw_db *db)
{
	struct sw_memtable *m = NULL;
	struct sw_nodes *nodes = NULL;
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, false, &txn);

	if (rc < 0)
		return rc;
	rc = sw_memtable_new(&m);
	if (rc == 0)
		rc = sw_nodes_new(txn, &nodes);
	if (rc == 0)
		rc = fold_head(db, txn, nodes);
	pthread_mutex_lock(&db->head_lock); /* who pins a root now finds it afterwards as well */
	if (rc == 0)
		rc = carry_pinned(db, nodes);
	if (rc == 0)
		rc = sw_memtable_add(m, nodes);
	if (rc == 0)
		replace_memtable(db, SW_TAKE(m));
	pthread_mutex_unlock(&db->head_lock);
	sw_memtable_unref(m);
	sw_nodes_free(nodes);
	sw_txn_abort(txn);
	return rc;
}

int sw_db_nodes(struct sw_db *db, struct sw_txn *txn, struct sw_nodes **out)
{
	int rc = sw_nodes_new(txn, out);

	if (rc == 0)
		sw_nodes_set_memtable(*out, db->memtable);
	return rc;
}

/* Roots */

bool sw_db_is_pinned(const struct sw_db *db, const struct sw_hash *root)
{
	for (size_t i = 0; i < db->n_pins; i++)
		if (sw_hash_eq(&db->pins[i].root, root))
			return true;
	return false;
}

/* A root waits to be given up, with its reference; if it waits already, one is enough. */
static int let_wait(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_hash *root, int64_t *n_drops)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_DROPS, sw_hash_view(root), &v);

	if (rc != SW_ENOTFOUND)
		return rc < 0 ? rc : sw_nodes_release(nodes, root);
	++*n_drops;
	return sw_txn_put(txn, SW_SPACE_DROPS, sw_hash_view(root), sw_view("", 0));
}

/* An old root goes, or waits until its last pin is gone. head_lock is held. */
static int drop_root(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
		     const struct sw_hash *old, const struct sw_hash *new, int64_t *n_drops)
{
	if (sw_hash_eq(old, new) || sw_hash_is_zero(old) || !sw_db_is_pinned(db, old))
		return sw_nodes_release(nodes, old);
	return let_wait(txn, nodes, old, n_drops);
}

/* A root that comes back while it waits to go keeps the reference that it still has. */
static int take_root(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_hash *root, int64_t *n_drops)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_DROPS, sw_hash_view(root), &v);

	if (rc == SW_ENOTFOUND)
		return sw_nodes_retain(nodes, root);
	if (rc < 0)
		return rc;
	--*n_drops;
	return sw_txn_del(txn, SW_SPACE_DROPS, sw_hash_view(root));
}

/* What is pinned has a reference of its own: states and lines in between, of which only those are written, and large rows.
 * head_lock is held. */
static int keep_pinned(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
		       int64_t *n_drops)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < db->n_pins; i++) {
		const struct sw_hash *root = &db->pins[i].root;
		struct sw_view v;

		if (sw_hash_is_zero(root) || sw_hash_eq(root, &head->state) || sw_hash_eq(root, &head->line) ||
		    sw_hash_eq(root, &db->written.state) || sw_hash_eq(root, &db->written.line))
			continue;
		rc = sw_txn_get(txn, SW_SPACE_DROPS, sw_hash_view(root), &v);
		if (rc != SW_ENOTFOUND)
			continue;
		++*n_drops;
		rc = sw_nodes_retain(nodes, root);
		if (rc == 0)
			rc = sw_txn_put(txn, SW_SPACE_DROPS, sw_hash_view(root), sw_view("", 0));
	}
	return rc;
}

/* Write the trees of a head instead of those of the last checkpoint. head_lock is held. */
static int move_roots(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
		      int64_t *n_drops)
{
	int rc = take_root(txn, nodes, &head->state, n_drops);

	if (rc == 0)
		rc = take_root(txn, nodes, &head->line, n_drops);
	if (rc == 0)
		rc = drop_root(db, txn, nodes, &db->written.state, &head->state, n_drops);
	if (rc == 0)
		rc = drop_root(db, txn, nodes, &db->written.line, &head->line, n_drops);
	if (rc == 0)
		rc = keep_pinned(db, txn, nodes, head, n_drops);
	return rc;
}

static int make_milestone(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
			  struct sw_milestone_plan *plan)
{
	struct sw_fold_state now = {.state = head->state}, last, m;
	struct sw_order horizon;
	bool has_last = false;
	int rc = sw_milestone_place(txn, nodes, &head->state, &head->line, &db->milestone_rate, plan, &m.at, &last,
				    &has_last);

	if (rc <= 0)
		return rc;
	rc = sw_history_horizon(txn, &horizon);
	if (rc < 0 || (rc > 0 && sw_order_cmp(&m.at, &horizon) < 0))
		return rc < 0 ? rc : 0;
	rc = sw_line_ago(nodes, &head->line, 0, &now.at);
	if (rc == 0)
		rc = sw_db_fold_at(db, txn, nodes, &head->line, &now, has_last ? &last : NULL, &m.at, &m.state);
	return rc < 0 ? rc : sw_milestone_put(txn, nodes, &m);
}

/* A milestone, if one is due. */
static int move_milestones(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
			   struct sw_milestone_plan *plan)
{
	uint8_t text[16];
	int rc = 0;

	if (sw_milestone_is_due(plan, &db->milestone_rate))
		rc = make_milestone(db, txn, nodes, head, plan);
	sw_set_u64(text, plan->n);
	sw_set_u64(text + 8, plan->due);
	return rc < 0 ? rc : sw_meta_put(txn, META_MILESTONE, sw_view(text, sizeof(text)));
}

int sw_db_forget_milestones(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, struct sw_moving *moving)
{
	struct sw_fold_state m;
	int rc;

	while ((rc = sw_milestone_behind(txn, moving->first, &m)) > 0) {
		sw_milestone_hurry(&moving->plan, &db->milestone_rate);
		moving->n_forgotten++;
		rc = sw_milestone_forget(txn, &m);
		if (rc == 0)
			rc = let_wait(txn, nodes, &m.state, &moving->n_drops);
		if (rc < 0)
			break;
	}
	return rc;
}

int sw_db_drop_milestones(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_order *at,
			  int64_t *n_drops)
{
	const struct sw_order first = {{0}};
	struct sw_fold_state m;
	int rc;

	while ((rc = sw_milestone_behind(txn, &first, &m)) > 0 && sw_order_cmp(&m.at, at) < 0) {
		db->n_forgotten++;
		db->has_unpinned = true;
		rc = sw_milestone_forget(txn, &m);
		if (rc == 0)
			rc = let_wait(txn, nodes, &m.state, n_drops);
		if (rc < 0)
			break;
	}
	return rc < 0 ? rc : 0;
}

/* Flush, save the head and commit. Ends the transaction. */
static int write_head(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head, uint64_t hlc)
{
	int rc = sw_nodes_flush(nodes);

	if (rc == 0)
		rc = save_head(txn, head, hlc);
	if (rc == 0)
		return sw_txn_commit(txn);
	sw_txn_abort(txn);
	return rc;
}

/*
 * The new head is for all to see; snapshots that are not what they were, for nobody any more. head_lock is held. Who builds one
 * from a milestone that has gone learns that here: before, the transaction that shows it could still begin.
 */
static void publish(struct sw_db *db, const struct sw_head *head, uint64_t hlc, const struct sw_moving *moving,
		    struct sw_snap *stale[static SW_SNAPS_KEPT])
{
	set_head(db, head);
	db->hlc = hlc;
	db->milestone_plan = moving->plan;
	db->n_drops = (size_t)((int64_t)db->n_drops + moving->n_drops);
	db->n_forgotten += moving->n_forgotten;
	if (moving->n_forgotten > 0)
		db->has_unpinned = true;
	if (!moving->first)
		return;
	sw_snaps_take(db, moving->first, stale);
	sw_snaps_changed(db, moving->first);
}

/* The same as a checkpoint, together with what fn does, if there is one. */
static int write_checkpoint(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
			    uint64_t hlc, struct sw_moving moving, sw_checkpoint_fn fn, void *arg)
{
	struct sw_snap *stale[SW_SNAPS_KEPT] = {NULL};
	struct sw_memtable *fresh = NULL;
	uint64_t next = 0;
	int rc = sw_memtable_new(&fresh);

	pthread_mutex_lock(&db->head_lock);
	if (rc == 0)
		rc = move_roots(db, txn, nodes, head, &moving.n_drops);
	if (rc == 0 && fn)
		rc = fn(db, txn, nodes, &moving.n_drops, arg);
	if (rc == 0)
		rc = move_milestones(db, txn, nodes, head, &moving.plan);
	if (rc == 0)
		rc = sw_history_next_seq(txn, &next);
	if (rc == 0)
		rc = save_written(txn, head, next - 1);
	if (rc == 0)
		rc = write_head(SW_TAKE(txn), nodes, head, hlc);
	if (rc == 0) {
		replace_memtable(db, SW_TAKE(fresh));
		publish(db, head, hlc, &moving, stale);
		db->written = *head;
		db->written_seq = next - 1;
	}
	pthread_mutex_unlock(&db->head_lock);
	sw_snaps_free(stale);
	sw_txn_abort(txn);
	sw_memtable_unref(fresh);
	return rc;
}

/* What a commit that failed has left in the memtable does no harm, unless it becomes much. */
static void forget_failed(struct sw_db *db)
{
	if (sw_memtable_bytes(db->memtable) > BYTES_MAX && sw_db_remember(db) < 0) {
		/* Then it stays until a later try, or the next checkpoint. */
	}
}

/* How many commits came since the last checkpoint, in the line or not. */
static int count_since(const struct sw_db *db, struct sw_txn *txn, uint64_t *out)
{
	uint64_t next;
	int rc = sw_history_next_seq(txn, &next);

	*out = rc == 0 ? next - 1 - db->written_seq : 0;
	return rc;
}

static int is_due(const struct sw_db *db, struct sw_txn *txn, bool *out)
{
	uint64_t max = db->env->checkpoint_commits ? db->env->checkpoint_commits : COMMITS_MAX, n;
	int rc = count_since(db, txn, &n);

	*out = n >= max || sw_memtable_bytes(db->memtable) > BYTES_MAX;
	return rc;
}

int sw_db_move_head(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
		    uint64_t hlc, const struct sw_moving *moving, bool must_checkpoint)
{
	struct sw_snap *stale[SW_SNAPS_KEPT] = {NULL};
	bool due = false;
	int rc = is_due(db, txn, &due);

	if (rc < 0) {
		sw_txn_abort(txn);
	} else if (must_checkpoint || due) {
		rc = write_checkpoint(db, txn, nodes, head, hlc, *moving, NULL, NULL);
	} else {
		rc = write_head(txn, nodes, head, hlc);
		if (rc == 0) {
			pthread_mutex_lock(&db->head_lock);
			publish(db, head, hlc, moving, stale);
			pthread_mutex_unlock(&db->head_lock);
			sw_snaps_free(stale);
		}
	}
	if (rc < 0)
		forget_failed(db);
	return rc;
}

/* Pins */

int sw_db_pin_held(struct sw_db *db, const struct sw_hash *root)
{
	struct sw_pin *v;

	for (size_t i = 0; i < db->n_pins; i++) {
		if (sw_hash_eq(&db->pins[i].root, root)) {
			db->pins[i].n++;
			return 0;
		}
	}
	v = realloc(db->pins, (db->n_pins + 1) * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	db->pins = v;
	db->pins[db->n_pins++] = (struct sw_pin){*root, 1};
	return 0;
}

int sw_db_pin_head(struct sw_db *db, struct sw_hash *state)
{
	int rc;

	pthread_mutex_lock(&db->head_lock);
	*state = db->head.state;
	rc = sw_db_pin_held(db, state);
	pthread_mutex_unlock(&db->head_lock);
	return rc;
}

int sw_db_pin(struct sw_db *db, const struct sw_hash *root)
{
	int rc;

	pthread_mutex_lock(&db->head_lock);
	rc = sw_db_pin_held(db, root);
	pthread_mutex_unlock(&db->head_lock);
	return rc;
}

/* Records go in checkpoints alone, which hold head_lock: what is there now will be there for the next one to keep. */
int sw_db_pin_blob(struct sw_db *db, const struct sw_hash *blob)
{
	struct sw_reader r;
	int rc;

	pthread_mutex_lock(&db->head_lock);
	rc = sw_reader_begin(db, &r);
	if (rc == 0) {
		rc = sw_nodes_has(r.nodes, blob) ? sw_db_pin_held(db, blob) : SW_ENOTFOUND;
		sw_reader_end(&r);
	}
	pthread_mutex_unlock(&db->head_lock);
	return rc;
}

int sw_db_pin_line(struct sw_db *db, struct sw_head *head)
{
	int rc;

	pthread_mutex_lock(&db->head_lock);
	*head = db->head;
	rc = sw_db_pin_held(db, &head->line);
	pthread_mutex_unlock(&db->head_lock);
	return rc;
}

void sw_db_unpin(struct sw_db *db, const struct sw_hash *state)
{
	pthread_mutex_lock(&db->head_lock);
	for (size_t i = 0; i < db->n_pins; i++) {
		if (!sw_hash_eq(&db->pins[i].root, state))
			continue;
		if (--db->pins[i].n == 0) {
			db->pins[i] = db->pins[--db->n_pins];
			db->has_unpinned = true;
		}
		break;
	}
	pthread_mutex_unlock(&db->head_lock);
}

/* Give up the waiting roots that nobody pins. head_lock is held: no new pin can reach them anyway. */
static int give_up_roots(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops)
{
	struct sw_view found, value;
	struct sw_hash at = sw_hash_zero;
	int rc;

	while ((rc = sw_txn_ceil(txn, SW_SPACE_DROPS, sw_hash_view(&at), &found, &value)) > 0) {
		if (found.n != SW_HASH_SIZE)
			return sw_db_damaged("list of pinned roots");
		memcpy(at.b, found.p, SW_HASH_SIZE);
		if (!sw_db_is_pinned(db, &at)) {
			rc = sw_nodes_release(nodes, &at);
			if (rc == 0)
				rc = sw_txn_del(txn, SW_SPACE_DROPS, sw_hash_view(&at));
			if (rc < 0)
				return rc;
			--*n_drops;
		}
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
		if (sw_hash_is_zero(&at))
			break;
	}
	return rc < 0 ? rc : 0;
}

static int give_up(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops, void *arg)
{
	int rc = give_up_roots(db, txn, nodes, n_drops);

	(void)arg;
	if (rc == 0)
		rc = sw_db_copies_give_up(db, txn, nodes, n_drops);
	return rc < 0 ? rc : sw_stages_give_up(db, txn, nodes);
}

int sw_db_checkpoint_with(struct sw_db *db, sw_checkpoint_fn fn, void *arg)
{
	struct sw_moving moving = {.plan = db->milestone_plan};
	struct sw_nodes *nodes = NULL;
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, true, &txn);

	if (rc < 0)
		return rc;
	rc = sw_db_nodes(db, txn, &nodes);
	if (rc == 0)
		rc = write_checkpoint(db, txn, nodes, &db->head, db->hlc, moving, fn, arg);
	else
		sw_txn_abort(txn);
	sw_nodes_free(nodes);
	return rc;
}

/* write_lock is held. */
static int checkpoint(struct sw_db *db)
{
	int rc = sw_db_checkpoint_with(db, give_up, NULL);

	if (rc == 0)
		db->has_stray_stages = false;
	return rc;
}

/* Whether a checkpoint would write anything. write_lock is held. */
static int has_waiting(struct sw_db *db, bool *out)
{
	struct sw_txn *txn;
	uint64_t n;
	int rc;

	*out = db->n_drops > 0 || db->has_stray_stages || !sw_head_eq(&db->head, &db->written);
	if (*out)
		return 0;
	rc = sw_txn_begin(db->store, false, &txn);
	if (rc < 0)
		return rc;
	rc = count_since(db, txn, &n);
	*out = n > 0;
	sw_txn_abort(txn);
	return rc;
}

int sw_db_checkpoint(struct sw_db *db)
{
	bool waiting;
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = has_waiting(db, &waiting);
	if (rc == 0 && waiting)
		rc = checkpoint(db);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int sw_db_tidy(struct sw_db *db)
{
	struct sw_snap *old[SW_SNAPS_KEPT] = {NULL};
	int rc = 0;

	pthread_mutex_lock(&db->head_lock);
	sw_snaps_take(db, NULL, old);
	pthread_mutex_unlock(&db->head_lock);
	sw_snaps_free(old);
	pthread_mutex_lock(&db->write_lock);
	if ((db->n_drops > 0 && atomic_exchange(&db->has_unpinned, false)) || db->has_stray_stages)
		rc = checkpoint(db);
	sw_store_keep_reserve(db->store); /* somebody may have made room, without a commit here */
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

/* Readers */

/* Most readers begin where the one before did, and need not look for the head. */
static int read_head(struct sw_db *db, struct sw_reader *r)
{
	uint64_t id = sw_txn_id(r->txn);
	bool is_known;
	int rc;

	pthread_mutex_lock(&db->memtable_lock);
	is_known = db->read_id == id;
	r->head = db->read;
	pthread_mutex_unlock(&db->memtable_lock);
	if (is_known)
		return 0;
	rc = sw_head_load(r->txn, &r->head);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&db->memtable_lock);
	db->read = r->head;
	db->read_id = id;
	pthread_mutex_unlock(&db->memtable_lock);
	return 0;
}

int sw_reader_begin(struct sw_db *db, struct sw_reader *out)
{
	struct sw_reader r = {0};
	bool moved;
	int rc;

	/* A memtable that was replaced before the transaction began lacks what was added since. */
	do {
		sw_reader_end(&r);
		pthread_mutex_lock(&db->memtable_lock);
		r.memtable = sw_memtable_ref(db->memtable);
		pthread_mutex_unlock(&db->memtable_lock);
		rc = sw_txn_begin(db->store, false, &r.txn);
		pthread_mutex_lock(&db->memtable_lock);
		moved = r.memtable != db->memtable;
		pthread_mutex_unlock(&db->memtable_lock);
	} while (rc == 0 && moved);
	if (rc == 0)
		rc = sw_nodes_new(r.txn, &r.nodes);
	if (rc == 0)
		rc = read_head(db, &r);
	if (rc < 0) {
		sw_reader_end(&r);
		return rc;
	}
	sw_nodes_set_memtable(r.nodes, r.memtable);
	*out = r;
	return 0;
}

void sw_reader_end(struct sw_reader *r)
{
	sw_nodes_free(r->nodes);
	sw_txn_abort(r->txn);
	sw_memtable_unref(r->memtable);
	*r = (struct sw_reader){0};
}
