/*
 * What becomes of conflicts that somebody resolves, on two stores that were apart; and what is
 * dropped in databases where writes that cross are.
 */
#include "core/conflicts.h"
#include "core/work.h"
#include "tests/lib/pair.h"
#include "tests/lib/read.h"
#include "tests/lib/rng.h"

static uint64_t seed;

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
		test_read_side(&r, &side, &bytes);
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
	test_read_side(&r, &side, &back);
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

	*p = (struct pair){0};
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
	got = test_read(a, &h, 0, text, sizeof(text));
	assert_int_equal(got, 6);
	assert_memory_equal(text, "theirs", 6);
	sw_handle_release(a, &h);
	TEST_OK(sw_work_stat(a, sw_view_str("t"), sw_view_str("deletion"), &attr));
	assert_int_equal(sw_work_stat(a, sw_view_str("t"), sw_view_str("deleted"), &attr),
			 SW_ENOTFOUND);
	got = test_read(a, &reader, 0, text, sizeof(text)); /* has what it had */
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
	got = test_read(a, &h, 0, text, sizeof(text));
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
