#include "core/db_internal.h"
#include "core/graph.h"

#include <stdlib.h>

#define META_LIMITED "limited"

/* A grant or a revocation that counts. Those of one key are a list; next is one more than a place,
 * 0 the end. */
struct good {
	uint32_t control;
	enum sw_role role;                 /* of a grant */
	const struct sw_revoke_op *revoke; /* else */
	uint32_t next;
};

struct key_state {
	uint32_t rank;
	uint32_t grants, revokes; /* lists */
};

/* What the control commits of a graph come to. */
struct verdict {
	const struct sw_graph *g;
	struct key_state *keys;
	struct good *good;
	size_t n_good, cap_good;
	bool *is_valid, *is_provisional, *stands,
	    *is_in; /* control commits; is_in: not after the one that we stop at */
	size_t n_controls;
	uint32_t *floors; /* control commits that are valid floors */
	size_t n_floors;
	size_t n_keys;
};

struct sw_control {
	pthread_mutex_t lock; /* under it, all of this */
	struct sw_graph g;
	struct verdict verdict; /* of all control commits in g, if it has_verdict */
	bool has_verdict;
	bool is_stale; /* the store has other commits behind some numbers; readers do not mind, the next judgement does */
	bool is_dirty; /* the transaction that is under way changed more than the newest vertices */
};

static void verdict_fini(struct verdict *v)
{
	free(v->keys);
	free(v->good);
	free(v->is_valid);
	free(v->is_provisional);
	free(v->stands);
	free(v->is_in);
	free(v->floors);
	*v = (struct verdict){0};
}

struct sw_control *sw_control_new(void)
{
	struct sw_control *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void reset(struct sw_control *c)
{
	verdict_fini(&c->verdict);
	c->has_verdict = false;
	c->is_dirty = false;
	sw_graph_fini(&c->g);
}

void sw_control_free(struct sw_control *c)
{
	if (!c)
		return;
	reset(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void sw_judgement_fini(struct sw_judgement *j)
{
	free(j->turns);
	free(j->roles);
	*j = (struct sw_judgement){0};
}

/* Grants and revocations that count */

static int add_good(struct verdict *v, uint32_t *list, struct good good)
{
	if (v->n_good == v->cap_good) {
		size_t cap = v->cap_good ? 2 * v->cap_good : 32;
		struct good *more = realloc(v->good, cap * sizeof(*more));

		if (!more)
			return SW_ENOMEM;
		v->good = more;
		v->cap_good = cap;
	}
	good.next = *list;
	v->good[v->n_good++] = good;
	*list = (uint32_t)v->n_good;
	return 0;
}

/* Whether a revocation excludes a commit of its key that relies on a grant. */
static bool excludes(const struct verdict *v, const struct good *revoke, uint32_t vertex,
		     const struct good *grant)
{
	const struct sw_control_commit *by = &v->g->controls[revoke->control];

	if (by->vertex == vertex || sw_bits_has(&revoke->revoke->stand, vertex))
		return false;
	return revoke->control != grant->control &&
	       !sw_graph_sees(v->g, v->g->controls[grant->control].vertex, revoke->control);
}

/* Whether some grant of at least that role lets the commit be, so far. */
static bool is_let_in(const struct verdict *v, uint32_t vertex, enum sw_role least)
{
	const struct key_state *key = &v->keys[v->g->v[vertex].author];

	for (uint32_t i = key->grants; i; i = v->good[i - 1].next) {
		const struct good *grant = &v->good[i - 1];
		bool excluded = false;

		if (grant->role < least || !sw_graph_sees(v->g, vertex, grant->control))
			continue;
		for (uint32_t k = key->revokes; k && !excluded; k = v->good[k - 1].next)
			excluded = excludes(v, &v->good[k - 1], vertex, grant);
		if (!excluded)
			return true;
	}
	return false;
}

static int count_revokes(struct verdict *v, uint32_t control, uint32_t rank, bool of_equals)
{
	const struct sw_control_commit *c = &v->g->controls[control];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_revokes; i++) {
		struct key_state *key = &v->keys[c->revokes[i].key];

		if (of_equals ? key->rank != rank : key->rank <= rank)
			continue;
		rc = add_good(v, &key->revokes,
			      (struct good){.control = control, .revoke = &c->revokes[i]});
		v->stands[control] = true;
	}
	return rc;
}

/* A grant of admin to a key that is not below its author is one of writer. */
static int count_grants(struct verdict *v, uint32_t control, uint32_t rank)
{
	const struct sw_control_commit *c = &v->g->controls[control];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_grants; i++) {
		struct key_state *key = &v->keys[c->grants[i].key];
		struct good grant = {.control = control, .role = c->grants[i].role};

		if (grant.role == SW_ROLE_ADMIN && key->rank <= rank)
			grant.role = SW_ROLE_WRITER;
		if (grant.role == SW_ROLE_ADMIN && key->rank == SW_RANK_NONE)
			key->rank = rank + 1;
		rc = add_good(v, &key->grants, grant);
	}
	return rc;
}

/* The first commit lets its author in: everything begins with that. */
static int count_creator(struct verdict *v)
{
	uint32_t creator = v->g->v[0].author;

	v->keys[creator].rank = 0;
	return add_good(v, &v->keys[creator].grants,
			(struct good){.control = 0, .role = SW_ROLE_ADMIN});
}

static bool has_rank(const struct verdict *v, uint32_t control, uint32_t rank)
{
	return v->is_in[control] &&
	       v->keys[v->g->v[v->g->controls[control].vertex].author].rank == rank;
}

/* The control commits of one rank. */
static int judge_rank(struct verdict *v, uint32_t rank)
{
	const struct sw_graph *g = v->g;
	int rc = 0;

	for (uint32_t i = 0; i < v->n_controls; i++)
		v->is_provisional[i] =
		    has_rank(v, i, rank) &&
		    (i == 0 || is_let_in(v, g->controls[i].vertex, SW_ROLE_ADMIN));
	for (uint32_t i = 0; rc == 0 && i < v->n_controls; i++)
		if (v->is_provisional[i])
			rc = count_revokes(v, i, rank, true);
	for (uint32_t i = 0; i < v->n_controls; i++)
		if (v->is_provisional[i])
			v->is_valid[i] =
			    i == 0 || is_let_in(v, g->controls[i].vertex, SW_ROLE_ADMIN);
	for (uint32_t i = 0; rc == 0 && i < v->n_controls; i++) {
		if (!v->is_provisional[i] || !v->is_valid[i])
			continue;
		v->stands[i] = true;
		rc = count_revokes(v, i, rank, false);
	}
	for (uint32_t i = 0; rc == 0 && i < v->n_controls; i++)
		if (v->is_provisional[i] && v->is_valid[i])
			rc = count_grants(v, i, rank);
	return rc;
}

static bool exists_rank(const struct verdict *v, uint32_t rank)
{
	for (size_t i = 0; i < v->n_keys; i++)
		if (v->keys[i].rank == rank)
			return true;
	return false;
}

/* Whether all that a control commit does is to let one key in, and not as admin: what a writer may. */
static bool is_succession(const struct sw_control_commit *c)
{
	return c->n_grants == 1 && c->grants[0].role <= SW_ROLE_WRITER && c->n_revokes == 0 && !c->is_floor;
}

/* By keys without a rank; a later one may rely on an earlier one. */
static int count_successions(struct verdict *v)
{
	const struct sw_graph *g = v->g;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < v->n_controls; i++) {
		const struct sw_control_commit *c = &g->controls[i];

		if (!v->is_in[i] || v->is_valid[i] || !is_succession(c) || !is_let_in(v, c->vertex, SW_ROLE_WRITER))
			continue;
		v->is_valid[i] = v->stands[i] = true;
		rc = add_good(v, &v->keys[c->grants[0].key].grants, (struct good){.control = i, .role = c->grants[0].role});
	}
	return rc;
}

/* Judge the control commits among the first n vertices, up to a place in the order of commits
 * (NULL: all). */
static int evaluate(const struct sw_graph *g, size_t n, const bool *is_in, struct verdict *out)
{
	struct verdict v = {.g = g, .n_keys = g->n_keys};
	int rc = 0;

	while (v.n_controls < g->n_controls && g->controls[v.n_controls].vertex < n)
		v.n_controls++;
	v.keys = calloc(g->n_keys + 1, sizeof(*v.keys));
	v.is_valid = calloc(v.n_controls + 1, sizeof(bool));
	v.is_provisional = calloc(v.n_controls + 1, sizeof(bool));
	v.stands = calloc(v.n_controls + 1, sizeof(bool));
	v.is_in = calloc(v.n_controls + 1, sizeof(bool));
	v.floors = calloc(v.n_controls + 1, sizeof(*v.floors));
	if (!v.floors || !v.keys || !v.is_valid || !v.is_provisional || !v.stands || !v.is_in)
		rc = SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < v.n_controls; i++)
		v.is_in[i] = !is_in || is_in[i];
	for (size_t i = 0; rc == 0 && i < g->n_keys; i++)
		v.keys[i].rank = SW_RANK_NONE;
	if (rc == 0 && v.n_controls > 0)
		rc = count_creator(&v);
	for (uint32_t rank = 0; rc == 0 && exists_rank(&v, rank); rank++)
		rc = judge_rank(&v, rank);
	if (rc == 0)
		rc = count_successions(&v);
	for (uint32_t i = 0; rc == 0 && i < v.n_controls; i++)
		if (v.is_valid[i] && g->controls[i].is_floor)
			v.floors[v.n_floors++] = i;
	if (rc < 0) {
		verdict_fini(&v);
		return rc;
	}
	*out = v;
	return 0;
}

/* Data commits */

static bool is_below_floor(const struct verdict *v, uint32_t vertex)
{
	for (size_t i = 0; i < v->n_floors; i++) {
		const struct sw_control_commit *c = &v->g->controls[v->floors[i]];

		if (v->g->v[vertex].stamp < v->g->v[c->vertex].stamp &&
		    !sw_bits_has(&c->past, vertex))
			return true;
	}
	return false;
}

static bool is_valid(const struct verdict *v, uint32_t vertex)
{
	uint32_t control = v->g->v[vertex].control;

	if (v->g->v[vertex].author >= v->n_keys)
		return false;
	if (control)
		return v->is_valid[control - 1];
	return is_let_in(v, vertex, SW_ROLE_WRITER) && !is_below_floor(v, vertex);
}

/* Places */

struct judging {
	struct sw_control *c;
	struct sw_fold_commit *commits;
	size_t n;
	uint64_t first_seq;
	struct sw_judgement *out;
	size_t cap_turns;
};

static enum sw_outcome outcome_of(uint8_t place)
{
	if (place == SW_PLACE_VALID)
		return SW_APPLIED;
	return place == SW_PLACE_VOID ? SW_VOID : SW_OUT;
}

static int add_turn(struct judging *j, uint64_t seq, enum sw_outcome outcome)
{
	struct sw_judgement *out = j->out;

	if (out->n_turns == j->cap_turns) {
		size_t cap = j->cap_turns ? 2 * j->cap_turns : 16;
		struct sw_flip *v = realloc(out->turns, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		out->turns = v;
		j->cap_turns = cap;
	}
	out->turns[out->n_turns++] = (struct sw_flip){seq, outcome};
	return 0;
}

/* A commit's place is another one. Of a new one that is its first. */
static int put(struct judging *j, uint32_t vertex, uint8_t place)
{
	struct sw_vertex *v = &j->c->g.v[vertex];
	uint8_t before = v->place;

	v->place = place;
	if (vertex + 1 >= j->first_seq || before == place)
		return 0;
	j->c->is_dirty = true;
	j->out->moved |= before == SW_PLACE_OUT || place == SW_PLACE_OUT;
	return add_turn(j, (uint64_t)vertex + 1, outcome_of(place));
}

/* Whoever stands on a commit keeps it, and all below it, in the line. */
static int place_all(struct judging *j)
{
	const struct sw_graph *g = &j->c->g;
	const struct verdict *v = &j->c->verdict;
	bool *is_kept = calloc(g->n + 1, sizeof(bool));
	int rc = is_kept ? 0 : SW_ENOMEM;

	for (size_t i = g->n; rc == 0 && i-- > 0;) {
		uint32_t control = g->v[i].control;
		bool valid = is_valid(v, (uint32_t)i);

		is_kept[i] |= valid || (control && v->stands[control - 1]);
		for (size_t k = 0; is_kept[i] && k < g->v[i].n_parents; k++)
			is_kept[g->edges[g->v[i].parents + k]] = true;
		rc = put(j, (uint32_t)i,
			 valid        ? SW_PLACE_VALID
			 : is_kept[i] ? SW_PLACE_VOID
				      : SW_PLACE_OUT);
	}
	free(is_kept);
	return rc;
}

/* What a valid commit stands on comes into the line, if it is not there. */
static int keep_below(struct judging *j, uint32_t vertex)
{
	const struct sw_graph *g = &j->c->g;
	uint32_t *stack = NULL;
	size_t n = 0, cap = 0;
	int rc = 0;

	for (;;) {
		const struct sw_vertex *v = &g->v[vertex];

		for (size_t k = 0; rc == 0 && k < v->n_parents; k++) {
			uint32_t parent = g->edges[v->parents + k];

			if (g->v[parent].place != SW_PLACE_OUT)
				continue;
			rc = put(j, parent, SW_PLACE_VOID);
			if (n == cap) {
				size_t more = cap ? 2 * cap : 64;
				uint32_t *p = realloc(stack, more * sizeof(*p));

				if (!p)
					rc = SW_ENOMEM;
				stack = p ? p : stack;
				cap = p ? more : cap;
			}
			if (rc == 0)
				stack[n++] = parent;
		}
		if (rc < 0 || n == 0)
			break;
		vertex = stack[--n];
	}
	free(stack);
	return rc;
}

/* New data commits change nobody's validity. */
static int place_new(struct judging *j)
{
	int rc = 0;

	for (uint64_t seq = j->first_seq; rc == 0 && seq <= j->c->g.n; seq++) {
		uint32_t vertex = (uint32_t)seq - 1;
		bool valid = is_valid(&j->c->verdict, vertex);

		rc = put(j, vertex, valid ? SW_PLACE_VALID : SW_PLACE_OUT);
		if (rc == 0 && valid)
			rc = keep_below(j, vertex);
	}
	return rc;
}

/* Roles */

/* Whether what its key commits now may rely on the grant. */
static bool is_effective(const struct verdict *v, const struct key_state *key,
			 const struct good *grant)
{
	for (uint32_t k = key->revokes; k; k = v->good[k - 1].next) {
		const struct good *revoke = &v->good[k - 1];

		if (revoke->control != grant->control &&
		    !sw_graph_sees(v->g, v->g->controls[grant->control].vertex, revoke->control))
			return false;
	}
	return true;
}

static void read_member(const struct verdict *v, size_t i, struct sw_member *out)
{
	const struct key_state *key = &v->keys[i];
	const struct sw_order *first = NULL;

	*out = (struct sw_member){.key = v->g->keys[i], .rank = SW_RANK_NONE};
	for (uint32_t k = key->grants; k; k = v->good[k - 1].next) {
		const struct good *grant = &v->good[k - 1];
		const struct sw_order *order = &v->g->controls[grant->control].order;
		bool writes = grant->role >= SW_ROLE_WRITER;

		if (!is_effective(v, key, grant))
			continue;
		/* The first that lets it write, or if none does, the first. */
		if (!first || (writes && out->role < SW_ROLE_WRITER) ||
		    (writes == (out->role >= SW_ROLE_WRITER) && sw_order_cmp(order, first) < 0))
			first = order;
		if (grant->role > out->role)
			out->role = grant->role;
	}
	if (out->role == SW_ROLE_ADMIN)
		out->rank = key->rank;
	if (first) {
		sw_order_id(first, &out->grant);
		sw_order_author(first, &out->granter);
	}
}

static int read_roles(const struct verdict *v, struct sw_member_role **out, size_t *n)
{
	struct sw_member_role *roles = calloc(v->g->n_keys + 1, sizeof(*roles));

	if (!roles)
		return SW_ENOMEM;
	for (size_t i = 0; i < v->g->n_keys; i++) {
		struct sw_member m;

		read_member(v, i, &m);
		roles[i] = (struct sw_member_role){m.key, (uint8_t)m.role};
	}
	*out = roles;
	*n = v->g->n_keys;
	return 0;
}

/* Judging */

static int author_of(struct sw_txn *txn, uint64_t seq, struct sw_key *out)
{
	struct sw_order order;
	int rc = sw_history_order(txn, seq, &order);

	if (rc == 0)
		sw_order_author(&order, out);
	return rc;
}

/*
 * Whether a control commit is one without which all that was let in is valid: a succession, or grants by the creator, whom
 * nobody can revoke. Whether others are valid depends on more than what is in their past: on ranks, or on revocations.
 */
static int is_harmless(struct sw_txn *txn, const struct sw_fold_commit *commit, const struct sw_commit *local, bool *out)
{
	struct sw_key author = {0}, creator = {0};
	struct sw_changeset walk;
	enum sw_role needs;
	struct sw_op op;
	int rc = sw_changeset_needs(commit->changeset, &needs);

	*out = rc == 0 && needs == SW_ROLE_WRITER;
	if (rc < 0 || *out)
		return rc;
	rc = sw_changeset_begin(&walk, commit->changeset);
	while (rc == 0 && (rc = sw_changeset_next(&walk, &op)) > 0) {
		if (op.kind == SW_OP_REVOKE || op.kind == SW_OP_FLOOR)
			return 0;
		rc = 0;
	}
	if (rc == 0)
		rc = author_of(txn, 1, &creator);
	if (rc == 0 && local)
		author = local->author;
	else if (rc == 0)
		rc = author_of(txn, commit->seq, &author);
	*out = rc == 0 && sw_key_eq(&author, &creator);
	return rc;
}

static int has_limit(struct sw_txn *txn, const struct sw_fold_commit *commits, size_t n, const struct sw_commit *local,
		     bool *limited, bool *control)
{
	int rc = 0;

	*control = false;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool harmless = true;

		if (commits[i].mode != SW_MODE_CONTROL)
			continue;
		*control = true;
		if (!*limited)
			rc = is_harmless(txn, &commits[i], local, &harmless);
		*limited |= !harmless;
	}
	return rc;
}

int sw_control_is_limited(struct sw_txn *txn, bool *out)
{
	struct sw_view v;
	int rc = sw_meta_get(txn, META_LIMITED, &v);

	*out = rc == 0;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int last_seq(struct sw_txn *txn, uint64_t *out)
{
	int rc = sw_history_next_seq(txn, out);

	*out -= rc == 0;
	return rc;
}

/* What was judged in a transaction that was given up is forgotten: its numbers are given again. */
static void forget_aborted(struct judging *j)
{
	if (j->c->is_stale || (j->c->g.n >= j->first_seq && j->c->is_dirty))
		reset(j->c);
	j->c->is_stale = false;
	sw_graph_truncate(&j->c->g, (size_t)j->first_seq - 1);
	if (j->c->has_verdict && j->c->verdict.n_controls > j->c->g.n_controls) {
		verdict_fini(&j->c->verdict);
		j->c->has_verdict = false;
	}
	j->c->is_dirty = false;
}

void sw_control_forget(struct sw_control *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_stale = true;
	pthread_mutex_unlock(&c->lock);
}

/* All anew, after a control commit or at the first time. */
static int judge_all(struct judging *j)
{
	struct sw_control *c = j->c;
	int rc;

	verdict_fini(&c->verdict);
	c->has_verdict = false;
	c->is_dirty = true;
	rc = evaluate(&c->g, c->g.n, NULL, &c->verdict);
	c->has_verdict = rc == 0;
	if (rc == 0)
		rc = place_all(j);
	if (rc == 0)
		rc = read_roles(&c->verdict, &j->out->roles, &j->out->n_roles);
	j->out->has_roles = rc == 0;
	return rc;
}

static int judge(struct judging *j, struct sw_txn *txn, const struct sw_commit *local,
		 bool has_control)
{
	struct sw_control *c = j->c;
	int rc;

	forget_aborted(j);
	rc = sw_graph_extend(&c->g, txn, j->first_seq + (local ? 0 : j->n) - 1);
	if (rc == 0 && local)
		rc = sw_graph_add(&c->g, txn, local, j->commits[0].changeset);
	if (rc == 0)
		rc = c->has_verdict && !has_control && c->verdict.n_controls == c->g.n_controls
			 ? place_new(j)
			 : judge_all(j);
	for (size_t i = 0; rc == 0 && i < j->n; i++)
		j->commits[i].outcome = outcome_of(c->g.v[j->commits[i].seq - 1].place);
	return rc;
}

int sw_control_judge(struct sw_control *c, struct sw_txn *txn, struct sw_fold_commit *commits,
		     size_t n, const struct sw_commit *local, struct sw_judgement *out)
{
	struct judging j = {
	    .c = c, .commits = commits, .n = n, .first_seq = UINT64_MAX, .out = out};
	bool limited, was_limited = false, has_control;
	int rc = sw_control_is_limited(txn, &was_limited);

	*out = (struct sw_judgement){0};
	for (size_t i = 0; i < n; i++) {
		commits[i].outcome = SW_APPLIED;
		j.first_seq = commits[i].seq < j.first_seq ? commits[i].seq : j.first_seq;
	}
	limited = was_limited;
	if (rc == 0)
		rc = has_limit(txn, commits, n, local, &limited, &has_control);
	if (rc < 0 || !limited)
		return rc;
	out->is_limited = true;
	if (!was_limited)
		rc = sw_meta_put(txn, META_LIMITED, sw_view("", 0));
	pthread_mutex_lock(&c->lock);
	/* Commits were let in without a look at it since a first judgement was given up. */
	if (!was_limited)
		reset(c);
	if (rc == 0)
		rc = judge(&j, txn, local, has_control);
	pthread_mutex_unlock(&c->lock);
	if (rc < 0)
		sw_judgement_fini(out);
	return rc;
}

int sw_control_judge_all(struct sw_control *c, struct sw_txn *txn, struct sw_fold_commit *commits,
			 size_t n, struct sw_judgement *out)
{
	struct judging j = {.c = c, .commits = commits, .n = n, .first_seq = 1, .out = out};
	bool has_control;
	int rc;

	*out = (struct sw_judgement){0};
	for (size_t i = 0; i < n; i++)
		commits[i].outcome = SW_APPLIED;
	rc = has_limit(txn, commits, n, NULL, &out->is_limited, &has_control);
	return rc == 0 && out->is_limited ? judge(&j, txn, NULL, true) : rc;
}

int sw_control_tips(struct sw_control *c, uint64_t **out, size_t *n)
{
	const struct sw_graph *g = &c->g;
	uint64_t *tips = NULL;
	bool *has_child;

	pthread_mutex_lock(&c->lock);
	has_child = calloc(g->n + 1, sizeof(bool));
	*n = 0;
	for (size_t i = 0; has_child && i < g->n; i++)
		for (size_t k = 0; g->v[i].place != SW_PLACE_OUT && k < g->v[i].n_parents; k++)
			has_child[g->edges[g->v[i].parents + k]] = true;
	for (size_t i = 0; has_child && i < g->n; i++)
		*n += g->v[i].place != SW_PLACE_OUT && !has_child[i];
	tips = calloc(*n + 1, sizeof(*tips));
	*n = 0;
	for (size_t i = 0; has_child && tips && i < g->n; i++)
		if (g->v[i].place != SW_PLACE_OUT && !has_child[i])
			tips[(*n)++] = i + 1;
	pthread_mutex_unlock(&c->lock);
	if (!has_child || !tips) {
		free(has_child);
		free(tips);
		return SW_ENOMEM;
	}
	free(has_child);
	*out = tips;
	return 0;
}

/* Questions of readers */

/* Commits that were made here have their ids by now. */
static int learn_ids(struct sw_graph *g, struct sw_txn *txn, uint64_t last)
{
	int rc = 0;

	for (size_t i = g->n_controls; rc == 0 && i-- > 0;) {
		struct sw_control_commit *c = &g->controls[i];
		struct sw_hash id;

		sw_order_id(&c->order, &id);
		if (c->vertex < last && sw_hash_is_zero(&id))
			rc = sw_history_order(txn, (uint64_t)c->vertex + 1, &c->order);
	}
	return rc;
}

/* The control commits of the line up to a place in it: who has which others differs from peer to peer. */
static int find_up_to(const struct sw_graph *g, struct sw_txn *txn, size_t n, const struct sw_order *until, bool **out)
{
	int rc = 0;

	*out = calloc(g->n_controls + 1, sizeof(bool));
	if (!*out)
		return SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < g->n_controls && g->controls[i].vertex < n; i++) {
		enum sw_outcome outcome;

		rc = sw_history_outcome(txn, (uint64_t)g->controls[i].vertex + 1, &outcome);
		(*out)[i] = outcome != SW_OUT && sw_order_cmp(&g->controls[i].order, until) <= 0;
	}
	return rc;
}

/* The graph holds at least what the transaction sees; what it holds beyond is not looked at. */
static int evaluate_for(struct sw_control *c, struct sw_txn *txn, const struct sw_order *until,
			struct verdict *out)
{
	bool *is_in = NULL;
	uint64_t last;
	int rc = last_seq(txn, &last);

	if (rc == 0)
		rc = sw_graph_extend(&c->g, txn, last);
	if (rc == 0)
		rc = learn_ids(&c->g, txn, last);
	if (rc == 0 && until)
		rc = find_up_to(&c->g, txn, (size_t)last, until, &is_in);
	if (rc == 0)
		rc = evaluate(&c->g, (size_t)last, is_in, out);
	free(is_in);
	return rc;
}

int sw_control_roles(struct sw_control *c, struct sw_txn *txn, const struct sw_order *until,
		     struct sw_member_role **out, size_t *n)
{
	struct verdict v;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = evaluate_for(c, txn, until, &v);
	if (rc == 0) {
		rc = read_roles(&v, out, n);
		verdict_fini(&v);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int member_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SW_KEY_SIZE);
}

int sw_control_members(struct sw_control *c, struct sw_txn *txn, struct sw_member **out, size_t *n)
{
	struct sw_member *members = NULL;
	struct verdict v;
	int rc;

	*n = 0;
	pthread_mutex_lock(&c->lock);
	rc = evaluate_for(c, txn, NULL, &v);
	if (rc == 0) {
		members = calloc(v.g->n_keys + 1, sizeof(*members));
		for (size_t i = 0; members && i < v.g->n_keys; i++) {
			read_member(&v, i, &members[*n]);
			*n += members[*n].role > 0;
		}
		rc = members ? 0 : SW_ENOMEM;
		verdict_fini(&v);
	}
	pthread_mutex_unlock(&c->lock);
	if (rc < 0)
		return rc;
	qsort(members, *n, sizeof(*members), member_cmp);
	*out = members;
	return 0;
}

static int collect_revocations(const struct verdict *v, const struct sw_key *key, struct sw_hash **out, size_t *n)
{
	struct sw_hash *ids = calloc(v->n_good + 1, sizeof(*ids));
	size_t i = 0;

	if (!ids)
		return SW_ENOMEM;
	while (i < v->n_keys && !sw_key_eq(&v->g->keys[i], key))
		i++;
	for (uint32_t k = i < v->n_keys ? v->keys[i].revokes : 0; k; k = v->good[k - 1].next)
		sw_order_id(&v->g->controls[v->good[k - 1].control].order, &ids[(*n)++]);
	*out = ids;
	return 0;
}

int sw_control_revocations(struct sw_control *c, struct sw_txn *txn, const struct sw_key *key, struct sw_hash **out,
			   size_t *n)
{
	struct verdict v;
	int rc;

	*n = 0;
	pthread_mutex_lock(&c->lock);
	rc = evaluate_for(c, txn, NULL, &v);
	if (rc == 0) {
		rc = collect_revocations(&v, key, out, n);
		verdict_fini(&v);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}
