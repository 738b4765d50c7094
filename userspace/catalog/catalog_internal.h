/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside this room. */
#ifndef PEREGRINE_CATALOG_INTERNAL_H
#define PEREGRINE_CATALOG_INTERNAL_H

#include "catalog/catalog.h"

/* Memory that is given back with the catalog. */
struct catalog_chunk {
	struct catalog_chunk *next;
	size_t used, room;
	uint8_t octets[] __attribute__((aligned(8)));
};
/* NULL when memory is short. */
void *catalog_take(struct catalog *catalog, size_t size);

#endif
