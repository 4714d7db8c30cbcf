/*
 * The rows of a snapshot, one table at a time, in the order of their names.
 *
 * For work that may take long or wait for a reader: rows are copied out of the store in small batches, each in a transaction of its own,
 * and none is open between two calls. Large rows are read piece by piece. The snapshot keeps its records, so all that is seen is
 * of one moment. A scan belongs to one thread at a time.
 */
#ifndef SW_FS_SCAN_H
#define SW_FS_SCAN_H

#include "core/db.h"

/* The tables of a snapshot, by name. */
struct sw_scan_tables {
	struct sw_scan_table {
		struct sw_view name;
		struct sw_table table;
	} * v;
	size_t n;
	struct sw_buf names;
};

int sw_scan_tables_load(struct sw_snap *snap, struct sw_scan_tables *out) SW_MUST_CHECK;
void sw_scan_tables_fini(struct sw_scan_tables *t); /* zero-initialised is fine */
/* The one of that name, or NULL. */
const struct sw_scan_table *sw_scan_tables_find(const struct sw_scan_tables *t, struct sw_view name);

struct sw_scan;

struct sw_scan_row {
	struct sw_view key;
	struct sw_row row;
	uint64_t rank; /* how many stand before it in the table */
};

/* The rows below that root, from the first on. The snapshot must outlive the scan. */
int sw_scan_new(struct sw_snap *snap, const struct sw_hash *root, struct sw_scan **out) SW_MUST_CHECK;
void sw_scan_free(struct sw_scan *s); /* NULL is fine */
/* Go on with the first row that is not before key; an empty one: with the first of all. */
int sw_scan_seek(struct sw_scan *s, struct sw_view key) SW_MUST_CHECK;
/* 1 and a row, borrowed until the next call of this or of a seek; 0: there are no more. */
int sw_scan_next(struct sw_scan *s, const struct sw_scan_row **out) SW_MUST_CHECK;
/* Append up to n bytes of a row from an offset on; none only at the end. */
int sw_scan_read(struct sw_scan *s, const struct sw_row *row, uint64_t offset, size_t n, struct sw_buf *out) SW_MUST_CHECK;

#endif
