/*
 * Commits whose content gc has freed cannot be sent. Who is asked for some says which, instead; who
 * asked looks for another peer that keeps them, and asks the first one again when they are here.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#include "core/gc.h"
#include "core/history.h"
#include "core/log.h"

/* Numbers, each a bit. */
struct marks {
	uint8_t *p;
};

static bool has(const struct marks *m, uint64_t seq)
{
	return m->p[seq / 8] >> seq % 8 & 1;
}

static void set(struct marks *m, uint64_t seq)
{
	m->p[seq / 8] |= (uint8_t)(1 << seq % 8);
}

static int mark_parents(struct sw_txn *txn, struct marks *below, uint64_t seq, struct sw_hash *id)
{
	struct sw_commit c;
	struct sw_view raw;
	int rc = sw_history_get(txn, seq, &raw);

	if (rc == 0 && sw_commit_decode(raw, &c) < 0)
		rc = sw_fail(SW_ECORRUPT, "a commit in the store is damaged; run 'swarmfs verify'");
	*id = c.id;
	for (size_t i = 0; rc == 0 && i < c.n_parents; i++) {
		uint64_t parent;

		rc = sw_history_seq(txn, &c.parents[i], &parent);
		if (rc == 0)
			set(below, parent);
	}
	return rc;
}

int sw_freed_find(const struct sw_reader *r, const struct serving *s, struct sw_hash *ids,
		  size_t *n, uint64_t *steps)
{
	struct marks lacks = {0}, below = {0};
	uint64_t next;
	int rc = sw_history_next_seq(r->txn, &next);

	*n = 0;
	if (rc < 0)
		return rc;
	lacks.p = calloc((size_t)next / 8 + 1, 1);
	below.p = calloc((size_t)next / 8 + 1, 1);
	if (!lacks.p || !below.p)
		rc = SW_ENOMEM;
	for (size_t i = s->at; rc == 0 && i < s->n; i++)
		set(&lacks, s->v[i]);
	/* Down from the newest: what is below another that is freed goes without saying. */
	for (uint64_t seq = next; rc == 0 && seq-- > 1 && *n < SW_MESSAGE_TIPS_MAX;) {
		struct sw_hash id;
		bool is_freed = false;

		if (seq <= s->upto && !has(&lacks, seq) && !has(&below, seq))
			continue;
		++*steps;
		rc = sw_history_is_freed(r->txn, seq, &is_freed);
		if (rc < 0 || (!is_freed && !has(&below, seq)))
			continue;
		rc = mark_parents(r->txn, &below, seq, &id);
		if (rc == 0 && !has(&below, seq))
			ids[(*n)++] = id;
	}
	free(lacks.p);
	free(below.p);
	return rc;
}

static bool are_here(struct sw_sync *s, const struct pulling *pull)
{
	struct sw_reader r;
	bool all = true;

	if (sw_reader_begin(s->db, &r) < 0)
		return false;
	for (size_t i = 0; all && i < pull->n_freed; i++) {
		uint64_t seq;

		all = sw_history_seq(r.txn, &pull->freed[i], &seq) == 0;
	}
	sw_reader_end(&r);
	return all;
}

static void say_so(const struct peer *p)
{
	char id[SW_HASH_HEX_SIZE], key[2 * SW_KEY_SIZE + 1];

	sw_hex(p->pull.freed[0].b, SW_HASH_SIZE, id);
	sw_hex(p->key.b, SW_KEY_SIZE, key);
	sw_log(SW_LOG_WARN,
	       "peer %.12s has freed the content of commit %.12s, which is not here, by gc; "
	       "waiting for a peer that keeps all history",
	       key, id);
}

void sw_freed_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;
	bool waited = pull->waits;

	if (m->turn < pull->turn)
		return;
	if (m->turn > pull->turn || !pull->asked || pull->n > 0) {
		sw_sync_distrust(s, p, "it answers what nobody asked");
		return;
	}
	pull->asked = false;
	pull->n_freed = m->n_hashes;
	memcpy(pull->freed, m->hashes, m->n_hashes * sizeof(*m->hashes));
	pull->waits = !are_here(s, pull);
	pull->again_ms = now_ms + SW_SYNC_RETRY_MS;
	if (pull->waits && !waited)
		say_so(p);
	sw_pull_end_bulk(s, p, now_ms);
}

bool sw_freed_waits(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;

	if (!pull->waits || now_ms < pull->again_ms)
		return pull->waits;
	pull->waits = !are_here(s, pull);
	pull->again_ms = now_ms + (pull->waits ? SW_SYNC_RETRY_MS : 0);
	return pull->waits;
}

void sw_sync_reaches_down(struct sw_sync *s, const struct sw_hash *id, uint64_t now_ms)
{
	char hex[SW_HASH_HEX_SIZE];

	if (s->down.seen_ms == 0 || !sw_hash_eq(&s->down.id, id)) {
		sw_hex(id->b, SW_HASH_SIZE, hex);
		sw_log(SW_LOG_ERROR,
		       "commit %.12s changes history whose content gc has freed in this store, so "
		       "neither it nor what stands on it can "
		       "be taken; clone the database again from a peer that keeps all history",
		       hex);
	}
	s->down = (struct held){*id, now_ms};
}

void sw_freed_tick(struct sw_sync *s, uint64_t now_ms)
{
	if (s->down.seen_ms > 0 && now_ms - s->down.seen_ms > 2 * SW_SYNC_RETRY_MS)
		s->down = (struct held){0};
	s->counters.reaches_down = s->down.seen_ms > 0;
	s->counters.down = s->down.id;
	s->counters.n_freed = 0;
	for (const struct peer *p = s->peers; p; p = p->next)
		s->counters.n_freed += p->pull.waits;
}
