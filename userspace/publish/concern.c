/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules by which a change spreads: for each name that is to be compiled again, what its nodes depend on, and whose
 * nodes depend on it. Where a rule would have to know more than the image tells, the whole way is taken.
 */
#include "publish/concern.h"

#include <stdlib.h>
#include <string.h>

int spread_grow(void *array, size_t count, size_t *room, size_t size)
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

bool spread_put_wildcard(const uint8_t *name, uint8_t *wildcard)
{
	size_t length = knot_dname_size(name);

	if (length > PG_NAME_MAX - 2)
		return false;
	wildcard[0] = 1;
	wildcard[1] = '*';
	memcpy(wildcard + 2, name, length);
	return true;
}

bool spread_has_wildcard(const struct scope *scope, const uint8_t *name, uint8_t *wildcard)
{
	return spread_put_wildcard(name, wildcard) &&
	       (scope_find(scope, wildcard) || (scope->data->wildcards && scope_node(scope, PG_ROLE_NAME, wildcard)));
}

/* Takes in the wildcard below a name, if there is one. */
static int add_wildcard(struct scope *scope, const uint8_t *name)
{
	uint8_t wildcard[PG_NAME_ROOM];
	const uint8_t *below;

	if (!spread_has_wildcard(scope, name, wildcard))
		return 0;
	if (!scope_add(scope, wildcard))
		return -1;
	if (scope_has_data(scope, wildcard))
		return 0;
	/* It may be there for names below it. */
	return scope_behind(scope, wildcard, &below) || scope_add_any(scope, below) ? -1 : 0;
}

static int concern_name(struct spread *spread, struct scope_name name)
{
	struct scope *scope = spread->scope;
	bool nsec = scope->head->denial == PG_DENIAL_NSEC;
	const uint8_t *before = NULL, *behind = NULL;

	if (add_wildcard(scope, name.name) || (knot_dname_is_wildcard(name.name) && !scope_is_apex(scope, name.name) &&
	                                       scope_again(scope, parent_of(name.name))))
		return -1;
	/* Names beside it tell whether there are names below it, or below those above. */
	if (!name.data_after && (spread_is_target(spread, name.name) || name.before) &&
	    (scope_before(scope, name.name, false, &before) || scope_add_any(scope, before) ||
	     scope_behind(scope, name.name, &behind) || scope_add_any(scope, behind)))
		return -1;
	for (const uint8_t *at = name.name; name.data_before != name.data_after && !scope_is_apex(scope, at);) {
		const struct scope_name *above;

		at = parent_of(at);
		above = scope_find(scope, at);
		if ((nsec || !(above->data_before && above->data_after)) && scope_again(scope, at))
			return -1;
	}
	for (const uint8_t *at = name.name;
	     !name.data_after && spread_is_target(spread, name.name) && !scope_is_apex(scope, at);) {
		at = parent_of(at);
		if (add_wildcard(scope, at))
			return -1;
	}
	if (spread_wildcard_targets(spread, &name))
		return -1;
	if (nsec)
		return spread_nsec(scope, &name);
	return scope->head->denial == PG_DENIAL_NSEC3 ? spread_nsec3(spread, &name) : 0;
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

int scope_concern(struct scope *scope)
{
	struct spread spread = {.scope = scope};
	int result =
	    spread_targets(&spread) || spread_names(&spread) || spread_chains(&spread) || spread_list_targets(&spread)
	        ? -1
	        : 0;

	free(spread.namings);
	free(spread.moved);
	free(spread.hashes);
	return result;
}
