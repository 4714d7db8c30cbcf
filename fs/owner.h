/*
 * The process that owns a store: what it has open, and the threads that serve it.
 *
 * A mount, `swarmfs serve`, and a command that found no owner all hold one. The last kind opens it, does its
 * work on the calling thread and closes it. The first two also start it: the committer then commits
 * rows when their quiet time is over, the swarm talks to peers, and the control socket (fs/control.h)
 * runs the commands of other processes here. Threads do not survive fork(), so a daemon forks first.
 */
#ifndef SW_FS_OWNER_H
#define SW_FS_OWNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/breaches.h"
#include "core/copies.h"
#include "fs/watch.h"

#define SW_OWNER_URLS_MAX 64
/* How long a store that is in use is waited for: a short command of somebody else, or an owner that comes or goes. */
#define SW_OWNER_BUSY_MS      3000
#define SW_OWNER_BUSY_STEP_MS 20

/* What the mount wants to hear of changes: see struct sw_listener, whose member it is. */
struct sw_owner_hook {
	void *arg;
	void (*changed)(void *arg, const struct sw_changes *changes, const struct sw_head *head,
			bool by_others);
	void (*freed)(void *arg); /* gc has freed old states; may be NULL */
	/* Wait until what has changed so far shows; after each command of another process. May be NULL. */
	void (*wait_shown)(void *arg);
	/* Give up snapshots from before that were only looked at; waits a little for the kernel. May be NULL. */
	void (*let_go)(void *arg, uint64_t before_ms);
	void (*diverged)(void *arg, const struct sw_divergence *divergence); /* may be NULL */
	sw_breach_fn breach; /* with a lock held that status wants; may be NULL */
};

struct sw_owner_options {
	bool has_work;		     /* open the working set and the working copies, and with them the journals */
	struct sw_work_options work; /* settle times */
	const char *mount_point;     /* NULL: none */
	const char *const *listen;   /* addresses to listen on */
	size_t n_listen;
	const char *const *peers; /* addresses, tickets and join addresses */
	size_t n_peers;
	const char *text; /* said where a join address leads, or NULL */
	const char *const *advertise; /* addresses for tickets, instead of those listened on */
	size_t n_advertise;
	const char *on_conflict; /* a program to run for each new conflict (fs/on_conflict.h), or NULL */
	bool is_arriving; /* what comes first is no news: until sw_owner_arrived() */
	bool has_swarm; /* start the swarm even without addresses */
	bool dials_known; /* also the peers that the store remembers */
};

struct sw_control;
struct sw_swarm;
struct sw_committer;
struct sw_on_conflict;

struct sw_owner {
	struct sw_db *db;
	struct sw_work *work;	/* NULL unless asked for */
	struct sw_copies *copies; /* the same */
	struct sw_breaches *breaches; /* NULL unless it was started, and has those */
	pthread_mutex_t swarm_lock; /* so that no commit kicks a swarm that is being stopped */
	struct sw_swarm *swarm;     /* NULL unless started with one; set and cleared under swarm_lock */
	struct sw_control *control;
	char *mount_point; /* NULL: none */
	bool is_serving; /* sw_owner_start() was called: other processes' commands come here */
	uint64_t started_ms; /* wall clock */

	struct sw_watches watches; /* who waits for commits */
	struct sw_owner_hook hook; /* set before sw_owner_start(), or never */
	_Atomic uint64_t n_diverged;
	_Atomic int role; /* of its key, as it was told last */
	pthread_mutex_t divergence_lock;
	char divergence[1024]; /* what the last one was; "": there was none. Under divergence_lock */
	/* Conflict records that came since it was opened, and that somebody resolved. */
	_Atomic uint64_t n_conflicts, n_resolved;
	struct sw_on_conflict *on_conflict; /* NULL: nothing to run */
	atomic_bool has_arrived;	    /* the database is here: what comes from now on is news */

	struct sw_committer *committer;
	bool has_stopped, has_stopped_programs;
	bool is_idle; /* no command ran any more when it stopped */
	struct sw_owner_options options;
};

/* Open the store in dir, or make it. Nothing runs yet. dir is absolute. */
int sw_owner_open(const char *dir, const struct sw_owner_options *options, struct sw_owner **out) SW_MUST_CHECK;
/* The same with a database that was just made; takes it over, also on failure. */
int sw_owner_open_db(struct sw_db *db, const struct sw_owner_options *options,
		     struct sw_owner **out) SW_MUST_CHECK;

/* Start the committer, the swarm if there is one, and the control socket. All or nothing. */
int sw_owner_start(struct sw_owner *o) SW_MUST_CHECK;
/* A database that had to arrive first is here. */
void sw_owner_arrived(struct sw_owner *o);
/* Append the sentence about the last divergence; nothing if there was none. Any thread. */
void sw_owner_divergence(struct sw_owner *o, struct sw_buf *out);
/* Let the swarm sign a watermark soon: somebody waits until what is here is settled. */
void sw_owner_sign(struct sw_owner *o);
/*
 * Only what runs for others: commands, and --on-conflict programs. They may wait for the mount, so this comes before it answers
 * no more.
 */
void sw_owner_stop_programs(struct sw_owner *o);
/* Stop what was started; what is open stays so until sw_owner_close(). */
void sw_owner_stop(struct sw_owner *o);
/*
 * Stop what was started, commit what is whole and close, in bounded time: a command that still runs after
 * some seconds keeps the store open until the process ends, which must then be soon.
 */
void sw_owner_close(struct sw_owner *o);

#endif
