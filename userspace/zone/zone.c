/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zone/zone.h"
#include "zone/record.h"

#include <libknot/libknot.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 100000 /* names of a version that is worth it to look for what may be given back */

struct owned_version {
	struct zone_version version;
	atomic_uint references;
	struct chunk *chunks;
};

struct zone_builder *zone_builder_new(const knot_dname_t *apex, uint64_t max_records)
{
	struct zone_builder *builder = calloc(1, sizeof(*builder));

	if (builder && !record_list_init(&builder->list, apex, max_records))
		return builder;
	free(builder);
	return NULL;
}

void zone_builder_free(struct zone_builder *builder)
{
	if (!builder)
		return;
	record_list_clear(&builder->list);
	free(builder);
}

const knot_dname_t *zone_builder_apex(const struct zone_builder *builder)
{
	return builder->list.apex;
}

uint64_t zone_builder_count(const struct zone_builder *builder)
{
	return builder->list.count;
}

const char *zone_builder_error(const struct zone_builder *builder)
{
	return builder->list.error;
}

/* Whether a SOA is there already, and the same. Returns 1, 0 when it is the first, -1 when it cannot be taken. */
static int check_soa(struct zone_builder *builder, const knot_dname_t *owner, const uint8_t *rdata, uint16_t length)
{
	char text[RECORD_TEXT];

	if (!knot_dname_is_case_equal(owner, builder->list.apex))
		return record_list_fail(&builder->list, "%s is not at the apex",
		                        record_describe(owner, KNOT_RRTYPE_SOA, text, sizeof(text)));
	if (!builder->has_soa)
		return 0;
	if (record_same_rdata(builder->list.records[builder->soa_index].rdata, rdata, length))
		return 1;
	return record_list_fail(&builder->list, "two different SOA records");
}

int zone_builder_add(struct zone_builder *builder, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                     const uint8_t *rdata, uint16_t rdata_length)
{
	int soa = type == KNOT_RRTYPE_SOA ? check_soa(builder, owner, rdata, rdata_length) : 0;

	if (soa)
		return soa < 0 ? -1 : 0;
	if (!record_list_add(&builder->list, owner, type, ttl, rdata, rdata_length))
		return -1;
	if (type == KNOT_RRTYPE_SOA) {
		builder->has_soa = true;
		builder->soa_index = builder->list.count - 1;
	}
	return 0;
}

const struct zone_rrset *zone_find_rrset(const struct zone_name *name, uint16_t type)
{
	if (!name || !(name->types & zone_type_bit(type)))
		return NULL;
	for (size_t i = 0; i < name->rrset_count; i++)
		if (name->rrsets[i].type == type)
			return &name->rrsets[i];
	return NULL;
}

bool zone_has_name(const uint8_t *apex, size_t apex_length, const uint8_t *name, size_t length)
{
	const uint8_t *end;

	if (length < apex_length)
		return false;
	for (end = name + length - apex_length; name < end;)
		name += name[0] + 1;
	return name == end && !memcmp(name, apex, apex_length);
}

int zone_compare_names(const uint8_t *left, const uint8_t *right)
{
	const uint8_t *labels[2][KNOT_DNAME_MAXLABELS], *names[2] = {left, right};
	size_t count[2] = {};

	for (int i = 0; i < 2; i++)
		for (const uint8_t *at = names[i]; at[0]; at += at[0] + 1)
			labels[i][count[i]++] = at;
	while (count[0] && count[1]) {
		const uint8_t *a = labels[0][--count[0]], *b = labels[1][--count[1]];
		int order = memcmp(a + 1, b + 1, a[0] < b[0] ? a[0] : b[0]);

		if (order || a[0] != b[0])
			return order ? order : a[0] - b[0];
	}
	return (count[0] > 0) - (count[1] > 0);
}

/* The records of one owner and type, sorted and without duplicates, as an RRset. */
static size_t gather_rrset(struct zone_builder *builder, size_t from, struct zone_rrset *rrset)
{
	const struct record *first = &builder->list.records[from];
	size_t to = from, size = 0;
	uint8_t *rdata;

	*rrset = (struct zone_rrset){.type = first->type, .ttl = first->ttl};
	for (; to < builder->list.count; to++) {
		const struct record *record = &builder->list.records[to];

		if (record->type != first->type || record_compare_keys(record->key, first->key))
			break;
		if (to > from && !record_compare(record - 1, record))
			continue;
		size += 2U + *(const uint16_t *)record->rdata;
		rrset->count++;
		if (record->ttl < rrset->ttl)
			rrset->ttl = record->ttl;
	}
	rrset->size = size;
	/* One record is what it is already. */
	rrset->rdata = first->rdata;
	if (rrset->count == 1)
		return to;
	rdata = chunk_take(&builder->list.chunks, size);
	if (!rdata)
		return 0;
	rrset->rdata = rdata;
	for (size_t i = from; i < to; i++) {
		const struct record *record = &builder->list.records[i];
		size_t octets = 2U + *(const uint16_t *)record->rdata;

		if (i > from && !record_compare(record - 1, record))
			continue;
		memcpy(rdata, record->rdata, octets);
		rdata += octets;
	}
	return to;
}

static int check_name(struct zone_builder *builder, const struct zone_name *name)
{
	char text[RECORD_TEXT];

	for (size_t i = 0; i < name->rrset_count; i++) {
		if (name->rrsets[i].type != KNOT_RRTYPE_CNAME && name->rrsets[i].type != KNOT_RRTYPE_DNAME)
			continue;
		if (name->rrsets[i].count > 1)
			return record_list_fail(&builder->list, "%s has more than one record",
			                        record_describe(name->owner, name->rrsets[i].type, text, sizeof(text)));
		if (name->rrsets[i].type == KNOT_RRTYPE_DNAME)
			continue;
		for (size_t j = 0; j < name->rrset_count; j++) {
			uint16_t type = name->rrsets[j].type;

			if (type != KNOT_RRTYPE_CNAME && type != KNOT_RRTYPE_RRSIG && type != KNOT_RRTYPE_NSEC)
				return record_list_fail(
				    &builder->list, "%s stands beside other data",
				    record_describe(name->owner, KNOT_RRTYPE_CNAME, text, sizeof(text)));
		}
	}
	return 0;
}

int zone_gather_name(struct zone_builder *builder, size_t *at, struct zone_rrset *rrsets, struct zone_name *name)
{
	const struct record_list *list = &builder->list;
	const uint8_t *key = list->records[*at].key;

	*name = (struct zone_name){.owner = list->records[*at].owner, .rrsets = rrsets};
	name->owner_length = key - name->owner;
	name->labels = knot_dname_labels(name->owner, NULL);
	while (*at < list->count && !record_compare_keys(list->records[*at].key, key)) {
		*at = gather_rrset(builder, *at, &rrsets[name->rrset_count]);
		if (!*at)
			return record_list_fail(&builder->list, "out of memory");
		name->types |= zone_type_bit(rrsets[name->rrset_count++].type);
	}
	return check_name(builder, name);
}

static int gather_names(struct zone_builder *builder, struct zone_version *version)
{
	size_t rrset_room = 0, rrsets = 0, at = 0;
	struct zone_rrset *rrset;

	for (size_t i = 0; i < builder->list.count; i++) {
		const struct record *record = &builder->list.records[i];
		bool new_owner = !i || record_compare_keys(record->key, record[-1].key);

		version->name_count += new_owner;
		rrset_room += new_owner || record->type != record[-1].type;
	}
	version->names = chunk_take(&builder->list.chunks, version->name_count * sizeof(*version->names));
	rrset = chunk_take(&builder->list.chunks, rrset_room * sizeof(*rrset));
	if (!version->names || !rrset)
		return record_list_fail(&builder->list, "out of memory");
	for (size_t i = 0; i < version->name_count; i++) {
		if (zone_gather_name(builder, &at, &rrset[rrsets], &version->names[i]))
			return -1;
		rrsets += version->names[i].rrset_count;
	}
	return 0;
}

static int check_apex(struct zone_builder *builder, struct zone_version *version)
{
	bool has_ns = false;

	if (!builder->has_soa)
		return record_list_fail(&builder->list, "no SOA record");
	for (size_t i = 0; i < version->names[0].rrset_count; i++) {
		const struct zone_rrset *rrset = &version->names[0].rrsets[i];
		knot_rdata_t *soa;
		uint8_t buffer[2 + 2 * KNOT_DNAME_MAXLEN + 20];

		has_ns |= rrset->type == KNOT_RRTYPE_NS;
		if (rrset->type != KNOT_RRTYPE_SOA || rrset->size > sizeof(buffer))
			continue;
		memcpy(buffer, rrset->rdata, rrset->size);
		soa = (knot_rdata_t *)buffer;
		version->serial = knot_soa_serial(soa);
		version->refresh = knot_soa_refresh(soa);
		version->retry = knot_soa_retry(soa);
		version->expire = knot_soa_expire(soa);
		version->minimum = knot_soa_minimum(soa);
	}
	if (!has_ns)
		return record_list_fail(&builder->list, "no NS record at the apex");
	return 0;
}

struct zone_version *zone_builder_finish(struct zone_builder *builder, char *why, size_t why_size)
{
	struct owned_version *owned = calloc(1, sizeof(*owned));
	int result = -1;

	if (!owned) {
		record_list_fail(&builder->list, "out of memory");
	} else if (!builder->list.count) {
		record_list_fail(&builder->list, "no records");
	} else {
		result = record_list_sort(&builder->list, record_compare);
		if (!result)
			result = gather_names(builder, &owned->version);
		if (!result)
			result = check_apex(builder, &owned->version);
	}
	if (result) {
		snprintf(why, why_size, "%s", builder->list.error);
		free(owned);
		zone_builder_free(builder);
		return NULL;
	}
	owned->references = 1;
	owned->version.apex = builder->list.apex;
	owned->chunks = builder->list.chunks;
	builder->list.apex = NULL;
	builder->list.chunks = NULL;
	zone_builder_free(builder);
	return &owned->version;
}

/* Puts the names of both, each in order, in one order. */
static int merge_names(struct zone_version *version, const struct zone_version *others, struct chunk **chunks)
{
	size_t count = version->name_count + others->name_count, a = 0, b = 0;
	struct zone_name *names = chunk_take(chunks, count * sizeof(*names));

	if (!names)
		return -1;
	for (size_t i = 0; i < count; i++) {
		bool first = b == others->name_count ||
		             (a < version->name_count &&
		              zone_compare_names(version->names[a].owner, others->names[b].owner) < 0);

		names[i] = first ? version->names[a++] : others->names[b++];
	}
	version->names = names;
	version->name_count = count;
	return 0;
}

struct zone_version *zone_join(struct zone_version *version, struct zone_builder *others, char *why, size_t why_size)
{
	struct owned_version *owned = (struct owned_version *)version;
	struct zone_version more = {};
	int result;

	result = record_list_sort(&others->list, record_compare);
	if (!result)
		result = gather_names(others, &more);
	chunks_join(&owned->chunks, others->list.chunks);
	others->list.chunks = NULL;
	if (!result && merge_names(version, &more, &owned->chunks))
		result = record_list_fail(&others->list, "out of memory");
	if (result) {
		snprintf(why, why_size, "%s", others->list.error);
		zone_unref(version);
		version = NULL;
	}
	zone_builder_free(others);
	return version;
}

void zone_ref(struct zone_version *version)
{
	atomic_fetch_add(&((struct owned_version *)version)->references, 1);
}

void zone_unref(struct zone_version *version)
{
	struct owned_version *owned = (struct owned_version *)version;
	bool large;

	if (!version || atomic_fetch_sub(&owned->references, 1) > 1)
		return;
	large = owned->version.name_count >= LARGE;
	knot_dname_free(owned->version.apex, NULL);
	chunks_free(owned->chunks);
	free(owned);
	/* The allocator would keep what stood between that which goes on living: of 1,000,000 names a third of what the
	 * agent has besides the image. */
	if (large)
		malloc_trim(0);
}
