/*
 * Becoming a daemon. The fork comes before LMDB, nng, libsodium and every thread; the parent waits until the child
 * says how it went, and ends with that.
 */
#ifndef SW_FS_DAEMON_H
#define SW_FS_DAEMON_H

#include "core/err.h"

struct sw_daemon {
	int fd; /* to the parent; -1: there is none, or it was told */
};

/*
 * In the child: 0. The parent does not return: it exits as the child tells it to. Descriptors above 2 are closed. Until
 * sw_daemon_survive(), the child ends with the parent: interrupting the one means the other. SW_EIO.
 */
int sw_daemon_fork(struct sw_daemon *d) SW_MUST_CHECK;
/* From now on the parent may go; on the thread that forked. */
void sw_daemon_survive(const struct sw_daemon *d);
/* Tell the parent to exit with that code; message, when not NULL, goes to its standard error. Once. */
void sw_daemon_tell(struct sw_daemon *d, int code, const char *message);
/*
 * All is well: tell the parent so, and let go of the terminal; what is logged from now on goes to the file
 * log_path, one line each with its time.
 */
void sw_daemon_ready(struct sw_daemon *d, const char *log_path);

#endif
