/*
 * The mount: a database as a directory tree, on libfuse's low-level API. fs/SEMANTICS.md says what it promises.
 *
 * Handlers answer from local state and never wait for the network. What others change is told to
 * the kernel by one notifier thread, after it shows.
 */
#ifndef SW_FS_MOUNT_H
#define SW_FS_MOUNT_H

#include <sys/types.h>

#include "core/breaches.h"
#include "core/conflicts.h"
#include "core/copies.h"

/* Texts that belong to the commands: the mount only shows them. Each appends to out. */
struct sw_mount_texts {
	void *arg;
	int (*status)(void *arg, struct sw_buf *out); /* .swarm/status */
	int (*peers)(void *arg, struct sw_buf *out);  /* .swarm/peers */
	int (*metrics)(void *arg, struct sw_buf *out); /* .swarm/metrics */
	int (*commit)(void *arg, const struct sw_reader *r, const struct sw_order *order,
		      struct sw_buf *out); /* .commits/NAME/.commit */
	int (*diff)(void *arg, struct sw_db *db, const struct sw_order *order,
		    struct sw_buf *out); /* .commits/NAME/.diff */
	int (*conflict)(void *arg, struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
			struct sw_buf *out); /* .conflicts/TABLE/ROW/COMMIT/about */
};

struct sw_mount_options {
	const char *mountpoint;
	const char *fuse_options; /* comma separated, as after -o; may be empty */
	bool show_control;	  /* list the dot directories in the root */
	uid_t uid;		  /* who owns all files */
	gid_t gid;
	struct sw_mount_texts texts;
};

/* What sw_mount_run() tells; arg comes first. */
struct sw_mount_hooks {
	void *arg;
	void (*ready)(void *arg); /* the kernel has said hello */
	/*
	 * A signal has come. Whatever may wait for the mount is to stop now, while it still answers. Not called when somebody
	 * unmounts: then nothing waits for it any more.
	 */
	void (*ending)(void *arg);
};

struct sw_mount;

/* Whether something can be mounted there, or could but for a dead mount: before a daemon forks and a store is made. Same failures. */
int sw_mount_check(const char *mountpoint) SW_MUST_CHECK;
/*
 * Attach to the kernel. Unmounts a dead mount first, and says so. No thread is started before sw_mount_run().
 * Failures have a sentence: a mount point that is missing, not a directory, busy, or not empty.
 */
int sw_mount_new(struct sw_db *db, struct sw_work *work, struct sw_copies *copies, const struct sw_mount_options *options,
		 struct sw_mount **out) SW_MUST_CHECK;
/*
 * Serve until the file system is unmounted, or SIGTERM, SIGINT or SIGHUP comes: on the main thread, which alone takes signals,
 * and leaves these three blocked. It returns in bounded time after a signal.
 */
int sw_mount_run(struct sw_mount *m, const struct sw_mount_hooks *hooks) SW_MUST_CHECK;
/* Unmounts if it still is; frees. The working set can be closed afterwards. */
void sw_mount_free(struct sw_mount *m);

/* The database's listener: commits that the working set did not make. Any thread. */
void sw_mount_changed(struct sw_mount *m, const struct sw_changes *changes, const struct sw_head *head,
		      bool by_others);
/* Wait, for a bounded time, until what changed so far shows. Any thread but one that answers the kernel. */
void sw_mount_wait_shown(struct sw_mount *m);
/* gc has freed old states: the kernel forgets the names of snapshots. */
void sw_mount_freed(struct sw_mount *m);
/*
 * Make the kernel forget the snapshots of commits stamped before that time: until it does, each that somebody has looked into keeps
 * what it shows. Waits until they are gone, a second at most: those that are open stay. Any thread but those of the mount.
 */
void sw_mount_let_go(struct sw_mount *m, uint64_t before_ms);
/* The same: a peer has other roots of the same commits. */
void sw_mount_diverged(struct sw_mount *m, const struct sw_divergence *d);
/* A row breaks its schema, or does so no more: an event. */
void sw_mount_breach(struct sw_mount *m, const struct sw_breach *breach, bool is_broken);

#endif
