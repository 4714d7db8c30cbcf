/* Letting a key in, or changing what it may do: for `members` and `approve`. */
#ifndef SW_FS_GRANT_H
#define SW_FS_GRANT_H

#include "core/db.h"

/*
 * Sign a grant, behind a revocation if the key has a greater role, and see that it came out so. SW_EDENIED, with a sentence: the
 * key of this store is no admin's, or another admin has taken back more than it can give.
 */
int sw_grant_role(struct sw_db *db, const struct sw_key *key, enum sw_role role, bool lowers) SW_MUST_CHECK;

#endif
