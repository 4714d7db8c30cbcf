/* mdoc, as mandoc's lint likes it: a sentence begins a line, and lines are short. */
#include <ctype.h>
#include <string.h>

#include "contrib/generate/generate.h"
#include "fs/mount_options.h"

#define COLUMNS 68 /* escapes come on top */

/* A character of running text; `before` is the one before it, 0 at the beginning of a line. */
static void put_char(char c, char before, FILE *out)
{
	if (before == 0 && (c == '.' || c == '\''))
		fputs("\\&", out);
	if (c == '\\')
		fputs("\\e", out);
	else if (c == '~')
		fputs("\\(ti", out);
	else if (c == '\'')
		fputs("\\(aq", out);
	else if (c == '-' && (before == 0 || strchr(" ['(-", before)))
		fputs("\\-", out); /* of an option, to be typed */
	else
		fputc(c, out);
}

static void put_word(const char *word, size_t n, bool begins_line, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		put_char(word[i], i > 0 ? word[i - 1] : begins_line ? '\0' : ' ', out);
}

static bool ends_sentence(const char *word, size_t n)
{
	while (n > 0 && strchr(")'\"", word[n - 1]))
		n--;
	return n > 0 && strchr(".?!", word[n - 1]);
}

/* Words up to the end of the text, in lines of their own. */
static void put_text(const char *text, size_t size, FILE *out)
{
	size_t column = 0, n;

	for (size_t at = 0; at < size; at += n) {
		at += strspn(text + at, " \n");
		if (at >= size)
			break;
		n = strcspn(text + at, " \n");
		if (column > 0 && column + 1 + n > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		if (column > 0)
			fputc(' ', out);
		put_word(text + at, n, column == 0, out);
		column += n + 1;
		if (ends_sentence(text + at, n)) {
			fputc('\n', out);
			column = 0;
		}
	}
	if (column > 0)
		fputc('\n', out);
}

/* Up to the line that is indented, or no longer is. */
static size_t block_size(const char *text, bool is_indented)
{
	size_t size = 0;

	while (text[size] && (text[size] == ' ') == is_indented) {
		size += strcspn(text + size, "\n");
		size += text[size] == '\n';
	}
	return size;
}

static void put_lines(const char *text, size_t size, FILE *out)
{
	char before = 0;

	fputs(".Bd -literal -offset 2n\n", out);
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			fputc('\n', out);
		else
			put_char(text[i], before, out);
		before = text[i] == '\n' ? 0 : text[i];
	}
	fputs(".Ed\n", out);
}

static void put_details(const char *text, FILE *out)
{
	while (*text) {
		bool is_indented = *text == ' ';
		size_t size = block_size(text, is_indented);

		if (is_indented) {
			put_lines(text, size, out);
		} else {
			fputs(".Pp\n", out);
			put_text(text, size, out);
		}
		text += size;
	}
}

/* The summary of a command, or the help of an option, as a sentence. */
static void put_sentence(const char *text, FILE *out)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "%s.", text);
	sentence[0] = (char)toupper((unsigned char)sentence[0]);
	put_text(sentence, strlen(sentence), out);
}

static void put_option(const struct sw_option *o, FILE *out)
{
	fputs(".It", out);
	if (o->letter)
		fprintf(out, " Fl %c ,", o->letter);
	fprintf(out, " Fl -%s", o->name);
	if (o->value)
		fprintf(out, " Ar %s", o->value);
	fputc('\n', out);
	put_sentence(o->help, out);
}

static void put_command(const struct sw_cmd *cmd, FILE *out)
{
	const struct sw_option *o;

	fprintf(out, ".Ss %s\n.Dl swarmfs %s%s", cmd->name, cmd->name, *cmd->synopsis ? " " : "");
	put_word(cmd->synopsis, strlen(cmd->synopsis), false, out);
	fputs("\n.Pp\n", out);
	put_sentence(cmd->summary, out);
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; (o = sw_cmd_option(cmd, i)); i++)
		put_option(o, out);
	fputs(".El\n", out);
	if (cmd->details)
		put_details(cmd->details, out);
}

static void put_mount_options(FILE *out)
{
	const char *name, *help;

	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; sw_mount_option_at(i, &name, &help); i++) {
		fprintf(out, ".It Cm %s\n", name);
		if (help)
			put_sentence(help, out);
	}
	fputs(".El\n", out);
}

void sw_generate_page(FILE *page, FILE *out)
{
	char line[1024];

	while (fgets(line, sizeof(line), page)) {
		if (strcmp(line, ".\\\" @COMMANDS@\n") == 0) {
			for (size_t i = 0; sw_cmds[i]; i++)
				put_command(sw_cmds[i], out);
		} else if (strcmp(line, ".\\\" @MOUNT_OPTIONS@\n") == 0) {
			put_mount_options(out);
		} else {
			fputs(line, out);
		}
	}
}
