/* What the files of the swarm share. */
#ifndef SW_NET_SWARM_INTERNAL_H
#define SW_NET_SWARM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/session.h"
#include "net/swarm.h"
#include "net/sync.h"
#include "net/ticket.h"
#include "net/transport.h"

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
	bool to_remember;  /* its address is to be put into the store */
	bool is_forgotten; /* not dialled any more, and not shown */
	struct sw_peer_status status;
};

struct conn {
	struct conn *next;
	uint64_t id;
	struct endpoint *endpoint; /* NULL: they dialled us */
	struct sw_session *session;
	bool is_up;		  /* the engine knows it */
	bool is_stranger;	  /* they dialled us, and have not shown that they are a member */
	uint64_t close_at_ms;	  /* 0: it stays */
	uint64_t since_ms;
	uint64_t up_ms; /* 0: it never was */
	uint64_t n_records; /* of the session, when the engine was told last */
	struct sw_peer_status status;
};

#define SW_SWARM_BLAMES	     32
#define SW_SWARM_BLAME_MS    10000
#define SW_SWARM_BLAME_LINES 10 /* in so long, of one source */

/* Who was complained about in the log lately. */
struct blame {
	char source[SW_TRANSPORT_SOURCE_SIZE];
	uint64_t since_ms;
	unsigned n; /* since then, in the log or not; 0: free */
};

struct sw_swarm {
	struct sw_db *db;
	struct sw_transport *transport;
	struct sw_sync *sync;
	uint8_t noise_secret[SW_SESSION_SECRET_SIZE];
	int kick_fd;
	pthread_t thread;
	bool runs;
	atomic_bool wants_watermark; /* somebody waits until something is settled */
	char listening[SW_TRANSPORT_LISTENERS_MAX][SW_TRANSPORT_URL_MAX];
	const char *urls[SW_TRANSPORT_LISTENERS_MAX];
	size_t n_listening;
	char **advertise; /* owned */
	size_t n_advertise;
	struct sw_swarm_timers timers;
	uint64_t bytes_in, bytes_out;
	struct blame blames[SW_SWARM_BLAMES];

	pthread_mutex_t lock; /* held by the thread while it works, and by whoever asks */
	pthread_cond_t stepped;
	bool stopping;
	struct endpoint **endpoints; /* by cookie */
	size_t n_endpoints;
	struct conn *conns;
};

/* Connections: between the transport and the engine. All under s->lock. */
extern const struct sw_transport_handler sw_conn_handler; /* its argument is the swarm */
/* Hooks of the engine. */
int sw_conn_send(void *arg, uint64_t peer, struct sw_view message);
void sw_conn_drop(void *arg, uint64_t peer, const char *reason);
const char *sw_conn_address(void *arg, uint64_t peer);
void sw_conn_free(struct sw_swarm *s, struct conn *c);
struct sw_peer_status *sw_conn_status(struct conn *c);
/* A line in the log about whom we are connected with at this address, unless there was one just now. */
void sw_swarm_blame(struct sw_swarm *s, const char *address, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* End the connection that was dialled for it, if there is one. */
void sw_conn_hang_up(struct sw_swarm *s, const struct endpoint *e);
/* Close those that have had their time. */
void sw_conn_tick(struct sw_swarm *s, uint64_t now);

/* Something is wrong with a peer that we dial: noted, and logged once until it works again. */
void sw_endpoint_complain(struct endpoint *e, const char *reason);
/* Dial it again after a while. */
void sw_endpoint_plan(struct sw_swarm *s, struct endpoint *e);
/* Whether the peer behind it has dialled us, so that there is no need to dial it. */
bool sw_endpoint_is_reached(const struct sw_swarm *s, const struct endpoint *e);

static inline uint64_t sw_swarm_now(const struct sw_swarm *s)
{
	return sw_env_mono_ms(sw_db_env(s->db));
}

#endif
