/*
 * Commands: one table, one cmd_NAME.c each.
 *
 * A command about a store runs where the store is open: in the process that owns it, over the control
 * socket (fs/control.h), or, when there is none, in the process that was started. It cannot tell the
 * difference: it gets the open store and two streams. So it may be one of several at once, on
 * a thread of the owner; it uses no globals, and holds no read transaction while it writes to a
 * stream, since whoever reads at the other end may be slow.
 */
#ifndef SW_FS_CMD_H
#define SW_FS_CMD_H

#include <stdbool.h>
#include <stdio.h>

#include "core/env.h"
#include "fs/import_parse.h"
#include "fs/owner.h"

#define SW_EXIT_OK     0
#define SW_EXIT_FAILED 1
#define SW_EXIT_USAGE  2

#define SW_ARGS_MAX	 256 /* words of a command line */
#define SW_ARGS_SIZE_MAX 65536

struct sw_cmd;

struct sw_option {
	const char *name;  /* long form */
	char letter;	   /* short form, or 0 */
	const char *value; /* what its value is called in the help, or NULL */
	const char *help;
};

/* A command line taken apart. Texts borrow from argv. */
struct sw_args {
	const struct sw_cmd *cmd;
	struct {
		const struct sw_option *option;
		const char *value;
	} options[SW_ARGS_MAX];
	size_t n_options;
	const struct sw_verb *verb; /* of a command that has verbs */
	const char *operands[SW_ARGS_MAX];
	size_t n_operands;
};

/* What a running command has. */
struct sw_ctx {
	struct sw_owner *owner; /* of the target's store; NULL for commands about none */
	FILE *out;
	FILE *err;
	bool is_terminal; /* err is one: show progress */
	bool shows_output; /* out is one */
	int client; /* LIVE: the connection of who started it, which tells when it is gone */
	/* Commands that take input: hand every row to the sink. */
	int (*read_rows)(struct sw_ctx *ctx, const struct sw_import_sink *sink);
	void *rows_arg;
	/* Whether whoever started it has gone; NULL: it cannot. For those that wait. */
	bool (*is_left)(const struct sw_ctx *ctx);
};

enum sw_cmd_where {
	SW_CMD_HERE,  /* in the process that was started; about no open store */
	SW_CMD_STORE, /* where the store named by the first operand is open */
	SW_CMD_LIVE,  /* the same, but only if a process serves it */
};

/* What may stand before the operands of a command. */
struct sw_verb {
	const char *name;
	bool needs_work; /* as in struct sw_cmd */
};

struct sw_cmd {
	const char *name;
	const char *synopsis; /* "TARGET [--json]" */
	const char *summary;  /* one line */
	const char *details;  /* further lines of the help, or NULL */
	const struct sw_option *options; /* ends with a NULL name; NULL for none */
	const struct sw_verb *verbs; /* ends with a NULL name, and the first is meant when none stands there; NULL for none */
	size_t min_operands;
	size_t max_operands;
	enum sw_cmd_where where;
	const char *here_option; /* with this option it runs as SW_CMD_HERE, whatever `where` says; or NULL */
	bool needs_work; /* rows not yet committed matter to it */
	const char *work_option; /* they do with this option; or NULL */
	/* An option "output" names a file that is written instead of standard output, by the process that was started. */
	/* Look at option values before anything is opened: 0 or an exit code. May be NULL. */
	int (*check)(struct sw_ctx *ctx, const struct sw_args *args);
	/* In the process that was started: read the input. NULL: it takes none. */
	int (*feed)(const struct sw_args *args, const struct sw_import_sink *sink,
		    struct sw_import_report *report);
	int (*run)(struct sw_ctx *ctx, const struct sw_args *args);
};

/* All commands, ending with NULL. */
extern const struct sw_cmd *const sw_cmds[];

const struct sw_cmd *sw_cmd_find(const char *name);
/* The whole program. */
int sw_cmd_main(int argc, char **argv);

/*
 * Take argv (argv[0] is the command's name) apart. Permutes argv. 0; SW_EINVAL with a sentence for a usage
 * error; 1: help was asked for. Any thread.
 */
int sw_args_parse(const struct sw_cmd *cmd, int argc, char **argv, struct sw_args *out) SW_MUST_CHECK;
bool sw_args_has(const struct sw_args *args, const char *option);
/* The value of the last one of that name, or NULL. */
const char *sw_args_get(const struct sw_args *args, const char *option);
/* The file that the output goes to; NULL: standard output, which "-" says, too. */
const char *sw_args_output(const struct sw_args *args);
/* All values of that name, in order, at most max; the number there are. */
size_t sw_args_all(const struct sw_args *args, const char *option, const char **out, size_t max);

/* Whether rows not yet committed matter to it, as it is called. */
bool sw_args_need_work(const struct sw_args *args);
/* Where it runs with these options. */
enum sw_cmd_where sw_cmd_where(const struct sw_args *args);

/* The i-th option of a command, --help being the last; NULL behind it. */
const struct sw_option *sw_cmd_option(const struct sw_cmd *cmd, size_t i);
void sw_cmd_print_help(const struct sw_cmd *cmd, FILE *out);
/* The name in a list that somebody who typed `word` may have meant, or NULL. */
const char *sw_cmd_suggest(const char *word, const char *const *names, size_t n);

/* Say the sentence for rc on ctx->err; SW_EXIT_FAILED. */
int sw_ctx_fail(struct sw_ctx *ctx, int rc);
/* What is said of changes is not all when gc has freed some that were made at `since` (a stamp) or later: say so on ctx->err. */
void sw_ctx_note_freed(struct sw_ctx *ctx, uint64_t since);
/* Sentences, a line each, as notes on ctx->err. */
void sw_ctx_print_notes(struct sw_ctx *ctx, struct sw_view notes);
/* Say what is wrong with the command line on ctx->err; SW_EXIT_USAGE. */
int sw_ctx_usage(struct sw_ctx *ctx, const struct sw_args *args, const char *format, ...) SW_PRINTF(3, 4);
/* 0, or SW_EXIT_FAILED when ctx->out could not be written: a full disk must not look like success. */
int sw_ctx_finish(struct sw_ctx *ctx);
/* Whether nobody reads the output any more: long work may stop. */
static inline bool sw_ctx_is_gone(struct sw_ctx *ctx)
{
	return ferror(ctx->out) != 0 || (ctx->is_left && ctx->is_left(ctx));
}

extern const struct sw_cmd sw_cmd_clone, sw_cmd_commit, sw_cmd_conflicts, sw_cmd_diff, sw_cmd_export, sw_cmd_import, sw_cmd_init,
    sw_cmd_approve, sw_cmd_join, sw_cmd_floor, sw_cmd_invite, sw_cmd_log, sw_cmd_members, sw_cmd_mount, sw_cmd_peers, sw_cmd_prove, sw_cmd_restore, sw_cmd_revoke,
    sw_cmd_serve, sw_cmd_show, sw_cmd_sql, sw_cmd_status, sw_cmd_tag, sw_cmd_txn, sw_cmd_umount, sw_cmd_watch, sw_cmd_blame, sw_cmd_verify, sw_cmd_version, sw_cmd_gc;

/* Not for people, and not in the table: what `umount` asks of the process that serves the store. */
extern const struct sw_cmd sw_cmd_quiet;

#endif
