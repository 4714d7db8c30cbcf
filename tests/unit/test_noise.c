/*
 * net/noise.c against the published vectors of two other implementations, message by message and
 * down to the handshake hash; then what must not work: damage, messages cut short, out of turn,
 * from another handshake, with keys of small order, and counters that are spent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/hash.h"
#include "core/sign.h"
#include "net/noise.h"

#define VECTOR_NAME  "Noise_XX_25519_ChaChaPoly_BLAKE2b"
#define SKIPPED_NAME "Noise_IK_25519_ChaChaPoly_BLAKE2b"

struct pair {
	struct sw_noise i; /* initiator */
	struct sw_noise r; /* responder */
};

static const uint8_t i_static[32] = {1};
static const uint8_t i_ephemeral[32] = {2};
static const uint8_t r_static[32] = {3};
static const uint8_t r_ephemeral[32] = {4};

static void start_with(struct pair *p, const char *i_prologue, const char *r_prologue)
{
	sw_noise_start(&p->i, true, sw_view_str(i_prologue), i_static, i_ephemeral);
	sw_noise_start(&p->r, false, sw_view_str(r_prologue), r_static, r_ephemeral);
}

static void start(struct pair *p)
{
	start_with(p, "prologue", "prologue");
}

static void fini(struct pair *p)
{
	sw_noise_fini(&p->i);
	sw_noise_fini(&p->r);
}

/* The next message from one side into out; whose turn it is follows from the count. */
static struct sw_noise *turn(struct pair *p, unsigned k)
{
	return k % 2 == 0 ? &p->i : &p->r;
}

/* Exchange the first n messages, without payloads. */
static void exchange(struct pair *p, unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		SW_BUF message = {0};
		SW_BUF payload = {0};

		assert_int_equal(sw_noise_write(turn(p, k), sw_view(NULL, 0), &message), 0);
		assert_int_equal(sw_noise_read(turn(p, k + 1), sw_buf_view(&message), &payload), 0);
		assert_int_equal(payload.n, 0);
	}
}

static void hex_field(json_t *object, const char *name, struct sw_buf *out)
{
	json_t *value = json_object_get(object, name);
	struct sw_view text;
	uint8_t *to;

	assert_true(json_is_string(value));
	text = sw_view_str(json_string_value(value));
	to = sw_buf_reserve(out, text.n / 2 + 1);
	assert_non_null(to);
	assert_int_equal(sw_unhex(text, to, text.n / 2), 0);
	out->n += text.n / 2;
}

static void start_side(struct sw_noise *n, json_t *vector, bool initiator)
{
	SW_BUF prologue = {0};
	SW_BUF s = {0};
	SW_BUF e = {0};

	hex_field(vector, initiator ? "init_prologue" : "resp_prologue", &prologue);
	hex_field(vector, initiator ? "init_static" : "resp_static", &s);
	hex_field(vector, initiator ? "init_ephemeral" : "resp_ephemeral", &e);
	assert_int_equal(s.n, 32);
	assert_int_equal(e.n, 32);
	sw_noise_start(n, initiator, sw_buf_view(&prologue), s.p, e.p);
}

/* One message of the handshake: written as published, and read back as its payload. */
static void check_handshake_message(struct pair *p, unsigned k, struct sw_view payload,
				    struct sw_view expected)
{
	SW_BUF written = {0};
	SW_BUF read = {0};

	assert_int_equal(sw_noise_write(turn(p, k), payload, &written), 0);
	assert_true(sw_view_eq(sw_buf_view(&written), expected));
	assert_int_equal(sw_noise_read(turn(p, k + 1), expected, &read), 0);
	assert_true(sw_view_eq(sw_buf_view(&read), payload));
}

static void check_record(struct sw_noise_cipher *send, struct sw_noise_cipher *receive,
			 struct sw_view payload, struct sw_view expected)
{
	uint8_t sealed[256];
	uint8_t opened[256];

	assert_true(payload.n + SW_NOISE_TAG_SIZE <= sizeof(sealed));
	assert_int_equal(sw_noise_encrypt(send, payload, sealed), 0);
	assert_true(sw_view_eq(sw_view(sealed, payload.n + SW_NOISE_TAG_SIZE), expected));
	assert_int_equal(sw_noise_decrypt(receive, expected, opened), 0);
	assert_true(sw_view_eq(sw_view(opened, payload.n), payload));
}

static void check_hash(const struct pair *p, json_t *vector)
{
	SW_BUF expected = {0};

	assert_memory_equal(sw_noise_hash(&p->i), sw_noise_hash(&p->r), SW_NOISE_HASH_SIZE);
	if (!json_object_get(vector, "handshake_hash"))
		return; /* noise-c's vectors have none */
	hex_field(vector, "handshake_hash", &expected);
	assert_int_equal(expected.n, SW_NOISE_HASH_SIZE);
	assert_memory_equal(sw_noise_hash(&p->i), expected.p, SW_NOISE_HASH_SIZE);
}

static void check_vector(json_t *vector)
{
	struct sw_noise_cipher i_send = {0};
	struct sw_noise_cipher i_receive = {0};
	struct sw_noise_cipher r_send = {0};
	struct sw_noise_cipher r_receive = {0};
	json_t *messages = json_object_get(vector, "messages");
	struct pair p;

	start_side(&p.i, vector, true);
	start_side(&p.r, vector, false);
	assert_true(json_array_size(messages) > 3);
	for (unsigned k = 0; k < json_array_size(messages); k++) {
		SW_BUF payload = {0};
		SW_BUF expected = {0};

		hex_field(json_array_get(messages, k), "payload", &payload);
		hex_field(json_array_get(messages, k), "ciphertext", &expected);
		if (k < 3) {
			check_handshake_message(&p, k, sw_buf_view(&payload),
						sw_buf_view(&expected));
			continue;
		}
		if (k == 3) {
			check_hash(&p, vector);
			sw_noise_split(&p.i, &i_send, &i_receive);
			sw_noise_split(&p.r, &r_send, &r_receive);
		}
		check_record(k % 2 ? &r_send : &i_send, k % 2 ? &i_receive : &r_receive,
			     sw_buf_view(&payload), sw_buf_view(&expected));
	}
	fini(&p);
}

/* The XX vector of a file, and no other; the files also hold IK, which swarmfs does not speak. */
static void check_file(const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	size_t n_checked = 0;
	json_t *vector;
	size_t k;

	assert_non_null(root);
	json_array_foreach(json_object_get(root, "vectors"), k, vector)
	{
		json_t *label = json_object_get(vector, "protocol_name");
		const char *name;

		name = json_string_value(label ? label : json_object_get(vector, "name"));
		assert_non_null(name);
		if (strcmp(name, SKIPPED_NAME) == 0)
			continue;
		assert_string_equal(name, VECTOR_NAME);
		check_vector(vector);
		n_checked++;
	}
	assert_int_equal(n_checked, 1);
	json_decref(root);
}

static void noise_agrees_with_cacophony(void **state)
{
	(void)state;
	check_file(SW_TEST_DATA "/noise/cacophony-xx-ik-25519-chachapoly-blake2b.json");
}

static void noise_agrees_with_noise_c(void **state)
{
	(void)state;
	check_file(SW_TEST_DATA "/noise/noise-c-xx-ik-25519-chachapoly-blake2b.json");
}

/* Message k made with a payload, then changed at bit `bit` or cut to `size` bytes, as the reader
 * sees it. */
static int read_damaged(unsigned k, size_t bit, size_t size)
{
	SW_BUF message = {0};
	SW_BUF payload = {0};
	struct pair p;
	int rc;

	start(&p);
	exchange(&p, k);
	assert_int_equal(sw_noise_write(turn(&p, k), sw_view_str("payload"), &message), 0);
	if (bit < 8 * message.n)
		message.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	rc = sw_noise_read(turn(&p, k + 1), sw_view(message.p, size < message.n ? size : message.n),
			   &payload);
	if (rc < 0) {
		assert_int_equal(payload.n, 0);
		/* A failed handshake stays failed. */
		assert_int_equal(sw_noise_read(turn(&p, k + 1), sw_buf_view(&message), &payload),
				 SW_EINVAL);
		assert_false(sw_noise_done(turn(&p, k + 1)));
	}
	fini(&p);
	return rc;
}

static void noise_refuses_every_flipped_bit(void **state)
{
	static const size_t size[3] = {0, 32 + 48 + 7 + 16, 48 + 7 + 16};

	(void)state;
	for (unsigned k = 1; k < 3; k++)
		for (size_t bit = 0; bit < 8 * size[k]; bit++)
			/* X25519 ignores the top bit of a key, but the hash does not. */
			assert_int_equal(read_damaged(k, bit, SIZE_MAX), SW_ESIG);
	assert_int_equal(read_damaged(1, SIZE_MAX, SIZE_MAX), 0);
	assert_int_equal(read_damaged(2, SIZE_MAX, SIZE_MAX), 0);
}

/* The first message is in the clear: its damage shows when the second one is read. */
static void noise_notices_a_changed_first_message(void **state)
{
	SW_BUF one = {0};
	SW_BUF two = {0};
	SW_BUF payload = {0};
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(sw_noise_write(&p.i, sw_view_str("hello"), &one), 0);
	one.p[one.n - 1] ^= 1;
	assert_int_equal(sw_noise_read(&p.r, sw_buf_view(&one), &payload), 0);
	assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &two), 0);
	assert_int_equal(sw_noise_read(&p.i, sw_buf_view(&two), &payload), SW_ESIG);
	fini(&p);
}

static void noise_refuses_every_truncation(void **state)
{
	/* The first message is in the clear: only its key cannot be cut. */
	static const size_t size[3] = {32, 32 + 48 + 7 + 16, 48 + 7 + 16};

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		for (size_t n = 0; n < size[k]; n++) {
			int rc = read_damaged(k, SIZE_MAX, n);

			assert_true(rc == SW_EFORMAT || (k > 0 && rc == SW_ESIG));
		}
}

static void noise_refuses_messages_out_of_turn(void **state)
{
	SW_BUF message = {0};
	SW_BUF payload = {0};
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &message), SW_EINVAL);
	assert_int_equal(sw_noise_read(&p.i, sw_view_str("x"), &payload), SW_EINVAL);
	exchange(&p, 1);
	assert_int_equal(sw_noise_write(&p.i, sw_view(NULL, 0), &message), SW_EINVAL);
	assert_int_equal(sw_noise_read(&p.r, sw_view_str("x"), &payload), SW_EINVAL);
	assert_int_equal(message.n, 0);
	fini(&p);

	/* Being asked out of turn harms nothing; after the third message it is nobody's turn. */
	start(&p);
	assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &message), SW_EINVAL);
	exchange(&p, 3);
	assert_true(sw_noise_done(&p.i));
	assert_true(sw_noise_done(&p.r));
	assert_int_equal(sw_noise_write(&p.i, sw_view(NULL, 0), &message), SW_EINVAL);
	assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &message), SW_EINVAL);
	assert_int_equal(sw_noise_read(&p.i, sw_view_str("x"), &payload), SW_EINVAL);
	assert_int_equal(sw_noise_read(&p.r, sw_view_str("x"), &payload), SW_EINVAL);
	fini(&p);
}

static void noise_mixes_the_prologue(void **state)
{
	SW_BUF one = {0};
	SW_BUF two = {0};
	SW_BUF payload = {0};
	struct pair p;

	(void)state;
	start_with(&p, "database 1", "database 2");
	assert_int_equal(sw_noise_write(&p.i, sw_view(NULL, 0), &one), 0);
	assert_int_equal(sw_noise_read(&p.r, sw_buf_view(&one), &payload), 0);
	assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &two), 0);
	assert_int_equal(sw_noise_read(&p.i, sw_buf_view(&two), &payload), SW_ESIG);
	fini(&p);
}

/* A peer that sends a point of small order would know the shared key: 0, 1 and one of order 8. */
static void noise_refuses_keys_of_small_order(void **state)
{
	static const uint8_t bad[3][32] = {
	    {0},
	    {1},
	    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	     0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	     0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	};

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		SW_BUF message = {0};
		SW_BUF payload = {0};
		struct pair p;

		start(&p);
		assert_int_equal(sw_noise_read(&p.r, sw_view(bad[k], 32), &payload), 0);
		assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &message), SW_ESIG);
		assert_int_equal(message.n, 0);
		assert_int_equal(sw_noise_write(&p.r, sw_view(NULL, 0), &message), SW_EINVAL);
		fini(&p);
	}
}

static void noise_bounds_payloads(void **state)
{
	size_t fits = SW_NOISE_MESSAGE_MAX - 32 - 48 - 16;
	uint8_t *bytes = calloc(1, SW_NOISE_MESSAGE_MAX + 1);

	(void)state;
	assert_non_null(bytes);
	for (size_t extra = 0; extra < 2; extra++) {
		SW_BUF message = {0};
		struct pair p;

		start(&p);
		exchange(&p, 1);
		assert_int_equal(sw_noise_write(&p.r, sw_view(bytes, fits + extra), &message),
				 extra ? SW_ELIMIT : 0);
		assert_int_equal(message.n, extra ? 0 : SW_NOISE_MESSAGE_MAX);
		fini(&p);
	}
	for (size_t k = 0; k < 2; k++) {
		SW_BUF payload = {0};
		struct pair p;

		start(&p);
		assert_int_equal(
		    sw_noise_read(&p.r, sw_view(bytes, SW_NOISE_MESSAGE_MAX + k), &payload),
		    k ? SW_ELIMIT : 0);
		fini(&p);
	}
	free(bytes);
}

static void transport(struct sw_noise_cipher *send, struct sw_noise_cipher *receive)
{
	struct sw_noise_cipher unused[2];
	struct pair p;

	start(&p);
	exchange(&p, 3);
	sw_noise_split(&p.i, send, &unused[0]);
	sw_noise_split(&p.r, &unused[1], receive);
	assert_memory_not_equal(send->key, unused[0].key, 32);
	fini(&p);
}

static void records_work_in_place(void **state)
{
	struct sw_noise_cipher send, receive;
	uint8_t bytes[5 + SW_NOISE_TAG_SIZE] = "hello";

	(void)state;
	transport(&send, &receive);
	assert_int_equal(sw_noise_encrypt(&send, sw_view(bytes, 5), bytes), 0);
	assert_memory_not_equal(bytes, "hello", 5);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(bytes, sizeof(bytes)), bytes), 0);
	assert_memory_equal(bytes, "hello", 5);
	/* Equal plaintexts never give equal records. */
	assert_int_equal(send.nonce, 1);
	assert_int_equal(receive.nonce, 1);
}

static void records_are_taken_once_whole_and_in_order(void **state)
{
	struct sw_noise_cipher send, receive;
	uint8_t a[1 + SW_NOISE_TAG_SIZE];
	uint8_t b[1 + SW_NOISE_TAG_SIZE];
	uint8_t out[1 + SW_NOISE_TAG_SIZE];

	(void)state;
	transport(&send, &receive);
	assert_int_equal(sw_noise_encrypt(&send, sw_view_str("a"), a), 0);
	assert_int_equal(sw_noise_encrypt(&send, sw_view_str("b"), b), 0);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(b, sizeof(b)), out), SW_ESIG);
	for (size_t n = 0; n < sizeof(a); n++)
		assert_int_equal(sw_noise_decrypt(&receive, sw_view(a, n), out),
				 n < SW_NOISE_TAG_SIZE ? SW_EFORMAT : SW_ESIG);
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		a[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sw_noise_decrypt(&receive, sw_view(a, sizeof(a)), out), SW_ESIG);
		a[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(receive.nonce, 0);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(a, sizeof(a)), out), 0);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(a, sizeof(a)), out), SW_ESIG);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(b, sizeof(b)), out), 0);
}

static void records_are_bounded(void **state)
{
	struct sw_noise_cipher send, receive;
	uint8_t *bytes = calloc(1, SW_NOISE_MESSAGE_MAX + 1);
	size_t fits = SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE;

	(void)state;
	assert_non_null(bytes);
	transport(&send, &receive);
	assert_int_equal(sw_noise_encrypt(&send, sw_view(bytes, fits + 1), bytes), SW_ELIMIT);
	assert_int_equal(send.nonce, 0);
	assert_int_equal(sw_noise_encrypt(&send, sw_view(bytes, fits), bytes), 0);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(bytes, fits + 17), bytes), SW_ELIMIT);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(bytes, fits + 16), bytes), 0);
	free(bytes);
}

/* 2^64 - 1 is never used, and the counter stays there: reusing a nonce would give the key stream
 * away. */
static void counters_end_and_never_wrap(void **state)
{
	struct sw_noise_cipher send, receive;
	uint8_t sealed[1 + SW_NOISE_TAG_SIZE];
	uint8_t out[1];

	(void)state;
	transport(&send, &receive);
	send.nonce = UINT64_MAX - 1;
	receive.nonce = UINT64_MAX - 1;
	assert_int_equal(sw_noise_encrypt(&send, sw_view_str("z"), sealed), 0);
	assert_int_equal(sw_noise_decrypt(&receive, sw_view(sealed, sizeof(sealed)), out), 0);
	assert_int_equal(out[0], 'z');
	for (int k = 0; k < 2; k++) {
		assert_int_equal(sw_noise_encrypt(&send, sw_view_str("z"), sealed), SW_ELIMIT);
		assert_int_equal(sw_noise_decrypt(&receive, sw_view(sealed, sizeof(sealed)), out),
				 SW_ELIMIT);
		assert_true(send.nonce == UINT64_MAX);
		assert_true(receive.nonce == UINT64_MAX);
	}
}

static void noise_wipes_its_secrets(void **state)
{
	static const struct sw_noise empty;
	struct sw_noise_cipher send, receive;
	struct pair p;

	(void)state;
	start(&p);
	exchange(&p, 3);
	sw_noise_split(&p.i, &send, &receive);
	assert_memory_equal(p.i.s, empty.s, sizeof(empty.s));
	assert_memory_equal(p.i.e, empty.e, sizeof(empty.e));
	assert_memory_equal(p.i.ck, empty.ck, sizeof(empty.ck));
	assert_memory_equal(&p.i.k, &empty.k, sizeof(empty.k));
	/* What is not secret stays. */
	assert_memory_equal(sw_noise_hash(&p.i), sw_noise_hash(&p.r), SW_NOISE_HASH_SIZE);
	assert_memory_equal(sw_noise_remote_static(&p.i), p.r.s_pub, SW_NOISE_KEY_SIZE);
	fini(&p);
	assert_memory_equal(&p.r, &empty, sizeof(empty));
	sw_noise_cipher_fini(&send);
	assert_memory_equal(&send, &empty.k, sizeof(send));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(noise_agrees_with_cacophony),
	    cmocka_unit_test(noise_agrees_with_noise_c),
	    cmocka_unit_test(noise_refuses_every_flipped_bit),
	    cmocka_unit_test(noise_notices_a_changed_first_message),
	    cmocka_unit_test(noise_refuses_every_truncation),
	    cmocka_unit_test(noise_refuses_messages_out_of_turn),
	    cmocka_unit_test(noise_mixes_the_prologue),
	    cmocka_unit_test(noise_refuses_keys_of_small_order),
	    cmocka_unit_test(noise_bounds_payloads),
	    cmocka_unit_test(records_work_in_place),
	    cmocka_unit_test(records_are_taken_once_whole_and_in_order),
	    cmocka_unit_test(records_are_bounded),
	    cmocka_unit_test(counters_end_and_never_wrap),
	    cmocka_unit_test(noise_wipes_its_secrets),
	};

	if (sw_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
