/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queries to a primary, and what every reply has to have, whatever was asked. */
#include "rr_reader.h"
#include "transfer_internal.h"

#include <string.h>
#include <sys/random.h>

#define OPT_LENGTH (11 + 4 + 4) /* with two empty options */
#define UDP_PAYLOAD 1232        /* what passes everywhere */

uint32_t random_below(uint32_t bound)
{
	uint64_t value = 0;

	if (bound == 0)
		return 0;
	/* 64 bits, so that the remainder's bias does not matter; no failure is possible for so few once the system is
	 * up, and a constant would only cost the jitter. */
	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		value = uv_hrtime() * 0x9e3779b97f4a7c15ULL >> 7;
	return (uint32_t)(value % bound);
}

bool serial_newer(uint32_t serial, uint32_t than)
{
	uint32_t distance = serial - than;

	return distance != 0 && distance < 0x80000000U;
}

/* The version that we have. Of its SOA, the serial alone is looked at by any server, and all that need be kept. */
static size_t put_version(uint8_t *wire, size_t length, uint32_t serial)
{
	static const uint16_t soa_length = 2 + 5 * 4;

	knot_wire_set_nscount(wire, 1);
	memset(wire + length, 0, 12 + soa_length);
	knot_wire_write_u16(wire + length, 0xc000 | KNOT_WIRE_HEADER_SIZE);
	knot_wire_write_u16(wire + length + 2, KNOT_RRTYPE_SOA);
	knot_wire_write_u16(wire + length + 4, KNOT_CLASS_IN);
	knot_wire_write_u16(wire + length + 10, soa_length);
	/* Behind the two names, which are the root. */
	knot_wire_write_u32(wire + length + 12 + 2, serial);
	return length + 12 + soa_length;
}

/* An OPT record with an empty EXPIRE option, which asks for it (RFC 7314 section 2); over a connection with an empty
 * keepalive option besides (RFC 7828 section 3.2.1). */
static size_t put_options(uint8_t *wire, size_t length, bool keepalive)
{
	uint8_t *opt = wire + length;

	knot_wire_set_arcount(wire, 1);
	memset(opt, 0, OPT_LENGTH); /* the owner is the root; no extended RCODE, version, flags */
	knot_wire_write_u16(opt + 1, KNOT_RRTYPE_OPT);
	knot_wire_write_u16(opt + 3, UDP_PAYLOAD);
	knot_wire_write_u16(opt + 9, keepalive ? 8 : 4);
	knot_wire_write_u16(opt + 11, KNOT_EDNS_OPTION_EXPIRE);
	if (!keepalive)
		return length + OPT_LENGTH - 4;
	knot_wire_write_u16(opt + 15, KNOT_EDNS_OPTION_TCP_KEEPALIVE);
	return length + OPT_LENGTH;
}

size_t query_make(uint8_t *wire, size_t room, uint16_t id, const knot_dname_t *apex, uint16_t type, uint32_t have,
                  enum query_edns edns, struct tsig_session *tsig)
{
	size_t length = KNOT_WIRE_HEADER_SIZE;
	int name;

	if (room < KNOT_WIRE_HEADER_SIZE + KNOT_DNAME_MAXLEN + 4 + 34 + OPT_LENGTH)
		return 0;
	memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
	knot_wire_set_id(wire, id);
	knot_wire_set_qdcount(wire, 1);
	name = knot_dname_to_wire(wire + length, apex, KNOT_DNAME_MAXLEN);
	if (name <= 0)
		return 0;
	length += (size_t)name;
	knot_wire_write_u16(wire + length, type);
	knot_wire_write_u16(wire + length + 2, KNOT_CLASS_IN);
	length += 4;
	if (type == KNOT_RRTYPE_IXFR)
		length = put_version(wire, length, have);
	if (edns != QUERY_PLAIN)
		length = put_options(wire, length, edns == QUERY_EDNS_STREAM);
	return tsig_session_sign(tsig, wire, &length, room) == 0 ? length : 0;
}

bool reply_matches(const struct reply_expected *expected, const uint8_t *wire, size_t length)
{
	return length >= KNOT_WIRE_HEADER_SIZE && knot_wire_get_id(wire) == expected->id && knot_wire_get_qr(wire) &&
	       knot_wire_get_opcode(wire) == KNOT_OPCODE_QUERY;
}

/* Says why the header cannot be that of the reply. */
static int check_header(const struct reply_expected *expected, const uint8_t *wire, size_t length, char *why)
{
	if (length < KNOT_WIRE_HEADER_SIZE)
		snprintf(why, TRANSFER_WHY, "%s failed: malformed reply, %zu octets", expected->what, length);
	else if (knot_wire_get_id(wire) != expected->id)
		snprintf(why, TRANSFER_WHY, "%s failed: the reply has id %u instead of %u", expected->what,
		         knot_wire_get_id(wire), expected->id);
	else if (!knot_wire_get_qr(wire) || knot_wire_get_opcode(wire) != KNOT_OPCODE_QUERY)
		snprintf(why, TRANSFER_WHY, "%s failed: what came is not a reply", expected->what);
	else
		return 0;
	return -1;
}

static bool question_fits(const struct reply_expected *expected, const struct reply *reply)
{
	knot_dname_storage_t qname;
	const uint8_t *behind = reply->wire + reply->answer_at - 4;

	if (knot_wire_get_qdcount(reply->wire) == 0)
		return !expected->first;
	memcpy(qname, reply->wire + KNOT_WIRE_HEADER_SIZE, (size_t)(behind - reply->wire) - KNOT_WIRE_HEADER_SIZE);
	knot_dname_to_lower(qname);
	return knot_dname_is_equal(qname, expected->apex) && knot_wire_read_u16(behind) == expected->type &&
	       knot_wire_read_u16(behind + 2) == KNOT_CLASS_IN;
}

/* How long the server wants the connection to be kept, in units of 100 ms (RFC 7828). */
static void keep_read(const struct reply *reply, struct keep_option *out)
{
	size_t length;
	const uint8_t *data = reply_option(reply, KNOT_EDNS_OPTION_TCP_KEEPALIVE, &length);

	if (data == NULL || length != 2)
		return;
	out->given = true;
	out->idle = knot_wire_read_u16(data) * 100ULL;
}

int reply_open(struct reply *reply, const struct reply_expected *expected, uint8_t *wire, size_t length,
               struct tsig_session *tsig, char *why)
{
	struct history_facts unasked, *facts = expected->facts != NULL ? expected->facts : &unasked;
	char cause[TRANSFER_WHY - 32];
	unsigned rcode;
	int result;

	*reply = (struct reply){.wire = wire, .length = length};
	if (check_header(expected, wire, length, why) != 0)
		return -1;
	rcode = knot_wire_get_rcode(wire);
	result = reply_take_apart(reply);
	refusal_note(rcode, result == KNOT_EOK ? reply : NULL, facts);
	if (rcode != KNOT_RCODE_NOERROR) {
		refusal_text(expected->what, facts, result == KNOT_EOK ? reply : NULL, why);
	} else if (result != KNOT_EOK) {
		snprintf(why, TRANSFER_WHY, "%s failed: malformed reply (%s)", expected->what, knot_strerror(result));
	} else if (!question_fits(expected, reply)) {
		snprintf(why, TRANSFER_WHY, "%s failed: the reply is to another question", expected->what);
	} else if (tsig_session_check(tsig, reply, why) != 0) {
		facts->tsig_error = tsig->error;
		snprintf(cause, sizeof(cause), "%s", why);
		snprintf(why, TRANSFER_WHY, "%s failed: %s", expected->what, cause);
	} else {
		if (expected->keep != NULL)
			keep_read(reply, expected->keep);
		return 0;
	}
	reply_close(reply);
	return -1;
}

int soa_read(const uint8_t *rdata, size_t length, struct soa_timers *out)
{
	const uint8_t *numbers = rdata + length - 20;

	/* Two names of an octet at least; the parser has checked the rest. */
	if (length < 22)
		return -1;
	out->serial = knot_wire_read_u32(numbers);
	out->refresh = knot_wire_read_u32(numbers + 4);
	out->retry = knot_wire_read_u32(numbers + 8);
	out->expire = knot_wire_read_u32(numbers + 12);
	return 0;
}

void expire_read(const struct reply *reply, struct expire_option *out)
{
	size_t length;
	const uint8_t *data = reply_option(reply, KNOT_EDNS_OPTION_EXPIRE, &length);

	if (data == NULL || length != 4)
		return;
	out->given = true;
	out->seconds = knot_wire_read_u32(data);
}

bool reply_refuses_edns(const struct reply_expected *expected, const uint8_t *wire, size_t length)
{
	unsigned rcode;

	if (!reply_matches(expected, wire, length))
		return false;
	rcode = knot_wire_get_rcode(wire);
	return rcode == KNOT_RCODE_FORMERR || rcode == KNOT_RCODE_NOTIMPL;
}

/* The SOA of the zone in the answer. Returns 0, or -1 when there is none. */
static int find_soa(const struct reply_expected *expected, const struct reply *reply, struct soa_timers *out)
{
	struct rr_reader reader;
	struct rr rr;

	rr_reader_init(&reader, reply->wire, reply->length, reply->answer_at);
	for (unsigned i = knot_wire_get_ancount(reply->wire); i > 0 && rr_read(&reader, &rr) == 0; i--)
		if (rr.type == KNOT_RRTYPE_SOA && rr.rclass == KNOT_CLASS_IN &&
		    knot_dname_is_equal(rr.owner, expected->apex))
			return zone_rdata_ok(rr.type, rr.rdata, rr.rdata_length)
			           ? soa_read(rr.rdata, rr.rdata_length, out)
			           : -1;
	return -1;
}

enum soa_verdict soa_reply(const struct reply_expected *expected, uint8_t *wire, size_t length,
                           struct tsig_session *tsig, struct soa_timers *out, struct expire_option *expire, char *why)
{
	enum soa_verdict verdict = SOA_FAILED;
	struct reply reply;

	/* A truncated reply may be cut anywhere, its TSIG included: nothing in it is worth a look. */
	if (reply_matches(expected, wire, length) && knot_wire_get_tc(wire))
		return SOA_TRUNCATED;
	if (reply_open(&reply, expected, wire, length, tsig, why) != 0)
		return SOA_FAILED;
	if (!knot_wire_get_aa(wire))
		snprintf(why, TRANSFER_WHY, "%s failed: the primary is not authoritative for the zone", expected->what);
	else if (find_soa(expected, &reply, out) != 0)
		snprintf(why, TRANSFER_WHY, "%s failed: no SOA of the zone in the reply", expected->what);
	else
		verdict = SOA_ANSWERED;
	if (verdict == SOA_ANSWERED)
		expire_read(&reply, expire);
	reply_close(&reply);
	return verdict;
}
