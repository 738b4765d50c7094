/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zone records: finding, adding, removing. */
#include "publish/order.h"
#include "common/log.h"
#include "compile/node.h"
#include "engine/engine.h"

#include <libknot/dname.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* A larger table is to wait for the program's readers, so it is made with some more: so many, and such a part. */
#define SPARE_SLOTS 16
#define SPARE_PART 8

static uint64_t zone_hash(const struct image *image, const uint8_t *apex)
{
	return engine_hash(image->settings, PG_ROLE_ZONE, 0, apex, knot_dname_size(apex));
}

static struct pg_cell *find_zone_cell(const struct image *image, const uint8_t *apex)
{
	uint64_t hash = zone_hash(image, apex);
	struct pg_cell *cell;

	for (uint32_t position = 0; (cell = buckets_next(&image->zone_index, hash, &position));) {
		const struct pg_zone *zone = image_zone(image, cell->ref - 1);

		if (knot_dname_is_equal(zone->name, apex))
			return cell;
	}
	return NULL;
}

int64_t image_find_zone(const struct image *image, const uint8_t *apex)
{
	const struct pg_cell *cell = find_zone_cell(image, apex);

	return cell ? (int64_t)cell->ref - 1 : -1;
}

/* Puts a label count into the descending list in the settings. A reader may meet a count twice while the list moves,
 * but never misses one. For that it never shrinks: a count of which no zone is left costs a look-up. */
void image_add_depth(struct image *image, uint8_t depth)
{
	struct pg_settings *settings = image->settings;
	uint32_t count = settings->depth_count, at = 0;

	while (at < count && settings->depths[at] > depth)
		at++;
	if (at < count && settings->depths[at] == depth)
		return;
	settings->depths[count] = count ? settings->depths[count - 1] : depth;
	__atomic_store_n(&settings->depth_count, count + 1, __ATOMIC_RELEASE);
	for (uint32_t i = count; i > at; i--)
		__atomic_store_n(&settings->depths[i], settings->depths[i - 1], __ATOMIC_RELEASE);
	__atomic_store_n(&settings->depths[at], depth, __ATOMIC_RELEASE);
}

/* A name that zones are served below. */
struct ancestor {
	size_t length;
	const uint8_t *name;
};

static int compare_ancestors(const void *left, const void *right)
{
	const struct ancestor *a = left, *b = right;

	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return memcmp(a->name, b->name, a->length);
}

static int note_ancestor(struct image *image, const uint8_t *name)
{
	const struct ancestor key = {knot_dname_size(name), name};
	struct ancestor *made;
	uint8_t *copy;

	if (tfind(&key, &image->ancestors, compare_ancestors))
		return 0;
	made = malloc(sizeof(*made) + key.length);
	if (!made)
		return -1;
	copy = memcpy(made + 1, name, key.length);
	*made = (struct ancestor){key.length, copy};
	if (tsearch(made, &image->ancestors, compare_ancestors))
		return 0;
	free(made);
	return -1;
}

/* Marks the zones above this one, and this one if there are zones below, before anyone can find it: a name found in a
 * zone that is not marked belongs to no other. Nothing is taken back when zones go. */
int image_mark_parents(struct image *image, struct pg_zone *zone)
{
	const struct ancestor key = {zone->name_length, zone->name};

	if (tfind(&key, &image->ancestors, compare_ancestors))
		zone->flags |= PG_ZONE_PARENT;
	for (const uint8_t *name = zone->name; name[0];) {
		int64_t above;

		name += name[0] + 1;
		if (note_ancestor(image, name))
			return -1;
		above = image_find_zone(image, name);
		if (above >= 0)
			image_zone(image, above)->flags |= PG_ZONE_PARENT;
	}
	return 0;
}

void image_free_ancestors(struct image *image)
{
	tdestroy(image->ancestors, free);
	image->ancestors = NULL;
}

/* Room for so many zones, and some more. */
static int grow_zones(struct image *image, uint64_t zones)
{
	struct table old = image->zones, table;

	if (zones > IMAGE_ZONES_MAX) {
		log_error("more than %u zones", IMAGE_ZONES_MAX);
		return -1;
	}
	zones += SPARE_SLOTS + zones / SPARE_PART;
	if (zones > IMAGE_ZONES_MAX)
		zones = IMAGE_ZONES_MAX;
	if (table_make(&table, old.kind, old.map, old.pins, zones))
		return -1;
	memcpy(table.memory, old.memory, (size_t)old.entries * sizeof(struct pg_zone));
	image->zones = table;
	if (table_show(&image->zones, NULL) || image_renew_view(image)) {
		image->zones = old;
		table_close(&table);
		return -1;
	}
	table_close(&old);
	return 0;
}

static int grow_zone_index(struct image *image, uint32_t count)
{
	struct buckets old = image->zone_index, table;

	if (buckets_make(&table, old.table.kind, old.table.map, old.table.pins, count))
		return -1;
	for (uint32_t slot = 0; slot < image->zones.entries; slot++) {
		const struct pg_zone *zone = image_zone(image, slot);

		/* Not those that are hidden and wait to be dropped. */
		if (zone->flags & PG_ZONE_IN_USE && image_find_zone(image, zone->name) == (int64_t)slot &&
		    !buckets_insert(&table, zone_hash(image, zone->name), slot + 1)) {
			table_close(&table.table);
			return -1;
		}
	}
	if (image_replace_buckets(image, &image->zone_index, &table, &image->settings->zone_index_order))
		return -1;
	image_wait_readers(image);
	table_drop(&image->zone_index.table, old.table.slot);
	return 0;
}

static int64_t free_slot(struct image *image)
{
	/* Once round from where the last one was found. */
	for (uint32_t i = 0; i < image->zones.entries; i++) {
		uint32_t slot = (image->zone_cursor + i) % image->zones.entries;

		if (!(image_zone(image, slot)->flags & PG_ZONE_IN_USE)) {
			image->zone_cursor = slot + 1;
			return slot;
		}
	}
	/* The first of those that are new. */
	image->zone_cursor = image->zones.entries;
	if (grow_zones(image, image->zones.entries + 1ULL))
		return -1;
	return image->zone_cursor++;
}

void image_expect_zones(struct image *image, uint64_t zones)
{
	uint32_t buckets = image->zone_index.mask + 1;

	if (zones > IMAGE_ZONES_MAX)
		zones = IMAGE_ZONES_MAX;
	/* Whatever cannot be had now is looked for again when it is needed. */
	if (zones > image->zones.entries)
		grow_zones(image, zones);
	while (buckets_too_few(buckets, zones))
		buckets *= 2;
	if (buckets > image->zone_index.mask + 1)
		grow_zone_index(image, buckets);
}

int64_t image_add_zone(struct image *image, const uint8_t *apex)
{
	int64_t slot = image_find_zone(image, apex);
	size_t labels = knot_dname_labels(apex, NULL);
	struct pg_zone *zone;

	if (slot >= 0)
		return slot;
	slot = free_slot(image);
	if (slot < 0)
		return -1;
	zone = image_zone(image, slot);
	memset(zone, 0, sizeof(*zone));
	zone->labels = labels;
	zone->name_length = knot_dname_size(apex);
	memcpy(zone->name, apex, zone->name_length);
	if (!knot_dname_to_str(zone->text, apex, sizeof(zone->text)))
		memcpy(zone->text, "(long name)", sizeof("(long name)"));
	zone->flags = PG_ZONE_IN_USE;
	if (image_mark_parents(image, zone)) {
		zone->flags = 0;
		return -1;
	}
	zone_counters_clear(image->zone_counters, slot);
	while (buckets_crowded(&image->zone_index, 1) ||
	       !buckets_insert(&image->zone_index, zone_hash(image, apex), slot + 1))
		if (grow_zone_index(image, (image->zone_index.mask + 1) * 2)) {
			zone->flags = 0;
			return -1;
		}
	image_add_depth(image, labels);
	return slot;
}

int64_t image_hide_zone(struct image *image, const uint8_t *apex)
{
	struct pg_cell *cell = find_zone_cell(image, apex);
	uint32_t slot;

	if (!cell)
		return -1;
	slot = cell->ref - 1;
	image_zone(image, slot)->flags |= PG_ZONE_HIDDEN;
	buckets_remove(&image->zone_index, cell);
	return slot;
}

static void remove_cells(struct image *image, uint32_t slot)
{
	const struct image_zone *data = &image->zone_data[slot];
	pg_ref ref;

	for (struct roll_place at = {}; (ref = roll_get(&data->roll, at)); at = roll_next(&data->roll, at)) {
		struct pg_cell *cell = image_find_cell(image, segments_at(&image->segments, ref));

		if (cell)
			buckets_remove(&image->index, cell);
	}
}

static void give_back(struct image *image, uint32_t slot)
{
	struct image_zone *data = &image->zone_data[slot];
	struct pg_commit head;
	pg_ref ref;

	pthread_mutex_lock(&image->zones_lock);
	head = image_head(image, slot);
	pthread_mutex_unlock(&image->zones_lock);
	for (struct roll_place at = {}; (ref = roll_get(&data->roll, at)); at = roll_next(&data->roll, at)) {
		const struct pg_node *node = segments_at(&image->segments, ref);
		pg_ref order = node_below(node).order;

		if (order)
			order_free(image, order);
		segments_free(&image->segments, ref, node->units);
	}
	if (head.ref) {
		const struct pg_head *record = segments_at(&image->segments, head.ref);

		segments_free(&image->segments, head.ref, record->units);
	}
	image_zone_free(data);
	pthread_mutex_lock(&image->zones_lock);
	memset(image_zone(image, slot), 0, sizeof(struct pg_zone));
	pthread_mutex_unlock(&image->zones_lock);
}

void image_drop_zones(struct image *image, const uint32_t *slots, size_t count)
{
	image_wait_readers(image);
	for (size_t i = 0; i < count; i++)
		remove_cells(image, slots[i]);
	image_wait_readers(image);
	for (size_t i = 0; i < count; i++)
		give_back(image, slots[i]);
}
