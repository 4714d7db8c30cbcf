#include "fs/cmd.h"
#include "fs/json_out.h"
#include "fs/schema_text.h"

/* All rows, as they are now, and not only what the process that serves the store has seen so far. */
static int look_at_schemas(struct sw_ctx *ctx, struct sw_breaches **out)
{
	int rc = sw_breaches_new(ctx->owner->db, out);

	while (rc == 0 && sw_breaches_is_due(*out) && !sw_ctx_is_gone(ctx))
		rc = sw_breaches_run(*out, NULL, NULL);
	return rc;
}

static void print_json(FILE *out, const struct sw_verify_report *r, struct sw_breaches *breaches, int rc)
{
	json_t *o = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}", "ok", rc == 0, "commits", (json_int_t)r->n_commits,
			      "tables", (json_int_t)r->n_tables, "rows", (json_int_t)r->n_rows, "records",
			      (json_int_t)r->n_records, "freed", (json_int_t)r->n_freed);
	bool is_more = false;

	if (rc < 0)
		json_object_set_new(o, "fault", sw_json_text(sw_view_str(sw_fail_message(rc))));
	if (rc == 0) {
		json_object_set_new(o, "broken", sw_broken_json(breaches, &is_more));
		json_object_set_new(o, "more", json_boolean(is_more));
	}
	json_dumpf(o, out, JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(o);
}

static void print_text(FILE *out, const struct sw_verify_report *r, struct sw_breaches *breaches)
{
	SW_BUF broken = {0};

	sw_broken_put(breaches, &broken);
	if (r->n_freed > 0)
		fprintf(out, "the content of %llu commits was freed by gc: of these, headers and signatures were checked\n",
			(unsigned long long)r->n_freed);
	fprintf(out, "%.*sclean: %llu commits, %llu tables, %llu rows, %llu records\n", (int)broken.n, (const char *)broken.p,
		(unsigned long long)r->n_commits, (unsigned long long)r->n_tables, (unsigned long long)r->n_rows,
		(unsigned long long)r->n_records);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_verify_report report;
	struct sw_breaches *breaches = NULL;
	bool is_json = sw_args_has(args, "json");
	int rc, code = SW_EXIT_OK;

	if (ctx->is_terminal && !is_json)
		fprintf(ctx->err, "checking %s ...\n", sw_db_dir(ctx->owner->db));
	rc = sw_db_verify(ctx->owner->db, &report);
	if (rc == 0)
		rc = look_at_schemas(ctx, &breaches);
	if (is_json)
		print_json(ctx->out, &report, breaches, rc);
	else if (rc == 0)
		print_text(ctx->out, &report, breaches);
	if (rc < 0)
		code = is_json ? SW_EXIT_FAILED : sw_ctx_fail(ctx, rc);
	sw_breaches_free(breaches);
	return code;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object"},
    {0},
};

const struct sw_cmd sw_cmd_verify = {
    .name = "verify",
    .synopsis = "TARGET [--json]",
    .summary = "check every hash, signature, outcome and root of a store",
    .details = "Exit code 1 and the first fault, if there is one. Others may use the store meanwhile. Rows that break\n"
	       "the schema of their table, as merges can make them, are listed before the last line, and are no fault.\n"
	       "With --json: ok, commits, tables, rows, records, broken[]{table, row, reason}, more; fault.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .run = run,
};
