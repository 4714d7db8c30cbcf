#include "core/blob.h"

#include <assert.h>
#include <stdlib.h>

/* One entry of an index: a chunk or a lower index. */
struct part {
	struct sw_hash hash;
	uint64_t size;
};

struct part_list {
	struct part *v;
	size_t n, cap;
};

struct sw_blob_writer {
	struct sw_nodes *nodes; /* NULL: the records are not kept */
	const struct sw_shape *shape;
	struct sw_buf chunk; /* kind byte, then the bytes since the last cut */
	uint64_t gear;
	uint64_t size;
	struct part_list chunks;
};

static int list_add(struct part_list *l, const struct part *p)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct part *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *p;
	return 0;
}

int sw_blob_writer_new(struct sw_nodes *nodes, const struct sw_shape *shape,
		       struct sw_blob_writer **out)
{
	struct sw_blob_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return SW_ENOMEM;
	w->nodes = nodes;
	w->shape = shape;
	sw_buf_put_u8(&w->chunk, SW_NODE_DATA);
	*out = w;
	return 0;
}

void sw_blob_writer_free(struct sw_blob_writer *w)
{
	if (!w)
		return;
	sw_buf_fini(&w->chunk);
	free(w->chunks.v);
	free(w);
}

static int put_record(struct sw_nodes *nodes, const struct sw_buf *bytes, struct sw_hash *hash)
{
	if (nodes)
		return sw_nodes_put(nodes, sw_buf_view(bytes), hash);
	sw_hash_compute(SW_DOMAIN_NODE, sw_buf_view(bytes), hash);
	return 0;
}

static int cut_chunk(struct sw_blob_writer *w)
{
	struct part p = {.size = w->chunk.n - 1};
	int rc;

	if (w->chunk.rc < 0)
		return w->chunk.rc;
	if (p.size == 0)
		return 0;
	rc = put_record(w->nodes, &w->chunk, &p.hash);
	if (rc == 0)
		rc = list_add(&w->chunks, &p);
	w->chunk.n = 1;
	w->gear = 0;
	return rc;
}

/* Bytes of `bytes` that belong to the current chunk; *ends when it ends there. */
static size_t chunk_part(struct sw_blob_writer *w, struct sw_view bytes, bool *ends)
{
	size_t have = w->chunk.n - 1;
	uint64_t gear = w->gear;

	*ends = false;
	for (size_t i = 0; i < bytes.n; i++) {
		gear = (gear << 1) + w->shape->gear[bytes.p[i]];
		have++;
		if ((have >= SW_CHUNK_MIN && gear >> (64 - SW_CHUNK_BITS) == 0) ||
		    have == SW_CHUNK_MAX) {
			*ends = true;
			return i + 1;
		}
	}
	w->gear = gear;
	return bytes.n;
}

int sw_blob_writer_add(struct sw_blob_writer *w, struct sw_view bytes)
{
	while (bytes.n > 0) {
		bool ends;
		size_t n = chunk_part(w, bytes, &ends);

		sw_buf_put(&w->chunk, bytes.p, n);
		w->size += n;
		bytes = sw_view(bytes.p + n, bytes.n - n);
		if (ends || w->chunk.rc < 0) {
			int rc = cut_chunk(w);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* Cutting one level of parts into index records. */
struct index_cut {
	struct sw_nodes *nodes; /* as in the writer */
	const struct part *parts;
	uint8_t level;
	struct part_list up;
};

static int cut_index(void *arg, size_t first, size_t n)
{
	struct index_cut *c = arg;
	struct part p = {0};
	SW_BUF bytes = {0};
	int rc;

	sw_buf_put_u8(&bytes, SW_NODE_INDEX);
	sw_buf_put_u8(&bytes, c->level);
	sw_buf_put_varint(&bytes, n);
	for (size_t i = first; i < first + n; i++) {
		sw_buf_put_varint(&bytes, c->parts[i].size);
		sw_buf_put_hash(&bytes, &c->parts[i].hash);
		p.size += c->parts[i].size;
	}
	if (bytes.rc < 0)
		return bytes.rc;
	rc = put_record(c->nodes, &bytes, &p.hash);
	return rc < 0 ? rc : list_add(&c->up, &p);
}

#define INDEX_ENTRY_VALUE_SIZE 8 /* nominal: cuts must not depend on sizes */

/* Parts of one level to the parts of the next: runs by rule 1, nodes by rule 2. */
static int index_level(const struct sw_shape *shape, uint8_t level, const struct part_list *parts,
		       sw_cut_fn fn, void *arg)
{
	struct sw_entry *entries = calloc(parts->n, sizeof(*entries));
	size_t first = 0;
	int rc = 0;

	if (!entries)
		return SW_ENOMEM;
	for (size_t i = 0; i < parts->n; i++)
		entries[i] = (struct sw_entry){sw_hash_view(&parts->v[i].hash),
					       sw_view(NULL, INDEX_ENTRY_VALUE_SIZE)};
	/* Each run is cut by itself; fn gets indexes from the run's start, so it is told through base. */
	for (size_t i = 0; rc == 0 && i < parts->n; i++) {
		if (i + 1 < parts->n &&
		    !sw_cut_ends_run(shape, SW_PURPOSE_BLOB, level, entries[i].key))
			continue;
		((struct index_cut *)arg)->parts = parts->v + first;
		rc = sw_cut_run(shape, SW_PURPOSE_BLOB, level, entries + first, i + 1 - first, fn, arg);
		first = i + 1;
	}
	free(entries);
	return rc;
}

int sw_blob_writer_finish(struct sw_blob_writer *w, struct sw_hash *root, uint64_t *size)
{
	struct part_list parts;
	int rc = cut_chunk(w);

	if (rc < 0)
		return rc;
	assert(w->chunks.n > 0);
	parts = w->chunks;
	w->chunks = (struct part_list){0};
	for (uint8_t level = 1; rc == 0 && parts.n > 1; level++) {
		struct index_cut c = {.nodes = w->nodes, .level = level};

		if (level > SW_BLOB_LEVEL_MAX)
			rc = sw_fail(SW_ELIMIT, "a row's index grew over %d levels", SW_BLOB_LEVEL_MAX);
		else
			rc = index_level(w->shape, level, &parts, cut_index, &c);
		free(parts.v);
		parts = c.up;
	}
	if (rc == 0) {
		*root = parts.v[0].hash;
		*size = w->size;
	}
	free(parts.v);
	return rc;
}

/* The parts of an index record. SW_EFORMAT unless canonical. */
static int index_decode(struct sw_view bytes, uint8_t *level, struct part_list *out)
{
	struct sw_rd r = sw_rd(bytes);
	uint8_t kind = sw_rd_u8(&r);
	uint64_t n;
	int rc = 0;

	*level = sw_rd_u8(&r);
	n = sw_rd_varint_max(&r, SW_NODE_BYTES_MAX);
	if (r.bad || kind != SW_NODE_INDEX || *level == 0 || *level > SW_BLOB_LEVEL_MAX || n == 0)
		return SW_EFORMAT;
	for (uint64_t i = 0; rc == 0 && i < n; i++) {
		struct part p;

		p.size = sw_rd_varint_max(&r, SW_ROW_SIZE_MAX);
		sw_rd_hash(&r, &p.hash);
		if (r.bad || p.size == 0)
			rc = SW_EFORMAT;
		else
			rc = list_add(out, &p);
	}
	return rc < 0 ? rc : sw_rd_done(&r);
}

static int read_part(const struct sw_nodes *nodes, const struct sw_hash *hash, int level,
		     uint64_t offset, uint8_t *out, size_t n, size_t *got)
{
	struct part_list parts = {0};
	struct sw_view bytes;
	uint8_t own_level;
	int rc = sw_nodes_get(nodes, hash, &bytes);

	if (rc < 0)
		return rc;
	if (bytes.n > 0 && bytes.p[0] == SW_NODE_DATA) {
		size_t have = offset < bytes.n - 1 ? bytes.n - 1 - (size_t)offset : 0;

		*got = have < n ? have : n;
		memcpy(out, bytes.p + 1 + (have ? offset : 0), *got);
		return 0;
	}
	rc = index_decode(bytes, &own_level, &parts);
	if (rc == 0 && own_level >= level)
		rc = SW_EFORMAT;
	for (size_t i = 0; rc == 0 && i < parts.n && *got < n; i++) {
		size_t part_got = 0;

		if (offset >= parts.v[i].size) {
			offset -= parts.v[i].size;
			continue;
		}
		rc = read_part(nodes, &parts.v[i].hash, own_level, offset, out + *got, n - *got,
			       &part_got);
		*got += part_got;
		offset = 0;
	}
	free(parts.v);
	return rc == SW_EFORMAT ? SW_ECORRUPT : rc;
}

int sw_blob_read(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t offset, void *out,
		 size_t n, size_t *got)
{
	*got = 0;
	return read_part(nodes, root, SW_BLOB_LEVEL_MAX + 1, offset, out, n, got);
}

struct blob_check {
	const struct sw_nodes *nodes;
	const struct sw_shape *shape;
	sw_ref_fn missing;
	void *arg;
	uint64_t n_missing;
};

static int check_part(struct blob_check *c, const struct part *p, int level)
{
	struct part_list parts = {0};
	struct sw_view bytes;
	uint64_t size = 0;
	uint8_t own_level;
	int rc;

	if (!sw_nodes_has(c->nodes, &p->hash)) {
		c->n_missing++;
		return c->missing ? c->missing(c->arg, &p->hash) : 0;
	}
	rc = sw_nodes_get(c->nodes, &p->hash, &bytes);
	if (rc < 0)
		return rc;
	if (bytes.p[0] == SW_NODE_DATA)
		return bytes.n - 1 == p->size && p->size <= SW_CHUNK_MAX && level <= 1 ? 0 : SW_EFORMAT;
	rc = index_decode(bytes, &own_level, &parts);
	if (rc == 0 && level > 0 && own_level != level - 1)
		rc = SW_EFORMAT;
	for (size_t i = 0; rc == 0 && i < parts.n; i++) {
		size += parts.v[i].size;
		rc = check_part(c, &parts.v[i], own_level);
	}
	if (rc == 0 && size != p->size)
		rc = SW_EFORMAT;
	free(parts.v);
	return rc;
}

/* When all is there, the one proof that it is cut as the writer cuts: write it again, and keep nothing of that. */
static int check_cuts(struct blob_check *c, const struct sw_hash *root, uint64_t size)
{
	struct sw_blob_writer *w = NULL;
	uint8_t block[SW_CHUNK_MAX];
	struct sw_hash again;
	uint64_t at = 0;
	int rc = sw_blob_writer_new(NULL, c->shape, &w);

	while (rc == 0 && at < size) {
		size_t got;

		rc = sw_blob_read(c->nodes, root, at, block, sizeof(block), &got);
		if (rc == 0 && got == 0)
			rc = SW_EFORMAT;
		if (rc == 0)
			rc = sw_blob_writer_add(w, sw_view(block, got));
		at += got;
	}
	if (rc == 0)
		rc = sw_blob_writer_finish(w, &again, &at);
	if (rc == 0 && !sw_hash_eq(&again, root))
		rc = SW_EFORMAT;
	sw_blob_writer_free(w);
	return rc;
}

int sw_blob_check(const struct sw_nodes *nodes, const struct sw_shape *shape, const struct sw_hash *root,
		  uint64_t size, sw_ref_fn missing, void *arg, uint64_t *n_missing)
{
	struct blob_check c = {.nodes = nodes, .shape = shape, .missing = missing, .arg = arg};
	struct part root_part = {.hash = *root, .size = size};
	int rc = check_part(&c, &root_part, 0);

	*n_missing = c.n_missing;
	if (rc == 0 && shape && c.n_missing == 0)
		rc = check_cuts(&c, root, size);
	return rc;
}

int sw_row_make(struct sw_nodes *nodes, const struct sw_shape *shape, struct sw_view bytes,
		struct sw_row *row)
{
	struct sw_blob_writer *w;
	int rc;

	row->size = bytes.n;
	row->is_blob = bytes.n > SW_INLINE_MAX;
	row->bytes = row->is_blob ? sw_view(NULL, 0) : bytes;
	row->blob = sw_hash_zero;
	if (!row->is_blob)
		return 0;
	rc = sw_blob_writer_new(nodes, shape, &w);
	if (rc < 0)
		return rc;
	rc = sw_blob_writer_add(w, bytes);
	if (rc == 0)
		rc = sw_blob_writer_finish(w, &row->blob, &row->size);
	sw_blob_writer_free(w);
	return rc;
}

int sw_row_read(const struct sw_nodes *nodes, const struct sw_row *row, struct sw_buf *out)
{
	uint8_t *to;
	size_t got;
	int rc;

	if (!row->is_blob) {
		sw_buf_put_view(out, row->bytes);
		return out->rc;
	}
	to = sw_buf_reserve(out, (size_t)row->size);
	if (!to)
		return out->rc;
	rc = sw_blob_read(nodes, &row->blob, 0, to, (size_t)row->size, &got);
	if (rc == 0 && got != row->size)
		rc = sw_fail(SW_ECORRUPT, "a large row is shorter than it says");
	if (rc == 0)
		out->n += got;
	return rc;
}
