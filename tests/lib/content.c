#include "tests/lib/content.h"

#include "core/columns.h"

static bool one_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

static void put_space(struct rng *r, uint32_t style, struct sw_buf *out)
{
	static const char *const spaces[] = {"", " ", "\n  ", "\n\t"};

	sw_buf_put_view(out, sw_view_str(spaces[style == 4 ? rng_below(r, 4) : style]));
}

static void put_value(struct rng *r, bool large, struct sw_buf *out)
{
	static const char *const values[] = {"1",      "2",          "1.0",  "\"a\"",
					     "[1, 2]", "{\"k\":{}}", "null", "true"};

	if (!large || !one_in(r, 3)) {
		sw_buf_put_view(out, sw_view_str(values[rng_below(r, 8)]));
		return;
	}
	sw_buf_printf(out, "\"");
	for (uint32_t i = 0, n = 600 + rng_below(r, 900), c = rng_below(r, 3); i < n; i++)
		sw_buf_put_u8(out, (uint8_t)('a' + (c + i / 97) % 26));
	sw_buf_printf(out, "\"");
}

static void put_member(struct rng *r, const char *key, size_t key_n, struct sw_view value,
		       uint32_t style, bool first, struct sw_buf *out)
{
	if (!first)
		sw_buf_put_u8(out, ',');
	put_space(r, style, out);
	sw_buf_printf(out, "\"%.*s\":", (int)key_n, key);
	sw_buf_put_view(out, sw_view_str(style ? " " : ""));
	sw_buf_put_view(out, value);
	if (style == 4)
		put_space(r, 4, out);
}

/* An object; from a base that is one, with a column or two changed, or only written otherwise. */
static void make_object(struct rng *r, const struct sw_columns *base, struct sw_buf *out)
{
	static const char *const names[] = {"x", "y", "z", "w", "\\u0071", "v"};
	uint32_t style = rng_below(r, 5), hit = rng_below(r, 8);
	bool large = one_in(r, 6), first = true;

	sw_buf_put_u8(out, '{');
	for (size_t i = 0; base && i < base->n; i++) {
		bool change = i == hit || (hit > 5 && one_in(r, 3));
		SW_BUF value = {0};

		if (change && one_in(r, 4))
			continue; /* the column goes */
		if (change)
			put_value(r, large, &value);
		else
			sw_buf_put_view(&value, base->v[i].value);
		put_member(r, (const char *)base->v[i].key.p, base->v[i].key.n, sw_buf_view(&value),
			   style, first, out);
		first = false;
	}
	for (size_t i = 0; i < 6; i++) {
		SW_BUF value = {0};
		bool there = false;

		for (size_t k = 0; base && k < base->n; k++)
			there |= sw_view_eq(base->v[k].key, sw_view_str(names[i]));
		if (there || !one_in(r, base ? 9 : 2))
			continue;
		put_value(r, large, &value);
		put_member(r, names[i], strlen(names[i]), sw_buf_view(&value), style, first, out);
		first = false;
	}
	put_space(r, style, out);
	sw_buf_printf(out, "}%s", one_in(r, 2) ? "\n" : "");
}

/* Objects at the edges of what has columns. */
static void make_odd(struct rng *r, struct sw_buf *out)
{
	static const char *const odd[] = {
	    /* These have columns. */
	    "{}",
	    "\n{\t}\r\n",
	    "{\"\":1,\"x\":2}",
	    "{\"\\ud83d\\uDE00\":1,\"/\":2,\"\\u0000\":3}",
	    "{\"x\":9007199254740993,\"y\":-0,\"z\":1E+400}",
	    "{ \"x\" : \"\\ud83d\\ude00\" ,\"\\/\":\"\xc3\xa9\"}",
	    "{\"\\u0078\":1, \"y\":\"\x7f\"}",
	    "{\"e\xcc\x81\":1,\"\xc3\xa9\":2}",
	    /* These have none. */
	    "{\"x\":1,\"x\":2}",
	    "{\"x\":1,\"\\u0078\":2}",
	    "{\"x\":1,}",
	    "{\"x\":01}",
	    "{\"x\":.5}",
	    "{\"x\":\"\\ud800\"}",
	    "{\"x\":\"\\udc00\\ud800\"}",
	    "{\"x\":\"\xff\"}",
	    "{\"x\":\"\xc0\xaf\"}",
	    "{\"x\":\"\xed\xa0\x80\"}",
	    "{\"x\":\"a\nb\"}",
	    "{\"x\":tru}",
	    "{\"x\":1} {}",
	    "{'x':1}",
	    "\xef\xbb\xbf{\"x\":1}",
	    "{\"x\"",
	};
	uint32_t n = 62 + rng_below(r, 3); /* with the object around them, 64 are allowed */

	if (!one_in(r, 8)) {
		sw_buf_put_view(out, sw_view_str(odd[rng_below(r, sizeof(odd) / sizeof(odd[0]))]));
		return;
	}
	sw_buf_printf(out, "{\"x\":");
	for (uint32_t i = 0; i < n; i++)
		sw_buf_put_u8(out, '[');
	for (uint32_t i = 0; i < n; i++)
		sw_buf_put_u8(out, ']');
	sw_buf_printf(out, "}");
}

void content_make(struct rng *r, struct sw_view key, struct sw_view base, struct sw_buf *out)
{
	struct sw_columns columns = {0};
	uint32_t dice = rng_below(r, 100);

	if (sw_columns_possible(key, 0) && dice < 6) {
		make_odd(r, out);
	} else if (sw_columns_possible(key, 0) && dice < 88) {
		bool has =
		    base.n > 0 && !one_in(r, 10) && sw_columns_parse(key, base, &columns) == 1;

		make_object(r, has ? &columns : NULL, out);
	} else if (dice < 93) {
		sw_buf_printf(out, "text %u\n", rng_below(r, 4));
	} else if (dice < 94) {
		sw_buf_printf(out, "[%u]", rng_below(r, 3));
	} else if (dice < 95) {
		/* nothing: an empty row */
	} else {
		uint32_t n = one_in(r, 3) ? 1000 + rng_below(r, 50) : 10000 * (1 + rng_below(r, 6));

		for (uint32_t i = 0, x = rng_below(r, 2); i < n; i++)
			sw_buf_put_u8(out, (uint8_t)((x = x * 1664525u + 1013904223u) >> 24));
	}
	sw_columns_fini(&columns);
}
