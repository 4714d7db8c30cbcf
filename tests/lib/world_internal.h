/* What the files of a world share. */
#ifndef TESTS_LIB_WORLD_INTERNAL_H
#define TESTS_LIB_WORLD_INTERNAL_H

#include "tests/lib/world.h"

#define WORLD_TABLES 3
#define WORLD_KEYS   5
#define WORLD_ROWS   (WORLD_TABLES * WORLD_KEYS)

struct world_counts {
#define X(name, text, least) size_t name;
	WORLD_COUNTS(X)
#undef X
};

extern struct world_counts world_counts;

/* The name of one of the WORLD_ROWS rows. */
struct sw_view world_table(size_t row);
struct sw_view world_key(size_t row);

/* A cell that a merge commit wrote last: a row or a column of one. */
struct world_cell {
	size_t row;
	bool is_column;
	struct sw_buf name;
	struct sw_hash value;
};

/* What must stand after a delivery. */
struct world_late {
	bool is_open;     /* it may change anything: there are control or strict commits */
	uint8_t *applied; /* of each commit before, by its place */
	struct sw_hash *ids;
	size_t n;
	struct world_cell *cells;
	size_t n_cells;
};

/* Around a delivery to store i. */
void world_late_begin(struct world *w, size_t i, const struct sw_incoming *in, size_t n,
		      struct world_late *out);
void world_late_end(struct world *w, size_t i, struct world_late *late);

/* Add what a world's first store has in the end. */
void world_count(const struct world *w);

#endif
