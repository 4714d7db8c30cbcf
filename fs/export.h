/*
 * Export: the rows of a snapshot as a stream, in the forms that import (fs/import_parse.h) reads, or as a tar archive.
 *
 *   lines  JSON Lines: each row on a line of its own, its line ends between tokens made spaces.
 *   JSON   one array of the rows as they are.
 *   CSV    a line of column names, in the order in which rows have them first, and a line for each row: strings decoded, all other
 *          values as written, and nothing where a row has no such column.
 *   tar    directories and files, with mode and mtime: every byte of every row. POSIX ustar, with pax headers for what that cannot
 *          say; owners are left out. The same snapshot gives the same bytes.
 *
 * The first three are of one table, whose rows must be JSON objects, but for its .schema, which is left out. What import would make of them again is compared with the
 * rows as they are, and a note says in what it differs. Rows are streamed: memory is that of the longest row, or of a piece of it.
 */
#ifndef SW_FS_EXPORT_H
#define SW_FS_EXPORT_H

#include <stdio.h>

#include "fs/scan.h"

#define SW_EXPORT_ROW_MAX ((size_t)64 << 20) /* of JSON; as import has it */

enum sw_export_format { SW_EXPORT_LINES, SW_EXPORT_JSON, SW_EXPORT_CSV, SW_EXPORT_TAR };

/* "jsonl", "json", "csv" or "tar". SW_EINVAL. */
int sw_export_format_parse(const char *name, enum sw_export_format *out) SW_MUST_CHECK;
/* The one that a file of that name has: false if it does not say. */
bool sw_export_format_of(const char *path, enum sw_export_format *out);

struct sw_export {
	struct sw_snap *snap;
	FILE *out;
	bool skip; /* leave out rows that are no JSON objects, instead of failing */
	/* Whether to stop; what was written by then is not whole. */
	bool (*is_gone)(void *arg);
	void *arg;
	struct sw_buf notes; /* out: sentences for the user, a line each */
};

/*
 * Write one table; SW_ENOTFOUND when it is not there. SW_EFORMAT: a row is no JSON object; SW_ELIMIT. Each with a sentence that names
 * the row and says what to do.
 */
int sw_export_table(struct sw_export *x, struct sw_view table, enum sw_export_format format) SW_MUST_CHECK;
/* A tar of these tables, or, without any, of all. */
int sw_export_tar(struct sw_export *x, const char *const *tables, size_t n) SW_MUST_CHECK;

#endif
