/* Stories with an end that is known, told in the simulator. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/sim.h"

#define SIM_SCENARIOS "partition, laptop, alone, liars"

/* Does not return when it ends otherwise than it must. */
void sim_scenario(const char *name, const struct sim_plan *plan, bool trace, struct sim_stats *stats);

#endif
