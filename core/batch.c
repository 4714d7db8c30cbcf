#include "core/batch.h"

#include <stdlib.h>

#define VOUCHERS_MAX 64 /* bits of a mask; further authors' commits are verified one by one */

void sw_batch_fini(struct sw_batch *b)
{
	free(b->v);
	free(b->index);
	*b = (struct sw_batch){0};
}

static size_t slot_of(const struct sw_batch *b, const struct sw_hash *id)
{
	size_t i = sw_get_u64(id->b) & (b->n_slots - 1);

	while (b->index[i] && !sw_hash_eq(&b->v[b->index[i] - 1].commit.id, id))
		i = (i + 1) & (b->n_slots - 1);
	return i;
}

static void enter(struct sw_batch *b, size_t at)
{
	size_t slot;

	if (!b->v[at].is_decoded)
		return;
	slot = slot_of(b, &b->v[at].commit.id);
	if (!b->index[slot])
		b->index[slot] = (uint32_t)at + 1;
}

static int grow(struct sw_batch *b)
{
	size_t cap = b->cap ? b->cap * 2 : 8;
	struct sw_batch_commit *v = realloc(b->v, cap * sizeof(*v));
	uint32_t *index = calloc(2 * cap, sizeof(*index));

	if (v)
		b->v = v;
	if (!v || !index) {
		free(index);
		return SW_ENOMEM;
	}
	free(b->index);
	b->index = index;
	b->n_slots = 2 * cap;
	b->cap = cap;
	for (size_t i = 0; i < b->n; i++)
		enter(b, i);
	return 0;
}

int sw_batch_add(struct sw_batch *b, struct sw_view raw)
{
	struct sw_batch_commit *c;
	int rc = b->n < b->cap ? 0 : grow(b);

	if (rc < 0)
		return rc;
	c = &b->v[b->n];
	c->raw = raw;
	c->vouched = 0;
	c->is_known = c->is_out = c->is_genuine = false;
	c->signature = SW_SIGNATURE_UNKNOWN;
	c->is_decoded = sw_commit_decode(raw, &c->commit) == 0;
	enter(b, b->n++);
	return 0;
}

size_t sw_batch_find(const struct sw_batch *b, const struct sw_hash *id)
{
	uint32_t at = b->n_slots ? b->index[slot_of(b, id)] : 0;

	return at ? at - 1 : SIZE_MAX;
}

/* The author's bit, given out in order of appearance; 0 when there are none left. */
static uint64_t bit_of(struct sw_key *authors, size_t *n, const struct sw_key *author)
{
	for (size_t i = 0; i < *n; i++)
		if (sw_key_eq(&authors[i], author))
			return UINT64_C(1) << i;
	if (*n == VOUCHERS_MAX)
		return 0;
	authors[*n] = *author;
	return UINT64_C(1) << (*n)++;
}

static bool is_signed(struct sw_batch_commit *c)
{
	if (c->signature == SW_SIGNATURE_UNKNOWN)
		c->signature = sw_commit_verify(c->raw, &c->commit) == 0 ? SW_SIGNATURE_GOOD : SW_SIGNATURE_BAD;
	return c->signature == SW_SIGNATURE_GOOD;
}

/* What vouches for a commit vouches for what is below it. */
static void pass_on(struct sw_batch *b, const struct sw_batch_commit *c, uint64_t bits)
{
	for (size_t k = 0; bits && k < c->commit.n_parents; k++) {
		size_t parent = sw_batch_find(b, &c->commit.parents[k]);

		if (parent != SIZE_MAX)
			b->v[parent].vouched |= bits;
	}
}

size_t sw_batch_prove(struct sw_batch *b, size_t n)
{
	struct sw_key authors[VOUCHERS_MAX];
	size_t n_authors = 0, first = n;

	for (size_t i = 0; i < n; i++)
		b->v[i].vouched = 0;
	for (size_t i = n; i-- > 0;) {
		struct sw_batch_commit *c = &b->v[i];
		uint64_t bit;

		c->is_genuine = false;
		if (!c->is_decoded || c->is_out)
			continue;
		bit = bit_of(authors, &n_authors, &c->commit.author);
		if (!c->is_known) {
			c->is_genuine = (c->vouched & bit) || is_signed(c);
			if (!c->is_genuine)
				first = i;
		}
		pass_on(b, c, c->vouched | (c->is_genuine ? bit : 0));
	}
	return first;
}

size_t sw_batch_closed(struct sw_batch *b)
{
	size_t n = b->n, first;

	while ((first = sw_batch_prove(b, n)) < n)
		n = first;
	return n;
}
