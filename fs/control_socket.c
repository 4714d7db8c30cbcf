/* Where the socket is: a unix socket's name ends at 107 bytes, a store's path may be longer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/control_internal.h"

/* The address of STORE/control, through an open directory when it is too long. *dir_fd: close it. */
static int address(const char *dir, struct sockaddr_un *out, int *dir_fd)
{
	int n;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	*dir_fd = -1;
	n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/control", dir);
	if (n > 0 && (size_t)n < sizeof(out->sun_path))
		return 0;
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return sw_fail_errno("%s", dir);
	snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/control", *dir_fd);
	return 0;
}

int sw_control_listen(const char *dir, int *out)
{
	struct sockaddr_un name;
	int dir_fd, fd, rc = address(dir, &name, &dir_fd);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The mode of the socket decides that of the name, from the first moment on. */
	if (fd >= 0 && fchmod(fd, 0600) == 0 && (unlink(name.sun_path) == 0 || errno == ENOENT) &&
	    bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, SW_CONTROL_CLIENTS_MAX) == 0)
		*out = fd;
	else
		rc = sw_fail_errno("cannot make the control socket in %s", dir);
	if (rc < 0 && fd >= 0)
		close(fd);
	if (dir_fd >= 0)
		close(dir_fd);
	return rc;
}

void sw_control_remove(const char *dir)
{
	struct sockaddr_un name;
	int dir_fd;

	if (address(dir, &name, &dir_fd) < 0)
		return;
	unlink(name.sun_path);
	if (dir_fd >= 0)
		close(dir_fd);
}

int sw_control_connect(const char *dir, int *out, int *pid)
{
	struct ucred cred = {0};
	socklen_t n = sizeof(cred);
	struct sockaddr_un name;
	int dir_fd, fd, rc = address(dir, &name, &dir_fd);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		rc = sw_fail_errno("cannot make a socket");
	else if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		rc = errno == ENOENT || errno == ECONNREFUSED
			 ? SW_ENOTFOUND
			 : sw_fail_errno("cannot talk to the process that uses %s", dir);
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		rc = sw_fail_errno("cannot tell who uses %s", dir);
	else if (cred.uid != geteuid() && cred.uid != 0 && geteuid() != 0)
		rc = sw_fail(SW_EDENIED, "%s is in use by another user (uid %u)", dir, (unsigned)cred.uid);
	if (dir_fd >= 0)
		close(dir_fd);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (pid)
		*pid = cred.pid;
	*out = fd;
	return 0;
}
