/* Working copies: each node has at most one at a time, which crashes and restarts with it. */
#include "tests/sim/sim.h"

#define ROWS_MAX 3 /* written in one step */
#define NAME     sw_view_str("copy")

void sim_txn_open(struct sim *s, size_t at)
{
	struct sim_node *n = &s->nodes[at];
	bool may_fail = s->net.nodes[at].t.env.fail_in > 0;
	int rc = sw_copies_open(s->net.nodes[at].t.db, n->work, &n->copies);

	if (rc < 0 && !may_fail && !s->net.nodes[at].t.env.is_dead)
		sim_fail(s, "copy_is_private",
			 "the working copies of node %zu cannot be opened: %s", at,
			 sw_fail_message(rc));
}

void sim_txn_close(struct sim *s, size_t at)
{
	sw_copies_close(s->nodes[at].copies);
	s->nodes[at].copies = NULL;
}

/* NULL: there is none. */
static struct sw_copy *find(struct sim *s, size_t at)
{
	struct sw_copy *y;
	int rc = sw_copy_find(s->nodes[at].copies, NAME, &y);

	if (rc == SW_ENOTFOUND)
		return NULL;
	TEST_OK(rc);
	return y;
}

/* A step failed: whether anything came of it shows when the store is opened again, or at the next
 * step. */
static bool is_good(struct sim *s, size_t at, int rc, const char *what)
{
	bool is_dead = s->net.nodes[at].t.env.is_dead;

	s->nodes[at].txn.is_maybe |= is_dead;
	if (rc == 0)
		return !is_dead;
	if (!sim_work_may_fail(s, at, rc))
		sim_fail(s, "write", "node %zu cannot %s: %s", at, what, sw_fail_message(rc));
	return false;
}

static struct sw_copy *make(struct sim *s, size_t at)
{
	struct sw_copy *y = NULL;
	int rc = sw_copy_make(s->nodes[at].copies, NAME, &y);

	s->nodes[at].txn = (struct sim_txn){0};
	if (is_good(s, at, rc, "make a working copy"))
		s->nodes[at].txn.is_made = true;
	return y;
}

static void write_rows(struct sim *s, size_t at, struct sw_copy *y, struct rng *r)
{
	struct sim_txn *t = &s->nodes[at].txn;

	for (size_t i = 1 + rng_below(r, ROWS_MAX); i > 0; i--) {
		size_t row = rng_below(r, SIM_ROWS);
		SW_BUF base = {0};
		SW_BUF content = {0};

		sim_work_view(sw_copy_work(y), row, &base);
		sim_work_content(s, r, row, &base, &content);
		if (is_good(s, at, sim_work_write(sw_copy_work(y), row, &content, false),
			    "write in a working copy"))
			t->rows[row] =
			    (struct sim_row){.is_set = true, .hash = sim_work_hash(&content)};
		else
			t->rows[row].is_maybe = true;
	}
	if (rng_below(r, 3) == 0)
		(void)is_good(s, at, sw_work_check(sw_copy_work(y), sim_table(0), sim_key(0)),
			      "check a row");
}

/* Which of the copy's rows a commit writes, as bits; and which it may write: gc has freed what it
 * wrote there. */
static uint64_t rows_of(struct sim *s, size_t at, const struct sim_commit *c, uint64_t *maybe)
{
	const struct sim_row *rows = s->nodes[at].txn.rows;
	struct sw_changeset walk;
	struct sw_op op;
	uint64_t found = 0;

	*maybe = 0;
	TEST_OK(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)));
	while (sw_changeset_next(&walk, &op) > 0) {
		SW_BUF bytes = {0};
		struct sw_hash h;
		bool is_there;

		if (op.kind != SW_OP_PUT)
			continue;
		is_there = sim_read_anywhere(s, at, &op.row, &bytes);
		h = sim_work_hash(&bytes);
		for (size_t row = 0; row < SIM_ROWS; row++) {
			if (!rows[row].is_set || !sw_view_eq(op.table, sim_table(row)) ||
			    !sw_view_eq(op.key, sim_key(row)))
				continue;
			if (!is_there)
				*maybe |= (uint64_t)1 << row;
			else if (sw_hash_eq(&rows[row].hash, &h))
				found |= (uint64_t)1 << row;
		}
	}
	return found;
}

static uint64_t known_rows(const struct sim_txn *t)
{
	uint64_t all = 0;

	for (size_t row = 0; row < SIM_ROWS; row++)
		all |= (uint64_t)(t->rows[row].is_set && !t->rows[row].is_maybe) << row;
	return all;
}

/* All that it closed is in one commit of its node's store (true), or none of it in any. */
static bool was_applied(struct sim *s, size_t at)
{
	uint64_t all = known_rows(&s->nodes[at].txn), found = 0, maybe = 0;

	for (size_t i = s->n_commits; i-- > 0 && !found && all;)
		if (sim_node_has(s, at, i))
			found = rows_of(s, at, &s->commits[i], &maybe);
	if (found && ((found | maybe) & all) != all)
		sim_fail(s, "copy_is_whole", "node %zu has committed a part of a working copy", at);
	return found != 0;
}

static void apply(struct sim *s, size_t at, struct sw_copy *y)
{
	struct sim_node *n = &s->nodes[at];
	struct sw_hash id = sw_hash_zero;
	int rc = sw_copy_apply(y, &id);

	if (rc == SW_ECONFLICT)
		return; /* a row has moved on: it stays as it was */
	if (!is_good(s, at, rc, "apply a working copy"))
		return;
	if (!sw_hash_is_zero(&id)) {
		sim_check_told(s, at, &id);
		if (!was_applied(s, at) && known_rows(&n->txn))
			sim_fail(s, "copy_is_whole",
				 "node %zu has applied a working copy, and not its rows", at);
		s->stats->n_applied++;
	}
	/* What stood there in the live tree is gone, and was seen. */
	for (size_t row = 0; row < SIM_ROWS; row++)
		if (n->txn.rows[row].is_set || n->txn.rows[row].is_maybe)
			n->rows[row] = (struct sim_row){0};
	n->txn = (struct sim_txn){0};
}

void sim_txn_act(struct sim *s, size_t at, struct rng *r)
{
	struct sim_node *n = &s->nodes[at];
	struct sw_copy *y;

	if (!n->copies)
		return;
	y = find(s, at);
	if (!y)
		y = make(s, at);
	if (!y)
		return;
	switch (rng_below(r, 6)) {
	case 0:
		if (is_good(s, at, sw_copy_discard(y), "discard a working copy"))
			n->txn = (struct sim_txn){0};
		break;
	case 1:
	case 2:
	case 3:
		apply(s, at, y);
		break;
	default:
		write_rows(s, at, y, r);
	}
	sw_copy_unref(y);
}

static void check_rows(struct sim *s, size_t at, struct sw_copy *y)
{
	struct sim_row *rows = s->nodes[at].txn.rows;

	for (size_t row = 0; row < SIM_ROWS; row++) {
		struct sw_hash hash = sw_hash_zero;
		SW_BUF bytes = {0};

		if (rows[row].is_set && !rows[row].is_maybe) {
			if (sim_work_view(sw_copy_work(y), row, &bytes))
				hash = sim_work_hash(&bytes);
			if (!sw_hash_eq(&hash, &rows[row].hash))
				sim_fail(s, "copy_is_private",
					 "node %zu has lost what was closed in a working copy", at);
		}
		if (rows[row].is_maybe)
			rows[row] = (struct sim_row){0};
	}
}

void sim_txn_check(struct sim *s, size_t at)
{
	struct sim_txn *t = &s->nodes[at].txn;
	bool applied;
	struct sw_copy *y;

	if (!s->nodes[at].copies)
		return;
	y = find(s, at);
	applied = was_applied(s, at);
	if (y && applied)
		sim_fail(s, "copy_is_private", "what node %zu has in a working copy is committed",
			 at);
	if (!y && t->is_made && !t->is_maybe && !applied)
		sim_fail(s, "copy_is_private", "node %zu has lost a working copy", at);
	if (y)
		check_rows(s, at, y);
	if (!y)
		*t = (struct sim_txn){0};
	t->is_made = y != NULL;
	t->is_maybe = false;
	sw_copy_unref(y);
}
