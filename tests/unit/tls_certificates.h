/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates made for a test: an authority, and what it signs. */
#ifndef PEREGRINE_TLS_CERTIFICATES_H
#define PEREGRINE_TLS_CERTIFICATES_H

#include <arpa/inet.h>
#include <assert.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct certificate {
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
};

/* From a day to another, counted from now. `issuer` NULL: an authority, signed by itself. */
static inline void certificate_make(struct certificate *made, const char *name, const struct certificate *issuer,
                                    int from, int until)
{
	static uint8_t serial = 1;
	time_t now = time(NULL);
	uint8_t address[4] = {127, 0, 0, 1};

	gnutls_x509_privkey_init(&made->key);
	assert(gnutls_x509_privkey_generate(made->key, GNUTLS_PK_ECDSA,
	                                    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
	gnutls_x509_crt_init(&made->certificate);
	gnutls_x509_crt_set_version(made->certificate, 3);
	gnutls_x509_crt_set_serial(made->certificate, &serial, 1);
	serial++;
	gnutls_x509_crt_set_dn_by_oid(made->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
	gnutls_x509_crt_set_activation_time(made->certificate, now + from * 86400L);
	gnutls_x509_crt_set_expiration_time(made->certificate, now + until * 86400L);
	gnutls_x509_crt_set_key(made->certificate, made->key);
	gnutls_x509_crt_set_basic_constraints(made->certificate, issuer == NULL, -1);
	gnutls_x509_crt_set_key_usage(made->certificate,
	                              issuer == NULL ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (issuer != NULL)
		gnutls_x509_crt_set_subject_alt_name(made->certificate, GNUTLS_SAN_DNSNAME, name,
		                                     (unsigned)strlen(name), GNUTLS_FSAN_SET);
	if (issuer != NULL && strcmp(name, "by-address.example") == 0)
		gnutls_x509_crt_set_subject_alt_name(made->certificate, GNUTLS_SAN_IPADDRESS, address, sizeof(address),
		                                     GNUTLS_FSAN_APPEND);
	if (issuer == NULL)
		issuer = made;
	assert(gnutls_x509_crt_sign2(made->certificate, issuer->certificate, issuer->key, GNUTLS_DIG_SHA256, 0) == 0);
}

static inline void certificate_drop(struct certificate *made)
{
	gnutls_x509_crt_deinit(made->certificate);
	gnutls_x509_privkey_deinit(made->key);
}

static inline void certificate_write_file(const char *path, const gnutls_datum_t *text)
{
	FILE *out = fopen(path, "w");

	assert(out != NULL && fwrite(text->data, 1, text->size, out) == text->size && fclose(out) == 0);
}

/* As PEM files; `key` NULL: without. */
static inline void certificate_write(const struct certificate *made, const char *path, const char *key)
{
	gnutls_datum_t text;

	assert(gnutls_x509_crt_export2(made->certificate, GNUTLS_X509_FMT_PEM, &text) == 0);
	certificate_write_file(path, &text);
	gnutls_free(text.data);
	if (key == NULL)
		return;
	assert(gnutls_x509_privkey_export2(made->key, GNUTLS_X509_FMT_PEM, &text) == 0);
	certificate_write_file(key, &text);
	gnutls_free(text.data);
}

static inline void certificate_pin(const struct certificate *made, uint8_t pin[32])
{
	size_t size = 32;

	assert(gnutls_x509_crt_get_key_id(made->certificate, GNUTLS_KEYID_USE_SHA256, pin, &size) == 0);
}

/* What a server shows; `authority`, if there is one, is who signs its clients' certificates. */
static inline gnutls_certificate_credentials_t certificate_credentials(const struct certificate *made,
                                                                       const struct certificate *authority)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_crt_t chain[] = {made->certificate};

	gnutls_certificate_allocate_credentials(&credentials);
	assert(gnutls_certificate_set_x509_key(credentials, chain, 1, made->key) >= 0);
	if (authority != NULL) {
		gnutls_x509_crt_t trusted[] = {authority->certificate};

		assert(gnutls_certificate_set_x509_trust(credentials, trusted, 1) == 1);
	}
	return credentials;
}

#endif
