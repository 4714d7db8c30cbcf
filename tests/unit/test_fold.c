/*
 * The fold against the oracle: several stores write, apart and together, with clocks that disagree;
 * commits made by hand join them, with odd parents, equal stamps and odd changesets; everything
 * travels in random batches in random order. After each step the store's state and line must have
 * the roots that the oracle computes from the same commits. The seed is printed first and replays
 * the run; SW_WORLDS makes it longer. At the end, all that may happen must have happened often
 * enough.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <malloc.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/toysign.h"
#include "tests/lib/world.h"

#define SMALL 20 /* small worlds for each large one */

static uint64_t seed;

static void large_world(uint64_t at)
{
	struct world w;
	size_t steps;

	world_init(&w, at);
	steps = 10 + rng_below(&w.rng, 60);
	for (size_t i = 0; i < steps; i++)
		world_step(&w);
	world_settle(&w);
	world_fini(&w);
}

static void small_world(uint64_t at)
{
	struct world w;
	size_t steps;

	world_init_small(&w, at);
	steps = 2 + rng_below(&w.rng, 8);
	for (size_t i = 0; i < steps; i++)
		world_step(&w);
	world_settle(&w);
	if (rng_below(&w.rng, 40) == 0)
		world_orders(&w);
	world_fini(&w);
}

static void random_histories_agree_with_the_oracle(void **state)
{
	const char *text = getenv("SW_WORLDS");
	size_t n = text ? strtoul(text, NULL, 10) : 50;

	(void)state;
	for (size_t k = 0; k < n; k++) {
		large_world(seed + k);
		for (size_t i = 0; i < SMALL; i++)
			small_world((seed + k) * SMALL + i);
		if (k % 10000 == 9999)
			world_print_counts();
	}
	world_print_counts();
	world_check_counts(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_histories_agree_with_the_oracle),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing.
	 */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	toysign_use();
	/* What LMDB allocates for each store is mapped, and most of it never touched. */
	mallopt(M_MMAP_THRESHOLD, 1 << 18);
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
