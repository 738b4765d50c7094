/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a server's certificate is the one that is expected; and if not, why, so that somebody can mend it. */
#include "tls_internal.h"

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void day(time_t when, char *text, size_t size)
{
	struct tm parts;

	if (gmtime_r(&when, &parts) == NULL || strftime(text, size, "%Y-%m-%d", &parts) == 0)
		snprintf(text, size, "an unknown day");
}

/* The pin of a certificate's key, as it would be written into the configuration. */
static int pin_of(gnutls_x509_crt_t certificate, uint8_t pin[TLS_PIN_SIZE])
{
	size_t size = TLS_PIN_SIZE;

	return gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, pin, &size);
}

static int check_pins(gnutls_x509_crt_t certificate, const struct tls_profile *profile, char *why)
{
	uint8_t pin[TLS_PIN_SIZE];
	const gnutls_datum_t raw = {.data = pin, .size = sizeof(pin)};
	gnutls_datum_t text;

	if (profile->pin_count == 0)
		return 0;
	if (pin_of(certificate, pin) < 0 || gnutls_base64_encode2(&raw, &text) < 0) {
		snprintf(why, TLS_WHY, "the key of the server's certificate cannot be read");
		return -1;
	}
	for (size_t i = 0; i < profile->pin_count; i++) {
		if (memcmp(profile->pins[i], pin, sizeof(pin)) == 0) {
			gnutls_free(text.data);
			return 0;
		}
	}
	snprintf(why, TLS_WHY,
	         "no pin matches: the server's key is %.*s; if that is right, add it to the pins of tls %.60s",
	         (int)text.size, text.data, profile->name);
	gnutls_free(text.data);
	return -1;
}

/* The first in the chain that is out of its time: "certificate" or that of an authority between. */
static void time_text(gnutls_session_t tls, bool expired, char *why)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls, &count);
	time_t now = time(NULL);
	char text[32];

	for (unsigned i = 0; chain != NULL && i < count; i++) {
		gnutls_x509_crt_t certificate;
		time_t from, until;

		if (gnutls_x509_crt_init(&certificate) < 0)
			break;
		if (gnutls_x509_crt_import(certificate, &chain[i], GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(certificate);
			break;
		}
		from = gnutls_x509_crt_get_activation_time(certificate);
		until = gnutls_x509_crt_get_expiration_time(certificate);
		gnutls_x509_crt_deinit(certificate);
		if (expired ? until >= now : from <= now)
			continue;
		day(expired ? until : from, text, sizeof(text));
		snprintf(why, TLS_WHY, "the server's certificate%s %s %s", i > 0 ? "'s authority" : "",
		         expired ? "expired on" : "is not valid before", text);
		return;
	}
	snprintf(why, TLS_WHY, "the server's certificate %s", expired ? "has expired" : "is not valid yet");
}

/* What names the certificate has, the first few. */
static void names_text(gnutls_x509_crt_t certificate, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < 3 && used + 2 < size; i++) {
		char name[256];
		size_t length = sizeof(name) - 1;
		int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &length, NULL);

		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (type != GNUTLS_SAN_DNSNAME)
			continue;
		name[length] = '\0';
		for (char *at = name; *at != '\0'; at++)
			if (*at <= ' ' || *at > '~')
				*at = '?';
		used += (size_t)snprintf(text + used, size - used, "%s%.60s", used > 0 ? ", " : "", name);
	}
	if (text[0] == '\0')
		snprintf(text, size, "no name");
}

static void status_text(gnutls_session_t tls, gnutls_x509_crt_t certificate, const struct tls_profile *profile,
                        const char *wanted, unsigned status, char *why)
{
	char names[128];

	if (status & GNUTLS_CERT_EXPIRED) {
		time_text(tls, true, why);
	} else if (status & GNUTLS_CERT_NOT_ACTIVATED) {
		time_text(tls, false, why);
	} else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA)) {
		snprintf(why, TLS_WHY, "the server's certificate is not signed by an authority of %.120s",
		         profile->ca_file != NULL ? profile->ca_file : "this host's");
	} else if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
		names_text(certificate, names, sizeof(names));
		snprintf(why, TLS_WHY, "the server's certificate is not for %.80s but for %s", wanted, names);
	} else if (status & GNUTLS_CERT_REVOKED) {
		snprintf(why, TLS_WHY, "the server's certificate is revoked");
	} else if (status & GNUTLS_CERT_INSECURE_ALGORITHM) {
		snprintf(why, TLS_WHY, "the server's certificate is signed by an algorithm that is broken");
	} else {
		snprintf(why, TLS_WHY, "the server's certificate cannot be trusted (status 0x%x)", status);
	}
}

static int check_chain(gnutls_session_t tls, gnutls_x509_crt_t certificate, const struct tls_profile *profile,
                       const char *address, char *why)
{
	const char *wanted = profile->server_name != NULL ? profile->server_name : address;
	unsigned status = 0;
	int result;

	if (!profile->verifies)
		return 0;
	result = gnutls_certificate_verify_peers3(tls, wanted, &status);
	if (result < 0) {
		snprintf(why, TLS_WHY, "the server's certificate cannot be verified: %s", gnutls_strerror(result));
		return -1;
	}
	if (status == 0)
		return 0;
	status_text(tls, certificate, profile, wanted, status, why);
	return -1;
}

int tls_verify(gnutls_session_t tls, const struct tls_profile *profile, const char *address, char *why)
{
	unsigned count = 0;
	const gnutls_datum_t *chain;
	gnutls_x509_crt_t certificate;
	int result = -1;

	if (!profile->verifies && profile->pin_count == 0)
		return 0;
	chain = gnutls_certificate_get_peers(tls, &count);
	if (chain == NULL || count == 0) {
		snprintf(why, TLS_WHY, "the server shows no certificate");
		return -1;
	}
	if (gnutls_x509_crt_init(&certificate) < 0) {
		snprintf(why, TLS_WHY, "out of memory");
		return -1;
	}
	if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) < 0)
		snprintf(why, TLS_WHY, "the server's certificate is malformed");
	else if (check_chain(tls, certificate, profile, address, why) == 0 &&
	         check_pins(certificate, profile, why) == 0)
		result = 0;
	gnutls_x509_crt_deinit(certificate);
	return result;
}
