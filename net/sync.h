/*
 * The sync engine: what to say to peers, and what to make of what they say. A state machine: it is handed
 * peers that came and went, messages, ticks and news of the local head, and hands back messages. It has no threads,
 * sockets, clocks or randomness; the swarm's thread and the tests drive it alike. One thread at a time.
 *
 * Pull only: each side leaves one request standing at the other ("go on from what I have"), which is answered when there
 * is something. Heads are told now and then, so that whatever was lost is noticed and asked for again.
 */
#ifndef SW_NET_SYNC_H
#define SW_NET_SYNC_H

#include "core/db.h"
#include "net/requests.h"
#include "net/swarm.h"
#include "net/ticket.h"

#define SW_SYNC_BAN_MIN_MS 60000 /* for so long a peer that sent what cannot be is not listened to; doubles */
#define SW_SYNC_BAN_MAX_MS 3600000
#define SW_SYNC_CONNECTED_TWICE "it is connected already"
#define SW_SYNC_CLOSING		"this peer is closing"
#define SW_SYNC_PULLS_MAX  100	 /* of one peer in a second */
#define SW_SYNC_CLOCK_MS   5000	 /* a clock that differs by more is warned of */
#define SW_SYNC_TRUST_MS   86400000 /* further ahead than that of our own clock others are not believed */
#define SW_SYNC_RETRY_MS   1000	 /* before asking again for what could not be taken yet */
#define SW_SYNC_JOIN_MS	   10000 /* a stranger must present its ticket within */
#define SW_SYNC_MEMORY_MAX ((size_t)512 << 20) /* bytes of index records on their way in, per peer: of some 60 GiB */
#define SW_SYNC_STAGE_BYTES ((size_t)32 << 20) /* of data records; then they go to the store */
#define SW_SYNC_STAGED_MS  600000 /* they wait there for their commit, when nobody sends more */

struct sw_sync;

struct sw_sync_hooks {
	void *arg;
	/* One message to a peer; the bytes live for the call. SW_EAGAIN: its queue is full. */
	int (*send)(void *arg, uint64_t peer, struct sw_view message);
	/* Close the connection; the engine has forgotten the peer already. */
	void (*drop)(void *arg, uint64_t peer, const char *reason);
	/* Where a peer that dialled us comes from, for people and for limits; it lives for the step. */
	const char *(*address)(void *arg, uint64_t peer);
};

/* timers: all set. */
int sw_sync_new(struct sw_db *db, const struct sw_sync_hooks *hooks, const struct sw_swarm_timers *timers,
		struct sw_sync **out) SW_MUST_CHECK;
void sw_sync_free(struct sw_sync *s);

/*
 * A session with a peer is established. dialled: by us. ticket: the one that we dialled with, or NULL; while we are no
 * member, only its inviter is believed. The peer may be dropped from within.
 */
void sw_sync_peer_up(struct sw_sync *s, uint64_t peer, const struct sw_key *key, bool dialled,
		     const struct sw_ticket *ticket, uint64_t now_ms);
void sw_sync_peer_down(struct sw_sync *s, uint64_t peer);
/* What we say when we ask to be let in, with a join address; at most SW_REQUEST_TEXT_MAX bytes are sent, and are copied. */
void sw_sync_set_text(struct sw_sync *s, struct sw_view text);
/* Whether we have asked, and a peer keeps it until an admin has decided. */
bool sw_sync_is_pending(const struct sw_sync *s);
/* Joining is given up: sw_sync_refusal() says so. */
void sw_sync_refuse(struct sw_sync *s, const char *reason);
/* Who asks to be let in here, and is neither rejected nor a member meanwhile; room for SW_REQUESTS_MAX. How many. */
size_t sw_sync_requests(struct sw_sync *s, struct sw_request *out, uint64_t now_ms);
/* Say no to one of them, at once if it is connected. SW_ENOTFOUND. */
int sw_sync_reject(struct sw_sync *s, const struct sw_key *key, uint64_t now_ms) SW_MUST_CHECK;
/* Whether a peer that is up has shown that it is a member. */
bool sw_sync_is_member(const struct sw_sync *s, uint64_t peer);
/* Say goodbye to all, and drop them. */
void sw_sync_close(struct sw_sync *s);
void sw_sync_message(struct sw_sync *s, uint64_t peer, struct sw_view message, uint64_t now_ms);
/* Part of a message came from a peer. */
void sw_sync_heard(struct sw_sync *s, uint64_t peer, uint64_t now_ms);
/* The queue of a peer that was full has room again. */
void sw_sync_writable(struct sw_sync *s, uint64_t peer, uint64_t now_ms);
/* The local head changed. */
void sw_sync_changed(struct sw_sync *s, uint64_t now_ms);
/* Sign a watermark at the next tick: somebody waits until it is settled what is here. */
void sw_sync_sign(struct sw_sync *s);
/* Call at least every 100 ms. */
void sw_sync_tick(struct sw_sync *s, uint64_t now_ms);

/* What the engine knows of a peer: state, lag, rtt. False: no such peer. */
bool sw_sync_peer_status(const struct sw_sync *s, uint64_t peer, uint64_t now_ms, struct sw_peer_status *out);

struct sw_sync_counters {
	uint64_t n_held;    /* commits from the future, not taken yet */
	uint64_t n_freed;   /* peers that have freed, by gc, what is missing here */
	bool reaches_down;  /* a commit cannot be taken, since it changes what gc has freed here */
	struct sw_hash down; /* which */
	uint64_t n_refused;
	uint64_t n_requests; /* to be let in here, that nobody has decided on */
	uint64_t n_batches; /* taken by the database */
	uint64_t n_resigned; /* own commits that were signed again after a clock was wrong */
	uint64_t commits_in;
	int64_t clock_ms; /* how far the clocks of the others are ahead of ours */
};
void sw_sync_counters(const struct sw_sync *s, struct sw_sync_counters *out);
/* Whether some peer's head, as told, is ours, or was taken whole once: a clone is done. */
bool sw_sync_is_synced(const struct sw_sync *s, uint64_t *have, uint64_t *want);
/* Why joining was refused; NULL: it was not. */
const char *sw_sync_refusal(const struct sw_sync *s);

#endif
