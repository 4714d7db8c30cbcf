/*
 * A responder's session fed by whoever dials. The first byte of the input chooses how far the
 * fuzzer gets by itself: even, and the rest is the raw stream from the first byte on; odd, and an
 * honest initiator opens the session, after which the rest is cut into records that decrypt, so
 * that what lies behind the encryption is reached too.
 */
#include "core/sign.h"
#include "net/noise.h"
#include "net/session.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE_MAX (256 * 1024)

static struct sw_identity *identity;
static const struct sw_hash database;

/* Feed in pieces of the size that the input says, and read all messages. */
static int feed(struct sw_session *s, struct sw_view bytes, size_t piece)
{
	struct sw_rd r = sw_rd(bytes);
	struct sw_view message;
	int rc = 0;

	while (rc == 0 && sw_rd_left(&r) > 0) {
		size_t n = piece < sw_rd_left(&r) ? piece : sw_rd_left(&r);

		rc = sw_session_feed(s, sw_rd_take(&r, n));
		while (rc == 0 && (rc = sw_session_recv(s, &message)) > 0) {
			must(message.n <= MESSAGE_MAX);
			must(sw_session_established(s) && sw_session_remote(s));
			rc = sw_session_send(s, message);
		}
	}
	must(rc <= 0 && rc != SW_EAGAIN);
	must(rc == 0 || sw_session_feed(s, bytes) == rc);
	return rc;
}

static void put_frame(struct sw_buf *out, struct sw_view body)
{
	sw_buf_put_u32(out, (uint32_t)body.n);
	sw_buf_put_view(out, body);
}

/* Speak for an initiator that follows all rules, up to where both identities are proven. */
static void open_honestly(struct sw_session *s, struct sw_noise_cipher *send)
{
	static const uint8_t secret[32] = {5};
	SW_BUF prologue = {0};
	SW_BUF text = {0};
	SW_BUF stream = {0};
	SW_BUF message = {0};
	SW_BUF payload = {0};
	struct sw_noise_cipher receive;
	struct sw_noise noise;
	struct sw_sig sig;
	uint8_t proof[SW_KEY_SIZE + SW_SIG_SIZE + SW_NOISE_TAG_SIZE];

	sw_buf_put(&prologue, "swarmfs/1", 9);
	sw_buf_put_hash(&prologue, &database);
	sw_noise_start(&noise, true, sw_buf_view(&prologue), secret, secret);
	must(sw_noise_write(&noise, sw_view(NULL, 0), &message) == 0);
	put_frame(&stream, sw_buf_view(&message));
	must(sw_session_feed(s, sw_buf_view(&stream)) == 0);
	must(sw_noise_read(&noise, sw_view(sw_session_output(s)->p + 4, 96), &payload) == 0);
	sw_buf_reset(&message);
	sw_buf_reset(&stream);
	must(sw_noise_write(&noise, sw_view(NULL, 0), &message) == 0);
	put_frame(&stream, sw_buf_view(&message));

	sw_buf_put(&text, "swarmfs/1 sessionI", 18);
	sw_buf_put(&text, sw_noise_hash(&noise), SW_NOISE_HASH_SIZE);
	sw_identity_sign(identity, sw_buf_view(&text), &sig);
	sw_noise_split(&noise, send, &receive);
	memcpy(proof, sw_identity_key(identity)->b, SW_KEY_SIZE);
	memcpy(proof + SW_KEY_SIZE, sig.b, SW_SIG_SIZE);
	must(sw_noise_encrypt(send, sw_view(proof, SW_KEY_SIZE + SW_SIG_SIZE), proof) == 0);
	put_frame(&stream, sw_view(proof, sizeof(proof)));
	must(sw_session_feed(s, sw_buf_view(&stream)) == 0);
	must(sw_session_established(s));
}

/* Cut the input into records, 16 bits of length each, seal them and append them to the stream. */
static void seal_records(struct sw_noise_cipher *send, struct sw_rd *in, struct sw_buf *stream)
{
	while (sw_rd_left(in) >= 3) {
		size_t repeat = 1 + sw_rd_u8(in) % 8; /* long records from short inputs */
		size_t n = sw_rd_u16(in);
		struct sw_view body;
		uint8_t *to;

		if (n > SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE)
			n = SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE;
		body = sw_rd_take(in, n < sw_rd_left(in) ? n : sw_rd_left(in));
		for (size_t k = 0; k < repeat; k++) {
			sw_buf_put_u32(stream, (uint32_t)(n + SW_NOISE_TAG_SIZE));
			to = sw_buf_reserve(stream, n + SW_NOISE_TAG_SIZE);
			must(to != NULL);
			memset(to, 1, n);
			if (body.n > 0)
				memcpy(to, body.p, body.n);
			must(sw_noise_encrypt(send, sw_view(to, n), to) == 0);
			stream->n += n + SW_NOISE_TAG_SIZE;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SW_KEY_SEED_SIZE] = {1};
	static const uint8_t secret[SW_SESSION_SECRET_SIZE] = {2};
	SW_CLEANUP(sw_session_freep) struct sw_session *s = NULL;
	struct sw_rd in = sw_rd(sw_view(data, size));
	struct sw_session_options options = {
	    .database = &database,
	    .static_secret = secret,
	    .ephemeral_secret = secret,
	    .message_max = MESSAGE_MAX,
	};
	SW_BUF stream = {0};
	uint8_t way;

	if (size < 3)
		return 0;
	if (!identity)
		must(sw_crypto_init() == 0 && sw_identity_from_seed(seed, &identity) == 0);
	options.identity = identity;
	must(sw_session_new(&options, &s) == 0);
	way = sw_rd_u8(&in);
	if (way & 1) {
		struct sw_noise_cipher send;

		open_honestly(s, &send);
		seal_records(&send, &in, &stream);
		if (stream.n > 0)
			(void)feed(s, sw_buf_view(&stream), way > 127 ? 64 * 1024 : 1000);
	} else {
		(void)feed(s, sw_rd_take(&in, sw_rd_left(&in)), 1 + way / 2);
	}
	return 0;
}
