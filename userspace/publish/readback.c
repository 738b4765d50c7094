/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile/readback.h"
#include "publish/image_internal.h"

struct zone_builder *image_read_back(const struct image *image, uint32_t slot)
{
	const struct roll *roll = &image->zone_data[slot].roll;
	struct zone_builder *builder = zone_builder_new(image_zone(image, slot)->name, 0);

	pg_ref ref;

	for (struct roll_place at = {}; builder && (ref = roll_get(roll, at)); at = roll_next(roll, at)) {
		if (readback_node(segments_at(&image->segments, ref), builder)) {
			zone_builder_free(builder);
			builder = NULL;
		}
	}
	return builder;
}
