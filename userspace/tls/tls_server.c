/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/tls_server.h"
#include "tls/tls_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_identity {
	unsigned references; /* atomic */
	gnutls_certificate_credentials_t credentials;
};

struct tls_stream {
	struct tls_line line;
	struct tls_identity *identity;
	bool ready; /* the handshake is done */
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
			gnutls_transport_set_errno(stream->line.tls, ENOMEM);
			return -1;
		}
		stream->out = more;
		stream->out_room = room;
	}
	memcpy(stream->out + stream->out_length, octets, length);
	stream->out_length += length;
	return (ssize_t)length;
}

struct tls_stream *tls_stream_new(struct tls_identity *identity)
{
	struct tls_stream *stream = calloc(1, sizeof(*stream));
	const struct tls_line_end end = {.flags = GNUTLS_SERVER,
	                                 .alpn = GNUTLS_ALPN_MANDATORY,
	                                 .credentials = identity->credentials,
	                                 .push = on_push,
	                                 .owner = stream};

	if (!stream)
		return NULL;
	stream->identity = tls_identity_ref(identity);
	if (tls_line_open(&stream->line, &end) == 0)
		return stream;
	tls_stream_free(stream);
	return NULL;
}

void tls_stream_free(struct tls_stream *stream)
{
	if (!stream)
		return;
	tls_line_close(&stream->line);
	tls_identity_unref(stream->identity);
	free(stream->out);
	free(stream);
}

void tls_stream_feed(struct tls_stream *stream, const uint8_t *octets, size_t length)
{
	tls_line_feed(&stream->line, octets, length);
}

/* Returns 1: done; 0: more has to come; -1: failed. */
static int shake_hands(struct tls_stream *stream)
{
	int result = tls_line_handshake(&stream->line);
	bool chosen;

	if (result < 0)
		return result == GNUTLS_E_AGAIN ? 0 : -1;
	stream->ready = true;
	/* A client that names no protocol is not refused by GnuTLS. */
	if (tls_line_speaks_dns(&stream->line, &chosen))
		return 1;
	gnutls_alert_send(stream->line.tls, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
	return -1;
}

ssize_t tls_stream_read(struct tls_stream *stream, uint8_t *octets, size_t room)
{
	ssize_t got;

	if (!stream->ready) {
		int result = shake_hands(stream);

		if (result <= 0)
			return result;
	}
	got = tls_line_read(&stream->line, octets, room);
	return got < 0 ? -1 : got;
}

int tls_stream_write(struct tls_stream *stream, const uint8_t *octets, size_t length)
{
	return tls_line_write(&stream->line, octets, length) > 0 ? 0 : -1;
}

void tls_stream_bye(struct tls_stream *stream)
{
	if (stream->ready)
		gnutls_bye(stream->line.tls, GNUTLS_SHUT_WR);
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
