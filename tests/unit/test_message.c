/* The wire messages: what is written is read again, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zstd.h>

#include "net/message.h"
#include "tests/lib/rng.h"

#define N_SAMPLES 18

static struct rng rng;
static struct sw_message m; /* large */

static void fill(void *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = (uint8_t)rng_next(&rng);
}

static void tips_make(struct sw_hash *v, size_t n)
{
	fill(v, n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i].b[0] = (uint8_t)i; /* ascending */
}

static void commit_make(struct sw_commit *c, struct sw_buf *changeset, bool compressible)
{
	*c = (struct sw_commit){.rule = 1, .n_parents = 2, .stamp = rng_next(&rng), .message = sw_view_str("why")};
	tips_make(c->parents, 2);
	fill(c->author.b, SW_KEY_SIZE);
	fill(c->state.b, SW_HASH_SIZE);
	fill(c->sig.b, SW_SIG_SIZE);
	for (size_t i = 0; i < 300; i++)
		sw_buf_put_u8(changeset, compressible ? 'x' : (uint8_t)rng_next(&rng));
}

static void put_watermark(struct sw_buf *body)
{
	static const uint8_t seed[SW_KEY_SEED_SIZE] = {1};
	struct sw_hash tip = {{9}};
	struct sw_watermark w = {.stamp = 5, .head.count = 1, .n_tips = 1, .tips = sw_hash_view(&tip)};
	struct sw_identity *id;
	SW_BUF bytes = {0};

	assert_int_equal(sw_identity_from_seed(seed, &id), 0);
	sw_watermark_seal(&w, &tip, id, &bytes);
	sw_buf_put_bytes(body, sw_buf_view(&bytes));
	sw_identity_free(id);
}

/* One of each, and more of those with several forms. */
static void sample(size_t which, struct sw_buf *out)
{
	struct sw_head head = {.count = 7};
	struct sw_hash hashes[SW_MESSAGE_TIPS_MAX];
	uint8_t secret[SW_TICKET_SECRET_SIZE];
	struct sw_commit c;
	SW_BUF changeset = {0};
	SW_BUF body = {0};

	tips_make(hashes, SW_MESSAGE_TIPS_MAX);
	fill(secret, sizeof(secret));
	commit_make(&c, &changeset, which == 4);
	sw_body_put_commit(&c, sw_buf_view(&changeset), &body);
	switch (which) {
	case 0: sw_message_hello(1790000000000, out); break;
	case 1: sw_message_head(&head, hashes, 3, out); break;
	case 2: sw_message_pull(300, hashes, 5, out); break;
	case 3: sw_message_more(1, out); break;
	case 4:
	case 5: assert_int_equal(sw_message_commits(9, which == 4, sw_buf_view(&body), out), 0); break;
	case 6: sw_message_want(hashes, 2, out); break;
	case 7:
		sw_buf_reset(&body);
		sw_buf_put_bytes(&body, sw_view_str("\004data"));
		assert_int_equal(sw_message_records(sw_buf_view(&body), out), 0);
		break;
	case 8: sw_message_ping(1ull << 40, out); break;
	case 9: sw_message_pong(0, 1790000000000, out); break;
	case 10: sw_message_join(secret, out); break;
	case 11: sw_message_joined(2, "expired", out); break;
	case 12:
		sw_buf_reset(&body);
		put_watermark(&body);
		sw_message_watermarks(sw_buf_view(&body), out);
		break;
	case 13: sw_message_look(&hashes[1], out); break;
	default: sw_message_bye("so long", out); break;
	case 15: sw_message_freed(7, hashes, 2, out); break;
	case 17: sw_message_ask(sw_view_str("let me in\n\033[2J"), out); break;
	case 14: sw_message_node(&hashes[1], sw_view(NULL, 0), out); break;
	}
	assert_int_equal(out->rc, 0);
	assert_true(out->n > 0);
}

/* Encode what was decoded; false for a type whose bytes have several encodings. */
static bool encode_again(const struct sw_message *msg, struct sw_buf *out)
{
	char text[SW_MESSAGE_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)msg->text.n, (const char *)msg->text.p);
	if (strlen(text) != msg->text.n)
		return false;
	switch (msg->type) {
	case SW_MSG_HEAD: sw_message_head(&msg->head, msg->hashes, msg->n_hashes, out); return true;
	case SW_MSG_PULL: sw_message_pull(msg->turn, msg->hashes, msg->n_hashes, out); return true;
	case SW_MSG_MORE: sw_message_more(msg->turn, out); return true;
	case SW_MSG_FREED: sw_message_freed(msg->turn, msg->hashes, msg->n_hashes, out); return true;
	case SW_MSG_WANT: sw_message_want(msg->hashes, msg->n_hashes, out); return true;
	case SW_MSG_PING: sw_message_ping(msg->nonce, out); return true;
	case SW_MSG_PONG: sw_message_pong(msg->nonce, msg->wall_ms, out); return true;
	case SW_MSG_JOIN: sw_message_join(msg->secret, out); return true;
	case SW_MSG_JOINED: sw_message_joined(msg->code, text, out); return true;
	case SW_MSG_BYE: sw_message_bye(text, out); return true;
	case SW_MSG_WATERMARKS: sw_message_watermarks(msg->body, out); return true;
	case SW_MSG_LOOK: sw_message_look(&msg->hashes[0], out); return true;
	case SW_MSG_NODE: sw_message_node(&msg->hashes[0], msg->body, out); return true;
	case SW_MSG_ASK: sw_message_ask(msg->text, out); return true;
	default: return false;
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		SW_BUF bytes = {0};
		SW_BUF again = {0};

		sample(i, &bytes);
		assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m), 0);
		assert_int_equal(m.type, bytes.p[0]);
		if (encode_again(&m, &again))
			assert_true(sw_view_eq(sw_buf_view(&bytes), sw_buf_view(&again)));
		sw_message_fini(&m);
	}
}

static void commits_come_back_whole(void **state)
{
	struct sw_hash database;

	(void)state;
	fill(&database, sizeof(database));
	for (int compressible = 0; compressible < 2; compressible++) {
		struct sw_commit c[3];
		SW_BUF body = {0};
		SW_BUF bytes = {0};
		struct sw_rd r;

		for (size_t i = 0; i < 3; i++) {
			SW_BUF changeset = {0};

			commit_make(&c[i], &changeset, compressible);
			c[i].n_parents = i == 0 ? 0 : 2;
			sw_body_put_commit(&c[i], sw_buf_view(&changeset), &body);
		}
		assert_int_equal(sw_message_commits(5, true, sw_buf_view(&body), &bytes), 0);
		assert_true(compressible ? bytes.n < body.n : bytes.n >= body.n);
		assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m), 0);
		assert_true(m.more);
		assert_int_equal(m.turn, 5);
		r = sw_rd(m.body);
		for (size_t i = 0; i < 3; i++) {
			struct sw_commit got;
			struct sw_view changeset;
			SW_BUF raw = {0};

			assert_int_equal(sw_body_next_commit(&r, &database, &raw, &changeset), 1);
			assert_int_equal(sw_commit_decode(sw_buf_view(&raw), &got), 0);
			assert_int_equal(changeset.n, 300);
			assert_memory_equal(&got.author, &c[i].author, SW_KEY_SIZE);
			assert_memory_equal(&got.sig, &c[i].sig, SW_SIG_SIZE);
			assert_int_equal(got.stamp, c[i].stamp);
			assert_true(sw_hash_eq(&got.database, i ? &database : &sw_hash_zero));
		}
		sw_message_fini(&m);
	}
}

static void every_prefix_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		SW_BUF bytes = {0};

		sample(i, &bytes);
		for (size_t n = 0; n < bytes.n; n++) {
			/* A copy of exactly that size, so that a read behind it is noticed. */
			uint8_t *copy = malloc(n ? n : 1);
			int rc;

			assert_non_null(copy);
			memcpy(copy, bytes.p, n);
			rc = sw_message_decode(sw_view(copy, n), &m);
			/* A plain body ends where the message does: the walk over it finds out. */
			if (rc == 0) {
				struct sw_rd r = sw_rd(m.body);
				struct sw_view record;
				SW_BUF raw = {0};

				if (m.type == SW_MSG_COMMITS)
					rc = sw_body_next_commit(&r, &sw_hash_zero, &raw, &record);
				else
					rc = sw_body_next_record(&r, &record);
				assert_true(rc < 0 || (rc == 0 && m.body.n == 0));
			}
			sw_message_fini(&m);
			free(copy);
		}
	}
}

static void whatever_is_added_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		SW_BUF bytes = {0};

		sample(i, &bytes);
		if (i == 5 || i == 7) /* plain bodies go to the end: see above */
			continue;
		sw_buf_put_u8(&bytes, 0);
		assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m), SW_EFORMAT);
		sw_message_fini(&m);
	}
}

static void a_flipped_bit_is_refused_or_means_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		SW_BUF bytes = {0};

		sample(i, &bytes);
		for (size_t bit = 0; bit < 8 * bytes.n; bit++) {
			SW_BUF again = {0};

			bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (sw_message_decode(sw_buf_view(&bytes), &m) == 0 && encode_again(&m, &again))
				assert_true(sw_view_eq(sw_buf_view(&bytes), sw_buf_view(&again)));
			sw_message_fini(&m);
			bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/* COMMITS, turn 1, last, compressed: with a size and a frame of the caller's. */
static int decode_frame(uint64_t size, struct sw_view frame)
{
	SW_BUF bytes = {0};
	int rc;

	sw_buf_put_u8(&bytes, SW_MSG_COMMITS);
	sw_buf_put_varint(&bytes, 1);
	sw_buf_put_u8(&bytes, 0);
	sw_buf_put_u8(&bytes, 1);
	sw_buf_put_varint(&bytes, size);
	sw_buf_put_view(&bytes, frame);
	rc = sw_message_decode(sw_buf_view(&bytes), &m);
	sw_message_fini(&m);
	return rc;
}

static size_t compress_zeros(size_t size, bool with_size, uint8_t *frame, size_t cap)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	uint8_t *zeros = calloc(1, size);
	size_t n;

	assert_non_null(ctx);
	assert_non_null(zeros);
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, with_size)));
	n = ZSTD_compress2(ctx, frame, cap, zeros, size);
	assert_false(ZSTD_isError(n));
	ZSTD_freeCCtx(ctx);
	free(zeros);
	return n;
}

static void bombs_do_not_go_off(void **state)
{
	uint8_t frame[8192];
	size_t n;

	(void)state;
	n = compress_zeros(5000, true, frame, sizeof(frame));
	assert_int_equal(decode_frame(5000, sw_view(frame, n)), 0);
	assert_int_equal(decode_frame(4999, sw_view(frame, n)), SW_EFORMAT);
	assert_int_equal(decode_frame(5001, sw_view(frame, n)), SW_EFORMAT);
	assert_int_equal(decode_frame(0, sw_view(frame, n)), SW_EFORMAT);
	/* Two frames, and rubbish behind one. */
	memcpy(frame + n, frame, n);
	assert_int_equal(decode_frame(5000, sw_view(frame, 2 * n)), SW_EFORMAT);
	assert_int_equal(decode_frame(10000, sw_view(frame, 2 * n)), SW_EFORMAT);
	assert_int_equal(decode_frame(5000, sw_view(frame, n + 1)), SW_EFORMAT);
	/* A frame that does not say how much it holds, and one that holds too much. */
	n = compress_zeros(5000, false, frame, sizeof(frame));
	assert_int_equal(decode_frame(5000, sw_view(frame, n)), SW_EFORMAT);
	n = compress_zeros(SW_MESSAGE_BODY_MAX + 1, true, frame, sizeof(frame));
	assert_int_equal(decode_frame(SW_MESSAGE_BODY_MAX + 1, sw_view(frame, n)), SW_EFORMAT);
}

static void counts_are_bounded_before_memory_is_touched(void **state)
{
	static const struct {
		enum sw_message_type type;
		uint64_t max;
	} cases[] = {{SW_MSG_PULL, SW_MESSAGE_KNOWN_MAX}, {SW_MSG_WANT, SW_MESSAGE_WANT_MAX}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (uint64_t n = cases[i].max; n <= cases[i].max + 1; n++) {
			SW_BUF bytes = {0};
			struct sw_hash h = {{1}};

			sw_buf_put_u8(&bytes, (uint8_t)cases[i].type);
			if (cases[i].type == SW_MSG_PULL)
				sw_buf_put_varint(&bytes, 1);
			sw_buf_put_varint(&bytes, n);
			for (uint64_t k = 0; k < n; k++)
				sw_buf_put_hash(&bytes, &h);
			assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m),
					 n > cases[i].max ? SW_EFORMAT : 0);
			sw_message_fini(&m);
		}
	}
}

static void tips_must_ascend(void **state)
{
	struct sw_head head = {.count = 7};
	struct sw_hash tips[2] = {{{2}}, {{1}}};
	SW_BUF bytes = {0};

	(void)state;
	sw_message_head(&head, tips, 2, &bytes);
	assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m), SW_EFORMAT);
	sw_buf_reset(&bytes);
	tips[1] = tips[0];
	sw_message_head(&head, tips, 2, &bytes);
	assert_int_equal(sw_message_decode(sw_buf_view(&bytes), &m), SW_EFORMAT);
}

static void a_record_has_bytes_and_a_limit(void **state)
{
	SW_BUF body = {0};
	SW_BUF large = {0};
	struct sw_view record;
	struct sw_rd r;

	(void)state;
	sw_buf_put_bytes(&body, sw_view("", 0));
	r = sw_rd(sw_buf_view(&body));
	assert_int_equal(sw_body_next_record(&r, &record), SW_EFORMAT);
	sw_buf_reset(&body);
	assert_non_null(sw_buf_reserve(&large, SW_RECORD_SIZE_MAX + 1));
	memset(large.p, 4, SW_RECORD_SIZE_MAX + 1);
	large.n = SW_RECORD_SIZE_MAX;
	sw_buf_put_bytes(&body, sw_buf_view(&large));
	large.n++;
	sw_buf_put_bytes(&body, sw_buf_view(&large));
	r = sw_rd(sw_buf_view(&body));
	assert_int_equal(sw_body_next_record(&r, &record), 1);
	assert_int_equal(sw_body_next_record(&r, &record), SW_EFORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(commits_come_back_whole),
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(whatever_is_added_is_refused),
	    cmocka_unit_test(a_flipped_bit_is_refused_or_means_what_it_says),
	    cmocka_unit_test(bombs_do_not_go_off),
	    cmocka_unit_test(counts_are_bounded_before_memory_is_touched),
	    cmocka_unit_test(tips_must_ascend),
	    cmocka_unit_test(a_record_has_bytes_and_a_limit),
	};

	rng.s = test_seed();
	return sw_crypto_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
