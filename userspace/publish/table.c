/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/table.h"
#include "common/log.h"
#include "publish/types.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t octets(const struct table *table)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return ((size_t)table->entries * table->kind->value_size + page - 1) & ~(page - 1);
}

static int map_memory(struct table *table)
{
	int flags = table->inner < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	table->memory = mmap(NULL, octets(table), PROT_READ | PROT_WRITE, flags, table->inner, 0);
	if (table->memory == MAP_FAILED) {
		table->memory = NULL;
		log_error("image: cannot map %s: %s", table->kind->name, strerror(errno));
		return -1;
	}
	return 0;
}

int table_make(struct table *table, const struct table_kind *kind, int map, const char *pins, uint32_t entries)
{
	*table = (struct table){.kind = kind, .map = map, .pins = pins, .entries = entries, .inner = -1};
	if (map >= 0) {
		table->inner = types_create_array(kind->name, kind->value_type, kind->value_size, entries,
		                                  BPF_F_MMAPABLE | BPF_F_INNER_MAP);
		if (table->inner < 0) {
			log_error("image: cannot make %s with %u entries: %s", kind->name, entries, strerror(errno));
			return -1;
		}
	}
	return map_memory(table);
}

int table_show(struct table *table, uint8_t *counts)
{
	char *path, *aside;
	int result = -1;

	if (table->map >= 0 && bpf_map_update_elem(table->map, &table->slot, &table->inner, BPF_ANY)) {
		log_error("image: cannot put %s in place: %s", table->kind->name, strerror(errno));
		return -1;
	}
	if (counts)
		__atomic_store_n(counts, table->slot, __ATOMIC_RELEASE);
	if (table->map < 0)
		return 0;
	if (asprintf(&path, "%s/%s", table->pins, table->kind->name) < 0)
		return -1;
	if (asprintf(&aside, "%s/%s_new", table->pins, table->kind->name) >= 0) {
		unlink(aside);
		result = bpf_obj_pin(table->inner, aside) || rename(aside, path) ? -1 : 0;
		if (result)
			log_error("%s: cannot be pinned: %s", path, strerror(errno));
		free(aside);
	}
	free(path);
	return result;
}

int table_adopt(struct table *table, const struct table_kind *kind, int map, const char *pins)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	char *path;

	*table = (struct table){.kind = kind, .map = map, .pins = pins, .inner = -1};
	if (asprintf(&path, "%s/%s", pins, kind->name) < 0)
		return -1;
	table->inner = bpf_obj_get(path);
	free(path);
	if (table->inner < 0 || bpf_obj_get_info_by_fd(table->inner, &info, &size) ||
	    info.value_size != kind->value_size)
		return -1;
	table->entries = info.max_entries;
	return map_memory(table);
}

uint32_t table_others(const struct table *table, uint32_t slots)
{
	uint32_t others = 0, id;

	for (uint32_t slot = 0; slot < slots; slot++)
		if (slot != table->slot && !bpf_map_lookup_elem(table->map, &slot, &id))
			others |= 1U << slot;
	return others;
}

void table_drop(const struct table *table, uint32_t slot)
{
	if (table->map >= 0)
		bpf_map_delete_elem(table->map, &slot);
}

void table_close(struct table *table)
{
	if (table->memory)
		munmap(table->memory, octets(table));
	if (table->inner >= 0)
		close(table->inner);
	table->memory = NULL;
	table->inner = -1;
}

int buckets_make(struct buckets *buckets, const struct table_kind *kind, int map, const char *pins, uint32_t count)
{
	*buckets = (struct buckets){.mask = count - 1};
	if (table_make(&buckets->table, kind, map, pins, count))
		return -1;
	buckets->table.slot = __builtin_ctz(count);
	return 0;
}

int buckets_adopt(struct buckets *buckets, const struct table_kind *kind, int map, const char *pins)
{
	*buckets = (struct buckets){};
	if (table_adopt(&buckets->table, kind, map, pins) || !buckets->table.entries ||
	    buckets->table.entries & (buckets->table.entries - 1))
		return -1;
	buckets->mask = buckets->table.entries - 1;
	buckets->table.slot = __builtin_ctz(buckets->table.entries);
	for (uint32_t i = 0; i < buckets->table.entries; i++)
		for (int j = 0; j < PG_BUCKET_CELLS; j++) {
			const struct pg_cell *cell = &buckets_entries(buckets)[i].cell[j];

			buckets->filled += cell->tag != 0;
			buckets->removed += cell->tag && !cell->ref;
		}
	return 0;
}

void cell_store(struct pg_cell *cell, uint32_t tag, uint32_t ref)
{
	/* Release: whoever sees the cell sees the record. */
	__atomic_store_n((uint64_t *)cell, (uint64_t)ref << 32 | tag, __ATOMIC_RELEASE);
}

static uint32_t tag_of(uint64_t hash)
{
	uint32_t tag = hash >> 32;

	return tag ? tag : 1;
}

static struct pg_cell *cell_at(const struct buckets *buckets, uint64_t hash, uint32_t position)
{
	uint32_t bucket = ((uint32_t)hash + position / PG_BUCKET_CELLS) & buckets->mask;

	return &((struct pg_bucket *)buckets->table.memory)[bucket].cell[position % PG_BUCKET_CELLS];
}

struct pg_cell *buckets_next(const struct buckets *buckets, uint64_t hash, uint32_t *position)
{
	while (*position < PG_BUCKETS_PROBED * PG_BUCKET_CELLS) {
		struct pg_cell *cell = cell_at(buckets, hash, (*position)++);

		if (!cell->tag)
			break;
		if (cell->tag == tag_of(hash) && cell->ref)
			return cell;
	}
	return NULL;
}

struct pg_cell *buckets_insert(struct buckets *buckets, uint64_t hash, uint32_t ref)
{
	for (uint32_t position = 0; position < PG_BUCKETS_PROBED * PG_BUCKET_CELLS; position++) {
		struct pg_cell *cell = cell_at(buckets, hash, position);

		if (cell->ref)
			continue;
		if (cell->tag)
			buckets->removed--;
		else
			buckets->filled++;
		cell_store(cell, tag_of(hash), ref);
		return cell;
	}
	return NULL;
}

void buckets_remove(struct buckets *buckets, struct pg_cell *cell)
{
	/* Not empty: what was put behind it must still be found. */
	cell_store(cell, cell->tag, 0);
	buckets->removed++;
}
