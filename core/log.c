#include "core/log.h"

#include "core/plain.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic int max_level = SW_LOG_INFO;
static _Atomic(sw_log_sink_fn) log_sink;

const char *sw_log_level_name(enum sw_log_level level)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	return names[level];
}

void sw_log_set_level(enum sw_log_level level)
{
	atomic_store(&max_level, (int)level);
}

void sw_log_set_sink(sw_log_sink_fn sink)
{
	atomic_store(&log_sink, sink);
}

void sw_log(enum sw_log_level level, const char *format, ...)
{
	sw_log_sink_fn sink = atomic_load(&log_sink);
	char line[SW_PLAIN_SIZE];
	va_list ap;

	if ((int)level > atomic_load(&max_level))
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	sw_plain(line, sizeof(line));
	if (sink)
		sink(level, line);
	else
		fprintf(stderr, "swarmfs: %s: %s\n", sw_log_level_name(level), line);
}
