/* What the actions of a plan do. */
#include "tests/sim/sim.h"

#include "core/gc.h"

#include "tests/lib/content.h"

#define OPS_MAX      4
#define DAY_MS       86400000
#define DOWN_MS_MAX  8000
#define BLOCK_MS_MAX 30000
#define TICKET_MS    (365 * (uint64_t)DAY_MS)

static const char *const tables[SIM_TABLES] = {"t", "u"};
static const char *const keys[SIM_KEYS] = {"a.json", "b.json", "c.json", "plain", "text"};

struct sw_view sim_table(size_t row)
{
	return sw_view_str(tables[row / SIM_KEYS]);
}

struct sw_view sim_key(size_t row)
{
	return sw_view_str(keys[row % SIM_KEYS]);
}

static bool one_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

/* Writes that go past the working set, as those of commands do */

static void read_row(struct sim *s, size_t at, size_t row, struct sw_hash *hash,
		     struct sw_buf *bytes)
{
	struct sw_reader r;
	struct sw_row stands;
	int rc;

	*hash = sw_hash_zero;
	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	rc = sw_state_row(r.nodes, &r.head.state, sim_table(row), sim_key(row), &stands);
	if (rc == 0) {
		sw_row_hash(&stands, hash);
		rc = sw_row_read(r.nodes, &stands, bytes);
	}
	assert_true(rc == 0 || rc == SW_ENOTFOUND);
	sw_reader_end(&r);
}

static void choose_meta(struct rng *r, struct sw_op *op)
{
	op->row.mode = one_in(r, 4) ? 0600 : 0644;
	op->row.mtime_ns = 1000000000 * (int64_t)rng_below(r, 5) + rng_below(r, 3);
}

static struct sw_hash choose_commit(const struct sim *s, struct rng *r)
{
	return s->commits[rng_below(r, (uint32_t)s->n_commits)].id;
}

static void choose_row_op(struct sim *s, size_t at, enum sw_mode mode, struct rng *r,
			  struct sw_write_op *out, struct sw_buf *content)
{
	size_t row = rng_below(r, SIM_ROWS);
	struct sw_op *op = &out->op;
	uint32_t dice = rng_below(r, 100);
	SW_BUF base = {0};

	op->table = sim_table(row);
	op->key = sim_key(row);
	choose_meta(r, op);
	read_row(s, at, row, &op->old, &base);
	if (one_in(r, 12))
		op->old = sw_hash_zero; /* as somebody who never saw it */
	if (dice < 75) {
		op->kind = SW_OP_PUT;
		content_make(r, op->key, sw_buf_view(&base), content);
		out->content = sw_buf_view(content);
	} else if (dice < 88) {
		op->kind = SW_OP_DELETE;
	} else if (mode == SW_MODE_STRICT) {
		op->kind = SW_OP_CHECK;
	} else if (dice < 94) {
		op->kind = SW_OP_RESOLVE;
		op->commit = choose_commit(s, r);
	} else {
		op->kind = SW_OP_CHMETA;
	}
}

static void choose_op(struct sim *s, size_t at, enum sw_mode mode, struct rng *r,
		      struct sw_write_op *out, struct sw_buf *content)
{
	uint32_t dice = rng_below(r, 100);

	*out = (struct sw_write_op){0};
	if (dice < 88) {
		choose_row_op(s, at, mode, r, out, content);
		return;
	}
	out->op.table = sw_view_str(tables[rng_below(r, SIM_TABLES)]);
	choose_meta(r, &out->op);
	if (dice < 91) {
		out->op.kind = SW_OP_MKTABLE;
	} else if (dice < 94) {
		out->op.kind = SW_OP_RMTABLE;
	} else if (dice < 96) {
		out->op.kind = SW_OP_CHMETA;
	} else {
		out->op.kind = SW_OP_TAG;
		out->op.table = sw_view_str(one_in(r, 2) ? "v1" : "v2");
		out->op.commit = one_in(r, 3) ? sw_hash_zero : choose_commit(s, r);
	}
}

static void write_commit(struct sim *s, size_t at, enum sw_mode mode, struct rng *r)
{
	struct sw_write_op ops[OPS_MAX];
	struct sw_buf contents[OPS_MAX] = {{0}};
	struct sw_write w = {.mode = mode, .ops = ops};
	size_t want = 1 + (one_in(r, 3) ? rng_below(r, OPS_MAX) : 0);
	struct sw_hash id;
	int rc;

	for (size_t i = 0; i < want; i++) {
		bool repeats = false;

		sw_buf_fini(&contents[w.n]);
		choose_op(s, at, mode, r, &ops[w.n], &contents[w.n]);
		for (size_t k = 0; k < w.n; k++)
			repeats |= sw_op_cmp(&ops[k].op, &ops[w.n].op) == 0;
		w.n += !repeats;
	}
	rc = sw_db_commit(s->net.nodes[at].t.db, &w, &id);
	for (size_t i = 0; i < OPS_MAX; i++)
		sw_buf_fini(&contents[i]);
	if (rc == 0 && !sw_hash_is_zero(&id) && !s->net.nodes[at].t.env.is_dead)
		sim_check_told(s, at, &id);
	if (rc < 0 && !sim_work_may_fail(s, at, rc) &&
	    !(rc == SW_ECONFLICT && mode == SW_MODE_STRICT))
		sim_fail(s, "write", "node %zu cannot commit: %s", at, sw_fail_message(rc));
}

static int role_of(struct sim *s, size_t at)
{
	struct sw_reader r;
	int role = 0;

	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	TEST_OK(sw_db_role(&r, sw_db_key(s->net.nodes[at].t.db), &role));
	sw_reader_end(&r);
	return role;
}

static bool may_write(struct sim *s, size_t at)
{
	return role_of(s, at) >= SW_ROLE_WRITER;
}

/* Nodes */

static void grant(struct sim *s, size_t at)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT,
					.member = *sw_db_key(s->net.nodes[at].t.db),
					.role = SW_ROLE_WRITER}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(s->net.nodes[0].t.db, &w, &id));
	sim_check_told(s, 0, &id);
}

/* Nobody dials one and the same peer in two ways. */
static bool is_linked(const struct sim *s, size_t from, size_t to)
{
	for (size_t i = 0; i < s->net.n_links; i++)
		if (s->net.links[i].ends[0] == from && s->net.links[i].ends[1] == to)
			return true;
	return false;
}

size_t sim_add_node(struct sim *s, bool with_ticket, struct rng *r)
{
	size_t at = net_add_clone(&s->net), n_more = rng_below(r, 3);
	struct net_node *node = &s->net.nodes[at];

	node->phase_ms = rng_below(r, 100);
	s->nodes[at] = (struct sim_node){.next_seq = 1, .down_ms = 1000};
	/* Who was let in without its ticket needs it still, to know whom to believe. */
	if (!with_ticket)
		grant(s, at);
	net_ticket(&s->net, 0, TICKET_MS, &s->tickets[at]);
	net_connect(&s->net, at, 0, &s->tickets[at]);
	for (size_t i = 0; i < n_more && at > 1; i++) {
		size_t to = rng_below(r, (uint32_t)at), from = at;

		if (one_in(r, 2)) {
			from = to;
			to = at;
		}
		if (!is_linked(s, from, to))
			net_connect(&s->net, from, to, NULL);
	}
	if (one_in(r, 4))
		s->net.links[s->net.n_links - 1].delay_ms_max = rng_below(r, 400);
	return at;
}

/*
 * Many at once: one commit lets all in, and each fetches it from one that was there before. (With a
 * commit for each, most of the time would go into everybody's taking everybody's grant.)
 */
void sim_add_many(struct sim *s, size_t n, struct rng *r)
{
	struct sw_write_op *ops = calloc(n, sizeof(*ops));
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = ops, .n = n};
	struct sw_hash id;

	assert_non_null(ops);
	for (size_t i = 0; i < n; i++) {
		size_t at = net_add_clone(&s->net), to = rng_below(r, (uint32_t)at);

		s->net.nodes[at].phase_ms = rng_below(r, 100);
		s->nodes[at] = (struct sim_node){.next_seq = 1, .down_ms = 1000};
		s->tickets[at].inviter = *sw_db_key(s->net.nodes[to].t.db);
		net_connect(&s->net, at, to, &s->tickets[at]);
		ops[i].op = (struct sw_op){.kind = SW_OP_GRANT,
					   .member = *sw_db_key(s->net.nodes[at].t.db),
					   .role = SW_ROLE_WRITER};
	}
	TEST_OK(sw_db_commit(s->net.nodes[0].t.db, &w, &id));
	sim_check_told(s, 0, &id);
	free(ops);
}

static void act_join(struct sim *s, struct rng *r)
{
	if (!sim_is_up(s, 0) || s->net.nodes[0].t.env.fail_in > 0 ||
	    s->net.n_nodes == s->net.nodes_max)
		return;
	sim_add_node(s, one_in(r, 2), r);
}

static void act_leave(struct sim *s, size_t at)
{
	if (at == 0 || !sim_is_up(s, at))
		return;
	s->nodes[at].has_left = true;
	for (size_t i = 0; i < s->net.n_links; i++)
		if (s->net.links[i].ends[0] == at || s->net.links[i].ends[1] == at)
			s->net.links[i].manual = true;
	sim_work_die(s, at, NULL);
	net_stop(&s->net, at);
	for (size_t i = 0; i < s->net.n_links; i++)
		if (s->net.links[i].manual)
			s->net.links[i].again_ms = 0;
}

/* The creator, or now and then another admin, as far as that one knows. */
static size_t choose_admin(struct sim *s, struct rng *r)
{
	size_t at = rng_below(r, 2) * rng_below(r, (uint32_t)s->net.n_nodes);

	return sim_is_up(s, at) && role_of(s, at) == SW_ROLE_ADMIN ? at : 0;
}

/* It has its ticket no more: most have one that they did not need, and would join with it again. */
static void lose_ticket(struct sim *s, size_t at)
{
	for (size_t i = 0; i < s->net.n_links; i++)
		if (s->net.links[i].ticket == &s->tickets[at])
			s->net.links[i].ticket = NULL;
}

/* Whoever is demoted stays a writer, whoever is removed is out, unless the admin is it; admins of
 * one rank may remove each other. */
static void act_govern(struct sim *s, enum sim_kind kind, size_t at, struct rng *r)
{
	struct sw_write_op ops[2] = {{.op = {.kind = SW_OP_FLOOR}}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = ops, .n = 1};
	size_t by = choose_admin(s, r);
	struct sw_op grant = {.kind = SW_OP_GRANT,
			      .role = kind == SIM_PROMOTE ? SW_ROLE_ADMIN : SW_ROLE_WRITER};
	struct sw_hash id;
	int rc;

	if (!sim_is_up(s, by) || s->net.nodes[by].t.env.fail_in > 0)
		return;
	if (kind != SIM_FLOOR) {
		if (at == 0 || at == by || s->nodes[at].has_left || !may_write(s, at))
			return;
		grant.member = *sw_db_key(s->net.nodes[at].t.db);
		ops[0].op = grant;
		if (kind != SIM_PROMOTE)
			ops[0].op = (struct sw_op){.kind = SW_OP_REVOKE, .member = grant.member};
		if (kind == SIM_DEMOTE)
			ops[w.n++].op = grant;
		s->nodes[at].was_revoked |= kind != SIM_PROMOTE;
		if (kind == SIM_REMOVE && one_in(r, 2))
			lose_ticket(s, at);
	}
	s->is_governed = true;
	rc = sw_db_commit(s->net.nodes[by].t.db, &w, &id);
	if (rc < 0)
		sim_fail(s, "write", "node %zu cannot change members: %s", by, sw_fail_message(rc));
	sim_check_told(s, by, &id);
}

/* The first node keeps everything, and whoever lacks what others have freed gets it there. A step
 * may fail, or the node may die of it. */
static void act_gc(struct sim *s, size_t at)
{
	bool may_fail = s->net.nodes[at].t.env.fail_in > 0;
	struct sw_gc_options options = {.batch = 16};
	struct sw_gc_report report;
	int rc;

	if (at == 0)
		return;
	s->has_freed = true;
	rc = sw_db_gc(s->net.nodes[at].t.db, &options, &report);
	if (rc < 0 && !may_fail)
		sim_fail(s, "write", "node %zu cannot free: %s", at, sw_fail_message(rc));
	s->stats->n_freed += report.n_commits;
	sim_trace(s, "  %llu commits freed at %zu", (unsigned long long)report.n_commits, at);
}

static void act_crash(struct sim *s, size_t at, struct rng *r)
{
	struct test_env *env = &s->net.nodes[at].t.env;

	env->fail_in = 1 + (int)rng_below(r, one_in(r, 3) ? 12 : 3);
	env->fail_rc = one_in(r, 2) ? 0 : SW_EIO;
	env->dies = true;
	s->nodes[at].by_power = one_in(r, 2);
	s->nodes[at].down_ms = 1 + rng_below(r, one_in(r, 4) ? 40000 : DOWN_MS_MAX);
}

static void act_fault(struct sim *s, size_t at, struct rng *r)
{
	struct test_env *env = &s->net.nodes[at].t.env;

	if (env->fail_in > 0)
		return;
	env->fail_in = 1 + (int)rng_below(r, 3);
	env->fail_rc = one_in(r, 2) ? SW_ENOSPC : SW_EIO;
	env->dies = false;
}

/* A fault that waits may strike in closing or in opening: then sim_settle() does the rest. */
static void act_restart(struct sim *s, size_t at)
{
	const struct test_env *env = &s->net.nodes[at].t.env;
	bool may_fail = env->fail_in > 0;
	int rc;

	sim_work_close(s, at);
	if (env->is_dead)
		return;
	sim_check_node(s, at);
	net_lose(&s->net, at, 0);
	rc = env->is_dead ? SW_EIO : net_reopen(&s->net, at);
	if (rc < 0) {
		if (!may_fail)
			sim_fail(s, "opens", "node %zu: %s", at, sw_fail_message(rc));
		s->nodes[at].back_ms = s->net.now_ms + s->nodes[at].down_ms;
		return;
	}
	if (env->is_dead)
		return;
	sim_check_reopened(s, at);
	sim_work_open(s, at);
}

/* Its disk is copied while it is off, and the copy goes on on a machine of its own, which knows the
 * first one's address. */
static void note_copied(struct sim *s, const struct sw_key *key)
{
	struct sim_copied *v = realloc(s->copied, (s->n_copied + 1) * sizeof(*v));

	assert_non_null(v);
	s->copied = v;
	v[s->n_copied++] = (struct sim_copied){.key = *key, .first = s->n_commits};
}

static void act_copy(struct sim *s, size_t at, struct rng *r)
{
	struct test_env *env = &s->net.nodes[at].t.env;
	size_t copy;

	if (at == 0 || env->fail_in > 0 || s->net.n_nodes == s->net.nodes_max || !may_write(s, at))
		return;
	sim_work_close(s, at);
	sim_check_node(s, at);
	note_copied(s, sw_db_key(s->net.nodes[at].t.db));
	net_lose(&s->net, at, 0);
	copy = net_add_copy(&s->net, at);
	TEST_OK(net_reopen(&s->net, at));
	s->nodes[at].is_twin = true;
	s->nodes[copy] = (struct sim_node){.next_seq = 1,
					   .down_ms = 1000,
					   .is_twin = true,
					   .was_revoked = s->nodes[at].was_revoked,
					   .txn = s->nodes[at].txn};
	s->net.nodes[copy].phase_ms = rng_below(r, 100);
	net_connect(&s->net, copy, at, NULL);
	net_connect(&s->net, copy, 0, NULL);
	sim_check_reopened(s, at);
	sim_check_reopened(s, copy);
	sim_work_open(s, at);
	sim_work_open(s, copy);
	s->stats->n_twins++;
}

/* The network */

static struct net_link *choose_link(struct sim *s, struct rng *r)
{
	return s->net.n_links ? &s->net.links[rng_below(r, (uint32_t)s->net.n_links)] : NULL;
}

static void act_cut(struct sim *s, struct rng *r)
{
	struct net_link *l = choose_link(s, r);

	if (l)
		net_cut_half(&s->net, l, rng_below(r, 2),
			     s->net.now_ms + (one_in(r, 2) ? rng_below(r, 12000) : 0));
}

static void block(struct sim *s, struct net_link *l, size_t k, uint64_t ms)
{
	if (l->pipes[k].blocked_until_ms < s->net.now_ms + ms)
		l->pipes[k].blocked_until_ms = s->net.now_ms + ms;
}

static void act_block(struct sim *s, struct rng *r)
{
	struct net_link *l = choose_link(s, r);

	if (l)
		block(s, l, rng_below(r, 2), 1 + rng_below(r, BLOCK_MS_MAX));
}

static void act_partition(struct sim *s, struct rng *r)
{
	uint64_t ms = 1000 + rng_below(r, 2 * BLOCK_MS_MAX), sides = rng_next(r);
	bool both = one_in(r, 2);

	for (size_t i = 0; i < s->net.n_links; i++) {
		struct net_link *l = &s->net.links[i];
		bool a = sides >> l->ends[0] % 64 & 1, b = sides >> l->ends[1] % 64 & 1;

		if (a == b)
			continue;
		if (a || both)
			block(s, l, 0, ms);
		if (b || both)
			block(s, l, 1, ms);
	}
}

static void act_clock(struct sim *s, size_t at, struct rng *r)
{
	static const int64_t jumps[] = {0,    0,     500,    -500,  5000,   -5000,
					9900, 15000, -60000, 60000, DAY_MS, -DAY_MS};
	struct net_node *node = &s->net.nodes[at];

	node->skew_ms = jumps[rng_below(r, sizeof(jumps) / sizeof(jumps[0]))];
	if (node->skew_ms)
		node->skew_ms += (int64_t)rng_below(r, 200) - 100;
	net_set_clock(&s->net, at);
	sim_trace(s, "  clock of %zu is %lld ms off", at, (long long)node->skew_ms);
}

static void act_together(struct sim *s, struct rng *r)
{
	for (size_t i = 0; i < s->net.n_nodes; i++)
		if (sim_is_up(s, i) && one_in(r, 2) && may_write(s, i))
			write_commit(s, i, SW_MODE_MERGE, r);
}

static void act_at(struct sim *s, size_t at, enum sim_kind kind, struct rng *r)
{
	switch (kind) {
	case SIM_WRITE:
	case SIM_STRICT:
		if (may_write(s, at))
			write_commit(s, at, kind == SIM_WRITE ? SW_MODE_MERGE : SW_MODE_STRICT, r);
		break;
	case SIM_EDIT:
	case SIM_SYNC:
	case SIM_UNLINK:
	case SIM_RENAME:
	case SIM_COMMIT:
		if (may_write(s, at))
			sim_work_act(s, at, kind, r);
		break;
	case SIM_CRASH:
		act_crash(s, at, r);
		break;
	case SIM_FAULT:
		act_fault(s, at, r);
		break;
	case SIM_RESTART:
		act_restart(s, at);
		break;
	case SIM_DEAF:
		s->net.nodes[at].deaf_until_ms = s->net.now_ms + 100 + rng_below(r, 20000);
		break;
	case SIM_SLEEP:
		net_sleep(&s->net, at, 100 + rng_below(r, one_in(r, 4) ? DAY_MS : 40000));
		break;
	case SIM_CLOCK:
		act_clock(s, at, r);
		break;
	case SIM_LEAVE:
		act_leave(s, at);
		break;
	case SIM_TXN:
		if (may_write(s, at))
			sim_txn_act(s, at, r);
		break;
	case SIM_COPY:
		act_copy(s, at, r);
		break;
	case SIM_DEMOTE:
	case SIM_REMOVE:
	case SIM_PROMOTE:
	case SIM_FLOOR:
		act_govern(s, kind, at, r);
		break;
	case SIM_GC:
		act_gc(s, at);
		break;
	default:
		break;
	}
}

void sim_act(struct sim *s, const struct sim_action *a)
{
	struct rng r = {a->seed};

	s->stats->n_actions++;
	sim_trace(s, "%llu: %s at %zu", (unsigned long long)s->net.now_ms, sim_kind_name(a->kind),
		  a->node);
	switch (a->kind) {
	case SIM_TOGETHER:
		act_together(s, &r);
		break;
	case SIM_CUT:
		act_cut(s, &r);
		break;
	case SIM_BLOCK:
		act_block(s, &r);
		break;
	case SIM_PARTITION:
		act_partition(s, &r);
		break;
	case SIM_BREAKS:
		s->net.break_one_in = 2 + rng_below(&r, 100);
		s->breaks_until_ms = s->net.now_ms + rng_below(&r, 10000);
		break;
	case SIM_JOIN:
		act_join(s, &r);
		break;
	default:
		if (sim_is_up(s, a->node))
			act_at(s, a->node, a->kind, &r);
	}
}
