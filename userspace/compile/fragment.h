/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the compiler: octets into a buffer, and RRsets into fragments. */
#ifndef PEREGRINE_COMPILE_FRAGMENT_H
#define PEREGRINE_COMPILE_FRAGMENT_H

#include "compile/compile.h"

#include <stdbool.h>

/* Makes room for `length` more octets, zeroed, and returns where they start, or NULL. */
uint8_t *buffer_extend(struct compile_buffer *buffer, size_t length);
/* The same, not cleared. */
int buffer_grow(struct compile_buffer *buffer, size_t length);
static inline uint8_t *buffer_take(struct compile_buffer *buffer, size_t length)
{
	if (length > buffer->room - buffer->length && buffer_grow(buffer, length))
		return NULL;
	buffer->length += length;
	return buffer->octets + buffer->length - length;
}

/* Fills up with zeros to whole units of so many octets, a power of two up to PG_UNIT. */
int buffer_align(struct compile_buffer *buffer, size_t unit);

/* How the owner name stands in a fragment's RRs. */
enum owner_form {
	OWNER_SNAME,  /* the searched name: a pointer to it */
	OWNER_SUFFIX, /* a suffix of the searched name (delegation, apex): a pointer to that */
	OWNER_SPELT,  /* some other name of the zone: its labels, and a pointer to the apex */
};

struct fragment_request {
	const struct zone_rrset *rrset;
	const struct zone_rrset *signatures; /* of the owner's RRsets, this one's among them; or NULL */
	uint16_t type;                       /* as the node's table has it; mostly the RRset's */
	uint32_t ttl;                        /* of the RRs and of their RRSIGs (RFC 4034 section 3) */
	enum owner_form form;
	const uint8_t *owner;
	const uint8_t *apex; /* of OWNER_SPELT */
	/* The name of which every suffix is known to be one of the searched name: names in rdata are compressed against
	 * it. */
	const uint8_t *context;
	/* For the additional section: the targets, `position` being the number of the RR that names each; the positions
	 * of their names are put in its place. */
	struct pg_target *targets;
	size_t target_count;
};

/* Appends the fragment of an RRset and its signatures, and says in `described` what the engine needs to know of it.
 * Returns 0, or -1 when it exceeds what a message can hold, or memory is short. */
int fragment_compile(const struct fragment_request *request, struct compile_buffer *out, struct pg_rrset *described);

/* The same of several RRsets without targets, each with its signatures, that are given together: the plain form is the
 * first one. */
int fragment_compile_all(const struct fragment_request *requests, size_t count, struct compile_buffer *out,
                         struct pg_rrset *described);

/* The ones'-complement sum of octets, folded to 16 bits (RFC 1071), as 16-bit words in the machine's order. */
uint16_t fragment_sum(const uint8_t *octets, size_t length);

#endif
