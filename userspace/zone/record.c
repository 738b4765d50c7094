/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zone/record.h"
#include "zone/octets.h"
#include "zone/rdata.h"
#include "zone/zone.h"

#include <libknot/libknot.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets of the first chunk; each is twice as large as the one before, up to the most. */
#define CHUNK_FIRST 2048U
#define CHUNK_MOST (1U << 20)

struct chunk {
	struct chunk *next;
	size_t used, size;
	uint8_t octets[];
};

void chunks_free(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void chunks_empty(struct chunk *chunks)
{
	if (!chunks)
		return;
	chunks_free(chunks->next);
	chunks->next = NULL;
	chunks->used = 0;
}

void chunks_join(struct chunk **chunks, struct chunk *others)
{
	while (*chunks)
		chunks = &(*chunks)->next;
	*chunks = others;
}

void *chunk_take(struct chunk **chunks, size_t size)
{
	struct chunk *chunk = *chunks;

	size = (size + 7) & ~(size_t)7;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = chunk ? 2 * chunk->size : CHUNK_FIRST;

		if (room > CHUNK_MOST)
			room = CHUNK_MOST;
		if (room < size)
			room = size;
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

int record_list_fail(struct record_list *list, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(list->error, sizeof(list->error), format, arguments);
	va_end(arguments);
	return -1;
}

const char *record_describe(const uint8_t *owner, uint16_t type, char *text, size_t size)
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

int record_list_init(struct record_list *list, const knot_dname_t *apex, uint64_t max_records)
{
	*list = (struct record_list){.max_records = max_records ? max_records : UINT32_MAX};
	list->apex = knot_dname_copy(apex, NULL);
	if (!list->apex)
		return -1;
	knot_dname_to_lower(list->apex);
	list->apex_length = knot_dname_size(list->apex);
	return 0;
}

void record_list_clear(struct record_list *list)
{
	chunks_free(list->chunks);
	knot_dname_free(list->apex, NULL);
	free(list->records);
	*list = (struct record_list){};
}

static size_t put_escaped(const uint8_t *label, uint8_t octets, uint8_t *out)
{
	size_t length = 0;

	for (uint8_t i = 0; i < octets; i++) {
		if (label[i] <= 1)
			out[length++] = 1;
		out[length++] = label[i] <= 1 ? label[i] + 1 : label[i];
	}
	return length;
}

size_t record_put_key(const uint8_t *name, uint8_t *key)
{
	const uint8_t *labels[KNOT_DNAME_MAXLABELS];
	size_t count = 0, length = 0;
	uint8_t *out = key + 2;

	for (; name[0]; name += name[0] + 1)
		labels[count++] = name;
	while (count--) {
		const uint8_t *label = labels[count] + 1;
		uint8_t octets = labels[count][0];

		if (octets_has_least(label, octets)) {
			length += put_escaped(label, octets, out + length);
		} else {
			memcpy(out + length, label, octets);
			length += octets;
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

/* Whether the record before has this owner, as is usual. The sort key stands right behind the owner. */
static bool same_owner(const struct record *last, const uint8_t *owner, size_t length)
{
	return (size_t)(last->key - last->owner) == length && !memcmp(last->owner, owner, length);
}

/* Copies the owner in lower case and its sort key, unless the record before has the same owner. */
static int take_owner(struct record_list *list, const knot_dname_t *owner, struct record *record)
{
	const struct record *last = list->count ? &list->records[list->count - 1] : list->like;
	knot_dname_storage_t lower;
	uint8_t key[RECORD_KEY_ROOM];
	size_t length = knot_dname_size(owner), key_size;
	bool same = last && same_owner(last, owner, length);
	uint8_t *copy;

	if (!same) {
		memcpy(lower, owner, length);
		octets_lower(lower, length);
		same = last && same_owner(last, lower, length);
	}
	if (same) {
		record->owner = last->owner;
		record->key = last->key;
		return 0;
	}
	if (!zone_has_name(list->apex, list->apex_length, lower, length)) {
		char text[RECORD_TEXT];

		return record_list_fail(list, "%s is outside the zone",
		                        record_describe(owner, record->type, text, sizeof(text)));
	}
	key_size = record_put_key(lower, key);
	copy = chunk_take(&list->chunks, length + key_size);
	if (!copy)
		return record_list_fail(list, "out of memory");
	memcpy(copy, lower, length);
	memcpy(copy + length, key, key_size);
	record->owner = copy;
	record->key = copy + length;
	return 0;
}

static int make_room(struct record_list *list)
{
	size_t room = list->room ? list->room * 2 : 64;
	struct record *records;

	if (list->count >= list->max_records)
		return record_list_fail(list, "more than %llu records", (unsigned long long)list->max_records);
	if (list->count < list->room)
		return 0;
	records = realloc(list->records, room * sizeof(*records));
	if (!records)
		return record_list_fail(list, "out of memory");
	list->records = records;
	list->room = room;
	return 0;
}

struct record *record_list_add(struct record_list *list, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                               const uint8_t *rdata, uint16_t rdata_length)
{
	struct record record = {.type = type, .ttl = ttl > INT32_MAX ? 0 : ttl}; /* RFC 2181 section 8 */
	uint8_t *copy;
	char text[RECORD_TEXT];

	if (!zone_rdata_ok(type, rdata, rdata_length)) {
		record_list_fail(list, "%s has malformed data", record_describe(owner, type, text, sizeof(text)));
		return NULL;
	}
	if (take_owner(list, owner, &record) || make_room(list))
		return NULL;
	copy = chunk_take(&list->chunks, sizeof(rdata_length) + rdata_length);
	if (!copy) {
		record_list_fail(list, "out of memory");
		return NULL;
	}
	memcpy(copy, &rdata_length, sizeof(rdata_length));
	memcpy(copy + sizeof(rdata_length), rdata, rdata_length);
	record.rdata = copy;
	list->records[list->count] = record;
	return &list->records[list->count++];
}

bool record_same_rdata(const uint8_t *stored, const uint8_t *rdata, uint16_t length)
{
	uint16_t stored_length;

	memcpy(&stored_length, stored, sizeof(stored_length));
	return stored_length == length && !memcmp(stored + sizeof(stored_length), rdata, length);
}

static int compare_octets(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

int record_compare_keys(const uint8_t *a, const uint8_t *b)
{
	return a == b ? 0 : compare_octets(a + 2, key_length(a), b + 2, key_length(b));
}

int record_compare(const void *left, const void *right)
{
	const struct record *a = left, *b = right;
	uint16_t a_length, b_length;
	int order = record_compare_keys(a->key, b->key);

	if (order)
		return order;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	memcpy(&a_length, a->rdata, sizeof(a_length));
	memcpy(&b_length, b->rdata, sizeof(b_length));
	return compare_octets(a->rdata + 2, a_length, b->rdata + 2, b_length);
}
