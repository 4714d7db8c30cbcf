/*
 * Conflicts as readers and users of a state see them. First against the oracle, on random
 * histories: the same records, of each the columns that the oracle lost, and three versions that
 * have the hashes they should have. Then, on two stores that were apart, what becomes of records
 * that somebody resolves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/conflicts.h"
#include "tests/lib/world.h"

static uint64_t seed;
static size_t n_records, n_columns, n_unknown;

/* Every value that a row of a world ever had, hashed with its name. Authors also name others, which
 * nobody can find. */
static struct sw_hash stood[8192];
static size_t n_stood;

static struct sw_hash stood_hash(struct sw_view table, struct sw_view key,
				 const struct sw_hash *value)
{
	struct sw_hash h;
	SW_BUF text = {0};

	sw_conflict_key(table, key, value, &text);
	sw_hash_compute(SW_DOMAIN_VALUE, sw_buf_view(&text), &h);
	return h;
}

static bool has_stood(const struct sw_hash *h)
{
	for (size_t i = 0; i < n_stood; i++)
		if (sw_hash_eq(&stood[i], h))
			return true;
	return false;
}

static void note_values(const struct oracle *o)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		struct sw_hash h = stood_hash(o->rows[i].table, o->rows[i].key, &o->rows[i].hash);

		if (n_stood < sizeof(stood) / sizeof(stood[0]) && !has_stood(&h))
			stood[n_stood++] = h;
	}
}

/* Whether these are the bytes of the value. */
static bool has_hash(struct sw_db *db, struct sw_view bytes, const struct sw_hash *want)
{
	struct sw_nodes *nodes;
	struct sw_row row = {0};
	struct sw_hash hash;

	TEST_OK(sw_nodes_new(NULL, &nodes));
	TEST_OK(sw_row_make(nodes, sw_db_shape(db), bytes, &row));
	sw_row_hash(&row, &hash);
	sw_nodes_free(nodes);
	return sw_hash_eq(&hash, want);
}

/* A strict commit may have been applied where an author saw the row, and be dropped by now, or the
 * other way round. */
static bool has_strict(const struct oracle *o, const struct sw_conflict *c)
{
	for (size_t i = 0; i < o->n; i++) {
		struct sw_changeset ops;
		struct sw_op op;

		TEST_OK(sw_changeset_begin(&ops, sw_buf_view(&o->commits[i].changeset)));
		while (ops.mode == SW_MODE_STRICT && sw_changeset_next(&ops, &op) > 0)
			if (sw_view_eq(op.table, sw_conflict_table(c)) &&
			    sw_view_eq(op.key, sw_conflict_key_of(c)))
				return true;
	}
	return false;
}

/* All bytes of a side, in pieces of an odd size. */
static void read_side(const struct sw_reader *r, const struct sw_side *s, struct sw_buf *out)
{
	uint8_t piece[777];
	size_t got;

	sw_buf_reset(out);
	do {
		TEST_OK(sw_side_read(r->nodes, s, out->n, piece, sizeof(piece), &got));
		sw_buf_put(out, piece, got);
	} while (got == sizeof(piece));
	assert_int_equal(out->n, s->row.size);
}

static void check_side(struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		       const struct oracle *o, enum sw_conflict_side which,
		       const struct sw_hash *want)
{
	struct sw_hash h = stood_hash(sw_conflict_table(c), sw_conflict_key_of(c), want);
	struct sw_side side;
	SW_BUF bytes = {0};

	TEST_OK(sw_conflict_side(db, r, c, which, &side));
	assert_true(sw_hash_eq(&side.hash, want));
	assert_int_equal(side.state == SW_SIDE_ABSENT, sw_hash_is_zero(want));
	if (side.state == SW_SIDE_THERE) {
		read_side(r, &side, &bytes);
		assert_true(has_hash(db, sw_buf_view(&bytes), want));
	}
	n_unknown += side.state == SW_SIDE_UNKNOWN;
	if (side.state == SW_SIDE_UNKNOWN)
		assert_true(which == SW_SIDE_BASE && (!has_stood(&h) || has_strict(o, c)));
	sw_side_fini(&side);
}

/* What the oracle lost for one row and commit. */
static void check_info(struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
		       const struct oracle *o, const struct oracle_row *row, size_t commit)
{
	struct sw_conflict_info info;
	bool is_whole = false;
	size_t n = 0;

	TEST_OK(sw_conflict_info(db, r, c, &info));
	for (size_t i = 0; i < row->n_losers; i++) {
		const struct oracle_loser *l = &row->losers[i];
		bool found = false;

		if (l->commit != commit)
			continue;
		is_whole |= !l->is_column;
		for (size_t k = 0; l->is_column && k < info.n_columns; k++)
			found |= sw_view_eq(info.columns[k], l->name);
		assert_true(found || !l->is_column);
		n += l->is_column;
	}
	assert_int_equal(info.is_whole, is_whole);
	assert_true(info.n_columns <= n && (n == 0) == (info.n_columns == 0));
	for (size_t k = 1; k < info.n_columns; k++)
		assert_true(sw_view_cmp(info.columns[k - 1], info.columns[k]) < 0);
	assert_int_equal(info.outcome, o->commits[commit].outcome);
	assert_true(sw_hash_eq(&info.commit.id, &c->commit));
	n_columns += info.n_columns;
	sw_conflict_info_fini(&info);
}

/* Also one that is not there any more: deleted. */
static const struct oracle_row *find_row(const struct oracle *o, const struct sw_conflict *c)
{
	size_t i = 0;

	while (i < o->n_rows && (!sw_view_eq(o->rows[i].table, sw_conflict_table(c)) ||
				 !sw_view_eq(o->rows[i].key, sw_conflict_key_of(c))))
		i++;
	assert_true(i < o->n_rows);
	return &o->rows[i];
}

static void check_record(struct sw_db *db, const struct sw_reader *r, const struct sw_conflict *c,
			 const struct oracle *o)
{
	const struct oracle_row *row = find_row(o, c);
	struct sw_changeset ops;
	size_t commit = 0;
	struct sw_hash written;
	struct sw_op op;

	while (commit < o->n && !sw_hash_eq(&o->commits[commit].commit.id, &c->commit))
		commit++;
	assert_true(commit < o->n);
	TEST_OK(sw_changeset_begin(&ops, sw_buf_view(&o->commits[commit].changeset)));
	do
		assert_int_equal(sw_changeset_next(&ops, &op), 1);
	while ((op.kind != SW_OP_PUT && op.kind != SW_OP_DELETE) ||
	       !sw_view_eq(op.table, sw_conflict_table(c)) ||
	       !sw_view_eq(op.key, sw_conflict_key_of(c)));
	sw_op_new_hash(&op, &written);
	check_side(db, r, c, o, SW_SIDE_LOST, &written);
	check_side(db, r, c, o, SW_SIDE_BASE, &op.old);
	check_side(db, r, c, o, SW_SIDE_WON, &row->hash);
	check_info(db, r, c, o, row, commit);
	n_records++;
}

/* Behind all of a row, or of a table, comes a record of another. */
static void check_behind(const struct sw_reader *r, const struct sw_hash *root,
			 const struct sw_conflict *c)
{
	struct sw_conflict next;
	SW_BUF key = {0};

	for (int scope = SW_SCOPE_TABLE; scope <= SW_SCOPE_ROW; scope++) {
		sw_conflict_behind(c, (enum sw_conflict_scope)scope, &key);
		if (sw_conflicts_seek(r->nodes, root, sw_buf_view(&key), &next) > 0)
			assert_false(sw_conflict_is_in(&next, c, (enum sw_conflict_scope)scope));
		sw_conflict_before(c, (enum sw_conflict_scope)scope, &key);
		assert_int_equal(sw_conflicts_seek(r->nodes, root, sw_buf_view(&key), &next), 1);
		assert_true(sw_conflict_is_in(&next, c, (enum sw_conflict_scope)scope));
	}
}

/* The records of store i, from the front and by rank, are those of its oracle. */
static void check_store(struct world *w, size_t i)
{
	const struct oracle *o = &w->seen[i];
	struct sw_db *db = w->db[i].db;
	struct sw_conflict c, again;
	struct sw_hash root;
	struct sw_reader r;
	SW_BUF from = {0};
	size_t n = 0;

	TEST_OK(sw_reader_begin(db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	while (sw_conflicts_seek(r.nodes, &root, sw_buf_view(&from), &c) > 0) {
		SW_BUF key = {0};

		sw_conflict_key(sw_conflict_table(&c), sw_conflict_key_of(&c), &c.commit, &key);
		assert_true(n < o->conflicts.n);
		assert_true(sw_view_eq(sw_buf_view(&key), sw_buf_view(&o->conflicts.v[n].key)));
		assert_int_equal(sw_conflicts_seek_rank(r.nodes, &root, n, &again), 1);
		assert_true(sw_conflict_is_in(&again, &c, SW_SCOPE_RECORD));
		TEST_OK(sw_conflict_check(r.nodes, &root, &c));
		check_record(db, &r, &c, o);
		check_behind(&r, &root, &c);
		sw_conflict_behind(&c, SW_SCOPE_RECORD, &from);
		n++;
	}
	assert_int_equal(n, o->conflicts.n);
	sw_reader_end(&r);
}

static void records_are_those_of_the_oracle(void **state)
{
	size_t total = getenv("SW_LONG") ? 2000 : 60;

	(void)state;
	for (size_t k = 0; k < total; k++) {
		struct world w;
		size_t steps;

		n_stood = 0;
		world_init(&w, seed + k);
		steps = 10 + rng_below(&w.rng, 60);
		for (size_t i = 0; i < steps; i++) {
			size_t at = rng_below(&w.rng, (uint32_t)w.n);

			if (rng_below(&w.rng, 100) < 70)
				world_commit(&w, at);
			else
				world_exchange(&w, rng_below(&w.rng, (uint32_t)w.n), at,
					       1 + rng_below(&w.rng, 12));
			note_values(&w.seen[at]);
		}
		world_settle(&w);
		for (size_t i = 0; i < w.n; i++)
			check_store(&w, i);
		world_fini(&w);
	}
	printf("%zu records, %zu lost columns, %zu bases unknown\n", n_records, n_columns,
	       n_unknown);
}

/* Two stores that were apart */

struct pair {
	struct test_db a, b;
};

static void pair_open(struct pair *p)
{
	test_db_create(&p->a, 1);
	test_db_clone(&p->b, &p->a, 2);
	test_grant(&p->a, &p->b);
	test_sync(&p->a, &p->b);
}

static void pair_close(struct pair *p)
{
	test_verify(&p->a);
	test_verify(&p->b);
	test_db_close(&p->a);
	test_db_close(&p->b);
}

static void pair_sync(struct pair *p)
{
	struct sw_head x, y;

	test_sync(&p->a, &p->b);
	sw_db_head(p->a.db, &x);
	sw_db_head(p->b.db, &y);
	assert_true(sw_head_eq(&x, &y));
}

/* Later work is stamped later. */
static void later(struct pair *p)
{
	p->a.env.now_ms += 10;
	p->b.env.now_ms += 10;
}

static size_t n_conflicts(struct test_db *t)
{
	struct sw_hash root;
	struct sw_reader r;
	uint64_t n = 0;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	TEST_OK(sw_tree_count(r.nodes, &root, &n));
	sw_reader_end(&r);
	return (size_t)n;
}

/* The one record of a row. */
static int find(struct test_db *t, const char *table, const char *key, struct sw_conflict *out)
{
	struct sw_hash root;
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	rc = sw_conflict_find(r.nodes, &root, sw_view_str(table), sw_view_str(key),
			      sw_view(NULL, 0), out);
	sw_reader_end(&r);
	return rc;
}

static struct sw_conflict only(struct test_db *t, const char *table, const char *key)
{
	struct sw_conflict c;

	TEST_OK(find(t, table, key, &c));
	return c;
}

static void discard(struct test_db *t, struct sw_conflict c)
{
	struct sw_hash id;

	TEST_OK(sw_conflict_discard(t->db, &c, 1, sw_view(NULL, 0), &id));
	assert_false(sw_hash_is_zero(&id));
}

static void reapply(struct test_db *t, struct sw_conflict c)
{
	struct sw_hash id;

	TEST_OK(sw_conflict_reapply(t->db, NULL, &c, sw_view(NULL, 0), &id));
	assert_false(sw_hash_is_zero(&id));
}

static size_t n_resolved(struct test_db *t)
{
	struct sw_table table = {0};
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_SYSTEM, sw_view_str(SW_TABLE_RESOLVED),
			    &table);
	assert_true(rc == 0 || rc == SW_ENOTFOUND);
	sw_reader_end(&r);
	return (size_t)table.n_rows;
}

static void assert_row(struct test_db *t, const char *key, const char *want)
{
	char text[4096];

	assert_int_equal(test_get(t, "t", key, text, sizeof(text)), want != NULL);
	if (want)
		assert_string_equal(text, want);
}

static void assert_side(struct test_db *t, const struct sw_conflict *c, enum sw_conflict_side which,
			const char *want)
{
	struct sw_reader r;
	struct sw_side side;
	SW_BUF bytes = {0};

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_conflict_side(t->db, &r, c, which, &side));
	assert_int_equal(side.state, want ? SW_SIDE_THERE : SW_SIDE_ABSENT);
	if (want) {
		read_side(&r, &side, &bytes);
		assert_true(sw_view_eq(sw_buf_view(&bytes), sw_view_str(want)));
	}
	sw_side_fini(&side);
	sw_reader_end(&r);
}

/* `key` in t: base, then a writes one thing and, a moment later, b another; they meet. NULL:
 * delete. */
static void crossing(struct pair *p, const char *key, const char *base, const char *a,
		     const char *b)
{
	if (base)
		test_put(&p->a, "t", key, base);
	pair_sync(p);
	later(p);
	if (a)
		test_put(&p->a, "t", key, a);
	else
		test_delete(&p->a, "t", key);
	later(p);
	if (b)
		test_put(&p->b, "t", key, b);
	else
		test_delete(&p->b, "t", key);
	pair_sync(p);
	later(p);
}

static void three_versions_of_a_row(void **state)
{
	struct sw_conflict c;
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "edit", "base", "mine", "theirs");
	crossing(&p, "deleted", "base", "mine", NULL);
	crossing(&p, "deletion", "base", NULL, "theirs");
	crossing(&p, "new", NULL, "mine", "theirs");
	for (struct test_db *t = &p.a; t; t = t == &p.a ? &p.b : NULL) {
		c = only(t, "t", "edit");
		assert_side(t, &c, SW_SIDE_BASE, "base");
		assert_side(t, &c, SW_SIDE_LOST, "mine");
		assert_side(t, &c, SW_SIDE_WON, "theirs");
		c = only(t, "t", "deleted");
		assert_side(t, &c, SW_SIDE_LOST, "mine");
		assert_side(t, &c, SW_SIDE_WON, NULL);
		c = only(t, "t", "deletion");
		assert_side(t, &c, SW_SIDE_BASE, "base");
		assert_side(t, &c, SW_SIDE_LOST, NULL);
		assert_side(t, &c, SW_SIDE_WON, "theirs");
		c = only(t, "t", "new");
		assert_side(t, &c, SW_SIDE_BASE, NULL);
	}
	pair_close(&p);
}

static void a_reapplied_row_is_written_or_deleted(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "edit", "base", "mine", "theirs");
	crossing(&p, "deleted", "base", "mine", NULL);
	crossing(&p, "deletion", "base", NULL, "theirs");
	reapply(&p.b, only(&p.b, "t", "edit"));
	reapply(&p.a, only(&p.a, "t", "deleted"));
	reapply(&p.b, only(&p.b, "t", "deletion"));
	pair_sync(&p);
	for (struct test_db *t = &p.a; t; t = t == &p.a ? &p.b : NULL) {
		assert_row(t, "edit", "mine");
		assert_row(t, "deleted", "mine");
		assert_row(t, "deletion", NULL);
		assert_int_equal(n_conflicts(t), 0);
		assert_int_equal(n_resolved(t), 3);
	}
	pair_close(&p);
}

static void of_columns_only_those_that_were_lost_come_back(void **state)
{
	struct sw_conflict c;
	struct pair p;

	(void)state;
	pair_open(&p);
	/* Both change x; a changes y, too, which b did not. */
	crossing(&p, "r.json", "{\"x\":1,\"y\":1,\"z\":1}", "{\"x\":2,\"y\":2,\"z\":1}",
		 "{ \"x\": 3, \"y\": 1, \"z\": 1 }");
	assert_row(&p.a, "r.json", "{ \"x\": 3, \"y\": 2, \"z\": 1 }");
	c = only(&p.a, "t", "r.json");
	assert_side(&p.a, &c, SW_SIDE_BASE, "{\"x\":1,\"y\":1,\"z\":1}");
	assert_side(&p.a, &c, SW_SIDE_LOST, "{\"x\":2,\"y\":2,\"z\":1}");
	/* Work goes on in other columns, and stays: y, z and a new one. */
	test_put(&p.b, "t", "r.json", "{ \"x\": 3, \"y\": 9, \"z\": 9, \"new\": 1 }");
	pair_sync(&p);
	reapply(&p.a, only(&p.a, "t", "r.json"));
	pair_sync(&p);
	assert_row(&p.b, "r.json", "{ \"x\": 2, \"y\": 9, \"z\": 9, \"new\": 1 }");
	assert_int_equal(n_conflicts(&p.b), 0);
	pair_close(&p);
}

static void a_lost_column_that_was_removed_is_removed_again(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r.json", "{\"x\":1,\"y\":1}", "{\"y\":1}", "{\"x\":3,\"y\":1}");
	reapply(&p.a, only(&p.a, "t", "r.json"));
	assert_row(&p.a, "r.json", "{\"y\":1}");
	pair_close(&p);
}

static void a_base_that_came_of_a_merge_is_found(void **state)
{
	struct sw_conflict c;
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r.json", "{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", "{\"x\":1,\"y\":2}");
	assert_row(&p.a, "r.json", "{\"x\":2,\"y\":2}"); /* which nobody wrote */
	assert_int_equal(n_conflicts(&p.a), 0);
	crossing(&p, "r.json", NULL, "{\"x\":3,\"y\":2}", "{\"x\":4,\"y\":2}");
	c = only(&p.b, "t", "r.json");
	assert_side(&p.b, &c, SW_SIDE_BASE, "{\"x\":2,\"y\":2}");
	pair_close(&p);
}

static void bytes_of_any_kind_and_size(void **state)
{
	size_t size = (size_t)2 << 20;
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("large"),
					.row = {.mode = 0640, .mtime_ns = 1}}};
	uint8_t *bytes = malloc(size);
	struct sw_hash written, now;
	struct sw_conflict c;
	struct sw_reader r;
	struct sw_side side;
	SW_BUF back = {0};
	struct rng rng = {.s = 7};
	struct pair p;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)rng_next(&rng);
	pair_open(&p);
	op.content = sw_view(bytes, size);
	test_write(&p.a, &op);
	written = test_current(&p.a, "t", "large");
	later(&p);
	test_put(&p.b, "t", "large", "theirs");
	pair_sync(&p);
	c = only(&p.b, "t", "large");
	TEST_OK(sw_reader_begin(p.b.db, &r));
	TEST_OK(sw_conflict_side(p.b.db, &r, &c, SW_SIDE_LOST, &side));
	assert_true(side.row.is_blob && side.row.mode == 0640);
	read_side(&r, &side, &back);
	assert_true(sw_view_eq(sw_buf_view(&back), sw_view(bytes, size)));
	sw_side_fini(&side);
	sw_reader_end(&r);
	later(&p);
	reapply(&p.b, c);
	pair_sync(&p);
	now = test_current(&p.a, "t", "large");
	assert_true(sw_hash_eq(&now, &written));
	assert_int_equal(n_conflicts(&p.a), 0);
	pair_close(&p);
	free(bytes);
}

static void discarded_here_and_there_it_stays_away(void **state)
{
	struct sw_conflict c, none;
	struct sw_hash id;
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r", "base", "mine", "theirs");
	c = only(&p.a, "t", "r");
	discard(&p.a, c);
	discard(&p.b, c);
	assert_int_equal(n_conflicts(&p.a), 0);
	pair_sync(&p);
	assert_int_equal(n_conflicts(&p.a), 0);
	assert_row(&p.a, "r", "theirs");
	assert_int_equal(sw_conflict_discard(p.a.db, &c, 1, sw_view(NULL, 0), &id), SW_ENOTFOUND);
	assert_non_null(strstr(sw_fail_message(SW_ENOTFOUND), "there is no conflict t/r/"));
	assert_int_equal(sw_conflict_reapply(p.b.db, NULL, &c, sw_view(NULL, 0), &id),
			 SW_ENOTFOUND);
	assert_int_equal(find(&p.a, "t", "r", &none), SW_ENOTFOUND);
	pair_close(&p);
}

/* Whatever arrives later, also from before: a late commit makes a new record, and not the old one
 * again. */
static void nothing_resurrects(void **state)
{
	struct sw_conflict c, late;
	struct test_db other;
	struct pair p;

	(void)state;
	pair_open(&p);
	test_db_clone(&other, &p.a, 3);
	test_grant(&p.a, &other);
	test_put(&p.a, "t", "r", "base");
	test_sync(&p.a, &other);
	pair_sync(&p);
	later(&p);
	test_put(&other, "t", "r", "late"); /* nobody hears of it yet */
	crossing(&p, "r", NULL, "mine", "theirs");
	c = only(&p.a, "t", "r");
	discard(&p.a, c);
	test_put(&p.b, "t", "r", "theirs, edited");
	pair_sync(&p);
	later(&p);
	test_sync(&p.b, &other);
	pair_sync(&p);
	test_sync(&p.a, &other);
	assert_row(&p.a, "r", "theirs, edited");
	late = only(&p.a, "t", "r");
	assert_false(sw_hash_eq(&late.commit, &c.commit));
	assert_side(&p.b, &late, SW_SIDE_LOST, "late");
	test_db_close(&other);
	pair_close(&p);
}

static void discarded_on_one_side_and_edited_on_the_other(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r", "base", "mine", "theirs");
	discard(&p.a, only(&p.a, "t", "r"));
	test_put(&p.b, "t", "r", "theirs, edited");
	pair_sync(&p);
	assert_row(&p.a, "r", "theirs, edited");
	assert_int_equal(n_conflicts(&p.a), 0);
	/* An edit alone resolves nothing. */
	crossing(&p, "s", "base", "mine", "theirs");
	test_put(&p.b, "t", "s", "theirs, edited");
	pair_sync(&p);
	assert_int_equal(n_conflicts(&p.a), 1);
	pair_close(&p);
}

static void reapplied_on_both_sides(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r", "base", "mine", "theirs");
	reapply(&p.a, only(&p.a, "t", "r"));
	later(&p);
	reapply(&p.b, only(&p.b, "t", "r"));
	pair_sync(&p);
	assert_row(&p.a, "r", "mine");
	assert_int_equal(n_conflicts(&p.a), 0); /* they wrote the same */
	pair_close(&p);
}

/* A reapply that loses is a record of its own. */
static void reapplied_on_one_side_and_edited_on_the_other(void **state)
{
	struct sw_conflict c, again;
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r", "base", "mine", "theirs");
	c = only(&p.a, "t", "r");
	reapply(&p.a, c);
	later(&p);
	test_put(&p.b, "t", "r", "theirs, edited");
	pair_sync(&p);
	assert_row(&p.a, "r", "theirs, edited");
	again = only(&p.b, "t", "r");
	assert_false(sw_hash_eq(&again.commit, &c.commit));
	assert_side(&p.b, &again, SW_SIDE_LOST, "mine");
	pair_close(&p);
}

static void records_are_found_by_the_beginning_of_their_id(void **state)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_conflict c, found;
	struct sw_hash root;
	struct sw_reader r;
	struct pair p;

	(void)state;
	pair_open(&p);
	crossing(&p, "r", "base", "mine", "theirs");
	c = only(&p.a, "t", "r");
	sw_hex(c.commit.b, SW_HASH_SIZE, hex);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	TEST_OK(sw_conflict_find(r.nodes, &root, sw_view_str("t"), sw_view_str("r"),
				 sw_view(hex, 1), &found));
	TEST_OK(sw_conflict_find(r.nodes, &root, sw_view_str("t"), sw_view_str("r"),
				 sw_view(hex, 64), &found));
	assert_true(sw_conflict_is_in(&found, &c, SW_SCOPE_RECORD));
	hex[0] = hex[0] == '0' ? '1' : '0';
	assert_int_equal(sw_conflict_find(r.nodes, &root, sw_view_str("t"), sw_view_str("r"),
					  sw_view(hex, 12), &found),
			 SW_ENOTFOUND);
	assert_int_equal(sw_conflict_find(r.nodes, &root, sw_view_str("t"), sw_view_str("R"),
					  sw_view(NULL, 0), &found),
			 SW_ENOTFOUND);
	sw_reader_end(&r);
	later(&p);
	/* A second one of the row: now it must be said which. */
	test_put(&p.a, "t", "r", "mine again");
	later(&p);
	test_put(&p.b, "t", "r", "theirs again");
	pair_sync(&p);
	assert_int_equal(n_conflicts(&p.a), 2);
	assert_int_equal(find(&p.a, "t", "r", &found), SW_EINVAL);
	pair_close(&p);
}

/* What a listener was told, added up. */
struct told {
	struct sw_conflict v[64];
	size_t n, n_resolved, n_removed;
};

static void changed(void *arg, const struct sw_changes *changes, const struct sw_head *head,
		    bool by_others)
{
	struct told *t = arg;

	(void)head;
	(void)by_others;
	for (size_t i = 0; i < changes->n; i++) {
		const struct sw_change *c = &changes->v[i];
		struct sw_conflict record;
		size_t at = 0;

		if (c->kind != SW_CHANGE_CONFLICT)
			continue;
		sw_conflict_set(&record, c->table, c->key, &c->commit);
		while (at < t->n && !sw_conflict_is_in(&t->v[at], &record, SW_SCOPE_RECORD))
			at++;
		assert_int_equal(at < t->n, c->existed);
		assert_int_equal(c->existed, !c->exists);
		if (c->exists) {
			assert_true(t->n < 64);
			t->v[t->n++] = record;
		} else {
			t->v[at] = t->v[--t->n];
			t->n_resolved += c->is_resolved;
			t->n_removed += !c->is_resolved;
		}
	}
}

static void check_told(struct test_db *t, const struct told *told)
{
	struct sw_hash root;
	struct sw_reader r;

	assert_int_equal(n_conflicts(t), told->n);
	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	for (size_t i = 0; i < told->n; i++)
		TEST_OK(sw_conflict_check(r.nodes, &root, &told->v[i]));
	sw_reader_end(&r);
}

static void a_listener_hears_of_each_that_comes_and_goes(void **state)
{
	static const char *const keys[] = {"a", "b", "c.json"};
	struct rng rng = {.s = seed};
	size_t n_resolved = 0, n_removed = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		struct told told[2] = {0};
		struct pair p;

		pair_open(&p);
		for (int i = 0; i < 2; i++) {
			struct sw_listener listener = {.arg = &told[i], .changed = changed};

			sw_db_listen(i ? p.b.db : p.a.db, &listener);
		}
		for (int step = 0; step < 60; step++) {
			uint32_t dice = rng_below(&rng, 12);
			struct test_db *t = dice & 1 ? &p.a : &p.b;
			const char *key = keys[rng_below(&rng, 3)];
			struct sw_conflict c;
			char text[64];

			t->env.now_ms += rng_below(&rng, 5);
			snprintf(text, sizeof(text), "{\"x\":%u,\"y\":%u}", rng_below(&rng, 3),
				 rng_below(&rng, 3));
			if (dice < 8)
				test_put(t, "t", key, text);
			else if (dice < 10 && find(t, "t", key, &c) == 0)
				(rng_below(&rng, 2) ? discard : reapply)(t, c);
			else
				test_pull(t, t == &p.a ? &p.b : &p.a, 1 + rng_below(&rng, 4));
			check_told(&p.a, &told[0]);
			check_told(&p.b, &told[1]);
		}
		for (int i = 0; i < 2; i++) {
			n_resolved += told[i].n_resolved;
			n_removed += told[i].n_removed;
		}
		pair_close(&p);
	}
	assert_true(n_resolved > 0);
	printf("%zu resolved, %zu removed otherwise\n", n_resolved, n_removed);
}

/* Databases where writes that cross are dropped */

static void count_divergence(void *arg, const struct sw_divergence *d)
{
	(void)d;
	++*(size_t *)arg;
}

static void strict_open(struct pair *p, size_t *n_diverged)
{
	struct sw_listener listener = {.arg = n_diverged, .diverged = count_divergence};

	*n_diverged = 0;
	test_db_create_with(&p->a, 1, SW_CONFLICT_DROP);
	test_db_clone(&p->b, &p->a, 2);
	sw_db_listen(p->a.db, &listener);
	sw_db_listen(p->b.db, &listener);
	test_grant(&p->a, &p->b);
	test_sync(&p->a, &p->b);
	assert_int_equal(sw_db_conflict_mode(p->b.db), SW_CONFLICT_DROP);
}

/* Write t/KEY through a working set, as a mount does. NULL: delete. */
static void write_row(struct sw_work *w, const char *key, const char *text)
{
	struct sw_handle h;

	if (!text) {
		TEST_OK(sw_work_unlink(w, sw_view_str("t"), sw_view_str(key)));
		return;
	}
	TEST_OK(sw_work_open_row(w, sw_view_str("t"), sw_view_str(key),
				 SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(w, &h, 0, false, sw_view_str(text)));
	TEST_OK(sw_handle_flush(w, &h));
	sw_handle_release(w, &h);
}

static uint64_t settle(struct test_db *t, struct sw_work *w)
{
	struct sw_head before, after;
	struct sw_hash id;

	sw_db_head(t->db, &before);
	t->env.now_ms += 10;
	TEST_OK(sw_work_commit(w, sw_view(NULL, 0), &id));
	sw_db_head(t->db, &after);
	return after.count - before.count;
}

static void a_row_that_crosses_is_dropped_and_the_others_stay(void **state)
{
	struct sw_work *a, *b;
	struct sw_conflict c;
	struct sw_reader r;
	struct sw_conflict_info info;
	size_t n_diverged;
	struct pair p;

	(void)state;
	strict_open(&p, &n_diverged);
	TEST_OK(sw_work_open(p.a.db, NULL, &a));
	TEST_OK(sw_work_open(p.b.db, NULL, &b));
	TEST_OK(sw_work_mkdir(a, sw_view_str("t"), 0755));
	write_row(a, "r", "base");
	write_row(a, "s", "base");
	write_row(a, "u", "base");
	assert_int_equal(settle(&p.a, a), 4); /* each by itself */
	pair_sync(&p);
	write_row(a, "r", "mine");
	assert_int_equal(settle(&p.a, a), 1);
	later(&p);
	later(&p);
	write_row(b, "r", "theirs");
	write_row(b, "s", "theirs");
	assert_int_equal(settle(&p.b, b), 2);
	pair_sync(&p);
	for (struct test_db *t = &p.a; t; t = t == &p.a ? &p.b : NULL) {
		assert_row(t, "r", "mine");
		assert_row(t, "s", "theirs");
		assert_int_equal(n_conflicts(t), 1);
		c = only(t, "t", "r");
		assert_side(t, &c, SW_SIDE_LOST, "theirs");
		TEST_OK(sw_reader_begin(t->db, &r));
		TEST_OK(sw_conflict_info(t->db, &r, &c, &info));
		assert_int_equal(info.outcome, SW_DROPPED);
		assert_int_equal(info.mode, SW_MODE_STRICT);
		sw_conflict_info_fini(&info);
		sw_reader_end(&r);
	}
	reapply(&p.a, c);
	pair_sync(&p);
	assert_row(&p.b, "r", "theirs");
	assert_int_equal(n_conflicts(&p.b), 0);
	assert_int_equal(n_diverged, 0);
	sw_work_close(a);
	sw_work_close(b);
	pair_close(&p);
}

/* While a row is edited here, somebody else's comes: this edit is dropped from the start, and kept.
 */
static void an_edit_that_is_stale_when_it_is_committed(void **state)
{
	static const char *const keys[] = {"edit", "deletion", "deleted"};
	static const char *const mine[] = {"mine", NULL, "mine"}, *const theirs[] = {
								      "theirs", "theirs", NULL};
	struct sw_conflict c;
	struct sw_work *a;
	struct sw_attr attr;
	struct sw_handle h, reader;
	size_t n_diverged, got;
	char text[32];
	struct pair p;

	(void)state;
	strict_open(&p, &n_diverged);
	TEST_OK(sw_work_open(p.a.db, NULL, &a));
	for (int i = 0; i < 3; i++)
		test_put(&p.b, "t", keys[i], "base");
	pair_sync(&p);
	for (int i = 0; i < 3; i++) {
		write_row(a, keys[i], mine[i]);
		if (theirs[i])
			test_put(&p.b, "t", keys[i], theirs[i]);
		else
			test_delete(&p.b, "t", keys[i]);
	}
	pair_sync(&p);
	p.a.env.now_ms += 100;
	TEST_OK(sw_work_open_row(a, sw_view_str("t"), sw_view_str("deleted"), 0, 0, &reader));
	assert_int_equal(settle(&p.a, a), 3);
	/* What the mount shows is theirs. */
	TEST_OK(sw_work_open_row(a, sw_view_str("t"), sw_view_str("edit"), 0, 0, &h));
	TEST_OK(sw_handle_read(a, &h, 0, text, sizeof(text), &got));
	assert_int_equal(got, 6);
	assert_memory_equal(text, "theirs", 6);
	sw_handle_release(a, &h);
	TEST_OK(sw_work_stat(a, sw_view_str("t"), sw_view_str("deletion"), &attr));
	assert_int_equal(sw_work_stat(a, sw_view_str("t"), sw_view_str("deleted"), &attr),
			 SW_ENOTFOUND);
	TEST_OK(sw_handle_read(a, &reader, 0, text, sizeof(text), &got)); /* has what it had */
	assert_int_equal(got, 4);
	sw_handle_release(a, &reader);
	pair_sync(&p);
	assert_int_equal(n_diverged, 0);
	for (struct test_db *t = &p.a; t; t = t == &p.a ? &p.b : NULL) {
		for (int i = 0; i < 3; i++) {
			assert_row(t, keys[i], theirs[i]);
			c = only(t, "t", keys[i]);
			assert_side(t, &c, SW_SIDE_LOST, mine[i]);
			assert_side(t, &c, SW_SIDE_BASE, "base");
		}
	}
	/* And nothing is left to be done. */
	assert_int_equal(settle(&p.a, a), 0);
	sw_work_close(a);
	pair_close(&p);
}

static void a_commit_that_is_dropped_from_the_start_signs_the_root_of_its_past(void **state)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("r"),
					.row = {.mode = 0644}},
				 .content = sw_view_str("mine")};
	struct sw_write w = {.mode = SW_MODE_STRICT, .ops = &op, .n = 1};
	struct sw_head before, after;
	struct sw_commit commit;
	struct sw_reader r;
	struct sw_hash id;
	struct sw_view raw;
	size_t n_diverged;
	struct pair p;

	(void)state;
	strict_open(&p, &n_diverged);
	test_put(&p.a, "t", "r", "there already");
	sw_db_head(p.a.db, &before);
	assert_int_equal(sw_db_commit(p.a.db, &w, &id), SW_ECONFLICT);
	sw_db_head(p.a.db, &after);
	assert_true(sw_head_eq(&before, &after));
	w.may_drop = true;
	TEST_OK(sw_db_commit(p.a.db, &w, &id));
	assert_true(w.dropped);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_db_get_commit(&r, &id, &commit, &raw, NULL));
	assert_true(sw_hash_eq(&commit.state, &before.state));
	assert_false(sw_hash_eq(&r.head.state, &before.state)); /* it has the record */
	sw_reader_end(&r);
	pair_sync(&p);
	assert_int_equal(n_diverged, 0);
	pair_close(&p);
}

/* A program that has the row open for writing goes on with what stands there. */
static void a_writer_sees_what_stands_there_after_its_edit_was_dropped(void **state)
{
	struct sw_work *a;
	struct sw_handle h;
	size_t n_diverged, got;
	char text[32];
	struct pair p;

	(void)state;
	strict_open(&p, &n_diverged);
	TEST_OK(sw_work_open(p.a.db, NULL, &a));
	test_put(&p.b, "t", "r", "base");
	pair_sync(&p);
	TEST_OK(sw_work_open_row(a, sw_view_str("t"), sw_view_str("r"), SW_OPEN_WRITE, 0, &h));
	TEST_OK(sw_handle_write(a, &h, 0, false, sw_view_str("mine")));
	TEST_OK(sw_handle_flush(a, &h));
	test_put(&p.b, "t", "r", "theirs");
	pair_sync(&p);
	p.a.env.now_ms += 100;
	assert_int_equal(settle(&p.a, a), 1);
	TEST_OK(sw_handle_read(a, &h, 0, text, sizeof(text), &got));
	assert_int_equal(got, 6);
	assert_memory_equal(text, "theirs", 6);
	TEST_OK(sw_handle_write(a, &h, 6, false, sw_view_str(" and mine")));
	TEST_OK(sw_handle_flush(a, &h));
	sw_handle_release(a, &h);
	assert_int_equal(settle(&p.a, a), 1);
	pair_sync(&p);
	assert_row(&p.b, "r", "theirs and mine");
	assert_int_equal(n_conflicts(&p.b), 1);
	sw_work_close(a);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_are_those_of_the_oracle),
	    cmocka_unit_test(three_versions_of_a_row),
	    cmocka_unit_test(a_reapplied_row_is_written_or_deleted),
	    cmocka_unit_test(of_columns_only_those_that_were_lost_come_back),
	    cmocka_unit_test(a_lost_column_that_was_removed_is_removed_again),
	    cmocka_unit_test(a_base_that_came_of_a_merge_is_found),
	    cmocka_unit_test(bytes_of_any_kind_and_size),
	    cmocka_unit_test(discarded_here_and_there_it_stays_away),
	    cmocka_unit_test(nothing_resurrects),
	    cmocka_unit_test(discarded_on_one_side_and_edited_on_the_other),
	    cmocka_unit_test(reapplied_on_both_sides),
	    cmocka_unit_test(reapplied_on_one_side_and_edited_on_the_other),
	    cmocka_unit_test(records_are_found_by_the_beginning_of_their_id),
	    cmocka_unit_test(a_listener_hears_of_each_that_comes_and_goes),
	    cmocka_unit_test(a_row_that_crosses_is_dropped_and_the_others_stay),
	    cmocka_unit_test(an_edit_that_is_stale_when_it_is_committed),
	    cmocka_unit_test(a_commit_that_is_dropped_from_the_start_signs_the_root_of_its_past),
	    cmocka_unit_test(a_writer_sees_what_stands_there_after_its_edit_was_dropped),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing.
	 */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
