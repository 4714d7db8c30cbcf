/*
 * Telling the kernel what to forget. One thread does it, with no lock held that a handler could want,
 * after the new state shows; handlers and listeners only put notices into its queue.
 */
#include "fs/mount_internal.h"

#include "fs/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define FORGET_WAIT_MS 1000
#define FORGET_STEP_MS 10
#define SHOWN_WAIT_S 2 /* the kernel may be slow, but a command must not hang for it */

struct sw_notice {
	struct sw_notice *next;
	fuse_req_t reply; /* if not NULL, it is nothing but this: a request that is answered in its turn, with error */
	int error;
	uint64_t id; /* the inode, or the parent of the name; 0: that of the row, if it has one when its turn comes */
	bool data;
	size_t table_n; /* the row's table stands before its name */
	size_t name_n;	/* 0: the inode itself */
	char name[];
};

/* When the mount ends nothing is told any more, but whoever waits is answered. */
static void drop(struct sw_notice *n)
{
	if (n->reply)
		fuse_reply_err(n->reply, n->error);
	free(n);
}

static void enqueue(struct sw_mount *m, struct sw_notice *n)
{
	bool is_taken;

	pthread_mutex_lock(&m->notice_lock);
	is_taken = !m->stopping;
	if (is_taken) {
		*m->notices_end = n;
		m->notices_end = &n->next;
		m->n_notices++;
		pthread_cond_signal(&m->notice_cond);
	}
	pthread_mutex_unlock(&m->notice_lock);
	if (!is_taken)
		drop(n);
}

static void push(struct sw_mount *m, uint64_t id, bool data, struct sw_view table, struct sw_view name)
{
	struct sw_notice *n = malloc(sizeof(*n) + table.n + name.n + 1);

	if (!n)
		return; /* the kernel may show an old version a little longer */
	*n = (struct sw_notice){.id = id, .data = data, .table_n = table.n, .name_n = name.n};
	if (table.n)
		memcpy(n->name, table.p, table.n);
	if (name.n)
		memcpy(n->name + table.n, name.p, name.n);
	n->name[table.n + name.n] = '\0';
	enqueue(m, n);
}

void sw_notify_reply(struct sw_mount *m, fuse_req_t req, int error)
{
	struct sw_notice *n = malloc(sizeof(*n));

	if (!n) {
		fuse_reply_err(req, error);
		return;
	}
	*n = (struct sw_notice){.reply = req, .error = error};
	enqueue(m, n);
}

void sw_mount_wait_shown(struct sw_mount *m)
{
	struct timespec until;
	uint64_t last;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SHOWN_WAIT_S;
	pthread_mutex_lock(&m->notice_lock);
	last = m->n_notices;
	while (m->n_delivered < last && !m->stopping)
		if (pthread_cond_timedwait(&m->delivered_cond, &m->notice_lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&m->notice_lock);
}

static void forget_name(void *arg, uint64_t parent, struct sw_view name)
{
	sw_notify_entry(arg, parent, name);
}

/*
 * From the leaves up: the kernel keeps in its cache, also after it is closed, what was open when a directory above it went, and no
 * name leads there any more.
 */
void sw_mount_let_go(struct sw_mount *m, uint64_t before_ms)
{
	struct timespec step = {0, FORGET_STEP_MS * 1000000};
	uint64_t before = before_ms << 16;
	int waited_ms = 0;

	if (sw_inodes_in_snaps(&m->inodes, before, forget_name, m) == 0)
		return;
	sw_mount_wait_shown(m);
	/* What it has forgotten it says in its own time. */
	for (; waited_ms < FORGET_WAIT_MS && sw_inodes_in_snaps(&m->inodes, before, NULL, NULL) > 0; waited_ms += FORGET_STEP_MS)
		nanosleep(&step, NULL);
}

void sw_notify_inode(struct sw_mount *m, uint64_t id, bool data)
{
	push(m, id, data, sw_view(NULL, 0), sw_view(NULL, 0));
}

void sw_notify_entry(struct sw_mount *m, uint64_t parent, struct sw_view name)
{
	push(m, parent, false, sw_view(NULL, 0), name);
}

void sw_notify_row(struct sw_mount *m, struct sw_view table, struct sw_view key)
{
	push(m, 0, true, table, key);
}

/* What it holds, and its name in the table: the kernel may have kept that it was not there. A table has no name. */
static void deliver_row(struct sw_mount *m, struct sw_view table, const char *key, size_t key_n)
{
	uint64_t id = sw_inode_id_of(&m->inodes, NULL, table, sw_view(key, key_n));
	uint64_t dir = key_n > 0 ? sw_inode_id_of(&m->inodes, NULL, table, sw_view(NULL, 0)) : 0;

	if (id)
		(void)fuse_lowlevel_notify_inval_inode(m->se, id, 0, 0);
	if (dir)
		(void)fuse_lowlevel_notify_inval_entry(m->se, dir, key, key_n);
}

/* -ENOENT means that the kernel had not cached it; other errors, that the mount is going away. */
static void deliver(struct sw_mount *m, const struct sw_notice *n)
{
	if (n->reply) {
		fuse_reply_err(n->reply, n->error);
		return;
	}
	if (n->id == 0) {
		deliver_row(m, sw_view(n->name, n->table_n), n->name + n->table_n, n->name_n);
		return;
	}
	if (n->name_n)
		(void)fuse_lowlevel_notify_inval_entry(m->se, n->id, n->name, n->name_n);
	else
		(void)fuse_lowlevel_notify_inval_inode(m->se, n->id, n->data ? 0 : -1, 0);
}

static void *notifier(void *arg)
{
	struct sw_mount *m = arg;

	pthread_mutex_lock(&m->notice_lock);
	while (!m->stopping || m->notices) {
		struct sw_notice *list = m->notices, *next;
		uint64_t n = 0;

		if (!list) {
			pthread_cond_wait(&m->notice_cond, &m->notice_lock);
			continue;
		}
		m->notices = NULL;
		m->notices_end = &m->notices;
		pthread_mutex_unlock(&m->notice_lock);
		for (; list; list = next) {
			next = list->next;
			deliver(m, list);
			free(list);
			n++;
		}
		pthread_mutex_lock(&m->notice_lock);
		m->n_delivered += n;
		pthread_cond_broadcast(&m->delivered_cond);
	}
	pthread_mutex_unlock(&m->notice_lock);
	return NULL;
}

int sw_notifier_start(struct sw_mount *m)
{
	int rc = sw_thread_start(&m->notifier, notifier, m);

	m->notifier_runs = rc == 0;
	return rc;
}

void sw_notifier_stop(struct sw_mount *m)
{
	pthread_mutex_lock(&m->notice_lock);
	m->stopping = true;
	pthread_cond_signal(&m->notice_cond);
	pthread_cond_broadcast(&m->delivered_cond);
	pthread_mutex_unlock(&m->notice_lock);
	if (m->notifier_runs)
		pthread_join(m->notifier, NULL);
	m->notifier_runs = false;
	while (m->notices) {
		struct sw_notice *n = m->notices;

		m->notices = n->next;
		drop(n);
	}
}

static void row_changed(struct sw_mount *m, const struct sw_change *c)
{
	enum sw_work_effect effect = sw_work_note_change(m->work, c);
	uint64_t dir = sw_inode_id_of(&m->inodes, NULL, c->table, sw_view(NULL, 0));
	uint64_t id = sw_inode_id_of(&m->inodes, NULL, c->table, c->key);

	if (effect == SW_EFFECT_NONE)
		return;
	if (effect == SW_EFFECT_RELOADED) {
		if (id)
			sw_notify_inode(m, id, true);
		return;
	}
	/* What the kernel has of it, pages and size, stays together: the name leads to another
	 * inode from now on. */
	sw_inode_orphan(&m->inodes, NULL, c->table, c->key);
	if (dir)
		sw_notify_entry(m, dir, c->key);
	if (dir && c->existed != c->exists) {
		sw_inode_touch(&m->inodes, NULL, c->table, sw_mount_now_ns(m));
		sw_notify_inode(m, dir, false);
	}
}

static void table_changed(struct sw_mount *m, const struct sw_change *c)
{
	uint64_t id = sw_inode_id_of(&m->inodes, NULL, c->table, sw_view(NULL, 0));

	if (c->kind == SW_CHANGE_TABLE_META) {
		/* It comes after those of rows in the same commit. */
		sw_inode_touch(&m->inodes, NULL, c->table, 0);
		if (id)
			sw_notify_inode(m, id, false);
		return;
	}
	if (c->kind == SW_CHANGE_TABLE_REMOVED)
		sw_inode_orphan(&m->inodes, NULL, c->table, sw_view(NULL, 0));
	sw_notify_entry(m, FUSE_ROOT_ID, c->table);
	sw_inode_touch_dir(&m->inodes, sw_inode_by_id(&m->inodes, FUSE_ROOT_ID), sw_mount_now_ns(m));
	sw_notify_inode(m, FUSE_ROOT_ID, false);
}

void sw_mount_changed(struct sw_mount *m, const struct sw_changes *changes, const struct sw_head *head,
		      bool by_others)
{
	sw_commits_changed(m);
	for (size_t i = 0; by_others && i < changes->n; i++) {
		const struct sw_change *c = &changes->v[i];

		if (c->kind == SW_CHANGE_ROW)
			row_changed(m, c);
		else if (c->kind != SW_CHANGE_CONFLICT) /* of those the kernel keeps nothing */
			table_changed(m, c);
	}
	sw_events_add(m, changes, head);
}
