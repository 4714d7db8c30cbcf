/*
 * The log: one line per event, for whoever runs this at night. To stderr unless a sink is set. Any thread.
 * No secrets: no tickets, keys' secret halves, or row contents.
 */
#ifndef SW_CORE_LOG_H
#define SW_CORE_LOG_H

#include "core/err.h"

enum sw_log_level { SW_LOG_ERROR, SW_LOG_WARN, SW_LOG_INFO, SW_LOG_DEBUG };

void sw_log(enum sw_log_level level, const char *format, ...) SW_PRINTF(2, 3);
/* Lines above this level are not written; SW_LOG_INFO at first. */
void sw_log_set_level(enum sw_log_level level);
/* Where lines go: without a newline, level not included. NULL: to stderr. Any thread, also while others log. */
typedef void (*sw_log_sink_fn)(enum sw_log_level level, const char *line);
void sw_log_set_sink(sw_log_sink_fn sink);
const char *sw_log_level_name(enum sw_log_level level);

#endif
