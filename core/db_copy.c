/*
 * The records of working copies. Each holds a reference to the state that the copy stands on, so that nothing takes that away
 * while it lasts.
 *
 *   record = spent:u8 state:hash count:u64 made:u64 name:bytes message:bytes       by number:u64
 */
#include "core/db_internal.h"

#define KEY_SIZE 8

static struct sw_view key_of(uint64_t number, uint8_t buf[static KEY_SIZE])
{
	sw_set_u64(buf, number);
	return sw_view(buf, KEY_SIZE);
}

static int put(struct sw_txn *txn, const struct sw_copy_record *c)
{
	uint8_t key[KEY_SIZE];
	SW_BUF b = {0};

	sw_buf_put_u8(&b, c->is_spent);
	sw_buf_put_hash(&b, &c->state);
	sw_buf_put_u64(&b, c->count);
	sw_buf_put_u64(&b, c->made_ms);
	sw_buf_put_bytes(&b, c->name);
	sw_buf_put_bytes(&b, c->message);
	return b.rc < 0 ? b.rc : sw_txn_put(txn, SW_SPACE_COPIES, key_of(c->number, key), sw_buf_view(&b));
}

static int decode(struct sw_view key, struct sw_view value, struct sw_copy_record *out)
{
	struct sw_rd r = sw_rd(value);

	*out = (struct sw_copy_record){0};
	out->is_spent = sw_rd_u8(&r) == 1;
	sw_rd_hash(&r, &out->state);
	out->count = sw_rd_u64(&r);
	out->made_ms = sw_rd_u64(&r);
	out->name = sw_rd_bytes(&r, SW_NAME_MAX);
	out->message = sw_rd_bytes(&r, SW_MESSAGE_MAX);
	if (key.n != KEY_SIZE || sw_rd_done(&r) < 0)
		return sw_fail(SW_ECORRUPT, "the record of a working copy is damaged; restore the store from a backup or "
					    "clone it again");
	out->number = sw_get_u64(key.p);
	return 0;
}

static int get(struct sw_txn *txn, uint64_t number, struct sw_copy_record *out)
{
	uint8_t key[KEY_SIZE];
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_COPIES, key_of(number, key), &v);

	return rc < 0 ? rc : decode(sw_view(key, KEY_SIZE), v, out);
}

int sw_db_copy_next(struct sw_txn *txn, uint64_t number, struct sw_copy_record *out)
{
	struct sw_view key, value;
	uint8_t from[KEY_SIZE];
	int rc;

	if (number == UINT64_MAX)
		return 0;
	rc = sw_txn_ceil(txn, SW_SPACE_COPIES, key_of(number + 1, from), &key, &value);
	if (rc <= 0)
		return rc;
	rc = decode(key, value, out);
	return rc < 0 ? rc : 1;
}

static int make(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops, void *arg)
{
	const struct sw_copy_record *c = arg;
	struct sw_copy_record there;
	int rc = get(txn, c->number, &there);

	(void)db;
	(void)n_drops;
	if (rc != SW_ENOTFOUND)
		return rc < 0 ? rc : SW_EEXIST;
	rc = sw_nodes_retain(nodes, &c->state);
	return rc < 0 ? rc : put(txn, c);
}

int sw_db_copy_make(struct sw_db *db, struct sw_copy_record *c)
{
	int rc;

	pthread_mutex_lock(&db->write_lock);
	if (db->head.count > 0) {
		c->state = db->head.state; /* only writers change it */
		c->count = db->head.count;
		c->made_ms = sw_env_wall_ms(db->env);
		rc = sw_db_checkpoint_with(db, make, c);
	} else {
		rc = sw_fail(SW_EAGAIN, "the database has not arrived yet; wait until a peer is connected");
	}
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int sw_db_copy_set_message(struct sw_db *db, uint64_t number, struct sw_view message)
{
	struct sw_copy_record c;
	struct sw_txn *txn = NULL;
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = sw_txn_begin(db->store, true, &txn);
	if (rc == 0)
		rc = get(txn, number, &c);
	if (rc == 0) {
		c.message = message;
		rc = put(txn, &c);
	}
	if (rc == 0)
		rc = sw_txn_commit(SW_TAKE(txn));
	sw_txn_abort(txn);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int sw_db_copy_spend(struct sw_txn *txn, uint64_t number)
{
	struct sw_copy_record c;
	int rc = get(txn, number, &c);

	if (rc == 0 && c.is_spent)
		rc = SW_ENOTFOUND;
	c.is_spent = true;
	return rc < 0 ? rc : put(txn, &c);
}

void sw_db_copy_spent(struct sw_db *db)
{
	pthread_mutex_lock(&db->head_lock);
	db->n_drops++;
	db->has_unpinned = true;
	pthread_mutex_unlock(&db->head_lock);
}

int sw_db_copy_remove(struct sw_db *db, uint64_t number)
{
	struct sw_txn *txn = NULL;
	int rc;

	pthread_mutex_lock(&db->write_lock);
	rc = sw_txn_begin(db->store, true, &txn);
	if (rc == 0)
		rc = sw_db_copy_spend(txn, number);
	if (rc == 0)
		rc = sw_txn_commit(SW_TAKE(txn));
	if (rc == 0)
		sw_db_copy_spent(db);
	sw_txn_abort(txn);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int sw_db_copies_give_up(struct sw_db *db, struct sw_txn *txn, struct sw_nodes *nodes, int64_t *n_drops)
{
	struct sw_copy_record c = {0};
	uint8_t key[KEY_SIZE];
	int rc;

	while ((rc = sw_db_copy_next(txn, c.number, &c)) > 0) {
		if (!c.is_spent || sw_db_is_pinned(db, &c.state))
			continue;
		rc = sw_nodes_release(nodes, &c.state);
		if (rc == 0)
			rc = sw_txn_del(txn, SW_SPACE_COPIES, key_of(c.number, key));
		if (rc < 0)
			return rc;
		--*n_drops;
	}
	return rc;
}

int sw_db_copies_count_spent(struct sw_txn *txn, size_t *n)
{
	struct sw_copy_record c = {0};
	int rc;

	*n = 0;
	while ((rc = sw_db_copy_next(txn, c.number, &c)) > 0)
		*n += c.is_spent;
	return rc;
}
