#include "core/losers.h"

#include "core/columns.h"

#include <search.h>
#include <stdlib.h>

enum kind { ROW_OF_VALUE, COLUMN_OF_VALUE, COLUMN_OF_ROW };

/* Losers that are covered together; freed with the last of them. */
struct sw_loser_group {
	enum kind kind;
	struct sw_hash hash;
	struct sw_view name; /* COLUMN_OF_VALUE; behind the struct */
	struct sw_loser *first;
};

static int group_cmp(const void *a, const void *b)
{
	const struct sw_loser_group *x = a, *y = b;
	int c = (x->kind > y->kind) - (x->kind < y->kind);

	if (c == 0)
		c = sw_hash_cmp(&x->hash, &y->hash);
	return c ? c : sw_view_cmp(x->name, y->name);
}

static struct sw_loser_group *find_group(const struct sw_losers *l,
					 const struct sw_loser_group *like)
{
	struct sw_loser_group **node = tfind(like, &l->groups, group_cmp);

	return node ? *node : NULL;
}

static struct sw_loser_group *make_group(struct sw_losers *l, const struct sw_loser_group *like)
{
	struct sw_loser_group *g = find_group(l, like);

	if (g)
		return g;
	g = malloc(sizeof(*g) + like->name.n);
	if (!g)
		return NULL;
	*g = *like;
	g->name.p = (const uint8_t *)(g + 1);
	if (like->name.n > 0)
		memcpy(g + 1, like->name.p, like->name.n);
	if (!tsearch(g, &l->groups, group_cmp)) {
		free(g);
		return NULL;
	}
	return g;
}

static void drop_if_empty(struct sw_losers *l, struct sw_loser_group *g)
{
	if (g->first)
		return;
	tdelete(g, &l->groups, group_cmp);
	free(g);
}

static struct sw_loser_link *link_in(struct sw_loser *v, enum kind kind)
{
	return kind == COLUMN_OF_ROW ? &v->by_row : &v->by_value;
}

static void enter(struct sw_loser_group *g, struct sw_loser *v)
{
	struct sw_loser_link *link = link_in(v, g->kind);

	*link = (struct sw_loser_link){g, g->first, &g->first};
	if (link->next)
		link_in(link->next, g->kind)->at = &link->next;
	g->first = v;
}

static void leave(struct sw_losers *l, struct sw_loser_link *link)
{
	struct sw_loser_group *g = link->group;

	if (!g)
		return;
	*link->at = link->next;
	if (link->next)
		link_in(link->next, g->kind)->at = link->at;
	drop_if_empty(l, g);
}

static void remove_one(struct sw_losers *l, struct sw_loser *v)
{
	leave(l, &v->by_value);
	leave(l, &v->by_row);
	*(v->prev ? &v->prev->next : &l->first) = v->next;
	if (v->next)
		v->next->prev = v->prev;
	l->n--;
	l->n_columns -= v->is_column;
	free(v);
}

void sw_losers_fini(struct sw_losers *l)
{
	while (l->first)
		remove_one(l, l->first);
}

/* of_row may be NULL. */
static int add(struct sw_losers *l, uint64_t seq, const struct sw_loser_group *of_value,
	       const struct sw_loser_group *of_row)
{
	struct sw_loser *v = calloc(1, sizeof(*v));
	struct sw_loser_group *by_value = v ? make_group(l, of_value) : NULL;
	struct sw_loser_group *by_row = by_value && of_row ? make_group(l, of_row) : NULL;

	if (!by_value || (of_row && !by_row)) {
		if (by_value)
			drop_if_empty(l, by_value);
		free(v);
		return SW_ENOMEM;
	}
	v->seq = seq;
	v->is_column = of_row != NULL;
	v->name = by_value->name;
	v->value = by_value->hash;
	enter(by_value, v);
	if (by_row)
		enter(by_row, v);
	v->next = l->first;
	if (v->next)
		v->next->prev = v;
	l->first = v;
	l->n++;
	l->n_columns += v->is_column;
	return 0;
}

int sw_losers_add_row(struct sw_losers *l, uint64_t seq, const struct sw_hash *value)
{
	return add(l, seq, &(struct sw_loser_group){.kind = ROW_OF_VALUE, .hash = *value}, NULL);
}

int sw_losers_add_column(struct sw_losers *l, uint64_t seq, struct sw_view name,
			 const struct sw_hash *value, const struct sw_hash *row)
{
	return add(l, seq,
		   &(struct sw_loser_group){.kind = COLUMN_OF_VALUE, .hash = *value, .name = name},
		   &(struct sw_loser_group){.kind = COLUMN_OF_ROW, .hash = *row});
}

static void cover(struct sw_losers *l, const struct sw_loser_group *like)
{
	const struct sw_loser_group *g = l->n > 0 ? find_group(l, like) : NULL;
	struct sw_loser *v = g ? g->first : NULL, *next;

	for (; v; v = next) {
		next = link_in(v, like->kind)->next;
		remove_one(l, v);
	}
}

void sw_losers_cover_row(struct sw_losers *l, const struct sw_hash *value)
{
	cover(l, &(struct sw_loser_group){.kind = ROW_OF_VALUE, .hash = *value});
}

void sw_losers_cover_written(struct sw_losers *l, const struct sw_hash *row)
{
	cover(l, &(struct sw_loser_group){.kind = COLUMN_OF_ROW, .hash = *row});
}

void sw_losers_cover_column(struct sw_losers *l, struct sw_view name, const struct sw_hash *value)
{
	cover(l, &(struct sw_loser_group){.kind = COLUMN_OF_VALUE, .hash = *value, .name = name});
}

static int loser_cmp(const void *a, const void *b)
{
	const struct sw_loser *x = *(const struct sw_loser *const *)a, *y = *(const struct sw_loser *const *)b;
	int c = x->seq < y->seq ? -1 : x->seq > y->seq;

	if (c == 0)
		c = x->is_column - y->is_column;
	if (c == 0)
		c = sw_view_cmp(x->name, y->name);
	if (c == 0)
		c = sw_hash_cmp(&x->value, &y->value);
	return c == 0 && x->is_column ? sw_hash_cmp(&x->by_row.group->hash, &y->by_row.group->hash) : c;
}

void sw_losers_encode(const struct sw_losers *l, struct sw_buf *out)
{
	const struct sw_loser **v = calloc(l->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v) {
		out->rc = SW_ENOMEM;
		return;
	}
	for (const struct sw_loser *loser = l->first; loser; loser = loser->next)
		v[n++] = loser;
	qsort(v, n, sizeof(*v), loser_cmp);
	sw_buf_put_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		sw_buf_put_u64(out, v[i]->seq);
		sw_buf_put_hash(out, &v[i]->value);
		sw_buf_put_u8(out, v[i]->is_column);
		if (!v[i]->is_column)
			continue;
		sw_buf_put_bytes(out, v[i]->name);
		sw_buf_put_hash(out, &v[i]->by_row.group->hash);
	}
	free(v);
}

static int decode_one(struct sw_rd *r, struct sw_losers *l)
{
	uint64_t seq = sw_rd_u64(r);
	struct sw_hash value, row;
	struct sw_view name;

	sw_rd_hash(r, &value);
	if (!sw_rd_u8(r))
		return r->bad ? SW_EFORMAT : sw_losers_add_row(l, seq, &value);
	name = sw_rd_bytes(r, SW_COLUMNS_NAME_MAX);
	sw_rd_hash(r, &row);
	return r->bad ? SW_EFORMAT : sw_losers_add_column(l, seq, name, &value, &row);
}

int sw_losers_decode(struct sw_rd *r, struct sw_losers *l)
{
	size_t n = (size_t)sw_rd_varint(r);
	int rc = r->bad ? SW_EFORMAT : 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = decode_one(r, l);
	return rc;
}
