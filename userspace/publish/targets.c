/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/targets.h"
#include "compile/node.h"

#include <stdlib.h>

/* The slot of a hash, or the free one where it would stand. */
static struct target *find(const struct targets *targets, uint64_t hash)
{
	size_t at = (hash >> 7) & (targets->room - 1);

	while (targets->slots[at].hash && targets->slots[at].hash != hash)
		at = (at + 1) & (targets->room - 1);
	return &targets->slots[at];
}

/* A hash of 0 would mean a free slot. */
static uint64_t key_of(uint64_t hash)
{
	return hash ? hash : 1;
}

static int grow(struct targets *targets)
{
	struct targets grown = {.room = 4, .used = targets->named, .named = targets->named};

	while (grown.room < targets->named * 4)
		grown.room *= 2;
	grown.slots = calloc(grown.room, sizeof(*grown.slots));
	if (!grown.slots)
		return -1;
	for (size_t i = 0; i < targets->room; i++)
		if (targets->slots[i].count)
			*find(&grown, targets->slots[i].hash) = targets->slots[i];
	free(targets->slots);
	*targets = grown;
	return 0;
}

uint64_t targets_count(const struct targets *targets, uint64_t hash)
{
	return targets->room ? find(targets, key_of(hash))->count : 0;
}

int targets_add(struct targets *targets, uint64_t hash)
{
	struct target *target;

	if ((targets->used + 1) * 2 > targets->room && grow(targets))
		return -1;
	target = find(targets, key_of(hash));
	targets->used += !target->hash;
	target->hash = key_of(hash);
	targets->named += !target->count++;
	return 0;
}

void targets_remove(struct targets *targets, uint64_t hash)
{
	struct target *target = targets->room ? find(targets, key_of(hash)) : NULL;

	if (target && target->count)
		targets->named -= !--target->count;
}

void targets_free(struct targets *targets)
{
	free(targets->slots);
	*targets = (struct targets){};
}

int targets_each(const struct pg_node *node, int (*found)(void *context, uint64_t hash), void *context)
{
	for (uint16_t i = 0; i < node->rrsets; i++) {
		const struct pg_rrset *rrset = &node_rrsets(node)[i];
		const uint8_t *start = (const uint8_t *)node + (size_t)rrset->fragment * PG_UNIT;
		const struct pg_target *targets = (const struct pg_target *)(start + pg_targets_at(rrset));

		for (uint16_t j = 0; j < rrset->additional; j++) {
			int result = found(context, targets[j].hash);

			if (result)
				return result;
		}
	}
	return 0;
}
