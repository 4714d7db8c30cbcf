/* From the command line to a command, and to the process where it runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/cmd.h"
#include "fs/control.h"
#include "fs/mount_options.h"
#include "fs/output.h"
#include "fs/target.h"

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: swarmfs COMMAND ...\n\n"
		     "A replicated, versioned database mounted as a directory tree.\n\n");
	for (size_t i = 0; sw_cmds[i]; i++)
		fprintf(out, "  %-9s %s\n", sw_cmds[i]->name, sw_cmds[i]->summary);
	fprintf(out, "\nA TARGET is a mount point or the directory of a store.\n"
		     "'swarmfs COMMAND --help' says more about each. Exit codes: 0 done, 1 failed, 2 usage.\n");
}

static int usage_error(const char *word)
{
	const char *names[64], *guess;
	size_t n = 0;

	for (; sw_cmds[n] && n < 64; n++)
		names[n] = sw_cmds[n]->name;
	guess = sw_cmd_suggest(word, names, n);
	fprintf(stderr, "swarmfs: unknown %s '%s'", *word == '-' ? "option" : "command", word);
	if (guess)
		fprintf(stderr, "; did you mean '%s'?", guess);
	fprintf(stderr, "\nUsage: swarmfs COMMAND ...\nTry 'swarmfs --help'.\n");
	return SW_EXIT_USAGE;
}

/* The store is open in this process */

struct feeding {
	const struct sw_args *args;
	struct sw_import_report report;
};

static int feed_here(struct sw_ctx *ctx, const struct sw_import_sink *sink)
{
	struct feeding *f = ctx->rows_arg;

	return f->args->cmd->feed(f->args, sink, &f->report);
}

static int run_here(struct sw_ctx *ctx, const struct sw_args *args, struct sw_owner *owner)
{
	struct feeding f = {.args = args};
	int code;

	ctx->owner = owner;
	ctx->read_rows = feed_here;
	ctx->rows_arg = &f;
	code = args->cmd->run(ctx, args);
	if (code == SW_EXIT_OK && f.report.note[0])
		fprintf(ctx->err, "swarmfs: %s\n", f.report.note);
	return code == SW_EXIT_OK ? sw_ctx_finish(ctx) : code;
}

/* Connect to the owner (1 and *fd), or become it (0 and *out); somebody may be on the way in or out. */
static int reach(const struct sw_args *args, const char *store, int *fd, struct sw_owner **out)
{
	const struct sw_cmd *cmd = args->cmd;
	struct sw_owner_options options = {.has_work = sw_args_need_work(args)};
	struct timespec step = {0, SW_OWNER_BUSY_STEP_MS * 1000000};
	int rc = SW_EBUSY;

	for (int ms = 0; rc == SW_EBUSY && ms < SW_OWNER_BUSY_MS; ms += SW_OWNER_BUSY_STEP_MS) {
		if (ms > 0)
			nanosleep(&step, NULL);
		rc = sw_control_connect(store, fd, NULL);
		if (rc == 0)
			return 1;
		if (rc != SW_ENOTFOUND)
			return rc;
		if (cmd->where == SW_CMD_LIVE)
			return sw_fail(SW_ENOTFOUND,
				       "no process serves %s; start one with 'swarmfs mount' or 'swarmfs serve'",
				       store);
		rc = sw_owner_open(store, &options, out);
	}
	return rc;
}

static int call_owner(struct sw_ctx *ctx, const struct sw_args *args, int argc, char **argv, int fd)
{
	struct sw_call call = {.argc = argc,
			       .argv = argv,
			       .args = args,
			       .out = ctx->out,
			       .err = ctx->err,
			       .is_terminal = ctx->is_terminal,
			       .shows_output = ctx->shows_output};
	int rc = sw_control_call(fd, &call);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	return rc == SW_EXIT_OK ? sw_ctx_finish(ctx) : rc;
}

static int run_at_store(struct sw_ctx *ctx, const struct sw_args *args, int argc, char **argv)
{
	struct sw_owner *owner = NULL;
	struct sw_target target = {0};
	int fd = -1, code;
	int rc = sw_target_find(args->operands[0], &target);

	if (rc == 0)
		rc = reach(args, target.store, &fd, &owner);
	sw_target_fini(&target);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	if (rc > 0)
		return call_owner(ctx, args, argc, argv, fd);
	code = run_here(ctx, args, owner);
	sw_owner_close(owner);
	return code;
}

static int run_checked(struct sw_ctx *ctx, const struct sw_args *args, int argc, char **argv)
{
	int code;

	if (sw_cmd_where(args) != SW_CMD_HERE)
		return run_at_store(ctx, args, argc, argv);
	code = args->cmd->run(ctx, args);
	return code == SW_EXIT_OK ? sw_ctx_finish(ctx) : code;
}

/* Its output goes to that file, which is there only if all went well. */
static int run_to_file(struct sw_ctx *ctx, const struct sw_args *args, const char *path, int argc, char **argv)
{
	struct sw_output output;
	int code, rc = sw_output_open(path, &output);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	ctx->out = output.file;
	ctx->shows_output = false;
	code = run_checked(ctx, args, argc, argv);
	ctx->out = stdout;
	if (code != SW_EXIT_OK) {
		sw_output_abandon(&output);
		return code;
	}
	rc = sw_output_finish(&output);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static int run(const struct sw_cmd *cmd, int argc, char **argv)
{
	struct sw_ctx ctx = {.out = stdout,
			     .err = stderr,
			     .is_terminal = isatty(STDERR_FILENO),
			     .shows_output = isatty(STDOUT_FILENO)};
	const char *path;
	struct sw_args args;
	int rc = sw_args_parse(cmd, argc, argv, &args);

	if (rc < 0)
		return sw_ctx_usage(&ctx, &args, "%s", sw_fail_message(rc));
	if (rc > 0) {
		sw_cmd_print_help(cmd, stdout);
		return sw_ctx_finish(&ctx);
	}
	rc = cmd->check ? cmd->check(&ctx, &args) : 0;
	if (rc != 0)
		return rc;
	path = sw_args_output(&args);
	return path ? run_to_file(&ctx, &args, path, argc, argv) : run_checked(&ctx, &args, argc, argv);
}

/*
 * What a careless parent leaves. Descriptors 0 to 2 must be open, or the store's files would get their numbers; and where
 * SIGCHLD is ignored nobody learns how a program ended.
 */
static void put_in_order(void)
{
	signal(SIGCHLD, SIG_DFL);
	for (int fd = 0; fd <= 2; fd++)
		while (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			if (open("/dev/null", O_RDWR) < 0)
				_exit(SW_EXIT_FAILED);
}

static int run_as_helper(char **argv)
{
	char *words[6];

	return run(&sw_cmd_mount, sw_mount_helper_words(argv, words), words);
}

int sw_cmd_main(int argc, char **argv)
{
	const struct sw_cmd *cmd;

	put_in_order();
	if (argc < 2) {
		print_usage(stderr);
		return SW_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    (strcmp(argv[1], "help") == 0 && argc == 2)) {
		print_usage(stdout);
		return SW_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return run(&sw_cmd_version, 1, argv);
	if (strcmp(argv[1], "help") == 0) {
		cmd = sw_cmd_find(argv[2]);
		if (!cmd)
			return usage_error(argv[2]);
		sw_cmd_print_help(cmd, stdout);
		return SW_EXIT_OK;
	}
	if (sw_mount_is_helper_call(argc, argv))
		return run_as_helper(argv);
	cmd = sw_cmd_find(argv[1]);
	return cmd ? run(cmd, argc - 1, argv + 1) : usage_error(argv[1]);
}
