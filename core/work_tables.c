/* What stands where, and the operations on names: mkdir, rmdir, unlink, rename. */
#include "core/work_internal.h"

#include <stdlib.h>

int sw_row_stat(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_attr *out)
{
	const struct sw_name *n = sw_name_find(w, table, key);
	struct sw_reader r;
	struct sw_row row;
	int rc;

	if (n && n->file) {
		sw_file_stat(n->file, out);
		return 0;
	}
	if (n && n->has_edit)
		return SW_ENOTFOUND;
	rc = sw_work_find_row(w, table, key, &r, &row);
	if (rc < 0)
		return rc;
	*out = (struct sw_attr){
	    .mode = row.mode, .mtime_ns = row.mtime_ns, .ctime_ns = row.mtime_ns, .size = row.size};
	sw_reader_end(&r);
	return 0;
}

int sw_work_stat(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_attr *out)
{
	int rc = sw_name_check(key);

	if (rc < 0)
		return rc == SW_EINVAL ? SW_ENOTFOUND : rc;
	pthread_mutex_lock(&w->lock);
	rc = sw_row_stat(w, table, key, out);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int sw_table_stat(struct sw_work *w, struct sw_view table, struct sw_attr *out)
{
	const struct sw_name *n = sw_name_find(w, table, sw_view(NULL, 0));
	struct sw_table t = {0};
	int rc = sw_name_check(table);

	if (rc < 0)
		return rc == SW_EINVAL ? SW_ENOTFOUND : rc;
	if (n && n->has_edit) {
		rc = n->table_exists ? 0 : SW_ENOTFOUND;
		t.mode = n->table_mode;
		t.mtime_ns = n->table_mtime_ns;
	} else {
		rc = sw_work_find_table(w, table, &t);
	}
	*out = (struct sw_attr){.is_table = true, .mode = t.mode, .mtime_ns = t.mtime_ns, .ctime_ns = t.mtime_ns};
	return rc;
}

int sw_work_stat_table(struct sw_work *w, struct sw_view table, struct sw_attr *out)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sw_table_stat(w, table, out);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Begin an edit of a table's own name; what stands there is its base: attr, or NULL if nothing does. */
static int edit_table(struct sw_work *w, struct sw_view table, const struct sw_attr *attr, struct sw_name **out)
{
	struct sw_name *n;
	int rc;

	if (w->is_frozen)
		return SW_EROFS;
	rc = sw_name_get(w, table, sw_view(NULL, 0), &n);
	if (rc < 0)
		return rc;
	if (!n->has_edit) {
		rc = sw_name_edit(w, n);
		if (rc < 0) {
			sw_name_settle(w, n);
			return rc;
		}
		n->base.exists = n->table_exists = attr != NULL;
		n->base.mode = n->table_mode = attr ? attr->mode : 0;
		n->base.mtime_ns = n->table_mtime_ns = attr ? attr->mtime_ns : 0;
	}
	*out = n;
	return rc;
}

/* A table that came and went in the same edit leaves nothing to commit. */
static int table_done(struct sw_work *w, struct sw_name *n)
{
	int rc = sw_name_journal(w, &n, 1);

	sw_name_touch(w, n);
	if (rc == 0 && !n->table_exists && !n->base.exists && !n->in_commit) {
		sw_name_end_edit(w, n);
		sw_name_settle(w, n);
	}
	return rc;
}

static int mkdir_locked(struct sw_work *w, struct sw_view table, uint16_t mode)
{
	struct sw_attr attr;
	struct sw_name *n;
	int rc = sw_table_stat(w, table, &attr);

	if (rc == 0)
		return SW_EEXIST;
	if (rc == SW_ENOTFOUND)
		rc = edit_table(w, table, NULL, &n);
	if (rc < 0)
		return rc;
	n->table_exists = true;
	n->table_mode = mode & SW_MODE_MASK;
	n->table_mtime_ns = sw_work_now_ns(w);
	return table_done(w, n);
}

int sw_work_mkdir(struct sw_work *w, struct sw_view table, uint16_t mode)
{
	int rc = sw_table_name_check(table);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&w->lock);
	rc = mkdir_locked(w, table, mode);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Rows of a table now: those of the state, with the edits on top. */
static int count_edited(struct sw_work *w, struct sw_view table, const struct sw_name *first, uint64_t *out)
{
	struct sw_table t = {0};
	struct sw_reader r;
	int rc = sw_work_read(w, &r);

	if (rc < 0)
		return rc;
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, table, &t);
	*out = t.n_rows;
	for (const struct sw_name *n = first; (rc == 0 || rc == SW_ENOTFOUND) && n; n = n->next_sibling) {
		struct sw_view value;
		int in_state = sw_tree_get(r.nodes, &t.root, n->key, &value);

		if (in_state < 0 && in_state != SW_ENOTFOUND)
			rc = in_state;
		*out += n->file && in_state == SW_ENOTFOUND;
		*out -= !n->file && in_state == 0;
	}
	sw_reader_end(&r);
	return rc;
}

static int count_rows(struct sw_work *w, struct sw_view table, uint64_t *out)
{
	const struct sw_name *first = sw_name_edits_in(w, table);
	struct sw_table t = {0};
	int rc;

	if (first) {
		rc = count_edited(w, table, first, out);
	} else {
		rc = sw_work_find_table(w, table, &t);
		*out = t.n_rows;
	}
	return rc == SW_ENOTFOUND ? 0 : rc;
}

/*
 * A removal failed, and whoever asked for it is told so: it must not happen later after all. What stood there is f, or what
 * `had_edit` false says: what the newest state has. Unless the name was changed meanwhile, while the lock was given up, or is being committed.
 */
static void take_back(struct sw_work *w, struct sw_name *n, uint64_t version, struct sw_file *f, bool had_edit)
{
	if (!n || !n->has_edit || n->in_commit || n->version != version)
		return;
	if (n->key.n > 0)
		sw_name_put_file(w, n, f);
	else
		n->table_exists = true;
	if (had_edit)
		return;
	sw_name_end_edit(w, n);
	sw_name_settle(w, n);
}

static int rmdir_edited(struct sw_work *w, struct sw_name *n, bool had_edit)
{
	struct sw_view table = n->table;
	uint8_t buf[SW_NAME_MAX];
	uint64_t version;
	int rc;

	n->table_exists = false;
	rc = table_done(w, n);
	if (rc == 0)
		return 0;
	memcpy(buf, table.p, table.n); /* the name may go */
	table.p = buf;
	version = n->version;
	if (rc == SW_ENOSPC)
		rc = sw_work_commit_removal(w, table, sw_view(NULL, 0));
	if (rc < 0)
		take_back(w, sw_name_find(w, table, sw_view(NULL, 0)), version, NULL, had_edit);
	return rc;
}

static int rmdir_locked(struct sw_work *w, struct sw_view table)
{
	const struct sw_name *before = sw_name_find(w, table, sw_view(NULL, 0));
	bool had_edit = before && before->has_edit;
	struct sw_attr attr;
	struct sw_name *n;
	uint64_t n_rows;
	int rc = sw_table_stat(w, table, &attr);

	if (rc == 0)
		rc = count_rows(w, table, &n_rows);
	if (rc == 0 && n_rows > 0)
		return SW_ENOTEMPTY;
	if (rc == 0)
		rc = edit_table(w, table, &attr, &n);
	return rc < 0 ? rc : rmdir_edited(w, n, had_edit);
}

int sw_work_rmdir(struct sw_work *w, struct sw_view table)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = rmdir_locked(w, table);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int sw_work_set_table(struct sw_work *w, struct sw_view table, const uint16_t *mode,
		      const int64_t *mtime_ns)
{
	struct sw_attr attr;
	struct sw_name *n;
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sw_table_stat(w, table, &attr);
	if (rc == 0)
		rc = edit_table(w, table, &attr, &n);
	if (rc == 0) {
		if (mode)
			n->table_mode = *mode & SW_MODE_MASK;
		if (mtime_ns)
			n->table_mtime_ns = *mtime_ns;
		rc = table_done(w, n);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Something was removed from a name, or put there: journal it; an edit without any effect is
 * dropped. */
static int names_done(struct sw_work *w, struct sw_name **names, size_t n)
{
	int rc = sw_name_journal_whole(w, names, n);

	for (size_t i = 0; i < n; i++)
		sw_name_touch(w, names[i]);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sw_name *name = names[i];

		if (!name->file && !name->base.exists && !name->in_commit && name->has_edit) {
			sw_name_end_edit(w, name);
			sw_name_settle(w, name);
		}
	}
	return rc;
}

static int unlink_name(struct sw_work *w, struct sw_view table, struct sw_view key,
		       struct sw_name *n)
{
	struct sw_name *names[2] = {n, n->moved_from};
	struct sw_file *f = n->file;
	bool had_edit = n->has_edit;
	uint64_t version;
	int rc = n->has_edit && !n->file ? SW_ENOTFOUND : sw_name_edit(w, n);

	if (rc == 0 && !n->file && !n->base.exists) {
		sw_name_end_edit(w, n);
		rc = SW_ENOTFOUND;
	}
	if (rc < 0) {
		sw_name_settle(w, n);
		return rc;
	}
	if (f)
		f->n_refs++;
	sw_name_put_file(w, n, NULL);
	/* With what was put aside the row is gone for good. */
	rc = names_done(w, names, names[1] ? 2 : 1);
	version = rc < 0 ? n->version : 0;
	if (rc == SW_ENOSPC)
		rc = sw_work_commit_removal(w, table, key);
	if (rc < 0 && !names[1])
		take_back(w, sw_name_find(w, table, key), version, f, had_edit);
	if (f)
		sw_file_unref(w, f);
	return rc;
}

int sw_work_unlink(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	struct sw_name *n;
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sw_name_get(w, table, key, &n);
	if (rc == 0)
		rc = unlink_name(w, table, key, n);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

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

/* Nothing is recorded yet: core/work_aside.c says what it is. */
static void put_aside(struct sw_work *w, struct sw_name *a, struct sw_name *b, struct sw_name *from)
{
	b->moved_from = from;
	from->aside = b;
	sw_name_touch(w, a);
	sw_name_touch(w, b);
	if (!a->is_scratch)
		return;
	sw_name_end_edit(w, a);
	sw_name_settle(w, a);
}

static int rename_names(struct sw_work *w, struct sw_name *a, struct sw_name *b, unsigned flags)
{
	struct sw_name *both[2] = {a, b};
	struct sw_name *from = a->is_scratch ? a->moved_from : a;
	int rc = sw_name_load(w, a), there = sw_name_load(w, b);

	if (rc == 0 && there < 0 && there != SW_ENOTFOUND)
		rc = there;
	if (rc == 0 && (flags & SW_RENAME_NOREPLACE) && there == 0)
		rc = SW_EEXIST;
	if (rc == 0 && (flags & SW_RENAME_EXCHANGE) && there < 0)
		rc = SW_ENOTFOUND;
	if (rc == 0 && !(flags & SW_RENAME_WITH_TABLE))
		rc = sw_name_admit_file(w, b, a->file);
	if (rc == 0 && (flags & SW_RENAME_EXCHANGE) && !(flags & SW_RENAME_WITH_TABLE))
		rc = sw_name_admit_file(w, a, b->file);
	if (rc < 0)
		return rc;
	/* What is being written to may be refused later, at its new name. */
	sw_name_keep_good(w, a);
	sw_name_keep_good(w, b);
	rc = sw_name_edit(w, a);
	if (rc == 0)
		rc = sw_name_edit(w, b);
	if (rc < 0)
		return rc;
	if (flags & SW_RENAME_EXCHANGE) {
		exchange(w, a, b);
	} else {
		sw_name_put_file(w, b, a->file);
		sw_name_put_file(w, a, NULL);
		b->file->name = b;
	}
	b->file->ctime_ns = sw_work_now_ns(w);
	/* Names whose values changed places belong together; an editor's own file does not count.
	 */
	if ((a->file || a->base.exists) && !a->is_scratch && !b->is_scratch)
		sw_name_join(w, both, 2);
	if (b->is_scratch && from && !(flags & SW_RENAME_EXCHANGE)) {
		put_aside(w, a, b, from);
		return 0;
	}
	/* The file is at its new name whatever comes of the journal; a failure is told. */
	return names_done(w, both, 2);
}

int sw_rename_locked(struct sw_work *w, struct sw_view table, struct sw_view key,
		     struct sw_view new_table, struct sw_view new_key, unsigned flags)
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
	if (rc < 0)
		return rc;
	rc = sw_name_get(w, new_table, new_key, &b);
	if (rc == 0) {
		rc = rename_names(w, a, b, flags);
		if (rc < 0 && sw_name_find(w, new_table, new_key) == b)
			sw_name_settle(w, b);
	}
	if (rc < 0 && sw_name_find(w, table, key) == a)
		sw_name_settle(w, a);
	return rc;
}

int sw_work_rename(struct sw_work *w, struct sw_view table, struct sw_view key,
		   struct sw_view new_table, struct sw_view new_key, unsigned flags)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sw_rename_locked(w, table, key, new_table, new_key, flags);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

#define MOVE_MAX                                                                                   \
	250000 /* rows of a table that is renamed: two names and a file each, in memory until they \
		  are committed */
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

static int rename_rows(struct sw_work *w, struct sw_view from, struct sw_view to)
{
	struct names names = {0};
	struct sw_rd r;
	int rc = list_names(w, from, &names);

	r = sw_rd(sw_buf_view(&names.text));
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		struct sw_view key = sw_rd_bytes(&r, SW_NAME_MAX);

		rc = sw_rename_locked(w, from, key, to, key, SW_RENAME_WITH_TABLE);
	}
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

/* What became of the rows of two tables belongs together, and with what became of the tables:
 * unless it is too much. */
static int join_tables(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	size_t n_a = add_edits(w, a, NULL), n = n_a + add_edits(w, b, NULL);
	struct sw_name **all;

	if (n > 2 * JOIN_MAX + 2)
		return 0;
	all = calloc(n + 1, sizeof(struct sw_name *));
	if (!all)
		return SW_ENOMEM;
	add_edits(w, a, all);
	add_edits(w, b, all + n_a);
	sw_name_join(w, all, n);
	free(all);
	return 0;
}

static int check_size(struct sw_work *w, struct sw_view table)
{
	uint64_t n;
	int rc = count_rows(w, table, &n);

	return rc == 0 && n > MOVE_MAX ? SW_EXDEV : rc;
}

/* The table that rows move to: one without rows, made now if there is none. */
static int make_room(struct sw_work *w, struct sw_view from, struct sw_view to)
{
	struct sw_attr attr, there;
	uint64_t n = 0;
	int rc = sw_table_stat(w, from, &attr);

	if (rc < 0)
		return rc;
	rc = sw_table_stat(w, to, &there);
	if (rc == SW_ENOTFOUND)
		return mkdir_locked(w, to, attr.mode);
	if (rc == 0)
		rc = count_rows(w, to, &n);
	return rc == 0 && n > 0 ? SW_ENOTEMPTY : rc;
}

static int rename_table_locked(struct sw_work *w, struct sw_view from, struct sw_view to)
{
	struct sw_attr attr;
	int rc;

	if (sw_view_eq(from, to))
		return sw_table_stat(w, from, &attr);
	rc = check_size(w, from);
	if (rc == 0)
		rc = make_room(w, from, to);
	if (rc == 0)
		rc = rename_rows(w, from, to);
	if (rc == 0)
		rc = rmdir_locked(w, from);
	return rc < 0 ? rc : join_tables(w, from, to);
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
static int exchange_row(struct sw_work *w, struct sw_view from, struct sw_view to,
			struct sw_view key)
{
	struct sw_attr attr;
	int there = sw_row_stat(w, to, key, &attr);

	if (there < 0 && there != SW_ENOTFOUND)
		return there;
	return sw_rename_locked(w, from, key, to, key,
				SW_RENAME_WITH_TABLE | (there == 0 ? SW_RENAME_EXCHANGE : 0));
}

static int set_meta(struct sw_work *w, struct sw_view table, const struct sw_attr *now, const struct sw_attr *attr)
{
	struct sw_name *n;
	int rc = edit_table(w, table, now, &n);

	if (rc < 0)
		return rc;
	n->table_mode = attr->mode;
	n->table_mtime_ns = attr->mtime_ns;
	return table_done(w, n);
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
static int exchange_rows(struct sw_work *w, struct sw_view a, struct sw_view b,
			 const struct names *of_a, const struct names *only_b)
{
	struct sw_rd ra = sw_rd(sw_buf_view(&of_a->text)), rb = sw_rd(sw_buf_view(&only_b->text));
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < of_a->n; i++)
		rc = exchange_row(w, a, b, sw_rd_bytes(&ra, SW_NAME_MAX));
	for (size_t i = 0; rc == 0 && i < only_b->n; i++)
		rc = exchange_row(w, b, a, sw_rd_bytes(&rb, SW_NAME_MAX));
	return rc;
}

static int exchange_locked(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	struct names of_a = {0}, of_b = {0}, only_b = {0};
	struct sw_attr attr_a, attr_b;
	int rc = sw_table_stat(w, a, &attr_a);

	if (rc == 0)
		rc = sw_table_stat(w, b, &attr_b);
	if (rc < 0 || sw_view_eq(a, b))
		return rc;
	rc = check_size(w, a);
	if (rc == 0)
		rc = check_size(w, b);
	if (rc == 0)
		rc = list_names(w, a, &of_a);
	if (rc == 0)
		rc = list_names(w, b, &of_b);
	if (rc == 0)
		rc = missing_in(w, a, &of_b, &only_b);
	if (rc == 0)
		rc = exchange_rows(w, a, b, &of_a, &only_b);
	if (rc == 0)
		rc = set_meta(w, a, &attr_a, &attr_b);
	if (rc == 0)
		rc = set_meta(w, b, &attr_b, &attr_a);
	sw_buf_fini(&of_a.text);
	sw_buf_fini(&of_b.text);
	sw_buf_fini(&only_b.text);
	return rc < 0 ? rc : join_tables(w, a, b);
}

int sw_work_exchange_tables(struct sw_work *w, struct sw_view a, struct sw_view b)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = exchange_locked(w, a, b);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
