#include <string.h>

#include "fs/cmd.h"

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");

	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");
	char hex[SW_HASH_HEX_SIZE];
	struct sw_hash id;
	int rc = sw_work_commit(ctx->owner->work, sw_view_str(message ? message : ""), &id);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	if (sw_hash_is_zero(&id)) {
		fprintf(ctx->out, "nothing to commit\n");
		return SW_EXIT_OK;
	}
	sw_hex(id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", hex);
	return SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"message", 'm', "TEXT", "what the commit says"},
    {0},
};

const struct sw_cmd sw_cmd_commit = {
    .name = "commit",
    .synopsis = "TARGET [-m TEXT]",
    .summary = "commit now whatever is written and not committed yet",
    .details = "Prints the commit's id. A mount commits by itself a moment after each write; this waits for\n"
	       "nothing but rows that a program has open and has not flushed.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .check = check,
    .run = run,
};
