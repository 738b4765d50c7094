/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside concern.c and the files beside it: how a change spreads. All that return int return -1 when memory is short,
 * or the whole way has to be taken. */
#ifndef PEREGRINE_CONCERN_H
#define PEREGRINE_CONCERN_H

#include "engine/engine.h"
#include "publish/scope.h"

#include <libknot/libknot.h>

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

/* Makes room for one more element of `size` octets in the array that the pointer at `array` leads to. */
int spread_grow(void *array, size_t count, size_t *room, size_t size);

static inline const uint8_t *parent_of(const uint8_t *name)
{
	return name + name[0] + 1;
}

/* Adds what may be none. */
static inline int scope_add_any(struct scope *scope, const uint8_t *name)
{
	return !name || scope_add(scope, name) ? 0 : -1;
}

/* The wildcard below a name; false: there is no room for one. */
bool spread_put_wildcard(const uint8_t *name, uint8_t *wildcard);
/* Whether there is, or may be, a wildcard below a name, before or after. */
bool spread_has_wildcard(const struct scope *scope, const uint8_t *name, uint8_t *wildcard);

/* ---- concern_targets.c ---- */

/* Targets that are so for the first time, or no longer. */
int spread_targets(struct spread *spread);
/* Whether a name is a target in the new version. */
bool spread_is_target(const struct spread *spread, const uint8_t *name);
/* Targets that a wildcard gives their addresses depend on which names there are above them, and on the wildcard. */
int spread_wildcard_targets(struct spread *spread, const struct scope_name *name);
/* Lists those of the names that are compiled again. */
int spread_list_targets(struct spread *spread);

/* ---- concern_chains.c ---- */

/* What a name that is compiled again has to do with the chain. */
int spread_nsec(struct scope *scope, const struct scope_name *name);
int spread_nsec3(struct spread *spread, const struct scope_name *name);
/* When all names are known: takes in the spans, and puts the edits of trees in order. */
int spread_chains(struct spread *spread);

#endif
