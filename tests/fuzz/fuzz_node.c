/*
 * Records of trees, and the values in their leaves. What is accepted has the same bytes when it is
 * encoded again; a key is found where the decoded node has it, whichever way one looks; all
 * references are reported.
 */
#include "core/blob.h"
#include "core/sign.h"
#include "core/state.h"
#include "tests/fuzz/fuzz.h"

static int count(void *arg, const struct sw_hash *ref)
{
	(void)ref;
	++*(size_t *)arg;
	return 0;
}

static void check_find(struct sw_view bytes, const struct sw_node *node, struct sw_view key)
{
	uint8_t buf[SW_TREE_KEY_MAX];
	size_t at = sw_node_lower_bound(node, key);
	struct sw_view found, value;
	uint8_t level;
	int rc = sw_node_find(bytes, key, &level, buf, &found, &value);

	must(rc == (at < node->n));
	if (rc == 0)
		return;
	must(level == node->level && sw_view_cmp(found, key) >= 0);
	must(sw_view_eq(found, node->entries[at].key) &&
	     sw_view_eq(value, node->entries[at].value));
}

static void check_node(struct sw_view bytes, const struct sw_node *node)
{
	SW_BUF again = {0};
	uint8_t beyond[SW_TREE_KEY_MAX + 1];
	size_t n_refs = 0;

	must(node->n > 0);
	sw_node_encode(node->purpose, node->level, node->entries, node->n, &again);
	must(again.rc == 0 && sw_view_eq(sw_buf_view(&again), bytes));
	check_find(bytes, node, sw_view(beyond, 0));
	for (size_t i = 0; i < node->n; i++) {
		struct sw_view key = node->entries[i].key;

		must(key.n > 0 && key.n <= SW_TREE_KEY_MAX);
		must(i == 0 || sw_view_cmp(node->entries[i - 1].key, key) < 0);
		check_find(bytes, node, key);
		memcpy(beyond, key.p, key.n);
		beyond[key.n] = 0;
		check_find(bytes, node, sw_view(beyond, key.n + 1));
	}
	if (node->level > 0)
		must(sw_record_refs(bytes, count, &n_refs) == 0 && n_refs == node->n);
	else
		must(node->n_rows == node->n);
}

static void check_values(struct sw_view bytes)
{
	struct sw_row row;
	struct sw_table table;
	struct sw_child child;
	struct sw_hash hash;

	if (sw_row_decode(bytes, &row) == 0) {
		SW_BUF again = {0};

		must(row.is_blob == (row.size > SW_INLINE_MAX));
		sw_row_hash(&row, &hash);
		sw_row_encode(&row, &again);
		must(sw_view_eq(sw_buf_view(&again), bytes));
	}
	if (sw_table_decode(bytes, &table) == 0) {
		SW_BUF again = {0};

		must(sw_hash_is_zero(&table.root) == (table.n_rows == 0));
		sw_table_encode(&table, &again);
		must(sw_view_eq(sw_buf_view(&again), bytes));
	}
	if (sw_child_decode(bytes, &child) == 0) {
		SW_BUF again = {0};

		sw_child_encode(&child, &again);
		must(sw_view_eq(sw_buf_view(&again), bytes));
	}
	if (sw_name_check(bytes) == 0)
		must(bytes.n > 0 && bytes.n <= SW_NAME_MAX && !memchr(bytes.p, 0, bytes.n) &&
		     !memchr(bytes.p, '/', bytes.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_view bytes = sw_view(data, size), found, value;
	uint8_t buf[SW_TREE_KEY_MAX], level;
	struct sw_node node;
	size_t n_refs = 0;
	int rc;

	must(sw_crypto_init() == 0);
	check_values(bytes);
	rc = sw_record_refs(bytes, count, &n_refs);
	must(rc == 0 || rc == SW_EFORMAT);
	if (sw_node_decode(bytes, &node) == 0) {
		check_node(bytes, &node);
		sw_node_fini(&node);
		return 0;
	}
	/* A reader looks for a key without decoding the rest. */
	rc = sw_node_find(bytes, sw_view(data, size < 8 ? size : 8), &level, buf, &found, &value);
	must(rc == 0 || rc == 1 || rc == SW_EFORMAT);
	return 0;
}
