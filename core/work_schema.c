/*
 * Schemas and the working set: what a program wrote is looked at before it counts. If a schema
 * refuses it, its name has again what it had before, and the file stays with whoever has it open;
 * should he write it well after all, it comes back.
 */
#include "core/work_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/columns.h"
#include "core/refused.h"
#include "core/schemas.h"

#define ADMIT_MS 2000 /* for all rows of a working copy, which were looked at when they were written */

static bool is_schema(struct sw_view key)
{
	return sw_view_eq(key, sw_view_str(SW_SCHEMA_NAME));
}

/* By its name alone: nothing else costs anything. */
static bool is_judged(const struct sw_name *n)
{
	struct sw_view key = n->key;

	return n->key.n > 0 && !n->is_scratch && (sw_schema_concerns(key) || is_schema(key));
}

/* The set on the state that it stands on; a working copy, before it is applied, on the newest. */
struct judge {
	struct sw_work *w;
	bool on_newest;
};

static int read_state(const struct judge *j, struct sw_reader *r)
{
	return j->on_newest ? sw_reader_begin(j->w->db, r) : sw_work_read(j->w, r);
}

static void state_of(const struct judge *j, struct sw_hash *out)
{
	struct sw_head head;

	if (j->w->is_copy && !j->on_newest) {
		*out = j->w->base;
		return;
	}
	sw_db_head(j->w->db, &head);
	*out = head.state;
}

/* Up to max bytes of it. */
static int read_file(struct sw_work *w, const struct sw_file *f, size_t max, struct sw_buf *out)
{
	size_t size = sw_file_size(f) < max ? (size_t)sw_file_size(f) : max, got = 0;
	int rc;

	if (size == 0)
		return 0;
	if (!sw_buf_reserve(out, size))
		return SW_ENOMEM;
	rc = sw_file_read(w, f, 0, out->p, size, &got);
	out->n = got;
	return rc;
}

static int schema_of_edit(struct sw_work *w, const struct sw_name *n, struct sw_schema **out)
{
	SW_BUF text = {0};
	int rc;

	*out = NULL;
	if (!n->file)
		return 0;
	rc = read_file(w, n->file, SW_SCHEMA_TEXT_MAX + 1, &text);
	return rc < 0 ? rc
		      : sw_schemas_of_text(w->schemas, n->table, sw_buf_view(&text),
					   out);
}

/* *out is NULL when the table has none, or one that is none for the SQLite here: that holds up
 * nobody who writes. */
static int schema_of(const struct judge *j, struct sw_view table, struct sw_schema **out)
{
	struct sw_work *w = j->w;
	const struct sw_name *n = sw_name_find(w, table, sw_view_str(SW_SCHEMA_NAME));
	struct sw_hash state;
	struct sw_reader r;
	int rc;

	if (n && n->has_edit && sw_name_is_whole(n)) {
		rc = schema_of_edit(w, n, out);
		return rc == SW_EINVAL ? 0 : rc;
	}
	state_of(j, &state);
	if (sw_schemas_known(w->schemas, table, &state, out))
		return 0;
	rc = read_state(j, &r);
	if (rc < 0)
		return rc;
	rc = sw_schemas_of_state(w->schemas, table, r.nodes, &r.head.state, out);
	sw_reader_end(&r);
	return rc == SW_EINVAL ? 0 : rc;
}

static int is_there(void *arg, struct sw_view table, struct sw_view key)
{
	struct sw_attr attr;
	int rc = sw_row_stat(arg, table, key, &attr);

	return rc == 0 ? 1 : rc == SW_ENOTFOUND ? 0 : rc;
}

/* A new schema, and the rows that are there. */
struct comparison {
	struct judge judge;
	struct sw_schema_rows rows;
};

static int refuse_for(struct sw_view key)
{
	char reason[512];

	snprintf(reason, sizeof(reason), "%s", sw_fail_message(SW_EINVAL));
	return sw_fail(SW_EINVAL, "the row %.*s, which is there, breaks it: %s", (int)key.n,
		       (const char *)key.p, reason);
}

static int on_row(void *arg, struct sw_view key, int rc)
{
	const struct comparison *c = arg;
	const struct sw_name *n;

	if (rc >= 0)
		return 0;
	n = sw_name_find(c->judge.w, c->rows.table, key);
	return n && n->has_edit ? 0 : refuse_for(key);
}

static int compare_edits(const struct comparison *c)
{
	struct sw_work *w = c->judge.w;

	for (size_t i = 0; i < w->cap_names && !sw_schema_rows_is_late(&c->rows); i++) {
		const struct sw_name *n = w->names[i];
		SW_BUF text = {0};
		int rc;

		if (!n || !n->has_edit || !n->file || !sw_name_is_whole(n) || n->is_scratch ||
		    !sw_schema_concerns(n->key) ||
		    !sw_view_eq(n->table, c->rows.table))
			continue;
		rc = read_file(w, n->file, SW_COLUMNS_TEXT_MAX + 1, &text);
		if (rc == 0)
			rc = sw_schema_rows_check(&c->rows, n->key,
						  sw_buf_view(&text));
		if (rc < 0)
			return rc == SW_EINVAL ? refuse_for(n->key) : rc;
	}
	return 0;
}

static int judge_schema(const struct judge *j, struct sw_view table, struct sw_view text)
{
	struct comparison c = {.judge = *j,
			       .rows = {.table = table, .is_there = is_there, .arg = j->w}};
	struct sw_reader r;
	SW_BUF from = {0};
	int rc = sw_schema_new(text, &c.rows.schema);

	if (rc < 0)
		return rc;
	sw_schema_rows_end_in(&c.rows, sw_db_env(j->w->db), SW_SCHEMA_ROWS_MS);
	rc = read_state(j, &r);
	if (rc == 0) {
		c.rows.nodes = r.nodes;
		c.rows.state = r.head.state;
		rc = sw_schema_rows_walk(&c.rows, &from, SW_SCHEMA_ROWS_MAX, on_row, &c);
		sw_reader_end(&r);
	}
	if (rc >= 0)
		rc = compare_edits(&c);
	sw_schema_free(c.rows.schema);
	return rc;
}

static int judge_row(const struct judge *j, struct sw_schema *schema, struct sw_view table,
		     struct sw_view key, struct sw_view text)
{
	struct sw_schema_rows rows = {
	    .schema = schema, .table = table, .is_there = is_there, .arg = j->w};

	return sw_schema_rows_check(&rows, key, text);
}

/* 1: there is a schema, and it takes the file under that name; 0: there is none. SW_EINVAL: it
 * refuses it. */
static int judge_file(const struct judge *j, const struct sw_name *n, const struct sw_file *f)
{
	struct sw_view table = n->table, key = n->key;
	struct sw_schema *schema = NULL;
	SW_BUF text = {0};
	int rc = is_schema(key) ? 0 : schema_of(j, table, &schema);

	if (rc < 0 || (!schema && !is_schema(key)))
		return rc;
	rc = read_file(j->w, f, SW_COLUMNS_TEXT_MAX + 1, &text);
	if (rc == 0 && schema)
		rc = judge_row(j, schema, table, key, sw_buf_view(&text));
	else if (rc == 0)
		rc = judge_schema(j, table, sw_buf_view(&text));
	return rc < 0 ? rc : 1;
}

bool sw_name_has_schema(struct sw_work *w, const struct sw_name *n)
{
	const struct judge j = {.w = w};
	struct sw_schema *schema;

	if (!is_judged(n))
		return false;
	/* If it cannot be found out, whoever flushes is told. */
	return is_schema(n->key) ||
	       schema_of(&j, n->table, &schema) < 0 || schema;
}

/* What the name had */

void sw_name_keep_good(struct sw_work *w, struct sw_name *n)
{
	if (!n->has_edit || !is_judged(n) || !sw_name_is_whole(n))
		return;
	sw_name_forget_good(n);
	if (!n->file) {
		n->good.kind = SW_GOOD_ABSENT;
	} else if (sw_name_has_schema(w, n)) {
		/* Without memory for it the row goes back further, to what is committed. */
		if (read_file(w, n->file, SW_COLUMNS_TEXT_MAX, &n->good.text) < 0)
			return;
		n->good.kind = SW_GOOD_THERE;
		n->good.mode = n->file->mode;
		n->good.mtime_ns = n->file->mtime_ns;
	}
	n->good.version = n->version;
}

void sw_name_forget_good(struct sw_name *n)
{
	sw_buf_fini(&n->good.text);
	n->good = (struct sw_good){0};
}

static int put_good(struct sw_work *w, struct sw_name *n)
{
	struct sw_file *f;
	int rc = sw_file_new(w, &f);

	if (rc < 0)
		return rc;
	f->in_memory = true;
	f->mode = n->good.mode;
	f->mtime_ns = n->good.mtime_ns;
	f->ctime_ns = sw_work_now_ns(w);
	sw_buf_put_view(&f->bytes, sw_buf_view(&n->good.text));
	rc = f->bytes.rc;
	if (rc == 0)
		sw_name_put_file(w, n, f);
	sw_file_unref(w, f);
	return rc;
}

void sw_home_free(struct sw_home *home)
{
	if (!home)
		return;
	sw_buf_fini(&home->table);
	sw_buf_fini(&home->key);
	free(home);
}

static struct sw_home *home_of(const struct sw_name *n)
{
	struct sw_home *home = calloc(1, sizeof(*home));

	if (!home)
		return NULL;
	sw_buf_put_view(&home->table, n->table);
	sw_buf_put_view(&home->key, n->key);
	home->base = n->base;
	if (home->table.rc == 0 && home->key.rc == 0)
		return home;
	sw_home_free(home);
	return NULL;
}

static void tell_changed(struct sw_work *w, struct sw_view table, struct sw_view key)
{
	if (w->on_merge)
		w->on_merge(w->on_merge_arg, table, key);
}

static void keep_refused(struct sw_work *w, struct sw_view table, struct sw_view key,
			 const struct sw_file *f)
{
	char reason[512];
	SW_BUF text = {0};

	snprintf(reason, sizeof(reason), "%s", sw_fail_message(SW_EINVAL));
	if (read_file(w, f, SW_REFUSED_BYTES_MAX, &text) == 0)
		sw_refused_keep(w->refused, table, key, sw_buf_view(&text), reason);
	/* Whoever is told of the failure gets this sentence again. */
	(void)sw_fail(SW_EINVAL, "%s", reason);
}

/* The name has again what it had; the file goes on without a name. It is not in a commit. */
static void send_away(struct sw_work *w, struct sw_name *n)
{
	struct sw_file *f = n->file;

	f->n_refs++;
	f->home = home_of(n);
	if (n->good.kind != SW_GOOD_THERE || put_good(w, n) < 0)
		sw_name_put_file(w, n, NULL);
	if (n->good.kind == SW_GOOD_NONE)
		sw_name_end_edit(w, n);
	else
		sw_name_touch(w, n);
	tell_changed(w, n->table, n->key);
	sw_file_unref(w, f);
	sw_name_settle(w, n);
}

/* Its base is the one that the program saw; its text is known only if it still stands. */
static int bring_home(struct sw_work *w, struct sw_file *f, struct sw_name *n)
{
	bool is_new = !n->has_edit;
	int rc = sw_name_edit(w, n);

	if (rc < 0)
		return rc;
	if (is_new && (n->base.exists != f->home->base.exists ||
		       !sw_hash_eq(&n->base.hash, &f->home->base.hash))) {
		n->base = f->home->base;
		n->has_base_text = false;
	}
	sw_name_put_file(w, n, f);
	sw_home_free(SW_TAKE(f->home));
	sw_name_touch(w, n);
	tell_changed(w, n->table, n->key);
	return 0;
}

static int come_back(struct sw_work *w, struct sw_file *f)
{
	const struct judge j = {.w = w};
	struct sw_view table = sw_buf_view(&f->home->table), key = sw_buf_view(&f->home->key);
	struct sw_attr attr;
	struct sw_name *n;
	int rc = sw_table_stat(w, table, &attr);

	if (rc == SW_ENOTFOUND) /* removed with all that was in it */
		return 0;
	if (rc == 0)
		rc = sw_name_get(w, table, key, &n);
	if (rc < 0)
		return rc;
	rc = judge_file(&j, n, f);
	if (rc == SW_EINVAL)
		keep_refused(w, table, key, f);
	else if (rc > 0)
		sw_refused_forget(w->refused, table, key);
	if (rc >= 0)
		rc = bring_home(w, f, n);
	if (rc < 0)
		sw_name_settle(w, n);
	return rc;
}

static int come_back_if_away(struct sw_work *w, struct sw_file *f)
{
	int rc = f->home ? come_back(w, f) : 0;

	return rc < 0 ? rc : f->name != NULL;
}

int sw_file_admit(struct sw_work *w, struct sw_file *f, bool stays)
{
	const struct judge j = {.w = w};
	struct sw_name *n = f->name;
	int rc;

	if (!n)
		return come_back_if_away(w, f);
	if (!n->has_edit || !is_judged(n))
		return 0;
	/* What it had is known when it is no more in a commit. */
	while (f->name && f->name->in_commit && sw_name_has_schema(w, f->name))
		pthread_cond_wait(&w->committed, &w->lock);
	n = f->name;
	if (!n || !n->has_edit)
		return 0;
	rc = judge_file(&j, n, f);
	if (rc == SW_EINVAL) {
		keep_refused(w, n->table, n->key, f);
		if (!stays)
			send_away(w, n);
		return rc;
	}
	if (rc > 0)
		sw_refused_forget(w->refused, n->table, n->key);
	return rc < 0 ? rc : 0;
}

int sw_name_admit_file(struct sw_work *w, const struct sw_name *n, const struct sw_file *f)
{
	const struct judge j = {.w = w};
	int rc;

	if (!is_judged(n))
		return 0;
	rc = judge_file(&j, n, f);
	if (rc == SW_EINVAL)
		keep_refused(w, n->table, n->key, f);
	else if (rc > 0)
		sw_refused_forget(w->refused, n->table, n->key);
	return rc < 0 ? rc : 0;
}

int sw_name_admit_size(struct sw_work *w, const struct sw_name *n, uint64_t size)
{
	const struct sw_file *f = n->file;
	struct sw_file as = {.in_memory = true};
	int rc;

	if (f->n_dirty > 0 || !sw_name_has_schema(w, n))
		return 0;
	/* One byte more than a row with columns can have says as much as all of them. */
	if (size > SW_COLUMNS_TEXT_MAX)
		size = SW_COLUMNS_TEXT_MAX + 1;
	rc = read_file(w, f, (size_t)size, &as.bytes);
	if (rc == 0 && size > as.bytes.n) {
		size_t n_zero = (size_t)size - as.bytes.n;
		uint8_t *zero = sw_buf_reserve(&as.bytes, n_zero);

		if (zero) {
			memset(zero, 0, n_zero);
			as.bytes.n += n_zero;
		}
		rc = as.bytes.rc;
	}
	if (rc == 0)
		rc = sw_name_admit_file(w, n, &as);
	sw_buf_fini(&as.bytes);
	return rc;
}

int sw_work_admit_all(struct sw_work *w)
{
	const struct judge j = {.w = w, .on_newest = true};
	const struct sw_env *env = sw_db_env(w->db);
	uint64_t until_ms = sw_env_mono_ms(env) + ADMIT_MS;

	for (size_t i = 0; i < w->cap_names && sw_env_mono_ms(env) < until_ms; i++) {
		const struct sw_name *n = w->names[i];
		char reason[512];
		int rc;

		if (!n || !n->has_edit || !n->file || !is_judged(n))
			continue;
		rc = judge_file(&j, n, n->file);
		if (rc >= 0)
			continue;
		snprintf(reason, sizeof(reason), "%s", sw_fail_message(rc));
		return sw_fail(rc, "%.*s/%.*s: %s", (int)n->table.n, (const char *)n->table.p,
			       (int)n->key.n, (const char *)n->key.p, reason);
	}
	return 0;
}

struct sw_refused *sw_work_refused(struct sw_work *w)
{
	return w->refused;
}
