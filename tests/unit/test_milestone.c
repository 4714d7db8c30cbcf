/*
 * Snapshots from milestones. Random histories whose stores make milestones far more often than usual, while late commits slip below
 * them: as of each commit, a snapshot has the root that the oracle folds from nothing. And what is kept for who looks again.
 */
#include "tests/lib/world.h"

#include "core/db_internal.h"
#include "core/hlc.h"

static uint64_t seed;

static size_t count_milestones(struct sw_db *db)
{
	struct sw_reader r;
	size_t n;

	TEST_OK(sw_reader_begin(db, &r));
	n = (size_t)sw_txn_count(r.txn, SW_SPACE_MILESTONES);
	sw_reader_end(&r);
	return n;
}

static void snapshots_are_folds_of_their_past(void **state)
{
	size_t total = getenv("SW_LONG") ? 1000 : 25, n_milestones = 0, n_forgotten = 0;

	(void)state;
	for (size_t k = 0; k < total; k++) {
		struct world w;
		size_t steps;

		world_init(&w, seed + k);
		for (size_t i = 0; i < w.n; i++)
			world_milestones(&w, i, 1 + rng_below(&w.rng, 8), rng_below(&w.rng, 10));
		steps = 10 + rng_below(&w.rng, 60);
		for (size_t i = 0; i < steps; i++)
			world_step(&w);
		world_snapshots(&w, 0);
		world_settle(&w);
		for (size_t i = 0; i < w.n; i++) {
			world_snapshots(&w, i);
			n_milestones += count_milestones(w.db[i].db);
			n_forgotten += w.db[i].db->n_forgotten;
		}
		world_fini(&w);
	}
	world_print_counts();
	printf("%zu milestones at the end, %zu forgotten before\n", n_milestones, n_forgotten);
	assert_true(n_milestones > 20 * total / 10);
	assert_true(n_forgotten > total);
}

static struct sw_snap *open_snap(struct test_db *t, const struct sw_hash *id)
{
	struct sw_snap *s;

	TEST_OK(sw_snap_open(t->db, id, &s));
	return s;
}

/* Whoever has a snapshot open keeps it; its name leads to the new state once something has slipped below it. */
static void a_late_commit_makes_another_snapshot(void **state)
{
	struct test_db a, b;
	struct sw_hash id;
	struct sw_snap *before, *again, *after;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	a.db->milestone_rate = (struct sw_milestone_rate){1, 0};
	a.env.env.checkpoint_commits = 1;
	test_grant(&a, &b);
	test_pull(&b, &a, 100);
	b.env.now_ms += 5;
	a.env.now_ms += 50;
	test_put(&b, "t", "late", "b");
	id = test_put(&a, "t", "row", "1");
	a.env.now_ms += 50;
	test_put(&a, "t", "row", "2");
	before = open_snap(&a, &id);
	again = open_snap(&a, &id);
	assert_ptr_equal(before, again);
	sw_snap_unref(again);
	assert_int_equal(count_milestones(a.db), 3);
	test_pull(&a, &b, 100);
	/* Two went; one was due again at once, above everything. */
	assert_int_equal(count_milestones(a.db), 2);
	TEST_OK(sw_db_tidy(a.db));
	after = open_snap(&a, &id);
	assert_ptr_not_equal(before, after);
	assert_memory_not_equal(sw_snap_state(before)->b, sw_snap_state(after)->b, SW_HASH_SIZE);
	for (int i = 0; i < 2; i++) {
		struct sw_snap *s = i ? after : before;
		struct sw_reader r;
		struct sw_row row;

		TEST_OK(sw_snap_read(s, &r));
		assert_int_equal(sw_state_row(r.nodes, sw_snap_state(s), sw_view_str("t"), sw_view_str("late"), &row),
				 i ? 0 : SW_ENOTFOUND);
		TEST_OK(sw_tree_check(r.nodes, sw_db_shape(a.db), SW_PURPOSE_STATE, sw_snap_state(s), NULL, NULL));
		sw_reader_end(&r);
	}
	sw_snap_unref(before);
	sw_snap_unref(after);
	test_verify(&a);
	/* Nobody looks any more: what only those snapshots held goes. */
	a.env.now_ms += 60000;
	TEST_OK(sw_db_tidy(a.db));
	assert_int_equal(a.db->n_drops, 0);
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
}

/* What a commit would have done away with is there as before when it fails, and counted as before. */
static void a_commit_that_fails_forgets_no_milestone(void **state)
{
	struct sw_milestone_plan plan;
	struct sw_hash tips[1];
	struct test_db a, b;
	uint64_t n_forgotten;
	size_t n_drops, n = 0;
	struct sw_reader r;
	struct sw_incoming in = {0};
	struct sw_commit commit;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	a.db->milestone_rate = (struct sw_milestone_rate){1, 0};
	a.env.env.checkpoint_commits = 1;
	test_grant(&a, &b);
	test_pull(&b, &a, 100);
	b.env.now_ms += 5;
	a.env.now_ms += 50;
	tips[0] = test_put(&b, "t", "late", "b");
	test_put(&a, "t", "row", "1");
	a.env.now_ms += 50;
	test_put(&a, "t", "row", "2");
	assert_int_equal(count_milestones(a.db), 3);
	n_drops = a.db->n_drops;
	n_forgotten = a.db->n_forgotten;
	plan = a.db->milestone_plan;
	TEST_OK(sw_reader_begin(b.db, &r));
	TEST_OK(sw_db_get_commit(&r, &tips[0], &commit, &in.commit, &in.changeset));
	for (int fails = 1; fails >= 0; fails--) {
		a.env.fail_in = fails;
		a.env.fail_rc = SW_ENOSPC;
		assert_int_equal(sw_db_receive(a.db, &in, 1, 0, NULL, NULL, NULL, &n), fails ? SW_ENOSPC : 0);
		assert_int_equal(count_milestones(a.db), fails ? 3 : 2);
		assert_int_equal(a.db->n_forgotten - n_forgotten, fails ? 0 : 2);
		assert_int_equal(a.db->n_drops - n_drops, fails ? 0 : 2);
		assert_int_equal(memcmp(&a.db->milestone_plan, &plan, sizeof(plan)) == 0, fails);
	}
	sw_reader_end(&r);
	TEST_OK(sw_db_tidy(a.db));
	assert_int_equal(a.db->n_drops, 0);
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
}

/* A large row that only a milestone holds, since no commit wrote it: it is a merge of two. */
static void a_snapshot_keeps_what_it_took_from_a_milestone(void **state)
{
	char text[3000], one[3000], two[3000], got[3000];
	struct test_db a, b, c;
	struct sw_hash id;
	struct sw_snap *s;
	struct sw_reader r;
	struct sw_row row;
	SW_BUF read = {0};

	(void)state;
	memset(got, 'x', sizeof(got));
	snprintf(text, sizeof(text), "{\"a\": 1, \"b\": 1, \"c\": \"%.2000s\"}", got);
	snprintf(one, sizeof(one), "{\"a\": 2, \"b\": 1, \"c\": \"%.2000s\"}", got);
	snprintf(two, sizeof(two), "{\"a\": 1, \"b\": 2, \"c\": \"%.2000s\"}", got);
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_db_clone(&c, &a, 3);
	test_grant(&a, &b);
	test_grant(&a, &c);
	test_put(&a, "t", "r.json", text);
	test_pull(&b, &a, 100);
	test_pull(&c, &a, 100);
	c.env.now_ms += 5;
	test_put(&c, "t", "late", "c");
	a.env.now_ms += 10;
	b.env.now_ms += 20;
	test_put(&a, "t", "r.json", one);
	test_put(&b, "t", "r.json", two);
	a.env.env.checkpoint_commits = 1;
	a.db->milestone_rate = (struct sw_milestone_rate){1, 0};
	a.db->milestone_plan.n = 100;
	test_pull(&a, &b, 100);
	assert_int_equal(count_milestones(a.db), 1);
	a.db->milestone_rate.n_rows_min = 1000;
	a.env.now_ms += 20;
	for (int i = 0; i < 3; i++)
		test_put(&a, "t", "other", i == 1 ? "1" : "2");
	id = test_put(&a, "t", "other", "3");
	test_put(&a, "t", "r.json", "{}");
	s = open_snap(&a, &id);
	test_pull(&a, &c, 100);
	assert_int_equal(count_milestones(a.db), 0);
	TEST_OK(sw_db_tidy(a.db));
	TEST_OK(sw_snap_read(s, &r));
	TEST_OK(sw_state_row(r.nodes, sw_snap_state(s), sw_view_str("t"), sw_view_str("r.json"), &row));
	TEST_OK(sw_row_read(r.nodes, &row, &read));
	assert_int_equal(read.n, strlen(text));
	assert_memory_equal(read.p, "{\"a\": 2, \"b\": 2", 15);
	sw_reader_end(&r);
	sw_snap_unref(s);
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&c);
}

/* As many writes as there were rows at the last one; the count goes on where it was after a restart. */
static void milestones_are_due_by_rows(void **state)
{
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	t.env.env.checkpoint_commits = 1;
	t.db->milestone_rate = (struct sw_milestone_rate){10, 3};
	for (int i = 0; i < 150; i++) {
		char key[16], text[16];

		snprintf(key, sizeof(key), "%d", i % 40);
		snprintf(text, sizeof(text), "%d", i);
		test_put(&t, "t", key, text);
		if (i % 13 == 0) {
			sw_db_close(t.db);
			TEST_OK(sw_db_open(t.dir, &t.env.env, &t.db));
			t.db->milestone_rate = (struct sw_milestone_rate){10, 3};
		}
	}
	/* After 9 rows (and the first commit), 19, 38, 76 and 116. */
	assert_int_equal(count_milestones(t.db), 5);
	assert_int_equal(t.db->milestone_plan.n, 34);
	test_verify(&t);
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(snapshots_are_folds_of_their_past),
	    cmocka_unit_test(a_late_commit_makes_another_snapshot),
	    cmocka_unit_test(a_commit_that_fails_forgets_no_milestone),
	    cmocka_unit_test(a_snapshot_keeps_what_it_took_from_a_milestone),
	    cmocka_unit_test(milestones_are_due_by_rows),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing. */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
