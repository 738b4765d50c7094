/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules by which a change spreads: for each name that is to be compiled again, what its nodes depend on, and whose
 * nodes depend on it. Where a rule would have to know more than the image tells, the whole way is taken.
 */
#include "engine/engine.h"
#include "publish/scope.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* A target of additional data that is named more often, or less, than before. */
struct naming {
	uint64_t hash;
	const uint8_t *name; /* NULL: not told */
	int64_t more;
};

/* While the rules are followed. */
struct spread {
	struct scope *scope;
	struct naming *namings; /* by hash */
	size_t naming_count, naming_room;
	uint64_t *moved; /* hashes of NSEC3 records that come or go */
	size_t moved_count, moved_room;
	uint64_t *hashes; /* of names to be compiled again */
	size_t hash_count, hash_room;
	int64_t more_records; /* of NSEC3 */
};

/* Makes room for one more element. */
static int grow(void *array, size_t count, size_t *room, size_t size)
{
	void **elements = array, *grown;
	size_t next = *room ? *room * 2 : 64;

	if (count < *room)
		return 0;
	grown = realloc(*elements, next * size);
	if (!grown)
		return -1;
	*elements = grown;
	*room = next;
	return 0;
}

static bool is_apex(const struct scope *scope, const uint8_t *name)
{
	return knot_dname_is_equal(name, scope->apex);
}

static const uint8_t *parent_of(const uint8_t *name)
{
	return name + name[0] + 1;
}

static bool is_wildcard(const uint8_t *name)
{
	return name[0] == 1 && name[1] == '*';
}

/* Adds what may be none. */
static int add(struct scope *scope, const uint8_t *name)
{
	return !name || scope_add(scope, name) ? 0 : -1;
}

/* ---- wildcards ---- */

/* The wildcard below a name; false: there is no room for one. */
static bool put_wildcard(const uint8_t *name, uint8_t *wildcard)
{
	size_t length = knot_dname_size(name);

	if (length > PG_NAME_MAX - 2)
		return false;
	wildcard[0] = 1;
	wildcard[1] = '*';
	memcpy(wildcard + 2, name, length);
	return true;
}

/* Whether there is, or may be, a wildcard below a name, before or after. */
static bool has_wildcard(const struct scope *scope, const uint8_t *name, uint8_t *wildcard)
{
	return put_wildcard(name, wildcard) &&
	       (scope_find(scope, wildcard) || (scope->data->wildcards && scope_node(scope, PG_ROLE_NAME, wildcard)));
}

/* Takes in the wildcard below a name, if there is one. */
static int add_wildcard(struct scope *scope, const uint8_t *name)
{
	uint8_t wildcard[PG_NAME_ROOM];
	const uint8_t *below;

	if (!has_wildcard(scope, name, wildcard))
		return 0;
	if (!scope_add(scope, wildcard))
		return -1;
	if (scope_has_data(scope, wildcard))
		return 0;
	/* It may be there for names below it. */
	return scope_behind(scope, wildcard, &below) || add(scope, below) ? -1 : 0;
}

/* ---- targets of additional data ---- */

static int put_naming(struct spread *spread, uint64_t hash, const uint8_t *name, int more)
{
	if (grow(&spread->namings, spread->naming_count, &spread->naming_room, sizeof(*spread->namings)))
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
static bool is_target(const struct spread *spread, const uint8_t *name)
{
	const struct naming key = {.hash = hash_of_target(spread->scope, name)};
	const struct naming *naming =
	    spread->naming_count ? bsearch(&key, spread->namings, spread->naming_count, sizeof(key), compare_namings)
	                         : NULL;

	return targets_count(&spread->scope->data->targets, key.hash) + (naming ? naming->more : 0) > 0;
}

/* Targets that are so for the first time, or no longer. */
static int concern_targets(struct spread *spread)
{
	struct scope *scope = spread->scope;

	for (size_t i = 0; i < scope->count; i++) {
		const struct scope_name *name = &scope->names[i];
		const struct pg_node *node = name->touched ? name->before : NULL;
		uint16_t cut = name->after && !is_apex(scope, name->name) ? plan_cut(name->after) : 0;

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
static int concern_wildcard_targets(struct spread *spread, const struct scope_name *name)
{
	struct scope *scope = spread->scope;
	uint16_t cut = name->after && !is_apex(scope, name->name) ? plan_cut(name->after) : 0;
	bool wild = is_wildcard(name->name) && name->touched;
	const uint8_t *top = name->name;
	uint8_t wildcard[PG_NAME_ROOM];

	if (!wild && name->data_before == name->data_after && !(name->touched && cut != cut_before(name)))
		return 0;
	for (const uint8_t *above = name->name; !is_apex(scope, above) && !wild;) {
		above = parent_of(above);
		wild = has_wildcard(scope, above, wildcard);
	}
	if (!wild || !scope->data->targets.named)
		return 0;
	/* Those that have no addresses cannot be listed. */
	if (scope->data->targets.named > scope->data->addresses) {
		scope->too_far = true;
		return -1;
	}
	/* Empty non-terminals come and go with what is below them. */
	while (!is_apex(scope, parent_of(top))) {
		const struct scope_name *above = scope_find(scope, parent_of(top));

		if (!above || (above->data_before && above->data_after))
			break;
		top = above->name;
	}
	return concern_targets_below(scope, is_wildcard(top) ? parent_of(top) : top);
}

/* ---- chains ---- */

static int put_edit(struct scope *scope, const uint8_t *name)
{
	struct scope_edit edit = {.name = name, .gone = true};
	const uint8_t *last;

	if (scope_before(scope, name, true, &last))
		return -1;
	if (last && knot_dname_in_bailiwick(last, name) >= 0) {
		edit.gone = false;
		edit.last = engine_hash(scope->image->settings, PG_ROLE_NAME, scope->slot, last, knot_dname_size(last));
	}
	if (grow(&scope->edits, scope->edit_count, &scope->edit_room, sizeof(*scope->edits)))
		return -1;
	scope->edits[scope->edit_count++] = edit;
	return 0;
}

/* A name has come or gone in a chain of NSEC. */
static int concern_chain(struct scope *scope, const uint8_t *name)
{
	const uint8_t *before, *behind;

	for (const uint8_t *at = name; !is_apex(scope, at); at = parent_of(at))
		if (put_edit(scope, at))
			return -1;
	if (scope_before(scope, name, false, &before) || scope_behind(scope, name, &behind) ||
	    (before && scope_again(scope, before)))
		return -1;
	/* The empty non-terminals between the name and the next are proved by what comes before them. */
	while (behind && !is_apex(scope, behind)) {
		behind = parent_of(behind);
		if (!scope_has_data(scope, behind) && scope_again(scope, behind))
			return -1;
	}
	return 0;
}

static int concern_nsec(struct scope *scope, const struct scope_name *name)
{
	uint8_t wildcard[PG_NAME_ROOM];
	const uint8_t *before = NULL, *behind = NULL, *at = name->name;

	if (name->data_before != name->data_after && concern_chain(scope, at))
		return -1;
	/* The next name; what would prove that there is no wildcard below this one. */
	if (name->data_after && scope_behind(scope, at, &behind))
		return -1;
	if (put_wildcard(at, wildcard) && scope_before(scope, wildcard, false, &before))
		return -1;
	return add(scope, behind) || add(scope, before) ? -1 : 0;
}

static int put_hash(uint64_t **hashes, size_t *count, size_t *room, uint64_t hash)
{
	if (grow(hashes, *count, room, sizeof(**hashes)))
		return -1;
	(*hashes)[(*count)++] = hash;
	return 0;
}

/* All spans that a record which comes or goes stands in, or before. */
static int put_spans(struct spread *spread, uint64_t hash)
{
	struct scope *scope = spread->scope;
	uint8_t order = scope->head->span_order;
	uint32_t span = denial_span(order, hash), last;
	struct scope_record next;

	if (scope_record_from(scope, hash + 1, &next) || !next.owner)
		return -1;
	last = denial_span(order, next.hash);
	for (size_t i = 0;; i++) {
		if (i > PG_SPAN_ENTRIES ||
		    grow(&scope->spans, scope->span_count, &scope->span_room, sizeof(*scope->spans)))
			return -1;
		scope->spans[scope->span_count++] = span;
		if (span == last)
			return 0;
		span = (span + 1) & (((uint32_t)1 << order) - 1);
	}
}

/* A name that is an NSEC3 record's, before or after. */
static int concern_record(struct spread *spread, const struct scope_name *name, uint64_t hash)
{
	struct scope *scope = spread->scope;
	bool before = scope_node(scope, PG_ROLE_NSEC3, name->name) != 0;
	bool after = name->touched ? name->after && denial_find_record(&scope->chain, name->after) : before;
	const uint8_t *owner = name->name;
	struct scope_record next, last;

	if (!before && !after)
		return 0;
	if (after && (scope_record_from(scope, hash + 1, &next) || add(scope, next.owner)))
		return -1;
	if (before == after)
		return 0;
	spread->more_records += after ? 1 : -1;
	return put_hash(&spread->moved, &spread->moved_count, &spread->moved_room, hash) || put_spans(spread, hash) ||
	               scope_record_before(scope, hash, &last) || !last.owner || last.owner == owner ||
	               scope_again(scope, last.owner)
	           ? -1
	           : 0;
}

static uint64_t hash_of_name(const struct scope *scope, const uint8_t *name)
{
	return engine_nsec3_hash(scope->chain.iterations, scope->chain.salt, scope->chain.salt_length, name,
	                         knot_dname_size(name));
}

/* The record that proves that there is no wildcard below the apex stands in the head. */
static int add_wildcard_cover(struct scope *scope)
{
	uint8_t wildcard[PG_NAME_ROOM];
	struct scope_record record;

	if (!put_wildcard(scope->apex, wildcard))
		return 0;
	return scope_record_before(scope, hash_of_name(scope, wildcard), &record) || add(scope, record.owner) ? -1 : 0;
}

static int concern_nsec3(struct spread *spread, const struct scope_name *name)
{
	struct scope *scope = spread->scope;
	struct scope_record record;
	uint64_t hash;

	if (name->length == knot_dname_size(scope->apex) + 33U && denial_hash_of_owner(name->name, &hash) &&
	    concern_record(spread, name, hash))
		return -1;
	/* A record's owner is no name. */
	if (name->touched && name->after && denial_is_nsec3_owner(name->after))
		return 0;
	hash = hash_of_name(scope, name->name);
	if (put_hash(&spread->hashes, &spread->hash_count, &spread->hash_room, hash) ||
	    scope_record_from(scope, hash, &record))
		return -1;
	if (record.hash != hash && scope_record_before(scope, hash, &record))
		return -1;
	return add(scope, record.owner) || (is_apex(scope, name->name) && add_wildcard_cover(scope)) ? -1 : 0;
}

/* ---- all of it ---- */

static int concern_name(struct spread *spread, struct scope_name name)
{
	struct scope *scope = spread->scope;
	bool nsec = scope->head->denial == PG_DENIAL_NSEC;
	const uint8_t *before = NULL, *behind = NULL;

	if (add_wildcard(scope, name.name) ||
	    (is_wildcard(name.name) && !is_apex(scope, name.name) && scope_again(scope, parent_of(name.name))))
		return -1;
	/* Names beside it tell whether there are names below it, or below those above. */
	if (!name.data_after && (is_target(spread, name.name) || name.before) &&
	    (scope_before(scope, name.name, false, &before) || add(scope, before) ||
	     scope_behind(scope, name.name, &behind) || add(scope, behind)))
		return -1;
	for (const uint8_t *at = name.name; name.data_before != name.data_after && !is_apex(scope, at);) {
		const struct scope_name *above;

		at = parent_of(at);
		above = scope_find(scope, at);
		if ((nsec || !(above->data_before && above->data_after)) && scope_again(scope, at))
			return -1;
	}
	for (const uint8_t *at = name.name; !name.data_after && is_target(spread, name.name) && !is_apex(scope, at);) {
		at = parent_of(at);
		if (add_wildcard(scope, at))
			return -1;
	}
	if (concern_wildcard_targets(spread, &name))
		return -1;
	if (nsec)
		return concern_nsec(scope, &name);
	return scope->head->denial == PG_DENIAL_NSEC3 ? concern_nsec3(spread, &name) : 0;
}

static int compare_hashes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* A record that comes or goes tells of a name that it exists: that name has to be among those compiled again. */
static bool are_told(struct spread *spread)
{
	if (spread->hash_count)
		qsort(spread->hashes, spread->hash_count, sizeof(uint64_t), compare_hashes);
	for (size_t i = 0; i < spread->moved_count; i++)
		if (!spread->hash_count ||
		    !bsearch(&spread->moved[i], spread->hashes, spread->hash_count, sizeof(uint64_t), compare_hashes))
			return false;
	return true;
}

static int compare_spans(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

/* Takes in the records of the spans that are to be made, and the one before each. */
static int add_spans(struct scope *scope)
{
	uint8_t order = scope->head->span_order;
	size_t kept = 0;

	if (scope->span_count)
		qsort(scope->spans, scope->span_count, sizeof(*scope->spans), compare_spans);
	for (size_t i = 0; i < scope->span_count; i++)
		if (!kept || scope->spans[kept - 1] != scope->spans[i])
			scope->spans[kept++] = scope->spans[i];
	scope->span_count = kept;
	for (size_t i = 0; i < scope->span_count; i++) {
		uint64_t start = order ? (uint64_t)scope->spans[i] << (64 - order) : 0, at = start;
		struct scope_record record;

		if (scope_record_before(scope, start, &record) || add(scope, record.owner))
			return -1;
		for (unsigned j = 0; j <= PG_SPAN_ENTRIES; j++) {
			if (scope_record_from(scope, at, &record) || !record.owner)
				return -1;
			/* Another span's, or around the end. */
			if (denial_span(order, record.hash) != scope->spans[i] || record.hash < at)
				break;
			if (add(scope, record.owner))
				return -1;
			at = record.hash + 1;
		}
	}
	return 0;
}

static int compare_names(const void *left, const void *right)
{
	return zone_compare_names(*(const uint8_t *const *)left, *(const uint8_t *const *)right);
}

static int list_targets(struct spread *spread)
{
	struct scope *scope = spread->scope;

	scope->targets = calloc(scope->count + 1, sizeof(*scope->targets));
	if (!scope->targets)
		return -1;
	for (size_t i = 0; i < scope->count; i++)
		if (scope->names[i].again && is_target(spread, scope->names[i].name))
			scope->targets[scope->target_count++] = scope->names[i].name;
	if (scope->target_count)
		qsort(scope->targets, scope->target_count, sizeof(*scope->targets), compare_names);
	return 0;
}

/* By parent, then by label: the order in which trees are edited. */
static int compare_edits(const void *left, const void *right)
{
	const struct scope_edit *a = left, *b = right;
	int order = zone_compare_names(parent_of(a->name), parent_of(b->name));

	return order ? order : zone_compare_names(a->name, b->name);
}

static void sort_edits(struct scope *scope)
{
	size_t kept = 0;

	if (scope->edit_count)
		qsort(scope->edits, scope->edit_count, sizeof(*scope->edits), compare_edits);
	for (size_t i = 0; i < scope->edit_count; i++)
		if (!kept || !knot_dname_is_equal(scope->edits[kept - 1].name, scope->edits[i].name))
			scope->edits[kept++] = scope->edits[i];
	scope->edit_count = kept;
}

static int spread_names(struct spread *spread)
{
	struct scope *scope = spread->scope;

	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < scope->count; i++) {
			if (!scope->names[i].again || scope->names[i].done)
				continue;
			scope->names[i].done = more = true;
			if (concern_name(spread, scope->names[i]))
				return -1;
		}
	}
	return 0;
}

static int finish(struct spread *spread)
{
	struct scope *scope = spread->scope;

	scope->proofs = scope->data->proofs + spread->more_records;
	if (!are_told(spread) ||
	    (scope->head->denial == PG_DENIAL_NSEC3 && denial_span_order(scope->proofs) != scope->head->span_order))
		return -1;
	sort_edits(scope);
	return add_spans(scope) || list_targets(spread) ? -1 : 0;
}

int scope_concern(struct scope *scope)
{
	struct spread spread = {.scope = scope};
	int result = concern_targets(&spread) || spread_names(&spread) || finish(&spread) ? -1 : 0;

	free(spread.namings);
	free(spread.moved);
	free(spread.hashes);
	return result;
}
