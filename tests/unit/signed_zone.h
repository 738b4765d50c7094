/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests: signs a zone, with signatures that no one can verify, and makes its chain of NSEC or NSEC3 records. Names
 * are put in order label by label and hashed by libdnssec: nothing of the code under test is used.
 */
#ifndef PEREGRINE_SIGNED_ZONE_H
#define PEREGRINE_SIGNED_ZONE_H

#include "zone/zone.h"

#include <libdnssec/nsec.h>
#include <libknot/libknot.h>
#include <libzscanner/scanner.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNED_TYPES 96
#define SIGNED_HASH 20

struct signing {
	bool nsec3, opt_out;
	uint16_t iterations;
	uint8_t salt_length;
	uint8_t salt[255];
	const uint8_t *opted_in; /* an unsigned delegation that has its record all the same */
	bool silent;             /* the records do not say that some are left out */
	/* What is not to be put into the zone: by owner, type, and type covered if that is RRSIG. */
	bool (*leave_out)(const uint8_t *owner, uint16_t type, uint16_t covered);
};

struct signed_name {
	uint8_t owner[256];
	uint16_t types[SIGNED_TYPES]; /* none: an empty non-terminal */
	uint32_t ttl;
	size_t count;
	bool cut, glue, opted_out;
	uint8_t hash[SIGNED_HASH];
};

struct signed_zone {
	struct zone_builder *builder;
	const struct signing *how;
	const uint8_t *apex;
	struct signed_name *names;
	size_t count, room;
};

static inline void signed_die(const char *why)
{
	fprintf(stderr, "signed zone: %s\n", why);
	abort();
}

static inline void signed_put(struct signed_zone *zone, const uint8_t *owner, uint16_t type, uint32_t ttl,
                              const uint8_t *rdata, size_t length)
{
	uint16_t covered = type == KNOT_RRTYPE_RRSIG ? rdata[0] << 8 | rdata[1] : 0;

	if (zone->how->leave_out && zone->how->leave_out(owner, type, covered))
		return;
	if (zone_builder_add(zone->builder, owner, type, ttl, rdata, length))
		signed_die(zone_builder_error(zone->builder));
}

static inline void signed_rrsig(struct signed_zone *zone, const uint8_t *owner, uint16_t type, uint32_t ttl)
{
	uint8_t rdata[18 + 255 + 64] = {type >> 8, type & 0xff, 13, knot_dname_labels(owner, NULL)};
	size_t length = knot_dname_size(zone->apex);

	if (knot_dname_is_wildcard(owner))
		rdata[3]--;
	memset(rdata + 4, 0x11, 14);
	memcpy(rdata + 18, zone->apex, length);
	memset(rdata + 18 + length, 0xa5 ^ type, 64);
	signed_put(zone, owner, KNOT_RRTYPE_RRSIG, ttl, rdata, 18 + length + 64);
}

static inline struct signed_name *signed_add(struct signed_zone *zone, const uint8_t *owner)
{
	struct signed_name *name;

	if (zone->count == zone->room) {
		zone->room = zone->room ? zone->room * 2 : 64;
		zone->names = realloc(zone->names, zone->room * sizeof(*zone->names));
		if (!zone->names)
			signed_die("out of memory");
	}
	name = &zone->names[zone->count++];
	memset(name, 0, sizeof(*name));
	memcpy(name->owner, owner, knot_dname_size(owner));
	knot_dname_to_lower(name->owner);
	return name;
}

/* One record of the zone. */
static inline void signed_record(struct signed_zone *zone, const uint8_t *owner, uint16_t type, uint32_t ttl,
                                 const uint8_t *rdata, size_t length)
{
	struct signed_name *name = signed_add(zone, owner);

	name->types[name->count++] = type;
	name->ttl = ttl;
	signed_put(zone, owner, type, ttl, rdata, length);
}

static inline int signed_compare(const void *left, const void *right)
{
	return zone_compare_names(((const struct signed_name *)left)->owner,
	                          ((const struct signed_name *)right)->owner);
}

static inline int signed_compare_hashes(const void *left, const void *right)
{
	return memcmp(((const struct signed_name *)left)->hash, ((const struct signed_name *)right)->hash, SIGNED_HASH);
}

static inline bool signed_has(const struct signed_name *name, uint16_t type)
{
	for (size_t i = 0; i < name->count; i++)
		if (name->types[i] == type)
			return true;
	return false;
}

/* In canonical order, each name once. */
static inline void signed_sort(struct signed_zone *zone)
{
	size_t kept = 0;

	qsort(zone->names, zone->count, sizeof(*zone->names), signed_compare);
	for (size_t i = 1; i < zone->count; i++) {
		struct signed_name *to = &zone->names[kept], *from = &zone->names[i];

		if (signed_compare(to, from)) {
			zone->names[++kept] = *from;
			continue;
		}
		for (size_t j = 0; j < from->count; j++)
			if (!signed_has(to, from->types[j])) {
				if (to->count == SIGNED_TYPES)
					signed_die("too many types at a name");
				to->types[to->count++] = from->types[j];
			}
	}
	zone->count = kept + 1;
}

/* Which names are cuts, and which are below one. */
static inline void signed_find_cuts(struct signed_zone *zone)
{
	const struct signed_name *cut = NULL;

	for (size_t i = 1; i < zone->count; i++) {
		struct signed_name *name = &zone->names[i];

		name->glue = cut && knot_dname_in_bailiwick(name->owner, cut->owner) > 0;
		name->cut = !name->glue && signed_has(name, KNOT_RRTYPE_NS);
		if (name->cut)
			cut = name;
		name->opted_out = zone->how->opt_out && name->cut && !signed_has(name, KNOT_RRTYPE_DS) &&
		                  !(zone->how->opted_in && knot_dname_is_equal(name->owner, zone->how->opted_in));
	}
}

static inline void signed_sign(struct signed_zone *zone)
{
	for (size_t i = 0; i < zone->count; i++) {
		const struct signed_name *name = &zone->names[i];

		for (size_t j = 0; !name->glue && j < name->count; j++)
			if (!name->cut || name->types[j] == KNOT_RRTYPE_DS)
				signed_rrsig(zone, name->owner, name->types[j], name->ttl);
	}
}

/* The types of a name as a bitmap (RFC 4034 section 4.1.2). Returns its octets. */
static inline size_t signed_bitmap(const struct signed_name *name, bool nsec, uint8_t *out)
{
	uint8_t bits[256][32] = {};
	size_t length = 0;

	for (size_t i = 0; i < name->count; i++)
		bits[name->types[i] >> 8][(name->types[i] & 255) / 8] |= 0x80 >> name->types[i] % 8;
	if (nsec || (name->count && !(name->cut && !signed_has(name, KNOT_RRTYPE_DS))))
		bits[0][KNOT_RRTYPE_RRSIG / 8] |= 0x80 >> KNOT_RRTYPE_RRSIG % 8;
	if (nsec)
		bits[0][KNOT_RRTYPE_NSEC / 8] |= 0x80 >> KNOT_RRTYPE_NSEC % 8;
	for (size_t window = 0; window < 256; window++) {
		size_t last = 32;

		while (last && !bits[window][last - 1])
			last--;
		if (!last)
			continue;
		out[length++] = window;
		out[length++] = last;
		memcpy(out + length, bits[window], last);
		length += last;
	}
	return length;
}

static inline void signed_nsec(struct signed_zone *zone)
{
	for (size_t i = 0; i < zone->count; i++) {
		uint8_t rdata[255 + 256 * 34];
		size_t next = i + 1, length;

		if (zone->names[i].glue)
			continue;
		while (next < zone->count && zone->names[next].glue)
			next++;
		next = next < zone->count ? next : 0;
		length = knot_dname_size(zone->names[next].owner);
		memcpy(rdata, zone->names[next].owner, length);
		length += signed_bitmap(&zone->names[i], true, rdata + length);
		signed_put(zone, zone->names[i].owner, KNOT_RRTYPE_NSEC, 60, rdata, length);
		signed_rrsig(zone, zone->names[i].owner, KNOT_RRTYPE_NSEC, 60);
	}
}

static inline void signed_hash(const struct signing *how, const uint8_t *name, uint8_t *hash)
{
	const dnssec_nsec3_params_t params = {.algorithm = DNSSEC_NSEC3_ALGORITHM_SHA1,
	                                      .iterations = how->iterations,
	                                      .salt = {.size = how->salt_length, .data = (uint8_t *)how->salt}};
	const dnssec_binary_t data = {.size = knot_dname_size(name), .data = (uint8_t *)name};
	dnssec_binary_t made = {};

	if (dnssec_nsec3_hash(&data, &params, &made) || made.size != SIGNED_HASH)
		signed_die("libdnssec does not hash");
	memcpy(hash, made.data, SIGNED_HASH);
	dnssec_binary_free(&made);
}

/* The owner of an NSEC3 record. */
static inline void signed_hash_owner(const struct signed_zone *zone, const uint8_t *hash, uint8_t *owner)
{
	owner[0] = 32;
	for (int i = 0; i < 32; i++) {
		int bit = i * 5, value = hash[bit / 8] << 8 | (bit / 8 + 1 < SIGNED_HASH ? hash[bit / 8 + 1] : 0);

		owner[1 + i] = "0123456789abcdefghijklmnopqrstuv"[value >> (11 - bit % 8) & 31];
	}
	memcpy(owner + 33, zone->apex, knot_dname_size(zone->apex));
}

/* Parameters, as NSEC3PARAM has them and NSEC3 begins with them. */
static inline size_t signed_parameters(const struct signing *how, uint8_t flags, uint8_t *rdata)
{
	rdata[0] = 1;
	rdata[1] = flags;
	rdata[2] = how->iterations >> 8;
	rdata[3] = how->iterations & 255;
	rdata[4] = how->salt_length;
	memcpy(rdata + 5, how->salt, how->salt_length);
	return 5U + how->salt_length;
}

/* The empty non-terminals, but those that lead to what is opted out alone. */
static inline void signed_add_empty(struct signed_zone *zone)
{
	size_t labels = knot_dname_labels(zone->apex, NULL), count = zone->count;

	for (size_t i = 0; i < count; i++) {
		uint8_t owner[256];
		const uint8_t *above = owner;

		memcpy(owner, zone->names[i].owner, sizeof(owner));
		for (size_t left = knot_dname_labels(owner, NULL); left > labels + 1; left--) {
			above += above[0] + 1;
			if (!zone->names[i].glue && !zone->names[i].opted_out)
				signed_add(zone, above);
		}
	}
	signed_sort(zone);
	signed_find_cuts(zone);
}

static inline void signed_nsec3(struct signed_zone *zone)
{
	size_t kept = 0, length;
	uint8_t rdata[512 + 256 * 34], owner[256];

	length = signed_parameters(zone->how, 0, rdata);
	signed_put(zone, zone->apex, KNOT_RRTYPE_NSEC3PARAM, 0, rdata, length);
	signed_rrsig(zone, zone->apex, KNOT_RRTYPE_NSEC3PARAM, 0);
	zone->names[0].types[zone->names[0].count++] = KNOT_RRTYPE_NSEC3PARAM;
	signed_add_empty(zone);
	for (size_t i = 0; i < zone->count; i++)
		if (!zone->names[i].glue && !zone->names[i].opted_out)
			zone->names[kept++] = zone->names[i];
	zone->count = kept;
	for (size_t i = 0; i < kept; i++)
		signed_hash(zone->how, zone->names[i].owner, zone->names[i].hash);
	qsort(zone->names, kept, sizeof(*zone->names), signed_compare_hashes);
	for (size_t i = 0; i < kept; i++) {
		length = signed_parameters(zone->how, zone->how->opt_out && !zone->how->silent, rdata);
		rdata[length++] = SIGNED_HASH;
		memcpy(rdata + length, zone->names[(i + 1) % kept].hash, SIGNED_HASH);
		length += SIGNED_HASH;
		length += signed_bitmap(&zone->names[i], false, rdata + length);
		signed_hash_owner(zone, zone->names[i].hash, owner);
		signed_put(zone, owner, KNOT_RRTYPE_NSEC3, 60, rdata, length);
		signed_rrsig(zone, owner, KNOT_RRTYPE_NSEC3, 60);
	}
}

/* After all records: the zone as it is served. */
static inline struct zone_version *signed_finish(struct signed_zone *zone)
{
	struct zone_version *version;
	char why[512];

	signed_sort(zone);
	signed_find_cuts(zone);
	signed_sign(zone);
	if (zone->how->nsec3)
		signed_nsec3(zone);
	else
		signed_nsec(zone);
	version = zone_builder_finish(zone->builder, why, sizeof(why));
	if (!version)
		signed_die(why);
	free(zone->names);
	return version;
}

static inline void signed_scanned(zs_scanner_t *scanner)
{
	signed_record(scanner->process.data, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	              scanner->r_data_length);
}

static inline void signed_added(zs_scanner_t *scanner)
{
	struct signed_zone *zone = scanner->process.data;

	if (zone_builder_add(zone->builder, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	                     scanner->r_data_length))
		signed_die(zone_builder_error(zone->builder));
}

static inline void signed_scan(struct signed_zone *zone, const char *origin, const char *text,
                               void (*take)(zs_scanner_t *scanner))
{
	zs_scanner_t scanner;

	if (zs_init(&scanner, origin, KNOT_CLASS_IN, 3600) || zs_set_processing(&scanner, take, NULL, zone) ||
	    zs_set_input_string(&scanner, text, strlen(text)) || zs_parse_all(&scanner))
		signed_die("the text cannot be read");
	zs_deinit(&scanner);
}

/* A zone from master-file text, signed; and what is put into it as it stands, after signing. */
static inline struct zone_version *signed_text_with(const char *origin, const char *text, const char *more,
                                                    const struct signing *how)
{
	knot_dname_storage_t apex;
	struct signed_zone zone = {.how = how, .apex = apex};

	if (!knot_dname_from_str(apex, origin, sizeof(apex)))
		signed_die(origin);
	zone.builder = zone_builder_new(apex, 0);
	if (!zone.builder)
		signed_die("out of memory");
	signed_scan(&zone, origin, text, signed_scanned);
	signed_scan(&zone, origin, more, signed_added);
	return signed_finish(&zone);
}

static inline struct zone_version *signed_text(const char *origin, const char *text, const struct signing *how)
{
	return signed_text_with(origin, text, "", how);
}

#endif
