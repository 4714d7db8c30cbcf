/* `swarmfs gc`: free the content of old commits. */
#include "core/gc.h"

#include <stdlib.h>

#include "core/hlc.h"
#include "core/settled.h"
#include "fs/cmd.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define KEEP_MS ((uint64_t)30 * 24 * 3600 * 1000)

static int parse_keep(const struct sw_args *args, uint64_t *ms)
{
	const char *text = sw_args_get(args, "keep");

	*ms = KEEP_MS;
	return text ? sw_text_parse_span(text, ms) : 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	uint64_t ms;

	if (parse_keep(args, &ms) < 0)
		return sw_ctx_usage(ctx, args, "--keep is a span such as 24h or 30d, not '%s'",
				    sw_args_get(args, "keep"));
	return 0;
}

static bool has_left(void *arg)
{
	return sw_ctx_is_gone(arg);
}

static int is_witnessed(struct sw_db *db, bool *out)
{
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_is_witnessed(db, &r, out);
	sw_reader_end(&r);
	return rc;
}

/* Nobody could ever join a database, or catch up with it, whose only whole store has freed some of it. Readers never say what
 * they have. */
static int check_alone(struct sw_ctx *ctx, const struct sw_gc_options *options)
{
	struct sw_gc_options dry = *options;
	struct sw_gc_report report;
	bool witnessed;
	int rc = is_witnessed(ctx->owner->db, &witnessed);

	if (rc < 0 || witnessed)
		return rc;
	dry.is_dry = true;
	rc = sw_db_gc(ctx->owner->db, &dry, &report);
	if (rc == 0 && report.n_commits > 0)
		rc = sw_fail(SW_EDENIED, "this is the only store that is known to have the whole database: once it "
					 "has freed content, nobody can join any more, and who was away may "
					 "stay behind, since both need a peer that keeps all history; let "
					 "another member who may write have it first, or say --sole");
	return rc;
}

/* What somebody has only looked at in an old snapshot would hold up gc for as long as the kernel remembers it. */
static void let_go(struct sw_owner *o, uint64_t keep_ms)
{
	uint64_t now = sw_env_wall_ms(sw_db_env(o->db));

	if (o->hook.let_go && now > keep_ms)
		o->hook.let_go(o->hook.arg, now - keep_ms + 1);
}

static void print_json(struct sw_ctx *ctx, const struct sw_gc_options *options,
		       const struct sw_gc_report *r, const char *upto)
{
	json_t *o =
	    json_pack("{s:b, s:o, s:I, s:I, s:I, s:b, s:b}", "dry_run", options->is_dry,
		      "freed_up_to", r->has_horizon ? json_string(upto) : json_null(), "commits",
		      (json_int_t)r->n_commits, "operations", (json_int_t)r->n_ops, "bytes",
		      (json_int_t)r->bytes, "held", r->is_held, "stopped", r->is_stopped);

	json_dumpf(o, ctx->out, JSON_PRESERVE_ORDER);
	fputc('\n', ctx->out);
	json_decref(o);
}

static void print_text(struct sw_ctx *ctx, const struct sw_gc_options *options,
		       const struct sw_gc_report *r, const char *upto)
{
	char size[SW_TEXT_SIZE_SIZE];

	if (!r->has_horizon) {
		fprintf(ctx->out, "nothing to free: no commit is both settled and that old\n");
		return;
	}
	sw_text_size(r->bytes, size);
	if (options->is_dry)
		fprintf(ctx->out,
			"would free %llu values and other operations of %llu commits, up to %s\n",
			(unsigned long long)r->n_ops, (unsigned long long)r->n_commits, upto);
	else
		fprintf(ctx->out,
			"freed the content of %llu commits up to %s: %s of the store's file can be "
			"used again\n",
			(unsigned long long)r->n_commits, upto, size);
	if (r->is_held)
		fprintf(ctx->out, "a snapshot in .commits is still open there: what comes after it "
				  "stays until it is closed\n");
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_gc_options options = {
	    .is_dry = sw_args_has(args, "dry-run"), .stop = has_left, .arg = ctx};
	char upto[SW_TEXT_TIME_SIZE] = "";
	struct sw_gc_report report;
	int rc = parse_keep(args, &options.keep_ms);

	if (rc == 0 && !options.is_dry)
		let_go(ctx->owner, options.keep_ms);
	if (rc == 0 && !options.is_dry && !sw_args_has(args, "sole"))
		rc = check_alone(ctx, &options);
	if (rc == 0)
		rc = sw_db_gc(ctx->owner->db, &options, &report);
	/* Also when it failed: what was freed until then is. */
	if (ctx->owner->hook.freed)
		ctx->owner->hook.freed(ctx->owner->hook.arg);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	if (report.has_horizon)
		sw_text_time(sw_hlc_ms(sw_order_stamp(&report.horizon)), upto);
	if (sw_args_has(args, "json"))
		print_json(ctx, &options, &report, upto);
	else
		print_text(ctx, &options, &report, upto);
	return SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"keep", 0, "SPAN", "commits of the last so long stay whole; 30d if it is left out"},
    {"dry-run", 0, NULL, "only say what would be freed"},
    {"sole", 0, NULL,
     "also if no other store is known to have the whole database, so that nobody could join it any more"},
    {"json", 0, NULL, "one JSON object"},
    {0},
};

const struct sw_cmd sw_cmd_gc = {
    .name = "gc",
    .synopsis = "TARGET [--keep SPAN] [--dry-run] [--sole] [--json]",
    .summary = "free the old values of commits that are settled",
    .details = "Frees, of commits that are settled and older than --keep, what no longer stands "
	       "and nobody can come to need:\n"
	       "superseded values, deleted rows, old states. Signed headers, the line, members, "
	       "conflicts that are open and all that\n"
	       "stands now stay. Snapshots from before are gone then. The space is used again; the "
	       "file does not shrink. Others\n"
	       "may use the store meanwhile, and it can be stopped at any time. Who joins the "
	       "database, or was away for long, needs\n"
	       "a peer that keeps all history: let one of them run no gc. Unless another member who may "
	       "write has said that it has\n"
	       "what would be freed, it asks for --sole; whether that one has freed it itself is not "
	       "known.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
