#include "core/blob.h"

#include <assert.h>
#include <stdlib.h>

#define ASKED_MAX ((size_t)1 << 20) /* bytes that the disk is asked for at once */

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

/* Going through the parts of an index record. */
struct index_rd {
	struct sw_rd r;
	uint8_t level;
	uint64_t n_left;
};

static int index_begin(struct sw_view bytes, struct index_rd *out)
{
	struct sw_rd *r = &out->r;
	uint8_t kind;

	*r = sw_rd(bytes);
	kind = sw_rd_u8(r);
	out->level = sw_rd_u8(r);
	out->n_left = sw_rd_varint_max(r, SW_NODE_BYTES_MAX);
	if (r->bad || kind != SW_NODE_INDEX || out->level == 0 || out->level > SW_BLOB_LEVEL_MAX ||
	    out->n_left == 0)
		return SW_EFORMAT;
	return 0;
}

/* 1 with the next part, 0 at the end. SW_EFORMAT unless canonical up to there. */
static int index_next(struct index_rd *x, struct part *out)
{
	if (x->n_left == 0)
		return sw_rd_done(&x->r);
	x->n_left--;
	out->size = sw_rd_varint_max(&x->r, SW_ROW_SIZE_MAX);
	sw_rd_hash(&x->r, &out->hash);
	return x->r.bad || out->size == 0 ? SW_EFORMAT : 1;
}

/* Going through a part of a blob's bytes. */
struct walk {
	const struct sw_nodes *nodes;
	uint64_t n_skip; /* bytes before the next ones that are wanted */
	size_t n_left;   /* bytes that are wanted */
	size_t n_asked;  /* bytes of them that the disk has been asked for */
	sw_piece_fn fn;
	void *arg;
};

/* The chunks of a row were written one behind the other: the disk can read many at once, not a page at a time. */
static void ask_for(struct walk *w, struct sw_view first)
{
	if (w->n_asked > 0)
		return;
	w->n_asked = w->n_left < ASKED_MAX ? w->n_left : ASKED_MAX;
	/* A chunk ends in the middle of a page. */
	if (w->n_asked > first.n)
		sw_store_will_read(first.p, w->n_asked + w->n_asked / 4);
}

static int walk_data(struct walk *w, struct sw_view data)
{
	size_t n;

	if (w->n_skip >= data.n) {
		w->n_skip -= data.n;
		return 0;
	}
	data = sw_view(data.p + w->n_skip, data.n - (size_t)w->n_skip);
	ask_for(w, data);
	n = data.n < w->n_left ? data.n : w->n_left;
	w->n_skip = 0;
	w->n_left -= n;
	w->n_asked -= n < w->n_asked ? n : w->n_asked;
	return w->fn(w->arg, sw_view(data.p, n));
}

/* p->size is 0 for the root: nobody has said it. */
static int walk_part(struct walk *w, const struct part *p, int level)
{
	struct sw_view bytes;
	struct index_rd x;
	struct part below;
	int rc = sw_nodes_get(w->nodes, &p->hash, &bytes);

	if (rc < 0)
		return rc;
	if (bytes.n > 0 && bytes.p[0] == SW_NODE_DATA) {
		if (p->size > 0 && bytes.n - 1 != p->size)
			return SW_EFORMAT;
		return walk_data(w, sw_view(bytes.p + 1, bytes.n - 1));
	}
	rc = index_begin(bytes, &x);
	if (rc == 0 && x.level >= level)
		rc = SW_EFORMAT;
	while (rc == 0 && w->n_left > 0 && (rc = index_next(&x, &below)) > 0) {
		rc = 0;
		if (w->n_skip >= below.size)
			w->n_skip -= below.size;
		else
			rc = walk_part(w, &below, x.level);
	}
	return rc;
}

int sw_blob_walk(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t offset,
		 size_t n, sw_piece_fn fn, void *arg)
{
	struct walk w = {.nodes = nodes, .n_skip = offset, .n_left = n, .fn = fn, .arg = arg};
	const struct part all = {.hash = *root};
	int rc = walk_part(&w, &all, SW_BLOB_LEVEL_MAX + 1);

	return rc == SW_EFORMAT ? SW_ECORRUPT : rc;
}

static int copy_piece(void *arg, struct sw_view piece)
{
	uint8_t **to = arg;

	memcpy(*to, piece.p, piece.n);
	*to += piece.n;
	return 0;
}

int sw_blob_read(const struct sw_nodes *nodes, const struct sw_hash *root, uint64_t offset, void *out,
		 size_t n, size_t *got)
{
	uint8_t *to = out;
	int rc = sw_blob_walk(nodes, root, offset, n, copy_piece, &to);

	*got = (size_t)(to - (uint8_t *)out);
	return rc;
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
	struct index_rd x;
	struct part below;
	struct sw_view bytes;
	uint64_t size = 0;
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
	rc = index_begin(bytes, &x);
	if (rc == 0 && level > 0 && x.level != level - 1)
		rc = SW_EFORMAT;
	while (rc == 0 && (rc = index_next(&x, &below)) > 0) {
		size += below.size;
		rc = check_part(c, &below, x.level);
	}
	return rc == 0 && size != p->size ? SW_EFORMAT : rc;
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
