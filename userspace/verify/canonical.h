/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The canonical form of RRs (RFC 4034 section 6), which digests and signatures are made over. */
#ifndef PEREGRINE_VERIFY_CANONICAL_H
#define PEREGRINE_VERIFY_CANONICAL_H

#include "zone/rdata.h"
#include "zone/zone.h"

/* The RRs of an RRset: their rdata in canonical form and order, each once, a 16-bit length in host order before each.
 * Memory is kept from one RRset to the next. Begins as {}. */
struct canonical {
	const uint8_t **items;
	size_t count, room;
	uint8_t *octets; /* the copy, where one had to be made */
	size_t octets_room;
};

/* Returns 0, or -1 when memory is short. The items are valid until the next call, and as long as the RRset. */
int canonical_make(struct canonical *canonical, const struct zone_rrset *rrset);
void canonical_free(struct canonical *canonical);

/* The type that an RRSIG covers. */
uint16_t canonical_covered(const uint8_t *item);

/* The TTL of one RR. A version keeps one for all RRSIGs of a name; they have that of what they sign (RFC 4034 section
 * 3).
 */
uint32_t canonical_ttl(const struct zone_name *name, const struct zone_rrset *rrset, const uint8_t *item);

#endif
