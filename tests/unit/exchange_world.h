/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of shared connections have in common: a loop, a server, and queries that note what becomes of them. */
#ifndef PEREGRINE_EXCHANGE_WORLD_H
#define PEREGRINE_EXCHANGE_WORLD_H

#include "transfer/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream_server.h"

#define ASKED_MOST 64

struct asked {
	struct exchange *exchange;
	struct exchange_world *world;
	uint16_t id;
	unsigned messages, wanted; /* the answer is whole after so many */
	size_t octets;
	bool failed, done;
	char why[TRANSFER_WHY];
	enum exchange_tls tls; /* when it failed */
};

struct exchange_world {
	uv_loop_t loop;
	struct stream_server server;
	struct exchange_pool *pool;
	struct exchange_peer peer;
	struct asked asked[ASKED_MOST];
	unsigned count, finished;
};

static const struct pool_limits pool_quick = {
    .in_flight = 8,
    .transfers = 2,
    .connections = 3,
    .connections_all = 16,
    .handshake = 1000,
    .busy = 60000,
    .patience = 60000,
    .idle = 10000,
    .idle_most = 20000,
    .single = 60000,
};

static inline void on_asked_message(void *context, uint8_t *wire, size_t length)
{
	struct asked *asked = context;

	asked->messages++;
	asked->octets += length;
	assert_false(asked->done);
	if (length < 2 || knot_wire_read_u16(wire) != asked->id)
		asked->failed = true;
	if (asked->messages < asked->wanted)
		return;
	asked->done = true;
	asked->world->finished++;
	exchange_answered(asked->exchange);
	exchange_end(asked->exchange);
	asked->exchange = NULL;
}

static inline void on_asked_failed(void *context, const char *why)
{
	struct asked *asked = context;

	assert_false(asked->done);
	asked->failed = asked->done = true;
	asked->world->finished++;
	asked->tls = exchange_tls(asked->exchange);
	snprintf(asked->why, sizeof(asked->why), "%s", why);
	exchange_end(asked->exchange);
	asked->exchange = NULL;
}

static const struct exchange_events asked_events = {on_asked_message, on_asked_failed};

/* A query of that id, answered by so many messages. */
static inline struct asked *ask_for(struct exchange_world *world, uint16_t id, unsigned wanted, bool transfer)
{
	struct asked *asked = &world->asked[world->count++];
	uint8_t wire[20] = {0};

	assert_true(world->count <= ASKED_MOST);
	knot_wire_write_u16(wire, id);
	*asked = (struct asked){.world = world, .id = id, .wanted = wanted};
	asked->exchange =
	    exchange_stream(world->pool, &world->peer, transfer, wire, sizeof(wire), &asked_events, asked, asked->why);
	if (asked->exchange == NULL) {
		asked->failed = asked->done = true;
		world->finished++;
	}
	return asked;
}

static inline struct asked *ask(struct exchange_world *world, uint16_t id, unsigned wanted)
{
	return ask_for(world, id, wanted, false);
}

/* Turns the loop until so many have come to an end. */
static inline void finish(struct exchange_world *world, unsigned number)
{
	uint64_t end = uv_hrtime() + 15000000000ULL;

	while (world->finished < number) {
		if (uv_hrtime() > end)
			fail_msg("only %u of %u came to an end", world->finished, number);
		uv_run(&world->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

static inline void turn(struct exchange_world *world, unsigned milliseconds)
{
	uint64_t end = uv_hrtime() + milliseconds * 1000000ULL;

	while (uv_hrtime() < end) {
		uv_run(&world->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

static inline void turn_until(struct exchange_world *world, atomic_uint *counter, unsigned number)
{
	uint64_t end = uv_hrtime() + 15000000000ULL;

	while (*counter != number) {
		if (uv_hrtime() > end)
			fail_msg("stopped at %u, not %u", *counter, number);
		uv_run(&world->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

/* How the connection's own limits are in these tests. */
static inline void exchange_limits(void)
{
	pool_limits = pool_quick;
	transfer_limits.connect = 2000;
	transfer_limits.progress = 10000;
	transfer_limits.window_octets = 1024;
	transfer_limits.total = 60000;
}

static inline struct exchange_world *exchange_world_open(void (*serve)(struct stream *stream))
{
	struct exchange_world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	exchange_limits();
	uv_loop_init(&world->loop);
	stream_server_open(&world->server, serve);
	world->peer.address = &world->server.address;
	world->pool = pool_open(&world->loop);
	return world;
}

static inline void exchange_world_close(struct exchange_world *world)
{
	for (unsigned i = 0; i < world->count; i++)
		exchange_end(world->asked[i].exchange);
	pool_close(world->pool);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	/* Every handle of the room is closed by now, or the run would not have ended. */
	assert_int_equal(uv_loop_close(&world->loop), 0);
	stream_server_close(&world->server);
	free(world);
}

#endif
