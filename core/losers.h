/*
 * The losers of a row: what each commit wrote that was overwritten by someone who had not seen it,
 * and that nobody has replaced since. Whoever may write makes as many of them as rows have columns,
 * so each is found by what covers it, in the logarithm of their number.
 */
#ifndef SW_CORE_LOSERS_H
#define SW_CORE_LOSERS_H

#include "core/buf.h"
#include "core/hash.h"

struct sw_loser_group;

/* The place of a loser among those that one thing covers. */
struct sw_loser_link {
	struct sw_loser_group *group;
	struct sw_loser *next, **at; /* at: what points here */
};

struct sw_loser {
	uint64_t seq; /* the losing commit */
	bool is_column;
	struct sw_view name;  /* of the column; lives as long as the loser */
	struct sw_hash value; /* what was lost: row or column hash, zero for 'absent' */
	struct sw_loser_link by_value;
	struct sw_loser_link by_row; /* of a column: by the row that the losing commit wrote */
	struct sw_loser *next, *prev; /* in sw_losers */
};

/* Zero-initialised: none. */
struct sw_losers {
	struct sw_loser *first; /* in no order */
	size_t n;
	size_t n_columns; /* of them */
	void *groups;     /* tree of struct sw_loser_group, see search.h */
};

void sw_losers_fini(struct sw_losers *l);

/* A whole row that a commit had written. SW_ENOMEM. */
int sw_losers_add_row(struct sw_losers *l, uint64_t seq, const struct sw_hash *value) SW_MUST_CHECK;
/* A column of a row that a commit had written; the name is copied. SW_ENOMEM. */
int sw_losers_add_column(struct sw_losers *l, uint64_t seq, struct sw_view name,
			 const struct sw_hash *value, const struct sw_hash *row) SW_MUST_CHECK;

/* All of them as bytes, and from bytes into none: SW_EFORMAT, SW_ENOMEM. */
void sw_losers_encode(const struct sw_losers *l, struct sw_buf *out);
int sw_losers_decode(struct sw_rd *r, struct sw_losers *l) SW_MUST_CHECK;

/* Remove whole rows of that value. */
void sw_losers_cover_row(struct sw_losers *l, const struct sw_hash *value);
/* Remove columns whose commit wrote that row. */
void sw_losers_cover_written(struct sw_losers *l, const struct sw_hash *row);
/* Remove columns of that name and value. */
void sw_losers_cover_column(struct sw_losers *l, struct sw_view name, const struct sw_hash *value);

#endif
