#include "fs/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_SIZE 512

static int fail_busy(const char *point)
{
	return sw_fail(SW_EBUSY,
		       "%s is busy: a program has a file open in it or is in that directory; 'fuser -vm %s' tells which",
		       point, point);
}

/* What fusermount3 writes to its standard error, which is the write end of fds. */
static int spawn_fusermount(const char *point, bool lazily, const int fds[2], pid_t *pid)
{
	char program[] = "fusermount3", unmount_it[] = "-u", lazy[] = "-z", rest[] = "--";
	char *argv[] = {program, unmount_it, lazily ? lazy : rest, (char *)(uintptr_t)point, NULL};
	posix_spawn_file_actions_t actions;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc != 0)
		return rc;
	rc = posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
	if (rc == 0)
		rc = posix_spawnp(pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static void read_line(int fd, char said[static SAID_SIZE])
{
	size_t n = 0;
	ssize_t got;

	while (n < SAID_SIZE - 1 && (got = read(fd, said + n, SAID_SIZE - 1 - n)) != 0) {
		if (got > 0)
			n += (size_t)got;
		else if (errno != EINTR)
			break;
	}
	said[n] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

static int ask_fusermount(const char *point, bool lazily)
{
	char said[SAID_SIZE];
	int fds[2], status, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return sw_fail_errno("pipe");
	rc = spawn_fusermount(point, lazily, fds, &pid);
	close(fds[1]);
	if (rc == 0)
		read_line(fds[0], said);
	close(fds[0]);
	if (rc != 0)
		return sw_fail(SW_EIO, "cannot unmount %s without fusermount3; install the package fuse3", point);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return sw_fail_errno("fusermount3");
	if (status == 0)
		return 0;
	if (strstr(said, strerror(EBUSY)))
		return fail_busy(point);
	return sw_fail(SW_EDENIED, "cannot unmount %s (%s); only root, or who mounted it, can", point, said);
}

int sw_unmount(const char *point, bool lazily)
{
	if (umount2(point, lazily ? MNT_DETACH : UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EBUSY)
		return fail_busy(point);
	return errno == EPERM ? ask_fusermount(point, lazily) : sw_fail_errno("cannot unmount %s", point);
}
