/* The environment of the product: the system's clocks and random source, and no faults. */
#ifndef SW_FS_ENV_SYSTEM_H
#define SW_FS_ENV_SYSTEM_H

#include "core/env.h"

extern const struct sw_env sw_env_system;

#endif
