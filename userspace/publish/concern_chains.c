/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a change spreads along the chain of NSEC or NSEC3 records. */
#include "publish/concern.h"

#include <stdlib.h>
#include <string.h>

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
	if (spread_grow(&scope->edits, scope->edit_count, &scope->edit_room, sizeof(*scope->edits)))
		return -1;
	scope->edits[scope->edit_count++] = edit;
	return 0;
}

/* A name has come or gone in a chain of NSEC. */
static int concern_chain(struct scope *scope, const uint8_t *name)
{
	const uint8_t *before, *behind;

	for (const uint8_t *at = name; !scope_is_apex(scope, at); at = parent_of(at))
		if (put_edit(scope, at))
			return -1;
	if (scope_before(scope, name, false, &before) || scope_behind(scope, name, &behind) ||
	    (before && scope_again(scope, before)))
		return -1;
	/* The empty non-terminals between the name and the next are proved by what comes before them. */
	while (behind && !scope_is_apex(scope, behind)) {
		behind = parent_of(behind);
		if (!scope_has_data(scope, behind) && scope_again(scope, behind))
			return -1;
	}
	return 0;
}

int spread_nsec(struct scope *scope, const struct scope_name *name)
{
	uint8_t wildcard[PG_NAME_ROOM];
	const uint8_t *before = NULL, *behind = NULL, *at = name->name;

	if (name->data_before != name->data_after && concern_chain(scope, at))
		return -1;
	/* The next name; what would prove that there is no wildcard below this one. */
	if (name->data_after && scope_behind(scope, at, &behind))
		return -1;
	if (spread_put_wildcard(at, wildcard) && scope_before(scope, wildcard, false, &before))
		return -1;
	return scope_add_any(scope, behind) || scope_add_any(scope, before) ? -1 : 0;
}

static int put_hash(uint64_t **hashes, size_t *count, size_t *room, uint64_t hash)
{
	if (spread_grow(hashes, *count, room, sizeof(**hashes)))
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
		    spread_grow(&scope->spans, scope->span_count, &scope->span_room, sizeof(*scope->spans)))
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
	/* Of two with the same hash, of which one has a node, the whole way takes care. */
	if (!before && scope_record(scope, hash))
		return -1;
	if (after && (scope_record_from(scope, hash + 1, &next) || scope_add_any(scope, next.owner)))
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

	if (!spread_put_wildcard(scope->apex, wildcard))
		return 0;
	return scope_record_before(scope, hash_of_name(scope, wildcard), &record) || scope_add_any(scope, record.owner)
	           ? -1
	           : 0;
}

int spread_nsec3(struct spread *spread, const struct scope_name *name)
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
	return scope_add_any(scope, record.owner) || (scope_is_apex(scope, name->name) && add_wildcard_cover(scope))
	           ? -1
	           : 0;
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

		if (scope_record_before(scope, start, &record) || scope_add_any(scope, record.owner))
			return -1;
		for (unsigned j = 0; j <= PG_SPAN_ENTRIES; j++) {
			if (scope_record_from(scope, at, &record) || !record.owner)
				return -1;
			/* Another span's, or around the end. */
			if (denial_span(order, record.hash) != scope->spans[i] || record.hash < at)
				break;
			if (scope_add_any(scope, record.owner))
				return -1;
			at = record.hash + 1;
		}
	}
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

int spread_chains(struct spread *spread)
{
	struct scope *scope = spread->scope;

	scope->proofs = scope->data->proofs + spread->more_records;
	if (!are_told(spread) ||
	    (scope->head->denial == PG_DENIAL_NSEC3 && denial_span_order(scope->proofs) != scope->head->span_order))
		return -1;
	sort_edits(scope);
	return add_spans(scope);
}
