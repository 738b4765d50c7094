/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory that nodes and heads stand in: segments, added one by one, and which units of them are taken. One
 * contiguous range of addresses, so that a reference is an offset. Used by the publisher thread alone.
 */
#ifndef PEREGRINE_SEGMENTS_H
#define PEREGRINE_SEGMENTS_H

#include "image_shared.h"

#include <stddef.h>
#include <stdint.h>

struct segments {
	uint8_t *base;
	uint32_t count;
	uint32_t limit;   /* segments that the memory bound allows */
	uint64_t **taken; /* a bitmap of units for each segment */
	uint32_t *free_units;
	uint32_t cursor; /* where the last allocation ended, in units: the next search starts there */
	uint64_t used;   /* units taken, all segments together */
	int map;         /* the map of maps, or -1 for plain memory */
	char *pins;      /* where segments are pinned, or NULL */
};

/* `pin_directory` may be NULL: plain memory. Returns 0 or -1 after logging. */
int segments_open(struct segments *segments, int map, const char *pin_directory, uint64_t memory);
/* Maps the segments that are pinned already; nothing in them is taken yet. */
int segments_adopt(struct segments *segments);
void segments_close(struct segments *segments);

/* Takes `units` units. Returns the reference, or 0 when memory is short (the bound, or the system's). */
pg_ref segments_take(struct segments *segments, uint32_t units);
/* Marks what is there already (adoption). Returns -1 when the range is no valid record, or taken. */
int segments_mark(struct segments *segments, pg_ref ref, uint32_t units);
void segments_free(struct segments *segments, pg_ref ref, uint32_t units);

static inline void *segments_at(const struct segments *segments, pg_ref ref)
{
	return segments->base + (size_t)ref * PG_UNIT;
}

#endif
