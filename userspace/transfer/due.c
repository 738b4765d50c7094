/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A binary heap: one timer for all zones costs 16 octets a zone and a pointer, where one of libuv's each takes 152. */
#include "due.h"

#include <stdlib.h>

int due_join(struct due_heap *heap)
{
	size_t room = heap->room == 0 ? 64 : 2 * heap->room;
	struct due **entries;

	if (heap->members == heap->room) {
		entries = realloc(heap->entries, room * sizeof(struct due *));
		if (entries == NULL)
			return -1;
		heap->entries = entries;
		heap->room = room;
	}
	heap->members++;
	return 0;
}

void due_leave(struct due_heap *heap, struct due *due)
{
	due_take(heap, due);
	if (--heap->members > 0)
		return;
	free(heap->entries);
	*heap = (struct due_heap){0};
}

static void set(struct due_heap *heap, size_t place, struct due *due)
{
	heap->entries[place - 1] = due;
	due->place = (uint32_t)place;
}

/* Moves it up or down until all before it are earlier and all behind it are later. */
static void settle(struct due_heap *heap, size_t place, struct due *due)
{
	while (place > 1 && heap->entries[place / 2 - 1]->at > due->at) {
		set(heap, place, heap->entries[place / 2 - 1]);
		place /= 2;
	}
	for (size_t child = 2 * place; child <= heap->count; child = 2 * place) {
		if (child < heap->count && heap->entries[child]->at < heap->entries[child - 1]->at)
			child++;
		if (heap->entries[child - 1]->at >= due->at)
			break;
		set(heap, place, heap->entries[child - 1]);
		place = child;
	}
	set(heap, place, due);
}

void due_put(struct due_heap *heap, struct due *due, uint64_t at)
{
	due->at = at;
	settle(heap, due->place != 0 ? due->place : ++heap->count, due);
}

void due_take(struct due_heap *heap, struct due *due)
{
	size_t place = due->place;
	struct due *last;

	if (place == 0)
		return;
	last = heap->entries[--heap->count];
	due->place = 0;
	if (last != due)
		settle(heap, place, last);
}

struct due *due_first(const struct due_heap *heap)
{
	return heap->count > 0 ? heap->entries[0] : NULL;
}
