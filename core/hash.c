#include "core/hash.h"

#include <assert.h>
#include <endian.h>
#include <sodium.h>

const struct sw_hash sw_hash_zero;

static const char *const personal[] = {
#define X(name, text) text,
    SW_HASH_DOMAINS(X)
#undef X
};

static void hash_init(crypto_generichash_blake2b_state *st, enum sw_hash_domain domain)
{
	unsigned char person[crypto_generichash_blake2b_PERSONALBYTES] = {0};

	assert((size_t)domain < sizeof(personal) / sizeof(personal[0]));
	assert(strlen(personal[domain]) <= sizeof(person));
	memcpy(person, personal[domain], strlen(personal[domain]));
	crypto_generichash_blake2b_init_salt_personal(st, NULL, 0, SW_HASH_SIZE, NULL, person);
}

void sw_hash_compute(enum sw_hash_domain domain, struct sw_view bytes, struct sw_hash *out)
{
	sw_hash_compute2(domain, bytes, sw_view(NULL, 0), out);
}

void sw_hash_compute2(enum sw_hash_domain domain, struct sw_view a, struct sw_view b,
		      struct sw_hash *out)
{
	crypto_generichash_blake2b_state st;

	hash_init(&st, domain);
	crypto_generichash_blake2b_update(&st, a.p, a.n);
	crypto_generichash_blake2b_update(&st, b.p, b.n);
	crypto_generichash_blake2b_final(&st, out->b, SW_HASH_SIZE);
}

void sw_hex(const uint8_t *p, size_t n, char *out)
{
	sodium_bin2hex(out, 2 * n + 1, p, n);
}

int sw_base64(struct sw_view bytes, struct sw_buf *out)
{
	size_t size = sodium_base64_ENCODED_LEN(bytes.n, sodium_base64_VARIANT_ORIGINAL);
	uint8_t *to = sw_buf_reserve(out, size);

	if (!to)
		return SW_ENOMEM;
	sodium_bin2base64((char *)to, size, bytes.p, bytes.n, sodium_base64_VARIANT_ORIGINAL);
	out->n += size - 1; /* not its NUL */
	return 0;
}

int sw_unhex(struct sw_view text, uint8_t *out, size_t n)
{
	size_t got = 0;

	if (text.n != 2 * n)
		return SW_EFORMAT;
	if (sodium_hex2bin(out, n, (const char *)text.p, text.n, NULL, &got, NULL) != 0 || got != n)
		return SW_EFORMAT;
	return 0;
}

void sw_sip_derive(const struct sw_hash *salt, uint8_t purpose, uint8_t level,
		   struct sw_sip_key *out)
{
	uint8_t tail[2] = {purpose, level};
	struct sw_hash h;

	sw_hash_compute2(SW_DOMAIN_SALT, sw_hash_view(salt), sw_view(tail, sizeof(tail)), &h);
	memcpy(out->b, h.b, sizeof(out->b));
}

uint64_t sw_sip(const struct sw_sip_key *key, struct sw_view bytes)
{
	uint64_t v;

	static_assert(sizeof(v) == crypto_shorthash_BYTES, "the result is one number");
	crypto_shorthash((uint8_t *)&v, bytes.p, bytes.n, key->b);
	return le64toh(v); /* SipHash is defined with a little-endian result */
}
