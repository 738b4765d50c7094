/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ZONEMD (RFC 8976): a digest of the whole zone, in the zone. The version is read in its order, which is the canonical
 * one, and hashed as it goes; nothing of it is copied but RRsets with names in upper case.
 */
#include "verify/canonical.h"
#include "verify/verify.h"

#include <gnutls/crypto.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME_SIMPLE 1
#define ZONEMD_FIXED 6 /* octets before the digest */
#define BUFFER 65536

struct digest {
	gnutls_hash_hd_t hash;
	int error; /* of GnuTLS; 0: none */
	size_t fill;
	uint8_t buffer[BUFFER];
	struct canonical canonical;
};

/* The hash algorithms of RFC 8976 section 5.3. */
static gnutls_digest_algorithm_t hash_of(uint8_t algorithm)
{
	switch (algorithm) {
	case 1:
		return GNUTLS_DIG_SHA384;
	case 2:
		return GNUTLS_DIG_SHA512;
	default:
		return GNUTLS_DIG_UNKNOWN;
	}
}

static void flush(struct digest *digest)
{
	if (digest->fill && !digest->error)
		digest->error = gnutls_hash(digest->hash, digest->buffer, digest->fill);
	digest->fill = 0;
}

static void put(struct digest *digest, const void *octets, size_t length)
{
	if (length > BUFFER - digest->fill)
		flush(digest);
	memcpy(digest->buffer + digest->fill, octets, length);
	digest->fill += length;
}

/* One RR as section 3.4 wants it: owner in lower case, as it is kept, and uncompressed rdata. */
static void put_record(struct digest *digest, const struct zone_name *name, uint16_t type, uint32_t ttl,
                       const uint8_t *item)
{
	uint16_t length = zone_rdata_length(item);
	uint8_t fixed[10];

	knot_wire_write_u16(fixed, type);
	knot_wire_write_u16(fixed + 2, KNOT_CLASS_IN);
	knot_wire_write_u32(fixed + 4, ttl);
	knot_wire_write_u16(fixed + 8, length);
	put(digest, name->owner, name->owner_length);
	put(digest, fixed, sizeof(fixed));
	put(digest, item + 2, length);
}

static int put_rrset(struct digest *digest, const struct zone_name *name, const struct zone_rrset *rrset, bool apex)
{
	if (apex && rrset->type == KNOT_RRTYPE_ZONEMD)
		return 0;
	if (canonical_make(&digest->canonical, rrset))
		return -1;
	for (size_t i = 0; i < digest->canonical.count; i++) {
		const uint8_t *item = digest->canonical.items[i];

		if (apex && rrset->type == KNOT_RRTYPE_RRSIG && canonical_covered(item) == KNOT_RRTYPE_ZONEMD)
			continue;
		put_record(digest, name, rrset->type, canonical_ttl(name, rrset, item), item);
	}
	return 0;
}

/* Computes the digest; `out` has room for 64 octets. Returns its length, or -1. */
static int compute(const struct zone_version *version, gnutls_digest_algorithm_t algorithm, uint8_t *out)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	int result = -1, failed = 0;

	if (!digest || gnutls_hash_init(&digest->hash, algorithm)) {
		free(digest);
		return -1;
	}
	for (size_t i = 0; i < version->name_count && !failed; i++)
		for (size_t j = 0; j < version->names[i].rrset_count && !failed; j++)
			failed = put_rrset(digest, &version->names[i], &version->names[i].rrsets[j], i == 0);
	flush(digest);
	if (!failed && !digest->error)
		result = (int)gnutls_hash_get_len(algorithm);
	gnutls_hash_deinit(digest->hash, out);
	canonical_free(&digest->canonical);
	free(digest);
	return result;
}

/* Whether another RR has the same scheme and hash: then neither counts (section 4). */
static bool is_ambiguous(const struct zone_rrset *rrset, const uint8_t *item)
{
	const uint8_t *other = rrset->rdata;

	for (uint32_t i = 0; i < rrset->count; i++, other += 2 + zone_rdata_length(other))
		if (other != item && zone_rdata_length(other) >= ZONEMD_FIXED && !memcmp(other + 6, item + 6, 2))
			return true;
	return false;
}

/* Judges one RR of scheme and hash that are known. */
static int check_one(const struct zone_version *version, const struct zone_rrset *rrset, const uint8_t *item, char *why)
{
	gnutls_digest_algorithm_t algorithm = hash_of(item[2 + 5]);
	uint32_t serial = knot_wire_read_u32(item + 2);
	uint8_t digest[64];
	int length;

	if (serial != version->serial) {
		snprintf(why, VERIFY_WHY, "its ZONEMD is of serial %u, and the zone of serial %u", serial,
		         version->serial);
		return -1;
	}
	if (is_ambiguous(rrset, item)) {
		snprintf(why, VERIFY_WHY, "it has two ZONEMD records of the same scheme and hash");
		return -1;
	}
	if (zone_rdata_length(item) != ZONEMD_FIXED + gnutls_hash_get_len(algorithm)) {
		snprintf(why, VERIFY_WHY, "the digest in its ZONEMD has not the length of its hash");
		return -1;
	}
	length = compute(version, algorithm, digest);
	if (length < 0)
		snprintf(why, VERIFY_WHY, "its ZONEMD cannot be checked: out of memory");
	else if (memcmp(digest, item + 2 + ZONEMD_FIXED, length))
		snprintf(why, VERIFY_WHY,
		         "its ZONEMD does not fit the records: they are not what the zone's owner published");
	else
		return 0;
	return -1;
}

int verify_zonemd(const struct zone_version *version, enum config_zonemd rule, char *why)
{
	const struct zone_rrset *rrset = zone_find_rrset(&version->names[0], KNOT_RRTYPE_ZONEMD);
	const uint8_t *item = rrset ? rrset->rdata : NULL;
	bool known = false;

	if (rule == CONFIG_ZONEMD_OFF)
		return 0;
	for (uint32_t i = 0; rrset && i < rrset->count; i++, item += 2 + zone_rdata_length(item)) {
		if (zone_rdata_length(item) < ZONEMD_FIXED || item[2 + 4] != SCHEME_SIMPLE ||
		    hash_of(item[2 + 5]) == GNUTLS_DIG_UNKNOWN)
			continue;
		known = true;
		if (!check_one(version, rrset, item, why))
			return 0;
	}
	if (known)
		return -1;
	if (rule == CONFIG_ZONEMD_IF_PRESENT)
		return 0;
	snprintf(why, VERIFY_WHY,
	         rrset ? "its ZONEMD is of a scheme or hash that is not known (zonemd: required)"
	               : "it has no ZONEMD (zonemd: required)");
	return -1;
}
