/*
 * Tickets: one string with all that a newcomer needs. A ticket lets in whoever holds it, once, so it is a secret.
 *
 *   ticket  = "swarmfs1-" base64url(body check:4)             without padding
 *   body    = database:hash inviter:32 secret:32 expires:u64 n:varint address:bytes*n
 *   check   = first 4 bytes of the TICKET hash of body        against typing errors only
 *
 * The inviter's store remembers the hash of the secret, until when it is good and whether it was used.
 */
#ifndef SW_NET_TICKET_H
#define SW_NET_TICKET_H

#include "core/db.h"

#define SW_TICKET_PREFIX	"swarmfs1-"
#define SW_TICKET_SECRET_SIZE	32
#define SW_TICKET_ADDRESSES_MAX 16
#define SW_TICKET_ADDRESS_MAX	200

struct sw_ticket {
	struct sw_hash database;
	struct sw_key inviter;
	uint8_t secret[SW_TICKET_SECRET_SIZE];
	uint64_t expires_ms; /* wall clock */
	size_t n_addresses;
	char addresses[SW_TICKET_ADDRESSES_MAX][SW_TICKET_ADDRESS_MAX + 1];
};

/* Whether a text is meant to be a ticket. */
bool sw_ticket_is(const char *text);
/* SW_EFORMAT with a sentence. */
int sw_ticket_decode(const char *text, struct sw_ticket *out) SW_MUST_CHECK;
/* Appends the text and a NUL. */
int sw_ticket_encode(const struct sw_ticket *t, struct sw_buf *out) SW_MUST_CHECK;

/* Remember a new ticket's secret in the inviter's store, durably. */
int sw_ticket_store(struct sw_db *db, const struct sw_ticket *t) SW_MUST_CHECK;
/*
 * Use a secret up, durably: 0 once. SW_ENOTFOUND unknown, SW_EEXIST used already, SW_EAGAIN expired. A key that used it
 * before may again: its answer may have been lost.
 */
int sw_ticket_use(struct sw_db *db, const uint8_t secret[static SW_TICKET_SECRET_SIZE],
		  const struct sw_key *key) SW_MUST_CHECK;

#endif
