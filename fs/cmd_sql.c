/* `swarmfs sql`: statements over the database as of a commit (fs/sql.h). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/sql.h"
#include "fs/sql_out.h"

#define READ_SIZE 4096

static bool is_from_stdin(const struct sw_args *args)
{
	return strcmp(args->operands[1], "-") == 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (sw_args_has(args, "json") + sw_args_has(args, "csv") + sw_args_has(args, "tsv") + sw_args_has(args, "table") > 1)
		return sw_ctx_usage(ctx, args, "--json, --csv, --tsv and --table do not go together");
	return 0;
}

/* Standard input; it travels to where the store is open as a row would. */
static int feed(const struct sw_args *args, const struct sw_import_sink *sink, struct sw_import_report *report)
{
	SW_BUF text = {0};
	ssize_t n = 1;
	int rc;

	*report = (struct sw_import_report){0};
	if (!is_from_stdin(args))
		return 0;
	while (n > 0 && text.n <= SW_SQL_TEXT_MAX) {
		uint8_t *to = sw_buf_reserve(&text, READ_SIZE);

		if (!to)
			return SW_ENOMEM;
		n = read(STDIN_FILENO, to, READ_SIZE);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			text.n += (size_t)n;
	}
	if (n < 0)
		return sw_fail_errno("cannot read the statements from standard input");
	rc = sink->table(sink->arg, sw_view_str("sql"));
	return rc < 0 ? rc : sink->row(sink->arg, sw_view_str("sql"), sw_view_str("text"), sw_buf_view(&text), NULL);
}

static int ignore_table(void *arg, struct sw_view table)
{
	(void)arg;
	(void)table;
	return 0;
}

static int take_text(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes, const struct sw_import_meta *meta)
{
	struct sw_buf *text = arg;

	(void)table;
	(void)key;
	(void)meta;
	sw_buf_put_view(text, bytes);
	return text->rc;
}

static int read_text(struct sw_ctx *ctx, const struct sw_args *args, struct sw_buf *out)
{
	struct sw_import_sink sink = {.table = ignore_table, .row = take_text, .arg = out};
	int rc = ctx->read_rows(ctx, &sink);

	if (rc == 0 && !is_from_stdin(args))
		sw_buf_put_view(out, sw_view_str(args->operands[1]));
	return rc < 0 ? rc : out->rc;
}

static bool is_gone(void *ctx)
{
	return sw_ctx_is_gone(ctx);
}

static enum sw_sql_form form_of(const struct sw_ctx *ctx, const struct sw_args *args)
{
	if (sw_args_has(args, "json"))
		return SW_SQL_JSON;
	if (sw_args_has(args, "csv"))
		return SW_SQL_CSV;
	if (sw_args_has(args, "tsv"))
		return SW_SQL_TSV;
	return sw_args_has(args, "table") || ctx->shows_output ? SW_SQL_TABLE : SW_SQL_TSV;
}

static int run_text(struct sw_ctx *ctx, struct sw_sql *sql, enum sw_sql_form form, struct sw_view text)
{
	struct sw_sql_out *out = NULL;
	struct sw_sql_sink sink;
	int rc = sw_sql_out_new(ctx->out, form, &out);

	if (rc < 0)
		return rc;
	sink = sw_sql_out_sink(out);
	rc = sw_sql_run(sql, text, &sink);
	sw_sql_out_free(out);
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_snap *snap = NULL;
	struct sw_sql *sql = NULL;
	SW_BUF text = {0};
	int rc = read_text(ctx, args, &text);

	if (rc == 0)
		rc = sw_snap_open_named(ctx->owner->db, sw_args_get(args, "at"), &snap);
	if (rc == 0)
		rc = sw_sql_new(snap, is_gone, ctx, &sql);
	if (rc == 0)
		rc = run_text(ctx, sql, form_of(ctx, args), sw_buf_view(&text));
	if (rc == 0)
		sw_ctx_print_notes(ctx, sw_sql_notes(sql));
	sw_sql_free(sql);
	sw_snap_unref(snap);
	/* Output that could not be written is told of as such. */
	if (rc == SW_ECLOSED && ferror(ctx->out))
		return SW_EXIT_OK;
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"at", 0, "COMMIT", "the database as of that commit, named as for 'swarmfs show'; default: HEAD"},
    {"json", 0, NULL, "one JSON object a line"},
    {"csv", 0, NULL, "CSV, with a line of names"},
    {"tsv", 0, NULL, "values separated by tabs; the default where no terminal is written to"},
    {"table", 0, NULL, "aligned columns; the default on a terminal"},
    {0},
};

const struct sw_cmd sw_cmd_sql = {
    .name = "sql",
    .synopsis = "TARGET QUERY|- [--at COMMIT] [--json | --csv | --tsv | --table]",
    .summary = "ask the database in SQL",
    .details = "QUERY is what SQLite takes, SELECT or several of them, over the database as of one commit; '-' reads it from\n"
	       "standard input. A table of the database is one of its name. It has the columns _key (the row's name), those of\n"
	       "its .schema or else all that its JSON rows have, and, when named, _bytes, _size, _mode and _mtime_ns. Conditions\n"
	       "on _key are looked up, others are a scan; without a .schema a table is also read once to find its columns. The\n"
	       "table swarmfs_tables lists the tables. In TSV, tabs and line ends in values are \\t and \\n; NULL is empty there\n"
	       "and in CSV; with --json arrays and objects are strings, as written.\n"
	       "It only reads. To write, use files of a mount, 'swarmfs txn' or 'swarmfs import'.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .check = check,
    .feed = feed,
    .run = run,
};
