/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/scope.h"
#include "compile/node.h"
#include "compile/readback.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

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

/* Whether a name is the owner of the NSEC3 record at a node. */
static bool is_owner(const struct scope *scope, const struct pg_node *node, const uint8_t *name)
{
	return !memcmp(node_label(node), name, name[0] + 1U) && scope_is_apex(scope, name + name[0] + 1);
}

pg_ref scope_record(const struct scope *scope, uint64_t hash)
{
	return image_find_hash(scope->image, scope->slot,
	                       engine_hash_number(scope->image->settings, PG_ROLE_NSEC3, scope->slot, hash));
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
	ref = scope_record(scope, hash);
	return ref && is_owner(scope, node_at(scope, ref), name) ? ref : 0;
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

static uint32_t *find_slot(const struct scope *scope, uint64_t hash, const uint8_t *name, size_t length)
{
	size_t at = hash & (scope->table_room - 1);

	for (; scope->table[at]; at = (at + 1) & (scope->table_room - 1)) {
		const struct scope_name *there = &scope->names[scope->table[at] - 1];

		if (there->hash == hash && there->length == length && !memcmp(there->name, name, length))
			break;
	}
	return &scope->table[at];
}

static bool is_number(const struct scope *scope, size_t number, const uint8_t *name, size_t length)
{
	return number < scope->count && scope->names[number].length == length &&
	       !memcmp(scope->names[number].name, name, length);
}

struct scope_name *scope_find(const struct scope *scope, const uint8_t *name)
{
	size_t length = knot_dname_size(name), number = *scope->guess;

	/* The apex is the first, and names are mostly asked for in the order in which they came. */
	if (is_number(scope, 0, name, length))
		return &scope->names[0];
	if (!is_number(scope, number, name, length) && !is_number(scope, ++number, name, length)) {
		number = *find_slot(scope, hash_of(scope, name, length), name, length);
		if (!number--)
			return NULL;
	}
	*scope->guess = number;
	return &scope->names[number];
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
		*find_slot(scope, names[i].hash, names[i].name, names[i].length) = i + 1;
	return 0;
}

/* Whether a name above, in the new version, cuts it off. */
static bool is_occluded(const struct scope *scope, const uint8_t *name)
{
	while (!scope_is_apex(scope, name)) {
		const struct scope_name *above;
		const struct pg_node *node;
		uint16_t cut;

		name += name[0] + 1;
		above = scope_find(scope, name);
		if (above && above->touched) {
			cut = above->after ? plan_cut(above->after) : 0;
			/* The apex is none, unless it is redirected. */
			if (scope_is_apex(scope, name))
				cut = zone_find_rrset(above->after, KNOT_RRTYPE_DNAME) ? PG_NODE_DNAME : 0;
		} else {
			node = above ? above->before : node_of(scope, PG_ROLE_NAME, name);
			cut = node ? node->flags & (PG_NODE_DELEGATION | PG_NODE_DNAME) : 0;
		}
		if (cut)
			return true;
	}
	return false;
}

bool scope_node_has_data(const struct scope *scope, const struct pg_node *node)
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
	return scope_node_has_data(scope, node_of(scope, PG_ROLE_NAME, name));
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
	there->data_before = there->data_after = scope_node_has_data(scope, there->before);
	*find_slot(scope, there->hash, name, length) = scope->count;
	return there;
}

struct scope_name *scope_add(struct scope *scope, const uint8_t *name)
{
	for (const uint8_t *above = name; !scope_is_apex(scope, above);) {
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
	bool cuts = change->type == KNOT_RRTYPE_DNAME ||
	            (change->type == KNOT_RRTYPE_NS && !scope_is_apex(scope, change->owner));

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

	if (change->type == KNOT_RRTYPE_NSEC3PARAM && scope_is_apex(touching->scope, change->owner))
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
	scope->living = calloc(scope->version->name_count + 1, sizeof(*scope->living));
	if (!scope->proved || !scope->living)
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
	for (size_t i = 0; i < scope->version->name_count; i++)
		if (scope_has_data(scope, scope->version->names[i].owner))
			scope->living[scope->living_count++] = scope->version->names[i].owner;
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
	scope->guess = &scope->guessed;
	scope->head = segments_at(&image->segments, head);
	scope->apex = apex;
	/* Where most of the zone changes, the whole way is the shorter one. */
	scope->limit = scope->data->roll.count / 2 + 4096;
	scope->chain.iterations = scope->head->iterations;
	scope->chain.salt_length = scope->head->salt_length;
	memcpy(scope->chain.salt, scope->head->salt, scope->head->salt_length);
}

enum scope_result scope_make(struct scope *scope, const struct image *image, uint32_t slot, pg_ref head,
                             struct zone_changes *changes, int64_t more, char *why, size_t why_size)
{
	struct zone_builder *touched;

	begin(scope, image, slot, head, zone_changes_apex(changes));
	if (zone_changes_count(changes) / 4 > scope->limit)
		return SCOPE_TOO_FAR;
	touched = zone_builder_new(scope->apex, 0);
	if (!touched || read_touched(scope, changes, touched)) {
		if (touched)
			zone_builder_free(touched);
		return SCOPE_TOO_FAR;
	}
	scope->records = scope->data->records + more - zone_builder_count(touched);
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
	free(scope->living);
	free(scope->passed);
	free(scope->edits);
	free(scope->spans);
	free(scope->targets);
	while (scope->owned) {
		struct owned *next = scope->owned->next;

		free(scope->owned);
		scope->owned = next;
	}
}
