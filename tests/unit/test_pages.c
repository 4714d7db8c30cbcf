/* Pages that are kept: each is found by all that it depends on and by nothing less, and there are never more than so many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/pages.h"

#define SIZE 4096

static bool has(struct sw_pages *p, const struct sw_page_key *key, const char *text)
{
	char out[SIZE];
	size_t n;

	return sw_pages_get(p, key, out, &n) && sw_view_eq(sw_view(out, n), sw_view_str(text));
}

static void a_page_is_found_by_all_that_it_depends_on(void **state)
{
	const struct sw_page_key key = {.root = {{1}}, .dir = 2, .offset = 3, .size = SIZE};
	struct sw_page_key root = key, dir = key, offset = key, size = key;
	struct sw_pages p;

	(void)state;
	root.root.b[31] = 1;
	dir.dir++;
	offset.offset++;
	size.size--;
	sw_pages_init(&p);
	assert_false(has(&p, &key, "names"));
	sw_pages_put(&p, &key, sw_view_str("names"));
	assert_true(has(&p, &key, "names"));
	assert_false(has(&p, &root, "names"));
	assert_false(has(&p, &dir, "names"));
	assert_false(has(&p, &offset, "names"));
	assert_false(has(&p, &size, "names"));
	sw_pages_put(&p, &root, sw_view_str("others"));
	assert_true(has(&p, &root, "others"));
	assert_true(has(&p, &key, "names"));
	sw_pages_fini(&p);
}

static void the_oldest_go_and_large_ones_do_not_come(void **state)
{
	struct sw_page_key key = {.size = SIZE};
	struct sw_pages p;

	(void)state;
	sw_pages_init(&p);
	for (key.offset = 0; key.offset < SW_PAGES_MAX + 2; key.offset++)
		sw_pages_put(&p, &key, sw_view_str("names"));
	for (key.offset = 0; key.offset < SW_PAGES_MAX + 2; key.offset++)
		assert_int_equal(has(&p, &key, "names"), key.offset >= 2);
	key.size = SW_PAGE_SIZE_MAX + 1;
	sw_pages_put(&p, &key, sw_view_str("names"));
	assert_false(has(&p, &key, "names"));
	sw_pages_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_page_is_found_by_all_that_it_depends_on),
	    cmocka_unit_test(the_oldest_go_and_large_ones_do_not_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
