/*
 * Tickets: one string that lets a newcomer in, once.
 *
 *   text   = "swarmfs1-" base64url(ticket), no padding
 *   ticket = version:u8 database:32 inviter:32 secret:16 expiry:u64 n:u8 address:bytes*n check:4
 *
 * version is 1; expiry is milliseconds since 1970; check is the beginning of SW_DOMAIN_TICKET's hash of
 * all before it. One encoding, all else is refused. A ticket is a secret: whoever has it can join. It is
 * never logged. The inviter's store keeps the hash of the secret and the terms, so that a copy of
 * the store invites nobody.
 */
#ifndef SW_NET_TICKET_H
#define SW_NET_TICKET_H

#include "core/db.h"

#define SW_TICKET_PREFIX	"swarmfs1-"
#define SW_TICKET_SECRET_SIZE	16
#define SW_TICKET_ADDRESSES_MAX 8
#define SW_TICKET_ADDRESS_SIZE	256 /* of an address with its NUL */
#define SW_TICKET_TEXT_MAX	3072

struct sw_ticket {
	bool asks; /* a join address: it has no secret, and an admin has to approve */
	struct sw_hash database;
	struct sw_key inviter;
	uint8_t secret[SW_TICKET_SECRET_SIZE];
	uint64_t expiry_ms; /* wall clock; not of a join address */
	size_t n_addresses; /* at least 1 */
	char addresses[SW_TICKET_ADDRESSES_MAX][SW_TICKET_ADDRESS_SIZE];
};

/* Whether a --peer argument is meant as a ticket, not an address. */
bool sw_ticket_looks_like(const char *text);
/* SW_EFORMAT, SW_EVERSION (a newer kind of ticket), each with a sentence without the ticket in it. */
int sw_ticket_decode(const char *text, struct sw_ticket *out) SW_MUST_CHECK;
/* Append the text (without a NUL) to out. */
void sw_ticket_encode(const struct sw_ticket *t, struct sw_buf *out);

/*
 * A join address says where and whom a newcomer without a ticket asks to be let in: ADDRESS#DATABASE.KEY, the database's id and the
 * key of the peer there in hexadecimal. It is no secret. Without the id there is no session, and with the key nobody can pose as
 * the peer.
 */
/* Whether a --peer argument is meant as one. */
bool sw_ticket_is_join_address(const char *text);
/* SW_EFORMAT, with a sentence. */
int sw_ticket_from_join_address(const char *text, struct sw_ticket *out) SW_MUST_CHECK;
/* Append that of a database at one of its addresses, without a NUL. */
void sw_ticket_put_join_address(const struct sw_db *db, const char *address, struct sw_buf *out);
/* A ticket or a join address; anything else is a bad ticket. */
int sw_ticket_read(const char *text, struct sw_ticket *out) SW_MUST_CHECK;

/* Wipe. */
void sw_ticket_fini(struct sw_ticket *t);

/*
 * Make a ticket, good for expiry_ms from now, and remember its terms durably; append its text to out.
 * Addresses beyond SW_TICKET_ADDRESSES_MAX are left out. SW_EDENIED: only an admin can let others
 * in. SW_EINVAL: no address to be found at. Each with a sentence. Any thread.
 */
int sw_ticket_create(struct sw_db *db, const char *const *addresses, size_t n_addresses, uint64_t expiry_ms,
		     enum sw_role role, struct sw_buf *out) SW_MUST_CHECK;

/* What a ticket's secret is good for. */
enum sw_redeemed {
	SW_REDEEMED = 0,	 /* let the key in with *role */
	SW_REDEEMED_UNKNOWN = 1, /* no such ticket here */
	SW_REDEEMED_EXPIRED = 2,
	SW_REDEEMED_USED = 3,	 /* by another key, or by this one, which was removed since */
	SW_REDEEMED_NOT_NOW = 4, /* the inviter cannot grant: it is no admin (any more), or its store failed */
};
const char *sw_redeemed_text(enum sw_redeemed r);

/*
 * Use a ticket for a key. It is marked as used by that key, durably, before the caller grants anything: a
 * crash between the two loses nothing, since the same key may redeem it again, until it is removed, and no other ever.
 */
int sw_ticket_redeem(struct sw_db *db, struct sw_view secret, const struct sw_key *key,
		     enum sw_redeemed *result, enum sw_role *role) SW_MUST_CHECK;

#endif
