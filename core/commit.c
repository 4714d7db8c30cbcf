#include "core/commit.h"

#include <assert.h>

static void encode_header(const struct sw_commit *c, struct sw_buf *out)
{
	sw_buf_put_u8(out, SW_COMMIT_VERSION);
	sw_buf_put_varint(out, c->rule);
	sw_buf_put_hash(out, &c->database);
	sw_buf_put_varint(out, c->n_parents);
	for (size_t i = 0; i < c->n_parents; i++)
		sw_buf_put_hash(out, &c->parents[i]);
	sw_buf_put(out, c->author.b, SW_KEY_SIZE);
	sw_buf_put_u64(out, c->stamp);
	sw_buf_put_hash(out, &c->state);
	sw_buf_put_hash(out, &c->changeset);
	sw_buf_put_bytes(out, c->message);
}

int sw_commit_decode(struct sw_view bytes, struct sw_commit *out)
{
	struct sw_rd r = sw_rd(bytes);
	bool is_first;

	*out = (struct sw_commit){0};
	if (sw_rd_u8(&r) != SW_COMMIT_VERSION)
		return SW_EFORMAT;
	out->rule = sw_rd_varint(&r);
	sw_rd_hash(&r, &out->database);
	out->n_parents = (size_t)sw_rd_varint_max(&r, SW_PARENTS_MAX);
	for (size_t i = 0; i < out->n_parents && !r.bad; i++) {
		sw_rd_hash(&r, &out->parents[i]);
		if (i > 0 && sw_hash_cmp(&out->parents[i - 1], &out->parents[i]) >= 0)
			return SW_EFORMAT;
	}
	sw_rd_copy(&r, out->author.b, SW_KEY_SIZE);
	out->stamp = sw_rd_u64(&r);
	sw_rd_hash(&r, &out->state);
	sw_rd_hash(&r, &out->changeset);
	out->message = sw_rd_bytes(&r, SW_MESSAGE_MAX);
	if (r.bad)
		return SW_EFORMAT;
	sw_hash_compute(SW_DOMAIN_COMMIT, sw_view(bytes.p, (size_t)(r.p - bytes.p)), &out->id);
	sw_rd_copy(&r, out->sig.b, SW_SIG_SIZE);
	is_first = out->n_parents == 0;
	if (is_first != sw_hash_is_zero(&out->database))
		return SW_EFORMAT;
	return sw_rd_done(&r);
}

void sw_commit_seal(struct sw_commit *c, const struct sw_identity *id, struct sw_buf *out)
{
	size_t begin = out->n;
	struct sw_view header;

	assert(c->n_parents <= SW_PARENTS_MAX);
	assert(c->message.n <= SW_MESSAGE_MAX);
	c->author = *sw_identity_key(id);
	encode_header(c, out);
	if (out->rc < 0)
		return;
	header = sw_view(out->p + begin, out->n - begin);
	sw_hash_compute(SW_DOMAIN_COMMIT, header, &c->id);
	sw_identity_sign(id, header, &c->sig);
	sw_buf_put(out, c->sig.b, SW_SIG_SIZE);
}

void sw_commit_encode(const struct sw_commit *c, struct sw_buf *out)
{
	encode_header(c, out);
	sw_buf_put(out, c->sig.b, SW_SIG_SIZE);
}

int sw_commit_verify(struct sw_view bytes, const struct sw_commit *c)
{
	assert(bytes.n > SW_SIG_SIZE);
	return sw_sig_verify(&c->author, sw_view(bytes.p, bytes.n - SW_SIG_SIZE), &c->sig);
}

void sw_order_make(uint64_t stamp, const struct sw_key *author, const struct sw_hash *id,
		   struct sw_order *out)
{
	sw_set_u64(out->b, stamp);
	memcpy(out->b + 8, author->b, SW_KEY_SIZE);
	memcpy(out->b + 8 + SW_KEY_SIZE, id->b, SW_HASH_SIZE);
}

const char *sw_outcome_name(enum sw_outcome o)
{
	switch (o) {
	case SW_APPLIED:
		return "applied";
	case SW_DROPPED:
		return "dropped";
	default:
		return "void";
	}
}
