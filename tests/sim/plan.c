/* Plans: what happens when, from a seed. */
#include "tests/sim/sim.h"

#define ACTIONS_MIN 30
#define ACTIONS_MAX 170
#define GAP_MS_MAX  800

struct kind {
	const char *name;
	uint32_t weight;
	bool is_optional;
};

static const struct kind kinds[SIM_N_KINDS] = {
#define X(name, text, weight, optional) [SIM_##name] = {text, weight, optional},
    SIM_ACTIONS(X)
#undef X
};

const char *sim_kind_name(enum sim_kind kind)
{
	return kinds[kind].name;
}

/* Mostly few, since trouble needs few; sometimes more. */
static size_t choose_peers(struct rng *r)
{
	uint32_t dice = rng_below(r, 100);

	if (dice < 70)
		return 2 + rng_below(r, 4);
	if (dice < 95)
		return 6 + rng_below(r, 7);
	return 13 + rng_below(r, 18);
}

/* Each plan goes without some kinds of actions: what happens all the time hides what happens
 * without it. */
static uint32_t choose_weights(struct rng *r, uint32_t *weights)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < SIM_N_KINDS; i++) {
		bool is_in = !kinds[i].is_optional || rng_below(r, 5) < 3;

		weights[i] = is_in ? kinds[i].weight : 0;
		sum += weights[i];
	}
	return sum;
}

static enum sim_kind choose_kind(struct rng *r, const uint32_t *weights, uint32_t sum)
{
	uint32_t dice = rng_below(r, sum);
	size_t i = 0;

	while (dice >= weights[i])
		dice -= weights[i++];
	return (enum sim_kind)i;
}

/* In some of the other plans nodes free what is settled. */
static void retain(struct sim_plan *plan)
{
	struct rng r = {plan->seed ^ UINT64_C(0x72657461696e)};

	if (rng_below(&r, 3) > 0)
		return;
	for (size_t i = 0; i < plan->n; i++)
		if (plan->v[i].kind == SIM_WRITE && rng_below(&r, 5) == 0)
			plan->v[i].kind = SIM_GC;
}

/*
 * Some plans have more than programs that write, in place of some writes, and with a randomness of their own: the others are as they would be
 * without. True: what is settled may not stay so, by members who are removed or a store that is copied.
 */
static bool govern(struct sim_plan *plan)
{
	static const enum sim_kind governing[] = {SIM_DEMOTE,  SIM_DEMOTE,  SIM_REMOVE, SIM_REMOVE,
						  SIM_PROMOTE, SIM_PROMOTE, SIM_FLOOR};
	struct rng r = {plan->seed ^ UINT64_C(0x676f7665726e)};
	bool is_governed = rng_below(&r, 3) == 0, has_txns = rng_below(&r, 3) == 0, has_copies = rng_below(&r, 6) == 0;

	for (size_t i = 0; i < plan->n; i++) {
		struct sim_action *a = &plan->v[i];

		if (a->kind != SIM_WRITE)
			continue;
		if (is_governed && rng_below(&r, 8) == 0)
			a->kind = governing[rng_below(&r, sizeof(governing) / sizeof(governing[0]))];
		else if (has_txns && rng_below(&r, 2) == 0)
			a->kind = SIM_TXN;
		else if (has_copies && rng_below(&r, 20) == 0)
			a->kind = SIM_COPY;
		plan->nodes_max += a->kind == SIM_COPY;
	}
	return is_governed || has_copies;
}

void sim_plan_make(struct sim_plan *plan, uint64_t seed, size_t peers)
{
	struct rng r = {seed};
	uint32_t weights[SIM_N_KINDS], sum, gap_ms = 1 + rng_below(&r, GAP_MS_MAX);
	uint64_t at_ms = 1000;

	*plan = (struct sim_plan){.seed = seed, .peers = choose_peers(&r)};
	if (peers)
		plan->peers = peers;
	plan->n = ACTIONS_MIN + rng_below(&r, ACTIONS_MAX - ACTIONS_MIN);
	plan->v = calloc(plan->n, sizeof(*plan->v));
	assert_non_null(plan->v);
	sum = choose_weights(&r, weights);
	plan->nodes_max = plan->peers;
	for (size_t i = 0; i < plan->n; i++) {
		struct sim_action *a = &plan->v[i];

		at_ms += rng_below(&r, 10) == 0 ? 0 : rng_below(&r, 2 * gap_ms);
		*a = (struct sim_action){.at_ms = at_ms,
					 .kind = choose_kind(&r, weights, sum),
					 .node = rng_below(&r, (uint32_t)plan->nodes_max),
					 .seed = rng_next(&r)};
		plan->nodes_max += a->kind == SIM_JOIN;
	}
	if (!govern(plan))
		retain(plan);
}

void sim_plan_fini(struct sim_plan *plan)
{
	free(plan->v);
}
