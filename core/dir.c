#include "core/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int sw_dir_sync_of(const char *path, const struct sw_env *env)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	int fd, rc = sw_env_fault(env, "dir.sync");

	if (rc < 0)
		return rc;
	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else if (snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path + 1), path) >=
		 (int)sizeof(dir))
		return sw_fail(SW_ETOOLONG, "%s: path too long", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* EINVAL: a file system that has nothing to flush there. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		rc = sw_fail_errno("cannot flush the directory %s", dir);
	if (fd >= 0)
		close(fd);
	return rc;
}
