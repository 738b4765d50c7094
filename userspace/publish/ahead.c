/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan's entries are cut into pieces of so many, counted from the end. A thread compiles every so-manieth piece
 * into a batch of its own, of which there are a few; the publisher empties them in order.
 */
#include "publish/ahead.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Entries of a piece: many, since to wake a thread on an idle CPU may take longer than to compile a hundred. */
#define PIECE 4096
#define WORTH_IT (2 * PIECE)
#define THREADS 4 /* at most: placing takes a quarter of the time of compiling */
#define BATCHES (2 * THREADS)

/* Nodes that were compiled, one behind another. */
struct batch {
	struct compile_buffer buffer;
	size_t count;
	uint32_t numbers[PIECE]; /* of the entries */
	size_t starts[PIECE];
	bool filled; /* the publisher's; else a thread's. Under the lock */
	bool failed;
	char why[256];
};

struct worker {
	struct ahead *ahead;
	pthread_t thread;
	size_t first; /* of its pieces */
};

struct ahead {
	const struct compile_context *context;
	bool (*wanted)(const struct plan_entry *entry);
	size_t pieces;
	struct worker workers[THREADS];
	size_t worker_count;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t emptied; /* pieces, so far; changed by the publisher alone, under the lock */
	bool stop;
	size_t at; /* in the batch that is being emptied; the publisher's, like `given` */
	bool given;
	struct batch batches[BATCHES];
};

static struct batch *batch_of(struct ahead *ahead, size_t piece)
{
	return &ahead->batches[piece % BATCHES];
}

/* ---- the threads ---- */

/* Compiles one entry behind those in the batch. */
static int fill_one(const struct ahead *ahead, struct batch *batch, struct compile_buffer *scratch, size_t number)
{
	struct compile_buffer *buffer = &batch->buffer;

	if (compile_node(ahead->context, number, scratch, batch->why, sizeof(batch->why)))
		return -1;
	if (buffer->room - buffer->length < scratch->length) {
		size_t room = 2 * (buffer->length + scratch->length);
		uint8_t *octets = realloc(buffer->octets, room);

		if (!octets) {
			snprintf(batch->why, sizeof(batch->why), "out of memory");
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

static void fill(const struct ahead *ahead, struct batch *batch, struct compile_buffer *scratch, size_t piece)
{
	size_t end = ahead->context->plan->count - piece * PIECE, start = end > PIECE ? end - PIECE : 0;

	batch->count = batch->buffer.length = 0;
	for (size_t i = end; i-- > start && !batch->failed;)
		if (ahead->wanted(&ahead->context->plan->entries[i]))
			batch->failed = fill_one(ahead, batch, scratch, i);
}

/* Waits until there is a batch for the piece. Returns false when all is to end. */
static bool wait_for_room(struct ahead *ahead, size_t piece)
{
	bool stop;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->stop && piece - ahead->emptied >= BATCHES)
		pthread_cond_wait(&ahead->moved, &ahead->lock);
	stop = ahead->stop;
	pthread_mutex_unlock(&ahead->lock);
	return !stop;
}

static void *run(void *context)
{
	const struct worker *worker = context;
	struct ahead *ahead = worker->ahead;
	struct compile_buffer scratch = {};

	for (size_t piece = worker->first; piece < ahead->pieces && wait_for_room(ahead, piece);
	     piece += ahead->worker_count) {
		struct batch *batch = batch_of(ahead, piece);

		fill(ahead, batch, &scratch, piece);
		pthread_mutex_lock(&ahead->lock);
		batch->filled = true;
		pthread_cond_broadcast(&ahead->moved);
		pthread_mutex_unlock(&ahead->lock);
	}
	free(scratch.octets);
	return NULL;
}

/* ---- the publisher ---- */

static void stop(struct ahead *ahead, size_t threads)
{
	pthread_mutex_lock(&ahead->lock);
	ahead->stop = true;
	pthread_cond_broadcast(&ahead->moved);
	pthread_mutex_unlock(&ahead->lock);
	for (size_t i = 0; i < threads; i++)
		pthread_join(ahead->workers[i].thread, NULL);
	pthread_cond_destroy(&ahead->moved);
	pthread_mutex_destroy(&ahead->lock);
	for (int i = 0; i < BATCHES; i++)
		free(ahead->batches[i].buffer.octets);
	free(ahead);
}

size_t ahead_processors(size_t most)
{
	cpu_set_t allowed;
	size_t count = sched_getaffinity(0, sizeof(allowed), &allowed) ? 1 : (size_t)CPU_COUNT(&allowed);

	return count < most ? count : most;
}

struct ahead *ahead_begin(const struct compile_context *context, bool (*wanted)(const struct plan_entry *entry))
{
	struct ahead *ahead = context->plan->count < WORTH_IT ? NULL : calloc(1, sizeof(*ahead));

	if (!ahead)
		return NULL;
	ahead->context = context;
	ahead->wanted = wanted;
	ahead->pieces = (context->plan->count + PIECE - 1) / PIECE;
	ahead->worker_count = ahead_processors(THREADS);
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->moved, NULL);
	for (size_t i = 0; i < ahead->worker_count; i++) {
		ahead->workers[i] = (struct worker){.ahead = ahead, .first = i};
		if (!pthread_create(&ahead->workers[i].thread, NULL, run, &ahead->workers[i]))
			continue;
		stop(ahead, i);
		return NULL;
	}
	return ahead;
}

/* The batch that is being emptied, once it is filled. */
static struct batch *await(struct ahead *ahead)
{
	struct batch *batch = batch_of(ahead, ahead->emptied);

	if (ahead->given)
		return batch;
	pthread_mutex_lock(&ahead->lock);
	while (!batch->filled)
		pthread_cond_wait(&ahead->moved, &ahead->lock);
	pthread_mutex_unlock(&ahead->lock);
	ahead->given = true;
	return batch;
}

static void give_back(struct ahead *ahead, struct batch *batch)
{
	pthread_mutex_lock(&ahead->lock);
	batch->filled = false;
	ahead->emptied++;
	pthread_cond_broadcast(&ahead->moved);
	pthread_mutex_unlock(&ahead->lock);
	ahead->given = false;
	ahead->at = 0;
}

int ahead_next(struct ahead *ahead, size_t *number, struct pg_node **node, char *why, size_t why_size)
{
	while (ahead->emptied < ahead->pieces) {
		struct batch *batch = await(ahead);

		if (ahead->at < batch->count) {
			*number = batch->numbers[ahead->at];
			*node = (struct pg_node *)(batch->buffer.octets + batch->starts[ahead->at++]);
			return 1;
		}
		if (batch->failed) {
			snprintf(why, why_size, "%s", batch->why);
			return -1;
		}
		give_back(ahead, batch);
	}
	return 0;
}

const struct pg_node *ahead_coming(struct ahead *ahead, size_t distance)
{
	const struct batch *batch = batch_of(ahead, ahead->emptied);
	size_t at = ahead->at + distance - 1;

	return ahead->given && at < batch->count ? (const struct pg_node *)(batch->buffer.octets + batch->starts[at])
	                                         : NULL;
}

void ahead_end(struct ahead *ahead)
{
	stop(ahead, ahead->worker_count);
}
