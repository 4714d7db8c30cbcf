#include "core/seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_MIN 1024 /* fewer commits are not worth moving the others */

void sw_seen_fini(struct sw_seen *s)
{
	free(s->parents);
	free(s->first);
	free(s->is_done);
	free(s->bits);
	free(s->required);
	free(s->stack);
	*s = (struct sw_seen){0};
}

int sw_seen_init(struct sw_seen *s, uint64_t base, size_t n_columns)
{
	size_t n_words = (n_columns + 63) / 64;

	sw_seen_fini(s);
	s->required = calloc(n_words + 1, sizeof(*s->required));
	s->first = calloc(1, sizeof(*s->first));
	if (!s->required || !s->first) {
		sw_seen_fini(s);
		return SW_ENOMEM;
	}
	s->base = base;
	s->n_columns = n_columns;
	s->n_words = n_words;
	return 0;
}

void sw_seen_require(struct sw_seen *s, size_t column)
{
	assert(column < s->n_columns);
	s->required[column / 64] |= UINT64_C(1) << column % 64;
}

/* *p is of size bytes each, and gets room for n of them. */
static bool resize(void *p, size_t n, size_t size)
{
	void **at = p, *v = realloc(*at, n * size);

	if (v)
		*at = v;
	return v != NULL;
}

static int make_room(struct sw_seen *s, size_t n_parents)
{
	size_t cap = s->cap ? s->cap * 2 : 64, used = s->first[s->n];

	if (s->n == s->cap) {
		if (!resize(&s->first, cap + 1, sizeof(*s->first)) ||
		    !resize(&s->is_done, cap, sizeof(*s->is_done)) ||
		    !resize(&s->bits, cap * (s->n_words + 1), sizeof(*s->bits)))
			return SW_ENOMEM;
		s->cap = cap;
	}
	if (used + n_parents > s->cap_parents) {
		cap = 2 * (used + n_parents);
		if (!resize(&s->parents, cap, sizeof(*s->parents)))
			return SW_ENOMEM;
		s->cap_parents = cap;
	}
	return 0;
}

int sw_seen_add(struct sw_seen *s, const uint64_t *parents, size_t n)
{
	size_t at;
	int rc = make_room(s, n);

	if (rc < 0)
		return rc;
	at = s->first[s->n];
	for (size_t i = 0; i < n; i++)
		if (parents[i] >= s->base)
			s->parents[at++] = (uint32_t)parents[i];
	s->is_done[s->n] = false;
	memset(s->bits + s->n * s->n_words, 0, s->n_words * sizeof(*s->bits));
	s->first[++s->n] = (uint32_t)at;
	return 0;
}

/* Set the bit, and remember to look at the parents; nothing if it is set. */
static int push(struct sw_seen *s, size_t column, size_t at, size_t *n_stack)
{
	uint64_t *word = &s->bits[at * s->n_words + column / 64], bit = UINT64_C(1) << column % 64;

	if (*word & bit)
		return 0;
	if (*n_stack == s->cap_stack) {
		size_t cap = s->cap_stack ? s->cap_stack * 2 : 64;

		if (!resize(&s->stack, cap, sizeof(*s->stack)))
			return SW_ENOMEM;
		s->cap_stack = cap;
	}
	*word |= bit;
	s->stack[(*n_stack)++] = (uint32_t)at;
	return 0;
}

/* Whoever has seen a commit has seen its parents: what has its bit need not be looked below. */
int sw_seen_mark(struct sw_seen *s, size_t column, uint64_t commit)
{
	size_t n_stack = 0;
	int rc = 0;

	assert(column < s->n_columns && commit < sw_seen_next(s));
	if (commit >= s->base)
		rc = push(s, column, (size_t)(commit - s->base), &n_stack);
	while (rc == 0 && n_stack > 0) {
		size_t at = s->stack[--n_stack];

		for (size_t i = s->first[at]; rc == 0 && i < s->first[at + 1]; i++) {
			size_t parent = (uint32_t)(s->parents[i] - (uint32_t)s->base);

			if (parent < s->n) /* else it stands before the window */
				rc = push(s, column, parent, &n_stack);
		}
	}
	return rc;
}

void sw_seen_clear(struct sw_seen *s, size_t column)
{
	uint64_t bit = UINT64_C(1) << column % 64;

	for (size_t i = 0; i < s->n; i++)
		s->bits[i * s->n_words + column / 64] &= ~bit;
}

void sw_seen_limit(struct sw_seen *s, size_t column, size_t by)
{
	for (size_t i = 0; i < s->n; i++)
		if (!sw_seen_by(s, by, s->base + i))
			s->bits[i * s->n_words + column / 64] &= ~(UINT64_C(1) << column % 64);
}

bool sw_seen_by(const struct sw_seen *s, size_t column, uint64_t commit)
{
	assert(column < s->n_columns && commit < sw_seen_next(s));
	return commit < s->base ||
	       s->bits[(size_t)(commit - s->base) * s->n_words + column / 64] >> column % 64 & 1;
}

bool sw_seen_by_all(const struct sw_seen *s, uint64_t commit)
{
	const uint64_t *bits;

	assert(commit < sw_seen_next(s));
	if (commit < s->base)
		return true;
	bits = s->bits + (size_t)(commit - s->base) * s->n_words;
	for (size_t i = 0; i < s->n_words; i++)
		if (s->required[i] & ~bits[i])
			return false;
	return true;
}

void sw_seen_done(struct sw_seen *s, uint64_t commit)
{
	if (commit >= s->base)
		s->is_done[commit - s->base] = true;
}

bool sw_seen_is_done(const struct sw_seen *s, uint64_t commit)
{
	assert(commit < sw_seen_next(s));
	return commit < s->base || s->is_done[commit - s->base];
}

void sw_seen_shrink(struct sw_seen *s)
{
	size_t k = 0, from;

	while (k < s->n && s->is_done[k])
		k++;
	if (k < SHRINK_MIN || k < s->n / 2)
		return;
	from = s->first[k];
	memmove(s->parents, s->parents + from, (s->first[s->n] - from) * sizeof(*s->parents));
	for (size_t i = k; i <= s->n; i++)
		s->first[i - k] = s->first[i] - (uint32_t)from;
	memmove(s->is_done, s->is_done + k, (s->n - k) * sizeof(*s->is_done));
	memmove(s->bits, s->bits + k * s->n_words, (s->n - k) * s->n_words * sizeof(*s->bits));
	s->base += k;
	s->n -= k;
}
