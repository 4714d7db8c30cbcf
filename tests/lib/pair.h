/* Two stores of one database, and commits made by hand, by writers that have no store. */
#ifndef TESTS_LIB_PAIR_H
#define TESTS_LIB_PAIR_H

#include "core/conflicts.h"
#include "tests/lib/dbs.h"

/* A stamp, so many milliseconds after the time at which test_env_init() begins. */
#define MS(n) (((uint64_t)1790000000000 + (n)) << 16)

/* Two stores that both may write, the creator's in a; and writers without one. */
struct pair {
	struct test_db a, b;
	struct sw_identity *authors[5];
	struct sw_hash grant; /* the last of the grants: a parent for commits by hand */
	struct sw_hash diverged_at;
	struct sw_key diverged_author;
	size_t n_diverged; /* alarms in a */
};

void pair_open(struct pair *p);
void pair_close(struct pair *p); /* verifies both */
void pair_sync(struct pair *p);  /* what one has the other gets; then their heads are equal */
bool pair_same_head(struct pair *p);

/* A row is this text; NULL: there is none. */
void test_assert_text(struct test_db *t, const char *table, const char *key, const char *want);
enum sw_outcome test_outcome(struct test_db *t, const struct sw_hash *id);
/* A whole-row PUT (or DELETE, when new is NULL) of t/KEY. */
struct sw_op test_row_op(const char *key, const char *old, const char *new);

/* A commit made by hand. */
struct made {
	struct sw_buf raw, changeset;
	struct sw_hash id;
};

void made_fini(struct made *m);
/* By author i, after one parent, with these operations; or with the changeset that is in m already.
 */
void pair_make(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
	       enum sw_mode mode, const struct sw_op *ops, size_t n, struct made *m);
void pair_seal(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
	       struct made *m);
void pair_seal_by(struct pair *p, const struct sw_identity *author, uint64_t stamp,
		  const struct sw_hash *parent, struct made *m);
/* What a store answers to it. */
struct sw_incoming test_give(struct test_db *t, const struct made *m);
/* Make it and give it to `a`, who must take it. */
struct sw_hash pair_add(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
			enum sw_mode mode, struct sw_op op);

/* The creator signs operations of a control commit. */
struct sw_hash pair_govern(struct pair *p, const struct sw_op *ops, size_t n);
struct sw_op pair_grant_op(const struct pair *p, size_t i, enum sw_role role);
struct sw_op pair_revoke_op(const struct pair *p, size_t i);

/* All bytes of a side, in pieces of an odd size. */
void test_read_side(const struct sw_reader *r, const struct sw_side *s, struct sw_buf *out);

#endif
