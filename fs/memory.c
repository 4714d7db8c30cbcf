#include "fs/memory.h"

#include <malloc.h>
#include <stdio.h>

#define ARENAS 2
#define MUCH   ((size_t)16 << 20)

void sw_memory_begin(void)
{
	mallopt(M_ARENA_MAX, ARENAS);
}

uint64_t sw_memory_resident(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

void sw_memory_tidy(struct sw_memory *m)
{
	size_t is_free = mallinfo2().fordblks;

	if (is_free < m->given_back)
		m->given_back = is_free;
	if (is_free < m->given_back + MUCH)
		return;
	malloc_trim(0);
	m->given_back = is_free;
}
