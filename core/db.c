#include "core/db_internal.h"
#include "core/hlc.h"

#include "core/keyfile.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define META_FORMAT   "format"
#define META_DATABASE "database"
#define META_SALT     "salt"
#define META_CONFLICT "conflict"
#define META_HLC      "hlc"

int sw_meta_get(struct sw_txn *txn, const char *name, struct sw_view *out)
{
	return sw_txn_get(txn, SW_SPACE_META, sw_view_str(name), out);
}

int sw_meta_put(struct sw_txn *txn, const char *name, struct sw_view value)
{
	return sw_txn_put(txn, SW_SPACE_META, sw_view_str(name), value);
}

int sw_db_damaged(const char *what)
{
	return sw_fail(SW_ECORRUPT, "the store's %s is damaged; restore the store from a backup or "
				    "clone it again", what);
}

static void use_salt(struct sw_db *db, const struct sw_hash *salt)
{
	sw_shape_init(db->shape, salt);
	db->has_salt = true;
}

int sw_db_set_genesis(struct sw_db *db, struct sw_txn *txn, const struct sw_hash *salt,
		      enum sw_conflict_mode conflict)
{
	uint8_t byte = (uint8_t)conflict;
	int rc = sw_meta_put(txn, META_SALT, sw_hash_view(salt));

	if (rc == 0)
		rc = sw_meta_put(txn, META_CONFLICT, sw_view(&byte, 1));
	if (rc < 0)
		return rc;
	use_salt(db, salt);
	db->conflict = conflict;
	return 0;
}

static struct sw_db *db_new(const struct sw_env *env)
{
	struct sw_db *db = calloc(1, sizeof(*db));

	if (!db)
		return NULL;
	db->shape = calloc(1, sizeof(*db->shape));
	db->control = sw_control_new();
	if (!db->shape || !db->control || sw_settling_new(&db->settling) < 0) {
		sw_control_free(db->control);
		free(db->shape);
		free(db);
		return NULL;
	}
	db->env = env;
	db->milestone_rate = SW_MILESTONE_RATE;
	pthread_mutex_init(&db->write_lock, NULL);
	pthread_mutex_init(&db->head_lock, NULL);
	pthread_mutex_init(&db->memtable_lock, NULL);
	sw_telling_init(&db->telling);
	return db;
}

void sw_db_close(struct sw_db *db)
{
	if (!db)
		return;
	sw_snaps_free(db->snaps);
	memset(db->snaps, 0, sizeof(db->snaps));
	if (db->memtable && sw_db_checkpoint(db) < 0) {
		/* What could not be written or given up now is at the next open. */
	}
	sw_memtable_unref(db->memtable);
	sw_store_close(db->store);
	sw_identity_free(db->identity);
	for (size_t i = 0; i < db->n_retired; i++)
		sw_identity_free(db->retired[i]);
	free(db->retired);
	pthread_mutex_destroy(&db->write_lock);
	pthread_mutex_destroy(&db->head_lock);
	pthread_mutex_destroy(&db->memtable_lock);
	sw_telling_fini(&db->telling);
	sw_control_free(db->control);
	sw_settling_free(db->settling);
	free(db->pins);
	free(db->shape);
	free(db);
}

static int fail_unfinished(const char *dir)
{
	return sw_fail(SW_EFORMAT,
		       "%s holds no swarmfs store, or one whose making was interrupted; if nothing in it "
		       "matters, remove it and try again",
		       dir);
}

static int check_format(struct sw_txn *txn, const char *dir)
{
	struct sw_view v;
	uint64_t format = 0;
	struct sw_rd r;
	int rc = sw_meta_get(txn, META_FORMAT, &v);

	if (rc == SW_ENOTFOUND)
		return fail_unfinished(dir);
	if (rc < 0)
		return rc;
	r = sw_rd(v);
	format = sw_rd_varint(&r);
	if (sw_rd_done(&r) < 0 || format == 0)
		return sw_db_damaged("format number");
	if (format > SW_STORE_FORMAT)
		return sw_fail(SW_EVERSION,
			       "the store %s has format %llu, this swarmfs knows up to %d; use a "
			       "newer swarmfs",
			       dir, (unsigned long long)format, SW_STORE_FORMAT);
	return 0;
}

static int load_settings(struct sw_db *db, struct sw_txn *txn)
{
	struct sw_hash salt;
	struct sw_view v;
	int rc = sw_meta_get(txn, META_DATABASE, &v);

	if (rc < 0 || v.n != SW_HASH_SIZE)
		return sw_db_damaged("database id");
	memcpy(db->id.b, v.p, v.n);
	rc = sw_meta_get(txn, META_SALT, &v);
	if (rc == 0 && v.n == SW_HASH_SIZE) {
		memcpy(salt.b, v.p, v.n);
		use_salt(db, &salt);
	} else if (rc != SW_ENOTFOUND) {
		return sw_db_damaged("salt");
	}
	rc = sw_meta_get(txn, META_CONFLICT, &v);
	if (rc == 0 && v.n == 1)
		db->conflict = (enum sw_conflict_mode)v.p[0];
	rc = sw_meta_get(txn, META_HLC, &v);
	if (rc == 0 && v.n == 8)
		db->hlc = sw_get_u64(v.p);
	rc = sw_db_load_withheld(db, txn);
	if (rc == 0)
		rc = sw_settling_load(db->settling, txn);
	return rc < 0 ? rc : sw_db_load_heads(db, txn);
}

static int load(struct sw_db *db)
{
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, false, &txn);

	if (rc < 0)
		return rc;
	rc = check_format(txn, sw_store_dir(db->store));
	if (rc == 0)
		rc = load_settings(db, txn);
	if (rc == 0)
		rc = sw_db_load_key(db, txn);
	sw_txn_abort(txn);
	return rc;
}

int sw_db_open(const char *dir, const struct sw_env *env, struct sw_db **out)
{
	struct sw_db *db;
	int rc = sw_crypto_init();

	if (rc < 0)
		return rc;
	db = db_new(env);
	if (!db)
		return SW_ENOMEM;
	rc = sw_store_open(dir, 0, env, &db->store);
	if (rc == 0)
		rc = load(db);
	if (rc == 0)
		rc = sw_db_remember(db);
	if (rc == 0)
		rc = sw_db_settle_key(db);
	if (rc == 0)
		rc = sw_db_load_own_role(db);
	if (rc == 0)
		rc = sw_db_tidy(db);
	/* What a process left behind that was killed goes later: on a full disk the store must open, or nobody could make room in it. */
	if (rc < 0 && rc != SW_ENOSPC) {
		sw_db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

static int write_format(struct sw_db *db, const struct sw_hash *database)
{
	struct sw_txn *txn;
	uint8_t format = SW_STORE_FORMAT;
	int rc = sw_txn_begin(db->store, true, &txn);

	if (rc < 0)
		return rc;
	rc = sw_meta_put(txn, META_DATABASE, sw_hash_view(database));
	if (rc == 0)
		rc = sw_meta_put(txn, META_FORMAT, sw_view(&format, 1));
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	db->id = *database;
	return sw_txn_commit(txn);
}

/* Whether there is a store, and nobody has told it what it is of: whoever opens it is told so, too. */
static bool is_unfinished(const char *dir, const struct sw_env *env)
{
	struct sw_store *store;
	struct sw_txn *txn;
	struct sw_view v;
	int rc = sw_store_open(dir, 0, env, &store);

	if (rc < 0)
		return false;
	rc = sw_txn_begin(store, false, &txn);
	if (rc == 0) {
		rc = sw_meta_get(txn, META_FORMAT, &v);
		sw_txn_abort(txn);
	}
	sw_store_close(store);
	return rc == SW_ENOTFOUND;
}

static int create(const char *dir, const struct sw_env *env, struct sw_db **out)
{
	struct sw_db *db;
	struct sw_identity *id;
	char path[4096];
	int rc = sw_crypto_init();

	if (rc == 0)
		rc = sw_db_key_path(dir, "key", path, sizeof(path));
	if (rc == 0 && is_unfinished(dir, env))
		rc = fail_unfinished(dir);
	if (rc < 0)
		return rc;
	db = db_new(env);
	if (!db)
		return SW_ENOMEM;
	rc = sw_store_open(dir, SW_STORE_CREATE, env, &db->store);
	if (rc == 0)
		rc = sw_keyfile_create(path, env, &id);
	if (rc == 0)
		db->identity = id;
	if (rc == 0)
		rc = sw_memtable_new(&db->memtable);
	if (rc < 0) {
		sw_db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

int sw_db_create_clone(const char *dir, const struct sw_env *env, const struct sw_hash *database,
		       struct sw_db **out)
{
	struct sw_db *db;
	int rc = create(dir, env, &db);

	if (rc < 0)
		return rc;
	rc = write_format(db, database);
	if (rc < 0) {
		sw_db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

/* The first commit: the creator's key, the salt, the conflict mode. */
static int found_database(struct sw_db *db, enum sw_conflict_mode conflict)
{
	struct sw_op ops[2] = {{.kind = SW_OP_GENESIS, .conflict = conflict},
			       {.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN}};
	struct sw_commit commit = {0};
	struct sw_entering e = {.commit = &commit}, *entering = &e;
	SW_BUF changeset = {0};
	SW_BUF raw = {0};
	struct sw_judgement judgement = {0};
	struct sw_fold_result fold = {0};
	struct sw_nodes *nodes = NULL;
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, true, &txn);

	if (rc < 0)
		return rc;
	db->env->random(db->env->arg, ops[0].salt.b, SW_HASH_SIZE);
	ops[1].member = *sw_identity_key(db->identity);
	sw_changeset_encode(SW_MODE_CONTROL, ops, 2, &changeset, NULL);
	e.fold = (struct sw_fold_commit){.seq = 1,
					 .stamp = sw_hlc_next(0, sw_env_wall_ms(db->env)),
					 .mode = SW_MODE_CONTROL,
					 .changeset = sw_buf_view(&changeset)};
	rc = changeset.rc < 0 ? SW_ENOMEM : sw_db_set_genesis(db, txn, &ops[0].salt, conflict);
	if (rc == 0)
		rc = sw_history_put_changeset(txn, 1, e.fold.changeset);
	if (rc == 0)
		rc = sw_history_index(txn, 1, e.fold.stamp, e.fold.changeset);
	if (rc == 0)
		rc = sw_db_nodes(db, txn, &nodes);
	if (rc == 0)
		rc = sw_db_fold(db, txn, nodes, &db->head, &e.fold, 1, &judgement, &fold);
	if (rc == 0) {
		commit.rule = SW_RULE_VERSION;
		commit.stamp = e.fold.stamp;
		commit.state = fold.state;
		sw_hash_compute(SW_DOMAIN_CHANGESET, e.fold.changeset, &commit.changeset);
		sw_commit_seal(&commit, db->identity, &raw);
		db->id = commit.id;
		rc = sw_history_put(txn, 1, &commit.id, sw_buf_view(&raw));
	}
	if (rc == 0)
		rc = sw_meta_put(txn, META_DATABASE, sw_hash_view(&commit.id));
	if (rc == 0) {
		uint8_t format = SW_STORE_FORMAT;

		rc = sw_meta_put(txn, META_FORMAT, sw_view(&format, 1));
	}
	if (rc == 0)
		rc = sw_db_enter(db, txn, nodes, &entering, 1, &judgement, &fold, SW_FROM_HERE);
	else
		sw_txn_abort(txn);
	sw_nodes_free(nodes);
	sw_fold_result_fini(&fold);
	return rc;
}

int sw_db_create(const char *dir, const struct sw_env *env, enum sw_conflict_mode conflict,
		 struct sw_db **out)
{
	struct sw_db *db;
	int rc = create(dir, env, &db);

	if (rc < 0)
		return rc;
	rc = found_database(db, conflict);
	if (rc < 0) {
		sw_db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

void sw_db_listen(struct sw_db *db, const struct sw_listener *listener)
{
	db->listener = *listener;
}

const struct sw_hash *sw_db_id(const struct sw_db *db)
{
	return &db->id;
}

const struct sw_identity *sw_db_identity(const struct sw_db *db)
{
	return db->identity;
}

const struct sw_key *sw_db_key(const struct sw_db *db)
{
	return sw_identity_key(db->identity);
}

const char *sw_db_dir(const struct sw_db *db)
{
	return sw_store_dir(db->store);
}

const struct sw_env *sw_db_env(const struct sw_db *db)
{
	return db->env;
}

struct sw_store *sw_db_store(const struct sw_db *db)
{
	return db->store;
}

const struct sw_shape *sw_db_shape(const struct sw_db *db)
{
	return db->has_salt ? db->shape : NULL;
}

enum sw_conflict_mode sw_db_conflict_mode(const struct sw_db *db)
{
	return db->conflict;
}

void sw_db_set_clock_offset(struct sw_db *db, int64_t ms)
{
	db->clock_offset_ms = ms;
}

uint64_t sw_db_time_ms(const struct sw_db *db)
{
	return sw_env_wall_ms(db->env) + (uint64_t)db->clock_offset_ms;
}

void sw_db_head(struct sw_db *db, struct sw_head *out)
{
	pthread_mutex_lock(&db->head_lock);
	*out = db->head;
	pthread_mutex_unlock(&db->head_lock);
}

void sw_db_newest_state(struct sw_db *db, struct sw_hash *out)
{
	pthread_mutex_lock(&db->memtable_lock);
	*out = db->shown;
	pthread_mutex_unlock(&db->memtable_lock);
}

/* Entering the line */

int sw_db_put_tip(struct sw_txn *txn, const struct sw_commit *c)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_parents; i++)
		rc = sw_txn_del(txn, SW_SPACE_TIPS, sw_hash_view(&c->parents[i]));
	return rc < 0 ? rc : sw_txn_put(txn, SW_SPACE_TIPS, sw_hash_view(&c->id), sw_view("", 0));
}

/* The changeset refers to the large rows that it writes: history can show them again. */
static int retain_blobs(struct sw_nodes *nodes, struct sw_view changeset)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, changeset);

	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0)
		rc = op.kind == SW_OP_PUT && op.row.is_blob ? sw_nodes_retain(nodes, &op.row.blob) : 0;
	return rc;
}

static int enter_commit(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_entering *e)
{
	int rc = 0;

	if (e->fold.outcome != SW_APPLIED)
		rc = sw_history_put_outcome(txn, e->fold.seq, e->fold.outcome);
	if (rc == 0 && e->fold.outcome != SW_OUT)
		rc = sw_db_put_tip(txn, e->commit);
	if (rc == 0)
		rc = retain_blobs(nodes, e->fold.changeset);
	for (size_t i = 0; rc == 0 && i < e->n_stages; i++)
		rc = sw_stage_spend(e->stages[i], txn, nodes);
	return rc;
}

/* Commits came into the line, or left it, behind others: all tips anew. */
static int enter_tips(struct sw_db *db, struct sw_txn *txn)
{
	struct sw_view found, value;
	uint64_t *tips = NULL;
	size_t n = 0;
	int rc = 0;

	while (rc == 0 && (rc = sw_txn_ceil(txn, SW_SPACE_TIPS, sw_view("", 0), &found, &value)) > 0) {
		struct sw_hash id;

		memcpy(id.b, found.p, SW_HASH_SIZE); /* the view dies with the delete */
		rc = sw_txn_del(txn, SW_SPACE_TIPS, sw_hash_view(&id));
	}
	if (rc == 0)
		rc = sw_control_tips(db->control, &tips, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sw_order order;
		struct sw_hash id;

		rc = sw_history_order(txn, tips[i], &order);
		sw_order_id(&order, &id);
		if (rc == 0)
			rc = sw_txn_put(txn, SW_SPACE_TIPS, sw_hash_view(&id), sw_view("", 0));
	}
	free(tips);
	return rc;
}

/* A line entry and, for a flip, its new outcome. */
struct line_edit {
	struct sw_order order;
	uint8_t outcome;
};

static int line_edit_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SW_ORDER_SIZE);
}

/* An earlier commit has another outcome, and may come into the line or leave it by that. */
static int edit_flip(struct sw_txn *txn, const struct sw_flip *f, struct line_edit *edit, struct sw_head *head)
{
	enum sw_outcome before;
	int rc = sw_history_outcome(txn, f->seq, &before);

	edit->outcome = (uint8_t)f->outcome;
	head->count += before == SW_OUT;
	head->count -= f->outcome == SW_OUT;
	return rc < 0 ? rc : sw_history_order(txn, f->seq, &edit->order);
}

int sw_db_edit_line(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, struct sw_entering *const *commits,
		    size_t n, const struct sw_fold_result *fold, struct sw_head *head, struct sw_order *first)
{
	size_t max = n + fold->n_flips, total = 0;
	struct line_edit *list = calloc(max, sizeof(*list));
	struct sw_edit *edits = calloc(max, sizeof(*edits));
	int rc = list && edits ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (commits[i]->fold.outcome != SW_OUT)
			list[total++] = (struct line_edit){commits[i]->order, (uint8_t)commits[i]->fold.outcome};
	head->count += total;
	for (size_t i = 0; rc == 0 && i < fold->n_flips; i++)
		rc = edit_flip(txn, &fold->flips[i], &list[total++], head);
	if (rc == 0) {
		qsort(list, total, sizeof(*list), line_edit_cmp);
		memset(first->b, 0xff, SW_ORDER_SIZE);
		if (total > 0)
			*first = list[0].order;
		for (size_t i = 0; i < total; i++)
			edits[i] = (struct sw_edit){.key = sw_order_view(&list[i].order),
						    .value = sw_view(&list[i].outcome, 1),
						    .del = list[i].outcome == SW_OUT};
		rc = sw_tree_apply(nodes, db->shape, SW_PURPOSE_LINE, &head->line, edits, total, &head->line);
	}
	free(list);
	free(edits);
	return rc;
}

/* Someone who holds exactly what we hold signed a root: it must be ours. */
static void compare_roots(struct sw_db *db, struct sw_txn *txn, struct sw_entering *const *commits,
			  size_t n, const struct sw_hash *state, const struct sw_commit **other)
{
	*other = NULL;
	if (sw_txn_count(txn, SW_SPACE_TIPS) != 1)
		return;
	for (size_t i = 0; i < n; i++) {
		struct sw_view v;

		/* A dropped one could not sign the root with the records of what it lost, which have its id. */
		if (commits[i]->fold.outcome != SW_APPLIED)
			continue;
		if (sw_txn_get(txn, SW_SPACE_TIPS, sw_hash_view(&commits[i]->commit->id), &v) == 0 &&
		    !sw_hash_eq(&commits[i]->commit->state, state))
			*other = commits[i]->commit;
	}
	(void)db;
}

static int check_place(struct sw_txn *txn, uint64_t seq, const struct sw_order *horizon)
{
	struct sw_order order;
	char id[SW_HASH_HEX_SIZE];
	struct sw_hash hash;
	int rc = sw_history_order(txn, seq, &order);

	if (rc < 0 || sw_order_cmp(&order, horizon) > 0)
		return rc;
	sw_order_id(&order, &hash);
	sw_hex(hash.b, SW_HASH_SIZE, id);
	return sw_fail(SW_EFREED,
		       "it changes what came of commit %.12s, in history whose content gc has freed in this store; only a store "
		       "that keeps all history can take it",
		       id);
}

/* What is folded anew up to the horizon would need what gc has freed. */
static int check_horizon(struct sw_txn *txn, const struct sw_fold_commit *commits, size_t n, const struct sw_judgement *judgement)
{
	struct sw_order horizon;
	int has = sw_history_horizon(txn, &horizon), rc = 0;

	if (has <= 0)
		return has;
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (commits[i].outcome < SW_VOID && commits[i].stamp <= sw_order_stamp(&horizon))
			rc = check_place(txn, commits[i].seq, &horizon);
	for (size_t i = 0; rc == 0 && i < judgement->n_turns; i++) {
		const struct sw_flip *turn = &judgement->turns[i];
		enum sw_outcome before;

		rc = sw_history_outcome(txn, turn->seq, &before);
		if (rc == 0 && (before < SW_VOID) != (turn->outcome < SW_VOID))
			rc = check_place(txn, turn->seq, &horizon);
	}
	return rc;
}

int sw_db_fold(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
	       struct sw_fold_commit *commits, size_t n, const struct sw_judgement *judgement, struct sw_fold_result *out)
{
	struct sw_fold_control control = {.turns = judgement->turns,
					  .n_turns = judgement->n_turns,
					  .roles = judgement->roles,
					  .n_roles = judgement->n_roles,
					  .all_footholds = db->env->all_footholds};

	int rc = check_horizon(txn, commits, n, judgement);

	return rc < 0 ? rc : sw_fold_run(txn, nodes, db->shape, &head->state, &head->line, commits, n, &control, out);
}

/* The own role in a new state, if control commits came. */
static int read_own_role(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_head *head,
			 struct sw_entering *const *commits, size_t n, int *out)
{
	struct sw_reader r = {.txn = txn, .nodes = nodes, .head = *head};
	bool has_control = false;

	for (size_t i = 0; i < n; i++)
		has_control |= commits[i]->fold.mode == SW_MODE_CONTROL;
	*out = db->own_role;
	return has_control ? sw_db_role(&r, sw_db_key(db), out) : 0;
}

int sw_db_load_own_role(struct sw_db *db)
{
	struct sw_reader r;
	int role = 0, rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_role(&r, sw_db_key(db), &role);
	sw_reader_end(&r);
	db->own_role = role;
	return rc;
}

int sw_db_own_role(const struct sw_db *db)
{
	return db->own_role;
}

int sw_db_enter(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
		struct sw_entering *const *commits, size_t n, const struct sw_judgement *judgement,
		struct sw_fold_result *fold, enum sw_origin origin)
{
	struct sw_head head = {.count = db->head.count, .line = db->head.line, .state = fold->state};
	const struct sw_commit *diverged = NULL;
	bool is_copied = db->is_copied;
	uint64_t hlc = db->hlc, was_withheld = db->withheld, withheld = 0;
	struct sw_order first;
	struct sw_moving moving = {.first = &first, .plan = db->milestone_plan};
	int rc, own_role = 0;

	for (size_t i = 0; i < n; i++) {
		struct sw_entering *e = commits[i];

		sw_order_make(e->commit->stamp, &e->commit->author, &e->commit->id, &e->order);
		if (e->commit->stamp > hlc)
			hlc = e->commit->stamp;
	}
	rc = sw_db_edit_line(db, txn, nodes, commits, n, fold, &head, &first);
	if (rc == 0)
		rc = read_own_role(db, txn, nodes, &head, commits, n, &own_role);
	if (rc == 0)
		rc = sw_memtable_add(db->memtable, nodes);
	sw_nodes_set_memtable(nodes, db->memtable);
	/* By order, so parents come first: a tip that has a child in the batch goes again. */
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = enter_commit(txn, nodes, commits[i]);
	for (size_t i = 0; rc == 0 && i < fold->n_flips; i++)
		rc = sw_history_put_outcome(txn, fold->flips[i].seq, fold->flips[i].outcome);
	if (rc == 0)
		rc = sw_footholds_keep(&fold->footholds, txn);
	if (rc == 0 && judgement->moved)
		rc = enter_tips(db, txn);
	if (rc == 0)
		rc = sw_db_forget_milestones(db, txn, nodes, &moving);
	if (rc == 0)
		rc = sw_db_note_withheld(db, txn, commits, n, origin, &withheld);
	if (rc == 0 && origin == SW_FROM_PEER)
		rc = sw_db_note_copied(db, txn, commits, n, &is_copied);
	if (rc == 0)
		rc = sw_settling_save(db->settling, txn);
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	sw_milestone_count(&moving.plan, n, &fold->changes);
	if (origin == SW_FROM_PEER)
		compare_roots(db, txn, commits, n, &head.state, &diverged);
	/* Whoever sees the new commit sees that it may not be sent. */
	if (withheld > 0)
		db->withheld = withheld;
	sw_db_tell_begin(db);
	/* Folded again from an earlier state, commits would not turn over a second time. */
	rc = sw_db_move_head(db, txn, nodes, &head, hlc, &moving, fold->n_flips > 0 || judgement->has_roles);
	db->withheld = rc < 0 ? was_withheld : withheld;
	if (rc < 0) {
		sw_db_tell_end(db);
		return rc;
	}
	db->is_copied = is_copied;
	db->own_role = own_role;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < commits[i]->n_stages; k++)
			sw_stage_spent(commits[i]->stages[k]);
	fold->changes.from_peer = origin == SW_FROM_PEER;
	sw_db_tell_changed(db, &fold->changes, origin != SW_FROM_WORK);
	if (diverged) {
		struct sw_divergence d = {.who = diverged->author,
					  .commit = diverged->id,
					  .ours = head.state,
					  .theirs = diverged->state};

		sw_db_tell_diverged(db, &d);
	}
	return 0;
}

void sw_db_tell_diverged(struct sw_db *db, const struct sw_divergence *d)
{
	bool is_old;

	pthread_mutex_lock(&db->head_lock);
	is_old = !d->is_found && sw_key_eq(&d->who, &db->diverged.who) && sw_hash_eq(&d->ours, &db->diverged.ours) &&
		 sw_hash_eq(&d->theirs, &db->diverged.theirs);
	db->diverged = (struct sw_divergence){.who = d->who, .ours = d->ours, .theirs = d->theirs};
	pthread_mutex_unlock(&db->head_lock);
	if (db->listener.diverged && !is_old)
		db->listener.diverged(db->listener.arg, d);
}

void sw_divergence_of(const struct sw_key *who, const struct sw_head *ours, const struct sw_head *theirs,
		      struct sw_divergence *out)
{
	*out = (struct sw_divergence){.who = *who, .is_line = !sw_hash_eq(&ours->line, &theirs->line)};
	out->ours = out->is_line ? ours->line : ours->state;
	out->theirs = out->is_line ? theirs->line : theirs->state;
}
