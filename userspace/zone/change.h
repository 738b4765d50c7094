/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What leads from one version of a zone to a later one: differences one after another, each with the records that it
 * takes away, those that it adds, and the new SOA (RFC 1995).
 */
#ifndef PEREGRINE_ZONE_CHANGE_H
#define PEREGRINE_ZONE_CHANGE_H

#include "zone/zone.h"

#include <stdbool.h>

struct zone_changes;

/* From the version of serial `from`. `max_records` bounds the changes, and the zone that comes out; 0: 2^32 - 1.
 * Returns NULL when memory is short. */
struct zone_changes *zone_changes_new(const knot_dname_t *apex, uint32_t from, uint64_t max_records);
void zone_changes_free(struct zone_changes *changes);

/* Begins the next difference. Like those that follow, returns 0, or -1 with the reason from zone_changes_error. */
int zone_changes_next(struct zone_changes *changes);
int zone_changes_remove(struct zone_changes *changes, const knot_dname_t *owner, uint16_t type, const uint8_t *rdata,
                        uint16_t rdata_length);
int zone_changes_add(struct zone_changes *changes, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                     const uint8_t *rdata, uint16_t rdata_length);
/* The SOA that the difference leads to; SOAs are neither removed nor added. */
int zone_changes_soa(struct zone_changes *changes, uint32_t ttl, const uint8_t *rdata, uint16_t rdata_length);

/* One record of them. */
struct zone_change {
	const uint8_t *owner; /* lower case */
	const uint8_t *rdata; /* 16-bit length in host order, then the octets */
	uint32_t ttl;         /* 0 of what is taken away */
	uint16_t type;
	uint16_t difference; /* counted from 0 */
	bool adds;           /* a SOA is the one that the difference leads to */
};
/* Calls `visit` with each, in the order in which they came, behind these the SOAs; ends when it returns anything but 0,
 * and returns that. To be called before they are applied. */
int zone_changes_each(const struct zone_changes *changes, int (*visit)(void *context, const struct zone_change *change),
                      void *context);
/* How many records and SOAs there are. */
size_t zone_changes_count(const struct zone_changes *changes);

const char *zone_changes_error(const struct zone_changes *changes);
const knot_dname_t *zone_changes_apex(const struct zone_changes *changes);
/* The serial that they lead from. */
uint32_t zone_changes_from(const struct zone_changes *changes);

/* The same without the SOAs, in canonical order of owners. */
int zone_changes_each_sorted(struct zone_changes *changes,
                             int (*visit)(void *context, const struct zone_change *change), void *context);

/* The changes numbered, without the SOAs, in canonical order of owners, those of one owner by type and data. */
int zone_changes_sort(struct zone_changes *changes); /* -1: memory is short */
size_t zone_changes_sorted(const struct zone_changes *changes);
struct zone_change zone_changes_at(const struct zone_changes *changes, size_t number);

/* Some of them by themselves, and the SOAs: those whose number `wanted` says. What they hold is the whole's, which must
 * outlive them. Returns NULL when memory is short. */
struct zone_changes *zone_changes_some(const struct zone_changes *changes, bool (*wanted)(void *context, size_t number),
                                       void *context);

/*
 * What changes make of single names, one after another, each by itself: those that are not the apex and have records
 * before and after.
 */
struct zone_patch;
struct zone_patch *zone_patch_new(const struct zone_changes *changes);
void zone_patch_free(struct zone_patch *patch);
/* A builder for the records of the name that change `first` is of. */
struct zone_builder *zone_patch_begin(struct zone_patch *patch, size_t first);
/* Applies `count` changes from that one on, all that there are of the name. What comes out stays until the next begins;
 * `*same_types`: it has RRsets of the same types as before, signatures aside; `*more`: by so many records it grows.
 * Returns 0, or -1 if they do not fit, or memory is short. */
int zone_patch_apply(struct zone_patch *patch, size_t count, struct zone_name *name, bool *same_types, int *more);

/*
 * Applies them to a part of the version: all records of the apex and of each name that they concern, and perhaps
 * others. `others` is how many records the zone has besides. Frees the base, not the changes, which must outlive the
 * part that comes out: that holds what is in it by the new version. The rules are those of zone_changes_apply.
 */
struct zone_version *zone_changes_apply_part(struct zone_changes *changes, struct zone_builder *base, uint64_t others,
                                             char *why, size_t why_size);

/*
 * Applies them to the records of the version that they start from, and finishes it: both are freed whatever comes out.
 * Every record taken away has to be there, whatever its TTL, and none that is added; and what comes out must not have
 * two TTLs in an RRset. Returns NULL with the reason in `why`.
 */
struct zone_version *zone_changes_apply(struct zone_changes *changes, struct zone_builder *base, char *why,
                                        size_t why_size);

#endif
