/*
 * What the replication layer costs without a file system: swarms of one process over loopback TCP, each with its own
 * store and thread.
 *
 *	lag       a 100-byte row committed on one peer until the other holds the commit, durably
 *	catch-up  a peer that was away gets n single-row commits of one author; bytes on the wire
 *	crossing  five peers with m commits between them that none of the others has, until all are equal
 *
 * usage: bench_swarm [N_LAG [N_CATCH_UP [M_CROSSING]]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "fs/env_system.h"
#include "net/swarm.h"
#include "net/ticket.h"

#define PEERS_MAX 5

struct peer {
	struct sw_db *db;
	_Atomic(struct sw_swarm *) swarm;
	char dir[64];
	const char *url;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct sw_head head;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(int rc)
{
	if (rc < 0) {
		fprintf(stderr, "bench_swarm: %s\n", sw_fail_message(rc));
		exit(1);
	}
}

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head, bool by_others)
{
	struct peer *p = arg;

	(void)changes;
	(void)by_others;
	pthread_mutex_lock(&p->lock);
	p->head = *head;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->swarm)
		sw_swarm_kick(p->swarm);
}

static void wait_head(struct peer *p, const struct sw_head *head)
{
	pthread_mutex_lock(&p->lock);
	while (!sw_head_eq(&p->head, head))
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void start(struct peer *p, const char *const *peers, size_t n)
{
	static const char *const loopback[] = {"tcp://127.0.0.1:0"};
	struct sw_swarm_options o = {.listen = loopback, .n_listen = 1, .peers = peers, .n_peers = n};
	struct sw_swarm *s = NULL;
	const char *const *urls;

	must(sw_swarm_start(p->db, &o, &s));
	p->swarm = s;
	sw_swarm_addresses(s, &urls);
	p->url = urls[0];
}

static void stop(struct peer *p)
{
	struct sw_swarm *s = p->swarm;

	p->swarm = NULL;
	sw_swarm_stop(s);
}

static void open_peer(struct peer *p, const struct sw_hash *database)
{
	struct sw_listener l = {.arg = p, .changed = on_changed};
	const char *tmp = getenv("TMPDIR");

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	snprintf(p->dir, sizeof(p->dir), "%.40s/bench-swarm-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(p->dir) || rmdir(p->dir) < 0)
		exit(1);
	must(database ? sw_db_create_clone(p->dir, &sw_env_system, database, &p->db)
		      : sw_db_create(p->dir, &sw_env_system, SW_CONFLICT_MERGE, &p->db));
	sw_db_listen(p->db, &l);
	sw_db_head(p->db, &p->head);
}

static void join(struct peer *p, struct peer *inviter)
{
	struct sw_buf ticket = {0};
	const char *peers[1];

	must(sw_swarm_invite(inviter->swarm, 60000, SW_ROLE_WRITER, &ticket));
	sw_buf_put_u8(&ticket, 0);
	peers[0] = (const char *)ticket.p;
	open_peer(p, sw_db_id(inviter->db));
	start(p, peers, 1);
	must(sw_swarm_wait_synced(p->swarm, 10000));
	sw_buf_fini(&ticket);
}

/* A 100-byte row. */
static void put(struct peer *p, const char *key, size_t counter)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str(key),
					.row = {.mode = 0644, .mtime_ns = 1}}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1};
	struct sw_reader r;
	struct sw_hash id;
	struct sw_row row;
	char text[128];

	snprintf(text, sizeof(text), "{\"n\": %010zu, \"pad\": \"%073zu\"}", counter, counter * 7919);
	op.content = sw_view(text, 100);
	must(sw_reader_begin(p->db, &r));
	if (sw_state_row(r.nodes, &r.head.state, op.op.table, op.op.key, &row) == 0)
		sw_row_hash(&row, &op.op.old);
	sw_reader_end(&r);
	must(sw_db_commit(p->db, &w, &id));
}

static uint64_t wire_bytes(struct peer *p)
{
	struct sw_swarm_status st;
	uint64_t n;

	must(sw_swarm_status(p->swarm, &st));
	n = st.bytes_in + st.bytes_out;
	sw_swarm_status_fini(&st);
	return n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_quantiles(const char *what, double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("%-28s p50 %.3f ms  p99 %.3f ms\n", what, v[n / 2], v[n * 99 / 100]);
}

static void bench_lag(struct peer *a, struct peer *b, size_t n)
{
	double *total = calloc(n + 1, sizeof(*total)), *local = calloc(n + 1, sizeof(*local));
	uint64_t bytes = wire_bytes(b);

	if (!total || !local)
		exit(1);
	for (size_t i = 0; i < n; i++) {
		struct timespec pause = {0, (long)(i * 7919 % 3000) * 1000};
		struct sw_head head;
		double begin = now_ms();

		put(a, "row.json", i);
		local[i] = now_ms() - begin;
		sw_db_head(a->db, &head);
		wait_head(b, &head);
		total[i] = now_ms() - begin;
		nanosleep(&pause, NULL);
	}
	print_quantiles("commit", local, n);
	print_quantiles("commit, held by the other", total, n);
	printf("%-28s %.0f bytes\n", "on the wire per commit", (double)(wire_bytes(b) - bytes) / (double)n);
	free(total);
	free(local);
}

static void bench_catch_up(struct peer *a, struct peer *b, size_t n)
{
	const char *peers[] = {a->url};
	struct sw_head head;
	char key[32];
	double begin;

	stop(b);
	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "k%zu.json", i);
		put(a, key, i);
	}
	sw_db_head(a->db, &head);
	begin = now_ms();
	start(b, peers, 1);
	wait_head(b, &head);
	begin = now_ms() - begin;
	printf("%-28s %zu commits in %.0f ms, %.0f/s, %.0f bytes each\n", "catch-up", n, begin,
	       (double)n / begin * 1e3, (double)wire_bytes(b) / (double)n);
}

static bool all_equal(struct peer *p)
{
	struct sw_head first, head;

	sw_db_head(p[0].db, &first);
	for (size_t i = 1; i < PEERS_MAX; i++) {
		sw_db_head(p[i].db, &head);
		if (!sw_head_eq(&first, &head))
			return false;
	}
	return true;
}

static void bench_crossing(struct peer *p, size_t m)
{
	const char *urls[PEERS_MAX];
	struct timespec nap = {0, 200000};
	char key[32];
	double begin;

	for (size_t i = 0; i < PEERS_MAX; i++)
		stop(&p[i]);
	for (size_t i = 0; i < m; i++) {
		snprintf(key, sizeof(key), "x%zu.json", i);
		put(&p[i % PEERS_MAX], key, i);
	}
	begin = now_ms();
	for (size_t i = 0; i < PEERS_MAX; i++) {
		start(&p[i], urls, i);
		urls[i] = p[i].url;
	}
	while (!all_equal(p))
		nanosleep(&nap, NULL);
	printf("%-28s %zu commits of %d peers in %.1f ms, in", "crossing", m, PEERS_MAX, now_ms() - begin);
	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct sw_swarm_status status;

		must(sw_swarm_status(p[i].swarm, &status));
		printf(" %llu", (unsigned long long)status.n_batches);
		sw_swarm_status_fini(&status);
	}
	puts(" batches");
}

static void remove_store(const char *dir)
{
	static const char *const files[] = {"data.mdb", "data.mdb-lock", "lock", "key", "reserve", "journal"};
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

int main(int argc, char **argv)
{
	static struct peer p[PEERS_MAX];
	size_t n[] = {500, 10000, 1000};

	for (int i = 1; i < argc && i < 4; i++)
		n[i - 1] = strtoull(argv[i], NULL, 10);
	sw_log_set_level(getenv("V") ? SW_LOG_DEBUG : SW_LOG_ERROR);
	open_peer(&p[0], NULL);
	start(&p[0], NULL, 0);
	for (size_t i = 1; i < PEERS_MAX; i++)
		join(&p[i], &p[0]);
	for (size_t i = 2; i < PEERS_MAX; i++)
		stop(&p[i]);
	if (n[0] > 0)
		bench_lag(&p[0], &p[1], n[0]);
	if (n[1] > 0)
		bench_catch_up(&p[0], &p[1], n[1]);
	for (size_t i = 2; i < PEERS_MAX; i++) {
		const char *peers[] = {p[0].url};

		start(&p[i], peers, 1);
	}
	while (!all_equal(p))
		usleep(1000);
	bench_crossing(p, n[2]);
	for (size_t i = 0; i < PEERS_MAX; i++) {
		stop(&p[i]);
		sw_db_close(p[i].db);
		remove_store(p[i].dir);
	}
	return 0;
}
