/*
 * Cases of grants, revocations, floors and successions, as test_cases.c has them for rows.
 */
#include "core/db_internal.h"
#include "tests/lib/pair.h"

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
	ops[0] = pair_grant_op(&p, 0, SW_ROLE_ADMIN);
	admin = pair_govern(&p, ops, 1);
	ops[0] = pair_revoke_op(&p, 0);
	ops[1] = pair_grant_op(&p, 0, SW_ROLE_WRITER);
	p.a.env.now_ms += 5000;
	late = pair_govern(&p, ops, 2);
	assert_role(&p, 0, SW_ROLE_WRITER);
	ops[0] = pair_revoke_op(&p, 4);
	pair_govern(&p, ops, 1);
	pair_add(&p, 0, MS(1500), &admin, SW_MODE_CONTROL, pair_grant_op(&p, 4, SW_ROLE_ADMIN));
	assert_role(&p, 4, 0);
	/* As a writer it goes on, once it has seen that it is one. */
	pair_add(&p, 0, MS(9000), &admin, SW_MODE_MERGE, test_row_op("r", NULL, "not seen"));
	test_assert_text(&p.a, "t", "r", NULL);
	pair_add(&p, 0, MS(9000), &late, SW_MODE_MERGE, test_row_op("r", NULL, "seen"));
	pair_sync(&p);
	test_assert_text(&p.a, "t", "r", "seen");
	test_assert_text(&p.b, "t", "r", "seen");
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
		ops[0] = pair_grant_op(&p, i, SW_ROLE_ADMIN);
		admins = pair_govern(&p, ops, 1);
	}
	x = pair_add(&p, 0, MS(2000), &admins, SW_MODE_CONTROL, pair_revoke_op(&p, 1));
	assert_role(&p, 1, 0);
	assert_role(&p, 0, SW_ROLE_ADMIN);
	y = pair_add(&p, 1, MS(1900), &admins, SW_MODE_CONTROL, pair_revoke_op(&p, 0));
	assert_role(&p, 0, 0);
	assert_role(&p, 1, 0);
	assert_int_equal(test_outcome(&p.a, &x), SW_VOID);
	assert_int_equal(test_outcome(&p.b, &y), SW_VOID);
	/* A senior's word decides. */
	ops[0] = pair_revoke_op(&p, 1);
	ops[0].names_stand = true;
	pair_govern(&p, ops, 1);
	assert_role(&p, 0, SW_ROLE_ADMIN);
	assert_role(&p, 1, 0);
	assert_int_equal(test_outcome(&p.a, &x), SW_APPLIED);
	assert_int_equal(test_outcome(&p.b, &y), SW_VOID);
	pair_close(&p);
}

static void case_10_a_stolen_key_is_revoked_from_its_last_good_commit_on(void **state)
{
	struct sw_hash good, bad;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	good = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "good"));
	bad = pair_add(&p, 0, MS(2001), &good, SW_MODE_MERGE, test_row_op("r", "good", "bad"));
	pair_sync(&p);
	test_assert_text(&p.b, "t", "r", "bad");
	op = pair_revoke_op(&p, 0);
	op.names_stand = true;
	op.stand = sw_hash_view(&good);
	p.a.env.now_ms += 5000;
	pair_govern(&p, &op, 1);
	pair_sync(&p);
	test_assert_text(&p.a, "t", "r", "good");
	test_assert_text(&p.b, "t", "r", "good");
	assert_int_equal(test_outcome(&p.b, &good), SW_APPLIED);
	assert_int_equal(test_outcome(&p.b, &bad), SW_VOID); /* the admin had received it */
	pair_close(&p);
}

static void case_10_of_a_grant_and_a_revocation_at_once_the_grant_loses(void **state)
{
	struct sw_hash admin;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = pair_grant_op(&p, 1, SW_ROLE_ADMIN);
	admin = pair_govern(&p, &op, 1);
	op = pair_revoke_op(&p, 2);
	pair_govern(&p, &op, 1);
	pair_add(&p, 1, MS(9000), &admin, SW_MODE_CONTROL, pair_grant_op(&p, 2, SW_ROLE_WRITER));
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
	bad = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "bad"));
	honest = pair_add(&p, 1, MS(2001), &bad, SW_MODE_MERGE, test_row_op("r", "bad", "honest"));
	op = pair_revoke_op(&p, 0);
	op.names_stand = true;
	pair_govern(&p, &op, 1);
	pair_sync(&p);
	assert_int_equal(test_outcome(&p.b, &bad), SW_VOID);
	assert_int_equal(test_outcome(&p.b, &honest), SW_APPLIED);
	test_assert_text(&p.b, "t", "r", "honest");
	/* A strict one met what its author saw no more. */
	bad = pair_add(&p, 0, MS(2002), &p.grant, SW_MODE_MERGE, test_row_op("s", NULL, "bad"));
	honest = pair_add(&p, 1, MS(2003), &bad, SW_MODE_STRICT, test_row_op("s", "bad", "honest"));
	pair_sync(&p);
	assert_int_equal(test_outcome(&p.a, &bad), SW_VOID);
	assert_int_equal(test_outcome(&p.b, &honest), SW_DROPPED);
	test_assert_text(&p.b, "t", "s", NULL);
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
	ops[0] = pair_revoke_op(&p, 0);
	ops[1] = pair_revoke_op(&p, 1);
	if (sw_op_cmp(&ops[0], &ops[1]) > 0) {
		ops[1] = pair_revoke_op(&p, 0);
		ops[0] = pair_revoke_op(&p, 1);
	}
	pair_govern(&p, ops, 2);
	pair_sync(&p);
	sw_db_head(p.a.db, &before);
	last = p.grant;
	for (size_t i = 0; i < 20; i++)
		last = pair_add(&p, i % 2, MS(3000 + i), &last, SW_MODE_MERGE,
				test_row_op("r", NULL, "again"));
	sw_db_head(p.a.db, &after);
	assert_true(sw_head_eq(&before, &after));
	pair_sync(&p);
	test_verify(&p.a);
	/* A new commit here does not stand on them, one of somebody who does not know better does.
	 */
	test_put(&p.a, "t", "s", "1");
	sw_db_head(p.a.db, &after);
	assert_int_equal(after.count, before.count + 1);
	on_it = pair_add(&p, 2, MS(4000), &last, SW_MODE_MERGE, test_row_op("u", NULL, "1"));
	sw_db_head(p.a.db, &after);
	assert_int_equal(after.count, before.count + 22);
	pair_sync(&p);
	assert_int_equal(test_outcome(&p.b, &last), SW_VOID);
	assert_int_equal(test_outcome(&p.b, &on_it), SW_APPLIED);
	test_assert_text(&p.b, "t", "r", NULL);
	pair_close(&p);
}

static void a_floor_ends_what_was_signed_before_and_not_seen(void **state)
{
	struct sw_op op = {.kind = SW_OP_FLOOR};
	struct sw_hash seen, late, control;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = pair_grant_op(&p, 1, SW_ROLE_ADMIN);
	control = pair_govern(&p, &op, 1);
	seen = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "seen"));
	op = (struct sw_op){.kind = SW_OP_FLOOR};
	p.a.env.now_ms += 5000;
	pair_govern(&p, &op, 1);
	late = pair_add(&p, 0, MS(2001), &seen, SW_MODE_MERGE, test_row_op("r", "seen", "late"));
	pair_add(&p, 1, MS(2002), &control, SW_MODE_CONTROL, pair_grant_op(&p, 4, SW_ROLE_ADMIN));
	assert_role(&p, 4, SW_ROLE_ADMIN); /* members are not data */
	test_assert_text(&p.a, "t", "r", "seen");
	assert_int_equal(test_outcome(&p.a, &late), SW_OUT);
	pair_add(&p, 0, MS(9000), &late, SW_MODE_MERGE, test_row_op("s", NULL, "after it"));
	pair_sync(&p);
	assert_int_equal(test_outcome(&p.b, &late), SW_VOID);
	test_assert_text(&p.b, "t", "r", "seen");
	test_assert_text(&p.b, "t", "s", "after it");
	pair_close(&p);
}

/* A row comes back with its table when a floor goes, and is deleted, both in one batch: the table stays. */
static void a_table_that_comes_back_stays(void **state)
{
	struct sw_hash control, put;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = pair_grant_op(&p, 1, SW_ROLE_ADMIN);
	control = pair_govern(&p, &op, 1);
	put = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "1"));
	pair_sync(&p);
	pair_add(&p, 1, MS(3000), &control, SW_MODE_CONTROL, (struct sw_op){.kind = SW_OP_FLOOR});
	pair_sync(&p);
	assert_int_equal(test_outcome(&p.b, &put), SW_OUT);
	p.a.env.now_ms += 5000;
	op = pair_revoke_op(&p, 1);
	op.names_stand = true;
	pair_govern(&p, &op, 1);
	test_assert_text(&p.a, "t", "r", "1");
	pair_add(&p, 0, MS(4000), &put, SW_MODE_MERGE, test_row_op("r", "1", NULL));
	assert_true(test_has_table(&p.a, "t"));
	assert_false(test_has_table(&p.b, "t"));
	test_pull(&p.b, &p.a, 100);
	assert_true(test_has_table(&p.b, "t"));
	test_assert_text(&p.b, "t", "r", NULL);
	assert_true(pair_same_head(&p));
	test_verify(&p.b); /* folds all of it anew */
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
	op = pair_grant_op(&p, 0, SW_ROLE_ADMIN);
	admin = pair_govern(&p, &op, 1);
	/* By an admin and, at the same time, by the creator: so its rank is that of the former, who
	 * could not make it an admin. */
	lesser =
	    pair_add(&p, 0, MS(2000), &admin, SW_MODE_CONTROL, pair_grant_op(&p, 1, SW_ROLE_ADMIN));
	w = pair_add(&p, 1, MS(2010), &lesser, SW_MODE_CONTROL,
		     pair_grant_op(&p, 2, SW_ROLE_ADMIN));
	assert_role(&p, 2, SW_ROLE_ADMIN);
	op = pair_grant_op(&p, 1, SW_ROLE_ADMIN);
	sw_changeset_encode(SW_MODE_CONTROL, &op, 1, &m.changeset, NULL);
	pair_seal_by(&p, sw_db_identity(p.a.db), MS(2005), &admin, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	assert_role(&p, 1, SW_ROLE_ADMIN);
	assert_role(&p, 2, SW_ROLE_WRITER);
	assert_int_equal(test_outcome(&p.a, &w), SW_OUT);
	pair_add(&p, 2, MS(2100), &w, SW_MODE_MERGE, test_row_op("r", NULL, "writers write"));
	pair_sync(&p);
	test_assert_text(&p.b, "t", "r", "writers write");
	/* A floor that is void, and in one store alone, changes nothing. */
	op = (struct sw_op){.kind = SW_OP_FLOOR};
	pair_make(&p, 1, MS(2200), &lesser, SW_MODE_CONTROL, &op, 1, &m);
	assert_true(test_give(&p.a, &m).is_out);
	made_fini(&m);
	assert_true(pair_same_head(&p));
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
	revoke.op = pair_revoke_op(&p, 0);
	p.a.env.fail_in = 1;
	p.a.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_commit(p.a.db, &w, &id), SW_ENOSPC);
	p.a.env.fail_in = 0;
	/* Other commits have its number now. */
	id = pair_add(&p, 0, MS(2000), &p.grant, SW_MODE_MERGE, test_row_op("r", NULL, "1"));
	pair_add(&p, 0, MS(2010), &id, SW_MODE_MERGE, test_row_op("s", NULL, "2"));
	p.a.env.now_ms += 5000;
	op = pair_revoke_op(&p, 4);
	pair_govern(&p, &op, 1);
	assert_role(&p, 0, SW_ROLE_WRITER);
	assert_role(&p, 4, 0);
	test_assert_text(&p.a, "t", "r", "1");
	test_assert_text(&p.b, "t", "s", "2");
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
		op = test_row_op(key, NULL, "x");
		pair_make(p, 0, MS(100 + i), parent, SW_MODE_MERGE, &op, 1, &m);
		if (m.id.b[0] < 16) {
			assert_int_equal(test_give(&p->a, &m).taken, SW_TAKEN);
			assert_int_equal(test_give(&p->b, &m).taken, SW_TAKEN);
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
	first = pair_govern(&p, &op, 1);
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
	test_assert_text(&p.a, "t", "mine", "2");
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
	op = pair_revoke_op(&p, 0);
	pair_govern(&p, &op, 1);
	p.a.env.env.checkpoint_commits = 10;
	last = p.grant;
	for (size_t i = 0; i < 25; i++) {
		last = pair_add(&p, 0, MS(3000 + i), &last, SW_MODE_MERGE,
				test_row_op("r", NULL, "again"));
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

/* Nor does it keep what comes before and after it from being folded again when a store is opened.
 */
static void what_is_not_in_the_line_may_stand_between_what_is(void **state)
{
	struct sw_hash in, out;
	struct sw_head before, after;
	struct sw_op op;
	struct pair p;

	(void)state;
	pair_open(&p);
	op = pair_revoke_op(&p, 0);
	pair_govern(&p, &op, 1);
	p.a.env.env.checkpoint_commits = UINT64_MAX;
	in = out = p.grant;
	for (size_t i = 0; i < 3; i++) {
		in = pair_add(&p, 1, MS(3000 + 2 * i), &in, SW_MODE_MERGE,
			      test_row_op("r", NULL, "in"));
		out = pair_add(&p, 0, MS(3001 + 2 * i), &out, SW_MODE_MERGE,
			       test_row_op("r", NULL, "out"));
	}
	sw_db_head(p.a.db, &before);
	test_crash(&p.a);
	sw_db_head(p.a.db, &after);
	assert_true(sw_head_eq(&before, &after));
	pair_add(&p, 1, MS(4000), &in, SW_MODE_MERGE, test_row_op("s", NULL, "last"));
	test_crash(&p.a);
	test_assert_text(&p.a, "t", "r", "in");
	test_assert_text(&p.a, "t", "s", "last");
	pair_close(&p);
}

/* Members, tags, records and resolutions are part of the state: who differs in one has another
 * head. */
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
	test_assert_text(&p.a, "t", "copy", "with the old key");
	test_assert_text(&copy, "t", "b", "with the new key");
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
	struct sw_op ops[2] = {{.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN},
			       {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER}};
	struct sw_op row = test_row_op("r", NULL, "of the next one");
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
	pair_make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, &ops[0], 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* admin */
	made_fini(&m);
	ops[0].role = SW_ROLE_WRITER;
	ops[0].member.b[0] = 0;
	ops[1].member.b[0] = 1;
	pair_make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, ops, 2, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* to two */
	made_fini(&m);
	ops[0].member = *sw_identity_key(next);
	sw_identity_free(p.authors[4]);
	p.authors[4] = stranger;
	pair_make(&p, 4, MS(10), &p.grant, SW_MODE_CONTROL, ops, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* by nobody */
	made_fini(&m);
	pair_make(&p, 0, MS(10), &p.grant, SW_MODE_CONTROL, ops, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	succession = m.id;
	made_fini(&m);
	sw_identity_free(p.authors[0]);
	p.authors[0] = next;
	pair_make(&p, 0, MS(11), &p.grant, SW_MODE_MERGE, &row, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED); /* not below it */
	made_fini(&m);
	pair_make(&p, 0, MS(11), &succession, SW_MODE_MERGE, &row, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

/* Who may not write is refused, and so is who is let in only somewhere else in the graph. */
static void a_grant_counts_for_what_comes_after_it(void **state)
{
	struct sw_op op = test_row_op("r", NULL, "1");
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
	pair_make(&p, 4, MS(2000), &reader, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	grant.op.role = SW_ROLE_WRITER;
	TEST_OK(sw_db_commit(p.a.db, &w, &writer));
	pair_make(&p, 4, MS(2000), &reader, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	pair_make(&p, 4, MS(2000), &writer, SW_MODE_MERGE, &op, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN);
	made_fini(&m);
	/* A writer is no admin. */
	op = (struct sw_op){.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN, .member = grant.op.member};
	pair_make(&p, 4, MS(2001), &writer, SW_MODE_CONTROL, &op, 1, &m);
	assert_int_equal(test_give(&p.a, &m).taken, SW_TAKEN_REFUSED);
	made_fini(&m);
	pair_sync(&p);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(case_10_a_demoted_admin_backdates_a_grant),
	    cmocka_unit_test(case_10_equals_revoke_each_other),
	    cmocka_unit_test(case_10_a_stolen_key_is_revoked_from_its_last_good_commit_on),
	    cmocka_unit_test(case_10_of_a_grant_and_a_revocation_at_once_the_grant_loses),
	    cmocka_unit_test(case_11_honest_commits_on_void_ones_stay),
	    cmocka_unit_test(case_12_the_line_does_not_grow),
	    cmocka_unit_test(a_floor_ends_what_was_signed_before_and_not_seen),
	    cmocka_unit_test(a_table_that_comes_back_stays),
	    cmocka_unit_test(case_10_ranks_count_without_revocations_too),
	    cmocka_unit_test(a_first_revocation_that_failed_is_forgotten),
	    cmocka_unit_test(of_many_tips_those_that_a_commit_relies_on_are_parents),
	    cmocka_unit_test(what_is_not_in_the_line_counts_for_checkpoints),
	    cmocka_unit_test(what_is_not_in_the_line_may_stand_between_what_is),
	    cmocka_unit_test(case_19_a_copied_store_takes_a_new_key),
	    cmocka_unit_test(a_key_that_was_not_let_in_is_forgotten),
	    cmocka_unit_test(a_succession_gives_no_more_than_its_author_has),
	    cmocka_unit_test(a_grant_counts_for_what_comes_after_it),
	};

	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
