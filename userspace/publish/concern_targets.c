/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a change spreads by additional data: which names become targets, or cease to be, and where their addresses are.
 */
#include "publish/concern.h"

#include <stdlib.h>
#include <string.h>

static int put_naming(struct spread *spread, uint64_t hash, const uint8_t *name, int more)
{
	if (spread_grow(&spread->namings, spread->naming_count, &spread->naming_room, sizeof(*spread->namings)))
		return -1;
	spread->namings[spread->naming_count++] = (struct naming){hash, name, more};
	return 0;
}

static int named_less(void *spread, uint64_t hash)
{
	return put_naming(spread, hash, NULL, -1);
}

static uint64_t hash_of_target(const struct scope *scope, const uint8_t *name)
{
	return engine_hash(scope->image->settings, PG_ROLE_ADDRESSES, scope->slot, name, knot_dname_size(name));
}

/* What an RRset of a touched name names. */
static int named_more(struct spread *spread, const struct zone_rrset *rrset)
{
	struct scope *scope = spread->scope;
	size_t offset = compile_target_offset(rrset->type);
	const uint8_t *at = rrset->rdata;

	for (uint32_t i = 0; offset && i < rrset->count; i++) {
		const uint8_t *name = at + 2 + offset - 1;
		knot_dname_storage_t lower;
		const uint8_t *kept;
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		at += 2U + length;
		memcpy(lower, name, knot_dname_size(name));
		knot_dname_to_lower(lower);
		if (knot_dname_in_bailiwick(lower, scope->apex) < 0)
			continue;
		kept = scope_keep(scope, lower);
		if (!kept || put_naming(spread, hash_of_target(scope, kept), kept, 1))
			return -1;
	}
	return 0;
}

static int compare_namings(const void *left, const void *right)
{
	const struct naming *a = left, *b = right;

	return (a->hash > b->hash) - (a->hash < b->hash);
}

/* One of each hash. */
static void sum_namings(struct spread *spread)
{
	size_t kept = 0;

	if (spread->naming_count)
		qsort(spread->namings, spread->naming_count, sizeof(*spread->namings), compare_namings);
	for (size_t i = 0; i < spread->naming_count; i++) {
		const struct naming *naming = &spread->namings[i];

		if (!kept || spread->namings[kept - 1].hash != naming->hash) {
			spread->namings[kept++] = *naming;
			continue;
		}
		spread->namings[kept - 1].more += naming->more;
		if (naming->name)
			spread->namings[kept - 1].name = naming->name;
	}
	spread->naming_count = kept;
}

/* Whether a name is a target in the new version. */
bool spread_is_target(const struct spread *spread, const uint8_t *name)
{
	const struct naming key = {.hash = hash_of_target(spread->scope, name)};
	const struct naming *naming =
	    spread->naming_count ? bsearch(&key, spread->namings, spread->naming_count, sizeof(key), compare_namings)
	                         : NULL;

	return targets_count(&spread->scope->data->targets, key.hash) + (naming ? naming->more : 0) > 0;
}

/* Targets that are so for the first time, or no longer. */
int spread_targets(struct spread *spread)
{
	struct scope *scope = spread->scope;

	for (size_t i = 0; i < scope->count; i++) {
		const struct scope_name *name = &scope->names[i];
		const struct pg_node *node = name->touched ? name->before : NULL;
		uint16_t cut = name->after && !scope_is_apex(scope, name->name) ? plan_cut(name->after) : 0;

		if (node && targets_each(node, named_less, spread))
			return -1;
		for (size_t j = 0; name->data_after && name->after && j < name->after->rrset_count; j++)
			if (plan_is_served(cut, name->after->rrsets[j].type) &&
			    named_more(spread, &name->after->rrsets[j]))
				return -1;
	}
	sum_namings(spread);
	for (size_t i = 0; i < spread->naming_count; i++) {
		const struct naming *naming = &spread->namings[i];
		uint64_t before = targets_count(&scope->data->targets, naming->hash);
		const uint8_t *name = naming->name;
		pg_ref ref = name ? 0 : image_find_hash(scope->image, scope->slot, naming->hash);

		if (!before == !(before + naming->more))
			continue;
		if (ref)
			name = (const uint8_t *)((const struct pg_node *)segments_at(&scope->image->segments, ref) + 1);
		if (name && scope_again(scope, name))
			return -1;
	}
	return 0;
}

/* All targets that have addresses, at or below a name. */
static int concern_targets_below(struct scope *scope, const uint8_t *name)
{
	const struct roll *roll = &scope->data->roll;
	const struct roll_key key = {.role = PG_ROLE_ADDRESSES, .name = name};
	struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	pg_ref ref;

	for (; (ref = roll_get(roll, place)); place = roll_next(roll, place)) {
		const struct pg_node *node = segments_at(&scope->image->segments, ref);

		if (node->role != PG_ROLE_ADDRESSES || knot_dname_in_bailiwick((const uint8_t *)(node + 1), name) < 0)
			break;
		if (scope_again(scope, (const uint8_t *)(node + 1)))
			return -1;
	}
	return 0;
}

/* Whether a name cut off what is below it. */
static uint16_t cut_before(const struct scope_name *name)
{
	return name->before ? name->before->flags & (PG_NODE_DELEGATION | PG_NODE_DNAME) : 0;
}

/* Targets that a wildcard gives their addresses depend on which names there are above them, and on the wildcard. */
int spread_wildcard_targets(struct spread *spread, const struct scope_name *name)
{
	struct scope *scope = spread->scope;
	uint16_t cut = name->after && !scope_is_apex(scope, name->name) ? plan_cut(name->after) : 0;
	bool wild = knot_dname_is_wildcard(name->name) && name->touched;
	const uint8_t *top = name->name;
	uint8_t wildcard[PG_NAME_ROOM];

	if (!wild && name->data_before == name->data_after && !(name->touched && cut != cut_before(name)))
		return 0;
	for (const uint8_t *above = name->name; !scope_is_apex(scope, above) && !wild;) {
		above = parent_of(above);
		wild = spread_has_wildcard(scope, above, wildcard);
	}
	if (!wild || !scope->data->targets.named)
		return 0;
	/* Those that have no addresses cannot be listed. */
	if (scope->data->targets.named > scope->data->addresses) {
		scope->too_far = true;
		return -1;
	}
	/* Empty non-terminals come and go with what is below them. */
	while (!scope_is_apex(scope, parent_of(top))) {
		const struct scope_name *above = scope_find(scope, parent_of(top));

		if (!above || (above->data_before && above->data_after))
			break;
		top = above->name;
	}
	return concern_targets_below(scope, knot_dname_is_wildcard(top) ? parent_of(top) : top);
}

static int compare_names(const void *left, const void *right)
{
	return zone_compare_names(*(const uint8_t *const *)left, *(const uint8_t *const *)right);
}

int spread_list_targets(struct spread *spread)
{
	struct scope *scope = spread->scope;

	scope->targets = calloc(scope->count + 1, sizeof(*scope->targets));
	if (!scope->targets)
		return -1;
	for (size_t i = 0; i < scope->count; i++)
		if (scope->names[i].again && spread_is_target(spread, scope->names[i].name))
			scope->targets[scope->target_count++] = scope->names[i].name;
	if (scope->target_count)
		qsort(scope->targets, scope->target_count, sizeof(*scope->targets), compare_names);
	return 0;
}
