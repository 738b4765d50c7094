/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is due when: a heap of times, each embedded in what it belongs to. */
#ifndef PEREGRINE_DUE_H
#define PEREGRINE_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct due {
	uint64_t at;    /* milliseconds of schedule_clock; 0: before all others */
	uint32_t place; /* in the heap, from 1; 0: not in it */
	uint32_t kind;  /* its owner's, to tell what it is embedded in */
};

struct due_heap {
	struct due **entries;
	size_t count, room;
	size_t members; /* that room is kept for */
};

/* Keeps room for one more, so that due_put cannot fail. Returns 0, or -1 when memory is short. */
int due_join(struct due_heap *heap);
/* Takes it out, if it is in, and gives its room back. */
void due_leave(struct due_heap *heap, struct due *due);
/* Puts in what has joined, or moves it to another time. */
void due_put(struct due_heap *heap, struct due *due, uint64_t at);
void due_take(struct due_heap *heap, struct due *due);
/* The earliest, or NULL. */
struct due *due_first(const struct due_heap *heap);

#endif
