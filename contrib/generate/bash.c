/* For bash: what the words of each command are, and one function that chooses among them. */
#include <string.h>

#include "contrib/generate/generate.h"
#include "fs/mount_options.h"

static void put_value(const struct sw_option *o, FILE *out)
{
	const char *name, *help;

	fputs("\t\t", out);
	if (o->letter)
		fprintf(out, "-%c | ", o->letter);
	fprintf(out, "--%s) ", o->name);
	switch (sw_value_of(o)) {
	case SW_VALUE_ANY:
		fputs("kind=any", out);
		break;
	case SW_VALUE_DIRECTORY:
		fputs("kind=directory", out);
		break;
	case SW_VALUE_FILE:
		fputs("kind=file", out);
		break;
	case SW_VALUE_PROGRAM:
		fputs("kind=program", out);
		break;
	case SW_VALUE_ONE_OF:
		fputs("kind=words words='", out);
		for (const char *p = o->value; *p; p++)
			fputc(*p == '|' ? ' ' : *p, out);
		fputc('\'', out);
		break;
	case SW_VALUE_MOUNT_OPTIONS:
		fputs("kind=list words='", out);
		for (size_t i = 0; sw_mount_option_at(i, &name, &help); i++)
			if (!strchr(name, '*'))
				fprintf(out, "%s%s", i ? " " : "", name);
		for (const struct sw_option *own = sw_cmd_mount.options; own->name; own++)
			if (sw_mount_option_may(own))
				fprintf(out, " %s%s", own->name, own->value ? "=" : "");
		fputc('\'', out);
		break;
	}
	fputs(" ;;\n", out);
}

static void put_command(const struct sw_cmd *cmd, FILE *out)
{
	const struct sw_option *o;
	bool has_value = false;

	fprintf(out, "\t%s)\n\t\toptions='", cmd->name);
	for (size_t i = 0; (o = sw_cmd_option(cmd, i)); i++) {
		fprintf(out, "%s--%s", i ? " " : "", o->name);
		has_value = has_value || o->value;
	}
	fputs("'\n", out);
	if (cmd->verbs) {
		fputs("\t\tverbs='", out);
		for (const struct sw_verb *v = cmd->verbs; v->name; v++)
			fprintf(out, "%s%s", v == cmd->verbs ? "" : " ", v->name);
		fputs("'\n", out);
	}
	if (has_value) {
		fputs("\t\tcase $prev in\n", out);
		for (size_t i = 0; (o = sw_cmd_option(cmd, i)); i++)
			if (o->value)
				put_value(o, out);
		fputs("\t\tesac\n", out);
	}
	fputs("\t\t;;\n", out);
}

static const char head[] =
    "# bash completion for swarmfs. Generated from the table of 'swarmfs --help'.\n"
    "\n"
    "_swarmfs()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\tlocal commands options='' verbs='' kind='' words='' list=''\n";

static const char choose[] = "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
			     "\t\tkind=words words=\"$commands --help --version\"\n"
			     "\telif [ \"${COMP_WORDS[1]}\" = help ]; then\n"
			     "\t\tkind=words words=$commands\n"
			     "\tfi\n"
			     "\tcase ${COMP_WORDS[1]} in\n";

static const char tail[] =
    "\tesac\n"
    "\tif [ -z \"$kind\" ] && [[ $cur == -* ]]; then\n"
    "\t\tkind=words words=$options\n"
    "\telif [ \"$kind\" = list ]; then\n"
    "\t\tlist=${cur%\"${cur##*,}\"} cur=${cur##*,} kind=words\n"
    "\tfi\n"
    "\tcase $kind in\n"
    "\tany) COMPREPLY=() ;;\n"
    "\twords) mapfile -t COMPREPLY < <(compgen -P \"$list\" -W \"$words\" -- \"$cur\") ;;\n"
    "\tprogram) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n"
    "\tdirectory)\n"
    "\t\tcompopt -o filenames 2>/dev/null\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
    "\t\t;;\n"
    "\t*)\n"
    "\t\tcompopt -o filenames 2>/dev/null\n"
    "\t\t[ \"$COMP_CWORD\" -eq 2 ] || verbs=''\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$cur\"; compgen -f -- \"$cur\")\n"
    "\t\t;;\n"
    "\tesac\n"
    "}\n"
    "\n"
    "complete -F _swarmfs swarmfs\n";

void sw_generate_bash(FILE *out)
{
	fputs(head, out);
	fputs("\tcommands='help", out);
	for (size_t i = 0; sw_cmds[i]; i++)
		fprintf(out, " %s", sw_cmds[i]->name);
	fputs("'\n", out);
	fputs(choose, out);
	for (size_t i = 0; sw_cmds[i]; i++)
		put_command(sw_cmds[i], out);
	fputs(tail, out);
}
