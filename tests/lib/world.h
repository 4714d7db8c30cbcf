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

/*
 * What happens in worlds: X(name, text, how often in a hundred worlds of each kind at least, for it to be tested at all). Of commits
 * and operations, those that the first store has in the end.
 */
#define WORLD_COUNTS(X)                                                                                      \
	X(worlds, "worlds", 100)                                                                             \
	X(checks, "sets of commits compared", 1000)                                                          \
	X(batches, "batches delivered", 500)                                                                 \
	X(snapshots, "snapshots", 10)                                                                        \
	X(restarts, "restarts", 5)                                                                           \
	X(crashes, "of them after a crash", 2)                                                               \
	X(orders, "complete orders of arrival", 20)                                                          \
	X(late, "commits that arrived before others of the line", 100)                                       \
	X(late_cells, "cells of newer merge commits that none of them changed", 100)                         \
	X(commits, "commits", 500)                                                                           \
	X(crafted, "made by hand", 100)                                                                      \
	X(merge, "merge commits", 100)                                                                       \
	X(strict, "strict commits", 50)                                                                      \
	X(dropped, "dropped", 20)                                                                            \
	X(unclean, "applied with an unclean operation", 50)                                                  \
	X(merged, "with a row merged by column", 20)                                                         \
	X(refused, "strict commits refused where they were made", 1)                                         \
	X(puts, "writes of rows", 500)                                                                       \
	X(deletes, "deletions", 50)                                                                          \
	X(checked, "checks of rows only read", 5)                                                            \
	X(metas, "changes of mode and mtime", 20)                                                            \
	X(renames, "rows renamed", 10)                                                                       \
	X(table_renames, "tables renamed", 2)                                                                \
	X(made, "tables created", 20)                                                                        \
	X(removed, "tables dropped", 20)                                                                     \
	X(remade, "tables created again", 5)                                                                 \
	X(tags, "tags", 10)                                                                                  \
	X(resolutions, "resolutions", 10)                                                                    \
	X(records, "conflict records", 100)                                                                  \
	X(large, "large rows", 50)                                                                           \
	X(columns, "rows with columns", 200)                                                                 \
	X(to_json, "rows that came to have columns", 10)                                                     \
	X(from_json, "rows that had columns and have none", 10)                                              \
	X(odd, "objects that have no columns", 20)                                                            \
	X(grants, "grants, beside those in the beginning", 10)                                               \
	X(revocations, "revocations", 20)                                                                    \
	X(floors, "floors", 5)                                                                               \
	X(voids, "void", 20)                                                                                 \
	X(outs, "not in the line", 10)                                                                       \
	X(denied, "not allowed", 10)                                                                         \
	X(equal_stamps, "pairs of equal stamps", 20)                                                         \
	X(equivocations, "pairs of one author, neither below the other", 50)                                 \
	X(twins, "of them with one stamp", 2)

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
	size_t n_ghosts;
	struct sw_hash salt;
	struct world_version *versions; /* every content that a row ever had */
	size_t n_versions;
	struct sw_changes changes; /* that the last step told its listener */
	struct sw_order horizon[WORLD_DBS]; /* gc has freed what is before it; all zero: nothing */
	uint64_t floor; /* stamp: what is made by hand comes behind it */
	bool governed; /* grants, revocations and floors happen in the middle; there are several admins */
	size_t n_freed, n_interrupted; /* commits, and runs of gc */
	bool polite;   /* only what is in the line of one store goes to another */
	uint64_t rough;		   /* of one in so many commits made by hand, the columns are made up; 0: none */
};

/* Two to five stores of one database, all allowed to write, with clocks apart; from a seed. */
void world_init(struct world *w, uint64_t seed);
/* Of two stores, and with at most two more writers: many a history in little time. */
void world_init_small(struct world *w, uint64_t seed);
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
/*
 * When all agree: store i frees what no longer matters up to some place in the line, or fails on the way; nothing comes before that
 * place any more.
 */
void world_gc(struct world *w, size_t i);
/* Close store i, or let it crash, and open it again. */
void world_restart(struct world *w, size_t i);
/* The last few commits of the first store's order go to new stores, in every order that has parents first. There is room for one more store. */
void world_orders(struct world *w);
/* Any of this but the last, somewhere. */
void world_step(struct world *w);
/* Everything goes everywhere; then all agree, and verify. */
void world_settle(struct world *w);
/* Compare store i with its oracle. */
void world_check(struct world *w, size_t i);
/* How often what happened, all worlds together. */
void world_print_counts(void);
/* Each of it often enough, for so many worlds of each kind. */
void world_check_counts(size_t n_worlds);

#endif
