/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An array that readers see whole: an mmapable inner map in a slot of a map of maps. It grows by being replaced by a
 * larger one. It is pinned under a plain name, for the next agent and for people with bpftool.
 */
#ifndef PEREGRINE_TABLE_H
#define PEREGRINE_TABLE_H

#include "image_shared.h"

#include <stdint.h>

/* How the inner map's value is described to the kernel, so that bpftool prints named fields. */
struct table_kind {
	const char *name;       /* of map and pin: "index", "zones" … */
	const char *value_type; /* its name in the program's BTF: "pg_bucket", "pg_zone" */
	uint32_t value_size;
};

struct table {
	const struct table_kind *kind;
	int map;          /* the map of maps, or -1: plain memory */
	const char *pins; /* pin directory */
	uint32_t entries;
	uint8_t *memory;
	uint32_t slot; /* of the map of maps */
	int inner;     /* -1: plain memory */
};

/* Makes a table of zeros that nobody sees yet. */
int table_make(struct table *table, const struct table_kind *kind, int map, const char *pins, uint32_t entries);
/* Puts it before the readers: the slot, the store that makes it count (`counts`, if not NULL, becomes the slot), the
 * pin. Waits, inside the kernel, for the program's readers of what was in the slot before. */
int table_show(struct table *table, uint8_t *counts);
/* The other slots of its map of maps, which has so many, that tables are in; as bits. */
uint32_t table_others(const struct table *table, uint32_t slots);
/* Empties a slot of its map of maps, that another table was in. */
void table_drop(const struct table *table, uint32_t slot);
/* Takes up the table that is pinned. */
int table_adopt(struct table *table, const struct table_kind *kind, int map, const char *pins);
/* Lets go of this process's part. */
void table_close(struct table *table);

/*
 * A table of 2^order buckets, in slot `order`. A cell changes by one 64-bit store.
 */
struct buckets {
	struct table table;
	uint32_t mask;
	uint64_t filled; /* cells in use or removed: what lengthens searches */
	uint64_t removed;
};

int buckets_make(struct buckets *buckets, const struct table_kind *kind, int map, const char *pins, uint32_t count);
int buckets_adopt(struct buckets *buckets, const struct table_kind *kind, int map, const char *pins);

/* Puts a cell for a key that has none. Returns the cell, or NULL when its buckets are full: the table must grow. */
struct pg_cell *buckets_insert(struct buckets *buckets, uint64_t hash, uint32_t ref);
void buckets_remove(struct buckets *buckets, struct pg_cell *cell);
/* Replaces a cell's reference in one store. */
void cell_store(struct pg_cell *cell, uint32_t tag, uint32_t ref);

/* Fetches where such a key is looked for, or put, into the cache. */
static inline void buckets_prefetch(const struct buckets *buckets, uint64_t hash)
{
	__builtin_prefetch((const struct pg_bucket *)buckets->table.memory + ((uint32_t)hash & buckets->mask), 1);
}

/* The next cell with the hash's tag: start with *position 0. NULL: no more. */
struct pg_cell *buckets_next(const struct buckets *buckets, uint64_t hash, uint32_t *position);

static inline const struct pg_bucket *buckets_entries(const struct buckets *buckets)
{
	return (const struct pg_bucket *)buckets->table.memory;
}

/* Whether so many buckets are too few for so many cells. */
static inline int buckets_too_few(uint64_t buckets, uint64_t cells)
{
	/* Five of eight cells: a bucket overflows seldom, and a search of a name that is not there mostly ends in its
	 * first. */
	return cells * 8 > buckets * PG_BUCKET_CELLS * 5;
}

/* Whether the table should be replaced by a larger, or a cleaned one, before `more` cells come. */
static inline int buckets_crowded(const struct buckets *buckets, uint64_t more)
{
	return buckets_too_few(buckets->mask + 1ULL, buckets->filled + more);
}

#endif
