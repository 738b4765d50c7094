/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection to a primary, over TCP or TLS, as messages with the two-octet length before each. A channel belongs to
 * whoever opened it until channel_close; then to the loop, which frees it when both its handles are closed.
 */
#include "exchange.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CHANNEL_ROOM (2 + TRANSFER_MESSAGE)
#define CIPHER_ROOM 65536
#define SMALL_READ 4096

enum phase { CONNECTING, HANDSHAKE, OPEN };

struct channel {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	const struct channel_events *events;
	void *context;
	struct tls_session *tls; /* or NULL */
	uint8_t *cipher;         /* CIPHER_ROOM with TLS */
	enum phase phase;
	unsigned handles; /* not closed yet */
	bool closed;
	bool awaited;
	bool refused; /* the other side of TLS spoke, or closed, and that was the end */
	bool told;    /* a message came */
	uint64_t wake;
	uint64_t begun, last_octet, window; /* the phase; deadlines */
	size_t window_octets;
	bool window_message;
	size_t fill;
	uint8_t buffer[CHANNEL_ROOM];
};

struct sending {
	uv_write_t write;
	char octets[];
};

static uint64_t now(const struct channel *channel)
{
	return uv_now(channel->timer.loop);
}

static void on_closed(uv_handle_t *handle)
{
	struct channel *channel = handle->data;

	if (--channel->handles > 0)
		return;
	tls_session_free(channel->tls);
	free(channel->cipher);
	free(channel);
}

/* The last event: what libuv still says is not heard. */
static void fail(struct channel *channel, const char *why)
{
	if (channel->closed)
		return;
	uv_timer_stop(&channel->timer);
	uv_read_stop((uv_stream_t *)&channel->tcp);
	channel->events->failed(channel->context, why);
}

static void fail_errno(struct channel *channel, const char *doing, int error)
{
	char why[TRANSFER_WHY];

	snprintf(why, sizeof(why), "%s: %s", doing, uv_strerror(error));
	fail(channel, why);
}

static void fail_tls(struct channel *channel)
{
	char why[TRANSFER_WHY];

	channel->refused = true;
	snprintf(why, sizeof(why), "TLS: %.240s", tls_session_why(channel->tls));
	fail(channel, why);
}

/* ---- deadlines ---- */

static void on_timer(uv_timer_t *timer);

static uint64_t least(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static void plan(struct channel *channel)
{
	uint64_t at = channel->wake;

	if (channel->closed)
		return;
	if (channel->phase == CONNECTING)
		at = channel->begun + transfer_limits.connect;
	else if (channel->phase == HANDSHAKE)
		at = channel->begun + pool_limits.handshake;
	else if (channel->awaited)
		at = least(at, least(channel->last_octet, channel->window) + transfer_limits.progress);
	if (at == UINT64_MAX)
		uv_timer_stop(&channel->timer);
	else
		uv_timer_start(&channel->timer, on_timer, at > now(channel) ? at - now(channel) : 0, 0);
}

static void begin_window(struct channel *channel)
{
	channel->window = now(channel);
	channel->window_octets = 0;
	channel->window_message = false;
}

/* Says why the connection is too slow, if it is. */
static bool too_slow(struct channel *channel, char *why)
{
	if (now(channel) - channel->last_octet >= transfer_limits.progress) {
		snprintf(why, TRANSFER_WHY, "stalled: nothing came for %llu ms",
		         (unsigned long long)transfer_limits.progress);
		return true;
	}
	if (now(channel) - channel->window < transfer_limits.progress)
		return false;
	if (!channel->window_message && channel->window_octets < transfer_limits.window_octets) {
		snprintf(why, TRANSFER_WHY, "too slow: %zu octets in %llu ms", channel->window_octets,
		         (unsigned long long)transfer_limits.progress);
		return true;
	}
	begin_window(channel);
	return false;
}

static void on_timer(uv_timer_t *timer)
{
	struct channel *channel = timer->data;
	char why[TRANSFER_WHY];

	if (channel->phase == CONNECTING) {
		fail(channel, "connecting took too long");
	} else if (channel->phase == HANDSHAKE) {
		fail(channel, "TLS: the handshake took too long");
	} else if (channel->awaited && too_slow(channel, why)) {
		fail(channel, why);
	} else {
		if (now(channel) >= channel->wake) {
			channel->wake = UINT64_MAX;
			channel->events->woken(channel->context);
		}
		plan(channel);
	}
}

void channel_await(struct channel *channel, bool awaited)
{
	if (awaited && !channel->awaited) {
		channel->last_octet = now(channel);
		begin_window(channel);
	}
	channel->awaited = awaited;
	plan(channel);
}

void channel_wake(struct channel *channel, uint64_t at)
{
	channel->wake = at;
	plan(channel);
}

/* ---- out ---- */

/* An error shows on the reading side too, and behind what the primary said last, which is the better reason. */
static void on_written(uv_write_t *write, int error)
{
	free(write->data);
}

/* Onto the wire, as it is. */
static int put(void *context, const uint8_t *octets, size_t length)
{
	struct channel *channel = context;
	struct sending *sending;
	uv_buf_t buffer;

	if (channel->closed)
		return -1;
	sending = malloc(sizeof(*sending) + length);
	if (sending == NULL)
		return -1;
	sending->write.data = sending;
	memcpy(sending->octets, octets, length);
	buffer = uv_buf_init(sending->octets, (unsigned)length);
	if (uv_write(&sending->write, (uv_stream_t *)&channel->tcp, &buffer, 1, on_written) == 0)
		return 0;
	free(sending);
	return -1;
}

int channel_send(struct channel *channel, const uint8_t *octets, size_t length, char *why)
{
	int result =
	    channel->tls != NULL ? tls_session_write(channel->tls, octets, length) : put(channel, octets, length);

	if (result != 0)
		snprintf(why, TRANSFER_WHY, "the query cannot be sent");
	return result;
}

/* ---- in ---- */

/* Hands over the whole messages in the buffer and moves the rest to its beginning. */
static void give_messages(struct channel *channel)
{
	size_t at = 0;

	while (!channel->closed && channel->fill - at >= 2) {
		size_t length = knot_wire_read_u16(channel->buffer + at);

		if (channel->fill - at - 2 < length)
			break;
		channel->window_message = channel->told = true;
		channel->events->message(channel->context, channel->buffer + at + 2, length);
		at += 2 + length;
	}
	if (at > 0)
		memmove(channel->buffer, channel->buffer + at, channel->fill - at);
	channel->fill -= at;
}

static void open_up(struct channel *channel)
{
	channel->phase = OPEN;
	plan(channel);
	channel->events->opened(channel->context);
}

static void ended_by_primary(struct channel *channel)
{
	channel->refused = channel->tls != NULL;
	if (channel->tls != NULL && channel->phase == OPEN && tls_session_ended(channel->tls) != NULL)
		fail_tls(channel);
	else if (channel->phase == HANDSHAKE)
		fail(channel, "TLS: the primary closed the connection during the handshake");
	else
		fail(channel, channel->fill > 0 ? "the primary closed the connection in the middle of a message"
		                                : "the primary closed the connection before the end");
}

/* Takes what the session has, as far as it goes. */
static void decrypt(struct channel *channel)
{
	if (channel->phase == HANDSHAKE) {
		int result = tls_session_handshake(channel->tls);

		if (result < 0)
			fail_tls(channel);
		else if (result > 0)
			open_up(channel);
		if (result <= 0)
			return;
	}
	while (!channel->closed) {
		ssize_t got =
		    tls_session_read(channel->tls, channel->buffer + channel->fill, CHANNEL_ROOM - channel->fill);

		if (got == -2)
			ended_by_primary(channel);
		else if (got < 0)
			fail_tls(channel);
		if (got <= 0)
			return;
		channel->fill += (size_t)got;
		give_messages(channel);
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct channel *channel = handle->data;

	/* Never empty: give_messages leaves less than a whole message, and a whole one fits. */
	if (channel->tls != NULL)
		*buffer = uv_buf_init((char *)channel->cipher, CIPHER_ROOM);
	else
		*buffer =
		    uv_buf_init((char *)channel->buffer + channel->fill, (unsigned)(CHANNEL_ROOM - channel->fill));
}

/* A server that answers several queries may hold an answer back until the one before it is acknowledged, for which the
 * kernel would take its time. It has to be said again and again. */
static void acknowledge(struct channel *channel)
{
	int fd, on = 1;

	if (uv_fileno((uv_handle_t *)&channel->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct channel *channel = stream->data;

	if (channel->closed || length == 0)
		return;
	if (length == UV_EOF) {
		ended_by_primary(channel);
		return;
	}
	if (length == UV_ECONNRESET && channel->tls != NULL) {
		ended_by_primary(channel);
		return;
	}
	if (length < 0) {
		fail_errno(channel, "TCP", (int)length);
		return;
	}
	channel->last_octet = now(channel);
	channel->window_octets += (size_t)length;
	if (length < SMALL_READ)
		acknowledge(channel);
	if (channel->tls != NULL) {
		tls_session_feed(channel->tls, (const uint8_t *)buffer->base, (size_t)length);
		decrypt(channel);
	} else {
		channel->fill += (size_t)length;
		give_messages(channel);
	}
}

/* ---- life ---- */

static void on_connected(uv_connect_t *connect, int error)
{
	struct channel *channel = connect->data;

	if (channel->closed || error == UV_ECANCELED)
		return;
	if (error == 0)
		error = uv_read_start((uv_stream_t *)&channel->tcp, on_alloc, on_read);
	if (error != 0) {
		fail_errno(channel, "connecting", error);
		return;
	}
	/* Queries are small and written whole: none may wait for an acknowledgement of the one before. */
	uv_tcp_nodelay(&channel->tcp, 1);
	channel->begun = channel->last_octet = now(channel);
	if (channel->tls == NULL) {
		open_up(channel);
		return;
	}
	channel->phase = HANDSHAKE;
	plan(channel);
	decrypt(channel);
}

static struct channel *channel_new(uv_loop_t *loop, const struct exchange_peer *peer)
{
	struct channel *channel = malloc(sizeof(*channel));
	char address[CONFIG_ADDRESS_TEXT];

	if (channel == NULL)
		return NULL;
	memset(channel, 0, offsetof(struct channel, buffer));
	if (peer->tls != NULL) {
		config_address_text(peer->address, address);
		address[strcspn(address, "%@")] = '\0';
		channel->cipher = malloc(CIPHER_ROOM);
		channel->tls = tls_session_new(peer->tls, address, put, channel);
		if (channel->cipher == NULL || channel->tls == NULL) {
			tls_session_free(channel->tls);
			free(channel->cipher);
			free(channel);
			return NULL;
		}
	}
	uv_tcp_init(loop, &channel->tcp);
	uv_timer_init(loop, &channel->timer);
	channel->tcp.data = channel->timer.data = channel->connect.data = channel;
	channel->handles = 2;
	channel->wake = UINT64_MAX;
	channel->begun = uv_now(loop);
	return channel;
}

struct channel *channel_open(uv_loop_t *loop, const struct exchange_peer *peer, const struct channel_events *events,
                             void *context, char *why)
{
	struct channel *channel = channel_new(loop, peer);
	int error = 0;

	if (channel == NULL) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return NULL;
	}
	channel->events = events;
	channel->context = context;
	if (peer->source != NULL)
		error = uv_tcp_bind(&channel->tcp, (const struct sockaddr *)peer->source, 0);
	if (error != 0) {
		exchange_source_text(peer->source, error, why);
		channel_close(channel);
		return NULL;
	}
	error = uv_tcp_connect(&channel->connect, &channel->tcp, (const struct sockaddr *)peer->address, on_connected);
	if (error != 0) {
		snprintf(why, TRANSFER_WHY, "connecting: %s", uv_strerror(error));
		channel_close(channel);
		return NULL;
	}
	plan(channel);
	return channel;
}

enum exchange_tls channel_tls(const struct channel *channel, uint64_t *stood)
{
	if (channel->tls == NULL || channel->phase == CONNECTING || channel->told)
		return EXCHANGE_TLS_NONE;
	*stood = channel->begun;
	if (channel->refused)
		return EXCHANGE_TLS_REFUSED;
	return channel->phase == HANDSHAKE ? EXCHANGE_TLS_SILENT : EXCHANGE_TLS_NONE;
}

void channel_close(struct channel *channel)
{
	if (channel->closed)
		return;
	if (channel->tls != NULL && channel->phase == OPEN)
		tls_session_bye(channel->tls);
	channel->closed = true;
	uv_close((uv_handle_t *)&channel->tcp, on_closed);
	uv_close((uv_handle_t *)&channel->timer, on_closed);
}
