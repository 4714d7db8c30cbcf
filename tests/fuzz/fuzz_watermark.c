/*
 * Watermarks from anybody. One that is accepted has the same bytes when it is put together again;
 * what it says, signed by us, is accepted and verifies for that database, and for no other.
 */
#include "core/watermark.h"
#include "tests/fuzz/fuzz.h"

static struct sw_identity *identity;

/* Decoding leaves nothing out: the fields give the bytes. */
static void encode_again(const struct sw_watermark *m, struct sw_buf *out)
{
	sw_buf_put_u8(out, SW_WATERMARK_VERSION);
	sw_buf_put(out, m->author.b, SW_KEY_SIZE);
	sw_buf_put_u64(out, m->stamp);
	sw_buf_put_u64(out, m->head.count);
	sw_buf_put_hash(out, &m->head.line);
	sw_buf_put_hash(out, &m->head.state);
	sw_buf_put_varint(out, m->n_tips);
	for (size_t i = 0; i < m->n_tips; i++) {
		struct sw_hash tip;

		sw_watermark_tip(m, i, &tip);
		sw_buf_put_hash(out, &tip);
	}
	sw_buf_put(out, m->sig.b, SW_SIG_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SW_KEY_SEED_SIZE] = {1};
	static const struct sw_hash database = {{1}}, another = {{2}};
	struct sw_view bytes = sw_view(data, size);
	struct sw_watermark m, sealed, again;
	SW_BUF out = {0};
	SW_BUF ours = {0};

	if (!identity)
		must(sw_crypto_init() == 0 && sw_identity_from_seed(seed, &identity) == 0);
	if (sw_watermark_decode(bytes, &m) < 0)
		return 0;
	must(size <= SW_WATERMARK_SIZE_MAX);
	must(m.n_tips >= 1 && m.n_tips <= SW_WATERMARK_TIPS_MAX);
	encode_again(&m, &out);
	must(out.rc == 0 && sw_view_eq(sw_buf_view(&out), bytes));
	must(sw_watermark_verify(bytes, &m, &another) < 0);
	sealed = m;
	sw_watermark_seal(&sealed, &database, identity, &ours);
	must(ours.rc == 0 && sw_watermark_decode(sw_buf_view(&ours), &again) == 0);
	must(sw_watermark_verify(sw_buf_view(&ours), &again, &database) == 0);
	must(sw_watermark_verify(sw_buf_view(&ours), &again, &another) == SW_ESIG);
	return 0;
}
