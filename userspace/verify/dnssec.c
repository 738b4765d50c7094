/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The signatures of a zone: every RRset that is to be signed has an RRSIG, by a key of the apex, that is valid now and
 * verifies. Whether the keys are the right ones – DS at the parent – is not looked at, nor are chains of NSEC and
 * NSEC3: these the compiler knows.
 */
#include "verify/canonical.h"
#include "verify/verify.h"

#include <libdnssec/dnssec.h>
#include <libdnssec/error.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RRSIG_FIXED 18 /* octets before the signer's name */
#define KEYS 64        /* more than that are not looked at */
#define FLAG_ZONE 0x0100
#define FLAG_REVOKED 0x0080

struct key {
	uint8_t algorithm;
	uint16_t tag;
	dnssec_key_t *key;
	dnssec_sign_ctx_t *context;
};

struct check {
	const struct zone_version *version;
	uint64_t now;
	struct key keys[KEYS];
	size_t key_count;
	struct canonical set; /* the RRset in hand */
	struct canonical signatures;
	char *why;
};

/* One RRSIG, taken apart. */
struct rrsig {
	const uint8_t *rdata;
	size_t length, signed_length; /* of the rdata up to the signature */
	uint8_t algorithm, labels;
	uint32_t ttl, expiration, inception;
	uint16_t tag;
};

static int refuse(struct check *check, const struct zone_name *name, uint16_t type, const char *cause)
{
	knot_dname_txt_storage_t owner = "?";
	char type_text[32] = "?";

	knot_dname_to_str(owner, name->owner, sizeof(owner));
	knot_rrtype_to_string(type, type_text, sizeof(type_text));
	snprintf(check->why, VERIFY_WHY, "%s: %.120s %s", cause, owner, type_text);
	return -1;
}

/* ---- keys ---- */

static void add_key(struct check *check, const uint8_t *item)
{
	struct key *key = &check->keys[check->key_count];
	const uint8_t *rdata = item + 2;
	size_t length = zone_rdata_length(item);
	dnssec_binary_t octets = {.size = length, .data = (uint8_t *)rdata};
	uint16_t flags = length > 4 ? knot_wire_read_u16(rdata) : 0;

	if (check->key_count == KEYS || !(flags & FLAG_ZONE) || flags & FLAG_REVOKED || rdata[2] != 3 ||
	    !dnssec_algorithm_key_support(rdata[3]))
		return;
	*key = (struct key){.algorithm = rdata[3]};
	if (dnssec_key_new(&key->key) != DNSSEC_EOK)
		return;
	if (dnssec_key_set_dname(key->key, check->version->apex) != DNSSEC_EOK ||
	    dnssec_key_set_rdata(key->key, &octets) != DNSSEC_EOK ||
	    dnssec_sign_new(&key->context, key->key) != DNSSEC_EOK) {
		dnssec_key_free(key->key);
		return;
	}
	key->tag = dnssec_key_get_keytag(key->key);
	check->key_count++;
}

static void free_keys(struct check *check)
{
	for (size_t i = 0; i < check->key_count; i++) {
		dnssec_sign_free(check->keys[i].context);
		dnssec_key_free(check->keys[i].key);
	}
}

static int load_keys(struct check *check)
{
	const struct zone_rrset *rrset = zone_find_rrset(&check->version->names[0], KNOT_RRTYPE_DNSKEY);
	const uint8_t *item = rrset ? rrset->rdata : NULL;

	for (uint32_t i = 0; rrset && i < rrset->count; i++, item += 2 + zone_rdata_length(item))
		add_key(check, item);
	if (check->key_count)
		return 0;
	snprintf(check->why, VERIFY_WHY, "%s (dnssec: check)",
	         rrset ? "it has no DNSKEY of an algorithm that can be checked" : "it is not signed: it has no DNSKEY");
	return -1;
}

/* ---- signatures ---- */

static int parse(const uint8_t *item, struct rrsig *out)
{
	const uint8_t *rdata = item + 2;
	size_t length = zone_rdata_length(item);
	int signer = length > RRSIG_FIXED ? knot_dname_wire_check(rdata + RRSIG_FIXED, rdata + length, NULL) : 0;

	if (signer <= 0)
		return -1;
	*out = (struct rrsig){.rdata = rdata,
	                      .length = length,
	                      .signed_length = RRSIG_FIXED + (size_t)signer,
	                      .algorithm = rdata[2],
	                      .labels = rdata[3],
	                      .ttl = knot_wire_read_u32(rdata + 4),
	                      .expiration = knot_wire_read_u32(rdata + 8),
	                      .inception = knot_wire_read_u32(rdata + 12),
	                      .tag = knot_wire_read_u16(rdata + 16)};
	return 0;
}

static int add(dnssec_sign_ctx_t *context, const void *octets, size_t length)
{
	const dnssec_binary_t binary = {.size = length, .data = (uint8_t *)octets};

	return length ? dnssec_sign_add(context, &binary) : DNSSEC_EOK;
}

/* Section 3.1.8.1 of RFC 4034: the RRSIG without its signature, then each RR in canonical form with the original TTL.
 */
static int verify_with(const struct check *check, const struct key *key, const struct zone_name *name, uint16_t type,
                       const struct rrsig *rrsig)
{
	const dnssec_binary_t signature = {.size = rrsig->length - rrsig->signed_length,
	                                   .data = (uint8_t *)rrsig->rdata + rrsig->signed_length};
	uint8_t fixed[10];
	int error = dnssec_sign_init(key->context);

	if (error == DNSSEC_EOK)
		error = add(key->context, rrsig->rdata, rrsig->signed_length);
	for (size_t i = 0; i < check->set.count && error == DNSSEC_EOK; i++) {
		const uint8_t *item = check->set.items[i];

		knot_wire_write_u16(fixed, type);
		knot_wire_write_u16(fixed + 2, KNOT_CLASS_IN);
		knot_wire_write_u32(fixed + 4, rrsig->ttl);
		knot_wire_write_u16(fixed + 8, zone_rdata_length(item));
		error = add(key->context, name->owner, name->owner_length);
		if (error == DNSSEC_EOK)
			error = add(key->context, fixed, sizeof(fixed));
		if (error == DNSSEC_EOK)
			error = add(key->context, item + 2, zone_rdata_length(item));
	}
	return error == DNSSEC_EOK ? dnssec_sign_verify(key->context, false, &signature) : error;
}

/* What is against one RRSIG; NULL: nothing. */
static const char *judge(const struct check *check, const struct zone_name *name, uint16_t type,
                         const struct rrsig *rrsig)
{
	uint8_t labels = name->labels - knot_dname_is_wildcard(name->owner);
	const char *cause = "no DNSKEY of the zone fits an RRSIG";

	/* RFC 4034 section 3.1.5: serial arithmetic. */
	if ((int32_t)((uint32_t)check->now - rrsig->inception) < 0)
		return "an RRSIG is not valid yet";
	if ((int32_t)(rrsig->expiration - (uint32_t)check->now) < 0)
		return "an RRSIG has expired";
	if (rrsig->labels != labels || !knot_dname_is_equal(rrsig->rdata + RRSIG_FIXED, check->version->apex))
		return "an RRSIG is of another name or zone";
	for (size_t i = 0; i < check->key_count; i++) {
		if (check->keys[i].algorithm != rrsig->algorithm || check->keys[i].tag != rrsig->tag)
			continue;
		if (verify_with(check, &check->keys[i], name, type, rrsig) == DNSSEC_EOK)
			return NULL;
		cause = "an RRSIG does not verify";
	}
	return cause;
}

/* One RRset: one good RRSIG is enough. `check->signatures` has those of the name. */
static int check_rrset(struct check *check, const struct zone_name *name, const struct zone_rrset *rrset)
{
	const char *cause = "no RRSIG where one is due";

	if (canonical_make(&check->set, rrset))
		return refuse(check, name, rrset->type, "out of memory");
	for (size_t i = 0; i < check->signatures.count; i++) {
		struct rrsig rrsig;

		if (canonical_covered(check->signatures.items[i]) != rrset->type ||
		    parse(check->signatures.items[i], &rrsig))
			continue;
		cause = judge(check, name, rrset->type, &rrsig);
		if (!cause)
			return 0;
	}
	return refuse(check, name, rrset->type, cause);
}

/* At a cut, the parent signs what is its own alone. */
static bool is_signed_here(uint16_t type, bool cut)
{
	return type != KNOT_RRTYPE_RRSIG && (!cut || type == KNOT_RRTYPE_DS || type == KNOT_RRTYPE_NSEC);
}

static int check_name(struct check *check, const struct zone_name *name, bool cut)
{
	const struct zone_rrset *rrsigs = zone_find_rrset(name, KNOT_RRTYPE_RRSIG);

	check->signatures.count = 0;
	if (rrsigs && canonical_make(&check->signatures, rrsigs))
		return refuse(check, name, KNOT_RRTYPE_RRSIG, "out of memory");
	for (size_t i = 0; i < name->rrset_count; i++)
		if (is_signed_here(name->rrsets[i].type, cut) && check_rrset(check, name, &name->rrsets[i]))
			return -1;
	return 0;
}

static int check_zone(struct check *check, const atomic_bool *cancelled)
{
	const uint8_t *hidden = NULL; /* below this name nothing is the zone's */

	for (size_t i = 0; i < check->version->name_count; i++) {
		const struct zone_name *name = &check->version->names[i];
		bool cut = i && zone_find_rrset(name, KNOT_RRTYPE_NS) && !knot_dname_is_wildcard(name->owner);

		if (cancelled && *cancelled) {
			snprintf(check->why, VERIFY_WHY, "nobody waits for it any more");
			return -1;
		}
		if (hidden && knot_dname_in_bailiwick(name->owner, hidden) > 0)
			continue;
		hidden = cut || zone_find_rrset(name, KNOT_RRTYPE_DNAME) ? name->owner : NULL;
		/* The owners of NSEC3 records are below an apex's DNAME too, but that would hide all of the zone. */
		if (!i)
			hidden = NULL;
		if (check_name(check, name, cut))
			return -1;
	}
	return 0;
}

int verify_dnssec(const struct verify_request *request, uint64_t now, char *why)
{
	struct check *check = calloc(1, sizeof(*check));
	int result = -1;

	if (!check) {
		snprintf(why, VERIFY_WHY, "out of memory");
		return -1;
	}
	check->version = request->version;
	check->now = now;
	check->why = why;
	if (!load_keys(check))
		result = check_zone(check, request->cancelled);
	free_keys(check);
	canonical_free(&check->set);
	canonical_free(&check->signatures);
	free(check);
	return result;
}
