#include "fs/env_system.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t system_wall_ms(void *arg)
{
	(void)arg;
	return clock_ms(CLOCK_REALTIME);
}

static uint64_t system_mono_ms(void *arg)
{
	(void)arg;
	return clock_ms(CLOCK_MONOTONIC);
}

/* Keys come from here: there is no going on without it. */
static void system_random(void *arg, void *out, size_t n)
{
	char *p = out;

	(void)arg;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

const struct sw_env sw_env_system = {
    .wall_ms = system_wall_ms,
    .mono_ms = system_mono_ms,
    .random = system_random,
};
