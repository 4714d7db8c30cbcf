/*
 * Asking to be let in without a ticket. The one who asks says so again and again, over as many connections as it takes, and the
 * other answers each time how it stands: so nothing needs to be remembered for good, and whatever is lost on either side heals. An
 * admin's grant, made here or anywhere, ends it.
 */
#include "net/sync_internal.h"

#include "core/log.h"

void sw_sync_set_text(struct sw_sync *s, struct sw_view text)
{
	s->n_text = text.n < sizeof(s->text) ? text.n : sizeof(s->text);
	if (s->n_text > 0)
		memcpy(s->text, text.p, s->n_text);
}

bool sw_sync_is_pending(const struct sw_sync *s)
{
	for (const struct peer *p = s->peers; p; p = p->next)
		if (!p->dropped && p->dialled && p->phase == PHASE_PENDING)
			return true;
	return false;
}

void sw_ask_send(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	SW_BUF out = {0};

	sw_message_ask(sw_view(s->text, s->n_text), &out);
	p->pinged_ms = now_ms;
	if (sw_sync_send(s, p, &out) == SW_EAGAIN)
		sw_sync_drop(s, p, "it does not read", false);
}

static enum sw_asked judge(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	const char *address = s->hooks.address(s->hooks.arg, p->id);
	char hex[SW_HASH_HEX_SIZE];
	enum sw_asked result;
	bool is_new;

	result = sw_requests_ask(&s->requests, &p->key, address, m->text, sw_env_wall_ms(sw_db_env(s->db)), now_ms, &is_new);
	sw_hex(p->key.b, SW_KEY_SIZE, hex);
	if (is_new && result == SW_ASKED_PENDING)
		sw_log(SW_LOG_INFO, "%s asks from %s to be let in; 'swarmfs approve' lists who does", hex, address);
	return result;
}

/* How it stands; but for PENDING these are the last words. */
static void answer(struct sw_sync *s, struct peer *p, uint8_t code, const char *text)
{
	SW_BUF out = {0};
	int rc;

	sw_message_joined(code, text, &out);
	rc = sw_sync_send(s, p, &out);
	if (rc == SW_EAGAIN)
		sw_sync_drop(s, p, "it does not read", false);
	else if (rc == 0 && code != SW_ASKED_PENDING)
		sw_sync_drop(s, p, "its request to be let in was refused", false);
}

void sw_ask_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	enum sw_asked result;

	if (sw_sync_asks_too_often(p, now_ms)) {
		sw_sync_drop(s, p, "it asks too often", true);
		return;
	}
	if (sw_sync_role(s, sw_db_key(s->db)) < SW_ROLE_READER) {
		answer(s, p, SW_REDEEMED_NOT_NOW, "the peer there is no member itself; ask another");
		return;
	}
	result = judge(s, p, m, now_ms);
	if (result == SW_ASKED_PENDING)
		p->phase = PHASE_PENDING;
	answer(s, p, (uint8_t)result, sw_asked_text(result));
}

/* Whoever is a member by now asks no more, and would have to ask anew if it is taken out again. */
static void forget_members(struct sw_sync *s)
{
	for (size_t i = s->requests.n; i-- > 0;)
		if (sw_sync_role(s, &s->requests.v[i].key) >= SW_ROLE_READER)
			sw_requests_remove(&s->requests, &s->requests.v[i].key);
}

void sw_ask_review(struct sw_sync *s, uint64_t now_ms)
{
	char hex[SW_HASH_HEX_SIZE];

	forget_members(s);
	for (struct peer *p = s->peers; p; p = p->next) {
		if (p->dropped || p->dialled || p->phase != PHASE_PENDING || sw_sync_role(s, &p->key) < SW_ROLE_READER)
			continue;
		sw_hex(p->key.b, SW_KEY_SIZE, hex);
		sw_log(SW_LOG_INFO, "%.12s, which had asked, was let in", hex);
		sw_sync_become_member(s, p, now_ms);
	}
}

void sw_ask_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	if (now_ms - p->heard_ms > s->timers.dead_ms)
		sw_sync_drop(s, p, "it says nothing any more", false);
	else if (p->dialled && now_ms - p->pinged_ms >= s->timers.ping_ms)
		sw_ask_send(s, p, now_ms);
}

size_t sw_sync_requests(struct sw_sync *s, struct sw_request *out, uint64_t now_ms)
{
	size_t n = 0;

	sw_requests_expire(&s->requests, now_ms);
	forget_members(s);
	for (size_t i = 0; i < s->requests.n; i++)
		if (!s->requests.v[i].is_rejected)
			out[n++] = s->requests.v[i];
	return n;
}

int sw_sync_reject(struct sw_sync *s, const struct sw_key *key, uint64_t now_ms)
{
	int rc = sw_requests_reject(&s->requests, key, now_ms);

	for (struct peer *p = s->peers; rc == 0 && p; p = p->next)
		if (!p->dropped && !p->dialled && p->phase == PHASE_PENDING && sw_key_eq(&p->key, key))
			answer(s, p, SW_ASKED_REJECTED, sw_asked_text(SW_ASKED_REJECTED));
	sw_sync_settle(s, now_ms);
	return rc;
}
