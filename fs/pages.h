/*
 * Replies with the names of a table, to be given again: whoever lists a large table often would otherwise have its tree decoded
 * each time. A page is named by the root of that tree, so it is never out of date, only of no use any more. There are few, and the
 * oldest goes first.
 */
#ifndef SW_FS_PAGES_H
#define SW_FS_PAGES_H

#include <pthread.h>

#include "core/hash.h"

#define SW_PAGES_MAX	 256
#define SW_PAGE_SIZE_MAX 32768 /* bytes that a reply has room for: what most programs ask for */

struct sw_page_key {
	struct sw_hash root; /* of the rows */
	uint64_t dir;	     /* the entries have inode numbers, which are those of one directory */
	uint64_t offset;
	size_t size; /* that there was room for */
};

struct sw_page {
	struct sw_page_key key;
	uint8_t *bytes; /* NULL: free */
	size_t n;
};

/* Zero-initialise but for the lock. */
struct sw_pages {
	pthread_mutex_t lock;
	struct sw_page pages[SW_PAGES_MAX];
	size_t next; /* the oldest */
};

void sw_pages_init(struct sw_pages *p);
void sw_pages_fini(struct sw_pages *p);
/* The page, copied to out, which has room for key->size bytes; false: there is none. */
bool sw_pages_get(struct sw_pages *p, const struct sw_page_key *key, void *out, size_t *n);
/* Keep a page. Without the memory for it, or if it is too large, there is none. */
void sw_pages_put(struct sw_pages *p, const struct sw_page_key *key, struct sw_view bytes);

#endif
