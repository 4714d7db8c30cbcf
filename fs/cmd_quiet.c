/*
 * Keeps the owner's --on-conflict programs from running while its mount is taken away: they may
 * have files open in it. As long as the client stays; it goes when the mount has gone, or cannot go
 * for another reason.
 */
#include <time.h>

#include "fs/cmd.h"
#include "fs/on_conflict.h"

#define STEP_MS  20
#define LIMIT_MS 10000 /* for a client that hangs */

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	const struct timespec step = {0, STEP_MS * 1000000};

	(void)args;
	sw_on_conflict_stop(ctx->owner->on_conflict);
	for (int ms = 0; ms < LIMIT_MS && fputs("quiet\n", ctx->out) >= 0 && fflush(ctx->out) == 0;
	     ms += STEP_MS)
		nanosleep(&step, NULL);
	sw_on_conflict_resume(ctx->owner->on_conflict);
	return SW_EXIT_OK;
}

const struct sw_cmd sw_cmd_quiet = {
    .name = "quiet",
    .synopsis = "STORE",
    .summary = "run no --on-conflict programs for as long as the client stays",
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_LIVE,
    .run = run,
};
