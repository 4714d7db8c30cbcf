/*
 * The content of a row under edit that is too large for memory, in a file of its own. The journal names it by its number and
 * size; what it names must stay as it is, until another record that says something else is as safe as that one.
 * One thread at a time may write, fix and free; others may read meanwhile what is not being written.
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
/* The first size bytes of one that is there; the rest is nothing. SW_ENOTFOUND: it has not so many. */
int sw_spill_open(const char *dir, uint64_t number, uint64_t size, const struct sw_env *env,
		  struct sw_spill **out) SW_MUST_CHECK;
/* One more reference, so that it can be read and flushed while its owner goes on. Any thread. */
struct sw_spill *sw_spill_ref(struct sw_spill *s);
/* Give up a reference; the file goes with the last. NULL is fine. Any thread. */
void sw_spill_unref(struct sw_spill *s);
/* It does not go with the last: the next process finds it. */
void sw_spill_keep(struct sw_spill *s);
/* The journal names what it has now, which must not change from here on until it is freed. Once per fixer; with a reference. */
struct sw_spill *sw_spill_fix(struct sw_spill *s);
/* The fixer's record has grown with it. */
void sw_spill_fix_more(struct sw_spill *s);
/* The record means nothing any more. Gives up the reference. NULL is fine. */
void sw_spill_free(struct sw_spill *s);
/* So many bytes from its beginning must not change. */
uint64_t sw_spill_fixed(const struct sw_spill *s);
/* Remove what is in dir, but for the numbers that keep() wants, and dir itself when it is empty. aside: move it there; or NULL. */
int sw_spills_clear(const char *dir, const char *aside, bool (*keep)(void *arg, uint64_t number), void *arg) SW_MUST_CHECK;

uint64_t sw_spill_number(const struct sw_spill *s);
uint64_t sw_spill_size(const struct sw_spill *s);
/*
 * What the first size bytes were when they were written: SipHash-2-4 of the same of each 64 KiB, as u64, with 1 in the place of 0; the
 * key is "spill" and zeros. What the disk has made of them since does not change it; of a file that was just opened it is that of
 * what is there. SW_EIO: they cannot be read.
 */
int sw_spill_check(struct sw_spill *s, uint64_t size, uint64_t *out) SW_MUST_CHECK;
/* That number of bytes that come piece by piece, each of them but the last of a multiple of SW_SPILL_PIECE. Zero-initialise. */
struct sw_spill_sum {
	struct sw_buf checks;
};
#define SW_SPILL_PIECE ((size_t)64 << 10)
void sw_spill_sum_add(struct sw_spill_sum *sum, struct sw_view bytes);
/* And give up what it took. SW_ENOMEM. */
int sw_spill_sum_end(struct sw_spill_sum *sum, uint64_t *out) SW_MUST_CHECK;
/* It has grown to, or ends at, size; so many bytes are there. */
void sw_spill_set_size(struct sw_spill *s, uint64_t size);
/* Copy up to n bytes; *got is less only at the end. SW_EIO: also when the file has become shorter. */
int sw_spill_read(struct sw_spill *s, uint64_t offset, void *out, size_t n, size_t *got) SW_MUST_CHECK;
/* Behind what is fixed. Whole or not at all, as far as the size goes. SW_ENOSPC. */
int sw_spill_write(struct sw_spill *s, uint64_t offset, struct sw_view bytes) SW_MUST_CHECK;
int sw_spill_truncate(struct sw_spill *s, uint64_t size) SW_MUST_CHECK;
/*
 * Flush to the disk. Any thread. When that has failed, what was written may be lost, and the system tells of it only once: it fails
 * from then on, and what is still there belongs into another file.
 */
int sw_spill_sync(struct sw_spill *s) SW_MUST_CHECK;
bool sw_spill_needs_sync(const struct sw_spill *s);
/* A flush has failed. */
bool sw_spill_is_broken(const struct sw_spill *s);

#endif
