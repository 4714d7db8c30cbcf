/* Connections of the swarm: bytes from the transport become messages for the engine, and back. */
#include "net/swarm_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

#define HANDSHAKE_MS  10000
#define STRANGERS_MAX 128 /* connections; half of what the transport takes */
#define STRANGER_MESSAGE_MAX                                                                       \
	65536 /* before it is known to be a member; what it has to say then is short */
#define GOOD_MS          5000 /* a connection that lasts so long makes the next dial a first one */
#define LAST_WORD_MS     500  /* to send what is queued before a connection is closed */
#define OUTPUT_MAX       ((size_t)24 << 20) /* encrypted bytes that wait, per connection */
#define OUTPUT_BACKED_UP ((size_t)1 << 20)  /* beyond it we stop listening to the peer */

static struct conn *find_conn(const struct sw_swarm *s, uint64_t id)
{
	struct conn *c = s->conns;

	while (c && c->id != id)
		c = c->next;
	return c;
}

struct sw_peer_status *sw_conn_status(struct conn *c)
{
	return c->endpoint ? &c->endpoint->status : &c->status;
}

static void set_error(struct sw_peer_status *st, const char *reason)
{
	st->errors++;
	snprintf(st->last_error, sizeof(st->last_error), "%s", reason);
}

/* A random part of the wait, so that peers that lost each other together do not come back together.
 */
void sw_endpoint_plan(struct sw_swarm *s, struct endpoint *e)
{
	uint32_t jitter;

	e->backoff_ms = e->backoff_ms ? e->backoff_ms * 2 : s->timers.backoff_min_ms;
	if (e->backoff_ms > s->timers.backoff_max_ms)
		e->backoff_ms = s->timers.backoff_max_ms;
	sw_db_env(s->db)->random(sw_db_env(s->db)->arg, &jitter, sizeof(jitter));
	e->dial_at_ms = sw_swarm_now(s) + e->backoff_ms * 3 / 4 + jitter % (e->backoff_ms / 2);
	e->dialling = e->connected = false;
	e->status.state = SW_PEER_BACKOFF;
}

void sw_endpoint_complain(struct endpoint *e, const char *reason)
{
	set_error(&e->status, reason);
	if (!e->complained)
		sw_log(SW_LOG_WARN, "peer %s: %s; trying again", e->status.address, reason);
	e->complained = true;
}

void sw_conn_free(struct sw_swarm *s, struct conn *c)
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
			sw_endpoint_complain(c->endpoint, reason);
		c->endpoint->status.reconnects++;
		if (c->up_ms && sw_swarm_now(s) - c->up_ms >= GOOD_MS)
			c->endpoint->backoff_ms = 0;
		sw_endpoint_plan(s, c->endpoint);
	}
	sw_transport_close(s->transport, c->id);
	sw_conn_free(s, c);
}

void sw_conn_hang_up(struct sw_swarm *s, const struct endpoint *e)
{
	struct conn *c = s->conns;

	while (c && c->endpoint != e)
		c = c->next;
	if (c)
		conn_end(s, c, NULL);
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
		sw_conn_status(c)->bytes_out += n;
		s->bytes_out += n;
		sw_buf_reset(out);
	}
	return rc;
}

int sw_conn_send(void *arg, uint64_t peer, struct sw_view message)
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

void sw_conn_drop(void *arg, uint64_t peer, const char *reason)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, peer);

	if (!c)
		return;
	c->is_up = false;
	c->close_at_ms = sw_swarm_now(s) + LAST_WORD_MS;
	if (strcmp(reason, SW_SYNC_CONNECTED_TWICE) == 0 || strcmp(reason, SW_SYNC_CLOSING) == 0)
		return; /* no fault of anybody's */
	set_error(sw_conn_status(c), reason);
	sw_swarm_blame(s, sw_conn_status(c)->address, "peer %s dropped: %s",
		       sw_conn_status(c)->address, reason);
	if (c->endpoint)
		c->endpoint->complained = true;
}

const char *sw_conn_address(void *arg, uint64_t peer)
{
	struct conn *c = find_conn(arg, peer);

	return c ? sw_conn_status(c)->address : "";
}

static int conn_new(struct sw_swarm *s, uint64_t id, struct endpoint *e, const char *address)
{
	uint8_t ephemeral[SW_SESSION_SECRET_SIZE];
	struct sw_session_options options = {.initiator = e != NULL,
					     .database = sw_db_id(s->db),
					     .identity = sw_db_session_identity(s->db),
					     .static_secret = s->noise_secret,
					     .ephemeral_secret = ephemeral,
					     .message_max = e ? 0 : STRANGER_MESSAGE_MAX};
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
	c->since_ms = sw_swarm_now(s);
	c->status.is_inbound = true;
	c->is_stranger = !e;
	snprintf(c->status.address, sizeof(c->status.address), "%s", address);
	sw_conn_status(c)->state = SW_PEER_HANDSHAKE;
	c->next = s->conns;
	s->conns = c;
	return flush_output(s, c);
}

/* Transport events */

/* Strangers cost nobody a place but each other: of many that only hold their line, the oldest goes.
 */
static void make_room(struct sw_swarm *s)
{
	struct conn *oldest = NULL;
	size_t n = 0;

	for (struct conn *c = s->conns; c; c = c->next) {
		if (!c->is_stranger)
			continue;
		oldest = c; /* the list begins with the newest */
		n++;
	}
	if (n < STRANGERS_MAX)
		return;
	sw_swarm_blame(s, oldest->status.address,
		       "a connection from %s was closed: too many wait to be let in",
		       oldest->status.address);
	conn_end(s, oldest, NULL);
}

static void on_accepted(void *arg, uint64_t conn, const char *address)
{
	struct sw_swarm *s = arg;

	make_room(s);
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
		sw_endpoint_plan(s, e);
	}
}

static void on_dial_failed(void *arg, uint64_t cookie, const char *reason)
{
	struct sw_swarm *s = arg;
	struct endpoint *e = s->endpoints[cookie];

	sw_endpoint_complain(e, reason);
	sw_endpoint_plan(s, e);
}

static void came_up(struct sw_swarm *s, struct conn *c)
{
	const struct sw_key *remote = sw_session_remote(c->session);

	if (sw_session_is_own(c->session)) {
		sw_conn_drop(s, c->id, "it is this very process: the address is its own");
		return;
	}
	c->is_up = true;
	c->up_ms = sw_swarm_now(s);
	sw_conn_status(c)->key = *remote;
	sw_conn_status(c)->has_key = true;
	if (c->endpoint) {
		c->endpoint->complained = false;
		c->endpoint->status.last_error[0] = '\0';
		c->endpoint->to_remember |= c->endpoint->has_ticket;
	}
	sw_sync_peer_up(s->sync, c->id, remote, c->endpoint != NULL,
			c->endpoint && c->endpoint->has_ticket ? &c->endpoint->ticket : NULL,
			sw_swarm_now(s));
}

/* A member may say more at once. */
static void note_member(struct sw_swarm *s, struct conn *c)
{
	if (!c->is_stranger || !sw_sync_is_member(s->sync, c->id))
		return;
	c->is_stranger = false;
	sw_session_set_message_max(c->session, SW_SESSION_MESSAGE_MAX);
}

/* Part of a long message has come: the peer is not silent. */
static void note_records(struct sw_swarm *s, struct conn *c)
{
	uint64_t n = sw_session_records(c->session);

	if (!c->is_up || n == c->n_records)
		return;
	c->n_records = n;
	sw_sync_heard(s->sync, c->id, sw_swarm_now(s));
}

static void on_received(void *arg, uint64_t conn, struct sw_view bytes)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, conn);
	struct sw_view message;
	int rc;

	if (!c || c->close_at_ms)
		return;
	sw_conn_status(c)->bytes_in += bytes.n;
	s->bytes_in += bytes.n;
	rc = sw_session_feed(c->session, bytes);
	if (rc == 0)
		rc = flush_output(s, c);
	while (rc == 0 && !c->close_at_ms) {
		int more = sw_session_recv(c->session, &message);

		if (!c->is_up && more >= 0 && sw_session_established(c->session))
			came_up(s, c);
		note_member(s, c);
		if (more <= 0 || c->close_at_ms) {
			rc = more < 0 ? more : 0;
			break;
		}
		sw_sync_message(s->sync, conn, message, sw_swarm_now(s));
		note_member(s, c);
	}
	note_records(s, c);
	if (rc == 0)
		rc = flush_output(s, c);
	if (rc < 0) {
		const char *reason = sw_fail_message(rc);

		if (!c->endpoint)
			sw_swarm_blame(s, c->status.address, "a connection from %s was refused: %s",
				       c->status.address, reason);
		else if (c->endpoint->ticket.asks && !c->is_up && rc == SW_ESIG)
			sw_sync_refuse(s->sync, reason); /* another database, or somebody in between: both for people */
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
		sw_sync_writable(s->sync, conn, sw_swarm_now(s));
}

static void on_closed(void *arg, uint64_t conn, const char *reason)
{
	struct sw_swarm *s = arg;
	struct conn *c = find_conn(s, conn);

	if (c)
		conn_end(s, c, reason);
}

const struct sw_transport_handler sw_conn_handler = {.accepted = on_accepted,
						     .connected = on_connected,
						     .dial_failed = on_dial_failed,
						     .received = on_received,
						     .sent = on_sent,
						     .closed = on_closed};

bool sw_endpoint_is_reached(const struct sw_swarm *s, const struct endpoint *e)
{
	if (!e->status.has_key)
		return false;
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->is_up && c->endpoint != e &&
		    sw_key_eq(&e->status.key, sw_session_remote(c->session)))
			return true;
	return false;
}

void sw_conn_tick(struct sw_swarm *s, uint64_t now)
{
	struct conn *next;

	for (struct conn *c = s->conns; c; c = next) {
		next = c->next;
		if (c->close_at_ms && now >= c->close_at_ms)
			conn_end(s, c, NULL);
		else if (!c->is_up && !c->close_at_ms && now - c->since_ms > HANDSHAKE_MS)
			conn_end(s, c, "it did not finish the handshake");
	}
}
