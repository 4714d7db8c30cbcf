#include "core/watermark.h"

#include <assert.h>

#define SIGNED_AS "swarmfs/1 watermark"

void sw_watermark_tip(const struct sw_watermark *m, size_t i, struct sw_hash *out)
{
	assert(i < m->n_tips);
	memcpy(out->b, m->tips.p + i * SW_HASH_SIZE, SW_HASH_SIZE);
}

static bool tips_ascend(const struct sw_watermark *m)
{
	for (size_t i = 1; i < m->n_tips; i++)
		if (memcmp(m->tips.p + (i - 1) * SW_HASH_SIZE, m->tips.p + i * SW_HASH_SIZE,
			   SW_HASH_SIZE) >= 0)
			return false;
	return true;
}

int sw_watermark_decode(struct sw_view bytes, struct sw_watermark *out)
{
	struct sw_rd r = sw_rd(bytes);

	*out = (struct sw_watermark){0};
	if (sw_rd_u8(&r) != SW_WATERMARK_VERSION)
		return SW_EFORMAT;
	sw_rd_copy(&r, out->author.b, SW_KEY_SIZE);
	out->stamp = sw_rd_u64(&r);
	out->head.count = sw_rd_u64(&r);
	sw_rd_hash(&r, &out->head.line);
	sw_rd_hash(&r, &out->head.state);
	out->n_tips = (size_t)sw_rd_varint_max(&r, SW_WATERMARK_TIPS_MAX);
	out->tips = sw_rd_take(&r, out->n_tips * SW_HASH_SIZE);
	sw_rd_copy(&r, out->sig.b, SW_SIG_SIZE);
	if (sw_rd_done(&r) < 0 || out->n_tips == 0 || !tips_ascend(out))
		return SW_EFORMAT;
	return 0;
}

/* What is signed: nothing else that a key signs begins so. */
static void put_signed(struct sw_view body, const struct sw_hash *database, struct sw_buf *out)
{
	sw_buf_put_view(out, sw_view_str(SIGNED_AS));
	sw_buf_put_hash(out, database);
	sw_buf_put_view(out, body);
}

void sw_watermark_seal(struct sw_watermark *m, const struct sw_hash *database,
		       const struct sw_identity *id, struct sw_buf *out)
{
	size_t begin = out->n;
	SW_BUF text = {0};

	assert(m->n_tips > 0 && m->n_tips <= SW_WATERMARK_TIPS_MAX && tips_ascend(m));
	m->author = *sw_identity_key(id);
	sw_buf_put_u8(out, SW_WATERMARK_VERSION);
	sw_buf_put(out, m->author.b, SW_KEY_SIZE);
	sw_buf_put_u64(out, m->stamp);
	sw_buf_put_u64(out, m->head.count);
	sw_buf_put_hash(out, &m->head.line);
	sw_buf_put_hash(out, &m->head.state);
	sw_buf_put_varint(out, m->n_tips);
	sw_buf_put_view(out, m->tips);
	if (out->rc < 0)
		return;
	put_signed(sw_view(out->p + begin, out->n - begin), database, &text);
	if (text.rc < 0) {
		out->rc = text.rc;
		return;
	}
	sw_identity_sign(id, sw_buf_view(&text), &m->sig);
	sw_buf_put(out, m->sig.b, SW_SIG_SIZE);
}

int sw_watermark_verify(struct sw_view bytes, const struct sw_watermark *m,
			const struct sw_hash *database)
{
	SW_BUF text = {0};

	assert(bytes.n > SW_SIG_SIZE);
	put_signed(sw_view(bytes.p, bytes.n - SW_SIG_SIZE), database, &text);
	return text.rc < 0 ? text.rc : sw_sig_verify(&m->author, sw_buf_view(&text), &m->sig);
}
