/*
 * Latency of single file operations in a directory, as a program sees them through the kernel.
 *
 * One thread, one operation at a time, each timed alone; the figure is the system calls named and
 * nothing else. It works in tables of its own, DIR/bench-PID..., which it removes at the end. To
 * be comparable with swarmfs it stays in the shape that swarmfs has: tables below DIR, rows in
 * tables.
 *
 * The hard part is 'cold', a name that the kernel has not looked up, since creating a row already
 * caches it. Either the caller provides such rows on a fresh mount (--cold, works for
 * everyone), or root empties the caches of the machine, or those lines are left out.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define ROW_BYTES   100
#define LISTS       10  /* listings of all entries per figure */
#define TABLES_MAX  500 /* for mkdir and rmdir */
#define ENTRIES_MAX 10000000

static struct {
	const char *dir;
	const char *cold; /* name of a table whose rows nobody has looked up, or NULL */
	size_t n, n_entries;
	bool drop_caches;
	struct report report;
	char table[128];
	char path[PATH_MAX];
	uint8_t row[ROW_BYTES];
} b = {.n = 1000, .report = {.unit_ns = 1000, .unit = "us"}};

/* DIR/table/rNNNNNN.suffix, in the one buffer that every operation uses. */
static const char *row_path(const char *table, size_t i, const char *suffix)
{
	snprintf(b.path, sizeof(b.path), "%s/%s/r%06zu%s", b.dir, table, i, suffix);
	return b.path;
}

static const char *table_path(const char *table)
{
	snprintf(b.path, sizeof(b.path), "%s/%s", b.dir, table);
	return b.path;
}

/* One operation on row i of a table; dies on failure. */
typedef void (*op_fn)(const char *table, size_t i);

static void op_stat(const char *table, size_t i)
{
	struct stat st;

	if (stat(row_path(table, i, ".json"), &st) != 0)
		die("stat", b.path);
}

static void op_miss(const char *table, size_t i)
{
	struct stat st;

	if (stat(row_path(table, i, ".none"), &st) == 0 || errno != ENOENT)
		die("stat of a name that is not there", b.path);
}

static void op_read(const char *table, size_t i)
{
	uint8_t buf[4096];
	int fd = open(row_path(table, i, ".json"), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open", b.path);
	if (read(fd, buf, sizeof(buf)) != ROW_BYTES)
		die("read", b.path);
	if (close(fd) != 0)
		die("close", b.path);
}

static void put(const char *table, size_t i, int flags)
{
	int fd = open(row_path(table, i, ".json"), O_WRONLY | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		die("open", b.path);
	if (write(fd, b.row, sizeof(b.row)) != (ssize_t)sizeof(b.row))
		die("write", b.path);
	if (close(fd) != 0)
		die("close", b.path);
}

static void op_create(const char *table, size_t i)
{
	put(table, i, O_CREAT | O_EXCL);
}

static void op_overwrite(const char *table, size_t i)
{
	/* Different bytes each time: a write that changes nothing may be taken for none. */
	b.row[i % (ROW_BYTES - 2)] ^= 1;
	put(table, i, O_TRUNC);
}

static void op_rename(const char *table, size_t i)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%s", row_path(table, i, ".moved"));
	if (rename(row_path(table, i, ".json"), to) != 0)
		die("rename", b.path);
}

static void op_unlink(const char *table, size_t i)
{
	if (unlink(row_path(table, i, ".moved")) != 0)
		die("unlink", b.path);
}

static void op_mkdir(const char *table, size_t i)
{
	snprintf(b.path, sizeof(b.path), "%s/%s-t%zu", b.dir, table, i);
	if (mkdir(b.path, 0755) != 0)
		die("mkdir", b.path);
}

static void op_rmdir(const char *table, size_t i)
{
	snprintf(b.path, sizeof(b.path), "%s/%s-t%zu", b.dir, table, i);
	if (rmdir(b.path) != 0)
		die("rmdir", b.path);
}

static void run(const char *name, op_fn op, const char *table, size_t from, size_t n)
{
	struct samples s;

	samples_init(&s, n);
	for (size_t i = from; i < from + n; i++) {
		int64_t t = now_ns();

		op(table, i);
		samples_add(&s, now_ns() - t);
	}
	report_samples(&b.report, name, &s);
	samples_fini(&s);
}

/* Lists the table, with the attributes of each entry or without; the whole listing is one sample.
 */
static int64_t list_once(const char *table, bool with_stat)
{
	int64_t t = now_ns();
	DIR *d = opendir(table_path(table));
	struct dirent *e;
	struct stat st;

	if (!d) {
		die("opendir", b.path);
		return 0;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (with_stat && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			die("fstatat", e->d_name);
	}
	if (errno)
		die("readdir", b.path);
	closedir(d);
	return now_ns() - t;
}

/* Everyone's names and inodes, not ours alone: hence only when there is no other way. */
static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "2", 1) != 1)
		die("drop_caches", "/proc/sys/vm/drop_caches");
	close(fd);
}

static void list(const char *name, const char *table, bool with_stat, bool cold, size_t times)
{
	struct samples s;

	samples_init(&s, times);
	for (size_t i = 0; i < times; i++) {
		if (cold)
			drop_caches();
		samples_add(&s, list_once(table, with_stat));
	}
	report_samples(&b.report, name, &s);
	samples_fini(&s);
}

/* Rows that the mount had before anybody looked. The lists come first: they fill the caches. */
static void run_prepared(void)
{
	char other[128];
	struct stat st;

	snprintf(other, sizeof(other), "%s-list", b.cold);
	if (stat(table_path(other), &st) == 0)
		list("readdir+stat cold", other, true, false, 1);
	run("stat cold", op_stat, b.cold, 0, b.n);
	run("open-read-close first", op_read, b.cold, 0, b.n);
	list("readdir committed", b.cold, false, false, LISTS);
}

static void run_dropped(void)
{
	drop_caches();
	run("stat cold", op_stat, b.table, 0, b.n);
	/* Once more, so that no page of the rows is left; the stat brings back the names. */
	drop_caches();
	for (size_t i = 0; i < b.n; i++)
		op_stat(b.table, i);
	run("open-read-close first", op_read, b.table, 0, b.n);
}

static void run_all(void)
{
	size_t n_tables = b.n < TABLES_MAX ? b.n : TABLES_MAX;
	size_t n_more = b.n_entries > b.n ? b.n_entries - b.n : 0;

	if (b.cold)
		run_prepared();
	if (mkdir(table_path(b.table), 0755) != 0)
		die("mkdir", b.path);
	run("create-write-close", op_create, b.table, 0, b.n);
	if (!b.cold && b.drop_caches)
		run_dropped();
	else if (!b.cold && !b.report.json)
		printf("stat cold, first read: left out; they need root or --cold\n");
	/* Writing and reading made the kernel forget size and atime: ask once before 'cached'. */
	run("stat after write", op_stat, b.table, 0, b.n);
	run("stat cached", op_stat, b.table, 0, b.n);
	run("lookup miss", op_miss, b.table, 0, b.n);
	/* Bring in the pages that are missing, without a figure, so that 'repeated' is that. */
	for (size_t i = 0; i < b.n; i++)
		op_read(b.table, i);
	run("open-read-close repeated", op_read, b.table, 0, b.n);
	run("overwrite", op_overwrite, b.table, 0, b.n);

	for (size_t i = b.n; i < b.n + n_more; i++)
		op_create(b.table, i);
	list("readdir", b.table, false, false, LISTS);
	list("readdir+stat cached", b.table, true, false, LISTS);
	if (!b.cold && b.drop_caches)
		list("readdir+stat cold", b.table, true, true, LISTS);

	run("rename", op_rename, b.table, 0, b.n);
	run("unlink", op_unlink, b.table, 0, b.n);
	for (size_t i = b.n; i < b.n + n_more; i++) {
		if (unlink(row_path(b.table, i, ".json")) != 0)
			die("unlink", b.path);
	}
	run("mkdir table", op_mkdir, b.table, 0, n_tables);
	run("rmdir table", op_rmdir, b.table, 0, n_tables);
	if (rmdir(table_path(b.table)) != 0)
		die("rmdir", b.path);
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: bench_fuse DIR [--n N] [--entries M] [--cold TABLE] [--no-drop] [--json]\n"
		"Latency of single file operations in new tables below DIR, in microseconds.\n"
		"  --n N         operations per figure (1000)\n"
		"  --entries M   entries of the table that is listed (the same as N)\n"
		"  --cold TABLE  rows r000000.json... of 100 bytes that this mount has not yet\n"
		"                looked up, at least N; TABLE-list, if there, is listed cold,\n"
		"                and at the end the names of TABLE\n"
		"  --no-drop     as root too, leave the caches of the machine alone\n"
		"  --json        one object: figure -> {unit, n, min, p50, p90, p99, max}\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"n", required_argument, NULL, 'n'},
	    {"entries", required_argument, NULL, 'e'},
	    {"cold", required_argument, NULL, 'c'},
	    {"no-drop", no_argument, NULL, 'd'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	b.drop_caches = geteuid() == 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			b.n = parse_size("--n", optarg, 1, ENTRIES_MAX);
			break;
		case 'e':
			b.n_entries = parse_size("--entries", optarg, 1, ENTRIES_MAX);
			break;
		case 'c':
			b.cold = optarg;
			break;
		case 'd':
			b.drop_caches = false;
			break;
		case 'j':
			b.report.json = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return 2;
	}
	b.dir = argv[optind];
	memset(b.row, 'x', sizeof(b.row));
	snprintf(b.table, sizeof(b.table), "bench-%ld", (long)getpid());
	run_all();
	report_end(&b.report);
	return 0;
}
