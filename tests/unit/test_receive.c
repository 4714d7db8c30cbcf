/*
 * What a store takes of what it is given, and that a step that fails changes nothing.
 */
#include "core/blob.h"
#include "core/db_internal.h"
#include "tests/lib/pair.h"

/* A commit from the future is not taken, and not refused: offered later, it is. */
static void a_commit_from_the_future_waits(void **state)
{
	struct sw_op op = test_row_op("r", NULL, "soon");
	struct pair p;
	struct made m;

	(void)state;
	pair_open(&p);
	pair_make(&p, 0, MS(1000 + SW_SKEW_MS + 1), &p.grant, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_EARLY);
	p.a.env.now_ms++;
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	p.b.env.now_ms += 10;
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
	assert_int_equal(test_give(&p.b, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

/* Try with the first durable step failing, then the second, until it works; a failure leaves
 * everything as it was. */
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
	struct sw_write_op op = {
	    .op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .row = {.mode = 0644}}};
	struct sw_write w = {
	    .mode = i % 5 == 4 ? SW_MODE_STRICT : SW_MODE_MERGE, .ops = &op, .n = 1};

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
			TEST_OK(sw_db_get_commit(&r, &h, &commit, &in[n_in].commit,
						 &in[n_in].changeset));
			TEST_OK(sw_changeset_begin(&walk, in[n_in++].changeset));
			while (sw_changeset_next(&walk, &op) > 0) {
				struct sw_row row = op.row;
				SW_BUF text = {0};

				if (op.kind != SW_OP_PUT || !op.row.is_blob)
					continue;
				TEST_OK(sw_row_read(r.nodes, &op.row, &text));
				TEST_OK(sw_row_make(records, sw_db_shape(p.b.db),
						    sw_buf_view(&text), &row));
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
	first = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "1"));
	pair_add(&p, 0, MS(2001), &first, SW_MODE_MERGE, test_row_op("r", "1", "2"));
	p.a.env.now_ms += 5000;
	for (int i = 0; i < 8; i++) {
		struct sw_write_op op = {0};
		struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
		struct sw_hash id;
		int rc = SW_EIO;

		for (int n = 1; rc < 0; n++) {
			ops[0] = pair_revoke_op(&p, 0);
			ops[0].names_stand = i % 4 == 0;
			ops[1] = pair_grant_op(&p, 0, SW_ROLE_WRITER);
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
 * Whoever dies while a store is made, at any durable step, before it or after it: what is left is a
 * whole database, or one sentence says that it is not. A clone of one, likewise.
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
			assert_int_equal(sw_db_create(t.dir, &t.env.env, SW_CONFLICT_MERGE, &t.db), SW_EFORMAT);
			assert_non_null(strstr(sw_fail_message(SW_EFORMAT), "interrupted"));
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
	struct sw_op ops[] = {test_row_op("a", NULL, "1"), test_row_op("b", NULL, "2")};
	struct made parent, child, spoiled = {0};
	size_t n_taken;
	struct pair p;

	(void)state;
	pair_open(&p);
	pair_make(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, &ops[0], 1, &parent);
	pair_make(&p, 0, MS(2001), &parent.id, SW_MODE_MERGE, &ops[1], 1, &child);
	sw_buf_put_view(&spoiled.raw, sw_buf_view(&child.raw));
	sw_buf_put_view(&spoiled.changeset, sw_buf_view(&child.changeset));
	spoiled.raw.p[spoiled.raw.n - 1] ^= 1;
	p.a.env.now_ms = p.b.env.now_ms = 1790000003000;
	for (size_t k = 0; k < 2; k++) {
		const struct made *order[] = {k ? &spoiled : &child, &parent, &child, &child};
		struct sw_incoming in[4];

		for (size_t i = 0; i < 4; i++)
			in[i] =
			    (struct sw_incoming){.commit = sw_buf_view(&order[i]->raw),
						 .changeset = sw_buf_view(&order[i]->changeset)};
		TEST_OK(sw_db_receive(k ? p.b.db : p.a.db, in, 4, 0, NULL, NULL, NULL, &n_taken));
		assert_int_equal(n_taken, 1);
		assert_int_equal(in[1].taken, SW_TAKEN);
		assert_int_equal(in[3].taken, in[0].taken);
	}
	assert_int_equal(test_give(&p.a, &child).taken, SW_TAKEN);
	assert_int_equal(test_give(&p.b, &child).taken, SW_TAKEN);
	assert_true(pair_same_head(&p));
	pair_close(&p);
	made_fini(&parent);
	made_fini(&child);
	made_fini(&spoiled);
}

/* Signatures are not part of a commit's id. Who signs a commit signs the ids of all below it. */
static void a_later_signature_of_the_author_vouches(void **state)
{
	struct sw_op ops[] = {test_row_op("a", NULL, "1"), test_row_op("b", NULL, "2")};
	struct sw_incoming in[2];
	struct made m[2], other;
	size_t n_taken;
	struct pair p;

	(void)state;
	pair_open(&p);
	pair_make(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, &ops[0], 1, &m[0]);
	pair_make(&p, 0, MS(2001), &m[0].id, SW_MODE_MERGE, &ops[1], 1, &m[1]);
	pair_make(&p, 1, MS(2001), &m[0].id, SW_MODE_MERGE, &ops[1], 1, &other);
	p.a.env.now_ms = p.b.env.now_ms = 1790000003000;
	m[0].raw.p[m[0].raw.n - 1] ^= 1;
	for (size_t i = 0; i < 2; i++)
		in[i] = (struct sw_incoming){.commit = sw_buf_view(&m[i].raw),
					     .changeset = sw_buf_view(&m[i].changeset)};
	assert_int_equal(test_give(&p.a, &m[0]).taken, SW_TAKEN_REFUSED);

	/* Not that of another author, */
	in[1] = (struct sw_incoming){.commit = sw_buf_view(&other.raw),
				     .changeset = sw_buf_view(&other.changeset)};
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_REFUSED);
	assert_int_equal(in[1].taken, SW_TAKEN_ORPHAN);

	/* nor one that is wrong itself. */
	in[1] = (struct sw_incoming){.commit = sw_buf_view(&m[1].raw),
				     .changeset = sw_buf_view(&m[1].changeset)};
	m[1].raw.p[m[1].raw.n - 1] ^= 1;
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_REFUSED);
	m[1].raw.p[m[1].raw.n - 1] ^= 1;

	/* They are taken together or not at all: one alone could not be passed on. */
	TEST_OK(sw_db_receive(p.b.db, in, 1, 1, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in[0].taken, SW_TAKEN_UNPROVEN);
	assert_int_equal(n_taken, 0);
	p.b.env.now_ms =
	    1790000002000 - SW_SKEW_MS; /* the first of them is due, the other is not */
	for (size_t i = 0; i < 2; i++) {
		TEST_OK(sw_db_receive(p.b.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
		assert_int_equal(n_taken, 2 * i);
		assert_int_equal(in[0].taken, i ? SW_TAKEN : SW_TAKEN_UNPROVEN);
		p.b.env.now_ms = 1790000003000;
	}
	TEST_OK(sw_db_receive(p.a.db, in, 2, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 2);
	assert_true(pair_same_head(&p));
	pair_close(&p); /* verifies both stores */
	made_fini(&m[0]);
	made_fini(&m[1]);
	made_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_commit_from_the_future_waits),
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
