/*
 * A world of stores for random tests: each has an oracle that is told every commit that the store takes. Every
 * step ends with the comparison of the two; a difference prints both and fails the test.
 */
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include "tests/lib/dbs.h"
#include "tests/lib/oracle.h"

#define WORLD_DBS    5
#define WORLD_GHOSTS 3 /* writers without a store; their commits are made by hand */

struct world_version {
	size_t row; /* which of the possible rows */
	struct sw_hash hash;
	struct sw_buf bytes;
};

struct world {
	uint64_t seed;
	struct rng rng;
	struct test_db db[WORLD_DBS];
	struct oracle seen[WORLD_DBS];
	size_t n;
	struct sw_identity *ghosts[WORLD_GHOSTS];
	struct sw_hash salt;
	struct world_version *versions; /* every content that a row ever had */
	size_t n_versions;
	struct sw_changes changes; /* that the last step told its listener */
	bool governed; /* grants, revocations and floors happen in the middle; there are several admins */
	bool polite;   /* only what is in the line of one store goes to another */
	uint64_t rough;		   /* of one in so many commits made by hand, the columns are made up; 0: none */
};

/* Two to five stores of one database, all allowed to write, with clocks apart; from a seed. */
void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);

/* A random local commit in store i. */
void world_commit(struct world *w, size_t i);
/* The same, of grants, revocations or a floor; refused if store i is no admin's. */
void world_govern(struct world *w, size_t i);
/* A random commit of a ghost who had seen some of what store i has; store i takes it. */
void world_craft(struct world *w, size_t i);
/* Up to n commits that `to` lacks go there from `from`, in a random order that has parents first. */
void world_exchange(struct world *w, size_t from, size_t to, size_t n);
/* The database as of a random commit. */
void world_snapshot(struct world *w, size_t i);
/* As of each of its commits. */
void world_snapshots(struct world *w, size_t i);
/* Store i makes a milestone whenever so many rows (and as many as there are) were written, of so many commits ago. */
void world_milestones(struct world *w, size_t i, uint64_t n_rows, uint64_t n_commits_ago);
/* Any of this, somewhere. */
void world_step(struct world *w);
/* Everything goes everywhere; then all agree, and verify. */
void world_settle(struct world *w);
/* Compare store i with its oracle. */
void world_check(struct world *w, size_t i);
/* How often the interesting things happened, all worlds together. */
void world_print_counts(void);

#endif
