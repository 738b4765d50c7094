/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both sides of a TLS connection have in common. */
#include "tls/tls_line.h"

#include <errno.h>
#include <string.h>

/* RFC 9103 section 7.1: TLS 1.3, and this protocol. */
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3"
static const char PROTOCOL[] = "dot";

static ssize_t on_pull(gnutls_transport_ptr_t pointer, void *octets, size_t room)
{
	struct tls_line *line = pointer;
	size_t length = room < line->in_length ? room : line->in_length;

	if (length == 0) {
		gnutls_transport_set_errno(line->tls, EAGAIN);
		return -1;
	}
	memcpy(octets, line->in, length);
	line->in += length;
	line->in_length -= length;
	return (ssize_t)length;
}

int tls_line_open(struct tls_line *line, const struct tls_line_end *end)
{
	const gnutls_datum_t protocol = {.data = (unsigned char *)PROTOCOL, .size = sizeof(PROTOCOL) - 1};

	if (gnutls_init(&line->tls, end->flags | GNUTLS_NONBLOCK) < 0) {
		line->tls = NULL;
		return -1;
	}
	if (gnutls_priority_set_direct(line->tls, PRIORITY, NULL) < 0 ||
	    gnutls_credentials_set(line->tls, GNUTLS_CRD_CERTIFICATE, end->credentials) < 0 ||
	    gnutls_alpn_set_protocols(line->tls, &protocol, 1, end->alpn) < 0)
		return -1;
	gnutls_transport_set_ptr2(line->tls, line, end->owner);
	gnutls_transport_set_push_function(line->tls, end->push);
	gnutls_transport_set_pull_function(line->tls, on_pull);
	return 0;
}

void tls_line_close(struct tls_line *line)
{
	if (line->tls != NULL)
		gnutls_deinit(line->tls);
}

void tls_line_feed(struct tls_line *line, const uint8_t *octets, size_t length)
{
	line->in = octets;
	line->in_length = length;
}

int tls_line_handshake(struct tls_line *line)
{
	int result;

	do {
		result = gnutls_handshake(line->tls);
	} while (result == GNUTLS_E_INTERRUPTED || result == GNUTLS_E_WARNING_ALERT_RECEIVED);
	/* An alert for what was wrong with the other side's, so that its log says it too. */
	if (result < 0 && result != GNUTLS_E_AGAIN && result != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(line->tls, result);
	return result;
}

bool tls_line_speaks_dns(struct tls_line *line, bool *chosen)
{
	gnutls_datum_t protocol;
	int result = gnutls_alpn_get_selected_protocol(line->tls, &protocol);

	*chosen = result != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
	return result >= 0 && protocol.size == sizeof(PROTOCOL) - 1 && !memcmp(protocol.data, PROTOCOL, protocol.size);
}

ssize_t tls_line_read(struct tls_line *line, uint8_t *octets, size_t room)
{
	for (;;) {
		size_t before = line->in_length;
		ssize_t got = gnutls_record_recv(line->tls, octets, room);

		if (got > 0)
			return got;
		if (got == 0)
			return GNUTLS_E_PREMATURE_TERMINATION;
		if (gnutls_error_is_fatal((int)got))
			return got;
		/* A ticket, or a change of keys: there may be more behind it. */
		if (line->in_length == 0 || line->in_length == before)
			return 0;
	}
}

int tls_line_write(struct tls_line *line, const uint8_t *octets, size_t length)
{
	while (length > 0) {
		/* It never has to wait: `push` takes everything. */
		ssize_t sent = gnutls_record_send(line->tls, octets, length);

		if (sent <= 0)
			return (int)sent;
		octets += sent;
		length -= (size_t)sent;
	}
	return 1;
}
