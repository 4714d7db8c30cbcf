/* The files of .swarm, and the texts in a snapshot. Made when they are opened; events are a stream. */
#include "fs/mount_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/json_out.h"
#include "fs/settled_text.h"

const char *const sw_swarm_files[] = {"status", "head", "peers", "commit", "events", "settled", NULL};

#define EVENTS_BYTES_MAX (1 << 20) /* of a reader that does not read; then it is told that it missed some */

/* One open .swarm/events: lines not yet read, or a read that waits for one. */
struct sw_event_reader {
	struct sw_event_reader *next;
	struct sw_buf lines;
	size_t read;	    /* bytes of lines already given */
	bool missed;
	bool nonblock;
	fuse_req_t waiting; /* NULL: none */
	size_t waiting_size;
};

static int text_head(struct sw_mount *m, struct sw_buf *out)
{
	char line[SW_HASH_HEX_SIZE], state[SW_HASH_HEX_SIZE];
	struct sw_head head;

	sw_db_head(m->db, &head);
	sw_hex(head.line.b, SW_HASH_SIZE, line);
	sw_hex(head.state.b, SW_HASH_SIZE, state);
	sw_buf_printf(out, "%llu %s %s\n", (unsigned long long)head.count, line, state);
	return out->rc;
}

static int text_commit(struct sw_mount *m, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_order order;
	struct sw_reader r;
	struct sw_hash id;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_resolve(&r, sw_view_str("HEAD"), &order);
	if (rc == 0) {
		sw_order_id(&order, &id);
		sw_hex(id.b, SW_HASH_SIZE, hex);
		sw_buf_printf(out, "%s\n", hex);
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : out->rc;
}

static int text_of_snap(struct sw_mount *m, const struct sw_inode *i, struct sw_view name, struct sw_buf *out)
{
	const struct sw_mount_texts *t = &m->options.texts;
	struct sw_reader r;
	int rc;

	if (sw_view_eq(name, sw_view_str(".diff")))
		return t->diff ? t->diff(t->arg, m->db, &i->snap->order, out) : 0;
	if (!t->commit)
		return 0;
	rc = sw_reader_begin(m->db, &r);
	if (rc < 0)
		return rc;
	rc = t->commit(t->arg, &r, &i->snap->order, out);
	sw_reader_end(&r);
	return rc;
}

static int open_events(struct sw_mount *m, struct sw_open *o, int flags)
{
	struct sw_event_reader *e = calloc(1, sizeof(*e));

	if (!e)
		return SW_ENOMEM;
	e->nonblock = flags & O_NONBLOCK;
	pthread_mutex_lock(&m->event_lock);
	e->next = m->event_readers;
	m->event_readers = e;
	pthread_mutex_unlock(&m->event_lock);
	o->events = e;
	return 0;
}

int sw_control_open(struct sw_mount *m, struct sw_open *o, int flags)
{
	const struct sw_mount_texts *t = &m->options.texts;
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct sw_inode_name name;

	sw_inode_name(&m->inodes, o->inode, &name);
	if (o->inode->type == SW_NODE_SNAP_FILE)
		return text_of_snap(m, o->inode, name.key, &o->text);
	if (writes && !sw_view_eq(name.key, sw_view_str("commit")))
		return SW_EPERM;
	if (writes)
		return 0;
	if (sw_view_eq(name.key, sw_view_str("head")))
		return text_head(m, &o->text);
	if (sw_view_eq(name.key, sw_view_str("commit")))
		return text_commit(m, &o->text);
	if (sw_view_eq(name.key, sw_view_str("settled")))
		return sw_settled_file(m->db, &o->text);
	if (sw_view_eq(name.key, sw_view_str("events")))
		return open_events(m, o, flags);
	if (sw_view_eq(name.key, sw_view_str("peers")))
		return t->peers ? t->peers(t->arg, &o->text) : 0;
	return t->status ? t->status(t->arg, &o->text) : 0;
}

/* Events: a read that finds nothing waits without holding a thread. event_lock is held. */

static void answer_events(struct sw_event_reader *e, fuse_req_t req, size_t size)
{
	size_t n = e->lines.n - e->read;

	n = n < size ? n : size;
	fuse_reply_buf(req, (const char *)e->lines.p + e->read, n);
	e->read += n;
	if (e->read == e->lines.n) {
		sw_buf_reset(&e->lines);
		e->read = 0;
	}
}

/* Whoever it waits for may be gone: it is looked for, by the request alone. */
static void event_interrupted(fuse_req_t req, void *arg)
{
	struct sw_mount *m = arg;
	struct sw_event_reader *e;

	pthread_mutex_lock(&m->event_lock);
	for (e = m->event_readers; e && e->waiting != req; e = e->next)
		;
	if (e)
		e->waiting = NULL;
	pthread_mutex_unlock(&m->event_lock);
	if (e)
		fuse_reply_err(req, EINTR);
}

static void read_events(struct sw_mount *m, fuse_req_t req, struct sw_event_reader *e, size_t size)
{
	int error = 0;

	/* Before the lock: it may call back at once, and the call back takes the lock. */
	fuse_req_interrupt_func(req, event_interrupted, m);
	pthread_mutex_lock(&m->event_lock);
	if (e->lines.n > e->read)
		answer_events(e, req, size);
	else if (e->nonblock)
		error = EAGAIN;
	else if (fuse_req_interrupted(req))
		error = EINTR;
	else if (e->waiting)
		error = EBUSY; /* one reader at a time on a descriptor */
	else {
		e->waiting = req;
		e->waiting_size = size;
	}
	pthread_mutex_unlock(&m->event_lock);
	if (error)
		fuse_reply_err(req, error);
}

void sw_control_read(struct sw_mount *m, fuse_req_t req, struct sw_open *o, size_t size, off_t offset)
{
	size_t at = (size_t)offset, n;
	SW_BUF copy = {0};

	if (o->events) {
		read_events(m, req, o->events, size);
		return;
	}
	n = at < o->text.n ? o->text.n - at : 0;
	n = n < size ? n : size;
	/* A copy: once the kernel has the answer the file may be closed, and its text freed, by another thread. */
	if (n > 0) {
		sw_buf_put(&copy, o->text.p + at, n);
		n = copy.n;
	}
	fuse_reply_buf(req, (const char *)copy.p, n);
}

/* .swarm/commit: what is written is the message; closing commits. */
int sw_control_write(struct sw_mount *m, struct sw_open *o, struct sw_view bytes)
{
	(void)m;
	if (o->text.n + bytes.n > SW_MESSAGE_MAX)
		return SW_ELIMIT;
	sw_buf_put_view(&o->text, bytes);
	o->is_message = true;
	return o->text.rc;
}

int sw_control_flush(struct sw_mount *m, struct sw_open *o)
{
	struct sw_view message = sw_buf_view(&o->text);
	struct sw_hash id;

	if (!o->is_message)
		return 0;
	o->is_message = false;
	while (message.n > 0 && message.p[message.n - 1] == '\n')
		message.n--;
	return sw_work_commit(m->work, message, &id);
}

static void free_reader(struct sw_event_reader *e)
{
	sw_buf_fini(&e->lines);
	free(e);
}

void sw_control_release(struct sw_mount *m, struct sw_open *o)
{
	struct sw_event_reader **p, *e = o->events;

	if (!e)
		return;
	pthread_mutex_lock(&m->event_lock);
	for (p = &m->event_readers; *p && *p != e; p = &(*p)->next)
		;
	if (*p)
		*p = e->next;
	pthread_mutex_unlock(&m->event_lock);
	free_reader(e);
}

/* One line of JSON per event. */

static const char *what_happened(const struct sw_change *c)
{
	if (c->existed == c->exists)
		return "changed";
	if (c->exists)
		return "added";
	return c->is_resolved ? "resolved" : "removed";
}

static void put_name(struct sw_buf *out, const char *label, struct sw_view name)
{
	sw_buf_printf(out, ",\"%s\":", label);
	if (sw_json_put_name(out, name) < 0)
		out->rc = SW_ENOMEM;
}

static void put_change(struct sw_buf *out, const struct sw_change *c)
{
	const char *what = c->kind == SW_CHANGE_ROW ? "row" : c->kind == SW_CHANGE_CONFLICT ? "conflict" : "table";
	char commit[SW_HASH_HEX_SIZE];

	sw_buf_printf(out, "{\"event\":\"%s\",\"change\":\"%s\"", what, what_happened(c));
	put_name(out, "table", c->table);
	if (c->key.n > 0)
		put_name(out, "row", c->key);
	if (c->kind == SW_CHANGE_CONFLICT) {
		sw_hex(c->commit.b, SW_HASH_SIZE, commit);
		sw_buf_printf(out, ",\"commit\":\"%s\"", commit);
	}
	sw_buf_printf(out, "}\n");
}

static void push_lines(struct sw_event_reader *e, struct sw_view lines)
{
	if (e->lines.n - e->read + lines.n > EVENTS_BYTES_MAX) {
		e->missed = true;
		return;
	}
	if (e->missed)
		sw_buf_printf(&e->lines, "{\"event\":\"missed\"}\n");
	e->missed = false;
	sw_buf_put_view(&e->lines, lines);
	if (e->waiting) {
		fuse_req_t req = e->waiting;

		e->waiting = NULL;
		answer_events(e, req, e->waiting_size);
	}
}

void sw_events_add(struct sw_mount *m, const struct sw_changes *changes, const struct sw_head *head,
		   bool by_others)
{
	char line[SW_HASH_HEX_SIZE];
	SW_BUF text = {0};

	pthread_mutex_lock(&m->event_lock);
	if (m->event_readers) {
		sw_hex(head->line.b, SW_HASH_SIZE, line);
		for (size_t i = 0; i < changes->n && text.n < EVENTS_BYTES_MAX / 2; i++)
			put_change(&text, &changes->v[i]);
		sw_buf_printf(&text, "{\"event\":\"head\",\"count\":%llu,\"line\":\"%s\",\"from\":\"%s\"}\n",
			      (unsigned long long)head->count, line, by_others ? "elsewhere" : "here");
		for (struct sw_event_reader *e = m->event_readers; e && text.rc == 0; e = e->next)
			push_lines(e, sw_buf_view(&text));
	}
	pthread_mutex_unlock(&m->event_lock);
}

static void push_all(struct sw_mount *m, const struct sw_buf *text)
{
	pthread_mutex_lock(&m->event_lock);
	for (struct sw_event_reader *e = m->event_readers; e && text->rc == 0; e = e->next)
		push_lines(e, sw_buf_view(text));
	pthread_mutex_unlock(&m->event_lock);
}

/* {"event":"diverged", "who": ..., "what": "line" or "state"}, and "table" and "row", or "commit", once it is known where. */
void sw_mount_diverged(struct sw_mount *m, const struct sw_divergence *d)
{
	char hex[SW_HASH_HEX_SIZE];
	SW_BUF text = {0};

	sw_hex(d->who.b, SW_KEY_SIZE, hex);
	sw_buf_printf(&text, "{\"event\":\"diverged\",\"who\":\"%s\",\"what\":\"%s\"", hex, d->is_line ? "line" : "state");
	if (d->is_found && d->table.n > 0)
		put_name(&text, d->is_system ? "system" : "table", d->table);
	if (d->is_found && d->table.n > 0 && !d->is_system && d->key.n > 0)
		put_name(&text, "row", d->key);
	if (d->is_found && d->table.n == 0 && d->key.n == SW_ORDER_SIZE) {
		sw_hex(d->key.p + SW_ORDER_SIZE - SW_HASH_SIZE, SW_HASH_SIZE, hex);
		sw_buf_printf(&text, ",\"commit\":\"%s\"", hex);
	}
	sw_buf_printf(&text, "}\n");
	push_all(m, &text);
}

/* {"event":"schema","change":"broken" or "mended","table":...,"row":...}, and the reason of what is broken. */
void sw_mount_breach(struct sw_mount *m, const struct sw_breach *breach, bool is_broken)
{
	SW_BUF text = {0};

	sw_buf_printf(&text, "{\"event\":\"schema\",\"change\":\"%s\"", is_broken ? "broken" : "mended");
	put_name(&text, "table", breach->table);
	put_name(&text, "row", breach->key);
	if (is_broken) {
		sw_buf_printf(&text, ",\"reason\":");
		if (sw_json_put_text(&text, sw_view_str(breach->reason)) < 0)
			text.rc = SW_ENOMEM;
	}
	sw_buf_printf(&text, "}\n");
	push_all(m, &text);
}

/* The mount ends: reads that wait get the end of the stream. */
void sw_events_close(struct sw_mount *m)
{
	pthread_mutex_lock(&m->event_lock);
	for (struct sw_event_reader *e = m->event_readers; e; e = e->next) {
		if (e->waiting)
			fuse_reply_buf(e->waiting, NULL, 0);
		e->waiting = NULL;
	}
	pthread_mutex_unlock(&m->event_lock);
}
