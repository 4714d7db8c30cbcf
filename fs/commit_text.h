/* Commits as text and JSON: for `swarmfs show` and `log`, and the file .commit of a snapshot. */
#ifndef SW_FS_COMMIT_TEXT_H
#define SW_FS_COMMIT_TEXT_H

#include "core/db.h"

/* A commit in the line: what it says of itself, and what became of it. */
struct sw_commit_info {
	struct sw_order order;
	struct sw_commit commit; /* message borrows from the reader's transaction */
	struct sw_view changeset;
	enum sw_outcome outcome;
	enum sw_mode mode;
	size_t n_rows;	 /* operations on rows */
	size_t n_tables; /* operations on tables */
	bool is_freed;	 /* gc has freed its content: what it changed is not known any more */
	bool is_settled; /* whoever asks sets it, if it knows */
};

int sw_commit_info(const struct sw_reader *r, const struct sw_order *order,
		   struct sw_commit_info *out) SW_MUST_CHECK;

/* One "name  value" a line: id, name, time, author, outcome, ...; the message is last, its lines indented. */
int sw_commit_text(const struct sw_reader *r, const struct sw_order *order, struct sw_buf *out) SW_MUST_CHECK;

/* The same, and whether it is settled, as one JSON object on a line of its own. */
int sw_commit_json(const struct sw_commit_info *info, struct sw_buf *out) SW_MUST_CHECK;

/* As a line of `swarmfs log`: first digits of the id, time, author, outcome, "settled", rows, first line of the message. */
int sw_commit_line(const struct sw_commit_info *info, struct sw_buf *out) SW_MUST_CHECK;

/* Which commits are wanted: all, those that touch a table, or one row of it. */
struct sw_commit_filter {
	bool has_table, has_row;
	struct sw_view table, row; /* borrowed */
};

/* "TABLE" or "TABLE/ROW"; a table may have a slash behind it. */
void sw_commit_filter_parse(const char *text, struct sw_commit_filter *out);
int sw_commit_concerns(const struct sw_commit_info *info, const struct sw_commit_filter *filter,
		       bool *out) SW_MUST_CHECK;

/* The text's last part: nothing when there is no message. */
void sw_commit_put_message(struct sw_buf *out, struct sw_view message);

#endif
