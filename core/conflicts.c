/* The records of a state: listing and finding them. */
#include "core/conflicts.h"

#include <assert.h>

void sw_conflict_set(struct sw_conflict *c, struct sw_view table, struct sw_view key,
		     const struct sw_hash *commit)
{
	assert(table.n <= SW_NAME_MAX && key.n <= SW_NAME_MAX);
	c->table_n = table.n;
	c->key_n = key.n;
	if (table.n > 0)
		memcpy(c->names, table.p, table.n);
	if (key.n > 0)
		memcpy(c->names + table.n, key.p, key.n);
	c->commit = commit ? *commit : sw_hash_zero;
}

int sw_conflicts_root(const struct sw_nodes *nodes, const struct sw_hash *state,
		      struct sw_hash *root)
{
	struct sw_table t = {0};
	int rc = sw_state_table(nodes, state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_CONFLICTS), &t);

	*root = t.root;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

/* The record that a cursor was moved to; frees the cursor. */
static int take(struct sw_cursor *c, int rc, struct sw_conflict *out)
{
	struct sw_view table, key;
	struct sw_hash commit;

	if (rc > 0 && sw_conflict_key_parse(sw_cursor_entry(c)->key, &table, &key, &commit) < 0)
		rc = SW_ECORRUPT;
	if (rc > 0)
		sw_conflict_set(out, table, key, &commit);
	sw_cursor_fini(c);
	return rc;
}

int sw_conflicts_seek(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view from,
		      struct sw_conflict *out)
{
	struct sw_cursor c = {0};

	return take(&c, sw_cursor_seek(&c, nodes, root, from), out);
}

int sw_conflicts_seek_rank(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t rank,
			   struct sw_conflict *out)
{
	struct sw_cursor c = {0};

	return take(&c, sw_cursor_seek_rank(&c, nodes, root, rank), out);
}

bool sw_conflict_is_in(const struct sw_conflict *c, const struct sw_conflict *of,
		       enum sw_conflict_scope scope)
{
	if (!sw_view_eq(sw_conflict_table(c), sw_conflict_table(of)))
		return false;
	if (scope == SW_SCOPE_TABLE)
		return true;
	return sw_view_eq(sw_conflict_key_of(c), sw_conflict_key_of(of)) &&
	       (scope == SW_SCOPE_ROW || sw_hash_eq(&c->commit, &of->commit));
}

/* The key of the record, or the beginning that those of its row or table share. */
static void put_key(const struct sw_conflict *c, enum sw_conflict_scope scope, struct sw_buf *key)
{
	sw_buf_reset(key);
	sw_conflict_key(sw_conflict_table(c), sw_conflict_key_of(c), &c->commit, key);
	if (key->rc < 0 || scope == SW_SCOPE_RECORD)
		return;
	key->n = c->table_n + 1;
	if (scope == SW_SCOPE_ROW)
		key->n += c->key_n + 1;
}

void sw_conflict_before(const struct sw_conflict *c, enum sw_conflict_scope scope,
			struct sw_buf *key)
{
	put_key(c, scope, key);
}

void sw_conflict_behind(const struct sw_conflict *c, enum sw_conflict_scope scope,
			struct sw_buf *key)
{
	put_key(c, scope, key);
	if (scope == SW_SCOPE_RECORD)
		sw_buf_put_u8(key, 0);
	else if (key->rc == 0)
		key->p[key->n - 1] = 1; /* in place of the NUL that ends the name */
}

static int not_found(struct sw_view table, struct sw_view key, struct sw_view digits)
{
	return sw_fail(SW_ENOTFOUND,
		       "there is no conflict %.*s/%.*s%s%.*s; it may be resolved by now: 'swarmfs "
		       "conflicts list' shows "
		       "those that are open",
		       (int)table.n, (const char *)table.p, (int)key.n, (const char *)key.p,
		       digits.n ? "/" : "", (int)digits.n, (const char *)digits.p);
}

int sw_conflict_check(const struct sw_nodes *nodes, const struct sw_hash *root,
		      const struct sw_conflict *c)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_view value;
	SW_BUF key = {0};
	int rc;

	put_key(c, SW_SCOPE_RECORD, &key);
	rc = key.rc < 0 ? key.rc : sw_tree_get(nodes, root, sw_buf_view(&key), &value);
	if (rc != SW_ENOTFOUND)
		return rc;
	sw_hex(c->commit.b, SW_HASH_SIZE, hex);
	return not_found(sw_conflict_table(c), sw_conflict_key_of(c), sw_view(hex, 12));
}

static bool has_digits(const struct sw_hash *id, struct sw_view digits)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(id->b, SW_HASH_SIZE, hex);
	return digits.n < sizeof(hex) && (digits.n == 0 || memcmp(hex, digits.p, digits.n) == 0);
}

int sw_conflict_find(const struct sw_nodes *nodes, const struct sw_hash *root, struct sw_view table,
		     struct sw_view key, struct sw_view digits, struct sw_conflict *out)
{
	struct sw_conflict row, c;
	SW_BUF from = {0};
	size_t n = 0;
	int rc = 0;

	if (table.n > SW_NAME_MAX || key.n > SW_NAME_MAX)
		return not_found(table, key, digits);
	sw_conflict_set(&row, table, key, NULL);
	sw_conflict_before(&row, SW_SCOPE_ROW, &from);
	while (from.rc == 0 && (rc = sw_conflicts_seek(nodes, root, sw_buf_view(&from), &c)) > 0 &&
	       sw_conflict_is_in(&c, &row, SW_SCOPE_ROW)) {
		if (has_digits(&c.commit, digits) && ++n == 1)
			*out = c;
		sw_conflict_behind(&c, SW_SCOPE_RECORD, &from);
	}
	if (from.rc < 0)
		return from.rc;
	if (rc < 0)
		return rc;
	if (n > 1)
		return sw_fail(
		    SW_EINVAL,
		    "%.*s/%.*s has several conflicts that could be meant; give more of the "
		    "commit's id",
		    (int)table.n, (const char *)table.p, (int)key.n, (const char *)key.p);
	return n == 1 ? 0 : not_found(table, key, digits);
}
