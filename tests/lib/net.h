/*
 * A network for sync engines: any number of databases in one process, links between them, and one
 * virtual clock. Everything follows from the seed.
 *
 * What a link can do is what an ordered, reliable stream can: deliver late, stall in one direction
 * or in both, fill up because nobody reads, and break, with all that was on its way. It never
 * drops, repeats or reorders a message by itself. So a lost message is a link that broke, a
 * repeated one is what the next connection brings again, and reordering happens between links,
 * whose delays differ. (HEADs alone may be lost: they are hints.)
 *
 * A machine may sleep, be deaf for a while, or end; and one end of a link may learn later than the
 * other that it broke.
 */
#ifndef TESTS_LIB_NET_H
#define TESTS_LIB_NET_H

#include "net/message.h"
#include "net/sync.h"
#include "tests/lib/dbs.h"

#define NET_NODES_MAX 16 /* of net_init() */
#define NET_LINKS_MAX 64
#define NET_OVERHEAD  21 /* what a session adds to a small message: length, flag, tag */
#define NET_QUEUE_MAX (4u << 20)
#define NET_EPOCH_MS  1790000000000 /* what wall clocks show when the virtual one shows 0 */

struct net;

struct net_node {
	struct net *net;
	size_t at;
	struct test_db t;
	struct sw_sync *sync; /* NULL: down, or not an engine but a script of the test */
	bool changed;
	int64_t skew_ms;          /* of its wall clock */
	uint64_t slept_ms;        /* its monotonic clock is behind by so much */
	uint64_t asleep_until_ms; /* suspended: nothing happens there */
	uint64_t deaf_until_ms;   /* reads nothing, does the rest */
	unsigned phase_ms;        /* when in each 100 ms it ticks */
};

struct net_message {
	struct net_message *next;
	uint64_t at_ms;
	size_t n;
	uint8_t bytes[];
};

/* One direction. */
struct net_pipe {
	struct net_message *first, *last;
	size_t bytes;
	size_t largest; /* of those that wait */
	bool was_full;
	size_t n_refused; /* messages for which there was no room */
	bool up; /* this end's engine knows of the connection */
	uint64_t blocked_until_ms;
	/* An earlier connection that this end has not noticed to be gone; 0: none. */
	uint64_t stale, stale_until_ms;
};

struct net_link {
	uint64_t conn;  /* 0: not connected */
	size_t ends[2]; /* nodes; [0] dialled */
	const struct sw_ticket *ticket;
	struct net_pipe pipes[2]; /* [i]: sent by ends[i] */
	uint64_t again_ms;        /* dial again then; 0: never */
	uint64_t close_ms;        /* cut then, one end has left; 0: not planned */
	bool mute;                /* swallows everything */
	bool manual;              /* is not dialled again when lost */
	unsigned delay_ms_min; /* on top of the network's */
	unsigned delay_ms_max; /* and up to so much more */
	char reason[200];         /* why an engine dropped it last */
	size_t n_drops;
};

/* Someone who looks on. May be NULL, each. */
struct net_watch {
	void *arg;
	void (*sent)(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message);
	void (*delivered)(void *arg, size_t from, size_t to, uint64_t conn, struct sw_view message);
	void (*dropped)(void *arg, size_t node, size_t peer, const char *reason);
	/* A row changed at a node by a commit of others; within a transaction. */
	void (*row_changed)(void *arg, size_t node, const struct sw_change *change);
	/* A node has noticed that its roots differ from another's. NULL: that fails the test. */
	void (*diverged)(void *arg, size_t node, const struct sw_divergence *divergence);
	/* The engine of a node has made a step, which was a tick, a message or something else. */
	void (*stepped)(void *arg, size_t node, bool is_tick);
};

struct net {
	struct rng rng;
	uint64_t now_ms;
	int64_t epoch_ms; /* of all wall clocks, on top of NET_EPOCH_MS */
	uint64_t next_conn;
	unsigned delay_ms_max;
	unsigned lose_heads;   /* one in so many HEADs is lost; 0: none */
	unsigned break_one_in; /* a message in so many breaks its link; 0: none */
	size_t queue_max; /* bytes that wait in a pipe, beside two of any size: commits and records */
	size_t map_size; /* of stores; 0: the default */
	enum sw_conflict_mode conflict; /* of the database that the creator makes */
	struct net_node *nodes;
	size_t n_nodes, nodes_max;
	struct net_link *links;
	size_t n_links, links_max;
	uint64_t n_messages, n_bytes; /* sent, session overhead included */
	uint64_t by_type[32];
	/* For ends without an engine: what they are sent. */
	void (*script)(void *arg, struct net_link *l, size_t end, struct sw_view message);
	void *script_arg;
	struct net_watch watch;
	struct sw_swarm_timers timers;
};

void net_init(struct net *net, uint64_t seed);
/* The same, with room for so many. */
void net_init_for(struct net *net, uint64_t seed, size_t nodes_max, size_t links_max);
void net_fini(struct net *net);

/* A node with a database of its own, or one that waits for that of node 0; with its engine running.
 */
size_t net_add_creator(struct net *net);
size_t net_add_clone(struct net *net);
/* A second machine with the disk of a node whose database is closed, which it opens. */
size_t net_add_copy(struct net *net, size_t of);
/* The engine begins, or ends (its links break). */
void net_start(struct net *net, size_t at);
void net_stop(struct net *net, size_t at);
/* Close and open the store of a node, as a restart does. */
void net_restart(struct net *net, size_t at);
/* The machine is gone without a word: the others find out later, its engine and its database are
 * freed. */
void net_lose(struct net *net, size_t at, uint64_t noticed_ms);
/* Open the store of a node whose database is closed, and start the engine; what sw_db_open() says. */
int net_reopen(struct net *net, size_t at);

/* Suspend a machine: its monotonic clock stands still, the wall clock goes on. */
void net_sleep(struct net *net, size_t at, uint64_t ms);
/* It wakes now. */
void net_wake(struct net *net, size_t at);

/* A link that is dialled, again and again, by `from`. ticket is borrowed. */
struct net_link *net_connect(struct net *net, size_t from, size_t to,
			     const struct sw_ticket *ticket);
/* Break it; both engines are told unless they know. */
void net_cut(struct net *net, struct net_link *l);
/* The same, but one end notices only at until_ms. */
void net_cut_half(struct net *net, struct net_link *l, size_t end, uint64_t until_ms);
int net_send(struct net *net, struct net_link *l, size_t end, struct sw_view bytes);

/* One step of virtual time: what is due, then the clock moves on by a millisecond. */
void net_step(struct net *net);
void net_run(struct net *net, uint64_t ms);
/* What is due now; then the clock moves to when something is due again, at most to until_ms. */
void net_advance(struct net *net, uint64_t until_ms);
/* Whether all that have an engine hold the same. */
bool net_converged(struct net *net);
/* Run until they do; the virtual milliseconds that it took. Fails the test when it takes longer. */
uint64_t net_converge(struct net *net, uint64_t within_ms);
void net_print(struct net *net);

/* A node's clocks as they are now. Steps do it by themselves. */
void net_set_clock(struct net *net, size_t at);
uint64_t net_node_ms(const struct net *net, size_t at);

/* A ticket of a node, in t. */
void net_ticket(struct net *net, size_t of, uint64_t expiry_ms, struct sw_ticket *t);

#endif
