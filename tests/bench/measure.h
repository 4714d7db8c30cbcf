/*
 * What the benchmark programs share: a clock, a list of samples, and how a result is printed.
 *
 * A sample is a duration in nanoseconds. Quantiles are taken from the sorted samples by nearest
 * rank, so every figure printed is one that was measured. Benchmarks end at the first
 * failure: a figure from a run that half worked is worse than none.
 */
#ifndef SW_TESTS_BENCH_MEASURE_H
#define SW_TESTS_BENCH_MEASURE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct samples {
	int64_t *ns;
	size_t n, cap;
};

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Says what failed, errno included when it is not 0, and ends the program. */
static inline void die(const char *what, const char *which)
{
	int err = errno;

	fprintf(stderr, "%s: %s%s%s\n", what, which, err ? ": " : "", err ? strerror(err) : "");
	exit(1);
}

/* Room for n samples before the clock runs, so that adding one is a store and nothing else. */
static inline void samples_init(struct samples *s, size_t n)
{
	s->ns = malloc((n ? n : 1) * sizeof(*s->ns));
	if (!s->ns) {
		die("samples", "no memory");
		return;
	}
	memset(s->ns, 0, (n ? n : 1) * sizeof(*s->ns)); /* page faults belong here too */
	s->n = 0;
	s->cap = n;
}

static inline void samples_fini(struct samples *s)
{
	free(s->ns);
	memset(s, 0, sizeof(*s));
}

static inline void samples_add(struct samples *s, int64_t ns)
{
	if (s->n < s->cap)
		s->ns[s->n++] = ns;
}

static inline int samples_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static inline void samples_sort(struct samples *s)
{
	qsort(s->ns, s->n, sizeof(*s->ns), samples_cmp);
}

/* Of sorted samples: the smallest that at least permille of a thousand do not exceed; 0 is min. */
static inline int64_t samples_quantile(const struct samples *s, unsigned permille)
{
	size_t rank = (s->n * permille + 999) / 1000;

	if (s->n == 0)
		return 0;
	return s->ns[rank ? rank - 1 : 0];
}

/*
 * Results: one line per figure for people, or one JSON object with a member per figure.
 * unit_ns and unit name each other: 1000 and "us", 1000000 and "ms".
 */
struct report {
	bool json;
	bool begun;
	double unit_ns;
	const char *unit;
};

static inline void report_key(struct report *r, const char *name)
{
	printf("%s\"", r->begun ? ", " : "{");
	for (; *name; name++)
		putchar(*name == ' ' || *name == '-' || *name == '+' ? '_' : *name);
	printf("\": ");
	r->begun = true;
}

/* Sorts the samples and prints them. */
static inline void report_samples(struct report *r, const char *name, struct samples *s)
{
	double u = r->unit_ns;

	if (s->n == 0)
		return;
	samples_sort(s);
	if (r->json) {
		report_key(r, name);
		printf("{\"unit\": \"%s\", \"n\": %zu, \"min\": %.3f, \"p50\": %.3f, "
		       "\"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}",
		       r->unit, s->n, (double)samples_quantile(s, 0) / u,
		       (double)samples_quantile(s, 500) / u, (double)samples_quantile(s, 900) / u,
		       (double)samples_quantile(s, 990) / u, (double)samples_quantile(s, 1000) / u);
		return;
	}
	if (!r->begun)
		printf("%-26s %8s %12s %12s %12s %12s %12s\n", "what", "n", "min", "median", "p90",
		       "p99", "max");
	r->begun = true;
	printf("%-26s %8zu %9.3f %s %9.3f %s %9.3f %s %9.3f %s %9.3f %s\n", name, s->n,
	       (double)samples_quantile(s, 0) / u, r->unit, (double)samples_quantile(s, 500) / u,
	       r->unit, (double)samples_quantile(s, 900) / u, r->unit,
	       (double)samples_quantile(s, 990) / u, r->unit, (double)samples_quantile(s, 1000) / u,
	       r->unit);
	fflush(stdout);
}

/* A single number, such as operations per second. */
static inline void report_number(struct report *r, const char *name, double value, const char *unit)
{
	if (r->json) {
		report_key(r, name);
		printf("%.3f", value);
	} else {
		printf("%-26s %.3f %s\n", name, value, unit);
		fflush(stdout);
	}
}

static inline void report_end(const struct report *r)
{
	if (r->json)
		printf("%s}\n", r->begun ? "" : "{");
}

/* A number from the command line, or exit 2. */
static inline size_t parse_size(const char *option, const char *text, size_t min, size_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || v < min || v > max) {
		fprintf(stderr, "%s: want a number from %zu to %zu, not '%s'\n", option, min, max,
			text);
		exit(2);
	}
	return (size_t)v;
}

#endif
