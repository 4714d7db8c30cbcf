/*
 * What peers do wrong, in the log: some lines for each source in a while, then only the number of those that were left out, so
 * that nobody can fill the disk by being refused.
 */
#include "net/swarm_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/log.h"

static bool is_old(const struct blame *b, uint64_t now)
{
	return now - b->since_ms >= SW_SWARM_BLAME_MS;
}

/* Its own place, or the oldest; when all are in use, the last is for all the others. */
static struct blame *place_of(struct sw_swarm *s, const char *source, uint64_t now)
{
	struct blame *oldest = &s->blames[0];

	for (size_t i = 0; i < SW_SWARM_BLAMES; i++) {
		struct blame *b = &s->blames[i];

		if (b->n > 0 && strcmp(b->source, source) == 0)
			return b;
		if (b->n == 0 || b->since_ms < oldest->since_ms)
			oldest = b;
	}
	return oldest->n == 0 || is_old(oldest, now) ? oldest : &s->blames[SW_SWARM_BLAMES - 1];
}

void sw_swarm_blame(struct sw_swarm *s, const char *address, const char *format, ...)
{
	char source[SW_TRANSPORT_SOURCE_SIZE], text[512], more[64] = "";
	uint64_t now = sw_swarm_now(s);
	struct blame *b;
	va_list args;

	sw_transport_source(address, source);
	b = place_of(s, source, now);
	if (b->n >= SW_SWARM_BLAME_LINES && !is_old(b, now)) {
		b->n++;
		return;
	}
	if (b->n > SW_SWARM_BLAME_LINES)
		snprintf(more, sizeof(more), " (and %u lines more like this one before)", b->n - SW_SWARM_BLAME_LINES);
	if (b->n == 0 || is_old(b, now)) {
		*b = (struct blame){.since_ms = now};
		snprintf(b->source, sizeof(b->source), "%s", source);
	}
	b->n++;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sw_log(SW_LOG_WARN, "%s%s", text, more);
}
