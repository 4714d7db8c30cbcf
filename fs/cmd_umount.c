#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/cmd.h"
#include "fs/control.h"
#include "fs/target.h"
#include "fs/unmount.h"

#define NOTICE_MS 2000	/* for the process to see that it is unmounted, and to finish */
#define END_MS	  20000 /* once it was told to */

/* The process that serves the store, or -1: a descriptor that is readable when it has ended. */
static int owner_of(const char *store)
{
	int fd, pid;

	if (sw_control_connect(store, &fd, &pid) < 0)
		return -1;
	close(fd);
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool has_ended(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/*
 * The command is over when the process is: then the store is closed, and its file system can go too. Where a copy of the mount is in
 * another mount namespace, as unshare and some containers make one, the kernel does not tell the process.
 */
static int wait_for_end(int pidfd)
{
	if (pidfd < 0 || has_ended(pidfd, NOTICE_MS))
		return 0;
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
	if (has_ended(pidfd, END_MS))
		return 0;
	return sw_fail(SW_EBUSY, "it is unmounted, but its process still runs; look at the log in its store");
}

/* What the owner itself runs must not keep it busy. */
static int unmount(const struct sw_target *t)
{
	int fd = -1;
	int rc = sw_unmount(t->mount, false);

	if (rc != SW_EBUSY || sw_control_quiet(t->store, &fd) < 0)
		return rc;
	rc = sw_unmount(t->mount, false);
	close(fd);
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_target t = {0};
	int pidfd = -1;
	int rc = sw_target_find(args->operands[0], &t);

	if (rc == 0 && !t.mount)
		rc = sw_target_mount_of(t.store, &t.mount);
	if (rc == 0 && !t.mount)
		rc = sw_fail(SW_ENOTFOUND, "%s is not mounted, so there is nothing to unmount", args->operands[0]);
	if (rc == 0) {
		pidfd = owner_of(t.store);
		rc = unmount(&t);
	}
	if (rc == 0)
		rc = wait_for_end(pidfd);
	if (pidfd >= 0)
		close(pidfd);
	sw_target_fini(&t);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

const struct sw_cmd sw_cmd_umount = {
    .name = "umount",
    .synopsis = "TARGET",
    .summary = "unmount, commit what is whole, and wait until the process has ended",
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_HERE,
    .run = run,
};
