/*
 * What gc frees. Random histories go on on stores that have freed some of theirs, each up to
 * another place, and on one that keeps all, with every kind of late and stale commit behind the
 * horizons: all agree with the oracle at each step, and so do all snapshots that there are still.
 * Then that a run may end anywhere, that space is used again, and what must not be lost.
 */
#include "tests/lib/pair.h"
#include "tests/lib/world.h"

#include "core/conflicts.h"
#include "core/db_internal.h"
#include "core/gc.h"
#include "core/settled.h"

static uint64_t seed;

static void histories_go_on_alike_after_gc(void **state)
{
	size_t total = getenv("SW_LONG") ? 1000 : 12, n_freed = 0, n_interrupted = 0;

	(void)state;
	for (size_t k = 0; k < total; k++) {
		struct world w;

		world_init(&w, seed + k);
		w.governed = false; /* a revocation may reach into what is settled: see below */
		for (size_t i = 0; i < w.n; i++)
			world_milestones(&w, i, 1 + rng_below(&w.rng, 8), rng_below(&w.rng, 10));
		for (size_t round = 0; round < 3; round++) {
			size_t steps = 5 + rng_below(&w.rng, 40);

			for (size_t i = 0; i < steps; i++)
				world_step(&w);
			world_settle(&w);
			for (size_t i = 1; i < w.n; i++)
				if (rng_below(&w.rng, 3) > 0)
					world_gc(&w, i);
			world_settle(&w);
		}
		for (size_t i = 0; i < w.n; i++)
			world_snapshots(&w, i);
		n_freed += w.n_freed;
		n_interrupted += w.n_interrupted;
		world_fini(&w);
	}
	world_print_counts();
	printf("%zu commits freed, %zu runs interrupted\n", n_freed, n_interrupted);
	assert_true(n_freed > total && n_interrupted > 0);
}

/* One database by hand */

static void run_gc(struct test_db *t, struct sw_gc_report *report)
{
	struct sw_gc_options options = {0};

	TEST_OK(sw_db_gc(t->db, &options, report));
	test_verify(t);
}

static bool is_freed(struct test_db *t, const struct sw_hash *id)
{
	struct sw_reader r;
	bool freed;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_is_freed(&r, id, &freed));
	sw_reader_end(&r);
	return freed;
}

static void tick(struct test_db *t)
{
	t->env.now_ms += 1000;
}

/* What stands stays, what was overwritten goes, and only what is older than it is to be kept. */
static void what_does_not_stand_goes(void **state)
{
	struct sw_gc_options options = {.keep_ms = 5000};
	struct sw_hash first, second, third;
	struct sw_gc_report report;
	struct sw_snap *snap;
	struct test_db t;
	char text[64];

	(void)state;
	test_db_create(&t, 1);
	tick(&t);
	first = test_put(&t, "t", "a", "1");
	tick(&t);
	second = test_put(&t, "t", "a", "2");
	t.env.now_ms += 10000;
	third = test_put(&t, "t", "a", "3");
	options.is_dry = true;
	TEST_OK(sw_db_gc(t.db, &options, &report));
	assert_int_equal(report.n_commits, 1);
	assert_false(is_freed(&t, &first));
	options.is_dry = false;
	TEST_OK(sw_db_gc(t.db, &options, &report));
	assert_int_equal(report.n_commits, 1);
	assert_int_equal(report.n_ops, 1);
	test_verify(&t);
	assert_true(is_freed(&t, &first));
	assert_false(is_freed(&t, &second));
	assert_int_equal(sw_snap_open(t.db, &first, &snap), SW_EFREED);
	TEST_OK(sw_snap_open(t.db, &second, &snap));
	/* What is open is not freed. */
	run_gc(&t, &report);
	assert_true(report.is_held);
	assert_false(is_freed(&t, &second));
	sw_snap_unref(snap);
	run_gc(&t, &report);
	assert_false(report.is_held);
	assert_true(is_freed(&t, &second));
	assert_false(is_freed(&t, &third));
	assert_true(test_get(&t, "t", "a", text, sizeof(text)));
	assert_string_equal(text, "3");
	test_db_close(&t);
}

static struct test_db from_which_it_pulls;

static bool pull_meanwhile(void *arg)
{
	test_pull(arg, &from_which_it_pulls, 1000);
	return false;
}

/* While it counts, commits come that are stamped before the place up to which it counts: more than
 * it has room for. */
static void a_dry_run_leaves_out_what_comes_meanwhile(void **state)
{
	struct sw_order horizon = {{0xff}};
	struct test_db t, *late = &from_which_it_pulls;
	struct sw_gc_options options = {
	    .is_dry = true, .horizon = &horizon, .stop = pull_meanwhile, .arg = &t};
	struct sw_gc_report report;
	char text[16];

	(void)state;
	test_db_create(&t, 1);
	test_db_clone(late, &t, 2);
	test_grant(&t, late);
	test_put(&t, "t", "a", "0");
	test_pull(late, &t, 1000);
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%d", i);
		test_put(late, "t", "a", text);
	}
	TEST_OK(sw_db_gc(t.db, &options, &report));
	/* The one that they have replaced is all that there was. */
	assert_int_equal(report.n_commits, 1);
	assert_int_equal(report.n_ops, 1);
	test_db_close(late);
	test_db_close(&t);
}

/* Whoever shows what a commit lost goes on reading it when the conflict is resolved and gc has freed the commit. */
static void a_large_row_that_is_pinned_stays(void **state)
{
	struct sw_order newest;
	struct sw_gc_options options = {.horizon = &newest};
	struct sw_gc_report report;
	struct sw_conflict c;
	struct sw_hash root, id;
	struct sw_reader r;
	struct sw_side lost;
	char large[3][6000] = {{0}};
	struct pair p;

	(void)state;
	for (int i = 0; i < 3; i++)
		memset(large[i], 'a' + i, sizeof(large[i]) - 1);
	pair_open(&p);
	test_put(&p.a, "t", "x", large[0]);
	pair_sync(&p);
	p.a.env.now_ms += 1000;
	p.b.env.now_ms += 2000;
	test_put(&p.a, "t", "x", large[1]);
	test_put(&p.b, "t", "x", large[2]);
	pair_sync(&p);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	assert_int_equal(sw_conflicts_seek(r.nodes, &root, sw_view("", 0), &c), 1);
	TEST_OK(sw_conflict_side(p.a.db, &r, &c, SW_SIDE_LOST, &lost));
	sw_reader_end(&r);
	assert_true(lost.row.is_blob);
	TEST_OK(sw_db_pin_blob(p.a.db, &lost.row.blob));
	tick(&p.a);
	TEST_OK(sw_conflict_discard(p.a.db, &c, 1, sw_view_str("discarded"), &id));
	p.b.env.now_ms = p.a.env.now_ms;
	pair_sync(&p);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_line_ago(r.nodes, &r.head.line, 0, &newest));
	sw_reader_end(&r);
	TEST_OK(sw_db_gc(p.a.db, &options, &report));
	assert_true(report.n_commits > 0);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	{
		SW_BUF text = {0};

		test_read_side(&r, &lost, &text);
		assert_int_equal(text.n, sizeof(large[1]) - 1);
		assert_memory_equal(text.p, large[1], text.n);
	}
	sw_reader_end(&r);
	test_verify(&p.a);
	sw_db_unpin(p.a.db, &lost.row.blob);
	TEST_OK(sw_db_tidy(p.a.db));
	assert_int_equal(sw_db_pin_blob(p.a.db, &lost.row.blob), SW_ENOTFOUND);
	sw_side_fini(&lost);
	pair_close(&p);
}

/* A table that was only written to stays there when it is empty, on a store that has freed what was
 * written as well. */
static void an_emptied_table_stays(void **state)
{
	struct sw_write_op rm = {.op = {.kind = SW_OP_RMTABLE, .table = sw_view_str("t")}};
	struct sw_gc_report report;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	test_put(&t, "t", "a", "1");
	test_put(&t, "t", "b", "1");
	test_delete(&t, "t", "a");
	test_delete(&t, "t", "b");
	assert_true(test_has_table(&t, "t"));
	tick(&t);
	run_gc(&t, &report);
	assert_int_equal(report.n_commits, 1);
	/* Its state is made anew. */
	test_put(&t, "t", "c", "1");
	test_delete(&t, "t", "c");
	assert_true(test_has_table(&t, "t"));
	tick(&t);
	run_gc(&t, &report);
	test_put(&t, "u", "c", "1");
	test_delete(&t, "u", "c");
	tick(&t);
	run_gc(&t, &report);
	run_gc(&t, &report);
	assert_int_equal(report.n_commits, 0);
	assert_true(test_has_table(&t, "t") && test_has_table(&t, "u"));
	test_write(&t, &rm);
	tick(&t);
	run_gc(&t, &report);
	assert_false(test_has_table(&t, "t"));
	test_db_close(&t);
}

static size_t n_free_pages(struct test_db *t)
{
	uint64_t bytes;

	TEST_OK(sw_store_free_bytes(sw_db_store(t->db), &bytes));
	return (size_t)bytes / 4096;
}

static uint64_t file_size(struct test_db *t)
{
	uint64_t used, file;

	TEST_OK(sw_store_size(sw_db_store(t->db), &used, &file));
	return file;
}

static void write_many(struct test_db *t, int from)
{
	char text[5000];

	for (int i = 0; i < 400; i++) {
		memset(text, 'a' + (from + i) % 26, sizeof(text) - 1);
		snprintf(text, sizeof(text), "%d", from + i);
		text[strlen(text)] = ' ';
		text[sizeof(text) - 1] = '\0';
		test_put(t, "t", i % 2 ? "a" : "b", text);
	}
	tick(t);
}

/* The file does not grow when what was freed is enough for what comes. */
static void freed_space_is_used_again(void **state)
{
	struct sw_gc_report report;
	uint64_t before, after;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	for (int i = 0; i < 3; i++)
		write_many(&t, 400 * i);
	before = n_free_pages(&t);
	run_gc(&t, &report);
	assert_true(report.n_commits > 1100);
	assert_true(report.bytes > 1100 * 5000);
	assert_true(n_free_pages(&t) > before + 1100);
	before = file_size(&t);
	for (int i = 3; i < 5; i++)
		write_many(&t, 400 * i);
	after = file_size(&t);
	printf("file: %llu bytes before %d more values of 5000, %llu after; gc freed %llu\n",
	       (unsigned long long)before, 800, (unsigned long long)after,
	       (unsigned long long)report.bytes);
	assert_true(after <= before + before / 20);
	test_verify(&t);
	test_db_close(&t);
}

/* A row of which nothing before its last write matters; but of what is before that, all must go or
 * nothing. */
static void write_merged(struct test_db *t)
{
	static const char before[] = "{\"x\":1,\"y\":1}", mine[] = "{\"x\":1,\"y\":2}";
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("c.json"),
					.row = {.mode = 0644, .mtime_ns = 1000}},
				 .content = sw_view_str(mine),
				 .base = sw_view_str(before),
				 .has_base = true};
	char text[64];

	test_put(t, "t", "c.json", before);
	op.op.old = test_current(t, "t", "c.json");
	test_put(t, "t", "c.json", "{\"x\":2,\"y\":1}");
	test_write(t, &op);
	assert_true(test_get(t, "t", "c.json", text, sizeof(text)));
	assert_string_equal(text, "{\"x\":2,\"y\":2}");
	test_put(t, "t", "c.json", "{\"x\":3,\"y\":3}");
}

/* Whatever step fails, and whatever is found at the next start, the store is whole, and another run
 * gives what one would have. */
static void a_run_may_end_anywhere(void **state)
{
	struct sw_hash done = sw_hash_zero;

	(void)state;
	for (unsigned n = 1, failed = 1; failed; n++) {
		struct sw_gc_options options = {.batch = 1};
		struct sw_gc_report report;
		struct sw_head before, after;
		struct sw_hash last;
		struct test_db t;
		int rc;

		test_db_create(&t, 1);
		write_merged(&t);
		for (int i = 0; i < 20; i++) {
			char key[8], text[2000];

			snprintf(key, sizeof(key), "k%d", i % 7);
			memset(text, 'x', sizeof(text));
			snprintf(text + sizeof(text) - 8, 8, "%d", i);
			test_put(&t, i % 3 ? "t" : "u", key,
				 i % 5 ? text : text + sizeof(text) - 8);
		}
		tick(&t);
		sw_db_head(t.db, &before);
		t.env.fail_in = n;
		t.env.fail_rc = SW_EIO;
		rc = sw_db_gc(t.db, &options, &report);
		failed = rc < 0;
		t.env.fail_in = 0;
		test_verify(&t);
		sw_db_close(t.db);
		TEST_OK(sw_db_open(t.dir, &t.env.env, &t.db));
		test_verify(&t);
		run_gc(&t, &report);
		assert_true(report.has_horizon);
		sw_db_head(t.db, &after);
		assert_true(sw_head_eq(&before, &after));
		last = test_put(&t, "t", "k1", "and so on");
		assert_false(sw_hash_is_zero(&last));
		tick(&t);
		run_gc(&t, &report);
		sw_db_head(t.db, &after);
		if (n == 1)
			done = after.state;
		assert_memory_equal(done.b, after.state.b, SW_HASH_SIZE);
		if (!failed)
			printf("%u steps\n", n - 1);
		test_db_close(&t);
	}
}

/* The only writer's commits that nobody was sent are settled as they stand; who is let in later
 * takes over from there. */
static void what_nobody_was_sent_is_freed_as_well(void **state)
{
	struct sw_gc_report report;
	struct test_db t;
	size_t n;

	(void)state;
	test_db_create(&t, 1);
	for (int i = 0; i < 10; i++)
		test_put(&t, "t", "a", i % 2 ? "1" : "2");
	assert_true(sw_db_withheld(t.db) > 0);
	tick(&t);
	run_gc(&t, &report);
	assert_int_equal(report.n_commits, 9);
	assert_int_equal(sw_db_withheld(t.db), 0);
	/* A clock that is set back by years finds nothing to sign again. */
	t.env.now_ms -= 1000000000;
	TEST_OK(sw_db_resign(t.db, t.env.now_ms, &n));
	assert_int_equal(n, 0);
	test_verify(&t);
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(histories_go_on_alike_after_gc),
	    cmocka_unit_test(what_does_not_stand_goes),
	    cmocka_unit_test(a_dry_run_leaves_out_what_comes_meanwhile),
	    cmocka_unit_test(a_large_row_that_is_pinned_stays),
	    cmocka_unit_test(an_emptied_table_stays),
	    cmocka_unit_test(freed_space_is_used_again),
	    cmocka_unit_test(a_run_may_end_anywhere),
	    cmocka_unit_test(what_nobody_was_sent_is_freed_as_well),
	};

	/* Every commit is flushed: where there is memory to put the stores in, that costs nothing.
	 */
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
