/* Times of the system as rows have them: nanoseconds since 1970, which reach from the year 1677 to 2262. */
#ifndef SW_FS_TIME_NS_H
#define SW_FS_TIME_NS_H

#include <stdint.h>
#include <time.h>

/* One that is beyond either end is the end. */
static inline int64_t sw_time_ns(const struct timespec *t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t->tv_sec, (int64_t)1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static inline struct timespec sw_time_of_ns(int64_t ns)
{
	const int64_t second = 1000000000;
	struct timespec t = {.tv_sec = ns / second, .tv_nsec = ns % second};

	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += second;
	}
	return t;
}

#endif
