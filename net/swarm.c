/* The thread around the engine: it is started, dials with backoff, and is stopped. */
#include "net/swarm_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/log.h"
#include "net/known.h"

#define DIAL_TIMEOUT_MS	  10000
#define GOODBYE_MS	  300
#define TICK_MS		  100

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

/* So that it is dialled the next time, too. */
static void remember(struct sw_swarm *s, struct endpoint *e)
{
	int rc = sw_known_add(s->db, e->status.address);

	e->to_remember = false;
	if (rc < 0)
		sw_log(SW_LOG_WARN, "the address %s could not be remembered (%s); give it again with --peer the next time",
		       e->status.address, sw_fail_message(rc));
}

static void remember_all(struct sw_swarm *s)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (s->endpoints[i]->to_remember && !s->endpoints[i]->is_forgotten)
			remember(s, s->endpoints[i]);
}

static void tick(struct sw_swarm *s)
{
	uint64_t now = sw_swarm_now(s);

	remember_all(s);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct endpoint *e = s->endpoints[i];
		int rc = 0;

		if (e->is_forgotten)
			continue;
		if (!e->dialling && !e->connected && now >= e->dial_at_ms && !sw_endpoint_is_reached(s, e))
			rc = dial(s, e);
		if (rc < 0) {
			sw_endpoint_complain(e, sw_fail_message(rc));
			sw_endpoint_plan(s, e);
		}
	}
	sw_conn_tick(s, now);
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
			sw_sync_changed(s->sync, sw_swarm_now(s));
		}
		if (atomic_exchange(&s->wants_watermark, false))
			sw_sync_sign(s->sync);
		sw_transport_poll(s->transport, &sw_conn_handler, s);
		if (sw_swarm_now(s) - ticked >= TICK_MS) {
			ticked = sw_swarm_now(s);
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
	int rc = sw_ticket_read(text, &e->ticket);

	if (rc < 0)
		return rc;
	e->has_ticket = true;
	if (sw_hash_eq(&e->ticket.database, sw_db_id(s->db)))
		return 0;
	sw_hex(e->ticket.database.b, SW_HASH_SIZE, theirs);
	sw_hex(sw_db_id(s->db)->b, SW_HASH_SIZE, ours);
	return sw_fail(SW_EINVAL, "the %s is for the database %.12s, the store %s holds %.12s; choose "
				  "another store",
		       e->ticket.asks ? "join address" : "ticket", theirs, sw_db_dir(s->db), ours);
}

static bool is_same_peer(const struct endpoint *a, const struct endpoint *b)
{
	if (a->has_ticket != b->has_ticket)
		return false;
	return a->has_ticket ? sw_key_eq(&a->ticket.inviter, &b->ticket.inviter) &&
				   memcmp(a->ticket.secret, b->ticket.secret, SW_TICKET_SECRET_SIZE) == 0
			     : strcmp(a->url, b->url) == 0;
}

static void endpoint_free(struct endpoint *e)
{
	sw_ticket_fini(&e->ticket);
	free(e);
}

/* One that is to be dialled already, or was and is forgotten. */
static struct endpoint *find_same(const struct sw_swarm *s, const struct endpoint *e)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (is_same_peer(s->endpoints[i], e))
			return s->endpoints[i];
	return NULL;
}

/* Takes over the endpoint. */
static int put_endpoint(struct sw_swarm *s, struct endpoint *e)
{
	struct endpoint **v = realloc(s->endpoints, (s->n_endpoints + 1) * sizeof(struct endpoint *));
	int rc = v ? 0 : SW_ENOMEM;

	if (v) {
		s->endpoints = v;
		rc = dial(s, e);
	}
	if (rc < 0 && rc != SW_EAGAIN) {
		endpoint_free(e);
		return rc;
	}
	v[s->n_endpoints++] = e;
	return 0;
}

static int add_endpoint(struct sw_swarm *s, const char *text)
{
	struct endpoint *e = calloc(1, sizeof(*e)), *same;
	int rc = 0;

	if (!e)
		return SW_ENOMEM;
	e->cookie = s->n_endpoints;
	if (sw_ticket_looks_like(text) || sw_ticket_is_join_address(text))
		rc = check_ticket(s, e, text);
	else if (snprintf(e->url, sizeof(e->url), "%s", text) >= (int)sizeof(e->url))
		rc = sw_fail(SW_ETOOLONG, "%.64s...: address too long", text);
	if (rc == 0 && s->n_endpoints == SW_SWARM_PEERS_MAX)
		rc = sw_fail(SW_ELIMIT, "more than %d peers to dial", SW_SWARM_PEERS_MAX);
	same = rc == 0 ? find_same(s, e) : NULL;
	if (same) {
		same->to_remember |= same->is_forgotten;
		same->is_forgotten = false;
	}
	if (rc < 0 || same) {
		endpoint_free(e);
		return rc;
	}
	e->to_remember = !e->has_ticket; /* of a ticket's addresses, the one that leads somewhere */
	return put_endpoint(s, e);
}

/* An address that is dialled, or may be, with a ticket. */
static bool has_address(const struct endpoint *e, const char *address)
{
	for (size_t i = 0; i < e->ticket.n_addresses; i++)
		if (strcmp(e->ticket.addresses[i], address) == 0)
			return true;
	return strcmp(e->has_ticket ? e->status.address : e->url, address) == 0;
}

static struct endpoint *find_address(const struct sw_swarm *s, const char *address)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (!s->endpoints[i]->is_forgotten && has_address(s->endpoints[i], address))
			return s->endpoints[i];
	return NULL;
}

/* One that cannot be dialled is no reason not to start: nobody gave it now. */
static void add_known(struct sw_swarm *s, struct sw_view list)
{
	struct sw_rd r = sw_rd(list);
	size_t n = 0;

	while (sw_rd_left(&r) > 0) {
		struct sw_view v = sw_rd_bytes(&r, SW_SWARM_ADDRESS_SIZE - 1);
		char address[SW_SWARM_ADDRESS_SIZE];
		int rc;

		snprintf(address, sizeof(address), "%.*s", (int)v.n, (const char *)v.p);
		if (find_address(s, address) || s->n_endpoints == SW_SWARM_PEERS_MAX)
			continue;
		rc = add_endpoint(s, address);
		if (rc < 0)
			sw_log(SW_LOG_WARN, "peer %s, which the store remembers, cannot be dialled: %s", address, sw_fail_message(rc));
		n += rc == 0;
	}
	if (n > 0)
		sw_log(SW_LOG_INFO, "dialling the peers that the store remembers (%zu); 'swarmfs peers' lists them", n);
}

static int dial_known(struct sw_swarm *s)
{
	SW_BUF list = {0};
	int rc = sw_known_list(s->db, &list);

	if (rc == 0)
		add_known(s, sw_buf_view(&list));
	return rc;
}

static void set_timers(struct sw_swarm_timers *t, const struct sw_swarm_timers *wanted)
{
	*t = *wanted;
	t->advert_ms = t->advert_ms ? t->advert_ms : 2000;
	t->ping_ms = t->ping_ms ? t->ping_ms : 5000;
	t->dead_ms = t->dead_ms ? t->dead_ms : 15000;
	t->backoff_min_ms = t->backoff_min_ms ? t->backoff_min_ms : 1000;
	t->backoff_max_ms = t->backoff_max_ms ? t->backoff_max_ms : 60000;
	t->watermark_ms = t->watermark_ms ? t->watermark_ms : 1000;
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
	const struct sw_sync_hooks hooks = {.arg = s, .send = sw_conn_send, .drop = sw_conn_drop, .address = sw_conn_address};
	const struct sw_transport_options defaults = {0};
	int rc = copy_advertised(s, options);

	set_timers(&s->timers, &options->timers);
	if (rc == 0)
		rc = sw_transport_new(&defaults, &s->transport);
	if (rc == 0)
		rc = sw_sync_new(s->db, &hooks, &s->timers, &s->sync);
	if (rc == 0 && options->text)
		sw_sync_set_text(s->sync, sw_view_str(options->text));
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
	if (rc == 0 && options->dials_known)
		rc = dial_known(s);
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

/* The thread is gone: the last words are sent from here. */
static void say_goodbye(struct sw_swarm *s)
{
	struct pollfd fd = {.fd = sw_transport_fd(s->transport), .events = POLLIN};
	uint64_t end = sw_swarm_now(s) + GOODBYE_MS;

	sw_sync_close(s->sync);
	while (s->conns && sw_swarm_now(s) < end && poll(&fd, 1, 10) >= 0) {
		sw_transport_poll(s->transport, &sw_conn_handler, s);
		for (struct conn *c = s->conns, *next; c; c = next) {
			next = c->next;
			if (!c->close_at_ms)
				sw_conn_free(s, c); /* a stranger */
		}
	}
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
		remember_all(s); /* where a ticket has led since the last tick */
		say_goodbye(s);
	}
	while (s->conns)
		sw_conn_free(s, s->conns);
	sw_sync_free(s->sync);
	sw_transport_free(s->transport);
	if (s->kick_fd >= 0)
		close(s->kick_fd);
	explicit_bzero(s->noise_secret, sizeof(s->noise_secret));
	for (size_t i = 0; i < s->n_endpoints; i++)
		endpoint_free(s->endpoints[i]);
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

void sw_swarm_sign(struct sw_swarm *s)
{
	if (!s)
		return;
	atomic_store(&s->wants_watermark, true);
	sw_swarm_kick(s);
}

int sw_swarm_add_peer(struct sw_swarm *s, const char *peer)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = add_endpoint(s, peer);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int sw_swarm_forget_peer(struct sw_swarm *s, const char *address)
{
	struct endpoint *e;

	pthread_mutex_lock(&s->lock);
	e = find_address(s, address);
	if (e) {
		e->is_forgotten = true;
		sw_conn_hang_up(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return e ? 0 : SW_ENOTFOUND;
}

size_t sw_swarm_addresses(const struct sw_swarm *s, const char *const **out)
{
	*out = s->urls;
	return s->n_listening;
}

size_t sw_swarm_advertised(const struct sw_swarm *s, const char *const **out)
{
	*out = s->n_advertise > 0 ? (const char *const *)s->advertise : s->urls;
	return s->n_advertise > 0 ? s->n_advertise : s->n_listening;
}

int sw_swarm_invite(struct sw_swarm *s, uint64_t expiry_ms, enum sw_role role, struct sw_buf *out)
{
	const char *const *addresses;
	size_t n = sw_swarm_advertised(s, &addresses);

	return sw_ticket_create(s->db, addresses, n, expiry_ms, role, out);
}

size_t sw_swarm_requests(struct sw_swarm *s, struct sw_request *out)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = sw_sync_requests(s->sync, out, sw_swarm_now(s));
	pthread_mutex_unlock(&s->lock);
	return n;
}

int sw_swarm_reject(struct sw_swarm *s, const struct sw_key *key)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = sw_sync_reject(s->sync, key, sw_swarm_now(s));
	pthread_mutex_unlock(&s->lock);
	return rc;
}
