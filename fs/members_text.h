/* Who is a member, as text: what `swarmfs members` and .swarm/members say. */
#ifndef SW_FS_MEMBERS_TEXT_H
#define SW_FS_MEMBERS_TEXT_H

#include "core/db.h"

/* Append a line for each: for people, or a JSON object. Any thread. */
int sw_members_put(struct sw_db *db, bool json, struct sw_buf *out) SW_MUST_CHECK;

#endif
