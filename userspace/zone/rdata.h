/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rdata taken apart by the type's descriptor in libknot: where names stand in it, and whether it is whole. */
#ifndef PEREGRINE_ZONE_RDATA_H
#define PEREGRINE_ZONE_RDATA_H

#include <libknot/descriptor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stretch of rdata: octets as they are, or one name. */
struct zone_rdata_block {
	const uint8_t *start;
	size_t length;
	bool is_name;
	bool compressible; /* a name that may be compressed in a reply (RFC 3597 section 4) */
};
#define ZONE_RDATA_BLOCKS 8

/* Of which blocks the rdata of a type consists; of an unknown type, of octets. */
const knot_rdata_descriptor_t *zone_rdata_descriptor(uint16_t type);
/* Octets of the three character-strings and the two numbers that stand before the name of a NAPTR (RFC 3403), or 0. */
size_t zone_naptr_header(const uint8_t *at, size_t rest);

/* Cuts rdata into blocks. Returns their number, or -1 when the rdata is not what its type needs. */
int zone_rdata_blocks(uint16_t type, const uint8_t *rdata, size_t length, struct zone_rdata_block *blocks);

/* Rdata as it is kept: a length of 16 bits in host order, then the octets. */
static inline uint16_t zone_rdata_length(const uint8_t *rdata)
{
	uint16_t length;

	__builtin_memcpy(&length, rdata, sizeof(length));
	return length;
}

/* The order of such rdata within an RRset (RFC 4034 section 6.3). */
int zone_compare_rdata(const uint8_t *left, const uint8_t *right);

/* Whether rdata is well-formed as far as its descriptor, and for A and AAAA their length, tell. */
bool zone_rdata_ok(uint16_t type, const uint8_t *rdata, size_t length);

#endif
