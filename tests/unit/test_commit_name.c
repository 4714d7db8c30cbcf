/* Names of commits: a name is written in one way, and reading it gives the commit back. */
#include "fs/commit_name.h"
#include "tests/lib/dbs.h"

static struct sw_order order_of(uint64_t stamp, uint8_t id)
{
	struct sw_order order;
	struct sw_hash hash;
	struct sw_key key = {{7}};

	memset(hash.b, id, sizeof(hash.b));
	sw_order_make(stamp, &key, &hash, &order);
	return order;
}

static void the_name_is_time_counter_and_id(void **state)
{
	struct sw_order order = order_of((uint64_t)1795224805123 << 16 | 0x2a, 0xab);
	char name[SW_COMMIT_NAME_SIZE];

	(void)state;
	sw_commit_name(&order, name);
	assert_string_equal(name, "20261121T013325.123Z.002a-abababababab");
}

static void names_sort_like_the_line(void **state)
{
	struct rng rng = {test_seed()};
	char a[SW_COMMIT_NAME_SIZE], b[SW_COMMIT_NAME_SIZE];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		/* Up to the year 9999, and often in the same millisecond. */
		uint64_t ms = rng_next(&rng) % 253402300800000, near = ms + rng_below(&rng, 2);
		struct sw_order x = order_of(ms << 16 | rng_below(&rng, 65536), 1);
		struct sw_order y = order_of(near << 16 | rng_below(&rng, 65536), 2);

		sw_commit_name(&x, a);
		sw_commit_name(&y, b);
		assert_true((strcmp(a, b) < 0) == (sw_order_cmp(&x, &y) < 0));
	}
}

static void reading_a_name_gives_its_parts(void **state)
{
	struct rng rng = {test_seed()};
	char name[SW_COMMIT_NAME_SIZE];
	uint8_t id[SW_COMMIT_ID_DIGITS / 2];
	uint64_t stamp;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		uint64_t want = (rng_next(&rng) % 253402300800000) << 16 | rng_below(&rng, 65536);
		struct sw_order order = order_of(want, (uint8_t)i);

		sw_commit_name(&order, name);
		assert_true(sw_commit_name_parse(sw_view_str(name), &stamp, id));
		assert_true(stamp == want);
		assert_int_equal(id[0], (uint8_t)i);
	}
}

static void anything_else_is_no_name(void **state)
{
	static const char *const texts[] = {
	    "",
	    "latest",
	    "20261121T013325.123Z.002a-abababababa",
	    "20261121T013325.123Z.002a-ababababababa",
	    "20261121T013325.123Z.002A-abababababab",
	    "20261121T013325.123Z.002a-ABababababab",
	    "20261121T013325.123Z.002a_abababababab",
	    "20261121T013325.123X.002a-abababababab",
	    "20261121t013325.123Z.002a-abababababab",
	    "20261321T013325.123Z.002a-abababababab",
	    "20260230T013325.123Z.002a-abababababab",
	    "20261121T243325.123Z.002a-abababababab",
	    "20261121T013365.123Z.002a-abababababab",
	    "19691231T235959.999Z.0000-abababababab",
	    " 0261121T013325.123Z.002a-abababababab",
	};
	uint8_t id[SW_COMMIT_ID_DIGITS / 2];
	uint64_t stamp;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(sw_commit_name_parse(sw_view_str(texts[i]), &stamp, id));
	assert_false(sw_commit_name_parse(sw_view("20261121T013325.123Z.002a-ababab\0babab", 38), &stamp, id));
}

static int find(struct test_db *t, const char *name, struct sw_order *out)
{
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_commit_find(&r, sw_view_str(name), out);
	sw_reader_end(&r);
	return rc;
}

static void every_name_finds_its_commit(void **state)
{
	struct test_db t;
	struct sw_order order, again;
	char name[SW_COMMIT_NAME_SIZE], hex[SW_HASH_HEX_SIZE];
	struct sw_hash ids[3], found;

	(void)state;
	test_db_create(&t, 1);
	for (int i = 0; i < 3; i++) {
		t.env.now_ms = 1795224805123 + (uint64_t)i * 3600000;
		ids[i] = test_put(&t, "t", "a", i == 0 ? "0" : i == 1 ? "1" : "2");
	}
	for (int i = 0; i < 3; i++) {
		sw_hex(ids[i].b, SW_HASH_SIZE, hex);
		TEST_OK(find(&t, hex, &order));
		sw_commit_name(&order, name);
		TEST_OK(find(&t, name, &again));
		assert_int_equal(sw_order_cmp(&order, &again), 0);
	}
	/* The newest not after a time, to the precision it is given in. */
	TEST_OK(find(&t, "@2026-11-21T02:33", &order));
	sw_order_id(&order, &found);
	assert_true(sw_hash_eq(&found, &ids[1]));
	TEST_OK(find(&t, "@2026-11-21T02:33:25.122Z", &order));
	sw_order_id(&order, &found);
	assert_true(sw_hash_eq(&found, &ids[0]));
	TEST_OK(find(&t, "@2026-11-21T03:33:25.122+01:00", &order));
	sw_order_id(&order, &found);
	assert_true(sw_hash_eq(&found, &ids[0]));
	TEST_OK(find(&t, "@2026-11-20T21:03-05:30", &order));
	sw_order_id(&order, &found);
	assert_true(sw_hash_eq(&found, &ids[1]));
	TEST_OK(find(&t, "@2026-11-21", &order));
	sw_order_id(&order, &found);
	assert_true(sw_hash_eq(&found, &ids[2]));
	/* The right time with another id, a time before the first, and no times. */
	name[strlen(name) - 1] = name[strlen(name) - 1] == '0' ? '1' : '0';
	assert_int_equal(find(&t, name, &order), SW_ENOTFOUND);
	assert_int_equal(find(&t, "@2001-01-01", &order), SW_ENOTFOUND);
	assert_int_equal(find(&t, "@", &order), SW_EINVAL);
	assert_int_equal(find(&t, "@2026-02-30", &order), SW_EINVAL);
	assert_int_equal(find(&t, "@2026-11-21T2:33", &order), SW_EINVAL);
	assert_int_equal(find(&t, "@2026-11-21T02:33+1:00", &order), SW_EINVAL);
	assert_int_equal(find(&t, "@2026-11-21Z+01:00", &order), SW_EINVAL);
	assert_int_equal(find(&t, "@99999999999999999999999999999999999999999999999999999", &order), SW_EINVAL);
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_name_is_time_counter_and_id), cmocka_unit_test(names_sort_like_the_line),
	    cmocka_unit_test(reading_a_name_gives_its_parts),  cmocka_unit_test(anything_else_is_no_name),
	    cmocka_unit_test(every_name_finds_its_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
