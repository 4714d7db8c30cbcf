#include "core/nodes.h"

#include <assert.h>
#include <stdlib.h>

/* A record as this set knows it: its bytes when it was added here, and what changed in its count. */
struct slot {
	struct sw_hash hash;
	uint8_t *bytes; /* NULL: only in the store, if at all */
	size_t n;
	int64_t delta;	/* references gained in this transaction */
	bool seen_refs; /* its own references were counted */
	bool is_gone;	/* its last reference went, and it gave up its own */
};

struct sw_nodes {
	struct sw_txn *txn;
	struct sw_memtable *memtable;
	struct sw_node_cache *cache;
	const struct sw_nodes *under[2];
	const struct sw_nodes *below; /* read through; see sw_nodes_read_through() */
	struct sw_hash *missing; /* what was not found; NULL: nobody asks */
	struct slot *slots; /* in the order in which they came: the chunks of a row in that of its bytes */
	size_t n, cap;
	uint32_t *index; /* open addressing, linear probing; the hash is its own hash function: place + 1, or 0 */
	size_t n_index;	 /* a power of two */
	size_t bytes;
	struct sw_hash *queue; /* releases not yet followed */
	size_t n_queue;
	size_t cap_queue;
};

int sw_nodes_new(struct sw_txn *txn, struct sw_nodes **out)
{
	struct sw_nodes *s = calloc(1, sizeof(*s));

	if (!s)
		return SW_ENOMEM;
	s->txn = txn;
	*out = s;
	return 0;
}

static void clear(struct sw_nodes *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->slots[i].bytes);
	free(s->slots);
	free(s->index);
	s->slots = NULL;
	s->index = NULL;
	s->cap = s->n = s->n_index = s->bytes = s->n_queue = 0;
}

void sw_nodes_free(struct sw_nodes *s)
{
	if (!s)
		return;
	clear(s);
	free(s->queue);
	free(s);
}

void sw_nodes_freep(struct sw_nodes **s)
{
	sw_nodes_free(*s);
}

void sw_nodes_stack(struct sw_nodes *s, const struct sw_nodes *under)
{
	assert(!s->under[1]);
	s->under[s->under[0] != NULL] = under;
}

void sw_nodes_set_memtable(struct sw_nodes *s, struct sw_memtable *m)
{
	s->memtable = m;
}

void sw_nodes_set_cache(struct sw_nodes *s, struct sw_node_cache *c)
{
	s->cache = c;
}

void sw_nodes_read_through(struct sw_nodes *s, const struct sw_nodes *below)
{
	s->below = below;
}

size_t sw_nodes_bytes(const struct sw_nodes *s)
{
	return s->bytes;
}

int sw_nodes_each(const struct sw_nodes *s, sw_ref_fn fn, void *arg)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++)
		if (s->slots[i].bytes)
			rc = fn(arg, &s->slots[i].hash);
	return rc;
}

/* Where the index has it, or would. */
static uint32_t *index_of(const struct sw_nodes *s, const struct sw_hash *hash)
{
	size_t i = sw_get_u64(hash->b) & (s->n_index - 1);

	while (s->index[i] && !sw_hash_eq(&s->slots[s->index[i] - 1].hash, hash))
		i = (i + 1) & (s->n_index - 1);
	return &s->index[i];
}

static struct slot *find(const struct sw_nodes *s, const struct sw_hash *hash)
{
	uint32_t at = s->n_index ? *index_of(s, hash) : 0;

	return at ? &s->slots[at - 1] : NULL;
}

static int grow(struct sw_nodes *s)
{
	size_t cap = s->cap ? s->cap * 2 : 32;
	struct slot *slots = realloc(s->slots, cap * sizeof(*slots));
	uint32_t *index = calloc(2 * cap, sizeof(*index));

	if (slots)
		s->slots = slots;
	if (!slots || !index) {
		free(index);
		return SW_ENOMEM;
	}
	free(s->index);
	s->index = index;
	s->n_index = 2 * cap;
	s->cap = cap;
	for (size_t i = 0; i < s->n; i++)
		*index_of(s, &s->slots[i].hash) = (uint32_t)i + 1;
	return 0;
}

/* The slot of a hash, made if needed. Pointers to slots die at the next call. */
static int slot_of(struct sw_nodes *s, const struct sw_hash *hash, struct slot **out)
{
	struct slot *slot = find(s, hash);

	if (!slot) {
		int rc = s->n < s->cap ? 0 : grow(s);

		if (rc < 0)
			return rc;
		slot = &s->slots[s->n];
		*slot = (struct slot){.hash = *hash};
		*index_of(s, hash) = (uint32_t)++s->n;
	}
	*out = slot;
	return 0;
}

static int store_get(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	if (!s->txn)
		return SW_ENOTFOUND;
	return sw_txn_get(s->txn, SW_SPACE_NODES, sw_hash_view(hash), out);
}

bool sw_nodes_find(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	const struct slot *slot = find(s, hash);

	if (!slot || !slot->bytes)
		return false;
	*out = sw_view(slot->bytes, slot->n);
	return true;
}

/* What is not in the store, or need not be looked for there. */
static bool in_memory(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	for (size_t i = 0; i < 2; i++)
		if (s->under[i] && sw_nodes_find(s->under[i], hash, out))
			return true;
	return sw_nodes_find(s, hash, out) || (s->memtable && sw_memtable_get(s->memtable, hash, out));
}

static int lookup(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	if (in_memory(s, hash, out))
		return 0;
	return s->below ? lookup(s->below, hash, out) : store_get(s, hash, out);
}

int sw_nodes_get(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	int rc = lookup(s, hash, out);

	if (rc == SW_ENOTFOUND) {
		char hex[SW_HASH_HEX_SIZE];

		if (s->missing)
			*s->missing = *hash;
		sw_hex(hash->b, SW_HASH_SIZE, hex);
		return sw_fail(SW_ECORRUPT,
			       "record %s is missing from the store; run 'swarmfs verify'", hex);
	}
	return rc;
}

int sw_nodes_search(const struct sw_nodes *s, const struct sw_hash *hash, struct sw_view *out)
{
	int rc;

	if (s->cache && sw_node_cache_get(s->cache, hash, out))
		return 0;
	rc = sw_nodes_get(s, hash, out);
	if (rc == 0 && s->cache)
		sw_node_cache_put(s->cache, hash, *out);
	return rc;
}

void sw_nodes_note_missing(struct sw_nodes *s, struct sw_hash *to)
{
	s->missing = to;
}

bool sw_nodes_has(const struct sw_nodes *s, const struct sw_hash *hash)
{
	struct sw_view v;

	return lookup(s, hash, &v) == 0;
}

int sw_nodes_put(struct sw_nodes *s, struct sw_view bytes, struct sw_hash *hash)
{
	struct slot *slot;
	struct sw_view have;
	int rc;

	assert(bytes.n > 0);
	sw_hash_compute(SW_DOMAIN_NODE, bytes, hash);
	if (s->below ? sw_nodes_find(s, hash, &have) : lookup(s, hash, &have) == 0)
		return 0;
	rc = slot_of(s, hash, &slot);
	if (rc < 0)
		return rc;
	slot->bytes = malloc(bytes.n);
	if (!slot->bytes)
		return SW_ENOMEM;
	memcpy(slot->bytes, bytes.p, bytes.n);
	slot->n = bytes.n;
	s->bytes += bytes.n;
	return 0;
}

int sw_nodes_absorb(struct sw_nodes *s, struct sw_nodes *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct slot *have = &from->slots[i], *slot;
		struct sw_view stored;
		int rc;

		if (!have->bytes)
			continue;
		/* Of a record that is stored already, the references are counted already. */
		if (store_get(s, &have->hash, &stored) == 0)
			continue;
		rc = slot_of(s, &have->hash, &slot);
		if (rc < 0)
			return rc;
		if (slot->bytes)
			continue;
		slot->bytes = SW_TAKE(have->bytes);
		slot->n = have->n;
		s->bytes += have->n;
		from->bytes -= have->n;
	}
	clear(from);
	return 0;
}

static int ref_add(void *arg, const struct sw_hash *hash);

/*
 * A record that is not stored will be, now that something refers to it: the references that it holds count too.
 * Recursion is as deep as the tree: each new record is entered once.
 */
static int ref_add(void *arg, const struct sw_hash *hash)
{
	struct sw_nodes *s = arg;
	struct sw_view bytes, stored;
	struct slot *slot;
	int rc = slot_of(s, hash, &slot);

	if (rc < 0)
		return rc;
	slot->delta++;
	if (slot->seen_refs)
		return 0;
	slot->seen_refs = true;
	if (!in_memory(s, hash, &bytes))
		return 0;
	rc = store_get(s, hash, &stored);
	return rc == SW_ENOTFOUND ? sw_record_refs(bytes, ref_add, s) : rc;
}

static int ref_drop(void *arg, const struct sw_hash *hash)
{
	struct sw_nodes *s = arg;
	struct slot *slot;
	int rc = slot_of(s, hash, &slot);

	if (rc < 0)
		return rc;
	slot->delta--;
	if (s->n_queue == s->cap_queue) {
		size_t cap = s->cap_queue ? s->cap_queue * 2 : 64;
		struct sw_hash *queue = realloc(s->queue, cap * sizeof(*queue));

		if (!queue)
			return SW_ENOMEM;
		s->queue = queue;
		s->cap_queue = cap;
	}
	s->queue[s->n_queue++] = *hash;
	return 0;
}

int sw_nodes_retain(struct sw_nodes *s, const struct sw_hash *root)
{
	return sw_hash_is_zero(root) ? 0 : ref_add(s, root);
}

int sw_nodes_release(struct sw_nodes *s, const struct sw_hash *root)
{
	return sw_hash_is_zero(root) ? 0 : ref_drop(s, root);
}

/* References as the store has them: none without a record, one unless it says otherwise. */
static int stored_count(const struct sw_nodes *s, const struct sw_hash *hash, int64_t *out)
{
	struct sw_view v;
	int rc = store_get(s, hash, &v);

	*out = 0;
	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	*out = 1;
	rc = sw_txn_get(s->txn, SW_SPACE_REFS, sw_hash_view(hash), &v);
	if (rc == SW_ENOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	if (v.n != 8)
		return SW_ECORRUPT;
	*out = (int64_t)sw_get_u64(v.p);
	return 0;
}

/*
 * Follow what was released: a record whose last reference went gives up its own. All retains come before
 * the flush, so a count that reaches zero here stays there.
 */
static int follow_releases(struct sw_nodes *s)
{
	while (s->n_queue > 0) {
		struct sw_hash hash = s->queue[--s->n_queue];
		struct slot *slot = find(s, &hash);
		struct sw_view bytes;
		int64_t count;
		int rc = stored_count(s, &hash, &count);

		if (rc < 0)
			return rc;
		assert(slot);
		count += slot->delta;
		if (count < 0)
			return sw_fail(SW_ECORRUPT, "a reference count of the store is wrong; run "
						    "'swarmfs verify'");
		/* Dropped by two at once, it is in the queue twice, and gives up its own once. */
		if (count > 0 || slot->is_gone)
			continue;
		slot->is_gone = true;
		rc = sw_nodes_get(s, &hash, &bytes);
		if (rc == 0)
			rc = sw_record_refs(bytes, ref_drop, s);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_slot(struct sw_nodes *s, const struct slot *slot)
{
	struct sw_view key = sw_hash_view(&slot->hash), bytes;
	int64_t before, after;
	uint8_t count[8];
	int rc = stored_count(s, &slot->hash, &before);

	if (rc < 0)
		return rc;
	after = before + slot->delta;
	if (after == before)
		return 0;
	if (after == 0) {
		rc = sw_txn_del(s->txn, SW_SPACE_NODES, key);
		return rc < 0 || before == 1 ? rc : sw_txn_del(s->txn, SW_SPACE_REFS, key);
	}
	if (after < 0 || (before == 0 && !in_memory(s, &slot->hash, &bytes)))
		return sw_fail(SW_ECORRUPT, "a record of the store is referred to but missing; run "
					    "'swarmfs verify'");
	if (before == 0) {
		rc = sw_txn_put(s->txn, SW_SPACE_NODES, key, bytes);
		if (rc < 0)
			return rc;
		before = 1;
	}
	if (after == 1)
		return before == 1 ? 0 : sw_txn_del(s->txn, SW_SPACE_REFS, key);
	sw_set_u64(count, (uint64_t)after);
	return sw_txn_put(s->txn, SW_SPACE_REFS, key, sw_view(count, sizeof(count)));
}

/* In order, so that the store gives the chunks of a row pages that follow each other: who reads it cold reads on and on. */
int sw_nodes_flush(struct sw_nodes *s)
{
	int rc = follow_releases(s);

	assert(s->txn);
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		if (s->slots[i].delta != 0)
			rc = write_slot(s, &s->slots[i]);
	clear(s);
	return rc;
}
