/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the configuration says of TLS with a server, its files read once: a file that changes later counts from the next
 * reload on. */
#include "tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (4 << 20) /* all authorities of a system are a fifth of a MiB */

/* ---- files ---- */

static int read_open_file(int fd, bool private, gnutls_datum_t *out, char *why)
{
	struct stat status;
	ssize_t got;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		snprintf(why, TLS_WHY, "not a regular file; name a PEM file");
		return -1;
	}
	if (private && (status.st_mode & S_IROTH) != 0) {
		snprintf(why, TLS_WHY,
		         "can be read by every user of this host; run chmod 600 on it, and consider a "
		         "new key");
		return -1;
	}
	if (status.st_size > FILE_MOST) {
		snprintf(why, TLS_WHY, "larger than 4 MiB; name a PEM file");
		return -1;
	}
	out->data = gnutls_malloc((size_t)status.st_size + 1);
	if (out->data == NULL) {
		snprintf(why, TLS_WHY, "out of memory");
		return -1;
	}
	got = read(fd, out->data, (size_t)status.st_size);
	if (got < 0) {
		snprintf(why, TLS_WHY, "cannot read: %s", strerror(errno));
		return -1;
	}
	out->size = (unsigned)got;
	return 0;
}

/* Returns 0 with contents to be dropped, or -1 with the reason. */
static int read_file(const char *path, bool private, gnutls_datum_t *out, char *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold up the start */
	int result;

	memset(out, 0, sizeof(*out));
	if (fd < 0) {
		snprintf(why, TLS_WHY, "cannot open: %s; mend the path or the file's mode", strerror(errno));
		return -1;
	}
	result = read_open_file(fd, private, out, why);
	close(fd);
	return result;
}

static void drop(gnutls_datum_t *contents)
{
	if (contents->data == NULL)
		return;
	gnutls_memset(contents->data, 0, contents->size);
	gnutls_free(contents->data);
	contents->data = NULL;
}

/* ---- what the files hold ---- */

static int take_authorities(struct tls_profile *profile, const gnutls_datum_t *file, char *why)
{
	int count;

	if (profile->ca_file != NULL)
		count = gnutls_certificate_set_x509_trust_mem(profile->credentials, file, GNUTLS_X509_FMT_PEM);
	else
		count = gnutls_certificate_set_x509_system_trust(profile->credentials);
	if (count > 0)
		return 0;
	if (profile->ca_file != NULL)
		snprintf(why, TLS_WHY, "no certificate in it; write those of the authorities there, in PEM");
	else
		snprintf(why, TLS_WHY, "this host trusts no authority; install ca-certificates, or name a ca-file");
	return -1;
}

static int check_certificate(const gnutls_datum_t *file, char *why)
{
	gnutls_x509_crt_t *list;
	unsigned count;

	if (gnutls_x509_crt_list_import2(&list, &count, file, GNUTLS_X509_FMT_PEM, 0) < 0 || count == 0) {
		snprintf(why, TLS_WHY, "no certificate in it; write ours there, then its chain, in PEM");
		return -1;
	}
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return 0;
}

static int check_key(const gnutls_datum_t *file, char *why)
{
	gnutls_privkey_t key;
	int result;

	if (gnutls_privkey_init(&key) < 0) {
		snprintf(why, TLS_WHY, "out of memory");
		return -1;
	}
	result = gnutls_privkey_import_x509_raw(key, file, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_privkey_deinit(key);
	if (result >= 0)
		return 0;
	if (result == GNUTLS_E_DECRYPTION_FAILED || result == GNUTLS_E_INSUFFICIENT_CREDENTIALS)
		snprintf(why, TLS_WHY, "the key is encrypted; write it there without a passphrase, with mode 600");
	else
		snprintf(why, TLS_WHY, "no private key in it (%s); write one there, in PEM", gnutls_strerror(result));
	return -1;
}

static int take_pair(struct tls_profile *profile, const gnutls_datum_t *certificate, const gnutls_datum_t *key,
                     enum tls_part *part, char *why)
{
	int result;

	*part = TLS_PART_CERTIFICATE;
	if (check_certificate(certificate, why) != 0)
		return -1;
	*part = TLS_PART_PRIVATE_KEY;
	if (check_key(key, why) != 0)
		return -1;
	result =
	    gnutls_certificate_set_x509_key_mem2(profile->credentials, certificate, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (result >= 0)
		return 0;
	if (result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		snprintf(why, TLS_WHY, "not the key of the certificate; name the one that belongs to it");
	else
		snprintf(why, TLS_WHY, "cannot be used: %s", gnutls_strerror(result));
	return -1;
}

/* ---- the profile ---- */

struct files {
	gnutls_datum_t authorities, certificate, key;
};

static int read_files(const struct tls_settings *settings, struct files *files, enum tls_part *part, char *why)
{
	*part = TLS_PART_CA_FILE;
	if (settings->ca_file != NULL && read_file(settings->ca_file, false, &files->authorities, why) != 0)
		return -1;
	*part = TLS_PART_CERTIFICATE;
	if (settings->certificate != NULL && read_file(settings->certificate, false, &files->certificate, why) != 0)
		return -1;
	*part = TLS_PART_PRIVATE_KEY;
	if (settings->private_key != NULL && read_file(settings->private_key, true, &files->key, why) != 0)
		return -1;
	return 0;
}

/* Each part with its length, so that no two settings run together alike. */
static void add(gnutls_hash_hd_t hash, const void *octets, size_t length)
{
	uint64_t size = octets != NULL ? length : UINT64_MAX;

	gnutls_hash(hash, &size, sizeof(size));
	if (octets != NULL)
		gnutls_hash(hash, octets, length);
}

static void add_text(gnutls_hash_hd_t hash, const char *text)
{
	add(hash, text, text != NULL ? strlen(text) : 0);
}

static int make_digest(struct tls_profile *profile, const struct tls_settings *settings, const struct files *files)
{
	gnutls_hash_hd_t hash;

	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return -1;
	add_text(hash, settings->name);
	add_text(hash, settings->server_name);
	add_text(hash, settings->ca_file);
	add(hash, settings->pins, settings->pin_count * TLS_PIN_SIZE);
	add(hash, &settings->alpn_optional, sizeof(settings->alpn_optional));
	add(hash, files->authorities.data, files->authorities.size);
	add(hash, files->certificate.data, files->certificate.size);
	add(hash, files->key.data, files->key.size);
	gnutls_hash_deinit(hash, profile->digest);
	return 0;
}

static int fill(struct tls_profile *profile, const struct tls_settings *settings, const struct files *files,
                enum tls_part *part, char *why)
{
	*part = TLS_PART_NONE;
	snprintf(why, TLS_WHY, "out of memory");
	profile->name = strdup(settings->name);
	if (settings->server_name != NULL)
		profile->server_name = strdup(settings->server_name);
	if (settings->ca_file != NULL)
		profile->ca_file = strdup(settings->ca_file);
	if (settings->pin_count > 0)
		profile->pins = calloc(settings->pin_count, TLS_PIN_SIZE);
	if (profile->name == NULL || (profile->server_name == NULL) != (settings->server_name == NULL) ||
	    (profile->ca_file == NULL) != (settings->ca_file == NULL) ||
	    (profile->pins == NULL) != (settings->pin_count == 0) || make_digest(profile, settings, files) != 0 ||
	    gnutls_certificate_allocate_credentials(&profile->credentials) < 0)
		return -1;
	if (settings->pin_count > 0)
		memcpy(profile->pins, settings->pins, settings->pin_count * TLS_PIN_SIZE);
	profile->pin_count = settings->pin_count;
	profile->verifies = settings->server_name != NULL || settings->ca_file != NULL;
	profile->alpn_optional = settings->alpn_optional;
	*part = settings->ca_file != NULL ? TLS_PART_CA_FILE : TLS_PART_NONE;
	if (profile->verifies && take_authorities(profile, &files->authorities, why) != 0)
		return -1;
	if (settings->certificate != NULL && settings->private_key != NULL)
		return take_pair(profile, &files->certificate, &files->key, part, why);
	return 0;
}

struct tls_profile *tls_profile_new(const struct tls_settings *settings, enum tls_part *part, char *why)
{
	struct tls_profile *profile = calloc(1, sizeof(*profile));
	struct files files = {0};

	*part = TLS_PART_NONE;
	snprintf(why, TLS_WHY, "out of memory");
	if (profile == NULL)
		return NULL;
	profile->references = 1;
	if (read_files(settings, &files, part, why) != 0 || fill(profile, settings, &files, part, why) != 0) {
		tls_profile_unref(profile);
		profile = NULL;
	}
	drop(&files.authorities);
	drop(&files.certificate);
	drop(&files.key);
	return profile;
}

struct tls_profile *tls_profile_ref(struct tls_profile *profile)
{
	if (profile != NULL)
		profile->references++;
	return profile;
}

void tls_profile_unref(struct tls_profile *profile)
{
	if (profile == NULL || --profile->references > 0)
		return;
	if (profile->credentials != NULL)
		gnutls_certificate_free_credentials(profile->credentials);
	free(profile->name);
	free(profile->server_name);
	free(profile->ca_file);
	free(profile->pins);
	free(profile);
}

bool tls_profile_same(const struct tls_profile *one, const struct tls_profile *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return memcmp(one->digest, other->digest, sizeof(one->digest)) == 0;
}
