/* The end of a working copy: all its edits, and its checks, as one strict commit. */
#include "core/work_internal.h"

#include <stdlib.h>

/* The version that a row has in the state that the copy stands on. */
static int base_hash(struct sw_work *w, const struct sw_name *n, struct sw_hash *out)
{
	struct sw_reader r;
	struct sw_row row;
	int rc = sw_work_read(w, &r);

	*out = sw_hash_zero;
	if (rc < 0)
		return rc;
	rc = sw_state_row(r.nodes, &r.head.state, n->table, n->key, &row);
	if (rc == 0)
		sw_row_hash(&row, out);
	sw_reader_end(&r);
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int check_op(struct sw_work *w, const struct sw_name *n, struct sw_write_op *out)
{
	*out = (struct sw_write_op){.op = {.kind = SW_OP_CHECK,
					   .table = n->table,
					   .key = n->key}};
	return base_hash(w, n, &out->op.old);
}

static int add_op(struct sw_work *w, const struct sw_name *n, struct sw_write *write)
{
	struct sw_write_op *op = &write->ops[write->n];

	if (n->is_scratch || (!n->has_edit && !n->is_checked))
		return 0;
	if (!sw_name_is_whole(n))
		return sw_fail(SW_EBUSY, "a program is writing %.*s/%.*s; close it first", (int)n->table.n,
			       (const char *)n->table.p, (int)n->key.n, (const char *)n->key.p);
	write->n++;
	if (!n->has_edit)
		return check_op(w, n, op);
	sw_name_op(n, op);
	op->is_checked = n->is_checked;
	return 0;
}

/* From here on nothing in the copy changes: the operations borrow from it. The lock is held. */
static int freeze(struct sw_work *w, struct sw_write *write)
{
	int rc = 0;

	if (w->is_frozen)
		return sw_fail(SW_EBUSY, "the transaction is being applied already");
	write->ops = calloc(w->n_edits + w->n_checks + 1, sizeof(*write->ops));
	if (!write->ops)
		return SW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < w->cap_names; i++)
		if (w->names[i])
			rc = add_op(w, w->names[i], write);
	if (rc == 0)
		rc = sw_work_admit_all(w);
	w->is_frozen = rc == 0;
	return rc;
}

static int name_moved(const struct sw_write *write, struct sw_buf *out)
{
	for (size_t i = 0; i < write->n; i++) {
		if (!write->ops[i].has_moved_on)
			continue;
		sw_buf_put_bytes(out, write->ops[i].op.table);
		sw_buf_put_bytes(out, write->ops[i].op.key);
	}
	return out->rc < 0 ? out->rc : SW_ECONFLICT;
}

/* It is in history now, and nobody finds the copy any more; the kernel may know of it for long. What is open stays. */
static void give_up_content(struct sw_work *w)
{
	for (size_t i = 0; i < w->cap_names; i++) {
		struct sw_name *n = w->names[i];

		if (n && n->file && n->file->n_refs == 1)
			sw_name_put_file(w, n, NULL);
	}
}

int sw_work_apply(struct sw_work *w, uint64_t number, struct sw_view message, struct sw_hash *id,
		  struct sw_buf *moved)
{
	struct sw_write write = {.mode = SW_MODE_STRICT, .message = message, .copy = number};
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = sw_work_adopt(w, true);
	if (rc == 0)
		rc = sw_work_stage(w, true);
	if (rc == 0)
		rc = freeze(w, &write);
	pthread_mutex_unlock(&w->lock);
	if (rc == 0) {
		rc = sw_db_commit(w->db, &write, id);
		if (rc == SW_ECONFLICT)
			rc = name_moved(&write, moved);
		pthread_mutex_lock(&w->lock);
		w->is_frozen = rc == 0;
		if (rc == 0)
			give_up_content(w);
		pthread_mutex_unlock(&w->lock);
	}
	free(write.ops);
	return rc;
}
