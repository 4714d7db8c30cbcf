/* Bytes: reading, writing, appending, truncating, holes, maps, and what becomes of an open file
 * without a name. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void reads_and_writes(int d)
{
	struct iovec v[2] = {{"abc", 3}, {"defg", 4}}, empty[2] = {{NULL, 0}, {NULL, 0}};
	char buf[8] = "";
	int fd = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644));

	CALL(read(fd, buf, sizeof(buf)));
	CALL(write(fd, buf, 0));
	CALL(writev(fd, v, 2));
	CALL(writev(fd, empty, 2));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(lseek(fd, -2, SEEK_END));
	CALL(read(fd, buf, sizeof(buf)));
	posix_note("read", "%.8s", buf);
	CALL(read(fd, buf, sizeof(buf)));
	CALL(pread(fd, buf, 3, 2));
	CALL(pread(fd, buf, 3, 100));
	CALL(pwrite(fd, "X", 1, 0));
	CALL(lseek(fd, 0, SEEK_CUR));
	TEXT(fd);
	CALL(lseek(fd, 100, SEEK_SET));
	CALL(read(fd, buf, 1));
	CALL(write(fd, "end", 3));
	TEXT(fd);
	CALL(close(fd));
	CALL(close(fd));
	posix_note_file(d, "t/r");
}

static void large_writes(int d)
{
	const size_t n = (5 << 20) + 3;
	unsigned char *bytes = malloc(n);
	struct stat st = {0};
	unsigned x = 1;
	int fd = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644));

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
	CALL(write(fd, bytes, n));
	CALL(pwrite(fd, "middle", 6, 2500000));
	TEXT(fd);
	CALL(fstat(fd, &st));
	TRUE(st.st_blocks >= (long)n / 512 && st.st_blocks <= (long)n / 512 + 1000);
	CALL(close(fd));
	posix_note_file(d, "t/r");
	fd = FD(openat(d, "t/r", O_RDWR | O_DIRECT));
	TEXT(fd);
	CALL(close(fd));
	free(bytes);
}

static void appending(int d)
{
	int a = FD(openat(d, "t/r", O_RDWR | O_CREAT | O_APPEND, 0644));
	int b = FD(openat(d, "t/r", O_WRONLY | O_APPEND));
	int c = FD(openat(d, "t/r", O_RDWR));

	CALL(write(a, "one ", 4));
	CALL(write(b, "two ", 4));
	CALL(write(a, "three ", 6));
	CALL(lseek(a, 0, SEEK_CUR));
	CALL(lseek(b, 0, SEEK_CUR));
	TEXT(a);
	CALL(pwrite(c, "ONE", 3, 0));
	CALL(pwrite(a, "four ", 5, 0));
	CALL(lseek(a, 0, SEEK_SET));
	CALL(write(a, "five ", 5));
	CALL(ftruncate(c, 4));
	CALL(write(b, "six ", 4));
	CALL(fcntl(b, F_SETFL, 0));
	CALL(pwrite(b, "!", 1, 0));
	CALL(fcntl(c, F_SETFL, O_APPEND));
	CALL(write(c, "seven ", 6));
	TEXT(a);
	close(a);
	close(b);
	close(c);
	posix_note_file(d, "t/r");
}

/* Lines of several processes through O_APPEND stay whole, and none is lost. */
static void appending_from_several_processes(int d)
{
	int n = 0, torn = 0;
	char line[64];
	FILE *f;

	posix_put(d, "t/r", "");
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			int fd = openat(d, "t/r", O_WRONLY | O_APPEND);

			for (int k = 0; k < 250; k++)
				dprintf(fd, "process %d line %03d\n", i, k);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	f = fdopen(openat(d, "t/r", O_RDONLY), "r");
	for (; fgets(line, sizeof(line), f); n++)
		torn += strlen(line) != strlen("process 0 line 000\n") ||
			strncmp(line, "process ", 8) != 0;
	fclose(f);
	posix_note("lines", "%d", n);
	posix_note("torn", "%d", torn);
}

static void opening_truncates(int d)
{
	struct stat before, after;
	char buf[8];
	int a, b;

	posix_put(d, "t/r", "0123456789");
	a = FD(openat(d, "t/r", O_RDWR));
	CALL(fstat(a, &before));
	CALL(read(a, buf, 4));
	b = FD(openat(d, "t/r", O_WRONLY | O_TRUNC));
	CALL(fstat(a, &after));
	posix_note("size", "%ld", (long)after.st_size);
	TRUE(before.st_ino == after.st_ino);
	CALL(read(a, buf, 4));
	CALL(write(b, "ab", 2));
	CALL(write(a, "cd", 2)); /* at 4: what is between is zeros */
	TEXT(a);
	close(b);
	close(a);
	posix_note_file(d, "t/r");
	close(FD(openat(d, "t/r", O_WRONLY | O_CREAT | O_TRUNC, 0600)));
	posix_note_file(d, "t/r");
	CALL(fstatat(d, "t/r", &after, 0));
	posix_note("mode", "%o", after.st_mode);
}

static void truncating(int d)
{
	char path[64];
	struct stat st;
	int fd, reader;

	posix_put(d, "t/r", "0123456789");
	fd = FD(openat(d, "t/r", O_RDWR));
	reader = FD(openat(d, "t/r", O_RDONLY));
	for (int i = 0; i < 4; i++) {
		static const off_t sizes[] = {4, 9, 0, 5000};

		CALL(ftruncate(fd, sizes[i]));
		CALL(fstat(reader, &st));
		posix_note("size", "%ld", (long)st.st_size);
		TEXT(reader);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d/t/r", d);
	CALL(truncate(path, 3));
	TEXT(reader);
	CALL(ftruncate(fd, 3));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(close(fd));
	CALL(close(reader));
	CALL(truncate(path, 10000));
	CALL(truncate(path, -1));
	posix_note_file(d, "t/r");
	/* Shrunk and grown again, what was there is zeros. */
	posix_put(d, "t/s", "secret");
	fd = FD(openat(d, "t/s", O_RDWR));
	CALL(ftruncate(fd, 1));
	CALL(ftruncate(fd, 6));
	CALL(pwrite(fd, "end", 3, 6));
	TEXT(fd);
	CALL(close(fd));
}

static void holes(int d)
{
	struct stat st;
	int fd = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644));

	CALL(pwrite(fd, "x", 1, 3000000));
	CALL(pwrite(fd, "y", 1, 1000000));
	TEXT(fd);
	CALL(fstat(fd, &st));
	posix_note("size", "%ld", (long)st.st_size);
	CALL(lseek(fd, 3000000, SEEK_DATA));
	CALL(lseek(fd, 3000001, SEEK_DATA));
	CALL(lseek(fd, 3000000, SEEK_HOLE));
	CALL(lseek(fd, 3000002, SEEK_HOLE));
	CALL(close(fd));
	posix_note_file(d, "t/r");
}

static void space_in_advance(int d)
{
	struct stat st;
	int fd = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644));

	CALL(write(fd, "0123456789", 10));
	CALL(posix_fallocate(fd, 0, 5000));
	CALL(fstat(fd, &st));
	posix_note("size", "%ld", (long)st.st_size);
	CALL(fallocate(fd, 0, 0, 6000));
	CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 9000));
	CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3));
	TEXT(fd);
	CALL(close(fd));
	posix_note_file(d, "t/r");
}

static void copying_inside(int d)
{
	loff_t from = 2, to = 1;
	off_t offset = 1;
	int a, b;

	posix_put(d, "t/a", "0123456789");
	a = FD(openat(d, "t/a", O_RDONLY));
	b = FD(openat(d, "t/b", O_RDWR | O_CREAT, 0644));
	CALL(sendfile(b, a, &offset, 4));
	TEXT(b);
	CALL(copy_file_range(a, &from, b, &to, 5, 0));
	TEXT(b);
	CALL(close(a));
	CALL(close(b));
	posix_note_file(d, "t/b");
}

static void open_without_a_name(int d)
{
	struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 7}};
	char path[64];
	struct stat st;
	char *map;
	int fd, again;

	posix_put(d, "t/r", "bytes");
	fd = FD(openat(d, "t/r", O_RDWR));
	CALL(unlinkat(d, "t/r", 0));
	CALL(faccessat(d, "t/r", F_OK, 0));
	CALL(fstat(fd, &st));
	posix_note("links and size", "%lu %ld", (unsigned long)st.st_nlink, (long)st.st_size);
	CALL(pwrite(fd, "more bytes", 10, 5));
	TEXT(fd);
	CALL(ftruncate(fd, 8));
	CALL(fchmod(fd, 0600));
	CALL(futimens(fd, times));
	CALL(fsync(fd));
	CALL(fstat(fd, &st));
	posix_note("mode and mtime", "%o %ld", st.st_mode, (long)st.st_mtim.tv_sec);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[0] = 'B';
	TEXT(fd);
	/* Opened once more through /proc, it is the same. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = FD(open(path, O_RDWR));
	/* The name is free for another. */
	posix_put(d, "t/r", "other");
	CALL(write(fd, "last words", 10));
	CALL(msync(map, PAGE, MS_SYNC));
	munmap(map, PAGE);
	posix_note_file(d, "t/r");
	CALL(close(fd));
	posix_note_file(d, "t/r");
	TEXT(again);
	close(again);
	posix_note_names(d, "t");
	/* Created, and never seen by name again. */
	fd = FD(openat(d, "t/tmp", O_RDWR | O_CREAT | O_EXCL, 0600));
	CALL(unlinkat(d, "t/tmp", 0));
	CALL(write(fd, "scratch", 7));
	TEXT(fd);
	CALL(close(fd));
	posix_note_names(d, "t");
}

static sigjmp_buf bus;

static void on_bus(int sig)
{
	siglongjmp(bus, sig);
}

static const char *touch_page(volatile char *p)
{
	struct sigaction act = {.sa_handler = on_bus}, old;
	const char *result = "SIGBUS";

	sigaction(SIGBUS, &act, &old);
	if (sigsetjmp(bus, 1) == 0) {
		(void)*p;
		result = "read";
	}
	sigaction(SIGBUS, &old, NULL);
	return result;
}

/* tmpfs does not notice that a map was written to. */
static bool misses_maps(int d)
{
	struct statfs fs;

	return fstatfs(d, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static void maps(int d)
{
	struct stat before, after;
	char *map, *private;
	int fd;

	posix_put(d, "t/r", "0123456789");
	fd = FD(openat(d, "t/r", O_RDWR));
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	TRUE(map != MAP_FAILED && private != MAP_FAILED);
	posix_note("map", "%s", map);
	private[0] = 'P';
	map[1] = 'S';
	TEXT(fd);
	CALL(pwrite(fd, "W", 1, 2));
	posix_note("map", "%s", map);
	posix_note("private", "%.1s", private);
	/* What is behind the end is zeros, and is not written. */
	posix_note("behind the end", "%d", map[10]);
	map[20] = 'x';
	CALL(msync(map, PAGE, MS_SYNC));
	TEXT(fd);
	posix_note("behind the last page", "%s", touch_page(map + PAGE));
	CALL(ftruncate(fd, 2 * PAGE));
	posix_note("after growing", "%s", touch_page(map + PAGE));
	map[PAGE] = 'n';
	CALL(ftruncate(fd, 4));
	posix_note("after shrinking", "%s", touch_page(map + PAGE));
	/* Written after the last close. */
	CALL(fstat(fd, &before));
	CALL(close(fd));
	map[0] = 'L';
	CALL(msync(map, PAGE, MS_SYNC));
	posix_note_file(d, "t/r");
	CALL(fstatat(d, "t/r", &after, 0));
	TRUE(misses_maps(d) || after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
	     after.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
	map[1] = 'U';
	munmap(map, 2 * PAGE);
	munmap(private, PAGE);
	posix_note_file(d, "t/r");
	fd = FD(openat(d, "t/r", O_RDONLY));
	TRUE(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	posix_note("writable map of what is open for reading", "%s", strerrorname_np(errno));
	close(fd);
}

/* A row can be a program. */
static void running_a_row(int d)
{
	int status;

	posix_put(d, "t/script", "#!/bin/sh\nexit 7\n");
	for (mode_t mode = 0755; mode > 0; mode = mode == 0755 ? 0644 : 0) {
		CALL(fchmodat(d, "t/script", mode, 0));
		if (fork() == 0) {
			if (fchdir(d) == 0)
				execl("t/script", "script", (char *)NULL);
			_exit(errno == EACCES ? 126 : 127);
		}
		wait(&status);
		posix_note("exit", "%d", WEXITSTATUS(status));
	}
}

static void syncing(int d)
{
	int fd = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644)), dir = FD(openat(d, "t", O_RDONLY));

	CALL(fsync(fd));
	CALL(write(fd, "x", 1));
	CALL(fsync(fd));
	CALL(fdatasync(fd));
	CALL(fsync(dir));
	CALL(fdatasync(dir));
	CALL(syncfs(fd));
	CALL(close(fd));
	CALL(close(dir));
	fd = FD(openat(d, "t/r", O_RDONLY));
	CALL(fsync(fd));
	close(fd);
	fd = FD(openat(d, "t/r", O_WRONLY | O_SYNC));
	CALL(write(fd, "synced", 6));
	CALL(close(fd));
	posix_note_file(d, "t/r");
}

const struct posix_case posix_data_cases[] = {
    {"reads_and_writes", reads_and_writes},
    {"large_writes", large_writes},
    {"appending", appending},
    {"appending_from_several_processes", appending_from_several_processes},
    {"opening_truncates", opening_truncates},
    {"truncating", truncating},
    {"holes", holes},
    {"space_in_advance", space_in_advance},
    {"copying_inside", copying_inside},
    {"open_without_a_name", open_without_a_name},
    {"maps", maps},
    {"running_a_row", running_a_row},
    {"syncing", syncing},
    {0},
};
