#include "core/history.h"

#include <assert.h>
#include <stdlib.h>

#define REF_KEY_SIZE (16 + 8 + 8)
#define REF_BEGIN    0x80000000u /* in the offset, which is less than SW_CHANGESET_SIZE_MAX */
#define REST	     0xff	 /* in front of what is left of a changeset; no mode */
#define META_HORIZON "freed"

static void cell_hash(uint8_t class, struct sw_view table, struct sw_view key, struct sw_cell *out)
{
	uint8_t text[2 + SW_NAME_MAX];
	struct sw_hash h;

	assert(table.n <= SW_NAME_MAX);
	text[0] = class;
	text[1] = (uint8_t)table.n;
	memcpy(text + 2, table.p, table.n);
	sw_hash_compute2(SW_DOMAIN_CELL, sw_view(text, 2 + table.n), key, &h);
	memcpy(out->b, h.b, sizeof(out->b));
}

void sw_row_cell(struct sw_view table, struct sw_view key, struct sw_cell *out)
{
	cell_hash(1, table, key, out);
}

bool sw_op_cell(const struct sw_op *op, struct sw_cell *out)
{
	uint8_t key[SW_NAME_MAX + SW_HASH_SIZE];

	switch (op->kind) {
	case SW_OP_MKTABLE:
	case SW_OP_RMTABLE:
	case SW_OP_CHMETA:
	case SW_OP_PUT:
	case SW_OP_DELETE:
	case SW_OP_CHECK:
		cell_hash(1, op->table, op->key, out);
		return true;
	case SW_OP_RESOLVE:
		memcpy(key, op->key.p, op->key.n);
		memcpy(key + op->key.n, op->commit.b, SW_HASH_SIZE);
		cell_hash(2, op->table, sw_view(key, op->key.n + SW_HASH_SIZE), out);
		return true;
	case SW_OP_TAG:
		cell_hash(3, op->table, op->key, out);
		return true;
	case SW_OP_GRANT:
		cell_hash(4, sw_view(op->member.b, SW_KEY_SIZE), sw_view(NULL, 0), out);
		return true;
	default:
		return false;
	}
}

static struct sw_view seq_key(uint64_t seq, uint8_t buf[static 8])
{
	sw_set_u64(buf, seq);
	return sw_view(buf, 8);
}

static struct sw_view ref_key(const struct sw_cell *cell, uint64_t stamp, uint64_t seq,
			      uint8_t buf[static REF_KEY_SIZE])
{
	memcpy(buf, cell->b, 16);
	sw_set_u64(buf + 16, stamp);
	sw_set_u64(buf + 24, seq);
	return sw_view(buf, REF_KEY_SIZE);
}

static struct sw_view ref_value(const struct sw_op_ref *ref, uint8_t buf[static 4])
{
	uint32_t x = ref->offset | (ref->is_begin ? REF_BEGIN : 0);

	for (int i = 0; i < 4; i++)
		buf[i] = (uint8_t)(x >> (24 - 8 * i));
	return sw_view(buf, 4);
}

static void read_ref(const uint8_t *key, const uint8_t *value, struct sw_op_ref *out)
{
	uint32_t x = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];

	*out = (struct sw_op_ref){.stamp = sw_get_u64(key + 16),
				  .seq = sw_get_u64(key + 24),
				  .offset = x & ~REF_BEGIN,
				  .is_begin = (x & REF_BEGIN) != 0};
}

int sw_history_put_foothold(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *at, struct sw_view value)
{
	uint8_t key[REF_KEY_SIZE];

	return sw_txn_put(txn, SW_SPACE_FOOTHOLDS, ref_key(cell, at->stamp, at->seq, key), value);
}

int sw_history_foothold(struct sw_txn *txn, const struct sw_cell *cell, uint64_t before, struct sw_op_ref *at,
			struct sw_view *value)
{
	uint8_t key[REF_KEY_SIZE];
	struct sw_view found;
	int rc = sw_txn_floor(txn, SW_SPACE_FOOTHOLDS, ref_key(cell, before, 0, key), &found, value);

	if (rc <= 0 || found.n != REF_KEY_SIZE || memcmp(found.p, cell->b, sizeof(cell->b)) != 0)
		return rc < 0 ? rc : 0;
	*at = (struct sw_op_ref){.stamp = sw_get_u64(found.p + 16), .seq = sw_get_u64(found.p + 24)};
	return 1;
}

int sw_history_next_foothold(struct sw_txn *txn, struct sw_cell *cell, struct sw_view *value)
{
	struct sw_view found;
	int rc = sw_txn_ceil(txn, SW_SPACE_FOOTHOLDS, sw_view(cell->b, sizeof(cell->b)), &found, value);

	if (rc <= 0)
		return rc < 0 ? rc : SW_ENOTFOUND;
	if (found.n != REF_KEY_SIZE)
		return sw_fail(SW_ECORRUPT, "the footholds of the store are damaged");
	memcpy(cell->b, found.p, sizeof(cell->b));
	return 0;
}

int sw_history_foothold_at(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *at, struct sw_view *value)
{
	uint8_t key[REF_KEY_SIZE];

	return sw_txn_get(txn, SW_SPACE_FOOTHOLDS, ref_key(cell, at->stamp, at->seq, key), value);
}

int sw_history_drop_footholds(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp)
{
	uint8_t from[REF_KEY_SIZE], key[REF_KEY_SIZE];
	struct sw_view found, value;
	int rc;

	ref_key(cell, from_stamp, 0, from);
	while ((rc = sw_txn_ceil(txn, SW_SPACE_FOOTHOLDS, sw_view(from, sizeof(from)), &found, &value)) > 0) {
		if (found.n != REF_KEY_SIZE || memcmp(found.p, cell->b, sizeof(cell->b)) != 0)
			return 0;
		memcpy(key, found.p, sizeof(key)); /* the view dies with the delete */
		rc = sw_txn_del(txn, SW_SPACE_FOOTHOLDS, sw_view(key, sizeof(key)));
		if (rc < 0)
			break;
	}
	return rc;
}

int sw_history_index(struct sw_txn *txn, uint64_t seq, uint64_t stamp, struct sw_view changeset)
{
	uint8_t key[REF_KEY_SIZE], value[4];
	struct sw_changeset c;
	struct sw_cell cell;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, changeset);

	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		rc = 0;
		if (!sw_op_cell(&op, &cell))
			continue;
		rc = sw_txn_put(txn, SW_SPACE_OPS, ref_key(&cell, stamp, seq, key),
				ref_value(&(struct sw_op_ref){.offset = c.offset}, value));
	}
	return rc;
}

/* Commits of one stamp are ordered by author and id, which only their headers tell. */
static int order_ties(struct sw_txn *txn, struct sw_op_refs *refs)
{
	for (size_t i = 1; i < refs->n; i++) {
		for (size_t j = i; j > 0 && refs->v[j - 1].stamp == refs->v[j].stamp; j--) {
			struct sw_op_ref swap = refs->v[j];
			struct sw_order a, b;
			int rc = sw_history_order(txn, refs->v[j - 1].seq, &a);

			if (rc == 0)
				rc = sw_history_order(txn, refs->v[j].seq, &b);
			if (rc < 0)
				return rc;
			if (sw_order_cmp(&a, &b) <= 0)
				break;
			refs->v[j] = refs->v[j - 1];
			refs->v[j - 1] = swap;
		}
	}
	return 0;
}

/* What comes before the last of the beginnings does not matter. */
static void skip_to_begin(struct sw_op_refs *refs)
{
	size_t at = refs->n;

	while (at > 0 && !refs->v[at - 1].is_begin)
		at--;
	if (at <= 1)
		return;
	refs->n -= at - 1;
	memmove(refs->v, refs->v + at - 1, refs->n * sizeof(*refs->v));
}

static int read_refs(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp, uint64_t to_stamp,
		     struct sw_op_refs *out)
{
	struct sw_op_refs refs = {0};
	uint8_t key[REF_KEY_SIZE];
	struct sw_view found, value;
	size_t cap = 0;
	int rc;

	ref_key(cell, from_stamp, 0, key);
	while ((rc = sw_txn_ceil(txn, SW_SPACE_OPS, sw_view(key, sizeof(key)), &found, &value)) > 0) {
		struct sw_op_ref *ref;

		if (found.n != REF_KEY_SIZE || value.n != 4) {
			rc = sw_fail(SW_ECORRUPT, "the operation index is damaged");
			break;
		}
		if (memcmp(found.p, cell->b, 16) != 0 || sw_get_u64(found.p + 16) > to_stamp) {
			rc = 0;
			break;
		}
		if (refs.n == cap) {
			struct sw_op_ref *v = realloc(refs.v, (cap ? cap * 2 : 4) * sizeof(*v));

			if (!v) {
				rc = SW_ENOMEM;
				break;
			}
			refs.v = v;
			cap = cap ? cap * 2 : 4;
		}
		ref = &refs.v[refs.n++];
		read_ref(found.p, value.p, ref);
		ref_key(cell, ref->stamp, ref->seq + 1, key);
	}
	if (rc == 0)
		rc = order_ties(txn, &refs);
	if (rc < 0) {
		free(refs.v);
		return rc;
	}
	*out = refs;
	return 0;
}

int sw_history_refs_between(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp, uint64_t to_stamp,
			    struct sw_op_refs *out)
{
	int rc = read_refs(txn, cell, from_stamp, to_stamp, out);

	if (rc == 0)
		skip_to_begin(out);
	return rc;
}

int sw_history_next_cell(struct sw_txn *txn, struct sw_cell *cell, struct sw_op_refs *out)
{
	struct sw_view found, value;
	int rc = sw_txn_ceil(txn, SW_SPACE_OPS, sw_view(cell->b, sizeof(cell->b)), &found, &value);

	if (rc <= 0)
		return rc;
	if (found.n != REF_KEY_SIZE)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	memcpy(cell->b, found.p, sizeof(cell->b));
	rc = read_refs(txn, cell, 0, UINT64_MAX, out);
	return rc < 0 ? rc : 1;
}

int sw_history_move_ref(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref)
{
	uint8_t key[REF_KEY_SIZE], value[4];
	struct sw_op_ref before;
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_OPS, ref_key(cell, ref->stamp, ref->seq, key), &v);

	if (rc < 0)
		return rc;
	if (v.n != 4)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged");
	read_ref(key, v.p, &before);
	before.offset = ref->offset;
	return sw_txn_put(txn, SW_SPACE_OPS, sw_view(key, sizeof(key)), ref_value(&before, value));
}

int sw_history_begin_at(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref)
{
	struct sw_op_ref begin = *ref;
	uint8_t key[REF_KEY_SIZE], value[4];

	int rc = sw_history_drop_footholds(txn, cell, 0); /* before it, they come from what goes now */

	begin.is_begin = true;
	return rc < 0 ? rc
		      : sw_txn_put(txn, SW_SPACE_OPS, ref_key(cell, ref->stamp, ref->seq, key), ref_value(&begin, value));
}

int sw_history_remove_ref(struct sw_txn *txn, const struct sw_cell *cell, const struct sw_op_ref *ref)
{
	uint8_t key[REF_KEY_SIZE];
	int rc = sw_history_drop_footholds(txn, cell, ref->stamp);

	return rc < 0 ? rc : sw_txn_del(txn, SW_SPACE_OPS, ref_key(cell, ref->stamp, ref->seq, key));
}

int sw_history_has_ref(struct sw_txn *txn, const struct sw_cell *cell, uint64_t stamp, uint64_t seq, bool *out)
{
	uint8_t key[REF_KEY_SIZE];
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_OPS, ref_key(cell, stamp, seq, key), &v);

	*out = rc == 0;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

int sw_history_refs(struct sw_txn *txn, const struct sw_cell *cell, uint64_t from_stamp,
		    struct sw_op_refs *out)
{
	return sw_history_refs_between(txn, cell, from_stamp, UINT64_MAX, out);
}

int sw_history_next_seq(struct sw_txn *txn, uint64_t *out)
{
	uint8_t last[8];
	struct sw_view found, value;
	int rc;

	memset(last, 0xff, sizeof(last));
	rc = sw_txn_floor(txn, SW_SPACE_COMMITS, sw_view(last, sizeof(last)), &found, &value);
	if (rc < 0)
		return rc;
	*out = rc > 0 && found.n == 8 ? sw_get_u64(found.p) + 1 : 1;
	return 0;
}

int sw_history_put(struct sw_txn *txn, uint64_t seq, const struct sw_hash *id, struct sw_view commit)
{
	uint8_t key[8];
	int rc = sw_txn_append(txn, SW_SPACE_COMMITS, seq_key(seq, key), commit);

	if (rc < 0)
		return rc;
	return sw_txn_put(txn, SW_SPACE_IDS, sw_hash_view(id), sw_view(key, sizeof(key)));
}

int sw_history_remove(struct sw_txn *txn, uint64_t seq, const struct sw_commit *c, struct sw_view changeset)
{
	const struct sw_op_ref ref = {.stamp = c->stamp, .seq = seq};
	struct sw_changeset changes;
	struct sw_cell cell;
	struct sw_op op;
	uint8_t key[8];
	int rc = sw_changeset_begin(&changes, changeset);

	while (rc == 0 && (rc = sw_changeset_next(&changes, &op)) > 0)
		rc = sw_op_cell(&op, &cell) ? sw_history_remove_ref(txn, &cell, &ref) : 0;
	if (rc == 0)
		rc = sw_txn_del(txn, SW_SPACE_IDS, sw_hash_view(&c->id));
	if (rc == 0)
		rc = sw_txn_del(txn, SW_SPACE_TIPS, sw_hash_view(&c->id));
	if (rc == 0)
		rc = sw_txn_del(txn, SW_SPACE_COMMITS, seq_key(seq, key));
	if (rc == 0)
		rc = sw_txn_del(txn, SW_SPACE_CHANGES, seq_key(seq, key));
	return rc < 0 ? rc : sw_history_put_outcome(txn, seq, SW_APPLIED);
}

int sw_history_put_changeset(struct sw_txn *txn, uint64_t seq, struct sw_view changeset)
{
	uint8_t key[8];

	return sw_txn_append(txn, SW_SPACE_CHANGES, seq_key(seq, key), changeset);
}

int sw_history_put_outcome(struct sw_txn *txn, uint64_t seq, enum sw_outcome outcome)
{
	uint8_t key[8], byte = (uint8_t)outcome;

	if (outcome == SW_APPLIED)
		return sw_txn_del(txn, SW_SPACE_OUTCOMES, seq_key(seq, key));
	return sw_txn_put(txn, SW_SPACE_OUTCOMES, seq_key(seq, key), sw_view(&byte, 1));
}

int sw_history_seq(struct sw_txn *txn, const struct sw_hash *id, uint64_t *seq)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_IDS, sw_hash_view(id), &v);

	if (rc < 0)
		return rc;
	if (v.n != 8)
		return sw_fail(SW_ECORRUPT, "the commit index is damaged");
	*seq = sw_get_u64(v.p);
	return 0;
}

int sw_history_get(struct sw_txn *txn, uint64_t seq, struct sw_view *commit)
{
	uint8_t key[8];

	return sw_txn_get(txn, SW_SPACE_COMMITS, seq_key(seq, key), commit);
}

int sw_history_changeset(struct sw_txn *txn, uint64_t seq, struct sw_view *changeset)
{
	uint8_t key[8];
	int rc = sw_txn_get(txn, SW_SPACE_CHANGES, seq_key(seq, key), changeset);

	if (rc == 0 && changeset->n > 0 && changeset->p[0] == REST)
		*changeset = sw_view(changeset->p + 1, changeset->n - 1);
	return rc;
}

int sw_history_is_freed(struct sw_txn *txn, uint64_t seq, bool *out)
{
	struct sw_view v;
	uint8_t key[8];
	int rc = sw_txn_get(txn, SW_SPACE_CHANGES, seq_key(seq, key), &v);

	*out = rc == 0 && v.n > 0 && v.p[0] == REST;
	return rc;
}

int sw_history_put_rest(struct sw_txn *txn, uint64_t seq, struct sw_view rest)
{
	uint8_t key[8];
	SW_BUF b = {0};

	sw_buf_put_u8(&b, REST);
	sw_buf_put_view(&b, rest);
	return b.rc < 0 ? b.rc : sw_txn_put(txn, SW_SPACE_CHANGES, seq_key(seq, key), sw_buf_view(&b));
}

int sw_history_horizon(struct sw_txn *txn, struct sw_order *out)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_META, sw_view_str(META_HORIZON), &v);

	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	if (v.n != SW_ORDER_SIZE)
		return sw_fail(SW_ECORRUPT, "the store's note of what gc has freed is damaged");
	memcpy(out->b, v.p, SW_ORDER_SIZE);
	return 1;
}

int sw_history_put_horizon(struct sw_txn *txn, const struct sw_order *at)
{
	return sw_txn_put(txn, SW_SPACE_META, sw_view_str(META_HORIZON), sw_order_view(at));
}

int sw_history_outcome(struct sw_txn *txn, uint64_t seq, enum sw_outcome *out)
{
	uint8_t key[8];
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_OUTCOMES, seq_key(seq, key), &v);

	*out = SW_APPLIED;
	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc == 0 && (v.n != 1 || v.p[0] > SW_OUT))
		return sw_fail(SW_ECORRUPT, "an outcome in the store is damaged");
	if (rc == 0)
		*out = (enum sw_outcome)v.p[0];
	return rc;
}

int sw_history_order(struct sw_txn *txn, uint64_t seq, struct sw_order *out)
{
	struct sw_view bytes;
	struct sw_commit c;
	int rc = sw_history_get(txn, seq, &bytes);

	if (rc == 0)
		rc = sw_commit_decode(bytes, &c);
	if (rc == SW_EFORMAT || rc == SW_ENOTFOUND)
		return sw_fail(SW_ECORRUPT, "commit number %llu of the store is damaged",
			       (unsigned long long)seq);
	if (rc == 0)
		sw_order_make(c.stamp, &c.author, &c.id, out);
	return rc;
}
