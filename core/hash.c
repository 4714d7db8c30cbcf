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

/* SipHash's four words. */
struct sip {
	uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotate(s->b, 17) ^ s->c;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c = rotate(s->c, 32);
}

static inline void sip_absorb(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	s->a ^= word;
}

static inline uint64_t word_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

uint64_t sw_sip13(const struct sw_sip_key *key, struct sw_view bytes)
{
	uint64_t k0 = word_at(key->b), k1 = word_at(key->b + 8), last = (uint64_t)bytes.n << 56;
	struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
	const uint8_t *p = bytes.p;
	size_t n = bytes.n;

	for (; n >= 8; p += 8, n -= 8)
		sip_absorb(&s, word_at(p));
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << 8 * i;
	sip_absorb(&s, last);
	s.c ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
