/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile/readback.h"
#include "publish/image_internal.h"

struct zone_builder *image_read_back(const struct image *image, uint32_t slot)
{
	const struct image_zone *data = &image->zone_data[slot];
	struct zone_builder *builder = zone_builder_new(image_zone(image, slot)->name, 0);

	for (size_t i = 0; builder && i < data->count; i++) {
		const struct pg_node *node = segments_at(&image->segments, data->nodes[i]);

		if (readback_node(node, builder)) {
			zone_builder_free(builder);
			builder = NULL;
		}
	}
	return builder;
}
