#include "fs/importer.h"

#include <stdlib.h>

#include "fs/env_system.h"

#define FILE_MODE  0644
#define TABLE_MODE 0755

/* What was done to one table. */
struct tally {
	struct sw_buf name;
	uint64_t n_rows; /* committed */
	uint64_t n_unchanged;
	uint64_t n_batch; /* in the batch that is being gathered */
};

struct sw_importer {
	struct sw_owner *owner;
	const char *message;
	FILE *progress;
	struct tally *tables;
	size_t n_tables;
	size_t current; /* the table of the rows that come */
	struct sw_reader reader; /* on the state that the batch is compared with */
	bool is_reading;
	struct sw_write_op *ops;
	size_t n_ops, cap_ops;
	struct sw_buf bytes; /* names and contents; operations hold offsets until the commit */
};

int sw_importer_new(struct sw_owner *o, const char *message, FILE *progress, struct sw_importer **out)
{
	struct sw_importer *im = calloc(1, sizeof(*im));
	struct sw_hash id;
	int rc = 0;

	if (!im)
		return SW_ENOMEM;
	im->owner = o;
	im->message = message;
	im->progress = progress;
	if (o->work)
		rc = sw_work_commit(o->work, sw_view(NULL, 0), &id);
	if (rc < 0) {
		sw_importer_free(im);
		return rc;
	}
	*out = im;
	return 0;
}

static void end_reading(struct sw_importer *im)
{
	if (im->is_reading)
		sw_reader_end(&im->reader);
	im->is_reading = false;
}

static int begin_reading(struct sw_importer *im)
{
	int rc = im->is_reading ? 0 : sw_reader_begin(im->owner->db, &im->reader);

	im->is_reading = rc == 0;
	return rc;
}

static int add_op(struct sw_importer *im, const struct sw_write_op *op)
{
	if (im->n_ops == im->cap_ops) {
		size_t cap = im->cap_ops ? im->cap_ops * 2 : 1024;
		struct sw_write_op *v = realloc(im->ops, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		im->ops = v;
		im->cap_ops = cap;
	}
	im->ops[im->n_ops++] = *op;
	return 0;
}

/* The lengths are in the operations; now that the bytes have stopped moving they get their places. */
static void place_bytes(struct sw_importer *im)
{
	const uint8_t *p = im->bytes.p;

	for (size_t i = 0; i < im->n_ops; i++) {
		struct sw_write_op *w = &im->ops[i];

		w->op.table.p = p;
		w->op.key.p = p + w->op.table.n;
		w->content.p = w->op.key.p + w->op.key.n;
		p = w->content.p + w->content.n;
	}
}

static int commit(struct sw_importer *im)
{
	struct sw_write w = {.mode = SW_MODE_MERGE, .message = sw_view_str(im->message)};
	struct sw_hash id;
	int rc = 0;

	end_reading(im);
	if (im->n_ops == 0)
		return 0;
	if (im->bytes.rc < 0)
		return im->bytes.rc;
	place_bytes(im);
	w.ops = im->ops;
	w.n = im->n_ops;
	rc = sw_db_commit(im->owner->db, &w, &id);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < im->n_tables; i++) {
		im->tables[i].n_rows += im->tables[i].n_batch;
		im->tables[i].n_batch = 0;
	}
	im->n_ops = 0;
	sw_buf_reset(&im->bytes);
	if (im->progress)
		fprintf(im->progress, "\r%llu rows", (unsigned long long)im->tables[im->current].n_rows);
	return 0;
}

static int find_table(struct sw_importer *im, struct sw_view table)
{
	struct tally *v;

	for (size_t i = 0; i < im->n_tables; i++) {
		if (sw_view_eq(sw_buf_view(&im->tables[i].name), table)) {
			im->current = i;
			return 1;
		}
	}
	v = realloc(im->tables, (im->n_tables + 1) * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	im->tables = v;
	im->current = im->n_tables++;
	v[im->current] = (struct tally){0};
	sw_buf_put_view(&v[im->current].name, table);
	return v[im->current].name.rc;
}

int sw_importer_table(struct sw_importer *im, struct sw_view table)
{
	struct sw_write_op w = {.op = {.kind = SW_OP_MKTABLE, .table.n = table.n}};
	struct sw_table t;
	int rc = find_table(im, table);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = begin_reading(im);
	if (rc == 0)
		rc = sw_state_table(im->reader.nodes, &im->reader.head.state, SW_CLASS_USER, table, &t);
	if (rc != SW_ENOTFOUND)
		return rc;
	w.op.row.mode = TABLE_MODE;
	w.op.row.mtime_ns = (int64_t)(sw_env_wall_ms(&sw_env_system) * 1000000);
	sw_buf_put_view(&im->bytes, table);
	return add_op(im, &w);
}

/* Whether the row holds these bytes already; *old is what it holds. */
static int compare(struct sw_importer *im, struct sw_view table, struct sw_view key, struct sw_view bytes,
		   struct sw_row *row, struct sw_hash *old, bool *same)
{
	SW_BUF text = {0};
	int rc = sw_state_row(im->reader.nodes, &im->reader.head.state, table, key, row);

	*old = sw_hash_zero;
	*same = false;
	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	sw_row_hash(row, old);
	if (row->size != bytes.n)
		return 0;
	rc = sw_row_read(im->reader.nodes, row, &text);
	*same = rc == 0 && sw_view_eq(sw_buf_view(&text), bytes);
	return rc;
}

int sw_importer_row(struct sw_importer *im, struct sw_view key, struct sw_view bytes,
		    const struct sw_import_meta *meta)
{
	struct tally *t = &im->tables[im->current];
	struct sw_view table = sw_buf_view(&t->name);
	struct sw_write_op w = {.op = {.kind = SW_OP_PUT, .table.n = table.n, .key.n = key.n},
				.content.n = bytes.n};
	struct sw_row row = {0};
	bool same;
	int rc = begin_reading(im);

	if (rc == 0)
		rc = compare(im, table, key, bytes, &row, &w.op.old, &same);
	if (rc < 0)
		return rc;
	w.op.row.mode = meta ? meta->mode & SW_MODE_MASK : FILE_MODE;
	w.op.row.mtime_ns = meta ? meta->mtime_ns : (int64_t)(sw_env_wall_ms(&sw_env_system) * 1000000);
	if (same && (!meta || (row.mode == w.op.row.mode && row.mtime_ns == w.op.row.mtime_ns))) {
		t->n_unchanged++;
		return 0;
	}
	sw_buf_put_view(&im->bytes, table);
	sw_buf_put_view(&im->bytes, key);
	sw_buf_put_view(&im->bytes, bytes);
	t->n_batch++;
	rc = add_op(im, &w);
	if (rc == 0 && (im->n_ops >= SW_IMPORT_BATCH_ROWS || im->bytes.n >= SW_IMPORT_BATCH_BYTES))
		rc = commit(im);
	return rc;
}

int sw_importer_finish(struct sw_importer *im)
{
	int rc = commit(im);

	if (im->progress)
		fprintf(im->progress, "\r\033[K");
	return rc;
}

void sw_importer_report(const struct sw_importer *im, FILE *out, bool is_done)
{
	for (size_t i = 0; i < im->n_tables; i++) {
		const struct tally *t = &im->tables[i];

		fprintf(out, "imported %llu rows into %.*s (%llu unchanged)%s\n", (unsigned long long)t->n_rows,
			(int)t->name.n, (const char *)t->name.p, (unsigned long long)t->n_unchanged,
			is_done ? "" : ", then it failed");
	}
}

void sw_importer_free(struct sw_importer *im)
{
	if (!im)
		return;
	end_reading(im);
	for (size_t i = 0; i < im->n_tables; i++)
		sw_buf_fini(&im->tables[i].name);
	free(im->tables);
	free(im->ops);
	sw_buf_fini(&im->bytes);
	free(im);
}
