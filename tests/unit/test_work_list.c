/*
 * Listing a table of the working set, and finding what is in the state: rows that are committed, edited, removed and new stand
 * beside each other, and the question is asked in one go, entry by entry, and from the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/work.h"
#include "tests/lib/dbs.h"

#define N_ROWS 500 /* in the state: more than a node holds */

struct set {
	struct test_db t;
	struct sw_work *w;
};

static void begin(struct set *s)
{
	test_db_create_with(&s->t, 1, SW_CONFLICT_MERGE);
	TEST_OK(sw_work_open(s->t.db, NULL, &s->w));
	TEST_OK(sw_work_mkdir(s->w, sw_view_str("t"), 0755));
}

static void commit(struct set *s)
{
	struct sw_hash id;

	TEST_OK(sw_work_commit(s->w, sw_view(NULL, 0), &id));
}

static void end(struct set *s)
{
	sw_work_close(s->w);
	test_verify(&s->t);
	test_db_close(&s->t);
}

static void write_row(struct set *s, const char *key, const char *text)
{
	struct sw_handle h;

	TEST_OK(sw_work_open_row(s->w, sw_view_str("t"), sw_view_str(key),
				 SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h));
	TEST_OK(sw_handle_write(s->w, &h, 0, false, sw_view_str(text)));
	TEST_OK(sw_handle_flush(s->w, &h));
	sw_handle_release(s->w, &h);
}

static void unlink_row(struct set *s, const char *key)
{
	TEST_OK(sw_work_unlink(s->w, sw_view_str("t"), sw_view_str(key)));
}

static const char *row_key(size_t i)
{
	static char key[16];

	snprintf(key, sizeof(key), "r%04zu", i);
	return key;
}

/* Every seventh row is removed, every fifth written anew, and after each third comes a new one. */
static void fill(struct set *s)
{
	char key[20];

	for (size_t i = 0; i < N_ROWS; i++)
		write_row(s, row_key(i), "one");
	commit(s);
	for (size_t i = N_ROWS; i-- > 0;) {
		if (i % 7 == 0)
			unlink_row(s, row_key(i));
		else if (i % 5 == 0)
			write_row(s, row_key(i), "other");
		snprintf(key, sizeof(key), "%sx", row_key(i));
		if (i % 3 == 0)
			write_row(s, key, "new");
	}
}

static size_t n_removed(void)
{
	return (N_ROWS + 6) / 7;
}

static size_t n_added(void)
{
	return (N_ROWS + 2) / 3;
}

struct seen {
	struct sw_buf names; /* each with a newline */
	size_t n, max;
	size_t n_now; /* that had their attributes */
	uint64_t next;
	uint64_t cookie_of_last_in_state; /* that leads to those that came later */
	uint64_t cookie_of_middle;
};

static int note(void *arg, struct sw_view name, const struct sw_attr *attr, uint64_t next)
{
	struct seen *seen = arg;

	if (seen->n == seen->max)
		return 1;
	sw_buf_put_view(&seen->names, name);
	sw_buf_put_u8(&seen->names, '\n');
	seen->n++;
	seen->n_now += attr->is_now;
	seen->next = next;
	if (name.n == strlen(row_key(0)))
		seen->cookie_of_last_in_state = next;
	if (seen->n == N_ROWS / 2)
		seen->cookie_of_middle = next;
	return 0;
}

static void walk(struct sw_list *list, uint64_t from, bool with_attr, struct seen *seen)
{
	*seen = (struct seen){.max = SIZE_MAX};
	TEST_OK(sw_list_walk(list, from, with_attr, note, seen));
}

static void assert_same(const struct seen *a, const struct seen *b)
{
	assert_int_equal(a->n, b->n);
	assert_true(sw_view_eq(sw_buf_view(&a->names), sw_buf_view(&b->names)));
}

static struct sw_list *open_list(struct set *s)
{
	struct sw_list *list;

	TEST_OK(sw_list_open(s->w, sw_view_str("t"), &list));
	return list;
}

static void a_listing_is_the_same_however_it_is_parted(void **state)
{
	struct seen whole, parts, named;
	struct sw_list *list;
	struct set s;

	(void)state;
	begin(&s);
	fill(&s);
	list = open_list(&s);
	walk(list, 0, true, &whole);
	walk(list, 0, false, &named);
	assert_int_equal(whole.n, N_ROWS - n_removed() + n_added());
	assert_int_equal(whole.n_now, whole.n);
	assert_same(&whole, &named);
	sw_list_close(list);
	for (size_t step = 1; step < 100; step += 13) {
		list = open_list(&s);
		parts = (struct seen){0};
		do {
			parts.max = parts.n + step;
			TEST_OK(sw_list_walk(list, parts.next, step % 2 == 0, note, &parts));
		} while (parts.n == parts.max);
		assert_same(&whole, &parts);
		sw_buf_fini(&parts.names);
		sw_list_close(list);
	}
	sw_buf_fini(&whole.names);
	sw_buf_fini(&named.names);
	commit(&s);
	end(&s);
}

/* Without having walked the state, it must be looked up what the state has. */
static void a_listing_goes_on_from_any_cookie(void **state)
{
	struct seen whole, rest;
	struct sw_list *list;
	struct set s;

	(void)state;
	begin(&s);
	fill(&s);
	list = open_list(&s);
	walk(list, 0, false, &whole);
	sw_list_close(list);
	list = open_list(&s);
	walk(list, whole.cookie_of_last_in_state, false, &rest);
	assert_int_equal(rest.n, n_added());
	sw_buf_fini(&rest.names);
	sw_list_close(list);
	list = open_list(&s);
	/* However often a part is walked, the others have not been. */
	for (int i = 0; i < 10; i++) {
		rest = (struct seen){.max = 100};
		TEST_OK(sw_list_walk(list, whole.cookie_of_middle, false, note, &rest));
		sw_buf_fini(&rest.names);
	}
	walk(list, whole.cookie_of_middle, false, &rest);
	assert_int_equal(rest.n, whole.n - N_ROWS / 2);
	sw_buf_fini(&rest.names);
	walk(list, 0, false, &rest);
	assert_same(&whole, &rest);
	sw_buf_fini(&rest.names);
	sw_buf_fini(&whole.names);
	sw_list_close(list);
	commit(&s);
	end(&s);
}

/* Whatever comes and goes meanwhile: what was there all the time is listed once. */
static void others_are_in_nobodys_way(void **state)
{
	struct sw_list *list;
	struct seen seen = {0};
	char key[16];
	struct set s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < N_ROWS; i++)
		write_row(&s, row_key(i), "one");
	commit(&s);
	for (size_t i = 0; i < N_ROWS; i += 2)
		write_row(&s, row_key(N_ROWS + i), "new");
	list = open_list(&s);
	for (size_t round = 0; seen.n == seen.max; round++) {
		seen.max = seen.n + 10;
		TEST_OK(sw_list_walk(list, seen.next, round % 3 == 0, note, &seen));
		snprintf(key, sizeof(key), "r0%03zux", round);
		write_row(&s, key, "between");
		if (round % 2 == 1)
			unlink_row(&s, key);
		if (round % 5 == 0)
			commit(&s);
	}
	assert_int_equal(seen.n, N_ROWS + N_ROWS / 2);
	for (size_t i = 0; i < N_ROWS; i++) {
		struct sw_view line = sw_view(seen.names.p + 6 * i, 5);

		assert_true(sw_view_eq(line, sw_view_str(row_key(i))));
	}
	sw_buf_fini(&seen.names);
	sw_list_close(list);
	commit(&s);
	end(&s);
}

/* A row that was asked for last and was not there must not stay away, nor a table. */
static void what_others_commit_is_found_at_once(void **state)
{
	const struct sw_view t = sw_view_str("t"), u = sw_view_str("u"), r = sw_view_str("r");
	struct sw_attr attr;
	struct set s;

	(void)state;
	begin(&s);
	commit(&s);
	assert_int_equal(sw_work_stat(s.w, t, r, &attr), SW_ENOTFOUND);
	assert_int_equal(sw_work_stat(s.w, t, r, &attr), SW_ENOTFOUND);
	test_put(&s.t, "t", "r", "theirs");
	TEST_OK(sw_work_stat(s.w, t, r, &attr));
	assert_int_equal(attr.size, 6);
	test_delete(&s.t, "t", "r");
	assert_int_equal(sw_work_stat(s.w, t, r, &attr), SW_ENOTFOUND);
	assert_int_equal(sw_work_stat_table(s.w, u, &attr), SW_ENOTFOUND);
	assert_int_equal(sw_work_stat(s.w, u, r, &attr), SW_ENOTFOUND);
	test_put(&s.t, "u", "r", "theirs");
	TEST_OK(sw_work_stat(s.w, u, r, &attr));
	TEST_OK(sw_work_stat_table(s.w, u, &attr));
	/* A name that one table lacks can be in another. */
	assert_int_equal(sw_work_stat(s.w, t, r, &attr), SW_ENOTFOUND);
	TEST_OK(sw_work_stat(s.w, u, r, &attr));
	TEST_OK(sw_work_stat(s.w, u, r, &attr));
	end(&s);
}

static void what_is_not_there_cannot_be_removed(void **state)
{
	const struct sw_view t = sw_view_str("t"), r = sw_view_str("r");
	struct sw_work_status status;
	struct set s;

	(void)state;
	begin(&s);
	commit(&s);
	assert_int_equal(sw_work_unlink(s.w, t, r), SW_ENOTFOUND);
	assert_int_equal(sw_work_rename(s.w, t, r, t, sw_view_str("q"), 0), SW_ENOTFOUND);
	assert_int_equal(sw_work_rename(s.w, t, r, t, r, 0), SW_ENOTFOUND);
	sw_work_status(s.w, &status);
	assert_int_equal(status.n_edits, 0);
	assert_int_equal(status.n_held, 0);
	write_row(&s, "r", "there");
	commit(&s);
	unlink_row(&s, "r");
	assert_int_equal(sw_work_unlink(s.w, t, r), SW_ENOTFOUND);
	assert_int_equal(sw_work_rename(s.w, t, r, t, sw_view_str("q"), 0), SW_ENOTFOUND);
	commit(&s);
	end(&s);
}

/* What a list shows depends on the tree alone only as long as nobody has changed or changes a name. */
static void a_list_knows_when_it_shows_a_tree_alone(void **state)
{
	struct sw_hash root, now;
	struct sw_list *list;
	struct set s;

	(void)state;
	begin(&s);
	write_row(&s, "r", "one");
	list = open_list(&s);
	assert_false(sw_list_is_state(list, &root));
	sw_list_close(list);
	commit(&s);
	list = open_list(&s);
	assert_true(sw_list_is_state(list, &root));
	unlink_row(&s, "r");
	assert_false(sw_list_is_state(list, &root));
	commit(&s);
	assert_false(sw_list_is_state(list, &root));
	sw_list_close(list);
	list = open_list(&s);
	assert_true(sw_list_is_state(list, &now));
	assert_false(sw_hash_eq(&root, &now));
	sw_list_close(list);
	TEST_OK(sw_list_open(s.w, sw_view(NULL, 0), &list));
	assert_false(sw_list_is_state(list, &now));
	sw_list_close(list);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_listing_is_the_same_however_it_is_parted),
	    cmocka_unit_test(a_listing_goes_on_from_any_cookie),
	    cmocka_unit_test(others_are_in_nobodys_way),
	    cmocka_unit_test(what_others_commit_is_found_at_once),
	    cmocka_unit_test(what_is_not_there_cannot_be_removed),
	    cmocka_unit_test(a_list_knows_when_it_shows_a_tree_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
