/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One query to one address: over UDP with tries, on a socket of its own, or over a connection of the pool. An exchange
 * belongs to whoever began it until exchange_end. Nothing that outlives it can be reached from a late callback.
 */
#include "exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define UDP_ROOM 4096 /* an SOA reply without EDNS is 512 at most; more is cut and then malformed */

/* Frees itself when both its handles are closed. */
struct datagrams {
	uv_udp_t udp;
	uv_timer_t timer;
	const struct exchange_events *events;
	void *context;
	unsigned handles; /* not closed yet */
	bool ended;
	unsigned tries;
	size_t query_length;
	uint8_t query[TRANSFER_QUERY];
	uint8_t buffer[UDP_ROOM];
};

struct exchange {
	struct query *query; /* or, over UDP: */
	struct datagrams *datagrams;
};

/* ---- UDP ---- */

static void on_closed(uv_handle_t *handle)
{
	struct datagrams *datagrams = handle->data;

	if (--datagrams->handles == 0)
		free(datagrams);
}

static void end_datagrams(struct datagrams *datagrams)
{
	datagrams->ended = true;
	uv_close((uv_handle_t *)&datagrams->udp, on_closed);
	uv_close((uv_handle_t *)&datagrams->timer, on_closed);
}

/* The last event: what libuv still says is not heard. */
static void fail(struct datagrams *datagrams, const char *why)
{
	if (datagrams->ended)
		return;
	uv_timer_stop(&datagrams->timer);
	datagrams->events->failed(datagrams->context, why);
}

static void send_datagram(struct datagrams *datagrams);

static void on_timer(uv_timer_t *timer)
{
	struct datagrams *datagrams = timer->data;

	if (datagrams->tries < transfer_limits.udp_tries)
		send_datagram(datagrams);
	else
		fail(datagrams, "no reply over UDP");
}

/* What cannot be sent now (a full buffer, a route that comes back) may be with the next try. */
static void send_datagram(struct datagrams *datagrams)
{
	uv_buf_t buffer = uv_buf_init((char *)datagrams->query, (unsigned)datagrams->query_length);

	datagrams->tries++;
	uv_udp_try_send(&datagrams->udp, &buffer, 1, NULL);
	uv_timer_start(&datagrams->timer, on_timer, transfer_limits.udp_wait, 0);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct datagrams *datagrams = handle->data;

	*buffer = uv_buf_init((char *)datagrams->buffer, UDP_ROOM);
}

static void on_read(uv_udp_t *udp, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
	struct datagrams *datagrams = udp->data;
	char why[TRANSFER_WHY];

	if (datagrams->ended || (length == 0 && from == NULL))
		return;
	/* An ICMP error: nobody listens there. The socket is connected, so it is about this very address. */
	if (length < 0) {
		snprintf(why, sizeof(why), "UDP: %s", uv_strerror((int)length));
		fail(datagrams, why);
	} else if (!(flags & UV_UDP_PARTIAL)) {
		datagrams->events->message(datagrams->context, datagrams->buffer, (size_t)length);
	}
}

static struct datagrams *new_datagrams(uv_loop_t *loop, const uint8_t *query, size_t length,
                                       const struct exchange_events *events, void *context)
{
	struct datagrams *datagrams = calloc(1, sizeof(*datagrams));

	if (datagrams == NULL)
		return NULL;
	datagrams->events = events;
	datagrams->context = context;
	datagrams->query_length = length;
	memcpy(datagrams->query, query, length);
	uv_udp_init(loop, &datagrams->udp);
	uv_timer_init(loop, &datagrams->timer);
	datagrams->udp.data = datagrams->timer.data = datagrams;
	datagrams->handles = 2;
	return datagrams;
}

/* Connected: the kernel lets nothing in from elsewhere, and picks a random port. Returns 0, or -1 with the reason. */
static int connect_datagrams(struct datagrams *datagrams, const struct exchange_peer *peer, char *why)
{
	int error = 0;

	if (peer->source != NULL)
		error = uv_udp_bind(&datagrams->udp, (const struct sockaddr *)peer->source, 0);
	if (error != 0) {
		exchange_source_text(peer->source, error, why);
		return -1;
	}
	error = uv_udp_connect(&datagrams->udp, (const struct sockaddr *)peer->address);
	if (error == 0)
		error = uv_udp_recv_start(&datagrams->udp, on_alloc, on_read);
	if (error != 0)
		snprintf(why, TRANSFER_WHY, "UDP: %s", uv_strerror(error));
	return error == 0 ? 0 : -1;
}

struct exchange *exchange_udp(uv_loop_t *loop, const struct exchange_peer *peer, const uint8_t *query, size_t length,
                              const struct exchange_events *events, void *context, char *why)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	struct datagrams *datagrams =
	    exchange != NULL && length <= TRANSFER_QUERY ? new_datagrams(loop, query, length, events, context) : NULL;

	if (datagrams == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		free(exchange);
		return NULL;
	}
	if (connect_datagrams(datagrams, peer, why) != 0) {
		end_datagrams(datagrams);
		free(exchange);
		return NULL;
	}
	exchange->datagrams = datagrams;
	send_datagram(datagrams);
	return exchange;
}

/* ---- connections ---- */

struct exchange *exchange_stream(struct exchange_pool *pool, const struct exchange_peer *peer, bool transfer,
                                 const uint8_t *query, size_t length, const struct exchange_events *events,
                                 void *context, char *why)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (exchange == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return NULL;
	}
	exchange->query = pool_ask(pool, peer, transfer, query, length, events, context, why);
	if (exchange->query != NULL)
		return exchange;
	free(exchange);
	return NULL;
}

bool exchange_connected(const struct exchange *exchange)
{
	return exchange->query != NULL && exchange->query->connected;
}

enum exchange_tls exchange_tls(const struct exchange *exchange)
{
	return exchange->query != NULL ? (enum exchange_tls)exchange->query->tls : EXCHANGE_TLS_NONE;
}

uint64_t exchange_connected_at(const struct exchange *exchange)
{
	return exchange->query != NULL ? exchange->query->asked : 0;
}

void exchange_answered(struct exchange *exchange)
{
	if (exchange->query != NULL)
		pool_answered(exchange->query);
}

void exchange_keep(struct exchange *exchange, uint64_t idle)
{
	if (exchange->query != NULL)
		pool_keep(exchange->query, idle);
}

void exchange_end(struct exchange *exchange)
{
	if (exchange == NULL)
		return;
	if (exchange->query != NULL)
		pool_forget(exchange->query);
	if (exchange->datagrams != NULL)
		end_datagrams(exchange->datagrams);
	free(exchange);
}

/* ---- addresses ---- */

void exchange_source_text(const struct sockaddr_storage *source, int error, char *why)
{
	char address[CONFIG_ADDRESS_TEXT];

	config_address_text(source, address);
	address[strcspn(address, "@")] = '\0';
	snprintf(why, TRANSFER_WHY,
	         "cannot send from %s: %s; give this host that address, or mend `source` of the primary", address,
	         uv_strerror(error));
}

bool exchange_same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)one, *other_four = (const void *)other;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)one, *other_six = (const void *)other;

	if (one == NULL || other == NULL)
		return one == other;
	if (one->ss_family != other->ss_family)
		return false;
	if (one->ss_family == AF_UNSPEC)
		return true;
	if (one->ss_family == AF_INET)
		return four->sin_port == other_four->sin_port && four->sin_addr.s_addr == other_four->sin_addr.s_addr;
	return six->sin6_port == other_six->sin6_port && six->sin6_scope_id == other_six->sin6_scope_id &&
	       memcmp(&six->sin6_addr, &other_six->sin6_addr, sizeof(six->sin6_addr)) == 0;
}
