/* How an owner and its store stand, for Prometheus: .swarm/metrics. */
#ifndef SW_FS_METRICS_H
#define SW_FS_METRICS_H

#include "fs/owner.h"

/* Append the text exposition format, version 0.0.4. Times are in seconds. Any thread. */
int sw_metrics_text(struct sw_owner *o, struct sw_buf *out) SW_MUST_CHECK;

#endif
