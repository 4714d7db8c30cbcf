/* Who is let in and believed: tickets, members, keys that sent what no honest peer sends. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/plain.h"

int sw_sync_role(struct sw_sync *s, const struct sw_key *key)
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

void sw_sync_become_member(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	SW_BUF hello = {0};

	p->phase = PHASE_MEMBER;
	sw_message_hello(sw_env_wall_ms(sw_db_env(s->db)), &hello);
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

/* That of the key, or a new one in the place of the one that ends first. */
static struct ban *ban_for(struct sw_sync *s, const struct sw_key *key)
{
	struct ban *b = ban_of(s, key);

	if (b)
		return b;
	b = &s->bans[0];
	for (size_t i = 1; i < BANS_MAX; i++)
		if (s->bans[i].until_ms < b->until_ms)
			b = &s->bans[i];
	*b = (struct ban){.key = *key, .wait_ms = SW_SYNC_BAN_MIN_MS / 2};
	return b;
}

void sw_sync_distrust(struct sw_sync *s, struct peer *p, const char *reason)
{
	struct ban *b;

	/* A stranger has as many keys as it likes; they must not push out those of members. */
	if (p->phase != PHASE_MEMBER) {
		sw_sync_drop(s, p, reason, true);
		return;
	}
	b = ban_for(s, &p->key);
	b->wait_ms *= 2;
	if (b->wait_ms > SW_SYNC_BAN_MAX_MS)
		b->wait_ms = SW_SYNC_BAN_MAX_MS;
	b->until_ms = p->heard_ms + b->wait_ms;
	sw_sync_drop(s, p, reason, true);
}

void sw_sync_note_out(struct sw_sync *s, struct peer *p, uint64_t bytes)
{
	struct ban *b = ban_for(s, &p->key);

	b->out_bytes += bytes;
	if (b->out_bytes <= OUT_BYTES_MAX)
		return;
	b->out_bytes = 0;
	sw_sync_distrust(s, p, "it sends what removed members signed");
}

static bool is_banned(struct sw_sync *s, const struct sw_key *key, uint64_t now_ms)
{
	const struct ban *b = ban_of(s, key);

	return b && now_ms < b->until_ms;
}

/* Two peers that dial each other need one connection: that of the smaller key, else the newer one. */
static bool is_superfluous(struct sw_sync *s, struct peer *p)
{
	const struct sw_key *ours = sw_identity_key(sw_db_session_identity(s->db));
	bool ours_is_smaller = memcmp(ours->b, p->key.b, SW_KEY_SIZE) < 0;

	for (struct peer *q = s->peers; q; q = q->next) {
		if (q == p || q->dropped || !sw_key_eq(&q->key, &p->key))
			continue;
		if (q->dialled != p->dialled && q->dialled == ours_is_smaller)
			return true;
		sw_sync_drop(s, q, SW_SYNC_CONNECTED_TWICE, false);
	}
	return false;
}

/*
 * Whether a newcomer was dialled by its inviter, which has let it in, but whose commits never arrived. It must not be sent
 * away: where both dial, this may be the connection that stays.
 */
static bool is_fetched(struct sw_sync *s, const struct sw_key *key)
{
	return s->has_inviter && sw_key_eq(key, &s->inviter) && sw_sync_role(s, sw_db_key(s->db)) < SW_ROLE_READER;
}

/* Whether we may believe whom we dialled: a member, or, as long as we know no members, who invited us. */
static bool is_believed(struct sw_sync *s, const struct sw_key *key, const struct sw_ticket *ticket)
{
	if (ticket && sw_key_eq(key, &ticket->inviter))
		return true;
	return sw_sync_role(s, key) >= SW_ROLE_READER;
}

bool sw_sync_renew_key(struct sw_sync *s, uint64_t now_ms)
{
	char old[SW_HASH_HEX_SIZE], new[SW_HASH_HEX_SIZE];
	int rc;

	sw_hex(sw_db_key(s->db)->b, SW_KEY_SIZE, old);
	s->renew_ms = now_ms + SW_SYNC_RETRY_MS;
	rc = sw_db_renew_key(s->db);
	if (rc < 0) {
		sw_sync_complain(s, "the key of this store is in use elsewhere, and cannot be replaced for now", rc, now_ms);
		return false;
	}
	sw_hex(sw_db_key(s->db)->b, SW_KEY_SIZE, new);
	sw_log(SW_LOG_WARN, "the key of this store, %.12s, is in use elsewhere: the store was copied, or restored from a backup; "
			    "from now on its key is %.12s", old, new);
	s->moved = true;
	return true;
}

void sw_sync_note_key(struct sw_sync *s, const struct peer *p, uint64_t now_ms)
{
	int rc;

	if (!sw_db_is_between_keys(s->db) || !p->has_head || sw_serve_lag(s, p) > 0)
		return;
	rc = sw_db_key_is_known(s->db);
	if (rc < 0)
		sw_sync_complain(s, "the old key of this store is not needed any more, and cannot be removed", rc, now_ms);
}

static void become_removed(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	p->phase = PHASE_REMOVED;
	p->since_ms = now_ms;
	sw_serve_continue(s, p, now_ms);
}

/* Whether members are others than at the last time; then those are remembered. */
static bool members_changed(struct sw_sync *s)
{
	struct sw_table t = {0};
	struct sw_reader r;
	bool changed;
	int rc;

	if (sw_reader_begin(s->db, &r) < 0)
		return false;
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_MEMBERS), &t);
	changed = rc == 0 && !sw_hash_eq(&t.root, &s->members);
	if (changed)
		s->members = t.root;
	sw_reader_end(&r);
	return changed;
}

void sw_sync_review(struct sw_sync *s, uint64_t now_ms)
{
	if (!members_changed(s))
		return;
	sw_ask_review(s, now_ms);
	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->dropped || p->phase != PHASE_MEMBER || sw_sync_role(s, &p->key) >= SW_ROLE_READER)
			continue;
		if (is_empty(s) || is_fetched(s, &p->key))
			continue; /* no members are known yet */
		if (s->bulk == p)
			sw_pull_end_bulk(s, p, now_ms);
		if (sw_serve_removed(s, p))
			become_removed(s, p, now_ms);
		else /* its grant does not count any more: whoever let it in was removed */
			sw_sync_drop(s, p, "nobody who may let others in has let it in", false);
	}
}

static void refuse_unknown(struct sw_sync *s, struct peer *p)
{
	if (p->asks)
		sw_sync_refuse(s, "the peer there has another key than the address names; ask for the address again");
	sw_sync_drop(s, p, p->asks	? "it is not the one that the join address names"
			   : is_empty(s) ? "it is not the one who made the ticket"
					 : "it is not a member of this database", false);
}

static void present(struct sw_sync *s, struct peer *p, const struct sw_ticket *ticket)
{
	SW_BUF join = {0};

	sw_message_join(ticket->secret, &join);
	if (sw_sync_send(s, p, &join) == SW_EAGAIN)
		sw_sync_drop(s, p, "it does not read", false);
}

void sw_sync_peer_up(struct sw_sync *s, uint64_t id, const struct sw_key *key, bool dialled,
		     const struct sw_ticket *ticket, uint64_t now_ms)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		s->hooks.drop(s->hooks.arg, id, "out of memory");
		return;
	}
	*p = (struct peer){.next = s->peers, .id = id, .key = *key, .dialled = dialled,
			   .since_ms = now_ms, .heard_ms = now_ms, .pinged_ms = now_ms};
	s->peers = p;
	if (ticket) {
		p->asks = ticket->asks;
		s->inviter = ticket->inviter;
		s->has_inviter = true;
	}
	/* A copy of the store, or what it was copied from. Who dialled takes another key; until then both are one member. */
	if (sw_key_eq(key, sw_db_key(s->db)) && (!dialled || sw_sync_renew_key(s, now_ms)))
		sw_log(SW_LOG_INFO, "a peer has the key that this store has%s: one of the two was copied", dialled ? " had" : "");
	if (is_banned(s, key, now_ms)) {
		sw_sync_drop(s, p, "it is not listened to for a while, for what it sent", true);
	} else if (is_superfluous(s, p)) {
		sw_sync_drop(s, p, SW_SYNC_CONNECTED_TWICE, false);
	} else if (sw_sync_role(s, key) < SW_ROLE_READER && sw_serve_removed(s, p)) {
		become_removed(s, p, now_ms);
	} else if (dialled && !is_believed(s, key, ticket)) {
		refuse_unknown(s, p);
	} else if (dialled && ticket && sw_sync_role(s, sw_db_key(s->db)) < SW_ROLE_READER) {
		p->phase = PHASE_JOINING;
		if (ticket->asks)
			sw_ask_send(s, p, now_ms);
		else
			present(s, p, ticket);
	} else if (dialled || sw_sync_role(s, key) >= SW_ROLE_READER) {
		sw_sync_become_member(s, p, now_ms);
	} else {
		p->phase = is_fetched(s, key) ? PHASE_JOINING : PHASE_AWAIT_JOIN;
	}
	sw_sync_settle(s, now_ms);
}

/* Joining */

static int grant(struct sw_sync *s, const struct sw_key *key, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	if (sw_sync_role(s, key) >= (int)role)
		return 0;
	return sw_db_commit(s->db, &w, &id);
}

void sw_sync_handle_join(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
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
		sw_sync_become_member(s, p, now_ms);
	s->moved = true;
}

void sw_sync_handle_joined(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	char text[sizeof(s->refusal)];

	/* HELLO: we are a member there, already or now; or the answer was lost the first time. */
	if (m->type == SW_MSG_HELLO || m->code == 0) {
		sw_sync_become_member(s, p, now_ms);
		return;
	}
	if (p->asks && m->code == SW_ASKED_PENDING) {
		p->phase = PHASE_PENDING;
		return;
	}
	/* Its words are for people: only what can be shown. */
	snprintf(text, sizeof(text), "%.*s", (int)m->text.n, (const char *)m->text.p);
	sw_plain(text, sizeof(text));
	sw_sync_refuse(s, text);
	sw_sync_drop(s, p, s->refusal, false);
}

void sw_sync_refuse(struct sw_sync *s, const char *reason)
{
	snprintf(s->refusal, sizeof(s->refusal), "%s", reason);
}
