#include "fs/commit_text.h"

#include <stdlib.h>

#include "core/gc.h"
#include "core/hlc.h"
#include "fs/commit_name.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define MESSAGE_SHOWN 60 /* bytes of a message in a line */

static int count_ops(struct sw_commit_info *info)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, info->changeset);

	if (rc < 0)
		return rc;
	info->mode = c.mode;
	while ((rc = sw_changeset_next(&c, &op)) > 0) {
		bool is_row = op.key.n > 0 && (op.kind == SW_OP_PUT || op.kind == SW_OP_DELETE ||
					       op.kind == SW_OP_CHMETA);

		info->n_rows += is_row;
		info->n_tables += op.kind == SW_OP_MKTABLE || op.kind == SW_OP_RMTABLE ||
				  (op.kind == SW_OP_CHMETA && op.key.n == 0);
	}
	return rc;
}

int sw_commit_info(const struct sw_reader *r, const struct sw_order *order, struct sw_commit_info *out)
{
	struct sw_hash id;
	struct sw_view raw;
	int rc;

	*out = (struct sw_commit_info){.order = *order};
	sw_order_id(order, &id);
	rc = sw_db_get_commit(r, &id, &out->commit, &raw, &out->changeset);
	if (rc == 0)
		rc = sw_db_is_freed(r, &id, &out->is_freed);
	if (rc == 0)
		rc = sw_db_outcome(r, order, &out->outcome);
	return rc < 0 ? rc : count_ops(out);
}

static void put_hash(struct sw_buf *out, const char *name, const uint8_t *p, size_t n)
{
	char hex[2 * SW_SIG_SIZE + 1];

	sw_hex(p, n, hex);
	sw_buf_printf(out, "%-10s %s\n", name, hex);
}

void sw_commit_put_message(struct sw_buf *out, struct sw_view message)
{
	const uint8_t *p = message.p, *end = message.n ? message.p + message.n : p;

	if (message.n > 0)
		sw_buf_printf(out, "message\n");
	while (p < end) {
		const uint8_t *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);

		sw_buf_printf(out, "    ");
		sw_text_put(out, sw_view(p, n), SIZE_MAX);
		sw_buf_printf(out, "\n");
		p += n + 1;
	}
}

int sw_commit_text(const struct sw_reader *r, const struct sw_order *order, struct sw_buf *out)
{
	char name[SW_COMMIT_NAME_SIZE], time[SW_TEXT_TIME_SIZE];
	struct sw_commit_info info;
	int rc = sw_commit_info(r, order, &info);
	const struct sw_commit *c = &info.commit;

	if (rc < 0)
		return rc;
	sw_commit_name(order, name);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	put_hash(out, "id", c->id.b, SW_HASH_SIZE);
	sw_buf_printf(out, "%-10s %s\n", "name", name);
	sw_buf_printf(out, "%-10s %s\n", "time", time);
	put_hash(out, "author", c->author.b, SW_KEY_SIZE);
	sw_buf_printf(out, "%-10s %s\n", "outcome", sw_outcome_name(info.outcome));
	sw_buf_printf(out, "%-10s %s\n", "mode", sw_text_mode(info.mode));
	if (info.is_freed)
		sw_buf_printf(out, "%-10s %s\n", "content", "freed by gc; a peer that keeps all history still has it");
	else
		sw_buf_printf(out, "%-10s %zu\n", "rows", info.n_rows);
	for (size_t i = 0; i < c->n_parents; i++)
		put_hash(out, "parent", c->parents[i].b, SW_HASH_SIZE);
	put_hash(out, "database", sw_hash_is_zero(&c->database) ? c->id.b : c->database.b, SW_HASH_SIZE);
	sw_buf_printf(out, "%-10s %llu\n", "rule", (unsigned long long)c->rule);
	put_hash(out, "state", c->state.b, SW_HASH_SIZE);
	put_hash(out, "changeset", c->changeset.b, SW_HASH_SIZE);
	put_hash(out, "signature", c->sig.b, SW_SIG_SIZE);
	sw_commit_put_message(out, c->message);
	return out->rc;
}

/* How much it changed is not known of one whose content was freed. */
static json_t *count_json(const struct sw_commit_info *info, size_t n)
{
	return info->is_freed ? json_null() : json_integer((json_int_t)n);
}

int sw_commit_json(const struct sw_commit_info *info, struct sw_buf *out)
{
	const struct sw_commit *c = &info->commit;
	const struct sw_hash *database = sw_hash_is_zero(&c->database) ? &c->id : &c->database;
	char name[SW_COMMIT_NAME_SIZE], time[SW_TEXT_TIME_SIZE], *text;
	json_t *parents = json_array(), *o;

	sw_commit_name(&info->order, name);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	for (size_t i = 0; i < c->n_parents; i++)
		json_array_append_new(parents, sw_json_hex(c->parents[i].b, SW_HASH_SIZE));
	o = json_pack("{s:o, s:s, s:s, s:o, s:s, s:b, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "id",
		      sw_json_hex(c->id.b, SW_HASH_SIZE), "name", name, "time", time, "author",
		      sw_json_hex(c->author.b, SW_KEY_SIZE), "outcome", sw_outcome_name(info->outcome), "settled", info->is_settled, "freed",
		      info->is_freed, "mode",
		      sw_text_mode(info->mode), "message", sw_json_text(c->message), "rows",
		      count_json(info, info->n_rows), "tables", count_json(info, info->n_tables), "parents", parents, "database",
		      sw_json_hex(database->b, SW_HASH_SIZE), "rule", (json_int_t)c->rule, "state",
		      sw_json_hex(c->state.b, SW_HASH_SIZE), "changeset", sw_json_hex(c->changeset.b, SW_HASH_SIZE),
		      "signature", sw_json_hex(c->sig.b, SW_SIG_SIZE));
	text = o ? json_dumps(o, JSON_PRESERVE_ORDER) : NULL;
	json_decref(o);
	if (!text)
		return SW_ENOMEM;
	sw_buf_printf(out, "%s\n", text);
	free(text);
	return out->rc;
}

int sw_commit_line(const struct sw_commit_info *info, struct sw_buf *out)
{
	const struct sw_commit *c = &info->commit;
	char id[SW_HASH_HEX_SIZE], author[2 * SW_KEY_SIZE + 1], time[SW_TEXT_TIME_SIZE];
	const uint8_t *eol = c->message.n ? memchr(c->message.p, '\n', c->message.n) : NULL;

	sw_hex(c->id.b, SW_HASH_SIZE, id);
	sw_hex(c->author.b, SW_KEY_SIZE, author);
	sw_text_time(sw_hlc_ms(c->stamp), time);
	sw_buf_printf(out, "%.12s  %s  %.8s  %-7s  %-7s  ", id, time, author, sw_outcome_name(info->outcome),
		      info->is_settled ? "settled" : "");
	if (info->is_freed)
		sw_buf_printf(out, "%11s", "freed");
	else
		sw_buf_printf(out, "%6zu row%s", info->n_rows, info->n_rows == 1 ? " " : "s");
	if (c->message.n > 0) {
		sw_buf_printf(out, "  ");
		sw_text_put(out, sw_view(c->message.p, eol ? (size_t)(eol - c->message.p) : c->message.n),
			    MESSAGE_SHOWN);
	}
	sw_buf_printf(out, "\n");
	return out->rc;
}

void sw_commit_filter_parse(const char *text, struct sw_commit_filter *out)
{
	const char *slash = strchr(text, '/');

	*out = (struct sw_commit_filter){.has_table = true, .table = sw_view_str(text)};
	if (!slash)
		return;
	out->table.n = (size_t)(slash - text);
	out->has_row = slash[1] != '\0';
	out->row = sw_view_str(slash + 1);
}

int sw_commit_concerns(const struct sw_commit_info *info, const struct sw_commit_filter *filter, bool *out)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = filter->has_table ? sw_changeset_begin(&c, info->changeset) : 0;

	*out = !filter->has_table;
	while (rc == 0 && !*out && (rc = sw_changeset_next(&c, &op)) > 0) {
		bool is_row = op.kind >= SW_OP_MKTABLE && op.kind <= SW_OP_RESOLVE;

		*out = is_row && sw_view_eq(op.table, filter->table) &&
		       (!filter->has_row || sw_view_eq(op.key, filter->row));
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}
