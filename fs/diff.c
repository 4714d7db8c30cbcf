#include "fs/diff.h"

#include "fs/diff_internal.h"
#include "fs/text.h"

#define PIECE 32768 /* bytes handed out at once */

struct walk {
	const struct sw_nodes *nodes;
	enum sw_diff_form form;
	sw_diff_out_fn fn;
	void *arg;
	struct sw_buf out;
	struct sw_view table; /* whose rows are being compared */
	uint64_t n_added, n_changed, n_removed; /* in it */
	uint64_t total_added, total_changed, total_removed;
};

static int hand_out(struct walk *w)
{
	int rc = w->out.rc;

	if (rc == 0 && w->out.n > 0)
		rc = w->fn(w->arg, sw_buf_view(&w->out));
	sw_buf_reset(&w->out);
	return rc;
}

static int write_one(struct walk *w, const struct sw_difference *d)
{
	int rc;

	if (w->form == SW_DIFF_STAT) {
		if (d->key.n > 0)
			++*(!d->before ? &w->n_added : !d->after ? &w->n_removed : &w->n_changed);
		return 0;
	}
	rc = w->form == SW_DIFF_JSON	? sw_diff_write_json(w->nodes, d, &w->out)
	     : w->form == SW_DIFF_PATCH ? sw_diff_write_patch(w->nodes, d, &w->out)
				     : sw_diff_write_text(w->nodes, d, &w->out);
	if (rc == 0 && w->out.n >= PIECE)
		rc = hand_out(w);
	return rc;
}

static int on_row(void *arg, struct sw_view key, const struct sw_view *a, const struct sw_view *b)
{
	struct walk *w = arg;
	struct sw_row before, after;
	struct sw_difference d = {.table = w->table, .key = key};
	struct sw_hash x, y;
	int rc = a ? sw_row_decode(*a, &before) : 0;

	if (rc == 0 && b)
		rc = sw_row_decode(*b, &after);
	if (rc < 0)
		return rc;
	d.before = a ? &before : NULL;
	d.after = b ? &after : NULL;
	if (a && b) {
		sw_row_hash(&before, &x);
		sw_row_hash(&after, &y);
		d.is_same_content = sw_hash_eq(&x, &y);
	}
	return write_one(w, &d);
}

static int write_stat(struct walk *w)
{
	if (w->n_added + w->n_changed + w->n_removed == 0)
		return 0;
	sw_text_put_path(&w->out, w->table, sw_view(NULL, 0));
	sw_buf_printf(&w->out, "  %llu added, %llu changed, %llu removed\n",
		      (unsigned long long)w->n_added, (unsigned long long)w->n_changed,
		      (unsigned long long)w->n_removed);
	w->total_added += w->n_added;
	w->total_changed += w->n_changed;
	w->total_removed += w->n_removed;
	w->n_added = w->n_changed = w->n_removed = 0;
	return w->out.rc;
}

/* The table itself; its row count and root are told by its rows. */
static int write_table(struct walk *w, const struct sw_table *a, const struct sw_table *b)
{
	struct sw_row before = {0}, after = {0};
	struct sw_difference d = {.table = w->table};

	if (a)
		before = (struct sw_row){.mode = a->mode, .mtime_ns = a->mtime_ns};
	if (b)
		after = (struct sw_row){.mode = b->mode, .mtime_ns = b->mtime_ns};
	if (a && b && a->mode == b->mode && a->mtime_ns == b->mtime_ns)
		return 0;
	d.before = a ? &before : NULL;
	d.after = b ? &after : NULL;
	d.is_same_content = a && b;
	return write_one(w, &d);
}

static int on_table(void *arg, struct sw_view key, const struct sw_view *a, const struct sw_view *b)
{
	struct walk *w = arg;
	struct sw_table before = {0}, after = {0};
	int rc = 0;

	if (key.n < 2 || key.p[0] != SW_CLASS_USER)
		return 0;
	w->table = sw_view(key.p + 1, key.n - 1);
	if (a)
		rc = sw_table_decode(*a, &before);
	if (rc == 0 && b)
		rc = sw_table_decode(*b, &after);
	if (rc == 0)
		rc = write_table(w, a ? &before : NULL, b ? &after : NULL);
	if (rc == 0)
		rc = sw_tree_diff(w->nodes, &before.root, &after.root, on_row, w);
	if (rc == 0 && w->form == SW_DIFF_STAT)
		rc = write_stat(w);
	return rc;
}

int sw_diff_states(const struct sw_reader *r, const struct sw_hash *before, const struct sw_hash *after,
		   enum sw_diff_form form, sw_diff_out_fn fn, void *arg)
{
	struct walk w = {.nodes = r->nodes, .form = form, .fn = fn, .arg = arg};
	int rc = sw_tree_diff(r->nodes, before, after, on_table, &w);

	if (rc == 0 && form == SW_DIFF_STAT)
		sw_buf_printf(&w.out, "%llu added, %llu changed, %llu removed\n",
			      (unsigned long long)w.total_added, (unsigned long long)w.total_changed,
			      (unsigned long long)w.total_removed);
	if (rc == 0)
		rc = hand_out(&w);
	sw_buf_fini(&w.out);
	return rc;
}

/* The commit before one in the line: 1 and *out, or 0 for the first. */
static int commit_before(struct sw_db *db, const struct sw_order *order, struct sw_order *out)
{
	struct sw_cursor c = {0};
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_cursor_seek(&c, r.nodes, &r.head.line, sw_order_view(order));
	if (rc == 0)
		rc = sw_fail(SW_ENOTFOUND, "the commit is not in the line");
	if (rc > 0)
		rc = sw_cursor_prev(&c);
	if (rc > 0)
		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	sw_reader_end(&r);
	return rc;
}

static int open_snap(struct sw_db *db, const struct sw_order *order, struct sw_snap **out)
{
	struct sw_hash id;

	sw_order_id(order, &id);
	return sw_snap_open(db, &id, out);
}

static int diff_snaps(struct sw_snap *a, struct sw_snap *b, enum sw_diff_form form, sw_diff_out_fn fn,
		      void *arg)
{
	struct sw_reader r;
	int rc = sw_snap_read(b, &r);

	if (rc < 0)
		return rc;
	if (a)
		sw_snap_see(a, &r);
	rc = sw_diff_states(&r, a ? sw_snap_state(a) : &sw_hash_zero, sw_snap_state(b), form, fn, arg);
	sw_reader_end(&r);
	return rc;
}

int sw_diff_commits(struct sw_db *db, const struct sw_order *before, const struct sw_order *after,
		    enum sw_diff_form form, sw_diff_out_fn fn, void *arg)
{
	struct sw_snap *a = NULL, *b = NULL;
	struct sw_order previous;
	int rc = 0;

	if (!before) {
		rc = commit_before(db, after, &previous);
		before = rc > 0 ? &previous : NULL;
	}
	if (rc >= 0)
		rc = open_snap(db, after, &b);
	if (rc == 0 && before)
		rc = open_snap(db, before, &a);
	if (rc == 0)
		rc = diff_snaps(a, b, form, fn, arg);
	sw_snap_unref(a);
	sw_snap_unref(b);
	return rc;
}

struct into {
	struct sw_buf *out;
	size_t max;
};

static int put_into(void *arg, struct sw_view text)
{
	struct into *to = arg;

	if (to->out->n + text.n > to->max)
		return sw_fail(SW_ELIMIT, "the difference is larger than %zu MiB; 'swarmfs diff' shows it",
			       to->max >> 20);
	sw_buf_put_view(to->out, text);
	return to->out->rc;
}

int sw_diff_text(struct sw_db *db, const struct sw_order *commit, size_t max, struct sw_buf *out)
{
	struct into to = {out, max};

	return sw_diff_commits(db, NULL, commit, SW_DIFF_TEXT, put_into, &to);
}
