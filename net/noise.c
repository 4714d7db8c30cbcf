/*
 * The names follow the Noise specification (MixHash, MixKey, Split; ck, h, k; ee, es, se), so that
 * the two can be read side by side. The HKDF is HMAC over BLAKE2b-512, as the specification wants,
 * and neither libsodium's crypto_kdf nor keyed BLAKE2b, which give other keys.
 */
#include "net/noise.h"

#include <assert.h>
#include <sodium.h>

#define BLOCK_SIZE 128 /* of BLAKE2b, for HMAC */
#define N_MESSAGES 3

_Static_assert(SW_NOISE_TAG_SIZE == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag size");
_Static_assert(SW_NOISE_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "key size");
_Static_assert(SW_NOISE_KEY_SIZE == crypto_scalarmult_BYTES, "X25519 key size");
_Static_assert(SW_NOISE_HASH_SIZE == crypto_generichash_blake2b_BYTES_MAX, "hash size");

enum token { END, E, S, EE, ES, SE };

static const enum token pattern[N_MESSAGES][5] = {
    {E, END},
    {E, EE, S, ES, END},
    {S, SE, END},
};

static const char protocol_name[] = "Noise_XX_25519_ChaChaPoly_BLAKE2b";

/* HMAC-BLAKE2b-512 of a || b. Keys are never longer than a block here. */
static void hmac(const uint8_t key[static SW_NOISE_HASH_SIZE], struct sw_view a, struct sw_view b,
		 uint8_t out[static SW_NOISE_HASH_SIZE])
{
	crypto_generichash_blake2b_state st;
	uint8_t inner[SW_NOISE_HASH_SIZE];
	uint8_t pad[BLOCK_SIZE] = {0};

	memcpy(pad, key, SW_NOISE_HASH_SIZE);
	for (size_t i = 0; i < BLOCK_SIZE; i++)
		pad[i] ^= 0x36;
	crypto_generichash_blake2b_init(&st, NULL, 0, SW_NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&st, pad, BLOCK_SIZE);
	crypto_generichash_blake2b_update(&st, a.p, a.n);
	crypto_generichash_blake2b_update(&st, b.p, b.n);
	crypto_generichash_blake2b_final(&st, inner, SW_NOISE_HASH_SIZE);

	for (size_t i = 0; i < BLOCK_SIZE; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	crypto_generichash_blake2b_init(&st, NULL, 0, SW_NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&st, pad, BLOCK_SIZE);
	crypto_generichash_blake2b_update(&st, inner, SW_NOISE_HASH_SIZE);
	crypto_generichash_blake2b_final(&st, out, SW_NOISE_HASH_SIZE);

	sodium_memzero(&st, sizeof(st));
	sodium_memzero(inner, sizeof(inner));
	sodium_memzero(pad, sizeof(pad));
}

/* HKDF with two outputs. first may be ck itself. */
static void hkdf2(const uint8_t ck[static SW_NOISE_HASH_SIZE], struct sw_view ikm,
		  uint8_t first[static SW_NOISE_HASH_SIZE],
		  uint8_t second[static SW_NOISE_HASH_SIZE])
{
	static const uint8_t one = 1;
	static const uint8_t two = 2;
	uint8_t temp[SW_NOISE_HASH_SIZE];

	hmac(ck, ikm, sw_view(NULL, 0), temp);
	hmac(temp, sw_view(&one, 1), sw_view(NULL, 0), first);
	hmac(temp, sw_view(first, SW_NOISE_HASH_SIZE), sw_view(&two, 1), second);
	sodium_memzero(temp, sizeof(temp));
}

static void mix_hash(struct sw_noise *n, struct sw_view data)
{
	crypto_generichash_blake2b_state st;

	crypto_generichash_blake2b_init(&st, NULL, 0, SW_NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&st, n->h, SW_NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&st, data.p, data.n);
	crypto_generichash_blake2b_final(&st, n->h, SW_NOISE_HASH_SIZE);
}

static void mix_key(struct sw_noise *n, struct sw_view ikm)
{
	uint8_t temp[SW_NOISE_HASH_SIZE];

	hkdf2(n->ck, ikm, n->ck, temp);
	memcpy(n->k.key, temp, SW_NOISE_KEY_SIZE);
	n->k.nonce = 0;
	n->has_key = true;
	sodium_memzero(temp, sizeof(temp));
}

/* 4 zero bytes, then the counter with its low byte first. */
static void nonce_bytes(uint64_t nonce,
			uint8_t out[static crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
	memset(out, 0, 4);
	for (int i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(nonce >> (8 * i));
}

static int aead_encrypt(struct sw_noise_cipher *c, struct sw_view ad, struct sw_view plain,
			uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	if (plain.n > SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE)
		return sw_fail(SW_ELIMIT, "a record of %zu bytes is too long for Noise", plain.n);
	/* The last value is reserved by the specification; reaching it must not wrap to 0. */
	if (c->nonce == UINT64_MAX)
		return sw_fail(SW_ELIMIT, "the session's record counter is spent: reconnect");
	nonce_bytes(c->nonce, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.p, plain.n, ad.p, ad.n, NULL,
						  nonce, c->key);
	c->nonce++;
	return 0;
}

static int aead_decrypt(struct sw_noise_cipher *c, struct sw_view ad, struct sw_view sealed,
			uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	if (sealed.n < SW_NOISE_TAG_SIZE)
		return sw_fail(SW_EFORMAT, "an encrypted record of %zu bytes is too short",
			       sealed.n);
	if (sealed.n > SW_NOISE_MESSAGE_MAX)
		return sw_fail(SW_ELIMIT, "an encrypted record of %zu bytes is too long", sealed.n);
	if (c->nonce == UINT64_MAX)
		return sw_fail(SW_ELIMIT, "the session's record counter is spent: reconnect");
	nonce_bytes(c->nonce, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.p, sealed.n, ad.p,
						      ad.n, nonce, c->key) != 0)
		return sw_fail(SW_ESIG, "a record does not decrypt: wrong key, order or content");
	c->nonce++;
	return 0;
}

/* EncryptAndHash: append the sealed data to out; in the clear while there is no key yet. */
static int encrypt_and_hash(struct sw_noise *n, struct sw_view plain, struct sw_buf *out)
{
	size_t sealed_size = plain.n + (n->has_key ? SW_NOISE_TAG_SIZE : 0);
	uint8_t *to = sw_buf_reserve(out, sealed_size + 1); /* room for nothing could be NULL */
	int rc = 0;

	if (!to)
		return SW_ENOMEM;
	if (n->has_key)
		rc = aead_encrypt(&n->k, sw_view(n->h, SW_NOISE_HASH_SIZE), plain, to);
	else if (plain.n > 0)
		memcpy(to, plain.p, plain.n);
	if (rc < 0)
		return rc;
	out->n += sealed_size;
	mix_hash(n, sw_view(to, sealed_size));
	return 0;
}

/* DecryptAndHash into out, which has room for sealed.n bytes. */
static int decrypt_and_hash(struct sw_noise *n, struct sw_view sealed, uint8_t *out)
{
	int rc = 0;

	if (n->has_key)
		rc = aead_decrypt(&n->k, sw_view(n->h, SW_NOISE_HASH_SIZE), sealed, out);
	else if (sealed.n > 0)
		memcpy(out, sealed.p, sealed.n);
	if (rc < 0)
		return rc;
	mix_hash(n, sealed);
	return 0;
}

/* MixKey(DH(own, theirs)). A public key of small order would make the result known to anyone. */
static int mix_dh(struct sw_noise *n, const uint8_t *own, const uint8_t *theirs)
{
	uint8_t shared[SW_NOISE_KEY_SIZE];

	if (crypto_scalarmult(shared, own, theirs) != 0) {
		sodium_memzero(shared, sizeof(shared));
		return sw_fail(SW_ESIG, "the peer's handshake key is of small order");
	}
	mix_key(n, sw_view(shared, sizeof(shared)));
	sodium_memzero(shared, sizeof(shared));
	return 0;
}

static int mix_token(struct sw_noise *n, enum token token)
{
	switch (token) {
	case EE:
		return mix_dh(n, n->e, n->re);
	case ES:
		return n->initiator ? mix_dh(n, n->e, n->rs) : mix_dh(n, n->s, n->re);
	case SE:
		return n->initiator ? mix_dh(n, n->s, n->re) : mix_dh(n, n->e, n->rs);
	default:
		assert(!"a token that is not a DH");
		return SW_EINVAL;
	}
}

static int write_token(struct sw_noise *n, enum token token, struct sw_buf *out)
{
	switch (token) {
	case E:
		sw_buf_put(out, n->e_pub, SW_NOISE_KEY_SIZE);
		mix_hash(n, sw_view(n->e_pub, SW_NOISE_KEY_SIZE));
		return out->rc;
	case S:
		return encrypt_and_hash(n, sw_view(n->s_pub, SW_NOISE_KEY_SIZE), out);
	default:
		return mix_token(n, token);
	}
}

static int read_token(struct sw_noise *n, enum token token, struct sw_rd *r)
{
	struct sw_view sealed;

	switch (token) {
	case E:
		sw_rd_copy(r, n->re, SW_NOISE_KEY_SIZE);
		mix_hash(n, sw_view(n->re, SW_NOISE_KEY_SIZE));
		break;
	case S:
		assert(n->has_key);
		sealed = sw_rd_take(r, SW_NOISE_KEY_SIZE + SW_NOISE_TAG_SIZE);
		if (!r->bad)
			return decrypt_and_hash(n, sealed, n->rs);
		break;
	default:
		return mix_token(n, token);
	}
	return r->bad ? sw_fail(SW_EFORMAT, "a handshake message is too short") : 0;
}

static bool our_turn(const struct sw_noise *n)
{
	return n->n_messages < N_MESSAGES && n->initiator == (n->n_messages % 2 == 0);
}

static bool their_turn(const struct sw_noise *n)
{
	return n->n_messages < N_MESSAGES && !our_turn(n);
}

static int end_message(struct sw_noise *n, int rc)
{
	if (rc < 0) {
		sw_noise_fini(n);
		n->failed = true;
		return rc;
	}
	n->n_messages++;
	return 0;
}

void sw_noise_start(struct sw_noise *n, bool initiator, struct sw_view prologue,
		    const uint8_t static_secret[static SW_NOISE_KEY_SIZE],
		    const uint8_t ephemeral_secret[static SW_NOISE_KEY_SIZE])
{
	_Static_assert(sizeof(protocol_name) - 1 <= SW_NOISE_HASH_SIZE, "a longer name is hashed");

	*n = (struct sw_noise){.initiator = initiator};
	memcpy(n->h, protocol_name, sizeof(protocol_name) - 1);
	memcpy(n->ck, n->h, SW_NOISE_HASH_SIZE);
	memcpy(n->s, static_secret, SW_NOISE_KEY_SIZE);
	memcpy(n->e, ephemeral_secret, SW_NOISE_KEY_SIZE);
	crypto_scalarmult_base(n->s_pub, n->s);
	crypto_scalarmult_base(n->e_pub, n->e);
	mix_hash(n, prologue);
}

void sw_noise_fini(struct sw_noise *n)
{
	sodium_memzero(n, sizeof(*n));
}

int sw_noise_write(struct sw_noise *n, struct sw_view payload, struct sw_buf *out)
{
	size_t before = out->n;
	int rc = 0;

	if (n->failed || !our_turn(n))
		return sw_fail(SW_EINVAL, "a handshake message is written out of turn");
	for (const enum token *t = pattern[n->n_messages]; *t != END && rc == 0; t++)
		rc = write_token(n, *t, out);
	if (rc == 0)
		rc = encrypt_and_hash(n, payload, out);
	if (rc == 0 && out->n - before > SW_NOISE_MESSAGE_MAX)
		rc = sw_fail(SW_ELIMIT, "a handshake payload of %zu bytes is too long", payload.n);
	if (rc < 0)
		out->n = before;
	return end_message(n, rc);
}

int sw_noise_read(struct sw_noise *n, struct sw_view message, struct sw_buf *out)
{
	struct sw_rd r = sw_rd(message);
	struct sw_view sealed;
	uint8_t *to = NULL;
	int rc = 0;

	if (n->failed || !their_turn(n))
		return sw_fail(SW_EINVAL, "a handshake message arrives out of turn");
	if (message.n > SW_NOISE_MESSAGE_MAX)
		rc = sw_fail(SW_ELIMIT, "a handshake message of %zu bytes is too long", message.n);
	for (const enum token *t = pattern[n->n_messages]; *t != END && rc == 0; t++)
		rc = read_token(n, *t, &r);
	sealed = sw_rd_take(&r, sw_rd_left(&r));
	if (rc == 0) {
		to = sw_buf_reserve(out, sealed.n + 1); /* room for nothing could be NULL */
		rc = to ? decrypt_and_hash(n, sealed, to) : SW_ENOMEM;
	}
	if (rc == 0)
		out->n += sealed.n - (n->has_key ? SW_NOISE_TAG_SIZE : 0);
	return end_message(n, rc);
}

bool sw_noise_done(const struct sw_noise *n)
{
	return n->n_messages == N_MESSAGES;
}

const uint8_t *sw_noise_hash(const struct sw_noise *n)
{
	assert(sw_noise_done(n));
	return n->h;
}

const uint8_t *sw_noise_remote_static(const struct sw_noise *n)
{
	assert(sw_noise_done(n));
	return n->rs;
}

const uint8_t *sw_noise_static(const struct sw_noise *n)
{
	return n->s_pub;
}

void sw_noise_split(struct sw_noise *n, struct sw_noise_cipher *send,
		    struct sw_noise_cipher *receive)
{
	uint8_t first[SW_NOISE_HASH_SIZE];
	uint8_t second[SW_NOISE_HASH_SIZE];

	assert(sw_noise_done(n));
	assert(n->has_key);
	hkdf2(n->ck, sw_view(NULL, 0), first, second);
	memcpy(send->key, n->initiator ? first : second, SW_NOISE_KEY_SIZE);
	memcpy(receive->key, n->initiator ? second : first, SW_NOISE_KEY_SIZE);
	send->nonce = 0;
	receive->nonce = 0;
	sodium_memzero(first, sizeof(first));
	sodium_memzero(second, sizeof(second));
	sodium_memzero(n->ck, sizeof(n->ck));
	sodium_memzero(n->s, sizeof(n->s));
	sodium_memzero(n->e, sizeof(n->e));
	sodium_memzero(&n->k, sizeof(n->k));
	n->has_key = false; /* a second split would give keys that anyone can compute */
}

void sw_noise_cipher_fini(struct sw_noise_cipher *c)
{
	sodium_memzero(c, sizeof(*c));
}

int sw_noise_encrypt(struct sw_noise_cipher *c, struct sw_view plain, uint8_t *out)
{
	return aead_encrypt(c, sw_view(NULL, 0), plain, out);
}

int sw_noise_decrypt(struct sw_noise_cipher *c, struct sw_view record, uint8_t *out)
{
	return aead_decrypt(c, sw_view(NULL, 0), record, out);
}
