#include "fs/on_conflict.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/conflicts.h"
#include "core/hlc.h"
#include "core/log.h"
#include "fs/commit_name.h"
#include "fs/text.h"
#include "fs/thread.h"

#define STOP_MS       2000 /* between asking a program to end and making it */
#define N_OWN         9    /* variables of ours, at most */
#define ARGUMENT_SIZE (SW_NAME_MAX + 3)

struct queued {
	struct queued *next;
	struct sw_conflict conflict;
};

struct sw_on_conflict {
	struct sw_db *db;
	const char *program;
	const char *mount_point;
	int stop_fd;                  /* eventfd: written once, to stop */
	pthread_mutex_t threads_lock; /* held to start and stop them */
	pthread_t threads[SW_ON_CONFLICT_RUNNING_MAX];
	size_t n_threads;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* under lock, as are: */
	struct queued *queue, **queue_end;
	size_t n_queued;
	size_t n_missed; /* since the queue was full */
};

/* What the program is told; NAME=VALUE texts one after the other, each with its NUL. */
static int put_facts(const struct sw_on_conflict *r, const struct sw_conflict *c,
		     struct sw_buf *out)
{
	char id[SW_HASH_HEX_SIZE], author[SW_HASH_HEX_SIZE], time[SW_TEXT_TIME_SIZE];
	struct sw_view table = sw_conflict_table(c), key = sw_conflict_key_of(c), raw;
	enum sw_outcome outcome;
	struct sw_commit commit;
	struct sw_order order;
	struct sw_reader reader;
	int rc = sw_reader_begin(r->db, &reader);

	if (rc < 0)
		return rc;
	rc = sw_db_get_commit(&reader, &c->commit, &commit, &raw, NULL);
	if (rc == 0) {
		sw_order_make(commit.stamp, &commit.author, &commit.id, &order);
		rc = sw_db_outcome(&reader, &order, &outcome);
	}
	sw_reader_end(&reader);
	if (rc < 0)
		return rc;
	sw_hex(c->commit.b, SW_HASH_SIZE, id);
	sw_hex(commit.author.b, SW_KEY_SIZE, author);
	sw_text_time(sw_hlc_ms(commit.stamp), time);
	sw_buf_printf(out, "SWARMFS_TABLE=%.*s%c", (int)table.n, (const char *)table.p, 0);
	sw_buf_printf(out, "SWARMFS_ROW=%.*s%c", (int)key.n, (const char *)key.p, 0);
	sw_buf_printf(out, "SWARMFS_COMMIT=%s%c", id, 0);
	sw_buf_printf(out, "SWARMFS_AUTHOR=%s%c", author, 0);
	sw_buf_printf(out, "SWARMFS_TIME=%s%c", time, 0);
	sw_buf_printf(out, "SWARMFS_OUTCOME=%s%c", sw_outcome_name(outcome), 0);
	sw_buf_printf(out, "SWARMFS_STORE=%s%c", sw_db_dir(r->db), 0);
	if (r->mount_point) {
		sw_buf_printf(out, "SWARMFS_MOUNT=%s%c", r->mount_point, 0);
		sw_buf_printf(out, "SWARMFS_CONFLICT=%s/.conflicts/%.*s/%.*s/%.*s%c",
			      r->mount_point, (int)table.n, (const char *)table.p, (int)key.n,
			      (const char *)key.p, SW_COMMIT_ID_DIGITS, id, 0);
	}
	return out->rc;
}

/* Our variables, then those of the environment that are not ours. Free it. */
static char **make_environment(struct sw_buf *facts)
{
	size_t n = 0, n_env = 0;
	char **v;

	while (environ[n_env])
		n_env++;
	v = calloc(N_OWN + n_env + 1, sizeof(*v));
	if (!v)
		return NULL;
	for (size_t at = 0; at < facts->n; at += strlen((char *)facts->p + at) + 1)
		v[n++] = (char *)facts->p + at;
	for (size_t i = 0; i < n_env; i++)
		if (strncmp(environ[i], "SWARMFS_", 8) != 0)
			v[n++] = environ[i];
	return v;
}

/* In a process group of its own, with no descriptors but the standard ones and every signal as it
 * was at first. */
static int spawn(const struct sw_on_conflict *r, char **argv, char **env, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					    POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	rc = posix_spawnp(pid, r->program, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (rc == 0)
		return 0;
	errno = rc;
	return sw_fail_errno("cannot run the --on-conflict program %s", r->program);
}

/* Wait for its end, or bring it about when the owner stops. */
static int await(const struct sw_on_conflict *r, pid_t pid)
{
	struct pollfd fds[2] = {{.fd = pidfd_open(pid, 0), .events = POLLIN},
				{.fd = r->stop_fd, .events = POLLIN}};
	int status = 0;

	while (fds[0].fd >= 0 && poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[0].fd >= 0 && !fds[0].revents) {
		kill(-pid, SIGTERM);
		while (poll(fds, 1, STOP_MS) < 0 && errno == EINTR)
			;
		if (!fds[0].revents)
			kill(-pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	return status;
}

/* Others choose the names: none may be an option to a program that never expected one. */
static void put_argument(struct sw_view name, char out[static ARGUMENT_SIZE])
{
	snprintf(out, ARGUMENT_SIZE, "%s%.*s", name.p[0] == '-' ? "./" : "", (int)name.n,
		 (const char *)name.p);
}

static int run_program(const struct sw_on_conflict *r, const struct sw_conflict *c, int *status)
{
	char table[ARGUMENT_SIZE], key[ARGUMENT_SIZE], id[SW_HASH_HEX_SIZE];
	char *program = strdup(r->program), *argv[] = {program, table, key, id, NULL}, **env;
	SW_BUF facts = {0};
	pid_t pid;
	int rc = program ? put_facts(r, c, &facts) : SW_ENOMEM;

	put_argument(sw_conflict_table(c), table);
	put_argument(sw_conflict_key_of(c), key);
	sw_hex(c->commit.b, SW_HASH_SIZE, id);
	env = rc == 0 ? make_environment(&facts) : NULL;
	if (rc == 0 && !env)
		rc = SW_ENOMEM;
	if (rc == 0)
		rc = spawn(r, argv, env, &pid);
	if (rc == 0)
		*status = await(r, pid);
	free(env);
	free(program);
	return rc;
}

static void run_for(const struct sw_on_conflict *r, const struct sw_conflict *c)
{
	int status = 0;
	int rc = run_program(r, c, &status);
	SW_BUF name = {0};

	if (rc == 0 && status == 0)
		return;
	sw_text_put_path(&name, sw_conflict_table(c), sw_conflict_key_of(c));
	sw_buf_put_u8(&name, 0);
	if (name.rc < 0)
		return;
	if (rc < 0)
		sw_log(SW_LOG_WARN, "the conflict of %s: %s", (char *)name.p, sw_fail_message(rc));
	else if (WIFSIGNALED(status))
		sw_log(SW_LOG_WARN,
		       "the conflict of %s: the --on-conflict program was ended by signal %d",
		       (char *)name.p, WTERMSIG(status));
	else
		sw_log(SW_LOG_WARN,
		       "the conflict of %s: the --on-conflict program failed with exit code %d",
		       (char *)name.p, WEXITSTATUS(status));
}

static struct queued *next(struct sw_on_conflict *r)
{
	struct queued *q;
	size_t n_missed;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && !r->queue)
		pthread_cond_wait(&r->wake, &r->lock);
	q = r->stop ? NULL : r->queue;
	if (q) {
		r->queue = q->next;
		r->n_queued--;
		if (!r->queue)
			r->queue_end = &r->queue;
	}
	n_missed = r->n_missed;
	r->n_missed = 0;
	pthread_mutex_unlock(&r->lock);
	if (n_missed > 0)
		sw_log(SW_LOG_WARN,
		       "%zu conflicts came faster than the --on-conflict program works; it was not "
		       "run for them",
		       n_missed);
	return q;
}

static void *worker(void *arg)
{
	struct sw_on_conflict *r = arg;
	struct queued *q;

	while ((q = next(r))) {
		run_for(r, &q->conflict);
		free(q);
	}
	return NULL;
}

int sw_on_conflict_new(struct sw_db *db, const char *program, const char *mount_point,
		       struct sw_on_conflict **out)
{
	struct sw_on_conflict *r = calloc(1, sizeof(*r));

	if (!r)
		return SW_ENOMEM;
	r->db = db;
	r->program = program;
	r->mount_point = mount_point;
	r->queue_end = &r->queue;
	r->stop = true;
	pthread_mutex_init(&r->threads_lock, NULL);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	r->stop_fd = eventfd(1, EFD_CLOEXEC);
	if (r->stop_fd < 0) {
		sw_on_conflict_free(r);
		return sw_fail_errno("cannot make an event");
	}
	*out = r;
	return 0;
}

static void add(struct sw_on_conflict *r, const struct sw_change *change)
{
	struct queued *q = r->n_queued < SW_ON_CONFLICT_QUEUED_MAX ? malloc(sizeof(*q)) : NULL;

	if (!q) {
		r->n_missed++;
		return;
	}
	q->next = NULL;
	sw_conflict_set(&q->conflict, change->table, change->key, &change->commit);
	*r->queue_end = q;
	r->queue_end = &q->next;
	r->n_queued++;
}

void sw_on_conflict_changed(struct sw_on_conflict *r, const struct sw_changes *changes)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < changes->n; i++)
		if (changes->v[i].kind == SW_CHANGE_CONFLICT && changes->v[i].exists)
			add(r, &changes->v[i]);
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void sw_on_conflict_stop(struct sw_on_conflict *r)
{
	uint64_t one = 1;

	if (!r)
		return;
	pthread_mutex_lock(&r->threads_lock);
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->stop_fd >= 0 && write(r->stop_fd, &one, sizeof(one)) < 0)
		sw_log(SW_LOG_WARN, "waiting for the --on-conflict programs that run");
	while (r->n_threads > 0)
		pthread_join(r->threads[--r->n_threads], NULL);
	pthread_mutex_unlock(&r->threads_lock);
}

void sw_on_conflict_resume(struct sw_on_conflict *r)
{
	uint64_t n;
	int rc = 0;

	if (!r)
		return;
	pthread_mutex_lock(&r->threads_lock);
	if (r->stop && read(r->stop_fd, &n, sizeof(n)) < 0)
		rc = sw_fail_errno("cannot reset an event");
	pthread_mutex_lock(&r->lock);
	r->stop = rc < 0;
	pthread_mutex_unlock(&r->lock);
	while (rc == 0 && r->n_threads < SW_ON_CONFLICT_RUNNING_MAX) {
		rc = sw_thread_start(&r->threads[r->n_threads], worker, r);
		r->n_threads += rc == 0;
	}
	pthread_mutex_unlock(&r->threads_lock);
	if (rc < 0)
		sw_log(SW_LOG_ERROR, "--on-conflict programs are not run: %s", sw_fail_message(rc));
}

void sw_on_conflict_free(struct sw_on_conflict *r)
{
	if (!r)
		return;
	sw_on_conflict_stop(r);
	while (r->queue) {
		struct queued *q = r->queue;

		r->queue = q->next;
		free(q);
	}
	if (r->stop_fd >= 0)
		close(r->stop_fd);
	pthread_mutex_destroy(&r->threads_lock);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	free(r);
}
