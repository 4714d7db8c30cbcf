/*
 * Which of the newer commits are in whose causal past.
 *
 * A window over the history: commits by their local numbers, in the order of arrival, parents
 * first, and a column of bits for each of those who look. What stands before the window is in
 * everybody's past. Memory alone: the caller reads the history. A commit costs some bytes and a bit
 * for each column; taking one more step into somebody's past costs only what was not in it before.
 */
#ifndef SW_CORE_SEEN_H
#define SW_CORE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct sw_seen {
	uint64_t base; /* number of the first commit in the window */
	size_t n;
	size_t n_columns, n_words;
	size_t cap, cap_parents;
	uint32_t *parents;  /* low halves of their numbers */
	uint32_t *first;    /* by commit: where its parents begin; one more at the end */
	bool *is_done;      /* by commit: sw_seen_done() */
	uint64_t *bits;     /* n_words for each commit */
	uint64_t *required; /* the columns that sw_seen_by_all() asks for */
	uint32_t *stack;
	size_t cap_stack;
};

/* All zero is valid, empty and without columns; fini frees, and makes it so again. */
void sw_seen_fini(struct sw_seen *s);
/* Begin anew before the commit `base`, with so many columns, of which none is required yet.
 * SW_ENOMEM. */
int sw_seen_init(struct sw_seen *s, uint64_t base, size_t n_columns) SW_MUST_CHECK;
void sw_seen_require(struct sw_seen *s, size_t column);
/* The next commit, which nobody has seen. SW_ENOMEM: nothing changed. */
int sw_seen_add(struct sw_seen *s, const uint64_t *parents, size_t n) SW_MUST_CHECK;
/* The number that the next one will have. */
static inline uint64_t sw_seen_next(const struct sw_seen *s)
{
	return s->base + s->n;
}

/* The column sees a commit and all below it. SW_ENOMEM: it sees some of them. */
int sw_seen_mark(struct sw_seen *s, size_t column, uint64_t commit) SW_MUST_CHECK;
/* The column sees nothing in the window any more. */
void sw_seen_clear(struct sw_seen *s, size_t column);
/* The column sees only what the other sees, too. */
void sw_seen_limit(struct sw_seen *s, size_t column, size_t by);
bool sw_seen_by(const struct sw_seen *s, size_t column, uint64_t commit);
bool sw_seen_by_all(const struct sw_seen *s, uint64_t commit);

/* Nobody will ask for the commit again. Those at the beginning of the window go, now and then. */
void sw_seen_done(struct sw_seen *s, uint64_t commit);
bool sw_seen_is_done(const struct sw_seen *s, uint64_t commit);
void sw_seen_shrink(struct sw_seen *s);

#endif
