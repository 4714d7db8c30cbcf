/*
 * Cases in which an order of commits, a merge or a conflict is easy to get wrong. Each makes its
 * history with two stores, or by hand with writers that have none, and says what must come of it on
 * every store. The cases of members are in test_cases_members.c; 9 in
 * test_settled.c, 17 in e2e/settled.bats.
 */
#include "core/breaches.h"
#include "core/columns.h"
#include "core/conflicts.h"
#include "core/db_internal.h"
#include "core/gc.h"
#include "tests/lib/pair.h"

static size_t system_count(struct test_db *t, const char *name)
{
	struct sw_table table = {0};
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_SYSTEM, sw_view_str(name), &table);
	assert_true(rc == 0 || rc == SW_ENOTFOUND);
	sw_reader_end(&r);
	return (size_t)table.n_rows;
}

static void case_01_a_wrong_signed_root_is_an_alarm_and_no_more(void **state)
{
	struct sw_op op = test_row_op("r", NULL, "c");
	struct pair p;
	struct made c;

	(void)state;
	pair_open(&p);
	test_put(&p.b, "t", "other", "d"); /* b holds more than the commit's past */
	pair_make(&p, 0, MS(3000), &p.grant, SW_MODE_MERGE, &op, 1, &c);
	assert_int_equal(test_give(&p.a, &c).taken, SW_TAKEN);
	assert_int_equal(p.n_diverged, 1);
	assert_true(sw_hash_eq(&p.diverged_at, &c.id));
	assert_true(sw_key_eq(&p.diverged_author, sw_identity_key(p.authors[0])));
	assert_int_equal(test_give(&p.b, &c).taken, SW_TAKEN);
	pair_sync(&p);
	test_assert_text(&p.a, "t", "r", "c");
	test_assert_text(&p.b, "t", "r", "c");
	assert_int_equal(p.n_diverged, 1);
	made_fini(&c);
	pair_close(&p);
}

static void case_02_an_unknown_kind_is_refused_and_halts_nobody(void **state)
{
	struct sw_op op = test_row_op("r", NULL, "still");
	struct pair p;
	struct made odd = {0}, good;

	(void)state;
	pair_open(&p);
	sw_buf_put_u8(&odd.changeset, SW_MODE_MERGE);
	sw_buf_put_varint(&odd.changeset, 1);
	sw_buf_put_u8(&odd.changeset, 99);
	sw_buf_put_bytes(&odd.changeset, sw_view_str("t"));
	pair_seal(&p, 0, MS(3000), &p.grant, &odd);
	assert_int_equal(test_give(&p.a, &odd).taken, SW_TAKEN_REFUSED);
	pair_make(&p, 0, MS(3001), &p.grant, SW_MODE_MERGE, &op, 1, &good);
	assert_int_equal(test_give(&p.a, &good).taken, SW_TAKEN);
	made_fini(&good);
	pair_make(&p, 0, MS(3002), &odd.id, SW_MODE_MERGE, &op, 1, &good);
	assert_int_equal(test_give(&p.a, &good).taken,
			 SW_TAKEN_ORPHAN); /* of a commit that nobody takes */
	made_fini(&good);
	made_fini(&odd);
	pair_sync(&p);
	pair_close(&p);
}

static void case_03_a_late_strict_commit_drops_a_hundred(void **state)
{
	struct sw_hash ids[100], late, parent;
	struct pair p;

	(void)state;
	pair_open(&p);
	parent = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "s0"));
	late = parent;
	for (int i = 0; i < 100; i++) {
		char old[16], new[16];

		snprintf(old, sizeof(old), "s%d", i);
		snprintf(new, sizeof(new), "s%d", i + 1);
		parent = pair_add(&p, 1, MS(100 + i), &parent, SW_MODE_STRICT,
				  test_row_op("r", old, new));
		ids[i] = parent;
	}
	pair_sync(&p);
	test_assert_text(&p.b, "t", "r", "s100");
	assert_int_equal(test_outcome(&p.b, &ids[99]), SW_APPLIED);
	late = pair_add(&p, 2, MS(50), &late, SW_MODE_STRICT, test_row_op("r", "s0", "late"));
	pair_sync(&p);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(test_outcome(&p.a, &ids[i]), SW_DROPPED);
		assert_int_equal(test_outcome(&p.b, &ids[i]), SW_DROPPED);
	}
	assert_int_equal(test_outcome(&p.b, &late), SW_APPLIED);
	test_assert_text(&p.a, "t", "r", "late");
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 100);
	pair_close(&p);
}

static void case_04_two_sales_of_one_piece(void **state)
{
	struct sw_hash base, x, y, z, back;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, test_row_op("stock", NULL, "5"));
	x = pair_add(&p, 1, MS(20), &base, SW_MODE_STRICT, test_row_op("stock", "5", "4"));
	y = pair_add(&p, 2, MS(21), &base, SW_MODE_STRICT, test_row_op("stock", "5", "4"));
	assert_int_equal(test_outcome(&p.a, &x), SW_APPLIED);
	assert_int_equal(test_outcome(&p.a, &y), SW_DROPPED);
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	/* 5, 4, 5: what it replaces is there again, so it is clean. */
	back = pair_add(&p, 1, MS(30), &x, SW_MODE_STRICT, test_row_op("stock", "4", "5"));
	z = pair_add(&p, 3, MS(31), &base, SW_MODE_STRICT, test_row_op("stock", "5", "3"));
	assert_int_equal(test_outcome(&p.a, &back), SW_APPLIED);
	assert_int_equal(test_outcome(&p.a, &z), SW_APPLIED);
	test_assert_text(&p.a, "t", "stock", "3");
	pair_sync(&p);
	pair_close(&p);
}

/* A PUT with the columns that it changed; columns must live on until it is encoded. */
static struct sw_op column_op(const char *key, const char *old, const char *new,
			      struct sw_buf *columns)
{
	struct sw_op op = test_row_op(key, old, new);
	struct sw_columns before = {0}, after = {0};
	struct sw_columns_diff diff;
	struct sw_column_change change;

	assert_int_equal(sw_columns_parse(op.key, sw_view_str(old), &before), 1);
	assert_int_equal(sw_columns_parse(op.key, sw_view_str(new), &after), 1);
	op.has_columns = true;
	sw_columns_diff_init(&diff, &before, &after);
	while (sw_columns_diff_next(&diff, &change) > 0) {
		struct sw_op_column c = {.name = change.name};

		if (change.before)
			sw_column_hash(change.before, &c.old);
		sw_op_column_encode(&c, columns);
		op.n_columns++;
	}
	op.columns = sw_buf_view(columns);
	sw_columns_fini(&before);
	sw_columns_fini(&after);
	return op;
}

static void case_05_a_late_edit_brings_nothing_of_a_deleted_row_back(void **state)
{
	struct sw_hash base, gone;
	struct pair p;
	SW_BUF columns = {0};

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE,
			test_row_op("r.json", NULL, "{\"x\":1,\"y\":1}"));
	gone = pair_add(&p, 0, MS(50), &base, SW_MODE_MERGE,
			test_row_op("r.json", "{\"x\":1,\"y\":1}", NULL));
	pair_add(&p, 0, MS(70), &gone, SW_MODE_MERGE, test_row_op("r.json", NULL, "{\"a\":1}"));
	pair_add(&p, 1, MS(60), &base, SW_MODE_MERGE,
		 column_op("r.json", "{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", &columns));
	test_assert_text(&p.a, "t", "r.json", "{\"a\":1}");
	pair_sync(&p);
	/* Late in arrival, or in time: the same. */
	sw_buf_reset(&columns);
	pair_add(&p, 2, MS(80), &base, SW_MODE_MERGE,
		 column_op("r.json", "{\"x\":1,\"y\":1}", "{\"x\":3,\"y\":1}", &columns));
	/* It met a row with columns, but another row: the columns are merged, as the rule says. */
	test_assert_text(&p.a, "t", "r.json", "{\"x\":3,\"a\":1}");
	pair_sync(&p);
	pair_close(&p);
}

static void case_06_a_new_layout_and_an_edit_meet(void **state)
{
	static const char base_text[] = "{\"x\":1,\"y\":1}";
	struct sw_hash base;
	struct pair p;
	SW_BUF columns = {0};

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE,
			test_row_op("r.json", NULL, base_text));
	pair_add(&p, 1, MS(70), &base, SW_MODE_MERGE,
		 column_op("r.json", base_text, "{\n  \"x\": 1,\n  \"y\": 2\n}\n", &columns));
	sw_buf_reset(&columns);
	pair_add(&p, 2, MS(50), &base, SW_MODE_MERGE,
		 column_op("r.json", base_text, "{\"x\":2,\"y\":1}", &columns));
	test_assert_text(&p.a, "t", "r.json", "{\n  \"x\": 2,\n  \"y\": 2\n}\n");
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 0);
	pair_sync(&p);
	pair_close(&p);
}

/* n authors write one cell many times each while apart. */
static void chains(size_t n_authors, size_t length, bool is_column, size_t n_records)
{
	struct sw_hash base;
	struct made *m = calloc(n_authors * length, sizeof(*m));
	struct sw_incoming *in = calloc(n_authors * length, sizeof(*in));
	const char *key = is_column ? "r.json" : "r";
	struct pair p;
	size_t n = 0, n_taken;

	assert_true(m && in);
	pair_open(&p);
	base = pair_add(&p, 0, MS(1), &p.grant, SW_MODE_MERGE,
			test_row_op(key, NULL, "{\"x\":0,\"y\":0}"));
	for (size_t i = 0; i < n_authors; i++) {
		char old[64] = "{\"x\":0,\"y\":0}", new[64];
		struct sw_hash parent = base;

		for (size_t k = 0; k < length; k++, n++) {
			struct sw_op op;
			SW_BUF columns = {0};

			snprintf(new, sizeof(new), "{\"x\":\"%zu of %zu\",\"y\":0}", k, i);
			op = is_column ? column_op(key, old, new, &columns)
				       : test_row_op(key, old, new);
			pair_make(&p, i, MS(10 + 7 * k + i), &parent, SW_MODE_MERGE, &op, 1, &m[n]);
			parent = m[n].id;
			memcpy(old, new, sizeof(old));
			in[n].commit = sw_buf_view(&m[n].raw);
			in[n].changeset = sw_buf_view(&m[n].changeset);
		}
	}
	TEST_OK(sw_db_receive(p.a.db, in, n, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, n);
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), n_records);
	/* The other way round, in pieces. */
	TEST_OK(sw_db_receive(p.b.db, in, n, 0, NULL, NULL, NULL,
			      &n_taken)); /* orphans: the base is not there */
	assert_int_equal(n_taken, 0);
	pair_sync(&p);
	for (size_t i = 0; i < n; i++)
		made_fini(&m[i]);
	free(m);
	free(in);
	pair_close(&p);
}

static void case_07_one_record_per_branch_however_long(void **state)
{
	(void)state;
	chains(2, 1000, false, 1);
	chains(2, 300, true, 1);
	chains(5, 100, false, 4);
	chains(5, 100, true, 4);
}

/* Bytes of trees that one late commit makes, under so many others of as many rows. */
static size_t cost_of_a_late_commit(uint64_t n)
{
	struct pair p;
	struct made m;
	struct sw_hash parent;
	struct sw_op op = test_row_op("0007", NULL, "late");
	size_t before;

	pair_open(&p);
	p.a.env.env.checkpoint_commits = UINT64_MAX; /* all that is made stays to be counted */
	parent = p.grant;
	for (uint64_t i = 0; i < n; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%04llu", (unsigned long long)i);
		parent = pair_add(&p, 0, MS(10) + i, &parent, SW_MODE_MERGE,
				  test_row_op(key, NULL, "early"));
	}
	pair_make(&p, 1, MS(9), &p.grant, SW_MODE_MERGE, &op, 1, &m);
	before = sw_memtable_bytes(p.a.db->memtable);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	before = sw_memtable_bytes(p.a.db->memtable) - before;
	made_fini(&m);
	test_assert_text(&p.a, "t", "0007", "early");
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	pair_sync(&p);
	pair_close(&p);
	return before;
}

static void case_08_a_late_commit_costs_what_it_touches(void **state)
{
	size_t small = cost_of_a_late_commit(100), large = cost_of_a_late_commit(3000);

	(void)state;
	assert_true(small > 0);
	/* Two paths, of the line and of the row, are hardly longer; all that came later would be
	 * thirty times as much. */
	if (large > 3 * small)
		print_error("%zu bytes under 100 commits, %zu under 3000\n", small, large);
	assert_true(large <= 3 * small);
}

/* Bytes of trees that commits make which cross a longer history, when they come in batches of so
 * many. */
static size_t cost_of_crossing(size_t batch)
{
	struct sw_hash here, there;
	struct pair p;
	size_t before;

	pair_open(&p);
	p.b.env.env.checkpoint_commits = UINT64_MAX;
	here = there = p.grant;
	for (uint64_t i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%04llu", (unsigned long long)i);
		here = pair_add(&p, 0, MS(10 + 10 * i), &here, SW_MODE_MERGE,
				test_row_op(key, NULL, "here"));
	}
	pair_sync(&p);
	for (uint64_t i = 0; i < 100; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%04llu", (unsigned long long)(5 * i));
		there = pair_add(&p, 1, MS(11 + 50 * i), &there, SW_MODE_MERGE,
				 test_row_op(key, NULL, "there"));
	}
	before = sw_memtable_bytes(p.b.db->memtable);
	test_pull(&p.b, &p.a, batch);
	before = sw_memtable_bytes(p.b.db->memtable) - before;
	assert_true(pair_same_head(&p));
	pair_close(&p);
	return before;
}

static void a_batch_writes_each_tree_once(void **state)
{
	size_t each = cost_of_crossing(1), all = cost_of_crossing(2000);

	(void)state;
	if (10 * all > each)
		print_error("%zu bytes one by one, %zu together\n", each, all);
	assert_true(10 * all <= each);
}

static uint64_t last_stamp(struct test_db *t)
{
	struct sw_cursor c = {0};
	struct sw_order order;
	struct sw_reader r;
	struct sw_head head;

	sw_db_head(t->db, &head);
	TEST_OK(sw_reader_begin(t->db, &r));
	assert_int_equal(sw_cursor_seek_rank(&c, r.nodes, &r.head.line, head.count - 1), 1);
	memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return sw_order_stamp(&order);
}

static struct sw_hash write_op(struct test_db *t, enum sw_mode mode, struct sw_op op)
{
	struct sw_write_op w_op = {.op = op, .content = op.row.bytes};
	struct sw_write w = {.mode = mode, .ops = &w_op, .n = 1, .may_drop = true};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
	return id;
}

/* What a laptop does for a while, all of which is its own: a conflict, a resolved one, a tag, a
 * dropped transaction, a large row. */
static void work_alone(struct test_db *t, unsigned n)
{
	struct sw_op resolve = {
	    .kind = SW_OP_RESOLVE, .table = sw_view_str("t"), .key = sw_view_str("r")};
	struct sw_op tag = {.kind = SW_OP_TAG, .table = sw_view_str("v1")};
	char large[4000];

	resolve.commit = write_op(t, SW_MODE_MERGE, test_row_op("r", NULL, "first"));
	write_op(t, SW_MODE_MERGE, test_row_op("r", NULL, "did not see it"));
	write_op(t, SW_MODE_MERGE, resolve);
	tag.commit = write_op(t, SW_MODE_MERGE, test_row_op("s", NULL, "first"));
	write_op(t, SW_MODE_MERGE, test_row_op("s", NULL, "did not see it"));
	write_op(t, SW_MODE_MERGE, tag);
	write_op(t, SW_MODE_STRICT, test_row_op("s", "nothing", "dropped"));
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	test_put(t, "t", "large", large);
	for (unsigned i = 0; i < n; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%u", i);
		test_put(t, "t", "much", text);
	}
}

static void check_work(struct test_db *t, size_t n_records)
{
	struct sw_order tagged;
	struct sw_reader r;

	test_assert_text(t, "t", "r", "did not see it");
	test_assert_text(t, "t", "s", "did not see it");
	assert_int_equal(system_count(t, SW_TABLE_CONFLICTS), n_records);
	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str("v1"), &tagged));
	sw_reader_end(&r);
	test_verify(t);
}

#define YEARS_MS (10 * 365 * (int64_t)86400000)

/* A laptop whose clock is ten years ahead works alone; then its clock is set right. Nobody waits
 * ten years. */
static void case_13_a_laptop_from_2036_is_not_cut_off(void **state)
{
	struct sw_head before, after;
	uint64_t latest_ms;
	struct pair p;
	size_t n;

	(void)state;
	pair_open(&p);
	test_put(&p.b, "t", "before", "it was right");
	p.b.env.skew_ms = YEARS_MS;
	work_alone(&p.b, 600);
	check_work(&p.b, 2);
	sw_db_head(p.b.db, &before);
	p.b.env.skew_ms = 0;
	/* As after a restart. */
	sw_db_close(p.b.db);
	TEST_OK(sw_db_open(p.b.dir, &p.b.env.env, &p.b.db));
	latest_ms = test_env_wall(&p.b.env) + SW_SKEW_MS;
	/* A full disk changes nothing. */
	p.b.env.fail_in = 1;
	p.b.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_resign(p.b.db, latest_ms, &n), SW_ENOSPC);
	sw_db_head(p.b.db, &after);
	assert_true(sw_head_eq(&before, &after));
	TEST_OK(sw_db_resign(p.b.db, latest_ms, &n));
	assert_int_equal(n, 608);
	check_work(&p.b, 2);
	sw_db_head(p.b.db, &after);
	assert_int_equal(before.count, after.count);
	assert_in_range(last_stamp(&p.b) >> 16, 1, test_env_wall(&p.b.env));
	/* The mount goes on. */
	p.b.env.now_ms += 5;
	test_put(&p.b, "t", "after", "it is right again");
	assert_int_equal(last_stamp(&p.b) >> 16, test_env_wall(&p.b.env));
	TEST_OK(sw_db_resign(p.b.db, latest_ms, &n));
	assert_int_equal(n, 0);
	p.a.env.now_ms += 10;
	pair_sync(&p); /* all of it is taken */
	check_work(&p.a, 2);
	test_assert_text(&p.a, "t", "after", "it is right again");
	assert_int_equal(p.n_diverged, 0); /* what was signed is what came of it */
	pair_close(&p);
}

/* A commit that is not in the line stands on one that could be signed again: both stay, or it would stand on nothing. */
static void what_is_out_keeps_what_it_stands_on(void **state)
{
	struct sw_hash lesser, parent, c1, c2;
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = {{7}}, .role = SW_ROLE_ADMIN}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_op govern;
	struct pair p;
	size_t n;

	(void)state;
	pair_open(&p);
	govern = pair_grant_op(&p, 0, SW_ROLE_ADMIN);
	parent = pair_govern(&p, &govern, 1);
	lesser = pair_add(&p, 0, MS(2000), &parent, SW_MODE_CONTROL,
			  (struct sw_op){.kind = SW_OP_GRANT, .member = *sw_db_key(p.b.db), .role = SW_ROLE_ADMIN});
	p.a.env.now_ms += 5000;
	p.b.env.now_ms += 5000;
	pair_sync(&p);
	p.b.env.skew_ms = YEARS_MS;
	c1 = test_put(&p.b, "t", "r", "as a writer");
	TEST_OK(sw_db_commit(p.b.db, &w, &c2)); /* as an admin, by that grant alone */
	p.b.env.skew_ms = 0;
	govern = pair_revoke_op(&p, 0);
	govern.names_stand = true; /* nothing does */
	pair_govern(&p, &govern, 1);
	test_pull(&p.b, &p.a, 100);
	assert_int_equal(test_outcome(&p.b, &lesser), SW_VOID);
	assert_int_equal(test_outcome(&p.b, &c1), SW_APPLIED);
	assert_int_equal(test_outcome(&p.b, &c2), SW_OUT);
	TEST_OK(sw_db_resign(p.b.db, test_env_wall(&p.b.env) + SW_SKEW_MS, &n));
	assert_int_equal(n, 0);
	test_verify(&p.b);
	test_db_close(&p.a);
	test_db_close(&p.b);
	for (size_t i = 0; i < 5; i++)
		sw_identity_free(p.authors[i]);
}

/* What may have been sent stands, as it does after a crash; and so does what is behind it. */
static void what_may_have_been_sent_is_not_signed_again(void **state)
{
	struct pair p;
	uint64_t wall_ms;
	size_t n;

	(void)state;
	pair_open(&p);
	p.b.env.skew_ms = YEARS_MS;
	wall_ms = test_env_wall(&p.b.env);
	test_put(&p.b, "t", "r", "sent");
	TEST_OK(sw_db_release(p.b.db, wall_ms + SW_SKEW_MS));
	test_put(&p.b, "t", "r", "sent at once");
	assert_int_equal(sw_db_withheld(p.b.db), 0);
	p.b.env.now_ms += 2 * SW_SKEW_MS;
	test_put(&p.b, "t", "r", "not sent"); /* nobody is there any more */
	assert_int_not_equal(sw_db_withheld(p.b.db), 0);
	sw_db_close(p.b.db);
	p.b.env.skew_ms = 0;
	TEST_OK(sw_db_open(p.b.dir, &p.b.env.env, &p.b.db));
	assert_int_not_equal(sw_db_withheld(p.b.db), 0);
	TEST_OK(sw_db_resign(p.b.db, test_env_wall(&p.b.env) + SW_SKEW_MS, &n));
	assert_int_equal(n, 0);
	/* If a failure keeps it from being noted, it may not be sent either. */
	p.b.env.fail_in = 1;
	p.b.env.fail_rc = SW_EIO;
	assert_int_equal(sw_db_release(p.b.db, wall_ms + 4 * SW_SKEW_MS), SW_EIO);
	assert_int_not_equal(sw_db_withheld(p.b.db), 0);
	TEST_OK(sw_db_release(p.b.db, wall_ms + 4 * SW_SKEW_MS));
	assert_int_equal(sw_db_withheld(p.b.db), 0);
	test_verify(&p.b);
	test_db_close(&p.a);
	test_db_close(&p.b);
	for (size_t i = 0; i < 5; i++)
		sw_identity_free(p.authors[i]);
}

static void case_14_unrelated_strict_commits_do_not_drop_each_other(void **state)
{
	struct sw_hash base, x, y;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_STRICT, test_row_op("one", NULL, "1"));
	base = pair_add(&p, 0, MS(20), &base, SW_MODE_STRICT, test_row_op("two", NULL, "1"));
	pair_add(&p, 1, MS(30), &base, SW_MODE_STRICT, test_row_op("one", "1", "2"));
	x = pair_add(&p, 2, MS(40), &base, SW_MODE_STRICT, test_row_op("one", "1", "3"));
	y = pair_add(&p, 2, MS(41), &x, SW_MODE_STRICT, test_row_op("two", "1", "3"));
	assert_int_equal(test_outcome(&p.a, &x), SW_DROPPED);
	assert_int_equal(test_outcome(&p.a, &y), SW_APPLIED);
	test_assert_text(&p.a, "t", "one", "2");
	test_assert_text(&p.a, "t", "two", "3");
	pair_sync(&p);
	pair_close(&p);
}

static void case_15_equal_writes_and_touches_are_no_conflict(void **state)
{
	struct sw_write_op touch = {
	    .op = {.kind = SW_OP_CHMETA, .row = {.mode = 0600, .mtime_ns = 5000000000}}};
	struct sw_reader r;
	struct sw_row row;
	struct pair p;

	(void)state;
	pair_open(&p);
	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "f%d", i);
		test_put(&p.a, "t", key, "the same");
		test_put(&p.b, "t", key, "the same");
	}
	pair_sync(&p);
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 0);
	touch.op.table = sw_view_str("t");
	touch.op.key = sw_view_str("f7");
	p.b.env.now_ms += 100;
	test_put(&p.a, "t", "f7", "an edit");
	test_write(&p.b, &touch);
	pair_sync(&p);
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 0);
	test_assert_text(&p.b, "t", "f7", "an edit");
	TEST_OK(sw_reader_begin(p.b.db, &r));
	TEST_OK(sw_state_row(r.nodes, &r.head.state, sw_view_str("t"), sw_view_str("f7"), &row));
	assert_int_equal(row.mode, 0600);
	assert_int_equal(row.mtime_ns, 5000000000);
	sw_reader_end(&r);
	pair_close(&p);
}

static void case_16_a_table_shows_while_it_has_rows(void **state)
{
	struct sw_op rename[2];
	struct sw_hash base, gone;
	struct made m;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "1"));
	gone = pair_add(&p, 0, MS(20), &base, SW_MODE_MERGE, test_row_op("r", "1", NULL));
	pair_add(&p, 0, MS(30), &gone, SW_MODE_MERGE,
		 (struct sw_op){.kind = SW_OP_RMTABLE, .table = sw_view_str("t")});
	assert_false(test_has_table(&p.a, "t"));
	base = pair_add(&p, 1, MS(15), &base, SW_MODE_MERGE, test_row_op("late", NULL, "x"));
	assert_true(test_has_table(&p.a, "t"));
	pair_add(&p, 1, MS(16), &base, SW_MODE_MERGE, test_row_op("late", "x", NULL));
	assert_false(test_has_table(&p.a, "t"));
	/* A rename against an edit of the old name: that comes back with the edit. */
	base = pair_add(&p, 0, MS(40), &p.grant, SW_MODE_MERGE, test_row_op("old", NULL, "1"));
	rename[0] = test_row_op("new", NULL, "1");
	rename[1] = test_row_op("old", "1", NULL);
	pair_make(&p, 1, MS(50), &base, SW_MODE_MERGE, rename, 2, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	test_assert_text(&p.a, "t", "old", NULL);
	pair_add(&p, 2, MS(60), &base, SW_MODE_MERGE, test_row_op("old", "1", "2"));
	test_assert_text(&p.a, "t", "old", "2");
	test_assert_text(&p.a, "t", "new", "1");
	pair_sync(&p);
	pair_close(&p);
}

/*
 * Of two stores one has freed what is settled, the other keeps everything. What then
 * arrives late, based on values that are gone there, gives the same on both: a conflict
 * with what stands, with its bytes, a merge by column, a strict commit that is dropped.
 */
static void case_18_who_has_freed_goes_on_like_who_keeps(void **state)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	struct sw_conflict c;
	struct sw_order horizon;
	struct sw_reader r;
	struct sw_side side;
	struct sw_hash root;
	struct pair p;

	(void)state;
	pair_open(&p);
	test_put(&p.a, "t", "r", "1");
	test_put(&p.a, "t", "r", "2");
	test_put(&p.a, "t", "c.json", "{\"x\":1,\"y\":1}");
	test_put(&p.a, "t", "c.json", "{\"x\":2,\"y\":1}");
	test_put(&p.a, "t", "c.json", "{\"x\":3,\"y\":1}");
	test_put(&p.a, "t", "gone", "1");
	test_delete(&p.a, "t", "gone");
	pair_sync(&p);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_line_ago(r.nodes, &r.head.line, 0, &horizon));
	sw_reader_end(&r);
	options.horizon = &horizon;
	TEST_OK(sw_db_gc(p.a.db, &options, &report));
	assert_int_equal(report.n_commits,
			 3); /* the last writer of a row stays, so that the table does */
	p.a.env.now_ms += 1000;
	/* All by an author who has the grant, and knows of nothing since; the last one
	 * comes first. */
	pair_add(&p, 0, MS(5002), &p.grant, SW_MODE_STRICT, test_row_op("r", "1", "sold"));
	pair_add(&p, 1, MS(5000), &p.grant, SW_MODE_MERGE, test_row_op("r", "1", "late"));
	pair_add(&p, 2, MS(5001), &p.grant, SW_MODE_MERGE, test_row_op("gone", "1", "back"));
	pair_sync(&p);
	test_assert_text(&p.a, "t", "r", "late");
	test_assert_text(&p.a, "t", "gone", "back");
	assert_true(system_count(&p.a, SW_TABLE_CONFLICTS) >= 3);
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_conflicts_root(r.nodes, &r.head.state, &root));
	assert_int_equal(sw_conflicts_seek(r.nodes, &root, sw_view("", 0), &c), 1);
	TEST_OK(sw_conflict_side(p.a.db, &r, &c, SW_SIDE_LOST, &side));
	sw_side_fini(&side);
	sw_reader_end(&r);
	/* Nor does what came into conflict go at the next time. */
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_line_ago(r.nodes, &r.head.line, 0, &horizon));
	sw_reader_end(&r);
	TEST_OK(sw_db_gc(p.a.db, &options, &report));
	TEST_OK(sw_reader_begin(p.a.db, &r));
	TEST_OK(sw_conflict_side(p.a.db, &r, &c, SW_SIDE_LOST, &side));
	sw_side_fini(&side);
	sw_reader_end(&r);
	pair_add(&p, 3, MS(5003), &p.grant, SW_MODE_MERGE, test_row_op("r", "1", "later"));
	pair_sync(&p);
	pair_close(&p);
}

static void case_20_equal_heads_imply_equal_everything(void **state)
{
	struct sw_op resolve = {
	    .kind = SW_OP_RESOLVE, .table = sw_view_str("t"), .key = sw_view_str("r")};
	struct sw_op tag = {.kind = SW_OP_TAG, .table = sw_view_str("v1")}, revoke;
	struct sw_head before, after;
	struct sw_hash base;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "1"));
	resolve.commit = pair_add(&p, 1, MS(20), &base, SW_MODE_MERGE, test_row_op("r", "1", "2"));
	pair_add(&p, 2, MS(30), &base, SW_MODE_MERGE, test_row_op("r", "1", "3"));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	pair_sync(&p);
	sw_db_head(p.a.db, &before);
	pair_add(&p, 3, MS(40), &p.grant, SW_MODE_MERGE, resolve);
	sw_db_head(p.a.db, &after);
	assert_false(sw_hash_eq(&before.state, &after.state));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 0);
	assert_int_equal(system_count(&p.a, SW_TABLE_RESOLVED), 1);
	before = after;
	tag.commit = base;
	pair_add(&p, 3, MS(41), &p.grant, SW_MODE_MERGE, tag);
	sw_db_head(p.a.db, &after);
	assert_false(sw_hash_eq(&before.state, &after.state));
	assert_int_equal(system_count(&p.a, SW_TABLE_TAGS), 1);
	tag.commit = sw_hash_zero;
	pair_add(&p, 3, MS(42), &p.grant, SW_MODE_MERGE, tag);
	assert_int_equal(system_count(&p.a, SW_TABLE_TAGS), 0);
	/* What is resolved stays so, whatever comes later and earlier. */
	pair_add(&p, 4, MS(15), &base, SW_MODE_MERGE, test_row_op("r", "1", "0"));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	pair_sync(&p);
	assert_int_equal(system_count(&p.b, SW_TABLE_CONFLICTS), 1);
	/* A revocation that touches no row. */
	sw_db_head(p.a.db, &before);
	revoke = pair_revoke_op(&p, 4);
	pair_govern(&p, &revoke, 1);
	sw_db_head(p.a.db, &after);
	assert_false(sw_hash_eq(&before.state, &after.state));
	pair_sync(&p);
	assert_int_equal(system_count(&p.b, SW_TABLE_MEMBERS), 6);
	pair_close(&p);
}

/* Two tables with the same rows share their nodes; both lose them in one commit. */
static void equal_tables_can_be_emptied_together(void **state)
{
	enum { ROWS = 300 };
	struct sw_write_op *ops = calloc(2 * ROWS, sizeof(*ops));
	char(*names)[8] = calloc(ROWS, sizeof(*names));
	struct pair p;

	(void)state;
	assert_true(ops && names);
	pair_open(&p);
	for (int del = 0; del <= 1; del++) {
		struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = 2 * ROWS};
		struct sw_hash id;

		for (size_t i = 0; i < 2 * ROWS; i++) {
			snprintf(names[i % ROWS], sizeof(names[0]), "%zu", i % ROWS);
			ops[i] = (struct sw_write_op){.op = test_row_op(names[i % ROWS],
									del ? "text" : NULL,
									del ? NULL : "text"),
						      .content = sw_view_str("text")};
			ops[i].op.table = sw_view_str(i < ROWS ? "x" : "y");
		}
		TEST_OK(sw_db_commit(p.a.db, &w, &id));
		test_verify(&p.a);
	}
	pair_sync(&p);
	free(ops);
	free(names);
	pair_close(&p);
}

/* Times at both ends of what 64 bits hold are merged like others. */
static void a_merge_takes_any_mtime(void **state)
{
	static const int64_t times[] = {INT64_MAX, INT64_MIN, -1, 0};
	struct sw_hash base;
	struct pair p;

	(void)state;
	pair_open(&p);
	for (size_t i = 0; i < 4; i++) {
		char key[16];
		struct sw_op op;
		SW_BUF columns = {0};

		snprintf(key, sizeof(key), "%zu.json", i);
		base = pair_add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE,
				test_row_op(key, NULL, "{\"x\":1,\"y\":1}"));
		op = column_op(key, "{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", &columns);
		op.row.mtime_ns = times[i];
		pair_add(&p, 1, MS(20), &base, SW_MODE_MERGE, op);
		sw_buf_reset(&columns);
		op = column_op(key, "{\"x\":1,\"y\":1}", "{\"x\":1,\"y\":2}", &columns);
		op.row.mtime_ns = times[i];
		pair_add(&p, 2, MS(30), &base, SW_MODE_MERGE, op);
		test_assert_text(&p.a, "t", key, "{\"x\":2,\"y\":2}");
	}
	pair_sync(&p);
	pair_close(&p);
}

/* What a store's own SQLite says of its rows. */
struct watch {
	struct sw_breaches *breaches;
	char said[512]; /* what changed */
};

static void put_breach(void *arg, const struct sw_breach *breach, bool is_broken)
{
	struct watch *w = arg;
	size_t n = strlen(w->said);

	snprintf(w->said + n, sizeof(w->said) - n, "%s%.*s/%.*s %s\n", is_broken ? "" : "not ", (int)breach->table.n,
		 (const char *)breach->table.p, (int)breach->key.n, (const char *)breach->key.p,
		 is_broken ? breach->reason : "");
}

static void note_breaches(void *arg, const struct sw_changes *changes, const struct sw_head *head, bool by_others)
{
	struct watch *w = arg;

	(void)head;
	(void)by_others;
	sw_breaches_note(w->breaches, changes);
}

static void watch_open(struct watch *w, struct test_db *t)
{
	struct sw_listener listener = {.arg = w, .changed = note_breaches};

	*w = (struct watch){0};
	TEST_OK(sw_breaches_new(t->db, &w->breaches));
	sw_db_listen(t->db, &listener);
}

static void watch_close(struct watch *w, struct test_db *t)
{
	sw_db_listen(t->db, &(struct sw_listener){0});
	sw_breaches_free(w->breaches);
}

/* What came and went since it was asked the last time, and all that there is. */
static void assert_breaches(struct watch *w, const char *came, const char *all)
{
	bool is_more;

	while (sw_breaches_is_due(w->breaches))
		TEST_OK(sw_breaches_run(w->breaches, put_breach, w));
	assert_string_equal(w->said, came);
	w->said[0] = '\0';
	sw_breaches_each(w->breaches, put_breach, w, &is_more);
	assert_string_equal(w->said, all);
	assert_false(is_more);
	w->said[0] = '\0';
}

/* Each peer keeps to the schema, and both together do not: the rows stay, and both say so. */
static void case_21_a_merge_that_breaks_a_check_or_a_reference_is_kept_and_reported(void **state)
{
	static const char check[] = "t/r.json CHECK constraint failed: x + y <= 10\n";
	static const char reference[] = "child/c.json its column of refers to t/p.json, which is not there\n";
	struct watch a, b, late;
	struct pair p;

	(void)state;
	pair_open(&p);
	watch_open(&a, &p.a);
	test_put(&p.a, "t", ".schema", "CREATE TABLE t(x INTEGER, y INTEGER, CHECK (x + y <= 10))");
	test_put(&p.a, "child", ".schema", "CREATE TABLE child(of REFERENCES t)");
	test_put(&p.a, "t", "r.json", "{\"x\":1,\"y\":1}");
	test_put(&p.a, "t", "p.json", "{\"x\":1,\"y\":1}");
	pair_sync(&p);
	watch_open(&b, &p.b);
	assert_breaches(&a, "", "");
	assert_breaches(&b, "", "");

	/* Other columns of one row; a row, and one that refers to it. */
	test_put(&p.a, "t", "r.json", "{\"x\":9,\"y\":1}");
	test_delete(&p.a, "t", "p.json");
	p.b.env.now_ms += 10;
	test_put(&p.b, "t", "r.json", "{\"x\":1,\"y\":9}");
	test_put(&p.b, "child", "c.json", "{\"of\":\"p\"}");
	assert_breaches(&a, "", "");
	assert_breaches(&b, "", "");
	pair_sync(&p);
	test_assert_text(&p.a, "t", "r.json", "{\"x\":9,\"y\":9}");
	test_assert_text(&p.b, "t", "r.json", "{\"x\":9,\"y\":9}");
	test_assert_text(&p.b, "child", "c.json", "{\"of\":\"p\"}");
	for (size_t k = 0; k < 2; k++) {
		struct watch *w = k ? &b : &a;
		bool is_more;

		while (sw_breaches_is_due(w->breaches))
			TEST_OK(sw_breaches_run(w->breaches, put_breach, w));
		assert_non_null(strstr(w->said, check));
		assert_non_null(strstr(w->said, reference));
		assert_int_equal(strlen(w->said), strlen(check) + strlen(reference));
		w->said[0] = '\0';
		assert_int_equal(sw_breaches_each(w->breaches, NULL, NULL, &is_more), 2);
	}
	/* Who starts now finds the same. */
	TEST_OK(sw_breaches_new(p.a.db, &late.breaches));
	late.said[0] = '\0';
	while (sw_breaches_is_due(late.breaches))
		TEST_OK(sw_breaches_run(late.breaches, put_breach, &late));
	assert_non_null(strstr(late.said, check));
	assert_non_null(strstr(late.said, reference));
	sw_breaches_free(late.breaches);

	/* They are mended by writing them well, wherever that is. */
	test_put(&p.b, "t", "p.json", "{\"x\":1,\"y\":1}");
	pair_sync(&p);
	assert_breaches(&a, "not child/c.json \n", check);
	assert_breaches(&b, "not child/c.json \n", check);
	test_put(&p.a, "t", "r.json", "{\"x\":1,\"y\":9}");
	pair_sync(&p);
	assert_breaches(&a, "not t/r.json \n", "");
	assert_breaches(&b, "not t/r.json \n", "");

	/* Whoever changes a schema may break what is there, or write one that is none here. */
	test_put(&p.b, "t", ".schema", "CREATE TABLE t(x, y CHECK (y < 9))");
	pair_sync(&p);
	assert_breaches(&a, "t/r.json CHECK constraint failed: y < 9\n", "t/r.json CHECK constraint failed: y < 9\n");
	test_put(&p.b, "t", ".schema", "CREATE TABLE t(");
	pair_sync(&p);
	assert_breaches(&a, "t/.schema incomplete input\nnot t/r.json \n", "t/.schema incomplete input\n");
	test_delete(&p.b, "t", ".schema");
	pair_sync(&p);
	assert_breaches(&a, "not t/.schema \n", "");
	watch_close(&a, &p.a);
	watch_close(&b, &p.b);
	pair_close(&p); /* verifies both stores */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(case_01_a_wrong_signed_root_is_an_alarm_and_no_more),
	    cmocka_unit_test(case_02_an_unknown_kind_is_refused_and_halts_nobody),
	    cmocka_unit_test(case_03_a_late_strict_commit_drops_a_hundred),
	    cmocka_unit_test(case_04_two_sales_of_one_piece),
	    cmocka_unit_test(case_05_a_late_edit_brings_nothing_of_a_deleted_row_back),
	    cmocka_unit_test(case_06_a_new_layout_and_an_edit_meet),
	    cmocka_unit_test(case_07_one_record_per_branch_however_long),
	    cmocka_unit_test(case_08_a_late_commit_costs_what_it_touches),
	    cmocka_unit_test(a_batch_writes_each_tree_once),
	    cmocka_unit_test(case_13_a_laptop_from_2036_is_not_cut_off),
	    cmocka_unit_test(what_is_out_keeps_what_it_stands_on),
	    cmocka_unit_test(what_may_have_been_sent_is_not_signed_again),
	    cmocka_unit_test(case_14_unrelated_strict_commits_do_not_drop_each_other),
	    cmocka_unit_test(case_15_equal_writes_and_touches_are_no_conflict),
	    cmocka_unit_test(case_16_a_table_shows_while_it_has_rows),
	    cmocka_unit_test(case_18_who_has_freed_goes_on_like_who_keeps),
	    cmocka_unit_test(case_20_equal_heads_imply_equal_everything),
	    cmocka_unit_test(case_21_a_merge_that_breaks_a_check_or_a_reference_is_kept_and_reported),
	    cmocka_unit_test(equal_tables_can_be_emptied_together),
	    cmocka_unit_test(a_merge_takes_any_mtime),
	};

	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
