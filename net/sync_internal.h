/* What the files of the engine share. */
#ifndef SW_NET_SYNC_INTERNAL_H
#define SW_NET_SYNC_INTERNAL_H

#include "net/message.h"
#include "net/sync.h"

#define SPANS_MAX 32
#define BANS_MAX  64
#define HELD_MAX  256
#define REMOVED_REASON "its key was removed from the database"
#define OUT_BYTES_MAX ((uint64_t)64 << 20) /* of commits that nothing stands on, of one key, before it is not listened to */

enum phase {
	PHASE_AWAIT_JOIN, /* a stranger who dialled us: may present a ticket or ask, nothing else */
	PHASE_JOINING,	  /* we presented ours, or asked without one, or our inviter has dialled us */
	PHASE_PENDING,	  /* one of us, who dialled, has asked the other to be let in, and an admin has to decide */
	PHASE_MEMBER,
	PHASE_REMOVED, /* its key was revoked: it is told so, and what led to that, and nothing else */
};

/* Local numbers, first to last. */
struct span {
	uint64_t first, last;
};

/* What we serve a peer: the commits that it lacks, parents first, by local number. */
struct serving {
	uint64_t turn;	  /* of its PULL */
	bool has_begun;	  /* there was one, and its answer was not FREED */
	bool waiting;	  /* a request stands: answer when there is something */
	bool catching_up; /* until a batch was the last one */
	uint64_t *v;	  /* what it lacked when it asked, ascending */
	size_t n, at;
	uint64_t upto; /* apart from v, it has or was sent everything up to this number */
	struct span spans[SPANS_MAX]; /* and these beyond it; ascending, apart */
	size_t n_spans;
	size_t n_unacked; /* commits of the batch that it has not answered yet */
	uint64_t hearsay; /* the last number, when all that it lacks was only to be told of; 0: not so */
};

/* What a peer makes us do by asking anew, which costs it nothing. */
struct effort {
	uint64_t steps;	  /* not paid off yet: commits looked at, and bytes sent at once */
	uint64_t paid_ms; /* when some were paid off last */
	bool has_pull;	  /* its last PULL waits until they are */
	uint64_t turn;
	size_t n_known;
	struct sw_hash known[SW_MESSAGE_KNOWN_MAX];
};

/* What we pull from a peer: commits that came, those below `at` taken, and the records that they wait for. */
struct pulling {
	uint64_t turn;	   /* of our PULL; answers to earlier ones are of no interest */
	bool asked;	   /* a request of ours stands there */
	bool postponed;	   /* it has something for us, but another peer is sending in bulk */
	uint64_t asked_ms; /* since when */
	uint64_t again_ms; /* ask again then; 0: not planned */
	unsigned n_vain;   /* requests made anew in a row that brought nothing */
	uint64_t probe;	   /* a PING that asks whether the request was overlooked; 0: none */
	bool more;
	struct sw_buf body; /* unpacked commits */
	struct sw_buf raw;  /* their headers, rebuilt */
	struct sw_incoming *v;
	size_t n, at;
	size_t end; /* those from at to here have all their records, or wait for them */
	bool early; /* one of the batch could not be taken yet */
	bool unproven; /* one of the batch only together with what follows it */
	bool whole; /* the next batch is to be taken in one piece */
	struct sw_hash freed[SW_MESSAGE_TIPS_MAX]; /* it has freed the content of these, and of what is below them */
	size_t n_freed;
	bool waits; /* some of them are not here: there is no use in asking it for more */
	struct sw_nodes *records; /* indexes */
	struct sw_nodes *data;	  /* the rest, until it is much: then it goes to the store */
	uint64_t allowed; /* bytes of records that these commits can need */
	struct sw_hash *wants; /* a stack, so that a tree is fetched in depth */
	size_t n_wants, cap_wants;
	struct sw_hash requested[SW_MESSAGE_WANT_MAX]; /* in the WANT that stands */
	size_t n_requested;
};

/* Looking for where a peer's tree differs from ours. Once in a connection. */
struct looking {
	bool has_begun, is_active;
	struct sw_divergence found; /* as far as is known */
	struct sw_head ours, theirs;
	struct sw_nodes *nodes; /* of its trees */
	struct sw_hash wanted;	/* the node that it was asked for */
	uint64_t since_ms;
	unsigned n_asked;
};

struct peer {
	struct peer *next;
	uint64_t id;
	struct sw_key key;
	enum phase phase;
	bool dialled;
	bool asks;    /* we dialled it to ask to be let in */
	bool dropped; /* gone: freed at the end of the step */
	uint64_t since_ms, heard_ms, pinged_ms, told_ms;
	bool awaits_pong;
	uint64_t n_pings; /* the number of the last is its nonce */
	uint64_t rtt_us;
	uint64_t commits_in, commits_out;
	uint64_t bytes_served; /* of bodies of COMMITS */
	char software[64]; /* as it told, made fit to show */
	struct sw_head head; /* as it told */
	bool has_head;
	struct sw_hash tips[SW_MESSAGE_TIPS_MAX];
	size_t n_tips;
	bool lacks; /* we lack one of them */
	struct looking looking;
	unsigned n_looks; /* nodes that it asked for */
	bool has_clock;
	unsigned n_clock_off; /* times in a row that it was far from the time */
	int64_t clock_ms; /* its clock, ahead of ours by so much */
	uint64_t watermarks_after; /* it was sent all watermarks up to this number, or had sent them */
	uint64_t pulls_since_ms; /* it has made n_pulls since then */
	unsigned n_pulls;
	struct sw_head told; /* ours, as we told it */
	uint64_t behind_ms;  /* since when the two differ, as far as is known; 0: they do not */
	struct effort effort;
	struct sw_hash *wants; /* of a WANT that does not fit its queue now */
	size_t n_wants;
	struct serving serve;
	uint64_t full_ms; /* when its queue had no room for commits; 0: it may have */
	struct pulling pull;
};

/* A key that sent what no honest peer sends, or not so much of it. */
struct ban {
	struct sw_key key;
	uint64_t until_ms;
	uint64_t wait_ms;   /* doubles */
	uint64_t out_bytes; /* of commits that it sent since then and that are not in the line, over whatever connections */
};

/* A commit stamped too far ahead. */
struct held {
	struct sw_hash id;
	uint64_t seen_ms; /* offered last; 0: free */
};

/* A watermark that came, and is not stored yet. */
struct arrived {
	struct sw_key author;
	uint64_t stamp;
	uint64_t from; /* peer */
	struct sw_buf bytes;
};

struct watermarks {
	struct arrived *v; /* one per author */
	size_t n, cap;
	bool is_news; /* some were not offered to the database yet */
	struct sw_head offered_at; /* our head when they were offered last: another one may have what they tell of */
	struct sw_head signed_at;  /* our head when we signed last */
	uint64_t signed_ms;
	uint64_t sign_ms; /* sign then; 0: not planned */
};

struct sw_sync {
	struct sw_db *db;
	struct sw_sync_hooks hooks;
	struct peer *peers;
	struct peer *bulk;    /* the one we pull more than a batch from; others wait */
	uint64_t bulk_ms;     /* when it sent something last */
	uint64_t bulk_since_ms;
	size_t n_members;     /* peers that are past joining */
	uint64_t complained_ms; /* of a failure of our own, last */
	bool moved;	      /* commits were taken in this step: the others are told at its end */
	int64_t clock_ms;      /* the median of the clocks, ahead of ours by so much */
	size_t n_clocks;       /* ours among them */
	bool said_clock;
	uint64_t ticked_ms; /* last */
	struct sw_stage *stage; /* records of large rows that came before their commits; NULL: none */
	uint64_t staged_until_ms; /* then they go, unless somebody sends more */
	uint64_t renew_ms;  /* no sooner it is tried again to replace the key */
	struct sw_key inviter; /* of the ticket that we dialled with last */
	bool has_inviter;
	struct ban bans[BANS_MAX];
	struct held held[HELD_MAX];
	struct held down; /* needs what gc has freed here */
	struct watermarks watermarks;
	struct sw_sync_counters counters;
	struct sw_swarm_timers timers;
	struct sw_head seen; /* ours, as all were told */
	struct sw_hash members; /* root of the table of members that the peers were compared with */
	bool synced_once;
	char refusal[SW_MESSAGE_TEXT_MAX + 1];
	struct sw_requests requests; /* to be let in here */
	uint8_t text[SW_REQUEST_TEXT_MAX]; /* what we say when we ask */
	size_t n_text;
	struct sw_message message; /* large: kept here */
};

void sw_sync_drop(struct sw_sync *s, struct peer *p, const char *reason, bool say_bye);
/* Send; drops the peer on anything but SW_EAGAIN. 0, SW_EAGAIN, or SW_ECLOSED when it was dropped. */
int sw_sync_send(struct sw_sync *s, struct peer *p, struct sw_buf *message) SW_MUST_CHECK;

/* The end of every step: the others are told what was taken, and peers that were dropped are freed. */
void sw_sync_settle(struct sw_sync *s, uint64_t now_ms);
void sw_sync_handle_join(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
/* Its role in the newest state; 0: none, or it cannot be read. */
int sw_sync_role(struct sw_sync *s, const struct sw_key *key);
/* Greet it, and begin to pull. It may be dropped. */
void sw_sync_become_member(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* Asking to be let in without a ticket: what we send, and what is sent to us. */
void sw_ask_send(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_ask_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
/* Members have changed: whoever has asked, and is one now, is treated so. */
void sw_ask_review(struct sw_sync *s, uint64_t now_ms);
/* The one who has asked asks again now and then, which shows that both live. */
void sw_ask_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* It has asked, too often, within a second. */
bool sw_sync_asks_too_often(struct peer *p, uint64_t now_ms);
void sw_sync_handle_joined(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
/* What a peer's clock showed age_ms ago. */
void sw_sync_note_clock(struct sw_sync *s, struct peer *p, uint64_t wall_ms, uint64_t age_ms);
/* Take another key, since somebody else has ours. False: not now; tried again by the tick if it must be. */
bool sw_sync_renew_key(struct sw_sync *s, uint64_t now_ms);
/* When a member has all that is here, it has what let our new key in: the old one is not needed any more to meet others. */
void sw_sync_note_key(struct sw_sync *s, const struct peer *p, uint64_t now_ms);
/* Own commits that are not sent to those who are connected, at most. */
uint64_t sw_sync_count_withheld(struct sw_sync *s);
/* Which own commits may be sent, as the clocks are now. */
void sw_sync_release(struct sw_sync *s, uint64_t now_ms);
/* A failure of our own, in the log now and then. */
void sw_sync_complain(struct sw_sync *s, const char *what, int rc, uint64_t now_ms);
/* Some clocks have gone with their peers. */
void sw_sync_clocks(struct sw_sync *s);
/* Send a PING; its nonce, or 0 when it could not be sent now. */
uint64_t sw_sync_ping(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* Whoever was a member, and is none any more, is told so. */
void sw_sync_review(struct sw_sync *s, uint64_t now_ms);
/* Drop a peer for what it sent, and do not believe it for a while. */
void sw_sync_distrust(struct sw_sync *s, struct peer *p, const char *reason);
/* It sent so many bytes that stay outside the line: an honest peer does, but not for ever. */
void sw_sync_note_out(struct sw_sync *s, struct peer *p, uint64_t bytes);
void sw_sync_tell_head(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* A commit could not be taken for its stamp. */
void sw_sync_hold(struct sw_sync *s, const struct sw_hash *id, uint64_t now_ms);

/* Serving */
void sw_serve_pull(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
void sw_serve_more(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
void sw_serve_continue(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_serve_records(struct sw_sync *s, struct peer *p, const struct sw_hash *v, size_t n);
/* Its queue has room again: what waits to be answered. */
void sw_serve_records_again(struct sw_sync *s, struct peer *p);
/* A PULL that waited for its turn. */
void sw_serve_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* The peer has these: it sent them. */
void sw_serve_note_taken(struct sw_sync *s, struct peer *p, const struct sw_incoming *v, size_t n);
/* The peer has its tips, or all that we have; *lacks: we do not have all of them. */
void sw_serve_note_tips(struct sw_sync *s, struct peer *p, const struct sw_head *ours, bool *lacks);
/* Commits that it is not known to have stored. */
uint64_t sw_serve_lag(const struct sw_sync *s, const struct peer *p);
/* Look again at the numbers from this one on: what was passed over may be sent now. */
void sw_serve_again(struct peer *p, uint64_t first);
/* From now on the peer is sent the revocations of its key, and what is below them. False: it was never revoked. */
bool sw_serve_removed(struct sw_sync *s, struct peer *p);
void sw_serve_fini(struct peer *p);

/* Pulling */
void sw_pull_start(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_pull_commits(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
/* A PONG came: everything that the peer sent before it has been handled. */
void sw_pull_note_pong(struct sw_sync *s, struct peer *p, uint64_t nonce, uint64_t now_ms);
void sw_pull_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* p sends in bulk no longer: whoever was put off for it is asked now. */
void sw_pull_end_bulk(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* Records came: go on, with less in memory if there is much. */
void sw_pull_records_came(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* Take what is complete, ask for what is not; p may be dropped. */
void sw_pull_go_on(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_pull_fini(struct peer *p);

/* What gc has freed */
/* Of what a peer lacks, the commits that cannot be sent, and that none of these stands on: at most SW_MESSAGE_TIPS_MAX. */
int sw_freed_find(const struct sw_reader *r, const struct serving *s, struct sw_hash *ids, size_t *n,
		  uint64_t *steps) SW_MUST_CHECK;
/* A peer says so. */
void sw_freed_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
/* Whether that is how it is still. */
bool sw_freed_waits(struct sw_sync *s, struct peer *p, uint64_t now_ms);
/* A commit came that cannot be taken, since it needs what gc has freed here. */
void sw_sync_reaches_down(struct sw_sync *s, const struct sw_hash *id, uint64_t now_ms);
void sw_freed_tick(struct sw_sync *s, uint64_t now_ms);

/* Divergence */
/* It has told its head: of the same commits, does it have the same roots? */
void sw_diverged_compare(struct sw_sync *s, struct peer *p, uint64_t now_ms);
void sw_diverged_serve(struct sw_sync *s, struct peer *p, const struct sw_hash *node);
void sw_diverged_take(struct sw_sync *s, struct peer *p, const struct sw_message *m);
void sw_diverged_tick(struct peer *p, uint64_t now_ms);
void sw_diverged_fini(struct peer *p);

/* Watermarks */
void sw_watermarks_receive(struct sw_sync *s, struct peer *p, const struct sw_message *m);
/* Sign, take and pass on. Peers may be dropped. */
void sw_watermarks_tick(struct sw_sync *s, uint64_t now_ms);
void sw_watermarks_fini(struct sw_sync *s);

/* Records of large rows */
/* Want what the commits from pull.at on lack, as many as fit a window; sets pull.end. */
int sw_records_scan(struct sw_sync *s, struct pulling *pull) SW_MUST_CHECK;
/* Ask for the next ones; false: there are none. */
bool sw_records_ask(struct sw_sync *s, struct peer *p);
void sw_records_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms);
void sw_records_fini(struct pulling *pull);
/* Keep what has come in the store, for the next try. */
int sw_records_stage(struct sw_sync *s, struct pulling *pull, uint64_t now_ms) SW_MUST_CHECK;
/* What was kept in vain, or is needed no longer, goes. */
void sw_records_tick(struct sw_sync *s, uint64_t now_ms);

#endif
