/*
 * Proofs from anybody, with a check that fits put behind them, or everything would end there. One that is taken is within its
 * limits, and is taken again.
 */
#include "core/proof.h"
#include "tests/fuzz/fuzz.h"

static bool is_ready;

static int read_nothing(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	(void)arg;
	(void)offset;
	(void)out;
	(void)n;
	*got = 0;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_proof p, again;
	struct sw_hash check;
	SW_BUF bytes = {0};

	if (!is_ready)
		must(sw_crypto_init() == 0);
	is_ready = true;
	sw_buf_put(&bytes, data, size);
	sw_hash_compute(SW_DOMAIN_PROOF, sw_buf_view(&bytes), &check);
	sw_buf_put_hash(&bytes, &check);
	must(bytes.rc == 0);
	if (sw_proof_check(sw_buf_view(&bytes), &p) < 0)
		return 0;
	must(size <= SW_PROOF_SIZE_MAX);
	must(sw_name_check(p.table) == 0 && sw_name_check(p.key) == 0);
	must(p.n_grants >= 1 && p.n_grants <= SW_PROOF_GRANTS_MAX && p.role >= SW_ROLE_WRITER);
	must(!p.has_row || p.has_table);
	must(p.is_watermark == sw_hash_is_zero(&p.commit));
	must(sw_proof_check(sw_buf_view(&bytes), &again) == 0 && sw_hash_eq(&again.value, &p.value));
	if (p.has_row)
		must(sw_proof_has_content(&p, read_nothing, NULL) == (p.row.size == 0));
	return 0;
}
