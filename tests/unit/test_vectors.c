/*
 * Golden vectors: bytes and hashes that must never change by accident. core/FORMAT.md prints the same ones; the last test
 * looks for each of them there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/blob.h"
#include "core/columns.h"
#include "core/watermark.h"
#include "tests/lib/dbs.h"
#include "tests/lib/oracle.h"

static const struct vector {
	const char *name;
	const char *hex;
} vectors[] = {
	{"varints", "007f8001ac02ffffffffffffffffff01"},
	{"value", "be138ca5a1c8a0d519f8bbdaa16047c1da5204300d5ea5adddd1b78bb3d6ade5"},
	{"column", "290ea19882e0491d896529fae7dcf8b7653363c952fffd722ac55f0f94724ebd"},
	{"sip", "cbe48f72d4bdb58e"},
	{"leaf3", "01070300056b30303030027630040131027631040132027634"},
	{"tree3", "225acafae8b927ebd4d2c2e7f623c553371758fda1c468c8b55c652d2b270029"},
	{"tree1000", "8fd973c1058b4d530c122b2aa8715170cb238a7834780061bcd6f46d7d466fe8"},
	{"index", "030112f35cb762acf14d40c0ea2d924b9dbb18a88456ebc283bd89907f0da73759578970c6b6c001dad3"
	     "385d9c7319469035f1bff5936102375a9080f5639ea7e614b25790ea7ac0c73cf9edaaa89f115fa89250"
	     "4d9af8bfa43c4284e7f62e12b84f0aee46ad43c2cde9b22dc84b5f42e3943fe6f2e38b86f27d66cde190"
	     "e3e3b01963bdf6234ff2c00e2ee5f23eba6904cbbb99e5a0415b998f041c718642b593d0d068476f6a11"
	     "1b22c8cf48b6bd581053097e9edcbb2eb33724f8472f2e2b02cd3fbabe23cd9956505f2d9c8203d1d838"
	     "ec50e131afabe592bec2157bc550319db629b6251605eef8b27d2d54512a7b6a9c59ec6c57c7d0c3a3f7"
	     "b1fc3aea7f4b466d611cad1b79eca4d68aaef6f63fc751d5ee41601620dd6a2d3a4a9be2cebcda79f652"
	     "f25d590126957b374273d328a13ca0c4de3c3f9cf8875e02b2f596e07fb08bddbbba099d38f2b62e4c7a"
	     "b7b8e7c9754a7c24d93d684e1048787c63cdc1ca7eae078f022ba188ceb3887c5f81385296b74ae88593"
	     "f15e783407a9559f14ffde43f37c51cc1309d9295f39d3d374b17803c46cad5db727c59d019d82671046"
	     "e364ef9516d09bea7fe0b9779cd3529422aff4fd98b0840da53858e55b508f5e50d6db2d71998e4e72ef"
	     "a7d7e7a2abdc6459193acc030f0f21f5fd93708e9101a8caa61cb2fe60ac8b0bc904d1e1e159a4431bec"
	     "3693b89069e72853590a414ef6569d851069833a40bc3ca4685a1ec6055b093208920b55977833abb41e"
	     "52f2edc48c39182b77718c1f1088654e1255448890a706d2c0adc2ff107439aebb70da228d96ab347a12"
	     "3dbc55eea13e117bb1e89f83905aa2f1641f47600959f47c8c2bc6541a23"},
	{"blob", "4befbb0468be366bdbb6a9942cb82fc05c50878c4a30d55609505ddfb338a090"},
	{"key", "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664"},
	{"changeset", "020201000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000a79b5562e8f"
	     "e654f94078b112e8a98ba7901f853ae695bed7e0e3910bad04966403"},
	{"changesethash", "2df17958445ef8e3ff124b256caa2311af3454fb14f253bf535d76c76fb67b4f"},
	{"commit", "010100000000000000000000000000000000000000000000000000000000000000000079b5562e8fe654"
	     "f94078b112e8a98ba7901f853ae695bed7e0e3910bad04966401a0c4506c0000008fd973c1058b4d530c"
	     "122b2aa8715170cb238a7834780061bcd6f46d7d466fe82df17958445ef8e3ff124b256caa2311af3454"
	     "fb14f253bf535d76c76fb67b4f056669727374688fd27a49dcecaa067175991a6f98271276de3bb4eb9a"
	     "47bf7f33d68bc9a8689b4988e9aa4fdec4449f442736988cf467787dace0584aa78e70a8f031192706"},
	{"id", "3e1d3661f132966dac125a52df03250487b875817c4ae85dd6a8f7e3790e3252"},
	{"watermark", "0179b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad04966401a0c4506c01000000"
	     "00000000000001225acafae8b927ebd4d2c2e7f623c553371758fda1c468c8b55c652d2b2700298fd973"
	     "c1058b4d530c122b2aa8715170cb238a7834780061bcd6f46d7d466fe8013e1d3661f132966dac125a52"
	     "df03250487b875817c4ae85dd6a8f7e3790e325261473a2c262525fade4fe90a207255e4e321606bf606"
	     "c022fe95aea150e896013ad6dc16588eb1476a66ce20bfa4a6f201ccb7309258c5dbc0928dd3c973df05"},
	{"put", "00010501740172000000000000000000000000000000000000000000000000000000000000000001a400"
	     "000000000003e8000568656c6c6f00"},
	{"bytes", "00010502fffe04636166e900000000000000000000000000000000000000"
		  "0000000000000000000000000001a400000000000003e8000568656c6c6f00"},
	{"fourth", "000205017406722e6a736f6eb0faee9671cde3c7c20ef200d7a40295f184b5443b7ce9aa11af5afd0073b5a801a40000000059682f00000d7b2278223a312c2279223a327d01010179d9d31878c66d42bb49676c9fa81bff7cf652b6c3e3e767a1ac826d0fbb4d9d8105017401733ba42519851fab4047a59f5969ee5987be88c93af57ab66d4960397e1b11101801a40000000059682f000005746872656500"},
	{"line", "06a043f5cdc4b499c2a18be5b9bb6d06d5a4ced743ba9dcb2ccf3a3c6037d80e"},
	{"state", "e44a491f2ba83ecb8b1bb4f74ed9fff19af455f94b6f00626029ba92d94013b6"},
};

static struct sw_shape shape;
static struct sw_hash salt;

static void check(const char *name, struct sw_view got)
{
	char *hex = malloc(2 * got.n + 1);

	assert_non_null(hex);
	sw_hex(got.p, got.n, hex);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		if (strcmp(vectors[i].name, name) != 0)
			continue;
		assert_string_equal(hex, vectors[i].hex);
		free(hex);
		return;
	}
	fail_msg("no vector %s", name);
}

static void encodings_and_hashes(void **state)
{
	SW_BUF b = {0};
	struct sw_hash h;
	uint8_t sip[8];

	(void)state;
	sw_buf_put_varint(&b, 0);
	sw_buf_put_varint(&b, 127);
	sw_buf_put_varint(&b, 128);
	sw_buf_put_varint(&b, 300);
	sw_buf_put_varint(&b, UINT64_MAX);
	check("varints", sw_buf_view(&b));
	sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str("hello"), &h);
	check("value", sw_hash_view(&h));
	sw_hash_compute(SW_DOMAIN_COLUMN, sw_view_str("\"Ada\""), &h);
	check("column", sw_hash_view(&h));
	sw_set_u64(sip, sw_sip(&shape.run[SW_PURPOSE_ROWS][0], sw_view_str("1.json")));
	check("sip", sw_view(sip, sizeof(sip)));
}

static struct sw_hash make_tree(struct sw_nodes *nodes, size_t n)
{
	struct sw_edit *edits = calloc(n, sizeof(*edits));
	char(*text)[2][32] = calloc(n, sizeof(*text));
	struct sw_hash root;

	assert_true(edits && text);
	for (size_t i = 0; i < n; i++) {
		snprintf(text[i][0], 32, "k%04zu", i);
		snprintf(text[i][1], 32, "v%zu", i * i);
		edits[i] = (struct sw_edit){.key = sw_view_str(text[i][0]), .value = sw_view_str(text[i][1])};
	}
	assert_int_equal(sw_tree_apply(nodes, &shape, SW_PURPOSE_TAGS, &sw_hash_zero, edits, n, &root), 0);
	free(edits);
	free(text);
	return root;
}

static void trees_and_blobs(void **state)
{
	struct sw_nodes *nodes;
	struct sw_row row = {0};
	struct sw_view record;
	struct sw_hash root;
	uint8_t *bytes = malloc(200000);
	uint32_t x = 1;

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(sw_nodes_new(NULL, &nodes), 0);
	root = make_tree(nodes, 3);
	check("tree3", sw_hash_view(&root));
	assert_int_equal(sw_nodes_get(nodes, &root, &record), 0);
	check("leaf3", record);
	root = make_tree(nodes, 1000);
	check("tree1000", sw_hash_view(&root));
	for (size_t i = 0; i < 200000; i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(x >> 24);
	}
	assert_int_equal(sw_row_make(nodes, &shape, sw_view(bytes, 200000), &row), 0);
	check("blob", sw_hash_view(&row.blob));
	assert_int_equal(sw_nodes_get(nodes, &row.blob, &record), 0);
	check("index", record);
	sw_nodes_free(nodes);
	free(bytes);
}

static void changesets_commits_and_watermarks(void **state)
{
	struct sw_op ops[2] = {{.kind = SW_OP_GENESIS, .salt = salt}, {.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN}};
	struct sw_op put = {.kind = SW_OP_PUT,
			    .table = sw_view_str("t"),
			    .key = sw_view_str("r"),
			    .row = {.mode = 0644, .mtime_ns = 1000, .size = 5, .bytes = sw_view_str("hello")}};
	struct sw_commit c = {.rule = 1, .stamp = 1790000000000ull << 16, .message = sw_view_str("first")}, again;
	struct sw_watermark mark = {.stamp = 1790000000001ull << 16, .head.count = 1, .n_tips = 1};
	uint8_t seed[SW_KEY_SEED_SIZE];
	struct sw_identity *id;
	struct sw_nodes *nodes;
	size_t n_blobs;
	SW_BUF water = {0};
	SW_BUF genesis = {0};
	SW_BUF raw = {0};
	SW_BUF merge = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)(i + 1);
	assert_int_equal(sw_identity_from_seed(seed, &id), 0);
	check("key", sw_view(sw_identity_key(id)->b, SW_KEY_SIZE));
	ops[1].member = *sw_identity_key(id);
	sw_changeset_encode(SW_MODE_CONTROL, ops, 2, &genesis, NULL);
	check("changeset", sw_buf_view(&genesis));
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&genesis), &c.changeset);
	check("changesethash", sw_hash_view(&c.changeset));
	assert_int_equal(sw_nodes_new(NULL, &nodes), 0);
	c.state = make_tree(nodes, 1000);
	sw_commit_seal(&c, id, &raw);
	check("commit", sw_buf_view(&raw));
	check("id", sw_hash_view(&c.id));
	assert_int_equal(sw_commit_decode(sw_buf_view(&raw), &again), 0);
	assert_int_equal(sw_commit_verify(sw_buf_view(&raw), &again), 0);
	sw_changeset_encode(SW_MODE_MERGE, &put, 1, &merge, NULL);
	check("put", sw_buf_view(&merge));
	mark.head.state = c.state;
	mark.head.line = make_tree(nodes, 3);
	mark.tips = sw_hash_view(&c.id);
	sw_watermark_seal(&mark, &c.id, id, &water);
	check("watermark", sw_buf_view(&water));
	put.table = sw_view("\xff\xfe", 2);
	put.key = sw_view_str("caf\xe9");
	sw_buf_reset(&merge);
	sw_changeset_encode(SW_MODE_MERGE, &put, 1, &merge, NULL);
	check("bytes", sw_buf_view(&merge));
	assert_int_equal(sw_changeset_check(sw_buf_view(&merge), &n_blobs), 0);
	sw_nodes_free(nodes);
	sw_identity_free(id);
}

/* A small history: a column merge and a conflict. Who writes it down the same way finds the same roots. */

#define SCRIPT_STAMP(n) (((uint64_t)1790000000000 + (n)) << 16)

struct script {
	struct sw_identity *a, *b;
	struct sw_hash database;
	struct sw_buf raw[5], changeset[5];
	struct sw_hash id[5];
};

static void script_seal(struct script *s, size_t i, const struct sw_identity *author, enum sw_mode mode,
			const struct sw_op *ops, size_t n, struct sw_commit c)
{
	sw_changeset_encode(mode, ops, n, &s->changeset[i], NULL);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&s->changeset[i]), &c.changeset);
	c.rule = 1;
	c.database = s->database;
	sw_commit_seal(&c, author, &s->raw[i]);
	s->id[i] = c.id;
}

static struct sw_op script_put(const char *key, const char *old, const char *new, int64_t mtime_ns)
{
	struct sw_op op = {.kind = SW_OP_PUT,
			   .table = sw_view_str("t"),
			   .key = sw_view_str(key),
			   .row = {.mode = 0644, .mtime_ns = mtime_ns, .size = strlen(new), .bytes = sw_view_str(new)}};

	if (old)
		sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str(old), &op.old);
	return op;
}

static void script_column(struct sw_op *op, const char *name, const char *old, struct sw_buf *out)
{
	struct sw_op_column c = {.name = sw_view_str(name)};

	sw_hash_compute(SW_DOMAIN_COLUMN, sw_view_str(old), &c.old);
	sw_op_column_encode(&c, out);
	op->has_columns = true;
	op->n_columns = 1;
	op->columns = sw_buf_view(out);
}

static void script_make(struct script *s)
{
	static const char row[] = "{\"x\":1,\"y\":1}";
	struct sw_op ops[2] = {{.kind = SW_OP_GENESIS, .salt = salt}, {.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN}};
	uint8_t seed[2][SW_KEY_SEED_SIZE];
	struct sw_commit c = {.stamp = SCRIPT_STAMP(0), .message = sw_view_str("first")};
	struct sw_nodes *nodes;
	SW_BUF x = {0};
	SW_BUF y = {0};

	*s = (struct script){0};
	for (size_t i = 0; i < 2 * SW_KEY_SEED_SIZE; i++)
		seed[i / SW_KEY_SEED_SIZE][i % SW_KEY_SEED_SIZE] = (uint8_t)(i + 1);
	assert_int_equal(sw_identity_from_seed(seed[0], &s->a), 0);
	assert_int_equal(sw_identity_from_seed(seed[1], &s->b), 0);
	ops[1].member = *sw_identity_key(s->a);
	assert_int_equal(sw_nodes_new(NULL, &nodes), 0);
	c.state = make_tree(nodes, 1000);
	sw_nodes_free(nodes);
	script_seal(s, 0, s->a, SW_MODE_CONTROL, ops, 2, c);
	s->database = s->id[0];
	ops[1].role = SW_ROLE_WRITER;
	ops[1].member = *sw_identity_key(s->b);
	script_seal(s, 1, s->a, SW_MODE_CONTROL, &ops[1], 1,
		    (struct sw_commit){.stamp = SCRIPT_STAMP(1), .n_parents = 1, .parents = {s->id[0]}});
	ops[0] = script_put("r.json", NULL, row, 1000);
	ops[1] = script_put("s", NULL, "one", 1000);
	script_seal(s, 2, s->a, SW_MODE_MERGE, ops, 2,
		    (struct sw_commit){.stamp = SCRIPT_STAMP(2), .n_parents = 1, .parents = {s->id[1]}});
	ops[0] = script_put("r.json", row, "{\"x\":2,\"y\":1}", 2000);
	script_column(&ops[0], "x", "1", &x);
	ops[1] = script_put("s", "one", "two", 2000);
	script_seal(s, 3, s->a, SW_MODE_MERGE, ops, 2,
		    (struct sw_commit){.stamp = SCRIPT_STAMP(3), .n_parents = 1, .parents = {s->id[2]}});
	ops[0] = script_put("r.json", row, "{\"x\":1,\"y\":2}", 1500000000);
	script_column(&ops[0], "y", "1", &y);
	ops[1] = script_put("s", "one", "three", 1500000000);
	script_seal(s, 4, s->b, SW_MODE_MERGE, ops, 2,
		    (struct sw_commit){.stamp = SCRIPT_STAMP(4), .n_parents = 1, .parents = {s->id[2]}});
}

static void a_history_with_a_merge_and_a_conflict(void **state)
{
	struct sw_incoming in[5] = {{.taken = SW_TAKEN}};
	struct oracle oracle;
	struct script s;
	struct test_db t;
	struct sw_head head;
	struct sw_hash root;
	size_t n_taken;
	char text[64];

	(void)state;
	script_make(&s);
	test_db_dir(&t, 1);
	t.env.now_ms += 1000;
	oracle_init(&oracle, &salt);
	TEST_OK(sw_db_create_clone(t.dir, &t.env.env, &s.database, &t.db));
	for (size_t i = 0; i < 5; i++) {
		in[i].commit = sw_buf_view(&s.raw[i]);
		in[i].changeset = sw_buf_view(&s.changeset[i]);
		oracle_add(&oracle, in[i].commit, in[i].changeset);
	}
	TEST_OK(sw_db_receive(t.db, in, 5, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, 5);
	assert_true(test_get(&t, "t", "r.json", text, sizeof(text)));
	assert_string_equal(text, "{\"x\":2,\"y\":2}");
	assert_true(test_get(&t, "t", "s", text, sizeof(text)));
	assert_string_equal(text, "three");
	sw_db_head(t.db, &head);
	oracle_fold(&oracle, oracle.n);
	assert_int_equal(oracle.conflicts.n, 1);
	root = oracle_state(&oracle);
	assert_true(sw_hash_eq(&root, &head.state));
	check("fourth", sw_buf_view(&s.changeset[4]));
	check("line", sw_hash_view(&head.line));
	check("state", sw_hash_view(&head.state));
	oracle_fini(&oracle);
	test_db_close(&t);
	for (size_t i = 0; i < 5; i++) {
		sw_buf_fini(&s.raw[i]);
		sw_buf_fini(&s.changeset[i]);
	}
	sw_identity_free(s.a);
	sw_identity_free(s.b);
}

/* Every cut-off or changed byte of a commit or changeset is refused, or is another commit. */
static void nothing_else_is_accepted(void **state)
{
	uint8_t bytes[1024];

	(void)state;
	for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++) {
		size_t n = strlen(vectors[v].hex) / 2;
		bool is_commit = strcmp(vectors[v].name, "commit") == 0;
		struct sw_commit c, other;
		size_t n_blobs;

		if (!is_commit && strcmp(vectors[v].name, "changeset") != 0 && strcmp(vectors[v].name, "put") != 0)
			continue;
		assert_int_equal(sw_unhex(sw_view_str(vectors[v].hex), bytes, n), 0);
		for (size_t cut = 0; cut < n; cut++) {
			struct sw_view part = sw_view(bytes, cut);

			assert_true(is_commit ? sw_commit_decode(part, &c) < 0 : sw_changeset_check(part, &n_blobs) < 0);
		}
		for (size_t i = 0; is_commit && i < n; i++) {
			assert_int_equal(sw_commit_decode(sw_view(bytes, n), &c), 0);
			bytes[i] ^= 0x40;
			if (sw_commit_decode(sw_view(bytes, n), &other) == 0)
				assert_true(sw_commit_verify(sw_view(bytes, n), &other) < 0);
			bytes[i] ^= 0x40;
		}
	}
}

/* The document's vectors are wrapped: compare without white space. */
static void the_document_prints_the_same(void **state)
{
	FILE *f = fopen(SW_TEST_DATA "/../../core/FORMAT.md", "r");
	char *text = calloc(1, 1 << 20);
	size_t n = 0;
	int ch;

	(void)state;
	assert_true(f && text);
	while ((ch = fgetc(f)) != EOF && n < (1 << 20) - 1)
		if (ch != ' ' && ch != '\n')
			text[n++] = (char)ch;
	fclose(f);
	for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++)
		assert_non_null(strstr(text, vectors[v].hex));
	free(text);
}

/* Of the bytes 1, 2, 3, ... under a key of zeros, as another implementation of SipHash-1-3 says; nothing that is stored depends on it. */
static void the_quick_hash_is_siphash_1_3(void **state)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} known[] = {
	    {1, UINT64_C(0x44bc103b1f8540ed)}, {7, UINT64_C(0xb1cd85cc334196fa)}, {8, UINT64_C(0x884ccc87cb0e5fb0)},
	    {9, UINT64_C(0x027ed508fe95acb3)}, {16, UINT64_C(0xe05d12a0a4b2d063)}, {31, UINT64_C(0x47670cb24a35602f)},
	};
	const struct sw_sip_key key = {{0}};
	uint8_t bytes[31];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal(sw_sip13(&key, sw_view(bytes, known[i].n)), known[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(encodings_and_hashes),	cmocka_unit_test(trees_and_blobs),
	    cmocka_unit_test(changesets_commits_and_watermarks),	cmocka_unit_test(a_history_with_a_merge_and_a_conflict),
	    cmocka_unit_test(nothing_else_is_accepted), cmocka_unit_test(the_document_prints_the_same),
	    cmocka_unit_test(the_quick_hash_is_siphash_1_3),
	};

	if (sw_crypto_init() < 0)
		return 1;
	for (size_t i = 0; i < SW_HASH_SIZE; i++)
		salt.b[i] = (uint8_t)i;
	sw_shape_init(&shape, &salt);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
