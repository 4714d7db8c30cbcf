#include "fs/cmd.h"
#include "fs/status.h"

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	bool peers = args->cmd == &sw_cmd_peers, json = sw_args_has(args, "json");
	SW_BUF out = {0};
	int rc;

	if (peers)
		rc = json ? sw_peers_json(ctx->owner, &out) : sw_peers_text(ctx->owner, &out);
	else
		rc = json ? sw_status_json(ctx->owner, &out) : sw_status_text(ctx->owner, &out);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	if (out.n > 0)
		fwrite(out.p, 1, out.n, ctx->out);
	return SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object (peers: one a line)"},
    {0},
};

const struct sw_cmd sw_cmd_status = {
    .name = "status",
    .synopsis = "TARGET [--json]",
    .summary = "how the database, the working set and the peers stand",
    .details = "With --json: pid, database, key, role, writable, store, mount, head{count,line,root}, pending, scratch, held,\n"
	       "refused, batches, diverged, clock_ms, store_bytes, journal_bytes, error, damage, divergence, settled{count, commit,\n"
	       "waits_for[]{key, seen}}, freed_up_to, reaches_down, transactions[]{name, made, commits, changed,\n"
	       "checked, error, moved[]{table, row}}, schema{refused[]{table, row, time, reason, path},\n"
	       "broken[]{table, row, reason}, more}, memory{resident_bytes, rows}, listen[], peers[]{key, address, inbound,\n"
	       "state, has_freed, lag_commits, lag_ms, clock_ms, rtt_us, bytes_in, bytes_out, commits_in, commits_out, errors, reconnects,\n"
	       "software, error}. Equal heads mean equal histories and states. pid is null when no process serves\n"
	       "the store.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .run = run,
};

const struct sw_cmd sw_cmd_peers = {
    .name = "peers",
    .synopsis = "TARGET [--json]",
    .summary = "who is connected, and how far behind",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .run = run,
};
