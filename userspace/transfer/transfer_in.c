/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The messages of a transfer, one after another. AXFR (RFC 5936): SOA, records, the same SOA. IXFR (RFC 1995): the
 * second record tells whether the same comes, or differences (ixfr_in.c), or, if there is none, that nothing is newer.
 * Knows no sockets, so that it can be fed by a test or a fuzzer. Whatever comes in is untrusted until the last message
 * has been verified, and nothing of it is used before.
 */
#include "rr_reader.h"
#include "transfer_internal.h"

#include <ctype.h>
#include <string.h>

/* What a builder is reckoned to keep of an RR besides its names and rdata. */
#define RR_OVERHEAD 16

int transfer_in_init(struct transfer_in *in, const knot_dname_t *apex, uint16_t id, const uint32_t *have,
                     struct tsig_session *tsig)
{
	memset(in, 0, sizeof(*in));
	in->expected = (struct reply_expected){.what = have != NULL ? "IXFR" : "AXFR",
	                                       .id = id,
	                                       .type = have != NULL ? KNOT_RRTYPE_IXFR : KNOT_RRTYPE_AXFR,
	                                       .apex = apex,
	                                       .first = true};
	in->shape = have != NULL ? SHAPE_UNKNOWN : SHAPE_FULL;
	in->have = have != NULL ? *have : 0;
	in->tsig = tsig;
	in->max_records = transfer_limits.max_records;
	in->max_octets = transfer_limits.max_octets;
	in->builder = zone_builder_new(apex, in->max_records);
	return in->builder == NULL ? -1 : 0;
}

int transfer_in_bound(struct transfer_in *in, uint64_t max_records, uint64_t max_octets)
{
	if (max_octets > 0)
		in->max_octets = max_octets;
	if (max_records == 0)
		return 0;
	in->max_records = max_records;
	zone_builder_free(in->builder);
	in->builder = zone_builder_new(in->expected.apex, max_records);
	return in->builder == NULL ? -1 : 0;
}

void transfer_in_clear(struct transfer_in *in)
{
	if (in->builder != NULL)
		zone_builder_free(in->builder);
	if (in->changes != NULL)
		zone_changes_free(in->changes);
	in->builder = NULL;
	in->changes = NULL;
}

int transfer_in_fail(struct transfer_in *in, const struct rr *rr, const char *cause)
{
	knot_dname_txt_storage_t name;
	char type[16];

	if (knot_dname_to_str(name, rr->owner, sizeof(name)) == NULL)
		name[0] = '\0';
	if (knot_rrtype_to_string(rr->type, type, sizeof(type)) < 0)
		type[0] = '\0';
	/* The cause first: a name may be a thousand characters long. */
	snprintf(in->why, sizeof(in->why), "%s failed: %s: %s %s", in->expected.what, cause, name, type);
	return -1;
}

/* Compares two SOAs: names without regard to case, as they mean the same then, numbers as octets. */
bool transfer_in_same_soa(const struct transfer_in *in, const uint8_t *rdata, size_t length)
{
	if (length != in->first_soa_length)
		return false;
	for (size_t i = 0; i < length - 20; i++)
		if (tolower(rdata[i]) != tolower(in->first_soa[i]))
			return false;
	return memcmp(rdata + length - 20, in->first_soa + length - 20, 20) == 0;
}

static int open_transfer(struct transfer_in *in, const struct rr *rr)
{
	if (rr->rdata_length > sizeof(in->first_soa) || !zone_rdata_ok(rr->type, rr->rdata, rr->rdata_length) ||
	    soa_read(rr->rdata, rr->rdata_length, &in->soa) != 0)
		return transfer_in_fail(in, rr, "malformed record");
	memcpy(in->first_soa, rr->rdata, rr->rdata_length);
	in->first_soa_length = rr->rdata_length;
	in->opened = true;
	return 0;
}

/* A SOA: the first opens the transfer, the second, the same, closes it. Returns 1 when it closed, 0 to add it, -1. */
static int take_soa(struct transfer_in *in, const struct rr *rr)
{
	struct soa_timers other;

	if (!in->opened)
		return open_transfer(in, rr);
	if (transfer_in_same_soa(in, rr->rdata, rr->rdata_length)) {
		in->closed = true;
		return 1;
	}
	if (soa_read(rr->rdata, rr->rdata_length, &other) != 0)
		other.serial = 0;
	snprintf(in->why, sizeof(in->why), "%s failed: two different SOAs, serials %u and %u", in->expected.what,
	         in->soa.serial, other.serial);
	return -1;
}

static int add(struct transfer_in *in, const struct rr *rr)
{
	if (zone_builder_add(in->builder, rr->owner, rr->type, rr->ttl, rr->rdata, rr->rdata_length) == 0)
		return 0;
	snprintf(in->why, sizeof(in->why), "%s failed: %s", in->expected.what, zone_builder_error(in->builder));
	return -1;
}

static int take_full(struct transfer_in *in, const struct rr *rr)
{
	int soa = rr->type == KNOT_RRTYPE_SOA ? take_soa(in, rr) : 0;

	if (soa != 0)
		return soa < 0 ? -1 : 0;
	return add(in, rr);
}

/* The second record of an IXFR's answer tells what it is. */
static int take_second(struct transfer_in *in, const struct rr *rr)
{
	struct soa_timers soa;

	if (rr->type == KNOT_RRTYPE_SOA && soa_read(rr->rdata, rr->rdata_length, &soa) == 0 &&
	    !transfer_in_same_soa(in, rr->rdata, rr->rdata_length)) {
		in->shape = SHAPE_DIFFERENCES;
		return ixfr_in_begin(in, rr, soa.serial);
	}
	in->shape = SHAPE_FULL;
	return take_full(in, rr);
}

/* What holds of every record, whatever it is part of. */
static int check_record(struct transfer_in *in, const struct rr *rr)
{
	if (in->closed)
		return transfer_in_fail(in, rr, "a record after the closing SOA");
	if (rr->rclass != KNOT_CLASS_IN)
		return transfer_in_fail(in, rr, "a record of a class other than IN");
	if (!rr->same_owner &&
	    !zone_has_name(in->expected.apex, knot_dname_size(in->expected.apex), rr->owner, rr->owner_length))
		return transfer_in_fail(in, rr, "a record outside the zone");
	if (!in->opened && (rr->type != KNOT_RRTYPE_SOA || !knot_dname_is_case_equal(rr->owner, in->expected.apex)))
		return transfer_in_fail(in, rr, "the first record is not the zone's SOA");
	if (rr->type == KNOT_RRTYPE_SOA && !knot_dname_is_case_equal(rr->owner, in->expected.apex))
		return transfer_in_fail(in, rr, "a SOA that is not at the apex");
	if (knot_rrtype_is_metatype(rr->type))
		return transfer_in_fail(in, rr, "a record of a type that no zone has");
	return 0;
}

/* Counts a record, and checks the limits. */
static int count_record(struct transfer_in *in, const struct rr *rr)
{
	in->records++;
	in->expanded += (uint64_t)rr->owner_length + rr->rdata_length + RR_OVERHEAD;
	if (in->records > in->max_records)
		snprintf(in->why, sizeof(in->why), "%s failed: more than %llu records", in->expected.what,
		         (unsigned long long)in->max_records);
	else if (in->expanded > in->max_octets)
		snprintf(in->why, sizeof(in->why), "%s failed: more than %llu octets", in->expected.what,
		         (unsigned long long)in->max_octets);
	else
		return 0;
	return -1;
}

static int take_record(struct transfer_in *in, const struct rr *rr)
{
	int result;

	if (check_record(in, rr) != 0)
		return -1;
	if (in->shape == SHAPE_DIFFERENCES)
		result = ixfr_in_record(in, rr);
	else if (in->shape == SHAPE_UNKNOWN && in->opened)
		result = take_second(in, rr);
	else
		result = take_full(in, rr);
	return result != 0 || in->closed ? result : count_record(in, rr);
}

static int take_records(struct transfer_in *in, const struct reply *reply)
{
	struct rr_reader reader;
	struct rr rr;

	rr_reader_init(&reader, reply->wire, reply->length, reply->answer_at);
	for (unsigned count = knot_wire_get_ancount(reply->wire); count > 0; count--) {
		if (rr_read(&reader, &rr) != 0) {
			snprintf(in->why, sizeof(in->why), "%s failed: malformed reply (a record in it)",
			         in->expected.what);
			return -1;
		}
		if (take_record(in, &rr) != 0)
			return -1;
	}
	return 0;
}

/* Whether the one SOA that came is the answer: that nothing is newer. If it is newer, the rest is still to come. */
static bool is_current(const struct transfer_in *in)
{
	return in->shape == SHAPE_UNKNOWN && in->opened && !serial_newer(in->soa.serial, in->have);
}

enum transfer_result transfer_in_message(struct transfer_in *in, uint8_t *wire, size_t length)
{
	struct reply reply;
	enum transfer_result result = TRANSFER_FAILED;

	if (length >= KNOT_WIRE_HEADER_SIZE)
		in->rcode = knot_wire_get_rcode(wire);
	if (reply_open(&reply, &in->expected, wire, length, in->tsig, in->why) != 0)
		return TRANSFER_FAILED;
	in->expected.first = false;
	in->octets += length;
	expire_read(&reply, &in->expire);
	/* A message without records would be progress without end. */
	if (knot_wire_get_ancount(wire) == 0)
		snprintf(in->why, sizeof(in->why), "%s failed: a message without records", in->expected.what);
	else if (knot_wire_get_nscount(wire) != 0)
		snprintf(in->why, sizeof(in->why), "%s failed: records in the authority section", in->expected.what);
	else if (take_records(in, &reply) != 0)
		result = TRANSFER_FAILED;
	else if (!in->closed && !is_current(in))
		result = TRANSFER_MORE;
	else if (!tsig_session_covered(in->tsig))
		snprintf(in->why, sizeof(in->why), "%s failed: the last message is not signed", in->expected.what);
	else
		result = TRANSFER_DONE;
	if (result == TRANSFER_DONE && !in->closed)
		in->shape = SHAPE_CURRENT;
	reply_close(&reply);
	return result;
}
