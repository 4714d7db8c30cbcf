/*
 * --on-conflict: a program that is run once for each new conflict, as
 *
 *     PROGRAM TABLE ROW COMMIT
 *
 * COMMIT being the full id of the commit that lost. A name that begins with '-' comes as "./-...",
 * lest the program take it for an option; that is the same in a path. No shell is involved. The
 * environment has, besides what the owner's has, SWARMFS_TABLE, SWARMFS_ROW, SWARMFS_COMMIT,
 * SWARMFS_AUTHOR (a public key), SWARMFS_TIME, SWARMFS_OUTCOME (applied or dropped), SWARMFS_STORE
 * and, in a mount, SWARMFS_MOUNT and SWARMFS_CONFLICT, the record's directory. Standard input is
 * empty, the outputs go to the owner's log.
 *
 * Nobody waits for it: conflicts wait in a queue, and a few programs run at a time. In a mount they
 * begin when it can be used. Programs that still run when the owner stops, or when its mount is to be taken away, are ended.
 */
#ifndef SW_FS_ON_CONFLICT_H
#define SW_FS_ON_CONFLICT_H

#include "core/db.h"

#define SW_ON_CONFLICT_RUNNING_MAX 4
#define SW_ON_CONFLICT_QUEUED_MAX  10000 /* more are logged, and not run */

struct sw_on_conflict;

/* Stopped at first: what a program is told of must be reachable. program is an absolute path, or a
 * name to be found in PATH. mount_point may be NULL. Texts and db must outlive it. */
int sw_on_conflict_new(struct sw_db *db, const char *program, const char *mount_point,
		       struct sw_on_conflict **out) SW_MUST_CHECK;
/* Of these changes, run it for the conflicts that are new. Does not block. NULL is fine. */
void sw_on_conflict_changed(struct sw_on_conflict *r, const struct sw_changes *changes);
/* End what runs, and run nothing until sw_on_conflict_resume(); conflicts wait. NULL is fine, and
 * so is twice. Any thread. */
void sw_on_conflict_stop(struct sw_on_conflict *r);
/* Begin, or go on after a stop; a failure is logged. NULL is fine, and so is twice. Any thread. */
void sw_on_conflict_resume(struct sw_on_conflict *r);
/* Stops it; nobody may tell it of changes any more. NULL is fine. */
void sw_on_conflict_free(struct sw_on_conflict *r);

#endif
