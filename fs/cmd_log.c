/* `swarmfs log`: walks the line in short read transactions and writes between them. */
#include <stdlib.h>

#include "core/hlc.h"
#include "core/history.h"
#include "core/settled.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/commit_text.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define BATCH 256

struct log {
	struct sw_ctx *ctx;
	bool is_json;
	bool is_reverse;
	uint64_t left;	   /* commits still to be shown */
	struct sw_commit_filter filter;
	uint64_t since; /* stamp: nothing before */
	struct sw_settled settled; /* when it began */
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

/* The first stamp that is wanted. */
static int parse_since(const struct sw_args *args, uint64_t now_ms, uint64_t *stamp)
{
	const char *text = sw_args_get(args, "since");
	uint64_t ms = 0, end_ms;

	*stamp = 0;
	if (!text)
		return 0;
	if (!sw_commit_time_parse(text, &ms, &end_ms)) {
		if (sw_text_parse_span(text, &ms) < 0)
			return SW_EINVAL;
		ms = ms < now_ms ? now_ms - ms : 0;
	}
	*stamp = ms << 16;
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	uint64_t n;

	if (parse_count(args, &n) < 0)
		return sw_ctx_usage(ctx, args, "-n needs a number, not '%s'", sw_args_get(args, "number"));
	if (sw_args_has(args, "row") && !sw_args_has(args, "table"))
		return sw_ctx_usage(ctx, args, "--row needs --table");
	if (sw_args_has(args, "table") && args->n_operands > 1)
		return sw_ctx_usage(ctx, args, "'%s' and --table do not go together", args->operands[1]);
	if (parse_since(args, 0, &n) < 0)
		return sw_ctx_usage(ctx, args, "--since is a time such as 2026-11-21T01:33 (UTC) or a span such as 24h, not '%s'",
				    sw_args_get(args, "since"));
	return 0;
}

static void take_filter(const struct sw_args *args, struct sw_commit_filter *out)
{
	const char *table = sw_args_get(args, "table"), *row = sw_args_get(args, "row");

	if (args->n_operands > 1)
		sw_commit_filter_parse(args->operands[1], out);
	if (table)
		*out = (struct sw_commit_filter){.has_table = true, .has_row = row != NULL, .table = sw_view_str(table),
						 .row = row ? sw_view_str(row) : sw_view(NULL, 0)};
}

static int show(struct log *l, const struct sw_reader *r, const struct sw_order *order)
{
	struct sw_commit_info info;
	bool is_wanted = false;
	int rc = sw_commit_info(r, order, &info);

	if (rc == 0)
		rc = sw_commit_concerns(&info, &l->filter, &is_wanted);
	if (rc < 0 || !is_wanted)
		return rc;
	l->left--;
	info.is_settled = sw_settled_covers(&l->settled, order);
	return l->is_json ? sw_commit_json(&info, &l->out) : sw_commit_line(&info, &l->out);
}

/* The whole line */

/* Stand on the next commit to look at: 1, or 0 when there is none. */
static int seek(struct log *l, const struct sw_reader *r, struct sw_cursor *c)
{
	int rc;

	if (!l->has_at && l->is_reverse) {
		uint8_t from[8];

		sw_set_u64(from, l->since);
		return sw_cursor_seek(c, r->nodes, &r->head.line, sw_view(from, sizeof(from)));
	}
	if (!l->has_at)
		return sw_cursor_seek_rank(c, r->nodes, &r->head.line, r->head.count == 0 ? 0 : r->head.count - 1);
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
		if (sw_order_stamp(&l->at) < l->since) {
			rc = 0;
			break;
		}
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

/* -n with --reverse: the last n commits, oldest of them first; unless --since begins behind that. */
static int skip_to_last(struct log *l)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	if (l->left < r.head.count) {
		rc = sw_cursor_seek_rank(&c, r.nodes, &r.head.line, r.head.count - l->left - 1);
		if (rc > 0 && sw_get_u64(sw_cursor_entry(&c)->key.p) >= l->since) {
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
	sw_row_cell(l->filter.table, l->filter.row, &cell);
	rc = sw_history_refs(r.txn, &cell, l->since, &refs);
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

static int find_settled(struct log *l)
{
	struct sw_reader r;
	int rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_settled(l->ctx->owner->db, &r, &l->settled);
	sw_reader_end(&r);
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct log l = {.ctx = ctx,
			.is_json = sw_args_has(args, "json"),
			.is_reverse = sw_args_has(args, "reverse")};
	int rc = parse_count(args, &l.left);

	take_filter(args, &l.filter);
	if (rc == 0)
		rc = parse_since(args, sw_env_wall_ms(sw_db_env(ctx->owner->db)), &l.since);
	if (rc == 0)
		rc = find_settled(&l);
	if (rc == 0 && l.filter.has_row)
		rc = walk_row(&l);
	else if (rc == 0) {
		if (l.is_reverse && !l.filter.has_table)
			rc = skip_to_last(&l);
		if (rc == 0 && l.left > 0)
			rc = walk_line(&l);
	}
	sw_buf_fini(&l.out);
	if (rc == 0 && l.filter.has_table && !l.is_json)
		sw_ctx_note_freed(ctx, l.since);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line"},
    {"number", 'n', "N", "only the newest N"},
    {"reverse", 0, NULL, "oldest first"},
    {"since", 0, "TIME", "only since then: 2026-11-21T01:33 (UTC), or a span such as 24h"},
    {"table", 0, "TABLE", "only commits that touch this table"},
    {"row", 0, "ROW", "and of it only this row"},
    {0},
};

const struct sw_cmd sw_cmd_log = {
    .name = "log",
    .synopsis = "TARGET [TABLE[/ROW]] [--json] [-n N] [--since TIME] [--reverse]",
    .summary = "list the commits, newest first",
    .details = "Only those that touch the table or row, if one is named; --table and --row are another way to do so.\n"
	       "Columns: first digits of the id, time (UTC), author, outcome, 'settled' where nothing can come before it any more,\n"
	       "rows changed, message.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
