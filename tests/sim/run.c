/* A run: a world is set up, the plan happens to it, then everything is healed and judged. */
#include "tests/sim/sim.h"

#include <stdarg.h>

#include "core/hlc.h"
#include "core/log.h"
#include "core/members.h"

#define MAP_SIZE     ((size_t)1 << 30)
#define LINKS_MAX(n) (4 * (n) + 8)
#define CONVERGE_MS  60000
#define SETTLE_MS    15000
#define SETTLE_EACH_MS 100
#define BIG_WORLD    64

/* Telling what happens */

void sim_mix(struct sim *s, struct sw_view bytes)
{
	uint64_t h = s->stats->hash;

	for (size_t i = 0; i < bytes.n; i++)
		h = (h ^ bytes.p[i]) * 0x100000001b3u;
	s->stats->hash = h;
}

static void mix_number(struct sim *s, uint64_t n)
{
	s->stats->hash = (s->stats->hash ^ n) * 0x9e3779b97f4a7c15u;
}

void sim_trace(struct sim *s, const char *format, ...)
{
	va_list args;

	if (!s->trace)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void sim_fail(struct sim *s, const char *invariant, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	snprintf(s->stats->broken, sizeof(s->stats->broken), "%s", invariant);
	fprintf(stderr, "seed %llu, at %llu ms: %s is broken: ", (unsigned long long)s->plan->seed,
		(unsigned long long)s->net.now_ms, invariant);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* The network's watch */

static void on_sent(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message)
{
	struct sim *s = arg;

	(void)to;
	if (!s->nodes[from].is_liar)
		sim_check_sent(s, from, conn, message);
}

static void on_delivered(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message)
{
	struct sim *s = arg;

	s->stats->n_messages++;
	mix_number(s, s->net.now_ms);
	mix_number(s, from << 16 | to);
	sim_mix(s, message);
	sim_trace(s, "%llu: message %u of %zu bytes from %zu to %zu",
		  (unsigned long long)s->net.now_ms, message.p[0], message.n, from, to);
	if (!s->nodes[from].is_liar && !s->nodes[to].is_liar)
		sim_check_delivered(s, to, conn, message);
}

/* Nobody lies here, so nobody may be taken for a liar. */
static void on_dropped(void *arg, size_t node, size_t peer, const char *reason)
{
	static const char *const lies[] = {"which cannot be", "malformed",       "nobody asked",
					   "too often",       "not listened to", "not wanted",
					   "our own key"};
	struct sim *s = arg;

	sim_trace(s, "%llu: %zu drops %zu: %s", (unsigned long long)s->net.now_ms, node, peer,
		  reason);
	if (s->nodes[peer].is_liar) {
		s->nodes[peer].n_drops++;
		return;
	}
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (strstr(reason, lies[i]))
			sim_fail(s, "honest_is_believed", "node %zu dropped node %zu: %s", node,
				 peer, reason);
}

static void on_row_changed(void *arg, size_t node, const struct sw_change *change)
{
	sim_work_note(arg, node, change);
}

static void on_stepped(void *arg, size_t node, bool is_tick)
{
	struct sim *s = arg;

	if (is_tick) {
		s->stats->n_ticks++;
		mix_number(s, s->net.now_ms * 65537 + node);
	}
	sim_check_node(s, node);
	if (is_tick && s->nodes[node].work && !s->net.nodes[node].t.env.is_dead)
		sim_work_run(s, node);
	sim_check_node(s, node);
	if (is_tick && !s->net.nodes[node].t.env.is_dead)
		sim_check_settled(s, node);
}

/* What the engines have to say is of no interest here. */
static void log_nothing(enum sw_log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* Crashes */

bool sim_is_up(const struct sim *s, size_t at)
{
	const struct net_node *node = &s->net.nodes[at];

	return at < s->net.n_nodes && node->sync && !node->t.env.is_dead &&
	       node->asleep_until_ms == 0 && !s->nodes[at].has_left;
}

bool sim_is_out(const struct sim *s, size_t at)
{
	struct sw_db *creator = s->net.nodes[0].t.db, *db = s->net.nodes[at].t.db;
	struct sw_reader r;
	int role;

	if ((!s->nodes[at].was_revoked && !s->nodes[at].is_twin) || !creator || !db)
		return false;
	TEST_OK(sw_reader_begin(creator, &r));
	TEST_OK(sw_db_role(&r, sw_db_key(db), &role));
	sw_reader_end(&r);
	return role == 0;
}

static void bury(struct sim *s, size_t at)
{
	struct sim_node *node = &s->nodes[at];
	struct rng r = {s->plan->seed ^ s->net.now_ms ^ at};

	sim_trace(s, "%llu: %zu dies at %s%s", (unsigned long long)s->net.now_ms, at, node->died_at,
		  node->by_power ? ", with its power" : "");
	s->stats->n_crashes++;
	sim_work_die(s, at, &r);
	/* Who is killed is missed at once, who loses power later. */
	net_lose(&s->net, at, node->by_power ? s->net.now_ms + rng_below(&r, 12000) : 0);
	node->back_ms = s->net.now_ms + node->down_ms;
}

static void revive(struct sim *s, size_t at)
{
	struct sim_node *node = &s->nodes[at];
	struct test_env *env = &s->net.nodes[at].t.env;
	struct sw_verify_report report;

	sim_trace(s, "%llu: %zu is back", (unsigned long long)s->net.now_ms, at);
	env->is_dead = env->dies = false;
	env->fail_in = 0;
	node->back_ms = 0;
	TEST_OK(net_reopen(&s->net, at));
	sim_check_reopened(s, at);
	if (node->n > 0 && sw_db_verify(s->net.nodes[at].t.db, &report) < 0)
		sim_fail(s, "verify_is_clean", "node %zu after a crash: %s", at,
			 sw_fail_message(SW_ECORRUPT));
	sim_work_open(s, at);
	sim_work_check(s, at);
	sim_txn_check(s, at);
}

void sim_settle(struct sim *s)
{
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		struct sim_node *node = &s->nodes[i];

		if (node->has_left)
			continue;
		if (s->net.nodes[i].t.db && s->net.nodes[i].t.env.is_dead)
			bury(s, i);
		if (!s->net.nodes[i].t.db && node->back_ms <= s->net.now_ms)
			revive(s, i);
		if (!node->work && node->n > 0 && sim_is_up(s, i))
			sim_work_open(s, i);
	}
	if (s->breaks_until_ms <= s->net.now_ms)
		s->net.break_one_in = 0;
}

void sim_advance(struct sim *s, uint64_t until_ms)
{
	while (s->net.now_ms < until_ms) {
		uint64_t next_ms = until_ms;

		for (size_t i = 0; i < s->net.n_nodes; i++)
			if (s->nodes[i].back_ms > s->net.now_ms && s->nodes[i].back_ms < next_ms)
				next_ms = s->nodes[i].back_ms;
		net_advance(&s->net, next_ms);
		sim_settle(s);
	}
}

/* The beginning and the end */

void sim_init(struct sim *s, const struct sim_plan *plan, bool trace, struct sim_stats *stats)
{
	struct rng r = {plan->seed ^ 0x51};

	*s = (struct sim){.plan = plan, .trace = trace, .stats = stats};
	sw_log_set_sink(log_nothing);
	net_init_for(&s->net, plan->seed, plan->nodes_max, LINKS_MAX(plan->nodes_max));
	s->net.map_size = MAP_SIZE;
	s->net.delay_ms_max = 1 + rng_below(&r, rng_below(&r, 3) ? 20 : 300);
	s->net.queue_max = rng_below(&r, 3) ? NET_QUEUE_MAX : 100000 + rng_below(&r, 200000);
	/* In one of four, programs' writes that cross are dropped. */
	s->net.conflict = rng_below(&r, 4) == 0 ? SW_CONFLICT_DROP : SW_CONFLICT_MERGE;
	s->stats->n_drop += s->net.conflict == SW_CONFLICT_DROP;
	s->net.watch = (struct net_watch){.arg = s,
					  .sent = on_sent,
					  .delivered = on_delivered,
					  .dropped = on_dropped,
					  .row_changed = on_row_changed,
					  .stepped = on_stepped};
	s->nodes = calloc(plan->nodes_max, sizeof(*s->nodes));
	s->tickets = calloc(plan->nodes_max, sizeof(*s->tickets));
	assert_non_null(s->nodes);
	assert_non_null(s->tickets);
	s->nodes[0] = (struct sim_node){.next_seq = 1, .down_ms = 1000};
	net_add_creator(&s->net);
	sim_check_node(s, 0);
	sim_work_open(s, 0);
	if (plan->peers > BIG_WORLD)
		sim_add_many(s, plan->peers - 1, &r);
	for (size_t i = s->net.n_nodes; i < plan->peers; i++)
		sim_add_node(s, rng_below(&r, 4) == 0, &r);
}

void sim_fini(struct sim *s)
{
	for (size_t i = 0; i < s->net.n_nodes; i++)
		sim_work_close(s, i);
	sim_check_fini(s);
	net_fini(&s->net);
	free(s->copied);
	free(s->nodes);
	free(s->tickets);
}

/* Whoever was connected through one that has left, or is out, has another way. */
static void bridge(struct sim *s)
{
	size_t before = 0;

	for (size_t i = 1; i < s->net.n_nodes; i++) {
		bool has_link = false;

		if (s->nodes[i].has_left || sim_is_out(s, i))
			continue;
		for (size_t k = 0; k < s->net.n_links; k++) {
			const struct net_link *l = &s->net.links[k];

			has_link |= l->ends[0] == before && l->ends[1] == i;
		}
		/* Dialled by the one that was there before: it knows that the other is a member. */
		if (!has_link && s->net.n_links < s->net.links_max)
			net_connect(&s->net, before, i, NULL);
		before = i;
	}
}

/* Who lacks what others have freed finds the first node, which has not. It knows the members among them. */
static void connect_to_keeper(struct sim *s)
{
	for (size_t i = 1; i < s->net.n_nodes && s->has_freed; i++)
		if (!s->nodes[i].has_left && s->net.n_links < s->net.links_max)
			net_connect(&s->net, 0, i, NULL);
}

static void heal(struct sim *s)
{
	s->net.break_one_in = 0;
	s->breaks_until_ms = 0;
	for (size_t i = 0; i < s->net.n_links; i++)
		for (size_t k = 0; k < 2; k++)
			s->net.links[i].pipes[k].blocked_until_ms = 0;
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		struct net_node *node = &s->net.nodes[i];

		node->t.env.fail_in = 0;
		node->skew_ms = 0;
		node->deaf_until_ms = 0;
		net_wake(&s->net, i);
		if (s->nodes[i].back_ms > s->net.now_ms)
			s->nodes[i].back_ms = s->net.now_ms;
	}
	bridge(s);
	connect_to_keeper(s);
	s->is_healed = true;
}

/* Clocks go on to where every commit can be taken. */
static void catch_up(struct sim *s)
{
	uint64_t latest_ms = sw_hlc_ms(sim_check_latest(s)), wall_ms = NET_EPOCH_MS + s->net.now_ms;

	if (latest_ms <= wall_ms)
		return;
	s->net.epoch_ms = (int64_t)(latest_ms - wall_ms);
	s->stats->n_held += latest_ms > wall_ms + SW_SKEW_MS;
}

/* Whether it takes part to the end. */
static bool counts(const struct sim *s, size_t at)
{
	return !s->nodes[at].has_left && !sim_is_out(s, at);
}

static bool is_done(struct sim *s)
{
	struct sw_head first, head;

	if (!sim_is_up(s, 0))
		return false;
	sw_db_head(s->net.nodes[0].t.db, &first);
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		if (s->nodes[i].is_liar || !counts(s, i))
			continue;
		if (!sim_is_up(s, i) || !sim_work_is_idle(s, i) || s->nodes[i].n == 0)
			return false;
		sw_db_head(s->net.nodes[i].t.db, &head);
		if (!sw_head_eq(&first, &head))
			return false;
	}
	return true;
}

static bool has_key(const struct sim *s, size_t at, const struct sw_key *key)
{
	return counts(s, at) && sw_key_eq(sw_db_key(s->net.nodes[at].t.db), key);
}

/* A key that may write, and that nobody has any more, will say nothing: of who has left, or of which a copy was made and both have new ones. */
static bool is_held_up(struct sim *s)
{
	struct sw_member *members;
	struct sw_reader r;
	bool held = false;
	size_t n;

	TEST_OK(sw_reader_begin(s->net.nodes[0].t.db, &r));
	TEST_OK(sw_db_members(s->net.nodes[0].t.db, &r, &members, &n));
	sw_reader_end(&r);
	for (size_t k = 0; k < n; k++) {
		bool found = members[k].role < SW_ROLE_WRITER;

		for (size_t i = 0; !found && i < s->net.n_nodes; i++)
			found = has_key(s, i, &members[k].key);
		held |= !found;
	}
	free(members);
	return held;
}

/* Everybody has told everybody what it has. */
static void settle_all(struct sim *s)
{
	uint64_t end_ms = s->net.now_ms + SETTLE_MS + SETTLE_EACH_MS * s->net.n_nodes;
	bool is_settled = false;

	if (is_held_up(s))
		return;
	while (!is_settled && s->net.now_ms < end_ms) {
		sim_advance(s, s->net.now_ms + 100);
		is_settled = true;
		for (size_t i = 0; i < s->net.n_nodes && is_settled; i++)
			is_settled = !counts(s, i) || sim_is_settled(s, i);
	}
	for (size_t i = 0; i < s->net.n_nodes && !is_settled; i++)
		if (counts(s, i) && !sim_is_settled(s, i))
			sim_fail(s, "all_is_settled", "node %zu: %llu of %llu commits", i,
				 (unsigned long long)s->nodes[i].settled.count, (unsigned long long)s->nodes[i].n);
}

static void print_work(struct sim *s)
{
	for (size_t i = 0; i < s->net.n_nodes; i++) {
		struct sw_work_status status;

		if (!s->nodes[i].work)
			continue;
		sw_work_status(s->nodes[i].work, &status);
		if (status.n_edits > 0)
			fprintf(stderr, "node %zu has %zu edits, next due in %u ms; %s\n", i,
				status.n_edits, sw_work_due_ms(s->nodes[i].work), status.error);
	}
}

static size_t count_out(const struct sim *s)
{
	size_t n = 0;

	for (size_t i = 0; s->is_governed && i < s->net.n_nodes; i++)
		n += sim_is_out(s, i);
	return n;
}

void sim_converge(struct sim *s)
{
	uint64_t ms = CONVERGE_MS * (s->net.n_nodes > BIG_WORLD ? 2 : 1),
		 end_ms = s->net.now_ms + ms;
	size_t n_out = count_out(s);

	while (!is_done(s) && s->net.now_ms < end_ms) {
		sim_advance(s, s->net.now_ms + 100);
		if (s->is_healed && count_out(s) != n_out) { /* somebody who was in between may be out */
			n_out = count_out(s);
			bridge(s);
		}
	}
	if (is_done(s))
		return;
	net_print(&s->net);
	print_work(s);
	sim_fail(s, "held_back_enters", "not all nodes have the same head after %llu s",
		 (unsigned long long)ms / 1000);
}

void sim_finish(struct sim *s)
{
	sim_trace(s, "%llu: healing", (unsigned long long)s->net.now_ms);
	heal(s);
	sim_settle(s);
	sim_advance(s, s->net.now_ms + 3000);
	for (int i = 0; i < 4 && sw_hlc_ms(sim_check_latest(s)) > NET_EPOCH_MS + s->net.now_ms; i++)
		sim_advance(s, s->net.now_ms + 3000); /* clocks are compared, and commits signed again */
	catch_up(s);
	sim_converge(s);
	settle_all(s);
	s->stats->n_removed += count_out(s);
	s->stats->virtual_ms += s->net.now_ms;
	sim_check_end(s);
}

void sim_run(const struct sim_plan *plan, const bool *skip, bool trace, struct sim_stats *stats)
{
	struct sim s;

	sim_init(&s, plan, trace, stats);
	for (size_t i = 0; i < plan->n; i++) {
		if (skip && skip[i])
			continue;
		sim_advance(&s, plan->v[i].at_ms);
		sim_act(&s, &plan->v[i]);
		sim_settle(&s);
	}
	sim_finish(&s);
	sim_fini(&s);
}
