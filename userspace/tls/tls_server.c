/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/tls_server.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9103 section 7.1: TLS 1.3, and this protocol. */
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3"
static const char PROTOCOL[] = "dot";

struct tls_identity {
	unsigned references; /* atomic */
	gnutls_certificate_credentials_t credentials;
};

struct tls_stream {
	gnutls_session_t tls;
	struct tls_identity *identity;
	bool ready; /* the handshake is done */
	const uint8_t *in;
	size_t in_length;
	uint8_t *out;
	size_t out_length, out_room;
};

/* ---- identities ---- */

struct tls_identity *tls_identity_new(const char *certificate, const char *private_key, char *why, size_t why_size)
{
	struct tls_identity *identity = calloc(1, sizeof(*identity));
	int result = identity ? gnutls_certificate_allocate_credentials(&identity->credentials) : GNUTLS_E_MEMORY_ERROR;

	if (result < 0) {
		snprintf(why, why_size, "%s", gnutls_strerror(result));
		free(identity);
		return NULL;
	}
	identity->references = 1;
	result =
	    gnutls_certificate_set_x509_key_file(identity->credentials, certificate, private_key, GNUTLS_X509_FMT_PEM);
	if (result < 0) {
		snprintf(why, why_size, "%s", gnutls_strerror(result));
		tls_identity_unref(identity);
		return NULL;
	}
	return identity;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
	__atomic_add_fetch(&identity->references, 1, __ATOMIC_RELAXED);
	return identity;
}

void tls_identity_unref(struct tls_identity *identity)
{
	if (!identity || __atomic_sub_fetch(&identity->references, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	gnutls_certificate_free_credentials(identity->credentials);
	free(identity);
}

/* ---- streams ---- */

static ssize_t on_push(gnutls_transport_ptr_t pointer, const void *octets, size_t length)
{
	struct tls_stream *stream = pointer;

	if (stream->out_room - stream->out_length < length) {
		size_t room = 2 * stream->out_length + length + 4096;
		uint8_t *more = realloc(stream->out, room);

		if (!more) {
			gnutls_transport_set_errno(stream->tls, ENOMEM);
			return -1;
		}
		stream->out = more;
		stream->out_room = room;
	}
	memcpy(stream->out + stream->out_length, octets, length);
	stream->out_length += length;
	return (ssize_t)length;
}

static ssize_t on_pull(gnutls_transport_ptr_t pointer, void *octets, size_t room)
{
	struct tls_stream *stream = pointer;
	size_t length = room < stream->in_length ? room : stream->in_length;

	if (length == 0) {
		gnutls_transport_set_errno(stream->tls, EAGAIN);
		return -1;
	}
	memcpy(octets, stream->in, length);
	stream->in += length;
	stream->in_length -= length;
	return (ssize_t)length;
}

struct tls_stream *tls_stream_new(struct tls_identity *identity)
{
	const gnutls_datum_t protocol = {.data = (unsigned char *)PROTOCOL, .size = sizeof(PROTOCOL) - 1};
	struct tls_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->identity = tls_identity_ref(identity);
	if (gnutls_init(&stream->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK) < 0) {
		stream->tls = NULL;
		tls_stream_free(stream);
		return NULL;
	}
	if (gnutls_priority_set_direct(stream->tls, PRIORITY, NULL) < 0 ||
	    gnutls_credentials_set(stream->tls, GNUTLS_CRD_CERTIFICATE, identity->credentials) < 0 ||
	    gnutls_alpn_set_protocols(stream->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY) < 0) {
		tls_stream_free(stream);
		return NULL;
	}
	gnutls_transport_set_ptr(stream->tls, stream);
	gnutls_transport_set_push_function(stream->tls, on_push);
	gnutls_transport_set_pull_function(stream->tls, on_pull);
	return stream;
}

void tls_stream_free(struct tls_stream *stream)
{
	if (!stream)
		return;
	if (stream->tls)
		gnutls_deinit(stream->tls);
	tls_identity_unref(stream->identity);
	free(stream->out);
	free(stream);
}

void tls_stream_feed(struct tls_stream *stream, const uint8_t *octets, size_t length)
{
	stream->in = octets;
	stream->in_length = length;
}

/* Whether the client has asked for the protocol: one that names none is not refused by GnuTLS. */
static bool speaks_dns(struct tls_stream *stream)
{
	gnutls_datum_t chosen;

	if (gnutls_alpn_get_selected_protocol(stream->tls, &chosen) == 0)
		return true;
	gnutls_alert_send(stream->tls, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
	return false;
}

/* Returns 1: done; 0: more has to come; -1: failed. */
static int shake_hands(struct tls_stream *stream)
{
	int result;

	do {
		result = gnutls_handshake(stream->tls);
	} while (result == GNUTLS_E_INTERRUPTED || result == GNUTLS_E_WARNING_ALERT_RECEIVED);
	if (result == GNUTLS_E_AGAIN)
		return 0;
	if (result < 0) {
		gnutls_alert_send_appropriate(stream->tls, result);
		return -1;
	}
	stream->ready = true;
	return speaks_dns(stream) ? 1 : -1;
}

ssize_t tls_stream_read(struct tls_stream *stream, uint8_t *octets, size_t room)
{
	if (!stream->ready) {
		int result = shake_hands(stream);

		if (result <= 0)
			return result;
	}
	for (;;) {
		size_t before = stream->in_length;
		ssize_t got = gnutls_record_recv(stream->tls, octets, room);

		if (got > 0)
			return got;
		if (got == 0 || gnutls_error_is_fatal((int)got))
			return -1;
		/* What was no data, a change of keys say, may have some behind it. */
		if (stream->in_length == 0 || stream->in_length == before)
			return 0;
	}
}

int tls_stream_write(struct tls_stream *stream, const uint8_t *octets, size_t length)
{
	while (length > 0) {
		/* It never has to wait: whatever comes out is taken. */
		ssize_t sent = gnutls_record_send(stream->tls, octets, length);

		if (sent <= 0)
			return -1;
		octets += sent;
		length -= (size_t)sent;
	}
	return 0;
}

void tls_stream_bye(struct tls_stream *stream)
{
	if (stream->ready)
		gnutls_bye(stream->tls, GNUTLS_SHUT_WR);
}

uint8_t *tls_stream_take(struct tls_stream *stream, size_t *length)
{
	uint8_t *out = stream->out_length ? stream->out : NULL;

	*length = stream->out_length;
	if (!out)
		return NULL;
	stream->out = NULL;
	stream->out_length = stream->out_room = 0;
	return out;
}
