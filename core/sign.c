#include "core/sign.h"

#include <sodium.h>
#include <stdlib.h>

struct sw_identity {
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
	struct sw_key key;
};

int sw_crypto_init(void)
{
	if (sodium_init() < 0)
		return sw_fail(SW_EIO, "libsodium could not start: no source of randomness?");
	return 0;
}

int sw_identity_from_seed(const uint8_t seed[static SW_KEY_SEED_SIZE], struct sw_identity **out)
{
	struct sw_identity *id = sodium_malloc(sizeof(*id));

	if (!id)
		return SW_ENOMEM;
	crypto_sign_seed_keypair(id->key.b, id->secret, seed);
	*out = id;
	return 0;
}

void sw_identity_free(struct sw_identity *id)
{
	sodium_free(id);
}

const struct sw_key *sw_identity_key(const struct sw_identity *id)
{
	return &id->key;
}

void sw_identity_sign(const struct sw_identity *id, struct sw_view message, struct sw_sig *out)
{
	crypto_sign_detached(out->b, NULL, message.p, message.n, id->secret);
}

int sw_sig_verify(const struct sw_key *key, struct sw_view message, const struct sw_sig *sig)
{
	if (crypto_sign_verify_detached(sig->b, message.p, message.n, key->b) != 0)
		return SW_ESIG;
	return 0;
}
