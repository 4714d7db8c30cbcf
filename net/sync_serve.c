/* Answering pulls: which commits a peer lacks, and sending them in bounded batches. */
#include "net/sync_internal.h"

#include <stdlib.h>

/* A walk from the newest commits down; stamps fall along every edge, so the newest one in the heap is final. */
struct mark {
	struct sw_order order;
	bool known; /* the peer has it, and so all below */
};

struct heap {
	struct mark *v;
	size_t n, cap;
};

static int heap_add(struct heap *h, const struct sw_order *order, bool known)
{
	size_t i;

	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;
		struct mark *v = realloc(h->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	for (i = h->n++; i > 0 && sw_order_cmp(&h->v[(i - 1) / 2].order, order) < 0; i = (i - 1) / 2)
		h->v[i] = h->v[(i - 1) / 2];
	h->v[i] = (struct mark){*order, known};
	return 0;
}

static struct mark heap_take(struct heap *h)
{
	struct mark top = h->v[0], last = h->v[--h->n];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && sw_order_cmp(&h->v[child + 1].order, &h->v[child].order) > 0)
			child++;
		if (sw_order_cmp(&last.order, &h->v[child].order) >= 0)
			break;
		h->v[i] = h->v[child];
	}
	if (h->n > 0)
		h->v[i] = last;
	return top;
}

/* An id on the heap, if it is here. */
static int add_id(struct sw_txn *txn, struct heap *h, const struct sw_hash *id, bool known)
{
	struct sw_order order;
	uint64_t seq;
	int rc = sw_history_seq(txn, id, &seq);

	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc == 0)
		rc = sw_history_order(txn, seq, &order);
	return rc < 0 ? rc : heap_add(h, &order, known);
}

static int add_parents(const struct sw_reader *r, struct heap *h, const struct mark *m)
{
	struct sw_commit c;
	struct sw_view raw;
	struct sw_hash id;
	int rc;

	sw_order_id(&m->order, &id);
	rc = sw_db_get_commit(r, &id, &c, &raw, NULL);
	for (size_t i = 0; rc == 0 && i < c.n_parents; i++)
		rc = add_id(r->txn, h, &c.parents[i], m->known);
	return rc;
}

static int add_missing(struct serving *s, const struct sw_order *order, size_t *cap)
{
	if (s->n == *cap) {
		size_t want = *cap ? *cap * 2 : 64;
		struct sw_order *v = realloc(s->v, want * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		s->v = v;
		*cap = want;
	}
	s->v[s->n++] = *order;
	return 0;
}

static int walk(const struct sw_reader *r, struct heap *h, struct serving *s)
{
	size_t n_unknown = h->n, cap = 0;
	int rc = 0;

	/* Ends when only known ones are left: a known mark spreads to its parents before they are reached. */
	for (size_t i = 0; i < h->n; i++)
		n_unknown -= h->v[i].known;
	while (rc == 0 && h->n > 0 && n_unknown > 0) {
		struct mark m = heap_take(h);

		n_unknown -= !m.known;
		while (h->n > 0 && sw_order_cmp(&h->v[0].order, &m.order) == 0) {
			struct mark same = heap_take(h);

			n_unknown -= !same.known;
			m.known |= same.known;
		}
		if (!m.known)
			rc = add_missing(s, &m.order, &cap);
		if (rc == 0) {
			size_t before = h->n;

			rc = add_parents(r, h, &m);
			if (!m.known)
				n_unknown += h->n - before;
		}
	}
	return rc;
}

/* Parents first is ascending order: the walk gave the newest first. */
static void reverse(struct serving *s)
{
	for (size_t i = 0; i < s->n / 2; i++) {
		struct sw_order swap = s->v[i];

		s->v[i] = s->v[s->n - 1 - i];
		s->v[s->n - 1 - i] = swap;
	}
}

/* Everything here that is not below what the peer has. */
static int find_missing(struct sw_sync *sync, struct serving *s)
{
	struct heap h = {0};
	struct sw_hash *tips = NULL;
	struct sw_reader r;
	size_t n_tips = 0;
	int rc = sw_reader_begin(sync->db, &r);

	s->n = s->at = 0;
	free(s->v);
	s->v = NULL;
	if (rc < 0)
		return rc;
	rc = sw_db_tips(&r, &tips, &n_tips);
	for (size_t i = 0; rc == 0 && i < n_tips; i++)
		rc = add_id(r.txn, &h, &tips[i], false);
	for (size_t i = 0; rc == 0 && i < s->n_known; i++)
		rc = add_id(r.txn, &h, &s->known[i], true);
	if (rc == 0)
		rc = walk(&r, &h, s);
	if (rc == 0)
		reverse(s);
	free(h.v);
	free(tips);
	sw_reader_end(&r);
	return rc;
}

void sw_serve_note_known(struct peer *p, const struct sw_hash *id)
{
	struct serving *s = &p->serve;

	if (s->n_known < KNOWN_MAX) {
		s->known[s->n_known++] = *id;
		return;
	}
	/* The first ones hold the base of what it has; the newest replace each other. */
	if (s->next_known < KNOWN_MAX / 2 || s->next_known >= KNOWN_MAX)
		s->next_known = KNOWN_MAX / 2;
	s->known[s->next_known++] = *id;
}

/* Everything was sent: from now on what the peer has is what we had. */
static int note_all_sent(struct sw_sync *sync, struct peer *p)
{
	struct sw_hash *tips = NULL, last;
	struct sw_reader r;
	size_t n = 0;
	int rc;

	if (p->serve.n == 0)
		return 0;
	/* Commits may have come since the walk: only those up to the last one sent are known to be there. */
	sw_order_id(&p->serve.v[p->serve.n - 1], &last);
	rc = sw_reader_begin(sync->db, &r);
	if (rc < 0)
		return rc;
	rc = sw_db_tips(&r, &tips, &n);
	if (rc == 0 && n == 1 && sw_hash_eq(&tips[0], &last)) {
		p->serve.n_known = 0;
		sw_serve_note_known(p, &last);
	} else if (rc == 0) {
		/* Several tips: each commit sent without a child among those sent would do; all do too. */
		for (size_t i = p->serve.n > 64 ? p->serve.n - 64 : 0; i < p->serve.n; i++) {
			struct sw_hash id;

			sw_order_id(&p->serve.v[i], &id);
			sw_serve_note_known(p, &id);
		}
	}
	free(tips);
	sw_reader_end(&r);
	return rc;
}

/* One batch from serve.v, and whether there is more. */
static int make_batch(struct sw_sync *sync, struct serving *s, size_t *end, struct sw_buf *out)
{
	struct sw_reader r;
	SW_BUF body = {0};
	int rc = sw_reader_begin(sync->db, &r);

	if (rc < 0)
		return rc;
	for (*end = s->at; rc == 0 && *end < s->n && body.n < SW_MESSAGE_BATCH; ++*end) {
		struct sw_commit c;
		struct sw_view raw, changeset;
		struct sw_hash id;

		sw_order_id(&s->v[*end], &id);
		rc = sw_db_get_commit(&r, &id, &c, &raw, &changeset);
		if (rc == 0)
			sw_body_put_commit(&c, changeset, &body);
	}
	if (rc == 0)
		rc = body.rc;
	sw_reader_end(&r);
	return rc < 0 ? rc : sw_message_commits(*end < s->n, sw_buf_view(&body), out);
}

void sw_serve_continue(struct sw_sync *s, struct peer *p)
{
	struct serving *v = &p->serve;
	SW_BUF out = {0};
	size_t end;
	int rc = 0;

	if (!v->waiting || p->phase != PHASE_MEMBER)
		return;
	if (v->at >= v->n)
		rc = find_missing(s, v);
	if (rc == 0 && v->at >= v->n)
		return; /* nothing yet: the request stands */
	if (rc == 0)
		rc = make_batch(s, v, &end, &out);
	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return;
	}
	rc = sw_sync_send(s, p, &out);
	if (rc < 0)
		return; /* full: tried again when there is room */
	p->commits_out += end - v->at;
	v->at = end;
	v->waiting = false;
	if (v->at == v->n && note_all_sent(s, p) < 0)
		sw_sync_drop(s, p, "cannot read the history", true);
}

void sw_serve_pull(struct sw_sync *s, struct peer *p, const struct sw_hash *known, size_t n)
{
	p->serve.n = p->serve.at = 0;
	p->serve.n_known = 0;
	for (size_t i = 0; i < n; i++)
		sw_serve_note_known(p, &known[i]);
	p->serve.waiting = true;
	sw_serve_continue(s, p);
}

void sw_serve_more(struct sw_sync *s, struct peer *p)
{
	p->serve.waiting = true;
	sw_serve_continue(s, p);
}

void sw_serve_records(struct sw_sync *s, struct peer *p, const struct sw_hash *v, size_t n)
{
	struct sw_reader r;
	SW_BUF body = {0};
	SW_BUF out = {0};
	int rc = sw_reader_begin(s->db, &r);

	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return;
	}
	/* What is not here, or not of a large row, is left out: the asker notices. */
	for (size_t i = 0; i < n && body.n < 8 * SW_MESSAGE_BATCH; i++) {
		struct sw_view record;

		if (!sw_nodes_has(r.nodes, &v[i]) || sw_nodes_get(r.nodes, &v[i], &record) < 0)
			continue;
		if (record.p[0] == SW_NODE_DATA || record.p[0] == SW_NODE_INDEX)
			sw_buf_put_bytes(&body, record);
	}
	sw_reader_end(&r);
	rc = body.rc < 0 ? body.rc : sw_message_records(sw_buf_view(&body), &out);
	if (rc == 0)
		rc = sw_sync_send(s, p, &out);
	if (rc == SW_EAGAIN)
		sw_sync_drop(s, p, "it asks for more than it reads", true);
	else if (rc < 0 && rc != SW_ECLOSED)
		sw_sync_drop(s, p, sw_fail_message(rc), true);
}

void sw_serve_fini(struct peer *p)
{
	free(p->serve.v);
}
