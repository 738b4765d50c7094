/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both sides of a TLS connection have in common: TLS 1.3 with ALPN dot (RFC 9103), octets in and octets out. */
#ifndef PEREGRINE_TLS_LINE_H
#define PEREGRINE_TLS_LINE_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_line {
	gnutls_session_t tls;
	const uint8_t *in; /* came from the other side, and not taken yet */
	size_t in_length;
};

/* Whose end of it. */
struct tls_line_end {
	unsigned flags; /* of gnutls_init: which side */
	unsigned alpn;  /* flags of gnutls_alpn_set_protocols */
	gnutls_certificate_credentials_t credentials;
	gnutls_push_func push; /* takes all octets at once, or fails; its pointer is `owner` */
	void *owner;
};

/* Of zeroed memory, which stays where it is until tls_line_close, to be called in any case. Returns 0 or -1. */
int tls_line_open(struct tls_line *line, const struct tls_line_end *end);
void tls_line_close(struct tls_line *line);
/* Octets from the other side: they must stay until those below want more. */
void tls_line_feed(struct tls_line *line, const uint8_t *octets, size_t length);
/* Goes on with the handshake. Returns 0: done; GNUTLS_E_AGAIN: more has to come; else what is wrong, of which the other
 * side is told. */
int tls_line_handshake(struct tls_line *line);
/* Whether the protocol is agreed upon; `chosen`: one was. */
bool tls_line_speaks_dns(struct tls_line *line, bool *chosen);
/* Returns how many octets were read; 0: more has to come; else GnuTLS's error, GNUTLS_E_PREMATURE_TERMINATION where the
 * other side has ended it, with a goodbye or without. */
ssize_t tls_line_read(struct tls_line *line, uint8_t *octets, size_t room);
/* Returns 1: all of it is encrypted and taken; else GnuTLS's error, or 0. */
int tls_line_write(struct tls_line *line, const uint8_t *octets, size_t length);

#endif
