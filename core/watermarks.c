/* Watermarks in the store: signing our own, taking those of others, passing all on. */
#include "core/watermarks.h"

#include <stdlib.h>

#include "core/hlc.h"
#include "core/settled_internal.h"

/* By author, each behind its number */

int sw_watermark_load(struct sw_txn *txn, const struct sw_key *author, uint64_t *number,
		      struct sw_view *bytes, struct sw_watermark *out)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_WATERMARKS, sw_view(author->b, SW_KEY_SIZE), &v);

	if (rc < 0)
		return rc;
	if (v.n <= 8 || sw_watermark_decode(sw_view(v.p + 8, v.n - 8), out) < 0 ||
	    !sw_key_eq(&out->author, author))
		return sw_fail(SW_ECORRUPT, "a watermark in the store is damaged");
	*number = sw_get_u64(v.p);
	*bytes = sw_view(v.p + 8, v.n - 8);
	return 0;
}

static int store_watermark(struct sw_txn *txn, const struct sw_key *author, uint64_t number,
			   struct sw_view bytes)
{
	SW_BUF b = {0};

	sw_buf_put_u64(&b, number);
	sw_buf_put_view(&b, bytes);
	return b.rc < 0 ? b.rc
			: sw_txn_put(txn, SW_SPACE_WATERMARKS, sw_view(author->b, SW_KEY_SIZE),
				     sw_buf_view(&b));
}

/* The next key; false: there is none. */
static bool next_key(struct sw_key *at)
{
	for (int i = SW_KEY_SIZE - 1; i >= 0; i--)
		if (++at->b[i] != 0)
			return true;
	return false;
}

/* The first author at or behind a key: 1, or 0 when there is none. */
static int next_author(struct sw_txn *txn, const struct sw_key *at, struct sw_view *found,
		       struct sw_view *value)
{
	int rc = sw_txn_ceil(txn, SW_SPACE_WATERMARKS, sw_view(at->b, SW_KEY_SIZE), found, value);

	if (rc > 0 && (found->n != SW_KEY_SIZE || value->n <= 8))
		return sw_fail(SW_ECORRUPT, "a watermark in the store is damaged");
	return rc;
}

int sw_watermark_last(struct sw_txn *txn, uint64_t *out)
{
	struct sw_key at = {{0}};
	struct sw_view found, value;
	int rc;

	*out = 0;
	while ((rc = next_author(txn, &at, &found, &value)) > 0) {
		if (sw_get_u64(value.p) > *out)
			*out = sw_get_u64(value.p);
		memcpy(at.b, found.p, SW_KEY_SIZE);
		if (!next_key(&at))
			return 0;
	}
	return rc;
}

/* Storing. db->write_lock is held. */

static int verify_one(struct sw_txn *txn, const struct sw_key *author,
		      const struct sw_hash *database)
{
	struct sw_watermark m;
	struct sw_view bytes;
	uint64_t number, seq;
	int rc = sw_watermark_load(txn, author, &number, &bytes, &m);

	if (rc == 0)
		rc = sw_watermark_verify(bytes, &m, database);
	for (size_t i = 0; rc == 0 && i < m.n_tips; i++) {
		struct sw_hash tip;

		sw_watermark_tip(&m, i, &tip);
		rc = sw_history_seq(txn, &tip, &seq);
	}
	if (rc == SW_ESIG)
		return sw_fail(SW_ECORRUPT, "a watermark in the store has a wrong signature");
	if (rc == SW_ENOTFOUND)
		return sw_fail(SW_ECORRUPT,
			       "a watermark in the store tells of a commit that is not there");
	return rc;
}

int sw_watermarks_verify(struct sw_txn *txn, const struct sw_hash *database)
{
	struct sw_key at = {{0}};
	struct sw_view found, value;
	int rc;

	while ((rc = next_author(txn, &at, &found, &value)) > 0) {
		memcpy(at.b, found.p, SW_KEY_SIZE);
		rc = verify_one(txn, &at, database);
		if (rc < 0 || !next_key(&at))
			return rc;
	}
	return rc;
}

struct storing {
	struct sw_db *db;
	struct sw_reader r; /* over the write transaction */
	struct sw_watermark *v;
	uint64_t *from;
	size_t n; /* that are new */
	uint64_t number;
	bool has_diverged;
	struct sw_divergence divergence;
};

static int begin(struct storing *st)
{
	struct sw_settling *s = st->db->settling;
	int rc = sw_txn_begin(st->db->store, true, &st->r.txn);

	if (rc == 0)
		rc = sw_db_nodes(st->db, st->r.txn, &st->r.nodes);
	if (rc == 0)
		rc = sw_head_load(st->r.txn, &st->r.head);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = sw_settling_refresh(st->db, &st->r);
	st->number = s->number;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* What was stored is seen from now on. What fails here is read again when somebody asks. */
static int note(struct sw_settling *s, struct sw_db *db, struct sw_txn *txn,
		const struct sw_watermark *m, uint64_t number, uint64_t from)
{
	struct sw_voice *w = sw_settling_voice(s, &m->author);
	uint64_t before;

	if (!w)
		return SW_ENOTFOUND;
	before = w->stamp == 0 ? UINT64_MAX : w->count;
	*w = (struct sw_voice){w->key, m->stamp, m->head.count, number, from};
	if (sw_key_eq(&w->key, sw_db_key(db)))
		return 0;
	/* The first takes the place of the grants. One with fewer commits does not go on from the
	 * one before. */
	if (m->head.count < before)
		sw_seen_clear(&s->seen, (size_t)(w - s->v));
	return sw_settling_see(s, txn, (size_t)(w - s->v), m);
}

static void note_all(struct storing *st)
{
	struct sw_settling *s = st->db->settling;
	struct sw_reader r;
	int rc;

	pthread_mutex_lock(&s->lock);
	s->number = st->number;
	rc = sw_reader_begin(st->db, &r);
	if (rc == 0) {
		for (size_t i = 0; rc == 0 && i < st->n; i++)
			rc = note(s, st->db, r.txn, &st->v[i], st->number - st->n + 1 + i,
				  st->from[i]);
		sw_reader_end(&r);
	}
	s->is_loaded = s->is_loaded && rc == 0;
	pthread_mutex_unlock(&s->lock);
}

/* Ends the transaction. */
static int finish(struct storing *st)
{
	int rc = sw_settling_save(st->db->settling, st->r.txn);

	if (rc == 0)
		rc = sw_txn_commit(SW_TAKE(st->r.txn));
	if (rc == 0)
		note_all(st);
	return rc;
}

static int put(struct storing *st, const struct sw_watermark *m, struct sw_view bytes,
	       uint64_t from)
{
	st->v[st->n] = *m;
	st->from[st->n++] = from;
	return store_watermark(st->r.txn, &m->author, ++st->number, bytes);
}

/* Signing */

/* Whether anybody wants to hear it. */
static int is_wanted(const struct storing *st, bool *out)
{
	struct sw_hash members;
	uint64_t n;
	int role, rc = sw_db_role(&st->r, sw_db_key(st->db), &role);

	*out = false;
	if (rc == 0)
		rc = sw_settling_members(&st->r, &members);
	if (rc == 0)
		rc = sw_tree_count(st->r.nodes, &members, &n);
	*out = rc == 0 && role >= SW_ROLE_WRITER && n > 1;
	return rc;
}

static int sign(struct storing *st, const struct sw_hash *tips, size_t n_tips, struct sw_buf *bytes)
{
	struct sw_watermark m = {.head = st->r.head, .n_tips = n_tips}, last = {0};
	struct sw_view stored;
	uint64_t number;
	int rc = sw_watermark_load(st->r.txn, sw_db_key(st->db), &number, &stored, &last);

	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	if (n_tips > SW_WATERMARK_TIPS_MAX || (rc == 0 && sw_head_eq(&last.head, &m.head)))
		return 0;
	m.tips = sw_view(tips->b, n_tips * SW_HASH_SIZE);
	m.stamp = sw_hlc_next(last.stamp, sw_env_wall_ms(st->db->env));
	sw_watermark_seal(&m, &st->db->id, st->db->identity, bytes);
	return bytes->rc < 0 ? bytes->rc : put(st, &m, sw_buf_view(bytes), 0);
}

int sw_db_sign_watermark(struct sw_db *db)
{
	struct sw_watermark mark;
	uint64_t from;
	struct storing st = {.db = db, .v = &mark, .from = &from};
	struct sw_hash *tips = NULL;
	bool is_wanted_now = false;
	SW_BUF bytes = {0};
	size_t n_tips;
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = begin(&st);
	if (rc == 0 && st.r.head.count > 0)
		rc = is_wanted(&st, &is_wanted_now);
	if (rc == 0 && is_wanted_now && sw_db_withheld(db) > 0)
		rc = sw_fail(SW_EAGAIN, "own commits were sent to nobody yet");
	if (rc == 0 && is_wanted_now) {
		rc = sw_db_tips(&st.r, &tips, &n_tips);
		if (rc == 0)
			rc = sign(&st, tips, n_tips, &bytes);
		if (rc == 0 && st.n > 0)
			rc = finish(&st);
	}
	free(tips);
	sw_reader_end(&st.r);
	pthread_mutex_unlock(&db->write_lock);
	return rc < 0 ? rc : st.n > 0;
}

size_t sw_db_writers(struct sw_db *db)
{
	size_t n;

	pthread_mutex_lock(&db->settling->lock);
	n = db->settling->n;
	pthread_mutex_unlock(&db->settling->lock);
	return n;
}

/* Taking */

/* Of the same commits as ours its author has other roots. */
static int compare(struct storing *st, const struct sw_watermark *m)
{
	struct sw_hash *tips;
	bool is_same;
	size_t n;
	int rc;

	if (m->head.count != st->r.head.count || sw_head_eq(&m->head, &st->r.head))
		return 0;
	rc = sw_db_tips(&st->r, &tips, &n);
	if (rc < 0)
		return rc;
	is_same = sw_view_eq(m->tips, sw_view(tips->b, n * SW_HASH_SIZE));
	free(tips);
	if (is_same) {
		st->has_diverged = true;
		sw_divergence_of(&m->author, &st->r.head, &m->head, &st->divergence);
	}
	return 0;
}

/* Whether all that it tells of is here. */
static int has_tips(const struct storing *st, const struct sw_watermark *m, bool *out)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n_tips; i++) {
		struct sw_hash tip;
		uint64_t seq;

		sw_watermark_tip(m, i, &tip);
		rc = sw_history_seq(st->r.txn, &tip, &seq);
	}
	*out = rc == 0;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

/* Whether an author may write, and the stamp of its newest one that is here. */
static bool find_voice(struct sw_db *db, const struct sw_key *author, uint64_t *stamp)
{
	const struct sw_voice *w;

	pthread_mutex_lock(&db->settling->lock);
	w = sw_settling_voice(db->settling, author);
	*stamp = w ? w->stamp : 0;
	pthread_mutex_unlock(&db->settling->lock);
	return w != NULL;
}

bool sw_db_has_watermark(struct sw_db *db, const struct sw_watermark *m)
{
	uint64_t stamp;

	return find_voice(db, &m->author, &stamp) && m->stamp <= stamp;
}

/* The same, with what is in this batch. */
static bool find_author(const struct storing *st, const struct sw_watermark *m, uint64_t *stamp)
{
	bool may_write = find_voice(st->db, &m->author, stamp);

	for (size_t i = 0; i < st->n; i++)
		if (sw_key_eq(&st->v[i].author, &m->author) && st->v[i].stamp > *stamp)
			*stamp = st->v[i].stamp;
	return may_write;
}

static int judge(struct storing *st, struct sw_incoming_watermark *v, struct sw_watermark *m)
{
	bool has_all;
	uint64_t stamp;
	int rc;

	v->taken = SW_WATERMARK_REFUSED;
	if (sw_watermark_decode(v->bytes, m) < 0)
		return 0;
	v->taken = SW_WATERMARK_WAITS;
	if (!find_author(st, m, &stamp))
		return 0;
	v->taken = m->stamp > stamp ? SW_WATERMARK_WAITS : SW_WATERMARK_OLD;
	if (v->taken == SW_WATERMARK_OLD)
		return 0;
	rc = has_tips(st, m, &has_all);
	if (rc < 0 || !has_all)
		return rc;
	rc = sw_watermark_verify(v->bytes, m, &st->db->id);
	v->taken = rc == 0 ? SW_WATERMARK_NEW : SW_WATERMARK_REFUSED;
	return rc == SW_ESIG ? 0 : rc;
}

static int take(struct storing *st, struct sw_incoming_watermark *v, size_t n)
{
	int rc = begin(st);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sw_watermark m;

		rc = judge(st, &v[i], &m);
		if (rc == 0 && v[i].taken == SW_WATERMARK_NEW)
			rc = put(st, &m, v[i].bytes, v[i].from);
		if (rc == 0 && v[i].taken == SW_WATERMARK_NEW)
			rc = compare(st, &m);
	}
	if (rc == 0 && st->n > 0)
		rc = finish(st);
	return rc;
}

int sw_db_take_watermarks(struct sw_db *db, struct sw_incoming_watermark *v, size_t n,
			  size_t *n_new)
{
	struct storing st = {.db = db};
	int rc;

	st.v = calloc(n + 1, sizeof(*st.v));
	st.from = calloc(n + 1, sizeof(*st.from));
	pthread_mutex_lock(&db->write_lock);
	rc = st.v && st.from ? take(&st, v, n) : SW_ENOMEM;
	sw_reader_end(&st.r);
	if (rc == 0 && st.has_diverged)
		sw_db_tell_diverged(db, &st.divergence);
	pthread_mutex_unlock(&db->write_lock);
	*n_new = rc == 0 ? st.n : 0;
	free(st.v);
	free(st.from);
	return rc;
}

/* Passing on */

static int by_number(const void *a, const void *b)
{
	const struct sw_voice *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* Those numbered after `after`, oldest first; free *out. lock is held. */
static int list_after(const struct sw_settling *s, uint64_t after, struct sw_voice **out, size_t *n)
{
	struct sw_voice *v = calloc(s->n + 1, sizeof(*v));

	*n = 0;
	if (!v)
		return SW_ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].number > after)
			v[(*n)++] = s->v[i];
	qsort(v, *n, sizeof(*v), by_number);
	*out = v;
	return 0;
}

int sw_db_watermarks_after(struct sw_db *db, uint64_t from, size_t size_max, uint64_t *after,
			   struct sw_buf *out)
{
	struct sw_settling *s = db->settling;
	struct sw_voice *v = NULL;
	struct sw_reader r;
	size_t n = 0, begin_n = out->n;
	bool is_nothing;
	int rc;

	pthread_mutex_lock(&s->lock);
	is_nothing = s->is_loaded && s->number <= *after;
	pthread_mutex_unlock(&s->lock);
	if (is_nothing)
		return 0;
	rc = sw_reader_begin(db, &r);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = sw_settling_refresh(db, &r);
	if (rc == 0)
		rc = list_after(s, *after, &v, &n);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; rc == 0 && i < n && out->n - begin_n < size_max; i++) {
		struct sw_watermark m;
		struct sw_view bytes;
		uint64_t number;

		*after = v[i].number;
		if (v[i].from == from)
			continue;
		/* If there is a newer one since, it comes now and once more. */
		rc = sw_watermark_load(r.txn, &v[i].key, &number, &bytes, &m);
		if (rc == 0)
			sw_buf_put_bytes(out, bytes);
	}
	sw_reader_end(&r);
	free(v);
	if (rc == 0)
		rc = out->rc;
	return rc < 0 ? rc : out->n > begin_n;
}
