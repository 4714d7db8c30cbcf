/* `swarmfs sql`: statements over the database as of a commit, or with --write ones that make the next (fs/sql.h). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/commit.h"
#include "core/plain.h"
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
	const char *message = sw_args_get(args, "message");
	bool writes = sw_args_has(args, "write");

	if (writes && sw_args_has(args, "at"))
		return sw_ctx_usage(ctx, args, "--write and --at do not go together: what is past cannot be changed");
	if (message && !writes)
		return sw_ctx_usage(ctx, args, "--message is of a commit, which only --write makes");
	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
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

static struct sw_sql_value count_of(uint64_t n)
{
	return (struct sw_sql_value){.kind = SW_SQL_INTEGER, .integer = (int64_t)n};
}

/* What was written, as a last row. */
static int report(const struct sw_sql_written *done, const struct sw_sql_sink *sink)
{
	static const char *const texts[] = {"inserted", "changed", "deleted", "commit"};
	struct sw_sql_value values[] = {
	    count_of(done->n_inserted), count_of(done->n_changed), count_of(done->n_deleted), {.kind = SW_SQL_NULL}};
	struct sw_view names[4];
	char hex[SW_HASH_HEX_SIZE];
	int rc;

	for (size_t i = 0; i < 4; i++)
		names[i] = sw_view_str(texts[i]);
	if (!sw_hash_is_zero(&done->commit)) {
		sw_hex(done->commit.b, SW_HASH_SIZE, hex);
		values[3] = (struct sw_sql_value){.kind = SW_SQL_TEXT, .bytes = sw_view_str(hex)};
	}
	rc = sink->begin(sink->arg, names, 4);
	if (rc == 0)
		rc = sink->row(sink->arg, values, 4);
	return rc < 0 ? rc : sink->end(sink->arg);
}

/* The statements, and the commit of what they wrote. */
static int change(struct sw_ctx *ctx, const struct sw_args *args, struct sw_sql *sql, struct sw_view text, const struct sw_sql_sink *sink)
{
	const char *message = sw_args_get(args, "message");
	char reason[SW_PLAIN_SIZE];
	struct sw_sql_written done;
	int rc = sw_sql_run(sql, text, sink);

	if (rc == 0)
		rc = sw_sql_commit(sql, ctx->owner->db, ctx->owner->work, sw_view_str(message ? message : "sql"), &done);
	if (rc == 0)
		return report(&done, sink);
	snprintf(reason, sizeof(reason), "%s", sw_fail_message(rc));
	return sw_fail(rc, "%s; nothing was changed", reason);
}

static int run_text(struct sw_ctx *ctx, const struct sw_args *args, struct sw_sql *sql, struct sw_view text)
{
	struct sw_sql_out *out = NULL;
	struct sw_sql_sink sink;
	int rc = sw_sql_out_new(ctx->out, form_of(ctx, args), &out);

	if (rc < 0)
		return rc;
	sink = sw_sql_out_sink(out);
	rc = sw_args_has(args, "write") ? change(ctx, args, sql, text, &sink) : sw_sql_run(sql, text, &sink);
	sw_sql_out_free(out);
	return rc;
}

/* What is changed stands on what was written before, so that is committed. */
static int settle(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_hash id;

	if (!sw_args_has(args, "write") || !ctx->owner->work)
		return 0;
	return sw_work_commit(ctx->owner->work, sw_view("", 0), &id);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_snap *snap = NULL;
	struct sw_sql *sql = NULL;
	SW_BUF text = {0};
	int rc = read_text(ctx, args, &text);

	if (rc == 0)
		rc = settle(ctx, args);
	if (rc == 0)
		rc = sw_snap_open_named(ctx->owner->db, sw_args_get(args, "at"), &snap);
	if (rc == 0)
		rc = sw_sql_new(snap, is_gone, ctx, &sql);
	if (rc == 0 && sw_args_has(args, "write"))
		sw_sql_allow_writing(sql);
	if (rc == 0)
		rc = run_text(ctx, args, sql, sw_buf_view(&text));
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
    {"write", 'w', NULL, "take INSERT, UPDATE and DELETE as well: all of it is one commit, or nothing happens"},
    {"message", 'm', "TEXT", "what the commit of --write says; default: sql"},
    {"json", 0, NULL, "one JSON object a line"},
    {"csv", 0, NULL, "CSV, with a line of names"},
    {"tsv", 0, NULL, "values separated by tabs; the default where no terminal is written to"},
    {"table", 0, NULL, "aligned columns; the default on a terminal"},
    {0},
};

const struct sw_cmd sw_cmd_sql = {
    .name = "sql",
    .synopsis = "TARGET QUERY|- [--at COMMIT | --write] [-m TEXT] [--json | --csv | --tsv | --table]",
    .summary = "ask the database in SQL, or change rows with it",
    .details = "QUERY is what SQLite takes, SELECT or several of them, over the database as of one commit; '-' reads it from\n"
	       "standard input. A table of the database is one of its name. It has the columns _key (the row's name), those of\n"
	       "its .schema or else all that its JSON rows have, and, when named, _bytes, _size, _mode and _mtime_ns. Conditions\n"
	       "on _key are looked up, others are a scan; without a .schema a table is also read once to find its columns. The\n"
	       "table swarmfs_tables lists the tables. In TSV, tabs and line ends in values are \\t and \\n; NULL is empty there\n"
	       "and in CSV; with --json arrays and objects are strings, as written.\n"
	       "\n"
	       "With --write, statements see what those before them wrote, and at the end all of it becomes one strict commit. When\n"
	       "anything fails, a schema refuses a row, or a changed row has moved on since they began, nothing has happened. A new\n"
	       "row of columns is named _key, or KEY.json by its primary key or id, and has the columns that are not NULL; UPDATE\n"
	       "leaves all else in a row as it was written. Setting _bytes writes a row whole. The last row of output tells how many\n"
	       "rows were inserted, changed and deleted, and the commit. Tables are made and dropped with mkdir and rmdir, or by\n"
	       "'swarmfs import'.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .work_option = "write",
    .check = check,
    .feed = feed,
    .run = run,
};
