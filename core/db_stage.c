/*
 * Stages: records of large rows on their way into the store, batch by batch. Each batch is remembered in SW_SPACE_STAGED, which
 * counts as one reference to each of its records; when a row is whole, one reference to its root takes their place.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/db_internal.h"

#define BATCH_BYTES ((size_t)16 << 20)
#define ROW_BATCH   UINT32_MAX /* where the roots of whole rows are */

struct sw_stage {
	struct sw_stage *next;
	struct sw_db *db;
	uint64_t number;
	uint32_t n_batches; /* of the row that is being written */
	uint32_t n_rows;
	struct sw_nodes *records;
};

#define KEY_SIZE 12

static struct sw_view batch_key(uint64_t number, uint32_t batch, uint8_t buf[static KEY_SIZE])
{
	sw_set_u64(buf, number);
	for (int i = 0; i < 4; i++)
		buf[8 + i] = (uint8_t)(batch >> (24 - 8 * i));
	return sw_view(buf, KEY_SIZE);
}

int sw_stages_load(struct sw_db *db, struct sw_txn *txn)
{
	uint8_t last[KEY_SIZE];
	struct sw_view found, value;
	int rc;

	memset(last, 0xff, sizeof(last));
	rc = sw_txn_floor(txn, SW_SPACE_STAGED, sw_view(last, sizeof(last)), &found, &value);
	if (rc > 0 && found.n != KEY_SIZE)
		return sw_db_damaged("list of staged records");
	db->has_stray_stages = rc > 0;
	db->next_stage = rc > 0 ? sw_get_u64(found.p) + 1 : 1;
	return rc < 0 ? rc : 0;
}

int sw_stage_new(struct sw_db *db, struct sw_stage **out)
{
	struct sw_stage *s = calloc(1, sizeof(*s));

	if (!s || sw_nodes_new(NULL, &s->records) < 0) {
		free(s);
		return SW_ENOMEM;
	}
	s->db = db;
	pthread_mutex_lock(&db->write_lock);
	s->number = db->next_stage++;
	s->next = db->stages;
	db->stages = s;
	pthread_mutex_unlock(&db->write_lock);
	*out = s;
	return 0;
}

void sw_stage_free(struct sw_stage *s)
{
	struct sw_stage **p;

	if (!s)
		return;
	pthread_mutex_lock(&s->db->write_lock);
	for (p = &s->db->stages; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	if (s->n_batches > 0 || s->n_rows > 0)
		s->db->has_stray_stages = true;
	pthread_mutex_unlock(&s->db->write_lock);
	sw_nodes_free(s->records);
	free(s);
}

/* Batches */

static int collect(void *arg, const struct sw_hash *hash)
{
	struct sw_buf *list = arg;

	sw_buf_put_hash(list, hash);
	return list->rc;
}

static int retain_all(struct sw_nodes *nodes, struct sw_view list)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list.n; i += SW_HASH_SIZE) {
		struct sw_hash hash;

		memcpy(hash.b, list.p + i, SW_HASH_SIZE);
		rc = sw_nodes_retain(nodes, &hash);
	}
	return rc;
}

/* Let go of a batch. The view dies with the delete. */
static int release_batch(struct sw_txn *txn, struct sw_nodes *nodes, struct sw_view key, struct sw_view list)
{
	uint8_t copy[KEY_SIZE];
	int rc = 0;

	if (key.n != KEY_SIZE || list.n % SW_HASH_SIZE != 0)
		return sw_db_damaged("list of staged records");
	memcpy(copy, key.p, KEY_SIZE);
	for (size_t i = 0; rc == 0 && i < list.n; i += SW_HASH_SIZE) {
		struct sw_hash hash;

		memcpy(hash.b, list.p + i, SW_HASH_SIZE);
		rc = sw_nodes_release(nodes, &hash);
	}
	return rc < 0 ? rc : sw_txn_del(txn, SW_SPACE_STAGED, sw_view(copy, KEY_SIZE));
}

/* Let go of the batches of one stage below `end`. */
static int release_upto(struct sw_txn *txn, struct sw_nodes *nodes, uint64_t number, uint32_t end)
{
	uint8_t from[KEY_SIZE], to[KEY_SIZE];
	struct sw_view found, list;
	int rc;

	batch_key(number, end, to);
	while ((rc = sw_txn_ceil(txn, SW_SPACE_STAGED, batch_key(number, 0, from), &found, &list)) > 0) {
		if (sw_view_cmp(found, sw_view(to, KEY_SIZE)) >= 0)
			return 0;
		rc = release_batch(txn, nodes, found, list);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* Write the records in memory; root: they are the last ones of the row, and it alone is held from now on. */
static int write_batch(struct sw_stage *s, struct sw_txn *txn, struct sw_nodes *nodes, const struct sw_hash *root)
{
	uint8_t buf[KEY_SIZE];
	SW_BUF list = {0};
	int rc = 0;

	if (root)
		sw_buf_put_hash(&list, root);
	else
		rc = sw_nodes_each(s->records, collect, &list);
	if (rc == 0)
		rc = sw_nodes_absorb(nodes, s->records);
	if (rc == 0)
		rc = retain_all(nodes, sw_buf_view(&list));
	if (rc == 0 && root)
		rc = release_upto(txn, nodes, s->number, s->n_batches);
	if (rc == 0)
		rc = sw_txn_put(txn, SW_SPACE_STAGED,
				batch_key(s->number, root ? ROW_BATCH - s->n_rows : s->n_batches, buf), sw_buf_view(&list));
	return rc < 0 ? rc : sw_nodes_flush(nodes);
}

static int flush_batch(struct sw_stage *s, const struct sw_hash *root)
{
	struct sw_nodes *nodes = NULL;
	struct sw_txn *txn = NULL;
	int rc;

	pthread_mutex_lock(&s->db->write_lock);
	rc = sw_txn_begin(s->db->store, true, &txn);
	if (rc == 0)
		rc = sw_nodes_new(txn, &nodes);
	if (rc == 0)
		rc = write_batch(s, txn, nodes, root);
	if (rc == 0)
		rc = sw_txn_commit(SW_TAKE(txn));
	if (rc == 0) {
		s->n_rows += root != NULL;
		s->n_batches = root ? 0 : s->n_batches + 1;
	}
	sw_txn_abort(txn);
	sw_nodes_free(nodes);
	pthread_mutex_unlock(&s->db->write_lock);
	return rc;
}

int sw_stage_row(struct sw_stage *s, sw_read_fn read, void *arg, struct sw_row *row)
{
	struct sw_blob_writer *w = NULL;
	uint64_t at = 0;
	size_t got = 1, size = (size_t)256 << 10;
	uint8_t *block = malloc(size);
	int rc = block ? sw_blob_writer_new(s->records, s->db->shape, &w) : SW_ENOMEM;

	while (rc == 0 && (rc = read(arg, at, block, size, &got)) == 0 && got > 0) {
		rc = sw_blob_writer_add(w, sw_view(block, got));
		at += got;
		if (rc == 0 && sw_nodes_bytes(s->records) > BATCH_BYTES)
			rc = flush_batch(s, NULL);
	}
	if (rc == 0 && at <= SW_INLINE_MAX)
		rc = sw_fail(SW_EINVAL, "a row of %llu bytes needs no stage", (unsigned long long)at);
	if (rc == 0)
		rc = sw_blob_writer_finish(w, &row->blob, &row->size);
	if (rc == 0)
		rc = flush_batch(s, &row->blob);
	row->is_blob = true;
	row->bytes = sw_view(NULL, 0);
	sw_blob_writer_free(w);
	free(block);
	return rc;
}

struct copying {
	const struct sw_nodes *from;
	struct sw_nodes *to;
};

static int copy_data(void *arg, const struct sw_hash *hash)
{
	struct copying *c = arg;
	struct sw_view record;
	struct sw_hash same;

	if (!sw_nodes_find(c->from, hash, &record) || record.p[0] != SW_NODE_DATA)
		return 0;
	return sw_nodes_put(c->to, record, &same);
}

/* An index would refer to what is not here yet. */
int sw_stage_data(struct sw_stage *s, const struct sw_nodes *records)
{
	struct copying c = {.from = records, .to = s->records};
	int rc = sw_nodes_each(records, copy_data, &c);

	if (rc < 0 || sw_nodes_bytes(s->records) == 0)
		return rc;
	return flush_batch(s, NULL);
}

/* Ends */

int sw_stage_spend(struct sw_stage *s, struct sw_txn *txn, struct sw_nodes *nodes)
{
	uint8_t last[KEY_SIZE];
	struct sw_view found, list;
	int rc = release_upto(txn, nodes, s->number, ROW_BATCH);

	if (rc == 0)
		rc = sw_txn_get(txn, SW_SPACE_STAGED, batch_key(s->number, ROW_BATCH, last), &list);
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	found = sw_view(last, KEY_SIZE);
	return release_batch(txn, nodes, found, list);
}

void sw_stage_spent(struct sw_stage *s)
{
	s->n_rows = s->n_batches = 0;
}

static bool is_in_use(const struct sw_db *db, uint64_t number)
{
	for (const struct sw_stage *s = db->stages; s; s = s->next)
		if (s->number == number)
			return true;
	return false;
}

int sw_stages_give_up(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes)
{
	uint8_t at[KEY_SIZE] = {0};
	struct sw_view found, list;
	int rc;

	while ((rc = sw_txn_ceil(txn, SW_SPACE_STAGED, sw_view(at, sizeof(at)), &found, &list)) > 0) {
		if (found.n != KEY_SIZE)
			return sw_db_damaged("list of staged records");
		if (is_in_use(db, sw_get_u64(found.p))) {
			batch_key(sw_get_u64(found.p) + 1, 0, at);
			continue;
		}
		rc = release_batch(txn, nodes, found, list);
		if (rc < 0)
			return rc;
	}
	return rc;
}
