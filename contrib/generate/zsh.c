/* For zsh: specifications for _arguments. */
#include <string.h>

#include "contrib/generate/generate.h"
#include "fs/mount_options.h"

/* Within single quotes; `special` are those that the place gives a meaning. */
static void put_quoted(const char *text, const char *special, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", out);
		else if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_value(const struct sw_option *o, FILE *out)
{
	const char *name, *help;

	fputc(':', out);
	put_quoted(o->value, ":[]", out);
	fputc(':', out);
	switch (sw_value_of(o)) {
	case SW_VALUE_ANY:
		fputc(' ', out);
		break;
	case SW_VALUE_DIRECTORY:
		fputs("_files -/", out);
		break;
	case SW_VALUE_FILE:
		fputs("_files", out);
		break;
	case SW_VALUE_PROGRAM:
		fputs("_command_names", out);
		break;
	case SW_VALUE_ONE_OF:
		fputc('(', out);
		for (const char *p = o->value; *p; p++)
			fputc(*p == '|' ? ' ' : *p, out);
		fputc(')', out);
		break;
	case SW_VALUE_MOUNT_OPTIONS:
		fputs("_values -s , option", out);
		for (size_t i = 0; sw_mount_option_at(i, &name, &help); i++)
			if (!strchr(name, '*'))
				fprintf(out, " %.*s", (int)strcspn(name, "="), name);
		for (const struct sw_option *own = sw_cmd_mount.options; own->name; own++)
			if (sw_mount_option_may(own))
				fprintf(out, " %s", own->name);
		break;
	}
}

static void put_option(const struct sw_option *o, FILE *out)
{
	fputs(" \\\n\t\t\t'*'", out);
	if (o->letter)
		fprintf(out, "{-%c,--%s}", o->letter, o->name);
	else
		fprintf(out, "--%s", o->name);
	fputs("'[", out);
	put_quoted(o->help, "[]:\\", out);
	fputc(']', out);
	if (o->value)
		put_value(o, out);
	fputc('\'', out);
}

static void put_command(const struct sw_cmd *cmd, FILE *out)
{
	const struct sw_option *o;

	fprintf(out, "\t%s)\n\t\t_arguments -s", cmd->name);
	for (size_t i = 0; (o = sw_cmd_option(cmd, i)); i++)
		put_option(o, out);
	if (cmd->verbs) {
		fputs(" \\\n\t\t\t'1: :_alternative \"verbs:verb:(", out);
		for (const struct sw_verb *v = cmd->verbs; v->name; v++)
			fprintf(out, "%s%s", v == cmd->verbs ? "" : " ", v->name);
		fputs(")\" \"files:file:_files\"'", out);
	}
	if (cmd->max_operands > 0)
		fputs(" \\\n\t\t\t'*:file:_files'", out);
	fputs("\n\t\t;;\n", out);
}

static const char head[] = "#compdef swarmfs\n"
			   "# Generated from the table of 'swarmfs --help'.\n"
			   "\n"
			   "_swarmfs() {\n"
			   "\tlocal context state state_descr line\n"
			   "\ttypeset -A opt_args\n"
			   "\tlocal -a commands\n"
			   "\tcommands=(\n";

static const char choose[] = "\t)\n"
			     "\t_arguments -C \\\n"
			     "\t\t'(- *)'{-h,--help}'[show all commands]' \\\n"
			     "\t\t'(- *)'{-V,--version}'[print the version]' \\\n"
			     "\t\t'1:command:->command' '*::argument:->rest'\n"
			     "\tif [[ $state == command ]]; then\n"
			     "\t\t_describe command commands\n"
			     "\t\treturn\n"
			     "\tfi\n"
			     "\t[[ $state == rest ]] || return\n"
			     "\tcase $words[1] in\n"
			     "\thelp) _describe command commands ;;\n";

static const char tail[] = "\tesac\n"
			   "}\n"
			   "\n"
			   "if [ \"$funcstack[1]\" = _swarmfs ]; then\n"
			   "\t_swarmfs \"$@\"\n"
			   "else\n"
			   "\tcompdef _swarmfs swarmfs\n"
			   "fi\n";

void sw_generate_zsh(FILE *out)
{
	fputs(head, out);
	fputs("\t\t'help:show what a command does'\n", out);
	for (size_t i = 0; sw_cmds[i]; i++) {
		fprintf(out, "\t\t'%s:", sw_cmds[i]->name);
		put_quoted(sw_cmds[i]->summary, "", out);
		fputs("'\n", out);
	}
	fputs(choose, out);
	for (size_t i = 0; sw_cmds[i]; i++)
		put_command(sw_cmds[i], out);
	fputs(tail, out);
}
