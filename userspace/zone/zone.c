/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zone/zone.h"
#include "zone/rdata.h"

#include <libknot/libknot.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (1U << 20)

/* Memory that is given back all at once. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	uint8_t octets[];
};

/* One RR as it came. Sorted by `key`, then type, then rdata. */
struct record {
	const uint8_t *key; /* owner in the form of put_key */
	const uint8_t *owner;
	const uint8_t *rdata; /* 16-bit length in host order, then the octets */
	uint32_t ttl;
	uint16_t type;
};

struct zone_builder {
	struct chunk *chunks;
	uint8_t *apex;
	struct record *records;
	size_t count, room;
	uint64_t max_records;
	const struct record *soa;
	size_t soa_index;
	bool has_soa;
	char error[512];
};

struct owned_version {
	struct zone_version version;
	atomic_uint references;
	struct chunk *chunks;
};

static void free_chunks(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

static void *take(struct chunk **chunks, size_t size)
{
	struct chunk *chunk = *chunks;

	size = (size + 7) & ~(size_t)7;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->next = *chunks;
		chunk->used = 0;
		chunk->size = room;
		*chunks = chunk;
	}
	chunk->used += size;
	return chunk->octets + chunk->used - size;
}

static int fail(struct zone_builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct zone_builder *builder, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(builder->error, sizeof(builder->error), format, arguments);
	va_end(arguments);
	return -1;
}

/* "name TYPE" for messages. */
static const char *describe(const uint8_t *owner, uint16_t type, char *text, size_t size)
{
	knot_dname_txt_storage_t name;
	char type_text[32];

	if (!knot_dname_to_str(name, owner, sizeof(name)))
		strcpy(name, "?");
	if (knot_rrtype_to_string(type, type_text, sizeof(type_text)) < 0)
		snprintf(type_text, sizeof(type_text), "TYPE%u", type);
	snprintf(text, size, "%.200s %s", name, type_text);
	return text;
}

struct zone_builder *zone_builder_new(const knot_dname_t *apex, uint64_t max_records)
{
	struct zone_builder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return NULL;
	builder->max_records = max_records ? max_records : UINT32_MAX;
	builder->apex = knot_dname_copy(apex, NULL);
	if (!builder->apex) {
		free(builder);
		return NULL;
	}
	knot_dname_to_lower(builder->apex);
	return builder;
}

void zone_builder_free(struct zone_builder *builder)
{
	if (!builder)
		return;
	free_chunks(builder->chunks);
	knot_dname_free(builder->apex, NULL);
	free(builder->records);
	free(builder);
}

const char *zone_builder_error(const struct zone_builder *builder)
{
	return builder->error;
}

/*
 * A name as octets whose order by memcmp is canonical (RFC 4034 section 6.1), behind their number in 16 bits: the
 * labels from the root down, each ended by 0. So that this is less than any octet of a label, 0 becomes 1 1, and 1
 * becomes 1 2. (The "lookup format" of libknot ends labels likewise but does not escape: it is another order.)
 */
#define KEY_ROOM (2 + 2 * KNOT_DNAME_MAXLEN)
static size_t put_key(const uint8_t *name, uint8_t *key)
{
	const uint8_t *labels[KNOT_DNAME_MAXLABELS];
	size_t count = 0, length = 0;
	uint8_t *out = key + 2;

	for (; name[0]; name += name[0] + 1)
		labels[count++] = name;
	while (count--) {
		for (uint8_t i = 1; i <= labels[count][0]; i++) {
			uint8_t octet = labels[count][i];

			if (octet <= 1)
				out[length++] = 1;
			out[length++] = octet <= 1 ? octet + 1 : octet;
		}
		out[length++] = 0;
	}
	key[0] = length & 0xff;
	key[1] = length >> 8;
	return 2 + length;
}

static size_t key_length(const uint8_t *key)
{
	return key[0] | (size_t)key[1] << 8;
}

/* Copies the owner in lower case and its sort key, unless the record before has the same owner, as is usual. */
static int take_owner(struct zone_builder *builder, const knot_dname_t *owner, struct record *record)
{
	knot_dname_storage_t lower;
	uint8_t key[KEY_ROOM];
	size_t length = knot_dname_size(owner), key_size;
	uint8_t *copy;

	memcpy(lower, owner, length);
	knot_dname_to_lower(lower);
	if (builder->count) {
		const struct record *last = &builder->records[builder->count - 1];

		if (knot_dname_is_equal(last->owner, lower)) {
			record->owner = last->owner;
			record->key = last->key;
			return 0;
		}
	}
	if (knot_dname_in_bailiwick(lower, builder->apex) < 0) {
		char text[256];

		return fail(builder, "%s is outside the zone", describe(owner, record->type, text, sizeof(text)));
	}
	key_size = put_key(lower, key);
	copy = take(&builder->chunks, length + key_size);
	if (!copy)
		return fail(builder, "out of memory");
	memcpy(copy, lower, length);
	memcpy(copy + length, key, key_size);
	record->owner = copy;
	record->key = copy + length;
	return 0;
}

static bool same_rdata(const uint8_t *stored, const uint8_t *rdata, uint16_t length)
{
	uint16_t stored_length;

	memcpy(&stored_length, stored, sizeof(stored_length));
	return stored_length == length && !memcmp(stored + sizeof(stored_length), rdata, length);
}

int zone_builder_add(struct zone_builder *builder, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                     const uint8_t *rdata, uint16_t rdata_length)
{
	struct record record = {.type = type, .ttl = ttl > INT32_MAX ? 0 : ttl}; /* RFC 2181 section 8 */
	uint8_t *copy;
	char text[256];

	if (!zone_rdata_ok(type, rdata, rdata_length))
		return fail(builder, "%s has malformed data", describe(owner, type, text, sizeof(text)));
	if (take_owner(builder, owner, &record))
		return -1;
	if (type == KNOT_RRTYPE_SOA) {
		if (!knot_dname_is_equal(record.owner, builder->apex))
			return fail(builder, "%s is not at the apex", describe(owner, type, text, sizeof(text)));
		if (builder->has_soa) {
			if (same_rdata(builder->records[builder->soa_index].rdata, rdata, rdata_length))
				return 0;
			return fail(builder, "two different SOA records");
		}
		builder->has_soa = true;
		builder->soa_index = builder->count;
	}
	if (builder->count >= builder->max_records)
		return fail(builder, "more than %llu records", (unsigned long long)builder->max_records);
	if (builder->count == builder->room) {
		size_t room = builder->room ? builder->room * 2 : 64;
		struct record *records = realloc(builder->records, room * sizeof(*records));

		if (!records)
			return fail(builder, "out of memory");
		builder->records = records;
		builder->room = room;
	}
	copy = take(&builder->chunks, sizeof(rdata_length) + rdata_length);
	if (!copy)
		return fail(builder, "out of memory");
	memcpy(copy, &rdata_length, sizeof(rdata_length));
	memcpy(copy + sizeof(rdata_length), rdata, rdata_length);
	record.rdata = copy;
	builder->records[builder->count++] = record;
	return 0;
}

static int compare_octets(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

int zone_compare_names(const uint8_t *left, const uint8_t *right)
{
	uint8_t a[KEY_ROOM], b[KEY_ROOM];

	put_key(left, a);
	put_key(right, b);
	return compare_octets(a + 2, key_length(a), b + 2, key_length(b));
}

static int compare_records(const void *left, const void *right)
{
	const struct record *a = left, *b = right;
	uint16_t a_length, b_length;
	int order =
	    a->key == b->key ? 0 : compare_octets(a->key + 2, key_length(a->key), b->key + 2, key_length(b->key));

	if (order)
		return order;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	memcpy(&a_length, a->rdata, sizeof(a_length));
	memcpy(&b_length, b->rdata, sizeof(b_length));
	return compare_octets(a->rdata + 2, a_length, b->rdata + 2, b_length);
}

/* The records of one owner and type, sorted and without duplicates, as an RRset. */
static size_t gather_rrset(struct zone_builder *builder, size_t from, struct zone_rrset *rrset)
{
	const struct record *first = &builder->records[from];
	size_t to = from, size = 0;
	uint8_t *rdata;

	*rrset = (struct zone_rrset){.type = first->type, .ttl = first->ttl};
	for (; to < builder->count; to++) {
		const struct record *record = &builder->records[to];

		if (record->type != first->type || knot_dname_cmp(record->owner, first->owner))
			break;
		if (to > from && !compare_records(record - 1, record))
			continue;
		size += 2U + *(const uint16_t *)record->rdata;
		rrset->count++;
		if (record->ttl < rrset->ttl)
			rrset->ttl = record->ttl;
	}
	rdata = take(&builder->chunks, size);
	if (!rdata)
		return 0;
	rrset->rdata = rdata;
	rrset->size = size;
	for (size_t i = from; i < to; i++) {
		const struct record *record = &builder->records[i];
		size_t octets = 2U + *(const uint16_t *)record->rdata;

		if (i > from && !compare_records(record - 1, record))
			continue;
		memcpy(rdata, record->rdata, octets);
		rdata += octets;
	}
	return to;
}

static int check_name(struct zone_builder *builder, const struct zone_name *name)
{
	char text[256];

	for (size_t i = 0; i < name->rrset_count; i++) {
		if (name->rrsets[i].type != KNOT_RRTYPE_CNAME && name->rrsets[i].type != KNOT_RRTYPE_DNAME)
			continue;
		if (name->rrsets[i].count > 1)
			return fail(builder, "%s has more than one record",
			            describe(name->owner, name->rrsets[i].type, text, sizeof(text)));
		if (name->rrsets[i].type == KNOT_RRTYPE_DNAME)
			continue;
		for (size_t j = 0; j < name->rrset_count; j++) {
			uint16_t type = name->rrsets[j].type;

			if (type != KNOT_RRTYPE_CNAME && type != KNOT_RRTYPE_RRSIG && type != KNOT_RRTYPE_NSEC)
				return fail(builder, "%s stands beside other data",
				            describe(name->owner, KNOT_RRTYPE_CNAME, text, sizeof(text)));
		}
	}
	return 0;
}

static int gather_names(struct zone_builder *builder, struct zone_version *version)
{
	size_t rrset_room = 0, rrsets = 0, at = 0;
	struct zone_rrset *rrset;

	for (size_t i = 0; i < builder->count; i++) {
		const struct record *record = &builder->records[i];
		bool new_owner = !i || knot_dname_cmp(record->owner, record[-1].owner);

		version->name_count += new_owner;
		rrset_room += new_owner || record->type != record[-1].type;
	}
	version->names = take(&builder->chunks, version->name_count * sizeof(*version->names));
	rrset = take(&builder->chunks, rrset_room * sizeof(*rrset));
	if (!version->names || !rrset)
		return fail(builder, "out of memory");
	for (size_t i = 0; i < version->name_count; i++) {
		struct zone_name *name = &version->names[i];

		*name = (struct zone_name){.owner = builder->records[at].owner, .rrsets = &rrset[rrsets]};
		name->owner_length = knot_dname_size(name->owner);
		name->labels = knot_dname_labels(name->owner, NULL);
		while (at < builder->count && !knot_dname_cmp(builder->records[at].owner, name->owner)) {
			at = gather_rrset(builder, at, &rrset[rrsets++]);
			if (!at)
				return fail(builder, "out of memory");
			name->rrset_count++;
		}
		if (check_name(builder, name))
			return -1;
	}
	return 0;
}

static int check_apex(struct zone_builder *builder, struct zone_version *version)
{
	bool has_ns = false;

	if (!builder->has_soa)
		return fail(builder, "no SOA record");
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
		return fail(builder, "no NS record at the apex");
	return 0;
}

struct zone_version *zone_builder_finish(struct zone_builder *builder, char *why, size_t why_size)
{
	struct owned_version *owned = calloc(1, sizeof(*owned));
	int result = -1;

	if (!owned) {
		fail(builder, "out of memory");
	} else if (!builder->count) {
		fail(builder, "no records");
	} else {
		qsort(builder->records, builder->count, sizeof(*builder->records), compare_records);
		result = gather_names(builder, &owned->version);
		if (!result)
			result = check_apex(builder, &owned->version);
	}
	if (result) {
		snprintf(why, why_size, "%s", builder->error);
		free(owned);
		zone_builder_free(builder);
		return NULL;
	}
	owned->references = 1;
	owned->version.apex = builder->apex;
	owned->chunks = builder->chunks;
	builder->apex = NULL;
	builder->chunks = NULL;
	zone_builder_free(builder);
	return &owned->version;
}

void zone_ref(struct zone_version *version)
{
	atomic_fetch_add(&((struct owned_version *)version)->references, 1);
}

void zone_unref(struct zone_version *version)
{
	struct owned_version *owned = (struct owned_version *)version;

	if (!version || atomic_fetch_sub(&owned->references, 1) > 1)
		return;
	knot_dname_free(owned->version.apex, NULL);
	free_chunks(owned->chunks);
	free(owned);
}
