/*
 * Rows and tables as the leaves of the state hold them.
 *
 *   row    = form:u8 mode:u16 mtime:u64 content        form 0: content = the bytes
 *                                                      form 1: content = size:varint root-hash
 *   table  = mode:u16 mtime:u64 root-hash n_rows:varint
 *
 * Rows of at most SW_INLINE_MAX bytes sit in the leaf, larger ones are blobs (core/blob.h): the size
 * alone decides. A row's value hash covers its bytes only: SW_DOMAIN_VALUE of the bytes when inline, else
 * the blob's root. Mode and mtime are a cell of their own.
 */
#ifndef SW_CORE_ROW_H
#define SW_CORE_ROW_H

#include "core/hash.h"

#define SW_NAME_MAX	255	/* bytes of a row's or table's name */
#define SW_INLINE_MAX	1024	/* bytes of a row held in its leaf */
#define SW_MODE_MASK	0777	/* permission bits; suid, sgid and sticky are never stored */
#define SW_ROW_SIZE_MAX ((uint64_t)1 << 40)

struct sw_row {
	bool is_blob;
	uint16_t mode;
	int64_t mtime_ns; /* since 1970; may be negative */
	uint64_t size;
	struct sw_view bytes; /* when !is_blob; borrowed */
	struct sw_hash blob;  /* root, when is_blob; else zero */
};

struct sw_table {
	uint16_t mode;
	int64_t mtime_ns;
	struct sw_hash root; /* zero: no rows */
	uint64_t n_rows;
};

int sw_row_decode(struct sw_view value, struct sw_row *out) SW_MUST_CHECK;
void sw_row_encode(const struct sw_row *row, struct sw_buf *out);
void sw_row_hash(const struct sw_row *row, struct sw_hash *out);

int sw_table_decode(struct sw_view value, struct sw_table *out) SW_MUST_CHECK;
void sw_table_encode(const struct sw_table *t, struct sw_buf *out);

/*
 * Whether a name may be a row or table: 1 to 255 bytes, no NUL or '/', not "." or "..".
 * 0, SW_ETOOLONG or SW_EINVAL.
 */
int sw_name_check(struct sw_view name) SW_MUST_CHECK;

/*
 * Whether a mount has that name for itself beside tables: in the root, in a snapshot or in a working copy. The format allows
 * tables of such names, so those that peers made are there; none is made here, and none is shown where it would stand in the way.
 */
bool sw_name_is_control(struct sw_view name);
/* Whether a table of that name may be made here: as sw_name_check(), and SW_EPERM for a control name. */
int sw_table_name_check(struct sw_view name) SW_MUST_CHECK;

#endif
