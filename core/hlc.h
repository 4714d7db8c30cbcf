/*
 * Hybrid logical clock (Kulkarni et al. 2014): 48 bits of milliseconds since 1970, 16 bits of counter. A
 * stamp is greater than every stamp its maker had seen, and close to the wall clock.
 */
#ifndef SW_CORE_HLC_H
#define SW_CORE_HLC_H

#include <stdint.h>

static inline uint64_t sw_hlc_ms(uint64_t stamp)
{
	return stamp >> 16;
}

static inline unsigned sw_hlc_counter(uint64_t stamp)
{
	return (unsigned)(stamp & 0xffff);
}

/* The next stamp after `last` when the wall clock shows wall_ms. A full counter borrows a millisecond. */
static inline uint64_t sw_hlc_next(uint64_t last, uint64_t wall_ms)
{
	uint64_t now = wall_ms << 16;

	return now > last ? now : last + 1;
}

#endif
