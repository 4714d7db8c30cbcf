/*
 * Import of directories: files are rows as they are. Links are not followed, since a row that
 * another path decides about is rarely what was meant, and what is no regular file cannot be a row.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/import_internal.h"
#include "fs/time_ns.h"

struct entry {
	char *name;
	mode_t type; /* S_IFREG, S_IFDIR, or anything else */
};

struct entries {
	struct entry *v;
	size_t n;
	size_t cap;
	size_t n_files;
	size_t n_directories;
};

static void entries_fini(struct entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->v[i].name);
	free(e->v);
	*e = (struct entries){0};
}

/* By bytes: the order must not depend on the locale. */
static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int fail_sys(struct sw_import *im, const char *what, const char *name)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	int sys = errno;

	return sw_import_fail(im, sw_err_from_errno(sys), 0, "%s cannot be %s: %s",
			      sw_import_show(sw_view_str(name), shown), what, strerror(sys));
}

static int entries_add(struct entries *e, const char *name, mode_t type)
{
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 64;
		struct entry *v = reallocarray(e->v, cap, sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n].name = strdup(name);
	if (!e->v[e->n].name)
		return SW_ENOMEM;
	e->v[e->n++].type = type;
	e->n_files += type == S_IFREG;
	e->n_directories += type == S_IFDIR;
	return 0;
}

static int list(struct sw_import *im, DIR *dir, struct entries *out)
{
	struct dirent *d;
	struct stat st;

	while (errno = 0, (d = readdir(dir)) != NULL) {
		int rc;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return fail_sys(im, "looked at", d->d_name);
		rc = entries_add(out, d->d_name, st.st_mode & S_IFMT);
		if (rc < 0)
			return rc;
	}
	if (errno != 0)
		return fail_sys(im, "listed", "the directory");
	if (out->n > 0)
		qsort(out->v, out->n, sizeof(*out->v), entry_cmp);
	return 0;
}

/* Sorted entries of the directory name in parent, which stays open. */
static int open_and_list(struct sw_import *im, int parent, const char *name, DIR **dir,
			 struct entries *out)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*dir = fd < 0 ? NULL : fdopendir(fd);
	if (!*dir) {
		int rc = fail_sys(im, "opened", name);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	return list(im, *dir, out);
}

/* Count what is left out; the first one is kept to be named. */
static void skip(struct sw_import *im, const char *name, char first[static SW_IMPORT_SHOW_SIZE])
{
	if (im->report->n_skipped++ == 0)
		sw_import_show(sw_view_str(name), first);
}

static int read_file(struct sw_import *im, int fd, const char *name)
{
	struct sw_import_source s = {.fd = fd};
	struct sw_import_meta meta;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return fail_sys(im, "looked at", name);
	if (st.st_size > 0 && (uint64_t)st.st_size <= SW_IMPORT_FILE_MAX &&
	    !sw_buf_reserve(&im->row, (size_t)st.st_size + SW_IMPORT_READ_SIZE))
		return SW_ENOMEM;
	/* One buffer serves all files. */
	sw_buf_reset(&im->row);
	s.buf = im->row;
	im->row = (struct sw_buf){0};
	rc = sw_import_read_all(im, &s);
	im->row = s.buf;
	if (rc < 0)
		return rc;
	meta = (struct sw_import_meta){
	    .mode = (uint16_t)(st.st_mode & SW_MODE_MASK),
	    .mtime_ns = sw_time_ns(&st.st_mtim),
	};
	return sw_import_emit(im, sw_view_str(name), sw_buf_view(&im->row), &meta);
}

static int read_table(struct sw_import *im, int dirfd, const struct entries *e,
		      char first[static SW_IMPORT_SHOW_SIZE])
{
	for (size_t i = 0; i < e->n; i++) {
		const char *name = e->v[i].name;
		int fd;
		int rc;

		if (e->v[i].type != S_IFREG) {
			skip(im, name, first);
			continue;
		}
		rc = sw_import_check_name(im, 0, "file name", sw_view_str(name));
		if (rc < 0)
			return rc;
		/* Not to wait, should it have become a pipe by now. */
		fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return fail_sys(im, "opened", name);
		rc = read_file(im, fd, name);
		close(fd);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_subdirectory(struct sw_import *im, int parent, const char *name,
			     char first[static SW_IMPORT_SHOW_SIZE])
{
	SW_CLEANUP(entries_fini) struct entries e = {0};
	DIR *dir;
	int rc = sw_import_begin_table(im, sw_view_str(name));

	if (rc < 0)
		return rc;
	rc = open_and_list(im, parent, name, &dir, &e);
	if (rc == 0)
		rc = read_table(im, dirfd(dir), &e, first);
	if (dir)
		closedir(dir);
	return rc;
}

static int read_tables(struct sw_import *im, int dirfd, const struct entries *e,
		       char first[static SW_IMPORT_SHOW_SIZE])
{
	for (size_t i = 0; i < e->n; i++) {
		int rc;

		if (e->v[i].type != S_IFDIR) {
			skip(im, e->v[i].name, first);
			continue;
		}
		rc = read_subdirectory(im, dirfd, e->v[i].name, first);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_top(struct sw_import *im, int fd, const struct entries *e,
		    char first[static SW_IMPORT_SHOW_SIZE])
{
	int rc;

	if (e->n_directories > 0 && !im->options->table) {
		if (e->n_files > 0)
			return sw_import_fail(
			    im, SW_EFORMAT, 0,
			    "holds %zu files and %zu directories, and rows cannot lie "
			    "beside tables; import one of the directories, or name "
			    "the table for the files with --table",
			    e->n_files, e->n_directories);
		return read_tables(im, fd, e, first);
	}
	if (e->n_directories > 0 && e->n_files == 0)
		return sw_import_fail(
		    im, SW_EFORMAT, 0,
		    "holds no files, only directories; leave out --table to import "
		    "each as a table");
	rc = sw_import_begin_table(im, im->table);
	return rc < 0 ? rc : read_table(im, fd, e, first);
}

int sw_import_directory(struct sw_import *im, int fd)
{
	SW_CLEANUP(entries_fini) struct entries e = {0};
	char first[SW_IMPORT_SHOW_SIZE] = "";
	DIR *dir;
	int rc = open_and_list(im, fd, ".", &dir, &e);

	if (rc == 0)
		rc = read_top(im, dirfd(dir), &e, first);
	if (dir)
		closedir(dir);
	if (im->report->n_skipped > 0)
		sw_import_note(im,
			       "%" PRIu64
			       " %s left out, being no regular file of a table; the first "
			       "is %s.",
			       im->report->n_skipped,
			       im->report->n_skipped == 1 ? "entry was" : "entries were", first);
	return rc;
}
