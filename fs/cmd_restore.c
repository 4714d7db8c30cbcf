/* `swarmfs restore`: rows and tables as they were. */
#include <string.h>

#include "core/restore.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/text.h"

/* What is restored, from TABLE or TABLE/ROW; nothing: all tables. */
struct scope {
	struct sw_view table, key;
};

static struct scope scope_of(const struct sw_args *args)
{
	const char *text = args->n_operands > 2 ? args->operands[2] : "", *slash = strchr(text, '/');
	struct scope s = {.table = sw_view(text, slash ? (size_t)(slash - text) : strlen(text))};

	if (slash)
		s.key = sw_view_str(slash + 1);
	return s;
}

static void put_scope(const struct scope *s, struct sw_buf *out)
{
	if (s->table.n == 0)
		sw_buf_printf(out, "all tables");
	else if (s->key.n == 0)
		sw_text_put_name(out, s->table);
	else
		sw_text_put_path(out, s->table, s->key);
}

static int make_message(const struct sw_args *args, const struct scope *s, const struct sw_hash *commit,
			struct sw_buf *out)
{
	const char *message = sw_args_get(args, "message");
	char hex[SW_HASH_HEX_SIZE];

	if (message) {
		sw_buf_put_view(out, sw_view_str(message));
		return out->rc;
	}
	sw_hex(commit->b, SW_TEXT_KEY_DIGITS / 2, hex);
	sw_buf_printf(out, "restore ");
	put_scope(s, out);
	sw_buf_printf(out, " as of %s", hex);
	return out->rc;
}

static int report(struct sw_ctx *ctx, const struct sw_restored *done)
{
	char hex[SW_HASH_HEX_SIZE];

	if (done->n_commits == 0) {
		fprintf(ctx->out, "nothing to restore: it is like that already\n");
		return 0;
	}
	sw_hex(done->id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", hex);
	if (done->n_commits > 1)
		fprintf(ctx->err, "swarmfs: %llu rows in %llu commits, of which this is the last\n",
			(unsigned long long)done->n_rows, (unsigned long long)done->n_commits);
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");
	struct scope s = scope_of(args);

	if (args->n_operands > 2 && (s.table.n == 0 || (strchr(args->operands[2], '/') && s.key.n == 0)))
		return sw_ctx_usage(ctx, args, "name a TABLE or a TABLE/ROW, not '%s'", args->operands[2]);
	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct scope s = scope_of(args);
	struct sw_restored done;
	struct sw_order order;
	struct sw_hash commit;
	SW_BUF message = {0};
	int rc = sw_commit_find_all(ctx->owner->db, &args->operands[1], 1, &order);

	if (rc == 0) {
		sw_order_id(&order, &commit);
		rc = make_message(args, &s, &commit, &message);
	}
	if (rc == 0)
		rc = sw_restore(ctx->owner->db, ctx->owner->work, &commit, s.table, s.key, sw_buf_view(&message), &done);
	if (rc == SW_ENOTFOUND && args->n_operands > 2)
		rc = sw_fail(rc, "there is no %s, neither now nor as of that commit; 'swarmfs log --table TABLE --row ROW' "
				 "lists the commits that changed a row", args->operands[2]);
	if (rc == 0)
		rc = report(ctx, &done);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"message", 'm', "TEXT", "what the commit says; default: what is restored, and as of which commit"},
    {0},
};

const struct sw_cmd sw_cmd_restore = {
    .name = "restore",
    .synopsis = "TARGET COMMIT [TABLE[/ROW]] [-m TEXT]",
    .summary = "bring back a row, a table or everything as it was in a commit",
    .details = "Bytes, permission bits and mtime are written again as they were, and what was not there then is removed, in a new\n"
	       "commit: nothing of the history is lost, and a restore can be undone by another one. COMMIT is as in 'swarmfs\n"
	       "show'. What is written and not committed yet is committed before. Prints the commit's id. What\n"
	       "does not fit into one commit, some 100,000 small rows, comes back in several.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 3,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .check = check,
    .run = run,
};
