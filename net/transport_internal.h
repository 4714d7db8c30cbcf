/*
 * What the transport is made of besides nng: the list of things that have news for the owner's
 * thread, the bytes that wait to be sent, and the check of addresses. None of it includes nng.
 */
#ifndef SW_NET_TRANSPORT_INTERNAL_H
#define SW_NET_TRANSPORT_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "net/transport.h"

#define SW_IDLE_BUFFER_MAX (128 * 1024) /* more than this is given back when not in use */

/*
 * The ready list: any thread puts sources on it, the owner takes them off. fd, an eventfd, is
 * readable while there may be some. Nothing here allocates, so that a callback cannot fail.
 */
struct sw_ready {
	int fd;
	pthread_mutex_t lock;
	TAILQ_HEAD(, sw_source) list; /* under lock */
	size_t n;                     /* under lock */
};

/* One thing that can have news. Its news stay set until they are taken. */
struct sw_source {
	struct sw_ready *ready;
	TAILQ_ENTRY(sw_source) link; /* under ready->lock, as are the following */
	bool listed;
	bool done; /* an accept, a dial or a receive has a result */
	bool sent; /* a send has */
};

/* SW_EIO and the like when there is no eventfd. */
int sw_ready_init(struct sw_ready *r) SW_MUST_CHECK;
/* No source may be listed. Also after a failed init. */
void sw_ready_fini(struct sw_ready *r);
/* Set a flag of a source, `done` or `sent` or none (NULL), and list it. Any thread. */
void sw_ready_put(struct sw_source *s, bool *flag);
/* Clear a flag; true when it was set. */
bool sw_ready_take_flag(struct sw_source *s, bool *flag);
/* Take a source off the list, whether on it or not. */
void sw_ready_remove(struct sw_source *s);
/* Begin a round: the number of sources now listed. What comes later waits for the next round. */
size_t sw_ready_begin(struct sw_ready *r);
/* The next source, off the list; NULL when there is none. */
struct sw_source *sw_ready_next(struct sw_ready *r);
/* End a round: the descriptor stays readable if sources are left. */
void sw_ready_end(struct sw_ready *r);

/*
 * The outbox: bytes that wait, and the bytes in flight, which the sender below reads while others
 * add to the queue. Whoever is told to start the flight owns it until sw_outbox_landed() says that
 * it is over: there is one sender at a time, and no lock is held while it sends.
 */
struct sw_outbox {
	pthread_mutex_t lock;
	bool flying;         /* under lock */
	int rc;              /* under lock; why nothing can be sent any more, or 0 */
	size_t n_queued;     /* under lock; bytes not yet sent */
	struct sw_buf queue; /* under lock */
	struct sw_buf flight;
	size_t flight_at;
};

void sw_outbox_init(struct sw_outbox *o);
void sw_outbox_fini(struct sw_outbox *o);
/* 1 when the caller must start the flight, 0 when it is on; SW_EAGAIN, SW_ECLOSED, SW_ENOMEM. */
int sw_outbox_put(struct sw_outbox *o, struct sw_view bytes, size_t max) SW_MUST_CHECK;
/* The bytes to send next; the owner of the flight only. */
uint8_t *sw_outbox_flight(struct sw_outbox *o, size_t *n);
/* n of those have been sent, or failed is not 0: true when the flight goes on. */
bool sw_outbox_landed(struct sw_outbox *o, size_t n, int failed);
/* Bytes not yet sent; *failed receives why sending has ended, or 0. */
size_t sw_outbox_left(struct sw_outbox *o, int *failed);

bool sw_address_is_ipc(const char *url);
/* Whether an ipc address may be bound: nothing but a socket may be in its way. */
int sw_address_check_path(const char *url) SW_MUST_CHECK;

#endif
