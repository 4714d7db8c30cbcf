/*
 * What is settled: random histories are compared with the definition (core/FORMAT.md, "Settled"),
 * and cases 3 and 9 of the rules are played through. Who has seen what is also compared on graphs
 * alone.
 */
#include "core/hlc.h"
#include "core/history.h"
#include "core/members.h"
#include "core/seen.h"
#include "core/settled_internal.h"
#include "core/watermarks.h"
#include "tests/lib/pair.h"

/* Who has seen what */

#define GRAPH_COMMITS 300
#define GRAPH_COLUMNS 70 /* more than a word of bits */

struct graph {
	uint64_t parents[GRAPH_COMMITS][3];
	size_t n_parents[GRAPH_COMMITS];
	bool seen[GRAPH_COLUMNS][GRAPH_COMMITS];
	size_t n;
};

/* Commit i has the number base + i; some parents stand before the window. */
static void grow(struct graph *g, struct sw_seen *s, uint64_t base, struct rng *rng)
{
	size_t at = g->n++;

	g->n_parents[at] = 1 + rng_below(rng, 3);
	for (size_t i = 0; i < g->n_parents[at]; i++)
		g->parents[at][i] = base + at - 1 - rng_below(rng, (uint32_t)(at < 8 ? at + 1 : 8));
	TEST_OK(sw_seen_add(s, g->parents[at], g->n_parents[at]));
}

static void see(struct graph *g, size_t column, size_t at, uint64_t base)
{
	g->seen[column][at] = true;
	for (size_t i = at + 1; i-- > 0;)
		for (size_t k = 0; g->seen[column][i] && k < g->n_parents[i]; k++)
			if (g->parents[i][k] >= base)
				g->seen[column][g->parents[i][k] - base] = true;
}

static void assert_same(const struct graph *g, const struct sw_seen *s, uint64_t base,
			size_t n_required)
{
	for (size_t i = 0; i < g->n; i++) {
		bool all = true;

		for (size_t c = 0; c < GRAPH_COLUMNS; c++) {
			assert_int_equal(sw_seen_by(s, c, base + i), g->seen[c][i]);
			all &= c >= n_required || g->seen[c][i];
		}
		assert_int_equal(sw_seen_by_all(s, base + i), all);
	}
}

static void seen_is_what_a_walk_finds(void **state)
{
	struct rng rng = {test_seed()};
	static struct graph g;

	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t base = 1 + rng_below(&rng, 2) * 0xfffffff0u;
		size_t n_required = rng_below(&rng, GRAPH_COLUMNS + 1);
		struct sw_seen s = {0};

		memset(&g, 0, sizeof(g));
		TEST_OK(sw_seen_init(&s, base, GRAPH_COLUMNS));
		for (size_t c = 0; c < n_required; c++)
			sw_seen_require(&s, c);
		while (g.n < GRAPH_COMMITS) {
			size_t column = rng_below(&rng, 4) ? rng_below(&rng, 3)
							   : rng_below(&rng, GRAPH_COLUMNS),
			       by;

			switch (rng_below(&rng, 40)) {
			case 0:
				sw_seen_clear(&s, column);
				memset(g.seen[column], 0, sizeof(g.seen[column]));
				break;
			case 1:
				by = rng_below(&rng, GRAPH_COLUMNS);
				sw_seen_limit(&s, column, by);
				for (size_t i = 0; i < g.n; i++)
					g.seen[column][i] &= g.seen[by][i];
				break;
			default:
				grow(&g, &s, base, &rng);
				if (rng_below(&rng, 2)) {
					size_t at = rng_below(&rng, (uint32_t)g.n);

					TEST_OK(sw_seen_mark(&s, column, base + at));
					see(&g, column, at, base);
				}
			}
		}
		assert_same(&g, &s, base, n_required);
		sw_seen_fini(&s);
	}
}

static void what_is_done_goes(void **state)
{
	struct sw_seen s = {0};

	(void)state;
	TEST_OK(sw_seen_init(&s, 1, 2));
	sw_seen_require(&s, 1);
	for (uint64_t i = 1; i <= 3000; i++)
		TEST_OK(sw_seen_add(&s, &(uint64_t){i - 1}, i > 1));
	TEST_OK(sw_seen_mark(&s, 0, 2500));
	for (uint64_t i = 1; i <= 2000; i++)
		if (i != 1900)
			sw_seen_done(&s, i);
	sw_seen_shrink(&s);
	assert_int_equal(s.base, 1900);
	assert_int_equal(sw_seen_next(&s), 3001);
	assert_true(sw_seen_by_all(&s, 7));
	assert_true(sw_seen_by(&s, 0, 1950) && sw_seen_by(&s, 0, 2500) && !sw_seen_by(&s, 0, 2501));
	assert_false(sw_seen_by_all(&s, 2000));
	TEST_OK(sw_seen_mark(&s, 1, 3000));
	for (uint64_t i = 1900; i <= 3000; i++)
		assert_true(sw_seen_by_all(&s, i));
	sw_seen_fini(&s);
}

/* Stores */

static struct sw_settled settled(struct test_db *t)
{
	struct sw_settled out;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_settled(t->db, &r, &out));
	sw_reader_end(&r);
	return out;
}

static uint64_t count(struct test_db *t)
{
	struct sw_head head;

	sw_db_head(t->db, &head);
	return head.count;
}

/* All that `from` has goes to `to`; `to` must take what is new, or wait for what it tells of. */
static size_t tell(struct test_db *to, struct test_db *from)
{
	struct sw_incoming_watermark in = {.from = 1};
	uint64_t after = 0;
	size_t n = 0, n_new;
	SW_BUF out = {0};
	struct sw_rd r;

	TEST_OK(sw_db_watermarks_after(from->db, 1, SIZE_MAX, &after, &out));
	r = sw_rd(sw_buf_view(&out));
	while (sw_rd_left(&r) > 0) {
		in.bytes = sw_rd_bytes(&r, SW_WATERMARK_SIZE_MAX);
		TEST_OK(sw_db_take_watermarks(to->db, &in, 1, &n_new));
		assert_int_not_equal(in.taken, SW_WATERMARK_REFUSED);
		assert_int_equal(n_new, in.taken == SW_WATERMARK_NEW);
		n += n_new;
	}
	assert_int_equal(sw_rd_done(&r), 0);
	return n;
}

static void sign(struct test_db *t)
{
	t->env.now_ms += 1000;
	TEST_OK(sw_db_sign_watermark(t->db));
}

/* Who holds up `upto`, or the first that is not settled; as many as there are. */
static size_t holdups(struct test_db *t, const struct sw_order *upto, struct sw_key *first)
{
	struct sw_holdup *v;
	struct sw_reader r;
	size_t n;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_holdups(t->db, &r, upto, &v, &n));
	sw_reader_end(&r);
	if (n > 0)
		*first = v[0].key;
	free(v);
	return n;
}

/* Its commits count as sent from now on. */
static void release(struct test_db *t)
{
	TEST_OK(sw_db_release(t->db, UINT64_MAX));
}

static void reopen(struct test_db *t)
{
	sw_db_close(t->db);
	TEST_OK(sw_db_open(t->dir, &t->env.env, &t->db));
	release(t);
}

static void take_out(struct test_db *t, const struct sw_key *key, bool names_stand)
{
	struct sw_write_op op = {
	    .op = {.kind = SW_OP_REVOKE, .member = *key, .names_stand = names_stand}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
}

static void grant(struct test_db *t, const struct sw_key *key, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
}

/* `a` made the database, `b` may write in it and has it. */
static void open_two(struct test_db *a, struct test_db *b)
{
	test_db_create(a, 1);
	test_db_clone(b, a, 2);
	release(a);
	release(b);
	test_grant(a, b);
	test_pull(b, a, 100);
}

static void who_writes_alone_is_settled(void **state)
{
	struct test_db a;

	(void)state;
	test_db_create(&a, 1);
	for (int i = 0; i < 5; i++)
		test_put(&a, "t", "r", i % 2 ? "x" : "y");
	assert_int_equal(settled(&a).count, 6);
	assert_int_equal(sw_db_sign_watermark(a.db), 0); /* nobody wants to hear it */
	reopen(&a);
	assert_int_equal(settled(&a).count, 6);
	test_put(&a, "t", "r", "z");
	assert_int_equal(settled(&a).count, 7);
	test_db_close(&a);
}

static void settled_is_what_every_writer_has_seen(void **state)
{
	struct test_db a, b;
	struct sw_key who;

	(void)state;
	open_two(&a, &b);
	assert_int_equal(settled(&a).count, 2); /* the grant has it all below it */
	test_put(&a, "t", "r", "one");
	assert_int_equal(settled(&a).count, 2);
	assert_int_equal(holdups(&a, NULL, &who), 1);
	assert_true(sw_key_eq(&who, sw_db_key(b.db)));
	test_pull(&b, &a, 100);
	sign(&b);
	assert_int_equal(sw_db_sign_watermark(b.db), 0); /* it would say the same */
	assert_int_equal(settled(&b).count, 1); /* a has told b nothing: it began the database */
	assert_int_equal(tell(&a, &b), 1);
	assert_int_equal(tell(&a, &b), 0);
	assert_int_equal(settled(&a).count, 3);
	assert_int_equal(holdups(&a, NULL, &who), 0);
	sign(&a);
	assert_int_equal(tell(&b, &a), 1);
	assert_int_equal(settled(&b).count, 3);
	test_put(&b, "t", "r", "two");
	reopen(&a);
	reopen(&b);
	assert_int_equal(settled(&a).count, 3);
	assert_int_equal(settled(&b).count, 3);
	assert_int_equal(holdups(&b, NULL, &who), 1);
	assert_true(sw_key_eq(&who, sw_db_key(a.db)));
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
}

static void a_watermark_waits_for_what_it_tells_of(void **state)
{
	struct test_db a, b;

	(void)state;
	open_two(&a, &b);
	test_put(&b, "t", "r", "one");
	sign(&b);
	assert_int_equal(tell(&a, &b), 0);
	assert_int_equal(settled(&a).count, 2);
	test_pull(&a, &b, 100);
	assert_int_equal(tell(&a, &b), 1);
	assert_int_equal(settled(&a).count, 3);
	test_db_close(&a);
	test_db_close(&b);
}

static void an_old_one_changes_nothing(void **state)
{
	struct sw_incoming_watermark in = {.from = 1};
	struct test_db a, b;
	uint64_t after = 0;
	size_t n_new;
	SW_BUF old = {0};
	struct sw_rd r;

	(void)state;
	open_two(&a, &b);
	sign(&b);
	TEST_OK(sw_db_watermarks_after(b.db, 9, SIZE_MAX, &after, &old));
	test_put(&a, "t", "r", "one");
	test_pull(&b, &a, 100);
	sign(&b);
	assert_int_equal(tell(&a, &b), 1);
	assert_int_equal(settled(&a).count, 3);
	r = sw_rd(sw_buf_view(&old));
	in.bytes = sw_rd_bytes(&r, SW_WATERMARK_SIZE_MAX);
	TEST_OK(sw_db_take_watermarks(a.db, &in, 1, &n_new));
	assert_int_equal(in.taken, SW_WATERMARK_OLD);
	reopen(&a);
	assert_int_equal(settled(&a).count, 3);
	test_db_close(&a);
	test_db_close(&b);
}

static void a_forged_one_is_refused(void **state)
{
	struct sw_incoming_watermark in = {.from = 1};
	struct test_db a, b;
	uint64_t after = 0;
	size_t n_new, begin;
	SW_BUF bytes = {0};

	(void)state;
	open_two(&a, &b);
	sign(&b);
	TEST_OK(sw_db_watermarks_after(b.db, 9, SIZE_MAX, &after, &bytes));
	begin = bytes.n - 200 > 127 ? 2 : 1; /* of its length */
	bytes.p[bytes.n - 1] ^= 1;
	in.bytes = sw_view(bytes.p + begin, bytes.n - begin);
	TEST_OK(sw_db_take_watermarks(a.db, &in, 1, &n_new));
	assert_int_equal(in.taken, SW_WATERMARK_REFUSED);
	in.bytes.n--;
	TEST_OK(sw_db_take_watermarks(a.db, &in, 1, &n_new));
	assert_int_equal(in.taken, SW_WATERMARK_REFUSED);
	test_db_close(&a);
	test_db_close(&b);
}

static void what_fails_changes_nothing(void **state)
{
	struct test_db a, b;

	(void)state;
	open_two(&a, &b);
	test_put(&a, "t", "r", "one");
	test_pull(&b, &a, 100);
	b.env.fail_in = 1;
	b.env.fail_rc = SW_ENOSPC;
	assert_int_equal(sw_db_sign_watermark(b.db), SW_ENOSPC);
	assert_int_equal(tell(&a, &b), 0);
	TEST_OK(sw_db_sign_watermark(b.db));
	assert_int_equal(tell(&a, &b), 1);
	assert_int_equal(settled(&a).count, 3);
	test_db_close(&a);
	test_db_close(&b);
}

static void what_was_sent_to_nobody_is_not_settled(void **state)
{
	struct test_db a, b;
	uint64_t wall_ms;
	size_t n;

	(void)state;
	open_two(&a, &b);
	TEST_OK(sw_db_release(a.db, 0));
	a.env.now_ms += 3600000;
	test_put(&a, "t", "r", "one");
	grant(&a, &(struct sw_key){{7}}, SW_ROLE_READER);
	assert_int_equal(sw_db_sign_watermark(a.db), SW_EAGAIN);
	/* The other could not have seen it, but for a grant. */
	test_grant(&a, &b);
	assert_int_equal(settled(&a).count, 2);
	a.env.now_ms -= 3600000;
	wall_ms = test_env_wall(&a.env);
	TEST_OK(sw_db_resign(a.db, wall_ms, &n));
	assert_int_equal(n, 3);
	assert_int_equal(settled(&a).count, 2);
	release(&a);
	assert_int_equal(sw_db_sign_watermark(a.db), 1);
	test_pull(&b, &a, 100);
	sign(&b);
	assert_int_equal(tell(&a, &b), 1);
	assert_int_equal(settled(&a).count, 5);
	assert_int_equal(tell(&b, &a), 1);
	assert_int_equal(settled(&b).count, 5);
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
}

/* The first that is withheld may be one that was written after the reader began. */
static void a_reader_need_not_have_what_is_withheld(void **state)
{
	struct sw_settled out;
	struct test_db a, b;
	struct sw_reader r;

	(void)state;
	open_two(&a, &b);
	sign(&b);
	assert_int_equal(tell(&a, &b), 1);
	TEST_OK(sw_db_release(a.db, 0));
	sw_db_close(a.db);
	TEST_OK(sw_db_open(a.dir, &a.env.env, &a.db));
	TEST_OK(sw_reader_begin(a.db, &r));
	a.env.now_ms += 3600000;
	test_put(&a, "t", "r", "one");
	assert_true(sw_db_withheld(a.db) > 0);
	TEST_OK(sw_db_settled(a.db, &r, &out));
	assert_int_equal(out.count, 2);
	sw_reader_end(&r);
	assert_int_equal(settled(&a).count, 2);
	test_db_close(&a);
	test_db_close(&b);
}

/* Alone, its clock was wrong; nobody has seen any of it when it is signed again. */
static void who_was_alone_may_sign_again(void **state)
{
	struct test_db a;
	size_t n;

	(void)state;
	test_db_create(&a, 1);
	a.env.now_ms += 3600000;
	test_put(&a, "t", "r", "one");
	test_put(&a, "t", "r", "two");
	assert_int_equal(settled(&a).count, 3);
	a.env.now_ms -= 3600000;
	TEST_OK(sw_db_resign(a.db, test_env_wall(&a.env), &n));
	assert_int_equal(n, 2);
	assert_int_equal(settled(&a).count, 3);
	grant(&a, &(struct sw_key){{7}}, SW_ROLE_READER);
	assert_int_equal(settled(&a).count, 1); /* there is somebody who has seen none of it */
	release(&a);
	test_put(&a, "t", "r", "three");
	assert_int_equal(settled(&a).count, 5);
	test_db_close(&a);
}

/* Rules */

static enum sw_outcome outcome_of(struct test_db *t, const struct sw_hash *id)
{
	enum sw_outcome outcome;
	struct sw_reader r;
	uint64_t seq;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_seq(r.txn, id, &seq));
	TEST_OK(sw_history_outcome(r.txn, seq, &outcome));
	sw_reader_end(&r);
	return outcome;
}

static struct sw_hash put_strict(struct test_db *t, const char *text)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str("r"),
					.old = test_current(t, "t", "r"),
					.row = {.mode = 0644, .mtime_ns = 1000}},
				 .content = sw_view_str(text)};
	struct sw_write w = {.mode = SW_MODE_STRICT, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
	return id;
}

static void put_hundred(struct test_db *t, struct sw_hash *ids)
{
	for (int i = 0; i < 100; i++) {
		char text[16];

		snprintf(text, sizeof(text), "s%d", i);
		ids[i] = put_strict(t, text);
	}
}

/* Whoever has not told that it has them can still write below them; who has told cannot, whatever
 * its clock. */
static void case_03_what_is_settled_is_not_dropped(void **state)
{
	struct sw_hash ids[100], late;

	(void)state;
	for (int is_settled = 0; is_settled < 2; is_settled++) {
		struct test_db a, b;

		open_two(&a, &b);
		test_put(&a, "t", "r", "s");
		test_pull(&b, &a, 100);
		a.env.now_ms += 5000;
		put_hundred(&a, ids);
		if (is_settled) {
			test_pull(&b, &a, 100);
			sign(&b);
			assert_int_equal(tell(&a, &b), 1);
			b.env.now_ms -= 3600000;
		} else {
			b.env.now_ms += 1000;
		}
		assert_int_equal(settled(&a).count, is_settled ? count(&a) : 2);
		late = put_strict(&b, "late");
		test_pull(&a, &b, 100);
		assert_int_equal(outcome_of(&a, &late), SW_APPLIED);
		for (int i = 0; i < 100; i++)
			assert_int_equal(outcome_of(&a, &ids[i]),
					 is_settled ? SW_APPLIED : SW_DROPPED);
		test_db_close(&a);
		test_db_close(&b);
	}
}

static void case_09_members_who_come_do_not_unsettle(void **state)
{
	const struct sw_key reader = {{7}};
	struct test_db a, b, c;
	struct sw_key who;

	(void)state;
	open_two(&a, &b);
	test_put(&a, "t", "r", "one");
	test_pull(&b, &a, 100);
	sign(&a);
	sign(&b);
	tell(&a, &b);
	tell(&b, &a);
	assert_int_equal(settled(&a).count, 3);
	grant(&a, &reader, SW_ROLE_READER);
	assert_int_equal(settled(&a).count, 3);
	test_db_clone(&c, &a, 3);
	test_grant(&a, &c);
	assert_int_equal(settled(&a).count, 3);
	reopen(&a);
	assert_int_equal(settled(&a).count, 3);
	test_pull(&b, &a, 100);
	assert_int_equal(settled(&b).count, 3);
	/* The new one holds nothing up that stands before its grant; what comes after it waits for
	 * it, not for the reader. */
	sign(&b);
	tell(&a, &b);
	assert_int_equal(settled(&a).count, 5);
	test_put(&a, "t", "r", "two");
	test_pull(&b, &a, 100);
	sign(&b);
	tell(&a, &b);
	assert_int_equal(settled(&a).count, 5);
	assert_int_equal(holdups(&a, NULL, &who), 1);
	assert_true(sw_key_eq(&who, sw_db_key(c.db)));
	/* Who is removed holds up nothing any more. */
	take_out(&a, sw_db_key(c.db), false);
	assert_int_equal(settled(&a).count, 6);
	test_pull(&b, &a, 100);
	sign(&b);
	tell(&a, &b);
	assert_int_equal(settled(&a).count, 7);
	assert_int_equal(settled(&a).count, count(&a));
	reopen(&a);
	assert_int_equal(settled(&a).count, 7);
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&c);
}

/* What an admin voids was settled, too: it leaves the line, or stands in it as void. */
static void a_revocation_reaches_into_what_is_settled(void **state)
{
	struct sw_settled before, after;
	struct test_db a, b;

	(void)state;
	open_two(&a, &b);
	test_put(&b, "t", "r", "one");
	test_put(&b, "t", "r", "two");
	test_pull(&a, &b, 100);
	sign(&b);
	tell(&a, &b);
	before = settled(&a);
	assert_int_equal(before.count, 4);
	take_out(&a, sw_db_key(b.db), true);
	after = settled(&a);
	assert_int_equal(after.count, count(&a));
	assert_true(sw_order_cmp(&after.last, &before.last) > 0);
	reopen(&a);
	assert_int_equal(settled(&a).count, count(&a));
	test_verify(&a);
	test_db_close(&a);
	test_db_close(&b);
}

/* What removed keys go on signing is never settled, and holds nothing in memory for that. */
static void what_is_out_does_not_hold_the_window(void **state)
{
	uint8_t secret[SW_KEY_SEED_SIZE] = {9};
	struct sw_op op = test_row_op("r", NULL, "by who is out");
	struct sw_identity *removed;
	struct sw_settled before;
	struct test_db a, b;
	struct sw_hash tip, *tips;
	struct sw_reader r;
	struct pair p;
	size_t n;

	(void)state;
	open_two(&a, &b);
	p = (struct pair){.a.db = a.db};
	TEST_OK(sw_identity_from_seed(secret, &removed));
	grant(&a, sw_identity_key(removed), SW_ROLE_WRITER);
	TEST_OK(sw_reader_begin(a.db, &r));
	TEST_OK(sw_db_tips(&r, &tips, &n));
	sw_reader_end(&r);
	tip = tips[0];
	free(tips);
	a.env.now_ms += 10;
	take_out(&a, sw_identity_key(removed), true);
	test_pull(&b, &a, 100);
	sign(&b);
	tell(&a, &b);
	before = settled(&a);
	a.env.now_ms += 5000;
	for (uint64_t i = 0; i < 3000; i++) {
		struct made m = {0};

		sw_changeset_encode(SW_MODE_MERGE, &op, 1, &m.changeset, NULL);
		pair_seal_by(&p, removed, MS(2000 + i), &tip, &m);
		assert_true(test_give(&a, &m).is_out);
		tip = m.id;
		made_fini(&m);
	}
	assert_int_equal(settled(&a).count, before.count);
	b.env.now_ms = a.env.now_ms += 5000;
	test_put(&b, "t", "r", "later");
	test_pull(&a, &b, 100);
	sign(&b);
	tell(&a, &b);
	assert_int_equal(settled(&a).count, before.count + 1);
	assert_true(a.db->settling->seen.n < 100);
	reopen(&a);
	assert_int_equal(settled(&a).count, before.count + 1);
	test_verify(&a);
	sw_identity_free(removed);
	test_db_close(&a);
	test_db_close(&b);
}

/* The store of b was put back as it was before it had told to have seen more. */
static void who_breaks_its_word_unsettles_nothing(void **state)
{
	struct test_db a, b, copy;
	struct sw_settled before, after;

	(void)state;
	open_two(&a, &b);
	test_db_dir(&copy, 5);
	copy.env.now_ms = b.env.now_ms;
	sw_db_close(b.db);
	{
		char command[600];

		snprintf(command, sizeof(command), "cp -r %s %s", b.dir, copy.dir);
		assert_int_equal(system(command), 0);
	}
	TEST_OK(sw_db_open(b.dir, &b.env.env, &b.db));
	TEST_OK(sw_db_open(copy.dir, &copy.env.env, &copy.db));
	release(&b);
	a.env.now_ms += 5000;
	test_put(&a, "t", "r", "one");
	test_pull(&b, &a, 100);
	sign(&b);
	tell(&a, &b);
	before = settled(&a);
	assert_int_equal(before.count, 3);
	test_put(&copy, "t", "r", "two"); /* stamped below a's */
	test_pull(&a, &copy, 100);
	after = settled(&a);
	assert_int_equal(sw_order_cmp(&before.last, &after.last), 0);
	assert_int_equal(after.count, 4);
	reopen(&a);
	assert_int_equal(settled(&a).count, 4);
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&copy);
}

/* Against the definition */

#define WORLD_DBS     4
#define WORLD_STEPS   400
#define WORLD_COMMITS 1000

struct past {
	bool has[WORLD_COMMITS]; /* by local number */
};

static void add_past(struct sw_txn *txn, struct past *p, uint64_t seq)
{
	struct sw_commit c;
	struct sw_view raw;
	uint64_t parent;

	assert_true(seq < WORLD_COMMITS);
	if (p->has[seq])
		return;
	p->has[seq] = true;
	TEST_OK(sw_history_get(txn, seq, &raw));
	TEST_OK(sw_commit_decode(raw, &c));
	for (size_t i = 0; i < c.n_parents; i++) {
		TEST_OK(sw_history_seq(txn, &c.parents[i], &parent));
		add_past(txn, p, parent);
	}
}

/* What a key has for certain seen. */
static void find_past(const struct sw_reader *r, const struct sw_member *m, struct past *p)
{
	struct sw_watermark w;
	struct sw_view v;
	uint64_t seq;

	memset(p, 0, sizeof(*p));
	if (sw_txn_get(r->txn, SW_SPACE_WATERMARKS, sw_view(m->key.b, SW_KEY_SIZE), &v) == 0) {
		TEST_OK(sw_watermark_decode(sw_view(v.p + 8, v.n - 8), &w));
		for (size_t i = 0; i < w.n_tips; i++) {
			struct sw_hash tip;

			sw_watermark_tip(&w, i, &tip);
			TEST_OK(sw_history_seq(r->txn, &tip, &seq));
			add_past(r->txn, p, seq);
		}
		return;
	}
	TEST_OK(sw_history_seq(r->txn, &m->grant, &seq));
	add_past(r->txn, p, seq);
}

static uint64_t definition(struct test_db *t)
{
	struct sw_cursor c = {0};
	static struct past past;
	struct sw_member *v;
	struct sw_reader r;
	uint64_t n = 0, least = UINT64_MAX;
	size_t n_members;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_members(t->db, &r, &v, &n_members));
	for (size_t i = 0; i < n_members; i++) {
		if (v[i].role < SW_ROLE_WRITER || sw_key_eq(&v[i].key, sw_db_key(t->db)))
			continue;
		find_past(&r, &v[i], &past);
		n = 0;
		for (int rc = sw_cursor_seek(&c, r.nodes, &r.head.line, sw_view("", 0)); rc > 0;
		     rc = sw_cursor_next(&c)) {
			struct sw_order at;
			struct sw_hash id;
			uint64_t seq;

			memcpy(at.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
			sw_order_id(&at, &id);
			TEST_OK(sw_history_seq(r.txn, &id, &seq));
			if (!past.has[seq])
				break;
			n++;
		}
		sw_cursor_fini(&c);
		least = n < least ? n : least;
	}
	n = r.head.count < least ? r.head.count : least;
	free(v);
	sw_reader_end(&r);
	return n;
}

static void a_step(struct test_db *v, struct rng *rng, size_t *n)
{
	size_t i = rng_below(rng, (uint32_t)*n), k = rng_below(rng, (uint32_t)*n);

	for (size_t at = 0, ms = rng_below(rng, 3000); at < *n; at++)
		v[at].env.now_ms += ms;
	switch (rng_below(rng, 9)) {
	case 0:
	case 1:
		test_put(&v[i], "t", rng_below(rng, 2) ? "x" : "y", rng_below(rng, 2) ? "1" : "2");
		break;
	case 2:
	case 3:
		if (i != k && count(&v[k]) > 0)
			test_pull(&v[i], &v[k], 1 + rng_below(rng, 20));
		break;
	case 4:
	case 5:
		TEST_OK(sw_db_sign_watermark(v[i].db));
		break;
	case 6:
		if (i != k)
			tell(&v[i], &v[k]);
		break;
	case 7:
		if (rng_below(rng, 4) == 0)
			reopen(&v[i]);
		break;
	default:
		if (*n == WORLD_DBS || rng_below(rng, 20))
			break;
		test_db_clone(&v[*n], &v[0], rng_next(rng));
		v[*n].env.now_ms = v[0].env.now_ms;
		release(&v[*n]);
		test_grant(&v[0], &v[*n]);
		test_pull(&v[*n], &v[0], 100);
		++*n;
	}
}

static void settled_is_as_defined(void **state)
{
	struct rng rng = {test_seed()};
	uint64_t n_settled = 0;

	(void)state;
	for (int round = 0; round < 8; round++) {
		struct test_db v[WORLD_DBS];
		struct sw_settled before[WORLD_DBS] = {0};
		size_t n = 2;

		test_db_create(&v[0], 1 + rng_next(&rng));
		test_db_clone(&v[1], &v[0], 2 + rng_next(&rng));
		release(&v[0]);
		release(&v[1]);
		test_grant(&v[0], &v[1]);
		test_pull(&v[1], &v[0], 100);
		for (int step = 0; step < WORLD_STEPS; step++) {
			a_step(v, &rng, &n);
			for (size_t i = 0; i < n; i++) {
				struct sw_settled now = settled(&v[i]);

				assert_int_equal(now.count, definition(&v[i]));
				assert_true(now.count >= before[i].count);
				before[i] = now;
			}
		}
		for (size_t i = 0; i < n; i++) {
			n_settled += before[i].count;
			test_db_close(&v[i]);
		}
	}
	assert_true(n_settled > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seen_is_what_a_walk_finds),
	    cmocka_unit_test(what_is_done_goes),
	    cmocka_unit_test(who_writes_alone_is_settled),
	    cmocka_unit_test(settled_is_what_every_writer_has_seen),
	    cmocka_unit_test(a_watermark_waits_for_what_it_tells_of),
	    cmocka_unit_test(an_old_one_changes_nothing),
	    cmocka_unit_test(a_forged_one_is_refused),
	    cmocka_unit_test(what_fails_changes_nothing),
	    cmocka_unit_test(what_was_sent_to_nobody_is_not_settled),
	    cmocka_unit_test(a_reader_need_not_have_what_is_withheld),
	    cmocka_unit_test(who_was_alone_may_sign_again),
	    cmocka_unit_test(case_03_what_is_settled_is_not_dropped),
	    cmocka_unit_test(case_09_members_who_come_do_not_unsettle),
	    cmocka_unit_test(a_revocation_reaches_into_what_is_settled),
	    cmocka_unit_test(what_is_out_does_not_hold_the_window),
	    cmocka_unit_test(who_breaks_its_word_unsettles_nothing),
	    cmocka_unit_test(settled_is_as_defined),
	};

	cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
