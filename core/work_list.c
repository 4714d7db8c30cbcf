/*
 * Listing a directory as it was when it was opened. Rows of the pinned state come by rank, so that a cookie costs
 * O(log n) and always works again; names that were only in the working set then come after them. Which these are is
 * found out by walking the state, which is what most listings do, and by looking for them in it otherwise.
 */
#include "core/work_internal.h"

#include <stdlib.h>

#define ADDED_COOKIE ((uint64_t)1 << 62)

/* A name that had an edit when the list was opened: what is there is this, and not what the state says. */
struct edited {
	struct sw_view name; /* into the list's text */
	bool exists;
	enum { IN_STATE_UNKNOWN, IN_STATE, NOT_IN_STATE } in_state;
};

struct sw_list {
	struct sw_work *w;
	bool is_tables;
	struct sw_buf table;
	struct sw_hash state; /* pinned */
	struct sw_hash root;  /* of the table, or of the state */
	uint64_t clock;	      /* the working set's: as long as it stands there, no name was touched */
	struct sw_buf text;
	struct edited *edited; /* sorted by name */
	size_t n_edited, cap_edited;
	uint64_t n_walked; /* so many of the state's first entries were looked for among them */
};

static struct sw_view name_of(const struct sw_list *l, const struct sw_name *n)
{
	return l->is_tables ? n->table : n->key;
}

static int add_edited(struct sw_list *l, const struct sw_name *n)
{
	struct sw_view name = name_of(l, n);

	if (l->n_edited == l->cap_edited) {
		size_t cap = l->cap_edited ? l->cap_edited * 2 : 16;
		struct edited *v = realloc(l->edited, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		l->edited = v;
		l->cap_edited = cap;
	}
	sw_buf_put_view(&l->text, name);
	l->edited[l->n_edited++] = (struct edited){
	    .name.n = name.n, .exists = l->is_tables ? n->table_exists : n->file != NULL};
	return l->text.rc;
}

static int compare_edited(const void *a, const void *b)
{
	return sw_view_cmp(((const struct edited *)a)->name, ((const struct edited *)b)->name);
}

/* The last edit comes first. Whoever makes many rows mostly makes them in order: then there is nothing left to sort. */
static void sort_edited(struct sw_list *l)
{
	bool is_sorted = true;

	for (size_t i = 0, j = l->n_edited; i + 1 < j; i++) {
		struct edited e = l->edited[i];

		l->edited[i] = l->edited[--j];
		l->edited[j] = e;
	}
	for (size_t i = 1; is_sorted && i < l->n_edited; i++)
		is_sorted = compare_edited(&l->edited[i - 1], &l->edited[i]) < 0;
	if (!is_sorted)
		qsort(l->edited, l->n_edited, sizeof(*l->edited), compare_edited);
}

/* What the working set says in the state's place. */
static int collect(struct sw_list *l)
{
	const struct sw_name *n = l->is_tables ? l->w->tables : sw_name_edits_in(l->w, sw_buf_view(&l->table));
	size_t at = 0;
	int rc = 0;

	for (; rc == 0 && n; n = n->next_sibling)
		rc = add_edited(l, n);
	if (rc < 0)
		return rc;
	/* The text does not move any more. */
	for (size_t i = 0; i < l->n_edited; at += l->edited[i++].name.n)
		l->edited[i].name.p = l->text.p + at;
	sort_edited(l);
	return 0;
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
	sw_reader_end(&r);
	l->clock = l->w->clock;
	return rc == 0 || rc == SW_ENOTFOUND ? collect(l) : rc;
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
	sw_buf_fini(&l->text);
	free(l->edited);
	free(l);
}

/* Whether the pinned state is still the newest, so that what it has is what stands, but for edits. */
static bool is_newest(const struct sw_list *l)
{
	struct sw_hash newest;

	if (l->w->is_copy) /* what it stands on does not move */
		return true;
	sw_db_newest_state(l->w->db, &newest);
	return sw_hash_eq(&newest, &l->state);
}

/* What an entry of the pinned state shows now. */
struct shown {
	bool is_hidden;	 /* an edit removed it since */
	bool is_covered; /* an edit, or a file that somebody has open, says what its attributes are */
	struct sw_attr attr;
};

/* The lock is held. */
static int overlay(struct sw_list *l, struct sw_view name, struct shown *out)
{
	const struct sw_name *n = l->is_tables ? sw_name_find(l->w, name, sw_view(NULL, 0))
					       : sw_name_find(l->w, sw_buf_view(&l->table), name);
	int rc = 0;

	*out = (struct shown){.is_covered = n && (n->has_edit || n->file)};
	if (!out->is_covered)
		return 0;
	if (l->is_tables)
		out->is_hidden = n->has_edit && !n->table_exists;
	else
		out->is_hidden = !n->file;
	if (out->is_hidden)
		return 0;
	if (l->is_tables)
		rc = sw_table_stat(l->w, name, &out->attr);
	else
		sw_file_stat(n->file, &out->attr);
	return rc;
}

static int decode(const struct sw_list *l, struct sw_view value, struct sw_attr *out)
{
	struct sw_table t;
	struct sw_row row;

	if (l->is_tables) {
		if (sw_table_decode(value, &t) < 0)
			return SW_ECORRUPT;
		*out = (struct sw_attr){.is_table = true, .mode = t.mode, .mtime_ns = t.mtime_ns,
					.ctime_ns = t.mtime_ns};
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
	struct shown *shown; /* of a node's entries, if is_overlaid */
	size_t cap_shown;
	bool is_overlaid;
	bool is_newest;
};

/* Of the state's tree, as a name: false when it is none that is listed. */
static bool entry_name(const struct sw_list *l, const struct sw_entry *e, struct sw_view *out)
{
	*out = l->is_tables ? sw_view(e->key.p + 1, e->key.n - 1) : e->key;
	return !l->is_tables || e->key.p[0] == SW_CLASS_USER;
}

/* What the working set says of n entries: looked at together, since taking the lock for each would cost more than the listing. */
static int overlay_entries(struct sw_list *l, const struct sw_entry *e, size_t n, struct listing *to)
{
	struct sw_view name;
	int rc = 0;

	if (n > to->cap_shown) {
		struct shown *shown = realloc(to->shown, n * sizeof(*shown));

		if (!shown)
			return SW_ENOMEM;
		to->shown = shown;
		to->cap_shown = n;
	}
	pthread_mutex_lock(&l->w->lock);
	/* What was removed before is among those that were edited when the list was opened. */
	to->is_overlaid = to->with_attr || l->w->clock != l->clock;
	for (size_t i = 0; rc == 0 && to->is_overlaid && i < n; i++)
		if (entry_name(l, &e[i], &name))
			rc = overlay(l, name, &to->shown[i]);
	/* A commit moves the head before its edits end: whoever finds no edit under the lock finds the new head. */
	to->is_newest = to->with_attr && is_newest(l);
	pthread_mutex_unlock(&l->w->lock);
	return rc;
}

/* The first of those that were edited whose name is not smaller. */
static size_t first_edited(const struct sw_list *l, struct sw_view name)
{
	size_t lo = 0, hi = l->n_edited;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sw_view_cmp(l->edited[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Whether it had been removed when the list was opened. *at goes on with the names, which come in order. */
static bool was_removed(struct sw_list *l, struct sw_view name, size_t *at)
{
	int cmp = -1;

	while (*at < l->n_edited && (cmp = sw_view_cmp(l->edited[*at].name, name)) < 0)
		++*at;
	if (*at == l->n_edited || cmp != 0)
		return false;
	l->edited[*at].in_state = IN_STATE;
	return !l->edited[*at].exists;
}

/* One entry of the state: 1 when the call back wants no more. */
static int give_entry(const struct sw_list *l, const struct sw_entry *e, struct sw_view name, const struct shown *shown,
		      uint64_t next, const struct listing *to)
{
	struct sw_attr attr = {.is_table = l->is_tables};
	int rc = 0;

	if (shown && shown->is_covered)
		attr = shown->attr;
	else if (to->with_attr)
		rc = decode(l, e->value, &attr);
	attr.is_now = to->with_attr && ((shown && shown->is_covered) || to->is_newest);
	return rc < 0 ? rc : to->fn(to->arg, name, &attr, next) != 0;
}

/* Entries of the state that stand behind each other, the first of which has that rank. */
static int give_entries(struct sw_list *l, const struct sw_entry *e, size_t n, uint64_t rank, struct listing *to)
{
	struct sw_view name;
	size_t at = SIZE_MAX; /* among the edited; the first name says where */
	int rc = overlay_entries(l, e, n, to);

	for (size_t i = 0; rc == 0 && i < n; i++, rank++) {
		const struct shown *shown = to->is_overlaid ? &to->shown[i] : NULL;
		bool is_removed = !entry_name(l, &e[i], &name);

		if (!is_removed) {
			at = at == SIZE_MAX ? first_edited(l, name) : at;
			is_removed = was_removed(l, name, &at) || (shown && shown->is_hidden);
		}
		if (rank == l->n_walked)
			l->n_walked++;
		if (!is_removed)
			rc = give_entry(l, &e[i], name, shown, rank + 1, to);
	}
	return rc;
}

/* Those among the edited that walks did not meet are not in the state, once they have met all of it. */
static void end_walk(struct sw_list *l)
{
	for (size_t i = 0; i < l->n_edited; i++)
		if (l->edited[i].in_state == IN_STATE_UNKNOWN)
			l->edited[i].in_state = NOT_IN_STATE;
}

static int walk_state(struct sw_list *l, uint64_t from, struct listing *to)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(l->w->db, &r), stop = 0;

	if (rc < 0)
		return rc;
	rc = sw_cursor_seek_rank(&c, r.nodes, &l->root, from);
	while (rc > 0 && stop == 0) {
		size_t n = sw_cursor_rest(&c);

		stop = give_entries(l, sw_cursor_entry(&c), n, from, to);
		from += n;
		if (stop == 0)
			rc = sw_cursor_skip(&c, n);
	}
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	if (rc == 0 && stop == 0 && l->n_walked >= from)
		end_walk(l);
	return stop != 0 ? stop : rc;
}

/* Whether the state has what was edited. */
static int find_in_state(const struct sw_list *l, struct edited *e)
{
	uint8_t buf[1 + SW_NAME_MAX];
	struct sw_view value;
	struct sw_reader r;
	int rc = sw_reader_begin(l->w->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_tree_get(r.nodes, &l->root, l->is_tables ? sw_state_key(SW_CLASS_USER, e->name, buf) : e->name, &value);
	sw_reader_end(&r);
	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	e->in_state = rc == 0 ? IN_STATE : NOT_IN_STATE;
	return 0;
}

/* Whether no name was touched since the list was opened. */
static bool is_untouched(struct sw_list *l)
{
	bool is_same;

	pthread_mutex_lock(&l->w->lock);
	is_same = l->w->clock == l->clock;
	pthread_mutex_unlock(&l->w->lock);
	return is_same;
}

/* What it is now. SW_ENOTFOUND: it is gone since. */
static int stat_added(struct sw_list *l, struct sw_view name, struct sw_attr *out)
{
	int rc;

	pthread_mutex_lock(&l->w->lock);
	rc = l->is_tables ? sw_table_stat(l->w, name, out) : sw_row_stat(l->w, sw_buf_view(&l->table), name, out);
	pthread_mutex_unlock(&l->w->lock);
	return rc;
}

/* Names that the state does not have, from the edited one with that index on. */
static int walk_added(struct sw_list *l, uint64_t from, const struct listing *to)
{
	struct sw_attr attr = {.is_table = l->is_tables};
	bool is_known = !to->with_attr && is_untouched(l);
	int rc = 0;

	for (uint64_t i = from; rc == 0 && i < l->n_edited; i++) {
		struct edited *e = &l->edited[i];

		if (e->exists && e->in_state == IN_STATE_UNKNOWN)
			rc = find_in_state(l, e);
		if (rc < 0 || !e->exists || e->in_state == IN_STATE)
			continue;
		if (!is_known)
			rc = stat_added(l, e->name, &attr);
		attr.is_now = to->with_attr;
		if (rc == SW_ENOTFOUND)
			rc = 0;
		else if (rc == 0)
			rc = to->fn(to->arg, e->name, &attr, ADDED_COOKIE + i + 1) != 0;
	}
	return rc;
}

bool sw_list_is_state(struct sw_list *l, struct sw_hash *root)
{
	if (l->is_tables || l->n_edited > 0 || !is_untouched(l))
		return false;
	*root = l->root;
	return true;
}

int sw_list_walk(struct sw_list *l, uint64_t from, bool with_attr, sw_list_fn fn, void *arg)
{
	struct listing to = {.fn = fn, .arg = arg, .with_attr = with_attr};
	int rc = 0;

	if (from < ADDED_COOKIE) {
		rc = walk_state(l, from, &to);
		from = ADDED_COOKIE;
	}
	if (rc == 0)
		rc = walk_added(l, from - ADDED_COOKIE, &to);
	free(to.shown);
	return rc < 0 ? rc : 0;
}
