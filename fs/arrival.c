#include "fs/arrival.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define NAME "arriving"

static int open_store(const char *store, int *out)
{
	*out = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out < 0 ? sw_fail_errno("%s", store) : 0;
}

int sw_arrival_begin(const char *store)
{
	int dir, fd;
	int rc = open_store(store, &dir);

	if (rc < 0)
		return rc;
	fd = openat(dir, NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(dir) < 0)
		rc = sw_fail_errno("cannot make %s/" NAME, store);
	if (fd >= 0)
		close(fd);
	close(dir);
	return rc;
}

bool sw_arrival_is_pending(const char *store)
{
	int dir;
	bool is_pending;

	if (open_store(store, &dir) < 0)
		return false;
	is_pending = faccessat(dir, NAME, F_OK, 0) == 0;
	close(dir);
	return is_pending;
}

int sw_arrival_end(const char *store)
{
	int dir;
	int rc = open_store(store, &dir);

	if (rc < 0)
		return rc;
	if ((unlinkat(dir, NAME, 0) < 0 && errno != ENOENT) || fsync(dir) < 0)
		rc = sw_fail_errno("cannot remove %s/" NAME, store);
	close(dir);
	return rc;
}
