#include "fs/cmd.h"
#include "fs/status.h"
#include "net/known.h"
#include "net/swarm.h"

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

/* Who is dialled might be remembered again, so that comes first. */
static int forget_one(struct sw_owner *o, const char *address)
{
	int dialled = o->swarm ? sw_swarm_forget_peer(o->swarm, address) : SW_ENOTFOUND;
	int rc = sw_known_forget(o->db, address);

	if (rc != SW_ENOTFOUND || dialled == 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	return sw_fail(SW_ENOTFOUND, "no peer is remembered at the address '%s'; 'swarmfs peers' lists those that are", address);
}

static int forget(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *addresses[SW_ARGS_MAX];
	size_t n = sw_args_all(args, "forget", addresses, SW_ARGS_MAX);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = forget_one(ctx->owner, addresses[i]);
	return rc;
}

static int run_peers(struct sw_ctx *ctx, const struct sw_args *args)
{
	int rc;

	if (!sw_args_has(args, "forget"))
		return run(ctx, args);
	rc = forget(ctx, args);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object"},
    {0},
};

static const struct sw_option peers_options[] = {
    {"forget", 0, "URL", "dial the peer at that address no more, now and at later starts"},
    {"json", 0, NULL, "one JSON object a line"},
    {0},
};

const struct sw_cmd sw_cmd_status = {
    .name = "status",
    .synopsis = "TARGET [--json]",
    .summary = "how the database, the working set and the peers stand",
    .details = "With --json: pid, database, key, role, writable, store, mount, head{count,line,root}, pending, scratch, held,\n"
	       "refused, requests, batches, diverged, clock_ms, store_bytes, journal_bytes, error, damage, divergence, settled{count, commit,\n"
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
    .synopsis = "TARGET [--json] [--forget URL]...",
    .summary = "who is connected, and how far behind",
    .details = "The store remembers the addresses given with --peer, and where a ticket led, and dials them at every\n"
	       "start. Who is forgotten remains a member of the database, and may dial this peer: 'swarmfs revoke'\n"
	       "takes a member out.\n",
    .options = peers_options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .run = run_peers,
};
