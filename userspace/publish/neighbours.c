/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands beside a name in the new version: the nearer of what the roll has, but for touched names, and of what
 * these are now. */
#include "publish/scope.h"

#include <libknot/libknot.h>
#include <string.h>

/* Names gone over in search of one. */
#define STEPS 1024

static const struct pg_node *node_at(const struct scope *scope, pg_ref ref)
{
	return segments_at(&scope->image->segments, ref);
}

/* The number of the first name of the touched ones that is not before `name`, or not at or below it. */
static size_t rank_of(const struct scope *scope, const uint8_t *name, bool below)
{
	size_t low = 0, high = scope->version->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const uint8_t *there = scope->version->names[middle].owner;
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

/* Whether a node of the version before is a name that the changes do not touch and that has data. */
static bool is_neighbour(const struct scope *scope, const struct pg_node *node)
{
	const struct scope_name *there = scope_find(scope, (const uint8_t *)(node + 1));

	return there ? !there->touched && there->data_before : scope_node_has_data(scope, node);
}

/* The touched name with data that comes next, from number `at` on; NULL: there is none. `steps` are those left. */
static const uint8_t *touched_from(const struct scope *scope, size_t at, int direction, unsigned *steps)
{
	for (; at < scope->version->name_count && *steps; at += direction, --*steps)
		if (scope_has_data(scope, scope->version->names[at].owner))
			return scope->version->names[at].owner;
	return NULL;
}

int scope_before(struct scope *scope, const uint8_t *name, bool below, const uint8_t **found)
{
	const struct roll *roll = &scope->data->roll;
	const struct roll_key key = {.role = PG_ROLE_NAME, .name = name, .below = below};
	struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	unsigned steps = STEPS;

	/* Before the first there is none: the number that is less is the greatest. */
	*found = touched_from(scope, rank_of(scope, name, below) - 1, -1, &steps);
	for (; steps && roll_previous(roll, &place); steps--) {
		const struct pg_node *node = node_at(scope, roll_get(roll, place));
		const uint8_t *there = (const uint8_t *)(node + 1);

		if (*found && zone_compare_names(there, *found) <= 0)
			return 0;
		if (is_neighbour(scope, node)) {
			*found = there;
			return 0;
		}
	}
	scope->too_far |= !steps;
	return steps ? 0 : -1;
}

int scope_behind(struct scope *scope, const uint8_t *name, const uint8_t **found)
{
	const struct roll *roll = &scope->data->roll;
	const struct roll_key key = {.role = PG_ROLE_NAME, .name = name};
	struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	size_t rank = rank_of(scope, name, false);
	unsigned steps = STEPS;

	/* The name itself is none. */
	if (rank < scope->version->name_count && knot_dname_is_equal(scope->version->names[rank].owner, name))
		rank++;
	*found = touched_from(scope, rank, 1, &steps);
	for (; steps && roll_get(roll, place); steps--, place = roll_next(roll, place)) {
		const struct pg_node *node = node_at(scope, roll_get(roll, place));
		const uint8_t *there = (const uint8_t *)(node + 1);

		if (node->role != PG_ROLE_NAME || (*found && zone_compare_names(there, *found) >= 0))
			return 0;
		if (!knot_dname_is_equal(there, name) && is_neighbour(scope, node)) {
			*found = there;
			return 0;
		}
	}
	scope->too_far |= !steps;
	return steps ? 0 : -1;
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

/* Whether a place of the roll has a record that the changes do not touch, and which. */
static bool is_record(const struct scope *scope, pg_ref ref, struct scope_record *record)
{
	const struct pg_node *node = node_at(scope, ref);
	const struct scope_name *there;

	record->owner = (const uint8_t *)(node + 1);
	there = scope_find(scope, record->owner);
	return !(there && there->touched) && denial_hash_of_owner(record->owner, &record->hash);
}

/* The nearest record of the roll from `hash` on in one direction, but not around the end. */
static int roll_record(struct scope *scope, uint64_t hash, bool back, struct scope_record *found)
{
	const struct roll *roll = &scope->data->roll;
	uint8_t owner[33 + PG_NAME_ROOM];
	const struct roll_key key = {.role = PG_ROLE_NSEC3, .name = owner};
	struct roll_place place;

	put_owner(scope, hash, owner);
	place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	*found = (struct scope_record){};
	for (unsigned steps = 0; steps < STEPS; steps++) {
		pg_ref ref;

		if (back && !roll_previous(roll, &place))
			return 0;
		ref = roll_get(roll, place);
		if (!ref || node_at(scope, ref)->role != PG_ROLE_NSEC3)
			return 0;
		if (is_record(scope, ref, found))
			return 0;
		*found = (struct scope_record){};
		if (!back)
			place = roll_next(roll, place);
	}
	scope->too_far = true;
	return -1;
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

static int record_from(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	size_t rank = record_rank(scope, hash);

	if (roll_record(scope, hash, false, found))
		return -1;
	if (rank < scope->proved_count && (!found->owner || scope->proved[rank].hash < found->hash))
		*found = scope->proved[rank];
	return 0;
}

static int record_before(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	size_t rank = record_rank(scope, hash);

	if (roll_record(scope, hash, true, found))
		return -1;
	if (rank && (!found->owner || scope->proved[rank - 1].hash > found->hash))
		*found = scope->proved[rank - 1];
	return 0;
}

int scope_record_from(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	if (record_from(scope, hash, found))
		return -1;
	return found->owner ? 0 : record_from(scope, 0, found);
}

int scope_record_before(struct scope *scope, uint64_t hash, struct scope_record *found)
{
	if (record_before(scope, hash, found))
		return -1;
	/* No record is the one of all ones, which would be the hash of a name once in 2^64 names. */
	return found->owner ? 0 : record_before(scope, UINT64_MAX, found);
}
