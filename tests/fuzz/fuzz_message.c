/*
 * Messages from anybody. What decodes is walked to its end, and encoded again where there is one encoding: the
 * same bytes must come out.
 */
#include "core/sign.h"
#include "net/message.h"
#include "tests/fuzz/fuzz.h"

static void walk_commits(struct sw_view body)
{
	static const struct sw_hash database = {{1}};
	struct sw_rd r = sw_rd(body);
	struct sw_view changeset;
	struct sw_commit c;
	size_t n_blobs;
	int rc;

	for (;;) {
		SW_BUF raw = {0};

		rc = sw_body_next_commit(&r, &database, &raw, &changeset);
		if (rc <= 0)
			break;
		/* The header was rebuilt by the encoder, from fields that only the decoder judges. */
		if (sw_commit_decode(sw_buf_view(&raw), &c) == 0) {
			SW_BUF again = {0};

			sw_commit_encode(&c, &again);
			must(sw_view_eq(sw_buf_view(&raw), sw_buf_view(&again)));
		}
		rc = sw_changeset_check(changeset, &n_blobs);
	}
	must(rc == 0 || rc == SW_EFORMAT);
}

static void walk_records(struct sw_view body)
{
	struct sw_rd r = sw_rd(body);
	struct sw_view record;
	int rc;

	while ((rc = sw_body_next_record(&r, &record)) > 0)
		must(record.n > 0 && record.n <= SW_RECORD_SIZE_MAX);
	must(rc == 0 || rc == SW_EFORMAT);
}

static void encode_again(const struct sw_message *m, struct sw_view bytes)
{
	SW_BUF out = {0};

	switch (m->type) {
	case SW_MSG_HEAD:
		sw_message_head(&m->head, m->hashes, m->n_hashes, &out);
		break;
	case SW_MSG_PULL:
		sw_message_pull(m->turn, m->hashes, m->n_hashes, &out);
		break;
	case SW_MSG_FREED:
		sw_message_freed(m->turn, m->hashes, m->n_hashes, &out);
		break;
	case SW_MSG_MORE:
		sw_message_more(m->turn, &out);
		break;
	case SW_MSG_WANT:
		sw_message_want(m->hashes, m->n_hashes, &out);
		break;
	case SW_MSG_PING:
		sw_message_ping(m->nonce, &out);
		break;
	case SW_MSG_PONG:
		sw_message_pong(m->nonce, m->wall_ms, &out);
		break;
	case SW_MSG_JOIN:
		sw_message_join(m->secret, &out);
		break;
	case SW_MSG_ASK:
		must(m->text.n <= SW_MESSAGE_TEXT_MAX);
		sw_message_ask(m->text, &out);
		break;
	case SW_MSG_WATERMARKS:
		sw_message_watermarks(m->body, &out);
		break;
	case SW_MSG_LOOK:
		sw_message_look(&m->hashes[0], &out);
		break;
	case SW_MSG_NODE:
		sw_message_node(&m->hashes[0], m->body, &out);
		break;
	default:
		return;
	}
	must(out.rc == 0 && sw_view_eq(sw_buf_view(&out), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sw_message m;
	struct sw_view bytes = sw_view(data, size);

	must(sw_crypto_init() == 0);
	if (sw_message_decode(bytes, &m) == 0) {
		if (m.type == SW_MSG_COMMITS)
			walk_commits(m.body);
		else if (m.type == SW_MSG_RECORDS)
			walk_records(m.body);
		else
			encode_again(&m, bytes);
	}
	sw_message_fini(&m);
	return 0;
}
