#include "core/state.h"

#include <assert.h>

struct sw_view sw_state_key(enum sw_table_class class, struct sw_view name, uint8_t *buf)
{
	assert(name.n <= SW_NAME_MAX);
	buf[0] = (uint8_t)class;
	if (name.n > 0)
		memcpy(buf + 1, name.p, name.n);
	return sw_view(buf, 1 + name.n);
}

int sw_state_table(const struct sw_nodes *nodes, const struct sw_hash *state, enum sw_table_class class,
		   struct sw_view name, struct sw_table *out)
{
	uint8_t buf[1 + SW_NAME_MAX];
	struct sw_view value;
	int rc = sw_tree_get(nodes, state, sw_state_key(class, name, buf), &value);

	if (rc < 0)
		return rc;
	if (sw_table_decode(value, out) < 0)
		return sw_fail(SW_ECORRUPT, "a table's entry in the state is damaged");
	return 0;
}

int sw_state_decode_row(struct sw_view value, struct sw_row *out)
{
	if (sw_row_decode(value, out) < 0)
		return sw_fail(SW_ECORRUPT, "a row's entry in the state is damaged");
	return 0;
}

int sw_state_row(const struct sw_nodes *nodes, const struct sw_hash *state, struct sw_view table,
		 struct sw_view key, struct sw_row *out)
{
	struct sw_table t;
	struct sw_view value;
	int rc = sw_state_table(nodes, state, SW_CLASS_USER, table, &t);

	if (rc == 0)
		rc = sw_tree_get(nodes, &t.root, key, &value);
	if (rc < 0)
		return rc;
	return sw_state_decode_row(value, out);
}

void sw_conflict_key(struct sw_view table, struct sw_view key, const struct sw_hash *commit,
		     struct sw_buf *out)
{
	sw_buf_put_view(out, table);
	sw_buf_put_u8(out, 0);
	sw_buf_put_view(out, key);
	sw_buf_put_u8(out, 0);
	sw_buf_put_hash(out, commit);
}

/* Names hold no NUL; the commit's id at the end may. */
int sw_conflict_key_parse(struct sw_view record, struct sw_view *table, struct sw_view *key, struct sw_hash *commit)
{
	const uint8_t *nul = record.n > 0 ? memchr(record.p, 0, record.n) : NULL;
	size_t table_n = nul ? (size_t)(nul - record.p) : 0;

	if (!nul || record.n < table_n + 2 + SW_HASH_SIZE)
		return sw_fail(SW_ECORRUPT, "the key of a conflict record is damaged");
	*table = sw_view(record.p, table_n);
	*key = sw_view(nul + 1, record.n - table_n - 2 - SW_HASH_SIZE);
	if (table_n > SW_NAME_MAX || key->n > SW_NAME_MAX || nul[1 + key->n] != 0)
		return sw_fail(SW_ECORRUPT, "the key of a conflict record is damaged");
	memcpy(commit->b, nul + 2 + key->n, SW_HASH_SIZE);
	return 0;
}
