/* Differences as the output of a command: what `swarmfs diff` and `swarmfs show` have in common. */
#ifndef SW_FS_DIFF_OUT_H
#define SW_FS_DIFF_OUT_H

#include "fs/cmd.h"
#include "fs/diff.h"

/* The options that choose a form, for the table of a command. */
#define SW_DIFF_OPTION_PATCH {"patch", 'p', NULL, "a unified diff, for 'patch -p1' in a copy of the tables"}
#define SW_DIFF_OPTION_STAT  {"stat", 0, NULL, "only how many rows, for each table"}

/* SW_DIFF_TEXT when none of --json, --patch and --stat is there. */
enum sw_diff_form sw_diff_form_of(const struct sw_args *args);
/* Whether at most one of them is there: 0, or SW_EXIT_USAGE and it was said. */
int sw_diff_form_check(struct sw_ctx *ctx, const struct sw_args *args) SW_MUST_CHECK;
/* sw_diff_commits(), to ctx->out. */
int sw_diff_put(struct sw_ctx *ctx, const struct sw_order *before, const struct sw_order *after,
		enum sw_diff_form form) SW_MUST_CHECK;

#endif
