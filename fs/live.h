/*
 * What `mount`, `serve` and `clone` share: finding or making the store, and becoming its owner.
 */
#ifndef SW_FS_LIVE_H
#define SW_FS_LIVE_H

#include "fs/cmd.h"
#include "fs/daemon.h"

/* The options that they share, for their tables. */
#define SW_LIVE_OPTIONS                                                                            \
	{"listen", 'l', "URL", "accept peers at tcp://HOST:PORT (port 0: any free one) or ipc:///PATH"}, \
	    {"peer", 'p', "URL|TICKET", "keep in step with that peer; a ticket also lets this one in"},  \
	    {"no-peers", 0, NULL, "do not dial the peers that the store remembers, this time"},          \
	    {"advertise", 0, "URL", "the address to write into tickets, instead of those listened on"},  \
	    {"settle", 0, "MS", "quiet time of a row before it is committed (default 100)"},             \
	    {"conflict", 0, "merge|drop", "make a new database with that mode; see 'swarmfs init --help'"}, \
	    {"on-conflict", 0, "PROGRAM", "run PROGRAM TABLE ROW COMMIT for each new conflict"},          \
	    {"log-level", 0, "error|warning|info|debug", "what is logged (default info)"}, {              \
		"foreground", 'f', NULL, "stay in the foreground and log to the terminal"               \
	}

struct sw_live {
	char *store; /* absolute path */
	const char *conflict_mode; /* asked for, or NULL */
	char *on_conflict; /* absolute path, or a name; NULL: nothing */
	const char *listen[SW_OWNER_URLS_MAX];
	const char *peers[SW_OWNER_URLS_MAX];
	const char *advertise[SW_OWNER_URLS_MAX];
	struct sw_owner_options options;
	struct sw_owner *owner;
	struct sw_daemon daemon;
	int service_fd; /* to a service manager, or -1 */
	FILE *progress; /* a terminal, to show how a clone goes; or NULL */
	FILE *said;	/* where it is told that an admin has to decide; or NULL */
	uint64_t timeout_ms; /* after which that is waited for no longer; 0: none */
};

/* Look at the shared options: 0, or an exit code after saying what is wrong. */
int sw_live_check(struct sw_ctx *ctx, const struct sw_args *args);
/* To serve that store, in this process and without any address. Threads have not started yet. */
int sw_live_init(struct sw_live *live, const char *store) SW_MUST_CHECK;
/* The same with the shared options of a command line, and fork unless -f. In the parent this does not return. */
int sw_live_begin(struct sw_live *live, const struct sw_args *args, const char *store) SW_MUST_CHECK;
/* Open the store; make it when it is missing: a clone when there is a ticket or a join address, else a new database. */
int sw_live_open(struct sw_live *live) SW_MUST_CHECK;
/* Start the owner's threads; wait for the database to arrive if it is not here yet. */
int sw_live_start(struct sw_live *live) SW_MUST_CHECK;
/* All is well: --on-conflict programs may run, the parent may go, and a service manager is told. */
void sw_live_ready(struct sw_live *live);
/* The end begins: stop what runs for others. Twice is fine. */
void sw_live_ending(struct sw_live *live);
/* The same, and stop the owner's threads. Twice is fine. */
void sw_live_stop(struct sw_live *live);
/* Say why it failed, to whoever waits; SW_EXIT_FAILED. */
int sw_live_fail(struct sw_live *live, struct sw_ctx *ctx, int rc);
void sw_live_end(struct sw_live *live);

#endif
