/* Where fs/ meets net/. */
#include "fs/owner_internal.h"

#include "net/swarm.h"

int sw_owner_swarm_start(struct sw_owner *o)
{
	const struct sw_owner_options *from = &o->options;
	struct sw_swarm_options options = {.listen = from->listen,
					   .n_listen = from->n_listen,
					   .peers = from->peers,
					   .n_peers = from->n_peers,
					   .text = from->text,
					   .advertise = from->advertise,
					   .n_advertise = from->n_advertise,
					   .dials_known = from->dials_known};
	int rc;

	if (!from->has_swarm && from->n_listen == 0 && from->n_peers == 0)
		return 0;
	/* The swarm's own thread waits here with its first commits, no longer. */
	pthread_mutex_lock(&o->swarm_lock);
	rc = sw_swarm_start(o->db, &options, &o->swarm);
	pthread_mutex_unlock(&o->swarm_lock);
	return rc;
}

void sw_owner_swarm_stop(struct sw_owner *o)
{
	struct sw_swarm *s;

	pthread_mutex_lock(&o->swarm_lock);
	s = SW_TAKE(o->swarm);
	pthread_mutex_unlock(&o->swarm_lock);
	sw_swarm_stop(s);
}

void sw_owner_sign(struct sw_owner *o)
{
	pthread_mutex_lock(&o->swarm_lock);
	sw_swarm_sign(o->swarm);
	pthread_mutex_unlock(&o->swarm_lock);
}

void sw_owner_swarm_kick(struct sw_owner *o)
{
	pthread_mutex_lock(&o->swarm_lock);
	sw_swarm_kick(o->swarm);
	pthread_mutex_unlock(&o->swarm_lock);
}
