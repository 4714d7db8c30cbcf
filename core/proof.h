/*
 * Proofs: that a row has these bytes, or that there is no such row, in a state that a member has signed. A proof is checked
 * without a store.
 *
 *   proof  = "swarmfs proof 1\n" table:bytes key:bytes n:varint grant*n signed record:bytes* check:hash
 *   grant  = commit:bytes changeset:bytes                   1 to SW_PROOF_GRANTS_MAX; the first commit of the database first
 *   signed = 1:u8 commit:bytes | 2:u8 watermark:bytes
 *
 * The records are the nodes from the root of the signed state down to the table's entry, or to where it would be, and from the root of the
 * table down to where the row is, or would be: each whole, so that what stands beside it shows that nothing is between. Which they
 * are follows from the hashes above them, so their number is not told. The check is the SW_DOMAIN_PROOF hash of what stands before it.
 *
 * core/FORMAT.md, section 16, says what this proves, and what it does not.
 */
#ifndef SW_CORE_PROOF_H
#define SW_CORE_PROOF_H

#include "core/db.h"

#define SW_PROOF_GRANTS_MAX    64
#define SW_PROOF_CHANGESET_MAX ((size_t)16384) /* bytes of a changeset with a grant */
#define SW_PROOF_SIZE_MAX      ((size_t)2 << 20)

/* What a proof proves. Views borrow from its bytes. */
struct sw_proof {
	struct sw_hash database;
	struct sw_hash salt;   /* of the database: how it cuts large rows follows from it */
	struct sw_key creator; /* of the database */

	/* Who signed, and by which right: n_grants grants, each by whom the one before let in, the first by the creator. */
	struct sw_key author;
	enum sw_role role; /* that the last of them gives */
	size_t n_grants;

	/* What was signed. */
	bool is_watermark;
	uint64_t stamp;
	struct sw_hash commit; /* zero: it is a watermark */
	struct sw_view message; /* of the commit */
	uint64_t count;	     /* of the watermark: commits in the line */
	struct sw_hash line; /* of the watermark: the line's root */
	struct sw_hash state;

	/* What the state says. */
	struct sw_view table, key;
	bool has_table, has_row;
	struct sw_row row; /* if it is there; bytes are not there of a large one */
	struct sw_hash value; /* the row's value hash */
};

/*
 * A proof about a row as of a commit in the line, appended to out. The newest state is signed anew if nobody has signed it
 * and we may. SW_ENOTFOUND: nobody has signed the state as of that commit. SW_EFREED, SW_ELIMIT; each with a sentence. Any thread.
 */
int sw_proof_make(struct sw_db *db, const struct sw_order *at, struct sw_view table, struct sw_view key,
		  struct sw_buf *out) SW_MUST_CHECK;

/* Bytes from anybody: 0 and what they prove, or SW_EFORMAT, SW_ESIG, SW_ELIMIT, SW_EVERSION with a sentence, or SW_ENOMEM. Any thread. */
int sw_proof_check(struct sw_view bytes, struct sw_proof *out) SW_MUST_CHECK;

/* Whether some content is the row's: 1 it is, 0 it is not, or what read() failed with, or SW_ENOMEM. */
int sw_proof_has_content(const struct sw_proof *p, sw_read_fn read, void *arg) SW_MUST_CHECK;

/*
 * Where the value of a key is in a tree, or would be. next() is asked for one node after the other, from the root down; it gives bytes that
 * have this hash, and that live as long as the value is to. n_rows: what the tree has, or UINT64_MAX if that is not
 * known. 1 and the value, 0: there is none, SW_EFORMAT, or what next() fails with.
 */
typedef int (*sw_proof_next_fn)(void *arg, const struct sw_hash *hash, struct sw_view *bytes);
int sw_proof_walk(enum sw_purpose purpose, const struct sw_hash *root, uint64_t n_rows, struct sw_view key,
		  sw_proof_next_fn next, void *arg, struct sw_view *value) SW_MUST_CHECK;

/* Find the row of p->table and p->key in p->state that way; sets has_table, has_row, row and value. */
int sw_proof_find(struct sw_proof *p, sw_proof_next_fn next, void *arg) SW_MUST_CHECK;

#define SW_PROOF_MAGIC	      "swarmfs proof "
#define SW_PROOF_VERSION_LINE "1\n"
enum { SW_PROOF_COMMIT = 1, SW_PROOF_WATERMARK = 2 };

#endif
