/*
 * Ordered byte streams to other peers over tcp:// and ipc://, with everything delivered on the
 * caller's thread. The library below has threads of its own; they only note what happened and make
 * a file descriptor readable. The thread that owns the transport waits for that descriptor and
 * calls sw_transport_poll(), which calls the handler. All functions here belong to that one thread.
 *
 * Connections are numbers, never pointers, and no number is used twice; calls that name one which
 * is closed say so or do nothing. The transport knows no messages, no identities and no retries:
 * those are the session's and the engine's.
 *
 * It starts threads, which do not survive fork(): a daemon forks first. Programs may be executed
 * later. The threads have all signals blocked.
 */
#ifndef SW_NET_TRANSPORT_H
#define SW_NET_TRANSPORT_H

#include "core/buf.h"

#define SW_TRANSPORT_URL_MAX       512 /* bytes of an address with its NUL */
#define SW_TRANSPORT_SOURCE_SIZE   128 /* of where an address is, with its NUL */
#define SW_TRANSPORT_IPC_PATH_MAX  107 /* what a unix socket's name holds */
#define SW_TRANSPORT_DIALS_MAX     256 /* attempts under way at once */
#define SW_TRANSPORT_LISTENERS_MAX 16
#define SW_TRANSPORT_SEND_MAX      (32 * 1024 * 1024) /* the default of send_max */
#define SW_TRANSPORT_RECEIVE_MAX   (64 * 1024)        /* the default of receive_max */
#define SW_TRANSPORT_INBOUND_MAX   256                /* the default of inbound_max */

struct sw_transport;

/* Limits; 0 takes the default. */
struct sw_transport_options {
	size_t send_max;    /* bytes queued to be sent, per connection */
	size_t receive_max; /* bytes received ahead of sw_transport_poll(), per connection */
	size_t inbound_max; /* connections that others dialled; more are closed at once */
};

/*
 * What happens, told from within sw_transport_poll(). A handler may call every function of this
 * header but sw_transport_poll() and sw_transport_free(). All members are set. Texts live for the
 * call.
 */
struct sw_transport_handler {
	/* Somebody dialled us. address is for people: over ipc it is the listener's own. */
	void (*accepted)(void *arg, uint64_t conn, const char *address);
	/* Exactly one of these two ends each sw_transport_dial(). */
	void (*connected)(void *arg, uint64_t conn, uint64_t cookie);
	void (*dial_failed)(void *arg, uint64_t cookie, const char *reason);
	/* bytes live for the call; at most receive_max of them, in the order sent. */
	void (*received)(void *arg, uint64_t conn, struct sw_view bytes);
	/* Some of what was queued has gone to the kernel; queued bytes are left. */
	void (*sent)(void *arg, uint64_t conn, size_t queued);
	/* The other side closed, or the line broke. conn is no longer valid. */
	void (*closed)(void *arg, uint64_t conn, const char *reason);
};

/* SW_ENOMEM, SW_EIO. */
int sw_transport_new(const struct sw_transport_options *options,
		     struct sw_transport **out) SW_MUST_CHECK;
/* Close everything, telling nobody, and stop listening. What is still queued is not sent. */
void sw_transport_free(struct sw_transport *t);
void sw_transport_freep(struct sw_transport **t);

/* Readable when sw_transport_poll() has something to do. For poll() and the like; not to be read.
 */
int sw_transport_fd(const struct sw_transport *t);

/* Tell the handler what has happened, a bounded amount of it; never waits. */
void sw_transport_poll(struct sw_transport *t, const struct sw_transport_handler *handler,
		       void *arg);

/*
 * Listen until the transport is freed. tcp://HOST:PORT, HOST may be * for all addresses and PORT 0
 * for any free one; ipc://PATH, where a dead socket in the way is removed, and nothing else is.
 * bound receives the address with the real port. May wait for a host name to be looked up.
 * Errors, each with a sentence: SW_EINVAL, SW_ETOOLONG, SW_EBUSY (address in use), SW_EEXIST (PATH
 * is not a socket), SW_EDENIED, SW_ELIMIT, SW_ENOMEM, SW_EIO.
 */
int sw_transport_listen(struct sw_transport *t, const char *url,
			char bound[static SW_TRANSPORT_URL_MAX]) SW_MUST_CHECK;

/*
 * Try once to connect, for at most timeout_ms (above 0), name lookup included. The outcome
 * comes with the cookie. SW_EINVAL and SW_ETOOLONG for a bad url, SW_EAGAIN when too many attempts
 * are under way, SW_ENOMEM, SW_EIO: then no outcome follows.
 */
int sw_transport_dial(struct sw_transport *t, const char *url, uint64_t cookie,
		      int timeout_ms) SW_MUST_CHECK;

/*
 * Send a copy of bytes, all or nothing; at once when nothing is queued before it. SW_EAGAIN when
 * they do not fit the queue now (wait for `sent`), SW_ELIMIT when they never will, SW_ECLOSED when
 * the connection is closed or breaking, SW_ENOMEM.
 */
int sw_transport_send(struct sw_transport *t, uint64_t conn, struct sw_view bytes) SW_MUST_CHECK;

/*
 * Stop or go on receiving from one connection, for instance while its answers do not fit the
 * queue. What a paused one sends waits in its own machine; that it closed shows when receiving goes
 * on or sending fails.
 */
void sw_transport_pause(struct sw_transport *t, uint64_t conn, bool paused);

/*
 * Close a connection. No further event names it. What is queued is dropped: to have a last word,
 * wait until `sent` says that 0 bytes are queued.
 */
void sw_transport_close(struct sw_transport *t, uint64_t conn);

/*
 * Where an address is, as far as whoever connects cannot choose it at will: of TCP the host without the port, of IPv6 its network
 * (/64). All of ipc is one source. What is longer is cut. Any thread.
 */
void sw_transport_source(const char *address, char out[static SW_TRANSPORT_SOURCE_SIZE]);

/* Whether an address can be dialled or listened on as far as its form goes. SW_EINVAL and SW_ETOOLONG, with a sentence. */
int sw_address_check(const char *url) SW_MUST_CHECK;

#endif
