/*
 * Swarms ready to use, on tests/lib/net.h, and what tests of the sync engine do with them. All rows
 * are of table "t".
 */
#ifndef TESTS_LIB_NET_SWARM_H
#define TESTS_LIB_NET_SWARM_H

#include "core/log.h"
#include "tests/lib/net.h"

/* Warnings and errors that engines logged: how many, and the last; set net_log_sink() to gather
 * them. */
extern size_t net_log_lines;
extern char net_last_log[1024];
void net_log_sink(enum sw_log_level level, const char *line);

/* Node 0 makes the database, n - 1 others join it by these tickets; the network is connected by the
 * caller. */
extern struct sw_ticket net_tickets[NET_NODES_MAX];
void net_make_swarm(struct net *net, size_t n, uint64_t seed);
/* The same, and each is connected to the one before it; or each to each. */
void net_make_chain(struct net *net, size_t n, uint64_t seed);
void net_make_mesh(struct net *net, size_t n, uint64_t seed);

/* One commit at a node: a row with this text, or of so many random bytes. */
void net_put(struct net *net, size_t at, const char *key, const char *text);
void net_put_large(struct net *net, size_t at, const char *key, size_t size);

void net_assert_row(struct net *net, size_t at, const char *key, const char *text);
/* Every store whose engine runs is sound. */
void net_verify_all(struct net *net);

/* A grant or a revocation, by a node. */
void net_govern_key(struct net *net, size_t by, enum sw_op_kind kind, const struct sw_key *key, enum sw_role role);
void net_govern(struct net *net, size_t by, enum sw_op_kind kind, size_t whom, enum sw_role role);
/* From now on that member may only read. */
void net_make_reader(struct net *net, size_t by, size_t member);

#endif
