/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which query goes over which connection. To each address (with its source and TLS) there are some connections, each
 * with some queries in flight; what has no place waits in the order it came. Message ids tell the answers apart, so two
 * queries of one id are never on one connection.
 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

struct pool_limits pool_limits = {
    .in_flight = 16,
    .transfers = 4, /* BIND gives 10 at a time to all its secondaries together, and SERVFAIL to the eleventh */
    .connections = 4,
    .connections_all = 256,
    .handshake = 5000,
    .busy = 100,
    .patience = 10000,
    .idle = 10000,
    .idle_most = 60000,
    .single = 600000,
};

static uint64_t now(const struct pool_peer *peer)
{
	return uv_now(peer->pool->loop);
}

/* ---- placing, from the loop ---- */

static void on_pump(uv_timer_t *timer);

void pool_pump(struct exchange_pool *pool)
{
	if (!uv_is_closing((uv_handle_t *)&pool->timer) && !uv_is_active((uv_handle_t *)&pool->timer))
		uv_timer_start(&pool->timer, on_pump, 0, 0);
}

/* ---- choosing ---- */

/* The longest idle, of a peer or (NULL) of all, makes room for another. */
static bool end_idle(struct exchange_pool *pool, const struct pool_peer *of)
{
	struct lane *oldest = NULL;

	for (struct pool_peer *peer = pool->peers; peer != NULL; peer = peer->next)
		for (struct lane *lane = peer->lanes; lane != NULL; lane = lane->next)
			if ((of == NULL || of == peer) && lane->open && lane->count == 0 && !lane->held &&
			    (oldest == NULL || lane->idle_since < oldest->idle_since))
				oldest = lane;
	if (oldest != NULL)
		lane_end(oldest);
	return oldest != NULL;
}

static bool has_room(struct pool_peer *peer, bool alone)
{
	unsigned most = peer->lanes_most < pool_limits.connections ? peer->lanes_most : pool_limits.connections;

	if (peer->lane_count >= most && !(alone && end_idle(peer->pool, peer)))
		return false;
	return peer->pool->lane_count < pool_limits.connections_all || end_idle(peer->pool, NULL);
}

static bool takes(const struct lane *lane, const struct query *query)
{
	return !lane->retired && lane->count < pool_limits.in_flight &&
	       (lane->queries == NULL || !lane->queries->again) && lane_find(lane, query->id) == NULL;
}

/* Something before it takes its time. */
static bool is_busy(const struct lane *lane)
{
	for (const struct query *query = lane->queries; query != NULL; query = query->next)
		if (query->connected && now(lane->peer) - query->asked >= pool_limits.busy)
			return true;
	return false;
}

/* Returns NULL with the reason, or with none ("") when the query has to wait. What goes alone has a connection of its
 * own, a new one: whatever may be wrong with another does not matter to it. */
static struct lane *choose(struct pool_peer *peer, const struct query *query, char *why)
{
	bool alone = query_alone(peer, query);
	struct lane *best = NULL;
	bool best_busy = false;

	why[0] = '\0';
	if (query->transfer && peer->transfers >= pool_limits.transfers)
		return NULL;
	for (struct lane *lane = alone ? NULL : peer->lanes; lane != NULL; lane = lane->next) {
		bool busy = is_busy(lane);

		if (!takes(lane, query))
			continue;
		if (best != NULL && (busy > best_busy || (busy == best_busy && lane->count >= best->count)))
			continue;
		best = lane;
		best_busy = busy;
	}
	if (best != NULL && !best_busy)
		return best;
	return has_room(peer, alone) ? lane_open(peer, why) : best;
}

/* Returns 0, also when it waits now, or -1 with the reason. */
static int place(struct pool_peer *peer, struct query *query, char *why)
{
	struct lane *lane = choose(peer, query, why);

	if (lane == NULL && why[0] != '\0')
		return -1;
	if (lane == NULL) {
		if (query->place == NULL)
			query_wait(peer, query);
		return 0;
	}
	query_unlink(query);
	query_put(lane, query);
	if (!lane->open || lane_send(lane, query, why) == 0)
		return 0;
	query_unlink(query);
	lane->retired = true;
	lane_settle(lane);
	return -1;
}

static void forget_peers(struct exchange_pool *pool)
{
	struct pool_peer **place_of = &pool->peers;

	while (*place_of != NULL) {
		struct pool_peer *peer = *place_of;

		if (peer->lanes != NULL || peer->waiting != NULL || now(peer) < peer->single_until) {
			place_of = &peer->next;
			continue;
		}
		*place_of = peer->next;
		tls_profile_unref(peer->peer.tls);
		free(peer);
	}
}

static void on_pump(uv_timer_t *timer)
{
	struct exchange_pool *pool = timer->data;
	char why[TRANSFER_WHY];

	pool->users++;
	for (struct pool_peer *peer = pool->peers; peer != NULL; peer = peer->next) {
		struct query *query = peer->waiting, *next;

		for (; query != NULL; query = next) {
			next = query->next;
			if (place(peer, query, why) == 0)
				continue;
			query_fail(query, why);
			/* A callback may have changed the list. */
			next = peer->waiting;
		}
	}
	forget_peers(pool);
	pool_close(pool);
}

/* ---- peers ---- */

static struct pool_peer *find_peer(struct exchange_pool *pool, const struct exchange_peer *wanted)
{
	struct pool_peer *peer;

	for (peer = pool->peers; peer != NULL; peer = peer->next)
		if (exchange_same_address(peer->peer.address, wanted->address) &&
		    exchange_same_address(peer->peer.source, wanted->source) &&
		    tls_profile_same(peer->peer.tls, wanted->tls))
			return peer;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		return NULL;
	peer->pool = pool;
	peer->address = *wanted->address;
	peer->peer.address = &peer->address;
	if (wanted->source != NULL) {
		peer->source = *wanted->source;
		peer->peer.source = &peer->source;
	}
	peer->peer.tls = tls_profile_ref(wanted->tls);
	peer->lanes_most = pool_limits.connections;
	peer->waiting_end = &peer->waiting;
	peer->next = pool->peers;
	pool->peers = peer;
	return peer;
}

/* ---- from above ---- */

struct query *pool_ask(struct exchange_pool *pool, const struct exchange_peer *peer, bool transfer, const uint8_t *wire,
                       size_t length, const struct exchange_events *events, void *context, char *why)
{
	struct pool_peer *known = find_peer(pool, peer);
	struct query *query = calloc(1, sizeof(*query) + 2 + length);

	if (known == NULL || query == NULL || length < KNOT_WIRE_HEADER_SIZE) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		free(query);
		return NULL;
	}
	query->peer = known;
	query->transfer = transfer;
	query->events = events;
	query->context = context;
	query->id = knot_wire_get_id(wire);
	query->length = 2 + length;
	knot_wire_write_u16(query->octets, (uint16_t)length);
	memcpy(query->octets + 2, wire, length);
	/* Transfers that wait already come first; a SOA query does not wait for them. */
	if (transfer && known->waiting != NULL)
		query_wait(known, query);
	else if (place(known, query, why) != 0) {
		free(query);
		pool_pump(pool);
		return NULL;
	}
	return query;
}

void pool_answered(struct query *query)
{
	struct lane *lane = query->lane;

	query_unlink(query);
	if (lane != NULL)
		lane_settle(lane);
}

void pool_keep(struct query *query, uint64_t idle)
{
	if (query->lane == NULL)
		return;
	query->lane->idle = idle < pool_limits.idle_most ? idle : pool_limits.idle_most;
	query->lane->retired |= idle == 0;
}

void pool_forget(struct query *query)
{
	struct lane *lane = query->lane;

	query_unlink(query);
	if (lane != NULL) {
		lane->retired |= query->connected;
		lane_settle(lane);
	}
	free(query);
}

/* ---- life ---- */

struct exchange_pool *pool_open(uv_loop_t *loop)
{
	struct exchange_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->loop = loop;
	pool->users = 1;
	uv_timer_init(loop, &pool->timer);
	pool->timer.data = pool;
	return pool;
}

static void on_pool_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pool_close(struct exchange_pool *pool)
{
	if (--pool->users > 0)
		return;
	for (struct pool_peer *peer = pool->peers; peer != NULL; peer = peer->next) {
		peer->single_until = 0;
		while (peer->lanes != NULL)
			lane_end(peer->lanes);
	}
	forget_peers(pool);
	uv_close((uv_handle_t *)&pool->timer, on_pool_closed);
}
