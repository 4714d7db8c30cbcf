/* Databases for unit tests: made in a directory of their own, written to, and brought together by hand. */
#ifndef TESTS_LIB_DBS_H
#define TESTS_LIB_DBS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/db.h"
#include "tests/lib/env.h"

struct test_db {
	struct test_env env;
	struct sw_db *db;
	char dir[128];
};

#define TEST_OK(call)                                                                              \
	do {                                                                                       \
		int test_rc_ = (call);                                                             \
		if (test_rc_ < 0)                                                                  \
			print_error("%s: %s\n", #call, sw_fail_message(test_rc_));                 \
		assert_true(test_rc_ >= 0);                                                        \
	} while (0)

static inline void test_db_dir(struct test_db *t, uint64_t seed)
{
	const char *tmp = getenv("TMPDIR");

	test_env_init(&t->env, seed);
	snprintf(t->dir, sizeof(t->dir), "%s/swarmfs-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(t->dir));
	assert_int_equal(rmdir(t->dir), 0);
}

static inline void test_db_create_with(struct test_db *t, uint64_t seed, enum sw_conflict_mode mode)
{
	test_db_dir(t, seed);
	TEST_OK(sw_db_create(t->dir, &t->env.env, mode, &t->db));
}

static inline void test_db_create(struct test_db *t, uint64_t seed)
{
	test_db_create_with(t, seed, SW_CONFLICT_MERGE);
}

static inline void test_db_clone(struct test_db *t, const struct test_db *of, uint64_t seed)
{
	test_db_dir(t, seed);
	TEST_OK(sw_db_create_clone(t->dir, &t->env.env, sw_db_id(of->db), &t->db));
}

/* The process ends without a word, whatever it would still write fails; another opens the store. */
static inline void test_crash(struct test_db *t)
{
	t->env.is_dead = true;
	sw_db_close(t->db);
	t->env.is_dead = false;
	TEST_OK(sw_db_open(t->dir, &t->env.env, &t->db));
}

static inline void test_db_close(struct test_db *t)
{
	static const char *const files[] = {"data.mdb", "data.mdb-lock", "lock", "key", "key.old", "reserve",
					    "journal"};
	char path[256];

	sw_db_close(t->db);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->dir, files[i]);
		unlink(path);
	}
	rmdir(t->dir);
}

/* The hash of the row as it stands, zero for absent. */
static inline struct sw_hash test_current(struct test_db *t, const char *table, const char *key)
{
	struct sw_hash hash = sw_hash_zero;
	struct sw_reader r;
	struct sw_row row;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_row(r.nodes, &r.head.state, sw_view_str(table), sw_view_str(key), &row);
	if (rc == 0)
		sw_row_hash(&row, &hash);
	sw_reader_end(&r);
	return hash;
}

static inline struct sw_hash test_write(struct test_db *t, struct sw_write_op *op)
{
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(t->db, &w, &id));
	return id;
}

static inline struct sw_hash test_put(struct test_db *t, const char *table, const char *key,
				      const char *text)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str(table),
					.key = sw_view_str(key),
					.old = test_current(t, table, key),
					.row = {.mode = 0644, .mtime_ns = 1000}},
				 .content = sw_view_str(text)};

	return test_write(t, &op);
}

static inline struct sw_hash test_delete(struct test_db *t, const char *table, const char *key)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_DELETE,
					.table = sw_view_str(table),
					.key = sw_view_str(key),
					.old = test_current(t, table, key)}};

	return test_write(t, &op);
}

static inline bool test_get(struct test_db *t, const char *table, const char *key, char *out, size_t size)
{
	SW_BUF text = {0};
	struct sw_reader r;
	struct sw_row row;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_row(r.nodes, &r.head.state, sw_view_str(table), sw_view_str(key), &row);
	if (rc == 0)
		rc = sw_row_read(r.nodes, &row, &text);
	sw_reader_end(&r);
	if (rc == SW_ENOTFOUND)
		return false;
	assert_int_equal(rc, 0);
	assert_true(text.n < size);
	if (text.n)
		memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return true;
}

static inline bool test_has_table(struct test_db *t, const char *name)
{
	struct sw_table table;
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, sw_view_str(name), &table);
	sw_reader_end(&r);
	return rc == 0;
}

/* The first database lets the second one's key in as a writer. */
static inline void test_grant(struct test_db *a, const struct test_db *b)
{
	struct sw_write_op op = {
	    .op = {.kind = SW_OP_GRANT, .member = *sw_db_key(b->db), .role = SW_ROLE_WRITER}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(a->db, &w, &id));
}

/* Large rows: simply everything that the other has. */
static inline void test_collect_records(const struct sw_reader *r, struct sw_nodes *out)
{
	struct sw_hash at = sw_hash_zero, h;
	struct sw_view key, value;

	while (sw_txn_ceil(r->txn, SW_SPACE_NODES, sw_hash_view(&at), &key, &value) > 0) {
		if (value.p[0] == SW_NODE_DATA || value.p[0] == SW_NODE_INDEX)
			TEST_OK(sw_nodes_put(out, value, &h));
		memcpy(at.b, key.p, SW_HASH_SIZE);
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
	}
}

/* Everything that `from` has goes to `to`, in the order of the line, in batches of at most `batch`. */
static inline void test_pull(struct test_db *to, struct test_db *from, size_t batch)
{
	struct sw_incoming *in = calloc(batch, sizeof(*in));
	struct sw_nodes *records;
	struct sw_cursor c = {0};
	struct sw_reader r;
	size_t n = 0, n_taken;
	int rc;

	TEST_OK(sw_nodes_new(NULL, &records));
	TEST_OK(sw_reader_begin(from->db, &r));
	rc = sw_cursor_seek(&c, r.nodes, &r.head.line, sw_view("", 0));
	for (;;) {
		if (rc > 0) {
			struct sw_order order;
			struct sw_commit commit;
			struct sw_hash id;

			memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
			sw_order_id(&order, &id);
			TEST_OK(sw_db_get_commit(&r, &id, &commit, &in[n].commit, &in[n].changeset));
			n++;
		}
		if (n == batch || (rc == 0 && n > 0)) {
			test_collect_records(&r, records);
			TEST_OK(sw_db_receive(to->db, in, n, 0, records, NULL, NULL, &n_taken));
			for (size_t i = 0; i < n; i++) {
				if (in[i].taken > SW_TAKEN_ALREADY)
					print_error("not taken (%d): %s\n", (int)in[i].taken,
						    in[i].reason ? in[i].reason : "");
				assert_true(in[i].taken <= SW_TAKEN_ALREADY);
			}
			n = 0;
		}
		if (rc == 0)
			break;
		rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	sw_nodes_free(records);
	free(in);
}

static inline void test_sync(struct test_db *a, struct test_db *b)
{
	test_pull(a, b, 1000);
	test_pull(b, a, 3);
}

static inline void test_verify(struct test_db *t)
{
	struct sw_verify_report report;

	TEST_OK(sw_db_verify(t->db, &report));
}

#endif
