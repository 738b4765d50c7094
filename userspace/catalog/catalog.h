/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Catalog zones (RFC 9432), read: which zones a version of one lists, and what it says of them. Knows nothing of who
 * serves them. Schema version 2, with the properties `coo` and `group`, and of BIND's `primaries.ext`.
 */
#ifndef PEREGRINE_CATALOG_H
#define PEREGRINE_CATALOG_H

#include "zone/zone.h"

#include <stdbool.h>
#include <sys/socket.h>

/* A primary that the catalog itself names. */
struct catalog_primary {
	struct sockaddr_storage address; /* port 53 */
	const uint8_t *key;              /* name of a TSIG key, wire format, lower case; NULL: none */
};

struct catalog_primaries {
	struct catalog_primary *list;
	size_t count; /* 0: named, and none of them usable */
};

/* One value of the property `group`. */
struct catalog_group {
	const struct catalog_group *next;
	size_t length;
	const char *text; /* any octets */
};

struct catalog_member {
	const uint8_t *zone; /* wire format, lower case */
	const uint8_t *id;   /* its label in the catalog: length octet and octets, lower case */
	const uint8_t *coo;  /* the catalog that it may change over to, or NULL */
	const struct catalog_group *groups;
	const struct catalog_primaries *primaries; /* its own, or those of the whole catalog, or NULL */
};

struct catalog_chunk;

/* Immutable. */
struct catalog {
	uint32_t serial;
	size_t count;
	struct catalog_member *members; /* in canonical order of `zone`, no two alike */
	char warning[256];              /* the first of what was left out, and why; "" */
	unsigned warnings;
	struct catalog_chunk *chunks;
};

/* Reads a version. Returns NULL when it is a broken catalog, of which nothing may be used (section 5.1), with one line
 * in `why`. */
struct catalog *catalog_read(const struct zone_version *version, char *why, size_t why_size);
void catalog_free(struct catalog *catalog);

/* The member of that name (lower case), or NULL. */
const struct catalog_member *catalog_find(const struct catalog *catalog, const uint8_t *zone);

/*
 * The zones that one lists and the other does not, or of which they say different things; either may be NULL, and lists
 * none then. Returns an array of `*count` names, which belong to the two catalogs, to be freed; NULL when memory is
 * short.
 */
const uint8_t **catalog_differences(const struct catalog *one, const struct catalog *other, size_t *count);

#endif
