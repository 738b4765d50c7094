/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/roll.h"
#include "compile/node.h"
#include "publish/segments.h"
#include "zone/zone.h"

#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

pg_ref roll_get(const struct roll *roll, struct roll_place place)
{
	return place.block < roll->block_count ? roll->blocks[place.block]->refs[place.at] : 0;
}

struct roll_place roll_next(const struct roll *roll, struct roll_place place)
{
	if (++place.at < roll->blocks[place.block]->count)
		return place;
	return (struct roll_place){.block = place.block + 1};
}

bool roll_previous(const struct roll *roll, struct roll_place *place)
{
	if (!place->at && !place->block)
		return false;
	if (!place->at) {
		place->block--;
		place->at = roll->blocks[place->block]->count;
	}
	place->at--;
	return true;
}

static uint32_t number_of(const uint8_t *name)
{
	uint32_t number;

	memcpy(&number, name, sizeof(number));
	return number;
}

/* Less, equal or greater than 0: the node at `ref` is before the key, is it, or is behind it. */
static int compare(const struct segments *segments, pg_ref ref, const struct roll_key *key)
{
	const struct pg_node *node = segments_at(segments, ref);
	const uint8_t *name = node_name(node);
	int order;

	if (node->role != key->role)
		return node->role < key->role ? -1 : 1;
	if (node->role == PG_ROLE_SPAN)
		return (number_of(name) > number_of(key->name)) - (number_of(name) < number_of(key->name));
	if (node->role == PG_ROLE_NSEC3)
		return memcmp(name, key->name, name[0] + 1U);
	order = zone_compare_names(name, key->name);
	if (key->below && order >= 0)
		return knot_dname_in_bailiwick(name, key->name) >= 0 ? -1 : 1;
	return order;
}

/* The first block whose first node is behind the key, counted from `low` on, whose first node is not. */
static size_t find_block(const struct segments *segments, const struct roll *roll, const struct roll_key *key,
                         size_t low)
{
	size_t high = low + 1, step = 1;

	while (high < roll->block_count && compare(segments, roll->blocks[high]->refs[0], key) <= 0) {
		low = high;
		high += step;
		step *= 2;
	}
	if (high > roll->block_count)
		high = roll->block_count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (compare(segments, roll->blocks[middle]->refs[0], key) <= 0)
			low = middle;
		else
			high = middle;
	}
	return high;
}

struct roll_place roll_find(const struct segments *segments, const struct roll *roll, const struct roll_key *key,
                            struct roll_place near)
{
	struct roll_place place = {};
	const struct roll_block *block;
	uint32_t low = 0, high;

	if (!roll->block_count)
		return place;
	if (near.block >= roll->block_count || compare(segments, roll->blocks[near.block]->refs[0], key) > 0)
		near.block = 0;
	place.block = find_block(segments, roll, key, near.block) - 1;
	block = roll->blocks[place.block];
	for (high = block->count; low < high;) {
		uint32_t middle = low + (high - low) / 2;

		if (compare(segments, block->refs[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	place.at = low;
	return low < block->count ? place : (struct roll_place){.block = place.block + 1};
}

/* Puts a new block in place `number`, for which there is room. */
static struct roll_block *add_block(struct roll *roll, size_t number, uint32_t room)
{
	struct roll_block *block = malloc(sizeof(*block) + room * sizeof(block->refs[0]));

	if (block && roll->block_count == roll->block_room) {
		size_t blocks = roll->block_room ? roll->block_room * 2 : 1;
		struct roll_block **grown = realloc(roll->blocks, blocks * sizeof(struct roll_block *));

		if (!grown) {
			free(block);
			return NULL;
		}
		roll->blocks = grown;
		roll->block_room = blocks;
	}
	if (!block)
		return NULL;
	*block = (struct roll_block){.room = room};
	memmove(&roll->blocks[number + 1], &roll->blocks[number],
	        (roll->block_count - number) * sizeof(struct roll_block *));
	roll->blocks[number] = block;
	roll->block_count++;
	return block;
}

/* Small zones have small blocks. */
static struct roll_block *grow_block(struct roll *roll, size_t number)
{
	struct roll_block *block = roll->blocks[number];
	uint32_t room = block->room * 2 < ROLL_BLOCK ? block->room * 2 : ROLL_BLOCK;

	if (block->count < block->room)
		return block;
	block = realloc(block, sizeof(*block) + room * sizeof(block->refs[0]));
	if (!block)
		return NULL;
	block->room = room;
	roll->blocks[number] = block;
	return block;
}

int roll_put(struct roll *roll, pg_ref ref)
{
	struct roll_block *last = roll->block_count ? roll->blocks[roll->block_count - 1] : NULL;

	if (!last || last->count == ROLL_BLOCK)
		last = add_block(roll, roll->block_count, roll->block_count ? ROLL_BLOCK : 4);
	else
		last = grow_block(roll, roll->block_count - 1);
	if (!last)
		return -1;
	last->refs[last->count++] = ref;
	roll->count++;
	return 0;
}

/* Cuts a full block in two halves; `place` stays where it was. */
static int split(struct roll *roll, struct roll_place *place)
{
	struct roll_block *block = roll->blocks[place->block];
	struct roll_block *other = add_block(roll, place->block + 1, ROLL_BLOCK);

	if (!other)
		return -1;
	other->count = block->count / 2;
	block->count -= other->count;
	memcpy(other->refs, &block->refs[block->count], other->count * sizeof(other->refs[0]));
	if (place->at > block->count) {
		place->at -= block->count;
		place->block++;
	}
	return 0;
}

int roll_insert(const struct segments *segments, struct roll *roll, pg_ref ref)
{
	const struct pg_node *node = segments_at(segments, ref);
	const struct roll_key key = {.role = node->role, .name = node_name(node)};
	struct roll_place place = roll_find(segments, roll, &key, (struct roll_place){});
	struct roll_block *block;

	if (!roll->block_count)
		return roll_put(roll, ref);
	/* Behind a block's last rather than before the next one's first. */
	if (!place.at && place.block) {
		place.block--;
		place.at = roll->blocks[place.block]->count;
	}
	if (roll->blocks[place.block]->count == ROLL_BLOCK && split(roll, &place))
		return -1;
	block = grow_block(roll, place.block);
	if (!block)
		return -1;
	memmove(&block->refs[place.at + 1], &block->refs[place.at], (block->count - place.at) * sizeof(block->refs[0]));
	block->refs[place.at] = ref;
	block->count++;
	roll->count++;
	return 0;
}

/* Whether the reference stands at a place or soon behind it, which is told without a look at any node. */
static bool is_near(const struct roll *roll, pg_ref ref, struct roll_place *place)
{
	for (size_t end = place->block + 2; place->block < end && place->block < roll->block_count; place->block++) {
		const struct roll_block *block = roll->blocks[place->block];

		for (; place->at < block->count; place->at++)
			if (block->refs[place->at] == ref)
				return true;
		place->at = 0;
	}
	return false;
}

/* Where the reference stands; behind the last if it does not. */
static struct roll_place find_ref(const struct segments *segments, const struct roll *roll, pg_ref ref,
                                  struct roll_place near)
{
	const struct pg_node *node = segments_at(segments, ref);
	const struct roll_key key = {.role = node->role, .name = node_name(node)};
	struct roll_place place = {};

	if (!roll->mixed) {
		place = roll_find(segments, roll, &key, near);
		return roll_get(roll, place) == ref ? place : (struct roll_place){.block = roll->block_count};
	}
	while (roll_get(roll, place) && roll_get(roll, place) != ref)
		place = roll_next(roll, place);
	return place;
}

void roll_replace(const struct segments *segments, struct roll *roll, pg_ref ref, pg_ref next, struct roll_place *near)
{
	struct roll_place place = near ? *near : (struct roll_place){};
	struct roll_block *block;

	if (!near || !is_near(roll, ref, &place))
		place = find_ref(segments, roll, ref, near ? *near : (struct roll_place){});
	if (place.block == roll->block_count)
		return;
	if (near)
		*near = place;
	block = roll->blocks[place.block];
	if (next) {
		block->refs[place.at] = next;
		return;
	}
	roll->count--;
	block->count--;
	memmove(&block->refs[place.at], &block->refs[place.at + 1], (block->count - place.at) * sizeof(block->refs[0]));
	if (block->count)
		return;
	free(block);
	roll->block_count--;
	memmove(&roll->blocks[place.block], &roll->blocks[place.block + 1],
	        (roll->block_count - place.block) * sizeof(struct roll_block *));
}

static int compare_nodes(const void *left, const void *right, void *segments)
{
	const struct pg_node *node = segments_at(segments, *(const pg_ref *)right);

	return compare(segments, *(const pg_ref *)left,
	               &(struct roll_key){.role = node->role, .name = node_name(node)});
}

int roll_sort(const struct segments *segments, struct roll *roll)
{
	pg_ref *refs;
	size_t count = 0;

	if (!roll->mixed)
		return 0;
	refs = malloc((roll->count + 1) * sizeof(*refs));
	if (!refs)
		return -1;
	for (size_t i = 0; i < roll->block_count; i++) {
		memcpy(refs + count, roll->blocks[i]->refs, roll->blocks[i]->count * sizeof(*refs));
		count += roll->blocks[i]->count;
	}
	qsort_r(refs, count, sizeof(*refs), compare_nodes, (void *)(uintptr_t)segments);
	count = 0;
	for (size_t i = 0; i < roll->block_count; i++) {
		memcpy(roll->blocks[i]->refs, refs + count, roll->blocks[i]->count * sizeof(*refs));
		count += roll->blocks[i]->count;
	}
	free(refs);
	roll->mixed = false;
	return 0;
}

void roll_free(struct roll *roll)
{
	for (size_t i = 0; i < roll->block_count; i++)
		free(roll->blocks[i]);
	free(roll->blocks);
	*roll = (struct roll){};
}
