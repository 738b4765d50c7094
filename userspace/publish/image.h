/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image: the compiled zones in memory, as bpf/image_shared.h lays them out. It stands in mmapable BPF arrays, or,
 * without BPF, in anonymous memory. One writer, the publisher; any number of readers, the program and the fallback's
 * threads.
 */
#ifndef PEREGRINE_IMAGE_H
#define PEREGRINE_IMAGE_H

#include "image_shared.h"
#include "settings_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a reader needs, all in one immutable record, replaced whole when a table grows. */
struct image_view {
	const uint8_t *base;           /* record of reference r: base + r * PG_UNIT */
	const struct pg_bucket *index; /* index_buckets of them, a power of two */
	const struct pg_bucket *zone_index;
	const struct pg_zone *zones;
	uint32_t index_buckets;
	uint32_t zone_buckets;
	uint32_t zone_slots;
	const struct pg_settings *settings;
};

struct image;

/* The current view. Call between rcu_read_lock and rcu_read_unlock (liburcu), and do not keep it beyond. */
const struct image_view *image_view_get(const struct image *image);

/* File descriptors of the maps that the program uses; they belong to the image. -1 each when the image has no BPF. */
struct image_maps {
	int image;      /* map of maps: segments */
	int index;      /* map of maps, one slot */
	int zones;      /* map of maps, one slot */
	int zone_index; /* map of maps, one slot */
	int settings;
	int zone_counters; /* -1 also where zones are not counted */
};
void image_get_maps(const struct image *image, struct image_maps *out);

/* Tells of the cold nodes that a query had to be answered from (work->uses): if that goes on they are warmed. Any
 * thread. */
struct pg_work;
void image_note_uses(struct image *image, const struct pg_work *work);
/* Has the program's work areas looked at (map `work`), where it notes what it answers from. */
void image_watch_uses(struct image *image, int work);

/* What is counted of single zones; NULL: nothing is. */
struct zone_counters *image_zone_counters(const struct image *image);

#endif
