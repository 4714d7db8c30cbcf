/* How the swarm stands, and waiting until it does. */
#include "net/swarm_internal.h"

#include <stdlib.h>
#include <time.h>

const char *sw_peer_state_name(enum sw_peer_state state)
{
	static const char *const names[] = {"connecting", "handshake", "joining",
					    "syncing",	  "in-sync",   "backoff",
					    "remembered"};

	return names[state];
}

static bool some_up(const struct sw_swarm *s)
{
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->is_up)
			return true;
	return false;
}

int sw_swarm_wait_synced(struct sw_swarm *s, unsigned timeout_ms)
{
	uint64_t end = sw_swarm_now(s) + timeout_ms, have = 0, want = 0;
	struct sw_sync_counters n;
	int rc = SW_EAGAIN;

	pthread_mutex_lock(&s->lock);
	while (rc == SW_EAGAIN && sw_swarm_now(s) < end) {
		struct timespec until;

		if (sw_sync_is_synced(s->sync, &have, &want)) {
			rc = 0;
			break;
		}
		if (sw_sync_refusal(s->sync)) {
			rc = sw_fail(SW_EDENIED, "joining was refused: %s", sw_sync_refusal(s->sync));
			break;
		}
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&s->stepped, &s->lock, &until);
	}
	if (rc == SW_EAGAIN) {
		const char *why = s->n_endpoints && s->endpoints[0]->status.last_error[0] ? s->endpoints[0]->status.last_error
										    : "it does not answer";

		if (some_up(s))
			why = "one answers, but has not sent everything yet";
		sw_sync_counters(s->sync, &n);
		if (n.n_freed > 0)
			why = "one answers, but has freed old history by gc; a peer that keeps all of it is needed";
		rc = sw_fail(SW_EAGAIN, "no peer could be reached in time (%s)", why);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void sw_swarm_status_fini(struct sw_swarm_status *status)
{
	free(status->peers);
	*status = (struct sw_swarm_status){0};
}

/* A peer that we would dial, had it not dialled us, is shown once; one that was forgotten not at all. */
static void leave_out(const struct sw_swarm *s, struct sw_swarm_status *out)
{
	size_t n = 0;

	for (size_t i = 0; i < out->n_peers; i++) {
		const struct endpoint *e = i < s->n_endpoints ? s->endpoints[i] : NULL;

		if (e && (e->is_forgotten || (!e->connected && sw_endpoint_is_reached(s, e))))
			continue;
		if (n != i)
			out->peers[n] = out->peers[i];
		n++;
	}
	out->n_peers = n;
}

static void fill_status(struct sw_swarm *s, struct sw_swarm_status *out)
{
	uint64_t now = sw_swarm_now(s);
	struct sw_sync_counters n;

	sw_sync_counters(s->sync, &n);
	out->n_held = n.n_held;
	out->reaches_down = n.reaches_down;
	out->down = n.down;
	out->n_refused = n.n_refused;
	out->n_batches = n.n_batches;
	out->commits_in = n.commits_in;
	out->clock_ms = n.clock_ms;
	out->is_pending = sw_sync_is_pending(s->sync);
	out->n_requests = n.n_requests;
	out->bytes_in = s->bytes_in;
	out->bytes_out = s->bytes_out;
	for (size_t i = 0; i < s->n_endpoints; i++)
		out->peers[out->n_peers++] = s->endpoints[i]->status;
	for (struct conn *c = s->conns; c; c = c->next) {
		struct sw_peer_status *st = c->endpoint ? &out->peers[c->endpoint->cookie] : &out->peers[out->n_peers++];

		*st = *sw_conn_status(c);
		out->n_connected += sw_sync_peer_status(s->sync, c->id, now, st);
	}
	leave_out(s, out);
}

int sw_swarm_status(struct sw_swarm *s, struct sw_swarm_status *out)
{
	size_t n;

	*out = (struct sw_swarm_status){0};
	pthread_mutex_lock(&s->lock);
	n = s->n_endpoints;
	for (const struct conn *c = s->conns; c; c = c->next)
		n++;
	out->peers = calloc(n + 1, sizeof(*out->peers));
	if (out->peers)
		fill_status(s, out);
	pthread_mutex_unlock(&s->lock);
	return out->peers ? 0 : SW_ENOMEM;
}
