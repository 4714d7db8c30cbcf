#include <assert.h>

#include "core/blob.h"
#include "core/columns.h"
#include "core/db_internal.h"
#include "core/gc.h"
#include "core/hlc.h"
#include "tests/lib/content.h"
#include "tests/lib/world_internal.h"

#define N_TABLES WORLD_TABLES
#define N_KEYS	 WORLD_KEYS
#define N_ROWS	 WORLD_ROWS
#define OPS_MAX	 14 /* a table that is renamed with all of its rows has 12 */
#define ORDERS_COMMITS_MAX 4

static const char *const tables[N_TABLES] = {"t", "u", "v"};
static const char *const keys[N_KEYS] = {"a.json", "b.json", "c.json", "plain", "Plain"};

struct world_counts world_counts;

struct sw_view world_table(size_t row)
{
	return sw_view_str(tables[row / N_KEYS]);
}

struct sw_view world_key(size_t row)
{
	return sw_view_str(keys[row % N_KEYS]);
}

static uint32_t below(struct world *w, uint32_t n)
{
	return rng_below(&w->rng, n);
}

static bool one_in(struct world *w, uint32_t n)
{
	return below(w, n) == 0;
}

/* Contents */

/* Every content is known to every oracle, and may be the base of a later write. */
static void add_version(struct world *w, size_t row, struct sw_view bytes)
{
	struct world_version v = {.row = row};

	for (size_t i = 0; i < w->n; i++)
		v.hash = oracle_learn(&w->seen[i], bytes);
	if (bytes.n <= 1024)
		sw_hash_compute(SW_DOMAIN_VALUE, bytes, &v.hash);
	else
		world_counts.large++;
	sw_buf_put_view(&v.bytes, bytes);
	if ((w->n_versions & (w->n_versions - 1)) == 0) {
		w->versions = realloc(w->versions, (w->n_versions ? 2 * w->n_versions : 1) * sizeof(v));
		assert_non_null(w->versions);
	}
	w->versions[w->n_versions++] = v;
}

static const struct oracle_row *current(const struct world *w, size_t i, size_t row)
{
	return oracle_row(&w->seen[i], tables[row / N_KEYS], keys[row % N_KEYS]);
}

/* What an operation replaces: mostly what stands there, sometimes what its author remembers. */
static void choose_old(struct world *w, size_t i, size_t row, struct sw_hash *old, struct sw_view *base)
{
	const struct oracle_row *r = current(w, i, row);
	uint32_t dice = below(w, 100);

	*old = sw_hash_zero;
	*base = sw_view(NULL, 0);
	if (dice < 75) {
		if (!r)
			return;
		*old = r->hash;
		*base = sw_buf_view(&r->bytes);
	} else if (dice < 93) {
		for (int tries = 0; w->n_versions > 0 && tries < 20; tries++) {
			const struct world_version *v = &w->versions[below(w, (uint32_t)w->n_versions)];

			if (v->row != row)
				continue;
			*old = v->hash;
			*base = sw_buf_view(&v->bytes);
			return;
		}
	} else if (dice < 96) {
		rng_next(&w->rng);
		for (size_t k = 0; k < SW_HASH_SIZE; k++)
			old->b[k] = (uint8_t)below(w, 256);
	}
}

/* A commit or a record that exists, or nearly. */
static struct sw_hash choose_commit(struct world *w, size_t i)
{
	struct oracle *o = &w->seen[i];

	if (o->n == 0 || one_in(w, 10))
		return sw_hash_zero;
	return o->commits[below(w, (uint32_t)o->n)].commit.id;
}

static bool choose_record(struct world *w, size_t i, struct sw_op *op, size_t *row)
{
	const struct oracle *o = &w->seen[i];
	const struct sw_buf *key;

	if (o->conflicts.n == 0 || one_in(w, 4))
		return false;
	key = &o->conflicts.v[below(w, (uint32_t)o->conflicts.n)].key;
	for (*row = 0; *row < N_ROWS; ++*row) {
		size_t t = strlen(tables[*row / N_KEYS]), k = strlen(keys[*row % N_KEYS]);

		if (key->n == t + k + 2 + SW_HASH_SIZE && memcmp(key->p, tables[*row / N_KEYS], t) == 0 &&
		    memcmp(key->p + t + 1, keys[*row % N_KEYS], k) == 0) {
			memcpy(op->commit.b, key->p + key->n - SW_HASH_SIZE, SW_HASH_SIZE);
			return true;
		}
	}
	return false;
}

static void free_contents(struct sw_buf *contents)
{
	for (size_t i = 0; i < OPS_MAX; i++)
		sw_buf_fini(&contents[i]);
}

static void meta(struct world *w, struct sw_op *op)
{
	static const uint16_t modes[] = {0644, 0600, 0777, 0};

	op->row.mode = modes[below(w, 4)];
	op->row.mtime_ns = one_in(w, 20) ? (int64_t)rng_next(&w->rng) : -2000000000 + 500000000 * (int64_t)below(w, 9);
}

/* One operation; its content, if it is a PUT, goes to `content`. */
static void make_op(struct world *w, size_t i, enum sw_mode mode, struct sw_write_op *out, struct sw_buf *content)
{
	size_t row = one_in(w, 3) ? below(w, N_ROWS) : below(w, N_KEYS - 1);
	struct sw_op *op = &out->op;
	uint32_t dice = below(w, 100);

	*out = (struct sw_write_op){.op = {.table = sw_view_str(tables[row / N_KEYS])}};
	meta(w, op);
	if (dice < 60) {
		op->kind = SW_OP_PUT;
		choose_old(w, i, row, &op->old, &out->base);
		out->has_base = out->base.p != NULL && !one_in(w, 5);
		content_make(&w->rng, sw_view_str(keys[row % N_KEYS]), out->base, content);
		out->content = sw_buf_view(content);
		add_version(w, row, out->content);
	} else if (dice < 72) {
		op->kind = SW_OP_DELETE;
		choose_old(w, i, row, &op->old, &out->base);
	} else if (dice < 78) {
		op->kind = SW_OP_CHMETA;
	} else if (dice < 81) {
		op->kind = SW_OP_MKTABLE;
	} else if (dice < 84) {
		op->kind = SW_OP_RMTABLE;
	} else if (dice < 86) {
		op->kind = SW_OP_CHMETA;
	} else if (dice < 90) {
		op->kind = SW_OP_TAG;
		op->table = sw_view_str(one_in(w, 2) ? "v1" : "v2");
		op->commit = choose_commit(w, i);
		return;
	} else if (mode == SW_MODE_STRICT) {
		op->kind = SW_OP_CHECK;
		choose_old(w, i, row, &op->old, &out->base);
	} else {
		op->kind = SW_OP_RESOLVE;
		if (!choose_record(w, i, op, &row))
			op->commit = choose_commit(w, i);
		op->table = sw_view_str(tables[row / N_KEYS]);
	}
	if (op->kind != SW_OP_MKTABLE && op->kind != SW_OP_RMTABLE && (dice < 84 || dice >= 86))
		op->key = sw_view_str(keys[row % N_KEYS]);
}

/* A row takes the place of another: two operations. */
static size_t rename_row(struct world *w, size_t i, size_t from, size_t to, struct sw_write_op *ops,
			 struct sw_buf *contents)
{
	const struct oracle_row *r = current(w, i, from), *over = current(w, i, to);

	if (!r || from == to)
		return 0;
	sw_buf_put_view(&contents[1], sw_buf_view(&r->bytes));
	ops[0] = (struct sw_write_op){.op = {.kind = SW_OP_DELETE,
					     .table = world_table(from),
					     .key = world_key(from),
					     .old = r->hash}};
	ops[1] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
					     .table = world_table(to),
					     .key = world_key(to),
					     .old = over ? over->hash : sw_hash_zero,
					     .row = {.mode = r->mode, .mtime_ns = r->mtime_ns}},
				      .content = sw_buf_view(&contents[1]),
				      .base = over ? sw_buf_view(&over->bytes) : sw_view(NULL, 0)};
	ops[1].has_base = ops[1].base.p != NULL;
	add_version(w, to, ops[1].content);
	return 2;
}

/* With all its rows. */
static size_t rename_table(struct world *w, size_t i, struct sw_write_op *ops, struct sw_buf *contents)
{
	size_t from = below(w, N_TABLES), to = below(w, N_TABLES), n = 2;

	if (from == to || !oracle_table(&w->seen[i], tables[from]))
		return 0;
	ops[0] = (struct sw_write_op){.op = {.kind = SW_OP_RMTABLE, .table = sw_view_str(tables[from])}};
	ops[1] = (struct sw_write_op){.op = {.kind = SW_OP_MKTABLE, .table = sw_view_str(tables[to]), .row = {.mode = 0755}}};
	for (size_t k = 0; k < N_KEYS; k++)
		n += rename_row(w, i, from * N_KEYS + k, to * N_KEYS + k, ops + n, contents + n);
	return n;
}

/* Up to OPS_MAX operations without repetition. */
static size_t make_ops(struct world *w, size_t i, enum sw_mode mode, struct sw_write_op *ops, struct sw_buf *contents)
{
	size_t want = 1 + below(w, one_in(w, 3) ? 6 : 2), n = 0;

	if (one_in(w, 12))
		n = one_in(w, 3) ? rename_table(w, i, ops, contents)
				 : rename_row(w, i, below(w, N_ROWS), below(w, N_ROWS), ops, contents);
	if (n > 0)
		return n;
	for (size_t tries = 0; n < want && tries < 12; tries++) {
		bool repeats = false;

		sw_buf_fini(&contents[n]);
		make_op(w, i, mode, &ops[n], &contents[n]);
		for (size_t k = 0; k < n; k++)
			repeats |= sw_op_cmp(&ops[k].op, &ops[n].op) == 0;
		n += !repeats;
	}
	return n;
}

/* What a mount is told of a step against what became of the rows. */

struct shadow {
	struct sw_buf rows[N_ROWS];
};

static void shadow_take(const struct world *w, size_t i, struct shadow *s)
{
	*s = (struct shadow){0};
	for (size_t row = 0; row < N_ROWS; row++) {
		const struct oracle_row *r = current(w, i, row);

		if (!r)
			continue;
		sw_buf_put_u16(&s->rows[row], r->mode);
		sw_buf_put_u64(&s->rows[row], (uint64_t)r->mtime_ns);
		sw_buf_put_view(&s->rows[row], sw_buf_view(&r->bytes));
	}
}

static void shadow_free(struct shadow *s)
{
	for (size_t row = 0; row < N_ROWS; row++)
		sw_buf_fini(&s->rows[row]);
}

static void changed(void *arg, const struct sw_changes *changes, const struct sw_head *head, bool by_others)
{
	struct world *w = arg;

	(void)head;
	(void)by_others;
	sw_changes_fini(&w->changes);
	w->changes.v = calloc(changes->n + 1, sizeof(*changes->v));
	assert_non_null(w->changes.v);
	w->changes.n = changes->n;
	for (size_t i = 0; i < changes->n; i++) {
		sw_buf_put_view(&w->changes.names, changes->v[i].table);
		sw_buf_put_view(&w->changes.names, changes->v[i].key);
	}
	for (size_t i = 0, at = 0; i < changes->n; i++) {
		w->changes.v[i] = changes->v[i];
		w->changes.v[i].table.p = w->changes.names.p + at;
		at += changes->v[i].table.n;
		w->changes.v[i].key.p = w->changes.names.p + at;
		at += changes->v[i].key.n;
	}
}

static void check_changes(struct world *w, size_t i, const struct shadow *before)
{
	struct shadow after;

	shadow_take(w, i, &after);
	for (size_t row = 0; row < N_ROWS; row++) {
		const struct sw_change *found = NULL;
		struct sw_view x = sw_buf_view(&before->rows[row]), y = sw_buf_view(&after.rows[row]);

		for (size_t k = 0; k < w->changes.n; k++) {
			const struct sw_change *c = &w->changes.v[k];

			if (c->kind == SW_CHANGE_ROW && sw_view_eq(c->table, sw_view_str(tables[row / N_KEYS])) &&
			    sw_view_eq(c->key, sw_view_str(keys[row % N_KEYS]))) {
				assert_null(found);
				found = c;
			}
		}
		assert_int_equal(found != NULL, !sw_view_eq(x, y));
		if (found) {
			assert_int_equal(found->existed, x.n > 0);
			assert_int_equal(found->exists, y.n > 0);
		}
	}
	shadow_free(&after);
	sw_changes_fini(&w->changes);
}

/* Comparison */

static void differs(struct world *w, size_t i, const char *what)
{
	oracle_print(&w->seen[i]);
	print_error("world %llu, store %zu: the %s differs from the oracle's\n", (unsigned long long)w->seed, i,
		    what);
	fail();
}

void world_check(struct world *w, size_t i)
{
	struct oracle *o = &w->seen[i];
	struct sw_hash state, line;
	struct sw_head head;

	oracle_fold(o, o->n);
	state = oracle_state(o);
	line = oracle_line(o, o->n);
	sw_db_head(w->db[i].db, &head);
	if (head.count != oracle_count(o))
		differs(w, i, "count");
	if (!sw_hash_eq(&head.line, &line))
		differs(w, i, "line");
	if (!sw_hash_eq(&head.state, &state))
		differs(w, i, "state");
	world_counts.checks++;
}

static void verify(struct world *w, size_t i)
{
	struct sw_verify_report report;

	if (sw_db_verify(w->db[i].db, &report) < 0) {
		print_error("world %llu, store %zu: %s\n", (unsigned long long)w->seed, i,
			    sw_fail_message(SW_ECORRUPT));
		fail();
	}
}

/* The database as of commit x of the line. */
static void snapshot(struct world *w, size_t i, size_t x)
{
	struct oracle *o = &w->seen[i];
	struct sw_hash id = o->commits[x].commit.id, state;
	struct sw_order at;
	struct sw_snap *snap;

	if (o->commits[x].outcome == SW_OUT)
		return;

	sw_order_make(o->commits[x].commit.stamp, &o->commits[x].commit.author, &id, &at);
	if (sw_order_cmp(&at, &w->horizon[i]) < 0) {
		assert_int_equal(sw_snap_open(w->db[i].db, &id, &snap), SW_EFREED);
		return;
	}
	TEST_OK(sw_snap_open(w->db[i].db, &id, &snap));
	oracle_fold(o, x + 1);
	state = oracle_state(o);
	if (!sw_hash_eq(&state, sw_snap_state(snap)))
		differs(w, i, "snapshot");
	sw_snap_unref(snap);
	oracle_fold(o, o->n);
	world_counts.snapshots++;
}

void world_snapshot(struct world *w, size_t i)
{
	snapshot(w, i, below(w, (uint32_t)w->seen[i].n));
}

void world_snapshots(struct world *w, size_t i)
{
	for (size_t x = 0; x < w->seen[i].n; x++)
		snapshot(w, i, x);
}

void world_milestones(struct world *w, size_t i, uint64_t n_rows, uint64_t n_commits_ago)
{
	w->db[i].db->milestone_rate = (struct sw_milestone_rate){n_rows, n_commits_ago};
}

void world_gc(struct world *w, size_t i)
{
	struct sw_gc_options options = {0};
	struct sw_gc_report report;
	struct sw_cursor c = {0};
	struct sw_order at;
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(w->db[i].db, &r));
	assert_int_equal(sw_cursor_seek_rank(&c, r.nodes, &r.head.line, below(w, (uint32_t)r.head.count)), 1);
	memcpy(at.b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	if (sw_order_cmp(&at, &w->horizon[i]) < 0)
		return;
	options.horizon = &at;
	options.batch = 1 + below(w, 4);
	w->db[i].env.fail_in = one_in(w, 2) ? 1 + below(w, 20) : 0;
	w->db[i].env.fail_rc = SW_EIO;
	rc = sw_db_gc(w->db[i].db, &options, &report);
	w->db[i].env.fail_in = 0;
	assert_true(rc == 0 || rc == SW_EIO);
	w->n_interrupted += rc < 0;
	assert_false(report.is_held);
	TEST_OK(sw_reader_begin(w->db[i].db, &r));
	TEST_OK(sw_db_horizon(&r, &w->horizon[i]));
	sw_reader_end(&r);
	if (sw_order_stamp(&at) > w->floor)
		w->floor = sw_order_stamp(&at);
	w->n_freed += report.n_commits;
	verify(w, i);
	world_check(w, i);
}

/* Steps */

static void learn(struct world *w, size_t i, const struct sw_hash *id)
{
	struct sw_view raw, changeset;
	struct sw_commit c;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(w->db[i].db, &r));
	TEST_OK(sw_db_get_commit(&r, id, &c, &raw, &changeset));
	oracle_add(&w->seen[i], raw, changeset);
	sw_reader_end(&r);
}

static bool has_unclean(const struct oracle *o, const struct sw_write_op *ops, size_t n, bool *is_sure)
{
	bool unclean = false;

	*is_sure = true;
	for (size_t k = 0; k < n; k++) {
		struct sw_hash now = sw_hash_zero, new_hash = sw_hash_zero;
		char table[8] = "", key[8] = "";
		const struct oracle_row *r;

		if (ops[k].op.kind != SW_OP_PUT && ops[k].op.kind != SW_OP_DELETE && ops[k].op.kind != SW_OP_CHECK)
			continue;
		memcpy(table, ops[k].op.table.p, ops[k].op.table.n);
		memcpy(key, ops[k].op.key.p, ops[k].op.key.n);
		r = oracle_row(o, table, key);
		if (r)
			now = r->hash;
		unclean |= !sw_hash_eq(&now, &ops[k].op.old);
		/* A write that leaves the bytes as they were is none, and then not judged. */
		if (ops[k].op.kind == SW_OP_PUT && ops[k].content.n <= 1024)
			sw_hash_compute(SW_DOMAIN_VALUE, ops[k].content, &new_hash);
		if (ops[k].op.kind == SW_OP_PUT && (ops[k].content.n > 1024 || sw_hash_eq(&new_hash, &ops[k].op.old)))
			*is_sure = false;
	}
	return unclean;
}

void world_commit(struct world *w, size_t i)
{
	enum sw_mode mode = one_in(w, 4) ? SW_MODE_STRICT : SW_MODE_MERGE;
	struct sw_write_op ops[OPS_MAX];
	struct sw_buf contents[OPS_MAX] = {{0}};
	struct sw_write write = {.mode = mode, .ops = ops};
	struct sw_head before, after;
	struct shadow shadow;
	struct sw_hash id;
	bool unclean, is_sure;
	int rc;

	shadow_take(w, i, &shadow);
	sw_db_head(w->db[i].db, &before);
	write.n = make_ops(w, i, mode, ops, contents);
	unclean = has_unclean(&w->seen[i], ops, write.n, &is_sure);
	rc = sw_db_commit(w->db[i].db, &write, &id);
	if (rc == SW_EDENIED) {
		assert_true(oracle_role_of(&w->seen[i], sw_db_key(w->db[i].db)) < SW_ROLE_WRITER);
		world_counts.denied++;
	} else if (mode == SW_MODE_STRICT && rc == SW_ECONFLICT) {
		assert_true(unclean);
		world_counts.refused++;
	} else {
		TEST_OK(rc);
		assert_false(mode == SW_MODE_STRICT && unclean && is_sure);
	}
	sw_db_head(w->db[i].db, &after);
	if (rc < 0 || sw_hash_is_zero(&id)) {
		assert_true(sw_head_eq(&before, &after));
	} else {
		learn(w, i, &id);
		world_check(w, i);
		check_changes(w, i, &shadow);
	}
	shadow_free(&shadow);
	free_contents(contents);
}

/* Members */

static struct sw_key choose_key(struct world *w)
{
	size_t k = below(w, (uint32_t)(w->n + w->n_ghosts));

	return k < w->n ? *sw_db_key(w->db[k].db) : *sw_identity_key(w->ghosts[k - w->n]);
}

static int hash_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SW_HASH_SIZE);
}

/* Some commits of the key, or any, as those that stand; each once. */
static void choose_stand(struct world *w, size_t i, struct sw_op *op, struct sw_buf *ids)
{
	const struct oracle *o = &w->seen[i];
	struct sw_hash v[4];
	size_t n = 0, want = below(w, 4);

	for (int tries = 0; n < want && tries < 30; tries++) {
		const struct sw_commit *c = &o->commits[below(w, (uint32_t)o->n)].commit;
		bool there = !sw_key_eq(&c->author, &op->member) && !one_in(w, 8);

		for (size_t k = 0; k < n; k++)
			there |= sw_hash_eq(&v[k], &c->id);
		if (!there)
			v[n++] = c->id;
	}
	qsort(v, n, sizeof(v[0]), hash_cmp);
	for (size_t k = 0; k < n; k++)
		sw_buf_put_hash(ids, &v[k]);
	op->names_stand = true;
	op->stand = sw_buf_view(ids);
}

/* One to four operations of a control commit, in their order. */
static size_t make_control(struct world *w, size_t i, struct sw_op *ops, struct sw_buf *ids)
{
	struct sw_key key = choose_key(w);
	uint32_t dice = below(w, 100);
	size_t n = 0;

	if (dice < 55) {
		ops[n] = (struct sw_op){.kind = SW_OP_REVOKE, .member = key};
		if (one_in(w, 2))
			choose_stand(w, i, &ops[n], ids);
		n++;
	}
	if (dice < 25 || (dice >= 55 && dice < 90)) {
		ops[n++] = (struct sw_op){
		    .kind = SW_OP_GRANT, .member = dice < 10 ? choose_key(w) : key, .role = 1 + below(w, 3)};
	}
	if (dice >= 93 || n == 0) {
		ops[n++] = (struct sw_op){.kind = SW_OP_FLOOR};
	}
	return n;
}

void world_govern(struct world *w, size_t i)
{
	struct sw_write_op write_ops[4] = {0};
	struct sw_write write = {.mode = SW_MODE_CONTROL, .ops = write_ops};
	struct shadow shadow;
	struct sw_op ops[4];
	struct sw_hash id;
	SW_BUF ids = {0};
	int rc;

	write.n = make_control(w, i, ops, &ids);
	for (size_t k = 0; k < write.n; k++)
		write_ops[k].op = ops[k];
	shadow_take(w, i, &shadow);
	rc = sw_db_commit(w->db[i].db, &write, &id);
	if (rc == SW_EDENIED) {
		assert_true(oracle_role_of(&w->seen[i], sw_db_key(w->db[i].db)) < SW_ROLE_ADMIN);
		world_counts.denied++;
	} else {
		TEST_OK(rc);
		learn(w, i, &id);
		world_check(w, i);
		check_changes(w, i, &shadow);
	}
	shadow_free(&shadow);
}

/* The records of large rows that a changeset writes; some may be left behind, to be asked for. */
static void add_records(struct world *w, size_t i, struct sw_view changeset, struct sw_nodes *records)
{
	struct sw_changeset c;
	struct sw_op op;

	assert_int_equal(sw_changeset_begin(&c, changeset), 0);
	while (sw_changeset_next(&c, &op) > 0) {
		const struct sw_buf *bytes;
		struct sw_row row;

		if (op.kind != SW_OP_PUT || !op.row.is_blob)
			continue;
		bytes = oracle_content(&w->seen[i], &op.row.blob);
		assert_non_null(bytes);
		TEST_OK(sw_row_make(records, w->seen[i].shape, sw_buf_view(bytes), &row));
		assert_true(sw_hash_eq(&row.blob, &op.row.blob));
	}
}

static int count_missing(void *arg, const struct sw_hash *ref)
{
	(void)ref;
	++*(size_t *)arg;
	return 0;
}

/* Give commits to store i, and tell its oracle of those that it takes: all. */
static void deliver(struct world *w, size_t i, struct sw_incoming *in, size_t n)
{
	size_t n_taken, n_missing = 0;
	struct sw_nodes *records;
	struct world_late late;
	struct shadow shadow;

	shadow_take(w, i, &shadow);
	TEST_OK(sw_nodes_new(NULL, &records));
	if (one_in(w, 4)) {
		/* First without the large rows: they are named, and what is not taken waits for them, or for what vouches for it. */
		struct sw_incoming *first = calloc(n, sizeof(*first));
		bool blocked = false;

		assert_non_null(first);
		memcpy(first, in, n * sizeof(*first));
		sw_changes_fini(&w->changes);
		TEST_OK(sw_db_receive(w->db[i].db, first, n, 0, records, count_missing, &n_missing, &n_taken));
		for (size_t k = 0; k < n; k++)
			blocked |= first[k].taken == SW_TAKEN_INCOMPLETE;
		for (size_t k = 0; k < n; k++) {
			if (first[k].taken == SW_TAKEN)
				oracle_add(&w->seen[i], first[k].commit, first[k].changeset);
			else
				assert_true(blocked || first[k].taken == SW_TAKEN_ALREADY);
		}
		free(first);
		assert_int_equal(blocked, n_missing > 0);
		world_check(w, i);
		if (n_taken > 0)
			check_changes(w, i, &shadow);
		shadow_free(&shadow);
		shadow_take(w, i, &shadow);
	}
	for (size_t k = 0; k < n; k++)
		add_records(w, i, in[k].changeset, records);
	sw_changes_fini(&w->changes);
	world_late_begin(w, i, in, n, &late);
	TEST_OK(sw_db_receive(w->db[i].db, in, n, 0, records, NULL, NULL, &n_taken));
	for (size_t k = 0; k < n; k++) {
		if (in[k].taken == SW_TAKEN)
			oracle_add(&w->seen[i], in[k].commit, in[k].changeset);
		else if (in[k].taken != SW_TAKEN_ALREADY)
			print_error("taken %d: %s\n", (int)in[k].taken, in[k].reason ? in[k].reason : "");
		assert_true(in[k].taken <= SW_TAKEN_ALREADY);
	}
	world_counts.batches++;
	world_check(w, i);
	world_late_end(w, i, &late);
	check_changes(w, i, &shadow);
	shadow_free(&shadow);
	sw_nodes_free(records);
	if (one_in(w, 40))
		verify(w, i);
}

static bool parents_are_in(const struct oracle *o, const struct sw_incoming *in, size_t n, const struct sw_commit *c)
{
	for (size_t p = 0; p < c->n_parents; p++) {
		bool found = oracle_has(o, &c->parents[p]);

		for (size_t k = 0; !found && k < n; k++) {
			struct sw_commit other;

			assert_int_equal(sw_commit_decode(in[k].commit, &other), 0);
			found = sw_hash_eq(&other.id, &c->parents[p]);
		}
		if (!found)
			return false;
	}
	return true;
}

void world_exchange(struct world *w, size_t from, size_t to, size_t n)
{
	const struct oracle *a = &w->seen[from];
	struct sw_incoming *in = calloc(a->n + 1, sizeof(*in));
	bool *used = calloc(a->n + 1, sizeof(*used));
	size_t n_missing = 0, n_in = 0;

	assert_true(in && used);
	for (size_t x = 0; x < a->n; x++) {
		used[x] = oracle_has(&w->seen[to], &a->commits[x].commit.id) ||
			  (w->polite && a->commits[x].outcome == SW_OUT);
		n_missing += !used[x];
	}
	if (n > n_missing)
		n = n_missing;
	while (n_in < n) {
		size_t x = below(w, (uint32_t)a->n);

		if (used[x] || !parents_are_in(&w->seen[to], in, n_in, &a->commits[x].commit))
			continue;
		used[x] = true;
		in[n_in].commit = sw_buf_view(&a->commits[x].raw);
		in[n_in++].changeset = sw_buf_view(&a->commits[x].changeset);
	}
	for (size_t done = 0, part; done < n; done += part) {
		part = 1 + below(w, (uint32_t)(n - done));
		deliver(w, to, in + done, part);
	}
	free(used);
	free(in);
}

/* Commits by hand */

static void encode_columns(struct world *w, size_t row, const struct sw_write_op *op, struct sw_op *out,
			   struct sw_buf *columns)
{
	struct sw_view name = sw_view_str(keys[row % N_KEYS]);
	struct sw_columns before = {0}, after = {0};
	struct sw_columns_diff diff;
	struct sw_column_change change;
	bool rough = w->rough && one_in(w, (uint32_t)w->rough);

	if (sw_hash_is_zero(&out->old))
		return;
	if (!rough && (!op->base.p || sw_columns_parse(name, op->base, &before) != 1 ||
		       sw_columns_parse(name, op->content, &after) != 1)) {
		sw_columns_fini(&before);
		return;
	}
	out->has_columns = true;
	if (rough) {
		static const char *const names[] = {"", "q", "w", "x", "y", "z"};

		for (size_t i = 0; i < 6; i++) {
			struct sw_op_column c = {.name = sw_view_str(names[i])};

			if (one_in(w, 2))
				continue;
			if (one_in(w, 2))
				sw_hash_compute(SW_DOMAIN_COLUMN, sw_view_str(one_in(w, 2) ? "1" : "2"), &c.old);
			sw_op_column_encode(&c, columns);
			out->n_columns++;
		}
	} else {
		sw_columns_diff_init(&diff, &before, &after);
		while (sw_columns_diff_next(&diff, &change) > 0) {
			struct sw_op_column c = {.name = change.name};

			if (change.before)
				sw_column_hash(change.before, &c.old);
			sw_op_column_encode(&c, columns);
			out->n_columns++;
		}
	}
	out->columns = sw_buf_view(columns);
	sw_columns_fini(&before);
	sw_columns_fini(&after);
}

static size_t row_of_op(const struct sw_op *op)
{
	for (size_t row = 0; row < N_ROWS; row++)
		if (sw_view_eq(op->table, sw_view_str(tables[row / N_KEYS])) &&
		    sw_view_eq(op->key, sw_view_str(keys[row % N_KEYS])))
			return row;
	return 0;
}

static int op_cmp(const void *a, const void *b)
{
	const struct sw_write_op *x = a, *y = b;

	return sw_op_cmp(&x->op, &y->op);
}

static void craft_changeset(struct world *w, size_t i, enum sw_mode mode, struct sw_buf *out)
{
	struct sw_write_op ops[OPS_MAX];
	struct sw_op plain[OPS_MAX];
	struct sw_buf contents[OPS_MAX] = {{0}}, columns[OPS_MAX] = {{0}};
	size_t n = one_in(w, 30) ? 0 : make_ops(w, i, mode, ops, contents);
	struct sw_nodes *nodes;

	TEST_OK(sw_nodes_new(NULL, &nodes));
	qsort(ops, n, sizeof(ops[0]), op_cmp);
	for (size_t k = 0; k < n; k++) {
		plain[k] = ops[k].op;
		if (plain[k].kind != SW_OP_PUT)
			continue;
		TEST_OK(sw_row_make(nodes, w->seen[i].shape, ops[k].content, &plain[k].row));
		encode_columns(w, row_of_op(&plain[k]), &ops[k], &plain[k], &columns[k]);
	}
	sw_changeset_encode(mode, plain, n, out, NULL);
	sw_nodes_free(nodes);
	free_contents(contents);
	free_contents(columns);
}

/* One to four parents of those that the store has, after the grants; a stamp that may meet others. */
static void craft_header(struct world *w, size_t i, struct sw_commit *c)
{
	const struct oracle *o = &w->seen[i];
	size_t first = o->n - 1 < 1 + w->n ? o->n - 1 : 1 + w->n; /* grants come first */
	size_t n = 1 + below(w, 4);
	uint64_t last = 0;

	for (size_t k = 0; k < n; k++) {
		size_t x = first + below(w, (uint32_t)(o->n - first));
		bool there = false;

		if (one_in(w, 2))
			x = o->n - 1 - below(w, o->n - first < 4 ? (uint32_t)(o->n - first) : 4);
		for (size_t p = 0; p < c->n_parents; p++)
			there |= sw_hash_eq(&c->parents[p], &o->commits[x].commit.id);
		if (there)
			continue;
		c->parents[c->n_parents++] = o->commits[x].commit.id;
		if (o->commits[x].commit.stamp > last)
			last = o->commits[x].commit.stamp;
	}
	qsort(c->parents, c->n_parents, sizeof(c->parents[0]), hash_cmp);
	c->stamp = last + 1 + below(w, 3) + (one_in(w, 3) ? (uint64_t)below(w, 50) << 16 : 0);
	for (int tries = 0; tries < 5; tries++) {
		uint64_t other = o->commits[below(w, (uint32_t)o->n)].commit.stamp;

		if (other > last && one_in(w, 2))
			c->stamp = other;
	}
	if (c->stamp <= w->floor)
		c->stamp = w->floor + 1 + below(w, 3);
}

static void craft_control(struct world *w, size_t i, struct sw_buf *out)
{
	struct sw_op ops[4];
	SW_BUF ids = {0};
	size_t n = make_control(w, i, ops, &ids);

	sw_changeset_encode(SW_MODE_CONTROL, ops, n, out, NULL);
}

/* Nobody let its author do that, as far as the author had seen. */
static void offer_refused(struct world *w, size_t i, struct sw_incoming *in)
{
	size_t n_taken;

	TEST_OK(sw_db_receive(w->db[i].db, in, 1, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(in->taken, SW_TAKEN_REFUSED);
	world_check(w, i);
	world_counts.denied++;
}

void world_craft(struct world *w, size_t i)
{
	enum sw_mode mode = one_in(w, 3) ? SW_MODE_STRICT : SW_MODE_MERGE;
	struct sw_commit c = {.rule = SW_RULE_VERSION, .database = *sw_db_id(w->db[i].db)};
	struct sw_incoming in = {0};
	SW_BUF raw = {0};
	SW_BUF changeset = {0};

	if (w->governed && one_in(w, 3))
		mode = SW_MODE_CONTROL;
	if (mode == SW_MODE_CONTROL)
		craft_control(w, i, &changeset);
	else
		craft_changeset(w, i, mode, &changeset);
	craft_header(w, i, &c);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&changeset), &c.changeset);
	sw_commit_seal(&c, w->ghosts[below(w, (uint32_t)w->n_ghosts)], &raw);
	in.commit = sw_buf_view(&raw);
	in.changeset = sw_buf_view(&changeset);
	if (!oracle_takes(&w->seen[i], &c, mode, sw_buf_view(&changeset))) {
		offer_refused(w, i, &in);
		return;
	}
	deliver(w, i, &in, 1);
	world_counts.crafted++;
}

/* The process of a store ends, in good order or not, and another takes over. */
void world_restart(struct world *w, size_t i)
{
	struct sw_listener listener = {.arg = w, .changed = changed};
	struct test_db *t = &w->db[i];

	t->env.is_dead = one_in(w, 2);
	world_counts.crashes += t->env.is_dead;
	sw_db_close(t->db);
	t->env.is_dead = false;
	TEST_OK(sw_db_open(t->dir, &t->env.env, &t->db));
	sw_db_listen(t->db, &listener);
	world_check(w, i);
	world_counts.restarts++;
}

/* Every order */

struct orders {
	struct world *w;
	size_t first; /* commits from here on arrive in all orders, those before them in theirs */
	bool used[ORDERS_COMMITS_MAX];
	size_t order[ORDERS_COMMITS_MAX];
};

static void give(struct world *w, size_t to, size_t x)
{
	const struct oracle_commit *c = &w->seen[0].commits[x];
	struct sw_incoming in = {.commit = sw_buf_view(&c->raw), .changeset = sw_buf_view(&c->changeset)};

	deliver(w, to, &in, 1);
}

/* In one order, to a store that has nothing: it takes the place of the last one for so long. */
static void in_order(struct orders *s, size_t n)
{
	struct world *w = s->w;
	size_t at = w->n;
	struct sw_listener listener = {.arg = w, .changed = changed};
	struct sw_head head, other;

	w->n++;
	test_db_clone(&w->db[at], &w->db[0], rng_next(&w->rng));
	sw_db_listen(w->db[at].db, &listener);
	oracle_init(&w->seen[at], &w->salt);
	for (size_t x = 0; x < w->n_versions; x++)
		oracle_learn(&w->seen[at], sw_buf_view(&w->versions[x].bytes));
	for (size_t x = 0; x < s->first; x++)
		give(w, at, x);
	for (size_t k = 0; k < n; k++)
		give(w, at, s->first + s->order[k]);
	sw_db_head(w->db[0].db, &head);
	sw_db_head(w->db[at].db, &other);
	assert_true(sw_head_eq(&head, &other));
	test_db_close(&w->db[at]);
	oracle_fini(&w->seen[at]);
	w->n--;
	world_counts.orders++;
}

static bool parents_are_used(const struct orders *s, size_t n, size_t x)
{
	const struct oracle *o = &s->w->seen[0];
	const struct sw_commit *c = &o->commits[s->first + x].commit;

	for (size_t k = 0; k < n; k++)
		for (size_t p = 0; !s->used[k] && p < c->n_parents; p++)
			if (sw_hash_eq(&o->commits[s->first + k].commit.id, &c->parents[p]))
				return false;
	return true;
}

static void permute(struct orders *s, size_t n, size_t done)
{
	if (done == n)
		in_order(s, n);
	for (size_t x = 0; x < n; x++) {
		if (s->used[x] || !parents_are_used(s, n, x))
			continue;
		s->used[x] = true;
		s->order[done] = x;
		permute(s, n, done + 1);
		s->used[x] = false;
	}
}

void world_orders(struct world *w)
{
	struct orders s = {.w = w};
	size_t n = w->seen[0].n < ORDERS_COMMITS_MAX ? w->seen[0].n - 1 : ORDERS_COMMITS_MAX;

	assert_true(w->n < WORLD_DBS);
	s.first = w->seen[0].n - n;
	permute(&s, n, 0);
}

/* Beginning and end */

static void read_salt(struct world *w)
{
	struct sw_changeset c;
	struct sw_op op;
	struct sw_view raw, changeset;
	struct sw_commit commit;
	struct sw_reader r;

	TEST_OK(sw_reader_begin(w->db[0].db, &r));
	TEST_OK(sw_db_get_commit(&r, sw_db_id(w->db[0].db), &commit, &raw, &changeset));
	assert_int_equal(sw_changeset_begin(&c, changeset), 0);
	assert_int_equal(sw_changeset_next(&c, &op), 1);
	assert_int_equal(op.kind, SW_OP_GENESIS);
	w->salt = op.salt;
	for (size_t i = 0; i < w->n; i++)
		oracle_init(&w->seen[i], &w->salt);
	oracle_add(&w->seen[0], raw, changeset);
	sw_reader_end(&r);
}

static void let_in(struct world *w, const struct sw_key *key)
{
	enum sw_role role = w->governed && one_in(w, 2) ? SW_ROLE_ADMIN : SW_ROLE_WRITER;
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	struct sw_write write = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(w->db[0].db, &write, &id));
	learn(w, 0, &id);
	world_check(w, 0);
}

static void begin(struct world *w, uint64_t seed, size_t dbs_max, size_t ghosts_max)
{
	struct sw_listener listener = {.arg = w, .changed = changed};
	bool apart;

	*w = (struct world){.seed = seed, .rng = {seed}};
	apart = below(w, 3) > 0;
	w->n = 2 + below(w, (uint32_t)dbs_max - 1);
	w->n_ghosts = 1 + below(w, (uint32_t)ghosts_max);
	w->rough = one_in(w, 3) ? 4 : 0;
	w->governed = one_in(w, 2);
	w->polite = one_in(w, 2);
	for (size_t i = 0; i < w->n; i++) {
		if (i == 0)
			test_db_create(&w->db[i], rng_next(&w->rng));
		else
			test_db_clone(&w->db[i], &w->db[0], rng_next(&w->rng));
		if (apart)
			w->db[i].env.now_ms += below(w, 8000);
		sw_db_listen(w->db[i].db, &listener);
	}
	read_salt(w);
	for (size_t i = 0; i < w->n_ghosts; i++) {
		uint8_t secret[SW_KEY_SEED_SIZE];

		for (size_t k = 0; k < sizeof(secret); k++)
			secret[k] = (uint8_t)below(w, 256);
		TEST_OK(sw_identity_from_seed(secret, &w->ghosts[i]));
		let_in(w, sw_identity_key(w->ghosts[i]));
	}
	for (size_t i = 1; i < w->n; i++)
		let_in(w, sw_db_key(w->db[i].db));
	for (size_t i = 1; i < w->n; i++)
		world_exchange(w, 0, i, SIZE_MAX);
	world_counts.worlds++;
}

void world_init(struct world *w, uint64_t seed)
{
	begin(w, seed, WORLD_DBS, WORLD_GHOSTS);
}

void world_init_small(struct world *w, uint64_t seed)
{
	begin(w, seed, 2, 2);
}

/* Everything through the first store; false while they are not all equal. */
static bool settle_once(struct world *w)
{
	struct sw_head first, head;
	bool equal = true;

	for (size_t i = 1; i < w->n; i++)
		world_exchange(w, i, 0, SIZE_MAX);
	sw_db_head(w->db[0].db, &first);
	for (size_t i = 0; i < w->n; i++) {
		world_exchange(w, 0, i, SIZE_MAX);
		sw_db_head(w->db[i].db, &head);
		equal &= sw_head_eq(&first, &head);
	}
	return equal;
}

/* What comes back into a line by what a store learns has to travel again. */
void world_settle(struct world *w)
{
	size_t rounds = 1;

	while (!settle_once(w)) {
		assert_true(w->polite);
		assert_true(rounds++ < 20);
	}
	for (size_t i = 0; i < w->n; i++)
		verify(w, i);
	world_count(w);
}

void world_fini(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		test_db_close(&w->db[i]);
		oracle_fini(&w->seen[i]);
	}
	for (size_t i = 0; i < w->n_ghosts; i++)
		sw_identity_free(w->ghosts[i]);
	for (size_t i = 0; i < w->n_versions; i++)
		sw_buf_fini(&w->versions[i].bytes);
	free(w->versions);
	sw_changes_fini(&w->changes);
}

void world_step(struct world *w)
{
	uint32_t dice = below(w, 100);
	size_t i = below(w, (uint32_t)w->n);

	for (size_t k = 0; k < w->n; k++)
		w->db[k].env.now_ms += below(w, 3) ? 0 : below(w, 40);
	if (w->governed && below(w, 8) == 0)
		world_govern(w, i);
	else if (dice < 45)
		world_commit(w, i);
	else if (dice < 65)
		world_craft(w, i);
	else if (dice < 93)
		world_exchange(w, below(w, (uint32_t)w->n), i, 1 + below(w, 12));
	else if (dice < 95)
		world_restart(w, i);
	else
		world_snapshot(w, i);
}
