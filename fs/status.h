/* How an owner and its store stand: for `swarmfs status`, `swarmfs peers` and the files of .swarm. */
#ifndef SW_FS_STATUS_H
#define SW_FS_STATUS_H

#include "fs/owner.h"

/* One JSON object and a newline, appended to out. Keys are documented in swarmfs status --help. */
int sw_status_json(struct sw_owner *o, struct sw_buf *out) SW_MUST_CHECK;
int sw_status_text(struct sw_owner *o, struct sw_buf *out) SW_MUST_CHECK;
/* One line or one JSON object per peer. */
int sw_peers_text(struct sw_owner *o, struct sw_buf *out) SW_MUST_CHECK;
int sw_peers_json(struct sw_owner *o, struct sw_buf *out) SW_MUST_CHECK;

#endif
