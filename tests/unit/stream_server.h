/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server of length-prefixed messages on a loopback port, with or without TLS, whose manners a test writes as a
 * function: it runs on a thread of its own for each connection. */
#ifndef PEREGRINE_STREAM_SERVER_H
#define PEREGRINE_STREAM_SERVER_H

#include <arpa/inet.h>
#include <assert.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_ROOM 65535

struct stream {
	struct stream_server *server;
	int fd;
	unsigned number; /* of the connections, from 0 */
	gnutls_session_t tls;
};

struct stream_server {
	int listener;
	struct sockaddr_storage address;
	pthread_t thread;
	atomic_bool stop;
	void (*serve)(struct stream *stream);
	gnutls_certificate_credentials_t credentials; /* NULL: no TLS */
	const char *priority;
	const char *protocol; /* of ALPN; NULL: none is chosen */
	bool wants_client;
	atomic_uint accepted, open, most_open, queries;
	struct sockaddr_storage from; /* of the last connection */
};

/* Whether there is something to read, or the end, within so many milliseconds. */
static inline bool stream_waits(struct stream *stream, int milliseconds)
{
	struct pollfd entry = {.fd = stream->fd, .events = POLLIN};

	if (stream->tls != NULL && gnutls_record_check_pending(stream->tls) > 0)
		return true;
	for (int waited = 0; waited <= milliseconds && !stream->server->stop; waited += 10)
		if (poll(&entry, 1, 10) > 0)
			return true;
	return false;
}

static inline bool stream_read(struct stream *stream, uint8_t *octets, size_t length)
{
	while (length > 0) {
		ssize_t got;

		if (!stream_waits(stream, 10000))
			return false;
		got = stream->tls != NULL ? gnutls_record_recv(stream->tls, octets, length)
		                          : read(stream->fd, octets, length);
		if (got == GNUTLS_E_AGAIN && stream->tls != NULL)
			continue;
		if (got <= 0)
			return false;
		octets += got;
		length -= (size_t)got;
	}
	return true;
}

static inline bool stream_write(struct stream *stream, const uint8_t *octets, size_t length)
{
	while (length > 0) {
		ssize_t sent = stream->tls != NULL ? gnutls_record_send(stream->tls, octets, length)
		                                   : send(stream->fd, octets, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		octets += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* The next message; false at the end. */
static inline bool stream_query(struct stream *stream, uint8_t *wire, size_t *length)
{
	uint8_t prefix[2];

	if (!stream_read(stream, prefix, 2))
		return false;
	*length = (size_t)prefix[0] << 8 | prefix[1];
	if (!stream_read(stream, wire, *length))
		return false;
	stream->server->queries++;
	return true;
}

static inline bool stream_answer(struct stream *stream, const uint8_t *wire, size_t length)
{
	uint8_t *framed = malloc(2 + length);
	bool done;

	framed[0] = (uint8_t)(length >> 8);
	framed[1] = (uint8_t)length;
	memcpy(framed + 2, wire, length);
	done = stream_write(stream, framed, 2 + length);
	free(framed);
	return done;
}

static inline bool stream_greet(struct stream *stream)
{
	struct stream_server *server = stream->server;
	gnutls_datum_t protocol;
	int result;

	if (server->credentials == NULL)
		return true;
	gnutls_init(&stream->tls, GNUTLS_SERVER);
	gnutls_priority_set_direct(stream->tls, server->priority != NULL ? server->priority : "NORMAL", NULL);
	gnutls_credentials_set(stream->tls, GNUTLS_CRD_CERTIFICATE, server->credentials);
	if (server->protocol != NULL) {
		protocol.data = (unsigned char *)server->protocol;
		protocol.size = (unsigned)strlen(server->protocol);
		gnutls_alpn_set_protocols(stream->tls, &protocol, 1, 0);
	}
	if (server->wants_client)
		gnutls_certificate_server_set_request(stream->tls, GNUTLS_CERT_REQUIRE);
	gnutls_transport_set_int(stream->tls, stream->fd);
	do {
		result = gnutls_handshake(stream->tls);
	} while (result < 0 && !gnutls_error_is_fatal(result));
	if (result < 0)
		gnutls_alert_send_appropriate(stream->tls, result);
	return result == 0;
}

static inline void *stream_main(void *argument)
{
	struct stream *stream = argument;
	struct stream_server *server = stream->server;
	struct timeval limit = {.tv_sec = 5};

	setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (stream_greet(stream))
		server->serve(stream);
	if (stream->tls != NULL) {
		gnutls_bye(stream->tls, GNUTLS_SHUT_WR);
		gnutls_deinit(stream->tls);
	}
	shutdown(stream->fd, SHUT_RDWR);
	close(stream->fd);
	free(stream);
	server->open--;
	return NULL;
}

static inline void *stream_accept(void *argument)
{
	struct stream_server *server = argument;
	struct pollfd entry = {.fd = server->listener, .events = POLLIN};

	while (!server->stop) {
		socklen_t length = sizeof(server->from);
		struct stream *stream;
		pthread_t thread;
		unsigned open;

		if (poll(&entry, 1, 10) <= 0)
			continue;
		stream = calloc(1, sizeof(*stream));
		stream->server = server;
		stream->fd = accept(server->listener, (struct sockaddr *)&server->from, &length);
		stream->number = server->accepted++;
		open = ++server->open;
		if (open > server->most_open)
			server->most_open = open;
		assert(pthread_create(&thread, NULL, stream_main, stream) == 0);
		pthread_detach(thread);
	}
	return NULL;
}

static inline void stream_server_open(struct stream_server *server, void (*serve)(struct stream *stream))
{
	struct sockaddr_in *address = (struct sockaddr_in *)&server->address;
	socklen_t length = sizeof(server->address);

	memset(server, 0, sizeof(*server));
	server->serve = serve;
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(bind(server->listener, (struct sockaddr *)address, sizeof(*address)) == 0);
	assert(getsockname(server->listener, (struct sockaddr *)address, &length) == 0);
	assert(listen(server->listener, 64) == 0);
	assert(pthread_create(&server->thread, NULL, stream_accept, server) == 0);
}

/* Waits until every thread has gone. */
static inline void stream_server_close(struct stream_server *server)
{
	server->stop = true;
	pthread_join(server->thread, NULL);
	while (server->open > 0)
		usleep(1000);
	close(server->listener);
}

#endif
