/*
 * The transport on nng 1.5.2's byte streams; nothing else includes nng.
 *
 * Everything that nng completes for us is a `source`: a listener's accept, a dial, a connection's
 * receive and send. A completion callback runs on nng's threads, sets a flag and puts the source on
 * the ready list; it does not block, wait, close or free. The results are looked at by the owner's
 * thread, in sw_transport_poll().
 *
 * One exception keeps a busy connection flowing while the owner thinks: the send callback starts
 * the next send itself. It may, because it owns the outbox's flight then.
 *
 * Teardown, always by the owner and in this order, because of races in this nng: stop the aios
 * (which waits for their callbacks), free them (which waits for a deadline that is just expiring),
 * then close and free the stream, dialer or listener that they were used on.
 */
#include "net/transport_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <nng/nng.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define N_BUCKETS      256           /* of the table of connections */
#define SEND_CHUNK_MAX (1024 * 1024) /* bytes given to nng at once */
#define ACCEPT_REST_MS 100 /* after an accept that failed, most likely for want of descriptors */

enum kind { LISTENER, DIAL, CONN };

struct source {
	struct sw_source ready; /* first: the ready list gives back a pointer to it */
	enum kind kind;
	struct sw_transport *t;
};

struct listener {
	struct source source;
	struct listener *next;
	nng_stream_listener *l;
	nng_aio *aio;
	bool resting; /* the aio is a pause after a failure, not an accept */
};

struct dial {
	struct source source;
	TAILQ_ENTRY(dial) link;
	nng_stream_dialer *d;
	nng_aio *aio;
	uint64_t cookie;
};

struct conn {
	struct source source;
	struct conn *next; /* in its bucket; then among the dead */
	uint64_t id;
	bool inbound;
	bool receiving; /* the receive aio is in use, or its result not yet delivered */
	bool paused;
	nng_stream *stream;
	nng_aio *receive_aio;
	nng_aio *send_aio;
	uint8_t *in;             /* receive_max bytes; the receive aio's while it is in use */
	struct sw_outbox outbox; /* the send aio belongs to the owner of its flight */
};

struct sw_transport {
	size_t send_max;
	size_t receive_max;
	size_t inbound_max;
	bool polling;
	uint64_t next_id;
	size_t n_inbound;
	size_t n_dials;
	size_t n_listeners;
	struct listener *listeners;
	TAILQ_HEAD(, dial) dials;
	struct conn *conns[N_BUCKETS];
	struct conn *dead; /* closed while polling; their memory may still be in a caller's hands */
	struct sw_ready ready;
};

static int from_nng(int rv)
{
	switch (rv) {
	case NNG_ENOMEM:
		return SW_ENOMEM;
	case NNG_EADDRINUSE:
		return SW_EBUSY;
	case NNG_EINVAL:
	case NNG_EADDRINVAL:
	case NNG_ENOTSUP:
		return SW_EINVAL;
	case NNG_EPERM:
		return SW_EDENIED;
	case NNG_ENOENT:
		return SW_ENOTFOUND;
	case NNG_ENOSPC:
		return SW_ENOSPC;
	default:
		return SW_EIO;
	}
}

static const char *reason_of(int rv)
{
	switch (rv) {
	case NNG_ECONNSHUT:
	case NNG_ECLOSED:
		return "closed by the other side";
	case NNG_ETIMEDOUT:
		return "no answer in time";
	case NNG_EADDRINVAL:
		return "no such address";
	default:
		return nng_strerror(rv);
	}
}

static void init_source(struct source *s, enum kind kind, struct sw_transport *t)
{
	s->kind = kind;
	s->t = t;
	s->ready.ready = &t->ready;
}

/* nng's callback for accepts, dials and receives. */
static void on_done(void *arg)
{
	struct source *s = arg;

	sw_ready_put(&s->ready, &s->ready.done);
}

/* --- connections ---------------------------------------------------------------------------- */

static struct conn **bucket(struct sw_transport *t, uint64_t id)
{
	return &t->conns[id % N_BUCKETS];
}

static struct conn *find_conn(struct sw_transport *t, uint64_t id)
{
	struct conn *c = *bucket(t, id);

	while (c && c->id != id)
		c = c->next;
	return c;
}

static void start_receive(struct conn *c)
{
	nng_iov iov = {c->in, c->source.t->receive_max};

	c->receiving = true;
	nng_aio_set_iov(c->receive_aio, 1, &iov);
	nng_stream_recv(c->stream, c->receive_aio);
}

/* By the owner of the flight, as the last thing it does with it. */
static void start_send(struct conn *c)
{
	nng_iov iov;

	iov.iov_buf = sw_outbox_flight(&c->outbox, &iov.iov_len);
	if (iov.iov_len > SEND_CHUNK_MAX)
		iov.iov_len = SEND_CHUNK_MAX;
	nng_aio_set_iov(c->send_aio, 1, &iov);
	nng_stream_send(c->stream, c->send_aio);
}

/* nng's callback for sends, which may have sent less than they were asked to. */
static void on_sent(void *arg)
{
	struct conn *c = arg;
	int rv = nng_aio_result(c->send_aio);
	size_t n = rv == 0 ? nng_aio_count(c->send_aio) : 0;
	bool flying = sw_outbox_landed(&c->outbox, n, rv);

	sw_ready_put(&c->source.ready, &c->source.ready.sent);
	if (flying)
		start_send(c);
}

static void free_memory(struct conn *c)
{
	sw_outbox_fini(&c->outbox);
	free(c->in);
	free(c);
}

/* Close what a connection holds of nng. From here on nothing happens to it. */
static void end_conn(struct conn *c)
{
	nng_aio_stop(c->receive_aio);
	nng_aio_stop(c->send_aio);
	sw_ready_remove(&c->source.ready);
	nng_aio_free(c->receive_aio);
	nng_aio_free(c->send_aio);
	nng_stream_close(c->stream);
	nng_stream_free(c->stream);
}

static void bury_the_dead(struct sw_transport *t)
{
	struct conn *c;

	while ((c = t->dead) != NULL) {
		t->dead = c->next;
		free_memory(c);
	}
}

static void close_conn(struct conn *c)
{
	struct sw_transport *t = c->source.t;
	struct conn **p = bucket(t, c->id);

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	if (c->inbound)
		t->n_inbound--;
	end_conn(c);
	c->next = t->dead;
	t->dead = c;
	if (!t->polling)
		bury_the_dead(t);
}

/* Make a connection of a stream, which is freed on failure. NULL when memory is short. */
static struct conn *new_conn(struct sw_transport *t, nng_stream *stream, bool inbound)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		nng_stream_free(stream);
		return NULL;
	}
	init_source(&c->source, CONN, t);
	sw_outbox_init(&c->outbox);
	c->stream = stream;
	c->in = malloc(t->receive_max);
	if (!c->in || nng_aio_alloc(&c->receive_aio, on_done, &c->source) != 0 ||
	    nng_aio_alloc(&c->send_aio, on_sent, c) != 0) {
		end_conn(c);
		free_memory(c);
		return NULL;
	}
	c->id = ++t->next_id;
	c->inbound = inbound;
	if (inbound)
		t->n_inbound++;
	c->next = *bucket(t, c->id);
	*bucket(t, c->id) = c;
	start_receive(c);
	return c;
}

/* The address of the other end, for people. */
static void describe(nng_stream *stream, char out[static SW_TRANSPORT_URL_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	nng_sockaddr sa;

	if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &sa) != 0) {
		snprintf(out, SW_TRANSPORT_URL_MAX, "unknown address");
		return;
	}
	switch (sa.s_family) {
	case NNG_AF_INET:
		inet_ntop(AF_INET, &sa.s_in.sa_addr, host, sizeof(host));
		snprintf(out, SW_TRANSPORT_URL_MAX, "tcp://%s:%u", host,
			 (unsigned)ntohs(sa.s_in.sa_port));
		break;
	case NNG_AF_INET6:
		inet_ntop(AF_INET6, sa.s_in6.sa_addr, host, sizeof(host));
		snprintf(out, SW_TRANSPORT_URL_MAX, "tcp://[%s]:%u", host,
			 (unsigned)ntohs(sa.s_in6.sa_port));
		break;
	default:
		snprintf(out, SW_TRANSPORT_URL_MAX, "ipc://%.*s", (int)sizeof(sa.s_ipc.sa_path),
			 sa.s_ipc.sa_path);
	}
}

/* --- what poll() does for each source ------------------------------------------------------- */

static void start_accept(struct listener *l)
{
	nng_stream_listener_accept(l->l, l->aio);
}

/* The stream that an accept or a dial brought, to be had once. */
static nng_stream *take_stream(nng_aio *aio)
{
	nng_stream *stream = nng_aio_result(aio) == 0 ? nng_aio_get_output(aio, 0) : NULL;

	nng_aio_set_output(aio, 0, NULL);
	return stream;
}

static void poll_listener(struct listener *l, const struct sw_transport_handler *handler, void *arg)
{
	struct sw_transport *t = l->source.t;
	char address[SW_TRANSPORT_URL_MAX];
	nng_stream *stream;
	struct conn *c;

	if (!sw_ready_take_flag(&l->source.ready, &l->source.ready.done))
		return;
	if (l->resting) {
		l->resting = false;
		start_accept(l);
		return;
	}
	stream = take_stream(l->aio);
	if (!stream) {
		l->resting = true;
		nng_sleep_aio(ACCEPT_REST_MS, l->aio);
		return;
	}
	start_accept(l);
	if (t->n_inbound >= t->inbound_max) {
		/* Closing tells them; leaving them in the backlog would look like a slow peer. */
		nng_stream_free(stream);
		return;
	}
	describe(stream, address);
	c = new_conn(t, stream, true);
	if (c) /* short of memory, they find the line closed */
		handler->accepted(arg, c->id, address);
}

static void free_dial(struct dial *d)
{
	nng_stream *stream = NULL;

	if (d->aio) {
		nng_aio_stop(d->aio);
		stream = take_stream(d->aio);
	}
	sw_ready_remove(&d->source.ready);
	nng_aio_free(d->aio);
	nng_stream_free(stream);
	if (d->d)
		nng_stream_dialer_close(d->d);
	nng_stream_dialer_free(d->d);
	free(d);
}

static void poll_dial(struct dial *d, const struct sw_transport_handler *handler, void *arg)
{
	struct sw_transport *t = d->source.t;
	uint64_t cookie = d->cookie;
	struct conn *c = NULL;
	nng_stream *stream;
	int rv;

	if (!sw_ready_take_flag(&d->source.ready, &d->source.ready.done))
		return;
	rv = nng_aio_result(d->aio);
	stream = take_stream(d->aio);
	TAILQ_REMOVE(&t->dials, d, link);
	t->n_dials--;
	free_dial(d);
	if (stream) {
		rv = NNG_ENOMEM;
		c = new_conn(t, stream, false);
	}
	if (c)
		handler->connected(arg, c->id, cookie);
	else
		handler->dial_failed(arg, cookie, reason_of(rv));
}

static void lose(struct conn *c, int rv, const struct sw_transport_handler *handler, void *arg)
{
	uint64_t id = c->id;

	close_conn(c);
	handler->closed(arg, id, reason_of(rv));
}

/* False when the connection is gone. */
static bool poll_sent(struct conn *c, const struct sw_transport_handler *handler, void *arg)
{
	struct sw_transport *t = c->source.t;
	uint64_t id = c->id;
	size_t n_queued;
	int rv;

	if (!sw_ready_take_flag(&c->source.ready, &c->source.ready.sent))
		return true;
	n_queued = sw_outbox_left(&c->outbox, &rv);
	if (rv != 0) {
		lose(c, rv, handler, arg);
		return false;
	}
	handler->sent(arg, id, n_queued);
	return find_conn(t, id) == c;
}

/* What was received comes first: it may be the other side's reason for what follows. */
static void poll_conn(struct conn *c, const struct sw_transport_handler *handler, void *arg)
{
	struct sw_transport *t = c->source.t;
	uint64_t id = c->id;
	int rv;

	if (!c->paused && sw_ready_take_flag(&c->source.ready, &c->source.ready.done)) {
		rv = nng_aio_result(c->receive_aio);
		if (rv != 0) {
			lose(c, rv, handler, arg);
			return;
		}
		handler->received(arg, id, sw_view(c->in, nng_aio_count(c->receive_aio)));
		if (find_conn(t, id) != c)
			return;
		c->receiving = false;
	}
	if (!poll_sent(c, handler, arg))
		return;
	if (!c->receiving && !c->paused)
		start_receive(c);
}

void sw_transport_poll(struct sw_transport *t, const struct sw_transport_handler *handler,
		       void *arg)
{
	assert(!t->polling);
	t->polling = true;
	for (size_t n = sw_ready_begin(&t->ready); n > 0; n--) {
		struct source *s = (struct source *)sw_ready_next(&t->ready);

		if (!s)
			break; /* a handler closed the rest */
		if (s->kind == LISTENER)
			poll_listener((struct listener *)s, handler, arg);
		else if (s->kind == DIAL)
			poll_dial((struct dial *)s, handler, arg);
		else
			poll_conn((struct conn *)s, handler, arg);
	}
	sw_ready_end(&t->ready);
	t->polling = false;
	bury_the_dead(t);
}

/* --- listening and dialling ----------------------------------------------------------------- */

static void bound_url(struct listener *l, const char *url, char out[static SW_TRANSPORT_URL_MAX])
{
	int port;

	snprintf(out, SW_TRANSPORT_URL_MAX, "%s", url);
	if (sw_address_is_ipc(url) ||
	    nng_stream_listener_get_int(l->l, NNG_OPT_TCP_BOUND_PORT, &port) != 0)
		return;
	snprintf(strrchr(out, ':'), 7, ":%d", port);
}

static void free_listener(struct listener *l)
{
	if (l->aio) {
		nng_aio_stop(l->aio);
		nng_stream_free(take_stream(l->aio));
	}
	sw_ready_remove(&l->source.ready);
	nng_aio_free(l->aio);
	if (l->l)
		nng_stream_listener_close(l->l);
	nng_stream_listener_free(l->l);
	free(l);
}

static int open_listener(struct listener *l, const char *url)
{
	int rv = nng_stream_listener_alloc(&l->l, url);

	/* Off by default in this nng, and worth 40 ms to a small message. */
	if (rv == 0 && !sw_address_is_ipc(url))
		rv = nng_stream_listener_set_bool(l->l, NNG_OPT_TCP_NODELAY, true);
	if (rv == 0)
		rv = nng_aio_alloc(&l->aio, on_done, &l->source);
	if (rv == 0)
		rv = nng_stream_listener_listen(l->l);
	if (rv != 0)
		return sw_fail(from_nng(rv), "cannot listen on %s: %s", url, reason_of(rv));
	return 0;
}

int sw_transport_listen(struct sw_transport *t, const char *url,
			char bound[static SW_TRANSPORT_URL_MAX])
{
	struct listener *l;
	int rc = sw_address_check(url);

	if (rc == 0 && sw_address_is_ipc(url))
		rc = sw_address_check_path(url);
	if (rc < 0)
		return rc;
	if (t->n_listeners == SW_TRANSPORT_LISTENERS_MAX)
		return sw_fail(SW_ELIMIT, "more than %d listeners", SW_TRANSPORT_LISTENERS_MAX);
	l = calloc(1, sizeof(*l));
	if (!l)
		return SW_ENOMEM;
	init_source(&l->source, LISTENER, t);
	rc = open_listener(l, url);
	if (rc < 0) {
		free_listener(l);
		return rc;
	}
	bound_url(l, url, bound);
	l->next = t->listeners;
	t->listeners = l;
	t->n_listeners++;
	start_accept(l);
	return 0;
}

static int open_dial(struct dial *d, const char *url, int timeout_ms)
{
	int rv = nng_stream_dialer_alloc(&d->d, url);

	if (rv == 0 && !sw_address_is_ipc(url))
		rv = nng_stream_dialer_set_bool(d->d, NNG_OPT_TCP_NODELAY, true);
	if (rv == 0)
		rv = nng_aio_alloc(&d->aio, on_done, &d->source);
	if (rv != 0)
		return sw_fail(from_nng(rv), "cannot dial %s: %s", url, reason_of(rv));
	nng_aio_set_timeout(d->aio, timeout_ms);
	return 0;
}

int sw_transport_dial(struct sw_transport *t, const char *url, uint64_t cookie, int timeout_ms)
{
	struct dial *d;
	int rc = sw_address_check(url);

	assert(timeout_ms > 0);
	if (rc < 0)
		return rc;
	if (t->n_dials == SW_TRANSPORT_DIALS_MAX)
		return SW_EAGAIN;
	d = calloc(1, sizeof(*d));
	if (!d)
		return SW_ENOMEM;
	init_source(&d->source, DIAL, t);
	d->cookie = cookie;
	rc = open_dial(d, url, timeout_ms);
	if (rc < 0) {
		free_dial(d);
		return rc;
	}
	TAILQ_INSERT_TAIL(&t->dials, d, link);
	t->n_dials++;
	nng_stream_dialer_dial(d->d, d->aio);
	return 0;
}

/* --- sending, pausing, closing -------------------------------------------------------------- */

int sw_transport_send(struct sw_transport *t, uint64_t conn, struct sw_view bytes)
{
	struct conn *c = find_conn(t, conn);
	int rc;

	if (!c)
		return SW_ECLOSED;
	if (bytes.n > t->send_max)
		return sw_fail(SW_ELIMIT, "%zu bytes do not fit a send queue of %zu", bytes.n,
			       t->send_max);
	if (bytes.n == 0)
		return 0;
	rc = sw_outbox_put(&c->outbox, bytes, t->send_max);
	if (rc <= 0)
		return rc;
	start_send(c);
	return 0;
}

void sw_transport_pause(struct sw_transport *t, uint64_t conn, bool paused)
{
	struct conn *c = find_conn(t, conn);

	if (!c || c->paused == paused)
		return;
	c->paused = paused;
	if (paused)
		return;
	/* Not start_receive(): c->in may be in the hands of the handler that is calling. */
	sw_ready_put(&c->source.ready, NULL);
}

void sw_transport_close(struct sw_transport *t, uint64_t conn)
{
	struct conn *c = find_conn(t, conn);

	if (c)
		close_conn(c);
}

/* --- the transport -------------------------------------------------------------------------- */

/* Have nng start its threads now, with all signals blocked; it would only block SIGPIPE. */
static int start_nng(void)
{
	sigset_t all;
	sigset_t before;
	nng_aio *aio;
	int rv;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rv = nng_aio_alloc(&aio, NULL, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rv != 0)
		return sw_fail(from_nng(rv), "the network library could not start: %s",
			       reason_of(rv));
	nng_aio_free(aio);
	return 0;
}

int sw_transport_new(const struct sw_transport_options *options, struct sw_transport **out)
{
	SW_CLEANUP(sw_transport_freep) struct sw_transport *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return SW_ENOMEM;
	t->send_max = options->send_max ? options->send_max : SW_TRANSPORT_SEND_MAX;
	t->receive_max = options->receive_max ? options->receive_max : SW_TRANSPORT_RECEIVE_MAX;
	t->inbound_max = options->inbound_max ? options->inbound_max : SW_TRANSPORT_INBOUND_MAX;
	TAILQ_INIT(&t->dials);
	rc = sw_ready_init(&t->ready);
	if (rc == 0)
		rc = start_nng();
	if (rc < 0)
		return rc;
	*out = SW_TAKE(t);
	return 0;
}

void sw_transport_free(struct sw_transport *t)
{
	struct listener *l;
	struct dial *d;

	if (!t)
		return;
	assert(!t->polling);
	while ((l = t->listeners) != NULL) {
		t->listeners = l->next;
		free_listener(l);
	}
	while ((d = TAILQ_FIRST(&t->dials)) != NULL) {
		TAILQ_REMOVE(&t->dials, d, link);
		free_dial(d);
	}
	for (size_t k = 0; k < N_BUCKETS; k++)
		while (t->conns[k])
			sw_transport_close(t, t->conns[k]->id);
	sw_ready_fini(&t->ready);
	free(t);
}

void sw_transport_freep(struct sw_transport **t)
{
	sw_transport_free(*t);
}

int sw_transport_fd(const struct sw_transport *t)
{
	return t->ready.fd;
}
