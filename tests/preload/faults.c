/*
 * Loaded before a process by LD_PRELOAD, to do to it what a test cannot do from outside:
 *
 * KILL_AT=N       it dies by SIGKILL instead of its N-th durable write, counted from 1
 * FAIL_WRITES=F   durable writes fail with the errno that stands in the file F, 0 for none; it may change at any time
 * FAIL_SYNCS=F    flushes alone fail, in the same way
 * CLOCK_AHEAD=F   its wall clock is ahead by the seconds that stand in the file F, which may change at any time
 * HOLD_LARGE=F    reads of large rows under edit, which are in a directory *.large, wait for as long as the file F is there; not
 *                 those of up to 64 KiB, which look at what was just written
 * HOLD_MOUNT=F    it mounts only when the file F is gone
 * HOLD_UMOUNT=F   and unmounts
 * HOLD_STATFS=F   and tells how full its disk is
 * END_ABORTED=1   once it is unmounted, the kernel tells it ECONNABORTED, as it does when it was about to hand it a request
 * ORPHANED=1      its parent is killed before it can ask to hear of that
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What stands in a file that an environment variable names; 0 without either. */
static long number_in(const char *variable)
{
	const char *path = getenv(variable);
	char text[16] = {0};
	int fd;

	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtol(text, NULL, 10);
}

/* Whether it fails, errno being set. */
static bool durable_write(void)
{
	static atomic_long n;
	const char *at = getenv("KILL_AT");

	if (at && atomic_fetch_add(&n, 1) + 1 == strtol(at, NULL, 10))
		kill(getpid(), SIGKILL);
	errno = (int)number_in("FAIL_WRITES");
	return errno != 0;
}

/* The same of a flush. */
static bool durable_sync(void)
{
	if (durable_write())
		return true;
	errno = (int)number_in("FAIL_SYNCS");
	return errno != 0;
}

static bool is_large(int fd)
{
	char link[64], path[4096] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, ".large/");
}

/* Wait for as long as the file is there that an environment variable names. */
static void hold(const char *variable)
{
	const struct timespec step = {.tv_nsec = 10000000};
	const char *file = getenv(variable);

	while (file && access(file, F_OK) == 0)
		nanosleep(&step, NULL);
}

ssize_t pread(int fd, void *buf, size_t n, off_t offset)
{
	if (n > 65536 && is_large(fd))
		hold("HOLD_LARGE");
	return syscall(SYS_pread64, fd, buf, n, offset);
}

ssize_t pread64(int fd, void *buf, size_t n, off64_t offset)
{
	return pread(fd, buf, n, offset);
}

/* LMDB writes pages with pwrite and pwritev, the last of a transaction through a descriptor with O_DSYNC. */
ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	if (durable_write())
		return -1;
	return syscall(SYS_pwrite64, fd, buf, n, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
	return pwrite(fd, buf, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
	if (durable_write())
		return -1;
	return syscall(SYS_pwritev, fd, v, n, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t offset)
{
	return pwritev(fd, v, n, offset);
}

int fdatasync(int fd)
{
	if (durable_sync())
		return -1;
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	if (durable_sync())
		return -1;
	return (int)syscall(SYS_fsync, fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (rc == 0 && id == CLOCK_REALTIME)
		ts->tv_sec += number_in("CLOCK_AHEAD");
	return rc;
}

static ssize_t end_of_mount(ssize_t rc)
{
	if (rc < 0 && errno == ENODEV && getenv("END_ABORTED"))
		errno = ECONNABORTED;
	return rc;
}

ssize_t read(int fd, void *buf, size_t n)
{
	return end_of_mount(syscall(SYS_read, fd, buf, n));
}

ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
{
	return end_of_mount(syscall(SYS_splice, in, in_offset, out, out_offset, n, flags));
}

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
	hold("HOLD_MOUNT");
	return (int)syscall(SYS_mount, source, target, type, flags, data);
}

int umount2(const char *target, int flags)
{
	hold("HOLD_UMOUNT");
	return (int)syscall(SYS_umount2, target, flags);
}

int statvfs(const char *path, struct statvfs *out)
{
	int (*next)(const char *, struct statvfs *);

	hold("HOLD_STATFS");
	*(void **)&next = dlsym(RTLD_NEXT, "statvfs");
	return next(path, out);
}

int prctl(int what, ...)
{
	pid_t parent = getppid();
	unsigned long value;
	va_list ap;

	va_start(ap, what);
	value = va_arg(ap, unsigned long);
	va_end(ap);
	if (what == PR_SET_PDEATHSIG && value != 0 && getenv("ORPHANED")) {
		kill(parent, SIGKILL);
		while (getppid() == parent)
			sched_yield();
	}
	return (int)syscall(SYS_prctl, what, value, 0, 0, 0);
}
