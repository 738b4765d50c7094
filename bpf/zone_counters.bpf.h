/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The counters of single zones, as the programs keep them. */
#ifndef PEREGRINE_ZONE_COUNTERS_BPF_H
#define PEREGRINE_ZONE_COUNTERS_BPF_H

#include "maps.bpf.h"
#include "zone_counters_shared.h"

/* By slot of `zones`. The agent makes the real one, as large as it takes. One plain map: behind a map of maps, which
 * could grow, the look-up costs twice as much, and more than the counting. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pg_zone_counters);
} zone_counters SEC(".maps");

/* A zone beyond the map's end is not counted; nor is a reply from no zone. */
static __always_inline void count_zone(const struct pg_work *w)
{
	__u32 slot = w->zone;
	struct pg_zone_counters *zone = bpf_map_lookup_elem(&zone_counters, &slot);

	if (zone)
		pg_count_reply(zone, w, 0, w->client_octets != 4, w->written);
}

#endif
