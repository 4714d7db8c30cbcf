/*
 * Snapshots. Each is made from the nearest state that is kept: the newest or a milestone; the last few that were made are
 * kept for who looks again.
 */
#include "core/db_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#define KEPT_MS	       30000		   /* how long one is kept that nobody asks for */
#define KEPT_BYTES_MAX ((size_t)4 << 20) /* one that has more of its own is not kept */

struct sw_snap {
	struct sw_db *db;
	atomic_size_t n_refs;
	struct sw_nodes *nodes; /* records that only this snapshot has */
	struct sw_hash state;
	struct sw_order at;
	struct sw_hash pins[2]; /* what it shares records with */
	size_t n_pins;
	struct sw_snap *next; /* in db->open_snaps, under head_lock, once is_open */
	bool is_open;
	uint64_t asked_ms; /* under head_lock, while it is kept */
};

int sw_db_fold_at(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_hash *line,
		  const struct sw_fold_state *base, const struct sw_fold_state *below, const struct sw_order *at,
		  struct sw_hash *out)
{
	struct sw_fold_control control = {0};
	struct sw_member_role *roles = NULL;
	bool limited;
	int rc = sw_control_is_limited(txn, &limited);

	if (rc == 0 && limited)
		rc = sw_control_roles(db->control, txn, at, &roles, &control.n_roles);
	control.roles = roles;
	if (rc == 0)
		rc = sw_fold_at(txn, nodes, db->shape, line, base, below, at, &control, out);
	free(roles);
	return rc;
}

/* What there is to begin with. */
struct known {
	struct sw_fold_state newest, before, behind;
	bool has_before, has_behind;
};

static int find_known(const struct sw_reader *r, const struct sw_order *at, struct known *out)
{
	int rc = sw_milestone_before(r->txn, at, &out->before);

	out->has_before = rc > 0;
	if (rc >= 0)
		rc = sw_milestone_behind(r->txn, at, &out->behind);
	out->has_behind = rc > 0;
	out->newest.state = r->head.state;
	return rc < 0 ? rc : sw_line_ago(r->nodes, &r->head.line, 0, &out->newest.at);
}

/* The one from which there are fewer commits to the place. */
static int choose_base(const struct sw_reader *r, const struct known *k, const struct sw_order *at,
		       const struct sw_fold_state **out)
{
	const struct sw_fold_state *behind = k->has_behind ? &k->behind : &k->newest;
	uint64_t low, here, high;
	int rc;

	*out = behind;
	if (!k->has_before)
		return 0;
	rc = sw_tree_rank(r->nodes, &r->head.line, sw_order_view(&k->before.at), &low);
	if (rc == 0)
		rc = sw_tree_rank(r->nodes, &r->head.line, sw_order_view(at), &here);
	if (rc == 0)
		rc = sw_tree_rank(r->nodes, &r->head.line, sw_order_view(&behind->at), &high);
	if (rc == 0 && here - low < high - here)
		*out = &k->before;
	return rc;
}

/*
 * Pin what the snapshot will share records with. The newest state is pinned already; a milestone that the transaction sees may
 * have gone since: 1.
 */
static int pin_known(struct sw_snap *s, const struct sw_fold_state *base, const struct known *k, uint64_t n_forgotten)
{
	struct sw_db *db = s->db;
	int rc = 0;

	pthread_mutex_lock(&db->head_lock);
	if (db->n_forgotten != n_forgotten)
		rc = 1;
	if (rc == 0)
		rc = sw_db_pin_held(db, &base->state);
	if (rc == 0)
		s->pins[s->n_pins++] = base->state;
	if (rc == 0 && k->has_before)
		rc = sw_db_pin_held(db, &k->before.state);
	if (rc == 0 && k->has_before)
		s->pins[s->n_pins++] = k->before.state;
	if (rc == 0) {
		s->next = db->open_snaps;
		db->open_snaps = s;
		s->is_open = true;
	}
	pthread_mutex_unlock(&db->head_lock);
	return rc;
}

bool sw_snaps_first(const struct sw_db *db, struct sw_order *out)
{
	const struct sw_snap *first = db->open_snaps;

	for (const struct sw_snap *s = first; s; s = s->next)
		if (sw_order_cmp(&s->at, &first->at) < 0)
			first = s;
	if (first)
		*out = first->at;
	return first != NULL;
}

/* A snapshot is gone. head_lock is held. */
static void leave(struct sw_snap *s)
{
	struct sw_snap **at = &s->db->open_snaps;

	while (s->is_open && *at != s)
		at = &(*at)->next;
	if (s->is_open)
		*at = s->next;
	s->is_open = false;
}

/* The state as of a commit before the horizon cannot be made any more. */
static int check_horizon(struct sw_txn *txn, const struct sw_order *at)
{
	struct sw_order horizon;
	struct sw_hash id;
	char hex[SW_HASH_HEX_SIZE];
	int rc = sw_history_horizon(txn, &horizon);

	if (rc <= 0 || sw_order_cmp(at, &horizon) >= 0)
		return rc < 0 ? rc : 0;
	sw_order_id(at, &id);
	sw_hex(id.b, SW_HASH_SIZE, hex);
	return sw_fail(SW_EFREED,
		       "the database as of commit %.12s cannot be shown: its content was freed by gc in this store; a peer that "
		       "keeps all history still has it",
		       hex);
}

static int build(struct sw_snap *s, const struct sw_reader *r, uint64_t n_forgotten)
{
	const struct sw_fold_state *base;
	struct known k;
	int rc = find_known(r, &s->at, &k);

	if (rc == 0)
		rc = choose_base(r, &k, &s->at, &base);
	if (rc == 0)
		rc = pin_known(s, base, &k, n_forgotten);
	if (rc != 0)
		return rc;
	sw_nodes_read_through(s->nodes, r->nodes);
	rc = sw_db_fold_at(s->db, r->txn, s->nodes, &r->head.line, base, k.has_before ? &k.before : NULL, &s->at,
			   &s->state);
	sw_nodes_read_through(s->nodes, NULL);
	return rc;
}

static int snap_new(struct sw_db *db, const struct sw_order *at, struct sw_snap **out)
{
	struct sw_snap *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return SW_ENOMEM;
	s->db = db;
	s->at = *at;
	atomic_init(&s->n_refs, 1);
	rc = sw_nodes_new(NULL, &s->nodes);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

/* Kept snapshots */

static struct sw_snap *find_kept(struct sw_db *db, const struct sw_order *at)
{
	struct sw_snap *s = NULL;

	pthread_mutex_lock(&db->head_lock);
	for (size_t i = 0; i < SW_SNAPS_KEPT && !s; i++)
		if (db->snaps[i] && sw_order_cmp(&db->snaps[i]->at, at) == 0)
			s = sw_snap_ref(db->snaps[i]);
	if (s)
		s->asked_ms = sw_env_mono_ms(db->env);
	pthread_mutex_unlock(&db->head_lock);
	return s;
}

/* Keep it, in the place of the one that was not asked for the longest, unless something has come since it was made. */
static void keep(struct sw_snap *s, const struct sw_hash *line)
{
	struct sw_db *db = s->db;
	struct sw_snap *old = NULL, **place = &db->snaps[0];

	if (sw_nodes_bytes(s->nodes) > KEPT_BYTES_MAX)
		return;
	pthread_mutex_lock(&db->head_lock);
	if (sw_hash_eq(&db->head.line, line)) {
		for (size_t i = 0; i < SW_SNAPS_KEPT && *place; i++)
			if (!db->snaps[i] || db->snaps[i]->asked_ms < (*place)->asked_ms)
				place = &db->snaps[i];
		old = *place;
		*place = sw_snap_ref(s);
		s->asked_ms = sw_env_mono_ms(db->env);
	}
	pthread_mutex_unlock(&db->head_lock);
	sw_snap_unref(old);
}

void sw_snaps_take(struct sw_db *db, const struct sw_order *from, struct sw_snap *out[static SW_SNAPS_KEPT])
{
	uint64_t now = from ? 0 : sw_env_mono_ms(db->env);

	for (size_t i = 0; i < SW_SNAPS_KEPT; i++) {
		const struct sw_snap *s = db->snaps[i];

		if (s && (from ? sw_order_cmp(&s->at, from) >= 0 : now - s->asked_ms >= KEPT_MS))
			out[i] = SW_TAKE(db->snaps[i]);
	}
}

void sw_snaps_changed(struct sw_db *db, const struct sw_order *from)
{
	struct sw_line_change *v = db->line_changes;

	if (sw_order_cmp(from, &db->asked_at) > 0)
		return;
	while (db->n_line_changes > 0 && sw_order_cmp(&v[db->n_line_changes - 1].from, from) >= 0)
		db->n_line_changes--;
	if (db->n_line_changes == SW_LINE_CHANGES_MAX) {
		/* What is between the first two counts as changed once more, which does no harm. */
		v[0].version = v[1].version;
		memmove(&v[1], &v[2], --db->n_line_changes * sizeof(*v) - sizeof(*v));
	}
	v[db->n_line_changes++] = (struct sw_line_change){*from, ++db->line_version};
}

uint64_t sw_snap_version(struct sw_db *db, const struct sw_order *at)
{
	uint64_t version = 0;

	pthread_mutex_lock(&db->head_lock);
	if (sw_order_cmp(at, &db->asked_at) > 0)
		db->asked_at = *at;
	for (size_t i = 0; i < db->n_line_changes && sw_order_cmp(&db->line_changes[i].from, at) <= 0; i++)
		version = db->line_changes[i].version;
	pthread_mutex_unlock(&db->head_lock);
	return version;
}

void sw_snaps_free(struct sw_snap *snaps[static SW_SNAPS_KEPT])
{
	for (size_t i = 0; i < SW_SNAPS_KEPT; i++)
		sw_snap_unref(snaps[i]);
}

/* In the state that the reader sees, which is pinned; 1: something that it sees has gone since. */
static int open_in(struct sw_db *db, const struct sw_reader *r, const struct sw_hash *commit, uint64_t n_forgotten,
		   struct sw_snap **out)
{
	struct sw_snap *s = NULL;
	struct sw_order at;
	uint64_t seq;
	int rc = sw_history_seq(r->txn, commit, &seq);

	if (rc == 0)
		rc = sw_history_order(r->txn, seq, &at);
	if (rc == 0)
		rc = check_horizon(r->txn, &at);
	if (rc < 0)
		return rc;
	*out = find_kept(db, &at);
	if (*out)
		return 0;
	rc = snap_new(db, &at, &s);
	if (rc == 0)
		rc = build(s, r, n_forgotten);
	if (rc != 0) {
		sw_snap_unref(s);
		return rc;
	}
	keep(s, &r->head.line);
	*out = s;
	return 0;
}

/* 1: the head moved, or a milestone went, between the pin and the transaction; try again. */
static int try_open(struct sw_db *db, const struct sw_hash *commit, struct sw_snap **out)
{
	struct sw_hash newest;
	struct sw_reader r;
	uint64_t n_forgotten;
	int rc;

	pthread_mutex_lock(&db->head_lock);
	newest = db->head.state;
	n_forgotten = db->n_forgotten;
	rc = sw_db_pin_held(db, &newest);
	pthread_mutex_unlock(&db->head_lock);
	if (rc < 0)
		return rc;
	rc = sw_reader_begin(db, &r);
	if (rc == 0) {
		rc = sw_hash_eq(&r.head.state, &newest) ? open_in(db, &r, commit, n_forgotten, out) : 1;
		sw_reader_end(&r);
	}
	sw_db_unpin(db, &newest);
	return rc;
}

int sw_snap_open(struct sw_db *db, const struct sw_hash *commit, struct sw_snap **out)
{
	int rc;

	do
		rc = try_open(db, commit, out);
	while (rc > 0);
	return rc;
}

struct sw_snap *sw_snap_ref(struct sw_snap *s)
{
	atomic_fetch_add(&s->n_refs, 1);
	return s;
}

void sw_snap_unref(struct sw_snap *s)
{
	if (!s || atomic_fetch_sub(&s->n_refs, 1) > 1)
		return;
	pthread_mutex_lock(&s->db->head_lock);
	leave(s);
	pthread_mutex_unlock(&s->db->head_lock);
	for (size_t i = 0; i < s->n_pins; i++)
		sw_db_unpin(s->db, &s->pins[i]);
	sw_nodes_free(s->nodes);
	free(s);
}

const struct sw_hash *sw_snap_state(const struct sw_snap *s)
{
	return &s->state;
}

int sw_snap_read(struct sw_snap *s, struct sw_reader *out)
{
	int rc = sw_reader_begin(s->db, out);

	if (rc < 0)
		return rc;
	sw_nodes_stack(out->nodes, s->nodes);
	out->head.state = s->state;
	return 0;
}

void sw_snap_see(struct sw_snap *s, struct sw_reader *r)
{
	sw_nodes_stack(r->nodes, s->nodes);
}
