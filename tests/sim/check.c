/* Who holds what, and whether that may be. Everything is read from the stores, where only what is
 * committed shows. */
#include "tests/sim/sim.h"

#include "core/history.h"
#include "core/hlc.h"

#define ORACLE_COMMITS_MAX 400 /* it folds from nothing: for histories that are not long */
#define VERIFY_NODES_MAX   8

/* Bits */

static bool bit_get(const struct sim_bits *b, size_t i)
{
	return i / 64 < b->cap && b->v[i / 64] >> i % 64 & 1;
}

static void bit_set(struct sim_bits *b, size_t i)
{
	if (i / 64 >= b->cap) {
		size_t cap = 2 * (i / 64 + 1);

		b->v = realloc(b->v, cap * sizeof(*b->v));
		assert_non_null(b->v);
		memset(b->v + b->cap, 0, (cap - b->cap) * sizeof(*b->v));
		b->cap = cap;
	}
	b->v[i / 64] |= (uint64_t)1 << i % 64;
}

static void bit_clear(struct sim_bits *b, size_t i)
{
	if (i / 64 < b->cap)
		b->v[i / 64] &= ~((uint64_t)1 << i % 64);
}

bool sim_node_has(const struct sim *s, size_t at, size_t commit)
{
	return bit_get(&s->nodes[at].has, commit);
}

/* Commits by id */

static size_t slot_of(const struct sim *s, const struct sw_hash *id)
{
	size_t i = (size_t)sw_get_u64(id->b) & (s->cap_by_id - 1);

	while (s->by_id[i] && !sw_hash_eq(&s->commits[s->by_id[i] - 1].id, id))
		i = (i + 1) & (s->cap_by_id - 1);
	return i;
}

size_t sim_find_commit(const struct sim *s, const struct sw_hash *id)
{
	return s->cap_by_id ? s->by_id[slot_of(s, id)] : 0;
}

static void grow(struct sim *s)
{
	free(s->by_id);
	s->cap_by_id = s->cap_by_id ? 2 * s->cap_by_id : 1024;
	s->cap_commits = s->cap_by_id / 2;
	s->by_id = calloc(s->cap_by_id, sizeof(*s->by_id));
	s->commits = realloc(s->commits, s->cap_commits * sizeof(*s->commits));
	assert_non_null(s->by_id);
	assert_non_null(s->commits);
	for (size_t i = 0; i < s->n_commits; i++)
		s->by_id[slot_of(s, &s->commits[i].id)] = (uint32_t)i + 1;
}

static size_t add(struct sim *s, const struct sw_commit *c, struct sw_view raw,
		  struct sw_view changeset)
{
	struct sim_commit *to;

	if (s->n_commits == s->cap_commits)
		grow(s);
	to = &s->commits[s->n_commits];
	*to = (struct sim_commit){.id = c->id, .author = c->author, .stamp = c->stamp};
	sw_buf_put_view(&to->raw, raw);
	sw_buf_put_view(&to->changeset, changeset);
	s->by_id[slot_of(s, &c->id)] = (uint32_t)++s->n_commits;
	s->stats->n_commits++;
	return s->n_commits - 1;
}

/* Heads by set. The same set, the same head: whoever comes second is compared with the first. */
static void check_head(struct sim *s, size_t at, const struct sw_head *head)
{
	const struct sim_node *node = &s->nodes[at];
	size_t i;

	if (2 * s->n_sets >= s->cap_sets) {
		struct sim_set *old = s->sets;
		size_t cap = s->cap_sets;

		s->cap_sets = cap ? 2 * cap : 1024;
		s->sets = calloc(s->cap_sets, sizeof(*s->sets));
		assert_non_null(s->sets);
		for (size_t k = 0; k < cap; k++) {
			if (old[k].head.count == 0)
				continue;
			i = (size_t)sw_get_u64(old[k].set.b) & (s->cap_sets - 1);
			while (s->sets[i].head.count > 0)
				i = (i + 1) & (s->cap_sets - 1);
			s->sets[i] = old[k];
		}
		free(old);
	}
	i = (size_t)sw_get_u64(node->set.b) & (s->cap_sets - 1);
	while (s->sets[i].head.count > 0 && !sw_hash_eq(&s->sets[i].set, &node->set))
		i = (i + 1) & (s->cap_sets - 1);
	if (s->sets[i].head.count == 0) {
		s->sets[i] = (struct sim_set){node->set, *head};
		s->n_sets++;
		s->stats->n_sets++;
	} else if (!sw_head_eq(&s->sets[i].head, head)) {
		sim_fail(s, "same_set_same_head",
			 "node %zu has the same %llu commits as another, or itself before, "
			 "and another %s",
			 at, (unsigned long long)head->count,
			 sw_hash_eq(&s->sets[i].head.line, &head->line) ? "state" : "line");
	}
}

/* Stores */

static void check_parents(struct sim *s, size_t at, const struct sw_commit *c)
{
	for (size_t i = 0; i < c->n_parents; i++) {
		size_t parent = sim_find_commit(s, &c->parents[i]);

		if (!parent || !bit_get(&s->nodes[at].has, parent - 1))
			sim_fail(s, "past_is_here", "node %zu holds a commit without its parent",
				 at);
		if (s->commits[parent - 1].stamp >= c->stamp)
			sim_fail(s, "order_extends_causality",
				 "node %zu holds a commit that is not after its parent", at);
	}
}

/* How far a node believes that the time is ahead of its clock. */
static int64_t clock_of(const struct sim *s, size_t at)
{
	struct sw_sync_counters counters = {0};

	if (s->net.nodes[at].sync)
		sw_sync_counters(s->net.nodes[at].sync, &counters);
	return counters.clock_ms;
}

/* The time by which a node holds commits back, now or when it was looked at last. */
static uint64_t time_of(struct sim *s, size_t at)
{
	int64_t before = s->nodes[at].clock_ms, now = clock_of(s, at);

	return test_env_wall(&s->net.nodes[at].t.env) + (uint64_t)(now > before ? now : before);
}

static bool is_in_line(const struct sw_reader *r, const struct sw_hash *id)
{
	enum sw_outcome outcome;
	uint64_t seq;

	TEST_OK(sw_history_seq(r->txn, id, &seq));
	TEST_OK(sw_history_outcome(r->txn, seq, &outcome));
	return outcome != SW_OUT;
}

/* The greatest stamp of a node's line, of what it held before it is looked at. */
static uint64_t last_of_line(const struct sim *s, size_t at, const struct sw_reader *r)
{
	uint64_t last = 0;

	if (!s->is_governed)
		return s->nodes[at].stamp;
	for (size_t i = 0; i < s->n_commits; i++)
		if (s->commits[i].stamp > last && bit_get(&s->nodes[at].has, i) &&
		    is_in_line(r, &s->commits[i].id))
			last = s->commits[i].stamp;
	return last;
}

static void check_stamp(struct sim *s, size_t at, const struct sw_reader *r,
			const struct sw_commit *c)
{
	const struct net_node *node = &s->net.nodes[at];
	bool is_own = sw_key_eq(&c->author, sw_db_key(node->t.db));

	if (s->nodes[at].is_twin) /* what is its own, and by which key, is not told apart */
		return;
	if (is_own && c->stamp <= last_of_line(s, at, r))
		sim_fail(s, "order_extends_causality",
			 "node %zu stamped its commit below what it knew", at);
	if (!is_own && sw_hlc_ms(c->stamp) > time_of(s, at) + SW_SKEW_MS)
		sim_fail(s, "nothing_is_from_the_future",
			 "node %zu took a commit from %llu ms ahead", at,
			 (unsigned long long)(sw_hlc_ms(c->stamp) - time_of(s, at)));
}

static void take(struct sim *s, size_t at, const struct sw_reader *r, uint64_t seq, bool is_new)
{
	struct sim_node *node = &s->nodes[at];
	struct sw_view raw, changeset;
	struct sw_commit c;
	size_t i;

	TEST_OK(sw_history_get(r->txn, seq, &raw));
	TEST_OK(sw_history_changeset(r->txn, seq, &changeset));
	TEST_OK(sw_commit_decode(raw, &c));
	i = sim_find_commit(s, &c.id);
	i = i ? i - 1 : add(s, &c, raw, changeset);
	check_parents(s, at, &c);
	if (is_new)
		check_stamp(s, at, r, &c);
	if (bit_get(&node->has, i))
		sim_fail(s, "order_extends_causality", "node %zu holds a commit twice", at);
	bit_set(&node->has, i);
	for (size_t k = 0; k < SW_HASH_SIZE; k++)
		node->set.b[k] ^= c.id.b[k];
	node->n++;
	if (c.stamp > node->stamp)
		node->stamp = c.stamp;
}

/* Commits in the store that are not in the line. */
static uint64_t count_out(const struct sw_reader *r)
{
	struct sw_view found, value;
	uint8_t key[9] = {0};
	uint64_t n = 0;
	size_t size = 0;

	while (sw_txn_ceil(r->txn, SW_SPACE_OUTCOMES, sw_view(key, size), &found, &value) > 0) {
		n += value.n == 1 && value.p[0] == SW_OUT;
		memcpy(key, found.p, 8);
		size = 9; /* behind it */
	}
	return n;
}

static void read_store(struct sim *s, size_t at, bool is_new)
{
	struct sim_node *node = &s->nodes[at];
	struct sw_reader r;
	uint64_t next;

	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	TEST_OK(sw_history_next_seq(r.txn, &next));
	while (node->next_seq < next)
		take(s, at, &r, node->next_seq++, is_new);
	if (node->n != r.head.count + count_out(&r))
		sim_fail(s, is_new ? "order_extends_causality" : "commits_are_whole",
			 "node %zu counts %llu commits and holds %llu", at,
			 (unsigned long long)r.head.count, (unsigned long long)node->n);
	if (node->n > 0)
		check_head(s, at, &r.head);
	sw_reader_end(&r);
}

/* Read the whole store anew; *before becomes what it held. */
static void read_again(struct sim *s, size_t at, struct sim_bits *before)
{
	struct sim_node *node = &s->nodes[at];

	*before = node->has;
	node->has = (struct sim_bits){0};
	node->set = sw_hash_zero;
	node->n = 0;
	node->next_seq = 1;
	node->stamp = 0;
	read_store(s, at, false);
}

static bool is_own(const struct sim *s, size_t at, size_t i)
{
	return sw_key_eq(&s->commits[i].author, sw_db_key(s->net.nodes[at].t.db));
}

/* An own commit that nobody ever got may have another in its place. What was promised of the one
 * holds for the other. */
static void note_resigned(struct sim *s, size_t at, const struct sim_bits *before)
{
	struct sim_node *node = &s->nodes[at];
	size_t n_new = 0;

	for (size_t i = 0; i < s->n_commits; i++)
		n_new += bit_get(&node->has, i) && !bit_get(before, i) && is_own(s, at, i);
	for (size_t i = 0; i < s->n_commits; i++) {
		if (!bit_get(before, i) || bit_get(&node->has, i) || !is_own(s, at, i) ||
		    n_new == 0)
			continue;
		if (s->commits[i].was_delivered && !s->nodes[at].is_twin)
			sim_fail(s, "only_unsent_is_resigned",
				 "node %zu has another in place of commit %zu", at, i);
		bit_clear(&node->promised, i);
		n_new--;
		s->stats->n_resigned++;
	}
	for (size_t i = 0; i < s->n_commits; i++)
		if (bit_get(&node->has, i) && !bit_get(before, i) && is_own(s, at, i))
			bit_set(&node->promised, i);
}

static uint64_t resigned_of(const struct sim *s, size_t at)
{
	struct sw_sync_counters counters = {0};

	if (s->net.nodes[at].sync)
		sw_sync_counters(s->net.nodes[at].sync, &counters);
	return counters.n_resigned;
}

/* Commits came; those that are not in the line do not move the head. */
static bool has_news(struct sim *s, size_t at)
{
	struct sw_head head;
	struct sw_reader r;
	uint64_t next;

	sw_db_head(s->net.nodes[at].t.db, &head);
	if (!s->is_governed)
		return head.count != s->nodes[at].n;
	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	TEST_OK(sw_history_next_seq(r.txn, &next));
	sw_reader_end(&r);
	return next != s->nodes[at].next_seq;
}

void sim_check_node(struct sim *s, size_t at)
{
	struct sim_node *node = &s->nodes[at];
	struct sim_bits before;

	if (s->net.nodes[at].t.env.is_dead)
		return;
	if (resigned_of(s, at) != node->n_resigned) {
		node->n_resigned = resigned_of(s, at);
		read_again(s, at, &before);
		note_resigned(s, at, &before);
		free(before.v);
	} else if (has_news(s, at)) {
		read_store(s, at, true);
	}
	node->clock_ms = clock_of(s, at);
}

static void check_promises(struct sim *s, size_t at, const char *invariant)
{
	const struct sim_node *node = &s->nodes[at];

	for (size_t i = 0; i < s->n_commits; i++)
		if (bit_get(&node->promised, i) && !bit_get(&node->has, i))
			sim_fail(s, invariant,
				 "node %zu has lost commit %zu, which it had told others of", at,
				 i);
}

void sim_check_reopened(struct sim *s, size_t at)
{
	struct sim_bits before;

	s->nodes[at].n_resigned = resigned_of(s, at);
	read_again(s, at, &before);
	note_resigned(s, at, &before);
	free(before.v);
	check_promises(s, at, "acknowledged_is_kept");
	sim_check_settled(s, at);
}

/* Promises */

static void promise(struct sim *s, size_t at, const struct sw_hash *id, const char *how)
{
	size_t i = sim_find_commit(s, id);

	if (!i || !bit_get(&s->nodes[at].has, i - 1))
		sim_fail(s, "acknowledged_is_kept", "node %zu %s a commit that is not in its store",
			 at, how);
	bit_set(&s->nodes[at].promised, i - 1);
}

void sim_check_told(struct sim *s, size_t at, const struct sw_hash *id)
{
	sim_check_node(s, at);
	promise(s, at, id, "reports");
}

/* MORE says that what came in answer to this turn is stored. */
static void check_more(struct sim *s, size_t at, uint64_t conn, uint64_t turn)
{
	struct sim_unacked **p = &s->nodes[at].unacked;

	while (*p) {
		struct sim_unacked *u = *p;

		if (u->conn != conn) {
			p = &u->next;
			continue;
		}
		if (u->turn == turn)
			promise(s, at, &u->id, "has acknowledged");
		*p = u->next;
		free(u);
	}
}

void sim_check_sent(struct sim *s, size_t at, uint64_t conn, struct sw_view message)
{
	static struct sw_message m; /* large */

	if (message.p[0] != SW_MSG_HEAD && message.p[0] != SW_MSG_PULL &&
	    message.p[0] != SW_MSG_MORE)
		return;
	sim_check_node(s, at);
	TEST_OK(sw_message_decode(message, &m));
	if (m.type == SW_MSG_MORE)
		check_more(s, at, conn, m.turn);
	for (size_t i = 0; i < m.n_hashes && m.type != SW_MSG_MORE; i++)
		promise(s, at, &m.hashes[i], "tells of");
	sw_message_fini(&m);
}

void sim_check_delivered(struct sim *s, size_t at, uint64_t conn, struct sw_view message)
{
	static struct sw_message m;
	struct sw_view changeset;
	SW_BUF raw = {0};
	struct sw_rd r;

	if (message.p[0] != SW_MSG_COMMITS)
		return;
	TEST_OK(sw_message_decode(message, &m));
	r = sw_rd(m.body);
	while (sw_body_next_commit(&r, sw_db_id(s->net.nodes[at].t.db), &raw, &changeset) > 0) {
		struct sim_unacked *u = calloc(1, sizeof(*u));
		struct sw_commit c;
		size_t known;

		assert_non_null(u);
		TEST_OK(sw_commit_decode(sw_buf_view(&raw), &c));
		known = sim_find_commit(s, &c.id);
		if (known)
			s->commits[known - 1].was_delivered = true;
		*u = (struct sim_unacked){s->nodes[at].unacked, conn, m.turn, c.id};
		s->nodes[at].unacked = u;
		sw_buf_reset(&raw);
	}
	sw_message_fini(&m);
}

/* The end */

uint64_t sim_check_latest(const struct sim *s)
{
	uint64_t stamp = 0;

	for (size_t i = 0; i < s->net.n_nodes; i++)
		if (!s->nodes[i].has_left && s->nodes[i].stamp > stamp)
			stamp = s->nodes[i].stamp;
	return stamp;
}

/* What removed keys signed, and nothing stands on, goes nowhere. */
static bool is_out(struct sim *s, size_t at, size_t i)
{
	struct sw_reader r;
	bool in_line;

	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	in_line = is_in_line(&r, &s->commits[i].id);
	sw_reader_end(&r);
	return !in_line;
}

/* What node k had told of, of the 64 commits of a word, and i does not have. */
static void check_lost_word(struct sim *s, size_t k, size_t i, size_t w)
{
	uint64_t lost =
	    s->nodes[k].promised.v[w] & ~(w < s->nodes[i].has.cap ? s->nodes[i].has.v[w] : 0);

	for (size_t b = 0; b < 64; b++)
		if (lost >> b & 1 && !is_out(s, k, 64 * w + b))
			sim_fail(s, "no_commit_is_lost", "node %zu lacks what node %zu had", i, k);
}

static void check_lost(struct sim *s)
{
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		if (s->nodes[i].has_left || sim_is_out(s, i))
			continue;
		for (size_t k = 0; k < s->net.n_nodes; k++)
			for (size_t w = 0; !s->nodes[k].has_left && !sim_is_out(s, k) &&
					   w < s->nodes[k].promised.cap;
			     w++)
				check_lost_word(s, k, i, w);
	}
}

static void check_oracle(struct sim *s, size_t at)
{
	struct oracle o = {0};
	struct sw_hash line, state;
	struct sw_head head;
	bool has_all = true;

	sw_db_head(s->net.nodes[at].t.db, &head);
	if (head.count > ORACLE_COMMITS_MAX)
		return;
	for (size_t i = 0; i < s->n_commits; i++) {
		const struct sim_commit *c = &s->commits[i];
		struct sw_changeset changes;
		struct sw_op op;

		if (!bit_get(&s->nodes[at].has, i))
			continue;
		TEST_OK(sw_changeset_begin(&changes, sw_buf_view(&c->changeset)));
		while (sw_changeset_next(&changes, &op) > 0) {
			SW_BUF bytes = {0};

			if (op.kind == SW_OP_GENESIS)
				oracle_init(&o, &op.salt);
			if (op.kind != SW_OP_PUT || !op.row.is_blob)
				continue;
			has_all &= sim_read_anywhere(s, at, &op.row, &bytes);
			oracle_learn(&o, sw_buf_view(&bytes));
		}
	}
	if (!has_all) {
		oracle_fini(&o);
		return; /* all have freed some of it */
	}
	for (size_t i = 0; i < s->n_commits; i++)
		if (bit_get(&s->nodes[at].has, i))
			oracle_add(&o, sw_buf_view(&s->commits[i].raw),
				   sw_buf_view(&s->commits[i].changeset));
	oracle_fold(&o, o.n);
	line = oracle_line(&o, o.n);
	state = oracle_state(&o);
	if (oracle_count(&o) != head.count || !sw_hash_eq(&line, &head.line) ||
	    !sw_hash_eq(&state, &head.state))
		sim_fail(s, "oracle",
			 "the %s of node %zu is not that of the naive fold of its %llu commits",
			 !sw_hash_eq(&line, &head.line) ? "line" : "state", at,
			 (unsigned long long)head.count);
	oracle_fini(&o);
	s->stats->n_oracles++;
}

void sim_check_end(struct sim *s)
{
	struct sw_verify_report report;
	size_t n = 0;

	for (size_t i = 0; i < s->net.n_nodes; i++)
		if (!s->nodes[i].has_left)
			check_promises(s, i, "no_commit_is_lost");
	check_lost(s);
	check_oracle(s, 0);
	sim_check_settled_end(s, 0);
	for (size_t k = 0; k < s->net.n_nodes && n < VERIFY_NODES_MAX; k++) {
		size_t i = (k + s->plan->seed) % s->net.n_nodes;

		if (s->nodes[i].has_left)
			continue;
		if (sw_db_verify(s->net.nodes[i].t.db, &report) < 0)
			sim_fail(s, "verify_is_clean", "node %zu: %s", i,
				 sw_fail_message(SW_ECORRUPT));
		n++;
	}
}

void sim_check_fini(struct sim *s)
{
	for (size_t i = 0; i < s->n_commits; i++) {
		sw_buf_fini(&s->commits[i].raw);
		sw_buf_fini(&s->commits[i].changeset);
	}
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		struct sim_node *node = &s->nodes[i];

		free(node->has.v);
		free(node->promised.v);
		while (node->unacked) {
			struct sim_unacked *u = node->unacked;

			node->unacked = u->next;
			free(u);
		}
	}
	free(s->commits);
	free(s->by_id);
	free(s->sets);
}
