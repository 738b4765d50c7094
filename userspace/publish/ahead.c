/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/ahead.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORTH_IT 8192 /* entries */
#define BATCHES 4
#define BATCH_NODES 4096 /* many: to wake a thread on an idle CPU may take longer than to compile a hundred */

/* Nodes that were compiled, one behind another. A batch without any is the last. */
struct batch {
	struct compile_buffer buffer;
	size_t count;
	uint32_t numbers[BATCH_NODES]; /* of the entries */
	size_t starts[BATCH_NODES];
	bool failed;
};

struct ahead {
	const struct compile_context *context;
	const pg_ref *wildcards;
	bool (*wanted)(const struct plan_entry *entry);
	pthread_t thread;
	pthread_mutex_t lock; /* of the numbers */
	pthread_cond_t moved;
	size_t filled, emptied; /* batches, so far */
	bool stop;
	size_t at; /* in the batch that is being emptied; the publisher's */
	char why[256];
	struct batch batches[BATCHES];
};

/* Waits until the other side is less than `distance` batches behind or ahead. Returns false when all is to end. */
static bool wait_for(struct ahead *ahead, bool filler)
{
	bool stop;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->stop && (filler ? ahead->filled - ahead->emptied == BATCHES : ahead->filled == ahead->emptied))
		pthread_cond_wait(&ahead->moved, &ahead->lock);
	stop = ahead->stop;
	pthread_mutex_unlock(&ahead->lock);
	return !stop;
}

static void move_on(struct ahead *ahead, size_t *number)
{
	pthread_mutex_lock(&ahead->lock);
	(*number)++;
	pthread_cond_signal(&ahead->moved);
	pthread_mutex_unlock(&ahead->lock);
}

/* Compiles one entry behind those in the batch. */
static int fill_one(struct ahead *ahead, struct batch *batch, struct compile_buffer *scratch, size_t number)
{
	const struct plan_entry *entry = &ahead->context->plan->entries[number];
	struct compile_buffer *buffer = &batch->buffer;

	if (compile_node(ahead->context, number, entry->wildcard ? ahead->wildcards[entry->wildcard] : 0, scratch,
	                 ahead->why, sizeof(ahead->why)))
		return -1;
	if (buffer->room - buffer->length < scratch->length) {
		size_t room = 2 * (buffer->length + scratch->length);
		uint8_t *octets = realloc(buffer->octets, room);

		if (!octets) {
			snprintf(ahead->why, sizeof(ahead->why), "out of memory");
			return -1;
		}
		buffer->octets = octets;
		buffer->room = room;
	}
	memcpy(buffer->octets + buffer->length, scratch->octets, scratch->length);
	batch->numbers[batch->count] = number;
	batch->starts[batch->count++] = buffer->length;
	buffer->length += scratch->length;
	return 0;
}

/* Fills a batch with entries before `*next`. */
static void fill(struct ahead *ahead, struct batch *batch, struct compile_buffer *scratch, size_t *next)
{
	batch->count = batch->buffer.length = 0;
	while (*next > 0 && batch->count < BATCH_NODES && !batch->failed) {
		--*next;
		if (ahead->wanted(&ahead->context->plan->entries[*next]))
			batch->failed = fill_one(ahead, batch, scratch, *next);
	}
}

static void *run(void *context)
{
	struct ahead *ahead = context;
	struct compile_buffer scratch = {};
	size_t next = ahead->context->plan->count;
	bool last = false;

	while (!last && wait_for(ahead, true)) {
		struct batch *batch = &ahead->batches[ahead->filled % BATCHES];

		fill(ahead, batch, &scratch, &next);
		last = batch->failed || !batch->count;
		move_on(ahead, &ahead->filled);
	}
	free(scratch.octets);
	return NULL;
}

struct ahead *ahead_begin(const struct compile_context *context, const pg_ref *wildcards,
                          bool (*wanted)(const struct plan_entry *entry))
{
	struct ahead *ahead = context->plan->count < WORTH_IT ? NULL : calloc(1, sizeof(*ahead));

	if (!ahead)
		return NULL;
	ahead->context = context;
	ahead->wildcards = wildcards;
	ahead->wanted = wanted;
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->moved, NULL);
	if (!pthread_create(&ahead->thread, NULL, run, ahead))
		return ahead;
	pthread_cond_destroy(&ahead->moved);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
	return NULL;
}

int ahead_next(struct ahead *ahead, size_t *number, struct pg_node **node, char *why, size_t why_size)
{
	struct batch *batch = &ahead->batches[ahead->emptied % BATCHES];

	/* `emptied` is changed here alone. Behind a batch that failed comes none. */
	if (ahead->at && ahead->at == batch->count && !batch->failed) {
		ahead->at = 0;
		move_on(ahead, &ahead->emptied);
		batch = &ahead->batches[ahead->emptied % BATCHES];
	}
	if (!ahead->at)
		wait_for(ahead, false);
	if (ahead->at == batch->count) {
		if (!batch->failed)
			return 0;
		snprintf(why, why_size, "%s", ahead->why);
		return -1;
	}
	*number = batch->numbers[ahead->at];
	*node = (struct pg_node *)(batch->buffer.octets + batch->starts[ahead->at++]);
	return 1;
}

const struct pg_node *ahead_coming(const struct ahead *ahead, size_t distance)
{
	const struct batch *batch = &ahead->batches[ahead->emptied % BATCHES];
	size_t at = ahead->at + distance - 1;

	return at < batch->count ? (const struct pg_node *)(batch->buffer.octets + batch->starts[at]) : NULL;
}

uint64_t ahead_octets(const struct ahead *ahead)
{
	const struct batch *batch = &ahead->batches[ahead->emptied % BATCHES];

	return batch->count ? ahead->context->plan->count * batch->buffer.length / batch->count : 0;
}

void ahead_end(struct ahead *ahead)
{
	pthread_mutex_lock(&ahead->lock);
	ahead->stop = true;
	pthread_cond_signal(&ahead->moved);
	pthread_mutex_unlock(&ahead->lock);
	pthread_join(ahead->thread, NULL);
	pthread_cond_destroy(&ahead->moved);
	pthread_mutex_destroy(&ahead->lock);
	for (int i = 0; i < BATCHES; i++)
		free(ahead->batches[i].buffer.octets);
	free(ahead);
}
