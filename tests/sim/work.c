/* Programs that write rows through a working set, and what must be left of that after a crash. */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/content.h"
#include "tests/lib/read.h"

#define ROW_MAX ((size_t)1 << 20)
#define TICK_MS 100 /* this is called so often */

static void journal_path(const struct sim *s, size_t at, char *out, size_t size)
{
	snprintf(out, size, "%s/journal", s->net.nodes[at].t.dir);
}

static uint64_t journal_size(const struct sim *s, size_t at)
{
	char path[256];
	struct stat st;

	journal_path(s, at, path, sizeof(path));
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Before each durable step that is about to succeed. */
static void on_step(void *arg, const char *step)
{
	struct net_node *node = arg;
	struct sim *s = node->net->watch.arg;
	struct sim_node *n = &s->nodes[node->at];

	if (strcmp(step, "dir.sync") == 0 && strcmp(n->died_at, "journal.replace") == 0)
		n->on_disk =
		    journal_size(s, node->at); /* a new one was flushed before it got its name */
	else if (strcmp(step, "journal.replace") == 0)
		n->on_disk = UINT64_MAX;
	snprintf(n->died_at, sizeof(n->died_at), "%s", step);
	if (strcmp(step, "journal.sync") == 0) {
		n->on_disk = journal_size(s, node->at);
		for (size_t i = 0; i < SIM_ROWS; i++)
			n->rows[i].is_synced = n->rows[i].is_set;
	}
}

/* What was kept of a damaged journal: nobody looks at it here. */
static void drop_aside(const struct sim *s, size_t at)
{
	char path[256], aside[300];

	journal_path(s, at, path, sizeof(path));
	snprintf(aside, sizeof(aside), "%s.damaged-1", path);
	(void)unlink(aside);
}

/* Where a fault that waited strikes in it, sim_settle() tries again. */
void sim_work_open(struct sim *s, size_t at)
{
	struct test_env *env = &s->net.nodes[at].t.env;
	bool may_fail = env->fail_in > 0;
	struct sw_head head;
	int rc;

	sw_db_head(s->net.nodes[at].t.db, &head);
	env->on_step = on_step;
	env->on_step_arg = &s->net.nodes[at];
	if (head.count == 0 || s->nodes[at].work)
		return;
	rc = sw_work_open(s->net.nodes[at].t.db, NULL, &s->nodes[at].work);
	if (rc < 0 && may_fail)
		return;
	if (rc < 0)
		sim_fail(s, "closed_is_kept", "the journal of node %zu cannot be opened: %s", at,
			 sw_fail_message(rc));
	s->nodes[at].on_disk = journal_size(s, at);
	drop_aside(s, at);
	sim_txn_open(s, at);
}

static void drop_changes(struct sim_node *n)
{
	while (n->changes) {
		struct sim_change *c = n->changes;

		n->changes = c->next;
		free(c);
	}
}

/* What was not flushed reaches the disk in any order: some of it may be there, and what was before it not. */
static void make_hole(int fd, uint64_t from, uint64_t to, struct rng *r)
{
	uint8_t zeros[400] = {0};
	uint64_t at = from + rng_next(r) % (to - from), n = 1 + rng_below(r, sizeof(zeros));

	n = n < to - at ? n : to - at;
	assert_true(pwrite(fd, zeros, n, (off_t)at) == (ssize_t)n);
}

/* The end of the journal as a crash may leave it: a record of which a part was written; garbage. */
static void tear(struct sim *s, size_t at, struct rng *r)
{
	uint64_t size = journal_size(s, at), keep = size, on_disk = s->nodes[at].on_disk;
	uint8_t garbage[40];
	char path[256];
	int fd;

	if (s->nodes[at].by_power && size > on_disk)
		keep = on_disk + rng_next(r) % (size - on_disk + 1);
	journal_path(s, at, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	assert_int_equal(ftruncate(fd, (off_t)keep), 0);
	if (s->nodes[at].by_power && keep > on_disk && rng_below(r, 2))
		make_hole(fd, on_disk, keep, r);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = i < 3 ? 0 : (uint8_t)rng_next(r);
	if (keep >= 28 && rng_below(r, 2))
		assert_true(pwrite(fd, garbage, 1 + rng_below(r, sizeof(garbage)), (off_t)keep) >
			    0);
	close(fd);
	s->stats->n_torn++;
}

void sim_work_close(struct sim *s, size_t at)
{
	sim_txn_close(s, at);
	sw_work_close(s->nodes[at].work);
	s->nodes[at].work = NULL;
	drop_changes(&s->nodes[at]);
}

void sim_work_die(struct sim *s, size_t at, struct rng *r)
{
	struct sim_node *n = &s->nodes[at];

	s->net.nodes[at].t.env.is_dead = true; /* closing must not write */
	sim_work_close(s, at);
	if (r)
		tear(s, at, r);
	for (size_t i = 0; i < SIM_ROWS; i++) {
		if (n->by_power && !n->rows[i].is_synced)
			n->rows[i] = (struct sim_row){0};
		if (n->by_power)
			n->txn.rows[i] = (struct sim_row){0};
	}
}

void sim_work_note(struct sim *s, size_t at, const struct sw_change *change)
{
	struct sim_change *c, **last = &s->nodes[at].changes;

	if (change->kind != SW_CHANGE_ROW || !s->nodes[at].work)
		return;
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	c->change = *change;
	memcpy(c->names, change->table.p, change->table.n);
	memcpy(c->names + SW_NAME_MAX, change->key.p, change->key.n);
	c->change.table.p = c->names;
	c->change.key.p = c->names + SW_NAME_MAX;
	while (*last)
		last = &(*last)->next;
	*last = c;
}

/* Who was revoked is told that it may not write. */
bool sim_work_may_fail(const struct sim *s, size_t at, int rc)
{
	return s->net.nodes[at].t.env.is_dead || rc == SW_EIO || rc == SW_ENOSPC ||
	       (rc == SW_EDENIED && s->nodes[at].was_revoked);
}

void sim_work_run(struct sim *s, size_t at)
{
	struct sim_node *n = &s->nodes[at];

	for (const struct sim_change *c = n->changes; c; c = c->next)
		(void)sw_work_note_change(n->work, &c->change);
	drop_changes(n);
	if (sw_work_due_ms(n->work) <= TICK_MS) {
		int rc = sw_work_run(n->work);

		if (rc < 0 && !sim_work_may_fail(s, at, rc))
			sim_fail(s, "write", "node %zu cannot commit its rows: %s", at,
				 sw_fail_message(rc));
	}
}

bool sim_work_is_idle(struct sim *s, size_t at)
{
	struct sw_work_status status;

	if (!s->nodes[at].work)
		return true;
	sw_work_status(s->nodes[at].work, &status);
	return status.n_edits == 0;
}

/* Rows as programs see them */

bool sim_work_view(struct sw_work *work, size_t row, struct sw_buf *out)
{
	struct sw_handle h;
	int rc = sw_work_open_row(work, sim_table(row), sim_key(row), 0, 0, &h);

	if (rc == SW_ENOTFOUND || rc == SW_ENOTDIR)
		return false;
	TEST_OK(rc);
	assert_non_null(sw_buf_reserve(out, ROW_MAX));
	out->n = test_read(work, &h, 0, out->p, ROW_MAX);
	sw_handle_release(work, &h);
	return true;
}

static bool view_row(struct sim *s, size_t at, size_t row, struct sw_buf *out)
{
	return sim_work_view(s->nodes[at].work, row, out);
}

struct sw_hash sim_work_hash(const struct sw_buf *bytes)
{
	struct sw_hash h;

	sw_hash_compute(SW_DOMAIN_VALUE, sw_buf_view(bytes), &h);
	return h;
}

/* Bytes that nobody else writes: so it can be told whether they arrived. */
static void make_unique(struct sim *s, struct rng *r, struct sw_buf *content)
{
	size_t n = content->n;
	char name[8];

	while (n > 0 && (content->p[n - 1] == '\n' || content->p[n - 1] == ' '))
		n--;
	if (n < 2 || content->p[n - 1] != '}') {
		sw_buf_printf(content, "#%llu", (unsigned long long)++s->nonce);
		return;
	}
	/* A column of its own, with a name that the row does not have yet, if there is one. */
	for (size_t i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "\"u%x\"", rng_below(r, 16));
		if (!memmem(content->p, n, name, 4))
			break;
	}
	content->n = n - 1;
	sw_buf_printf(content, "%s%s:%llu}", memchr(content->p, ':', content->n) ? "," : "", name,
		      (unsigned long long)++s->nonce);
}

/* A write that was not told to have succeeded may be there or not. */
static void note_closed(struct sim_row *row, const struct sw_buf *content, bool is_told)
{
	if (is_told)
		*row = (struct sim_row){.is_set = true, .hash = sim_work_hash(content)};
	else
		row->is_maybe = true;
}

void sim_work_content(struct sim *s, struct rng *r, size_t row, const struct sw_buf *base,
		      struct sw_buf *out)
{
	content_make(r, sim_key(row), sw_buf_view(base), out);
	make_unique(s, r, out);
}

int sim_work_write(struct sw_work *work, size_t row, const struct sw_buf *content, bool sync)
{
	struct sw_handle h;
	int rc = sw_work_mkdir(work, sim_table(row), 0755);

	if (rc < 0 && rc != SW_EEXIST)
		return rc;
	rc = sw_work_open_row(work, sim_table(row), sim_key(row),
			      SW_OPEN_CREATE | SW_OPEN_WRITE | SW_OPEN_TRUNCATE, 0644, &h);
	if (rc < 0)
		return rc;
	rc = sw_handle_write(work, &h, 0, false, sw_buf_view(content));
	if (rc == 0 && sync)
		rc = sw_handle_sync(work, &h);
	if (rc == 0)
		rc = sw_handle_flush(work, &h);
	sw_handle_release(work, &h);
	return rc;
}

static void edit(struct sim *s, size_t at, size_t row, bool sync, struct rng *r)
{
	struct sim_row *known = &s->nodes[at].rows[row];
	SW_BUF base = {0};
	SW_BUF content = {0};
	bool is_told;
	int rc;

	view_row(s, at, row, &base);
	sim_work_content(s, r, row, &base, &content);
	rc = sim_work_write(s->nodes[at].work, row, &content, sync);
	is_told = rc == 0 && !s->net.nodes[at].t.env.is_dead;
	note_closed(known, &content, is_told);
	if (is_told && sync)
		known->is_synced = true;
	if (rc < 0 && !sim_work_may_fail(s, at, rc))
		sim_fail(s, "write", "node %zu cannot write a row: %s", at, sw_fail_message(rc));
}

static void rename_row(struct sim *s, size_t at, size_t from, size_t to)
{
	struct sim_row *rows = s->nodes[at].rows;
	SW_BUF bytes = {0};
	struct sw_hash hash;
	int rc;

	if (from == to || !view_row(s, at, from, &bytes))
		return;
	hash = sim_work_hash(&bytes);
	rc = sw_work_rename(s->nodes[at].work, sim_table(from), sim_key(from), sim_table(to),
			    sim_key(to), 0);
	if (rc < 0 || s->net.nodes[at].t.env.is_dead) {
		rows[from].is_maybe = rows[to].is_maybe = true;
		if (!sim_work_may_fail(s, at, rc) && rc != SW_ENOTDIR && rc != SW_ENOTFOUND)
			sim_fail(s, "write", "node %zu cannot rename a row: %s", at,
				 sw_fail_message(rc));
		return;
	}
	/* Only bytes that are unique prove anything. */
	if (rows[from].is_set && !rows[from].is_maybe && sw_hash_eq(&rows[from].hash, &hash))
		rows[to] = (struct sim_row){.is_set = true, .hash = hash};
	else
		rows[to] = (struct sim_row){0};
	rows[from] = (struct sim_row){0};
}

static void unlink_row(struct sim *s, size_t at, size_t row)
{
	int rc = sw_work_unlink(s->nodes[at].work, sim_table(row), sim_key(row));

	if (rc == 0)
		s->nodes[at].rows[row] = (struct sim_row){0};
	else
		s->nodes[at].rows[row].is_maybe = true;
	if (rc < 0 && !sim_work_may_fail(s, at, rc) && rc != SW_ENOTFOUND && rc != SW_ENOTDIR)
		sim_fail(s, "write", "node %zu cannot unlink a row: %s", at, sw_fail_message(rc));
}

static void commit(struct sim *s, size_t at)
{
	struct sw_hash id = sw_hash_zero;
	int rc = sw_work_commit(s->nodes[at].work, sw_view_str("by hand"), &id);

	if (rc == 0 && !sw_hash_is_zero(&id) && !s->net.nodes[at].t.env.is_dead)
		sim_check_told(s, at, &id);
	if (rc < 0 && !sim_work_may_fail(s, at, rc))
		sim_fail(s, "write", "node %zu cannot commit: %s", at, sw_fail_message(rc));
}

void sim_work_act(struct sim *s, size_t at, enum sim_kind kind, struct rng *r)
{
	/* Often the same row, as programs do: what is lost and what is spent meet at one name. */
	size_t row = rng_below(r, rng_below(r, 2) ? SIM_ROWS : 1);

	if (!s->nodes[at].work)
		return;
	switch (kind) {
	case SIM_UNLINK:
		unlink_row(s, at, row);
		break;
	case SIM_RENAME:
		rename_row(s, at, row, rng_below(r, SIM_ROWS));
		break;
	case SIM_COMMIT:
		commit(s, at);
		break;
	default:
		edit(s, at, row, kind == SIM_SYNC, r);
	}
}

/* After a crash */

bool sim_read_anywhere(struct sim *s, size_t at, const struct sw_row *row, struct sw_buf *out)
{
	bool done = false;

	for (size_t k = 0; k < s->net.n_nodes && !done; k++) {
		struct sw_db *db = s->net.nodes[(at + k) % s->net.n_nodes].t.db;
		struct sw_reader r;

		if (!db)
			continue;
		sw_buf_reset(out);
		TEST_OK(sw_reader_begin(db, &r));
		done = sw_row_read(r.nodes, row, out) == 0;
		sw_reader_end(&r);
	}
	return done;
}

/* Whether a commit of this node wrote these bytes to the row. */
static bool was_committed(struct sim *s, size_t at, size_t row, const struct sw_hash *hash)
{
	const struct sw_key *key = sw_db_key(s->net.nodes[at].t.db);
	bool found = false, is_twin = s->nodes[at].is_twin; /* it had another key then */

	for (size_t i = s->n_commits; !found && i-- > 0;) {
		struct sw_changeset c;
		struct sw_op op;

		if (!sim_node_has(s, at, i) || (!is_twin && !sw_key_eq(&s->commits[i].author, key)))
			continue;
		TEST_OK(sw_changeset_begin(&c, sw_buf_view(&s->commits[i].changeset)));
		while (!found && sw_changeset_next(&c, &op) > 0) {
			SW_BUF bytes = {0};
			struct sw_hash h;

			if (op.kind != SW_OP_PUT || !sw_view_eq(op.table, sim_table(row)) ||
			    !sw_view_eq(op.key, sim_key(row)))
				continue;
			if (!sim_read_anywhere(s, at, &op.row, &bytes)) {
				found = true; /* freed by all: nobody can tell */
				continue;
			}
			h = sim_work_hash(&bytes);
			found = sw_hash_eq(&h, hash);
		}
	}
	return found;
}

void sim_work_check(struct sim *s, size_t at)
{
	for (size_t row = 0; s->nodes[at].work && row < SIM_ROWS; row++) {
		struct sim_row *known = &s->nodes[at].rows[row];
		struct sw_hash hash = sw_hash_zero;
		SW_BUF bytes = {0};

		if (known->is_set && !known->is_maybe) {
			if (view_row(s, at, row, &bytes))
				hash = sim_work_hash(&bytes);
			if (!sw_hash_eq(&hash, &known->hash) &&
			    !was_committed(s, at, row, &known->hash))
				sim_fail(s, "closed_is_kept",
					 "node %zu has lost what was closed%s as %.*s/%.*s", at,
					 known->is_synced ? " and synced" : "",
					 (int)sim_table(row).n, (const char *)sim_table(row).p,
					 (int)sim_key(row).n, (const char *)sim_key(row).p);
		}
		if (known->is_maybe)
			*known =
			    (struct sim_row){0}; /* whatever it is, it is certain from now on */
	}
}
