/*
 * The fold against the oracle: several stores write, apart and together, with clocks that disagree; commits
 * made by hand join them, with odd parents, equal stamps and odd changesets; everything travels in random batches
 * in random order. After each step the store's state and line must have the roots that the oracle
 * computes from the same commits. The seed is printed first and replays the run; SW_LONG=1 runs longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/world.h"

static uint64_t seed;

static size_t n_worlds(size_t normal)
{
	return getenv("SW_LONG") ? 50 * normal : normal;
}

static void random_histories_agree_with_the_oracle(void **state)
{
	size_t total = n_worlds(120);

	(void)state;
	for (size_t k = 0; k < total; k++) {
		struct world w;
		size_t steps;

		world_init(&w, seed + k);
		steps = 10 + rng_below(&w.rng, 60);
		for (size_t i = 0; i < steps; i++)
			world_step(&w);
		world_settle(&w);
		world_fini(&w);
	}
	world_print_counts();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_histories_agree_with_the_oracle),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing. */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
