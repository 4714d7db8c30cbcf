#include "core/milestone.h"

#include "core/state.h"

static int read_entry(struct sw_view key, struct sw_view value, struct sw_fold_state *out)
{
	if (key.n != SW_ORDER_SIZE || value.n != SW_HASH_SIZE)
		return sw_fail(SW_ECORRUPT, "a milestone of the store is damaged; run 'swarmfs verify'");
	memcpy(out->at.b, key.p, SW_ORDER_SIZE);
	memcpy(out->state.b, value.p, SW_HASH_SIZE);
	return 1;
}

int sw_milestone_before(struct sw_txn *txn, const struct sw_order *at, struct sw_fold_state *out)
{
	struct sw_view key, value;
	int rc = sw_txn_floor(txn, SW_SPACE_MILESTONES, sw_order_view(at), &key, &value);

	return rc > 0 ? read_entry(key, value, out) : rc;
}

int sw_milestone_behind(struct sw_txn *txn, const struct sw_order *at, struct sw_fold_state *out)
{
	struct sw_view key, value;
	int rc = sw_txn_ceil(txn, SW_SPACE_MILESTONES, sw_order_view(at), &key, &value);

	return rc > 0 ? read_entry(key, value, out) : rc;
}

int sw_milestone_forget(struct sw_txn *txn, const struct sw_fold_state *c)
{
	return sw_txn_del(txn, SW_SPACE_MILESTONES, sw_order_view(&c->at));
}

/* The rows of all tables of users. */
static int count_rows(const struct sw_nodes *nodes, const struct sw_hash *state, uint64_t *out)
{
	uint8_t class = SW_CLASS_USER;
	struct sw_cursor c = {0};
	int rc = sw_cursor_seek(&c, nodes, state, sw_view(&class, 1));

	*out = 0;
	for (; rc > 0; rc = sw_cursor_next(&c)) {
		struct sw_table t;

		rc = sw_table_decode(sw_cursor_entry(&c)->value, &t);
		if (rc < 0)
			break;
		*out += t.n_rows;
	}
	sw_cursor_fini(&c);
	return rc;
}

int sw_line_ago(const struct sw_nodes *nodes, const struct sw_hash *line, uint64_t ago, struct sw_order *out)
{
	struct sw_cursor c = {0};
	uint64_t n;
	int rc = sw_tree_count(nodes, line, &n);

	if (rc == 0)
		rc = sw_cursor_seek_rank(&c, nodes, line, n > ago ? n - 1 - ago : 0);
	if (rc > 0)
		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

void sw_milestone_count(struct sw_milestone_plan *plan, size_t n_commits, const struct sw_changes *changes)
{
	uint64_t n_added = 0, n_overwritten = 0, n;

	for (size_t i = 0; i < changes->n; i++) {
		bool is_row = changes->v[i].kind == SW_CHANGE_ROW;

		n_overwritten += is_row && changes->v[i].existed;
		n_added += is_row && !changes->v[i].existed;
	}
	n = n_overwritten > n_commits ? n_overwritten : n_commits;
	plan->n += n;
	if (n_overwritten + n_added > n)
		plan->due += n_overwritten + n_added - n;
}

bool sw_milestone_is_due(const struct sw_milestone_plan *plan, const struct sw_milestone_rate *rate)
{
	return plan->n >= rate->n_rows_min && plan->n >= plan->due;
}

void sw_milestone_hurry(struct sw_milestone_plan *plan, const struct sw_milestone_rate *rate)
{
	if (plan->n + rate->n_rows_min < plan->due)
		plan->n = plan->due - rate->n_rows_min;
}

int sw_milestone_place(struct sw_txn *txn, const struct sw_nodes *nodes, const struct sw_hash *state,
		       const struct sw_hash *line, const struct sw_milestone_rate *rate,
		       struct sw_milestone_plan *plan, struct sw_order *at, struct sw_fold_state *last, bool *has_last)
{
	int rc = sw_line_ago(nodes, line, rate->n_commits_ago, at);

	plan->n = 0;
	if (rc == 0)
		rc = count_rows(nodes, state, &plan->due);
	if (rc == 0)
		rc = sw_milestone_before(txn, at, last);
	*has_last = rc > 0;
	if (rc < 0)
		return rc;
	return !*has_last || sw_order_cmp(&last->at, at) != 0;
}

int sw_milestone_put(struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_fold_state *m)
{
	int rc = sw_nodes_retain(nodes, &m->state);

	return rc < 0 ? rc : sw_txn_put(txn, SW_SPACE_MILESTONES, sw_order_view(&m->at), sw_hash_view(&m->state));
}
