#include "fs/settled_text.h"

#include <stdlib.h>

#include "core/hlc.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define NAMED_MAX 5 /* keys in a sentence */

int sw_settled_look(struct sw_db *db, const struct sw_reader *r, struct sw_standing_settled *out)
{
	int rc = sw_db_settled(db, r, &out->settled);

	return rc < 0 ? rc : sw_db_holdups(db, r, NULL, &out->holdups, &out->n_holdups);
}

void sw_settled_fini(struct sw_standing_settled *s)
{
	free(s->holdups);
	*s = (struct sw_standing_settled){0};
}

json_t *sw_settled_json(const struct sw_standing_settled *s)
{
	json_t *waits = json_array();
	struct sw_hash id;

	for (size_t i = 0; i < s->n_holdups; i++) {
		const struct sw_holdup *h = &s->holdups[i];
		char time[SW_TEXT_TIME_SIZE];

		sw_text_time(sw_hlc_ms(h->stamp), time);
		json_array_append_new(waits, json_pack("{s:o, s:o}", "key", sw_json_hex(h->key.b, SW_KEY_SIZE), "seen",
						       h->stamp ? json_string(time) : json_null()));
	}
	sw_order_id(&s->settled.last, &id);
	return json_pack("{s:I, s:o, s:o}", "count", (json_int_t)s->settled.count, "commit",
			 s->settled.has_last ? sw_json_hex(id.b, SW_HASH_SIZE) : json_null(), "waits_for", waits);
}

static void put_holdup(const struct sw_holdup *h, struct sw_buf *out)
{
	char key[2 * SW_KEY_SIZE + 1], time[SW_TEXT_TIME_SIZE];

	sw_hex(h->key.b, SW_TEXT_KEY_DIGITS / 2, key);
	sw_text_time(sw_hlc_ms(h->stamp), time);
	if (h->stamp)
		sw_buf_printf(out, "%s (last heard of %s)", key, time);
	else
		sw_buf_printf(out, "%s (never heard of)", key);
}

void sw_holdups_put(const struct sw_holdup *v, size_t n, struct sw_buf *out)
{
	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		if (i > 0)
			sw_buf_printf(out, ", ");
		put_holdup(&v[i], out);
	}
	if (n > NAMED_MAX)
		sw_buf_printf(out, " and %zu more", n - NAMED_MAX);
}

void sw_settled_put(const struct sw_standing_settled *s, uint64_t n_commits, struct sw_buf *out)
{
	sw_buf_printf(out, "settled   %llu of %llu commits\n", (unsigned long long)s->settled.count,
		      (unsigned long long)n_commits);
	if (s->n_holdups == 0)
		return;
	sw_buf_printf(out, "waits for ");
	sw_holdups_put(s->holdups, s->n_holdups, out);
	sw_buf_printf(out, "\n");
}

static void put_file(const struct sw_standing_settled *s, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE] = "-", time[SW_TEXT_TIME_SIZE];
	struct sw_hash id;

	sw_order_id(&s->settled.last, &id);
	if (s->settled.has_last)
		sw_hex(id.b, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "%llu %s\n", (unsigned long long)s->settled.count, hex);
	for (size_t i = 0; i < s->n_holdups; i++) {
		sw_hex(s->holdups[i].key.b, SW_KEY_SIZE, hex);
		sw_text_time(sw_hlc_ms(s->holdups[i].stamp), time);
		sw_buf_printf(out, "%s %s\n", hex, s->holdups[i].stamp ? time : "-");
	}
}

int sw_settled_file(struct sw_db *db, struct sw_buf *out)
{
	struct sw_standing_settled s = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_settled_look(db, &r, &s);
	sw_reader_end(&r);
	if (rc == 0)
		put_file(&s, out);
	sw_settled_fini(&s);
	return rc < 0 ? rc : out->rc;
}
