/*
 * The oracle: a naive fold, written straight from core/FORMAT.md, to compare the real one with.
 *
 * It keeps every commit in a plain array, sorts, and folds from nothing each time. It builds its trees from
 * scratch, too, and hashes their nodes as it goes. It takes JSON texts apart and merges them in its own way, too. Of core it uses only the
 * encodings, the hashes, and the cutting of large rows (which have tests of their own).
 */
#ifndef TESTS_LIB_ORACLE_H
#define TESTS_LIB_ORACLE_H

#include "core/changeset.h"
#include "core/commit.h"

struct oracle_commit {
	struct sw_buf raw, changeset;
	struct sw_commit commit; /* the message is not kept */
	struct sw_order order;
	enum sw_mode mode;
	enum sw_outcome outcome; /* set by oracle_fold(); OUT: not in the line */
	bool was_unclean;	 /* set by oracle_fold(): applied, and some operation was not clean */
	bool was_merged;	 /* set by oracle_fold(): some row was merged column by column */
};

/* The bytes of a large row, by the root of its blob. */
struct oracle_content {
	struct sw_hash root;
	struct sw_buf bytes;
};

/* Who wrote a column since the row was last written as a whole. */
struct oracle_column {
	struct sw_view name;
	size_t commit;
	struct sw_hash row; /* that the commit wrote */
};

struct oracle_loser {
	size_t commit;
	bool is_column;
	struct sw_view name;
	struct sw_hash value;
	struct sw_hash row; /* that the commit wrote; matters for columns */
};

#define ORACLE_NOBODY SIZE_MAX

struct oracle_row {
	struct sw_view table, key;
	bool is_there;
	struct sw_hash hash; /* zero when it is not there */
	struct sw_buf bytes;
	uint16_t mode;
	int64_t mtime_ns;
	size_t whole, last; /* commits */
	struct sw_hash whole_row;
	struct oracle_column *columns;
	size_t n_columns;
	struct oracle_loser *losers;
	size_t n_losers;
};

struct oracle_table {
	struct sw_view name;
	uint16_t mode;
	int64_t mtime_ns;
	size_t mkdir, rmdir, put; /* one more than the last commit that did; 0: none */
	bool is_there;
};

/* A key and a value of a system table. */
struct oracle_entry {
	struct sw_buf key, value;
};

struct oracle_entries {
	struct oracle_entry *v;
	size_t n;
};

struct oracle_role {
	struct sw_key key;
	enum sw_role role;
};

/* Who may do what: of each commit, by its place in the order, and of each key. */
struct oracle_verdict {
	bool *valid, *stands, *in_line;
	struct oracle_role *roles; /* of the members */
	size_t n_roles;
};

struct oracle {
	struct sw_shape *shape; /* for the blobs of rows that come of a merge */
	struct sw_hash salt;
	struct oracle_commit *commits; /* in their order */
	size_t n;
	struct oracle_content *contents;
	size_t n_contents;
	/* What the last fold gave. Names borrow from the commits' changesets. */
	struct oracle_row *rows;
	size_t n_rows;
	struct oracle_table *tables;
	size_t n_tables;
	struct oracle_entries conflicts, members, resolved, tags;
};

void oracle_init(struct oracle *o, const struct sw_hash *salt);
void oracle_fini(struct oracle *o);

/* A commit; one that is here already is ignored. Forgets the last fold. */
void oracle_add(struct oracle *o, struct sw_view raw, struct sw_view changeset);
bool oracle_has(const struct oracle *o, const struct sw_hash *id);
/* The content of a large row: whoever makes one says so here. Gives its root. */
struct sw_hash oracle_learn(struct oracle *o, struct sw_view bytes);
const struct sw_buf *oracle_content(const struct oracle *o, const struct sw_hash *root);

/*
 * Judge the first n commits of the order, as if there were no more. line: which are in the line of them all, and so are looked at;
 * NULL while that is not known.
 */
void oracle_judge(const struct oracle *o, size_t n, const bool *line, struct oracle_verdict *out);
void oracle_verdict_fini(struct oracle_verdict *v);

/* Whether a commit is taken at all: its parents are here, and somebody let its author in. */
bool oracle_takes(const struct oracle *o, const struct sw_commit *c, enum sw_mode mode,
		  struct sw_view changeset);
/* The role of a key as of the last fold, 0 for none. */
int oracle_role_of(const struct oracle *o, const struct sw_key *key);

/* Fold the first n commits of the order; whether they are void is judged by all that there are. */
void oracle_fold(struct oracle *o, size_t n);

/* The roots that FORMAT.md gives to the last fold, and to the line of the first n commits. */
struct sw_hash oracle_state(struct oracle *o);
struct sw_hash oracle_line(struct oracle *o, size_t n);
/* How many of all commits are in the line. */
size_t oracle_count(const struct oracle *o);

/* After a fold: a row or NULL; whether a table is there; the records of a row. */
const struct oracle_row *oracle_row(const struct oracle *o, const char *table, const char *key);
const struct oracle_table *oracle_table(const struct oracle *o, const char *name);
size_t oracle_n_conflicts(const struct oracle *o, const char *table, const char *key);

/* What it holds, for people. */
void oracle_print(const struct oracle *o);

#endif
