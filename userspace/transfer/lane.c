/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A lane is a connection in the pool, with the queries on it. It is opening, then open; with no query it is idle, and
 * closed after a while. It is retired, and carries nothing new, when an answer still to come is not wanted any more. It
 * ends when its channel fails: what had no answer yet is then asked once more, alone on a connection, where that may
 * have been the fault of sharing, or of an idle connection's end.
 *
 * Callbacks may do anything, so they are called with nothing half done, and with the pool held.
 */
#include "exchange.h"

#include <stdlib.h>

static uint64_t now(const struct pool_peer *peer)
{
	return uv_now(peer->pool->loop);
}

/* ---- lists ---- */

void query_unlink(struct query *query)
{
	if (query->place == NULL)
		return;
	*query->place = query->next;
	if (query->next != NULL)
		query->next->place = query->place;
	else if (query->lane == NULL)
		query->peer->waiting_end = query->place;
	if (query->lane != NULL) {
		query->lane->count--;
		query->peer->transfers -= query->transfer;
	} else {
		query->peer->pool->waiting--;
	}
	query->place = NULL;
	query->next = NULL;
	query->lane = NULL;
}

void query_wait(struct pool_peer *peer, struct query *query)
{
	query->place = peer->waiting_end;
	*peer->waiting_end = query;
	peer->waiting_end = &query->next;
	peer->pool->waiting++;
}

void query_put(struct lane *lane, struct query *query)
{
	query->lane = lane;
	query->next = NULL;
	query->place = &lane->queries;
	while (*query->place != NULL)
		query->place = &(*query->place)->next;
	*query->place = query;
	lane->count++;
	query->peer->transfers += query->transfer;
}

bool query_alone(const struct pool_peer *peer, const struct query *query)
{
	return query->again || now(peer) < peer->single_until;
}

/* ---- lanes ---- */

/* Takes it out of the pool; its queries are no longer found by it. */
static void close_lane(struct lane *lane)
{
	*lane->place = lane->next;
	if (lane->next != NULL)
		lane->next->place = lane->place;
	lane->peer->lane_count--;
	lane->peer->pool->lane_count--;
	channel_close(lane->channel);
	pool_pump(lane->peer->pool);
}

void lane_end(struct lane *lane)
{
	close_lane(lane);
	free(lane);
}

/* When a query on it is to be looked at, or when it has been idle for long enough. */
static void plan_lane(struct lane *lane)
{
	uint64_t at = UINT64_MAX;

	if (lane->count == 0)
		at = lane->idle_since + lane->idle;
	for (const struct query *query = lane->queries; query != NULL; query = query->next) {
		uint64_t end = query->asked + transfer_limits.total;

		if (query->messages == 0 && !query->again && lane->count > 1)
			end = query->asked + pool_limits.patience;
		at = end < at ? end : at;
	}
	channel_wake(lane->channel, at);
}

/* After a query has left it. It may be gone then. */
void lane_settle(struct lane *lane)
{
	if (lane->held)
		return;
	if (lane->count == 0 && (lane->retired || !lane->open || now(lane->peer) < lane->peer->single_until)) {
		lane_end(lane);
		return;
	}
	if (lane->count == 0) {
		lane->idle_since = now(lane->peer);
		channel_await(lane->channel, false);
	}
	if (lane->open)
		plan_lane(lane);
	if (lane->peer->pool->waiting > 0)
		pool_pump(lane->peer->pool);
}

int lane_send(struct lane *lane, struct query *query, char *why)
{
	query->asked = now(lane->peer);
	query->connected = true;
	if (channel_send(lane->channel, query->octets, query->length, why) != 0)
		return -1;
	channel_await(lane->channel, true);
	plan_lane(lane);
	return 0;
}

void query_fail(struct query *query, const char *why)
{
	query_unlink(query);
	query->events->failed(query->context, why);
}

/* What TLS was in the end of its connection. */
static void note_tls(struct query *query, enum exchange_tls tls, uint64_t stood)
{
	query->tls = (uint8_t)tls;
	if (tls != EXCHANGE_TLS_NONE)
		query->asked = stood;
}

/* No connection is to be had: what waits for one need not try it again. */
static void fail_waiting(struct pool_peer *peer, const char *why, enum exchange_tls tls, uint64_t stood)
{
	unsigned count = 0;

	for (const struct query *query = peer->waiting; query != NULL; query = query->next)
		count++;
	for (; count > 0 && peer->waiting != NULL; count--) {
		note_tls(peer->waiting, tls, stood);
		query_fail(peer->waiting, why);
	}
}

static bool has_open_lane(const struct pool_peer *peer)
{
	for (const struct lane *lane = peer->lanes; lane != NULL; lane = lane->next)
		if (lane->open)
			return true;
	return false;
}

static void ask_later(struct query *query, bool again)
{
	struct pool_peer *peer = query->peer;

	query_unlink(query);
	query->again |= again;
	query_wait(peer, query);
}

/* A connection that was not granted, while others to the same address stand: these have to do. */
static void lane_not_granted(struct lane *lane)
{
	lane->peer->lanes_most = lane->peer->lane_count;
	while (lane->queries != NULL)
		ask_later(lane->queries, false);
}

static void lane_failed(struct lane *lane, const char *why)
{
	struct pool_peer *peer = lane->peer;
	struct exchange_pool *pool = peer->pool;
	bool shared_by_many = lane->open && lane->count > 1;
	bool excusable = shared_by_many || (lane->open && lane->answered);
	uint64_t stood = 0;
	enum exchange_tls tls = channel_tls(lane->channel, &stood);

	pool->users++;
	lane->held = true; /* a callback must not end it once more */
	close_lane(lane);
	if (shared_by_many)
		peer->single_until = now(peer) + pool_limits.single;
	if (!lane->open && has_open_lane(peer))
		lane_not_granted(lane);
	while (lane->queries != NULL) {
		struct query *query = lane->queries;

		if (excusable && query->messages == 0 && !query->again) {
			ask_later(query, true);
			continue;
		}
		note_tls(query, tls, stood);
		query_fail(query, why);
	}
	if (!lane->open && !has_open_lane(peer))
		fail_waiting(peer, why, tls, stood);
	free(lane);
	pool_close(pool);
}

/* ---- what a channel says ---- */

static void on_opened(void *context)
{
	struct lane *lane = context;
	struct query *next;
	char why[TRANSFER_WHY];

	lane->open = true;
	for (struct query *query = lane->queries; query != NULL; query = next) {
		next = query->next;
		if (lane_send(lane, query, why) == 0)
			continue;
		lane_failed(lane, why);
		return;
	}
}

struct query *lane_find(const struct lane *lane, uint16_t id)
{
	struct query *query = lane->queries;

	while (query != NULL && query->id != id)
		query = query->next;
	return query;
}

static void on_message(void *context, uint8_t *wire, size_t length)
{
	struct lane *lane = context;
	struct query *query = length >= 2 ? lane_find(lane, knot_wire_read_u16(wire)) : NULL;

	/* The end of what was not wanted any more. */
	if (query == NULL && lane->retired)
		return;
	/* Whoever asked knows best what is wrong with it. */
	if (query == NULL && lane->count == 1)
		query = lane->queries;
	if (query == NULL) {
		lane_failed(lane, "a message came that answers none of the queries on the connection");
		return;
	}
	lane->answered = true;
	if (query->messages++ == 0)
		plan_lane(lane);
	query->events->message(query->context, wire, length);
}

/* Its answer is not waited for, here. */
static void give_up(struct lane *lane, struct query *query)
{
	lane->retired = true;
	if (query->messages == 0 && !query->again && now(lane->peer) - query->asked < transfer_limits.total)
		ask_later(query, true);
	else
		query_fail(query, "it took too long as a whole");
}

static bool overdue(const struct lane *lane, const struct query *query)
{
	uint64_t age = now(lane->peer) - query->asked;

	return age >= transfer_limits.total ||
	       (query->messages == 0 && !query->again && lane->count > 1 && age >= pool_limits.patience);
}

static void on_woken(void *context)
{
	struct lane *lane = context;
	struct exchange_pool *pool;
	struct query *query;

	if (lane->count == 0) {
		lane_end(lane);
		return;
	}
	pool = lane->peer->pool;
	pool->users++;
	lane->held = true; /* a callback must not end it */
	do {
		for (query = lane->queries; query != NULL && !overdue(lane, query); query = query->next)
			;
		if (query != NULL)
			give_up(lane, query);
	} while (query != NULL);
	lane->held = false;
	lane_settle(lane);
	pool_close(pool);
}

static void on_failed(void *context, const char *why)
{
	lane_failed(context, why);
}

static const struct channel_events lane_events = {on_opened, on_message, on_woken, on_failed};

/* ---- opening ---- */

struct lane *lane_open(struct pool_peer *peer, char *why)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return NULL;
	}
	lane->channel = channel_open(peer->pool->loop, &peer->peer, &lane_events, lane, why);
	if (lane->channel == NULL) {
		free(lane);
		return NULL;
	}
	lane->peer = peer;
	lane->idle = pool_limits.idle;
	lane->idle_since = now(peer);
	lane->next = peer->lanes;
	lane->place = &peer->lanes;
	if (lane->next != NULL)
		lane->next->place = &lane->next;
	peer->lanes = lane;
	peer->lane_count++;
	peer->pool->lane_count++;
	return lane;
}
