#include "fs/live.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "fs/arrival.h"
#include "fs/control.h"
#include "fs/env_system.h"
#include "fs/memory.h"
#include "fs/on_conflict.h"
#include "fs/service.h"
#include "fs/target.h"
#include "fs/text.h"
#include "net/swarm.h"
#include "net/ticket.h"

#define FILES_MAX      65536 /* open at a time, where the system allows so many */
#define ARRIVE_STEP_MS	200   /* between looks at a database that is arriving */
#define SILENCE_MS	60000 /* after which it is given up: peers retry within that time */
#define HEARTBEATS_SIZE 4096  /* bytes that come in without anything arriving */

static int parse_log_level(const char *text, enum sw_log_level *out)
{
	for (int level = SW_LOG_ERROR; level <= SW_LOG_DEBUG; level++) {
		if (strcmp(text, sw_log_level_name((enum sw_log_level)level)) == 0) {
			*out = (enum sw_log_level)level;
			return 0;
		}
	}
	return SW_EINVAL;
}

int sw_live_check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *settle = sw_args_get(args, "settle"), *urls[SW_OWNER_URLS_MAX];
	const char *conflict = sw_args_get(args, "conflict");
	const char *log_level = sw_args_get(args, "log-level");
	enum sw_conflict_mode mode;
	enum sw_log_level level;
	uint64_t ms;

	if (log_level && parse_log_level(log_level, &level) < 0)
		return sw_ctx_usage(ctx, args, "--log-level is 'error', 'warning', 'info' or 'debug', not '%s'",
				    log_level);
	if (conflict && sw_text_parse_conflict_mode(conflict, &mode) < 0)
		return sw_ctx_usage(ctx, args, "--conflict is 'merge' or 'drop', not '%s'", conflict);
	if (settle && sw_text_parse_number(settle, 60000, &ms) < 0)
		return sw_ctx_usage(ctx, args, "--settle is a number of milliseconds up to 60000, not '%s'", settle);
	if (sw_args_all(args, "peer", urls, SW_OWNER_URLS_MAX) > SW_OWNER_URLS_MAX ||
	    sw_args_all(args, "listen", urls, SW_OWNER_URLS_MAX) > SW_OWNER_URLS_MAX ||
	    sw_args_all(args, "advertise", urls, SW_OWNER_URLS_MAX) > SW_OWNER_URLS_MAX)
		return sw_ctx_usage(ctx, args, "at most %d addresses of a kind", SW_OWNER_URLS_MAX);
	for (size_t i = 0; i < sw_args_all(args, "peer", urls, SW_OWNER_URLS_MAX); i++)
		if (sw_ticket_is_join_address(urls[i]))
			return sw_ctx_usage(ctx, args, "--peer takes what stands before the '#' of a join address, from members; become "
						       "one first with 'swarmfs join ADDRESS STORE'");
	return 0;
}

/* A name is looked for in PATH when it is run; a path must hold when the process has gone to another directory. */
static int find_program(const char *text, char **out)
{
	int rc = 0;

	if (!strchr(text, '/'))
		*out = strdup(text);
	else
		rc = sw_path_absolute(text, out);
	if (rc == 0 && !*out)
		return SW_ENOMEM;
	if (rc == 0 && **out == '/' && access(*out, X_OK) < 0)
		return sw_fail_errno("cannot run the --on-conflict program %s", *out);
	return rc;
}

int sw_live_init(struct sw_live *live, const char *store)
{
	struct sw_owner_options *o = &live->options;

	*live = (struct sw_live){.daemon.fd = -1, .service_fd = -1};
	o->has_work = true;
	o->has_swarm = true;
	o->listen = live->listen;
	o->peers = live->peers;
	o->advertise = live->advertise;
	return sw_path_absolute(store, &live->store);
}

static int take_options(struct sw_live *live, const struct sw_args *args)
{
	struct sw_owner_options *o = &live->options;
	const char *settle = sw_args_get(args, "settle"), *program = sw_args_get(args, "on-conflict");
	const char *log_level = sw_args_get(args, "log-level");
	enum sw_log_level level = SW_LOG_INFO;
	uint64_t ms = 0;
	int rc = 0;

	if (settle)
		rc = sw_text_parse_number(settle, 60000, &ms);
	if (rc == 0 && log_level)
		rc = parse_log_level(log_level, &level);
	if (rc == 0 && program)
		rc = find_program(program, &live->on_conflict);
	if (rc < 0)
		return rc;
	sw_log_set_level(level);
	o->on_conflict = live->on_conflict;
	live->conflict_mode = sw_args_get(args, "conflict");
	o->work.settle_ms = (uint32_t)ms;
	o->n_listen = sw_args_all(args, "listen", live->listen, SW_OWNER_URLS_MAX);
	o->n_peers = sw_args_all(args, "peer", live->peers, SW_OWNER_URLS_MAX);
	o->dials_known = !sw_args_has(args, "no-peers");
	o->n_advertise = sw_args_all(args, "advertise", live->advertise, SW_OWNER_URLS_MAX);
	return 0;
}

/* The usual limit is that low for programs that use select(); peers and commands that are connected take descriptors, too. */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_MAX)
		return;
	files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		sw_log(SW_LOG_DEBUG, "the limit of open files stays as it is");
}

int sw_live_begin(struct sw_live *live, const struct sw_args *args, const char *store)
{
	int rc = sw_live_init(live, store);

	if (rc == 0)
		rc = take_options(live, args);
	if (rc == 0 && !sw_args_has(args, "foreground"))
		rc = sw_daemon_fork(&live->daemon);
	raise_limit();
	if (rc == 0)
		live->service_fd = sw_service_open();
	return rc;
}

/* A store for the database of the first ticket or join address, or a new database. */
static int make_store(struct sw_live *live, struct sw_db **out)
{
	enum sw_conflict_mode mode = SW_CONFLICT_MERGE;
	struct sw_ticket t;
	int rc = live->conflict_mode ? sw_text_parse_conflict_mode(live->conflict_mode, &mode) : 0;

	for (size_t i = 0; rc == 0 && i < live->options.n_peers; i++) {
		if (!sw_ticket_looks_like(live->peers[i]) && !sw_ticket_is_join_address(live->peers[i]))
			continue;
		rc = sw_ticket_read(live->peers[i], &t);
		if (rc == 0)
			rc = sw_db_create_clone(live->store, &sw_env_system, &t.database, out);
		if (rc == 0)
			rc = sw_arrival_begin(live->store);
		sw_ticket_fini(&t);
		return rc;
	}
	if (live->options.n_peers > 0)
		return sw_fail(SW_EINVAL, "%s: there is no store yet, and an address alone lets nobody in; give the "
					  "ticket that 'swarmfs invite' prints there with --peer, or ask with 'swarmfs join'", live->store);
	return rc < 0 ? rc : sw_db_create(live->store, &sw_env_system, mode, out);
}

/* The mode is the database's, for ever: asking for another one is a mistake. */
static int check_mode(const struct sw_live *live, const struct sw_db *db)
{
	const char *mode = sw_text_conflict_mode(sw_db_conflict_mode(db));

	if (!live->conflict_mode || sw_db_shape(db) == NULL || strcmp(live->conflict_mode, mode) == 0)
		return 0;
	return sw_fail(SW_EINVAL, "the database in %s was made with --conflict %s, and stays so; leave the option out",
		       live->store, mode);
}

/* No reason not to start is a short command that has the store at this moment, or a process that was killed and is not gone yet. */
static int open_store(const char *store, struct sw_db **out)
{
	struct timespec step = {0, SW_OWNER_BUSY_STEP_MS * 1000000};
	int asked, rc = sw_db_open(store, &sw_env_system, out);

	for (int ms = 0; rc == SW_EBUSY && ms < SW_OWNER_BUSY_MS; ms += SW_OWNER_BUSY_STEP_MS) {
		asked = sw_control_ask(store);
		if (asked == 0 || asked == SW_EBUSY)
			return SW_EBUSY;
		nanosleep(&step, NULL);
		rc = sw_db_open(store, &sw_env_system, out);
	}
	return rc;
}

int sw_live_open(struct sw_live *live)
{
	struct sw_db *db = NULL;
	int rc = sw_crypto_init();

	if (rc == 0)
		rc = open_store(live->store, &db);
	if (rc == SW_ENOTFOUND)
		rc = make_store(live, &db);
	if (rc == 0)
		rc = check_mode(live, db);
	if (rc < 0) {
		sw_db_close(db);
		return rc;
	}
	live->options.is_arriving = sw_arrival_is_pending(live->store);
	return sw_owner_open_db(db, &live->options, &live->owner);
}

/* Whoever serves has its signals blocked: they must be able to end the waiting. */
static bool is_told_to_stop(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT) ||
					     sigismember(&pending, SIGHUP));
}

/* How it goes while the database is waited for. */
struct waiting {
	uint64_t bytes;	    /* that came in */
	unsigned silent_ms; /* since something to speak of did; heartbeats do not count */
	uint64_t ms;	    /* in all */
	bool was_pending;   /* a peer keeps our request, or did: an admin has to decide, who may take days */
};

static bool is_let_in(struct sw_live *live)
{
	return sw_db_own_role(live->owner->db) >= SW_ROLE_READER;
}

static void note_pending(struct sw_live *live, struct waiting *w)
{
	if (!w->was_pending && live->said) {
		fprintf(live->said, "The peer keeps the request; waiting for an admin.\n");
		fflush(live->said);
	}
	w->was_pending = true;
}

static void show_progress(struct sw_live *live, const struct sw_swarm_status *status)
{
	char size[SW_TEXT_SIZE_SIZE];

	sw_text_size(status->bytes_in, size);
	sw_service_tell(live->service_fd, "STATUS=waiting for the database: %s received, %llu commits", size,
			(unsigned long long)status->commits_in);
	if (live->progress && !status->is_pending)
		fprintf(live->progress, "\r%s received, %llu commits ... ", size,
			(unsigned long long)status->commits_in);
}

/* Whether there is reason to wait on. */
static bool is_moving(struct sw_live *live, struct waiting *w)
{
	struct sw_swarm_status status;

	w->ms += ARRIVE_STEP_MS;
	if (sw_swarm_status(live->owner->swarm, &status) < 0)
		return true;
	w->silent_ms += ARRIVE_STEP_MS;
	if (status.is_pending)
		note_pending(live, w);
	if (status.bytes_in > w->bytes + HEARTBEATS_SIZE || (w->was_pending && !is_let_in(live))) {
		w->bytes = status.bytes_in;
		w->silent_ms = 0;
	}
	show_progress(live, &status);
	sw_swarm_status_fini(&status);
	return w->silent_ms < SILENCE_MS;
}

static bool is_over(struct sw_live *live, const struct waiting *w)
{
	return live->timeout_ms > 0 && w->ms >= live->timeout_ms && !is_let_in(live);
}

static int wait_for_database(struct sw_live *live)
{
	struct waiting w = {0};
	int rc;

	do {
		rc = sw_swarm_wait_synced(live->owner->swarm, ARRIVE_STEP_MS);
		if (rc == SW_EAGAIN && is_told_to_stop())
			return sw_fail(SW_ECLOSED, "stopped before the database had arrived; the same command "
						   "goes on with what is in %s", live->store);
	} while (rc == SW_EAGAIN && !is_over(live, &w) && is_moving(live, &w));
	if (live->progress)
		fprintf(live->progress, "\r\033[K");
	if (rc == SW_EAGAIN && w.was_pending && !is_let_in(live))
		return sw_fail(rc, "no admin has let this key in yet; the same command goes on waiting");
	return rc;
}

int sw_live_start(struct sw_live *live)
{
	struct sw_head head;
	int rc;

	sw_memory_begin();
	rc = sw_owner_start(live->owner);
	if (rc < 0)
		return rc;
	sw_db_head(live->owner->db, &head);
	if (head.count == 0 && (!live->owner->swarm || live->options.n_peers == 0))
		return sw_fail(SW_EAGAIN, "the store %s waits for a database that never arrived; give a ticket with "
					  "--peer, or run the 'swarmfs join' again that made it", live->store);
	if (head.count == 0 || live->options.is_arriving)
		rc = wait_for_database(live);
	if (rc == 0)
		rc = sw_arrival_end(live->store);
	if (rc == 0)
		sw_owner_arrived(live->owner);
	sw_daemon_survive(&live->daemon);
	return rc;
}

void sw_live_ready(struct sw_live *live)
{
	char path[4200];

	sw_on_conflict_resume(live->owner->on_conflict);
	snprintf(path, sizeof(path), "%s/log", live->store);
	sw_daemon_ready(&live->daemon, path);
	sw_service_tell(live->service_fd, "READY=1\nMAINPID=%ld\nSTATUS=serving %s%s%s", (long)getpid(), live->store,
			live->options.mount_point ? " at " : "",
			live->options.mount_point ? live->options.mount_point : "");
}

void sw_live_ending(struct sw_live *live)
{
	if (live->owner->has_stopped_programs)
		return;
	sw_service_tell(live->service_fd, "STOPPING=1\nSTATUS=committing what is whole");
	sw_owner_stop_programs(live->owner);
}

void sw_live_stop(struct sw_live *live)
{
	if (!live->owner || live->owner->has_stopped)
		return;
	sw_live_ending(live);
	sw_owner_stop(live->owner);
}

int sw_live_fail(struct sw_live *live, struct sw_ctx *ctx, int rc)
{
	sw_service_tell(live->service_fd, "STATUS=%s", sw_fail_message(rc));
	if (live->daemon.fd < 0)
		return sw_ctx_fail(ctx, rc);
	sw_daemon_tell(&live->daemon, SW_EXIT_FAILED, sw_fail_message(rc));
	return SW_EXIT_FAILED;
}

void sw_live_end(struct sw_live *live)
{
	sw_live_stop(live);
	sw_owner_close(live->owner);
	if (live->service_fd >= 0)
		close(live->service_fd);
	free(live->store);
	free(live->on_conflict);
}
