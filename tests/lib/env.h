/* An environment that a test owns: a clock that it moves, randomness from a seed, faults on demand.
 */
#ifndef TESTS_LIB_ENV_H
#define TESTS_LIB_ENV_H

#include "core/env.h"
#include "core/err.h"
#include "tests/lib/rng.h"

struct test_env {
	struct sw_env env; /* hand out &t->env */
	struct rng rng;
	uint64_t now_ms;
	int64_t skew_ms; /* of the wall clock alone */
	int fail_in;     /* the n-th durable step from now fails with fail_rc; 0: none */
	int fail_rc;     /* 0: it succeeds */
	bool dies; /* with that step: no later one succeeds, until the environment is made anew */
	bool is_dead;
	/* Told of each durable step that succeeds as far as this environment decides; may be NULL.
	 */
	void (*on_step)(void *arg, const char *step);
	void *on_step_arg;
};

static inline uint64_t test_env_wall(void *arg)
{
	struct test_env *t = arg;

	return t->now_ms + (uint64_t)t->skew_ms;
}

static inline uint64_t test_env_mono(void *arg)
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
	bool now = !t->is_dead && t->fail_in > 0 && --t->fail_in == 0;
	int rc = t->is_dead ? SW_EIO : now ? t->fail_rc : 0;

	if (now && t->dies)
		t->is_dead = true;
	if (rc == 0 && t->on_step)
		t->on_step(t->on_step_arg, step);
	return rc;
}

static inline void test_env_init(struct test_env *t, uint64_t seed)
{
	static const uint64_t checkpoint[] = {0, 1, 2, 7};

	*t = (struct test_env){.rng = {seed}, .now_ms = 1790000000000};
	t->env = (struct sw_env){.arg = t,
				 .wall_ms = test_env_wall,
				 .mono_ms = test_env_mono,
				 .random = test_env_random,
				 .fault = test_env_fault,
				 .checkpoint_commits = checkpoint[seed % 4],
				 .all_footholds = seed / 4 % 2 == 0};
}

#endif
