/*
 * How long a row written and synced through one mount takes to be readable through another.
 *
 * The writer overwrites one existing row in A with a counter in it and calls fsync; the clock
 * starts when fsync begins. A second thread of this process reads the row through B over and over,
 * and notes when it first sees that counter: both ends have one clock. The next write waits for
 * that, then for a short random pause, so that rounds do not fall into step with a timer on either
 * side.
 *
 * The reader never sleeps. What it costs itself bounds the precision of the result, so the time
 * of one poll is printed too.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define ROW_BYTES 100
#define N_MAX     1000000

/* Fixed width, so that the counter of a row is found without parsing. */
#define ROW_HEAD "{\"n\": %012zu, \"pad\": \""

static struct {
	char row_a[PATH_MAX], row_b[PATH_MAX];
	size_t n, pause_us_max, timeout_ms;
	bool keep_open;
	struct report report;

	/* The reader looks for just this counter: the row may still hold one of an earlier run. */
	_Atomic size_t wanted;
	_Atomic bool stop;
	_Atomic int64_t seen_ns; /* written before seen is posted */
	_Atomic size_t n_polls;
	sem_t wake, seen;
} b = {
    .n = 500,
    .pause_us_max = 5000,
    .timeout_ms = 10000,
    .report = {.unit_ns = 1000000, .unit = "ms"},
};

static void row_encode(char row[static ROW_BYTES + 1], size_t counter)
{
	int head = snprintf(row, ROW_BYTES + 1, ROW_HEAD, counter);

	memset(row + head, 'x', (size_t)(ROW_BYTES - head - 3));
	memcpy(row + ROW_BYTES - 3, "\"}\n", 4);
}

/* ---- reader ---- */

static int reader_open(void)
{
	return open(b.row_b, O_RDONLY | O_CLOEXEC);
}

/* The row's counter, or 0 while there is no whole row: B may be a plain directory. */
static size_t row_poll(int kept_fd)
{
	char row[ROW_BYTES + 1] = {0}, want[ROW_BYTES + 1];
	int fd = kept_fd >= 0 ? kept_fd : reader_open();
	ssize_t got = -1;
	size_t counter = 0;

	if (fd >= 0)
		got = pread(fd, row, ROW_BYTES, 0);
	if (fd >= 0 && fd != kept_fd)
		close(fd);
	if (got != ROW_BYTES || strncmp(row, "{\"n\": ", 6) != 0)
		return 0;
	counter = strtoull(row + 6, NULL, 10);
	row_encode(want, counter);
	if (memcmp(row, want, ROW_BYTES) != 0)
		die("a row that nobody wrote was read from", b.row_b);
	return counter;
}

static void *reader_main(void *arg)
{
	int fd = -1;

	(void)arg;
	while (sem_wait(&b.wake) == 0 && !atomic_load(&b.stop)) {
		size_t wanted = atomic_load(&b.wanted), n_polls = 0;

		if (b.keep_open && fd < 0)
			fd = reader_open();
		while (row_poll(fd) != wanted && !atomic_load(&b.stop)) {
			n_polls++;
			sched_yield();
		}
		atomic_store(&b.seen_ns, now_ns());
		atomic_fetch_add(&b.n_polls, n_polls + 1);
		sem_post(&b.seen);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* False when the reader has not seen it in time. */
static bool wait_seen(void)
{
	struct timespec ts;
	int rc;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += (time_t)(b.timeout_ms / 1000);
	ts.tv_nsec += (long)(b.timeout_ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	do {
		rc = sem_timedwait(&b.seen, &ts);
	} while (rc != 0 && errno == EINTR);
	return rc == 0;
}

/* ---- writer ---- */

/* Overwrites the row in place. Gives the times around fsync. */
static void row_write(size_t counter, int flags, int64_t *out_begin, int64_t *out_end)
{
	char row[ROW_BYTES + 1];
	int fd = open(b.row_a, O_WRONLY | O_TRUNC | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		die("open", b.row_a);
	row_encode(row, counter);
	if (write(fd, row, ROW_BYTES) != ROW_BYTES)
		die("write", b.row_a);
	*out_begin = now_ns();
	if (fsync(fd) != 0)
		die("fsync", b.row_a);
	*out_end = now_ns();
	if (close(fd) != 0)
		die("close", b.row_a);
}

static void look_for(size_t counter)
{
	atomic_store(&b.wanted, counter);
	sem_post(&b.wake);
}

static void pause_randomly(void)
{
	struct timespec ts = {0};

	if (!b.pause_us_max)
		return;
	ts.tv_nsec = (long)((size_t)random() % b.pause_us_max) * 1000;
	nanosleep(&ts, NULL);
}

static void run(void)
{
	struct samples lag, after, sync;
	int64_t begin, end, seen, polling_ns = 0;
	pthread_t reader;

	sem_init(&b.wake, 0, 0);
	sem_init(&b.seen, 0, 0);
	samples_init(&lag, b.n);
	samples_init(&after, b.n);
	samples_init(&sync, b.n);
	/* Counter 1 creates the row if it must; a new name takes its time, so it is no sample. */
	row_write(1, O_CREAT, &begin, &end);
	errno = pthread_create(&reader, NULL, reader_main, NULL);
	if (errno)
		die("pthread_create", "reader");
	look_for(1);
	if (!wait_seen())
		die("the first row did not arrive in time at", b.row_b);
	atomic_store(&b.n_polls, 0);
	for (size_t i = 2; i < b.n + 2; i++) {
		int64_t from;

		pause_randomly();
		from = now_ns();
		look_for(i);
		row_write(i, 0, &begin, &end);
		if (!wait_seen()) {
			errno = 0;
			die("a row did not arrive in time at", b.row_b);
		}
		seen = atomic_load(&b.seen_ns);
		polling_ns += seen - from;
		/* A plain directory shows the row before fsync has begun: that is no lag. */
		samples_add(&lag, seen > begin ? seen - begin : 0);
		samples_add(&after, seen > end ? seen - end : 0);
		samples_add(&sync, end - begin);
	}
	atomic_store(&b.stop, true);
	sem_post(&b.wake);
	pthread_join(reader, NULL);
	report_samples(&b.report, "visible after fsync begin", &lag);
	report_samples(&b.report, "visible after fsync end", &after);
	report_samples(&b.report, "fsync", &sync);
	report_number(&b.report, "mean poll us",
		      (double)polling_ns / 1000 / (double)atomic_load(&b.n_polls), "us");
	samples_fini(&lag);
	samples_fini(&after);
	samples_fini(&sync);
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: bench_lag A_DIR B_DIR [--table T] [--key ROW] [--n N] [--keep-open]\n"
		"                 [--pause-us US] [--timeout-ms MS] [--json]\n"
		"Time from the beginning of fsync on a row in A to its first sight in B, in ms.\n"
		"  --table T        a table of both, made if missing (lag)\n"
		"  --key ROW        the row that is overwritten (row.json)\n"
		"  --n N            rounds (500)\n"
		"  --keep-open      read through one open file instead of opening it every time\n"
		"  --pause-us US    longest random pause between rounds (5000)\n"
		"  --timeout-ms MS  give up when a row takes longer (10000)\n"
		"  --json           one object: figure -> {unit, n, min, p50, p90, p99, max}\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"table", required_argument, NULL, 't'},
	    {"key", required_argument, NULL, 'k'},
	    {"n", required_argument, NULL, 'n'},
	    {"keep-open", no_argument, NULL, 'o'},
	    {"pause-us", required_argument, NULL, 'p'},
	    {"timeout-ms", required_argument, NULL, 'm'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *table = "lag", *key = "row.json";
	char dir[PATH_MAX];
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 't':
			table = optarg;
			break;
		case 'k':
			key = optarg;
			break;
		case 'n':
			b.n = parse_size("--n", optarg, 1, N_MAX);
			break;
		case 'o':
			b.keep_open = true;
			break;
		case 'p':
			b.pause_us_max = parse_size("--pause-us", optarg, 0, 999999);
			break;
		case 'm':
			b.timeout_ms = parse_size("--timeout-ms", optarg, 1, 3600000);
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
	if (optind + 2 != argc) {
		usage(stderr);
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/%s", argv[optind], table);
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		die("mkdir", dir);
	snprintf(b.row_a, sizeof(b.row_a), "%s/%s/%s", argv[optind], table, key);
	snprintf(b.row_b, sizeof(b.row_b), "%s/%s/%s", argv[optind + 1], table, key);
	run();
	report_end(&b.report);
	return 0;
}
