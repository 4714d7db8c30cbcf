/*
 * What arrives on the control socket. Even first bytes: frames; a call that is accepted has the
 * same bytes when it is encoded again, and its words are taken apart as the command line that they
 * are. Odd: a stream of rows, cut into frames in places that the input chooses; rows come out with
 * names that rows may have.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/row.h"
#include "fs/control_internal.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 32768

static FILE *nowhere;

static void check_call(struct sw_view payload)
{
	struct sw_frame_call call;
	struct sw_args args;
	struct sw_ctx ctx = {.out = nowhere, .err = nowhere};
	const struct sw_cmd *cmd;
	SW_BUF again = {0};

	if (sw_frame_call_decode(payload, &call) < 0)
		return;
	must(call.n > 0 && call.n <= SW_ARGS_MAX && !call.words[call.n]);
	must(sw_frame_call_encode(&call, &again) == 0);
	must(sw_view_eq(sw_buf_view(&again), payload));
	cmd = sw_cmd_find(call.words[0]);
	if (cmd && sw_args_parse(cmd, (int)call.n, call.words, &args) == 0) {
		must(args.n_operands >= cmd->min_operands && args.n_operands <= cmd->max_operands);
		if (cmd->where != SW_CMD_HERE && cmd->check)
			(void)cmd->check(&ctx, &args);
	}
	free(call.words);
}

static void read_frames(int fd)
{
	enum sw_frame_type type;
	SW_BUF payload = {0};
	int rc;

	while ((rc = sw_frame_receive(fd, &type, &payload)) > 0) {
		must(payload.n <= SW_FRAME_SIZE_MAX);
		if (type == SW_FRAME_CALL)
			check_call(sw_buf_view(&payload));
	}
	must(rc == 0 || rc == SW_EFORMAT || rc == SW_ECLOSED);
}

static int see_table(void *arg, struct sw_view table)
{
	(void)arg;
	must(sw_name_check(table) == 0);
	return 0;
}

static int see_row(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		   const struct sw_import_meta *meta)
{
	size_t *left = arg;

	must(sw_name_check(table) == 0 && sw_name_check(key) == 0);
	must(!meta || (meta->mode & ~SW_MODE_MASK) == 0);
	must(bytes.n <= *left);
	*left -= bytes.n;
	return 0;
}

/* Frames of ROWS, each as long as the byte before it says, then the end, if the first says so. */
static void put_rows(struct sw_rd *in, bool with_end, struct sw_buf *out)
{
	while (sw_rd_left(in) > 0) {
		size_t n = 1 + sw_rd_u8(in);
		struct sw_view piece = sw_rd_take(in, n < sw_rd_left(in) ? n : sw_rd_left(in));

		sw_buf_put_u8(out, SW_FRAME_ROWS);
		sw_buf_put_u32(out, (uint32_t)piece.n);
		sw_buf_put_view(out, piece);
	}
	if (with_end) {
		sw_buf_put_u8(out, SW_FRAME_ROWS_END);
		sw_buf_put_u32(out, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_rd in = sw_rd(sw_view(data, size < INPUT_MAX ? size : INPUT_MAX));
	uint8_t way = sw_rd_u8(&in);
	size_t left = size;
	SW_BUF stream = {0};
	int fds[2];

	if (!nowhere)
		must((nowhere = fopen("/dev/null", "we")) != NULL);
	if (way & 1)
		put_rows(&in, way & 2, &stream);
	else
		sw_buf_put_view(&stream, sw_rd_take(&in, sw_rd_left(&in)));
	must(stream.rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	must(stream.n == 0 || write(fds[0], stream.p, stream.n) == (ssize_t)stream.n);
	must(shutdown(fds[0], SHUT_WR) == 0);
	if (way & 1) {
		struct sw_import_sink sink = {.table = see_table, .row = see_row, .arg = &left};
		struct sw_ctx ctx = {.rows_arg = &fds[1]};
		int rc = sw_control_read_rows(&ctx, &sink);

		must(rc <= 0 && (way & 2 || rc < 0));
	} else {
		read_frames(fds[1]);
	}
	close(fds[0]);
	close(fds[1]);
	return 0;
}
