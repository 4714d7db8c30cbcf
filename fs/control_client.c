/* The other end: send the command and its input, show what comes back. */
#include "fs/control_internal.h"

#include <sys/socket.h>
#include <unistd.h>

#define ROWS_FRAME ((size_t)256 << 10)

struct sending {
	int fd;
	struct sw_buf frame;
};

static int flush_rows(struct sending *s)
{
	int rc = s->frame.rc;

	if (rc == 0 && s->frame.n > 0)
		rc = sw_frame_send(s->fd, SW_FRAME_ROWS, sw_buf_view(&s->frame));
	sw_buf_reset(&s->frame);
	return rc;
}

static int send_table(void *arg, struct sw_view table)
{
	struct sending *s = arg;

	sw_buf_put_u8(&s->frame, SW_FRAME_ROW_TABLE);
	sw_buf_put_bytes(&s->frame, table);
	return s->frame.n >= ROWS_FRAME ? flush_rows(s) : s->frame.rc;
}

static int send_row(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		    const struct sw_import_meta *meta)
{
	struct sending *s = arg;
	int rc;

	(void)table; /* said before */
	sw_buf_put_u8(&s->frame, SW_FRAME_ROW_ROW);
	sw_buf_put_bytes(&s->frame, key);
	sw_buf_put_u8(&s->frame, meta != NULL);
	sw_buf_put_u16(&s->frame, meta ? meta->mode : 0);
	sw_buf_put_u64(&s->frame, meta ? (uint64_t)meta->mtime_ns : 0);
	sw_buf_put_varint(&s->frame, bytes.n);
	while (s->frame.n + bytes.n >= ROWS_FRAME) {
		size_t k = ROWS_FRAME > s->frame.n ? ROWS_FRAME - s->frame.n : 0;

		sw_buf_put(&s->frame, bytes.p, k);
		bytes = sw_view(bytes.p + k, bytes.n - k);
		rc = flush_rows(s);
		if (rc < 0)
			return rc;
	}
	sw_buf_put_view(&s->frame, bytes);
	return s->frame.rc;
}

/* Tell the owner why there will be no more rows; it tells the user. */
static int send_failure(int fd, int rc)
{
	SW_BUF b = {0};

	sw_buf_put_u8(&b, (uint8_t)-rc);
	sw_buf_printf(&b, "%s", sw_fail_message(rc));
	return b.rc < 0 ? b.rc : sw_frame_send(fd, SW_FRAME_ROWS_FAILED, sw_buf_view(&b));
}

/* A send that fails is no failure yet: the owner may have ended the command, and says why. */
static void send_input(int fd, const struct sw_call *call)
{
	struct sending s = {.fd = fd};
	struct sw_import_sink sink = {.table = send_table, .row = send_row, .arg = &s};
	struct sw_import_report report;
	int rc = call->args->cmd->feed(call->args, &sink, &report);

	if (rc == 0)
		rc = flush_rows(&s);
	if (rc == 0)
		rc = sw_frame_send(fd, SW_FRAME_ROWS_END, sw_view("", 0));
	else if (rc != SW_ECLOSED && rc != SW_EBUSY)
		rc = send_failure(fd, rc);
	if (rc == 0 && report.note[0])
		fprintf(call->err, "swarmfs: %s\n", report.note);
	sw_buf_fini(&s.frame);
}

static int receive_output(int fd, const struct sw_call *call)
{
	enum sw_frame_type type;
	SW_BUF b = {0};
	int rc;

	while ((rc = sw_frame_receive(fd, &type, &b)) > 0) {
		if (type == SW_FRAME_OUT) {
			/* Whoever reads a pipe wants to see a line when it comes. */
			if (fwrite(b.p, 1, b.n, call->out) != b.n || fflush(call->out) != 0)
				return sw_fail_errno("cannot write the output");
		} else if (type == SW_FRAME_ERR) {
			fflush(call->out);
			fwrite(b.p, 1, b.n, call->err);
		} else if (type == SW_FRAME_EXIT && b.n == 1) {
			return b.p[0];
		} else {
			return sw_fail(SW_EFORMAT, "the process that serves the store is another version of "
						   "swarmfs; restart it");
		}
	}
	if (rc < 0 && rc != SW_ECLOSED)
		return rc;
	return sw_fail(SW_ECLOSED, "the process that serves the store went away; look at its log, and start "
				   "it again");
}

int sw_control_call(int fd, const struct sw_call *call)
{
	struct sw_frame_call frame = {.is_terminal = call->is_terminal,
				      .shows_output = call->shows_output,
				      .n = (size_t)call->argc,
				      .words = call->argv};
	SW_BUF b = {0};
	int rc = sw_frame_call_encode(&frame, &b);

	sw_frame_watch(fd);
	if (rc == 0)
		rc = sw_frame_send(fd, SW_FRAME_CALL, sw_buf_view(&b));
	if (rc == 0 && call->args->cmd->feed)
		send_input(fd, call);
	if (rc == 0 || rc == SW_ECLOSED)
		rc = receive_output(fd, call);
	close(fd);
	return rc;
}

int sw_control_ask(const char *dir)
{
	enum sw_frame_type type;
	SW_BUF answer = {0};
	int fd, rc = sw_control_connect(dir, &fd, NULL);

	if (rc < 0)
		return rc;
	sw_frame_watch(fd);
	/* The owner answers also to who leaves without a command. */
	rc = shutdown(fd, SHUT_WR) < 0 ? SW_ECLOSED : sw_frame_receive(fd, &type, &answer);
	close(fd);
	if (rc == 0 || rc == SW_ECLOSED)
		return SW_ENOTFOUND;
	return rc < 0 ? rc : 0;
}

int sw_control_quiet(const char *dir, int *out)
{
	char name[] = "quiet", *words[] = {name, (char *)(uintptr_t)dir, NULL};
	struct sw_frame_call call = {.n = 2, .words = words};
	enum sw_frame_type type;
	SW_BUF b = {0};
	int fd, rc = sw_control_connect(dir, &fd, NULL);

	if (rc < 0)
		return rc;
	sw_frame_watch(fd);
	rc = sw_frame_call_encode(&call, &b);
	if (rc == 0)
		rc = sw_frame_send(fd, SW_FRAME_CALL, sw_buf_view(&b));
	/* It says something when it is quiet, and goes on saying it. */
	if (rc == 0)
		rc = sw_frame_receive(fd, &type, &b);
	if (rc > 0 && type == SW_FRAME_OUT) {
		*out = fd;
		return 0;
	}
	close(fd);
	return rc < 0 ? rc : SW_ECLOSED;
}
