/* Handlers that change the live tree, or a working copy: names and attributes. Everything else is read-only. */
#include "fs/mount_internal.h"
#include "fs/time_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static void reply_rc(fuse_req_t req, int rc)
{
	fuse_reply_err(req, rc < 0 ? sw_err_to_errno(rc) : 0);
}

/* Why nothing can be made or removed in a directory that is not a table. */
static int refuse_in(const struct sw_inode *dir)
{
	switch (dir->type) {
	case SW_NODE_COMMITS:
	case SW_NODE_SNAP:
	case SW_NODE_SNAP_TABLE:
		return SW_EROFS;
	default:
		return SW_EPERM;
	}
}

static bool is_in_conflicts(const struct sw_inode *dir)
{
	return dir->type == SW_NODE_CONFLICTS || dir->type == SW_NODE_CONFLICT_TABLE ||
	       dir->type == SW_NODE_CONFLICT_ROW || dir->type == SW_NODE_CONFLICT;
}

/* In a working copy that was applied or discarded nothing can be made, as in a directory that was removed. */
static int check_there(const struct sw_inode *dir)
{
	return dir->copy && sw_copy_is_gone(dir->copy) ? SW_ENOTFOUND : 0;
}

static void reply_entry(struct sw_mount *m, fuse_req_t req, struct sw_inode *i)
{
	struct fuse_entry_param e = {.ino = i->id};
	int rc = sw_node_stat(m, i, &e.attr);

	if (rc < 0) {
		sw_inode_forget(&m->inodes, i->id, 1);
		fuse_reply_err(req, sw_err_to_errno(rc));
		return;
	}
	sw_node_timeouts(m, i, &e.entry_timeout, &e.attr_timeout);
	if (fuse_reply_entry(req, &e) < 0)
		sw_inode_forget(&m->inodes, e.ino, 1);
}

static int mkdir_txn(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	int rc = sw_txn_mkdir(m, name);

	return rc < 0 ? rc : sw_node_lookup(m, dir, name, out);
}

static int mkdir_table(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, uint16_t mode,
		       struct sw_inode **out)
{
	int rc = sw_work_mkdir(sw_node_work(m, dir), name, mode);

	return rc < 0 ? rc
		      : sw_inode_get_in(&m->inodes, SW_NODE_TABLE, dir->copy, name, sw_view(NULL, 0), 0, out);
}

void sw_ll_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent), *i;
	int rc = check_there(dir);

	if (rc == 0 && dir->type == SW_NODE_TXNS)
		rc = mkdir_txn(m, dir, sw_view_str(name), &i);
	else if (rc == 0 && !sw_node_has_tables(dir))
		rc = refuse_in(dir);
	else if (rc == 0)
		rc = mkdir_table(m, dir, sw_view_str(name), mode & SW_MODE_MASK, &i);
	if (rc == 0)
		sw_inode_touch_dir(&m->inodes, dir, sw_mount_now_ns(m));
	if (rc < 0)
		reply_rc(req, rc);
	else
		reply_entry(m, req, i);
}

void sw_ll_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent);
	int rc;

	if (is_in_conflicts(dir)) {
		reply_rc(req, sw_conflicts_rmdir(m, dir, sw_view_str(name), fuse_req_ctx(req)->pid));
		return;
	}
	if (dir->type == SW_NODE_TXNS) {
		reply_rc(req, sw_txn_rmdir(m, sw_view_str(name)));
		return;
	}
	if (!sw_node_has_tables(dir) || sw_name_is_control(sw_view_str(name)))
		rc = refuse_in(dir);
	else
		rc = sw_work_rmdir(sw_node_work(m, dir), sw_view_str(name));
	if (rc == 0) {
		sw_inode_unlink(&m->inodes, dir->copy, sw_view_str(name), sw_view(NULL, 0));
		sw_inode_touch_dir(&m->inodes, dir, sw_mount_now_ns(m));
	}
	reply_rc(req, rc);
}

void sw_ll_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent);
	struct sw_inode_name table;
	int rc;

	if (is_in_conflicts(dir)) {
		reply_rc(req, sw_conflicts_unlink(m, dir, sw_view_str(name)));
		return;
	}
	sw_inode_name(&m->inodes, dir, &table);
	if (dir->type != SW_NODE_TABLE)
		rc = refuse_in(dir);
	else
		rc = sw_work_unlink(sw_node_work(m, dir), table.table, sw_view_str(name));
	if (rc == 0) {
		sw_inode_unlink(&m->inodes, dir->copy, table.table, sw_view_str(name));
		sw_inode_touch_dir(&m->inodes, dir, sw_mount_now_ns(m));
	}
	reply_rc(req, rc);
}

/*
 * The kernel keeps what stat told of the rows; their numbers are others now. It is told at once: that takes no lock of the kernel, and the
 * answer must not wait for the notifier, which may be at a name in the very directory that the kernel has locked until it is answered.
 */
static void forget_numbers(struct sw_mount *m, struct sw_view moved)
{
	for (size_t at = 0; at < moved.n; at += sizeof(uint64_t)) {
		uint64_t id;

		memcpy(&id, moved.p + at, sizeof(id));
		(void)fuse_lowlevel_notify_inval_inode(m->se, id, -1, 0);
	}
}

/* Both in one tree. */
static int rename_table(struct sw_mount *m, struct sw_inode *dir, const char *name, const char *new_name,
			unsigned flags)
{
	struct sw_work *work = sw_node_work(m, dir);
	struct sw_view from = sw_view_str(name), to = sw_view_str(new_name);
	struct sw_attr attr;
	SW_BUF moved = {0};
	int rc;

	if (sw_name_is_control(sw_view_str(name)) || sw_name_is_control(sw_view_str(new_name)))
		return SW_EPERM;
	if ((flags & RENAME_NOREPLACE) && sw_work_stat_table(work, to, &attr) == 0)
		return SW_EEXIST;
	if (flags & RENAME_EXCHANGE)
		rc = sw_work_exchange_tables(work, from, to);
	else
		rc = sw_work_rename_table(work, from, to);
	if (rc == 0 && !sw_view_eq(from, to)) {
		sw_inode_rename_table(&m->inodes, dir->copy, from, to, flags & RENAME_EXCHANGE, &moved);
		forget_numbers(m, sw_buf_view(&moved));
		sw_inode_touch_dir(&m->inodes, dir, sw_mount_now_ns(m));
	}
	return rc;
}

/*
 * A row was changed here by its name while the mount had not heard of the version that stood there: nobody will tell that any more, and
 * the kernel may have bytes of the one before.
 */
static void forget_kept(struct sw_mount *m, struct sw_copy *copy, struct sw_view table, struct sw_view key)
{
	uint64_t id = sw_inode_id_of(&m->inodes, copy, table, key);

	if (id)
		sw_notify_inode(m, id, true);
}

static int rename_row(struct sw_mount *m, struct sw_inode *dir, const char *name, struct sw_inode *new_dir,
		      const char *new_name, unsigned flags)
{
	struct sw_inode_name from, to;
	bool exchange = flags & RENAME_EXCHANGE;
	uint64_t told = sw_db_told(m->db);
	int64_t now;
	int rc;

	sw_inode_name(&m->inodes, dir, &from);
	sw_inode_name(&m->inodes, new_dir, &to);
	rc = sw_work_rename(sw_node_work(m, dir), from.table, sw_view_str(name), to.table, sw_view_str(new_name),
			    (flags & RENAME_NOREPLACE ? SW_RENAME_NOREPLACE : 0u) |
				(exchange ? SW_RENAME_EXCHANGE : 0u));
	if (rc < 0)
		return rc;
	if (sw_view_eq(from.table, to.table) && strcmp(name, new_name) == 0)
		return 0;
	sw_inode_rename(&m->inodes, dir->copy, from.table, sw_view_str(name), to.table, sw_view_str(new_name),
			exchange);
	if (sw_db_has_moved(m->db, told)) {
		forget_kept(m, dir->copy, to.table, sw_view_str(new_name));
		forget_kept(m, dir->copy, from.table, sw_view_str(name));
	}
	now = sw_mount_now_ns(m);
	sw_inode_touch_dir(&m->inodes, dir, now);
	if (new_dir != dir)
		sw_inode_touch_dir(&m->inodes, new_dir, now);
	return 0;
}

/* Where nothing can be renamed at all, not even by copying. */
static bool is_in_one_snapshot(const struct sw_inode *a, const struct sw_inode *b)
{
	if (refuse_in(a) != SW_EROFS || refuse_in(b) != SW_EROFS)
		return false;
	return a->snap && b->snap ? sw_order_cmp(&a->snap->order, &b->snap->order) == 0 : !a->snap && !b->snap;
}

static bool is_tree(const struct sw_inode *dir)
{
	return sw_node_has_tables(dir) || dir->type == SW_NODE_TABLE;
}

void sw_ll_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		  const char *new_name, unsigned flags)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent);
	struct sw_inode *new_dir = sw_inode_by_id(&m->inodes, new_parent);
	int rc;

	/* Ignoring a flag would destroy files. */
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		rc = SW_EINVAL;
	else if (is_in_conflicts(dir))
		rc = sw_conflicts_rename(m, dir, sw_view_str(name), new_dir, sw_view_str(new_name), flags);
	else if (dir->type == SW_NODE_TXNS)
		rc = sw_txn_rename(m, sw_view_str(name), new_dir, sw_view_str(new_name), flags);
	else if (is_tree(dir) && is_tree(new_dir) && dir->copy != new_dir->copy)
		rc = SW_EXDEV; /* so that mv copies */
	else if (check_there(dir) < 0)
		rc = SW_ENOTFOUND;
	else if (sw_node_has_tables(dir) && sw_node_has_tables(new_dir))
		rc = rename_table(m, dir, name, new_name, flags);
	else if (dir->type == SW_NODE_TABLE && new_dir->type == SW_NODE_TABLE)
		rc = rename_row(m, dir, name, new_dir, new_name, flags);
	else if (dir->type == SW_NODE_TABLE && sw_node_has_tables(new_dir))
		rc = SW_EPERM; /* rows live in tables */
	else if (is_in_one_snapshot(dir, new_dir))
		rc = SW_EROFS;
	else if (refuse_in(dir) == SW_EROFS || refuse_in(new_dir) == SW_EROFS)
		rc = SW_EXDEV;
	else
		rc = SW_EPERM;
	if (rc == 0 && dir->type == SW_NODE_TXNS)
		sw_notify_reply(m, req, 0); /* the whole tree may look different now */
	else
		reply_rc(req, rc);
}

void sw_ll_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)dev;
	fuse_reply_err(req, EPERM);
}

/* EPERM, so that editors fall back to what they do on file systems without links. */
void sw_ll_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void sw_ll_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void sw_ll_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent), *i = NULL;
	struct sw_work *work = sw_node_work(m, dir);
	struct fuse_entry_param e = {0};
	struct sw_inode_name table;
	struct sw_handle h = {0};
	uint64_t told;
	int rc;

	if (dir->type != SW_NODE_TABLE) {
		reply_rc(req, refuse_in(dir));
		return;
	}
	sw_inode_name(&m->inodes, dir, &table);
	told = sw_db_told(m->db);
	rc = check_there(dir);
	if (rc == 0)
		rc = sw_work_open_row(work, table.table, sw_view_str(name), sw_open_flags(fi->flags) | SW_OPEN_CREATE,
				      mode & SW_MODE_MASK, &h);
	if (rc == 0) {
		if (sw_db_has_moved(m->db, told)) /* what the kernel has under an inode may be an older version */
			sw_inode_orphan_closed(&m->inodes, dir->copy, table.table, sw_view_str(name));
		rc = sw_inode_get_in(&m->inodes, SW_NODE_ROW, dir->copy, table.table, sw_view_str(name),
				     sw_handle_generation(&h), &i);
		if (rc == 0)
			rc = sw_open_adopt(m, i, &h, fi);
		else
			sw_handle_release(work, &h);
	}
	if (rc == 0) {
		rc = sw_node_stat(m, i, &e.attr);
		if (rc < 0)
			sw_open_free(m, sw_open_of(fi));
	}
	if (rc < 0) {
		if (i)
			sw_inode_forget(&m->inodes, i->id, 1);
		reply_rc(req, rc);
		return;
	}
	sw_inode_touch_dir(&m->inodes, dir, sw_mount_now_ns(m));
	e.ino = i->id;
	sw_node_timeouts(m, i, &e.entry_timeout, &e.attr_timeout);
	if (fuse_reply_create(req, &e, fi) < 0) {
		sw_open_free(m, sw_open_of(fi));
		sw_inode_forget(&m->inodes, e.ino, 1);
	}
}

static const int64_t *wanted_mtime(const struct sw_mount *m, const struct stat *st, int to_set,
				   int64_t *buf)
{
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		*buf = sw_mount_now_ns(m);
	else if (to_set & FUSE_SET_ATTR_MTIME)
		*buf = sw_time_ns(&st->st_mtim);
	else
		return NULL;
	return buf;
}

static int set_table(struct sw_mount *m, struct sw_inode *i, const struct sw_inode_name *name,
		     const uint16_t *mode, const int64_t *mtime)
{
	int rc = 0;

	if (mode || mtime)
		rc = sw_work_set_table(sw_node_work(m, i), name->table, mode, mtime);
	if (rc == 0 && mtime)
		sw_inode_touch_dir(&m->inodes, i, 0);
	return rc;
}

/* Through an open handle if there is one: the row may have lost its name. */
static int set_row(struct sw_mount *m, struct sw_inode *i, const struct sw_inode_name *name,
		   const uint16_t *mode, const int64_t *mtime, const uint64_t *size,
		   struct fuse_file_info *fi)
{
	struct sw_work *work = sw_node_work(m, i);
	struct sw_handle h;
	uint64_t told;
	int rc = 0;

	if (fi && size) {
		rc = sw_handle_truncate(work, &sw_open_of(fi)->handle, *size);
		size = NULL;
	}
	if (rc < 0 || (!mode && !mtime && !size))
		return rc;
	if (!name->is_orphan) {
		told = sw_db_told(m->db);
		rc = sw_work_set(work, name->table, name->key, mode, mtime, size);
		if (rc == 0 && sw_db_has_moved(m->db, told))
			forget_kept(m, i->copy, name->table, name->key);
		return rc;
	}
	if (!sw_inode_handle(&m->inodes, i, &h))
		return SW_ENOTFOUND;
	if (size)
		rc = sw_handle_truncate(work, &h, *size);
	if (rc == 0 && (mode || mtime))
		rc = sw_handle_set(work, &h, mode, mtime);
	sw_handle_release(work, &h);
	return rc;
}

void sw_ll_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *i = sw_inode_by_id(&m->inodes, ino);
	struct sw_inode_name name;
	uint16_t mode = st->st_mode & SW_MODE_MASK;
	uint64_t size = (uint64_t)st->st_size;
	int64_t mtime_buf;
	const int64_t *mtime = wanted_mtime(m, st, to_set, &mtime_buf);
	const uint16_t *set_mode = to_set & FUSE_SET_ATTR_MODE ? &mode : NULL;
	double entry, attr;
	int rc;

	sw_inode_name(&m->inodes, i, &name);
	/* chown succeeds and changes nothing: everything belongs to whoever mounted. */
	if (i->type == SW_NODE_ROW)
		rc = set_row(m, i, &name, set_mode, mtime, to_set & FUSE_SET_ATTR_SIZE ? &size : NULL, fi);
	else if (i->type == SW_NODE_TABLE)
		rc = set_table(m, i, &name, set_mode, mtime);
	else if (sw_node_has_tables(i) || i->type == SW_NODE_SWARM_FILE || i->type == SW_NODE_COPY_FILE)
		rc = 0; /* times of the root are its own affair; a control file has no size */
	else
		rc = SW_EROFS;
	if (rc == 0)
		rc = sw_node_stat(m, i, st);
	if (rc < 0) {
		fuse_reply_err(req, sw_node_errno(m, i, rc));
		return;
	}
	sw_node_timeouts(m, i, &entry, &attr);
	fuse_reply_attr(req, st, attr);
}
