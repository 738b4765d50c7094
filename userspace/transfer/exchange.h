/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Queries over connections that are shared, from the bottom to the top:
 *
 *   channel.c    one connection over TCP or TLS: messages in and out, its deadlines; knows no query
 *   lane.c       a channel with the queries on it, and what becomes of them when it fails
 *   pool.c       which query goes over which connection
 *   exchange.c   what attempt.c sees: one query and its answer, over UDP or a connection
 *
 * Times in milliseconds, of the loop.
 */
#ifndef PEREGRINE_TRANSFER_EXCHANGE_H
#define PEREGRINE_TRANSFER_EXCHANGE_H

#include "tls/tls.h"
#include "transfer_internal.h"

/* One set for the process, at its defaults but in tests. */
struct pool_limits {
	unsigned in_flight;       /* queries on one connection that are not answered */
	unsigned transfers;       /* of these, on all connections to one address: primaries refuse too many */
	unsigned connections;     /* to one primary's address */
	unsigned connections_all; /* in all */
	uint64_t handshake;       /* of TLS, from the connection on */
	uint64_t busy;      /* a connection whose oldest query is older is left alone, where there may be another */
	uint64_t patience;  /* for the first message, while the connection brings others' */
	uint64_t idle;      /* how long a connection is kept with nothing to do; a primary may say otherwise ... */
	uint64_t idle_most; /* ... up to this */
	uint64_t single;    /* how long a primary that does not pipeline is asked one at a time */
};
extern struct pool_limits pool_limits;

/* ---- channel.c ---- */

struct channel;

struct channel_events {
	/* The connection stands, with TLS the handshake is done and the server the right one. */
	void (*opened)(void *context);
	/* A whole message, to be changed at will. */
	void (*message)(void *context, uint8_t *wire, size_t length);
	/* The time asked for by channel_wake has come. */
	void (*woken)(void *context);
	/* The connection is no good: it is still to be closed. */
	void (*failed)(void *context, const char *why);
};

/* Returns NULL with the reason (TRANSFER_WHY); no event comes before it returns. */
struct channel *channel_open(uv_loop_t *loop, const struct exchange_peer *peer, const struct channel_events *events,
                             void *context, char *why);
/* A query, with its length before it, over an open channel. Returns 0, or -1 with the reason. */
int channel_send(struct channel *channel, const uint8_t *octets, size_t length, char *why);
/* Deadlines count while something is awaited. */
void channel_await(struct channel *channel, bool awaited);
/* `woken` is called then; UINT64_MAX: never. */
void channel_wake(struct channel *channel, uint64_t at);
/* Of a channel that failed; *stood is when TCP stood, if TLS was it. */
enum exchange_tls channel_tls(const struct channel *channel, uint64_t *stood);
/* No event comes after this; the loop frees it. */
void channel_close(struct channel *channel);

/* ---- queries, lanes ---- */

struct lane;
struct pool_peer;

/* A query in the pool. It belongs to whoever began it. */
struct query {
	struct query *next, **place; /* in its lane's or its peer's list; place NULL: in none */
	struct pool_peer *peer;
	struct lane *lane; /* NULL: waits for one, or is over */
	const struct exchange_events *events;
	void *context;
	uint64_t asked;    /* when it was sent */
	unsigned messages; /* that came in answer */
	bool connected;    /* it was sent once */
	bool transfer;     /* its answer may be large */
	bool again;        /* it is asked for the second time, and alone */
	uint8_t tls;       /* enum exchange_tls, of the connection whose end it failed with */
	uint16_t id;
	size_t length;
	uint8_t octets[]; /* with the length before it */
};

/* A connection with the queries on it. */
struct lane {
	struct lane *next, **place;
	struct pool_peer *peer;
	struct channel *channel;
	struct query *queries;
	unsigned count;
	bool open;
	bool retired;
	bool answered; /* a message has come over it */
	bool held;     /* must not end now */
	uint64_t idle; /* how long it is kept */
	uint64_t idle_since;
};

/* All to one address, from one source, with one TLS profile. */
struct pool_peer {
	struct pool_peer *next;
	struct exchange_pool *pool;
	struct sockaddr_storage address, source;
	struct exchange_peer peer; /* points to these, and holds a reference to its TLS profile */
	struct lane *lanes;
	unsigned lane_count;
	unsigned lanes_most; /* as many as it has let us have */
	unsigned transfers;  /* on the lanes */
	struct query *waiting, **waiting_end;
	uint64_t single_until; /* it does not pipeline */
};

struct exchange_pool {
	uv_loop_t *loop;
	uv_timer_t timer; /* places what waits, from the loop */
	unsigned users;   /* whoever opened it, and callbacks of ours that must not lose it */
	unsigned lane_count;
	unsigned waiting; /* queries, of all peers */
	struct pool_peer *peers;
};

/* ---- lane.c ---- */

/* Takes it out of whichever list it is in. */
void query_unlink(struct query *query);
/* At the end of those that wait for a connection to their peer. */
void query_wait(struct pool_peer *peer, struct query *query);
void query_put(struct lane *lane, struct query *query);
/* Whether it has to have a connection of its own. */
bool query_alone(const struct pool_peer *peer, const struct query *query);
/* Unlinks it, and tells who asked. */
void query_fail(struct query *query, const char *why);

/* Returns NULL with the reason. */
struct lane *lane_open(struct pool_peer *peer, char *why);
void lane_end(struct lane *lane);
/* Sends a query that is on it. Returns 0, or -1 with the reason. */
int lane_send(struct lane *lane, struct query *query, char *why);
/* After a query has left it. It may be gone then. */
void lane_settle(struct lane *lane);
struct query *lane_find(const struct lane *lane, uint16_t id);

/* ---- pool.c ---- */

/* Has what waits placed, from the loop. */
void pool_pump(struct exchange_pool *pool);
/* Returns NULL with the reason when nothing could be begun. */
struct query *pool_ask(struct exchange_pool *pool, const struct exchange_peer *peer, bool transfer, const uint8_t *wire,
                       size_t length, const struct exchange_events *events, void *context, char *why);
/* The answer is whole: the connection is free for others. */
void pool_answered(struct query *query);
/* How long the primary wants the connection to be kept idle. */
void pool_keep(struct query *query, uint64_t idle);
/* Frees it. What is still to come for it is not wanted: unless it was answered, its connection is not used any more. */
void pool_forget(struct query *query);

#endif
