#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "fs/commit_text.h"
#include "fs/conflict_text.h"
#include "fs/diff.h"
#include "fs/live.h"
#include "fs/metrics.h"
#include "fs/mount.h"
#include "fs/mount_options.h"
#include "fs/status.h"
#include "fs/target.h"

#define DIFF_MAX ((size_t)16 << 20) /* of a .diff file */

/* The store of a mount point that names none: its path, escaped, below the user's data. */
static int default_store(const char *point, struct sw_buf *out)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		sw_buf_printf(out, "/var/lib/swarmfs/");
	else if (data && data[0] == '/')
		sw_buf_printf(out, "%s/swarmfs/", data);
	else if (home && home[0] == '/')
		sw_buf_printf(out, "%s/.local/share/swarmfs/", home);
	else
		return sw_fail(SW_EINVAL, "there is no home directory to keep the store in; name one with --store");
	/* As systemd escapes paths: '/' becomes '-', and what could be mistaken is written as \xNN. */
	while (*point == '/')
		point++;
	for (const unsigned char *p = (const unsigned char *)point; *p; p++) {
		if (*p == '/')
			sw_buf_put_u8(out, '-');
		else if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			 *p == '_' || *p == ':' || (*p == '.' && p != (const unsigned char *)point))
			sw_buf_put_u8(out, *p);
		else
			sw_buf_printf(out, "\\x%02x", *p);
	}
	sw_buf_put_u8(out, 0);
	return out->rc;
}

/* The texts of control files */

static int text_status(void *arg, struct sw_buf *out)
{
	return sw_status_text(arg, out);
}

static int text_peers(void *arg, struct sw_buf *out)
{
	return sw_peers_text(arg, out);
}

static int text_metrics(void *arg, struct sw_buf *out)
{
	return sw_metrics_text(arg, out);
}

static int text_commit(void *arg, const struct sw_reader *r, const struct sw_order *order, struct sw_buf *out)
{
	(void)arg;
	return sw_commit_text(r, order, out);
}

static int text_diff(void *arg, struct sw_db *db, const struct sw_order *order, struct sw_buf *out)
{
	(void)arg;
	return sw_diff_text(db, order, DIFF_MAX, out);
}

static int text_conflict(void *arg, struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
			 struct sw_buf *out)
{
	(void)arg;
	return sw_conflict_text(db, r, c, out);
}

/* The mount hears of changes from the moment it is there. */
struct mounting {
	struct sw_live live;
	_Atomic(struct sw_mount *) mount;
};

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head, bool outside)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_changed(mount, changes, head, outside);
}

static void wait_shown(void *arg)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_wait_shown(mount);
}

static void let_go(void *arg, uint64_t before_ms)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_let_go(mount, before_ms);
}

static void on_diverged(void *arg, const struct sw_divergence *d)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_diverged(mount, d);
}

static void on_breach(void *arg, const struct sw_breach *breach, bool is_broken)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_breach(mount, breach, is_broken);
}

static void on_freed(void *arg)
{
	struct mounting *m = arg;
	struct sw_mount *mount = atomic_load(&m->mount);

	if (mount)
		sw_mount_freed(mount);
}

static void on_ready(void *arg)
{
	struct mounting *m = arg;

	sw_log(SW_LOG_INFO, "mounted; history is in .commits, what was lost in .conflicts, transactions in .txn, status in .swarm");
	sw_live_ready(&m->live);
}

static void on_ending(void *arg)
{
	struct mounting *m = arg;

	sw_live_ending(&m->live);
}

static int serve_mount(struct mounting *m, struct sw_mount *mount)
{
	const struct sw_mount_hooks hooks = {.arg = m, .ready = on_ready, .ending = on_ending};
	int rc;

	atomic_store(&m->mount, mount);
	rc = sw_mount_run(mount, &hooks);
	/* Whoever commits must have stopped before the mount that is told of it goes. */
	sw_live_stop(&m->live);
	atomic_store(&m->mount, NULL);
	return rc;
}

static int run_mount(struct mounting *m, const char *point, const struct sw_mount_line *line)
{
	struct sw_mount_options options = {.mountpoint = point,
					   .fuse_options = (const char *)line->fuse.p,
					   .show_control = line->show_control,
					   .uid = line->uid,
					   .gid = line->gid};
	struct sw_mount *mount = NULL;
	int rc = sw_live_open(&m->live);

	if (rc < 0)
		return rc;
	m->live.owner->hook = (struct sw_owner_hook){
	    .arg = m, .changed = on_changed, .freed = on_freed, .wait_shown = wait_shown, .let_go = let_go, .diverged = on_diverged, .breach = on_breach};
	options.texts = (struct sw_mount_texts){.arg = m->live.owner,
						.status = text_status,
						.peers = text_peers,
						.metrics = text_metrics,
						.commit = text_commit,
						.diff = text_diff,
						.conflict = text_conflict};
	rc = sw_live_start(&m->live);
	if (rc == 0)
		rc = sw_mount_new(m->live.owner->db, m->live.owner->work, m->live.owner->copies, &options, &mount);
	if (rc == 0)
		rc = serve_mount(m, mount);
	sw_mount_free(mount);
	return rc;
}

/* The real path of what is there of a path, or "" if that cannot be told. In place. */
static void find_real(char *path, char out[static PATH_MAX])
{
	while (!realpath(path, out)) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT || slash == path) {
			*out = '\0';
			return;
		}
		*slash = '\0';
	}
}

/* Else the mount would hide it from everybody, and this process would wait for itself. */
static int check_store_is_outside(const char *store, const char *point)
{
	char real[PATH_MAX], *path;
	size_t n = strlen(point);
	int rc = sw_path_absolute(store, &path);

	if (rc < 0)
		return rc;
	find_real(path, real);
	free(path);
	if (strncmp(real, point, n) == 0 && (real[n] == '/' || real[n] == '\0'))
		return sw_fail(SW_EINVAL, "the store %s would be hidden by what is mounted on %s; choose a directory elsewhere with --store",
			       store, point);
	return 0;
}

/* The line is parsed. */
static int run_line(struct sw_ctx *ctx, const struct sw_mount_line *line)
{
	const char *store = sw_args_get(&line->args, "store");
	struct mounting m = {0};
	SW_BUF default_dir = {0};
	char *point = NULL;
	int code = SW_EXIT_OK;
	int rc = sw_path_absolute(line->args.operands[0], &point);

	m.live.daemon.fd = -1;
	m.live.service_fd = -1;
	signal(SIGPIPE, SIG_IGN);
	if (rc == 0 && !store) {
		rc = default_store(point, &default_dir);
		store = (const char *)default_dir.p;
	}
	if (rc == 0)
		rc = sw_mount_check(point);
	if (rc == 0)
		rc = check_store_is_outside(store, point);
	if (rc == 0)
		rc = sw_live_begin(&m.live, &line->args, store);
	m.live.options.mount_point = point;
	if (rc == 0)
		rc = run_mount(&m, point, line);
	if (rc < 0)
		code = sw_live_fail(&m.live, ctx, rc);
	sw_live_end(&m.live);
	free(point);
	return code;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_mount_line line;
	int rc = sw_mount_line_parse(args, &line);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	rc = run_line(ctx, &line);
	sw_mount_line_fini(&line);
	return rc;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_mount_line line;
	int rc = sw_mount_line_parse(args, &line);

	if (rc < 0)
		return sw_ctx_usage(ctx, args, "%s", sw_fail_message(rc));
	rc = sw_live_check(ctx, &line.args);
	sw_mount_line_fini(&line);
	return rc;
}

static const struct sw_option options[] = {
    {"store", 's', "DIR", "where the database is kept on this machine"},
    SW_LIVE_OPTIONS,
    {"options", 'o', "OPT,...", "mount options, as for other FUSE file systems (see below)"},
    {0},
};

const struct sw_cmd sw_cmd_mount = {
    .name = "mount",
    .synopsis = "MOUNTPOINT [--store DIR] [--listen URL]... [--peer URL|TICKET]... [-o OPTIONS]",
    .summary = "mount a database as a directory tree, and keep it in step with its peers",
    .details = "Returns when the mount is usable, and goes on in the background until it is unmounted; -f stays in\n"
	       "the foreground. Without --store the store is $XDG_DATA_HOME/swarmfs/NAME (/var/lib/swarmfs/NAME for\n"
	       "root), NAME being the escaped path of the mount point. A store that does not exist is made: a clone\n"
	       "when a ticket is given, else a new database. The store remembers the peers given with --peer, and\n"
	       "where a ticket led: they are dialled at every start, until 'swarmfs peers --forget'. History is in MOUNTPOINT/.commits, what was\n"
	       "overwritten unseen in MOUNTPOINT/.conflicts, status in MOUNTPOINT/.swarm; they are there by name, but listed\n"
	       "only with -o show_control. When the mount runs in the background its log is STORE/log.\n"
	       "After -o: ro, allow_other, uid=N and gid=N (who owns the files), show_control, and what mount(8) knows;\n"
	       "also the options above but -f, as in -o no-peers,listen=tcp://0.0.0.0:7777. So fstab can have\n"
	       "    STORE MOUNTPOINT fuse.swarmfs allow_other,listen=tcp://0.0.0.0:7777,_netdev 0 0\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_HERE,
    .check = check,
    .run = run,
};
