/* `swarmfs export`: rows of one moment go to standard output, or to a file (fs/export.h). */
#include <stdlib.h>
#include <string.h>

#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/export.h"

/* What --format says, or the name of the file; else a table is lines, and several are a tar. */
static int parse_format(const struct sw_args *args, enum sw_export_format *out)
{
	const char *format = sw_args_get(args, "format"), *path = sw_args_output(args);

	if (format)
		return sw_export_format_parse(format, out);
	if (!path || !sw_export_format_of(path, out))
		*out = args->n_operands == 2 ? SW_EXPORT_LINES : SW_EXPORT_TAR;
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_export_format format;
	int rc = parse_format(args, &format);

	if (rc < 0)
		return sw_ctx_usage(ctx, args, "%s", sw_fail_message(rc));
	if (format != SW_EXPORT_TAR && args->n_operands != 2)
		return sw_ctx_usage(ctx, args, "this format holds one table; name it, or use --format tar for %s",
				    args->n_operands > 2 ? "several" : "all");
	if (format == SW_EXPORT_TAR && sw_args_has(args, "skip"))
		return sw_ctx_usage(ctx, args, "--skip does not go with tar, which takes every row");
	if (format == SW_EXPORT_TAR && !sw_args_output(args) && ctx->shows_output)
		return sw_ctx_usage(ctx, args, "a tar is nothing for a terminal; name a file with -o, or one table");
	return 0;
}

static bool is_gone(void *ctx)
{
	return sw_ctx_is_gone(ctx);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_export x = {.out = ctx->out, .skip = sw_args_has(args, "skip"), .is_gone = is_gone, .arg = ctx};
	enum sw_export_format format;
	int rc = parse_format(args, &format);

	if (rc == 0)
		rc = sw_snap_open_named(ctx->owner->db, sw_args_get(args, "at"), &x.snap);
	if (rc == 0)
		rc = format == SW_EXPORT_TAR ? sw_export_tar(&x, &args->operands[1], args->n_operands - 1)
					     : sw_export_table(&x, sw_view_str(args->operands[1]), format);
	if (rc == 0)
		sw_ctx_print_notes(ctx, sw_buf_view(&x.notes));
	sw_buf_fini(&x.notes);
	sw_snap_unref(x.snap);
	/* Output that could not be written is told of as such. */
	if (rc == SW_ECLOSED && ferror(ctx->out))
		return SW_EXIT_OK;
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"at", 0, "COMMIT", "the database as of that commit, named as for 'swarmfs show'; default: HEAD"},
    {"format", 0, "jsonl|json|csv|tar", "default: what FILE is named; else a table as jsonl, several as tar"},
    {"output", 'o', "FILE", "write that file ('-': standard output), which has its name only when it is whole"},
    {"skip", 0, NULL, "leave out rows that are no JSON objects, instead of failing"},
    {0},
};

const struct sw_cmd sw_cmd_export = {
    .name = "export",
    .synopsis = "TARGET [--at COMMIT] [--format FORMAT] [-o FILE] [TABLE]...",
    .summary = "write rows as JSON Lines, JSON, CSV or tar",
    .details = "The counterpart of 'swarmfs import', to standard output. One TABLE becomes JSON Lines, a JSON array or CSV; several,\n"
	       "or without any all of them, become a tar with every byte, mode and time of the rows, which tar extracts, also\n"
	       "into a mount. All that is written is of one commit. Rows that are no JSON objects, and schemas, go only into a\n"
	       "tar. What import would not make again as it was, such as the numbers of a CSV or the names of the rows, is told\n"
	       "of. What was just written into a mount is not in it before it is committed: 'swarmfs commit' does that at once.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = SW_ARGS_MAX - 1,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
