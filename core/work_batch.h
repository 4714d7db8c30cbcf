/* The edits of a working set that go into one commit. The set's lock is held. */
#ifndef SW_CORE_WORK_BATCH_H
#define SW_CORE_WORK_BATCH_H

#include "core/work_internal.h"

/* One edit on its way into a commit. */
struct sw_work_item {
	struct sw_name *name;
	size_t group; /* of those that a rename joined: the same number */
	uint64_t version;
	struct sw_version written; /* what the name's base becomes */
	struct sw_stage *stage;    /* of its content, if that is large */
	struct sw_buf content;
	struct sw_buf base_text;
};

struct sw_work_batch {
	struct sw_work_item *items;
	struct sw_write_op *ops;
	size_t n;
	size_t n_groups; /* names that a rename joined are one */
	size_t bytes;
};

/* Where writes that cross are dropped, each goes alone, so that one takes no other with it. */
bool sw_work_is_strict(const struct sw_work *w);
/* Into an empty batch: what is ready, or with `all` everything whole. Whatever it returns,
 * sw_work_batch_fini() frees. */
int sw_work_gather(struct sw_work *w, bool all, struct sw_work_batch *b) SW_MUST_CHECK;
/* The same for one edit, if it is whole, and what it waits for: of a table that is removed, the rows that were removed from it before. */
int sw_work_gather_alone(struct sw_work *w, struct sw_name *n, struct sw_work_batch *b) SW_MUST_CHECK;
/* There may be more than it has room for. */
bool sw_work_batch_is_full(const struct sw_work *w, const struct sw_work_batch *b);
/* It came to nothing: what a rename joined belongs together as before. Without memory for that each
 * goes its own way. */
void sw_work_batch_join(struct sw_work *w, const struct sw_work_batch *b);
/*
 * What was too large for one commit goes into several: false if it cannot be parted. Names that a
 * rename joined are parted only if they are too much by themselves.
 */
bool sw_work_batch_part(struct sw_work *w, const struct sw_work_batch *b);
/* It is to be tried again: what is staged need not be staged again. */
void sw_work_batch_put_back(const struct sw_work_batch *b);
/* Stages that were not spent are given up. */
void sw_work_batch_fini(struct sw_work *w, struct sw_work_batch *b);

#endif
