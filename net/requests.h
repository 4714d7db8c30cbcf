/*
 * Who asks to be let in without a ticket: what a peer remembers of them, in memory, until an admin has decided. A plain table
 * with an end; it knows no members and no connections.
 *
 * Everything in it comes from strangers. Nobody is put out by those who ask after it, but where the table is full and one source
 * (sw_transport_source()) has more places than the newcomer's would have: then the last of that source goes. So whoever wants to
 * keep others out must ask from SW_REQUESTS_MAX sources, and keep on asking; and who finds no place can still be
 * approved by its whole key.
 */
#ifndef SW_NET_REQUESTS_H
#define SW_NET_REQUESTS_H

#include "core/sign.h"
#include "net/transport.h"

#define SW_REQUESTS_MAX	       64
#define SW_REQUESTS_SOURCE_MAX 8 /* of one source */
#define SW_REQUEST_TEXT_MAX    256 /* bytes */
#define SW_REQUEST_ADDRESS_SIZE 128 /* of an address with its NUL; what is longer is cut */
#define SW_REQUEST_MS (3ull * 24 * 60 * 60 * 1000) /* for so long one is kept that is not heard of again */

struct sw_request {
	struct sw_key key;
	uint64_t asked_ms; /* wall clock, when it asked first */
	uint64_t until_ms; /* monotonic */
	bool is_rejected;  /* stays until then, so that it is told when it asks again */
	char address[SW_REQUEST_ADDRESS_SIZE]; /* that it came from last */
	char source[SW_TRANSPORT_SOURCE_SIZE]; /* of that */
	size_t n_text;
	uint8_t text[SW_REQUEST_TEXT_MAX]; /* that it said last: anything */
};

struct sw_requests {
	size_t n;
	struct sw_request v[SW_REQUESTS_MAX]; /* in the order in which they came */
};

/* What becomes of a request: codes of JOINED, beside those of enum sw_redeemed. */
enum sw_asked {
	SW_ASKED_PENDING = 5,  /* it is kept: an admin can approve it */
	SW_ASKED_REJECTED = 6, /* somebody here said no */
	SW_ASKED_NO_ROOM = 7,
};
/* The end of a sentence that begins with "joining was refused: ". */
const char *sw_asked_text(enum sw_asked a);

/* A key asks, for the first time or again; *is_new: it was not there, and is now if PENDING. Text of more than SW_REQUEST_TEXT_MAX bytes is cut. */
enum sw_asked sw_requests_ask(struct sw_requests *r, const struct sw_key *key, const char *address, struct sw_view text,
			      uint64_t wall_ms, uint64_t now_ms, bool *is_new);
/* Those that have had their time go. */
void sw_requests_expire(struct sw_requests *r, uint64_t now_ms);
/* Say no, for SW_REQUEST_MS. SW_ENOTFOUND: it is not there, or was rejected already. */
int sw_requests_reject(struct sw_requests *r, const struct sw_key *key, uint64_t now_ms) SW_MUST_CHECK;
/* How many of n requests are by keys that begin with these digits; *out is the last such key. */
size_t sw_requests_match(const struct sw_request *v, size_t n, const char *digits, struct sw_key *out);
/* Forget one. */
void sw_requests_remove(struct sw_requests *r, const struct sw_key *key);

#endif
