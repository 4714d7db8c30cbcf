/*
 * Listing a directory as it was when it was opened. Rows of the pinned state come by rank, so that a cookie costs
 * O(log n) and always works again; names that were only in the working set then come after them.
 */
#include "core/work_internal.h"

#include <stdlib.h>

#define ADDED_COOKIE ((uint64_t)1 << 62)

struct name_set {
	struct sw_buf text;
	struct sw_view *v; /* into the text, once all are there */
	size_t n, cap;
};

struct sw_list {
	struct sw_work *w;
	bool is_tables;
	struct sw_buf table;
	struct sw_hash state; /* pinned */
	struct sw_hash root;  /* of the table, or of the state */
	struct name_set added;	 /* what the working set had and the state lacks */
	struct name_set removed; /* the other way round, sorted: an edit that ends must not bring them back */
};

static int set_add(struct name_set *s, struct sw_view name)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct sw_view *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	sw_buf_put_view(&s->text, name);
	s->v[s->n++].n = name.n;
	return s->text.rc;
}

/* The text does not move any more. */
static void set_finish(struct name_set *s)
{
	for (size_t i = 0, at = 0; i < s->n; at += s->v[i++].n)
		s->v[i].p = s->text.p + at;
}

static void set_fini(struct name_set *s)
{
	sw_buf_fini(&s->text);
	free(s->v);
}

static int compare_views(const void *a, const void *b)
{
	return sw_view_cmp(*(const struct sw_view *)a, *(const struct sw_view *)b);
}

static int collect_name(struct sw_list *l, const struct sw_reader *r, const struct sw_name *n)
{
	bool exists = l->is_tables ? n->table_exists : n->file != NULL;
	struct sw_view value, name = sw_buf_view(l->is_tables ? &n->table : &n->key);
	uint8_t buf[1 + SW_NAME_MAX];
	int rc = sw_tree_get(r->nodes, &l->root,
			     l->is_tables ? sw_state_key(SW_CLASS_USER, name, buf) : name, &value);

	if (rc == SW_ENOTFOUND)
		return exists ? set_add(&l->added, name) : 0;
	return rc == 0 && !exists ? set_add(&l->removed, name) : rc;
}

/* Where the working set and the state differ. */
static int collect(struct sw_list *l, const struct sw_reader *r)
{
	const struct sw_name *n = l->is_tables ? l->w->tables : sw_name_edits_in(l->w, sw_buf_view(&l->table));
	int rc = 0;

	for (; rc == 0 && n; n = n->next_sibling)
		rc = collect_name(l, r, n);
	set_finish(&l->added);
	set_finish(&l->removed);
	if (l->removed.n > 0)
		qsort(l->removed.v, l->removed.n, sizeof(*l->removed.v), compare_views);
	return rc;
}

static int open_locked(struct sw_list *l)
{
	struct sw_table t = {0};
	struct sw_attr attr;
	struct sw_reader r;
	int rc = 0;

	if (!l->is_tables)
		rc = sw_table_stat(l->w, sw_buf_view(&l->table), &attr);
	if (rc < 0)
		return rc;
	rc = sw_reader_begin(l->w->db, &r);
	if (rc < 0)
		return rc;
	l->root = l->state;
	if (!l->is_tables) {
		rc = sw_state_table(r.nodes, &l->state, SW_CLASS_USER, sw_buf_view(&l->table), &t);
		l->root = t.root;
	}
	if (rc == 0 || rc == SW_ENOTFOUND)
		rc = collect(l, &r);
	sw_reader_end(&r);
	return rc;
}

int sw_list_open(struct sw_work *w, struct sw_view table, struct sw_list **out)
{
	struct sw_list *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return SW_ENOMEM;
	l->w = w;
	l->is_tables = table.p == NULL;
	sw_buf_put_view(&l->table, table);
	pthread_mutex_lock(&w->lock);
	rc = l->table.rc < 0 ? SW_ENOMEM : sw_work_pin(w, &l->state);
	if (rc < 0) {
		pthread_mutex_unlock(&w->lock);
		sw_buf_fini(&l->table);
		free(l);
		return rc;
	}
	rc = open_locked(l);
	pthread_mutex_unlock(&w->lock);
	if (rc < 0) {
		sw_list_close(l);
		return rc;
	}
	*out = l;
	return 0;
}

void sw_list_close(struct sw_list *l)
{
	if (!l)
		return;
	sw_db_unpin(l->w->db, &l->state);
	sw_buf_fini(&l->table);
	set_fini(&l->added);
	set_fini(&l->removed);
	free(l);
}

/* Whether the pinned state is still the newest, so that what it has is what stands, but for edits. */
static bool is_newest(const struct sw_list *l)
{
	struct sw_head head;

	if (l->w->is_copy) /* what it stands on does not move */
		return true;
	sw_db_head(l->w->db, &head);
	return sw_hash_eq(&head.state, &l->state);
}

/* What an entry of the pinned state shows now: SW_ENOTFOUND when an edit removed it. The lock is held. */
static int overlay(struct sw_list *l, struct sw_view name, bool *covered, struct sw_attr *out)
{
	const struct sw_name *n = l->is_tables ? sw_name_find(l->w, name, sw_view(NULL, 0))
					       : sw_name_find(l->w, sw_buf_view(&l->table), name);

	*covered = n && (n->has_edit || n->file);
	if (!*covered)
		return 0;
	if (l->is_tables)
		return n->has_edit && !n->table_exists ? SW_ENOTFOUND : sw_table_stat(l->w, name, out);
	if (!n->file)
		return SW_ENOTFOUND;
	sw_file_stat(n->file, out);
	return 0;
}

static int decode(const struct sw_list *l, struct sw_view value, struct sw_attr *out)
{
	struct sw_table t;
	struct sw_row row;

	if (l->is_tables) {
		if (sw_table_decode(value, &t) < 0)
			return SW_ECORRUPT;
		*out = (struct sw_attr){.is_table = true, .mode = t.mode, .mtime_ns = t.mtime_ns,
					.ctime_ns = t.mtime_ns, .size = t.n_rows};
		return 0;
	}
	if (sw_row_decode(value, &row) < 0)
		return SW_ECORRUPT;
	*out = (struct sw_attr){.mode = row.mode, .mtime_ns = row.mtime_ns,
				.ctime_ns = row.mtime_ns, .size = row.size};
	return 0;
}

struct listing {
	sw_list_fn fn;
	void *arg;
	bool with_attr;
};

/* One entry of the state: 1 when the call back wants no more. */
static int give_entry(struct sw_list *l, const struct sw_entry *e, uint64_t rank, const struct listing *to)
{
	struct sw_attr attr = {.is_table = l->is_tables};
	struct sw_view name = e->key;
	bool covered, is_now;
	int rc;

	if (l->is_tables) {
		if (name.p[0] != SW_CLASS_USER)
			return 0;
		name = sw_view(name.p + 1, name.n - 1);
	}
	if (l->removed.n > 0 && bsearch(&name, l->removed.v, l->removed.n, sizeof(name), compare_views))
		return 0;
	pthread_mutex_lock(&l->w->lock);
	rc = overlay(l, name, &covered, &attr);
	/* A commit moves the head before its edits end: whoever finds no edit under the lock finds the new head. */
	is_now = to->with_attr && (covered || is_newest(l));
	pthread_mutex_unlock(&l->w->lock);
	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc == 0 && !covered && to->with_attr)
		rc = decode(l, e->value, &attr);
	attr.is_now = is_now;
	return rc < 0 ? rc : to->fn(to->arg, name, &attr, rank + 1) != 0;
}

static int walk_state(struct sw_list *l, uint64_t from, const struct listing *to)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(l->w->db, &r), stop = 0;

	if (rc < 0)
		return rc;
	rc = sw_cursor_seek_rank(&c, r.nodes, &l->root, from);
	for (; rc > 0 && stop == 0; from++) {
		stop = give_entry(l, sw_cursor_entry(&c), from, to);
		if (stop == 0)
			rc = sw_cursor_next(&c);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	if (stop != 0)
		return stop;
	return rc;
}

int sw_list_walk(struct sw_list *l, uint64_t from, bool with_attr, sw_list_fn fn, void *arg)
{
	const struct listing to = {.fn = fn, .arg = arg, .with_attr = with_attr};
	int rc = 0;

	if (from < ADDED_COOKIE) {
		rc = walk_state(l, from, &to);
		from = ADDED_COOKIE;
	}
	for (uint64_t i = from - ADDED_COOKIE; rc == 0 && i < l->added.n; i++) {
		struct sw_attr attr = {0};

		pthread_mutex_lock(&l->w->lock);
		rc = l->is_tables ? sw_table_stat(l->w, l->added.v[i], &attr)
				  : sw_row_stat(l->w, sw_buf_view(&l->table), l->added.v[i], &attr);
		pthread_mutex_unlock(&l->w->lock);
		if (rc == SW_ENOTFOUND) {
			rc = 0; /* gone since */
			continue;
		}
		if (rc == 0)
			rc = fn(arg, l->added.v[i], &attr, ADDED_COOKIE + i + 1) != 0;
	}
	return rc < 0 ? rc : 0;
}
