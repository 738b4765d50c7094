/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How often the records of a zone name each target of additional data (NS, MX, SRV and the like), by the hash of the
 * target's key: as long as one does, its addresses stand in the image for it. Derived from the image, the publisher's
 * alone.
 */
#ifndef PEREGRINE_TARGETS_H
#define PEREGRINE_TARGETS_H

#include "image_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct targets {
	struct target {
		uint64_t hash; /* 0: free */
		uint64_t count;
	} * slots;
	size_t room;  /* of slots, a power of two */
	size_t used;  /* slots with a hash */
	size_t named; /* of these, with a count */
};

/* How often a target is named. */
uint64_t targets_count(const struct targets *targets, uint64_t hash);
/* Counts one more. Returns -1 when memory is short. */
int targets_add(struct targets *targets, uint64_t hash);
/* Counts one less. */
void targets_remove(struct targets *targets, uint64_t hash);
void targets_free(struct targets *targets);

/* Calls `found` with the hash of each target that a node's RRsets name; stops at what is not 0, and returns it. */
int targets_each(const struct pg_node *node, int (*found)(void *context, uint64_t hash), void *context);

#endif
