/* What the files of the mount share. */
#ifndef SW_FS_MOUNT_INTERNAL_H
#define SW_FS_MOUNT_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>

#include "fs/inode.h"
#include "fs/mount.h"
#include "fs/pages.h"

#define SW_TIMEOUT_LONG 86400.0 /* what is cached is invalidated exactly, so it may be cached for long */

struct sw_notice;
struct sw_event_reader;

struct sw_mount {
	struct sw_db *db;
	struct sw_work *work; /* of the live tree */
	struct sw_copies *copies;
	struct sw_mount_options options;
	char *mountpoint;
	struct fuse_session *se;
	struct sw_inodes inodes;
	int64_t started_ns;
	struct sw_mount_hooks hooks;

	/* The thread that libfuse's loop runs in. */
	pthread_t main_thread, loop;
	atomic_bool loop_ended;
	int loop_rc; /* once it has */

	/* The notifier: a queue of what the kernel must forget. */
	pthread_t notifier;
	bool notifier_runs;
	pthread_mutex_t notice_lock;
	pthread_cond_t notice_cond;
	struct sw_notice *notices, **notices_end; /* under notice_lock */
	uint64_t n_notices, n_delivered;	  /* ever; under notice_lock */
	pthread_cond_t delivered_cond;
	bool stopping;				  /* under notice_lock */

	/* Readers of .swarm/events, each with lines of its own. */
	pthread_mutex_t event_lock;
	struct sw_event_reader *event_readers;
	_Atomic uint64_t n_event_bytes; /* ever */

	/* Names of snapshots that the kernel keeps: see sw_commits_may_keep(). */
	pthread_mutex_t kept_lock;
	struct sw_order kept_upto; /* the last of them; under kept_lock, as is the next */
	uint64_t kept_version;	   /* of that place, when they were looked at last */
	_Atomic uint64_t commits_id; /* the node id of .commits; 0: the kernel does not know it */

	pthread_mutex_t opens_lock;
	struct sw_open *opens; /* all that are open; under opens_lock */

	struct sw_pages pages; /* of tables that were listed */
};

/* What an open file or directory is; fi->fh points at it. */
struct sw_open {
	struct sw_open *next, *prev; /* in sw_mount.opens */
	struct sw_inode *inode;
	bool is_dir;
	struct sw_handle handle; /* ROW */
	bool was_read;           /* a directory that is read from its beginning again begins anew */
	struct sw_list *list;	 /* root and tables */
	struct sw_head head;	 /* .commits: the line, pinned */
	bool head_pinned;
	struct sw_buf text;	 /* of .swarm and .commits; what was written to .swarm/commit or a file of a working copy */
	bool is_message;	 /* text was written, and nothing has come of it yet */
	struct sw_event_reader *events;
	struct sw_hash table_root; /* SNAP_TABLE, SNAP and CONFLICT_*: the tree that is listed */
	struct sw_side side;	   /* CONFLICT_FILE but for `about` */
	struct sw_hash pin;	   /* CONFLICT_*: of a directory the newest state; of a file its large row, if it is one */
	bool is_pinned;
};

static inline struct sw_mount *sw_req_mount(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct sw_open *sw_open_of(const struct fuse_file_info *fi)
{
	return (struct sw_open *)(uintptr_t)fi->fh;
}

/* The working set of what an inode stands for: that of a working copy, or the live one. */
static inline struct sw_work *sw_node_work(const struct sw_mount *m, const struct sw_inode *i)
{
	return i->copy ? sw_copy_work(i->copy) : m->work;
}

/* Whether tables are made in it: the root, live or of a working copy. */
static inline bool sw_node_has_tables(const struct sw_inode *i)
{
	return i->type == SW_NODE_ROOT_DIR || i->type == SW_NODE_COPY;
}

/* Attributes of any inode. */
int sw_node_stat(struct sw_mount *m, struct sw_inode *i, struct stat *st) SW_MUST_CHECK;
/* The errno of a failure on an inode. Of a row that was replaced or removed elsewhere: the kernel looks for what has the name now. */
int sw_node_errno(struct sw_mount *m, struct sw_inode *i, int rc);
/* The child of a directory: an inode with a lookup counted. SW_ENOTFOUND. */
int sw_node_lookup(struct sw_mount *m, struct sw_inode *dir, struct sw_view name,
		   struct sw_inode **out) SW_MUST_CHECK;
/* How long the kernel may keep the name of that inode, and its attributes. */
void sw_node_timeouts(struct sw_mount *m, const struct sw_inode *i, double *entry, double *attr);
/* The same of a row that has a name, with attributes that are known. */
void sw_row_stat_now(struct sw_mount *m, struct sw_inode *i, const struct sw_attr *attr, struct stat *st);
void sw_fill_row_stat(struct sw_mount *m, const struct sw_attr *attr, struct stat *st);
/* The time of what happens now, as it is shown. */
int64_t sw_mount_now_ns(const struct sw_mount *m);
/* Notices */
int sw_notifier_start(struct sw_mount *m) SW_MUST_CHECK;
/*
 * Notices that come later are dropped. While it is told one the kernel may wait for an answer of a handler: so either the loop
 * still runs, or nothing is mounted any more.
 */
void sw_notifier_stop(struct sw_mount *m);
void sw_notify_inode(struct sw_mount *m, uint64_t id, bool data);
void sw_notify_entry(struct sw_mount *m, uint64_t parent, struct sw_view name);
/*
 * The data and the name of a row, whose inode the notifier looks up: for callers that hold the working set's lock, which is
 * taken under that of the inodes.
 */
void sw_notify_row(struct sw_mount *m, struct sw_view table, struct sw_view key);

/*
 * Answer a request, with an errno or 0, once the kernel has been told what was noticed so far: so what it changed shows when it
 * returns. No handler waits for that.
 */
void sw_notify_reply(struct sw_mount *m, fuse_req_t req, int error);

/* .swarm and the texts of snapshots */
extern const char *const sw_swarm_files[];
int sw_control_open(struct sw_mount *m, struct sw_open *o, int flags) SW_MUST_CHECK;
void sw_control_read(struct sw_mount *m, fuse_req_t req, struct sw_open *o, size_t size, off_t offset);
int sw_control_write(struct sw_mount *m, struct sw_open *o, struct sw_view bytes) SW_MUST_CHECK;
int sw_control_flush(struct sw_mount *m, struct sw_open *o) SW_MUST_CHECK;
void sw_control_release(struct sw_mount *m, struct sw_open *o);

/* .swarm/events */
int sw_events_open(struct sw_mount *m, struct sw_open *o, int flags) SW_MUST_CHECK;
/* Answers the request, now or when there is something. */
void sw_events_read(struct sw_mount *m, fuse_req_t req, struct sw_event_reader *e, size_t size, uint64_t place);
void sw_events_release(struct sw_mount *m, struct sw_event_reader *e);
/* What stat tells of it. */
uint64_t sw_events_size(struct sw_mount *m);
void sw_events_add(struct sw_mount *m, const struct sw_changes *changes, const struct sw_head *head);
void sw_events_close(struct sw_mount *m);

/* .commits */
int sw_commits_lookup(struct sw_mount *m, struct sw_view name, struct sw_inode **out) SW_MUST_CHECK;
/*
 * Whether the kernel may keep the name of a snapshot: of one that is settled. Afterwards nothing but what an admin takes out, and
 * what gc frees, changes where it leads; then sw_commits_changed() tells the kernel.
 */
bool sw_commits_may_keep(struct sw_mount *m, const struct sw_inode *i);
void sw_commits_changed(struct sw_mount *m);
/* The links that are listed: their names, each with its length. */
int sw_commits_links(struct sw_mount *m, struct sw_buf *out) SW_MUST_CHECK;
/* Where an alias leads: the name of a snapshot. */
int sw_commits_target(struct sw_mount *m, struct sw_view alias, char *out) SW_MUST_CHECK;
int sw_snap_lookup(struct sw_mount *m, struct sw_inode *dir, struct sw_view name,
		   struct sw_inode **out) SW_MUST_CHECK;
int sw_snap_stat(struct sw_mount *m, struct sw_inode *i, struct stat *st) SW_MUST_CHECK;

/* .conflicts */
extern const char *const sw_conflict_files[SW_N_CONFLICT_FILES];
int sw_conflicts_lookup(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name,
			struct sw_inode **out) SW_MUST_CHECK;
/* A directory without records that `pid` emptied: it is still there for whoever did, so that 'rm -r' can remove it. */
int sw_conflicts_lookup_emptied(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name, pid_t pid,
				struct sw_inode **out) SW_MUST_CHECK;
void sw_conflicts_stat(struct sw_mount *m, const struct sw_inode *i, struct stat *st);
int sw_conflicts_open(struct sw_mount *m, struct sw_open *o) SW_MUST_CHECK;
int sw_conflicts_read(struct sw_mount *m, const struct sw_open *o, uint64_t offset, size_t n,
		      struct sw_pieces *out) SW_MUST_CHECK;
int sw_conflicts_opendir(struct sw_mount *m, struct sw_open *o) SW_MUST_CHECK;
/* The entry of an open directory with that many before it: 1 with its name and the number of the next, or 0. */
int sw_conflicts_entry(struct sw_mount *m, const struct sw_open *o, uint64_t from,
		       char name[static SW_NAME_MAX + 1], uint64_t *next) SW_MUST_CHECK;
void sw_conflicts_release(struct sw_mount *m, struct sw_open *o);
int sw_conflicts_unlink(struct sw_mount *m, struct sw_inode *dir, struct sw_view name) SW_MUST_CHECK;
int sw_conflicts_rmdir(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, pid_t pid) SW_MUST_CHECK;
/* A rename of something in a record: of `lost` onto its row it writes that again; any other is for mv to copy. */
int sw_conflicts_rename(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode *new_dir,
			struct sw_view new_name, unsigned flags) SW_MUST_CHECK;

/* .txn, and the files of a working copy, which are not listed. What is in the tables of one is handled as in the live tree. */
int sw_txn_lookup(struct sw_mount *m, struct sw_view name, struct sw_inode **out) SW_MUST_CHECK;
int sw_txn_mkdir(struct sw_mount *m, struct sw_view name) SW_MUST_CHECK;
int sw_txn_rmdir(struct sw_mount *m, struct sw_view name) SW_MUST_CHECK;
/* Of a working copy to `commit`: it is applied. Nothing else can be renamed there. */
int sw_txn_rename(struct sw_mount *m, struct sw_view name, const struct sw_inode *new_dir, struct sw_view new_name,
		  unsigned flags) SW_MUST_CHECK;
/* The working copy with a cookie greater than `from`: 1 with its name and its cookie, or 0. */
int sw_txn_entry(struct sw_mount *m, uint64_t from, char name[static SW_NAME_MAX + 1], uint64_t *next);
int sw_copy_file_open(struct sw_mount *m, struct sw_open *o, int flags) SW_MUST_CHECK;
int sw_copy_file_write(struct sw_mount *m, struct sw_open *o, struct sw_view bytes) SW_MUST_CHECK;
int sw_copy_file_flush(struct sw_mount *m, struct sw_open *o) SW_MUST_CHECK;

/* The handlers of the live tree and of working copies that change them */
void sw_ll_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);
void sw_ll_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void sw_ll_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void sw_ll_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void sw_ll_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		  const char *new_name, unsigned flags);
void sw_ll_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi);
void sw_ll_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev);
void sw_ll_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void sw_ll_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* The handlers of open files and directories */
void sw_ll_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void sw_ll_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void sw_ll_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
		 struct fuse_file_info *fi);
void sw_ll_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void sw_ll_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void sw_ll_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void sw_ll_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void sw_ll_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void sw_ll_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi);
void sw_ll_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void sw_ll_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* Make an open file of a handle, which is taken over even on failure. SW_EAGAIN: the name has another file. */
int sw_open_adopt(struct sw_mount *m, struct sw_inode *i, struct sw_handle *h,
		  struct fuse_file_info *fi) SW_MUST_CHECK;
void sw_open_free(struct sw_mount *m, struct sw_open *o);
/* The session is over: close what programs had open still, as if they had ended. */
void sw_opens_close(struct sw_mount *m);
unsigned sw_open_flags(int flags);

#endif
