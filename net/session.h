/*
 * A session: one authenticated, encrypted conversation between two peers over one ordered byte
 * stream. A pure state machine: bytes that arrived go in, bytes to send and decrypted messages come
 * out. It opens no socket, reads no clock and draws no randomness, so that the simulator runs the
 * same code as the product.
 *
 * On the wire everything is a frame: four bytes of length, big-endian, then that many bytes.
 *
 *	initiator                                     responder
 *	    -> 32 bytes     e                                        Noise XX, prologue
 *	    <- 96 bytes     e, ee, s, es                             "swarmfs/1" || database id
 *	    -> 64 bytes     s, se
 *	    -> 112 bytes    {key, signature}          the initiator proves its identity key first
 *	    <- 112 bytes    {key, signature}          only then the responder
 *	    <> 17 to 65535  {flag, bytes}             messages, either way, any number
 *
 * {} is one Noise transport record. The static keys of the Noise handshake are throw-away; who a
 * peer is comes from its Ed25519 identity key, which signs "swarmfs/1 session", the role of the
 * signer ("I" or "R") and the handshake hash. That hash is different in every session, so a proof
 * is worth nothing in another one, nor sent back to its author. Without the database id nobody gets
 * past the third frame: a responder shows such a stranger a throw-away key and no more.
 *
 * A message travels as records whose first byte is 1 for 'more follows' or 0 for 'last'; every
 * record but the last is full, and only an empty message has an empty last record. There is one
 * encoding, and all else is refused.
 */
#ifndef SW_NET_SESSION_H
#define SW_NET_SESSION_H

#include "core/hash.h"
#include "core/sign.h"

#define SW_SESSION_MESSAGE_MAX (16 * 1024 * 1024) /* bytes of one message, at most */
#define SW_SESSION_FRAME_MAX   (4 + 65535)        /* bytes of one frame with its length */
#define SW_SESSION_SECRET_SIZE 32

struct sw_session;

struct sw_session_options {
	bool initiator;                     /* dialled; the other side is not */
	const struct sw_hash *database;     /* both sides must name the same one */
	const struct sw_identity *identity; /* borrowed for the life of the session */
	/* Random bytes. static_secret may be the same for all sessions of a process, which a
	   stranger can then tell; it must not outlive the process. ephemeral_secret is new for
	   every session. Both are copied; the caller wipes its own. */
	const uint8_t *static_secret;
	const uint8_t *ephemeral_secret;
	size_t message_max; /* largest message to receive; 0 means SW_SESSION_MESSAGE_MAX */
};

/* Receive messages up to so many bytes from now on. */
void sw_session_set_message_max(struct sw_session *s, size_t n);

/* An initiator has its first frame in sw_session_output() at once. SW_ENOMEM. */
int sw_session_new(const struct sw_session_options *options, struct sw_session **out) SW_MUST_CHECK;
void sw_session_free(struct sw_session *s);
void sw_session_freep(struct sw_session **s);

/*
 * Take bytes that arrived; they are copied. The caller then takes all messages with
 * sw_session_recv() and sends what is in sw_session_output(). 0, or SW_EAGAIN with nothing taken
 * while more than message_max bytes of input wait for sw_session_recv(). Every other error ends the
 * session; all calls return it from then on, and output holds what there was to send before.
 * SW_EFORMAT, SW_ELIMIT: the other side broke the rules above. SW_ESIG: it is a stranger to this
 * database, somebody tampered with the stream, or it does not own the key that it names.
 */
int sw_session_feed(struct sw_session *s, struct sw_view bytes) SW_MUST_CHECK;

/*
 * The next message: 1 with *message set, valid until the next call of sw_session_recv() or
 * sw_session_feed(); 0 when there is none yet; errors as above.
 */
int sw_session_recv(struct sw_session *s, struct sw_view *message) SW_MUST_CHECK;

/* Records that were decrypted so far: more of them show that the other side lives, also within a long message. */
uint64_t sw_session_records(const struct sw_session *s);

/*
 * Encrypt a message into the output. SW_EAGAIN before the session is established; SW_ELIMIT, which
 * ends nothing, for more than SW_SESSION_MESSAGE_MAX bytes. The other side may accept less. The
 * output grows without bound: look at its size before making more.
 */
int sw_session_send(struct sw_session *s, struct sw_view message) SW_MUST_CHECK;

/* Bytes to send, in order. The caller sends them and calls sw_buf_reset(), or removes a part. */
struct sw_buf *sw_session_output(struct sw_session *s);

/* Both identities are proven. */
bool sw_session_established(const struct sw_session *s);
/* Once established: the other side is a session of this very process, with the same static secret. */
bool sw_session_is_own(const struct sw_session *s);
/*
 * The other side's identity key, NULL before the session is established. It may be our own: a
 * copied store. Whether that key is welcome is for the caller to decide.
 */
const struct sw_key *sw_session_remote(const struct sw_session *s);

#endif
