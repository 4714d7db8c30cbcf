/* What is settled at a node stays settled, and is the same at all. */
#include "tests/sim/sim.h"

#include "core/gc.h"
#include "core/watermarks.h"

static struct sw_settled look(struct sim *s, size_t at)
{
	struct sw_settled now;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	TEST_OK(sw_db_settled(s->net.nodes[at].t.db, &r, &now));
	sw_reader_end(&r);
	return now;
}

static struct sw_hash snapshot(struct sim *s, size_t at, const struct sw_hash *id)
{
	struct sw_snap *snap;
	struct sw_hash state;

	TEST_OK(sw_snap_open(s->net.nodes[at].t.db, id, &snap));
	state = *sw_snap_state(snap);
	sw_snap_unref(snap);
	return state;
}

/*
 * A store that was copied, or its copy, signs that its key has seen everything, and does not know
 * of the other's commits. When these come what was settled changes: then it is begun anew here as
 * well.
 */
static bool is_excused(struct sim *s, size_t at, const struct sw_order *last)
{
	for (size_t k = 0; k < s->n_copied; k++)
		for (size_t i = s->copied[k].first; i < s->n_commits; i++) {
			const struct sim_commit *c = &s->commits[i];
			struct sw_order order;

			sw_order_make(c->stamp, &c->author, &c->id, &order);
			if (sw_key_eq(&c->author, &s->copied[k].key) && sim_node_has(s, at, i) &&
			    sw_order_cmp(&order, last) <= 0)
				return true;
		}
	return false;
}

/* Whoever comes second is compared with the first. */
static void compare(struct sim *s, size_t at, const struct sw_settled *now)
{
	struct sim_commit *c;
	struct sw_hash id, state;
	size_t i;

	sw_order_id(&now->last, &id);
	i = sim_find_commit(s, &id);
	if (!i)
		sim_fail(s, "settled_is_one",
			 "a commit that is settled at node %zu is not in its store", at);
	c = &s->commits[i - 1];
	if (c->settled_count > 0 && c->settled_count != now->count && is_excused(s, at, &now->last))
		c->settled_state = sw_hash_zero;
	else if (c->settled_count > 0 && c->settled_count != now->count)
		sim_fail(s, "settled_is_one",
			 "commit %zu is settled at node %zu as the %llu-th, it was as the %llu-th",
			 i - 1, at, (unsigned long long)now->count,
			 (unsigned long long)c->settled_count);
	c->settled_count = now->count;
	state = snapshot(s, at, &id);
	if (!sw_hash_is_zero(&c->settled_state) && !sw_hash_eq(&state, &c->settled_state))
		sim_fail(s, "settled_is_one",
			 "the snapshot of commit %zu, which is settled, shows something else at "
			 "node %zu",
			 i - 1, at);
	c->settled_state = state;
}

void sim_check_settled(struct sim *s, size_t at)
{
	struct sw_settled *before = &s->nodes[at].settled, now = look(s, at);

	/* As long as nobody else is there, all is settled as it stands, and may yet be signed
	 * again. */
	if (sw_db_writers(s->net.nodes[at].t.db) < 2) {
		*before = (struct sw_settled){.count = now.count};
		return;
	}
	if (s->is_governed) {
		*before = now; /* revocations and floors reach into it */
		return;
	}
	if (before->has_last && (!now.has_last || sw_order_cmp(&now.last, &before->last) < 0 ||
				 now.count < before->count))
		sim_fail(s, "settled_never_shrinks",
			 "%llu commits were settled at node %zu, and now %llu",
			 (unsigned long long)before->count, at, (unsigned long long)now.count);
	if (now.has_last && (!before->has_last || sw_order_cmp(&now.last, &before->last) > 0))
		compare(s, at, &now);
	else if (now.has_last && now.count != before->count && !is_excused(s, at, &now.last))
		sim_fail(s, "settled_never_shrinks",
			 "a commit slipped into the %llu that were settled at node %zu",
			 (unsigned long long)before->count, at);
	*before = now;
}

bool sim_is_settled(struct sim *s, size_t at)
{
	struct sw_head head;

	sw_db_head(s->net.nodes[at].t.db, &head);
	return s->nodes[at].settled.count == head.count;
}

void sim_check_settled_end(struct sim *s, size_t at)
{
	struct sw_db *db = s->net.nodes[at].t.db;
	struct sw_reader r;

	if (s->is_governed)
		return;
	TEST_OK(sw_reader_begin(db, &r));
	for (size_t i = 0; i < s->n_commits; i++) {
		const struct sim_commit *c = &s->commits[i];
		struct sw_order order;
		struct sw_hash state;
		bool is_freed;
		uint64_t rank;

		if (c->settled_count == 0)
			continue;
		sw_order_make(c->stamp, &c->author, &c->id, &order);
		TEST_OK(sw_tree_rank(r.nodes, &r.head.line, sw_order_view(&order), &rank));
		if (rank + 1 != c->settled_count && is_excused(s, at, &order))
			continue;
		if (rank + 1 != c->settled_count)
			sim_fail(
			    s, "settled_is_one",
			    "commit %zu is the %llu-th in the end, it was settled as the %llu-th",
			    i, (unsigned long long)rank + 1, (unsigned long long)c->settled_count);
		TEST_OK(sw_db_is_before_horizon(&r, &order, &is_freed));
		if (is_freed)
			continue;
		state = snapshot(s, at, &c->id);
		if (!sw_hash_eq(&state, &c->settled_state))
			sim_fail(s, "settled_is_one",
				 "the snapshot of commit %zu, which was settled, shows something "
				 "else in the end",
				 i);
		s->stats->n_settled++;
	}
	sw_reader_end(&r);
}
