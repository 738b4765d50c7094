/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One query to one address: over UDP with tries, or over TCP with the two-octet length before each message. An exchange
 * belongs to whoever began it until exchange_end; then to the loop, which frees it when both its handles are closed.
 * Each exchange is its own allocation, so nothing that outlives it can be reached from a late callback.
 */
#include "transfer_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define UDP_ROOM 4096 /* an SOA reply without EDNS is 512 at most; more is cut and then malformed */
#define TCP_ROOM (2 + TRANSFER_MESSAGE)

struct exchange {
	union {
		uv_handle_t handle;
		uv_udp_t udp;
		uv_tcp_t tcp;
	} socket;
	uv_timer_t timer;
	uv_connect_t connect;
	uv_write_t write;
	const struct exchange_events *events;
	void *context;
	unsigned handles; /* not closed yet */
	bool ended;
	unsigned tries;
	bool connected;
	uint64_t begun, last_octet, window; /* loop time */
	size_t window_octets;
	bool window_message;
	size_t fill;
	size_t query_length;
	uint8_t query[2 + TRANSFER_QUERY]; /* with its length before it */
	uint8_t buffer[];
};

static void on_closed(uv_handle_t *handle)
{
	struct exchange *exchange = handle->data;

	if (--exchange->handles == 0)
		free(exchange);
}

void exchange_end(struct exchange *exchange)
{
	if (exchange == NULL || exchange->ended)
		return;
	exchange->ended = true;
	uv_close(&exchange->socket.handle, on_closed);
	uv_close((uv_handle_t *)&exchange->timer, on_closed);
}

bool exchange_connected(const struct exchange *exchange)
{
	return exchange->connected;
}

uint64_t exchange_connected_at(const struct exchange *exchange)
{
	return exchange->begun;
}

/* The last event: what libuv still says is not heard. */
static void fail(struct exchange *exchange, const char *why)
{
	if (exchange->ended)
		return;
	uv_timer_stop(&exchange->timer);
	exchange->events->failed(exchange->context, why);
}

static void fail_errno(struct exchange *exchange, const char *doing, int error)
{
	char why[TRANSFER_WHY];

	snprintf(why, sizeof(why), "%s: %s", doing, uv_strerror(error));
	fail(exchange, why);
}

static struct exchange *exchange_new(uv_loop_t *loop, const uint8_t *query, size_t length, size_t room,
                                     const struct exchange_events *events, void *context)
{
	struct exchange *exchange;

	if (length > TRANSFER_QUERY)
		return NULL;
	exchange = malloc(sizeof(*exchange) + room);
	if (exchange == NULL)
		return NULL;
	memset(exchange, 0, sizeof(*exchange));
	exchange->events = events;
	exchange->context = context;
	exchange->query_length = length;
	knot_wire_write_u16(exchange->query, (uint16_t)length);
	memcpy(exchange->query + 2, query, length);
	uv_timer_init(loop, &exchange->timer);
	exchange->timer.data = exchange;
	return exchange;
}

/* Gives up before anything has begun. */
static struct exchange *give_up(struct exchange *exchange, const char *doing, int error, char *why)
{
	snprintf(why, TRANSFER_WHY, "%s: %s", doing, uv_strerror(error));
	exchange_end(exchange);
	return NULL;
}

/* ---- UDP ---- */

static void udp_send(struct exchange *exchange);

static void on_udp_timer(uv_timer_t *timer)
{
	struct exchange *exchange = timer->data;

	if (exchange->tries < transfer_limits.udp_tries)
		udp_send(exchange);
	else
		fail(exchange, "no reply over UDP");
}

/* What cannot be sent now (a full buffer, a route that comes back) may be with the next try. */
static void udp_send(struct exchange *exchange)
{
	uv_buf_t buffer = uv_buf_init((char *)exchange->query + 2, (unsigned)exchange->query_length);

	exchange->tries++;
	uv_udp_try_send(&exchange->socket.udp, &buffer, 1, NULL);
	uv_timer_start(&exchange->timer, on_udp_timer, transfer_limits.udp_wait, 0);
}

static void on_udp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct exchange *exchange = handle->data;

	*buffer = uv_buf_init((char *)exchange->buffer, UDP_ROOM);
}

static void on_udp_read(uv_udp_t *udp, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags)
{
	struct exchange *exchange = udp->data;

	if (exchange->ended || (length == 0 && from == NULL))
		return;
	/* An ICMP error: nobody listens there. The socket is connected, so it is about this very address. */
	if (length < 0)
		fail_errno(exchange, "UDP", (int)length);
	else if (!(flags & UV_UDP_PARTIAL))
		exchange->events->message(exchange->context, exchange->buffer, (size_t)length);
}

struct exchange *exchange_udp(uv_loop_t *loop, const struct sockaddr_storage *address, const uint8_t *query,
                              size_t length, const struct exchange_events *events, void *context, char *why)
{
	struct exchange *exchange = exchange_new(loop, query, length, UDP_ROOM, events, context);
	int error;

	if (exchange == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return NULL;
	}
	uv_udp_init(loop, &exchange->socket.udp);
	exchange->socket.handle.data = exchange;
	exchange->handles = 2;
	/* Connected: the kernel lets nothing in from elsewhere, and picks a random port. */
	error = uv_udp_connect(&exchange->socket.udp, (const struct sockaddr *)address);
	if (error == 0)
		error = uv_udp_recv_start(&exchange->socket.udp, on_udp_alloc, on_udp_read);
	if (error != 0)
		return give_up(exchange, "UDP", error, why);
	udp_send(exchange);
	return exchange;
}

/* ---- TCP ---- */

static uint64_t now(const struct exchange *exchange)
{
	return uv_now(exchange->timer.loop);
}

static void on_tcp_timer(uv_timer_t *timer);

static void tcp_plan(struct exchange *exchange)
{
	uint64_t silent = exchange->last_octet + transfer_limits.progress;
	uint64_t slow = exchange->window + transfer_limits.progress;
	uint64_t total = exchange->begun + transfer_limits.total;
	uint64_t next = silent < slow ? silent : slow;

	next = total < next ? total : next;
	uv_timer_start(&exchange->timer, on_tcp_timer, next > now(exchange) ? next - now(exchange) : 0, 0);
}

static void tcp_window(struct exchange *exchange)
{
	exchange->window = now(exchange);
	exchange->window_octets = 0;
	exchange->window_message = false;
}

static void on_tcp_timer(uv_timer_t *timer)
{
	struct exchange *exchange = timer->data;
	char why[TRANSFER_WHY];

	if (!exchange->connected) {
		fail(exchange, "connecting took too long");
		return;
	}
	if (now(exchange) - exchange->begun >= transfer_limits.total) {
		fail(exchange, "it took too long as a whole");
		return;
	}
	if (now(exchange) - exchange->last_octet >= transfer_limits.progress) {
		snprintf(why, sizeof(why), "stalled: nothing came for %llu ms",
		         (unsigned long long)transfer_limits.progress);
		fail(exchange, why);
		return;
	}
	if (now(exchange) - exchange->window >= transfer_limits.progress) {
		if (!exchange->window_message && exchange->window_octets < transfer_limits.window_octets) {
			snprintf(why, sizeof(why), "too slow: %zu octets in %llu ms", exchange->window_octets,
			         (unsigned long long)transfer_limits.progress);
			fail(exchange, why);
			return;
		}
		tcp_window(exchange);
	}
	tcp_plan(exchange);
}

/* Hands over the whole messages in the buffer and moves the rest to its beginning. */
static void tcp_messages(struct exchange *exchange)
{
	size_t at = 0;

	while (!exchange->ended && exchange->fill - at >= 2) {
		size_t length = knot_wire_read_u16(exchange->buffer + at);

		if (exchange->fill - at - 2 < length)
			break;
		exchange->window_message = true;
		exchange->events->message(exchange->context, exchange->buffer + at + 2, length);
		at += 2 + length;
	}
	if (at > 0)
		memmove(exchange->buffer, exchange->buffer + at, exchange->fill - at);
	exchange->fill -= at;
}

static void on_tcp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct exchange *exchange = handle->data;

	/* Never empty: tcp_messages leaves less than a whole message, and a whole one fits. */
	*buffer = uv_buf_init((char *)exchange->buffer + exchange->fill, (unsigned)(TCP_ROOM - exchange->fill));
}

static void on_tcp_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct exchange *exchange = stream->data;

	if (exchange->ended || length == 0)
		return;
	if (length == UV_EOF) {
		fail(exchange, exchange->fill > 0 ? "the primary closed the connection in the middle of a message"
		                                  : "the primary closed the connection before the end");
		return;
	}
	if (length < 0) {
		fail_errno(exchange, "TCP", (int)length);
		return;
	}
	exchange->last_octet = now(exchange);
	exchange->window_octets += (size_t)length;
	exchange->fill += (size_t)length;
	tcp_messages(exchange);
}

static void on_tcp_written(uv_write_t *write, int error)
{
	struct exchange *exchange = write->data;

	if (error != 0 && error != UV_ECANCELED)
		fail_errno(exchange, "TCP", error);
}

static void on_tcp_connected(uv_connect_t *connect, int error)
{
	struct exchange *exchange = connect->data;
	uv_buf_t buffer;

	if (exchange->ended || error == UV_ECANCELED)
		return;
	if (error != 0) {
		fail_errno(exchange, "connecting", error);
		return;
	}
	exchange->connected = true;
	exchange->begun = exchange->last_octet = now(exchange);
	tcp_window(exchange);
	/* One buffer, so that length and message go out in one segment. */
	buffer = uv_buf_init((char *)exchange->query, (unsigned)(2 + exchange->query_length));
	exchange->write.data = exchange;
	error = uv_write(&exchange->write, (uv_stream_t *)&exchange->socket.tcp, &buffer, 1, on_tcp_written);
	if (error == 0)
		error = uv_read_start((uv_stream_t *)&exchange->socket.tcp, on_tcp_alloc, on_tcp_read);
	if (error != 0)
		fail_errno(exchange, "TCP", error);
	else
		tcp_plan(exchange);
}

struct exchange *exchange_tcp(uv_loop_t *loop, const struct sockaddr_storage *address, const uint8_t *query,
                              size_t length, const struct exchange_events *events, void *context, char *why)
{
	struct exchange *exchange = exchange_new(loop, query, length, TCP_ROOM, events, context);
	int error;

	if (exchange == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return NULL;
	}
	uv_tcp_init(loop, &exchange->socket.tcp);
	exchange->socket.handle.data = exchange;
	exchange->handles = 2;
	exchange->connect.data = exchange;
	error = uv_tcp_connect(&exchange->connect, &exchange->socket.tcp, (const struct sockaddr *)address,
	                       on_tcp_connected);
	if (error != 0)
		return give_up(exchange, "connecting", error, why);
	uv_timer_start(&exchange->timer, on_tcp_timer, transfer_limits.connect, 0);
	return exchange;
}
