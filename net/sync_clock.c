/*
 * Clocks: what those of others show, and whether ours can be right. A commit stamped too far ahead of the time waits,
 * and so the time is the median of our clock and those of the peers that are connected: one that is wrong, be it
 * ours, holds nobody back. Of an even number the one that is nearer to ours counts. But whoever is connected with us by many
 * keys could make our own commits come from whatever year he likes, which nobody else would take: more than a day ahead of our
 * clock nothing is taken, whatever they say.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#include "core/history.h"
#include "core/log.h"

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* That of the only peer there is. */
static int64_t other_clock(const struct sw_sync *s)
{
	const struct peer *p = s->peers;

	while (p->dropped || !p->has_clock)
		p = p->next;
	return p->clock_ms;
}

/* How far the others' clocks, as a whole, are ahead of ours. */
static int64_t median(struct sw_sync *s)
{
	size_t n = 1;
	int64_t *v, out;

	for (const struct peer *p = s->peers; p; p = p->next)
		n += !p->dropped && p->has_clock;
	v = calloc(n, sizeof(*v)); /* the first is ours */
	s->n_clocks = n;
	if (!v)
		return s->clock_ms;
	for (const struct peer *p = s->peers; p; p = p->next)
		if (!p->dropped && p->has_clock)
			v[--n] = p->clock_ms;
	n = s->n_clocks;
	qsort(v, n, sizeof(*v), by_value);
	out = n % 2 == 1 || llabs(v[n / 2]) < llabs(v[n / 2 - 1]) ? v[n / 2] : v[n / 2 - 1];
	free(v);
	return out;
}

uint64_t sw_sync_count_withheld(struct sw_sync *s)
{
	uint64_t first = sw_db_withheld(s->db), next = 0;
	struct sw_reader r;

	/* Alone, they wait for somebody to be there. */
	if (first == 0 || s->n_clocks < 2 || sw_reader_begin(s->db, &r) < 0)
		return 0;
	if (sw_history_next_seq(r.txn, &next) < 0)
		next = first;
	sw_reader_end(&r);
	return next - first;
}

/*
 * Own commits that the others could not take yet are not sent, so that they can be signed again once it is clear whose
 * clock is wrong. Of two that differ it is not: then they wait until the peer, too, could take them, and are left alone
 * until both clocks say that they are from the future.
 */
void sw_sync_release(struct sw_sync *s, uint64_t now_ms)
{
	uint64_t wall_ms = sw_env_wall_ms(sw_db_env(s->db)), before = sw_db_withheld(s->db);
	int64_t sends = s->clock_ms, latest = s->clock_ms;
	size_t n = 0;
	int rc = 0;

	if (s->n_clocks == 2) {
		sends = other_clock(s);
		latest = sends > 0 ? sends : 0;
	}
	if (s->n_clocks > 1)
		rc = sw_db_resign(s->db, wall_ms + (uint64_t)latest + SW_SKEW_MS, &n);
	s->counters.n_resigned += n;
	if (n > 0)
		sw_log(SW_LOG_WARN, "%zu commits were made by a clock that was ahead, and sent to nobody; they are signed "
				    "again with the time as it is", n);
	if (rc == 0)
		rc = sw_db_release(s->db, s->n_clocks > 1 ? wall_ms + (uint64_t)sends + SW_SKEW_MS : 0);
	if (rc < 0)
		sw_sync_complain(s, "own commits cannot be sent for now", rc, now_ms);
	if (n == 0 && sw_db_withheld(s->db) == before)
		return;
	for (struct peer *p = s->peers; p; p = p->next)
		if (p->phase != PHASE_REMOVED)
			sw_serve_again(p, before);
	s->moved = true;
}

static void warn_of_ours(struct sw_sync *s)
{
	bool is_off = llabs(s->clock_ms) > SW_SYNC_CLOCK_MS;

	if (is_off && !s->said_clock)
		sw_log(SW_LOG_WARN, "the clock of this machine is %lld s %s those of its peers; set it%s",
		       llabs(s->clock_ms) / 1000, s->clock_ms > 0 ? "behind" : "ahead of",
		       s->clock_ms > SW_SYNC_TRUST_MS ? ": until then what they write waits" : "");
	if (!is_off && s->said_clock)
		sw_log(SW_LOG_INFO, "the clock of this machine agrees with those of its peers again");
	s->said_clock = is_off;
}

static void warn_of(struct sw_sync *s, struct peer *p)
{
	char key[SW_HASH_HEX_SIZE];
	int64_t off = p->clock_ms - s->clock_ms;

	/* The second time, when it is known which of us is wrong. */
	p->n_clock_off = llabs(off) > SW_SYNC_CLOCK_MS ? p->n_clock_off + 1 : 0;
	if (p->n_clock_off != 2)
		return;
	sw_hex(p->key.b, SW_KEY_SIZE, key);
	if (s->n_clocks < 3)
		sw_log(SW_LOG_WARN, "the clocks of this machine and of the peer %.12s differ by %lld s; one of them is wrong",
		       key, llabs(off) / 1000);
	else
		sw_log(SW_LOG_WARN, "the clock of the peer %.12s is %lld s %s; its commits %s", key, llabs(off) / 1000,
		       off > 0 ? "ahead" : "behind",
		       off > 0 ? "wait until their time has come" : "are sorted before what was written earlier");
}

void sw_sync_clocks(struct sw_sync *s)
{
	s->clock_ms = median(s);
	sw_db_set_clock_offset(s->db, s->clock_ms < SW_SYNC_TRUST_MS ? s->clock_ms : SW_SYNC_TRUST_MS);
	warn_of_ours(s);
}

void sw_sync_note_clock(struct sw_sync *s, struct peer *p, uint64_t wall_ms, uint64_t age_ms)
{
	p->clock_ms = (int64_t)(wall_ms + age_ms) - (int64_t)sw_env_wall_ms(sw_db_env(s->db));
	p->has_clock = true;
	sw_sync_clocks(s);
	warn_of(s, p);
}
