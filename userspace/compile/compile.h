/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The compiler: from the records of a zone version to the nodes and fragments of the image (bpf/image_shared.h).
 *
 * A plan lists the nodes that a zone version has, in canonical order: its names, the empty non-terminals between them,
 * not what is occluded by a delegation; then the targets whose addresses are wanted as additional data, NSEC3 records,
 * and what is kept without being served. Each is compiled on its own, into the caller's buffer.
 */
#ifndef PEREGRINE_COMPILE_H
#define PEREGRINE_COMPILE_H

#include "image_shared.h"
#include "settings_shared.h"
#include "zone/zone.h"

#include <stdbool.h>

/* One node to be. */
struct plan_entry {
	const uint8_t *name; /* wire format, lower case; of a span, its number as a word */
	uint8_t name_length;
	uint8_t role;                 /* enum pg_role */
	uint16_t flags;               /* enum pg_node_flag */
	bool again;                   /* to be compiled; in a part of a zone others stand around what is */
	bool names_targets;           /* of a name: its records ask for additional data of the zone's */
	const struct zone_name *data; /* NULL: an empty non-terminal, or a span */
	uint32_t wildcard; /* number of the entry that is the wildcard below this name, or 0 (the apex is 0) */
	uint32_t parent;   /* of a name: number of the entry one label up; the apex is its own */
	uint32_t children; /* of a name: entries one label below */
	uint32_t last;     /* of a name: number of the last entry at or below it */
	/* With PG_NODE_PROOFS, by enum pg_proof. NSEC: number of the entry whose NSEC is the proof, plus 1; 0: none.
	 * NSEC3: first 64 bits of the hash. */
	uint64_t proof[PG_PROOFS];
	/* Of an NSEC3 record, the first 64 bits of its owner's hash; of a span, its number. */
	uint64_t hash;
	const struct plan_span *span;
	/* Of a target: where its A and AAAA are; they may be a wildcard's. */
	const struct zone_rrset *addresses[2];
};

/* A span to be (struct pg_span): `count` hashes from number `first` on. */
struct plan_span {
	uint32_t number;
	uint32_t first, count;
};

/* How a zone version proves what does not exist: see denial.c. */
struct plan_denial {
	enum pg_denial kind;
	uint16_t iterations;
	uint8_t salt_length, span_order;
	uint8_t salt[UINT8_MAX];
	uint64_t *hashes; /* NSEC3: of all records, ascending */
	size_t hash_count;
	size_t first; /* the entry of the first of them; the others follow */
	struct plan_span *spans;
	/* NSEC: by entry, the last entry up to this one that has a usable NSEC, plus 1. */
	uint32_t *owners;
};

/*
 * A part of a zone: those names that are to be compiled again, and around them as many as it takes for these to come
 * out as they would of the whole zone (publish/scope.h).
 */
struct plan_part {
	/* Whether a name is to be compiled again. */
	bool (*again)(const void *context, const uint8_t *name);
	const void *context;
	const uint8_t *const
	    *targets; /* of these names, those that additional data is wanted for, in canonical order */
	size_t target_count;
	uint8_t span_order;    /* NSEC3: of the whole zone */
	const uint32_t *spans; /* the spans to be made, ascending */
	size_t span_count;
};

struct plan {
	const struct zone_version *zone;
	const struct plan_part *part; /* NULL: it is a whole zone */
	uint8_t apex_length;
	size_t count;       /* all entries */
	size_t names;       /* of these, PG_ROLE_NAME; the others follow */
	uint32_t all_names; /* of the zone */
	size_t room;
	struct plan_entry *entries;
	uint8_t *storage; /* of targets' names */
	struct plan_kept *kept;
	struct plan_denial denial;
	char fault[256]; /* what is wrong with the zone's signatures, in one line; empty: nothing was seen */
};

/* Makes the plan of a zone version, which must outlive it. Returns NULL when memory is short. */
struct plan *plan_new(const struct zone_version *zone);
/* The same of a part of a version, which begins with its apex. Signatures that are wrong around what is to be compiled
 * are no fault. */
struct plan *plan_new_part(const struct zone_version *zone, const struct plan_part *part);
void plan_free(struct plan *plan);

/* Where in the rdata of a type the name stands whose addresses are additional data (RFC 1035 section 3.3, RFC 2782, RFC
 * 9460), counted from 1; 0: nowhere. */
size_t compile_target_offset(uint16_t type);

/* Adds an entry at the end; NULL when memory is short. */
struct plan_entry *plan_add(struct plan *plan, enum pg_role role, const uint8_t *name, size_t length,
                            const struct zone_name *data);

/* The entry in the role NAME of a name. False: there is none. */
bool plan_find_entry(const struct plan *plan, const uint8_t *name, size_t *number);

/* Whether an RRset of that name has a signature. */
bool plan_is_signed(const struct zone_name *name, uint16_t type);

/* Looks how the zone denies existence and what is wrong with it; adds the NSEC3 records to the plan. Returns -1 when
 * memory is short. */
int denial_plan(struct plan *plan);
void denial_free(struct plan_denial *denial);

/* Adds what no other entry holds, so that the image holds every record of the zone. Returns -1 when memory is short. */
int kept_plan(struct plan *plan);
void kept_free(struct plan_kept *kept);

/* Whether an RRset is served at a name with these flags. */
bool plan_is_served(uint16_t flags, uint16_t type);

/* What a name is for those below it: PG_NODE_DELEGATION or PG_NODE_DNAME, or 0. Not of the apex. */
uint16_t plan_cut(const struct zone_name *name);

/* The first 64 bits of the hash that an NSEC3 record's owner begins with; false: it is none. */
bool denial_hash_of_owner(const uint8_t *owner, uint64_t *hash);
/* The record of the chain in an NSEC3 RRset, behind its length, or NULL. */
const uint8_t *denial_find_record(const struct plan_denial *denial, const struct zone_name *name);
/* How many of the chain's hashes are less. */
size_t denial_rank(const struct plan_denial *denial, uint64_t hash);
/* How many bits number the spans of that many records. */
uint8_t denial_span_order(size_t records);
/* The span that a hash belongs to. */
static inline uint32_t denial_span(uint8_t order, uint64_t hash)
{
	return order ? hash >> (64 - order) : 0;
}

/* Whether a name is there for its NSEC3 records alone (RFC 5155 section 7.2.8: it does not exist). */
bool denial_is_nsec3_owner(const struct zone_name *name);

/* What the compiled form depends on besides the records. */
struct compile_context {
	const struct plan *plan;
	const struct pg_settings *settings;
	uint32_t slot;
	uint32_t version; /* `since` of the nodes */
	/* What is in the image already, by entry: wildcards; of names, the trees of those below them. */
	const pg_ref *nodes, *trees;
};

/* Where a node or head is compiled into: grown as needed, zeroed, freed by the caller. */
struct compile_buffer {
	uint8_t *octets;
	size_t length, room;
};

/*
 * Compiles entry `number`. The node's `previous` is 0. Returns 0, or -1 with one line in `why` when the data cannot be
 * represented: more than 64 KiB in an RRset, or than a segment in a name.
 */
int compile_node(const struct compile_context *context, size_t number, struct compile_buffer *out, char *why,
                 size_t why_size);

/* Where the labels of an ordered block (struct pg_order) stand. */
static inline const uint16_t *order_labels(const struct pg_order *order)
{
	return (const uint16_t *)(order->entry + order->count);
}
static inline const uint8_t *order_label(const struct pg_order *order, size_t number)
{
	return (const uint8_t *)order + order_labels(order)[number];
}

/* One label of a block that is to be, with what it leads to. */
struct order_label {
	const uint8_t *label; /* length and octets */
	uint64_t last;        /* of a leaf */
	pg_ref below;         /* else */
};

/* The labels one below entry `number` of a plan with PG_DENIAL_NSEC, in order; freed by the caller. NULL when memory is
 * short. */
struct order_label *compile_order_labels(const struct compile_context *context, size_t number);

/* Compiles one block of `count` labels, at most PG_ORDER_ENTRIES. Returns -1 when memory is short. */
int compile_order_block(const struct order_label *labels, size_t count, bool leaf, struct compile_buffer *out);

/* Compiles the zone head. */
int compile_head(const struct compile_context *context, struct compile_buffer *out, char *why, size_t why_size);

/* Compiles the node that says a name is gone. `gone` is the node to be replaced. */
int compile_absence(const struct compile_context *context, const struct pg_node *gone, struct compile_buffer *out);

#endif
