#include "fs/column_names.h"

#include <stdlib.h>

void sw_column_names_fini(struct sw_column_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		sw_buf_fini(&names->v[i]);
	free(names->v);
	free(names->sorted);
	*names = (struct sw_column_names){0};
}

/* Where a name stands in names->sorted, or would: true if it is there. */
static bool find(const struct sw_column_names *names, struct sw_view name, size_t *at)
{
	size_t from = 0, to = names->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int c = sw_view_cmp(sw_buf_view(&names->v[names->sorted[mid]]), name);

		if (c == 0) {
			*at = mid;
			return true;
		}
		if (c < 0)
			from = mid + 1;
		else
			to = mid;
	}
	*at = from;
	return false;
}

static int grow(struct sw_column_names *names)
{
	size_t cap = names->cap ? 2 * names->cap : 16;
	struct sw_buf *v = reallocarray(names->v, cap, sizeof(*v));
	size_t *sorted;

	if (!v)
		return SW_ENOMEM;
	names->v = v;
	sorted = reallocarray(names->sorted, cap, sizeof(*sorted));
	if (!sorted)
		return SW_ENOMEM;
	names->sorted = sorted;
	names->cap = cap;
	return 0;
}

int sw_column_names_add(struct sw_column_names *names, struct sw_view name, size_t max)
{
	size_t at;
	int rc;

	if (find(names, name, &at))
		return 0;
	if (names->n == max)
		return SW_ELIMIT;
	rc = names->n == names->cap ? grow(names) : 0;
	if (rc < 0)
		return rc;
	names->v[names->n] = (struct sw_buf){0};
	sw_buf_put_view(&names->v[names->n], name);
	memmove(&names->sorted[at + 1], &names->sorted[at], (names->n - at) * sizeof(names->sorted[0]));
	names->sorted[at] = names->n;
	return names->v[names->n++].rc;
}
