/* `swarmfs log`: walks the line in short read transactions and writes between them. */
#include <stdlib.h>

#include "core/hlc.h"
#include "core/history.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/commit_text.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define BATCH	      256
#define MESSAGE_SHOWN 60

struct log {
	struct sw_ctx *ctx;
	bool is_json;
	bool is_reverse;
	uint64_t left;	   /* commits still to be shown */
	const char *table; /* NULL: all */
	const char *row;
	struct sw_order at; /* shown last */
	bool has_at;
	struct sw_buf out;
};

static int parse_count(const struct sw_args *args, uint64_t *out)
{
	const char *text = sw_args_get(args, "number");

	*out = UINT64_MAX;
	return text ? sw_text_parse_number(text, INT64_MAX, out) : 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	uint64_t n;

	if (parse_count(args, &n) < 0)
		return sw_ctx_usage(ctx, args, "-n needs a number, not '%s'", sw_args_get(args, "number"));
	if (sw_args_has(args, "row") && !sw_args_has(args, "table"))
		return sw_ctx_usage(ctx, args, "--row needs --table");
	return 0;
}

/* One commit as a line */

static void put_text(struct log *l, const struct sw_commit_info *info)
{
	const struct sw_commit *c = &info->commit;
	char id[SW_HASH_HEX_SIZE], author[2 * SW_KEY_SIZE + 1], time[SW_TEXT_TIME_SIZE];
	const uint8_t *eol = c->message.n ? memchr(c->message.p, '\n', c->message.n) : NULL;

	sw_hex(c->id.b, SW_HASH_SIZE, id);
	sw_hex(c->author.b, SW_KEY_SIZE, author);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	sw_buf_printf(&l->out, "%.12s  %s  %.8s  %-7s  %6zu row%s", id, time, author,
		      sw_outcome_name(info->outcome), info->n_rows, info->n_rows == 1 ? " " : "s");
	if (c->message.n > 0) {
		sw_buf_printf(&l->out, "  ");
		sw_text_put(&l->out,
			    sw_view(c->message.p, eol ? (size_t)(eol - c->message.p) : c->message.n),
			    MESSAGE_SHOWN);
	}
	sw_buf_printf(&l->out, "\n");
}

/* Whether the commit has an operation on the table or row asked for. */
static int concerns(const struct log *l, const struct sw_commit_info *info, bool *out)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = l->table ? sw_changeset_begin(&c, info->changeset) : 0;

	*out = !l->table;
	while (rc == 0 && !*out && (rc = sw_changeset_next(&c, &op)) > 0) {
		bool is_row = op.kind >= SW_OP_MKTABLE && op.kind <= SW_OP_RESOLVE;

		*out = is_row && sw_view_eq(op.table, sw_view_str(l->table)) &&
		       (!l->row || sw_view_eq(op.key, sw_view_str(l->row)));
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}

static int show(struct log *l, const struct sw_reader *r, const struct sw_order *order)
{
	struct sw_commit_info info;
	bool is_wanted = false;
	int rc = sw_commit_info(r, order, &info);

	if (rc == 0)
		rc = concerns(l, &info, &is_wanted);
	if (rc < 0 || !is_wanted)
		return rc;
	l->left--;
	if (l->is_json)
		return sw_commit_json(&info, &l->out);
	put_text(l, &info);
	return l->out.rc;
}

/* The whole line */

/* Stand on the next commit to look at: 1, or 0 when there is none. */
static int seek(struct log *l, const struct sw_reader *r, struct sw_cursor *c)
{
	int rc;

	if (!l->has_at)
		return sw_cursor_seek_rank(c, r->nodes, &r->head.line,
					   l->is_reverse || r->head.count == 0 ? 0 : r->head.count - 1);
	rc = sw_cursor_seek(c, r->nodes, &r->head.line, sw_order_view(&l->at));
	if (rc <= 0)
		return rc;
	return l->is_reverse ? sw_cursor_next(c) : sw_cursor_prev(c);
}

/* 1: there may be more. */
static int walk_batch(struct log *l)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = seek(l, &r, &c);
	for (int i = 0; rc > 0 && i < BATCH && l->left > 0; i++) {
		memcpy(l->at.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		l->has_at = true;
		rc = show(l, &r, &l->at);
		if (rc == 0)
			rc = l->is_reverse ? sw_cursor_next(&c) : sw_cursor_prev(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc > 0 ? l->left > 0 : rc;
}

static void write_out(struct log *l)
{
	if (l->out.n > 0)
		fwrite(l->out.p, 1, l->out.n, l->ctx->out);
	sw_buf_reset(&l->out);
}

static int walk_line(struct log *l)
{
	int rc;

	do {
		rc = walk_batch(l);
		write_out(l);
	} while (rc > 0 && !sw_ctx_is_gone(l->ctx));
	return rc;
}

/* -n with --reverse: the last n commits, oldest of them first. */
static int skip_to_last(struct log *l)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	if (l->left < r.head.count) {
		rc = sw_cursor_seek_rank(&c, r.nodes, &r.head.line, r.head.count - l->left - 1);
		if (rc > 0) {
			memcpy(l->at.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
			l->has_at = true;
		}
		sw_cursor_fini(&c);
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : 0;
}

/* One row: the index of operations knows its commits */

static int order_cmp(const void *a, const void *b)
{
	return sw_order_cmp(a, b);
}

/* The commits that touched the row, in their order; free *out. */
static int row_commits(struct log *l, struct sw_order **out, size_t *n)
{
	struct sw_op_refs refs = {0};
	struct sw_order *v = NULL;
	struct sw_cell cell;
	struct sw_reader r;
	int rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	sw_row_cell(sw_view_str(l->table), sw_view_str(l->row), &cell);
	rc = sw_history_refs(r.txn, &cell, 0, &refs);
	if (rc == 0 && !(v = calloc(refs.n + 1, sizeof(*v))))
		rc = SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < refs.n; i++)
		rc = sw_history_order(r.txn, refs.v[i].seq, &v[i]);
	if (rc == 0)
		qsort(v, refs.n, sizeof(*v), order_cmp);
	*n = refs.n;
	free(refs.v);
	sw_reader_end(&r);
	if (rc < 0) {
		free(v);
		return rc;
	}
	*out = v;
	return 0;
}

static int walk_row(struct log *l)
{
	struct sw_order *v = NULL;
	size_t n = 0, from, i = 0;
	int rc = row_commits(l, &v, &n);

	from = l->is_reverse && l->left < n ? n - (size_t)l->left : 0;
	while (rc == 0 && from + i < n && l->left > 0 && !sw_ctx_is_gone(l->ctx)) {
		struct sw_reader r;

		rc = sw_reader_begin(l->ctx->owner->db, &r);
		if (rc < 0)
			break;
		for (int k = 0; rc == 0 && k < BATCH && from + i < n && l->left > 0; k++, i++)
			rc = show(l, &r, l->is_reverse ? &v[from + i] : &v[n - 1 - i]);
		sw_reader_end(&r);
		write_out(l);
	}
	free(v);
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct log l = {.ctx = ctx,
			.is_json = sw_args_has(args, "json"),
			.is_reverse = sw_args_has(args, "reverse"),
			.table = sw_args_get(args, "table"),
			.row = sw_args_get(args, "row")};
	int rc = parse_count(args, &l.left);

	if (rc == 0 && l.row)
		rc = walk_row(&l);
	else if (rc == 0) {
		if (l.is_reverse && !l.table)
			rc = skip_to_last(&l);
		if (rc == 0 && l.left > 0)
			rc = walk_line(&l);
	}
	sw_buf_fini(&l.out);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line"},
    {"number", 'n', "N", "only the newest N"},
    {"reverse", 0, NULL, "oldest first"},
    {"table", 0, "TABLE", "only commits that touch this table"},
    {"row", 0, "ROW", "and of it only this row"},
    {0},
};

const struct sw_cmd sw_cmd_log = {
    .name = "log",
    .synopsis = "TARGET [--json] [-n N] [--reverse] [--table TABLE [--row ROW]]",
    .summary = "list the commits, newest first",
    .details = "Columns: first digits of the id, time (UTC), author, outcome, rows changed, message.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
