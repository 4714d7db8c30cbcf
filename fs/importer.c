#include "fs/importer.h"

#include <stdlib.h>

#include "core/blob.h"
#include "core/schema_ops.h"
#include "fs/text.h"

#define ROW_MODE 0644
#define NEXT_MAX 4 /* steps to the next key before it is sought anew */

/* A row, or with an empty key a table, of the batch; places in the arena. */
struct item {
	size_t table_at, table_n;
	size_t key_at, key_n;
	size_t bytes_at, bytes_n;
	bool has_meta;
	struct sw_import_meta meta;
	size_t count; /* index into counts */
};

/* What became of one table. */
struct count {
	char *table;
	uint64_t n_written, n_unchanged;
	bool in_batch; /* rows of it wait to be committed */
};

struct sw_importer {
	struct sw_owner *owner;
	const char *message;
	FILE *progress;
	int64_t now_ns;
	struct sw_buf arena;
	struct item *items;
	size_t n;
	struct sw_write_op *ops;
	struct count *counts;
	size_t n_counts;
	size_t table;	    /* the current one, in counts */
	size_t table_at, table_n; /* its name, in the arena */
	uint64_t n_total; /* rows, without the tables */
};

int sw_importer_new(struct sw_owner *o, const char *message, FILE *progress, struct sw_importer **out)
{
	struct sw_importer *im;
	struct sw_hash id;
	int rc = o->work ? sw_work_commit(o->work, sw_view("", 0), &id) : 0;

	if (rc < 0)
		return rc;
	if (!sw_db_shape(o->db))
		return sw_fail(SW_EAGAIN, "the database has not arrived yet; wait until a peer is connected");
	im = calloc(1, sizeof(*im));
	if (!im)
		return SW_ENOMEM;
	im->owner = o;
	im->message = message;
	im->progress = progress;
	im->items = calloc(SW_IMPORT_BATCH_ROWS, sizeof(*im->items));
	im->ops = calloc(SW_IMPORT_BATCH_ROWS, sizeof(*im->ops));
	if (!im->items || !im->ops) {
		sw_importer_free(im);
		return SW_ENOMEM;
	}
	*out = im;
	return 0;
}

void sw_importer_free(struct sw_importer *im)
{
	if (!im)
		return;
	for (size_t i = 0; i < im->n_counts; i++)
		free(im->counts[i].table);
	free(im->counts);
	free(im->items);
	free(im->ops);
	sw_buf_fini(&im->arena);
	free(im);
}

/* The hash that bytes have as a row. */
static int content_hash(struct sw_importer *im, struct sw_view bytes, struct sw_hash *out)
{
	SW_CLEANUP(sw_nodes_freep) struct sw_nodes *nodes = NULL;
	struct sw_row row = {0};
	int rc = 0;

	/* Small rows need no records. */
	if (bytes.n > SW_INLINE_MAX)
		rc = sw_nodes_new(NULL, &nodes);
	if (rc == 0)
		rc = sw_row_make(nodes, sw_db_shape(im->owner->db), bytes, &row);
	if (rc == 0)
		sw_row_hash(&row, out);
	return rc;
}

/* Rows of one table looked up in the order of their keys: most are next to the one before, or past the end. */
struct lookup {
	const struct sw_reader *r;
	size_t table; /* in counts */
	struct sw_hash root;
	struct sw_cursor cursor;
	int at; /* 1: on an entry, 0: past the end, -1: nowhere yet */
};

static int begin_lookup(struct sw_importer *im, struct lookup *l, size_t table)
{
	struct sw_table t = {0};
	int rc = sw_state_table(l->r->nodes, &l->r->head.state, SW_CLASS_USER,
				sw_view_str(im->counts[table].table), &t);

	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	sw_cursor_fini(&l->cursor);
	l->cursor = (struct sw_cursor){0};
	l->table = table;
	l->root = t.root;
	l->at = sw_hash_is_zero(&t.root) ? 0 : -1;
	return 0;
}

/* Move to the first row that is not before key; keys ascend. */
static int move_to(struct lookup *l, struct sw_view key)
{
	for (int i = 0; l->at > 0 && i < NEXT_MAX; i++) {
		if (sw_view_cmp(sw_cursor_entry(&l->cursor)->key, key) >= 0)
			return 1;
		l->at = sw_cursor_next(&l->cursor);
	}
	if (l->at != 0) {
		sw_cursor_fini(&l->cursor);
		l->cursor = (struct sw_cursor){0};
		l->at = sw_cursor_seek(&l->cursor, l->r->nodes, &l->root, key);
	}
	return l->at;
}

/* The row as it stands: SW_ENOTFOUND. */
static int look_up(struct sw_importer *im, struct lookup *l, const struct item *i, struct sw_row *out)
{
	struct sw_view key = sw_view(im->arena.p + i->key_at, i->key_n);
	int rc = l->table == i->count ? 0 : begin_lookup(im, l, i->count);

	if (rc == 0)
		rc = move_to(l, key);
	if (rc < 0)
		return rc;
	if (rc == 0 || !sw_view_eq(sw_cursor_entry(&l->cursor)->key, key))
		return SW_ENOTFOUND;
	return sw_row_decode(sw_cursor_entry(&l->cursor)->value, out);
}

/* The operation for a row; *keep: there is one. */
static int make_row_op(struct sw_importer *im, struct lookup *l, const struct item *i,
		       struct sw_write_op *out, bool *keep)
{
	struct sw_hash hash;
	struct sw_row now;
	int rc = look_up(im, l, i, &now);
	bool exists = rc == 0;

	if (rc < 0 && rc != SW_ENOTFOUND)
		return rc;
	if (exists)
		sw_row_hash(&now, &out->op.old);
	out->content = sw_view(im->arena.p + i->bytes_at, i->bytes_n);
	out->op.kind = SW_OP_PUT;
	out->op.row.mode = i->has_meta ? i->meta.mode : exists ? now.mode : ROW_MODE;
	out->op.row.mtime_ns = i->has_meta ? i->meta.mtime_ns : im->now_ns;
	*keep = true;
	if (!exists || now.size != i->bytes_n)
		return 0;
	rc = content_hash(im, out->content, &hash);
	if (rc == 0 && sw_hash_eq(&hash, &out->op.old))
		*keep = i->has_meta && (now.mode != out->op.row.mode || now.mtime_ns != out->op.row.mtime_ns);
	return rc;
}

static int make_table_op(struct sw_importer *im, const struct sw_reader *r, struct sw_write_op *out,
			 bool *keep)
{
	struct sw_table t;
	int rc = sw_state_table(r->nodes, &r->head.state, SW_CLASS_USER, out->op.table, &t);

	out->op.kind = SW_OP_MKTABLE;
	out->op.row.mode = SW_TABLE_MODE_DEFAULT;
	out->op.row.mtime_ns = im->now_ns;
	*keep = rc == SW_ENOTFOUND;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int item_cmp(const void *a, const void *b, void *arena)
{
	const struct item *x = a, *y = b;
	const uint8_t *p = arena;

	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	return sw_view_cmp(sw_view(p + x->key_at, x->key_n), sw_view(p + y->key_at, y->key_n));
}

/* Compare some of the batch with the newest state: the operations it needs. */
static int make_ops(struct sw_importer *im, size_t from, size_t to, size_t *n)
{
	struct lookup l = {.table = SIZE_MAX};
	struct sw_reader r;
	int rc = sw_reader_begin(im->owner->db, &r);

	*n = 0;
	if (rc < 0)
		return rc;
	l.r = &r;
	im->now_ns = (int64_t)sw_env_wall_ms(sw_db_env(im->owner->db)) * 1000000;
	for (size_t k = from; rc == 0 && k < to; k++) {
		const struct item *i = &im->items[k];
		struct sw_write_op *op = &im->ops[*n];
		bool keep = false;

		*op = (struct sw_write_op){.op = {.table = sw_view(im->arena.p + i->table_at, i->table_n),
						  .key = sw_view(im->arena.p + i->key_at, i->key_n)}};
		rc = i->key_n > 0 ? make_row_op(im, &l, i, op, &keep) : make_table_op(im, &r, op, &keep);
		*n += keep;
		if (i->key_n > 0 && rc == 0)
			++*(keep ? &im->counts[i->count].n_written : &im->counts[i->count].n_unchanged);
	}
	sw_cursor_fini(&l.cursor);
	sw_reader_end(&r);
	return rc;
}

/* What failed was not written. */
static void uncount(struct sw_importer *im, const struct count *before)
{
	for (size_t i = 0; i < im->n_counts; i++) {
		im->counts[i].n_written = before[i].n_written;
		im->counts[i].n_unchanged = before[i].n_unchanged;
	}
}

static int commit_items(struct sw_importer *im, size_t from, size_t to)
{
	bool is_strict = sw_db_conflict_mode(im->owner->db) == SW_CONFLICT_DROP;
	struct sw_write w = {.mode = is_strict ? SW_MODE_STRICT : SW_MODE_MERGE,
			     .ops = im->ops,
			     .message = sw_view_str(im->message)};
	struct count *before = calloc(im->n_counts + 1, sizeof(*before));
	struct sw_hash id;
	int rc = before ? 0 : SW_ENOMEM;

	if (rc == 0) {
		memcpy(before, im->counts, im->n_counts * sizeof(*before));
		rc = make_ops(im, from, to, &w.n);
	}
	if (rc == 0 && w.n > 0)
		rc = sw_schema_check_ops(im->owner->db, im->ops, w.n);
	if (rc == 0 && w.n > 0)
		rc = sw_db_commit(im->owner->db, &w, &id);
	if (rc < 0 && before)
		uncount(im, before);
	free(before);
	return rc;
}

/* Rows with many columns that change may be too much for one commit: then it is halved. */
static int commit_parts(struct sw_importer *im, size_t from, size_t to)
{
	size_t half = from + (to - from) / 2;
	int rc = commit_items(im, from, to);

	if (rc != SW_ELIMIT || to - from < 2)
		return rc;
	rc = commit_parts(im, from, half);
	return rc < 0 ? rc : commit_parts(im, half, to);
}

static int commit_batch(struct sw_importer *im)
{
	int rc = im->arena.rc;

	if (rc == 0) {
		qsort_r(im->items, im->n, sizeof(*im->items), item_cmp, im->arena.p);
		rc = commit_parts(im, 0, im->n);
	}
	for (size_t i = 0; i < im->n; i++)
		im->n_total += im->items[i].key_n > 0;
	im->n = 0;
	sw_buf_reset(&im->arena);
	for (size_t i = 0; i < im->n_counts; i++)
		im->counts[i].in_batch = false;
	if (im->progress && rc == 0)
		fprintf(im->progress, "\r%llu rows ... ", (unsigned long long)im->n_total);
	return rc;
}

static size_t keep_bytes(struct sw_importer *im, struct sw_view v)
{
	size_t at = im->arena.n;

	sw_buf_put_view(&im->arena, v);
	return at;
}

/* The table's place in counts, or n_counts. */
static size_t find_count(const struct sw_importer *im, struct sw_view table)
{
	size_t i = 0;

	while (i < im->n_counts && !sw_view_eq(sw_view_str(im->counts[i].table), table))
		i++;
	return i;
}

static int add_count(struct sw_importer *im, struct sw_view table)
{
	struct count *v = realloc(im->counts, (im->n_counts + 1) * sizeof(*v));

	if (!v)
		return SW_ENOMEM;
	im->counts = v;
	v[im->n_counts] = (struct count){.table = strndup((const char *)table.p, table.n)};
	if (!v[im->n_counts].table)
		return SW_ENOMEM;
	im->n_counts++;
	return 0;
}

int sw_importer_table(struct sw_importer *im, struct sw_view table)
{
	size_t at = find_count(im, table);
	int rc = 0;

	/* The same table again may bring the same rows again, and a commit changes a row once. */
	if (im->n == SW_IMPORT_BATCH_ROWS || (at < im->n_counts && im->counts[at].in_batch))
		rc = commit_batch(im);
	if (rc == 0 && at == im->n_counts)
		rc = add_count(im, table);
	if (rc < 0)
		return rc;
	im->table = at;
	im->table_at = keep_bytes(im, table);
	im->table_n = table.n;
	im->counts[at].in_batch = true;
	im->items[im->n++] = (struct item){.table_at = im->table_at, .table_n = table.n, .count = at};
	return im->arena.rc;
}

int sw_importer_row(struct sw_importer *im, struct sw_view key, struct sw_view bytes,
		    const struct sw_import_meta *meta)
{
	struct item *i;

	if (im->n == SW_IMPORT_BATCH_ROWS ||
	    (im->n > 0 && im->arena.n + bytes.n + key.n > SW_IMPORT_BATCH_BYTES)) {
		int rc = commit_batch(im);

		if (rc < 0)
			return rc;
		im->table_at = keep_bytes(im, sw_view_str(im->counts[im->table].table));
		im->counts[im->table].in_batch = true;
	}
	i = &im->items[im->n++];
	*i = (struct item){.table_at = im->table_at,
			   .table_n = im->table_n,
			   .key_n = key.n,
			   .bytes_n = bytes.n,
			   .has_meta = meta != NULL,
			   .count = im->table};
	if (meta)
		i->meta = *meta;
	i->key_at = keep_bytes(im, key);
	i->bytes_at = keep_bytes(im, bytes);
	return im->arena.rc;
}

int sw_importer_finish(struct sw_importer *im)
{
	return im->n > 0 ? commit_batch(im) : 0;
}

void sw_importer_report(const struct sw_importer *im, FILE *out, bool is_done)
{
	if (im->progress && im->n_total > 0)
		fprintf(im->progress, "\r\033[K");
	for (size_t i = 0; i < im->n_counts; i++) {
		const struct count *c = &im->counts[i];

		if (!is_done && c->n_written == 0)
			continue;
		fprintf(out, "imported %llu row%s into ", (unsigned long long)c->n_written,
			c->n_written == 1 ? "" : "s");
		sw_text_print(out, sw_view_str(c->table));
		fprintf(out, " (%llu unchanged)%s\n", (unsigned long long)c->n_unchanged,
			is_done ? "" : " before it failed");
	}
}
