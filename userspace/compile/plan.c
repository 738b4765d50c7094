/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile/compile.h"
#include "zone/rdata.h"

#include <libknot/libknot.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The plan while it is made. */
struct draft {
	struct plan *plan;
	uint32_t ancestor[PG_LABELS_MAX + 2]; /* entry of the present name's ancestor with that many labels */
	uint8_t (*targets)[PG_NAME_ROOM + 1]; /* names that additional data is wanted for, each behind its length */
	size_t target_count, target_room;
};

struct plan_entry *plan_add(struct plan *plan, enum pg_role role, const uint8_t *name, size_t length,
                            const struct zone_name *data)
{
	struct plan_entry *entry;

	if (plan->count == plan->room) {
		/* At first for all names, and some more. */
		size_t room = plan->room ? plan->room + plan->room / 2 : plan->zone->name_count + 64;
		struct plan_entry *entries = realloc(plan->entries, room * sizeof(*entries));

		if (!entries)
			return NULL;
		plan->entries = entries;
		plan->room = room;
	}
	entry = &plan->entries[plan->count++];
	*entry = (struct plan_entry){.role = role, .name = name, .name_length = length, .data = data, .again = true};
	/* Spans have no names; those that are made at all are to be compiled. */
	if (plan->part && role != PG_ROLE_SPAN)
		entry->again = plan->part->again(plan->part->context, name);
	return entry;
}

/* The name without its first `labels` labels. */
static const uint8_t *skip_labels(const uint8_t *name, size_t labels)
{
	while (labels--)
		name += name[0] + 1;
	return name;
}

/* Adds a name, and before it the empty non-terminals that lead to it from what is there. */
static int add_name(struct draft *draft, const struct zone_name *name)
{
	const struct zone_version *zone = draft->plan->zone;
	size_t apex_labels = zone->names[0].labels, common = apex_labels;

	/* What is one label below the apex shares no more with the name before. */
	if (name->labels > apex_labels + 1) {
		const uint8_t *last = draft->plan->entries[draft->plan->count - 1].name;

		common = knot_dname_matched_labels(last, name->owner);
	}
	for (size_t labels = common + 1; labels <= name->labels; labels++) {
		const uint8_t *owner = skip_labels(name->owner, name->labels - labels);
		struct plan_entry *entry = plan_add(draft->plan, PG_ROLE_NAME, owner, knot_dname_size(owner),
		                                    labels == name->labels ? name : NULL);
		uint32_t number = draft->plan->count - 1;

		if (!entry)
			return -1;
		entry->parent = draft->ancestor[labels - 1];
		draft->ancestor[labels] = number;
		draft->plan->entries[entry->parent].children++;
		if (knot_dname_is_wildcard(owner)) {
			entry->flags = PG_NODE_WILDCARD;
			draft->plan->entries[entry->parent].wildcard = number;
		}
	}
	return 0;
}

uint16_t plan_cut(const struct zone_name *name)
{
	/* NS at a wildcard makes no cut (RFC 4592 section 4.2). */
	if (zone_find_rrset(name, KNOT_RRTYPE_NS) && !knot_dname_is_wildcard(name->owner))
		return PG_NODE_DELEGATION;
	return zone_find_rrset(name, KNOT_RRTYPE_DNAME) ? PG_NODE_DNAME : 0;
}

/* The last entry at or below each. */
static void set_last(struct plan *plan)
{
	for (size_t i = plan->names; i-- > 0;) {
		struct plan_entry *entry = &plan->entries[i];

		if (!entry->last)
			entry->last = i;
		if (i && plan->entries[entry->parent].last < entry->last)
			plan->entries[entry->parent].last = entry->last;
	}
}

/* The names of a zone in canonical order, without those that a delegation or a DNAME occludes. */
static int add_names(struct draft *draft)
{
	const struct zone_version *zone = draft->plan->zone;
	const uint8_t *cut = NULL;

	for (size_t i = 0; i < zone->name_count; i++) {
		const struct zone_name *name = &zone->names[i];

		uint16_t flags = plan_cut(name);

		if ((cut && knot_dname_in_bailiwick(name->owner, cut) > 0) || (i && denial_is_nsec3_owner(name)))
			continue;
		cut = NULL;
		if (!i) {
			struct plan_entry *apex =
			    plan_add(draft->plan, PG_ROLE_NAME, name->owner, name->owner_length, name);

			if (!apex)
				return -1;
			flags = PG_NODE_APEX | (flags & ~PG_NODE_DELEGATION);
			if (zone_find_rrset(name, KNOT_RRTYPE_DNAME))
				flags |= PG_NODE_DNAME;
			draft->ancestor[name->labels] = 0;
		} else if (add_name(draft, name)) {
			return -1;
		}
		draft->plan->entries[draft->plan->count - 1].flags |= flags;
		if (flags & (PG_NODE_DELEGATION | PG_NODE_DNAME))
			cut = name->owner;
	}
	draft->plan->names = draft->plan->all_names = draft->plan->count;
	set_last(draft->plan);
	return 0;
}

/* Adds a target that entry `number` names. */
static int add_target(struct draft *draft, size_t number, const uint8_t *name)
{
	knot_dname_storage_t lower;
	uint8_t *target;

	memcpy(lower, name, knot_dname_size(name));
	knot_dname_to_lower(lower);
	if (knot_dname_in_bailiwick(lower, draft->plan->zone->apex) < 0)
		return 0;
	draft->plan->entries[number].names_targets = true;
	if (draft->target_count == draft->target_room) {
		size_t room = draft->target_room ? draft->target_room * 2 : 16;
		void *targets = realloc(draft->targets, room * sizeof(*draft->targets));

		if (!targets)
			return -1;
		draft->targets = targets;
		draft->target_room = room;
	}
	target = draft->targets[draft->target_count++];
	memset(target, 0, sizeof(*draft->targets));
	target[0] = knot_dname_size(name);
	memcpy(target + 1, lower, target[0]);
	return 0;
}

/* A part of a zone does not tell by itself which of its names are targets. */
static int take_targets(struct draft *draft)
{
	const struct plan_part *part = draft->plan->part;

	for (size_t i = 0; i < part->target_count; i++)
		if (add_target(draft, 0, part->targets[i]))
			return -1;
	return 0;
}

static int collect_targets(struct draft *draft)
{
	for (size_t i = 0; i < draft->plan->names; i++) {
		const struct zone_name *name = draft->plan->entries[i].data;

		for (size_t j = 0; name && j < name->rrset_count; j++) {
			const struct zone_rrset *rrset = &name->rrsets[j];
			size_t offset = plan_is_served(draft->plan->entries[i].flags, rrset->type)
			                    ? compile_target_offset(rrset->type)
			                    : 0;

			for (uint32_t k = 0, at = 0; offset && k < rrset->count; k++) {
				uint16_t length;

				memcpy(&length, rrset->rdata + at, sizeof(length));
				if (add_target(draft, i, rrset->rdata + at + 2 + offset - 1))
					return -1;
				at += 2U + length;
			}
		}
	}
	return 0;
}

static int compare_targets(const void *left, const void *right)
{
	return memcmp(left, right, PG_NAME_ROOM + 1);
}

static int compare_target_names(const void *left, const void *right)
{
	return zone_compare_names((const uint8_t *)left + 1, (const uint8_t *)right + 1);
}

/* Each target once, in canonical order. Most zones name few targets often, and octets are compared faster. */
static void sort_targets(struct draft *draft)
{
	size_t kept = 0;

	qsort(draft->targets, draft->target_count, sizeof(*draft->targets), compare_targets);
	for (size_t i = 0; i < draft->target_count; i++)
		if (!kept || compare_targets(draft->targets[kept - 1], draft->targets[i]) != 0)
			memmove(draft->targets[kept++], draft->targets[i], sizeof(*draft->targets));
	draft->target_count = kept;
	qsort(draft->targets, draft->target_count, sizeof(*draft->targets), compare_target_names);
}

static int compare_names(const void *left, const void *right)
{
	return zone_compare_names(((const struct zone_name *)left)->owner, ((const struct zone_name *)right)->owner);
}

static int compare_entries(const void *left, const void *right)
{
	return zone_compare_names(((const struct plan_entry *)left)->name, ((const struct plan_entry *)right)->name);
}

bool plan_find_entry(const struct plan *plan, const uint8_t *name, size_t *number)
{
	const struct plan_entry key = {.name = name};
	const struct plan_entry *found = bsearch(&key, plan->entries, plan->names, sizeof(key), compare_entries);

	if (found)
		*number = found - plan->entries;
	return found != NULL;
}

/* Where a target's addresses are: at its name, be it occluded or not, or at the wildcard that covers it. */
static const struct zone_name *find_addresses(const struct plan *plan, const uint8_t *target)
{
	const struct zone_name key = {.owner = target};
	const struct zone_name *exact =
	    bsearch(&key, plan->zone->names, plan->zone->name_count, sizeof(key), compare_names);
	size_t apex_labels = plan->zone->names[0].labels, labels = knot_dname_labels(target, NULL);

	if (exact)
		return exact;
	for (const uint8_t *name = target; labels >= apex_labels; labels--, name += name[0] + 1) {
		const struct plan_entry *found;
		size_t number;

		if (!plan_find_entry(plan, name, &number))
			continue;
		found = &plan->entries[number];
		/* An empty non-terminal exists; below a delegation the wildcard is not ours to apply. */
		if (name == target || found->flags & PG_NODE_DELEGATION || !found->wildcard)
			return NULL;
		return plan->entries[found->wildcard].data;
	}
	return NULL;
}

/* Adds an entry for each target that has addresses in the zone. */
static int add_targets(struct draft *draft)
{
	struct plan *plan = draft->plan;

	if (plan->part ? take_targets(draft) : collect_targets(draft))
		return -1;
	if (!draft->target_count)
		return 0;
	sort_targets(draft);
	plan->storage = (uint8_t *)draft->targets;
	for (size_t i = 0; i < draft->target_count; i++) {
		const uint8_t *name = draft->targets[i] + 1;
		const struct zone_name *data;
		struct plan_entry *entry;

		data = find_addresses(plan, name);
		if (!zone_find_rrset(data, KNOT_RRTYPE_A) && !zone_find_rrset(data, KNOT_RRTYPE_AAAA))
			continue;
		entry = plan_add(plan, PG_ROLE_ADDRESSES, name, draft->targets[i][0], data);
		if (!entry)
			return -1;
		entry->addresses[0] = zone_find_rrset(data, KNOT_RRTYPE_A);
		entry->addresses[1] = zone_find_rrset(data, KNOT_RRTYPE_AAAA);
	}
	return 0;
}

struct plan *plan_new(const struct zone_version *zone)
{
	return plan_new_part(zone, NULL);
}

struct plan *plan_new_part(const struct zone_version *zone, const struct plan_part *part)
{
	struct draft draft = {.plan = calloc(1, sizeof(*draft.plan))};

	if (!draft.plan)
		return NULL;
	draft.plan->zone = zone;
	draft.plan->part = part;
	draft.plan->apex_length = knot_dname_size(zone->apex);
	if (add_names(&draft) || add_targets(&draft) || denial_plan(draft.plan) || kept_plan(draft.plan)) {
		if (!draft.plan->storage)
			free(draft.targets);
		plan_free(draft.plan);
		return NULL;
	}
	return draft.plan;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	free(plan->entries);
	free(plan->storage);
	denial_free(&plan->denial);
	kept_free(plan->kept);
	free(plan);
}
