/*
 * Any bytes through the JSON scanner, the columns and the column merge. The input is up
 * to three texts, separated by NUL bytes (which no text can hold): what an operation replaced,
 * what it wrote, what it meets. What must hold is asserted, so that a wrong answer is a crash
 * like any other.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/columns.h"
#include "core/json.h"
#include "tests/fuzz/fuzz.h"

#define COLUMNS SW_CLEANUP(sw_columns_fini) struct sw_columns

static uint8_t first_byte(struct sw_view text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (!memchr(" \t\r\n", text.p[i], 4))
			return text.p[i];
	}
	return 0;
}

static void check_string(struct sw_view raw)
{
	SW_BUF text = {0};
	SW_BUF quoted = {0};
	SW_BUF again = {0};

	assert(sw_json_unescape(raw, &text) == 0);
	assert(text.n <= raw.n);
	assert(sw_json_is_utf8(sw_buf_view(&text)));
	assert(sw_json_put_string(&quoted, sw_buf_view(&text)) == 0);
	assert(sw_json_validate(sw_buf_view(&quoted)) == 0);
	assert(sw_json_unescape(sw_view(quoted.p + 1, quoted.n - 2), &again) == 0);
	assert(sw_view_eq(sw_buf_view(&text), sw_buf_view(&again)));
}

/* All three ways to read a text agree, and what they yield is sound by itself. */
static void check_text(struct sw_view text)
{
	struct sw_json_iter it;
	struct sw_json_member m;
	struct sw_json_element e;
	int verdict = sw_json_validate(text);
	int rc;

	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		assert(m.key.p == text.p + m.key_at);
		assert(m.value.p == text.p + m.value_at);
		assert(sw_json_validate(m.value) == 0);
		check_string(m.key);
	}
	assert(it.at <= text.n);
	assert(rc == (first_byte(text) == '{' ? verdict : SW_EFORMAT));
	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_element(&it, &e)) > 0) {
		assert(e.value.p == text.p + e.value_at);
		assert(sw_json_validate(e.value) == 0);
	}
	assert(it.at <= text.n);
	assert(rc == (first_byte(text) == '[' ? verdict : SW_EFORMAT));
}

static bool same(const struct sw_column *a, const struct sw_column *b)
{
	return a && b ? sw_view_eq(a->value, b->value) : a == b;
}

static void check_merge(const struct sw_columns *base, const struct sw_columns *mine,
			const struct sw_columns *met)
{
	const struct sw_columns *all[] = {base, mine, met, NULL};
	struct sw_view *changed = calloc(base->n + mine->n + 1, sizeof(*changed));
	struct sw_columns_diff diff;
	struct sw_column_change change;
	COLUMNS result = {0};
	SW_BUF out = {0};
	size_t n = 0;
	int rc;

	assert(changed);
	sw_columns_diff_init(&diff, base, mine);
	while (sw_columns_diff_next(&diff, &change))
		changed[n++] = change.name;
	rc = sw_columns_merge(mine, met, changed, n, &out);
	free(changed);
	assert(rc == 0 || rc == SW_ELIMIT);
	if (rc < 0)
		return;
	assert(sw_columns_parse(sw_view_str("r.json"), sw_buf_view(&out), &result) == 1);
	all[3] = &result;
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < all[i]->n; j++) {
			struct sw_view name = all[i]->v[j].name;
			const struct sw_column *a = sw_columns_find(mine, name);
			bool is_changed = !same(sw_columns_find(base, name), a);

			assert(same(sw_columns_find(&result, name),
				    is_changed ? a : sw_columns_find(met, name)));
		}
	}
	sw_columns_diff_init(&diff, mine, &result);
	if (!sw_columns_diff_next(&diff, &change))
		assert(sw_view_eq(mine->text, sw_buf_view(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_view texts[3] = {{data, 0}, {data, 0}, {data, 0}};
	COLUMNS base = {0};
	COLUMNS mine = {0};
	COLUMNS met = {0};
	size_t from = 0;

	for (int i = 0; i < 3 && from < size; i++) {
		const uint8_t *end = memchr(data + from, 0, size - from);
		size_t n = end && i < 2 ? (size_t)(end - data) - from : size - from;

		texts[i] = sw_view(data + from, n);
		check_text(texts[i]);
		from += n + 1;
	}
	if (sw_columns_parse(sw_view_str("r.json"), texts[0], &base) == 1 &&
	    sw_columns_parse(sw_view_str("r.json"), texts[1], &mine) == 1 &&
	    sw_columns_parse(sw_view_str("r.json"), texts[2], &met) == 1)
		check_merge(&base, &mine, &met);
	return 0;
}
