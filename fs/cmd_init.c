#include <stdlib.h>
#include <string.h>

#include "fs/cmd.h"
#include "fs/env_system.h"
#include "fs/target.h"

static int parse_conflict(const char *text, enum sw_conflict_mode *out)
{
	if (!text || strcmp(text, "merge") == 0)
		*out = SW_CONFLICT_MERGE;
	else if (strcmp(text, "drop") == 0)
		*out = SW_CONFLICT_DROP;
	else
		return SW_EINVAL;
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_conflict_mode conflict;

	if (parse_conflict(sw_args_get(args, "conflict"), &conflict) < 0)
		return sw_ctx_usage(ctx, args, "--conflict is 'merge' or 'drop', not '%s'",
				    sw_args_get(args, "conflict"));
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_conflict_mode conflict = SW_CONFLICT_MERGE;
	char id[SW_HASH_HEX_SIZE], *dir = NULL;
	struct sw_db *db = NULL;
	int rc = sw_path_absolute(args->n_operands ? args->operands[0] : ".", &dir);

	if (rc == 0)
		rc = parse_conflict(sw_args_get(args, "conflict"), &conflict);
	if (rc == 0)
		rc = sw_db_create(dir, &sw_env_system, conflict, &db);
	if (rc == 0) {
		sw_hex(sw_db_id(db)->b, SW_HASH_SIZE, id);
		fprintf(ctx->out, "database %s\nstore    %s\n", id, dir);
	}
	sw_db_close(db);
	free(dir);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"conflict", 0, "merge|drop", "what becomes of writes that cross: merge (default) or drop"},
    {0},
};

const struct sw_cmd sw_cmd_init = {
    .name = "init",
    .synopsis = "[STORE] [--conflict merge|drop]",
    .summary = "make a store with a new, empty database",
    .details = "STORE is a directory, made if it is missing; the current one by default. It will hold the\n"
	       "database, the journal and the key of this peer.\n"
	       "With --conflict merge, a file written on top of somebody's is merged with theirs, and what\n"
	       "was lost is kept as a conflict. With --conflict drop, of two writes that cross, one is dropped.\n",
    .options = options,
    .max_operands = 1,
    .where = SW_CMD_HERE,
    .check = check,
    .run = run,
};
