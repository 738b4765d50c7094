/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/packet.h"

#define RR_MIN 11U /* the smallest RR: root owner, type, class, TTL, no rdata */

int packet_parse(knot_pkt_t *packet)
{
	size_t records = (size_t)knot_wire_get_ancount(packet->wire) + knot_wire_get_nscount(packet->wire) +
	                 knot_wire_get_arcount(packet->wire);

	/* libknot allocates by the counts, so they have to be possible. */
	if (KNOT_WIRE_HEADER_SIZE + records * RR_MIN > packet->size)
		return KNOT_EMALF;
	return knot_pkt_parse(packet, KNOT_PF_NOCANON);
}
