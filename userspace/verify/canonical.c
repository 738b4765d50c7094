/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A zone version keeps names in rdata as the primary spelt them, and sorts by that. In most zones that is canonical
 * already; a copy is made for the RRsets where it is not.
 */
#include "verify/canonical.h"
#include "zone/rdata.h"

#include <ctype.h>
#include <libknot/libknot.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

uint16_t canonical_covered(const uint8_t *item)
{
	return zone_rdata_length(item) < 2 ? 0 : knot_wire_read_u16(item + 2);
}

uint32_t canonical_ttl(const struct zone_name *name, const struct zone_rrset *rrset, const uint8_t *item)
{
	const struct zone_rrset *covered =
	    rrset->type == KNOT_RRTYPE_RRSIG ? zone_find_rrset(name, canonical_covered(item)) : NULL;

	return covered ? covered->ttl : rrset->ttl;
}

/* The types whose names are put in lower case: RFC 4034 section 6.2, without NSEC (RFC 6840 section 5.1), and none that
 * came later (RFC 3597 section 7). */
static bool has_folded_names(uint16_t type)
{
	switch (type) {
	case KNOT_RRTYPE_NS:
	case KNOT_RRTYPE_MD:
	case KNOT_RRTYPE_MF:
	case KNOT_RRTYPE_CNAME:
	case KNOT_RRTYPE_SOA:
	case KNOT_RRTYPE_MB:
	case KNOT_RRTYPE_MG:
	case KNOT_RRTYPE_MR:
	case KNOT_RRTYPE_PTR:
	case KNOT_RRTYPE_MINFO:
	case KNOT_RRTYPE_MX:
	case KNOT_RRTYPE_RP:
	case KNOT_RRTYPE_AFSDB:
	case KNOT_RRTYPE_RT:
	case KNOT_RRTYPE_SIG:
	case KNOT_RRTYPE_PX:
	case KNOT_RRTYPE_NXT:
	case KNOT_RRTYPE_NAPTR:
	case KNOT_RRTYPE_KX:
	case KNOT_RRTYPE_SRV:
	case KNOT_RRTYPE_DNAME:
	case KNOT_RRTYPE_RRSIG:
		return true;
	default:
		return false;
	}
}

/* Puts the names of one rdata in lower case. Returns whether anything was not; with `change` unset nothing is written.
 */
static bool fold(uint16_t type, uint8_t *rdata, size_t length, bool change)
{
	struct zone_rdata_block blocks[ZONE_RDATA_BLOCKS];
	int count = zone_rdata_blocks(type, rdata, length, blocks);
	bool found = false;

	for (int i = 0; i < count; i++) {
		size_t at = blocks[i].start - rdata;

		/* Lengths of labels are less than any letter. */
		for (size_t end = at + blocks[i].length; blocks[i].is_name && at < end; at++) {
			if (rdata[at] < 'A' || rdata[at] > 'Z')
				continue;
			found = true;
			if (change)
				rdata[at] = tolower(rdata[at]);
		}
	}
	return found;
}

static int compare_items(const void *left, const void *right)
{
	return zone_compare_rdata(*(const uint8_t *const *)left, *(const uint8_t *const *)right);
}

static int make_room(struct canonical *canonical, size_t items, size_t octets)
{
	if (items > canonical->room) {
		const uint8_t **more = realloc(canonical->items, items * 2 * sizeof(*more));

		if (!more)
			return -1;
		canonical->items = more;
		canonical->room = items * 2;
	}
	if (octets > canonical->octets_room) {
		uint8_t *more = realloc(canonical->octets, octets * 2);

		if (!more)
			return -1;
		canonical->octets = more;
		canonical->octets_room = octets * 2;
	}
	return 0;
}

static void list_items(struct canonical *canonical, const struct zone_rrset *rrset, const uint8_t *rdata)
{
	canonical->count = 0;
	for (uint32_t i = 0; i < rrset->count; i++, rdata += 2 + zone_rdata_length(rdata))
		canonical->items[canonical->count++] = rdata;
}

/* In lower case the order may be another one, and two RRs the same. */
static void sort_folded(struct canonical *canonical)
{
	size_t kept = 1;

	qsort(canonical->items, canonical->count, sizeof(*canonical->items), compare_items);
	for (size_t i = 1; i < canonical->count; i++)
		if (compare_items(&canonical->items[i], &canonical->items[kept - 1]))
			canonical->items[kept++] = canonical->items[i];
	canonical->count = kept;
}

int canonical_make(struct canonical *canonical, const struct zone_rrset *rrset)
{
	bool folded = false;

	if (make_room(canonical, rrset->count, 0))
		return -1;
	list_items(canonical, rrset, rrset->rdata);
	if (!has_folded_names(rrset->type))
		return 0;
	for (size_t i = 0; i < canonical->count && !folded; i++)
		folded = fold(rrset->type, (uint8_t *)canonical->items[i] + 2, zone_rdata_length(canonical->items[i]),
		              false);
	if (!folded)
		return 0;
	if (make_room(canonical, rrset->count, rrset->size))
		return -1;
	memcpy(canonical->octets, rrset->rdata, rrset->size);
	list_items(canonical, rrset, canonical->octets);
	for (size_t i = 0; i < canonical->count; i++)
		fold(rrset->type, (uint8_t *)canonical->items[i] + 2, zone_rdata_length(canonical->items[i]), true);
	sort_folded(canonical);
	return 0;
}

void canonical_free(struct canonical *canonical)
{
	free(canonical->items);
	free(canonical->octets);
	*canonical = (struct canonical){};
}
