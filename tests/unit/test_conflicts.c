/*
 * Conflicts as readers of a state see them, against the oracle, on random histories: the same
 * records, of each the columns that the oracle lost, and three versions that have the hashes they
 * should have. And rows with as many columns as there can be, which many change at once.
 */
#include "core/columns.h"
#include "core/conflicts.h"
#include "tests/lib/pair.h"
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
		test_read_side(r, &side, &bytes);
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

/* A row of as many columns as there can be, all with the same value. */
static void write_wide(struct sw_buf *out, int value)
{
	char member[32];

	for (int i = 0; i < SW_COLUMNS_MAX; i++) {
		snprintf(member, sizeof(member), "%c\"%04x\":%d", i > 0 ? ',' : '{', i, value);
		sw_buf_put_view(out, sw_view_str(member));
	}
	sw_buf_put_u8(out, '}');
	assert_int_equal(out->rc, 0);
}

/* All columns, as changes of that row. */
static void change_all(struct sw_view text, struct sw_buf *out)
{
	SW_CLEANUP(sw_columns_fini) struct sw_columns columns = {0};

	assert_int_equal(sw_columns_parse(sw_view_str("x.json"), text, &columns), 1);
	assert_int_equal(columns.n, SW_COLUMNS_MAX);
	for (size_t i = 0; i < columns.n; i++) {
		struct sw_op_column c = {.name = columns.by_name[i]->name};

		sw_column_hash(columns.by_name[i], &c.old);
		sw_op_column_encode(&c, out);
	}
	assert_int_equal(out->rc, 0);
}

/* Give `a` a commit by hand that changes all columns to a value, and has seen none of the others.
 */
static void add_wide(struct pair *p, const struct sw_hash *parent, struct sw_op op, int value)
{
	struct sw_incoming in;
	struct sw_nodes *nodes;
	SW_BUF text = {0};
	struct made m;
	size_t n_taken;

	write_wide(&text, value);
	TEST_OK(sw_nodes_new(NULL, &nodes));
	TEST_OK(sw_row_make(nodes, sw_db_shape(p->a.db), sw_buf_view(&text), &op.row));
	op.row.mode = 0644;
	pair_make(p, 2, p->a.env.now_ms << 16, parent, SW_MODE_MERGE, &op, 1, &m);
	in = (struct sw_incoming){.commit = sw_buf_view(&m.raw),
				  .changeset = sw_buf_view(&m.changeset)};
	TEST_OK(sw_db_receive(p->a.db, &in, 1, 0, nodes, NULL, NULL, &n_taken));
	assert_int_equal(in.taken, SW_TAKEN);
	made_fini(&m);
	sw_nodes_free(nodes);
}

/* Each of the columns is lost by each commit but the last: whoever looks for one among all that were lost before shows in the time. */
static void a_wide_row_that_many_change_at_once(void **state)
{
	struct sw_op op = {.kind = SW_OP_PUT,
			   .table = sw_view_str("t"),
			   .key = sw_view_str("x.json"),
			   .has_columns = true,
			   .n_columns = SW_COLUMNS_MAX};
	const size_t n_commits = 6;
	struct sw_conflict_info info;
	struct sw_conflict c;
	struct sw_hash parent, root;
	struct sw_reader r;
	SW_BUF first = {0};
	SW_BUF columns = {0};
	SW_BUF at = {0};
	struct pair p;
	size_t n = 0;

	(void)state;
	pair_open(&p);
	write_wide(&first, 1000);
	sw_buf_put_u8(&first, '\0');
	parent = test_put(&p.a, "t", "x.json", (const char *)first.p);
	op.old = test_current(&p.a, "t", "x.json");
	change_all(sw_view(first.p, first.n - 1), &columns);
	op.columns = sw_buf_view(&columns);
	for (size_t i = 0; i < n_commits; i++) {
		p.a.env.now_ms += 10;
		p.b.env.now_ms = p.a.env.now_ms;
		add_wide(&p, &parent, op, (int)i);
	}
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	for (; sw_conflicts_seek(r.nodes, &root, sw_buf_view(&at), &c) > 0; n++) {
		TEST_OK(sw_conflict_info(p.a.db, &r, &c, &info));
		assert_false(info.is_whole);
		assert_int_equal(info.n_columns, SW_COLUMNS_MAX);
		sw_conflict_info_fini(&info);
		sw_conflict_behind(&c, SW_SCOPE_RECORD, &at);
	}
	assert_int_equal(n, n_commits - 1);
	sw_reader_end(&r);
	pair_sync(&p);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_are_those_of_the_oracle),
	    cmocka_unit_test(a_wide_row_that_many_change_at_once),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing.
	 */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
