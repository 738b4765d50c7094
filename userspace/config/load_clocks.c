/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounds on a zone's clocks. */
#include "config/load.h"

#define MOST 31536000 /* a year */

static void load_bounds(struct load *load, const yaml_node_t *mapping, const char *least_key, const char *least_text,
                        uint32_t *least, const char *most_key, const char *most_text, uint32_t *most)
{
	const yaml_node_t *node = document_field(&load->document, mapping, most_key);

	*least = (uint32_t)load_number(load, mapping, least_key, least_text, 1, MOST, *least);
	*most = (uint32_t)load_number(load, mapping, most_key, most_text, 1, MOST, *most);
	if (*most == 0 || *least <= *most)
		return;
	document_error(&load->document, node ? node : document_field(&load->document, mapping, least_key),
	               "%s is %u, which is more than %s, %u; raise the one or lower the other", least_key, *least,
	               most_key, *most);
}

void load_clocks(struct load *load, const struct raw_clocks *raw, const yaml_node_t *mapping,
                 struct config_clocks *clocks)
{
	load_bounds(load, mapping, "refresh-min", raw->refresh_min, &clocks->refresh_min, "refresh-max",
	            raw->refresh_max, &clocks->refresh_max);
	load_bounds(load, mapping, "retry-min", raw->retry_min, &clocks->retry_min, "retry-max", raw->retry_max,
	            &clocks->retry_max);
	load_bounds(load, mapping, "expire-min", raw->expire_min, &clocks->expire_min, "expire-max", raw->expire_max,
	            &clocks->expire_max);
}
