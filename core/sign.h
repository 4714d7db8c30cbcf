/*
 * Identity keys: Ed25519 (RFC 8032) as libsodium 1.0.18 does it. A public key names an author and
 * a peer. Verification happens in this one place, one signature at a time, without batching, so that
 * every peer gives the same verdict on odd signatures.
 */
#ifndef SW_CORE_SIGN_H
#define SW_CORE_SIGN_H

#include "core/hash.h"

#define SW_KEY_SIZE 32
#define SW_SIG_SIZE 64
#define SW_KEY_SEED_SIZE 32

struct sw_key {
	uint8_t b[SW_KEY_SIZE];
};

struct sw_sig {
	uint8_t b[SW_SIG_SIZE];
};

static inline bool sw_key_eq(const struct sw_key *a, const struct sw_key *b)
{
	return memcmp(a->b, b->b, SW_KEY_SIZE) == 0;
}

/* A secret key with its public half; lives in sodium_malloc memory and is wiped when freed. */
struct sw_identity;

/* Must be called before anything else of core/. Idempotent; any thread. SW_EIO if libsodium fails. */
int sw_crypto_init(void) SW_MUST_CHECK;

/* From a seed of 32 bytes. The caller wipes the seed. SW_ENOMEM. */
int sw_identity_from_seed(const uint8_t seed[static SW_KEY_SEED_SIZE],
			  struct sw_identity **out) SW_MUST_CHECK;
void sw_identity_free(struct sw_identity *id);
const struct sw_key *sw_identity_key(const struct sw_identity *id);
void sw_identity_sign(const struct sw_identity *id, struct sw_view message, struct sw_sig *out);

/* 0 or SW_ESIG. Thread-safe. */
int sw_sig_verify(const struct sw_key *key, struct sw_view message,
		  const struct sw_sig *sig) SW_MUST_CHECK;

#endif
