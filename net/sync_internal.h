/* What the files of the engine share. */
#ifndef SW_NET_SYNC_INTERNAL_H
#define SW_NET_SYNC_INTERNAL_H

#include "net/message.h"
#include "net/sync.h"

#define KNOWN_MAX 256

enum phase {
	PHASE_AWAIT_JOIN, /* a stranger who dialled us: may present a ticket, nothing else */
	PHASE_JOINING,	  /* we presented ours */
	PHASE_MEMBER,
};

/* What we serve a peer: the commits that it lacks, parents first. */
struct serving {
	bool waiting; /* a request stands: answer when there is something */
	struct sw_order *v;
	size_t n, at;
	struct sw_hash known[KNOWN_MAX]; /* ids that it has, with all below; a ring once full */
	size_t n_known, next_known;
};

/* What we pull from a peer: commits that came and wait for records of large rows. */
struct pulling {
	bool asked; /* a request of ours stands there */
	bool more;
	uint64_t again_ms; /* ask again then; 0: not planned */
	struct sw_buf body; /* unpacked commits */
	bool staged;
	struct sw_nodes *records;
	struct sw_hash wanted[SW_MESSAGE_WANT_MAX];
	size_t n_wanted;
};

struct peer {
	struct peer *next;
	uint64_t id;
	struct sw_key key;
	enum phase phase;
	bool dialled;
	bool dropped; /* gone: freed at the end of the step */
	uint64_t since_ms, heard_ms, pinged_ms, told_ms;
	uint64_t rtt_us;
	uint64_t commits_in, commits_out;
	char software[64]; /* as it told, made fit to show */
	struct sw_head head; /* as it told */
	bool has_head;
	struct sw_head told; /* ours, as we told it */
	uint64_t behind_ms;  /* since when its head differs from ours; 0: it does not */
	struct serving serve;
	struct pulling pull;
};

struct sw_sync {
	struct sw_db *db;
	struct sw_sync_hooks hooks;
	struct peer *peers;
	struct peer *gone;    /* dropped in this step */
	struct peer *current; /* whose message is being handled; NULL once dropped */
	struct sw_sync_counters counters;
	struct sw_swarm_timers timers;
	uint64_t changed_ms; /* when our head last did */
	bool synced_once;
	char refusal[SW_MESSAGE_TEXT_MAX + 1];
	struct sw_message message; /* large: kept here */
};

void sw_sync_drop(struct sw_sync *s, struct peer *p, const char *reason, bool say_bye);
/* Send; drops the peer on anything but SW_EAGAIN. 0, SW_EAGAIN, or SW_ECLOSED when it was dropped. */
int sw_sync_send(struct sw_sync *s, struct peer *p, struct sw_buf *message) SW_MUST_CHECK;

/* Serving */
void sw_serve_pull(struct sw_sync *s, struct peer *p, const struct sw_hash *known, size_t n);
void sw_serve_more(struct sw_sync *s, struct peer *p);
void sw_serve_continue(struct sw_sync *s, struct peer *p);
void sw_serve_records(struct sw_sync *s, struct peer *p, const struct sw_hash *v, size_t n);
void sw_serve_note_known(struct peer *p, const struct sw_hash *id);
void sw_serve_fini(struct peer *p);

/* Pulling */
void sw_pull_start(struct sw_sync *s, struct peer *p);
void sw_pull_commits(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
void sw_pull_records(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
void sw_pull_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_pull_fini(struct peer *p);

#endif
