#include "fs/sql_change.h"

#include <stdlib.h>

void sw_sql_changes_fini(struct sw_sql_changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free((void *)(uintptr_t)c->v[i]->bytes.p);
		free(c->v[i]);
	}
	free(c->v);
	*c = (struct sw_sql_changes){0};
}

/* The place of the first that is not before key. Rows mostly come in their order, so the end is looked at first. */
static size_t place(const struct sw_sql_changes *c, struct sw_view key)
{
	size_t low = 0, high = c->n;

	if (c->n > 0 && sw_view_cmp(c->v[c->n - 1]->key, key) < 0)
		return c->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sw_view_cmp(c->v[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct sw_sql_change *sw_sql_changes_find(const struct sw_sql_changes *c, struct sw_view key)
{
	size_t i = place(c, key);

	return i < c->n && sw_view_eq(c->v[i]->key, key) ? c->v[i] : NULL;
}

const struct sw_sql_change *sw_sql_changes_seek(const struct sw_sql_changes *c, struct sw_view key, bool after)
{
	size_t i = place(c, key);

	if (after && i < c->n && sw_view_eq(c->v[i]->key, key))
		i++;
	return i < c->n ? c->v[i] : NULL;
}

static int reserve(struct sw_sql_changes *c)
{
	size_t cap = c->cap ? 2 * c->cap : 64;
	struct sw_sql_change **v;

	if (c->n < c->cap)
		return 0;
	v = realloc(c->v, cap * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	c->v = v;
	c->cap = cap;
	return 0;
}

int sw_sql_changes_add(struct sw_sql_changes *c, const struct sw_sql_change *change)
{
	size_t i = place(c, change->key);
	struct sw_sql_change *made;
	uint8_t *key;
	int rc = reserve(c);

	if (rc < 0)
		return rc;
	made = malloc(sizeof(*made) + change->key.n);
	if (!made)
		return SW_ENOMEM;
	key = (uint8_t *)(made + 1);
	*made = *change;
	memcpy(key, change->key.p, change->key.n);
	made->key.p = key;
	made->bytes = sw_view(NULL, 0);
	rc = sw_sql_change_set(made, change->is_gone, change->bytes);
	if (rc < 0) {
		free(made);
		return rc;
	}
	memmove(&c->v[i + 1], &c->v[i], (c->n - i) * sizeof(struct sw_sql_change *));
	c->v[i] = made;
	c->n++;
	return 0;
}

int sw_sql_change_set(struct sw_sql_change *change, bool is_gone, struct sw_view bytes)
{
	uint8_t *copy = bytes.n ? malloc(bytes.n) : NULL;

	if (bytes.n && !copy)
		return SW_ENOMEM;
	if (bytes.n)
		memcpy(copy, bytes.p, bytes.n);
	free((void *)(uintptr_t)change->bytes.p);
	change->bytes = sw_view(copy, bytes.n);
	change->is_gone = is_gone;
	return 0;
}
