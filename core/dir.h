/* Directories of the store on the disk. */
#ifndef SW_CORE_DIR_H
#define SW_CORE_DIR_H

#include "core/env.h"
#include "core/err.h"

/* Flush the directory that path is in: a file made, or renamed to it, is there after a power loss.
 */
int sw_dir_sync_of(const char *path, const struct sw_env *env) SW_MUST_CHECK;

#endif
