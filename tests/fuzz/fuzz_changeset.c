/*
 * Changesets from anybody. One that is accepted yields operations that give the same bytes when
 * they are encoded again, and each is found again at its offset.
 */
#include "core/changeset.h"
#include "core/sign.h"
#include "tests/fuzz/fuzz.h"

struct ops {
	struct sw_op *v;
	size_t n, cap;
};

static void push(struct ops *o, const struct sw_op *op)
{
	if (o->n == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 16;
		o->v = realloc(o->v, o->cap * sizeof(*o->v));
		must(o->v != NULL);
	}
	o->v[o->n++] = *op;
}

static void check_columns(const struct sw_op *op)
{
	struct sw_rd r = sw_rd(op->columns);
	struct sw_op_column c;
	SW_BUF again = {0};
	size_t n = 0;
	int rc;

	while ((rc = sw_op_column_next(&r, &c)) > 0) {
		sw_op_column_encode(&c, &again);
		n++;
	}
	must(rc == 0 && n == op->n_columns);
	must(sw_view_eq(sw_buf_view(&again), op->columns));
}

static void check_op(struct sw_view bytes, const struct sw_changeset *c, const struct sw_op *op)
{
	struct sw_hash hash;
	enum sw_mode mode;
	struct sw_op again;

	if (op->has_columns)
		check_columns(op);
	if (op->kind == SW_OP_PUT || op->kind == SW_OP_DELETE)
		sw_op_new_hash(op, &hash);
	must(sw_changeset_at(bytes, c->offset, &mode, &again) == 0);
	must(mode == c->mode && again.kind == op->kind && sw_op_cmp(&again, op) == 0);
}

static void encode_again(struct sw_view bytes, enum sw_mode mode, const struct ops *o)
{
	uint32_t *offsets = calloc(o->n + 1, sizeof(*offsets));
	SW_BUF out = {0};

	must(offsets != NULL);
	sw_changeset_encode(mode, o->v, o->n, &out, offsets);
	must(out.rc == 0 && sw_view_eq(sw_buf_view(&out), bytes));
	for (size_t i = 0; i < o->n; i++) {
		enum sw_mode same;
		struct sw_op op;

		must(sw_changeset_at(bytes, offsets[i], &same, &op) == 0 &&
		     op.kind == o->v[i].kind);
	}
	free(offsets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_view bytes = sw_view(data, size);
	struct sw_changeset c;
	struct ops ops = {0};
	struct sw_op op;
	size_t n_blobs;
	int verdict, rc;

	must(sw_crypto_init() == 0);
	verdict = sw_changeset_check(bytes, &n_blobs);
	rc = sw_changeset_begin(&c, bytes);
	while (rc >= 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		check_op(bytes, &c, &op);
		push(&ops, &op);
	}
	must((rc == 0) == (verdict == 0));
	if (rc == 0)
		encode_again(bytes, c.mode, &ops);
	free(ops.v);
	return 0;
}
