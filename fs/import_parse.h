/*
 * Import: reads a file, a directory or standard input, and hands out rows.
 *
 * What is read is checked and named here; where rows go is the caller's affair. Text is never
 * re-serialised: a JSON row is the object as it was written, without the whitespace around it, and
 * a newline. All input is UTF-8; a byte order mark at its very beginning is skipped.
 *
 *   JSON     one document: an array of objects, or an object in which exactly one member is an
 *            array, whose elements are then the rows (the report says so). Read as a whole.
 *   lines    JSON Lines: one object a line; lines of whitespace are skipped. Read as a stream.
 *   CSV      RFC 4180, comma and double quote. The first record names the columns; every later one
 *            becomes an object of strings on one line, {"name":"value",...}, in the order of the
 *            columns, with as few escapes as JSON allows. Spaces are content, empty lines are
 *            skipped, a record may not be longer or shorter than the first. Read as a stream.
 *   directory  of files: one table; of directories: one table each, named like them. Regular
 *            files are rows under their own names, byte for byte, with mode and mtime. What is
 *            neither file nor table (links, devices, directories inside a table) is left out,
 *            counted in n_skipped, and the first of them named in the report. A directory that
 *            holds both files and directories is refused unless the table is given: then its files
 *            are the rows. Everything comes sorted by name.
 *
 * Format, unless given: a directory is one; a name that ends in .json, .jsonl or .ndjson, or .csv
 * says it; otherwise the first byte that is not whitespace does: '[' JSON, '{' lines, anything else
 * CSV.
 *
 * Table, unless given: the name of the file without its last suffix, or of the directory. Standard
 * input ("-") has no name, so its table must be given.
 *
 * Row names: KEY.json. KEY is the value of the key columns given, strings decoded and numbers as
 * written, joined by '-' if there are several. If none are given and the first row has a column
 * "id", that is the key of all rows; otherwise, or when `number` is set, rows are numbered from
 * 00000001. A row without its key, a key that is no string or number, an empty one, one that makes
 * no row name (sw_name_check()), and one that an earlier row of the input has, is an error. Names
 * of rows from directories obey sw_name_check(), too.
 *
 * Errors are one sentence that names the input, the line (for an element of an array, which one),
 * the cause and what to do: see sw_fail_message(). Rows before the error have been handed out by
 * then; whoever wants all or nothing commits only after success. Memory: JSON needs the size of the
 * input; the streams need that of the longest row, plus 20 to 60 bytes per row to find equal keys.
 */
#ifndef SW_FS_IMPORT_PARSE_H
#define SW_FS_IMPORT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define SW_IMPORT_KEYS_MAX 8
#define SW_IMPORT_FILE_MAX ((uint64_t)4 << 30) /* a JSON document, or a file of a directory */
#define SW_IMPORT_ROW_MAX  ((size_t)64 << 20)  /* a line, a CSV record, an element */

enum sw_import_format {
	SW_IMPORT_GUESS,
	SW_IMPORT_JSON,
	SW_IMPORT_LINES,
	SW_IMPORT_CSV,
	SW_IMPORT_DIRECTORY,
};

/* All zero: guess everything. */
struct sw_import_options {
	enum sw_import_format format;
	const char *table;       /* NULL: see above */
	const char *const *keys; /* names of the key columns, decoded; at most SW_IMPORT_KEYS_MAX */
	size_t n_keys;
	bool number; /* number the rows even if they have a column "id"; not together with keys */
};

struct sw_import_meta {
	uint16_t mode; /* permission bits, within SW_MODE_MASK */
	int64_t mtime_ns;
};

/* The views live until the call returns. A negative result stops the import, which returns it. */
struct sw_import_sink {
	/* A table begins, even if it will have no rows; its rows follow before the next. May be
	 * NULL. */
	int (*table)(void *arg, struct sw_view table);
	/* meta is NULL when the input does not say: all formats but directories. */
	int (*row)(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		   const struct sw_import_meta *meta);
	void *arg;
};

struct sw_import_report {
	enum sw_import_format format; /* what it was read as */
	uint64_t n_tables;
	uint64_t n_rows;
	uint64_t n_skipped;
	char note[512]; /* sentences for the user, or "" */
};

/* The format of that name ("json", "lines" or "jsonl", "csv", "directory"), or SW_EINVAL. */
int sw_import_format_parse(const char *name, enum sw_import_format *out) SW_MUST_CHECK;

/*
 * Read path, "-" being standard input. 0; SW_EFORMAT for bad input; SW_EINVAL for options that do
 * not fit it; SW_ELIMIT; the code of a failed open or read; or what the sink returned. The report
 * is valid in every case and tells how far it came.
 */
int sw_import_read(const char *path, const struct sw_import_options *options,
		   const struct sw_import_sink *sink,
		   struct sw_import_report *report) SW_MUST_CHECK;

#endif
