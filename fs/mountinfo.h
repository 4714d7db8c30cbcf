/*
 * The mounts of swarmfs that this process can see, from /proc/self/mountinfo: never by touching a
 * mount point, which may be dead or hang.
 */
#ifndef SW_FS_MOUNTINFO_H
#define SW_FS_MOUNTINFO_H

#include "core/buf.h"

#define SW_MOUNT_TYPE "fuse.swarmfs" /* its source is the path of the store */

/* One line of mountinfo; texts borrow from it, octal escapes decoded. */
struct sw_mount_entry {
	char *point;
	char *type;
	char *source;
};

/* Take a line apart, in place. false: not a line of mountinfo. */
bool sw_mountinfo_parse(char *line, struct sw_mount_entry *out);

/* Call back for each mount, of any type, in the order of the file: what is on top comes last. */
typedef int (*sw_mount_fn)(void *arg, const struct sw_mount_entry *mount);
int sw_mountinfo_walk(sw_mount_fn fn, void *arg) SW_MUST_CHECK;

#endif
