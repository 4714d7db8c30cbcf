/* How an owner and its store stand: what status, peers and metrics tell of, each in its way. */
#ifndef SW_FS_STANDING_H
#define SW_FS_STANDING_H

#include "fs/owner.h"
#include "fs/settled_text.h"
#include "net/swarm.h"

/* Everything at one moment. */
struct sw_standing {
	struct sw_head head;
	int role;
	uint64_t used, file;
	uint64_t resident;
	uint64_t n_conflicts; /* open */
	struct sw_standing_settled settled;
	bool has_horizon; /* gc has freed content up to there */
	struct sw_order horizon;
	struct sw_work_status work;
	struct sw_swarm_status swarm;
	const char *const *listen;
	size_t n_listen;
};

/* Any thread. Whatever it returns, fini frees. */
int sw_standing_look(struct sw_owner *o, struct sw_standing *out) SW_MUST_CHECK;
void sw_standing_fini(struct sw_standing *s);

#endif
