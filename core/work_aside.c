/*
 * Rows that were renamed to a name of editors. Nothing says yet that they are gone: an editor writes the row anew within
 * moments, and what was put aside is its backup. But where nothing takes its place in the quiet time, somebody has renamed the row.
 */
#include "core/work_internal.h"

void sw_name_forget_aside(struct sw_name *n)
{
	if (n->aside)
		n->aside->moved_from = NULL;
	if (n->moved_from)
		n->moved_from->aside = NULL;
	n->aside = n->moved_from = NULL;
}

void sw_name_set_aside(struct sw_name *from, struct sw_name *n)
{
	from->aside = n;
	n->moved_from = from;
}

static int adopt(struct sw_work *w, struct sw_name *n)
{
	struct sw_name *both[2] = {n->moved_from, n};
	int rc = sw_name_be_row(w, n);

	if (rc < 0)
		return rc;
	rc = sw_name_journal_whole(w, both, 2);
	if (rc < 0) {
		sw_name_be_scratch(w, n);
		return rc;
	}
	sw_name_forget_aside(n);
	sw_name_join(w, both, 2);
	return 0;
}

int sw_work_adopt(struct sw_work *w, bool all)
{
	uint64_t now = sw_env_mono_ms(w->env);
	int rc = 0;

	if (w->n_scratch == 0)
		return 0;
	for (struct sw_name *n = w->first_edit; n; n = n->next_edit)
		if (n->moved_from && sw_name_is_ready(w, n->moved_from, now, all)) {
			int one = adopt(w, n);

			rc = rc < 0 ? rc : one;
		}
	return rc;
}

int sw_work_adopt_from(struct sw_work *w, struct sw_view table)
{
	int rc = 0;

	for (const struct sw_name *n = sw_name_edits_in(w, table); rc == 0 && n; n = n->next_sibling)
		if (n->aside)
			rc = adopt(w, n->aside);
	return rc;
}
