/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a catalog is once it has been read: finding, comparing. */
#include "catalog/catalog_internal.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 65536

void *catalog_take(struct catalog *catalog, size_t size)
{
	struct catalog_chunk *chunk = catalog->chunks;
	void *taken;

	size = (size + 7) & ~(size_t)7;
	if (!chunk || chunk->room - chunk->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct catalog_chunk){.next = catalog->chunks, .room = room};
		catalog->chunks = chunk;
	}
	taken = chunk->octets + chunk->used;
	chunk->used += size;
	return taken;
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	while (catalog->chunks) {
		struct catalog_chunk *next = catalog->chunks->next;

		free(catalog->chunks);
		catalog->chunks = next;
	}
	free(catalog->members);
	free(catalog);
}

static int compare_zone(const void *zone, const void *member)
{
	return zone_compare_names(zone, ((const struct catalog_member *)member)->zone);
}

const struct catalog_member *catalog_find(const struct catalog *catalog, const uint8_t *zone)
{
	if (!catalog || !catalog->count)
		return NULL;
	return bsearch(zone, catalog->members, catalog->count, sizeof(*catalog->members), compare_zone);
}

static bool same_id(const struct catalog_member *one, const struct catalog_member *other)
{
	return !memcmp(one->id, other->id, one->id[0] + 1U);
}

static bool same_name(const uint8_t *one, const uint8_t *other)
{
	return one && other ? knot_dname_is_equal(one, other) : one == other;
}

static bool same_groups(const struct catalog_group *one, const struct catalog_group *other)
{
	for (; one && other; one = one->next, other = other->next)
		if (one->length != other->length || memcmp(one->text, other->text, one->length) != 0)
			return false;
	return one == other;
}

static bool same_primaries(const struct catalog_primaries *one, const struct catalog_primaries *other)
{
	if (!one || !other || one->count != other->count)
		return one == other;
	for (size_t i = 0; i < one->count; i++)
		if (memcmp(&one->list[i].address, &other->list[i].address, sizeof(one->list[i].address)) != 0 ||
		    !same_name(one->list[i].key, other->list[i].key))
			return false;
	return true;
}

static bool same_member(const struct catalog_member *one, const struct catalog_member *other)
{
	return same_id(one, other) && same_name(one->coo, other->coo) && same_groups(one->groups, other->groups) &&
	       same_primaries(one->primaries, other->primaries);
}

const uint8_t **catalog_differences(const struct catalog *one, const struct catalog *other, size_t *count)
{
	size_t ones = one ? one->count : 0, others = other ? other->count : 0, i = 0, j = 0;
	const uint8_t **zones = calloc(ones + others + 1, sizeof(*zones));

	*count = 0;
	while (zones && (i < ones || j < others)) {
		int order = i == ones     ? 1
		            : j == others ? -1
		                          : zone_compare_names(one->members[i].zone, other->members[j].zone);

		if (order || !same_member(&one->members[i], &other->members[j]))
			zones[(*count)++] = order < 0 ? one->members[i].zone : other->members[j].zone;
		i += order <= 0;
		j += order >= 0;
	}
	return zones;
}
