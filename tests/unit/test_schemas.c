/* Which schemas are remembered: as many as memory is given to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/schemas.h"

/* One that has that many bytes. */
static void put_text(struct sw_buf *out, size_t n)
{
	sw_buf_reset(out);
	sw_buf_printf(out, "CREATE TABLE t(a) --");
	while (out->n < n)
		sw_buf_put_u8(out, 'x');
	assert_int_equal(out->rc, 0);
}

static void use(struct sw_schemas *c, int i, const struct sw_buf *text)
{
	struct sw_schema *s;
	char table[16];

	snprintf(table, sizeof(table), "t%d", i);
	assert_int_equal(sw_schemas_of_text(c, sw_view_str(table), sw_buf_view(text), &s), 0);
	assert_int_equal(sw_schema_check(s, sw_view_str("1.json"), sw_view_str("{\"a\":1}")), 0);
}

static bool is_known(struct sw_schemas *c, int i)
{
	struct sw_schema *s;
	char table[16];

	snprintf(table, sizeof(table), "t%d", i);
	return sw_schemas_known(c, sw_view_str(table), &sw_hash_zero, &s);
}

static void large_texts_are_fewer(void **state)
{
	struct sw_schemas *c;
	SW_BUF text = {0};

	(void)state;
	assert_int_equal(sw_schemas_new(&c), 0);
	for (int i = 0; i < SW_SCHEMAS_MAX; i++) {
		put_text(&text, 100);
		use(c, i, &text);
	}
	for (int i = 0; i < SW_SCHEMAS_MAX; i++)
		assert_true(is_known(c, i));
	for (int i = 0; i < SW_SCHEMAS_MAX; i++) {
		put_text(&text, SW_SCHEMA_TEXT_MAX);
		use(c, i, &text);
	}
	for (int i = 0; i < SW_SCHEMAS_MAX; i++)
		assert_int_equal(is_known(c, i), i >= SW_SCHEMAS_MAX - 4);
	/* The oldest goes, and not the one that is in use. */
	put_text(&text, 100);
	use(c, 0, &text);
	assert_true(is_known(c, 0));
	assert_false(is_known(c, SW_SCHEMAS_MAX - 4));
	assert_true(is_known(c, SW_SCHEMAS_MAX - 1));
	sw_schemas_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(large_texts_are_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
