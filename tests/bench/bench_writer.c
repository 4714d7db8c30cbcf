/*
 * Writes rows: as fast as it can, or one durable commit after another.
 *
 *   create   many new rows, without any sync: the load of a table by a program
 *   commit   overwrites of existing rows chosen at random, each with its own fsync, from
 *            one or several threads: the single-row durable commit
 *   lines    the rows of 'create' as JSON Lines, for importers
 *
 * Row i is r000000.json and so on; its bytes depend on i, a counter and the seed alone, never
 * compress to nothing, and never repeat, since a write that changes nothing is none.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define ROWS_MAX    100000000
#define BYTES_MIN   48
#define BYTES_MAX   65536
#define WRITERS_MAX 256

static struct {
	const char *path;
	size_t n_rows, n, n_bytes, n_writers;
	uint64_t seed;
	struct report report;
	_Atomic size_t n_taken; /* commits that some thread has begun */
} b = {
    .n_rows = 100000,
    .n = 1000,
    .n_bytes = 100,
    .n_writers = 1,
    .report = {.unit_ns = 1000000, .unit = "ms"},
};

struct writer {
	pthread_t thread;
	size_t index;
	uint64_t rng;
	struct samples whole, sync;
};

static uint64_t random_u64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* One JSON object of exactly n_bytes, newline included. */
static void row_encode(char *row, size_t i, size_t counter, uint64_t *rng)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345_-";
	int head = snprintf(row, b.n_bytes, "{\"id\": %zu, \"n\": %zu, \"v\": \"", i, counter);
	size_t pos = head < 0 ? 0 : (size_t)head;

	while (pos + 3 < b.n_bytes)
		row[pos++] = letters[random_u64(rng) % (sizeof(letters) - 1)];
	row[pos++] = '"';
	row[pos++] = '}';
	row[pos] = '\n';
}

static void row_path(char *path, size_t size, size_t i)
{
	snprintf(path, size, "%s/r%06zu.json", b.path, i);
}

static char *row_buffer(void)
{
	char *row = malloc(b.n_bytes);

	if (!row)
		die("row", "no memory");
	return row;
}

/* ---- create and lines ---- */

static void run_create(void)
{
	char path[PATH_MAX], *row = row_buffer();
	uint64_t rng = b.seed;
	int64_t t;

	if (mkdir(b.path, 0755) != 0 && errno != EEXIST)
		die("mkdir", b.path);
	t = now_ns();
	for (size_t i = 0; i < b.n_rows; i++) {
		int fd;

		row_path(path, sizeof(path), i);
		row_encode(row, i, 0, &rng);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			die("open", path);
		if (write(fd, row, b.n_bytes) != (ssize_t)b.n_bytes)
			die("write", path);
		if (close(fd) != 0)
			die("close", path);
	}
	t = now_ns() - t;
	free(row);
	report_number(&b.report, "seconds", (double)t / 1e9, "s");
	report_number(&b.report, "rows per s", (double)b.n_rows * 1e9 / (double)t, "rows/s");
}

static void run_lines(void)
{
	char *row = row_buffer();
	uint64_t rng = b.seed;
	FILE *f = fopen(b.path, "we");

	if (!f) {
		die("open", b.path);
		return;
	}
	for (size_t i = 0; i < b.n_rows; i++) {
		row_encode(row, i, 0, &rng);
		fwrite(row, 1, b.n_bytes, f);
	}
	if (fclose(f) != 0)
		die("write", b.path);
	free(row);
}

/* ---- commit ---- */

static void commit_row(struct writer *w, char *row, size_t counter)
{
	/* Each thread keeps to rows of its own: two edits of one row would be one commit. */
	size_t mine = b.n_rows / b.n_writers;
	size_t i = w->index * mine + random_u64(&w->rng) % mine;
	char path[PATH_MAX];
	int64_t begin, sync;
	int fd;

	row_path(path, sizeof(path), i);
	row_encode(row, i, counter + 1, &w->rng);
	begin = now_ns();
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		die("open", path);
	if (write(fd, row, b.n_bytes) != (ssize_t)b.n_bytes)
		die("write", path);
	sync = now_ns();
	if (fsync(fd) != 0)
		die("fsync", path);
	samples_add(&w->sync, now_ns() - sync);
	if (close(fd) != 0)
		die("close", path);
	samples_add(&w->whole, now_ns() - begin);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	char *row = row_buffer();
	size_t counter;

	while ((counter = atomic_fetch_add(&b.n_taken, 1)) < b.n)
		commit_row(w, row, counter);
	free(row);
	return NULL;
}

static void samples_append(struct samples *to, const struct samples *from)
{
	for (size_t i = 0; i < from->n; i++)
		samples_add(to, from->ns[i]);
}

static void run_commit(void)
{
	static struct writer writers[WRITERS_MAX];
	struct samples whole, sync;
	int64_t t;

	if (b.n_rows < b.n_writers) {
		errno = 0;
		die("commit", "there must be a row for each writer");
	}
	samples_init(&whole, b.n);
	samples_init(&sync, b.n);
	for (size_t k = 0; k < b.n_writers; k++) {
		writers[k].index = k;
		writers[k].rng = b.seed + (k << 32);
		samples_init(&writers[k].whole, b.n);
		samples_init(&writers[k].sync, b.n);
	}
	t = now_ns();
	for (size_t k = 0; k < b.n_writers; k++) {
		errno = pthread_create(&writers[k].thread, NULL, writer_main, &writers[k]);
		if (errno)
			die("pthread_create", "writer");
	}
	for (size_t k = 0; k < b.n_writers; k++) {
		pthread_join(writers[k].thread, NULL);
		samples_append(&whole, &writers[k].whole);
		samples_append(&sync, &writers[k].sync);
	}
	t = now_ns() - t;
	report_samples(&b.report, "open-write-fsync-close", &whole);
	report_samples(&b.report, "fsync", &sync);
	report_number(&b.report, "commits per s", (double)b.n * 1e9 / (double)t, "commits/s");
	for (size_t k = 0; k < b.n_writers; k++) {
		samples_fini(&writers[k].whole);
		samples_fini(&writers[k].sync);
	}
	samples_fini(&whole);
	samples_fini(&sync);
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: bench_writer create DIR   [--rows R] [--bytes B] [--seed S] [--json]\n"
		"       bench_writer commit DIR   [--rows R] [--bytes B] [--seed S] [--n N]\n"
		"                                 [--writers W] [--json]\n"
		"       bench_writer lines FILE   [--rows R] [--bytes B] [--seed S]\n"
		"create: R new rows without sync. commit: N overwrites of random ones among R\n"
		"existing rows, each with fsync, from W threads. lines: the rows as JSON Lines.\n"
		"  --rows R      (100000)     --bytes B    (100, at least 48)\n"
		"  --n N         (1000)       --writers W  (1, at most 256)\n"
		"  --seed S      (0); another seed writes other bytes to other rows\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"rows", required_argument, NULL, 'r'}, {"bytes", required_argument, NULL, 'b'},
	    {"n", required_argument, NULL, 'n'},    {"writers", required_argument, NULL, 'w'},
	    {"seed", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
	};
	static const struct {
		const char *name;
		void (*run)(void);
	} verbs[] = {{"create", run_create}, {"commit", run_commit}, {"lines", run_lines}};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			b.n_rows = parse_size("--rows", optarg, 1, ROWS_MAX);
			break;
		case 'b':
			b.n_bytes = parse_size("--bytes", optarg, BYTES_MIN, BYTES_MAX);
			break;
		case 'n':
			b.n = parse_size("--n", optarg, 1, ROWS_MAX);
			break;
		case 'w':
			b.n_writers = parse_size("--writers", optarg, 1, WRITERS_MAX);
			break;
		case 's':
			b.seed = parse_size("--seed", optarg, 0, SIZE_MAX - 1);
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
	for (size_t v = 0; optind + 2 == argc && v < sizeof(verbs) / sizeof(verbs[0]); v++) {
		if (strcmp(argv[optind], verbs[v].name) != 0)
			continue;
		b.path = argv[optind + 1];
		verbs[v].run();
		if (verbs[v].run != run_lines)
			report_end(&b.report);
		return 0;
	}
	usage(stderr);
	return 2;
}
