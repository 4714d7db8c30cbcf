/*
 * Blobs: rows above SW_INLINE_MAX bytes, split by content into chunks, so that a change in the
 * middle of a large row stores and sends only what changed.
 *
 * Data is cut by a rolling Gear hash (Xia et al., FastCDC, 2016) under the database's salt: from
 * SW_CHUNK_MIN bytes on at the first place where the top SW_CHUNK_BITS bits of the hash are zero, at the latest after
 * SW_CHUNK_MAX. Each chunk is a data record. The list of chunks is cut into index records by core/cut.h,
 * with the child's hash as the key and a nominal size of 46 bytes an entry; lists of index records are
 * cut the same way, until one record is left: the root. A blob of one chunk is that chunk.
 */
#ifndef SW_CORE_BLOB_H
#define SW_CORE_BLOB_H

#include "core/cut.h"
#include "core/nodes.h"
#include "core/row.h"

#define SW_CHUNK_MIN	 4096
#define SW_CHUNK_BITS	 13 /* about 8 KiB beyond the minimum, so 12 KiB on average */
#define SW_CHUNK_MAX	 32768
#define SW_BLOB_LEVEL_MAX 8
#define SW_RECORD_SIZE_MAX (SW_CHUNK_MAX + 1) /* no record of any kind is larger */

/* Append-only writer of one blob. nodes NULL: its records are not kept, only the root is found. */
struct sw_blob_writer;

int sw_blob_writer_new(struct sw_nodes *nodes, const struct sw_shape *shape,
		       struct sw_blob_writer **out) SW_MUST_CHECK;
int sw_blob_writer_add(struct sw_blob_writer *w, struct sw_view bytes) SW_MUST_CHECK;
/* The root and size of all that was added; at least one byte. Frees nothing. */
int sw_blob_writer_finish(struct sw_blob_writer *w, struct sw_hash *root, uint64_t *size) SW_MUST_CHECK;
void sw_blob_writer_free(struct sw_blob_writer *w);

/*
 * Call back with up to n bytes from offset on, piece by piece where they lie, borrowed as from
 * sw_nodes_get(); fewer only at the end. Stops at the first non-zero answer and returns it.
 * SW_ECORRUPT: a record is missing, or not what its index says.
 */
typedef int (*sw_piece_fn)(void *arg, struct sw_view piece);
int sw_blob_walk(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t offset,
		 size_t n, sw_piece_fn fn, void *arg) SW_MUST_CHECK;
/* Copy up to n bytes from offset to out; *got is less than n only at the end. */
int sw_blob_read(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t offset, void *out,
		 size_t n, size_t *got) SW_MUST_CHECK;

/*
 * Walk a blob: call missing() for each record that is not there (it may be NULL), and check the size, the
 * encoding and, when shape is not NULL, every cut of what is there. *n_missing counts. SW_EFORMAT when
 * it is not what the writer would have made.
 */
int sw_blob_check(const struct sw_nodes *nodes, const struct sw_shape *shape, const struct sw_hash *root,
		  uint64_t size, sw_ref_fn missing, void *arg, uint64_t *n_missing) SW_MUST_CHECK;

/* Make the row of bytes: inline when small, else a blob in nodes. Sets size, bytes (borrowed) and blob. */
int sw_row_make(struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view bytes,
		struct sw_row *row) SW_MUST_CHECK;
/* All bytes of a row, appended to out. */
int sw_row_read(const struct sw_nodes *nodes, const struct sw_row *row, struct sw_buf *out) SW_MUST_CHECK;

#endif
