#include "core/tags.h"

#define ID_DIGITS 12 /* that tools show of a commit's id: as long a tag would be mistaken for one */

static int tags_root(const struct sw_reader *r, struct sw_hash *root)
{
	struct sw_table t = {0};
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_TAGS), &t);

	*root = t.root;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int decode(struct sw_view value, struct sw_hash *commit)
{
	if (value.n != SW_HASH_SIZE)
		return sw_fail(SW_ECORRUPT, "a tag is damaged");
	memcpy(commit->b, value.p, SW_HASH_SIZE);
	return 0;
}

int sw_tag_next(const struct sw_reader *r, struct sw_buf *name, struct sw_hash *commit)
{
	struct sw_cursor c = {0};
	struct sw_hash root;
	int rc = tags_root(r, &root);

	/* The next key is at least this one with a zero behind it. */
	sw_buf_put_u8(name, 0);
	if (rc == 0)
		rc = name->rc;
	if (rc == 0 && !sw_hash_is_zero(&root))
		rc = sw_cursor_seek(&c, r->nodes, &root, sw_buf_view(name));
	if (rc > 0) {
		sw_buf_reset(name);
		sw_buf_put_view(name, sw_cursor_entry(&c)->key);
		rc = decode(sw_cursor_entry(&c)->value, commit);
		if (rc == 0)
			rc = name->rc < 0 ? name->rc : 1;
	}
	sw_cursor_fini(&c);
	return rc;
}

int sw_tag_get(const struct sw_reader *r, struct sw_view name, struct sw_hash *commit)
{
	struct sw_hash root;
	struct sw_view v;
	int rc = sw_name_check(name) < 0 ? SW_ENOTFOUND : tags_root(r, &root);

	if (rc == 0)
		rc = sw_tree_get(r->nodes, &root, name, &v);
	return rc < 0 ? rc : decode(v, commit);
}

static bool begins_with(struct sw_view name, const char *text)
{
	struct sw_view v = sw_view_str(text);

	return name.n >= v.n && memcmp(name.p, v.p, v.n) == 0;
}

static bool is_hexadecimal(struct sw_view name)
{
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i] | 0x20;

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

static int check_name(struct sw_view name)
{
	if (sw_name_check(name) < 0)
		return sw_fail(SW_EINVAL, "a tag is named as a row is: 1 to 255 bytes, without '/'");
	if (begins_with(name, "HEAD") || sw_view_eq(name, sw_view_str("latest")) || name.p[0] == '@' ||
	    (name.n >= ID_DIGITS && is_hexadecimal(name)))
		return sw_fail(SW_EINVAL, "'%.*s' means a commit already; choose another name for the tag",
			       (int)name.n, (const char *)name.p);
	return 0;
}

/* Whether it is like that already. */
static int is_set(struct sw_db *db, struct sw_view name, const struct sw_hash *commit, bool *out)
{
	struct sw_hash now = sw_hash_zero;
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_tag_get(&r, name, &now);
	sw_reader_end(&r);
	*out = sw_hash_eq(&now, commit);
	return rc == SW_ENOTFOUND ? 0 : rc;
}

int sw_tag_set(struct sw_db *db, struct sw_view name, const struct sw_hash *commit, struct sw_view message,
	       struct sw_hash *id)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_TAG, .table = name, .commit = *commit}};
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = &op, .n = 1, .message = message};
	bool is_so = false;
	int rc = check_name(name);

	*id = sw_hash_zero;
	if (rc == 0)
		rc = is_set(db, name, commit, &is_so);
	return rc < 0 || is_so ? rc : sw_db_commit(db, &w, id);
}
