/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The compiler: from the records of a zone version to the nodes and fragments of the image (bpf/image_shared.h).
 *
 * A plan lists the nodes that a zone version has, in canonical order: its names, the empty non-terminals between them,
 * not what is occluded by a delegation; then the targets whose addresses are wanted as additional data. Each is
 * compiled on its own, into the caller's buffer.
 */
#ifndef PEREGRINE_COMPILE_H
#define PEREGRINE_COMPILE_H

#include "image_shared.h"
#include "settings_shared.h"
#include "zone/zone.h"

/* One node to be. */
struct plan_entry {
	const uint8_t *name; /* wire format, lower case */
	uint8_t name_length;
	uint8_t flags;                /* enum pg_node_flag */
	const struct zone_name *data; /* NULL: an empty non-terminal */
	uint32_t wildcard; /* number of the entry that is the wildcard below this name, or 0 (the apex is 0) */
	/* Of a target: where its A and AAAA are; they may be a wildcard's. */
	const struct zone_rrset *addresses[2];
};

struct plan {
	const struct zone_version *zone;
	uint8_t apex_length;
	size_t count; /* all entries */
	size_t names; /* of these, PG_ROLE_NAME; the rest, targets, follow */
	struct plan_entry *entries;
	uint8_t *storage; /* of targets' names */
};

/* Makes the plan of a zone version, which must outlive it. Returns NULL when memory is short. */
struct plan *plan_new(const struct zone_version *zone);
void plan_free(struct plan *plan);

/* Where in the rdata of a type the name stands whose addresses are additional data (RFC 1035 section 3.3, RFC 2782, RFC
 * 9460), counted from 1; 0: nowhere. */
size_t compile_target_offset(uint16_t type);

/* What the compiled form depends on besides the records. */
struct compile_context {
	const struct plan *plan;
	const struct pg_settings *settings;
	uint32_t slot;
	uint32_t version; /* `since` of the nodes */
};

/* Where a node or head is compiled into: grown as needed, zeroed, freed by the caller. */
struct compile_buffer {
	uint8_t *octets;
	size_t length, room;
};

/*
 * Compiles entry `number`. `wildcard` is the reference of the wildcard below it, already in the image. The node's
 * `previous` is 0. Returns 0, or -1 with one line in `why` when the data cannot be represented: more than 64 KiB in an
 * RRset, or than a segment in a name.
 */
int compile_node(const struct compile_context *context, size_t number, pg_ref wildcard, struct compile_buffer *out,
                 char *why, size_t why_size);

/* Compiles the zone head. */
int compile_head(const struct compile_context *context, struct compile_buffer *out, char *why, size_t why_size);

/* Compiles the node that says a name is gone. `gone` is the node to be replaced. */
int compile_absence(const struct compile_context *context, const struct pg_node *gone, struct compile_buffer *out);

#endif
