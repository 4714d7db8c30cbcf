/*
 * The control socket STORE/control: commands of other processes run in the owner of the store.
 *
 * Only processes of the same user, or root's, are let in. Each client gets a thread, up to a limit; a
 * client that goes away ends its command at its next output. fs/frame.h has the conversation.
 */
#ifndef SW_FS_CONTROL_H
#define SW_FS_CONTROL_H

#include "fs/cmd.h"
#include "fs/owner.h"

#define SW_CONTROL_CLIENTS_MAX 32
#define SW_CONTROL_ROW_MAX     ((uint64_t)1 << 30) /* bytes of one imported row */

/* Serve the owner's store; a socket that a dead owner left is removed. */
int sw_control_start(struct sw_owner *o, struct sw_control **out) SW_MUST_CHECK;
/* Let nobody in any more, end what runs: false when a command still ran after timeout_ms. */
bool sw_control_stop(struct sw_control *c, uint32_t timeout_ms);

/* Connect to the owner of the store in dir. SW_ENOTFOUND: nobody serves it. pid may be NULL. */
int sw_control_connect(const char *dir, int *fd, int *pid) SW_MUST_CHECK;

/*
 * Whether somebody serves the store in dir, and answers: 0, or SW_EBUSY with a sentence when the process was stopped.
 * SW_ENOTFOUND: nobody. The kernel still connects to a process that was killed and has not ended yet; that one's end is
 * waited for.
 */
int sw_control_ask(const char *dir) SW_MUST_CHECK;

/* A command to run over there. */
struct sw_call {
	int argc;
	char **argv;
	const struct sw_args *args; /* the same, taken apart */
	FILE *out;
	FILE *err;
	bool is_terminal;  /* err */
	bool shows_output; /* out is one */
};

/* Run it: its exit code, or a negative SW_E*. Closes fd. */
int sw_control_call(int fd, const struct sw_call *call);

/*
 * Who unmounts: let no --on-conflict program run over there, as long as *fd is open; those that run are ended by the time it
 * returns. SW_ENOTFOUND: nobody serves the store.
 */
int sw_control_quiet(const char *dir, int *fd) SW_MUST_CHECK;

/* For tests: serve one client on fd, which is closed. */
void sw_control_serve(struct sw_owner *o, int fd);

#endif
