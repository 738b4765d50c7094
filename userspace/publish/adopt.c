/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking up an image that another run of the agent left, at whatever moment it ended. */
#include "publish/order.h"
#include "common/log.h"
#include "compile/node.h"

static int adopt_zone(struct image *image, uint32_t slot)
{
	struct pg_zone *zone = image_zone(image, slot);
	const struct pg_head *head;

	if (!(zone->flags & PG_ZONE_IN_USE))
		return 0;
	if (zone->labels >= PG_DEPTHS_MAX || !zone->name_length)
		return -1;
	/* A removal that was cut short: the zone is hidden already, its nodes are swept below. */
	if (image_find_zone(image, zone->name) != (int64_t)slot) {
		zone->flags = 0;
		return 0;
	}
	/* It may have been added at the moment when its agent died. */
	image_add_depth(image, zone->labels);
	if (image_mark_parents(image, zone))
		return -1;
	if (!zone->head.ref)
		return 0;
	if (!segments_has(&image->segments, zone->head.ref, sizeof(*head)))
		return -1;
	head = segments_at(&image->segments, zone->head.ref);
	if (head->zone != slot || segments_mark(&image->segments, zone->head.ref, head->units))
		return -1;
	zone->serial = head->serial;
	/* The nodes come in no order; they are put in order when they first have to be. */
	image->zone_data[slot].roll.mixed = true;
	return 0;
}

/* The cell of a node: one that is committed is kept, else the one before it, else none. */
static int adopt_cell(struct image *image, struct pg_cell *cell)
{
	pg_ref ref = cell->ref;

	for (int i = 0; i < 2 && ref; i++) {
		const struct pg_node *node;
		uint32_t slot;
		pg_ref order;

		if (!segments_has(&image->segments, ref, sizeof(*node)))
			return -1;
		node = segments_at(&image->segments, ref);
		slot = node->zone;
		if (slot >= image->zones.entries)
			return -1;
		if (!(image_zone(image, slot)->flags & PG_ZONE_IN_USE) || !image_head(image, slot).ref)
			break;
		if (node->since > image_head(image, slot).version) {
			ref = node->previous;
			continue;
		}
		if (node->flags & PG_NODE_ABSENT)
			break;
		if (ref != cell->ref)
			cell_store(cell, cell->tag, ref);
		if (segments_mark(&image->segments, ref, node->units) || roll_put(&image->zone_data[slot].roll, ref))
			return -1;
		image->zone_data[slot].cold += ref >= PG_COLD && node->role == PG_ROLE_NAME;
		order = node_below(node).order;
		return order ? order_mark(image, order) : 0;
	}
	buckets_remove(&image->index, cell);
	return 0;
}

int image_adopt(struct image *image)
{
	size_t zones = 0;

	for (uint32_t slot = 0; slot < image->zones.entries; slot++) {
		if (adopt_zone(image, slot))
			return -1;
		zones += image_zone(image, slot)->flags & PG_ZONE_IN_USE;
	}
	for (uint32_t i = 0; i < image->index.table.entries; i++)
		for (int j = 0; j < PG_BUCKET_CELLS; j++) {
			struct pg_bucket *bucket = (struct pg_bucket *)image->index.table.memory + i;

			if (bucket->cell[j].ref && adopt_cell(image, &bucket->cell[j]))
				return -1;
		}
	/* Nobody may still read what was swept: the next publication could write there. */
	image_wait_readers(image);
	log_info("%s: took up the pinned image: %zu zones, %u segments, %u of them cold", image->pins, zones,
	         image->segments.warm.count + image->segments.cold.count, image->segments.cold.count);
	return 0;
}
