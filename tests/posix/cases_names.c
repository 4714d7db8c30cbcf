/* Calls on names: what is there, what is not, what cannot be; rename in all its forms; listing. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void what_is_not_there(int d)
{
	static const char *const paths[] = {"t/none", "none",  "none/r", "t/none/r",
					    "",       "none/", "t/none/"};
	struct stat st;
	char target[16];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *p = paths[i];

		CALL(fstatat(d, p, &st, 0));
		CALL(openat(d, p, O_RDONLY));
		CALL(openat(d, p, O_RDONLY | O_DIRECTORY));
		CALL(unlinkat(d, p, 0));
		CALL(unlinkat(d, p, AT_REMOVEDIR));
		CALL(renameat(d, p, d, "t/x"));
		CALL(renameat2(d, p, d, "u", RENAME_EXCHANGE));
		CALL(fchmodat(d, p, 0600, 0));
		CALL(fchownat(d, p, getuid(), getgid(), 0));
		CALL(utimensat(d, p, NULL, 0));
		CALL(faccessat(d, p, F_OK, 0));
		CALL(readlinkat(d, p, target, sizeof(target)));
		CALL(linkat(d, p, d, "t/x", 0));
	}
	CALL(mkdirat(d, "none/x", 0755));
	CALL(openat(d, "none/x", O_RDWR | O_CREAT, 0644));
	posix_put(d, "t/r", "x");
	CALL(renameat(d, "t/r", d, "none/r"));
	CALL(renameat(d, "t/r", d, ""));
	posix_note_file(d, "t/r");
}

static void what_is_no_directory(int d)
{
	struct stat st;

	posix_put(d, "t/r", "x");
	CALL(fstatat(d, "t/r/x", &st, 0));
	CALL(fstatat(d, "t/r/", &st, 0));
	CALL(fstatat(d, "t/r/.", &st, 0));
	CALL(fstatat(d, "t/r/..", &st, 0));
	CALL(openat(d, "t/r/x", O_RDWR | O_CREAT, 0644));
	CALL(openat(d, "t/r/", O_RDONLY));
	CALL(openat(d, "t/new/", O_RDWR | O_CREAT, 0644));
	CALL(openat(d, "t/r", O_RDONLY | O_DIRECTORY));
	CALL(openat(d, "t/new", O_RDONLY | O_DIRECTORY | O_CREAT, 0644));
	CALL(mkdirat(d, "t/r/x", 0755));
	CALL(unlinkat(d, "t/r/x", 0));
	CALL(unlinkat(d, "t/r", AT_REMOVEDIR));
	CALL(unlinkat(d, "t/r/", 0));
	CALL(renameat(d, "t/r", d, "t/r/x"));
	CALL(renameat(d, "u", d, "t/r"));
	CALL(renameat(d, "u", d, "t/r/x"));
	CALL(renameat(d, "t/r", d, "t/new/"));
	CALL(linkat(d, "t/r", d, "t/r/x", 0));
	CALL(fchmodat(d, "t/r/x", 0600, 0));
	CALL(utimensat(d, "t/r/x", NULL, 0));
	posix_note_names(d, "t");
	posix_note_names(d, "t/r");
}

static void what_is_a_directory(int d)
{
	char buf[4];
	int fd;

	posix_put(d, "t/r", "x");
	CALL(openat(d, "t", O_WRONLY));
	CALL(openat(d, "t", O_RDWR));
	CALL(openat(d, "t", O_RDONLY | O_TRUNC));
	CALL(openat(d, "t", O_RDONLY | O_CREAT, 0644));
	CALL(openat(d, "t/", O_RDWR | O_CREAT, 0644));
	CALL(unlinkat(d, "t", 0));
	CALL(unlinkat(d, "u/", 0));
	CALL(renameat(d, "t/r", d, "u"));
	CALL(renameat(d, "t/r", d, "t"));
	CALL(linkat(d, "t", d, "v", 0));
	fd = FD(openat(d, "t", O_RDONLY));
	CALL(read(fd, buf, sizeof(buf)));
	CALL(pread(fd, buf, sizeof(buf), 0));
	CALL(write(fd, buf, sizeof(buf)));
	CALL(ftruncate(fd, 0));
	CALL(lseek(fd, 0, SEEK_SET));
	close(fd);
	posix_note_names(d, "t");
}

static void what_is_there_already(int d)
{
	int fd;

	posix_put(d, "t/r", "old");
	posix_put(d, "t/s", "other");
	CALL(mkdirat(d, "t", 0755));
	CALL(mkdirat(d, "t/", 0755));
	CALL(mkdirat(d, "t/r", 0755));
	CALL(mkdirat(d, ".", 0755));
	CALL(mkdirat(d, "t/.", 0755));
	CALL(mkdirat(d, "t/..", 0755));
	CALL(openat(d, "t/r", O_RDWR | O_CREAT | O_EXCL, 0644));
	CALL(openat(d, "t/r", O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0644));
	CALL(openat(d, "t", O_RDONLY | O_CREAT | O_EXCL, 0644));
	CALL(renameat2(d, "t/r", d, "t/s", RENAME_NOREPLACE));
	CALL(renameat2(d, "t/r", d, "t/r", RENAME_NOREPLACE));
	CALL(renameat2(d, "t", d, "u", RENAME_NOREPLACE));
	CALL(linkat(d, "t/r", d, "t/s", 0));
	CALL(symlinkat("r", d, "t/s"));
	CALL(mknodat(d, "t/s", S_IFREG | 0644, 0));
	posix_note_file(d, "t/r");
	posix_note_file(d, "t/s");
	/* As git takes a lock: one creates, the other is told, and a rename gives it up. */
	fd = FD(openat(d, "t/r.lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	CALL(openat(d, "t/r.lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	CALL(write(fd, "new", 3));
	CALL(close(fd));
	CALL(renameat(d, "t/r.lock", d, "t/r"));
	posix_note_file(d, "t/r");
	posix_note_names(d, "t");
	fd = FD(openat(d, "t/r.lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	close(fd);
}

static void directories_come_and_go(int d)
{
	int fd;

	posix_put(d, "t/r", "x");
	CALL(unlinkat(d, "t", AT_REMOVEDIR));
	CALL(unlinkat(d, "u", AT_REMOVEDIR));
	CALL(unlinkat(d, "u", AT_REMOVEDIR));
	CALL(mkdirat(d, "u", 0700));
	CALL(unlinkat(d, "u/.", AT_REMOVEDIR));
	CALL(unlinkat(d, "t/..", AT_REMOVEDIR));
	CALL(unlinkat(d, "u/", AT_REMOVEDIR));
	CALL(mkdirat(d, "v/", 0755));
	CALL(unlinkat(d, "t/r", 0));
	CALL(unlinkat(d, "t/r", 0));
	CALL(unlinkat(d, "t", AT_REMOVEDIR));
	posix_note_names(d, ".");
	/* One that is removed while it is open is empty, and takes nothing new, even when the name
	 * comes again. */
	fd = FD(openat(d, "v", O_RDONLY | O_DIRECTORY));
	CALL(unlinkat(d, "v", AT_REMOVEDIR));
	CALL(openat(fd, "r", O_RDWR | O_CREAT, 0644));
	CALL(mkdirat(d, "v", 0755));
	CALL(openat(fd, "r", O_RDWR | O_CREAT, 0644));
	CALL(faccessat(fd, "r", F_OK, 0));
	posix_note_names(d, "v");
	close(fd);
	/* A working directory that goes away. */
	fd = FD(openat(d, "v", O_RDONLY | O_DIRECTORY));
	CALL(fchdir(fd));
	close(fd);
	CALL(unlinkat(d, "v", AT_REMOVEDIR));
	CALL(open("r", O_RDWR | O_CREAT, 0644));
	CALL(chdir(".."));
	CALL(chdir("/"));
}

static void long_names(int d)
{
	char row[2 + NAME_MAX + 2] = "t/", other[2 + NAME_MAX + 2] = "t/", path[PATH_MAX + 2];
	struct stat st;

	for (size_t n = NAME_MAX; n <= NAME_MAX + 1; n++) {
		memset(row + 2, 'x', n);
		memset(other + 2, 'y', n);
		row[2 + n] = other[2 + n] = '\0';
		posix_note("bytes", "%zu", n);
		CALL(mkdirat(d, row + 2, 0755));
		CALL(fstatat(d, row + 2, &st, 0));
		CALL(renameat(d, row + 2, d, other + 2));
		CALL(unlinkat(d, other + 2, AT_REMOVEDIR));
		CALL(close(openat(d, row, O_RDWR | O_CREAT, 0644)));
		CALL(fstatat(d, row, &st, 0));
		CALL(renameat(d, row, d, other));
		CALL(renameat2(d, "t/none", d, row, RENAME_EXCHANGE));
		CALL(linkat(d, "t/none", d, row, 0));
		CALL(unlinkat(d, other, 0));
		CALL(fchmodat(d, other, 0600, 0));
	}
	memset(path, '/', sizeof(path));
	path[0] = 't';
	path[sizeof(path) - 1] = '\0';
	CALL(fstatat(d, path, &st, 0));
}

static void what_is_invalid(int d)
{
	struct timespec bad[2] = {{.tv_nsec = 1000000000}, {.tv_nsec = 1000000000}};
	char buf[4];
	int fd;

	posix_put(d, "t/r", "x");
	posix_put(d, "t/s", "y");
	CALL(renameat2(d, "t/r", d, "t/s", RENAME_NOREPLACE | RENAME_EXCHANGE));
	CALL(renameat2(d, "t/r", d, "t/s", 1u << 10));
	CALL(renameat(d, "t", d, "t/x"));
	CALL(renameat(d, "t", d, "."));
	CALL(renameat(d, "t/.", d, "v"));
	CALL(renameat(d, "t", d, "u/.."));
	CALL(utimensat(d, "t/r", bad, 0));
	CALL(unlinkat(d, "t/r", 1));
	CALL(readlinkat(d, "t/r", buf, sizeof(buf)));
	CALL(readlinkat(d, "t", buf, sizeof(buf)));
	fd = FD(openat(d, "t/r", O_RDWR));
	CALL(lseek(fd, -1, SEEK_SET));
	CALL(lseek(fd, -2, SEEK_END));
	CALL(lseek(fd, 0, 77));
	CALL(pread(fd, buf, 1, -1));
	CALL(pwrite(fd, buf, 1, -1));
	CALL(ftruncate(fd, -1));
	CALL(fallocate(fd, 0, -1, 1));
	CALL(fallocate(fd, 0, 0, 0));
	CALL(close(fd));
	CALL(read(fd, buf, 1));
	fd = FD(openat(d, "t/r", O_RDONLY));
	CALL(write(fd, buf, 1));
	CALL(ftruncate(fd, 0));
	close(fd);
	fd = FD(openat(d, "t/r", O_WRONLY));
	CALL(read(fd, buf, 1));
	close(fd);
	posix_note_file(d, "t/r");
}

static void what_two_levels_do_not_have(int d)
{
	posix_put(d, "t/r", "x");
	CALL(mkdirat(d, "t/x", 0755));
	CALL(symlinkat("r", d, "t/l"));
	CALL(linkat(d, "t/r", d, "t/h", 0));
	CALL(mknodat(d, "t/p", S_IFIFO | 0644, 0));
	CALL(mknodat(d, "t/f", S_IFREG | 0644, 0));
	CALL(close(openat(d, "f", O_RDWR | O_CREAT, 0644)));
	CALL(renameat(d, "t/r", d, "r"));
	CALL(renameat(d, "u", d, "t/u"));
	CALL(close(openat(d, "t", O_TMPFILE | O_RDWR, 0644)));
}

static void rename_replaces(int d)
{
	int from, over;
	struct stat st;

	posix_put(d, "t/r", "one");
	posix_put(d, "t/s", "two");
	from = FD(openat(d, "t/r", O_RDWR));
	over = FD(openat(d, "t/s", O_RDWR));
	CALL(renameat(d, "t/r", d, "t/s"));
	posix_note_file(d, "t/r");
	posix_note_file(d, "t/s");
	TEXT(from);
	TEXT(over);
	CALL(fstat(over, &st));
	posix_note("nlink of what was replaced", "%lu", (unsigned long)st.st_nlink);
	CALL(fstat(from, &st));
	posix_note("nlink of what moved", "%lu", (unsigned long)st.st_nlink);
	/* Through the one the name, through the other nothing. */
	CALL(pwrite(from, "ONE", 3, 0));
	CALL(pwrite(over, "late", 4, 0));
	CALL(ftruncate(over, 2));
	TEXT(over);
	posix_note_file(d, "t/s");
	CALL(close(over));
	CALL(close(from));
	posix_note_file(d, "t/s");
	CALL(renameat(d, "t/s", d, "t/s"));
	CALL(renameat(d, "t/s", d, "u/s"));
	CALL(renameat(d, "u/s", d, "u/./r"));
	posix_note_names(d, "t");
	posix_note_names(d, "u");
	CALL(renameat2(d, "u/r", d, "u/free", RENAME_NOREPLACE));
	posix_note_file(d, "u/free");
}

static void rename_exchanges(int d)
{
	int a, b;

	posix_put(d, "t/a", "A");
	posix_put(d, "u/b", "B");
	a = FD(openat(d, "t/a", O_RDWR));
	b = FD(openat(d, "u/b", O_RDWR));
	CALL(renameat2(d, "t/a", d, "u/b", RENAME_EXCHANGE));
	posix_note_file(d, "t/a");
	posix_note_file(d, "u/b");
	CALL(write(a, "AA", 2));
	CALL(write(b, "BB", 2));
	CALL(close(a));
	CALL(close(b));
	posix_note_file(d, "t/a");
	posix_note_file(d, "u/b");
	CALL(renameat2(d, "t/a", d, "t/a", RENAME_EXCHANGE));
	CALL(renameat2(d, "t/a", d, "t/none", RENAME_EXCHANGE));
	CALL(renameat2(d, "t/none", d, "t/a", RENAME_EXCHANGE));
	CALL(renameat2(d, "t", d, "u", RENAME_EXCHANGE));
	posix_note_names(d, "t");
	posix_note_names(d, "u");
	CALL(renameat2(d, "t", d, "none", RENAME_EXCHANGE));
	CALL(renameat2(d, "t", d, "u/a", RENAME_EXCHANGE));
}

static void rename_moves_a_directory(int d)
{
	struct stat before, after;
	int row, dir;

	posix_put(d, "t/r", "one");
	posix_put(d, "t/s", "two");
	row = FD(openat(d, "t/r", O_RDWR));
	dir = FD(openat(d, "t", O_RDONLY | O_DIRECTORY));
	CALL(fstat(row, &before));
	CALL(renameat(d, "t", d, "v"));
	posix_note_names(d, ".");
	posix_note_file(d, "t/r");
	posix_note_file(d, "v/r");
	posix_note_names(dir, ".");
	CALL(write(row, "ONE", 3));
	posix_note_file(d, "v/r");
	posix_note_file(dir, "r");
	posix_put(dir, "n", "new");
	posix_note_file(d, "v/n");
	CALL(fstat(row, &after));
	posix_note("links", "%lu", (unsigned long)after.st_nlink);
	CALL(fstatat(d, "v/r", &before, 0));
	TRUE(before.st_ino == after.st_ino);
	CALL(unlinkat(dir, "s", 0));
	CALL(close(row));
	CALL(close(dir));
	posix_note_names(d, "v");
	/* Over one that is empty, and over one that is not. */
	CALL(renameat(d, "v", d, "u"));
	CALL(mkdirat(d, "w", 0755));
	CALL(renameat(d, "u", d, "w"));
	posix_note_names(d, "w");
	CALL(mkdirat(d, "x", 0755));
	CALL(renameat(d, "x", d, "w"));
	CALL(renameat(d, "w", d, "w"));
	CALL(renameat2(d, "x", d, "w", RENAME_NOREPLACE));
	posix_note_names(d, ".");
}

static void what_comes_after_it_was_missed(int d)
{
	struct stat st;

	CALL(fstatat(d, "t/r", &st, 0));
	posix_put(d, "t/r", "x");
	CALL(fstatat(d, "t/r", &st, 0));
	CALL(renameat(d, "t/r", d, "t/s"));
	CALL(fstatat(d, "t/r", &st, 0));
	CALL(fstatat(d, "t/s", &st, 0));
	CALL(fstatat(d, "v", &st, 0));
	CALL(mkdirat(d, "v", 0755));
	CALL(fstatat(d, "v", &st, 0));
	CALL(fstatat(d, "v/s", &st, 0));
	CALL(unlinkat(d, "v", AT_REMOVEDIR));
	CALL(renameat(d, "t", d, "v"));
	CALL(fstatat(d, "v/s", &st, 0));
	CALL(fstatat(d, "t/s", &st, 0));
}

static const char *type_name(unsigned char type)
{
	return type == DT_DIR ? "directory" : type == DT_REG ? "file" : "other";
}

/* Inode numbers in a listing are those of stat, and so are types; . and .. are there. */
static void listings_tell_number_and_type(int d)
{
	struct dirent **list;
	int n;

	for (int i = 0; i < 300; i++) {
		char path[32];

		snprintf(path, sizeof(path), "t/row-%d", i);
		posix_put(d, path, path);
	}
	for (const char *const *dir = (const char *const[]){"t", ".", NULL}; *dir; dir++) {
		int wrong = 0, types = 0;

		n = scandirat(d, *dir, &list, NULL, alphasort);
		posix_note(*dir, "%d entries", n);
		for (int i = 0; i < n; i++) {
			char path[300];
			struct stat st;

			snprintf(path, sizeof(path), "%s/%s", *dir, list[i]->d_name);
			if (i < 5)
				posix_note(list[i]->d_name, "%s", type_name(list[i]->d_type));
			/* What is mounted is another matter than where. */
			if (strcmp(list[i]->d_name, "..") != 0)
				wrong +=
				    fstatat(d, path, &st, 0) < 0 || st.st_ino != list[i]->d_ino;
			types += fstatat(d, path, &st, 0) < 0 ||
				 (mode_t)DTTOIF(list[i]->d_type) != (st.st_mode & S_IFMT);
			free(list[i]);
		}
		if (n >= 0)
			free(list);
		posix_note("other numbers than stat's", "%d", wrong);
		posix_note("other types than stat's", "%d", types);
	}
}

/* Positions can be told and come back to, and rewinddir() shows what is new. */
static void listings_have_positions(int d)
{
	char names[40][32];
	long at[40];
	int n = 0, wrong = 0;
	struct dirent *e;
	DIR *dir;

	for (int i = 0; i < 30; i++) {
		char path[32];

		snprintf(path, sizeof(path), "t/%d", i);
		posix_put(d, path, "");
	}
	dir = fdopendir(openat(d, "t", O_RDONLY | O_DIRECTORY));
	for (at[0] = telldir(dir); (e = readdir(dir)) && n < 39; at[++n] = telldir(dir))
		snprintf(names[n], sizeof(names[n]), "%.31s", e->d_name);
	posix_note("entries", "%d", n);
	for (int i = n - 1; i >= 0; i--) {
		seekdir(dir, at[i]);
		e = readdir(dir);
		wrong += !e || strcmp(e->d_name, names[i]) != 0;
	}
	posix_note("wrong ones after seekdir()", "%d", wrong);
	posix_put(d, "t/new", "");
	unlinkat(d, "t/0", 0);
	rewinddir(dir);
	for (n = 0; (e = readdir(dir)); n++)
		wrong += strcmp(e->d_name, "0") == 0;
	posix_note("entries after rewinddir()", "%d", n);
	posix_note("of them gone", "%d", wrong);
	closedir(dir);
}

/* As rm -r does: every entry that is read is removed at once. */
static void listings_while_they_are_emptied(int d)
{
	int n = 0, failed = 0;
	struct dirent *e;
	DIR *dir;

	for (int i = 0; i < 1000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "t/row-%d", i);
		posix_put(d, path, "");
	}
	dir = fdopendir(openat(d, "t", O_RDONLY | O_DIRECTORY));
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			failed += unlinkat(dirfd(dir), e->d_name, 0) < 0;
			n++;
		}
	closedir(dir);
	posix_note("entries", "%d", n);
	posix_note("not removed", "%d", failed);
	CALL(unlinkat(d, "t", AT_REMOVEDIR));
}

const struct posix_case posix_name_cases[] = {
    {"what_is_not_there", what_is_not_there},
    {"what_is_no_directory", what_is_no_directory},
    {"what_is_a_directory", what_is_a_directory},
    {"what_is_there_already", what_is_there_already},
    {"directories_come_and_go", directories_come_and_go},
    {"long_names", long_names},
    {"what_is_invalid", what_is_invalid},
    {"what_two_levels_do_not_have", what_two_levels_do_not_have},
    {"rename_replaces", rename_replaces},
    {"rename_exchanges", rename_exchanges},
    {"rename_moves_a_directory", rename_moves_a_directory},
    {"what_comes_after_it_was_missed", what_comes_after_it_was_missed},
    {"listings_tell_number_and_type", listings_tell_number_and_type},
    {"listings_have_positions", listings_have_positions},
    {"listings_while_they_are_emptied", listings_while_they_are_emptied},
    {0},
};
