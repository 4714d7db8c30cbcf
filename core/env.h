/*
 * The outside world as core/ sees it: time, randomness and faults. The product hands in the
 * real ones (fs/env_system.c); tests and the simulator own theirs. core/ calls no clock and no random source itself.
 */
#ifndef SW_CORE_ENV_H
#define SW_CORE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sw_env {
	void *arg;
	/* Wall clock, milliseconds since 1970 (UTC). May jump. */
	uint64_t (*wall_ms)(void *arg);
	/* Monotonic clock in milliseconds, for timers. */
	uint64_t (*mono_ms)(void *arg);
	/* n unpredictable bytes. */
	void (*random)(void *arg, void *out, size_t n);
	/*
	 * Asked before each durable step, with its name ("store.commit", "journal.append",
	 * "journal.sync", "journal.forget", "journal.reset", "journal.replace", "dir.sync"); a negative SW_E* makes the step fail with it. NULL: nothing ever fails.
	 */
	int (*fault)(void *arg, const char *step);
	/* Address space for each store's data file; 0: 1 TiB. For a process with very many stores. */
	size_t map_size;
	/* A store writes its trees after so many commits (core/db_checkpoint.c); 0: 1,000. */
	uint64_t checkpoint_commits;
	/* A foothold behind each operation that is folded again (core/foothold.h), so that short histories have some. */
	bool all_footholds;
};

static inline uint64_t sw_env_wall_ms(const struct sw_env *env)
{
	return env->wall_ms(env->arg);
}

static inline uint64_t sw_env_mono_ms(const struct sw_env *env)
{
	return env->mono_ms(env->arg);
}

static inline int sw_env_fault(const struct sw_env *env, const char *step)
{
	return env->fault ? env->fault(env->arg, step) : 0;
}

#endif
