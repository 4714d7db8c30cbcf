/*
 * Cases in which an order of commits, a merge or a conflict is easy to get wrong. Each makes its history with two stores,
 * or by hand with writers that have none, and says what must come of it on every store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/blob.h"
#include "core/db_internal.h"
#include "tests/lib/dbs.h"
#include "tests/lib/oracle.h"

#define MS(n) (((uint64_t)1790000000000 + (n)) << 16)

/* Two stores that both may write, and writers without one. */
struct pair {
	struct test_db a, b;
	struct sw_identity *authors[5];
	struct sw_hash grant; /* the last of the grants: a parent for commits by hand */
	struct sw_hash diverged_at;
	struct sw_key diverged_author;
	size_t n_diverged;
};

static void diverged(void *arg, const struct sw_divergence *d)
{
	struct pair *p = arg;

	p->n_diverged++;
	p->diverged_at = d->commit;
	p->diverged_author = d->who;
}

static void pair_open(struct pair *p)
{
	struct sw_listener listener = {.arg = p, .diverged = diverged};

	*p = (struct pair){0};
	test_db_create(&p->a, 1);
	test_db_clone(&p->b, &p->a, 2);
	sw_db_listen(p->a.db, &listener);
	test_grant(&p->a, &p->b);
	for (size_t i = 0; i < 5; i++) {
		uint8_t secret[SW_KEY_SEED_SIZE] = {(uint8_t)(i + 1)};
		struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER}};
		struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};

		TEST_OK(sw_identity_from_seed(secret, &p->authors[i]));
		op.op.member = *sw_identity_key(p->authors[i]);
		TEST_OK(sw_db_commit(p->a.db, &w, &p->grant));
	}
	test_sync(&p->a, &p->b);
	p->a.env.now_ms += 1000;
	p->b.env.now_ms += 1000;
}

static void pair_close(struct pair *p)
{
	test_verify(&p->a);
	test_verify(&p->b);
	test_db_close(&p->a);
	test_db_close(&p->b);
	for (size_t i = 0; i < 5; i++)
		sw_identity_free(p->authors[i]);
}

static bool same_head(struct pair *p)
{
	struct sw_head x, y;

	sw_db_head(p->a.db, &x);
	sw_db_head(p->b.db, &y);
	return sw_head_eq(&x, &y);
}

static void pair_sync(struct pair *p)
{
	test_sync(&p->a, &p->b);
	assert_true(same_head(p));
}

static void assert_text(struct test_db *t, const char *table, const char *key, const char *want)
{
	char text[4096];

	assert_int_equal(test_get(t, table, key, text, sizeof(text)), want != NULL);
	if (want)
		assert_string_equal(text, want);
}

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

static bool has_table(struct test_db *t, const char *name)
{
	struct sw_table table;
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, sw_view_str(name), &table);
	sw_reader_end(&r);
	return rc == 0;
}

static enum sw_outcome outcome_of(struct test_db *t, const struct sw_hash *id)
{
	enum sw_outcome outcome;
	struct sw_order order;
	struct sw_reader r;
	uint64_t seq;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_seq(r.txn, id, &seq));
	TEST_OK(sw_history_order(r.txn, seq, &order));
	TEST_OK(sw_db_outcome(&r, &order, &outcome));
	sw_reader_end(&r);
	return outcome;
}

static struct sw_hash value_hash(const char *text)
{
	struct sw_hash h = sw_hash_zero;

	if (text)
		sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str(text), &h);
	return h;
}

/* A whole-row PUT (or DELETE, when new is NULL) of t/KEY. */
static struct sw_op row_op(const char *key, const char *old, const char *new)
{
	struct sw_op op = {.kind = new ? SW_OP_PUT : SW_OP_DELETE,
			   .table = sw_view_str("t"),
			   .key = sw_view_str(key),
			   .old = value_hash(old)};

	if (new)
		op.row = (struct sw_row){
		    .mode = 0644, .mtime_ns = 1000, .bytes = sw_view_str(new), .size = strlen(new)};
	return op;
}

/* Commits by hand */

struct made {
	struct sw_buf raw, changeset;
	struct sw_hash id;
};

static void made_fini(struct made *m)
{
	sw_buf_fini(&m->raw);
	sw_buf_fini(&m->changeset);
}

/* After one parent, with a changeset in m already. */
static void seal_by(struct pair *p, const struct sw_identity *author, uint64_t stamp, const struct sw_hash *parent, struct made *m)
{
	struct sw_commit c = {.rule = SW_RULE_VERSION,
			      .database = *sw_db_id(p->a.db),
			      .n_parents = 1,
			      .parents = {*parent},
			      .stamp = stamp};

	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&m->changeset), &c.changeset);
	sw_commit_seal(&c, author, &m->raw);
	m->id = c.id;
}

static void seal(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent, struct made *m)
{
	seal_by(p, p->authors[i], stamp, parent, m);
}

static void make(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent, enum sw_mode mode,
		 const struct sw_op *ops, size_t n, struct made *m)
{
	*m = (struct made){0};
	sw_changeset_encode(mode, ops, n, &m->changeset, NULL);
	seal(p, i, stamp, parent, m);
}

static struct sw_incoming give(struct test_db *t, const struct made *m)
{
	struct sw_incoming in = {.commit = sw_buf_view(&m->raw), .changeset = sw_buf_view(&m->changeset)};
	size_t n_taken;

	TEST_OK(sw_db_receive(t->db, &in, 1, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, in.taken == SW_TAKEN);
	return in;
}

/* Make it and give it to `a`, who must take it. */
static struct sw_hash add(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
			  enum sw_mode mode, struct sw_op op)
{
	struct made m;

	make(p, i, stamp, parent, mode, &op, 1, &m);
	assert_int_equal(give(&p->a, &m).taken, SW_TAKEN);
	made_fini(&m);
	return m.id;
}

static void case_01_a_wrong_signed_root_is_an_alarm_and_no_more(void **state)
{
	struct sw_op op = row_op("r", NULL, "c");
	struct pair p;
	struct made c;

	(void)state;
	pair_open(&p);
	test_put(&p.b, "t", "other", "d"); /* b holds more than the commit's past */
	make(&p, 0, MS(3000), &p.grant, SW_MODE_MERGE, &op, 1, &c);
	assert_int_equal(give(&p.a, &c).taken, SW_TAKEN);
	assert_int_equal(p.n_diverged, 1);
	assert_true(sw_hash_eq(&p.diverged_at, &c.id));
	assert_true(sw_key_eq(&p.diverged_author, sw_identity_key(p.authors[0])));
	assert_int_equal(give(&p.b, &c).taken, SW_TAKEN);
	pair_sync(&p);
	assert_text(&p.a, "t", "r", "c");
	assert_text(&p.b, "t", "r", "c");
	assert_int_equal(p.n_diverged, 1);
	made_fini(&c);
	pair_close(&p);
}

static void case_02_an_unknown_kind_is_refused_and_halts_nobody(void **state)
{
	struct sw_op op = row_op("r", NULL, "still");
	struct pair p;
	struct made odd = {0}, good;

	(void)state;
	pair_open(&p);
	sw_buf_put_u8(&odd.changeset, SW_MODE_MERGE);
	sw_buf_put_varint(&odd.changeset, 1);
	sw_buf_put_u8(&odd.changeset, 99);
	sw_buf_put_bytes(&odd.changeset, sw_view_str("t"));
	seal(&p, 0, MS(3000), &p.grant, &odd);
	assert_int_equal(give(&p.a, &odd).taken, SW_TAKEN_REFUSED);
	make(&p, 0, MS(3001), &p.grant, SW_MODE_MERGE, &op, 1, &good);
	assert_int_equal(give(&p.a, &good).taken, SW_TAKEN);
	made_fini(&good);
	make(&p, 0, MS(3002), &odd.id, SW_MODE_MERGE, &op, 1, &good);
	assert_int_equal(give(&p.a, &good).taken, SW_TAKEN_ORPHAN); /* of a commit that nobody takes */
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
	parent = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "s0"));
	late = parent;
	for (int i = 0; i < 100; i++) {
		char old[16], new[16];

		snprintf(old, sizeof(old), "s%d", i);
		snprintf(new, sizeof(new), "s%d", i + 1);
		parent = add(&p, 1, MS(100 + i), &parent, SW_MODE_STRICT, row_op("r", old, new));
		ids[i] = parent;
	}
	pair_sync(&p);
	assert_text(&p.b, "t", "r", "s100");
	assert_int_equal(outcome_of(&p.b, &ids[99]), SW_APPLIED);
	late = add(&p, 2, MS(50), &late, SW_MODE_STRICT, row_op("r", "s0", "late"));
	pair_sync(&p);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(outcome_of(&p.a, &ids[i]), SW_DROPPED);
		assert_int_equal(outcome_of(&p.b, &ids[i]), SW_DROPPED);
	}
	assert_int_equal(outcome_of(&p.b, &late), SW_APPLIED);
	assert_text(&p.a, "t", "r", "late");
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 100);
	pair_close(&p);
}

static void case_04_two_sales_of_one_piece(void **state)
{
	struct sw_hash base, x, y, z, back;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("stock", NULL, "5"));
	x = add(&p, 1, MS(20), &base, SW_MODE_STRICT, row_op("stock", "5", "4"));
	y = add(&p, 2, MS(21), &base, SW_MODE_STRICT, row_op("stock", "5", "4"));
	assert_int_equal(outcome_of(&p.a, &x), SW_APPLIED);
	assert_int_equal(outcome_of(&p.a, &y), SW_DROPPED);
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	/* 5, 4, 5: what it replaces is there again, so it is clean. */
	back = add(&p, 1, MS(30), &x, SW_MODE_STRICT, row_op("stock", "4", "5"));
	z = add(&p, 3, MS(31), &base, SW_MODE_STRICT, row_op("stock", "5", "3"));
	assert_int_equal(outcome_of(&p.a, &back), SW_APPLIED);
	assert_int_equal(outcome_of(&p.a, &z), SW_APPLIED);
	assert_text(&p.a, "t", "stock", "3");
	pair_sync(&p);
	pair_close(&p);
}

/* A PUT with the columns that it changed; columns must live on until it is encoded. */
static struct sw_op column_op(const char *key, const char *old, const char *new, struct sw_buf *columns)
{
	struct sw_op op = row_op(key, old, new);
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
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("r.json", NULL, "{\"x\":1,\"y\":1}"));
	gone = add(&p, 0, MS(50), &base, SW_MODE_MERGE, row_op("r.json", "{\"x\":1,\"y\":1}", NULL));
	add(&p, 0, MS(70), &gone, SW_MODE_MERGE, row_op("r.json", NULL, "{\"a\":1}"));
	add(&p, 1, MS(60), &base, SW_MODE_MERGE,
	    column_op("r.json", "{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", &columns));
	assert_text(&p.a, "t", "r.json", "{\"a\":1}");
	pair_sync(&p);
	/* Late in arrival, or in time: the same. */
	sw_buf_reset(&columns);
	add(&p, 2, MS(80), &base, SW_MODE_MERGE,
	    column_op("r.json", "{\"x\":1,\"y\":1}", "{\"x\":3,\"y\":1}", &columns));
	/* It met a row with columns, but another row: the columns are merged, as the rule says. */
	assert_text(&p.a, "t", "r.json", "{\"x\":3,\"a\":1}");
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
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("r.json", NULL, base_text));
	add(&p, 1, MS(70), &base, SW_MODE_MERGE,
	    column_op("r.json", base_text, "{\n  \"x\": 1,\n  \"y\": 2\n}\n", &columns));
	sw_buf_reset(&columns);
	add(&p, 2, MS(50), &base, SW_MODE_MERGE, column_op("r.json", base_text, "{\"x\":2,\"y\":1}", &columns));
	assert_text(&p.a, "t", "r.json", "{\n  \"x\": 2,\n  \"y\": 2\n}\n");
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
	base = add(&p, 0, MS(1), &p.grant, SW_MODE_MERGE, row_op(key, NULL, "{\"x\":0,\"y\":0}"));
	for (size_t i = 0; i < n_authors; i++) {
		char old[64] = "{\"x\":0,\"y\":0}", new[64];
		struct sw_hash parent = base;

		for (size_t k = 0; k < length; k++, n++) {
			struct sw_op op;
			SW_BUF columns = {0};

			snprintf(new, sizeof(new), "{\"x\":\"%zu of %zu\",\"y\":0}", k, i);
			op = is_column ? column_op(key, old, new, &columns) : row_op(key, old, new);
			make(&p, i, MS(10 + 7 * k + i), &parent, SW_MODE_MERGE, &op, 1, &m[n]);
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
	TEST_OK(sw_db_receive(p.b.db, in, n, 0, NULL, NULL, NULL, &n_taken)); /* orphans: the base is not there */
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

/* What a laptop does for a while, all of which is its own: a conflict, a resolved one, a tag, a dropped transaction, a large row. */
static void work_alone(struct test_db *t, unsigned n)
{
	struct sw_op resolve = {.kind = SW_OP_RESOLVE, .table = sw_view_str("t"), .key = sw_view_str("r")};
	struct sw_op tag = {.kind = SW_OP_TAG, .table = sw_view_str("v1")};
	char large[4000];

	resolve.commit = write_op(t, SW_MODE_MERGE, row_op("r", NULL, "first"));
	write_op(t, SW_MODE_MERGE, row_op("r", NULL, "did not see it"));
	write_op(t, SW_MODE_MERGE, resolve);
	tag.commit = write_op(t, SW_MODE_MERGE, row_op("s", NULL, "first"));
	write_op(t, SW_MODE_MERGE, row_op("s", NULL, "did not see it"));
	write_op(t, SW_MODE_MERGE, tag);
	write_op(t, SW_MODE_STRICT, row_op("s", "nothing", "dropped"));
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

	assert_text(t, "t", "r", "did not see it");
	assert_text(t, "t", "s", "did not see it");
	assert_int_equal(system_count(t, SW_TABLE_CONFLICTS), n_records);
	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str("v1"), &tagged));
	sw_reader_end(&r);
	test_verify(t);
}

#define YEARS_MS (10 * 365 * (int64_t)86400000)

/* A laptop whose clock is ten years ahead works alone; then its clock is set right. Nobody waits ten years. */
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
	assert_text(&p.a, "t", "after", "it is right again");
	assert_int_equal(p.n_diverged, 0); /* what was signed is what came of it */
	pair_close(&p);
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
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_STRICT, row_op("one", NULL, "1"));
	base = add(&p, 0, MS(20), &base, SW_MODE_STRICT, row_op("two", NULL, "1"));
	add(&p, 1, MS(30), &base, SW_MODE_STRICT, row_op("one", "1", "2"));
	x = add(&p, 2, MS(40), &base, SW_MODE_STRICT, row_op("one", "1", "3"));
	y = add(&p, 2, MS(41), &x, SW_MODE_STRICT, row_op("two", "1", "3"));
	assert_int_equal(outcome_of(&p.a, &x), SW_DROPPED);
	assert_int_equal(outcome_of(&p.a, &y), SW_APPLIED);
	assert_text(&p.a, "t", "one", "2");
	assert_text(&p.a, "t", "two", "3");
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
	assert_text(&p.b, "t", "f7", "an edit");
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
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "1"));
	gone = add(&p, 0, MS(20), &base, SW_MODE_MERGE, row_op("r", "1", NULL));
	add(&p, 0, MS(30), &gone, SW_MODE_MERGE, (struct sw_op){.kind = SW_OP_RMTABLE, .table = sw_view_str("t")});
	assert_false(has_table(&p.a, "t"));
	base = add(&p, 1, MS(15), &base, SW_MODE_MERGE, row_op("late", NULL, "x"));
	assert_true(has_table(&p.a, "t"));
	add(&p, 1, MS(16), &base, SW_MODE_MERGE, row_op("late", "x", NULL));
	assert_false(has_table(&p.a, "t"));
	/* A rename against an edit of the old name: that comes back with the edit. */
	base = add(&p, 0, MS(40), &p.grant, SW_MODE_MERGE, row_op("old", NULL, "1"));
	rename[0] = row_op("new", NULL, "1");
	rename[1] = row_op("old", "1", NULL);
	make(&p, 1, MS(50), &base, SW_MODE_MERGE, rename, 2, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	assert_text(&p.a, "t", "old", NULL);
	add(&p, 2, MS(60), &base, SW_MODE_MERGE, row_op("old", "1", "2"));
	assert_text(&p.a, "t", "old", "2");
	assert_text(&p.a, "t", "new", "1");
	pair_sync(&p);
	pair_close(&p);
}

/* Members */

/* The creator, whose store is `a`, signs operations of a control commit. */
static struct sw_hash govern(struct pair *p, const struct sw_op *ops, size_t n)
{
	struct sw_write_op write_ops[4] = {0};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = write_ops, .n = n};
	struct sw_hash id;

	assert_true(n <= 4);
	for (size_t i = 0; i < n; i++)
		write_ops[i].op = ops[i];
	TEST_OK(sw_db_commit(p->a.db, &w, &id));
	return id;
}

static struct sw_op grant_op(const struct pair *p, size_t i, enum sw_role role)
{
	return (struct sw_op){
	    .kind = SW_OP_GRANT, .member = *sw_identity_key(p->authors[i]), .role = role};
}

static struct sw_op revoke_op(const struct pair *p, size_t i)
{
	return (struct sw_op){.kind = SW_OP_REVOKE, .member = *sw_identity_key(p->authors[i])};
}

static int role_of(struct test_db *t, const struct pair *p, size_t i)
{
	struct sw_reader r;
	int role;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_role(&r, sw_identity_key(p->authors[i]), &role));
	sw_reader_end(&r);
	return role;
}

static void assert_role(struct pair *p, size_t i, int role)
{
	pair_sync(p);
	assert_int_equal(role_of(&p->a, p, i), role);
	assert_int_equal(role_of(&p->b, p, i), role);
}

/* Its grant of before keeps a demoted admin's new grant out, whatever it is stamped. */
static void case_10_a_demoted_admin_backdates_a_grant(void **state)
{
	struct sw_hash admin, late;
	struct sw_op ops[2];
	struct pair p;

	(void)state;
	pair_open(&p);
	ops[0] = grant_op(&p, 0, SW_ROLE_ADMIN);
	admin = govern(&p, ops, 1);
	ops[0] = revoke_op(&p, 0);
	ops[1] = grant_op(&p, 0, SW_ROLE_WRITER);
	p.a.env.now_ms += 5000;
	late = govern(&p, ops, 2);
	assert_role(&p, 0, SW_ROLE_WRITER);
	ops[0] = revoke_op(&p, 4);
	govern(&p, ops, 1);
	add(&p, 0, MS(1500), &admin, SW_MODE_CONTROL, grant_op(&p, 4, SW_ROLE_ADMIN));
	assert_role(&p, 4, 0);
	/* As a writer it goes on, once it has seen that it is one. */
	add(&p, 0, MS(9000), &admin, SW_MODE_MERGE, row_op("r", NULL, "not seen"));
	assert_text(&p.a, "t", "r", NULL);
	add(&p, 0, MS(9000), &late, SW_MODE_MERGE, row_op("r", NULL, "seen"));
	pair_sync(&p);
	assert_text(&p.a, "t", "r", "seen");
	assert_text(&p.b, "t", "r", "seen");
	pair_close(&p);
}

static void case_10_equals_revoke_each_other(void **state)
{
	struct sw_hash admins, x, y;
	struct sw_op ops[3];
	struct pair p;

	(void)state;
	pair_open(&p);
	for (size_t i = 0; i < 2; i++) {
		ops[0] = grant_op(&p, i, SW_ROLE_ADMIN);
		admins = govern(&p, ops, 1);
	}
	x = add(&p, 0, MS(2000), &admins, SW_MODE_CONTROL, revoke_op(&p, 1));
	assert_role(&p, 1, 0);
	assert_role(&p, 0, SW_ROLE_ADMIN);
	y = add(&p, 1, MS(1900), &admins, SW_MODE_CONTROL, revoke_op(&p, 0));
	assert_role(&p, 0, 0);
	assert_role(&p, 1, 0);
	assert_int_equal(outcome_of(&p.a, &x), SW_VOID);
	assert_int_equal(outcome_of(&p.b, &y), SW_VOID);
	/* A senior's word decides. */
	ops[0] = revoke_op(&p, 1);
	ops[0].names_stand = true;
	govern(&p, ops, 1);
	assert_role(&p, 0, SW_ROLE_ADMIN);
	assert_role(&p, 1, 0);
	assert_int_equal(outcome_of(&p.a, &x), SW_APPLIED);
	assert_int_equal(outcome_of(&p.b, &y), SW_VOID);
	pair_close(&p);
}

static void case_10_a_stolen_key_is_revoked_from_its_last_good_commit_on(void **state)
{
	struct sw_hash good, bad;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	good = add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "good"));
	bad = add(&p, 0, MS(2001), &good, SW_MODE_MERGE, row_op("r", "good", "bad"));
	pair_sync(&p);
	assert_text(&p.b, "t", "r", "bad");
	op = revoke_op(&p, 0);
	op.names_stand = true;
	op.stand = sw_hash_view(&good);
	p.a.env.now_ms += 5000;
	govern(&p, &op, 1);
	pair_sync(&p);
	assert_text(&p.a, "t", "r", "good");
	assert_text(&p.b, "t", "r", "good");
	assert_int_equal(outcome_of(&p.b, &good), SW_APPLIED);
	assert_int_equal(outcome_of(&p.b, &bad), SW_VOID); /* the admin had received it */
	pair_close(&p);
}

static void case_10_of_a_grant_and_a_revocation_at_once_the_grant_loses(void **state)
{
	struct sw_hash admin;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = grant_op(&p, 1, SW_ROLE_ADMIN);
	admin = govern(&p, &op, 1);
	op = revoke_op(&p, 2);
	govern(&p, &op, 1);
	add(&p, 1, MS(9000), &admin, SW_MODE_CONTROL, grant_op(&p, 2, SW_ROLE_WRITER));
	assert_role(&p, 2, 0);
	pair_close(&p);
}

static void case_11_honest_commits_on_void_ones_stay(void **state)
{
	struct sw_hash bad, honest;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	bad = add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "bad"));
	honest = add(&p, 1, MS(2001), &bad, SW_MODE_MERGE, row_op("r", "bad", "honest"));
	op = revoke_op(&p, 0);
	op.names_stand = true;
	govern(&p, &op, 1);
	pair_sync(&p);
	assert_int_equal(outcome_of(&p.b, &bad), SW_VOID);
	assert_int_equal(outcome_of(&p.b, &honest), SW_APPLIED);
	assert_text(&p.b, "t", "r", "honest");
	/* A strict one met what its author saw no more. */
	bad = add(&p, 0, MS(2002), &p.grant, SW_MODE_MERGE, row_op("s", NULL, "bad"));
	honest = add(&p, 1, MS(2003), &bad, SW_MODE_STRICT, row_op("s", "bad", "honest"));
	pair_sync(&p);
	assert_int_equal(outcome_of(&p.a, &bad), SW_VOID);
	assert_int_equal(outcome_of(&p.b, &honest), SW_DROPPED);
	assert_text(&p.b, "t", "s", NULL);
	pair_close(&p);
}

static void case_12_the_line_does_not_grow(void **state)
{
	struct sw_head before, after;
	struct sw_hash last, on_it;
	struct sw_op ops[2];
	struct pair p;

	(void)state;
	pair_open(&p);
	ops[0] = revoke_op(&p, 0);
	ops[1] = revoke_op(&p, 1);
	if (sw_op_cmp(&ops[0], &ops[1]) > 0) {
		ops[1] = revoke_op(&p, 0);
		ops[0] = revoke_op(&p, 1);
	}
	govern(&p, ops, 2);
	pair_sync(&p);
	sw_db_head(p.a.db, &before);
	last = p.grant;
	for (size_t i = 0; i < 20; i++)
		last =
		    add(&p, i % 2, MS(3000 + i), &last, SW_MODE_MERGE, row_op("r", NULL, "again"));
	sw_db_head(p.a.db, &after);
	assert_true(sw_head_eq(&before, &after));
	pair_sync(&p);
	test_verify(&p.a);
	/* A new commit here does not stand on them, one of somebody who does not know better does.
	 */
	test_put(&p.a, "t", "s", "1");
	sw_db_head(p.a.db, &after);
	assert_int_equal(after.count, before.count + 1);
	on_it = add(&p, 2, MS(4000), &last, SW_MODE_MERGE, row_op("u", NULL, "1"));
	sw_db_head(p.a.db, &after);
	assert_int_equal(after.count, before.count + 22);
	pair_sync(&p);
	assert_int_equal(outcome_of(&p.b, &last), SW_VOID);
	assert_int_equal(outcome_of(&p.b, &on_it), SW_APPLIED);
	assert_text(&p.b, "t", "r", NULL);
	pair_close(&p);
}

static void a_floor_ends_what_was_signed_before_and_not_seen(void **state)
{
	struct sw_op op = {.kind = SW_OP_FLOOR};
	struct sw_hash seen, late, control;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = grant_op(&p, 1, SW_ROLE_ADMIN);
	control = govern(&p, &op, 1);
	seen = add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "seen"));
	op = (struct sw_op){.kind = SW_OP_FLOOR};
	p.a.env.now_ms += 5000;
	govern(&p, &op, 1);
	late = add(&p, 0, MS(2001), &seen, SW_MODE_MERGE, row_op("r", "seen", "late"));
	add(&p, 1, MS(2002), &control, SW_MODE_CONTROL, grant_op(&p, 4, SW_ROLE_ADMIN));
	assert_role(&p, 4, SW_ROLE_ADMIN); /* members are not data */
	assert_text(&p.a, "t", "r", "seen");
	assert_int_equal(outcome_of(&p.a, &late), SW_OUT);
	add(&p, 0, MS(9000), &late, SW_MODE_MERGE, row_op("s", NULL, "after it"));
	pair_sync(&p);
	assert_int_equal(outcome_of(&p.b, &late), SW_VOID);
	assert_text(&p.b, "t", "r", "seen");
	assert_text(&p.b, "t", "s", "after it");
	pair_close(&p);
}

static void case_10_ranks_count_without_revocations_too(void **state)
{
	struct sw_hash admin, lesser, w;
	struct sw_op op;
	struct made m = {0};
	struct pair p;

	(void)state;
	pair_open(&p);
	op = grant_op(&p, 0, SW_ROLE_ADMIN);
	admin = govern(&p, &op, 1);
	/* By an admin and, at the same time, by the creator: so its rank is that of the former, who could not make it an admin. */
	lesser = add(&p, 0, MS(2000), &admin, SW_MODE_CONTROL, grant_op(&p, 1, SW_ROLE_ADMIN));
	w = add(&p, 1, MS(2010), &lesser, SW_MODE_CONTROL, grant_op(&p, 2, SW_ROLE_ADMIN));
	assert_role(&p, 2, SW_ROLE_ADMIN);
	op = grant_op(&p, 1, SW_ROLE_ADMIN);
	sw_changeset_encode(SW_MODE_CONTROL, &op, 1, &m.changeset, NULL);
	seal_by(&p, sw_db_identity(p.a.db), MS(2005), &admin, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	assert_role(&p, 1, SW_ROLE_ADMIN);
	assert_role(&p, 2, SW_ROLE_WRITER);
	assert_int_equal(outcome_of(&p.a, &w), SW_OUT);
	add(&p, 2, MS(2100), &w, SW_MODE_MERGE, row_op("r", NULL, "writers write"));
	pair_sync(&p);
	assert_text(&p.b, "t", "r", "writers write");
	/* A floor that is void, and in one store alone, changes nothing. */
	op = (struct sw_op){.kind = SW_OP_FLOOR};
	make(&p, 1, MS(2200), &lesser, SW_MODE_CONTROL, &op, 1, &m);
	assert_true(give(&p.a, &m).is_out);
	made_fini(&m);
	assert_true(same_head(&p));
	assert_role(&p, 2, SW_ROLE_WRITER);
	pair_close(&p);
}

static void a_first_revocation_that_failed_is_forgotten(void **state)
{
	struct sw_write_op revoke = {0};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &revoke, .n = 1};
	struct sw_hash id;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	revoke.op = revoke_op(&p, 0);
	p.a.env.fail_in = 1;
	p.a.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_commit(p.a.db, &w, &id), SW_ENOSPC);
	p.a.env.fail_in = 0;
	/* Other commits have its number now. */
	id = add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "1"));
	add(&p, 0, MS(2010), &id, SW_MODE_MERGE, row_op("s", NULL, "2"));
	p.a.env.now_ms += 5000;
	op = revoke_op(&p, 4);
	govern(&p, &op, 1);
	assert_role(&p, 0, SW_ROLE_WRITER);
	assert_role(&p, 4, 0);
	assert_text(&p.a, "t", "r", "1");
	assert_text(&p.b, "t", "s", "2");
	pair_close(&p);
}

/* Siblings by author 0, each a tip, whose ids are smaller than most. */
static void add_siblings(struct pair *p, const struct sw_hash *parent, size_t n)
{
	for (size_t i = 0; n > 0; i++) {
		struct sw_op op;
		struct made m;
		char key[16];

		snprintf(key, sizeof(key), "r%zu", i);
		op = row_op(key, NULL, "x");
		make(p, 0, MS(100 + i), parent, SW_MODE_MERGE, &op, 1, &m);
		if (m.id.b[0] < 16) {
			assert_int_equal(give(&p->a, &m).taken, SW_TAKEN);
			assert_int_equal(give(&p->b, &m).taken, SW_TAKEN);
			n--;
		}
		made_fini(&m);
	}
}

static void of_many_tips_those_that_a_commit_relies_on_are_parents(void **state)
{
	struct sw_op op = {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER};
	uint8_t secret[SW_KEY_SEED_SIZE] = {7};
	struct sw_hash first, ids[2];
	struct sw_commit commit;
	struct sw_view raw, changeset;
	struct sw_reader r;
	struct pair p = {0};

	(void)state;
	test_db_create(&p.a, 1);
	test_db_clone(&p.b, &p.a, 2);
	TEST_OK(sw_identity_from_seed(secret, &p.authors[0]));
	op.member = *sw_identity_key(p.authors[0]);
	first = govern(&p, &op, 1);
	test_grant(&p.a, &p.b); /* the siblings have not seen that */
	test_sync(&p.a, &p.b);
	p.a.env.now_ms += 50000;
	p.b.env.now_ms += 50000;
	add_siblings(&p, &first, 140);
	for (size_t i = 0; i < 2; i++)
		ids[i] = test_put(&p.b, "t", "mine", i ? "2" : "1");
	TEST_OK(sw_reader_begin(p.b.db, &r));
	TEST_OK(sw_db_get_commit(&r, &ids[1], &commit, &raw, &changeset));
	assert_int_equal(commit.n_parents, SW_PARENTS_MAX);
	for (size_t i = 1; i < commit.n_parents; i++)
		assert_true(sw_hash_cmp(&commit.parents[i - 1], &commit.parents[i]) < 0);
	sw_reader_end(&r);
	pair_sync(&p);
	assert_text(&p.a, "t", "mine", "2");
	pair_close(&p);
}

static void what_is_not_in_the_line_counts_for_checkpoints(void **state)
{
	struct sw_hash last;
	struct sw_head head;
	uint64_t next, written;
	struct sw_txn *txn;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = revoke_op(&p, 0);
	govern(&p, &op, 1);
	p.a.env.env.checkpoint_commits = 10;
	last = p.grant;
	for (size_t i = 0; i < 25; i++) {
		last = add(&p, 0, MS(3000 + i), &last, SW_MODE_MERGE, row_op("r", NULL, "again"));
		TEST_OK(sw_txn_begin(sw_db_store(p.a.db), false, &txn));
		TEST_OK(sw_history_next_seq(txn, &next));
		TEST_OK(sw_written_load(txn, &head, &written));
		sw_txn_abort(txn);
		assert_true(next - 1 - written < 10);
	}
	assert_true(next - 1 > written);
	test_verify(&p.a);
	sw_db_close(p.a.db);
	TEST_OK(sw_db_open(p.a.dir, &p.a.env.env, &p.a.db));
	TEST_OK(sw_db_checkpoint(p.a.db));
	TEST_OK(sw_txn_begin(sw_db_store(p.a.db), false, &txn));
	TEST_OK(sw_written_load(txn, &head, &written));
	sw_txn_abort(txn);
	assert_int_equal(written, next - 1);
	pair_close(&p);
}

/* Members, tags, records and resolutions are part of the state: who differs in one has another head. */
static void copy_store(struct test_db *from, struct test_db *to, uint64_t seed)
{
	char command[300];

	test_db_dir(to, seed);
	to->env.now_ms = from->env.now_ms;
	sw_db_close(from->db);
	snprintf(command, sizeof(command), "cp -a '%s' '%s'", from->dir, to->dir);
	assert_int_equal(system(command), 0);
	TEST_OK(sw_db_open(from->dir, &from->env.env, &from->db));
	TEST_OK(sw_db_open(to->dir, &to->env.env, &to->db));
}

static int role_in(struct test_db *t, const struct sw_key *key)
{
	struct sw_reader r;
	int role;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_role(&r, key, &role));
	sw_reader_end(&r);
	return role;
}

/* Whoever learns that another signs with its key takes a new one; the unseen work of both stays. */
static void case_19_a_copied_store_takes_a_new_key(void **state)
{
	struct test_db copy;
	struct sw_key old;
	struct pair p;

	(void)state;
	pair_open(&p);
	copy_store(&p.b, &copy, 3);
	old = *sw_db_key(p.b.db);
	assert_true(sw_key_eq(&old, sw_db_key(copy.db)));
	test_put(&p.b, "t", "b", "unseen");
	test_put(&copy, "t", "copy", "unseen");
	test_pull(&p.a, &p.b, 1000);
	test_pull(&p.a, &copy, 1000);
	assert_false(sw_db_is_copied(p.b.db));
	test_pull(&p.b, &p.a, 1000);
	assert_true(sw_db_is_copied(p.b.db));
	/* It ends when the old key has let the new one in: the next start goes on from there. */
	p.b.env.fail_in = 2;
	p.b.env.fail_rc = SW_EIO;
	assert_int_equal(sw_db_renew_key(p.b.db), SW_EIO);
	assert_true(sw_key_eq(&old, sw_db_key(p.b.db)));
	sw_db_close(p.b.db);
	TEST_OK(sw_db_open(p.b.dir, &p.b.env.env, &p.b.db));
	assert_false(sw_db_is_copied(p.b.db));
	assert_false(sw_key_eq(&old, sw_db_key(p.b.db)));
	assert_int_equal(role_in(&p.b, sw_db_key(p.b.db)), SW_ROLE_WRITER);
	test_put(&p.b, "t", "b", "with the new key");
	test_pull(&p.a, &p.b, 1000);
	assert_int_equal(role_in(&p.a, &old), SW_ROLE_WRITER); /* until somebody revokes it */
	/* The other sees that the one with its key has moved on. */
	test_pull(&copy, &p.a, 1000);
	assert_false(sw_db_is_copied(copy.db));
	test_put(&copy, "t", "copy", "with the old key");
	test_sync(&p.a, &copy);
	pair_sync(&p);
	assert_false(sw_db_is_copied(p.b.db));
	assert_text(&p.a, "t", "copy", "with the old key");
	assert_text(&copy, "t", "b", "with the new key");
	test_verify(&copy);
	test_db_close(&copy);
	pair_close(&p);
}

/* A key that was made for nothing goes: nobody let it in. */
static void a_key_that_was_not_let_in_is_forgotten(void **state)
{
	struct sw_key old;
	struct pair p;
	char path[200];

	(void)state;
	pair_open(&p);
	old = *sw_db_key(p.b.db);
	p.b.env.fail_in = 1;
	p.b.env.fail_rc = SW_EIO;
	assert_int_equal(sw_db_renew_key(p.b.db), SW_EIO);
	sw_db_close(p.b.db);
	snprintf(path, sizeof(path), "%s/key.new", p.b.dir);
	assert_int_equal(access(path, F_OK), 0);
	TEST_OK(sw_db_open(p.b.dir, &p.b.env.env, &p.b.db));
	assert_int_not_equal(access(path, F_OK), 0);
	assert_true(sw_key_eq(&old, sw_db_key(p.b.db)));
	TEST_OK(sw_db_renew_key(p.b.db));
	pair_sync(&p);
	pair_close(&p);
}

/* A writer hands on what it may do, to one key, and no more than that. */
static void a_succession_gives_no_more_than_its_author_has(void **state)
{
	struct sw_op ops[2] = {{.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN}, {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER}};
	struct sw_op row = row_op("r", NULL, "of the next one");
	struct sw_identity *stranger, *next;
	uint8_t secret[SW_KEY_SEED_SIZE] = {70};
	struct sw_hash succession;
	struct pair p;
	struct made m;

	(void)state;
	pair_open(&p);
	TEST_OK(sw_identity_from_seed(secret, &next));
	secret[0] = 71;
	TEST_OK(sw_identity_from_seed(secret, &stranger));
	ops[0].member = ops[1].member = *sw_identity_key(next);
	make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, &ops[0], 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* admin */
	made_fini(&m);
	ops[0].role = SW_ROLE_WRITER;
	ops[0].member.b[0] = 0;
	ops[1].member.b[0] = 1;
	make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, ops, 2, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* to two */
	made_fini(&m);
	ops[0].member = *sw_identity_key(next);
	sw_identity_free(p.authors[4]);
	p.authors[4] = stranger;
	make(&p, 4, MS(10), &p.grant, SW_MODE_CONTROL, ops, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* by nobody */
	made_fini(&m);
	make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, ops, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	succession = m.id;
	made_fini(&m);
	sw_identity_free(p.authors[0]);
	p.authors[0] = next;
	make(&p, 0, MS(11), &p.grant, SW_MODE_MERGE, &row, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* not below it */
	made_fini(&m);
	make(&p, 0, MS(11), &succession, SW_MODE_MERGE, &row, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

static void case_20_equal_heads_imply_equal_everything(void **state)
{
	struct sw_op resolve = {.kind = SW_OP_RESOLVE, .table = sw_view_str("t"), .key = sw_view_str("r")};
	struct sw_op tag = {.kind = SW_OP_TAG, .table = sw_view_str("v1")}, revoke;
	struct sw_head before, after;
	struct sw_hash base;
	struct pair p;

	(void)state;
	pair_open(&p);
	base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "1"));
	resolve.commit = add(&p, 1, MS(20), &base, SW_MODE_MERGE, row_op("r", "1", "2"));
	add(&p, 2, MS(30), &base, SW_MODE_MERGE, row_op("r", "1", "3"));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	pair_sync(&p);
	sw_db_head(p.a.db, &before);
	add(&p, 3, MS(40), &p.grant, SW_MODE_MERGE, resolve);
	sw_db_head(p.a.db, &after);
	assert_false(sw_hash_eq(&before.state, &after.state));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 0);
	assert_int_equal(system_count(&p.a, SW_TABLE_RESOLVED), 1);
	before = after;
	tag.commit = base;
	add(&p, 3, MS(41), &p.grant, SW_MODE_MERGE, tag);
	sw_db_head(p.a.db, &after);
	assert_false(sw_hash_eq(&before.state, &after.state));
	assert_int_equal(system_count(&p.a, SW_TABLE_TAGS), 1);
	tag.commit = sw_hash_zero;
	add(&p, 3, MS(42), &p.grant, SW_MODE_MERGE, tag);
	assert_int_equal(system_count(&p.a, SW_TABLE_TAGS), 0);
	/* What is resolved stays so, whatever comes later and earlier. */
	add(&p, 4, MS(15), &base, SW_MODE_MERGE, row_op("r", "1", "0"));
	assert_int_equal(system_count(&p.a, SW_TABLE_CONFLICTS), 1);
	pair_sync(&p);
	assert_int_equal(system_count(&p.b, SW_TABLE_CONFLICTS), 1);
	/* A revocation that touches no row. */
	sw_db_head(p.a.db, &before);
	revoke = revoke_op(&p, 4);
	govern(&p, &revoke, 1);
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
			ops[i] = (struct sw_write_op){.op = row_op(names[i % ROWS], del ? "text" : NULL,
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
		base = add(&p, 0, MS(10), &p.grant, SW_MODE_MERGE, row_op(key, NULL, "{\"x\":1,\"y\":1}"));
		op = column_op(key, "{\"x\":1,\"y\":1}", "{\"x\":2,\"y\":1}", &columns);
		op.row.mtime_ns = times[i];
		add(&p, 1, MS(20), &base, SW_MODE_MERGE, op);
		sw_buf_reset(&columns);
		op = column_op(key, "{\"x\":1,\"y\":1}", "{\"x\":1,\"y\":2}", &columns);
		op.row.mtime_ns = times[i];
		add(&p, 2, MS(30), &base, SW_MODE_MERGE, op);
		assert_text(&p.a, "t", key, "{\"x\":2,\"y\":2}");
	}
	pair_sync(&p);
	pair_close(&p);
}

/* A commit from the future is not taken, and not refused: offered later, it is. */
static void a_commit_from_the_future_waits(void **state)
{
	struct sw_op op = row_op("r", NULL, "soon");
	struct pair p;
	struct made m;

	(void)state;
	pair_open(&p);
	make(&p, 0, MS(1000 + SW_SKEW_MS + 1), &p.grant, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_EARLY);
	p.a.env.now_ms++;
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	p.b.env.now_ms += 10;
	pair_sync(&p);
	pair_close(&p);
}

/* Who may not write is refused, and so is who is let in only somewhere else in the graph. */
static void a_grant_counts_for_what_comes_after_it(void **state)
{
	struct sw_op op = row_op("r", NULL, "1");
	uint8_t secret[SW_KEY_SEED_SIZE] = {77};
	struct sw_write_op grant = {.op = {.kind = SW_OP_GRANT, .role = SW_ROLE_READER}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &grant, .n = 1};
	struct sw_hash reader, writer;
	struct pair p;
	struct made m;

	(void)state;
	pair_open(&p);
	sw_identity_free(p.authors[4]);
	TEST_OK(sw_identity_from_seed(secret, &p.authors[4]));
	grant.op.member = *sw_identity_key(p.authors[4]);
	TEST_OK(sw_db_commit(p.a.db, &w, &reader));
	make(&p, 4, MS(2000), &reader, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	grant.op.role = SW_ROLE_WRITER;
	TEST_OK(sw_db_commit(p.a.db, &w, &writer));
	make(&p, 4, MS(2000), &reader, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	make(&p, 4, MS(2000), &writer, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	/* A writer is no admin. */
	op = (struct sw_op){.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN, .member = grant.op.member};
	make(&p, 4, MS(2001), &writer, SW_MODE_CONTROL, &op, 1, &m);
	assert_int_equal(give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

/* Only the first commit founds a database. */
static void a_second_genesis_is_refused(void **state)
{
	struct sw_op op = {.kind = SW_OP_GENESIS};
	struct sw_commit c = {.rule = SW_RULE_VERSION, .n_parents = 1, .stamp = MS(2000)};
	struct made m = {0};
	struct pair p;

	(void)state;
	pair_open(&p);
	sw_changeset_encode(SW_MODE_CONTROL, &op, 1, &m.changeset, NULL);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&m.changeset), &c.changeset);
	c.database = *sw_db_id(p.a.db);
	c.parents[0] = p.grant;
	sw_commit_seal(&c, sw_db_identity(p.a.db), &m.raw); /* an admin, who may sign grants */
	assert_int_equal(give(&p.b, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

/* Try with the first durable step failing, then the second, until it works; a failure leaves everything as it was. */
static void check_unchanged(struct test_db *t, const struct sw_head *before)
{
	struct sw_head after;

	t->env.fail_in = 0;
	sw_db_head(t->db, &after);
	assert_true(sw_head_eq(before, &after));
	test_verify(t);
	sw_db_close(t->db);
	TEST_OK(sw_db_open(t->dir, &t->env.env, &t->db));
	sw_db_head(t->db, &after);
	assert_true(sw_head_eq(before, &after));
}

static int commit_some(struct test_db *t, int i, struct sw_hash *id)
{
	static char large[5000];
	char key[16], text[32];
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .row = {.mode = 0644}}};
	struct sw_write w = {.mode = i % 5 == 4 ? SW_MODE_STRICT : SW_MODE_MERGE, .ops = &op, .n = 1};

	snprintf(key, sizeof(key), "r%d.json", i % 4);
	snprintf(text, sizeof(text), "{\"x\":%d}", i);
	memset(large, 'a' + i, sizeof(large));
	op.op.key = sw_view_str(key);
	op.op.old = test_current(t, "t", key);
	op.content = i % 3 ? sw_view_str(text) : sw_view(large, sizeof(large));
	return sw_db_commit(t->db, &w, id);
}

static void a_failed_step_changes_nothing(void **state)
{
	static const int errors[] = {SW_ENOSPC, SW_EIO, SW_ENOMEM};
	struct sw_head before;
	struct sw_hash id;
	struct pair p;

	(void)state;
	pair_open(&p);
	for (int i = 0; i < 12; i++) {
		for (int n = 1;; n++) {
			int rc;

			sw_db_head(p.a.db, &before);
			p.a.env.fail_in = n;
			p.a.env.fail_rc = errors[i % 3];
			rc = commit_some(&p.a, i, &id);
			if (rc == 0)
				break;
			assert_int_equal(rc, errors[i % 3]);
			check_unchanged(&p.a, &before);
		}
		p.a.env.fail_in = 0;
		p.a.env.now_ms += 3;
		TEST_OK(commit_some(&p.b, 11 - i, &id));
	}
	/* The same for what arrives, in one batch. */
	for (int n = 1;; n++) {
		struct sw_nodes *records;
		struct sw_incoming in[64] = {{{0}, {0}, 0, 0, {{0}}, {{0}}, false}};
		struct sw_cursor c = {0};
		struct sw_reader r;
		size_t n_in = 0, n_taken;
		int rc;

		sw_db_head(p.b.db, &before);
		TEST_OK(sw_nodes_new(NULL, &records));
		TEST_OK(sw_reader_begin(p.a.db, &r));
		for (rc = sw_cursor_seek(&c, r.nodes, &r.head.line, sw_view("", 0)); rc > 0;
		     rc = sw_cursor_next(&c)) {
			struct sw_order order;
			struct sw_commit commit;
			struct sw_changeset walk;
			struct sw_op op;
			struct sw_hash h;

			memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
			sw_order_id(&order, &h);
			TEST_OK(sw_db_get_commit(&r, &h, &commit, &in[n_in].commit, &in[n_in].changeset));
			TEST_OK(sw_changeset_begin(&walk, in[n_in++].changeset));
			while (sw_changeset_next(&walk, &op) > 0) {
				struct sw_row row = op.row;
				SW_BUF text = {0};

				if (op.kind != SW_OP_PUT || !op.row.is_blob)
					continue;
				TEST_OK(sw_row_read(r.nodes, &op.row, &text));
				TEST_OK(sw_row_make(records, sw_db_shape(p.b.db), sw_buf_view(&text), &row));
			}
		}
		sw_cursor_fini(&c);
		p.b.env.fail_in = n;
		p.b.env.fail_rc = SW_EIO;
		rc = sw_db_receive(p.b.db, in, n_in, 0, records, NULL, NULL, &n_taken);
		sw_reader_end(&r);
		sw_nodes_free(records);
		if (rc == 0)
			break;
		assert_int_equal(n_taken, 0);
		check_unchanged(&p.b, &before);
	}
	p.b.env.fail_in = 0;
	pair_sync(&p);
	pair_close(&p);
}

/* Revocations and what follows them, with every step failing once. */
static void a_failed_revocation_changes_nothing(void **state)
{
	struct sw_op ops[2];
	struct sw_head before;
	struct sw_hash first;
	struct pair p;

	(void)state;
	pair_open(&p);
	first = add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, row_op("r", NULL, "1"));
	add(&p, 0, MS(2001), &first, SW_MODE_MERGE, row_op("r", "1", "2"));
	p.a.env.now_ms += 5000;
	for (int i = 0; i < 8; i++) {
		struct sw_write_op op = {0};
		struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
		struct sw_hash id;
		int rc = SW_EIO;

		for (int n = 1; rc < 0; n++) {
			ops[0] = revoke_op(&p, 0);
			ops[0].names_stand = i % 4 == 0;
			ops[1] = grant_op(&p, 0, SW_ROLE_WRITER);
			op.op = ops[i / 2 % 2];
			sw_db_head(p.a.db, &before);
			p.a.env.fail_in = n;
			p.a.env.fail_rc = SW_EIO;
			rc = i % 2 ? commit_some(&p.a, i, &id) : sw_db_commit(p.a.db, &w, &id);
			p.a.env.fail_in = 0;
			if (rc == 0)
				break;
			if (n % 2)
				check_unchanged(&p.a, &before); /* which opens it again */
			else
				test_verify(&p.a);
		}
		pair_sync(&p);
		test_verify(&p.b);
	}
	pair_close(&p);
}

/* Its first commit tells a clone the salt; if it is not stored, the next try starts over. */
/*
 * Whoever dies while a store is made, at any durable step, before it or after it: what is left is a whole database, or one
 * sentence says that it is not. A clone of one, likewise.
 */
static void a_store_whose_making_was_interrupted_says_so(void **state)
{
	struct sw_hash database = {{1}};
	unsigned n_whole = 0, n_not = 0;

	(void)state;
	for (int i = 0; i < 16; i++) {
		bool is_clone = i & 1, after = i & 2;
		struct test_db t = {0};
		int rc;

		test_db_dir(&t, 1);
		t.env.fail_in = 1 + i / 4;
		t.env.fail_rc = after ? 0 : SW_EIO;
		t.env.dies = true;
		rc = is_clone ? sw_db_create_clone(t.dir, &t.env.env, &database, &t.db)
			      : sw_db_create(t.dir, &t.env.env, SW_CONFLICT_MERGE, &t.db);
		if (rc == 0)
			sw_db_close(t.db);
		t.db = NULL;
		t.env.fail_in = 0;
		t.env.is_dead = false;
		rc = sw_db_open(t.dir, &t.env.env, &t.db);
		n_whole += rc == 0;
		n_not += rc < 0;
		if (rc == 0 && !is_clone) {
			test_put(&t, "t", "r", "it goes on");
			test_verify(&t);
		}
		if (rc < 0) {
			assert_int_equal(rc, SW_EFORMAT);
			assert_non_null(strstr(sw_fail_message(rc), "interrupted"));
		}
		test_db_close(&t);
	}
	assert_true(n_whole > 0);
	assert_true(n_not > 0);
}

static void a_clone_whose_first_batch_fails_tries_again(void **state)
{
	struct test_db a, b;
	struct sw_head before, x, y;
	struct sw_incoming in = {0};
	struct sw_commit c;
	struct sw_reader r;
	size_t n_taken;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	sw_db_head(b.db, &before);
	TEST_OK(sw_reader_begin(a.db, &r));
	TEST_OK(sw_db_get_commit(&r, sw_db_id(a.db), &c, &in.commit, &in.changeset));
	b.env.fail_in = 1;
	b.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_receive(b.db, &in, 1, 0, NULL, NULL, NULL, &n_taken), SW_ENOSPC);
	assert_null(sw_db_shape(b.db));
	check_unchanged(&b, &before);
	TEST_OK(sw_db_receive(b.db, &in, 1, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 1);
	sw_reader_end(&r);
	sw_db_head(a.db, &x);
	sw_db_head(b.db, &y);
	assert_true(sw_head_eq(&x, &y));
	test_verify(&b);
	test_db_close(&a);
	test_db_close(&b);
}

/* Only a hostile peer sends a commit twice in one message. */
static void what_stands_twice_in_a_batch_is_taken_once(void **state)
{
	struct sw_op ops[] = {row_op("a", NULL, "1"), row_op("b", NULL, "2")};
	struct made parent, child, spoiled = {0};
	size_t n_taken;
	struct pair p;

	(void)state;
	pair_open(&p);
	make(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, &ops[0], 1, &parent);
	make(&p, 0, MS(2001), &parent.id, SW_MODE_MERGE, &ops[1], 1, &child);
	sw_buf_put_view(&spoiled.raw, sw_buf_view(&child.raw));
	sw_buf_put_view(&spoiled.changeset, sw_buf_view(&child.changeset));
	spoiled.raw.p[spoiled.raw.n - 1] ^= 1;
	p.a.env.now_ms = p.b.env.now_ms = 1790000003000;
	for (size_t k = 0; k < 2; k++) {
		const struct made *order[] = {k ? &spoiled : &child, &parent, &child, &child};
		struct sw_incoming in[4];

		for (size_t i = 0; i < 4; i++)
			in[i] = (struct sw_incoming){.commit = sw_buf_view(&order[i]->raw),
						     .changeset = sw_buf_view(&order[i]->changeset)};
		TEST_OK(sw_db_receive(k ? p.b.db : p.a.db, in, 4, 0, NULL, NULL, NULL, &n_taken));
		assert_int_equal(n_taken, 1);
		assert_int_equal(in[1].taken, SW_TAKEN);
		assert_int_equal(in[3].taken, in[0].taken);
	}
	assert_int_equal(give(&p.a, &child).taken, SW_TAKEN);
	assert_int_equal(give(&p.b, &child).taken, SW_TAKEN);
	assert_true(same_head(&p));
	pair_close(&p);
	made_fini(&parent);
	made_fini(&child);
	made_fini(&spoiled);
}

/* Signatures are not part of a commit's id. Who signs a commit signs the ids of all below it. */
static void a_later_signature_of_the_author_vouches(void **state)
{
	struct sw_op ops[] = {row_op("a", NULL, "1"), row_op("b", NULL, "2")};
	struct sw_incoming in[2];
	struct made m[2], other;
	size_t n_taken;
	struct pair p;

	(void)state;
	pair_open(&p);
	make(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, &ops[0], 1, &m[0]);
	make(&p, 0, MS(2001), &m[0].id, SW_MODE_MERGE, &ops[1], 1, &m[1]);
	make(&p, 1, MS(2001), &m[0].id, SW_MODE_MERGE, &ops[1], 1, &other);
	p.a.env.now_ms = p.b.env.now_ms = 1790000003000;
	m[0].raw.p[m[0].raw.n - 1] ^= 1;
	for (size_t i = 0; i < 2; i++)
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&m[i].raw), .changeset = sw_buf_view(&m[i].changeset)};
	assert_int_equal(give(&p.a, &m[0]).taken, SW_TAKEN_REFUSED);

	/* Not that of another author, */
	in[1] = (struct sw_incoming){.commit = sw_buf_view(&other.raw), .changeset = sw_buf_view(&other.changeset)};
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_REFUSED);
	assert_int_equal(in[1].taken, SW_TAKEN_ORPHAN);

	/* nor one that is wrong itself. */
	in[1] = (struct sw_incoming){.commit = sw_buf_view(&m[1].raw), .changeset = sw_buf_view(&m[1].changeset)};
	m[1].raw.p[m[1].raw.n - 1] ^= 1;
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_REFUSED);
	m[1].raw.p[m[1].raw.n - 1] ^= 1;

	/* They are taken together or not at all: one alone could not be passed on. */
	TEST_OK(sw_db_receive(p.b.db, in, 1, 1, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_UNPROVEN);
	assert_int_equal(n_taken, 0);
	p.b.env.now_ms = 1790000002000 - SW_SKEW_MS; /* the first of them is due, the other is not */
	for (size_t i = 0; i < 2; i++) {
		TEST_OK(sw_db_receive(p.b.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
		assert_int_equal(n_taken, 2 * i);
		assert_int_equal(in[0].taken, i ? SW_TAKEN : SW_TAKEN_UNPROVEN);
		p.b.env.now_ms = 1790000003000;
	}
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 2);
	assert_true(same_head(&p));
	pair_close(&p); /* verifies both stores */
	made_fini(&m[0]);
	made_fini(&m[1]);
	made_fini(&other);
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
	    cmocka_unit_test(case_10_a_demoted_admin_backdates_a_grant),
	    cmocka_unit_test(case_10_equals_revoke_each_other),
	    cmocka_unit_test(case_10_a_stolen_key_is_revoked_from_its_last_good_commit_on),
	    cmocka_unit_test(case_10_of_a_grant_and_a_revocation_at_once_the_grant_loses),
	    cmocka_unit_test(case_11_honest_commits_on_void_ones_stay),
	    cmocka_unit_test(case_12_the_line_does_not_grow),
	    cmocka_unit_test(a_floor_ends_what_was_signed_before_and_not_seen),
	    cmocka_unit_test(case_10_ranks_count_without_revocations_too),
	    cmocka_unit_test(a_first_revocation_that_failed_is_forgotten),
	    cmocka_unit_test(of_many_tips_those_that_a_commit_relies_on_are_parents),
	    cmocka_unit_test(what_is_not_in_the_line_counts_for_checkpoints),
	    cmocka_unit_test(case_13_a_laptop_from_2036_is_not_cut_off),
		cmocka_unit_test(what_may_have_been_sent_is_not_signed_again),
		cmocka_unit_test(case_14_unrelated_strict_commits_do_not_drop_each_other),
	    cmocka_unit_test(case_15_equal_writes_and_touches_are_no_conflict),
	    cmocka_unit_test(case_16_a_table_shows_while_it_has_rows),
	    cmocka_unit_test(case_19_a_copied_store_takes_a_new_key),
		cmocka_unit_test(a_key_that_was_not_let_in_is_forgotten),
		cmocka_unit_test(a_succession_gives_no_more_than_its_author_has),
		cmocka_unit_test(case_20_equal_heads_imply_equal_everything),
	    cmocka_unit_test(equal_tables_can_be_emptied_together),
	    cmocka_unit_test(a_merge_takes_any_mtime),
	    cmocka_unit_test(a_commit_from_the_future_waits),
	    cmocka_unit_test(a_grant_counts_for_what_comes_after_it),
	    cmocka_unit_test(a_second_genesis_is_refused),
	    cmocka_unit_test(a_later_signature_of_the_author_vouches),
	    cmocka_unit_test(what_stands_twice_in_a_batch_is_taken_once),
	    cmocka_unit_test(a_failed_step_changes_nothing),
	    cmocka_unit_test(a_failed_revocation_changes_nothing),
	    cmocka_unit_test(a_store_whose_making_was_interrupted_says_so),
		cmocka_unit_test(a_clone_whose_first_batch_fails_tries_again),
	};

	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
