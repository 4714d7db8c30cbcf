#include "fs/owner.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "fs/control.h"
#include "fs/env_system.h"
#include "fs/on_conflict.h"
#include "fs/owner_internal.h"
#include "fs/text.h"

#define COMMANDS_STOP_MS 5000

static void count_conflicts(struct sw_owner *o, const struct sw_changes *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct sw_change *c = &changes->v[i];

		if (c->kind != SW_CHANGE_CONFLICT)
			continue;
		if (c->exists)
			atomic_fetch_add(&o->n_conflicts, 1);
		else if (c->is_resolved)
			atomic_fetch_add(&o->n_resolved, 1);
	}
}

/* Loud: whoever writes here from now on is refused, and may not look at status. */
static void note_role(struct sw_owner *o)
{
	int role = sw_db_own_role(o->db), before = atomic_exchange(&o->role, role);

	if (role == before || !atomic_load(&o->has_arrived))
		return;
	if (role == 0)
		sw_log(SW_LOG_ERROR, "the key of this store was taken out of the database: nothing can be written any more, and what it "
				     "signed that does not stand is void; an admin can let it in again");
	else
		sw_log(role > before ? SW_LOG_INFO : SW_LOG_WARN, "the key of this store is now %s", role == SW_ROLE_READER   ? "a reader's: nothing can be written"
									: role == SW_ROLE_WRITER ? "a writer's"
												 : "an admin's");
}

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head, bool by_others)
{
	struct sw_owner *o = arg;

	count_conflicts(o, changes);
	note_role(o);
	if (o->breaches)
		sw_breaches_note(o->breaches, changes);
	if (o->hook.changed)
		o->hook.changed(o->hook.arg, changes, head, by_others);
	if (atomic_load(&o->has_arrived))
		sw_on_conflict_changed(o->on_conflict, changes);
	sw_watches_wake(&o->watches);
	sw_owner_swarm_kick(o);
}

/* Where two trees differ first: "row t/a", "table t", "commit 1a2b...". */
static void put_place(const struct sw_divergence *d, struct sw_buf *out)
{
	char id[2 * SW_ORDER_SIZE + 1];

	if (d->table.n > 0) {
		sw_buf_printf(out, "%s%s ", d->is_system ? "the system's " : "", d->key.n > 0 ? "row" : "table");
		if (d->is_system && d->key.n > 0)
			sw_buf_printf(out, "in %.*s", (int)d->table.n, (const char *)d->table.p);
		else
			sw_text_put_path(out, d->table, d->key);
	} else if (d->key.n == SW_ORDER_SIZE) {
		sw_hex(d->key.p + SW_ORDER_SIZE - SW_HASH_SIZE, SW_HASH_SIZE, id);
		sw_buf_printf(out, "commit %.12s", id);
	}
}

/* A sentence, for the log and for status. */
static void put_divergence(const struct sw_divergence *d, struct sw_buf *out)
{
	char who[2 * SW_KEY_SIZE + 1], theirs[SW_HASH_HEX_SIZE], ours[SW_HASH_HEX_SIZE];

	sw_hex(d->who.b, SW_KEY_SIZE, who);
	sw_hex(d->theirs.b, SW_HASH_SIZE, theirs);
	sw_hex(d->ours.b, SW_HASH_SIZE, ours);
	sw_buf_printf(out, "of the same commits %.12s has the %s %.12s, here it is %.12s", who,
		      d->is_line ? "line" : "state", theirs, ours);
	if (d->is_found) {
		sw_buf_printf(out, "; they differ first at ");
		put_place(d, out);
	}
	sw_buf_printf(out, ": one of the two stores or programs is faulty; run 'swarmfs verify' on both");
}

static void on_diverged(void *arg, const struct sw_divergence *d)
{
	struct sw_owner *o = arg;
	SW_BUF text = {0};

	/* It is told of once more when it was found where. */
	if (!d->is_found)
		atomic_fetch_add(&o->n_diverged, 1);
	put_divergence(d, &text);
	sw_log(SW_LOG_ERROR, "%.*s", (int)text.n, (const char *)text.p);
	pthread_mutex_lock(&o->divergence_lock);
	snprintf(o->divergence, sizeof(o->divergence), "%.*s", (int)text.n, (const char *)text.p);
	pthread_mutex_unlock(&o->divergence_lock);
	if (o->hook.diverged)
		o->hook.diverged(o->hook.arg, d);
}

void sw_owner_divergence(struct sw_owner *o, struct sw_buf *out)
{
	pthread_mutex_lock(&o->divergence_lock);
	sw_buf_put_view(out, sw_view_str(o->divergence));
	pthread_mutex_unlock(&o->divergence_lock);
}

int sw_owner_open_db(struct sw_db *db, const struct sw_owner_options *options, struct sw_owner **out)
{
	struct sw_owner *o = calloc(1, sizeof(*o));
	struct sw_listener listener = {.arg = o, .changed = on_changed, .diverged = on_diverged};
	int rc = 0;

	if (!o) {
		sw_db_close(db);
		return SW_ENOMEM;
	}
	pthread_mutex_init(&o->swarm_lock, NULL);
	sw_watches_init(&o->watches);
	pthread_mutex_init(&o->divergence_lock, NULL);
	o->db = db;
	o->options = *options;
	o->started_ms = sw_env_wall_ms(sw_db_env(db));
	atomic_init(&o->role, sw_db_own_role(db));
	sw_db_listen(db, &listener);
	if (options->mount_point) {
		o->mount_point = strdup(options->mount_point);
		rc = o->mount_point ? 0 : SW_ENOMEM;
	}
	if (rc == 0 && options->has_work)
		rc = sw_work_open(db, &options->work, &o->work);
	if (rc == 0 && options->has_work)
		rc = sw_copies_open(db, o->work, &o->copies);
	if (rc < 0) {
		sw_owner_close(o);
		return rc;
	}
	*out = o;
	return 0;
}

int sw_owner_open(const char *dir, const struct sw_owner_options *options, struct sw_owner **out)
{
	struct sw_db *db;
	int rc = sw_db_open(dir, &sw_env_system, &db);

	return rc < 0 ? rc : sw_owner_open_db(db, options, out);
}

int sw_owner_start(struct sw_owner *o)
{
	struct sw_head head;
	int rc = 0;

	sw_db_head(o->db, &head);
	atomic_store(&o->has_arrived, head.count > 0 && !o->options.is_arriving);
	if (o->options.on_conflict)
		rc = sw_on_conflict_new(o->db, o->options.on_conflict, o->mount_point, &o->on_conflict);
	if (rc == 0 && o->work)
		rc = sw_breaches_new(o->db, &o->breaches);
	if (rc == 0 && o->work)
		rc = sw_committer_start(o, &o->committer);
	o->is_serving = true;
	if (rc == 0)
		rc = sw_owner_swarm_start(o);
	if (rc == 0)
		rc = sw_control_start(o, &o->control);
	return rc;
}

void sw_owner_arrived(struct sw_owner *o)
{
	atomic_store(&o->has_arrived, true);
}

void sw_owner_stop_programs(struct sw_owner *o)
{
	if (o->has_stopped_programs)
		return;
	o->has_stopped_programs = true;
	o->is_idle = sw_control_stop(o->control, COMMANDS_STOP_MS);
	sw_on_conflict_stop(o->on_conflict);
}

void sw_owner_stop(struct sw_owner *o)
{
	if (o->has_stopped)
		return;
	o->has_stopped = true;
	sw_owner_stop_programs(o);
	sw_owner_swarm_stop(o);
	sw_committer_stop(o->committer);
}

void sw_owner_close(struct sw_owner *o)
{
	if (!o)
		return;
	sw_owner_stop(o);
	if (!o->is_idle) {
		/* Everything whole is in the journal or committed: the next open goes on from there. */
		sw_log(SW_LOG_WARN, "a command still runs; the store is left without closing it");
		return;
	}
	sw_copies_close(o->copies);
	if (o->work)
		sw_work_close(o->work);
	sw_on_conflict_free(o->on_conflict); /* nobody commits any more */
	sw_breaches_free(SW_TAKE(o->breaches));
	sw_db_close(o->db);
	pthread_mutex_destroy(&o->swarm_lock);
	sw_watches_fini(&o->watches);
	pthread_mutex_destroy(&o->divergence_lock);
	free(o->mount_point);
	free(o);
}
