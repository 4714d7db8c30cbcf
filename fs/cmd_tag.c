/* `swarmfs tag`: names for commits. */
#include <string.h>

#include "core/hlc.h"
#include "core/tags.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define BATCH 256 /* tags listed in one transaction */

/* list */

static int put_json(struct sw_view tag, const struct sw_hash *commit, const char *time, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(commit->b, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "{\"tag\":");
	if (sw_json_put_name(out, tag) < 0)
		return SW_ENOMEM;
	sw_buf_printf(out, ",\"commit\":\"%s\",\"time\":", hex);
	sw_buf_printf(out, *time ? "\"%s\"}\n" : "null}\n", time);
	return out->rc;
}

static void put_text(struct sw_view tag, const struct sw_hash *commit, const char *time, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(commit->b, SW_TEXT_KEY_DIGITS / 2, hex);
	sw_buf_printf(out, "%s  %-24s  ", hex, *time ? time : "not here yet");
	sw_text_put_name(out, tag);
	sw_buf_printf(out, "\n");
}

static int put_tag(const struct sw_reader *r, struct sw_view tag, const struct sw_hash *id, bool is_json,
		   struct sw_buf *out)
{
	char time[SW_TEXT_TIME_SIZE] = "";
	struct sw_commit commit;
	struct sw_view raw;
	int rc = sw_db_get_commit(r, id, &commit, &raw, NULL);

	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	if (rc == 0)
		sw_text_time(sw_hlc_ms(commit.stamp), time);
	if (is_json)
		return put_json(tag, id, time, out);
	put_text(tag, id, time, out);
	return out->rc;
}

/* Those behind `tag`, which gets the name of the last one: 1 when there may be more. */
static int list_batch(struct sw_ctx *ctx, bool is_json, struct sw_buf *tag, struct sw_buf *out)
{
	struct sw_hash id;
	struct sw_reader r;
	int n = 0, rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	while (rc == 0 && n < BATCH && (rc = sw_tag_next(&r, tag, &id)) > 0) {
		rc = put_tag(&r, sw_buf_view(tag), &id, is_json, out);
		n++;
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : n == BATCH;
}

static int list(struct sw_ctx *ctx, const struct sw_args *args)
{
	SW_BUF tag = {0};
	SW_BUF out = {0};
	int rc;

	do {
		rc = list_batch(ctx, sw_args_has(args, "json"), &tag, &out);
		if (out.n > 0)
			fwrite(out.p, 1, out.n, ctx->out);
		sw_buf_reset(&out);
	} while (rc > 0 && !sw_ctx_is_gone(ctx));
	return rc < 0 ? rc : 0;
}

/* set and delete */

static int make_message(const struct sw_args *args, const char *what, const char *name, struct sw_buf *out)
{
	const char *message = sw_args_get(args, "message");

	if (message) {
		sw_buf_put_view(out, sw_view_str(message));
	} else {
		sw_buf_printf(out, "%s ", what);
		sw_text_put_name(out, sw_view_str(name));
	}
	return out->rc;
}

static int put(struct sw_ctx *ctx, const struct sw_args *args, const char *what, const char *name,
	       const struct sw_hash *commit)
{
	char hex[SW_HASH_HEX_SIZE];
	SW_BUF message = {0};
	struct sw_hash id;
	int rc = make_message(args, what, name, &message);

	if (rc == 0)
		rc = sw_tag_set(ctx->owner->db, sw_view_str(name), commit, sw_buf_view(&message), &id);
	if (rc < 0)
		return rc;
	sw_hex(id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", sw_hash_is_zero(&id) ? "nothing to change" : hex);
	return 0;
}

/* What is written already is part of what HEAD means. */
static int set(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *of = args->n_operands > 2 ? args->operands[2] : "HEAD";
	struct sw_order order;
	struct sw_hash id;
	int rc = sw_work_commit(ctx->owner->work, sw_view("", 0), &id);

	if (rc == 0)
		rc = sw_commit_find_all(ctx->owner->db, &of, 1, &order);
	if (rc < 0)
		return rc;
	sw_order_id(&order, &id);
	return put(ctx, args, "tag", args->operands[1], &id);
}

static int delete(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *name = sw_args_get(args, "delete");
	struct sw_hash commit;
	struct sw_reader r;
	int rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_tag_get(&r, sw_view_str(name), &commit);
	sw_reader_end(&r);
	if (rc == SW_ENOTFOUND)
		return sw_fail(rc, "there is no tag '%s'; 'swarmfs tag' lists them", name);
	return rc < 0 ? rc : put(ctx, args, "delete tag", name, &sw_hash_zero);
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *message = sw_args_get(args, "message");
	bool deletes = sw_args_has(args, "delete");

	if (deletes && args->n_operands > 1)
		return sw_ctx_usage(ctx, args, "--delete names the tag itself; leave out '%s'", args->operands[1]);
	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	if (message && !deletes && args->n_operands == 1)
		return sw_ctx_usage(ctx, args, "--message goes with setting and deleting a tag");
	if (sw_args_has(args, "json") && (deletes || args->n_operands > 1))
		return sw_ctx_usage(ctx, args, "--json goes with listing tags");
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	int rc;

	if (sw_args_has(args, "delete"))
		rc = delete(ctx, args);
	else
		rc = args->n_operands > 1 ? set(ctx, args) : list(ctx, args);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"delete", 'd', "NAME", "take a tag away"},
    {"message", 'm', "TEXT", "what the commit says that sets or deletes the tag"},
    {"json", 0, NULL, "one JSON object a line"},
    {0},
};

const struct sw_cmd sw_cmd_tag = {
    .name = "tag",
    .synopsis = "TARGET [NAME [COMMIT]] [-d NAME]",
    .summary = "list, set and delete names for commits",
    .details = "Without NAME it lists the tags: the commit, its time, and the name; with --json: tag, commit, time. COMMIT is as in\n"
	       "'swarmfs show'; HEAD if it is left out. A tag can be used wherever a commit is named, and is a link in .commits.\n"
	       "Setting one that there is moves it. What sets or deletes a tag is a commit that every peer sees; its id is\n"
	       "printed.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 3,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .check = check,
    .run = run,
};
