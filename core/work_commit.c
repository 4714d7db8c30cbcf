/* From edits to commits: committing a batch without the lock, finishing it, and what fsync waits
 * for. */
#include "core/work_batch.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS         1000
#define JOURNAL_FLUSH_MS 1000

/* The row as it stands after the commit, which a merge may have made different from what was
 * written. */
static int reload(struct sw_work *w, struct sw_name *n)
{
	return sw_file_load(w, n->file, n->table, n->key);
}

static void finish_changed(struct sw_work *w, struct sw_work_item *it)
{
	struct sw_name *n = it->name;

	/* It went on while it was committed: the rest is a new edit, based on what was committed.
	 */
	n->base = it->written;
	sw_buf_fini(&n->base_text);
	n->base_text = it->content;
	it->content = (struct sw_buf){0};
	n->has_base_text = n->base.exists && n->base_text.n > 0;
	n->first_ms = sw_env_mono_ms(w->env);
	if (n->good.version <= it->version)
		sw_name_forget_good(n);
	if (n->key.n == 0)
		n->base = (struct sw_version){.exists = n->base.exists, .mode = n->table_mode};
	if (!n->file && !n->base.exists && n->key.n > 0 && !n->aside)
		sw_name_end_edit(w, n);
}

/* Somebody else's row stands, or none; what was written here is kept as a conflict. As for any
 * change by others. */
static void finish_dropped(struct sw_work *w, struct sw_name *n)
{
	if (n->file && (n->file->n_writers == 0 || reload(w, n) < 0))
		sw_name_put_file(w, n, NULL);
	if (w->on_merge)
		w->on_merge(w->on_merge_arg, n->table, n->key);
}

static void finish_item(struct sw_work *w, struct sw_work_item *it, const struct sw_write_op *op,
			bool dropped)
{
	struct sw_name *n = it->name;

	n->in_commit = false;
	n->synced = it->version;
	if (n->key.n == 0)
		it->written.exists = op->op.kind != SW_OP_RMTABLE;
	if (n->version != it->version) {
		finish_changed(w, it);
	} else {
		sw_name_end_edit(w, n);
		if (dropped)
			finish_dropped(w, n);
		/* Without memory for the new row the file keeps the bytes that it has: they are the
		 * same. */
		else if (n->file && reload(w, n) < 0)
			n->file->base = it->written;
		if (!dropped && n->file && !sw_hash_eq(&n->file->base.hash, &it->written.hash) &&
		    w->on_merge)
			w->on_merge(w->on_merge_arg, n->table, n->key);
	}
	sw_name_settle(w, n);
}

static void failed(struct sw_work *w, int rc)
{
	snprintf(w->error, sizeof(w->error), "%s", sw_fail_message(rc));
	w->retry_ms = sw_env_mono_ms(w->env) + RETRY_MS;
}

static void unfinish(struct sw_work *w, struct sw_work_batch *b, int rc)
{
	for (size_t i = 0; i < b->n; i++)
		b->items[i].name->in_commit = false;
	if (rc < 0) {
		sw_work_batch_join(w, b);
		failed(w, rc);
	}
}

/* The hashes of what was written: the database has completed the operations that changed something.
 */
static void note_written(struct sw_work_batch *b, const struct sw_write *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->ops[i].op.kind == SW_OP_PUT)
			sw_op_new_hash(&w->ops[i].op, &b->items[w->ops[i].tag].written.hash);
}

static void finish(struct sw_work *w, struct sw_work_batch *b, const struct sw_write *write)
{
	w->n_batch = 2 * w->n_batch < SW_WORK_BATCH_MAX ? 2 * w->n_batch : SW_WORK_BATCH_MAX;
	w->error[0] = '\0';
	w->retry_ms = 0;
	note_written(b, write);
	for (size_t i = 0; i < b->n; i++)
		finish_item(w, &b->items[i], &b->ops[i], write->dropped);
}

/* Without the lock. On a full disk the first try may do no more than give back what the store keeps for that. */
static int write_batch(struct sw_work *w, const struct sw_work_batch *b, struct sw_write *write, struct sw_hash *id)
{
	int rc = SW_ENOSPC;

	write->ops = calloc(b->n, sizeof(*write->ops));
	if (!write->ops)
		return SW_ENOMEM;
	for (int i = 0; i < 2 && rc == SW_ENOSPC; i++) {
		/* The database changes them in place, and leaves those that change something. */
		memcpy(write->ops, b->ops, b->n * sizeof(*write->ops));
		write->n = b->n;
		rc = sw_db_commit(w->db, write, id);
	}
	return rc;
}

/* It was too much, for a commit or for the room on the disk: whether there is a way to try again, with more room or with less at once. */
static bool can_try_again(struct sw_work *w, const struct sw_work_batch *b, int rc)
{
	if (rc == SW_ENOSPC && sw_work_forget_records(w))
		sw_work_batch_join(w, b);
	else if (!(rc == SW_ELIMIT || (rc == SW_ENOSPC && b->n_groups > 1)) || !sw_work_batch_part(w, b))
		return false;
	sw_work_batch_put_back(b);
	return true;
}

/* What a batch is made of: all that is ready, or whole; or one edit. */
struct pick {
	bool all;
	struct sw_view message;
	bool is_one; /* of the row, or of the table (key empty) */
	struct sw_view table, key;
};

static int gather(struct sw_work *w, const struct pick *pick, struct sw_work_batch *b)
{
	struct sw_name *n;

	if (!pick->is_one)
		return sw_work_gather(w, pick->all, b);
	n = sw_name_find(w, pick->table, pick->key);
	return n && n->has_edit ? sw_work_gather_alone(w, n, b) : 0;
}

/* Commit one batch; the lock is held, and given up meanwhile. 0: nothing was ready; 1: all that
 * was; 2: there is more to do. */
static int commit_batch(struct sw_work *w, const struct pick *pick, struct sw_hash *id)
{
	struct sw_work_batch b = {0};
	struct sw_write write = {.mode = sw_work_is_strict(w) ? SW_MODE_STRICT : SW_MODE_MERGE,
				 .message = pick->message,
				 .from_work = true,
				 .may_drop = true};
	bool more;
	int rc;

	while (w->committing)
		pthread_cond_wait(&w->committed, &w->lock);
	rc = gather(w, pick, &b);
	if (rc < 0 || b.n == 0) {
		unfinish(w, &b, rc);
		sw_work_batch_fini(w, &b);
		return rc;
	}
	w->committing = true;
	more = sw_work_batch_is_full(w, &b);
	pthread_mutex_unlock(&w->lock);
	rc = write_batch(w, &b, &write, id);
	pthread_mutex_lock(&w->lock);
	w->committing = false;
	if (rc == 0) {
		finish(w, &b, &write);
	} else if (can_try_again(w, &b, rc)) {
		unfinish(w, &b, 0);
		more = true;
		rc = 0;
	} else {
		unfinish(w, &b, rc);
	}
	free(write.ops);
	sw_work_batch_fini(w, &b);
	pthread_cond_broadcast(&w->committed);
	return rc < 0 ? rc : 1 + more;
}

uint32_t sw_work_due_ms(struct sw_work *w)
{
	uint64_t now = sw_env_mono_ms(w->env), due = UINT32_MAX;

	pthread_mutex_lock(&w->lock);
	/* Looking at every edit for the exact moment would cost more than looking again soon. */
	if (w->n_edits > 0 && !w->is_copy)
		due = w->settle_ms / 2 + 1;
	if (w->n_edits > 0 && w->retry_ms > now && w->retry_ms - now > due)
		due = w->retry_ms - now;
	if (w->journal_dirty_ms > 0) {
		uint64_t flush = w->journal_dirty_ms + JOURNAL_FLUSH_MS;

		flush = flush > now ? flush - now : 0;
		due = flush < due ? flush : due;
	}
	pthread_mutex_unlock(&w->lock);
	return (uint32_t)due;
}

/* The lock was given up before: what was written into files meanwhile waits for the next time,
 * which false says. */
static bool journal_is_flushed(struct sw_work *w)
{
	if (sw_work_has_dirty_spills(w))
		return false;
	w->journal_dirty_ms = 0;
	sw_work_free_replaced(w);
	return true;
}

/* The lock is given up meanwhile if there are large rows. */
static int flush_journal(struct sw_work *w)
{
	int rc;

	if (w->journal_dirty_ms == 0)
		return 0;
	rc = sw_work_sync_spills(w, NULL);
	if (rc == 0)
		rc = sw_work_sync_journal(w);
	if (rc == 0 && !journal_is_flushed(w))
		w->journal_dirty_ms = sw_env_mono_ms(w->env);
	return rc;
}

int sw_work_sync(struct sw_work *w)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = flush_journal(w);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* What has to be done before rows can be committed. One that it fails for holds up no other; the first failure is returned. */
static int prepare(struct sw_work *w, bool all)
{
	int adopted = sw_work_adopt(w, all), staged = sw_work_stage(w, all);

	return adopted < 0 ? adopted : staged;
}

/* A row that could not be staged has kept no other from its commit; it is tried again later, as
 * with any commit. */
static int staging_done(struct sw_work *w, int staged, int rc)
{
	if (staged == 0 || rc < 0)
		return rc;
	failed(w, staged);
	return staged;
}

/* The lock is held, and given up meanwhile. */
static int commit_ready(struct sw_work *w)
{
	const struct pick pick = {0};
	struct sw_hash id;
	int rc;

	while ((rc = commit_batch(w, &pick, &id)) > 1)
		;
	return rc;
}

void sw_work_run_others(struct sw_work *w)
{
	pthread_mutex_lock(&w->lock);
	if (sw_env_mono_ms(w->env) >= w->retry_ms && commit_ready(w) < 0) {
		/* It is kept, and whoever runs the set tries again, and tells. */
	}
	pthread_mutex_unlock(&w->lock);
}

int sw_work_run(struct sw_work *w)
{
	uint64_t last_gone = 0;
	int rc = 0, flushed, trimmed;

	pthread_mutex_lock(&w->lock);
	/* What becomes ready meanwhile waits for the next time: that makes fewer, larger commits.
	 */
	if (!w->is_copy && sw_env_mono_ms(w->env) >= w->retry_ms) {
		int staged = prepare(w, false);

		rc = staging_done(w, staged, commit_ready(w));
	} else if (w->is_copy && !w->is_frozen && sw_work_adopt(w, false) < 0) {
		/* It stays put aside: until the next time, or until the copy is applied. */
	}
	flushed =
	    sw_env_mono_ms(w->env) < w->journal_dirty_ms + JOURNAL_FLUSH_MS ? 0 : flush_journal(w);
	trimmed = sw_work_trim(w, &last_gone);
	pthread_mutex_unlock(&w->lock);
	sw_work_free_stale(w);
	if (trimmed == 0 &&
	    last_gone > 0) /* not under the lock: a writer of the database may wait for it */
		trimmed = sw_db_forget_spent(w->db, last_gone);
	if (rc < 0)
		return rc;
	return flushed < 0 ? flushed : trimmed;
}

int sw_work_commit(struct sw_work *w, struct sw_view message, struct sw_hash *id)
{
	const struct pick pick = {.all = true, .message = message};
	struct sw_hash one = sw_hash_zero;
	int staged, rc;

	*id = sw_hash_zero;
	pthread_mutex_lock(&w->lock);
	staged = prepare(w, true);
	while ((rc = commit_batch(w, &pick, &one)) > 0)
		if (!sw_hash_is_zero(&one))
			*id = one;
	rc = staging_done(w, staged, rc);
	pthread_mutex_unlock(&w->lock);
	sw_work_free_stale(w);
	return rc;
}

/* Wait until the name's present version is committed; whoever comes first commits for all. */
static int sync_name(struct sw_work *w, const struct sw_file *f, uint64_t version)
{
	const struct pick pick = {0};

	for (;;) {
		const struct sw_name *n = f->name;
		struct sw_hash id;
		int rc;

		if (!n || !n->has_edit || n->synced >= version)
			return 0;
		rc = commit_batch(w, &pick, &id);
		n = f->name;
		if (rc < 0 || (rc == 0 && n && n->has_edit && n->synced < version))
			return rc < 0 ? rc : SW_EAGAIN;
	}
}

static int sync_committed(struct sw_work *w, struct sw_file *f, uint64_t version)
{
	int rc = sw_file_stage(w, f);

	return rc < 0 ? rc : sync_name(w, f, version);
}

int sw_work_commit_alone(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	const struct pick pick = {.is_one = true, .table = table, .key = key};
	const struct sw_name *n = sw_name_find(w, table, key);
	uint64_t version = n->version;
	struct sw_hash id;
	int rc;

	if (w->is_copy)
		return SW_ENOSPC;
	while ((rc = commit_batch(w, &pick, &id)) > 0)
		;
	n = sw_name_find(w, table, key); /* the lock was given up */
	if (!n || !n->has_edit || n->synced >= version)
		return 0;
	return rc < 0 ? rc : SW_ENOSPC;
}

/* The journal has it, on the disk. */
static int sync_journal(struct sw_work *w, struct sw_name *n)
{
	int rc = sw_name_journal(w, &n, 1);

	if (rc == 0)
		rc = sw_work_sync_spills(w, n->file);
	if (rc == 0)
		rc = sw_work_sync_journal(w);
	if (rc == 0)
		(void)journal_is_flushed(w);
	return rc;
}

static int sync_locked(struct sw_work *w, struct sw_handle *h)
{
	struct sw_file *f = h->file;
	struct sw_name *n = f->name;
	bool was_dirty = h->is_dirty || h->is_truncated;
	int rc = was_dirty ? sw_file_admit(w, f, true) : 0;

	n = f->name;
	if (rc < 0 || !n || !n->has_edit || n->is_scratch)
		return rc < 0 ? rc : 0;
	rc = SW_EAGAIN;
	if (was_dirty) {
		f->n_dirty--;
		h->is_dirty = h->is_truncated = false;
		sw_name_touch(w, n);
	}
	if (n->base.exists && f->n_dirty == 0 && !w->is_copy) {
		n->want_sync = true;
		rc = sync_committed(w, f, n->version);
		n = f->name;
	}
	/* New, or of a working copy, or another handle is in the middle of a write, or it waits for
	 * a name it is joined with. */
	if (rc == SW_EAGAIN && n && n->has_edit)
		rc = sync_journal(w, n);
	n = f->name; /* the lock was given up */
	/* It failed: the journal has the bytes at least, or whoever closes the handle is told once
	 * more. */
	if (rc < 0 && rc != SW_EAGAIN && was_dirty && n && n->has_edit &&
	    sw_name_journal(w, &n, 1) < 0) {
		f->n_dirty++;
		h->is_dirty = true;
	}
	return rc == SW_EAGAIN ? 0 : rc;
}

int sw_handle_sync(struct sw_work *w, struct sw_handle *h)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sync_locked(w, h);
	pthread_mutex_unlock(&w->lock);
	sw_work_free_stale(w);
	return rc;
}

enum sw_work_effect sw_work_note_change(struct sw_work *w, const struct sw_change *change)
{
	enum sw_work_effect effect = SW_EFFECT_CHANGED;
	struct sw_name *n;

	pthread_mutex_lock(&w->lock);
	n = sw_name_find(w, change->table, change->key);
	if (n && n->has_edit) {
		effect = SW_EFFECT_NONE;
	} else if (n && n->file) {
		effect = SW_EFFECT_DETACHED;
		if (change->exists && n->file->n_writers > 0 && reload(w, n) == 0)
			effect = SW_EFFECT_RELOADED;
		else
			sw_name_put_file(w, n, NULL);
		sw_name_settle(w, n);
	}
	pthread_mutex_unlock(&w->lock);
	return effect;
}
