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

/* What is resident and not in use: what malloc() keeps, and little else. What was given back is not resident, so it is not in it. */
static size_t kept(void)
{
	struct mallinfo2 info = mallinfo2();
	size_t used = info.uordblks + info.hblkhd, resident = sw_memory_resident();

	return resident > used ? resident - used : 0;
}

void sw_memory_tidy(struct sw_memory *m)
{
	size_t now = kept();

	if (now < m->kept)
		m->kept = now;
	if (now < m->kept + MUCH)
		return;
	malloc_trim(0);
	m->kept = kept();
}
