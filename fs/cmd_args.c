/* Command lines: from one table of options come the parser, the help and the suggestions. */
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc.h"
#include "core/hlc.h"
#include "fs/cmd.h"
#include "fs/text.h"

#define OPTIONS_MAX 32
#define WORD_MAX    32
#define HELP_COLUMN 26 /* of an option and its value */

/* getopt keeps its place in globals, and an owner serves several commands at once. */
static pthread_mutex_t getopt_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct sw_option help_option = {"help", 'h', NULL, "show this help"};

static size_t count_options(const struct sw_cmd *cmd)
{
	size_t n = 0;

	while (cmd->options && cmd->options[n].name)
		n++;
	return n;
}

static const struct sw_option *option_at(const struct sw_cmd *cmd, size_t i)
{
	return i < count_options(cmd) ? &cmd->options[i] : &help_option;
}

const struct sw_option *sw_cmd_option(const struct sw_cmd *cmd, size_t i)
{
	return i <= count_options(cmd) ? option_at(cmd, i) : NULL;
}

/* Edit distance, insertions and deletions and replacements counting one each. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(b);

	if (strlen(a) > WORD_MAX || n > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

const char *sw_cmd_suggest(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t best_distance = 3;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, names[i]);

		if (strlen(word) >= 3 && strncmp(names[i], word, strlen(word)) == 0)
			d = 1;
		if (d < best_distance && d < strlen(names[i])) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

static int fail_unknown(const struct sw_cmd *cmd, const char *word)
{
	const char *names[OPTIONS_MAX + 1], *guess;
	size_t n = count_options(cmd) + 1;
	char name[WORD_MAX + 1] = "";

	for (size_t i = 0; i < n; i++)
		names[i] = option_at(cmd, i)->name;
	if (strncmp(word, "--", 2) == 0)
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	guess = *name ? sw_cmd_suggest(name, names, n) : NULL;
	if (guess)
		return sw_fail(SW_EINVAL, "unknown option '%s'; did you mean --%s?", word, guess);
	return sw_fail(SW_EINVAL, "unknown option '%s'", word);
}

/* optopt is the letter, or for long options 0 or the value of the entry. */
static int fail_option(const struct sw_cmd *cmd, char **argv, int what, int n_long)
{
	const char *word = argv[optind - 1];
	char letter[3] = {'-', (char)optopt, '\0'};
	bool is_long = strncmp(word, "--", 2) == 0 && (optopt == 0 || optopt >= 256);

	if (what == ':') {
		if (optopt >= 256 && optopt - 256 < n_long)
			return sw_fail(SW_EINVAL, "the option --%s needs a value",
				       option_at(cmd, (size_t)(optopt - 256))->name);
		return sw_fail(SW_EINVAL, "the option %s needs a value", letter);
	}
	if (optopt >= 256 && optopt - 256 < n_long)
		return sw_fail(SW_EINVAL, "the option --%s takes no value",
			       option_at(cmd, (size_t)(optopt - 256))->name);
	return fail_unknown(cmd, is_long ? word : letter);
}

static int take_option(const struct sw_cmd *cmd, int found, int n, struct sw_args *out)
{
	const struct sw_option *o = NULL;

	for (int i = 0; i < n && !o; i++)
		if (found == 256 + i || found == option_at(cmd, (size_t)i)->letter)
			o = option_at(cmd, (size_t)i);
	if (o == &help_option)
		return 1;
	if (!o || out->n_options == SW_ARGS_MAX)
		return sw_fail(SW_EINVAL, "too many options");
	out->options[out->n_options].option = o;
	out->options[out->n_options++].value = optarg;
	return 0;
}

/* getopt_lock is held. */
static int parse_options(const struct sw_cmd *cmd, int argc, char **argv, struct sw_args *out)
{
	struct option longs[OPTIONS_MAX + 2] = {0};
	char shorts[2 * OPTIONS_MAX + 4] = ":", *s = shorts + 1;
	int n = (int)count_options(cmd) + 1, found, rc = 0;

	for (int i = 0; i < n; i++) {
		const struct sw_option *o = option_at(cmd, (size_t)i);

		longs[i] = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
					   256 + i};
		if (!o->letter)
			continue;
		*s++ = o->letter;
		if (o->value)
			*s++ = ':';
	}
	optind = 0;
	opterr = 0;
	while (rc == 0 && (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		rc = found == '?' || found == ':' ? fail_option(cmd, argv, found, n)
						  : take_option(cmd, found, n, out);
	for (int i = optind; rc == 0 && i < argc; i++)
		out->operands[out->n_operands++] = argv[i];
	return rc;
}

static void take_verb(const struct sw_cmd *cmd, struct sw_args *out)
{
	out->verb = &cmd->verbs[0];
	for (size_t i = 0; cmd->verbs[i].name && out->n_operands > 0; i++) {
		if (strcmp(cmd->verbs[i].name, out->operands[0]) != 0)
			continue;
		out->verb = &cmd->verbs[i];
		memmove(out->operands, out->operands + 1, --out->n_operands * sizeof(out->operands[0]));
		return;
	}
}

int sw_args_parse(const struct sw_cmd *cmd, int argc, char **argv, struct sw_args *out)
{
	int rc;

	memset(out, 0, sizeof(*out));
	out->cmd = cmd;
	if (argc > SW_ARGS_MAX)
		return sw_fail(SW_EINVAL, "too many words");
	pthread_mutex_lock(&getopt_lock);
	rc = parse_options(cmd, argc, argv, out);
	pthread_mutex_unlock(&getopt_lock);
	if (rc != 0)
		return rc;
	if (cmd->verbs)
		take_verb(cmd, out);
	if (out->n_operands < cmd->min_operands)
		return sw_fail(SW_EINVAL, "needs %zu argument%s, got %zu", cmd->min_operands,
			       cmd->min_operands == 1 ? "" : "s", out->n_operands);
	if (out->n_operands > cmd->max_operands)
		return sw_fail(SW_EINVAL, "'%s' is one too many", out->operands[cmd->max_operands]);
	return 0;
}

const char *sw_args_get(const struct sw_args *args, const char *option)
{
	for (size_t i = args->n_options; i-- > 0;)
		if (strcmp(args->options[i].option->name, option) == 0)
			return args->options[i].value;
	return NULL;
}

const char *sw_args_output(const struct sw_args *args)
{
	const char *path = sw_args_get(args, "output");

	return path && strcmp(path, "-") == 0 ? NULL : path;
}

bool sw_args_has(const struct sw_args *args, const char *option)
{
	for (size_t i = 0; i < args->n_options; i++)
		if (strcmp(args->options[i].option->name, option) == 0)
			return true;
	return false;
}

size_t sw_args_all(const struct sw_args *args, const char *option, const char **out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < args->n_options; i++) {
		if (strcmp(args->options[i].option->name, option) != 0)
			continue;
		if (n < max)
			out[n] = args->options[i].value;
		n++;
	}
	return n;
}

bool sw_args_need_work(const struct sw_args *args)
{
	const struct sw_cmd *cmd = args->cmd;

	return cmd->needs_work || (args->verb && args->verb->needs_work) || (cmd->work_option && sw_args_has(args, cmd->work_option));
}

enum sw_cmd_where sw_cmd_where(const struct sw_args *args)
{
	const struct sw_cmd *cmd = args->cmd;

	return cmd->here_option && sw_args_has(args, cmd->here_option) ? SW_CMD_HERE : cmd->where;
}

static void print_option(const struct sw_option *o, FILE *out)
{
	char left[64];
	int n = snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
			 o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");

	fprintf(out, "  %-*s ", HELP_COLUMN, left);
	if (n > HELP_COLUMN)
		fprintf(out, "\n  %*s ", HELP_COLUMN, "");
	fprintf(out, "%s\n", o->help);
}

void sw_cmd_print_help(const struct sw_cmd *cmd, FILE *out)
{
	const struct sw_option *o;

	fprintf(out, "Usage: swarmfs %s%s%s\n\n%s\n\n", cmd->name, *cmd->synopsis ? " " : "",
		cmd->synopsis, cmd->summary);
	for (size_t i = 0; (o = sw_cmd_option(cmd, i)); i++)
		print_option(o, out);
	if (cmd->details)
		fprintf(out, "\n%s", cmd->details);
}

int sw_ctx_fail(struct sw_ctx *ctx, int rc)
{
	fflush(ctx->out);
	fprintf(ctx->err, "swarmfs: %s\n", sw_fail_message(rc));
	return SW_EXIT_FAILED;
}

void sw_ctx_note_freed(struct sw_ctx *ctx, uint64_t since)
{
	char time[SW_TEXT_TIME_SIZE];
	struct sw_order horizon;
	struct sw_reader r;

	if (sw_reader_begin(ctx->owner->db, &r) < 0)
		return;
	if (sw_db_horizon(&r, &horizon) > 0 && sw_order_stamp(&horizon) >= since) {
		sw_text_time(sw_hlc_ms(sw_order_stamp(&horizon)), time);
		fprintf(ctx->err, "swarmfs: note: what was changed up to %s and does not stand any more was freed by gc\n", time);
	}
	sw_reader_end(&r);
}

void sw_ctx_print_notes(struct sw_ctx *ctx, struct sw_view notes)
{
	while (notes.n > 0) {
		const uint8_t *end = memchr(notes.p, '\n', notes.n);
		size_t n = end ? (size_t)(end - notes.p) : notes.n;

		fprintf(ctx->err, "swarmfs: note: %.*s\n", (int)n, (const char *)notes.p);
		notes = end ? sw_view(end + 1, notes.n - n - 1) : sw_view(NULL, 0);
	}
}

int sw_ctx_usage(struct sw_ctx *ctx, const struct sw_args *args, const char *format, ...)
{
	va_list ap;

	fprintf(ctx->err, "swarmfs %s: ", args->cmd->name);
	va_start(ap, format);
	vfprintf(ctx->err, format, ap);
	va_end(ap);
	fprintf(ctx->err, "\nUsage: swarmfs %s %s\nTry 'swarmfs %s --help'.\n", args->cmd->name,
		args->cmd->synopsis, args->cmd->name);
	return SW_EXIT_USAGE;
}

int sw_ctx_finish(struct sw_ctx *ctx)
{
	if (fflush(ctx->out) == 0 && !ferror(ctx->out))
		return SW_EXIT_OK;
	return sw_ctx_fail(ctx, sw_fail_errno("cannot write the output"));
}
