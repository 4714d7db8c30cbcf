/*
 * The oracle's columns: which rows have them, and how two rows are merged, written from the rules
 * in core/columns.h and core/json.h and sharing nothing with what is behind those. It takes a text
 * apart into all its pieces, and copies.
 */
#ifndef TESTS_LIB_ORACLE_COLUMNS_H
#define TESTS_LIB_ORACLE_COLUMNS_H

#include "core/hash.h"

/* pre "key" mid value post; views into the text. */
struct oracle_member {
	struct sw_buf name; /* the key, decoded */
	struct sw_view pre, key, mid, value, post;
};

struct oracle_members {
	struct oracle_member *v; /* as written */
	size_t n;
	struct sw_view lead, space, trail; /* space: between the braces, if there are no members */
};

/* Whether a row of that name with that text has columns; then *out holds them, as long as the text
 * stands. */
bool oracle_columns_parse(struct sw_view file_name, struct sw_view text,
			  struct oracle_members *out);
void oracle_columns_fini(struct oracle_members *m);
/* NULL: there is none of that name. */
const struct oracle_member *oracle_columns_find(const struct oracle_members *m,
						struct sw_view name);
/* The hash of a column's value; zero where it is absent. */
struct sw_hash oracle_columns_hash(const struct oracle_members *m, struct sw_view name);
/* False: there is no result. */
bool oracle_columns_merge(const struct oracle_members *mine, const struct oracle_members *met,
			  const struct sw_view *changed, size_t n_changed, struct sw_buf *out);

#endif
