/* Peers, their phases, and the messages that are about neither serving nor pulling. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

#define TICK_GAP_MS	1000
#define LOG_EVERY_MS	10000
#define SAME_HEAD_TIMES 5 /* a head that was told already is told again so many times less often */

int sw_sync_new(struct sw_db *db, const struct sw_sync_hooks *hooks, const struct sw_swarm_timers *timers,
		struct sw_sync **out)
{
	struct sw_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return SW_ENOMEM;
	s->db = db;
	s->hooks = *hooks;
	s->timers = *timers;
	*out = s;
	return 0;
}

static void peer_free(struct peer *p)
{
	sw_serve_fini(p);
	sw_pull_fini(p);
	free(p->wants);
	sw_diverged_fini(p);
	free(p);
}

void sw_sync_free(struct sw_sync *s)
{
	if (!s)
		return;
	while (s->peers) {
		struct peer *p = s->peers;

		s->peers = p->next;
		peer_free(p);
	}
	sw_stage_free(s->stage);
	sw_watermarks_fini(s);
	free(s);
}

static struct peer *find(const struct sw_sync *s, uint64_t id)
{
	struct peer *p = s->peers;

	while (p && (p->id != id || p->dropped))
		p = p->next;
	return p;
}

/* Those that are gone stay in the list until the step ends, so that walks over it go on. */
static void sweep(struct sw_sync *s)
{
	struct peer **at = &s->peers;
	bool gone = false;

	s->n_members = 0;
	while (*at) {
		struct peer *p = *at;

		if (p->dropped) {
			*at = p->next;
			gone |= p->has_clock;
			peer_free(p);
		} else {
			s->n_members += p->phase == PHASE_MEMBER;
			at = &p->next;
		}
	}
	if (gone)
		sw_sync_clocks(s);
}

void sw_sync_complain(struct sw_sync *s, const char *what, int rc, uint64_t now_ms)
{
	if (s->complained_ms == 0 || now_ms - s->complained_ms >= LOG_EVERY_MS)
		sw_log(SW_LOG_ERROR, "%s: %s", what, sw_fail_message(rc));
	s->complained_ms = now_ms;
}

void sw_sync_drop(struct sw_sync *s, struct peer *p, const char *reason, bool say_bye)
{
	SW_BUF bye = {0};

	if (p->dropped)
		return;
	p->dropped = true;
	if (say_bye) {
		sw_message_bye(reason, &bye);
		if (bye.rc == 0 && s->hooks.send(s->hooks.arg, p->id, sw_buf_view(&bye)) < 0)
			say_bye = false; /* then it is not told */
	}
	s->hooks.drop(s->hooks.arg, p->id, reason);
}

int sw_sync_send(struct sw_sync *s, struct peer *p, struct sw_buf *message)
{
	int rc = message->rc;

	if (p->dropped)
		return SW_ECLOSED;
	if (rc == 0)
		rc = s->hooks.send(s->hooks.arg, p->id, sw_buf_view(message));
	if (rc == 0 || rc == SW_EAGAIN)
		return rc;
	sw_sync_drop(s, p, sw_err_text(rc), false);
	return SW_ECLOSED;
}

void sw_sync_tell_head(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_hash *tips = NULL;
	struct sw_reader r;
	SW_BUF out = {0};
	size_t n = 0;
	int rc = sw_reader_begin(s->db, &r);

	if (rc == 0) {
		rc = sw_db_tips(&r, &tips, &n);
		if (rc == 0)
			sw_message_head(&r.head, tips, n, &out);
		p->told = r.head;
		sw_reader_end(&r);
	}
	free(tips);
	p->told_ms = now_ms;
	if (rc < 0)
		sw_sync_drop(s, p, sw_fail_message(rc), true);
	else if (sw_sync_send(s, p, &out) == SW_EAGAIN)
		p->told = (struct sw_head){0}; /* told again later */
}

/* Steps */

/* Compare what it told with what we have. */
static void note_head(struct sw_sync *s, struct peer *p)
{
	struct sw_head ours;

	sw_db_head(s->db, &ours);
	sw_serve_note_tips(s, p, &ours, &p->lacks);
	if (!p->lacks)
		s->synced_once = true;
}

/* Since when do the two differ? */
static void note_lag(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	if (!p->lacks && sw_serve_lag(s, p) == 0)
		p->behind_ms = 0;
	else if (p->behind_ms == 0)
		p->behind_ms = now_ms;
}

/* Whoever has a request standing here is answered. */
static void tell_all(struct sw_sync *s, uint64_t now_ms)
{
	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->dropped || p->phase != PHASE_MEMBER)
			continue;
		if (p->lacks)
			note_head(s, p);
		sw_serve_continue(s, p, now_ms);
		if (!p->dropped)
			note_lag(s, p, now_ms);
	}
}

/* The end of every step. */
void sw_sync_settle(struct sw_sync *s, uint64_t now_ms)
{
	bool moved = s->moved;

	s->moved = false;
	if (s->bulk && s->bulk->dropped)
		sw_pull_end_bulk(s, s->bulk, now_ms);
	sweep(s);
	if (moved) {
		sw_db_head(s->db, &s->seen);
		sw_sync_review(s, now_ms);
		tell_all(s, now_ms);
	}
	if (s->bulk && s->bulk->dropped)
		s->bulk = NULL; /* the tick starts the others */
	sweep(s);
}

bool sw_sync_is_member(const struct sw_sync *s, uint64_t id)
{
	const struct peer *p = find(s, id);

	return p && p->phase == PHASE_MEMBER;
}

void sw_sync_close(struct sw_sync *s)
{
	for (struct peer *p = s->peers; p; p = p->next)
		sw_sync_drop(s, p, SW_SYNC_CLOSING, p->phase == PHASE_MEMBER);
	s->bulk = NULL;
	sweep(s);
}

void sw_sync_peer_down(struct sw_sync *s, uint64_t id)
{
	struct peer *p = find(s, id);

	if (!p)
		return;
	p->dropped = true;
	sw_sync_settle(s, p->heard_ms);
}

/* Messages */

static void handle_head(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	p->head = m->head;
	p->has_head = true;
	p->n_tips = m->n_hashes;
	memcpy(p->tips, m->hashes, m->n_hashes * sizeof(*m->hashes));
	note_head(s, p);
	sw_diverged_compare(s, p, now_ms);
	if (p->dropped)
		return;
	/* It does not send everything unasked. What was asked for just now may be on its way. */
	sw_pull_tick(s, p, now_ms);
}

/* An answer to a PULL can be much work; there is no reason to make many. Nor to ask often for what an admin has to decide. */
bool sw_sync_asks_too_often(struct peer *p, uint64_t now_ms)
{
	if (now_ms - p->pulls_since_ms >= 1000) {
		p->pulls_since_ms = now_ms;
		p->n_pulls = 0;
	}
	return ++p->n_pulls > SW_SYNC_PULLS_MAX;
}

/* The answer to our last PING: half of the way back is what its clock has gone on since. */
static void note_pong(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	p->awaits_pong = false;
	p->rtt_us = (now_ms - p->pinged_ms) * 1000;
	sw_sync_note_clock(s, p, m->wall_ms, (now_ms - p->pinged_ms) / 2);
}

static void note_hello(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	sw_sync_note_clock(s, p, m->wall_ms, 0);
	sw_sync_release(s, now_ms);
}

static void handle_member(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	SW_BUF out = {0};

	switch (m->type) {
	case SW_MSG_HELLO:
		snprintf(p->software, sizeof(p->software), "%.*s", (int)m->text.n, (const char *)m->text.p);
		for (char *c = p->software; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				*c = '?';
		if (m->version != SW_PROTOCOL_VERSION)
			sw_sync_drop(s, p, "it speaks another version of the protocol", true);
		else
			note_hello(s, p, m, now_ms);
		break;
	case SW_MSG_HEAD:
		handle_head(s, p, m, now_ms);
		break;
	case SW_MSG_PULL:
		if (sw_sync_asks_too_often(p, now_ms))
			sw_sync_distrust(s, p, "it begins anew too often");
		else
			sw_serve_pull(s, p, m, now_ms);
		break;
	case SW_MSG_MORE:
		sw_serve_more(s, p, m, now_ms);
		break;
	case SW_MSG_COMMITS:
		sw_pull_commits(s, p, m, now_ms);
		break;
	case SW_MSG_FREED:
		sw_freed_take(s, p, m, now_ms);
		break;
	case SW_MSG_WANT:
		sw_serve_records(s, p, m->hashes, m->n_hashes);
		break;
	case SW_MSG_RECORDS:
		sw_records_take(s, p, m, now_ms);
		break;
	case SW_MSG_PING:
		sw_message_pong(m->nonce, sw_env_wall_ms(sw_db_env(s->db)), &out);
		if (sw_sync_send(s, p, &out) == SW_EAGAIN)
			sw_sync_drop(s, p, "it does not read", false);
		break;
	case SW_MSG_PONG:
		if (m->nonce == p->n_pings && p->awaits_pong)
			note_pong(s, p, m, now_ms);
		sw_pull_note_pong(s, p, m->nonce, now_ms);
		break;
	case SW_MSG_WATERMARKS:
		sw_watermarks_receive(s, p, m);
		break;
	case SW_MSG_LOOK:
		sw_diverged_serve(s, p, &m->hashes[0]);
		break;
	case SW_MSG_NODE:
		sw_diverged_take(s, p, m);
		break;
	case SW_MSG_JOIN:
	case SW_MSG_ASK:
		break; /* of a newcomer that we know: its answer was lost the first time, and our HELLO is one */
	default:
		sw_sync_drop(s, p, "it sent a message that is not for a member", true);
	}
}

/* It does not know yet that it is no member any more, or brings a ticket to become one again. */
static void handle_removed(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	switch (m->type) {
	case SW_MSG_PULL:
	case SW_MSG_MORE:
	case SW_MSG_WANT:
	case SW_MSG_PING:
		handle_member(s, p, m, now_ms);
		break;
	case SW_MSG_JOIN:
		sw_sync_handle_join(s, p, m, now_ms);
		break;
	case SW_MSG_ASK:
		sw_ask_take(s, p, m, now_ms);
		break;
	default:
		break; /* what it has to say does not matter */
	}
}

/* To our ticket, or to what we asked. */
static void handle_answer(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (m->type == SW_MSG_JOINED || m->type == SW_MSG_HELLO)
		sw_sync_handle_joined(s, p, m, now_ms);
	if (m->type == SW_MSG_HELLO && !p->dropped)
		handle_member(s, p, m, now_ms);
	else if (m->type != SW_MSG_JOINED)
		sw_sync_drop(s, p, "it did not answer the ticket", true);
}

static void handle_pending(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (p->dialled)
		handle_answer(s, p, m, now_ms);
	else if (m->type == SW_MSG_ASK)
		sw_ask_take(s, p, m, now_ms);
	else
		sw_sync_drop(s, p, "it is not a member yet, and may only ask", true);
}

static void handle(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (m->type == SW_MSG_BYE) {
		char text[SW_MESSAGE_TEXT_MAX + 32];

		snprintf(text, sizeof(text), "it said: %.*s", (int)m->text.n, (const char *)m->text.p);
		for (char *c = text; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				*c = '?';
		sw_sync_drop(s, p, text, false);
		return;
	}
	switch (p->phase) {
	case PHASE_REMOVED:
		handle_removed(s, p, m, now_ms);
		break;
	case PHASE_AWAIT_JOIN:
		if (m->type == SW_MSG_JOIN)
			sw_sync_handle_join(s, p, m, now_ms);
		else if (m->type == SW_MSG_ASK)
			sw_ask_take(s, p, m, now_ms);
		else
			sw_sync_drop(s, p, "it is not a member, and brought no ticket", true);
		break;
	case PHASE_PENDING:
		handle_pending(s, p, m, now_ms);
		break;
	case PHASE_JOINING:
		handle_answer(s, p, m, now_ms);
		break;
	default:
		handle_member(s, p, m, now_ms);
	}
}

void sw_sync_message(struct sw_sync *s, uint64_t id, struct sw_view bytes, uint64_t now_ms)
{
	struct peer *p = find(s, id);

	if (!p)
		return;
	p->heard_ms = now_ms;
	if (sw_message_decode(bytes, &s->message) < 0)
		sw_sync_distrust(s, p, "it sent a malformed message");
	else
		handle(s, p, &s->message, now_ms);
	sw_message_fini(&s->message);
	if (!p->dropped && p->phase == PHASE_MEMBER)
		note_lag(s, p, now_ms);
	sw_sync_settle(s, now_ms);
}

void sw_sync_heard(struct sw_sync *s, uint64_t id, uint64_t now_ms)
{
	struct peer *p = find(s, id);

	if (p)
		p->heard_ms = now_ms;
}

void sw_sync_writable(struct sw_sync *s, uint64_t id, uint64_t now_ms)
{
	struct peer *p = find(s, id);

	if (p) {
		p->full_ms = 0;
		sw_serve_records_again(s, p);
		sw_serve_continue(s, p, now_ms);
	}
	sw_sync_settle(s, now_ms);
}

void sw_sync_changed(struct sw_sync *s, uint64_t now_ms)
{
	struct sw_head ours;

	/* What was taken from peers was told at the end of that step. */
	sw_db_head(s->db, &ours);
	s->moved = !sw_head_eq(&ours, &s->seen);
	sw_sync_settle(s, now_ms);
}

/* Held commits */

void sw_sync_hold(struct sw_sync *s, const struct sw_hash *id, uint64_t now_ms)
{
	struct held *free_one = NULL;

	for (size_t i = 0; i < HELD_MAX; i++) {
		if (s->held[i].seen_ms == 0) {
			free_one = &s->held[i];
		} else if (sw_hash_eq(&s->held[i].id, id)) {
			s->held[i].seen_ms = now_ms;
			return;
		}
	}
	if (free_one)
		*free_one = (struct held){*id, now_ms};
}

/* Those that nobody offers any more were taken, or have gone with their peer. */
static void tick_held(struct sw_sync *s, uint64_t now_ms)
{
	s->counters.n_held = sw_sync_count_withheld(s);
	for (size_t i = 0; i < HELD_MAX; i++) {
		if (s->held[i].seen_ms > 0 && now_ms - s->held[i].seen_ms > 2 * SW_SYNC_RETRY_MS)
			s->held[i].seen_ms = 0;
		s->counters.n_held += s->held[i].seen_ms > 0;
	}
}

uint64_t sw_sync_ping(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	SW_BUF ping = {0};

	sw_message_ping(p->n_pings + 1, &ping);
	if (sw_sync_send(s, p, &ping) != 0)
		return 0;
	p->pinged_ms = now_ms;
	p->awaits_pong = true;
	return ++p->n_pings;
}

static void tick_member(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_head ours;

	sw_diverged_tick(p, now_ms);
	sw_db_head(s->db, &ours);
	if (now_ms - p->told_ms >= s->timers.advert_ms * (sw_head_eq(&ours, &p->told) ? SAME_HEAD_TIMES : 1))
		sw_sync_tell_head(s, p, now_ms);
	if (!p->dropped)
		sw_serve_tick(s, p, now_ms);
	if (!p->dropped)
		sw_pull_tick(s, p, now_ms);
	/* If its queue is full and stays so, it is found dead. */
	if (!p->dropped && now_ms - p->pinged_ms >= s->timers.ping_ms)
		sw_sync_ping(s, p, now_ms);
}

/* If we were busy, or asleep, it is not the peers who were silent: what they said is not read yet. */
static void excuse(struct sw_sync *s, uint64_t now_ms)
{
	uint64_t gap = s->ticked_ms > 0 ? now_ms - s->ticked_ms : 0;

	s->ticked_ms = now_ms;
	if (gap < TICK_GAP_MS)
		return;
	s->bulk_ms += gap;
	s->bulk_since_ms += gap;
	for (struct peer *p = s->peers; p; p = p->next)
		p->heard_ms = p->heard_ms + gap < now_ms ? p->heard_ms + gap : now_ms;
}

void sw_sync_tick(struct sw_sync *s, uint64_t now_ms)
{
	excuse(s, now_ms);
	if (sw_db_is_copied(s->db) && now_ms >= s->renew_ms)
		sw_sync_renew_key(s, now_ms);
	sw_sync_release(s, now_ms);
	sw_records_tick(s, now_ms);
	tick_held(s, now_ms);
	sw_requests_expire(&s->requests, now_ms);
	sw_freed_tick(s, now_ms);
	if (!s->bulk)
		sw_pull_end_bulk(s, NULL, now_ms);
	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->dropped)
			continue;
		if (p->phase == PHASE_PENDING) {
			sw_ask_tick(s, p, now_ms);
			continue;
		}
		if (p->phase != PHASE_MEMBER) {
			if (now_ms - p->since_ms > SW_SYNC_JOIN_MS)
				sw_sync_drop(s, p, "nothing came of joining", true);
			continue;
		}
		if (now_ms - p->heard_ms > s->timers.dead_ms)
			sw_sync_drop(s, p, "it says nothing any more", false);
		else
			tick_member(s, p, now_ms);
		if (!p->dropped)
			sw_sync_note_key(s, p, now_ms);
	}
	sw_watermarks_tick(s, now_ms);
	sw_sync_settle(s, now_ms);
}

bool sw_sync_peer_status(const struct sw_sync *s, uint64_t id, uint64_t now_ms, struct sw_peer_status *out)
{
	const struct peer *p = find(s, id);
	struct sw_head ours;

	if (!p)
		return false;
	sw_db_head(s->db, &ours);
	out->key = p->key;
	out->has_key = true;
	out->commits_in = p->commits_in;
	out->commits_out = p->commits_out;
	snprintf(out->software, sizeof(out->software), "%s", p->software);
	out->rtt_us = p->rtt_us;
	out->clock_ms = p->clock_ms;
	out->state = p->phase == PHASE_MEMBER ? SW_PEER_SYNCING : SW_PEER_JOINING;
	if (p->has_head && p->behind_ms == 0)
		out->state = SW_PEER_IN_SYNC;
	out->lag_ms = p->behind_ms ? now_ms - p->behind_ms : 0;
	out->lag_commits = p->phase == PHASE_MEMBER ? sw_serve_lag(s, p) : 0;
	out->has_freed = p->pull.waits;
	if (p->lacks)
		out->lag_commits += p->head.count > ours.count ? p->head.count - ours.count : 1;
	return true;
}

void sw_sync_counters(const struct sw_sync *s, struct sw_sync_counters *out)
{
	*out = s->counters;
	out->clock_ms = s->clock_ms;
	for (size_t i = 0; i < s->requests.n; i++)
		out->n_requests += !s->requests.v[i].is_rejected;
}

bool sw_sync_is_synced(const struct sw_sync *s, uint64_t *have, uint64_t *want)
{
	struct sw_head ours;

	sw_db_head(s->db, &ours);
	*have = ours.count;
	*want = 0;
	for (const struct peer *p = s->peers; p; p = p->next)
		if (p->has_head && p->head.count > *want)
			*want = p->head.count;
	return s->synced_once;
}

const char *sw_sync_refusal(const struct sw_sync *s)
{
	return s->refusal[0] ? s->refusal : NULL;
}
