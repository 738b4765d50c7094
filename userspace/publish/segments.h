/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory that nodes and heads stand in: segments, added as it grows, and which units of them are taken. One
 * contiguous range of addresses, so that a reference is an offset. The warm segments are maps, which the program can
 * reach, and bounded; the cold ones (PG_COLD) are parts of a file, which only this process maps. Used by the publisher
 * thread alone.
 */
#ifndef PEREGRINE_SEGMENTS_H
#define PEREGRINE_SEGMENTS_H

#include "image_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segments_part {
	uint32_t first; /* the number of its first segment */
	uint32_t count;
	uint32_t limit;   /* segments that it may have */
	pg_ref cursor;    /* where the last allocation ended: the next search starts there */
	uint32_t no_room; /* so many units are nowhere together, until something is given back; 0: not known */
	uint64_t used;    /* units taken */
};

struct segments {
	uint8_t *base;
	struct segments_part warm, cold;
	uint64_t **taken; /* a bitmap of units for each segment, and of a warm one two more */
	uint32_t *free_units;
	uint32_t expected; /* segments that will be needed */
	bool expecting;    /* it was said how many, if about */
	int map;           /* the map of maps, or -1 for plain memory */
	char *pins;        /* where segments are pinned, or NULL */
	int file;          /* of the cold segments, or -1 for plain memory */
	uint64_t mark;     /* by which the file is known for this image's */
};

/* `pin_directory` may be NULL: plain memory; `file`, by its path, too. Returns 0 or -1 after logging. */
int segments_open(struct segments *segments, int map, const char *pin_directory, const char *file, uint64_t mark);
/* Begins anew: what an earlier image left in the file goes. */
void segments_clear(struct segments *segments);
/* Maps the segments that are there already; nothing in them is taken yet. */
int segments_adopt(struct segments *segments);
void segments_close(struct segments *segments);

/* Bounds the warm segments by octets; at least one there may be. What there is stays. */
void segments_bound(struct segments *segments, uint64_t memory);

/* So many octets, about, will be taken, until it is said that there are 0: segments are made for them many at a time,
 * each of which is much dearer alone. */
void segments_expect(struct segments *segments, uint64_t octets);

/* Sees to it that there is some room, where the bound is not near: for the next zone, which would have to wait for it.
 */
void segments_spare(struct segments *segments);

/* Takes `units` units. Returns the reference, or 0 when memory is short (the bound, or the system's). */
pg_ref segments_take(struct segments *segments, uint32_t units, bool cold);
/* Marks what is there already (adoption). Returns -1 when the range is no valid record, or taken. */
int segments_mark(struct segments *segments, pg_ref ref, uint32_t units);
void segments_free(struct segments *segments, pg_ref ref, uint32_t units);

/* Units that are free in the warm segments, those not made yet among them. */
uint64_t segments_warm_free(const struct segments *segments);
/* Units that they have altogether. */
uint64_t segments_warm_units(const struct segments *segments);

/* Of the warm records: notes that one was used; whether it was since this was asked last; the first one at or behind
 * `ref`, or 0. */
void segments_use(struct segments *segments, pg_ref ref);
bool segments_was_used(struct segments *segments, pg_ref ref);
pg_ref segments_next(const struct segments *segments, pg_ref ref);

/* Whether a record of that many octets can stand at `ref`. */
bool segments_has(const struct segments *segments, pg_ref ref, size_t size);

static inline void *segments_at(const struct segments *segments, pg_ref ref)
{
	return segments->base + (size_t)ref * PG_UNIT;
}

#endif
