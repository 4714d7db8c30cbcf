/*
 * The descriptor is written only when the list stops being empty. That suffices because a round
 * reads it before it looks at the list, and writes it again at its end if anything is left.
 */
#include "net/transport_internal.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int sw_ready_init(struct sw_ready *r)
{
	TAILQ_INIT(&r->list);
	r->n = 0;
	pthread_mutex_init(&r->lock, NULL);
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->fd < 0)
		return sw_fail(sw_err_from_errno(errno), "eventfd: %s", strerror(errno));
	return 0;
}

void sw_ready_fini(struct sw_ready *r)
{
	assert(r->n == 0);
	if (r->fd >= 0)
		close(r->fd);
	pthread_mutex_destroy(&r->lock);
}

static void signal_owner(struct sw_ready *r)
{
	uint64_t one = 1;
	ssize_t n = write(r->fd, &one, sizeof(one));

	/* A full counter is readable too, and nothing else can go wrong. */
	assert(n == sizeof(one) || errno == EAGAIN);
}

void sw_ready_put(struct sw_source *s, bool *flag)
{
	struct sw_ready *r = s->ready;

	pthread_mutex_lock(&r->lock);
	if (flag)
		*flag = true;
	if (!s->listed) {
		s->listed = true;
		TAILQ_INSERT_TAIL(&r->list, s, link);
		if (r->n++ == 0)
			signal_owner(r);
	}
	pthread_mutex_unlock(&r->lock);
}

bool sw_ready_take_flag(struct sw_source *s, bool *flag)
{
	bool was;

	pthread_mutex_lock(&s->ready->lock);
	was = *flag;
	*flag = false;
	pthread_mutex_unlock(&s->ready->lock);
	return was;
}

/* Under lock. */
static void take_off(struct sw_source *s)
{
	TAILQ_REMOVE(&s->ready->list, s, link);
	s->listed = false;
	s->ready->n--;
}

void sw_ready_remove(struct sw_source *s)
{
	pthread_mutex_lock(&s->ready->lock);
	if (s->listed)
		take_off(s);
	pthread_mutex_unlock(&s->ready->lock);
}

size_t sw_ready_begin(struct sw_ready *r)
{
	uint64_t count;
	ssize_t got = read(r->fd, &count, sizeof(count));
	size_t n;

	assert(got == sizeof(count) || errno == EAGAIN);
	pthread_mutex_lock(&r->lock);
	n = r->n;
	pthread_mutex_unlock(&r->lock);
	return n;
}

struct sw_source *sw_ready_next(struct sw_ready *r)
{
	struct sw_source *s;

	pthread_mutex_lock(&r->lock);
	s = TAILQ_FIRST(&r->list);
	if (s)
		take_off(s);
	pthread_mutex_unlock(&r->lock);
	return s;
}

void sw_ready_end(struct sw_ready *r)
{
	pthread_mutex_lock(&r->lock);
	if (r->n > 0)
		signal_owner(r);
	pthread_mutex_unlock(&r->lock);
}
