/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index as the publisher uses it: which cell leads to a node, and growing. */
#include "engine/engine.h"
#include "publish/image_internal.h"

#include <libknot/dname.h>
#include <string.h>

/* How sparse the index may become, in cells a name, before it is the names' fault; and what a small one may have. */
#define SPARSEST 16
#define SMALL_CELLS 8192
/* How much of a new one's cells may be in use: less than of one that is replaced (buckets_crowded), lest the next names
 * have it made once more. */
#define FULLEST 9
#define FULLEST_OF 16

static const struct pg_node *node_at(const struct image *image, pg_ref ref)
{
	return segments_at(&image->segments, ref);
}

struct pg_cell *image_find_name(const struct image *image, uint32_t slot, enum pg_role role, uint64_t hash,
                                const uint8_t *name, uint8_t length)
{
	struct pg_cell *cell;

	for (uint32_t position = 0; (cell = buckets_next(&image->index, hash, &position));) {
		const struct pg_node *node = node_at(image, cell->ref);

		if (node->hash == hash && node->zone == slot && node->name_length == length && node->role == role &&
		    !memcmp(node + 1, name, length))
			return cell;
	}
	return NULL;
}

struct pg_cell *image_find_cell(const struct image *image, const struct pg_node *key)
{
	return image_find_name(image, key->zone, key->role, key->hash, (const uint8_t *)(key + 1), key->name_length);
}

pg_ref image_find_node(const struct image *image, uint32_t slot, enum pg_role role, const uint8_t *name)
{
	uint8_t length = knot_dname_size(name);
	const struct pg_cell *cell =
	    image_find_name(image, slot, role, engine_hash(image->settings, role, slot, name, length), name, length);

	return cell ? cell->ref : 0;
}

pg_ref image_find_hash(const struct image *image, uint32_t slot, uint64_t hash)
{
	const struct pg_cell *cell;

	for (uint32_t position = 0; (cell = buckets_next(&image->index, hash, &position));) {
		const struct pg_node *node = node_at(image, cell->ref);

		if (node->hash == hash && node->zone == slot)
			return cell->ref;
	}
	return 0;
}

int image_grow_index(struct image *image, uint64_t more, bool larger)
{
	struct buckets old = image->index, table;
	uint64_t count = old.mask + 1ULL, live = old.filled - old.removed + more;
	int result;

	/* Room for what is to come; if a search became too long, at least twice the size. */
	if (larger)
		count *= 2;
	while (live * FULLEST_OF > count * PG_BUCKET_CELLS * FULLEST)
		count *= 2;
	for (;; count *= 2) {
		bool fits = true;

		/* A table so sparse does not overflow by chance. */
		if (count > UINT32_MAX / 2 || count * PG_BUCKET_CELLS > live * SPARSEST + SMALL_CELLS)
			return -1;
		if (buckets_make(&table, old.table.kind, old.table.map, old.table.pins, count))
			return -1;
		for (uint32_t i = 0; fits && i < old.table.entries; i++)
			for (int j = 0; fits && j < PG_BUCKET_CELLS; j++) {
				uint32_t ref = buckets_entries(&old)[i].cell[j].ref;

				fits = !ref || buckets_insert(&table, node_at(image, ref)->hash, ref);
			}
		if (fits)
			break;
		table_close(&table.table);
	}
	pthread_mutex_lock(&image->zones_lock);
	result = image_replace_buckets(image, &image->index, &table, &image->settings->index_order);
	pthread_mutex_unlock(&image->zones_lock);
	/* Nobody is to wait now for those who read the old one. */
	if (!result)
		image->old_index = (image->old_index | 1U << old.table.slot) & ~(1U << table.table.slot);
	return result;
}
