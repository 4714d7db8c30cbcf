#include "net/requests.h"

#include <stdio.h>

const char *sw_asked_text(enum sw_asked a)
{
	switch (a) {
	case SW_ASKED_PENDING:
		return "an admin has to approve it";
	case SW_ASKED_REJECTED:
		return "the request was rejected there";
	default:
		return "the peer keeps no more requests for now; tell an admin the key, who can approve it without one, and run this again";
	}
}

/* r->n: it is not there. */
static size_t place_of(const struct sw_requests *r, const struct sw_key *key)
{
	size_t i = 0;

	while (i < r->n && !sw_key_eq(&r->v[i].key, key))
		i++;
	return i;
}

static void remove_at(struct sw_requests *r, size_t at)
{
	r->n--;
	memmove(&r->v[at], &r->v[at + 1], (r->n - at) * sizeof(r->v[0]));
}

void sw_requests_remove(struct sw_requests *r, const struct sw_key *key)
{
	size_t at = place_of(r, key);

	if (at < r->n)
		remove_at(r, at);
}

size_t sw_requests_match(const struct sw_request *v, size_t n, const char *digits, struct sw_key *out)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		char hex[SW_HASH_HEX_SIZE];

		sw_hex(v[i].key.b, SW_KEY_SIZE, hex);
		if (strncmp(hex, digits, strlen(digits)) != 0)
			continue;
		*out = v[i].key;
		found++;
	}
	return found;
}

void sw_requests_expire(struct sw_requests *r, uint64_t now_ms)
{
	for (size_t i = r->n; i-- > 0;)
		if (now_ms >= r->v[i].until_ms)
			remove_at(r, i);
}

int sw_requests_reject(struct sw_requests *r, const struct sw_key *key, uint64_t now_ms)
{
	size_t at = place_of(r, key);

	if (at == r->n || r->v[at].is_rejected)
		return SW_ENOTFOUND;
	r->v[at].is_rejected = true;
	r->v[at].until_ms = now_ms + SW_REQUEST_MS;
	return 0;
}

static size_t count_from(const struct sw_requests *r, const char *source)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += strcmp(r->v[i].source, source) == 0;
	return n;
}

/* One that was rejected already; else the last of the source that has most, if that is `least` or more. r->n: none. */
static size_t find_victim(const struct sw_requests *r, size_t least)
{
	size_t victim = r->n;

	for (size_t i = 0; i < r->n; i++) {
		size_t n = count_from(r, r->v[i].source);

		if (r->v[i].is_rejected)
			return i;
		if (n < least)
			continue;
		least = n;
		victim = i;
	}
	return victim;
}

/* Whether there is a place for one more of that source. */
static bool make_room(struct sw_requests *r, const char *address)
{
	char source[SW_TRANSPORT_SOURCE_SIZE];
	size_t own, victim;

	sw_transport_source(address, source);
	own = count_from(r, source);
	if (own >= SW_REQUESTS_SOURCE_MAX)
		return false;
	if (r->n < SW_REQUESTS_MAX)
		return true;
	victim = find_victim(r, own + 2);
	if (victim == r->n)
		return false;
	remove_at(r, victim);
	return true;
}

static void note(struct sw_request *q, const char *address, struct sw_view text, uint64_t now_ms)
{
	snprintf(q->address, sizeof(q->address), "%s", address);
	sw_transport_source(address, q->source);
	q->n_text = text.n < sizeof(q->text) ? text.n : sizeof(q->text);
	if (q->n_text > 0)
		memcpy(q->text, text.p, q->n_text);
	q->until_ms = now_ms + SW_REQUEST_MS;
}

enum sw_asked sw_requests_ask(struct sw_requests *r, const struct sw_key *key, const char *address, struct sw_view text,
			      uint64_t wall_ms, uint64_t now_ms, bool *is_new)
{
	size_t at;

	sw_requests_expire(r, now_ms);
	at = place_of(r, key);
	*is_new = at == r->n;
	if (!*is_new && r->v[at].is_rejected)
		return SW_ASKED_REJECTED;
	if (*is_new && !make_room(r, address))
		return SW_ASKED_NO_ROOM;
	if (*is_new) {
		at = r->n++;
		r->v[at] = (struct sw_request){.key = *key, .asked_ms = wall_ms};
	}
	note(&r->v[at], address, text, now_ms);
	return SW_ASKED_PENDING;
}
