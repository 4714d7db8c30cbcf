/*
 * Columns of a row, their differences, and the column merge: examples of each rule in
 * core/columns.h, then its consequences as properties of random rows. SW_SEED=n replays a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/columns.h"
#include "core/json.h"
#include "tests/lib/rng.h"

#define COLUMNS SW_CLEANUP(sw_columns_fini) struct sw_columns

static struct rng rng;

static unsigned below(unsigned n)
{
	return rng_below(&rng, n);
}

static int parse(struct sw_view text, struct sw_columns *out)
{
	return sw_columns_parse(sw_view_str("row.json"), text, out);
}

static void parse_ok(const char *text, struct sw_columns *out)
{
	assert_int_equal(parse(sw_view_str(text), out), 1);
}

static void assert_view(struct sw_view v, const char *want)
{
	if (!sw_view_eq(v, sw_view_str(want)))
		fail_msg("got '%.*s', want '%s'", (int)v.n, (const char *)v.p, want);
}

static void columns_are_the_top_level_members(void **state)
{
	static const char text[] =
	    "{\"b\": [1, 2] , \"\\u0061\\n\":1.0,\"\":\"\",\"c\":{\"b\":0}}\n";
	COLUMNS c = {0};
	struct sw_hash hash;
	struct sw_hash want;

	(void)state;
	parse_ok(text, &c);
	assert_int_equal(c.n, 4);
	assert_view(c.v[0].name, "b");
	assert_view(c.v[0].value, "[1, 2]");
	assert_view(c.v[1].name, "a\n");
	assert_view(c.v[1].key, "\\u0061\\n");
	assert_view(c.v[1].value, "1.0");
	assert_view(c.v[2].name, "");
	assert_ptr_equal(sw_columns_find(&c, sw_view_str("a\n")), &c.v[1]);
	assert_ptr_equal(sw_columns_find(&c, sw_view_str("")), &c.v[2]);
	assert_ptr_equal(sw_columns_find(&c, sw_view_str("c")), &c.v[3]);
	assert_null(sw_columns_find(&c, sw_view_str("a")));
	assert_null(sw_columns_find(&c, sw_view_str("d")));
	for (size_t i = 1; i < c.n; i++)
		assert_true(sw_view_cmp(c.by_name[i - 1]->name, c.by_name[i]->name) < 0);
	sw_column_hash(&c.v[0], &hash);
	sw_hash_compute(SW_DOMAIN_COLUMN, sw_view_str("[1, 2]"), &want);
	assert_true(sw_hash_eq(&hash, &want));
	sw_columns_fini(&c);
	sw_columns_fini(&c);
}

static void columns_need_a_json_name(void **state)
{
	static const struct {
		const char *name;
		int want;
	} cases[] = {
	    {"a.json", 1}, {".json", 1}, {"a.b.json", 1}, {"a.JSON", 0}, {"a.json~", 0},
	    {"a", 0},      {"ajson", 0}, {"", 0},         {"json", 0},   {"a.jsonl", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		COLUMNS c = {0};

		assert_int_equal(
		    sw_columns_parse(sw_view_str(cases[i].name), sw_view_str("{}"), &c),
		    cases[i].want);
	}
}

static void columns_need_a_sound_object(void **state)
{
	static const char *const without[] = {
	    "",
	    "[]",
	    "1",
	    "{",
	    "{\"a\":1,}",
	    "{\"a\":1}{}",
	    "{\"a\":1,\"a\":1}",
	    "{\"a\":1,\"\\u0061\":2}",
	    "{\"\\u00e9\":1,\"\xc3\xa9\":2}",
	    "{\"\":1,\"\":1}",
	    "{\"x\":1,\"a\":1,\"y\":2,\"\\u0061\":1}",
	    "\xef\xbb\xbf{}",
	};
	static const char *const with[] = {
	    "{}",
	    " { } ",
	    "{\"a\":{\"b\":1,\"b\":2}}",
	    "{\"a\":1,\"A\":1}",
	    "{\"\\u0000\":1,\"\":2}",
	    "{\"e\xcc\x81\":1,\"\xc3\xa9\":2}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		COLUMNS c = {0};

		if (parse(sw_view_str(without[i]), &c) != 0)
			fail_msg("has columns: %s", without[i]);
		assert_null(c.v);
		assert_int_equal(c.n, 0);
	}
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		COLUMNS c = {0};

		if (parse(sw_view_str(with[i]), &c) != 1)
			fail_msg("has no columns: %s", with[i]);
	}
}

/* An object of n members named 0, 1, ... */
static void put_numbered(struct sw_buf *out, unsigned n, const char *value)
{
	sw_buf_put_u8(out, '{');
	for (unsigned i = 0; i < n; i++)
		sw_buf_printf(out, "%s\"%u\":%s", i ? "," : "", i, value);
	sw_buf_put_u8(out, '}');
}

static void columns_have_limits(void **state)
{
	SW_BUF text = {0};

	(void)state;
	for (unsigned n = SW_COLUMNS_MAX; n <= SW_COLUMNS_MAX + 1; n++) {
		COLUMNS c = {0};

		sw_buf_reset(&text);
		put_numbered(&text, n, "0");
		assert_int_equal(parse(sw_buf_view(&text), &c), n == SW_COLUMNS_MAX);
	}
	for (unsigned n = SW_COLUMNS_NAME_MAX; n <= SW_COLUMNS_NAME_MAX + 1; n++) {
		COLUMNS c = {0};
		COLUMNS escaped = {0};

		sw_buf_reset(&text);
		sw_buf_printf(&text, "{\"%0*u\":1}", (int)n, 0u);
		assert_int_equal(parse(sw_buf_view(&text), &c), n == SW_COLUMNS_NAME_MAX);
		/* The limit is on the decoded name. */
		sw_buf_reset(&text);
		sw_buf_put(&text, "{\"", 2);
		for (unsigned i = 0; i < n; i++)
			sw_buf_put(&text, "\\u0061", 6);
		sw_buf_put(&text, "\":1}", 4);
		assert_int_equal(parse(sw_buf_view(&text), &escaped), n == SW_COLUMNS_NAME_MAX);
	}
	for (size_t n = SW_COLUMNS_TEXT_MAX; n <= SW_COLUMNS_TEXT_MAX + 1; n++) {
		COLUMNS c = {0};

		sw_buf_reset(&text);
		sw_buf_put(&text, "{}", 2);
		while (text.n < n)
			sw_buf_put_u8(&text, ' ');
		assert_int_equal(parse(sw_buf_view(&text), &c), n == SW_COLUMNS_TEXT_MAX);
	}
}

/* The differences as text: +added -removed ~changed, in the order they come. */
static void diff_text(const struct sw_columns *before, const struct sw_columns *after,
		      struct sw_buf *out)
{
	struct sw_columns_diff diff;
	struct sw_column_change change;

	sw_columns_diff_init(&diff, before, after);
	while (sw_columns_diff_next(&diff, &change)) {
		assert_true(change.before || change.after);
		sw_buf_put_u8(out, !change.before ? '+' : !change.after ? '-' : '~');
		sw_buf_put_view(out, change.name);
	}
	assert_int_equal(sw_columns_diff_next(&diff, &change), 0);
}

static void diff_lists_changes_by_name(void **state)
{
	static const struct {
		const char *before;
		const char *after;
		const char *want;
	} cases[] = {
	    {"{}", "{}", ""},
	    {"{\"a\":1}", "{ \"a\" : 1 }", ""},
	    {"{\"a\":1,\"b\":2}", "{\"b\":2,\"\\u0061\":1}", ""},
	    {"{\"a\":1}", "{\"a\":1.0}", "~a"},
	    {"{\"z\":1,\"m\":1,\"a\":1}", "{\"m\":2,\"b\":1,\"z\":1,\"zz\":1}", "-a+b~m+zz"},
	    {NULL, "{\"b\":1,\"a\":1}", "+a+b"},
	    {"{\"b\":1,\"a\":1}", NULL, "-a-b"},
	    {NULL, NULL, ""},
	    {"{}", NULL, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		COLUMNS before = {0};
		COLUMNS after = {0};
		SW_BUF out = {0};

		if (cases[i].before)
			parse_ok(cases[i].before, &before);
		if (cases[i].after)
			parse_ok(cases[i].after, &after);
		diff_text(cases[i].before ? &before : NULL, cases[i].after ? &after : NULL, &out);
		assert_view(sw_buf_view(&out), cases[i].want);
	}
}

static int merge(const struct sw_columns *base, const struct sw_columns *mine,
		 const struct sw_columns *met, struct sw_buf *out)
{
	struct sw_columns_diff diff;
	struct sw_column_change change;
	struct sw_view *changed = calloc(base->n + mine->n + 1, sizeof(*changed));
	size_t n = 0;
	int rc;

	assert_non_null(changed);
	sw_columns_diff_init(&diff, base, mine);
	while (sw_columns_diff_next(&diff, &change))
		changed[n++] = change.name;
	rc = sw_columns_merge(mine, met, changed, n, out);
	free(changed);
	return rc;
}

/* Each case is: what the operation replaced, what it wrote, what it meets, what results. */
struct merge_case {
	const char *base;
	const char *mine;
	const char *met;
	const char *want;
};

static void check_merge(const struct merge_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		COLUMNS base = {0};
		COLUMNS mine = {0};
		COLUMNS met = {0};
		SW_BUF out = {0};

		parse_ok(cases[i].base, &base);
		parse_ok(cases[i].mine, &mine);
		parse_ok(cases[i].met, &met);
		assert_int_equal(merge(&base, &mine, &met, &out), 0);
		assert_view(sw_buf_view(&out), cases[i].want);
	}
}

#define CHECK_MERGE(cases) check_merge(cases, sizeof(cases) / sizeof((cases)[0]))

static void merge_takes_what_mine_did_not_change(void **state)
{
	static const struct merge_case cases[] = {
	    /* Both sides changed something; met's value comes as written, mine's spelling of the
	       key. */
	    {"{\"x\":1,\"y\":1}", "{\"x\":1,\"y\":2}", "{\"x\":9.0,\"y\":1}",
	     "{\"x\":9.0,\"y\":2}"},
	    {"{\"x\":1}", "{ \"\\u0078\" :1 }", "{\"x\":[ 1 ]}", "{ \"\\u0078\" :[ 1 ] }"},
	    /* Both changed the same: the later one stays. */
	    {"{\"x\":1}", "{\"x\":2}", "{\"x\":3}", "{\"x\":2}"},
	    /* Removed by mine, changed or kept by met: it stays removed. */
	    {"{\"x\":1,\"y\":1}", "{\"y\":1}", "{\"x\":2,\"y\":1}", "{\"y\":1}"},
	    /* Changed by mine, removed by met: mine's. */
	    {"{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", "{\"y\":3}", "{\"x\":2,\"y\":3}"},
	    /* Removed by both. */
	    {"{\"x\":1,\"y\":1}", "{\"y\":1}", "{\"y\":1}", "{\"y\":1}"},
	    /* Case 6 of the rules: a reformatted row. */
	    {"{\"x\":1,\"y\":1}", "{\n  \"x\": 1,\n  \"y\": 7\n}\n", "{\"x\":5,\"y\":1}",
	     "{\n  \"x\": 5,\n  \"y\": 7\n}\n"},
	};

	(void)state;
	CHECK_MERGE(cases);
}

static void merge_adds_in_the_manner_of_mine(void **state)
{
	static const struct merge_case cases[] = {
	    {"{\"a\":1}", "{\n  \"a\": 1\n}", "{\"a\":1,\"b\":2}", "{\n  \"a\": 1,\n  \"b\": 2\n}"},
	    {"{\"a\":1}", "{\n  \"a\": 1\n}\n", "{\"c\":[1,2],\"a\":1,\"\\u0062\" : 2}",
	     "{\n  \"a\": 1,\n  \"c\": [1,2],\n  \"\\u0062\": 2\n}\n"},
	    {"{\"a\":1}", "{\"a\":1}", "{\"a\":1, \"b\": 2}", "{\"a\":1,\"b\":2}"},
	    {"{\"a\":1}", "{\"a\": 1}", "{\"a\":1,\"b\":2}", "{\"a\": 1, \"b\": 2}"},
	    {"{\"a\":1}", "{ \"a\":1 }", "{\"a\":1,\"b\":2,\"c\":3}",
	     "{ \"a\":1, \"b\":2, \"c\":3 }"},
	    {"{\"a\":1,\"b\":1}", "{\"a\": 1, \"b\": 1}", "{\"a\":1,\"b\":1,\"c\":3}",
	     "{\"a\": 1, \"b\": 1, \"c\": 3}"},
	    /* Commas before the line. */
	    {"{\"a\":1,\"b\":1}", "{ \"a\": 1\n, \"b\": 1\n}", "{\"a\":1,\"b\":1,\"c\":3,\"d\":4}",
	     "{ \"a\": 1\n, \"b\": 1\n, \"c\": 3\n, \"d\": 4\n}"},
	    /* No member to imitate: as met has it. */
	    {"{}", "{ }\n", "{\n\t\"a\" : 1,\n\t\"b\" : 2\n}", "{\n\t\"a\" : 1,\n\t\"b\" : 2\n}\n"},
	    {"{}", "\n{}", "{\"a\": 1}", "\n{\"a\": 1}"},
	    {"{\"a\":1}", "{}", "{\"a\": 1, \"b\": 2}", "{\"b\": 2}"},
	};

	(void)state;
	CHECK_MERGE(cases);
}

static void merge_removes_with_the_separator(void **state)
{
	static const struct merge_case cases[] = {
	    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"b\":2,\"c\":3}",
	     "{\"b\": 2, \"c\": 3}"},
	    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"a\":1,\"c\":3}",
	     "{\"a\": 1, \"c\": 3}"},
	    {"{\"a\":1,\"b\":2,\"c\":3}", "{\n\t\"a\": 1,\n\t\"b\": 2,\n\t\"c\": 3\n}\n",
	     "{\"a\":1,\"b\":2}", "{\n\t\"a\": 1,\n\t\"b\": 2\n}\n"},
	    {"{\"a\":1}", " {\n\t\"a\": 1\n}\n", "{}", " {}\n"},
	    {"{\"a\":1}", "{\n\t\"a\": 1\n}\n", "{\"b\":1}", "{\n\t\"b\": 1\n}\n"},
	    {"{\"a\":1,\"b\":2}", "{\"a\": 1, \"b\": 2}", "{\"c\":3,\"d\":4}",
	     "{\"c\": 3, \"d\": 4}"},
	    {"{}", "{ }", "{}", "{ }"},
	};

	(void)state;
	CHECK_MERGE(cases);
}

static void merge_refuses_a_result_without_columns(void **state)
{
	SW_BUF text = {0};
	SW_BUF padding = {0};
	SW_BUF out = {0};
	COLUMNS base = {0};
	COLUMNS mine = {0};
	COLUMNS met = {0};
	COLUMNS many = {0};
	COLUMNS wide = {0};
	COLUMNS result = {0};
	struct sw_view name = sw_view_str("x");

	(void)state;
	/* One member too many; one less is fine. */
	put_numbered(&text, SW_COLUMNS_MAX, "0");
	assert_int_equal(parse(sw_buf_view(&text), &many), 1);
	parse_ok("{}", &base);
	parse_ok("{\"x\":1}", &mine);
	sw_buf_put(&out, "keep", 4);
	assert_int_equal(sw_columns_merge(&mine, &many, &name, 1, &out), SW_ELIMIT);
	assert_view(sw_buf_view(&out), "keep");
	assert_int_equal(sw_columns_merge(&base, &many, NULL, 0, &out), 0);
	sw_buf_reset(&out);

	/* Whitespace before the last member would be written 4096 times: 2 GiB if nobody stopped.
	 */
	sw_buf_put(&padding, "{", 1);
	for (int i = 0; i < 1 << 19; i++)
		sw_buf_put_u8(&padding, ' ');
	sw_buf_put(&padding, "\"x\":1}", 6);
	assert_int_equal(parse(sw_buf_view(&padding), &wide), 1);
	assert_int_equal(sw_columns_merge(&wide, &many, &name, 1, &out), SW_ELIMIT);
	assert_int_equal(out.n, 0);
	assert_true(out.cap <= 4 * SW_COLUMNS_TEXT_MAX);

	/* Exactly 1 MiB is allowed, a byte more is not. */
	for (int extra = 0; extra < 2; extra++) {
		sw_buf_reset(&text);
		sw_buf_put(&text, "{\"y\":\"", 6);
		while (text.n < SW_COLUMNS_TEXT_MAX - 8 + (size_t)extra)
			sw_buf_put_u8(&text, 'y');
		sw_buf_put(&text, "\"}", 2);
		sw_columns_fini(&met);
		assert_int_equal(parse(sw_buf_view(&text), &met), 1);
		sw_buf_reset(&out);
		/* mine adds ',' and "x":1, which is 6 bytes in all. */
		assert_int_equal(sw_columns_merge(&mine, &met, &name, 1, &out),
				 extra ? SW_ELIMIT : 0);
		if (!extra) {
			assert_int_equal(out.n, SW_COLUMNS_TEXT_MAX);
			assert_int_equal(parse(sw_buf_view(&out), &result), 1);
		}
	}
}

static void put_space(struct sw_buf *out)
{
	static const char *const spaces[] = {"", "", "", " ", "\n\t", "\r\n", "  "};

	sw_buf_put_view(out, sw_view_str(spaces[below(7)]));
}

/* A row with some of eight names, in any order, spelled in several ways, laid out at random. */
static void put_row(struct sw_buf *out)
{
	static const char *const keys[8][2] = {
	    {"a", "\\u0061"}, {"b", "\\u0062"},        {"c", "c"},         {"\\n", "\\u000a"},
	    {"", ""},         {"\xc3\xa9", "\\u00E9"}, {"ab", "a\\u0062"}, {"\\u0000", "\\u0000"},
	};
	static const char *const values[] = {"1", "2", "1.0", "\"x\"", "[ 1 ]", "{\"a\" : 1}"};
	unsigned present = below(256);
	unsigned first = below(8);
	unsigned step = 1 + 2 * below(4);
	bool more = false;

	put_space(out);
	sw_buf_put_u8(out, '{');
	for (unsigned i = 0; i < 8; i++) {
		unsigned k = (first + i * step) % 8;

		if (!(present >> k & 1))
			continue;
		if (more)
			sw_buf_put_u8(out, ',');
		more = true;
		put_space(out);
		sw_buf_printf(out, "\"%s\"", keys[k][below(2)]);
		put_space(out);
		sw_buf_put_u8(out, ':');
		put_space(out);
		sw_buf_put_view(out, sw_view_str(values[below(6)]));
		put_space(out);
	}
	if (!more)
		put_space(out);
	sw_buf_put_u8(out, '}');
	put_space(out);
}

static bool same(const struct sw_column *a, const struct sw_column *b)
{
	return a && b ? sw_view_eq(a->value, b->value) : a == b;
}

/* The names of both rows, taken into result: changed ones are mine's, the others met's. */
static void assert_merged(const struct sw_columns *base, const struct sw_columns *mine,
			  const struct sw_columns *met, const struct sw_columns *result)
{
	const struct sw_columns *all[] = {base, mine, met, result};

	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < all[i]->n; j++) {
			struct sw_view name = all[i]->v[j].name;
			const struct sw_column *a = sw_columns_find(mine, name);
			bool changed = !same(sw_columns_find(base, name), a);

			assert_true(same(sw_columns_find(result, name),
					 changed ? a : sw_columns_find(met, name)));
		}
	}
}

static void merge_has_its_properties(void **state)
{
	struct sw_buf texts[3] = {{0}, {0}, {0}};
	SW_BUF out = {0};
	SW_BUF again = {0};

	(void)state;
	rng.s = test_seed();
	for (int i = 0; i < 30000; i++) {
		COLUMNS base = {0};
		COLUMNS mine = {0};
		COLUMNS met = {0};
		COLUMNS result = {0};

		for (int j = 0; j < 3; j++) {
			sw_buf_reset(&texts[j]);
			put_row(&texts[j]);
		}
		assert_int_equal(parse(sw_buf_view(&texts[0]), &base), 1);
		assert_int_equal(parse(sw_buf_view(&texts[1]), &mine), 1);
		assert_int_equal(parse(sw_buf_view(&texts[2]), &met), 1);

		sw_buf_reset(&out);
		assert_int_equal(merge(&base, &mine, &met, &out), 0);
		assert_int_equal(parse(sw_buf_view(&out), &result), 1);
		assert_merged(&base, &mine, &met, &result);

		/* Merged once more with the same row, nothing differs: the bytes stay. */
		sw_buf_reset(&again);
		assert_int_equal(merge(&base, &result, &result, &again), 0);
		assert_true(sw_view_eq(sw_buf_view(&again), sw_buf_view(&out)));
		/* Meeting what was replaced, however laid out, leaves mine as it is. */
		sw_buf_reset(&out);
		assert_int_equal(merge(&base, &mine, &base, &out), 0);
		assert_true(sw_view_eq(sw_buf_view(&out), mine.text));
	}
	for (int j = 0; j < 3; j++)
		sw_buf_fini(&texts[j]);
}

static void diff_is_what_a_merge_needs(void **state)
{
	SW_BUF a_text = {0};
	SW_BUF b_text = {0};

	(void)state;
	rng.s = test_seed();
	for (int i = 0; i < 20000; i++) {
		COLUMNS a = {0};
		COLUMNS b = {0};
		struct sw_columns_diff diff;
		struct sw_column_change change;
		struct sw_view last = {NULL, 0};
		size_t n = 0;
		size_t want = 0;

		sw_buf_reset(&a_text);
		sw_buf_reset(&b_text);
		put_row(&a_text);
		put_row(&b_text);
		assert_int_equal(parse(sw_buf_view(&a_text), &a), 1);
		assert_int_equal(parse(sw_buf_view(&b_text), &b), 1);
		sw_columns_diff_init(&diff, &a, &b);
		for (; sw_columns_diff_next(&diff, &change); n++) {
			assert_true(n == 0 || sw_view_cmp(last, change.name) < 0);
			assert_ptr_equal(change.before, sw_columns_find(&a, change.name));
			assert_ptr_equal(change.after, sw_columns_find(&b, change.name));
			assert_false(same(change.before, change.after));
			last = change.name;
		}
		for (size_t j = 0; j < a.n; j++)
			want += !same(&a.v[j], sw_columns_find(&b, a.v[j].name));
		for (size_t j = 0; j < b.n; j++)
			want += !sw_columns_find(&a, b.v[j].name);
		assert_int_equal(n, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(columns_are_the_top_level_members),
	    cmocka_unit_test(columns_need_a_json_name),
	    cmocka_unit_test(columns_need_a_sound_object),
	    cmocka_unit_test(columns_have_limits),
	    cmocka_unit_test(diff_lists_changes_by_name),
	    cmocka_unit_test(merge_takes_what_mine_did_not_change),
	    cmocka_unit_test(merge_adds_in_the_manner_of_mine),
	    cmocka_unit_test(merge_removes_with_the_separator),
	    cmocka_unit_test(merge_refuses_a_result_without_columns),
	    cmocka_unit_test(merge_has_its_properties),
	    cmocka_unit_test(diff_is_what_a_merge_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
