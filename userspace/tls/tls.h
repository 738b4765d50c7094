/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS 1.3 for zone transfers (RFC 9103), by GnuTLS. A profile is what the configuration says of TLS with a server; a
 * session is one connection, as octets in and octets out: no socket is known here. Main thread alone.
 */
#ifndef PEREGRINE_TLS_H
#define PEREGRINE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_PIN_SIZE 32 /* SHA-256 of a SubjectPublicKeyInfo */
#define TLS_WHY 256     /* room for a reason, one line */

/* ---- profile.c ---- */

struct tls_profile;

/* Without server_name, ca_file and pins the server's certificate is not looked at: opportunistic. */
struct tls_settings {
	const char *name;
	const char *server_name; /* the certificate has to be for it, and signed by one of the authorities; or NULL */
	const char *ca_file;     /* the authorities, PEM; NULL: those of the system */
	const char *certificate; /* ours, PEM, with its chain; or NULL */
	const char *private_key; /* of it, PEM */
	const uint8_t (*pins)[TLS_PIN_SIZE]; /* one of them has to be that of the server's key */
	size_t pin_count;
	bool alpn_optional; /* a server that chooses no protocol at all is taken too */
};

enum tls_part { TLS_PART_NONE, TLS_PART_CA_FILE, TLS_PART_CERTIFICATE, TLS_PART_PRIVATE_KEY };

/* Reads the files. Returns a profile with one reference, or NULL with the reason (TLS_WHY) and the setting to blame. */
struct tls_profile *tls_profile_new(const struct tls_settings *settings, enum tls_part *part, char *why);
/* NULL is allowed; tls_profile_ref returns its argument. */
struct tls_profile *tls_profile_ref(struct tls_profile *profile);
void tls_profile_unref(struct tls_profile *profile);
/* Whether both, either of which may be NULL, say the same, contents of files included. */
bool tls_profile_same(const struct tls_profile *one, const struct tls_profile *other);

/* ---- session.c ---- */

struct tls_session;

/* Takes octets on their way to the server: all of them, at once. Returns 0, or -1 when they are lost. */
typedef int tls_send(void *context, const uint8_t *octets, size_t length);

/* A client's session. `address` is the server's, without port: what a certificate has to be for where the profile
 * verifies and has no name. The session holds a reference to the profile. NULL when memory is short. */
struct tls_session *tls_session_new(struct tls_profile *profile, const char *address, tls_send *send, void *context);
void tls_session_free(struct tls_session *session);

/* Octets that came from the server. They must stay where they are until handshake and read have taken them all, which
 * is when they return 0. */
void tls_session_feed(struct tls_session *session, const uint8_t *octets, size_t length);
/* Goes on with the handshake, first to begin it. Returns 1: done, the server is who it should be; 0: more octets are
 * needed; -1: failed, tls_session_why. */
int tls_session_handshake(struct tls_session *session);
/* Returns how many octets were read, up to `room`; 0: more are needed; -1: failed; -2: the server has ended it. */
ssize_t tls_session_read(struct tls_session *session, uint8_t *octets, size_t room);
/* Encrypts and sends. Returns 0 or -1. */
int tls_session_write(struct tls_session *session, const uint8_t *octets, size_t length);
/* Says goodbye; nothing is waited for. */
void tls_session_bye(struct tls_session *session);
/* The connection has ended behind the handshake: what that means, or NULL when there is nothing to be said of it. */
const char *tls_session_ended(struct tls_session *session);
/* Why it failed, for people. */
const char *tls_session_why(const struct tls_session *session);

#endif
