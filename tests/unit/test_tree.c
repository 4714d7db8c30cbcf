/*
 * Prolly trees against a sorted array: random edits in random batches, the full checker after each, and
 * the same content built in other ways. The seed is printed first and replays the run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/sign.h"
#include "core/tree.h"
#include "tests/lib/rng.h"

#define N_KEYS 3000

/* The model: which of the possible keys are there, and with what value. */
struct model {
	bool there[N_KEYS];
	uint32_t value[N_KEYS];
};

static struct sw_shape shape;

static size_t make_key(uint32_t i, char *out)
{
	/* Keys of unlike length with shared prefixes; ascending in i. */
	return (size_t)sprintf(out, "%s%06u%.*s", i < N_KEYS / 2 ? "a/long-common-prefix-" : "b", i,
			       (int)(i % 23), "xxxxxxxxxxxxxxxxxxxxxxx");
}

static size_t make_value(uint32_t v, char *out)
{
	size_t n = 1 + (v % 7 == 0 ? v % 1100 : v % 120);

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(v * 31 + i);
	return n;
}

static struct sw_nodes *memory(void)
{
	struct sw_nodes *s;

	assert_int_equal(sw_nodes_new(NULL, &s), 0);
	return s;
}

struct batch {
	struct sw_edit edits[N_KEYS];
	char keys[N_KEYS][64];
	char values[N_KEYS][1200];
	size_t n;
};

static void batch_add(struct batch *b, uint32_t key, bool del, uint32_t value)
{
	struct sw_edit *e = &b->edits[b->n];

	e->key = sw_view(b->keys[b->n], make_key(key, b->keys[b->n]));
	e->value = sw_view(b->values[b->n], make_value(value, b->values[b->n]));
	e->del = del;
	b->n++;
}

static struct sw_hash apply(struct sw_nodes *nodes, struct sw_hash root, const struct batch *b)
{
	struct sw_hash out;

	assert_int_equal(sw_tree_apply(nodes, &shape, SW_PURPOSE_ROWS, &root, b->edits, b->n, &out), 0);
	return out;
}

/* The tree of the model's content, in one go. */
static struct sw_hash build(struct sw_nodes *nodes, const struct model *m, struct batch *b)
{
	b->n = 0;
	for (uint32_t i = 0; i < N_KEYS; i++)
		if (m->there[i])
			batch_add(b, i, false, m->value[i]);
	return apply(nodes, sw_hash_zero, b);
}

/* Rows decode as rows when referenced; these trees hold arbitrary bytes, so the check has no row callback. */
static void check(struct sw_nodes *nodes, struct sw_hash root)
{
	int rc = sw_tree_check(nodes, &shape, SW_PURPOSE_ROWS, &root, NULL, NULL);

	if (rc < 0)
		print_error("%s\n", sw_fail_message(rc));
	assert_int_equal(rc, 0);
}

static void root_ignores_order_and_batches(void **state)
{
	uint64_t seed = test_seed();
	struct rng rng = {seed};
	struct model *m = calloc(1, sizeof(*m));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_hash root = sw_hash_zero;

	(void)state;
	for (int round = 0; round < 400; round++) {
		uint32_t n = rng_below(&rng, round % 10 == 0 ? 400 : 6) + 1;
		bool purge = round % 97 == 96;

		b->n = 0;
		for (uint32_t i = 0; i < N_KEYS; i++) {
			bool del;

			if (!purge && rng_below(&rng, N_KEYS) >= n)
				continue;
			del = purge ? rng_below(&rng, 50) != 0 : rng_below(&rng, 3) == 0;
			m->value[i] = (uint32_t)rng_next(&rng);
			m->there[i] = !del;
			batch_add(b, i, del, m->value[i]);
		}
		root = apply(nodes, root, b);
		check(nodes, root);
		if (round % 20 == 0 || purge) {
			struct sw_nodes *fresh = memory();
			struct sw_hash again = build(fresh, m, b);

			assert_memory_equal(root.b, again.b, SW_HASH_SIZE);
			sw_nodes_free(fresh);
		}
	}
	sw_nodes_free(nodes);
	free(m);
	free(b);
}

static void one_by_one_equals_bulk(void **state)
{
	struct rng rng = {test_seed()};
	struct model *m = calloc(1, sizeof(*m));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_hash root = sw_hash_zero, bulk;
	uint32_t order[N_KEYS];

	(void)state;
	for (uint32_t i = 0; i < N_KEYS; i++)
		order[i] = i;
	for (uint32_t i = N_KEYS - 1; i > 0; i--) {
		uint32_t j = rng_below(&rng, i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t i = 0; i < N_KEYS; i++) {
		m->there[order[i]] = true;
		m->value[order[i]] = (uint32_t)rng_next(&rng);
		b->n = 0;
		batch_add(b, order[i], false, m->value[order[i]]);
		root = apply(nodes, root, b);
	}
	check(nodes, root);
	bulk = build(nodes, m, b);
	assert_memory_equal(root.b, bulk.b, SW_HASH_SIZE);
	/* And down to nothing again. */
	for (uint32_t i = 0; i < N_KEYS; i++) {
		b->n = 0;
		batch_add(b, order[i], true, 0);
		root = apply(nodes, root, b);
		if (i % 100 == 0)
			check(nodes, root);
	}
	assert_true(sw_hash_is_zero(&root));
	sw_nodes_free(nodes);
	free(m);
	free(b);
}

static void get_seek_and_rank_agree_with_the_model(void **state)
{
	struct rng rng = {test_seed()};
	struct model *m = calloc(1, sizeof(*m));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_cursor c = {0};
	struct sw_hash root;
	uint64_t n = 0, count, rank;
	char text[64], value[1200];

	(void)state;
	for (uint32_t i = 0; i < N_KEYS; i++) {
		m->there[i] = rng_below(&rng, 2) == 0;
		m->value[i] = (uint32_t)rng_next(&rng);
	}
	root = build(nodes, m, b);
	for (uint32_t i = 0; i < N_KEYS; i++) {
		struct sw_view key = sw_view(text, make_key(i, text)), got;
		int rc = sw_tree_get(nodes, &root, key, &got);

		assert_int_equal(sw_tree_rank(nodes, &root, key, &rank), 0);
		assert_int_equal(rank, n);
		assert_int_equal(rc, m->there[i] ? 0 : SW_ENOTFOUND);
		if (!m->there[i])
			continue;
		assert_true(sw_view_eq(got, sw_view(value, make_value(m->value[i], value))));
		assert_int_equal(sw_cursor_seek_rank(&c, nodes, &root, n), 1);
		assert_true(sw_view_eq(sw_cursor_entry(&c)->key, key));
		n++;
	}
	assert_int_equal(sw_tree_count(nodes, &root, &count), 0);
	assert_int_equal(count, n);
	assert_int_equal(sw_cursor_seek_rank(&c, nodes, &root, n), 0);
	/* Forward over everything and back again. */
	assert_int_equal(sw_cursor_seek(&c, nodes, &root, sw_view("", 0)), 1);
	for (count = 1; sw_cursor_next(&c) == 1; count++)
		;
	assert_int_equal(count, n);
	for (; sw_cursor_prev(&c) == 1; count--)
		;
	assert_int_equal(count, 0);
	sw_cursor_fini(&c);
	sw_nodes_free(nodes);
	free(m);
	free(b);
}

/* Many trees, so that each place of the cache has had several nodes: what is found is what is found without it. */
static void a_cache_changes_nothing_that_a_search_finds(void **state)
{
	enum { N_TREES = 60 };
	struct rng rng = {test_seed()};
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_node_cache *cache;
	struct sw_hash roots[N_TREES] = {0};
	struct sw_view found;
	size_t n_kept = 0;
	char text[64];

	(void)state;
	assert_int_equal(sw_node_cache_new(&cache), 0);
	for (size_t t = 0; t < N_TREES; t++) {
		b->n = 0;
		for (uint32_t i = 0; i < N_KEYS; i++)
			if (t == 0 || rng_below(&rng, 50) == 0)
				batch_add(b, i, rng_below(&rng, 3) == 0, (uint32_t)rng_next(&rng));
		roots[t] = apply(nodes, t ? roots[t - 1] : sw_hash_zero, b);
	}
	for (size_t k = 0; k < 20000; k++) {
		const struct sw_hash *root = &roots[rng_below(&rng, N_TREES)];
		struct sw_view key = sw_view(text, make_key((uint32_t)rng_below(&rng, N_KEYS), text)), with, without;
		int rc;

		sw_nodes_set_cache(nodes, cache);
		rc = sw_tree_get(nodes, root, key, &with);
		n_kept += sw_node_cache_get(cache, root, &found);
		sw_nodes_set_cache(nodes, NULL);
		assert_int_equal(sw_tree_get(nodes, root, key, &without), rc);
		assert_true(rc < 0 || sw_view_eq(with, without));
	}
	/* Not always: a node further down may have taken its place. */
	assert_true(n_kept > 10000);
	sw_node_cache_free(cache);
	sw_nodes_free(nodes);
	free(b);
}

struct diff_check {
	const struct model *a, *b;
	size_t n;
	uint32_t last;
};

static int diff_entry(void *arg, struct sw_view key, const struct sw_view *a, const struct sw_view *b)
{
	struct diff_check *d = arg;
	char text[16] = {0};
	uint32_t i;

	memcpy(text, key.p + (key.p[0] == 'a' ? 21 : 1), 6);
	i = (uint32_t)strtoul(text, NULL, 10);
	assert_true(d->n == 0 || i > d->last);
	assert_int_equal(a != NULL, d->a->there[i]);
	assert_int_equal(b != NULL, d->b->there[i]);
	d->last = i;
	d->n++;
	return 0;
}

static void diff_names_exactly_what_differs(void **state)
{
	struct rng rng = {test_seed()};
	struct model *x = calloc(1, sizeof(*x)), *y = calloc(1, sizeof(*y));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();

	(void)state;
	for (int round = 0; round < 30; round++) {
		struct diff_check d = {.a = x, .b = y};
		struct sw_hash rx, ry;
		size_t n = 0;

		for (uint32_t i = 0; i < N_KEYS; i++) {
			x->there[i] = rng_below(&rng, 2 + (uint32_t)round) != 0;
			x->value[i] = (uint32_t)rng_next(&rng);
			y->there[i] = x->there[i];
			y->value[i] = x->value[i];
			if (rng_below(&rng, 1 + (uint32_t)round * 30) == 0) {
				y->there[i] = rng_below(&rng, 2) == 0;
				y->value[i] = x->value[i] + 120 * 7;
			}
			if (x->there[i] || y->there[i])
				n += x->there[i] != y->there[i] || x->value[i] != y->value[i];
		}
		rx = build(nodes, x, b);
		ry = build(nodes, y, b);
		assert_int_equal(sw_tree_diff(nodes, &rx, &ry, diff_entry, &d), 0);
		assert_int_equal(d.n, n);
	}
	sw_nodes_free(nodes);
	free(x);
	free(y);
	free(b);
}

/* An insert rewrites the nodes on its path and a neighbour or two, not the level. */
static void an_edit_touches_few_nodes(void **state)
{
	struct rng rng = {test_seed()};
	struct model *m = calloc(1, sizeof(*m));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_hash root;
	size_t total = 0;

	(void)state;
	for (uint32_t i = 0; i < N_KEYS; i++) {
		m->there[i] = i % 2 == 0;
		m->value[i] = i;
	}
	root = build(nodes, m, b);
	for (int i = 0; i < 200; i++) {
		size_t before = sw_nodes_bytes(nodes);

		b->n = 0;
		batch_add(b, rng_below(&rng, N_KEYS / 2) * 2 + 1, false, (uint32_t)i);
		apply(nodes, root, b);
		total += sw_nodes_bytes(nodes) - before;
	}
	assert_true(total / 200 < 4 * SW_NODE_SIZE_MAX);
	sw_nodes_free(nodes);
	free(m);
	free(b);
}

/* A hostile or damaged node is refused, whatever byte of it was changed. */
static void checker_notices_every_flipped_byte(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct batch *b = calloc(1, sizeof(*b));
	struct sw_nodes *nodes = memory();
	struct sw_hash root;
	struct sw_view bytes;

	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		m->there[i] = true;
		m->value[i] = i;
	}
	root = build(nodes, m, b);
	assert_int_equal(sw_nodes_get(nodes, &root, &bytes), 0);
	for (size_t i = 0; i < bytes.n; i++) {
		uint8_t *copy = malloc(bytes.n);
		struct sw_nodes *other = memory();
		struct sw_hash hash;

		memcpy(copy, bytes.p, bytes.n);
		copy[i] ^= 1;
		assert_int_equal(sw_nodes_put(other, sw_view(copy, bytes.n), &hash), 0);
		assert_memory_not_equal(hash.b, root.b, SW_HASH_SIZE);
		assert_true(sw_tree_check(other, &shape, SW_PURPOSE_ROWS, &root, NULL, NULL) < 0);
		sw_nodes_free(other);
		free(copy);
	}
	sw_nodes_free(nodes);
	free(m);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(root_ignores_order_and_batches),
	    cmocka_unit_test(one_by_one_equals_bulk),
	    cmocka_unit_test(get_seek_and_rank_agree_with_the_model),
	    cmocka_unit_test(a_cache_changes_nothing_that_a_search_finds),
	    cmocka_unit_test(diff_names_exactly_what_differs),
	    cmocka_unit_test(an_edit_touches_few_nodes),
	    cmocka_unit_test(checker_notices_every_flipped_byte),
	};
	struct sw_hash salt = {{7}};

	if (sw_crypto_init() < 0)
		return 1;
	sw_shape_init(&shape, &salt);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
