/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a change of a zone concerns: the names whose nodes have to be compiled again, and around them those that what is
 * compiled depends on (docs/architecture.md, "Changes"). Names are of three kinds:
 *
 *   touched   their records may have changed
 *   again     what is compiled of them may have changed; the touched ones among them
 *   the rest  were read back because the others' nodes depend on them
 *
 * Whatever is said of the new version here is taken from the touched names' new records, and, for all other names, from
 * the image, where the version before stands.
 */
#ifndef PEREGRINE_SCOPE_H
#define PEREGRINE_SCOPE_H

#include "compile/compile.h"
#include "publish/image_internal.h"
#include "zone/change.h"

struct scope_name {
	const uint8_t *name; /* lower case */
	uint64_t hash;       /* of its key in the role NAME */
	uint8_t length;
	bool touched, again;
	bool done; /* the rules were followed */
	/* Of a touched name without data, once it is known: the nearest name with data behind it, and before. */
	struct {
		const uint8_t *name;
		bool known;
	} beside[2];
	bool data_before, data_after; /* has records that are not occluded */
	const struct pg_node
	    *before;   /* in the role NAME, in the version before, or NULL; good until something is written */
	uint8_t roles; /* bits, by enum pg_role, of the nodes that it has in the new version */
	const struct zone_name *after; /* of a touched one: its records in the new version, or NULL */
};

/* A change in the ordered tree of the names below one of the zone. */
struct scope_edit {
	const uint8_t *name; /* whose first label is put into its parent's tree, or taken out */
	bool gone;
	uint64_t last; /* index hash of the last name with an NSEC at or below it */
};

/* An NSEC3 record of the chain in use that the new version has. */
struct scope_record {
	uint64_t hash;
	const uint8_t *owner;
};

struct scope {
	const struct image *image;
	uint32_t slot;
	const struct image_zone *data;
	const struct pg_head *head; /* of the version before */
	const uint8_t *apex;
	struct plan_denial chain;     /* the parameters of its NSEC3 chain */
	struct zone_version *version; /* touched names; all of them once the scope is made */

	struct scope_name *names;
	size_t count, room;
	uint32_t *table; /* number of a name, plus 1, by hash */
	size_t table_room;
	size_t *guess, guessed;      /* which name was found last */
	size_t limit;                /* of names: beyond, the whole way is the shorter one */
	struct owned *owned;         /* names that stand nowhere else */
	struct scope_record *proved; /* NSEC3 records of touched names, by hash */
	size_t proved_count;
	const uint8_t **living; /* touched names with data, in order */
	size_t living_count;
	uint32_t *passed; /* names gone over in search of a neighbour */
	size_t passed_room;

	/* What comes out. */
	struct scope_edit *edits;
	size_t edit_count, edit_room;
	uint32_t *spans; /* numbers, ascending, each once */
	size_t span_count, span_room;
	const uint8_t **targets;
	size_t target_count;
	uint64_t proofs;  /* NSEC3 records of the new version */
	uint64_t records; /* of all of it */
	bool too_far;     /* it takes the whole way */
};

enum scope_result {
	SCOPE_MADE,
	SCOPE_TOO_FAR, /* the whole way has to be taken */
	SCOPE_MISFIT,  /* the changes do not lead on from the version; the reason is given */
};

/* Finds what `changes` concern, `head` being that of the version before; the zone grows by `more` records elsewhere.
 * All of the zone has to be known. Whatever comes out, scope_free has to follow.
 */
enum scope_result scope_make(struct scope *scope, const struct image *image, uint32_t slot, pg_ref head,
                             struct zone_changes *changes, int64_t more, char *why, size_t why_size);
void scope_free(struct scope *scope);

/* ---- inside: scope.c has the names, neighbours.c what stands beside them, concern.c the rules ---- */

/* All return -1 when memory is short, or the scope would become too large. */

static inline bool scope_is_apex(const struct scope *scope, const uint8_t *name)
{
	return knot_dname_is_equal(name, scope->apex);
}
/* Takes in a name, and those above it. NULL: it cannot be. What is returned moves when the next one is added. */
struct scope_name *scope_add(struct scope *scope, const uint8_t *name);
/* The same, to be compiled again. */
int scope_again(struct scope *scope, const uint8_t *name);
struct scope_name *scope_find(const struct scope *scope, const uint8_t *name);
/* The node of the version before of a name in one of the roles NAME, ADDRESSES, NSEC3 and KEPT, or 0. */
pg_ref scope_node(const struct scope *scope, enum pg_role role, const uint8_t *name);
/* The node of the version before of the NSEC3 record with that hash, or 0. */
pg_ref scope_record(const struct scope *scope, uint64_t hash);
/* A copy of a name that lasts as long as the scope. */
const uint8_t *scope_keep(struct scope *scope, const uint8_t *name);

/* Whether a node of the role NAME, or NULL, is there for records, not for names below it. */
bool scope_node_has_data(const struct scope *scope, const struct pg_node *node);
/* Whether the name has data in the new version that is not occluded. */
bool scope_has_data(const struct scope *scope, const uint8_t *name);

/* In *found the nearest name with data of the new version before `name` (or, if that is true, before what comes behind
 * all that is below it), or behind it; NULL if there is none. */
int scope_before(struct scope *scope, const uint8_t *name, bool below, const uint8_t **found);
int scope_behind(struct scope *scope, const uint8_t *name, const uint8_t **found);

/* The NSEC3 record of the new version with the least hash of at least `hash`, or the greatest below it, around the end
 * of all. Its owner is NULL if there is none at all. */
int scope_record_from(struct scope *scope, uint64_t hash, struct scope_record *found);
int scope_record_before(struct scope *scope, uint64_t hash, struct scope_record *found);

/* Follows the rules until nothing is added. */
int scope_concern(struct scope *scope);

#endif
