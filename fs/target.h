/*
 * What a command's TARGET means: a mount point, or the directory of a store.
 *
 * A mount point is recognised by its path in the list of mounts and never touched: it may be dead. The
 * directories above it are, to follow symbolic links.
 */
#ifndef SW_FS_TARGET_H
#define SW_FS_TARGET_H

#include "core/buf.h"

struct sw_target {
	char *store; /* absolute path */
	char *mount; /* absolute path of the mount point; NULL when the store was named */
};

void sw_target_fini(struct sw_target *t);

/*
 * SW_ENOTFOUND: there is nothing, or no store; SW_EINVAL: inside a mount, or not a directory. Whether a
 * store can be opened is not checked. Each with a sentence.
 */
int sw_target_find(const char *arg, struct sw_target *out) SW_MUST_CHECK;

/* Where the store is mounted, or NULL; free it. */
int sw_target_mount_of(const char *store, char **out) SW_MUST_CHECK;

/* The absolute path that arg means, links followed, whether or not its last part exists. Free it. */
int sw_path_absolute(const char *arg, char **out) SW_MUST_CHECK;

#endif
