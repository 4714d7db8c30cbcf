#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/diff_out.h"

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	size_t n = args->n_operands - 1;
	struct sw_order named[2];
	int rc = sw_commit_find_all(ctx->owner->db, &args->operands[1], n, named);

	if (rc == 0)
		rc = sw_diff_put(ctx, n == 2 ? &named[0] : NULL, &named[n - 1], sw_diff_form_of(args));
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line for each table or row"},
    SW_DIFF_OPTION_PATCH,
    SW_DIFF_OPTION_STAT,
    {0},
};

const struct sw_cmd sw_cmd_diff = {
    .name = "diff",
    .synopsis = "TARGET A [B] [--json | --patch | --stat]",
    .summary = "show the rows that differ between two commits, or what one changed",
    .details = "With A alone: what that commit changed. A and B are named as for 'swarmfs show'.\n"
	       "A added, D removed, M changed (with the columns of .json rows), T only mode or time.\n"
	       "With --patch permission bits are in it, too, as git writes them; of rows that are no text, or have more than 1 MiB,\n"
	       "it says only that they differ.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 3,
    .where = SW_CMD_STORE,
    .check = sw_diff_form_check,
    .run = run,
};
