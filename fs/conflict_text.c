#include "fs/conflict_text.h"

#include "core/columns.h"
#include "core/hlc.h"
#include "fs/commit_name.h"
#include "fs/commit_text.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define VALUE_SHOWN 200 /* bytes of a column's value in the text form */

static const char *const side_names[] = {
    [SW_SIDE_BASE] = "base", [SW_SIDE_WON] = "won", [SW_SIDE_LOST] = "lost"};

/* Everything about one record. */
struct view {
	struct sw_conflict_info info;
	struct sw_side side[3];
	struct sw_buf text[3]; /* where there may be columns */
	struct sw_columns columns[3];
};

static void view_fini(struct view *v)
{
	for (int i = 0; i < 3; i++) {
		sw_columns_fini(&v->columns[i]);
		sw_buf_fini(&v->text[i]);
		sw_side_fini(&v->side[i]);
	}
	sw_conflict_info_fini(&v->info);
}

static int load_side(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     enum sw_conflict_side i, struct view *v)
{
	struct sw_view key = sw_conflict_key_of(c);
	const struct sw_row *row = &v->side[i].row;
	int rc = sw_conflict_side(db, r, c, i, &v->side[i]);

	if (rc < 0 || v->info.n_columns == 0 || v->side[i].state != SW_SIDE_THERE ||
	    !sw_columns_possible(key, (size_t)row->size))
		return rc;
	rc = sw_row_read(r->nodes, row, &v->text[i]);
	if (rc == 0)
		rc = sw_columns_parse(key, sw_buf_view(&v->text[i]), &v->columns[i]);
	return rc < 0 ? rc : 0;
}

static int load(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		struct view *v)
{
	int rc = sw_conflict_info(db, r, c, &v->info);

	for (int i = 0; rc == 0 && i < 3; i++)
		rc = load_side(db, r, c, (enum sw_conflict_side)i, v);
	return rc;
}

static const char *what_was_lost(const struct view *v)
{
	if (v->side[SW_SIDE_LOST].state == SW_SIDE_ABSENT)
		return "deletion";
	if (v->info.is_whole)
		return "row";
	return v->info.n_columns == 1 ? "column" : "columns";
}

static void put_name(struct sw_buf *out, const char *label, struct sw_view name)
{
	sw_buf_printf(out, "%-10s ", label);
	sw_text_put_name(out, name);
	sw_buf_printf(out, "\n");
}

static void put_column(struct sw_buf *out, const struct view *v, struct sw_view name)
{
	static const enum sw_conflict_side order[] = {SW_SIDE_LOST, SW_SIDE_BASE, SW_SIDE_WON};
	static const char *const before[] = {" ", "; base ", ", won "};

	sw_buf_printf(out, "column     ");
	sw_text_put(out, name, SW_COLUMNS_NAME_MAX);
	for (int i = 0; i < 3; i++) {
		const struct sw_column *c = sw_columns_find(&v->columns[order[i]], name);

		sw_buf_printf(out, "%s", before[i]);
		if (c)
			sw_text_put(out, c->value, VALUE_SHOWN);
		else
			sw_buf_printf(out, "absent");
	}
	sw_buf_printf(out, "\n");
}

static void put_side(struct sw_buf *out, const char *label, const struct sw_side *s)
{
	if (s->state == SW_SIDE_THERE)
		sw_buf_printf(out, "%-10s %llu bytes\n", label, (unsigned long long)s->row.size);
	else
		sw_buf_printf(out, "%-10s %s\n", label,
			      s->state == SW_SIDE_ABSENT ? "absent" : "unknown");
}

int sw_conflict_text(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_buf *out)
{
	char name[SW_COMMIT_NAME_SIZE], time[SW_TEXT_TIME_SIZE], id[SW_HASH_HEX_SIZE],
	    author[SW_HASH_HEX_SIZE];
	struct view v = {0};
	int rc = load(db, r, c, &v);

	if (rc < 0) {
		view_fini(&v);
		return rc;
	}
	sw_commit_name(&v.info.order, name);
	sw_text_time(sw_hlc_ms(v.info.commit.stamp), time);
	sw_hex(c->commit.b, SW_HASH_SIZE, id);
	sw_hex(v.info.commit.author.b, SW_KEY_SIZE, author);
	put_name(out, "table", sw_conflict_table(c));
	put_name(out, "row", sw_conflict_key_of(c));
	sw_buf_printf(out, "commit     %s\nname       %s\ntime       %s\nauthor     %s\n", id, name,
		      time, author);
	sw_buf_printf(out, "outcome    %s\nmode       %s\nwhat       %s\n",
		      sw_outcome_name(v.info.outcome), sw_text_mode(v.info.mode),
		      what_was_lost(&v));
	for (size_t i = 0; i < v.info.n_columns; i++)
		put_column(out, &v, v.info.columns[i]);
	for (int i = 0; i < 3; i++)
		put_side(out, side_names[i], &v.side[i]);
	sw_commit_put_message(out, v.info.commit.message);
	view_fini(&v);
	return out->rc;
}

/* The beginning that all forms in JSON have in common: an open object. */
static int begin_json(const struct sw_conflict *c, const struct sw_commit *commit,
		      enum sw_outcome outcome, struct sw_buf *out)
{
	char name[SW_COMMIT_NAME_SIZE], time[SW_TEXT_TIME_SIZE], id[SW_HASH_HEX_SIZE],
	    author[SW_HASH_HEX_SIZE];
	struct sw_order order;
	int rc;

	sw_order_make(commit->stamp, &commit->author, &commit->id, &order);
	sw_commit_name(&order, name);
	sw_text_time(sw_hlc_ms(commit->stamp), time);
	sw_hex(c->commit.b, SW_HASH_SIZE, id);
	sw_hex(commit->author.b, SW_KEY_SIZE, author);
	sw_buf_printf(out, "{\"table\": ");
	rc = sw_json_put_name(out, sw_conflict_table(c));
	sw_buf_printf(out, ", \"row\": ");
	if (rc == 0)
		rc = sw_json_put_name(out, sw_conflict_key_of(c));
	sw_buf_printf(out,
		      ", \"commit\": \"%s\", \"name\": \"%s\", \"time\": \"%s\", \"author\": "
		      "\"%s\", \"outcome\": \"%s\"",
		      id, name, time, author, sw_outcome_name(outcome));
	return rc;
}

static int put_column_json(struct sw_buf *out, const struct view *v, struct sw_view name)
{
	const char *separator = "";
	int rc = sw_json_put_text(out, name);

	sw_buf_printf(out, ": {");
	for (int i = 0; i < 3; i++) {
		const struct sw_column *c = sw_columns_find(&v->columns[i], name);

		if (!c)
			continue;
		sw_buf_printf(out, "%s\"%s\": ", separator, side_names[i]);
		sw_json_put_value(out, c->value);
		separator = ", ";
	}
	sw_buf_printf(out, "}");
	return rc;
}

static void put_side_json(struct sw_buf *out, const char *label, const struct sw_side *s)
{
	static const char *const states[] = {"absent", "there", "unknown"};
	char hash[SW_HASH_HEX_SIZE];

	sw_hex(s->hash.b, SW_HASH_SIZE, hash);
	sw_buf_printf(out, ", \"%s\": {\"state\": \"%s\"", label, states[s->state]);
	if (s->state != SW_SIDE_ABSENT)
		sw_buf_printf(out, ", \"hash\": \"%s\"", hash);
	if (s->state == SW_SIDE_THERE)
		sw_buf_printf(out, ", \"size\": %llu", (unsigned long long)s->row.size);
	sw_buf_printf(out, "}");
}

int sw_conflict_json(const struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		     struct sw_buf *out)
{
	struct view v = {0};
	int rc = load(db, r, c, &v);

	if (rc == 0)
		rc = begin_json(c, &v.info.commit, v.info.outcome, out);
	if (rc == 0) {
		sw_buf_printf(out, ", \"mode\": \"%s\", \"message\": ", sw_text_mode(v.info.mode));
		rc = sw_json_put_text(out, v.info.commit.message);
	}
	sw_buf_printf(out, ", \"what\": \"%s\", \"columns\": {", rc == 0 ? what_was_lost(&v) : "");
	for (size_t i = 0; rc == 0 && i < v.info.n_columns; i++) {
		sw_buf_printf(out, "%s", i > 0 ? ", " : "");
		rc = put_column_json(out, &v, v.info.columns[i]);
	}
	sw_buf_printf(out, "}");
	for (int i = 0; i < 3; i++)
		put_side_json(out, side_names[i], &v.side[i]);
	sw_buf_printf(out, "}\n");
	view_fini(&v);
	return rc < 0 ? rc : out->rc;
}

static int look_up(const struct sw_reader *r, const struct sw_conflict *c, struct sw_commit *commit,
		   enum sw_outcome *outcome)
{
	struct sw_order order;
	struct sw_view raw;
	int rc = sw_db_get_commit(r, &c->commit, commit, &raw, NULL);

	if (rc < 0)
		return rc;
	sw_order_make(commit->stamp, &commit->author, &commit->id, &order);
	return sw_db_outcome(r, &order, outcome);
}

int sw_conflict_line(const struct sw_reader *r, const struct sw_conflict *c, struct sw_buf *out)
{
	char time[SW_TEXT_TIME_SIZE], id[SW_HASH_HEX_SIZE], author[SW_HASH_HEX_SIZE];
	struct sw_commit commit;
	enum sw_outcome outcome;
	int rc = look_up(r, c, &commit, &outcome);

	if (rc < 0)
		return rc;
	sw_text_time(sw_hlc_ms(commit.stamp), time);
	sw_hex(c->commit.b, SW_HASH_SIZE, id);
	sw_hex(commit.author.b, SW_KEY_SIZE, author);
	sw_text_put_path(out, sw_conflict_table(c), sw_conflict_key_of(c));
	sw_buf_printf(out, "/%.*s  %s  %.8s  %s\n", SW_COMMIT_ID_DIGITS, id, time, author,
		      sw_outcome_name(outcome));
	return out->rc;
}

int sw_conflict_line_json(const struct sw_reader *r, const struct sw_conflict *c,
			  struct sw_buf *out)
{
	struct sw_commit commit;
	enum sw_outcome outcome;
	int rc = look_up(r, c, &commit, &outcome);

	if (rc == 0)
		rc = begin_json(c, &commit, outcome, out);
	sw_buf_printf(out, "}\n");
	return rc < 0 ? rc : out->rc;
}

int sw_conflict_message(const char *what, const struct sw_conflict *c, struct sw_buf *out)
{
	char id[SW_HASH_HEX_SIZE];

	sw_hex(c->commit.b, SW_COMMIT_ID_DIGITS / 2, id);
	sw_buf_printf(out, "%s the conflict of ", what);
	sw_buf_put_view(out, sw_conflict_table(c));
	sw_buf_printf(out, "/");
	sw_buf_put_view(out, sw_conflict_key_of(c));
	sw_buf_printf(out, " with %s", id);
	return out->rc;
}
