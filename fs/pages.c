#include "fs/pages.h"

#include <stdlib.h>

void sw_pages_init(struct sw_pages *p)
{
	*p = (struct sw_pages){0};
	pthread_mutex_init(&p->lock, NULL);
}

void sw_pages_fini(struct sw_pages *p)
{
	for (size_t i = 0; i < SW_PAGES_MAX; i++)
		free(p->pages[i].bytes);
	pthread_mutex_destroy(&p->lock);
}

static bool is_of(const struct sw_page *page, const struct sw_page_key *key)
{
	return page->bytes && page->key.offset == key->offset && page->key.size == key->size &&
	       page->key.dir == key->dir && sw_hash_eq(&page->key.root, &key->root);
}

bool sw_pages_get(struct sw_pages *p, const struct sw_page_key *key, void *out, size_t *n)
{
	bool is_there = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < SW_PAGES_MAX && !is_there; i++) {
		const struct sw_page *page = &p->pages[i];

		is_there = is_of(page, key);
		if (!is_there)
			continue;
		memcpy(out, page->bytes, page->n);
		*n = page->n;
	}
	pthread_mutex_unlock(&p->lock);
	return is_there;
}

void sw_pages_put(struct sw_pages *p, const struct sw_page_key *key, struct sw_view bytes)
{
	uint8_t *copy = key->size <= SW_PAGE_SIZE_MAX && bytes.n > 0 ? malloc(bytes.n) : NULL;
	struct sw_page *page;

	if (!copy)
		return;
	memcpy(copy, bytes.p, bytes.n);
	pthread_mutex_lock(&p->lock);
	page = &p->pages[p->next];
	p->next = (p->next + 1) % SW_PAGES_MAX;
	free(page->bytes);
	*page = (struct sw_page){.key = *key, .bytes = copy, .n = bytes.n};
	pthread_mutex_unlock(&p->lock);
}
