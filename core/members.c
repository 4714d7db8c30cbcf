#include "core/db_internal.h"

#include <stdlib.h>

/* One grant of a role to a member. */
struct grant {
	enum sw_role role;
	struct sw_order order;
};

static int read_grant(const struct sw_reader *r, const struct sw_op_ref *ref,
		      const struct sw_key *member, struct grant *out)
{
	struct sw_view changeset;
	enum sw_mode mode;
	struct sw_op op;
	int rc = sw_history_changeset(r->txn, ref->seq, &changeset);

	if (rc == 0 && sw_changeset_at(changeset, ref->offset, &mode, &op) < 0)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	if (rc < 0)
		return rc;
	if (op.kind != SW_OP_GRANT || !sw_key_eq(&op.member, member))
		return 0;
	out->role = op.role;
	rc = sw_history_order(r->txn, ref->seq, &out->order);
	return rc < 0 ? rc : 1;
}

/* The first of its grants, by order, that lets it do as much as it may: write, or only read. */
static int find_first(const struct sw_reader *r, struct sw_member *m)
{
	enum sw_role least = m->role >= SW_ROLE_WRITER ? SW_ROLE_WRITER : SW_ROLE_READER;
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = m->key};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	bool found = false;
	int rc;

	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(r->txn, &cell, 0, &refs);
	for (size_t i = 0; rc >= 0 && !found && i < refs.n; i++) {
		struct grant g;

		rc = read_grant(r, &refs.v[i], &m->key, &g);
		if (rc <= 0 || g.role < least)
			continue;
		found = true;
		sw_order_id(&g.order, &m->grant);
		sw_order_author(&g.order, &m->granter);
	}
	free(refs.v);
	if (rc >= 0 && !found)
		return sw_fail(SW_ECORRUPT, "a member's grant is missing");
	return rc < 0 ? rc : 0;
}

static struct sw_member *find_member(struct sw_member *v, size_t n, const struct sw_key *key)
{
	for (size_t i = 0; i < n; i++)
		if (sw_key_eq(&v[i].key, key))
			return &v[i];
	return NULL;
}

/* The least rank that a grant gives to an admin, as far as its granters' ranks are known. */
static int lower_rank(const struct sw_reader *r, struct sw_member *v, size_t n, struct sw_member *m,
		      bool *changed)
{
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = m->key};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	int rc;

	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(r->txn, &cell, 0, &refs);
	for (size_t i = 0; rc >= 0 && i < refs.n; i++) {
		const struct sw_member *by;
		struct sw_key author;
		struct grant g;

		rc = read_grant(r, &refs.v[i], &m->key, &g);
		if (rc <= 0 || g.role != SW_ROLE_ADMIN)
			continue;
		sw_order_author(&g.order, &author);
		by = find_member(v, n, &author);
		if (!by || by->rank == SW_RANK_NONE || by->rank + 1 >= m->rank)
			continue;
		m->rank = by->rank + 1;
		*changed = true;
	}
	free(refs.v);
	return rc < 0 ? rc : 0;
}

static int find_ranks(const struct sw_reader *r, struct sw_member *v, size_t n)
{
	struct sw_member *creator;
	struct sw_order first;
	struct sw_key key;
	bool changed = true;
	int rc = sw_history_order(r->txn, 1, &first);

	sw_order_author(&first, &key);
	creator = find_member(v, n, &key);
	if (creator)
		creator->rank = 0;
	while (rc == 0 && changed) {
		changed = false;
		for (size_t i = 0; rc == 0 && i < n; i++)
			if (v[i].role == SW_ROLE_ADMIN)
				rc = lower_rank(r, v, n, &v[i], &changed);
	}
	return rc;
}

/* Keys and roles, from the state's table. */
static int read_table(const struct sw_reader *r, struct sw_member **out, size_t *n)
{
	struct sw_cursor c = {0};
	struct sw_member *v;
	struct sw_table t;
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_SYSTEM,
				sw_view_str(SW_TABLE_MEMBERS), &t);

	*n = 0;
	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	v = calloc(rc == 0 ? (size_t)t.n_rows + 1 : 1, sizeof(*v));
	*out = v;
	if (!v || rc == SW_ENOTFOUND)
		return v ? 0 : SW_ENOMEM;
	rc = sw_cursor_seek(&c, r->nodes, &t.root, sw_view("", 0));
	for (; rc > 0; rc = sw_cursor_next(&c)) {
		const struct sw_entry *e = sw_cursor_entry(&c);

		if (e->key.n != SW_KEY_SIZE || e->value.n != 1 || *n == t.n_rows) {
			rc = sw_fail(SW_ECORRUPT, "the table of members is damaged");
			break;
		}
		v[*n] =
		    (struct sw_member){.role = (enum sw_role)e->value.p[0], .rank = SW_RANK_NONE};
		memcpy(v[(*n)++].key.b, e->key.p, SW_KEY_SIZE);
	}
	sw_cursor_fini(&c);
	return rc;
}

/* Where nothing is judged, every grant is as good as when it was made. */
static int list_unlimited(const struct sw_reader *r, struct sw_member **out, size_t *n)
{
	struct sw_member *v = NULL;
	int rc = read_table(r, &v, n);

	for (size_t i = 0; rc == 0 && i < *n; i++)
		rc = find_first(r, &v[i]);
	if (rc == 0 && *n > 0)
		rc = find_ranks(r, v, *n);
	if (rc < 0) {
		free(v);
		return rc;
	}
	*out = v;
	return 0;
}

int sw_db_members(struct sw_db *db, const struct sw_reader *r, struct sw_member **out, size_t *n)
{
	bool limited;
	int rc = sw_control_is_limited(r->txn, &limited);

	if (rc < 0)
		return rc;
	return limited ? sw_control_members(db->control, r->txn, out, n) : list_unlimited(r, out, n);
}

int sw_db_revocations(struct sw_db *db, const struct sw_reader *r, const struct sw_key *key, struct sw_hash **out, size_t *n)
{
	bool limited;
	int rc = sw_control_is_limited(r->txn, &limited);

	*n = 0;
	*out = NULL;
	return rc < 0 || !limited ? rc : sw_control_revocations(db->control, r->txn, key, out, n);
}
