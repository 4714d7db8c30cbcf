/* The bytes that a read of a row gives, where they lie. */
#include "core/blob.h"
#include "core/pieces.h"
#include "tests/lib/dbs.h"
#include "tests/lib/rng.h"

#define SIZE ((size_t)3 << 20)

static uint8_t content[SIZE], got[SIZE];

/* A large row in memory, which p reads from. */
struct set {
	struct sw_pieces p;
	struct sw_row row;
};

static void begin(struct set *s)
{
	static struct sw_shape shape;
	struct rng r = {1};

	for (size_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)rng_next(&r);
	sw_shape_init(&shape, &sw_hash_zero);
	sw_pieces_init(&s->p);
	TEST_OK(sw_nodes_new(NULL, &s->p.reader.nodes));
	TEST_OK(sw_row_make(s->p.reader.nodes, &shape, sw_view(content, SIZE), &s->row));
	assert_true(s->row.is_blob);
}

/* Forget what was read. */
static void again(struct set *s)
{
	struct sw_nodes *nodes = SW_TAKE(s->p.reader.nodes);

	sw_pieces_fini(&s->p);
	s->p.reader.nodes = nodes;
}

static void read_at(struct set *s, uint64_t offset, size_t n, size_t want)
{
	size_t n_bytes = 0;

	TEST_OK(sw_pieces_add_row(&s->p, &s->row, offset, n));
	assert_int_equal(s->p.n_bytes, want);
	for (size_t i = 0; i < s->p.n; i++) {
		assert_true(s->p.v[i].n > 0);
		n_bytes += s->p.v[i].n;
	}
	assert_int_equal(n_bytes, want);
	sw_pieces_copy(&s->p, got);
	if (want > 0)
		assert_memory_equal(got, content + offset, want);
	again(s);
}

static void a_large_row_from_anywhere(void **state)
{
	struct rng r = {2};
	struct set s;

	(void)state;
	begin(&s);
	read_at(&s, 0, SIZE, SIZE);
	read_at(&s, 0, SIZE_MAX, SIZE);
	read_at(&s, SIZE - 1, 10, 1);
	read_at(&s, SIZE, 10, 0);
	read_at(&s, UINT64_MAX, 10, 0);
	read_at(&s, 10, 0, 0);
	for (int i = 0; i < 2000; i++) {
		size_t at = rng_below(&r, SIZE), n = rng_below(&r, i % 2 ? 200000 : 20000);

		read_at(&s, at, n, n < SIZE - at ? n : SIZE - at);
	}
	sw_pieces_fini(&s.p);
}

/* Its bytes are where they were, not copied, and there are more pieces than there is room for at
 * first. */
static void pieces_are_borrowed(void **state)
{
	struct set s;
	size_t n;

	(void)state;
	begin(&s);
	TEST_OK(sw_pieces_add_row(&s.p, &s.row, 0, SIZE));
	n = s.p.n;
	assert_true(n > 2 * SW_PIECES_FEW);
	TEST_OK(sw_pieces_add_row(&s.p, &s.row, 0, SIZE));
	assert_int_equal(s.p.n, 2 * n);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(s.p.v[i].p, s.p.v[n + i].p);
	sw_pieces_fini(&s.p);
}

static void a_small_row(void **state)
{
	struct sw_row row = {.size = 5, .bytes = sw_view_str("small")};
	struct sw_pieces p;

	(void)state;
	sw_pieces_init(&p);
	TEST_OK(sw_pieces_add_row(&p, &row, 5, 1));
	assert_int_equal(p.n, 0);
	TEST_OK(sw_pieces_add_row(&p, &row, 1, 100));
	assert_int_equal(p.n, 1);
	assert_int_equal(p.v[0].n, 4);
	assert_ptr_equal(p.v[0].p, row.bytes.p + 1);
	sw_pieces_fini(&p);
}

/* An index of two chunks of 4 bytes, which says of the first that it has `size`. */
static void put_index(struct sw_nodes *nodes, uint64_t size, struct sw_hash *root)
{
	static const uint8_t chunk[2][5] = {{SW_NODE_DATA, 'o', 'n', 'e', 1},
					    {SW_NODE_DATA, 't', 'w', 'o', 2}};
	SW_BUF index = {0};
	struct sw_hash hash;

	sw_buf_put_u8(&index, SW_NODE_INDEX);
	sw_buf_put_u8(&index, 1);
	sw_buf_put_varint(&index, 2);
	for (int i = 0; i < 2; i++) {
		TEST_OK(sw_nodes_put(nodes, sw_view(chunk[i], sizeof(chunk[i])), &hash));
		sw_buf_put_varint(&index, i == 0 ? size : 4);
		sw_buf_put_hash(&index, &hash);
	}
	TEST_OK(sw_nodes_put(nodes, sw_buf_view(&index), root));
}

/* Bytes that are not what the index says are not passed on: those behind them would be at the wrong
 * place. */
static void a_chunk_of_another_size_is_damage(void **state)
{
	struct sw_row row = {.is_blob = true};
	struct sw_pieces p;

	(void)state;
	for (uint64_t size = 3; size <= 5; size++) {
		sw_pieces_init(&p);
		TEST_OK(sw_nodes_new(NULL, &p.reader.nodes));
		put_index(p.reader.nodes, size, &row.blob);
		row.size = size + 4;
		assert_int_equal(sw_pieces_add_row(&p, &row, 0, 20), size == 4 ? 0 : SW_ECORRUPT);
		sw_pieces_fini(&p);
	}
}

static void a_record_that_is_missing_is_damage(void **state)
{
	struct sw_row row = {.is_blob = true, .size = 100000, .blob = {{1}}};
	struct sw_pieces p;

	(void)state;
	sw_pieces_init(&p);
	TEST_OK(sw_nodes_new(NULL, &p.reader.nodes));
	assert_int_equal(sw_pieces_add_row(&p, &row, 0, 20), SW_ECORRUPT);
	sw_pieces_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_large_row_from_anywhere),
	    cmocka_unit_test(pieces_are_borrowed),
	    cmocka_unit_test(a_small_row),
	    cmocka_unit_test(a_chunk_of_another_size_is_damage),
	    cmocka_unit_test(a_record_that_is_missing_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
