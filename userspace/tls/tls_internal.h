/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share. */
#ifndef PEREGRINE_TLS_INTERNAL_H
#define PEREGRINE_TLS_INTERNAL_H

#include "tls/tls.h"

#include <gnutls/gnutls.h>

struct tls_profile {
	unsigned references;
	char *name, *server_name, *ca_file;
	uint8_t (*pins)[TLS_PIN_SIZE];
	size_t pin_count;
	bool verifies; /* chain and name */
	bool alpn_optional;
	gnutls_certificate_credentials_t credentials;
	uint8_t digest[32]; /* of all that was given */
};

/* verify.c: judges the certificate that the server has shown. Returns 0, or -1 with the reason (TLS_WHY). */
int tls_verify(gnutls_session_t tls, const struct tls_profile *profile, const char *address, char *why);

#endif
