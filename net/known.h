/*
 * The addresses of peers that a store remembers, to dial them again when it is served the next time. They are this store's own affair: no
 * other peer learns of them.
 */
#ifndef SW_NET_KNOWN_H
#define SW_NET_KNOWN_H

#include "core/db.h"

#define SW_KNOWN_MAX 256 /* addresses; with one more the one that was given first goes */

/* Append all to out, each with its length (sw_rd_bytes() of at most SW_SWARM_ADDRESS_SIZE), in the order in which they came. Any thread. */
int sw_known_list(struct sw_db *db, struct sw_buf *out) SW_MUST_CHECK;
/* Durable when it returns 0. One that is there stays where it is. Any thread that is not writing. */
int sw_known_add(struct sw_db *db, const char *address) SW_MUST_CHECK;
/* The same; SW_ENOTFOUND: it is not remembered. */
int sw_known_forget(struct sw_db *db, const char *address) SW_MUST_CHECK;

#endif
