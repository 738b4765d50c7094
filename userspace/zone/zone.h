/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One version of a zone as records: what a transfer makes and what the compiler reads. Immutable once finished,
 * reference-counted, and short-lived: after compilation the image is the only copy of the data.
 */
#ifndef PEREGRINE_ZONE_H
#define PEREGRINE_ZONE_H

#include <libknot/dname.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The RRs of one owner and type. `rdata` holds `count` items in canonical order without duplicates, each a 16-bit
 * length in host byte order followed by that many octets, names uncompressed and with the case the primary gave them.
 */
struct zone_rrset {
	uint16_t type;
	uint16_t reserved;
	uint32_t ttl; /* the smallest of the RRs' TTLs */
	uint32_t count;
	uint32_t size; /* of rdata, octets */
	const uint8_t *rdata;
};

struct zone_name {
	const uint8_t *owner; /* wire format, lower case */
	uint8_t owner_length;
	uint8_t labels; /* without the root */
	uint16_t rrset_count;
	uint32_t types;            /* zone_type_bit of each RRset */
	struct zone_rrset *rrsets; /* sorted by type */
};

/* A bit that says whether a name may have a type; those that much is decided by have one each. */
static inline uint32_t zone_type_bit(uint16_t type)
{
	return 1U << type % 32;
}

struct zone_version {
	uint8_t *apex;                                    /* wire format, lower case */
	uint32_t serial, refresh, retry, expire, minimum; /* of the SOA */
	size_t name_count;       /* names with data only; empty non-terminals are made by the compiler */
	struct zone_name *names; /* in canonical order (RFC 4034 section 6.1): the apex first */
};

/* The RRset of a type at a name, or NULL; at a name that is NULL there is none. */
const struct zone_rrset *zone_find_rrset(const struct zone_name *name, uint16_t type);

/* Whether a name is the apex or below it; both in lower case, with their lengths. */
bool zone_has_name(const uint8_t *apex, size_t apex_length, const uint8_t *name, size_t length);

/* Canonical order of names in lower case (RFC 4034 section 6.1). */
int zone_compare_names(const uint8_t *left, const uint8_t *right);

/* A name in lower case as octets whose order by memcmp is canonical, and back. Both return the number of octets
 * written; the second 0 when the octets are no such name. */
#define ZONE_NAME_KEY_ROOM 508
size_t zone_name_to_key(const uint8_t *name, uint8_t *key);
size_t zone_key_to_name(const uint8_t *key, size_t length, uint8_t *name);

void zone_ref(struct zone_version *version);
void zone_unref(struct zone_version *version);

/* Collects records in any order. */
struct zone_builder;

/* `max_records`, 0 for the default of 2^32 - 1. Returns NULL when memory is short. */
struct zone_builder *zone_builder_new(const knot_dname_t *apex, uint64_t max_records);
void zone_builder_free(struct zone_builder *builder);

/*
 * Adds one RR of class IN. `owner` and `rdata` are copied; names in rdata must be uncompressed. A record that is there
 * already is ignored; a second SOA at the apex is refused unless it is the same. Returns 0, or -1 with the reason,
 * which names the record, from zone_builder_error.
 */
int zone_builder_add(struct zone_builder *builder, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                     const uint8_t *rdata, uint16_t rdata_length);

/* Sorts, checks the shape (exactly one SOA, NS at the apex, nothing outside the zone, CNAME alone at its name, rdata
 * well-formed) and hands over the version with one reference; the builder is freed whatever comes out. Returns NULL
 * with the reason in `why`. */
struct zone_version *zone_builder_finish(struct zone_builder *builder, char *why, size_t why_size);
/*
 * Adds other names to a part of a version: those in `others`, none of which it has. Their shape is checked name by
 * name. Returns the part, to be used in place of the one given; NULL, with the reason in `why`, when memory is short:
 * both are freed then, as `others` is in any case.
 */
struct zone_version *zone_join(struct zone_version *version, struct zone_builder *others, char *why, size_t why_size);
const knot_dname_t *zone_builder_apex(const struct zone_builder *builder);
/* Records added so far. */
uint64_t zone_builder_count(const struct zone_builder *builder);
const char *zone_builder_error(const struct zone_builder *builder);

#endif
