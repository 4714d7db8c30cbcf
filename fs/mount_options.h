/*
 * What stands after -o, as other FUSE file systems have it, so that mount(8) and a line of fstab
 * work:
 *
 *     /srv/db  /mnt/db  fuse.swarmfs  listen=tcp://0.0.0.0:7777,allow_other,_netdev  0 0
 *
 * An option is for the kernel, or ours, or only for mount(8) and its friends and has no effect
 * here. Besides, each long option of the command but --foreground may stand there, as NAME or
 * NAME=VALUE. A value cannot hold a comma.
 */
#ifndef SW_FS_MOUNT_OPTIONS_H
#define SW_FS_MOUNT_OPTIONS_H

#include <sys/types.h>

#include "fs/cmd.h"

struct sw_mount_line {
	struct sw_args args; /* the command line, and what -o has of its options; texts borrow from
				it and from `text` */
	struct sw_buf text;
	struct sw_buf fuse; /* for libfuse: comma separated, with its NUL; may be "" */
	bool show_control;
	uid_t uid; /* owner of all files; of this process unless named */
	gid_t gid;
};

/* SW_EINVAL with a sentence about an option that is unknown or cannot be. Borrows from args. */
int sw_mount_line_parse(const struct sw_args *args, struct sw_mount_line *out) SW_MUST_CHECK;
void sw_mount_line_fini(struct sw_mount_line *line);

/* One of the options after -o: 1 with its name (a value's "=" included) and what it does, or 0
 * behind the last. */
int sw_mount_option_at(size_t i, const char **name, const char **help);

/* Whether an option of the command may stand after -o: all but -o itself, and -f. */
bool sw_mount_option_may(const struct sw_option *o);

/*
 * mount.fuse3 runs `swarmfs STORE MOUNTPOINT -o OPTIONS`. Whether this is such a call; then the
 * same as words of the command mount, argv[0] being its name. STORE may be `none`, for the default
 * place. out has room for 6.
 */
bool sw_mount_is_helper_call(int argc, char **argv);
int sw_mount_helper_words(char **argv, char **out);

#endif
