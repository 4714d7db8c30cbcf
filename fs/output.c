#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/target.h"

#define FILLED 6 /* characters at the end of temp: mkostemp() fills them in, or fill() */

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

/*
 * A file without a name, if the file system has such: nothing is left of it, however this process ends. Else one that is named so that it is known
 * for what it is.
 */
static int open_temp(struct sw_output *out, int dir)
{
	char *parent = strndup(out->path, (size_t)dir);
	int fd = parent ? open(parent, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;

	free(parent);
	out->is_nameless = fd >= 0;
	return fd >= 0 ? fd : mkostemp(out->temp, O_CLOEXEC);
}

static int open_beside(struct sw_output *out, const struct stat *before)
{
	int dir = (int)(strrchr(out->path, '/') - out->path) + 1;
	int fd;

	/* A long name is cut, so that this one is no longer. */
	if (asprintf(&out->temp, "%.*s.%.*s.XXXXXX", dir, out->path, NAME_MAX - FILLED - 2, out->path + dir) < 0) {
		out->temp = NULL;
		return SW_ENOMEM;
	}
	fd = open_temp(out, dir);
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

static int fill(char *temp)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t random[FILLED];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	for (size_t i = 0; i < FILLED; i++)
		temp[strlen(temp) - FILLED + i] = letters[random[i] & 31];
	return 0;
}

/* The name beside it, for a moment: only rename() replaces a file. */
static bool give_name(struct sw_output *out)
{
	char link[32];
	int rc;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fileno(out->file));
	do
		rc = fill(out->temp) < 0 ? -1 : linkat(AT_FDCWD, link, AT_FDCWD, out->temp, AT_SYMLINK_FOLLOW);
	while (rc < 0 && errno == EEXIST);
	out->is_nameless = rc < 0;
	return rc == 0;
}

int sw_output_finish(struct sw_output *out)
{
	bool is_written = fflush(out->file) == 0 && !ferror(out->file) && (!out->temp || fsync(fileno(out->file)) == 0) &&
			  (!out->is_nameless || give_name(out));
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
	if (out->temp && !out->is_nameless)
		unlink(out->temp);
	free(out->temp);
	free(out->path);
	*out = (struct sw_output){0};
}
