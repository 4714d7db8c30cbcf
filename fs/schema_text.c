#include "fs/schema_text.h"

#include "fs/json_out.h"
#include "fs/text.h"

#define SHOWN_MAX 5 /* rows that status names */

static void add_refusal(void *arg, const struct sw_refusal *r)
{
	char when[SW_TEXT_TIME_SIZE];

	sw_text_time(r->when_ms, when);
	json_array_append_new(
	    arg, json_pack("{s:o, s:o, s:s, s:o, s:o}", "table", sw_json_name(r->table), "row",
			   sw_json_name(r->key), "time", when, "reason",
			   sw_json_text(sw_view_str(r->reason)), "path",
			   r->path ? sw_json_text(sw_view_str(r->path)) : json_null()));
}

static void add_breach(void *arg, const struct sw_breach *b, bool is_broken)
{
	(void)is_broken;
	json_array_append_new(arg, json_pack("{s:o, s:o, s:o}", "table", sw_json_name(b->table),
					     "row", sw_json_name(b->key), "reason",
					     sw_json_text(sw_view_str(b->reason))));
}

json_t *sw_broken_json(struct sw_breaches *b, bool *is_more)
{
	json_t *list = json_array();

	sw_breaches_each(b, add_breach, list, is_more);
	return list;
}

json_t *sw_schema_json(struct sw_owner *o)
{
	json_t *refused = json_array(), *broken;
	bool is_more = false;

	if (o->work)
		sw_refused_each(sw_work_refused(o->work), add_refusal, refused);
	broken = o->breaches ? sw_broken_json(o->breaches, &is_more) : json_null();
	return json_pack("{s:o, s:o, s:b}", "refused", refused, "broken", broken, "more", is_more);
}

static void put_refusal(void *arg, const struct sw_refusal *r)
{
	char when[SW_TEXT_TIME_SIZE];
	struct sw_buf *out = arg;

	sw_text_time(r->when_ms, when);
	sw_buf_printf(out, "REFUSED   ");
	sw_text_put_path(out, r->table, r->key);
	sw_buf_printf(out, ", written %s: ", when);
	if (r->reason[0])
		sw_text_put(out, sw_view_str(r->reason), strlen(r->reason));
	else
		sw_buf_printf(out, "its schema did not take it");
	if (r->path) {
		sw_buf_printf(out, "; the text is in ");
		sw_text_put(out, sw_view_str(r->path), strlen(r->path));
	}
	sw_buf_printf(out, "\n");
}

struct lines {
	struct sw_buf *out;
	const char *label;
	size_t n, n_max;
};

static void put_breach(void *arg, const struct sw_breach *b, bool is_broken)
{
	struct lines *l = arg;

	(void)is_broken;
	if (l->n++ >= l->n_max)
		return;
	sw_buf_printf(l->out, "%s", l->label);
	sw_text_put_path(l->out, b->table, b->key);
	sw_buf_printf(l->out, " breaks its schema: ");
	sw_text_put(l->out, sw_view_str(b->reason), strlen(b->reason));
	sw_buf_printf(l->out, "\n");
}

void sw_broken_put(struct sw_breaches *b, struct sw_buf *out)
{
	struct lines l = {.out = out, .label = "", .n_max = SIZE_MAX};
	bool is_more;

	sw_breaches_each(b, put_breach, &l, &is_more);
	if (is_more)
		sw_buf_printf(out, "and more\n");
}

void sw_schema_put(struct sw_owner *o, struct sw_buf *out)
{
	struct lines l = {.out = out, .label = "broken    ", .n_max = SHOWN_MAX};
	bool is_more = false;

	if (o->work)
		sw_refused_each(sw_work_refused(o->work), put_refusal, out);
	if (o->breaches)
		sw_breaches_each(o->breaches, put_breach, &l, &is_more);
	if (l.n > SHOWN_MAX)
		sw_buf_printf(out, "broken    %zu rows in all%s; 'swarmfs verify' lists them\n",
			      l.n, is_more ? ", or more" : "");
}
