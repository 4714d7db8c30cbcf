#include "fs/cmd.h"
#include "fs/json_out.h"

static void print_json(FILE *out, const struct sw_verify_report *r, int rc)
{
	json_t *o = json_pack("{s:b, s:I, s:I, s:I, s:I}", "ok", rc == 0, "commits", (json_int_t)r->n_commits,
			      "tables", (json_int_t)r->n_tables, "rows", (json_int_t)r->n_rows, "records",
			      (json_int_t)r->n_records);

	if (rc < 0)
		json_object_set_new(o, "fault", sw_json_text(sw_view_str(sw_fail_message(rc))));
	json_dumpf(o, out, JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(o);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_verify_report report;
	bool is_json = sw_args_has(args, "json");
	int rc;

	if (ctx->is_terminal && !is_json)
		fprintf(ctx->err, "checking %s ...\n", sw_db_dir(ctx->owner->db));
	rc = sw_db_verify(ctx->owner->db, &report);
	if (is_json)
		print_json(ctx->out, &report, rc);
	if (rc < 0)
		return is_json ? SW_EXIT_FAILED : sw_ctx_fail(ctx, rc);
	if (!is_json)
		fprintf(ctx->out, "clean: %llu commits, %llu tables, %llu rows, %llu records\n",
			(unsigned long long)report.n_commits, (unsigned long long)report.n_tables,
			(unsigned long long)report.n_rows, (unsigned long long)report.n_records);
	return SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object"},
    {0},
};

const struct sw_cmd sw_cmd_verify = {
    .name = "verify",
    .synopsis = "TARGET [--json]",
    .summary = "check every hash, signature, outcome and root of a store",
    .details = "Exit code 1 and the first fault, if there is one. Others may use the store meanwhile.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .run = run,
};
