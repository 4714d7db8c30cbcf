/*
 * The swarm: the thread that keeps a database in step with its peers. It owns the transport, the
 * sessions and the sync engine (net/sync.h), dials the peers that it was told of, again and again, and
 * answers those who dial. Must be started after any fork(): nng does not survive one.
 */
#ifndef SW_NET_SWARM_H
#define SW_NET_SWARM_H

#include "core/db.h"

#define SW_SWARM_URL_MAX   256
#define SW_SWARM_PEERS_MAX 256

struct sw_swarm;

struct sw_swarm_options {
	const char *const *listen; /* tcp://host:port (port 0: any), ipc:///path */
	size_t n_listen;
	const char *const *peers; /* addresses, or tickets (net/ticket.h) */
	size_t n_peers;
};

/*
 * Start. Everything is looked at first: a bad address or ticket, or a ticket of another database, is refused
 * with a sentence. db must outlive it.
 */
int sw_swarm_start(struct sw_db *db, const struct sw_swarm_options *options,
		   struct sw_swarm **out) SW_MUST_CHECK;
/* Say goodbye and stop, in bounded time. NULL is fine. */
void sw_swarm_stop(struct sw_swarm *s);
/* The local head changed: tell the peers. Any thread; does not block. */
void sw_swarm_kick(struct sw_swarm *s);

/* The addresses that it listens on, with real ports. Any thread; valid as long as the swarm. */
size_t sw_swarm_listening(const struct sw_swarm *s, const char *const **urls);
/*
 * A ticket for one newcomer, valid for expiry_ms. addresses: where to reach this peer, NULL for those it
 * listens on. Appends the ticket to out. SW_EINVAL with a sentence when it does not listen.
 */
int sw_swarm_invite(struct sw_swarm *s, uint64_t expiry_ms, const char *const *addresses, size_t n_addresses,
		    struct sw_buf *out) SW_MUST_CHECK;

/*
 * Wait until everything that the first peer to answer had is here: for a clone. progress(), which may be NULL, is
 * called now and then with the commits here and there. SW_EAGAIN: not within timeout_ms; SW_EDENIED: the ticket was
 * refused, with the reason.
 */
int sw_swarm_wait_synced(struct sw_swarm *s, uint32_t timeout_ms,
			 void (*progress)(void *arg, uint64_t have, uint64_t want), void *arg) SW_MUST_CHECK;

enum sw_peer_state {
	SW_PEER_CONNECTING,
	SW_PEER_HANDSHAKE,
	SW_PEER_JOINING,
	SW_PEER_SYNCING,
	SW_PEER_IN_SYNC,
	SW_PEER_BACKOFF, /* lost, or not reached; tried again */
};
const char *sw_peer_state_name(enum sw_peer_state s);

struct sw_peer_status {
	struct sw_key key; /* zero: not known yet */
	char address[SW_SWARM_URL_MAX];
	bool inbound;
	enum sw_peer_state state;
	uint64_t lag_commits; /* that it has told of and we lack */
	uint64_t lag_ms;      /* since when; 0: none */
	uint64_t rtt_us;      /* of the last ping; 0: none yet */
	uint64_t bytes_in, bytes_out;
	uint64_t errors, reconnects;
	char error[256]; /* the last one; empty: none */
};

struct sw_swarm_status {
	uint64_t n_held; /* commits from the future, not taken yet */
	uint64_t n_batches; /* of commits taken */
	size_t n_peers;
	struct sw_peer_status peers[SW_SWARM_PEERS_MAX];
};

/* A copy of how things stand; any thread. out is large: allocate it. */
void sw_swarm_status(struct sw_swarm *s, struct sw_swarm_status *out);

#endif
