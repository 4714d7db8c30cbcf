#include "net/known.h"

#include "net/swarm.h"

#define META_PEERS "peers"

static int load(struct sw_txn *txn, struct sw_buf *out)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_META, sw_view_str(META_PEERS), &v);

	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc == 0)
		sw_buf_put_view(out, v);
	return rc < 0 ? rc : out->rc;
}

int sw_known_list(struct sw_db *db, struct sw_buf *out)
{
	struct sw_txn *txn;
	int rc = sw_txn_begin(sw_db_store(db), false, &txn);

	if (rc < 0)
		return rc;
	rc = load(txn, out);
	sw_txn_abort(txn);
	return rc;
}

/* All but one address, and how many there are; *found: that one is among them. */
static size_t put_others(struct sw_view all, struct sw_view one, struct sw_buf *out, bool *found)
{
	struct sw_rd r = sw_rd(all);
	size_t n = 0;

	*found = false;
	while (sw_rd_left(&r) > 0) {
		struct sw_view address = sw_rd_bytes(&r, SW_SWARM_ADDRESS_SIZE);
		bool is_it = sw_view_eq(address, one);

		*found |= is_it;
		if (is_it)
			continue;
		sw_buf_put_bytes(out, address);
		n++;
	}
	return n;
}

/* The oldest goes when there are too many. */
static struct sw_view without_first(const struct sw_buf *list)
{
	struct sw_rd r = sw_rd(sw_buf_view(list));
	size_t n;

	(void)sw_rd_bytes(&r, SW_SWARM_ADDRESS_SIZE);
	n = sw_rd_left(&r);
	return sw_view(list->p + list->n - n, n);
}

/* In a transaction for writing: 1 when it is to be committed. */
static int change(struct sw_txn *txn, struct sw_view address, bool adds)
{
	SW_BUF all = {0};
	SW_BUF others = {0};
	struct sw_view now;
	bool found;
	size_t n;
	int rc = load(txn, &all);

	if (rc < 0)
		return rc;
	n = put_others(sw_buf_view(&all), address, &others, &found);
	if (found == adds)
		return adds ? 0 : SW_ENOTFOUND;
	if (adds)
		sw_buf_put_bytes(&others, address);
	if (others.rc < 0)
		return others.rc;
	now = n == SW_KNOWN_MAX ? without_first(&others) : sw_buf_view(&others);
	rc = sw_txn_put(txn, SW_SPACE_META, sw_view_str(META_PEERS), now);
	return rc < 0 ? rc : 1;
}

static int change_in_txn(struct sw_db *db, const char *address, bool adds)
{
	struct sw_txn *txn;
	int rc = sw_txn_begin(sw_db_store(db), true, &txn);

	if (rc < 0)
		return rc;
	rc = change(txn, sw_view_str(address), adds);
	if (rc > 0)
		return sw_txn_commit(txn);
	sw_txn_abort(txn);
	return rc;
}

int sw_known_add(struct sw_db *db, const char *address)
{
	return change_in_txn(db, address, true);
}

int sw_known_forget(struct sw_db *db, const char *address)
{
	return change_in_txn(db, address, false);
}
