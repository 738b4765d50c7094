/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS 1.3 as a server of zone transfers (RFC 9103), by GnuTLS: octets in, octets out, no socket is known here. An
 * identity is a certificate with its key, for any thread; a stream is one connection, for one thread at a time.
 */
#ifndef PEREGRINE_TLS_SERVER_H
#define PEREGRINE_TLS_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_identity;

/* Reads both files, PEM. Returns an identity with one reference, or NULL with the reason, one line, in `why`. */
struct tls_identity *tls_identity_new(const char *certificate, const char *private_key, char *why, size_t why_size);
struct tls_identity *tls_identity_ref(struct tls_identity *identity);
void tls_identity_unref(struct tls_identity *identity); /* NULL is allowed */

struct tls_stream;

/* A connection that was taken. Holds a reference to the identity. NULL when memory is short. */
struct tls_stream *tls_stream_new(struct tls_identity *identity);
void tls_stream_free(struct tls_stream *stream); /* NULL is allowed */

/* Octets that came from the client: they must stay until tls_stream_read has returned 0 or less. */
void tls_stream_feed(struct tls_stream *stream, const uint8_t *octets, size_t length);
/* Goes on with the handshake, then reads. Returns how many octets stand in `octets`; 0: more have to come; -1: it is
 * over, by the client's goodbye, or since it does not speak TLS 1.3 with ALPN dot. What is to be sent is to be taken in
 * any case. */
ssize_t tls_stream_read(struct tls_stream *stream, uint8_t *octets, size_t room);
/* Encrypts. Returns 0, or -1 when the stream is over. */
int tls_stream_write(struct tls_stream *stream, const uint8_t *octets, size_t length);
/* Says goodbye. */
void tls_stream_bye(struct tls_stream *stream);
/* What is to be sent to the client, to be freed by the caller; NULL, with *length 0: nothing. */
uint8_t *tls_stream_take(struct tls_stream *stream, size_t *length);

#endif
