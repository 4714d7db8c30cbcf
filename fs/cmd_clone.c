/* Making a store with a copy of somebody's database: clone has a ticket, join asks an admin. */
#include <signal.h>

#include "core/log.h"
#include "fs/live.h"
#include "fs/text.h"
#include "net/requests.h"
#include "net/ticket.h"
#include "net/transport.h"

/* Open the store of the second operand, or make it for what the first one leads to. */
static int begin(struct sw_live *live, struct sw_ctx *ctx, const struct sw_args *args)
{
	int rc = sw_live_init(live, args->operands[1]);

	signal(SIGPIPE, SIG_IGN);
	sw_log_set_level(SW_LOG_ERROR); /* what goes wrong is said once, at the end */
	live->peers[0] = args->operands[0];
	live->options.n_peers = 1;
	live->options.text = sw_args_get(args, "message");
	live->progress = ctx->is_terminal ? ctx->err : NULL;
	return rc < 0 ? rc : sw_live_open(live);
}

static int end(struct sw_live *live, struct sw_ctx *ctx, int rc)
{
	struct sw_head head;
	int code = SW_EXIT_OK;

	if (rc < 0) {
		code = sw_live_fail(live, ctx, rc);
	} else {
		sw_db_head(live->owner->db, &head);
		fprintf(ctx->out, "%s holds the database now: %llu commits\n", live->store,
			(unsigned long long)head.count);
	}
	sw_live_end(live);
	return code;
}

static int check_clone(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (!sw_ticket_looks_like(args->operands[0]))
		return sw_ctx_usage(ctx, args, "the first operand is a ticket, as 'swarmfs invite' prints it");
	return 0;
}

static int run_clone(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_live live;
	int rc = begin(&live, ctx, args);

	if (rc == 0)
		rc = sw_live_start(&live);
	return end(&live, ctx, rc);
}

const struct sw_cmd sw_cmd_clone = {
    .name = "clone",
    .synopsis = "TICKET STORE",
    .summary = "make a store with a copy of somebody's database",
    .details = "Joins with the ticket, waits until everything is here, and ends. Mount or serve STORE afterwards.\n",
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_HERE,
    .check = check_clone,
    .run = run_clone,
};

/* Joining */

static int check_join(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message"), *timeout = sw_args_get(args, "timeout");
	struct sw_ticket t;
	uint64_t ms;
	int rc;

	if (sw_ticket_looks_like(args->operands[0]))
		return sw_ctx_usage(ctx, args, "that is a ticket, which needs nobody's approval: 'swarmfs clone' takes it");
	rc = sw_ticket_from_join_address(args->operands[0], &t);
	if (rc == 0)
		rc = sw_address_check(t.addresses[0]);
	if (rc < 0)
		return sw_ctx_usage(ctx, args, "%s", sw_fail_message(rc));
	if (message && strlen(message) > SW_REQUEST_TEXT_MAX)
		return sw_ctx_usage(ctx, args, "--message has at most %d bytes", SW_REQUEST_TEXT_MAX);
	if (timeout && (sw_text_parse_span(timeout, &ms) < 0 || ms == 0))
		return sw_ctx_usage(ctx, args, "--timeout is a span such as 30s, 15m or 2d, not '%s'", timeout);
	return 0;
}

/* What the person at this end has to do. */
static void say_key(struct sw_ctx *ctx, const struct sw_live *live)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(sw_db_key(live->owner->db)->b, SW_KEY_SIZE, hex);
	fprintf(ctx->out, "The key of this store is %s\n"
			  "Tell it to an admin, over something that you both trust; the admin runs: swarmfs approve TARGET KEY\n",
		hex);
	fflush(ctx->out);
}

/* Ask, unless the database is here and this store a member. */
static int ask(struct sw_live *live, struct sw_ctx *ctx)
{
	bool is_member = sw_db_own_role(live->owner->db) >= SW_ROLE_READER;
	struct sw_ticket t;
	int rc = sw_ticket_from_join_address(live->peers[0], &t);

	if (rc < 0)
		return rc;
	if (is_member && !live->options.is_arriving && sw_hash_eq(&t.database, sw_db_id(live->owner->db)))
		return 0;
	if (!is_member)
		say_key(ctx, live);
	live->said = ctx->out;
	live->options.is_arriving = true; /* also for who was taken out, and has the database */
	return sw_live_start(live);
}

static int run_join(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *timeout = sw_args_get(args, "timeout");
	struct sw_live live;
	int rc = begin(&live, ctx, args);

	if (rc == 0 && timeout)
		rc = sw_text_parse_span(timeout, &live.timeout_ms);
	if (rc == 0)
		rc = ask(&live, ctx);
	return end(&live, ctx, rc);
}

static const struct sw_option join_options[] = {
    {"message", 'm', "TEXT", "what the admin is shown: who asks, and why"},
    {"timeout", 0, "SPAN", "give up waiting after 30s, 15m, 2d; default: wait for an admin as long as it takes"},
    {0},
};

const struct sw_cmd sw_cmd_join = {
    .name = "join",
    .synopsis = "ADDRESS STORE [--message TEXT] [--timeout SPAN]",
    .summary = "ask an admin to let this machine in, without a ticket",
    .details = "ADDRESS is a join address, as 'swarmfs approve TARGET' prints it at any peer that listens. Makes STORE with a new key, shows\n"
	       "the key, and asks the peer, which shows the request to its admin. Waits until an admin has approved the key there, or at\n"
	       "any other peer, and the database is here. If it is ended meanwhile, the same command goes on. Mount or serve STORE\n"
	       "afterwards.\n",
    .options = join_options,
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_HERE,
    .check = check_join,
    .run = run_join,
};
