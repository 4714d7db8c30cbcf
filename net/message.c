#include "net/message.h"

#include <stdlib.h>
#include <zstd.h>

#define PACK_MIN   256 /* shorter bodies do not shrink */
#define PACK_LEVEL 3

static void put_type(enum sw_message_type type, struct sw_buf *out)
{
	sw_buf_put_u8(out, (uint8_t)type);
}

void sw_message_hello(uint64_t wall_ms, struct sw_buf *out)
{
	put_type(SW_MSG_HELLO, out);
	sw_buf_put_varint(out, SW_PROTOCOL_VERSION);
	sw_buf_put_bytes(out, sw_view_str("swarmfs " SWARMFS_VERSION));
	sw_buf_put_u64(out, wall_ms);
}

static void put_hashes(const struct sw_hash *v, size_t n, struct sw_buf *out)
{
	sw_buf_put_varint(out, n);
	for (size_t i = 0; i < n; i++)
		sw_buf_put_hash(out, &v[i]);
}

void sw_message_head(const struct sw_head *head, const struct sw_hash *tips, size_t n, struct sw_buf *out)
{
	put_type(SW_MSG_HEAD, out);
	sw_buf_put_u64(out, head->count);
	sw_buf_put_hash(out, &head->line);
	sw_buf_put_hash(out, &head->state);
	put_hashes(tips, n < SW_MESSAGE_TIPS_MAX ? n : SW_MESSAGE_TIPS_MAX, out);
}

void sw_message_pull(uint64_t turn, const struct sw_hash *v, size_t n, struct sw_buf *out)
{
	put_type(SW_MSG_PULL, out);
	sw_buf_put_varint(out, turn);
	put_hashes(v, n, out);
}

void sw_message_freed(uint64_t turn, const struct sw_hash *v, size_t n, struct sw_buf *out)
{
	put_type(SW_MSG_FREED, out);
	sw_buf_put_varint(out, turn);
	put_hashes(v, n, out);
}

void sw_message_more(uint64_t turn, struct sw_buf *out)
{
	put_type(SW_MSG_MORE, out);
	sw_buf_put_varint(out, turn);
}

void sw_message_want(const struct sw_hash *v, size_t n, struct sw_buf *out)
{
	put_type(SW_MSG_WANT, out);
	put_hashes(v, n, out);
}

void sw_message_ping(uint64_t nonce, struct sw_buf *out)
{
	put_type(SW_MSG_PING, out);
	sw_buf_put_u64(out, nonce);
}

void sw_message_pong(uint64_t nonce, uint64_t wall_ms, struct sw_buf *out)
{
	put_type(SW_MSG_PONG, out);
	sw_buf_put_u64(out, nonce);
	sw_buf_put_u64(out, wall_ms);
}

void sw_message_join(const uint8_t *secret, struct sw_buf *out)
{
	put_type(SW_MSG_JOIN, out);
	sw_buf_put(out, secret, SW_TICKET_SECRET_SIZE);
}

void sw_message_joined(uint8_t code, const char *text, struct sw_buf *out)
{
	put_type(SW_MSG_JOINED, out);
	sw_buf_put_u8(out, code);
	sw_buf_put_bytes(out, sw_view_str(text));
}

void sw_message_bye(const char *text, struct sw_buf *out)
{
	struct sw_view v = sw_view_str(text);

	put_type(SW_MSG_BYE, out);
	sw_buf_put_bytes(out, sw_view(v.p, v.n < SW_MESSAGE_TEXT_MAX ? v.n : SW_MESSAGE_TEXT_MAX));
}

void sw_message_ask(struct sw_view text, struct sw_buf *out)
{
	put_type(SW_MSG_ASK, out);
	sw_buf_put_bytes(out, text);
}

/* Compressed when that makes it shorter. */
static int put_packed(struct sw_view body, struct sw_buf *out)
{
	size_t bound = ZSTD_compressBound(body.n), n = 0;
	SW_BUF frame = {0};

	if (body.n >= PACK_MIN) {
		uint8_t *to = sw_buf_reserve(&frame, bound);

		if (!to)
			return SW_ENOMEM;
		n = ZSTD_compress(to, bound, body.p, body.n, PACK_LEVEL);
		if (ZSTD_isError(n))
			n = 0;
	}
	if (n == 0 || n + sw_varint_size(body.n) >= body.n) {
		sw_buf_put_u8(out, 0);
		sw_buf_put_view(out, body);
	} else {
		sw_buf_put_u8(out, 1);
		sw_buf_put_varint(out, body.n);
		sw_buf_put(out, frame.p, n);
	}
	return out->rc;
}

int sw_message_commits(uint64_t turn, bool more, struct sw_view body, struct sw_buf *out)
{
	put_type(SW_MSG_COMMITS, out);
	sw_buf_put_varint(out, turn);
	sw_buf_put_u8(out, more);
	return put_packed(body, out);
}

int sw_message_records(struct sw_view body, struct sw_buf *out)
{
	put_type(SW_MSG_RECORDS, out);
	return put_packed(body, out);
}

void sw_message_look(const struct sw_hash *node, struct sw_buf *out)
{
	put_type(SW_MSG_LOOK, out);
	sw_buf_put_hash(out, node);
}

void sw_message_node(const struct sw_hash *node, struct sw_view record, struct sw_buf *out)
{
	put_type(SW_MSG_NODE, out);
	sw_buf_put_hash(out, node);
	sw_buf_put_bytes(out, record);
}

void sw_message_watermarks(struct sw_view body, struct sw_buf *out)
{
	put_type(SW_MSG_WATERMARKS, out);
	sw_buf_put_view(out, body);
}

void sw_body_put_commit(const struct sw_commit *c, struct sw_view changeset, struct sw_buf *body)
{
	sw_buf_put_varint(body, c->rule);
	put_hashes(c->parents, c->n_parents, body);
	sw_buf_put(body, c->author.b, SW_KEY_SIZE);
	sw_buf_put_u64(body, c->stamp);
	sw_buf_put_hash(body, &c->state);
	sw_buf_put_bytes(body, c->message);
	sw_buf_put(body, c->sig.b, SW_SIG_SIZE);
	sw_buf_put_bytes(body, changeset);
}

int sw_body_next_commit(struct sw_rd *r, const struct sw_hash *database, struct sw_buf *raw,
			struct sw_view *changeset)
{
	struct sw_commit c = {0};

	if (sw_rd_left(r) == 0)
		return r->bad ? SW_EFORMAT : 0;
	c.rule = sw_rd_varint(r);
	c.n_parents = (size_t)sw_rd_varint_max(r, SW_PARENTS_MAX);
	for (size_t i = 0; i < c.n_parents; i++)
		sw_rd_hash(r, &c.parents[i]);
	sw_rd_copy(r, c.author.b, SW_KEY_SIZE);
	c.stamp = sw_rd_u64(r);
	sw_rd_hash(r, &c.state);
	c.message = sw_rd_bytes(r, SW_MESSAGE_MAX);
	sw_rd_copy(r, c.sig.b, SW_SIG_SIZE);
	*changeset = sw_rd_bytes(r, SW_CHANGESET_SIZE_MAX);
	if (r->bad)
		return SW_EFORMAT;
	if (c.n_parents > 0)
		c.database = *database;
	sw_hash_compute(SW_DOMAIN_CHANGESET, *changeset, &c.changeset);
	sw_commit_encode(&c, raw);
	return raw->rc < 0 ? raw->rc : 1;
}

int sw_body_next_record(struct sw_rd *r, struct sw_view *record)
{
	if (sw_rd_left(r) == 0)
		return r->bad ? SW_EFORMAT : 0;
	*record = sw_rd_bytes(r, SW_RECORD_SIZE_MAX);
	return r->bad || record->n == 0 ? SW_EFORMAT : 1;
}

static int unpack(struct sw_rd *r, struct sw_message *m)
{
	uint8_t form = sw_rd_u8(r);
	unsigned long long known;
	struct sw_view frame;
	uint64_t size;
	uint8_t *to;
	size_t n;

	if (form == 0) {
		m->body = sw_rd_take(r, sw_rd_left(r));
		return r->bad || m->body.n > SW_MESSAGE_BODY_MAX ? SW_EFORMAT : 0;
	}
	size = sw_rd_varint_max(r, SW_MESSAGE_BODY_MAX);
	frame = sw_rd_take(r, sw_rd_left(r));
	if (r->bad || form != 1 || size == 0)
		return SW_EFORMAT;
	/* The frame must say the same size: nothing is allocated on the word of a stranger twice over. */
	known = ZSTD_getFrameContentSize(frame.p, frame.n);
	if (known != size || ZSTD_findFrameCompressedSize(frame.p, frame.n) != frame.n)
		return SW_EFORMAT;
	to = sw_buf_reserve(&m->unpacked, (size_t)size);
	if (!to)
		return SW_ENOMEM;
	n = ZSTD_decompress(to, (size_t)size, frame.p, frame.n);
	if (ZSTD_isError(n) || n != size)
		return SW_EFORMAT;
	m->unpacked.n = n;
	m->body = sw_buf_view(&m->unpacked);
	return 0;
}

static void get_hashes(struct sw_rd *r, size_t max, struct sw_message *m)
{
	m->n_hashes = (size_t)sw_rd_varint_max(r, max);
	for (size_t i = 0; i < m->n_hashes && !r->bad; i++)
		sw_rd_hash(r, &m->hashes[i]);
}

static int get_tips(struct sw_rd *r, struct sw_message *m)
{
	get_hashes(r, SW_MESSAGE_TIPS_MAX, m);
	for (size_t i = 1; i < m->n_hashes && !r->bad; i++)
		if (sw_hash_cmp(&m->hashes[i - 1], &m->hashes[i]) >= 0)
			return SW_EFORMAT;
	return 0;
}

/* As in a stamp, a time has 48 bits. */
static int get_wall(struct sw_rd *r, struct sw_message *m)
{
	m->wall_ms = sw_rd_u64(r);
	return m->wall_ms >> 48 ? SW_EFORMAT : 0;
}

int sw_body_next_watermark(struct sw_rd *r, struct sw_view *bytes, struct sw_watermark *out)
{
	if (sw_rd_left(r) == 0)
		return r->bad ? SW_EFORMAT : 0;
	*bytes = sw_rd_bytes(r, SW_WATERMARK_SIZE_MAX);
	return r->bad || sw_watermark_decode(*bytes, out) < 0 ? SW_EFORMAT : 1;
}

/* Looked through here, so that whoever sends one that is malformed is found out before any of them is taken. */
static int get_watermarks(struct sw_rd *r, struct sw_message *m)
{
	struct sw_watermark mark;
	struct sw_view bytes;
	struct sw_rd walk;
	int rc;

	m->body = sw_rd_take(r, sw_rd_left(r));
	walk = sw_rd(m->body);
	do {
		if (m->body.n - sw_rd_left(&walk) >= SW_MESSAGE_WATERMARKS && sw_rd_left(&walk) > 0)
			return SW_EFORMAT;
		rc = sw_body_next_watermark(&walk, &bytes, &mark);
	} while (rc > 0);
	return m->body.n == 0 ? SW_EFORMAT : rc;
}

static int decode_body(struct sw_rd *r, struct sw_message *m)
{
	uint8_t flag;

	switch (m->type) {
	case SW_MSG_HELLO:
		m->version = sw_rd_varint(r);
		m->text = sw_rd_bytes(r, SW_MESSAGE_TEXT_MAX);
		return get_wall(r, m);
	case SW_MSG_HEAD:
		m->head.count = sw_rd_u64(r);
		sw_rd_hash(r, &m->head.line);
		sw_rd_hash(r, &m->head.state);
		return get_tips(r, m);
	case SW_MSG_PULL:
		m->turn = sw_rd_varint(r);
		get_hashes(r, SW_MESSAGE_KNOWN_MAX, m);
		return 0;
	case SW_MSG_FREED:
		m->turn = sw_rd_varint(r);
		get_hashes(r, SW_MESSAGE_TIPS_MAX, m);
		return m->n_hashes == 0 ? SW_EFORMAT : 0;
	case SW_MSG_MORE:
		m->turn = sw_rd_varint(r);
		return 0;
	case SW_MSG_COMMITS:
		m->turn = sw_rd_varint(r);
		flag = sw_rd_u8(r);
		m->more = flag == 1;
		return flag > 1 ? SW_EFORMAT : unpack(r, m);
	case SW_MSG_WANT:
		get_hashes(r, SW_MESSAGE_WANT_MAX, m);
		return 0;
	case SW_MSG_RECORDS:
		return unpack(r, m);
	case SW_MSG_PING:
		m->nonce = sw_rd_u64(r);
		return 0;
	case SW_MSG_PONG:
		m->nonce = sw_rd_u64(r);
		return get_wall(r, m);
	case SW_MSG_JOIN:
		m->secret = sw_rd_take(r, SW_TICKET_SECRET_SIZE).p;
		return 0;
	case SW_MSG_JOINED:
		m->code = sw_rd_u8(r);
		m->text = sw_rd_bytes(r, SW_MESSAGE_TEXT_MAX);
		return 0;
	case SW_MSG_BYE:
	case SW_MSG_ASK:
		m->text = sw_rd_bytes(r, SW_MESSAGE_TEXT_MAX);
		return 0;
	case SW_MSG_WATERMARKS:
		return get_watermarks(r, m);
	case SW_MSG_NODE:
	case SW_MSG_LOOK:
		m->n_hashes = 1;
		sw_rd_hash(r, &m->hashes[0]);
		if (m->type == SW_MSG_NODE)
			m->body = sw_rd_bytes(r, SW_NODE_BYTES_MAX);
		return 0;
	default:
		return SW_EFORMAT;
	}
}

int sw_message_decode(struct sw_view bytes, struct sw_message *out)
{
	struct sw_rd r = sw_rd(bytes);
	int rc;

	/* The array of hashes is large and need not be cleared. */
	out->n_hashes = 0;
	out->unpacked = (struct sw_buf){0};
	out->body = out->text = sw_view(NULL, 0);
	out->type = (enum sw_message_type)sw_rd_u8(&r);
	if (r.bad)
		return SW_EFORMAT;
	rc = decode_body(&r, out);
	return rc < 0 ? rc : sw_rd_done(&r);
}

void sw_message_fini(struct sw_message *m)
{
	sw_buf_fini(&m->unpacked);
}
