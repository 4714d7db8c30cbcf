/*
 * Columns: the top-level members of a row that is a JSON object.
 *
 * Two writers who changed different columns of one row have not disagreed. To see that, an
 * operation on such a row names the columns it changed, and the fold puts the two rows together
 * column by column. Everything here is a rule that all peers share: it depends on nothing but the
 * bytes of the rows, and it never re-serialises a value.
 *
 * A row has columns when all of this holds; otherwise it has none and only goes whole:
 *
 * - its file name ends in the five bytes ".json";
 * - its size is at most SW_COLUMNS_TEXT_MAX (1 MiB);
 * - its text is an object of the language in core/json.h;
 * - it has at most SW_COLUMNS_MAX (4096) members, {} having none and yet having columns;
 * - the names of its members, compared as UTF-8 bytes after decoding escapes, are all different,
 *   and each is 0 to SW_COLUMNS_NAME_MAX (1024) bytes long. A name may hold any code point, U+0000
 *   and '/' included: it is never a file name.
 *
 * A column's name is the decoded name, its value the bytes of the member's value as written,
 * without the whitespace around them. Columns are equal when those bytes are: 1, 1.0 and 1e0
 * differ.
 */
#ifndef SW_CORE_COLUMNS_H
#define SW_CORE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/hash.h"

#define SW_COLUMNS_TEXT_MAX ((size_t)1 << 20)
#define SW_COLUMNS_MAX      4096
#define SW_COLUMNS_NAME_MAX 1024

struct sw_column {
	struct sw_view name;  /* decoded */
	struct sw_view key;   /* as written between the quotes, in the row's text */
	struct sw_view value; /* as written, in the row's text */
};

/* The columns of one row. Its views point into the row's text, which the caller keeps alive. */
struct sw_columns {
	struct sw_view text;
	struct sw_column *v;              /* in the order of the text */
	const struct sw_column **by_name; /* the same, ascending by name bytes */
	size_t n;
	struct sw_buf names; /* the names that had escapes */
};

/* Whether a row of this name and size can have columns at all; its text decides the rest. */
bool sw_columns_possible(struct sw_view file_name, size_t size);

/*
 * 1 when the row has columns: *out holds them until sw_columns_fini(). 0 when it has none,
 * SW_ENOMEM when it could not be found out (which must not be taken for 'none'): *out is then
 * empty, and safe to pass to sw_columns_fini().
 */
int sw_columns_parse(struct sw_view file_name, struct sw_view text,
		     struct sw_columns *out) SW_MUST_CHECK;
/* Free what parse allocated; harmless on a zero-initialised struct, and twice. */
void sw_columns_fini(struct sw_columns *columns);

/* The column of that name, or NULL. Valid as long as columns. */
const struct sw_column *sw_columns_find(const struct sw_columns *columns, struct sw_view name);

/* The hash of a column's value. A column that is absent has sw_hash_zero. */
void sw_column_hash(const struct sw_column *column, struct sw_hash *out);

/* What became of one column between two rows; both sides are never NULL together. */
struct sw_column_change {
	struct sw_view name;
	const struct sw_column *before; /* NULL: added */
	const struct sw_column *after;  /* NULL: removed */
};

/*
 * A walk over the columns that differ, strictly ascending by name bytes. Either row may be NULL:
 * every column of the other is then added or removed. Both must outlive the walk.
 */
struct sw_columns_diff {
	const struct sw_columns *before;
	const struct sw_columns *after;
	size_t i; /* next of before->by_name */
	size_t j; /* next of after->by_name */
};

void sw_columns_diff_init(struct sw_columns_diff *diff, const struct sw_columns *before,
			  const struct sw_columns *after);
/* 1: *out is the next change; 0: no more. */
int sw_columns_diff_next(struct sw_columns_diff *diff, struct sw_column_change *out);

/*
 * Column merge: the row that results when an operation that wrote `mine`, and changed the columns
 * named in `changed`, meets the row `met`. In short: mine's bytes are the skeleton, what mine did
 * not change comes from met as written there. Exactly:
 *
 * Layout. The text of an object with members 1 to n is, with all its bytes named,
 *
 *     lead { pre_1 "key_1" mid_1 value_1 post_1 , ... , pre_n "key_n" mid_n value_n post_n } trail
 *
 * where lead, pre, post and trail are whitespace, possibly empty, and mid is whitespace, a colon,
 * whitespace. The text of an object without members is lead { space } trail.
 *
 * 1. Members of the result. First, in mine's order, each member of mine whose name is in `changed`
 *    or is a name in met ('kept'). Then, in met's order, each member of met whose name is neither
 *    in mine nor in `changed` ('added'). All others are dropped.
 * 2. A kept member has mine's key and mid; its value is mine's if its name is in `changed`, else
 *    met's. An added member has met's key and value, and as mid the model's mid_n.
 * 3. The model is mine if mine has members, else met. Its members are counted before anything is
 *    dropped; n below is their number.
 * 4. Before the first member of the result stands the model's pre_1. Before a later kept member
 *    stands its own pre. Before a later added member stands the model's pre_n; but if n is 1
 *    and pre_1 is empty, the whitespace after the colon in mid_1, so that b added to {"a": 1}
 *    gives {"a": 1, "b": 2}.
 * 5. After the last member of the result stands the model's post_n, then "}". After any other
 *    member, and before the comma, stands its own post if it is kept and is not mine's last
 *    member; else the model's post_(n-1) if n is at least 2, else nothing.
 * 6. A result without members has nothing between its braces, unless mine had no members either:
 *    then it has mine's space. lead and trail are mine's.
 * 7. If the result is larger than SW_COLUMNS_TEXT_MAX or has more than SW_COLUMNS_MAX members,
 *    there is none: the row goes whole.
 *
 * It follows that a result is a row with columns; that it is mine, byte for byte, when mine and
 * met have the same values, or both none, in all columns that mine did not change; and that
 * `changed` may name columns that neither row has.
 *
 * `changed` must be strictly ascending by name bytes, as sw_columns_diff_next() yields them; the
 * caller has checked that (it is asserted). The result is appended to out. SW_ELIMIT for case 7,
 * SW_ENOMEM; out->n is then as before.
 */
int sw_columns_merge(const struct sw_columns *mine, const struct sw_columns *met,
		     const struct sw_view *changed, size_t n_changed,
		     struct sw_buf *out) SW_MUST_CHECK;

#endif
