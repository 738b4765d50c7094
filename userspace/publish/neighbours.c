/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands beside a name in the new version: the nearer of what the roll has, but for touched names, and of what
 * these are now. */
#include "publish/scope.h"
#include "compile/readback.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* Records gone over in search of one. */
#define STEPS 1024

static const struct pg_node *node_at(const struct scope *scope, pg_ref ref)
{
	return segments_at(&scope->image->segments, ref);
}

/* The number of the first touched name with data that is not before `name`, or not at or below it. */
static size_t rank_of(const struct scope *scope, const uint8_t *name, bool below)
{
	size_t low = 0, high = scope->living_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const uint8_t *there = scope->living[middle];
		bool less = zone_compare_names(there, name) < 0;

		if (!less && below)
			less = knot_dname_in_bailiwick(there, name) >= 0;
		if (less)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Notes a touched name without data that was gone over. */
static int put_passed(struct scope *scope, size_t count, const struct scope_name *name)
{
	if (count == scope->passed_room) {
		size_t room = count ? count * 2 : 64;
		uint32_t *passed = realloc(scope->passed, room * sizeof(*passed));

		if (!passed)
			return -1;
		scope->passed = passed;
		scope->passed_room = room;
	}
	scope->passed[count] = name - scope->names;
	return 0;
}

/*
 * Goes along the roll from `place` to the first name with data, no further than `*found`, the nearest that a touched
 * name has. What is found is noted at each touched name that was gone over, so that many names which go one behind the
 * other are not gone over again for each of them.
 */
static int go_along(struct scope *scope, const uint8_t *name, struct roll_place place, bool back, const uint8_t **found)
{
	const struct roll *roll = &scope->data->roll;
	size_t passed = 0;

	while (back ? roll_previous(roll, &place) : roll_get(roll, place) != 0) {
		const struct pg_node *node = node_at(scope, roll_get(roll, place));
		const uint8_t *there = (const uint8_t *)(node + 1);
		const struct scope_name *known;

		if (node->role != PG_ROLE_NAME || (*found && zone_compare_names(there, *found) * (back ? 1 : -1) <= 0))
			break;
		known = knot_dname_is_equal(there, name) ? NULL : scope_find(scope, there);
		if (known && known->touched) {
			if (known->beside[back].known) {
				*found = known->beside[back].name;
				break;
			}
			if (put_passed(scope, passed++, known))
				return -1;
		} else if (!knot_dname_is_equal(there, name) &&
		           (known ? known->data_before : scope_node_has_data(scope, node))) {
			*found = there;
			break;
		}
		if (!back)
			place = roll_next(roll, place);
	}
	for (size_t i = 0; i < passed; i++) {
		scope->names[scope->passed[i]].beside[back].known = true;
		scope->names[scope->passed[i]].beside[back].name = *found;
	}
	return 0;
}

static struct roll_place find_place(const struct scope *scope, const uint8_t *name, bool below)
{
	const struct roll_key key = {.role = PG_ROLE_NAME, .name = name, .below = below};

	return roll_find(&scope->image->segments, &scope->data->roll, &key, (struct roll_place){});
}

int scope_before(struct scope *scope, const uint8_t *name, bool below, const uint8_t **found)
{
	size_t rank = rank_of(scope, name, below);

	*found = rank ? scope->living[rank - 1] : NULL;
	return go_along(scope, name, find_place(scope, name, below), true, found);
}

int scope_behind(struct scope *scope, const uint8_t *name, const uint8_t **found)
{
	size_t rank = rank_of(scope, name, false);

	/* The name itself is none. */
	rank += rank < scope->living_count && knot_dname_is_equal(scope->living[rank], name);
	*found = rank < scope->living_count ? scope->living[rank] : NULL;
	return go_along(scope, name, find_place(scope, name, false), false, found);
}

/* ---- NSEC3 records ---- */

/* The least owner of a record with that hash, below the apex. */
static void put_owner(const struct scope *scope, uint64_t hash, uint8_t *owner)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";

	owner[0] = 32;
	memset(owner + 1, '0', 32);
	for (int i = 0; i < 12; i++)
		owner[1 + i] = digits[hash >> (59 - 5 * i) & 31];
	owner[13] = digits[(hash & 15) << 1];
	memcpy(owner + 33, scope->apex, knot_dname_size(scope->apex));
}

/* How many records of touched names have hashes less than `hash`. */
static size_t record_rank(const struct scope *scope, uint64_t hash)
{
	size_t low = 0, high = scope->proved_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (scope->proved[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Goes along the roll to the first record that the changes do not touch, no further than `*found`. */
static int go_along_records(struct scope *scope, struct roll_place place, bool back, struct scope_record *found)
{
	const struct roll *roll = &scope->data->roll;
	uint8_t owner[PG_NAME_ROOM];

	for (unsigned steps = 0; steps < STEPS; steps++) {
		struct scope_record record;
		const struct scope_name *known;
		const struct pg_node *node;

		if (back ? !roll_previous(roll, &place) : !roll_get(roll, place))
			return 0;
		node = node_at(scope, roll_get(roll, place));
		if (node->role != PG_ROLE_NSEC3 || readback_owner(node, scope->apex, owner) ||
		    !denial_hash_of_owner(owner, &record.hash) ||
		    (found->owner && (back ? record.hash <= found->hash : record.hash >= found->hash)))
			return 0;
		known = scope_find(scope, owner);
		if (!known || !known->touched) {
			record.owner = known ? known->name : scope_keep(scope, owner);
			*found = record;
			return record.owner ? 0 : -1;
		}
		if (!back)
			place = roll_next(roll, place);
	}
	return -1;
}

/* Not around the end. */
static int find_record(struct scope *scope, uint64_t hash, bool back, struct scope_record *found)
{
	size_t rank = record_rank(scope, hash);
	uint8_t owner[33 + PG_NAME_ROOM];
	const struct roll_key key = {.role = PG_ROLE_NSEC3, .name = owner};

	put_owner(scope, hash, owner);
	*found = (struct scope_record){};
	if (back ? rank > 0 : rank < scope->proved_count)
		*found = scope->proved[back ? rank - 1 : rank];
	return go_along_records(
	    scope, roll_find(&scope->image->segments, &scope->data->roll, &key, (struct roll_place){}), back, found);
}

int scope_record_from(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	if (find_record(scope, hash, false, found))
		return -1;
	return found->owner ? 0 : find_record(scope, 0, false, found);
}

int scope_record_before(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	if (find_record(scope, hash, true, found))
		return -1;
	/* No record is the one of all ones, which would be the hash of a name once in 2^64 names. */
	return found->owner ? 0 : find_record(scope, UINT64_MAX, true, found);
}
