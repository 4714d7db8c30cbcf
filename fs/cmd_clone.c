#include <signal.h>

#include "core/log.h"
#include "fs/live.h"
#include "net/ticket.h"

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (!sw_ticket_looks_like(args->operands[0]))
		return sw_ctx_usage(ctx, args, "the first operand is a ticket, as 'swarmfs invite' prints it");
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_live live;
	struct sw_head head;
	int code = SW_EXIT_OK;
	int rc = sw_live_init(&live, args->operands[1]);

	signal(SIGPIPE, SIG_IGN);
	sw_log_set_level(SW_LOG_ERROR); /* what goes wrong is said once, at the end */
	live.peers[0] = args->operands[0];
	live.options.n_peers = 1;
	live.progress = ctx->is_terminal ? ctx->err : NULL;
	if (rc == 0)
		rc = sw_live_open(&live);
	if (rc == 0)
		rc = sw_live_start(&live);
	if (rc < 0) {
		code = sw_live_fail(&live, ctx, rc);
	} else {
		sw_db_head(live.owner->db, &head);
		fprintf(ctx->out, "%s holds the database now: %llu commits\n", live.store,
			(unsigned long long)head.count);
	}
	sw_live_end(&live);
	return code;
}

const struct sw_cmd sw_cmd_clone = {
    .name = "clone",
    .synopsis = "TICKET STORE",
    .summary = "make a store with a copy of somebody's database",
    .details = "Joins with the ticket, waits until everything is here, and ends. Mount or serve STORE afterwards.\n",
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_HERE,
    .check = check,
    .run = run,
};
