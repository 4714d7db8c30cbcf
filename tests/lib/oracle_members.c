/* The oracle's control plane: FORMAT.md, "Members", word for word and without any care for cost. */
#include "tests/lib/oracle.h"

#include <assert.h>
#include <stdlib.h>

#define NO_RANK SIZE_MAX

/* A grant or a revocation that counts, of a key. */
struct good {
	size_t commit;
	struct sw_op op;
	bool as_admin; /* a grant that is one of admin */
};

struct judge {
	const struct oracle *o;
	size_t n;
	const bool *line; /* those that are in it; NULL: not known yet */
	bool *past; /* past[a * n + b]: a is in the causal past of b */
	struct good *grants, *revokes;
	size_t n_grants, n_revokes;
	struct sw_key *keys; /* that have a rank */
	size_t *ranks;
	size_t n_keys;
	struct oracle_verdict *out;
};

static void *array(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	assert(p);
	return p;
}

static size_t place_of(const struct judge *j, const struct sw_hash *id)
{
	for (size_t i = 0; i < j->n; i++)
		if (sw_hash_eq(&j->o->commits[i].commit.id, id))
			return i;
	return SIZE_MAX;
}

static bool is_in_past(const struct judge *j, size_t a, size_t b)
{
	return j->past[a * j->n + b];
}

static void find_pasts(struct judge *j)
{
	for (size_t b = 0; b < j->n; b++) {
		const struct sw_commit *c = &j->o->commits[b].commit;

		for (size_t p = 0; p < c->n_parents; p++) {
			size_t parent = place_of(j, &c->parents[p]);

			assert(parent < b);
			j->past[parent * j->n + b] = true;
			for (size_t a = 0; a < parent; a++)
				j->past[a * j->n + b] |= is_in_past(j, a, parent);
		}
	}
}

static size_t rank_of(const struct judge *j, const struct sw_key *key)
{
	for (size_t i = 0; i < j->n_keys; i++)
		if (sw_key_eq(&j->keys[i], key))
			return j->ranks[i];
	return NO_RANK;
}

static void set_rank(struct judge *j, const struct sw_key *key, size_t rank)
{
	j->keys = realloc(j->keys, (j->n_keys + 1) * sizeof(*j->keys));
	j->ranks = realloc(j->ranks, (j->n_keys + 1) * sizeof(*j->ranks));
	assert(j->keys && j->ranks);
	j->keys[j->n_keys] = *key;
	j->ranks[j->n_keys++] = rank;
}

static void add(struct good **list, size_t *n, struct good g)
{
	*list = realloc(*list, (*n + 1) * sizeof(**list));
	assert(*list);
	(*list)[(*n)++] = g;
}

/* Whether a revocation lets a commit stand. */
static bool lets_stand(const struct judge *j, const struct good *r, size_t x)
{
	if (x == r->commit)
		return true;
	if (!r->op.names_stand)
		return is_in_past(j, x, r->commit);
	for (size_t i = 0; i < r->op.stand.n / SW_HASH_SIZE; i++) {
		struct sw_hash id;
		size_t s;

		sw_op_stand(&r->op, i, &id);
		s = place_of(j, &id);
		if (s != SIZE_MAX && is_in_past(j, s, r->commit) && (s == x || is_in_past(j, x, s)))
			return true;
	}
	return false;
}

static bool is_excluded(const struct judge *j, size_t x, const struct good *grant)
{
	for (size_t i = 0; i < j->n_revokes; i++) {
		const struct good *r = &j->revokes[i];

		if (!sw_key_eq(&r->op.member, &j->o->commits[x].commit.author) ||
		    lets_stand(j, r, x))
			continue;
		if (r->commit != grant->commit && !is_in_past(j, r->commit, grant->commit))
			return true;
	}
	return false;
}

static bool is_let_in(const struct judge *j, size_t x, bool as_admin)
{
	for (size_t i = 0; i < j->n_grants; i++) {
		const struct good *g = &j->grants[i];

		if (!sw_key_eq(&g->op.member, &j->o->commits[x].commit.author) ||
		    !is_in_past(j, g->commit, x))
			continue;
		if ((as_admin ? g->as_admin : g->op.role >= SW_ROLE_WRITER) &&
		    !is_excluded(j, x, g))
			return true;
	}
	return false;
}

static bool is_of_rank(const struct judge *j, size_t x, size_t rank)
{
	return j->o->commits[x].mode == SW_MODE_CONTROL && (!j->line || j->line[x]) &&
	       rank_of(j, &j->o->commits[x].commit.author) == rank;
}

/* Revocations of a commit, of keys of equal rank, or of those below. */
static void add_revokes(struct judge *j, size_t x, size_t rank, bool of_equals)
{
	struct sw_changeset walk;
	struct sw_op op;

	assert(sw_changeset_begin(&walk, sw_buf_view(&j->o->commits[x].changeset)) == 0);
	while (sw_changeset_next(&walk, &op) > 0) {
		size_t of = op.kind == SW_OP_REVOKE ? rank_of(j, &op.member) : 0;

		if (op.kind != SW_OP_REVOKE || (of_equals ? of != rank : of <= rank))
			continue;
		add(&j->revokes, &j->n_revokes, (struct good){.commit = x, .op = op});
		j->out->stands[x] = true;
	}
}

static void add_grants(struct judge *j, size_t x, size_t rank)
{
	struct sw_changeset walk;
	struct sw_op op;

	assert(sw_changeset_begin(&walk, sw_buf_view(&j->o->commits[x].changeset)) == 0);
	while (sw_changeset_next(&walk, &op) > 0) {
		struct good g = {.commit = x, .op = op};

		if (op.kind != SW_OP_GRANT)
			continue;
		g.as_admin = op.role == SW_ROLE_ADMIN && rank_of(j, &op.member) > rank;
		if (g.as_admin && rank_of(j, &op.member) == NO_RANK)
			set_rank(j, &op.member, rank + 1);
		add(&j->grants, &j->n_grants, g);
	}
}

/* The first commit lets its author in as an admin of rank 0. */
static void add_creator(struct judge *j)
{
	const struct sw_key *creator = &j->o->commits[0].commit.author;

	set_rank(j, creator, 0);
	add(&j->grants, &j->n_grants,
	    (struct good){.op = {.kind = SW_OP_GRANT, .member = *creator, .role = SW_ROLE_ADMIN},
			  .as_admin = true});
}

static bool judge_rank(struct judge *j, size_t rank)
{
	bool *provisional = array(j->n, sizeof(bool));
	bool any = false;

	for (size_t x = 0; x < j->n; x++)
		provisional[x] = is_of_rank(j, x, rank) && (x == 0 || is_let_in(j, x, true));
	for (size_t x = 0; x < j->n; x++)
		if (provisional[x])
			add_revokes(j, x, rank, true);
	for (size_t x = 0; x < j->n; x++)
		j->out->valid[x] |= provisional[x] && (x == 0 || is_let_in(j, x, true));
	for (size_t x = 0; x < j->n; x++)
		if (provisional[x] && j->out->valid[x])
			add_revokes(j, x, rank, false);
	for (size_t x = 0; x < j->n; x++)
		if (provisional[x] && j->out->valid[x])
			add_grants(j, x, rank);
	free(provisional);
	for (size_t i = 0; i < j->n_keys; i++)
		any |= j->ranks[i] == rank + 1;
	return any;
}

/* One operation, a grant of no more than a writer has. */
static bool is_succession(struct sw_view changeset)
{
	struct sw_changeset walk;
	struct sw_op op;

	assert(sw_changeset_begin(&walk, changeset) == 0);
	return walk.mode == SW_MODE_CONTROL && walk.n == 1 && sw_changeset_next(&walk, &op) > 0 &&
	       op.kind == SW_OP_GRANT && op.role <= SW_ROLE_WRITER;
}

static void judge_successions(struct judge *j)
{
	for (size_t x = 0; x < j->n; x++) {
		struct sw_view changeset = sw_buf_view(&j->o->commits[x].changeset);
		struct sw_changeset walk;
		struct good g = {.commit = x};

		if (j->out->valid[x] || !is_succession(changeset) || (j->line && !j->line[x]) || !is_let_in(j, x, false))
			continue;
		j->out->valid[x] = true;
		assert(sw_changeset_begin(&walk, changeset) == 0 && sw_changeset_next(&walk, &g.op) > 0);
		add(&j->grants, &j->n_grants, g);
	}
}

static bool is_below_floor(const struct judge *j, size_t x)
{
	for (size_t f = 0; f < j->n; f++) {
		const struct oracle_commit *c = &j->o->commits[f];
		struct sw_changeset walk;
		struct sw_op op;

		if (c->mode != SW_MODE_CONTROL || !j->out->valid[f] ||
		    j->o->commits[x].commit.stamp >= c->commit.stamp || is_in_past(j, x, f))
			continue;
		assert(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)) == 0);
		while (sw_changeset_next(&walk, &op) > 0)
			if (op.kind == SW_OP_FLOOR)
				return true;
	}
	return false;
}

/* A void commit stays below one that is not, or that has a revocation that counts. */
static void find_line(struct judge *j)
{
	for (size_t x = 0; x < j->n; x++)
		j->out->stands[x] |= j->out->valid[x];
	for (size_t x = 0; x < j->n; x++) {
		j->out->in_line[x] = j->out->stands[x];
		for (size_t y = 0; y < j->n; y++)
			j->out->in_line[x] |= j->out->stands[y] && is_in_past(j, x, y);
	}
}

static void find_roles(struct judge *j)
{
	struct oracle_verdict *out = j->out;

	for (size_t i = 0; i < j->n_grants; i++) {
		const struct good *g = &j->grants[i];
		enum sw_role role =
		    g->op.role == SW_ROLE_ADMIN && !g->as_admin ? SW_ROLE_WRITER : g->op.role;
		bool counts = true;
		size_t k = 0;

		for (size_t r = 0; r < j->n_revokes; r++)
			if (sw_key_eq(&j->revokes[r].op.member, &g->op.member) &&
			    j->revokes[r].commit != g->commit &&
			    !is_in_past(j, j->revokes[r].commit, g->commit))
				counts = false;
		while (k < out->n_roles && !sw_key_eq(&out->roles[k].key, &g->op.member))
			k++;
		if (!counts)
			continue;
		if (k == out->n_roles) {
			out->roles = realloc(out->roles, (k + 1) * sizeof(*out->roles));
			assert(out->roles);
			out->roles[out->n_roles++] = (struct oracle_role){.key = g->op.member};
		}
		if (role > out->roles[k].role)
			out->roles[k].role = role;
	}
}

void oracle_judge(const struct oracle *o, size_t n, const bool *line, struct oracle_verdict *out)
{
	struct judge j = {.o = o, .n = n, .line = line, .out = out};
	size_t rank = 0;

	*out = (struct oracle_verdict){.valid = array(n, sizeof(bool)),
				       .stands = array(n, sizeof(bool)),
				       .in_line = array(n, sizeof(bool))};
	j.past = array(n * n, sizeof(bool));
	find_pasts(&j);
	if (n > 0)
		add_creator(&j);
	while (n > 0 && judge_rank(&j, rank))
		rank++;
	judge_successions(&j);
	for (size_t x = 0; x < n; x++)
		if (o->commits[x].mode != SW_MODE_CONTROL)
			out->valid[x] = is_let_in(&j, x, false) && !is_below_floor(&j, x);
	find_line(&j);
	find_roles(&j);
	free(j.past);
	free(j.grants);
	free(j.revokes);
	free(j.keys);
	free(j.ranks);
}

void oracle_verdict_fini(struct oracle_verdict *v)
{
	free(v->valid);
	free(v->stands);
	free(v->in_line);
	free(v->roles);
	*v = (struct oracle_verdict){0};
}

static bool is_or_is_below(const struct oracle *o, const struct sw_hash *id, bool *seen,
			   const struct sw_key *key, enum sw_role least)
{
	for (size_t x = 0; x < o->n; x++) {
		const struct oracle_commit *c = &o->commits[x];
		struct sw_changeset walk;
		struct sw_op op;

		if (!sw_hash_eq(&c->commit.id, id) || seen[x])
			continue;
		seen[x] = true;
		assert(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)) == 0);
		while (sw_changeset_next(&walk, &op) > 0)
			if (op.kind == SW_OP_GRANT && op.role >= least &&
			    sw_key_eq(&op.member, key))
				return true;
		for (size_t p = 0; p < c->commit.n_parents; p++)
			if (is_or_is_below(o, &c->commit.parents[p], seen, key, least))
				return true;
	}
	return false;
}

bool oracle_takes(const struct oracle *o, const struct sw_commit *c, enum sw_mode mode, struct sw_view changeset)
{
	enum sw_role least =
	    mode == SW_MODE_CONTROL && !is_succession(changeset) ? SW_ROLE_ADMIN : SW_ROLE_WRITER;
	bool *seen = array(o->n, sizeof(bool)), found = false;

	for (size_t p = 0; p < c->n_parents; p++)
		found |= is_or_is_below(o, &c->parents[p], seen, &c->author, least);
	free(seen);
	return found;
}
