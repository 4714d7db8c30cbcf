/*
 * The journal: what programs have written and closed but what is not committed yet, so that it survives
 * the process. An append-only file in the store's directory.
 *
 *   journal = "swarmfsj" version:u32 first:u64 check record*
 *   record  = size:u32 seq:u64 body-check check body       size counts the body
 *             of number 0, which only the first has: a hole of that size, with the number that follows for a body-check
 *   body    = n:varint name*n
 *   check   = u64: SipHash-1-3 of what stands before it in the header or record, the body's of the body; its key is "swarmfsj"
 *             and the place in the file, u64, where that begins
 *   name    = table:bytes key:bytes flags:u8                 1: exists now, 2: existed before, 4: large row,
 *                                                            8: checked, which says nothing of what stands there,
 *                                                            16: in a file of its own, 32: follows, 64: tail
 *             old:hash mode:u16 mtime:u64                    old: the version before; zero if none
 *             (follows:u64)                                  if so: once the record of that number is spent, the version
 *                                                            before is the one that its commit wrote
 *             (content:bytes | size:varint root:hash | size:varint file:u64 check:u64 | after:u64 kept:varint content:bytes)
 *                                                            if it exists and key is not empty; tail: so many bytes of what
 *                                                            the record `after` said of the name, then these
 *
 * A record says what stands at one or more names, all at once: a rename is one record. Records have ascending
 * numbers; the store notes, per row, up to which number the journal is spent (SW_SPACE_SPENT), in the
 * transaction that commits it. A power loss may take records that the store
 * notes as spent already, since a commit does not flush the journal: their numbers are not given again.
 *
 * A kill leaves a record of which the end is missing, and it ends the journal: whoever wrote it was not told that it is there.
 * Anything else that is no record is damage, by the disk or by a power loss that took what was not flushed and left what came
 * behind it. Since every record has its place in its check, those behind damage are found, and no bytes of a row pass for one by accident.
 */
#ifndef SW_CORE_JOURNAL_H
#define SW_CORE_JOURNAL_H

#include "core/env.h"
#include "core/row.h"

#define SW_JOURNAL_VERSION 1
#define SW_JOURNAL_ROW_MAX ((size_t)16 << 20) /* of a row within; larger ones have a file (core/spill.h) */

struct sw_journal;

/* What stands at a name. */
struct sw_journal_name {
	struct sw_view table;
	struct sw_view key; /* empty: the table itself */
	bool exists;
	bool existed;
	bool is_checked; /* a row that a working copy has checked: its other fields are nothing */
	bool is_damaged; /* the record is: it seems to be about that name, or about unknown ones if table is empty */
	struct sw_hash old;
	uint64_t follows; /* the record that was being committed; 0: none was */
	struct sw_row row; /* bytes may be longer than SW_INLINE_MAX here; is_blob: content is in the store */
	bool is_tail;	   /* row.bytes are the end of the row, behind what the record of number `after` has before */
	uint64_t after;
	uint64_t spill;	   /* number of the file with row.size bytes of content; 0: none */
	uint64_t spill_check; /* of these bytes (sw_spill_check()) */
};

/* Called for each record in order, with its number; names borrow during the call. Of damage: with what was lost by it. */
typedef int (*sw_journal_fn)(void *arg, uint64_t seq, const struct sw_journal_name *names, size_t n);

/*
 * Open or make path and replay it. A record that was being written at the end is cut off. What is damaged is left out, and the
 * file stays as it is: nothing can be appended to it, but it can be replaced.
 */
int sw_journal_open(const char *path, const struct sw_env *env, sw_journal_fn fn, void *arg,
		    struct sw_journal **out) SW_MUST_CHECK;
void sw_journal_close(struct sw_journal *j);
/* Bytes that could not be made out, of the header and of records; 0: none. */
uint64_t sw_journal_damage(const struct sw_journal *j);
/*
 * Give the file a second name beside its own, PATH.damaged-N, so that it is there when it has been replaced; *out is that name, the
 * same when it has got one before. The caller frees it. SW_EEXIST: there are too many.
 */
int sw_journal_keep_aside(const struct sw_journal *j, char **out) SW_MUST_CHECK;
/* The last of those that an earlier journal has left. The caller frees it. SW_ENOTFOUND. */
int sw_journal_find_aside(const struct sw_journal *j, char **out) SW_MUST_CHECK;

/* Append a record; in the kernel when it returns. *seq gets its number. A failure leaves no part of it. */
int sw_journal_append(struct sw_journal *j, const struct sw_journal_name *names, size_t n,
		      uint64_t *seq) SW_MUST_CHECK;
/*
 * Whoever appends n bytes next will not find the disk full: the file system has set them aside, or cannot, as those that do not know how.
 * SW_ENOSPC.
 */
int sw_journal_reserve(struct sw_journal *j, uint64_t n) SW_MUST_CHECK;
/*
 * Flush to the disk what was appended. When that has failed, the system may count as written what is not: it fails from then on,
 * until another journal has replaced this one.
 */
int sw_journal_sync(struct sw_journal *j) SW_MUST_CHECK;
bool sw_journal_is_broken(const struct sw_journal *j);
uint64_t sw_journal_size(const struct sw_journal *j);
/* The number of the next record. */
uint64_t sw_journal_next(const struct sw_journal *j);
/*
 * Give back the room of all records whose number is below seq: nobody needs them any more, once those behind them are on the
 * disk, which is seen to first. The file stays as long as it is, with a hole. *freed: bytes, 0 if there is not a page of it, or if the file system cannot.
 */
int sw_journal_forget(struct sw_journal *j, uint64_t seq, uint64_t *freed) SW_MUST_CHECK;
/* Give no number up to this one to any record from now on. */
void sw_journal_skip(struct sw_journal *j, uint64_t upto);
/* Begin anew with an empty file; numbers go on. Durable when it returns. */
int sw_journal_reset(struct sw_journal *j) SW_MUST_CHECK;
/*
 * The same with records: fork() makes an empty one beside it, which records are appended to; replace() puts it in the place of
 * the old one, durably, or discard() gives it up. Both end it, whether they succeed or not; after a failure the old one goes on.
 */
int sw_journal_fork(const struct sw_journal *j, struct sw_journal **out) SW_MUST_CHECK;
int sw_journal_replace(struct sw_journal *j, struct sw_journal *by) SW_MUST_CHECK;
void sw_journal_discard(struct sw_journal *j);

#endif
