/*
 * What a commit from elsewhere costs the database alone, by the length of the history that it
 * enters: no network, no file system, every step durable.
 *
 *	forward  a commit on top of everything: the fast-forward
 *	late     a commit stamped before most of the history, on a row that was written often since
 *	crossing a commit on a row that three others came before which it had not seen: two writers of one row
 *	again    a commit on top, on a row of which a late one has left a conflict
 *	snapshot the state as of a commit anywhere in the history
 *	recent   the same of one of the last hundred commits
 *
 * The history has one author and overwrites the same rows again and again, ten times each unless
 * --versions says otherwise: `late` comes before all of that and folds it again; the others cross little. Beside
 * them, from the same run and directory: one synchronous LMDB put. Time that grows with the history
 * is time that should not.
 */
#include <getopt.h>
#include <limits.h>
#include <unistd.h>

#include <lmdb.h>

#include "core/db.h"
#include "fs/env_system.h"
#include "measure.h"
#include "tests/lib/rng.h"

#define VERSIONS     10
#define BATCH        2000
#define TEXT_SIZE    160
#define N_SAMPLES    50
#define FORWARD_STEP 31 /* between the rows of samples */
#define LATE_STEP    37
#define CROSS_STEP   41
#define N_CROSSED    3 /* by each of `crossing` */
#define HISTORY                                                                                    \
	((uint64_t)5000                                                                            \
	 << 16) /* stamps: in less than the allowed skew, so that none lies in the future */
#define MS(n) ((uint64_t)(n) << 16)

static struct {
	struct report report;
	char dir[PATH_MAX];
	struct sw_db *db;
	struct sw_identity *regular, *late;
	struct sw_hash grant, tip;
	uint64_t begin; /* stamp before the history */
	size_t n_rows;
	size_t *versions; /* of each row */
} b = {.report = {.unit_ns = 1000000, .unit = "ms"}};

struct made {
	struct sw_buf raw, changeset;
};

static void must(int rc, const char *what)
{
	errno = 0;
	if (rc < 0)
		die(what, sw_fail_message(rc));
}

static struct sw_hash grant_to(const struct sw_identity *id)
{
	struct sw_write_op op = {
	    .op = {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER, .member = *sw_identity_key(id)}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash commit;

	must(sw_db_commit(b.db, &w, &commit), "grant");
	return commit;
}

static void row_text(char text[static TEXT_SIZE], size_t row, size_t version)
{
	snprintf(text, TEXT_SIZE, "row %zu, version %zu %080zu\n", row, version,
		 row * 7919 + version);
}

/* A commit that overwrites one row, version by version. */
static void make(struct made *m, const struct sw_identity *author, const struct sw_hash *parent,
		 uint64_t stamp, size_t row, size_t old_version, size_t version, struct sw_hash *id)
{
	char key[32], old[TEXT_SIZE], text[TEXT_SIZE];
	struct sw_commit c = {.rule = SW_RULE_VERSION,
			      .database = *sw_db_id(b.db),
			      .n_parents = 1,
			      .parents = {*parent},
			      .stamp = stamp};
	struct sw_op op = {.kind = SW_OP_PUT, .table = sw_view_str("rows")};

	*m = (struct made){0};
	snprintf(key, sizeof(key), "r%06zu", row);
	op.key = sw_view_str(key);
	row_text(text, row, version);
	op.row = (struct sw_row){.mode = 0644,
				 .mtime_ns = (int64_t)stamp,
				 .size = strlen(text),
				 .bytes = sw_view_str(text)};
	if (old_version > 0) {
		row_text(old, row, old_version);
		sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str(old), &op.old);
	}
	sw_changeset_encode(SW_MODE_MERGE, &op, 1, &m->changeset, NULL);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&m->changeset), &c.changeset);
	sw_commit_seal(&c, author, &m->raw);
	if (m->raw.rc < 0 || m->changeset.rc < 0)
		die("commit", "no memory");
	*id = c.id;
}

static void receive(struct made *m, size_t n)
{
	struct sw_incoming *in = calloc(n, sizeof(*in));
	size_t n_taken;

	if (!in)
		die("batch", "no memory");
	for (size_t i = 0; i < n; i++)
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&m[i].raw),
					     .changeset = sw_buf_view(&m[i].changeset)};
	must(sw_db_receive(b.db, in, n, 0, NULL, NULL, NULL, &n_taken), "receive");
	if (n_taken != n)
		die("receive", in[0].reason ? in[0].reason : "not all were taken");
	free(in);
	for (size_t i = 0; i < n; i++) {
		sw_buf_fini(&m[i].raw);
		sw_buf_fini(&m[i].changeset);
	}
}

/* Commit k of the history. */
static void make_regular(struct made *m, size_t k, size_t n)
{
	size_t row = k % b.n_rows, version = ++b.versions[row];

	make(m, b.regular, &b.tip, b.begin + MS(100) + HISTORY / (n + 1) * k, row, version - 1,
	     version, &b.tip);
}

static void fill(size_t n)
{
	static struct made batch[BATCH];

	for (size_t done = 0; done < n;) {
		size_t k = n - done < BATCH ? n - done : BATCH;

		for (size_t i = 0; i < k; i++)
			make_regular(&batch[i], done + i, n);
		receive(batch, k);
		done += k;
	}
}

/* A commit on top, of each of some rows: i * step modulo their number. */
static void time_forward(struct samples *s, uint64_t at, size_t step)
{
	for (size_t i = 0; i < N_SAMPLES; i++) {
		size_t row = i * step % b.n_rows, version = ++b.versions[row];
		struct made m;
		int64_t begin;

		make(&m, b.regular, &b.tip, at + MS(i), row, version - 1, version, &b.tip);
		begin = now_ns();
		receive(&m, 1);
		samples_add(s, now_ns() - begin);
	}
}

/* The row has been written on top three times since what the late author's stamp says. */
static void time_crossing(struct samples *s, uint64_t at)
{
	for (size_t i = 0; i < N_SAMPLES; i++, at += MS(N_CROSSED + 1)) {
		size_t row = i * CROSS_STEP % b.n_rows;
		struct sw_hash id;
		struct made m;
		int64_t begin;

		for (size_t k = 1; k <= N_CROSSED; k++) {
			size_t version = ++b.versions[row];

			make(&m, b.regular, &b.tip, at + MS(k), row, version - 1, version, &b.tip);
			receive(&m, 1);
		}
		make(&m, b.late, &b.grant, at, row, 0, 2000000 + i, &id);
		begin = now_ns();
		receive(&m, 1);
		samples_add(s, now_ns() - begin);
	}
}

static void time_late(struct samples *s)
{
	for (size_t i = 0; i < N_SAMPLES; i++) {
		size_t row = i * LATE_STEP % b.n_rows;
		struct sw_hash id;
		struct made m;
		int64_t begin;

		/* It had seen nothing but its grant. */
		make(&m, b.late, &b.grant, b.begin + MS(2 + i), row, 0, 1000000 + i, &id);
		begin = now_ns();
		receive(&m, 1);
		samples_add(s, now_ns() - begin);
	}
}

/* The state as of one of the last `among` commits of the line. */
static void open_snapshot(size_t among, struct rng *rng)
{
	struct sw_snap *snap;
	struct sw_order order;
	struct sw_reader r;
	struct sw_hash id;
	char name[32];

	snprintf(name, sizeof(name), "HEAD~%zu", (size_t)rng_below(rng, (uint32_t)among));
	must(sw_reader_begin(b.db, &r), "read");
	must(sw_db_resolve(&r, sw_view_str(name), &order), name);
	sw_reader_end(&r);
	sw_order_id(&order, &id);
	must(sw_snap_open(b.db, &id, &snap), "snapshot");
	sw_snap_unref(snap);
}

static void time_snapshots(const char *name, size_t n, size_t among)
{
	struct rng rng = {among};
	struct samples s;

	samples_init(&s, n);
	for (size_t i = 0; i < n; i++) {
		int64_t begin = now_ns();

		open_snapshot(among, &rng);
		samples_add(&s, now_ns() - begin);
	}
	report_samples(&b.report, name, &s);
}

static void time_put(struct samples *s)
{
	char path[PATH_MAX + 16];
	uint8_t value[100] = {0};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_env_create(&env);

	snprintf(path, sizeof(path), "%s/reference", b.dir);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, UINT64_C(1) << 30);
	if (rc == 0)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR, 0600);
	for (uint64_t i = 0; rc == 0 && i < N_SAMPLES; i++) {
		uint64_t key = i * UINT64_C(0x9e3779b97f4a7c15);
		MDB_val k = {sizeof(key), &key}, v = {sizeof(value), value};
		int64_t begin = now_ns();

		rc = mdb_txn_begin(env, NULL, 0, &txn);
		if (rc == 0)
			rc = mdb_dbi_open(txn, NULL, 0, &dbi);
		if (rc == 0)
			rc = mdb_put(txn, dbi, &k, &v, 0);
		if (rc == 0)
			rc = mdb_txn_commit(txn);
		samples_add(s, now_ns() - begin);
	}
	errno = 0;
	if (rc)
		die("LMDB", mdb_strerror(rc));
	mdb_env_close(env);
}

static void usage(FILE *f)
{
	fputs(
	    "usage: bench_fold [--commits N] [--versions V] [--snapshots K] [--json] DIR\n"
	    "  a commit on top, and a late one, in a history of N commits (10000) of rows that are "
	    "written V times each (10), and K snapshots of it (0); the store is made in DIR\n",
	    f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"commits", required_argument, NULL, 'c'},
						{"versions", required_argument, NULL, 'v'},
						{"snapshots", required_argument, NULL, 's'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	static const uint8_t seeds[2][SW_KEY_SEED_SIZE] = {{1}, {2}};
	struct samples forward, crossing, late, again, put;
	size_t n = 10000, n_versions = VERSIONS, n_snapshots = 0;
	uint64_t end;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'c')
			n = parse_size("--commits", optarg, 1, 10000000);
		else if (opt == 'v')
			n_versions = parse_size("--versions", optarg, 1, 10000000);
		else if (opt == 's')
			n_snapshots = parse_size("--snapshots", optarg, 0, 100000);
		else if (opt == 'j')
			b.report.json = true;
		else {
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return 2;
	}
	must(sw_crypto_init(), "libsodium");
	snprintf(b.dir, sizeof(b.dir), "%s/fold-%zu", argv[optind], n);
	must(sw_db_create(b.dir, &sw_env_system, SW_CONFLICT_MERGE, &b.db), b.dir);
	must(sw_identity_from_seed(seeds[0], &b.regular), "key");
	must(sw_identity_from_seed(seeds[1], &b.late), "key");
	b.tip = grant_to(b.regular);
	b.grant = b.tip = grant_to(b.late);
	b.n_rows = n > n_versions ? n / n_versions : 1;
	b.versions = calloc(b.n_rows, sizeof(*b.versions));
	if (!b.versions)
		die("rows", "no memory");
	b.begin = MS(sw_env_wall_ms(&sw_env_system));
	fill(n);
	if (n_snapshots > 0) {
		time_snapshots("snapshot", n_snapshots, n);
		time_snapshots("recent", n_snapshots, n < 100 ? n : 100);
	}
	samples_init(&forward, N_SAMPLES);
	samples_init(&crossing, N_SAMPLES);
	samples_init(&late, N_SAMPLES);
	samples_init(&again, N_SAMPLES);
	samples_init(&put, N_SAMPLES);
	time_put(&put);
	end = b.begin + MS(100) + HISTORY;
	time_forward(&forward, end, FORWARD_STEP);
	end += MS(N_SAMPLES);
	time_crossing(&crossing, end);
	end += MS(N_SAMPLES * (N_CROSSED + 1));
	time_late(&late);
	time_forward(&again, end, LATE_STEP);
	report_samples(&b.report, "lmdb put 100", &put);
	report_samples(&b.report, "forward", &forward);
	report_samples(&b.report, "crossing", &crossing);
	report_samples(&b.report, "late", &late);
	report_samples(&b.report, "again", &again);
	report_end(&b.report);
	sw_db_close(b.db);
	free(b.versions);
	return 0;
}
