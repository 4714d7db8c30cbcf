#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/target.h"

/* The mode of the file that it replaces, or of any new one. */
static mode_t mode_for(const struct stat *before)
{
	mode_t mask;

	if (before)
		return before->st_mode & 0777;
	mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

static int open_beside(struct sw_output *out, const struct stat *before)
{
	const char *slash = strrchr(out->path, '/');
	int dir = slash ? (int)(slash - out->path) + 1 : 0;
	int fd;

	if (asprintf(&out->temp, "%.*s.%s.XXXXXX", dir, out->path, out->path + dir) < 0) {
		out->temp = NULL;
		return SW_ENOMEM;
	}
	fd = mkostemp(out->temp, O_CLOEXEC);
	if (fd < 0) {
		int rc = sw_fail_errno("cannot write %s", out->path);

		free(out->temp);
		out->temp = NULL;
		return rc;
	}
	if (fchmod(fd, mode_for(before)) == 0)
		out->file = fdopen(fd, "w");
	if (!out->file) {
		int rc = sw_fail_errno("cannot write %s", out->path);

		close(fd);
		return rc;
	}
	return 0;
}

int sw_output_open(const char *path, struct sw_output *out)
{
	struct stat st;
	bool exists = stat(path, &st) == 0;
	int rc;

	*out = (struct sw_output){0};
	rc = sw_path_absolute(path, &out->path);
	if (rc < 0)
		return rc;
	if (exists && !S_ISREG(st.st_mode)) {
		out->file = fopen(path, "we");
		if (!out->file)
			rc = sw_fail_errno("cannot write %s", path);
	} else {
		rc = open_beside(out, exists ? &st : NULL);
	}
	if (rc < 0)
		sw_output_abandon(out);
	return rc;
}

int sw_output_finish(struct sw_output *out)
{
	bool is_written = fflush(out->file) == 0 && !ferror(out->file) && (!out->temp || fsync(fileno(out->file)) == 0);
	int sys = errno;

	if (fclose(out->file) != 0 && is_written) {
		is_written = false;
		sys = errno;
	}
	out->file = NULL;
	errno = sys;
	if (!is_written || (out->temp && rename(out->temp, out->path) < 0)) {
		int rc = sw_fail_errno("cannot write %s", out->path);

		sw_output_abandon(out);
		return rc;
	}
	free(out->temp);
	out->temp = NULL;
	sw_output_abandon(out);
	return 0;
}

void sw_output_abandon(struct sw_output *out)
{
	if (out->file)
		fclose(out->file);
	if (out->temp)
		unlink(out->temp);
	free(out->temp);
	free(out->path);
	*out = (struct sw_output){0};
}
