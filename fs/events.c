/*
 * .swarm/events: a stream of lines, of which each reader has what came since it opened the file.
 *
 * Its bytes have places, counted from there. Who reads on waits, without holding a thread, until there is something. A shell that has
 * read more than a line goes back to where the line ended, so the last bytes that were read can be read again.
 * Who goes to a place that is none, as tail(1) does to find the last lines, wants to look now and then for what is new: such a reader
 * never waits. For those the file has a size, which grows with each event and says nothing else.
 */
#include "fs/mount_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/json_out.h"

#define PENDING_MAX (1 << 20) /* bytes of a reader that does not read; then it is told that it missed some */
#define KEPT	    (64 << 10) /* bytes that were read, to be read again */
#define SIZE_MIN    (1 << 20) /* of the file: its end is a place that no reader has come to */

struct sw_event_reader {
	struct sw_event_reader *next;
	struct sw_buf lines;
	uint64_t begin; /* the place of the first byte of lines */
	uint64_t given; /* what is before was read */
	bool missed;
	bool nonblock;
	bool seeks;	    /* it was at a place that is none: it never waits */
	fuse_req_t waiting; /* NULL: none */
	size_t waiting_size;
};

uint64_t sw_events_size(struct sw_mount *m)
{
	return SIZE_MIN + atomic_load(&m->n_event_bytes);
}

int sw_events_open(struct sw_mount *m, struct sw_open *o, int flags)
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

static void free_reader(struct sw_event_reader *e)
{
	sw_buf_fini(&e->lines);
	free(e);
}

void sw_events_release(struct sw_mount *m, struct sw_event_reader *e)
{
	struct sw_event_reader **p;

	pthread_mutex_lock(&m->event_lock);
	for (p = &m->event_readers; *p && *p != e; p = &(*p)->next)
		;
	if (*p)
		*p = e->next;
	pthread_mutex_unlock(&m->event_lock);
	free_reader(e);
}

/* event_lock is held for these. */

static uint64_t end_of(const struct sw_event_reader *e)
{
	return e->begin + e->lines.n;
}

static void drop_read(struct sw_event_reader *e)
{
	size_t n = (size_t)(e->given - e->begin);

	if (n <= 2 * KEPT)
		return;
	n -= KEPT;
	e->lines.n -= n;
	memmove(e->lines.p, e->lines.p + n, e->lines.n);
	e->begin += n;
}

static void answer(struct sw_event_reader *e, fuse_req_t req, uint64_t from, size_t size)
{
	size_t n = (size_t)(end_of(e) - from);

	n = n < size ? n : size;
	fuse_reply_buf(req, (const char *)e->lines.p + (from - e->begin), n);
	if (from + n > e->given)
		e->given = from + n;
	drop_read(e);
}

/* Whoever it waits for may be gone: it is looked for, by the request alone. */
static void interrupted(fuse_req_t req, void *arg)
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

/* 0, or an errno. */
static int read_lines(struct sw_event_reader *e, fuse_req_t req, size_t size, uint64_t place)
{
	e->seeks |= place < e->begin || place > end_of(e);
	if (e->seeks)
		place = e->given;
	if (place < end_of(e) || e->seeks)
		answer(e, req, place, size);
	else if (e->nonblock)
		return EAGAIN;
	else if (fuse_req_interrupted(req))
		return EINTR;
	else if (e->waiting)
		return EBUSY; /* one reader at a time on a descriptor */
	else {
		e->waiting = req;
		e->waiting_size = size;
	}
	return 0;
}

void sw_events_read(struct sw_mount *m, fuse_req_t req, struct sw_event_reader *e, size_t size, uint64_t place)
{
	int error;

	/* Before the lock: it may call back at once, and the call back takes the lock. */
	fuse_req_interrupt_func(req, interrupted, m);
	pthread_mutex_lock(&m->event_lock);
	error = read_lines(e, req, size, place);
	pthread_mutex_unlock(&m->event_lock);
	if (error)
		fuse_reply_err(req, error);
}

static void put_missed(struct sw_buf *out)
{
	sw_buf_printf(out, "{\"event\":\"missed\"}\n");
}

static void push_lines(struct sw_event_reader *e, struct sw_view lines)
{
	if (end_of(e) - e->given + lines.n > PENDING_MAX) {
		e->missed = true;
		return;
	}
	if (e->missed)
		put_missed(&e->lines);
	e->missed = false;
	sw_buf_put_view(&e->lines, lines);
	if (e->waiting)
		answer(e, SW_TAKE(e->waiting), e->given, e->waiting_size);
}

static void push_held(struct sw_mount *m, const struct sw_buf *text)
{
	if (text->rc < 0)
		return;
	atomic_fetch_add(&m->n_event_bytes, text->n);
	for (struct sw_event_reader *e = m->event_readers; e; e = e->next)
		push_lines(e, sw_buf_view(text));
}

static void push_all(struct sw_mount *m, const struct sw_buf *text)
{
	pthread_mutex_lock(&m->event_lock);
	push_held(m, text);
	pthread_mutex_unlock(&m->event_lock);
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

void sw_events_add(struct sw_mount *m, const struct sw_changes *changes, const struct sw_head *head)
{
	char line[SW_HASH_HEX_SIZE];
	SW_BUF text = {0};
	size_t n = 0;

	pthread_mutex_lock(&m->event_lock);
	if (m->event_readers) {
		sw_hex(head->line.b, SW_HASH_SIZE, line);
		while (n < changes->n && text.n < PENDING_MAX / 2)
			put_change(&text, &changes->v[n++]);
		if (n < changes->n)
			put_missed(&text);
		sw_buf_printf(&text, "{\"event\":\"head\",\"count\":%llu,\"line\":\"%s\",\"from\":\"%s\"}\n",
			      (unsigned long long)head->count, line, changes->from_peer ? "elsewhere" : "here");
		push_held(m, &text);
	}
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
