/*
 * Names that may mean a commit, in a database that has a few. A name that reads as a snapshot's is
 * the only way to write that snapshot; a name that is found gives a commit whose own name gives the
 * same commit.
 */
#include "fs/commit_name.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/dbs.h"

#define COMMITS 5

static struct test_db t;

static void close_db(void)
{
	test_db_close(&t);
}

static void open_db(void)
{
	test_db_create(&t, 1);
	must(atexit(close_db) == 0);
	for (uint16_t i = 0; i < COMMITS; i++) {
		struct sw_write_op op = {.op = {.kind = SW_OP_MKTABLE,
						.table = sw_view_str("table"),
						.row = {.mode = (uint16_t)(0700 + i)}}};
		struct sw_write_op tag = {.op = {.kind = SW_OP_TAG, .table = sw_view_str("v1")}};
		struct sw_write w = {.ops = &op, .n = 1};
		struct sw_hash id;

		t.env.now_ms += 1;
		must(sw_db_commit(t.db, &w, &id) == 0);
		if (i != COMMITS / 2)
			continue;
		tag.op.commit = id;
		w = (struct sw_write){.ops = &tag, .n = 1};
		must(sw_db_commit(t.db, &w, &id) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_view name = sw_view(data, size);
	uint8_t id[SW_COMMIT_ID_DIGITS / 2];
	char text[SW_COMMIT_NAME_SIZE];
	struct sw_order order, again;
	struct sw_reader r;
	uint64_t stamp;
	int rc;

	if (!t.db) {
		must(sw_crypto_init() == 0);
		open_db();
	}
	if (sw_commit_name_parse(name, &stamp, id)) {
		struct sw_hash hash = {{0}};
		struct sw_key key = {{0}};

		memcpy(hash.b, id, sizeof(id));
		sw_order_make(stamp, &key, &hash, &order);
		sw_commit_name(&order, text);
		must(sw_view_eq(sw_view_str(text), name));
	}
	must(sw_reader_begin(t.db, &r) == 0);
	rc = sw_commit_find(&r, name, &order);
	must(rc == 0 || rc == SW_ENOTFOUND || rc == SW_EINVAL);
	if (rc == 0) {
		sw_commit_name(&order, text);
		must(sw_commit_find(&r, sw_view_str(text), &again) == 0);
		must(sw_order_cmp(&order, &again) == 0);
	}
	sw_reader_end(&r);
	return 0;
}
