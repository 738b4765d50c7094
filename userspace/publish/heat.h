/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which names stand in the program's memory when there is not room for all: those asked for move in, those not asked
 * for make room (docs/architecture.md, "More zones than memory"). The publisher thread's, but for heat_note.
 */
#ifndef PEREGRINE_HEAT_H
#define PEREGRINE_HEAT_H

#include "publish/image_internal.h"

#define HEAT_TICK_MS 100

struct heat;

struct heat *heat_new(void);
void heat_free(struct heat *heat);

/* Many answers need such a node, or other records refer to it: it does not move. */
static inline bool heat_is_shared(unsigned role, unsigned flags, bool has_wildcard)
{
	return role == PG_ROLE_SPAN || flags & (PG_NODE_APEX | PG_NODE_WILDCARD) || has_wildcard;
}

/* Units of the program's memory that new names leave free, for those that turn out to be asked for. */
uint64_t heat_reserve(const struct image *image);

/* Moves names out of the program's memory, whether they are asked for or not, for a record of `units` units. Returns
 * whether any moved. */
bool heat_make_room(struct image *image, uint32_t units);

/* Moves these names into the program's memory, as far as there is room. */
void heat_warm(struct image *image, const pg_ref *refs, size_t count);

/* Whether there are names that could move. */
bool heat_wanted(const struct image *image);
/* Looks what was asked for since the last time, and moves. To be called every HEAT_TICK_MS while heat_wanted. */
void heat_tick(struct image *image);

#endif
