/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other way: from the nodes of the image to the records that they were made of. */
#ifndef PEREGRINE_COMPILE_READBACK_H
#define PEREGRINE_COMPILE_READBACK_H

#include "image_shared.h"
#include "zone/zone.h"

/*
 * Adds the records of which this node is the source: those of all nodes of a version are the records of the zone, each
 * once, to the octet. (RRSIGs have the TTL of what they sign, as they are served; RFC 4034 section 3.) Returns 0, or -1
 * when memory is short or the node is none.
 */
int readback_node(const struct pg_node *node, struct zone_builder *into);

/* Spells out the owner of an NSEC3 record, for which there is room for PG_NAME_ROOM octets. -1: the node is none. */
int readback_owner(const struct pg_node *node, const uint8_t *apex, uint8_t *owner);

#endif
