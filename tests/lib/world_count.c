/* What happened in worlds, and how often. */
#include "tests/lib/oracle_columns.h"
#include "tests/lib/world_internal.h"

static void each(void (*fn)(const char *text, size_t n, size_t least, void *arg), void *arg)
{
#define X(name, text, least) fn(text, world_counts.name, least, arg);
	WORLD_COUNTS(X)
#undef X
}

static void print(const char *text, size_t n, size_t least, void *arg)
{
	(void)least;
	(void)arg;
	printf("%12zu  %s\n", n, text);
}

void world_print_counts(void)
{
	each(print, NULL);
	fflush(stdout);
}

static void check(const char *text, size_t n, size_t least, void *arg)
{
	const size_t *n_worlds = arg;

	if (n < least * *n_worlds / 100)
		fail_msg("only %zu %s in %zu worlds of each kind", n, text, *n_worlds);
}

void world_check_counts(size_t n_worlds)
{
	each(check, &n_worlds);
}

/* Contents */

static bool has_columns(const struct world *w, struct sw_view key, const struct sw_hash *hash,
			bool *is_known)
{
	struct oracle_members m;
	bool has = false;

	*is_known = false;
	for (size_t i = 0; i < w->n_versions && !*is_known; i++) {
		if (!sw_hash_eq(&w->versions[i].hash, hash))
			continue;
		*is_known = true;
		has = oracle_columns_parse(key, sw_buf_view(&w->versions[i].bytes), &m);
		oracle_columns_fini(&m);
	}
	return has;
}

static bool is_object(const struct world *w, const struct sw_hash *hash)
{
	for (size_t i = 0; i < w->n_versions; i++)
		if (sw_hash_eq(&w->versions[i].hash, hash))
			return w->versions[i].bytes.n > 0 && w->versions[i].bytes.p[0] == '{';
	return false;
}

static void count_put(const struct world *w, const struct sw_op *op)
{
	bool knows_before, knows_after, before, after;
	struct sw_hash now;

	sw_op_new_hash(op, &now);
	world_counts.puts++;
	before = has_columns(w, op->key, &op->old, &knows_before);
	after = has_columns(w, op->key, &now, &knows_after);
	world_counts.columns += after;
	world_counts.to_json += knows_before && !before && after;
	world_counts.from_json += before && knows_after && !after;
	world_counts.odd += knows_after && !after && op->key.n > 5 && is_object(w, &now);
}

/* Commits */

struct commit_ops {
	bool deleted, put, made, removed;
	struct sw_hash gone, came;
};

static void count_op(const struct world *w, const struct sw_op *op, struct commit_ops *seen)
{
	switch (op->kind) {
	case SW_OP_PUT:
		count_put(w, op);
		sw_op_new_hash(op, &seen->came);
		seen->put = true;
		break;
	case SW_OP_DELETE:
		world_counts.deletes++;
		seen->gone = op->old;
		seen->deleted = true;
		break;
	case SW_OP_CHECK:
		world_counts.checked++;
		break;
	case SW_OP_CHMETA:
		world_counts.metas++;
		break;
	case SW_OP_MKTABLE:
		world_counts.made++;
		seen->made = true;
		break;
	case SW_OP_RMTABLE:
		world_counts.removed++;
		seen->removed = true;
		break;
	case SW_OP_TAG:
		world_counts.tags++;
		break;
	case SW_OP_RESOLVE:
		world_counts.resolutions++;
		break;
	case SW_OP_GRANT:
		world_counts.grants++;
		break;
	case SW_OP_REVOKE:
		world_counts.revocations++;
		break;
	case SW_OP_FLOOR:
		world_counts.floors++;
		break;
	default:
		break;
	}
}

static void count_commit(const struct world *w, const struct oracle_commit *c)
{
	struct commit_ops seen = {.deleted = false};
	struct sw_changeset walk;
	struct sw_op op;

	world_counts.commits++;
	world_counts.merge += c->mode == SW_MODE_MERGE;
	world_counts.strict += c->mode == SW_MODE_STRICT;
	world_counts.dropped += c->outcome == SW_DROPPED;
	world_counts.voids += c->outcome == SW_VOID;
	world_counts.outs += c->outcome == SW_OUT;
	world_counts.unclean += c->was_unclean;
	world_counts.merged += c->was_merged;
	assert_int_equal(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)), 0);
	while (sw_changeset_next(&walk, &op) > 0)
		count_op(w, &op, &seen);
	world_counts.renames += seen.deleted && seen.put && sw_hash_eq(&seen.gone, &seen.came);
	world_counts.table_renames += seen.made && seen.removed;
}

/* Tables that were made after they had been removed. */
static void count_remade(const struct oracle *o)
{
	for (size_t row = 0; row < WORLD_ROWS; row += WORLD_KEYS) {
		bool was_removed = false;

		for (size_t x = 0; x < o->n; x++) {
			struct sw_changeset walk;
			struct sw_op op;

			assert_int_equal(
			    sw_changeset_begin(&walk, sw_buf_view(&o->commits[x].changeset)), 0);
			while (o->commits[x].outcome == SW_APPLIED &&
			       sw_changeset_next(&walk, &op) > 0) {
				if (!sw_view_eq(op.table, world_table(row)))
					continue;
				world_counts.remade += was_removed && (op.kind == SW_OP_MKTABLE ||
								       op.kind == SW_OP_PUT);
				was_removed = (was_removed && op.kind != SW_OP_MKTABLE &&
					       op.kind != SW_OP_PUT) ||
					      op.kind == SW_OP_RMTABLE;
			}
		}
	}
}

static bool is_below(const struct oracle *o, size_t a, size_t b)
{
	const struct sw_commit *c = &o->commits[b].commit;

	if (a == b)
		return true;
	for (size_t p = 0; p < c->n_parents; p++)
		for (size_t x = a; x < b; x++)
			if (sw_hash_eq(&o->commits[x].commit.id, &c->parents[p]) &&
			    is_below(o, a, x))
				return true;
	return false;
}

static void count_pairs(const struct oracle *o)
{
	for (size_t b = 0; b < o->n; b++) {
		const struct sw_commit *y = &o->commits[b].commit;

		/* Neighbours in the order are enough, and causality goes over few steps then. */
		for (size_t a = b > 4 ? b - 4 : 0; a < b; a++) {
			const struct sw_commit *x = &o->commits[a].commit;
			bool equal = x->stamp == y->stamp,
			     is_twin = sw_key_eq(&x->author, &y->author);

			world_counts.equal_stamps += equal;
			world_counts.equivocations += is_twin && !is_below(o, a, b);
			world_counts.twins += is_twin && equal;
		}
	}
}

void world_count(const struct world *w)
{
	const struct oracle *o = &w->seen[0];
	size_t n_first = w->n + w->n_ghosts - 1; /* in the beginning, each is let in by a commit */

	for (size_t x = 0; x < o->n; x++)
		count_commit(w, &o->commits[x]);
	world_counts.grants -= n_first + 1; /* that of the first commit */
	world_counts.records += o->conflicts.n;
	count_remade(o);
	count_pairs(o);
}
