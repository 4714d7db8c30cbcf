/*
 * net/transport_nng.c over real sockets, tcp on loopback and ipc in a directory of its own. Two
 * transports in one thread stand for two processes; `until` polls both until a condition holds, and
 * nothing ever waits for a fixed time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/transport.h"

#define PATIENCE_MS 30000
#define MIB         (1024 * 1024)
#define N_CONNS_MAX 128

/* One transport and what its handler was told. */
struct side {
	struct sw_transport *t;
	pthread_t thread;
	bool echo;           /* send back what arrives */
	bool close_on_bytes; /* close the connection from within its own event */
	uint64_t close_other;
	size_t receive_max;

	uint64_t conns[N_CONNS_MAX]; /* in the order of accepted or connected */
	uint64_t cookies[N_CONNS_MAX];
	size_t n_conns;
	size_t n_closed;
	uint64_t last_closed;
	size_t n_failed;
	uint64_t failed_cookie;
	size_t n_sent;
	size_t queued;  /* as last told */
	char text[200]; /* the last address or reason */
	struct sw_buf bytes;
};

struct world {
	struct side a; /* listens */
	struct side b; /* dials */
	char dir[32];
	char url[SW_TRANSPORT_URL_MAX];
};

static void on_accepted(void *arg, uint64_t conn, const char *address)
{
	struct side *s = arg;

	assert_true(pthread_equal(s->thread, pthread_self()));
	assert_true(s->n_conns < N_CONNS_MAX);
	s->conns[s->n_conns++] = conn;
	snprintf(s->text, sizeof(s->text), "%s", address);
}

static void on_connected(void *arg, uint64_t conn, uint64_t cookie)
{
	struct side *s = arg;

	assert_true(pthread_equal(s->thread, pthread_self()));
	assert_true(s->n_conns < N_CONNS_MAX);
	s->cookies[s->n_conns] = cookie;
	s->conns[s->n_conns++] = conn;
}

static void on_dial_failed(void *arg, uint64_t cookie, const char *reason)
{
	struct side *s = arg;

	s->n_failed++;
	s->failed_cookie = cookie;
	snprintf(s->text, sizeof(s->text), "%s", reason);
}

static void on_received(void *arg, uint64_t conn, struct sw_view bytes)
{
	struct side *s = arg;

	assert_true(pthread_equal(s->thread, pthread_self()));
	assert_true(bytes.n > 0);
	assert_true(bytes.n <= s->receive_max);
	sw_buf_put_view(&s->bytes, bytes);
	if (s->echo)
		assert_int_equal(sw_transport_send(s->t, conn, bytes), 0);
	if (s->close_other)
		sw_transport_close(s->t, s->close_other);
	if (s->close_on_bytes) {
		sw_transport_close(s->t, conn);
		assert_int_equal(sw_transport_send(s->t, conn, bytes), SW_ECLOSED);
		sw_buf_put_view(&s->bytes, bytes); /* the view outlives its connection */
	}
}

static void on_sent(void *arg, uint64_t conn, size_t queued)
{
	struct side *s = arg;

	(void)conn;
	s->n_sent++;
	s->queued = queued;
}

static void on_closed(void *arg, uint64_t conn, const char *reason)
{
	struct side *s = arg;

	s->n_closed++;
	s->last_closed = conn;
	snprintf(s->text, sizeof(s->text), "%s", reason);
	assert_int_equal(sw_transport_send(s->t, conn, sw_view_str("x")), SW_ECLOSED);
	sw_transport_close(s->t, conn); /* no harm */
}

static const struct sw_transport_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .dial_failed = on_dial_failed,
    .received = on_received,
    .sent = on_sent,
    .closed = on_closed,
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Poll both sides, or those of them that live, once, waiting at most ms. */
static void turn(struct world *w, int ms)
{
	struct side *sides[2] = {&w->a, &w->b};
	struct pollfd fds[2];

	for (int k = 0; k < 2; k++)
		fds[k] =
		    (struct pollfd){sides[k]->t ? sw_transport_fd(sides[k]->t) : -1, POLLIN, 0};
	poll(fds, 2, ms);
	for (int k = 0; k < 2; k++)
		if (fds[k].revents)
			sw_transport_poll(sides[k]->t, &handler, sides[k]);
}

#define until(w, condition)                                                                        \
	do {                                                                                       \
		int64_t until_end_ = now_ms() + PATIENCE_MS;                                       \
		while (!(condition)) {                                                             \
			if (now_ms() > until_end_)                                                 \
				fail_msg("never: %s", #condition);                                 \
			turn(w, 20);                                                               \
		}                                                                                  \
	} while (0)

static void open_side(struct side *s, const struct sw_transport_options *options)
{
	s->thread = pthread_self();
	s->receive_max = options->receive_max ? options->receive_max : SW_TRANSPORT_RECEIVE_MAX;
	assert_int_equal(sw_transport_new(options, &s->t), 0);
}

static void open_world(struct world *w, const struct sw_transport_options *options)
{
	static const struct sw_transport_options defaults;

	*w = (struct world){.dir = "/tmp/sw-transport.XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	open_side(&w->a, options ? options : &defaults);
	open_side(&w->b, options ? options : &defaults);
}

static void close_world(struct world *w)
{
	sw_transport_free(w->a.t);
	sw_transport_free(w->b.t);
	sw_buf_fini(&w->a.bytes);
	sw_buf_fini(&w->b.bytes);
	assert_int_equal(rmdir(w->dir), 0); /* the sockets are gone */
}

static void listen_at(struct world *w, bool ipc)
{
	char url[SW_TRANSPORT_URL_MAX];

	if (ipc)
		snprintf(url, sizeof(url), "ipc://%s/s", w->dir);
	else
		snprintf(url, sizeof(url), "tcp://127.0.0.1:0");
	assert_int_equal(sw_transport_listen(w->a.t, url, w->url), 0);
}

static void dial(struct world *w)
{
	assert_int_equal(sw_transport_dial(w->b.t, w->url, 77, PATIENCE_MS), 0);
}

/* One more connection between the two; both know it by conns[n_conns - 1]. */
static void join(struct world *w)
{
	size_t n = w->b.n_conns + 1;

	dial(w);
	until(w, w->a.n_conns == n && w->b.n_conns == n);
}

static void open_pair(struct world *w, const struct sw_transport_options *options, bool ipc)
{
	open_world(w, options);
	listen_at(w, ipc);
	join(w);
}

static uint8_t *pattern(size_t n, uint8_t seed)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	for (size_t k = 0; k < n; k++)
		p[k] = (uint8_t)(seed + k * 31 + (k >> 8) + (k >> 16));
	return p;
}

static void a_mebibyte_comes_back(void **state)
{
	uint8_t *bytes = pattern(MIB, 1);
	struct world w;

	(void)state;
	for (int ipc = 0; ipc < 2; ipc++) {
		open_pair(&w, NULL, ipc);
		assert_int_equal(strncmp(w.a.text, ipc ? "ipc:///tmp/" : "tcp://127.0.0.1:", 11),
				 0);
		assert_int_equal(w.b.cookies[0], 77);
		w.a.echo = true;
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[0], sw_view(bytes, MIB)), 0);
		until(&w, w.b.bytes.n == MIB);
		assert_memory_equal(w.a.bytes.p, bytes, MIB);
		assert_memory_equal(w.b.bytes.p, bytes, MIB);
		until(&w, w.a.queued == 0 && w.b.queued == 0);
		close_world(&w);
	}
	free(bytes);
}

static void both_directions_flow_at_once(void **state)
{
	uint8_t *to_a = pattern(MIB, 1);
	uint8_t *to_b = pattern(MIB, 2);
	struct world w;

	(void)state;
	for (int ipc = 0; ipc < 2; ipc++) {
		size_t at = 0;

		open_pair(&w, NULL, ipc);
		for (size_t n = 1; at < MIB; at += n, n = n * 3 % 20011) {
			if (n > MIB - at)
				n = MIB - at;
			assert_int_equal(
			    sw_transport_send(w.b.t, w.b.conns[0], sw_view(to_a + at, n)), 0);
			assert_int_equal(
			    sw_transport_send(w.a.t, w.a.conns[0], sw_view(to_b + at, n)), 0);
		}
		until(&w, w.a.bytes.n == MIB && w.b.bytes.n == MIB);
		assert_memory_equal(w.a.bytes.p, to_a, MIB);
		assert_memory_equal(w.b.bytes.p, to_b, MIB);
		close_world(&w);
	}
	free(to_a);
	free(to_b);
}

/* Small messages must not wait for acknowledgements: every tcp socket of ours has TCP_NODELAY. */
static void tcp_does_not_delay(void **state)
{
	struct dirent *entry;
	struct world w;
	size_t n = 0;
	DIR *dir;

	(void)state;
	open_pair(&w, NULL, false);
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		int fd = (int)strtol(entry->d_name, NULL, 10);
		int on = 0;

		if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 ||
		    peer.ss_family != AF_INET)
			continue;
		size = sizeof(on);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
		assert_int_equal(on, 1);
		n++;
	}
	closedir(dir);
	assert_int_equal(n, 2);
	close_world(&w);
}

static void connections_do_not_mix(void **state)
{
	size_t n = 100;
	struct world w;

	(void)state;
	open_world(&w, NULL);
	listen_at(&w, false);
	for (size_t k = 0; k < n; k++)
		dial(&w);
	until(&w, w.a.n_conns == n && w.b.n_conns == n);
	w.a.echo = true;
	for (size_t k = 0; k < n; k++) {
		sw_buf_reset(&w.b.bytes);
		sw_buf_reset(&w.a.bytes);
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[k], sw_view(&k, sizeof(k))), 0);
		until(&w, w.b.bytes.n == sizeof(k));
		assert_memory_equal(w.b.bytes.p, &k, sizeof(k));
	}
	/* Ids are of one transport, all different, and not those of the other side. */
	for (size_t k = 1; k < n; k++)
		assert_true(w.a.conns[k] > w.a.conns[k - 1]);
	close_world(&w);
}

static void either_side_may_close(void **state)
{
	struct world w;

	(void)state;
	for (int way = 0; way < 4; way++) {
		struct side *closer = way & 1 ? &w.a : &w.b;
		struct side *other = way & 1 ? &w.b : &w.a;

		open_pair(&w, NULL, way & 2);
		assert_int_equal(
		    sw_transport_send(closer->t, closer->conns[0], sw_view_str("last word")), 0);
		until(&w, closer->n_sent > 0 && closer->queued == 0);
		sw_transport_close(closer->t, closer->conns[0]);
		until(&w, other->n_closed == 1);
		assert_int_equal(other->last_closed, other->conns[0]);
		assert_true(sw_view_eq(sw_buf_view(&other->bytes), sw_view_str("last word")));
		assert_string_equal(other->text, "closed by the other side");
		assert_int_equal(closer->n_closed, 0); /* whoever closes is not told */
		assert_int_equal(sw_transport_send(closer->t, closer->conns[0], sw_view_str("x")),
				 SW_ECLOSED);
		sw_transport_close(closer->t, closer->conns[0]);
		sw_transport_pause(closer->t, closer->conns[0], true);
		join(&w); /* both still work */
		close_world(&w);
	}
}

static void a_handler_may_close_anything(void **state)
{
	struct world w;

	(void)state;
	open_pair(&w, NULL, false);
	join(&w);
	w.a.close_on_bytes = true;
	w.a.close_other = w.a.conns[1];
	for (size_t k = 0; k < 2; k++)
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[k], sw_view_str("ab")), 0);
	until(&w, w.b.n_closed == 2);
	assert_int_equal(w.a.n_closed, 0);
	assert_true(w.a.bytes.n == 4 || w.a.bytes.n == 8);
	assert_memory_equal(w.a.bytes.p, "abab", 4);
	close_world(&w);
}

/* A port of ours that nobody listens on: bound, so that nobody else does either. */
static int closed_port(char url[static SW_TRANSPORT_URL_MAX], int backlog)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &size), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	snprintf(url, SW_TRANSPORT_URL_MAX, "tcp://127.0.0.1:%d", ntohs(sin.sin_port));
	return fd;
}

static void a_refused_dial_says_so(void **state)
{
	struct world w;
	int fd;

	(void)state;
	open_world(&w, NULL);
	fd = closed_port(w.url, -1);
	dial(&w);
	until(&w, w.b.n_failed == 1);
	assert_int_equal(w.b.failed_cookie, 77);
	assert_non_null(strstr(w.b.text, "refused"));
	close(fd);

	snprintf(w.url, sizeof(w.url), "ipc://%s/nobody", w.dir);
	dial(&w);
	until(&w, w.b.n_failed == 2);
	assert_non_null(strstr(w.b.text, "refused"));
	snprintf(w.url, sizeof(w.url), "tcp://no-such-host.invalid:1");
	dial(&w);
	until(&w, w.b.n_failed == 3);
	assert_int_equal(w.b.n_conns, 0);
	close_world(&w);
}

/* A full backlog drops what knocks, so that a dial would hang for minutes. */
static void a_dial_ends_at_its_deadline(void **state)
{
	int64_t begin = 0;
	struct world w;
	int fd;

	(void)state;
	open_world(&w, NULL);
	fd = closed_port(w.url, 0);
	for (size_t k = 0; k < 20 && w.b.n_failed == 0; k++) {
		begin = now_ms();
		assert_int_equal(sw_transport_dial(w.b.t, w.url, k, 300), 0);
		until(&w, w.b.n_conns + w.b.n_failed == k + 1);
	}
	assert_int_equal(w.b.n_failed, 1);
	assert_string_equal(w.b.text, "no answer in time");
	assert_true(now_ms() - begin >= 300);
	close(fd);
	close_world(&w);
}

static void dials_are_bounded(void **state)
{
	struct world w;
	int fd;

	(void)state;
	open_world(&w, NULL);
	fd = closed_port(w.url, 0);
	for (size_t k = 0; k < SW_TRANSPORT_DIALS_MAX; k++)
		dial(&w);
	assert_int_equal(sw_transport_dial(w.b.t, w.url, 1, PATIENCE_MS), SW_EAGAIN);
	close_world(&w); /* with most of them under way */
	close(fd);
}

static void an_address_in_use_is_told(void **state)
{
	char bound[SW_TRANSPORT_URL_MAX];
	struct world w;

	(void)state;
	for (int ipc = 0; ipc < 2; ipc++) {
		open_pair(&w, NULL, ipc);
		assert_int_equal(sw_transport_listen(w.b.t, w.url, bound), SW_EBUSY);
		assert_non_null(strstr(sw_fail_message(SW_EBUSY), w.url));
		dial(&w); /* not join(): the attempt on ipc knocked to see whether we are alive */
		until(&w, w.b.n_conns == 2);
		close_world(&w);
	}
}

static void bad_addresses_are_refused(void **state)
{
	static const char *const urls[] = {
	    "",
	    "tcp",
	    "tcp://",
	    "tcp://127.0.0.1",
	    "tcp://127.0.0.1:",
	    "tcp://:1",
	    "tcp://127.0.0.1:x",
	    "tcp://127.0.0.1:123456",
	    "tcp://127.0.0.1:1/path",
	    "tcp://user@127.0.0.1:1",
	    "ipc://",
	    "http://127.0.0.1:1",
	    "inproc://x",
	    "127.0.0.1:1",
	};
	char bound[SW_TRANSPORT_URL_MAX];
	char url[2 * SW_TRANSPORT_URL_MAX];
	struct world w;

	(void)state;
	open_world(&w, NULL);
	for (size_t k = 0; k < sizeof(urls) / sizeof(*urls); k++) {
		assert_int_equal(sw_transport_listen(w.a.t, urls[k], bound), SW_EINVAL);
		assert_int_equal(sw_transport_dial(w.a.t, urls[k], 1, 1000), SW_EINVAL);
	}
	assert_int_equal(sw_transport_listen(w.a.t, "tcp://127.0.0.1:65536", bound), SW_EINVAL);
	memset(url, 'x', sizeof(url));
	memcpy(url, "ipc:///", 7);
	url[sizeof(url) - 1] = '\0';
	assert_int_equal(sw_transport_dial(w.a.t, url, 1, 1000), SW_ETOOLONG);
	memcpy(url, "tcp://", 6);
	memcpy(url + sizeof(url) - 3, ":1", 3);
	assert_int_equal(sw_transport_listen(w.a.t, url, bound), SW_ETOOLONG);
	close_world(&w);
}

static void unix_sockets_are_bound_with_care(void **state)
{
	char url[SW_TRANSPORT_URL_MAX];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	struct world w;
	int fd;

	(void)state;
	open_world(&w, NULL);
	/* 107 bytes of path are the most there can be, and work. */
	snprintf(url, sizeof(url), "ipc://%s/%0*d", w.dir, 106 - (int)strlen(w.dir), 0);
	assert_int_equal(strlen(url), 6 + 107);
	assert_int_equal(sw_transport_listen(w.a.t, url, w.url), 0);
	assert_string_equal(url, w.url);
	join(&w);
	snprintf(url, sizeof(url), "ipc://%s/%0*d", w.dir, 107 - (int)strlen(w.dir), 0);
	assert_int_equal(sw_transport_listen(w.a.t, url, w.url), SW_ETOOLONG);
	assert_non_null(strstr(sw_fail_message(SW_ETOOLONG), "107"));
	assert_int_equal(sw_transport_dial(w.b.t, url, 1, 1000), SW_ETOOLONG);

	/* A file in the way stays. */
	snprintf(url, sizeof(url), "ipc://%s/file", w.dir);
	fd = open(url + 6, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sw_transport_listen(w.a.t, url, w.url), SW_EEXIST);
	assert_int_equal(stat(url + 6, &st), 0);
	assert_int_equal(unlink(url + 6), 0);

	/* A socket left by a crash does not. */
	snprintf(url, sizeof(url), "ipc://%s/dead", w.dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/dead", w.dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	assert_int_equal(sw_transport_listen(w.a.t, url, w.url), 0);
	join(&w);
	close_world(&w);
}

/* While the other side does not read, the queue fills up to its limit and not a byte further. */
static void the_send_queue_is_bounded(void **state)
{
	const struct sw_transport_options options = {.send_max = 300000};
	uint8_t *bytes = pattern(300001, 3);
	struct world w;

	(void)state;
	for (int ipc = 0; ipc < 2; ipc++) {
		size_t total = 0;
		int rc;

		open_pair(&w, &options, ipc);
		sw_transport_pause(w.a.t, w.a.conns[0], true);
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[0], sw_view(bytes, 300001)),
				 SW_ELIMIT);
		do {
			for (; (rc = sw_transport_send(w.b.t, w.b.conns[0],
						       sw_view(bytes, 1000))) == 0;
			     total += 1000)
				assert_true(total <
					    64 * MIB); /* the kernel's own buffers end somewhere */
			assert_int_equal(rc, SW_EAGAIN);
			w.b.n_sent = 0;
			turn(&w, 200);
		} while (w.b.n_sent > 0);
		assert_true(w.a.bytes.n <= w.a.receive_max);
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[0], sw_view(NULL, 0)), 0);

		sw_transport_pause(w.a.t, w.a.conns[0], false);
		until(&w, w.a.bytes.n == total);
		for (size_t k = 0; k < total; k += 1000)
			assert_memory_equal(w.a.bytes.p + k, bytes, 1000);
		until(&w, w.b.queued == 0);
		assert_int_equal(sw_transport_send(w.b.t, w.b.conns[0], sw_view(bytes, 300000)), 0);
		until(&w, w.a.bytes.n == total + 300000);
		close_world(&w);
	}
	free(bytes);
}

/* A paused connection delivers nothing, not even what had arrived; then all, and its end. */
static void a_paused_connection_is_silent(void **state)
{
	const struct sw_transport_options options = {.receive_max = 10};
	struct world w;

	(void)state;
	open_pair(&w, &options, true);
	sw_transport_pause(w.a.t, w.a.conns[0], true);
	assert_int_equal(sw_transport_send(w.b.t, w.b.conns[0], sw_view_str("0123456789abcdef")),
			 0);
	until(&w, w.b.n_sent == 1);
	sw_transport_close(w.b.t, w.b.conns[0]);
	for (int k = 0; k < 5; k++)
		turn(&w, 20);
	assert_int_equal(w.a.bytes.n, 0);
	assert_int_equal(w.a.n_closed, 0);
	sw_transport_pause(w.a.t, w.a.conns[0], false);
	until(&w, w.a.n_closed == 1);
	assert_true(sw_view_eq(sw_buf_view(&w.a.bytes), sw_view_str("0123456789abcdef")));
	close_world(&w);
}

static void inbound_connections_are_bounded(void **state)
{
	const struct sw_transport_options options = {.inbound_max = 3};
	struct world w;

	(void)state;
	open_world(&w, &options);
	listen_at(&w, false);
	for (int k = 0; k < 5; k++)
		dial(&w);
	until(&w, w.b.n_conns == 5 && w.b.n_closed == 2);
	assert_int_equal(w.a.n_conns, 3);
	/* The limit is not for connections that we dial, and one that ends makes room. */
	sw_transport_close(w.a.t, w.a.conns[0]);
	until(&w, w.b.n_closed == 3);
	dial(&w);
	until(&w, w.a.n_conns == 4);
	close_world(&w);
}

/* An accept that fails for want of descriptors is tried again when there may be some. */
static void running_out_of_descriptors_is_survived(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct rlimit before;
	struct rlimit none;
	struct world w;
	int fd;

	(void)state;
	open_world(&w, NULL);
	listen_at(&w, true);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", w.dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){2, before.rlim_max}; /* 0 and 1 are open, and poll() needs two */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	for (int k = 0; k < 5; k++)
		turn(&w, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(w.a.n_conns, 0);
	until(&w, w.a.n_conns == 1);
	close(fd);
	until(&w, w.a.n_closed == 1);
	close_world(&w);
}

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void rounds_leave_nothing_behind(void **state)
{
	size_t before;
	struct world w;

	(void)state;
	for (int ipc = 0; ipc < 2; ipc++) {
		open_pair(&w, NULL, ipc);
		before = count_fds();
		for (size_t k = 0; k < 200; k++) {
			struct side *closer = k % 2 ? &w.a : &w.b;
			struct side *other = k % 2 ? &w.b : &w.a;
			size_t n_closed = other->n_closed;

			w.a.n_conns = w.b.n_conns = 1;
			join(&w);
			assert_int_equal(
			    sw_transport_send(other->t, other->conns[1], sw_view_str("bye")), 0);
			sw_transport_close(closer->t, closer->conns[1]);
			until(&w, other->n_closed == n_closed + 1);
		}
		until(&w, count_fds() <= before); /* nng closes them a little later */
		close_world(&w);
	}
}

/* Transports come and go with everything still under way. */
static void a_transport_may_be_freed_at_any_time(void **state)
{
	uint8_t *bytes = pattern(MIB, 5);
	struct world w;

	(void)state;
	for (int k = 0; k < 60; k++) {
		open_pair(&w, NULL, k & 1);
		for (int n = 0; n < 3; n++) {
			dial(&w);
			assert_int_equal(
			    sw_transport_send(w.a.t, w.a.conns[0], sw_view(bytes, MIB)), 0);
			assert_int_equal(
			    sw_transport_send(w.b.t, w.b.conns[0], sw_view(bytes, MIB)), 0);
		}
		for (int n = 0; n < k % 4; n++)
			turn(&w, 0);
		if (k & 2) {
			sw_transport_free(w.a.t);
			w.a.t = NULL;
			until(&w, w.b.n_closed >= 1);
		}
		close_world(&w);
	}
	free(bytes);
}

/* SIGTERM must reach the thread that mounts, never one of the library's. */
static void the_librarys_threads_block_signals(void **state)
{
	struct dirent *entry;
	struct world w;
	size_t n = 0;
	DIR *dir;

	(void)state;
	open_world(&w, NULL);
	dir = opendir("/proc/self/task");
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[300];
		char line[200];
		bool ours = false;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			ours = ours || strncmp(line, "Name:\tnng", 9) == 0;
			if (ours && strncmp(line, "SigBlk:\t", 8) == 0) {
				unsigned long long mask = strtoull(line + 8, NULL, 16);

				assert_true(mask & 1ULL << (SIGTERM - 1));
				assert_true(mask & 1ULL << (SIGHUP - 1));
				n++;
			}
		}
		if (f)
			fclose(f);
	}
	closedir(dir);
	assert_true(n > 0);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mebibyte_comes_back),
	    cmocka_unit_test(both_directions_flow_at_once),
	    cmocka_unit_test(tcp_does_not_delay),
	    cmocka_unit_test(connections_do_not_mix),
	    cmocka_unit_test(either_side_may_close),
	    cmocka_unit_test(a_handler_may_close_anything),
	    cmocka_unit_test(a_refused_dial_says_so),
	    cmocka_unit_test(a_dial_ends_at_its_deadline),
	    cmocka_unit_test(dials_are_bounded),
	    cmocka_unit_test(an_address_in_use_is_told),
	    cmocka_unit_test(bad_addresses_are_refused),
	    cmocka_unit_test(unix_sockets_are_bound_with_care),
	    cmocka_unit_test(the_send_queue_is_bounded),
	    cmocka_unit_test(a_paused_connection_is_silent),
	    cmocka_unit_test(inbound_connections_are_bounded),
	    cmocka_unit_test(running_out_of_descriptors_is_survived),
	    cmocka_unit_test(rounds_leave_nothing_behind),
	    cmocka_unit_test(a_transport_may_be_freed_at_any_time),
	    cmocka_unit_test(the_librarys_threads_block_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
