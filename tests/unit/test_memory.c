/* What was freed is given back to the kernel, also when it was used and freed again since the last time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <malloc.h>
#include <cmocka.h>

#include "fs/memory.h"

#define PIECE ((size_t)1000) /* small, so that it is no mapping of its own */
#define N     ((size_t)80000)
#define MUCH  ((uint64_t)32 << 20) /* less than half of all of it */

static char *pieces[N];

static void fill(void)
{
	for (size_t i = 0; i < N; i++) {
		pieces[i] = malloc(PIECE);
		assert_non_null(pieces[i]);
		memset(pieces[i], 1, PIECE);
	}
}

/* But for the last, so that the end of the heap stays where it is. */
static void empty(void)
{
	for (size_t i = 0; i < N - 1; i++)
		free(pieces[i]);
}

static void what_was_freed_is_given_back(void **state)
{
	struct sw_memory memory = {0};
	uint64_t before, full;

	(void)state;
	fill();
	if (mallinfo2().arena < MUCH) /* it is a sanitizer's */
		skip();
	full = sw_memory_resident();
	empty();
	sw_memory_tidy(&memory);
	before = sw_memory_resident();
	assert_true(before + MUCH < full);
	/* All of it is used and freed again while nobody looks. */
	free(pieces[N - 1]);
	fill();
	assert_true(sw_memory_resident() > before + MUCH);
	empty();
	sw_memory_tidy(&memory);
	assert_true(sw_memory_resident() < before + MUCH);
	free(pieces[N - 1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_freed_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
