#include "core/node_cache.h"

#include <stdlib.h>

/* Each record has one place: of a table of a million rows there are about 250 inner nodes, and few
 * are searched at a time. */
#define PLACES 128

struct place {
	struct sw_hash hash;
	uint8_t *bytes; /* NULL: free */
	size_t n;
};

struct sw_node_cache {
	struct place places[PLACES];
};

int sw_node_cache_new(struct sw_node_cache **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : SW_ENOMEM;
}

void sw_node_cache_free(struct sw_node_cache *c)
{
	for (size_t i = 0; c && i < PLACES; i++)
		free(c->places[i].bytes);
	free(c);
}

bool sw_node_cache_get(const struct sw_node_cache *c, const struct sw_hash *hash,
		       struct sw_view *out)
{
	const struct place *p = &c->places[hash->b[0] % PLACES];

	if (!p->bytes || !sw_hash_eq(&p->hash, hash))
		return false;
	*out = sw_view(p->bytes, p->n);
	return true;
}

void sw_node_cache_put(struct sw_node_cache *c, const struct sw_hash *hash, struct sw_view bytes)
{
	struct place *p = &c->places[hash->b[0] % PLACES];
	uint8_t *to;

	if (bytes.n < 2 || (bytes.p[0] != SW_NODE_INNER &&
			    (bytes.p[0] != SW_NODE_LEAF || bytes.p[1] != SW_PURPOSE_STATE)))
		return;
	to = realloc(p->bytes, bytes.n);
	if (!to)
		return;
	memcpy(to, bytes.p, bytes.n);
	*p = (struct place){.hash = *hash, .bytes = to, .n = bytes.n};
}
