/* The file that holds a store's secret key: one line of 64 hexadecimal digits, readable by its owner alone. */
#ifndef SW_CORE_KEYFILE_H
#define SW_CORE_KEYFILE_H

#include "core/env.h"
#include "core/sign.h"

/* Make a new key and write it to path, which must not exist; flushed. */
int sw_keyfile_create(const char *path, const struct sw_env *env, struct sw_identity **out) SW_MUST_CHECK;
/* SW_ENOTFOUND; SW_EDENIED when others may read it; SW_EFORMAT. Each with a sentence. */
int sw_keyfile_read(const char *path, struct sw_identity **out) SW_MUST_CHECK;

#endif
