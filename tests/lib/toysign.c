#include "tests/lib/toysign.h"

#include "core/sign.h"

/* As libsodium declares them, which only core/ includes. */
int crypto_sign_detached(unsigned char *sig, unsigned long long *len, const unsigned char *m,
			 unsigned long long n, const unsigned char *secret);
int crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
				unsigned long long n, const unsigned char *key);

void toysign_use(void)
{
}

static void sign(const unsigned char *key, const unsigned char *m, unsigned long long n,
		 unsigned char *sig)
{
	struct sw_hash h;

	sw_hash_compute2(SW_DOMAIN_COMMIT, sw_view(key, SW_KEY_SIZE), sw_view(m, (size_t)n), &h);
	memcpy(sig, h.b, SW_HASH_SIZE);
	memcpy(sig + SW_HASH_SIZE, key, SW_SIG_SIZE - SW_HASH_SIZE);
}

int crypto_sign_detached(unsigned char *sig, unsigned long long *len, const unsigned char *m,
			 unsigned long long n, const unsigned char *secret)
{
	(void)len;
	sign(secret + SW_KEY_SEED_SIZE, m, n, sig); /* the public key is behind the seed */
	return 0;
}

int crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
				unsigned long long n, const unsigned char *key)
{
	unsigned char right[SW_SIG_SIZE];

	sign(key, m, n, right);
	return memcmp(sig, right, sizeof(right)) == 0 ? 0 : -1;
}
