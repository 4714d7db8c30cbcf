/* What the readers of the import formats share. */
#ifndef SW_FS_IMPORT_INTERNAL_H
#define SW_FS_IMPORT_INTERNAL_H

#include "core/hash.h"
#include "core/row.h"
#include "fs/import_parse.h"

#define SW_IMPORT_READ_SIZE ((size_t)256 << 10)

/* A file descriptor read in large pieces. Lines stay in the buffer only as long as they must. */
struct sw_import_source {
	int fd;
	bool eof;
	struct sw_buf buf;
	size_t at; /* bytes of buf already consumed */
};

/* Keys seen so far, by 96 bits of hash: enough that two keys never meet by accident. */
struct sw_import_seen {
	struct sw_import_seen_key {
		uint64_t hash;
		uint32_t more;
		uint32_t where; /* line or element, capped; 0: free */
	} * v;
	size_t cap; /* a power of two */
	size_t n;
	struct sw_sip_key sip[2];
};

enum sw_import_naming {
	SW_IMPORT_UNDECIDED, /* the first row decides between the other two */
	SW_IMPORT_BY_COLUMN,
	SW_IMPORT_BY_NUMBER,
};

/* One import under way. */
struct sw_import {
	const char *path; /* for messages */
	const struct sw_import_options *options;
	const struct sw_import_sink *sink;
	struct sw_import_report *report;
	struct sw_view table;
	const char *unit; /* what `where` counts: "line" or "element" */
	enum sw_import_naming naming;
	const char *const *keys;
	size_t n_keys;
	struct sw_buf key;
	struct sw_buf name; /* a decoded column name */
	struct sw_buf row;
	struct sw_import_seen seen;
};

/* Fail with "PATH: sentence", or "PATH, line N: sentence" when where is not 0. */
int sw_import_fail(const struct sw_import *im, int rc, uint64_t where, const char *format, ...)
    SW_PRINTF(4, 5);

/* Add a sentence to the report, if there is room for it. */
void sw_import_note(struct sw_import *im, const char *format, ...) SW_PRINTF(2, 3);

/* v as text for a message: shortened, control characters and what is not UTF-8 as '?'. */
#define SW_IMPORT_SHOW_SIZE 72
const char *sw_import_show(struct sw_view v, char out[static SW_IMPORT_SHOW_SIZE]);

/* Refuse a name that sw_name_check() refuses, in one sentence. what: "row name", "table name". */
int sw_import_check_name(const struct sw_import *im, uint64_t where, const char *what,
			 struct sw_view name) SW_MUST_CHECK;

int sw_import_begin_table(struct sw_import *im, struct sw_view table) SW_MUST_CHECK;
int sw_import_emit(struct sw_import *im, struct sw_view key, struct sw_view bytes,
		   const struct sw_import_meta *meta) SW_MUST_CHECK;

/* Check, name and hand out one row: text is an object without whitespace around it. */
int sw_import_object(struct sw_import *im, uint64_t where, struct sw_view text) SW_MUST_CHECK;

/* At least one more byte in the buffer: 1; the end: 0; negative: reading failed. */
int sw_import_fill(struct sw_import *im, struct sw_import_source *s) SW_MUST_CHECK;
/* Everything up to the end, at s->at. */
int sw_import_read_all(struct sw_import *im, struct sw_import_source *s) SW_MUST_CHECK;
/* 1: the next line with its newline (the last may have none), valid until the next call; 0: end. */
int sw_import_next_line(struct sw_import *im, struct sw_import_source *s, uint64_t where,
			struct sw_view *out) SW_MUST_CHECK;

/* The readers. */
int sw_import_json(struct sw_import *im, struct sw_import_source *s) SW_MUST_CHECK;
int sw_import_lines(struct sw_import *im, struct sw_import_source *s) SW_MUST_CHECK;
int sw_import_csv(struct sw_import *im, struct sw_import_source *s) SW_MUST_CHECK;
int sw_import_directory(struct sw_import *im, int fd) SW_MUST_CHECK;

static inline bool sw_import_is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline struct sw_view sw_import_trim(struct sw_view v)
{
	while (v.n > 0 && sw_import_is_space(v.p[v.n - 1]))
		v.n--;
	while (v.n > 0 && sw_import_is_space(v.p[0]))
		v = sw_view(v.p + 1, v.n - 1);
	return v;
}

#endif
