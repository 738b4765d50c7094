/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages as libknot parses them. */
#ifndef PEREGRINE_PACKET_H
#define PEREGRINE_PACKET_H

#include <libknot/libknot.h>

/* Parses a packet of at least a header, whoever sent it. Names in rdata keep their case: lower-casing is for digests,
 * and the primary's spelling is served. Returns KNOT_EOK, or libknot's error. */
int packet_parse(knot_pkt_t *packet);

#endif
