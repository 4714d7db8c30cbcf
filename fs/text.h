/*
 * Text for people: names and messages come from others, so what a terminal would obey is shown as
 * an escape instead.
 */
#ifndef SW_FS_TEXT_H
#define SW_FS_TEXT_H

#include <stdio.h>

#include "core/buf.h"
#include "core/changeset.h"

#define SW_TEXT_TIME_SIZE 32
#define SW_TEXT_SIZE_SIZE 16
#define SW_TEXT_KEY_DIGITS 12 /* of a key or id, where a short form is enough */

/* Append v, control characters and what is not UTF-8 as \xNN; at most max bytes of v, then "...". */
void sw_text_put(struct sw_buf *out, struct sw_view v, size_t max);
/*
 * Append a name of a table or row, or TABLE/ROW (key empty: TABLE/). What a terminal would obey,
 * what is not UTF-8, and what has a quote or a backslash stands in double quotes, with \\ \" \n \t
 * and \xNN in it: so no two look alike.
 */
void sw_text_put_name(struct sw_buf *out, struct sw_view name);
void sw_text_put_path(struct sw_buf *out, struct sw_view table, struct sw_view key);
/* The same as sw_text_put(), straight to a stream. */
void sw_text_print(FILE *out, struct sw_view v);

/* 2026-11-21T01:33:25.123Z */
void sw_text_time(uint64_t wall_ms, char out[static SW_TEXT_TIME_SIZE]);
/* 12 B, 3.4 KiB, 5.6 MiB, ... */
void sw_text_size(uint64_t bytes, char out[static SW_TEXT_SIZE_SIZE]);
const char *sw_text_role(int role);
/* SW_EINVAL, with a sentence. */
int sw_text_parse_role(const char *text, enum sw_role *out) SW_MUST_CHECK;
const char *sw_text_mode(enum sw_mode mode);
/* "merge" or "drop": what becomes of writes that cross. The other way SW_EINVAL. */
const char *sw_text_conflict_mode(enum sw_conflict_mode mode);
int sw_text_parse_conflict_mode(const char *text, enum sw_conflict_mode *out) SW_MUST_CHECK;
/* A span such as "250ms", "30s", "15m", "24h", "7d" in milliseconds; no unit: seconds. SW_EINVAL. */
int sw_text_parse_span(const char *text, uint64_t *ms) SW_MUST_CHECK;
/* A decimal number of at most max. SW_EINVAL. */
int sw_text_parse_number(const char *text, uint64_t max, uint64_t *out) SW_MUST_CHECK;

#endif
