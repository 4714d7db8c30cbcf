/*
 * `swarmfs txn`: a command in a working copy, which is applied when it succeeds. All of it goes through the mount, as any
 * program's transaction does (fs/txn_files.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/commit.h"
#include "fs/control.h"
#include "fs/json_out.h"
#include "fs/target.h"
#include "fs/text.h"

#define VARIABLE  "SWARMFS_TXN" /* where the working copy is, for the command */
#define NAMES_MAX 1000		/* tries to find one that is free */

struct txn {
	struct sw_ctx *ctx;
	const struct sw_args *args;
	struct sw_target target;
	char *mount;
	char *name; /* of the working copy */
	char *dir;
};

static void txn_fini(struct txn *t)
{
	sw_target_fini(&t->target);
	free(t->mount);
	free(t->name);
	free(t->dir);
}

static int find_mount(struct txn *t)
{
	const char *arg = t->args->operands[0];
	int rc = sw_target_find(arg, &t->target);

	if (rc == 0 && !t->target.mount)
		rc = sw_target_mount_of(t->target.store, &t->mount);
	else if (rc == 0)
		t->mount = SW_TAKE(t->target.mount);
	if (rc == 0 && !t->mount)
		rc = sw_fail(SW_ENOTFOUND, "%s is not mounted, and a transaction is a directory of the mount; mount it "
					   "with 'swarmfs mount'", arg);
	return rc;
}

/* Try a name for the working copy: 1, or 0 when another one has it. */
static int try_name(struct txn *t, char *name)
{
	char *dir = NULL;

	free(t->name);
	free(t->dir);
	t->name = name;
	t->dir = NULL;
	if (!name || asprintf(&dir, "%s/.txn/%s", t->mount, name) < 0)
		return SW_ENOMEM;
	t->dir = dir;
	if (mkdir(dir, 0700) == 0)
		return 1;
	return errno == EEXIST ? 0 : sw_fail_errno("cannot begin a transaction at %s", dir);
}

static int begin(struct txn *t)
{
	const char *wanted = sw_args_get(t->args, "name");
	int rc = 0;

	if (wanted) {
		rc = try_name(t, strdup(wanted));
		if (rc == 0)
			return sw_fail(SW_EEXIST, "there is a transaction '%s' already; choose another name, or look "
						  "at %s", wanted, t->dir);
	}
	for (int i = 0; !wanted && rc == 0 && i < NAMES_MAX; i++) {
		char *name = NULL;

		if (asprintf(&name, i ? "txn-%d-%d" : "txn-%d", (int)getpid(), i) < 0)
			name = NULL;
		rc = try_name(t, name);
	}
	if (rc == 0)
		return sw_fail(SW_EEXIST, "there are too many transactions; 'swarmfs status' lists them");
	return rc < 0 ? rc : 0;
}

static int set_message(const struct txn *t)
{
	const char *message = sw_args_get(t->args, "message");
	char *path = NULL;
	ssize_t n;
	int fd, rc = 0;

	if (!message || !*message)
		return 0;
	if (asprintf(&path, "%s/.message", t->dir) < 0)
		return SW_ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : write(fd, message, strlen(message));
	if (n < 0)
		rc = sw_fail_errno("%s", path);
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = sw_fail_errno("%s", path);
	free(path);
	return rc;
}

/* The command */

static void watched_signals(sigset_t *set)
{
	static const int numbers[] = {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(set, numbers[i]);
}

static void run_child(const struct txn *t, char **words, const sigset_t *mask)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (chdir(t->dir) < 0 || setenv(VARIABLE, t->dir, 1) < 0) {
		fprintf(stderr, "swarmfs: %s: %s\n", t->dir, strerror(errno));
		_exit(126);
	}
	execvp(words[0], words);
	fprintf(stderr, "swarmfs: cannot run %s%s: %s\n", words[0],
		strchr(words[0], '/') && words[0][0] != '/' ? " in the working copy" : "", strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/*
 * Wait for the command; what a process sends to this one is passed on. What a terminal sends goes to both anyway. Its exit code,
 * or as a shell has it.
 */
static int wait_child(pid_t child, const sigset_t *watched)
{
	int status;

	for (;;) {
		siginfo_t info;
		pid_t got;

		if (sigwaitinfo(watched, &info) < 0)
			continue; /* a stop and a continue interrupt it */
		if (info.si_signo != SIGCHLD) {
			if (info.si_code <= 0)
				kill(child, info.si_signo);
			continue;
		}
		got = waitpid(child, &status, WNOHANG);
		if (got == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (got < 0)
			return sw_fail_errno("cannot wait for the command");
	}
}

static int run_command(const struct txn *t)
{
	size_t n = t->args->n_operands - 1;
	char **words = calloc(n + 1, sizeof(*words));
	sigset_t watched, before;
	pid_t child;
	int rc = words ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		words[i] = strdup(t->args->operands[i + 1]);
		if (!words[i])
			rc = SW_ENOMEM;
	}
	if (rc == 0) {
		watched_signals(&watched);
		signal(SIGCHLD, SIG_DFL);
		fflush(NULL);
		sigprocmask(SIG_BLOCK, &watched, &before);
		child = fork();
		if (child == 0)
			run_child(t, words, &before);
		rc = child < 0 ? sw_fail_errno("cannot start the command") : wait_child(child, &watched);
	}
	for (size_t i = 0; words && i < n; i++)
		free(words[i]);
	free(words);
	return rc;
}

/* The end */

/* What the process that serves the store says about the transaction; NULL: nothing. */
static json_t *ask_status(struct txn *t)
{
	char status[] = "status", json[] = "--json", *argv[] = {status, t->target.store, json, NULL};
	json_t *all = NULL, *found = NULL, *name = sw_json_name(sw_view_str(t->name)), *y;
	struct sw_call call = {.argc = 3, .argv = argv, .err = t->ctx->err};
	struct sw_args args;
	char *text = NULL;
	size_t n = 0, i;
	int fd;

	call.args = &args;
	call.out = open_memstream(&text, &n);
	if (call.out && sw_args_parse(&sw_cmd_status, 3, argv, &args) == 0 &&
	    sw_control_connect(t->target.store, &fd, NULL) == 0 && sw_control_call(fd, &call) == 0 &&
	    fflush(call.out) == 0)
		all = json_loadb(text, n, 0, NULL);
	json_array_foreach(json_object_get(all, "transactions"), i, y)
		if (json_equal(json_object_get(y, "name"), name))
			found = json_incref(y);
	if (call.out)
		fclose(call.out);
	free(text);
	json_decref(name);
	json_decref(all);
	return found;
}

static int print_moved(struct txn *t, json_t *moved)
{
	SW_BUF out = {0};
	json_t *row;
	size_t i;

	json_array_foreach(moved, i, row) {
		const char *table = json_string_value(json_object_get(row, "table"));
		const char *key = json_string_value(json_object_get(row, "row"));

		sw_buf_printf(&out, "  ");
		sw_text_put_path(&out, sw_view_str(table ? table : ""), sw_view_str(key ? key : ""));
		sw_buf_printf(&out, "\n");
	}
	if (out.rc == 0 && out.n > 0)
		fwrite(out.p, 1, out.n, t->ctx->err);
	return out.rc;
}

/* It could not be applied: why, and by which rows. */
static int tell(struct txn *t, int sys, bool stays)
{
	json_t *status = ask_status(t);
	const char *error = json_string_value(json_object_get(status, "error"));
	int rc;

	fprintf(t->ctx->err, "swarmfs: the transaction was not applied: %s\n", error && *error ? error : strerror(sys));
	rc = print_moved(t, json_object_get(status, "moved"));
	if (stays)
		fprintf(t->ctx->err, "It is still there: look at it, apply it with 'mv %s %s/.txn/commit', or remove it with "
				     "'rmdir %s'.\n", t->dir, t->mount, t->dir);
	json_decref(status);
	return rc < 0 ? rc : SW_EXIT_FAILED;
}

static int discard(const struct txn *t)
{
	/* The command may have done so. */
	return rmdir(t->dir) == 0 || errno == ENOENT ? 0 : sw_fail_errno("cannot remove the transaction %s", t->dir);
}

static int apply(struct txn *t)
{
	bool is_named = sw_args_has(t->args, "name");
	char *to = NULL;
	int rc, code;

	if (asprintf(&to, "%s/.txn/commit", t->mount) < 0)
		return SW_ENOMEM;
	rc = rename(t->dir, to) == 0 || errno == ENOENT ? 0 : errno;
	free(to);
	if (rc == 0)
		return SW_EXIT_OK;
	code = tell(t, rc, is_named);
	rc = is_named ? 0 : discard(t);
	return rc < 0 ? rc : code;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message"), *name = sw_args_get(args, "name");

	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	if (name && (strchr(name, '/') || sw_name_check(sw_view_str(name)) < 0 || strcmp(name, "commit") == 0))
		return sw_ctx_usage(ctx, args, "'%s' cannot be the name of a transaction", name);
	return 0;
}

/* An exit code, or a failure of our own. */
static int run_in(struct txn *t)
{
	int code = set_message(t), rc;

	if (code == 0)
		code = run_command(t);
	if (code == 0)
		return apply(t);
	rc = discard(t);
	return rc < 0 ? rc : code;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct txn t = {.ctx = ctx, .args = args};
	int rc = find_mount(&t);

	if (rc == 0)
		rc = begin(&t);
	if (rc == 0)
		rc = run_in(&t);
	if (rc < 0)
		rc = sw_ctx_fail(ctx, rc);
	txn_fini(&t);
	return rc;
}

static const struct sw_option options[] = {
    {"message", 'm', "TEXT", "what the commit says"},
    {"name", 0, "NAME", "of the transaction; one with a name stays when it cannot be applied"},
    {0},
};

const struct sw_cmd sw_cmd_txn = {
    .name = "txn",
    .synopsis = "TARGET [-m TEXT] [--name NAME] -- COMMAND...",
    .summary = "run a command in a transaction: all that it changes is one commit, or nothing is",
    .details = "COMMAND runs in a private working copy of the mounted database, MOUNTPOINT/.txn/NAME, which it finds as its\n"
	       "working directory and in $SWARMFS_TXN. When it succeeds, what it changed there becomes one strict commit.\n"
	       "When it fails, or is ended by a signal, nothing has happened. The exit code is that of COMMAND; 1 when a row\n"
	       "that it changed, or wrote as a line TABLE/ROW into $SWARMFS_TXN/.check, has moved on since it began: then\n"
	       "nothing is applied, and the rows are named.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = SW_ARGS_MAX,
    .where = SW_CMD_HERE,
    .check = check,
    .run = run,
};
