/*
 * Noise_XX_25519_ChaChaPoly_BLAKE2b (noiseprotocol.org, revision 34) on libsodium: the handshake
 * and the two transport ciphers that come out of it. Nothing else: no framing, no identities, no
 * randomness of its own. net/session.h builds a peer's session on it.
 *
 *	-> e
 *	<- e, ee, s, es
 *	-> s, se
 *
 * Both structures are the caller's storage and hold secrets: put them into sodium_malloc() memory
 * and call the fini function on every path.
 */
#ifndef SW_NET_NOISE_H
#define SW_NET_NOISE_H

#include "core/buf.h"

#define SW_NOISE_MESSAGE_MAX 65535 /* of a handshake message and of a transport record */
#define SW_NOISE_TAG_SIZE    16
#define SW_NOISE_KEY_SIZE    32 /* X25519 keys, public and secret, and cipher keys */
#define SW_NOISE_HASH_SIZE   64

/* One direction of the transport. nonce is that of the next record; it never wraps. */
struct sw_noise_cipher {
	uint8_t key[SW_NOISE_KEY_SIZE];
	uint64_t nonce;
};

/* The fields are the specification's; read them through the functions below. */
struct sw_noise {
	bool initiator;
	bool has_key;        /* k is set: payloads are encrypted from now on */
	bool failed;         /* nothing may be done but fini */
	unsigned n_messages; /* handshake messages written and read so far, 0 to 3 */
	struct sw_noise_cipher k;
	uint8_t ck[SW_NOISE_HASH_SIZE];
	uint8_t h[SW_NOISE_HASH_SIZE];
	uint8_t s[SW_NOISE_KEY_SIZE]; /* own static secret */
	uint8_t s_pub[SW_NOISE_KEY_SIZE];
	uint8_t e[SW_NOISE_KEY_SIZE]; /* own ephemeral secret */
	uint8_t e_pub[SW_NOISE_KEY_SIZE];
	uint8_t rs[SW_NOISE_KEY_SIZE]; /* the other side's public keys, once read */
	uint8_t re[SW_NOISE_KEY_SIZE];
};

/*
 * Begin a handshake. Both secrets are any 32 bytes nobody else can know; the ephemeral one must be
 * new for every handshake (it is a parameter because randomness comes from the caller, and for
 * test vectors). Copies what it needs; the caller wipes its own.
 */
void sw_noise_start(struct sw_noise *n, bool initiator, struct sw_view prologue,
		    const uint8_t static_secret[static SW_NOISE_KEY_SIZE],
		    const uint8_t ephemeral_secret[static SW_NOISE_KEY_SIZE]);

/* Wipe. Idempotent. */
void sw_noise_fini(struct sw_noise *n);

/*
 * Append the next handshake message, carrying payload, to out. Errors: SW_EINVAL when it is not
 * our turn, SW_ELIMIT when the payload does not fit one message, SW_ESIG when the other side sent
 * a key of small order, SW_ENOMEM. out is as before on failure, and every failure but SW_EINVAL
 * ends the handshake.
 */
int sw_noise_write(struct sw_noise *n, struct sw_view payload, struct sw_buf *out) SW_MUST_CHECK;

/*
 * Read the other side's next handshake message and append its payload to out. Payloads of the first
 * message are neither secret nor authenticated. Errors as above, and SW_EFORMAT for a message too
 * short, SW_ELIMIT for one too long, SW_ESIG for one that was not made for this handshake.
 */
int sw_noise_read(struct sw_noise *n, struct sw_view message, struct sw_buf *out) SW_MUST_CHECK;

/* All three messages are through. */
bool sw_noise_done(const struct sw_noise *n);

/*
 * The handshake hash: names this one handshake, the same on both sides, not secret. And the other
 * side's static public key. Only when done; they live as long as n.
 */
const uint8_t *sw_noise_hash(const struct sw_noise *n);
const uint8_t *sw_noise_remote_static(const struct sw_noise *n);
/* Our own one. */
const uint8_t *sw_noise_static(const struct sw_noise *n);

/* The transport ciphers. Only when done, and once: the handshake's secrets are wiped by it. */
void sw_noise_split(struct sw_noise *n, struct sw_noise_cipher *send,
		    struct sw_noise_cipher *receive);

void sw_noise_cipher_fini(struct sw_noise_cipher *c);

/*
 * Encrypt plain into out, which has room for SW_NOISE_TAG_SIZE bytes more than plain and may be
 * plain.p itself. SW_ELIMIT, with nothing written, when the result would be longer than a record
 * may be or when the counter is spent: there is no other remedy than a new handshake.
 */
int sw_noise_encrypt(struct sw_noise_cipher *c, struct sw_view plain, uint8_t *out) SW_MUST_CHECK;

/*
 * Verify and decrypt record into out, which has room for SW_NOISE_TAG_SIZE bytes less and may be
 * record.p itself. SW_EFORMAT for a record too short, SW_ELIMIT as above, SW_ESIG for one that is
 * not the sender's next; the counter then stays, and out holds nothing of use.
 */
int sw_noise_decrypt(struct sw_noise_cipher *c, struct sw_view record, uint8_t *out) SW_MUST_CHECK;

#endif
