/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The roll of a zone: its nodes in order, by role, and within a role by name in canonical order (RFC 4034 section 6.1),
 * spans by number. It tells what stands beside a name, or below it, which the index does not. It is the publisher's
 * alone, derived from the image, and holds references, so that a node which is replaced or moved has to be replaced
 * here too.
 */
#ifndef PEREGRINE_ROLL_H
#define PEREGRINE_ROLL_H

#include "image_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segments;

#define ROLL_BLOCK 512 /* references, at most */

struct roll_block {
	uint32_t count, room;
	pg_ref refs[];
};

struct roll {
	struct roll_block **blocks; /* none is empty */
	size_t block_count, block_room;
	size_t count; /* of all references */
	bool mixed;   /* in no order yet: roll_put and roll_sort are all that may be done, besides reading */
};

/* A place in the roll; {} is the first. Stays good until the roll changes. */
struct roll_place {
	size_t block;
	uint32_t at;
};

/* The reference at a place, or 0 behind the last. */
pg_ref roll_get(const struct roll *roll, struct roll_place place);
struct roll_place roll_next(const struct roll *roll, struct roll_place place);
/* The place before; false: it was the first. */
bool roll_previous(const struct roll *roll, struct roll_place *place);

/* What is searched for. */
struct roll_key {
	uint8_t role;        /* enum pg_role */
	bool below;          /* behind the name and all that is below it, not the name */
	const uint8_t *name; /* in lower case; of an NSEC3 record at least its first label; of a span, its number as a
	                        word */
};

/* The first place whose node is not before the key. `near` is where the search begins, {} if nothing is known. */
struct roll_place roll_find(const struct segments *segments, const struct roll *roll, const struct roll_key *key,
                            struct roll_place near);

/* Adds at the end, unsorted. Returns -1 when memory is short, as roll_insert. */
int roll_put(struct roll *roll, pg_ref ref);
/* Puts what was added in order. Returns -1 when memory is short. */
int roll_sort(const struct segments *segments, struct roll *roll);

/* Puts a node where it belongs, of which there must be none of this role and name. */
int roll_insert(const struct segments *segments, struct roll *roll, pg_ref ref);
/* The node at `ref`, which must still be readable, is now at `next`, or gone, if that is 0. Nothing happens if it is
 * not in the roll. `near`, if not NULL, is where the search begins, and becomes where it ended: of several nodes in
 * order each is found near the one before. */
void roll_replace(const struct segments *segments, struct roll *roll, pg_ref ref, pg_ref next, struct roll_place *near);

void roll_free(struct roll *roll);

#endif
