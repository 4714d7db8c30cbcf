/* Watermarks as bytes: one encoding, one meaning, one vector. What they say is shown in
 * test_settled.c. */
#include "core/watermark.h"
#include "tests/lib/dbs.h"

static const struct sw_hash database = {{0xdb}};

static struct sw_identity *make_identity(void)
{
	uint8_t seed[SW_KEY_SEED_SIZE];
	struct sw_identity *id;

	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)(i + 1);
	TEST_OK(sw_crypto_init());
	TEST_OK(sw_identity_from_seed(seed, &id));
	return id;
}

static void make(struct sw_watermark *m, const struct sw_hash *tips, size_t n, struct sw_buf *out)
{
	struct sw_identity *id = make_identity();

	*m = (struct sw_watermark){.stamp = (1790000000000u << 16) + 7,
				   .head = {3, {{0x11}}, {{0x22}}},
				   .n_tips = n,
				   .tips = sw_view(tips->b, n * SW_HASH_SIZE)};
	sw_watermark_seal(m, &database, id, out);
	assert_int_equal(out->rc, 0);
	sw_identity_free(id);
}

static const struct sw_hash two_tips[] = {{{0x33}}, {{0x44}}};

static void what_was_signed_comes_back(void **state)
{
	struct sw_watermark m, got;
	struct sw_hash tip;
	SW_BUF bytes = {0};

	(void)state;
	make(&m, two_tips, 2, &bytes);
	TEST_OK(sw_watermark_decode(sw_buf_view(&bytes), &got));
	TEST_OK(sw_watermark_verify(sw_buf_view(&bytes), &got, &database));
	assert_true(sw_key_eq(&got.author, &m.author));
	assert_true(got.stamp == m.stamp && sw_head_eq(&got.head, &m.head));
	assert_int_equal(got.n_tips, 2);
	sw_watermark_tip(&got, 1, &tip);
	assert_true(sw_hash_eq(&tip, &two_tips[1]));
}

static void it_is_good_for_one_database_and_nothing_else(void **state)
{
	struct sw_hash another = {{0xdc}};
	struct sw_watermark m;
	SW_BUF bytes = {0};

	(void)state;
	make(&m, two_tips, 2, &bytes);
	assert_int_equal(sw_watermark_verify(sw_buf_view(&bytes), &m, &another), SW_ESIG);
	/* The signature is not one of the bytes that stand before it, as a commit's is. */
	assert_int_equal(sw_sig_verify(&m.author, sw_view(bytes.p, bytes.n - SW_SIG_SIZE), &m.sig),
			 SW_ESIG);
	bytes.p[40] ^= 1; /* of the stamp */
	TEST_OK(sw_watermark_decode(sw_buf_view(&bytes), &m));
	assert_int_equal(sw_watermark_verify(sw_buf_view(&bytes), &m, &database), SW_ESIG);
}

static void assert_refused(struct sw_buf *bytes)
{
	struct sw_watermark m;

	assert_int_equal(sw_watermark_decode(sw_buf_view(bytes), &m), SW_EFORMAT);
}

static void only_the_canonical_form_is_taken(void **state)
{
	const struct sw_hash swapped[] = {{{0x44}}, {{0x33}}};
	size_t at_n = 1 + SW_KEY_SIZE + 16 + 2 * SW_HASH_SIZE;
	struct sw_watermark m;
	SW_BUF bytes = {0};

	(void)state;
	make(&m, two_tips, 2, &bytes);
	for (size_t n = 0; n < bytes.n; n++)
		assert_int_equal(sw_watermark_decode(sw_view(bytes.p, n), &m), SW_EFORMAT);
	memcpy(bytes.p + at_n + 1, swapped, sizeof(swapped));
	assert_refused(&bytes);
	memcpy(bytes.p + at_n + 1, two_tips, SW_HASH_SIZE);
	memcpy(bytes.p + at_n + 1 + SW_HASH_SIZE, two_tips, SW_HASH_SIZE);
	assert_refused(&bytes); /* the same twice */
	sw_buf_reset(&bytes);
	make(&m, two_tips, 2, &bytes);
	sw_buf_put_u8(&bytes, 0);
	assert_refused(&bytes);
	bytes.n--;
	bytes.p[0] = 2;
	assert_refused(&bytes);
	/* None at all: everybody has the first commit. */
	sw_buf_reset(&bytes);
	make(&m, two_tips, 2, &bytes);
	bytes.p[at_n] = 0;
	memmove(bytes.p + at_n + 1, bytes.p + at_n + 1 + sizeof(two_tips), SW_SIG_SIZE);
	bytes.n -= sizeof(two_tips);
	assert_refused(&bytes);
}

static void tips_are_bounded(void **state)
{
	struct sw_hash *tips = calloc(SW_WATERMARK_TIPS_MAX + 1, sizeof(*tips));
	size_t at_n = 1 + SW_KEY_SIZE + 16 + 2 * SW_HASH_SIZE;
	struct sw_watermark m;
	SW_BUF bytes = {0};
	SW_BUF more = {0};

	(void)state;
	assert_non_null(tips);
	for (size_t i = 0; i <= SW_WATERMARK_TIPS_MAX; i++) {
		tips[i].b[0] = (uint8_t)(i >> 8);
		tips[i].b[1] = (uint8_t)i;
	}
	make(&m, tips, SW_WATERMARK_TIPS_MAX, &bytes);
	assert_int_equal(bytes.n, SW_WATERMARK_SIZE_MAX);
	TEST_OK(sw_watermark_decode(sw_buf_view(&bytes), &m));
	sw_buf_put(&more, bytes.p, at_n);
	sw_buf_put_varint(&more, SW_WATERMARK_TIPS_MAX + 1);
	sw_buf_put(&more, tips, (SW_WATERMARK_TIPS_MAX + 1) * sizeof(*tips));
	sw_buf_put(&more, m.sig.b, SW_SIG_SIZE);
	assert_refused(&more);
	free(tips);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_signed_comes_back),
	    cmocka_unit_test(it_is_good_for_one_database_and_nothing_else),
	    cmocka_unit_test(only_the_canonical_form_is_taken),
	    cmocka_unit_test(tips_are_bounded),
	};

	cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
