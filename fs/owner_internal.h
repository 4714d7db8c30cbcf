/* What the files of the owner share. */
#ifndef SW_FS_OWNER_INTERNAL_H
#define SW_FS_OWNER_INTERNAL_H

#include "fs/owner.h"

/* The thread that commits rows whose quiet time is over. NULL is fine to stop. */
int sw_committer_start(struct sw_owner *o, struct sw_committer **out) SW_MUST_CHECK;
void sw_committer_stop(struct sw_committer *c);

int sw_owner_swarm_start(struct sw_owner *o) SW_MUST_CHECK;
void sw_owner_swarm_stop(struct sw_owner *o);
void sw_owner_swarm_kick(struct sw_owner *o);

#endif
