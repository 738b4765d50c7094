/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a zone holds and nobody is answered with: names occluded by a delegation, types of the child's at the cut,
 * chains of NSEC3 that are not used, RRSIGs of what is not there. An update, or a transfer to others, needs them all
 * the same, so they stand in nodes of their own, which no query leads to. Glue is not among them: it stands in the
 * nodes of additional data, which are then marked as its source.
 */
#include "compile/compile.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

struct plan_kept {
	struct plan_kept *next;
	struct zone_name name;
	struct zone_rrset *rrsets;
	uint8_t *signatures; /* those kept of the name's RRSIGs, if not all */
};

/* Where else the records of a name stand. */
struct place {
	bool name, nsec3, addresses; /* in entries of these roles */
	uint16_t flags;              /* of the name's entry */
};

static void find_places(const struct plan *plan, struct place *places)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i];
		struct place *place;

		if (!entry->data)
			continue;
		place = &places[entry->data - plan->zone->names];
		if (entry->role == PG_ROLE_NAME) {
			place->name = true;
			place->flags = entry->flags;
		}
		place->nsec3 |= entry->role == PG_ROLE_NSEC3;
		/* They may be a wildcard's. */
		place->addresses |=
		    entry->role == PG_ROLE_ADDRESSES && knot_dname_is_equal(entry->name, entry->data->owner);
	}
}

/* Whether the RRset stands in an entry of the role NAME or NSEC3. */
static bool is_served(const struct place *place, uint16_t type)
{
	if (type == KNOT_RRTYPE_NSEC3)
		return place->nsec3;
	return place->name && plan_is_served(place->flags, type);
}

static bool is_address(uint16_t type)
{
	return type == KNOT_RRTYPE_A || type == KNOT_RRTYPE_AAAA;
}

/* Whether it stands in any entry. */
static bool has_place(const struct place *place, uint16_t type)
{
	return is_served(place, type) || (place->addresses && is_address(type));
}

/* Whether an RRSIG, given with its length, stands with what it signs. */
static bool goes_along(const struct place *place, const struct zone_name *name, const uint8_t *signature)
{
	uint16_t type = signature[2] << 8 | signature[3];

	return has_place(place, type) && zone_find_rrset(name, type);
}

/* Copies those RRSIGs that do not stand with what they sign. Returns -1 when memory is short. */
static int keep_signatures(const struct place *place, const struct zone_name *name, const struct zone_rrset *all,
                           struct plan_kept *kept, struct zone_rrset *rrset)
{
	const uint8_t *at = all->rdata;

	kept->signatures = malloc(all->size);
	if (!kept->signatures)
		return -1;
	*rrset = (struct zone_rrset){.type = all->type, .ttl = all->ttl, .rdata = kept->signatures};
	for (uint32_t i = 0; i < all->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (!goes_along(place, name, at)) {
			memcpy(kept->signatures + rrset->size, at, 2U + length);
			rrset->size += 2U + length;
			rrset->count++;
		}
		at += 2U + length;
	}
	return 0;
}

static int keep(struct plan *plan, const struct zone_name *name, const struct place *place)
{
	struct plan_kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return -1;
	kept->next = plan->kept;
	plan->kept = kept;
	kept->name = *name;
	kept->name.rrset_count = 0;
	kept->rrsets = kept->name.rrsets = calloc(name->rrset_count, sizeof(*kept->rrsets));
	if (!kept->rrsets)
		return -1;
	for (size_t i = 0; i < name->rrset_count; i++) {
		const struct zone_rrset *rrset = &name->rrsets[i];
		struct zone_rrset *copy = &kept->rrsets[kept->name.rrset_count];

		if (rrset->type != KNOT_RRTYPE_RRSIG) {
			*copy = *rrset;
			kept->name.rrset_count += !has_place(place, rrset->type);
			continue;
		}
		if (keep_signatures(place, name, rrset, kept, copy))
			return -1;
		kept->name.rrset_count += copy->count > 0;
	}
	return plan_add(plan, PG_ROLE_KEPT, name->owner, name->owner_length, &kept->name) ? 0 : -1;
}

/* Whether some of the records stand nowhere yet. */
static bool is_incomplete(const struct zone_name *name, const struct place *place)
{
	for (size_t i = 0; i < name->rrset_count; i++) {
		const struct zone_rrset *rrset = &name->rrsets[i];
		const uint8_t *at = rrset->rdata;

		if (rrset->type != KNOT_RRTYPE_RRSIG && !has_place(place, rrset->type))
			return true;
		for (uint32_t j = 0; rrset->type == KNOT_RRTYPE_RRSIG && j < rrset->count; j++) {
			uint16_t length;

			memcpy(&length, at, sizeof(length));
			if (!goes_along(place, name, at))
				return true;
			at += 2U + length;
		}
	}
	return false;
}

int kept_plan(struct plan *plan)
{
	const struct zone_version *zone = plan->zone;
	struct place *places = calloc(zone->name_count, sizeof(*places));
	int result = places ? 0 : -1;

	if (places)
		find_places(plan, places);
	for (size_t i = 0; i < plan->count && !result; i++) {
		struct plan_entry *entry = &plan->entries[i];

		if (entry->role == PG_ROLE_ADDRESSES && knot_dname_is_equal(entry->name, entry->data->owner) &&
		    !is_served(&places[entry->data - zone->names], KNOT_RRTYPE_A))
			entry->flags |= PG_NODE_SOURCE;
	}
	for (size_t i = 0; i < zone->name_count && !result; i++)
		if (is_incomplete(&zone->names[i], &places[i]))
			result = keep(plan, &zone->names[i], &places[i]);
	free(places);
	return result;
}

void kept_free(struct plan_kept *kept)
{
	while (kept) {
		struct plan_kept *next = kept->next;

		free(kept->rrsets);
		free(kept->signatures);
		free(kept);
		kept = next;
	}
}
