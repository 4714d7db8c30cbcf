/*
 * What follows from the table of commands: the parts of swarmfs(1) about them, and completions for
 * shells. A program of the build that links the table, so that they cannot differ from --help.
 */
#ifndef SW_GENERATE_H
#define SW_GENERATE_H

#include <stdio.h>

#include "fs/cmd.h"

/* A line `.\" @COMMANDS@` or `.\" @MOUNT_OPTIONS@` of a page is replaced by what the table says of
 * them. */
void sw_generate_page(FILE *page, FILE *out);
void sw_generate_bash(FILE *out);
void sw_generate_zsh(FILE *out);

/* What the value of an option is, for a completion. */
enum sw_value {
	SW_VALUE_ANY,
	SW_VALUE_ONE_OF, /* words separated by '|' */
	SW_VALUE_DIRECTORY,
	SW_VALUE_FILE,
	SW_VALUE_PROGRAM,
	SW_VALUE_MOUNT_OPTIONS,
};
enum sw_value sw_value_of(const struct sw_option *o);

#endif
