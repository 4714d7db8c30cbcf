#include <signal.h>

#include "fs/live.h"

/* Signals are for the main thread, which waits for them: block them before any thread starts. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_live live;
	sigset_t signals;
	int code = SW_EXIT_OK, got;
	int rc = sw_live_begin(&live, args, args->operands[0]);

	block_signals(&signals);
	if (rc == 0)
		rc = sw_live_open(&live);
	if (rc == 0)
		rc = sw_live_start(&live);
	if (rc < 0) {
		code = sw_live_fail(&live, ctx, rc);
	} else {
		sw_live_ready(&live);
		sigwait(&signals, &got);
	}
	sw_live_end(&live);
	return code;
}

static const struct sw_option options[] = {SW_LIVE_OPTIONS, {0}};

const struct sw_cmd sw_cmd_serve = {
    .name = "serve",
    .synopsis = "STORE [--listen URL]... [--peer URL|TICKET]...",
    .summary = "keep a store in step with its peers, without a mount",
    .details = "Returns when it is up, and goes on in the background until SIGTERM; -f stays in the foreground.\n"
	       "A STORE that does not exist is made: a clone when a ticket is given, else a new database. It remembers\n"
	       "its peers as with 'swarmfs mount'.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_HERE,
    .check = sw_live_check,
    .run = run,
};
