#include "core/settled.h"

#include <assert.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/members.h"
#include "core/settled_internal.h"

#define META_SETTLED "settled" /* order base:u64 next:u64 */

int sw_settling_new(struct sw_settling **out)
{
	struct sw_settling *s = calloc(1, sizeof(*s));

	if (!s)
		return SW_ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->base = 1;
	*out = s;
	return 0;
}

void sw_settling_free(struct sw_settling *s)
{
	if (!s)
		return;
	sw_seen_fini(&s->seen);
	free(s->v);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int sw_settling_load(struct sw_settling *s, struct sw_txn *txn)
{
	struct sw_view v;
	struct sw_rd r;
	int rc = sw_meta_get(txn, META_SETTLED, &v);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	r = sw_rd(v);
	sw_rd_copy(&r, s->last.b, SW_ORDER_SIZE);
	s->base = sw_rd_u64(&r);
	s->known = sw_rd_u64(&r);
	s->has_last = true;
	return sw_rd_done(&r) < 0
		   ? sw_fail(SW_ECORRUPT, "the store's note of what is settled is damaged")
		   : 0;
}

/* Find it from the beginning again if it goes so far. lock is held. */
static void forget(struct sw_settling *s, const struct sw_order *from)
{
	if (!s->has_last || sw_order_cmp(&s->last, from) < 0)
		return;
	s->has_last = false;
	s->base = 1;
}

void sw_settling_forget(struct sw_settling *s, const struct sw_order *from)
{
	pthread_mutex_lock(&s->lock);
	s->is_loaded = false;
	forget(s, from);
	pthread_mutex_unlock(&s->lock);
}

int sw_settling_save(struct sw_settling *s, struct sw_txn *txn)
{
	SW_BUF b = {0};
	bool has_last;

	pthread_mutex_lock(&s->lock);
	has_last = s->has_last;
	sw_buf_put(&b, s->last.b, SW_ORDER_SIZE);
	sw_buf_put_u64(&b, s->base);
	sw_buf_put_u64(&b, s->known);
	pthread_mutex_unlock(&s->lock);
	if (!has_last)
		return 0;
	return b.rc < 0 ? b.rc : sw_meta_put(txn, META_SETTLED, sw_buf_view(&b));
}

/* Writers */

int sw_settling_members(const struct sw_reader *r, struct sw_hash *out)
{
	struct sw_table t;
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_SYSTEM,
				sw_view_str(SW_TABLE_MEMBERS), &t);

	*out = rc == 0 ? t.root : sw_hash_zero;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int read_writer(struct sw_txn *txn, const struct sw_key *key, struct sw_voice *out)
{
	struct sw_watermark m;
	struct sw_view bytes;
	int rc;

	*out = (struct sw_voice){.key = *key};
	rc = sw_watermark_load(txn, key, &out->number, &bytes, &m);
	if (rc == 0) {
		out->stamp = m.stamp;
		out->count = m.head.count;
	}
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int read_writers(struct sw_db *db, struct sw_settling *s, const struct sw_reader *r)
{
	struct sw_member *members = NULL;
	struct sw_voice *v;
	size_t n = 0, n_members;
	int rc = sw_db_members(db, r, &members, &n_members);

	if (rc < 0)
		return rc;
	v = calloc(n_members + 1, sizeof(*v));
	rc = v ? 0 : SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < n_members; i++)
		if (members[i].role >= SW_ROLE_WRITER)
			rc = read_writer(r->txn, &members[i].key, &v[n++]);
	free(members);
	if (rc < 0) {
		free(v);
		return rc;
	}
	free(s->v);
	s->v = v;
	s->n = n;
	s->n_members = n_members;
	return 0;
}

struct sw_voice *sw_settling_voice(const struct sw_settling *s, const struct sw_key *key)
{
	for (size_t low = 0, high = s->n; low < high;) {
		size_t at = (low + high) / 2;
		int cmp = memcmp(key->b, s->v[at].key.b, SW_KEY_SIZE);

		if (cmp == 0)
			return &s->v[at];
		if (cmp < 0)
			high = at;
		else
			low = at + 1;
	}
	return NULL;
}

/* Pasts */

int sw_settling_see(struct sw_settling *s, struct sw_txn *txn, size_t column,
		    const struct sw_watermark *m)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n_tips; i++) {
		struct sw_hash tip;
		uint64_t seq;

		sw_watermark_tip(m, i, &tip);
		rc = sw_history_seq(txn, &tip, &seq);
		if (rc == 0)
			rc = sw_seen_mark(&s->seen, column, seq);
	}
	return rc;
}

/* It cannot be told which of its grants a writer had seen when it began: what all of them had below
 * them, it had. */
static int see_grants(struct sw_settling *s, struct sw_txn *txn, size_t column)
{
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = s->v[column].key};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	size_t sum = s->n, n = 0;
	int rc;

	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(txn, &cell, 0, &refs);
	for (size_t i = 0; rc == 0 && i < refs.n; i++) {
		struct sw_view changeset;
		enum sw_outcome outcome;
		enum sw_mode mode;
		struct sw_op op;

		rc = sw_history_outcome(txn, refs.v[i].seq, &outcome);
		if (rc == 0)
			rc = sw_history_changeset(txn, refs.v[i].seq, &changeset);
		if (rc == 0)
			rc = sw_changeset_at(changeset, refs.v[i].offset, &mode, &op);
		if (rc < 0 || outcome >= SW_VOID || op.kind != SW_OP_GRANT ||
		    op.role < SW_ROLE_WRITER || !sw_key_eq(&op.member, &s->v[column].key))
			continue;
		sw_seen_clear(&s->seen, sum);
		rc = sw_seen_mark(&s->seen, n == 0 ? column : sum, refs.v[i].seq);
		if (rc == 0 && n++ > 0)
			sw_seen_limit(&s->seen, column, sum);
	}
	free(refs.v);
	return rc;
}

static int see(struct sw_settling *s, struct sw_txn *txn, size_t column)
{
	struct sw_watermark m;
	struct sw_view bytes;
	uint64_t number;
	int rc;

	if (s->v[column].stamp == 0)
		return see_grants(s, txn, column);
	rc = sw_watermark_load(txn, &s->v[column].key, &number, &bytes, &m);
	return rc < 0 ? rc : sw_settling_see(s, txn, column, &m);
}

/* Commits */

/* An author that had signed to have seen what is settled has written below it. */
static void complain(const struct sw_commit *c)
{
	char id[SW_HASH_HEX_SIZE], author[2 * SW_KEY_SIZE + 1];

	sw_hex(c->id.b, SW_HASH_SIZE, id);
	sw_hex(c->author.b, SW_KEY_SIZE, author);
	sw_log(SW_LOG_ERROR,
	       "commit %.12s of %.12s slipped into what was settled: its author had told to have "
	       "seen what stands "
	       "behind it; its key is used in two places, or its store was put back from a backup",
	       id, author);
}

static int add_commit(struct sw_settling *s, struct sw_txn *txn, uint64_t seq)
{
	uint64_t parents[SW_PARENTS_MAX];
	enum sw_outcome outcome;
	struct sw_commit c;
	struct sw_order at;
	struct sw_view raw;
	int rc = sw_history_get(txn, seq, &raw);

	if (rc == 0 && sw_commit_decode(raw, &c) < 0)
		rc = sw_fail(SW_ECORRUPT, "commit number %llu of the store is damaged",
			     (unsigned long long)seq);
	for (size_t i = 0; rc == 0 && i < c.n_parents; i++)
		rc = sw_history_seq(txn, &c.parents[i], &parents[i]);
	if (rc == 0)
		rc = sw_seen_add(&s->seen, parents, c.n_parents);
	if (rc < 0 || !s->has_last)
		return rc;
	sw_order_make(c.stamp, &c.author, &c.id, &at);
	if (sw_order_cmp(&at, &s->last) > 0)
		return 0;
	sw_seen_done(&s->seen, seq);
	rc = sw_history_outcome(txn, seq, &outcome);
	if (rc == 0 && outcome != SW_OUT && seq >= s->known)
		complain(&c);
	return rc;
}

static int add_commits(struct sw_settling *s, struct sw_txn *txn, uint64_t next)
{
	int rc = 0;

	while (rc == 0 && sw_seen_next(&s->seen) < next)
		rc = add_commit(s, txn, sw_seen_next(&s->seen));
	return rc;
}

/* Whether nobody else is there: then nobody's past is waited for, and no commit needs to be looked
 * at. */
static bool is_alone(const struct sw_db *db, const struct sw_settling *s)
{
	return s->n_members == 1 && s->n == 1 && sw_key_eq(&s->v[0].key, sw_db_key(db));
}

/* What was settled as long as nobody else was there may be replaced now that somebody is. */
static int end_alone(struct sw_db *db, struct sw_settling *s, const struct sw_reader *r,
		     uint64_t next)
{
	uint64_t first = sw_db_withheld(db);
	struct sw_order at;
	int rc;

	if (first == 0 || first >= next) /* or it was written after the reader began */
		return 0;
	rc = sw_history_order(r->txn, first, &at);
	if (rc == 0)
		forget(s, &at);
	return rc;
}

/* Everything anew, from the store. */
static int load(struct sw_db *db, struct sw_settling *s, const struct sw_reader *r, uint64_t next)
{
	int rc = read_writers(db, s, r);

	if (rc == 0)
		rc = sw_watermark_last(r->txn, &s->number);
	if (rc == 0 && !is_alone(db, s))
		rc = end_alone(db, s, r, next);
	if (rc == 0)
		rc = sw_seen_init(&s->seen, s->base, s->n + 1);
	if (rc < 0 || is_alone(db, s))
		return rc;
	rc = add_commits(s, r->txn, next);
	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		if (sw_key_eq(&s->v[i].key, sw_db_key(db)))
			continue;
		sw_seen_require(&s->seen, i);
		rc = see(s, r->txn, i);
	}
	return rc;
}

/* Stand on the first entry of the line that is not settled: 1, or 0 when there is none. */
static int seek(const struct sw_settling *s, const struct sw_reader *r, struct sw_cursor *c)
{
	int rc = sw_cursor_seek(c, r->nodes, &r->head.line,
				s->has_last ? sw_order_view(&s->last) : sw_view("", 0));

	if (rc > 0 && s->has_last && sw_view_eq(sw_cursor_entry(c)->key, sw_order_view(&s->last)))
		rc = sw_cursor_next(c);
	return rc;
}

static int seq_of(struct sw_txn *txn, const struct sw_cursor *c, struct sw_order *order,
		  uint64_t *seq)
{
	struct sw_hash id;

	memcpy(order->b, sw_cursor_entry(c)->key.p, SW_ORDER_SIZE);
	sw_order_id(order, &id);
	return sw_history_seq(txn, &id, seq);
}

/* An own commit that was sent to nobody may yet be replaced by one with another stamp. */
static bool is_withheld(struct sw_db *db, const struct sw_order *at, uint64_t seq)
{
	uint64_t first = sw_db_withheld(db);

	return first > 0 && seq >= first && memcmp(at->b + 8, sw_db_key(db)->b, SW_KEY_SIZE) == 0;
}

/*
 * What is not in the line never gets settled: it is done with what stands behind it, or it would hold the window for ever. If it
 * comes into the line after that, it does so below what is settled, where nobody asks who has seen it.
 */
static int pass_out(struct sw_settling *s, struct sw_txn *txn)
{
	uint64_t seq = s->seen.base;
	int rc = 0;

	for (; rc == 0 && s->has_last && seq < sw_seen_next(&s->seen); seq++) {
		enum sw_outcome outcome;
		struct sw_order at;

		if (sw_seen_is_done(&s->seen, seq))
			continue;
		rc = sw_history_outcome(txn, seq, &outcome);
		if (rc == 0 && outcome == SW_OUT)
			rc = sw_history_order(txn, seq, &at);
		if (rc < 0 || outcome != SW_OUT || sw_order_cmp(&at, &s->last) > 0)
			break;
		sw_seen_done(&s->seen, seq);
	}
	return rc;
}

static int advance(struct sw_db *db, struct sw_settling *s, const struct sw_reader *r)
{
	struct sw_cursor c = {0};
	int rc = seek(s, r, &c);

	while (rc > 0) {
		struct sw_order at;
		uint64_t seq;

		rc = seq_of(r->txn, &c, &at, &seq);
		if (rc < 0 || !sw_seen_by_all(&s->seen, seq) || is_withheld(db, &at, seq))
			break;
		sw_seen_done(&s->seen, seq);
		s->last = at;
		s->has_last = true;
		rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	if (rc >= 0)
		rc = pass_out(s, r->txn);
	if (rc < 0)
		return rc;
	s->known = sw_seen_next(&s->seen);
	sw_seen_shrink(&s->seen);
	s->base = s->seen.base;
	return 0;
}

/* The only member's line is settled as it stands. */
static int advance_alone(struct sw_settling *s, const struct sw_reader *r, uint64_t next)
{
	struct sw_cursor c = {0};
	int rc = sw_cursor_seek_rank(&c, r->nodes, &r->head.line, r->head.count - 1);

	if (rc > 0 &&
	    (!s->has_last || memcmp(sw_cursor_entry(&c)->key.p, s->last.b, SW_ORDER_SIZE) > 0)) {
		memcpy(s->last.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		s->has_last = true;
	}
	sw_cursor_fini(&c);
	s->base = s->known = next;
	return rc < 0 ? rc : sw_seen_init(&s->seen, next, s->n + 1);
}

int sw_settling_refresh(struct sw_db *db, const struct sw_reader *r)
{
	struct sw_settling *s = db->settling;
	struct sw_hash members;
	uint64_t next;
	int rc;

	if (r->head.count == 0)
		return 0;
	rc = sw_history_next_seq(r->txn, &next);
	if (rc < 0 || (s->is_loaded && next < sw_seen_next(&s->seen)))
		return rc;
	rc = sw_settling_members(r, &members);
	if (rc == 0 && (!s->is_loaded || !sw_hash_eq(&members, &s->members) ||
			!sw_key_eq(&s->own, sw_db_key(db)))) {
		s->members = members;
		s->own = *sw_db_key(db);
		rc = load(db, s, r, next);
	}
	if (rc == 0 && is_alone(db, s)) {
		rc = advance_alone(s, r, next);
	} else if (rc == 0) {
		rc = add_commits(s, r->txn, next);
		if (rc == 0)
			rc = advance(db, s, r);
	}
	s->is_loaded = rc == 0;
	return rc;
}

/* Asking */

int sw_db_settled(struct sw_db *db, const struct sw_reader *r, struct sw_settled *out)
{
	struct sw_settling *s = db->settling;
	struct sw_view value;
	uint64_t rank;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = sw_settling_refresh(db, r);
	*out = (struct sw_settled){.has_last = s->has_last, .last = s->last};
	pthread_mutex_unlock(&s->lock);
	if (rc < 0 || !out->has_last)
		return rc;
	rc = sw_tree_rank(r->nodes, &r->head.line, sw_order_view(&out->last), &rank);
	if (rc == 0)
		rc = sw_tree_get(r->nodes, &r->head.line, sw_order_view(&out->last), &value);
	out->count = rank + (rc == 0);
	return rc == SW_ENOTFOUND ? 0 : rc;
}

int sw_db_is_witnessed(struct sw_db *db, const struct sw_reader *r, bool *out)
{
	struct sw_settling *s = db->settling;
	int rc;

	*out = false;
	pthread_mutex_lock(&s->lock);
	rc = sw_settling_refresh(db, r);
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		*out |= s->v[i].stamp > 0 && !sw_key_eq(&s->v[i].key, &s->own);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Set those that have not seen a commit of the line up to `upto`. lock is held. */
static int find_holdups(const struct sw_settling *s, const struct sw_reader *r,
			const struct sw_order *upto, bool *holds)
{
	struct sw_cursor c = {0};
	int rc = seek(s, r, &c);

	while (rc > 0) {
		struct sw_order at;
		uint64_t seq;

		rc = seq_of(r->txn, &c, &at, &seq);
		if (rc < 0 || (upto && sw_order_cmp(&at, upto) > 0))
			break;
		for (size_t i = 0; i < s->n; i++)
			holds[i] |= (s->seen.required[i / 64] >> i % 64 & 1) &&
				    !sw_seen_by(&s->seen, i, seq);
		if (!upto)
			break;
		rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

int sw_db_holdups(struct sw_db *db, const struct sw_reader *r, const struct sw_order *upto,
		  struct sw_holdup **out, size_t *n)
{
	struct sw_settling *s = db->settling;
	struct sw_holdup *v = NULL;
	bool *holds = NULL;
	int rc;

	*n = 0;
	pthread_mutex_lock(&s->lock);
	rc = sw_settling_refresh(db, r);
	if (rc == 0) {
		v = calloc(s->n + 1, sizeof(*v));
		holds = calloc(s->n + 1, sizeof(*holds));
		rc = v && holds ? find_holdups(s, r, upto, holds) : SW_ENOMEM;
	}
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		if (holds[i])
			v[(*n)++] = (struct sw_holdup){s->v[i].key, s->v[i].stamp};
	pthread_mutex_unlock(&s->lock);
	free(holds);
	if (rc < 0) {
		free(v);
		return rc;
	}
	*out = v;
	return 0;
}
