/* The memory of the process as a whole: what malloc() keeps of what was freed. */
#ifndef SW_FS_MEMORY_H
#define SW_FS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * For a process that stays, before its threads start. glibc makes eight arenas for each CPU, and
 * each keeps as much as its threads ever needed at a time: of a few large rows that is hundreds of
 * megabytes. Two are enough for ours, which have caches of their own.
 */
void sw_memory_begin(void);

/* Bytes of this process that are not pages of files; 0: the kernel does not say. Any thread. */
uint64_t sw_memory_resident(void);

/* What sw_memory_tidy() remembers: begins as {0}. */
struct sw_memory {
	size_t kept; /* free bytes that were resident all the same when last looked: pieces between what is in use */
};

/* Give back to the kernel what was freed, if that has become much since the last time. Now and
 * then, by one thread. */
void sw_memory_tidy(struct sw_memory *m);

#endif
