/* Handlers of open files and directories. */
#include "fs/mount_internal.h"

#include "core/blob.h"
#include "core/gc.h"
#include "fs/commit_name.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/stat.h>

#define REPLY_SIZE_MAX   (1 << 20) /* what one request may ask for */
#define REPLY_PIECES_MAX (REPLY_SIZE_MAX / SW_CHUNK_MIN + 2)

unsigned sw_open_flags(int flags)
{
	unsigned out = 0;

	if ((flags & O_ACCMODE) != O_RDONLY)
		out |= SW_OPEN_WRITE;
	if (flags & O_TRUNC)
		out |= SW_OPEN_TRUNCATE;
	if (flags & O_EXCL)
		out |= SW_OPEN_EXCLUSIVE;
	return out;
}

static struct sw_open *open_new(struct sw_mount *m, struct sw_inode *i, bool is_dir)
{
	struct sw_open *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->inode = i;
	o->is_dir = is_dir;
	pthread_mutex_lock(&m->opens_lock);
	o->next = m->opens;
	if (o->next)
		o->next->prev = o;
	m->opens = o;
	pthread_mutex_unlock(&m->opens_lock);
	return o;
}

static void open_unlink(struct sw_mount *m, struct sw_open *o)
{
	pthread_mutex_lock(&m->opens_lock);
	if (o->next)
		o->next->prev = o->prev;
	if (o->prev)
		o->prev->next = o->next;
	else
		m->opens = o->next;
	pthread_mutex_unlock(&m->opens_lock);
	sw_buf_fini(&o->text);
	free(o);
}

int sw_open_adopt(struct sw_mount *m, struct sw_inode *i, struct sw_handle *h, struct fuse_file_info *fi)
{
	struct sw_open *o = open_new(m, i, false);
	int rc = o ? sw_inode_opened(&m->inodes, i, h) : SW_ENOMEM;

	if (rc < 0) {
		sw_handle_release(sw_node_work(m, i), h);
		if (o)
			open_unlink(m, o);
		return rc;
	}
	o->handle = *h;
	fi->fh = (uint64_t)(uintptr_t)o;
	fi->keep_cache = 1;
	return 0;
}

/*
 * By its name, which must still lead to the version whose size, and perhaps bytes, the kernel has under this inode. Only of
 * one that is truncated it does not matter.
 */
static int open_named(struct sw_mount *m, struct sw_inode *i, unsigned flags, struct sw_handle *out)
{
	struct sw_work *work = sw_node_work(m, i);
	struct sw_inode_name name;

	for (;;) {
		uint64_t told = sw_db_told(m->db);
		int rc;

		sw_inode_name(&m->inodes, i, &name);
		rc = name.is_orphan ? SW_ENOTFOUND : sw_work_open_row(work, name.table, name.key, flags, 0, out);
		if (rc < 0 || (flags & SW_OPEN_TRUNCATE) || !sw_db_has_moved(m->db, told))
			return rc;
		sw_handle_release(work, out);
	}
}

/* An inode is one file, whatever has its name by now: only one that has none yet is opened by name.
 */
static int open_handle(struct sw_mount *m, struct sw_inode *i, unsigned flags, struct sw_handle *out)
{
	struct sw_handle h;
	int rc;

	if (!sw_inode_handle(&m->inodes, i, &h))
		return open_named(m, i, flags, out);
	rc = sw_handle_reopen(sw_node_work(m, i), &h, flags, out);
	sw_handle_release(sw_node_work(m, i), &h);
	return rc;
}

static int open_row(struct sw_mount *m, struct sw_inode *i, struct fuse_file_info *fi)
{
	unsigned flags = sw_open_flags(fi->flags) & ~(unsigned)SW_OPEN_EXCLUSIVE;
	struct sw_handle h;
	int rc;

	do {
		rc = open_handle(m, i, flags, &h);
		if (rc == 0)
			rc = sw_open_adopt(m, i, &h, fi);
	} while (rc == SW_EAGAIN); /* somebody else opened it first, and another file */
	return rc;
}

void sw_open_free(struct sw_mount *m, struct sw_open *o)
{
	if (o->inode->type == SW_NODE_ROW) {
		sw_handle_release(sw_node_work(m, o->inode), &o->handle);
		sw_inode_closed(&m->inodes, o->inode);
	} else {
		sw_control_release(m, o);
		sw_conflicts_release(m, o);
	}
	open_unlink(m, o);
}

/* A row as it was somewhere: its bytes are known and do not change. */
static bool is_version(const struct sw_inode *i)
{
	return i->type == SW_NODE_SNAP_ROW ||
	       (i->type == SW_NODE_CONFLICT_FILE && i->conflict->file != SW_FILE_ABOUT);
}

static int open_text(struct sw_mount *m, struct sw_inode *i, struct fuse_file_info *fi)
{
	struct sw_open *o = open_new(m, i, false);
	int rc = 0;

	if (!o)
		return SW_ENOMEM;
	if (i->type == SW_NODE_CONFLICT_FILE)
		rc = sw_conflicts_open(m, o);
	else if (i->type == SW_NODE_COPY_FILE)
		rc = sw_copy_file_open(m, o, fi->flags);
	else if (i->type != SW_NODE_SNAP_ROW)
		rc = sw_control_open(m, o, fi->flags);
	if (rc < 0) {
		sw_open_free(m, o);
		return rc;
	}
	fi->fh = (uint64_t)(uintptr_t)o;
	/* The kernel would trust the size, which nobody knows beforehand. */
	fi->direct_io = !is_version(i);
	fi->keep_cache = !fi->direct_io;
	return 0;
}

void sw_ll_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *i = sw_inode_by_id(&m->inodes, ino);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	int rc;

	if (i->type == SW_NODE_ROW)
		rc = open_row(m, i, fi);
	else if (writes && i->type != SW_NODE_SWARM_FILE && i->type != SW_NODE_COPY_FILE)
		rc = SW_EROFS;
	else
		rc = open_text(m, i, fi);
	if (rc == SW_EAGAIN) /* the name has another file by now: the kernel looks it up again */
		fuse_reply_err(req, ESTALE);
	else if (rc < 0)
		fuse_reply_err(req, sw_node_errno(m, i, rc));
	else if (fuse_reply_open(req, fi) < 0)
		sw_open_free(m, sw_open_of(fi));
}

/* In more pieces than the chunks of the longest request: no row that was ever taken is cut so. */
static void reply_copied(fuse_req_t req, const struct sw_pieces *p)
{
	char *bytes = malloc(p->n_bytes);

	if (!bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	sw_pieces_copy(p, bytes);
	fuse_reply_buf(req, bytes, p->n_bytes);
	free(bytes);
}

/* The kernel copies them from where they lie, before this returns. */
static void reply_pieces(fuse_req_t req, const struct sw_pieces *p)
{
	struct iovec v[REPLY_PIECES_MAX];

	if (p->n > REPLY_PIECES_MAX) {
		reply_copied(req, p);
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		/* It takes a plain pointer but does not write through it. */
		union {
			const void *from;
			void *to;
		} cast = {p->v[i].p};

		v[i] = (struct iovec){cast.to, p->v[i].n};
	}
	fuse_reply_iov(req, v, (int)p->n);
}

static int read_snap_row(struct sw_mount *m, struct sw_inode *i, uint64_t offset, size_t n,
			 struct sw_pieces *out)
{
	struct sw_inode_name name;
	struct sw_snap *snap;
	struct sw_row row;
	int rc = sw_snapdir_open(m->db, i->snap, &snap);

	if (rc == 0)
		rc = sw_snap_read(snap, &out->reader);
	if (rc < 0)
		return rc;
	sw_inode_name(&m->inodes, i, &name);
	rc = sw_state_row(out->reader.nodes, &out->reader.head.state, name.table, name.key, &row);
	return rc < 0 ? rc : sw_pieces_add_row(out, &row, offset, n);
}

void sw_ll_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_open *o = sw_open_of(fi);
	struct sw_pieces pieces;
	int rc;

	(void)ino;
	if (o->inode->type != SW_NODE_ROW && !is_version(o->inode)) {
		sw_control_read(m, req, o, size, offset);
		return;
	}
	sw_pieces_init(&pieces);
	if (o->inode->type == SW_NODE_ROW)
		rc = sw_handle_read(sw_node_work(m, o->inode), &o->handle, (uint64_t)offset, size,
				    &pieces);
	else if (o->inode->type == SW_NODE_CONFLICT_FILE)
		rc = sw_conflicts_read(m, o, (uint64_t)offset, size, &pieces);
	else
		rc = read_snap_row(m, o->inode, (uint64_t)offset, size, &pieces);
	if (rc < 0)
		fuse_reply_err(req, sw_err_to_errno(rc));
	else
		reply_pieces(req, &pieces);
	sw_pieces_fini(&pieces);
}

/* The kernel has kept the bytes of an append where it took the end to be. Elsewhere others may have
 * written meanwhile. */
static void check_append(struct sw_mount *m, struct sw_open *o, size_t size, off_t offset)
{
	struct sw_attr attr;

	sw_handle_stat(sw_node_work(m, o->inode), &o->handle, &attr);
	if (attr.size != (uint64_t)offset + size)
		sw_notify_inode(m, o->inode->id, true);
}

void sw_ll_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
		 struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_open *o = sw_open_of(fi);
	int rc;

	(void)ino;
	if (o->inode->type == SW_NODE_ROW)
		rc = sw_handle_write(sw_node_work(m, o->inode), &o->handle, (uint64_t)offset, fi->flags & O_APPEND,
				     sw_view(bytes, size));
	else if (o->inode->type == SW_NODE_COPY_FILE)
		rc = sw_copy_file_write(m, o, sw_view(bytes, size));
	else
		rc = sw_control_write(m, o, sw_view(bytes, size));
	if (rc == 0 && o->inode->type == SW_NODE_ROW && (fi->flags & O_APPEND))
		check_append(m, o, size, offset);
	if (rc < 0)
		fuse_reply_err(req, sw_err_to_errno(rc));
	else
		fuse_reply_write(req, size);
}

/* The name leads to another file, since a schema refused what was written, or takes it after all: that shows when close() returns. */
static void reply_moved(struct sw_mount *m, fuse_req_t req, struct sw_inode *i, int error)
{
	struct sw_inode_name name;
	uint64_t dir;

	sw_inode_name(&m->inodes, i, &name);
	dir = sw_inode_id_of(&m->inodes, i->copy, name.table, sw_view(NULL, 0));
	sw_notify_inode(m, i->id, true);
	if (dir) {
		sw_notify_entry(m, dir, name.key);
		sw_notify_inode(m, dir, false);
	}
	sw_notify_reply(m, req, error);
}

void sw_ll_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_open *o = sw_open_of(fi);
	int rc = 0;

	(void)ino;
	if (o->inode->type == SW_NODE_ROW)
		rc = sw_handle_flush(sw_node_work(m, o->inode), &o->handle);
	else if (o->inode->type == SW_NODE_COPY_FILE)
		rc = sw_copy_file_flush(m, o);
	else if (o->inode->type == SW_NODE_SWARM_FILE)
		rc = sw_control_flush(m, o);
	if ((rc == SW_EINVAL || rc > 0) && o->inode->type == SW_NODE_ROW)
		reply_moved(m, req, o->inode, rc < 0 ? EINVAL : 0);
	else
		fuse_reply_err(req, rc < 0 ? sw_err_to_errno(rc) : 0);
}

void sw_ll_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_open *o = sw_open_of(fi);
	int rc = 0;

	(void)ino;
	(void)datasync;
	if (o->inode->type == SW_NODE_ROW)
		rc = sw_handle_sync(sw_node_work(m, o->inode), &o->handle);
	fuse_reply_err(req, rc < 0 ? sw_err_to_errno(rc) : 0);
}

void sw_ll_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	sw_open_free(sw_req_mount(req), sw_open_of(fi));
	fuse_reply_err(req, 0);
}

/* Directories */

static int open_snap_tree(struct sw_mount *m, struct sw_open *o)
{
	struct sw_inode_name name;
	struct sw_reader r;
	struct sw_snap *snap;
	struct sw_table t;
	int rc = sw_snapdir_open(m->db, o->inode->snap, &snap);

	if (rc == 0)
		rc = sw_snap_read(snap, &r);
	if (rc < 0)
		return rc;
	o->table_root = r.head.state;
	if (o->inode->type == SW_NODE_SNAP_TABLE) {
		sw_inode_name(&m->inodes, o->inode, &name);
		rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, name.table, &t);
		o->table_root = t.root;
	}
	sw_reader_end(&r);
	return rc;
}

static int open_dir(struct sw_mount *m, struct sw_open *o)
{
	struct sw_inode_name name;
	int rc = 0;

	sw_inode_name(&m->inodes, o->inode, &name);
	switch (o->inode->type) {
	case SW_NODE_ROOT_DIR:
	case SW_NODE_COPY:
		return sw_list_open(sw_node_work(m, o->inode), sw_view(NULL, 0), &o->list);
	case SW_NODE_TABLE:
		rc = sw_list_open(sw_node_work(m, o->inode), name.table, &o->list);
		return rc == SW_ENOTFOUND && name.is_orphan ? 0 : rc;
	case SW_NODE_COMMITS:
		rc = sw_db_pin_line(m->db, &o->head);
		o->head_pinned = rc == 0;
		return rc < 0 ? rc : sw_commits_links(m, &o->text);
	case SW_NODE_SNAP:
	case SW_NODE_SNAP_TABLE:
		return open_snap_tree(m, o);
	case SW_NODE_CONFLICTS:
	case SW_NODE_CONFLICT_TABLE:
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
		return sw_conflicts_opendir(m, o);
	default:
		return 0;
	}
}

static void release_dir(struct sw_mount *m, struct sw_open *o)
{
	sw_list_close(o->list);
	o->list = NULL;
	if (o->head_pinned)
		sw_db_unpin(m->db, &o->head.line);
	o->head_pinned = false;
	sw_buf_reset(&o->text);
	sw_conflicts_release(m, o);
}

static void close_dir(struct sw_mount *m, struct sw_open *o)
{
	release_dir(m, o);
	open_unlink(m, o);
}

void sw_opens_close(struct sw_mount *m)
{
	while (m->opens) {
		if (m->opens->is_dir)
			close_dir(m, m->opens);
		else
			sw_open_free(m, m->opens);
	}
}

void sw_ll_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_open *o = open_new(m, sw_inode_by_id(&m->inodes, ino), true);
	int rc;

	if (!o) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	rc = open_dir(m, o);
	if (rc < 0) {
		close_dir(m, o);
		fuse_reply_err(req, sw_err_to_errno(rc));
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)o;
	if (fuse_reply_open(req, fi) < 0)
		close_dir(m, o);
}

void sw_ll_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close_dir(sw_req_mount(req), sw_open_of(fi));
	fuse_reply_err(req, 0);
}

/* What was made, renamed or removed in it. What only commands and commits change is on the disk already. */
static int sync_dir(struct sw_mount *m, struct sw_inode *i)
{
	switch (i->type) {
	case SW_NODE_ROOT_DIR:
	case SW_NODE_COPY:
	case SW_NODE_TABLE:
		return sw_work_sync(sw_node_work(m, i));
	default:
		return 0;
	}
}

void sw_ll_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int rc = sync_dir(sw_req_mount(req), sw_open_of(fi)->inode);

	(void)ino;
	(void)datasync;
	fuse_reply_err(req, rc < 0 ? sw_err_to_errno(rc) : 0);
}

/* Filling one reply. */
struct fill {
	struct sw_mount *m;
	fuse_req_t req;
	struct sw_inode *dir;
	struct sw_inode_name dir_name;
	struct sw_inode_numbers numbers;      /* of rows, in a directory of these */
	struct fuse_entry_param plain; /* e.ino stays 0: no lookup */
	bool plus;
	uint64_t told; /* plus: what the attributes in a listing were found under */
	char *buf;
	size_t size, n;
};

/* As fuse_add_direntry() does it, for a name that does not end in a NUL and need not be measured; 1 when it does not fit any more. */
static int put_entry(struct fill *f, struct sw_view name, mode_t type, uint64_t ino, uint64_t next)
{
	struct fuse_dirent head = {.ino = ino, .off = next, .namelen = (uint32_t)name.n, .type = (type & S_IFMT) >> 12};
	size_t n = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.n);
	char *to = f->buf + f->n;

	if (n > f->size - f->n)
		return 1;
	memset(to + n - sizeof(uint64_t), 0, sizeof(uint64_t)); /* what the name does not fill */
	memcpy(to, &head, FUSE_NAME_OFFSET);
	memcpy(to + FUSE_NAME_OFFSET, name.p, name.n);
	f->n += n;
	return 0;
}

static void end_text(struct sw_view name, char out[static SW_NAME_MAX + 1])
{
	memcpy(out, name.p, name.n);
	out[name.n] = '\0';
}

/* One entry of which only the name is told; 1 when it does not fit any more. */
static int fill_plain(struct fill *f, struct sw_view name, mode_t type, uint64_t ino, uint64_t next)
{
	char text[SW_NAME_MAX + 1];
	size_t n;

	if (!f->plus)
		return put_entry(f, name, type, ino, next);
	end_text(name, text);
	f->plain.attr.st_mode = type;
	f->plain.attr.st_ino = ino;
	n = fuse_add_direntry_plus(f->req, f->buf + f->n, f->size - f->n, text, &f->plain, (off_t)next);
	if (n > f->size - f->n)
		return 1;
	f->n += n;
	return 0;
}

/* attr: what a row has now, if that is known. */
static int fill_plus(struct fill *f, struct sw_inode *i, struct sw_view name, mode_t type, const struct sw_attr *attr,
		     uint64_t next)
{
	struct fuse_entry_param e = {.ino = i->id};
	char text[SW_NAME_MAX + 1];
	size_t n;
	int rc = 0;

	if (attr)
		sw_row_stat_now(f->m, i, attr, &e.attr);
	else
		rc = sw_node_stat(f->m, i, &e.attr);
	if (rc < 0) { /* gone since, or it is another file by now: the listing has the name all the same */
		uint64_t number = sw_inode_number(&f->m->inodes, i);

		sw_inode_forget(&f->m->inodes, i->id, 1);
		return fill_plain(f, name, type, number, next);
	}
	sw_node_timeouts(f->m, i, &e.entry_timeout, &e.attr_timeout);
	end_text(name, text);
	n = fuse_add_direntry_plus(f->req, f->buf + f->n, f->size - f->n, text, &e, (off_t)next);
	if (n > f->size - f->n) {
		sw_inode_forget(&f->m->inodes, i->id, 1);
		return 1;
	}
	f->n += n;
	return 0;
}

/* What stat would say. Rows are many, so no inode is made for them; other directories are small. */
static uint64_t entry_number(struct fill *f, struct sw_view name)
{
	struct sw_inodes *t = &f->m->inodes;
	struct sw_inode *i;
	uint64_t number;

	if (f->dir->type == SW_NODE_TABLE || f->dir->type == SW_NODE_SNAP_TABLE)
		return sw_inode_numbers_get(&f->numbers, name);
	if (sw_node_lookup(f->m, f->dir, name, &i) < 0)
		return 0;
	number = sw_inode_number(t, i);
	sw_inode_forget(t, i->id, 1);
	return number;
}

static int fill_name(struct fill *f, struct sw_view name, mode_t type, uint64_t next)
{
	struct sw_inode *i;

	if (!f->plus)
		return fill_plain(f, name, type, entry_number(f, name), next);
	if (sw_node_lookup(f->m, f->dir, name, &i) < 0)
		return 0;
	return fill_plus(f, i, name, type, NULL, next);
}

static int fill_live(void *arg, struct sw_view name, const struct sw_attr *attr, uint64_t next)
{
	struct fill *f = arg;
	struct sw_inode *i;
	int rc;

	if (attr->is_table && sw_name_is_control(name))
		return 0;
	/* Cookies 0 to 9 are for the dots and the control directories. */
	next += 10;
	if (!f->plus)
		return fill_plain(f, name, attr->is_table ? S_IFDIR : S_IFREG, entry_number(f, name), next);
	if (attr->is_table)
		rc = sw_inode_get_in(&f->m->inodes, SW_NODE_TABLE, f->dir->copy, name, sw_view(NULL, 0), 0, &i);
	else
		rc = sw_inode_get_in(&f->m->inodes, SW_NODE_ROW, f->dir->copy, f->dir_name.table, name, attr->generation,
				     &i);
	if (rc < 0)
		return 0;
	if (attr->is_table || !attr->is_now || sw_db_has_moved(f->m->db, f->told))
		return fill_plus(f, i, name, attr->is_table ? S_IFDIR : S_IFREG, NULL, next);
	return fill_plus(f, i, name, S_IFREG, attr, next);
}

/* There is nothing to show of what gc has freed. */
static int skip_freed(const struct sw_reader *r, const struct sw_hash *line, uint64_t *from)
{
	struct sw_order horizon;
	uint64_t rank = 0;
	int rc = sw_db_horizon(r, &horizon);

	if (rc > 0)
		rc = sw_tree_rank(r->nodes, line, sw_order_view(&horizon), &rank);
	if (rc == 0 && rank > *from)
		*from = rank;
	return rc;
}

/*
 * Commits by their rank in the line as it was when the directory was opened. Names only: opening each snapshot
 * for its attributes would be waste. 1: there is no more room.
 */
static int fill_snaps(struct fill *f, const struct sw_open *o, uint64_t from)
{
	const struct sw_view none = sw_view(NULL, 0);
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(f->m->db, &r), full = 0;

	if (rc < 0)
		return rc;
	rc = skip_freed(&r, &o->head.line, &from);
	if (rc == 0)
		rc = sw_cursor_seek_rank(&c, r.nodes, &o->head.line, from);
	while (rc > 0 && !full) {
		struct sw_snapdir dir = {.rank = from};
		char name[64];

		memcpy(dir.order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		dir.version = sw_snap_version(f->m->db, &dir.order);
		sw_commit_name(&dir.order, name);
		from++;
		full = fill_plain(f, sw_view_str(name), S_IFDIR,
				  sw_inode_number_of(&f->m->inodes, SW_NODE_SNAP, &dir, NULL, none, none), from + 10);
		if (!full)
			rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc < 0 ? rc : full;
}

/* Behind the commits: the links that are listed, "latest" and the tags. Their names were gathered when the directory was opened. */
static void fill_links(struct fill *f, const struct sw_open *o, uint64_t from)
{
	const struct sw_view none = sw_view(NULL, 0);
	struct sw_rd r = sw_rd(sw_buf_view(&o->text));

	for (uint64_t i = o->head.count; sw_rd_left(&r) > 0; i++) {
		struct sw_view name = sw_rd_bytes(&r, SW_NAME_MAX);

		if (i < from)
			continue;
		if (fill_plain(f, name, S_IFLNK,
			       sw_inode_number_of(&f->m->inodes, SW_NODE_ALIAS, NULL, NULL, none, name), i + 1 + 10))
			return;
	}
}

static int fill_commits(struct fill *f, const struct sw_open *o, uint64_t from)
{
	int rc = from < o->head.count ? fill_snaps(f, o, from) : 0;

	if (rc == 0)
		fill_links(f, o, from);
	return rc < 0 ? rc : 0;
}

static int fill_snap(struct fill *f, const struct sw_open *o, uint64_t from)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	struct sw_snap *snap;
	int rc = sw_snapdir_open(f->m->db, o->inode->snap, &snap), full = 0;

	if (rc == 0)
		rc = sw_snap_read(snap, &r);
	if (rc < 0)
		return rc;
	rc = sw_cursor_seek_rank(&c, r.nodes, &o->table_root, from);
	while (rc > 0 && !full) {
		struct sw_view key = sw_cursor_entry(&c)->key, table = sw_view(key.p + 1, key.n - 1);

		from++;
		if (o->inode->type == SW_NODE_SNAP_TABLE)
			full = fill_name(f, key, S_IFREG, from + 10);
		else if (key.p[0] == SW_CLASS_USER && !sw_name_is_control(table))
			full = fill_name(f, table, S_IFDIR, from + 10);
		if (!full)
			rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc < 0 ? rc : 0;
}

static int fill_swarm(struct fill *f, uint64_t from)
{
	int full = 0;

	for (uint64_t i = 0; sw_swarm_files[i] && !full; i++)
		if (i >= from)
			full = fill_name(f, sw_view_str(sw_swarm_files[i]), S_IFREG, i + 1 + 10);
	return 0;
}

static int fill_conflicts(struct fill *f, const struct sw_open *o, uint64_t from)
{
	mode_t type = o->inode->type == SW_NODE_CONFLICT ? S_IFREG : S_IFDIR;
	char name[SW_NAME_MAX + 1];
	int rc, full = 0;

	while (!full && (rc = sw_conflicts_entry(f->m, o, from, name, &from)) > 0)
		full = fill_name(f, sw_view_str(name), type, from + 10);
	return full ? 0 : rc;
}

static int fill_copies(struct fill *f, uint64_t from)
{
	char name[SW_NAME_MAX + 1];
	int full = 0;

	while (!full && sw_txn_entry(f->m, from, name, &from) > 0)
		full = fill_name(f, sw_view_str(name), S_IFDIR, from + 10);
	return 0;
}

/* What every listing begins with: "." and "..", then, if they are wanted, the control files. */
static int fill_first(struct fill *f, const struct sw_open *o, uint64_t *offset)
{
	static const char *const root[] = {".commits", ".conflicts", ".swarm", ".txn", NULL}, *const snap[] = {".commit", ".diff", NULL};
	const char *const *extra = NULL;
	enum sw_node_type type = o->inode->type;

	/*
	 * By name they are always there; listed, they would lead find into history, and diff -r into them. Those of a working
	 * copy never are: rm -r would have to remove them.
	 */
	if (f->m->options.show_control)
		extra = type == SW_NODE_ROOT_DIR ? root : type == SW_NODE_SNAP ? snap : NULL;
	if (*offset == 0 && fill_plain(f, sw_view_str("."), S_IFDIR, sw_inode_number(&f->m->inodes, o->inode), ++*offset))
		return 1;
	if (*offset == 1 && fill_plain(f, sw_view_str(".."), S_IFDIR, sw_inode_number_above(&f->m->inodes, o->inode), ++*offset))
		return 1;
	for (; *offset < 10; ++*offset) {
		uint64_t i = *offset - 2;

		if (!extra || !extra[i])
			break;
		if (fill_name(f, sw_view_str(extra[i]), type == SW_NODE_ROOT_DIR ? S_IFDIR : S_IFREG, *offset + 1))
			return 1;
	}
	*offset = *offset < 10 ? 10 : *offset;
	return 0;
}

static int fill_rest(struct fill *f, const struct sw_open *o, uint64_t from)
{
	switch (o->inode->type) {
	case SW_NODE_ROOT_DIR:
	case SW_NODE_COPY:
	case SW_NODE_TABLE:
		return o->list ? sw_list_walk(o->list, from, f->plus, fill_live, f) : 0;
	case SW_NODE_COMMITS:
		return fill_commits(f, o, from);
	case SW_NODE_SNAP:
	case SW_NODE_SNAP_TABLE:
		return fill_snap(f, o, from);
	case SW_NODE_SWARM:
		return fill_swarm(f, from);
	case SW_NODE_TXNS:
		return fill_copies(f, from);
	case SW_NODE_CONFLICTS:
	case SW_NODE_CONFLICT_TABLE:
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
		return fill_conflicts(f, o, from);
	default:
		return 0;
	}
}

static int fill(struct fill *f, const struct sw_open *o, uint64_t offset)
{
	if (offset < 10 && fill_first(f, o, &offset))
		return 0;
	return fill_rest(f, o, offset - 10);
}

/* Whether what is filled in now depends on that alone. Numbers do not, while a name has another than its own. */
static bool page_key(const struct fill *f, const struct sw_open *o, uint64_t offset, struct sw_page_key *out)
{
	if (f->plus || o->inode->type != SW_NODE_TABLE || !o->list || f->numbers.may_be_salted)
		return false;
	*out = (struct sw_page_key){.dir = f->numbers.same_hash, .offset = offset, .size = f->size};
	return sw_list_is_state(o->list, &out->root);
}

static int fill_page(struct fill *f, const struct sw_open *o, uint64_t offset)
{
	struct sw_page_key key;
	bool is_page = page_key(f, o, offset, &key);
	int rc;

	if (is_page && sw_pages_get(&f->m->pages, &key, f->buf, &f->n))
		return 0;
	rc = fill(f, o, offset);
	if (rc == 0 && is_page && page_key(f, o, offset, &key)) /* still */
		sw_pages_put(&f->m->pages, &key, sw_view(f->buf, f->n));
	return rc;
}

/* rewinddir() shows the directory as it is now. */
static int reopen_dir(struct sw_mount *m, struct sw_open *o)
{
	release_dir(m, o);
	return open_dir(m, o);
}

static void readdir(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi, bool plus)
{
	struct sw_open *o = sw_open_of(fi);
	struct fill f = {.m = sw_req_mount(req), .req = req, .dir = o->inode, .plus = plus, .size = size};
	int rc = 0;

	f.buf = malloc(size);
	if (!f.buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (offset == 0 && o->was_read)
		rc = reopen_dir(f.m, o);
	o->was_read = true;
	f.told = plus ? sw_db_told(f.m->db) : 0;
	sw_inode_name(&f.m->inodes, o->inode, &f.dir_name);
	if (o->inode->type == SW_NODE_TABLE || o->inode->type == SW_NODE_SNAP_TABLE)
		sw_inode_numbers_begin(&f.m->inodes,
				       o->inode->type == SW_NODE_TABLE ? SW_NODE_ROW : SW_NODE_SNAP_ROW, o->inode->snap,
				       o->inode->copy, f.dir_name.table, &f.numbers);
	if (rc == 0)
		rc = fill_page(&f, o, (uint64_t)offset);
	if (rc < 0 && f.n == 0)
		fuse_reply_err(req, sw_err_to_errno(rc));
	else
		fuse_reply_buf(req, f.buf, f.n);
	free(f.buf);
}

void sw_ll_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	readdir(req, size, offset, fi, false);
}

void sw_ll_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	(void)ino;
	readdir(req, size, offset, fi, true);
}
