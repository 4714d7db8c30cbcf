/* `swarmfs import`: rows come from the input (fs/import_parse.h) and go to the importer. */
#include <stdlib.h>
#include <string.h>

#include "fs/cmd.h"
#include "fs/importer.h"

#define INPUTS_MAX (SW_ARGS_MAX - 1)

static int parse_options(const struct sw_args *args, struct sw_import_options *out,
			 const char *keys[static SW_IMPORT_KEYS_MAX])
{
	const char *format = sw_args_get(args, "format");

	*out = (struct sw_import_options){.table = sw_args_get(args, "table"),
					  .number = sw_args_has(args, "number"),
					  .keys = keys};
	out->n_keys = sw_args_all(args, "key", keys, SW_IMPORT_KEYS_MAX);
	if (out->n_keys > SW_IMPORT_KEYS_MAX)
		return sw_fail(SW_EINVAL, "--key can be given %d times at most", SW_IMPORT_KEYS_MAX);
	if (out->n_keys > 0 && out->number)
		return sw_fail(SW_EINVAL, "--key and --number do not go together");
	if (format && strcmp(format, "dir") == 0)
		out->format = SW_IMPORT_DIRECTORY;
	else if (format && sw_import_format_parse(format, &out->format) < 0)
		return sw_fail(SW_EINVAL, "--format is json, jsonl, csv or dir, not '%s'", format);
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *keys[SW_IMPORT_KEYS_MAX];
	struct sw_import_options options;
	int rc = parse_options(args, &options, keys);

	return rc < 0 ? sw_ctx_usage(ctx, args, "%s", sw_fail_message(rc)) : 0;
}

/* The files one after the other; their notes are put together. */
static int feed(const struct sw_args *args, const struct sw_import_sink *sink,
		struct sw_import_report *report)
{
	const char *keys[SW_IMPORT_KEYS_MAX];
	struct sw_import_options options;
	int rc = parse_options(args, &options, keys);

	*report = (struct sw_import_report){0};
	for (size_t i = 1; rc == 0 && i < args->n_operands; i++) {
		struct sw_import_report one;

		rc = sw_import_read(args->operands[i], &options, sink, &one);
		report->n_rows += one.n_rows;
		report->n_tables += one.n_tables;
		report->n_skipped += one.n_skipped;
		if (one.note[0]) {
			size_t n = strlen(report->note);

			snprintf(report->note + n, sizeof(report->note) - n, "%s%s", n ? " " : "", one.note);
		}
	}
	return rc;
}

static int on_table(void *arg, struct sw_view table)
{
	return sw_importer_table(arg, table);
}

static int on_row(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		  const struct sw_import_meta *meta)
{
	(void)table; /* begun before */
	return sw_importer_row(arg, key, bytes, meta);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_importer *importer = NULL;
	struct sw_import_sink sink = {.table = on_table, .row = on_row};
	const char *message = sw_args_get(args, "message");
	int rc = sw_importer_new(ctx->owner, message ? message : "import", ctx->is_terminal ? ctx->err : NULL,
				 &importer);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	sink.arg = importer;
	rc = ctx->read_rows(ctx, &sink);
	if (rc == 0)
		rc = sw_importer_finish(importer);
	sw_importer_report(importer, rc == 0 ? ctx->out : ctx->err, rc == 0);
	sw_importer_free(importer);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"table", 0, "TABLE", "the table; default: named like the file or directory"},
    {"key", 0, "COLUMN", "the column that names the rows; repeat it to join several"},
    {"number", 0, NULL, "number the rows, even if they have a column \"id\""},
    {"format", 0, "FORMAT", "json, jsonl, csv or dir; default: seen from the input"},
    {"message", 'm', "TEXT", "what the commits say"},
    {0},
};

const struct sw_cmd sw_cmd_import = {
    .name = "import",
    .synopsis = "TARGET [--table TABLE] [--key COLUMN] [--format FORMAT] FILE|DIRECTORY|-...",
    .summary = "write rows from JSON, JSON Lines, CSV or a directory",
    .details = "A row is named KEY.json after its key column: --key, or \"id\" if there is one; else rows are\n"
	       "numbered. Files of a directory are rows as they are; directories in it are tables.\n"
	       "Rows that exist are replaced; those that are equal already make no commit. '-' is standard\n"
	       "input, and needs --table. Large input is committed in several steps.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = INPUTS_MAX,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .check = check,
    .feed = feed,
    .run = run,
};
