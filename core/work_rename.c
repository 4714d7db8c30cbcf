/*
 * Renames of rows and of tables, and what changes places. Whatever that takes is one change: it is done, and one record says so, or
 * it is not.
 */
#include "core/work_change.h"

#include <assert.h>
#include <stdlib.h>

#define NAMES_MAX  4 /* of a rename: with those that two backups had before */
#define WITH_TABLE 4u /* beside enum sw_rename_flags */

static void exchange(struct sw_work *w, struct sw_name *a, struct sw_name *b)
{
	struct sw_file *f = a->file, *g = b->file;

	f->n_refs++;
	g->n_refs++;
	sw_name_put_file(w, a, g);
	sw_name_put_file(w, b, f);
	sw_file_unref(w, f);
	sw_file_unref(w, g);
}

static int may_rename(struct sw_work *w, struct sw_name *a, struct sw_name *b, unsigned flags)
{
	int rc = sw_name_load(w, a), there = sw_name_load(w, b);

	if (rc == 0 && there < 0 && there != SW_ENOTFOUND)
		rc = there;
	if (rc == 0 && (flags & SW_RENAME_NOREPLACE) && there == 0)
		rc = SW_EEXIST;
	if (rc == 0 && (flags & SW_RENAME_EXCHANGE) && there < 0)
		rc = SW_ENOTFOUND;
	return rc;
}

/* What stands there is a row, or it was one. */
static bool has_row(const struct sw_name *n)
{
	return !n->is_scratch || n->moved_from;
}

/* The row that a backup was, unless it is that name again: with the backup that goes for good. */
static int add_origin(struct sw_work *w, struct sw_work_change *c, const struct sw_name *backup, const struct sw_name *to)
{
	struct sw_name *from = backup->moved_from;

	return from && from != to ? sw_work_change_add(w, c, from) : 0;
}

/* No editor makes a backup by changing places, or by renaming a table: then a row stays one, whatever its name is. */
static int add_names(struct sw_work *w, struct sw_work_change *c, struct sw_name *a, struct sw_name *b, unsigned flags)
{
	bool exchanges = flags & SW_RENAME_EXCHANGE;
	int rc = sw_work_change_add(w, c, a);

	if (rc == 0)
		rc = sw_work_change_add(w, c, b);
	if (rc == 0 && ((flags & WITH_TABLE && has_row(a)) || (exchanges && (has_row(a) || has_row(b))))) {
		rc = sw_name_be_row(w, b);
		if (rc == 0 && exchanges)
			rc = sw_name_be_row(w, a);
	}
	if (rc == 0 && !b->is_scratch)
		rc = add_origin(w, c, a, b);
	return rc == 0 ? add_origin(w, c, b, a) : rc;
}

/* Part of a change that others end. */
static int move(struct sw_work *w, struct sw_work_change *c, struct sw_name *a, struct sw_name *b, unsigned flags)
{
	struct sw_name *from;
	int rc;

	/* What is being written to may be refused later, at its new name. */
	sw_name_keep_good(w, a);
	sw_name_keep_good(w, b);
	rc = add_names(w, c, a, b, flags);
	if (rc < 0)
		return rc;
	if (flags & SW_RENAME_EXCHANGE) {
		exchange(w, a, b);
		return 0;
	}
	from = a->is_scratch ? a->moved_from : a;
	sw_name_put_file(w, b, a->file);
	sw_name_put_file(w, a, NULL);
	if (!b->is_scratch || !from)
		return 0;
	/* Nothing is recorded yet: core/work_aside.c says what it is. */
	sw_name_set_aside(from, b);
	sw_work_change_leave_out(c, a);
	sw_work_change_leave_out(c, b);
	return 0;
}

/* Names whose values changed places belong together; an editor's own file does not count, nor what is nothing any more. */
static size_t list_joined(const struct sw_work_change *c, struct sw_name *out[static NAMES_MAX])
{
	size_t k = 0;

	assert(c->n <= NAMES_MAX);
	for (size_t i = 0; i < c->n; i++) {
		struct sw_name *n = c->list[i].name;

		if (!n->is_scratch && (n->file || n->base.exists || n->in_commit))
			out[k++] = n;
	}
	return k;
}

static int rename_names(struct sw_work *w, struct sw_name *a, struct sw_name *b, unsigned flags)
{
	struct sw_work_change c = {0};
	struct sw_name *joined[NAMES_MAX];
	size_t n;
	int rc = may_rename(w, a, b, flags);

	if (rc == 0)
		rc = sw_name_admit_file(w, b, a->file);
	if (rc == 0 && (flags & SW_RENAME_EXCHANGE))
		rc = sw_name_admit_file(w, a, b->file);
	if (rc < 0)
		return rc;
	rc = move(w, &c, a, b, flags);
	n = list_joined(&c, joined);
	rc = sw_work_change_end(w, &c, rc);
	if (rc == 0)
		sw_name_join(w, joined, n);
	return rc;
}

static void settle(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	struct sw_name *n = sw_name_find(w, table, key);

	if (n)
		sw_name_settle(w, n);
}

static int rename_locked(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_view new_table,
			 struct sw_view new_key, unsigned flags)
{
	bool is_same = sw_view_eq(table, new_table) && sw_view_eq(key, new_key);
	struct sw_attr attr;
	struct sw_name *a, *b;
	int rc = sw_name_check(new_key);

	if (rc == 0 && is_same)
		rc = sw_row_stat(w, table, key, &attr);
	if (rc == 0)
		rc = sw_table_stat(w, new_table, &attr);
	if (rc < 0)
		return rc;
	if (is_same)
		return flags & SW_RENAME_NOREPLACE ? SW_EEXIST : 0;
	rc = sw_name_get(w, table, key, &a);
	if (rc == 0)
		rc = sw_name_get(w, new_table, new_key, &b);
	if (rc == 0)
		rc = rename_names(w, a, b, flags);
	if (rc < 0) {
		settle(w, new_table, new_key);
		settle(w, table, key);
	}
	return rc;
}

int sw_work_rename(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_view new_table,
		   struct sw_view new_key, unsigned flags)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = rename_locked(w, table, key, new_table, new_key, flags);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

#define MOVE_MAX 250000 /* rows of a table that is renamed: two names and a file each, in memory until they are committed */
#define JOIN_MAX 50000 /* of them in one commit */

struct names {
	struct sw_buf text; /* each a length-prefixed string */
	size_t n;
};

static int add_name(struct names *names, struct sw_view name)
{
	sw_buf_put_bytes(&names->text, name);
	names->n++;
	return names->text.rc;
}

/* Those of the state, but for what was removed. */
static int add_committed(struct sw_work *w, const struct sw_reader *r, struct sw_view table,
			 struct names *out)
{
	struct sw_cursor c = {0};
	struct sw_table t;
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_USER, table, &t);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	for (rc = sw_cursor_seek(&c, r->nodes, &t.root, sw_view(NULL, 0)); rc > 0;
	     rc = sw_cursor_next(&c)) {
		struct sw_view key = sw_cursor_entry(&c)->key;
		const struct sw_name *n = sw_name_find(w, table, key);

		if ((!n || !n->has_edit) && add_name(out, key) < 0)
			break;
	}
	sw_cursor_fini(&c);
	return rc < 0 ? rc : out->text.rc;
}

/* The rows that a table has now. */
static int list_names(struct sw_work *w, struct sw_view table, struct names *out)
{
	struct sw_reader r;
	int rc = sw_work_read(w, &r);

	if (rc < 0)
		return rc;
	rc = add_committed(w, &r, table, out);
	sw_reader_end(&r);
	for (const struct sw_name *n = sw_name_edits_in(w, table); rc == 0 && n;
	     n = n->next_sibling)
		if (n->file)
			rc = add_name(out, n->key);
	return rc;
}

static int move_row(struct sw_work *w, struct sw_work_change *c, struct sw_view from, struct sw_view to, struct sw_view key,
		    unsigned flags)
{
	struct sw_name *a, *b;
	int rc = sw_name_get(w, from, key, &a);

	if (rc == 0)
		rc = sw_name_get(w, to, key, &b);
	if (rc == 0)
		rc = may_rename(w, a, b, flags);
	if (rc < 0) {
		settle(w, to, key);
		settle(w, from, key);
		return rc;
	}
	return move(w, c, a, b, flags | WITH_TABLE);
}

static int move_rows(struct sw_work *w, struct sw_work_change *c, struct sw_view from, struct sw_view to)
{
	struct names names = {0};
	struct sw_rd r;
	int rc = list_names(w, from, &names);

	r = sw_rd(sw_buf_view(&names.text));
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = move_row(w, c, from, to, sw_rd_bytes(&r, SW_NAME_MAX), 0);
	sw_buf_fini(&names.text);
	return rc;
}

/* The names in a list that are to be joined, and room for them: NULL only counts. */
static size_t add_edits(struct sw_work *w, struct sw_view table, struct sw_name **out)
{
	struct sw_name *dir = sw_name_find(w, table, sw_view(NULL, 0));
	size_t k = 0;

	for (struct sw_name *n = dir ? dir->rows : NULL; n; n = n->next_sibling)
		if (!n->is_scratch) {
			if (out)
				out[k] = n;
			k++;
		}
	if (dir && dir->has_edit) {
		if (out)
			out[k] = dir;
		k++;
	}
	return k;
}

/* What became of the rows of two tables belongs together, and with what became of the tables: unless it is too much, or there is no
 * memory for that. */
static void join_tables(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	size_t n_a = add_edits(w, a, NULL), n = n_a + add_edits(w, b, NULL);
	struct sw_name **all = n > 2 * JOIN_MAX + 2 ? NULL : calloc(n + 1, sizeof(struct sw_name *));

	if (!all)
		return;
	add_edits(w, a, all);
	add_edits(w, b, all + n_a);
	sw_name_join(w, all, n);
	free(all);
}

/* Of one table, or of two: the same twice counts once. */
static int check_size(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	uint64_t n_a, n_b = 0;
	int rc = sw_table_count(w, a, &n_a);

	if (rc == 0 && !sw_view_eq(a, b))
		rc = sw_table_count(w, b, &n_b);
	return rc == 0 && n_a + n_b > MOVE_MAX ? SW_EXDEV : rc;
}

/* The table that rows move to: one without rows, made now if there is none. */
static int make_room(struct sw_work *w, struct sw_work_change *c, struct sw_view to, uint16_t mode)
{
	struct sw_attr attr;
	struct sw_name *n;
	uint64_t n_rows = 0;
	int rc = sw_table_stat(w, to, &attr);

	if (rc == 0)
		rc = sw_table_count(w, to, &n_rows);
	if (rc == 0 && n_rows > 0)
		return SW_ENOTEMPTY;
	if (rc != SW_ENOTFOUND)
		return rc;
	rc = sw_work_change_add_table(w, c, to, NULL, &n);
	if (rc < 0)
		return rc;
	n->table_exists = true;
	n->table_mode = mode;
	n->table_mtime_ns = sw_work_now_ns(w);
	return 0;
}

static int move_table(struct sw_work *w, struct sw_work_change *c, struct sw_view from, struct sw_view to, const struct sw_attr *attr)
{
	struct sw_name *n;
	int rc = make_room(w, c, to, attr->mode);

	if (rc == 0)
		rc = move_rows(w, c, from, to);
	if (rc == 0)
		rc = sw_work_change_add_table(w, c, from, attr, &n);
	if (rc == 0)
		n->table_exists = false;
	return rc;
}

static int rename_table_locked(struct sw_work *w, struct sw_view from, struct sw_view to)
{
	struct sw_work_change c = {0};
	struct sw_attr attr;
	int rc = sw_table_stat(w, from, &attr);

	if (rc < 0 || sw_view_eq(from, to))
		return rc;
	rc = check_size(w, from, from);
	if (rc == 0)
		rc = sw_work_adopt_from(w, from);
	if (rc == 0)
		rc = move_table(w, &c, from, to, &attr);
	rc = sw_work_change_end(w, &c, rc);
	if (rc == 0)
		join_tables(w, from, to);
	return rc;
}

int sw_work_rename_table(struct sw_work *w, struct sw_view from, struct sw_view to)
{
	int rc = sw_table_name_check(to);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&w->lock);
	rc = rename_table_locked(w, from, to);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* A row that both have changes places; one that only `from` has, moves. */
static int exchange_row(struct sw_work *w, struct sw_work_change *c, struct sw_view from, struct sw_view to, struct sw_view key)
{
	struct sw_attr attr;
	int there = sw_row_stat(w, to, key, &attr);

	if (there < 0 && there != SW_ENOTFOUND)
		return there;
	return move_row(w, c, from, to, key, there == 0 ? SW_RENAME_EXCHANGE : 0);
}

static int set_meta(struct sw_work *w, struct sw_work_change *c, struct sw_view table, const struct sw_attr *now,
		    const struct sw_attr *attr)
{
	struct sw_name *n;
	int rc = sw_work_change_add_table(w, c, table, now, &n);

	if (rc < 0)
		return rc;
	n->table_mode = attr->mode;
	n->table_mtime_ns = attr->mtime_ns;
	return 0;
}

/* Those of the names that the table does not have. */
static int missing_in(struct sw_work *w, struct sw_view table, const struct names *names,
		      struct names *out)
{
	struct sw_rd r = sw_rd(sw_buf_view(&names->text));
	struct sw_attr attr;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		struct sw_view key = sw_rd_bytes(&r, SW_NAME_MAX);

		rc = sw_row_stat(w, table, key, &attr);
		if (rc == SW_ENOTFOUND)
			rc = add_name(out, key);
	}
	return rc;
}

/* Those of `only_b` are the rows of b that a did not have. */
static int exchange_rows(struct sw_work *w, struct sw_work_change *c, struct sw_view a, struct sw_view b, const struct names *of_a,
			 const struct names *only_b)
{
	struct sw_rd ra = sw_rd(sw_buf_view(&of_a->text)), rb = sw_rd(sw_buf_view(&only_b->text));
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < of_a->n; i++)
		rc = exchange_row(w, c, a, b, sw_rd_bytes(&ra, SW_NAME_MAX));
	for (size_t i = 0; rc == 0 && i < only_b->n; i++)
		rc = exchange_row(w, c, b, a, sw_rd_bytes(&rb, SW_NAME_MAX));
	return rc;
}

static int exchange_all_rows(struct sw_work *w, struct sw_work_change *c, struct sw_view a, struct sw_view b)
{
	struct names of_a = {0}, of_b = {0}, only_b = {0};
	int rc = list_names(w, a, &of_a);

	if (rc == 0)
		rc = list_names(w, b, &of_b);
	if (rc == 0)
		rc = missing_in(w, a, &of_b, &only_b);
	if (rc == 0)
		rc = exchange_rows(w, c, a, b, &of_a, &only_b);
	sw_buf_fini(&of_a.text);
	sw_buf_fini(&of_b.text);
	sw_buf_fini(&only_b.text);
	return rc;
}

static int exchange_locked(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	struct sw_work_change c = {0};
	struct sw_attr attr_a, attr_b;
	int rc = sw_table_stat(w, a, &attr_a);

	if (rc == 0)
		rc = sw_table_stat(w, b, &attr_b);
	if (rc < 0 || sw_view_eq(a, b))
		return rc;
	rc = check_size(w, a, b);
	if (rc == 0)
		rc = exchange_all_rows(w, &c, a, b);
	if (rc == 0)
		rc = set_meta(w, &c, a, &attr_a, &attr_b);
	if (rc == 0)
		rc = set_meta(w, &c, b, &attr_b, &attr_a);
	rc = sw_work_change_end(w, &c, rc);
	if (rc == 0)
		join_tables(w, a, b);
	return rc;
}

int sw_work_exchange_tables(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = exchange_locked(w, a, b);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
