/*
 * Who waits for commits: an eventfd each, written when something has been committed or received. What it was is for the
 * waiting side to look up, by the numbers of commits, so that nothing is queued and nothing is missed.
 */
#ifndef SW_FS_WATCH_H
#define SW_FS_WATCH_H

#include <pthread.h>

#include "core/err.h"

struct sw_watch {
	int fd; /* readable after a change */
	struct sw_watch *next;
};

struct sw_watches {
	pthread_mutex_t lock;
	struct sw_watch *first; /* under lock */
};

void sw_watches_init(struct sw_watches *all);
void sw_watches_fini(struct sw_watches *all); /* none is left */
/* Any thread; w stays where it is until it is removed. */
int sw_watch_add(struct sw_watches *all, struct sw_watch *w) SW_MUST_CHECK;
void sw_watch_remove(struct sw_watches *all, struct sw_watch *w);
/* Never waits. */
void sw_watches_wake(struct sw_watches *all);

#endif
