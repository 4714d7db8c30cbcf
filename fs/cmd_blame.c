/* `swarmfs blame`: which commit wrote what of a row stands there now. */
#include "core/hlc.h"
#include "core/json.h"
#include "fs/blame.h"
#include "fs/cmd.h"
#include "fs/commit_text.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define SHOWN 200 /* bytes of a value or line in the text form */

static void put_text(struct sw_buf *out, const struct sw_blame *b, const struct sw_blame_part *p,
		     const struct sw_commit *c)
{
	char id[SW_HASH_HEX_SIZE], author[2 * SW_KEY_SIZE + 1], time[SW_TEXT_TIME_SIZE];
	struct sw_view text = p->text;

	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	sw_hex(c->id.b, SW_HASH_SIZE, id);
	sw_hex(c->author.b, SW_KEY_SIZE, author);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	sw_buf_printf(out, "%.12s  %s  %.8s  ", id, time, author);
	if (b->kind == SW_BLAME_COLUMNS) {
		sw_text_put(out, p->name, SW_NAME_MAX);
		sw_buf_printf(out, " ");
	}
	if (b->kind == SW_BLAME_WHOLE)
		sw_buf_printf(out, "%llu bytes", (unsigned long long)b->size);
	else
		sw_text_put(out, text, SHOWN);
	sw_buf_printf(out, "\n");
}

static int put_json(struct sw_buf *out, const struct sw_blame *b, size_t i, const struct sw_commit *c)
{
	char id[SW_HASH_HEX_SIZE], author[2 * SW_KEY_SIZE + 1], time[SW_TEXT_TIME_SIZE];
	const struct sw_blame_part *p = &b->v[i];
	int rc = 0;

	sw_hex(c->id.b, SW_HASH_SIZE, id);
	sw_hex(c->author.b, SW_KEY_SIZE, author);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	sw_buf_printf(out, "{\"commit\": \"%s\", \"author\": \"%s\", \"time\": \"%s\"", id, author, time);
	if (b->kind == SW_BLAME_COLUMNS) {
		sw_buf_printf(out, ", \"column\": ");
		rc = sw_json_put_string(out, p->name);
		sw_buf_printf(out, ", \"value\": ");
		sw_json_put_value(out, p->text);
	} else if (b->kind == SW_BLAME_LINES) {
		sw_buf_printf(out, ", \"line\": %zu, \"text\": ", i + 1);
		rc = sw_json_put_string(out, p->text);
	} else {
		sw_buf_printf(out, ", \"size\": %llu", (unsigned long long)b->size);
	}
	sw_buf_printf(out, "}\n");
	return rc < 0 ? rc : out->rc;
}

static int put_parts(const struct sw_reader *r, const struct sw_blame *b, bool is_json, struct sw_buf *out)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->n; i++) {
		struct sw_commit c;
		struct sw_view raw;

		rc = sw_history_get(r->txn, b->v[i].seq, &raw);
		if (rc == 0)
			rc = sw_commit_decode(raw, &c);
		if (rc == 0 && is_json)
			rc = put_json(out, b, i, &c);
		else if (rc == 0)
			put_text(out, b, &b->v[i], &c);
	}
	return rc < 0 ? rc : out->rc;
}

/* The stamp of the oldest commit that it names. */
static int find_oldest(const struct sw_reader *r, const struct sw_blame *b, uint64_t *out)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->n; i++) {
		struct sw_order order;

		rc = sw_history_order(r->txn, b->v[i].seq, &order);
		if (rc == 0 && sw_order_stamp(&order) < *out)
			*out = sw_order_stamp(&order);
	}
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_commit_filter row;
	struct sw_blame blame = {0};
	bool is_json = sw_args_has(args, "json");
	uint64_t oldest = UINT64_MAX;
	struct sw_reader r;
	SW_BUF out = {0};
	int rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	sw_commit_filter_parse(args->operands[1], &row);
	rc = sw_blame_row(ctx->owner->db, &r, row.table, row.row, &blame);
	if (rc == 0)
		rc = put_parts(&r, &blame, is_json, &out);
	if (rc == 0)
		rc = find_oldest(&r, &blame, &oldest);
	sw_blame_fini(&blame);
	sw_reader_end(&r);
	if (rc == SW_ENOTFOUND)
		rc = sw_fail(rc, "there is no row %s now; 'swarmfs log TARGET %s' lists the commits that changed it",
			     args->operands[1], args->operands[1]);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	fwrite(out.p, 1, out.n, ctx->out);
	if (!is_json)
		sw_ctx_note_freed(ctx, oldest);
	return SW_EXIT_OK;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_commit_filter row;

	sw_commit_filter_parse(args->operands[1], &row);
	if (!row.has_row)
		return sw_ctx_usage(ctx, args, "a row is named TABLE/ROW, not '%s'", args->operands[1]);
	return 0;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line: commit, author, time, and column and value, line and text, or size"},
    {0},
};

const struct sw_cmd sw_cmd_blame = {
    .name = "blame",
    .synopsis = "TARGET TABLE/ROW [--json]",
    .summary = "show which commit wrote what of a row stands there now",
    .details = "Of a JSON row each column, of a text each line, of any other the whole. Columns: first digits of the\n"
	       "commit's id, time (UTC), author, and the column and its value, or the line.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
