/*
 * Conflicts: values that somebody wrote and somebody else overwrote without having seen them.
 *
 * The state holds one record for each row and losing commit, and of it no more than a digest
 * (core/FORMAT.md, "The fold"). What was lost, and to whom, is found here in the history: *lost* is
 * what the losing commit wrote, *base* what that replaced, *won* the row as it is now.
 */
#ifndef SW_CORE_CONFLICTS_H
#define SW_CORE_CONFLICTS_H

#include "core/work.h"

/* A record: the row, and the commit that lost. A value: it borrows nothing. */
struct sw_conflict {
	uint8_t names[2 * SW_NAME_MAX]; /* the table's, then the row's */
	size_t table_n, key_n;
	struct sw_hash commit;
};

static inline struct sw_view sw_conflict_table(const struct sw_conflict *c)
{
	return sw_view(c->names, c->table_n);
}

static inline struct sw_view sw_conflict_key_of(const struct sw_conflict *c)
{
	return sw_view(c->names + c->table_n, c->key_n);
}

/* Names of at most SW_NAME_MAX bytes; commit NULL: zero. */
void sw_conflict_set(struct sw_conflict *c, struct sw_view table, struct sw_view key,
		     const struct sw_hash *commit);

/* The tree of a state's records, ordered by table, row and commit; zero when there are none. */
int sw_conflicts_root(const struct sw_nodes *nodes, const struct sw_hash *state,
		      struct sw_hash *root) SW_MUST_CHECK;
/* The first record with a key at or behind `from`, or the one with that many before it: 1, or 0
 * when there is none. */
int sw_conflicts_seek(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view from,
		      struct sw_conflict *out) SW_MUST_CHECK;
int sw_conflicts_seek_rank(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t rank,
			   struct sw_conflict *out) SW_MUST_CHECK;

/* Which records belong together: those of one table, those of one row, or one alone. */
enum sw_conflict_scope { SW_SCOPE_TABLE, SW_SCOPE_ROW, SW_SCOPE_RECORD };

bool sw_conflict_is_in(const struct sw_conflict *c, const struct sw_conflict *of,
		       enum sw_conflict_scope scope);
/* The place, for sw_conflicts_seek(), before or behind all that belong together with c; in place of
 * what key holds. */
void sw_conflict_before(const struct sw_conflict *c, enum sw_conflict_scope scope,
			struct sw_buf *key);
void sw_conflict_behind(const struct sw_conflict *c, enum sw_conflict_scope scope,
			struct sw_buf *key);

/* Whether a record is there: 0 or SW_ENOTFOUND. */
int sw_conflict_check(const struct sw_nodes *nodes, const struct sw_hash *root,
		      const struct sw_conflict *c) SW_MUST_CHECK;
/*
 * The record of a row whose commit's id begins with these hexadecimal digits; none: the only one.
 * SW_ENOTFOUND, or SW_EINVAL for several, with a sentence.
 */
int sw_conflict_find(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view table,
		     struct sw_view key, struct sw_view digits,
		     struct sw_conflict *out) SW_MUST_CHECK;

/* What concerns a record. */
struct sw_conflict_info {
	struct sw_order order;
	struct sw_commit commit; /* that lost; its message borrows from the transaction */
	enum sw_outcome outcome;
	enum sw_mode mode;
	bool is_whole;           /* the whole row was lost; else only: */
	struct sw_view *columns; /* ascending */
	size_t n_columns;
	struct sw_buf names;
};

void sw_conflict_info_fini(struct sw_conflict_info *info);
/* In the newest state of r. Folds the row's whole history. */
int sw_conflict_info(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_conflict_info *out) SW_MUST_CHECK;

enum sw_conflict_side { SW_SIDE_BASE, SW_SIDE_WON, SW_SIDE_LOST };
enum sw_side_state {
	SW_SIDE_ABSENT, /* no row: what was replaced, written or is now is a deletion */
	SW_SIDE_THERE,
	SW_SIDE_UNKNOWN, /* the losing commit names a base that is nowhere in the history */
};

/* One of the three versions of the row. */
struct sw_side {
	enum sw_side_state state;
	struct sw_hash hash; /* of the value; zero: absent */
	struct sw_row row;   /* THERE: row.blob is read through the reader's records; else row.bytes
				are `bytes`, however many */
	struct sw_buf bytes;
};

void sw_side_fini(struct sw_side *s);
/* SW_ENOTFOUND when the commit did not write the row. The records of a large won row live while the
 * state is pinned, others always. */
int sw_conflict_side(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     enum sw_conflict_side which, struct sw_side *out) SW_MUST_CHECK;
/* At most n bytes from offset; *got is less only at the end. */
int sw_side_read(const struct sw_nodes *nodes, const struct sw_side *s, uint64_t offset, void *out,
		 size_t n, size_t *got) SW_MUST_CHECK;

/*
 * Resolve records: a commit that every peer sees, after which they are not shown again, whatever
 * arrives. *id is the commit's. SW_ENOTFOUND, with a sentence, when one is not there (any more).
 */
int sw_conflict_discard(struct sw_db *db, const struct sw_conflict *records, size_t n,
			struct sw_view message, struct sw_hash *id) SW_MUST_CHECK;
/*
 * The same for one, and in the same commit what was lost is written again on the row as it is now:
 * the columns, if the record concerns columns and the row still has some, else the row, or its
 * deletion. What the working set (may be NULL) holds is committed before. SW_EBUSY, with a
 * sentence, while a program is writing the row; SW_EINVAL when the schema of its table refuses it.
 */
int sw_conflict_reapply(struct sw_db *db, struct sw_work *work, const struct sw_conflict *c,
			struct sw_view message, struct sw_hash *id) SW_MUST_CHECK;

#endif
