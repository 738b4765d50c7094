/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NOTIFY on its way in. The fallback's thread that received it checks the sender against the zone's configuration (an
 * RCU read), replies, and queues a copy; the main thread hands the copy to the zone's follower. The queue is bounded: a
 * NOTIFY beyond it is not replied to, and so sent again by the primary.
 */
#include "agent/agent.h"
#include "common/log.h"

#include <libknot/libknot.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-memb.h>

#define QUEUE_MAX 4096
#define NOTIFY_MAX 2048 /* octets of a message; a question, a SOA and TSIG take less */

struct notify_message {
	struct notify_message *next;
	struct sockaddr_storage from;
	size_t length;
	uint8_t wire[];
};

struct notify_queue {
	struct agent *agent;
	pthread_mutex_t lock;
	struct notify_message *first, **last;
	size_t count;
	uv_async_t async;
};

/* The zone that the message's question names, in lower case. */
static bool zone_of(const uint8_t *wire, size_t length, knot_dname_storage_t apex)
{
	if (length < KNOT_WIRE_HEADER_SIZE + 5 || knot_wire_get_qdcount(wire) != 1 ||
	    knot_dname_wire_check(wire + KNOT_WIRE_HEADER_SIZE, wire + length, NULL) <= 0)
		return false;
	knot_dname_to_wire(apex, wire + KNOT_WIRE_HEADER_SIZE, KNOT_DNAME_MAXLEN);
	knot_dname_to_lower(apex);
	return true;
}

/* Returns whether it will be followed. */
static bool enqueue(struct notify_queue *queue, const struct sockaddr_storage *from, const uint8_t *wire, size_t length)
{
	struct notify_message *message = malloc(sizeof(*message) + length);
	bool taken = false;

	if (!message)
		return false;
	message->next = NULL;
	message->from = *from;
	message->length = length;
	memcpy(message->wire, wire, length);
	pthread_mutex_lock(&queue->lock);
	if (queue->count < QUEUE_MAX) {
		*queue->last = message;
		queue->last = &message->next;
		queue->count++;
		message = NULL;
		taken = true;
	}
	pthread_mutex_unlock(&queue->lock);
	free(message);
	uv_async_send(&queue->async);
	return taken;
}

size_t notify_receive(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                      uint8_t *reply)
{
	struct agent *agent = context;
	const struct config_zone *zone = NULL;
	knot_dname_storage_t apex;
	size_t reply_length = 0;

	if (length > NOTIFY_MAX)
		return 0;
	if (zone_of(wire, length, apex))
		zone = agent_find_config(agent, apex);
	/* One that is not replied to is sent again. */
	if (transfer_notify_check(zone, from, wire, length, reply, &reply_length) &&
	    !enqueue(agent->notify, from, wire, length))
		return 0;
	return reply_length;
}

static void deliver(uv_async_t *async)
{
	struct notify_queue *queue = async->data;
	struct notify_message *message;

	pthread_mutex_lock(&queue->lock);
	message = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	queue->count = 0;
	pthread_mutex_unlock(&queue->lock);
	while (message) {
		struct notify_message *next = message->next;
		knot_dname_storage_t apex;
		struct agent_zone *zone =
		    zone_of(message->wire, message->length, apex) ? agent_find_zone(queue->agent, apex) : NULL;
		uint8_t reply[512];
		size_t reply_length;

		/* The reply has gone out already. */
		if (zone && zone->follower)
			follower_notify(zone->follower, &message->from, message->wire, message->length, reply,
			                &reply_length);
		free(message);
		message = next;
	}
}

struct notify_queue *notify_open(struct agent *agent)
{
	struct notify_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->agent = agent;
	queue->last = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	queue->async.data = queue;
	if (uv_async_init(agent->loop, &queue->async, deliver)) {
		free(queue);
		return NULL;
	}
	uv_unref((uv_handle_t *)&queue->async);
	return queue;
}

static void free_queue(uv_handle_t *handle)
{
	struct notify_queue *queue = handle->data;

	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

void notify_close(struct notify_queue *queue)
{
	while (queue->first) {
		struct notify_message *message = queue->first;

		queue->first = message->next;
		free(message);
	}
	uv_close((uv_handle_t *)&queue->async, free_queue);
}
