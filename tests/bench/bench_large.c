/*
 * One large file, written and read from its beginning to its end, as a program sees it through the
 * kernel.
 *
 * `write` makes it, of bytes that do not compress and do not repeat; the figure ends with close().
 * `read` first makes the kernel forget the pages it has of it, which any user may do to a file that
 * is clean, and then reads it twice through one descriptor: the first time brings the pages in, the
 * second finds them.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define STEP ((size_t)1 << 20) /* bytes of a call */

static uint8_t buf[STEP];

/* Xorshift: as good as random for whoever compresses, or looks for what it has had before. */
static void fill(uint64_t *state)
{
	for (size_t i = 0; i < STEP; i += sizeof(*state)) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		memcpy(buf + i, state, sizeof(*state));
	}
}

static double mib_per_s(uint64_t bytes, int64_t ns)
{
	return (double)bytes / (1 << 20) / ((double)ns / 1e9);
}

/* The time of making up the bytes does not count. */
static void write_all(struct report *r, const char *path, size_t mib)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
	int64_t ns = 0, t;

	if (fd < 0)
		die("open", path);
	for (size_t i = 0; i < mib; i++) {
		fill(&state);
		t = now_ns();
		if (write(fd, buf, STEP) != (ssize_t)STEP)
			die("write", path);
		ns += now_ns() - t;
	}
	t = now_ns();
	if (close(fd) != 0)
		die("close", path);
	ns += now_ns() - t;
	report_number(r, "write", mib_per_s(mib * STEP, ns), "MiB/s");
}

static uint64_t read_once(int fd, const char *path)
{
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = pread(fd, buf, STEP, (off_t)bytes)) > 0)
		bytes += (uint64_t)n;
	if (n < 0)
		die("read", path);
	return bytes;
}

/* The system calls that a process has written with: for one that serves FUSE its replies. (It reads more than requests: timers and
 * wake-ups.) 0: it may not be asked. */
static uint64_t replies_of(const char *pid)
{
	char path[64];
	unsigned long long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/io", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "rchar: %*u wchar: %*u syscr: %*u syscw: %llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static void read_all(struct report *r, const char *path, const char *pid)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t bytes, before;
	int64_t t;

	if (fd < 0)
		die("open", path);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die("posix_fadvise", path);
	t = now_ns();
	bytes = read_once(fd, path);
	report_number(r, "read", mib_per_s(bytes, now_ns() - t), "MiB/s");
	before = pid ? replies_of(pid) : 0;
	t = now_ns();
	if (read_once(fd, path) != bytes)
		die("read", "the second time it was of another size");
	report_number(r, "read again", mib_per_s(bytes, now_ns() - t), "MiB/s");
	if (before)
		report_number(r, "requests of read again", (double)(replies_of(pid) - before), "");
	close(fd);
}

static void usage(FILE *f)
{
	fprintf(f, "usage: bench_large write|read FILE [--mib M] [--pid PID] [--json]\n"
		   "Writes a large file, or reads one twice, from its beginning to its end.\n"
		   "  --mib M     its size in MiB, for write (1024)\n"
		   "  --pid PID   for read: also how many requests this process had while it was "
		   "read again\n"
		   "  --json      one object: figure -> number\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"mib", required_argument, NULL, 'm'},
	    {"pid", required_argument, NULL, 'p'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct report report = {.unit_ns = 1, .unit = "ns"};
	const char *pid = NULL;
	size_t mib = 1024;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			mib = parse_size("--mib", optarg, 1, 1 << 20);
			break;
		case 'p':
			pid = optarg;
			break;
		case 'j':
			report.json = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 2 != argc ||
	    (strcmp(argv[optind], "write") != 0 && strcmp(argv[optind], "read") != 0)) {
		usage(stderr);
		return 2;
	}
	if (strcmp(argv[optind], "write") == 0)
		write_all(&report, argv[optind + 1], mib);
	else
		read_all(&report, argv[optind + 1], pid);
	report_end(&report);
	return 0;
}
