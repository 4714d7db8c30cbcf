/* What stands where, and the operations on one name: mkdir, rmdir, unlink. */
#include "core/work_change.h"

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

int sw_table_edit(struct sw_work *w, struct sw_view table, const struct sw_attr *attr, struct sw_name **out)
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

static int mkdir_locked(struct sw_work *w, struct sw_view table, uint16_t mode)
{
	struct sw_work_change c = {0};
	struct sw_attr attr;
	struct sw_name *n;
	int rc = sw_table_stat(w, table, &attr);

	if (rc != SW_ENOTFOUND)
		return rc == 0 ? SW_EEXIST : rc;
	rc = sw_work_change_add_table(w, &c, table, NULL, &n);
	if (rc == 0) {
		n->table_exists = true;
		n->table_mode = mode & SW_MODE_MASK;
		n->table_mtime_ns = sw_work_now_ns(w);
	}
	return sw_work_change_end(w, &c, rc);
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

int sw_table_count(struct sw_work *w, struct sw_view table, uint64_t *out)
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
 * `had_edit` false says: what the newest state has. Unless the name was changed meanwhile, while the lock was given up.
 */
static void take_back(struct sw_work *w, struct sw_name *n, uint64_t version, struct sw_file *f, bool had_edit)
{
	if (!n || !n->has_edit || n->version != version)
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

/*
 * Nothing stands at the name any more. The journal gets to know, or, without room for that, history does, and the lock is given up
 * meanwhile; or it is taken back. table and key are not the name's own, which may go.
 */
static int removal_done(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name *n, struct sw_file *f, bool had_edit)
{
	int rc = sw_name_journal_whole(w, &n, 1);
	bool is_taken = false; /* by a commit that goes on */
	uint64_t version;

	sw_name_touch(w, n);
	version = n->version;
	if (rc == 0)
		sw_name_drop_nothing(w, n);
	if (rc == SW_ENOSPC) {
		rc = sw_work_commit_alone(w, table, key);
		n = sw_name_find(w, table, key);
		is_taken = n && n->in_commit;
	}
	if (rc < 0 && !is_taken)
		take_back(w, n, version, f, had_edit);
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
		rc = sw_table_count(w, table, &n_rows);
	if (rc == 0 && n_rows > 0)
		return SW_ENOTEMPTY;
	if (rc == 0)
		rc = sw_work_adopt_from(w, table);
	if (rc == 0)
		rc = sw_table_edit(w, table, &attr, &n);
	if (rc < 0)
		return rc;
	n->table_exists = false;
	return removal_done(w, table, sw_view(NULL, 0), n, NULL, had_edit);
}

int sw_work_rmdir(struct sw_work *w, struct sw_view table)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = rmdir_locked(w, table);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static int set_table_locked(struct sw_work *w, struct sw_view table, const uint16_t *mode, const int64_t *mtime_ns)
{
	struct sw_work_change c = {0};
	struct sw_attr attr;
	struct sw_name *n;
	int rc = sw_table_stat(w, table, &attr);

	if (rc == 0)
		rc = sw_work_change_add_table(w, &c, table, &attr, &n);
	if (rc == 0 && mode)
		n->table_mode = *mode & SW_MODE_MASK;
	if (rc == 0 && mtime_ns)
		n->table_mtime_ns = *mtime_ns;
	return sw_work_change_end(w, &c, rc);
}

int sw_work_set_table(struct sw_work *w, struct sw_view table, const uint16_t *mode,
		      const int64_t *mtime_ns)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = set_table_locked(w, table, mode, mtime_ns);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static int unlink_row(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name *n)
{
	struct sw_file *f = n->file;
	bool had_edit = n->has_edit;
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
	rc = removal_done(w, table, key, n, f, had_edit);
	if (f)
		sw_file_unref(w, f);
	return rc;
}

/* The journal has no room for saying that the row is gone which was put aside at n: commit that. */
static int commit_moved_from(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name *n)
{
	uint8_t buf[2 * SW_NAME_MAX];
	struct sw_name *from = n->moved_from;
	struct sw_view from_table = sw_view(buf, from->table.n), from_key = sw_view(buf + from->table.n, from->key.n);
	const struct sw_file *f = n->file;
	int rc;

	memcpy(buf, from->text, from->table.n + from->key.n);
	sw_name_forget_aside(n); /* or it would wait */
	rc = sw_work_commit_alone(w, from_table, from_key);
	if (rc == 0)
		return 0;
	n = sw_name_find(w, table, key); /* the lock was given up */
	from = sw_name_find(w, from_table, from_key);
	if (n && n->has_edit && n->file == f && from && from->has_edit && !from->file && !from->in_commit)
		sw_name_set_aside(from, n);
	return rc;
}

/* With a backup the row is gone for good that it was: that comes first. */
static int unlink_moved_from(struct sw_work *w, struct sw_view table, struct sw_view key, struct sw_name *n)
{
	struct sw_name *from = n->moved_from;
	int rc = sw_name_journal_whole(w, &from, 1);

	if (rc == SW_ENOSPC)
		return commit_moved_from(w, table, key, n);
	if (rc < 0)
		return rc;
	sw_name_forget_aside(n);
	sw_name_touch(w, from);
	sw_name_drop_nothing(w, from);
	return 0;
}

static int unlink_locked(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	struct sw_name *n = sw_name_find(w, table, key);
	int rc = n && n->moved_from ? unlink_moved_from(w, table, key, n) : 0;

	if (rc == 0)
		rc = sw_name_get(w, table, key, &n);
	return rc < 0 ? rc : unlink_row(w, table, key, n);
}

int sw_work_unlink(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = unlink_locked(w, table, key);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
