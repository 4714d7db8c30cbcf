#include "fs/members_text.h"

#include <stdlib.h>

#include "core/members.h"
#include "fs/text.h"

static void put_member(const struct sw_member *m, bool is_own, bool json, struct sw_buf *out)
{
	char key[SW_HASH_HEX_SIZE], by[SW_HASH_HEX_SIZE], since[SW_HASH_HEX_SIZE];
	size_t shown = json ? SW_KEY_SIZE : SW_TEXT_KEY_DIGITS / 2;

	sw_hex(m->key.b, SW_KEY_SIZE, key);
	sw_hex(m->granter.b, shown, by);
	sw_hex(m->grant.b, shown, since);
	if (!json) {
		sw_buf_printf(out, "%s  %-6s  ", key, sw_text_role((int)m->role));
		if (m->role == SW_ROLE_ADMIN)
			sw_buf_printf(out, "rank %-3u  ", m->rank);
		else
			sw_buf_printf(out, "%-8s  ", "");
		sw_buf_printf(out, "by %s in %s%s\n", by, since, is_own ? "  (this store)" : "");
		return;
	}
	sw_buf_printf(out, "{\"key\":\"%s\",\"role\":\"%s\",\"rank\":", key, sw_text_role((int)m->role));
	if (m->role == SW_ROLE_ADMIN)
		sw_buf_printf(out, "%u", m->rank);
	else
		sw_buf_printf(out, "null");
	sw_buf_printf(out, ",\"granted_by\":\"%s\",\"grant\":\"%s\",\"own\":%s}\n", by, since, is_own ? "true" : "false");
}

int sw_members_put(struct sw_db *db, bool json, struct sw_buf *out)
{
	struct sw_member *v = NULL;
	struct sw_reader r;
	size_t n = 0;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_members(db, &r, &v, &n);
	sw_reader_end(&r);
	for (size_t i = 0; rc == 0 && i < n; i++)
		put_member(&v[i], sw_key_eq(&v[i].key, sw_db_key(db)), json, out);
	free(v);
	return rc < 0 ? rc : out->rc;
}
