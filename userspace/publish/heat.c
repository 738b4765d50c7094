/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What moves is a node, which one cell leads to: a copy, one store to the cell, and when nobody reads the old one any
 * more, that is given back. An agent killed at any instruction of this leaves a whole image.
 */
#include "publish/heat.h"
#include "answer/work.h"
#include "compile/node.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTED 8192U          /* cold nodes whose queries are counted at a time; a power of two */
#define MOVES 4096           /* at a time */
#define FADES_AFTER 10       /* ticks, after which a count is halved */
#define RESERVE_SHARE 16     /* of the program's memory */
#define RESERVE_MOST 524288U /* units: 4 MiB */
#define ROOM_AT_ONCE 8192U   /* units: 64 KiB */

struct heat {
	uint64_t noted[NOTED]; /* reference << 32 | queries; by the fallback's threads, atomic, lossy */
	pg_ref hand;           /* of the clock that goes round the warm nodes */
	unsigned ticks;
	int uses;         /* map of the program's work areas; atomic, -1: none */
	uint64_t *counts; /* what of each ring was looked at */
	uint8_t *areas;
	uint32_t area_size;
	int cpus;
};

struct move {
	uint32_t zone;
	pg_ref from, to;
	uint32_t units;
	bool name;
};

struct moves {
	size_t count;
	uint64_t units;
	struct move list[MOVES];
};

struct heat *heat_new(void)
{
	struct heat *heat = calloc(1, sizeof(*heat));

	if (heat)
		heat->uses = -1;
	return heat;
}

void heat_free(struct heat *heat)
{
	if (!heat)
		return;
	free(heat->counts);
	free(heat->areas);
	if (heat->uses >= 0)
		close(heat->uses);
	free(heat);
}

void image_watch_uses(struct image *image, int work)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	int fd, cpus = libbpf_num_possible_cpus();
	struct heat *heat = image->heat;

	if (heat->areas || cpus < 1 || bpf_obj_get_info_by_fd(work, &info, &size))
		return;
	heat->area_size = (info.value_size + 7U) & ~7U;
	heat->cpus = cpus;
	heat->counts = calloc(cpus, sizeof(*heat->counts));
	heat->areas = calloc(cpus, heat->area_size);
	fd = fcntl(work, F_DUPFD_CLOEXEC, 0);
	if (heat->counts && heat->areas)
		__atomic_store_n(&heat->uses, fd, __ATOMIC_RELEASE);
}

void image_note_uses(struct image *image, const struct pg_work *work)
{
	for (uint64_t i = 0; i < work->uses.count; i++) {
		pg_ref ref = work->uses.ref[i];
		uint64_t *slot = &image->heat->noted[(ref * 0x9e3779b1U) >> 19 & (NOTED - 1)];
		uint64_t word = __atomic_load_n(slot, __ATOMIC_RELAXED);

		/* Of two that meet in a slot the one asked for more often stays. */
		if (word >> 32 == ref)
			word += (uint32_t)word < UINT32_MAX;
		else
			word = (uint32_t)word ? word - 1 : (uint64_t)ref << 32 | 1;
		__atomic_store_n(slot, word, __ATOMIC_RELAXED);
	}
}

uint64_t heat_reserve(const struct image *image)
{
	uint64_t share = segments_warm_units(&image->segments) / RESERVE_SHARE;

	return share < RESERVE_MOST ? share : RESERVE_MOST;
}

bool heat_wanted(const struct image *image)
{
	/* One unit is taken of any. */
	return image->segments.cold.used > 1;
}

/* The cell that leads to the node at `ref`; NULL: no node stands there, or none that may move. What is read may be any
 * octets. */
static struct pg_cell *movable(const struct image *image, pg_ref ref)
{
	const struct pg_node *node = segments_at(&image->segments, ref);
	struct pg_cell *cell;

	if (!segments_has(&image->segments, ref, sizeof(*node)))
		return NULL;
	for (uint32_t position = 0; (cell = buckets_next(&image->index, node->hash, &position));)
		if (cell->ref == ref)
			return heat_is_shared(node->role, node->flags, node_below(node).wildcard) ? NULL : cell;
	return NULL;
}

/* Returns -1 when there is no room. */
static int move(struct image *image, struct moves *moves, struct pg_cell *cell, bool cold)
{
	const struct pg_node *node = segments_at(&image->segments, cell->ref);
	struct move made = {
	    .zone = node->zone, .from = cell->ref, .units = node->units, .name = node->role == PG_ROLE_NAME};

	made.to = moves->count < MOVES ? segments_take(&image->segments, made.units, cold) : 0;
	if (!made.to)
		return -1;
	memcpy(segments_at(&image->segments, made.to), node, (size_t)node->units * PG_UNIT);
	cell_store(cell, cell->tag, made.to);
	moves->units += made.units;
	moves->list[moves->count++] = made;
	return 0;
}

/* Lets the roll of its zone follow a move. */
static void follow(struct image *image, const struct move *move)
{
	struct image_zone *data = &image->zone_data[move->zone];

	/* If that cannot be, it is gone through. */
	if (data->roll.mixed)
		roll_sort(&image->segments, &data->roll);
	roll_replace(&image->segments, &data->roll, move->from, move->to, NULL);
	if (move->name)
		__atomic_store_n(&data->cold, data->cold + (move->to >= PG_COLD ? 1 : -1), __ATOMIC_RELAXED);
}

/* Gives back where the nodes were. */
static void finish(struct image *image, struct moves *moves)
{
	if (!moves->count)
		return;
	for (size_t i = 0; i < moves->count; i++)
		follow(image, &moves->list[i]);
	image_wait_readers(image);
	for (size_t i = 0; i < moves->count; i++)
		segments_free(&image->segments, moves->list[i].from, moves->list[i].units);
}

/* Moves names out until `units` units will be free by that. `used`: those too that were used since the hand last came
 * by. At most once round. */
static void chill(struct image *image, struct moves *moves, uint64_t units, bool used)
{
	struct segments *segments = &image->segments;
	pg_ref start = image->heat->hand ? image->heat->hand : 1, at = start; /* reference 0 means none */
	uint64_t enough = moves->units + units;
	bool wrapped = false;

	while (moves->units < enough) {
		pg_ref ref = segments_next(segments, at);
		struct pg_cell *cell;

		if (!ref && wrapped)
			break;
		if (!ref) {
			wrapped = true;
			at = 1;
			continue;
		}
		if (wrapped && ref >= start)
			break;
		at = ref + 1;
		cell = movable(image, ref);
		if (cell && (!segments_was_used(segments, ref) || used) && move(image, moves, cell, true))
			break;
	}
	image->heat->hand = at;
}

bool heat_make_room(struct image *image, uint32_t units)
{
	struct moves *moves = calloc(1, sizeof(*moves));
	bool moved;

	if (!moves)
		return false;
	/* Neighbours, so that the room is in one piece. */
	chill(image, moves, units > ROOM_AT_ONCE ? units : ROOM_AT_ONCE, true);
	finish(image, moves);
	moved = moves->count > 0;
	free(moves);
	return moved;
}

/* Returns -1 when there is no room for it. */
static int warm(struct image *image, struct moves *moves, pg_ref ref)
{
	struct pg_cell *cell = ref >= PG_COLD ? movable(image, ref) : NULL;

	return cell ? move(image, moves, cell, false) : 0;
}

void heat_warm(struct image *image, const pg_ref *refs, size_t count)
{
	struct moves *moves = count ? calloc(1, sizeof(*moves)) : NULL;

	for (size_t i = 0; moves && i < count; i++) {
		warm(image, moves, refs[i]);
		if (moves->count < MOVES && i + 1 < count)
			continue;
		finish(image, moves);
		memset(moves, 0, sizeof(*moves));
	}
	free(moves);
}

/* What the program answered from lately was used. Of a ring that was overtaken the rest is lost. */
static void look_at_uses(struct image *image)
{
	struct heat *heat = image->heat;
	int map = __atomic_load_n(&heat->uses, __ATOMIC_ACQUIRE);
	uint32_t zero = 0;

	if (map < 0 || bpf_map_lookup_elem(map, &zero, heat->areas))
		return;
	for (int cpu = 0; cpu < heat->cpus; cpu++) {
		const struct pg_uses *uses = (const void *)(heat->areas + (size_t)cpu * heat->area_size);
		uint64_t new = uses->count - heat->counts[cpu];

		heat->counts[cpu] = uses->count;
		for (uint64_t i = 0; i < new &&i < PG_USES; i++)
			segments_use(&image->segments, uses->ref[(uses->count - 1 - i) % PG_USES]);
	}
}

/* Moves in what was asked for at least `least` times. */
static void warm_noted(struct image *image, struct moves *moves, uint32_t least)
{
	for (uint32_t i = 0; i < NOTED; i++) {
		uint64_t *slot = &image->heat->noted[i], word = __atomic_load_n(slot, __ATOMIC_RELAXED);

		if ((uint32_t)word < least)
			continue;
		if (!warm(image, moves, word >> 32))
			__atomic_store_n(slot, 0, __ATOMIC_RELAXED);
	}
}

static void fade(struct image *image)
{
	for (uint32_t i = 0; i < NOTED; i++) {
		uint64_t *slot = &image->heat->noted[i], word = __atomic_load_n(slot, __ATOMIC_RELAXED);

		if ((uint32_t)word)
			__atomic_store_n(slot, (word >> 32) << 32 | (uint32_t)word / 2, __ATOMIC_RELAXED);
	}
}

void heat_tick(struct image *image)
{
	struct moves *moves = calloc(1, sizeof(*moves));
	uint64_t reserve = heat_reserve(image), room = segments_warm_free(&image->segments);

	if (!moves)
		return;
	look_at_uses(image);
	/* What would have to be made room for has to be asked for twice. */
	for (uint32_t least = 32; least; least /= 2)
		if (least > 1 || room > reserve)
			warm_noted(image, moves, least);
	room = segments_warm_free(&image->segments);
	if (room < reserve)
		chill(image, moves, reserve - room, false);
	finish(image, moves);
	if (!(++image->heat->ticks % FADES_AFTER))
		fade(image);
	free(moves);
}
