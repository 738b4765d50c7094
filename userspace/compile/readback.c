/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fragment holds its RRs in wire format; what is missing are the names' suffixes, each of which a relocation says to
 * be a suffix of the node's own name. Owners are not looked at: they are all the node's name, which only an NSEC3
 * record has in its fragment alone.
 */
#include "compile/readback.h"
#include "compile/node.h"

#include <libknot/libknot.h>
#include <stdbool.h>
#include <string.h>

#define RR_FIXED 10 /* type, class, TTL, length */

/* A fragment as it is gone through. */
struct reader {
	const struct pg_node *node;
	const uint8_t *name; /* of the node */
	size_t name_length;
	const uint8_t *data;
	size_t at, length;
	const struct pg_relocation *next, *end; /* of the suffixes, those not passed yet */
};

/* Checks that the fragment lies within its node, and goes to its first RR. */
static int open_fragment(struct reader *reader, const struct pg_rrset *rrset)
{
	size_t units = reader->node->units, start = (size_t)rrset->fragment * PG_UNIT;

	if (start + pg_targets_at(rrset) > units * PG_UNIT)
		return -1;
	reader->data = (const uint8_t *)reader->node + start;
	reader->at = 0;
	reader->length = rrset->signed_length;
	reader->next = (const struct pg_relocation *)(reader->data + pg_relocations_at(rrset)) + rrset->owners -
	               (rrset->owners > 0);
	reader->end = reader->next + rrset->suffixes;
	return 0;
}

/* Octets of the suffix that a relocation is of. */
static size_t suffix_octets(const struct pg_relocation *relocation)
{
	return -(unsigned)relocation->to & PG_TO_OCTETS;
}

/* Whether a suffix of the name stands next; it is `reader->next` then. */
static bool at_suffix(struct reader *reader)
{
	while (reader->next < reader->end && reader->next->position < reader->at)
		reader->next++;
	return reader->next < reader->end && reader->next->position == reader->at;
}

static int skip_owner(struct reader *reader)
{
	while (reader->at < reader->length) {
		uint8_t octet = reader->data[reader->at];
		/* A pointer that is a relocation's is 0 as long as it is not filled in. */
		bool pointer = octet >= 0xc0 || at_suffix(reader);

		reader->at += pointer ? 2U : octet + 1U;
		if (!octet || pointer)
			return 0;
	}
	return -1;
}

/* Copies rdata and spells out the names in it. Returns its length, or -1. */
static int expand(struct reader *reader, size_t length, uint8_t *out)
{
	size_t end = reader->at + length, made = 0;

	while (reader->at < end) {
		bool suffix = at_suffix(reader);
		/* Else what comes before the next one is as it was. */
		size_t next = reader->next < reader->end && reader->next->position < end ? reader->next->position : end;
		size_t octets = suffix ? suffix_octets(reader->next) : next - reader->at;

		if (made + octets > UINT16_MAX || (suffix && octets > reader->name_length))
			return -1;
		memcpy(out + made, suffix ? reader->name + reader->name_length - octets : reader->data + reader->at,
		       octets);
		made += octets;
		reader->at += suffix ? 2 : octets;
	}
	return reader->at == end ? (int)made : -1;
}

static int read_fragment(struct reader *reader, struct zone_builder *into)
{
	uint8_t rdata[UINT16_MAX];

	while (reader->at < reader->length) {
		const uint8_t *fixed;
		size_t stored;
		int length;

		if (skip_owner(reader) || reader->at + RR_FIXED > reader->length)
			return -1;
		fixed = reader->data + reader->at;
		stored = knot_wire_read_u16(fixed + 8);
		reader->at += RR_FIXED;
		if (reader->at + stored > reader->length)
			return -1;
		length = expand(reader, stored, rdata);
		if (length < 0 || zone_builder_add(into, reader->name, knot_wire_read_u16(fixed),
		                                   knot_wire_read_u32(fixed + 4), rdata, length))
			return -1;
	}
	return 0;
}

/* Whether the records of a node stand nowhere else. */
static bool is_source(const struct pg_node *node)
{
	switch (node->role) {
	case PG_ROLE_NAME:
	case PG_ROLE_NSEC3:
	case PG_ROLE_KEPT:
		return true;
	default:
		return node->flags & PG_NODE_SOURCE;
	}
}

/* Whether the table of the node's RRsets lies within it. */
static bool has_table(const struct pg_node *node)
{
	return (const uint8_t *)(node_rrsets(node) + node->rrsets) <=
	       (const uint8_t *)node + (size_t)node->units * PG_UNIT;
}

int readback_owner(const struct pg_node *node, const uint8_t *apex, uint8_t *owner)
{
	size_t octets = knot_dname_size(apex);
	const uint8_t *label;

	if (!node->rrsets || !has_table(node) || node_rrsets(node)->fragment >= node->units)
		return -1;
	label = node_label(node);
	if (label[0] >= PG_UNIT * (node->units - node_rrsets(node)->fragment) || label[0] + 1U + octets > PG_NAME_MAX)
		return -1;
	memcpy(owner, label, label[0] + 1U);
	memcpy(owner + label[0] + 1, apex, octets);
	return 0;
}

int readback_node(const struct pg_node *node, struct zone_builder *into)
{
	struct reader reader = {.node = node, .name = (const uint8_t *)(node + 1), .name_length = node->name_length};
	const struct pg_rrset *rrsets = node_rrsets(node);
	uint8_t owner[PG_NAME_ROOM];

	if (!is_source(node))
		return 0;
	if (!has_table(node))
		return -1;
	if (node->role == PG_ROLE_NSEC3) {
		if (readback_owner(node, zone_builder_apex(into), owner))
			return -1;
		reader.name = owner;
		reader.name_length = knot_dname_size(owner);
	}
	for (uint16_t i = 0; i < node->rrsets; i++) {
		/* The second form of what is there as NSEC. */
		if (rrsets[i].type == PG_TYPE_NSEC_AT_WILDCARD)
			continue;
		if (open_fragment(&reader, &rrsets[i]) || read_fragment(&reader, into))
			return -1;
	}
	return 0;
}
