#include "core/cut.h"

#include <assert.h>

#define LEVEL_CUT  0x80 /* the second hash of a level has its own key */
#define LEVEL_GEAR 0x40

void sw_shape_init(struct sw_shape *shape, const struct sw_hash *salt)
{
	struct sw_sip_key gear;

	for (uint8_t p = 0; p <= SW_PURPOSE_LAST; p++) {
		for (uint8_t l = 0; l <= SW_TREE_LEVEL_MAX; l++) {
			sw_sip_derive(salt, p, l, &shape->run[p][l]);
			sw_sip_derive(salt, p, l | LEVEL_CUT, &shape->cut[p][l]);
		}
	}
	sw_sip_derive(salt, SW_PURPOSE_BLOB, LEVEL_GEAR, &gear);
	for (unsigned i = 0; i < 256; i++) {
		uint8_t byte = (uint8_t)i;

		shape->gear[i] = sw_sip(&gear, sw_view(&byte, 1));
	}
}

bool sw_cut_ends_run(const struct sw_shape *shape, enum sw_purpose purpose, uint8_t level,
		     struct sw_view key)
{
	return sw_sip(&shape->run[purpose][level], key) < UINT64_MAX / SW_RUN_ENTRIES;
}

/* Recursion halves the bytes, at worst to three quarters: its depth is logarithmic. */
static int cut(const struct sw_sip_key *key, const struct sw_entry *entries, size_t first, size_t n,
	       size_t size, sw_cut_fn fn, void *arg)
{
	size_t at = 0, best = 0, best_size = 0;
	uint64_t smallest = UINT64_MAX;
	int rc;

	if (size <= SW_NODE_SIZE_MAX || n < 2)
		return fn(arg, first, n);
	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t h;

		at += sw_entry_size(&entries[first + i]);
		if (at < size / 4)
			continue;
		if (at > size - size / 4 && best > 0)
			break;
		/* An entry as big as half a run: the first end past the quarter serves. */
		h = sw_sip(key, entries[first + i].key);
		if (best == 0 || h < smallest) {
			smallest = h;
			best = i + 1;
			best_size = at;
		}
	}
	if (best == 0) { /* only a huge last entry keeps all ends below the quarter */
		best = n - 1;
		best_size = at;
	}
	rc = cut(key, entries, first, best, best_size, fn, arg);
	if (rc < 0)
		return rc;
	return cut(key, entries, first + best, n - best, size - best_size, fn, arg);
}

int sw_cut_run(const struct sw_shape *shape, enum sw_purpose purpose, uint8_t level,
	       const struct sw_entry *entries, size_t n, sw_cut_fn fn, void *arg)
{
	size_t size = 0;

	assert(n > 0);
	for (size_t i = 0; i < n; i++)
		size += sw_entry_size(&entries[i]);
	return cut(&shape->cut[purpose][level], entries, 0, n, size, fn, arg);
}
