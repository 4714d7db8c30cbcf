/*
 * Frames on the control socket, between two processes of one user on one machine:
 *
 *   frame = type:u8 size:u32 payload
 *
 * The client sends one CALL, and, for commands that take input, ROWS and at last ROWS_END or ROWS_FAILED. The owner sends
 * OUT and ERR as the command writes, and at last EXIT. Either side may close at any time.
 *
 *   CALL        version:u8 flags:u8 n:varint word:bytes*n      flags 1: standard error is a terminal, 2: standard output is
 *   ROWS        a piece of the stream of rows, cut anywhere
 *   ROWS_END    nothing
 *   ROWS_FAILED code:u8 sentence
 *   OUT, ERR    bytes
 *   EXIT        code:u8
 *
 *   stream of rows = (TABLE:u8 table:bytes | ROW:u8 key:bytes has_meta:u8 mode:u16 mtime:u64 size:varint content)*
 *
 * A row belongs to the table before it.
 */
#ifndef SW_FS_FRAME_H
#define SW_FS_FRAME_H

#include "core/buf.h"

#define SW_FRAME_SIZE_MAX ((size_t)1 << 20)
#define SW_FRAME_VERSION  1

enum sw_frame_type {
	SW_FRAME_CALL = 1,
	SW_FRAME_ROWS = 2,
	SW_FRAME_ROWS_END = 3,
	SW_FRAME_ROWS_FAILED = 4,
	SW_FRAME_OUT = 5,
	SW_FRAME_ERR = 6,
	SW_FRAME_EXIT = 7,
};

enum sw_frame_row { SW_FRAME_ROW_TABLE = 1, SW_FRAME_ROW_ROW = 2 };

/*
 * For a client, once it is connected: sending and receiving then fail with SW_EBUSY and a sentence when the process at the other
 * end was stopped, as by SIGSTOP or a debugger, and was not let go on for SW_FRAME_STOPPED_MS. One that is only slow is waited for.
 */
#define SW_FRAME_STOPPED_MS 5000
void sw_frame_watch(int fd);

/* Blocks until all is in the kernel. SW_ECLOSED: the other side is gone. */
int sw_frame_send(int fd, enum sw_frame_type type, struct sw_view payload) SW_MUST_CHECK;
/* 1 and a frame, 0 at the end, SW_EFORMAT for more than SW_FRAME_SIZE_MAX or an unknown type. */
int sw_frame_receive(int fd, enum sw_frame_type *type, struct sw_buf *payload) SW_MUST_CHECK;

/* A CALL: the words stay where they are, and are NUL terminated in the decoded form. */
struct sw_frame_call {
	bool is_terminal;
	bool shows_output;
	size_t n;
	char **words; /* n, then NULL; free words, which holds the text too */
};

int sw_frame_call_encode(const struct sw_frame_call *call, struct sw_buf *out) SW_MUST_CHECK;
/* SW_EFORMAT, SW_EVERSION, SW_ENOMEM. */
int sw_frame_call_decode(struct sw_view payload, struct sw_frame_call *out) SW_MUST_CHECK;

#endif
