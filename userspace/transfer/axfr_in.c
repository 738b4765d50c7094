/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The messages of an AXFR (RFC 5936), one after another: SOA, records, the same SOA. Knows no sockets, so that it can
 * be fed by a test or a fuzzer. Whatever comes in is untrusted until the last message has been verified, and nothing of
 * it is used before.
 */
#include "transfer_internal.h"

#include <ctype.h>
#include <string.h>

/* What a builder is reckoned to keep of an RR besides its names and rdata. */
#define RR_OVERHEAD 16

int axfr_in_init(struct axfr_in *in, const knot_dname_t *apex, uint16_t id, struct tsig_session *tsig)
{
	memset(in, 0, sizeof(*in));
	in->expected =
	    (struct reply_expected){.what = "AXFR", .id = id, .type = KNOT_RRTYPE_AXFR, .apex = apex, .first = true};
	in->tsig = tsig;
	in->builder = zone_builder_new(apex, transfer_limits.max_records);
	return in->builder == NULL ? -1 : 0;
}

void axfr_in_clear(struct axfr_in *in)
{
	if (in->builder != NULL)
		zone_builder_free(in->builder);
	in->builder = NULL;
}

static void fail(struct axfr_in *in, const knot_rrset_t *rr, const char *cause)
{
	knot_dname_txt_storage_t name;
	char type[16];

	if (knot_dname_to_str(name, rr->owner, sizeof(name)) == NULL)
		name[0] = '\0';
	if (knot_rrtype_to_string(rr->type, type, sizeof(type)) < 0)
		type[0] = '\0';
	/* The cause first: a name may be a thousand characters long. */
	snprintf(in->why, sizeof(in->why), "AXFR failed: %s: %s %s", cause, name, type);
}

/* Compares two SOAs: names without regard to case, as they mean the same then, numbers as octets. */
static bool same_soa(const struct axfr_in *in, const uint8_t *rdata, size_t length)
{
	if (length != in->first_soa_length)
		return false;
	for (size_t i = 0; i < length - 20; i++)
		if (tolower(rdata[i]) != tolower(in->first_soa[i]))
			return false;
	return memcmp(rdata + length - 20, in->first_soa + length - 20, 20) == 0;
}

static int open_transfer(struct axfr_in *in, const knot_rrset_t *rr, const knot_rdata_t *rdata)
{
	if (rdata->len > sizeof(in->first_soa) || soa_read(rdata->data, rdata->len, &in->soa) != 0) {
		fail(in, rr, "malformed record");
		return -1;
	}
	memcpy(in->first_soa, rdata->data, rdata->len);
	in->first_soa_length = rdata->len;
	in->opened = true;
	return 0;
}

/* A SOA: the first opens the transfer, the second, the same, closes it. Returns 1 when it closed, 0 to add it, -1. */
static int take_soa(struct axfr_in *in, const knot_rrset_t *rr, const knot_rdata_t *rdata)
{
	struct soa_timers other;

	if (!knot_dname_is_case_equal(rr->owner, in->expected.apex)) {
		fail(in, rr, in->opened ? "a SOA that is not at the apex" : "the first record is not the zone's SOA");
		return -1;
	}
	if (!in->opened)
		return open_transfer(in, rr, rdata);
	if (same_soa(in, rdata->data, rdata->len)) {
		in->closed = true;
		return 1;
	}
	if (soa_read(rdata->data, rdata->len, &other) != 0)
		other.serial = 0;
	snprintf(in->why, sizeof(in->why), "AXFR failed: two different SOAs, serials %u and %u", in->soa.serial,
	         other.serial);
	return -1;
}

static int add(struct axfr_in *in, const knot_rrset_t *rr, const knot_rdata_t *rdata)
{
	/* RFC 2181 section 8: a TTL with the highest bit set is zero. */
	uint32_t ttl = rr->ttl > INT32_MAX ? 0 : rr->ttl;

	in->records++;
	in->expanded += knot_dname_size(rr->owner) + rdata->len + RR_OVERHEAD;
	if (in->records > transfer_limits.max_records) {
		snprintf(in->why, sizeof(in->why), "AXFR failed: more than %llu records",
		         (unsigned long long)transfer_limits.max_records);
		return -1;
	}
	if (in->expanded > transfer_limits.max_octets) {
		snprintf(in->why, sizeof(in->why), "AXFR failed: more than %llu octets",
		         (unsigned long long)transfer_limits.max_octets);
		return -1;
	}
	if (zone_builder_add(in->builder, rr->owner, rr->type, ttl, rdata->data, rdata->len) != 0) {
		snprintf(in->why, sizeof(in->why), "AXFR failed: %s", zone_builder_error(in->builder));
		return -1;
	}
	return 0;
}

static int take_record(struct axfr_in *in, const knot_rrset_t *rr, const knot_rdata_t *rdata)
{
	int soa;

	if (in->closed) {
		fail(in, rr, "a record after the closing SOA");
		return -1;
	}
	if (rr->rclass != KNOT_CLASS_IN) {
		fail(in, rr, "a record of a class other than IN");
		return -1;
	}
	if (knot_dname_in_bailiwick(rr->owner, in->expected.apex) < 0) {
		fail(in, rr, "a record outside the zone");
		return -1;
	}
	if (rr->type == KNOT_RRTYPE_SOA) {
		soa = take_soa(in, rr, rdata);
		if (soa != 0)
			return soa < 0 ? -1 : 0;
	} else if (!in->opened) {
		fail(in, rr, "the first record is not the zone's SOA");
		return -1;
	} else if (knot_rrtype_is_metatype(rr->type)) {
		fail(in, rr, "a record of a type that no zone has");
		return -1;
	}
	return add(in, rr, rdata);
}

/* The records of one message: the only place that knows how libknot gives them, so that another parser can take over.
 */
static int take_records(struct axfr_in *in, const knot_pkt_t *message)
{
	const knot_pktsection_t *answer = knot_pkt_section(message, KNOT_ANSWER);

	for (uint16_t i = 0; i < answer->count; i++) {
		const knot_rrset_t *rr = knot_pkt_rr(answer, i);
		knot_rdata_t *rdata = rr->rrs.rdata;

		/* In bailiwick and equality are by octets in libknot, and the builder wants owners in lower case. */
		knot_dname_to_lower(rr->owner);
		for (uint16_t j = 0; j < rr->rrs.count; j++, rdata = knot_rdataset_next(rdata))
			if (take_record(in, rr, rdata) != 0)
				return -1;
	}
	return 0;
}

enum axfr_result axfr_in_message(struct axfr_in *in, uint8_t *wire, size_t length)
{
	knot_pkt_t *message = reply_parse(&in->expected, wire, length, in->tsig, in->why);
	enum axfr_result result = AXFR_FAILED;

	if (message == NULL)
		return AXFR_FAILED;
	in->expected.first = false;
	in->octets += length;
	/* A message without records would be progress without end. */
	if (knot_pkt_section(message, KNOT_ANSWER)->count == 0)
		snprintf(in->why, sizeof(in->why), "AXFR failed: a message without records");
	else if (knot_pkt_section(message, KNOT_AUTHORITY)->count != 0)
		snprintf(in->why, sizeof(in->why), "AXFR failed: records in the authority section");
	else if (take_records(in, message) != 0)
		result = AXFR_FAILED;
	else if (!in->closed)
		result = AXFR_MORE;
	else if (!tsig_session_covered(in->tsig))
		snprintf(in->why, sizeof(in->why), "AXFR failed: the last message is not signed");
	else
		result = AXFR_DONE;
	knot_pkt_free(message);
	return result;
}
