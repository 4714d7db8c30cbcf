#include <stdio.h>

#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/diff.h"

static int to_file(void *arg, struct sw_view text)
{
	if (fwrite(text.p, 1, text.n, arg) == text.n)
		return 0;
	return sw_fail_errno("cannot write to a temporary file");
}

/* The difference is made within a transaction, which must not wait for a slow reader: it goes to a file first. */
static int copy(FILE *from, struct sw_ctx *ctx)
{
	char buf[65536];
	size_t n;

	rewind(from);
	while ((n = fread(buf, 1, sizeof(buf), from)) > 0 && !sw_ctx_is_gone(ctx))
		fwrite(buf, 1, n, ctx->out);
	return ferror(from) ? sw_fail_errno("cannot read a temporary file") : 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_diff_form form = sw_args_has(args, "json")    ? SW_DIFF_JSON
				 : sw_args_has(args, "patch") ? SW_DIFF_PATCH
				 : sw_args_has(args, "stat") ? SW_DIFF_STAT
							     : SW_DIFF_TEXT;
	size_t n = args->n_operands - 1;
	struct sw_order named[2];
	FILE *spool = tmpfile();
	int rc = spool ? sw_commit_find_all(ctx->owner->db, &args->operands[1], n, named)
		       : sw_fail_errno("cannot make a temporary file in /tmp");

	if (rc == 0)
		rc = sw_diff_commits(ctx->owner->db, n == 2 ? &named[0] : NULL, &named[n - 1], form, to_file,
				     spool);
	if (rc == 0)
		rc = copy(spool, ctx);
	if (spool)
		fclose(spool);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (sw_args_has(args, "json") + sw_args_has(args, "stat") + sw_args_has(args, "patch") > 1)
		return sw_ctx_usage(ctx, args, "only one of --json, --stat and --patch");
	return 0;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line for each table or row"},
    {"patch", 'p', NULL, "a unified diff, for 'patch -p1' in a copy of the tables"},
    {"stat", 0, NULL, "only how many rows, for each table"},
    {0},
};

const struct sw_cmd sw_cmd_diff = {
    .name = "diff",
    .synopsis = "TARGET A [B] [--json | --patch | --stat]",
    .summary = "show the rows that differ between two commits, or what one changed",
    .details = "With A alone: what that commit changed. A and B are named as for 'swarmfs show'.\n"
	       "A added, D removed, M changed (with the columns of .json rows), T only mode or time.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 3,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
