/*
 * The store's key: reading it, and taking another one when somebody else signs with it, since the store was copied or
 * restored from a backup. Two histories under one key are both valid; but nobody could tell any more who wrote what, and each
 * would take the other's commits for its own.
 */
#include "core/ancestors.h"
#include "core/db_internal.h"
#include "core/dir.h"
#include "core/keyfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define META_COPIED "copied"
#define KEY_NEW	    "key.new" /* let in, but not the store's yet; or not let in, and of no use */
#define KEY_OLD	    "key.old" /* the one before, as long as it may be the only one that others know */

int sw_db_key_path(const char *dir, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s", dir, name);

	return n < 0 || (size_t)n >= size ? sw_fail(SW_ETOOLONG, "%.64s...: path too long", dir) : 0;
}

static int retire(struct sw_db *db, struct sw_identity *id)
{
	struct sw_identity **v = realloc(db->retired, (db->n_retired + 1) * sizeof(struct sw_identity *));

	if (!v)
		return SW_ENOMEM;
	db->retired = v;
	v[db->n_retired++] = id;
	return 0;
}

static int remove_old_key(const struct sw_db *db)
{
	char path[4096];
	int rc = sw_db_key_path(sw_store_dir(db->store), KEY_OLD, path, sizeof(path));

	if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
		rc = sw_fail_errno("cannot remove %s", path);
	return rc;
}

static int load_old_key(struct sw_db *db)
{
	struct sw_identity *id;
	char path[4096];
	int rc = sw_db_key_path(sw_store_dir(db->store), KEY_OLD, path, sizeof(path));

	if (rc < 0 || access(path, F_OK) < 0)
		return rc;
	rc = sw_keyfile_read(path, &id);
	if (rc < 0)
		return rc;
	/* The process ended before the new one took its place. */
	if (sw_key_eq(sw_identity_key(id), sw_db_key(db))) {
		sw_identity_free(id);
		return remove_old_key(db);
	}
	rc = retire(db, id);
	if (rc < 0)
		sw_identity_free(id);
	else
		db->known = id;
	return rc;
}

int sw_db_load_key(struct sw_db *db, struct sw_txn *txn)
{
	struct sw_identity *id;
	struct sw_view v;
	char path[4096];
	int rc = sw_meta_get(txn, META_COPIED, &v);

	db->is_copied = rc == 0;
	if (rc == 0 || rc == SW_ENOTFOUND)
		rc = sw_db_key_path(sw_store_dir(db->store), "key", path, sizeof(path));
	if (rc == 0)
		rc = sw_keyfile_read(path, &id);
	if (rc < 0)
		return rc;
	db->identity = id;
	return load_old_key(db);
}

bool sw_db_is_copied(const struct sw_db *db)
{
	return db->is_copied;
}

/* Copies */

static bool is_ours(const struct sw_db *db, const struct sw_entering *e)
{
	return sw_key_eq(&e->commit->author, sw_db_key(db));
}

static bool is_handed_on(const struct sw_entering *e)
{
	struct sw_changeset c;
	struct sw_op op;

	return e->fold.mode == SW_MODE_CONTROL && sw_changeset_begin(&c, e->fold.changeset) == 0 && c.n == 1 &&
	       sw_changeset_next(&c, &op) > 0 && op.kind == SW_OP_GRANT;
}

/* Clear those below a commit, as far as they are among these. */
static int clear_below(struct sw_txn *txn, struct sw_entering *const *commits, size_t n,
		       const struct sw_commit *above, bool *marks)
{
	struct sw_ancestors past = {0};
	struct sw_order order;
	uint64_t seq;
	int rc = sw_ancestors_add_parents(&past, txn, above);

	while (rc == 0 && n > 0 && (rc = sw_ancestors_next(&past, txn, &order, &seq)) > 0) {
		rc = 0;
		while (n > 0 && sw_order_cmp(&commits[n - 1]->order, &order) > 0)
			n--;
		if (n > 0 && sw_order_cmp(&commits[n - 1]->order, &order) == 0)
			marks[n - 1] = false;
	}
	sw_ancestors_fini(&past);
	return rc < 0 ? rc : 0;
}

/* Who made them may have taken another key already: a grant by ours stands above them. Then we can keep it. */
int sw_db_note_copied(struct sw_db *db, struct sw_txn *txn, struct sw_entering *const *commits, size_t n,
		      bool *is_copied)
{
	bool *marks = NULL, any = false;
	int rc = 0;

	*is_copied = db->is_copied;
	for (size_t i = 0; i < n; i++)
		any |= is_ours(db, commits[i]);
	if (!any || *is_copied)
		return 0;
	marks = calloc(n, sizeof(*marks));
	if (!marks)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++)
		marks[i] = is_ours(db, commits[i]);
	for (size_t i = n; rc == 0 && i-- > 0;) {
		if (!is_ours(db, commits[i]) || !is_handed_on(commits[i]))
			continue;
		marks[i] = false;
		rc = clear_below(txn, commits, i, commits[i]->commit, marks);
	}
	for (size_t i = 0; i < n; i++)
		*is_copied |= marks[i];
	free(marks);
	if (rc == 0 && *is_copied)
		rc = sw_meta_put(txn, META_COPIED, sw_view("", 0));
	return rc;
}

/* Another key */

static int clear_copied(struct sw_db *db)
{
	struct sw_txn *txn;
	int rc = sw_txn_begin(db->store, true, &txn);

	if (rc < 0)
		return rc;
	rc = sw_txn_del(txn, SW_SPACE_META, sw_view_str(META_COPIED));
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	return sw_txn_commit(txn);
}

/* The new key file takes the place of the old one, which stays beside it; of several before it, the first that was not known. */
static int move_key(struct sw_db *db)
{
	const char *dir = sw_store_dir(db->store);
	char from[4096], to[4096], old[4096];
	int rc = sw_db_key_path(dir, KEY_NEW, from, sizeof(from));

	if (rc == 0)
		rc = sw_db_key_path(dir, "key", to, sizeof(to));
	if (rc == 0)
		rc = sw_db_key_path(dir, KEY_OLD, old, sizeof(old));
	if (rc == 0)
		rc = sw_env_fault(db->env, "key.rename");
	if (rc < 0)
		return rc;
	/* EPERM: a file system without links; then it is as if the new one were known. */
	if (link(to, old) < 0 && errno != EEXIST && errno != EPERM)
		return sw_fail_errno("cannot keep the old key file as %s", old);
	if (rename(from, to) < 0)
		return sw_fail_errno("cannot replace the key file %s", to);
	return sw_dir_sync_of(to, db->env);
}

/* It is the store's from now on. write_lock is held, or nobody else is there. */
static int adopt(struct sw_db *db, struct sw_identity *id)
{
	struct sw_identity *old = db->identity;
	int rc = move_key(db);

	if (rc == 0)
		rc = clear_copied(db);
	if (rc == 0)
		rc = retire(db, old);
	if (rc < 0)
		return rc;
	if (!db->known)
		db->known = old;
	db->identity = id;
	db->is_copied = false;
	return sw_db_load_own_role(db);
}

static int role_of(struct sw_db *db, const struct sw_key *key, int *role)
{
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	*role = 0;
	if (rc < 0)
		return rc;
	rc = sw_db_role(&r, key, role);
	sw_reader_end(&r);
	return rc;
}

const struct sw_identity *sw_db_session_identity(struct sw_db *db)
{
	const struct sw_identity *known = db->known;
	int role = 0;

	if (!known || role_of(db, sw_identity_key(known), &role) < 0 || role < SW_ROLE_READER)
		return db->identity;
	return known;
}

bool sw_db_is_between_keys(const struct sw_db *db)
{
	return db->known != NULL;
}

int sw_db_key_is_known(struct sw_db *db)
{
	int rc = 0;

	pthread_mutex_lock(&db->write_lock);
	if (db->known)
		rc = remove_old_key(db);
	if (rc == 0)
		db->known = NULL;
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int sw_db_settle_key(struct sw_db *db)
{
	struct sw_identity *id = NULL;
	char path[4096];
	int role, rc = sw_db_key_path(sw_store_dir(db->store), KEY_NEW, path, sizeof(path));

	if (rc < 0 || access(path, F_OK) < 0)
		return rc;
	if (sw_keyfile_read(path, &id) < 0)
		id = NULL; /* torn: nobody was told of it */
	rc = id ? role_of(db, sw_identity_key(id), &role) : 0;
	if (rc == 0 && id && role > 0)
		rc = adopt(db, id);
	else if (rc == 0 && unlink(path) < 0)
		rc = sw_fail_errno("cannot remove %s", path);
	if (db->identity != id)
		sw_identity_free(id);
	return rc;
}

/* The old key lets the new one in. No commit of the old one may follow: write_lock is held. */
static int hand_on(struct sw_db *db, struct sw_identity *id, int role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *sw_identity_key(id), .role = (enum sw_role)role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1, .hands_on = true};
	struct sw_hash commit;
	int rc = sw_db_commit_locked(db, &w, &commit);

	return rc < 0 ? rc : adopt(db, id);
}

int sw_db_renew_key(struct sw_db *db)
{
	const struct sw_identity *before = db->identity;
	struct sw_identity *id = NULL;
	char path[4096];
	int role, rc;

	pthread_mutex_lock(&db->write_lock);
	rc = role_of(db, sw_db_key(db), &role);
	if (rc == 0 && role < SW_ROLE_WRITER)
		rc = sw_fail(SW_EDENIED, "the key of the store %s is in use elsewhere, too, and may not let a new one in; "
					 "make a new store with a ticket", sw_store_dir(db->store));
	if (rc == 0)
		rc = sw_db_settle_key(db); /* of an earlier try */
	if (rc == 0 && db->identity == before) {
		rc = sw_db_key_path(sw_store_dir(db->store), KEY_NEW, path, sizeof(path));
		if (rc == 0)
			rc = sw_keyfile_create(path, db->env, &id);
		if (rc == 0)
			rc = hand_on(db, id, role);
	}
	if (db->identity != id)
		sw_identity_free(id);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}
