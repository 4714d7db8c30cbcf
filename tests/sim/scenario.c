#include "tests/sim/scenario.h"

#include "core/tree.h"

#define PARTITION_MS 60000
#define CROSSING     4 /* links between the sides: so many factorial orders */
#define WEEK_MS      (7 * (uint64_t)86400000)
#define EDITS        100

static void unless(struct sim *s, bool holds, const char *what)
{
	if (!holds)
		sim_fail(s, "scenario", "%s", what);
}

/* A partition with writes on both sides, healed link by link in every order: always the same head.
 */

static void block(struct sim *s, size_t link, uint64_t until_ms)
{
	for (size_t k = 0; k < 2; k++)
		s->net.links[link].pipes[k].blocked_until_ms = until_ms;
}

static bool is_crossing(const struct net_link *l)
{
	return (l->ends[0] < 2) != (l->ends[1] < 2);
}

/* Two on one side, three on the other. */
static void part(struct sim *s, size_t *links)
{
	static const size_t ends[CROSSING][2] = {{0, 2}, {3, 1}, {4, 0}, {1, 2}};

	for (size_t i = 0; i < s->net.n_links; i++) {
		if (!is_crossing(&s->net.links[i]))
			continue;
		s->net.links[i].manual = true;
		s->net.links[i].again_ms = 0;
		net_cut(&s->net, &s->net.links[i]);
	}
	net_connect(&s->net, 0, 1, NULL);
	net_connect(&s->net, 2, 3, NULL);
	net_connect(&s->net, 3, 4, NULL);
	for (size_t i = 0; i < CROSSING; i++) {
		links[i] =
		    (size_t)(net_connect(&s->net, ends[i][0], ends[i][1], NULL) - s->net.links);
		block(s, links[i], UINT64_MAX);
	}
}

static void write_apart(struct sim *s, uint64_t seed)
{
	static const enum sim_kind kinds[] = {SIM_WRITE, SIM_STRICT, SIM_EDIT, SIM_WRITE};
	uint64_t end_ms = s->net.now_ms + PARTITION_MS;
	struct rng r = {seed};

	while (s->net.now_ms < end_ms) {
		struct sim_action a = {.at_ms = s->net.now_ms + rng_below(&r, 1000),
				       .kind = kinds[rng_below(&r, 4)],
				       .node = rng_below(&r, 5),
				       .seed = rng_next(&r)};

		sim_advance(s, a.at_ms);
		sim_act(s, &a);
		sim_settle(s);
	}
	sim_advance(s, end_ms + 5000); /* what programs wrote is committed */
}

/* The n-th order of CROSSING things. */
static void permute(size_t n, size_t *order)
{
	for (size_t i = 0; i < CROSSING; i++)
		order[i] = i;
	for (size_t i = CROSSING; i > 1; i--) {
		size_t k = n % i, swap = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swap;
		n /= i;
	}
}

static void heal_in_order(const struct sim_plan *plan, size_t n, bool trace,
			  struct sim_stats *stats, struct sw_head *head)
{
	size_t links[CROSSING], order[CROSSING];
	struct sim s;

	sim_init(&s, plan, trace, stats);
	sim_converge(&s);
	part(&s, links);
	write_apart(&s, plan->seed);
	unless(&s, !net_converged(&s.net), "both sides have written");
	permute(n, order);
	for (size_t i = 0; i < CROSSING; i++) {
		block(&s, links[order[i]], 0);
		sim_advance(&s, s.net.now_ms + 3000);
	}
	sim_finish(&s);
	sw_db_head(s.net.nodes[0].t.db, head);
	sim_fini(&s);
}

static void partition(const struct sim_plan *plan, bool trace, struct sim_stats *stats)
{
	struct sim_plan five = {.seed = plan->seed, .peers = 5, .nodes_max = 5};
	struct sw_head first, head;
	size_t n_orders = 1;

	for (size_t i = 2; i <= CROSSING; i++)
		n_orders *= i;
	for (size_t n = 0; n < n_orders; n++) {
		heal_in_order(&five, n, trace, stats, n ? &head : &first);
		if (n > 0 && !sw_head_eq(&first, &head)) {
			fprintf(stderr, "the heads of orders 0 and %zu differ\n", n);
			exit(1);
		}
	}
	printf("%zu orders of healing, each to the same head of %llu commits\n", n_orders,
	       (unsigned long long)first.count);
}

/* A laptop that comes back after a week. */

static void put(struct sim *s, size_t at, const char *key, const char *text, struct sw_hash *id)
{
	*id = test_put(&s->net.nodes[at].t, "t", key, text);
	sim_check_told(s, at, id);
	sim_settle(s);
}

static bool has_record(struct sim *s, size_t at, const char *key, const struct sw_hash *commit)
{
	struct sw_table records;
	SW_BUF name = {0};
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc;

	sw_conflict_key(sw_view_str("t"), sw_view_str(key), commit, &name);
	TEST_OK(sw_reader_begin(s->net.nodes[at].t.db, &r));
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_SYSTEM,
			    sw_view_str(SW_TABLE_CONFLICTS), &records);
	if (rc == 0)
		rc = sw_cursor_seek(&c, r.nodes, &records.root, sw_buf_view(&name));
	if (rc > 0)
		rc = sw_view_eq(sw_cursor_entry(&c)->key, sw_buf_view(&name));
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc > 0;
}

static void check_row(struct sim *s, const char *key, const char *text)
{
	char got[64];

	for (size_t i = 0; i < s->net.n_nodes; i++) {
		unless(s, test_get(&s->net.nodes[i].t, "t", key, got, sizeof(got)),
		       "the row is there");
		unless(s, strcmp(got, text) == 0, key);
	}
}

static void laptop(const struct sim_plan *plan, bool trace, struct sim_stats *stats)
{
	struct sim_plan four = {.seed = plan->seed, .peers = 4, .nodes_max = 4};
	struct sw_hash id, lost;
	char text[64];
	struct sim s;

	sim_init(&s, &four, trace, stats);
	sim_converge(&s);
	put(&s, 0, "note", "first", &id);
	put(&s, 0, "cell.json", "{\"x\": 0, \"y\": 0}", &id);
	sim_converge(&s);
	/* It is taken away, edits, and is shut. */
	for (size_t i = 0; i < s.net.n_links; i++)
		if (s.net.links[i].ends[0] == 3 || s.net.links[i].ends[1] == 3)
			block(&s, i, UINT64_MAX);
	put(&s, 3, "note", "of the laptop", &lost);
	put(&s, 3, "cell.json", "{\"x\": 1, \"y\": 0}", &id);
	net_sleep(&s.net, 3, 2 * WEEK_MS);
	for (unsigned i = 1; i <= EDITS; i++) {
		s.net.epoch_ms += WEEK_MS / EDITS;
		sim_advance(&s, s.net.now_ms + 200);
		snprintf(text, sizeof(text), "edit %u", i);
		put(&s, i % 3, "note", text, &id);
		sim_advance(&s, s.net.now_ms + 2000);
		snprintf(text, sizeof(text), "{\"x\": 0, \"y\": %u}", i);
		put(&s, (i + 1) % 3, "cell.json", text, &id);
		sim_advance(&s, s.net.now_ms + 2000);
	}
	sim_finish(&s);
	snprintf(text, sizeof(text), "edit %u", EDITS);
	check_row(&s, "note", text); /* their work stays */
	for (size_t i = 0; i < s.net.n_nodes; i++)
		unless(&s, has_record(&s, i, "note", &lost), "its edit is a conflict record");
	/* Nobody else touched that column. */
	snprintf(text, sizeof(text), "{\"x\": 1, \"y\": %u}", EDITS);
	check_row(&s, "cell.json", text);
	sim_fini(&s);
	printf("their %u edits stand, its own is a conflict record\n", EDITS);
}

/* Someone who works alone with a clock that is ahead, and has sent that to nobody when the time is told. */
static void alone(const struct sim_plan *plan, bool trace, struct sim_stats *stats)
{
	struct sim_plan two = {.seed = plan->seed, .peers = 1, .nodes_max = 2};
	struct rng r = {plan->seed};
	struct sw_hash id;
	char text[16];
	struct sim s;

	sim_init(&s, &two, trace, stats);
	s.net.nodes[0].skew_ms = 60000;
	net_set_clock(&s.net, 0);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%u", i);
		put(&s, 0, "row", text, &id);
		sim_advance(&s, s.net.now_ms + 1000);
	}
	sim_add_node(&s, false, &r);
	sim_finish(&s);
	unless(&s, stats->n_resigned > 0, "it was signed again");
	check_row(&s, "row", text);
	sim_fini(&s);
	printf("%llu commits were signed again, and none of them had counted as settled\n",
	       (unsigned long long)stats->n_resigned);
}

/* A member that lies: it tells of what there is not, sends garbage and what nobody may write, and gives nothing away. */

#define LIARS	6
#define LIAR	3
#define LIES_MS 70000

/* Of all it is asked it notes the last request, to give a wrong answer. */
static void hear(void *arg, struct net_link *l, size_t end, struct sw_view message)
{
	static struct sw_message m; /* large */
	uint64_t *turn = arg;

	(void)l;
	(void)end;
	if (message.p[0] != SW_MSG_PULL)
		return;
	TEST_OK(sw_message_decode(message, &m));
	*turn = m.turn;
	sw_message_fini(&m);
}

static void random_hashes(struct rng *r, struct sw_hash *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < SW_HASH_SIZE; k++)
			v[i].b[k] = k == 0 ? (uint8_t)i : (uint8_t)rng_next(r);
}

/* A commit of its own, as it has it, or with something changed. */
static void put_commit(struct sim *s, struct rng *r, struct sw_buf *out)
{
	const uint64_t *turn = s->net.script_arg;
	const struct sim_commit *c = &s->commits[rng_below(r, (uint32_t)s->n_commits)];
	struct sw_commit header;
	SW_BUF changeset = {0};
	SW_BUF body = {0};

	TEST_OK(sw_commit_decode(sw_buf_view(&c->raw), &header));
	sw_buf_put_view(&changeset, sw_buf_view(&c->changeset));
	switch (rng_below(r, 4)) {
	case 0:
		header.stamp += 1 + rng_below(r, 1000);
		break;
	case 1:
		changeset.p[rng_below(r, (uint32_t)changeset.n)] ^= 1;
		break;
	case 2:
		random_hashes(r, header.parents, 1);
		break;
	default:
		header.sig.b[3] ^= 1;
	}
	sw_body_put_commit(&header, sw_buf_view(&changeset), &body);
	TEST_OK(sw_message_commits(*turn, rng_below(r, 2), sw_buf_view(&body), out));
}

static void make_lie(struct sim *s, struct rng *r, struct sw_buf *out)
{
	struct sw_hash v[4];
	struct sw_head head = {.count = rng_next(r) % 100000};

	random_hashes(r, v, 4);
	head.line = v[0];
	head.state = v[1];
	switch (rng_below(r, 9)) {
	case 0:
	case 1:
		sw_message_head(&head, v, 4, out);
		break;
	case 2:
		sw_message_pull(1 + rng_below(r, 1000), v, rng_below(r, 4), out);
		break;
	case 3:
		sw_message_want(v, 1 + rng_below(r, 4), out);
		break;
	case 4:
		sw_message_pong(rng_below(r, 4), rng_next(r) % ((uint64_t)1 << 47), out);
		break;
	case 5:
		sw_message_hello(rng_next(r) % ((uint64_t)1 << 47), out);
		break;
	case 6:
	case 7:
		put_commit(s, r, out);
		break;
	default:
		for (size_t i = 1 + rng_below(r, 60); i > 0; i--)
			sw_buf_put_u8(out, (uint8_t)rng_next(r));
		out->p[0] = (uint8_t)(1 + rng_below(r, 14));
	}
	assert_int_equal(out->rc, 0);
}

static void lie(struct sim *s, struct rng *r)
{
	for (size_t i = 0; i < s->net.n_links; i++) {
		struct net_link *l = &s->net.links[i];
		size_t end = l->ends[1] == LIAR;
		SW_BUF out = {0};

		if (!l->conn || l->ends[end] != LIAR)
			continue;
		make_lie(s, r, &out);
		if (net_send(&s->net, l, end, sw_buf_view(&out)) < 0)
			continue; /* nobody reads it any more */
	}
}

/* Of all that any of them ever held. */
static void check_signatures(struct sim *s)
{
	for (size_t i = 0; i < s->n_commits; i++) {
		struct sw_commit c;

		TEST_OK(sw_commit_decode(sw_buf_view(&s->commits[i].raw), &c));
		unless(s, sw_commit_verify(sw_buf_view(&s->commits[i].raw), &c) == 0, "nothing forged was taken");
	}
}

static unsigned liar(uint64_t seed, bool trace, struct sim_stats *stats)
{
	struct sim_plan four = {.seed = seed, .peers = 4, .nodes_max = 4};
	struct rng r = {seed};
	uint64_t end_ms, turn = 1;
	unsigned n_drops;
	struct sim s;

	sim_init(&s, &four, trace, stats);
	sim_converge(&s);
	s.net.script = hear;
	s.net.script_arg = &turn;
	s.nodes[LIAR].has_left = s.nodes[LIAR].is_liar = true;
	sim_work_die(&s, LIAR, NULL);
	net_stop(&s.net, LIAR);
	end_ms = s.net.now_ms + LIES_MS;
	while (s.net.now_ms < end_ms) {
		struct sim_action a = {.kind = rng_below(&r, 2) ? SIM_WRITE : SIM_EDIT,
				       .node = rng_below(&r, LIAR),
				       .seed = rng_next(&r)};

		if (rng_below(&r, 4) == 0)
			sim_act(&s, &a);
		sim_settle(&s);
		lie(&s, &r);
		sim_advance(&s, s.net.now_ms + 50 + rng_below(&r, 400));
	}
	/* It goes on lying, and the others agree all the same. */
	sim_finish(&s);
	check_signatures(&s);
	n_drops = s.nodes[LIAR].n_drops;
	sim_fini(&s);
	return n_drops;
}

static void liars(const struct sim_plan *plan, bool trace, struct sim_stats *stats)
{
	unsigned n_drops = 0;

	for (unsigned i = 0; i < LIARS; i++)
		n_drops += liar(plan->seed + i, trace, stats);
	if (n_drops == 0) {
		fprintf(stderr, "no lie was noticed\n");
		exit(1);
	}
	printf("%u liars, dropped %u times; the others agree\n", LIARS, n_drops);
}

void sim_scenario(const char *name, const struct sim_plan *plan, bool trace,
		  struct sim_stats *stats)
{
	if (strcmp(name, "partition") == 0) {
		partition(plan, trace, stats);
	} else if (strcmp(name, "laptop") == 0) {
		laptop(plan, trace, stats);
	} else if (strcmp(name, "alone") == 0) {
		alone(plan, trace, stats);
	} else if (strcmp(name, "liars") == 0) {
		liars(plan, trace, stats);
	} else {
		fprintf(stderr, "no scenario '%s'; there are: %s\n", name, SIM_SCENARIOS);
		exit(2);
	}
}
