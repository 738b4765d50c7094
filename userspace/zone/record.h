/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside this room: records as they come, before they are a version. */
#ifndef PEREGRINE_ZONE_RECORD_H
#define PEREGRINE_ZONE_RECORD_H

#include <libknot/dname.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that is given back all at once. */
struct chunk;
void *chunk_take(struct chunk **chunks, size_t size);
void chunks_free(struct chunk *chunks);
/* Gives back all that was taken, and keeps the memory for what is to come. */
void chunks_empty(struct chunk *chunks);
/* Lets `chunks` own what `others` does. */
void chunks_join(struct chunk **chunks, struct chunk *others);

/* One RR as it came. Sorted by `key`, then type, then rdata. */
struct record {
	const uint8_t *key;   /* owner in the form of record_put_key, right behind it */
	const uint8_t *owner; /* lower case */
	const uint8_t *rdata; /* 16-bit length in host order, then the octets */
	uint32_t ttl;
	uint16_t type;
	uint16_t step; /* of a change: see change.c */
};

struct record_list {
	struct chunk *chunks;
	uint8_t *apex; /* lower case */
	size_t apex_length;
	struct record *records;
	size_t count, room;
	const struct record *like; /* or NULL: the first owner is most likely this record's, which lives as long */
	uint64_t max_records;
	char error[512];
};

/* `max_records`, 0 for the default of 2^32 - 1. Returns 0, or -1 when memory is short. */
int record_list_init(struct record_list *list, const knot_dname_t *apex, uint64_t max_records);
void record_list_clear(struct record_list *list);
/* Copies a record and appends it. Returns it, or NULL with the reason in `error`. */
struct record *record_list_add(struct record_list *list, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                               const uint8_t *rdata, uint16_t rdata_length);
/* Notes why, and returns -1. */
int record_list_fail(struct record_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A name as octets whose order by memcmp is canonical (RFC 4034 section 6.1), behind their number in 16 bits: the
 * labels from the root down, each ended by 0. So that this is less than any octet of a label, 0 becomes 1 1, and 1
 * becomes 1 2. (The "lookup format" of libknot ends labels likewise but does not escape: it is another order.)
 */
#define RECORD_KEY_ROOM (2 + 2 * KNOT_DNAME_MAXLEN)
size_t record_put_key(const uint8_t *name, uint8_t *key);
int record_compare_keys(const uint8_t *left, const uint8_t *right);
/* For qsort. */
int record_compare(const void *left, const void *right);
/* Puts a list in order; one that is nearly so, as a transfer mostly is, is only gone through. `compare` goes by the key
 * first. Returns 0, or -1 when memory is short. */
typedef int (*record_order)(const void *left, const void *right);
int record_list_sort(struct record_list *list, record_order compare);
bool record_same_rdata(const uint8_t *stored, const uint8_t *rdata, uint16_t length);

/* What zone.h declares. */
struct zone_builder {
	struct record_list list;
	size_t soa_index;
	bool has_soa;
};

/* The records from `*at` on that are of one name, as that name, which is checked: they are in order, and `rrsets` has
 * room for them. `*at` becomes what is behind. Returns 0, or -1 with the reason in the builder's list. */
struct zone_name;
struct zone_rrset;
int zone_gather_name(struct zone_builder *builder, size_t *at, struct zone_rrset *rrsets, struct zone_name *name);

/* "name TYPE" for messages. */
#define RECORD_TEXT 256
const char *record_describe(const uint8_t *owner, uint16_t type, char *text, size_t size);

#endif
