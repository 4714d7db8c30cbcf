/* The thread around the engine: connections, sessions, dialling with backoff. */
#include "net/swarm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/log.h"
#include "net/session.h"
#include "net/sync.h"
#include "net/ticket.h"
#include "net/transport.h"

#define DIAL_TIMEOUT_MS	  10000
#define HANDSHAKE_MS	  10000
#define GOOD_MS		  5000 /* a connection that lasts so long makes the next dial a first one */
#define LAST_WORD_MS	  500 /* to send what is queued before a connection is closed */
#define TICK_MS		  100
#define OUTPUT_MAX	  ((size_t)24 << 20) /* encrypted bytes that wait, per connection */
#define OUTPUT_BACKED_UP  ((size_t)1 << 20)  /* beyond it we stop listening to the peer */

/* Somebody to dial, for ever. */
struct endpoint {
	uint64_t cookie; /* its place in the list */
	bool has_ticket;
	struct sw_ticket ticket;
	char url[SW_SWARM_ADDRESS_SIZE]; /* without a ticket */
	size_t next_address;
	bool dialling, connected;
	uint64_t dial_at_ms;
	uint32_t backoff_ms;
	bool complained; /* the present trouble is in the log already */
	struct sw_peer_status status;
};

struct conn {
	struct conn *next;
	uint64_t id;
	struct endpoint *endpoint; /* NULL: they dialled us */
	struct sw_session *session;
	bool is_up;		  /* the engine knows it */
	uint64_t close_at_ms;	  /* 0: it stays */
	uint64_t since_ms;
	uint64_t up_ms; /* 0: it never was */
	struct sw_peer_status status;
};

struct sw_swarm {
	struct sw_db *db;
	struct sw_transport *transport;
	struct sw_sync *sync;
	uint8_t noise_secret[SW_SESSION_SECRET_SIZE];
	int kick_fd;
	pthread_t thread;
	bool runs;
	char listening[SW_TRANSPORT_LISTENERS_MAX][SW_TRANSPORT_URL_MAX];
	const char *urls[SW_TRANSPORT_LISTENERS_MAX];
	size_t n_listening;
	char **advertise; /* owned */
	size_t n_advertise;
	struct sw_swarm_timers timers;
	uint64_t bytes_in, bytes_out;

	pthread_mutex_t lock; /* held by the thread while it works, and by whoever asks */
	pthread_cond_t stepped;
	bool stopping;
	struct endpoint **endpoints; /* by cookie */
	size_t n_endpoints;
	struct conn *conns;
};

const char *sw_peer_state_name(enum sw_peer_state state)
{
	static const char *const names[] = {"connecting", "handshake", "joining",
					    "syncing",	  "in-sync",   "backoff"};

	return names[state];
}

static uint64_t now_ms(const struct sw_swarm *s)
{
	return sw_env_mono_ms(sw_db_env(s->db));
}

static struct conn *find_conn(const struct sw_swarm *s, uint64_t id)
{
	struct conn *c = s->conns;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static struct sw_peer_status *status_of(struct conn *c)
{
	return c->endpoint ? &c->endpoint->status : &c->status;
}

static void set_error(struct sw_peer_status *st, const char *reason)
{
	st->errors++;
	snprintf(st->last_error, sizeof(st->last_error), "%s", reason);
}

/* A random part of the wait, so that peers that lost each other together do not come back together. */
static void plan_dial(struct sw_swarm *s, struct endpoint *e)
{
	uint32_t jitter;

	e->backoff_ms = e->backoff_ms ? e->backoff_ms * 2 : s->timers.backoff_min_ms;
	if (e->backoff_ms > s->timers.backoff_max_ms)
		e->backoff_ms = s->timers.backoff_max_ms;
	sw_db_env(s->db)->random(sw_db_env(s->db)->arg, &jitter, sizeof(jitter));
	e->dial_at_ms = now_ms(s) + e->backoff_ms * 3 / 4 + jitter % (e->backoff_ms / 2);
	e->dialling = e->connected = false;
	e->status.state = SW_PEER_BACKOFF;
}

static void complain(struct endpoint *e, const char *reason)
{
	set_error(&e->status, reason);
	if (!e->complained)
		sw_log(SW_LOG_WARN, "peer %s: %s; trying again", e->status.address, reason);
	e->complained = true;
}

static void conn_free(struct sw_swarm *s, struct conn *c)
{
	struct conn **at = &s->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	sw_session_free(c->session);
	free(c);
}

/* The connection is over. The engine is told if it knew of it. */
static void conn_end(struct sw_swarm *s, struct conn *c, const char *reason)
{
	if (c->is_up)
		sw_sync_peer_down(s->sync, c->id);
	c->is_up = false;
	if (c->endpoint) {
		if (reason)
			complain(c->endpoint, reason);
		c->endpoint->status.reconnects++;
		if (c->up_ms && now_ms(s) - c->up_ms >= GOOD_MS)
			c->endpoint->backoff_ms = 0;
		plan_dial(s, c->endpoint);
	}
	sw_transport_close(s->transport, c->id);
	conn_free(s, c);
}

/* What the session has to say goes to the transport, whole or not at all. */
static int flush_output(struct sw_swarm *s, struct conn *c)
{
	struct sw_buf *out = sw_session_output(c->session);
	size_t n = out->n;
	int rc;

	if (out->rc < 0)
		return out->rc;
	if (n == 0)
		return 0;
	rc = sw_transport_send(s->transport, c->id, sw_buf_view(out));
	sw_transport_pause(s->transport, c->id, rc == SW_EAGAIN && n > OUTPUT_BACKED_UP);
	if (rc == SW_EAGAIN)
		return 0; /* stays here, goes on when the transport has room */
	if (rc == 0) {
		status_of(c)->bytes_out += n;
		s->bytes_out += n;
		sw_buf_reset(out);
	}
	return rc;
}

static int hook_send(void *arg, uint64_t peer, struct sw_view message)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, peer);
	int rc;

	if (!c || c->close_at_ms)
		return SW_ECLOSED;
	if (sw_session_output(c->session)->n + message.n > OUTPUT_MAX)
		return SW_EAGAIN;
	rc = sw_session_send(c->session, message);
	return rc < 0 ? rc : flush_output(s, c);
}

static void hook_drop(void *arg, uint64_t peer, const char *reason)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, peer);

	if (!c)
		return;
	c->is_up = false;
	c->close_at_ms = now_ms(s) + LAST_WORD_MS;
	if (strcmp(reason, SW_SYNC_CONNECTED_TWICE) == 0)
		return; /* no fault of anybody's */
	set_error(status_of(c), reason);
	sw_log(SW_LOG_WARN, "peer %s dropped: %s", status_of(c)->address, reason);
	if (c->endpoint)
		c->endpoint->complained = true;
}

static int conn_new(struct sw_swarm *s, uint64_t id, struct endpoint *e, const char *address)
{
	uint8_t ephemeral[SW_SESSION_SECRET_SIZE];
	struct sw_session_options options = {.initiator = e != NULL,
					     .database = sw_db_id(s->db),
					     .identity = sw_db_identity(s->db),
					     .static_secret = s->noise_secret,
					     .ephemeral_secret = ephemeral};
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return SW_ENOMEM;
	sw_db_env(s->db)->random(sw_db_env(s->db)->arg, ephemeral, sizeof(ephemeral));
	rc = sw_session_new(&options, &c->session);
	explicit_bzero(ephemeral, sizeof(ephemeral));
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->id = id;
	c->endpoint = e;
	c->since_ms = now_ms(s);
	c->status.is_inbound = true;
	snprintf(c->status.address, sizeof(c->status.address), "%s", address);
	status_of(c)->state = SW_PEER_HANDSHAKE;
	c->next = s->conns;
	s->conns = c;
	return flush_output(s, c);
}

/* Transport events */

static void on_accepted(void *arg, uint64_t conn, const char *address)
{
	struct sw_swarm *s = arg;

	if (conn_new(s, conn, NULL, address) < 0)
		sw_transport_close(s->transport, conn);
}

static void on_connected(void *arg, uint64_t conn, uint64_t cookie)
{
	struct sw_swarm *s = arg;
	struct endpoint *e = s->endpoints[cookie];

	e->dialling = false;
	e->connected = true;
	if (conn_new(s, conn, e, e->status.address) < 0) {
		sw_transport_close(s->transport, conn);
		plan_dial(s, e);
	}
}

static void on_dial_failed(void *arg, uint64_t cookie, const char *reason)
{
	struct sw_swarm *s = arg;
	struct endpoint *e = s->endpoints[cookie];

	complain(e, reason);
	plan_dial(s, e);
}

static void came_up(struct sw_swarm *s, struct conn *c)
{
	const struct sw_key *remote = sw_session_remote(c->session);

	c->is_up = true;
	c->up_ms = now_ms(s);
	status_of(c)->key = *remote;
	status_of(c)->has_key = true;
	if (c->endpoint) {
		c->endpoint->complained = false;
		c->endpoint->status.last_error[0] = '\0';
	}
	sw_sync_peer_up(s->sync, c->id, remote, c->endpoint != NULL,
			c->endpoint && c->endpoint->has_ticket ? &c->endpoint->ticket : NULL, now_ms(s));
}

static void on_received(void *arg, uint64_t conn, struct sw_view bytes)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, conn);
	struct sw_view message;
	int rc;

	if (!c || c->close_at_ms)
		return;
	status_of(c)->bytes_in += bytes.n;
	s->bytes_in += bytes.n;
	rc = sw_session_feed(c->session, bytes);
	if (rc == 0)
		rc = flush_output(s, c);
	while (rc == 0 && !c->close_at_ms) {
		int more = sw_session_recv(c->session, &message);

		if (!c->is_up && more >= 0 && sw_session_established(c->session))
			came_up(s, c);
		if (more <= 0 || c->close_at_ms) {
			rc = more < 0 ? more : 0;
			break;
		}
		sw_sync_message(s->sync, conn, message, now_ms(s));
	}
	if (rc == 0)
		rc = flush_output(s, c);
	if (rc < 0) {
		const char *reason = sw_fail_message(rc);

		if (!c->endpoint)
			sw_log(SW_LOG_WARN, "a connection from %s was refused: %s", c->status.address, reason);
		conn_end(s, c, reason);
	}
}

static void on_sent(void *arg, uint64_t conn, size_t queued)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, conn);

	if (!c)
		return;
	if (c->close_at_ms && queued == 0) {
		conn_end(s, c, NULL);
		return;
	}
	if (flush_output(s, c) < 0)
		return; /* the transport tells that it is closed */
	if (c->is_up && sw_session_output(c->session)->n == 0)
		sw_sync_writable(s->sync, conn, now_ms(s));
}

static void on_closed(void *arg, uint64_t conn, const char *reason)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, conn);

	if (c)
		conn_end(s, c, reason);
}

static const struct sw_transport_handler handler = {.accepted = on_accepted,
						     .connected = on_connected,
						     .dial_failed = on_dial_failed,
						     .received = on_received,
						     .sent = on_sent,
						     .closed = on_closed};

/* The thread */

/* Whether the peer behind it has dialled us, so that there is no need to dial it. */
static bool is_reached_otherwise(const struct sw_swarm *s, const struct endpoint *e)
{
	if (!e->status.has_key)
		return false;
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->is_up && c->endpoint != e &&
		    sw_key_eq(&e->status.key, sw_session_remote(c->session)))
			return true;
	return false;
}

static int dial(struct sw_swarm *s, struct endpoint *e)
{
	const char *url = e->url;
	int rc;

	if (e->has_ticket) {
		url = e->ticket.addresses[e->next_address];
		e->next_address = (e->next_address + 1) % e->ticket.n_addresses;
	}
	snprintf(e->status.address, sizeof(e->status.address), "%s", url);
	e->status.state = SW_PEER_CONNECTING;
	rc = sw_transport_dial(s->transport, url, e->cookie, DIAL_TIMEOUT_MS);
	e->dialling = rc == 0;
	return rc;
}

static void tick(struct sw_swarm *s)
{
	uint64_t now = now_ms(s);
	struct conn *next;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct endpoint *e = s->endpoints[i];
		int rc = 0;

		if (!e->dialling && !e->connected && now >= e->dial_at_ms && !is_reached_otherwise(s, e))
			rc = dial(s, e);
		if (rc < 0) {
			complain(e, sw_fail_message(rc));
			plan_dial(s, e);
		}
	}
	for (struct conn *c = s->conns; c; c = next) {
		next = c->next;
		if (c->close_at_ms && now >= c->close_at_ms)
			conn_end(s, c, NULL);
		else if (!c->is_up && !c->close_at_ms && now - c->since_ms > HANDSHAKE_MS)
			conn_end(s, c, "it did not finish the handshake");
	}
	sw_sync_tick(s->sync, now);
}

static void *run(void *arg)
{
	struct sw_swarm *s = arg;
	struct pollfd fds[2] = {{.fd = sw_transport_fd(s->transport), .events = POLLIN},
				{.fd = s->kick_fd, .events = POLLIN}};
	uint64_t ticked = 0, kicks;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		pthread_mutex_unlock(&s->lock);
		if (poll(fds, 2, TICK_MS) < 0 && errno != EINTR)
			sw_log(SW_LOG_ERROR, "poll: %s", strerror(errno));
		pthread_mutex_lock(&s->lock);
		if (fds[1].revents & POLLIN) {
			if (read(s->kick_fd, &kicks, sizeof(kicks)) < 0)
				kicks = 0; /* somebody else's wake-up is lost; the tick is soon */
			sw_sync_changed(s->sync, now_ms(s));
		}
		sw_transport_poll(s->transport, &handler, s);
		if (now_ms(s) - ticked >= TICK_MS) {
			ticked = now_ms(s);
			tick(s);
		}
		pthread_cond_broadcast(&s->stepped);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int check_ticket(struct sw_swarm *s, struct endpoint *e, const char *text)
{
	char theirs[SW_HASH_HEX_SIZE], ours[SW_HASH_HEX_SIZE];
	int rc = sw_ticket_decode(text, &e->ticket);

	if (rc < 0)
		return rc;
	e->has_ticket = true;
	if (sw_hash_eq(&e->ticket.database, sw_db_id(s->db)))
		return 0;
	sw_hex(e->ticket.database.b, SW_HASH_SIZE, theirs);
	sw_hex(sw_db_id(s->db)->b, SW_HASH_SIZE, ours);
	return sw_fail(SW_EINVAL, "the ticket is for the database %.12s, the store %s holds %.12s; choose "
				  "another store with --store",
		       theirs, sw_db_dir(s->db), ours);
}

static bool is_same_peer(const struct endpoint *a, const struct endpoint *b)
{
	if (a->has_ticket != b->has_ticket)
		return false;
	return a->has_ticket ? sw_key_eq(&a->ticket.inviter, &b->ticket.inviter) &&
				   memcmp(a->ticket.secret, b->ticket.secret, SW_TICKET_SECRET_SIZE) == 0
			     : strcmp(a->url, b->url) == 0;
}

static int add_endpoint(struct sw_swarm *s, const char *text)
{
	struct endpoint *e = calloc(1, sizeof(*e)), **v;
	int rc = 0;

	if (!e)
		return SW_ENOMEM;
	e->cookie = s->n_endpoints;
	if (sw_ticket_looks_like(text))
		rc = check_ticket(s, e, text);
	else if (snprintf(e->url, sizeof(e->url), "%s", text) >= (int)sizeof(e->url))
		rc = sw_fail(SW_ETOOLONG, "%.64s...: address too long", text);
	for (size_t i = 0; rc == 0 && i < s->n_endpoints; i++)
		if (is_same_peer(s->endpoints[i], e))
			rc = sw_fail(SW_EEXIST, "that peer is known already");
	if (rc == 0 && s->n_endpoints == SW_SWARM_PEERS_MAX)
		rc = sw_fail(SW_ELIMIT, "more than %d peers to dial", SW_SWARM_PEERS_MAX);
	v = rc < 0 ? NULL : realloc(s->endpoints, (s->n_endpoints + 1) * sizeof(struct endpoint *));
	if (v) {
		s->endpoints = v;
		v[s->n_endpoints++] = e;
		rc = dial(s, e);
		return rc == SW_EAGAIN ? 0 : rc;
	}
	sw_ticket_fini(&e->ticket);
	free(e);
	return rc < 0 ? rc : SW_ENOMEM;
}

static void set_timers(struct sw_swarm_timers *t, const struct sw_swarm_timers *wanted)
{
	*t = *wanted;
	t->advert_ms = t->advert_ms ? t->advert_ms : 2000;
	t->ping_ms = t->ping_ms ? t->ping_ms : 5000;
	t->dead_ms = t->dead_ms ? t->dead_ms : 15000;
	t->backoff_min_ms = t->backoff_min_ms ? t->backoff_min_ms : 1000;
	t->backoff_max_ms = t->backoff_max_ms ? t->backoff_max_ms : 60000;
}

static int copy_advertised(struct sw_swarm *s, const struct sw_swarm_options *options)
{
	s->advertise = calloc(options->n_advertise + 1, sizeof(char *));
	if (!s->advertise)
		return SW_ENOMEM;
	for (size_t i = 0; i < options->n_advertise; i++) {
		s->advertise[i] = strdup(options->advertise[i]);
		if (!s->advertise[i])
			return SW_ENOMEM;
		s->n_advertise++;
	}
	return 0;
}

static int prepare(struct sw_swarm *s, const struct sw_swarm_options *options)
{
	const struct sw_sync_hooks hooks = {.arg = s, .send = hook_send, .drop = hook_drop};
	const struct sw_transport_options defaults = {0};
	int rc = copy_advertised(s, options);

	set_timers(&s->timers, &options->timers);
	if (rc == 0)
		rc = sw_transport_new(&defaults, &s->transport);
	if (rc == 0)
		rc = sw_sync_new(s->db, &hooks, &s->timers, &s->sync);
	sw_db_env(s->db)->random(sw_db_env(s->db)->arg, s->noise_secret, sizeof(s->noise_secret));
	s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc == 0 && s->kick_fd < 0)
		rc = sw_fail_errno("eventfd");
	if (rc == 0 && options->n_listen > SW_SWARM_LISTEN_MAX)
		rc = sw_fail(SW_EINVAL, "at most %d addresses to listen on", SW_SWARM_LISTEN_MAX);
	for (size_t i = 0; rc == 0 && i < options->n_listen; i++) {
		rc = sw_transport_listen(s->transport, options->listen[i], s->listening[i]);
		s->urls[i] = s->listening[i];
		s->n_listening += rc == 0;
	}
	for (size_t i = 0; rc == 0 && i < options->n_peers; i++)
		rc = add_endpoint(s, options->peers[i]);
	return rc;
}

static int start_thread(struct sw_swarm *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->runs = rc == 0;
	return rc == 0 ? 0 : sw_fail(SW_ENOMEM, "cannot start a thread");
}

int sw_swarm_start(struct sw_db *db, const struct sw_swarm_options *options, struct sw_swarm **out)
{
	struct sw_swarm *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return SW_ENOMEM;
	s->db = db;
	s->kick_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->stepped, NULL);
	rc = prepare(s, options);
	if (rc == 0) {
		*out = s; /* before the first event, whose listener may want to kick */
		rc = start_thread(s);
	}
	if (rc < 0) {
		*out = NULL;
		sw_swarm_stop(s);
	}
	return rc;
}

void sw_swarm_stop(struct sw_swarm *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	if (s->runs) {
		sw_swarm_kick(s);
		pthread_join(s->thread, NULL);
	}
	while (s->conns)
		conn_free(s, s->conns);
	sw_sync_free(s->sync);
	sw_transport_free(s->transport);
	if (s->kick_fd >= 0)
		close(s->kick_fd);
	explicit_bzero(s->noise_secret, sizeof(s->noise_secret));
	for (size_t i = 0; i < s->n_endpoints; i++) {
		sw_ticket_fini(&s->endpoints[i]->ticket);
		free(s->endpoints[i]);
	}
	free(s->endpoints);
	for (size_t i = 0; i < s->n_advertise; i++)
		free(s->advertise[i]);
	free(s->advertise);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->stepped);
	free(s);
}

void sw_swarm_kick(struct sw_swarm *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	/* A full counter means that the thread is about to wake up anyway. */
	if (write(s->kick_fd, &one, sizeof(one)) < 0)
		return;
}

int sw_swarm_add_peer(struct sw_swarm *s, const char *peer)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = add_endpoint(s, peer);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

size_t sw_swarm_addresses(const struct sw_swarm *s, const char *const **out)
{
	*out = s->urls;
	return s->n_listening;
}

int sw_swarm_invite(struct sw_swarm *s, uint64_t expiry_ms, enum sw_role role, struct sw_buf *out)
{
	if (s->n_advertise > 0)
		return sw_ticket_create(s->db, (const char *const *)s->advertise, s->n_advertise, expiry_ms, role,
					out);
	return sw_ticket_create(s->db, s->urls, s->n_listening, expiry_ms, role, out);
}

static bool some_up(const struct sw_swarm *s)
{
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->is_up)
			return true;
	return false;
}

int sw_swarm_wait_synced(struct sw_swarm *s, unsigned timeout_ms)
{
	uint64_t end = now_ms(s) + timeout_ms, have = 0, want = 0;
	int rc = SW_EAGAIN;

	pthread_mutex_lock(&s->lock);
	while (rc == SW_EAGAIN && now_ms(s) < end) {
		struct timespec until;

		if (sw_sync_is_synced(s->sync, &have, &want)) {
			rc = 0;
			break;
		}
		if (sw_sync_refusal(s->sync)) {
			rc = sw_fail(SW_EDENIED, "joining was refused: %s", sw_sync_refusal(s->sync));
			break;
		}
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&s->stepped, &s->lock, &until);
	}
	if (rc == SW_EAGAIN) {
		const char *why = s->n_endpoints && s->endpoints[0]->status.last_error[0] ? s->endpoints[0]->status.last_error
										    : "it does not answer";

		rc = sw_fail(SW_EAGAIN, "no peer could be reached in time (%s)",
			     some_up(s) ? "one answers, but has not sent everything yet" : why);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void sw_swarm_status_fini(struct sw_swarm_status *status)
{
	free(status->peers);
	*status = (struct sw_swarm_status){0};
}

/* A peer that we would dial, had it not dialled us, is shown once. */
static void leave_out_twins(const struct sw_swarm *s, struct sw_swarm_status *out)
{
	size_t n = 0;

	for (size_t i = 0; i < out->n_peers; i++) {
		if (i < s->n_endpoints && !s->endpoints[i]->connected && is_reached_otherwise(s, s->endpoints[i]))
			continue;
		if (n != i)
			out->peers[n] = out->peers[i];
		n++;
	}
	out->n_peers = n;
}

static void fill_status(struct sw_swarm *s, struct sw_swarm_status *out)
{
	uint64_t now = now_ms(s);
	struct sw_sync_counters n;

	sw_sync_counters(s->sync, &n);
	out->n_held = n.n_held;
	out->n_refused = n.n_refused;
	out->n_batches = n.n_batches;
	out->commits_in = n.commits_in;
	out->bytes_in = s->bytes_in;
	out->bytes_out = s->bytes_out;
	for (size_t i = 0; i < s->n_endpoints; i++)
		out->peers[out->n_peers++] = s->endpoints[i]->status;
	for (struct conn *c = s->conns; c; c = c->next) {
		struct sw_peer_status *st = c->endpoint ? &out->peers[c->endpoint->cookie] : &out->peers[out->n_peers++];

		*st = *status_of(c);
		out->n_connected += sw_sync_peer_status(s->sync, c->id, now, st);
	}
	leave_out_twins(s, out);
}

int sw_swarm_status(struct sw_swarm *s, struct sw_swarm_status *out)
{
	size_t n;

	*out = (struct sw_swarm_status){0};
	pthread_mutex_lock(&s->lock);
	n = s->n_endpoints;
	for (const struct conn *c = s->conns; c; c = c->next)
		n++;
	out->peers = calloc(n + 1, sizeof(*out->peers));
	if (out->peers)
		fill_status(s, out);
	pthread_mutex_unlock(&s->lock);
	return out->peers ? 0 : SW_ENOMEM;
}
