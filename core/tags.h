/*
 * Tags: names for commits, which every peer sees. A tag is an operation like any other; the last one that names it counts.
 */
#ifndef SW_CORE_TAGS_H
#define SW_CORE_TAGS_H

#include "core/db.h"

/* The first tag whose name is greater than `name` (of all, if that is empty), which gets its name: 1 with its commit, or 0. */
int sw_tag_next(const struct sw_reader *r, struct sw_buf *name, struct sw_hash *commit) SW_MUST_CHECK;
/* SW_ENOTFOUND. The commit may be one that is not here. */
int sw_tag_get(const struct sw_reader *r, struct sw_view name, struct sw_hash *commit) SW_MUST_CHECK;

/*
 * Set a tag, or with the zero hash take it away, in a commit of its own; *id is zero when it is like that already. SW_EINVAL, with
 * a sentence: what cannot be the name of a tag, or means a commit already.
 */
int sw_tag_set(struct sw_db *db, struct sw_view name, const struct sw_hash *commit, struct sw_view message,
	       struct sw_hash *id) SW_MUST_CHECK;

#endif
