/* Pulling: asking for what a peer has, and taking what comes. */
#include "net/sync_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

/* Ids that let the other side find what we lack: our tips, then commits ever further back in the line. */
static int find_known(struct sw_sync *s, struct sw_hash *out, size_t *n)
{
	struct sw_hash *tips = NULL;
	struct sw_cursor c = {0};
	struct sw_reader r;
	size_t n_tips = 0;
	int rc = sw_reader_begin(s->db, &r);

	*n = 0;
	if (rc < 0)
		return rc;
	rc = sw_db_tips(&r, &tips, &n_tips);
	for (size_t i = 0; rc == 0 && i < n_tips && i < SW_MESSAGE_TIPS_MAX; i++)
		out[(*n)++] = tips[i];
	for (uint64_t back = 1; rc == 0 && back <= r.head.count && *n < SW_MESSAGE_KNOWN_MAX; back *= 2) {
		struct sw_order order;

		rc = sw_cursor_seek_rank(&c, r.nodes, &r.head.line, r.head.count - back);
		if (rc > 0) {
			memcpy(order.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
			sw_order_id(&order, &out[(*n)++]);
			rc = 0;
		}
	}
	sw_cursor_fini(&c);
	free(tips);
	sw_reader_end(&r);
	return rc;
}

void sw_pull_start(struct sw_sync *s, struct peer *p)
{
	struct sw_hash known[SW_MESSAGE_KNOWN_MAX];
	SW_BUF out = {0};
	size_t n;
	int rc = find_known(s, known, &n);

	if (rc < 0) {
		sw_sync_drop(s, p, sw_fail_message(rc), true);
		return;
	}
	sw_message_hashes(SW_MSG_PULL, known, n, &out);
	if (sw_sync_send(s, p, &out) == 0) {
		p->pull.asked = true;
		p->pull.again_ms = 0;
	}
}

static void ask_more(struct sw_sync *s, struct peer *p)
{
	SW_BUF out = {0};

	sw_message_more(&out);
	if (sw_sync_send(s, p, &out) == 0)
		p->pull.asked = true;
}

static void unstage(struct peer *p)
{
	p->pull.staged = false;
	sw_buf_reset(&p->pull.body);
	sw_nodes_free(p->pull.records);
	p->pull.records = NULL;
	p->pull.n_wanted = 0;
}

static int want_record(void *arg, const struct sw_hash *hash)
{
	struct pulling *pull = arg;

	for (size_t i = 0; i < pull->n_wanted; i++)
		if (sw_hash_eq(&pull->wanted[i], hash))
			return 0;
	if (pull->n_wanted < SW_MESSAGE_WANT_MAX)
		pull->wanted[pull->n_wanted++] = *hash;
	return 0;
}

/* The staged body as commits for the database; raw holds the rebuilt headers. */
static int parse_body(struct sw_sync *s, struct peer *p, struct sw_incoming **out, size_t *n,
		      struct sw_buf *raw)
{
	struct sw_rd r = sw_rd(sw_buf_view(&p->pull.body));
	struct sw_incoming *v = NULL;
	struct sw_view changeset;
	size_t cap = 0, at = 0;
	int rc;

	*n = 0;
	for (;;) {
		size_t before = raw->n;

		rc = sw_body_next_commit(&r, sw_db_id(s->db), raw, &changeset);
		if (rc <= 0)
			break;
		if (*n == cap) {
			struct sw_incoming *grown = realloc(v, (cap ? cap * 2 : 16) * sizeof(*v));

			if (!grown) {
				rc = SW_ENOMEM;
				break;
			}
			v = grown;
			cap = cap ? cap * 2 : 16;
		}
		v[(*n)++] = (struct sw_incoming){.commit.n = raw->n - before, .changeset = changeset};
	}
	if (rc < 0) {
		free(v);
		return rc;
	}
	for (size_t i = 0; i < *n; at += v[i++].commit.n)
		v[i].commit.p = raw->p + at;
	*out = v;
	return 0;
}

/* What came of a batch; returns the reason to drop the peer, or NULL. */
static const char *look_at(struct sw_sync *s, struct peer *p, const struct sw_incoming *v, size_t n,
			   bool *incomplete, bool *later)
{
	s->counters.n_held = 0;
	for (size_t i = 0; i < n; i++) {
		switch (v[i].taken) {
		case SW_TAKEN:
		case SW_TAKEN_ALREADY:
			sw_serve_note_known(p, &v[i].id);
			break;
		case SW_TAKEN_INCOMPLETE:
			*incomplete = true;
			break;
		case SW_TAKEN_EARLY:
			s->counters.n_held++;
			*later = true;
			break;
		case SW_TAKEN_ORPHAN:
			*later = true;
			break;
		default:
			s->counters.n_refused++;
			return v[i].reason;
		}
	}
	return NULL;
}

static int take(struct sw_sync *s, struct peer *p, bool *incomplete, bool *later, const char **reason,
		size_t *n_taken)
{
	struct sw_incoming *v = NULL;
	SW_BUF raw = {0};
	size_t n;
	int rc = parse_body(s, p, &v, &n, &raw);

	if (rc < 0)
		return rc;
	p->pull.n_wanted = 0;
	rc = sw_db_receive(s->db, v, n, p->pull.records, want_record, &p->pull, n_taken);
	if (rc == 0)
		*reason = look_at(s, p, v, n, incomplete, later);
	free(v);
	return rc;
}

/* Take what is staged; go on in whatever way that calls for. */
static void take_staged(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	bool incomplete = false, later = false;
	const char *reason = NULL;
	size_t n_taken = 0;
	SW_BUF out = {0};
	int rc = take(s, p, &incomplete, &later, &reason, &n_taken);

	if (rc == SW_ENOSPC || rc == SW_ENOMEM) {
		/* Not the peer's fault: say so, and try again later. */
		sw_log(SW_LOG_ERROR, "cannot take commits: %s", sw_fail_message(rc));
		unstage(p);
		p->pull.again_ms = now_ms + SW_SYNC_RETRY_MS;
		return;
	}
	if (rc < 0 || reason) {
		char text[SW_MESSAGE_TEXT_MAX];

		snprintf(text, sizeof(text), "it sent a commit that cannot be: %s",
			 reason ? reason : sw_fail_message(rc));
		sw_sync_drop(s, p, text, true);
		return;
	}
	s->counters.n_batches += n_taken > 0;
	s->counters.commits_in += n_taken;
	p->commits_in += n_taken;
	if (incomplete && p->pull.n_wanted > 0) {
		sw_message_hashes(SW_MSG_WANT, p->pull.wanted, p->pull.n_wanted, &out);
		p->pull.staged = true;
		if (sw_sync_send(s, p, &out) == SW_EAGAIN)
			sw_sync_drop(s, p, "it does not read", true);
	} else {
		unstage(p);
		if (later)
			p->pull.again_ms = now_ms + SW_SYNC_RETRY_MS;
		else
			ask_more(s, p);
	}
	/* Last, since others may be dropped on the way; this peer may be gone too. */
	if (n_taken > 0)
		sw_sync_changed(s, now_ms);
}

void sw_pull_commits(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	if (!p->pull.asked || p->pull.staged) {
		sw_sync_drop(s, p, "it answers what nobody asked", true);
		return;
	}
	p->pull.asked = false;
	p->pull.more = m->more;
	sw_buf_reset(&p->pull.body);
	sw_buf_put_view(&p->pull.body, m->body);
	if (p->pull.body.rc < 0 || (!p->pull.records && sw_nodes_new(NULL, &p->pull.records) < 0)) {
		sw_sync_drop(s, p, "out of memory", true);
		return;
	}
	take_staged(s, p, now_ms);
}

static bool is_wanted(const struct pulling *pull, const struct sw_hash *hash)
{
	for (size_t i = 0; i < pull->n_wanted; i++)
		if (sw_hash_eq(&pull->wanted[i], hash))
			return true;
	return false;
}

void sw_pull_records(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	struct sw_rd r = sw_rd(m->body);
	struct sw_view record;
	size_t n = 0;
	int rc;

	if (!p->pull.staged) {
		sw_sync_drop(s, p, "it answers what nobody asked", true);
		return;
	}
	while ((rc = sw_body_next_record(&r, &record)) > 0) {
		struct sw_hash hash;

		sw_hash_compute(SW_DOMAIN_NODE, record, &hash);
		if (!is_wanted(&p->pull, &hash))
			continue;
		rc = sw_nodes_put(p->pull.records, record, &hash);
		if (rc < 0)
			break;
		n++;
	}
	if (rc < 0)
		sw_sync_drop(s, p, "it sent malformed records", true);
	else if (n == 0)
		sw_sync_drop(s, p, "it lacks the large rows of its own commits", true);
	else if (sw_nodes_bytes(p->pull.records) > SW_SYNC_STAGED_MAX)
		sw_sync_drop(s, p, "it sent a batch of rows too large to hold", true);
	else
		take_staged(s, p, now_ms);
}

void sw_pull_tick(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	if (p->pull.again_ms > 0 && now_ms >= p->pull.again_ms && !p->pull.staged)
		sw_pull_start(s, p);
}

void sw_pull_fini(struct peer *p)
{
	unstage(p);
	sw_buf_fini(&p->pull.body);
}
