/* Taking a mount away, with or without privileges. */
#ifndef SW_FS_UNMOUNT_H
#define SW_FS_UNMOUNT_H

#include <stdbool.h>

#include "core/err.h"

/*
 * Unmount what is mounted on point, an absolute path; lazily: also while programs use it. Who may not do that asks
 * fusermount3. SW_EBUSY with a sentence when programs use it. Any thread.
 */
int sw_unmount(const char *point, bool lazily) SW_MUST_CHECK;

#endif
