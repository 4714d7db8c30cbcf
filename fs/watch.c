#include "fs/watch.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

void sw_watches_init(struct sw_watches *all)
{
	pthread_mutex_init(&all->lock, NULL);
	all->first = NULL;
}

void sw_watches_fini(struct sw_watches *all)
{
	assert(!all->first);
	pthread_mutex_destroy(&all->lock);
}

int sw_watch_add(struct sw_watches *all, struct sw_watch *w)
{
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0)
		return sw_fail_errno("cannot make an event");
	pthread_mutex_lock(&all->lock);
	w->next = all->first;
	all->first = w;
	pthread_mutex_unlock(&all->lock);
	return 0;
}

void sw_watch_remove(struct sw_watches *all, struct sw_watch *w)
{
	struct sw_watch **p;

	pthread_mutex_lock(&all->lock);
	for (p = &all->first; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	pthread_mutex_unlock(&all->lock);
	close(w->fd);
}

void sw_watches_wake(struct sw_watches *all)
{
	pthread_mutex_lock(&all->lock);
	for (struct sw_watch *w = all->first; w; w = w->next)
		if (eventfd_write(w->fd, 1) < 0) {
			/* It was woken often enough and has not looked yet. */
		}
	pthread_mutex_unlock(&all->lock);
}
