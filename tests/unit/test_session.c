/*
 * net/session.c: two sessions back to back, whatever the pieces their bytes arrive in; and one
 * session against a rogue, which speaks Noise well and then breaks one rule. Whoever does that must
 * end the session, and must not be taken for anybody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/sign.h"
#include "net/noise.h"
#include "net/session.h"

#define RECORD_DATA_MAX (SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE - 1)

static struct sw_identity *alice; /* the initiator's */
static struct sw_identity *bob;   /* the responder's */
static const struct sw_hash database = {{0xdb, 1}};
static const struct sw_hash other_database = {{0xdb, 2}};

struct pair {
	struct sw_session *i;
	struct sw_session *r;
};

/* A peer that knows the database but not its manners. */
struct rogue {
	struct sw_session *victim;
	bool initiator;
	struct sw_noise noise;
	struct sw_noise_cipher send;
	struct sw_noise_cipher receive;
	uint8_t hash[SW_NOISE_HASH_SIZE];
	struct sw_buf heard; /* what the victim sent and the rogue has not read */
};

static int new_session(bool initiator, const struct sw_hash *db, size_t message_max,
		       struct sw_session **out)
{
	uint8_t static_secret[SW_SESSION_SECRET_SIZE] = {initiator ? 1 : 2};
	uint8_t ephemeral_secret[SW_SESSION_SECRET_SIZE] = {initiator ? 3 : 4};
	const struct sw_session_options options = {
	    .initiator = initiator,
	    .database = db,
	    .identity = initiator ? alice : bob,
	    .static_secret = static_secret,
	    .ephemeral_secret = ephemeral_secret,
	    .message_max = message_max,
	};

	return sw_session_new(&options, out);
}

static void start_with(struct pair *p, size_t message_max)
{
	*p = (struct pair){0};
	assert_int_equal(new_session(true, &database, message_max, &p->i), 0);
	assert_int_equal(new_session(false, &database, message_max, &p->r), 0);
}

static void start(struct pair *p)
{
	start_with(p, 0);
}

static void fini(struct pair *p)
{
	sw_session_free(p->i);
	sw_session_free(p->r);
}

/* Carry all output of one side to the other, in pieces of random size up to piece_max. */
static int carry(struct sw_session *from, struct sw_session *to, size_t piece_max)
{
	struct sw_buf *out = sw_session_output(from);
	size_t at = 0;
	int rc = 0;

	while (at < out->n && rc == 0) {
		size_t n = 1 + (size_t)rand() % piece_max;

		if (n > out->n - at)
			n = out->n - at;
		rc = sw_session_feed(to, sw_view(out->p + at, n));
		at += n;
	}
	sw_buf_reset(out);
	return rc;
}

static void shake_hands(struct pair *p, size_t piece_max)
{
	for (int k = 0; k < 2; k++) {
		assert_int_equal(carry(p->i, p->r, piece_max), 0);
		assert_int_equal(carry(p->r, p->i, piece_max), 0);
	}
	assert_true(sw_session_established(p->i));
	assert_true(sw_session_established(p->r));
}

static void expect_message(struct sw_session *s, struct sw_view expected)
{
	struct sw_view message;

	assert_int_equal(sw_session_recv(s, &message), 1);
	assert_true(sw_view_eq(message, expected));
}

static void expect_nothing(struct sw_session *s)
{
	struct sw_view message;

	assert_int_equal(sw_session_recv(s, &message), 0);
}

/* The session has ended with this, and says so whatever is asked of it. */
static void expect_dead(struct sw_session *s, int rc)
{
	struct sw_view message;

	assert_false(sw_session_established(s));
	assert_null(sw_session_remote(s));
	assert_int_equal(sw_session_feed(s, sw_view_str("x")), rc);
	assert_int_equal(sw_session_recv(s, &message), rc);
	assert_int_equal(sw_session_send(s, sw_view_str("x")), rc);
}

static void put_frame(struct sw_buf *b, struct sw_view body)
{
	sw_buf_put_u32(b, (uint32_t)body.n);
	sw_buf_put_view(b, body);
	assert_int_equal(b->rc, 0);
}

static uint8_t *pattern(size_t n)
{
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	for (size_t k = 0; k < n; k++)
		p[k] = (uint8_t)(k * 31 + (k >> 8));
	return p;
}

static void sessions_meet_whatever_the_pieces(void **state)
{
	static const size_t piece_max[] = {1, 2, 7, 50, 300, 100000};

	(void)state;
	for (size_t k = 0; k < sizeof(piece_max) / sizeof(*piece_max); k++)
		for (unsigned seed = 0; seed < 20; seed++) {
			struct pair p;

			srand(seed);
			start(&p);
			shake_hands(&p, piece_max[k]);
			assert_true(sw_key_eq(sw_session_remote(p.i), sw_identity_key(bob)));
			assert_true(sw_key_eq(sw_session_remote(p.r), sw_identity_key(alice)));
			assert_int_equal(sw_session_send(p.i, sw_view_str("from i")), 0);
			assert_int_equal(sw_session_send(p.r, sw_view_str("from r")), 0);
			assert_int_equal(sw_session_send(p.r, sw_view_str("again")), 0);
			assert_int_equal(carry(p.i, p.r, piece_max[k]), 0);
			assert_int_equal(carry(p.r, p.i, piece_max[k]), 0);
			expect_message(p.r, sw_view_str("from i"));
			expect_nothing(p.r);
			expect_message(p.i, sw_view_str("from r"));
			expect_message(p.i, sw_view_str("again"));
			expect_nothing(p.i);
			fini(&p);
		}
}

/* The responder may talk in the same flight as its proof. */
static void a_message_may_ride_with_the_proof(void **state)
{
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(carry(p.i, p.r, 1), 0);
	assert_int_equal(carry(p.r, p.i, 1), 0);
	assert_int_equal(carry(p.i, p.r, 1), 0);
	assert_true(sw_session_established(p.r));
	assert_false(sw_session_established(p.i));
	assert_int_equal(sw_session_send(p.r, sw_view_str("hello")), 0);
	assert_int_equal(carry(p.r, p.i, 100000), 0);
	expect_message(p.i, sw_view_str("hello"));
	fini(&p);
}

static void messages_of_every_size_arrive(void **state)
{
	static const size_t sizes[] = {
	    0,
	    1,
	    RECORD_DATA_MAX - 1,
	    RECORD_DATA_MAX,
	    RECORD_DATA_MAX + 1,
	    2 * RECORD_DATA_MAX,
	    2 * RECORD_DATA_MAX + 1,
	    SW_SESSION_MESSAGE_MAX,
	};
	uint8_t *bytes = pattern(SW_SESSION_MESSAGE_MAX);
	struct pair p;

	(void)state;
	srand(1);
	start(&p);
	shake_hands(&p, 100);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
		size_t records = sizes[k] / RECORD_DATA_MAX + (sizes[k] % RECORD_DATA_MAX != 0);

		records += sizes[k] == 0;
		assert_int_equal(sw_session_send(p.i, sw_view(bytes, sizes[k])), 0);
		assert_int_equal(sw_session_output(p.i)->n, sizes[k] + records * (4 + 1 + 16));
		assert_int_equal(carry(p.i, p.r, 200000), 0);
		expect_message(p.r, sw_view(bytes, sizes[k]));
		expect_nothing(p.r);
	}
	assert_int_equal(sw_session_send(p.i, sw_view(bytes, SW_SESSION_MESSAGE_MAX + 1)),
			 SW_ELIMIT);
	assert_true(sw_session_established(p.i));
	free(bytes);
	fini(&p);
}

static void nothing_is_sent_before_the_proofs(void **state)
{
	struct pair p;

	(void)state;
	start(&p);
	for (int k = 0; k < 2; k++) {
		assert_int_equal(sw_session_send(p.i, sw_view_str("x")), SW_EAGAIN);
		assert_int_equal(carry(p.i, p.r, 100), 0);
		if (k == 0)
			assert_int_equal(sw_session_send(p.r, sw_view_str("x")), SW_EAGAIN);
		assert_null(sw_session_remote(p.i));
		expect_nothing(p.i);
		assert_int_equal(carry(p.r, p.i, 100), 0);
	}
	assert_true(sw_session_established(p.i));
	fini(&p);
}

static void another_database_is_a_stranger(void **state)
{
	struct pair p = {0};

	(void)state;
	assert_int_equal(new_session(true, &other_database, 0, &p.i), 0);
	assert_int_equal(new_session(false, &database, 0, &p.r), 0);
	assert_int_equal(carry(p.i, p.r, 100), 0);
	assert_int_equal(carry(p.r, p.i, 100), SW_ESIG);
	assert_non_null(strstr(sw_fail_message(SW_ESIG), "database"));
	expect_dead(p.i, SW_ESIG);
	assert_int_equal(sw_session_output(p.i)->n, 0);
	fini(&p);
}

/* Both handshakes and one message from the initiator, with one bit of all that flipped on its way.
 */
static int converse(size_t bit)
{
	struct sw_view message;
	struct pair p;
	size_t seen = 0;
	int rc = 0;

	start(&p);
	for (int k = 0; k < 6 && rc == 0; k++) {
		struct sw_session *from = k % 2 ? p.r : p.i;
		struct sw_buf *out = sw_session_output(from);

		if (k == 4)
			assert_int_equal(sw_session_send(from, sw_view_str("hello")), 0);
		if (bit / 8 >= seen && bit / 8 < seen + out->n)
			out->p[bit / 8 - seen] ^= (uint8_t)(1 << bit % 8);
		seen += out->n;
		rc = carry(from, k % 2 ? p.i : p.r, 1000);
	}
	if (rc == 0)
		rc = sw_session_recv(p.r, &message);
	fini(&p);
	return rc;
}

static void every_flipped_bit_is_noticed(void **state)
{
	size_t opening = 5 * 4 + 32 + 96 + 64 + 112 + 112;
	size_t total = opening + 4 + 1 + 5 + 16;

	(void)state;
	assert_int_equal(converse(SIZE_MAX), 1);
	for (size_t bit = 0; bit < 8 * total; bit++) {
		int rc = converse(bit);

		/* A larger length, once open, just waits for bytes; they will not decrypt. */
		if (rc == 0)
			assert_true(bit / 8 >= opening && bit / 8 < opening + 4);
		else
			assert_true(rc < 0);
	}
}

static void frames_are_taken_once_and_in_order(void **state)
{
	SW_BUF first = {0};
	SW_BUF second = {0};
	struct sw_view message;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct pair p;

		start(&p);
		shake_hands(&p, 100);
		sw_buf_reset(&first);
		sw_buf_reset(&second);
		assert_int_equal(sw_session_send(p.i, sw_view_str("one")), 0);
		sw_buf_put_view(&first, sw_buf_view(sw_session_output(p.i)));
		sw_buf_reset(sw_session_output(p.i));
		assert_int_equal(sw_session_send(p.i, sw_view_str("two")), 0);
		sw_buf_put_view(&second, sw_buf_view(sw_session_output(p.i)));
		if (kind == 0) { /* replayed */
			assert_int_equal(sw_session_feed(p.r, sw_buf_view(&first)), 0);
			expect_message(p.r, sw_view_str("one"));
			assert_int_equal(sw_session_feed(p.r, sw_buf_view(&first)), 0);
		} else if (kind == 1) { /* reordered, or the first one lost */
			assert_int_equal(sw_session_feed(p.r, sw_buf_view(&second)), 0);
		} else { /* sent back to its author */
			assert_int_equal(sw_session_feed(p.i, sw_buf_view(&first)), 0);
		}
		assert_int_equal(sw_session_recv(kind == 2 ? p.i : p.r, &message), SW_ESIG);
		expect_dead(kind == 2 ? p.i : p.r, SW_ESIG);
		fini(&p);
	}
}

static void a_replayed_conversation_fails(void **state)
{
	SW_BUF recorded = {0};
	uint8_t secret[SW_SESSION_SECRET_SIZE] = {9};
	const struct sw_session_options fresh = {
	    .database = &database,
	    .identity = bob,
	    .static_secret = secret,
	    .ephemeral_secret = secret,
	};
	struct sw_session *again = NULL;
	struct pair p;

	(void)state;
	start(&p);
	for (int k = 0; k < 2; k++) {
		sw_buf_put_view(&recorded, sw_buf_view(sw_session_output(p.i)));
		assert_int_equal(carry(p.i, p.r, 1000), 0);
		assert_int_equal(carry(p.r, p.i, 1000), 0);
	}
	assert_int_equal(sw_session_new(&fresh, &again), 0);
	assert_int_equal(sw_session_feed(again, sw_buf_view(&recorded)), SW_ESIG);
	expect_dead(again, SW_ESIG);
	sw_session_free(again);
	fini(&p);
}

static void a_cut_stream_says_nothing(void **state)
{
	struct pair p;

	(void)state;
	start(&p);
	shake_hands(&p, 100);
	assert_int_equal(sw_session_send(p.i, sw_view_str("hello")), 0);
	sw_session_output(p.i)->n--;
	assert_int_equal(carry(p.i, p.r, 100), 0);
	expect_nothing(p.r);
	assert_true(sw_session_established(p.r));
	fini(&p);
}

/* Before establishment every wrong length is refused from its four bytes alone. */
static void wrong_handshake_lengths_are_refused(void **state)
{
	static const uint32_t lengths[] = {0, 1, 31, 33, 96, 1024, 65535, 65536, UINT32_MAX};

	(void)state;
	for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
		SW_BUF bytes = {0};
		struct pair p;

		start(&p);
		sw_buf_put_u32(&bytes, lengths[k]);
		assert_int_equal(sw_session_feed(p.r, sw_buf_view(&bytes)), SW_EFORMAT);
		expect_dead(p.r, SW_EFORMAT);
		assert_int_equal(sw_session_output(p.r)->n, 0);
		fini(&p);
	}
}

static void wrong_record_lengths_are_refused(void **state)
{
	static const uint32_t lengths[] = {0, 1, 16, 65536, 1 << 24, UINT32_MAX};

	(void)state;
	for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
		int rc = lengths[k] > 65535 ? SW_ELIMIT : SW_EFORMAT;
		SW_BUF bytes = {0};
		struct sw_view message;
		struct pair p;

		start(&p);
		shake_hands(&p, 100);
		sw_buf_put_u32(&bytes, lengths[k]);
		assert_int_equal(sw_session_feed(p.r, sw_buf_view(&bytes)), 0);
		assert_int_equal(sw_session_recv(p.r, &message), rc);
		expect_dead(p.r, rc);
		fini(&p);
	}
}

static void garbage_is_refused(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		uint8_t bytes[700];
		struct pair p;
		int rc = 0;

		srand(seed);
		start(&p);
		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)rand();
		if (seed % 2) /* garbage that gets past the first length */
			memcpy(bytes, "\0\0\0\x20", 4);
		for (size_t k = 0; k < 7 && rc == 0; k++)
			rc = sw_session_feed(p.r, sw_view(bytes + 100 * k, 100));
		assert_true(rc < 0);
		expect_dead(p.r, rc);
		fini(&p);
	}
}

static void unread_input_is_bounded(void **state)
{
	size_t max = 1000;
	struct pair p;
	size_t n = 0;
	int rc = 0;

	(void)state;
	start_with(&p, max);
	shake_hands(&p, 100);
	for (; n < 10000 && rc == 0; n++) {
		assert_int_equal(sw_session_send(p.i, sw_view_str("0123456789")), 0);
		rc = sw_session_feed(p.r, sw_buf_view(sw_session_output(p.i)));
		if (rc == 0)
			sw_buf_reset(sw_session_output(p.i));
	}
	assert_int_equal(rc, SW_EAGAIN);
	assert_true(n * 31 < max + SW_SESSION_FRAME_MAX + 100);
	/* Nothing was taken of the piece that was refused, and reading makes room for it. */
	for (size_t k = 1; k < n; k++)
		expect_message(p.r, sw_view_str("0123456789"));
	expect_nothing(p.r);
	assert_int_equal(carry(p.i, p.r, 100), 0);
	expect_message(p.r, sw_view_str("0123456789"));
	fini(&p);
}

static void messages_beyond_the_receivers_limit_are_refused(void **state)
{
	static const size_t limits[] = {1, 1000, RECORD_DATA_MAX, 200000};
	uint8_t *bytes = pattern(200001);

	(void)state;
	srand(1);
	for (size_t k = 0; k < sizeof(limits) / sizeof(*limits); k++) {
		struct sw_view message;
		struct pair p;

		start_with(&p, limits[k]);
		shake_hands(&p, 100);
		assert_int_equal(sw_session_send(p.i, sw_view(bytes, limits[k])), 0);
		assert_int_equal(carry(p.i, p.r, 300000), 0);
		expect_message(p.r, sw_view(bytes, limits[k]));
		assert_int_equal(sw_session_send(p.i, sw_view(bytes, limits[k] + 1)), 0);
		assert_int_equal(carry(p.i, p.r, 300000), 0);
		assert_int_equal(sw_session_recv(p.r, &message), SW_ELIMIT);
		expect_dead(p.r, SW_ELIMIT);
		fini(&p);
	}
	free(bytes);
}

/* --- the rogue ------------------------------------------------------------------------------ */

/* The next frame that the victim sent. */
static struct sw_view hear(struct rogue *g)
{
	struct sw_buf *out = sw_session_output(g->victim);
	struct sw_rd r = sw_rd(sw_buf_view(out));
	uint32_t n = sw_rd_u32(&r);
	struct sw_view body = sw_rd_take(&r, n);

	assert_false(r.bad);
	sw_buf_reset(&g->heard);
	sw_buf_put_view(&g->heard, body);
	out->n -= 4 + n;
	memmove(out->p, out->p + 4 + n, out->n);
	return sw_buf_view(&g->heard);
}

static int say(struct rogue *g, struct sw_view body)
{
	SW_BUF frame = {0};

	put_frame(&frame, body);
	return sw_session_feed(g->victim, sw_buf_view(&frame));
}

static int say_record(struct rogue *g, struct sw_view plain)
{
	uint8_t *sealed = malloc(plain.n + SW_NOISE_TAG_SIZE);
	int rc;

	assert_non_null(sealed);
	assert_int_equal(sw_noise_encrypt(&g->send, plain, sealed), 0);
	rc = say(g, sw_view(sealed, plain.n + SW_NOISE_TAG_SIZE));
	free(sealed);
	return rc;
}

/* Run the Noise handshake with the victim, up to where the proofs are due. */
static void rogue_start(struct rogue *g, bool initiator)
{
	static const uint8_t static_secret[32] = {7};
	static const uint8_t ephemeral_secret[32] = {8};
	SW_BUF prologue = {0};

	*g = (struct rogue){.initiator = initiator};
	assert_int_equal(new_session(!initiator, &database, 0, &g->victim), 0);
	sw_buf_put(&prologue, "swarmfs/1", 9);
	sw_buf_put_hash(&prologue, &database);
	sw_noise_start(&g->noise, initiator, sw_buf_view(&prologue), static_secret,
		       ephemeral_secret);
	for (int k = 0; k < 3; k++) {
		SW_BUF message = {0};

		if (initiator == (k % 2 == 0)) {
			assert_int_equal(sw_noise_write(&g->noise, sw_view(NULL, 0), &message), 0);
			assert_int_equal(say(g, sw_buf_view(&message)), 0);
		} else {
			assert_int_equal(sw_noise_read(&g->noise, hear(g), &message), 0);
		}
	}
	memcpy(g->hash, sw_noise_hash(&g->noise), sizeof(g->hash));
	sw_noise_split(&g->noise, &g->send, &g->receive);
}

static void rogue_fini(struct rogue *g)
{
	sw_noise_fini(&g->noise);
	sw_session_free(g->victim);
	sw_buf_fini(&g->heard);
}

/* A proof that names `key`, signed by `signer` in the given role for the given handshake. */
static int say_proof(struct rogue *g, const struct sw_key *key, const struct sw_identity *signer,
		     char role, const uint8_t *hash)
{
	SW_BUF text = {0};
	SW_BUF plain = {0};
	struct sw_sig sig;

	sw_buf_put(&text, "swarmfs/1 session", 17);
	sw_buf_put_u8(&text, (uint8_t)role);
	sw_buf_put(&text, hash, SW_NOISE_HASH_SIZE);
	sw_identity_sign(signer, sw_buf_view(&text), &sig);
	sw_buf_put(&plain, key->b, SW_KEY_SIZE);
	sw_buf_put(&plain, sig.b, SW_SIG_SIZE);
	return say_record(g, sw_buf_view(&plain));
}

static void rogue_shakes_hands(struct rogue *g, bool initiator)
{
	const struct sw_identity *me = initiator ? alice : bob;

	rogue_start(g, initiator);
	assert_int_equal(say_proof(g, sw_identity_key(me), me, initiator ? 'I' : 'R', g->hash), 0);
	assert_true(sw_session_established(g->victim));
}

/* The form of the proof as documented: a rogue that follows all rules is a peer. */
static void a_rogue_with_manners_is_a_peer(void **state)
{
	struct rogue g;

	(void)state;
	for (int initiator = 0; initiator < 2; initiator++) {
		rogue_shakes_hands(&g, initiator);
		assert_true(sw_key_eq(sw_session_remote(g.victim),
				      sw_identity_key(initiator ? alice : bob)));
		assert_int_equal(say_record(&g, sw_view("\0hello", 6)), 0);
		expect_message(g.victim, sw_view_str("hello"));
		rogue_fini(&g);
	}
}

static void an_identity_cannot_be_claimed_without_its_key(void **state)
{
	struct rogue g;

	(void)state;
	for (int initiator = 0; initiator < 2; initiator++) {
		char role = initiator ? 'I' : 'R';

		rogue_start(&g, initiator);
		assert_int_equal(say_proof(&g, sw_identity_key(alice), bob, role, g.hash), SW_ESIG);
		expect_dead(g.victim, SW_ESIG);
		rogue_fini(&g);
	}
}

/* A proof holds in its own role and its own handshake only. */
static void a_proof_from_elsewhere_is_refused(void **state)
{
	struct rogue g;

	(void)state;
	for (int initiator = 0; initiator < 2; initiator++) {
		const struct sw_identity *me = initiator ? alice : bob;
		uint8_t hash[SW_NOISE_HASH_SIZE];

		rogue_start(&g, initiator);
		assert_int_equal(
		    say_proof(&g, sw_identity_key(me), me, initiator ? 'R' : 'I', g.hash), SW_ESIG);
		rogue_fini(&g);

		rogue_start(&g, initiator);
		memcpy(hash, g.hash, sizeof(hash));
		hash[63] ^= 1;
		assert_int_equal(
		    say_proof(&g, sw_identity_key(me), me, initiator ? 'I' : 'R', hash), SW_ESIG);
		expect_dead(g.victim, SW_ESIG);
		rogue_fini(&g);
	}
}

static void a_proof_sent_back_to_its_author_is_refused(void **state)
{
	struct sw_view sealed;
	uint8_t proof[SW_KEY_SIZE + SW_SIG_SIZE];
	struct rogue g;

	(void)state;
	rogue_start(&g, false);
	sealed = hear(&g);
	assert_int_equal(sealed.n, sizeof(proof) + SW_NOISE_TAG_SIZE);
	assert_int_equal(sw_noise_decrypt(&g.receive, sealed, proof), 0);
	assert_memory_equal(proof, sw_identity_key(alice)->b, SW_KEY_SIZE);
	assert_int_equal(say_record(&g, sw_view(proof, sizeof(proof))), SW_ESIG);
	expect_dead(g.victim, SW_ESIG);
	rogue_fini(&g);

	rogue_start(&g, false);
	sealed = hear(&g);
	assert_int_equal(say(&g, sealed), SW_ESIG); /* the sealed record as it is */
	rogue_fini(&g);
}

/* Our own key in the right role is a copied store, which is for the engine to see. */
static void our_own_key_in_the_other_role_is_accepted(void **state)
{
	struct rogue g;

	(void)state;
	rogue_start(&g, false);
	assert_int_equal(say_proof(&g, sw_identity_key(alice), alice, 'R', g.hash), 0);
	assert_true(sw_key_eq(sw_session_remote(g.victim), sw_identity_key(alice)));
	rogue_fini(&g);
}

static void a_responder_names_itself_last(void **state)
{
	struct sw_buf *out;
	struct rogue g;

	(void)state;
	rogue_start(&g, true);
	out = sw_session_output(g.victim);
	assert_int_equal(out->n, 0);
	assert_int_equal(say_proof(&g, sw_identity_key(alice), bob, 'I', g.hash), SW_ESIG);
	assert_int_equal(out->n, 0); /* nor after a false proof */
	rogue_fini(&g);

	rogue_shakes_hands(&g, true);
	assert_int_equal(sw_session_output(g.victim)->n, 4 + 112);
	rogue_fini(&g);
}

/* A key of small order "signs" everything for anybody who names it. */
static void an_identity_of_small_order_is_refused(void **state)
{
	uint8_t proof[SW_KEY_SIZE + SW_SIG_SIZE] = {1};
	struct rogue g;

	(void)state;
	proof[SW_KEY_SIZE] = 1;
	rogue_start(&g, true);
	assert_int_equal(say_record(&g, sw_view(proof, sizeof(proof))), SW_ESIG);
	rogue_fini(&g);
}

static void expect_refusal(struct rogue *g, struct sw_view plain, int expected)
{
	struct sw_view message;
	int rc = say_record(g, plain);

	assert_int_equal(rc, 0);
	assert_int_equal(sw_session_recv(g->victim, &message), expected);
	if (expected < 0)
		expect_dead(g->victim, expected);
}

/* There is one way to split a message, so that empty pieces cannot be sent for ever. */
static void a_message_is_split_in_one_way_only(void **state)
{
	uint8_t *full = pattern(RECORD_DATA_MAX + 1);
	struct rogue g;

	(void)state;
	rogue_shakes_hands(&g, true);
	expect_refusal(&g, sw_view("\2x", 2), SW_EFORMAT); /* neither last nor more */
	rogue_fini(&g);

	rogue_shakes_hands(&g, true);
	expect_refusal(&g, sw_view("\1", 1), SW_EFORMAT); /* more, and empty */
	rogue_fini(&g);

	full[0] = 1;
	rogue_shakes_hands(&g, true);
	expect_refusal(&g, sw_view(full, RECORD_DATA_MAX), SW_EFORMAT); /* one byte short of full */
	rogue_fini(&g);

	rogue_shakes_hands(&g, true);
	expect_refusal(&g, sw_view(full, RECORD_DATA_MAX + 1), 0);
	expect_refusal(&g, sw_view("\0", 1), SW_EFORMAT); /* an empty end of something */
	rogue_fini(&g);

	rogue_shakes_hands(&g, true);
	expect_refusal(&g, sw_view("\0", 1), 1); /* an empty message is one */
	rogue_fini(&g);
	free(full);
}

/* A rogue that never ends its message is stopped at the limit, not at the end of memory. */
static void an_endless_message_is_stopped(void **state)
{
	uint8_t *full = pattern(RECORD_DATA_MAX + 1);
	struct sw_view message;
	struct rogue g;
	size_t n = 0;
	int rc = 0;

	(void)state;
	full[0] = 1;
	rogue_shakes_hands(&g, true);
	for (; n < 1000 && rc == 0; n++) {
		assert_int_equal(say_record(&g, sw_view(full, RECORD_DATA_MAX + 1)), 0);
		rc = sw_session_recv(g.victim, &message);
	}
	assert_int_equal(rc, SW_ELIMIT);
	assert_int_equal(n, SW_SESSION_MESSAGE_MAX / RECORD_DATA_MAX + 1);
	rogue_fini(&g);
	free(full);
}

static int make_identities(void **state)
{
	uint8_t seed[SW_KEY_SEED_SIZE] = {1};

	(void)state;
	if (sw_crypto_init() < 0 || sw_identity_from_seed(seed, &alice) < 0)
		return -1;
	seed[0] = 2;
	return sw_identity_from_seed(seed, &bob);
}

static int free_identities(void **state)
{
	(void)state;
	sw_identity_free(alice);
	sw_identity_free(bob);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sessions_meet_whatever_the_pieces),
	    cmocka_unit_test(a_message_may_ride_with_the_proof),
	    cmocka_unit_test(messages_of_every_size_arrive),
	    cmocka_unit_test(nothing_is_sent_before_the_proofs),
	    cmocka_unit_test(another_database_is_a_stranger),
	    cmocka_unit_test(every_flipped_bit_is_noticed),
	    cmocka_unit_test(frames_are_taken_once_and_in_order),
	    cmocka_unit_test(a_replayed_conversation_fails),
	    cmocka_unit_test(a_cut_stream_says_nothing),
	    cmocka_unit_test(wrong_handshake_lengths_are_refused),
	    cmocka_unit_test(wrong_record_lengths_are_refused),
	    cmocka_unit_test(garbage_is_refused),
	    cmocka_unit_test(unread_input_is_bounded),
	    cmocka_unit_test(messages_beyond_the_receivers_limit_are_refused),
	    cmocka_unit_test(a_rogue_with_manners_is_a_peer),
	    cmocka_unit_test(an_identity_cannot_be_claimed_without_its_key),
	    cmocka_unit_test(a_proof_from_elsewhere_is_refused),
	    cmocka_unit_test(a_proof_sent_back_to_its_author_is_refused),
	    cmocka_unit_test(our_own_key_in_the_other_role_is_accepted),
	    cmocka_unit_test(a_responder_names_itself_last),
	    cmocka_unit_test(an_identity_of_small_order_is_refused),
	    cmocka_unit_test(a_message_is_split_in_one_way_only),
	    cmocka_unit_test(an_endless_message_is_stopped),
	};

	return cmocka_run_group_tests(tests, make_identities, free_identities);
}
