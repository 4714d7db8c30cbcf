/* A small seeded generator (SplitMix64, Steele et al. 2014) so that every random test can be replayed. */
#ifndef TESTS_LIB_RNG_H
#define TESTS_LIB_RNG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct rng {
	uint64_t s;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

/* SW_SEED, or the time; printed, so that a failure can be replayed. */
static inline uint64_t test_seed(void)
{
	const char *text = getenv("SW_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	printf("seed %llu (SW_SEED replays)\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

#endif
