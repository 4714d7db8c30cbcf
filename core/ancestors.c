#include "core/ancestors.h"

#include <stdlib.h>

void sw_ancestors_fini(struct sw_ancestors *a)
{
	free(a->queue);
	*a = (struct sw_ancestors){0};
}

/* A commit leaves the queue after all its children have, so one look at the queue finds every
 * double. */
static int add(struct sw_ancestors *a, struct sw_txn *txn, const struct sw_hash *id)
{
	struct sw_order order;
	uint64_t seq;
	int rc = sw_history_seq(txn, id, &seq);

	if (rc == 0)
		rc = sw_history_order(txn, seq, &order);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < a->n; i++)
		if (sw_order_cmp(&a->queue[i], &order) == 0)
			return 0;
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		struct sw_order *v = realloc(a->queue, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		a->queue = v;
		a->cap = cap;
	}
	a->queue[a->n++] = order;
	return 0;
}

int sw_ancestors_add_parents(struct sw_ancestors *a, struct sw_txn *txn, const struct sw_commit *c)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_parents; i++)
		rc = add(a, txn, &c->parents[i]);
	return rc;
}

int sw_ancestors_next(struct sw_ancestors *a, struct sw_txn *txn, struct sw_order *order,
		      uint64_t *seq)
{
	struct sw_commit c;
	struct sw_view raw;
	struct sw_hash id;
	size_t best = 0;
	int rc;

	if (a->n == 0)
		return 0;
	for (size_t i = 1; i < a->n; i++)
		if (sw_order_cmp(&a->queue[i], &a->queue[best]) > 0)
			best = i;
	*order = a->queue[best];
	a->queue[best] = a->queue[--a->n];
	sw_order_id(order, &id);
	rc = sw_history_seq(txn, &id, seq);
	if (rc == 0)
		rc = sw_history_get(txn, *seq, &raw);
	if (rc == 0)
		rc = sw_commit_decode(raw, &c);
	if (rc == 0)
		rc = sw_ancestors_add_parents(a, txn, &c);
	return rc < 0 ? rc : 1;
}
