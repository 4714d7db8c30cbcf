/*
 * Two walks. The first goes over the index of operations, cell by cell, and takes out those that do
 * not matter any more; from then on no fold sees them. The second goes down the line, and makes
 * each changeset as small as its operations in the index. What is found is found by readers;
 * writers are only kept out for as long as a batch of it takes to write.
 */
#include "core/gc.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/conflicts.h"
#include "core/db_internal.h"
#include "core/gc_internal.h"
#include "core/hlc.h"
#include "core/settled.h"

#define SCAN_MAX 4096 /* cells or commits looked at in one transaction */

int sw_db_horizon(const struct sw_reader *r, struct sw_order *out)
{
	return sw_history_horizon(r->txn, out);
}

int sw_db_is_before_horizon(const struct sw_reader *r, const struct sw_order *at, bool *out)
{
	struct sw_order horizon;
	int rc = sw_history_horizon(r->txn, &horizon);

	*out = rc > 0 && sw_order_cmp(at, &horizon) < 0;
	return rc < 0 ? rc : 0;
}

int sw_db_is_freed(const struct sw_reader *r, const struct sw_hash *id, bool *out)
{
	uint64_t seq;
	int rc = sw_history_seq(r->txn, id, &seq);

	return rc < 0 ? rc : sw_history_is_freed(r->txn, seq, out);
}

/* The horizon */

/* The last commit of the line that is before a place (not at it): 1, or 0. */
static int last_before(const struct sw_reader *r, struct sw_view place, struct sw_order *out)
{
	struct sw_cursor c = {0};
	uint64_t rank;
	int rc = sw_tree_rank(r->nodes, &r->head.line, place, &rank);

	if (rc < 0 || rank == 0)
		return rc;
	rc = sw_cursor_seek_rank(&c, r->nodes, &r->head.line, rank - 1);
	if (rc > 0)
		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	return rc;
}

/* The last commit that is settled and old enough: 1, or 0 for none. */
static int find_horizon(struct sw_db *db, const struct sw_reader *r, uint64_t keep_ms,
			struct sw_order *out)
{
	uint64_t now = sw_db_time_ms(db);
	struct sw_settled settled;
	uint8_t cutoff[8];
	int rc = sw_db_settled(db, r, &settled);

	if (rc < 0 || !settled.has_last || now < keep_ms)
		return rc;
	sw_set_u64(cutoff, (now - keep_ms + 1) << 16);
	rc = last_before(r, sw_view(cutoff, sizeof(cutoff)), out);
	if (rc <= 0)
		return rc;
	if (sw_order_cmp(out, &settled.last) > 0)
		*out = settled.last;
	return 1;
}

/*
 * States before the horizon go with it. One that is open may hold on to what only an old changeset
 * refers to, so the horizon does not pass it; one that is about to be opened sees that something
 * has gone, and looks again.
 */
static int move_horizon(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
			int64_t *n_drops, void *arg)
{
	const struct sw_order *at = arg;
	struct sw_order first;
	int rc;

	if (sw_snaps_first(db, &first) && sw_order_cmp(&first, at) < 0)
		return SW_EAGAIN;
	db->n_forgotten++;
	rc = sw_history_put_horizon(txn, at);
	return rc < 0 ? rc : sw_db_drop_milestones(db, txn, nodes, at, n_drops);
}

/* Those that nobody has open any more, but for who looks again, go; the first of the others is a
 * limit. */
static void limit_to_snaps(struct gc *g)
{
	static const struct sw_order from = {{0}};
	struct sw_snap *kept[SW_SNAPS_KEPT] = {NULL};
	struct sw_order first;

	pthread_mutex_lock(&g->db->head_lock);
	sw_snaps_take(g->db, &from, kept);
	pthread_mutex_unlock(&g->db->head_lock);
	sw_snaps_free(kept);
	pthread_mutex_lock(&g->db->head_lock);
	if (sw_snaps_first(g->db, &first) && sw_order_cmp(&first, &g->horizon) < 0) {
		g->horizon = first;
		g->report->is_held = true;
	}
	pthread_mutex_unlock(&g->db->head_lock);
}

/* 1: done, or 0: there is nothing behind what is open. */
static int set_horizon(struct gc *g, const struct sw_order *before)
{
	int rc;

	do {
		limit_to_snaps(g);
		if (before && sw_order_cmp(&g->horizon, before) <= 0)
			return 0;
		if (g->options->is_dry)
			return 1;
		pthread_mutex_lock(&g->db->write_lock);
		/* Of the only member all is settled, also what nobody was sent. That is not signed
		 * again from now on. */
		rc = sw_db_keep_signed(g->db, sw_hlc_ms(sw_order_stamp(&g->horizon)));
		if (rc == 0)
			rc = sw_db_checkpoint_with(g->db, move_horizon, &g->horizon);
		pthread_mutex_unlock(&g->db->write_lock);
	} while (rc == SW_EAGAIN);
	return rc < 0 ? rc : 1;
}

/* 1: there is something to look at. */
static int begin(struct gc *g)
{
	struct sw_order before;
	struct sw_reader r;
	bool had = false, found = false;
	uint64_t next = 0;
	int rc = sw_reader_begin(g->db, &r);

	if (rc < 0)
		return rc;
	if (g->options->horizon)
		g->horizon = *g->options->horizon;
	else if (r.head.count > 0)
		rc = find_horizon(g->db, &r, g->options->keep_ms, &g->horizon);
	found = rc > 0 || g->options->horizon;
	if (rc >= 0)
		rc = sw_history_horizon(r.txn, &before);
	had = rc > 0;
	if (rc >= 0)
		rc = sw_history_next_seq(r.txn, &next);
	sw_reader_end(&r);
	if (rc < 0 || (!had && !found))
		return rc;
	rc = found ? set_horizon(g, had ? &before : NULL) : 0;
	if (rc < 0)
		return rc;
	if (rc == 0) /* what an earlier run has not finished */
		g->horizon = before;
	rc = 0;
	if (g->options->is_dry) {
		g->n_known = next;
		g->thinned = calloc((size_t)next / 8 + 1, 1);
		rc = g->thinned ? 0 : SW_ENOMEM;
	}
	return rc < 0 ? rc : 1;
}

/* Cells */

static void count_removed(struct gc *g, const struct sw_op_ref *ref)
{
	uint8_t bit = (uint8_t)(1 << ref->seq % 8);

	if (g->thinned && ref->seq >= g->n_known)
		return; /* it has come since this began, however early its stamp */
	g->report->n_ops++;
	if (!g->thinned || g->thinned[ref->seq / 8] & bit)
		return;
	g->thinned[ref->seq / 8] |= bit;
	g->report->n_commits++;
}

static int apply_removal(struct sw_txn *txn, const struct sw_gc_removal *v)
{
	return v->is_begin ? sw_history_begin_at(txn, &v->cell, &v->ref)
			   : sw_history_remove_ref(txn, &v->cell, &v->ref);
}

/* In batches, so that nobody waits long: whatever of a cell goes first, its beginning was marked
 * before. */
static int write_removals(struct gc *g, const struct sw_gc_removals *r)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n;) {
		struct sw_txn *txn;
		size_t end = i + g->batch < r->n ? i + g->batch : r->n;

		pthread_mutex_lock(&g->db->write_lock);
		rc = sw_txn_begin(g->db->store, true, &txn);
		for (; rc == 0 && i < end; i++)
			rc = apply_removal(txn, &r->v[i]);
		if (rc == 0)
			rc = sw_txn_commit(SW_TAKE(txn));
		sw_txn_abort(txn);
		pthread_mutex_unlock(&g->db->write_lock);
	}
	for (size_t i = 0; rc == 0 && i < r->n; i++)
		if (!r->v[i].is_begin)
			count_removed(g, &r->v[i].ref);
	return rc;
}

/* Some cells from *cell on; 1: there may be more. */
static int look_at_cells(struct gc *g, struct sw_cell *cell, struct sw_gc_removals *out)
{
	struct sw_reader r;
	int more = 1, rc = sw_reader_begin(g->db, &r);

	if (rc < 0)
		return rc;
	for (int n = 0; rc == 0 && more > 0 && n < SCAN_MAX && out->n < g->batch; n++) {
		struct sw_op_refs refs = {0};

		more = sw_history_next_cell(r.txn, cell, &refs);
		if (more > 0)
			rc = sw_gc_plan_cell(g, &r, cell, &refs, out);
		free(refs.v);
		for (int i = sizeof(cell->b) - 1; more > 0 && i >= 0 && ++cell->b[i] == 0; i--)
			if (i == 0)
				more = 0;
	}
	sw_reader_end(&r);
	if (rc < 0 || more < 0)
		return rc < 0 ? rc : more;
	return more;
}

static bool is_stopped(struct gc *g)
{
	g->report->is_stopped |= g->options->stop && g->options->stop(g->options->arg);
	return g->report->is_stopped;
}

static int thin_cells(struct gc *g)
{
	struct sw_gc_removals removals = {0};
	struct sw_cell cell = {{0}};
	int rc = 1;

	while (rc > 0 && !is_stopped(g)) {
		removals.n = 0;
		rc = look_at_cells(g, &cell, &removals);
		if (rc >= 0 && removals.n > 0 && g->options->is_dry) {
			for (size_t i = 0; i < removals.n; i++)
				if (!removals.v[i].is_begin)
					count_removed(g, &removals.v[i].ref);
		} else if (rc >= 0 && removals.n > 0) {
			int written = write_removals(g, &removals);

			rc = written < 0 ? written : rc;
		}
	}
	free(removals.v);
	return rc < 0 ? rc : 0;
}

/* Changesets */

struct thin {
	struct gc *g;
	uint64_t seqs[SW_GC_BATCH];
	size_t n;
	size_t bytes;
	struct sw_order at; /* the last that was looked at */
	bool has_at;
};

/* Down the line, until there is enough to write; 1: there may be more. */
static int look_at_commits(struct thin *t)
{
	struct gc *g = t->g;
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(g->db, &r);

	if (rc < 0)
		return rc;
	t->n = t->bytes = 0;
	rc = sw_cursor_seek(&c, r.nodes, &r.head.line,
			    sw_order_view(t->has_at ? &t->at : &g->horizon));
	if (rc > 0 && t->has_at)
		rc = sw_cursor_prev(&c);
	for (int n = 0; rc > 0 && n < SCAN_MAX && t->n < g->batch && t->bytes < SW_GC_BATCH_BYTES;
	     n++) {
		bool shrinks = false;
		struct sw_hash id;
		uint64_t seq;
		size_t size = 0;

		memcpy(t->at.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		t->has_at = true;
		sw_order_id(&t->at, &id);
		rc = sw_history_seq(r.txn, &id, &seq);
		if (rc == 0)
			rc = sw_gc_look_at(g, r.txn, seq, &shrinks, &size);
		if (rc == 0 && shrinks) {
			t->seqs[t->n++] = seq;
			t->bytes += size;
		}
		if (rc == 0)
			rc = sw_cursor_prev(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc;
}

static int shrink_all(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes,
		      int64_t *n_drops, void *arg)
{
	const struct thin *t = arg;
	int rc = 0;

	(void)db;
	(void)n_drops;
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		rc = sw_gc_shrink(t->g, txn, nodes, t->seqs[i]);
	return rc;
}

/* Large rows are given up in checkpoints alone. */
static int thin_commits(struct gc *g)
{
	struct thin *t = calloc(1, sizeof(*t));
	int rc = t ? 1 : SW_ENOMEM;

	if (t)
		t->g = g;
	while (rc > 0 && !is_stopped(g)) {
		int written = 0;
		uint64_t before = g->report->n_commits;

		rc = look_at_commits(t);
		if (rc < 0 || t->n == 0)
			continue;
		pthread_mutex_lock(&g->db->write_lock);
		written = sw_db_checkpoint_with(g->db, shrink_all, t);
		pthread_mutex_unlock(&g->db->write_lock);
		if (written < 0) {
			g->report->n_commits = before;
			rc = written;
		}
	}
	free(t);
	return rc < 0 ? rc : 0;
}

static int run(struct gc *g)
{
	uint64_t before = 0, after = 0;
	int rc = sw_store_free_bytes(g->db->store, &before);

	if (rc == 0)
		rc = begin(g);
	if (rc <= 0)
		return rc;
	g->report->has_horizon = true;
	g->report->horizon = g->horizon;
	rc = thin_cells(g);
	if (rc < 0 || g->options->is_dry)
		return rc;
	if (!g->report->is_stopped)
		rc = thin_commits(g);
	if (rc == 0)
		rc = sw_store_free_bytes(g->db->store, &after);
	g->report->bytes = after > before ? after - before : 0;
	return rc;
}

int sw_db_gc(struct sw_db *db, const struct sw_gc_options *options, struct sw_gc_report *out)
{
	size_t batch =
	    options->batch > 0 && options->batch < SW_GC_BATCH ? options->batch : SW_GC_BATCH;
	struct gc g = {.db = db, .options = options, .report = out, .batch = batch};
	int rc;

	*out = (struct sw_gc_report){0};
	if (atomic_exchange(&db->is_freeing, true))
		return sw_fail(SW_EBUSY, "gc is running on this store already; wait for it to end");
	rc = run(&g);
	atomic_store(&db->is_freeing, false);
	sw_gc_fini(&g);
	return rc;
}
