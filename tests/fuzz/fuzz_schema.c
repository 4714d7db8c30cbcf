/*
 * Any bytes as a schema, and as a row that it looks at: up to a NUL byte it is the schema, up to
 * the next the row's name without its suffix, and the rest the row. Whatever they are, both are
 * taken or refused with a sentence, or too much work, soon; the answer is the same when it is asked for again, with
 * another row in between; and what is taken refers to names that rows can have, or cannot.
 */
#include <stdlib.h>

#include "core/schema.h"
#include "tests/fuzz/fuzz.h"

static struct sw_view cut(struct sw_view *rest)
{
	const uint8_t *end = rest->n ? memchr(rest->p, 0, rest->n) : NULL;
	struct sw_view part = sw_view(rest->p, end ? (size_t)(end - rest->p) : rest->n);
	size_t n = part.n + (end != NULL);

	*rest = sw_view(rest->n ? rest->p + n : rest->p, rest->n - n);
	return part;
}

static int check(struct sw_schema *s, struct sw_view key, struct sw_view row)
{
	struct sw_schema_ref ref;
	int rc = sw_schema_check(s, key, row);
	size_t n = 0;

	must(rc == 0 || rc == 1 || (rc == SW_EINVAL && sw_fail_message(rc)[0]));
	for (; sw_schema_ref(s, n, &ref); n++)
		must(rc == 0 && ref.column.n > 0 && sw_schema_concerns(ref.key));
	must(n <= SW_SCHEMA_REFS_MAX);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_view row = sw_view(data, size), text = cut(&row), name = cut(&row);
	struct sw_schema *s = NULL, *again = NULL;
	SW_BUF key = {0};
	int rc = sw_schema_new(text, &s), taken;

	must(rc == 0 || (rc == SW_EINVAL && sw_fail_message(rc)[0] && !s));
	if (rc < 0)
		return 0;
	must(sw_schema_new(text, &again) == 0);
	sw_buf_put_view(&key, name);
	sw_buf_put_view(&key, sw_view_str(SW_SCHEMA_ROW_SUFFIX));
	taken = check(s, sw_buf_view(&key), row);
	check(s, sw_view_str("1.json"), sw_view_str("{}"));
	must(check(s, sw_buf_view(&key), row) == taken);
	must(check(again, sw_buf_view(&key), row) == taken);
	sw_schema_free(s);
	sw_schema_free(again);
	return 0;
}
