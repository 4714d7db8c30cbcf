/* Questions about commits, members and the state at an earlier time. */
#include "core/ancestors.h"
#include "core/db_internal.h"
#include "core/tags.h"

#include <stdlib.h>

int sw_db_get_commit(const struct sw_reader *r, const struct sw_hash *id, struct sw_commit *out,
		     struct sw_view *raw, struct sw_view *changeset)
{
	uint64_t seq;
	int rc = sw_history_seq(r->txn, id, &seq);

	if (rc == 0)
		rc = sw_history_get(r->txn, seq, raw);
	if (rc == 0 && sw_commit_decode(*raw, out) < 0)
		return sw_fail(SW_ECORRUPT, "commit number %llu of the store is damaged",
			       (unsigned long long)seq);
	if (rc == 0 && changeset)
		rc = sw_history_changeset(r->txn, seq, changeset);
	return rc;
}

int sw_db_outcome(const struct sw_reader *r, const struct sw_order *order, enum sw_outcome *out)
{
	struct sw_view v;
	int rc = sw_tree_get(r->nodes, &r->head.line, sw_order_view(order), &v);

	if (rc == SW_ENOTFOUND) {
		*out = SW_OUT;
		return 0;
	}
	if (rc == 0 && (v.n != 1 || v.p[0] > SW_VOID))
		return sw_fail(SW_ECORRUPT, "the line holds an unknown outcome");
	if (rc == 0)
		*out = (enum sw_outcome)v.p[0];
	return rc;
}

int sw_db_tips(const struct sw_reader *r, struct sw_hash **ids, size_t *n)
{
	struct sw_hash *v = calloc((size_t)sw_txn_count(r->txn, SW_SPACE_TIPS) + 1, sizeof(*v));
	struct sw_hash at = sw_hash_zero;
	struct sw_view found, value;
	int rc;

	if (!v)
		return SW_ENOMEM;
	*n = 0;
	while ((rc = sw_txn_ceil(r->txn, SW_SPACE_TIPS, sw_hash_view(&at), &found, &value)) > 0) {
		memcpy(v[*n].b, found.p, SW_HASH_SIZE);
		at = v[(*n)++];
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
	}
	if (rc < 0) {
		free(v);
		return rc;
	}
	*ids = v;
	return 0;
}

int sw_db_role(const struct sw_reader *r, const struct sw_key *key, int *role)
{
	struct sw_table t;
	struct sw_view v;
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_MEMBERS),
				&t);

	*role = 0;
	if (rc == 0)
		rc = sw_tree_get(r->nodes, &t.root, sw_view(key->b, SW_KEY_SIZE), &v);
	if (rc == 0 && v.n == 1)
		*role = v.p[0];
	return rc == SW_ENOTFOUND ? 0 : rc;
}

/* Whether a commit counts: its author was let in */

/* Is the grant in the causal past? An earlier commit of the same author, judged then, answers too. */
static int has_grant_below(struct sw_txn *txn, const struct sw_commit *c, const struct sw_order *grant,
			   bool use_own, bool *out)
{
	struct sw_ancestors past = {0};
	struct sw_order at;
	uint64_t seq;
	int rc = sw_ancestors_add_parents(&past, txn, c);

	*out = false;
	while (rc == 0 && !*out && (rc = sw_ancestors_next(&past, txn, &at, &seq)) > 0) {
		int cmp = sw_order_cmp(&at, grant);

		rc = 0;
		if (cmp < 0)
			break; /* everything left is older than the grant */
		*out = cmp == 0 || (use_own && memcmp(at.b + 8, c->author.b, SW_KEY_SIZE) == 0);
	}
	sw_ancestors_fini(&past);
	return rc;
}

/* One grant of a role that a writer has may be a writer's: it hands on what it may do, as it could its key. */
int sw_changeset_needs(struct sw_view changeset, enum sw_role *out)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, changeset);

	*out = SW_ROLE_WRITER;
	if (rc < 0 || c.mode != SW_MODE_CONTROL)
		return rc;
	rc = sw_changeset_next(&c, &op);
	if (rc > 0 && (c.n > 1 || op.kind != SW_OP_GRANT || op.role > SW_ROLE_WRITER))
		*out = SW_ROLE_ADMIN;
	return rc < 0 ? rc : 0;
}

int sw_db_is_allowed(struct sw_txn *txn, const struct sw_commit *c, enum sw_role need, bool *out)
{
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = c->author};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	int rc;

	*out = false;
	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(txn, &cell, 0, &refs);
	for (size_t i = 0; rc == 0 && !*out && i < refs.n; i++) {
		struct sw_view changeset;
		struct sw_order order;
		enum sw_mode grant_mode;
		struct sw_op op;

		rc = sw_history_changeset(txn, refs.v[i].seq, &changeset);
		if (rc == 0)
			rc = sw_changeset_at(changeset, refs.v[i].offset, &grant_mode, &op);
		if (rc < 0 || op.kind != SW_OP_GRANT || op.role < need ||
		    !sw_key_eq(&op.member, &c->author))
			continue;
		/* Everything descends from the first commit. */
		if (refs.v[i].seq == 1) {
			*out = true;
			break;
		}
		rc = sw_history_order(txn, refs.v[i].seq, &order);
		if (rc == 0)
			rc = has_grant_below(txn, c, &order, need == SW_ROLE_WRITER, out);
	}
	free(refs.v);
	return rc;
}

/* Names of commits */

static int order_of(const struct sw_reader *r, const struct sw_hash *id, struct sw_order *out)
{
	uint64_t seq;
	int rc = sw_history_seq(r->txn, id, &seq);

	return rc < 0 ? rc : sw_history_order(r->txn, seq, out);
}

/* The commit with `back` others after it in the line. */
static int nth_last(const struct sw_reader *r, uint64_t back, struct sw_order *out)
{
	struct sw_cursor c = {0};
	int rc;

	if (back >= r->head.count)
		return sw_fail(SW_ENOTFOUND, "there are only %llu commits",
			       (unsigned long long)r->head.count);
	rc = sw_cursor_seek_rank(&c, r->nodes, &r->head.line, r->head.count - 1 - back);
	if (rc > 0)
		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	if (rc == 0)
		return sw_fail(SW_ECORRUPT, "the line is shorter than the head says");
	return rc < 0 ? rc : 0;
}

static bool parse_back(struct sw_view name, uint64_t *back)
{
	*back = 0;
	if (name.n < 6 || memcmp(name.p, "HEAD~", 5) != 0 || name.n > 20)
		return false;
	for (size_t i = 5; i < name.n; i++) {
		if (name.p[i] < '0' || name.p[i] > '9')
			return false;
		*back = *back * 10 + (uint64_t)(name.p[i] - '0');
	}
	return true;
}

static int by_tag(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	struct sw_hash id;
	int rc = sw_tag_get(r, name, &id);

	return rc < 0 ? rc : order_of(r, &id, out);
}

/* By a prefix of the id in hexadecimal: the index of ids is sorted. */
static int by_prefix(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	char digits[2 * SW_HASH_SIZE + 1], text[SW_HASH_HEX_SIZE];
	struct sw_view found, value;
	struct sw_hash low;
	size_t n_matches = 0;
	int rc;

	if (name.n < 4 || name.n > 2 * SW_HASH_SIZE)
		return SW_ENOTFOUND;
	memset(digits, '0', sizeof(digits));
	for (size_t i = 0; i < name.n; i++)
		digits[i] = (char)(name.p[i] | 0x20);
	if (sw_unhex(sw_view(digits, 2 * SW_HASH_SIZE), low.b, SW_HASH_SIZE) < 0)
		return SW_ENOTFOUND;
	while ((rc = sw_txn_ceil(r->txn, SW_SPACE_IDS, sw_hash_view(&low), &found, &value)) > 0) {
		if (found.n != SW_HASH_SIZE || value.n != 8)
			return sw_fail(SW_ECORRUPT, "the commit index is damaged");
		sw_hex(found.p, SW_HASH_SIZE, text);
		if (memcmp(text, digits, name.n) != 0)
			break;
		if (++n_matches > 1)
			return sw_fail(SW_EINVAL, "'%.*s' could be several commits; give more digits",
				       (int)name.n, (const char *)name.p);
		rc = sw_history_order(r->txn, sw_get_u64(value.p), out);
		if (rc < 0)
			return rc;
		memcpy(low.b, found.p, SW_HASH_SIZE);
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++low.b[i] == 0; i--)
			;
	}
	if (rc < 0)
		return rc;
	return n_matches ? 0 : SW_ENOTFOUND;
}

int sw_db_resolve(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	uint64_t back;
	int rc;

	if (sw_view_eq(name, sw_view_str("HEAD")) || sw_view_eq(name, sw_view_str("latest")))
		return nth_last(r, 0, out);
	if (parse_back(name, &back))
		return nth_last(r, back, out);
	rc = by_tag(r, name, out);
	if (rc == SW_ENOTFOUND)
		rc = by_prefix(r, name, out);
	if (rc == SW_ENOTFOUND)
		return sw_fail(rc, "there is no commit '%.*s'; 'swarmfs log' lists them",
			       (int)(name.n < 80 ? name.n : 80), (const char *)name.p);
	return rc;
}
