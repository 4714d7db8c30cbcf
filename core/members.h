/*
 * Members: who may read, write and change members, by which grant (core/FORMAT.md, "Members").
 */
#ifndef SW_CORE_MEMBERS_H
#define SW_CORE_MEMBERS_H

#include "core/db.h"

#define SW_RANK_NONE UINT32_MAX /* of readers and writers: below all admins */

/* A key that the database lets in. */
struct sw_member {
	struct sw_key key;
	enum sw_role role;
	uint32_t rank; /* of an admin: its distance from the creator */
	/*
	 * Since when: the first in the order of commits of the grants that it may still rely on; of
	 * one who may write, of those that let it write. Whatever it commits has this commit, or a
	 * later one of them, in its causal past.
	 */
	struct sw_hash grant;
	struct sw_key granter; /* the author of that commit */
};

/*
 * All members of the reader's newest state, ascending by key; those with role >= SW_ROLE_WRITER may
 * write now. Free *out. Any thread. No reader of a snapshot.
 */
int sw_db_members(struct sw_db *db, const struct sw_reader *r, struct sw_member **out,
		  size_t *n) SW_MUST_CHECK;

/*
 * The commits with revocations of a key that count; n is 0 if it was never revoked. It is entitled to
 * them and all below. Free *out. Any thread.
 */
int sw_db_revocations(struct sw_db *db, const struct sw_reader *r, const struct sw_key *key, struct sw_hash **out,
		      size_t *n) SW_MUST_CHECK;

#endif
