#include "core/pieces.h"

#include <stdlib.h>

#include "core/blob.h"

void sw_pieces_init(struct sw_pieces *p)
{
	p->v = p->few;
	p->cap = SW_PIECES_FEW;
	p->n = p->n_bytes = 0;
	p->reader = (struct sw_reader){0};
	p->copy = (struct sw_buf){0};
}

void sw_pieces_fini(struct sw_pieces *p)
{
	sw_reader_end(&p->reader);
	sw_buf_fini(&p->copy);
	if (p->v != p->few)
		free(p->v);
	sw_pieces_init(p);
}

static int grow(struct sw_pieces *p)
{
	size_t cap = p->cap * 2;
	struct sw_view *v = p->v == p->few ? NULL : p->v;

	v = realloc(v, cap * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	if (p->v == p->few)
		memcpy(v, p->few, sizeof(p->few));
	p->v = v;
	p->cap = cap;
	return 0;
}

int sw_pieces_add(struct sw_pieces *p, struct sw_view piece)
{
	int rc = p->n == p->cap ? grow(p) : 0;

	if (rc < 0)
		return rc;
	p->v[p->n++] = piece;
	p->n_bytes += piece.n;
	return 0;
}

static int add_piece(void *arg, struct sw_view piece)
{
	return sw_pieces_add(arg, piece);
}

int sw_pieces_add_row(struct sw_pieces *p, const struct sw_row *row, uint64_t offset, size_t n)
{
	if (offset >= row->size || n == 0)
		return 0;
	if (n > row->size - offset)
		n = (size_t)(row->size - offset);
	if (row->is_blob)
		return sw_blob_walk(p->reader.nodes, &row->blob, offset, n, add_piece, p);
	return sw_pieces_add(p, sw_view(row->bytes.p + offset, n));
}

void sw_pieces_copy(const struct sw_pieces *p, void *out)
{
	uint8_t *to = out;

	for (size_t i = 0; i < p->n; i++) {
		memcpy(to, p->v[i].p, p->v[i].n);
		to += p->v[i].n;
	}
}
