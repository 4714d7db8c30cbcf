/* Threads of the product: they never take signals, which belong to the main thread. */
#ifndef SW_FS_THREAD_H
#define SW_FS_THREAD_H

#include <pthread.h>

#include "core/err.h"

int sw_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg) SW_MUST_CHECK;

#endif
