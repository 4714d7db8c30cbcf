/* What two texts have in common: what is matched is equal and in order, and as much as the oracle, a table, finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fs/lines.h"
#include "tests/lib/rng.h"

#define LINES_MAX 24

/* The length of the longest common subsequence, the plain way. */
static size_t longest(const struct sw_lines *a, const struct sw_lines *b)
{
	static size_t t[LINES_MAX + 1][LINES_MAX + 1];

	for (size_t i = 0; i <= a->n; i++)
		for (size_t j = 0; j <= b->n; j++)
			if (i == 0 || j == 0)
				t[i][j] = 0;
			else if (sw_view_eq(a->v[i - 1], b->v[j - 1]))
				t[i][j] = t[i - 1][j - 1] + 1;
			else
				t[i][j] = t[i - 1][j] > t[i][j - 1] ? t[i - 1][j] : t[i][j - 1];
	return t[a->n][b->n];
}

static size_t check_match(const struct sw_lines *a, const struct sw_lines *b, const size_t *match)
{
	size_t n = 0, next = 0;

	for (size_t j = 0; j < b->n; j++) {
		if (match[j] == SIZE_MAX)
			continue;
		assert_true(match[j] >= next && match[j] < a->n);
		assert_true(sw_view_eq(a->v[match[j]], b->v[j]));
		next = match[j] + 1;
		n++;
	}
	return n;
}

static void random_text(struct rng *rng, struct sw_buf *out)
{
	uint32_t n = rng_below(rng, LINES_MAX + 1), kinds = 1 + rng_below(rng, 6);

	for (uint32_t i = 0; i < n; i++)
		sw_buf_printf(out, "%u%s", rng_below(rng, kinds), i + 1 == n && rng_below(rng, 2) ? "" : "\n");
}

static void as_many_lines_match_as_can(void **state)
{
	struct rng rng = {test_seed()};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct sw_lines a = {0}, b = {0};
		size_t match[LINES_MAX + 1];
		SW_BUF x = {0};
		SW_BUF y = {0};

		random_text(&rng, &x);
		random_text(&rng, &y);
		assert_int_equal(sw_lines_split(sw_buf_view(&x), &a), 0);
		assert_int_equal(sw_lines_split(sw_buf_view(&y), &b), 0);
		assert_int_equal(sw_lines_match(&a, &b, match), 0);
		assert_int_equal(check_match(&a, &b, match), longest(&a, &b));
		sw_lines_fini(&a);
		sw_lines_fini(&b);
	}
}

/* Of texts that are too different, what both begin and end with. */
static void too_many_differences_are_cut_short(void **state)
{
	struct sw_lines a = {0}, b = {0};
	size_t *match;
	SW_BUF x = {0};
	SW_BUF y = {0};

	(void)state;
	sw_buf_printf(&x, "begin\n");
	sw_buf_printf(&y, "begin\n");
	for (int i = 0; i < 5000; i++) {
		sw_buf_printf(&x, "x%d\n", i);
		sw_buf_printf(&y, "y%d\n", i);
	}
	sw_buf_printf(&x, "end");
	sw_buf_printf(&y, "end");
	assert_int_equal(sw_lines_split(sw_buf_view(&x), &a), 0);
	assert_int_equal(sw_lines_split(sw_buf_view(&y), &b), 0);
	match = calloc(b.n, sizeof(*match));
	assert_non_null(match);
	assert_int_equal(sw_lines_match(&a, &b, match), 0);
	assert_int_equal(check_match(&a, &b, match), 2);
	free(match);
	sw_lines_fini(&a);
	sw_lines_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_many_lines_match_as_can),
	    cmocka_unit_test(too_many_differences_are_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
