/* Texts as lines, and which lines two texts have in common (Myers 1986, greedy). */
#ifndef SW_FS_LINES_H
#define SW_FS_LINES_H

#include "core/buf.h"

/* The lines of a text, each with its line end if it has one. Borrow from the text. */
struct sw_lines {
	struct sw_view *v;
	size_t n;
};

int sw_lines_split(struct sw_view text, struct sw_lines *out) SW_MUST_CHECK;
void sw_lines_fini(struct sw_lines *l);

/*
 * For each line of `b` the line of `a` that it is, or SIZE_MAX for one that is new; ascending. As many as can be, but of texts with
 * more than some thousand differences only those that both begin and end with. match has b->n places.
 */
int sw_lines_match(const struct sw_lines *a, const struct sw_lines *b, size_t *match) SW_MUST_CHECK;

#endif
