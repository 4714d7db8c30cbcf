/*
 * Watermarks (core/watermark.h): ours is signed a while after something new came; those of others
 * are taken when what they tell of is here; and each peer is sent what was stored since it was sent
 * something last. So one reaches everybody, and each connection about once.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/watermarks.h"

#define WRONG_SIGNATURE "it sent a watermark with a wrong signature"
#define ARRIVED_MAX   4096 /* authors; what is left out comes again with the next connection */
#define PER_WRITER_MS 20   /* longer between two of ours, so that those of all together stay few */

void sw_watermarks_fini(struct sw_sync *s)
{
	struct watermarks *w = &s->watermarks;

	for (size_t i = 0; i < w->n; i++)
		sw_buf_fini(&w->v[i].bytes);
	free(w->v);
	*w = (struct watermarks){0};
}

/* Signing */

void sw_sync_sign(struct sw_sync *s)
{
	s->watermarks.sign_ms = 1;
}

/* Half of the time after the first change: others that follow it closely are in it. */
static void plan(struct sw_sync *s, uint64_t now_ms)
{
	struct watermarks *w = &s->watermarks;
	uint64_t every_ms = s->timers.watermark_ms + PER_WRITER_MS * sw_db_writers(s->db);
	struct sw_head head;

	sw_db_head(s->db, &head);
	if (w->sign_ms > 0 || sw_head_eq(&head, &w->signed_at))
		return;
	w->sign_ms = now_ms + s->timers.watermark_ms / 2;
	if (w->signed_ms > 0 && w->sign_ms < w->signed_ms + every_ms)
		w->sign_ms = w->signed_ms + every_ms;
}

static void sign(struct sw_sync *s, uint64_t now_ms)
{
	struct watermarks *w = &s->watermarks;
	struct sw_head head;
	int rc;

	/* What may yet be replaced is not told of. */
	if (w->sign_ms == 0 || now_ms < w->sign_ms || sw_db_withheld(s->db) > 0)
		return;
	sw_db_head(s->db, &head);
	rc = sw_db_sign_watermark(s->db);
	w->sign_ms = rc < 0 ? now_ms + SW_SYNC_RETRY_MS : 0;
	if (rc < 0) {
		sw_log(SW_LOG_DEBUG, "no watermark could be signed: %s", sw_fail_message(rc));
		return;
	}
	w->signed_at = head;
	w->signed_ms = now_ms;
}

/* Taking */

static struct arrived *find(struct watermarks *w, const struct sw_key *author)
{
	for (size_t i = 0; i < w->n; i++)
		if (sw_key_eq(&w->v[i].author, author))
			return &w->v[i];
	return NULL;
}

static size_t count_from(const struct watermarks *w, uint64_t peer)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->v[i].from == peer;
	return n;
}

static bool is_connected(const struct sw_sync *s, uint64_t peer)
{
	for (const struct peer *p = s->peers; p; p = p->next)
		if (p->id == peer)
			return true;
	return false;
}

/*
 * No peer fills all room with what it made up: those that are gone give way, then the one that sent most, unless it is
 * this one.
 */
static struct arrived *make_room(struct sw_sync *s, const struct peer *for_peer)
{
	struct watermarks *w = &s->watermarks;
	size_t most = count_from(w, for_peer->id);
	uint64_t who = for_peer->id;

	for (size_t i = 0; i < w->n; i++)
		if (!is_connected(s, w->v[i].from))
			return &w->v[i];
	for (const struct peer *p = s->peers; p; p = p->next) {
		size_t n = count_from(w, p->id);

		if (n > most) {
			most = n;
			who = p->id;
		}
	}
	for (size_t i = w->n; i-- > 0;)
		if (w->v[i].from == who && who != for_peer->id)
			return &w->v[i];
	return NULL;
}

static struct arrived *add(struct sw_sync *s, const struct peer *p, const struct sw_key *author)
{
	struct watermarks *w = &s->watermarks;

	if (w->n == ARRIVED_MAX) {
		struct arrived *a = make_room(s, p);

		if (a)
			a->author = *author;
		return a;
	}
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct arrived *v = realloc(w->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n] = (struct arrived){.author = *author};
	return &w->v[w->n++];
}

void sw_watermarks_receive(struct sw_sync *s, struct peer *p, const struct sw_message *m)
{
	struct watermarks *w = &s->watermarks;
	struct sw_rd r = sw_rd(m->body);
	struct sw_watermark mark;
	struct sw_view bytes;

	while (sw_body_next_watermark(&r, &bytes, &mark) > 0) {
		struct arrived *a = find(w, &mark.author);

		if ((a && mark.stamp <= a->stamp) || sw_db_has_watermark(s->db, &mark))
			continue;
		/* Before it takes a place, or that of another: one in another's name would keep out the true one. */
		if (sw_watermark_verify(bytes, &mark, sw_db_id(s->db)) < 0) {
			sw_sync_distrust(s, p, WRONG_SIGNATURE);
			return;
		}
		if (!a)
			a = add(s, p, &mark.author);
		if (!a)
			continue;
		sw_buf_reset(&a->bytes);
		sw_buf_put_view(&a->bytes, bytes);
		a->stamp = mark.stamp;
		a->from = p->id;
		w->is_news = true;
	}
}

/* What is neither stored nor of no use stays. */
static void sort_out(struct sw_sync *s, const struct sw_incoming_watermark *in)
{
	struct watermarks *w = &s->watermarks;
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (in[i].taken == SW_WATERMARK_WAITS) {
			w->v[n++] = w->v[i];
			continue;
		}
		sw_buf_fini(&w->v[i].bytes);
		for (struct peer *p = s->peers; p && in[i].taken == SW_WATERMARK_REFUSED;
		     p = p->next)
			if (p->id == in[i].from && !p->dropped)
				sw_sync_distrust(s, p, WRONG_SIGNATURE);
	}
	w->n = n;
}

static void take(struct sw_sync *s)
{
	struct watermarks *w = &s->watermarks;
	struct sw_incoming_watermark *in;
	struct sw_head head;
	size_t n_new;
	int rc;

	sw_db_head(s->db, &head);
	if (w->n == 0 || (!w->is_news && sw_head_eq(&head, &w->offered_at)))
		return;
	in = calloc(w->n, sizeof(*in));
	if (!in)
		return; /* the next tick tries again */
	for (size_t i = 0; i < w->n; i++)
		in[i] = (struct sw_incoming_watermark){.bytes = sw_buf_view(&w->v[i].bytes),
						       .from = w->v[i].from};
	rc = sw_db_take_watermarks(s->db, in, w->n, &n_new);
	if (rc == 0) {
		w->is_news = false;
		w->offered_at = head;
		sort_out(s, in);
	} else {
		sw_log(SW_LOG_DEBUG, "watermarks cannot be taken for now: %s", sw_fail_message(rc));
	}
	free(in);
}

/* Passing on */

static void pass_on(struct sw_sync *s, struct peer *p)
{
	uint64_t after = p->watermarks_after;
	SW_BUF body = {0};
	SW_BUF out = {0};
	int rc = sw_db_watermarks_after(s->db, p->id, SW_MESSAGE_WATERMARKS, &after, &body);

	if (rc < 0) {
		sw_log(SW_LOG_DEBUG, "watermarks cannot be read for now: %s", sw_fail_message(rc));
		return;
	}
	if (rc > 0) {
		sw_message_watermarks(sw_buf_view(&body), &out);
		rc = sw_sync_send(s, p, &out);
	}
	if (rc >= 0)
		p->watermarks_after = after; /* else there was no room: the next tick tries again */
}

void sw_watermarks_tick(struct sw_sync *s, uint64_t now_ms)
{
	plan(s, now_ms);
	sign(s, now_ms);
	take(s);
	for (struct peer *p = s->peers; p; p = p->next)
		if (!p->dropped && p->phase == PHASE_MEMBER)
			pass_on(s, p);
}
