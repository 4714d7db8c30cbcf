/*
 * The content of a row under edit that is too large for memory, in a file of its own. The journal names it by its number.
 * One thread at a time may write; others may read meanwhile what is not being written.
 */
#ifndef SW_CORE_SPILL_H
#define SW_CORE_SPILL_H

#include "core/buf.h"
#include "core/env.h"
#include "core/err.h"

struct sw_spill;

/* Files of a journal are in a directory beside it, which has its name and this. */
#define SW_SPILL_SUFFIX ".large"

/* Make dir/NUMBER, empty, and dir if it is missing. */
int sw_spill_new(const char *dir, uint64_t number, const struct sw_env *env, struct sw_spill **out) SW_MUST_CHECK;
/* One that is there. SW_ENOTFOUND. */
int sw_spill_open(const char *dir, uint64_t number, const struct sw_env *env, struct sw_spill **out) SW_MUST_CHECK;
/* One more reference, so that it can be read and flushed while its owner goes on. */
struct sw_spill *sw_spill_ref(struct sw_spill *s);
/* Give up a reference; the file stays, for the next process if nobody removes it. NULL is fine. */
void sw_spill_unref(struct sw_spill *s);
/* The same, and remove the file. NULL is fine. */
void sw_spill_remove(struct sw_spill *s);
/* Remove what is in dir, but for the numbers that keep() wants, and dir itself when it is empty. */
int sw_spills_clear(const char *dir, bool (*keep)(void *arg, uint64_t number), void *arg) SW_MUST_CHECK;

uint64_t sw_spill_number(const struct sw_spill *s);
uint64_t sw_spill_size(const struct sw_spill *s);
/* Copy up to n bytes; *got is less only at the end. */
int sw_spill_read(const struct sw_spill *s, uint64_t offset, void *out, size_t n, size_t *got) SW_MUST_CHECK;
/* Whole or not at all, as far as the size goes. SW_ENOSPC. */
int sw_spill_write(struct sw_spill *s, uint64_t offset, struct sw_view bytes) SW_MUST_CHECK;
int sw_spill_truncate(struct sw_spill *s, uint64_t size) SW_MUST_CHECK;
/* Flush to the disk. Any thread. */
int sw_spill_sync(struct sw_spill *s) SW_MUST_CHECK;
bool sw_spill_needs_sync(const struct sw_spill *s);

#endif
