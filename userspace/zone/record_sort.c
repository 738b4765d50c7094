/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records come from primaries nearly in order: names in canonical order, perhaps those of NSEC3 behind all others, and
 * of each name the types in any. So runs that are in order are found, with each name put in order by itself, and
 * merged.
 */
#include "zone/record.h"

#include <stdlib.h>
#include <string.h>

/* Puts the records of one owner in order, which are few. */
static void sort_name(struct record *records, size_t count, record_order compare)
{
	if (count > 32) {
		qsort(records, count, sizeof(*records), compare);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		const struct record record = records[i];
		size_t at = i;

		for (; at && compare(&record, &records[at - 1]) < 0; at--)
			records[at] = records[at - 1];
		records[at] = record;
	}
}

/* The end of the run that begins at `from`; it is in order then. */
static size_t take_run(struct record_list *list, size_t from, record_order compare)
{
	struct record *records = list->records;

	for (size_t first = from, i = from + 1;; i++) {
		int order = i < list->count ? record_compare_keys(records[i - 1].key, records[i].key) : 1;

		if (!order)
			continue;
		sort_name(&records[first], i - first, compare);
		if (order > 0)
			return i;
		first = i;
	}
}

/* Merges two runs, which stand one behind the other, into `out`. */
static void merge(const struct record *left, size_t left_count, const struct record *right, size_t right_count,
                  struct record *out, record_order compare)
{
	while (left_count && right_count) {
		if (compare(left, right) <= 0) {
			*out++ = *left++;
			left_count--;
		} else {
			*out++ = *right++;
			right_count--;
		}
	}
	memcpy(out, left, left_count * sizeof(*out));
	memcpy(out + left_count, right, right_count * sizeof(*out));
}

/* Merges every two runs; `ends` of them become half as many. */
static size_t merge_pairs(const struct record *from, size_t *ends, size_t count, struct record *to,
                          record_order compare)
{
	size_t merged = 0, start = 0;

	for (size_t i = 0; i < count; i += 2) {
		size_t middle = ends[i], end = i + 1 < count ? ends[i + 1] : middle;

		merge(from + start, middle - start, from + middle, end - middle, to + start, compare);
		ends[merged++] = start = end;
	}
	return merged;
}

static int merge_runs(struct record_list *list, size_t *ends, size_t count, record_order compare)
{
	struct record *other = malloc(list->count * sizeof(*other));

	if (!other)
		return -1;
	while (count > 1) {
		struct record *records = list->records;

		count = merge_pairs(records, ends, count, other, compare);
		list->records = other;
		other = records;
		list->room = list->count;
	}
	free(other);
	return 0;
}

int record_list_sort(struct record_list *list, record_order compare)
{
	size_t *ends = NULL, count = 0, room = 0, at = list->count ? take_run(list, 0, compare) : 0;
	int result;

	while (at < list->count) {
		if (count + 1 >= room) {
			size_t *grown;

			room = room ? room * 2 : 16;
			grown = realloc(ends, room * sizeof(*ends));
			if (!grown)
				break;
			ends = grown;
		}
		ends[count++] = at;
		at = take_run(list, at, compare);
	}
	result = at < list->count ? -1 : 0;
	if (!result && count) {
		ends[count++] = at;
		result = merge_runs(list, ends, count, compare);
	}
	free(ends);
	return result ? record_list_fail(list, "out of memory") : 0;
}
