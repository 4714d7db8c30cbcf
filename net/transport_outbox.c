/*
 * Two buffers that change places: one is being sent while the other takes what comes. A byte is
 * copied once, and small messages that pile up leave together.
 */
#include "net/transport_internal.h"

#include <assert.h>

void sw_outbox_init(struct sw_outbox *o)
{
	*o = (struct sw_outbox){0};
	pthread_mutex_init(&o->lock, NULL);
}

void sw_outbox_fini(struct sw_outbox *o)
{
	sw_buf_fini(&o->queue);
	sw_buf_fini(&o->flight);
	pthread_mutex_destroy(&o->lock);
}

/* Under lock. */
static int put(struct sw_outbox *o, struct sw_view bytes, size_t max)
{
	struct sw_buf *b = o->flying ? &o->queue : &o->flight;

	assert(o->n_queued <= max);
	if (o->rc != 0)
		return SW_ECLOSED;
	if (bytes.n > max - o->n_queued)
		return SW_EAGAIN;
	sw_buf_put_view(b, bytes);
	if (b->rc < 0) {
		b->rc = 0; /* nothing was put: all is as before and the next try may do */
		return SW_ENOMEM;
	}
	o->n_queued += bytes.n;
	if (o->flying)
		return 0;
	o->flying = true;
	return 1;
}

int sw_outbox_put(struct sw_outbox *o, struct sw_view bytes, size_t max)
{
	int rc;

	assert(bytes.n > 0);
	pthread_mutex_lock(&o->lock);
	rc = put(o, bytes, max);
	pthread_mutex_unlock(&o->lock);
	return rc;
}

uint8_t *sw_outbox_flight(struct sw_outbox *o, size_t *n)
{
	*n = o->flight.n - o->flight_at;
	assert(*n > 0);
	return o->flight.p + o->flight_at;
}

/* Under lock: the flight has landed whole; what has queued up meanwhile is the next. */
static void swap(struct sw_outbox *o)
{
	struct sw_buf landed = o->flight;

	if (landed.cap > SW_IDLE_BUFFER_MAX)
		sw_buf_fini(&landed);
	else
		sw_buf_reset(&landed);
	o->flight = o->queue;
	o->flight_at = 0;
	o->queue = landed;
}

bool sw_outbox_landed(struct sw_outbox *o, size_t n, int failed)
{
	bool flying;

	pthread_mutex_lock(&o->lock);
	assert(o->flying);
	assert(n <= o->flight.n - o->flight_at);
	o->n_queued -= n;
	o->flight_at += n;
	if (o->flight_at == o->flight.n)
		swap(o);
	if (failed != 0)
		o->rc = failed;
	o->flying = flying = failed == 0 && o->flight.n > 0;
	pthread_mutex_unlock(&o->lock);
	return flying;
}

size_t sw_outbox_left(struct sw_outbox *o, int *failed)
{
	size_t n;

	pthread_mutex_lock(&o->lock);
	n = o->n_queued;
	*failed = o->rc;
	pthread_mutex_unlock(&o->lock);
	return n;
}
