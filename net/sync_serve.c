/*
 * Answering pulls: which commits a peer lacks, and sending them in bounded batches.
 *
 * Commits are told apart by their local numbers (core/history.h): parents have smaller ones, new arrivals
 * greater ones. A PULL is answered with what a walk finds missing; from then on the peer has
 * everything up to `upto`, which only grows. So nothing is sent twice, and no two peers can send each
 * other the same commits in a circle, whatever they forget of what the other told.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#include "core/batch.h"
#include "core/history.h"
#include "core/members.h"

#define RELAY_BYTES_MAX	  4096 /* others' commits up to here are passed on unasked */
#define STEPS_PER_MS	  200	     /* of a peer's effort are paid off */
#define STEPS_MAX	  20000	     /* above, its next PULL waits */
#define BYTES_PER_STEP	  32
#define RELAY_PEERS_MAX	  2    /* with no more peers than that there is hardly another way to get them */

/* A heap of local numbers, each with a bit that says whether the peer has it; the greatest on top. */
struct heap {
	uint64_t *v; /* number << 1 | has */
	size_t n, cap;
	size_t n_lacking;
};

static int heap_add(struct heap *h, uint64_t seq, bool has)
{
	uint64_t x = seq << 1 | has;
	size_t i;

	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;
		uint64_t *v = realloc(h->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->n_lacking += !has;
	for (i = h->n++; i > 0 && h->v[(i - 1) / 2] < x; i = (i - 1) / 2)
		h->v[i] = h->v[(i - 1) / 2];
	h->v[i] = x;
	return 0;
}

static uint64_t heap_take(struct heap *h)
{
	uint64_t top = h->v[0], last = h->v[--h->n];
	size_t i = 0, child;

	h->n_lacking -= !(top & 1);
	for (; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && h->v[child + 1] > h->v[child])
			child++;
		if (last >= h->v[child])
			break;
		h->v[i] = h->v[child];
	}
	if (h->n > 0)
		h->v[i] = last;
	return top;
}

/* Put an id on the heap, if it is here. */
static int add_id(struct sw_txn *txn, struct heap *h, const struct sw_hash *id, bool has)
{
	uint64_t seq;
	int rc = sw_history_seq(txn, id, &seq);

	if (rc == SW_ENOTFOUND)
		return 0;
	return rc < 0 ? rc : heap_add(h, seq, has);
}

static int add_parents(struct sw_txn *txn, struct heap *h, uint64_t seq, bool has)
{
	struct sw_commit c;
	struct sw_view raw;
	int rc = sw_history_get(txn, seq, &raw);

	if (rc == 0 && sw_commit_decode(raw, &c) < 0)
		rc = sw_fail(SW_ECORRUPT, "a commit in the store is damaged");
	for (size_t i = 0; rc == 0 && i < c.n_parents; i++)
		rc = add_id(txn, h, &c.parents[i], has);
	return rc;
}

static int add_missing(struct serving *s, uint64_t seq, size_t *cap)
{
	if (s->n == *cap) {
		size_t want = *cap ? *cap * 2 : 64;
		uint64_t *v = realloc(s->v, want * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		s->v = v;
		*cap = want;
	}
	s->v[s->n++] = seq;
	return 0;
}

/*
 * Down from the newest arrivals. What the peer has spreads to all parents before they are reached, since they have
 * smaller numbers; of equal ones, the one that says `has` comes first. Ends when the peer has all that is left.
 */
static int walk(struct sw_txn *txn, struct heap *h, struct serving *s, uint64_t *steps)
{
	uint64_t done = 0;
	size_t cap = 0;
	int rc = 0;

	while (rc == 0 && h->n_lacking > 0) {
		uint64_t x = heap_take(h);

		++*steps;
		if (x >> 1 == done)
			continue;
		done = x >> 1;
		if (!(x & 1))
			rc = add_missing(s, done, &cap);
		if (rc == 0)
			rc = add_parents(txn, h, done, x & 1);
	}
	return rc;
}

static int last_seq(const struct sw_reader *r, uint64_t *out)
{
	int rc = sw_history_next_seq(r->txn, out);

	*out -= rc == 0;
	return rc;
}

/* What is among, or below, the first ids, and not among, or below, what the peer names. */
static int find_between(const struct sw_reader *r, struct serving *s, const struct sw_hash *tips, size_t n_tips,
			const struct sw_hash *known, size_t n_known, uint64_t *steps)
{
	struct heap h = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n_tips; i++)
		rc = add_id(r->txn, &h, &tips[i], false);
	for (size_t i = 0; rc == 0 && i < n_known; i++)
		rc = add_id(r->txn, &h, &known[i], true);
	if (rc == 0)
		rc = walk(r->txn, &h, s, steps);
	/* Parents first: the walk gave the newest first. */
	for (size_t i = 0; i < s->n / 2; i++) {
		uint64_t swap = s->v[i];

		s->v[i] = s->v[s->n - 1 - i];
		s->v[s->n - 1 - i] = swap;
	}
	free(h.v);
	return rc;
}

/* Everything here that is not among, or below, what the peer names. */
static int find_missing(const struct sw_reader *r, struct serving *s, const struct sw_hash *known, size_t n_known,
			uint64_t *steps)
{
	struct sw_hash *tips = NULL;
	size_t n_tips = 0;
	int rc = 0;

	if (n_known == 0)
		return 0; /* everything, in the order of numbers: upto stays 0 */
	rc = last_seq(r, &s->upto);
	if (rc == 0)
		rc = sw_db_tips(r, &tips, &n_tips);
	if (rc == 0)
		rc = find_between(r, s, tips, n_tips, known, n_known, steps);
	free(tips);
	return rc;
}

/*
 * Nothing that was signed after its revocations is for who was removed. There may be nobody else to compare clocks with:
 * our own says that they may be sent.
 */
static int find_farewell(struct sw_sync *sync, const struct sw_reader *r, struct peer *p, struct serving *s,
			 const struct sw_hash *known, size_t n_known)
{
	struct sw_hash *revocations = NULL;
	size_t n = 0;
	int rc = sw_db_revocations(sync->db, r, &p->key, &revocations, &n);

	s->upto = UINT64_MAX;
	if (rc == 0)
		rc = sw_db_release(sync->db, sw_env_wall_ms(sw_db_env(sync->db)) + SW_SKEW_MS);
	if (rc == 0)
		rc = find_between(r, s, revocations, n, known, n_known, &p->effort.steps);
	free(revocations);
	return rc;
}

/* What the peer has beyond upto */

static void span_add(struct serving *s, uint64_t first, uint64_t last)
{
	size_t i = 0;

	if (last <= s->upto)
		return;
	if (first <= s->upto)
		first = s->upto + 1;
	while (i < s->n_spans && s->spans[i].last + 1 < first)
		i++;
	if (i < s->n_spans && s->spans[i].first <= last + 1) {
		if (first < s->spans[i].first)
			s->spans[i].first = first;
		if (last > s->spans[i].last)
			s->spans[i].last = last;
		return;
	}
	/* Forgetting one costs sending it again, no more. */
	if (s->n_spans == SPANS_MAX) {
		if (i == 0)
			return;
		memmove(s->spans, s->spans + 1, --s->n_spans * sizeof(*s->spans));
		i--;
	}
	memmove(s->spans + i + 1, s->spans + i, (s->n_spans++ - i) * sizeof(*s->spans));
	s->spans[i] = (struct span){first, last};
}

void sw_serve_note_taken(struct sw_sync *s, struct peer *p, const struct sw_incoming *v, size_t n)
{
	uint64_t first = 0, last = 0, seq;
	struct sw_reader r;

	if (sw_reader_begin(s->db, &r) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (v[i].taken > SW_TAKEN_ALREADY || sw_history_seq(r.txn, &v[i].id, &seq) < 0)
			continue;
		if (first > 0 && seq == last + 1) {
			last = seq;
			continue;
		}
		if (first > 0)
			span_add(&p->serve, first, last);
		first = last = seq;
	}
	if (first > 0)
		span_add(&p->serve, first, last);
	sw_reader_end(&r);
}

void sw_serve_note_tips(struct sw_sync *s, struct peer *p, const struct sw_head *ours, bool *lacks)
{
	struct serving *v = &p->serve;
	struct sw_reader r;
	uint64_t seq;

	*lacks = true;
	if (sw_reader_begin(s->db, &r) < 0)
		return;
	*lacks = false;
	for (size_t i = 0; i < p->n_tips; i++) {
		if (sw_history_seq(r.txn, &p->tips[i], &seq) == 0)
			span_add(v, seq, seq);
		else
			*lacks = true;
	}
	/* There may be more tips than it could tell of. */
	*lacks |= p->n_tips == SW_MESSAGE_TIPS_MAX && p->head.count > r.head.count;
	/* Equal lines: it has everything that was here when it was compared. */
	if (sw_hash_eq(&p->head.line, &ours->line) && sw_head_eq(ours, &r.head) && last_seq(&r, &seq) == 0) {
		*lacks = false;
		v->n = v->at = v->n_spans = v->n_unacked = 0;
		v->upto = seq;
	}
	sw_reader_end(&r);
}

/* The next number that the peer lacks, or 0; moves the place on. */
static uint64_t next_lacking(const struct serving *s, size_t *at, uint64_t *upto, uint64_t last)
{
	if (*at < s->n)
		return s->v[(*at)++];
	while (*upto < last) {
		size_t i = 0;

		++*upto;
		while (i < s->n_spans && s->spans[i].last < *upto)
			i++;
		if (i == s->n_spans || s->spans[i].first > *upto)
			return *upto;
		*upto = s->spans[i].last < last ? s->spans[i].last : last;
	}
	return 0;
}

static void move_to(struct serving *s, size_t at, uint64_t upto)
{
	size_t n = 0;

	s->at = at;
	s->upto = upto;
	for (size_t i = 0; i < s->n_spans; i++)
		if (s->spans[i].last > upto)
			s->spans[n++] = s->spans[i];
	s->n_spans = n;
}

struct batch {
	struct sw_buf body;
	size_t n;
	bool has_ours; /* a commit that was made here */
	bool more;
	bool is_blocked; /* the content of what comes next was freed by gc */
	size_t at; /* the place after it */
	uint64_t upto;
};

/*
 * The next commit to send, and its number: 1, or 0. What may not be sent yet is passed over, and so is what is not in
 * the line: nobody is told of it.
 */
static int next_commit(struct sw_sync *sync, const struct sw_reader *r, const struct serving *s, struct batch *b,
		       uint64_t last, uint64_t *seq, struct sw_view *raw, struct sw_commit *c)
{
	uint64_t withheld = sw_db_withheld(sync->db);

	for (;;) {
		enum sw_outcome outcome;
		int rc;

		*seq = next_lacking(s, &b->at, &b->upto, last);
		if (*seq == 0)
			return 0;
		rc = sw_history_outcome(r->txn, *seq, &outcome);
		if (rc == 0 && outcome == SW_OUT)
			continue;
		if (rc == 0)
			rc = sw_history_get(r->txn, *seq, raw);
		if (rc == 0)
			rc = sw_commit_decode(*raw, c);
		if (rc < 0)
			return rc;
		if (withheld == 0 || *seq < withheld || !sw_key_eq(&c->author, sw_db_key(sync->db)))
			return 1;
	}
}

/* Up to `limit` of the commits that the peer lacks, as many as fit. */
static int fill_batch(struct sw_sync *sync, const struct sw_reader *r, const struct serving *s, size_t limit,
		      struct batch *b, struct sw_batch *headers)
{
	uint64_t last, seq;
	int rc = last_seq(r, &last);

	*b = (struct batch){.at = s->at, .upto = s->upto};
	while (rc == 0) {
		struct batch before = *b;
		struct sw_view raw, changeset;
		struct sw_commit c;

		rc = next_commit(sync, r, s, b, last, &seq, &raw, &c);
		if (rc <= 0)
			return rc;
		rc = sw_history_is_freed(r->txn, seq, &b->is_blocked);
		if (rc < 0)
			return rc;
		b->more = b->body.n >= SW_MESSAGE_BATCH || b->n == limit || b->is_blocked;
		if (b->more) {
			b->at = before.at; /* the next batch begins with it */
			b->upto = before.upto;
			return 0;
		}
		rc = sw_history_changeset(r->txn, seq, &changeset);
		if (rc < 0)
			break;
		sw_body_put_commit(&c, changeset, &b->body);
		b->n++;
		b->has_ours |= sw_key_eq(&c.author, sw_db_key(sync->db));
		rc = b->body.rc < 0 ? b->body.rc : sw_batch_add(headers, raw);
	}
	return rc;
}

/*
 * A batch must prove itself. A commit that was taken because a later one vouched for it may carry any signature, so a
 * batch must not end between the two: cut before the first that it does not prove.
 */
static int make_batch(struct sw_sync *sync, const struct sw_reader *r, const struct serving *s, struct batch *b)
{
	struct sw_batch headers = {0};
	size_t n;
	int rc = fill_batch(sync, r, s, SW_MESSAGE_COMMITS_MAX, b, &headers);

	n = sw_batch_closed(&headers);
	sw_batch_fini(&headers);
	if (rc < 0 || n == b->n)
		return rc;
	/* What vouches for the rest cannot be sent either. */
	if (n == 0 && b->is_blocked) {
		sw_buf_reset(&b->body);
		b->n = 0;
		return 0;
	}
	if (n == 0)
		return sw_fail(SW_ECORRUPT, "a commit in the store has a wrong signature; run 'swarmfs verify'");
	sw_buf_fini(&b->body);
	rc = fill_batch(sync, r, s, n, b, &headers);
	sw_batch_fini(&headers);
	return rc;
}

/* Others' work that many may bring is only told of: whoever lacks it asks one of those who have it. */
static bool is_hearsay(const struct sw_sync *s, const struct peer *p, const struct batch *b)
{
	return !p->serve.catching_up && !b->has_ours && b->body.n > RELAY_BYTES_MAX &&
	       s->n_members > RELAY_PEERS_MAX;
}

/* Nothing is new since the batch was found to be that, and it was told of all. */
static bool is_hearsay_still(const struct sw_sync *s, const struct peer *p, uint64_t last)
{
	struct sw_head head;

	sw_db_head(s->db, &head);
	return p->serve.hearsay == last && !p->serve.catching_up && s->n_members > RELAY_PEERS_MAX &&
	       sw_head_eq(&head, &p->told);
}

/* A batch costs much to make: none while there was no room for the last one. */
static bool is_full(const struct peer *p, uint64_t now_ms)
{
	return p->full_ms > 0 && now_ms - p->full_ms < SW_SYNC_RETRY_MS;
}

static int send_batch(struct sw_sync *s, struct peer *p, const struct batch *b, uint64_t now_ms)
{
	SW_BUF out = {0};
	int rc = sw_message_commits(p->serve.turn, b->more, sw_buf_view(&b->body), &out);

	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return rc;
	}
	rc = sw_sync_send(s, p, &out);
	p->full_ms = rc == SW_EAGAIN ? now_ms : 0;
	if (rc < 0)
		return rc; /* full: tried again when there is room */
	p->serve.waiting = false;
	p->serve.catching_up = b->more;
	p->serve.n_unacked = b->n;
	p->commits_out += b->n;
	p->bytes_served += b->body.n;
	move_to(&p->serve, b->at, b->upto);
	return 0;
}

/* Instead of an answer; it will ask anew. */
static void tell_freed(struct sw_sync *s, struct peer *p)
{
	struct sw_hash ids[SW_MESSAGE_TIPS_MAX];
	struct sw_reader r;
	SW_BUF out = {0};
	size_t n;
	int rc = sw_reader_begin(s->db, &r);

	if (rc == 0) {
		rc = sw_freed_find(&r, &p->serve, ids, &n, &p->effort.steps);
		sw_reader_end(&r);
	}
	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return;
	}
	sw_message_freed(p->serve.turn, ids, n, &out);
	if (sw_sync_send(s, p, &out) == 0)
		p->serve.has_begun = p->serve.waiting = p->serve.catching_up = false;
}

void sw_serve_continue(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct batch b = {0};
	struct sw_reader r;
	struct sw_head head;
	uint64_t last;
	int rc;

	if (!p->serve.waiting || p->phase < PHASE_MEMBER || p->dropped || is_full(p, now_ms))
		return;
	rc = sw_reader_begin(s->db, &r);
	if (rc == 0) {
		rc = last_seq(&r, &last);
		if (rc == 0 && is_hearsay_still(s, p, last)) {
			sw_reader_end(&r);
			return;
		}
		if (rc == 0)
			rc = make_batch(s, &r, &p->serve, &b);
		head = r.head;
		sw_reader_end(&r);
	}
	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
	} else if (b.n == 0 && p->phase == PHASE_REMOVED) {
		sw_sync_drop(s, p, REMOVED_REASON, true);
	} else if (b.n == 0 && b.is_blocked) {
		tell_freed(s, p);
	} else if (b.n == 0) {
		move_to(&p->serve, b.at, b.upto); /* the request stands */
		p->serve.catching_up = false;
	} else if (is_hearsay(s, p, &b)) {
		p->serve.hearsay = last;
		if (!sw_head_eq(&head, &p->told))
			sw_sync_tell_head(s, p, now_ms);
	} else {
		rc = send_batch(s, p, &b, now_ms); /* what failed was dealt with */
	}
	sw_buf_fini(&b.body);
}

static void begin_serving(struct sw_sync *s, struct peer *p, uint64_t turn, const struct sw_hash *known, size_t n_known,
			  uint64_t now_ms)
{
	uint64_t sent = p->bytes_served;
	struct serving *v = &p->serve;
	struct sw_reader r;
	int rc = sw_reader_begin(s->db, &r);

	sw_serve_fini(p);
	*v = (struct serving){.turn = turn, .has_begun = true, .waiting = true, .catching_up = true};
	if (rc == 0) {
		rc = p->phase == PHASE_REMOVED ? find_farewell(s, &r, p, v, known, n_known)
					       : find_missing(&r, v, known, n_known, &p->effort.steps);
		sw_reader_end(&r);
	}
	if (rc < 0)
		sw_sync_drop(s, p, sw_fail_message(rc), true);
	else
		sw_serve_continue(s, p, now_ms);
	p->effort.steps += (p->bytes_served - sent) / BYTES_PER_STEP;
}

static bool is_paid_off(struct effort *e, uint64_t now_ms)
{
	uint64_t paid = (now_ms - e->paid_ms) * STEPS_PER_MS;

	e->steps -= paid < e->steps ? paid : e->steps;
	e->paid_ms = now_ms;
	return e->steps <= STEPS_MAX;
}

void sw_serve_pull(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	struct effort *e = &p->effort;

	if (is_paid_off(e, now_ms)) {
		e->has_pull = false;
		begin_serving(s, p, m->turn, m->hashes, m->n_hashes, now_ms);
		return;
	}
	p->serve.waiting = false; /* what it asked before is of no interest to it any more */
	e->has_pull = true;
	e->turn = m->turn;
	e->n_known = m->n_hashes;
	memcpy(e->known, m->hashes, m->n_hashes * sizeof(*m->hashes));
}

void sw_serve_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct effort *e = &p->effort;

	if (!e->has_pull || !is_paid_off(e, now_ms))
		return;
	e->has_pull = false;
	begin_serving(s, p, e->turn, e->known, e->n_known, now_ms);
}

/* What was sent is stored there. A MORE that answers an earlier PULL's commits is of no interest, nor is one where no PULL stands. */
void sw_serve_more(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (!p->serve.has_begun || m->turn != p->serve.turn)
		return;
	p->serve.waiting = true;
	p->serve.n_unacked = 0;
	sw_serve_continue(s, p, now_ms);
}

void sw_serve_again(struct peer *p, uint64_t first)
{
	struct serving *v = &p->serve;

	if (first == 0)
		return;
	while (v->n > 0 && v->v[v->n - 1] >= first)
		v->n--;
	if (v->at > v->n)
		v->at = v->n;
	if (v->upto >= first)
		v->upto = first - 1;
	v->hearsay = 0;
}

uint64_t sw_serve_lag(const struct sw_sync *s, const struct peer *p)
{
	const struct serving *v = &p->serve;
	uint64_t last = 0, lag = v->n_unacked + (v->n - v->at);
	struct sw_reader r;

	if (sw_reader_begin(s->db, &r) < 0)
		return lag;
	if (last_seq(&r, &last) == 0 && last > v->upto)
		lag += last - v->upto;
	sw_reader_end(&r);
	for (size_t i = 0; i < v->n_spans; i++)
		if (v->spans[i].last <= last)
			lag -= v->spans[i].last - v->spans[i].first + 1;
	return lag;
}

/* Its queue is full. One request waits; who makes another meanwhile asks for more than it reads. */
static int keep_wants(struct peer *p, const struct sw_hash *v, size_t n)
{
	struct sw_hash *copy = p->wants ? NULL : calloc(n + 1, sizeof(*copy));

	if (!copy)
		return p->wants ? sw_fail(SW_ELIMIT, "it asks for more than it reads") : SW_ENOMEM;
	memcpy(copy, v, n * sizeof(*v));
	p->wants = copy;
	p->n_wants = n;
	return 0;
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
	/* What is not here, or not of a large row, is left out: the asker notices. So is what would make it long. */
	for (size_t i = 0; i < n && body.n < SW_MESSAGE_BATCH; i++) {
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
		rc = keep_wants(p, v, n);
	if (rc < 0 && rc != SW_ECLOSED)
		sw_sync_drop(s, p, sw_fail_message(rc), true);
}

void sw_serve_records_again(struct sw_sync *s, struct peer *p)
{
	struct sw_hash *v = SW_TAKE(p->wants);

	if (v)
		sw_serve_records(s, p, v, p->n_wants);
	free(v);
}

bool sw_serve_removed(struct sw_sync *s, struct peer *p)
{
	struct sw_hash *revocations = NULL;
	struct serving *v = &p->serve;
	struct sw_reader r;
	size_t n = 0;
	int rc = sw_reader_begin(s->db, &r);

	if (rc < 0)
		return false;
	rc = sw_db_revocations(s->db, &r, &p->key, &revocations, &n);
	free(revocations);
	if (rc == 0 && n > 0) {
		free(v->v);
		*v = (struct serving){
		    .turn = v->turn, .has_begun = v->has_begun, .waiting = v->waiting, .catching_up = true};
		rc = find_farewell(s, &r, p, v, p->tips, p->n_tips);
	}
	sw_reader_end(&r);
	return rc == 0 && n > 0;
}

void sw_serve_fini(struct peer *p)
{
	free(p->serve.v);
	p->serve.v = NULL;
}
