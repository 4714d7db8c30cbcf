/* Descriptors: flags of open, locks, and what several of them share. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void ways_to_open(int d)
{
	struct stat st;
	char path[64], buf[4];
	int fd, again;

	posix_put(d, "t/r", "bytes");
	fd = FD(openat(d, "t/r", O_PATH));
	CALL(fstat(fd, &st));
	CALL(read(fd, buf, 1));
	CALL(ftruncate(fd, 0));
	CALL(fchmod(fd, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = FD(open(path, O_RDWR));
	TEXT(again);
	close(again);
	close(fd);
	fd = FD(openat(d, "t", O_PATH | O_DIRECTORY));
	posix_note_file(fd, "r");
	posix_note_file(fd, "../t/r");
	close(fd);
	CALL(close(openat(d, "t/r", O_RDONLY | O_NOFOLLOW)));
	CALL(close(openat(d, "t/r", O_RDONLY | O_NONBLOCK)));
	CALL(close(openat(d, "t/r", O_RDONLY | O_CREAT | O_DIRECTORY, 0644)));
	CALL(close(openat(d, "t/r", O_RDONLY | O_NOATIME)));
	fd = FD(openat(d, "t/r", O_RDONLY | O_TRUNC));
	TEXT(fd);
	close(fd);
	fd = FD(openat(d, "t/n", O_RDONLY | O_CREAT, 0644));
	CALL(write(fd, "x", 1));
	close(fd);
	posix_note_names(d, "t");
	CALL(openat(d, "t/r", O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0644));
}

static void copies_share_a_position(int d)
{
	char buf[4] = "";
	int a, b, status;

	posix_put(d, "t/r", "0123456789");
	a = FD(openat(d, "t/r", O_RDWR));
	b = FD(dup(a));
	CALL(read(a, buf, 3));
	CALL(read(b, buf, 3));
	posix_note("read", "%.3s", buf);
	if (fork() == 0)
		_exit(write(b, "ab", 2) == 2 ? 0 : 1);
	wait(&status);
	posix_note("exit", "%d", WEXITSTATUS(status));
	CALL(lseek(a, 0, SEEK_CUR));
	CALL(close(a));
	CALL(write(b, "cd", 2));
	CALL(close(b));
	posix_note_file(d, "t/r");
}

static void two_that_write(int d)
{
	char buf[8] = "";
	int a = FD(openat(d, "t/r", O_RDWR | O_CREAT, 0644)), b = FD(openat(d, "t/r", O_RDWR));

	CALL(write(a, "aaaa", 4));
	CALL(read(b, buf, 8));
	posix_note("read", "%.8s", buf);
	CALL(pwrite(b, "bb", 2, 1));
	CALL(pread(a, buf, 8, 0));
	posix_note("read", "%.8s", buf);
	CALL(close(a));
	posix_note_file(d, "t/r");
	CALL(pwrite(b, "cc", 2, 3));
	posix_note_file(d, "t/r");
	CALL(close(b));
	posix_note_file(d, "t/r");
}

static void locks_of_whole_files(int d)
{
	int a, b, c;

	posix_put(d, "t/r", "x");
	a = FD(openat(d, "t/r", O_RDWR));
	b = FD(openat(d, "t/r", O_RDONLY));
	c = FD(dup(a));
	CALL(flock(a, LOCK_EX | LOCK_NB));
	CALL(flock(b, LOCK_EX | LOCK_NB));
	CALL(flock(b, LOCK_SH | LOCK_NB));
	CALL(flock(c, LOCK_EX | LOCK_NB));
	CALL(flock(a, LOCK_SH | LOCK_NB));
	CALL(flock(b, LOCK_SH | LOCK_NB));
	CALL(flock(a, LOCK_EX | LOCK_NB));
	CALL(flock(b, LOCK_UN));
	CALL(flock(a, LOCK_EX | LOCK_NB));
	CALL(close(a));
	CALL(flock(b, LOCK_SH | LOCK_NB));
	CALL(close(c));
	CALL(flock(b, LOCK_EX | LOCK_NB));
	close(b);
	a = FD(openat(d, "t", O_RDONLY));
	b = FD(openat(d, "t", O_RDONLY));
	CALL(flock(a, LOCK_EX | LOCK_NB));
	CALL(flock(b, LOCK_EX | LOCK_NB));
	close(a);
	close(b);
}

static int lock(int fd, int command, short type, off_t start, off_t n)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = n};

	return fcntl(fd, command, &l);
}

/* What another process may lock: one digit per attempt. */
static void note_others(int d, const char *what)
{
	int status;

	if (fork() == 0) {
		int fd = openat(d, "t/r", O_RDWR), got = 0;

		got |= lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0 ? 1 : 0;
		got |= lock(fd, F_SETLK, F_WRLCK, 10, 10) == 0 ? 2 : 0;
		got |= lock(fd, F_SETLK, F_RDLCK, 20, 10) == 0 ? 4 : 0;
		got |= lock(fd, F_SETLK, F_WRLCK, 20, 10) == 0 ? 8 : 0;
		_exit(got);
	}
	wait(&status);
	posix_note(what, "%x", (unsigned)WEXITSTATUS(status));
}

static void locks_of_ranges(int d)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 5};
	int a, b;

	posix_put(d, "t/r", "0123456789");
	a = FD(openat(d, "t/r", O_RDWR));
	CALL(lock(a, F_SETLK, F_WRLCK, 0, 10));
	CALL(lock(a, F_SETLK, F_RDLCK, 20, 10));
	note_others(d, "others get, beside 0-9 for writing and 20-29 for reading");
	CALL(lock(a, F_SETLK, F_UNLCK, 0, 5));
	note_others(d, "others get, beside 5-9 and 20-29");
	/* Closing any descriptor of the file gives up all of the process. */
	b = FD(openat(d, "t/r", O_RDONLY));
	CALL(lock(b, F_SETLK, F_WRLCK, 0, 1));
	close(b);
	note_others(d, "others get, after a close");
	/* Those of open file descriptions are not given up by it. */
	b = FD(openat(d, "t/r", O_RDWR));
	CALL(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	CALL(lock(b, F_OFD_SETLK, F_WRLCK, 0, 10));
	CALL(fcntl(b, F_OFD_GETLK, &l));
	posix_note("type and start", "%d %ld", l.l_type, (long)l.l_start);
	close(b);
	note_others(d, "others get, beside 0-9");
	close(a);
	note_others(d, "others get, after all is closed");
	CALL(lock(d, F_SETLK, F_WRLCK, 0, 1));
}

/* A lock file, taken by one of many at a time. */
static void a_lock_file_for_many(int d)
{
	long sum = 0;
	char buf[16] = "";
	int fd;

	posix_put(d, "t/count", "0");
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			for (int k = 0; k < 50; k++) {
				while ((fd = openat(d, "t/count.lock", O_RDWR | O_CREAT | O_EXCL,
						    0644)) < 0)
					if (errno != EEXIST)
						_exit(1);
				int from = openat(d, "t/count", O_RDONLY);
				ssize_t n = read(from, buf, sizeof(buf) - 1);
				long v = 0;

				close(from);
				for (ssize_t j = 0; j < n; j++)
					v = v * 10 + buf[j] - '0';
				dprintf(fd, "%ld", v + 1);
				close(fd);
				if (renameat(d, "t/count.lock", d, "t/count") < 0)
					_exit(2);
			}
			_exit(0);
		}
	for (int i = 0, status; i < 4; i++) {
		wait(&status);
		sum += WEXITSTATUS(status);
	}
	posix_note("failed", "%ld", sum);
	posix_note_file(d, "t/count");
	posix_note_names(d, "t");
}

const struct posix_case posix_open_cases[] = {
    {"ways_to_open", ways_to_open},
    {"copies_share_a_position", copies_share_a_position},
    {"two_that_write", two_that_write},
    {"locks_of_whole_files", locks_of_whole_files},
    {"locks_of_ranges", locks_of_ranges},
    {"a_lock_file_for_many", a_lock_file_for_many},
    {0},
};
