/* Peers, their phases, and the messages that are about neither serving nor pulling. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

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

	s->n_members = 0;
	while (*at) {
		struct peer *p = *at;

		if (p->dropped) {
			*at = p->next;
			peer_free(p);
		} else {
			s->n_members += p->phase == PHASE_MEMBER;
			at = &p->next;
		}
	}
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

static int my_role(struct sw_sync *s, const struct sw_key *key)
{
	struct sw_reader r;
	int role = 0;

	if (sw_reader_begin(s->db, &r) < 0)
		return 0;
	if (sw_db_role(&r, key, &role) < 0)
		role = 0;
	sw_reader_end(&r);
	return role;
}

static bool is_empty(struct sw_sync *s)
{
	struct sw_head head;

	sw_db_head(s->db, &head);
	return head.count == 0;
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

static void become_member(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	SW_BUF hello = {0};

	p->phase = PHASE_MEMBER;
	sw_message_hello(&hello);
	if (sw_sync_send(s, p, &hello) < 0)
		return;
	sw_sync_tell_head(s, p, now_ms);
	if (!p->dropped)
		sw_pull_start(s, p, now_ms);
}

/* Distrust */

static struct ban *ban_of(struct sw_sync *s, const struct sw_key *key)
{
	for (size_t i = 0; i < BANS_MAX; i++)
		if (s->bans[i].wait_ms > 0 && sw_key_eq(&s->bans[i].key, key))
			return &s->bans[i];
	return NULL;
}

void sw_sync_distrust(struct sw_sync *s, struct peer *p, const char *reason)
{
	struct ban *b = ban_of(s, &p->key);

	if (!b) {
		/* The one that ends first makes room. */
		b = &s->bans[0];
		for (size_t i = 1; i < BANS_MAX; i++)
			if (s->bans[i].until_ms < b->until_ms)
				b = &s->bans[i];
		*b = (struct ban){.key = p->key, .wait_ms = SW_SYNC_BAN_MIN_MS / 2};
	}
	b->wait_ms *= 2;
	if (b->wait_ms > SW_SYNC_BAN_MAX_MS)
		b->wait_ms = SW_SYNC_BAN_MAX_MS;
	b->until_ms = p->heard_ms + b->wait_ms;
	sw_sync_drop(s, p, reason, true);
}

static bool is_banned(struct sw_sync *s, const struct sw_key *key, uint64_t now_ms)
{
	const struct ban *b = ban_of(s, key);

	return b && now_ms < b->until_ms;
}

/* Two peers that dial each other need one connection: that of the smaller key, else the newer one. */
static bool is_superfluous(struct sw_sync *s, struct peer *p)
{
	bool ours_is_smaller = memcmp(sw_db_key(s->db)->b, p->key.b, SW_KEY_SIZE) < 0;

	for (struct peer *q = s->peers; q; q = q->next) {
		if (q == p || q->dropped || !sw_key_eq(&q->key, &p->key))
			continue;
		if (q->dialled != p->dialled && q->dialled == ours_is_smaller)
			return true;
		sw_sync_drop(s, q, SW_SYNC_CONNECTED_TWICE, false);
	}
	return false;
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
	if (sw_hash_eq(&ours.line, &p->head.line) && !sw_hash_eq(&ours.state, &p->head.state) &&
	    !p->said_diverged) {
		p->said_diverged = true;
		sw_log(SW_LOG_ERROR, "the same commits gave another state at a peer; run "
				     "'swarmfs verify' on both");
	}
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
static void settle(struct sw_sync *s, uint64_t now_ms)
{
	bool moved = s->moved;

	s->moved = false;
	if (s->bulk && s->bulk->dropped)
		sw_pull_end_bulk(s, s->bulk, now_ms);
	sweep(s);
	if (moved) {
		sw_db_head(s->db, &s->seen);
		tell_all(s, now_ms);
	}
	if (s->bulk && s->bulk->dropped)
		s->bulk = NULL; /* the tick starts the others */
	sweep(s);
}

/* Whether we may believe whom we dialled: a member, or, as long as we know no members, who invited us. */
static bool is_believed(struct sw_sync *s, const struct sw_key *key, const struct sw_ticket *ticket)
{
	if (ticket && sw_key_eq(key, &ticket->inviter))
		return true;
	return my_role(s, key) >= SW_ROLE_READER;
}

void sw_sync_peer_up(struct sw_sync *s, uint64_t id, const struct sw_key *key, bool dialled,
		     const struct sw_ticket *ticket, uint64_t now_ms)
{
	struct peer *p = calloc(1, sizeof(*p));
	SW_BUF join = {0};

	if (!p) {
		s->hooks.drop(s->hooks.arg, id, "out of memory");
		return;
	}
	*p = (struct peer){.next = s->peers, .id = id, .key = *key, .dialled = dialled,
			   .since_ms = now_ms, .heard_ms = now_ms, .pinged_ms = now_ms};
	s->peers = p;
	if (sw_key_eq(key, sw_db_key(s->db))) {
		sw_sync_drop(s, p, "it has our own key: the store was copied, or it is ourselves", true);
	} else if (is_banned(s, key, now_ms)) {
		sw_sync_drop(s, p, "it is not listened to for a while, for what it sent", true);
	} else if (is_superfluous(s, p)) {
		sw_sync_drop(s, p, SW_SYNC_CONNECTED_TWICE, false);
	} else if (dialled && !is_believed(s, key, ticket)) {
		sw_sync_drop(s, p, is_empty(s) ? "it is not the one who made the ticket"
					       : "it is not a member of this database", false);
	} else if (dialled && ticket && my_role(s, sw_db_key(s->db)) < SW_ROLE_READER) {
		p->phase = PHASE_JOINING;
		sw_message_join(ticket->secret, &join);
		if (sw_sync_send(s, p, &join) == SW_EAGAIN)
			sw_sync_drop(s, p, "it does not read", false);
	} else if (dialled || my_role(s, key) >= SW_ROLE_READER) {
		become_member(s, p, now_ms);
	} else {
		p->phase = PHASE_AWAIT_JOIN;
	}
	settle(s, now_ms);
}

void sw_sync_peer_down(struct sw_sync *s, uint64_t id)
{
	struct peer *p = find(s, id);

	if (!p)
		return;
	p->dropped = true;
	settle(s, p->heard_ms);
}

/* Joining */

static int grant(struct sw_sync *s, const struct sw_key *key, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	if (my_role(s, key) >= (int)role)
		return 0;
	return sw_db_commit(s->db, &w, &id);
}

static void handle_join(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	SW_BUF out = {0};
	char hex[SW_HASH_HEX_SIZE];
	enum sw_redeemed result;
	enum sw_role role = SW_ROLE_WRITER;
	int rc = sw_ticket_redeem(s->db, sw_view(m->secret, SW_TICKET_SECRET_SIZE), &p->key, &result, &role);

	if (rc == 0 && result == SW_REDEEMED)
		rc = grant(s, &p->key, role);
	if (rc < 0) {
		sw_log(SW_LOG_ERROR, "a ticket could not be honoured: %s", sw_fail_message(rc));
		result = SW_REDEEMED_NOT_NOW;
	}
	if (result != SW_REDEEMED) {
		sw_message_joined((uint8_t)result, sw_redeemed_text(result), &out);
		if (sw_sync_send(s, p, &out) != SW_ECLOSED)
			sw_sync_drop(s, p, sw_redeemed_text(result), false);
		return;
	}
	sw_hex(p->key.b, SW_KEY_SIZE, hex);
	sw_log(SW_LOG_INFO, "%.12s has joined with a ticket", hex);
	sw_message_joined(0, "", &out);
	if (sw_sync_send(s, p, &out) == 0)
		become_member(s, p, now_ms);
	s->moved = true;
}

static void handle_joined(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (m->code == 0) {
		become_member(s, p, now_ms);
		return;
	}
	/* Its words are for people: only what can be shown. */
	snprintf(s->refusal, sizeof(s->refusal), "%.*s", (int)m->text.n, (const char *)m->text.p);
	for (char *c = s->refusal; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	sw_sync_drop(s, p, s->refusal, false);
}

/* Messages */

static void handle_head(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	p->head = m->head;
	p->has_head = true;
	p->n_tips = m->n_hashes;
	memcpy(p->tips, m->hashes, m->n_hashes * sizeof(*m->hashes));
	note_head(s, p);
	/* It does not send everything unasked. What was asked for just now may be on its way. */
	sw_pull_tick(s, p, now_ms);
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
		break;
	case SW_MSG_HEAD:
		handle_head(s, p, m, now_ms);
		break;
	case SW_MSG_PULL:
		sw_serve_pull(s, p, m, now_ms);
		break;
	case SW_MSG_MORE:
		sw_serve_more(s, p, m, now_ms);
		break;
	case SW_MSG_COMMITS:
		sw_pull_commits(s, p, m, now_ms);
		break;
	case SW_MSG_WANT:
		sw_serve_records(s, p, m->hashes, m->n_hashes);
		break;
	case SW_MSG_RECORDS:
		sw_records_take(s, p, m, now_ms);
		break;
	case SW_MSG_PING:
		sw_message_nonce(SW_MSG_PONG, m->nonce, &out);
		if (sw_sync_send(s, p, &out) == SW_EAGAIN)
			sw_sync_drop(s, p, "it does not read", false);
		break;
	case SW_MSG_PONG:
		p->rtt_us = (now_ms - p->pinged_ms) * 1000;
		break;
	default:
		sw_sync_drop(s, p, "it sent a message that is not for a member", true);
	}
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
	case PHASE_AWAIT_JOIN:
		if (m->type == SW_MSG_JOIN)
			handle_join(s, p, m, now_ms);
		else
			sw_sync_drop(s, p, "it is not a member, and brought no ticket", true);
		break;
	case PHASE_JOINING:
		if (m->type == SW_MSG_JOINED)
			handle_joined(s, p, m, now_ms);
		else
			sw_sync_drop(s, p, "it did not answer the ticket", true);
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
	settle(s, now_ms);
}

void sw_sync_writable(struct sw_sync *s, uint64_t id, uint64_t now_ms)
{
	struct peer *p = find(s, id);

	if (p)
		sw_serve_continue(s, p, now_ms);
	settle(s, now_ms);
}

void sw_sync_changed(struct sw_sync *s, uint64_t now_ms)
{
	struct sw_head ours;

	/* What was taken from peers was told at the end of that step. */
	sw_db_head(s->db, &ours);
	s->moved = !sw_head_eq(&ours, &s->seen);
	settle(s, now_ms);
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
	s->counters.n_held = 0;
	for (size_t i = 0; i < HELD_MAX; i++) {
		if (s->held[i].seen_ms > 0 && now_ms - s->held[i].seen_ms > 2 * SW_SYNC_RETRY_MS)
			s->held[i].seen_ms = 0;
		s->counters.n_held += s->held[i].seen_ms > 0;
	}
}

static void tick_member(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_head ours;
	SW_BUF ping = {0};

	sw_db_head(s->db, &ours);
	if (now_ms - p->told_ms >= s->timers.advert_ms * (sw_head_eq(&ours, &p->told) ? SAME_HEAD_TIMES : 1))
		sw_sync_tell_head(s, p, now_ms);
	if (!p->dropped)
		sw_pull_tick(s, p, now_ms);
	if (p->dropped || now_ms - p->pinged_ms < s->timers.ping_ms)
		return;
	p->pinged_ms = now_ms;
	sw_message_nonce(SW_MSG_PING, now_ms, &ping);
	if (sw_sync_send(s, p, &ping) == SW_EAGAIN)
		return; /* its queue is full; if it stays so it is found dead */
}

void sw_sync_tick(struct sw_sync *s, uint64_t now_ms)
{
	tick_held(s, now_ms);
	if (!s->bulk)
		sw_pull_end_bulk(s, NULL, now_ms);
	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->dropped)
			continue;
		if (p->phase != PHASE_MEMBER) {
			if (now_ms - p->since_ms > SW_SYNC_JOIN_MS)
				sw_sync_drop(s, p, "nothing came of joining", true);
			continue;
		}
		if (now_ms - p->heard_ms > s->timers.dead_ms)
			sw_sync_drop(s, p, "it says nothing any more", false);
		else
			tick_member(s, p, now_ms);
	}
	settle(s, now_ms);
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
	out->state = p->phase == PHASE_MEMBER ? SW_PEER_SYNCING : SW_PEER_JOINING;
	if (p->has_head && p->behind_ms == 0)
		out->state = SW_PEER_IN_SYNC;
	out->lag_ms = p->behind_ms ? now_ms - p->behind_ms : 0;
	out->lag_commits = p->phase == PHASE_MEMBER ? sw_serve_lag(s, p) : 0;
	if (p->lacks)
		out->lag_commits += p->head.count > ours.count ? p->head.count - ours.count : 1;
	return true;
}

void sw_sync_counters(const struct sw_sync *s, struct sw_sync_counters *out)
{
	*out = s->counters;
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
