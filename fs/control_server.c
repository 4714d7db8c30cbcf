/* The owner's end of the control socket: a thread that lets clients in, and one for each of them. */
#include "fs/control_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fs/thread.h"

#define CALL_TIMEOUT_S 10 /* for a client to say what it wants */
#define OUT_BUFFER     65536
#define FAREWELL_MS    500 /* for commands to end before their connections do */

struct client {
	struct sw_control *control;
	int fd; /* -1: free; under lock */
};

struct sw_control {
	struct sw_owner *owner;
	int listen_fd;
	int stop_fd; /* eventfd: written once, to stop */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t left; /* a client has */
	struct client clients[SW_CONTROL_CLIENTS_MAX];
	size_t n_clients;
};

/* Streams */

struct stream {
	int fd;
	enum sw_frame_type type;
};

static ssize_t stream_write(void *cookie, const char *p, size_t n)
{
	struct stream *s = cookie;
	size_t done = 0;

	while (done < n) {
		size_t k = n - done < SW_FRAME_SIZE_MAX ? n - done : SW_FRAME_SIZE_MAX;

		if (sw_frame_send(s->fd, s->type, sw_view(p + done, k)) < 0) {
			errno = EPIPE;
			return 0;
		}
		done += k;
	}
	return (ssize_t)n;
}

static FILE *stream_open(struct stream *s, int fd, enum sw_frame_type type)
{
	cookie_io_functions_t io = {.write = stream_write};
	FILE *f;

	*s = (struct stream){fd, type};
	f = fopencookie(s, "w", io);
	if (f)
		setvbuf(f, NULL, _IOFBF, OUT_BUFFER);
	return f;
}

/* One client */

static bool client_left(const struct sw_ctx *ctx)
{
	struct pollfd fd = {.fd = *(const int *)ctx->rows_arg, .events = POLLRDHUP};

	return poll(&fd, 1, 0) > 0;
}

static int run_command(struct sw_owner *o, int fd, const struct sw_frame_call *call, FILE *out, FILE *err)
{
	struct sw_ctx ctx = {.owner = o,
			     .out = out,
			     .err = err,
			     .is_terminal = call->is_terminal,
			     .shows_output = call->shows_output,
			     .client = fd,
			     .read_rows = sw_control_read_rows,
			     .rows_arg = &fd,
			     .is_left = client_left};
	const struct sw_cmd *cmd =
	    strcmp(call->words[0], sw_cmd_quiet.name) == 0 ? &sw_cmd_quiet : sw_cmd_find(call->words[0]);
	struct sw_args args;
	int rc;

	if (!cmd || cmd->where == SW_CMD_HERE) {
		fprintf(err, "swarmfs: the process that serves the store does not know the command '%s'; "
			     "restart it with this version of swarmfs\n", call->words[0]);
		return SW_EXIT_FAILED;
	}
	rc = sw_args_parse(cmd, (int)call->n, call->words, &args);
	if (rc != 0)
		return sw_ctx_usage(&ctx, &args, "%s", rc < 0 ? sw_fail_message(rc) : "--help");
	if (sw_cmd_where(&args) == SW_CMD_HERE)
		return sw_ctx_usage(&ctx, &args, "it runs where it was started");
	if (cmd->check) {
		rc = cmd->check(&ctx, &args);
		if (rc != 0)
			return rc;
	}
	rc = cmd->run(&ctx, &args);
	if (o->hook.wait_shown)
		o->hook.wait_shown(o->hook.arg);
	return rc == SW_EXIT_OK ? sw_ctx_finish(&ctx) : rc;
}

static int receive_call(int fd, struct sw_frame_call *call)
{
	struct timeval limit = {CALL_TIMEOUT_S, 0}, none = {0};
	enum sw_frame_type type;
	SW_BUF payload = {0};
	int rc;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	rc = sw_frame_receive(fd, &type, &payload);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	if (rc == 0)
		return SW_ECLOSED;
	if (rc < 0)
		return rc;
	return type == SW_FRAME_CALL ? sw_frame_call_decode(sw_buf_view(&payload), call) : SW_EFORMAT;
}

static int serve_call(struct sw_owner *o, int fd, FILE *out, FILE *err)
{
	struct sw_frame_call call = {0};
	int rc = receive_call(fd, &call);

	if (rc == SW_EVERSION || rc == SW_EFORMAT)
		fprintf(err, "swarmfs: the process that serves the store is another version of swarmfs; "
			     "restart it\n");
	if (rc < 0)
		return SW_EXIT_FAILED;
	rc = run_command(o, fd, &call, out, err);
	free(call.words);
	return rc;
}

static void serve(struct sw_owner *o, int fd)
{
	struct stream out_stream, err_stream;
	FILE *out = stream_open(&out_stream, fd, SW_FRAME_OUT);
	FILE *err = stream_open(&err_stream, fd, SW_FRAME_ERR);
	uint8_t code = SW_EXIT_FAILED;

	if (out && err) {
		setvbuf(err, NULL, _IOLBF, BUFSIZ);
		code = (uint8_t)serve_call(o, fd, out, err);
	}
	if (out)
		fclose(out);
	if (err)
		fclose(err);
	if (sw_frame_send(fd, SW_FRAME_EXIT, sw_view(&code, 1)) < 0) {
		/* The client is gone; it does not need to know. */
	}
}

void sw_control_serve(struct sw_owner *o, int fd)
{
	serve(o, fd);
	close(fd);
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct sw_control *control = c->control;

	serve(control->owner, c->fd);
	pthread_mutex_lock(&control->lock);
	close(c->fd);
	c->fd = -1;
	control->n_clients--;
	pthread_cond_signal(&control->left);
	pthread_mutex_unlock(&control->lock);
	return NULL;
}

/* Letting in */

static bool is_allowed(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	       (cred.uid == geteuid() || cred.uid == 0);
}

static void refuse(int fd, const char *why)
{
	uint8_t code = SW_EXIT_FAILED;

	if (sw_frame_send(fd, SW_FRAME_ERR, sw_view_str(why)) < 0 ||
	    sw_frame_send(fd, SW_FRAME_EXIT, sw_view(&code, 1)) < 0) {
		/* It does not listen. */
	}
	close(fd);
}

static void let_in(struct sw_control *control, int fd)
{
	struct client *c = NULL;
	pthread_attr_t detached;
	pthread_t thread;

	if (!is_allowed(fd)) {
		close(fd);
		return;
	}
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < SW_CONTROL_CLIENTS_MAX && !c; i++)
		if (control->clients[i].fd < 0)
			c = &control->clients[i];
	if (c) {
		c->fd = fd;
		control->n_clients++;
	}
	pthread_mutex_unlock(&control->lock);
	if (!c) {
		refuse(fd, "swarmfs: too many commands are running on this store; try again later\n");
		return;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, client_main, c) != 0) {
		pthread_mutex_lock(&control->lock);
		c->fd = -1;
		control->n_clients--;
		pthread_mutex_unlock(&control->lock);
		refuse(fd, "swarmfs: the process that serves the store can start no more threads\n");
	}
	pthread_attr_destroy(&detached);
}

/* Signals are blocked here, so they are in the threads of clients, too. */
static void *accept_main(void *arg)
{
	struct sw_control *c = arg;
	struct pollfd fds[2] = {{.fd = c->listen_fd, .events = POLLIN},
				{.fd = c->stop_fd, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		if (!fds[0].revents)
			continue;
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			let_in(c, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			usleep(50000); /* poll() would come back at once */
	}
}

int sw_control_start(struct sw_owner *o, struct sw_control **out)
{
	struct sw_control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return SW_ENOMEM;
	c->owner = o;
	for (size_t i = 0; i < SW_CONTROL_CLIENTS_MAX; i++)
		c->clients[i] = (struct client){c, -1};
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->left, NULL);
	c->listen_fd = -1;
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = c->stop_fd < 0 ? sw_fail_errno("cannot make an event")
			    : sw_control_listen(sw_db_dir(o->db), &c->listen_fd);
	if (rc == 0)
		rc = sw_thread_start(&c->thread, accept_main, c);
	if (rc == 0) {
		*out = c;
		return 0;
	}
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	free(c);
	return rc;
}

/* Wait until no client is left, for at most timeout_ms. lock is held. */
static bool wait_for_clients(struct sw_control *c, uint32_t timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (c->n_clients > 0)
		if (pthread_cond_timedwait(&c->left, &c->lock, &until) == ETIMEDOUT)
			break;
	return c->n_clients == 0;
}

static void shut_down(struct sw_control *c, int how)
{
	for (size_t i = 0; i < SW_CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0)
			shutdown(c->clients[i].fd, how);
}

bool sw_control_stop(struct sw_control *c, uint32_t timeout_ms)
{
	uint64_t one = 1;
	bool is_done;

	if (!c)
		return true;
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		return false;
	pthread_join(c->thread, NULL);
	sw_control_remove(sw_db_dir(c->owner->db));
	close(c->listen_fd);
	pthread_mutex_lock(&c->lock);
	/* First those that only wait end by themselves, and can still say so. */
	shut_down(c, SHUT_RD);
	is_done = wait_for_clients(c, FAREWELL_MS);
	shut_down(c, SHUT_RDWR);
	is_done = is_done || wait_for_clients(c, timeout_ms);
	pthread_mutex_unlock(&c->lock);
	close(c->stop_fd);
	if (!is_done)
		return false; /* its threads still use it; the process ends soon */
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->left);
	free(c);
	return true;
}
