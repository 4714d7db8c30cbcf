/*
 * Changesets: the operations of one commit.
 *
 *   changeset = mode:u8 n:varint op*n
 *   op        = GENESIS  salt:hash conflict:u8 mode:u16        the first commit only
 *             | MKTABLE  table:bytes mode:u16 mtime:u64
 *             | RMTABLE  table:bytes
 *             | CHMETA   table:bytes key:bytes mode:u16 mtime:u64   key empty: the table's own
 *             | PUT      table:bytes key:bytes old:hash mode:u16 mtime:u64 form:u8 content columns
 *             | DELETE   table:bytes key:bytes old:hash
 *             | CHECK    table:bytes key:bytes old:hash        strict only
 *             | RESOLVE  table:bytes key:bytes commit:hash     merge only
 *             | TAG      name:bytes commit:hash                zero hash: the tag is deleted
 *             | GRANT    key:32 role:u8                        control only
 *             | REVOKE   key:32 stand                          control only
 *             | FLOOR                                          control only
 *   content   = bytes (form 0), or size:varint root:hash (form 1, above SW_INLINE_MAX)
 *   columns   = 0:u8 | 1:u8 n:varint (name:bytes old:hash)*n   names strictly ascending
 *   stand     = 0:u8 | 1:u8 n:varint commit:hash*n             strictly ascending, at most 64
 *
 * Each op begins with its kind as a byte. Operations strictly ascend by (class, table or name or key, key,
 * commit), where the class is 0 for genesis, 1 for tables and rows, 2 for RESOLVE, 3 for TAG, 4 for REVOKE, 5 for GRANT, 6 for FLOOR. So
 * a table's own operation, with its empty key, comes before its rows, and a row has one operation.
 * `old` is the value hash of what the operation replaces, zero for absent. A kind that is unknown, or
 * does not fit the mode, makes the commit malformed.
 */
#ifndef SW_CORE_CHANGESET_H
#define SW_CORE_CHANGESET_H

#include "core/row.h"
#include "core/sign.h"

#define SW_RULE_VERSION	      1
#define SW_CHANGESET_SIZE_MAX ((size_t)12 << 20) /* bytes encoded; larger work goes in several commits */
#define SW_CHANGESET_OPS_MAX  1000000
#define SW_OP_SIZE_MAX	      ((size_t)96) /* of one on a row or table, beside its names, an inline row and columns */
#define SW_STAND_MAX	      64 /* commits that a REVOKE names */

enum sw_mode { SW_MODE_MERGE = 0, SW_MODE_STRICT = 1, SW_MODE_CONTROL = 2 };
enum sw_conflict_mode { SW_CONFLICT_MERGE = 0, SW_CONFLICT_DROP = 1 };
enum sw_role { SW_ROLE_READER = 1, SW_ROLE_WRITER = 2, SW_ROLE_ADMIN = 3 };

enum sw_op_kind {
	SW_OP_GENESIS = 1,
	SW_OP_MKTABLE = 2,
	SW_OP_RMTABLE = 3,
	SW_OP_CHMETA = 4,
	SW_OP_PUT = 5,
	SW_OP_DELETE = 6,
	SW_OP_CHECK = 7,
	SW_OP_RESOLVE = 8,
	SW_OP_TAG = 9,
	SW_OP_GRANT = 10,
	SW_OP_REVOKE = 11,
	SW_OP_FLOOR = 12,
};

/* A column that a PUT changed, and the column hash of what it replaced (zero: absent). */
struct sw_op_column {
	struct sw_view name;
	struct sw_hash old;
};

/* One operation. Views are borrowed: from the changeset's bytes when decoded. */
struct sw_op {
	enum sw_op_kind kind;
	struct sw_view table;	/* TAG: the name */
	struct sw_view key;	/* row; empty for a table */
	struct sw_hash old;	/* PUT DELETE CHECK */
	struct sw_row row;	/* PUT; mode and mtime also of MKTABLE CHMETA */
	bool has_columns;	/* PUT: the replaced and the written row have columns */
	size_t n_columns;
	struct sw_view columns; /* their encoding; walk it with sw_op_column_next() */
	struct sw_hash commit;	/* RESOLVE TAG */
	struct sw_key member;	/* GRANT REVOKE */
	enum sw_role role;	/* GRANT */
	bool names_stand;	/* REVOKE: the commits that stand are named; else all that its author had seen stand */
	struct sw_view stand;	/* REVOKE: their ids, ascending */
	struct sw_hash salt;	/* GENESIS */
	enum sw_conflict_mode conflict;
};

/* Walks op->columns; the cursor begins as sw_rd(op->columns). 1 a column, 0 the end. */
int sw_op_column_next(struct sw_rd *r, struct sw_op_column *out);
void sw_op_column_encode(const struct sw_op_column *c, struct sw_buf *out);

/* The value hash that a row operation leaves: the row's for PUT, zero for DELETE. */
void sw_op_new_hash(const struct sw_op *op, struct sw_hash *out);

/* The i-th of the commits that a REVOKE names, of op->stand.n / SW_HASH_SIZE. */
static inline void sw_op_stand(const struct sw_op *op, size_t i, struct sw_hash *out)
{
	memcpy(out->b, op->stand.p + i * SW_HASH_SIZE, SW_HASH_SIZE);
}

/* The order of operations in a changeset. */
int sw_op_cmp(const struct sw_op *a, const struct sw_op *b);

/* Encode operations that are in order; asserts that they are. offsets, when not NULL, gets n. */
void sw_changeset_encode(enum sw_mode mode, const struct sw_op *ops, size_t n, struct sw_buf *out,
			 uint32_t *offsets);

/* A walk over a changeset's operations. */
struct sw_changeset {
	enum sw_mode mode;
	size_t n;
	size_t i;
	struct sw_rd r;
	const uint8_t *begin;
	uint32_t offset;     /* of the operation last read, from begin */
	struct sw_op prev;   /* to check the order */
};

/* Begin; SW_EFORMAT. Then sw_changeset_next(): 1 an operation, 0 the end, SW_EFORMAT. */
int sw_changeset_begin(struct sw_changeset *c, struct sw_view bytes) SW_MUST_CHECK;
int sw_changeset_next(struct sw_changeset *c, struct sw_op *out) SW_MUST_CHECK;
/* Read the operation at an offset of a changeset that was checked before. */
int sw_changeset_at(struct sw_view bytes, uint32_t offset, enum sw_mode *mode,
		    struct sw_op *out) SW_MUST_CHECK;
/* Walk all of it: 0, or SW_EFORMAT with a sentence. *n_blobs counts rows that are blobs. */
int sw_changeset_check(struct sw_view bytes, size_t *n_blobs) SW_MUST_CHECK;

#endif
