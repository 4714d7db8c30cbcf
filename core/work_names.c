/*
 * The names of a working set: how they are found, and the lists that they are in. Whatever is done
 * for all that have an edit, for those of one table or for those that a rename joined costs what
 * these are, not what the set has ever held.
 */
#include "core/work_internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

/* The key need not be secret: these are names that programs here have open or have changed. */
static const struct sw_sip_key hash_key = {{'w', 'o', 'r', 'k', ' ', 'n', 'a', 'm', 'e', 's'}};

static uint64_t name_hash(struct sw_view table, struct sw_view key)
{
	uint8_t both[2 * SW_NAME_MAX + 1];

	assert(table.n > 0);
	memcpy(both, table.p, table.n);
	both[table.n] = 0;
	if (key.n > 0)
		memcpy(both + table.n + 1, key.p, key.n);
	return sw_sip13(&hash_key, sw_view(both, table.n + 1 + key.n));
}

/* No row or table has such a name, but a program may ask for it. */
static bool is_too_long(struct sw_view table, struct sw_view key)
{
	return table.n > SW_NAME_MAX || key.n > SW_NAME_MAX;
}

static bool is_named(const struct sw_name *n, struct sw_view table, struct sw_view key)
{
	return sw_view_eq(n->key, key) && sw_view_eq(n->table, table);
}

/* Where it is, or would be. */
static size_t slot_of(const struct sw_work *w, uint64_t hash, struct sw_view table,
		      struct sw_view key)
{
	size_t i = hash & (w->cap_names - 1);

	while (w->names[i] && (w->names[i]->hash != hash || !is_named(w->names[i], table, key)))
		i = (i + 1) & (w->cap_names - 1);
	return i;
}

struct sw_name *sw_name_find(const struct sw_work *w, struct sw_view table, struct sw_view key)
{
	if (w->n_names == 0 || is_too_long(table, key))
		return NULL;
	return w->names[slot_of(w, name_hash(table, key), table, key)];
}

/* Of a name that is in none: the slot that a search for it ends at. */
static void put_in_slot(struct sw_work *w, struct sw_name *n)
{
	size_t i = n->hash & (w->cap_names - 1);

	while (w->names[i])
		i = (i + 1) & (w->cap_names - 1);
	w->names[i] = n;
}

static int grow(struct sw_work *w)
{
	struct sw_name **old = w->names;
	size_t cap = w->cap_names;

	w->cap_names = cap ? cap * 2 : 64;
	w->names = calloc(w->cap_names, sizeof(struct sw_name *));
	if (!w->names) {
		w->names = old;
		w->cap_names = cap;
		return SW_ENOMEM;
	}
	for (size_t i = 0; i < cap; i++)
		if (old[i])
			put_in_slot(w, old[i]);
	free(old);
	return 0;
}

/* Names that editors keep beside a file: they are nobody's rows. */
static bool is_scratch(struct sw_view key)
{
	const char *p = (const char *)key.p;
	size_t n = key.n;

	if (n == 0)
		return false;
	if (n > 1 && (p[n - 1] == '~' || (p[0] == '#' && n > 2 && p[n - 1] == '#')))
		return true;
	if (p[0] != '.')
		return false;
	return (n > 2 && p[1] == '#') || (n > 5 && memcmp(p + n - 4, ".sw", 3) == 0) ||
	       (n >= 12 && memcmp(p, ".fuse_hidden", 12) == 0);
}

/* .NAME.XXXXXX, as mkstemp() makes it of six letters and digits: rsync and others write that first, and rename it then. */
static bool is_passing(struct sw_view key)
{
	const uint8_t *end = key.p + key.n;

	if (key.n < 9 || key.p[0] != '.' || end[-7] != '.')
		return false;
	for (size_t i = 1; i <= 6; i++)
		if (!isalnum(end[-i]))
			return false;
	return true;
}

void sw_name_free(struct sw_name *n)
{
	sw_buf_fini(&n->base_text);
	sw_name_forget_good(n);
	free(n);
}

static struct sw_name *name_new(struct sw_view table, struct sw_view key)
{
	struct sw_name *n = calloc(1, sizeof(*n) + table.n + key.n);

	if (!n)
		return NULL;
	n->joined_next = n->joined_prev = n;
	n->is_scratch = is_scratch(key);
	n->is_passing = is_passing(key);
	memcpy(n->text, table.p, table.n);
	if (key.n > 0)
		memcpy(n->text + table.n, key.p, key.n);
	n->table = sw_view(n->text, table.n);
	n->key = sw_view(n->text + table.n, key.n);
	return n;
}

int sw_name_get(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name **out)
{
	struct sw_name *n;
	uint64_t hash;

	if (is_too_long(table, key))
		return SW_ETOOLONG;
	if ((w->n_names + 1) * 2 > w->cap_names && grow(w) < 0)
		return SW_ENOMEM;
	hash = name_hash(table, key);
	n = w->names[slot_of(w, hash, table, key)];
	if (!n) {
		n = name_new(table, key);
		if (!n)
			return SW_ENOMEM;
		n->hash = hash;
		put_in_slot(w, n);
		w->n_names++;
	}
	*out = n;
	return 0;
}

/* Take it out of the table; those behind it in its cluster may have to move up. */
static void name_remove(struct sw_work *w, struct sw_name *n)
{
	size_t i = slot_of(w, n->hash, n->table, n->key);

	w->names[i] = NULL;
	w->n_names--;
	for (i = (i + 1) & (w->cap_names - 1); w->names[i]; i = (i + 1) & (w->cap_names - 1)) {
		struct sw_name *moved = w->names[i];

		w->names[i] = NULL;
		put_in_slot(w, moved);
	}
	sw_name_free(n);
}

void sw_name_settle(struct sw_work *w, struct sw_name *n)
{
	if (n->in_commit || n->has_edit || n->rows)
		return;
	/* Only the name itself still refers to the file: nobody has it open. */
	if (n->file && n->file->n_refs == 1)
		sw_name_put_file(w, n, NULL);
	if (!n->file && !n->is_checked)
		name_remove(w, n);
}

/* The beginning of the list of edits that it belongs into: the rows of its table, or the tables. */
static struct sw_name **siblings(struct sw_work *w, const struct sw_name *n)
{
	return n->dir ? &n->dir->rows : &w->tables;
}

int sw_name_list(struct sw_work *w, struct sw_name *n)
{
	struct sw_name **first;
	int rc =
	    n->key.n > 0 ? sw_name_get(w, n->table, sw_view(NULL, 0), &n->dir) : 0;

	if (rc < 0)
		return rc;
	first = siblings(w, n);
	n->prev_sibling = NULL;
	n->next_sibling = *first;
	if (*first)
		(*first)->prev_sibling = n;
	*first = n;
	n->next_edit = NULL;
	n->prev_edit = w->last_edit;
	if (w->last_edit)
		w->last_edit->next_edit = n;
	else
		w->first_edit = n;
	w->last_edit = n;
	return 0;
}

void sw_name_unlist(struct sw_work *w, struct sw_name *n)
{
	struct sw_name *dir = n->dir;

	if (n->next_sibling)
		n->next_sibling->prev_sibling = n->prev_sibling;
	if (n->prev_sibling)
		n->prev_sibling->next_sibling = n->next_sibling;
	else
		*siblings(w, n) = n->next_sibling;
	if (n->next_edit)
		n->next_edit->prev_edit = n->prev_edit;
	else
		w->last_edit = n->prev_edit;
	if (n->prev_edit)
		n->prev_edit->next_edit = n->next_edit;
	else
		w->first_edit = n->next_edit;
	n->dir = NULL;
	if (dir)
		sw_name_settle(w, dir);
}

const struct sw_name *sw_name_edits_in(const struct sw_work *w, struct sw_view table)
{
	const struct sw_name *dir = sw_name_find(w, table, sw_view(NULL, 0));

	return dir ? dir->rows : NULL;
}

static void mark_ring(struct sw_name *n, uint64_t mark)
{
	struct sw_name *other = n;

	do
		other->mark = mark;
	while ((other = other->joined_next) != n);
}

void sw_name_join(struct sw_work *w, struct sw_name *const *names, size_t n)
{
	uint64_t mark = ++w->clock;

	if (n > 0)
		mark_ring(names[0], mark);
	for (size_t i = 1; i < n; i++) {
		struct sw_name *a = names[0], *b = names[i], *a_next = a->joined_next,
			       *b_prev = b->joined_prev;

		/* What belongs together already is one ring, which this would cut in two. */
		if (b->mark == mark)
			continue;
		mark_ring(b, mark);
		a->joined_next = b;
		b->joined_prev = a;
		b_prev->joined_next = a_next;
		a_next->joined_prev = b_prev;
	}
}

void sw_name_part(struct sw_name *n)
{
	n->joined_next->joined_prev = n->joined_prev;
	n->joined_prev->joined_next = n->joined_next;
	n->joined_next = n->joined_prev = n;
}
