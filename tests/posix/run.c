/* Runs every case in both directories and compares: posix MOUNT REFERENCE [CASE]. Writes TAP. */
#include "tests/posix/posix.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_MAX 512
#define NOTE_SIZE 640

/* What one run of a case said. */
struct notes {
	char text[NOTES_MAX][NOTE_SIZE];
	size_t n;
};

static struct notes *now; /* of the run that is under way */

void posix_note(const char *what, const char *format, ...)
{
	char result[NOTE_SIZE / 2];
	va_list ap;

	va_start(ap, format);
	vsnprintf(result, sizeof(result), format, ap);
	va_end(ap);
	assert(now->n < NOTES_MAX);
	snprintf(now->text[now->n++], NOTE_SIZE, "%.300s = %s", what, result);
}

long posix_note_call(const char *what, long result)
{
	if (result < 0)
		posix_note(what, "%s", strerrorname_np(errno));
	else
		posix_note(what, "%ld", result);
	return result;
}

int posix_note_fd(const char *what, int fd)
{
	if (fd < 0)
		posix_note(what, "%s", strerrorname_np(errno));
	else
		posix_note(what, "open");
	return fd;
}

void posix_note_true(const char *what, bool is_so)
{
	posix_note(what, "%s", is_so ? "true" : "false");
}

/* A check sum stands for what is long. */
void posix_note_text(const char *what, int fd)
{
	static _Alignas(4096) char buf[1 << 16]; /* as O_DIRECT wants it */
	char text[200] = "";
	unsigned long sum = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)buf[i];
		if (at == 0 && n < (ssize_t)sizeof(text))
			memcpy(text, buf, (size_t)n);
		at += n;
	}
	if (n < 0)
		posix_note(what, "%s", strerrorname_np(errno));
	else
		posix_note(what, "%ld bytes, sum %lx: %s", (long)at, sum, text);
}

void posix_put(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) < 0)
		posix_note(path, "could not be written: %s", strerrorname_np(errno));
}

void posix_note_file(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		posix_note(path, "%s", strerrorname_np(errno));
		return;
	}
	posix_note_text(path, fd);
	close(fd);
}

void posix_note_names(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list;
	char all[300] = "";
	int n;

	if (fd < 0) {
		posix_note(path, "%s", strerrorname_np(errno));
		return;
	}
	n = scandirat(dir, path, &list, NULL, alphasort);
	close(fd);
	for (int i = 0; i < n; i++) {
		size_t used = strlen(all);

		snprintf(all + used, sizeof(all) - used, "%s ", list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	posix_note(path, "%s", all);
}

/* Removes what a case left behind; nothing in a directory is deeper than one level in a mount. */
static void clear(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlinkat(fd, e->d_name, 0) == 0)
			continue;
		clear(fd, e->d_name);
		if (unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0) {
			fprintf(stderr, "cannot remove %s/%s: %s\n", path, e->d_name, strerror(errno));
			exit(1);
		}
	}
	if (d)
		closedir(d);
}

static void run_in(const char *path, const struct posix_case *c, struct notes *notes)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	now = notes;
	now->n = 0;
	if (dir < 0 || mkdirat(dir, "t", 0755) < 0 || mkdirat(dir, "u", 0755) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	c->run(dir);
	clear(dir, ".");
	close(dir);
}

static const struct posix_exception *exception_for(const char *test, const char *note)
{
	for (const struct posix_exception *e = posix_exceptions; e->test; e++)
		if (strcmp(e->test, test) == 0 && strncmp(e->call, note, strlen(e->call)) == 0)
			return e;
	return NULL;
}

static const char *result_of(const char *note)
{
	const char *p = note, *found = note;

	while ((p = strstr(p, " = ")))
		found = p += 3;
	return found;
}

/* An exception must be one: who answers as the reference does needs none. */
static bool is_same(const struct posix_case *c, const char *mount, const char *reference)
{
	const struct posix_exception *e = exception_for(c->name, mount);

	if (!e)
		return strcmp(mount, reference) == 0;
	return strcmp(mount, reference) != 0 &&
	       (!e->mount || strcmp(result_of(mount), e->mount) == 0);
}

static bool compare(const struct posix_case *c, const struct notes *mount,
		    const struct notes *reference)
{
	bool same = mount->n == reference->n;

	for (size_t i = 0; i < mount->n && i < reference->n; i++) {
		if (is_same(c, mount->text[i], reference->text[i]))
			continue;
		same = false;
		printf("#   %s\n#     the reference: %s\n", mount->text[i],
		       result_of(reference->text[i]));
	}
	if (mount->n != reference->n)
		printf("#   %zu notes, and %zu of the reference\n", mount->n, reference->n);
	return same;
}

static int run_all(const struct posix_case *cases, char **argv, int *number)
{
	static struct notes notes[2];
	int failed = 0;

	for (const struct posix_case *c = cases; c->name; c++) {
		bool same;

		if (argv[3] && strcmp(argv[3], c->name) != 0)
			continue;
		run_in(argv[2], c, &notes[1]);
		run_in(argv[1], c, &notes[0]);
		same = compare(c, &notes[0], &notes[1]);
		printf("%s %d %s, %zu results\n", same ? "ok" : "not ok", ++*number, c->name,
		       notes[1].n);
		fflush(stdout);
		failed += !same;
	}
	return failed;
}

int main(int argc, char **argv)
{
	int failed, n = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: posix MOUNT REFERENCE [CASE]\n");
		return 2;
	}
	umask(022);
	failed = run_all(posix_name_cases, argv, &n);
	failed += run_all(posix_data_cases, argv, &n);
	failed += run_all(posix_attr_cases, argv, &n);
	failed += run_all(posix_open_cases, argv, &n);
	printf("1..%d\n", n);
	return failed > 0 || n == 0;
}
