/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes are kept as they come, each with its step: an even one takes away, the odd one after it adds. To apply them
 * all at once, records and changes are put in one order, and each record's own changes are gone through by their steps.
 * So it takes one pass, however many differences there are, and each is checked as if it had been applied alone.
 */
#include "zone/change.h"
#include "zone/record.h"

#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct zone_changes {
	struct record_list list;
	struct record soa;   /* the last one; its rdata is NULL until there is one */
	struct record *soas; /* all of them */
	size_t soa_count, soa_room;
	uint32_t from;
	uint32_t differences;
	bool sorted;
};

struct zone_changes *zone_changes_new(const knot_dname_t *apex, uint32_t from, uint64_t max_records)
{
	struct zone_changes *changes = calloc(1, sizeof(*changes));

	if (changes && !record_list_init(&changes->list, apex, max_records)) {
		changes->from = from;
		return changes;
	}
	free(changes);
	return NULL;
}

void zone_changes_free(struct zone_changes *changes)
{
	if (!changes)
		return;
	record_list_clear(&changes->list);
	free(changes->soas);
	free(changes);
}

const char *zone_changes_error(const struct zone_changes *changes)
{
	return changes->list.error;
}

const knot_dname_t *zone_changes_apex(const struct zone_changes *changes)
{
	return changes->list.apex;
}

uint32_t zone_changes_from(const struct zone_changes *changes)
{
	return changes->from;
}

int zone_changes_next(struct zone_changes *changes)
{
	if (changes->differences > UINT16_MAX / 2)
		return record_list_fail(&changes->list, "more than %u differences", UINT16_MAX / 2 + 1);
	changes->differences++;
	return 0;
}

static int put(struct zone_changes *changes, bool adds, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
               const uint8_t *rdata, uint16_t rdata_length)
{
	struct record *record = record_list_add(&changes->list, owner, type, ttl, rdata, rdata_length);

	if (!record)
		return -1;
	record->step = (changes->differences - 1) * 2 + adds;
	changes->sorted = false;
	return 0;
}

int zone_changes_remove(struct zone_changes *changes, const knot_dname_t *owner, uint16_t type, const uint8_t *rdata,
                        uint16_t rdata_length)
{
	return put(changes, false, owner, type, 0, rdata, rdata_length);
}

int zone_changes_add(struct zone_changes *changes, const knot_dname_t *owner, uint16_t type, uint32_t ttl,
                     const uint8_t *rdata, uint16_t rdata_length)
{
	return put(changes, true, owner, type, ttl, rdata, rdata_length);
}

/* Notes the SOA that came last among all of them. */
static int keep_soa(struct zone_changes *changes)
{
	if (changes->soa_count == changes->soa_room) {
		size_t room = changes->soa_room ? changes->soa_room * 2 : 4;
		struct record *soas = realloc(changes->soas, room * sizeof(*soas));

		if (!soas)
			return record_list_fail(&changes->list, "out of memory");
		changes->soas = soas;
		changes->soa_room = room;
	}
	changes->soas[changes->soa_count++] = changes->soa;
	return 0;
}

int zone_changes_soa(struct zone_changes *changes, uint32_t ttl, const uint8_t *rdata, uint16_t rdata_length)
{
	struct record *record =
	    record_list_add(&changes->list, changes->list.apex, KNOT_RRTYPE_SOA, ttl, rdata, rdata_length);

	if (!record)
		return -1;
	changes->soa = *record;
	changes->soa.step = (changes->differences - 1) * 2 + 1;
	/* It stands apart from the others; what it holds stays where it is. */
	changes->list.count--;
	return keep_soa(changes);
}

static struct zone_change change_of(const struct record *record)
{
	return (struct zone_change){.owner = record->owner,
	                            .rdata = record->rdata,
	                            .ttl = record->ttl,
	                            .type = record->type,
	                            .difference = record->step / 2,
	                            .adds = record->step & 1};
}

static int visit_record(const struct record *record, int (*visit)(void *context, const struct zone_change *change),
                        void *context)
{
	const struct zone_change change = change_of(record);

	return visit(context, &change);
}

int zone_changes_each(const struct zone_changes *changes, int (*visit)(void *context, const struct zone_change *change),
                      void *context)
{
	int result = 0;

	for (size_t i = 0; !result && i < changes->list.count; i++)
		result = visit_record(&changes->list.records[i], visit, context);
	for (size_t i = 0; !result && i < changes->soa_count; i++)
		result = visit_record(&changes->soas[i], visit, context);
	return result;
}

size_t zone_changes_count(const struct zone_changes *changes)
{
	return changes->list.count + changes->soa_count;
}

/* By record, then by step. */
static int compare_changes(const void *left, const void *right)
{
	const struct record *a = left, *b = right;
	int order = record_compare(a, b);

	return order ? order : (a->step > b->step) - (a->step < b->step);
}

static int sort_changes(struct zone_changes *changes)
{
	if (!changes->sorted && record_list_sort(&changes->list, compare_changes))
		return -1;
	changes->sorted = true;
	return 0;
}

int zone_changes_sort(struct zone_changes *changes)
{
	return sort_changes(changes);
}

size_t zone_changes_sorted(const struct zone_changes *changes)
{
	return changes->list.count;
}

struct zone_change zone_changes_at(const struct zone_changes *changes, size_t number)
{
	return change_of(&changes->list.records[number]);
}

struct zone_changes *zone_changes_some(const struct zone_changes *changes, bool (*wanted)(void *context, size_t number),
                                       void *context)
{
	struct zone_changes *some = zone_changes_new(changes->list.apex, changes->from, changes->list.max_records);

	if (!some)
		return NULL;
	some->list.records = calloc(changes->list.count + 1, sizeof(*some->list.records));
	some->soas = calloc(changes->soa_count + 1, sizeof(*some->soas));
	if (!some->list.records || !some->soas) {
		zone_changes_free(some);
		return NULL;
	}
	some->list.room = changes->list.count + 1;
	for (size_t i = 0; i < changes->list.count; i++)
		if (wanted(context, i))
			some->list.records[some->list.count++] = changes->list.records[i];
	if (changes->soa_count)
		memcpy(some->soas, changes->soas, changes->soa_count * sizeof(*some->soas));
	some->soa_count = some->soa_room = changes->soa_count;
	some->soa = changes->soa;
	some->differences = changes->differences;
	some->sorted = changes->sorted;
	return some;
}

int zone_changes_each_sorted(struct zone_changes *changes,
                             int (*visit)(void *context, const struct zone_change *change), void *context)
{
	int result = sort_changes(changes);

	for (size_t i = 0; !result && i < changes->list.count; i++)
		result = visit_record(&changes->list.records[i], visit, context);
	return result;
}

/* The merge of a version's records with their changes. */
struct merge {
	struct zone_builder *base;
	const struct zone_changes *changes;
	struct record *records; /* that come out */
	size_t count, at, end;  /* `at`: the next change; `end`: behind the last */
};

static int misfit(struct merge *merge, const char *what, const struct record *record)
{
	char text[RECORD_TEXT];

	return record_list_fail(&merge->base->list, "%s: %s", what,
	                        record_describe(record->owner, record->type, text, sizeof(text)));
}

/* Adds a record to those that come out. Of an RRset all have to have one TTL, or it would be a matter of guessing which
 * one the primary gives them (RFC 2181 section 5.2); RRSIGs go by what they sign. */
static int put_out(struct merge *merge, const struct record *record)
{
	const struct record *last = merge->count ? &merge->records[merge->count - 1] : NULL;

	if (last && record->type != KNOT_RRTYPE_RRSIG && last->ttl != record->ttl && last->type == record->type &&
	    !record_compare_keys(last->key, record->key))
		return misfit(merge, "an RRset would have two TTLs", record);
	merge->records[merge->count++] = *record;
	return 0;
}

/* Goes through the changes of one record; `present` is the record as it is in the version, or NULL. */
static int merge_record(struct merge *merge, const struct record *present)
{
	const struct record_list *changes = &merge->changes->list;
	const struct record *first = &changes->records[merge->at];

	for (; merge->at < merge->end; merge->at++) {
		const struct record *change = &changes->records[merge->at];
		bool adds = change->step & 1;

		if (record_compare(change, first))
			break;
		if (adds && present)
			return misfit(merge, "a record is to be added that is there", change);
		if (!adds && !present)
			return misfit(merge, "a record is to be removed that is not there", change);
		present = adds ? change : NULL;
	}
	return present ? put_out(merge, present) : 0;
}

static int merge_all(struct merge *merge)
{
	const struct record_list *list = &merge->base->list, *changes = &merge->changes->list;

	for (size_t i = 0; i < list->count; i++) {
		const struct record *record = &list->records[i];
		int order = -1;

		if (record->type == KNOT_RRTYPE_SOA || (i && !record_compare(record, record - 1)))
			continue;
		while (merge->at < merge->end && (order = record_compare(&changes->records[merge->at], record)) < 0)
			if (merge_record(merge, NULL))
				return -1;
		if (merge->at < merge->end && !order) {
			if (merge_record(merge, record))
				return -1;
		} else if (put_out(merge, record)) {
			return -1;
		}
	}
	while (merge->at < merge->end)
		if (merge_record(merge, NULL))
			return -1;
	return 0;
}

/* The builder's records become those that come out, with the new SOA. */
static void take_over(struct merge *merge)
{
	struct record_list *list = &merge->base->list;

	merge->records[merge->count++] = merge->changes->soa;
	merge->base->has_soa = true;
	merge->base->soa_index = merge->count - 1;
	free(list->records);
	list->records = merge->records;
	list->count = list->room = merge->count;
}

/* `others`: records that the zone has besides. */
static int apply(struct zone_changes *whole, struct merge *merge, uint64_t others)
{
	struct record_list *list = &merge->base->list, *changes = &whole->list;

	if (!whole->soa.rdata)
		return record_list_fail(list, "no SOA to lead to");
	if (!knot_dname_is_equal(list->apex, changes->apex))
		return record_list_fail(list, "they are another zone's");
	if (record_list_sort(list, record_compare) || sort_changes(whole))
		return record_list_fail(list, "out of memory");
	merge->end = changes->count;
	merge->records = calloc(list->count + changes->count + 1, sizeof(*merge->records));
	if (!merge->records)
		return record_list_fail(list, "out of memory");
	if (merge_all(merge)) {
		free(merge->records);
		return -1;
	}
	take_over(merge);
	if (list->count + others > changes->max_records)
		return record_list_fail(list, "more than %llu records", (unsigned long long)changes->max_records);
	return 0;
}

struct zone_version *zone_changes_apply(struct zone_changes *changes, struct zone_builder *base, char *why,
                                        size_t why_size)
{
	struct merge merge = {.base = base, .changes = changes};

	if (!apply(changes, &merge, 0)) {
		chunks_join(&base->list.chunks, changes->list.chunks);
		changes->list.chunks = NULL;
		zone_changes_free(changes);
		return zone_builder_finish(base, why, why_size);
	}
	snprintf(why, why_size, "%s", zone_builder_error(base));
	zone_changes_free(changes);
	zone_builder_free(base);
	return NULL;
}

struct zone_version *zone_changes_apply_part(struct zone_changes *changes, struct zone_builder *base, uint64_t others,
                                             char *why, size_t why_size)
{
	struct merge merge = {.base = base, .changes = changes};

	if (!apply(changes, &merge, others))
		return zone_builder_finish(base, why, why_size);
	snprintf(why, why_size, "%s", zone_builder_error(base));
	zone_builder_free(base);
	return NULL;
}

struct zone_patch {
	const struct zone_changes *changes;
	struct zone_builder *builder;
	struct record *records; /* to merge into */
	size_t room, first;
};

struct zone_patch *zone_patch_new(const struct zone_changes *changes)
{
	struct zone_patch *patch = calloc(1, sizeof(*patch));

	if (!patch)
		return NULL;
	patch->changes = changes;
	patch->builder = zone_builder_new(changes->list.apex, 0);
	if (patch->builder)
		return patch;
	free(patch);
	return NULL;
}

void zone_patch_free(struct zone_patch *patch)
{
	if (!patch)
		return;
	zone_builder_free(patch->builder);
	free(patch->records);
	free(patch);
}

struct zone_builder *zone_patch_begin(struct zone_patch *patch, size_t first)
{
	struct record_list *list = &patch->builder->list;

	chunks_empty(list->chunks);
	list->count = 0;
	/* What is the same memory is soon compared. */
	list->like = &patch->changes->list.records[first];
	patch->first = first;
	return patch->builder;
}

/* Makes room for as many records as can come out. */
static int make_room(struct zone_patch *patch, size_t count)
{
	struct record *records;

	if (count <= patch->room)
		return 0;
	records = realloc(patch->records, count * 2 * sizeof(*records));
	if (!records)
		return -1;
	patch->records = records;
	patch->room = count * 2;
	return 0;
}

/* The next record of another type, of those from `at` on. */
static size_t next_type(const struct record *records, size_t count, size_t at)
{
	uint16_t type = records[at].type;

	while (at < count && records[at].type == type)
		at++;
	return at;
}

/* Whether two lists of a name's records in order have the same types, signatures aside. */
static bool have_same_types(const struct record *a, size_t a_count, const struct record *b, size_t b_count)
{
	size_t i = 0, j = 0;

	while (true) {
		if (i < a_count && a[i].type == KNOT_RRTYPE_RRSIG)
			i = next_type(a, a_count, i);
		if (j < b_count && b[j].type == KNOT_RRTYPE_RRSIG)
			j = next_type(b, b_count, j);
		if (i == a_count || j == b_count)
			return i == a_count && j == b_count;
		if (a[i].type != b[j].type)
			return false;
		i = next_type(a, a_count, i);
		j = next_type(b, b_count, j);
	}
}

int zone_patch_apply(struct zone_patch *patch, size_t count, struct zone_name *name, bool *same_types, int *more)
{
	struct record_list *list = &patch->builder->list;
	struct merge merge = {
	    .base = patch->builder, .changes = patch->changes, .at = patch->first, .end = patch->first + count};
	struct zone_rrset *rrsets;
	size_t at = 0, room;

	if (record_list_sort(list, record_compare) || make_room(patch, list->count + count))
		return -1;
	merge.records = patch->records;
	if (merge_all(&merge) || !merge.count)
		return -1;
	*same_types = have_same_types(list->records, list->count, merge.records, merge.count);
	*more = (int)merge.count - (int)list->count;
	/* What came out takes the place of what was read. */
	room = list->room;
	patch->records = list->records;
	list->records = merge.records;
	list->room = patch->room;
	patch->room = room;
	list->count = merge.count;
	rrsets = chunk_take(&list->chunks, merge.count * sizeof(*rrsets));
	return rrsets ? zone_gather_name(patch->builder, &at, rrsets, name) : -1;
}
