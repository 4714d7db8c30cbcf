/*
 * A file that a command writes instead of standard output. It has its name only when it is whole. Until then it has none, and is gone
 * if the process ends; or, where the file system has no files without names, it is another one beside it, named as rsync names what it
 * writes, which a mount takes for no row. What is no regular file is written as it is.
 */
#ifndef SW_FS_OUTPUT_H
#define SW_FS_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "core/err.h"

struct sw_output {
	FILE *file;
	char *path; /* links followed */
	char *temp; /* NULL: the file itself is written */
	bool is_nameless; /* what is written has no name yet, not even temp */
};

/* With a sentence when it cannot be written. */
int sw_output_open(const char *path, struct sw_output *out) SW_MUST_CHECK;
/* Close it, and give it its name; flushed to the disk by then. Any failure leaves what had the name before. */
int sw_output_finish(struct sw_output *out) SW_MUST_CHECK;
/* Close it and throw it away. */
void sw_output_abandon(struct sw_output *out);

#endif
