/*
 * Large rows from anybody. The input builds records that refer to one another: pieces of data,
 * indexes of records made before with right or wrong sizes, and raw bytes. A blob that passes the
 * check is read to its size, in pieces of any length; one that passes with the cuts is what the
 * writer makes of its content.
 */
#include "core/blob.h"
#include "core/sign.h"
#include "tests/fuzz/fuzz.h"

#define RECORDS_MAX 64
#define READ_MAX    ((uint64_t)2 << 20)

struct record {
	struct sw_hash hash;
	uint64_t size; /* of the bytes below it, as far as it says */
};

struct builder {
	struct sw_nodes *nodes;
	struct record v[RECORDS_MAX];
	size_t n;
};

static void add(struct builder *b, struct sw_view record, uint64_t size)
{
	struct record *r = &b->v[b->n];

	if (record.n == 0 || record.n > SW_RECORD_SIZE_MAX)
		return;
	must(sw_nodes_put(b->nodes, record, &r->hash) == 0);
	r->size = size;
	b->n++;
}

/* Up to 32 KiB from a few bytes of input: repeated, or run through a generator so that cuts fall
 * anywhere. */
static void add_data(struct builder *b, struct sw_rd *in)
{
	size_t n = sw_rd_u16(in) % (SW_CHUNK_MAX + 1);
	uint32_t x = sw_rd_u8(in);
	bool is_random = x & 1;
	SW_BUF record = {0};

	sw_buf_put_u8(&record, SW_NODE_DATA);
	for (size_t i = 0; i < n; i++) {
		if (is_random)
			x = 1664525 * x + 1013904223;
		sw_buf_put_u8(&record, (uint8_t)(x >> (is_random ? 24 : 0)));
	}
	add(b, sw_buf_view(&record), n);
}

static void add_index(struct builder *b, struct sw_rd *in)
{
	uint8_t level = sw_rd_u8(in), n = sw_rd_u8(in);
	uint64_t total = 0;
	SW_BUF record = {0};

	sw_buf_put_u8(&record, SW_NODE_INDEX);
	sw_buf_put_u8(&record, level);
	sw_buf_put_varint(&record, n);
	for (uint8_t i = 0; i < n; i++) {
		const struct record *r = &b->v[b->n ? sw_rd_u8(in) % b->n : 0];
		uint64_t size = r->size + (sw_rd_u8(in) == 255);

		sw_buf_put_varint(&record, size);
		sw_buf_put_hash(&record, &r->hash);
		total += size;
	}
	add(b, sw_buf_view(&record), total);
}

static void check_read(const struct sw_nodes *nodes, const struct record *r, struct sw_buf *content)
{
	uint8_t piece[1000];
	uint64_t at = 0;
	size_t got;

	must(sw_buf_reserve(content, (size_t)r->size + 1) != NULL);
	must(sw_blob_read(nodes, &r->hash, 0, content->p, (size_t)r->size + 1, &got) == 0);
	must(got == r->size);
	content->n = got;
	while (at < r->size) {
		must(sw_blob_read(nodes, &r->hash, at, piece, sizeof(piece), &got) == 0 && got > 0);
		must(memcmp(piece, content->p + at, got) == 0);
		at += got;
	}
}

/* What the writer makes of some bytes passes the check and is read back. */
static void check_writer(struct sw_nodes *nodes, const struct sw_shape *shape,
			 struct sw_view content, struct record *out)
{
	struct sw_blob_writer *w;
	uint64_t n_missing = 0;
	SW_BUF again = {0};

	must(sw_blob_writer_new(nodes, shape, &w) == 0 && sw_blob_writer_add(w, content) == 0);
	must(sw_blob_writer_finish(w, &out->hash, &out->size) == 0 && out->size == content.n);
	sw_blob_writer_free(w);
	must(sw_blob_check(nodes, shape, &out->hash, out->size, NULL, NULL, &n_missing) == 0);
	must(n_missing == 0);
	check_read(nodes, out, &again);
	must(sw_view_eq(sw_buf_view(&again), content));
}

static void check_blob(struct sw_nodes *nodes, const struct sw_shape *shape, const struct record *r)
{
	uint64_t n_missing = 0;
	struct record made;
	SW_BUF content = {0};

	if (r->size > READ_MAX)
		return;
	if (sw_blob_check(nodes, NULL, &r->hash, r->size, NULL, NULL, &n_missing) < 0) {
		must(sw_blob_check(nodes, shape, &r->hash, r->size, NULL, NULL, &n_missing) < 0);
		return;
	}
	if (n_missing > 0 || r->size == 0)
		return;
	check_read(nodes, r, &content);
	check_writer(nodes, shape, sw_buf_view(&content), &made);
	must(sw_hash_eq(&made.hash, &r->hash) ==
	     (sw_blob_check(nodes, shape, &r->hash, r->size, NULL, NULL, &n_missing) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sw_hash salt = {{7}};
	static struct sw_shape shape;
	static bool is_ready;
	struct builder b = {0};
	struct sw_rd in = sw_rd(sw_view(data, size));

	if (!is_ready) {
		must(sw_crypto_init() == 0);
		sw_shape_init(&shape, &salt);
		is_ready = true;
	}
	must(sw_nodes_new(NULL, &b.nodes) == 0);
	while (sw_rd_left(&in) > 0 && b.n < RECORDS_MAX) {
		uint8_t kind = sw_rd_u8(&in);

		if (kind % 4 == 0) {
			add_data(&b, &in);
		} else if (kind % 4 < 3) {
			add_index(&b, &in);
		} else {
			size_t n = sw_rd_u8(&in);

			add(&b, sw_rd_take(&in, n < sw_rd_left(&in) ? n : sw_rd_left(&in)), n);
		}
	}
	if (b.n > 0)
		check_blob(b.nodes, &shape, &b.v[b.n - 1]);
	sw_nodes_free(b.nodes);
	return 0;
}
