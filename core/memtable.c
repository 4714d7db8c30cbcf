#include "core/memtable.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/nodes.h"

struct sw_memtable {
	atomic_size_t n_refs;
	pthread_rwlock_t lock; /* of the table, not of the bytes, which stay where they are */
	struct sw_nodes *records;
};

int sw_memtable_new(struct sw_memtable **out)
{
	struct sw_memtable *m = calloc(1, sizeof(*m));

	if (!m)
		return SW_ENOMEM;
	if (sw_nodes_new(NULL, &m->records) < 0) {
		free(m);
		return SW_ENOMEM;
	}
	atomic_init(&m->n_refs, 1);
	pthread_rwlock_init(&m->lock, NULL);
	*out = m;
	return 0;
}

struct sw_memtable *sw_memtable_ref(struct sw_memtable *m)
{
	atomic_fetch_add(&m->n_refs, 1);
	return m;
}

void sw_memtable_unref(struct sw_memtable *m)
{
	if (!m || atomic_fetch_sub(&m->n_refs, 1) > 1)
		return;
	pthread_rwlock_destroy(&m->lock);
	sw_nodes_free(m->records);
	free(m);
}

bool sw_memtable_get(struct sw_memtable *m, const struct sw_hash *hash, struct sw_view *out)
{
	bool found;

	pthread_rwlock_rdlock(&m->lock);
	found = sw_nodes_find(m->records, hash, out);
	pthread_rwlock_unlock(&m->lock);
	return found;
}

int sw_memtable_add(struct sw_memtable *m, struct sw_nodes *from)
{
	int rc;

	pthread_rwlock_wrlock(&m->lock);
	rc = sw_nodes_absorb(m->records, from);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

size_t sw_memtable_bytes(const struct sw_memtable *m)
{
	return sw_nodes_bytes(m->records);
}
