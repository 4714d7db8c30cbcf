#include "fs/diff_out.h"

#include <stdio.h>

enum sw_diff_form sw_diff_form_of(const struct sw_args *args)
{
	if (sw_args_has(args, "json"))
		return SW_DIFF_JSON;
	if (sw_args_has(args, "patch"))
		return SW_DIFF_PATCH;
	return sw_args_has(args, "stat") ? SW_DIFF_STAT : SW_DIFF_TEXT;
}

int sw_diff_form_check(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (sw_args_has(args, "json") + sw_args_has(args, "stat") + sw_args_has(args, "patch") > 1)
		return sw_ctx_usage(ctx, args, "only one of --json, --stat and --patch");
	return 0;
}

static int to_file(void *arg, struct sw_view text)
{
	if (fwrite(text.p, 1, text.n, arg) == text.n)
		return 0;
	return sw_fail_errno("cannot write to a temporary file");
}

static int copy(FILE *from, struct sw_ctx *ctx)
{
	char buf[65536];
	size_t n;

	rewind(from);
	while ((n = fread(buf, 1, sizeof(buf), from)) > 0 && !sw_ctx_is_gone(ctx))
		fwrite(buf, 1, n, ctx->out);
	return ferror(from) ? sw_fail_errno("cannot read a temporary file") : 0;
}

/* The difference is made within a transaction, which must not wait for a slow reader: it goes to a file first. */
int sw_diff_put(struct sw_ctx *ctx, const struct sw_order *before, const struct sw_order *after,
		enum sw_diff_form form)
{
	FILE *spool = tmpfile();
	int rc;

	if (!spool)
		return sw_fail_errno("cannot make a temporary file in /tmp");
	rc = sw_diff_commits(ctx->owner->db, before, after, form, to_file, spool);
	if (rc == 0)
		rc = copy(spool, ctx);
	fclose(spool);
	return rc;
}
