#include "core/work_change.h"

#include <stdlib.h>

static int add_was(struct sw_work_change *c, struct sw_name *n)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4;
		struct sw_was *list = realloc(c->list, cap * sizeof(*list));

		if (!list)
			return SW_ENOMEM;
		c->list = list;
		c->cap = cap;
	}
	c->list[c->n++] = (struct sw_was){.name = n,
					  .file = n->file,
					  .moved_from = n->moved_from,
					  .aside = n->aside,
					  .had_edit = n->has_edit,
					  .is_scratch = n->is_scratch,
					  .table_exists = n->table_exists,
					  .table_mode = n->table_mode,
					  .table_mtime_ns = n->table_mtime_ns};
	if (n->file)
		n->file->n_refs++;
	return 0;
}

static void drop_edit(struct sw_work *w, struct sw_name *n)
{
	if (n->has_edit)
		sw_name_end_edit(w, n);
	sw_name_settle(w, n);
}

void sw_name_drop_nothing(struct sw_work *w, struct sw_name *n)
{
	bool exists = n->key.n > 0 ? n->file != NULL : n->table_exists;

	if (!exists && !n->base.exists && !n->in_commit && !n->aside)
		drop_edit(w, n);
}

int sw_work_change_add(struct sw_work *w, struct sw_work_change *c, struct sw_name *n)
{
	int rc = add_was(c, n);

	return rc < 0 ? rc : sw_name_edit(w, n);
}

int sw_work_change_add_table(struct sw_work *w, struct sw_work_change *c, struct sw_view table, const struct sw_attr *attr,
			struct sw_name **out)
{
	const struct sw_name *before = sw_name_find(w, table, sw_view(NULL, 0));
	bool had_edit = before && before->has_edit;
	int rc = sw_table_edit(w, table, attr, out);

	if (rc < 0)
		return rc;
	rc = add_was(c, *out);
	if (rc == 0)
		c->list[c->n - 1].had_edit = had_edit;
	else if (!had_edit)
		drop_edit(w, *out);
	return rc;
}

void sw_work_change_leave_out(struct sw_work_change *c, const struct sw_name *n)
{
	for (size_t i = 0; i < c->n; i++)
		c->list[i].is_unrecorded = c->list[i].is_unrecorded || c->list[i].name == n;
}

static int record(struct sw_work *w, const struct sw_work_change *c)
{
	struct sw_name **names = malloc((c->n + 1) * sizeof(struct sw_name *));
	size_t n = 0;
	int rc;

	if (!names)
		return SW_ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].is_unrecorded)
			names[n++] = c->list[i].name;
	rc = sw_name_journal_whole(w, names, n);
	free(names);
	return rc;
}

static void keep(struct sw_work *w, const struct sw_work_change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct sw_name *n = c->list[i].name;

		if (n->file && n->file != c->list[i].file)
			n->file->ctime_ns = sw_work_now_ns(w);
		if (c->list[i].file)
			sw_file_unref(w, c->list[i].file);
		sw_name_touch(w, n);
		sw_name_drop_nothing(w, n);
	}
}

static void put_back(struct sw_work *w, const struct sw_was *was)
{
	struct sw_name *n = was->name;

	if (n->file != was->file)
		sw_name_put_file(w, n, was->file);
	if (n->has_edit && !n->is_scratch && was->is_scratch)
		sw_name_be_scratch(w, n);
	n->table_exists = was->table_exists;
	n->table_mode = was->table_mode;
	n->table_mtime_ns = was->table_mtime_ns;
	if (was->file)
		sw_file_unref(w, was->file);
}

/* Names lose their edits last: until then each of them is there, whatever refers to it. */
static void take_back(struct sw_work *w, const struct sw_work_change *c)
{
	for (size_t i = c->n; i-- > 0;)
		put_back(w, &c->list[i]);
	for (size_t i = 0; i < c->n; i++) {
		const struct sw_was *was = &c->list[i];

		if (was->moved_from)
			sw_name_set_aside(was->moved_from, was->name);
		if (was->aside)
			sw_name_set_aside(was->name, was->aside);
	}
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].had_edit)
			drop_edit(w, c->list[i].name);
}

int sw_work_change_end(struct sw_work *w, struct sw_work_change *c, int rc)
{
	if (rc == 0)
		rc = record(w, c);
	if (rc == 0)
		keep(w, c);
	else
		take_back(w, c);
	free(c->list);
	*c = (struct sw_work_change){0};
	return rc;
}
