/* `swarmfs show`: a commit, with what it changed if asked, or a row as it was then. */
#include <stdlib.h>

#include "core/blob.h"
#include "core/json.h"
#include "core/settled.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/commit_text.h"
#include "fs/diff_out.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define JSON_ROW_MAX ((size_t)16 << 20)
#define PIECE ((size_t)1 << 20) /* bytes of a row read in one transaction */

static int show_commit(struct sw_ctx *ctx, const struct sw_order *order, bool is_json)
{
	struct sw_settled settled;
	struct sw_commit_info info;
	struct sw_reader r;
	SW_BUF text = {0};
	int rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	if (is_json) {
		rc = sw_commit_info(&r, order, &info);
		if (rc == 0)
			rc = sw_db_settled(ctx->owner->db, &r, &settled);
		info.is_settled = rc == 0 && sw_settled_covers(&settled, order);
		if (rc == 0)
			rc = sw_commit_json(&info, &text);
	} else {
		rc = sw_commit_text(&r, order, &text);
	}
	sw_reader_end(&r);
	if (rc == 0)
		fwrite(text.p, 1, text.n, ctx->out);
	return rc;
}

/* One piece of the row into buf; *n is 0 at its end. */
static int read_piece(struct sw_snap *snap, struct sw_view table, struct sw_view key, uint64_t offset,
		      struct sw_buf *buf)
{
	struct sw_reader r;
	struct sw_row row;
	size_t got = 0;
	int rc = sw_snap_read(snap, &r);

	if (rc < 0)
		return rc;
	sw_buf_reset(buf);
	rc = sw_state_row(r.nodes, &r.head.state, table, key, &row);
	if (rc == 0 && !row.is_blob && offset == 0)
		sw_buf_put_view(buf, row.bytes);
	if (rc == 0 && row.is_blob && offset < row.size) {
		uint8_t *to = sw_buf_reserve(buf, PIECE);

		rc = to ? sw_blob_read(r.nodes, &row.blob, offset, to, PIECE, &got) : SW_ENOMEM;
		buf->n = got;
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : buf->rc;
}

/* Bytes that are not text are in base64. */
static int put_row_json(struct sw_snap *snap, struct sw_view table, struct sw_view key, FILE *out)
{
	struct sw_reader r;
	struct sw_row row;
	SW_BUF bytes = {0};
	SW_BUF base64 = {0};
	char mode[8];
	bool is_text;
	json_t *o;
	int rc = sw_snap_read(snap, &r);

	if (rc < 0)
		return rc;
	rc = sw_state_row(r.nodes, &r.head.state, table, key, &row);
	if (rc == 0 && row.size > JSON_ROW_MAX)
		rc = sw_fail(SW_ELIMIT, "the row has more than %zu bytes, too many for --json; leave it out",
			     JSON_ROW_MAX);
	if (rc == 0)
		rc = sw_row_read(r.nodes, &row, &bytes);
	sw_reader_end(&r);
	if (rc < 0)
		return rc;
	is_text = bytes.n == 0 || sw_json_is_utf8(sw_buf_view(&bytes));
	if (!is_text)
		rc = sw_base64(sw_buf_view(&bytes), &base64);
	if (rc < 0)
		return rc;
	snprintf(mode, sizeof(mode), "%04o", row.mode);
	o = json_pack("{s:o, s:o, s:I, s:s, s:I, s:o}", "table", sw_json_name(table), "row",
		      sw_json_name(key), "size", (json_int_t)row.size, "mode", mode, "mtime_ns",
		      (json_int_t)row.mtime_ns, is_text ? "text" : "base64",
		      sw_json_text(sw_buf_view(is_text ? &bytes : &base64)));
	rc = o && json_dumpf(o, out, JSON_PRESERVE_ORDER) == 0 ? 0 : SW_ENOMEM;
	json_decref(o);
	fputc('\n', out);
	return rc;
}

static int show_row(struct sw_ctx *ctx, const struct sw_order *order, const char *name, bool is_json)
{
	const char *slash = strchr(name, '/');
	struct sw_view table = sw_view(name, slash ? (size_t)(slash - name) : 0);
	struct sw_view key = slash ? sw_view_str(slash + 1) : sw_view("", 0);
	struct sw_snap *snap = NULL;
	struct sw_hash id;
	uint64_t offset = 0;
	SW_BUF buf = {0};
	int rc;

	sw_order_id(order, &id);
	rc = sw_snap_open(ctx->owner->db, &id, &snap);
	if (rc == 0 && is_json)
		rc = put_row_json(snap, table, key, ctx->out);
	while (rc == 0 && !is_json && !sw_ctx_is_gone(ctx)) {
		rc = read_piece(snap, table, key, offset, &buf);
		if (rc < 0 || buf.n == 0)
			break;
		offset += buf.n;
		fwrite(buf.p, 1, buf.n, ctx->out);
	}
	sw_snap_unref(snap);
	if (rc == SW_ENOTFOUND)
		return sw_fail(rc, "there is no row %s as of that commit; 'swarmfs log --table TABLE --row ROW' "
				   "lists the commits that changed one", name);
	return rc;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (args->n_operands > 2 && !strchr(args->operands[2], '/'))
		return sw_ctx_usage(ctx, args, "a row is named TABLE/ROW, not '%s'", args->operands[2]);
	if (args->n_operands > 2 && (sw_args_has(args, "patch") || sw_args_has(args, "stat")))
		return sw_ctx_usage(ctx, args, "--patch and --stat say what a commit changed; name no row");
	return sw_diff_form_check(ctx, args);
}

/* As other tools have it: the commit, an empty line, what it changed. */
static int show_changes(struct sw_ctx *ctx, const struct sw_order *order, enum sw_diff_form form)
{
	fputc('\n', ctx->out);
	return sw_diff_put(ctx, NULL, order, form);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_diff_form form = sw_diff_form_of(args);
	bool is_json = form == SW_DIFF_JSON;
	struct sw_order order;
	int rc = sw_commit_find_all(ctx->owner->db, &args->operands[1], 1, &order);

	if (rc == 0)
		rc = args->n_operands > 2 ? show_row(ctx, &order, args->operands[2], is_json)
					  : show_commit(ctx, &order, is_json);
	if (rc == 0 && (form == SW_DIFF_PATCH || form == SW_DIFF_STAT))
		rc = show_changes(ctx, &order, form);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object"},
    SW_DIFF_OPTION_PATCH,
    SW_DIFF_OPTION_STAT,
    {0},
};

const struct sw_cmd sw_cmd_show = {
    .name = "show",
    .synopsis = "TARGET COMMIT [TABLE/ROW] [--json | --patch | --stat]",
    .summary = "show a commit, or the bytes of a row as of it",
    .details = "COMMIT is the beginning of an id (at least 4 digits), the name of a snapshot, HEAD, HEAD~N,\n"
	       "latest, a tag, or @TIME (UTC, as in @2026-11-21T01:33).\n"
	       "With --patch or --stat what the commit changed follows, in the form that 'swarmfs diff' has for it.\n"
	       "With --json a commit has what 'log --json' gives of it, a row: table, row, size, mode, mtime_ns, and\n"
	       "its bytes as text or, if they are none, base64.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 3,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
