/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * RRs from a message, one after another, into nothing but the reader's own buffers. A transfer of millions of records
 * spends its time here, so an owner that is a pointer to the last one is not read again, and rdata without names is not
 * copied.
 */
#include "rr_reader.h"
#include "zone/octets.h"

#include <libknot/libknot.h>
#include <string.h>

#define POINTER 0xc0
#define FIXED 10 /* type, class, TTL, length */

/* Copies the name at `at`, its labels gathered by pointers, each of which leads further back than the one before (so
 * they end). Returns its length, or 0; `*end` becomes what follows it in the message. */
static size_t unpack(const struct rr_reader *reader, size_t at, uint8_t *out, bool to_lower, size_t *end)
{
	const uint8_t *wire = reader->wire;
	size_t length = 0, before = at;
	bool followed = false;

	while (at < reader->length) {
		size_t octet = wire[at];

		if (octet >= POINTER) {
			if (at + 2 > reader->length)
				return 0;
			if (!followed)
				*end = at + 2;
			followed = true;
			at = (octet & ~(size_t)POINTER) << 8 | wire[at + 1];
			if (at >= before)
				return 0;
			before = at;
			continue;
		}
		if (octet > KNOT_DNAME_MAXLABELLEN || at + octet >= reader->length ||
		    length + octet + 1 > KNOT_DNAME_MAXLEN)
			return 0;
		for (size_t i = 0; i <= octet; i++)
			out[length++] = wire[at++];
		if (octet == 0) {
			if (!followed)
				*end = at;
			if (to_lower)
				octets_lower(out, length);
			return length;
		}
	}
	return 0;
}

void rr_reader_init(struct rr_reader *reader, const uint8_t *wire, size_t length, size_t at)
{
	reader->wire = wire;
	reader->length = length;
	reader->at = at;
	reader->owner_at = 0;
	reader->owner_length = 0;
}

/* The owner, and whether it is the one before. Returns 0 or -1. */
static int read_owner(struct rr_reader *reader, bool *same)
{
	size_t at = reader->at;

	if (at + 2 <= reader->length && reader->wire[at] >= POINTER) {
		size_t target = (reader->wire[at] & ~(size_t)POINTER) << 8 | reader->wire[at + 1];

		*same = reader->owner_length > 0 && target == reader->owner_at;
		if (*same) {
			reader->at = at + 2;
			return 0;
		}
		reader->owner_at = target;
	} else {
		reader->owner_at = at;
	}
	*same = false;
	reader->owner_length = (uint8_t)unpack(reader, at, reader->owner, true, &reader->at);
	return reader->owner_length > 0 ? 0 : -1;
}

/* The part of rdata that a descriptor's block is, behind `*used` octets that came out already. Returns 0 or -1. */
static int copy_block(struct rr_reader *reader, int block, size_t end, size_t *used)
{
	size_t rest = end - reader->at, length = (size_t)block;
	const uint8_t *at = reader->wire + reader->at;

	switch (block) {
	case KNOT_RDATA_WF_COMPRESSIBLE_DNAME:
	case KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME:
		length = unpack(reader, reader->at, reader->rdata + *used, false, &reader->at);
		*used += length;
		return length > 0 && reader->at <= end ? 0 : -1;
	case KNOT_RDATA_WF_NAPTR_HEADER:
		length = zone_naptr_header(at, rest);
		if (length == 0)
			return -1;
		break;
	case KNOT_RDATA_WF_FIXED_DNAME: /* may not be compressed: zone_rdata_ok judges it */
	case KNOT_RDATA_WF_REMAINDER:
		length = rest;
		break;
	}
	if (length > rest)
		return -1;
	memcpy(reader->rdata + *used, at, length);
	*used += length;
	reader->at += length;
	return 0;
}

static bool has_compressed(const knot_rdata_descriptor_t *descriptor)
{
	for (int i = 0; descriptor->block_types[i] != KNOT_RDATA_WF_END; i++)
		if (descriptor->block_types[i] == KNOT_RDATA_WF_COMPRESSIBLE_DNAME ||
		    descriptor->block_types[i] == KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME)
			return true;
	return false;
}

/* The names in rdata spelt out. */
static int expand(struct rr_reader *reader, const knot_rdata_descriptor_t *descriptor, size_t end, struct rr *rr)
{
	size_t used = 0;

	for (int i = 0; descriptor->block_types[i] != KNOT_RDATA_WF_END; i++) {
		if (copy_block(reader, descriptor->block_types[i], end, &used) != 0)
			return -1;
		/* What a fixed name took in is all there is. */
		if (descriptor->block_types[i] == KNOT_RDATA_WF_FIXED_DNAME)
			break;
	}
	if (reader->at != end || used > UINT16_MAX)
		return -1;
	rr->rdata = reader->rdata;
	rr->rdata_length = (uint16_t)used;
	return 0;
}

int rr_read(struct rr_reader *reader, struct rr *rr)
{
	const knot_rdata_descriptor_t *descriptor;
	const uint8_t *fixed;
	size_t end;

	if (read_owner(reader, &rr->same_owner) != 0 || reader->length - reader->at < FIXED)
		return -1;
	fixed = reader->wire + reader->at;
	reader->at += FIXED;
	*rr = (struct rr){.owner = reader->owner,
	                  .owner_length = reader->owner_length,
	                  .same_owner = rr->same_owner,
	                  .type = knot_wire_read_u16(fixed),
	                  .rclass = knot_wire_read_u16(fixed + 2),
	                  .ttl = knot_wire_read_u32(fixed + 4),
	                  .rdata = reader->wire + reader->at,
	                  .rdata_length = knot_wire_read_u16(fixed + 8)};
	end = reader->at + rr->rdata_length;
	if (end > reader->length)
		return -1;
	if (rr->type != KNOT_RRTYPE_A && rr->type != KNOT_RRTYPE_AAAA) {
		descriptor = zone_rdata_descriptor(rr->type);
		if (has_compressed(descriptor))
			return expand(reader, descriptor, end, rr);
	}
	reader->at = end;
	return 0;
}

/* Behind the owner at `at`, which may lie behind the message. */
static size_t skip_owner(const uint8_t *wire, size_t length, size_t at)
{
	while (at < length && wire[at] != 0 && wire[at] < POINTER)
		at += 1U + wire[at];
	return at + (at < length && wire[at] != 0 ? 2 : 1);
}

size_t rr_skip(const uint8_t *wire, size_t length, size_t at, uint16_t *type)
{
	size_t end;

	at = skip_owner(wire, length, at);
	if (at + FIXED > length)
		return 0;
	*type = knot_wire_read_u16(wire + at);
	end = at + FIXED + knot_wire_read_u16(wire + at + 8);
	return end <= length ? end : 0;
}
