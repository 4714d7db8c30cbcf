/*
 * A change of what stands at one or more names: all of it is in the journal, as one record, or nothing of it has happened. So what a
 * program is told has failed does not happen later, and no two records claim the same content.
 *
 *	struct sw_work_change c = {0};
 *	int rc = sw_work_change_add(w, &c, a);
 *	if (rc == 0)
 *		rc = sw_work_change_add(w, &c, b);
 *	if (rc == 0)
 *		...			what stands at a and b is changed
 *	rc = sw_work_change_end(w, &c, rc);
 *
 * The set's lock is held from the first to the last.
 */
#ifndef SW_CORE_WORK_CHANGE_H
#define SW_CORE_WORK_CHANGE_H

#include "core/work_internal.h"

/* What a name was before. */
struct sw_was {
	struct sw_name *name;
	struct sw_file *file; /* with a reference */
	struct sw_name *moved_from, *aside;
	bool had_edit;
	bool is_scratch;
	bool is_unrecorded;
	bool table_exists;
	uint16_t table_mode;
	int64_t table_mtime_ns;
};

struct sw_work_change {
	struct sw_was *list;
	size_t n, cap;
};

/* The name, which is in the change not yet, is about to change: it has an edit from now on. SW_EROFS. */
int sw_work_change_add(struct sw_work *w, struct sw_work_change *c, struct sw_name *n) SW_MUST_CHECK;
/* The same of a table's own name. What stands there is its base: attr, or NULL if nothing does. */
int sw_work_change_add_table(struct sw_work *w, struct sw_work_change *c, struct sw_view table, const struct sw_attr *attr,
			struct sw_name **out) SW_MUST_CHECK;
/* The name has no part in the record. */
void sw_work_change_leave_out(struct sw_work_change *c, const struct sw_name *n);
/*
 * rc: how it went until now; it is returned if it is a failure. What failed, here or before, is taken back: each name is as it was
 * when it was added, and those that are nothing any more are gone. Else an edit that comes to nothing is ended.
 */
int sw_work_change_end(struct sw_work *w, struct sw_work_change *c, int rc) SW_MUST_CHECK;

#endif
