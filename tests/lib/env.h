/* An environment that a test owns: a clock that it moves, randomness from a seed, faults on demand. */
#ifndef TESTS_LIB_ENV_H
#define TESTS_LIB_ENV_H

#include "core/env.h"
#include "tests/lib/rng.h"

struct test_env {
	struct sw_env env; /* hand out &t->env */
	struct rng rng;
	uint64_t now_ms;
	int fail_in; /* the n-th durable step from now fails with fail_rc; 0: none */
	int fail_rc;
};

static inline uint64_t test_env_now(void *arg)
{
	return ((struct test_env *)arg)->now_ms;
}

static inline void test_env_random(void *arg, void *out, size_t n)
{
	struct test_env *t = arg;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = (uint8_t)rng_next(&t->rng);
}

static inline int test_env_fault(void *arg, const char *step)
{
	struct test_env *t = arg;

	(void)step;
	return t->fail_in > 0 && --t->fail_in == 0 ? t->fail_rc : 0;
}

static inline void test_env_init(struct test_env *t, uint64_t seed)
{
	*t = (struct test_env){.rng = {seed}, .now_ms = 1790000000000};
	t->env = (struct sw_env){.arg = t,
				 .wall_ms = test_env_now,
				 .mono_ms = test_env_now,
				 .random = test_env_random,
				 .fault = test_env_fault};
}

#endif
