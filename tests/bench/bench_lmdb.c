/*
 * The disk's own price of one durable row: what a single-row commit is compared with.
 *
 * A synchronous LMDB put is one transaction with one put under a random key, committed with the
 * default flags, so two writes and two flushes of the page cache; append is 4 KiB at the end of a
 * file and fdatasync. Both run in a directory that the caller names, since the answer belongs to
 * the file system and the disk below it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <unistd.h>

#include <lmdb.h>

#include "measure.h"

#define KEY_SIZE     16
#define MAP_SIZE     (UINT64_C(1) << 30)
#define APPEND_BYTES 4096
#define N_MAX        100000

static const size_t value_sizes[] = {100, 4000};
#define N_VALUE_SIZES (sizeof(value_sizes) / sizeof(value_sizes[0]))

static struct {
	size_t n;
	struct report report;
	char dir[PATH_MAX];
	uint64_t rng;
	uint8_t bytes[APPEND_BYTES];
} b = {.n = 1000, .report = {.unit_ns = 1000000, .unit = "ms"}, .rng = 1};

/* splitmix64: the same keys in every run, in no order. */
static uint64_t random_u64(void)
{
	uint64_t z = b.rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void check(int rc, const char *what)
{
	if (rc == 0)
		return;
	errno = 0;
	die(what, mdb_strerror(rc));
}

static void put_once(MDB_env *env, MDB_dbi dbi, size_t value_size)
{
	uint64_t key[KEY_SIZE / sizeof(uint64_t)] = {random_u64(), random_u64()};
	MDB_val k = {sizeof(key), key}, v = {value_size, b.bytes};
	MDB_txn *txn;

	check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
	check(mdb_put(txn, dbi, &k, &v, 0), "mdb_put");
	check(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* The environment of one value size stays open for the whole run, as a store does. */
struct env {
	MDB_env *env;
	MDB_dbi dbi;
	char path[PATH_MAX + 32];
};

static void env_open(struct env *e, size_t value_size)
{
	MDB_txn *txn;

	snprintf(e->path, sizeof(e->path), "%s/put-%zu.mdb", b.dir, value_size);
	check(mdb_env_create(&e->env), "mdb_env_create");
	check(mdb_env_set_mapsize(e->env, MAP_SIZE), "mdb_env_set_mapsize");
	check(mdb_env_open(e->env, e->path, MDB_NOSUBDIR, 0644), e->path);
	check(mdb_txn_begin(e->env, NULL, 0, &txn), "mdb_txn_begin");
	check(mdb_dbi_open(txn, NULL, 0, &e->dbi), "mdb_dbi_open");
	check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void env_close(struct env *e)
{
	char lock[sizeof(e->path) + 8];

	mdb_env_close(e->env);
	unlink(e->path);
	snprintf(lock, sizeof(lock), "%s-lock", e->path);
	unlink(lock);
}

static void append_once(int fd)
{
	if (write(fd, b.bytes, sizeof(b.bytes)) != (ssize_t)sizeof(b.bytes))
		die("write", b.dir);
	if (fdatasync(fd) != 0)
		die("fdatasync", b.dir);
}

/* The three kinds take turns, so that a slow second of a shared disk hits all of them. */
static void run(void)
{
	struct samples put[N_VALUE_SIZES], append;
	struct env env[N_VALUE_SIZES];
	char path[PATH_MAX + 32], name[64];
	int fd;

	snprintf(path, sizeof(path), "%s/append", b.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0644);
	if (fd < 0)
		die("open", path);
	samples_init(&append, b.n);
	for (size_t k = 0; k < N_VALUE_SIZES; k++) {
		env_open(&env[k], value_sizes[k]);
		samples_init(&put[k], b.n);
	}
	for (size_t i = 0; i < b.n; i++) {
		int64_t t;

		for (size_t k = 0; k < N_VALUE_SIZES; k++) {
			t = now_ns();
			put_once(env[k].env, env[k].dbi, value_sizes[k]);
			samples_add(&put[k], now_ns() - t);
		}
		t = now_ns();
		append_once(fd);
		samples_add(&append, now_ns() - t);
	}
	for (size_t k = 0; k < N_VALUE_SIZES; k++) {
		snprintf(name, sizeof(name), "lmdb put %zu", value_sizes[k]);
		report_samples(&b.report, name, &put[k]);
		samples_fini(&put[k]);
		env_close(&env[k]);
	}
	report_samples(&b.report, "append fdatasync 4096", &append);
	samples_fini(&append);
	close(fd);
	unlink(path);
	rmdir(b.dir);
}

static void usage(FILE *f)
{
	fprintf(f, "usage: bench_lmdb [DIR] [--n N] [--json]\n"
		   "Cost of one synchronous LMDB put (100 and 4000 bytes) and of append 4 KiB +\n"
		   "fdatasync, in a temporary directory below DIR (default: the current one), in\n"
		   "milliseconds. Name a directory on the file system of the store.\n"
		   "  --n N    operations of each kind (1000)\n"
		   "  --json   one object: figure -> {unit, n, min, p50, p90, p99, max}\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"n", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			b.n = parse_size("--n", optarg, 1, N_MAX);
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
	if (argc - optind > 1) {
		usage(stderr);
		return 2;
	}
	snprintf(b.dir, sizeof(b.dir), "%s/bench-lmdb-XXXXXX", optind < argc ? argv[optind] : ".");
	if (!mkdtemp(b.dir))
		die("mkdtemp", b.dir);
	for (size_t i = 0; i < sizeof(b.bytes); i++)
		b.bytes[i] = (uint8_t)random_u64();
	run();
	report_end(&b.report);
	return 0;
}
