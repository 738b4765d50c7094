/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/scope.h"
#include "compile/readback.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* Names gone over in search of a neighbour. */
#define STEPS 256

#define OWNED_ROOM 16384

struct owned {
	struct owned *next;
	size_t used;
	uint8_t octets[OWNED_ROOM];
};

static const struct pg_node *node_at(const struct scope *scope, pg_ref ref)
{
	return segments_at(&scope->image->segments, ref);
}

pg_ref scope_node(const struct scope *scope, enum pg_role role, const uint8_t *name)
{
	const struct pg_settings *settings = scope->image->settings;
	uint64_t hash;
	pg_ref ref;

	/* Most names have none of these, which need not be looked for. */
	if (role == PG_ROLE_KEPT && !scope->data->kept)
		return 0;
	if (role == PG_ROLE_ADDRESSES &&
	    !targets_count(&scope->data->targets,
	                   engine_hash(settings, role, scope->slot, name, knot_dname_size(name))))
		return 0;
	if (role != PG_ROLE_NSEC3)
		return image_find_node(scope->image, scope->slot, role, name);
	if (scope->head->denial != PG_DENIAL_NSEC3 || !denial_hash_of_owner(name, &hash))
		return 0;
	ref = image_find_hash(scope->image, scope->slot, engine_hash_number(settings, role, scope->slot, hash));
	return ref && knot_dname_is_equal((const uint8_t *)(node_at(scope, ref) + 1), name) ? ref : 0;
}

static const struct pg_node *node_of(const struct scope *scope, enum pg_role role, const uint8_t *name)
{
	pg_ref ref = scope_node(scope, role, name);

	return ref ? node_at(scope, ref) : NULL;
}

static uint64_t hash_of(const struct scope *scope, const uint8_t *name, size_t length)
{
	return engine_hash(scope->image->settings, PG_ROLE_NAME, scope->slot, name, length);
}

const uint8_t *scope_keep(struct scope *scope, const uint8_t *name)
{
	size_t length = knot_dname_size(name);
	struct owned *owned = scope->owned;

	if (!owned || OWNED_ROOM - owned->used < length) {
		owned = malloc(sizeof(*owned));
		if (!owned)
			return NULL;
		owned->next = scope->owned;
		owned->used = 0;
		scope->owned = owned;
	}
	owned->used += length;
	return memcpy(owned->octets + owned->used - length, name, length);
}

/* ---- the names ---- */

static uint32_t *find_slot(const struct scope *scope, uint64_t hash, const uint8_t *name)
{
	size_t at = hash & (scope->table_room - 1);

	for (; scope->table[at]; at = (at + 1) & (scope->table_room - 1)) {
		const struct scope_name *there = &scope->names[scope->table[at] - 1];

		if (there->hash == hash && knot_dname_is_equal(there->name, name))
			break;
	}
	return &scope->table[at];
}

struct scope_name *scope_find(const struct scope *scope, const uint8_t *name)
{
	uint32_t number = *find_slot(scope, hash_of(scope, name, knot_dname_size(name)), name);

	return number ? &scope->names[number - 1] : NULL;
}

static int make_room(struct scope *scope)
{
	size_t room = scope->room ? scope->room * 2 : 64;
	struct scope_name *names;
	uint32_t *table;

	if (scope->count < scope->room)
		return 0;
	names = realloc(scope->names, room * sizeof(*names));
	if (names)
		scope->names = names;
	table = names ? calloc(room * 2, sizeof(*table)) : NULL;
	if (!table)
		return -1;
	free(scope->table);
	scope->table = table;
	scope->table_room = room * 2;
	scope->room = room;
	for (size_t i = 0; i < scope->count; i++)
		*find_slot(scope, names[i].hash, names[i].name) = i + 1;
	return 0;
}

static bool is_apex(const struct scope *scope, const uint8_t *name)
{
	return knot_dname_is_equal(name, scope->apex);
}

/* Whether a name above, in the new version, cuts it off. */
static bool is_occluded(const struct scope *scope, const uint8_t *name)
{
	while (!is_apex(scope, name)) {
		const struct scope_name *above;
		const struct pg_node *node;
		uint16_t cut;

		name += name[0] + 1;
		above = scope_find(scope, name);
		if (above && above->touched) {
			cut = above->after ? plan_cut(above->after) : 0;
			/* The apex is none, unless it is redirected. */
			if (is_apex(scope, name))
				cut = plan_find_rrset(above->after, KNOT_RRTYPE_DNAME) ? PG_NODE_DNAME : 0;
		} else {
			node = above ? above->before : node_of(scope, PG_ROLE_NAME, name);
			cut = node ? node->flags & (PG_NODE_DELEGATION | PG_NODE_DNAME) : 0;
		}
		if (cut)
			return true;
	}
	return false;
}

/* Whether a node of the role NAME is there for records, not for names below it. */
static bool node_has_data(const struct scope *scope, const struct pg_node *node)
{
	return node && (node->rrsets || node_of(scope, PG_ROLE_KEPT, (const uint8_t *)(node + 1)));
}

/* What became of the records of a touched name. */
static bool has_data_after(const struct scope *scope, const struct scope_name *name)
{
	return name->after && !denial_is_nsec3_owner(name->after) && !is_occluded(scope, name->name);
}

bool scope_has_data(const struct scope *scope, const uint8_t *name)
{
	const struct scope_name *there = scope_find(scope, name);

	if (there)
		return there->data_after;
	return node_has_data(scope, node_of(scope, PG_ROLE_NAME, name));
}

static struct scope_name *add_one(struct scope *scope, const uint8_t *name)
{
	struct scope_name *there = scope->table ? scope_find(scope, name) : NULL;
	uint8_t length = knot_dname_size(name);

	if (there)
		return there;
	/* A node that it stands in may move. */
	if (scope->count < scope->limit && !make_room(scope))
		name = scope_keep(scope, name);
	else
		name = NULL;
	if (!name) {
		scope->too_far = true;
		return NULL;
	}
	there = &scope->names[scope->count++];
	*there = (struct scope_name){.name = name, .length = length, .hash = hash_of(scope, name, length)};
	there->before = node_of(scope, PG_ROLE_NAME, name);
	there->data_before = there->data_after = node_has_data(scope, there->before);
	*find_slot(scope, there->hash, name) = scope->count;
	return there;
}

struct scope_name *scope_add(struct scope *scope, const uint8_t *name)
{
	for (const uint8_t *above = name; !is_apex(scope, above);) {
		above += above[0] + 1;
		if (scope->table && scope_find(scope, above))
			break;
		if (!add_one(scope, above))
			return NULL;
	}
	return add_one(scope, name);
}

int scope_again(struct scope *scope, const uint8_t *name)
{
	struct scope_name *there = scope_add(scope, name);

	if (!there)
		return -1;
	there->again = true;
	return 0;
}

/* ---- neighbours ---- */

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

/* Whether the node at a place of the roll is a name that the changes do not touch and that has data. */
static bool is_neighbour(const struct scope *scope, pg_ref ref)
{
	const struct pg_node *node = node_at(scope, ref);
	const struct scope_name *there = scope_find(scope, (const uint8_t *)(node + 1));

	return there ? !there->touched && there->data_before : node_has_data(scope, node);
}

/* The nearer of what the roll has and what the touched names have. */
static const uint8_t *nearer(const uint8_t *a, const uint8_t *b, int direction)
{
	if (!a || !b)
		return a ? a : b;
	return zone_compare_names(a, b) * direction < 0 ? a : b;
}

int scope_before(struct scope *scope, const uint8_t *name, bool below, const uint8_t **found)
{
	const struct roll *roll = &scope->data->roll;
	const struct roll_key key = {.role = PG_ROLE_NAME, .name = name, .below = below};
	struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	const uint8_t *there = NULL, *touched = NULL;
	unsigned steps = 0;

	while (!there && roll_previous(roll, &place)) {
		pg_ref ref = roll_get(roll, place);

		if (is_neighbour(scope, ref))
			there = (const uint8_t *)(node_at(scope, ref) + 1);
		if (++steps > STEPS)
			goto too_far;
	}
	for (size_t i = rank_of(scope, name, below); i-- > 0 && !touched;) {
		if (scope_has_data(scope, scope->version->names[i].owner))
			touched = scope->version->names[i].owner;
		if (++steps > STEPS)
			goto too_far;
	}
	*found = nearer(there, touched, -1);
	return 0;
too_far:
	scope->too_far = true;
	return -1;
}

int scope_behind(struct scope *scope, const uint8_t *name, const uint8_t **found)
{
	const struct roll *roll = &scope->data->roll;
	const struct roll_key key = {.role = PG_ROLE_NAME, .name = name};
	struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});
	const uint8_t *there = NULL, *touched = NULL;
	unsigned steps = 0;
	pg_ref ref;

	for (; !there && (ref = roll_get(roll, place)); place = roll_next(roll, place)) {
		const struct pg_node *node = node_at(scope, ref);

		if (node->role != PG_ROLE_NAME)
			break;
		if (!knot_dname_is_equal((const uint8_t *)(node + 1), name) && is_neighbour(scope, ref))
			there = (const uint8_t *)(node + 1);
		if (++steps > STEPS)
			goto too_far;
	}
	for (size_t i = rank_of(scope, name, false); i < scope->version->name_count && !touched; i++) {
		const uint8_t *owner = scope->version->names[i].owner;

		if (!knot_dname_is_equal(owner, name) && scope_has_data(scope, owner))
			touched = owner;
		if (++steps > STEPS)
			goto too_far;
	}
	*found = nearer(there, touched, 1);
	return 0;
too_far:
	scope->too_far = true;
	return -1;
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

/* ---- making it ---- */

static int read_node(const struct pg_node *node, struct zone_builder *into)
{
	return node ? readback_node(node, into) : 0;
}

static int read_name(const struct scope *scope, const struct scope_name *name, struct zone_builder *into)
{
	static const enum pg_role roles[] = {PG_ROLE_ADDRESSES, PG_ROLE_NSEC3, PG_ROLE_KEPT};

	if (read_node(name->before, into))
		return -1;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (read_node(node_of(scope, roles[i], name->name), into))
			return -1;
	return 0;
}

static int touch(struct scope *scope, const uint8_t *name, struct zone_builder *into)
{
	struct scope_name *there = scope_add(scope, name);

	if (!there)
		return -1;
	if (there->touched)
		return 0;
	there->touched = there->again = true;
	return read_name(scope, there, into);
}

/* Touches all names below one that may become a cut, or cease to be one. */
static int touch_below(struct scope *scope, const uint8_t *name, struct zone_builder *into)
{
	static const enum pg_role roles[] = {PG_ROLE_NAME, PG_ROLE_ADDRESSES, PG_ROLE_KEPT};
	const struct roll *roll = &scope->data->roll;
	pg_ref ref;

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		const struct roll_key key = {.role = roles[i], .name = name};
		struct roll_place place = roll_find(&scope->image->segments, roll, &key, (struct roll_place){});

		for (; (ref = roll_get(roll, place)); place = roll_next(roll, place)) {
			const struct pg_node *node = node_at(scope, ref);

			if (node->role != roles[i] || knot_dname_in_bailiwick((const uint8_t *)(node + 1), name) < 0)
				break;
			if (touch(scope, (const uint8_t *)(node + 1), into))
				return -1;
		}
	}
	return 0;
}

/* Reading back what changes touch, in order of owners. */
struct touching {
	struct scope *scope;
	struct zone_builder *into;
	const uint8_t *last, *cut; /* done already */
	int flags;                 /* of the NSEC3 records; -1: there was none */
};

static int touch_changed(void *context, const struct zone_change *change)
{
	struct touching *touching = context;
	struct scope *scope = touching->scope;
	bool cuts =
	    change->type == KNOT_RRTYPE_DNAME || (change->type == KNOT_RRTYPE_NS && !is_apex(scope, change->owner));

	if (!(touching->last && knot_dname_is_equal(touching->last, change->owner)) &&
	    touch(scope, change->owner, touching->into))
		return -1;
	touching->last = change->owner;
	if (cuts && !(touching->cut && knot_dname_is_equal(touching->cut, change->owner))) {
		if (touch_below(scope, change->owner, touching->into))
			return -1;
		touching->cut = change->owner;
	}
	return 0;
}

/* Whether a change leaves the zone's way of denial as it is. Records of a chain that do not all say the same of opt-out
 * would change what they prove of names that are not touched. */
static int keep_chain(void *context, const struct zone_change *change)
{
	struct touching *touching = context;
	uint8_t flags = change->rdata[2 + 1];

	if (change->type == KNOT_RRTYPE_NSEC3PARAM && is_apex(touching->scope, change->owner))
		return -1;
	if (change->type != KNOT_RRTYPE_NSEC3)
		return 0;
	if (touching->flags >= 0 && touching->flags != flags)
		return -1;
	touching->flags = flags;
	return 0;
}

static int read_touched(struct scope *scope, struct zone_changes *changes, struct zone_builder *into)
{
	struct touching touching = {.scope = scope, .into = into, .flags = -1};

	return zone_changes_each_sorted(changes, keep_chain, &touching) || touch(scope, scope->apex, into) ||
	               zone_changes_each_sorted(changes, touch_changed, &touching)
	           ? -1
	           : 0;
}

/* What the touched names are in the new version. */
static int find_after(struct scope *scope)
{
	scope->proved = calloc(scope->version->name_count + 1, sizeof(*scope->proved));
	if (!scope->proved)
		return -1;
	for (size_t i = 0; i < scope->version->name_count; i++) {
		const struct zone_name *name = &scope->version->names[i];
		struct scope_record *record = &scope->proved[scope->proved_count];

		scope_find(scope, name->owner)->after = name;
		for (size_t j = 0; j < name->rrset_count; j++)
			scope->records += name->rrsets[j].count;
		if (scope->head->denial != PG_DENIAL_NSEC3 || !denial_find_record(&scope->chain, name) ||
		    name->labels != scope->version->names[0].labels + 1 ||
		    !denial_hash_of_owner(name->owner, &record->hash))
			continue;
		record->owner = name->owner;
		scope->proved_count++;
	}
	/* Whether one is occluded depends on others: after all are known. */
	for (size_t i = 0; i < scope->count; i++)
		if (scope->names[i].touched)
			scope->names[i].data_after = has_data_after(scope, &scope->names[i]);
	return 0;
}

/* Reads back the names that are not touched. */
static int read_others(struct scope *scope, char *why, size_t why_size)
{
	struct zone_builder *others = zone_builder_new(scope->apex, 0);
	int result = others ? 0 : -1;

	for (size_t i = 0; i < scope->count && !result; i++)
		if (!scope->names[i].touched)
			result = read_name(scope, &scope->names[i], others);
	if (result) {
		if (others)
			zone_builder_free(others);
		return -1;
	}
	scope->version = zone_join(scope->version, others, why, why_size);
	return scope->version ? 0 : -1;
}

static void begin(struct scope *scope, const struct image *image, uint32_t slot, pg_ref head, const uint8_t *apex)
{
	*scope = (struct scope){.image = image, .slot = slot, .data = &image->zone_data[slot]};
	scope->head = segments_at(&image->segments, head);
	scope->apex = apex;
	/* Where most of the zone changes, the whole way is the shorter one. */
	scope->limit = scope->data->roll.count / 2 + 256;
	scope->chain.iterations = scope->head->iterations;
	scope->chain.salt_length = scope->head->salt_length;
	memcpy(scope->chain.salt, scope->head->salt, scope->head->salt_length);
}

enum scope_result scope_make(struct scope *scope, const struct image *image, uint32_t slot, pg_ref head,
                             struct zone_changes *changes, char *why, size_t why_size)
{
	struct zone_builder *touched;

	begin(scope, image, slot, head, zone_changes_apex(changes));
	if (!scope->data->known || zone_changes_count(changes) / 2 > scope->limit)
		return SCOPE_TOO_FAR;
	touched = zone_builder_new(scope->apex, 0);
	if (!touched || read_touched(scope, changes, touched)) {
		if (touched)
			zone_builder_free(touched);
		return SCOPE_TOO_FAR;
	}
	scope->records = scope->data->records - zone_builder_count(touched);
	scope->version = zone_changes_apply_part(changes, touched, scope->records, why, why_size);
	if (!scope->version)
		return SCOPE_MISFIT;
	if (find_after(scope) || scope_concern(scope) || read_others(scope, why, why_size))
		return SCOPE_TOO_FAR;
	return SCOPE_MADE;
}

void scope_free(struct scope *scope)
{
	zone_unref(scope->version);
	free(scope->names);
	free(scope->table);
	free(scope->proved);
	free(scope->edits);
	free(scope->spans);
	free(scope->targets);
	while (scope->owned) {
		struct owned *next = scope->owned->next;

		free(scope->owned);
		scope->owned = next;
	}
}
