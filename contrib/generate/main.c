#include <string.h>

#include "contrib/generate/generate.h"

enum sw_value sw_value_of(const struct sw_option *o)
{
	if (strcmp(o->value, "DIR") == 0)
		return SW_VALUE_DIRECTORY;
	if (strcmp(o->value, "FILE") == 0)
		return SW_VALUE_FILE;
	if (strcmp(o->value, "PROGRAM") == 0)
		return SW_VALUE_PROGRAM;
	if (strcmp(o->value, "OPT,...") == 0)
		return SW_VALUE_MOUNT_OPTIONS;
	/* Capitals stand for something, small letters for themselves. */
	if (strchr(o->value, '|') && !strpbrk(o->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		return SW_VALUE_ONE_OF;
	return SW_VALUE_ANY;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "page") == 0)
		sw_generate_page(stdin, stdout);
	else if (argc == 2 && strcmp(argv[1], "bash") == 0)
		sw_generate_bash(stdout);
	else if (argc == 2 && strcmp(argv[1], "zsh") == 0)
		sw_generate_zsh(stdout);
	else
		fprintf(stderr, "usage: sw_generate page <PAGE.in | bash | zsh\n");
	return argc == 2 && fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
