/*
 * The bytes that a read of a row gives, where they lie: in the store, in memory, or in a copy made
 * for this where they may change at once. Whoever passes them on needs no copy of its own.
 */
#ifndef SW_CORE_PIECES_H
#define SW_CORE_PIECES_H

#include "core/db.h"
#include "core/row.h"

#define SW_PIECES_FEW                                                                              \
	40 /* more than 128 KiB of a large row are in: no memory is needed for so many */

/* sw_pieces_init() first, sw_pieces_fini() at last. One thread at a time. */
struct sw_pieces {
	struct sw_view *v; /* in order, none empty */
	size_t n, cap;
	size_t n_bytes;          /* in all */
	struct sw_reader reader; /* that pieces are borrowed from; without a transaction: none */
	struct sw_buf copy;      /* the one piece, where it is a copy */
	struct sw_view few[SW_PIECES_FEW];
};

void sw_pieces_init(struct sw_pieces *p);
/* Ends the reader, frees the copy: the pieces are gone. */
void sw_pieces_fini(struct sw_pieces *p);

/* Add one. SW_ENOMEM. */
int sw_pieces_add(struct sw_pieces *p, struct sw_view piece) SW_MUST_CHECK;
/* Add up to n bytes of a row from offset on; fewer only at its end. A large one is read through p's
 * reader. */
int sw_pieces_add_row(struct sw_pieces *p, const struct sw_row *row, uint64_t offset,
		      size_t n) SW_MUST_CHECK;

/* All of them, one behind the other; out has room for n_bytes. */
void sw_pieces_copy(const struct sw_pieces *p, void *out);

#endif
