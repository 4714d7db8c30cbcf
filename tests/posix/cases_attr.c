/* Attributes: what stat tells, mode, times, owners, extended ones, and the file system's own. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static struct stat look(int d, const char *path)
{
	struct stat st = {0};

	if (fstatat(d, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		posix_note(path, "%s", strerrorname_np(errno));
	return st;
}

static void note_mode(int d, const char *path)
{
	posix_note(path, "%o", look(d, path).st_mode);
}

static void note_mtime(int d, const char *path)
{
	struct stat st = look(d, path);

	posix_note(path, "%ld.%09ld", (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* Clocks of file systems may be as coarse as a tick. */
static void tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void what_stat_tells(int d)
{
	struct stat row, empty, table, again;

	posix_put(d, "t/r", "0123456789");
	posix_put(d, "t/empty", "");
	row = look(d, "t/r");
	empty = look(d, "t/empty");
	table = look(d, "t");
	posix_note("types", "%o %o", row.st_mode, table.st_mode);
	posix_note("links of a row", "%lu", (unsigned long)row.st_nlink);
	posix_note("links of a directory", "%lu", (unsigned long)table.st_nlink);
	posix_note("size", "%ld", (long)row.st_size);
	TRUE(row.st_blocks > 0 && row.st_blocks <= 16);
	posix_note("blocks of an empty row", "%ld", (long)empty.st_blocks);
	TRUE(row.st_blksize >= 512 && table.st_size >= 0);
	TRUE(row.st_dev == table.st_dev && row.st_ino != table.st_ino &&
	     row.st_ino != empty.st_ino);
	TRUE(row.st_uid == getuid() && row.st_gid == getgid());
	TRUE(table.st_uid == getuid());
	/* The number stays when the row is written, and when it is opened. */
	posix_put(d, "t/r", "other");
	again = look(d, "t/r");
	TRUE(again.st_ino == row.st_ino);
	/* Another file has another. */
	int fd = openat(d, "t/r", O_RDONLY);

	CALL(unlinkat(d, "t/r", 0));
	posix_put(d, "t/r", "new");
	CALL(fstat(fd, &row));
	TRUE(row.st_ino == again.st_ino);
	again = look(d, "t/r");
	TRUE(again.st_ino != row.st_ino);
	posix_put(d, "t/s", "newer");
	CALL(renameat(d, "t/s", d, "t/r"));
	again = look(d, "t/r");
	TRUE(again.st_ino != row.st_ino);
	close(fd);
}

static void a_rename_keeps_the_number(int d)
{
	struct stat before, after;

	posix_put(d, "t/r", "x");
	before = look(d, "t/r");
	CALL(renameat(d, "t/r", d, "t/s"));
	after = look(d, "t/s");
	posix_note("the number", "%s", before.st_ino == after.st_ino ? "stayed" : "changed");
}

static void modes(int d)
{
	int fd;

	close(openat(d, "t/r", O_RDWR | O_CREAT, 0777));
	note_mode(d, "t/r");
	umask(077);
	close(openat(d, "t/s", O_RDWR | O_CREAT, 0666));
	CALL(mkdirat(d, "v", 0777));
	umask(022);
	note_mode(d, "t/s");
	note_mode(d, "v");
	CALL(fchmodat(d, "t/r", 0640, 0));
	note_mode(d, "t/r");
	CALL(fchmodat(d, "t/r", 0, 0));
	note_mode(d, "t/r");
	fd = FD(openat(d, "t/s", O_RDONLY));
	CALL(fchmod(fd, 0444));
	CALL(write(fd, "x", 1));
	close(fd);
	note_mode(d, "t/s");
	CALL(fchmodat(d, "v", 0750, 0));
	note_mode(d, "v");
	/* One that is made read-only can still be written by who made it. */
	fd = FD(openat(d, "t/ro", O_RDWR | O_CREAT | O_EXCL, 0444));
	CALL(write(fd, "x", 1));
	CALL(close(fd));
	posix_note_file(d, "t/ro");
	CALL(faccessat(d, "t/r", F_OK, 0));
	CALL(faccessat(d, "t/s", X_OK, 0));
	CALL(faccessat(d, "v", X_OK, 0));
	/* It moves with the row, and replaces that of what it replaces. */
	CALL(fchmodat(d, "t/r", 0604, 0));
	CALL(renameat(d, "t/r", d, "t/s"));
	note_mode(d, "t/s");
}

static void mode_bits_that_are_not_stored(int d)
{
	posix_put(d, "t/r", "x");
	CALL(fchmodat(d, "t/r", 06755, 0));
	note_mode(d, "t/r");
	CALL(fchmodat(d, "t", 01777, 0));
	note_mode(d, "t");
}

static void owners(int d)
{
	posix_put(d, "t/r", "x");
	CALL(fchownat(d, "t/r", getuid(), getgid(), 0));
	CALL(fchownat(d, "t/r", (uid_t)-1, (gid_t)-1, 0));
	CALL(fchownat(d, "t", getuid(), (gid_t)-1, 0));
	TRUE(look(d, "t/r").st_uid == getuid());
}

static void times_are_set(int d)
{
	static const struct timespec some[][2] = {
	    {{1000, 1}, {2000, 123456789}},
	    {{0, 0}, {0, 0}},
	    {{-5, 500}, {-5, 500}},
	    {{4000000000, 0}, {4000000000, 7}},
	    {{3, UTIME_OMIT}, {3, UTIME_OMIT}},
	};
	struct timespec now, set[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	int fd;

	posix_put(d, "t/r", "x");
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		CALL(utimensat(d, "t/r", some[i], 0));
		note_mtime(d, "t/r");
		CALL(utimensat(d, "t", some[i], 0));
		note_mtime(d, "t");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec--;
	CALL(utimensat(d, "t/r", set, 0));
	TRUE(is_later(look(d, "t/r").st_mtim, now));
	set[1] = (struct timespec){.tv_nsec = UTIME_OMIT};
	set[0] = (struct timespec){.tv_sec = 9};
	CALL(utimensat(d, "t/r", some[0], 0));
	CALL(utimensat(d, "t/r", set, 0));
	note_mtime(d, "t/r");
	CALL(utimensat(d, "t/r", NULL, 0));
	TRUE(is_later(look(d, "t/r").st_mtim, now));
	fd = FD(openat(d, "t/r", O_WRONLY));
	CALL(write(fd, "y", 1));
	CALL(futimens(fd, some[0]));
	CALL(close(fd));
	note_mtime(d, "t/r");
	/* They move with the row. */
	CALL(renameat(d, "t/r", d, "u/r"));
	note_mtime(d, "u/r");
}

static void the_time_of_access(int d)
{
	static const struct timespec t[2] = {{1000, 1}, {2000, 2}};

	posix_put(d, "t/r", "x");
	CALL(utimensat(d, "t/r", t, 0));
	posix_note("atime", "%ld", (long)look(d, "t/r").st_atim.tv_sec);
}

static void times_move(int d)
{
	struct stat a, b, dir, dir2;
	int fd;

	posix_put(d, "t/r", "x");
	a = look(d, "t/r");
	tick();
	CALL(fchmodat(d, "t/r", 0600, 0));
	b = look(d, "t/r");
	TRUE(!is_later(b.st_mtim, a.st_mtim) && !is_later(a.st_mtim, b.st_mtim) &&
	     is_later(b.st_ctim, a.st_ctim));
	tick();
	fd = openat(d, "t/r", O_WRONLY);
	CALL(write(fd, "y", 1));
	fstat(fd, &a);
	TRUE(is_later(a.st_mtim, b.st_mtim) && is_later(a.st_ctim, b.st_ctim));
	close(fd);
	b = look(d, "t/r");
	TRUE(!is_later(b.st_mtim, a.st_mtim) && !is_later(a.st_mtim, b.st_mtim));
	tick();
	CALL(close(openat(d, "t/r", O_WRONLY | O_TRUNC)));
	a = look(d, "t/r");
	TRUE(is_later(a.st_mtim, b.st_mtim));
	/* Entries that come and go move that of their directory; bytes do not. */
	dir = look(d, "t");
	tick();
	posix_put(d, "t/r", "z");
	dir2 = look(d, "t");
	TRUE(!is_later(dir2.st_mtim, dir.st_mtim));
	posix_put(d, "t/s", "z");
	dir2 = look(d, "t");
	TRUE(is_later(dir2.st_mtim, dir.st_mtim));
	tick();
	CALL(unlinkat(d, "t/s", 0));
	dir = look(d, "t");
	TRUE(is_later(dir.st_mtim, dir2.st_mtim));
	tick();
	CALL(renameat(d, "t/r", d, "u/r"));
	dir2 = look(d, "t");
	TRUE(is_later(dir2.st_mtim, dir.st_mtim));
	/* So do directories in it. */
	dir = look(d, ".");
	tick();
	CALL(mkdirat(d, "v", 0755));
	dir2 = look(d, ".");
	TRUE(is_later(dir2.st_mtim, dir.st_mtim) && is_later(dir2.st_ctim, dir.st_ctim));
	tick();
	CALL(renameat(d, "v", d, "w"));
	dir = look(d, ".");
	TRUE(is_later(dir.st_mtim, dir2.st_mtim));
	tick();
	CALL(unlinkat(d, "w", AT_REMOVEDIR));
	dir2 = look(d, ".");
	TRUE(is_later(dir2.st_mtim, dir.st_mtim));
	/* Reading changes none. */
	a = look(d, "u/r");
	posix_note_file(d, "u/r");
	b = look(d, "u/r");
	TRUE(!is_later(b.st_mtim, a.st_mtim) && !is_later(b.st_ctim, a.st_ctim));
}

static void the_file_system(int d)
{
	struct statvfs st, of_row;
	int fd;

	posix_put(d, "t/r", "x");
	CALL(fstatvfs(d, &st));
	fd = FD(openat(d, "t/r", O_RDONLY));
	CALL(fstatvfs(fd, &of_row));
	close(fd);
	posix_note("longest name", "%lu", st.f_namemax);
	TRUE(st.f_bsize > 0 && st.f_frsize > 0 && st.f_blocks > 0);
	TRUE(st.f_bfree <= st.f_blocks && st.f_bavail <= st.f_bfree);
	TRUE(st.f_blocks == of_row.f_blocks && st.f_namemax == of_row.f_namemax);
	TRUE((st.f_flag & ST_RDONLY) == 0);
	posix_note("_PC_NAME_MAX", "%ld", fpathconf(d, _PC_NAME_MAX));
}

static void attributes_of_other_kinds(int d)
{
	char path[64], value[8];

	posix_put(d, "t/r", "x");
	snprintf(path, sizeof(path), "/proc/self/fd/%d/t/r", d);
	CALL(setxattr(path, "user.a", "1", 1, 0));
	CALL(getxattr(path, "user.a", value, sizeof(value)));
	CALL(getxattr(path, "user.none", value, sizeof(value)));
	CALL(listxattr(path, NULL, 0));
	CALL(removexattr(path, "user.a"));
}

const struct posix_case posix_attr_cases[] = {
    {"what_stat_tells", what_stat_tells},
    {"a_rename_keeps_the_number", a_rename_keeps_the_number},
    {"modes", modes},
    {"mode_bits_that_are_not_stored", mode_bits_that_are_not_stored},
    {"owners", owners},
    {"times_are_set", times_are_set},
    {"the_time_of_access", the_time_of_access},
    {"times_move", times_move},
    {"the_file_system", the_file_system},
    {"attributes_of_other_kinds", attributes_of_other_kinds},
    {0},
};
