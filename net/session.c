/*
 * The session's states, in order, and the one frame that each waits for:
 *
 *	initiator:  REPLY -> PROOF -> OPEN
 *	responder:  HELLO -> FINISH -> PROOF -> OPEN
 *
 * and from each of them to FAILED. Up to OPEN a frame has exactly one right length, so that nothing
 * is allocated on a stranger's word and no byte beyond the frame is kept. Once open, input is kept
 * as it arrived and decrypted in place, record by record, when the caller asks for messages. A
 * message of one record is handed out from there without a copy.
 */
#include "net/session.h"

#include <assert.h>
#include <sodium.h>

#include "net/noise.h"

#define PROLOGUE        "swarmfs/1"
#define PROOF_CONTEXT   "swarmfs/1 session"
#define LENGTH_SIZE     4
#define PROOF_SIZE      (SW_KEY_SIZE + SW_SIG_SIZE)
#define RECORD_DATA_MAX (SW_NOISE_MESSAGE_MAX - SW_NOISE_TAG_SIZE - 1)
#define IDLE_BUFFER_MAX (128 * 1024) /* more than this is given back when not in use */

enum flag { LAST = 0, MORE = 1 };

enum state { HELLO, REPLY, FINISH, PROOF, OPEN, FAILED };

/* The length of the frame that a state waits for. */
static const size_t frame_size[] = {
    [HELLO] = SW_NOISE_KEY_SIZE,
    [REPLY] = 2 * SW_NOISE_KEY_SIZE + 2 * SW_NOISE_TAG_SIZE,
    [FINISH] = SW_NOISE_KEY_SIZE + 2 * SW_NOISE_TAG_SIZE,
    [PROOF] = PROOF_SIZE + SW_NOISE_TAG_SIZE,
};

_Static_assert(SW_SESSION_FRAME_MAX == LENGTH_SIZE + SW_NOISE_MESSAGE_MAX, "frame size");
_Static_assert(SW_SESSION_SECRET_SIZE == SW_NOISE_KEY_SIZE, "secret size");

/* Lives in sodium_malloc() memory because of the keys. */
struct sw_session {
	enum state state;
	int rc; /* why it FAILED */
	bool initiator;
	const struct sw_identity *identity;
	size_t message_max;
	struct sw_noise noise;
	struct sw_noise_cipher send;
	struct sw_noise_cipher receive;
	uint8_t hash[SW_NOISE_HASH_SIZE]; /* of the handshake, once it is done */
	struct sw_key remote;             /* proven when OPEN */
	bool is_own;			  /* the remote static key is our own */
	struct sw_buf in;    /* input: up to OPEN one unfinished frame, then any bytes */
	size_t in_at;        /* how far in is used up */
	uint64_t n_records;  /* decrypted */
	struct sw_buf parts; /* a message of several records, as far as it has come */
	bool in_parts;       /* the next record continues parts */
	struct sw_buf out;
};

static void move_to(struct sw_session *s, enum state next)
{
	static const unsigned successors[] = {
	    [HELLO] = 1U << FINISH,
	    [REPLY] = 1U << PROOF,
	    [FINISH] = 1U << PROOF,
	    [PROOF] = 1U << OPEN,
	    [OPEN] = 0,
	    [FAILED] = 0,
	};

	assert(s->state != FAILED);
	assert(next == FAILED || (successors[s->state] & 1U << next));
	s->state = next;
}

static int end_with(struct sw_session *s, int rc)
{
	move_to(s, FAILED);
	s->rc = rc;
	sw_noise_fini(&s->noise);
	sw_noise_cipher_fini(&s->send);
	sw_noise_cipher_fini(&s->receive);
	sw_buf_fini(&s->in);
	sw_buf_fini(&s->parts);
	return rc;
}

/* Forget the content of a buffer, and the memory too when it has become large. */
static void empty(struct sw_buf *b)
{
	if (b->cap > IDLE_BUFFER_MAX)
		sw_buf_fini(b);
	else
		sw_buf_reset(b);
}

/* Write the length of the frame whose body has been put after `at` and its four bytes. */
static void end_frame(struct sw_session *s, size_t at)
{
	size_t n = s->out.n - at - LENGTH_SIZE;

	assert(n <= SW_NOISE_MESSAGE_MAX);
	for (size_t i = 0; i < LENGTH_SIZE; i++)
		s->out.p[at + i] = (uint8_t)(n >> 8 * (LENGTH_SIZE - 1 - i));
}

static int put_handshake(struct sw_session *s)
{
	size_t at = s->out.n;
	int rc;

	sw_buf_put_u32(&s->out, 0);
	if (s->out.rc < 0)
		return s->out.rc;
	rc = sw_noise_write(&s->noise, sw_view(NULL, 0), &s->out);
	if (rc < 0) {
		s->out.n = at;
		return rc;
	}
	end_frame(s, at);
	return 0;
}

/* One record of head || body, with its frame. */
static int put_record(struct sw_session *s, struct sw_view head, struct sw_view body)
{
	size_t at = s->out.n;
	size_t n = head.n + body.n;
	uint8_t *to;
	int rc;

	to = sw_buf_reserve(&s->out, LENGTH_SIZE + n + SW_NOISE_TAG_SIZE);
	if (!to)
		return SW_ENOMEM;
	to += LENGTH_SIZE;
	memcpy(to, head.p, head.n);
	if (body.n > 0)
		memcpy(to + head.n, body.p, body.n);
	rc = sw_noise_encrypt(&s->send, sw_view(to, n), to);
	if (rc < 0)
		return rc;
	s->out.n += LENGTH_SIZE + n + SW_NOISE_TAG_SIZE;
	end_frame(s, at);
	return 0;
}

/* What the identity key of one role signs: never two meanings for the same bytes. */
static void proof_text(const struct sw_session *s, bool initiator, struct sw_buf *out)
{
	sw_buf_put(out, PROOF_CONTEXT, strlen(PROOF_CONTEXT));
	sw_buf_put_u8(out, initiator ? 'I' : 'R');
	sw_buf_put(out, s->hash, sizeof(s->hash));
}

static int put_proof(struct sw_session *s)
{
	SW_BUF text = {0};
	struct sw_sig sig;

	proof_text(s, s->initiator, &text);
	if (text.rc < 0)
		return text.rc;
	sw_identity_sign(s->identity, sw_buf_view(&text), &sig);
	return put_record(s, sw_view(sw_identity_key(s->identity)->b, SW_KEY_SIZE),
			  sw_view(sig.b, SW_SIG_SIZE));
}

static int read_proof(struct sw_session *s, struct sw_view frame)
{
	SW_BUF text = {0};
	uint8_t plain[PROOF_SIZE] = {0};
	struct sw_rd r = sw_rd(sw_view(plain, sizeof(plain)));
	struct sw_sig sig;
	int rc;

	assert(frame.n == sizeof(plain) + SW_NOISE_TAG_SIZE);
	rc = sw_noise_decrypt(&s->receive, frame, plain);
	if (rc < 0)
		return rc;
	sw_rd_copy(&r, s->remote.b, SW_KEY_SIZE);
	sw_rd_copy(&r, sig.b, SW_SIG_SIZE);
	proof_text(s, !s->initiator, &text);
	if (text.rc < 0)
		return text.rc;
	if (sw_sig_verify(&s->remote, sw_buf_view(&text), &sig) < 0)
		return sw_fail(SW_ESIG, "the peer does not own the identity key that it names");
	return 0;
}

static int read_handshake(struct sw_session *s, struct sw_view frame)
{
	SW_BUF payload = {0};
	int rc = sw_noise_read(&s->noise, frame, &payload);

	if (rc == SW_ESIG)
		return sw_fail(rc, "the handshake failed: the peer does not know this database, or "
				   "the connection was tampered with");
	assert(rc < 0 || payload.n == 0); /* the frame's length leaves no room for one */
	return rc;
}

static void end_handshake(struct sw_session *s)
{
	memcpy(s->hash, sw_noise_hash(&s->noise), sizeof(s->hash));
	s->is_own = memcmp(sw_noise_remote_static(&s->noise), sw_noise_static(&s->noise), SW_NOISE_KEY_SIZE) == 0;
	sw_noise_split(&s->noise, &s->send, &s->receive);
	sw_noise_fini(&s->noise);
}

/* Act on the one whole frame that the state waited for. */
static int step(struct sw_session *s, struct sw_view frame)
{
	int rc = s->state == PROOF ? read_proof(s, frame) : read_handshake(s, frame);

	if (rc < 0)
		return rc;
	switch (s->state) {
	case HELLO:
		move_to(s, FINISH);
		return put_handshake(s);
	case REPLY:
		rc = put_handshake(s);
		if (rc < 0)
			return rc;
		end_handshake(s);
		move_to(s, PROOF);
		return put_proof(s);
	case FINISH:
		end_handshake(s);
		move_to(s, PROOF);
		return 0;
	case PROOF:
		move_to(s, OPEN);
		return s->initiator ? 0 : put_proof(s);
	default:
		assert(!"a state without a frame");
		return SW_EINVAL;
	}
}

static uint32_t frame_length(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Take from bytes what the frame at hand lacks, and act on it when it is whole. */
static int feed_closed(struct sw_session *s, struct sw_rd *bytes)
{
	size_t want = frame_size[s->state];
	size_t lacks = (s->in.n < LENGTH_SIZE ? LENGTH_SIZE : LENGTH_SIZE + want) - s->in.n;
	size_t n = lacks < sw_rd_left(bytes) ? lacks : sw_rd_left(bytes);
	int rc;

	sw_buf_put_view(&s->in, sw_rd_take(bytes, n));
	if (s->in.rc < 0)
		return s->in.rc;
	if (n < lacks)
		return 0;
	if (frame_length(s->in.p) != want)
		return sw_fail(SW_EFORMAT, "the peer does not speak swarmfs/1");
	if (s->in.n < LENGTH_SIZE + want)
		return 0;
	rc = step(s, sw_view(s->in.p + LENGTH_SIZE, want));
	sw_buf_reset(&s->in);
	return rc;
}

/* Move what is left of the input to the front, so that the buffer does not creep. */
static void compact(struct sw_session *s)
{
	size_t left = s->in.n - s->in_at;

	if (s->in_at == 0)
		return;
	if (left > 0)
		memmove(s->in.p, s->in.p + s->in_at, left);
	s->in.n = left;
	s->in_at = 0;
	if (left == 0)
		empty(&s->in);
}

static int feed_open(struct sw_session *s, struct sw_rd *bytes)
{
	compact(s);
	sw_buf_put_view(&s->in, sw_rd_take(bytes, sw_rd_left(bytes)));
	return s->in.rc;
}

/* The next whole record, decrypted in place: 1, 0 when more input is needed, or an error. */
static int next_record(struct sw_session *s, struct sw_view *plain)
{
	size_t left = s->in.n - s->in_at;
	uint8_t *p;
	size_t n;
	int rc;

	if (left < LENGTH_SIZE)
		return 0;
	p = s->in.p + s->in_at;
	n = frame_length(p);
	if (n > SW_NOISE_MESSAGE_MAX)
		return sw_fail(SW_ELIMIT, "the peer announces a frame of %zu bytes", n);
	if (n < 1 + SW_NOISE_TAG_SIZE)
		return sw_fail(SW_EFORMAT, "the peer sends a frame of only %zu bytes", n);
	if (left - LENGTH_SIZE < n)
		return 0;
	p += LENGTH_SIZE;
	rc = sw_noise_decrypt(&s->receive, sw_view(p, n), p);
	if (rc < 0)
		return rc;
	s->in_at += LENGTH_SIZE + n;
	s->n_records++;
	*plain = sw_view(p, n - SW_NOISE_TAG_SIZE);
	return 1;
}

/* Add a record to the message it belongs to: 1 when that is whole, 0, or an error. */
static int take_record(struct sw_session *s, struct sw_view plain, struct sw_view *message)
{
	struct sw_view data = sw_view(plain.p + 1, plain.n - 1);
	enum flag flag = plain.p[0];

	if (flag != LAST && flag != MORE)
		return sw_fail(SW_EFORMAT, "the peer sends a record of unknown kind %d", (int)flag);
	if (flag == MORE ? data.n != RECORD_DATA_MAX : s->in_parts && data.n == 0)
		return sw_fail(SW_EFORMAT, "the peer splits a message in the wrong place");
	if (data.n > s->message_max - s->parts.n)
		return sw_fail(SW_ELIMIT, "the peer sends a message of more than %zu bytes",
			       s->message_max);
	if (flag == LAST && !s->in_parts) {
		*message = data;
		return 1;
	}
	sw_buf_put_view(&s->parts, data);
	if (s->parts.rc < 0)
		return s->parts.rc;
	s->in_parts = flag == MORE;
	*message = sw_buf_view(&s->parts);
	return flag == LAST;
}

int sw_session_new(const struct sw_session_options *options, struct sw_session **out)
{
	SW_CLEANUP(sw_session_freep) struct sw_session *s = sodium_malloc(sizeof(*s));
	uint8_t prologue[sizeof(PROLOGUE) - 1 + SW_HASH_SIZE];

	if (!s)
		return SW_ENOMEM;
	assert(options->message_max <= SW_SESSION_MESSAGE_MAX);
	*s = (struct sw_session){
	    .state = options->initiator ? REPLY : HELLO,
	    .initiator = options->initiator,
	    .identity = options->identity,
	    .message_max = options->message_max ? options->message_max : SW_SESSION_MESSAGE_MAX,
	};
	memcpy(prologue, PROLOGUE, sizeof(PROLOGUE) - 1);
	memcpy(prologue + sizeof(PROLOGUE) - 1, options->database->b, SW_HASH_SIZE);
	sw_noise_start(&s->noise, s->initiator, sw_view(prologue, sizeof(prologue)),
		       options->static_secret, options->ephemeral_secret);
	if (s->initiator && put_handshake(s) < 0)
		return SW_ENOMEM;
	*out = SW_TAKE(s);
	return 0;
}

void sw_session_set_message_max(struct sw_session *s, size_t n)
{
	assert(n > 0 && n <= SW_SESSION_MESSAGE_MAX);
	s->message_max = n;
}

void sw_session_free(struct sw_session *s)
{
	if (!s)
		return;
	sw_buf_fini(&s->in);
	sw_buf_fini(&s->parts);
	sw_buf_fini(&s->out);
	sodium_free(s); /* wipes */
}

void sw_session_freep(struct sw_session **s)
{
	sw_session_free(*s);
}

int sw_session_feed(struct sw_session *s, struct sw_view bytes)
{
	struct sw_rd r = sw_rd(bytes);
	int rc = 0;

	if (s->state == FAILED)
		return s->rc;
	if (s->in.n - s->in_at > s->message_max + SW_SESSION_FRAME_MAX)
		return SW_EAGAIN;
	while (rc == 0 && s->state != OPEN && sw_rd_left(&r) > 0)
		rc = feed_closed(s, &r);
	if (rc == 0 && s->state == OPEN)
		rc = feed_open(s, &r);
	return rc < 0 ? end_with(s, rc) : 0;
}

int sw_session_recv(struct sw_session *s, struct sw_view *message)
{
	struct sw_view plain = {0};
	int rc;

	if (s->state == FAILED)
		return s->rc;
	if (s->state != OPEN)
		return 0;
	if (!s->in_parts)
		empty(&s->parts); /* the message handed out last */
	while ((rc = next_record(s, &plain)) > 0) {
		rc = take_record(s, plain, message);
		if (rc != 0)
			break;
	}
	return rc < 0 ? end_with(s, rc) : rc;
}

int sw_session_send(struct sw_session *s, struct sw_view message)
{
	struct sw_rd r = sw_rd(message);
	int rc;

	if (s->state == FAILED)
		return s->rc;
	if (s->state != OPEN)
		return SW_EAGAIN;
	if (message.n > SW_SESSION_MESSAGE_MAX)
		return sw_fail(SW_ELIMIT, "a message of %zu bytes is too long to send", message.n);
	do {
		bool more = sw_rd_left(&r) > RECORD_DATA_MAX;
		uint8_t flag = more ? MORE : LAST;

		rc = put_record(s, sw_view(&flag, 1),
				sw_rd_take(&r, more ? RECORD_DATA_MAX : sw_rd_left(&r)));
	} while (rc == 0 && sw_rd_left(&r) > 0);
	return rc < 0 ? end_with(s, rc) : 0;
}

struct sw_buf *sw_session_output(struct sw_session *s)
{
	return &s->out;
}

bool sw_session_established(const struct sw_session *s)
{
	return s->state == OPEN;
}

const struct sw_key *sw_session_remote(const struct sw_session *s)
{
	return s->state == OPEN ? &s->remote : NULL;
}

bool sw_session_is_own(const struct sw_session *s)
{
	return sw_session_established(s) && s->is_own;
}

uint64_t sw_session_records(const struct sw_session *s)
{
	return s->n_records;
}
