/*
 * A clone whose first synchronisation is not over: its store has a file named `arriving`. So
 * whoever opens it after an interruption knows that what comes is not news, and waits for it.
 */
#ifndef SW_FS_ARRIVAL_H
#define SW_FS_ARRIVAL_H

#include <stdbool.h>

#include "core/err.h"

/* The store is new, and waits for its database. Durable, as is the end. */
int sw_arrival_begin(const char *store) SW_MUST_CHECK;
bool sw_arrival_is_pending(const char *store);
/* All of it is here. Fine if it never began. */
int sw_arrival_end(const char *store) SW_MUST_CHECK;

#endif
