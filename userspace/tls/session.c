/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One TLS connection as a client, octets in and octets out. */
#include "tls_internal.h"
#include "tls/tls_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_session {
	struct tls_line line;
	struct tls_profile *profile;
	char address[64];
	tls_send *send;
	void *context;
	bool read; /* something came behind the handshake */
	char why[TLS_WHY];
};

/* ---- GnuTLS's way to the octets ---- */

static ssize_t on_push(gnutls_transport_ptr_t pointer, const void *octets, size_t length)
{
	struct tls_session *session = pointer;

	if (session->send(session->context, octets, length) == 0)
		return (ssize_t)length;
	gnutls_transport_set_errno(session->line.tls, EPIPE);
	return -1;
}

/* Called when the certificate has come, so that a server that is not the right one learns nothing of ours. */
static int on_certificate(gnutls_session_t tls)
{
	struct tls_session *session = gnutls_session_get_ptr(tls);

	return tls_verify(tls, session->profile, session->address, session->why);
}

/* ---- failures ---- */

static void alert_text(struct tls_session *session)
{
	gnutls_alert_description_t alert = gnutls_alert_get(session->line.tls);
	const char *name = gnutls_alert_get_name(alert);

	switch (alert) {
	case GNUTLS_A_PROTOCOL_VERSION:
		snprintf(session->why, TLS_WHY, "the server does not speak TLS 1.3, which RFC 9103 asks for");
		break;
	case GNUTLS_A_HANDSHAKE_FAILURE:
		snprintf(session->why, TLS_WHY,
		         "the server finds nothing in common with us; it may not speak TLS 1.3, "
		         "which RFC 9103 asks for");
		break;
	case GNUTLS_A_NO_APPLICATION_PROTOCOL:
		snprintf(session->why, TLS_WHY, "the server does not know ALPN dot: no DNS is spoken at this port");
		break;
	case GNUTLS_A_CERTIFICATE_REQUIRED:
		snprintf(session->why, TLS_WHY,
		         "the server asks for a client certificate; give tls %.60s certificate and private-key",
		         session->profile->name);
		break;
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_REVOKED:
	case GNUTLS_A_CERTIFICATE_EXPIRED:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_UNKNOWN_CA:
		snprintf(session->why, TLS_WHY, "the server refuses our certificate (%s)", name != NULL ? name : "?");
		break;
	default:
		snprintf(session->why, TLS_WHY, "the server ended it: alert %u (%s)", (unsigned)alert,
		         name != NULL ? name : "unknown");
		break;
	}
}

static void set_why(struct tls_session *session, int result)
{
	switch (result) {
	case GNUTLS_E_CERTIFICATE_ERROR:
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
		/* on_certificate has said it. */
		if (session->why[0] == '\0')
			snprintf(session->why, TLS_WHY, "the server's certificate is no good");
		break;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		alert_text(session);
		break;
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_RECORD_OVERFLOW:
		snprintf(session->why, TLS_WHY, "what the server speaks is not TLS");
		break;
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		snprintf(session->why, TLS_WHY, "the server does not speak TLS 1.3, which RFC 9103 asks for");
		break;
	default:
		snprintf(session->why, TLS_WHY, "%s", gnutls_strerror(result));
		break;
	}
}

/* ---- life ---- */

static int prepare(struct tls_session *session)
{
	const struct tls_line_end end = {
	    .flags = GNUTLS_CLIENT, .credentials = session->profile->credentials, .push = on_push, .owner = session};
	const char *name = session->profile->server_name;

	if (tls_line_open(&session->line, &end) != 0)
		return -1;
	if (name != NULL && gnutls_server_name_set(session->line.tls, GNUTLS_NAME_DNS, name, strlen(name)) < 0)
		return -1;
	gnutls_session_set_ptr(session->line.tls, session);
	gnutls_session_set_verify_function(session->line.tls, on_certificate);
	return 0;
}

struct tls_session *tls_session_new(struct tls_profile *profile, const char *address, tls_send *send, void *context)
{
	struct tls_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	session->profile = tls_profile_ref(profile);
	snprintf(session->address, sizeof(session->address), "%s", address);
	session->send = send;
	session->context = context;
	if (prepare(session) == 0)
		return session;
	tls_session_free(session);
	return NULL;
}

void tls_session_free(struct tls_session *session)
{
	if (session == NULL)
		return;
	tls_line_close(&session->line);
	tls_profile_unref(session->profile);
	free(session);
}

/* ---- octets ---- */

void tls_session_feed(struct tls_session *session, const uint8_t *octets, size_t length)
{
	tls_line_feed(&session->line, octets, length);
}

static int check_protocol(struct tls_session *session)
{
	bool chosen, good = tls_line_speaks_dns(&session->line, &chosen);

	if (good || (!chosen && session->profile->alpn_optional))
		return 1;
	snprintf(
	    session->why, TLS_WHY,
	    "the server chose no ALPN dot, which RFC 9103 asks for; if it cannot (NSD), write alpn: optional in tls "
	    "%.60s",
	    session->profile->name);
	return -1;
}

int tls_session_handshake(struct tls_session *session)
{
	int result = tls_line_handshake(&session->line);

	if (result == 0)
		return check_protocol(session);
	if (result == GNUTLS_E_AGAIN)
		return 0;
	set_why(session, result);
	return -1;
}

ssize_t tls_session_read(struct tls_session *session, uint8_t *octets, size_t room)
{
	ssize_t got = tls_line_read(&session->line, octets, room);

	session->read |= got > 0;
	if (got >= 0)
		return got;
	if (got == GNUTLS_E_PREMATURE_TERMINATION)
		return -2;
	set_why(session, (int)got);
	return -1;
}

int tls_session_write(struct tls_session *session, const uint8_t *octets, size_t length)
{
	int result = tls_line_write(&session->line, octets, length);

	if (result > 0)
		return 0;
	set_why(session, result);
	return -1;
}

void tls_session_bye(struct tls_session *session)
{
	gnutls_bye(session->line.tls, GNUTLS_SHUT_WR);
}

/* In TLS 1.3 a server judges the client's certificate when the client has done with the handshake; not every one says
 * so before it closes. */
const char *tls_session_ended(struct tls_session *session)
{
	if (session->read || gnutls_certificate_client_get_request_status(session->line.tls) == 0)
		return NULL;
	if (gnutls_certificate_get_ours(session->line.tls) == NULL)
		snprintf(session->why, TLS_WHY,
		         "the server asks for a client certificate; give tls %.60s certificate and private-key",
		         session->profile->name);
	else
		snprintf(session->why, TLS_WHY, "the server closed the connection, it seems for our certificate");
	return session->why;
}

const char *tls_session_why(const struct tls_session *session)
{
	return session->why;
}
