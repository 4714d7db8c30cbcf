/*
 * A strict scanner for JSON text (RFC 8259) that keeps every byte as it was written.
 *
 * Whether a row has columns, and what bytes a column has, decides hashes and merges, so every
 * peer must answer alike: the language below is part of the format and depends on no library. The
 * scanner only finds where things begin and end. It never converts a number, never normalises a
 * string, needs no memory, and does not recurse.
 *
 * The language is RFC 8259's grammar, with all that the RFC leaves open decided as follows:
 *
 * - The text is one value of any kind with optional whitespace around it, nothing else. Whitespace
 *   is space, tab, LF and CR. There is no byte order mark, no comment, no trailing comma.
 * - Arrays and objects nest at most SW_JSON_DEPTH_MAX deep: 64 opening brackets may be unclosed
 *   at once, the 65th is refused. The length of text, strings and numbers has no limit here.
 * - Bytes in strings are UTF-8 as in RFC 3629: no overlong forms, no surrogates (U+D800 to U+DFFF),
 *   nothing above U+10FFFF; noncharacters and U+007F are allowed. Bytes below 0x20 are refused.
 * - Escapes are \" \\ \/ \b \f \n \r \t and \u with four hexadecimal digits of either case. A
 *   \u escape of a high surrogate must be followed at once by one of a low surrogate; a low
 *   surrogate anywhere else is refused. \u0000 is allowed.
 * - Numbers are -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? of any size and precision.
 * - Member names may repeat: that is for whoever gives names a meaning (core/columns.h) to judge.
 */
#ifndef SW_CORE_JSON_H
#define SW_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define SW_JSON_DEPTH_MAX 64

/* 0 when text is in the language above, else SW_EFORMAT. */
int sw_json_validate(struct sw_view text) SW_MUST_CHECK;

/*
 * A walk over the members of the object, or the elements of the array, that a text consists of.
 * One iterator serves one kind: call only sw_json_next_member() on it, or only
 * sw_json_next_element(). The text must outlive the walk; what it yields points into the text.
 *
 * Text is checked as the walk goes: reaching the end (0) proves that all of it, whitespace
 * around it included, is an object (array) that sw_json_validate() accepts. SW_EFORMAT means
 * that it is not, says so again when asked again, and leaves `at` on the first byte that cannot
 * be right (or at the end of the text when more was needed).
 */
struct sw_json_iter {
	struct sw_view text;
	size_t at; /* offset of the next byte to look at */
	int state; /* private */
};

struct sw_json_member {
	struct sw_view key;   /* between the quotes, escapes not decoded */
	struct sw_view value; /* as written, without the whitespace around it */
	size_t key_at;        /* offset of key in the text; the opening quote is one before */
	size_t value_at;      /* offset of value in the text */
};

struct sw_json_element {
	struct sw_view value; /* as written, without the whitespace around it */
	size_t value_at;      /* offset of value in the text */
};

void sw_json_iter_init(struct sw_json_iter *it, struct sw_view text);
/* 1: *out is the next one; 0: the end; SW_EFORMAT: see above, *out untouched. */
int sw_json_next_member(struct sw_json_iter *it, struct sw_json_member *out) SW_MUST_CHECK;
int sw_json_next_element(struct sw_json_iter *it, struct sw_json_element *out) SW_MUST_CHECK;

/*
 * Append to out the UTF-8 that raw stands for, raw being what is between the quotes of a string.
 * Never longer than raw. SW_EFORMAT when no string of the language above has these bytes between
 * its quotes, SW_ENOMEM; out->n is then as before.
 */
int sw_json_unescape(struct sw_view raw, struct sw_buf *out) SW_MUST_CHECK;

/* A number as programs have it: an integer if it is written as one and has 64 bits, else the nearest to it. */
struct sw_json_number {
	bool is_whole;
	int64_t whole;
	double real;
};
/* The value must be a number of the language above. SW_ENOMEM; scratch is the caller's, to be used again. */
int sw_json_number(struct sw_view value, struct sw_buf *scratch, struct sw_json_number *out) SW_MUST_CHECK;

/*
 * Append to out the string, quotes included, that stands for text: the shortest escape for what
 * must be escaped (quote, backslash, bytes below 0x20; \u00xx with lower-case digits where there
 * is no short one), everything else as it is. SW_EFORMAT when text is not UTF-8 as above,
 * SW_ENOMEM; out->n is then as before.
 */
int sw_json_put_string(struct sw_buf *out, struct sw_view text) SW_MUST_CHECK;

/* Whether text is UTF-8 as RFC 3629 has it. Every code point counts, U+0000 included. */
bool sw_json_is_utf8(struct sw_view text);

#endif
