/* Who is a member: the list of keys with their roles, ranks and grants, made by stores and by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/members.h"
#include "tests/lib/dbs.h"

static struct sw_hash grant(struct test_db *t, const struct sw_key *key, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
	return id;
}

static struct sw_key key_of(uint8_t i)
{
	return (struct sw_key){{i}};
}

/* The member with that key; fails when there is none. */
static struct sw_member member(struct test_db *t, const struct sw_key *key)
{
	struct sw_member *v, found = {0};
	struct sw_reader r;
	size_t n;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_members(t->db, &r, &v, &n));
	sw_reader_end(&r);
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || memcmp(v[i - 1].key.b, v[i].key.b, SW_KEY_SIZE) < 0);
		if (sw_key_eq(&v[i].key, key))
			found = v[i];
	}
	free(v);
	assert_true(found.role > 0);
	return found;
}

static void the_creator_is_of_rank_zero(void **state)
{
	struct sw_member m;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	m = member(&t, sw_db_key(t.db));
	assert_int_equal(m.role, SW_ROLE_ADMIN);
	assert_int_equal(m.rank, 0);
	assert_memory_equal(m.grant.b, sw_db_id(t.db)->b, SW_HASH_SIZE);
	assert_true(sw_key_eq(&m.granter, sw_db_key(t.db)));
	test_db_close(&t);
}

static void a_grant_counts_from_the_first_that_lets_write(void **state)
{
	struct sw_key key = key_of(7);
	struct sw_hash reader, writer;
	struct sw_member m;
	struct test_db t;

	(void)state;
	test_db_create(&t, 1);
	reader = grant(&t, &key, SW_ROLE_READER);
	m = member(&t, &key);
	assert_int_equal(m.role, SW_ROLE_READER);
	assert_int_equal(m.rank, SW_RANK_NONE);
	assert_memory_equal(m.grant.b, reader.b, SW_HASH_SIZE);
	writer = grant(&t, &key, SW_ROLE_WRITER);
	assert_memory_equal(member(&t, &key).grant.b, writer.b, SW_HASH_SIZE);
	grant(&t, &key, SW_ROLE_ADMIN);
	m = member(&t, &key);
	assert_int_equal(m.role, SW_ROLE_ADMIN);
	assert_int_equal(m.rank, 1);
	assert_memory_equal(m.grant.b, writer.b, SW_HASH_SIZE);
	test_db_close(&t);
}

static void rank_is_the_distance_from_the_creator(void **state)
{
	struct sw_key key = key_of(7), other = key_of(8);
	struct test_db a, b;
	struct sw_member m;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	grant(&a, sw_db_key(b.db), SW_ROLE_ADMIN);
	test_sync(&a, &b);
	grant(&b, &key, SW_ROLE_ADMIN);
	grant(&b, &other, SW_ROLE_WRITER);
	test_sync(&a, &b);
	m = member(&a, &key);
	assert_int_equal(m.rank, 2);
	assert_true(sw_key_eq(&m.granter, sw_db_key(b.db)));
	assert_int_equal(member(&a, &other).rank, SW_RANK_NONE);
	assert_int_equal(member(&b, sw_db_key(b.db)).rank, 1);
	grant(&a, &key, SW_ROLE_ADMIN);
	assert_int_equal(member(&a, &key).rank, 1);
	test_db_close(&a);
	test_db_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_creator_is_of_rank_zero),
	    cmocka_unit_test(a_grant_counts_from_the_first_that_lets_write),
	    cmocka_unit_test(rank_is_the_distance_from_the_creator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
