/* Peers, their phases, and the messages that are about neither serving nor pulling. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

#define QUIET_MS 150 /* after a change, before the head is told: a burst is told of once */

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

	while (p && p->id != id)
		p = p->next;
	return p;
}

/* Forget a peer. Whoever still holds a pointer to the one in hand looks at s->current. */
static void remove_peer(struct sw_sync *s, struct peer *p)
{
	struct peer **at = &s->peers;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (s->current == p)
		s->current = NULL;
	/* Its memory goes at the end of the step: callers up the stack still look at it. */
	p->next = s->gone;
	s->gone = p;
}

static void free_gone(struct sw_sync *s)
{
	while (s->gone) {
		struct peer *p = s->gone;

		s->gone = p->next;
		peer_free(p);
	}
}

void sw_sync_drop(struct sw_sync *s, struct peer *p, const char *reason, bool say_bye)
{
	SW_BUF bye = {0};
	uint64_t id = p->id;

	if (p->dropped)
		return;
	p->dropped = true;
	if (say_bye) {
		sw_message_bye(reason, &bye);
		if (bye.rc == 0 && s->hooks.send(s->hooks.arg, id, sw_buf_view(&bye)) < 0)
			say_bye = false; /* then it is not told */
	}
	remove_peer(s, p);
	s->hooks.drop(s->hooks.arg, id, reason);
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

static void tell_head(struct sw_sync *s, struct peer *p, uint64_t now_ms)
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
	tell_head(s, p, now_ms);
	if (!p->dropped)
		sw_pull_start(s, p);
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
	free_gone(s);
}

void sw_sync_peer_down(struct sw_sync *s, uint64_t id)
{
	struct peer *p = find(s, id);

	if (p) {
		p->dropped = true;
		remove_peer(s, p);
	}
	free_gone(s);
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
	sw_sync_changed(s, now_ms);
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

static void note_head(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_head ours;

	sw_db_head(s->db, &ours);
	if (sw_hash_eq(&ours.line, &p->head.line)) {
		p->behind_ms = 0;
		s->synced_once = true;
		if (!sw_hash_eq(&ours.state, &p->head.state))
			sw_log(SW_LOG_ERROR, "the same commits gave another state at a peer; run "
					     "'swarmfs verify' on both");
	} else if (p->behind_ms == 0) {
		p->behind_ms = now_ms;
	}
}

static void handle_head(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	p->head = m->head;
	p->has_head = true;
	note_head(s, p, now_ms);
	/* A request that stands finds it anyway; but what was lost on the way is asked for again. */
	if (p->behind_ms > 0 && (!p->pull.asked || now_ms - p->behind_ms > 2 * s->timers.advert_ms) &&
	    !p->pull.staged && p->pull.again_ms == 0)
		sw_pull_start(s, p);
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
		sw_serve_pull(s, p, m->hashes, m->n_hashes);
		break;
	case SW_MSG_MORE:
		sw_serve_more(s, p);
		break;
	case SW_MSG_COMMITS:
		sw_pull_commits(s, p, m, now_ms);
		break;
	case SW_MSG_WANT:
		sw_serve_records(s, p, m->hashes, m->n_hashes);
		break;
	case SW_MSG_RECORDS:
		sw_pull_records(s, p, m, now_ms);
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
	s->current = p;
	p->heard_ms = now_ms;
	if (sw_message_decode(bytes, &s->message) < 0)
		sw_sync_drop(s, p, "it sent a malformed message", true);
	else
		handle(s, p, &s->message, now_ms);
	sw_message_fini(&s->message);
	s->current = NULL;
	free_gone(s);
}

void sw_sync_writable(struct sw_sync *s, uint64_t id, uint64_t now_ms)
{
	struct peer *p = find(s, id);

	(void)now_ms;
	if (p)
		sw_serve_continue(s, p);
	free_gone(s);
}

/* Whoever has a request standing here is answered. */
void sw_sync_changed(struct sw_sync *s, uint64_t now_ms)
{
	struct peer *next;

	s->changed_ms = now_ms;
	for (struct peer *p = s->peers; p; p = next) {
		next = p->next;
		if (p->phase != PHASE_MEMBER)
			continue;
		if (p->has_head)
			note_head(s, p, now_ms);
		sw_serve_continue(s, p);
	}
	if (!s->current)
		free_gone(s);
}

static void tick_member(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct sw_head ours;
	SW_BUF ping = {0};

	sw_db_head(s->db, &ours);
	if (!sw_head_eq(&ours, &p->told) &&
	    (now_ms - p->told_ms >= s->timers.advert_ms || now_ms - s->changed_ms >= QUIET_MS))
		tell_head(s, p, now_ms);
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
	struct peer *next;

	for (struct peer *p = s->peers; p; p = next) {
		next = p->next;
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
	free_gone(s);
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
	out->lag_commits = p->behind_ms && p->head.count > ours.count ? p->head.count - ours.count : 0;
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
