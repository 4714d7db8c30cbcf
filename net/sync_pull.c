/* Pulling: asking for what a peer has, and taking what comes. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/history.h"
#include "core/log.h"

#define BULK_STALL_MS 20000 /* who sends in bulk and then nothing for so long makes room for another */
#define BULK_TURN_MS  60000 /* and so does who is not done after so long, when another waits */
#define VAIN_MAX      6
#define CANNOT_TAKE   "commits of peers cannot be taken for now"

static int put_id(struct sw_txn *txn, uint64_t seq, struct sw_hash *out, size_t *n)
{
	struct sw_order order;
	int rc = sw_history_order(txn, seq, &order);

	if (rc == 0)
		sw_order_id(&order, &out[(*n)++]);
	return rc;
}

/*
 * Ids that let the other side find what we lack: our tips, then commits that arrived ever longer ago; and of those that it cannot
 * send, the ones that are here.
 */
static int find_known(struct sw_sync *s, const struct peer *p, struct sw_hash *out, size_t *n)
{
	struct sw_hash *tips = NULL;
	struct sw_reader r;
	size_t n_tips = 0;
	uint64_t next = 0;
	int rc = sw_reader_begin(s->db, &r);

	*n = 0;
	if (rc < 0)
		return rc;
	rc = sw_db_tips(&r, &tips, &n_tips);
	for (size_t i = 0; rc == 0 && i < n_tips && i < SW_MESSAGE_TIPS_MAX; i++)
		out[(*n)++] = tips[i];
	if (rc == 0)
		rc = sw_history_next_seq(r.txn, &next);
	for (uint64_t back = 2; rc == 0 && back < next; back *= 2)
		rc = put_id(r.txn, next - back, out, n);
	if (rc == 0 && next > 1)
		rc = put_id(r.txn, 1, out, n); /* everybody has the first */
	for (size_t i = 0; rc == 0 && i < p->pull.n_freed && *n < SW_MESSAGE_KNOWN_MAX; i++) {
		uint64_t seq;

		if (sw_history_seq(r.txn, &p->pull.freed[i], &seq) == 0)
			out[(*n)++] = p->pull.freed[i];
	}
	free(tips);
	sw_reader_end(&r);
	return rc;
}

/* Two answers with much the same in them are one too many. */
static bool must_wait(const struct sw_sync *s, const struct peer *p)
{
	struct sw_head ours;

	if (s->bulk)
		return s->bulk != p;
	sw_db_head(s->db, &ours);
	if (ours.count > 0)
		return false;
	for (const struct peer *q = s->peers; q; q = q->next)
		if (q != p && q->pull.asked)
			return true;
	return false;
}

void sw_pull_start(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_hash known[SW_MESSAGE_KNOWN_MAX];
	SW_BUF out = {0};
	size_t n;
	int rc;

	if (p->dropped || p->pull.n > 0 || p->pull.waits)
		return; /* what came is not taken yet; it goes on from there */
	p->pull.postponed = must_wait(s, p);
	if (p->pull.postponed)
		return;
	rc = find_known(s, p, known, &n);
	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return;
	}
	sw_message_pull(p->pull.turn + 1, known, n, &out);
	rc = sw_sync_send(s, p, &out);
	if (rc == SW_ECLOSED)
		return;
	/* A full queue: the tick tries again. */
	p->pull.again_ms = rc < 0 ? now_ms + SW_SYNC_RETRY_MS : 0;
	p->pull.asked |= rc == 0; /* an earlier request may stand */
	p->pull.turn += rc == 0;
	p->pull.asked_ms = now_ms;
	p->pull.probe = 0;
}

static void ask_more(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	SW_BUF out = {0};
	int rc;

	sw_message_more(p->pull.turn, &out);
	rc = sw_sync_send(s, p, &out);
	if (rc == SW_EAGAIN)
		p->pull.again_ms = now_ms + SW_SYNC_RETRY_MS;
	p->pull.asked = rc == 0;
	p->pull.asked_ms = now_ms;
	p->pull.probe = 0;
}

void sw_pull_end_bulk(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct peer *next;

	if (s->bulk == p)
		s->bulk = NULL;
	for (struct peer *q = s->peers; q && !s->bulk; q = next) {
		next = q->next;
		if (q->pull.postponed && q != p)
			sw_pull_start(s, q, now_ms);
	}
}

static void go_on_in_bulk(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	if (s->bulk != p)
		s->bulk_since_ms = now_ms;
	s->bulk = p;
	s->bulk_ms = now_ms;
}

/* However little it sends, and whether there is anything new in it: others have their turn too. */
static bool is_turn_over(const struct sw_sync *s, uint64_t now_ms)
{
	if (now_ms - s->bulk_ms > BULK_STALL_MS)
		return true;
	for (const struct peer *q = s->peers; q && now_ms - s->bulk_since_ms > BULK_TURN_MS; q = q->next)
		if (q->pull.postponed && q != s->bulk)
			return true;
	return false;
}

/* Forget the batch in hand. */
static void put_away(struct pulling *pull)
{
	sw_buf_reset(&pull->body);
	sw_buf_reset(&pull->raw);
	free(pull->v);
	pull->v = NULL;
	pull->n = pull->at = pull->end = 0;
	sw_records_fini(pull);
}

/* The same, but what has come of large rows is not asked for again. */
static void set_aside(struct sw_sync *s, struct pulling *pull, uint64_t now_ms)
{
	int rc = pull->records && pull->data ? sw_nodes_absorb(pull->data, pull->records) : 0;

	if (rc == 0)
		rc = sw_records_stage(s, pull, now_ms);
	if (rc < 0)
		sw_sync_complain(s, CANNOT_TAKE, rc, now_ms);
	put_away(pull);
}

static void retry_later(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	set_aside(s, &p->pull, now_ms);
	p->pull.again_ms = now_ms + SW_SYNC_RETRY_MS;
	sw_pull_end_bulk(s, p, now_ms);
}

/* The body as commits for the database; raw holds the rebuilt headers. */
static int parse_body(struct sw_sync *s, struct pulling *pull)
{
	struct sw_rd r = sw_rd(sw_buf_view(&pull->body));
	struct sw_view changeset;
	size_t cap = 0, at = 0;
	int rc;

	for (;;) {
		size_t before = pull->raw.n;

		/* Who sends more than fits leaves us with what we could not pass on (see make_batch()). */
		if (sw_rd_left(&r) > 0 && (pull->n == SW_MESSAGE_COMMITS_MAX ||
					  pull->body.n - sw_rd_left(&r) >= SW_MESSAGE_BATCH))
			return SW_EFORMAT;
		rc = sw_body_next_commit(&r, sw_db_id(s->db), &pull->raw, &changeset);
		if (rc <= 0)
			break;
		if (pull->n == cap) {
			struct sw_incoming *v = realloc(pull->v, (cap ? cap * 2 : 16) * sizeof(*v));

			if (!v)
				return SW_ENOMEM;
			pull->v = v;
			cap = cap ? cap * 2 : 16;
		}
		pull->v[pull->n++] = (struct sw_incoming){.commit.n = pull->raw.n - before,
							  .changeset = changeset};
	}
	/* raw does not move any more. */
	for (size_t i = 0; i < pull->n; at += pull->v[i++].commit.n)
		pull->v[i].commit.p = pull->raw.p + at;
	return rc;
}

/* Whether a failure is our own: the peer is not to blame, and it may work later. */
static bool is_ours(int rc)
{
	return rc != SW_EFORMAT && rc != SW_ESIG && rc != SW_EINVAL && rc != SW_ELIMIT;
}

/* What came of those that were offered; returns the one that was refused, or NULL. */
static const struct sw_incoming *look_at(struct sw_sync *s, struct pulling *pull, uint64_t now_ms)
{
	for (size_t i = pull->at; i < pull->end; i++) {
		switch (pull->v[i].taken) {
		case SW_TAKEN:
		case SW_TAKEN_ALREADY:
			break;
		case SW_TAKEN_EARLY:
			sw_sync_hold(s, &pull->v[i].id, now_ms);
			pull->early = true;
			break;
		case SW_TAKEN_REFUSED:
			s->counters.n_refused++;
			return &pull->v[i];
		case SW_TAKEN_FREED:
			sw_sync_reaches_down(s, &pull->v[i].id, now_ms);
			pull->early = true;
			break;
		case SW_TAKEN_UNPROVEN:
			pull->unproven = true;
			pull->early = true;
			break;
		default:
			pull->early = true; /* below one that must wait, or its records went missing: again later */
		}
	}
	return NULL;
}

static void blame(struct sw_sync *s, struct peer *p, const struct sw_incoming *v)
{
	char text[SW_MESSAGE_TEXT_MAX], id[SW_HASH_HEX_SIZE];

	sw_hex(v->id.b, SW_HASH_SIZE, id);
	snprintf(text, sizeof(text), "it sent the commit %.12s, which cannot be: %s", id, v->reason);
	sw_sync_distrust(s, p, text);
}

/* What a commit that was taken takes on the disk, with its large rows; or less, when it shares them with others. */
static uint64_t bytes_of(const struct sw_incoming *v)
{
	uint64_t n = v->commit.n + v->changeset.n;
	struct sw_changeset c;
	struct sw_op op;

	if (sw_changeset_begin(&c, v->changeset) < 0)
		return n;
	while (sw_changeset_next(&c, &op) > 0)
		if (op.kind == SW_OP_PUT && op.row.is_blob)
			n += op.row.size;
	return n;
}

/* Hand those from at to end to the database. False: not now, or the peer is gone. */
static bool take(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;
	const struct sw_incoming *refused;
	uint64_t out_bytes = 0;
	size_t n_taken = 0;
	int rc = sw_nodes_absorb(pull->records, pull->data);

	if (rc == 0)
		rc = sw_db_receive(s->db, pull->v + pull->at, pull->end - pull->at, pull->n - pull->end,
				   pull->records, NULL, NULL, &n_taken);
	if (rc < 0 && is_ours(rc)) {
		sw_sync_complain(s, CANNOT_TAKE, rc, now_ms);
		retry_later(s, p, now_ms);
		return false;
	}
	if (rc < 0) {
		sw_sync_distrust(s, p, sw_fail_message(rc));
		return false;
	}
	refused = look_at(s, pull, now_ms);
	sw_serve_note_taken(s, p, pull->v + pull->at, pull->end - pull->at);
	p->commits_in += n_taken;
	s->counters.commits_in += n_taken;
	s->counters.n_batches += n_taken > 0;
	s->moved |= n_taken > 0;
	if (refused) {
		blame(s, p, refused);
		return false;
	}
	for (size_t i = pull->at; i < pull->end; i++)
		if (pull->v[i].is_out)
			out_bytes += bytes_of(&pull->v[i]);
	pull->at = pull->end;
	if (out_bytes > 0)
		sw_sync_note_out(s, p, out_bytes);
	return !p->dropped;
}

/* The batch is done with. */
static void finish(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	bool early = p->pull.early, more = p->pull.more;

	p->pull.whole = p->pull.unproven;
	if (early) {
		retry_later(s, p, now_ms);
		return;
	}
	put_away(&p->pull);
	if (!more)
		s->staged_until_ms = now_ms; /* their commits are here */
	if (more && s->bulk && s->bulk != p)
		p->pull.postponed = true; /* it has the same to send as the other, or will be asked then */
	else
		ask_more(s, p, now_ms);
	if (more && !p->dropped && (!s->bulk || s->bulk == p))
		go_on_in_bulk(s, p, now_ms);
	if (!more)
		sw_pull_end_bulk(s, p, now_ms);
}

void sw_pull_go_on(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;

	while (pull->at < pull->n) {
		if (pull->end == pull->at) {
			int rc = sw_records_scan(s, pull);

			if (rc < 0 && !is_ours(rc)) {
				sw_sync_distrust(s, p, "it sent a malformed changeset");
				return;
			}
			if (rc < 0) {
				sw_sync_complain(s, CANNOT_TAKE, rc, now_ms);
				retry_later(s, p, now_ms);
				return;
			}
		}
		/* Another peer may be sending the same rows: what is missing after it is asked for then. */
		if (pull->n_wants > 0 && s->bulk && s->bulk != p) {
			set_aside(s, pull, now_ms);
			pull->postponed = true;
			return;
		}
		if (sw_records_ask(s, p)) {
			go_on_in_bulk(s, p, now_ms);
			return;
		}
		if (!take(s, p, now_ms))
			return;
	}
	finish(s, p, now_ms);
}

void sw_pull_records_came(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	int rc = 0;

	if (sw_nodes_bytes(p->pull.data) > SW_SYNC_STAGE_BYTES)
		rc = sw_records_stage(s, &p->pull, now_ms);
	if (rc < 0) {
		sw_sync_complain(s, CANNOT_TAKE, rc, now_ms);
		retry_later(s, p, now_ms);
		return;
	}
	sw_pull_go_on(s, p, now_ms);
}

void sw_pull_commits(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;
	int rc;

	if (m->turn < pull->turn)
		return; /* its answer to this turn follows */
	if (m->turn > pull->turn || !pull->asked || pull->n > 0) {
		sw_sync_distrust(s, p, "it answers what nobody asked");
		return;
	}
	pull->asked = false;
	pull->n_vain = 0;
	pull->early = pull->unproven = false;
	pull->more = m->more;
	sw_buf_put_view(&pull->body, m->body);
	rc = pull->body.rc;
	if (rc == 0)
		rc = parse_body(s, pull);
	if (rc == SW_EFORMAT) {
		sw_sync_distrust(s, p, "it sent a malformed commit");
	} else if (rc == 0 && pull->n == 0) {
		sw_sync_distrust(s, p, "it sent no commits, and said so");
	} else if (rc < 0) {
		sw_sync_complain(s, CANNOT_TAKE, rc, now_ms);
		retry_later(s, p, now_ms);
	} else {
		sw_pull_go_on(s, p, now_ms);
	}
}

/*
 * How long a request must stand before a head that we lack lets us doubt that it is being answered. The more often that
 * was in vain, the longer: its commits may be from the future, or it tells of what there is not.
 */
static uint64_t patience_ms(const struct peer *p)
{
	return (100 + 2 * p->rtt_us / 1000) << p->pull.n_vain;
}

/* The peer has something for us, and a request there that it may have overlooked: nothing else is under way. */
static bool is_overlooked(const struct sw_sync *s, const struct peer *p)
{
	return p->lacks && !p->pull.waits && !p->pull.postponed && p->pull.n == 0 && p->pull.again_ms == 0 && s->bulk != p;
}

void sw_pull_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;

	if (s->bulk == p && is_turn_over(s, now_ms))
		sw_pull_end_bulk(s, p, now_ms);
	if (pull->n > 0 || sw_freed_waits(s, p, now_ms))
		return;
	if (pull->again_ms > 0) {
		if (now_ms >= pull->again_ms)
			sw_pull_start(s, p, now_ms);
	} else if (is_overlooked(s, p) && pull->probe == 0 && now_ms - pull->asked_ms >= patience_ms(p)) {
		/* The answer may be on its way, or wait here to be read: then it comes before the PONG. */
		pull->probe = sw_sync_ping(s, p, now_ms);
	}
}

void sw_pull_note_pong(struct sw_sync *s, struct peer *p, uint64_t nonce, uint64_t now_ms)
{
	if (p->dropped || p->pull.probe == 0 || nonce != p->pull.probe)
		return;
	p->pull.probe = 0;
	if (!is_overlooked(s, p))
		return;
	p->pull.n_vain += p->pull.n_vain < VAIN_MAX;
	sw_pull_start(s, p, now_ms);
}

void sw_pull_fini(struct peer *p)
{
	put_away(&p->pull);
	sw_buf_fini(&p->pull.body);
	sw_buf_fini(&p->pull.raw);
}
