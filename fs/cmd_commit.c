#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/cmd.h"
#include "fs/settled_text.h"
#include "fs/text.h"

#define LOOK_EVERY_MS 50

static int parse_timeout(const struct sw_args *args, uint64_t *ms)
{
	const char *text = sw_args_get(args, "timeout");

	*ms = UINT64_MAX;
	return text ? sw_text_parse_span(text, ms) : 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");
	uint64_t ms;

	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	if (parse_timeout(args, &ms) < 0)
		return sw_ctx_usage(ctx, args, "--timeout needs a time such as 30s, not '%s'",
				    sw_args_get(args, "timeout"));
	if (sw_args_has(args, "timeout") && !sw_args_has(args, "settled"))
		return sw_ctx_usage(ctx, args, "--timeout needs --settled");
	return 0;
}

/* Waiting until it is settled */

/* The commit's place, or of none the newest one's. */
static int find_place(struct sw_db *db, const struct sw_hash *id, struct sw_order *out)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	sw_hex(id->b, SW_HASH_SIZE, hex);
	rc = sw_db_resolve(&r, sw_view_str(sw_hash_is_zero(id) ? "HEAD" : hex), out);
	sw_reader_end(&r);
	return rc;
}

/* 1: it is settled; 0: not yet. A clock that was wrong gives it another stamp, and so another id. */
static int is_settled(struct sw_db *db, const struct sw_order *at)
{
	struct sw_settled settled;
	enum sw_outcome outcome;
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_settled(db, &r, &settled);
	if (rc == 0 && sw_db_outcome(&r, at, &outcome) == SW_ENOTFOUND)
		rc = sw_fail(SW_ENOTFOUND, "the clock of this machine was wrong, and the commit was signed again with "
					   "another time; 'swarmfs log' shows it");
	sw_reader_end(&r);
	return rc < 0 ? rc : sw_settled_covers(&settled, at);
}

/* Who it waits for, as an error. */
static int not_settled(struct sw_owner *o, const struct sw_order *at)
{
	struct sw_holdup *v = NULL;
	struct sw_reader r;
	SW_BUF names = {0};
	size_t n = 0;
	int rc = sw_reader_begin(o->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_holdups(o->db, &r, at, &v, &n);
	sw_reader_end(&r);
	if (rc == 0)
		sw_holdups_put(v, n, &names);
	free(v);
	if (rc < 0)
		return rc;
	return sw_fail(SW_EAGAIN, "it is committed, but not settled: %s%.*s%s", n ? "waiting for " : "nobody was sent it yet",
		       (int)names.n, (const char *)names.p,
		       o->is_serving ? "" : "; no process serves the store, so nobody can be heard");
}

static int wait_settled(struct sw_ctx *ctx, const struct sw_hash *id, uint64_t timeout_ms)
{
	const struct timespec pause = {0, LOOK_EVERY_MS * 1000000L};
	struct sw_owner *o = ctx->owner;
	const struct sw_env *env = sw_db_env(o->db);
	uint64_t begin_ms = sw_env_mono_ms(env);
	struct sw_order at;
	int rc = find_place(o->db, id, &at);

	if (rc < 0)
		return rc;
	sw_owner_sign(o);
	while ((rc = is_settled(o->db, &at)) == 0) {
		if (!o->is_serving || sw_env_mono_ms(env) - begin_ms >= timeout_ms || sw_ctx_is_gone(ctx))
			return not_settled(o, &at);
		nanosleep(&pause, NULL);
	}
	return rc < 0 ? rc : 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");
	char hex[SW_HASH_HEX_SIZE];
	uint64_t timeout_ms;
	struct sw_hash id;
	int rc = sw_work_commit(ctx->owner->work, sw_view_str(message ? message : ""), &id);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	sw_hex(id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", sw_hash_is_zero(&id) ? "nothing to commit" : hex);
	if (!sw_args_has(args, "settled"))
		return SW_EXIT_OK;
	fflush(ctx->out);
	rc = parse_timeout(args, &timeout_ms);
	if (rc == 0)
		rc = wait_settled(ctx, &id, timeout_ms);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"message", 'm', "TEXT", "what the commit says"},
    {"settled", 0, NULL, "wait until nothing can come before it any more: all who may write have it"},
    {"timeout", 0, "TIME", "give up waiting after so long (30s, 5m), and say who holds it up"},
    {0},
};

const struct sw_cmd sw_cmd_commit = {
    .name = "commit",
    .synopsis = "TARGET [-m TEXT] [--settled [--timeout TIME]]",
    .summary = "commit now whatever is written and not committed yet",
    .details = "Prints the commit's id. A mount commits by itself a moment after each write; this waits for\n"
	       "nothing but rows that a program has open and has not flushed. With --settled it waits further, until no\n"
	       "commit of anybody can come to stand before this one, or, if there was nothing to commit, before the newest.\n"
	       "Everybody who may write must have told that it has it, so one who is away holds it up.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .check = check,
    .run = run,
};
