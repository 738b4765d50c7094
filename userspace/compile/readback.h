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

#endif
