/*
 * What a service manager is told: systemd's notification protocol, which is a datagram of
 * NAME=VALUE lines to the socket that NOTIFY_SOCKET names. Where nobody listens, nothing happens.
 */
#ifndef SW_FS_SERVICE_H
#define SW_FS_SERVICE_H

#include "core/err.h"

/*
 * A descriptor to tell it through, or -1: nobody asked, or it cannot be reached. Takes
 * NOTIFY_SOCKET out of the environment, lest programs that are started speak for this one; so it
 * comes before all threads.
 */
int sw_service_open(void);
/* Lines to say, as in "READY=1\nSTATUS=...". Never blocks. Any thread. */
void sw_service_tell(int fd, const char *format, ...) SW_PRINTF(2, 3);

#endif
