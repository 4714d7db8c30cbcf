#include "fs/cmd.h"
#include "fs/text.h"
#include "net/swarm.h"
#include "net/ticket.h"

#define EXPIRES_MS (24ull * 60 * 60 * 1000)

/* NULL: that of a writer. */
static int parse_role(const char *text, enum sw_role *out)
{
	*out = SW_ROLE_WRITER;
	return text ? sw_text_parse_role(text, out) : 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *expires = sw_args_get(args, "expires");
	enum sw_role role;
	uint64_t ms;

	if (parse_role(sw_args_get(args, "role"), &role) < 0)
		return sw_ctx_usage(ctx, args, "--role is reader, writer or admin, not '%s'", sw_args_get(args, "role"));
	if (expires && sw_text_parse_span(expires, &ms) < 0)
		return sw_ctx_usage(ctx, args, "--expires is a span such as 30m, 24h or 7d, not '%s'", expires);
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *expires = sw_args_get(args, "expires"), *addresses[SW_TICKET_ADDRESSES_MAX];
	size_t n = sw_args_all(args, "address", addresses, SW_TICKET_ADDRESSES_MAX);
	static const char *const what[] = {"", "to read", "to read and write", "to read, write and let others in"};
	enum sw_role role = SW_ROLE_WRITER;
	uint64_t ms = EXPIRES_MS;
	SW_BUF ticket = {0};
	int rc = expires ? sw_text_parse_span(expires, &ms) : 0;

	if (rc == 0)
		rc = parse_role(sw_args_get(args, "role"), &role);
	if (rc == 0 && n > SW_TICKET_ADDRESSES_MAX)
		rc = sw_fail(SW_EINVAL, "at most %d addresses fit a ticket", SW_TICKET_ADDRESSES_MAX);
	if (rc == 0 && !ctx->owner->swarm)
		rc = sw_fail(SW_EINVAL, "nobody could reach this peer, which does not listen; start it with --listen");
	if (rc == 0)
		rc = n > 0 ? sw_ticket_create(ctx->owner->db, addresses, n, ms, role, &ticket)
			   : sw_swarm_invite(ctx->owner->swarm, ms, role, &ticket);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	fprintf(ctx->out, "This ticket lets one peer in, %s, for %llu minutes. It is a secret.\n"
			  "Use it with: swarmfs mount MOUNTPOINT --peer TICKET\n",
		what[role], (unsigned long long)(ms / 60000));
	fprintf(ctx->out, "%.*s\n", (int)ticket.n, (const char *)ticket.p);
	return SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"expires", 0, "SPAN", "how long it is good: 30m, 24h (default), 7d"},
    {"role", 0, "ROLE", "what the newcomer may do: reader, writer (default), admin"},
    {"address", 0, "URL", "where the newcomer reaches this peer; default: where it listens"},
    {0},
};

const struct sw_cmd sw_cmd_invite = {
    .name = "invite",
    .synopsis = "TARGET [--role ROLE] [--expires SPAN] [--address URL]...",
    .summary = "print a ticket that lets one newcomer in",
    .details = "The ticket alone is on the last line. It is good once. Only an admin can invite.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_LIVE,
    .check = check,
    .run = run,
};
