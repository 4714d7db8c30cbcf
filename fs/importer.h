/*
 * Writing many rows at once: batches of a bounded size, one commit each.
 *
 * Rows go around the working set, which is committed first, so that what is pending is not overwritten unseen. Bytes that
 * are there already make no operation, and tables and batches without any make no commit. A batch with a row that the schema of its
 * table refuses fails (SW_EINVAL, the sentence names it), and is not written.
 */
#ifndef SW_FS_IMPORTER_H
#define SW_FS_IMPORTER_H

#include <stdio.h>

#include "fs/import_parse.h"
#include "fs/owner.h"

#define SW_IMPORT_BATCH_ROWS  10000
#define SW_IMPORT_BATCH_BYTES ((size_t)8 << 20)

struct sw_importer;

/* message is borrowed. progress: a terminal, or NULL. */
int sw_importer_new(struct sw_owner *o, const char *message, FILE *progress,
		    struct sw_importer **out) SW_MUST_CHECK;
/* Rows that follow are of this table, which is made if it is missing. */
int sw_importer_table(struct sw_importer *im, struct sw_view table) SW_MUST_CHECK;
int sw_importer_row(struct sw_importer *im, struct sw_view key, struct sw_view bytes,
		    const struct sw_import_meta *meta) SW_MUST_CHECK;
/* Commit what is left. */
int sw_importer_finish(struct sw_importer *im) SW_MUST_CHECK;
/* "imported N rows into T (M unchanged)" for each table; only those that are committed count. */
void sw_importer_report(const struct sw_importer *im, FILE *out, bool is_done);
void sw_importer_free(struct sw_importer *im);

#endif
