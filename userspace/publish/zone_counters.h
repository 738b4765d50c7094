/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The counters of single zones: the program's, in a map, and the fallback's, in memory. By slot of `zones`. */
#ifndef PEREGRINE_ZONE_COUNTERS_H
#define PEREGRINE_ZONE_COUNTERS_H

#include "answer/work.h"
#include "zone_counters_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone_counters;

/* Takes up the map that is pinned, or makes one for `zones` slots, and no more than `memory` octets take. `pins` NULL:
 * without BPF. Returns NULL when memory is short; where the kernel does not take the map, the program counts no zones
 * and the log says so. */
struct zone_counters *zone_counters_open(const char *pins, uint32_t zones, uint64_t memory);
/* Like all that follow, but for zone_counters_read, this does nothing with NULL. */
void zone_counters_close(struct zone_counters *counters);
/* The map for the program, or -1. */
int zone_counters_map(const struct zone_counters *counters);
uint64_t zone_counters_memory(const struct zone_counters *counters);

/* Another zone gets the slot: before it can be found. */
void zone_counters_clear(struct zone_counters *counters, uint32_t slot);

/* The fallback has replied; any thread. `work` as the engine left it. */
void zone_counters_reply(struct zone_counters *counters, const struct pg_work *work, bool ipv6, size_t octets);

/* What was counted by the program, summed over all CPUs, and by the fallback. Returns whether the program counts this
 * zone. */
bool zone_counters_read(struct zone_counters *counters, uint32_t slot, struct pg_zone_counters *program,
                        struct pg_zone_counters *fallback);

#endif
