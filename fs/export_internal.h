/* What the writers of the export formats share. */
#ifndef SW_FS_EXPORT_INTERNAL_H
#define SW_FS_EXPORT_INTERNAL_H

#include "core/columns.h"
#include "fs/export.h"

/*
 * What import would call the rows again. It takes the names from a column, or numbers the rows: as long as one or the other fits all rows
 * so far it is kept.
 */
#define SW_EXPORT_KEYS_MAX 8
struct sw_export_names {
	uint64_t n_rows;
	bool has_id;	 /* the first row has a column "id", which import would take */
	bool is_numbered;
	struct sw_buf keys[SW_EXPORT_KEYS_MAX]; /* names of columns, as written between the quotes */
	size_t n_keys;
};

/* One export of a table that import could read. */
struct sw_export_rows {
	struct sw_export *x;
	struct sw_view table;
	struct sw_scan *scan;
	bool is_array; /* they are to be the elements of one */
	struct sw_buf array; /* of one row, to see whether it can be */
	bool has_columns; /* each must have columns; those of the row are in: */
	struct sw_columns columns;
	struct sw_export_names names;
	struct sw_buf bytes; /* of a row that is not in its leaf */
	uint64_t n_rows;
	uint64_t n_skipped, n_changed;
	bool has_schema; /* which is no row of these formats */
};

/* The next row that is a JSON object: 1 and its name and bytes, borrowed until the next call, as its columns; 0: no more. */
int sw_export_next(struct sw_export_rows *rows, struct sw_view *key, struct sw_view *bytes) SW_MUST_CHECK;
/* Begin with the first row again. */
int sw_export_rewind(struct sw_export_rows *rows) SW_MUST_CHECK;
/* Look at the row's name, and whether its bytes are those that import would make. */
int sw_export_compare(struct sw_export_rows *rows, struct sw_view key, struct sw_view bytes, bool is_same) SW_MUST_CHECK;
/* The object in the bytes of a row, without the whitespace around it. */
struct sw_view sw_export_object(struct sw_view bytes);

/* The table of that name. SW_ENOTFOUND, with a sentence. */
int sw_export_find(const struct sw_scan_tables *tables, struct sw_view name, const struct sw_scan_table **out) SW_MUST_CHECK;

int sw_export_csv(struct sw_export_rows *rows) SW_MUST_CHECK;

#endif
