/*
 * The messages that peers exchange inside a session; net/PROTOCOL.md draws the conversation.
 *
 *   message = type:u8 body                one session message each; nothing may follow the body
 *   HELLO   = version:varint software:bytes wall_ms:u64
 *   HEAD    = count:u64 line:hash state:hash n:varint tip:hash*n   tips strictly ascend
 *   PULL    = turn:varint n:varint id:hash*n   commits that the sender has, with all below them
 *   MORE    = turn:varint                 go on; when there is nothing, wait until there is
 *   COMMITS = turn:varint more:u8 packed  of: commit*
 *   WANT    = n:varint hash*n             records of large rows
 *   RECORDS = packed                      of: bytes*
 *   PING    = nonce:u64
 *   PONG    = nonce:u64 wall_ms:u64                  the answering machine's clock
 *   JOIN    = secret:16
 *   JOINED  = code:u8 text:bytes          0: you are a member now; else why not, or that it takes time
 *   BYE     = text:bytes
 *   ASK     = text:bytes                  let me in, without a ticket; JOINED answers
 *   LOOK    = hash                        a node of a tree, to find where two trees differ
 *   NODE    = hash bytes                  none: it is not there any more
 *   WATERMARKS = bytes*                   each a core/watermark.h; at least one
 *   packed  = 0:u8 bytes | 1:u8 size:varint zstd-frame
 *   commit  = rule:varint n:varint parent:hash*n author:32 stamp:u64 state:hash message:bytes
 *             signature:64 changeset:bytes
 *
 * A commit travels without what the receiver knows or computes: the database's id, the changeset's hash.
 */
#ifndef SW_NET_MESSAGE_H
#define SW_NET_MESSAGE_H

#include "core/watermark.h"
#include "net/ticket.h"

#define SW_PROTOCOL_VERSION  1
#define SW_MESSAGE_TIPS_MAX  64
#define SW_MESSAGE_KNOWN_MAX 160  /* ids in a PULL */
#define SW_MESSAGE_WANT_MAX  512
#define SW_MESSAGE_TEXT_MAX  256
#define SW_MESSAGE_BODY_MAX  ((size_t)14 << 20) /* unpacked; one changeset must fit */
#define SW_MESSAGE_BATCH	   ((size_t)1 << 20) /* bytes of commits, unpacked, after which a COMMITS ends */
#define SW_MESSAGE_COMMITS_MAX 4096
#define SW_MESSAGE_WATERMARKS ((size_t)256 << 10) /* bytes after which a WATERMARKS ends */

enum sw_message_type {
	SW_MSG_HELLO = 1,
	SW_MSG_HEAD = 2,
	SW_MSG_PULL = 3,
	SW_MSG_MORE = 4,
	SW_MSG_COMMITS = 5,
	SW_MSG_WANT = 6,
	SW_MSG_RECORDS = 7,
	SW_MSG_PING = 8,
	SW_MSG_PONG = 9,
	SW_MSG_JOIN = 10,
	SW_MSG_JOINED = 11,
	SW_MSG_BYE = 12,
	SW_MSG_WATERMARKS = 13,
	SW_MSG_LOOK = 14,
	SW_MSG_NODE = 15,
	SW_MSG_FREED = 16,
	SW_MSG_ASK = 17,
};

/* A decoded message; views borrow from the bytes, or from `unpacked`. */
struct sw_message {
	enum sw_message_type type;
	uint64_t version;	/* HELLO */
	struct sw_view text;	/* HELLO JOINED BYE ASK */
	struct sw_head head;	/* HEAD */
	size_t n_hashes;	/* HEAD PULL WANT LOOK NODE FREED */
	struct sw_hash hashes[SW_MESSAGE_WANT_MAX];
	uint64_t turn;		/* PULL MORE COMMITS FREED: counts the PULLs */
	bool more;		/* COMMITS */
	struct sw_view body;	/* COMMITS RECORDS WATERMARKS: walk it; NODE: the record */
	uint64_t nonce;		/* PING PONG */
	uint64_t wall_ms;	/* HELLO PONG: the sender's clock, since 1970 */
	const uint8_t *secret;	/* JOIN */
	uint8_t code;		/* JOINED */
	struct sw_buf unpacked;
};

/* SW_EFORMAT unless canonical and within the limits. sw_message_fini() frees, also after a failure. */
int sw_message_decode(struct sw_view bytes, struct sw_message *out) SW_MUST_CHECK;
void sw_message_fini(struct sw_message *m);

void sw_message_hello(uint64_t wall_ms, struct sw_buf *out);
void sw_message_head(const struct sw_head *head, const struct sw_hash *tips, size_t n, struct sw_buf *out);
void sw_message_pull(uint64_t turn, const struct sw_hash *v, size_t n, struct sw_buf *out);
void sw_message_more(uint64_t turn, struct sw_buf *out);
void sw_message_want(const struct sw_hash *v, size_t n, struct sw_buf *out);
void sw_message_ping(uint64_t nonce, struct sw_buf *out);
void sw_message_pong(uint64_t nonce, uint64_t wall_ms, struct sw_buf *out);
void sw_message_join(const uint8_t *secret, struct sw_buf *out);
void sw_message_joined(uint8_t code, const char *text, struct sw_buf *out);
void sw_message_bye(const char *text, struct sw_buf *out);
void sw_message_ask(struct sw_view text, struct sw_buf *out); /* of at most SW_MESSAGE_TEXT_MAX */
/* COMMITS and RECORDS of a body that was put together with the functions below. */
int sw_message_commits(uint64_t turn, bool more, struct sw_view body, struct sw_buf *out) SW_MUST_CHECK;
int sw_message_records(struct sw_view body, struct sw_buf *out) SW_MUST_CHECK;

void sw_message_freed(uint64_t turn, const struct sw_hash *v, size_t n, struct sw_buf *out);
void sw_message_look(const struct sw_hash *node, struct sw_buf *out);
/* record: empty when there is none. */
void sw_message_node(const struct sw_hash *node, struct sw_view record, struct sw_buf *out);
/* The body holds `bytes`, at most SW_MESSAGE_WATERMARKS and one. */
void sw_message_watermarks(struct sw_view body, struct sw_buf *out);

void sw_body_put_commit(const struct sw_commit *c, struct sw_view changeset, struct sw_buf *body);
/* The next commit of a body, its signed header appended to raw; 1, 0 at the end, SW_EFORMAT. */
int sw_body_next_commit(struct sw_rd *r, const struct sw_hash *database, struct sw_buf *raw,
			struct sw_view *changeset) SW_MUST_CHECK;
/* The next record of a body; 1, 0 at the end, SW_EFORMAT. */
int sw_body_next_record(struct sw_rd *r, struct sw_view *record) SW_MUST_CHECK;

/* The next watermark of a body, decoded, whose tips borrow from it; 1, 0 at the end, SW_EFORMAT. */
int sw_body_next_watermark(struct sw_rd *r, struct sw_view *bytes, struct sw_watermark *out) SW_MUST_CHECK;

#endif
