/*
 * Signed headers from anybody. One that is accepted has the same bytes when it is encoded again;
 * what it says, signed by us, is accepted and verifies, and has the same id if it was ours to say.
 */
#include "core/commit.h"
#include "tests/fuzz/fuzz.h"

static struct sw_identity *identity;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SW_KEY_SEED_SIZE] = {1};
	static struct sw_commit c, sealed, again;
	struct sw_view bytes = sw_view(data, size);
	SW_BUF out = {0};
	SW_BUF ours = {0};

	if (!identity)
		must(sw_crypto_init() == 0 && sw_identity_from_seed(seed, &identity) == 0);
	if (sw_commit_decode(bytes, &c) < 0)
		return 0;
	must(size <= SW_COMMIT_SIZE_MAX);
	sw_commit_encode(&c, &out);
	must(out.rc == 0 && sw_view_eq(sw_buf_view(&out), bytes));
	if (sw_commit_verify(bytes, &c) == 0)
		must(sw_sig_verify(&c.author, sw_view(data, size - SW_SIG_SIZE), &c.sig) == 0);
	sealed = c;
	sw_commit_seal(&sealed, identity, &ours);
	must(ours.rc == 0 && sw_commit_decode(sw_buf_view(&ours), &again) == 0);
	must(sw_commit_verify(sw_buf_view(&ours), &again) == 0);
	must(sw_hash_eq(&again.id, &sealed.id));
	must(sw_hash_eq(&again.id, &c.id) == sw_key_eq(&c.author, sw_identity_key(identity)));
	return 0;
}
