#include "core/db.h"
#include "fs/cmd.h"

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	(void)args;
	fprintf(ctx->out, "swarmfs %s (store format %d, rules %d)\n", SWARMFS_VERSION, SW_STORE_FORMAT,
		SW_RULE_VERSION);
	return SW_EXIT_OK;
}

const struct sw_cmd sw_cmd_version = {
    .name = "version",
    .synopsis = "",
    .summary = "print the version",
    .where = SW_CMD_HERE,
    .run = run,
};
