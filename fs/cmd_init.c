#include <stdlib.h>
#include <string.h>

#include "fs/cmd.h"
#include "fs/env_system.h"
#include "fs/target.h"
#include "fs/text.h"

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *text = sw_args_get(args, "conflict");
	enum sw_conflict_mode conflict;

	if (text && sw_text_parse_conflict_mode(text, &conflict) < 0)
		return sw_ctx_usage(ctx, args, "--conflict is 'merge' or 'drop', not '%s'", text);
	return 0;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	enum sw_conflict_mode conflict = SW_CONFLICT_MERGE;
	const char *text = sw_args_get(args, "conflict");
	char id[SW_HASH_HEX_SIZE], *dir = NULL;
	struct sw_db *db = NULL;
	int rc = sw_path_absolute(args->n_operands ? args->operands[0] : ".", &dir);

	if (rc == 0 && text)
		rc = sw_text_parse_conflict_mode(text, &conflict);
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
	       "was lost is kept as a conflict. With --conflict drop every write is a commit of its own, and of two\n"
	       "that cross the later is dropped as a whole; what it wrote is kept as a conflict, too.\n",
    .options = options,
    .max_operands = 1,
    .where = SW_CMD_HERE,
    .check = check,
    .run = run,
};
