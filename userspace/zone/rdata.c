/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zone/rdata.h"

#include <libknot/libknot.h>
#include <string.h>

/* Octets of an uncompressed name at `at`, or 0. */
static size_t name_length(const uint8_t *at, const uint8_t *end)
{
	int length = knot_dname_wire_check(at, end, NULL);

	return length > 0 ? (size_t)length : 0;
}

size_t zone_naptr_header(const uint8_t *at, size_t rest)
{
	size_t length = 4;

	for (int i = 0; i < 3; i++) {
		if (length >= rest)
			return 0;
		length += 1U + at[length];
	}
	return length > rest ? 0 : length;
}

const knot_rdata_descriptor_t *zone_rdata_descriptor(uint16_t type)
{
	const knot_rdata_descriptor_t *descriptor = knot_get_rdata_descriptor(type);

	return descriptor->type_name ? descriptor : knot_get_obsolete_rdata_descriptor(type);
}

int zone_rdata_blocks(uint16_t type, const uint8_t *rdata, size_t length, struct zone_rdata_block *blocks)
{
	const knot_rdata_descriptor_t *descriptor = zone_rdata_descriptor(type);
	const uint8_t *at = rdata, *end = rdata + length;
	int count = 0;

	for (; descriptor->block_types[count] != KNOT_RDATA_WF_END; count++) {
		struct zone_rdata_block *block = &blocks[count];
		size_t rest = end - at;

		if (count >= ZONE_RDATA_BLOCKS)
			return -1;
		*block = (struct zone_rdata_block){.start = at};
		switch (descriptor->block_types[count]) {
		case KNOT_RDATA_WF_COMPRESSIBLE_DNAME:
			block->compressible = true;
			/* fall through */
		case KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME:
		case KNOT_RDATA_WF_FIXED_DNAME:
			block->is_name = true;
			block->length = name_length(at, end);
			if (!block->length)
				return -1;
			break;
		case KNOT_RDATA_WF_NAPTR_HEADER:
			block->length = zone_naptr_header(at, rest);
			if (!block->length)
				return -1;
			break;
		case KNOT_RDATA_WF_REMAINDER:
			block->length = rest;
			break;
		default:
			if (rest < (size_t)descriptor->block_types[count])
				return -1;
			block->length = descriptor->block_types[count];
		}
		at += block->length;
	}
	return at == end ? count : -1;
}

bool zone_rdata_ok(uint16_t type, const uint8_t *rdata, size_t length)
{
	struct zone_rdata_block blocks[ZONE_RDATA_BLOCKS];

	if (type == KNOT_RRTYPE_A)
		return length == 4;
	if (type == KNOT_RRTYPE_AAAA)
		return length == 16;
	/* Types that are no data. */
	if (knot_rrtype_is_metatype(type) || type == 0)
		return false;
	return zone_rdata_blocks(type, rdata, length, blocks) >= 0;
}

int zone_compare_rdata(const uint8_t *left, const uint8_t *right)
{
	uint16_t l = zone_rdata_length(left), r = zone_rdata_length(right);
	int order = memcmp(left + 2, right + 2, l < r ? l : r);

	return order ? order : (l > r) - (l < r);
}
