/* Who asks to be let in without a ticket: listed, approved, rejected. */
#include <stdlib.h>

#include "core/members.h"
#include "fs/cmd.h"
#include "fs/grant.h"
#include "fs/json_out.h"
#include "fs/text.h"
#include "net/swarm.h"
#include "net/ticket.h"

#define PREFIX_MIN 16 /* digits: nobody can make a key that begins like another in so many */

/* The requests here; none, if no process serves the store. */
static size_t get_requests(struct sw_ctx *ctx, struct sw_request *out)
{
	return ctx->owner->swarm ? sw_swarm_requests(ctx->owner->swarm, out) : 0;
}

/* Listing */

static int was_removed(struct sw_db *db, const struct sw_key *key, bool *out)
{
	struct sw_hash *revocations = NULL;
	struct sw_reader r;
	size_t n = 0;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_revocations(db, &r, key, &revocations, &n);
	sw_reader_end(&r);
	free(revocations);
	*out = n > 0;
	return rc;
}

static int put_json(const struct sw_request *q, const char *key, const char *time, bool removed, struct sw_buf *out)
{
	int rc;

	sw_buf_printf(out, "{\"key\":\"%s\",\"asked\":\"%s\",\"address\":", key, time);
	rc = sw_json_put_text(out, sw_view_str(q->address));
	sw_buf_printf(out, ",\"message\":");
	if (rc == 0)
		rc = sw_json_put_text(out, sw_view(q->text, q->n_text));
	sw_buf_printf(out, ",\"was_removed\":%s}\n", removed ? "true" : "false");
	return rc;
}

static int put_request(struct sw_db *db, const struct sw_request *q, bool json, struct sw_buf *out)
{
	char key[SW_HASH_HEX_SIZE], time[SW_TEXT_TIME_SIZE];
	bool removed = false;
	int rc = was_removed(db, &q->key, &removed);

	sw_hex(q->key.b, SW_KEY_SIZE, key);
	sw_text_time(q->asked_ms, time);
	if (rc < 0)
		return rc;
	if (json)
		return put_json(q, key, time, removed, out);
	sw_buf_printf(out, "%s  %s  %s", key, time, q->address);
	if (q->n_text > 0)
		sw_buf_printf(out, "  ");
	sw_text_put(out, sw_view(q->text, q->n_text), q->n_text);
	sw_buf_printf(out, "%s\n", removed ? "  (was taken out of the database)" : "");
	return 0;
}

/* For people: where others can ask. */
static void put_addresses(struct sw_ctx *ctx, struct sw_buf *out)
{
	const char *const *addresses = NULL;
	size_t n = ctx->owner->swarm ? sw_swarm_advertised(ctx->owner->swarm, &addresses) : 0;

	for (size_t i = 0; i < n; i++) {
		sw_buf_printf(out, "To ask here: swarmfs join ");
		sw_ticket_put_join_address(ctx->owner->db, addresses[i], out);
		sw_buf_printf(out, " STORE\n");
	}
	if (n == 0)
		sw_buf_printf(out, "Nobody can ask here, since no process listens; 'swarmfs approve TARGET KEY' takes a whole key all the same\n");
}

static int list(struct sw_ctx *ctx, bool json)
{
	struct sw_request v[SW_REQUESTS_MAX];
	size_t n = get_requests(ctx, v);
	SW_BUF out = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = put_request(ctx->owner->db, &v[i], json, &out);
	if (!json && n == 0)
		sw_buf_printf(&out, "nobody asks to be let in\n");
	if (!json)
		put_addresses(ctx, &out);
	if (rc == 0 && out.n > 0)
		fwrite(out.p, 1, out.n, ctx->out);
	return rc < 0 ? rc : out.rc;
}

/* Deciding */

static bool is_whole_key(const char *text, struct sw_key *out)
{
	struct sw_view digits = sw_view_str(text);

	return digits.n == 2 * SW_KEY_SIZE && sw_unhex(digits, out->b, SW_KEY_SIZE) == 0;
}

/* A whole key, or the first digits of one that asks here. */
static int find_key(struct sw_ctx *ctx, const char *text, struct sw_key *out)
{
	struct sw_request v[SW_REQUESTS_MAX];
	size_t n = get_requests(ctx, v), found;

	if (is_whole_key(text, out))
		return 0;
	if (strlen(text) < PREFIX_MIN)
		return sw_fail(SW_EINVAL, "'%s' is too little of a key; give %d digits or more, or all 64", text, PREFIX_MIN);
	found = sw_requests_match(v, n, text, out);
	if (found == 1)
		return 0;
	if (found > 1)
		return sw_fail(SW_EINVAL, "%zu keys that ask here begin with '%.64s'; give more digits", found, text);
	return sw_fail(SW_ENOTFOUND, "no key that asks here begins with '%.64s'; 'swarmfs approve TARGET' lists them, and a whole key "
				     "needs no request", text);
}

static int check_right(struct sw_db *db, const struct sw_key *key)
{
	char hex[SW_HASH_HEX_SIZE];

	if (sw_db_own_role(db) >= SW_ROLE_ADMIN)
		return 0;
	sw_hex(key->b, SW_KEY_SIZE, hex);
	return sw_fail(SW_EDENIED, "only an admin can let others in, and the key of this store is none; an admin can do it at any "
				   "peer, with: swarmfs approve TARGET %s", hex);
}

static int check_newcomer(struct sw_db *db, const struct sw_key *key)
{
	struct sw_reader r;
	int role = 0, rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_role(&r, key, &role);
	sw_reader_end(&r);
	if (rc == 0 && role >= SW_ROLE_READER)
		return sw_fail(SW_EEXIST, "that key is a member already, a %s; 'swarmfs members --set' changes its role",
			       sw_text_role(role));
	return rc;
}

static int approve(struct sw_ctx *ctx, const struct sw_key *key, const char *role_text)
{
	enum sw_role role = SW_ROLE_WRITER;
	char hex[SW_HASH_HEX_SIZE];
	int rc = role_text ? sw_text_parse_role(role_text, &role) : 0;

	if (rc == 0)
		rc = check_right(ctx->owner->db, key);
	if (rc == 0)
		rc = check_newcomer(ctx->owner->db, key);
	if (rc == 0)
		rc = sw_grant_role(ctx->owner->db, key, role, false);
	if (rc < 0)
		return rc;
	sw_hex(key->b, SW_KEY_SIZE, hex);
	fprintf(ctx->out, "%s is let in as %s\n", hex, sw_text_role(role));
	return 0;
}

static int reject(struct sw_ctx *ctx, const struct sw_key *key)
{
	int rc = ctx->owner->swarm ? sw_swarm_reject(ctx->owner->swarm, key) : SW_ENOTFOUND;

	if (rc == SW_ENOTFOUND)
		return sw_fail(rc, "that key does not ask here; 'swarmfs approve TARGET' lists those that do");
	return rc;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *role = sw_args_get(args, "role");
	enum sw_role parsed;

	if (role && sw_text_parse_role(role, &parsed) < 0)
		return sw_ctx_usage(ctx, args, "--role is reader, writer or admin, not '%s'", role);
	if (args->n_operands == 1 && (role || sw_args_has(args, "reject")))
		return sw_ctx_usage(ctx, args, "whom? Give the key, or its first digits");
	if (role && sw_args_has(args, "reject"))
		return sw_ctx_usage(ctx, args, "--reject lets nobody in, and --role says as what");
	if (args->n_operands == 2 && sw_args_has(args, "json"))
		return sw_ctx_usage(ctx, args, "--json is for the list of requests, without a key");
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_key key;
	int rc;

	if (args->n_operands == 1) {
		rc = list(ctx, sw_args_has(args, "json"));
	} else {
		rc = find_key(ctx, args->operands[1], &key);
		if (rc == 0)
			rc = sw_args_has(args, "reject") ? reject(ctx, &key) : approve(ctx, &key, sw_args_get(args, "role"));
	}
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"role", 0, "ROLE", "what the newcomer may do: reader, writer (default), admin"},
    {"reject", 0, NULL, "say no instead; this peer then keeps no request of that key for three days"},
    {"json", 0, NULL, "list one JSON object a line"},
    {0},
};

const struct sw_cmd sw_cmd_approve = {
    .name = "approve",
    .synopsis = "TARGET [KEY] [--role ROLE] [--reject] [--json]",
    .summary = "let somebody in who asks with 'swarmfs join', or list who does",
    .details = "Without KEY it lists who asks at this peer, and the address with which others can. Compare the key with the one that\n"
	       "'swarmfs join' shows to the person who asks: address and message are anybody's words. KEY is that key, or its first\n"
	       "digits, 8 or more. Only an admin can let others in, and can do so with the whole key at any peer, also where nobody asked.\n"
	       "Requests are kept in memory, 64 at most and 8 from one place, until three days after they were heard of last.\n"
	       "With --json: key, asked, address, message, was_removed.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
