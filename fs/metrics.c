#include "fs/metrics.h"

#include "fs/standing.h"

static void put_head(struct sw_buf *out, const char *name, const char *type, const char *help)
{
	sw_buf_printf(out, "# HELP swarmfs_%s %s\n# TYPE swarmfs_%s %s\n", name, help, name, type);
}

static void put(struct sw_buf *out, const char *name, const char *type, const char *help,
		double value)
{
	put_head(out, name, type, help);
	sw_buf_printf(out, "swarmfs_%s %.15g\n", name, value);
}

static void put_store(const struct sw_owner *o, const struct sw_standing *s, struct sw_buf *out)
{
	put(out, "commits", "gauge", "Commits in the history of this store.",
	    (double)s->head.count);
	put(out, "settled_commits", "gauge", "Commits before which none can come any more.",
	    (double)s->settled.settled.count);
	put(out, "pending_rows", "gauge", "Rows that are written and not committed yet.",
	    (double)s->work.n_edits);
	put(out, "failing", "gauge",
	    "Whether the last commit failed; it is tried again every second.",
	    s->work.error[0] != '\0');
	put(out, "conflicts", "gauge", "Conflicts that nobody has resolved.",
	    (double)s->n_conflicts);
	put(out, "conflicts_added_total", "counter", "Conflicts that came since the start.",
	    (double)o->n_conflicts);
	put(out, "conflicts_resolved_total", "counter", "Conflicts that went since the start.",
	    (double)o->n_resolved);
	put(out, "diverged_total", "counter",
	    "Times that a peer with the same commits had another state.", (double)o->n_diverged);
	put(out, "store_bytes", "gauge", "Size of the store.", (double)s->file);
	put(out, "journal_bytes", "gauge", "Size of the journal of what is not committed.",
	    (double)s->work.journal_bytes);
	put(out, "resident_bytes", "gauge", "Anonymous memory of the process.",
	    (double)s->resident);
}

static void put_swarm(const struct sw_swarm_status *s, struct sw_buf *out)
{
	put(out, "connected_peers", "gauge", "Peers that are connected.", (double)s->n_connected);
	put(out, "held_commits", "gauge", "Commits that wait, stamped too far ahead of the clocks.",
	    (double)s->n_held);
	put(out, "refused_commits_total", "counter", "Commits that were refused.",
	    (double)s->n_refused);
	put(out, "received_commits_total", "counter", "Commits that came from peers.",
	    (double)s->commits_in);
	put(out, "replay_batches_total", "counter", "Batches in which they were taken.",
	    (double)s->n_batches);
	put(out, "received_bytes_total", "counter", "Bytes that came over the wire.",
	    (double)s->bytes_in);
	put(out, "sent_bytes_total", "counter", "Bytes that went over the wire.",
	    (double)s->bytes_out);
	put(out, "clock_offset_seconds", "gauge",
	    "How far the clocks of the peers are ahead of this one.", (double)s->clock_ms / 1e3);
}

static double is_up(const struct sw_peer_status *p)
{
	return p->state == SW_PEER_SYNCING || p->state == SW_PEER_IN_SYNC;
}

static double is_in_sync(const struct sw_peer_status *p)
{
	return p->state == SW_PEER_IN_SYNC;
}

static double lag_commits(const struct sw_peer_status *p)
{
	return (double)p->lag_commits;
}

static double lag_seconds(const struct sw_peer_status *p)
{
	return (double)p->lag_ms / 1e3;
}

static double rtt_seconds(const struct sw_peer_status *p)
{
	return (double)p->rtt_us / 1e6;
}

static double bytes_in(const struct sw_peer_status *p)
{
	return (double)p->bytes_in;
}

static double bytes_out(const struct sw_peer_status *p)
{
	return (double)p->bytes_out;
}

static double errors(const struct sw_peer_status *p)
{
	return (double)p->errors;
}

static double reconnects(const struct sw_peer_status *p)
{
	return (double)p->reconnects;
}

static const struct {
	const char *name, *type, *help;
	double (*value)(const struct sw_peer_status *p);
} of_peers[] = {
    {"peer_up", "gauge", "Whether it is connected, and a member.", is_up},
    {"peer_in_sync", "gauge", "Whether its head is ours.", is_in_sync},
    {"peer_lag_commits", "gauge", "Commits that one of the two is not known to have.", lag_commits},
    {"peer_lag_seconds", "gauge", "For how long the heads have differed without a break.",
     lag_seconds},
    {"peer_rtt_seconds", "gauge", "Of the last ping.", rtt_seconds},
    {"peer_received_bytes_total", "counter", "Bytes that came from it over the wire.", bytes_in},
    {"peer_sent_bytes_total", "counter", "Bytes that went to it over the wire.", bytes_out},
    {"peer_errors_total", "counter", "Failed dials, broken links and refusals.", errors},
    {"peer_reconnects_total", "counter", "Connections after the first.", reconnects},
};

/* A label's value must be one line of UTF-8. */
static void put_address(const char *address, struct sw_buf *out)
{
	for (const char *c = address; *c; c++)
		if (*c == '"' || *c == '\\')
			sw_buf_printf(out, "\\%c", *c);
		else
			sw_buf_put_u8(out, *c < ' ' || *c > '~' ? '?' : (uint8_t)*c);
}

/* Where an inbound one came from is another place each time, and would be another series. */
static void put_peer(const struct sw_peer_status *p, const char *name, double value,
		     struct sw_buf *out)
{
	char key[SW_HASH_HEX_SIZE] = "";

	if (p->has_key)
		sw_hex(p->key.b, SW_KEY_SIZE, key);
	sw_buf_printf(out, "swarmfs_%s{key=\"%s\",address=\"", name, key);
	put_address(p->is_inbound ? "" : p->address, out);
	sw_buf_printf(out, "\"} %.15g\n", value);
}

static void put_peers(const struct sw_swarm_status *s, struct sw_buf *out)
{
	for (size_t m = 0; m < sizeof(of_peers) / sizeof(of_peers[0]); m++) {
		put_head(out, of_peers[m].name, of_peers[m].type, of_peers[m].help);
		for (size_t i = 0; i < s->n_peers; i++)
			if (s->peers[i].has_key || !s->peers[i].is_inbound)
				put_peer(&s->peers[i], of_peers[m].name,
					 of_peers[m].value(&s->peers[i]), out);
	}
}

int sw_metrics_text(struct sw_owner *o, struct sw_buf *out)
{
	struct sw_standing s;
	int rc = sw_standing_look(o, &s);

	if (rc == 0) {
		put_store(o, &s, out);
		put_swarm(&s.swarm, out);
		put_peers(&s.swarm, out);
	}
	sw_standing_fini(&s);
	return rc < 0 ? rc : out->rc;
}
