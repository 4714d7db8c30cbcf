/* The session with the kernel: mounting, the loop, stopping; lookup and attributes. */
#include "fs/mount_internal.h"
#include "fs/time_ns.h"

#include "core/log.h"
#include "fs/commit_name.h"
#include "fs/control.h"
#include "fs/mountinfo.h"
#include "fs/thread.h"
#include "fs/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEVICE       "/dev/fuse"
#define DEVICE_MAJOR 10
#define DEVICE_MINOR 229

#define THREADS_MAX 64 /* that answer requests: an fsync of a large row takes one for long */

static void ll_init(void *userdata, struct fuse_conn_info *conn)
{
	struct sw_mount *m = userdata;

	/* Pages are dropped exactly when a row changed, not whenever an attribute looks different. */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	if (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA)
		conn->want |= FUSE_CAP_EXPLICIT_INVAL_DATA;
	if (conn->capable & FUSE_CAP_ATOMIC_O_TRUNC)
		conn->want |= FUSE_CAP_ATOMIC_O_TRUNC;
	if (conn->capable & FUSE_CAP_PARALLEL_DIROPS)
		conn->want |= FUSE_CAP_PARALLEL_DIROPS;
	conn->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_CACHE_SYMLINKS);
	conn->time_gran = 1;
	m->hooks.ready(m->hooks.arg);
}

void sw_node_timeouts(struct sw_mount *m, const struct sw_inode *i, double *entry, double *attr)
{
	switch (i->type) {
	case SW_NODE_SNAP: /* until it is settled a late commit can slip in before it: then the name leads elsewhere */
		*entry = sw_commits_may_keep(m, i) ? SW_TIMEOUT_LONG : 0;
		*attr = SW_TIMEOUT_LONG;
		break;
	case SW_NODE_ALIAS:
		*entry = 0;
		*attr = SW_TIMEOUT_LONG;
		break;
	case SW_NODE_SWARM_FILE:
	case SW_NODE_COPY_FILE:
		*entry = SW_TIMEOUT_LONG;
		*attr = 0;
		break;
	case SW_NODE_COMMITS:
	case SW_NODE_CONFLICTS:
	case SW_NODE_TXNS:
		*entry = SW_TIMEOUT_LONG;
		*attr = 1;
		break;
	case SW_NODE_COPY: /* once applied, it is not at 'commit', where the kernel put it */
		*entry = 0;
		*attr = 1;
		break;
	case SW_NODE_CONFLICT_TABLE:
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
	case SW_NODE_CONFLICT_FILE: /* its bytes stay as they are, but the name may lead elsewhere */
		*entry = 0;
		*attr = i->type == SW_NODE_CONFLICT_FILE ? SW_TIMEOUT_LONG : 0;
		break;
	default:
		*entry = *attr = SW_TIMEOUT_LONG;
	}
}

static void fill_times(struct stat *st, int64_t mtime_ns, int64_t ctime_ns)
{
	st->st_mtim = st->st_atim = sw_time_of_ns(mtime_ns);
	st->st_ctim = sw_time_of_ns(ctime_ns);
}

int64_t sw_mount_now_ns(const struct sw_mount *m)
{
	return (int64_t)(sw_env_wall_ms(sw_db_env(m->db)) * 1000000);
}

void sw_fill_row_stat(struct sw_mount *m, const struct sw_attr *attr, struct stat *st)
{
	st->st_mode = (attr->is_table ? S_IFDIR : S_IFREG) | attr->mode;
	st->st_nlink = attr->is_table ? 2 : 1;
	st->st_uid = m->options.uid;
	st->st_gid = m->options.gid;
	st->st_size = attr->is_table ? 4096 : (off_t)attr->size;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_blksize = 4096;
	fill_times(st, attr->mtime_ns, attr->ctime_ns);
}

/* Entries that came or went move the shown time, as on any file system. */
static void show_touched(struct sw_mount *m, const struct sw_inode *i, struct sw_attr *attr)
{
	int64_t touched_ns = sw_inode_touched(&m->inodes, i);

	if (touched_ns != 0 && touched_ns > attr->mtime_ns)
		attr->mtime_ns = attr->ctime_ns = touched_ns;
}

static int stat_table(struct sw_mount *m, struct sw_inode *i, const struct sw_inode_name *name,
		      struct stat *st)
{
	struct sw_attr attr;
	int rc = sw_work_stat_table(sw_node_work(m, i), name->table, &attr);

	if (rc < 0)
		return rc;
	show_touched(m, i, &attr);
	sw_fill_row_stat(m, &attr, st);
	return 0;
}

/* What its file has, or, as long as its name leads to it, what stands there. */
static int attr_of_row(struct sw_mount *m, struct sw_inode *i, const struct sw_inode_name *name, struct sw_attr *out)
{
	struct sw_work *work = sw_node_work(m, i);
	struct sw_handle h;

	if (name->has_file && sw_inode_handle(&m->inodes, i, &h)) {
		sw_handle_stat(work, &h, out);
		sw_handle_release(work, &h);
		return 0;
	}
	return name->is_orphan ? SW_ENOTFOUND : sw_work_stat(work, name->table, name->key, out);
}

static int stat_row(struct sw_mount *m, struct sw_inode *i, struct stat *st)
{
	struct sw_inode_name name;
	struct sw_attr attr;
	uint64_t told;
	int rc;

	do {
		told = sw_db_told(m->db);
		sw_inode_name(&m->inodes, i, &name);
		rc = attr_of_row(m, i, &name, &attr);
	} while (sw_db_has_moved(m->db, told));
	if (rc == 0)
		sw_fill_row_stat(m, &attr, st);
	if (rc == 0 && name.is_orphan)
		st->st_nlink = 0;
	return rc;
}

void sw_row_stat_now(struct sw_mount *m, struct sw_inode *i, const struct sw_attr *attr, struct stat *st)
{
	*st = (struct stat){0};
	sw_fill_row_stat(m, attr, st);
	st->st_ino = sw_inode_number(&m->inodes, i);
}

static void stat_control(struct sw_mount *m, const struct sw_inode *i, struct stat *st)
{
	struct sw_attr attr = {.mtime_ns = m->started_ns, .ctime_ns = m->started_ns};

	attr.is_table = i->type != SW_NODE_SWARM_FILE && i->type != SW_NODE_ALIAS && i->type != SW_NODE_COPY_FILE;
	attr.mode = attr.is_table ? 0555 : 0444;
	if (sw_node_has_tables(i) || i->type == SW_NODE_TXNS)
		attr.mode = 0755;
	if (i->type == SW_NODE_COPY_FILE)
		attr.mode = 0644;
	if (i->copy)
		attr.mtime_ns = attr.ctime_ns = (int64_t)(sw_copy_made_ms(i->copy) * 1000000);
	if (sw_node_has_tables(i))
		show_touched(m, i, &attr);
	sw_fill_row_stat(m, &attr, st);
	if (i->type == SW_NODE_ALIAS) {
		st->st_mode = S_IFLNK | 0777;
		st->st_size = SW_COMMIT_NAME_N; /* all lead to snapshots; what copies links goes by it */
	}
	if (sw_node_has_tables(i) || i->type == SW_NODE_TXNS || i->type == SW_NODE_COMMITS)
		st->st_nlink = 1; /* not counted: says nothing about subdirectories */
}

/* Of all tables, also of those that others may not enter, so they are for the owner alone, as .diff is. */
static bool names_rows(struct sw_view swarm_file)
{
	return sw_view_eq(swarm_file, sw_view_str("status")) || sw_view_eq(swarm_file, sw_view_str("events"));
}

int sw_node_stat(struct sw_mount *m, struct sw_inode *i, struct stat *st)
{
	struct sw_inode_name name;
	int rc = 0;

	*st = (struct stat){0};
	sw_inode_name(&m->inodes, i, &name);
	switch (i->type) {
	case SW_NODE_TABLE:
		rc = stat_table(m, i, &name, st);
		break;
	case SW_NODE_ROW:
		rc = stat_row(m, i, st);
		break;
	case SW_NODE_SNAP:
	case SW_NODE_SNAP_TABLE:
	case SW_NODE_SNAP_ROW:
	case SW_NODE_SNAP_FILE:
		rc = sw_snap_stat(m, i, st);
		break;
	case SW_NODE_CONFLICTS:
	case SW_NODE_CONFLICT_TABLE:
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
	case SW_NODE_CONFLICT_FILE:
		sw_conflicts_stat(m, i, st);
		break;
	default:
		stat_control(m, i, st);
		if (i->type == SW_NODE_SWARM_FILE && sw_view_eq(name.key, sw_view_str("commit")))
			st->st_mode = S_IFREG | 0644;
		if (i->type == SW_NODE_SWARM_FILE && names_rows(name.key))
			st->st_mode = S_IFREG | 0400;
		if (i->type == SW_NODE_SWARM_FILE && sw_view_eq(name.key, sw_view_str("events")))
			st->st_size = (off_t)sw_events_size(m);
	}
	st->st_ino = sw_inode_number(&m->inodes, i);
	return rc;
}

int sw_node_errno(struct sw_mount *m, struct sw_inode *i, int rc)
{
	struct sw_inode_name name;

	sw_inode_name(&m->inodes, i, &name);
	if (rc != SW_ENOTFOUND || i->type != SW_NODE_ROW || !name.is_orphan || name.is_unlinked)
		return sw_err_to_errno(rc);
	sw_inode_told_stale(&m->inodes, i);
	return ESTALE;
}

static int lookup_table(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	struct sw_attr attr;
	int rc = sw_name_is_control(name) ? SW_ENOTFOUND : sw_work_stat_table(sw_node_work(m, dir), name, &attr);

	return rc < 0 ? rc : sw_inode_get_in(&m->inodes, SW_NODE_TABLE, dir->copy, name, sw_view(NULL, 0), 0, out);
}

static int lookup_commits(struct sw_mount *m, struct sw_inode **out)
{
	const struct sw_view none = sw_view(NULL, 0);
	int rc = sw_inode_get(&m->inodes, SW_NODE_COMMITS, NULL, none, none, 0, out);

	if (rc == 0)
		atomic_store(&m->commits_id, (*out)->id);
	return rc;
}

static int lookup_root(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	const struct sw_view none = sw_view(NULL, 0);

	if (sw_view_eq(name, sw_view_str(".commits")))
		return lookup_commits(m, out);
	if (sw_view_eq(name, sw_view_str(".swarm")))
		return sw_inode_get(&m->inodes, SW_NODE_SWARM, NULL, none, none, 0, out);
	if (sw_view_eq(name, sw_view_str(".conflicts")))
		return sw_inode_get(&m->inodes, SW_NODE_CONFLICTS, NULL, none, none, 0, out);
	if (sw_view_eq(name, sw_view_str(".txn")))
		return sw_inode_get(&m->inodes, SW_NODE_TXNS, NULL, none, none, 0, out);
	return lookup_table(m, dir, name, out);
}

static int lookup_copy(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	if (sw_view_eq(name, sw_view_str(".check")) || sw_view_eq(name, sw_view_str(".message")))
		return sw_inode_get_in(&m->inodes, SW_NODE_COPY_FILE, dir->copy, sw_view(NULL, 0), name, 0, out);
	return lookup_table(m, dir, name, out);
}

static int find_row(struct sw_mount *m, struct sw_inode *dir, struct sw_view key, struct sw_inode **out,
		    struct sw_attr *attr)
{
	struct sw_work *work = sw_node_work(m, dir);
	struct sw_inode_name name;
	struct sw_handle h;
	int rc;

	sw_inode_name(&m->inodes, dir, &name);
	rc = sw_work_stat(work, name.table, key, attr);
	if (rc == 0)
		rc = sw_inode_get_in(&m->inodes, SW_NODE_ROW, dir->copy, name.table, key, attr->generation, out);
	if (rc == 0 && sw_inode_was_stale(&m->inodes, *out) &&
	    sw_work_open_row(work, name.table, key, 0, 0, &h) == 0) {
		sw_inode_hold(&m->inodes, *out, &h);
		sw_handle_release(work, &h);
	}
	return rc;
}

/*
 * attr: of the row, as long as nothing happens to it. Whoever hears of a change makes inodes of the rows orphans: of one that was not
 * there yet what was found before must not be kept.
 */
static int lookup_row(struct sw_mount *m, struct sw_inode *dir, struct sw_view key, struct sw_inode **out,
		      struct sw_attr *attr)
{
	uint64_t told = sw_db_told(m->db);
	int rc = find_row(m, dir, key, out, attr);

	while (sw_db_has_moved(m->db, told)) {
		if (rc == 0)
			sw_inode_forget(&m->inodes, (*out)->id, 1);
		told = sw_db_told(m->db);
		rc = find_row(m, dir, key, out, attr);
	}
	return rc;
}

static int lookup_swarm(struct sw_mount *m, struct sw_view name, struct sw_inode **out)
{
	for (size_t i = 0; sw_swarm_files[i]; i++)
		if (sw_view_eq(name, sw_view_str(sw_swarm_files[i])))
			return sw_inode_get(&m->inodes, SW_NODE_SWARM_FILE, NULL, sw_view(NULL, 0), name,
					    0, out);
	return SW_ENOTFOUND;
}

/* Of a row, attr is what it has; of others, attr->is_now stays false. */
static int lookup(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out,
		  struct sw_attr *attr)
{
	int rc;

	*attr = (struct sw_attr){0};
	if (name.n > SW_NAME_MAX)
		return SW_ETOOLONG;
	if (dir->copy && sw_copy_is_gone(dir->copy))
		return SW_ENOTFOUND;
	switch (dir->type) {
	case SW_NODE_ROOT_DIR:
		return lookup_root(m, dir, name, out);
	case SW_NODE_TXNS:
		return sw_txn_lookup(m, name, out);
	case SW_NODE_COPY:
		return lookup_copy(m, dir, name, out);
	case SW_NODE_TABLE:
		rc = lookup_row(m, dir, name, out, attr);
		attr->is_now = rc == 0;
		return rc;
	case SW_NODE_COMMITS:
		return sw_commits_lookup(m, name, out);
	case SW_NODE_SNAP:
	case SW_NODE_SNAP_TABLE:
		return sw_snap_lookup(m, dir, name, out);
	case SW_NODE_SWARM:
		return lookup_swarm(m, name, out);
	case SW_NODE_CONFLICTS:
	case SW_NODE_CONFLICT_TABLE:
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
		return sw_conflicts_lookup(m, dir, name, out);
	default:
		return SW_ENOTDIR;
	}
}

int sw_node_lookup(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	struct sw_attr attr;

	return lookup(m, dir, name, out, &attr);
}

static void ll_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *dir = sw_inode_by_id(&m->inodes, parent), *i = NULL;
	struct fuse_entry_param e = {0};
	struct sw_attr attr;
	int rc = lookup(m, dir, sw_view_str(name), &i, &attr);

	if (rc == SW_ENOTFOUND)
		rc = sw_conflicts_lookup_emptied(m, dir, sw_view_str(name), fuse_req_ctx(req)->pid, &i);
	if (rc == 0 && attr.is_now) {
		sw_row_stat_now(m, i, &attr, &e.attr);
	} else if (rc == 0) {
		rc = sw_node_stat(m, i, &e.attr);
		if (rc < 0)
			sw_inode_forget(&m->inodes, i->id, 1);
	}
	if (rc == SW_ENOTFOUND) {
		/* A name that is not there is remembered too; whoever makes it there tells the kernel. */
		e.ino = 0;
		e.entry_timeout = dir->type == SW_NODE_TABLE || sw_node_has_tables(dir)
				      ? SW_TIMEOUT_LONG
				      : 0;
		fuse_reply_entry(req, &e);
		return;
	}
	if (rc < 0) {
		fuse_reply_err(req, sw_err_to_errno(rc));
		return;
	}
	e.ino = i->id;
	sw_node_timeouts(m, i, &e.entry_timeout, &e.attr_timeout);
	if (fuse_reply_entry(req, &e) < 0)
		sw_inode_forget(&m->inodes, e.ino, 1);
}

static void ll_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct sw_mount *m = sw_req_mount(req);

	if (ino != FUSE_ROOT_ID)
		sw_inode_forget(&m->inodes, ino, n);
	fuse_reply_none(req);
}

static void ll_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct sw_mount *m = sw_req_mount(req);

	for (size_t i = 0; i < count; i++)
		if (forgets[i].ino != FUSE_ROOT_ID)
			sw_inode_forget(&m->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void ll_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *i = sw_inode_by_id(&m->inodes, ino);
	double entry, attr;
	struct stat st;
	int rc = sw_node_stat(m, i, &st);

	(void)fi;
	if (rc < 0) {
		fuse_reply_err(req, sw_node_errno(m, i, rc));
		return;
	}
	sw_node_timeouts(m, i, &entry, &attr);
	fuse_reply_attr(req, &st, attr);
}

static void ll_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct sw_mount *m = sw_req_mount(req);
	struct sw_inode *i = sw_inode_by_id(&m->inodes, ino);
	struct sw_inode_name name;
	char target[64];
	int rc = SW_EINVAL;

	sw_inode_name(&m->inodes, i, &name);
	if (i->type == SW_NODE_ALIAS)
		rc = sw_commits_target(m, name.key, target);
	if (rc < 0)
		fuse_reply_err(req, sw_err_to_errno(rc));
	else
		fuse_reply_readlink(req, target);
}

static void ll_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct sw_mount *m = sw_req_mount(req);
	struct statvfs st;

	(void)ino;
	if (statvfs(sw_db_dir(m->db), &st) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	st.f_namemax = SW_NAME_MAX;
	fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops operations = {
    .init = ll_init,
    .lookup = ll_lookup,
    .forget = ll_forget,
    .forget_multi = ll_forget_multi,
    .getattr = ll_getattr,
    .setattr = sw_ll_setattr,
    .readlink = ll_readlink,
    .mknod = sw_ll_mknod,
    .mkdir = sw_ll_mkdir,
    .unlink = sw_ll_unlink,
    .rmdir = sw_ll_rmdir,
    .symlink = sw_ll_symlink,
    .rename = sw_ll_rename,
    .link = sw_ll_link,
    .open = sw_ll_open,
    .read = sw_ll_read,
    .write = sw_ll_write,
    .flush = sw_ll_flush,
    .release = sw_ll_release,
    .fsync = sw_ll_fsync,
    .opendir = sw_ll_opendir,
    .readdir = sw_ll_readdir,
    .readdirplus = sw_ll_readdirplus,
    .releasedir = sw_ll_releasedir,
    .fsyncdir = sw_ll_fsyncdir,
    .statfs = ll_statfs,
    .create = sw_ll_create,
};

/* The swarmfs that is mounted exactly there, on top of others. */
struct here {
	const char *path;
	char *store; /* NULL: none */
};

static int look_here(void *arg, const struct sw_mount_entry *e)
{
	struct here *h = arg;

	if (strcmp(e->type, SW_MOUNT_TYPE) != 0 || strcmp(e->point, h->path) != 0)
		return 0;
	free(h->store);
	h->store = strdup(e->source);
	return h->store ? 0 : SW_ENOMEM;
}

/*
 * What a crash left of an earlier mount answers ENOTCONN, but only to what the kernel has not cached: so it is asked
 * for the state of the file system. With a process that was killed and has not ended yet the kernel waits, and answers
 * ECONNABORTED when it has. Whatever else is answered, if only that the store is not there any more, it is in use.
 * With a process that was stopped the kernel waits, too, and not even SIGKILL ends that: so that is found out before.
 * 1: it is dead.
 */
static int is_dead(const struct here *h)
{
	struct statvfs fs;

	if (sw_control_ask(h->store) == SW_EBUSY)
		return SW_EBUSY;
	if (statvfs(h->path, &fs) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
		return sw_fail(SW_EBUSY, "a database is mounted on %s already; unmount it with 'swarmfs umount %s'",
			       h->path, h->path);
	return 1;
}

/* 1: there is one. */
static int find_dead_mount(const char *path)
{
	struct here h = {.path = path};
	int rc = sw_mountinfo_walk(look_here, &h);

	if (rc == 0 && h.store)
		rc = is_dead(&h);
	free(h.store);
	return rc;
}

/*
 * By who has the lock of the store. Of two that are started at the same time the slower one would otherwise unmount what
 * the other has just mounted.
 */
static int clear_dead_mounts(const char *path)
{
	int rc;

	/* Several may lie on top of each other. */
	while ((rc = find_dead_mount(path)) > 0) {
		rc = sw_unmount(path, true);
		if (rc < 0)
			return rc;
		sw_log(SW_LOG_WARN, "%s was a dead mount; unmounted it", path);
	}
	return rc;
}

/* fusermount3 opens it with the rights of its user, so whoever mounts must be able to. */
static int check_device(void)
{
	static const char otherwise[] = "'swarmfs serve' needs no mount";
	struct stat st;
	int fd;

	if (stat(DEVICE, &st) == 0 && (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(DEVICE_MAJOR, DEVICE_MINOR)))
		return sw_fail(SW_EINVAL, "cannot mount: " DEVICE " is not the FUSE device here; %s", otherwise);
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EACCES || errno == EPERM)
		return sw_fail(SW_EDENIED, "cannot mount: " DEVICE " may not be opened by this user; 'chmod 666 " DEVICE
					   "' as root allows it, and %s", otherwise);
	return sw_fail_errno("cannot mount: " DEVICE " (try 'modprobe fuse' as root; %s)", otherwise);
}

static int check_directory(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return sw_fail(SW_ENOTFOUND, "the mount point %s does not exist; make it with 'mkdir %s'", path, path);
	if (stat(path, &st) < 0)
		return sw_fail_errno("%s", path);
	if (!S_ISDIR(st.st_mode))
		return sw_fail(SW_ENOTDIR, "%s is not a directory; choose one to mount on", path);
	if (geteuid() != 0 && access(path, W_OK) < 0)
		return sw_fail(SW_EDENIED, "%s is not writable for this user, who so may not mount there; choose a "
					   "directory of your own", path);
	return 0;
}

int sw_mount_check(const char *path)
{
	int rc = find_dead_mount(path);

	/* What a dead mount covers can be looked at when it is gone. */
	if (rc == 0)
		rc = check_directory(path);
	return rc < 0 ? rc : check_device();
}

/* What libfuse says while it mounts belongs into the one sentence about the failure; later it goes to the log. */
static _Thread_local char *fuse_said;

#define FUSE_SAID_SIZE 256

SW_PRINTF(2, 0)
static void on_fuse_log(enum fuse_log_level level, const char *format, va_list ap)
{
	char line[FUSE_SAID_SIZE];
	size_t n = fuse_said ? strlen(fuse_said) : 0; /* it comes in pieces */

	vsnprintf(line, sizeof(line), format, ap);
	line[strcspn(line, "\n")] = '\0';
	if (fuse_said)
		snprintf(fuse_said + n, FUSE_SAID_SIZE - n, "%s", line);
	else
		sw_log(level <= FUSE_LOG_ERR ? SW_LOG_ERROR : SW_LOG_DEBUG, "%s", line);
}

/* The path of the store, in which libfuse takes commas and backslashes for its own unless they are escaped. */
static int add_arguments(struct sw_mount *m, struct fuse_args *args)
{
	const char *options = m->options.fuse_options;
	SW_BUF text = {0};

	sw_buf_printf(&text, "-osubtype=swarmfs,default_permissions%s%s,fsname=", *options ? "," : "", options);
	for (const char *p = sw_db_dir(m->db); *p; p++)
		sw_buf_printf(&text, "%s%c", *p == ',' || *p == '\\' ? "\\" : "", *p);
	sw_buf_put_u8(&text, 0);
	if (text.rc < 0 || fuse_opt_add_arg(args, "swarmfs") < 0 || fuse_opt_add_arg(args, (char *)text.p) < 0)
		return SW_ENOMEM;
	return 0;
}

static int mount_session(struct sw_mount *m)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char said[FUSE_SAID_SIZE] = "";
	int rc = add_arguments(m, &args);

	fuse_set_log_func(on_fuse_log);
	fuse_said = said;
	if (rc == 0) {
		m->se = fuse_session_new(&args, &operations, sizeof(operations), m);
		if (!m->se)
			rc = sw_fail(SW_EINVAL, "the mount options '%s' were refused (%s); leave out what is unknown",
				     m->options.fuse_options, said);
	}
	if (rc == 0 && fuse_session_mount(m->se, m->mountpoint) < 0)
		rc = sw_fail(SW_EDENIED, "cannot mount on %s (%s); mounting needs the package fuse3, and in a "
					 "container the right to mount", m->mountpoint, *said ? said : "see above");
	fuse_said = NULL;
	fuse_opt_free_args(&args);
	return rc;
}

static void on_merge(void *arg, struct sw_view table, struct sw_view key)
{
	sw_notify_row(arg, table, key);
}

int sw_mount_new(struct sw_db *db, struct sw_work *work, struct sw_copies *copies, const struct sw_mount_options *options,
		 struct sw_mount **out)
{
	struct sw_inode *root;
	struct sw_mount *m;
	int rc = clear_dead_mounts(options->mountpoint);

	if (rc == 0)
		rc = sw_mount_check(options->mountpoint);
	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return SW_ENOMEM;
	m->db = db;
	m->work = work;
	m->copies = copies;
	m->options = *options;
	m->started_ns = (int64_t)(sw_env_wall_ms(sw_db_env(db)) * 1000000);
	m->notices_end = &m->notices;
	pthread_mutex_init(&m->notice_lock, NULL);
	pthread_cond_init(&m->notice_cond, NULL);
	pthread_cond_init(&m->delivered_cond, NULL);
	pthread_mutex_init(&m->event_lock, NULL);
	pthread_mutex_init(&m->opens_lock, NULL);
	pthread_mutex_init(&m->kept_lock, NULL);
	sw_pages_init(&m->pages);
	rc = sw_inodes_init(&m->inodes, work);
	if (rc == 0)
		rc = sw_inode_get(&m->inodes, SW_NODE_ROOT_DIR, NULL, sw_view(NULL, 0), sw_view(NULL, 0), 0,
				  &root);
	m->mountpoint = strdup(options->mountpoint);
	if (rc == 0 && !m->mountpoint)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = mount_session(m);
	if (rc < 0) {
		sw_mount_free(m);
		return rc;
	}
	sw_work_on_merge(work, on_merge, m);
	*out = m;
	return 0;
}

/* Ends the wait that libfuse's loop is in. */
#define SIGNAL_WAKE SIGUSR1

static void on_wake(int signal)
{
	(void)signal;
}

/* Those that end it; one that whoever started the process has it ignore, as nohup does, stays so. */
static void ending_signals(sigset_t *out)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction now;

	sigemptyset(out);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i] == SIGTERM || sigaction(signals[i], NULL, &now) < 0 || now.sa_handler != SIG_IGN)
			sigaddset(out, signals[i]);
}

static void *loop_main(void *arg)
{
	struct sw_mount *m = arg;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, SIGNAL_WAKE);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	m->loop_rc = -ENOMEM;
	if (config) {
		fuse_loop_cfg_set_clone_fd(config, 0);
		fuse_loop_cfg_set_idle_threads(config, 10);
		fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
		m->loop_rc = fuse_session_loop_mt(m->se, config);
		/* So a read fails that was taking a request when the mount ended; mostly ENODEV, which libfuse knows. */
		if (m->loop_rc == -ECONNABORTED)
			m->loop_rc = 0;
		fuse_loop_cfg_destroy(config);
	}
	atomic_store(&m->loop_ended, true);
	pthread_kill(m->main_thread, SIGTERM);
	return NULL;
}

/*
 * A signal came. Until nobody here waits for the kernel any more the loop goes on: the kernel may hold a directory for a
 * program whose request nobody else would answer, and a notice about that directory waits for it.
 */
static void end_loop(struct sw_mount *m, const sigset_t *signals)
{
	const struct timespec again = {.tv_nsec = 20000000};

	m->hooks.ending(m->hooks.arg);
	sw_notifier_stop(m);
	fuse_session_exit(m->se);
	/* It looks at that when it is woken; a signal before it waits is lost. */
	while (!atomic_load(&m->loop_ended)) {
		pthread_kill(m->loop, SIGNAL_WAKE);
		(void)sigtimedwait(signals, NULL, &again);
	}
}

int sw_mount_run(struct sw_mount *m, const struct sw_mount_hooks *hooks)
{
	struct sigaction wake = {.sa_handler = on_wake};
	sigset_t signals;
	int rc, got;

	m->hooks = *hooks;
	m->main_thread = pthread_self();
	ending_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	sigaction(SIGNAL_WAKE, &wake, NULL);
	rc = sw_notifier_start(m);
	if (rc == 0)
		rc = sw_thread_start(&m->loop, loop_main, m);
	if (rc < 0)
		return rc;
	sigwait(&signals, &got);
	if (!atomic_load(&m->loop_ended))
		end_loop(m, &signals);
	pthread_join(m->loop, NULL);
	return m->loop_rc < 0 ? sw_fail(SW_EIO, "the FUSE loop ended with error %d", -m->loop_rc) : 0;
}

void sw_mount_free(struct sw_mount *m)
{
	if (!m)
		return;
	sw_events_close(m);
	sw_notifier_stop(m);
	if (m->se) {
		fuse_session_unmount(m->se);
		fuse_session_destroy(m->se);
	}
	sw_work_on_merge(m->work, NULL, NULL);
	sw_opens_close(m);
	sw_inodes_fini(&m->inodes);
	pthread_mutex_destroy(&m->notice_lock);
	pthread_cond_destroy(&m->notice_cond);
	pthread_cond_destroy(&m->delivered_cond);
	pthread_mutex_destroy(&m->event_lock);
	pthread_mutex_destroy(&m->opens_lock);
	pthread_mutex_destroy(&m->kept_lock);
	sw_pages_fini(&m->pages);
	free(m->mountpoint);
	free(m);
}
