/*
 * The swarm: one thread that keeps a database in step with its peers. It owns the transport, the
 * sessions and the sync engine (net/sync.h); everybody else talks to it through these functions, from any
 * thread, and never waits for the network, but in sw_swarm_wait_synced().
 *
 * It starts threads: a daemon forks first. The database must outlive it.
 */
#ifndef SW_NET_SWARM_H
#define SW_NET_SWARM_H

#include "core/db.h"
#include "net/requests.h"

#define SW_SWARM_LISTEN_MAX  16
#define SW_SWARM_PEERS_MAX   256 /* that we dial */
#define SW_SWARM_ADDRESS_SIZE 512 /* of an address with its NUL */

struct sw_swarm;

/* In milliseconds; 0 takes the default. */
struct sw_swarm_timers {
	unsigned advert_ms;	 /* 2000: heads are compared again */
	unsigned ping_ms;	 /* 5000 */
	unsigned dead_ms;	 /* 15000: a silent link is given up */
	unsigned backoff_min_ms; /* 1000: first wait before dialling again; doubles, with jitter */
	unsigned backoff_max_ms; /* 60000 */
	unsigned watermark_ms;	 /* 1000: at least so long, and 20 ms for each who writes, between two watermarks */
};

struct sw_swarm_options {
	const char *const *listen; /* tcp://HOST:PORT, ipc://PATH; none: no inbound connections */
	size_t n_listen;
	const char *const *peers; /* addresses, tickets and join addresses */
	size_t n_peers;
	const char *text; /* said where a join address leads, to whoever decides; NULL: nothing */
	const char *const *advertise; /* addresses to write into tickets; none: those listened on */
	size_t n_advertise;
	bool dials_known; /* also those that the store remembers (net/known.h) */
	struct sw_swarm_timers timers;
};

/*
 * Start. Listening failed, or an address or ticket is malformed or of another database: an error with
 * a sentence, and nothing runs. Peers that cannot be reached are no error. *out is set before the
 * first event, so that a listener of the database may call sw_swarm_kick() at once. Texts are copied.
 */
int sw_swarm_start(struct sw_db *db, const struct sw_swarm_options *options,
		   struct sw_swarm **out) SW_MUST_CHECK;
/* Say goodbye and stop, within about a second; NULL is fine. */
void sw_swarm_stop(struct sw_swarm *s);

/*
 * The head has moved. Only wakes the swarm's thread, so it may be called from the database's listener, under
 * any lock. NULL is fine.
 */
void sw_swarm_kick(struct sw_swarm *s);

/* Sign a watermark soon, without waiting for the next one's time. Only wakes the swarm's thread, as sw_swarm_kick(). */
void sw_swarm_sign(struct sw_swarm *s);

/*
 * Dial one more peer, by address or ticket, until the swarm stops. One that is known already changes nothing. As with those in
 * the options the store remembers the address; of a ticket, the one at which its inviter was reached.
 */
int sw_swarm_add_peer(struct sw_swarm *s, const char *peer) SW_MUST_CHECK;
/* Hang up on the peer that is dialled at that address, and dial it no more. The store is not told. SW_ENOTFOUND. */
int sw_swarm_forget_peer(struct sw_swarm *s, const char *address) SW_MUST_CHECK;

/* The addresses listened on, ports resolved; they live as long as the swarm. */
size_t sw_swarm_addresses(const struct sw_swarm *s, const char *const **out);
/* A ticket (net/ticket.h), good once, for expiry_ms from now; its text is appended to out. */
int sw_swarm_invite(struct sw_swarm *s, uint64_t expiry_ms, enum sw_role role,
		    struct sw_buf *out) SW_MUST_CHECK;

/* Who asks to be let in here: room for SW_REQUESTS_MAX. How many. */
size_t sw_swarm_requests(struct sw_swarm *s, struct sw_request *out);
/* Say no to one of them. SW_ENOTFOUND. */
int sw_swarm_reject(struct sw_swarm *s, const struct sw_key *key) SW_MUST_CHECK;
/* The addresses that go into tickets: those advertised, else those listened on. They live as long as the swarm. */
size_t sw_swarm_advertised(const struct sw_swarm *s, const char *const **out);

/*
 * Wait until everything that a peer had advertised at some moment is here: for clone. 0; SW_EDENIED: joining
 * was refused; SW_EAGAIN: not within timeout_ms. With a sentence that names the reason known last.
 */
int sw_swarm_wait_synced(struct sw_swarm *s, unsigned timeout_ms) SW_MUST_CHECK;

enum sw_peer_state {
	SW_PEER_CONNECTING, /* being dialled */
	SW_PEER_HANDSHAKE,  /* connected; who it is is not proven yet */
	SW_PEER_JOINING,    /* a ticket was handed in, or is waited for */
	SW_PEER_SYNCING,    /* heads differ, as far as is known */
	SW_PEER_IN_SYNC,    /* heads are equal */
	SW_PEER_BACKOFF,    /* lost or refused; dialled again later */
	SW_PEER_REMEMBERED, /* the store knows its address, and nobody dials it */
};
/* "connecting", "handshake", "joining", "syncing", "in-sync", "backoff", "remembered" */
const char *sw_peer_state_name(enum sw_peer_state state);

struct sw_peer_status {
	bool has_key; /* its identity was proven (last time) */
	struct sw_key key;
	char address[SW_SWARM_ADDRESS_SIZE]; /* dialled, or where it came from */
	bool is_inbound;
	enum sw_peer_state state;
	uint64_t lag_commits;  /* commits that one of the two is not known to have */
	bool has_freed;	       /* by gc, what is missing here: another peer must send it */
	uint64_t lag_ms;       /* for how long the heads have differed without a break; 0 in sync */
	int64_t clock_ms;      /* its clock is ahead of ours by so much; 0: or not known yet */
	uint64_t rtt_us;       /* of the last ping; 0: none yet */
	uint64_t bytes_in;     /* on the wire, over all its connections */
	uint64_t bytes_out;
	uint64_t commits_in;   /* taken from it */
	uint64_t commits_out;  /* sent to it */
	uint64_t errors;       /* failed dials, broken links, refusals */
	uint64_t reconnects;   /* connections made after the first */
	char software[64];     /* what it says it runs */
	char last_error[200];  /* "" when there was none */
};

struct sw_swarm_status {
	struct sw_peer_status *peers; /* first those that we dial, in the order given */
	size_t n_peers;
	uint64_t n_connected;	/* joined, syncing or in sync */
	bool is_pending;	/* we have asked to be let in, and an admin has to decide */
	uint64_t n_requests;	/* of others to be let in here */
	uint64_t n_held;	/* commits not taken yet: stamped too far in the future */
	bool reaches_down;	/* a commit cannot be taken, since it changes what gc has freed here */
	struct sw_hash down;	/* which */
	uint64_t n_refused;	/* commits refused, since the start */
	uint64_t n_batches;	/* taken by the database, since the start */
	uint64_t commits_in;
	int64_t clock_ms;	/* the peers' clocks, as a whole, are ahead of ours by so much */
	uint64_t bytes_in;	/* since the start, peers that are gone included */
	uint64_t bytes_out;
};

/* A copy, at most some 50 ms old. Free with fini. SW_ENOMEM. */
int sw_swarm_status(struct sw_swarm *s, struct sw_swarm_status *out) SW_MUST_CHECK;
void sw_swarm_status_fini(struct sw_swarm_status *status);

#endif
