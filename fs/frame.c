#include "fs/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/cmd.h"

#define HEAD_SIZE 5
#define LOOK_MS	  500 /* after which time without a byte the other process is looked at */

void sw_frame_watch(int fd)
{
	struct timeval look = {.tv_usec = LOOK_MS * 1000};

	/* Without it, it would only wait for longer. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &look, sizeof(look));
}

static bool is_stopped(int pid)
{
	char path[64], stat[512];
	const char *p;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, stat, sizeof(stat) - 1);
		close(fd);
	}
	stat[n < 0 ? 0 : n] = '\0';
	p = strrchr(stat, ')'); /* the program's name may have one */
	return p && (p[1] == ' ' && (p[2] == 'T' || p[2] == 't'));
}

/* Nothing came for a while: 0 to go on waiting. *stopped_ms counts, and begins as 0. */
static int look_at_peer(int fd, int *stopped_ms)
{
	struct ucred peer = {0};
	socklen_t n = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || !is_stopped(peer.pid)) {
		*stopped_ms = 0;
		return 0;
	}
	*stopped_ms += LOOK_MS;
	if (*stopped_ms < SW_FRAME_STOPPED_MS)
		return 0;
	return sw_fail(SW_EBUSY, "process %d, which serves the store, is stopped and does not answer; let it go on with "
				 "'kill -CONT %d'", peer.pid, peer.pid);
}

int sw_frame_send(int fd, enum sw_frame_type type, struct sw_view payload)
{
	uint8_t head[HEAD_SIZE] = {(uint8_t)type, (uint8_t)(payload.n >> 24), (uint8_t)(payload.n >> 16),
				   (uint8_t)(payload.n >> 8), (uint8_t)payload.n};
	union {
		const uint8_t *from;
		void *to;
	} cast = {payload.p}; /* an iovec takes a plain pointer; sending writes nothing */
	struct iovec iov[2] = {{head, HEAD_SIZE}, {cast.to, payload.n}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	int stopped_ms = 0, rc;

	if (payload.n > SW_FRAME_SIZE_MAX)
		return SW_ELIMIT;
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			rc = look_at_peer(fd, &stopped_ms);
			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? SW_ECLOSED
								     : sw_err_from_errno(errno);
		for (int i = 0; i < 2; i++) {
			size_t take = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + take;
			iov[i].iov_len -= take;
			n -= (ssize_t)take;
		}
	}
	return 0;
}

/* 1 when all n are there, 0 when the stream ended before the first. */
static int receive_all(int fd, void *out, size_t n)
{
	char *p = out;
	size_t got = 0;
	int stopped_ms = 0, rc;

	while (got < n) {
		ssize_t k = recv(fd, p + got, n - got, 0);

		if (k < 0 && errno == EAGAIN) {
			rc = look_at_peer(fd, &stopped_ms);
			if (rc < 0)
				return rc;
			continue;
		}
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno == ECONNRESET ? SW_ECLOSED : sw_err_from_errno(errno);
		if (k == 0)
			return got == 0 ? 0 : SW_ECLOSED;
		got += (size_t)k;
	}
	return 1;
}

int sw_frame_receive(int fd, enum sw_frame_type *type, struct sw_buf *payload)
{
	uint8_t head[HEAD_SIZE];
	size_t n;
	int rc = receive_all(fd, head, sizeof(head));

	if (rc <= 0)
		return rc;
	n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	if (head[0] < SW_FRAME_CALL || head[0] > SW_FRAME_EXIT || n > SW_FRAME_SIZE_MAX)
		return SW_EFORMAT;
	*type = (enum sw_frame_type)head[0];
	sw_buf_reset(payload);
	if (n == 0)
		return 1;
	if (!sw_buf_reserve(payload, n))
		return SW_ENOMEM;
	rc = receive_all(fd, payload->p, n);
	if (rc <= 0)
		return rc < 0 ? rc : SW_ECLOSED;
	payload->n = n;
	return 1;
}

int sw_frame_call_encode(const struct sw_frame_call *call, struct sw_buf *out)
{
	sw_buf_put_u8(out, SW_FRAME_VERSION);
	sw_buf_put_u8(out, (uint8_t)(call->is_terminal | call->shows_output << 1));
	sw_buf_put_varint(out, call->n);
	for (size_t i = 0; i < call->n; i++)
		sw_buf_put_bytes(out, sw_view_str(call->words[i]));
	if (out->rc == 0 && (call->n > SW_ARGS_MAX || out->n > SW_ARGS_SIZE_MAX))
		return sw_fail(SW_ELIMIT, "the command line is too long");
	return out->rc;
}

int sw_frame_call_decode(struct sw_view payload, struct sw_frame_call *out)
{
	struct sw_rd r = sw_rd(payload);
	uint8_t version = sw_rd_u8(&r), flags = sw_rd_u8(&r);
	size_t n = (size_t)sw_rd_varint_max(&r, SW_ARGS_MAX);
	char **words, *text;

	if (version != SW_FRAME_VERSION)
		return SW_EVERSION;
	if (r.bad || n == 0 || flags > 3 || payload.n > SW_ARGS_SIZE_MAX)
		return SW_EFORMAT;
	words = malloc((n + 1) * sizeof(*words) + payload.n + n);
	if (!words)
		return SW_ENOMEM;
	text = (char *)(words + n + 1);
	for (size_t i = 0; i < n; i++) {
		struct sw_view v = sw_rd_bytes(&r, SW_ARGS_SIZE_MAX);

		if (v.n > 0)
			memcpy(text, v.p, v.n);
		if (v.n > 0 && memchr(v.p, '\0', v.n))
			r.bad = true;
		words[i] = text;
		text[v.n] = '\0';
		text += v.n + 1;
	}
	words[n] = NULL;
	if (sw_rd_done(&r) < 0) {
		free(words);
		return SW_EFORMAT;
	}
	*out = (struct sw_frame_call){.is_terminal = flags & 1, .shows_output = flags & 2, .n = n, .words = words};
	return 0;
}
